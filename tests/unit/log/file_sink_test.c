/* SPDX-License-Identifier: Apache-2.0 */
/* file_sink_test.c - the log as a sink: what it promises to an engine. */
#include <signal.h>
#include <sys/resource.h>

#include "sink_support.h"

static struct weir_log_counts counts;

Test(file_sink, a_batch_reaches_the_log_with_all_that_is_said_of_it)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?sync=batch");
	struct weir_log_reader *reader;
	struct weir_record record;

	T_EQ(t_send(sink, 1, "hello", 5), WEIR_DONE);
	t_sink_close(sink);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(record.size, 5);
	T_EQ(memcmp(record.data, "hello", 5), 0);
	T_EQ(weir_log_batch(reader)->engine[15], 7);
	T_EQ(weir_log_batch(reader)->seq, 1);
	T_EQ(weir_log_batch(reader)->cause, WEIR_CAUSE_SIZE);
	T_EQ(weir_log_batch(reader)->attempt, 2);
	T_EQ(weir_log_batch(reader)->wall_ns, 1000000);
	T_EQ(weir_log_batch(reader)->earliest_ns, 1000000 - 1000);
	weir_log_close(reader);
	t_remove(&dir);
}

static void refused(const char *dir, const char *options, int error, const char *word)
{
	struct weir_sink *sink = NULL;
	struct weir_why why = { "" };
	int r = t_sink_open(dir, options, &sink, &why);

	if (r != error || sink || !strstr(why.text, word))
		T_FAIL("%s: %d, not %d: %s", options, r, error, why.text);
}

Test(file_sink, options_that_are_wrong_are_named)
{
	struct t_dir dir = t_dir();

	refused(dir.path, "?sync=often", -EINVAL, "often");
	refused(dir.path, "?sink=none", -EINVAL, "sink");
	refused(dir.path, "?segment=64", -EINVAL, "64");
	refused(dir.path, "?segment=0", -EINVAL, "segment");
	refused(dir.path, "?segment=many", -EINVAL, "many");
	refused(dir.path, "?interval=5", -EINVAL, "interval");
	refused(dir.path, "?interval=0", -EINVAL, "interval");
	refused(dir.path, "?max_age=x", -EINVAL, "max_age");
	refused(dir.path, "?max_bytes=1MiB&segment=1MiB", -EINVAL, "max_bytes");
	refused("", "", -EINVAL, "directory");
	T_TRUE(!t_exists(dir.path)); /* and nothing was made */
	t_remove(&dir);
}

Test(file_sink, a_small_log_has_small_segments)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "?max_bytes=64KiB&sync=none");
	static uint8_t data[8000];

	for (uint64_t seq = 1; seq <= 20; seq++)
		T_EQ(t_send(sink, seq, data, sizeof(data)), WEIR_DONE);
	t_sink_close(sink);
	T_TRUE(t_size(t_segment(dir.path, 10)) <= 16384);
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	t_remove(&dir);
}

Test(file_sink, any_size_of_the_whole_log_gives_its_segments_one)
{
	static const char *const sizes[] = { "?max_bytes=80MiB", "?max_bytes=130MiB",
		                             "?max_bytes=300MiB" };
	struct t_dir dir = t_dir();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct weir_sink *sink = t_sink(dir.path, sizes[i]);

		sink->ops->close(sink);
	}
	t_remove(&dir);
}

Test(file_sink, what_is_in_the_way_is_named_at_once)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink;
	char beyond[128];

	t_store(dir.path, "x", 1);
	refused(dir.path, "", -ENOTDIR, dir.path);
	T_EQ(unlink(dir.path), 0);
	sink = t_sink(dir.path, "");
	refused(dir.path, "", -EBUSY, "has a writer already");
	t_sink_close(sink);
	snprintf(beyond, sizeof(beyond), "%s/no/log", dir.path);
	refused(beyond, "", -ENOENT, beyond);
	t_remove(&dir);
}

