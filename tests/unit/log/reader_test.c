/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <sys/resource.h>

#include "log/lives.h"
#include "log/names.h"

static struct weir_log_counts counts;

static int reader_error(const char *path, struct weir_why *why)
{
	struct weir_log_reader *reader = NULL;
	int r = weir_log_open(path, &reader, why);

	T_TRUE(r < 0 && reader == NULL);
	return r;
}

Test(log_reader, a_missing_directory_is_named)
{
	struct t_dir dir = t_dir();
	struct weir_why why;

	T_EQ(reader_error(dir.path, &why), -ENOENT);
	T_TRUE(strstr(why.text, dir.path) && strstr(why.text, "No such file"));
	T_EQ(weir_log_open(dir.path, &(struct weir_log_reader *){ NULL }, NULL), -ENOENT);
	t_remove(&dir);
}

Test(log_reader, a_file_is_not_a_log)
{
	struct t_dir dir = t_dir();
	struct weir_why why;

	t_store(dir.path, "x", 1);
	T_EQ(reader_error(dir.path, &why), -ENOTDIR);
	t_remove(&dir);
}

Test(log_reader, an_empty_directory_is_an_empty_log)
{
	struct t_dir dir = t_dir();

	T_EQ(mkdir(dir.path, 0700), 0);
	T_STR(t_read(dir.path, &counts), "");
	T_EQ(counts.records + counts.damaged + counts.torn_bytes, 0);
	t_remove(&dir);
}

Test(log_reader, a_directory_of_other_files_is_not_a_log)
{
	struct t_dir dir = t_dir();
	struct weir_why why;
	char path[128];

	T_EQ(mkdir(dir.path, 0700), 0);
	snprintf(path, sizeof(path), "%s/notes.txt", dir.path);
	t_store(path, "x", 1);
	T_EQ(reader_error(dir.path, &why), -EINVAL);
	T_TRUE(strstr(why.text, "not a log") != NULL);
	snprintf(path, sizeof(path), "%s/lock", dir.path);
	t_store(path, "", 0);
	T_STR(t_read(dir.path, NULL), ""); /* with a lock it is one, whatever else is there */
	t_remove(&dir);
}

Test(log_reader, lives_come_in_the_order_of_their_first_batch)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer,
	        (struct t_batch){ .life = 9, .seq = 1, .records = "third", .wall_ns = 3000 });
	t_write(writer,
	        (struct t_batch){ .life = 1, .seq = 1, .records = "second", .wall_ns = 2000 });
	t_write(writer,
	        (struct t_batch){ .life = 5, .seq = 1, .records = "first", .wall_ns = 1000 });
	t_write(writer,
	        (struct t_batch){ .life = 5, .seq = 2, .records = "then", .wall_ns = 9000 });
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "first then second third");
	T_EQ(counts.engines, 3);
	t_remove(&dir);
}

Test(log_reader, two_lives_of_one_time_keep_the_order_of_their_segments)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = 9, .seq = 1, .records = "a", .wall_ns = 1000 });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "b", .wall_ns = 1000 });
	t_close(writer);
	T_STR(t_read(dir.path, NULL), "a b");
	t_remove(&dir);
}

Test(log_reader, names_belong_to_their_life)
{
	static const char *const first[] = { "alpha" }, *const second[] = { "beta" };
	struct t_sources a = t_sources(first, 1), b = t_sources(second, 1);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	struct weir_record record;
	const char *kept;

	t_write(writer, (struct t_batch){
			    .life = 1, .seq = 1, .records = "a", .source = 1, .sources = &a.seen });
	t_write(writer, (struct t_batch){
			    .life = 2, .seq = 2, .records = "b", .source = 1, .sources = &b.seen });
	t_write(writer, (struct t_batch){ .life = 3, .seq = 3, .records = "c", .source = 1 });
	t_close(writer);
	reader = t_reader(dir.path);
	T_TRUE(weir_log_source_name(reader, 1) == NULL);
	T_EQ(weir_log_next(reader, &record), 1);
	kept = weir_log_source_name(reader, 1);
	T_STR(kept, "alpha");
	T_EQ(weir_log_next(reader, &record), 1);
	T_STR(weir_log_source_name(reader, 1), "beta");
	T_EQ(weir_log_next(reader, &record), 1);
	T_TRUE(weir_log_source_name(reader, 1) == NULL);
	T_STR(kept, "alpha"); /* valid until the reader is closed */
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_reader, names_are_bounded_and_equal_ones_take_no_room)
{
	struct wr_log_names names = { 0 };
	char name[200];
	int r = 0;

	memset(name, 'x', sizeof(name));
	for (int life = 0; life < 1000 && !r; life++) {
		wr_log_names_begin(&names);
		for (int id = 1; id < 1000 && !r; id++)
			r = wr_log_names_add(&names, (uint16_t)id, name, sizeof(name));
	}
	T_EQ(r, 0);
	T_TRUE(names.bytes < 1 << 20);
	for (int i = 0; i < 1000000 && !r; i++) {
		snprintf(name, sizeof(name), "%0150d", i);
		r = wr_log_names_add(&names, 1, name, 150);
	}
	T_EQ(r, -ENOSPC);
	T_TRUE(names.bytes <= WR_LOG_NAMES_BYTES + (1 << 17));
	wr_log_names_fini(&names);
}

