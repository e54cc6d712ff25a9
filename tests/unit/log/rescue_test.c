/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_test.c - what trouble leaves behind: half a segment, a file that cannot be removed or read. */
#include "fault_sys.h"
#include "log/lives.h"
#include "support.h"

static struct weir_log_counts counts;
static struct wr_log_writer_counts own;

static int put(struct wr_log_writer *writer, uint64_t seq)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, seq);
	return t_try(writer, (struct t_batch){ .life = 1, .seq = seq, .records = text });
}

/* The log's sync is due at its next tick, and @first is durable. */
static struct wr_log_writer *begin(const char *dir)
{
	struct wr_log_writer *writer = t_open(
	    dir, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 1000 });

	t_now = 5000;
	T_EQ(put(writer, 1), 0);
	T_EQ(wr_log_writer_sync(writer), 0);
	return writer;
}

static void overwrite(const char *path, uint64_t at, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	T_TRUE(fd >= 0);
	T_EQ(pwrite(fd, data, bytes, (off_t)at), bytes);
	close(fd);
}

/*
 * A failed sync had dropped two pages, so that a batch and the header of the next were gone, and the
 * rescue ended there. The one behind them was read where it lay, before what had been rescued.
 */
Test(log_rescue, what_lies_behind_a_lost_header_is_written_again_too)
{
	static const uint8_t zeros[WR_LOG_BATCH_BYTES];
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);
	struct wr_log_header header;
	uint64_t second, third;

	T_EQ(put(writer, 2), 0);
	/* Its payload has the magic of a header in it, and is none. */
	t_write(writer, (struct t_batch){ .life = 1, .seq = 3, .records = "WEIR" });
	T_EQ(put(writer, 4), 0);
	second = t_block(t_segment(dir.path, 1), 2, NULL);
	third = t_block(t_segment(dir.path, 1), 3, &header);
	T_EQ(header.batch.seq, 3);
	overwrite(t_segment(dir.path, 1), third, zeros, sizeof(zeros));
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 2);
	T_EQ(own.unsynced, 1);
	T_EQ(put(writer, 5), 0);
	t_close(writer);
	t_flip(t_segment(dir.path, 1), second + WR_LOG_BATCH_BYTES + 8, 0);
	T_STR(t_read(dir.path, &counts), "1 2 4 5");
	T_EQ(counts.missing_batches, 1);
	t_remove(&dir);
}

Test(log_rescue, what_lies_behind_a_page_that_cannot_be_read_is_written_again_too)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);
	char large[5001];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = 0;
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = large });
	T_EQ(put(writer, 3), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO, .times = 2 }; /* header, page */
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 1);
	T_EQ(own.unsynced, 1);
	t_close(writer);
	T_EQ(t_size(t_segment(dir.path, 2)), WR_LOG_SEGMENT_BYTES + 120);
	t_remove(&dir);
}

/* A header that was lost in part: the length in it is no way to the next one. */
Test(log_rescue, a_header_of_another_place_is_not_followed)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);
	size_t bytes;
	uint8_t *data;

	T_EQ(put(writer, 2), 0);
	T_EQ(put(writer, 3), 0);
	data = t_load(t_segment(dir.path, 1), &bytes);
	/* Batch 2 has become a copy of batch 1. */
	overwrite(t_segment(dir.path, 1), WR_LOG_SEGMENT_BYTES + 120, data + WR_LOG_SEGMENT_BYTES,
	          120);
	free(data);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 1);
	T_EQ(own.unsynced, 1);
	t_close(writer);
	T_EQ(t_size(t_segment(dir.path, 2)), WR_LOG_SEGMENT_BYTES + 120);
	t_remove(&dir);
}

static int refuses;

static void *maybe_alloc(void *arg, size_t bytes)
{
	(void)arg;
	return refuses ? NULL : malloc(bytes);
}

static void give_back(void *arg, void *memory, size_t bytes)
{
	(void)arg;
	(void)bytes;
	free(memory);
}

