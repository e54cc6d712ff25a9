/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/bench.h - what a bench in C needs of Google Benchmark.
 *
 * A case is a burst: setup() once, then burst() again and again, timed by itself, on `threads`
 * threads at once; rest() after each burst is not timed. Cases of one program are run interleaved
 * in random order, several repetitions each; medians are compared within the run, never across
 * runs.
 */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_case {
	const char *name;     /* topology: push/weir/1p/64B */
	const char *baseline; /* name of the case that it is compared with, or NULL */
	uint64_t items;       /* records of one burst of one thread */
	uint32_t threads;
	uint32_t bytes;
	void *(*setup)(const struct bench_case *bench); /* NULL: this machine cannot run it */
	/* Nanoseconds that the timed part took on this thread. */
	uint64_t (*burst)(void *state, uint32_t thread);
	void (*rest)(void *state, uint32_t thread);
	void (*teardown)(void *state);
};

/* Runs them all and prints a table of medians and ratios. Returns the exit code. */
int bench_run(const struct bench_case *cases, uint32_t count, int argc, char **argv);

static inline uint64_t bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#ifdef __cplusplus
}
#endif

#endif
