/* SPDX-License-Identifier: Apache-2.0 */
/* corner_test.c - a writer whose first step fails, or that has something to mend before the next. */
#include "fault_sys.h"
#include "support.h"

static struct wr_log_writer_counts own;

static int put_of(struct wr_log_writer *writer, uint8_t life, uint64_t seq)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, seq);
	return t_try(writer, (struct t_batch){ .life = life, .seq = seq, .records = text });
}

static struct wr_log_writer *open_interval(const char *dir)
{
	t_now = 5000;
	return t_open(dir, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL,
	                                            .interval_ns = 1000 });
}

static int open_answer(const char *dir)
{
	struct wr_log_options options = { .sync = WR_LOG_SYNC_BATCH };
	struct wr_log_writer *writer = NULL;
	struct weir_why why = { "" };
	int r = wr_log_writer_open(dir, &options, NULL, &writer, &why);

	T_TRUE(!r == !why.text[0]);
	if (!r)
		t_close(writer);
	return r;
}

Test(log_corner, a_directory_whose_entry_may_not_last_is_no_log)
{
	struct t_dir dir = t_dir();

	t_faults[T_FSYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(open_answer(dir.path), -EIO);
	T_EQ(open_answer(dir.path), 0);
	t_remove(&dir);
}

Test(log_corner, nothing_is_written_before_what_is_to_be_written_again)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = open_interval(dir.path);

	T_EQ(put_of(writer, 1, 1), 0);
	t_now += 1000;
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_OPENAT] = (struct t_fault){ .error = -EMFILE, .times = 1 };
	T_EQ(put_of(writer, 1, 2), -EMFILE);
	T_EQ(put_of(writer, 1, 2), 0);
	t_close(writer);
	T_STR(t_read(dir.path, NULL), "1 2");
	t_remove(&dir);
}

Test(log_corner, what_is_written_again_is_batches_alone)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = open_interval(dir.path);

	T_EQ(put_of(writer, 1, 1), 0);
	T_EQ(put_of(writer, 1, 2), 0);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(wr_log_writer_sync(writer), 0);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.rescued, 2);
	T_EQ(own.unsynced, 0);
	t_close(writer);
	t_remove(&dir);
}

Test(log_corner, the_segment_of_a_life_is_durable_when_another_life_begins)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = open_interval(dir.path);

	T_EQ(put_of(writer, 1, 1), 0);
	T_EQ(t_called[T_FDATASYNC], 0);
	T_EQ(put_of(writer, 2, 1), 0);
	T_EQ(t_called[T_FDATASYNC], 1);
	t_close(writer);
	T_STR(t_read(dir.path, NULL), "1 1");
	t_remove(&dir);
}
