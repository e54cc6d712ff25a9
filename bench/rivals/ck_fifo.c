/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ck_fifo.c - Concurrency Kit's linked queue of many producers (ck_fifo_mpmc, a Michael-Scott queue
 * with generation counts), and where its nodes come from: each producer has a pool of its own.
 *
 *     producer: pool ──▶ node [entry][size][bytes] ──▶ fifo ──▶ consumer
 *                 ▲                                                 │
 *                 └──── ck_stack of returned nodes, taken whole ◀───┘
 *
 * A node has room for the record, carries its size and is filled with a copy of run-time size. The
 * queue keeps its newest dequeued entry as a stub and gives back the one before: a node goes home
 * one record later than its content was read. The pool is what bounds the queue.
 */
#include <ck_fifo.h>
#include <ck_stack.h>
#include <stdlib.h>

#include "rivals/loop.h"

#ifdef CK_F_FIFO_MPMC

#define MOST 4096u /* records taken by one drain(): producers may never stop */
#define SPARE 2u   /* of each pool: one node may be the stub, one is it from the start */

struct node {
	struct ck_fifo_mpmc_entry entry; /* first */
	struct ck_stack_entry idle;
	struct producer *home;
	uint64_t size;
	uint8_t bytes[];
};

struct producer {
	_Alignas(128) struct ck_fifo_mpmc *fifo;
	struct ck_stack_entry *idle; /* nodes that only it sees */
	uint8_t *pool;
	_Alignas(128) struct ck_stack returned; /* the consumer pushes, the producer takes all */
};

struct queue {
	_Alignas(128) struct ck_fifo_mpmc fifo;
	_Alignas(128) uint32_t producers;
	struct producer each[];
};

static struct node *node_of(struct ck_stack_entry *idle)
{
	return (struct node *)(void *)((uint8_t *)idle - offsetof(struct node, idle));
}

static void fill_pool(struct producer *producer, const struct peer_room *room)
{
	uint64_t stride = (offsetof(struct node, bytes) + room->bytes + 15) & ~UINT64_C(15);
	uint64_t count = room->records + SPARE;

	producer->pool = aligned_alloc(64, (count * stride + 63) & ~UINT64_C(63));
	if (!producer->pool)
		bench_die("no memory for %llu nodes", (unsigned long long)count);
	memset(producer->pool, 0, count * stride);
	ck_stack_init(&producer->returned);
	producer->idle = NULL;
	for (uint64_t i = count; i; i--) {
		struct node *node = (struct node *)(void *)(producer->pool + (i - 1) * stride);

		node->home = producer;
		node->idle.next = producer->idle;
		producer->idle = &node->idle;
	}
}

static void *open_queue(const struct peer_room *room, char why[BENCH_WHY])
{
	struct queue *queue = aligned_alloc(128, sizeof(*queue) +
	                                             room->producers * sizeof(struct producer));
	struct ck_stack_entry *stub;

	(void)why;
	if (!queue)
		bench_die("no memory");
	queue->producers = room->producers;
	for (uint32_t i = 0; i < room->producers; i++) {
		queue->each[i].fifo = &queue->fifo;
		fill_pool(&queue->each[i], room);
	}
	stub = queue->each[0].idle;
	queue->each[0].idle = stub->next;
	ck_fifo_mpmc_init(&queue->fifo, &node_of(stub)->entry);
	return queue;
}

static void *join(void *peer, uint32_t producer)
{
	return &((struct queue *)peer)->each[producer];
}

static void leave(void *producer)
{
	(void)producer;
}

static inline int take(struct producer *producer, const void *data, uint32_t bytes)
{
	struct node *node;

	if (!producer->idle) {
		if (CK_STACK_ISEMPTY(&producer->returned))
			return 1;
		producer->idle = ck_stack_batch_pop_upmc(&producer->returned);
	}
	node = node_of(producer->idle);
	producer->idle = node->idle.next;
	node->size = bytes;
	memcpy(node->bytes, data, bytes);
	ck_fifo_mpmc_enqueue(producer->fifo, &node->entry, node);
	return 0;
}

PEER_LOOP(push, struct producer, take)

static uint64_t drain(void *peer, struct peer_sum *sum)
{
	struct queue *queue = peer;
	struct ck_fifo_mpmc_entry *garbage;
	uint64_t n = 0;
	void *value;

	for (; n < MOST && ck_fifo_mpmc_dequeue(&queue->fifo, &value, &garbage); n++) {
		struct node *node = value, *old = (struct node *)(void *)garbage;

		peer_took(sum, node->bytes, (uint32_t)node->size);
		ck_stack_push_upmc(&old->home->returned, &old->idle);
	}
	return n;
}

static void close_queue(void *peer)
{
	struct queue *queue = peer;

	for (uint32_t i = 0; i < queue->producers; i++)
		free(queue->each[i].pool);
	free(queue);
}

#else
/* It needs a compare-and-swap of two words. */
static void *open_queue(const struct peer_room *room, char why[BENCH_WHY])
{
	(void)room;
	strcpy(why, "ck_fifo_mpmc is not available on this kind of processor");
	return NULL;
}
#endif

extern const struct peer peer_ck_fifo;
const struct peer peer_ck_fifo = { .name = "ck_fifo", .package = "libck-dev",
	.page = "https://github.com/concurrencykit/ck/blob/master/include/ck_fifo.h",
	.open = open_queue,
#ifdef CK_F_FIFO_MPMC
	.join = join, .push = push, .leave = leave, .drain = drain, .close = close_queue,
#endif
};
