/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ck_ring.c - Concurrency Kit's bounded ring, many producers to one consumer, records by value.
 *
 *     producers ──▶ reserve_mpsc: [slot: size u64, bytes, unused] ──▶ commit, in order ──▶ consumer
 *
 * CK_RING_PROTOTYPE makes a ring of structs, so a slot has the capacity of the next size of a short
 * list: a record is written into it with its size and a copy of run-time size, and taken out, as
 * ck_ring wants it, by a copy of the whole slot. No other memory has to be found or given back.
 * A producer that has reserved and is preempted stops all those behind it.
 * "ck_ring+fixed" is a ring of bare payloads of one size, enqueued by the plain call.
 */
#include <ck_ring.h>
#include <stdlib.h>

#include "rivals/loop.h"

#define MOST 4096u /* records taken by one drain(): producers may never stop */

struct queue;

struct form {
	uint32_t bytes; /* a slot's */
	size_t slot;
	uint64_t (*push)(void *to, struct peer_source *source, uint64_t count);
	uint64_t (*drain)(struct queue *queue, struct peer_sum *sum);
};

struct queue {
	_Alignas(128) struct ck_ring ring;
	_Alignas(128) void *slots;
	const struct form *form;
};

#define CARRYING(capacity) \
	struct slot_##capacity { \
		uint64_t size; \
		uint8_t bytes[capacity]; \
	}; \
	CK_RING_PROTOTYPE(slot_##capacity, slot_##capacity) \
\
	static inline int take_##capacity(struct queue *queue, const void *data, uint32_t bytes) \
	{ \
		unsigned int ticket; \
		struct slot_##capacity *slot = ck_ring_enqueue_reserve_mpsc_slot_##capacity( \
			&queue->ring, queue->slots, &ticket); \
\
		if (!slot) \
			return 1; \
		slot->size = bytes; \
		memcpy(slot->bytes, data, bytes); \
		ck_ring_enqueue_commit_mpsc(&queue->ring, ticket); \
		return 0; \
	} \
	PEER_LOOP(push_##capacity, struct queue, take_##capacity) \
\
	static uint64_t drain_##capacity(struct queue *queue, struct peer_sum *sum) \
	{ \
		struct slot_##capacity slot; \
		uint64_t n = 0; \
\
		for (; n < MOST && ck_ring_dequeue_mpsc_slot_##capacity(&queue->ring, \
			queue->slots, &slot); n++) \
			peer_took(sum, slot.bytes, (uint32_t)slot.size); \
		return n; \
	}

#define BARE(size) \
	struct bare_##size { \
		uint8_t bytes[size]; \
	}; \
	CK_RING_PROTOTYPE(bare_##size, bare_##size) \
\
	static inline int take_bare_##size(struct queue *queue, const void *data, uint32_t bytes) \
	{ \
		(void)bytes; \
		return !ck_ring_enqueue_mpsc_bare_##size(&queue->ring, queue->slots, \
			(struct bare_##size *)data); \
	} \
	PEER_LOOP(push_bare_##size, struct queue, take_bare_##size) \
\
	static uint64_t drain_bare_##size(struct queue *queue, struct peer_sum *sum) \
	{ \
		struct bare_##size bare; \
		uint64_t n = 0; \
\
		for (; n < MOST && ck_ring_dequeue_mpsc_bare_##size(&queue->ring, queue->slots, \
			&bare); n++) \
			peer_took(sum, bare.bytes, size); \
		return n; \
	}

CARRYING(8)
CARRYING(16)
CARRYING(64)
CARRYING(256)
CARRYING(1024)
CARRYING(4096)
BARE(8)
BARE(64)
BARE(256)

#define FORM(size, kind, of) \
	{ size, sizeof(struct kind##_##size), push_##of##size, drain_##of##size }

static const struct form carrying[] = { FORM(8, slot, ), FORM(16, slot, ), FORM(64, slot, ),
	FORM(256, slot, ), FORM(1024, slot, ), FORM(4096, slot, ) };
static const struct form bare[] = { FORM(8, bare, bare_), FORM(64, bare, bare_),
	FORM(256, bare, bare_) };

static struct queue *open_form(const struct peer_room *room, const struct form *form)
{
	struct queue *queue = aligned_alloc(128, sizeof(*queue));
	uint64_t count = 4;

	while (count <= room->producers * room->records) /* one slot stays empty */
		count *= 2;
	if (!queue || count > UINT32_MAX / 2)
		bench_die("no memory");
	queue->form = form;
	queue->slots = aligned_alloc(64, (count * form->slot + 63) & ~UINT64_C(63));
	if (!queue->slots)
		bench_die("no memory for %llu slots", (unsigned long long)count);
	memset(queue->slots, 1, count * form->slot);
	ck_ring_init(&queue->ring, (unsigned int)count);
	return queue;
}

static void *open_ring(const struct peer_room *room, char why[BENCH_WHY])
{
	const struct form *form = carrying;

	(void)why;
	while (form->bytes < room->bytes)
		form++;
	return open_form(room, form);
}

static void *open_bare(const struct peer_room *room, char why[BENCH_WHY])
{
	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++)
		if (bare[i].bytes == room->bytes)
			return open_form(room, &bare[i]);
	strcpy(why, "the fixed form is built for 8, 64 and 256 bytes");
	return NULL;
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

static uint64_t push(void *producer, struct peer_source *source, uint64_t count)
{
	return ((struct queue *)producer)->form->push(producer, source, count);
}

static uint64_t drain(void *peer, struct peer_sum *sum)
{
	return ((struct queue *)peer)->form->drain(peer, sum);
}

static void close_ring(void *peer)
{
	struct queue *queue = peer;

	free(queue->slots);
	free(queue);
}

#define PAGE "https://github.com/concurrencykit/ck/blob/master/include/ck_ring.h"

extern const struct peer peer_ck_ring, peer_ck_ring_fixed;
const struct peer peer_ck_ring = { .name = "ck_ring", .package = "libck-dev", .page = PAGE,
	.open = open_ring, .join = join, .push = push, .leave = leave, .drain = drain,
	.close = close_ring };
const struct peer peer_ck_ring_fixed = { .name = "ck_ring+fixed", .package = "libck-dev",
	.page = PAGE, .flags = PEER_FIXED, .open = open_bare, .join = join, .push = push,
	.leave = leave, .drain = drain, .close = close_ring };