Test(log_reader, batches_cut_before_a_time_are_skipped)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	char text[64] = "";

	for (uint64_t seq = 1; seq <= 4; seq++) {
		char record[2] = { (char)('a' + seq), 0 };

		t_write(writer,
		        (struct t_batch){
			    .life = 1, .seq = seq, .records = record, .wall_ns = seq * 100 });
	}
	t_close(writer);
	reader = t_reader(dir.path);
	T_EQ(weir_log_seek_time(reader, 300), 0);
	t_drain(reader, text, sizeof(text));
	T_STR(text, "d e");
	counts = t_counts(reader);
	T_EQ(counts.records, 2);
	T_EQ(counts.batches, 2);
	T_EQ(counts.gaps, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_reader, skipped_batches_are_not_even_read)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	char text[64] = "";
	uint64_t at;

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a", .wall_ns = 100 });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "b", .wall_ns = 200 });
	t_close(writer);
	at = t_block(t_segment(dir.path, 1), 1, NULL);
	t_flip(t_segment(dir.path, 1), at + WR_LOG_BATCH_BYTES, 0); /* its body */
	reader = t_reader(dir.path);
	weir_log_seek_time(reader, 150);
	t_drain(reader, text, sizeof(text));
	T_STR(text, "b");
	T_EQ(t_counts(reader).damaged, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_reader, a_jump_in_the_sequence_is_a_gap)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 2);
	t_run(writer, 1, 6, 7);
	t_run(writer, 2, 1, 1);
	t_run(writer, 2, 3, 3);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 6 7 1 3");
	T_EQ(counts.gaps, 2);
	T_EQ(counts.missing_batches, 4);
	t_remove(&dir);
}

Test(log_reader, a_life_that_does_not_begin_with_one_has_a_gap)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 3, 4);
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.gaps, 1);
	T_EQ(counts.missing_batches, 2);
	t_remove(&dir);
}

Test(log_reader, what_retention_removed_is_no_gap)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 100);
	t_close(writer);
	T_EQ(unlink(t_segment(dir.path, 1)), 0);
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	t_read(dir.path, &counts);
	T_EQ(counts.records, 34);
	T_EQ(counts.gaps + counts.missing_batches, 0);
	t_remove(&dir);
}

Test(log_reader, a_segment_that_is_missing_between_others_is_a_gap)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 100);
	t_close(writer);
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	t_read(dir.path, &counts);
	T_EQ(counts.gaps, 1);
	T_EQ(counts.missing_batches, 33);
	t_remove(&dir);
}

Test(log_reader, the_beginning_of_a_life_is_missed_when_an_older_one_is_there)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 2);
	for (uint64_t seq = 1; seq <= 60; seq++)
		t_write(writer, (struct t_batch){
				    .life = 2, .seq = seq, .records = "x", .wall_ns = 1000 + seq });
	t_close(writer);
	T_EQ(unlink(t_segment(dir.path, 2)), 0); /* of life 2, the first */
	t_read(dir.path, &counts);
	T_EQ(counts.gaps, 1);
	T_EQ(counts.missing_batches, 33);
	t_remove(&dir);
}

