/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rot.c - logs whose bytes change on the disk: what is read then, and what is counted.
 *
 * Logs are written by the real writer on the disk in memory. Then every bit of them is flipped,
 * every 512 bytes are zeroed, every file is cut at every byte, and files are removed, emptied,
 * exchanged and copied. What must come out follows from the places of the blocks, which are found
 * here without the reader: every batch that was not touched, no other, and exact counts.
 *
 *     rot [WEIR]     prints TAP; WEIR: the command, which must agree (verify --json)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "ledger.h"
#include "log/dir.h"

#define BLOCKS 160
#define PARTS 8

struct block {
	int part;
	uint32_t at, end, header;
	uint8_t kind, life;
	uint32_t seq;
};

struct part {
	int file;
	uint64_t number;
	uint32_t size; /* of its blocks */
	uint8_t life;
	int last; /* of its life */
};

/* A log and what is in it. */
static struct log {
	const char *name;
	struct disk_image image;
	struct part part[PARTS];
	struct block block[BLOCKS];
	int parts, blocks;
	struct batches all;
} log_;

static struct disk_image bad;
static char failure[1024];
static uint64_t readings, verified;
static const char *weir;

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
	size_t n;
	va_list args;

	if (failure[0])
		return;
	n = (size_t)snprintf(failure, sizeof(failure), "%s, ", log_.name);
	va_start(args, format);
	vsnprintf(failure + n, sizeof(failure) - n, format, args);
	va_end(args);
}

/* --- logs --- */

