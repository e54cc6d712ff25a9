/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wfcqueue.c - liburcu's linked queue with a wait-free enqueue, and two ways to get its nodes.
 *
 *     producer: node [next][size][bytes] ──▶ one exchange ──▶ splice: all at once ──▶ consumer
 *                 ▲                                                                     │
 *                 └── "wfcqueue-jemalloc": malloc()                            free() ◀─┤
 *                 └── "wfcqueue-prealloc": own pool ◀── wait-free stack of returned ◀───┘
 *
 * A node has room for the record, carries its size and is filled with a copy of run-time size. The
 * allocator is the process's: the bench programs are linked with jemalloc, and the machine line
 * says which it is. With malloc() nothing bounds the queue, so a producer asks for leave to push
 * some records at a time. Nothing waits: where a producer was preempted in the middle of its
 * enqueue, the consumer comes back later.
 *
 * _LGPL_SOURCE asks for the inlined calls: the fast form of liburcu, in this bench alone.
 */
#define _LGPL_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <urcu/wfcqueue.h>
#include <urcu/wfstack.h>

#include "rivals/loop.h"

#define LEAVE_TO 256u /* records that a producer may push before it asks again */

struct node {
	union {
		struct cds_wfcq_node queued;
		struct cds_wfs_node idle;
	};
	struct producer *home;
	uint64_t size;
	uint8_t bytes[];
};

struct producer {
	_Alignas(128) struct queue *queue;
	uint32_t allowed;          /* jemalloc: what is left of its leave */
	struct cds_wfs_node *idle; /* prealloc: nodes that only it sees */
	uint8_t *pool;
	_Alignas(128) struct __cds_wfs_stack returned; /* the consumer pushes, it takes all */
};

struct queue {
	_Alignas(128) struct cds_wfcq_tail tail; /* the producers' */
	_Alignas(128) struct __cds_wfcq_head head;
	struct __cds_wfcq_head mine; /* what the consumer has spliced out and not read yet */
	struct cds_wfcq_tail mine_tail;
	_Alignas(128) _Atomic uint64_t inside; /* jemalloc: at least so many records are in it */
	uint64_t room;
	uint32_t producers;
	struct producer each[];
};

static struct queue *open_queue(const struct peer_room *room)
{
	struct queue *queue = aligned_alloc(128, sizeof(*queue) +
	                                             room->producers * sizeof(struct producer));

	if (!queue)
		bench_die("no memory");
	memset(queue, 0, sizeof(*queue) + room->producers * sizeof(struct producer));
	__cds_wfcq_init(&queue->head, &queue->tail);
	__cds_wfcq_init(&queue->mine, &queue->mine_tail);
	queue->room = room->producers * (room->records + 2 * LEAVE_TO);
	queue->producers = room->producers;
	for (uint32_t i = 0; i < room->producers; i++) {
		queue->each[i].queue = queue;
		__cds_wfs_init(&queue->each[i].returned);
	}
	return queue;
}

static void *open_malloc(const struct peer_room *room, char why[BENCH_WHY])
{
	(void)why;
	return open_queue(room);
}

