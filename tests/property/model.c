/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - see model.h. */
#include "property/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/virtual_sys.h"

struct model model;
static uint8_t pattern[M_RECORD_MAX + 4096];

static void make_pattern(void)
{
	struct prop_random random = { 7 };

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)prop_random(&random);
}

const uint8_t *m_payload(uint32_t record)
{
	if (!pattern[0] && !pattern[1])
		make_pattern();
	return pattern + record * 37 % 4000;
}

const uint8_t *m_uuid(uint32_t record)
{
	return m_payload(record) + 64;
}

void m_life(void)
{
	for (uint32_t i = 0; i < model.ring_count; i++)
		model.rings[i].count = model.rings[i].next = 0;
	for (uint32_t i = 0; i < M_THREADS; i++)
		model.threads[i].ring = model.threads[i].submitted = model.threads[i].pushed =
			model.threads[i].claims = 0;
	memset(&model.counts, 0, sizeof(model.counts));
	model.ring_count = model.held_count = model.batches = 0;
	model.sink_full = model.broken = model.closing = 0;
	model.free_ns = vs.now_ns;
	model.again_ns = 0;
	model.life_first = model.flush_mark = model.record_count;
}

static struct wr_ring *ring_now(int kind)
{
	struct wr_page *page = model.weir->rings.page;
	uint32_t cpu = model.threads[model.current].cpu;

	return kind ? atomic_load(&page->rseq[cpu]) : atomic_load(&page->fallback[cpu]);
}

void m_heads(uint64_t heads[2])
{
	for (int kind = 0; kind < 2; kind++) {
		struct wr_ring *ring = ring_now(kind);

		heads[kind] = ring ? atomic_load(&ring->head)
		                   : wr_head_make(model.weir->rings.start_count,
		                                  model.weir->rings.start_position & ~7u);
	}
}

static uint32_t ring_index(struct wr_ring *ring, uint64_t before)
{
	uint32_t i = 0;

	while (i < model.ring_count && model.rings[i].ring != ring)
		i++;
	if (i < model.ring_count)
		return i;
	P_TRUE(i < M_RINGS);
	model.ring_count++;
	model.rings[i].ring = ring;
	model.rings[i].first_count = wr_head_count(before);
	model.rings[i].first_position = model.rings[i].position = wr_head_position(before);
	return i;
}

uint32_t m_pushed(const struct m_record *record, const uint64_t before[2])
{
	struct m_thread *thread = &model.threads[model.current];
	uint32_t n = model.record_count, plain, marked, delta, i;
	struct m_record *made = &model.records[n];
	struct m_ring *ring;
	uint64_t after[2];
	int kind;

	m_heads(after);
	kind = after[1] != before[1];
	if (after[0] == before[0] && after[1] == before[1])
		prop_fail("a push was accepted, and no ring has grown");
	if (after[0] != before[0] && after[1] != before[1])
		prop_fail("one push has gone into two rings");
	P_EQ(wr_head_count(after[kind]), wr_head_count(before[kind]) + 1);
	P_TRUE(n < M_RECORDS);
	i = ring_index(ring_now(kind), before[kind]);
	ring = &model.rings[i];
	delta = wr_head_position(after[kind]) - wr_head_position(before[kind]);
	plain = (uint32_t)weir_record_total(record->size, record->flags);
	marked = (uint32_t)weir_record_total(record->size, record->flags | WEIR_REC_MARK);
	if (delta != plain && (delta != marked || thread->ring == i + 1 ||
	                       model.config.order != WEIR_ORDER_THREAD))
		prop_fail("a record of %u bytes took %u, not %u", record->size, delta, plain);
	model.record_count++;
	*made = *record;
	made->thread = (uint8_t)model.current;
	made->ring = (uint8_t)i;
	made->bytes = delta;
	made->order = thread->pushed++;
	made->pushed_ns = made->committed_ns = vs.now_ns;
	made->batch = made->attempt = 0;
	thread->ring = i + 1;
	if (ring->count == ring->room) {
		ring->room = ring->room ? 2 * ring->room : 256;
		ring->records = realloc(ring->records, ring->room * sizeof(uint32_t));
		P_TRUE(ring->records);
	}
	ring->records[ring->count++] = n;
	ring->position += delta;
	model.counts.states[made->state]++;
	if (made->state == M_PENDING)
		model.counts.accepted++;
	return n;
}