static uint64_t load(const uint8_t *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

static void find_blocks(int part)
{
	struct part *at = &log_.part[part];
	const struct disk_file *file = &log_.image.file[at->file];
	uint32_t offset = 0;

	while (offset + 56 <= file->size && !memcmp(file->data + offset, "WEIR", 4) &&
	       load(file->data + offset + 40, 8) == at->number) {
		struct block *block = &log_.block[log_.blocks++];

		*block = (struct block){ .part = part, .at = offset };
		block->kind = file->data[offset + 5];
		block->header = (uint32_t)load(file->data + offset + 6, 2);
		block->end = offset + block->header + (uint32_t)load(file->data + offset + 8, 8);
		block->life = file->data[offset + 24];
		block->seq = block->kind == 3 ? (uint32_t)load(file->data + offset + 56, 8) : 0;
		if (block->seq)
			log_.all.of[block->life] |= UINT64_C(1) << block->seq;
		at->life = block->life;
		offset = block->end;
	}
	at->size = offset;
}

/* What is on the disk now is the log. */
static void adopt(const char *name)
{
	log_.name = name;
	log_.parts = log_.blocks = 0;
	log_.all = (struct batches){ { 0 } };
	disk_copy(&log_.image, &disk.now);
	for (uint64_t number = 1; number < 40; number++) {
		char file[WR_LOG_NAME_BYTES];

		wr_log_segment_name(number, file);
		if (disk_in_log(&log_.image, file) < 0)
			continue;
		log_.part[log_.parts] =
		    (struct part){ .file = disk_in_log(&log_.image, file), .number = number };
		find_blocks(log_.parts++);
	}
	for (int i = 0; i < log_.parts; i++)
		log_.part[i].last =
		    i + 1 == log_.parts || log_.part[i + 1].life != log_.part[i].life;
}

static void write_log(enum ledger_sizes sizes, struct wr_log_options options,
                      const uint32_t *batches, int dies)
{
	static struct disk_image empty;

	ledger_sizes = sizes;
	disk_empty(&empty);
	disk_start(NULL, &empty);
	for (uint32_t life = 1; *batches; life++, batches++) {
		struct wr_log_writer *writer = NULL;

		if (wr_log_writer_open("log", &options, NULL, &writer, NULL))
			abort();
		for (uint32_t seq = 1; seq <= *batches; seq++)
			if (ledger_write(writer, life, seq, ledger_sources()))
				abort();
		if (!dies || batches[1]) {
			wr_log_writer_close(writer);
			continue;
		}
		adopt("as a death left it"); /* before it closes */
		wr_log_writer_close(writer);
		disk_copy(&disk.now, &log_.image);
	}
}

/* --- what must come out --- */

struct truth {
	struct batches there;
	uint64_t missing;
	int damaged_least, damaged_most;
	uint64_t skipped, torn;
};

/*
 * Batches that are not read although a later one of the life is. UINT64_MAX: it cannot be known,
 * since the first is lost, and others before it expired.
 */
static uint64_t between(const struct batches *there)
{
	uint64_t n = 0;

	if (!(log_.all.of[1] & 2)) {
		uint32_t first = 0;

		for (int i = 0; !first; i++)
			first = log_.block[i].seq;
		if (!(there->of[1] >> first & 1))
			return UINT64_MAX;
	}

	for (int life = 1; life <= LIVES; life++) {
		uint64_t met = there->of[life], up_to;

		if (!met)
			continue;
		up_to = (UINT64_C(2) << (63 - __builtin_clzll(met))) - 1;
		n += (uint64_t)__builtin_popcountll(log_.all.of[life] & up_to & ~met);
	}
	return n;
}

static void verify_with_command(const struct reading *reading);

static void check(const struct truth *truth, const char *what, uint64_t where)
{
	struct reading reading;

	readings++;
	disk_start(NULL, &bad);
	ledger_read("log", &reading);
	if (reading.wrong[0])
		fail("%s %" PRIu64 ": %s", what, where, reading.wrong);
	for (int life = 0; life <= LIVES; life++) {
		uint64_t lost = truth->there.of[life] & ~reading.met.of[life];
		uint64_t extra = reading.met.of[life] & ~truth->there.of[life];

		if (reading.late.of[life])
			fail("%s %" PRIu64 ": a batch comes after a later one", what, where);
		if (lost)
			fail("%s %" PRIu64 ": batch %d.%d is lost, which was not touched", what,
			     where, life, __builtin_ctzll(lost));
		if (extra)
			fail("%s %" PRIu64 ": batch %d.%d is read, which was damaged", what, where,
			     life, __builtin_ctzll(extra));
	}
	if (truth->missing != UINT64_MAX && reading.counts.missing_batches != truth->missing)
		fail("%s %" PRIu64 ": %" PRIu64 " batches counted as missing, not %" PRIu64, what,
		     where, reading.counts.missing_batches, truth->missing);
	if (reading.counts.damaged < (uint64_t)truth->damaged_least ||
	    reading.counts.damaged > (uint64_t)truth->damaged_most)
		fail("%s %" PRIu64 ": %" PRIu64 " damaged places counted, not %d to %d", what, where,
		     reading.counts.damaged, truth->damaged_least, truth->damaged_most);
	if (truth->skipped != UINT64_MAX && reading.counts.skipped_bytes != truth->skipped)
		fail("%s %" PRIu64 ": %" PRIu64 " bytes passed over, not %" PRIu64, what, where,
		     reading.counts.skipped_bytes, truth->skipped);
	if (reading.counts.torn_bytes != truth->torn)
		fail("%s %" PRIu64 ": %" PRIu64 " torn bytes, not %" PRIu64, what, where,
		     reading.counts.torn_bytes, truth->torn);
	if (reading.counts.duplicates)
		fail("%s %" PRIu64 ": duplicates", what, where);
	if (weir && readings % 6007 == 1)
		verify_with_command(&reading);
}

/* --- the command --- */

static void dump(const char *dir)
{
	char path[256];

	mkdir(dir, 0700);
	for (int i = 0; i < bad.names; i++) {
		const struct disk_name *name = &bad.name[i];
		const struct disk_file *file = &bad.file[name->file < 0 ? 0 : name->file];
		FILE *to;

		if (name->file < 0 || file->is_dir)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, name->name);
		to = fopen(path, "w");
		if (!to || fwrite(file->data, 1, file->size, to) != file->size || fclose(to))
			fail("cannot write %s", path);
	}
}

static uint64_t number_in(const char *text, const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(text, key);
	return at ? strtoull(at + strlen(key), NULL, 10) : UINT64_MAX;
}

