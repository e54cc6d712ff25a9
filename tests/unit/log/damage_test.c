/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

static struct weir_log_counts counts;

/* Three batches in one segment; where each begins, and the file's end. */
static struct t_dir three(uint64_t at[4])
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a b" });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "c d" });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 3, .records = "e f" });
	t_close(writer);
	for (int i = 0; i < 3; i++)
		at[i] = t_block(t_segment(dir.path, 1), i + 1, NULL);
	at[3] = t_size(t_segment(dir.path, 1));
	return dir;
}

static const char *damage_of(const char *dir, size_t n)
{
	static struct weir_why why;
	struct weir_log_reader *reader = t_reader(dir);
	char text[4096] = "";

	t_drain(reader, text, sizeof(text));
	if (weir_log_damage(reader, n, &why))
		why.text[0] = 0;
	weir_log_close(reader);
	return why.text;
}

Test(log_damage, a_bad_body_loses_its_batch_alone)
{
	uint64_t at[4];
	struct t_dir dir = three(at);

	t_flip(t_segment(dir.path, 1), at[1] + WR_LOG_BATCH_BYTES + 8, 5);
	T_STR(t_read(dir.path, &counts), "a b e f");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.batches, 2);
	T_EQ(counts.gaps, 1);
	T_EQ(counts.missing_batches, 1);
	T_EQ(counts.torn_bytes, 0);
	t_remove(&dir);
}

Test(log_damage, a_bad_header_loses_its_batch_alone)
{
	uint64_t at[4];
	struct t_dir dir = three(at);

	t_flip(t_segment(dir.path, 1), at[1] + 9, 0); /* the length of the body */
	T_STR(t_read(dir.path, &counts), "a b e f");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.skipped_bytes, at[2] - at[1]);
	T_EQ(counts.missing_batches, 1);
	t_remove(&dir);
}

Test(log_damage, a_bad_segment_header_loses_no_batch)
{
	uint64_t at[4];
	struct t_dir dir = three(at);

	t_flip(t_segment(dir.path, 1), 60, 0);
	T_STR(t_read(dir.path, &counts), "a b c d e f");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.engines, 1);
	T_EQ(counts.gaps, 0);
	t_remove(&dir);
}

Test(log_damage, a_damaged_place_is_told_with_segment_and_offset)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	char expected[256];

	t_flip(t_segment(dir.path, 1), at[1] + WR_LOG_BATCH_BYTES + 8, 5);
	snprintf(expected, sizeof(expected),
	         "segment 1, offset %" PRIu64 ": batch 2 does not match its sum, 2 records lost",
	         at[1]);
	T_STR(damage_of(dir.path, 0), expected);
	T_STR(damage_of(dir.path, 1), "");
	t_remove(&dir);
}

Test(log_damage, a_torn_tail_at_any_byte_loses_what_is_torn_and_is_no_damage)
{
	static const char *const whole[] = { "", "a b", "a b c d", "a b c d e f" };
	uint64_t at[4];
	struct t_dir dir = three(at);
	size_t bytes;
	uint8_t *data = t_load(t_segment(dir.path, 1), &bytes);

	for (uint64_t cut = 0; cut <= at[3]; cut++) {
		int blocks = 0;

		while (blocks < 3 && cut >= at[blocks + 1])
			blocks++;
		t_store(t_segment(dir.path, 1), data, cut);
		if (strcmp(t_read(dir.path, &counts), whole[blocks]) != 0)
			T_FAIL("cut at %" PRIu64 ": %s", cut, t_read(dir.path, NULL));
		if (counts.damaged || counts.gaps || counts.skipped_bytes ||
		    counts.torn_bytes != cut - (cut < at[0] ? 0 : at[blocks]))
			T_FAIL("cut at %" PRIu64 ": %" PRIu64 " damaged, %" PRIu64 " torn", cut,
			       counts.damaged, counts.torn_bytes);
	}
	free(data);
	t_remove(&dir);
}

