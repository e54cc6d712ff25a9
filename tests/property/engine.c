/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - random lives of an engine: pushes, claims, flushes, verdicts, migrations, failing
 * disks, restarts and crashes, against model.c, on virtual time.
 *
 * Three threads are one: what the library keeps per thread is exchanged. Three CPUs are none: with
 * restartable sections the CPU is that of an rseq area of our own, which no kernel writes to; on
 * fallback rings it is a number. The flusher is turned only when it would have been woken. The sink
 * compares each batch with the model, keeps it or answers at once, and for WEIR_DONE may write it
 * to a segment log first, which is read back after every restart and crash.
 */
#include "property/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/life.h"
#include "log/writer.h"
#include "property/sys.h"
#include "sink/inorder.h"
#include "support/rings.h"
#include "support/virtual_sys.h"

#define START_NS UINT64_C(1000000000000)
#define CLAIMS 12
#define LOGGED 4096

enum op {
	CONFIG, PUSH, PUSHV, PUSH_MANY, PUSH_EX, PUSH_WAIT, CLAIM, COMMIT, ABORT, FLUSH, FLUSH_WAIT,
	TURN, PASS, COMPLETE, SINK, READY, DISK, ROTATE, MOVE, STAY, RESTART, CRASH
};
static const struct prop_kind kinds[] = {
	{ "config", 0 },   { "push", 30 },    { "pushv", 5 },     { "push_many", 6 },
	{ "push_ex", 8 },  { "push_wait", 3 }, { "claim", 7 },    { "commit", 8 },
	{ "abort", 3 },    { "flush", 4 },    { "flush_wait", 3 }, { "turn", 14 },
	{ "pass", 7 },     { "complete", 12 }, { "sink", 5 },     { "ready", 3 },
	{ "disk", 3 },     { "rotate", 3 },   { "move", 9 },      { "stay", 2 },
	{ "restart", 1 },  { "crash", 1 },
};

enum hit {
	H_PUSHED, H_FULL, H_WRAPS, H_MIGRATIONS, H_MARKS, H_CLAIMS, H_ABORTED, H_RETRIES, H_SPLITS,
	H_PARTIALS, H_REJECTED, H_FATAL, H_REFUSED, H_TIMEOUTS, H_WAITED, H_WAIT_ROOM, H_RESTARTS,
	H_KILLS, H_CUTS, H_LOGGED, H_READ, H_SEGMENTS, H_EXPIRED, H_DISK, H_RSEQ, H_FALLBACK,
	H_CLOSE_LATE, H_STAY, H_OPS, H_HITS
};
static const char *const hits[] = {
	"records pushed", "pushes refused: full", "rings gone round", "migrations",
	"migration marks", "claims", "claims aborted", "retries", "splits", "partial verdicts",
	"batches rejected", "sinks broken", "submits refused", "records timed out",
	"pushes that waited", "of which got room", "restarts", "kills", "power cuts",
	"records in the log", "records read back", "segments made", "segments expired",
	"failed disk calls", "lives with sections", "lives without", "closes with a rest",
	"pushes sent to the fallback ring", "operations"
};

/* A record in the log, in the order of its writing. */
struct logged {
	uint32_t record;
	uint8_t durable;
	uint8_t unsaid; /* its write failed, and could not be undone: it may be there */
	uint32_t index, records; /* in its batch, and in all of that */
	uint64_t life, seq, first_record, at_ns;
};

static struct lives {
	struct fake_rseq area;
	struct weir_sink sink;
	struct weir_claim claims[CLAIMS];
	uint32_t claim_records[CLAIMS];
	uint32_t claim_makers[CLAIMS]; /* threads */
	uint32_t claim_count;
	/* the sink */
	int hold, refuse, owes_ready, fail_submit;
	struct weir_verdict script;
	uint32_t script_left;
	struct wr_inorder inorder;
	/* the log */
	struct wr_log_writer *writer;
	struct wr_log_options options;
	int use_log, troubled;
	int expired; /* a writer has removed segments: the oldest may be missing */
	int leftover; /* a file that could not be removed: retention does not know of it */
	struct logged logged[LOGGED];
	uint32_t logged_count, life_from;
	int room_on_wait;
	int in_barrier; /* a flush_wait has timed out */
	struct prop_random random;
	struct memory *memory;
	uint64_t memories;
} it;

/* The engine's memory: what a crash leaves is thrown away, what a close leaves is a leak. */
struct memory {
	struct memory *next, **at;
	size_t bytes;
	_Alignas(16) uint8_t data[];
};

static void *take_memory(void *arg, size_t bytes)
{
	struct memory *memory = malloc(sizeof(*memory) + bytes);

	(void)arg;
	P_TRUE(memory);
	memory->bytes = bytes;
	memory->next = it.memory;
	memory->at = &it.memory;
	if (it.memory)
		it.memory->at = &memory->next;
	it.memory = memory;
	it.memories++;
	return memory->data;
}

static void give_memory(void *arg, void *data, size_t bytes)
{
	struct memory *memory = (void *)((uint8_t *)data - offsetof(struct memory, data));

	(void)arg;
	P_EQ(memory->bytes, bytes);
	*memory->at = memory->next;
	if (memory->next)
		memory->next->at = memory->at;
	it.memories--;
	free(memory);
}

static void drop_memory(void)
{
	while (it.memory)
		give_memory(NULL, it.memory->data, it.memory->bytes);
}

/* From here on thread @t runs; M_THREADS is the flusher. */
static void as_thread(uint32_t t)
{
	model.threads[model.current].saved = wr_thread;
	model.current = t;
	wr_thread = model.threads[t].saved;
	wr_thread.cpu = model.threads[t].cpu;
	wr_thread.cpu_left = 1u << 30;
	atomic_store(&it.area.cpu_id_start, model.threads[t].cpu);
	atomic_store(&it.area.cpu_id, model.threads[t].cpu);
}

