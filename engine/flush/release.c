/* SPDX-License-Identifier: Apache-2.0 */
/*
 * release.c - verdicts in, space out: a ring's space goes back in the order in which it was taken,
 * whatever the order of the verdicts.
 */
#include "flush/flusher.h"

#include <limits.h>
#include <string.h>

#include "base/sys.h"

static void release_to(const struct wr_flusher *flusher, struct wr_share *share, uint64_t end)
{
	struct wr_ring *ring = share->ring;

	/*
	 * A header of 0 is a place not yet committed. Once claims were given up all rings are
	 * closed and no place is taken again, while a claim's owner may still write to its own.
	 */
	if (ring->kind == WR_RING_FALLBACK && !flusher->claims_abandoned)
		memset(wr_ring_at(ring, share->released), 0, end - share->released);
	share->released = end;
	/*
	 * ORDER flush.room: seq_cst. A push that finds the ring full after this tells again. Before
	 * the tail: behind it, this would wipe out that the new room is used up as well.
	 */
	atomic_store_explicit(&ring->pressed, 0, memory_order_seq_cst);
	/*
	 * ORDER flush.release: release. Acquired by wr_wake_limit().
	 * Gives:     what lies below the tail was read, or zeroed, before it is written again.
	 * Otherwise: a producer overwrites a record that the sink still reads.
	 */
	atomic_store_explicit(&ring->tail, end, memory_order_release);
}

static void wake_waiters(struct wr_flusher *flusher)
{
	struct wr_wake *wake = flusher->wake;

	/* ORDER flush.room: seq_cst. A waiter counts itself in, tests for room, then sleeps. */
	atomic_fetch_add_explicit(&wake->release_seq, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&wake->waiters, memory_order_seq_cst))
		(void)wr_sys.futex_wake(&wake->release_seq, INT_MAX);
}

void wr_release_hopeless(struct wr_flusher *flusher, int32_t code)
{
	flusher->broken = 1;
	flusher->broken_code = code;
	/* ORDER flush.room: seq_cst. Before the waiters are woken. */
	atomic_store_explicit(&flusher->wake->hopeless, 1, memory_order_seq_cst);
	wake_waiters(flusher);
}

/* Pops what is done with from the front of a ring. Returns the position behind it. */
static uint64_t pop_done(struct wr_flusher *flusher, struct wr_share *share,
                         const struct wr_batch *current)
{
	uint64_t end = share->released;

	while (share->first && share->first->done) {
		struct wr_batch *owner = share->first->batch;

		end = share->first->end;
		share->first = share->first->next;
		if (--owner->holds_left == 0 && owner != current)
			wr_batch_unused(flusher, owner);
	}
	if (!share->first)
		share->last = &share->first;
	return end;
}

void wr_release_batch(struct wr_flusher *flusher, struct wr_batch *batch)
{
	int released = 0;

	for (uint32_t i = 0; i < batch->seen.span_count; i++)
		batch->holds[i].done = 1;
	/* A batch's holds may lie behind those of an older one: only from the front of a ring. */
	for (uint32_t i = 0; i < batch->seen.span_count; i++) {
		struct wr_share *share = &flusher->cut.shares[batch->holds[i].ring];
		uint64_t end = pop_done(flusher, share, batch);

		if (end != share->released) {
			release_to(flusher, share, end);
			released = 1;
		}
	}
	if (!batch->holds_left)
		wr_batch_unused(flusher, batch);
	if (released) {
		wake_waiters(flusher);
		wr_release_barrier(flusher);
	}
}

void wr_release_barrier(struct wr_flusher *flusher)
{
	if (!flusher->in_barrier)
		return;
	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		const struct wr_share *share = &flusher->cut.shares[id];

		if (share->ring && (int64_t)(share->barrier - share->released) > 0)
			return;
	}
	/* ORDER flush.barrier: release. Acquired by who waits: what the sink did, it sees. */
	atomic_store_explicit(&flusher->control.barrier_done, flusher->barrier,
	                      memory_order_release);
	flusher->in_barrier = 0;
	/* ORDER flush.barrier: release. Who waits reads it before it looks, and sleeps on it. */
	atomic_fetch_add_explicit(&flusher->control.barrier_turn, 1, memory_order_release);
	(void)wr_sys.futex_wake(&flusher->control.barrier_turn, INT_MAX);
}
