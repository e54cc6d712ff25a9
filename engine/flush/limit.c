/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit.c - how far a push may write: the end of the room, a watermark, or a byte stop before it.
 *
 * It knows one ring's tail and limit, and the sum of bytes. It does not know records or time, nor
 * who is woken for what it has credited (signal.c). See wake.h. thread: producer
 */
#include "flush/wake_words.h"

#include <errno.h>

#include "base/testpoint.h"

/* ORDER wake.words: seq_cst, see wake_words.h: every access that says nothing else. */

/* The byte trigger: credits what the ring has gained since its last stop. */
static void credit_bytes(struct wr_wake *wake, uint32_t gained, struct wr_credit *credit)
{
	uint64_t bytes = LOAD(&wake->bytes);

	while (!CAS(&wake->bytes, &bytes, bytes + gained))
		;
	if (!credit->bytes)
		credit->bytes_before = BYTES_COUNT(bytes);
	credit->bytes = 1;
}

/* Is there a watermark? Then *ret_at is where it lies. */
static int find_watermark(struct wr_wake *wake, const struct wr_ring *ring, uint32_t *ret_at)
{
	uint32_t watermark = PEEK(&wake->settings.watermark);

	/* ORDER none: relaxed. An old cut makes the watermark come earlier. */
	*ret_at = (uint32_t)atomic_load_explicit(&ring->cut_position, memory_order_relaxed) +
	          watermark;
	return watermark != 0;
}

/* Does a push that ends at @end pass the watermark? A byte stop before it may be passed as well. */
static int passes_watermark(struct wr_wake *wake, const struct wr_ring *ring, uint32_t end,
                            uint32_t need)
{
	uint32_t at;

	return find_watermark(wake, ring, &at) && (int32_t)(end - at) > 0 &&
	       (int32_t)(at - (end - need)) >= 0;
}

/* Where the limit goes next: the nearest of full, watermark and byte stop behind @end. */
static uint64_t next_limit(struct wr_wake *wake, const struct wr_ring *ring, uint64_t limit,
                           uint32_t end, uint32_t full)
{
	uint64_t threshold = PEEK(&wake->settings.threshold_bytes);
	uint32_t kind = WR_STOP_FULL, stop = full, stride = 0, at;

	if (find_watermark(wake, ring, &at) && wr_limit_kind(limit) != WR_STOP_WATERMARK &&
	    (int32_t)(at - end) >= 0 && (int32_t)(stop - at) > 0) {
		stop = at;
		kind = WR_STOP_WATERMARK;
	}
	if (threshold) {
		uint64_t joined = PEEK(&wake->joined);

		stride = wr_log2_floor(threshold / (8 * (joined + 1)));
		at = end + (1u << (stride & 31u));
		if (stride < 30 && (int32_t)(stop - at) > 0) {
			stop = at;
			kind = WR_STOP_BYTES;
		}
	}
	return wr_limit_make(wr_limit_epoch(limit), stride, kind, stop);
}

int wr_wake_limit(struct wr_wake *wake, struct wr_ring *ring, uint64_t need,
                  struct wr_credit *credit)
{
	uint64_t limit = LOAD(&ring->limit), next;
	uint32_t end = wr_head_position(LOAD(&ring->head)) + (uint32_t)need;
	/*
	 * ORDER flush.release: acquire. The flusher has read, or zeroed, what it released: only
	 * then may it be written to. Released by release_to() in flush/release.c.
	 */
	uint32_t tail = (uint32_t)atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint32_t full = tail + (uint32_t)wr_ring_bytes(ring);
	uint32_t kind = wr_limit_kind(limit);
	uint64_t due, sum;

	if (kind & WR_STOP_CLOSED)
		return -ESHUTDOWN;
	if ((int32_t)(full - end) < 0) {
		/* The first one tells, and ever more rarely others: the first may have stopped. */
		uint32_t before =
			atomic_fetch_add_explicit(&ring->pressed, 1, memory_order_seq_cst);

		if (!(before & (before - 1))) {
			wr_wake_set_bit(wake, ring->id);
			sum = LOAD(&wake->sum);
			if (wr_due_time(LOAD(&wake->due)) != WR_DUE_BUSY)
				wr_wake_tell(wake, sum);
		}
		return -EAGAIN;
	}
	if ((int32_t)(wr_limit_position(limit) - end) >= 0)
		return 0; /* it has moved already */
	due = LOAD(&wake->due);
	if (wr_due_time(due) == WR_DUE_BUSY)
		next = wr_limit_make(wr_limit_epoch(limit), 0, WR_STOP_FULL, full);
	else
		next = next_limit(wake, ring, limit, end, full);
	WR_TESTPOINT("wake.before_limit");
	/* ORDER wake.limit: seq_cst, a release. It passes on what the tail above has given. */
	if (!CAS(&ring->limit, &limit, next) || wr_due_time(due) == WR_DUE_BUSY)
		return 0;
	if (kind == WR_STOP_BYTES)
		credit_bytes(wake, end - (wr_limit_position(limit) - wr_limit_stride(limit)),
		             credit);
	if (kind == WR_STOP_WATERMARK || passes_watermark(wake, ring, end, (uint32_t)need))
		credit->pressure = 1;
	return 0;
}
