/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c - sinks of a user's own, for `weir sim --sink-so`: two that keep their contract, and one
 * that gives verdicts on batches that it says it did not take.
 *
 * It knows include/weir only.
 */
#include <errno.h>
#include <stdlib.h>
#include <weir/sink.h>

#define SEEN __attribute__((visibility("default")))

SEEN int plugin_good(struct weir_sink **ret_sink, struct weir_why *ret_why);
SEEN int plugin_hosted(struct weir_sink **ret_sink, struct weir_why *ret_why);
SEEN int plugin_early(struct weir_sink **ret_sink, struct weir_why *ret_why);

static void count(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	uint64_t *calls = arg;

	if (++*calls % 7 == 0) {
		verdict->kind = WEIR_RETRY;
		verdict->after_ns = 3000000;
	} else if (*calls % 11 == 0 && batch->records > 1) {
		verdict->kind = WEIR_PARTIAL;
		verdict->records = batch->records / 2;
	}
}

int plugin_good(struct weir_sink **ret_sink, struct weir_why *ret_why)
{
	static uint64_t calls;

	(void)ret_why;
	return weir_sink_callback(count, &calls, ret_sink);
}

static const struct weir_hosted_ops hosted = { .name = "plugin", .write = count };

int plugin_hosted(struct weir_sink **ret_sink, struct weir_why *ret_why)
{
	static const struct weir_sink_caps caps = { .max_inflight = 3, .ordered = 1 };
	static uint64_t calls;

	(void)ret_why;
	return weir_sink_hosted(&hosted, &calls, &caps, 0, ret_sink);
}

/* It breaks the contract: it takes a batch, and then says that it had no room for it. */
static int early_submit(struct weir_sink *self, struct weir_batch *batch)
{
	static const struct weir_verdict verdict = { .kind = WEIR_DONE };
	static uint64_t calls;

	(void)self;
	weir_batch_complete(batch, &verdict);
	return ++calls % 5 == 0 ? -EAGAIN : 0;
}

static int early_settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self, (void)deadline_ns;
	return 0;
}

static void early_close(struct weir_sink *self)
{
	free(self);
}

static const struct weir_sink_ops early = {
	.abi = WEIR_SINK_ABI,
	.name = "early",
	.submit = early_submit,
	.settle = early_settle,
	.close = early_close,
};

int plugin_early(struct weir_sink **ret_sink, struct weir_why *ret_why)
{
	struct weir_sink *sink = calloc(1, sizeof(*sink));

	(void)ret_why;
	if (!sink)
		return -ENOMEM;
	sink->ops = &early;
	*ret_sink = sink;
	return 0;
}
