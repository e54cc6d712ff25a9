/* SPDX-License-Identifier: Apache-2.0 */
/* fd_test.c - the sink on every sort of descriptor, and with every sort of trouble. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/sink.h>

#include "test.h"
#include "unit/sink/collect.h"
#include "unit/sink/host.h"

static struct weir_why why;
static struct host host;

static void open_fd(int fd, const char *options)
{
	struct weir_sink *sink;
	char uri[64];

	snprintf(uri, sizeof(uri), "fd:%d%s", fd, options);
	if (weir_sink_open(uri, &sink, &why) != 0)
		T_FAIL("%s: %s", uri, why.text);
	T_EQ(host_start(&host, sink, &why), 0);
}

static struct made *texts(uint64_t seq, const char *a, const char *b)
{
	struct made *made = made_new(&host, seq);

	made_text(made, a);
	if (b)
		made_text(made, b);
	return made;
}

/* Gives a batch of two records and waits. The verdict's kind. */
static int give(uint64_t seq, const char *a, const char *b)
{
	struct made *made = texts(seq, a, b);
	int kind;

	host_give(&host, made);
	kind = host_wait(&host, made);
	made_free(made);
	return kind;
}

static void reads(int fd, const char *wanted, size_t bytes)
{
	char found[256];
	ssize_t n = read(fd, found, sizeof(found));

	if (n != (ssize_t)bytes || memcmp(found, wanted, bytes) != 0)
		T_FAIL("read %zd bytes \"%.*s\"", n, n > 0 ? (int)n : 0, found);
}

static void frame_is(const char *options, const char *wanted, size_t bytes)
{
	int fds[2];

	T_EQ(pipe(fds), 0);
	open_fd(fds[1], options);
	T_EQ(give(1, "ab", "c"), WEIR_DONE);
	reads(fds[0], wanted, bytes);
	host_close(&host);
}

Test(fd, lines_is_the_frame_when_none_is_named)
{
	frame_is("", "ab\nc\n", 5);
}

Test(fd, each_frame_looks_as_it_is_documented)
{
	frame_is("?frame=lines", "ab\nc\n", 5);
	frame_is("?frame=nul", "ab\0c\0", 5);
	frame_is("?frame=len32", "\2\0\0\0ab\1\0\0\0c", 11);
	/* size, source, flags, payload, padding: twice */
	frame_is("?frame=raw", "\2\0\0\0\0\0\1\0ab\xdd\xdd\xdd\xdd\xdd\xdd"
	                       "\1\0\0\0\0\0\1\0c\xdd\xdd\xdd\xdd\xdd\xdd\xdd", 32);
}

Test(fd, payload_with_any_byte_in_it_is_not_changed)
{
	int fds[2];
	struct made *made;

	T_EQ(pipe(fds), 0);
	open_fd(fds[1], "");
	made = made_new(&host, 1);
	made_add(made, 0, 0, "\0\r\n\xff", 4);
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_DONE);
	reads(fds[0], "\0\r\n\xff\n", 5);
	host_close(&host);
	made_free(made);
}

Test(fd, the_flags_of_the_descriptor_are_never_changed)
{
	int fds[2], before, modes[] = { 0, O_NONBLOCK };

	for (int i = 0; i < 2; i++) {
		T_EQ(pipe2(fds, modes[i]), 0);
		before = fcntl(fds[1], F_GETFL);
		open_fd(fds[1], "");
		T_EQ(fcntl(fds[1], F_GETFL), before);
		T_EQ(give(1, "x", NULL), WEIR_DONE);
		T_EQ(fcntl(fds[1], F_GETFL), before);
		host_close(&host);
		T_EQ(fcntl(fds[1], F_GETFL), before);
	}
}

Test(fd, the_sinks_copy_is_not_inherited_by_programs)
{
	int fds[2], next;

	T_EQ(pipe(fds), 0);
	next = dup(2);
	close(next);
	open_fd(fds[1], "");
	T_TRUE(fcntl(next, F_GETFD) & FD_CLOEXEC);
	host_close(&host);
}

Test(fd, the_host_may_close_its_own_descriptor)
{
	int fds[2];

	T_EQ(pipe(fds), 0);
	open_fd(fds[1], "");
	close(fds[1]);
	T_EQ(give(1, "still here", NULL), WEIR_DONE);
	reads(fds[0], "still here\n", 11);
	host_close(&host);
	reads(fds[0], "", 0); /* and now it is closed */
}

