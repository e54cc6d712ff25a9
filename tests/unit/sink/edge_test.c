/* SPDX-License-Identifier: Apache-2.0 */
/* edge_test.c - what only a host with odd habits notices of a sink. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <weir/sink.h>

#include "test.h"
#include "unit/sink/host.h"

static struct weir_why why;
static struct host host;

static void open_on(int fd)
{
	struct weir_sink *sink;
	char uri[32];

	snprintf(uri, sizeof(uri), "fd:%d", fd);
	if (weir_sink_open(uri, &sink, &why) != 0)
		T_FAIL("%s: %s", uri, why.text);
	T_EQ(host_start(&host, sink, &why), 0);
}

/* What is closed as standard input may be reopened, or read, by others. */
Test(edge, the_copy_of_a_descriptor_takes_the_place_of_no_standard_one)
{
	char link[64] = "";
	int fds[2];

	T_EQ(pipe(fds), 0);
	T_EQ(close(STDIN_FILENO), 0);
	open_on(fds[1]);
	(void)!readlink("/proc/self/fd/0", link, sizeof(link) - 1);
	T_TRUE(!strstr(link, "pipe:"));
	host_close(&host);
}

/* Half a line is written at close, to a pipe that nobody reads any more. */
Test(edge, a_broken_pipe_signal_of_the_hosts_own_outlives_close)
{
	sigset_t pipe_only, pending;
	struct made *made;
	int fds[2];

	T_EQ(pipe(fds), 0);
	open_on(fds[1]);
	made = made_new(&host, 1);
	made_add(made, 3, WEIR_REC_CONTINUES, "half", 4);
	host_give(&host, made);
	T_EQ(host_wait(&host, made), WEIR_DONE);
	made_free(made);
	close(fds[0]);
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
	T_EQ(raise(SIGPIPE), 0);
	host_close(&host);
	sigpending(&pending);
	T_TRUE(sigismember(&pending, SIGPIPE));
}

static void write_nothing(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)arg, (void)batch, (void)verdict;
}

Test(edge, a_hosted_sink_may_have_32_batches_and_no_more)
{
	static const struct weir_hosted_ops ops = { .name = "x", .write = write_nothing };
	struct weir_sink_caps caps = { .max_inflight = 33 };
	struct weir_sink *sink = NULL;

	T_EQ(weir_sink_hosted(&ops, NULL, &caps, 0, &sink), -EINVAL);
	T_TRUE(!sink);
	caps.max_inflight = 32;
	T_EQ(weir_sink_hosted(&ops, NULL, &caps, 0, &sink), 0);
	sink->ops->close(sink);
}
