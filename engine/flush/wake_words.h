/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush/wake_words.h - what wake.c, limit.c and signal.c share: how the words of the protocol are
 * taken apart and accessed.
 *
 * It knows the layout of sum and bytes (see wake.h). It does not know what they are counted for.
 */
#ifndef WR_FLUSH_WAKE_WORDS_H
#define WR_FLUSH_WAKE_WORDS_H

#include "flush/wake.h"

#define SUM_SIGNALLED (UINT64_C(1) << 32)
#define SUM_EPOCH(sum) ((sum) >> 33)
#define BYTES_SIGNALLED (UINT64_C(1) << 40)
#define BYTES_COUNT(bytes) ((bytes) & (BYTES_SIGNALLED - 1))

/*
 * Every access of the protocol is seq_cst: off the fast path, where the models assume one order.
 * ORDER wake.words: seq_cst. Both ends of the edge are all accesses to due, soon, sum, bytes, bits,
 * telling, told, alarm and limit in wake.c, limit.c, signal.c and sleep.c.
 * Gives:     a record is never committed while the flusher sleeps without a timer or an event.
 * Otherwise: a lost wake-up.
 */
#define LOAD(word) atomic_load_explicit((word), memory_order_seq_cst)
#define CAS(word, seen, next) \
	atomic_compare_exchange_strong_explicit((word), (seen), (next), memory_order_seq_cst, \
	                                        memory_order_seq_cst)
/* ORDER none: relaxed. Counters and settings. */
#define PEEK(word) atomic_load_explicit((word), memory_order_relaxed)
#define COUNT(word) ((void)atomic_fetch_add_explicit((word), 1, memory_order_relaxed))

/* Of 0: 0. */
static inline uint32_t wr_log2_floor(uint64_t n)
{
	return n ? 63u - (uint32_t)__builtin_clzll(n) : 0u;
}

/*
 * Writes the event, if nobody has since the flusher slept last, as @sum tells. signal.c
 * thread: producer
 */
void wr_wake_tell(struct wr_wake *wake, uint64_t sum);

#endif