Test(log_rescue, a_rescue_without_memory_is_made_again)
{
	const struct wr_mem mem = { maybe_alloc, give_back, NULL };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;

	T_EQ(wr_log_writer_open(dir.path, &(struct wr_log_options){ 0 }, &mem, &writer, NULL), 0);
	T_EQ(put(writer, 2), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	refuses = 1;
	T_EQ(wr_log_writer_sync(writer), -ENOMEM);
	refuses = 0;
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 1);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "2");
	t_remove(&dir);
}

Test(log_rescue, a_rescue_is_interrupted_and_goes_on)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	t_run(writer, 1, 2, 9);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_interrupts = 1;
	t_most = 50;
	T_EQ(wr_log_writer_sync(writer), 0);
	t_interrupts = 0;
	t_most = 0;
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 8);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 3 4 5 6 7 8 9");
	t_remove(&dir);
}

Test(log_rescue, a_body_that_cannot_be_read_is_lost_alone)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	t_run(writer, 1, 2, 4);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO, .which = 8 }; /* of batch 3 */
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 2);
	T_EQ(own.unsynced, 1);
	t_close(writer);
	T_EQ(unlink(t_segment(dir.path, 1)), 0);
	T_STR(t_read(dir.path, &counts), "2 4");
	t_remove(&dir);
}

Test(log_rescue, a_length_beyond_what_was_written_is_not_followed)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);
	uint8_t bytes[WR_LOG_HEADER_MAX];
	struct wr_log_header header;
	uint64_t at;

	T_EQ(put(writer, 2), 0);
	at = t_block(t_segment(dir.path, 1), 2, &header);
	header.body_bytes += 8;
	wr_log_encode(&header, bytes);
	overwrite(t_segment(dir.path, 1), at, bytes, header.header_bytes);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 0);
	T_EQ(own.unsynced, 1);
	T_EQ(t_called[T_PREAD], 2); /* the header, the page that it lies in, and no body */
	t_close(writer);
	t_remove(&dir);
}

Test(log_rescue, names_that_cannot_be_written_again_hold_the_rescue_up)
{
	static const char *const names[] = { "alpha" };
	struct t_sources sources = t_sources(names, 1);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "b", .source = 1,
	                                  .sources = &sources.seen });
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .which = 2 };
	T_EQ(wr_log_writer_sync(writer), -ENOSPC);
	T_TRUE(!t_exists(t_segment(dir.path, 2)));
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 1);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 b");
	t_remove(&dir);
}

/* The segment that the next batch would begin must not come before what is still to be rescued. */
Test(log_rescue, a_segment_that_cannot_be_synced_nor_rescued_is_not_ended)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL,
	                                              .segment_bytes = 4096 });

	t_now = 5000;
	t_run(writer, 1, 1, 33);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_OPENAT] = (struct t_fault){ .error = -EMFILE, .times = 1 };
	T_EQ(put(writer, 34), -EMFILE);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 0);
	T_EQ(put(writer, 34), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 33);
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.records, 34);
	T_EQ(counts.duplicates, 33);
	t_remove(&dir);
}

/* Nothing could be read back: the segment that was to hold it is empty, and goes with its life. */
Test(log_rescue, an_empty_segment_makes_room_for_that_of_another_life)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	T_EQ(put(writer, 2), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO };
	T_EQ(wr_log_writer_sync(writer), 0);
	t_faults[T_PREAD].error = 0;
	T_TRUE(t_exists(t_segment(dir.path, 2)));
	t_write(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "other" });
	T_TRUE(!t_exists(t_segment(dir.path, 2)));
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 other");
	T_EQ(counts.gaps + counts.damaged, 0);
	t_remove(&dir);
}

Test(log_rescue, an_empty_segment_is_written_on_by_its_own_life)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);
	char large[5001];

	T_EQ(put(writer, 2), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO };
	T_EQ(wr_log_writer_sync(writer), 0);
	t_faults[T_PREAD].error = 0;
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = 0;
	T_EQ(t_try(writer, (struct t_batch){ .life = 1, .seq = 3, .records = large }), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.segments, 2);
	t_close(writer);
	t_remove(&dir);
}

/* After close nobody can ask for the counts any more. */
Test(log_rescue, closing_tells_that_something_could_not_be_read_back)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	T_EQ(put(writer, 2), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO };
	T_EQ(wr_log_writer_close(writer), -EIO);
	t_remove(&dir);
}

