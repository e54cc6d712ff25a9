/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/hist.h - a histogram of nanoseconds: 64 steps per power of two, error below 1.6 %.
 *
 * It knows numbers. Thread: one writer; bench_hist_add() takes the writers' together.
 */
#ifndef WEIR_BENCH_HIST_H
#define WEIR_BENCH_HIST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_HIST_STEPS 64u
#define BENCH_HIST_CELLS (BENCH_HIST_STEPS * 40u) /* up to 2^45 ns: ten hours */

struct bench_hist {
	uint64_t count, most;
	uint64_t cell[BENCH_HIST_CELLS];
};

static inline uint32_t bench_hist_index(uint64_t ns)
{
	uint32_t shift, index;

	if (ns < 2 * BENCH_HIST_STEPS)
		return (uint32_t)ns;
	shift = 63u - (uint32_t)__builtin_clzll(ns) - 6u;
	index = (shift + 1) * BENCH_HIST_STEPS + (uint32_t)((ns >> shift) - BENCH_HIST_STEPS);
	return index < BENCH_HIST_CELLS ? index : BENCH_HIST_CELLS - 1;
}

/* @count times the same. */
static inline void bench_hist_note_many(struct bench_hist *hist, uint64_t ns, uint64_t count)
{
	hist->count += count;
	if (ns > hist->most)
		hist->most = ns;
	hist->cell[bench_hist_index(ns)] += count;
}

static inline void bench_hist_note(struct bench_hist *hist, uint64_t ns)
{
	bench_hist_note_many(hist, ns, 1);
}

void bench_hist_clear(struct bench_hist *hist);
void bench_hist_add(struct bench_hist *to, const struct bench_hist *from);
/* The least value that has this index; of BENCH_HIST_CELLS, where the last cell ends. */
uint64_t bench_hist_lowest(uint32_t index);
/* The value that @part (0..1) of all do not exceed, with linear interpolation within a cell. */
double bench_hist_quantile(const struct bench_hist *hist, double part);

#ifdef __cplusplus
}
#endif

#endif