static void verify_with_command(const struct reading *reading)
{
	char dir[] = "/tmp/weir-rot-XXXXXX", log[64], command[512], text[16384];
	const struct weir_log_counts *counts = &reading->counts;
	size_t n;
	FILE *from;
	int status;

	if (!mkdtemp(dir))
		return;
	snprintf(log, sizeof(log), "%s/log", dir);
	dump(log);
	snprintf(command, sizeof(command), "'%s' verify --json '%s'", weir, log);
	from = popen(command, "r");
	n = from ? fread(text, 1, sizeof(text) - 1, from) : 0;
	text[n] = 0;
	status = from ? pclose(from) : -1;
	if (number_in(text, "batches") != counts->batches ||
	    number_in(text, "records") != counts->records ||
	    number_in(text, "damaged") != counts->damaged ||
	    number_in(text, "skipped_bytes") != counts->skipped_bytes ||
	    number_in(text, "missing_batches") != counts->missing_batches ||
	    number_in(text, "torn_bytes") != counts->torn_bytes)
		fail("weir verify does not agree: %.300s", text);
	if ((WEXITSTATUS(status) != 0) != (counts->damaged || counts->gaps))
		fail("weir verify ends with %d", status);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		fail("cannot remove %s", dir);
	verified++;
}

/* --- rot --- */

static struct disk_file *file_of(int part)
{
	return &bad.file[log_.part[part].file];
}

static struct truth untouched(void)
{
	return (struct truth){ .there = log_.all };
}

static void lose(struct truth *truth, const struct block *block)
{
	if (block->seq)
		truth->there.of[block->life] &= ~(UINT64_C(1) << block->seq);
}

/* One bit of one block: that block is lost, and it is one damaged place. */
static void flip(const struct block *block, uint32_t offset, int bit)
{
	const struct part *part = &log_.part[block->part];
	struct truth truth = untouched();
	uint8_t *byte = &file_of(block->part)->data[offset];
	/* What lies behind a last block may be what an old file held there. */
	int open = part->size < log_.image.file[part->file].size && block->end == part->size;

	*byte ^= (uint8_t)(1 << bit);
	lose(&truth, block);
	truth.missing = between(&truth.there);
	truth.damaged_least = truth.damaged_most = 1;
	if (!block->at && part->size < log_.image.file[part->file].size)
		truth.damaged_most = 2, truth.skipped = UINT64_MAX; /* it told of the old file */
	else if (offset < block->at + block->header)
		truth.skipped = block->end - block->at;
	else if (block->seq && !open) /* its header tells that it was there */
		truth.missing = (uint64_t)(batches_count(&log_.all) - batches_count(&truth.there));
	if (open) {
		uint32_t head = offset - block->at;

		truth.damaged_least = truth.damaged_most = 0;
		truth.skipped = 0;
		truth.torn = block->end - block->at;
		if (head >= 6 && head < 16) /* its length is what is damaged */
			truth.torn = UINT64_MAX;
	}
	if (truth.torn == UINT64_MAX) {
		struct reading reading;

		disk_start(NULL, &bad);
		ledger_read("log", &reading);
		if (!reading.counts.torn_bytes)
			fail("bit %d of byte %u of segment %" PRIu64 ": nothing is counted", bit,
			     offset, part->number);
		readings++;
	} else {
		char what[64];

		snprintf(what, sizeof(what), "bit %d of segment %" PRIu64 ", byte", bit, part->number);
		check(&truth, what, offset);
	}
	*byte ^= (uint8_t)(1 << bit);
}

static void flip_all(void)
{
	disk_copy(&bad, &log_.image);
	for (int i = 0; i < log_.blocks && !failure[0]; i++)
		for (uint32_t at = log_.block[i].at; at < log_.block[i].end && !failure[0]; at++)
			for (int bit = 0; bit < 8; bit++)
				flip(&log_.block[i], at, bit);
}

