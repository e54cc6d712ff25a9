/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - the segment log against a list of batches: append, rotate, retain, fail, crash, lose the
 * power, open again, read, follow. No engine: batches are made here, with sources and all.
 *
 * What was acknowledged is there once and in order, to the last byte; what was refused is not,
 * unless two calls of the disk had failed; what a cut may take is only what was not durable; what
 * retention takes is only the oldest. A reader that follows sees each batch once as well.
 */
#include "log/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weir/log.h>

#include "property/prop.h"
#include "property/sys.h"
#include "support/virtual_sys.h"

#define BATCHES 2048
#define GHOSTS 256
#define BODY_MAX 40000u

enum op { OPEN, WRITE, TICK, SYNC, PASS, DISK, FOLLOW, READ, REOPEN, KILL, CUT, LIFE };
static const struct prop_kind kinds[] = {
	{ "open", 0 },   { "write", 60 },  { "tick", 6 }, { "sync", 4 }, { "pass", 6 }, { "disk", 7 },
	{ "follow", 8 }, { "read", 3 },    { "reopen", 5 }, { "kill", 3 }, { "cut", 4 }, { "life", 3 },
};
enum hit { H_WRITTEN, H_REFUSED, H_FAILED, H_SEGMENTS, H_EXPIRED, H_POISONED, H_RESCUED, H_READ,
	   H_FOLLOWED, H_CUTS, H_KILLS, H_OVER };
static const char *const hits[] = {
	"batches written", "writes refused", "failed disk calls", "segments made", "segments expired",
	"segments poisoned", "batches rescued", "batches read", "batches followed", "power cuts",
	"kills", "writes that left something behind"
};

struct entry {
	uint64_t life, seq, wall_ns, written_ns;
	uint32_t records, number;
	uint16_t source;
	uint8_t durable, unsaid, seen;
};

static struct it {
	struct wr_log_writer *writer;
	struct wr_log_options options;
	struct entry list[BATCHES];
	uint32_t count, from; /* from: of this writer's life */
	uint32_t number;      /* of all batches ever */
	uint64_t life, seq;
	uint64_t oversize; /* of the largest batch that no segment has room for */
	struct entry ghosts[GHOSTS]; /* taken by a cut from where another cut may put it back */
	uint32_t ghost_count;
	struct entry again; /* was refused, and comes again */
	int has_again;
	int troubled, was_cut, aged;
	int expired; /* a writer has removed segments: the oldest may be missing */
	int leftover; /* a file that could not be removed: retention does not know of it */
	struct weir_log_reader *follower;
	uint64_t followed_life, followed_seq;
	struct prop_random random;
	struct weir_sources sources;
	uint32_t source_count;
} it;
static uint8_t pattern[8192], body[BODY_MAX + 4096];

static uint32_t source_count(const struct weir_sources *sources)
{
	(void)sources;
	return it.source_count;
}

static const char *source_name(const struct weir_sources *sources, uint16_t id)
{
	static const char *const names[] = { "one", "two", "three", "four" };

	(void)sources;
	return names[(id - 1u) % 4];
}

/* Record @i of batch @number: size and where its bytes are taken from. */
static uint32_t size_of(uint32_t number, uint32_t i)
{
	struct prop_random random = { number * 1009u + i };
	uint64_t draw = prop_random(&random);

	return draw % 8 ? (uint32_t)(draw >> 8) % 120 : (uint32_t)(draw >> 8) % 4000;
}

static const uint8_t *bytes_of(uint32_t number, uint32_t i)
{
	return pattern + (number * 131 + i * 17) % 4000;
}

static uint32_t build(uint32_t number, uint32_t *records, uint16_t source)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < *records; i++) {
		struct weir_record_header header = { size_of(number, i), source,
			                             WEIR_REC_COMMITTED };
		uint32_t total = (uint32_t)weir_record_total(header.size, header.flags);

		if (used + total > BODY_MAX) {
			*records = i;
			break;
		}
		memcpy(body + used, &header, sizeof(header));
		memcpy(body + used + 8, bytes_of(number, i), header.size);
		memset(body + used + 8 + header.size, 0, total - 8 - header.size);
		used += total;
	}
	return used;
}

static void mark_durable(uint64_t up_to_ns)
{
	for (uint32_t i = it.from; i < it.count; i++)
		if (!it.list[i].unsaid && it.list[i].written_ns <= up_to_ns)
			it.list[i].durable = 1;
}

