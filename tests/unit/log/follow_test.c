/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

static char text[4096];

/* What comes new, alone. */
static const char *more(struct weir_log_reader *reader)
{
	text[0] = 0;
	t_drain(reader, text, sizeof(text));
	return text;
}

Test(log_follow, what_is_added_is_read_later)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader = t_reader(dir.path);

	T_STR(more(reader), "");
	t_run(writer, 1, 1, 2);
	T_STR(more(reader), "1 2");
	T_STR(more(reader), "");
	t_run(writer, 1, 3, 3);
	T_STR(more(reader), "3");
	t_close(writer);
	T_STR(more(reader), "");
	T_EQ(t_counts(reader).records, 3);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, new_segments_are_found)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	struct weir_log_reader *reader = t_reader(dir.path);

	for (uint64_t seq = 1; seq <= 100; seq++) {
		char expected[24];

		t_run(writer, 1, seq, seq);
		snprintf(expected, sizeof(expected), "%" PRIu64, seq);
		T_STR(more(reader), expected);
	}
	T_EQ(t_counts(reader).segments, 4);
	T_EQ(t_counts(reader).gaps + t_counts(reader).damaged + t_counts(reader).torn_bytes, 0);
	t_close(writer);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, a_new_life_is_found)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader = t_reader(dir.path);

	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "old", .wall_ns = 500 });
	t_close(writer);
	T_STR(more(reader), "old");
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	/* Its clock stood before the other's: it still comes after what was read already. */
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "new", .wall_ns = 100 });
	t_close(writer);
	T_STR(more(reader), "new");
	T_EQ(t_counts(reader).engines, 2);
	T_EQ(t_counts(reader).gaps, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, a_block_that_is_being_written_is_waited_for)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	size_t bytes;
	uint8_t *data;

	t_run(writer, 1, 1, 2);
	t_close(writer);
	data = t_load(t_segment(dir.path, 1), &bytes);
	t_cut(t_segment(dir.path, 1), bytes - 120);
	reader = t_reader(dir.path);
	T_STR(more(reader), "1");
	for (size_t i = bytes - 120; i < bytes; i++) {
		T_STR(more(reader), "");
		T_EQ(t_counts(reader).torn_bytes, i - (bytes - 120));
		T_EQ(t_counts(reader).damaged, 0);
		t_append(t_segment(dir.path, 1), data + i, 1);
	}
	T_STR(more(reader), "2");
	T_EQ(t_counts(reader).torn_bytes, 0);
	free(data);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, a_block_that_was_given_up_and_replaced_is_read_as_it_is_then)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	uint64_t bytes;

	t_run(writer, 1, 1, 1);
	bytes = t_size(t_segment(dir.path, 1));
	t_append(t_segment(dir.path, 1),
	         "WEIR\001\003half of a block that will never be whole......", 50);
	reader = t_reader(dir.path);
	T_STR(more(reader), "1");
	T_EQ(t_counts(reader).torn_bytes, 50);
	t_cut(t_segment(dir.path, 1), bytes);
	t_run(writer, 1, 2, 2);
	T_STR(more(reader), "2");
	T_EQ(t_counts(reader).torn_bytes + t_counts(reader).damaged, 0);
	t_close(writer);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, a_damaged_end_counts_once_however_often_it_is_looked_at)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	struct weir_why why;
	uint8_t garbage[200];

	memset(garbage, 0x77, sizeof(garbage));
	t_run(writer, 1, 1, 1);
	t_close(writer);
	t_append(t_segment(dir.path, 1), garbage, sizeof(garbage));
	reader = t_reader(dir.path);
	T_STR(more(reader), "1");
	for (int i = 0; i < 3; i++) {
		T_STR(more(reader), "");
		T_EQ(t_counts(reader).damaged, 1);
		T_EQ(t_counts(reader).skipped_bytes, 200);
		T_EQ(weir_log_damage(reader, 0, &why), 0);
		T_TRUE(strstr(why.text, "segment 1, offset 208: no block up to the end") != NULL);
		T_EQ(weir_log_damage(reader, 1, &why), -ENOENT);
	}
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_run(writer, 2, 1, 1);
	t_close(writer);
	T_STR(more(reader), "1");
	T_EQ(t_counts(reader).damaged, 1);
	T_EQ(t_counts(reader).skipped_bytes, 200);
	T_EQ(weir_log_damage(reader, 0, &why), 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, a_segment_without_its_header_yet_is_waited_for)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	size_t bytes;
	uint8_t *data;

	t_run(writer, 1, 1, 1);
	t_close(writer);
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "b", .wall_ns = 10 });
	t_close(writer);
	data = t_load(t_segment(dir.path, 2), &bytes);
	t_cut(t_segment(dir.path, 2), 0);
	reader = t_reader(dir.path);
	T_STR(more(reader), "1");
	T_EQ(t_counts(reader).segments, 1);
	t_append(t_segment(dir.path, 2), data, 40);
	T_STR(more(reader), "");
	T_EQ(t_counts(reader).torn_bytes, 40);
	t_append(t_segment(dir.path, 2), data + 40, bytes - 40);
	T_STR(more(reader), "b");
	T_EQ(t_counts(reader).segments, 2);
	T_EQ(t_counts(reader).torn_bytes + t_counts(reader).damaged, 0);
	free(data);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, segments_that_expire_under_the_reader_are_no_gap)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	struct weir_log_reader *reader;
	struct weir_record record;

	t_run(writer, 1, 1, 100);
	t_close(writer);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(unlink(t_segment(dir.path, 1)), 0); /* open already: read to its end */
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	more(reader);
	T_EQ(t_counts(reader).records, 33 + 34);
	T_EQ(t_counts(reader).gaps + t_counts(reader).damaged, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_follow, a_log_that_begins_after_its_reader_is_found)
{
	struct t_dir dir = t_dir();
	struct weir_log_reader *reader;
	struct wr_log_writer *writer;

	T_EQ(mkdir(dir.path, 0700), 0);
	reader = t_reader(dir.path);
	T_STR(more(reader), "");
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_run(writer, 1, 1, 2);
	T_STR(more(reader), "1 2");
	t_close(writer);
	weir_log_close(reader);
	t_remove(&dir);
}