/* 2 MB through a pipe of one page, whose reader is in no hurry. */
static void trickle(int nonblocking)
{
	struct collect collect;
	struct made *made[20];
	char text[1000];
	int fd;

	collect_init(&collect, "fd", "lines");
	fd = collect_pipe(&collect);
	if (nonblocking)
		T_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	open_fd(fd, "");
	close(fd);
	for (uint64_t i = 0; i < 20; i++) {
		made[i] = made_new(&host, i + 1);
		for (unsigned k = 0; k < 100; k++) {
			size_t size = (i * 100 + k) * 7 % sizeof(text);

			memset(text, 'a' + (int)(k % 26), size);
			made_add(made[i], 0, 0, text, (uint32_t)size);
			collect_expect(&collect, text, size);
		}
	}
	host_run(&host, made, 20);
	host_close(&host);
	collect_check(&collect);
	collect_end(&collect);
}

Test(fd, short_writes_into_a_small_pipe_are_gone_on_with)
{
	trickle(0);
}

Test(fd, a_full_non_blocking_pipe_is_waited_for)
{
	trickle(1);
}

Test(fd, a_socket_takes_records)
{
	char found[70000];
	int fds[2];
	size_t got = 0;
	struct made *made;

	T_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	open_fd(fds[1], "");
	made = made_new(&host, 1);
	memset(found, 's', 60000);
	made_add(made, 0, 0, found, 60000);
	host_give(&host, made);
	while (got < 60001) {
		ssize_t n = read(fds[0], found + got, sizeof(found) - got);

		T_TRUE(n > 0);
		got += (size_t)n;
	}
	T_EQ(host_wait(&host, made), WEIR_DONE);
	T_EQ(found[59999], 's');
	T_EQ(found[60000], '\n');
	host_close(&host);
	made_free(made);
}

Test(fd, a_regular_file_is_appended_to_where_its_descriptor_stands)
{
	FILE *file = tmpfile();
	char found[32];

	T_EQ(write(fileno(file), "before\n", 7), 7);
	open_fd(fileno(file), "");
	T_EQ(give(1, "ab", "c"), WEIR_DONE);
	T_EQ(give(2, "d", NULL), WEIR_DONE);
	host_close(&host);
	T_EQ(pread(fileno(file), found, sizeof(found), 0), 14);
	T_TRUE(memcmp(found, "before\nab\nc\nd\n", 14) == 0);
}

Test(fd, a_vanished_reader_is_fatal_and_kills_nobody)
{
	struct made *made;
	int fds[2];

	signal(SIGPIPE, SIG_DFL);
	T_EQ(pipe(fds), 0);
	open_fd(fds[1], "");
	close(fds[0]);
	made = texts(1, "x", NULL);
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_FATAL);
	T_EQ(made->verdict.code, -EPIPE);
	host.sink->ops->trouble(host.sink, &why);
	T_TRUE(strstr(why.text, "Broken pipe") != NULL);
	T_EQ(give(2, "y", NULL), WEIR_FATAL);
	host_close(&host);
	made_free(made);
}

Test(fd, a_reader_that_vanishes_while_the_pipe_is_full_is_fatal)
{
	struct made *made;
	int fds[2];
	char text[20000] = "";

	T_EQ(pipe(fds), 0);
	T_TRUE(fcntl(fds[1], F_SETPIPE_SZ, 4096) > 0);
	open_fd(fds[1], "");
	made = made_new(&host, 1);
	made_add(made, 0, 0, text, sizeof(text));
	host_give(&host, made);
	usleep(10000);
	close(fds[0]);
	T_EQ(host_wait(&host, made), WEIR_FATAL);
	T_EQ(made->verdict.code, -EPIPE);
	host_close(&host);
	made_free(made);
}

Test(fd, a_full_device_is_tried_again_later)
{
	struct made *made;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	open_fd(fd, "");
	made = texts(1, "x", NULL);
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_RETRY);
	T_EQ(made->verdict.code, -ENOSPC);
	T_TRUE(made->verdict.after_ns >= 1000000);
	host.sink->ops->trouble(host.sink, &why);
	T_TRUE(strstr(why.text, "No space left") != NULL);
	host_close(&host);
	made_free(made);
}

