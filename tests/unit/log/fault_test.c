/* SPDX-License-Identifier: Apache-2.0 */
#include "fault_sys.h"
#include "support.h"

static struct weir_log_counts counts;
static struct wr_log_writer_counts own;

static int put(struct wr_log_writer *writer, uint64_t seq)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, seq);
	return t_try(writer, (struct t_batch){ .life = 1, .seq = seq, .records = text });
}

Test(log_fault, short_writes_are_gone_on_with)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	for (t_most = 1; t_most < 150; t_most++)
		T_EQ(put(writer, t_most), 0);
	t_most = 0;
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.records, 149);
	T_EQ(counts.damaged + counts.torn_bytes, 0);
	t_remove(&dir);
}

Test(log_fault, interrupted_calls_are_made_again)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;

	t_interrupts = 1;
	writer = t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH });
	for (uint64_t seq = 1; seq <= 9; seq++)
		T_EQ(put(writer, seq), 0);
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .times = 1, .partly = 30 };
	T_EQ(put(writer, 10), -ENOSPC);
	T_EQ(put(writer, 10), 0);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 3 4 5 6 7 8 9 10");
	T_EQ(counts.damaged + counts.torn_bytes, 0);
	t_remove(&dir);
}

Test(log_fault, short_reads_are_gone_on_with)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 9);
	t_close(writer);
	t_most = 7;
	T_STR(t_read(dir.path, &counts), "1 2 3 4 5 6 7 8 9");
	T_EQ(counts.damaged, 0);
	t_remove(&dir);
}

Test(log_fault, a_write_that_fails_at_any_byte_leaves_a_valid_segment)
{
	static const int errors[] = { -ENOSPC, -EIO, -EDQUOT, -EFBIG };

	for (size_t partly = 0; partly < 120; partly++) {
		struct t_dir dir = t_dir();
		struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
		uint64_t bytes;

		T_EQ(put(writer, 1), 0);
		bytes = t_size(t_segment(dir.path, 1));
		t_faults[T_WRITEV] =
		    (struct t_fault){ .error = errors[partly % 4], .times = 2, .partly = partly };
		T_EQ(put(writer, 2), errors[partly % 4]);
		T_EQ(t_size(t_segment(dir.path, 1)), bytes);
		T_STR(t_read(dir.path, &counts), "1");
		T_EQ(counts.torn_bytes + counts.damaged, 0);
		T_EQ(put(writer, 2), errors[partly % 4]);
		T_EQ(put(writer, 2), 0);
		t_close(writer);
		T_STR(t_read(dir.path, &counts), "1 2");
		T_EQ(counts.torn_bytes + counts.damaged + counts.duplicates, 0);
		T_EQ(counts.segments, 1);
		t_remove(&dir);
	}
}

Test(log_fault, an_end_that_cannot_be_cut_off_is_left_behind)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct wr_log_header header;

	T_EQ(put(writer, 1), 0);
	t_faults[T_WRITEV] = (struct t_fault){ .error = -EIO, .times = 1, .partly = 50 };
	t_faults[T_FTRUNCATE] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 2), -EIO);
	T_EQ(put(writer, 2), 0);
	t_close(writer);
	t_block(t_segment(dir.path, 2), 0, &header);
	T_EQ(header.start.flags, WR_LOG_AFTER_TROUBLE);
	T_STR(t_read(dir.path, &counts), "1 2");
	T_EQ(counts.damaged + counts.gaps, 0);
	T_EQ(counts.torn_bytes, 50);
	t_remove(&dir);
}

Test(log_fault, a_full_disk_leaves_no_empty_segments)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	for (uint64_t after = 0; after < 2; after++) { /* at the segment's block, at the batch */
		t_faults[T_WRITEV] =
		    (struct t_fault){ .error = -ENOSPC, .times = 1, .after = after };
		T_EQ(put(writer, 1), -ENOSPC);
		T_TRUE(!t_exists(t_segment(dir.path, 1)) && !t_exists(t_segment(dir.path, 2)));
	}
	T_EQ(put(writer, 1), 0);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1");
	T_EQ(counts.segments, 1);
	t_remove(&dir);
}

Test(log_fault, a_first_segment_that_was_taken_back_does_not_hide_a_gap)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .times = 1, .after = 1 };
	T_EQ(put(writer, 1), -ENOSPC);
	T_EQ(put(writer, 2), 0); /* batch 1 was given up */
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "2");
	T_EQ(counts.gaps, 1);
	T_EQ(counts.missing_batches, 1);
	t_remove(&dir);
}