static void check_size(uint64_t failed)
{
	uint64_t bytes;

	(void)disk_files(&bytes);
	/* Leftovers of a failure count for nothing until they are closed. */
	if (it.options.max_bytes && !failed && !it.troubled && bytes > it.options.max_bytes + it.oversize)
		prop_fail("the log has %llu bytes, and may have %llu", (unsigned long long)bytes,
		          (unsigned long long)it.options.max_bytes);
}

static void op_write(const struct prop_op *op)
{
	uint32_t records = 1 + op->a % 8 * (op->a % 3) * 3;
	struct entry *entry = &it.list[it.count];
	struct weir_log_batch batch = { .seq = it.seq, .wall_ns = vs.wall_ns, .cause = 3, .attempt = 1 };
	uint64_t failed = disk_failed();
	struct iovec iov[3];
	uint32_t used;
	int r;

	P_TRUE(it.count < BATCHES);
	if (op->c % 5 > it.source_count) /* names are never taken back */
		it.source_count = op->c % 5;
	*entry = (struct entry){ .life = it.life, .seq = it.seq, .wall_ns = vs.wall_ns,
		                 .number = it.number++,
		                 .source = (uint16_t)(it.source_count ? 1 + op->b % it.source_count
		                                                      : 0) };
	if (it.has_again) {
		*entry = it.again;
		records = entry->records;
		it.has_again = 0;
		if (entry->source > it.source_count)
			it.source_count = entry->source;
		batch.wall_ns = entry->wall_ns;
	}
	entry->written_ns = vs.wall_ns;
	used = build(entry->number, &records, entry->source);
	entry->records = records;
	if (used + 1024 > it.options.segment_bytes && used > it.oversize)
		it.oversize = used + 1024;
	batch.records = records;
	batch.bytes = used;
	batch.earliest_ns = entry->wall_ns - 5;
	memcpy(batch.engine, &it.life, 8);
	iov[0] = (struct iovec){ body, used / 2 };
	iov[1] = (struct iovec){ body + used / 2, 0 };
	iov[2] = (struct iovec){ body + used / 2, used - used / 2 };
	r = wr_log_writer_write(it.writer, &batch, iov, 3, &it.sources);
	prop_step("    batch %llu of %u bytes: %d", (unsigned long long)it.seq, used, r);
	if (r) {
		P_TRUE(disk_failed() > failed || it.troubled);
		it.troubled = 1;
		prop_hit(H_REFUSED, 1);
		if (op->c >> 16 & 1) {
			it.seq++;
		} else {
			it.again = *entry;
			it.has_again = 1;
		}
		/* One failure alone leaves nothing behind; the engine tries again, or gives up. */
		if (disk_failed() >= failed + 2) {
			it.leftover = 1;
			entry->unsaid = 1;
			it.count++;
			prop_hit(H_OVER, 1);
		}
		return;
	}
	entry->durable = it.options.sync == WR_LOG_SYNC_BATCH;
	it.count++;
	it.seq++;
	prop_hit(H_WRITTEN, 1);
	check_size(failed - disk_failed());
}

static int is_of(const struct entry *entry, const struct weir_log_batch *batch)
{
	uint64_t life;

	memcpy(&life, batch->engine, 8);
	return entry->life == life && entry->seq == batch->seq;
}

/* The record is number @index of the batch that the entry says. */
static void compare(struct weir_log_reader *reader, const struct entry *entry, uint32_t index,
                    const struct weir_record *seen)
{
	const struct weir_log_batch *batch = weir_log_batch(reader);

	P_EQ(batch->records, entry->records);
	P_EQ(batch->wall_ns, entry->wall_ns);
	P_EQ(batch->earliest_ns, entry->wall_ns - 5);
	P_EQ(batch->cause, 3);
	P_TRUE(index < entry->records);
	P_EQ(seen->size, size_of(entry->number, index));
	P_EQ(seen->source, entry->source);
	if (memcmp(seen->data, bytes_of(entry->number, index), seen->size))
		prop_fail("record %u of batch %llu has other bytes", index,
		          (unsigned long long)entry->seq);
	if (seen->source) {
		const char *name = weir_log_source_name(reader, seen->source);

		/* A cut may take the names alone. */
		if (name ? strcmp(name, source_name(NULL, seen->source)) : !it.was_cut)
			prop_fail("source %u is called %s", seen->source, name ? name : "nothing");
	}
}

