/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that are written over the files of expired ones. With segments of 4096 bytes a segment
 * holds 33 batches of t_run(), 4048 bytes, and with max_bytes of 8192 the third is the first that
 * is written over another.
 */
#include <signal.h>
#include <sys/wait.h>

#include "sink_support.h"

#define FULL 4048u
#define FIRST_OVER 67u /* batch that begins the third segment */

static const struct wr_log_options small = { .segment_bytes = 4096, .max_bytes = 8192 };
static struct weir_log_counts counts;
static struct wr_log_writer_counts own;

static ino_t inode_of(const char *path)
{
	struct stat file;

	T_EQ(stat(path, &file), 0);
	return file.st_ino;
}

static const char *beside(const struct t_dir *dir, const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	return path;
}

static uint32_t over_of(const struct t_dir *dir, uint64_t number)
{
	struct wr_log_header header;

	T_EQ(t_block(t_segment(dir->path, number), 0, &header), 0);
	return header.start.over;
}

/* "first .. last" as t_read() has it. */
static const char *numbers(uint64_t first, uint64_t last)
{
	static char text[8192];
	size_t used = 0;

	text[0] = 0;
	for (uint64_t n = first; n <= last; n++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%" PRIu64,
		                         n == first ? "" : " ", n);
	return text;
}

static void nothing_is_wrong(void)
{
	T_EQ(counts.damaged, 0);
	T_EQ(counts.skipped_bytes, 0);
	T_EQ(counts.gaps, 0);
	T_EQ(counts.duplicates, 0);
}

Test(log_recycle, the_file_of_a_segment_that_expires_is_written_over)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);
	ino_t inode;

	t_run(writer, 1, 1, FIRST_OVER - 1);
	T_EQ(over_of(&dir, 2), 0);
	inode = inode_of(t_segment(dir.path, 1));
	t_run(writer, 1, FIRST_OVER, FIRST_OVER);
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_TRUE(!t_exists(beside(&dir, "spare")));
	T_EQ(inode_of(t_segment(dir.path, 3)), inode);
	T_EQ(t_size(t_segment(dir.path, 3)), FULL); /* 208 are its own */
	T_EQ(over_of(&dir, 3), FULL / 8);
	T_STR(t_read(dir.path, &counts), numbers(34, FIRST_OVER));
	nothing_is_wrong();
	T_EQ(counts.torn_bytes, 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.expired, 1);
	T_EQ(own.expired_bytes, FULL);
	t_close(writer);
	T_EQ(t_size(t_segment(dir.path, 3)), 208);
	T_STR(t_read(dir.path, &counts), numbers(34, FIRST_OVER));
	nothing_is_wrong();
	t_remove(&dir);
}

Test(log_recycle, what_an_old_file_held_never_appears)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);
	uint64_t first = 1;

	for (uint64_t seq = 1; seq <= 400; seq++) {
		t_run(writer, 1, seq, seq);
		if (seq > 66 && (seq - 1) % 33 == 0)
			first += 33;
		T_STR(t_read(dir.path, &counts), numbers(first, seq));
		nothing_is_wrong();
		T_EQ(counts.torn_bytes, 0);
	}
	t_close(writer);
	t_remove(&dir);
}

Test(log_recycle, the_directory_never_grows_beyond_its_size)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(
	    dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 10000 });

	for (uint64_t seq = 1; seq <= 300; seq++) {
		uint64_t sum = 0;

		t_run(writer, 1, seq, seq);
		for (uint64_t n = 1; n < 12; n++)
			if (t_exists(t_segment(dir.path, n)))
				sum += t_size(t_segment(dir.path, n));
		T_TRUE(sum <= 10000 && !t_exists(beside(&dir, "spare")));
	}
	T_TRUE(over_of(&dir, 10) > 0);
	t_close(writer);
	t_remove(&dir);
}

