/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forced.c - many aborts at each point. The trap's signal arrives while the thread is inside, and
 * the kernel must send it to the abort address: every time, and never from a point outside.
 */
#include "torture.h"

#include <stdio.h>

#define ASKED 1000000u
#define FULL_EACH 100000u
#define SLICE_LEAST 1000u

/* An alarm now and then leads a push around the point: traps are counted, not pushes. */
static void force(unsigned way, uint32_t point, uint64_t most, double until)
{
	uint32_t passes = way_reach(way)->passes[WARM][point];
	uint64_t n = 0, before = counts.traps[point];

	cpus_pin(0);
	way_begin(&ways[way]);
	rig_open(NULL, 1u << 20, 64);
	for (; counts.traps[point] - before < most && !rig.wrong; n++) {
		trap_arm(point, (uint32_t)(n % passes), TRAP);
		way_go(&ways[way]);
		wr_torture.at = 0;
		if (n % 64 != 63)
			continue;
		rig_turn();
		area_check(0);
		if (n >= SLICE_LEAST && now() > until)
			break;
		if (n > 4 * most + SLICE_LEAST)
			rig_wrong("the point is hardly ever passed");
	}
	if (rig_close())
		printf("# %s: %s\n", points[point].where, rig.why);
}

void part_forced(void)
{
	uint64_t each = amount() == SOAK ? ASKED : FULL_EACH, least = UINT64_MAX;
	double share = amount_seconds() * 0.3 / POINTS;
	unsigned wrong = 0, missed = 0, astray = 0, unreached = 0;

	for (uint32_t point = 1; point <= POINTS; point++) {
		uint64_t traps = counts.traps[point], aborted = counts.aborted[point];
		int way = way_through(point);

		if (way < 0) {
			unreached++;
			printf("# point %2u: no way leads there on this machine: %s\n", point,
			       points[point].where);
			continue;
		}
		force((unsigned)way, point, each, amount() == SLICE ? now() + share : 1e18);
		wrong += rig.wrong != 0;
		traps = counts.traps[point] - traps;
		aborted = counts.aborted[point] - aborted;
		printf("# point %2u: %8llu traps, %8llu aborts: %s\n", point,
		       (unsigned long long)traps, (unsigned long long)aborted,
		       points[point].where);
		if (points[point].outside) {
			astray += aborted != 0;
		} else {
			missed += aborted != traps;
			if (aborted < least)
				least = aborted;
		}
	}
	tap(!wrong, "identity, order and bytes are exact after all of these");
	tap(!missed, "every trap inside a section aborted it");
	tap(!astray, "no trap before or behind a section aborted anything");
	if (unreached)
		tap_skip("points of the wide copies", "this processor has no AVX2");
	figure("aborts forced at each point", least, ASKED);
}
