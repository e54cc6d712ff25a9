/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_scale - what do rings cost that nobody pushes to?
 *
 *     producer (CPU 0) ──▶ ring of CPU 0 ─┐
 *     producer (CPU 1) ──▶ ring of CPU 1 ─┤
 *                          ring of CPU 2 ─┤   pushed to once, long ago
 *                               ...      ─┴─▶ flusher ──▶ a batch of 64 records, 32 of each
 *
 *     scale/weir/1024r            CPU time of the flusher's thread per batch: it is woken by the
 *                                 threshold, cuts, submits, releases, and goes to sleep
 *     scale/weir-own/1024r        time in weir_run_once() per batch (loop=own): no wake-up in it
 *     scale/weir/memory/384p-2u   PSS of what an engine has mapped, the mirror counted once, when
 *                                 the rings of CPUs 0 and 383 have been filled
 *     scale/weir/memory/ring-idle what one ring more takes that was pushed to once
 *     scale/weir/memory/ring-used likewise, that was filled
 *
 * Few machines have 1,024 CPUs: the other rings are forced, see scale/forced.h. Threads are pinned
 * in any case. Memory is that of a process of its own, and counts the flusher's stack and the heap.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weir/weir.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/pin.h"
#include "scale/forced.h"

#define SHARE 32u     /* records of each producer in a batch */
#define RECORD 64u    /* bytes */
#define BATCHES 100u  /* of a burst */
#define WAIT_NS WEIR_SECONDS(10)
#define MORE_RINGS 64u

struct shape {
	uint32_t rings;
	int own;
};

struct state {
	struct weir *weir;
	const struct shape *shape;
	uint32_t producers;
	_Atomic uint64_t records, batches; /* that came */
	clockid_t flusher;                 /* set before the first batch is counted */
	pthread_t helper;                  /* the producer on CPU 1 */
	sem_t go, gone;
	_Atomic int leave;
};

static const uint8_t record[RECORD];

static void on_batch(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct state *state = arg;

	(void)verdict; /* zeroed: done */
	if (!atomic_load(&state->batches))
		(void)pthread_getcpuclockid(pthread_self(), &state->flusher);
	atomic_fetch_add(&state->batches, 1);
	atomic_fetch_add(&state->records, batch->records);
}

static void push_share(struct state *state)
{
	for (uint32_t i = 0; i < SHARE; i++)
		if (weir_push(state->weir, record, RECORD))
			bench_die("scale: a push was refused");
}

static void *help(void *arg)
{
	struct state *state = arg;

	bench_pin(1);
	for (;;) {
		while (sem_wait(&state->go))
			;
		if (atomic_load(&state->leave))
			return NULL;
		push_share(state);
		sem_post(&state->gone);
	}
}

/* Both producers push their share; the helper is ready when this returns. */
static void push_batch(struct state *state)
{
	sem_post(&state->go);
	if (state->producers > 1)
		push_share(state);
	while (sem_wait(&state->gone))
		;
}

static int wait_for(struct state *state, uint64_t records)
{
	uint64_t until = bench_now() + WAIT_NS;

	while (atomic_load(&state->records) < records) {
		if (bench_now() > until)
			return -ETIMEDOUT;
		sched_yield();
	}
	return 0;
}

/* On the thread of the loop (loop=own). Nothing that was pushed is left behind. */
static int turn(struct state *state, uint64_t records)
{
	uint64_t until = bench_now() + WAIT_NS;

	while (atomic_load(&state->records) < records) {
		int r = weir_run_once(state->weir, 0);

		if (r < 0 || bench_now() > until)
			return r < 0 ? r : -ETIMEDOUT;
	}
	return 0;
}

/* Until what was pushed while rings were forced is out, and no flush is asked for any more. */
static int settle(struct state *state)
{
	int r;

	if (!state->shape->own)
		return weir_flush_wait(state->weir, WAIT_NS);
	r = weir_flush(state->weir);
	while (!r || r == 1) {
		r = weir_run_once(state->weir, 0);
		if (!r)
			return 0;
	}
	return r;
}