/* Whole batches only: what is read of one is all of it. Returns the number of its records. */
static uint32_t read_batch(struct weir_log_reader *reader, struct weir_record *seen,
                           const struct entry *entry)
{
	uint32_t n = 0;

	for (;;) {
		int r;

		compare(reader, entry, n++, seen);
		if (n == entry->records)
			return n;
		r = weir_log_next(reader, seen);
		if (r != 1 || !is_of(entry, weir_log_batch(reader)))
			prop_fail("batch %llu ends behind %u records of %u",
			          (unsigned long long)entry->seq, n, entry->records);
	}
}

/* Entry @i is not there: was it met already, written before its writer knew? Or may it be absent? */
static void excuse(uint32_t i, int cut, uint32_t seen)
{
	struct entry *entry = &it.list[i];

	for (uint32_t n = 0; n < i && !entry->seen; n++)
		entry->seen = it.list[n].seen && it.list[n].life == entry->life &&
		              it.list[n].seq == entry->seq;
	if (entry->unsaid || entry->seen || (it.expired && (!seen || cut || it.leftover)) || (cut && !entry->durable))
		return;
	prop_fail("batch %llu is missing%s", (unsigned long long)entry->seq,
	          entry->durable ? ", and was durable" : "");
}

/*
 * Under sync=none a batch that was lost with the power may be there again when it goes once more:
 * a segment that was used again has its old name back and holds what belongs to the new one, which
 * nobody reads there; the next cut may leave the new name and take what was written over it.
 */
static void bury(const struct entry *entry)
{
	if (it.options.sync == WR_LOG_SYNC_NONE && it.ghost_count < GHOSTS && !entry->durable)
		it.ghosts[it.ghost_count++] = *entry;
}

static const struct entry *rise(const struct weir_log_batch *batch)
{
	for (uint32_t i = 0; i < it.ghost_count; i++) {
		struct entry *ghost = &it.ghosts[i];

		if (is_of(ghost, batch) && ghost->wall_ns == batch->wall_ns && !ghost->seen++)
			return ghost;
	}
	return NULL;
}

/* All of the log, against the whole list. */
static void read_all(int cut)
{
	static struct entry kept[BATCHES];
	struct weir_log_counts counts = { .size = sizeof(counts) };
	struct weir_log_reader *reader;
	struct weir_record record;
	uint32_t at = 0, n = 0, seen = 0;
	uint64_t records = 0;
	int r = weir_log_open(DISK_DIR, &reader, NULL);

	P_EQ(r, 0);
	for (uint32_t i = 0; i < it.count; i++)
		it.list[i].seen = 0;
	while ((r = weir_log_next(reader, &record)) == 1) {
		const struct weir_log_batch *batch = weir_log_batch(reader);
		const struct entry *ghost;
		uint32_t i = at;

		prop_step("    read batch %llu", (unsigned long long)batch->seq);
		while (i < it.count && (!is_of(&it.list[i], batch) ||
		                        it.list[i].wall_ns != batch->wall_ns))
			i++;
		if (i == it.count && cut) { /* rescued behind others: see engine.c */
			for (i = 0; i < at && !(is_of(&it.list[i], batch) && !it.list[i].seen &&
			                        !it.list[i].durable);)
				i++;
			i = i == at ? it.count : i;
		}
		ghost = i == it.count && cut ? rise(batch) : NULL;
		if (ghost) {
			records += read_batch(reader, &record, ghost);
			kept[n] = *ghost;
			kept[n++].durable = 1;
			seen++;
			continue;
		}
		if (i == it.count)
			prop_fail("the log holds batch %llu, which it should not",
			          (unsigned long long)batch->seq);
		if (it.list[i].seen++)
			prop_fail("batch %llu is there twice", (unsigned long long)batch->seq);
		/* A life of which a cut has taken the beginning may be read before others. */
		for (; at < i && !(cut && !it.list[i].durable); at++) {
			excuse(at, cut, seen);
			if (!cut && !it.list[at].seen) {
				kept[n] = it.list[at];
				kept[n++].unsaid = 1;
			}
		}
		at = i == at ? i + 1 : at;
		records += read_batch(reader, &record, &it.list[i]);
		kept[n] = it.list[i];
		kept[n].unsaid &= (uint8_t)!cut;
		kept[n++].durable |= (uint8_t)cut;
		seen++;
	}
	P_EQ(r, 0);
	for (; at < it.count; at++) {
		excuse(at, cut, seen);
		if (!cut && !it.list[at].seen) {
			kept[n] = it.list[at];
			kept[n++].unsaid = 1;
		}
	}
	P_EQ(weir_log_counts(reader, &counts), 0);
	P_EQ(counts.records, records);
	P_EQ(counts.batches, seen);
	if (!it.troubled)
		P_EQ(counts.damaged, 0);
	weir_log_close(reader);
	for (uint32_t i = 0; cut && i < it.count; i++)
		if (!it.list[i].seen)
			bury(&it.list[i]);
	memcpy(it.list, kept, n * sizeof(kept[0]));
	it.count = n;
	it.from = it.from < n ? it.from : n;
	prop_hit(H_READ, seen);
}

