/* SPDX-License-Identifier: Apache-2.0 */
/* hist.c - see hist.h. Thread: any, one at a time. */
#include "harness/hist.h"

#include <string.h>

void bench_hist_clear(struct bench_hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

void bench_hist_add(struct bench_hist *to, const struct bench_hist *from)
{
	to->count += from->count;
	if (from->most > to->most)
		to->most = from->most;
	for (uint32_t i = 0; i < BENCH_HIST_CELLS; i++)
		to->cell[i] += from->cell[i];
}

uint64_t bench_hist_lowest(uint32_t index)
{
	uint32_t shift;

	if (index < 2 * BENCH_HIST_STEPS)
		return index;
	shift = index / BENCH_HIST_STEPS - 1;
	return (uint64_t)(BENCH_HIST_STEPS + index % BENCH_HIST_STEPS) << shift;
}

double bench_hist_quantile(const struct bench_hist *hist, double part)
{
	double wanted = part * (double)hist->count, below = 0;

	if (!hist->count)
		return 0;
	for (uint32_t i = 0; i < BENCH_HIST_CELLS; i++) {
		double here = (double)hist->cell[i];

		if (here > 0 && below + here >= wanted) {
			double from = (double)bench_hist_lowest(i);
			double to = (double)bench_hist_lowest(i + 1);
			double value = from + (to - from) * (wanted - below) / here;

			return value < (double)hist->most ? value : (double)hist->most;
		}
		below += here;
	}
	return (double)hist->most;
}