/* CPU time of the flusher's thread. */
static uint64_t thread_ns(const struct state *state)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(state->flusher, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void end(void *state_)
{
	struct state *state = state_;

	atomic_store(&state->leave, 1);
	sem_post(&state->go);
	pthread_join(state->helper, NULL);
	(void)weir_close(state->weir, WAIT_NS, NULL);
	(void)weir_free(state->weir);
	sem_destroy(&state->go);
	sem_destroy(&state->gone);
	free(state);
}

static int open_weir(struct state *state, char why[BENCH_WHY])
{
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why reason = { "no memory" };

	weir_config_init(&config);
	config.threshold = SHARE * state->producers;
	config.count_slack = 0;
	config.threshold_bytes = WEIR_OFF;
	config.deadline_ns = WEIR_OFF;
	config.loop = state->shape->own ? WEIR_LOOP_OWN : WEIR_LOOP_THREAD;
	bench_pin(1); /* its first ring, and its flusher */
	if (weir_sink_callback(on_batch, state, &sink) ||
	    weir_open(&config, sink, &state->weir, &reason)) {
		snprintf(why, BENCH_WHY, "%.120s", reason.text);
		return -EINVAL;
	}
	bench_pin(0);
	return 0;
}

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	const struct shape *shape = bench->arg;
	struct state *state = calloc(1, sizeof(*state));
	struct forced forcing = { .rings = shape->rings, .from = FORCED_FROM };

	if (!state)
		bench_die("no memory");
	state->shape = shape;
	state->producers = shape->rings < 2 ? 1 : 2;
	if (bench_cpus() < 2 || open_weir(state, why)) {
		if (!why[0])
			snprintf(why, BENCH_WHY, "wants two CPUs");
		free(state);
		return NULL;
	}
	sem_init(&state->go, 0, 0);
	sem_init(&state->gone, 0, 0);
	if (pthread_create(&state->helper, NULL, help, state))
		bench_die("scale: a thread cannot be started");
	push_batch(state);
	forcing.weir = state->weir;
	forced_run(&forcing);
	if (forced_rings(state->weir) != shape->rings || settle(state)) {
		snprintf(why, BENCH_WHY, "%llu rings could be forced, and flushed",
		         (unsigned long long)forced_rings(state->weir));
		end(state);
		return NULL;
	}
	return state;
}

static int measure(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	uint64_t batches = atomic_load(&state->batches), records = atomic_load(&state->records);
	uint64_t ns = 0, t0;
	int r = 0;

	if (!state->shape->own)
		ns = thread_ns(state);
	for (uint32_t i = 0; i < BATCHES && !r; i++) {
		push_batch(state);
		records += SHARE * state->producers;
		t0 = bench_now();
		r = state->shape->own ? turn(state, records) : wait_for(state, records);
		if (state->shape->own)
			ns += bench_now() - t0;
	}
	if (!state->shape->own)
		ns = thread_ns(state) - ns;
	if (!r && atomic_load(&state->batches) - batches != BATCHES)
		r = -EPROTO;
	if (r)
		snprintf(why, BENCH_WHY, "%u batches were due, %llu came: %s", BATCHES,
		         (unsigned long long)(atomic_load(&state->batches) - batches),
		         strerror(-r));
	values[0] = (double)ns / BATCHES;
	return r;
}

/* KiB of PSS in anonymous memory and in the rings' file: two mappings of a page are one page. */
static double pss(void)
{
	static char line[1024];
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long begin, kib, all = 0;
	int counts = 0;

	if (!file)
		bench_die("/proc/self/smaps: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		int at = 0;

		if (sscanf(line, "%lx-%*x %*s %*s %*s %*s %n", &begin, &at) == 1 && at)
			counts = !line[at] || !strncmp(line + at, "[heap]", 6) ||
			         strstr(line + at, "weir-rings");
		else if (counts && sscanf(line, "Pss: %lu kB", &kib) == 1)
			all += kib;
	}
	fclose(file);
	return (double)all;
}

