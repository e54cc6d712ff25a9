/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/wait.h>

#include "support.h"

static struct weir_log_counts counts;

Test(log_writer, what_is_written_is_read)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "one two" });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "three - four" });
	t_close(writer);
	T_STR(t_read(dir.path, &counts), "one two three - four");
	T_EQ(counts.records, 5);
	T_EQ(counts.batches, 2);
	T_EQ(counts.segments, 1);
	T_EQ(counts.engines, 1);
	T_EQ(counts.bytes, 15);
	T_EQ(counts.damaged + counts.gaps + counts.torn_bytes + counts.skipped_bytes, 0);
	t_remove(&dir);
}

Test(log_writer, a_record_keeps_its_source_and_flags)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	struct weir_record record;

	t_write(
	    writer,
	    (struct t_batch){
		.life = 1, .seq = 1, .records = "x", .source = 77, .flags = WEIR_REC_CONTINUES });
	t_close(writer);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_EQ(record.source, 77);
	T_EQ(record.flags, WEIR_REC_COMMITTED | WEIR_REC_CONTINUES);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_writer, a_batch_keeps_all_that_is_said_of_it)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_batch batch = { .seq = 4,
		                        .first_record = 5,
		                        .records = 1,
		                        .bytes = 8,
		                        .wall_ns = 1700000000000000000,
		                        .earliest_ns = 1699999999000000000,
		                        .cause = WEIR_CAUSE_DEADLINE,
		                        .attempt = 3 };
	struct weir_record_header record = { 0, 0, WEIR_REC_COMMITTED };
	struct iovec iov = { &record, sizeof(record) };
	const struct weir_log_batch *back;
	struct weir_log_reader *reader;
	struct weir_record read;

	memset(batch.engine, 0xab, 16);
	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), 0);
	t_close(writer);
	reader = t_reader(dir.path);
	T_TRUE(weir_log_batch(reader) == NULL);
	T_EQ(weir_log_next(reader, &read), 1);
	back = weir_log_batch(reader);
	T_TRUE(back != NULL);
	T_EQ(memcmp(back->engine, batch.engine, 16), 0);
	T_EQ(back->seq, 4);
	T_EQ(back->first_record, 5);
	T_EQ(back->records, 1);
	T_EQ(back->bytes, 8);
	T_EQ(back->wall_ns, 1700000000000000000);
	T_EQ(back->earliest_ns, 1699999999000000000);
	T_EQ(back->cause, WEIR_CAUSE_DEADLINE);
	T_EQ(back->attempt, 3);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_writer, a_missing_directory_is_made_for_its_owner_alone)
{
	struct t_dir dir = t_dir();
	struct stat file;

	umask(0);
	t_close(t_open(dir.path, (struct wr_log_options){ 0 }));
	T_EQ(stat(dir.path, &file), 0);
	T_EQ(file.st_mode & 07777, 0700);
	t_remove(&dir);
}

Test(log_writer, files_are_their_owner_s_alone)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;
	char lock[128];
	struct stat file;

	umask(0);
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_run(writer, 1, 1, 1);
	T_EQ(stat(t_segment(dir.path, 1), &file), 0);
	T_EQ(file.st_mode & 07777, 0600);
	snprintf(lock, sizeof(lock), "%s/lock", dir.path);
	T_EQ(stat(lock, &file), 0);
	T_EQ(file.st_mode & 07777, 0600);
	t_close(writer);
	t_remove(&dir);
}

Test(log_writer, without_a_batch_there_is_no_segment)
{
	struct t_dir dir = t_dir();

	t_close(t_open(dir.path, (struct wr_log_options){ 0 }));
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	T_STR(t_read(dir.path, &counts), "");
	T_EQ(counts.segments, 0);
	t_remove(&dir);
}

static int open_error(const char *path, struct wr_log_options options, struct weir_why *why)
{
	struct wr_log_writer *writer = NULL;
	int r = wr_log_writer_open(path, &options, NULL, &writer, why);

	T_TRUE(r < 0 && writer == NULL);
	return r;
}

Test(log_writer, a_second_writer_is_refused_by_name)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_why why;

	T_EQ(open_error(dir.path, (struct wr_log_options){ 0 }, &why), -EBUSY);
	T_TRUE(strstr(why.text, dir.path) && strstr(why.text, "has a writer already"));
	t_close(writer);
	t_close(t_open(dir.path, (struct wr_log_options){ 0 }));
	t_remove(&dir);
}