Test(log_recycle, short_and_long_files_are_not_worth_it)
{
	static char large[5001];
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	memset(large, 'x', sizeof(large) - 1);
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = large });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "a" });
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_EQ(over_of(&dir, 2), 0); /* 5192 bytes are more than a segment may have */
	t_write(writer, (struct t_batch){ .life = 1, .seq = 3, .records = large });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 4, .records = "a" });
	T_TRUE(!t_exists(t_segment(dir.path, 2)));
	T_EQ(over_of(&dir, 4), 0); /* 208 are less than half of one */
	t_close(writer);
	t_remove(&dir);
}

/* A file as it lies there after @cut of its @bytes new ones were written over the old ones. */
struct halves {
	uint8_t *old, *new;
	size_t old_bytes, new_bytes;
	uint64_t ends[16]; /* of the blocks of the new one */
	uint32_t count;
};

static struct halves make_halves(struct t_dir *dir)
{
	static const char *const names[] = { "alpha", "beta" };
	struct t_sources sources = t_sources(names, 2);
	struct wr_log_writer *writer = t_open(dir->path, small);
	struct wr_log_header header;
	struct halves halves = { 0 };
	const char *path;

	t_run(writer, 1, 1, 66);
	halves.old = t_load(t_segment(dir->path, 1), &halves.old_bytes);
	/* As long as those below, then others; and a source block where there was none. */
	t_run(writer, 1, 67, 70);
	t_write(writer, (struct t_batch){ .life = 1, .seq = 71, .records = "71",
	                                  .sources = &sources.seen });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 72,
	                                  .records = "72 and-a-longer-one and-another" });
	t_run(writer, 1, 73, 74);
	t_close(writer);
	path = t_segment(dir->path, 3);
	halves.new = t_load(path, &halves.new_bytes);
	T_TRUE(halves.new_bytes < halves.old_bytes);
	while (!halves.count || halves.ends[halves.count - 1] < halves.new_bytes) {
		uint64_t at = t_block(path, (int)halves.count, &header);

		halves.ends[halves.count++] = at + wr_log_block_bytes(&header);
	}
	T_EQ(halves.count, 10);
	return halves;
}

static void store_halves(const char *path, const struct halves *halves, size_t cut)
{
	uint8_t *bytes = malloc(halves->old_bytes);

	T_TRUE(bytes != NULL);
	memcpy(bytes, halves->new, cut);
	memcpy(bytes + cut, halves->old + cut, halves->old_bytes - cut);
	t_store(path, bytes, halves->old_bytes);
	free(bytes);
}

/* Bytes that are the new ones' with @cut of them written: the next may be what lay there anyway. */
static size_t in_effect(const struct halves *halves, size_t cut)
{
	while (cut < halves->new_bytes && halves->old[cut] == halves->new[cut])
		cut++;
	return cut;
}

/* The records of segment 2, and of as many blocks of segment 3 as are whole with @cut bytes. */
static const char *whole(const struct halves *halves, size_t cut)
{
	static const char *const adds[] = {
		"", " 67", " 68", " 69", " 70", "", " 71", " 72 and-a-longer-one and-another",
		" 73", " 74"
	};
	static char text[8192];

	cut = in_effect(halves, cut);
	strcpy(text, numbers(34, 66));
	for (uint32_t i = 0; i < halves->count && halves->ends[i] <= cut; i++)
		strcat(text, adds[i]);
	return text;
}

/* Bytes of a block of which the header is whole and the rest is not. */
static uint64_t torn(const struct halves *halves, size_t cut)
{
	cut = in_effect(halves, cut);
	for (uint32_t i = 1; i < halves->count; i++) {
		uint64_t at = halves->ends[i - 1];
		uint64_t head = i == 5 ? WR_LOG_SOURCES_BYTES : WR_LOG_BATCH_BYTES;

		if (at + head <= cut && cut < halves->ends[i])
			return halves->ends[i] - at;
	}
	return 0;
}