static uint64_t pick(uint32_t bits, const uint64_t *from, uint32_t count)
{
	return from[bits % count];
}
#define PICK(bits, ...) \
	pick(bits, (const uint64_t[]){ __VA_ARGS__ }, \
	     sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static int log_verdict(struct weir_batch *batch)
{
	struct weir_log_batch header = {
		.seq = batch->seq,
		.first_record = batch->first_record,
		.wall_ns = batch->wall_ns,
		.earliest_ns = batch->wall_ns,
		.records = batch->records,
		.bytes = batch->bytes,
		.cause = batch->cause,
		.attempt = batch->attempt,
	};

	memcpy(header.engine, batch->engine, 16);
	return wr_log_writer_write(it.writer, &header, batch->iov, batch->span_count,
	                           batch->sources);
}

/* Of this life alone: a writer never touches what an earlier one wrote. */
static void mark_durable(uint64_t up_to_ns)
{
	for (uint32_t i = it.life_from; i < it.logged_count; i++)
		if (!it.logged[i].unsaid && it.logged[i].at_ns <= up_to_ns)
			it.logged[i].durable = 1;
}

static uint64_t life_of(const uint8_t engine[16])
{
	uint64_t life;

	memcpy(&life, engine, sizeof(life));
	return life;
}

/* Writes held batch @i to the log, as the sink of files does. What it is to be told then. */
static void write_log(uint32_t i, struct weir_verdict *verdict)
{
	struct m_held *held = &model.held[i];
	uint64_t failed = disk_failed();
	int r;

	if (!wr_inorder_accept(&it.inorder, held->batch)) {
		*verdict = (struct weir_verdict){ .kind = WEIR_RETRY };
		return;
	}
	/* What a failed write has left behind is whole: only the whole is known for the same. */
	if (it.leftover && (verdict->kind == WEIR_SPLIT || verdict->kind == WEIR_PARTIAL))
		verdict->kind = WEIR_DONE;
	if (verdict->kind != WEIR_DONE)
		return;
	r = log_verdict(held->batch);
	if (r) {
		it.troubled = 1;
		verdict->kind = r == -EMSGSIZE ? WEIR_SPLIT : WEIR_RETRY;
		verdict->after_ns = 5000000;
		it.leftover |= disk_failed() >= failed + 2;
		if (disk_failed() < failed + 2) /* one failure alone leaves nothing behind */
			return;
	}
	for (uint32_t n = 0; n < held->count; n++) {
		P_TRUE(it.logged_count < LOGGED);
		it.logged[it.logged_count++] = (struct logged){
			.record = held->records[n],
			.durable = !r && it.options.sync == WR_LOG_SYNC_BATCH,
			.unsaid = r != 0,
			.index = n,
			.records = held->count,
			.life = life_of(held->batch->engine),
			.seq = held->batch->seq,
			.first_record = held->batch->first_record,
			.at_ns = vs.now_ns,
		};
	}
	prop_hit(H_LOGGED, r ? 0 : held->count);
}

static void give(uint32_t i, struct weir_verdict verdict)
{
	struct m_held *held = &model.held[i];
	struct weir_batch *batch = held->batch;

	if (it.use_log)
		write_log(i, &verdict);
	prop_hit(H_PARTIALS, verdict.kind == WEIR_PARTIAL);
	prop_hit(H_REJECTED, verdict.kind == WEIR_REJECT);
	prop_hit(H_FATAL, verdict.kind == WEIR_FATAL);
	m_give(i, &verdict);
	if (verdict.kind == WEIR_PARTIAL && verdict.partial == WEIR_PARTIAL_BITMAP)
		verdict.bitmap = held->bitmap;
	if (verdict.kind == WEIR_PARTIAL && verdict.partial == WEIR_PARTIAL_CODES)
		verdict.codes = held->codes;
	wr_inorder_answered(&it.inorder, batch, &verdict);
	weir_batch_complete(batch, &verdict);
}

/* A verdict out of numbers, that fits held batch @i. */
static struct weir_verdict verdict_of(uint32_t i, uint32_t a, uint32_t b)
{
	static const uint8_t kind_of[] = { WEIR_DONE, WEIR_DONE, WEIR_DONE, WEIR_DONE, WEIR_RETRY,
		                           WEIR_RETRY, WEIR_SPLIT, WEIR_PARTIAL, WEIR_PARTIAL,
		                           WEIR_REJECT, WEIR_PARTIAL, WEIR_SPLIT };
	struct m_held *held = &model.held[i];
	struct weir_verdict verdict = { .kind = kind_of[a % 12] };
	struct prop_random random = { b };

	if (a % 240 == 239)
		verdict.kind = WEIR_FATAL;
	verdict.after_ns = PICK(a >> 8, 0, 1000000, 20000000, 90000000);
	verdict.partial = b % 4;
	verdict.records = b / 4 % (held->count + 2);
	verdict.bytes = b / 4 % (held->batch->bytes + 2);
	memset(held->bitmap, 0, sizeof(held->bitmap));
	P_TRUE(held->count <= 2048);
	for (uint32_t n = 0; n < held->count; n++) {
		uint64_t draw = prop_random(&random);

		held->bitmap[n / 64] |= (draw & 1) << n % 64;
		held->codes[n] = draw % 3 == 0 ? 0 : draw % 3 == 1 ? -EAGAIN : -EINVAL;
	}
	return verdict;
}

static int sink_submit(struct weir_sink *self, struct weir_batch *batch)
{
	uint32_t i;

	(void)self;
	m_take_given();
	if (it.fail_submit) {
		it.fail_submit = 0;
		model.broken = 1;
		prop_hit(H_FATAL, 1);
		return -EIO;
	}
	if (it.refuse) {
		it.refuse--;
		model.sink_full = it.owes_ready = 1;
		prop_hit(H_REFUSED, 1);
		return -EAGAIN;
	}
	i = m_submitted(batch);
	prop_step("    batch %llu from %llu: %llu records, attempt %u, cause %u",
	          (unsigned long long)batch->seq, (unsigned long long)batch->first_record,
	          (unsigned long long)batch->records, batch->attempt, batch->cause);
	if (it.hold)
		return 0;
	if (it.script_left) {
		it.script_left--;
		give(i, verdict_of(i, it.script.kind, it.script.partial));
	} else {
		give(i, (struct weir_verdict){ .kind = WEIR_DONE });
	}
	m_take_given(); /* so does the flusher, at once */
	return 0;
}

static int sink_settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self, (void)deadline_ns;
	for (uint32_t i = 0; i < model.held_count; i++)
		if (!model.held[i].given)
			return -ETIMEDOUT;
	return 0;
}

