/* SPDX-License-Identifier: Apache-2.0 */
/*
 * null.c - the sink that forgets. Every batch is done as soon as it comes.
 *
 * It knows nothing, and does not look at a record. thread: flusher
 */
#include <errno.h>

#include "base/mem.h"
#include "sink/uri.h"

static int null_submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct weir_verdict verdict = { .kind = WEIR_DONE };

	(void)self;
	weir_batch_complete(batch, &verdict);
	return 0;
}

static int null_settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self;
	(void)deadline_ns;
	return 0;
}

static void null_close(struct weir_sink *self)
{
	wr_mem_free(NULL, self, sizeof(*self));
}

static int null_start(struct weir_sink *self, struct weir_sink_host *host,
                      struct weir_sink_caps *caps, struct weir_why *ret_why)
{
	(void)self;
	(void)host;
	(void)ret_why;
	*caps = (struct weir_sink_caps){ .max_inflight = 1, .ordered = 1 };
	return 0;
}

static const struct weir_sink_ops null_ops = {
	.abi = WEIR_SINK_ABI,
	.name = "null",
	.submit = null_submit,
	.settle = null_settle,
	.close = null_close,
	.start = null_start,
};

int wr_sink_null_open(const char *path, const struct wr_uri *uri, struct weir_sink **ret_sink,
                      struct weir_why *ret_why)
{
	struct weir_sink *sink;
	int r = wr_uri_check(uri, "", ret_why);

	if (r)
		return r;
	if (path[0])
		return wr_sink_why(ret_why, -EINVAL, "null: takes no path, and no \"%.64s\"", path);
	sink = wr_mem_alloc(NULL, sizeof(*sink));
	if (!sink)
		return wr_sink_why(ret_why, -ENOMEM, "no memory for the sink");
	sink->ops = &null_ops;
	*ret_sink = sink;
	return 0;
}
