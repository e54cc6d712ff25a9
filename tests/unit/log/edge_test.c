/* SPDX-License-Identifier: Apache-2.0 */
/* What is only noticed at an edge of a log: padding, lives that go on, no memory. */
#include "support.h"

#include "log/names.h"

static char text[4096];

static const char *more(struct weir_log_reader *reader)
{
	text[0] = 0;
	t_drain(reader, text, sizeof(text));
	return text;
}

/* The chunk that names are gathered in still holds what it held before. */
Test(log_edge, behind_the_names_of_a_block_there_is_nothing_but_zeros)
{
	static const char *const names[] = { "long and full of letters", "b", "four" };
	struct t_sources sources = t_sources(names, 1);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct wr_log_header header;
	uint64_t at;
	size_t bytes;
	uint8_t *data;

	t_write(writer,
	        (struct t_batch){ .life = 1, .seq = 1, .records = "x", .sources = &sources.seen });
	sources.count = 2;
	t_write(writer,
	        (struct t_batch){ .life = 1, .seq = 2, .records = "y", .sources = &sources.seen });
	sources.count = 3;
	t_write(writer,
	        (struct t_batch){ .life = 1, .seq = 3, .records = "z", .sources = &sources.seen });
	t_close(writer);
	(void)t_block(t_segment(dir.path, 1), 5, &header);
	T_EQ(header.kind, WR_LOG_SOURCES);
	T_EQ(header.body_bytes, 8); /* and none where none is needed */
	at = t_block(t_segment(dir.path, 1), 3, &header);
	T_EQ(header.kind, WR_LOG_SOURCES);
	T_EQ(header.sources.count, 1);
	T_EQ(header.body_bytes, 8);
	data = t_load(t_segment(dir.path, 1), &bytes);
	for (unsigned i = 5; i < 8; i++)
		T_EQ(data[at + header.header_bytes + i], 0);
	free(data);
	t_remove(&dir);
}

Test(log_edge, a_life_that_goes_on_comes_before_one_that_begins)
{
	struct t_dir dir = t_dir();
	struct wr_log_options small = { .segment_bytes = 4096 };
	struct wr_log_writer *writer = t_open(dir.path, small);
	struct weir_log_reader *reader;

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a", .wall_ns = 1 });
	t_close(writer);
	writer = t_open(dir.path, small);
	t_run(writer, 2, 1, 20);
	reader = t_reader(dir.path);
	(void)more(reader);
	T_EQ(t_counts(reader).records, 21);
	/* A segment more of the life that was read last, and a new life whose clock stood before. */
	t_run(writer, 2, 21, 60);
	t_close(writer);
	T_TRUE(t_exists(t_segment(dir.path, 3)));
	writer = t_open(dir.path, small);
	t_write(writer, (struct t_batch){ .life = 3, .seq = 1, .records = "c", .wall_ns = 1 });
	t_close(writer);
	(void)more(reader);
	T_STR(text + strlen(text) - 7, "59 60 c");
	T_EQ(t_counts(reader).engines, 3);
	T_EQ(t_counts(reader).gaps, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

static void *no_memory(void *arg, size_t bytes)
{
	(void)arg, (void)bytes;
	return NULL;
}

static void no_free(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)memory, (void)bytes;
}

Test(log_edge, names_without_memory_are_refused_and_nothing_is_known)
{
	struct wr_log_names names = { .mem = { no_memory, no_free, NULL } };

	wr_log_names_begin(&names);
	T_EQ(wr_log_names_add(&names, 1, "a", 1), -ENOMEM);
	T_TRUE(!wr_log_names_get(&names, 1));
	wr_log_names_fini(&names);
}

/* The shortest there can be, with nothing behind it. */
Test(log_edge, a_name_of_no_bytes_at_the_very_end_is_one)
{
	uint8_t bytes[4];
	const char *name;
	size_t length = 9;
	uint16_t id = 0;

	T_EQ(wr_log_name_put(bytes, 3, 7, ""), 0);
	T_EQ(wr_log_name_put(bytes, 4, 7, ""), 4);
	T_EQ(wr_log_name_get(bytes, 3, &id, &name, &length), 0);
	T_EQ(wr_log_name_get(bytes, 4, &id, &name, &length), 4);
	T_EQ(id, 7);
	T_EQ(length, 0);
}

Test(log_edge, a_log_of_exactly_its_size_loses_nothing)
{
	struct t_dir dir = t_dir();
	struct wr_log_options options = { .segment_bytes = 4096 };
	struct wr_log_writer *writer = t_open(dir.path, options);
	uint64_t bytes = 0;

	t_run(writer, 1, 1, 100);
	t_close(writer);
	for (uint64_t n = 1; t_exists(t_segment(dir.path, n)); n++)
		bytes += t_size(t_segment(dir.path, n));
	options.max_bytes = bytes;
	t_close(t_open(dir.path, options));
	T_TRUE(t_exists(t_segment(dir.path, 1)));
	options.max_bytes = bytes - 1;
	t_close(t_open(dir.path, options));
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_TRUE(t_exists(t_segment(dir.path, 2)));
	t_remove(&dir);
}
