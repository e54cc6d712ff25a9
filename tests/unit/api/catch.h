/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catch.h - a sink for tests that keeps what it gets and answers as it is told, and an engine on it.
 *
 * It completes inside submit(), on the flusher. hold: batches are kept until
 * catch_release() or catch_let_go().
 */
#ifndef WEIR_TEST_CATCH_H
#define WEIR_TEST_CATCH_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <weir/weir.h>

#include "test.h"

#define CATCH_MAX 20000

struct caught {
	uint32_t size;
	uint16_t source, flags;
	uint64_t origin_ns, max_age_ns;
	uint8_t uuid[16];
	uint8_t has_uuid;
	uint8_t data[23]; /* the first bytes */
};

struct catch {
	struct weir_sink sink;
	struct catch *older;
	struct weir_config config;
	struct weir *weir;
	pthread_mutex_t lock;
	struct caught records[CATCH_MAX];
	uint64_t count, batches;
	uint64_t batch_records[CATCH_MAX];
	uint32_t batch_cause[CATCH_MAX];
	uint64_t seq[CATCH_MAX], first_record[CATCH_MAX];
	uint32_t attempt[CATCH_MAX];
	/* Verdicts to give, in turn; DONE after the last. */
	struct weir_verdict verdicts[64];
	unsigned verdict_count, verdict_next;
	int hold;
	struct weir_batch *held[64];
	unsigned held_count;
	int start_result, closed;
	struct weir_sink_caps caps;
};

static inline struct catch *catch_of(struct weir_sink *sink)
{
	return (struct catch *)(void *)sink;
}

static inline void catch_keep(struct catch *catch, const struct weir_batch *batch)
{
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;
	uint64_t n = 0;

	while (weir_batch_next(batch, &iter, &record)) {
		struct caught *to = &catch->records[catch->count++ % CATCH_MAX];

		memset(to, 0, sizeof(*to));
		to->size = record.size;
		to->source = record.source;
		to->flags = record.flags;
		to->origin_ns = record.origin_ns;
		to->max_age_ns = record.max_age_ns;
		to->has_uuid = record.uuid != NULL;
		if (record.uuid)
			memcpy(to->uuid, record.uuid, 16);
		memcpy(to->data, record.data, record.size < 23 ? record.size : 23);
		n++;
	}
	T_EQ(n, batch->records);
}

static inline void catch_finish(struct catch *catch, struct weir_batch *batch)
{
	struct weir_verdict verdict = { .kind = WEIR_DONE };

	pthread_mutex_lock(&catch->lock);
	if (catch->verdict_next < catch->verdict_count)
		verdict = catch->verdicts[catch->verdict_next++];
	if (verdict.kind == WEIR_DONE)
		catch_keep(catch, batch);
	pthread_mutex_unlock(&catch->lock);
	weir_batch_complete(batch, &verdict);
}

static inline int catch_submit(struct weir_sink *sink, struct weir_batch *batch)
{
	struct catch *catch = catch_of(sink);
	uint64_t i;

	pthread_mutex_lock(&catch->lock);
	i = catch->batches++ % CATCH_MAX;
	catch->batch_records[i] = batch->records;
	catch->batch_cause[i] = batch->cause;
	catch->seq[i] = batch->seq;
	catch->first_record[i] = batch->first_record;
	catch->attempt[i] = batch->attempt;
	if (catch->hold) {
		catch->held[catch->held_count++] = batch;
		pthread_mutex_unlock(&catch->lock);
		return 0;
	}
	pthread_mutex_unlock(&catch->lock);
	catch_finish(catch, batch);
	return 0;
}

/* Finishes what is held. Returns how many batches. */
static inline unsigned catch_release(struct catch *catch)
{
	struct weir_batch *held[64];
	unsigned n;

	pthread_mutex_lock(&catch->lock);
	n = catch->held_count;
	memcpy(held, catch->held, sizeof(held));
	catch->held_count = 0;
	pthread_mutex_unlock(&catch->lock);
	for (unsigned i = 0; i < n; i++)
		catch_finish(catch, held[i]);
	return n;
}

/* From now on nothing is held. Returns how many batches were. */
static inline unsigned catch_let_go(struct catch *catch)
{
	pthread_mutex_lock(&catch->lock);
	catch->hold = 0;
	pthread_mutex_unlock(&catch->lock);
	return catch_release(catch);
}

