/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_fuzz.c - the log: headers, one segment, a whole directory that is read, written and changed.
 *
 * A check sum would keep random bytes out, so a segment's sums are put right when the input wants
 * that, and a directory is made by a little program of blocks and damage.
 */
#include <errno.h>
#include <weir/log.h>

#include "base/crc32c.h"
#include "base/sys.h"
#include "fuzz.h"
#include "log/dir.h"
#include "log/format.h"
#include "log/names.h"
#include "log/scan.h"
#include "log/seen.h"
#include "log/writer.h"
#include "memory_sys.h"

/* The state of a program that makes a directory. */
static struct program {
	struct feed feed;
	struct disk_file *file; /* the one that is made */
	size_t at;                /* where the next bytes go */
	uint64_t segment;
	uint8_t engine;
	struct weir_log_reader *reader;
	uint64_t records;
	unsigned steps, large, many;
	uint64_t written; /* the last number that a writer gave */
	bool imitated;    /* blocks of a writer's engine life were made by hand */
	bool reading;
} program;

static void put(uint8_t *to, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

/* The header's own sum, over all but itself. */
static void fix_header(uint8_t *header, size_t bytes)
{
	uint32_t crc = wr_crc32c(0, header, 20);

	put(header + 20, wr_crc32c(crc, header + 24, bytes - 24), 4);
}

/* How many bytes; then a header, once as it is and once with its sum put right; then names. */
void fuzz_log_header(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	size_t wanted = feed_u8(&feed) + 1u, count, bytes, used;
	const uint8_t *at = feed_bytes(&feed, wanted, &count);
	uint8_t copy[256] = { 0 }, again[256];
	struct wr_log_header header, same;

	(void)wr_log_decode(at, count, &header);
	memcpy(copy, at, count);
	bytes = count >= 8 ? copy[6] | (size_t)copy[7] << 8 : 0;
	if (bytes >= WR_LOG_COMMON_BYTES && bytes <= count)
		fix_header(copy, bytes);
	if (wr_log_decode(copy, count, &header) == WR_LOG_GOOD) {
		FUZZ_TRUE(header.header_bytes == bytes && bytes <= count && bytes % 8 == 0);
		FUZZ_TRUE(header.body_bytes % 8 == 0 && header.body_bytes <= WR_LOG_BATCH_BODY_MAX);
		same = header;
		wr_log_encode(&same, again);
		FUZZ_TRUE(same.header_bytes <= header.header_bytes);
		FUZZ_TRUE(wr_log_decode(again, same.header_bytes, &same) == WR_LOG_GOOD);
		header.header_bytes = same.header_bytes;
		FUZZ_TRUE(header.kind == same.kind && header.body_bytes == same.body_bytes &&
		          header.segment == same.segment && header.offset == same.offset &&
		          !memcmp(header.engine, same.engine, 16));
	}
	for (size_t i = 0; i < feed.left; i += used) {
		const char *name;
		uint16_t id;

		used = wr_log_name_get(feed.at + i, feed.left - i, &id, &name, &bytes);
		if (!used)
			break;
		FUZZ_TRUE(id && used <= feed.left - i && bytes <= WR_LOG_NAME_MAX);
		FUZZ_TRUE(!memchr(name, 0, bytes));
		memcpy(copy, name, bytes);
		copy[bytes] = 0;
		FUZZ_TRUE(wr_log_name_put(again, used - 1, id, (char *)copy) == 0);
		FUZZ_TRUE(bytes > 250 || wr_log_name_put(again, used, id, (char *)copy) == used);
	}
}

/* One record after another until there are no more. Returns how many. */
static uint64_t read_all(struct weir_log_reader *reader, int *ret_error)
{
	struct weir_record record;
	uint64_t n = 0, seq = 0, at = 0, used = 0;
	int r;

	while ((r = weir_log_next(reader, &record)) > 0) {
		const struct weir_log_batch *batch = weir_log_batch(reader);
		const char *name = weir_log_source_name(reader, record.source);

		FUZZ_TRUE(batch && batch->bytes <= WR_LOG_BATCH_BODY_MAX);
		FUZZ_TRUE(!(record.flags & WEIR_REC_ABORTED));
		if (batch->seq != seq || batch->first_record != at)
			used = 0;
		seq = batch->seq;
		at = batch->first_record;
		used += weir_record_total(record.size, record.flags);
		FUZZ_TRUE(used <= batch->bytes || program.reader == reader);
		fuzz_touch(record.data, record.size);
		FUZZ_TRUE(!name || strlen(name) <= WR_LOG_NAME_MAX);
		FUZZ_TRUE(++n < 4000000);
	}
	*ret_error = r;
	return n;
}

static void check_counts(const struct weir_log_reader *reader, uint64_t records)
{
	struct weir_log_counts counts = { .size = sizeof(counts) };
	struct weir_why why;

	FUZZ_TRUE(weir_log_counts(reader, &counts) == 0);
	FUZZ_TRUE(counts.records == records);
	FUZZ_TRUE(counts.missing_batches >= counts.gaps);
	for (size_t n = 0; n < counts.damaged && n < 64; n++)
		FUZZ_TRUE(weir_log_damage(reader, n, &why) == 0 && why.text[0]);
	FUZZ_TRUE(weir_log_damage(reader, counts.damaged, &why) == -ENOENT);
	if (counts.damaged > 64)
		FUZZ_TRUE(weir_log_damage(reader, 64, &why) == -ENOENT);
	counts.size = sizeof(counts) + 1;
	FUZZ_TRUE(weir_log_counts(reader, &counts) == -EINVAL);
	counts.size = 7;
	FUZZ_TRUE(weir_log_counts(reader, &counts) == -EINVAL);
}

static void fix_sums(uint8_t *bytes, size_t size, uint8_t how)
{
	for (size_t at = 0; at + WR_LOG_COMMON_BYTES <= size;) {
		uint8_t *header = bytes + at;
		size_t head = header[6] | (size_t)header[7] << 8, left = size - at;
		uint64_t body;

		memcpy(&body, header + 8, 8);
		if (head < WR_LOG_COMMON_BYTES || head > left)
			return;
		put(header, WR_LOG_MAGIC, 4);
		if (how & 2) {
			put(header + 40, 1, 8);
			put(header + 48, at, 8);
		}
		if (body <= left - head)
			put(header + 16, wr_crc32c(0, header + head, body), 4);
		fix_header(header, head);
		if (body > left - head)
			return;
		at += head + body;
	}
}

/* How its sums are put right and what fails; then the bytes of segment 1. */
void fuzz_log_segment(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	uint8_t how = feed_u8(&feed), fail_memory = feed_u8(&feed) % 16;
	struct weir_log_reader *reader = NULL;
	struct weir_why why = { "" };
	struct disk_file *file;
	long live = fuzz_memory_live();
	char name[WR_LOG_NAME_BYTES];
	uint64_t records;
	int r;

	memory_reset();
	memory_disk.directory = true;
	wr_log_segment_name(1, name);
	file = memory_make(name);
	memory_put(file, 0, feed.at, feed.left);
	if (how & 1)
		fix_sums(file->data, file->size, how);
	if (how & 4) {
		wr_log_segment_name(2, name); /* so that the first is not the last */
		memory_make(name);
	}
	if (how & 8) {
		memory_disk.short_at = how >> 4;
		fuzz_fail_memory(fail_memory, fail_memory != 0);
	}
	r = weir_log_open("log", &reader, &why);
	FUZZ_TRUE(r == 0 || why.text[0]);
	if (!r) {
		if (how & 0x80)
			weir_log_seek_time(reader, 200);
		FUZZ_TRUE(!weir_log_batch(reader));
		records = read_all(reader, &r);
		fuzz_fail_memory(0, 0);
		check_counts(reader, records);
	}
	fuzz_fail_memory(0, 0);
	weir_log_close(reader);
	weir_log_close(NULL);
	FUZZ_TRUE(disk_open_count() == 0 && fuzz_memory_live() == live);
	memory_reset();
}

static uint8_t body[70000];

static void append(const void *bytes, size_t count)
{
	if (!program.file)
		return;
	memory_put(program.file, program.at, bytes, count);
	program.at += count;
}

static void append_block(struct wr_log_header *header, size_t bytes)
{
	uint8_t to[WR_LOG_HEADER_MAX];

	memset(header->engine, program.engine, 16);
	header->segment = program.segment;
	header->offset = program.at;
	bytes = (bytes + 7) & ~(size_t)7;
	header->body_bytes = bytes;
	header->body_crc = wr_crc32c(0, body, bytes);
	wr_log_encode(header, to);
	append(to, header->header_bytes);
	append(body, bytes);
}

static size_t feed_body(size_t most)
{
	size_t count;
	const uint8_t *at = feed_bytes(&program.feed, most, &count);

	memset(body, 0, most + 8);
	memcpy(body, at, count);
	return count;
}

/* So many records of so many bytes each. */
static size_t compose_body(uint8_t how)
{
	struct weir_record_header header = {
		.size = how >> 3,
		.source = how & 3,
		.flags = how & 4 ? WEIR_REC_COMMITTED | WEIR_REC_UUID : WEIR_REC_COMMITTED,
	};
	size_t used = 0, total = weir_record_total(header.size, header.flags);

	memset(body, 0x5a, sizeof(body));
	for (uint8_t n = feed_u8(&program.feed); n; n--, used += total) {
		memcpy(body + used, &header, sizeof(header));
		if (n == 77) /* one that was given up */
			put(body + used + 6, WEIR_REC_ABORTED, 2);
	}
	return used;
}

static void make_batch(uint8_t how)
{
	struct feed *feed = &program.feed;
	struct wr_log_header header = { .kind = WR_LOG_BATCH };
	size_t bytes;

	header.batch.seq = how & 1 ? feed_u64(feed) : feed_u8(feed);
	header.batch.first_record = how & 2 ? feed_u8(feed) : 0;
	header.batch.records = feed_u8(feed);
	header.batch.wall_ns = feed_u8(feed);
	bytes = how & 4 ? feed_body(feed_u16(feed) % 600u) : compose_body(feed_u8(feed));
	append_block(&header, bytes);
}

/* A batch whose body is too large to be kept, a record of zeros that was never written to disk. */
static void make_large(uint8_t how)
{
	static uint8_t *zeros;
	struct weir_record_header record = { .size = (9u << 20) + how, .flags = 1 };
	struct wr_log_header header = { .kind = WR_LOG_BATCH };
	size_t bytes = weir_record_total(record.size, record.flags);
	uint8_t to[WR_LOG_HEADER_MAX];

	if (program.large++ > 1)
		return;
	if (!zeros)
		zeros = calloc(1, (size_t)11 << 20);
	FUZZ_TRUE(zeros);
	memcpy(zeros, &record, sizeof(record));
	memset(header.engine, program.engine, 16);
	header.batch.seq = how;
	header.batch.records = 2;
	header.segment = program.segment;
	header.offset = program.at;
	if (how & 1) { /* a small one in front of it */
		memcpy(zeros + 16, &record, sizeof(record));
		record.size = 8;
		memcpy(zeros, &record, sizeof(record));
		bytes += 16;
	}
	header.body_bytes = bytes;
	header.body_crc = wr_crc32c(0, zeros, bytes);
	wr_log_encode(&header, to);
	append(to, header.header_bytes);
	append(zeros, bytes);
}

static void make_sources(uint8_t how)
{
	struct wr_log_header header = { .kind = WR_LOG_SOURCES };
	size_t bytes = 0;

	header.sources.count = feed_u8(&program.feed);
	if (how & 1) { /* as they come */
		bytes = feed_body(feed_u8(&program.feed));
	} else { /* many, each as long as it may be */
		char name[WR_LOG_NAME_MAX + 1];

		memset(body, 0, sizeof(body));
		memset(name, 'a' + how % 16, sizeof(name));
		name[how] = 0;
		for (uint32_t id = 1; id <= header.sources.count; id++)
			bytes += wr_log_name_put(body + bytes, sizeof(body) - 8 - bytes,
			                         (uint16_t)id, name);
	}
	append_block(&header, bytes);
}

/* Batches of every other number: more holes than a reader remembers. */
static void make_many(uint8_t how)
{
	struct wr_log_header header = { .kind = WR_LOG_BATCH };
	uint64_t first = feed_u8(&program.feed);

	if (program.many++)
		return;
	memset(body, 0, 16);
	body[6] = WEIR_REC_COMMITTED;
	for (uint64_t i = 0; i < how * UINT64_C(10); i++) {
		header.batch = (__typeof__(header.batch)){ .seq = first + 2 * i, .records = 1,
			                                   .wall_ns = 300 };
		append_block(&header, 8);
	}
}

static void make_start(void)
{
	struct feed *feed = &program.feed;
	struct wr_log_header header = { .kind = WR_LOG_SEGMENT };

	program.engine = feed_u8(feed);
	program.imitated |= program.engine == 0xee;
	header.start.first = feed_u8(feed);
	header.start.wall_ns = feed_u8(feed);
	header.start.flags = feed_u8(feed);
	header.start.over = feed_u16(feed);
	append_block(&header, 0);
}

static void choose_file(uint64_t number)
{
	char name[WR_LOG_NAME_BYTES];

	wr_log_segment_name(number, name);
	program.segment = number;
	program.file = memory_find(name);
	program.at = program.file ? program.file->size : 0;
	if (!program.file) {
		program.file = memory_make(name);
		program.at = 0;
	}
}

#define WRITER_ENGINE 0xee

/* How many batches of the writer's engine life there are to read, beyond @after. */
static uint64_t count_written(uint64_t after)
{
	struct weir_log_reader *reader;
	struct weir_record record;
	uint64_t n = 0, last = after;

	FUZZ_TRUE(weir_log_open("log", &reader, NULL) == 0);
	while (weir_log_next(reader, &record) > 0) {
		const struct weir_log_batch *batch = weir_log_batch(reader);

		if (batch->engine[0] != WRITER_ENGINE || batch->seq <= last)
			continue;
		last = batch->seq;
		n++;
	}
	weir_log_close(reader);
	return n;
}

/* With nothing that fails in between: what was acknowledged is there. */
static void check_written(uint64_t after, uint64_t acknowledged)
{
	struct memory_disk before = memory_disk;

	memory_disk.fail_count = memory_disk.short_at = 0;
	memory_disk.hook_at = 0;
	fuzz_fail_memory(0, 0);
	FUZZ_TRUE(count_written(after) >= acknowledged);
	memory_disk.fail_count = before.fail_count;
	memory_disk.fail_at = before.fail_at ? memory_disk.calls + 20 : 0;
	memory_disk.hook_at = before.hook_at;
}

/* With options that contradict each other, or none, or an allocator of one's own. */
static int open_oddly(uint8_t how, struct wr_log_writer **ret, struct weir_why *why)
{
	struct wr_log_options options = { .segment_bytes = how & 4 ? 4095 : 8192,
		                          .max_bytes = how & 8 ? 16383 : 0 };
	const struct wr_mem mem = { 0 };

	if (how & 16)
		return wr_log_writer_open("log", NULL, &mem, ret, why);
	options.sync = (enum wr_log_sync)(how & 3);
	FUZZ_TRUE(wr_log_writer_open("log", &options, NULL, ret, NULL) == 0 || !*ret);
	(void)wr_log_writer_close(*ret);
	*ret = NULL;
	return wr_log_writer_open("log", &options, NULL, ret, why);
}

/* A writer comes, writes some batches and goes: what it acknowledged is read again. */
static void write_some(uint8_t how)
{
	const struct wr_log_options options = {
		.sync = (enum wr_log_sync)(how & 3),
		.segment_bytes = how & 4 ? 4096 : 8192,
		.max_bytes = how & 8 ? 16384 : 0,
		.max_age_ns = how & 16 ? 50000 : 0,
		.interval_ns = how & 64 ? 1000 : 0,
	};
	struct wr_log_writer *writer = NULL;
	struct wr_log_writer_counts counts;
	struct weir_why why = { "" };
	uint64_t acknowledged = 0, holding = 0, after = program.written;
	int r = how & 128 ? open_oddly(how, &writer, &why)
	                  : wr_log_writer_open("log", &options, NULL, &writer, &why);

	FUZZ_TRUE(r == 0 || why.text[0]);
	for (uint8_t n = feed_u8(&program.feed) % 16; !r && n; n--) {
		size_t bytes = compose_body(feed_u8(&program.feed));
		struct iovec iov = { body, bytes };
		struct weir_log_batch batch = { .seq = ++program.written, .records = 1,
			                        .bytes = bytes, .wall_ns = 300 };

		memset(batch.engine, WRITER_ENGINE, 16);
		if (wr_log_writer_write(writer, &batch, &iov, 1, NULL))
			continue;
		acknowledged++;
		holding += bytes != 0;
	}
	if (r)
		return;
	wr_log_writer_counts(writer, &counts);
	FUZZ_TRUE(counts.batches == acknowledged);
	r = wr_log_writer_close(writer);
	if (!r && !(how & 128) && !program.imitated && !options.max_bytes && !options.max_age_ns)
		check_written(after, holding);
}

static void read_now(void)
{
	int r = 0;

	if (program.reading)
		return;
	program.reading = true;
	if (!program.reader && !weir_log_open("log", &program.reader, NULL))
		program.records = 0;
	for (int again = 0; program.reader && again < 2; again++) {
		program.records += read_all(program.reader, &r);
		if (!memory_disk.fail_count)
			check_counts(program.reader, program.records);
	}
	program.reading = false;
}

static void close_reader(void)
{
	if (program.reading)
		return;
	weir_log_close(program.reader);
	program.reader = NULL;
}

static void change_name(uint8_t number)
{
	char name[WR_LOG_NAME_BYTES];

	wr_log_segment_name(number, name);
	if (program.file && memory_name(program.file) && !memory_find(name))
		memory_rename(program.file, name);
	program.segment = number;
}

static void change_kind(uint8_t how)
{
	if (!program.file)
		return;
	program.file->is_odd = how & 1;
	program.file->links = (how & 2) != 0;
	program.file->refuse = how & 4 ? -(int)(how >> 3) - 1 : 0;
}

static void damage(uint8_t how)
{
	struct disk_file *file = program.file;
	uint16_t where = feed_u16(&program.feed);

	if (!file || (!file->size && (how & 3) != 3))
		return;
	switch (how & 3) {
	case 0:
		file->data[where % file->size] ^= (uint8_t)(how | 1);
		break;
	case 1:
		memory_truncate(file, how & 4 && where < file->size ? where
		                                                    : file->size - where % file->size);
		break;
	case 2:
		program.at = where < file->size ? where : file->size;
		break;
	default:
		memory_truncate(file, file->size + where);
		program.at = file->size;
		break;
	}
}

static void make_hole(uint8_t how)
{
	struct disk_file *file = program.file;

	if (!file || program.large++ > 1)
		return;
	file->hole_from = file->size;
	memory_truncate(file, file->size + ((size_t)(how % 80) << 14));
	file->hole_to = file->size;
	program.at = file->size;
}

static void make_unknown(uint8_t how)
{
	struct wr_log_header header = { .kind = how };

	append_block(&header, feed_body(feed_u8(&program.feed)));
}

static void make_other(void)
{
	char *name = feed_line(&program.feed);

	if (*name && strlen(name) < DISK_NAME_BYTES && !memory_find(name))
		program.file = memory_make(name);
	program.at = 0;
	free(name);
}

static void run_steps(void);

static void in_between(void)
{
	run_steps();
}

static void set_trap(uint8_t in)
{
	memory_disk.hook = in_between;
	memory_disk.hook_at = memory_disk.calls + in + 1;
	read_now();
}

static void set_faults(uint8_t in)
{
	memory_disk.fail_at = memory_disk.calls + in % 64 + 1;
	memory_disk.fail_count = in & 64 ? 1 : in & 128 ? ~0u : 3;
	memory_disk.fail_with = -(int)(feed_u8(&program.feed) % 42 + 1);
	if (memory_disk.fail_with == -EINTR && memory_disk.fail_count > 3)
		memory_disk.fail_count = 3; /* who is interrupted for ever tries for ever */
}

/* One step; false: the end, or a pause. */
static bool step(void)
{
	struct feed *feed = &program.feed;
	uint8_t what = feed_u8(feed) % 25, how = feed_u8(feed);

	switch (what) {
	case 0: choose_file(how); break;
	case 1: make_start(); break;
	case 2: make_batch(how); break;
	case 3: make_sources(how); break;
	case 4: make_unknown(how); break;
	case 5: append(body, feed_body(how)); break;
	case 6: damage(how); break;
	case 7: make_hole(how); break;
	case 8: read_now(); break;
	case 9: close_reader(); break;
	case 10: set_trap(how); break;
	case 11: return false;
	case 12: set_faults(how); break;
	case 13: fuzz_fail_memory(how % 32 + 1, how & 32 ? ~0u : 1); break;
	case 14: if (!program.reading) write_some(how); break;
	case 15: if (program.file) memory_unlink(program.file); break;
	case 16: change_name(how); break;
	case 17: change_kind(how); break;
	case 18: make_other(); break;
	case 19: memory_disk.short_at = memory_disk.calls + how + 1; break;
	case 20: if (program.reader) weir_log_seek_time(program.reader, how); break;
	case 21: choose_file(feed_u64(feed)); break;
	case 22: make_large(how); break;
	case 23:
		disk.crowded = how & 1;
		memory_disk.nameless = how & 2;
		if (how & 4 && !program.reading && !program.reader)
			memory_disk.directory = false;
		break;
	case 24: make_many(how); break;
	}
	return true;
}

static void run_steps(void)
{
	while (program.feed.left && program.steps++ < 200)
		if (!step())
			return;
}

/* A program: see step(). At its end everything is read once more, with nothing that fails. */
void fuzz_log_dir(const uint8_t *data, size_t size)
{
	long live = fuzz_memory_live();

	memory_reset();
	memory_disk.directory = true;
	program = (struct program){ .feed = { data, size } };
	while (program.feed.left && program.steps < 200)
		run_steps();
	memory_disk.hook = NULL;
	memory_disk.fail_count = 0;
	fuzz_fail_memory(0, 0);
	read_now();
	close_reader();
	FUZZ_TRUE(disk_open_count() == 0 && fuzz_memory_live() == live);
	memory_reset();
}
