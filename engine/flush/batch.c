/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - a window on the rings: forms batches of the taken cut and submits them. */
#include "flush/flusher.h"

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "base/testpoint.h"
#include "ring/thread.h"

static void complete(struct weir_batch *seen, const struct weir_verdict *verdict);
const struct weir_batch_owner wr_batch_owner = { complete };

static size_t spans_bytes(uint32_t spans)
{
	return spans * (sizeof(struct weir_span) + sizeof(struct iovec) + sizeof(struct wr_hold));
}

struct wr_batch *wr_batch_alloc(struct wr_flusher *flusher, uint32_t spans)
{
	struct wr_batch *batch = flusher->unused;
	uint8_t *memory;

	if (batch && batch->span_room >= spans) {
		flusher->unused = batch->next;
	} else {
		memory = wr_mem_alloc(&flusher->mem, sizeof(*batch) + spans_bytes(spans));
		if (!memory)
			return NULL;
		batch = (struct wr_batch *)(void *)memory;
		batch->span_room = spans;
		memory += sizeof(*batch);
		batch->spans = (struct weir_span *)(void *)memory;
		memory += spans * sizeof(struct weir_span);
		batch->iov = (struct iovec *)(void *)memory;
		memory += spans * sizeof(struct iovec);
		batch->holds = (struct wr_hold *)(void *)memory;
	}
	memset(&batch->seen, 0, sizeof(batch->seen));
	batch->seen.owner = &wr_batch_owner;
	batch->seen.spans = batch->spans;
	batch->seen.iov = batch->iov;
	batch->seen.sources = flusher->sources;
	memcpy(batch->seen.engine, flusher->config.uuid, 16);
	batch->flusher = flusher;
	batch->next = batch->next_done = NULL;
	batch->whole = batch;
	batch->pieces = 1;
	batch->holds_left = 0;
	batch->at_sink = 0;
	batch->first_submit_ns = batch->not_before_ns = 0;
	batch->due_ns = UINT64_MAX;
	return batch;
}

void wr_batch_live(struct wr_flusher *flusher, struct wr_batch *batch, int live)
{
	if (live) {
		batch->live = flusher->live;
		batch->live_at = &flusher->live;
		if (batch->live)
			batch->live->live_at = &batch->live;
		flusher->live = batch;
	} else {
		*batch->live_at = batch->live;
		if (batch->live)
			batch->live->live_at = batch->live_at;
	}
}

static void free_batch(struct wr_flusher *flusher, struct wr_batch *batch)
{
	wr_mem_free(&flusher->mem, batch->bitmap, batch->bitmap_words * sizeof(uint64_t));
	wr_mem_free(&flusher->mem, batch, sizeof(*batch) + spans_bytes(batch->span_room));
}

void wr_batch_unused(struct wr_flusher *flusher, struct wr_batch *batch)
{
	if (batch->span_room == flusher->config.max_batch_spans) {
		batch->next = flusher->unused;
		flusher->unused = batch;
	} else {
		free_batch(flusher, batch);
	}
}

void wr_batch_free_unused(struct wr_flusher *flusher)
{
	while (flusher->unused) {
		struct wr_batch *batch = flusher->unused;

		flusher->unused = batch->next;
		free_batch(flusher, batch);
	}
}

/* Which records of a partial verdict are done and which rejected. thread: any */
static void copy_parts(struct wr_batch *batch, const struct weir_verdict *verdict)
{
	uint64_t words = batch->bitmap_words / 2;

	if (verdict->kind != WEIR_PARTIAL || batch->seen.records > words * 64)
		return;
	memset(batch->bitmap, 0, batch->bitmap_words * sizeof(uint64_t));
	for (uint64_t i = 0; i < batch->seen.records; i++) {
		int done = 0, rejected = 0;

		if (verdict->partial == WEIR_PARTIAL_BITMAP && verdict->bitmap) {
			done = verdict->bitmap[i / 64] >> i % 64 & 1;
		} else if (verdict->partial == WEIR_PARTIAL_CODES && verdict->codes) {
			done = verdict->codes[i] == 0;
			rejected = !done && verdict->codes[i] != -EAGAIN;
		}
		batch->bitmap[i / 64] |= (uint64_t)done << i % 64;
		batch->bitmap[words + i / 64] |= (uint64_t)rejected << i % 64;
	}
}

