/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - what others ask of the flusher: flushes, barriers, audits, the end. */
#include "flush/flusher.h"

#include <limits.h>

#include "base/sys.h"

/* thread: any */
void wr_flusher_kick(struct wr_flusher *flusher)
{
	/* ORDER none: relaxed. Only tells a control wake-up from a trigger's. */
	atomic_store_explicit(&flusher->control.wanted, 1, memory_order_relaxed);
	wr_wake_write(flusher->wake);
}

int wr_control_requested(const struct wr_flusher *flusher)
{
	/* ORDER flush.asked: acquire. What was pushed before the request is covered by it. */
	if (atomic_load_explicit(&flusher->control.flush, memory_order_acquire))
		return 1;
	for (uint32_t id = 1; flusher->in_barrier && id <= wr_rings_last_id(flusher->rings); id++) {
		const struct wr_share *share = &flusher->cut.shares[id];

		if (share->ring && (int64_t)(share->barrier - share->taken.position) > 0)
			return 1;
	}
	return 0;
}

int wr_control_waiting(const struct wr_flusher *flusher)
{
	/* ORDER flush.asked: acquire, as in begin_barrier(). */
	return !flusher->in_barrier &&
	       atomic_load_explicit(&flusher->control.barrier_asked, memory_order_acquire) !=
	               atomic_load_explicit(&flusher->control.barrier_done, memory_order_relaxed);
}

/* Begins the barrier that was asked for last: everything below today's heads. */
static int begin_barrier(struct wr_flusher *flusher)
{
	/* ORDER flush.asked: acquire. */
	uint32_t asked =
		atomic_load_explicit(&flusher->control.barrier_asked, memory_order_acquire);
	/* ORDER none: relaxed. The flusher's own. */
	uint32_t done = atomic_load_explicit(&flusher->control.barrier_done, memory_order_relaxed);

	if (flusher->in_barrier || asked == done)
		return 0;
	flusher->barrier = asked;
	flusher->in_barrier = 1;
	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		struct wr_share *share = wr_cut_share(&flusher->cut, id);

		if (share)
			share->barrier = wr_cut_head(&flusher->cut, share).position;
	}
	wr_release_barrier(flusher); /* perhaps all of it is released already */
	return 1;
}

struct tally {
	uint64_t committed, aborted, open;
};

static void tally_one(void *arg, uint64_t header)
{
	struct tally *tally = arg;
	uint16_t flags = wr_header_flags(header);

	if (flags & WEIR_REC_COMMITTED)
		tally->committed++;
	else if (flags & WEIR_REC_ABORTED)
		tally->aborted++;
	else
		tally->open++;
}

/* Adds what lies in [share->taken, head), by walking. */
static void tally_ring(const struct wr_share *share, struct wr_place head, struct tally *tally)
{
	struct wr_place end = wr_cut_walk(share, share->taken, head, tally_one, tally);

	/* Behind a place whose owner has not even told its size nothing can be walked. */
	tally->open += head.count - end.count;
}

/* What was cut and is in no batch. */
static uint64_t tally_segments(struct wr_flusher *flusher)
{
	struct tally tally = { 0, 0, 0 };

	for (uint32_t i = flusher->next_segment; i < flusher->cut.segment_count; i++) {
		const struct wr_segment *segment = &flusher->cut.segments[i];

		(void)wr_cut_walk(&flusher->cut.shares[segment->ring], segment->begin, segment->end,
		                  tally_one, &tally);
	}
	return tally.committed;
}

/* What lies in the rings and in no batch. */
static struct tally tally_rings(struct wr_flusher *flusher)
{
	struct tally tally = { tally_segments(flusher), 0, 0 };

	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		struct wr_share *share = wr_cut_share(&flusher->cut, id);

		if (share)
			tally_ring(share, wr_cut_head(&flusher->cut, share), &tally);
	}
	return tally;
}

static uint64_t tally_batches(const struct wr_flusher *flusher)
{
	uint64_t n = 0;

	for (const struct wr_batch *batch = flusher->live; batch; batch = batch->live) {
		struct weir_iter iter = { 0, 0, 0 };
		struct weir_record record;

		while (weir_batch_next(&batch->seen, &iter, &record))
			n++;
	}
	return n;
}