Test(log_rescue, a_write_of_nothing_is_an_error_and_no_endless_loop)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	t_faults[T_WRITEV] = (struct t_fault){ .error = T_NOTHING, .times = 1 };
	T_EQ(put(writer, 2), -EIO);
	T_EQ(put(writer, 2), 0);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2");
	t_remove(&dir);
}

static const char *spare_of(const struct t_dir *dir)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/spare", dir->path);
	return path;
}

/*
 * With a part of what was to be written again, after a cut of the power, a reader met a later batch
 * before an earlier one (weir sim --seed 14752).
 */
Test(log_rescue, what_is_written_again_has_a_name_when_it_is_whole_and_durable)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);
	const char *trace;

	t_run(writer, 1, 2, 3);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 2 };
	T_EQ(wr_log_writer_sync(writer), -EIO);
	T_TRUE(!t_exists(t_segment(dir.path, 2)) && !t_exists(spare_of(&dir)));
	memset(t_trace, 0, sizeof(t_trace));
	T_EQ(wr_log_writer_sync(writer), 0);
	trace = strstr(t_trace, "wwsrd"); /* its batches, their sync, the name, the name's sync */
	T_TRUE(trace && !strchr(trace + 5, 'r'));
	T_TRUE(t_exists(t_segment(dir.path, 3)) && !t_exists(spare_of(&dir)));
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 3");
	t_remove(&dir);
}

Test(log_rescue, a_file_that_lies_in_its_place_gives_way)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	T_EQ(put(writer, 2), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 2 };
	t_faults[T_UNLINKAT] = (struct t_fault){ .error = -EIO, .times = 2 };
	T_EQ(wr_log_writer_sync(writer), -EIO); /* the second sync is the rescue's own */
	T_TRUE(t_exists(spare_of(&dir)));
	T_EQ(wr_log_writer_sync(writer), -EEXIST); /* it cannot be removed */
	T_EQ(wr_log_writer_sync(writer), 0);
	T_TRUE(!t_exists(spare_of(&dir)));
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2");
	t_remove(&dir);
}

Test(log_rescue, a_name_that_is_taken_is_left_alone_and_counts)
{
	const struct wr_log_options options = { .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 1000,
		                                .segment_bytes = 4096, .max_bytes = 16384 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, options);

	t_now = 5000;
	t_run(writer, 1, 1, 2);
	t_store(t_segment(dir.path, 2), (const uint8_t *)"not mine", 8);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), -EEXIST);
	T_EQ(t_size(t_segment(dir.path, 2)), 8);
	T_EQ(wr_log_writer_sync(writer), 0);
	T_TRUE(t_exists(t_segment(dir.path, 3)));
	T_STR(t_read(dir.path, &counts), "1 2");
	t_run(writer, 1, 3, 300);
	T_TRUE(!t_exists(t_segment(dir.path, 2))); /* the oldest of all, in its turn */
	t_close(writer);
	t_remove(&dir);
}

Test(log_rescue, a_name_that_may_not_last_is_taken_back)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = begin(dir.path);

	T_EQ(put(writer, 2), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_FSYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), -EIO);
	T_TRUE(!t_exists(t_segment(dir.path, 2)) && !t_exists(spare_of(&dir)));
	T_EQ(wr_log_writer_sync(writer), 0);
	T_TRUE(t_exists(t_segment(dir.path, 3)));
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2");
	t_remove(&dir);
}

/* An old file serves it as well, and has its name as late. */
Test(log_rescue, what_is_written_again_goes_over_an_old_file)
{
	const struct wr_log_options options = { .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 1000,
		                                .segment_bytes = 4096, .max_bytes = 8192 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, options);
	static const uint8_t strange[4096];
	struct wr_log_header header;

	t_now = 5000;
	t_run(writer, 1, 1, 40);
	t_store(t_segment(dir.path, 3), strange, sizeof(strange));
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), -EEXIST); /* so that there is less room */
	T_EQ(wr_log_writer_sync(writer), 0);
	T_TRUE(!t_exists(t_segment(dir.path, 1)) && !t_exists(spare_of(&dir)));
	t_block(t_segment(dir.path, 4), 0, &header);
	T_TRUE(header.start.over > 0);
	t_close(writer);
	t_remove(&dir);
}