/* Where a header is there in part, it may be seen that a block was begun. */
static void torn_is_right(const struct halves *halves, size_t cut)
{
	size_t begun = in_effect(halves, cut);

	for (uint32_t i = 1; i < halves->count; i++) {
		uint64_t at = halves->ends[i - 1];
		uint64_t head = i == 5 ? WR_LOG_SOURCES_BYTES : WR_LOG_BATCH_BYTES;

		if (at < begun && begun < at + head &&
		    (counts.torn_bytes == halves->ends[i] - at || begun < at + 16))
			return; /* its lengths begin at 6 */
	}
	T_EQ(counts.torn_bytes, torn(halves, cut));
}

Test(log_recycle, wherever_a_crash_stops_it_whole_batches_are_read_and_nothing_is_damaged)
{
	struct t_dir dir = t_dir();
	struct halves halves = make_halves(&dir);
	struct wr_log_writer *writer;

	for (size_t cut = WR_LOG_SEGMENT_BYTES; cut <= halves.new_bytes; cut++) {
		store_halves(t_segment(dir.path, 3), &halves, cut);
		T_STR(t_read(dir.path, &counts), whole(&halves, cut));
		nothing_is_wrong();
		torn_is_right(&halves, cut);
	}
	/* And a later life does not change that. */
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "z", .wall_ns = 999 });
	t_close(writer);
	for (size_t cut = WR_LOG_SEGMENT_BYTES; cut < halves.new_bytes; cut += 7) {
		char expected[8192];

		snprintf(expected, sizeof(expected), "%s z", whole(&halves, cut));
		store_halves(t_segment(dir.path, 3), &halves, cut);
		T_STR(t_read(dir.path, &counts), expected);
		nothing_is_wrong();
		torn_is_right(&halves, cut);
	}
	free(halves.old);
	free(halves.new);
	t_remove(&dir);
}

Test(log_recycle, a_reader_that_follows_waits_for_each_block_and_sees_no_damage)
{
	struct t_dir dir = t_dir();
	struct halves halves = make_halves(&dir);
	struct weir_log_reader *reader;
	char text[8192] = "";
	int fd;

	store_halves(t_segment(dir.path, 3), &halves, WR_LOG_SEGMENT_BYTES);
	reader = t_reader(dir.path);
	fd = open(t_segment(dir.path, 3), O_WRONLY | O_CLOEXEC);
	for (size_t cut = WR_LOG_SEGMENT_BYTES; cut <= halves.new_bytes; cut++) {
		t_drain(reader, text, sizeof(text));
		T_STR(text, whole(&halves, cut));
		counts = t_counts(reader);
		nothing_is_wrong();
		torn_is_right(&halves, cut);
		if (cut < halves.new_bytes)
			T_EQ(pwrite(fd, halves.new + cut, 1, (off_t)cut), 1);
	}
	T_EQ(ftruncate(fd, (off_t)halves.new_bytes), 0);
	t_drain(reader, text, sizeof(text));
	T_STR(text, whole(&halves, halves.new_bytes));
	counts = t_counts(reader);
	nothing_is_wrong();
	T_EQ(counts.torn_bytes, 0);
	close(fd);
	weir_log_close(reader);
	free(halves.old);
	free(halves.new);
	t_remove(&dir);
}

Test(log_recycle, what_was_read_ahead_before_it_was_written_is_read_again)
{
	struct t_dir dir = t_dir();
	struct halves halves = make_halves(&dir);
	/* Nothing of the next block, then all but the end of it. */
	const size_t cuts[] = { halves.ends[1], halves.ends[2] - 9 };

	for (int i = 0; i < 2; i++) {
		struct weir_log_reader *reader;
		struct weir_record record;
		char text[8192] = "";
		int fd;

		store_halves(t_segment(dir.path, 3), &halves, cuts[i]);
		reader = t_reader(dir.path);
		for (int n = 34; n <= 67; n++)
			T_EQ(weir_log_next(reader, &record), 1);
		fd = open(t_segment(dir.path, 3), O_WRONLY | O_CLOEXEC);
		T_EQ(pwrite(fd, halves.new, halves.new_bytes, 0), halves.new_bytes);
		T_EQ(ftruncate(fd, (off_t)halves.new_bytes), 0);
		close(fd);
		t_drain(reader, text, sizeof(text));
		T_STR(text, "68 69 70 71 72 and-a-longer-one and-another 73 74");
		counts = t_counts(reader);
		nothing_is_wrong();
		weir_log_close(reader);
	}
	free(halves.old);
	free(halves.new);
	t_remove(&dir);
}

