/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter.c - a sink under the test's full control. It completes inside submit(), or on workers in any
 * order, or never; it gives every verdict there is, and counts by itself what it delivered.
 */
#include "stress.h"

#include <time.h>
#include <unistd.h>

static void deliver(struct meter *meter, const struct weir_record *record)
{
	uint64_t now = 0, none = 0;

	if (!atomic_load_explicit(&meter->first_ns, memory_order_relaxed)) {
		now = now_ns();
		(void)atomic_compare_exchange_strong(&meter->first_ns, &none, now);
	}
	if (meter->record)
		meter->record(meter, record);
	atomic_fetch_add_explicit(&meter->delivered, 1, memory_order_release);
	atomic_fetch_add_explicit(&meter->bytes, record->size, memory_order_relaxed);
}

/* Is record @i of @batch done by @verdict (1), rejected (-1), or neither (0)? @end: byte behind it. */
static int part(const struct weir_verdict *verdict, uint64_t i, uint64_t end)
{
	switch (verdict->kind) {
	case WEIR_DONE:
		return 1;
	case WEIR_REJECT:
		return -1;
	case WEIR_PARTIAL:
		break;
	default:
		return 0;
	}
	switch (verdict->partial) {
	case WEIR_PARTIAL_RECORDS:
		return i < verdict->records;
	case WEIR_PARTIAL_BYTES:
		return end <= verdict->bytes;
	case WEIR_PARTIAL_BITMAP:
		return verdict->bitmap[i / 64] >> i % 64 & 1;
	default:
		return verdict->codes[i] == 0 ? 1 : verdict->codes[i] == -EAGAIN ? 0 : -1;
	}
}

static void book(struct meter *meter, const struct weir_batch *batch,
                 const struct weir_verdict *verdict)
{
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;
	uint64_t i = 0, before = 0;
	uint32_t span = 0;

	while (weir_batch_next(batch, &iter, &record)) {
		int what;

		for (; span < iter.span; span++)
			before += batch->iov[span].iov_len;
		what = part(verdict, i++, before + iter.offset);
		if (what > 0)
			deliver(meter, &record);
		else if (what < 0)
			atomic_fetch_add(&meter->rejected, 1);
	}
	if (i != batch->records)
		atomic_fetch_add(&meter->seq_gaps, 1);
}

static void finish(struct meter *meter, struct weir_batch *batch, uint64_t *rng)
{
	struct weir_verdict verdict = { .kind = WEIR_DONE };

	if (atomic_load(&meter->cancelled))
		verdict.kind = WEIR_RETRY;
	else if (meter->decide)
		meter->decide(meter, batch, &verdict, rng);
	book(meter, batch, &verdict);
	atomic_store_explicit(&meter->last_ns, now_ns(), memory_order_relaxed);
	atomic_fetch_add(&meter->batches, 1);
	weir_batch_complete(batch, &verdict);
}

/* After an -EAGAIN somebody must call ready: here a thread, a little later. */
static void *readier(void *arg)
{
	struct meter *meter = arg;

	while (atomic_load(&meter->readier_runs)) {
		uint32_t n = atomic_exchange(&meter->readies, 0);

		for (; n; n--)
			weir_sink_ready(&meter->sink);
		nap_ns(100000);
	}
	return NULL;
}

static int submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct meter *meter = (struct meter *)self;

	if (meter->busy_per_mille && below(&meter->rng, 1000) < meter->busy_per_mille) {
		atomic_fetch_add(&meter->readies, 1);
		return -EAGAIN;
	}
	atomic_fetch_add(&meter->submits, 1);
	if (batch->attempt == 1) {
		if (batch->seq != meter->last_seq && batch->seq != meter->last_seq + 1)
			atomic_fetch_add(&meter->seq_gaps, 1);
		meter->last_seq = batch->seq;
		atomic_fetch_add(&meter->causes[batch->cause], 1);
	}
	if (meter->before)
		meter->before(meter, batch);
	if (atomic_load(&meter->stuck)) {
		pthread_mutex_lock(&meter->lock);
		meter->held[meter->held_count++] = batch;
		pthread_mutex_unlock(&meter->lock);
		return 0;
	}
	if (!meter->workers) {
		finish(meter, batch, &meter->rng);
		return 0;
	}
	pthread_mutex_lock(&meter->lock);
	meter->queue[meter->tail++ % 64] = batch;
	pthread_cond_signal(&meter->work);
	pthread_mutex_unlock(&meter->lock);
	return 0;
}