Test(log_writer, a_forked_child_does_not_keep_the_lock)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	int status, pipe_fds[2];
	pid_t child;
	char byte;

	T_EQ(pipe(pipe_fds), 0);
	child = fork();
	if (!child) { /* lives on, with all descriptors, until the other end is closed */
		close(pipe_fds[1]);
		_exit(read(pipe_fds[0], &byte, 1) != 0);
	}
	t_close(writer);
	t_close(t_open(dir.path, (struct wr_log_options){ 0 }));
	close(pipe_fds[1]);
	T_EQ(waitpid(child, &status, 0), child);
	T_EQ(status, 0);
	t_remove(&dir);
}

Test(log_writer, a_file_in_place_of_the_directory_is_refused_by_name)
{
	struct t_dir dir = t_dir();
	struct weir_why why;

	t_store(dir.path, "x", 1);
	T_EQ(open_error(dir.path, (struct wr_log_options){ 0 }, &why), -ENOTDIR);
	T_TRUE(strstr(why.text, dir.path) && strstr(why.text, "not a directory"));
	t_remove(&dir);
}

Test(log_writer, a_symbolic_link_in_place_of_the_directory_is_refused)
{
	struct t_dir dir = t_dir();
	struct weir_why why;

	T_EQ(symlink(dir.base, dir.path), 0);
	T_EQ(open_error(dir.path, (struct wr_log_options){ 0 }, &why), -ENOTDIR);
	T_TRUE(strstr(why.text, "symbolic link") != NULL);
	t_remove(&dir);
}

Test(log_writer, a_symbolic_link_in_place_of_the_lock_is_refused)
{
	struct t_dir dir = t_dir();
	struct weir_why why;
	char lock[128], victim[128];

	T_EQ(mkdir(dir.path, 0700), 0);
	snprintf(lock, sizeof(lock), "%s/lock", dir.path);
	snprintf(victim, sizeof(victim), "%s/victim", dir.base);
	T_EQ(symlink(victim, lock), 0);
	T_EQ(open_error(dir.path, (struct wr_log_options){ 0 }, &why), -ELOOP);
	T_TRUE(strstr(why.text, "symbolic link") && !t_exists(victim));
	t_remove(&dir);
}

Test(log_writer, a_symbolic_link_in_place_of_a_segment_is_not_written_through)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	char victim[128];

	snprintf(victim, sizeof(victim), "%s/victim", dir.base);
	T_EQ(symlink(victim, t_segment(dir.path, 1)), 0);
	T_EQ(t_try(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "a" }), -EEXIST);
	T_TRUE(!t_exists(victim));
	t_run(writer, 1, 1, 1); /* and the next number is free */
	T_TRUE(t_exists(t_segment(dir.path, 2)));
	t_close(writer);
	t_remove(&dir);
}

Test(log_writer, a_missing_parent_is_named)
{
	struct t_dir dir = t_dir();
	struct weir_why why;
	char path[128];

	snprintf(path, sizeof(path), "%s/no/log", dir.path);
	T_EQ(open_error(path, (struct wr_log_options){ 0 }, &why), -ENOENT);
	T_TRUE(strstr(why.text, path) != NULL);
	t_remove(&dir);
}

Test(log_writer, an_unwritable_directory_is_refused_at_once)
{
	struct t_dir dir = t_dir();
	struct weir_why why;

	t_close(t_open(dir.path, (struct wr_log_options){ 0 }));
	T_EQ(chmod(dir.base, 0755), 0);
	T_EQ(chmod(dir.path, 0555), 0);
	if (geteuid() == 0)
		T_EQ(seteuid(65534), 0);
	T_EQ(open_error(dir.path, (struct wr_log_options){ 0 }, &why), -EACCES);
	T_TRUE(strstr(why.text, dir.path) && strstr(why.text, "Permission denied"));
	T_EQ(seteuid(getuid()), 0);
	t_remove(&dir);
}

Test(log_writer, options_that_cannot_be_are_refused)
{
	struct t_dir dir = t_dir();
	struct weir_why why;

	T_EQ(open_error(dir.path, (struct wr_log_options){ .segment_bytes = 4095 }, &why), -EINVAL);
	T_TRUE(strstr(why.text, "segment 4095") != NULL);
	T_EQ(open_error(dir.path,
	                (struct wr_log_options){ .segment_bytes = 4096, .max_bytes = 8191 }, &why),
	     -EINVAL);
	T_TRUE(strstr(why.text, "max_bytes 8191") != NULL);
	T_EQ(open_error(dir.path, (struct wr_log_options){ .sync = (enum wr_log_sync)7 }, &why),
	     -EINVAL);
	T_TRUE(!t_exists(dir.path));
	t_remove(&dir);
}