static void sink_cancel(struct weir_sink *self)
{
	(void)self;
	for (uint32_t i = 0; i < model.held_count; i++) {
		if (model.held[i].given)
			continue;
		m_give(i, &(struct weir_verdict){ .kind = WEIR_RETRY });
		weir_batch_complete(model.held[i].batch,
		                    &(struct weir_verdict){ .kind = WEIR_RETRY });
	}
}

static void sink_close(struct weir_sink *self)
{
	(void)self;
}

static int sink_start(struct weir_sink *self, struct weir_sink_host *host,
                      struct weir_sink_caps *caps, struct weir_why *why)
{
	(void)self, (void)host, (void)why;
	*caps = model.caps;
	return 0;
}

static const struct weir_sink_ops sink_ops = {
	.abi = WEIR_SINK_ABI,
	.name = "model",
	.submit = sink_submit,
	.settle = sink_settle,
	.close = sink_close,
	.start = sink_start,
	.cancel = sink_cancel,
};

/* Turns the flusher as long as something would wake it. */
static void settle(void)
{
	uint32_t was = model.current;

	as_thread(M_THREADS);
	for (int i = 0; vs_is_ready(model.weir->flusher.poll_fd); i++) {
		if (i > 3000)
			prop_fail("the flusher never comes to rest");
		P_TRUE(weir_run_once(model.weir, 0) >= 0);
		m_take_given();
	}
	as_thread(was);
	m_at_rest();
}

static void pass(uint64_t ns)
{
	uint64_t end = vs.now_ns + ns;

	settle();
	for (;;) {
		uint64_t next = vs_next_timer(model.weir->flusher.poll_fd);

		if (next > end)
			break;
		vs_advance(next > vs.now_ns ? next - vs.now_ns : 0);
		settle();
	}
	vs_advance(end - vs.now_ns);
	settle();
}

/* A push waits for room: the flusher and the sink may make some meanwhile. */
static void on_futex_wait(_Atomic uint32_t *word)
{
	uint32_t was = model.current;

	if (!it.room_on_wait || word != &model.weir->wake.release_seq)
		return;
	settle();
	as_thread(M_THREADS);
	for (uint32_t i = 0; i < model.held_count; i++)
		if (!model.held[i].given)
			give(i, (struct weir_verdict){ .kind = WEIR_DONE });
	as_thread(was);
	settle();
}

static void read_config(uint32_t a, uint32_t b, uint32_t c)
{
	struct weir_config *config = &model.config;

	weir_config_init(config);
	config->loop = WEIR_LOOP_OWN;
	config->ring_bytes = M_RING_BYTES;
	config->record_max = M_RECORD_MAX;
	config->inline_max = PICK(a >> 1, 4096, 64, 512, 4096);
	config->order = (a >> 3) % 8 == 7 ? WEIR_ORDER_NONE : WEIR_ORDER_THREAD;
	config->threshold = PICK(a >> 6, 1000, 1, 5, 16, 60, WEIR_OFF, 200);
	config->threshold_bytes = PICK(a >> 10, WEIR_OFF, 3000, 30000, 200000);
	config->deadline_ns = PICK(a >> 12, WEIR_SECONDS(2), 5000000, 0, WEIR_OFF, 70000);
	config->timer_mode = (uint32_t)PICK(a >> 15, 0, 0, 0, WEIR_MODE_OFF, WEIR_MODE_SHADOW);
	config->threshold_mode = (uint32_t)PICK(a >> 18, 0, 0, 0, WEIR_MODE_SHADOW, WEIR_MODE_OFF);
	config->bytes_mode = (uint32_t)PICK(a >> 21, 0, 0, WEIR_MODE_SHADOW, WEIR_MODE_OFF);
	config->pressure_mode = (uint32_t)PICK(a >> 23, 0, 0, WEIR_MODE_OFF, WEIR_MODE_SHADOW);
	config->urgent_mode = (uint32_t)PICK(a >> 25, 0, 0, WEIR_MODE_OFF, WEIR_MODE_SHADOW);
	config->count_slack = PICK(a >> 27, WEIR_AUTO, 0, 8);
	config->full = a >> 29 & 1 ? WEIR_FULL_BLOCK : WEIR_FULL_FAIL;
	config->block_max_ns = 3000000;
	config->max_batch_records = PICK(b, config->max_batch_records, 1, 7, 50);
	config->max_batch_bytes = PICK(b >> 2, config->max_batch_bytes, 2000, 40000);
	config->max_batch_spans = (uint32_t)PICK(b >> 4, config->max_batch_spans, 2, 1);
	config->max_inflight = (uint32_t)PICK(b >> 6, 0, 1, 2);
	config->batch_total_timeout_ns = PICK(b >> 8, WEIR_SECONDS(30), 40000000, WEIR_OFF);
	config->claim_max_ns = PICK(b >> 10, WEIR_SECONDS(1), 1000000);
	config->pressure = (uint32_t)PICK(b >> 11, 50, 20, 90);
	config->allocator = (struct weir_allocator){ take_memory, give_memory, NULL };
	model.caps.max_records = PICK(b >> 13, 0, 0, 4, 30);
	model.caps.max_bytes = PICK(b >> 15, 0, 0, 0, 9000);
	model.caps.max_inflight = (uint32_t)PICK(b >> 17, 0, 1, 2, 4);
	wr_test_start.count = (uint32_t)PICK(b >> 19, 0, UINT32_MAX - 10, 5, UINT32_MAX);
	wr_test_start.position = (uint32_t)PICK(b >> 21, 0, UINT32_MAX - 999, 65528, 1u << 31);
	wr_test_start.seq = PICK(b >> 23, 0, UINT64_MAX - 2, 7);
	wr_test_start.epoch = (uint32_t)PICK(b >> 25, 0, (1u << 27) - 2);
	it.use_log = c % 4 != 0;
	if (it.use_log && wr_test_start.seq > 7) /* the log counts on a sequence from 1 */
		wr_test_start.seq = 0;
	it.options = (struct wr_log_options){
		.sync = (enum wr_log_sync)((c >> 2) % 3),
		.interval_ns = PICK(c >> 4, 0, 20000000),
		.segment_bytes = PICK(c >> 5, 4096, 16384, 65536, 0),
	};
	if ((c >> 7) % 3 == 1)
		it.options.max_bytes = 4 * (it.options.segment_bytes ? it.options.segment_bytes
		                                                      : WR_LOG_SEGMENT_SIZE);
	it.options.max_age_ns = PICK(c >> 9, 0, 0, 0, 500000000);
}

