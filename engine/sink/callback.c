/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callback.c - a plain function as a sink, called inside submit().
 *
 * It knows one function. One batch at a time: the verdict is there before submit() returns, so a
 * batch that is to come again is known to the engine before it sends a later one. thread: flusher
 */
#include <errno.h>

#include "base/mem.h"
#include "sink/uri.h"

struct callback {
	struct weir_sink sink;
	weir_sink_fn fn;
	void *arg;
};

static int callback_submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct callback *callback = (struct callback *)self;
	struct weir_verdict verdict = { .kind = WEIR_DONE };

	callback->fn(callback->arg, batch, &verdict);
	weir_batch_complete(batch, &verdict);
	return 0;
}

static int callback_settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self;
	(void)deadline_ns;
	return 0;
}

static void callback_close(struct weir_sink *self)
{
	wr_mem_free(NULL, self, sizeof(struct callback));
}

static int callback_start(struct weir_sink *self, struct weir_sink_host *host,
                          struct weir_sink_caps *caps, struct weir_why *ret_why)
{
	(void)self;
	(void)host;
	(void)ret_why;
	*caps = (struct weir_sink_caps){ .max_inflight = 1, .ordered = 1 };
	return 0;
}

static const struct weir_sink_ops callback_ops = {
	.abi = WEIR_SINK_ABI,
	.name = "callback",
	.submit = callback_submit,
	.settle = callback_settle,
	.close = callback_close,
	.start = callback_start,
};

int weir_sink_callback(weir_sink_fn fn, void *arg, struct weir_sink **ret_sink)
{
	struct callback *callback;

	if (!fn || !ret_sink)
		return -EINVAL;
	callback = wr_mem_alloc(NULL, sizeof(*callback));
	if (!callback)
		return -ENOMEM;
	callback->sink.ops = &callback_ops;
	callback->fn = fn;
	callback->arg = arg;
	*ret_sink = &callback->sink;
	return 0;
}
