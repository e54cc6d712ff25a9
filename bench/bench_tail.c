/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_tail - how long can one push take, while everybody pushes as fast as he can?
 *
 *     read the counter ─▶ push ─▶ read the counter      all at once, for a while
 *     producer 0 (CPU 0) ──▶ [room] ─┐
 *     producer 1 (CPU 1) ──▶ [room] ─┴─▶ consumer (CPU 1): adds up every word
 *     producers 2, 3, ...: on CPU 0, 1, ... in turn
 *
 * tail/weir/4p/65536: four producers, a flush every 65,536 records. More producers than CPUs are
 * oversubscription: one that was preempted inside its push is late by a time slice, and so is
 * whoever has to wait for it. A push that finds no room is not timed but counted ("refused"); its
 * producer yields.
 *
 * The timer's own cost, measured anew before each block, is taken off every push. tail/timer/...
 * states it: "timer" is what is taken off, and the percentiles are those of a push that does
 * nothing, timed alike under the same load, with nothing taken off.
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness/crew.h"
#include "harness/tick.h"

#define CASES 64u
#define BYTES 64u
#define WARM_NS 10000000
#define WARM_RUNS 6 /* at most */

struct shape {
	const struct peer *peer;
	uint32_t producers;
	uint64_t threshold, run_ns;
	int pinned;
	struct bench_hist *hist;
};

struct state {
	const struct shape *shape;
	struct crew *crew;
	double timer_ns;
	struct bench_hist hist; /* of this block */
};

static const struct bench_metric metrics[] = { { "p50", "ns", 0 },     { "p99", "ns", 0 },
	                                       { "p99.9", "ns", 0 },   { "p99.99", "ns", 0 },
	                                       { "max", "ns", 0 },     { "load", "M records/s", 1 },
	                                       { "refused", "%", 0 },  { "timer", "ns", 0 } };
#define METRICS (sizeof(metrics) / sizeof(metrics[0]))

static void *nothing_open(const struct peer_room *room, char why[BENCH_WHY])
{
	(void)why;
	return (void *)(uintptr_t)room;
}

static void *nothing_join(void *peer, uint32_t producer)
{
	(void)producer;
	return peer;
}

static uint64_t nothing_push(void *producer, struct peer_source *source, uint64_t count)
{
	(void)producer;
	source->pushed.records += count;
	return count;
}

static void nothing_end(void *peer)
{
	(void)peer;
}

static const struct peer nothing = { .name = "timer", .package = "", .page = "bench/README.md",
	.flags = PEER_FLOOR, .open = nothing_open, .join = nothing_join, .push = nothing_push,
	.leave = nothing_end, .close = nothing_end };

/*
 * Once round every ring, so that each page has been used. Time bounds it, and not a number of
 * records: where commits wait in order, a few thousand can take seconds.
 */
static void warm_up(struct state *state)
{
	struct crew_rates rates;

	for (int i = 0; i < WARM_RUNS && state->hist.count < 8 * state->shape->threshold; i++)
		(void)crew_run(state->crew, WARM_NS, &rates);
}

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	const struct shape *shape = bench->arg;
	struct state *state = calloc(1, sizeof(*state));
	struct crew_plan plan = { .peer = shape->peer, .pinned = shape->pinned,
		.room = { .records = 2 * shape->threshold, .bytes = BYTES,
			.producers = shape->producers, .threshold = shape->threshold } };

	if (!state)
		bench_die("no memory");
	bench_tick_init();
	state->shape = shape;
	state->timer_ns = bench_tick_cost() * bench_tick_ns;
	plan.hist = &state->hist;
	plan.timer_ticks = shape->peer == &nothing ? 0 : state->timer_ns / bench_tick_ns;
	state->crew = crew_open(&plan, why);
	if (!state->crew) {
		free(state);
		return NULL;
	}
	warm_up(state);
	return state;
}

static int measure(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	struct bench_hist *hist = &state->hist;
	struct crew_rates rates;

	bench_hist_clear(hist);
	(void)crew_run(state->crew, state->shape->run_ns, &rates);
	values[0] = bench_hist_quantile(hist, 0.5);
	values[1] = bench_hist_quantile(hist, 0.99);
	values[2] = bench_hist_quantile(hist, 0.999);
	values[3] = bench_hist_quantile(hist, 0.9999);
	values[4] = (double)hist->most;
	values[5] = rates.records_per_s / 1e6;
	values[6] = 100 * (double)rates.refused / (double)(hist->count + rates.refused);
	values[7] = state->timer_ns;
	bench_hist_add(state->shape->hist, hist);
	return crew_check(state->crew, why);
}

static void end(void *state_)
{
	struct state *state = state_;

	crew_close(state->crew);
	free(state);
}

/* 4,096: whom the threshold concerns, and the strongest of those whom it does not. */
static int is_asked(const struct peer *peer, uint64_t threshold, int quick)
{
	static const char *const gather[] = { "spsc", "mutex", "seed" };
	int asked = threshold == 65536 || (peer->flags & PEER_OURS);

	for (size_t i = 0; i < sizeof(gather) / sizeof(gather[0]); i++)
		asked = asked || !strcmp(peer->name, gather[i]);
	if (quick && peer->flags & (PEER_SLOW | PEER_FIXED))
		return 0;
	return asked && !(peer->flags & PEER_FLOOR);
}

static void group(struct bench_run *run, uint32_t producers, uint64_t threshold)
{
	static struct bench_case cases[CASES];
	static struct shape shapes[CASES];
	static struct bench_hist hists[CASES];
	int quick = bench_is_quick(run);
	char title[BENCH_NAME];
	uint32_t count = 0;

	bench_name(title, "tail/%up/%llu%s", producers, (unsigned long long)threshold,
	           bench_is_pinned(run) ? "" : "/unpinned");
	if (!bench_wants(run, title))
		return;
	for (uint32_t i = 0; i <= peer_count && count < CASES; i++) {
		const struct peer *peer = i < peer_count ? peers[i] : &nothing;

		if (peer != &nothing && !is_asked(peer, threshold, quick))
			continue;
		shapes[count] = (struct shape){ peer, producers, threshold,
			                        quick ? 20000000 : 50000000, bench_is_pinned(run),
			                        &hists[count] };
		cases[count] = (struct bench_case){ .peer = peer->name,
			.ours = (peer->flags & PEER_OURS) != 0, .metrics = metrics,
			.metric_count = METRICS - (peer != &nothing), .arg = &shapes[count],
			.begin = begin, .measure = measure, .end = end, .hist = &hists[count] };
		bench_name(cases[count].name, "tail/%s/%s", peer->name,
		           title + sizeof("tail/") - 1);
		count++;
	}
	bench_group(run, title, cases, count);
}

int main(int argc, char **argv)
{
	static const uint32_t all[] = { 1, 2, 4, 8 };
	struct bench_run *run = bench_start("tail", argc, argv);

	if (bench_is_quick(run)) {
		group(run, 4, 65536);
		return bench_finish(run);
	}
	for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		group(run, all[i], 65536);
		group(run, all[i], 4096);
	}
	return bench_finish(run);
}