Test(log_writer, the_last_segment_number_is_not_passed)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;
	struct weir_why why;

	T_EQ(mkdir(dir.path, 0700), 0);
	t_store(t_segment(dir.path, UINT64_MAX - 1), "", 0);
	writer = t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	t_run(writer, 1, 1, 1);
	T_TRUE(t_exists(t_segment(dir.path, UINT64_MAX)));
	T_EQ(t_try(writer, (struct t_batch){ .life = 2, .seq = 1, .records = "a" }), -EOVERFLOW);
	t_close(writer);
	T_EQ(open_error(dir.path, (struct wr_log_options){ 0 }, &why), -EOVERFLOW);
	t_remove(&dir);
}

Test(log_writer, a_new_life_never_touches_an_old_segment)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	uint64_t bytes;

	t_run(writer, 1, 1, 3);
	t_close(writer);
	t_append(t_segment(dir.path, 1), "torn", 4);
	bytes = t_size(t_segment(dir.path, 1));
	writer = t_open(dir.path, (struct wr_log_options){ 0 });
	t_run(writer, 2, 1, 2);
	t_close(writer);
	T_EQ(t_size(t_segment(dir.path, 1)), bytes);
	T_TRUE(t_exists(t_segment(dir.path, 2)));
	T_STR(t_read(dir.path, NULL), "1 2 3 1 2");
	t_remove(&dir);
}

Test(log_writer, another_engine_begins_another_segment)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct wr_log_header header;

	t_run(writer, 1, 1, 2);
	t_run(writer, 2, 1, 2);
	t_close(writer);
	t_block(t_segment(dir.path, 2), 0, &header);
	T_EQ(header.engine[0], 2);
	T_EQ(header.start.first, 2);
	T_STR(t_read(dir.path, &counts), "1 2 1 2");
	T_EQ(counts.engines, 2);
	t_remove(&dir);
}

Test(log_writer, a_segment_ends_before_it_passes_its_size)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	struct wr_log_header header;
	uint64_t n = 0;

	t_run(writer, 1, 1, 100);
	t_close(writer);
	while (t_exists(t_segment(dir.path, n + 1))) {
		n++;
		T_TRUE(t_size(t_segment(dir.path, n)) <= 4096);
		t_block(t_segment(dir.path, n), 0, &header);
		T_EQ(header.segment, n);
		T_EQ(header.start.first, 1);
		T_EQ(header.start.flags, 0);
	}
	T_EQ(n, 4); /* 33 blocks of 120 bytes in each but the last */
	t_read(dir.path, &counts);
	T_EQ(counts.segments, n);
	T_EQ(counts.records, 100);
	T_EQ(counts.gaps + counts.damaged, 0);
	t_remove(&dir);
}

Test(log_writer, a_batch_larger_than_a_segment_has_one_of_its_own)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	char large[9001];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = 0;
	t_run(writer, 1, 1, 1);
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = large });
	t_run(writer, 1, 3, 3);
	t_close(writer);
	T_TRUE(t_size(t_segment(dir.path, 2)) > 9000);
	T_TRUE(t_exists(t_segment(dir.path, 3)) && !t_exists(t_segment(dir.path, 4)));
	t_read(dir.path, &counts);
	T_EQ(counts.records, 3);
	t_remove(&dir);
}

Test(log_writer, a_batch_that_contradicts_itself_is_refused)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_batch batch = { .seq = 1, .records = 1, .bytes = 16 };
	uint8_t bytes[16] = { 0 };
	struct iovec iov = { bytes, 8 };

	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), -EINVAL);
	batch.bytes = iov.iov_len = 12;
	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), -EINVAL);
	T_TRUE(!t_exists(t_segment(dir.path, 1)));
	t_close(writer);
	t_remove(&dir);
}

Test(log_writer, a_batch_above_the_limit_is_told_so)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_batch batch = { .seq = 1,
		                        .records = 1,
		                        .bytes = WR_LOG_BATCH_BODY_MAX + 8 };
	struct iovec iov = { NULL, WR_LOG_BATCH_BODY_MAX + 8 };

	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), -EMSGSIZE);
	t_close(writer);
	t_remove(&dir);
}

