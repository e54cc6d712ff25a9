/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir.c - weir as the benches use it: "weir" with a flusher of its own, whose sink adds up;
 * "weir-own" with its loop on the consumer's thread (loop=own).
 *
 *     producers ──▶ [rings of their CPUs] ──▶ flusher ──▶ callback sink: sum of all words
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weir/weir.h>

#include "rivals/loop.h"

struct engine {
	struct weir *weir;
	struct peer_sum out; /* the flusher's; read after a flush */
	struct peer_sum told;
};

static void on_batch(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct engine *engine = arg;
	struct peer_sum out = engine->out;

	(void)verdict; /* zeroed: done */
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const uint8_t *at = batch->iov[i].iov_base, *end = at + batch->iov[i].iov_len;
		struct weir_record_header header;

		for (; at < end; at += weir_record_total(header.size, header.flags)) {
			memcpy(&header, at, sizeof(header));
			if (header.flags & WEIR_REC_COMMITTED)
				peer_took(&out, at + sizeof(header) +
				                weir_record_ext_bytes(header.flags), header.size);
		}
	}
	engine->out = out;
}

static uint64_t power_of_two(uint64_t n)
{
	uint64_t power = 65536;

	while (power < n)
		power *= 2;
	return power;
}

static void *open_as(const struct peer_room *room, uint32_t loop, char why[BENCH_WHY])
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why reason;

	if (!engine)
		bench_die("no memory");
	weir_config_init(&config);
	/* A ring serves all producers of its CPU. */
	config.ring_bytes = power_of_two(room->records * (room->bytes + 8) + 4096);
	config.record_max = PEER_BYTES_MAX; /* a small ring takes no larger ones */
	config.loop = loop;
	config.deadline_ns = WEIR_OFF;
	config.threshold = room->threshold ? room->threshold : WEIR_OFF;
	config.threshold_bytes = WEIR_OFF;
	config.pressure_mode = room->threshold ? config.pressure_mode : WEIR_MODE_OFF;
	if (weir_sink_callback(on_batch, engine, &sink) ||
	    weir_open(&config, sink, &engine->weir, &reason)) {
		snprintf(why, BENCH_WHY, "%.120s", reason.text);
		free(engine);
		return NULL;
	}
	return engine;
}

static void *open_engine(const struct peer_room *room, char why[BENCH_WHY])
{
	return open_as(room, WEIR_LOOP_THREAD, why);
}

static void *open_own(const struct peer_room *room, char why[BENCH_WHY])
{
	return open_as(room, WEIR_LOOP_OWN, why);
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

static inline int take(struct engine *engine, const void *data, uint32_t bytes)
{
	return weir_push(engine->weir, data, bytes);
}

PEER_LOOP(push, struct engine, take)

static uint64_t drain_own(void *peer, struct peer_sum *sum)
{
	struct engine *engine = peer;
	uint64_t before = engine->out.records;

	(void)weir_flush(engine->weir);
	(void)weir_run_once(engine->weir, 0);
	*sum = engine->out;
	return engine->out.records - before;
}

static void settle(void *peer, uint64_t expected, struct peer_sum *sum)
{
	struct engine *engine = peer;

	(void)expected;
	if (weir_flush_wait(engine->weir, WEIR_SECONDS(30)))
		bench_die("weir: a flush was not done in 30 s");
	*sum = engine->out;
}

static void close_engine(void *peer)
{
	struct engine *engine = peer;

	(void)weir_close(engine->weir, WEIR_SECONDS(30), NULL);
	weir_free(engine->weir);
	free(engine);
}

extern const struct peer peer_weir, peer_weir_own;
const struct peer peer_weir = { .name = "weir", .package = "", .page = "README.md",
	.flags = PEER_OURS, .open = open_engine, .join = join, .push = push, .leave = leave,
	.settle = settle, .close = close_engine };
const struct peer peer_weir_own = { .name = "weir-own", .package = "", .page = "README.md",
	.flags = PEER_OURS, .open = open_own, .join = join, .push = push, .leave = leave,
	.drain = drain_own, .close = close_engine };
