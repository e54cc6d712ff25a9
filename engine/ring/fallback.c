/* SPDX-License-Identifier: Apache-2.0 */
/* fallback.c - see fallback.h. thread: producer */
#include "ring/fallback.h"

#include <string.h>

#include "base/testpoint.h"

enum wr_exit wr_fallback_reserve(struct wr_ring *ring, const struct wr_put *put,
                                 struct wr_seen *ret)
{
	/* ORDER none: relaxed. The exchange below decides. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t next;

	ret->ring = ring;
	do {
		uint32_t end;

		ret->head = head;
		if (head & WR_HEAD_CLOSED)
			return WR_EXIT_CLOSED;
		end = wr_head_position(head) + (uint32_t)put->total;
		/* ORDER wake.limit: acquire. The limit lies within what the flusher released. */
		if ((int32_t)(wr_limit_position(atomic_load_explicit(&ring->limit,
		                                                     memory_order_acquire)) -
		              end) < 0)
			return WR_EXIT_LIMIT;
		next = wr_head_make(wr_head_count(head) + 1, end);
		/*
		 * ORDER fallback.close: seq_cst. The bit makes this exchange fail, or comes after.
		 * ORDER fallback.sleep: seq_cst, and so is the load of the alarm. Paired with
		 * deal() and recheck() in flush/sleep.c, which store alarms and then read heads.
		 * Gives:     a push sees the lowered alarm, or the flusher sees it reserved.
		 * Otherwise: a record lies in a ring whose flusher sleeps without a timer.
		 */
	} while (!atomic_compare_exchange_weak_explicit(&ring->head, &head, next,
	                                                memory_order_seq_cst,
	                                                memory_order_relaxed));
	WR_TESTPOINT("fallback.reserved");
	/* ORDER fallback.sleep: seq_cst. */
	ret->alarm = atomic_load_explicit(&ring->alarm, memory_order_seq_cst);
	return WR_PUSHED;
}

void wr_fallback_copy(const struct wr_put *put, const struct wr_seen *seen)
{
	uint8_t *to = wr_ring_at(seen->ring, wr_head_position(seen->head));

	to += sizeof(struct weir_record_header);
	for (uint64_t i = 0; i < put->iov_count; i++) {
		if (put->iov[i].iov_len)
			memcpy(to, put->iov[i].iov_base, put->iov[i].iov_len);
		to += put->iov[i].iov_len;
	}
	WR_TESTPOINT("fallback.copied");
}

int wr_fallback_commit(const struct wr_seen *seen, uint64_t header)
{
	_Atomic uint64_t *at = wr_ring_header(seen->ring, wr_head_position(seen->head));
	/*
	 * ORDER ring.claim: release. Acquired by header_of() in flush/walk.c.
	 * ORDER wake.waited: acq_rel, and so an exchange: the flusher may have set WAITED.
	 */
	uint64_t old = atomic_exchange_explicit(at, header, memory_order_acq_rel);

	return wr_header_flags(old) & WEIR_REC_WAITED ? 1 : 0;
}

void wr_fallback_close(struct wr_ring *ring)
{
	/* ORDER fallback.close: seq_cst. A reserve either came before, and is drained, or fails. */
	atomic_fetch_or_explicit(&ring->head, WR_HEAD_CLOSED, memory_order_seq_cst);
}
