/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_quiet - what does an engine cost that has little or nothing to do?
 *
 *     nothing, or one record a second, 100, 10,000 ──▶ engine: wakes, flushes, sleeps
 *                                                        │
 *              its threads: times woken, CPU time, system calls, each per second
 *
 * quiet/weir/idle wakes for nothing; quiet/weir/100hz for each record's deadline, 5 ms after it.
 * "poll-1s" is a list under a lock and a thread that looks at it each second, so that a record may
 * wait that long; "poll-5ms" is the same looking as often as weir's deadline demands.
 *
 * Wake-ups are the voluntary switches that the kernel counts for the threads which the engine made;
 * "engine" are those that weir counts itself. System calls are counted by tracing, in groups of
 * their own (quiet/calls/...), since tracing costs time: "flusher" are those of its threads,
 * "producer" those that a push makes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/weir.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/meter.h"
#include "harness/pin.h"

#define DEADLINE_NS WEIR_MILLIS(5)
#define THRESHOLD 4096u
#define BYTES 64u

struct shape {
	uint64_t poll_ns; /* 0: weir */
	uint32_t rate;    /* records per second */
	uint64_t window_ns;
	int calls, pinned;
};

/* A list under a lock, and a thread that looks at it. */
struct polled {
	pthread_mutex_t lock;
	pthread_cond_t leave;
	pthread_t thread;
	uint64_t poll_ns, first_ns, flushed;
	int leaving;
	uint32_t count;
	char records[THRESHOLD][BYTES];
};

struct state {
	const struct shape *shape;
	struct weir *weir;
	struct polled *polled;
	struct meter_threads threads; /* that it made */
	struct meter_calls *calls;
};

static void flush(struct polled *polled)
{
	polled->flushed += polled->count;
	polled->count = 0;
}

static void *poll_list(void *arg)
{
	struct polled *polled = arg;
	uint64_t at = bench_now();

	pthread_mutex_lock(&polled->lock);
	while (!polled->leaving) {
		struct timespec until;

		at += polled->poll_ns;
		until = (struct timespec){ (time_t)(at / 1000000000u), (long)(at % 1000000000u) };
		while (!polled->leaving && bench_now() < at)
			(void)pthread_cond_timedwait(&polled->leave, &polled->lock, &until);
		if (polled->count && bench_now() - polled->first_ns >= DEADLINE_NS)
			flush(polled);
	}
	pthread_mutex_unlock(&polled->lock);
	return NULL;
}

static struct polled *open_polled(uint64_t poll_ns)
{
	struct polled *polled = calloc(1, sizeof(*polled));
	pthread_condattr_t clock;

	if (!polled)
		bench_die("no memory");
	polled->poll_ns = poll_ns;
	pthread_mutex_init(&polled->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&polled->leave, &clock);
	pthread_condattr_destroy(&clock);
	if (pthread_create(&polled->thread, NULL, poll_list, polled))
		bench_die("no thread");
	return polled;
}

static void close_polled(struct polled *polled)
{
	pthread_mutex_lock(&polled->lock);
	polled->leaving = 1;
	pthread_cond_signal(&polled->leave);
	pthread_mutex_unlock(&polled->lock);
	pthread_join(polled->thread, NULL);
	pthread_cond_destroy(&polled->leave);
	pthread_mutex_destroy(&polled->lock);
	free(polled);
}

static void push_polled(struct polled *polled, const char record[BYTES])
{
	pthread_mutex_lock(&polled->lock);
	if (!polled->count)
		polled->first_ns = bench_now();
	memcpy(polled->records[polled->count++], record, BYTES);
	if (polled->count == THRESHOLD)
		flush(polled);
	pthread_mutex_unlock(&polled->lock);
}

static struct weir *open_weir(void)
{
	struct weir_config config;
	struct weir_sink *sink;
	struct weir *weir;
	struct weir_why why = { "no memory" };

	weir_config_init(&config);
	config.threshold = THRESHOLD;
	config.deadline_ns = DEADLINE_NS;
	if (weir_sink_open("null:", &sink, &why) || weir_open(&config, sink, &weir, &why))
		bench_die("weir: %s", why.text);
	return weir;
}

static void push(struct state *state)
{
	static const char record[BYTES] = "record";

	if (!state->weir)
		push_polled(state->polled, record);
	else if (weir_push(state->weir, record, sizeof(record)))
		bench_die("weir: a push was refused");
}

/* At its rate, for a window; the first push after half an interval. */
static void pass(struct state *state)
{
	const struct shape *shape = state->shape;
	uint64_t t0 = bench_now(), count = shape->rate * shape->window_ns / 1000000000u;

	for (uint64_t i = 0; i < count; i++) {
		bench_sleep_until(t0 + (2 * i + 1) * 500000000u / shape->rate);
		push(state);
	}
	bench_sleep_until(t0 + shape->window_ns);
}

