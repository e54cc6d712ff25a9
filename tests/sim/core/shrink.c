/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shrink.c - the shortest command that still fails: kinds of fault left out one after the other,
 * fewer lives, producers and records, and the fewest steps.
 *
 * Each try is the whole seed again with other options, and must fail in the same words but for
 * their numbers. Kinds have streams of numbers of their own, so most of a seed stays as it was.
 */
#include "sim/core/sim.h"

#include <inttypes.h>
#include <string.h>

static struct outcome last;
static char wanted[sizeof(last.why)]; /* the failure that is shrunk, without its numbers */
static uint32_t tries;

static void without_numbers(const char *why, char *to)
{
	for (; *why; why++)
		if (*why < '0' || *why > '9')
			*to++ = *why;
	*to = 0;
}

static int fails(uint64_t seed)
{
	struct outcome one;
	char why[sizeof(one.why)];

	tries++;
	run_child(seed, &one);
	without_numbers(one.why, why);
	if (!wanted[0])
		memcpy(wanted, why, sizeof(wanted));
	if (!one.failed || strcmp(why, wanted) != 0)
		return 0;
	last = one;
	return 1;
}

/* The smallest value of *at that still fails, by halving; 0 means as the seed says. */
static void fewest(uint64_t seed, uint64_t *at, uint64_t from)
{
	uint64_t low = 0, high = from, before = *at;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		*at = middle;
		if (fails(seed))
			high = middle;
		else
			low = middle;
	}
	*at = high < from ? high : before;
}

static void print_command(uint64_t seed)
{
	const char *between = " --off ";

	printf("weir sim --seed %" PRIu64, seed);
	if (options.sink)
		printf(" --sink '%s'", options.sink);
	if (options.sink_so)
		printf(" --sink-so '%s'", options.sink_so);
	if (options.steps)
		printf(" --steps %" PRIu64, options.steps);
	if (options.producers)
		printf(" --producers %" PRIu64, options.producers);
	if (options.records)
		printf(" --records %" PRIu64, options.records);
	if (options.lives)
		printf(" --lives %" PRIu64, options.lives);
	for (uint32_t i = 0; i < F_KINDS; i++) {
		if (!options.off[i])
			continue;
		printf("%s%s", between, fault_kinds[i].name);
		between = ",";
	}
	putchar('\n');
}

int shrink(const struct run *run, uint64_t seed)
{
	(void)run;
	if (!fails(seed)) {
		printf("seed %" PRIu64 " does not fail\n", seed);
		return 0;
	}
	/* Only kinds that the seed has are worth a try. */
	plan_make(seed);
	for (uint32_t i = 0; i < F_KINDS; i++) {
		if (!faults[i].ppm)
			continue;
		options.off[i] = 1;
		if (!fails(seed))
			options.off[i] = 0;
	}
	plan_make(seed);
	fewest(seed, &options.lives, plan.lives);
	fewest(seed, &options.producers, plan.producers);
	fewest(seed, &options.records, plan.records);
	fewest(seed, &options.steps, plan.steps);
	(void)fails(seed);
	printf("shrunk in %u tries: %s\n", tries, last.why);
	print_command(seed);
	return 1;
}
