/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_trigger - how soon does a sleeping flusher submit, beside a bare thread in epoll?
 *
 *     CPU 0                                        CPU 1, asleep in epoll
 *     threshold   push number 4,096 ─────────────▶ flusher: submit()
 *                 write(eventfd) ────────────────▶ bare thread: epoll_wait() returns
 *     deadline    push, then nothing ─ timerfd ──▶ flusher: submit()
 *                 timerfd_settime(absolute) ─────▶ bare thread: epoll_wait() returns
 *     first-push  the push that finds all idle: what it costs, as it sets the timer, and how soon
 *                 the kernel says that one runs which covers it ("armed"); beside
 *                 timerfd_settime() alone
 *
 * Threshold: from right before the push, or the write. Deadline: from when it was due. Both ends
 * sleep before each round, and nothing else runs; the first of a pair of times is taken after the
 * pushing thread has been awake for a while. Compare only within one run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/weir.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/pin.h"
#include "harness/tick.h"
#include "harness/timers.h"
#include "harness/waiter.h"

#define GAP_NS 250000u  /* and up to as much again: both are asleep by then */
#define AWAKE_NS 30000u /* of the pushing thread, before its clock starts */
#define DEADLINE_NS WEIR_MILLIS(2)
#define FAR_NS WEIR_SECONDS(10)
#define BYTES 64u

enum what { THRESHOLD, DEADLINE, FIRST };

struct shape {
	enum what what;
	uint64_t threshold;
	uint32_t rounds;
	int pinned;
	struct bench_hist *hist;
};

struct rig {
	struct bench_told told;
	const struct shape *shape;
	struct weir *weir;           /* NULL: the bare one */
	struct bench_waiter *waiter; /* NULL: weir */
	_Atomic uint32_t strange;    /* batches that another trigger caused */
	uint32_t round;
	struct bench_hist hist, armed;
};

static void on_batch(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	static const uint32_t causes[] = { WEIR_CAUSE_SIZE, WEIR_CAUSE_DEADLINE,
		                           WEIR_CAUSE_MANUAL };
	struct rig *rig = arg;

	(void)verdict; /* zeroed: done */
	bench_tell(&rig->told, bench_now());
	if (batch->cause != causes[rig->shape->what])
		atomic_fetch_add(&rig->strange, 1);
}

static void open_weir(struct rig *rig)
{
	const struct shape *shape = rig->shape;
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why why;

	weir_config_init(&config);
	config.threshold = shape->what == THRESHOLD ? shape->threshold : WEIR_OFF;
	config.threshold_bytes = WEIR_OFF;
	config.deadline_ns = shape->what == THRESHOLD  ? WEIR_OFF
	                     : shape->what == DEADLINE ? DEADLINE_NS
	                                               : FAR_NS;
	if (weir_sink_callback(on_batch, rig, &sink) ||
	    weir_open(&config, sink, &rig->weir, &why))
		bench_die("weir: %s", why.text);
}

static void push(struct rig *rig)
{
	static const char record[BYTES] = "record";

	if (weir_push(rig->weir, record, sizeof(record)))
		bench_die("weir: a push was refused");
}

/* Both ends go to sleep; the pauses are of different lengths, so as not to fall in with a tick. */
static void rest(struct rig *rig)
{
	rig->round++;
	bench_sleep_until(bench_now() + GAP_NS + rig->round * 7919u % GAP_NS);
}

static void round_threshold(struct rig *rig)
{
	uint64_t t0, at;

	rest(rig);
	atomic_store(&rig->told.ns, 0);
	for (uint64_t i = 1; rig->weir && i < rig->shape->threshold; i++)
		push(rig);
	bench_spin(AWAKE_NS);
	t0 = bench_now();
	if (rig->weir)
		push(rig);
	else
		bench_waiter_wake(rig->waiter);
	at = bench_await(&rig->told);
	if (!at)
		bench_die("nobody woke for a threshold");
	bench_hist_note(&rig->hist, at - t0);
}

static void round_deadline(struct rig *rig)
{
	uint64_t due, at;

	rest(rig);
	atomic_store(&rig->told.ns, 0);
	bench_spin(AWAKE_NS);
	due = bench_now() + DEADLINE_NS;
	if (rig->weir)
		push(rig);
	else
		bench_waiter_set(rig->waiter, due);
	at = bench_await_late(&rig->told, due + 300000);
	if (!at)
		bench_die("nobody woke for a deadline");
	bench_hist_note(&rig->hist, at > due ? at - due : 0);
}