/* Zeros from @from on: the blocks that they change are lost, and no other. */
static void zero(int part, uint32_t from, uint32_t bytes)
{
	struct disk_file *file = file_of(part);
	struct truth truth = untouched();
	struct reading reading;
	int touched = 0, tail = 0;

	bytes = from + bytes > file->size ? file->size - from : bytes;
	for (int i = 0; i < log_.blocks; i++) {
		const struct block *block = &log_.block[i];
		uint32_t changed = 0;

		if (block->part != part)
			continue;
		for (uint32_t at = from; at < from + bytes; at++)
			changed += at >= block->at && at < block->end && file->data[at];
		if (changed)
			lose(&truth, block);
		touched += changed != 0;
		/* Of the last block nothing tells that it was there, where an old file may lie. */
		tail |= changed && block->end == log_.part[part].size &&
		        log_.part[part].size < file->size;
	}
	memset(file->data + from, 0, bytes);
	disk_start(NULL, &bad);
	ledger_read("log", &reading);
	readings++;
	if (reading.wrong[0] || memcmp(&reading.met, &truth.there, sizeof(truth.there)) != 0)
		fail("%u zeros at %u of segment %" PRIu64 ": %s", bytes, from,
		     log_.part[part].number, reading.wrong);
	if ((between(&truth.there) != UINT64_MAX &&
	     reading.counts.missing_batches < between(&truth.there)) ||
	    reading.counts.missing_batches >
	        (uint64_t)(batches_count(&log_.all) - batches_count(&truth.there)))
		fail("%u zeros at %u of segment %" PRIu64 ": %" PRIu64 " batches counted as missing",
		     bytes, from, log_.part[part].number, reading.counts.missing_batches);
	if (touched && !tail && !reading.counts.damaged && !reading.counts.torn_bytes)
		fail("%u zeros at %u of segment %" PRIu64 ": nothing is counted", bytes, from,
		     log_.part[part].number);
	memcpy(file->data, log_.image.file[log_.part[part].file].data, file->size);
}

static void zero_all(void)
{
	disk_copy(&bad, &log_.image);
	for (int part = 0; part < log_.parts; part++)
		for (uint32_t at = 0; at < file_of(part)->size && !failure[0]; at += 8)
			zero(part, at, 512);
}

static void cut(int part, uint32_t size)
{
	const struct part *at = &log_.part[part];
	struct truth truth = untouched();
	uint32_t whole = 0;

	for (int i = 0; i < log_.blocks; i++) {
		const struct block *block = &log_.block[i];

		if (block->part == part && block->end > size)
			lose(&truth, block);
		else if (block->part == part)
			whole = block->end;
	}
	truth.missing = between(&truth.there);
	file_of(part)->size = size;
	if (size > at->size) /* what an old file held */
		truth.torn = 0, whole = size;
	if (at->last || !whole)
		truth.torn = size - whole;
	else if (size > whole)
		truth.damaged_least = truth.damaged_most = 1, truth.skipped = size - whole;
	check(&truth, "a file cut at byte", size);
	file_of(part)->size = log_.image.file[at->file].size;
}

static void cut_all(void)
{
	disk_copy(&bad, &log_.image);
	for (int part = 0; part < log_.parts; part++)
		for (uint32_t size = 0; size < log_.part[part].size && !failure[0]; size++)
			cut(part, size);
}

/* --- whole files --- */

static struct disk_name *name_of(const char *name)
{
	for (int i = 0; i < bad.names; i++)
		if (bad.name[i].file > 0 && !strcmp(bad.name[i].name, name))
			return &bad.name[i];
	return NULL;
}

static void lose_part(struct truth *truth, int part)
{
	for (int i = 0; i < log_.blocks; i++)
		if (log_.block[i].part == part)
			lose(truth, &log_.block[i]);
}

/* Only what lies between others is known to be missing; the front may have expired. */
static void check_without(struct truth truth, const char *what, int part)
{
	struct reading reading;

	readings++;
	disk_start(NULL, &bad);
	ledger_read("log", &reading);
	if (reading.wrong[0] || memcmp(&reading.met, &truth.there, sizeof(truth.there)) != 0)
		fail("%s, segment %" PRIu64 ": %s", what, log_.part[part].number,
		     reading.wrong[0] ? reading.wrong : "other batches");
	if (truth.missing != UINT64_MAX && reading.counts.missing_batches != truth.missing)
		fail("%s, segment %" PRIu64 ": %" PRIu64 " missing, not %" PRIu64, what,
		     log_.part[part].number, reading.counts.missing_batches, truth.missing);
	if (reading.counts.damaged < (uint64_t)truth.damaged_least)
		fail("%s, segment %" PRIu64 ": no damage is counted", what, log_.part[part].number);
}