Test(log_fault, a_segment_that_cannot_be_made_fails_the_batch_alone)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_faults[T_OPENAT] = (struct t_fault){ .error = -EMFILE, .times = 2 };
	T_EQ(put(writer, 1), -EMFILE);
	T_EQ(put(writer, 1), -EMFILE);
	T_EQ(put(writer, 1), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.failures, 2);
	T_EQ(own.batches, 1);
	t_close(writer);
	T_STR(t_read(dir.path, NULL), "1");
	t_remove(&dir);
}

Test(log_fault, names_that_cannot_be_written_hold_the_batch_back)
{
	static const char *const names[] = { "alpha" };
	struct t_sources sources = t_sources(names, 1);
	struct t_batch batch = {
		.life = 1, .seq = 2, .records = "b", .source = 1, .sources = &sources.seen
	};
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct wr_log_header header;

	T_EQ(put(writer, 1), 0);
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .times = 1, .partly = 20 };
	T_EQ(t_try(writer, batch), -ENOSPC);
	T_EQ(t_try(writer, batch), 0);
	t_close(writer);
	t_block(t_segment(dir.path, 1), 2, &header);
	T_EQ(header.kind, WR_LOG_SOURCES);
	t_block(t_segment(dir.path, 1), 3, &header);
	T_EQ(header.kind, WR_LOG_BATCH);
	T_STR(t_read(dir.path, &counts), "1 b");
	t_remove(&dir);
}

Test(log_fault, sync_none_never_syncs)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 100);
	T_EQ(wr_log_writer_tick(writer), 0);
	t_close(writer);
	T_EQ(t_called[T_FDATASYNC] + t_called[T_FSYNC], 0);
	t_remove(&dir);
}

Test(log_fault, sync_batch_syncs_before_it_acknowledges)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH });

	t_trace[0] = 0;
	T_EQ(put(writer, 1), 0);
	T_STR(t_trace, "owdws"); /* the directory knows the segment before it is relied on */
	T_EQ(put(writer, 2), 0);
	T_STR(t_trace, "owdwsws");
	t_close(writer);
	T_STR(t_trace, "owdwsws");
	t_remove(&dir);
}

/* One that was there already may have been made by somebody who died before he synced it. */
Test(log_fault, the_directory_is_made_to_last_whoever_made_it)
{
	struct t_dir dir = t_dir();
	struct wr_log_options options = { .sync = WR_LOG_SYNC_BATCH };

	t_close(t_open(dir.path, options));
	T_EQ(t_called[T_FSYNC], 1); /* of its parent */
	t_close(t_open(dir.path, options));
	T_EQ(t_called[T_FSYNC], 2);
	t_remove(&dir);
}

Test(log_fault, a_directory_that_cannot_be_synced_holds_the_batch_back)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH });

	t_faults[T_FSYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 1), -EIO);
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_EQ(put(writer, 1), 0);
	t_close(writer);
	T_STR(t_read(dir.path, NULL), "1");
	t_remove(&dir);
}

Test(log_fault, an_interval_is_kept_by_writes_and_ticks)
{
	struct t_dir dir = t_dir();
	struct wr_log_options options = { .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 1000 };
	struct wr_log_writer *writer = t_open(dir.path, options);

	t_now = 5000;
	T_EQ(put(writer, 1), 0);
	T_EQ(put(writer, 2), 0);
	T_EQ(t_called[T_FDATASYNC], 0);
	t_now += 499;
	T_EQ(wr_log_writer_tick(writer), 0);
	T_EQ(t_called[T_FDATASYNC], 0);
	t_now += 1; /* half an interval after the first that is not durable */
	T_EQ(put(writer, 3), 0);
	T_EQ(t_called[T_FDATASYNC], 1);
	t_now += 500;
	T_EQ(wr_log_writer_tick(writer), 0);
	T_EQ(t_called[T_FDATASYNC], 2);
	t_now += 5000;
	T_EQ(wr_log_writer_tick(writer), 0); /* nothing to do: nothing is done */
	T_EQ(t_called[T_FDATASYNC], 2);
	T_EQ(put(writer, 4), 0);
	t_close(writer);
	T_EQ(t_called[T_FDATASYNC], 3);
	t_remove(&dir);
}

Test(log_fault, a_rotated_segment_is_synced_first)
{
	struct t_dir dir = t_dir();
	struct wr_log_options options = { .sync = WR_LOG_SYNC_INTERVAL,
		                          .interval_ns = UINT64_MAX,
		                          .segment_bytes = 4096 };
	struct wr_log_writer *writer = t_open(dir.path, options);

	t_run(writer, 1, 1, 33);
	t_trace[0] = 0;
	T_EQ(put(writer, 34), 0);
	T_STR(t_trace, "sowdw");
	t_close(writer);
	t_remove(&dir);
}

