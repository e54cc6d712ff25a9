/* SPDX-License-Identifier: Apache-2.0 */
/* scenes.c - what needs a story of its own. */
#include "torture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/engine.h"
#include "ring/rseq.h"
#include "ring/section.h"

#define BEFORE_PUSH 1u /* points */
#define BEFORE_PUT 41u
#define PUSH_COMMITS 39u
#define PUT_COMMITS 62u

/* --- two threads, one ring --- */

static struct {
	struct wr_torture *_Atomic other;
	_Atomic uint32_t ready, moved, ends, undisturbed;
	int by_put;
} crossed;

/* Y: on the first CPU, stays right before its commit while X is on its way. */
static void *stay(void *arg)
{
	uint64_t aborts;

	(void)arg;
	cpus_pin(0);
	rig_push(LANE_OTHER, 0); /* past mark and alarm */
	rig_push(LANE_OTHER, 0);
	atomic_store(&crossed.ready, 1);
	while (!atomic_load(&crossed.moved))
		sched_yield();
	trap_arm(crossed.by_put ? PUT_COMMITS : PUSH_COMMITS, 0, DELAY);
	wr_torture.loops = 1u << 20;
	aborts = wr_torture.aborts;
	atomic_store(&crossed.other, &wr_torture);
	rig_push(LANE_OTHER, crossed.by_put);
	wr_torture.at = 0;
	atomic_store(&crossed.undisturbed, aborts == wr_torture.aborts);
	atomic_store(&crossed.ends, 1);
	return NULL;
}

/* In X's trap: X has read that it is on the first CPU, and now it is not. */
static void leave(void)
{
	volatile struct wr_torture *other;

	cpus_pin(1);
	atomic_store(&crossed.moved, 1);
	while (!(other = atomic_load(&crossed.other)) && !atomic_load(&crossed.ends))
		sched_yield();
	while (!atomic_load(&crossed.ends) && !other->inside)
		sched_yield();
}

/* A priority that nobody else has, if that is allowed: the scene lasts a millisecond or two. */
static void be_first(int first)
{
	struct sched_param param = { .sched_priority = first };

	(void)sched_setscheduler(0, first ? SCHED_FIFO : SCHED_OTHER, &param);
}

/* 1: X pushed while Y stayed at its commit, and Y was not interrupted before it went on. */
static int cross(int x_by_put, int y_by_put)
{
	static const struct way plain = { "push of 24 bytes", 24, -1, NULL, 1, 0 };
	struct wr_torture *other;
	pthread_t thread;
	int still;

	cpus_pin(-1);
	way_begin(&plain);
	rig_open(NULL, 65536, 1u << 20);
	memset(&crossed, 0, sizeof(crossed));
	crossed.by_put = y_by_put;
	cpus_pin(0);
	rig_push(LANE_HANDLER, 0); /* past the first alarm */
	rig_push(LANE_HANDLER, 0);
	be_first(1); /* and so is the thread that it makes */
	if (pthread_create(&thread, NULL, stay, NULL))
		abort();
	while (!atomic_load(&crossed.ready))
		sched_yield();
	trap_hook = leave;
	trap_arm(x_by_put ? BEFORE_PUT : BEFORE_PUSH, 0, TRAP);
	rig_push(LANE_HANDLER, x_by_put);
	trap_hook = NULL;
	other = atomic_load(&crossed.other);
	still = other && !atomic_load(&crossed.ends) && ((volatile struct wr_torture *)other)->inside;
	atomic_store(&crossed.moved, 1);
	pthread_join(thread, NULL);
	be_first(0);
	return still && atomic_load(&crossed.undisturbed);
}

int scene_crossed(int x_by_put, int y_by_put)
{
	double until = now() + 30;
	int staged = 0;

	if (cpus_count() < 2)
		return 0;
	while (staged < 3 && now() < until) {
		staged += cross(x_by_put, y_by_put);
		if (rig_close()) {
			printf("# another CPU's ring, %s beside %s: %s\n", x_by_put ? "put" : "push",
			       y_by_put ? "put" : "push", rig.why);
			return -1;
		}
	}
	if (!staged)
		printf("# another CPU's ring, %s beside %s: the other never stayed at its commit\n",
		       x_by_put ? "put" : "push", y_by_put ? "put" : "push");
	return staged ? 0 : -1;
}

/* --- a full ring --- */

