/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "support.h"

static struct weir_log_counts counts;
static struct wr_log_writer_counts own;

static uint64_t bytes_in(const char *dir, uint64_t highest)
{
	uint64_t sum = 0;

	for (uint64_t n = 1; n <= highest; n++)
		if (t_exists(t_segment(dir, n)))
			sum += t_size(t_segment(dir, n));
	return sum;
}

Test(log_retain, nothing_is_removed_unless_it_is_asked_for)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 1000);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.expired, 0);
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.records, 1000);
	t_remove(&dir);
}

Test(log_retain, the_log_stays_below_its_size_and_the_oldest_go_first)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 16384 });

	for (uint64_t seq = 1; seq <= 500; seq++) {
		t_run(writer, 1, seq, seq);
		T_TRUE(bytes_in(dir.path, 20) <= 16384);
	}
	wr_log_writer_counts(writer, &own);
	T_TRUE(own.expired > 5);
	T_EQ(own.segments, 16);
	for (uint64_t n = 1; n <= 16; n++)
		T_EQ(t_exists(t_segment(dir.path, n)), n > own.expired);
	t_close(writer);
	t_read(dir.path, &counts);
	T_EQ(counts.segments, 16 - own.expired);
	T_EQ(counts.records, 500 - 33 * own.expired);
	T_EQ(counts.gaps + counts.damaged, 0);
	t_remove(&dir);
}

Test(log_retain, expired_bytes_are_those_of_the_files)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 8192 });

	t_run(writer, 1, 1, 100);
	wr_log_writer_counts(writer, &own);
	T_TRUE(own.expired > 0);
	T_EQ(own.expired_bytes, own.expired * (WR_LOG_SEGMENT_BYTES + 33 * 120));
	t_close(writer);
	t_remove(&dir);
}

Test(log_retain, segments_of_earlier_lives_count_and_go_too)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 330);
	t_close(writer);
	writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 12288 });
	T_TRUE(bytes_in(dir.path, 20) <= 12288); /* as soon as it is opened */
	wr_log_writer_counts(writer, &own);
	T_EQ(own.expired, 7);
	t_run(writer, 2, 1, 50);
	T_TRUE(bytes_in(dir.path, 20) <= 12288);
	t_close(writer);
	t_remove(&dir);
}

Test(log_retain, the_current_segment_never_goes)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 8192 });
	char large[20001];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = 0;
	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = large });
	T_TRUE(t_exists(t_segment(dir.path, 1)));
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "a" });
	T_TRUE(!t_exists(t_segment(dir.path, 1)) && t_exists(t_segment(dir.path, 2)));
	t_close(writer);
	t_remove(&dir);
}

static void make_old(const char *path, time_t seconds)
{
	struct timespec times[2];

	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds;
	times[1] = times[0];
	T_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
}

Test(log_retain, what_is_too_old_goes_and_what_is_not_stays)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });

	t_run(writer, 1, 1, 100);
	t_close(writer);
	make_old(t_segment(dir.path, 1), 7200);
	make_old(t_segment(dir.path, 2), 3000);
	writer = t_open(dir.path, (struct wr_log_options){ .max_age_ns = UINT64_C(3600000000000) });
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_TRUE(t_exists(t_segment(dir.path, 2)));
	wr_log_writer_counts(writer, &own);
	T_EQ(own.expired, 1);
	t_close(writer);
	t_remove(&dir);
}

Test(log_retain, a_file_that_is_gone_already_is_not_counted)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 8192 });

	t_run(writer, 1, 1, 40);
	T_EQ(unlink(t_segment(dir.path, 1)), 0);
	t_run(writer, 1, 41, 100);
	wr_log_writer_counts(writer, &own);
	T_EQ(own.segments, 4);
	T_EQ(own.expired, 1); /* the second; the first was no work of ours */
	T_TRUE(own.expired_bytes <= 4096);
	T_TRUE(!t_exists(t_segment(dir.path, 2)));
	T_TRUE(t_exists(t_segment(dir.path, 3)));
	t_close(writer);
	t_remove(&dir);
}