Test(log_fault, after_a_failed_sync_the_batch_goes_to_a_new_segment)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH });

	T_EQ(put(writer, 1), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_trace[0] = 0;
	T_EQ(put(writer, 2), 0);
	T_STR(t_trace, "wstowdws"); /* the poisoned one is never synced again */
	wr_log_writer_counts(writer, &own);
	T_EQ(own.poisoned, 1);
	T_EQ(own.batches, 2);
	T_EQ(own.failures, 0);
	T_EQ(put(writer, 3), 0);
	t_close(writer);
	T_EQ(t_size(t_segment(dir.path, 1)), WR_LOG_SEGMENT_BYTES + 120);
	T_STR(t_read(dir.path, &counts), "1 2 3");
	T_EQ(counts.duplicates + counts.damaged + counts.gaps, 0);
	t_remove(&dir);
}

Test(log_fault, what_cannot_be_cut_off_after_a_failed_sync_is_a_duplicate)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH });

	T_EQ(put(writer, 1), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_FTRUNCATE] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 2), 0);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2");
	T_EQ(counts.duplicates, 1);
	T_EQ(counts.damaged + counts.gaps, 0);
	t_remove(&dir);
}

Test(log_fault, a_disk_that_never_syncs_acknowledges_nothing_and_fills_no_directory)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH });
	uint64_t files = 0;

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO };
	for (int i = 0; i < 10; i++)
		T_EQ(put(writer, 1), -EIO);
	for (uint64_t n = 1; n < 40; n++)
		files += (uint64_t)t_exists(t_segment(dir.path, n));
	T_EQ(files, 0);
	t_faults[T_FDATASYNC].error = 0;
	T_EQ(put(writer, 1), 0);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1");
	T_EQ(counts.gaps + counts.damaged + counts.duplicates, 0);
	t_remove(&dir);
}

/* Batches 1..3 acknowledged under sync=interval, of which 1 is durable. */
static struct wr_log_writer *half_synced(const char *dir)
{
	struct wr_log_options options = { .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 1000 };
	struct wr_log_writer *writer = t_open(dir, options);

	t_now = 5000;
	T_EQ(put(writer, 1), 0);
	T_EQ(wr_log_writer_sync(writer), 0);
	T_EQ(put(writer, 2), 0);
	T_EQ(put(writer, 3), 0);
	t_now += 1000;
	return writer;
}

Test(log_fault, what_was_acknowledged_is_rescued_after_a_failed_sync)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);
	struct wr_log_header header;

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_trace[0] = 0;
	T_EQ(put(writer, 4), 0);
	T_STR(t_trace, "sowwwsrdw");
	wr_log_writer_counts(writer, &own);
	T_EQ(own.poisoned, 1);
	T_EQ(own.rescued, 2);
	T_EQ(own.unsynced, 0);
	t_close(writer);
	t_block(t_segment(dir.path, 2), 1, &header);
	T_EQ(header.batch.seq, 2);
	T_STR(t_read(dir.path, &counts), "1 2 3 4");
	T_EQ(counts.duplicates, 2);
	T_EQ(counts.damaged + counts.gaps, 0);
	/* Lost with the power: what the poisoned segment held after its last good sync. */
	t_cut(t_segment(dir.path, 1), WR_LOG_SEGMENT_BYTES + 120);
	T_STR(t_read(dir.path, &counts), "1 2 3 4");
	T_EQ(counts.duplicates + counts.damaged + counts.gaps, 0);
	t_remove(&dir);
}

Test(log_fault, a_rescue_that_cannot_be_written_holds_up_all_that_follows)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .after = 1 };
	T_EQ(put(writer, 4), -ENOSPC);
	T_EQ(wr_log_writer_tick(writer), -ENOSPC);
	T_EQ(put(writer, 4), -ENOSPC);
	T_TRUE(!t_exists(t_segment(dir.path, 2)));
	t_faults[T_WRITEV].error = 0;
	T_EQ(put(writer, 4), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.poisoned, 1);
	T_EQ(own.rescued, 2);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 3 4");
	T_EQ(counts.gaps + counts.damaged, 0);
	t_remove(&dir);
}

Test(log_fault, a_rescue_that_cannot_be_synced_is_made_again_elsewhere)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 3 };
	T_EQ(wr_log_writer_tick(writer), -EIO);
	T_EQ(wr_log_writer_tick(writer), -EIO);
	T_EQ(wr_log_writer_tick(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 2);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2 3");
	T_EQ(counts.segments, 2);
	t_remove(&dir);
}

