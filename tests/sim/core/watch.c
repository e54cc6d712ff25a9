/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - a sink around a sink: sees every batch that the engine submits and every verdict.
 *
 * It wraps whatever sink a seed has, built in or a user's own. What it does itself to the engine is
 * one thing: it gives a second verdict now and then.
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api/engine.h"

#define SLOTS 128

struct slot {
	struct weir_batch copy; /* what the child sees */
	struct weir_batch *real;
	uint64_t sum;
	uint64_t first_ns;
	int active;
	uint32_t first_attempt;
};

struct watch {
	struct weir_sink sink;
	struct weir_sink_ops ops;
	struct weir_sink_host host;
	struct weir_sink *child;
	struct weir_sink_caps caps;
	struct slot slots[SLOTS];
	uint32_t inflight;
	int refused;       /* it said -EAGAIN, and ready has not come */
	uint64_t refused_seq;
	int ready_came;
	int broken;
	uint64_t held_until; /* a batch is to come again by then */
	uint64_t last_wall, last_formed, last_verdict_seq;
};

static struct watch *watch;

#define OF(self) ((struct watch *)(void *)(self))

static struct life *life(void)
{
	return &lives[life_now];
}

int watch_is_held(void)
{
	uint32_t most;

	if (!watch)
		return 0;
	most = watch->caps.max_inflight ? watch->caps.max_inflight : 1;
	if (plan.config.max_inflight && plan.config.max_inflight < most)
		most = plan.config.max_inflight;
	return watch->inflight >= most || watch->refused || watch->broken ||
	       vt_now < watch->held_until;
}

void watch_jumped(uint64_t ns)
{
	if (watch && watch->held_until + ns > vt_now)
		watch->held_until += ns; /* the verdict may not have been taken yet */
}

int watch_broken(void)
{
	return watch && watch->broken;
}

void watch_forget(void)
{
	watch = NULL;
}

uint32_t watch_at_sink(void)
{
	return watch ? watch->inflight : 0;
}

/* The content of a batch must not change while the sink has it. */
static uint64_t sum_of(const struct weir_batch *batch)
{
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;
	uint64_t sum = batch->records;

	while (weir_batch_next(batch, &iter, &record))
		for (uint64_t i = 0; i < record.size; i++)
			sum = sum * 31 + ((const uint8_t *)record.data)[i];
	return sum;
}

/* The next record of @producer that must come: those that never were are passed over. */
static uint32_t next_of(uint32_t producer)
{
	uint32_t *next = &life()->submitted[producer];

	while (*next < life()->begun[producer]) {
		uint8_t state = life()->records[producer][*next].state;

		if (state != R_REFUSED && state != R_ABORTED &&
		    !(state == R_CLAIMED && life()->closing))
			break;
		(*next)++;
	}
	return *next;
}

static void see_first(struct slot *slot, struct record *record, uint32_t producer, uint32_t number,
                      uint64_t index)
{
	S_TRUE(record->state == R_ACCEPTED || record->state == R_PUSHING,
	       "record %u of producer %u was submitted in state %u", number, producer,
	       record->state);
	S_TRUE(record->place == P_RING, "record %u of producer %u was submitted as new twice",
	       number, producer);
	if (plan.config.order == WEIR_ORDER_THREAD) {
		uint32_t next = next_of(producer);

		S_TRUE(next == number, "producer %u: record %u was submitted before record %u",
		       producer, number, next);
		life()->submitted[producer] = number + 1;
	}
	oracle_submitted(record, vt_now);
	record->seq = slot->copy.seq;
	record->index = index;
	record->place = P_SINK;
}

static void see_again(struct slot *slot, struct record *record, uint32_t producer, uint32_t number,
                      uint64_t least)
{
	S_TRUE(record->place == P_BACK && record->seq == slot->copy.seq && record->index >= least,
	       "record %u of producer %u came again in batch %" PRIu64
	       ", where it does not belong",
	       number, producer, slot->copy.seq);
	record->place = P_SINK;
}