Test(log_reader, a_batch_met_again_is_skipped_and_counted)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 3);
	t_run(writer, 1, 2, 4);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 3 4");
	T_EQ(counts.duplicates, 2);
	T_EQ(counts.batches, 4);
	T_EQ(counts.gaps, 0);
	t_remove(&dir);
}

Test(log_reader, the_same_number_in_another_life_is_no_duplicate)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 2);
	t_run(writer, 2, 1, 2);
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.records, 4);
	T_EQ(counts.duplicates, 0);
	t_remove(&dir);
}

Test(log_reader, pieces_of_a_batch_come_as_they_were_written)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a b" });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .first_record = 2, .records = "c" });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .first_record = 2, .records = "c" });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .first_record = 3, .records = "d" });
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "a b c d");
	T_EQ(counts.duplicates, 1);
	T_EQ(counts.gaps, 0);
	t_remove(&dir);
}

Test(log_reader, a_batch_that_came_late_is_read_where_it_lies)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 1);
	t_run(writer, 1, 3, 3);
	t_run(writer, 1, 2, 2);
	t_run(writer, 1, 4, 4);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 3 2 4");
	T_EQ(counts.gaps + counts.duplicates, 0);
	t_remove(&dir);
}

Test(log_reader, aborted_records_are_passed_over)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_record_header records[3] = { { 0, 1, WEIR_REC_COMMITTED },
		                                 { 0, 0, WEIR_REC_ABORTED },
		                                 { 0, 2, WEIR_REC_COMMITTED } };
	struct weir_log_batch batch = { .seq = 1, .records = 2, .bytes = sizeof(records) };
	struct iovec iov = { records, sizeof(records) };
	struct weir_log_reader *reader;
	struct weir_record record;

	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), 0);
	t_close(writer);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(record.source, 1);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(record.source, 2);
	T_EQ(weir_log_next(reader, &record), 0);
	T_EQ(t_counts(reader).damaged, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_reader, an_extension_comes_with_its_record)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	uint8_t bytes[8 + 16 + 8 + 8] = {
		2, 0, 0, 0, 0, 0, WEIR_REC_COMMITTED | WEIR_REC_UUID | WEIR_REC_ORIGIN
	};
	struct weir_log_batch batch = { .seq = 1, .records = 1, .bytes = sizeof(bytes) };
	struct iovec iov = { bytes, sizeof(bytes) };
	struct weir_log_reader *reader;
	struct weir_record record;

	memset(bytes + 8, 0x5a, 16);
	bytes[24] = 99;
	memcpy(bytes + 32, "ok", 2);
	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), 0);
	t_close(writer);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(record.uuid[15], 0x5a);
	T_EQ(record.origin_ns, 99);
	T_EQ(record.size, 2);
	T_EQ(memcmp(record.data, "ok", 2), 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_reader, a_batch_larger_than_memory_at_once_is_read_in_pieces)
{
	enum { RECORDS = 40, SIZE = 1 << 20 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	uint8_t *one = calloc(1, SIZE + 8);
	struct weir_record_header header = { SIZE, 0, WEIR_REC_COMMITTED };
	struct weir_log_batch batch = { .seq = 1,
		                        .records = RECORDS,
		                        .bytes = (uint64_t)RECORDS * (SIZE + 8) };
	struct iovec iov[RECORDS];
	struct weir_log_reader *reader;
	struct weir_record record;

	memcpy(one, &header, sizeof(header));
	memset(one + 8, 'y', SIZE);
	for (int i = 0; i < RECORDS; i++)
		iov[i] = (struct iovec){ one, SIZE + 8 };
	T_EQ(wr_log_writer_write(writer, &batch, iov, RECORDS, NULL), 0);
	t_close(writer);
	reader = t_reader(dir.path);
	for (int i = 0; i < RECORDS; i++) {
		T_EQ(weir_log_next(reader, &record), 1);
		T_EQ(record.size, SIZE);
		T_EQ(memcmp(record.data, one + 8, SIZE), 0);
	}
	T_EQ(weir_log_next(reader, &record), 0);
	weir_log_close(reader);
	/* And a flip far inside it is found before any record is handed out. */
	t_flip(t_segment(dir.path, 1), 30u << 20, 3);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 0);
	T_EQ(t_counts(reader).damaged, 1);
	weir_log_close(reader);
	free(one);
	t_remove(&dir);
}

