/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c - what becomes of a batch that the sink gave back. thread: flusher */
#include "flush/flusher.h"

#include <errno.h>
#include <string.h>

#include "base/sys.h"

void wr_batch_final(struct wr_flusher *flusher, struct wr_batch *batch, unsigned which)
{
	struct wr_batch *whole = batch->whole;

	wr_count(&flusher->counters, which, batch->seen.records);
	wr_count(&flusher->counters, WR_TAKEN, -batch->seen.records);
	wr_batch_live(flusher, batch, 0);
	if (batch != whole)
		wr_batch_unused(flusher, batch);
	if (--whole->pieces)
		return;
	wr_count(&flusher->counters, WR_BATCHES_DONE, 1);
	wr_release_batch(flusher, whole);
}

/* Later, but not later than the time all attempts may take. */
static void again(struct wr_flusher *flusher, struct wr_batch *batch, uint64_t after_ns)
{
	uint64_t now = wr_sys.now();

	if (now >= batch->seen.deadline_ns) {
		wr_batch_final(flusher, batch, WR_DROPPED_TIMEOUT);
		return;
	}
	wr_count(&flusher->counters, WR_RETRIES, 1);
	batch->not_before_ns = wr_policy_retry_at(now, after_ns);
	if (batch->not_before_ns > batch->seen.deadline_ns)
		batch->not_before_ns = batch->seen.deadline_ns;
	wr_batch_again(flusher, batch);
}

enum part { PART_DONE, PART_AGAIN, PART_REJECTED };

/* Which of the three a record is, by the verdict of its batch. */
static enum part part_of(const struct wr_batch *batch, uint64_t index, uint64_t prefix)
{
	uint64_t words = batch->bitmap_words / 2;

	if (batch->verdict.partial == WEIR_PARTIAL_RECORDS ||
	    batch->verdict.partial == WEIR_PARTIAL_BYTES)
		return index < prefix ? PART_DONE : PART_AGAIN;
	if (batch->seen.records > words * 64)
		return PART_AGAIN;
	if (batch->bitmap[index / 64] >> index % 64 & 1)
		return PART_DONE;
	return batch->bitmap[words + index / 64] >> index % 64 & 1 ? PART_REJECTED : PART_AGAIN;
}

/* Walks the batch: records before byte @bytes of its spans, whole ones only. */
static uint64_t records_in(const struct wr_batch *batch, uint64_t bytes)
{
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;
	uint64_t n = 0, before = 0;
	uint32_t span = 0;

	while (weir_batch_next(&batch->seen, &iter, &record)) {
		for (; span < iter.span; span++)
			before += batch->iov[span].iov_len;
		if (before + iter.offset > bytes)
			break;
		n++;
	}
	return n;
}

/* One run of records that go on: a span of the new piece, from the record at @first. */
struct run {
	struct wr_batch *piece; /* NULL: only count the spans */
	uint32_t spans;
	uint32_t last_span;
	uint64_t records;
	const uint8_t *end;
};

static void run_add(struct run *run, const struct wr_batch *from, uint32_t span,
                    const uint8_t *at, const uint8_t *end)
{
	const struct weir_span *source = &from->spans[span];
	uint32_t i;

	run->records++;
	if (run->spans && run->last_span == span && run->end == at) {
		i = run->spans - 1;
	} else {
		i = run->spans++;
		run->last_span = span;
		if (run->piece) {
			run->piece->spans[i] = *source;
			run->piece->spans[i].records = 0;
			run->piece->iov[i].iov_base = (void *)(uintptr_t)at;
			run->piece->iov[i].iov_len = 0;
		}
	}
	if (run->piece) {
		run->piece->spans[i].records++;
		run->piece->iov[i].iov_len += (size_t)(end - at);
		run->piece->seen.bytes += (uint64_t)(end - at);
	}
	run->end = end;
}