Test(log_damage, a_torn_tail_followed_by_another_life_is_no_damage)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	struct wr_log_writer *writer;

	t_cut(t_segment(dir.path, 1), at[2] + 50);
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "new", .wall_ns = 99 });
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "a b c d new");
	T_EQ(counts.torn_bytes, 50);
	T_EQ(counts.damaged, 0);
	T_EQ(counts.gaps, 0);
	t_remove(&dir);
}

Test(log_damage, a_torn_end_in_the_middle_of_a_life_is_damage)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 40);
	t_close(writer);
	t_cut(t_segment(dir.path, 1), t_size(t_segment(dir.path, 1)) - 10);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged, 1);
	T_EQ(counts.torn_bytes, 0);
	T_EQ(counts.skipped_bytes, 110);
	T_EQ(counts.missing_batches, 1);
	T_EQ(counts.records, 39);
	t_remove(&dir);
}

Test(log_damage, every_flipped_bit_costs_at_most_one_batch_and_is_noticed)
{
	uint64_t at[4];
	struct t_dir dir = three(at);

	for (uint64_t bit = 0; bit < at[3] * 8; bit++) {
		t_flip(t_segment(dir.path, 1), bit / 8, (int)(bit % 8));
		t_read(dir.path, &counts);
		if (counts.damaged != 1 || counts.torn_bytes ||
		    counts.records < (bit / 8 < at[0] ? 6 : 4) || counts.records > 6)
			T_FAIL("bit %" PRIu64 ": %" PRIu64 " damaged, %" PRIu64 " torn, %" PRIu64
			       " records",
			       bit, counts.damaged, counts.torn_bytes, counts.records);
		t_flip(t_segment(dir.path, 1), bit / 8, (int)(bit % 8));
	}
	T_STR(t_read(dir.path, &counts), "a b c d e f");
	T_EQ(counts.damaged, 0);
	t_remove(&dir);
}

Test(log_damage, every_byte_overwritten_is_survived)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	size_t bytes;
	uint8_t *data = t_load(t_segment(dir.path, 1), &bytes);

	for (size_t i = 0; i < bytes; i++) {
		uint8_t was = data[i];

		data[i] = was == 0xff ? 0 : 0xff;
		t_store(t_segment(dir.path, 1), data, bytes);
		t_read(dir.path, &counts);
		T_TRUE(counts.damaged == 1 && counts.records >= 4);
		data[i] = was;
	}
	free(data);
	t_remove(&dir);
}

Test(log_damage, garbage_is_passed_over_and_counted)
{
	struct t_dir dir = t_dir();
	uint32_t x = 7;
	uint8_t garbage[20000];

	for (size_t i = 0; i < sizeof(garbage); i++) {
		x = x * 1664525 + 1013904223;
		garbage[i] = (uint8_t)(x >> 24);
	}
	T_EQ(mkdir(dir.path, 0700), 0);
	t_store(t_segment(dir.path, 1), garbage, sizeof(garbage));
	T_STR(t_read(dir.path, &counts), "");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.skipped_bytes, sizeof(garbage));
	t_remove(&dir);
}

Test(log_damage, garbage_in_the_middle_ends_at_the_next_block)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	size_t bytes;
	uint8_t *data = t_load(t_segment(dir.path, 1), &bytes);

	memset(data + at[0], 0x55, at[2] - at[0]);
	t_store(t_segment(dir.path, 1), data, bytes);
	T_STR(t_read(dir.path, &counts), "e f");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.skipped_bytes, at[2] - at[0]);
	T_EQ(counts.missing_batches, 2);
	free(data);
	t_remove(&dir);
}

Test(log_damage, a_block_of_another_place_is_not_taken_for_one)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	size_t bytes;
	uint8_t *data = t_load(t_segment(dir.path, 1), &bytes);

	/* The first batch copied over the second: sums are right, the place is not. */
	memcpy(data + at[1], data + at[0], at[1] - at[0]);
	t_store(t_segment(dir.path, 1), data, bytes);
	T_STR(t_read(dir.path, &counts), "a b e f");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.duplicates, 0);
	free(data);
	t_remove(&dir);
}

