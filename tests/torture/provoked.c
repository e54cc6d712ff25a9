/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provoked.c - what interrupts a section in life, while it stays at a point: a timer's signal, a
 * signal from another thread, another thread that changes its affinity or CPU set, an rseq
 * membarrier, a thread of higher priority on its CPU.
 */
#include "torture.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ASKED 10000u
#define FULL_EACH 1000u
#define LOOPS_MOST (1u << 20)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum provocation { TIMER, AFFINITY, BARRIER, PREEMPTION, SIGNAL, CPUSET, PROVOCATIONS };
static const char *const names[PROVOCATIONS] = {
	[TIMER] = "timer",
	[AFFINITY] = "affinity",
	[BARRIER] = "membarrier",
	[PREEMPTION] = "preemption",
	[SIGNAL] = "signal",
	[CPUSET] = "cpuset",
};

/* The thread that pushes, as the one that disturbs it sees it. */
static struct {
	volatile struct wr_torture *torture;
	pthread_t thread;
	pid_t tid;
	enum provocation by;
	_Atomic uint32_t ends;
} victim;

static void on_nothing(int number)
{
	(void)number;
}

static void pin_other(pid_t tid, int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus_id(n), &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

static void disturb(int *turn)
{
	switch (victim.by) {
	case AFFINITY:
		++*turn;
		pin_other(victim.tid, *turn);
		pin_other(0, *turn + 1);
		break;
	case BARRIER:
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0);
		break;
	case SIGNAL:
		pthread_kill(victim.thread, SIGUSR1);
		break;
	case CPUSET:
		cpuset_to(++*turn);
		break;
	default:
		break;
	}
}

/*
 * Looks again and again whether the victim stays at a point, and disturbs it there, once each time.
 * Where that is allowed it has a higher priority, so that it is there in time on a busy machine; on
 * the victim's own CPU its waking alone is the preemption.
 */
static void *disturber(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	struct timespec nap = { 0, 10000 };
	uint64_t done = 0;
	int turn = 0;

	(void)arg;
	if (victim.by != CPUSET)
		cpus_pin(victim.by == PREEMPTION ? 0 : 1);
	(void)sched_setscheduler(0, SCHED_FIFO, &param);
	while (!atomic_load(&victim.ends)) {
		uint64_t hits = victim.torture->hits;

		if (hits != done && victim.torture->inside) {
			done = hits;
			disturb(&turn);
		}
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static int timer_make(timer_t *ret)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };

	event.sigev_notify_thread_id = victim.tid;
	return timer_create(CLOCK_MONOTONIC, &event, ret) < 0 ? -errno : 0;
}

/* Pushes by @way until @most sections were aborted while they stayed at @point. */
static uint64_t provoke(unsigned way, uint32_t point, timer_t timer, uint64_t most, double until)
{
	static uint32_t loops[PROVOCATIONS];
	struct itimerspec soon = { .it_value = { 0, 10000 } }, never = { 0 };
	uint64_t n = 0, tries = 0;

	if (!loops[victim.by])
		loops[victim.by] = 1u << 14;
	way_begin(&ways[way]);
	rig_open(NULL, 1u << 20, 64);
	rig.may_cap = 1;
	for (; n < most && !rig.wrong; tries++) {
		uint64_t aborts = wr_torture.aborts;

		trap_arm(point, (uint32_t)(tries % way_reach(way)->passes[WARM][point]), TRAP);
		wr_torture.loops = loops[victim.by];
		if (victim.by == TIMER)
			timer_settime(timer, 0, &soon, NULL);
		way_go(&ways[way]);
		wr_torture.at = 0;
		if (wr_torture.inside == point && wr_torture.aborts != aborts)
			n++;
		else if (tries > 16 && n < tries / 2 && loops[victim.by] < LOOPS_MOST)
			loops[victim.by] += loops[victim.by] / 16;
		wr_torture.inside = 0;
		if (victim.by == TIMER)
			timer_settime(timer, 0, &never, NULL);
		if (tries % 64 == 63)
			rig_turn();
		if ((n && now() > until) || (tries > n * 64 + 100000))
			break;
	}
	area_check(-1);
	if (rig_close())
		printf("# %s, %s: %s\n", names[victim.by], points[point].where, rig.why);
	return n;
}

static const char *impossible(enum provocation by)
{
	if (cpus_count() < 2 && by != TIMER && by != PREEMPTION)
		return "there is one CPU only";
	if (by == CPUSET)
		return cpuset_begin();
	if (by == PREEMPTION) {
		struct sched_param param = { .sched_priority = 1 }, back = { .sched_priority = 0 };

		if (sched_setscheduler(0, SCHED_FIFO, &param) < 0)
			return "no real-time priority is allowed (CAP_SYS_NICE)";
		sched_setscheduler(0, SCHED_OTHER, &back);
	}
	return "";
}