Test(log_recycle, a_segment_that_is_finished_is_looked_through_once_more)
{
	struct t_dir dir = t_dir();
	struct halves halves = make_halves(&dir);
	struct weir_log_reader *reader;
	struct wr_log_writer *writer;
	char text[8192] = "";

	store_halves(t_segment(dir.path, 3), &halves, halves.ends[1]);
	reader = t_reader(dir.path);
	t_drain(reader, text, sizeof(text));
	/* Batch 68 is written and spoiled between two looks, and others behind it. */
	halves.new[halves.ends[1] + 60] ^= 1;
	store_halves(t_segment(dir.path, 3), &halves, halves.new_bytes);
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "z", .wall_ns = 999 });
	t_close(writer);
	text[0] = 0;
	t_drain(reader, text, sizeof(text));
	T_STR(text, "69 70 71 72 and-a-longer-one and-another 73 74 z");
	T_EQ(t_counts(reader).damaged, 1);
	weir_log_close(reader);
	free(halves.old);
	free(halves.new);
	t_remove(&dir);
}

Test(log_recycle, a_real_writer_is_followed_from_segment_to_segment)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);
	struct weir_log_reader *reader = t_reader(dir.path);

	for (uint64_t seq = 1; seq <= 300; seq++) {
		char text[64] = "";

		t_run(writer, 1, seq, seq);
		t_drain(reader, text, sizeof(text));
		T_STR(text, numbers(seq, seq));
	}
	t_close(writer);
	counts = t_counts(reader);
	nothing_is_wrong();
	T_EQ(counts.torn_bytes, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_recycle, what_is_damaged_in_it_is_told_as_in_any_other)
{
	struct t_dir dir = t_dir();
	struct halves halves = make_halves(&dir);
	const char *path = t_segment(dir.path, 3);

	/* While old bytes may follow: a block that has one behind it must be whole. */
	for (uint32_t i = 1; i + 1 < halves.count; i++) {
		for (uint64_t at = halves.ends[i - 1]; at < halves.ends[i] - 8; at += 9) {
			store_halves(path, &halves, halves.new_bytes);
			t_flip(path, at, 3);
			t_read(dir.path, &counts);
			T_EQ(counts.damaged, 1);
		}
	}
	/* Trimmed: the last one must be, too. */
	t_store(path, halves.new, halves.new_bytes);
	t_flip(path, halves.ends[halves.count - 2] + 60, 3);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged, 1);
	free(halves.old);
	free(halves.new);
	t_remove(&dir);
}

/* Life 1, killed: *@ret_bytes of an old file stand behind its last batch, in segment 3. */
static struct t_dir untrimmed(uint64_t *ret_bytes)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);
	uint8_t old[4096];

	memset(old, 0x77, sizeof(old));
	t_run(writer, 1, 1, FIRST_OVER);
	t_close(writer);
	*ret_bytes = FULL - t_size(t_segment(dir.path, 3));
	t_append(t_segment(dir.path, 3), old, *ret_bytes);
	return dir;
}

Test(log_recycle, only_the_last_of_a_life_may_end_in_what_an_old_file_held)
{
	uint64_t bytes;
	struct t_dir dir = untrimmed(&bytes);
	struct wr_log_writer *writer;

	t_read(dir.path, &counts);
	nothing_is_wrong();
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_run(writer, 1, FIRST_OVER + 1, FIRST_OVER + 1); /* the same life goes on */
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged, 1);
	T_EQ(counts.skipped_bytes, bytes);
	t_remove(&dir);
}

