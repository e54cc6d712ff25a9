/* SPDX-License-Identifier: Apache-2.0 */
/* steady_test.c - sync=interval under a stream that never pauses. */
#include "fault_sys.h"
#include "support.h"

/* The time goes by the first batch that is not durable, not by the last. */
Test(log_steady, batches_that_follow_each_other_closely_are_synced_all_the_same)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;

	t_now = 1000000000;
	writer = t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL,
	                                                   .interval_ns = 100000000 });
	for (uint64_t seq = 1; seq <= 12; seq++) {
		t_write(writer, (struct t_batch){ .life = 1, .seq = seq, .records = "a" });
		t_now += 20000000;
	}
	T_TRUE(t_called[T_FDATASYNC] >= 3);
	t_close(writer);
	t_remove(&dir);
}

static struct wr_log_header head_of(const struct t_dir *dir, uint64_t number)
{
	struct wr_log_header header = { 0 };
	size_t bytes;
	uint8_t *data = t_load(t_segment(dir->path, number), &bytes);

	T_EQ(wr_log_decode(data, bytes, &header), WR_LOG_GOOD);
	T_EQ(header.kind, WR_LOG_SEGMENT);
	free(data);
	return header;
}

/* Else no torn end would be damage from then on. */
Test(log_steady, trouble_is_told_by_the_next_segment_and_by_no_later_one)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
		t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH,
	                                                  .segment_bytes = 4096 });

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a" });
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "b" });
	t_large(writer, 3, 3 * 1032);
	t_large(writer, 4, 3 * 1032);
	t_close(writer);
	T_EQ(head_of(&dir, 1).start.flags & WR_LOG_AFTER_TROUBLE, 0);
	T_TRUE(head_of(&dir, 2).start.flags & WR_LOG_AFTER_TROUBLE);
	T_EQ(head_of(&dir, 3).start.flags & WR_LOG_AFTER_TROUBLE, 0);
	t_remove(&dir);
}

/* The first may be gone one day, and the clock set back meanwhile: lives go by this time. */
Test(log_steady, what_is_written_again_keeps_the_time_of_the_segment_that_it_stands_for)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;

	t_wall = 5000;
	writer = t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a", .wall_ns = 777 });
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), 0);
	t_close(writer);
	T_EQ(head_of(&dir, 2).start.wall_ns, 777);
	T_EQ(head_of(&dir, 2).start.created_ns, 5000);
	t_remove(&dir);
}