/* Pushes fill the ring, the first 64 disturbed at a point of its own each; nothing is lost. */
int scene_full(int by_put)
{
	const struct way *way = &ways[by_put ? 14 : 9]; /* pushv of 5 pieces, push of 500 bytes */
	unsigned n = by_put ? 14 : 9;
	uint32_t point = 1;
	int r = 0;

	if (!way_possible(way))
		way = &ways[++n];
	way_reach(n);
	cpus_pin(0);
	way_begin(way);
	rig_open(NULL, 65536, 1u << 20);
	for (int i = 0; i < 4000 && r == 0; i++) {
		do
			point = point % POINTS + 1;
		while (!way_reach(n)->passes[WARM][point]);
		if (i < 64)
			trap_arm(point, 0, TRAP);
		r = way->go(way);
		wr_torture.at = 0;
		wr_torture.skip = 0;
	}
	if (r != -EAGAIN)
		rig_wrong("the ring was never full (%d)", r);
	if (rig_close())
		printf("# a full ring, by %s: %s\n", way->name, rig.why);
	return rig.wrong != 0;
}

/* --- a CPU without a ring --- */

/* Where the thread could not be when the engine was opened, no ring is waiting for it. */
int scene_no_ring(int by_put)
{
	const struct way *way = &ways[by_put ? 14 : 4];

	if (cpus_count() < 2)
		return 0;
	for (int to = 0; to < 2; to++) {
		cpus_pin(to + 1);
		way_begin(way);
		rig_open(NULL, 65536, 3);
		cpus_pin(to);
		for (int i = 0; i < 3; i++)
			way_go(way);
		if (rig_close()) {
			printf("# no ring on CPU %u, %s: %s\n", cpus_id(to), way->name, rig.why);
			return -1;
		}
	}
	return 0;
}

/* --- a record with an age of its own --- */

#define URGENT 17u /* among the ways */
#define PATIENT 16u /* as long, and without an age */

/*
 * No deadline and no threshold: its own age alone brings it to the sink, disturbed or not, whether
 * the engine is idle or has a record already for which no timer was set.
 */
int scene_urgent(void)
{
	static const struct start start = { .epoch = (1u << 27) - 2 };
	const struct reach *reach = way_reach(URGENT);

	for (uint32_t n = BEFORE_PUT * 2; n < POINTS * 2 + 2; n++) {
		enum warmth warmth = n & 1 ? COLD : WARM;
		uint32_t point = n / 2, passes = reach->passes[warmth][point];

		if (!passes)
			continue;
		cpus_pin(0);
		way_begin(&ways[URGENT]);
		rig_deadline_ns = WEIR_OFF;
		rig_open(&start, 65536, 1u << 20);
		rig_deadline_ns = 0;
		for (uint32_t i = 0; i < 3 && !rig.wrong; i++) {
			if (warmth == WARM)
				way_go(&ways[PATIENT]);
			trap_arm(point, i % passes, TRAP);
			way_go(&ways[URGENT]);
			wr_torture.at = 0;
			wr_torture.skip = 0;
			rig_drain();
		}
		if (rig_close()) {
			printf("# urgent, %s: %s\n", points[point].where, rig.why);
			return -1;
		}
	}
	return 0;
}

/* --- a section that is never left alone --- */

static void again(void)
{
	wr_torture.at = PUT_COMMITS;
}

static int capped_once(void)
{
	const struct way *way = &ways[14]; /* pushv of 5 pieces */
	uint64_t aborted = counts.aborted[PUT_COMMITS];

	cpus_pin(0);
	way_begin(way);
	rig_open(NULL, 1u << 20, 64);
	rig.may_cap = 1;
	for (int i = 0; i < 3 && !rig.wrong; i++) {
		trap_hook = again;
		trap_arm(PUT_COMMITS, 0, TRAP);
		way_go(way);
		trap_hook = NULL;
		wr_torture.at = 0;
		for (int j = 0; j < 600; j++) {
			way_go(way);
			if (j % 64 == 0)
				rig_turn();
		}
	}
	aborted = counts.aborted[PUT_COMMITS] - aborted;
	if (aborted != 3 * 64)
		rig_wrong("%llu aborts, not 3 times 64", (unsigned long long)aborted);
	rig_close();
	if (rig.capped != 3 * 256)
		rig_wrong("%llu pushes went to the fallback ring", (unsigned long long)rig.capped);
	if (rig.wrong)
		printf("# never left alone: %s\n", rig.why);
	return rig.wrong != 0;
}

/*
 * After 64 aborts in a row a thread goes to the fallback ring, and comes back. Now and then the
 * machine itself preempts a section before its trap, and the next one is not armed: then again.
 */