/* The follower goes on where it was: later batches of this life, each once. */
static void follow(void)
{
	struct weir_record record;
	uint32_t seen = 0, i = 0;
	int r;

	if (!it.follower) {
		r = weir_log_open(DISK_DIR, &it.follower, NULL);
		P_EQ(r, 0);
	}
	while ((r = weir_log_next(it.follower, &record)) == 1) {
		const struct weir_log_batch *batch = weir_log_batch(it.follower);

		/* What failed and was said to be refused may be passed by, or be met. */
		for (i = 0; i < it.count; i++)
			if (is_of(&it.list[i], batch) && it.list[i].wall_ns == batch->wall_ns)
				break;
		if (i == it.count)
			prop_fail("the follower met batch %llu, which was never written",
			          (unsigned long long)batch->seq);
		if (it.followed_life == it.list[i].life && it.list[i].seq <= it.followed_seq)
			prop_fail("the follower met batch %llu behind %llu",
			          (unsigned long long)batch->seq,
			          (unsigned long long)it.followed_seq);
		it.followed_life = it.list[i].life;
		it.followed_seq = it.list[i].seq;
		(void)read_batch(it.follower, &record, &it.list[i]);
		seen++;
	}
	P_EQ(r, 0);
	/* It has come to the end: the last that was acknowledged is behind it. */
	if (!it.troubled && !it.aged && it.count > it.from && !it.list[it.count - 1].unsaid) {
		P_EQ(it.followed_life, it.list[it.count - 1].life);
		P_EQ(it.followed_seq, it.list[it.count - 1].seq);
	}
	prop_hit(H_FOLLOWED, seen);
}

static void end_follower(void)
{
	weir_log_close(it.follower);
	it.follower = NULL;
	it.followed_life = it.followed_seq = 0;
}

static void new_life(void)
{
	it.life = vs.wall_ns ^ prop_random(&it.random) << 40;
	it.seq = 1;
	it.has_again = 0;
	vs_advance(1000);
}

static void open_writer(const struct prop_op *op)
{
	static const uint64_t sizes[] = { 4096, 8192, 16384, 65536 };
	struct weir_why why = { "" };
	int r;

	it.options = (struct wr_log_options){
		.sync = (enum wr_log_sync)(op->a % 3),
		.interval_ns = op->a / 3 % 2 ? 0 : 20000000,
		.segment_bytes = sizes[op->b % 4],
		.max_bytes = op->b / 4 % 3 == 1 ? sizes[op->b % 4] * (2 + op->b / 12 % 4) : 0,
		.max_age_ns = op->c % 4 == 1 ? 50000000 : 0,
	};
	it.aged |= it.options.max_age_ns != 0;
	vs_advance(1000);
	new_life();
	it.from = it.count;
	it.source_count = 0;
	r = wr_log_writer_open(DISK_DIR, &it.options, NULL, &it.writer, &why);
	if (r)
		prop_fail("open: %d %s", r, why.text);
}

static void look_for_expired(void)
{
	struct wr_log_writer_counts counts;

	wr_log_writer_counts(it.writer, &counts);
	it.expired |= counts.expired != 0;
}

static void count_writer(void)
{
	struct wr_log_writer_counts counts;

	look_for_expired();
	wr_log_writer_counts(it.writer, &counts);
	prop_hit(H_SEGMENTS, counts.segments);
	prop_hit(H_EXPIRED, counts.expired);
	prop_hit(H_POISONED, counts.poisoned);
	prop_hit(H_RESCUED, counts.rescued);
	P_EQ(counts.unsynced, 0); /* the disk can always be read */
}

static void close_writer(void)
{
	uint64_t lowest;
	int r;

	disk_fail((struct disk_fault){ 0, 0, 0 });
	count_writer();
	lowest = disk_lowest();
	r = wr_log_writer_close(it.writer);
	it.expired |= disk_lowest() != lowest; /* for the sake of what was written again */
	if (!it.troubled)
		P_EQ(r, 0);
	if (!r && it.options.sync != WR_LOG_SYNC_NONE)
		mark_durable(UINT64_MAX);
	end_follower();
	P_EQ(sys_open_descriptors(), 0);
	read_all(0);
}