static void see(struct slot *slot)
{
	const struct weir_batch *batch = &slot->copy;
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record bytes;
	uint64_t n = 0, least = batch->first_record;
	uint32_t whose, producer, number;

	slot->first_attempt = batch->attempt == 1;
	if (slot->first_attempt)
		S_TRUE(batch->seq == life()->next_seq && !batch->first_record,
		       "batch %" PRIu64 " came, batch %" PRIu64 " was to come", batch->seq,
		       life()->next_seq);
	while (weir_batch_next(batch, &iter, &bytes)) {
		struct record *record =
			oracle_find(bytes.data, bytes.size, &whose, &producer, &number);

		S_TRUE(whose == life_now, "a record of an earlier life was submitted");
		if (slot->first_attempt)
			see_first(slot, record, producer, number, n);
		else
			see_again(slot, record, producer, number, least);
		if (!n && !slot->first_attempt)
			S_TRUE(record->index == batch->first_record,
			       "a piece says that it begins at %" PRIu64 ", but begins at %" PRIu64,
			       batch->first_record, record->index);
		least = record->index + 1;
		n++;
	}
	S_TRUE(n == batch->records && n, "batch %" PRIu64 " says %" PRIu64 " records, has %" PRIu64,
	       batch->seq, batch->records, n);
	if (slot->first_attempt)
		life()->next_seq++;
}

/* The child took nothing. */
static void unsee(struct slot *slot)
{
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record bytes;
	uint32_t whose, producer, number;

	while (weir_batch_next(&slot->copy, &iter, &bytes)) {
		struct record *record =
			oracle_find(bytes.data, bytes.size, &whose, &producer, &number);

		record->place = slot->first_attempt ? P_RING : P_BACK;
		if (slot->first_attempt && life()->submitted[producer] > number)
			life()->submitted[producer] = number;
	}
	if (slot->first_attempt)
		life()->next_seq--;
}

static void see_wall(const struct weir_batch *batch)
{
	if (watch->last_formed && batch->attempt == 1) {
		if (batch->wall_ns < watch->last_wall && faults[F_WALL_BACK].injected)
			fault_hit(F_WALL_BACK);
		if (batch->wall_ns - watch->last_wall > batch->formed_ns - watch->last_formed + SEC &&
		    faults[F_WALL_AHEAD].injected)
			fault_hit(F_WALL_AHEAD);
	}
	watch->last_wall = batch->wall_ns;
	watch->last_formed = batch->formed_ns;
}

static void answered(struct weir_batch *batch, const struct weir_verdict *verdict);
static const struct weir_batch_owner owner = { answered };

static int submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct slot *slot = NULL;
	int r;

	S_TRUE(OF(self) == watch, "a sink was called that is closed");
	S_TRUE(!watch->broken || !the_weir || !the_weir->flusher.broken, "a broken sink got a batch");
	for (uint32_t i = 0; i < SLOTS && !slot; i++)
		if (!watch->slots[i].active)
			slot = &watch->slots[i];
	S_TRUE(slot, "more batches in flight than anybody allows");
	S_TRUE(!watch->refused, "submit was called after -EAGAIN and before ready");
	*slot = (struct slot){ .copy = *batch, .real = batch, .active = 1 };
	slot->copy.owner = &owner;
	slot->sum = sum_of(batch);
	see(slot);
	see_wall(batch);
	if (watch->ready_came && watch->refused_seq == batch->seq)
		fault_hit(F_SINK_BUSY);
	watch->ready_came = 0;
	watch->inflight++;
	trace(T_SUBMIT, "submit", batch->seq, batch->records, batch->attempt);
	outcome.batches++;
	r = watch->child->ops->submit(watch->child, &slot->copy);
	if (!r)
		return 0;
	S_TRUE(slot->active, "the sink gave a verdict on a batch that it then refused: %d", r);
	trace(T_SUBMIT, "refused", batch->seq, (uint64_t)-r, 0);
	watch->inflight--;
	slot->active = 0;
	unsee(slot);
	if (r != -EAGAIN) {
		watch->broken = 1;
	} else if (!watch->ready_came) {
		watch->refused = 1;
		watch->refused_seq = batch->seq;
	}
	return r;
}

