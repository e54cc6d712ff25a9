/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix.c - every way of pushing, at every point that it passes, from normal positions and from
 * just below where the words wrap, with everything that may happen there. Each combination is an
 * engine of its own and some pushes, two of which are disturbed.
 */
#include "torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_BYTES 65536u
#define THRESHOLD 4096u /* so that a warm push does not meet the alarm, on a second ring neither */
#define TRIES 8
#define PUSHED 40u /* points behind the commit */
#define PUT 63u
#define PUT_BEGINS 42u
#define COMBINATIONS_LEAST 1200u

struct position {
	const char *name;
	uint64_t bytes, count; /* where the disturbed push shall pass; 0: nowhere in particular */
	uint32_t epoch;
};
static const struct position positions[] = {
	{ "from the beginning", 0, 0, 0 },
	{ "over the ring's end", RING_BYTES, 0, 0 },
	{ "over 2^31", 1ull << 31, 1ull << 31, 0 },
	{ "over 2^32", 1ull << 32, 1ull << 32, 0 },
	{ "over the ring's end, 2^31 records and the last epoch", 7 * RING_BYTES, 1ull << 31,
	  (1u << 27) - 1 },
};
#define POSITIONS (sizeof(positions) / sizeof(positions[0]))
#define EACH_WAY ((uint32_t)(POINTS * 15 * WARMTHS * POSITIONS * HAPPENINGS))

struct combination {
	uint8_t way, position, point, skip, happening, warmth;
};
static struct combination *all;
static uint32_t all_count;

static struct start start_of(const struct combination *c)
{
	const struct position *position = &positions[c->position];
	const struct reach *reach = way_reach(c->way);
	int first = c->warmth == WARM; /* which lets a push go by on each ring */
	struct start start = { .epoch = position->epoch };

	if (position->bytes)
		start.position = (uint32_t)(position->bytes - 8 - (first ? reach->bytes : 0));
	if (position->count)
		start.count = (uint32_t)(position->count - 1 - (first ? reach->records : 0));
	return start;
}

/*
 * One push is disturbed. It is tried again when it was led around the point, by an alarm or by what a
 * handler pushed, or when the machine itself preempted the section before the trap was reached.
 */
static int disturb(const struct combination *c)
{
	const struct way *way = &ways[c->way];
	const uint64_t *happened = c->happening >= DELAY ? &wr_torture.hits : &counts.traps[c->point];
	uint64_t before = *happened;

	for (int i = 0; i < TRIES && *happened == before && !rig.wrong; i++) {
		if (i)
			rig_drain();
		if (i || c->warmth == COLD)
			way_prepare(way, (enum warmth)c->warmth);
		/* The limit of a ring that was just begun may stop the second push of a large record. */
		for (int j = 1; j < i && c->warmth == WARM; j++)
			way_prepare(way, WARM);
		if (c->happening == TRAP_CPUSET)
			cpuset_to(-1);
		trap_arm(c->point, c->skip, (enum happening)c->happening);
		way_go(way);
		trap_settle();
		wr_torture.at = 0;
		wr_torture.skip = 0;
	}
	return *happened != before;
}

/* 0: nothing was wrong; 1: nor was it, but the point was not passed; -1 */
static int try(const struct combination *c)
{
	const struct way *way = &ways[c->way];
	struct start start = start_of(c);
	uint64_t traps = counts.traps[c->point], aborted = counts.aborted[c->point];
	int around = 0;

	cpus_pin(0);
	way_begin(way);
	rig_open(&start, RING_BYTES, THRESHOLD);
	rig.strict = c->point != PUSHED && c->point != PUT;
	if (c->warmth == WARM)
		way_prepare(way, WARM);
	for (int i = 0; i < 2; i++) {
		around |= !disturb(c);
		/* Back to where the disturbed push began. */
		if (way->moves && c->happening == TRAP_MOVE)
			way_again(way);
	}
	way_go(way);
	traps = counts.traps[c->point] - traps;
	aborted = counts.aborted[c->point] - aborted;
	if (aborted != (points[c->point].outside ? 0 : traps))
		rig_wrong("the kernel aborted the section %llu times of %llu",
		          (unsigned long long)aborted, (unsigned long long)traps);
	area_check(way->moves || (c->happening >= TRAP_MOVE && c->happening <= TRAP_AWAY) ||
	                           c->happening == TRAP_CPUSET
	                   ? -1
	                   : 0);
	if (c->happening == TRAP_CPUSET)
		cpuset_to(-1);
	if (rig_close() == 0)
		return around;
	printf("# %s, %s, %s, %s (passage %u), %s: %s\n", way->name,
	       c->warmth == COLD ? "cold" : "warm", positions[c->position].name,
	       points[c->point].where, c->skip + 1u, happening_names[c->happening], rig.why);
	return -1;
}

/* What a combination costs decides how many of its kind there are. */
static int wanted(const struct combination *c)
{
	unsigned n = c->way * 31u + c->point * 7u + c->skip;

	if (c->happening == TRAP_CPUSET)
		return n % 8 == 0;
	if (c->happening == DELAY_LONG || c->happening == DELAY_TURN)
		return n % 16 == 0;
	return c->skip < 3 || n % 4 == 0;
}

/* The @i-th of all that could be, taken apart. */
static struct combination nth(unsigned way, uint32_t i)
{
	struct combination c = { .way = (uint8_t)way };

	c.happening = (uint8_t)(i % HAPPENINGS);
	i /= HAPPENINGS;
	c.position = (uint8_t)(i % POSITIONS);
	i /= POSITIONS;
	c.warmth = (uint8_t)(i % WARMTHS);
	i /= WARMTHS;
	c.skip = (uint8_t)(i % 15);
	c.point = (uint8_t)(i / 15 + 1);
	return c;
}