static void open_life(const struct prop_op *op)
{
	struct weir_why why = { "" };
	struct wr_mem mem = { take_memory, give_memory, NULL };
	int rseq = WR_HAS_SECTION && op->a & 1, r;

	read_config(op->a, op->b, op->c);
	disk_fail((struct disk_fault){ 0, 0, 0 });
	vs_advance(1000000); /* a later life begins later */
	it.sink.ops = &sink_ops;
	it.hold = it.refuse = it.owes_ready = it.fail_submit = 0;
	it.script_left = 0;
	it.in_barrier = 0;
	it.claim_count = 0;
	memset(&it.inorder, 0, sizeof(it.inorder));
	memset(wr_thread.order, 0, sizeof(wr_thread.order));
	for (uint32_t t = 0; t <= M_THREADS; t++) {
		memset(&model.threads[t].saved, 0, sizeof(model.threads[t].saved));
		model.threads[t].cpu = t % M_CPUS;
	}
	memset(&wr_thread, 0, sizeof(wr_thread));
	memset(wr_holders, 0, sizeof(wr_holders));
	wr_rseq_force(rseq ? WR_RSEQ_YES : WR_RSEQ_FORCED_OFF);
	r = weir_open(&model.config, &it.sink, &model.weir, &why);
	if (r)
		prop_fail("weir_open: %d %s", r, why.text);
	prop_hit(rseq ? H_RSEQ : H_FALLBACK, 1);
	m_life();
	model.first_seq = model.weir->flusher.config.first_seq;
	model.current = 0;
	as_thread(0);
	vs.on_futex_wait = on_futex_wait;
	if (!it.use_log)
		return;
	it.life_from = it.logged_count;
	r = wr_log_writer_open(DISK_DIR, &it.options, &mem, &it.writer, &why);
	if (r)
		prop_fail("the log: %d %s", r, why.text);
}

struct reading {
	int cut;
	uint32_t at, count, kept, seen;
	struct logged key; /* of the record that was read last */
	struct logged entries[LOGGED];
	uint8_t read[M_RECORDS];
};

static int is_entry(const struct reading *reading, uint32_t i)
{
	const struct logged *entry = &reading->entries[i];

	return entry->life == reading->key.life && entry->seq == reading->key.seq &&
	       entry->first_record == reading->key.first_record &&
	       entry->index == reading->key.index && entry->records == reading->key.records;
}

/* Which record of which batch of which life was read. */
static void next_key(struct reading *reading, const struct weir_log_batch *batch)
{
	struct logged *key = &reading->key;
	uint64_t life = life_of(batch->engine);

	if (reading->seen && key->life == life && key->seq == batch->seq &&
	    key->first_record == batch->first_record)
		key->index++;
	else
		*key = (struct logged){ .life = life,
			                .seq = batch->seq,
			                .first_record = batch->first_record,
			                .records = (uint32_t)batch->records };
}

/* The entry is not in the log at this place: may that be? */
static void excuse(struct reading *reading)
{
	struct logged entry = reading->entries[reading->at++];
	int expired = it.expired && (!reading->seen || reading->cut || it.leftover);

	if (!entry.unsaid && !reading->read[entry.record] && !expired &&
	    !(reading->cut && !entry.durable))
		prop_fail("record %u is missing in the log%s", entry.record,
		          entry.durable ? ", and was durable" : "");
	if (reading->cut || reading->read[entry.record])
		return;
	entry.unsaid = 1; /* what was removed, and not durably so, a cut may bring back */
	entry.durable = 0;
	it.logged[reading->kept++] = entry;
}

/* The entry of the record that was read. */
static struct logged *find_entry(struct reading *reading)
{
	uint32_t was = reading->at;

	for (uint32_t i = reading->at; i < reading->count; i++) {
		if (!is_entry(reading, i))
			continue;
		/* A life of which a cut has taken the beginning may be read before others. */
		if (reading->cut && !reading->entries[i].durable)
			return &reading->entries[i];
		while (reading->at < i)
			excuse(reading);
		return &reading->entries[reading->at++];
	}
	/*
	 * A batch that was not durable may survive behind later ones alone: where it was written
	 * again after a failed sync.
	 */
	for (uint32_t i = 0; i < was && reading->cut; i++)
		if (is_entry(reading, i) && !reading->entries[i].durable)
			return &reading->entries[i];
	prop_fail("the log holds record %u of batch %llu, which it should not",
	          reading->key.index, (unsigned long long)reading->key.seq);
}

