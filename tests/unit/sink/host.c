/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - see host.h. */
#include "unit/sink/host.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define PATIENCE_S 20

uint64_t in_ms(uint64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + ms * 1000000u;
}

static void host_ready_op(struct weir_sink_host *base, struct weir_sink *sink)
{
	struct host *host = (struct host *)base;

	(void)sink;
	pthread_mutex_lock(&host->lock);
	host->ready++;
	pthread_cond_broadcast(&host->changed);
	pthread_mutex_unlock(&host->lock);
}

static int no_watch(struct weir_sink_host *host, struct weir_sink *sink, int fd, uint32_t events,
                    void (*fn)(struct weir_sink *sink, int fd, uint32_t events))
{
	(void)host, (void)sink, (void)fd, (void)events, (void)fn;
	return -ENOSPC;
}

static int no_timer(struct weir_sink_host *host, struct weir_sink *sink, uint64_t at_ns)
{
	(void)host, (void)sink, (void)at_ns;
	return 0;
}

static const struct weir_allocator *allocator_op(struct weir_sink_host *base)
{
	return &((struct host *)base)->allocator;
}

static const struct weir_sink_host_ops host_ops = { host_ready_op, no_watch, no_timer,
	                                            allocator_op };

int host_start(struct host *host, struct weir_sink *sink, struct weir_why *why)
{
	pthread_condattr_t attr;

	memset(host, 0, sizeof(*host));
	host->base.ops = &host_ops;
	host->sink = sink;
	pthread_mutex_init(&host->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&host->changed, &attr);
	sink->host = &host->base;
	return sink->ops->start ? sink->ops->start(sink, &host->base, &host->caps, why) : 0;
}

void host_close(struct host *host)
{
	T_EQ(host->sink->ops->settle(host->sink, in_ms(PATIENCE_S * 1000)), 0);
	host->sink->ops->close(host->sink);
	pthread_mutex_lock(&host->lock);
	host->closed = 1;
	pthread_mutex_unlock(&host->lock);
}

static void scribble(struct made *made)
{
	for (uint32_t i = 0; i < made->batch.span_count; i++) {
		memset(made->iov[i].iov_base, 0xee, made->iov[i].iov_len);
		free(made->iov[i].iov_base);
		made->iov[i].iov_base = NULL;
	}
}

static void complete(struct weir_batch *batch, const struct weir_verdict *verdict)
{
	struct made *made = (struct made *)batch;
	struct host *host = made->host;

	pthread_mutex_lock(&host->lock);
	made->verdict = *verdict;
	made->by = pthread_self();
	made->completed++;
	made->order = ++host->completed;
	host->too_late += host->closed != 0;
	if (verdict->kind == WEIR_DONE && !made->keeps_memory)
		scribble(made);
	pthread_cond_broadcast(&host->changed);
	pthread_mutex_unlock(&host->lock);
}

static const struct weir_batch_owner owner = { complete };

struct made *made_new(struct host *host, uint64_t seq)
{
	struct made *made = calloc(1, sizeof(*made));

	made->host = host;
	made->batch.owner = &owner;
	memcpy(made->batch.engine, "an engine's uuid", 16);
	made->batch.seq = seq;
	made->batch.cause = WEIR_CAUSE_SIZE;
	made->batch.formed_ns = in_ms(0);
	made->batch.wall_ns = 1700000000000000000u + seq % 1000000u;
	made->batch.earliest_ns = made->batch.latest_ns = made->batch.formed_ns;
	made->batch.deadline_ns = UINT64_MAX;
	made->batch.spans = made->spans;
	made->batch.iov = made->iov;
	return made;
}

void made_cut(struct made *made)
{
	uint32_t i = made->batch.span_count;

	if (i && !made->iov[i - 1].iov_len)
		return;
	T_TRUE(i < HOST_SPANS);
	made->spans[i] = (struct weir_span){ .ring = i + 1,
		                             .first = made->batch.seq * 1000,
		                             .earliest_ns = made->batch.formed_ns,
		                             .latest_ns = made->batch.formed_ns };
	made->iov[i] = (struct iovec){ NULL, 0 };
	made->batch.span_count++;
}

static void append(struct made *made, const void *data, size_t bytes, int counts)
{
	uint32_t i;

	if (!made->batch.span_count)
		made_cut(made);
	i = made->batch.span_count - 1;
	/* Exactly as large as it is, so that a byte too far is seen. */
	made->iov[i].iov_base = realloc(made->iov[i].iov_base, made->iov[i].iov_len + bytes);
	memcpy((char *)made->iov[i].iov_base + made->iov[i].iov_len, data, bytes);
	made->iov[i].iov_len += bytes;
	made->batch.bytes += bytes;
	made->spans[i].records += (uint32_t)counts;
	made->batch.records += (uint64_t)counts;
}

void made_add(struct made *made, uint16_t source, uint16_t flags, const void *data, uint32_t size)
{
	uint16_t state = (uint16_t)(flags & WEIR_REC_ABORTED ? 0 : WEIR_REC_COMMITTED);
	struct weir_record_header header = { size, source, (uint16_t)(flags | state) };
	size_t total = (size_t)weir_record_total(size, header.flags);
	uint8_t *bytes = malloc(total);
	size_t payload = sizeof(header) + weir_record_ext_bytes(header.flags);

	memset(bytes, 0xdd, total); /* extension and padding */
	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + payload, data, size);
	append(made, bytes, total, state != 0);
	free(bytes);
}

void made_text(struct made *made, const char *text)
{
	made_add(made, 0, 0, text, (uint32_t)strlen(text));
}