static void enumerate(void)
{
	for (int pass = 0; pass < 2; pass++) {
		all_count = 0;
		for (unsigned way = 0; way < ways_count; way++) {
			if (!way_possible(&ways[way]))
				continue;
			for (uint32_t i = 0; i < EACH_WAY; i++) {
				struct combination c = nth(way, i);

				if (c.skip >= way_reach(way)->passes[c.warmth][c.point] ||
				    !happening_possible((enum happening)c.happening) ||
				    !wanted(&c))
					continue;
				if (pass)
					all[all_count] = c;
				all_count++;
			}
		}
		if (!pass)
			all = calloc(all_count, sizeof(*all));
		if (!all)
			abort();
	}
}

/* In an order of their own, so that a slice has some of everything. */
static void shuffle(uint64_t seed)
{
	for (uint32_t i = all_count - 1; i > 0; i--) {
		struct combination swap = all[i];
		uint32_t j;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		j = (uint32_t)((seed >> 33) % (i + 1));
		all[i] = all[j];
		all[j] = swap;
	}
}

/* One of each point and happening comes first, however little time there is. */
static void first_each(void)
{
	uint32_t met[POINTS + 1][HAPPENINGS];
	uint32_t front = 0;

	memset(met, 0, sizeof(met));
	for (uint32_t i = 0; i < all_count; i++) {
		struct combination swap = all[i];

		if (met[swap.point][swap.happening]++)
			continue;
		all[i] = all[front];
		all[front++] = swap;
	}
}

void part_matrix(void)
{
	const char *text = getenv("WEIR_TORTURE_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)(now() * 1e6);
	double until = now() + amount_seconds() * 0.35;
	uint32_t done = 0, wrong = 0, around = 0, of_happening[HAPPENINGS] = { 0 };
	uint8_t seen[POINTS + 1] = { 0 };
	uint32_t never = 0;

	enumerate();
	shuffle(seed);
	first_each();
	printf("# WEIR_TORTURE_SEED=%llu\n", (unsigned long long)seed);
	for (; done < all_count && wrong < 10; done++) {
		if (amount() == SLICE && done >= COMBINATIONS_LEAST + around && now() > until)
			break;
		int r = try(&all[done]);

		wrong += r < 0;
		around += r > 0;
		of_happening[all[done].happening]++;
		seen[all[done].point] |= r == 0;
	}
	for (int i = 0; i < HAPPENINGS; i++)
		printf("# %6u combinations with %s\n", of_happening[i], happening_names[i]);
	for (uint32_t point = 1; point <= POINTS; point++) {
		never += !seen[point];
		if (!seen[point])
			printf("# not passed: point %u, %s\n", point, points[point].where);
	}
	tap(!wrong, "whatever happens at whatever point: identity, order and bytes are exact "
	            "(%u of %u combinations)", done, all_count);
	tap(!never || all_count < COMBINATIONS_LEAST, "each point was passed by some combination "
	                                              "(%u were not)", never);
	/* Where a machine preempts all the time, a way may have seemed to pass a point. */
	tap(around * 50 <= done, "few combinations were led around their point (%u)", around);
	tap(done - around >= COMBINATIONS_LEAST || wrong, "at least %u combinations", COMBINATIONS_LEAST);
	if (*cpuset_begin())
		tap_skip("a change of the CPU set at the points", cpuset_begin());
	else if (cpus_count() < 2)
		tap_skip("moves and CPU sets at the points", "there is one CPU only");
	else
		tap(of_happening[TRAP_CPUSET] > 0, "changes of the CPU set were among them");
	figure("combinations", done - around, COMBINATIONS_LEAST);
	cpuset_end();
	free(all);
}

/* For mutants: few ways, all of their points, what bites most. */
int part_quick(void)
{
	static const enum happening bites[] = { TRAP_PUSH, TRAP_AWAY, TRAP_MOVE_PUSH, TRAP_MOVE,
		                              TRAP_TURN, DELAY };
	static const uint8_t some[] = { 4, 14, 18, 20, 21 };

	rig_patience = 3;
	for (int by_put = 0; by_put < 2; by_put++)
		if (scene_full(by_put) || scene_crossed(by_put, by_put) || scene_no_ring(by_put))
			return -1;
	if (scene_urgent() || ways_wrong)
		return -1;
	/* A section that is always left early passes few points, and would be left alone. */
	if (!way_reach(4)->passes[WARM][PUSHED] || way_reach(4)->passes[WARM][PUT] ||
	    way_reach(14)->passes[WARM][PUT_BEGINS] != 1) {
		printf("# a warm push does not take the short way\n");
		return -1;
	}
	for (unsigned i = 0; i < sizeof(some); i++) {
		if (!way_possible(&ways[some[i]]))
			continue;
		for (uint32_t n = 0; n < POINTS * 12; n++) {
			struct combination c = {
				.way = some[i], .point = (uint8_t)(n / 12 + 1),
				.skip = n % 2, .happening = (uint8_t)bites[n / 2 % 6],
			};

			c.position = (n / 2 + c.point) % 2 ? 3 : 0;
			c.warmth = c.happening == DELAY || c.happening == TRAP_AWAY ? COLD : WARM;
			if (c.skip < way_reach(c.way)->passes[c.warmth][c.point] &&
			    happening_possible((enum happening)c.happening) && try(&c) < 0)
				return -1;
		}
	}
	return 0;
}