/* The writer is not closed: its memory is left, and taken back here for the sake of the tools. */
static void crash(int cut)
{
	disk_fail((struct disk_fault){ 0, 0, 0 });
	count_writer();
	end_follower();
	disk_freeze(1);
	(void)wr_log_writer_close(it.writer);
	disk_freeze(0);
	if (cut)
		disk_cut(&it.random);
	else
		disk_kill();
	it.troubled |= cut;
	it.leftover |= cut; /* what a cut has mangled may be read in another order */
	it.was_cut |= cut;
	prop_hit(cut ? H_CUTS : H_KILLS, 1);
	read_all(cut);
}

static void op_tick(const struct prop_op *op)
{
	uint64_t interval = it.options.interval_ns ? it.options.interval_ns : WR_LOG_INTERVAL_NS;
	uint64_t failed = disk_failed();
	int r = op->kind == TICK ? wr_log_writer_tick(it.writer) : wr_log_writer_sync(it.writer);

	prop_step("    %d", r);
	it.troubled |= r != 0;
	it.leftover |= disk_failed() >= failed + 2;
	if (!r && op->kind == SYNC && it.options.sync != WR_LOG_SYNC_NONE)
		mark_durable(UINT64_MAX);
	if (!r && op->kind == TICK && it.options.sync == WR_LOG_SYNC_INTERVAL)
		mark_durable(vs.wall_ns - interval / 2);
}

static void run_op(const struct prop_op *op)
{
	static const int errors[] = { -EIO, -ENOSPC, 1, -EINTR, -EMFILE };

	switch ((enum op)op->kind) {
	case OPEN:
		open_writer(op);
		break;
	case WRITE:
		op_write(op);
		break;
	case TICK:
	case SYNC:
		op_tick(op);
		break;
	case PASS:
		vs_advance(op->a % 2 ? 11000000 : 60000000);
		break;
	case DISK:
		it.troubled = 1; /* for good, see LIFE */
		disk_fail((struct disk_fault){ op->a % 12, 1 + op->b % 3, errors[op->c % 5] });
		break;
	case FOLLOW:
		/* A reader is not to be confused by the writer's bad luck. */
		disk_fail((struct disk_fault){ 0, 0, 0 });
		follow();
		break;
	case READ:
		disk_fail((struct disk_fault){ 0, 0, 0 });
		look_for_expired();
		read_all(0);
		break;
	case REOPEN:
		close_writer();
		open_writer(op);
		break;
	case KILL:
	case CUT:
		crash(op->kind == CUT);
		open_writer(op);
		break;
	case LIFE:
		/* What is rescued after a failed sync would be sorted behind the new life. */
		if (!it.troubled)
			new_life();
		break;
	}
}

static void run(const struct prop_op *ops, uint32_t count)
{
	for (uint32_t i = 0; !pattern[0] && i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251 + 1);
	sys_reset(UINT64_C(1000000000000), ops[0].a);
	it.random.state = ops[0].c;
	it.count = it.from = it.number = 0;
	it.oversize = 0;
	it.ghost_count = 0;
	it.troubled = it.expired = it.was_cut = it.leftover = it.aged = 0;
	it.sources = (struct weir_sources){ source_count, source_name };
	for (uint32_t i = 0; i < count; i++) {
		prop_step("%s %u %u %u", kinds[ops[i].kind].name, ops[i].a, ops[i].b, ops[i].c);
		run_op(&ops[i]);
	}
	prop_hit(H_FAILED, disk_failed());
	close_writer();
}

static void done(void)
{
	for (unsigned i = 0; i < sizeof(hits) / sizeof(hits[0]); i++)
		printf("# %-32s %llu\n", hits[i], (unsigned long long)prop_hits(i));
}

int main(int argc, char **argv)
{
	static const struct prop prop = {
		.rung = "property-log",
		.promise = "a log holds the batches that were acknowledged, once, in order, over "
			   "failures, crashes and power cuts, and loses only what it may",
		.kinds = kinds,
		.kind_count = sizeof(kinds) / sizeof(kinds[0]),
		.least = 8,
		.most = 100,
		.run = run,
		.done = done,
	};

	return prop_main(argc, argv, &prop);
}