/*
 * A process was killed when it had made a file and written nothing: that was taken for the next of
 * the life before, and the end of that life's last segment for damage (proof-crash-kill).
 */
Test(log_recycle, a_file_that_holds_nothing_does_not_say_whose_it_is)
{
	static const uint8_t zeros[200];
	uint64_t bytes;
	struct t_dir dir = untrimmed(&bytes);
	struct wr_log_writer *writer;

	t_store(t_segment(dir.path, 4), zeros, sizeof(zeros)); /* the last there is */
	t_read(dir.path, &counts);
	nothing_is_wrong();
	T_EQ(counts.torn_bytes, 200);
	t_store(t_segment(dir.path, 4), zeros, 0);
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_run(writer, 2, 1, 1);
	t_close(writer);
	t_read(dir.path, &counts);
	nothing_is_wrong();
	T_EQ(counts.engines, 2);
	T_EQ(unlink(t_segment(dir.path, 5)), 0);
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_run(writer, 1, FIRST_OVER + 1, FIRST_OVER + 1); /* the same life went on, in peace */
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged, 1);
	t_remove(&dir);
}

/* A reader is in the first segment when that expires and is written over. */
static void overtake(size_t batch_bytes, uint64_t segment_bytes, uint64_t per_segment)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = segment_bytes,
	                                              .max_bytes = 2 * segment_bytes });
	struct weir_log_reader *reader = NULL;
	struct weir_record record;
	uint64_t last = 0, read = 0;

	for (uint64_t seq = 1; seq <= 3 * per_segment; seq++) {
		t_large(writer, seq, batch_bytes);
		if (!reader) {
			reader = t_reader(dir.path);
			T_EQ(weir_log_next(reader, &record), 1);
		}
	}
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_TRUE(over_of(&dir, 3) > 0);
	while (weir_log_next(reader, &record) == 1) {
		const uint8_t *data = record.data;
		uint64_t seq = weir_log_batch(reader)->seq;

		T_TRUE(seq >= last);
		last = seq;
		read++;
		T_EQ(record.size, 1024);
		for (size_t i = 0; i < record.size; i += 64)
			T_EQ(data[i], (uint8_t)seq);
	}
	counts = t_counts(reader);
	nothing_is_wrong();
	T_EQ(counts.torn_bytes, 0);
	T_EQ(last, 3 * per_segment);
	T_TRUE(read >= 2 * per_segment * (batch_bytes / 1032));
	T_TRUE(read < 3 * per_segment * (batch_bytes / 1032) - 1);
	weir_log_close(reader);
	t_close(writer);
	t_remove(&dir);
}

Test(log_recycle, a_reader_that_is_overtaken_goes_on_behind_and_nothing_is_damaged)
{
	overtake(1032 * 20, 1032 * 20 * 52, 51);
}

Test(log_recycle, a_reader_is_overtaken_within_a_batch_that_it_does_not_keep)
{
	overtake(1032 * 8700, 1032 * 8900, 1);
}

Test(log_recycle, a_file_that_is_not_the_logs_alone_is_not_written_over)
{
	for (int how = 0; how < 3; how++) {
		struct t_dir dir = t_dir();
		struct wr_log_writer *writer = t_open(dir.path, small);
		char kept[160];
		size_t bytes, now;
		uint8_t *before, *after;

		snprintf(kept, sizeof(kept), "%s/kept", dir.base);
		t_run(writer, 1, 1, 66);
		before = t_load(t_segment(dir.path, 1), &bytes);
		if (how == 0) { /* somebody has taken a copy that costs nothing */
			T_EQ(link(t_segment(dir.path, 1), kept), 0);
		} else if (how == 1) { /* somebody else may read it */
			T_EQ(chmod(t_segment(dir.path, 1), 0644), 0);
		} else { /* it is another one by now */
			T_EQ(rename(t_segment(dir.path, 1), kept), 0);
			T_EQ(symlink(kept, t_segment(dir.path, 1)), 0);
		}
		t_run(writer, 1, 67, 70);
		T_EQ(over_of(&dir, 3), 0);
		T_TRUE(!t_exists(t_segment(dir.path, 1)));
		T_TRUE(!t_exists(beside(&dir, "spare")));
		if (how != 1) {
			after = t_load(kept, &now);
			T_EQ(now, bytes);
			T_TRUE(!memcmp(before, after, bytes));
			free(after);
		}
		T_STR(t_read(dir.path, &counts), numbers(34, 70));
		nothing_is_wrong();
		t_close(writer);
		free(before);
		t_remove(&dir);
	}
}

