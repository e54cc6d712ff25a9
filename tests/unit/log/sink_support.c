/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_support.h"

#include <semaphore.h>

struct weir_verdict t_verdict;
static sem_t completed;

static void complete(struct weir_batch *batch, const struct weir_verdict *verdict)
{
	(void)batch;
	t_verdict = *verdict;
	sem_post(&completed);
}

static const struct weir_batch_owner owner = { complete };

static void ready(struct weir_sink_host *host, struct weir_sink *sink)
{
	(void)host;
	(void)sink;
}

static const struct weir_sink_host_ops host_ops = { .ready = ready };
static struct weir_sink_host host = { &host_ops };

int t_sink_open(const char *dir, const char *options, struct weir_sink **ret, struct weir_why *why)
{
	char uri[256];

	snprintf(uri, sizeof(uri), "file:%s%s", dir, options);
	return weir_sink_open(uri, ret, why);
}

struct weir_sink *t_sink(const char *dir, const char *options)
{
	struct weir_sink_caps caps = { 0 };
	struct weir_sink *sink = NULL;
	struct weir_why why = { "" };

	sem_init(&completed, 0, 0);
	if (t_sink_open(dir, options, &sink, &why))
		T_FAIL("%s", why.text);
	sink->host = &host;
	T_EQ(sink->ops->start(sink, &host, &caps, &why), 0);
	T_EQ(caps.ordered, 1);
	T_EQ(caps.max_inflight, 2);
	T_TRUE(caps.max_bytes == WR_LOG_BATCH_BODY_MAX);
	return sink;
}

void t_sink_close(struct weir_sink *sink)
{
	T_EQ(sink->ops->settle(sink, UINT64_MAX), 0);
	sink->ops->close(sink);
}

uint32_t t_submit(struct weir_sink *sink, struct weir_batch *batch)
{
	batch->owner = &owner;
	T_EQ(sink->ops->submit(sink, batch), 0);
	while (sem_wait(&completed))
		;
	return t_verdict.kind;
}

static uint32_t send(struct weir_sink *sink, uint64_t seq, const void *data, uint32_t size,
                     uint32_t cause)
{
	static uint8_t body[1 << 16];
	struct weir_record_header record = { size, 0, WEIR_REC_COMMITTED };
	struct weir_span span = { .ring = 1, .records = 1 };
	struct iovec iov = { body, weir_record_total(size, record.flags) };
	struct weir_batch batch = { .seq = seq,
		                    .records = 1,
		                    .bytes = iov.iov_len,
		                    .cause = cause,
		                    .attempt = 2,
		                    .formed_ns = 5000,
		                    .wall_ns = 1000000,
		                    .earliest_ns = 4000,
		                    .latest_ns = 5000,
		                    .deadline_ns = UINT64_MAX,
		                    .span_count = 1,
		                    .spans = &span,
		                    .iov = &iov };

	memset(batch.engine, 7, 16);
	memcpy(body, &record, sizeof(record));
	memcpy(body + sizeof(record), data, size);
	return t_submit(sink, &batch);
}

uint32_t t_send(struct weir_sink *sink, uint64_t seq, const void *data, uint32_t size)
{
	return send(sink, seq, data, size, WEIR_CAUSE_SIZE);
}

uint32_t t_send_cause(struct weir_sink *sink, uint64_t seq, uint32_t cause)
{
	return send(sink, seq, "x", 1, cause);
}