Test(log_fault, what_cannot_be_read_back_is_counted_and_told)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO, .after = 2 };
	T_EQ(put(writer, 4), 0);
	t_faults[T_PREAD].error = 0;
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 1);
	T_EQ(own.unsynced, 1);
	t_close(writer);
	t_remove(&dir);
}

Test(log_fault, names_are_rescued_too)
{
	static const char *const names[] = { "alpha" };
	struct t_sources sources = t_sources(names, 1);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(
	    dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 1000 });
	struct weir_log_reader *reader;
	struct weir_record record;

	t_now = 5000;
	t_write(writer,
	        (struct t_batch){
		    .life = 1, .seq = 1, .records = "a", .source = 1, .sources = &sources.seen });
	t_now += 1000;
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_tick(writer), 0);
	t_close(writer);
	T_EQ(unlink(t_segment(dir.path, 1)), 0);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_STR(weir_log_source_name(reader, 1), "alpha");
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_fault, closing_tells_that_something_is_not_durable)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO };
	T_EQ(wr_log_writer_close(writer), -EIO);
	t_remove(&dir);
}

Test(log_fault, retention_tries_again_what_it_could_not_remove)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 8192 });

	/* Neither to be written over, nor at once, nor after the batch. */
	t_faults[T_RENAME] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_UNLINKAT] = (struct t_fault){ .error = -EIO, .times = 2 };
	t_run(writer, 1, 1, 66);
	T_EQ(put(writer, 67), 0);
	T_TRUE(t_exists(t_segment(dir.path, 1)));
	T_EQ(put(writer, 68), 0);
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	wr_log_writer_counts(writer, &own);
	T_EQ(own.expired, 1);
	t_close(writer);
	t_remove(&dir);
}

Test(log_fault, age_is_that_of_the_last_write)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_age_ns = 1000 });

	t_wall = 50000;
	t_run(writer, 1, 1, 34); /* the first is closed now */
	t_wall += 1000;
	T_EQ(wr_log_writer_tick(writer), 0);
	T_TRUE(t_exists(t_segment(dir.path, 1)));
	t_wall += 1;
	T_EQ(wr_log_writer_tick(writer), 0);
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_TRUE(t_exists(t_segment(dir.path, 2)));
	t_close(writer);
	t_remove(&dir);
}

Test(log_fault, a_reader_tells_that_reading_failed_and_goes_on_later)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	struct weir_record record;

	t_run(writer, 1, 1, 2);
	t_close(writer);
	reader = t_reader(dir.path);
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(weir_log_next(reader, &record), -EIO);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(memcmp(record.data, "1", 1), 0);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(weir_log_next(reader, &record), 0);
	T_EQ(t_counts(reader).damaged, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_fault, a_directory_that_cannot_be_listed_is_told)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = NULL;
	struct weir_log_reader *reader = NULL;
	struct weir_why why;

	t_close(t_open(dir.path, (struct wr_log_options){ 0 }));
	t_faults[T_LIST] = (struct t_fault){ .error = -EIO };
	T_EQ(wr_log_writer_open(dir.path, NULL, NULL, &writer, &why), -EIO);
	T_TRUE(strstr(why.text, dir.path) != NULL);
	T_EQ(weir_log_open(dir.path, &reader, &why), -EIO);
	T_TRUE(strstr(why.text, dir.path) && !writer && !reader);
	t_remove(&dir);
}

Test(log_fault, a_tail_of_zeros_without_holes_is_torn_and_not_damaged)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 2);
	t_close(writer);
	t_cut(t_segment(dir.path, 1), 3 << 20);
	T_STR(t_read(dir.path, &counts), "1 2");
	T_EQ(counts.damaged, 0);
	T_EQ(counts.torn_bytes, (3 << 20) - WR_LOG_SEGMENT_BYTES - 240);
	t_append(t_segment(dir.path, 1), "x", 1);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged, 1);
	t_remove(&dir);
}

Test(log_fault, a_hole_is_not_read)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_run(writer, 1, 1, 1);
	t_close(writer);
	t_cut(t_segment(dir.path, 1), UINT64_C(1) << 30);
	t_append(t_segment(dir.path, 1), "x", 1);
	t_holes = 1;
	T_STR(t_read(dir.path, &counts), "1");
	T_EQ(counts.damaged, 1);
	T_TRUE(t_called[T_PREAD] < 100);
	t_remove(&dir);
}

Test(log_fault, a_lock_that_cannot_be_had_is_told)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = NULL;
	struct weir_why why;

	t_faults[T_LOCK] = (struct t_fault){ .error = -ENOLCK };
	T_EQ(wr_log_writer_open(dir.path, NULL, NULL, &writer, &why), -ENOLCK);
	T_TRUE(strstr(why.text, "cannot lock") && strstr(why.text, dir.path));
	t_remove(&dir);
}

