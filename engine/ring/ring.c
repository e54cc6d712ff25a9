/* SPDX-License-Identifier: Apache-2.0 */
/* ring.c - the end of a claim, the one transition that both kinds of ring share. thread: any */
#include "ring/ring.h"

#include <errno.h>

int wr_ring_end_claim(_Atomic uint64_t *header, uint32_t flag)
{
	/* ORDER none: relaxed. The exchange below decides. */
	uint64_t seen = atomic_load_explicit(header, memory_order_relaxed);
	uint64_t next;

	do {
		uint16_t flags = wr_header_flags(seen);

		if (!(flags & WEIR_REC_RESERVED))
			/* Aborted by close, or by its owner before. */
			return flags & WEIR_REC_COMMITTED ? -EINVAL : -ESHUTDOWN;
		next = seen & ~((uint64_t)(WEIR_REC_RESERVED | WEIR_REC_WAITED)
		                << WR_HEADER_FLAGS_SHIFT);
		next |= (uint64_t)flag << WR_HEADER_FLAGS_SHIFT;
		/*
		 * ORDER ring.claim: release. Acquired by header_of() in flush/walk.c.
		 * Gives:     whoever sees the record committed sees its payload.
		 * Otherwise: the flusher hands the sink bytes that were never written.
		 * ORDER wake.waited: acq_rel, the same exchange. It finds the flag, or came first.
		 */
	} while (!atomic_compare_exchange_weak_explicit(header, &seen, next, memory_order_acq_rel,
	                                                memory_order_relaxed));
	return wr_header_flags(seen) & WEIR_REC_WAITED ? 1 : 0;
}