/* Does the piece take record @index of @batch? */
typedef int wanted_fn(const struct wr_batch *batch, uint64_t index, uint64_t from, uint64_t to);

static void run_over(struct run *run, const struct wr_batch *batch, wanted_fn *wanted,
                     uint64_t from, uint64_t to)
{
	uint64_t index = 0;

	for (uint32_t span = 0; span < batch->seen.span_count; span++) {
		const uint8_t *at = batch->iov[span].iov_base, *end = at + batch->iov[span].iov_len;
		uint64_t first = batch->spans[span].first;

		while (at < end) {
			struct weir_record record;
			uint64_t total = weir_record_decode(at, (uint64_t)(end - at), &record);

			WR_ASSERT(total);
			if (!(record.flags & WEIR_REC_ABORTED)) {
				if (wanted(batch, index, from, to)) {
					uint32_t before = run->spans;

					run_add(run, batch, span, at, at + total);
					if (run->piece && run->spans != before)
						run->piece->spans[run->spans - 1].first = first;
				}
				index++;
			}
			first++;
			at += total;
		}
	}
}

/* Which record of the batch as formed lies at @header: a piece may have gaps. */
static uint64_t index_in_whole(const struct wr_batch *whole, const void *header)
{
	uint64_t index = 0;

	for (uint32_t span = 0;; span++) {
		WR_ASSERT(span < whole->seen.span_count);
		const uint8_t *at = whole->iov[span].iov_base;
		const uint8_t *end = at + whole->iov[span].iov_len;

		while (at < end) {
			struct weir_record record;
			uint64_t total = weir_record_decode(at, (uint64_t)(end - at), &record);

			if (at == header)
				return index;
			WR_ASSERT(total);
			index += !(record.flags & WEIR_REC_ABORTED);
			at += total;
		}
	}
}

/* A piece of @batch that holds the records that are wanted. NULL: none are, or no memory. */
static struct wr_batch *piece_of(struct wr_flusher *flusher, struct wr_batch *batch,
                                 wanted_fn *wanted, uint64_t from, uint64_t to)
{
	struct run run = { 0 };
	struct wr_batch *piece;

	run_over(&run, batch, wanted, from, to);
	if (!run.spans)
		return NULL;
	piece = wr_batch_alloc(flusher, run.spans);
	if (!piece)
		return NULL;
	run = (struct run){ .piece = piece };
	piece->seen.seq = batch->seen.seq;
	piece->seen.cause = batch->seen.cause;
	piece->seen.attempt = batch->seen.attempt;
	piece->seen.formed_ns = batch->seen.formed_ns;
	piece->seen.wall_ns = batch->seen.wall_ns;
	piece->seen.earliest_ns = batch->seen.earliest_ns;
	piece->seen.latest_ns = batch->seen.latest_ns;
	piece->seen.deadline_ns = batch->seen.deadline_ns;
	piece->first_submit_ns = batch->first_submit_ns;
	run_over(&run, batch, wanted, from, to);
	piece->seen.first_record = index_in_whole(batch->whole, piece->iov[0].iov_base);
	piece->seen.span_count = run.spans;
	piece->seen.records = run.records;
	piece->whole = batch->whole;
	batch->whole->pieces++;
	wr_batch_live(flusher, piece, 1);
	return piece;
}

static int is_between(const struct wr_batch *batch, uint64_t index, uint64_t from, uint64_t to)
{
	(void)batch;
	return index >= from && index < to;
}

static int is_again(const struct wr_batch *batch, uint64_t index, uint64_t prefix, uint64_t to)
{
	(void)to;
	return part_of(batch, index, prefix) == PART_AGAIN;
}

/* @batch is replaced by pieces that carry its records, or were booked: its own count is nought. */
static void dissolve(struct wr_flusher *flusher, struct wr_batch *batch)
{
	batch->seen.records = 0;
	wr_batch_final(flusher, batch, WR_DELIVERED);
}