/* An allocator that has so many blocks to give. */
static int blocks_left;

static void *give(void *arg, size_t bytes)
{
	(void)arg;
	return blocks_left-- > 0 ? malloc(bytes) : NULL;
}

static void take(void *arg, void *memory, size_t bytes)
{
	(void)arg;
	(void)bytes;
	free(memory);
}

Test(log_fault, without_memory_opening_fails_cleanly)
{
	struct wr_mem mem = { give, take, NULL };
	struct wr_log_options options = { .segment_bytes = 4096, .max_bytes = 1 << 20 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, options);
	struct weir_why why;
	int r = -ENOMEM, failed = 0;

	t_run(writer, 1, 1, 40);
	t_close(writer);
	for (int n = 0; r == -ENOMEM; n++) {
		blocks_left = n;
		writer = NULL;
		r = wr_log_writer_open(dir.path, &options, &mem, &writer, &why);
		T_TRUE(!r || (r == -ENOMEM && why.text[0] && !writer));
		failed += r != 0;
	}
	T_EQ(r, 0);
	T_TRUE(failed >= 3);
	t_close(writer);
	t_remove(&dir);
}

/* Recycled files: segments of 33 batches, two at most; the third is written over the first. */
static struct wr_log_writer *at_third(const char *dir, enum wr_log_sync sync)
{
	struct wr_log_writer *writer = t_open(
	    dir,
	    (struct wr_log_options){ .sync = sync, .segment_bytes = 4096, .max_bytes = 8192 });

	t_run(writer, 1, 1, 66);
	t_trace[0] = 0;
	return writer;
}

static uint32_t over_of(const char *dir, uint64_t number)
{
	struct wr_log_header header;

	t_block(t_segment(dir, number), 0, &header);
	return header.start.over;
}

static int spare_exists(const char *dir)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/spare", dir);
	return t_exists(path);
}

Test(log_fault, a_name_lasts_no_longer_than_what_an_old_file_says_of_itself)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = at_third(dir.path, WR_LOG_SYNC_BATCH);
	char large[3001];

	/* Renamed and that made to last; the segment block; its own name; the batch. */
	T_EQ(put(writer, 67), 0);
	T_STR(t_trace, "rdwsrdws");
	T_TRUE(over_of(dir.path, 3) > 0);
	T_EQ(put(writer, 68), 0);
	memset(large, 'x', sizeof(large) - 1);
	large[3000] = 0;
	t_write(writer, (struct t_batch){ .life = 1, .seq = 69, .records = large });
	t_trace[0] = 0;
	/* The next one comes when this one is trimmed for good. */
	t_write(writer, (struct t_batch){ .life = 1, .seq = 70, .records = large });
	T_STR(t_trace, "tsrdwsrdws");
	t_close(writer);
	t_remove(&dir);
}

Test(log_fault, without_syncs_a_file_is_written_over_with_four_calls)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = at_third(dir.path, WR_LOG_SYNC_NONE);

	T_EQ(put(writer, 67), 0);
	T_STR(t_trace, "rwrw");
	t_trace[0] = 0;
	t_close(writer);
	T_STR(t_trace, "t");
	t_remove(&dir);
}

Test(log_fault, whatever_fails_with_an_old_file_a_new_one_does)
{
	static const struct {
		enum t_call call;
		uint64_t after;
	} faults[] = { { T_RENAME, 0 },    { T_RENAME, 1 }, { T_FSYNC, 0 }, { T_FSYNC, 1 },
		       { T_FDATASYNC, 0 }, { T_WRITEV, 0 }, { T_FSTAT, 0 } };

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct t_dir dir = t_dir();
		struct wr_log_writer *writer = at_third(dir.path, WR_LOG_SYNC_BATCH);

		t_faults[faults[i].call] =
		    (struct t_fault){ .error = -EIO, .times = 1, .after = faults[i].after };
		T_EQ(put(writer, 67), 0);
		T_EQ(t_faults[faults[i].call].error, 0); /* it has happened */
		T_EQ(over_of(dir.path, 3), 0);
		T_TRUE(!t_exists(t_segment(dir.path, 1)));
		T_TRUE(!spare_exists(dir.path));
		wr_log_writer_counts(writer, &own);
		T_EQ(own.expired, 1);
		T_EQ(own.segments, 3);
		t_run(writer, 1, 68, 120);
		T_TRUE(over_of(dir.path, 4) > 0); /* the next time it works again */
		t_close(writer);
		t_read(dir.path, &counts);
		T_EQ(counts.records, 120 - 66);
		T_EQ(counts.damaged + counts.gaps + counts.torn_bytes, 0);
		t_remove(&dir);
	}
}

