/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/rings.h - the rings of one engine: one per CPU in use and kind, made on first use.
 *
 * It knows CPUs, memory and fork. It does not know records, batches or time.
 *
 * What a push reads first, the table of rings by CPU, lies in private anonymous pages that a fork
 * wipes: a child finds no ring, no generation and no descriptor, whatever instruction its thread
 * was at. Ring memory is shared (it is mapped twice) and is not inherited at all.
 */
#ifndef WR_RING_RINGS_H
#define WR_RING_RINGS_H

#include <stdatomic.h>
#include <stdint.h>

#include "ring/ring.h"

#define WR_TABLE_CPUS 8192u   /* no bound test: the kernel has no more */
#define WR_FALLBACK_CPUS 1024u

/* Wiped in a child. Descriptors are stored plus one, so that 0 means none. */
struct wr_page {
	struct wr_ring *_Atomic rseq[WR_TABLE_CPUS];
	struct wr_ring *_Atomic fallback[WR_FALLBACK_CPUS];
	_Atomic uint32_t generation; /* of the engine; 0 in a child */
	_Atomic int32_t timer_fd1;
	_Atomic int32_t event_fd1;
	_Atomic int32_t memory_fd1;
};

struct wr_rings {
	struct wr_page *page;           /* type-stable, one per engine slot */
	struct wr_ring *control;        /* type-stable, WR_RING_IDS of them, populated on use */
	struct wr_ring *_Atomic *by_id; /* behind the page, in its mapping; no child needs it */
	_Atomic uint32_t last_id;
	uint32_t order;      /* 1: order=thread */
	uint32_t hugepage;   /* 1: backed by huge pages */
	uint32_t sections;   /* 1: there are rseq rings, membarriers are needed */
	uint64_t ring_bytes;
	int memory_fd;       /* the same as in the page, for a child to close */
	/* Where the 32-bit words begin; 0 but in tests. */
	uint32_t start_count;
	uint32_t start_position;
	uint32_t start_epoch;
};

/* Maps what is type-stable, once per slot. 0, -ENOMEM. thread: owner */
int wr_rings_reserve(struct wr_rings *rings);
/* Opens the memory of the rings. 0, -errno. thread: owner */
int wr_rings_open(struct wr_rings *rings, uint64_t ring_bytes, int hugepage, int order);
/*
 * The ring of @cpu, made if there is none. 0, -ENOMEM, -EMFILE (all ids taken), -EPERM (child).
 * Only system calls, no lock: several may try, one wins. thread: producer, owner
 */
int wr_rings_get(struct wr_rings *rings, enum wr_ring_kind kind, uint32_t cpu,
                 struct wr_ring **ret_ring);
/* Takes the rings out of the table: pushes find none. thread: owner */
void wr_rings_unpublish(struct wr_rings *rings);
/* In a forked child: closes the descriptor; the rings' memory was never inherited. thread: owner */
void wr_rings_disown(struct wr_rings *rings);
/* Unmaps all ring memory. thread: owner, when no thread can be in a push any more */
void wr_rings_close(struct wr_rings *rings);

static inline struct wr_ring *wr_rings_by_id(const struct wr_rings *rings, uint32_t id)
{
	WR_ASSERT_HOT(id < WR_RING_IDS); /* 12 bits in an order word; no higher one is given out */
	if (!id)
		return NULL;
	/* ORDER rings.made: acquire. */
	return atomic_load_explicit(&rings->by_id[id], memory_order_acquire);
}

/* The highest id ever given out; and how many 64-bit words a bitmap up to it has. thread: any */
static inline uint32_t wr_rings_last_id(const struct wr_rings *rings)
{
	/* ORDER wake.words: seq_cst, see wr_rings_get(). */
	uint32_t id = atomic_load_explicit(&rings->last_id, memory_order_seq_cst);

	return id < WR_RING_IDS ? id : WR_RING_IDS - 1;
}
static inline uint32_t wr_rings_words(const struct wr_rings *rings)
{
	return wr_rings_last_id(rings) / 64 + 1;
}

/* CPUs: highest possible id + 1, and how many this thread may run on. thread: owner */
uint32_t wr_cpus_possible(void);
uint32_t wr_cpus_usable(void);
/* Calls @fn for every CPU of the thread's affinity mask. */
void wr_cpus_each_usable(void (*fn)(void *arg, uint32_t cpu), void *arg);
/* Parses the kernel's list format ("0,3-7"): highest id + 1, or -EINVAL. */
int wr_cpus_parse(const char *list);

#endif