/* What an engine with rings takes, step by step: a process of its own, so that nothing is used. */
static int weigh(void)
{
	struct forced two = { .from = 383, .filled = 1 };
	struct forced first = { .filled = 1 }, idle = { .from = FORCED_FROM };
	struct forced used = { .from = FORCED_FROM, .filled = MORE_RINGS };
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why why;
	double before, after[3];

	bench_pin(0); /* of the rings that are made at once there is one */
	weir_config_init(&config);
	(void)pss();
	before = pss();
	if (weir_sink_open("null:", &sink, &why) || weir_open(&config, sink, &two.weir, &why))
		bench_die("scale: %s", why.text);
	first.from = (uint32_t)sched_getcpu();
	first.weir = idle.weir = used.weir = two.weir;
	/* Twice round: where a push was interrupted, another fills the place. */
	first.bytes = two.bytes = used.bytes = 2 * config.ring_bytes;
	forced_run(&first);
	forced_run(&two);
	after[0] = pss() - before;
	idle.rings = (uint32_t)forced_rings(two.weir) + MORE_RINGS;
	forced_run(&idle);
	after[1] = pss() - before;
	forced_run(&used);
	after[2] = pss() - before;
	if (forced_rings(two.weir) != idle.rings)
		bench_die("scale: the rings could not be forced");
	printf("%.6g %.6g %.6g\n", after[0] / 1024, (after[1] - after[0]) / MORE_RINGS,
	       (after[2] - after[0]) / MORE_RINGS);
	(void)weir_close(two.weir, WAIT_NS, NULL);
	(void)weir_free(two.weir);
	return 0;
}

static void *begin_memory(const struct bench_case *bench, char why[BENCH_WHY])
{
	double *all = calloc(3, sizeof(*all));
	FILE *child = popen("exec /proc/$PPID/exe weigh", "re");
	int status;

	(void)bench;
	if (!all || !child)
		bench_die("scale: a process cannot be started");
	if (fscanf(child, "%lf %lf %lf", &all[0], &all[1], &all[2]) != 3)
		all[0] = 0;
	status = pclose(child);
	if (all[0] > 0 && !status)
		return all;
	snprintf(why, BENCH_WHY, "the process that weighs an engine failed");
	free(all);
	return NULL;
}

static int measure_memory(void *state, double *values, char why[BENCH_WHY])
{
	(void)why;
	memcpy(values, state, 3 * sizeof(double));
	return 0;
}

static void batches(struct bench_run *run, int own)
{
	static const struct bench_metric metrics[] = { { "", "ns", 0 } };
	static const uint32_t all[] = { 1, 2, 8, 64, 256, 1024 }, few[] = { 1, 2, 64, 1024 };
	const uint32_t *counts = bench_is_quick(run) ? few : all;
	uint32_t count = bench_is_quick(run) ? 4 : 6;
	struct shape shapes[6];
	struct bench_case cases[6];

	for (uint32_t i = 0; i < count; i++) {
		shapes[i] = (struct shape){ counts[i], own };
		cases[i] = (struct bench_case){ .peer = own ? "weir-own" : "weir", .ours = 1,
			.warm = 1, .bursts = bench_is_quick(run) ? 1 : 9, .metrics = metrics,
			.metric_count = 1, .arg = &shapes[i], .begin = begin, .measure = measure,
			.end = end };
		bench_name(cases[i].name, "scale/%s/%ur", cases[i].peer, counts[i]);
	}
	bench_group(run, own ? "scale/batch/own" : "scale/batch", cases, count);
}

static void memory(struct bench_run *run)
{
	static const struct bench_metric metrics[] = { { "384p-2u", "MiB", 0 },
		                                       { "ring-idle", "KiB", 0 },
		                                       { "ring-used", "KiB", 0 } };
	struct bench_case bench = { .name = "scale/weir/memory", .peer = "weir",
		.metrics = metrics, .metric_count = 3, .begin = begin_memory,
		.measure = measure_memory, .end = free };

	bench_group(run, "scale/memory", &bench, 1);
}

int main(int argc, char **argv)
{
	struct bench_run *run;

	if (argc == 2 && !strcmp(argv[1], "weigh"))
		return weigh();
	run = bench_start("scale", argc, argv);
	batches(run, 0);
	batches(run, 1);
	memory(run);
	return bench_finish(run);
}