static int capped(void)
{
	for (int i = 0; i < 5; i++)
		if (capped_once() == 0)
			return 0;
	return -1;
}

/* --- an rseq area that no kernel writes --- */

struct fake {
	_Alignas(64) uint8_t before[64];
	_Alignas(32) uint32_t cpu_id_start;
	uint32_t cpu_id;
	uint64_t rseq_cs;
	uint8_t behind[128];
};

static struct fake fake;

static int fake_changed(const struct fake *was)
{
	struct fake is = fake;

	is.rseq_cs = was->rseq_cs;
	return memcmp(&is, was, sizeof(is)) != 0;
}

/* Every path of the sections, over an area of the test's own: only rseq_cs is written. */
static int only_rseq_cs(void)
{
	static struct wr_rings rings;
	static struct wr_ring *_Atomic table[WR_TABLE_CPUS];
	static uint8_t bytes[5000];
	long offset = (long)((intptr_t)&fake.cpu_id_start - (intptr_t)__builtin_thread_pointer());
	_Atomic uint64_t order = 0;
	struct wr_ring *ring = NULL;
	struct wr_seen seen;
	struct fake was;
	unsigned wrong = 0;

	memset(&fake, 0x5e, sizeof(fake));
	fake.cpu_id_start = fake.cpu_id = 5;
	was = fake;
	if (wr_rings_reserve(&rings) || wr_rings_open(&rings, 65536, 0, 1) ||
	    wr_rings_get(&rings, WR_RING_RSEQ, 5, &ring))
		return -1;
	for (uint32_t size = 0; size < sizeof(bytes); size++) {
		struct iovec iov[2] = { { bytes, size / 3 }, { bytes, size - size / 3 } };
		struct wr_put put = { .epoch = WR_ANY_EPOCH, .iov = iov, .iov_count = 2,
			              .side = size & 1 };
		uint64_t header = wr_header_make(size, 0, WEIR_REC_COMMITTED);
		uint64_t head = atomic_load(&ring->head);
		int r[6];

		put.header = header;
		put.total = wr_header_total(header);
		/* No ring, the alarm, the limit, the order word; then two that succeed. */
		atomic_store(&table[5], size % 5 == 0 ? NULL : ring);
		atomic_store(&ring->alarm,
		             wr_alarm_make(0, 0, wr_head_count(head) + (size % 5 == 1 ? 1 : 1000)));
		atomic_store(&ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, wr_head_position(head) +
		                                         (size % 5 == 2 ? 0 : 60000)));
		atomic_store(&order, size % 5 == 3 ? 0 : (uint64_t)ring->id << 16);
#if defined(__x86_64__)
		wr_section_wide = size % 2 && __builtin_cpu_supports("avx2");
#endif
		r[0] = wr_section_push(table, offset, &order, header, bytes, &seen);
		r[1] = wr_section_put(table, offset, &order, &put, &seen);
		wrong += r[0] != r[1];
		wrong += (r[0] == WR_PUSHED) != (size % 5 == 4);
		wrong += fake_changed(&was) != 0 || fake.rseq_cs == was.rseq_cs;
	}
	fake.cpu_id = 6; /* migrated meanwhile */
	was.cpu_id = 6;
	atomic_store(&table[5], ring);
	wrong += wr_section_push(table, offset, &order, 1, bytes, &seen) != WR_EXIT_ABORTED;
	wrong += fake_changed(&was) != 0;
	wr_rings_close(&rings);
	return wrong != 0;
}

void part_scenes(void)
{
	if (cpus_count() < 2) {
		tap_skip("a push that migrates before its section", "there is one CPU only");
	} else {
		int wrong = 0;

		for (int i = 0; i < 4; i++)
			wrong += scene_crossed(i & 1, i >> 1) != 0;
		tap(!wrong, "a push that migrates before its section begins uses the ring of the CPU "
		            "it is on");
	}
	if (cpus_count() < 2)
		tap_skip("the first push on a CPU", "there is one CPU only");
	else
		tap(!scene_no_ring(0) && !scene_no_ring(1), "the first push on a CPU makes its ring");
	tap(!scene_full(0), "a full ring refuses pushes that were disturbed, and keeps its records");
	tap(!scene_full(1), "a full ring refuses gathered pushes that were disturbed, and keeps its "
	                    "records");
	tap(!scene_urgent(), "an urgent push that was disturbed brings its record to the sink in time");
	tap(!capped(), "a push that is never left alone goes to the fallback ring");
	tap(!only_rseq_cs(), "of the rseq area nothing but rseq_cs is written, on any path");
}