Test(log_damage, a_log_pushed_as_a_record_is_never_read_as_a_log)
{
	uint64_t at[4];
	struct t_dir inner = three(at), dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	size_t bytes;
	uint8_t *data = t_load(t_segment(inner.path, 1), &bytes), body[2048] = { 0 };
	struct weir_record_header record = { (uint32_t)bytes, 0, WEIR_REC_COMMITTED };
	struct weir_log_batch batch = { .seq = 1, .records = 1, .bytes = (8 + bytes + 7) & ~7ul };
	struct iovec iov = { body, batch.bytes };

	memcpy(body, &record, 8);
	memcpy(body + 8, data, bytes);
	memset(batch.engine, 1, 16); /* even of the same engine */
	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), 0);
	t_run(writer, 1, 2, 2);
	t_close(writer);
	t_flip(t_segment(dir.path, 1), WR_LOG_SEGMENT_BYTES + 30, 1); /* the outer header */
	T_STR(t_read(dir.path, &counts), "2");
	T_EQ(counts.damaged, 1);
	free(data);
	t_remove(&inner);
	t_remove(&dir);
}

Test(log_damage, a_segment_under_another_number_is_refused)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	char to[160];

	strcpy(to, t_segment(dir.path, 2));
	T_EQ(rename(t_segment(dir.path, 1), to), 0);
	T_STR(t_read(dir.path, &counts), "");
	T_EQ(counts.damaged, 1);
	t_remove(&dir);
}

Test(log_damage, a_count_of_records_that_is_wrong_is_told)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a b", .claimed = 3 });
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "a b");
	T_EQ(counts.damaged, 1);
	T_TRUE(strstr(damage_of(dir.path, 0), "batch 1 holds 2 records, not 3") != NULL);
	t_remove(&dir);
}

/* Writes one batch with this body, whatever it is. */
static void hostile(const char *path, const void *body, size_t bytes)
{
	struct wr_log_writer *writer = t_open(path, (struct wr_log_options){ 0 });
	struct weir_log_batch batch = { .seq = 1, .records = 1, .bytes = bytes };
	struct iovec iov = { (void *)(uintptr_t)body, bytes };

	memset(batch.engine, 1, 16);
	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), 0);
	t_run(writer, 1, 2, 2);
	t_close(writer);
}

Test(log_damage, a_record_longer_than_its_batch_is_never_followed)
{
	struct t_dir dir = t_dir();
	struct weir_record_header record = { UINT32_MAX, 0, WEIR_REC_COMMITTED };

	hostile(dir.path, &record, sizeof(record));
	T_STR(t_read(dir.path, &counts), "2");
	T_EQ(counts.damaged, 1);
	T_TRUE(strstr(damage_of(dir.path, 0), "batch 1 holds a malformed record") != NULL);
	t_remove(&dir);
}

Test(log_damage, a_record_that_is_none_ends_its_batch)
{
	struct t_dir dir = t_dir();
	uint64_t zeros[4] = { 0 };

	hostile(dir.path, zeros, sizeof(zeros));
	T_STR(t_read(dir.path, &counts), "2");
	T_EQ(counts.damaged, 1);
	t_remove(&dir);
}