void made_free(struct made *made)
{
	for (uint32_t i = 0; i < made->batch.span_count; i++)
		free(made->iov[i].iov_base);
	free(made);
}

struct made *made_rest(const struct made *made, uint64_t records)
{
	struct made *rest = made_new(made->host, made->batch.seq);
	uint64_t index = 0;

	rest->batch.first_record = made->batch.first_record + records;
	rest->batch.attempt = made->batch.attempt;
	for (uint32_t i = 0; i < made->batch.span_count; i++) {
		const uint8_t *at = made->iov[i].iov_base, *end = at + made->iov[i].iov_len;

		made_cut(rest);
		while (at < end) {
			struct weir_record record;
			uint64_t total = weir_record_decode(at, (uint64_t)(end - at), &record);

			T_TRUE(total != 0);
			if (!(record.flags & WEIR_REC_ABORTED) && index++ >= records)
				append(rest, at, total, 1);
			at += total;
		}
	}
	return rest;
}

int host_submit(struct host *host, struct made *made)
{
	int r;

	made->batch.attempt++;
	r = host->sink->ops->submit(host->sink, &made->batch);
	if (r == 0)
		made->submitted++;
	else
		made->batch.attempt--;
	return r;
}

static void wait_changed(struct host *host, const struct timespec *until)
{
	if (pthread_cond_timedwait(&host->changed, &host->lock, until) == ETIMEDOUT) {
		pthread_mutex_unlock(&host->lock);
		T_FAIL("waited %d seconds for the sink", PATIENCE_S);
	}
}

static struct timespec patience(void)
{
	uint64_t at = in_ms(PATIENCE_S * 1000);

	return (struct timespec){ (time_t)(at / 1000000000u), (long)(at % 1000000000u) };
}

void host_give(struct host *host, struct made *made)
{
	unsigned ready = host_ready(host);
	int r;

	while ((r = host_submit(host, made)) == -EAGAIN)
		host_wait_ready(host, ++ready);
	T_EQ(r, 0);
}

int host_wait(struct host *host, struct made *made)
{
	struct timespec until = patience();
	int kind;

	pthread_mutex_lock(&host->lock);
	while (made->completed < made->submitted)
		wait_changed(host, &until);
	kind = (int)made->verdict.kind;
	pthread_mutex_unlock(&host->lock);
	return kind;
}

unsigned host_ready(struct host *host)
{
	unsigned n;

	pthread_mutex_lock(&host->lock);
	n = host->ready;
	pthread_mutex_unlock(&host->lock);
	return n;
}

unsigned host_completed(struct host *host)
{
	unsigned n;

	pthread_mutex_lock(&host->lock);
	n = host->completed;
	pthread_mutex_unlock(&host->lock);
	return n;
}

void host_wait_ready(struct host *host, unsigned n)
{
	struct timespec until = patience();

	pthread_mutex_lock(&host->lock);
	while (host->ready < n)
		wait_changed(host, &until);
	pthread_mutex_unlock(&host->lock);
}

/* The place of @made among the batches that wait, by sequence and first record. */
static void put_in_order(struct made **line, unsigned *count, struct made *made)
{
	unsigned at = (*count)++;

	for (; at && ((int64_t)(line[at - 1]->batch.seq - made->batch.seq) > 0 ||
	              (line[at - 1]->batch.seq == made->batch.seq &&
	               line[at - 1]->batch.first_record > made->batch.first_record));
	     at--)
		line[at] = line[at - 1];
	line[at] = made;
}

/* Takes a batch back that was completed. What is to come again goes into the line. */
static void take(struct made *made, struct made **line, unsigned *count)
{
	struct made *rest;

	T_EQ(made->completed, made->submitted);
	switch (made->verdict.kind) {
	case WEIR_DONE:
		made_free(made);
		return;
	case WEIR_RETRY:
		put_in_order(line, count, made);
		return;
	case WEIR_PARTIAL:
		T_EQ(made->verdict.partial, WEIR_PARTIAL_RECORDS);
		rest = made_rest(made, made->verdict.records);
		made_free(made);
		if (rest->batch.records)
			put_in_order(line, count, rest);
		else
			made_free(rest);
		return;
	default:
		T_FAIL("verdict %u", made->verdict.kind);
	}
}

/* The batch that was given back first, or NULL. */
static struct made **first_back(struct made **out, unsigned count)
{
	struct made **first = NULL;

	for (unsigned i = 0; i < count; i++)
		if (out[i]->completed == out[i]->submitted &&
		    (!first || out[i]->order < (*first)->order))
			first = &out[i];
	return first;
}

void host_run(struct host *host, struct made **batches, unsigned count)
{
	struct made *line[HOST_RECORDS], *out[64];
	unsigned waiting = 0, at_sink = 0, window = host->caps.max_inflight, left = count;

	T_TRUE(window < 64);
	window = window ? window : 1;
	while (left || waiting || at_sink) {
		struct timespec until = patience();
		struct made **back;

		while (at_sink < window && (waiting || left)) {
			struct made *next = waiting ? line[0] : *batches;

			if (waiting)
				memmove(line, line + 1, --waiting * sizeof(*line));
			else
				batches++, left--;
			host_give(host, next);
			out[at_sink++] = next;
		}
		/* One verdict at a time: the sink must bear that later ones are not seen yet. */
		pthread_mutex_lock(&host->lock);
		while (!(back = first_back(out, at_sink)))
			wait_changed(host, &until);
		pthread_mutex_unlock(&host->lock);
		take(*back, line, &waiting);
		*back = out[--at_sink];
	}
}
