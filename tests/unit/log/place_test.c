/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place_test.c - where things lie: a block that would end where the old file does, which files go,
 * and when a life began of which the beginning is damaged.
 */
#include "support.h"

#include <time.h>

#include "base/crc32c.h"

static struct weir_log_counts counts;

static void one(struct wr_log_writer *writer, uint64_t seq, size_t bytes)
{
	char text[256] = "";

	memset(text, 'a' + (int)(seq % 26), bytes);
	t_write(writer, (struct t_batch){ .life = 1, .seq = seq, .records = text });
}

/* Batches that fill a segment of 4096 bytes to the last one: 32 of 120 bytes and one of 168. */
static uint64_t fill(struct wr_log_writer *writer, uint64_t seq)
{
	for (int i = 0; i < 32; i++)
		one(writer, seq++, 8);
	one(writer, seq++, 56);
	return seq;
}

/* What would end exactly where the old file does could not be told from one that was never ended. */
Test(log_place, no_block_ends_where_the_old_file_does)
{
	struct wr_log_options options = { .segment_bytes = 8192, .max_bytes = 16384 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, options);
	struct wr_log_header header, block;
	uint64_t seq = 1, over, at, size;
	const char *path;

	while (!t_exists(t_segment(dir.path, 3)))
		one(writer, seq++, 8);
	path = t_segment(dir.path, 3);
	t_block(path, 0, &header);
	over = (uint64_t)header.start.over * 8;
	T_EQ(over, 88 + 67 * 120);
	for (int i = 2; i < 67; i++)
		one(writer, seq++, 8);
	at = t_block(t_segment(dir.path, 3), 66, &block);
	T_EQ(at + 120 + 120, over);
	T_EQ(block.header_bytes, WR_LOG_BATCH_BYTES);
	/* Eight bytes less, or more, than the old file are no matter, exactly as many are. */
	one(writer, seq, 8);
	at = t_block(t_segment(dir.path, 3), 67, &block);
	T_EQ(block.header_bytes, WR_LOG_BATCH_BYTES + 8);
	T_EQ(block.batch.seq, seq);
	size = t_size(t_segment(dir.path, 3));
	T_EQ(size, over + 8);
	T_EQ(at + wr_log_block_bytes(&block), size);
	t_close(writer);
	T_EQ(t_size(t_segment(dir.path, 3)), size);
	t_read(dir.path, &counts);
	T_EQ(counts.records, seq - 67);
	T_EQ(counts.damaged + counts.torn_bytes + counts.gaps, 0);
	t_remove(&dir);
}

Test(log_place, what_a_longer_header_is_filled_up_with_is_zeros_and_is_guarded)
{
	uint8_t bytes[WR_LOG_HEADER_MAX];
	struct wr_log_header header = { .kind = WR_LOG_BATCH, .header_bytes = 112,
		                        .batch.seq = 5 }, back;

	memset(bytes, 0xff, sizeof(bytes));
	wr_log_encode(&header, bytes);
	T_EQ(header.header_bytes, 112);
	for (int i = 104; i < 112; i++)
		T_EQ(bytes[i], 0);
	T_EQ(bytes[112], 0xff);
	T_EQ(wr_log_decode(bytes, sizeof(bytes), &back), WR_LOG_GOOD);
	T_EQ(back.batch.seq, 5);
	bytes[111] = 1;
	T_EQ(wr_log_decode(bytes, sizeof(bytes), &back), WR_LOG_BAD);
}

/* A header cut short: one that is longer as a writer makes it may go on, any other was damaged. */
Test(log_place, a_longer_header_that_is_cut_short_is_one_of_a_writer)
{
	uint8_t bytes[WR_LOG_HEADER_MAX] = { 0 };
	struct wr_log_header header = { .kind = WR_LOG_BATCH, .header_bytes = 112 }, back;

	wr_log_encode(&header, bytes);
	T_EQ(wr_log_decode(bytes, 108, &back), WR_LOG_SHORT);
	header.header_bytes = 120;
	wr_log_encode(&header, bytes);
	T_EQ(wr_log_decode(bytes, 108, &back), WR_LOG_BAD);
	T_EQ(wr_log_decode(bytes, 103, &back), WR_LOG_SHORT);
}

/* The eight bytes more would make the segment larger than it may be. */
Test(log_place, a_block_that_is_longer_for_the_old_file_keeps_the_segment_s_size)
{
	struct wr_log_options options = { .segment_bytes = 4096, .max_bytes = 8192 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, options);
	struct wr_log_header header;
	uint64_t seq = fill(writer, 1);

	seq = fill(writer, seq);
	T_EQ(t_size(t_segment(dir.path, 1)), 4096);
	T_EQ(t_size(t_segment(dir.path, 2)), 4096);
	seq = fill(writer, seq);
	t_block(t_segment(dir.path, 3), 0, &header);
	T_EQ(header.start.over, 4096 / 8);
	T_EQ(t_size(t_segment(dir.path, 3)), 88 + 32 * 120);
	t_block(t_segment(dir.path, 4), 1, &header);
	T_EQ(header.batch.seq, seq - 1);
	T_EQ(header.header_bytes, WR_LOG_BATCH_BYTES);
	t_close(writer);
	t_remove(&dir);
}