/* The log holds what the model has there: all of it, but for what may be lost. */
static void read_log(int cut)
{
	static struct reading reading;
	struct weir_log_counts counts = { .size = sizeof(counts) };
	struct weir_log_reader *reader;
	struct weir_record seen;
	int r = weir_log_open(DISK_DIR, &reader, NULL);

	if (r == -ENOENT && !it.logged_count)
		return;
	P_EQ(r, 0);
	memset(reading.read, 0, model.record_count);
	memcpy(reading.entries, it.logged, it.logged_count * sizeof(it.logged[0]));
	reading.count = it.logged_count;
	reading.at = reading.kept = reading.seen = 0;
	reading.cut = cut;
	while ((r = weir_log_next(reader, &seen)) == 1) {
		struct logged *entry;

		next_key(&reading, weir_log_batch(reader));
		entry = find_entry(&reading);
		if (reading.read[entry->record]++)
			prop_fail("record %u is in the log twice", entry->record);
		m_compare(entry->record, &seen);
		reading.seen++;
		entry->unsaid &= (uint8_t)!cut;
		entry->durable |= (uint8_t)cut; /* it has survived */
		it.logged[reading.kept++] = *entry;
	}
	P_EQ(r, 0);
	while (reading.at < reading.count)
		excuse(&reading);
	P_EQ(weir_log_counts(reader, &counts), 0);
	P_EQ(counts.records, reading.seen);
	if (!cut && !it.troubled)
		P_EQ(counts.damaged, 0);
	weir_log_close(reader);
	it.logged_count = reading.kept;
	prop_hit(H_READ, reading.seen);
}

static void count_life(void)
{
	struct weir_stats stats = { .size = sizeof(stats) };

	P_EQ(weir_stats(model.weir, &stats), 0);
	prop_hit(H_PUSHED, stats.accepted);
	prop_hit(H_FULL, stats.refused_full);
	prop_hit(H_MARKS, stats.migrations);
	prop_hit(H_RETRIES, stats.retries);
	prop_hit(H_SPLITS, stats.splits);
	prop_hit(H_TIMEOUTS, stats.dropped_timeout);
	prop_hit(H_WAITED, stats.waits);
	prop_hit(H_STAY, stats.aborts_capped);
	for (uint32_t i = 0; i < model.ring_count; i++)
		prop_hit(H_WRAPS, (model.rings[i].position - model.rings[i].first_position) /
		                          M_RING_BYTES);
	if (it.use_log && it.writer) {
		struct wr_log_writer_counts counts;

		wr_log_writer_counts(it.writer, &counts);
		prop_hit(H_SEGMENTS, counts.segments);
		prop_hit(H_EXPIRED, counts.expired);
		it.expired |= counts.expired != 0;
	}
	prop_hit(H_DISK, disk_failed());
}

/* What the close has left is dropped, and its report says how much. */
static void after_close(int r, const struct weir_close_report *report)
{
	enum m_state state = model.broken ? M_FATAL : M_SHUTDOWN;
	uint64_t left = 0;

	m_take_given();
	for (uint32_t n = model.life_first; n < model.record_count; n++) {
		struct m_record *record = &model.records[n];

		if (record->state == M_OPEN) {
			m_end(n, M_GIVEN_UP);
			model.counts.claims_abandoned++;
		} else if (record->state < M_DELIVERED && record->state != M_GIVEN_UP) {
			m_end(n, state);
			left++;
		}
	}
	P_EQ(report->left, left);
	P_EQ(report->claims_abandoned, model.counts.claims_abandoned);
	P_EQ(report->threads_stuck, 0);
	P_EQ(report->sink_stuck, 0);
	P_EQ(report->descriptors_kept, 0);
	if (r == 0)
		P_EQ(left, 0);
	else if (r == -EPIPE)
		P_TRUE(model.broken && left);
	else
		P_EQ(r, -ETIMEDOUT);
	prop_hit(H_CLOSE_LATE, left != 0);
}

static void close_life(uint64_t timeout_ns)
{
	struct weir_close_report report = { .size = sizeof(report) };
	uint64_t heads[2];
	int r;

	disk_fail((struct disk_fault){ 0, 0, 0 });
	settle();
	model.closing = 1;
	r = weir_close(model.weir, timeout_ns, &report);
	prop_step("    closed: %d, %llu left", r, (unsigned long long)report.left);
	after_close(r, &report);
	m_check_counts();
	/* Claims end with a refusal, pushes as well. */
	for (uint32_t i = 0; i < it.claim_count; i++) {
		P_EQ(weir_commit(&it.claims[i]), -ESHUTDOWN);
		model.counts.closed++;
		model.counts.attempted++;
	}
	m_heads(heads);
	P_EQ(weir_push(model.weir, "", 0), -ESHUTDOWN);
	model.counts.attempted++;
	model.counts.closed++;
	m_check_counts();
	count_life();
	P_EQ(weir_free(model.weir), 0);
	if (it.use_log) {
		r = wr_log_writer_close(it.writer);
		it.writer = NULL;
		if (!r && it.options.sync != WR_LOG_SYNC_NONE)
			mark_durable(UINT64_MAX);
	}
	P_EQ(sys_open_descriptors(), 0);
	if (it.memories)
		prop_fail("%llu pieces of memory were not given back",
		          (unsigned long long)it.memories);
	read_log(0);
}

