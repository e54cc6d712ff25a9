/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rte_ring.c - DPDK's ring, many producers to one consumer, in its three modes: "rte_ring" (MP),
 * "rte_ring-rts" (relaxed tail) and "rte_ring-hts" (head and tail move as one).
 *
 *     producers ──▶ bulk of 1 + n words: [size u64][word]...[word] ──▶ consumer, reads in place
 *
 * A ring of 8-byte elements, and a record is a bulk of them, which goes in whole or not at all: so
 * records are of any length, and lie behind one another. The first two modes take a bulk from an
 * array, so header and payload are put together there first, with a copy of run-time size; HTS, as
 * the only one for many producers, lets a producer write into the ring itself. The consumer is
 * single and reads in place. "rte_ring+fixed" has elements of one payload and no header.
 *
 * rte_ring_init() works on memory of our own: no environment of DPDK's is set up, and no huge page
 * is used. The flags are those of all peers: the -march of its pkg-config file is left out.
 */
#include <rte_config.h>
#include <rte_ring.h>
#include <stdlib.h>

#include "rivals/fixed.h"

#define WORD ((unsigned)sizeof(uint64_t))
#define MOST 65536u /* elements taken by one drain(): producers may never stop */

struct producer {
	_Alignas(128) struct rte_ring *ring;
	uint64_t record[1 + PEER_BYTES_MAX / sizeof(uint64_t)];
};

struct queue {
	struct rte_ring *ring;
	uint32_t bytes;
	uint64_t record[PEER_BYTES_MAX / sizeof(uint64_t)]; /* one that wraps, in one piece */
	struct producer each[];
};

static void *open_as(const struct peer_room *room, unsigned element, uint64_t per_record,
                     unsigned mode, char why[BENCH_WHY])
{
	uint64_t count = 2;
	uint64_t bytes = sizeof(struct queue) + room->producers * sizeof(struct producer);
	struct queue *queue = aligned_alloc(128, (bytes + 127) & ~UINT64_C(127));
	ssize_t size;

	while (count <= room->producers * room->records * per_record) /* one stays empty */
		count *= 2;
	if (count > RTE_RING_SZ_MASK) {
		strcpy(why, "an rte_ring of so many elements cannot be had");
		free(queue);
		return NULL;
	}
	size = rte_ring_get_memsize_elem(element, (unsigned)count);
	if (!queue || size < 0)
		bench_die("no memory, or no ring of %llu", (unsigned long long)count);
	memset(queue, 0, bytes);
	queue->bytes = room->bytes;
	queue->ring = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)size);
	if (!queue->ring)
		bench_die("no memory for a ring of %lld bytes", (long long)size);
	memset(queue->ring, 1, (size_t)size);
	if (rte_ring_init(queue->ring, "bench", (unsigned)count, mode | RING_F_SC_DEQ))
		bench_die("rte_ring_init() refuses a ring");
	for (uint32_t i = 0; i < room->producers; i++)
		queue->each[i].ring = queue->ring;
	return queue;
}

static void *open_mp(const struct peer_room *room, char why[BENCH_WHY])
{
	return open_as(room, WORD, 1 + room->bytes / WORD, 0, why);
}

static void *open_rts(const struct peer_room *room, char why[BENCH_WHY])
{
	return open_as(room, WORD, 1 + room->bytes / WORD, RING_F_MP_RTS_ENQ, why);
}

static void *open_hts(const struct peer_room *room, char why[BENCH_WHY])
{
	return open_as(room, WORD, 1 + room->bytes / WORD, RING_F_MP_HTS_ENQ, why);
}

static void *open_fixed(const struct peer_room *room, char why[BENCH_WHY])
{
	return peer_fixed_has(room->bytes, why) ? open_as(room, room->bytes, 1, 0, why) : NULL;
}

static void *join(void *peer, uint32_t producer)
{
	return &((struct queue *)peer)->each[producer];
}

static void leave(void *producer)
{
	(void)producer;
}

/* Puts the record together; returns its words. */
static inline unsigned assemble(struct producer *to, const void *data, uint32_t bytes)
{
	to->record[0] = bytes;
	memcpy(to->record + 1, data, bytes);
	return 1 + bytes / WORD;
}

static inline int take_mp(struct producer *to, const void *data, uint32_t bytes)
{
	unsigned words = assemble(to, data, bytes);

	return !rte_ring_mp_enqueue_bulk_elem(to->ring, to->record, WORD, words, NULL);
}

static inline int take_rts(struct producer *to, const void *data, uint32_t bytes)
{
	unsigned words = assemble(to, data, bytes);

	return !rte_ring_mp_rts_enqueue_bulk_elem(to->ring, to->record, WORD, words, NULL);
}