Test(file_sink, a_sink_that_never_started_leaves_the_log_free)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = NULL;

	T_EQ(t_sink_open(dir.path, "", &sink, NULL), 0);
	sink->ops->close(sink);
	t_sink_close(t_sink(dir.path, ""));
	t_remove(&dir);
}

Test(file_sink, a_file_that_may_not_grow_is_tried_again_and_leaves_nothing_torn)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink;
	struct rlimit limit = { 20000, RLIM_INFINITY };
	struct weir_why why;
	static uint8_t data[9000];

	signal(SIGXFSZ, SIG_IGN);
	sink = t_sink(dir.path, "?sync=none");
	T_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	T_EQ(t_send(sink, 1, data, sizeof(data)), WEIR_DONE);
	T_EQ(t_send(sink, 2, data, sizeof(data)), WEIR_DONE);
	T_EQ(t_send(sink, 3, data, sizeof(data)), WEIR_RETRY);
	T_EQ(t_verdict.code, -EFBIG);
	T_EQ(t_verdict.after_ns, 100000000);
	sink->ops->trouble(sink, &why);
	T_TRUE(strstr(why.text, dir.path) && strstr(why.text, "File too large"));
	T_EQ(t_size(t_segment(dir.path, 1)),
	     WR_LOG_SEGMENT_BYTES + 2 * (WR_LOG_BATCH_BYTES + 9008));
	limit.rlim_cur = RLIM_INFINITY;
	T_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	T_EQ(t_send(sink, 3, data, sizeof(data)), WEIR_DONE);
	t_sink_close(sink);
	{
		struct weir_log_reader *reader = t_reader(dir.path);
		struct weir_record record;

		for (uint64_t seq = 1; seq <= 3; seq++) {
			T_EQ(weir_log_next(reader, &record), 1);
			T_EQ(weir_log_batch(reader)->seq, seq);
		}
		T_EQ(weir_log_next(reader, &record), 0);
		counts = t_counts(reader);
		weir_log_close(reader);
	}
	T_EQ(counts.damaged + counts.torn_bytes + counts.duplicates + counts.gaps, 0);
	t_remove(&dir);
}

Test(file_sink, without_trouble_there_is_nothing_to_tell)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "");
	struct weir_why why = { "x" };

	T_EQ(t_send(sink, 1, "a", 1), WEIR_DONE);
	sink->ops->trouble(sink, &why);
	T_STR(why.text, "");
	t_sink_close(sink);
	t_remove(&dir);
}

Test(file_sink, a_batch_that_contradicts_itself_is_rejected)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink = t_sink(dir.path, "");
	struct weir_batch batch = { .seq = 1, .records = 1, .bytes = 12 };

	T_EQ(t_submit(sink, &batch), WEIR_REJECT);
	T_EQ(t_verdict.code, -EINVAL);
	t_sink_close(sink);
	t_remove(&dir);
}

Test(file_sink, when_no_segment_number_is_left_the_sink_is_broken)
{
	struct t_dir dir = t_dir();
	struct weir_sink *sink;

	T_EQ(mkdir(dir.path, 0700), 0);
	t_store(t_segment(dir.path, UINT64_MAX - 1), "", 0);
	sink = t_sink(dir.path, "?segment=4KiB&sync=none");
	for (uint64_t seq = 1; seq <= 33; seq++)
		T_EQ(t_send(sink, seq, "12345678", 8), WEIR_DONE);
	T_EQ(t_send(sink, 34, "12345678", 8), WEIR_FATAL);
	T_EQ(t_verdict.code, -EOVERFLOW);
	t_sink_close(sink);
	t_remove(&dir);
}

Test(file_sink, a_path_may_hold_escaped_bytes)
{
	struct t_dir dir = t_dir();
	char escaped[128], path[128];

	snprintf(escaped, sizeof(escaped), "%s/a%%3Fb", dir.base);
	snprintf(path, sizeof(path), "%s/a?b", dir.base);
	t_sink_close(t_sink(escaped, ""));
	T_TRUE(t_exists(path));
	t_remove(&dir);
}