/* Places taken in all rings since the engine was opened. thread: any */
static uint64_t places(const struct wr_rings *rings, uint64_t *ret_bytes)
{
	uint64_t n = 0;

	*ret_bytes = 0;
	for (uint32_t id = 1; id <= wr_rings_last_id(rings); id++) {
		const struct wr_ring *ring = wr_rings_by_id(rings, id);
		uint64_t count, position, head;

		if (!ring)
			continue;
		/* ORDER stats.heads: acquire. The cut is read first: the head is not below it. */
		count = atomic_load_explicit(&ring->cut_count, memory_order_acquire);
		position = atomic_load_explicit(&ring->cut_position, memory_order_acquire);
		head = atomic_load_explicit(&ring->head, memory_order_acquire);
		count += (uint32_t)(wr_head_count(head) - (uint32_t)count);
		position += (uint32_t)(wr_head_position(head) - (uint32_t)position);
		n += count - rings->start_count;
		*ret_bytes += position - (rings->start_position & ~7u);
	}
	return n;
}

uint64_t wr_flusher_accepted(const struct wr_flusher *flusher, uint64_t *ret_bytes)
{
	uint64_t claims = 0;

	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		const struct wr_ring *ring = wr_rings_by_id(flusher->rings, id);

		if (ring)
			claims += wr_ring_claims(ring);
	}
	return flusher->config.total_base + places(flusher->rings, ret_bytes) - claims;
}

uint64_t wr_flusher_lost(const struct wr_flusher *flusher, uint64_t *ret_claims)
{
	uint64_t n = 0;

	*ret_claims = 0;
	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		const struct wr_ring *ring = wr_rings_by_id(flusher->rings, id);
		uint64_t lost, claims;

		if (!ring)
			continue;
		/* ORDER none: relaxed. Statistics; it is set once. */
		lost = atomic_load_explicit(&ring->lost, memory_order_relaxed);
		if (!lost)
			continue;
		claims = wr_ring_claims(ring);
		n += lost - claims;
		*ret_claims += claims;
	}
	return n;
}

void wr_flusher_audit(struct wr_flusher *flusher, struct weir_audit *ret)
{
	struct tally rings = tally_rings(flusher);
	uint64_t bytes, claims;

	ret->dropped = wr_flusher_lost(flusher, &claims);
	ret->accepted = flusher->config.total_base + places(flusher->rings, &bytes) -
	                flusher->cut.aborted - rings.aborted - rings.open - claims;
	ret->delivered = wr_counted(&flusher->counters, WR_DELIVERED);
	for (unsigned i = WR_DROPPED_REJECTED; i <= WR_DROPPED_SHUTDOWN; i++)
		ret->dropped += wr_counted(&flusher->counters, i);
	ret->dead_lettered = wr_counted(&flusher->counters, WR_DEAD_LETTERED);
	ret->pending_ring = rings.committed;
	ret->pending_batch = tally_batches(flusher);
	ret->residual = (int64_t)(ret->accepted - ret->delivered - ret->dropped -
	                          ret->dead_lettered - ret->pending_ring - ret->pending_batch);
}

int wr_control_pending(struct wr_flusher *flusher)
{
	int any = begin_barrier(flusher);

	/* ORDER flush.audit: acquire. The struct that is to be filled in was written before. */
	if (atomic_load_explicit(&flusher->control.audit, memory_order_acquire) == 1) {
		wr_flusher_audit(flusher, &flusher->audit);
		/* ORDER flush.audit: release. Who asked reads it. */
		atomic_store_explicit(&flusher->control.audit, 2, memory_order_release);
		(void)wr_sys.futex_wake(&flusher->control.audit, INT_MAX);
		any = 1;
	}
	return any;
}

int wr_flusher_is_drained(struct wr_flusher *flusher)
{
	if (flusher->live || flusher->next_segment < flusher->cut.segment_count)
		return 0;
	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		struct wr_share *share = wr_cut_share(&flusher->cut, id);

		if (share && wr_cut_head(&flusher->cut, share).count != share->taken.count)
			return 0;
	}
	return 1;
}

/* Open claims from now on end with -ESHUTDOWN. */
static void abandon_claims(struct wr_flusher *flusher)
{
	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		struct wr_share *share = wr_cut_share(&flusher->cut, id);
		struct wr_place at, head;

		if (!share)
			continue;
		head = wr_cut_head(&flusher->cut, share);
		for (at = share->taken; at.count != head.count; at.count++) {
			_Atomic uint64_t *header = wr_ring_header(share->ring, at.position);
			/* ORDER ring.claim: acquire. */
			uint64_t seen = atomic_load_explicit(header, memory_order_acquire);

			if (!(wr_header_flags(seen) & (WEIR_REC_COMMITTED | WEIR_REC_ABORTED |
			                               WEIR_REC_RESERVED)))
				break;
			if (wr_header_flags(seen) & WEIR_REC_RESERVED &&
			    wr_ring_end_claim(header, WEIR_REC_ABORTED) >= 0)
				flusher->claims_abandoned++;
			at.position += wr_header_total(seen);
		}
	}
}

