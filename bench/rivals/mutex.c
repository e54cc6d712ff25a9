/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutex.c - a mutex and a condition variable: what anybody writes first, done well. Producers
 * append to one array of bytes; the consumer swaps it for an empty one, and reads outside the lock.
 *
 *     producers ──▶ lock: [size u64][bytes][size u64][bytes]... ──▶ swap under it ──▶ consumer
 *
 * A record takes as many bytes as it has, and its size; it is copied with a run-time size. A
 * batching consumer that finds nothing waits on the condition variable, and only then does a push
 * signal it. "mutex+fixed" stores no size and copies a constant one.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "rivals/fixed.h"

#define PATIENCE_NS 1000000u /* how long a consumer waits inside drain() */

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t some;
	int waiting, eager;
	uint32_t bytes;
	uint8_t *filling;
	uint64_t filled, room;
	_Alignas(128) uint8_t *taken; /* the consumer's */
};

static uint8_t *array_of(uint64_t bytes)
{
	uint8_t *array = aligned_alloc(64, (bytes + 63) & ~UINT64_C(63));

	if (!array)
		bench_die("no memory for %llu bytes", (unsigned long long)bytes);
	memset(array, 1, bytes);
	return array;
}

static struct queue *open_with(const struct peer_room *room, uint32_t header)
{
	struct queue *queue = aligned_alloc(128, sizeof(*queue));
	pthread_condattr_t monotonic;

	if (!queue)
		bench_die("no memory");
	memset(queue, 0, sizeof(*queue));
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->some, &monotonic);
	pthread_condattr_destroy(&monotonic);
	queue->eager = room->eager;
	queue->bytes = room->bytes;
	queue->room = room->producers * room->records * (room->bytes + header);
	queue->filling = array_of(queue->room);
	queue->taken = array_of(queue->room);
	return queue;
}

static void *open_queue(const struct peer_room *room, char why[BENCH_WHY])
{
	(void)why;
	return open_with(room, sizeof(uint64_t));
}

static void *open_fixed(const struct peer_room *room, char why[BENCH_WHY])
{
	return peer_fixed_has(room->bytes, why) ? open_with(room, 0) : NULL;
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

static inline __attribute__((always_inline)) int put(struct queue *queue, const void *data,
                                                     uint32_t bytes, uint32_t header)
{
	const uint64_t size = bytes;
	uint8_t *at;
	int wake;

	pthread_mutex_lock(&queue->lock);
	if (queue->filled + header + bytes > queue->room) {
		pthread_mutex_unlock(&queue->lock);
		return 1;
	}
	at = queue->filling + queue->filled;
	memcpy(at, &size, header);
	memcpy(at + header, data, bytes);
	queue->filled += header + bytes;
	wake = queue->waiting;
	queue->waiting = 0;
	pthread_mutex_unlock(&queue->lock);
	if (wake)
		pthread_cond_signal(&queue->some);
	return 0;
}

static inline int take(struct queue *queue, const void *data, uint32_t bytes)
{
	return put(queue, data, bytes, sizeof(uint64_t));
}

static inline __attribute__((always_inline)) int put_fixed(struct queue *queue, const void *data,
                                                           uint32_t bytes)
{
	return put(queue, data, bytes, 0);
}

PEER_LOOP(push, struct queue, take)
PEER_FIXED_LOOPS(push_fixed, struct queue, put_fixed)

/* Returns how many bytes there are now in @taken. */
static uint64_t swap(struct queue *queue)
{
	struct timespec until;
	uint8_t *empty = queue->taken;
	uint64_t bytes;

	pthread_mutex_lock(&queue->lock);
	if (!queue->filled && !queue->eager) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += PATIENCE_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		queue->waiting = 1;
		(void)pthread_cond_timedwait(&queue->some, &queue->lock, &until);
		queue->waiting = 0;
	}
	bytes = queue->filled;
	if (bytes) {
		queue->taken = queue->filling;
		queue->filling = empty;
		queue->filled = 0;
	}
	pthread_mutex_unlock(&queue->lock);
	return bytes;
}

static uint64_t drain(void *peer, struct peer_sum *sum)
{
	struct queue *queue = peer;
	uint64_t end = swap(queue), before = sum->records, size;

	for (uint64_t at = 0; at < end; at += sizeof(size) + size) {
		memcpy(&size, queue->taken + at, sizeof(size));
		peer_took(sum, queue->taken + at + sizeof(size), (uint32_t)size);
	}
	return sum->records - before;
}

static inline __attribute__((always_inline)) void sum_up(const struct queue *queue, uint64_t end,
                                                         uint32_t bytes, struct peer_sum *sum)
{
	for (uint64_t at = 0; at < end; at += bytes)
		peer_took(sum, queue->taken + at, bytes);
}

static uint64_t drain_fixed(void *peer, struct peer_sum *sum)
{
	struct queue *queue = peer;
	uint64_t end = swap(queue);

	if (queue->bytes == 8)
		sum_up(queue, end, 8, sum);
	else if (queue->bytes == 64)
		sum_up(queue, end, 64, sum);
	else
		sum_up(queue, end, 256, sum);
	return end / queue->bytes;
}

static void close_queue(void *peer)
{
	struct queue *queue = peer;

	pthread_cond_destroy(&queue->some);
	pthread_mutex_destroy(&queue->lock);
	free(queue->filling);
	free(queue->taken);
	free(queue);
}

#define PAGE \
	"https://pubs.opengroup.org/onlinepubs/9699919799/functions/pthread_cond_timedwait.html"

extern const struct peer peer_mutex, peer_mutex_fixed;
const struct peer peer_mutex = { .name = "mutex", .package = "", .page = PAGE,
	.open = open_queue, .join = join, .push = push, .leave = leave, .drain = drain,
	.close = close_queue };
const struct peer peer_mutex_fixed = { .name = "mutex+fixed", .package = "", .page = PAGE,
	.flags = PEER_FIXED, .open = open_fixed, .join = join, .push = push_fixed, .leave = leave,
	.drain = drain_fixed, .close = close_queue };