static void provoke_by(enum provocation by, uint64_t each, double seconds)
{
	uint64_t least = UINT64_MAX, sum = 0;
	uint64_t of[POINTS + 1] = { 0 };
	pthread_t thread;
	timer_t timer = 0;
	unsigned wrong = 0, inside = 0;

	victim.torture = &wr_torture;
	victim.thread = pthread_self();
	victim.tid = (pid_t)syscall(SYS_gettid);
	victim.by = by;
	atomic_store(&victim.ends, 0);
	if (by == CPUSET)
		cpus_pin(-1);
	else
		cpus_pin(0);
	if (by == TIMER ? timer_make(&timer)
	                : pthread_create(&thread, NULL, disturber, NULL)) {
		tap(0, "%s: it could not be set up", names[by]);
		return;
	}
	for (uint32_t point = 1; point <= POINTS; point++)
		inside += !points[point].outside && way_through(point) >= 0;
	for (uint32_t point = 1; point <= POINTS; point++) {
		int way = way_through(point);

		if (points[point].outside || way < 0)
			continue;
		of[point] = provoke((unsigned)way, point, timer, each,
		                    now() + (seconds > 0 ? seconds / inside : 1e9));
		wrong += rig.wrong != 0;
		sum += of[point];
		if (of[point] < least)
			least = of[point];
	}
	atomic_store(&victim.ends, 1);
	if (by == TIMER)
		timer_delete(timer);
	else
		pthread_join(thread, NULL);
	if (by == CPUSET)
		cpuset_to(-1);
	printf("# %s, aborts at each point:", names[by]);
	for (uint32_t point = 1; point <= POINTS; point++)
		if (!points[point].outside)
			printf(" %u:%llu", point, (unsigned long long)of[point]);
	printf("\n");
	tap(!wrong, "%s: identity, order and bytes are exact after %llu aborts", names[by],
	    (unsigned long long)sum);
	tap(least > 0, "%s: sections were aborted at each point (at least %llu times)", names[by],
	    (unsigned long long)least);
	if (by <= PREEMPTION) {
		char what[64];

		snprintf(what, sizeof(what), "aborts provoked at each point by %s", names[by]);
		figure(what, least, ASKED);
	}
}

/*
 * Nothing stays at a point: every way of pushing runs freely under a timer whose signals push too.
 * So the copies, of which the string copies have no points inside, are interrupted midway.
 */
static void storm(double seconds)
{
	struct itimerspec often = { { 0, 30000 }, { 0, 30000 } }, never = { 0 };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	uint64_t aborts = wr_torture.aborts, pushes = 0, signals = 0;
	unsigned wrong = 0;
	timer_t timer;

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) {
		tap(0, "storm: no timer");
		return;
	}
	for (unsigned n = 0; n < ways_count; n++) {
		double until = now() + seconds / ways_count;

		if (!way_possible(&ways[n]))
			continue;
		cpus_pin(0);
		way_begin(&ways[n]);
		rig_open(NULL, 1u << 20, 64);
		rig.may_cap = 1;
		timer_settime(timer, 0, &often, NULL);
		for (int i = 0; !rig.wrong && (i % 32 || now() < until); i++) {
			way_go(&ways[n]);
			if (i % 32 == 31) {
				weir_flush(rig.weir);
				rig_turn();
			}
		}
		timer_settime(timer, 0, &never, NULL);
		pushes += atomic_load(&rig.pushed[LANE_MAIN]);
		signals += atomic_load(&rig.pushed[LANE_HANDLER]);
		if (rig_close()) {
			wrong++;
			printf("# storm, %s: %s\n", ways[n].name, rig.why);
		}
	}
	timer_delete(timer);
	aborts = wr_torture.aborts - aborts;
	tap(!wrong, "a storm of signals: identity, order and bytes are exact after %llu pushes, %llu "
	            "signals that push and %llu aborts", (unsigned long long)pushes,
	    (unsigned long long)signals, (unsigned long long)aborts);
}

void part_provoked(void)
{
	struct sigaction nothing = { .sa_handler = on_nothing, .sa_flags = SA_RESTART };
	uint64_t each = amount() == SOAK ? ASKED : FULL_EACH;

	sigemptyset(&nothing.sa_mask);
	sigaction(SIGUSR1, &nothing, NULL);
	for (unsigned way = 0; way < ways_count; way++)
		if (way_possible(&ways[way]))
			way_reach(way);
	for (int by = 0; by < PROVOCATIONS; by++) {
		const char *why = impossible((enum provocation)by);

		if (*why)
			tap_skip(names[by], why);
		else
			provoke_by((enum provocation)by,
			           by > PREEMPTION ? each / 10 : each,
			           amount() == SLICE ? amount_seconds() * 0.35 / PROVOCATIONS : 0);
	}
	cpuset_end();
	storm(amount() == SOAK ? 300 : amount() == FULL ? 30 : amount_seconds() * 0.05);
}