void wr_flusher_abandon(struct wr_flusher *flusher)
{
	uint64_t before = flusher->claims_abandoned;

	abandon_claims(flusher);
	/* The next turn must not find the flusher asleep. */
	if (flusher->claims_abandoned != before)
		wr_flusher_kick(flusher);
}

/*
 * Takes all that is left of a ring off the books. Returns the records that are dropped with it, or
 * 0 and sets ring->lost: a place was never committed, and nobody can walk past it. Its owner may
 * still commit it or give it up, so that such a ring's records are not counted once and for all,
 * but by its claims, whenever somebody asks.
 */
static uint64_t leave_ring(struct wr_flusher *flusher, struct wr_share *share)
{
	struct wr_place head = wr_cut_head(&flusher->cut, share);
	struct tally tally = { 0, 0, 0 };

	tally_ring(share, head, &tally);
	if (tally.open) {
		/* ORDER none: relaxed. Of the claims, those that were taken are no longer here. */
		atomic_store_explicit(&share->ring->lost,
		                      head.count - share->taken.count + share->aborted,
		                      memory_order_relaxed);
		flusher->cut.aborted -= share->aborted;
		tally.committed = 0;
	} else {
		flusher->cut.aborted += tally.aborted;
	}
	share->taken = head;
	/* ORDER stats.heads: release, as in wr_cut_take(). */
	atomic_store_explicit(&share->ring->cut_position, head.position, memory_order_release);
	atomic_store_explicit(&share->ring->cut_count, head.count, memory_order_release);
	return tally.committed;
}

void wr_flusher_end(struct wr_flusher *flusher)
{
	unsigned reason = flusher->broken ? WR_DROPPED_FATAL : WR_DROPPED_SHUTDOWN;
	uint64_t claims;
	uint32_t asked = 1;

	wr_flusher_abandon(flusher); /* what lay behind them may still go, if the sink takes it */
	(void)wr_flusher_turn(flusher, 0);
	for (struct wr_batch *batch = flusher->live, *next; batch; batch = next) {
		next = batch->live;
		flusher->left_in_batches += batch->seen.records;
		if (batch->at_sink) { /* it may still read it: the memory stays */
			wr_count(&flusher->counters, reason, batch->seen.records);
			wr_batch_live(flusher, batch, 0);
		} else {
			wr_batch_final(flusher, batch, reason);
		}
	}
	flusher->again = NULL;
	flusher->left_in_rings = tally_segments(flusher);
	for (uint32_t id = 1; id <= wr_rings_last_id(flusher->rings); id++) {
		struct wr_share *share = wr_cut_share(&flusher->cut, id);

		if (share)
			flusher->left_in_rings += leave_ring(flusher, share);
	}
	wr_count(&flusher->counters, reason, flusher->left_in_rings);
	flusher->left_in_rings += wr_flusher_lost(flusher, &claims);
	wr_count_set(&flusher->counters, WR_ABORTED_TAKEN, flusher->cut.aborted);
	wr_count_set(&flusher->counters, WR_TAKEN, 0);
	flusher->next_segment = flusher->cut.segment_count;
	/* ORDER flush.barrier: seq_cst, a release. Nobody waits for what will not come. */
	atomic_store_explicit(&flusher->control.ended, 1, memory_order_seq_cst);
	(void)wr_sys.futex_wake(&flusher->control.ended, INT_MAX);
	atomic_fetch_add_explicit(&flusher->control.barrier_turn, 1, memory_order_release);
	(void)wr_sys.futex_wake(&flusher->control.barrier_turn, INT_MAX);
	/* ORDER flush.audit: seq_cst. Who asks sees the end, or the end sees who asks. */
	if (atomic_compare_exchange_strong_explicit(&flusher->control.audit, &asked, 0,
	                                            memory_order_seq_cst, memory_order_relaxed))
		(void)wr_sys.futex_wake(&flusher->control.audit, INT_MAX);
}
