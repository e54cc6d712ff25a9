/* SPDX-License-Identifier: Apache-2.0 */
/* crew.c - see crew.h. It knows threads and peers; it does not know what is asked of them. */
#include "harness/crew.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/clock.h"
#include "harness/pin.h"
#include "harness/tick.h"

#define CHUNK 256u    /* pushes between two looks at whether to stop, at most */
#define LONG_NS 1000000u /* more than that between two looks: they are made more often */
#define FEW 256u      /* records: a batching consumer waits for more */
#define NAP_NS 50000u /* so long */

enum order { REST, BURST, RUN, LEAVE };

struct producer {
	_Alignas(128) struct crew *crew;
	pthread_t thread;
	uint32_t index;
	uint64_t burst_ns, burst_done, refused;
	struct peer_source source;
	struct bench_hist *hist;
};

struct crew {
	struct crew_plan plan;
	void *peer;
	struct peer_sum out;
	pthread_barrier_t barrier; /* of the producers and the main thread */
	enum order order;          /* written between two barriers */
	uint64_t records;
	_Atomic int stop;
	_Atomic uint32_t pushing;
	struct producer *producers;
};

static uint32_t consumer_cpu(void)
{
	return bench_cpus() > 1 ? 1 : 0;
}

static void burst(struct producer *producer, void *to)
{
	struct crew *crew = producer->crew;
	uint64_t t0 = bench_now();

	producer->burst_done = crew->plan.peer->push(to, &producer->source, crew->records);
	producer->burst_ns = bench_now() - t0;
}

static void push_until_stopped(struct producer *producer, void *to)
{
	struct crew *crew = producer->crew;
	const struct peer *peer = crew->plan.peer;

	uint64_t chunk = 1, before = bench_now(), now;

	while (!atomic_load_explicit(&crew->stop, memory_order_relaxed)) {
		if (peer->push(to, &producer->source, chunk) < chunk)
			sched_yield();
		now = bench_now();
		/* Where commits wait in order for who is not running, a push may take a second. */
		chunk = now - before > LONG_NS ? 1 : chunk < CHUNK ? 2 * chunk : CHUNK;
		before = now;
	}
}

static void push_timed(struct producer *producer, void *to)
{
	struct crew *crew = producer->crew;
	const struct peer *peer = crew->plan.peer;
	const double timer = crew->plan.timer_ticks;

	while (!atomic_load_explicit(&crew->stop, memory_order_relaxed)) {
		uint64_t t0 = bench_tick();
		uint64_t n = peer->push(to, &producer->source, 1);
		uint64_t t1 = bench_tick();

		if (n) {
			bench_hist_note(producer->hist, bench_tick_span(t0, t1, timer));
		} else {
			producer->refused++;
			sched_yield();
		}
	}
}

static void *produce(void *arg)
{
	struct producer *producer = arg;
	struct crew *crew = producer->crew;
	void *to;

	if (crew->plan.pinned)
		bench_pin(producer->index);
	else
		bench_unpin();
	to = crew->plan.peer->join(crew->peer, producer->index);
	for (;;) {
		pthread_barrier_wait(&crew->barrier); /* the order is given */
		if (crew->order == LEAVE)
			break;
		if (crew->order == BURST)
			burst(producer, to);
		else if (producer->hist)
			push_timed(producer, to);
		else
			push_until_stopped(producer, to);
		atomic_fetch_sub(&crew->pushing, 1);
		pthread_barrier_wait(&crew->barrier); /* it is carried out */
	}
	crew->plan.peer->leave(to);
	return NULL;
}

static void place_main(const struct crew *crew)
{
	if (crew->plan.pinned)
		bench_pin(consumer_cpu());
	else
		bench_unpin();
}

struct crew *crew_open(const struct crew_plan *plan, char why[BENCH_WHY])
{
	struct crew *crew = calloc(1, sizeof(*crew));
	uint32_t count = plan->room.producers;

	if (!plan->peer->open) {
		snprintf(why, BENCH_WHY, "%s is not installed", plan->peer->package);
		free(crew);
		return NULL;
	}
	if (!crew || count > CREW_MOST)
		bench_die("no memory, or %u producers", count);
	crew->plan = *plan;
	if (plan->hist)
		bench_tick_init();
	place_main(crew);
	crew->peer = plan->peer->open(&plan->room, why);
	if (!crew->peer) {
		free(crew);
		return NULL;
	}
	crew->producers = aligned_alloc(128, count * sizeof(*crew->producers));
	if (!crew->producers)
		bench_die("no memory");
	memset(crew->producers, 0, count * sizeof(*crew->producers));
	pthread_barrier_init(&crew->barrier, NULL, count + 1);
	for (uint32_t i = 0; i < count; i++) {
		struct producer *producer = &crew->producers[i];

		producer->crew = crew;
		producer->index = i;
		peer_source_init(&producer->source, plan->room.bytes, plan->fresh, i);
		producer->hist = plan->hist ? calloc(1, sizeof(*producer->hist)) : NULL;
		if ((plan->hist && !producer->hist) ||
		    pthread_create(&producer->thread, NULL, produce, producer))
			bench_die("a producer cannot be started");
	}
	return crew;
}