static void end(void *state_)
{
	struct state *state = state_;

	if (state->calls)
		meter_calls_end(state->calls);
	if (state->polled)
		close_polled(state->polled);
	if (state->weir) {
		(void)weir_close(state->weir, WEIR_SECONDS(5), NULL);
		weir_free(state->weir);
	}
	free(state);
}

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	struct state *state = calloc(1, sizeof(*state));
	struct meter_threads before;

	if (!state)
		bench_die("no memory");
	state->shape = bench->arg;
	meter_threads(NULL, &before);
	if (state->shape->pinned)
		bench_pin(1);
	if (state->shape->poll_ns)
		state->polled = open_polled(state->shape->poll_ns);
	else
		state->weir = open_weir();
	if (state->shape->pinned)
		bench_pin(0);
	meter_threads(&before, &state->threads);
	push(state); /* it has been used */
	bench_sleep_until(bench_now() + 4 * DEADLINE_NS);
	if (state->shape->calls) {
		state->calls = meter_calls_begin(&state->threads, why);
		if (!state->calls) {
			end(state);
			return NULL;
		}
	}
	return state;
}

static uint64_t engine_wakeups(const struct state *state)
{
	struct weir_stats stats = { .size = sizeof(stats) };

	if (!state->weir)
		return 0;
	(void)weir_stats(state->weir, &stats);
	return stats.wakeups_trigger + stats.wakeups_completion + stats.wakeups_sink +
	       stats.wakeups_control;
}

static int measure(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	double seconds = (double)state->shape->window_ns / 1e9;
	uint64_t woken = engine_wakeups(state);
	struct meter_use before, after;

	(void)why;
	meter_use(&state->threads, &before);
	pass(state);
	meter_use(&state->threads, &after);
	values[0] = (double)(after.wakeups - before.wakeups) / seconds;
	values[1] = (double)(after.cpu_ns - before.cpu_ns) / 1e3 / seconds;
	values[2] = (double)(engine_wakeups(state) - woken) / seconds;
	return 0;
}

static int measure_calls(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	double seconds = (double)state->shape->window_ns / 1e9;
	uint64_t theirs, mine, theirs_after, mine_after;

	(void)why;
	meter_calls_read(state->calls, &theirs, &mine);
	pass(state);
	meter_calls_read(state->calls, &theirs_after, &mine_after);
	values[0] = (double)(theirs_after - theirs) / seconds;
	values[1] = (double)(mine_after - mine) / seconds;
	return 0;
}

static void group(struct bench_run *run, uint32_t rate, int calls)
{
	static const struct bench_metric used[] = { { "wakeups", "1/s", 0 },
		                                    { "cpu", "us/s", 0 },
		                                    { "engine", "1/s", 0 } };
	static const struct bench_metric called[] = { { "flusher", "1/s", 0 },
		                                      { "producer", "1/s", 0 } };
	static const struct { const char *peer; uint64_t poll_ns; } peers[] = {
		{ "weir", 0 }, { "poll-5ms", DEADLINE_NS }, { "poll-1s", 1000000000 } };
	/* The third needs a whole second, and tells little. */
	uint32_t count = rate && (calls || bench_is_quick(run)) ? 2 : 3;
	uint64_t window_ms = bench_is_quick(run) ? 150 : 200;
	struct bench_case cases[3];
	struct shape shapes[3];
	char title[BENCH_NAME], speed[24] = "idle";

	if (rate)
		snprintf(speed, sizeof(speed), "%uhz", rate);
	bench_name(title, "quiet/%s%s%s", calls ? "calls/" : "", speed,
	           bench_is_pinned(run) ? "" : "/unpinned");
	for (uint32_t i = 0; i < count; i++) {
		uint64_t ms = rate == 1 || i == 2 ? 1000 : window_ms;

		shapes[i] = (struct shape){ peers[i].poll_ns, rate, WEIR_MILLIS(ms), calls,
			                    bench_is_pinned(run) };
		cases[i] = (struct bench_case){ .peer = peers[i].peer,
			.ours = !i && rate > 1 && !calls, .metrics = calls ? called : used,
			.metric_count = calls || i ? 2 : 3, .arg = &shapes[i],
			.begin = begin, .measure = calls ? measure_calls : measure, .end = end };
		bench_name(cases[i].name, "quiet/%s%s/%s", calls ? "calls/" : "", peers[i].peer,
		           title + sizeof("quiet/") - 1 + (calls ? sizeof("calls/") - 1 : 0));
	}
	bench_group(run, title, cases, count);
}

int main(int argc, char **argv)
{
	static const uint32_t rates[] = { 0, 1, 100, 10000 };
	struct bench_run *run = bench_start("quiet", argc, argv);

	if (bench_is_quick(run)) {
		group(run, 0, 0);
		group(run, 100, 0);
		return bench_finish(run);
	}
	for (int calls = 0; calls < 2; calls++)
		for (uint32_t i = 0; i < 4; i++)
			group(run, rates[i], calls);
	return bench_finish(run);
}