static inline int take_hts(struct producer *to, const void *data, uint32_t bytes)
{
	unsigned words = 1 + bytes / WORD, ahead;
	const uint64_t size = bytes;
	struct rte_ring_zc_data space;

	if (!rte_ring_enqueue_zc_bulk_elem_start(to->ring, WORD, words, &space, NULL))
		return 1;
	memcpy(space.ptr1, &size, sizeof(size));
	if (space.n1 == words) {
		memcpy((uint64_t *)space.ptr1 + 1, data, bytes);
	} else { /* the ring ends in the middle */
		ahead = (space.n1 - 1) * WORD;
		memcpy((uint64_t *)space.ptr1 + 1, data, ahead);
		memcpy(space.ptr2, (const uint8_t *)data + ahead, bytes - ahead);
	}
	rte_ring_enqueue_zc_elem_finish(to->ring, words);
	return 0;
}

static inline __attribute__((always_inline)) int put_fixed(struct producer *to, const void *data,
                                                           uint32_t bytes)
{
	return !rte_ring_mp_enqueue_bulk_elem(to->ring, data, bytes, 1, NULL);
}

PEER_LOOP(push_mp, struct producer, take_mp)
PEER_LOOP(push_rts, struct producer, take_rts)
PEER_LOOP(push_hts, struct producer, take_hts)
PEER_FIXED_LOOPS(push_fixed, struct producer, put_fixed)

static uint64_t drain(void *peer, struct peer_sum *sum)
{
	struct queue *queue = peer;
	struct rte_ring_zc_data some;
	unsigned count, at = 0, words;
	uint64_t before = sum->records;

	count = rte_ring_dequeue_zc_burst_elem_start(queue->ring, WORD, MOST, &some, NULL);
	while (at < count) {
		const uint64_t *first = some.ptr1, *second = some.ptr2;
		uint64_t size = at < some.n1 ? first[at] : second[at - some.n1];
		const void *bytes;

		words = (unsigned)(size / WORD);
		if (words > count - at - 1)
			break; /* the rest of it is not among these */
		if (at + 1 >= some.n1) {
			bytes = second + (at + 1 - some.n1);
		} else if (at + 1 + words <= some.n1) {
			bytes = first + at + 1;
		} else {
			unsigned here = some.n1 - at - 1;

			memcpy(queue->record, first + at + 1, here * WORD);
			memcpy(queue->record + here, second, (words - here) * WORD);
			bytes = queue->record;
		}
		peer_took(sum, bytes, (uint32_t)size);
		at += 1 + words;
	}
	if (count)
		rte_ring_dequeue_zc_elem_finish(queue->ring, at);
	return sum->records - before;
}

static inline __attribute__((always_inline)) uint64_t drain_of(struct queue *queue, uint32_t bytes,
                                                               struct peer_sum *sum)
{
	struct rte_ring_zc_data some;
	unsigned count = rte_ring_dequeue_zc_burst_elem_start(queue->ring, bytes, MOST, &some,
	                                                      NULL);

	for (unsigned i = 0; i < count && i < some.n1; i++)
		peer_took(sum, (const uint8_t *)some.ptr1 + i * bytes, bytes);
	for (unsigned i = some.n1; i < count; i++)
		peer_took(sum, (const uint8_t *)some.ptr2 + (i - some.n1) * bytes, bytes);
	if (count)
		rte_ring_dequeue_zc_elem_finish(queue->ring, count);
	return count;
}

static uint64_t drain_fixed(void *peer, struct peer_sum *sum)
{
	struct queue *queue = peer;

	if (queue->bytes == 8)
		return drain_of(queue, 8, sum);
	return queue->bytes == 64 ? drain_of(queue, 64, sum) : drain_of(queue, 256, sum);
}

static void close_queue(void *peer)
{
	struct queue *queue = peer;

	free(queue->ring);
	free(queue);
}

#define PAGE "https://doc.dpdk.org/guides/prog_guide/ring_lib.html"
#define RTE_PEER(id, text, form, opens, pushes, drains) \
	extern const struct peer peer_##id; \
	const struct peer peer_##id = { .name = text, .package = "libdpdk-dev", .page = PAGE, \
		.flags = form, .open = opens, .join = join, .push = pushes, .leave = leave, \
		.drain = drains, .close = close_queue };

RTE_PEER(rte_ring, "rte_ring", 0, open_mp, push_mp, drain)
RTE_PEER(rte_ring_rts, "rte_ring-rts", 0, open_rts, push_rts, drain)
RTE_PEER(rte_ring_hts, "rte_ring-hts", 0, open_hts, push_hts, drain)
RTE_PEER(rte_ring_fixed, "rte_ring+fixed", PEER_FIXED, open_fixed, push_fixed, drain_fixed)
