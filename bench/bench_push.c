/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_push - what does a push cost, beside the bare copy that it cannot do without?
 *
 *     burst of 4 Ki or 64 Ki records, timed           after the burst, not timed
 *     producer 0 (CPU 0) ──▶ [room for the burst] ─┐
 *     producer 1 (CPU 1) ──▶ [room for the burst] ─┴─▶ consumer: adds up every word
 *
 * Nothing is full and no trigger fires inside a burst: the flusher sleeps. The source is pre-
 * filled, or its words are written right before the push ("fresh"), which costs a store-
 * forwarding stall: never compare across the two. push/weir/2p/64B: two producers at once, 64
 * bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness/crew.h"
#include "harness/pin.h"

#define CASES 64u

struct shape {
	const struct peer *peer;
	uint32_t producers, bytes;
	uint64_t records;
	int fresh, pinned;
};

struct state {
	struct crew *crew;
	uint64_t records;
};

static const struct bench_metric metrics[] = { { "", "ns", 0 } };

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	const struct shape *shape = bench->arg;
	struct crew_plan plan = { .peer = shape->peer, .fresh = shape->fresh,
		.pinned = shape->pinned, .room = { .records = shape->records,
			.bytes = shape->bytes, .producers = shape->producers, .eager = 1 } };
	struct state *state = calloc(1, sizeof(*state));
	double ns;

	if (!state)
		bench_die("no memory");
	state->records = shape->records;
	state->crew = crew_open(&plan, why);
	if (!state->crew) {
		free(state);
		return NULL;
	}
	for (int i = 0; i < 3; i++) /* every page of every ring has been used */
		(void)crew_burst(state->crew, shape->records, &ns);
	return state;
}

static int measure(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	int r = crew_burst(state->crew, state->records, values);

	if (r)
		snprintf(why, BENCH_WHY, "a burst found no room");
	return r ? r : crew_check(state->crew, why);
}

static void end(void *state_)
{
	struct state *state = state_;

	crew_close(state->crew);
	free(state);
}

static void group(struct bench_run *run, struct shape shape)
{
	static struct bench_case cases[CASES];
	static struct shape shapes[CASES];
	char title[BENCH_NAME];
	uint32_t count = 0;

	bench_name(title, "push/%up/%uB%s%s%s", shape.producers, shape.bytes,
	         shape.records > 4096 ? "/64Ki" : "", shape.fresh ? "/fresh" : "",
	         shape.pinned ? "" : "/unpinned");
	if (!bench_wants(run, title))
		return;
	for (uint32_t i = 0; i < peer_count && count < CASES; i++) {
		struct bench_case *bench = &cases[count];

		if ((peers[i]->flags & PEER_SLOW) && (bench_is_quick(run) || shape.records > 4096))
			continue;
		shapes[count] = shape;
		shapes[count].peer = peers[i];
		*bench = (struct bench_case){ .peer = peers[i]->name,
			.ours = (peers[i]->flags & PEER_OURS) != 0,
			.bursts = shape.records > 4096 ? 5 : bench_is_quick(run) ? 9 : 21,
			.metrics = metrics, .metric_count = 1, .arg = &shapes[count],
			.begin = begin, .measure = measure, .end = end };
		bench_name(bench->name, "push/%s/%s", peers[i]->name, title + sizeof("push/") - 1);
		count++;
	}
	bench_group(run, title, cases, count);
}

int main(int argc, char **argv)
{
	static const uint32_t all[] = { 8, 16, 64, 256, 1024, 4096 }, few[] = { 8, 64, 256 };
	struct bench_run *run = bench_start("push", argc, argv);
	const uint32_t *sizes = bench_is_quick(run) ? few : all;
	uint32_t count = bench_is_quick(run) ? 3 : 6, most = bench_is_quick(run) ? 2 : bench_cpus();
	struct shape shape = { .pinned = bench_is_pinned(run) };

	most = most < 2 ? 2 : most > CREW_MOST ? CREW_MOST : most;
	for (shape.producers = 1; shape.producers <= most;
	     shape.producers = shape.producers < 2 ? 2 : shape.producers < most ? most : most + 1)
		for (uint32_t i = 0; i < count; i++)
			for (shape.fresh = 0; shape.fresh < (bench_is_quick(run) ? 1 : 2);
			     shape.fresh++) {
				shape.bytes = sizes[i];
				shape.records = 4096;
				group(run, shape);
				shape.records = 65536;
				if (shape.bytes <= 256 && !bench_is_quick(run))
					group(run, shape);
			}
	return bench_finish(run);
}