static void *open_prealloc(const struct peer_room *room, char why[BENCH_WHY])
{
	struct queue *queue = open_queue(room);
	uint64_t stride = (offsetof(struct node, bytes) + room->bytes + 15) & ~UINT64_C(15);
	uint64_t bytes = (room->records * stride + 63) & ~UINT64_C(63);

	(void)why;
	for (uint32_t i = 0; i < room->producers; i++) {
		struct producer *producer = &queue->each[i];

		producer->pool = aligned_alloc(64, bytes);
		if (!producer->pool)
			bench_die("no memory for a pool");
		memset(producer->pool, 0, bytes);
		for (uint64_t n = room->records; n; n--) {
			struct node *node =
				(struct node *)(void *)(producer->pool + (n - 1) * stride);

			node->home = producer;
			cds_wfs_node_init(&node->idle);
			(void)cds_wfs_push(&producer->returned, &node->idle);
		}
	}
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

static inline void put(struct producer *producer, struct node *node, const void *data,
                       uint32_t bytes)
{
	struct queue *queue = producer->queue;

	node->size = bytes;
	memcpy(node->bytes, data, bytes);
	cds_wfcq_node_init(&node->queued);
	(void)cds_wfcq_enqueue(&queue->head, &queue->tail, &node->queued);
}

static inline int take_malloc(struct producer *producer, const void *data, uint32_t bytes)
{
	struct queue *queue = producer->queue;
	struct node *node;

	if (!producer->allowed) {
		if (atomic_load_explicit(&queue->inside, memory_order_relaxed) > queue->room)
			return 1;
		atomic_fetch_add_explicit(&queue->inside, LEAVE_TO, memory_order_relaxed);
		producer->allowed = LEAVE_TO;
	}
	node = malloc(sizeof(*node) + bytes);
	if (!node)
		return 1;
	producer->allowed--;
	put(producer, node, data, bytes);
	return 0;
}

static inline int take_prealloc(struct producer *producer, const void *data, uint32_t bytes)
{
	struct cds_wfs_node *idle = producer->idle, *next;

	if (!idle) {
		if (cds_wfs_empty(&producer->returned))
			return 1;
		idle = cds_wfs_first(__cds_wfs_pop_all(&producer->returned));
		producer->idle = idle;
	}
	next = cds_wfs_next_nonblocking(idle);
	if (next == CDS_WFS_WOULDBLOCK)
		return 1; /* the consumer is about to link it */
	producer->idle = next;
	put(producer, caa_container_of(idle, struct node, idle), data, bytes);
	return 0;
}

PEER_LOOP(push_malloc, struct producer, take_malloc)
PEER_LOOP(push_prealloc, struct producer, take_prealloc)

/* NULL: there is none, or none that can be taken yet. */
static inline struct node *next_of_mine(struct queue *queue)
{
	struct cds_wfcq_node *node =
		__cds_wfcq_dequeue_nonblocking(&queue->mine, &queue->mine_tail);

	if (!node || node == CDS_WFCQ_WOULDBLOCK)
		return NULL;
	return caa_container_of(node, struct node, queued);
}

static void splice(struct queue *queue)
{
	(void)__cds_wfcq_splice_nonblocking(&queue->mine, &queue->mine_tail, &queue->head,
	                                    &queue->tail);
}

static uint64_t drain_malloc(void *peer, struct peer_sum *sum)
{
	struct queue *queue = peer;
	struct node *node;
	uint64_t n = 0;

	splice(queue);
	for (; (node = next_of_mine(queue)); n++) {
		peer_took(sum, node->bytes, (uint32_t)node->size);
		free(node);
	}
	if (n)
		atomic_fetch_sub_explicit(&queue->inside, n, memory_order_relaxed);
	return n;
}

static uint64_t drain_prealloc(void *peer, struct peer_sum *sum)
{
	struct queue *queue = peer;
	struct node *node;
	uint64_t n = 0;

	splice(queue);
	for (; (node = next_of_mine(queue)); n++) {
		peer_took(sum, node->bytes, (uint32_t)node->size);
		cds_wfs_node_init(&node->idle);
		(void)cds_wfs_push(&node->home->returned, &node->idle);
	}
	return n;
}

static void close_malloc(void *peer)
{
	struct peer_sum rest = { 0, 0 };

	while (drain_malloc(peer, &rest))
		;
	free(peer);
}

static void close_prealloc(void *peer)
{
	struct queue *queue = peer;

	for (uint32_t i = 0; i < queue->producers; i++)
		free(queue->each[i].pool);
	free(queue);
}

#define PAGE "https://github.com/urcu/userspace-rcu/blob/master/include/urcu/wfcqueue.h"

extern const struct peer peer_wfcqueue_jemalloc, peer_wfcqueue_prealloc;
const struct peer peer_wfcqueue_jemalloc = { .name = "wfcqueue-jemalloc",
	.package = "liburcu-dev", .page = PAGE, .open = open_malloc, .join = join,
	.push = push_malloc, .leave = leave, .drain = drain_malloc, .close = close_malloc };
const struct peer peer_wfcqueue_prealloc = { .name = "wfcqueue-prealloc",
	.package = "liburcu-dev", .page = PAGE, .open = open_prealloc, .join = join,
	.push = push_prealloc, .leave = leave, .drain = drain_prealloc,
	.close = close_prealloc };