static void round_first(struct rig *rig, double timer)
{
	uint64_t t0, t1, ns, due;

	rest(rig);
	bench_spin(AWAKE_NS);
	ns = bench_now();
	due = ns + FAR_NS;
	t0 = bench_tick();
	if (rig->weir)
		push(rig);
	else
		bench_waiter_set(rig->waiter, due);
	t1 = bench_tick();
	if (!bench_timer_runs(due - 1000000, due + 1000000))
		atomic_fetch_add(&rig->strange, 1);
	ns = bench_now() - ns;
	bench_hist_note(&rig->hist, bench_tick_span(t0, t1, timer));
	bench_hist_note(&rig->armed, ns);
	if (rig->weir && weir_flush_wait(rig->weir, WEIR_SECONDS(5)))
		bench_die("weir: a flush was not done in 5 s");
}

static void go_round(struct rig *rig, uint32_t rounds)
{
	double timer = rig->shape->what == FIRST ? bench_tick_cost() : 0;

	bench_hist_clear(&rig->hist);
	bench_hist_clear(&rig->armed);
	for (uint32_t i = 0; i < rounds; i++) {
		if (rig->shape->what == THRESHOLD)
			round_threshold(rig);
		else if (rig->shape->what == DEADLINE)
			round_deadline(rig);
		else
			round_first(rig, timer);
	}
}

/* The thread that wakes is made on the other CPU. */
static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	struct rig *rig = aligned_alloc(128, (sizeof(*rig) + 127) / 128 * 128);

	(void)why;
	if (!rig)
		bench_die("no memory");
	memset(rig, 0, sizeof(*rig));
	rig->shape = bench->arg;
	bench_tick_init();
	if (rig->shape->pinned)
		bench_pin(1);
	if (bench->ours)
		open_weir(rig);
	else
		rig->waiter = bench_waiter_open(rig->shape->what == THRESHOLD
		                                        ? BENCH_WAITER_EVENT
		                                        : BENCH_WAITER_TIMER, &rig->told);
	if (rig->shape->what == FIRST)
		bench_timers_find();
	if (rig->shape->pinned)
		bench_pin(0);
	go_round(rig, rig->shape->rounds / 10);
	return rig;
}

static int measure(void *state, double *values, char why[BENCH_WHY])
{
	struct rig *rig = state;

	go_round(rig, rig->shape->rounds);
	values[0] = bench_hist_quantile(&rig->hist, 0.5);
	values[1] = bench_hist_quantile(&rig->hist, 0.9);
	values[2] = bench_hist_quantile(&rig->hist, 0.99);
	values[3] = bench_hist_quantile(&rig->armed, 0.5);
	values[4] = bench_hist_quantile(&rig->armed, 0.99);
	bench_hist_add(rig->shape->hist, &rig->hist);
	if (!rig->strange)
		return 0;
	snprintf(why, BENCH_WHY, "%u rounds went another way than they should", rig->strange);
	return -EBADMSG;
}

static void end(void *state)
{
	struct rig *rig = state;

	if (rig->weir) {
		(void)weir_close(rig->weir, WEIR_SECONDS(5), NULL);
		weir_free(rig->weir);
	} else {
		bench_waiter_close(rig->waiter);
	}
	free(rig);
}

static void group(struct bench_run *run, struct shape shape, const char *what, const char *bare)
{
	static const struct bench_metric metrics[] = { { "p50", "ns", 0 },
		                                       { "p90", "ns", 0 },
		                                       { "p99", "ns", 0 },
		                                       { "armed-p50", "ns", 0 },
		                                       { "armed-p99", "ns", 0 } };
	static struct bench_hist hists[2];
	struct shape shapes[2];
	struct bench_case cases[2];
	char title[BENCH_NAME];

	bench_name(title, "trigger/%s%s", what, shape.pinned ? "" : "/unpinned");
	for (int i = 0; i < 2; i++) {
		shapes[i] = shape;
		shapes[i].hist = &hists[i];
		cases[i] = (struct bench_case){ .peer = i ? bare : "weir", .ours = !i,
			.metrics = metrics, .metric_count = shape.what == FIRST ? 5 : 3,
			.arg = &shapes[i], .begin = begin, .measure = measure, .end = end,
			.hist = &hists[i] };
		bench_name(cases[i].name, "trigger/%s/%s", cases[i].peer,
		           title + sizeof("trigger/") - 1);
	}
	bench_group(run, title, cases, 2);
}

int main(int argc, char **argv)
{
	struct bench_run *run = bench_start("trigger", argc, argv);
	uint32_t less = bench_is_quick(run) ? 10 : 1;
	struct shape shape = { .pinned = bench_is_pinned(run), .threshold = 4096 };

	shape.rounds = 1500 / less;
	group(run, shape, "threshold", "eventfd");
	shape.threshold = 64;
	if (!bench_is_quick(run))
		group(run, shape, "threshold-64", "eventfd");
	shape.what = DEADLINE;
	shape.rounds = 600 / less;
	group(run, shape, "deadline", "timerfd");
	shape.what = FIRST;
	shape.rounds = 1000 / less;
	group(run, shape, "first-push", "timerfd");
	return bench_finish(run);
}
