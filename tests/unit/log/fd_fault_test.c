/* SPDX-License-Identifier: Apache-2.0 */
/* fd_fault_test.c - a descriptor as a sink, when what lies behind it has no room for a while. */
#include "fault_sys.h"
#include "sink_support.h"

#include <sys/mman.h>

static void ready(struct weir_sink_host *host, struct weir_sink *sink)
{
	(void)host, (void)sink;
}

static const struct weir_sink_host_ops host_ops = { .ready = ready };
static struct weir_sink_host host = { &host_ops };

/* A file, as a descriptor that was given. */
static struct weir_sink *fd_sink(void)
{
	struct weir_sink_caps caps = { 0 };
	struct weir_sink *sink = NULL;
	struct weir_why why = { "" };
	int fd = memfd_create("stream", MFD_CLOEXEC);
	char text[32];

	T_TRUE(fd >= 0);
	snprintf(text, sizeof(text), "fd:%d", fd);
	if (weir_sink_open(text, &sink, &why))
		T_FAIL("%s", why.text);
	T_EQ(close(fd), 0);
	sink->host = &host;
	T_EQ(sink->ops->start(sink, &host, &caps, &why), 0);
	return sink;
}

Test(fd_fault, what_may_pass_is_tried_again_and_what_may_not_is_the_end)
{
	static const int errors[] = { -ENOSPC, -EDQUOT, -ENOBUFS, -ENOMEM };
	struct weir_sink *sink;
	uint64_t seq = 1;

	sink = fd_sink();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++, seq++) {
		t_faults[T_WRITEV] = (struct t_fault){ .error = errors[i], .times = 1 };
		T_EQ(t_send(sink, seq, "a", 1), WEIR_RETRY);
		T_EQ(t_verdict.code, errors[i]);
		T_TRUE(t_verdict.after_ns > 0);
		T_EQ(t_send(sink, seq, "a", 1), WEIR_DONE);
	}
	t_faults[T_WRITEV] = (struct t_fault){ .error = -EIO, .times = 1 };
	T_EQ(t_send(sink, seq, "a", 1), WEIR_FATAL);
	T_EQ(t_send(sink, seq, "a", 1), WEIR_FATAL);
	t_sink_close(sink);
}