/* The process ends where it stands. */
static void crash_life(int cut)
{
	disk_fail((struct disk_fault){ 0, 0, 0 });
	count_life();
	for (uint32_t n = model.life_first; n < model.record_count; n++)
		if (model.records[n].state < M_DELIVERED && model.records[n].state != M_GIVEN_UP)
			m_end(n, M_CRASHED);
	wr_flusher_close_fds(&model.weir->flusher);
	atomic_store(&model.weir->rings.page->generation, 0);
	wr_engine_forget(model.weir);
	it.writer = NULL;
	drop_memory();
	if (cut)
		disk_cut(&it.random);
	else
		disk_kill();
	prop_hit(cut ? H_CUTS : H_KILLS, 1);
	it.troubled |= cut;
	it.leftover |= cut; /* what a cut has mangled may be read in another order */
	read_log(cut);
}

static uint32_t size_of(uint32_t a)
{
	static const uint16_t large[] = { 4096, 4097, 8192, 16384, 12000, 16000, 3000, 6000 };

	if (a % 4)
		return a / 4 % 96;
	if (a / 4 % 8 < 6)
		return large[a / 32 % 8];
	return a / 32 % 16390; /* a few are too big */
}

/* Books what a push of @record answered. */
static void book(const struct m_record *record, int r, const uint64_t heads[2])
{
	uint32_t total = (uint32_t)weir_record_total(record->size, record->flags);
	uint64_t after[2];

	model.counts.attempted++;
	if (r == 0) {
		m_pushed(record, heads);
		return;
	}
	m_heads(after);
	if (after[0] != heads[0] || after[1] != heads[1])
		prop_fail("a push was refused (%d), and a ring has grown", r);
	switch (r) {
	case -EAGAIN:
	case -ETIMEDOUT:
	case -EPIPE:
		model.counts.full++;
		if (!m_is_full(total + WEIR_MARK_BYTES, heads))
			prop_fail("a record of %u bytes was refused, and there is room",
			          record->size);
		if (r == -EPIPE)
			P_TRUE(model.broken);
		return;
	case -EMSGSIZE:
		P_TRUE(record->size > M_RECORD_MAX);
		model.counts.too_big++;
		return;
	case -EDEADLK:
		P_TRUE(model.threads[model.current].claims);
		model.counts.context++;
		return;
	default:
		prop_fail("a push answered %d", r);
	}
}

/* Does a push of now wait when its ring is full? Counts the wait, if there was one. */
static void count_waits(uint64_t before)
{
	struct weir_stats stats = { .size = sizeof(stats) };

	P_EQ(weir_stats(model.weir, &stats), 0);
	P_TRUE(stats.waits - before <= 1);
	model.counts.waits = stats.waits;
}

static uint64_t waits_now(void)
{
	return model.counts.waits;
}

static void op_push(const struct prop_op *op)
{
	struct m_record record = { .state = M_PENDING, .size = size_of(op->b) };
	uint64_t heads[2], waits = waits_now();
	int r;

	as_thread(op->a % M_THREADS);
	m_heads(heads);
	r = weir_push(model.weir, m_payload(model.record_count), record.size);
	prop_step("    push of %u bytes by thread %u: %d", record.size, model.current, r);
	book(&record, r, heads);
	count_waits(waits);
}

static void op_pushv(const struct prop_op *op)
{
	struct m_record record = { .state = M_PENDING, .size = size_of(op->b) };
	const uint8_t *from = m_payload(model.record_count);
	struct prop_random random = { op->c };
	struct iovec iov[40];
	uint64_t heads[2], waits = waits_now();
	uint32_t left = record.size;
	int count = (int)(op->c % 40), r;

	for (int i = 0; i < count; i++) {
		uint32_t part = i + 1 == count ? left
		                               : (uint32_t)(prop_random(&random) % (left + 1));

		iov[i] = (struct iovec){ part ? (void *)(uintptr_t)from : NULL, part };
		from += part;
		left -= part;
	}
	record.size -= left;
	as_thread(op->a % M_THREADS);
	m_heads(heads);
	r = weir_pushv(model.weir, iov, count);
	prop_step("    pushv of %u bytes in %d pieces by thread %u: %d", record.size, count,
	          model.current, r);
	book(&record, r, heads);
	count_waits(waits);
}

static void op_push_many(const struct prop_op *op)
{
	/* One after the other, as far as the model goes: each compared on its own. */
	for (uint32_t i = 0; i < 1 + op->c % 12; i++) {
		struct m_record record = { .state = M_PENDING, .size = size_of(op->b + i * 4) };
		uint64_t heads[2], waits = waits_now();
		struct iovec iov[2] = { { (void *)(uintptr_t)m_payload(model.record_count),
			                  record.size } };
		int r;

		as_thread(op->a % M_THREADS);
		m_heads(heads);
		iov[1] = (struct iovec){ iov[0].iov_base, M_RECORD_MAX + 1 };
		r = weir_push_many(model.weir, iov, 2);
		prop_step("    push_many of %u bytes by thread %u: %d", record.size,
		          model.current, r);
		P_TRUE(r < 2 && r != 0);
		if (r == 1) { /* the second is too big: counted, and not returned */
			model.counts.attempted++;
			model.counts.too_big++;
			r = 0;
		}
		book(&record, r, heads);
		count_waits(waits);
		if (r)
			return;
	}
}

/* Flags, extension and the rest, out of the numbers of an operation. */
static struct weir_push_options options_of(uint32_t c, struct m_record *record)
{
	struct weir_push_options options = { 0 };

	record->source = options.source = (uint16_t)PICK(c, 0, 1, 65535);
	record->flags = options.flags =
		(uint16_t)PICK(c >> 2, 0, WEIR_REC_CONTINUES, WEIR_REC_NO_EOL | 0x3000,
	                       WEIR_REC_USER);
	if (c >> 4 & 1) {
		options.uuid = m_uuid(model.record_count);
		record->has_uuid = 1;
		record->flags |= WEIR_REC_UUID;
	}
	if (c >> 5 & 1) {
		record->origin_ns = options.origin_ns = vs.wall_ns + c;
		record->flags |= WEIR_REC_ORIGIN;
	}
	if ((c >> 6) % 4 == 3) {
		record->max_age_ns = options.max_age_ns = PICK(c >> 8, 1000, 200000, 9000000);
		record->flags |= WEIR_REC_MAX_AGE;
	}
	return options;
}