static const struct wr_log_options small = { .sync = WR_LOG_SYNC_BATCH,
	                                     .segment_bytes = 4096,
	                                     .max_bytes = 16384 };

/* Fills and reads a log in whose way is segment 1, an empty one that could not be removed. */
static void goes_with_the_oldest(struct t_dir *dir, struct wr_log_writer *writer)
{
	T_TRUE(t_exists(t_segment(dir->path, 1)));
	t_run(writer, 1, 1, 300);
	T_TRUE(!t_exists(t_segment(dir->path, 1)));
	t_close(writer);
	t_read(dir->path, &counts);
	T_EQ(counts.gaps + counts.damaged, 0); /* a gap, when what is older than the rest stays */
	t_remove(dir);
}

/* Retention did not know of it, and a reader took what retention removed for lost. */
Test(log_rescue, an_empty_segment_that_cannot_be_removed_goes_with_the_oldest)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .after = 1, .times = 1 };
	t_faults[T_UNLINKAT] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 1), -ENOSPC);
	goes_with_the_oldest(&dir, writer);
}

Test(log_rescue, a_segment_whose_name_was_not_made_to_last_goes_with_the_oldest)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	t_faults[T_FSYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_UNLINKAT] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 1), -EIO);
	T_EQ(put(writer, 1), -EEXIST);
	goes_with_the_oldest(&dir, writer);
}

Test(log_rescue, what_cannot_be_removed_counts_with_the_size_that_it_has)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, small);

	t_run(writer, 1, 1, 132); /* four segments, and the next has the file of the first */
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .after = 1, .times = 1 };
	t_faults[T_UNLINKAT] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 133), -ENOSPC);
	T_TRUE(t_exists(t_segment(dir.path, 5)) && !t_exists(t_segment(dir.path, 1)));
	for (uint64_t seq = 133; seq <= 300; seq++) {
		uint64_t bytes = 0;

		T_EQ(put(writer, seq), 0);
		for (uint64_t n = 1; n < 20; n++)
			if (t_exists(t_segment(dir.path, n)))
				bytes += t_size(t_segment(dir.path, n));
		T_TRUE(bytes <= small.max_bytes);
	}
	t_close(writer);
	t_remove(&dir);
}

/* It lay there until the log was opened again, beyond max_bytes, and no other could be kept. */
Test(log_rescue, a_spare_file_that_cannot_be_removed_gives_way_to_the_next)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 8192 });
	struct wr_log_header header;

	t_run(writer, 1, 1, 66);
	t_faults[T_FSTAT] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_UNLINKAT] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 67), 0);
	T_TRUE(t_exists(spare_of(&dir)));
	t_run(writer, 1, 68, 100);
	T_TRUE(!t_exists(spare_of(&dir)));
	t_block(t_segment(dir.path, 4), 0, &header);
	T_TRUE(header.start.over > 0);
	t_close(writer);
	t_remove(&dir);
}

/* Life 1 with batch 1, then life 2: batches 1..3, and 2..4 once more. */
static struct t_dir two_lives(void)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a" });
	t_close(writer);
	for (uint64_t first = 1; first <= 2; first++) {
		writer = t_open(dir.path, (struct wr_log_options){ 0 });
		t_run(writer, 2, first, first + 2);
		t_close(writer);
	}
	return dir;
}

/* Reads all, and goes on when reading fails. Text of all records. */
static const char *read_on(const char *dir, int *ret_errors)
{
	static char text[200];
	struct weir_log_reader *reader = NULL;
	struct weir_record record;
	struct weir_why why;
	int r;

	text[0] = 0;
	*ret_errors = 0;
	while ((r = weir_log_open(dir, &reader, &why)) == -EIO)
		++*ret_errors;
	T_EQ(r, 0);
	while ((r = weir_log_next(reader, &record)) != 0) {
		if (r < 0) {
			T_EQ(r, -EIO);
			T_TRUE(++*ret_errors < 5);
			continue;
		}
		strncat(text, record.data, record.size);
	}
	counts = t_counts(reader);
	weir_log_close(reader);
	return text;
}