Test(log_fault, a_write_over_an_old_file_that_fails_at_any_byte_leaves_nothing)
{
	for (size_t partly = 0; partly < 120; partly++) {
		struct t_dir dir = t_dir();
		struct wr_log_writer *writer = at_third(dir.path, WR_LOG_SYNC_NONE);
		char expected[400] = "67";

		T_EQ(put(writer, 67), 0);
		t_faults[T_WRITEV] =
		    (struct t_fault){ .error = -ENOSPC, .times = 1, .partly = partly };
		T_EQ(put(writer, 68), -ENOSPC);
		T_EQ(t_size(t_segment(dir.path, 3)), WR_LOG_SEGMENT_BYTES + 120);
		t_read(dir.path, &counts);
		T_EQ(counts.torn_bytes + counts.damaged + counts.gaps, 0);
		for (uint64_t seq = 68; seq < 99; seq++) {
			T_EQ(put(writer, seq), 0);
			snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected),
			         " %" PRIu64, seq);
		}
		T_TRUE(strstr(t_read(dir.path, &counts), expected) != NULL);
		T_EQ(counts.torn_bytes + counts.damaged + counts.gaps + counts.duplicates, 0);
		t_close(writer);
		t_remove(&dir);
	}
}

Test(log_fault, old_files_are_written_over_piecemeal_and_with_interruptions)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;

	t_interrupts = 1;
	t_most = 7;
	writer = at_third(dir.path, WR_LOG_SYNC_BATCH);
	t_run(writer, 1, 67, 110);
	t_close(writer);
	t_most = 0;
	t_read(dir.path, &counts);
	T_EQ(counts.records, 110 - 66);
	T_EQ(counts.damaged + counts.gaps + counts.torn_bytes, 0);
	t_remove(&dir);
}

Test(log_fault, what_cannot_be_trimmed_is_announced_by_the_next_segment)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = at_third(dir.path, WR_LOG_SYNC_NONE);
	struct wr_log_header header;
	char large[3001];

	memset(large, 'x', sizeof(large) - 1);
	large[3000] = 0;
	t_write(writer, (struct t_batch){ .life = 1, .seq = 67, .records = large });
	t_faults[T_FTRUNCATE] = (struct t_fault){ .error = -EIO };
	t_write(writer, (struct t_batch){ .life = 1, .seq = 68, .records = large });
	T_EQ(t_size(t_segment(dir.path, 3)), 4048);
	t_block(t_segment(dir.path, 4), 0, &header);
	T_EQ(header.start.flags, WR_LOG_AFTER_TROUBLE);
	t_faults[T_FTRUNCATE].error = 0;
	t_read(dir.path, &counts);
	T_EQ(counts.records, 2);
	T_EQ(counts.damaged + counts.gaps + counts.torn_bytes, 0);
	t_close(writer);
	t_remove(&dir);
}

Test(log_fault, what_an_old_file_held_is_not_rescued_for_what_is_lost)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = at_third(dir.path, WR_LOG_SYNC_INTERVAL);
	size_t bytes;
	uint8_t *old;
	int fd;

	old = t_load(t_segment(dir.path, 1), &bytes);
	T_EQ(put(writer, 67), 0);
	T_EQ(wr_log_writer_sync(writer), 0);
	T_EQ(put(writer, 68), 0);
	T_EQ(put(writer, 69), 0);
	/* The page of 69 was dropped, and what the disk has there is a good block of the old one.
	 */
	fd = open(t_segment(dir.path, 3), O_WRONLY | O_CLOEXEC);
	T_EQ(pwrite(fd, old + 88 + 240, 120, 88 + 240), 120);
	close(fd);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 1);
	T_EQ(own.unsynced, 1);
	t_close(writer);
	T_STR(strstr(t_read(dir.path, &counts), "66"), "66 67 68");
	T_EQ(counts.duplicates, 1); /* 68, in both */
	free(old);
	t_remove(&dir);
}

/* What a writer does while a reader looks for the next block. */
static struct {
	int fd;
	const uint8_t *bytes;
	size_t from, to;
} meanwhile;

static void go_on_writing(void)
{
	T_EQ(pwrite(meanwhile.fd, meanwhile.bytes + meanwhile.from, meanwhile.to - meanwhile.from,
	            (off_t)meanwhile.from),
	     meanwhile.to - meanwhile.from);
}