Test(log_writer, many_pieces_are_written_in_order)
{
	static struct weir_record_header records[3000][2];
	static struct iovec iov[3000];
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_batch batch = { .seq = 1, .records = 3000, .bytes = sizeof(records) };
	struct weir_log_reader *reader;
	struct weir_record record;

	for (uint32_t i = 0; i < 3000; i++) {
		records[i][0] = (struct weir_record_header){ 4, 0, WEIR_REC_COMMITTED };
		memcpy(&records[i][1], &i, 4);
		iov[i] = (struct iovec){ records[i], sizeof(records[i]) };
	}
	T_EQ(wr_log_writer_write(writer, &batch, iov, 3000, NULL), 0);
	t_close(writer);
	reader = t_reader(dir.path);
	for (uint32_t i = 0; i < 3000; i++) {
		T_EQ(weir_log_next(reader, &record), 1);
		T_EQ(memcmp(record.data, &i, 4), 0);
	}
	T_EQ(weir_log_next(reader, &record), 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_writer, names_come_before_the_first_batch_that_may_use_them)
{
	static const char *const names[] = { "alpha", "beta" };
	struct t_sources sources = t_sources(names, 1);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct wr_log_header header;

	t_write(writer,
	        (struct t_batch){
		    .life = 1, .seq = 1, .records = "a", .source = 1, .sources = &sources.seen });
	t_write(writer,
	        (struct t_batch){
		    .life = 1, .seq = 2, .records = "b", .source = 1, .sources = &sources.seen });
	sources.count = 2;
	t_write(writer,
	        (struct t_batch){
		    .life = 1, .seq = 3, .records = "c", .source = 2, .sources = &sources.seen });
	t_close(writer);
	t_block(t_segment(dir.path, 1), 1, &header);
	T_EQ(header.kind, WR_LOG_SOURCES);
	t_block(t_segment(dir.path, 1), 3, &header);
	T_EQ(header.kind, WR_LOG_BATCH); /* known names are not told again */
	t_block(t_segment(dir.path, 1), 4, &header);
	T_EQ(header.kind, WR_LOG_SOURCES);
	T_EQ(header.sources.count, 1);
	t_remove(&dir);
}

Test(log_writer, every_segment_names_its_sources_itself)
{
	static const char *const names[] = { "alpha", "beta", "gamma" };
	struct t_sources sources = t_sources(names, 3);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .segment_bytes = 4096 });
	struct weir_log_reader *reader;
	struct weir_record record;

	for (uint64_t seq = 1; seq <= 60; seq++)
		t_write(writer, (struct t_batch){ .life = 1,
		                                  .seq = seq,
		                                  .records = "a",
		                                  .source = 3,
		                                  .sources = &sources.seen });
	t_close(writer);
	T_EQ(unlink(t_segment(dir.path, 1)), 0);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	T_STR(weir_log_source_name(reader, 3), "gamma");
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_writer, sixty_thousand_names_fit)
{
	enum { COUNT = 60000 };
	static char text[COUNT][8];
	static const char *names[COUNT];
	struct t_sources sources = t_sources(names, COUNT);
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	struct weir_record record;

	for (int i = 0; i < COUNT; i++) {
		snprintf(text[i], sizeof(text[i]), "s%d", i + 1);
		names[i] = text[i];
	}
	t_write(writer,
	        (struct t_batch){ .life = 1, .seq = 1, .records = "a", .sources = &sources.seen });
	t_close(writer);
	reader = t_reader(dir.path);
	T_EQ(weir_log_next(reader, &record), 1);
	for (int i = 1; i <= COUNT; i++)
		T_STR(weir_log_source_name(reader, (uint16_t)i), text[i - 1]);
	T_TRUE(weir_log_source_name(reader, COUNT + 1) == NULL);
	T_TRUE(weir_log_source_name(reader, 0) == NULL);
	T_EQ(t_counts(reader).damaged, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_writer, counts_say_what_was_acknowledged)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer =
	    t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_BATCH });
	struct wr_log_writer_counts own;

	t_write(writer, (struct t_batch){ .life = 1, .seq = 1, .records = "one two" });
	t_write(writer, (struct t_batch){ .life = 1, .seq = 2, .records = "three" });
	wr_log_writer_counts(writer, &own);
	T_EQ(own.batches, 2);
	T_EQ(own.records, 3);
	T_EQ(own.bytes, 3 * 16);
	T_EQ(own.segments, 1);
	T_EQ(own.syncs, 2);
	T_EQ(own.failures + own.poisoned + own.rescued + own.unsynced + own.expired, 0);
	t_close(writer);
	t_remove(&dir);
}