/*
 * A segment that could not be looked at while the log was listed was taken for one of the life before
 * it: what it held was missed, or came twice.
 */
Test(log_rescue, a_file_that_cannot_be_looked_at_for_a_moment_costs_nothing)
{
	static const enum t_call calls[] = { T_FSTAT, T_PREAD, T_PREAD };

	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
		struct t_dir dir = two_lives();
		int errors, met = 1;

		for (uint64_t after = 0; met; after++) {
			const char *text;

			t_faults[calls[c]] = (struct t_fault){ .error = -EIO,
				                               .after = after,
				                               .times = c < 2 ? 1 : 2 };
			text = read_on(dir.path, &errors);
			met = !t_faults[calls[c]].error;
			if (counts.damaged) { /* one that is not to be opened at its very turn */
				T_EQ(counts.damaged, 1);
				T_TRUE(!strcmp(text, "1234") || !strcmp(text, "a123") ||
				       !strcmp(text, "a234"));
				continue;
			}
			T_STR(text, "a1234");
			T_EQ(counts.duplicates, 2);
			T_EQ(counts.gaps + counts.torn_bytes, 0);
			T_EQ(counts.engines, 2);
		}
		t_faults[calls[c]].error = 0;
		t_remove(&dir);
	}
}

/* All the way through its turn: it is told, and nothing of it is read as what it is not. */
Test(log_rescue, a_file_that_can_never_be_looked_at_is_damage)
{
	struct t_dir dir = two_lives();
	int errors;

	/* At the look, once more before the first segment and before its own, and to open it. */
	T_EQ(chmod(t_segment(dir.path, 2), 0), 0);
	if (geteuid() == 0) { /* who may read everything cannot read a directory */
		T_EQ(unlink(t_segment(dir.path, 2)), 0);
		T_EQ(mkdir(t_segment(dir.path, 2), 0700), 0);
	}
	T_STR(read_on(dir.path, &errors), "a234");
	T_EQ(errors, 0);
	T_EQ(counts.damaged, 1);
	T_EQ(counts.gaps, 1);
	t_remove(&dir);
}

/* It is looked at once more before the first is read, before itself, and each time in vain. */
Test(log_rescue, a_file_that_opens_only_when_it_is_too_late_to_know_it_is_asked_for_again)
{
	struct t_dir dir = two_lives();
	int errors;

	/* Three looks at the first file, one at the second, three at the third; one more at the
	 * second, and four at the first while it is read; one at the second, and then it opens. */
	t_faults[T_FSTAT] = (struct t_fault){ .error = -EIO, .which = 0x1088 };
	T_STR(read_on(dir.path, &errors), "a1234");
	T_EQ(errors, 1);
	T_EQ(counts.damaged + counts.gaps, 0);
	T_EQ(counts.duplicates, 2);
	t_remove(&dir);
}

/* Its first bytes cannot be read, neither at the look nor before the segment that comes first. */
Test(log_rescue, a_file_that_cannot_be_read_yet_does_not_hold_up_those_before_it)
{
	struct t_dir dir = two_lives();
	int errors;

	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO, .which = 0xa };
	T_STR(read_on(dir.path, &errors), "a1234");
	T_EQ(errors, 0);
	T_EQ(counts.damaged + counts.gaps, 0);
	t_remove(&dir);
}

static struct wr_log_lives lives;
static struct wr_log_window window;

Test(log_rescue, a_second_look_without_memory_says_so_and_changes_nothing)
{
	struct t_dir dir = two_lives();

	lives.dir_fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t_faults[T_FSTAT] = (struct t_fault){ .error = -EIO, .which = 8 };
	T_EQ(wr_log_lives_look(&lives, &window), 3);
	T_TRUE(lives.parts[1].unlooked && !lives.parts[2].unlooked);
	wr_log_window_fini(&window);
	window.mem = (struct wr_mem){ maybe_alloc, give_back, NULL };
	refuses = 1;
	T_EQ(wr_log_lives_look_again(&lives, &window, 0), -ENOMEM);
	refuses = 0;
	T_TRUE(lives.parts[1].unlooked);
	T_EQ(wr_log_lives_look_again(&lives, &window, 0), 1);
	T_EQ(wr_log_lives_look_again(&lives, &window, 0), 0);
	wr_log_lives_fini(&lives);
	wr_log_window_fini(&window);
	close(lives.dir_fd);
	t_remove(&dir);
}