int m_is_full(uint32_t total, const uint64_t heads[2])
{
	int kind = !model.weir->no_rseq && !wr_thread.stay;
	struct wr_ring *ring = ring_now(kind);

	return ring && wr_head_position(heads[kind]) + total -
	                       (uint32_t)atomic_load(&ring->tail) > M_RING_BYTES;
}

void m_compare(uint32_t n, const struct weir_record *seen)
{
	const struct m_record *record = &model.records[n];
	const uint16_t state_bits = WEIR_REC_COMMITTED | WEIR_REC_WAITED | WEIR_REC_MARK;

	if (seen->size != record->size)
		prop_fail("record %u has %u bytes, not %u", n, seen->size, record->size);
	if (memcmp(seen->data, m_payload(n), record->size))
		prop_fail("record %u has other bytes than were pushed", n);
	P_EQ(seen->source, record->source);
	P_EQ(seen->flags & ~state_bits, record->flags & ~state_bits);
	P_EQ(seen->origin_ns, record->origin_ns);
	P_EQ(seen->max_age_ns, record->max_age_ns);
	if (record->has_uuid ? !seen->uuid || memcmp(seen->uuid, m_uuid(n), 16) : !!seen->uuid)
		prop_fail("record %u has another uuid than was pushed", n);
}

void m_end(uint32_t n, enum m_state state)
{
	struct m_record *record = &model.records[n];

	model.counts.states[record->state]--;
	model.counts.states[state]++;
	record->state = (uint8_t)state;
	if (state >= M_DELIVERED && record->batch && !--model.left[record->batch - 1])
		model.counts.batches_done++;
}

static struct m_ring *ring_of_id(uint32_t id)
{
	for (uint32_t i = 0; i < model.ring_count; i++)
		if (model.rings[i].ring->id == id)
			return &model.rings[i];
	prop_fail("a span of ring %u, into which nothing was pushed", id);
}

/* By its owner, or by a close that has waited for it long enough. */
static int is_given_up(uint32_t n)
{
	if (model.closing && model.records[n].state == M_OPEN) {
		m_end(n, M_GIVEN_UP);
		model.counts.claims_abandoned++;
	}
	return model.records[n].state == M_GIVEN_UP;
}

/* The first attempt: contiguous in its ring, in order in its thread. */
static void first_time(struct m_ring *ring, uint32_t at, uint32_t n, struct m_record *record)
{
	struct m_thread *thread = &model.threads[record->thread];

	for (; ring->next < at; ring->next++)
		if (!is_given_up(ring->records[ring->next]))
			prop_fail("record %u of ring %u was passed over by record %u",
			          ring->records[ring->next], ring->ring->id, n);
	if (ring->next != at)
		prop_fail("record %u was submitted for the first time twice", n);
	ring->next = at + 1;
	if (model.config.order != WEIR_ORDER_THREAD)
		return;
	if (record->order < thread->submitted)
		prop_fail("record %u of thread %u came behind a later one of the same thread", n,
		          record->thread);
	thread->submitted = record->order + 1;
}

/* One span: each of its records is the one that the model has there. */
static void take_span(struct m_held *held, uint32_t i)
{
	const struct weir_batch *batch = held->batch;
	const struct weir_span *span = &batch->spans[i];
	struct m_ring *ring = ring_of_id(span->ring);
	const uint8_t *at = batch->iov[i].iov_base, *end = at + batch->iov[i].iov_len;
	uint32_t index = (uint32_t)(span->first - ring->first_count), delivered = 0;

	for (; at < end; index++) {
		struct weir_record seen;
		uint64_t total = weir_record_decode(at, (uint64_t)(end - at), &seen);
		struct m_record *record;
		uint32_t n;

		if (!total || index >= ring->count)
			prop_fail("a span holds what was never pushed");
		at += total;
		n = ring->records[index];
		record = &model.records[n];
		if (seen.flags & WEIR_REC_ABORTED) {
			if (!is_given_up(n))
				prop_fail("record %u is aborted, and nobody did that", n);
			continue;
		}
		delivered++;
		m_compare(n, &seen);
		if (batch->attempt == 1 && record->state == M_PENDING) {
			first_time(ring, index, n, record);
			record->batch = (uint32_t)(batch->seq - model.first_seq) + 1;
			record->index = (uint32_t)batch->first_record + held->count;
		} else if (record->state != M_AGAIN) {
			prop_fail("record %u in state %u was submitted", n, record->state);
		} else {
			model.counts.redelivered++;
		}
		P_EQ(record->batch, batch->seq - model.first_seq + 1);
		P_EQ(batch->attempt, record->attempt + 1);
		if (!held->count && batch->attempt > 1)
			P_EQ(batch->first_record, record->index);
		record->attempt = batch->attempt;
		if (span->earliest_ns > record->pushed_ns)
			prop_fail("record %u was pushed %llu ns before the span's earliest time", n,
			          (unsigned long long)(span->earliest_ns - record->pushed_ns));
		P_TRUE(span->latest_ns >= record->pushed_ns);
		m_end(n, M_AT_SINK);
		held->records[held->count++] = n;
	}
	P_EQ(span->records, delivered);
}

