/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/timers.h - asks the kernel whether a timerfd of this process runs, whoever made it.
 *
 * It knows descriptors by what /proc says of them. Thread: the main one.
 */
#ifndef WEIR_BENCH_TIMERS_H
#define WEIR_BENCH_TIMERS_H

#include <stdint.h>

/* Looks for all timerfds that are open now. */
void bench_timers_find(void);
/* 1: one of them runs and is due between these times, CLOCK_MONOTONIC. */
int bench_timer_runs(uint64_t from_ns, uint64_t to_ns);

#endif
