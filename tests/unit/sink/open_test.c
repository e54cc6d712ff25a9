/* SPDX-License-Identifier: Apache-2.0 */
/* open_test.c - addresses that open, and what is said about those that do not. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weir/sink.h>

#include "test.h"
#include "unit/sink/host.h"

static struct weir_why why;

static int open_it(const char *uri)
{
	struct weir_sink *sink = (struct weir_sink *)0x1;
	int r = weir_sink_open(uri, &sink, &why);

	if (r)
		T_TRUE(sink == (struct weir_sink *)0x1); /* untouched on failure */
	else
		sink->ops->close(sink);
	return r;
}

static void says(const char *part)
{
	if (!strstr(why.text, part))
		T_FAIL("\"%s\" does not say \"%s\"", why.text, part);
}

Test(open, an_unknown_scheme_is_named_with_the_nearest_and_all_that_there_are)
{
	T_EQ(open_it("fil:/tmp"), -EPROTONOSUPPORT);
	says("\"fil:\"");
	says("did you mean file?");
	says("null:, fd:N and file:DIR");
}

Test(open, an_unknown_scheme_that_is_near_to_none_gets_the_list_alone)
{
	T_EQ(open_it("kafka://host/topic"), -EPROTONOSUPPORT);
	says("\"kafka:\"");
	T_TRUE(!strstr(why.text, "did you mean"));
	says("null:");
}

Test(open, no_address_is_refused)
{
	struct weir_sink *sink;

	T_EQ(weir_sink_open(NULL, &sink, &why), -EINVAL);
	T_EQ(weir_sink_open("null:", NULL, &why), -EINVAL);
	T_EQ(weir_sink_open("nothing", &sink, NULL), -EINVAL);
}

Test(open, null_takes_neither_path_nor_options)
{
	T_EQ(open_it("null:"), 0);
	T_EQ(open_it("null:x"), -EINVAL);
	says("\"x\"");
	T_EQ(open_it("null:?a=b"), -EINVAL);
}

Test(open, fd_wants_a_number)
{
	T_EQ(open_it("fd:"), -EINVAL);
	T_EQ(open_it("fd:one"), -EINVAL);
	says("fd:one");
	T_EQ(open_it("fd:-1"), -EINVAL);
	T_EQ(open_it("fd:1x"), -EINVAL);
	T_EQ(open_it("fd:99999999999999999999"), -EINVAL);
	T_EQ(open_it("fd:2147483648"), -EINVAL);
}

Test(open, fd_names_a_descriptor_that_is_not_open)
{
	T_EQ(open_it("fd:777"), -EBADF);
	says("777");
}

Test(open, fd_refuses_a_descriptor_that_cannot_be_written_to)
{
	char uri[32];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	snprintf(uri, sizeof(uri), "fd:%d", fd);
	T_EQ(open_it(uri), -EBADF);
	says("not open for writing");
	close(fd);
	fd = open("/", O_PATH | O_CLOEXEC);
	snprintf(uri, sizeof(uri), "fd:%d", fd);
	T_EQ(open_it(uri), -EBADF);
	close(fd);
}

Test(open, fd_refuses_a_frame_that_does_not_exist_and_lists_those_that_do)
{
	T_EQ(open_it("fd:2?frame=line"), -EINVAL);
	says("frame=line");
	says("lines|len32|nul|raw");
	says("did you mean lines?");
	T_EQ(open_it("fd:2?frames=lines"), -EINVAL);
	says("\"frames\"");
}

Test(open, a_refused_address_leaves_no_descriptor_open)
{
	int before = dup(2), after;

	close(before);
	T_EQ(open_it("fd:2?frame=line"), -EINVAL);
	T_EQ(open_it("fd:2?frame=raw&x=y"), -EINVAL);
	T_EQ(open_it("fd:777"), -EBADF);
	after = dup(2);
	T_EQ(after, before);
}

/* The copy, and where its pipe is waited for: each of the three is refused once. */
Test(open, fd_without_a_descriptor_left_says_so_and_leaves_none_open)
{
	struct rlimit before, few;
	int pipe_fd[2], next;
	char uri[32];

	T_EQ(pipe(pipe_fd), 0);
	snprintf(uri, sizeof(uri), "fd:%d", pipe_fd[1]);
	T_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t left = 0; left < 3; left++) {
		next = dup(2);
		close(next);
		few = (struct rlimit){ (rlim_t)next + left, before.rlim_max };
		T_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
		T_EQ(open_it(uri), -EMFILE);
		T_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
		says(left ? "cannot be waited for" : "no descriptor was left");
		T_EQ(dup(2), next);
		close(next);
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

Test(open, file_in_a_place_that_does_not_exist_is_told_when_it_is_opened_or_started)
{
	struct weir_sink *sink;
	struct host host;
	int r = weir_sink_open("file:/no/such/place/at/all", &sink, &why);

	if (!r) {
		r = host_start(&host, sink, &why);
		sink->ops->close(sink);
	}
	T_EQ(r, -ENOENT);
	says("/no/such/place/at/all");
}

static void count(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)batch;
	verdict->kind = *(uint32_t *)arg;
	verdict->code = -77;
}

Test(callback, the_verdict_of_the_function_is_the_sinks)
{
	uint32_t kind = WEIR_REJECT;
	struct weir_sink *sink;
	struct host host;
	struct made *made;

	T_EQ(weir_sink_callback(count, &kind, &sink), 0);
	T_EQ(host_start(&host, sink, &why), 0);
	made = made_new(&host, 1);
	made_text(made, "x");
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_REJECT);
	T_EQ(made->verdict.code, -77);
	T_TRUE(pthread_equal(made->by, pthread_self()));
	host_close(&host);
	made_free(made);
}

Test(callback, without_a_function_there_is_no_sink)
{
	struct weir_sink *sink;

	T_EQ(weir_sink_callback(NULL, NULL, &sink), -EINVAL);
	T_EQ(weir_sink_callback(count, NULL, NULL), -EINVAL);
}