static void check_limits(const struct weir_batch *batch)
{
	uint64_t records = model.config.max_batch_records, bytes = model.config.max_batch_bytes;

	if (model.caps.max_records && model.caps.max_records < records)
		records = model.caps.max_records;
	if (model.caps.max_bytes && model.caps.max_bytes < bytes)
		bytes = model.caps.max_bytes;
	P_TRUE(batch->records >= 1);
	P_TRUE(batch->records <= records);
	if (batch->records > 1)
		P_TRUE(batch->bytes <= bytes);
	P_TRUE(batch->span_count <= model.config.max_batch_spans || batch->attempt > 1);
	P_TRUE(batch->cause != WEIR_CAUSE_NONE);
	if (batch->cause == WEIR_CAUSE_SHUTDOWN)
		P_TRUE(model.closing);
	P_TRUE(model.held_count <= (model.caps.max_inflight ? model.caps.max_inflight : 1));
}

uint32_t m_submitted(struct weir_batch *batch)
{
	struct m_held *held = &model.held[model.held_count];
	uint32_t number = (uint32_t)(batch->seq - model.first_seq);
	uint64_t bytes = 0;

	P_TRUE(model.held_count < M_HELD);
	model.held_count++;
	held->batch = batch;
	held->deadline_ns = batch->deadline_ns;
	held->count = 0;
	held->given = 0;
	if (!held->records) {
		held->records = malloc(M_RECORDS * sizeof(uint32_t));
		P_TRUE(held->records);
	}
	if (number == model.batches) {
		P_TRUE(number < M_BATCHES);
		model.batches++;
		model.left[number] = (uint32_t)batch->records;
		P_EQ(batch->first_record, 0);
	}
	P_TRUE(number < model.batches);
	for (uint32_t i = 0; i < batch->span_count; i++) {
		bytes += batch->iov[i].iov_len;
		take_span(held, i);
	}
	P_EQ(held->count, batch->records);
	P_EQ(bytes, batch->bytes);
	check_limits(batch);
	model.counts.attempts++;
	return model.held_count - 1;
}

static void again_or_late(struct m_held *held, uint64_t after_ns)
{
	int late = vs.now_ns >= held->deadline_ns;
	uint64_t at = wr_policy_retry_at(vs.now_ns, after_ns);

	for (uint32_t i = 0; i < held->count; i++)
		if (model.records[held->records[i]].state == M_AT_SINK)
			m_end(held->records[i], late ? M_TIMEOUT : M_AGAIN);
	if (late)
		return;
	model.counts.retries++;
	if (at > held->deadline_ns)
		at = held->deadline_ns;
	model.again_ns = at;
}

static uint32_t prefix_of(const struct m_held *held)
{
	uint64_t bytes = 0;

	/* Aborted claims take bytes as well: the batch is read as it lies. */
	for (uint32_t i = 0, n = 0; i < held->batch->span_count; i++) {
		const uint8_t *at = held->batch->iov[i].iov_base;
		const uint8_t *end = at + held->batch->iov[i].iov_len;

		while (at < end) {
			struct weir_record seen;
			uint64_t total = weir_record_decode(at, (uint64_t)(end - at), &seen);

			if (!total)
				prop_fail("a span ends within a record");
			at += total;
			bytes += total;
			if (seen.flags & WEIR_REC_ABORTED)
				continue;
			if (bytes > held->verdict.bytes)
				return n;
			n++;
		}
	}
	return held->count;
}