static void done(struct record *record, uint32_t producer, uint32_t number)
{
	int ordered = watch->caps.ordered || watch->caps.max_inflight <= 1 ||
	              plan.config.max_inflight == 1;

	record->place = P_DONE;
	record->acked = 1;
	record->acked_ns = vt_now;
	record->segment = disk_newest();
	life()->delivered++;
	if (plan.config.order == WEIR_ORDER_THREAD && ordered && !life()->unordered)
		S_TRUE(life()->last_done[producer] <= number,
		       "producer %u: record %u was delivered after record %u", producer, number,
		       life()->last_done[producer] - 1);
	if (life()->last_done[producer] <= number)
		life()->last_done[producer] = number + 1;
}

/* How many records of the batch lie wholly in the first @bytes of its spans. */
static uint64_t whole_in(const struct weir_batch *batch, uint64_t bytes)
{
	uint64_t n = 0, before = 0;

	for (uint32_t span = 0; span < batch->span_count; span++) {
		const uint8_t *at = batch->iov[span].iov_base;
		uint64_t left = batch->iov[span].iov_len, used = 0;

		while (used < left) {
			struct weir_record record;
			uint64_t total = weir_record_decode(at + used, left - used, &record);

			if (!total)
				break;
			used += total;
			if (before + used > bytes)
				return n;
			n += !(record.flags & WEIR_REC_ABORTED);
		}
		before += left;
	}
	return n;
}

enum part { DONE, AGAIN, REJECTED, STUCK };

static enum part part_of(const struct weir_verdict *verdict, uint64_t i, uint64_t prefix)
{
	switch (verdict->kind) {
	case WEIR_DONE:
		return DONE;
	case WEIR_RETRY:
	case WEIR_SPLIT:
		return AGAIN;
	case WEIR_REJECT:
		return REJECTED;
	case WEIR_PARTIAL:
		break;
	default:
		return STUCK;
	}
	if (verdict->partial == WEIR_PARTIAL_BITMAP)
		return verdict->bitmap[i / 64] >> i % 64 & 1 ? DONE : AGAIN;
	if (verdict->partial == WEIR_PARTIAL_CODES)
		return !verdict->codes[i] ? DONE : verdict->codes[i] == -EAGAIN ? AGAIN : REJECTED;
	return i < prefix ? DONE : AGAIN;
}

static void take(struct slot *slot, const struct weir_verdict *verdict)
{
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record bytes;
	uint64_t prefix = verdict->records, i = 0;
	uint32_t whose, producer, number;

	if (verdict->kind == WEIR_PARTIAL && verdict->partial == WEIR_PARTIAL_BYTES)
		prefix = whole_in(&slot->copy, verdict->bytes);
	if (verdict->kind == WEIR_PARTIAL && (verdict->partial == WEIR_PARTIAL_BITMAP ||
	                                      verdict->partial == WEIR_PARTIAL_CODES))
		life()->unordered = 1;
	for (; weir_batch_next(&slot->copy, &iter, &bytes); i++) {
		struct record *record =
			oracle_find(bytes.data, bytes.size, &whose, &producer, &number);

		switch (part_of(verdict, i, prefix)) {
		case DONE:
			done(record, producer, number);
			break;
		case AGAIN:
			record->place = P_BACK;
			if (verdict->kind == WEIR_SPLIT && slot->copy.records == 1) {
				record->place = P_REJECTED;
				life()->single_splits++;
			}
			break;
		case REJECTED:
			record->place = P_REJECTED;
			life()->rejected++;
			break;
		case STUCK:
			record->place = P_STUCK;
			watch->broken = 1;
			break;
		}
	}
}

/* A batch that comes back is to be submitted again after a while. */
static void hold(uint64_t deadline_ns, const struct weir_verdict *verdict)
{
	uint64_t wait = verdict->after_ns < MS ? MS : verdict->after_ns;
	/* It counts from when it takes the verdict; others may go first then. */
	uint64_t until = task_flusher_wakes() + wait + 200 * US;

	if (verdict->kind != WEIR_RETRY && verdict->kind != WEIR_PARTIAL)
		return;
	if (until > deadline_ns)
		until = deadline_ns;
	if (until > watch->held_until)
		watch->held_until = until;
}

static void second_verdict(struct weir_batch *real, const struct weir_verdict *verdict)
{
	struct weir_verdict second = { .kind = verdict->kind == WEIR_DONE ? WEIR_REJECT
		                                                          : WEIR_DONE };
	uint64_t before = the_weir->flusher.verdicts_ignored;

	weir_batch_complete(real, &second);
	if (the_weir->flusher.verdicts_ignored == before + 1)
		fault_hit(F_SINK_TWICE);
}