/* thread: any. The list is taken whole by the flusher: push needs no protection against reuse. */
static void complete(struct weir_batch *seen, const struct weir_verdict *verdict)
{
	struct wr_batch *batch = WR_CONTAINER(seen, struct wr_batch, seen);
	struct wr_flusher *flusher = batch->flusher;
	struct wr_batch *head;
	int fd = flusher->done_fd;

	/* A second one would make the list endless. ORDER none: relaxed; flush.done gives order. */
	if (!atomic_exchange_explicit(&batch->owed, 0, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&flusher->verdicts_ignored, 1, memory_order_relaxed);
		return;
	}
	batch->verdict = *verdict;
	copy_parts(batch, verdict);
	/* ORDER none: relaxed. The exchange below decides. */
	head = atomic_load_explicit(&flusher->done, memory_order_relaxed);
	do {
		batch->next_done = head;
		/*
		 * ORDER flush.done: release. Acquired by wr_verdicts().
		 * Gives:     the flusher sees the verdict, and all that the sink did before it.
		 * Otherwise: it releases memory that the sink still reads.
		 */
	} while (!atomic_compare_exchange_weak_explicit(&flusher->done, &head, batch,
	                                                memory_order_seq_cst,
	                                                memory_order_relaxed));
	if (!head && wr_thread.turning != flusher)
		(void)wr_sys.event_write(fd);
}

int wr_flusher_can_submit(const struct wr_flusher *flusher)
{
	uint32_t most = flusher->caps.max_inflight ? flusher->caps.max_inflight : 1;

	if (flusher->config.max_inflight && flusher->config.max_inflight < most)
		most = flusher->config.max_inflight;
	/* ORDER none: relaxed. Set by close, which then wakes the flusher. */
	if (atomic_load_explicit(&flusher->control.shutdown, memory_order_relaxed) >= 3)
		return 0;
	return !flusher->sink_full && !flusher->broken && flusher->inflight < most;
}

void wr_batch_again(struct wr_flusher *flusher, struct wr_batch *batch)
{
	struct wr_batch **at = &flusher->again;

	/* Compared by subtraction: a sequence may pass 2^64. */
	while (*at && ((int64_t)((*at)->seen.seq - batch->seen.seq) < 0 ||
	               ((*at)->seen.seq == batch->seen.seq &&
	                (*at)->seen.first_record < batch->seen.first_record)))
		at = &(*at)->next;
	batch->next = *at;
	*at = batch;
}

/* Counts how late a batch is that the deadline was to have sent. */
static void count_lateness(struct wr_flusher *flusher, const struct wr_batch *batch, uint64_t now)
{
	uint64_t late = batch->due_ns < now ? now - batch->due_ns : 0;
	uint64_t grace = 1000000u + flusher->config.policy.deadline_ns / 10;

	if (!late || flusher->config.policy.deadline_ns == WEIR_OFF)
		return;
	if (late > wr_counted(&flusher->counters, WR_LATENESS_MAX))
		wr_count_set(&flusher->counters, WR_LATENESS_MAX, late);
	if (late <= grace)
		return;
	wr_count(&flusher->counters, WR_OVERRUNS, 1);
	wr_count(&flusher->counters,
	         flusher->was_held ? WR_OVERRUNS_SINK : WR_OVERRUNS_SCHEDULER, 1);
}