static void take_partial(struct m_held *held)
{
	uint32_t rest = 0;

	for (uint32_t i = 0; i < held->count; i++) {
		enum m_state state = M_AT_SINK;

		switch ((enum weir_partial)held->verdict.partial) {
		case WEIR_PARTIAL_RECORDS:
		case WEIR_PARTIAL_BYTES:
			state = i < held->verdict.records ? M_DELIVERED : M_AT_SINK;
			break;
		case WEIR_PARTIAL_BITMAP:
			state = held->bitmap[i / 64] >> i % 64 & 1 ? M_DELIVERED : M_AT_SINK;
			break;
		case WEIR_PARTIAL_CODES:
			state = held->codes[i] == 0         ? M_DELIVERED
			        : held->codes[i] == -EAGAIN ? M_AT_SINK
			                                    : M_REJECTED;
			break;
		}
		if (state == M_AT_SINK)
			rest++;
		else
			m_end(held->records[i], state);
	}
	if (rest)
		again_or_late(held, held->verdict.after_ns);
}

static void take_split(struct m_held *held)
{
	enum m_state state = M_AGAIN;

	if (held->count < 2)
		state = M_TOO_LARGE;
	else if (vs.now_ns >= held->deadline_ns)
		state = M_TIMEOUT;
	else
		model.counts.splits++;
	for (uint32_t i = 0; i < held->count; i++)
		m_end(held->records[i], state);
}

static void take_one(struct m_held *held)
{
	enum m_state state = M_DELIVERED;

	switch ((enum weir_verdict_kind)held->verdict.kind) {
	case WEIR_RETRY:
		again_or_late(held, held->verdict.after_ns);
		return;
	case WEIR_SPLIT:
		take_split(held);
		return;
	case WEIR_PARTIAL:
		take_partial(held);
		return;
	case WEIR_FATAL:
		model.broken = 1;
		return;
	case WEIR_REJECT:
		state = M_REJECTED;
		break;
	case WEIR_DONE:
		break;
	}
	for (uint32_t i = 0; i < held->count; i++)
		m_end(held->records[i], state);
}

void m_take_given(void)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < model.held_count; i++) {
		struct m_held *held = &model.held[i];

		if (held->given) {
			take_one(held);
			continue;
		}
		if (kept != i) {
			struct m_held swap = model.held[kept];

			model.held[kept] = *held;
			*held = swap;
		}
		kept++;
	}
	model.held_count = kept;
}

void m_give(uint32_t i, const struct weir_verdict *verdict)
{
	struct m_held *held = &model.held[i];

	held->verdict = *verdict;
	/* The batch's memory is not the sink's any more when the flusher takes it: read now. */
	if (verdict->kind == WEIR_PARTIAL && verdict->partial == WEIR_PARTIAL_BYTES) {
		held->verdict.records = prefix_of(held);
		held->verdict.partial = WEIR_PARTIAL_RECORDS;
	}
	held->given = 1;
}

static int any_in(enum m_state state)
{
	return model.counts.states[state] != 0;
}

/* Space comes back behind what is final, and only there. */
static void check_tails(void)
{
	for (uint32_t r = 0; r < model.ring_count; r++) {
		struct m_ring *ring = &model.rings[r];
		uint64_t low = ring->first_position, high = low, at = low;
		uint64_t tail = atomic_load(&ring->ring->tail);
		int held = 0;

		for (uint32_t i = 0; i < ring->count; i++) {
			const struct m_record *record = &model.records[ring->records[i]];

			if (record->state == M_GIVEN_UP) {
				/* Its span may lie in any batch, also in one of another ring. */
				held |= any_in(M_AT_SINK) || any_in(M_AGAIN);
				at += record->bytes;
				continue;
			}
			if (!record->batch || model.left[record->batch - 1])
				break;
			at += record->bytes;
			low = held ? low : at;
		}
		high = at;
		if (tail < low || tail > high)
			prop_fail("ring %u is released up to %llu, not %llu..%llu", ring->ring->id,
			          (unsigned long long)tail, (unsigned long long)low,
			          (unsigned long long)high);
	}
}

/* The flusher has no reason not to take what a trigger names. */
static int is_free(void)
{
	uint32_t most = model.caps.max_inflight ? model.caps.max_inflight : 1;

	if (model.config.max_inflight && model.config.max_inflight < most)
		most = model.config.max_inflight;
	return !model.broken && !model.sink_full && model.held_count < most &&
	       !any_in(M_AGAIN) && !any_in(M_OPEN);
}