static void files_of(int part)
{
	char name[WR_LOG_NAME_BYTES];
	struct truth truth = untouched();
	struct disk_name *at, *next;

	lose_part(&truth, part);
	truth.missing = part ? between(&truth.there) : UINT64_MAX;
	wr_log_segment_name(log_.part[part].number, name);
	at = name_of(name);
	disk_copy(&bad, &log_.image);
	at->file = -1;
	check_without(truth, "removed", part);
	truth.missing = part || log_.parts > 1 ? between(&truth.there) : UINT64_MAX;
	disk_copy(&bad, &log_.image);
	memset(file_of(part)->data, 0, file_of(part)->size);
	check_without(truth, "zeroed", part);
	disk_copy(&bad, &log_.image);
	memset(file_of(part)->data, 0x5a, file_of(part)->size);
	truth.damaged_least = 1;
	check_without(truth, "overwritten", part);
	disk_copy(&bad, &log_.image);
	wr_log_segment_name(log_.part[part].number + 1, name);
	next = name_of(name);
	if (part + 1 < log_.parts && next) {
		int file = at->file;

		at->file = next->file;
		next->file = file;
		lose_part(&truth, part + 1);
		truth.missing = between(&truth.there);
		check_without(truth, "exchanged with the next", part);
	}
}

static void add_file(const char *name, const void *bytes, uint32_t size)
{
	int file = disk_new_file(&bad, 0);

	disk_put(&bad.file[file], 0, bytes, size);
	disk_link(&bad, name_of("log")->file, name, file);
}

static void files_all(void)
{
	static uint8_t junk[3000];
	const struct disk_file *first = &log_.image.file[log_.part[0].file];
	struct truth truth = untouched();

	memset(junk, 0xa7, sizeof(junk));
	disk_copy(&bad, &log_.image);
	for (int part = 0; part < log_.parts && !failure[0]; part++)
		files_of(part);
	/* The files beside them say nothing. */
	disk_copy(&bad, &log_.image);
	name_of("lock")->file = -1;
	check(&truth, "no lock", 0);
	disk_copy(&bad, &log_.image);
	disk_put(&bad.file[name_of("lock")->file], 0, junk, 500);
	check(&truth, "junk in lock", 0);
	for (uint32_t size = 0; size <= 3000; size += 750) {
		disk_copy(&bad, &log_.image);
		add_file("spare", junk, size);
		add_file("other.weir", junk, size);
		check(&truth, "files beside", size);
	}
	disk_copy(&bad, &log_.image);
	add_file("spare", first->data, first->size);
	add_file("00000000000000000001.weir.copy", first->data, first->size);
	check(&truth, "copies beside", 0);
	/* A segment under another number is none; being looked at, it counts as damage. */
	add_file("00000000000000000033.weir", first->data, first->size);
	truth.missing = UINT64_MAX;
	truth.damaged_least = 1;
	check_without(truth, "a copy under another number", 0);
}

/* --- two at once, as many as there is time for --- */

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* A later life goes on behind a damaged one. */
static void write_on(const struct batches *there)
{
	struct wr_log_options options = { .sync = WR_LOG_SYNC_BATCH };
	struct wr_log_writer *writer = NULL;
	struct reading reading;
	struct weir_why why;

	disk_start(NULL, &bad);
	if (wr_log_writer_open("log", &options, NULL, &writer, &why)) {
		fail("a damaged log cannot be written: %s", why.text);
		return;
	}
	if (ledger_write(writer, LIVES, 1, NULL) || wr_log_writer_close(writer))
		fail("a damaged log cannot be written");
	ledger_read("log", &reading);
	if (!(reading.met.of[LIVES] & 2))
		fail("what is written behind damage is not read");
	reading.met.of[LIVES] = 0;
	if (reading.wrong[0] || memcmp(&reading.met, there, sizeof(*there)) != 0)
		fail("what was there is not read any more");
}

