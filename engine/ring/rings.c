/* SPDX-License-Identifier: Apache-2.0 */
/* rings.c - makes, publishes and unmaps rings. See rings.h. */
#include "ring/rings.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/testpoint.h"

#define PAGE_BYTES WR_ROUND_UP(sizeof(struct wr_page), 4096u)
#define BY_ID_BYTES (WR_RING_IDS * sizeof(struct wr_ring *))

static void *map_private(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void unmap(void *at, size_t bytes)
{
	if (at)
		munmap(at, bytes);
}

int wr_rings_reserve(struct wr_rings *rings)
{
	if (rings->page)
		return 0;
	rings->page = map_private(PAGE_BYTES);
	rings->by_id = map_private(BY_ID_BYTES);
	rings->control = map_private(WR_RING_IDS * sizeof(struct wr_ring));
	if (!rings->page || !rings->by_id || !rings->control) {
		unmap(rings->page, PAGE_BYTES);
		unmap(rings->by_id, BY_ID_BYTES);
		unmap(rings->control, WR_RING_IDS * sizeof(struct wr_ring));
		rings->page = NULL;
		rings->by_id = NULL;
		rings->control = NULL;
		return -ENOMEM;
	}
	/* Linux 4.14 and later. An emulator may refuse: then only fork is not covered. */
	(void)madvise(rings->page, PAGE_BYTES, MADV_WIPEONFORK);
	return 0;
}

int wr_rings_open(struct wr_rings *rings, uint64_t ring_bytes, int hugepage, int order)
{
	int fd = memfd_create("weir-rings", MFD_CLOEXEC | (hugepage ? MFD_HUGETLB : 0u));

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)(ring_bytes * WR_RING_IDS)) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	rings->ring_bytes = ring_bytes;
	rings->memory_fd = fd;
	rings->hugepage = (uint32_t)hugepage;
	rings->order = (uint32_t)order;
	/* ORDER none: relaxed. The engine is published after this. */
	atomic_store_explicit(&rings->last_id, 0, memory_order_relaxed);
	atomic_store_explicit(&rings->page->memory_fd1, fd + 1, memory_order_relaxed);
	return 0;
}

