/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spsc.c - a ring of each producer's own, polled by one consumer: the strongest design for raw
 * speed, and what it gives up: nobody is told when something is there, a thread must register, and
 * each thread keeps a ring.
 *
 *     producer i: [size u64][bytes][padding to 8] ──▶ ring i ─┐
 *                                                             ├─▶ consumer, ring after ring
 *     producer j                                  ──▶ ring j ─┘
 *
 * "spsc-pushout" is the same with the consumer pushing drained lines out of its cache and the
 * producer fetching lines for writing ahead.
 */
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "rivals/loop.h"
#include "rivals/mirror.h"

#define AHEAD 1024u /* bytes */

struct ring {
	_Alignas(128) struct mirror data;
	uint64_t mask;
	_Alignas(128) _Atomic uint64_t head; /* the producer's */
	uint64_t known_tail;
	_Alignas(128) _Atomic uint64_t tail; /* the consumer's */
};

struct rings {
	uint32_t count;
	struct ring each[];
};

static void *open_rings(const struct peer_room *room, char why[BENCH_WHY])
{
	struct rings *rings = aligned_alloc(128, 128 + room->producers * sizeof(struct ring));

	(void)why;
	if (!rings)
		bench_die("no memory");
	rings->count = room->producers;
	for (uint32_t i = 0; i < rings->count; i++) {
		struct ring *ring = &rings->each[i];

		mirror_map(&ring->data, room->records * (room->bytes + 8) + 4096);
		ring->mask = ring->data.bytes - 1;
		ring->known_tail = 0;
		atomic_init(&ring->head, 0);
		atomic_init(&ring->tail, 0);
	}
	return rings;
}

static void *join(void *peer, uint32_t producer)
{
	return &((struct rings *)peer)->each[producer];
}

static void leave(void *producer)
{
	(void)producer;
}

static inline __attribute__((always_inline)) int put(struct ring *ring, const void *data,
                                                     uint32_t bytes, int ahead)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t end = head + ((bytes + 15u) & ~UINT64_C(7)), size = bytes;
	uint8_t *at = ring->data.data + (head & ring->mask);

	if (end - ring->known_tail > ring->data.bytes) {
		ring->known_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
		if (end - ring->known_tail > ring->data.bytes)
			return 1;
	}
	if (ahead)
		for (uint64_t line = (head + 63) & ~UINT64_C(63); line < end; line += 64)
			__builtin_prefetch(ring->data.data + ((line + AHEAD) & ring->mask), 1);
	memcpy(at, &size, sizeof(size));
	memcpy(at + sizeof(size), data, bytes);
	atomic_store_explicit(&ring->head, end, memory_order_release);
	return 0;
}

static inline int take(struct ring *ring, const void *data, uint32_t bytes)
{
	return put(ring, data, bytes, 0);
}

static inline int take_ahead(struct ring *ring, const void *data, uint32_t bytes)
{
	return put(ring, data, bytes, 1);
}

PEER_LOOP(push, struct ring, take)
PEER_LOOP(push_ahead, struct ring, take_ahead)

#if defined(__x86_64__)
__attribute__((target("clflushopt"))) static void push_out(const struct ring *ring, uint64_t from,
                                                           uint64_t to)
{
	for (uint64_t line = from & ~UINT64_C(63); line + 64 <= to; line += 64)
		_mm_clflushopt(ring->data.data + (line & ring->mask));
}

static int can_push_out(void)
{
	unsigned a = 7, b = 0, c = 0, d = 0;

	__asm__("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	return b >> 23 & 1;
}
#else
static void push_out(const struct ring *ring, uint64_t from, uint64_t to)
{
	(void)ring;
	(void)from;
	(void)to;
}

static int can_push_out(void)
{
	return 0;
}
#endif

static inline __attribute__((always_inline)) uint64_t drain_rings(struct rings *rings,
                                                                  struct peer_sum *sum, int out)
{
	uint64_t before = sum->records;

	for (uint32_t i = 0; i < rings->count; i++) {
		struct ring *ring = &rings->each[i];
		uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire), size;
		uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
		uint64_t from = tail;

		while (tail != head) {
			const uint8_t *at = ring->data.data + (tail & ring->mask);

			memcpy(&size, at, sizeof(size));
			peer_took(sum, at + sizeof(size), (uint32_t)size);
			tail += (size + 15) & ~UINT64_C(7);
		}
		if (out)
			push_out(ring, from, tail);
		if (tail != from)
			atomic_store_explicit(&ring->tail, tail, memory_order_release);
	}
	return sum->records - before;
}

static uint64_t drain(void *peer, struct peer_sum *sum)
{
	return drain_rings(peer, sum, 0);
}

static uint64_t drain_out(void *peer, struct peer_sum *sum)
{
	return drain_rings(peer, sum, 1);
}

static void *open_out(const struct peer_room *room, char why[BENCH_WHY])
{
	if (can_push_out())
		return open_rings(room, why);
	strcpy(why, "this processor has no clflushopt");
	return NULL;
}

static void close_rings(void *peer)
{
	struct rings *rings = peer;

	for (uint32_t i = 0; i < rings->count; i++)
		mirror_unmap(&rings->each[i].data);
	free(rings);
}

extern const struct peer peer_spsc, peer_spsc_pushout;
const struct peer peer_spsc = { .name = "spsc", .package = "", .page = "bench/README.md",
	.flags = PEER_PER_THREAD, .open = open_rings, .join = join, .push = push, .leave = leave,
	.drain = drain, .close = close_rings };
const struct peer peer_spsc_pushout = { .name = "spsc-pushout", .package = "",
	.page = "bench/README.md", .flags = PEER_PER_THREAD, .open = open_out, .join = join,
	.push = push_ahead, .leave = leave, .drain = drain_out, .close = close_rings };