Test(fd, what_was_written_before_the_trouble_counts)
{
	struct rlimit limit;
	struct made *made;
	FILE *file = tmpfile();

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 4;
	setrlimit(RLIMIT_FSIZE, &limit);
	open_fd(fileno(file), "");
	made = texts(1, "ab", "cdef");
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_PARTIAL);
	T_EQ(made->verdict.partial, WEIR_PARTIAL_RECORDS);
	T_EQ(made->verdict.records, 1);
	T_EQ(made->verdict.code, -EFBIG);
	made_free(made);
	T_EQ(give(1, "cdef", NULL), WEIR_FATAL);
	host_close(&host);
}

Test(fd, a_write_that_is_blocked_ends_when_it_is_cancelled)
{
	struct made *made;
	char text[20000] = "";
	int fds[2];

	T_EQ(pipe(fds), 0);
	T_TRUE(fcntl(fds[1], F_SETPIPE_SZ, 4096) > 0);
	open_fd(fds[1], "");
	made = made_new(&host, 1);
	made_text(made, "whole");
	made_add(made, 0, 0, text, sizeof(text));
	host_give(&host, made);
	while (poll(&(struct pollfd){ fds[0], POLLIN, 0 }, 1, 1000) != 1)
		;
	host.sink->ops->cancel(host.sink);
	T_EQ(host_wait(&host, made), WEIR_PARTIAL);
	T_EQ(made->verdict.records, 1);
	host_close(&host);
	made_free(made);
}

Test(fd, a_record_torn_by_cancel_is_finished_at_close_when_there_is_room)
{
	struct made *made;
	char text[6000], found[6000];
	int fds[2];
	size_t got = 0;

	memset(text, 't', sizeof(text));
	T_EQ(pipe(fds), 0);
	T_TRUE(fcntl(fds[1], F_SETPIPE_SZ, 4096) > 0);
	open_fd(fds[1], "");
	close(fds[1]);
	made = made_new(&host, 1);
	made_add(made, 0, 0, text, sizeof(text));
	host_give(&host, made);
	while (poll(&(struct pollfd){ fds[0], POLLIN, 0 }, 1, 1000) != 1)
		;
	host.sink->ops->cancel(host.sink);
	T_EQ(host_wait(&host, made), WEIR_RETRY);
	got = (size_t)read(fds[0], found, sizeof(found));
	T_EQ(got, 4096);
	host_close(&host);
	T_EQ(read(fds[0], found, sizeof(found)), 6000 + 1 - 4096);
	T_EQ(found[6000 - 4096], '\n');
	T_EQ(read(fds[0], found, 1), 0);
	made_free(made);
}

Test(fd, close_does_not_wait_for_a_reader_and_raises_no_signal)
{
	int fds[2];
	struct made *made;

	signal(SIGPIPE, SIG_DFL);
	T_EQ(pipe(fds), 0);
	open_fd(fds[1], "");
	made = made_new(&host, 1);
	made_add(made, 1, WEIR_REC_CONTINUES, "half a line", 11);
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_DONE);
	close(fds[0]);
	host_close(&host);
	made_free(made);
}

Test(fd, half_a_line_is_written_at_close)
{
	int fds[2];
	struct made *made;

	T_EQ(pipe(fds), 0);
	open_fd(fds[1], "");
	made = made_new(&host, 1);
	made_add(made, 1, WEIR_REC_CONTINUES, "half a line", 11);
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_DONE);
	host_close(&host);
	reads(fds[0], "half a line\n", 12);
	made_free(made);
}

Test(fd, a_last_line_without_a_line_feed_gets_none)
{
	int fds[2];
	struct made *made;

	T_EQ(pipe(fds), 0);
	open_fd(fds[1], "");
	made = made_new(&host, 1);
	made_text(made, "a");
	made_add(made, 0, WEIR_REC_NO_EOL, "b", 1);
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_DONE);
	reads(fds[0], "a\nb", 3);
	T_EQ(give(2, "c", NULL), WEIR_DONE);
	reads(fds[0], "\nc\n", 3);
	host_close(&host);
	made_free(made);
}
