/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_delivery - how long after it was meant to be pushed has a record been delivered?
 *
 *     CPU 0                                     CPU 1
 *     schedule, drawn beforehand ──▶ push ──▶ [gathers] ──▶ the sink has it: now
 *            └──────────────── latency: now - the time intended ────────────┘
 *
 * delivery/weir/poisson/1000hz: arrivals at random, a thousand a second in the mean. "bursts": the
 * same number, all in a tenth of the time. The rate goes up until nobody keeps up: there the
 * latency is that of a queue which grows, and records are refused. "lag" is what the generator was
 * late by itself, which is part of the latency; a run in which it was too much is done again, and
 * after the third time the row says so and has no numbers.
 *
 * "weir" gathers 4,096 records or 5 ms, as "seed" is meant to; "weir-now" has a deadline of 0, and
 * stands beside "mutex", whose consumer is woken by the first record.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/dest.h"
#include "harness/openloop.h"
#include "harness/pin.h"
#include "rivals/peer.h"

#define TRIES 3
#define SETTLE_NS UINT64_C(10000000000)
#define MOST 4000000u /* records of a run */

struct shape {
	const struct dest *dest;
	struct dest_plan plan;
	struct openloop_plan load;
	int pinned;
	struct bench_hist *hist;
};

struct state {
	struct dest_out out;
	const struct shape *shape;
	void *dest;
	uint64_t accepted, sum; /* that went in */
	uint64_t seed, count, *at;
	uint8_t record[DEST_BYTES];
	struct openloop_report report;
};

static int push(void *arg, uint64_t intended_ns)
{
	struct state *state = arg;
	int r;

	memcpy(state->record, &intended_ns, sizeof(intended_ns));
	r = state->shape->dest->push(state->dest, state->record);
	if (!r) {
		state->accepted++;
		state->sum += peer_sum_of(state->record, DEST_BYTES);
	}
	return r;
}

static int settle(struct state *state, char why[BENCH_WHY])
{
	int r = dest_settle(&state->out, state->accepted, SETTLE_NS);

	if (!r && state->sum == state->out.sum)
		return 0;
	snprintf(why, BENCH_WHY, "%llu records went in and %llu came out, sum %s",
	         (unsigned long long)state->accepted, (unsigned long long)state->out.records,
	         state->sum == state->out.sum ? "equal" : "wrong");
	return r ? r : -EBADMSG;
}

static void end(void *state_)
{
	struct state *state = state_;

	state->shape->dest->close(state->dest);
	free(state->at);
	free(state);
}

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	struct state *state = aligned_alloc(128, (sizeof(*state) + 127) / 128 * 128);

	if (!state)
		bench_die("no memory");
	memset(state, 0, sizeof(*state));
	state->shape = bench->arg;
	state->at = malloc(MOST * sizeof(*state->at));
	if (!state->at)
		bench_die("no memory");
	state->seed = bench_now();
	for (uint32_t i = 8; i < DEST_BYTES; i++)
		state->record[i] = (uint8_t)(i * 37);
	if (state->shape->pinned)
		bench_pin(1);
	state->dest = state->shape->dest->open(&state->shape->plan, &state->out);
	if (state->shape->pinned)
		bench_pin(0);
	/* Twice round its room: every page has been used. It is a multiple of the threshold. */
	while (state->accepted < 2 * DEST_ROOM)
		if (push(state, bench_now()))
			bench_sleep_until(bench_now() + 50000);
	if (!settle(state, why))
		return state;
	end(state);
	return NULL;
}

static int measure(void *state_, double *values, char why[BENCH_WHY])
{
	static const double parts[] = { 0.5, 0.9, 0.99, 0.999 };
	struct state *state = state_;
	struct openloop_plan load = state->shape->load;
	int valid = -ECANCELED, r = 0;

	for (int i = 0; valid && !r && i < TRIES; i++) {
		load.seed = state->seed++;
		state->count = openloop_draw(&load, state->at, MOST);
		bench_hist_clear(&state->out.latency);
		openloop_run(state->at, state->count, push, state, &state->report);
		valid = openloop_check(&state->report, why);
		r = settle(state, why);
	}
	if (valid || r)
		return r ? r : valid;
	why[0] = 0; /* of a run that was done again */
	for (uint32_t i = 0; i < 4; i++)
		values[i] = bench_hist_quantile(&state->out.latency, parts[i]);
	values[4] = (double)state->out.latency.most;
	values[5] = bench_hist_quantile(&state->report.own, 0.99);
	values[6] = 100 * (double)state->report.refused / (double)(state->count + !state->count);
	bench_hist_add(state->shape->hist, &state->out.latency);
	return 0;
}

struct asked {
	const char *name;
	const struct dest *dest;
	struct dest_plan plan;
};

static void group(struct bench_run *run, enum openloop_shape shape, uint32_t rate, uint64_t ns)
{
	static const struct bench_metric metrics[] = {
		{ "p50", "ns", 0 },   { "p90", "ns", 0 }, { "p99", "ns", 0 },
		{ "p99.9", "ns", 0 }, { "max", "ns", 0 }, { "lag-p99", "ns", 0 },
		{ "refused", "%", 0 } };
	static const struct asked asked[] = { { "weir", &dest_weir, { 4096, 5000000 } },
		                              { "weir-now", &dest_weir, { 4096, 0 } },
		                              { "mutex", &dest_mutex, { 0, 0 } },
		                              { "seed", &dest_seed, { 4096, 5000000 } } };
	static struct bench_hist hists[4];
	uint32_t count = bench_is_quick(run) && rate > 100000 ? 3 : 4;
	struct bench_case cases[4];
	struct shape shapes[4];
	char title[BENCH_NAME];

	bench_name(title, "delivery/%s/%uhz%s", shape == OPENLOOP_POISSON ? "poisson" : "bursts",
	           rate, bench_is_pinned(run) ? "" : "/unpinned");
	for (uint32_t i = 0; i < count; i++) {
		shapes[i] = (struct shape){ asked[i].dest, asked[i].plan,
			                    { shape, rate, ns, 0 }, bench_is_pinned(run),
			                    &hists[i] };
		cases[i] = (struct bench_case){ .peer = asked[i].name,
			.ours = asked[i].dest == &dest_weir && (rate > 100 || !i),
			.metrics = metrics, .metric_count = 7, .arg = &shapes[i], .begin = begin,
			.measure = measure, .end = end, .hist = &hists[i] };
		bench_name(cases[i].name, "delivery/%s/%s", asked[i].name,
		           title + sizeof("delivery/") - 1);
	}
	bench_group(run, title, cases, count);
}

int main(int argc, char **argv)
{
	static const uint32_t rates[] = { 1000, 100000, 1000000, 4000000, 16000000 };
	struct bench_run *run = bench_start("delivery", argc, argv);

	if (bench_is_quick(run)) {
		group(run, OPENLOOP_POISSON, 100000, 50000000);
		group(run, OPENLOOP_POISSON, 1000000, 50000000);
		return bench_finish(run);
	}
	group(run, OPENLOOP_POISSON, 10, 1000000000);
	for (uint32_t i = 0; i < 5; i++)
		group(run, OPENLOOP_POISSON, rates[i], 200000000);
	for (uint32_t i = 0; i < 3; i++)
		group(run, OPENLOOP_BURSTS, rates[i], 200000000);
	return bench_finish(run);
}