/* The writer has come to @cut; while the reader looks through the old bytes it ends two batches. */
static void race(size_t cut, uint64_t seeks_before)
{
	const size_t bytes = 1032 * 1200;
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4 << 20,
	                                              .max_bytes = 8 << 20 });
	struct weir_log_reader *reader;
	struct weir_record record;
	size_t old_bytes, new_bytes;
	uint8_t *old, *new;
	uint64_t read, last = 0;

	for (uint64_t seq = 1; seq <= 6; seq++)
		t_large(writer, seq, bytes);
	old = t_load(t_segment(dir.path, 1), &old_bytes);
	t_large(writer, 7, bytes);
	t_large(writer, 8, bytes);
	t_close(writer);
	new = t_load(t_segment(dir.path, 3), &new_bytes);
	t_store(t_segment(dir.path, 3), old, old_bytes);
	meanwhile.fd = open(t_segment(dir.path, 3), O_WRONLY | O_CLOEXEC);
	meanwhile.bytes = new;
	meanwhile.from = 0;
	meanwhile.to = cut;
	go_on_writing();
	reader = t_reader(dir.path);
	while (weir_log_next(reader, &record) == 1)
		last = weir_log_batch(reader)->seq;
	T_EQ(last, 6);
	read = t_called[T_PREAD];
	T_EQ(weir_log_next(reader, &record), 0);
	T_TRUE(t_called[T_PREAD] - read <= 6); /* not through all of it again */
	weir_log_close(reader);
	/* A new one, which looks through all of it. */
	reader = t_reader(dir.path);
	meanwhile.from = cut;
	meanwhile.to = new_bytes;
	t_on_seek = go_on_writing;
	t_seeks_before = seeks_before;
	while (weir_log_next(reader, &record) == 1)
		last = weir_log_batch(reader)->seq;
	T_TRUE(!t_on_seek);
	T_EQ(last, 8);
	counts = t_counts(reader);
	T_EQ(counts.damaged + counts.gaps + counts.torn_bytes + counts.skipped_bytes, 0);
	weir_log_close(reader);
	close(meanwhile.fd);
	free(old);
	free(new);
	t_remove(&dir);
}

Test(log_fault, a_header_that_is_written_while_the_reader_looks_behind_it_is_no_damage)
{
	race(WR_LOG_SEGMENT_BYTES, 1);
}

Test(log_fault, a_body_that_is_written_while_the_reader_looks_behind_it_is_no_damage)
{
	race(WR_LOG_SEGMENT_BYTES + WR_LOG_BATCH_BYTES + 500000, 0);
}

Test(log_fault, a_failed_write_behind_the_old_file_is_cut_off_too)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 8192 });
	char large[3001];

	memset(large, 'x', sizeof(large) - 1);
	large[2300] = 0;
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = large });
	memset(large, 'y', sizeof(large) - 1);
	large[3000] = 0;
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = large });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 3, .records = large });
	T_EQ(over_of(dir.path, 3), 2504 / 8);
	T_EQ(t_size(t_segment(dir.path, 3)), 3200);
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .times = 1, .partly = 50 };
	T_EQ(put(writer, 4), -ENOSPC);
	T_EQ(t_size(t_segment(dir.path, 3)), 3200);
	T_EQ(put(writer, 4), 0);
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.damaged + counts.gaps + counts.torn_bytes, 0);
	t_remove(&dir);
}

/*
 * 1: the log's opening that has @at - 1 before it got descriptor 0; 0: there were not so many.
 * @trouble: 1: a sync fails midway, and the segment that it failed for is damaged later; 2: an old
 * file cannot be renamed to what it is to be.
 */