/* Before a segment is begun the oldest go, one by one, until there is room for a whole one. */
Test(log_place, no_file_goes_that_the_size_has_room_for)
{
	const uint64_t segment = 4096, max = 5 * 4096;
	struct wr_log_options options = { .segment_bytes = segment, .max_bytes = max };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, options);
	uint64_t sizes[64] = { 0 }, first = 1, now = 0, random = 7;
	int full = 0;

	for (uint64_t seq = 1; now < 60; seq++) {
		uint64_t next = now + 1;

		/* Now and then segments of exactly their size. */
		if (now % 20 > 9) {
			seq = fill(writer, seq) - 1;
		} else {
			random = random * 6364136223846793005u + 1442695040888963407u;
			one(writer, seq, 1 + (random >> 33) % 240);
		}
		if (!t_exists(t_segment(dir.path, next))) {
			sizes[now] = t_size(t_segment(dir.path, now));
			continue;
		}
		for (uint64_t sum = max + 1; sum > max; first += sum > max) {
			sum = segment;
			for (uint64_t n = first; n <= now; n++)
				sum += sizes[n];
			full += sum == max;
		}
		now = next;
		sizes[now] = t_size(t_segment(dir.path, now));
		for (uint64_t n = 1; n <= now; n++)
			T_EQ(t_exists(t_segment(dir.path, n)), n >= first);
	}
	T_TRUE(full > 0 && first > 30);
	t_close(writer);
	t_remove(&dir);
}

/* The segment's block and each batch of segment @number: nothing is left but the names. */
static void leave_names(const struct t_dir *dir, uint64_t number)
{
	const char *path = t_segment(dir->path, number);
	struct wr_log_header header;
	uint64_t size = t_size(path);

	for (uint64_t at = 0; at < size;) {
		size_t bytes;
		uint8_t *data = t_load(path, &bytes);

		T_EQ(wr_log_decode(data + at, bytes - at, &header), WR_LOG_GOOD);
		free(data);
		if (header.kind != WR_LOG_SOURCES)
			t_flip(path, at + 20, 0);
		at += wr_log_block_bytes(&header);
	}
}

static void life_of(struct t_dir *dir, uint8_t life, uint64_t seq, const char *record,
                    uint64_t wall_ns)
{
	static const char *const names[] = { "alpha" };
	struct t_sources sources = t_sources(names, 1);
	struct wr_log_writer *writer = t_open(dir->path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = life,
	                                  .seq = seq,
	                                  .records = record,
	                                  .wall_ns = wall_ns,
	                                  .sources = &sources.seen });
	t_close(writer);
}

Test(log_place, a_life_began_when_the_first_of_it_did_that_still_says_so)
{
	struct t_dir dir = t_dir();

	life_of(&dir, 2, 1, "lost", 1000); /* nothing says any more when it began */
	life_of(&dir, 2, 2, "late", 2000);
	life_of(&dir, 1, 1, "early", 1500);
	leave_names(&dir, 1);
	T_STR(t_read(dir.path, &counts), "early late");
	T_EQ(counts.missing_batches, 1);
	t_remove(&dir);
}

Test(log_place, a_life_that_does_not_say_when_it_began_does_not_take_the_time_of_another)
{
	struct t_dir dir = t_dir();
	uint8_t junk[8] = { 0 };

	/* By uuid the one of which nothing is known stands right before the other. */
	life_of(&dir, 2, 1, "known", 1000);
	life_of(&dir, 1, 1, "unknown", 1000);
	leave_names(&dir, 2);
	t_append(t_segment(dir.path, 2), junk, 8);
	{
		struct weir_log_reader *reader = t_reader(dir.path);
		struct weir_record record;

		T_EQ(weir_log_next(reader, &record), 1);
		T_TRUE(record.size == 5 && !memcmp(record.data, "known", 5));
		/* The damaged one was first: its places were met by then. */
		T_EQ(t_counts(reader).segments, 2);
		T_TRUE(t_counts(reader).damaged > 0);
		weir_log_close(reader);
	}
	t_remove(&dir);
}

/* Sources that nobody has named, and more of them than there are ids. */
static uint32_t source_count;
static const char *source_name;
static uint32_t highest_asked;

