/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_seed - do the two triggers keep their word, and how late are they?
 *
 *     2 or 3 records ──▶ ring ──▶ threshold 3 reached, or the first is 2 s old ──▶ one batch
 *                                  └── late: from that moment to submit() ────────────┘
 *
 * Scenarios that either pass or fail: exactly the batches that are due, with all their records and
 * the right cause, none early and none later than LATE_MAX_NS. One that fails ends the program with
 * status 1. `bench_seed trickle` runs that one alone.
 *
 *     size        3 of 3 records: at once               timer    2 of 10 records: after 2 s
 *     bottleneck  3 of 10 records: after 3 s            trickle  3 of 10 records: after 2 s
 *     both        3 of 3, then 2 of 3, then 3 of 3: at once, after 2 s, at once
 *
 * Mostly this waits, so a round runs all scenarios at once, in SETS engines each that begin
 * STAGGER_NS apart, and gives each case SETS values.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/weir.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/pin.h"

#define SETS 3u
#define STEPS 3u
#define VALUES 128u
#define STAGGER_NS WEIR_MILLIS(7)
#define LATE_MAX_NS WEIR_MILLIS(500) /* half of what a timer that looks each second may be */
#define AFTER_NS WEIR_MILLIS(50)     /* time for a batch that should not be */

struct step {
	uint64_t records;
	uint32_t cause;
};

struct scenario {
	const char *name;
	uint64_t threshold, deadline_ns;
	uint32_t steps;
	struct step step[STEPS]; /* the next begins when the batch of the one before is there */
	uint32_t made, taken;
	int failed;
	char why[BENCH_WHY];
	double late_us[VALUES]; /* the latest of its batches */
	double at_s[VALUES];    /* from its first push to its first batch */
};

static struct scenario scenarios[] = {
	{ .name = "size", .threshold = 3, .deadline_ns = WEIR_SECONDS(300), .steps = 1,
	  .step = { { 3, WEIR_CAUSE_SIZE } } },
	{ .name = "timer", .threshold = 10, .deadline_ns = WEIR_SECONDS(2), .steps = 1,
	  .step = { { 2, WEIR_CAUSE_DEADLINE } } },
	{ .name = "bottleneck", .threshold = 10, .deadline_ns = WEIR_SECONDS(3), .steps = 1,
	  .step = { { 3, WEIR_CAUSE_DEADLINE } } },
	{ .name = "both", .threshold = 3, .deadline_ns = WEIR_SECONDS(2), .steps = 3,
	  .step = { { 3, WEIR_CAUSE_SIZE }, { 2, WEIR_CAUSE_DEADLINE }, { 3, WEIR_CAUSE_SIZE } } },
	{ .name = "trickle", .threshold = 10, .deadline_ns = WEIR_SECONDS(2), .steps = 1,
	  .step = { { 3, WEIR_CAUSE_DEADLINE } } },
};
#define SCENARIOS ((uint32_t)(sizeof(scenarios) / sizeof(scenarios[0])))

static const struct bench_metric metrics[] = { { "late", "us", 0 }, { "at", "s", 0 } };
static const char *const causes[] = { "none", "size", "bytes", "deadline", "urgent", "pressure",
	                              "manual", "shutdown" };

/* One engine that plays one scenario. */
struct play {
	struct scenario *scenario;
	struct weir *weir;
	uint64_t begin_ns;          /* not before */
	uint32_t pushed, done;      /* steps */
	uint64_t first_ns[STEPS];   /* before its first push */
	uint64_t last_ns[STEPS];    /* before its last push */
	_Atomic uint32_t batches;   /* what follows is written before it is raised */
	uint64_t at_ns[STEPS + 1], records[STEPS + 1];
	uint32_t cause[STEPS + 1];
};

static int pinned;

static void on_batch(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	uint64_t now = bench_now();
	struct play *play = arg;
	uint32_t n = atomic_load(&play->batches);

	(void)verdict; /* zeroed: done */
	if (n > STEPS)
		return;
	play->at_ns[n] = now;
	play->records[n] = batch->records;
	play->cause[n] = batch->cause;
	atomic_store(&play->batches, n + 1);
}

static void open_play(struct play *play, struct scenario *scenario, uint64_t begin_ns)
{
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why why = { "no memory" };

	memset(play, 0, sizeof(*play));
	play->scenario = scenario;
	play->begin_ns = begin_ns;
	weir_config_init(&config);
	config.threshold = scenario->threshold;
	config.threshold_bytes = WEIR_OFF;
	config.deadline_ns = scenario->deadline_ns;
	if (weir_sink_callback(on_batch, play, &sink) ||
	    weir_open(&config, sink, &play->weir, &why))
		bench_die("seed: %s", why.text);
}

static int fail(struct scenario *scenario, uint32_t step, const char *what)
{
	scenario->failed = 1;
	if (!scenario->why[0])
		snprintf(scenario->why, BENCH_WHY, "step %u: %s", step + 1, what);
	return -EPROTO;
}

static void push_step(struct play *play)
{
	const struct step *step = &play->scenario->step[play->pushed];

	play->first_ns[play->pushed] = bench_now();
	for (uint64_t i = 0; i < step->records; i++) {
		play->last_ns[play->pushed] = bench_now();
		if (weir_push(play->weir, "an alert", 8))
			bench_die("seed: a push was refused");
	}
	play->pushed++;
}

/* When the batch of a step is due. */
static uint64_t due_ns(const struct play *play, uint32_t step)
{
	return play->scenario->step[step].cause == WEIR_CAUSE_SIZE
	               ? play->last_ns[step]
	               : play->first_ns[step] + play->scenario->deadline_ns;
}