static inline int catch_settle(struct weir_sink *sink, uint64_t deadline_ns)
{
	const struct timespec a_while = { 0, 1000000 };
	struct catch *catch = catch_of(sink);
	struct timespec now;
	unsigned held;

	for (;;) {
		pthread_mutex_lock(&catch->lock);
		held = catch->held_count;
		pthread_mutex_unlock(&catch->lock);
		if (!held)
			return 0;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec >= deadline_ns)
			return -ETIMEDOUT;
		nanosleep(&a_while, NULL);
	}
}

/* Completes the held batch @i on the calling thread, and is done with all of them. */
static inline void catch_give_last(struct catch *catch, unsigned i, struct weir_verdict verdict)
{
	weir_batch_complete(catch->held[i], &verdict);
	pthread_mutex_lock(&catch->lock);
	catch->held_count = 0;
	pthread_mutex_unlock(&catch->lock);
}

static inline void catch_close(struct weir_sink *sink)
{
	catch_of(sink)->closed++;
}

static inline int catch_start(struct weir_sink *sink, struct weir_sink_host *host,
                              struct weir_sink_caps *caps, struct weir_why *ret_why)
{
	(void)host;
	(void)ret_why;
	*caps = catch_of(sink)->caps;
	return catch_of(sink)->start_result;
}

static inline void catch_cancel(struct weir_sink *sink)
{
	struct catch *catch = catch_of(sink);

	pthread_mutex_lock(&catch->lock);
	for (unsigned i = 0; i < 64; i++)
		catch->verdicts[i] = (struct weir_verdict){ .kind = WEIR_RETRY };
	catch->verdict_next = 0;
	catch->verdict_count = 64;
	pthread_mutex_unlock(&catch->lock);
	catch_release(catch);
}

static const struct weir_sink_ops catch_ops = {
	.abi = WEIR_SINK_ABI,
	.name = "catch",
	.submit = catch_submit,
	.settle = catch_settle,
	.close = catch_close,
	.start = catch_start,
	.cancel = catch_cancel,
};

/* A catch with defaults and every trigger off but what the test sets; open it with catch_open(). */
static inline struct catch *catch_new(void)
{
	static struct catch *newest; /* read after the end of an engine, and never freed */
	struct catch *catch = calloc(1, sizeof(*catch));

	T_TRUE(catch);
	catch->older = newest;
	newest = catch;
	catch->sink.ops = &catch_ops;
	pthread_mutex_init(&catch->lock, NULL);
	weir_config_init(&catch->config);
	catch->config.threshold = WEIR_OFF;
	catch->config.threshold_bytes = WEIR_OFF;
	catch->config.deadline_ns = WEIR_OFF;
	return catch;
}

static inline struct weir *catch_open(struct catch *catch)
{
	struct weir_why why = { "" };
	int r = weir_open(&catch->config, &catch->sink, &catch->weir, &why);

	if (r)
		T_FAIL("open: %d %s", r, why.text);
	return catch->weir;
}

/* Waits until @count records came, or ten seconds have passed. */
static inline void catch_wait(struct catch *catch, uint64_t count)
{
	for (int i = 0; i < 10000; i++) {
		struct timespec ms = { 0, 1000000 };
		uint64_t have;

		pthread_mutex_lock(&catch->lock);
		have = catch->count;
		pthread_mutex_unlock(&catch->lock);
		if (have >= count)
			return;
		nanosleep(&ms, NULL);
	}
	T_FAIL("%llu records never came", (unsigned long long)count);
}

static inline void catch_end(struct catch *catch)
{
	T_EQ(weir_close(catch->weir, WEIR_SECONDS(10), NULL), 0);
	T_EQ(weir_free(catch->weir), 0);
	T_EQ(catch->closed, 1);
}

static inline struct weir_stats catch_stats(const struct catch *catch)
{
	struct weir_stats stats = { .size = sizeof(stats) };

	T_EQ(weir_stats(catch->weir, &stats), 0);
	return stats;
}

static inline struct weir_audit catch_audit(struct catch *catch)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	T_EQ(weir_audit(catch->weir, &audit), 0);
	T_EQ(audit.residual, 0);
	return audit;
}

#endif