static void op_push_ex(const struct prop_op *op)
{
	struct m_record record = { .state = M_PENDING, .size = size_of(op->b) };
	struct weir_push_options options = options_of(op->c, &record);
	uint64_t heads[2], waits = waits_now();
	int r;

	as_thread(op->a % M_THREADS);
	m_heads(heads);
	r = weir_push_ex(model.weir, m_payload(model.record_count), record.size, &options);
	prop_step("    push_ex of %u bytes, flags %x, by thread %u: %d", record.size, record.flags,
	          model.current, r);
	book(&record, r, heads);
	count_waits(waits);
}

/* Pushes large records until one has to wait: somebody makes room, or nobody does. */
static void op_push_wait(const struct prop_op *op)
{
	it.room_on_wait = op->c & 1;
	for (int i = 0; i < 10; i++) {
		struct m_record record = { .state = M_PENDING, .size = 12000 + op->b % 4000 };
		struct weir_push_options options = {
			.wait = i < 8 ? WEIR_PUSH_WAIT : WEIR_PUSH_NO_WAIT,
			.wait_ns = PICK(op->c >> 1, 0, 1, 500000),
		};
		uint64_t heads[2], waits = waits_now(), began = vs.now_ns;
		int r;

		as_thread(op->a % M_THREADS);
		m_heads(heads);
		r = weir_push_ex(model.weir, m_payload(model.record_count), record.size, &options);
		prop_step("    push that may wait by thread %u: %d", model.current, r);
		book(&record, r, heads);
		count_waits(waits);
		if (r == -ETIMEDOUT && !it.room_on_wait)
			P_EQ(vs.now_ns - began, options.wait_ns ? options.wait_ns
			                                        : model.config.block_max_ns);
		if (i >= 8)
			P_TRUE(r == 0 || r == -EAGAIN);
		if (model.counts.waits != waits) {
			prop_hit(H_WAIT_ROOM, r == 0);
			break;
		}
		if (r)
			break;
	}
	it.room_on_wait = 0;
}

static void op_claim(const struct prop_op *op)
{
	struct m_record record = { .state = M_OPEN, .size = size_of(op->b) };
	struct weir_push_options options = options_of(op->c, &record);
	struct weir_claim *claim = &it.claims[it.claim_count];
	uint64_t heads[2], waits = waits_now();
	int r;

	if (it.claim_count == CLAIMS)
		return;
	as_thread(op->a % M_THREADS);
	m_heads(heads);
	r = weir_claim(model.weir, record.size, op->c >> 31 ? &options : NULL, claim);
	prop_step("    claim of %u bytes by thread %u: %d", record.size, model.current, r);
	if (!(op->c >> 31))
		record = (struct m_record){ .state = M_OPEN, .size = record.size };
	book(&record, r, heads);
	count_waits(waits);
	if (r)
		return;
	model.counts.attempted--; /* when it ends */
	P_EQ(claim->size, record.size);
	memcpy(claim->data, m_payload(model.record_count - 1), record.size);
	it.claim_makers[it.claim_count] = model.current;
	it.claim_records[it.claim_count++] = model.record_count - 1;
	model.threads[model.current].claims++;
	prop_hit(H_CLAIMS, 1);
}

static void op_end_claim(const struct prop_op *op)
{
	uint32_t i = it.claim_count ? op->b % it.claim_count : 0, n = it.claim_records[i];
	int commit = op->kind == COMMIT;

	if (!it.claim_count)
		return;
	as_thread(op->a % M_THREADS);
	P_EQ(commit ? weir_commit(&it.claims[i]) : weir_abort(&it.claims[i]), 0);
	P_EQ(commit ? weir_commit(&it.claims[i]) : weir_abort(&it.claims[i]), -EINVAL);
	prop_step("    record %u by thread %u", n, model.current);
	model.threads[it.claim_makers[i]].claims--; /* whoever ends it */
	model.counts.states[M_OPEN]--;
	model.counts.states[commit ? M_PENDING : M_GIVEN_UP]++;
	model.records[n].state = commit ? M_PENDING : M_GIVEN_UP;
	model.records[n].committed_ns = vs.now_ns;
	if (commit) {
		model.counts.accepted++;
		model.counts.attempted++;
	}
	prop_hit(H_ABORTED, !commit);
	it.claim_count--;
	it.claims[i] = it.claims[it.claim_count];
	it.claim_records[i] = it.claim_records[it.claim_count];
	it.claim_makers[i] = it.claim_makers[it.claim_count];
}

static int pending_below(uint32_t mark)
{
	for (uint32_t n = model.life_first; n < mark; n++)
		if (model.records[n].state <= M_AGAIN && model.records[n].state != M_GIVEN_UP)
			return 1;
	return 0;
}

static void op_flush(const struct prop_op *op)
{
	as_thread(op->a % M_THREADS);
	if (op->kind == FLUSH) {
		P_EQ(weir_flush(model.weir), 0);
		/* What lies behind an open claim cannot be taken now, and later is not now. */
		if (!model.counts.states[M_OPEN])
			model.flush_mark = model.record_count;
	} else {
		uint32_t mark = model.record_count;
		int r;

		settle();
		as_thread(M_THREADS);
		r = weir_flush_wait(model.weir, PICK(op->b, 1000000, 0, 30000000));
		m_take_given();
		prop_step("    %d", r);
		if (r == 0) {
			if (pending_below(mark))
				prop_fail("flush_wait answered 0, and a record has no verdict");
		} else {
			P_EQ(r, -ETIMEDOUT);
		}
		as_thread(op->a % M_THREADS);
		/* One barrier after the other: a second one begins when the first is reached. */
		if (!model.counts.states[M_OPEN] && !it.in_barrier)
			model.flush_mark = mark;
		it.in_barrier = r != 0;
	}
	settle();
}