/* What is to be done now. 1: the play is over. */
static int go_on(struct play *play)
{
	uint64_t now = bench_now();
	uint32_t batches = atomic_load(&play->batches);

	if (now < play->begin_ns)
		return 0;
	play->done = batches < play->pushed ? batches : play->pushed;
	if (play->done == play->scenario->steps)
		return 1;
	if (play->done == play->pushed)
		push_step(play);
	else if (now > due_ns(play, play->done) + LATE_MAX_NS)
		return 1;
	return 0;
}

/* What has come, step for step. */
static int judge(const struct play *play, double *ret_late_us, double *ret_at_s)
{
	struct scenario *scenario = play->scenario;
	uint32_t batches = atomic_load(&play->batches);
	char what[BENCH_WHY / 2];
	double worst = 0;

	for (uint32_t i = 0; i < scenario->steps; i++) {
		const struct step *step = &scenario->step[i];
		int64_t late;

		if (i >= batches)
			return fail(scenario, i, "no batch came in time");
		late = (int64_t)(play->at_ns[i] - due_ns(play, i));
		if (play->records[i] != step->records || play->cause[i] != step->cause) {
			snprintf(what, sizeof(what), "a batch of %" PRIu64 ", cause %s",
			         play->records[i],
			         play->cause[i] < WEIR_CAUSES ? causes[play->cause[i]] : "?");
			return fail(scenario, i, what);
		}
		if (late < 0 || late > (int64_t)LATE_MAX_NS) {
			snprintf(what, sizeof(what), "late by %" PRId64 " us", late / 1000);
			return fail(scenario, i, what);
		}
		worst = (double)late > worst ? (double)late : worst;
	}
	if (batches > scenario->steps)
		return fail(scenario, scenario->steps - 1, "more batches came than were due");
	*ret_late_us = worst / 1000;
	*ret_at_s = (double)(play->at_ns[0] - play->first_ns[0]) / 1e9;
	return 0;
}

static void take_down(struct play *play)
{
	struct scenario *scenario = play->scenario;
	uint32_t n = scenario->made;

	(void)weir_close(play->weir, WEIR_SECONDS(5), NULL);
	weir_free(play->weir);
	if (n < VALUES && !judge(play, &scenario->late_us[n], &scenario->at_s[n]))
		scenario->made++;
}

static void round_of(const struct bench_run *run)
{
	static struct play plays[SETS * SCENARIOS];
	struct timespec nap = { 0, 1000000 };
	uint32_t count = 0, over;
	uint64_t begin;

	if (pinned)
		bench_pin(bench_cpus() > 1 ? 1 : 0);
	begin = bench_now() + STAGGER_NS;
	for (uint32_t set = 0; set < SETS; set++)
		for (uint32_t i = 0; i < SCENARIOS; i++) {
			char title[BENCH_NAME];

			bench_name(title, "seed/%s", scenarios[i].name);
			if (!bench_wants(run, title))
				continue;
			open_play(&plays[count], &scenarios[i], begin + count * STAGGER_NS);
			count++;
		}
	if (pinned)
		bench_pin(0);
	do {
		over = 0;
		for (uint32_t i = 0; i < count; i++)
			over += go_on(&plays[i]) != 0;
		nanosleep(&nap, NULL);
	} while (over < count);
	bench_sleep_until(bench_now() + AFTER_NS);
	for (uint32_t i = 0; i < count; i++)
		take_down(&plays[i]);
}

static struct bench_run *the_run;

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	struct scenario *scenario = &scenarios[*(const uint32_t *)bench->arg];

	(void)why;
	if (scenario->taken == scenario->made && !scenario->failed)
		round_of(the_run);
	return scenario;
}

static int measure(void *state, double *values, char why[BENCH_WHY])
{
	struct scenario *scenario = state;

	if (scenario->failed || scenario->taken >= scenario->made) {
		snprintf(why, BENCH_WHY, "%s", scenario->failed ? scenario->why : "no value");
		return -EPROTO;
	}
	values[0] = scenario->late_us[scenario->taken];
	values[1] = scenario->at_s[scenario->taken++];
	return 0;
}

static void end(void *state)
{
	(void)state;
}

/* A line for people: the rows have the figures. */
static void say(const struct scenario *scenario)
{
	if (scenario->failed) {
		fprintf(stderr, "bench: seed/%s: FAIL, %s\n", scenario->name, scenario->why);
		return;
	}
	for (uint32_t i = 0; i < scenario->taken; i++)
		fprintf(stderr, "bench: seed/%s: pass, %" PRIu64 " records in one batch, cause %s, "
		        "at %.6f s, late by %.0f us\n", scenario->name, scenario->step[0].records,
		        causes[scenario->step[0].cause], scenario->at_s[i], scenario->late_us[i]);
}

int main(int argc, char **argv)
{
	static char filter[] = "--filter";
	char *args[64];
	int count = 0;

	for (int i = 0; i < argc && count < 62; i++) {
		if (i && !strcmp(argv[i], "trickle") && strcmp(argv[i - 1], "--filter"))
			args[count++] = filter;
		args[count++] = argv[i];
	}
	the_run = bench_start("seed", count, args);
	pinned = bench_is_pinned(the_run);
	for (uint32_t i = 0; i < SCENARIOS; i++) {
		struct scenario *scenario = &scenarios[i];
		struct bench_case bench = { .peer = "weir", .metrics = metrics, .metric_count = 2,
			.arg = &i, .begin = begin, .measure = measure, .end = end };
		char title[BENCH_NAME];

		bench_name(title, "seed/%s", scenario->name);
		bench_name(bench.name, "seed/weir/%s", scenario->name);
		bench_group(the_run, title, &bench, 1);
		if (scenario->taken || scenario->failed)
			say(scenario);
	}
	return bench_finish(the_run);
}
