/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_machine - what does this machine ask for the things that no engine can do without?
 *
 *     line      CPU 0 writes ─▶ CPU 1 sees it, writes ─▶ CPU 0 sees it: half of that
 *     eventfd   write() on CPU 0 ─▶ a thread in epoll on CPU 1 has woken
 *     timerfd   an absolute time ─▶ a thread in epoll on CPU 1 has woken: how late
 *     clock     two readings of the clock, or of the processor's counter, with nothing in between
 *     call      the shortest system call
 *
 * The other questions measure the wake-ups again beside weir; here they stand for themselves.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/pin.h"
#include "harness/tick.h"
#include "harness/waiter.h"

#define TRIPS 1000u
#define READINGS 20000u
#define GAP_NS 250000u  /* and up to as much again: the thread that waits is asleep by then */
#define AWAKE_NS 30000u /* of the thread that wakes, before its clock starts */
#define AHEAD_NS 2000000u

enum what { LINE, EVENTFD, TIMERFD, GETTIME, COUNTER, CALL };

struct shape {
	enum what what;
	uint32_t rounds;
	int pinned;
	struct bench_hist *hist;
};

struct rig {
	_Alignas(128) _Atomic uint32_t turn; /* odd: it is the other thread's */
	_Alignas(128) _Atomic int leave;
	struct bench_told told;
	const struct shape *shape;
	pthread_t thread;
	struct bench_waiter *waiter;
	struct bench_hist hist;
};

static void *answer(void *arg)
{
	struct rig *rig = arg;

	for (uint32_t mine = 1;; mine += 2) {
		while (atomic_load_explicit(&rig->turn, memory_order_acquire) != mine)
			if (atomic_load_explicit(&rig->leave, memory_order_relaxed))
				return NULL;
		atomic_store_explicit(&rig->turn, mine + 1, memory_order_release);
	}
}

static double one_way(struct rig *rig)
{
	uint32_t turn = atomic_load(&rig->turn);
	uint64_t t0 = bench_now();

	for (uint32_t i = 0; i < TRIPS; i++, turn += 2) {
		atomic_store_explicit(&rig->turn, turn + 1, memory_order_release);
		while (atomic_load_explicit(&rig->turn, memory_order_acquire) != turn + 2)
			;
	}
	return (double)(bench_now() - t0) / TRIPS / 2;
}

static double gettime(void)
{
	uint64_t t0 = bench_now(), t1 = t0;

	for (uint32_t i = 0; i < READINGS; i++)
		t1 = bench_now();
	return (double)(t1 - t0) / READINGS;
}

static double system_call(void)
{
	uint64_t t0 = bench_now();

	for (uint32_t i = 0; i < READINGS; i++)
		(void)syscall(SYS_getppid);
	return (double)(bench_now() - t0) / READINGS;
}

static void wake(struct rig *rig, uint32_t round)
{
	uint64_t from, at;

	bench_sleep_until(bench_now() + GAP_NS + round * 7919u % GAP_NS);
	atomic_store(&rig->told.ns, 0);
	bench_spin(AWAKE_NS);
	from = bench_now();
	if (rig->shape->what == EVENTFD) {
		bench_waiter_wake(rig->waiter);
		at = bench_await(&rig->told);
	} else {
		from += AHEAD_NS;
		bench_waiter_set(rig->waiter, from);
		at = bench_await_late(&rig->told, from + 300000);
	}
	if (!at)
		bench_die("a thread in epoll did not wake");
	bench_hist_note(&rig->hist, at > from ? at - from : 0);
}

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	struct rig *rig = aligned_alloc(128, (sizeof(*rig) + 127) / 128 * 128);

	if (!rig)
		bench_die("no memory");
	memset(rig, 0, sizeof(*rig));
	rig->shape = bench->arg;
	bench_tick_init();
	if (rig->shape->what == LINE && bench_cpus() < 2) {
		strcpy(why, "one CPU only");
		free(rig);
		return NULL;
	}
	if (rig->shape->pinned || rig->shape->what == LINE)
		bench_pin(1);
	if (rig->shape->what == LINE && pthread_create(&rig->thread, NULL, answer, rig))
		bench_die("no thread that answers");
	if (rig->shape->what == EVENTFD || rig->shape->what == TIMERFD)
		rig->waiter = bench_waiter_open(rig->shape->what == EVENTFD ? BENCH_WAITER_EVENT
		                                                            : BENCH_WAITER_TIMER,
		                                &rig->told);
	if (rig->shape->pinned || rig->shape->what == LINE)
		bench_pin(0);
	return rig;
}