static void *worker(void *arg)
{
	struct meter *meter = arg;
	uint64_t rng;

	rng = stress_seed() ^ atomic_fetch_add(&meter->workers_begun, 1);
	pthread_mutex_lock(&meter->lock);
	for (;;) {
		struct weir_batch *batch;

		while (meter->head == meter->tail && !meter->ending)
			pthread_cond_wait(&meter->work, &meter->lock);
		if (meter->head == meter->tail)
			break;
		batch = meter->queue[meter->head++ % 64];
		meter->running++;
		pthread_mutex_unlock(&meter->lock);
		if (meter->delay_ns && !atomic_load(&meter->cancelled))
			nap_ns(meter->delay_ns);
		finish(meter, batch, &rng);
		pthread_mutex_lock(&meter->lock);
		meter->running--;
		pthread_cond_broadcast(&meter->idle);
	}
	pthread_mutex_unlock(&meter->lock);
	return NULL;
}

static int settle(struct weir_sink *self, uint64_t deadline_ns)
{
	struct meter *meter = (struct meter *)self;
	struct timespec until = { (time_t)(deadline_ns / 1000000000u),
		                  (long)(deadline_ns % 1000000000u) };
	int r = 0;

	pthread_mutex_lock(&meter->lock);
	while ((meter->head != meter->tail || meter->running || meter->held_count) && !r)
		r = pthread_cond_clockwait(&meter->idle, &meter->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&meter->lock);
	return -r;
}

static void cancel(struct weir_sink *self)
{
	atomic_store(&((struct meter *)self)->cancelled, 1);
}

static void close_meter(struct weir_sink *self)
{
	struct meter *meter = (struct meter *)self;

	atomic_fetch_add(&meter->closed, 1);
	pthread_mutex_lock(&meter->lock);
	meter->ending = 1;
	pthread_cond_broadcast(&meter->work);
	pthread_mutex_unlock(&meter->lock);
	if (!atomic_load(&meter->started))
		return;
	for (uint32_t i = 0; i < meter->workers; i++)
		pthread_join(meter->threads[i], NULL);
	if (atomic_exchange(&meter->readier_runs, 0))
		pthread_join(meter->readier, NULL);
}

static int start(struct weir_sink *self, struct weir_sink_host *host, struct weir_sink_caps *caps,
                 struct weir_why *ret_why)
{
	struct meter *meter = (struct meter *)self;

	(void)host;
	(void)ret_why;
	if (meter->start) {
		int r = meter->start(meter);

		if (r)
			return r;
	}
	*caps = meter->caps;
	for (uint32_t i = 0; i < meter->workers; i++)
		if (pthread_create(&meter->threads[i], NULL, worker, meter))
			abort();
	if (meter->busy_per_mille) {
		atomic_store(&meter->readier_runs, 1);
		if (pthread_create(&meter->readier, NULL, readier, meter))
			abort();
	}
	atomic_store(&meter->started, 1);
	return 0;
}

static const struct weir_sink_ops ops = {
	.abi = WEIR_SINK_ABI,
	.name = "meter",
	.submit = submit,
	.settle = settle,
	.close = close_meter,
	.start = start,
	.cancel = cancel,
};

void meter_init(struct meter *meter)
{
	memset(meter, 0, sizeof(*meter));
	meter->sink.ops = &ops;
	meter->rng = stress_seed() ^ 0x5151;
	pthread_mutex_init(&meter->lock, NULL);
	pthread_cond_init(&meter->work, NULL);
	pthread_cond_init(&meter->idle, NULL);
}

void meter_fini(struct meter *meter)
{
	pthread_mutex_destroy(&meter->lock);
	pthread_cond_destroy(&meter->work);
	pthread_cond_destroy(&meter->idle);
}

void meter_unstick(struct meter *meter)
{
	uint64_t rng = 1;

	atomic_store(&meter->stuck, 0);
	for (;;) {
		struct weir_batch *batch = NULL;

		pthread_mutex_lock(&meter->lock);
		if (meter->held_count)
			batch = meter->held[--meter->held_count];
		pthread_mutex_unlock(&meter->lock);
		if (!batch)
			break;
		finish(meter, batch, &rng);
	}
	pthread_mutex_lock(&meter->lock);
	pthread_cond_broadcast(&meter->idle);
	pthread_mutex_unlock(&meter->lock);
}
