/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seed.c - the design that weir grew out of: one buffer under one recursive lock, flushed when it
 * has gathered a threshold, or by a timer thread that looks once a second whether the first of it
 * has waited too long.
 *
 *     producers ──▶ malloc ──▶ lock: [list of items] ──▶ threshold reached: flushed right there
 *                                          │
 *                                          └──▶ timer thread, each second: first item too old?
 *
 * Kept as it is, since it is what is compared: the flush runs under the lock, on whichever thread
 * set it off; the timer thread is started by the first item and ends after it flushed. An item
 * carries its size. The one thing added is that it refuses when the room of all peers is used up.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "harness/clock.h"
#include "rivals/loop.h"

#define AGE_NS 1000000000u /* how long an item may wait: what a look each second can keep */

struct item {
	struct item *next;
	uint64_t size;
	uint8_t bytes[];
};

struct buffer {
	pthread_mutex_t lock;
	pthread_cond_t stopping;
	pthread_attr_t placed; /* threads of ours stand where open() did */
	pthread_t timer;
	int timer_made, timer_runs, stop;
	struct item *first, **last;
	uint64_t count, threshold, room, first_ns;
	struct peer_sum out;
};

/* Under the lock. */
static void flush(struct buffer *buffer)
{
	struct item *item = buffer->first;

	buffer->first = NULL;
	buffer->last = &buffer->first;
	buffer->count = 0;
	while (item) {
		struct item *next = item->next;

		peer_took(&buffer->out, item->bytes, (uint32_t)item->size);
		free(item);
		item = next;
	}
}

static void *look_each_second(void *arg)
{
	struct buffer *buffer = arg;
	struct timespec until;

	pthread_mutex_lock(&buffer->lock);
	while (!buffer->stop) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		(void)pthread_cond_timedwait(&buffer->stopping, &buffer->lock, &until);
		if (!buffer->count || bench_now() - buffer->first_ns < AGE_NS)
			continue;
		flush(buffer);
		break;
	}
	buffer->timer_runs = 0;
	pthread_mutex_unlock(&buffer->lock);
	return NULL;
}

/* Under the lock. */
static void start_timer(struct buffer *buffer)
{
	if (buffer->timer_runs)
		return;
	if (buffer->timer_made)
		pthread_join(buffer->timer, NULL); /* it has given the lock back already */
	if (pthread_create(&buffer->timer, &buffer->placed, look_each_second, buffer))
		bench_die("the timer thread cannot be started");
	buffer->timer_made = buffer->timer_runs = 1;
}

static void *open_buffer(const struct peer_room *room, char why[BENCH_WHY])
{
	struct buffer *buffer = calloc(1, sizeof(*buffer));
	pthread_mutexattr_t recursive;
	pthread_condattr_t monotonic;
	cpu_set_t here;

	(void)why;
	if (!buffer || sched_getaffinity(0, sizeof(here), &here))
		bench_die("no memory, or no affinity");
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&buffer->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&buffer->stopping, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_attr_init(&buffer->placed);
	pthread_attr_setaffinity_np(&buffer->placed, sizeof(here), &here);
	buffer->last = &buffer->first;
	buffer->threshold = room->threshold ? room->threshold : UINT64_MAX;
	buffer->room = room->producers * room->records;
	return buffer;
}

static void *join(void *peer, uint32_t producer)
{
	(void)producer;
	return peer;
}

static void leave(void *producer)
{
	(void)producer;
}

static inline int take(struct buffer *buffer, const void *data, uint32_t bytes)
{
	struct item *item = malloc(sizeof(*item) + bytes);
	int full;

	if (!item)
		return 1;
	item->next = NULL;
	item->size = bytes;
	memcpy(item->bytes, data, bytes);
	pthread_mutex_lock(&buffer->lock);
	full = buffer->count >= buffer->room;
	if (!full) {
		*buffer->last = item;
		buffer->last = &item->next;
		if (!buffer->count++) {
			buffer->first_ns = bench_now();
			start_timer(buffer);
		}
		if (buffer->count >= buffer->threshold)
			flush(buffer);
	}
	pthread_mutex_unlock(&buffer->lock);
	if (full)
		free(item);
	return full;
}

PEER_LOOP(push, struct buffer, take)

static void settle(void *peer, uint64_t expected, struct peer_sum *sum)
{
	struct buffer *buffer = peer;

	(void)expected;
	pthread_mutex_lock(&buffer->lock);
	flush(buffer);
	*sum = buffer->out;
	pthread_mutex_unlock(&buffer->lock);
}

static void close_buffer(void *peer)
{
	struct buffer *buffer = peer;

	pthread_mutex_lock(&buffer->lock);
	buffer->stop = 1;
	pthread_cond_signal(&buffer->stopping);
	flush(buffer);
	pthread_mutex_unlock(&buffer->lock);
	if (buffer->timer_made)
		pthread_join(buffer->timer, NULL);
	pthread_attr_destroy(&buffer->placed);
	pthread_cond_destroy(&buffer->stopping);
	pthread_mutex_destroy(&buffer->lock);
	free(buffer);
}

extern const struct peer peer_seed;
const struct peer peer_seed = { .name = "seed", .package = "", .page = "bench/README.md",
	.open = open_buffer, .join = join, .push = push, .leave = leave, .settle = settle,
	.close = close_buffer };