static void split(struct wr_flusher *flusher, struct wr_batch *batch)
{
	uint64_t half = batch->seen.records / 2;
	struct wr_batch *a, *b;

	if (batch->seen.records < 2) {
		wr_batch_final(flusher, batch, WR_DROPPED_TOO_LARGE);
		return;
	}
	if (wr_sys.now() >= batch->seen.deadline_ns) {
		wr_batch_final(flusher, batch, WR_DROPPED_TIMEOUT);
		return;
	}
	a = piece_of(flusher, batch, is_between, 0, half);
	b = a ? piece_of(flusher, batch, is_between, half, batch->seen.records) : NULL;
	if (!b) { /* no memory: as a whole, later */
		if (a) {
			batch->whole->pieces--;
			wr_batch_live(flusher, a, 0);
			wr_batch_unused(flusher, a);
		}
		again(flusher, batch, 0);
		return;
	}
	wr_count(&flusher->counters, WR_SPLITS, 1);
	wr_batch_again(flusher, a);
	wr_batch_again(flusher, b);
	dissolve(flusher, batch);
}

static void partial(struct wr_flusher *flusher, struct wr_batch *batch)
{
	uint64_t prefix = batch->verdict.records, done = 0, rejected = 0;
	uint64_t after = batch->verdict.after_ns;
	struct wr_batch *rest;

	if (batch->verdict.partial == WEIR_PARTIAL_BYTES)
		prefix = records_in(batch, batch->verdict.bytes);
	for (uint64_t i = 0; i < batch->seen.records; i++) {
		enum part part = part_of(batch, i, prefix);

		done += part == PART_DONE;
		rejected += part == PART_REJECTED;
	}
	if (done + rejected == 0) {
		again(flusher, batch, after);
		return;
	}
	rest = piece_of(flusher, batch, is_again, prefix, 0);
	if (!rest && done + rejected != batch->seen.records) {
		again(flusher, batch, after); /* no memory: all of it again, rather than lose any */
		return;
	}
	wr_count(&flusher->counters, WR_DELIVERED, done);
	wr_count(&flusher->counters, WR_DROPPED_REJECTED, rejected);
	wr_count(&flusher->counters, WR_TAKEN, -(done + rejected));
	if (rest)
		again(flusher, rest, after);
	dissolve(flusher, batch);
}

static void take(struct wr_flusher *flusher, struct wr_batch *batch)
{
	flusher->inflight--;
	wr_count_set(&flusher->counters, WR_INFLIGHT, flusher->inflight);
	batch->at_sink = 0;
	switch ((enum weir_verdict_kind)batch->verdict.kind) {
	case WEIR_DONE:
		wr_batch_final(flusher, batch, WR_DELIVERED);
		return;
	case WEIR_RETRY:
		again(flusher, batch, batch->verdict.after_ns);
		return;
	case WEIR_SPLIT:
		split(flusher, batch);
		return;
	case WEIR_PARTIAL:
		partial(flusher, batch);
		return;
	case WEIR_REJECT:
		wr_batch_final(flusher, batch, WR_DROPPED_REJECTED);
		return;
	case WEIR_FATAL:
		break;
	}
	/* FATAL, or a verdict that does not exist: the sink is broken. The batch stays live. */
	wr_release_hopeless(flusher, batch->verdict.code ? batch->verdict.code : -EPIPE);
}

int wr_verdicts(struct wr_flusher *flusher)
{
	/* ORDER flush.done: acquire. */
	struct wr_batch *list =
		atomic_exchange_explicit(&flusher->done, NULL, memory_order_seq_cst);
	struct wr_batch *oldest = NULL;

	if (!list)
		return 0;
	while (list) { /* newest first: turn it round */
		struct wr_batch *next = list->next_done;

		list->next_done = oldest;
		oldest = list;
		list = next;
	}
	while (oldest) {
		struct wr_batch *next = oldest->next_done;

		take(flusher, oldest);
		oldest = next;
	}
	return 1;
}