Test(log_damage, source_names_that_are_damaged_cost_only_the_names)
{
	static const char *const names[] = { "alpha" };
	struct t_sources sources = t_sources(names, 1);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	struct weir_record record;

	t_write(writer,
	        (struct t_batch){
		    .life = 1, .seq = 1, .records = "a", .source = 1, .sources = &sources.seen });
	t_close(writer);
	t_flip(t_segment(dir.path, 1), WR_LOG_SEGMENT_BYTES + WR_LOG_SOURCES_BYTES + 5, 2);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(record.source, 1);
	T_TRUE(weir_log_source_name(reader, 1) == NULL);
	T_EQ(t_counts(reader).damaged, 1);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_damage, a_segment_that_cannot_be_opened_is_damage_and_the_rest_is_read)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	char moved[128];

	t_run(writer, 1, 1, 70);
	t_close(writer);
	snprintf(moved, sizeof(moved), "%s/moved", dir.base);
	T_EQ(rename(t_segment(dir.path, 2), moved), 0);
	T_EQ(symlink(moved, t_segment(dir.path, 2)), 0); /* never followed */
	t_read(dir.path, &counts);
	T_EQ(counts.records, 37);
	T_EQ(counts.damaged, 1);
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	T_EQ(mkfifo(t_segment(dir.path, 2), 0600), 0); /* never waited for */
	t_read(dir.path, &counts);
	T_EQ(counts.records, 37);
	T_EQ(counts.damaged, 1);
	T_TRUE(strstr(damage_of(dir.path, 0), "not a plain file") != NULL);
	T_EQ(unlink(t_segment(dir.path, 2)), 0);
	T_EQ(mkdir(t_segment(dir.path, 2), 0700), 0);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged, 1);
	t_remove(&dir);
}

Test(log_damage, an_empty_segment_is_neither_damage_nor_a_life)
{
	uint64_t at[4];
	struct t_dir dir = three(at);

	t_store(t_segment(dir.path, 2), "", 0);
	t_store(t_segment(dir.path, 3), "", 0);
	T_STR(t_read(dir.path, &counts), "a b c d e f");
	T_EQ(counts.damaged + counts.torn_bytes, 0);
	T_EQ(counts.engines, 1);
	t_remove(&dir);
}

Test(log_damage, only_the_first_sixty_four_places_are_kept)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 200);
	t_close(writer);
	for (uint64_t i = 0; i < 100; i++)
		t_flip(t_segment(dir.path, 1),
		       WR_LOG_SEGMENT_BYTES + 240 * i + WR_LOG_BATCH_BYTES + 8, 0);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged, 100);
	T_EQ(counts.records, 100);
	T_EQ(counts.gaps, 100);
	T_TRUE(strstr(damage_of(dir.path, 63), "batch 127 ") != NULL);
	T_STR(damage_of(dir.path, 64), "");
	t_remove(&dir);
}

Test(log_damage, random_bytes_over_a_log_are_survived)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	size_t bytes;
	uint8_t *data = t_load(t_segment(dir.path, 1), &bytes), *spoiled = malloc(bytes);
	uint32_t x = 99;

	for (int round = 0; round < 2000; round++) {
		memcpy(spoiled, data, bytes);
		for (int i = 0; i < 1 + round % 8; i++) {
			x = x * 1664525 + 1013904223;
			spoiled[(x >> 8) % bytes] = (uint8_t)(x >> 24);
		}
		t_store(t_segment(dir.path, 1), spoiled, bytes - (x >> 4) % 3 * 7);
		t_read(dir.path, &counts);
		T_TRUE(counts.records <= 6);
		T_TRUE(counts.records == 6 || counts.damaged || counts.torn_bytes);
	}
	free(spoiled);
	free(data);
	t_remove(&dir);
}

Test(log_damage, a_later_kind_of_block_is_passed_over_in_peace)
{
	uint64_t at[4];
	struct t_dir dir = three(at);
	struct wr_log_header header = {
		.kind = 77, .body_bytes = 16, .segment = 1, .offset = at[3]
	};
	uint8_t bytes[WR_LOG_HEADER_MAX + 16] = { 0 };

	memset(header.engine, 1, 16);
	wr_log_encode(&header, bytes);
	t_append(t_segment(dir.path, 1), bytes, header.header_bytes + 16u);
	T_STR(t_read(dir.path, &counts), "a b c d e f");
	T_EQ(counts.damaged + counts.torn_bytes, 0);
	t_remove(&dir);
}
