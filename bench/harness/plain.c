/* SPDX-License-Identifier: Apache-2.0 */
/* plain.c - schedule.h without Google Benchmark: each round of blocks in a new random order. */
#include <stdlib.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/schedule.h"

static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed % n);
}

void bench_schedule(const struct bench_entry *entries, uint32_t count, uint32_t blocks)
{
	uint32_t *order = calloc(count ? count : 1, sizeof(*order));

	if (!order)
		bench_die("no memory");
	seed = bench_now() | 1;
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	for (uint32_t block = 0; block < blocks; block++) {
		for (uint32_t i = count; i > 1; i--) {
			uint32_t other = below(i), which = order[other];

			order[other] = order[i - 1];
			order[i - 1] = which;
		}
		for (uint32_t i = 0; i < count; i++) {
			const struct bench_entry *entry = &entries[order[i]];

			entry->begin(entry->arg, block);
			for (uint32_t n = 0; n < entry->bursts; n++)
				(void)entry->burst(entry->arg);
			entry->end(entry->arg);
		}
	}
	free(order);
}

const char *bench_scheduler(void)
{
	return "plain";
}