static uint32_t count_of(const struct weir_sources *sources)
{
	(void)sources;
	return source_count;
}

static const char *name_of(const struct weir_sources *sources, uint16_t id)
{
	(void)sources;
	T_TRUE(id > 0);
	highest_asked = id > highest_asked ? id : highest_asked;
	return source_name;
}

static const struct weir_sources many = { count_of, name_of };

Test(log_place, sources_without_a_name_are_not_announced)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct wr_log_header header;

	source_count = 3;
	t_write(writer,
	        (struct t_batch){ .life = 1, .seq = 1, .records = "a", .sources = &many });
	T_EQ(highest_asked, 3);
	t_close(writer);
	t_block(t_segment(dir.path, 1), 1, &header);
	T_EQ(header.kind, WR_LOG_BATCH);
	t_remove(&dir);
}

Test(log_place, no_source_beyond_the_last_id_is_asked_for)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	source_count = 70000;
	source_name = "n";
	t_write(writer,
	        (struct t_batch){ .life = 1, .seq = 1, .records = "a", .sources = &many });
	T_EQ(highest_asked, 65535);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "a");
	t_remove(&dir);
}

static const struct wr_log_options small = { .segment_bytes = 4096, .max_bytes = 8192 };

static uint32_t over_of(const struct t_dir *dir, uint64_t number)
{
	struct wr_log_header header;

	t_block(t_segment(dir->path, number), 0, &header);
	return header.start.over;
}

/* Segment 1 has become another file behind the writer's back, and its turn to be written over. */
static void not_suited(struct t_dir *dir, struct wr_log_writer *writer)
{
	t_run(writer, 1, 67, 67);
	T_EQ(over_of(dir, 3), 0);
	T_TRUE(!t_exists(t_segment(dir->path, 1)));
	t_close(writer);
	t_read(dir->path, &counts);
	T_EQ(counts.records, 34);
	t_remove(dir);
}

Test(log_place, a_file_that_has_become_empty_is_not_written_over)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	t_run(writer, 1, 1, 66);
	t_cut(t_segment(dir.path, 1), 0);
	not_suited(&dir, writer);
}

Test(log_place, a_file_that_has_lost_a_byte_is_not_written_over)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	t_run(writer, 1, 1, 66);
	t_cut(t_segment(dir.path, 1), 4047);
	not_suited(&dir, writer);
}

Test(log_place, a_fifo_is_not_written_over)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	t_run(writer, 1, 1, 66);
	T_EQ(unlink(t_segment(dir.path, 1)), 0);
	T_EQ(mkfifo(t_segment(dir.path, 1), 0600), 0);
	not_suited(&dir, writer);
}

/* Torn by a crash of an earlier life: it goes, and its file is not kept for that. */
Test(log_place, a_torn_file_goes_without_being_kept)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	t_run(writer, 1, 1, 66);
	t_close(writer);
	t_cut(t_segment(dir.path, 1), 4045);
	writer = t_open(dir.path, small);
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "a" });
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_EQ(over_of(&dir, 3), 0);
	t_close(writer);
	t_remove(&dir);
}

/* Its length must fit in the field that says it. */
Test(log_place, a_file_of_more_words_than_can_be_counted_is_not_written_over)
{
	const uint64_t huge = UINT64_C(8) << 32;
	struct wr_log_options options = { .segment_bytes = 2 * huge, .max_bytes = 4 * huge };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;

	for (uint64_t n = 1; n <= 3; n++) {
		writer = t_open(dir.path, (struct wr_log_options){ 0 });
		t_run(writer, 1, n, n);
		t_close(writer);
	}
	if (truncate(t_segment(dir.path, 1), (off_t)huge))
		T_SKIP("no sparse file of 32 GiB can be made in /tmp");
	t_cut(t_segment(dir.path, 2), huge);
	t_cut(t_segment(dir.path, 3), huge);
	writer = t_open(dir.path, options);
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "a" });
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_TRUE(t_exists(t_segment(dir.path, 2)));
	T_EQ(over_of(&dir, 4), 0);
	t_close(writer);
	t_remove(&dir);
}

/* Larger segments than before: the room for one takes the files of two, one of which is kept. */
Test(log_place, one_file_is_kept_however_many_go)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	uint64_t seq = 1;
	char spare[160];

	for (int i = 0; i < 4; i++)
		seq = fill(writer, seq);
	t_close(writer);
	T_EQ(t_size(t_segment(dir.path, 4)), 4096);
	writer = t_open(dir.path,
	                (struct wr_log_options){ .segment_bytes = 8192, .max_bytes = 16384 });
	T_TRUE(t_exists(t_segment(dir.path, 1)));
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "a" });
	T_TRUE(!t_exists(t_segment(dir.path, 1)) && !t_exists(t_segment(dir.path, 2)));
	T_TRUE(t_exists(t_segment(dir.path, 3)));
	T_EQ(over_of(&dir, 5), 4096 / 8);
	snprintf(spare, sizeof(spare), "%s/spare", dir.path);
	T_TRUE(!t_exists(spare));
	t_close(writer);
	t_remove(&dir);
}