/* Twice the ring's memory, back to back. Raw system calls only: a signal handler may be here. */
static int map_twice(struct wr_rings *rings, uint32_t id, uint8_t **ret_data)
{
	/* ORDER none: relaxed. 0 in a child, which must not touch the parent's memory. */
	int fd = atomic_load_explicit(&rings->page->memory_fd1, memory_order_relaxed) - 1;
	uint64_t bytes = rings->ring_bytes;
	off_t offset = (off_t)(bytes * (id - 1));
	uint8_t *at, *to;
	size_t slack = rings->hugepage ? 1u << 21 : 0; /* huge pages want an aligned address */

	if (fd < 0)
		return -EPERM;
	to = mmap(NULL, 2 * bytes + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	          -1, 0);
	if (to == MAP_FAILED)
		return -ENOMEM;
	at = to;
	if (slack) { /* a length of 0, when it was aligned already, is refused and does no harm */
		at = (uint8_t *)WR_ROUND_UP((uintptr_t)to, (uintptr_t)slack);
		(void)munmap(to, (size_t)(at - to));
		(void)munmap(at + 2 * bytes, (size_t)(to + slack - at));
	}
	for (int half = 0; half < 2; half++) {
		if (mmap(at + (uint64_t)half * bytes, bytes, PROT_READ | PROT_WRITE,
		         MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED) {
			munmap(at, 2 * bytes);
			return -ENOMEM;
		}
	}
	(void)madvise(at, 2 * bytes, MADV_DONTFORK);
	(void)madvise(at, 2 * bytes, MADV_DONTDUMP);
	*ret_data = at;
	return 0;
}

/* As map_twice(), and errno is the caller's. */
static int map_mirrored(struct wr_rings *rings, uint32_t id, uint8_t **ret_data)
{
	int error = errno, r = map_twice(rings, id, ret_data);

	errno = error;
	return r;
}

/* A ring begins quiet: its first push takes the slow path, which sets the active bit. */
static void init_ring(struct wr_rings *rings, struct wr_ring *ring, enum wr_ring_kind kind,
                      uint32_t cpu, uint32_t id, uint8_t *data)
{
	uint32_t count = rings->start_count, position = rings->start_position & ~7u;
	uint64_t head = wr_head_make(count, position);

	ring->data = data;
	ring->mask = rings->ring_bytes - 1;
	ring->id = id;
	ring->order_id = rings->order ? id : 0;
	ring->cpu = cpu;
	ring->kind = kind;
	ring->retired = 0;
	/* ORDER none: relaxed, all of them. The ring is published by a release below. */
	atomic_store_explicit(&ring->head, head, memory_order_relaxed);
	atomic_store_explicit(&ring->side_next, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->alarm, wr_alarm_make(rings->start_epoch, 0, count + 1),
	                      memory_order_relaxed);
	/* Its first push passes the limit too, and there finds watermark and byte stops. */
	atomic_store_explicit(&ring->limit, wr_limit_make(0, 0, WR_STOP_BYTES, position + 1),
	                      memory_order_relaxed);
	atomic_store_explicit(&ring->tail, position, memory_order_relaxed);
	atomic_store_explicit(&ring->cut_count, count, memory_order_relaxed);
	atomic_store_explicit(&ring->cut_position, position, memory_order_relaxed);
	atomic_store_explicit(&ring->lost, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->inside, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->pressed, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->refused_full, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->refused_context, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->waits, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->migrations, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->aborts_capped, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->claims_begun, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->claims_committed, 0, memory_order_relaxed);
}

int wr_rings_get(struct wr_rings *rings, enum wr_ring_kind kind, uint32_t cpu,
                 struct wr_ring **ret_ring)
{
	struct wr_page *page = rings->page;
	struct wr_ring *_Atomic *entry;
	struct wr_ring *ring, *none = NULL;
	uint8_t *data;
	uint32_t id;
	int r;

	entry = kind == WR_RING_RSEQ ? &page->rseq[cpu % WR_TABLE_CPUS]
	                             : &page->fallback[cpu % WR_FALLBACK_CPUS];
	/* ORDER rings.made: acquire. */
	ring = atomic_load_explicit(entry, memory_order_acquire);
	if (ring) {
		*ret_ring = ring;
		return 0;
	}
	/*
	 * ORDER wake.words: seq_cst, and so is the load in wr_rings_last_id(). Who then finds the
	 * flusher busy knows that it will look at this id before it sleeps.
	 */
	id = atomic_fetch_add_explicit(&rings->last_id, 1, memory_order_seq_cst) + 1;
	if (id >= WR_RING_IDS) {
		/* ORDER none: relaxed. As above. */
		atomic_fetch_sub_explicit(&rings->last_id, 1, memory_order_relaxed);
		return -EMFILE;
	}
	r = map_mirrored(rings, id, &data);
	if (r) {
		/* ORDER none: relaxed. Given back, if nobody took the next one meanwhile. */
		uint32_t mine = id;

		(void)atomic_compare_exchange_strong_explicit(&rings->last_id, &mine, id - 1,
		                                              memory_order_relaxed,
		                                              memory_order_relaxed);
		return r;
	}
	ring = &rings->control[id];
	init_ring(rings, ring, kind, cpu, id, data);
	WR_TESTPOINT("rings.made");
	/*
	 * ORDER rings.made: release. Acquired by wr_rings_by_id() and above; a section follows the
	 * pointer it loaded from the table.
	 * Gives:     whoever finds the ring finds it initialised.
	 * Otherwise: a push copies to an address that was never set.
	 * By id first: a record must never lie in a ring that the flusher cannot find.
	 */
	atomic_store_explicit(&rings->by_id[id], ring, memory_order_release);
	if (!atomic_compare_exchange_strong_explicit(entry, &none, ring, memory_order_acq_rel,
	                                             memory_order_acquire)) {
		/* Another thread was first: this id stays unused, a hole in the numbering. */
		atomic_store_explicit(&rings->by_id[id], NULL, memory_order_relaxed);
		munmap(data, 2 * rings->ring_bytes);
		ring = none;
	}
	*ret_ring = ring;
	return 0;
}

void wr_rings_unpublish(struct wr_rings *rings)
{
	for (uint32_t id = 1; id < WR_RING_IDS; id++) {
		struct wr_ring *ring = wr_rings_by_id(rings, id);

		if (!ring)
			continue;
		/* ORDER none: relaxed. The caller runs a membarrier, or nobody pushes any more. */
		if (ring->kind == WR_RING_RSEQ)
			atomic_store_explicit(&rings->page->rseq[ring->cpu % WR_TABLE_CPUS], NULL,
			                      memory_order_relaxed);
		else
			atomic_store_explicit(&rings->page->fallback[ring->cpu % WR_FALLBACK_CPUS],
			                      NULL, memory_order_relaxed);
	}
}

void wr_rings_disown(struct wr_rings *rings)
{
	if (rings->memory_fd >= 0)
		close(rings->memory_fd);
	rings->memory_fd = -1;
}

void wr_rings_close(struct wr_rings *rings)
{
	int fd;

	wr_rings_unpublish(rings);
	for (uint32_t id = 1; id < WR_RING_IDS; id++) {
		struct wr_ring *ring = wr_rings_by_id(rings, id);

		if (!ring)
			continue;
		munmap(ring->data, 2 * rings->ring_bytes);
		/* ORDER none: relaxed. The owner is alone. */
		atomic_store_explicit(&rings->by_id[id], NULL, memory_order_relaxed);
	}
	/* ORDER none: relaxed. The owner is alone. */
	fd = atomic_exchange_explicit(&rings->page->memory_fd1, 0, memory_order_relaxed) - 1;
	if (fd >= 0)
		close(fd);
	rings->memory_fd = -1;
	(void)madvise(rings->control, WR_RING_IDS * sizeof(struct wr_ring), MADV_DONTNEED);
}