static int use_with_zero_at(uint64_t at, uint64_t max_bytes, int trouble)
{
	struct wr_log_options options = { .sync = WR_LOG_SYNC_INTERVAL, .segment_bytes = 4096 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;
	int used;

	options.max_bytes = max_bytes;
	t_zero_at = at;
	writer = t_open(dir.path, options);
	for (uint64_t seq = 1; seq <= 100; seq++) {
		T_EQ(put(writer, seq), 0);
		if (trouble == 2 && seq == 40)
			t_faults[T_RENAME] = (struct t_fault){ .error = -EIO, .after = 1, .times = 1 };
		if (trouble == 1 && seq == 40) {
			t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
			T_EQ(wr_log_writer_sync(writer), 0);
		}
	}
	t_close(writer);
	t_faults[T_RENAME].error = 0;
	if (trouble == 1)
		t_flip(t_segment(dir.path, 2), WR_LOG_SEGMENT_BYTES + WR_LOG_BATCH_BYTES + 8, 0);
	t_read(dir.path, &counts);
	T_EQ(counts.gaps + counts.torn_bytes, 0);
	T_TRUE(counts.damaged == 0 || trouble == 1);
	T_TRUE(counts.records == 100 || max_bytes);
	used = !t_zero_at;
	t_zero_at = 0;
	if (used) { /* it was closed again */
		T_EQ(fcntl(0, F_GETFD), -1);
		T_EQ(open("/dev/null", O_RDONLY), 0);
	}
	t_remove(&dir);
	return used;
}

/* A program without standard input: any of a log's descriptors may be number 0. */
Test(log_fault, a_log_is_written_and_read_whichever_of_its_descriptors_is_0)
{
	uint64_t at;

	if (fcntl(0, F_GETFD) < 0)
		T_EQ(open("/dev/null", O_RDONLY), 0);
	for (at = 1; use_with_zero_at(at, 0, 0); at++)
		;
	T_TRUE(at > 10);
	for (at = 1; use_with_zero_at(at, 12288, 0); at++)
		;
	T_TRUE(at > 10);
	for (at = 1; use_with_zero_at(at, 0, 1); at++)
		;
	T_TRUE(at > 10);
	for (at = 1; use_with_zero_at(at, 12288, 2); at++)
		;
	T_TRUE(at > 10);
}

/* A segment that a second rescue begins still says that the one before may end in a torn block. */
Test(log_fault, after_a_rescue_that_failed_the_next_segment_tells_of_the_trouble)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);
	struct wr_log_header header;

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 2 };
	T_EQ(wr_log_writer_tick(writer), -EIO);
	T_EQ(wr_log_writer_tick(writer), 0);
	t_close(writer);
	t_block(t_segment(dir.path, t_exists(t_segment(dir.path, 3)) ? 3 : 2), 0, &header);
	T_TRUE(header.start.flags & WR_LOG_AFTER_TROUBLE);
	t_remove(&dir);
}

/* What is read back after a failed sync may be anything: it is not given a good sum again. */
Test(log_fault, a_batch_that_reads_back_damaged_is_not_rescued)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);
	struct wr_log_header header;
	uint64_t at = t_block(t_segment(dir.path, 1), 2, &header);

	T_EQ(header.batch.seq, 2);
	t_flip(t_segment(dir.path, 1), at + header.header_bytes + 8, 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 4), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 1);
	T_EQ(own.unsynced, 1);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 3 4");
	T_EQ(counts.damaged, 1); /* in the poisoned segment, where it is damaged */
	T_EQ(counts.gaps, 1);
	t_remove(&dir);
}

/* Behind damage a batch is put off only if that very batch comes again. */
Test(log_fault, a_batch_that_was_not_written_again_is_read_where_it_lies)
{
	struct wr_log_options options = { .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 1000 };
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, options);
	struct wr_log_header header;
	uint64_t at;

	t_now = 5000;
	T_EQ(put(writer, 1), 0);
	T_EQ(put(writer, 2), 0);
	T_EQ(wr_log_writer_sync(writer), 0);
	T_EQ(put(writer, 3), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_now += 1000;
	T_EQ(put(writer, 4), 0);
	t_close(writer);
	at = t_block(t_segment(dir.path, 1), 1, &header);
	T_EQ(header.batch.seq, 1);
	t_flip(t_segment(dir.path, 1), at + header.header_bytes + 8, 0);
	T_STR(t_read(dir.path, &counts), "2 3 4");
	T_EQ(counts.damaged, 1);
	T_EQ(counts.duplicates, 1);
	t_remove(&dir);
}

/* What is damaged where it was first comes again, and what lay behind it comes behind it. */
Test(log_fault, behind_damage_batches_that_were_written_again_keep_their_order)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = half_synced(dir.path);
	struct wr_log_header header;
	uint64_t at;

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 4), 0);
	t_close(writer);
	at = t_block(t_segment(dir.path, 1), 2, &header);
	T_EQ(header.batch.seq, 2);
	t_flip(t_segment(dir.path, 1), at + header.header_bytes + 8, 0);
	T_STR(t_read(dir.path, &counts), "1 2 3 4");
	T_EQ(counts.gaps, 0);
	t_remove(&dir);
}

/* It was left without a sync, and what it held was lost by a power cut long after the interval. */
Test(log_fault, a_segment_that_is_given_up_after_a_failed_write_is_synced_first)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL });

	T_EQ(put(writer, 1), 0);
	T_EQ(t_called[T_FDATASYNC], 0);
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .times = 1, .partly = 30 };
	t_faults[T_FTRUNCATE] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(put(writer, 2), -ENOSPC);
	T_EQ(t_called[T_FDATASYNC], 1);
	T_EQ(put(writer, 2), 0);
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "1 2");
	t_remove(&dir);
}
