/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/push.h - one push on its way, and what the files of its way offer each other:
 *
 *     push.c      the loop: builds the record, tries a section, marks a migration, fills a claim
 *     reserve.c   the attempt on a fallback ring: reserve, cover, copy, commit
 *     slow.c      what stops an attempt: no ring, the alarm, the limit, no room
 *
 * thread: producer
 */
#ifndef WR_API_PUSH_H
#define WR_API_PUSH_H

#include "api/engine.h"
#include "ring/mark.h"

/* Pushes that go to a fallback ring before the CPU, or the section, is tried again. */
#define WR_STAY_ON_FALLBACK 256u
#define WR_PIECES_INLINE 7 /* more are copied behind a reserved place */

struct wr_extension {
	uint8_t bytes[16 + 8 + 8 + WEIR_MARK_BYTES];
	uint32_t length;
};

/* One push on its way. Lives on its thread's stack. */
struct wr_push {
	const struct wr_request *request;
	struct weir *weir;
	_Atomic uint64_t *order;
	struct wr_put put;
	struct iovec iov[WR_PIECES_INLINE + 1];
	struct wr_extension extension;
	struct wr_credit credit;
	struct wr_migration migration;
	struct wr_mark mark;
	struct wr_ring *mark_ring; /* the ring the mark was made for, NULL: no mark */
	int mark_names;            /* rings that it names; 0: the record goes without */
	struct wr_seen seen;
	uint64_t max_age_us;
	uint64_t wait_until_ns;
	uint32_t reserve; /* 1: a claim, or too large to be copied inside a section */
	uint32_t waited_for; /* the flusher waits for this very record */
};

/* slow.c: each counts in, or says -EPERM (a child), -ESHUTDOWN. 0: try again */
int wr_push_make_ring(struct wr_push *push, enum wr_ring_kind kind, uint32_t cpu,
                      struct wr_ring **ret_ring);
int wr_push_met_alarm(struct wr_push *push, struct wr_ring *ring);
/* Waits for room, if this push may. -EAGAIN, -ETIMEDOUT, -EDEADLK, -EPIPE. */
int wr_push_met_limit(struct wr_push *push, struct wr_ring *ring);

/* push.c: this thread comes from another ring, the record must say so. 0, -EAGAIN. */
int wr_push_begin_mark(struct wr_push *push, struct wr_ring *ring);
/* reserve.c: one attempt on a fallback ring. 0: pushed, 1: again, or -errno. */
int wr_push_try_fallback(struct wr_push *push);

static inline void wr_push_count(_Atomic uint64_t *counter)
{
	/* ORDER none: relaxed. A statistic. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Wakes the flusher, if it waits for this very record. */
static inline void wr_push_wake_for(struct wr_push *push)
{
	if (push->waited_for)
		wr_flusher_kick(&push->weir->flusher);
}

#endif
