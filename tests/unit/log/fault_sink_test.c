/* SPDX-License-Identifier: Apache-2.0 */
/* fault_sink_test.c - the log as a sink, on a disk that fails. */
#include "fault_sys.h"
#include "sink_support.h"

static struct weir_log_counts counts;

static void wait_for_syncs(uint64_t n)
{
	for (int i = 0; t_called[T_FDATASYNC] < n; i++) {
		if (i > 20000)
			T_FAIL("no sync");
		usleep(1000);
	}
}

Test(file_sink_fault, an_idle_log_is_synced_once_and_then_left_alone)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?interval=2ms");

	T_EQ(t_send(sink, 1, "a", 1), WEIR_DONE);
	wait_for_syncs(1);
	usleep(20000);
	T_EQ(t_called[T_FDATASYNC], 1);
	T_EQ(t_send(sink, 2, "b", 1), WEIR_DONE);
	wait_for_syncs(2);
	t_sink_close(sink);
	T_EQ(t_called[T_FDATASYNC], 2);
	t_remove(&dir);
}

Test(file_sink_fault, the_last_batch_is_synced_before_it_is_done)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?interval=1h");

	T_EQ(t_send_cause(sink, 1, WEIR_CAUSE_SIZE), WEIR_DONE);
	T_EQ(t_called[T_FDATASYNC], 0);
	T_EQ(t_send_cause(sink, 2, WEIR_CAUSE_SHUTDOWN), WEIR_DONE);
	T_EQ(t_called[T_FDATASYNC], 1);
	t_sink_close(sink);
	T_EQ(t_called[T_FDATASYNC], 1);
	t_remove(&dir);
}

Test(file_sink_fault, what_is_not_durable_is_synced_at_close)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?interval=1h");

	T_EQ(t_send(sink, 1, "a", 1), WEIR_DONE);
	t_sink_close(sink);
	T_EQ(t_called[T_FDATASYNC], 1);
	t_remove(&dir);
}

Test(file_sink_fault, a_full_disk_is_tried_again_and_told_by_name)
{
	static const int errors[] = { -ENOSPC, -EDQUOT, -EIO };
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?sync=none");
	struct weir_why why;

	for (uint64_t i = 0; i < 3; i++) {
		t_faults[T_WRITEV] =
		    (struct t_fault){ .error = errors[i], .times = 1, .partly = 20 };
		T_EQ(t_send(sink, i + 1, "a", 1), WEIR_RETRY);
		T_EQ(t_verdict.code, errors[i]);
		T_EQ(t_verdict.after_ns, 100000000);
		T_EQ(t_send(sink, i + 1, "a", 1), WEIR_DONE);
	}
	sink->ops->trouble(sink, &why);
	T_TRUE(strstr(why.text, "cannot write the log") && strstr(why.text, dir.path));
	T_TRUE(strstr(why.text, "Input/output error") != NULL);
	t_sink_close(sink);
	T_STR(t_read(dir.path, &counts), "a a a");
	T_EQ(counts.damaged + counts.torn_bytes + counts.gaps + counts.duplicates, 0);
	t_remove(&dir);
}

Test(file_sink_fault, what_was_delivered_and_is_lost_is_told)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?interval=1h");
	struct weir_why why;

	T_EQ(t_send(sink, 1, "a", 1), WEIR_DONE);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_PREAD] = (struct t_fault){ .error = -EIO };
	T_EQ(t_send_cause(sink, 2, WEIR_CAUSE_SHUTDOWN), WEIR_DONE);
	sink->ops->trouble(sink, &why);
	T_TRUE(strstr(why.text, "could not be read back") && strstr(why.text, dir.path));
	t_sink_close(sink);
	t_remove(&dir);
}

/* Each batch is durable already: there is no more to do at the last one. */
Test(file_sink_fault, the_last_batch_is_synced_once_when_each_is)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?sync=batch");

	T_EQ(t_send_cause(sink, 1, WEIR_CAUSE_SHUTDOWN), WEIR_DONE);
	T_EQ(t_called[T_FDATASYNC], 1);
	t_sink_close(sink);
	t_remove(&dir);
}

Test(file_sink_fault, a_last_batch_that_cannot_be_written_is_not_synced)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?interval=1h");

	T_EQ(t_send(sink, 1, "a", 1), WEIR_DONE);
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC, .times = 1 };
	T_EQ(t_send_cause(sink, 2, WEIR_CAUSE_SHUTDOWN), WEIR_RETRY);
	T_EQ(t_called[T_FDATASYNC], 0);
	t_sink_close(sink);
	t_remove(&dir);
}

Test(file_sink_fault, a_sync_of_the_last_batch_that_fails_is_told)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?interval=1h");
	struct weir_why why;

	T_EQ(t_send(sink, 1, "a", 1), WEIR_DONE);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_OPENAT] = (struct t_fault){ .error = -EMFILE, .times = 1 };
	T_EQ(t_send_cause(sink, 2, WEIR_CAUSE_SHUTDOWN), WEIR_DONE);
	sink->ops->trouble(sink, &why);
	T_TRUE(strstr(why.text, "cannot sync the log") && strstr(why.text, dir.path));
	t_sink_close(sink);
	T_STR(t_read(dir.path, &counts), "a x");
	t_remove(&dir);
}

Test(file_sink_fault, a_sync_in_an_idle_time_that_fails_is_told)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?interval=2ms");
	struct weir_why why = { "" };

	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO, .times = 1 };
	t_faults[T_OPENAT] = (struct t_fault){ .error = -EMFILE, .after = 1, .times = 1 };
	T_EQ(t_send(sink, 1, "a", 1), WEIR_DONE);
	for (int i = 0; !why.text[0]; i++) {
		if (i > 20000)
			T_FAIL("nothing is told");
		usleep(1000);
		sink->ops->trouble(sink, &why);
	}
	T_TRUE(strstr(why.text, "cannot sync the log") && strstr(why.text, "Too many open files"));
	t_sink_close(sink);
	T_STR(t_read(dir.path, &counts), "a");
	t_remove(&dir);
}

/* Its length alone is looked at. */
Test(file_sink_fault, a_batch_that_no_segment_can_take_is_to_be_split)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "");
	struct weir_span span = { .ring = 1, .records = 2 };
	struct iovec iov = { &span, WR_LOG_BATCH_BODY_MAX + 8 };
	struct weir_batch batch = { .seq = 1, .records = 2, .bytes = iov.iov_len,
		                    .span_count = 1, .spans = &span, .iov = &iov };

	T_EQ(t_submit(sink, &batch), WEIR_SPLIT);
	T_EQ(t_verdict.code, -EMSGSIZE);
	t_sink_close(sink);
	t_remove(&dir);
}