/* Room for a partial verdict's bits, so that who completes needs no memory. Without it: a retry. */
static void make_bitmap(struct wr_flusher *flusher, struct wr_batch *batch)
{
	uint64_t words = 2 * ((batch->seen.records + 63) / 64);
	uint64_t *bitmap;

	if (words <= batch->bitmap_words)
		return;
	words = words < 128 ? 128 : words;
	bitmap = wr_mem_alloc(&flusher->mem, words * sizeof(*bitmap));
	if (!bitmap)
		return;
	wr_mem_free(&flusher->mem, batch->bitmap, batch->bitmap_words * sizeof(*bitmap));
	batch->bitmap = bitmap;
	batch->bitmap_words = words;
}

/* 1: the sink took it. 0: it goes back to the head of the line. */
static int submit(struct wr_flusher *flusher, struct wr_batch *batch)
{
	uint64_t now = wr_sys.now();
	uint64_t total = flusher->config.batch_total_timeout_ns;
	int r;

	if (!batch->first_submit_ns) {
		batch->first_submit_ns = now;
		count_lateness(flusher, batch, now);
	}
	batch->seen.deadline_ns = total > UINT64_MAX - batch->first_submit_ns
	                                  ? UINT64_MAX
	                                  : batch->first_submit_ns + total;
	make_bitmap(flusher, batch);
	batch->seen.attempt++;
	batch->at_sink = 1;
	/* ORDER none: relaxed, both. The sink learns of the batch by the call itself. */
	atomic_store_explicit(&batch->owed, 1, memory_order_relaxed);
	flusher->inflight++;
	wr_count_set(&flusher->counters, WR_INFLIGHT, flusher->inflight);
	WR_TESTPOINT("flush.submit");
	wr_thread.sink_depth++;
	r = flusher->sink->ops->submit(flusher->sink, &batch->seen);
	wr_thread.sink_depth--;
	if (r == 0) {
		wr_count(&flusher->counters, WR_ATTEMPTS, 1);
		if (batch->seen.attempt > 1) /* not what the sink refused: it has seen nothing */
			wr_count(&flusher->counters, WR_REDELIVERED, batch->seen.records);
		return 1;
	}
	batch->at_sink = 0;
	atomic_store_explicit(&batch->owed, 0, memory_order_relaxed);
	batch->seen.attempt--;
	flusher->inflight--;
	wr_count_set(&flusher->counters, WR_INFLIGHT, flusher->inflight);
	if (r == -EAGAIN) {
		flusher->was_held = 1;
		/* ORDER none: relaxed. ready() sets it and kicks; seen at the latest when woken. */
		if (!atomic_exchange_explicit(&flusher->control.ready, 0, memory_order_seq_cst))
			flusher->sink_full = 1;
		wr_batch_again(flusher, batch);
	} else {
		wr_release_hopeless(flusher, r); /* the batch stays among the live ones */
	}
	return 0;
}

static uint64_t limit_or(uint64_t a, uint64_t b)
{
	return b && b < a ? b : a;
}