/* Retention stopped at it for ever: it cannot be removed like a file. */
Test(log_place, a_directory_of_a_segment_s_name_is_not_in_the_way_of_retention)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	T_EQ(mkdir(t_segment(dir.path, 1), 0700), 0);
	T_EQ(t_try(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "1" }), -EEXIST);
	t_run(writer, 1, 1, 100);
	T_TRUE(!t_exists(t_segment(dir.path, 2)));
	t_close(writer);
	writer = t_open(dir.path, small); /* where it is there already */
	T_TRUE(t_exists(t_segment(dir.path, 4)));
	t_run(writer, 2, 1, 100);
	T_TRUE(!t_exists(t_segment(dir.path, 4)));
	T_TRUE(t_exists(t_segment(dir.path, 1)));
	t_close(writer);
	t_remove(&dir);
}

/* The clock was set back after it was written: it is not older than any age. */
Test(log_place, a_file_of_the_future_is_not_too_old)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct timespec times[2];

	t_run(writer, 1, 1, 1);
	t_close(writer);
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec += 7200;
	times[1] = times[0];
	T_EQ(utimensat(AT_FDCWD, t_segment(dir.path, 1), times, 0), 0);
	writer = t_open(dir.path, (struct wr_log_options){ .max_age_ns = 1000000000 });
	T_TRUE(t_exists(t_segment(dir.path, 1)));
	t_close(writer);
	t_remove(&dir);
}

/* A batch of 272 MiB, all of it a hole but for its first record, which says to be as large. */
Test(log_place, a_record_larger_than_any_is_refused_before_memory_is_asked_for)
{
	const uint64_t body = UINT64_C(272) << 20;
	struct weir_record_header record = { (uint32_t)(WR_LOG_RECORD_MAX - 7), 0,
		                             WEIR_REC_COMMITTED };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	static uint8_t zeros[1 << 20];
	uint8_t bytes[WR_LOG_HEADER_MAX];
	struct wr_log_header header;
	struct weir_log_reader *reader;
	struct weir_record found;
	uint64_t at;

	t_run(writer, 1, 1, 2);
	t_close(writer);
	at = t_block(t_segment(dir.path, 1), 2, &header);
	header.body_bytes = body;
	header.body_crc = wr_crc32c(0, &record, sizeof(record));
	header.body_crc = wr_crc32c(header.body_crc, zeros, sizeof(zeros) - sizeof(record));
	for (uint64_t done = sizeof(zeros); done < body; done += sizeof(zeros))
		header.body_crc = wr_crc32c(header.body_crc, zeros, sizeof(zeros));
	wr_log_encode(&header, bytes);
	t_cut(t_segment(dir.path, 1), at);
	t_append(t_segment(dir.path, 1), bytes, header.header_bytes);
	t_append(t_segment(dir.path, 1), &record, sizeof(record));
	t_cut(t_segment(dir.path, 1), at + header.header_bytes + body);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &found), 1);
	T_EQ(weir_log_next(reader, &found), 0);
	counts = t_counts(reader);
	T_EQ(counts.batches, 2);
	T_EQ(counts.damaged, 1);
	weir_log_close(reader);
	t_remove(&dir);
}

/* Numbers begin with 1; a batch of number 0, behind segments that went, forgives no gap for ever. */
Test(log_place, a_batch_without_a_number_forgives_nothing)
{
	struct t_dir dir = t_dir();
	struct wr_log_options options = { .segment_bytes = 4096 };
	struct wr_log_writer *writer = t_open(dir.path, options);
	struct weir_log_reader *reader;
	struct weir_record record;

	t_run(writer, 1, 1, 40);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	t_close(writer);
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	T_EQ(unlink(t_segment(dir.path, 1)), 0);
	writer = t_open(dir.path, options);
	wr_log_writer_close(writer);
	/* Numbers go on where a segment was. */
	t_store(t_segment(dir.path, 2), "x", 1);
	writer = t_open(dir.path, options);
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	t_write(writer, (struct t_batch){ .life = 1, .seq = 0, .records = "zero" });
	t_run(writer, 1, 50, 50);
	t_close(writer);
	while (weir_log_next(reader, &record) == 1)
		;
	T_EQ(weir_log_batch(reader)->seq, 50);
	counts = t_counts(reader);
	T_TRUE(counts.missing_batches > 0);
	weir_log_close(reader);
	t_remove(&dir);
}
