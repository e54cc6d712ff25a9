/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/dest.h - destinations that tell when each record had been delivered.
 *
 * A record is 64 bytes and carries the time at which it was to be pushed. Each destination hands
 * what it has gathered to the same function: it adds up all words, looks at the clock, and then
 * notes the latency of each record.
 *
 *     weir       flusher, woken by the threshold or the deadline ──▶ callback sink
 *     mutex      array under a lock, a condition variable wakes the consumer, which swaps arrays
 *     seed       list under a lock; who completes the threshold delivers it, holding the lock; the
 *                first record starts a thread that looks each second if the deadline has passed
 *
 * Thread: open, push, settle and close are the main one's.
 */
#ifndef WEIR_BENCH_DEST_H
#define WEIR_BENCH_DEST_H

#include <stdatomic.h>
#include <stdint.h>

#include "harness/bench.h"

#define DEST_BYTES 64u
#define DEST_ROOM 131072u /* records */

struct dest_plan {
	uint64_t threshold, deadline_ns; /* mutex has none */
};

/* What came out. It is the destination's until all that was pushed is out. */
struct dest_out {
	_Alignas(128) _Atomic uint64_t records;
	uint64_t sum; /* of all words; read after records */
	struct bench_hist latency;
};

struct dest {
	const char *name;
	void *(*open)(const struct dest_plan *plan, struct dest_out *out);
	int (*push)(void *dest, const void *record); /* 0 or -EAGAIN: no room */
	void (*close)(void *dest);
};

extern const struct dest dest_weir, dest_mutex, dest_seed;

/* A batch is delivered in three steps: begin, any number of takes, tell. */
struct dest_batch {
	uint64_t sum, count;
	uint64_t intended[DEST_ROOM];
};

/* For a destination: this record is delivered. */
void dest_take(struct dest_batch *batch, const void *record);
/* For a destination: all of the batch is. */
void dest_tell(struct dest_batch *batch, struct dest_out *out);
/* Waits until @records are out. 0 or -ETIMEDOUT */
int dest_settle(const struct dest_out *out, uint64_t records, uint64_t timeout_ns);

#endif
