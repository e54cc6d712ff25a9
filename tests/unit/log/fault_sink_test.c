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