static struct peer_sum pushed(const struct crew *crew)
{
	struct peer_sum all = { 0, 0 };

	for (uint32_t i = 0; i < crew->plan.room.producers; i++) {
		all.records += crew->producers[i].source.pushed.records;
		all.sum += crew->producers[i].source.pushed.sum;
	}
	return all;
}

static void give(struct crew *crew, enum order order)
{
	crew->order = order;
	atomic_store(&crew->stop, 0);
	atomic_store(&crew->pushing, crew->plan.room.producers);
	pthread_barrier_wait(&crew->barrier);
}

/* Until all that was pushed is out, or nothing came for five seconds. */
static void drain_all(struct crew *crew)
{
	const struct peer *peer = crew->plan.peer;
	uint64_t expected = pushed(crew).records, last = bench_now();

	if (peer->settle)
		peer->settle(crew->peer, expected, &crew->out);
	while (peer->drain && crew->out.records < expected) {
		if (peer->drain(crew->peer, &crew->out))
			last = bench_now();
		else if (bench_now() - last > 5000000000u)
			break;
	}
}

int crew_burst(struct crew *crew, uint64_t records, double *ret_ns)
{
	double ns = 0;
	int r = 0;

	crew->records = records;
	give(crew, BURST);
	pthread_barrier_wait(&crew->barrier);
	for (uint32_t i = 0; i < crew->plan.room.producers; i++) {
		ns += (double)crew->producers[i].burst_ns / (double)records;
		if (crew->producers[i].burst_done != records)
			r = -EAGAIN;
	}
	*ret_ns = ns / crew->plan.room.producers;
	drain_all(crew);
	return r;
}

/* The consumer's part: it polls, or naps when little was there. */
static void consume_until(struct crew *crew, uint64_t end_ns)
{
	const struct peer *peer = crew->plan.peer;
	struct timespec nap = { 0, NAP_NS };

	if (!peer->drain) {
		bench_sleep_until(end_ns);
		return;
	}
	while (bench_now() < end_ns) {
		uint64_t n = peer->drain(crew->peer, &crew->out);

		if (n < FEW && !crew->plan.room.eager)
			nanosleep(&nap, NULL);
		else if (!n)
			sched_yield(); /* a producer may need this very CPU */
	}
}

int crew_run(struct crew *crew, uint64_t ns, struct crew_rates *ret)
{
	const struct peer *peer = crew->plan.peer;
	uint64_t before[CREW_MOST], slowest = UINT64_MAX, fastest = 0, t0, total = 0;

	for (uint32_t i = 0; i < crew->plan.room.producers; i++)
		before[i] = crew->producers[i].source.pushed.records;
	ret->refused = 0;
	give(crew, RUN);
	t0 = bench_now();
	consume_until(crew, t0 + ns);
	atomic_store(&crew->stop, 1);
	while (atomic_load(&crew->pushing)) { /* one may wait inside its push for room */
		if (peer->drain)
			(void)peer->drain(crew->peer, &crew->out);
		sched_yield();
	}
	pthread_barrier_wait(&crew->barrier);
	drain_all(crew);
	t0 = bench_now() - t0;
	for (uint32_t i = 0; i < crew->plan.room.producers; i++) {
		struct producer *producer = &crew->producers[i];
		uint64_t n = producer->source.pushed.records - before[i];

		total += n;
		slowest = n < slowest ? n : slowest;
		fastest = n > fastest ? n : fastest;
		ret->refused += producer->refused;
		producer->refused = 0;
		if (producer->hist) {
			bench_hist_add(crew->plan.hist, producer->hist);
			bench_hist_clear(producer->hist);
		}
	}
	ret->records_per_s = (double)total * 1e9 / (double)t0;
	ret->fairness = fastest ? (double)slowest / (double)fastest : 0;
	return 0;
}

int crew_check(struct crew *crew, char why[BENCH_WHY])
{
	struct peer_sum in = pushed(crew);

	drain_all(crew);
	if (crew->plan.peer->flags & PEER_FLOOR ||
	    (in.records == crew->out.records && in.sum == crew->out.sum))
		return 0;
	snprintf(why, BENCH_WHY, "%" PRIu64 " records went in and %" PRIu64 " came out, sum %s",
	         in.records, crew->out.records, in.sum == crew->out.sum ? "equal" : "wrong");
	return -EBADMSG;
}

void crew_close(struct crew *crew)
{
	give(crew, LEAVE);
	for (uint32_t i = 0; i < crew->plan.room.producers; i++) {
		pthread_join(crew->producers[i].thread, NULL);
		free(crew->producers[i].hist);
	}
	pthread_barrier_destroy(&crew->barrier);
	crew->plan.peer->close(crew->peer);
	free(crew->producers);
	free(crew);
}