static void several(uint64_t until)
{
	struct timespec now;

	do {
		struct batches touched = { { 0 } };
		struct reading reading;
		uint64_t n = 2 + next_random() % 5;

		disk_copy(&bad, &log_.image);
		for (uint64_t i = 0; i < n; i++) {
			const struct block *block =
			    &log_.block[next_random() % (uint64_t)log_.blocks];
			uint32_t at = block->at +
			              (uint32_t)(next_random() % (block->end - block->at));

			file_of(block->part)->data[at] ^= (uint8_t)(1u << next_random() % 8);
			if (block->seq)
				touched.of[block->life] |= UINT64_C(1) << block->seq;
		}
		readings++;
		disk_start(NULL, &bad);
		ledger_read("log", &reading);
		if (reading.wrong[0])
			fail("several flips: %s", reading.wrong);
		for (int life = 1; life <= LIVES; life++)
			if (log_.all.of[life] & ~reading.met.of[life] & ~touched.of[life])
				fail("several flips: a batch that was not touched is lost");
		if (reading.counts.damaged > 2 * n)
			fail("several flips: %" PRIu64 " places for %" PRIu64, reading.counts.damaged, n);
		write_on(&reading.met);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	} while (!failure[0] &&
	         (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 < until);
}

/* --- */

static int ok, bad_tests;

static void tell(const char *promise, int last)
{
	static char failed[1024];

	if (failure[0] && !failed[0])
		memcpy(failed, failure, sizeof(failed));
	failure[0] = 0;
	if (!last && !(failed[0] && getenv("WEIR_CRASH_FIRST")))
		return;
	if (failed[0])
		printf("# %s\n", failed);
	printf("%s %d - %s\n", failed[0] ? "not ok" : "ok", ++ok, promise);
	fflush(stdout);
	bad_tests += failed[0] != 0;
	if (bad_tests && getenv("WEIR_CRASH_FIRST"))
		exit(1);
	failed[0] = 0;
}

#define LOGS 4

static void make(int which)
{
	static const uint32_t short_lives[] = { 9, 3, 0 }, long_lives[] = { 11, 4, 0 };
	static const uint32_t equal[] = { 12, 0 }, dying[] = { 11, 0 };
	const struct wr_log_options plain = { .sync = WR_LOG_SYNC_BATCH },
	                            tight = { .sync = WR_LOG_SYNC_BATCH, .segment_bytes = 4096,
	                                      .max_bytes = 8192 },
	                            small = { .sync = WR_LOG_SYNC_BATCH, .segment_bytes = 4096 };

	if (which == 0)
		write_log(LEDGER_MIXED, plain, short_lives, 0);
	else if (which == 1)
		write_log(LEDGER_LARGE, small, long_lives, 0);
	else if (which == 2)
		write_log(LEDGER_EQUAL, tight, equal, 0);
	else
		write_log(LEDGER_LARGE, tight, dying, 1);
	adopt(which == 0   ? "small segments"
	      : which == 1 ? "several segments"
	      : which == 2 ? "a recycled file of the same length"
	                   : "a recycled file, not closed");
}

int main(int argc, char **argv)
{
	static const char *const promises[] = {
		"every flipped bit costs at most the batch it lies in, and the count is exact",
		"512 zeros anywhere cost the batches they touch and no other",
		"a file cut at any byte costs what lay behind, and the count is exact",
		"files removed, emptied, exchanged or added cost what was in them and nothing else",
		"several flips cost at most what they touch, and a later life is written behind",
	};
	const char *proof = getenv("WEIR_PROOF"), *time = getenv("WEIR_PROOF_SECONDS");
	uint64_t part = (uint64_t)((time ? strtod(time, NULL) : 20) * 25);
	uint64_t bits = 0;

	weir = argc > 1 ? argv[1] : NULL;
	if (proof && strcmp(proof, "slice") != 0)
		part = !strcmp(proof, "full") ? 10000 : 100000;
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	alarm(7000);
	printf("1..6\n");
	for (int test = 0; test < 5; test++) {
		for (int which = 0; which < LOGS; which++) {
			struct timespec now;

			make(which);
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
			if (test == 0) {
				flip_all();
				for (int i = 0; i < log_.blocks; i++)
					bits += 8u * (log_.block[i].end - log_.block[i].at);
			} else if (test == 1) {
				zero_all();
			} else if (test == 2) {
				cut_all();
			} else if (test == 3) {
				files_all();
			} else {
				several((uint64_t)now.tv_sec * 1000 +
				        (uint64_t)now.tv_nsec / 1000000 + part);
			}
			tell(promises[test], which == LOGS - 1);
		}
	}
	if (!weir)
		printf("ok 6 - weir verify agrees # SKIP because the command was not given\n");
	else
		printf("%s 6 - weir verify agrees with the reading API\n", verified ? "ok" : "not ok");
	bad_tests += weir && !verified;
	printf("# figure rot | bits flipped | %" PRIu64 " | every bit\n", bits);
	printf("# figure rot | damaged logs read | %" PRIu64 " |\n", readings);
	printf("# figure rot | of them compared with weir verify | %" PRIu64 " |\n", verified);
	return bad_tests != 0;
}
