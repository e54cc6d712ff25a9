/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/tick.h - the time between two places of one thread, for spans of some nanoseconds.
 *
 * It is the processor's own counter, where the kernel trusts it too: clock_gettime() reads the same
 * one, fences it more and converts what it read, so a pair of it costs more, and less of what is
 * measured should be the clock. Each read waits for what stands before it. Elsewhere it is
 * clock_gettime(). What a pair costs is measured, with nothing in between, by bench_tick_cost(); a
 * counter that steps by 10 ns at a time makes spans multiples of that.
 *
 * It knows one counter. Thread: any; bench_tick_init() once, the main one.
 */
#ifndef WEIR_BENCH_TICK_H
#define WEIR_BENCH_TICK_H

#include <stdint.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "harness/clock.h"

/* Set by bench_tick_init(): ns of a tick, and whether ticks are the counter's. */
extern double bench_tick_ns;
extern int bench_tick_counts;

/* Chooses the counter, and finds out how long a tick is. Takes 20 ms the first time. */
void bench_tick_init(void);
/* "rdtscp", "cntvct", "clock_gettime" */
const char *bench_tick_name(void);
/* Ticks that a pair of reads with nothing in between takes: the mean of some thousands, without
 * those that were interrupted. */
double bench_tick_cost(void);

static inline uint64_t bench_tick(void)
{
#if defined(__x86_64__)
	unsigned cpu;

	if (bench_tick_counts)
		return __rdtscp(&cpu);
#elif defined(__aarch64__)
	uint64_t ticks;

	if (bench_tick_counts) {
		__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
		return ticks;
	}
#endif
	return bench_now();
}

/* ns between two reads, less @cost ticks; 0 when that is less than nothing. */
static inline uint64_t bench_tick_span(uint64_t begin, uint64_t end, double cost)
{
	double ticks = end > begin ? (double)(end - begin) - cost : 0;

	return ticks > 0 ? (uint64_t)(ticks * bench_tick_ns + 0.5) : 0;
}

#endif