/* One that is known only later comes where it belongs, before what was listed by its number. */
Test(log_rescue, a_segment_that_is_known_later_is_put_in_order)
{
	struct t_dir dir = t_dir();

	for (uint8_t life = 1; life <= 3; life++) {
		struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

		t_write(writer, (struct t_batch){ .life = life, .seq = 1, .records = "x",
		                                  .wall_ns = 100u - life });
		t_close(writer);
	}
	lives.dir_fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t_faults[T_FSTAT] = (struct t_fault){ .error = -EIO, .which = 8 };
	T_EQ(wr_log_lives_look(&lives, &window), 3);
	T_EQ(lives.parts[0].number, 3);
	T_EQ(lives.parts[2].number, 2); /* taken for one of the first life */
	T_EQ(wr_log_lives_look_again(&lives, &window, 0), 1);
	for (uint64_t i = 0; i < 3; i++)
		T_EQ(lives.parts[i].number, 3 - i);
	wr_log_lives_fini(&lives);
	wr_log_window_fini(&window);
	close(lives.dir_fd);
	t_remove(&dir);
}

Test(log_rescue, a_file_that_is_cut_while_it_is_read_ends_there)
{
	struct t_dir dir = two_lives();
	struct weir_log_reader *reader = t_reader(dir.path);
	struct weir_record record;

	t_faults[T_PREAD] = (struct t_fault){ .error = T_NOTHING, .times = 1 };
	T_EQ(weir_log_next(reader, &record), 1); /* of the next segment */
	T_EQ(weir_log_batch(reader)->engine[0], 2);
	T_EQ(t_counts(reader).damaged, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

/* Reads all of a log while its @after-th read answers @error. 1: that came to pass. */
static int read_with(const char *dir, int error, uint64_t after, uint64_t *ret_records)
{
	struct weir_log_reader *reader = NULL;
	struct weir_record record;
	struct weir_why why;
	int errors = 0, r;

	*ret_records = 0;
	t_faults[T_PREAD] = (struct t_fault){ .error = error, .after = after, .times = 1 };
	while (weir_log_open(dir, &reader, &why))
		T_TRUE(++errors < 3);
	while ((r = weir_log_next(reader, &record)) != 0) {
		T_TRUE(r == 1 || ++errors < 3);
		*ret_records += r == 1;
	}
	counts = t_counts(reader);
	weir_log_close(reader);
	r = !t_faults[T_PREAD].error;
	t_faults[T_PREAD].error = 0;
	return r;
}

/* Behind the last block of a file that is written over, all of which must be looked at again. */
Test(log_rescue, reading_fails_anywhere_behind_the_last_block_and_goes_on_later)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(
	    dir.path, (struct wr_log_options){ .segment_bytes = 4 << 20, .max_bytes = 8 << 20 });
	uint64_t last, records;
	size_t bytes;
	uint8_t *data;

	for (uint64_t seq = 1; seq <= 7; seq++)
		t_large(writer, seq, 1032 * 1200);
	/* As a crash leaves it: not trimmed. */
	data = t_load(t_segment(dir.path, 3), &bytes);
	t_close(writer);
	last = t_block(t_segment(dir.path, 3), 1, NULL);
	t_store(t_segment(dir.path, 3), data, bytes);
	t_flip(t_segment(dir.path, 3), last + 60, 0); /* a header that is begun, and not good */
	free(data);
	for (uint64_t after = 0; read_with(dir.path, -EIO, after, &records); after++) {
		T_EQ(records, 3 * 1200);
		T_EQ(counts.damaged, 0);
		T_TRUE(counts.torn_bytes > 0);
	}
	T_EQ(records, 3 * 1200);
	/* Or it is cut just then: less is read, and nothing else. */
	for (uint64_t after = 0; read_with(dir.path, T_NOTHING, after, &records); after++)
		T_TRUE(records <= 3 * 1200);
	t_remove(&dir);
}
