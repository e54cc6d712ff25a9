/* SPDX-License-Identifier: Apache-2.0 */
/* dest_locked.c - see dest.h: the destinations that lock. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/clock.h"
#include "harness/dest.h"

#define POLL_NS UINT64_C(1000000000)

/* The array that is being filled, and the one that is being delivered. */
struct swapped {
	pthread_mutex_t lock;
	pthread_cond_t some;
	pthread_t thread;
	struct dest_out *out;
	int leaving, filling;
	uint64_t count;
	struct dest_batch batch;
	uint8_t records[2][DEST_ROOM][DEST_BYTES];
};

static void *swap_and_deliver(void *arg)
{
	struct swapped *swapped = arg;

	pthread_mutex_lock(&swapped->lock);
	while (swapped->count || !swapped->leaving) {
		uint64_t count = swapped->count;
		int full = swapped->filling;

		if (!count) {
			pthread_cond_wait(&swapped->some, &swapped->lock);
			continue;
		}
		swapped->filling = !full;
		swapped->count = 0;
		pthread_mutex_unlock(&swapped->lock);
		for (uint64_t i = 0; i < count; i++)
			dest_take(&swapped->batch, swapped->records[full][i]);
		dest_tell(&swapped->batch, swapped->out);
		pthread_mutex_lock(&swapped->lock);
	}
	pthread_mutex_unlock(&swapped->lock);
	return NULL;
}

static void *open_swapped(const struct dest_plan *plan, struct dest_out *out)
{
	struct swapped *swapped = malloc(sizeof(*swapped));

	(void)plan;
	if (!swapped)
		bench_die("no memory");
	memset(swapped, 0, sizeof(*swapped)); /* every page has been used */
	swapped->out = out;
	pthread_mutex_init(&swapped->lock, NULL);
	pthread_cond_init(&swapped->some, NULL);
	if (pthread_create(&swapped->thread, NULL, swap_and_deliver, swapped))
		bench_die("no thread");
	return swapped;
}

static int push_swapped(void *dest, const void *record)
{
	struct swapped *swapped = dest;
	uint64_t count;

	pthread_mutex_lock(&swapped->lock);
	count = swapped->count;
	if (count < DEST_ROOM) {
		memcpy(swapped->records[swapped->filling][count], record, DEST_BYTES);
		swapped->count++;
	}
	pthread_mutex_unlock(&swapped->lock);
	if (!count)
		pthread_cond_signal(&swapped->some);
	return count < DEST_ROOM ? 0 : -EAGAIN;
}

static void close_swapped(void *dest)
{
	struct swapped *swapped = dest;

	pthread_mutex_lock(&swapped->lock);
	swapped->leaving = 1;
	pthread_cond_signal(&swapped->some);
	pthread_mutex_unlock(&swapped->lock);
	pthread_join(swapped->thread, NULL);
	pthread_cond_destroy(&swapped->some);
	pthread_mutex_destroy(&swapped->lock);
	free(swapped);
}

struct entry {
	struct entry *next;
	uint8_t record[DEST_BYTES];
};

struct polled {
	pthread_mutex_t lock;
	pthread_cond_t leave;
	pthread_attr_t placed; /* its threads stand where it was opened */
	pthread_t timer;
	int timer_made, timer_runs, leaving;
	struct dest_plan plan;
	struct dest_out *out;
	uint64_t count, first_ns;
	struct entry *first, **last;
	struct dest_batch batch;
};

/* The lock is held. */
static void deliver(struct polled *polled)
{
	struct entry *entry = polled->first, *next;

	for (; entry; entry = next) {
		next = entry->next;
		dest_take(&polled->batch, entry->record);
		free(entry);
	}
	polled->first = NULL;
	polled->last = &polled->first;
	polled->count = 0;
	dest_tell(&polled->batch, polled->out);
}

/* From a batch's first record until it has found one that is old enough. */
static void *look_each_second(void *arg)
{
	struct polled *polled = arg;
	int done = 0;

	pthread_mutex_lock(&polled->lock);
	while (!done && !polled->leaving) {
		uint64_t at = bench_now() + POLL_NS;
		struct timespec until = { (time_t)(at / 1000000000u), (long)(at % 1000000000u) };

		while (!polled->leaving && bench_now() < at)
			(void)pthread_cond_timedwait(&polled->leave, &polled->lock, &until);
		done = polled->count && bench_now() - polled->first_ns >= polled->plan.deadline_ns;
	}
	if (done)
		deliver(polled);
	polled->timer_runs = 0;
	pthread_mutex_unlock(&polled->lock);
	return NULL;
}

/* The lock is held. */
static void start_timer(struct polled *polled)
{
	if (polled->timer_runs)
		return;
	if (polled->timer_made)
		pthread_join(polled->timer, NULL); /* it needs the lock no more */
	if (pthread_create(&polled->timer, &polled->placed, look_each_second, polled))
		bench_die("no thread");
	polled->timer_made = polled->timer_runs = 1;
}

static void *open_polled(const struct dest_plan *plan, struct dest_out *out)
{
	struct polled *polled = calloc(1, sizeof(*polled));
	pthread_condattr_t clock;
	cpu_set_t here;

	if (!polled || sched_getaffinity(0, sizeof(here), &here))
		bench_die("no memory, or no affinity");
	polled->plan = *plan;
	polled->out = out;
	polled->last = &polled->first;
	pthread_mutex_init(&polled->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&polled->leave, &clock);
	pthread_condattr_destroy(&clock);
	pthread_attr_init(&polled->placed);
	pthread_attr_setaffinity_np(&polled->placed, sizeof(here), &here);
	return polled;
}

static int push_polled(void *dest, const void *record)
{
	struct polled *polled = dest;
	struct entry *entry;

	pthread_mutex_lock(&polled->lock);
	entry = malloc(sizeof(*entry));
	if (!entry)
		bench_die("no memory");
	entry->next = NULL;
	memcpy(entry->record, record, DEST_BYTES);
	*polled->last = entry;
	polled->last = &entry->next;
	if (!polled->count) {
		polled->first_ns = bench_now();
		start_timer(polled);
	}
	if (++polled->count >= polled->plan.threshold)
		deliver(polled);
	pthread_mutex_unlock(&polled->lock);
	return 0;
}

static void close_polled(void *dest)
{
	struct polled *polled = dest;

	pthread_mutex_lock(&polled->lock);
	polled->leaving = 1;
	pthread_cond_signal(&polled->leave);
	pthread_mutex_unlock(&polled->lock);
	if (polled->timer_made)
		pthread_join(polled->timer, NULL);
	deliver(polled);
	pthread_attr_destroy(&polled->placed);
	pthread_cond_destroy(&polled->leave);
	pthread_mutex_destroy(&polled->lock);
	free(polled);
}

const struct dest dest_mutex = { "mutex", open_swapped, push_swapped, close_swapped };
const struct dest dest_seed = { "seed", open_polled, push_polled, close_polled };
