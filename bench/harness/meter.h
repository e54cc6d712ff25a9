/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/meter.h - what threads of this process use: switches, CPU time, system calls.
 *
 * It knows threads by their ids, as the kernel does, so it can look at those that a library made.
 * Thread: the main one.
 */
#ifndef WEIR_BENCH_METER_H
#define WEIR_BENCH_METER_H

#include <stdint.h>
#include <sys/types.h>

#include "harness/bench.h"

#define METER_THREADS 64u

struct meter_threads {
	uint32_t count;
	pid_t id[METER_THREADS];
};

/* All threads of this process, but not those of @known (NULL: none). */
void meter_threads(const struct meter_threads *known, struct meter_threads *ret);

struct meter_use {
	uint64_t wakeups; /* voluntary switches: so often they had gone to sleep */
	uint64_t cpu_ns;
};
void meter_use(const struct meter_threads *threads, struct meter_use *ret);

/*
 * Counts system calls, by tracing: a child of this process stops the threads at each call, which
 * makes a call some microseconds slower, so nothing is timed meanwhile. The thread that asks is
 * traced too, but for its naps.
 */
struct meter_calls;

/* NULL: the system does not let us, and @why says so. */
struct meter_calls *meter_calls_begin(const struct meter_threads *threads, char why[BENCH_WHY]);
/* So far: of the threads, and of the thread that asks. */
void meter_calls_read(const struct meter_calls *calls, uint64_t *ret_theirs, uint64_t *ret_mine);
void meter_calls_end(struct meter_calls *calls);

#endif