static void answered(struct weir_batch *batch, const struct weir_verdict *verdict)
{
	struct slot *slot = (struct slot *)(void *)batch;
	struct weir_batch *real = slot->real;
	uint64_t deadline_ns = slot->copy.deadline_ns;
	struct weir_verdict kept = *verdict;
	int twice;

	S_TRUE(watch && slot >= watch->slots && slot < watch->slots + SLOTS && slot->active,
	       "the sink gave a verdict on a batch that it does not have");
	S_TRUE(slot->sum == sum_of(batch), "batch %" PRIu64 " changed while the sink had it",
	       batch->seq);
	trace(T_VERDICT, "verdict", batch->seq, verdict->kind, batch->first_record);
	take(slot, verdict);
	if (batch->seq < watch->last_verdict_seq && verdict->kind == WEIR_DONE)
		fault_hit(F_SINK_REORDER);
	watch->last_verdict_seq = batch->seq;
	slot->active = 0;
	watch->inflight--;
	life()->dirty++;
	twice = fault_now(F_SINK_TWICE);
	vt_no_yield += twice;
	hold(deadline_ns, &kept);
	weir_batch_complete(real, verdict);
	hold(deadline_ns, &kept); /* now that it has been woken */
	if (twice)
		second_verdict(real, verdict);
	vt_no_yield -= twice;
}

static void host_ready(struct weir_sink_host *host, struct weir_sink *sink)
{
	(void)host, (void)sink;
	trace(T_VERDICT, "ready", 0, 0, 0);
	watch->refused = 0;
	watch->ready_came = 1;
	weir_sink_ready(&watch->sink);
}

static int host_watch(struct weir_sink_host *host, struct weir_sink *sink, int fd, uint32_t events,
                      void (*fn)(struct weir_sink *sink, int fd, uint32_t events))
{
	(void)host;
	return watch->sink.host->ops->watch(watch->sink.host, sink, fd, events, fn);
}

static int host_timer(struct weir_sink_host *host, struct weir_sink *sink, uint64_t at_ns)
{
	(void)host;
	return watch->sink.host->ops->timer(watch->sink.host, sink, at_ns);
}

static const struct weir_allocator *host_allocator(struct weir_sink_host *host)
{
	(void)host;
	return watch->sink.host->ops->allocator(watch->sink.host);
}

static const struct weir_sink_host_ops host_ops = { host_ready, host_watch, host_timer,
	                                            host_allocator };

static int start(struct weir_sink *self, struct weir_sink_host *host, struct weir_sink_caps *caps,
                 struct weir_why *why)
{
	int r = 0;

	(void)self, (void)host;
	watch->child->host = &watch->host;
	if (watch->child->ops->start)
		r = watch->child->ops->start(watch->child, &watch->host, caps, why);
	watch->caps = *caps;
	return r;
}

static int settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self;
	return watch->child->ops->settle(watch->child, deadline_ns);
}

static void close_watch(struct weir_sink *self)
{
	struct watch *closed = OF(self);

	closed->child->ops->close(closed->child);
	/* The child may still hold batches that it never answers: their place stays. */
}

static void cancel(struct weir_sink *self)
{
	(void)self;
	if (watch->child->ops->cancel)
		watch->child->ops->cancel(watch->child);
}

static void trouble(struct weir_sink *self, struct weir_why *why)
{
	(void)self;
	why->text[0] = 0;
	if (watch->child->ops->trouble)
		watch->child->ops->trouble(watch->child, why);
}

struct weir_sink *watch_new(struct weir_sink *child)
{
	watch = calloc(1, sizeof(*watch));
	S_TRUE(watch, "no memory");
	watch->child = child;
	watch->host.ops = &host_ops;
	watch->ops = (struct weir_sink_ops){
		.abi = WEIR_SINK_ABI,
		.name = child->ops->name,
		.submit = submit,
		.settle = settle,
		.close = close_watch,
		.start = start,
		.cancel = cancel,
		.trouble = trouble,
	};
	watch->sink.ops = &watch->ops;
	return &watch->sink;
}