Test(log_reader, a_sparse_log_of_ten_gigabytes_takes_little_memory)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct rusage usage;

	t_run(writer, 1, 1, 5);
	t_close(writer);
	t_cut(t_segment(dir.path, 1), UINT64_C(10) << 30);
	T_STR(t_read(dir.path, &counts), "1 2 3 4 5");
	T_TRUE(counts.torn_bytes > UINT64_C(9) << 30);
	T_EQ(counts.damaged, 0);
	T_EQ(getrusage(RUSAGE_SELF, &usage), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	T_TRUE(usage.ru_maxrss < 64 << 10);
#endif
	t_remove(&dir);
}

Test(log_reader, a_hole_between_two_blocks_is_passed_over)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	uint8_t body[16] = { 1, 0, 0, 0, 0, 0, WEIR_REC_COMMITTED, 0, 'z' },
		head[WR_LOG_HEADER_MAX];
	struct wr_log_header header = {
		.kind = WR_LOG_BATCH, .body_bytes = 16, .segment = 1, .offset = UINT64_C(3) << 30
	};

	t_run(writer, 1, 1, 1);
	t_close(writer);
	t_cut(t_segment(dir.path, 1), header.offset);
	memset(header.engine, 1, 16);
	header.batch.seq = 2;
	header.batch.records = 1;
	{
		extern uint32_t wr_crc32c(uint32_t crc, const void *data, size_t bytes);

		header.body_crc = wr_crc32c(0, body, 16);
	}
	wr_log_encode(&header, head);
	t_append(t_segment(dir.path, 1), head, header.header_bytes);
	t_append(t_segment(dir.path, 1), body, 16);
	T_STR(t_read(dir.path, &counts), "1 z");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.skipped_bytes, header.offset - WR_LOG_SEGMENT_BYTES - 120);
	t_remove(&dir);
}

Test(log_reader, counts_are_given_to_older_callers_too)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;

	t_run(writer, 1, 1, 1);
	t_close(writer);
	reader = t_reader(dir.path);
	memset(&counts, 0xff, sizeof(counts));
	counts.size = offsetof(struct weir_log_counts, engines);
	T_EQ(weir_log_counts(reader, &counts), 0);
	T_EQ(counts.segments, 0);
	T_TRUE(counts.engines == UINT64_MAX);
	counts.size = sizeof(counts) + 8;
	T_EQ(weir_log_counts(reader, &counts), -EINVAL);
	counts.size = 0;
	T_EQ(weir_log_counts(reader, &counts), -EINVAL);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_reader, closing_nothing_is_fine)
{
	weir_log_close(NULL);
	T_EQ(wr_log_writer_close(NULL), 0);
}

Test(log_reader, only_names_of_twenty_digits_are_segments)
{
	static const char *const no[] = { "1.weir",
		                          "0000000000000000000a.weir",
		                          "000000000000000000001.weir",
		                          "00000000000000000001.weir~",
		                          "00000000000000000001",
		                          "99999999999999999999.weir",
		                          "18446744073709551616.weir",
		                          ".weir",
		                          "" };
	uint64_t number = 5;

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		T_EQ(wr_log_segment_number(no[i], &number), 0);
	T_EQ(number, 5);
	T_EQ(wr_log_segment_number("00000000000000000017.weir", &number), 1);
	T_EQ(number, 17);
	T_EQ(wr_log_segment_number("18446744073709551615.weir", &number), 1);
	T_TRUE(number == UINT64_MAX);
}

Test(log_reader, more_segments_than_a_directory_read_returns_are_listed)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	char large[4100];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = 0;
	for (uint64_t seq = 1; seq <= 700; seq++)
		t_write(writer, (struct t_batch){ .life = 1, .seq = seq, .records = large });
	t_close(writer);
	{
		struct weir_log_reader *reader = t_reader(dir.path);
		struct weir_record record;

		for (uint64_t seq = 1; seq <= 700; seq++) {
			T_EQ(weir_log_next(reader, &record), 1);
			T_EQ(weir_log_batch(reader)->seq, seq);
		}
		T_EQ(weir_log_next(reader, &record), 0);
		T_EQ(t_counts(reader).segments, 700);
		weir_log_close(reader);
	}
	t_remove(&dir);
}