Test(log_recycle, a_spare_file_that_a_crash_left_is_removed_and_read_by_nobody)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;
	char target[160];
	size_t bytes;
	uint8_t *data;

	T_EQ(mkdir(dir.path, 0700), 0);
	t_store(beside(&dir, "spare"), "whatever", 8);
	T_STR(t_read(dir.path, &counts), ""); /* a log, though an empty one */
	writer = t_open(dir.path, small);
	T_TRUE(!t_exists(beside(&dir, "spare")));
	t_run(writer, 1, 1, 1);
	t_close(writer);
	/* A link that bears its name is not followed. */
	snprintf(target, sizeof(target), "%s/target", dir.base);
	t_store(target, "precious", 8);
	T_EQ(symlink(target, beside(&dir, "spare")), 0);
	writer = t_open(dir.path, small);
	t_run(writer, 2, 1, 200);
	t_close(writer);
	data = t_load(target, &bytes);
	T_TRUE(bytes == 8 && !memcmp(data, "precious", 8));
	free(data);
	t_remove(&dir);
}

Test(log_recycle, a_spare_name_that_is_taken_costs_no_more_than_the_old_file)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	T_EQ(mkdir(beside(&dir, "spare"), 0700), 0);
	t_run(writer, 1, 1, 200);
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_EQ(over_of(&dir, 7), 0);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), numbers(166, 200));
	nothing_is_wrong();
	t_remove(&dir);
}

/* Writes through the sink and says so, a byte for each batch, until it is killed. */
static void write_for_ever(const char *dir, int told)
{
	static char data[60000];
	struct weir_sink *sink = t_sink(dir, "?segment=1MiB&max_bytes=4MiB&sync=none");

	memset(data, 'd', sizeof(data));
	for (uint64_t seq = 1;; seq++) {
		if (t_send(sink, seq, data, (uint32_t)(20000 + seq * 7919 % 40000)) != WEIR_DONE ||
		    write(told, "x", 1) != 1)
			_exit(1);
	}
}

Test(log_recycle, a_log_whose_writer_is_killed_again_and_again_is_never_damaged)
{
	struct t_dir dir = t_dir();

	for (uint64_t round = 0; round < 8; round++) {
		uint64_t told = 120 + 23 * round, last = 0;
		struct weir_log_reader *reader;
		struct weir_record record;
		int pipe_fd[2], status;
		pid_t child;
		char byte;

		T_EQ(pipe(pipe_fd), 0);
		child = fork();
		T_TRUE(child >= 0);
		if (!child)
			write_for_ever(dir.path, pipe_fd[1]);
		close(pipe_fd[1]);
		for (uint64_t i = 0; i < told; i++)
			T_EQ(read(pipe_fd[0], &byte, 1), 1);
		kill(child, SIGKILL);
		T_EQ(waitpid(child, &status, 0), child);
		T_TRUE(WIFSIGNALED(status));
		while (read(pipe_fd[0], &byte, 1) == 1)
			told++;
		close(pipe_fd[0]);
		reader = t_reader(dir.path);
		while (weir_log_next(reader, &record) == 1)
			last = weir_log_batch(reader)->seq;
		counts = t_counts(reader);
		nothing_is_wrong();
		T_TRUE(last >= told);
		weir_log_close(reader);
	}
	t_remove(&dir);
}
