/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zeromq.c - ZeroMQ between threads of one process: a PUSH socket of each producer, connected over
 * inproc:// to the consumer's PULL socket, in a context without I/O threads.
 *
 *     producer i: PUSH ──▶ pipe i ─┐
 *                                  ├─▶ PULL, takes from the pipes in turn ──▶ consumer
 *     producer j: PUSH ──▶ pipe j ─┘
 *
 * A message carries its length. zmq_send() copies the record into it, with a run-time size: into
 * the message itself when it is short, else into memory that it allocates and that is freed when
 * the consumer closes the message. The high-water marks bound each pipe. They are coarse: a sender
 * hears of what was read in steps of half of them, so they are set to twice the room at each end.
 */
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "rivals/loop.h"

#define ADDRESS "inproc://bench"
#define MOST 4096u /* messages taken by one drain(): producers may never stop */

struct bus {
	void *context, *pull;
	int mark;
};

struct producer {
	void *push;
};

static void *socket_of(struct bus *bus, int type, int option)
{
	void *socket = zmq_socket(bus->context, type);
	const int none = 0;

	if (!socket || zmq_setsockopt(socket, option, &bus->mark, sizeof(bus->mark)) ||
	    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none)))
		bench_die("zeromq: %s", zmq_strerror(errno));
	return socket;
}

static void *open_bus(const struct peer_room *room, char why[BENCH_WHY])
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		bench_die("no memory");
	if (room->records > INT32_MAX / 4) {
		strcpy(why, "a high-water mark cannot be so high");
		free(bus);
		return NULL;
	}
	bus->mark = (int)room->records * 2;
	bus->context = zmq_ctx_new();
	if (!bus->context || zmq_ctx_set(bus->context, ZMQ_IO_THREADS, 0))
		bench_die("zeromq: %s", zmq_strerror(errno));
	bus->pull = socket_of(bus, ZMQ_PULL, ZMQ_RCVHWM);
	if (zmq_bind(bus->pull, ADDRESS))
		bench_die("zeromq: %s", zmq_strerror(errno));
	return bus;
}

static void *join(void *peer, uint32_t producer)
{
	struct producer *to = aligned_alloc(128, 128);

	(void)producer;
	if (!to)
		bench_die("no memory");
	to->push = socket_of(peer, ZMQ_PUSH, ZMQ_SNDHWM);
	if (zmq_connect(to->push, ADDRESS))
		bench_die("zeromq: %s", zmq_strerror(errno));
	return to;
}

static void leave(void *producer)
{
	struct producer *to = producer;

	zmq_close(to->push);
	free(to);
}

/* A socket looks for what its pipe tells it only now and then; asking for its events makes it. */
static __attribute__((noinline)) int try_again(struct producer *to, const void *data,
                                               uint32_t bytes)
{
	int events = 0;
	size_t size = sizeof(events);

	if (errno != EAGAIN)
		bench_die("zeromq: %s", zmq_strerror(errno));
	if (zmq_getsockopt(to->push, ZMQ_EVENTS, &events, &size) || !(events & ZMQ_POLLOUT))
		return 1;
	return zmq_send(to->push, data, bytes, ZMQ_DONTWAIT) < 0;
}

static inline int take(struct producer *to, const void *data, uint32_t bytes)
{
	if (zmq_send(to->push, data, bytes, ZMQ_DONTWAIT) >= 0)
		return 0;
	return try_again(to, data, bytes);
}

PEER_LOOP(push, struct producer, take)

static uint64_t drain(void *peer, struct peer_sum *sum)
{
	struct bus *bus = peer;
	zmq_msg_t message;
	uint64_t n = 0;

	(void)zmq_msg_init(&message);
	for (; n < MOST && zmq_msg_recv(&message, bus->pull, ZMQ_DONTWAIT) >= 0; n++)
		peer_took(sum, zmq_msg_data(&message), (uint32_t)zmq_msg_size(&message));
	zmq_msg_close(&message);
	return n;
}

static void close_bus(void *peer)
{
	struct bus *bus = peer;

	zmq_close(bus->pull);
	zmq_ctx_term(bus->context);
	free(bus);
}

extern const struct peer peer_zeromq;
const struct peer peer_zeromq = { .name = "zeromq", .package = "libzmq3-dev",
	.page = "https://github.com/zeromq/libzmq/blob/v4.3.4/doc/zmq_inproc.txt",
	.flags = PEER_PER_THREAD, .open = open_bus, .join = join, .push = push, .leave = leave,
	.drain = drain, .close = close_bus };