static int measure(void *state, double *values, char why[BENCH_WHY])
{
	struct rig *rig = state;

	(void)why;
	if (rig->shape->what == LINE)
		values[0] = one_way(rig);
	else if (rig->shape->what == GETTIME)
		values[0] = gettime();
	else if (rig->shape->what == COUNTER)
		values[0] = bench_tick_cost() * bench_tick_ns;
	else if (rig->shape->what == CALL)
		values[0] = system_call();
	if (!rig->waiter)
		return 0;
	bench_hist_clear(&rig->hist);
	for (uint32_t i = 0; i < rig->shape->rounds; i++)
		wake(rig, i);
	values[0] = bench_hist_quantile(&rig->hist, 0.5);
	values[1] = bench_hist_quantile(&rig->hist, 0.9);
	values[2] = bench_hist_quantile(&rig->hist, 0.99);
	bench_hist_add(rig->shape->hist, &rig->hist);
	return 0;
}

static void end(void *state)
{
	struct rig *rig = state;

	if (rig->waiter)
		bench_waiter_close(rig->waiter);
	atomic_store(&rig->leave, 1);
	if (rig->shape->what == LINE)
		pthread_join(rig->thread, NULL);
	if (!rig->shape->pinned)
		bench_unpin();
	free(rig);
}

static void group(struct bench_run *run, const char *title, const char *const *names,
                  struct shape shape, uint32_t count)
{
	static const struct bench_metric one[] = { { "", "ns", 0 } };
	static const struct bench_metric three[] = { { "p50", "ns", 0 },
		                                     { "p90", "ns", 0 },
		                                     { "p99", "ns", 0 } };
	static struct bench_hist hists[2];
	struct bench_case cases[2];
	struct shape shapes[2];
	int wakes = shape.what == EVENTFD;

	for (uint32_t i = 0; i < count; i++) {
		shapes[i] = shape;
		shapes[i].what = (enum what)((uint32_t)shape.what + i);
		shapes[i].hist = &hists[i];
		cases[i] = (struct bench_case){ .peer = names[i], .bursts = wakes ? 1 : 21,
			.metrics = wakes ? three : one, .metric_count = wakes ? 3 : 1,
			.arg = &shapes[i], .begin = begin, .measure = measure, .end = end,
			.hist = wakes ? &hists[i] : NULL };
		bench_name(cases[i].name, "machine/%s", names[i]);
	}
	bench_group(run, title, cases, count);
}

int main(int argc, char **argv)
{
	static const char *const line[] = { "line" }, *const wakes[] = { "eventfd", "timerfd" },
	                  *const call[] = { "call" };
	const char *clocks[] = { "clock_gettime", "counter" };
	struct bench_run *run = bench_start("machine", argc, argv);
	struct shape shape = { .pinned = bench_is_pinned(run),
		               .rounds = bench_is_quick(run) ? 40 : 600 };

	bench_tick_init();
	if (bench_tick_counts)
		clocks[1] = bench_tick_name();
	group(run, "machine/line", line, shape, 1);
	shape.what = EVENTFD;
	group(run, "machine/wake", wakes, shape, 2);
	shape.what = GETTIME;
	group(run, "machine/clock", clocks, shape, bench_tick_counts ? 2 : 1);
	shape.what = CALL;
	group(run, "machine/call", call, shape, 1);
	return bench_finish(run);
}