/* Takes from the segment what fits, and puts it into the batch as one span. 1: all of it. */
static int add_span(struct wr_flusher *flusher, struct wr_batch *batch, struct wr_segment *segment,
                    uint64_t max_records, uint64_t max_bytes)
{
	struct wr_share *share = &flusher->cut.shares[segment->ring];
	struct wr_place end = segment->end;
	uint32_t i = batch->seen.span_count, aborted = segment->aborted;
	uint64_t records = end.count - segment->begin.count, bytes;

	bytes = end.position - segment->begin.position;
	if (batch->seen.records + records > max_records || batch->seen.bytes + bytes > max_bytes) {
		/* Walk: find how many records fit. At least one goes into an empty batch. */
		uint64_t room = batch->seen.bytes < max_bytes ? max_bytes - batch->seen.bytes : 0;

		end = segment->begin;
		aborted = 0;
		while (end.count != segment->end.count) {
			uint64_t header = atomic_load_explicit(
				wr_ring_header(share->ring, end.position), memory_order_acquire);
			/* ORDER ring.claim: acquire. */
			uint64_t total = wr_header_total(header);
			uint64_t taken = end.count - segment->begin.count;

			if ((batch->seen.records + taken - aborted >= max_records ||
			     end.position + total - segment->begin.position > room) &&
			    (taken || i))
				break;
			aborted += wr_header_flags(header) & WEIR_REC_ABORTED ? 1 : 0;
			end.count++;
			end.position += total;
		}
		records = end.count - segment->begin.count;
		bytes = end.position - segment->begin.position;
		if (!records)
			return 0;
	}
	batch->spans[i] = (struct weir_span){
		.ring = segment->ring,
		.records = (uint32_t)(records - aborted),
		.first = segment->begin.count,
		.earliest_ns = segment->earliest_ns,
		.latest_ns = flusher->cut_ns,
	};
	batch->iov[i].iov_base = wr_ring_at(share->ring, segment->begin.position);
	batch->iov[i].iov_len = bytes;
	batch->holds[i] = (struct wr_hold){
		.end = end.position,
		.batch = batch,
		.ring = segment->ring,
	};
	*share->last = &batch->holds[i];
	share->last = &batch->holds[i].next;
	batch->holds_left++;
	batch->seen.span_count++;
	batch->seen.records += records - aborted;
	batch->seen.bytes += bytes;
	if (segment->earliest_ns < batch->seen.earliest_ns)
		batch->seen.earliest_ns = segment->earliest_ns;
	segment->begin = end;
	segment->aborted -= aborted;
	return end.count == segment->end.count;
}

/*
 * Forms the next batch of the taken cut. 0, and *ret_batch, or NULL where there were aborted claims
 * alone: there may be more behind them. -ENOMEM.
 */
static int form(struct wr_flusher *flusher, struct wr_batch **ret_batch)
{
	struct wr_cut *cut = &flusher->cut;
	uint32_t max_spans = flusher->config.max_batch_spans;
	struct wr_batch *batch = wr_batch_alloc(flusher, max_spans);
	uint64_t max_records, max_bytes;

	*ret_batch = NULL;
	if (!batch) {
		flusher->starved_ns = wr_sys.now() + WR_STARVED_NS;
		return -ENOMEM;
	}
	max_records = limit_or(flusher->config.max_batch_records, flusher->caps.max_records);
	max_bytes = limit_or(flusher->config.max_batch_bytes, flusher->caps.max_bytes);
	batch->seen.cause = flusher->cause;
	batch->seen.formed_ns = flusher->cut_ns;
	batch->seen.wall_ns = flusher->cut_wall_ns;
	batch->seen.earliest_ns = flusher->cut_ns;
	batch->seen.latest_ns = flusher->cut_ns;
	batch->due_ns = flusher->cut_due_ns;
	while (flusher->next_segment < cut->segment_count && batch->seen.span_count < max_spans) {
		if (!add_span(flusher, batch, &cut->segments[flusher->next_segment], max_records,
		              max_bytes))
			break;
		flusher->next_segment++;
	}
	if (!batch->seen.records) { /* nothing but aborted claims */
		wr_release_batch(flusher, batch);
		return 0;
	}
	batch->seen.seq = flusher->next_seq++;
	wr_batch_live(flusher, batch, 1);
	wr_count(&flusher->counters, WR_BATCHES, 1);
	wr_count(&flusher->counters, WR_FLUSHES + flusher->cause, 1);
	*ret_batch = batch;
	return 0;
}

int wr_batch_send(struct wr_flusher *flusher)
{
	int sent = 0;

	while (wr_flusher_can_submit(flusher)) {
		struct wr_batch *batch = flusher->again;

		if (batch) {
			/* Later batches wait behind it: order survives a retry. */
			if (batch->not_before_ns > wr_sys.now())
				break;
			flusher->again = batch->next;
			batch->next = NULL;
		} else if (flusher->next_segment < flusher->cut.segment_count) {
			if (form(flusher, &batch))
				break;
			if (!batch)
				continue;
		} else {
			break;
		}
		if (!submit(flusher, batch) && flusher->sink_full)
			break;
		sent = 1;
		wr_verdicts(flusher);
	}
	return sent;
}
