/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/schedule.h - who runs when: blocks, interleaved in random order.
 *
 * Two files offer it: gbench.cc, with Google Benchmark's repetitions and random interleaving, and
 * plain.c, for a machine that has no Google Benchmark. Thread: the main one.
 */
#ifndef WEIR_BENCH_SCHEDULE_H
#define WEIR_BENCH_SCHEDULE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_entry {
	const char *name;
	uint32_t bursts; /* of a block */
	void *arg;
	/* One block is begin(), so many burst()s and end(). burst() answers the ns it took. */
	void (*begin)(void *arg, uint32_t block);
	double (*burst)(void *arg);
	void (*end)(void *arg);
};

/* Runs each of them @blocks times. */
void bench_schedule(const struct bench_entry *entries, uint32_t count, uint32_t blocks);
/* What does it: "Google Benchmark 1.7.1", "plain". */
const char *bench_scheduler(void);

#ifdef __cplusplus
}
#endif

#endif