static void op_complete(const struct prop_op *op)
{
	uint32_t i = op->c % (model.held_count ? model.held_count : 1);

	for (uint32_t tried = 0; tried < model.held_count; tried++, i++) {
		i %= model.held_count;
		if (model.held[i].given)
			continue;
		prop_step("    batch %llu", (unsigned long long)model.held[i].batch->seq);
		give(i, verdict_of(i, op->a, op->b));
		return;
	}
}

static void op_sink(const struct prop_op *op)
{
	switch (op->a % 8) {
	case 0:
	case 1:
		it.hold = 0;
		break;
	case 2:
	case 3:
	case 4:
		it.hold = 1;
		break;
	case 5:
		it.refuse = 1 + (int)(op->b % 3);
		break;
	case 6:
		it.hold = 0;
		it.script_left = 1 + op->b % 6;
		it.script.kind = op->c;
		it.script.partial = op->c >> 8;
		break;
	default:
		it.fail_submit = op->b % 32 == 31;
		break;
	}
	prop_step("    hold %d, refuse %d, script %u", it.hold, it.refuse, it.script_left);
}

static void op_ready(void)
{
	if (!it.owes_ready)
		return;
	it.owes_ready = model.sink_full = 0;
	weir_sink_ready(&it.sink);
}

static void op_disk(const struct prop_op *op)
{
	static const int errors[] = { -EIO, -ENOSPC, 1, -EINTR, -EMFILE };

	if (it.use_log)
		disk_fail((struct disk_fault){ op->a % 8, 1 + op->b % 4, errors[op->c % 5] });
}

static void op_rotate(const struct prop_op *op)
{
	uint64_t interval = it.options.interval_ns ? it.options.interval_ns : WR_LOG_INTERVAL_NS;
	uint64_t failed = disk_failed();
	int r;

	if (!it.use_log)
		return;
	if (op->a & 1) {
		r = wr_log_writer_sync(it.writer);
		if (!r && it.options.sync != WR_LOG_SYNC_NONE)
			mark_durable(UINT64_MAX);
	} else {
		r = wr_log_writer_tick(it.writer);
		if (!r && it.options.sync == WR_LOG_SYNC_INTERVAL && vs.now_ns >= interval)
			mark_durable(vs.now_ns - interval / 2);
	}
	it.troubled |= r != 0;
	it.leftover |= disk_failed() >= failed + 2;
	prop_step("    %d", r);
}

static void run_op(const struct prop_op *op)
{
	switch ((enum op)op->kind) {
	case CONFIG:
		open_life(op);
		break;
	case PUSH:
		op_push(op);
		break;
	case PUSHV:
		op_pushv(op);
		break;
	case PUSH_MANY:
		op_push_many(op);
		break;
	case PUSH_EX:
		op_push_ex(op);
		break;
	case PUSH_WAIT:
		op_push_wait(op);
		break;
	case CLAIM:
		op_claim(op);
		break;
	case COMMIT:
	case ABORT:
		op_end_claim(op);
		break;
	case FLUSH:
	case FLUSH_WAIT:
		op_flush(op);
		break;
	case TURN:
		settle();
		break;
	case PASS:
		pass(PICK(op->a, 1000, 60000, 1000000, 6000000, 30000000, 600000000));
		break;
	case COMPLETE:
		op_complete(op);
		break;
	case SINK:
		op_sink(op);
		break;
	case READY:
		op_ready();
		break;
	case DISK:
		op_disk(op);
		break;
	case ROTATE:
		op_rotate(op);
		break;
	case MOVE:
		prop_hit(H_MIGRATIONS, 1);
		model.threads[op->a % M_THREADS].cpu = op->b % M_CPUS;
		as_thread(model.current);
		break;
	case STAY:
		as_thread(op->a % M_THREADS);
		wr_thread.stay = op->b % 6;
		break;
	case RESTART:
		close_life(PICK(op->b >> 28, 0, 5000000, 100000000));
		open_life(op);
		break;
	case CRASH:
		crash_life(op->b >> 31 != 0);
		open_life(op);
		break;
	}
}

static void run(const struct prop_op *ops, uint32_t count)
{
	sys_reset(START_NS, ops[0].a * UINT64_C(2654435761) + ops[0].b);
	it.random.state = ops[0].c;
	it.logged_count = 0;
	it.troubled = it.expired = it.leftover = 0;
	model.record_count = 0;
	if (!it.area.cpu_id_start && wr_rseq_detect() != WR_RSEQ_FORCED_OFF)
		wr_rseq_offset = fake_offset(&it.area);
	for (uint32_t i = 0; i < count; i++) {
		prop_step("%s %u %u %u", kinds[ops[i].kind].name, ops[i].a, ops[i].b, ops[i].c);
		run_op(&ops[i]);
		if (i % 4 == 3)
			m_check_counts();
	}
	prop_hit(H_OPS, count);
	m_check_counts();
	close_life(PICK(ops[0].c >> 29, 0, 5000000, 100000000));
	prop_hit(H_RESTARTS, 1);
}

static void done(void)
{
	for (unsigned i = 0; i < H_HITS; i++)
		printf("# %-32s %llu\n", hits[i], (unsigned long long)prop_hits(i));
}

int main(int argc, char **argv)
{
	static const struct prop prop = {
		.rung = "property",
		.promise = "an engine does what an array of records would: each in order, once, "
			   "by its deadline, counted, and in the log what was acknowledged",
		.kinds = kinds,
		.kind_count = sizeof(kinds) / sizeof(kinds[0]),
		.least = 8,
		.most = 90,
		.run = run,
		.done = done,
	};

	return prop_main(argc, argv, &prop);
}
