/* SPDX-License-Identifier: Apache-2.0 */
/* dest.c - see dest.h: what all do alike, and weir. */
#include "harness/dest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weir/weir.h>

#include "harness/clock.h"
#include "rivals/peer.h"

void dest_take(struct dest_batch *batch, const void *record)
{
	if (batch->count == DEST_ROOM)
		bench_die("a batch is larger than all the room");
	memcpy(&batch->intended[batch->count++], record, sizeof(uint64_t));
	batch->sum += peer_sum_of(record, DEST_BYTES);
}

void dest_tell(struct dest_batch *batch, struct dest_out *out)
{
	uint64_t now = bench_now();

	out->sum += batch->sum;
	for (uint64_t i = 0; i < batch->count; i++) {
		uint64_t intended = batch->intended[i];

		bench_hist_note(&out->latency, now > intended ? now - intended : 0);
	}
	atomic_fetch_add_explicit(&out->records, batch->count, memory_order_release);
	batch->count = batch->sum = 0;
}

int dest_settle(const struct dest_out *out, uint64_t records, uint64_t timeout_ns)
{
	uint64_t give_up = bench_now() + timeout_ns;

	while (atomic_load_explicit(&out->records, memory_order_acquire) != records) {
		if (bench_now() > give_up)
			return -ETIMEDOUT;
		bench_sleep_until(bench_now() + 100000);
	}
	return 0;
}

struct engine {
	struct weir *weir;
	struct dest_out *out;
	struct dest_batch batch;
};

static void on_batch(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct engine *engine = arg;

	(void)verdict; /* zeroed: done */
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const uint8_t *at = batch->iov[i].iov_base, *end = at + batch->iov[i].iov_len;
		struct weir_record_header header;

		for (; at < end; at += weir_record_total(header.size, header.flags)) {
			memcpy(&header, at, sizeof(header));
			if (header.flags & WEIR_REC_COMMITTED)
				dest_take(&engine->batch,
				          at + sizeof(header) +
				                  weir_record_ext_bytes(header.flags));
		}
	}
	dest_tell(&engine->batch, engine->out);
}

static void *open_engine(const struct dest_plan *plan, struct dest_out *out)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why why = { "no memory" };
	uint64_t ring_bytes = 65536;

	if (!engine)
		bench_die("no memory");
	engine->out = out;
	/* One producer, so one ring: it holds as much as the rivals' arrays do, and no more. */
	while (2 * ring_bytes <= DEST_ROOM * (DEST_BYTES + sizeof(struct weir_record_header)))
		ring_bytes *= 2;
	weir_config_init(&config);
	config.ring_bytes = ring_bytes;
	config.threshold = plan->threshold;
	config.deadline_ns = plan->deadline_ns;
	if (weir_sink_callback(on_batch, engine, &sink) ||
	    weir_open(&config, sink, &engine->weir, &why))
		bench_die("weir: %s", why.text);
	return engine;
}

static int push_engine(void *dest, const void *record)
{
	return weir_push(((struct engine *)dest)->weir, record, DEST_BYTES);
}

static void close_engine(void *dest)
{
	struct engine *engine = dest;

	(void)weir_close(engine->weir, WEIR_SECONDS(5), NULL);
	weir_free(engine->weir);
	free(engine);
}

const struct dest dest_weir = { "weir", open_engine, push_engine, close_engine };