static void check_triggers(void)
{
	static uint64_t cpus;
	const struct weir_config *config = &model.config;
	uint64_t uncut = 0, bytes = 0, slack = 0;
	uint64_t least = config->deadline_ns < 50000 ? 50000 : config->deadline_ns;

	for (uint32_t r = 0; r < model.ring_count; r++) {
		struct m_ring *ring = &model.rings[r];
		uint64_t in_ring = 0;

		for (uint32_t i = ring->next; i < ring->count; i++) {
			uint32_t n = ring->records[i];
			const struct m_record *record = &model.records[n];
			uint64_t since = record->committed_ns;

			if (record->state == M_GIVEN_UP)
				continue;
			uncut++;
			in_ring += record->bytes;
			if (n < model.flush_mark)
				prop_fail("record %u was to be flushed, and was not", n);
			if (since < model.free_ns)
				since = model.free_ns;
			if (config->timer_mode == WEIR_MODE_ON && config->deadline_ns != WEIR_OFF &&
			    vs.now_ns - since > least + 51000)
				prop_fail("record %u waits for %llu ns, the deadline is %llu", n,
				          (unsigned long long)(vs.now_ns - since),
				          (unsigned long long)config->deadline_ns);
			if (record->max_age_ns && config->urgent_mode == WEIR_MODE_ON &&
			    vs.now_ns - since > record->max_age_ns + 101000)
				prop_fail("record %u waits for longer than its own age", n);
		}
		bytes += in_ring;
		if (config->pressure_mode == WEIR_MODE_ON &&
		    in_ring >= (uint64_t)config->ring_bytes * config->pressure / 100 +
		                       2 * M_RECORD_MAX)
			prop_fail("ring %u holds %llu bytes, and nobody flushes it",
			          ring->ring->id, (unsigned long long)in_ring);
	}
	if (!cpus)
		cpus = wr_cpus_usable();
	if (config->count_slack != 0 && config->threshold > 8 * cpus)
		slack = config->threshold / 8 + 1;
	if (config->threshold != WEIR_OFF && config->threshold_mode == WEIR_MODE_ON &&
	    uncut >= config->threshold + slack)
		prop_fail("%llu records wait, the threshold is %llu", (unsigned long long)uncut,
		          (unsigned long long)config->threshold);
	if (config->threshold_bytes != WEIR_OFF && config->bytes_mode == WEIR_MODE_ON &&
	    bytes >= config->threshold_bytes + config->threshold_bytes / 4 +
	                     M_RINGS * (M_RECORD_MAX + 64))
		prop_fail("%llu bytes wait, the threshold is %llu", (unsigned long long)bytes,
		          (unsigned long long)config->threshold_bytes);
}

void m_at_rest(void)
{
	check_tails();
	if (!is_free())
		model.free_ns = vs.now_ns;
	else
		check_triggers();
}

void m_check_counts(void)
{
	const struct m_counts *counts = &model.counts;
	struct weir_stats stats = { .size = sizeof(stats) };
	struct weir_audit audit = { .size = sizeof(audit) };
	uint64_t pending = counts->states[M_PENDING] + counts->states[M_AT_SINK] +
	                   counts->states[M_AGAIN];

	P_EQ(weir_stats(model.weir, &stats), 0);
	P_EQ(stats.accepted, counts->accepted);
	P_EQ(stats.refused_full, counts->full);
	P_EQ(stats.refused_too_big, counts->too_big);
	P_EQ(stats.refused_closed, counts->closed);
	P_EQ(stats.refused_context, counts->context);
	P_EQ(counts->attempted, stats.accepted + stats.refused_full + stats.refused_too_big +
	                                stats.refused_closed + stats.refused_context);
	P_EQ(stats.delivered, counts->states[M_DELIVERED]);
	P_EQ(stats.dropped_rejected, counts->states[M_REJECTED]);
	P_EQ(stats.dropped_timeout, counts->states[M_TIMEOUT]);
	P_EQ(stats.dropped_too_large, counts->states[M_TOO_LARGE]);
	P_EQ(stats.dropped_fatal, counts->states[M_FATAL]);
	P_EQ(stats.dropped_shutdown, counts->states[M_SHUTDOWN]);
	P_EQ(stats.dead_lettered, 0);
	P_EQ(stats.pending, pending);
	P_EQ(stats.attempts, counts->attempts);
	P_EQ(stats.redelivered, counts->redelivered);
	P_EQ(stats.waits, counts->waits);
	P_EQ(stats.retries, counts->retries);
	P_EQ(stats.splits, counts->splits);
	P_TRUE(stats.batches >= model.batches);
	if (!model.closing) {
		P_EQ(stats.inflight, model.held_count);
		P_EQ(stats.batches_done, counts->batches_done);
	}
	P_EQ(weir_audit(model.weir, &audit), 0);
	P_EQ(audit.residual, 0);
	P_EQ(audit.accepted, counts->accepted);
	P_EQ(audit.pending_ring + audit.pending_batch, pending);
}
