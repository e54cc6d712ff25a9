/* SPDX-License-Identifier: Apache-2.0 */
/* custom_sink.c - a sink of one's own, and what it is told about each batch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/weir.h>

struct counter {
	struct weir_sink sink; /* first, so that the one is the other */
	uint64_t batches, records, bytes;
};

/* Thread: flusher. Takes the batch and finishes it at once; a slow sink would do so later. */
static int submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct counter *counter = (struct counter *)self;
	struct weir_verdict done = { .kind = WEIR_DONE };
	struct weir_iter iter = { 0 };
	struct weir_record record;

	counter->batches++;
	while (weir_batch_next(batch, &iter, &record) == 1) {
		counter->records++;
		counter->bytes += record.size;
	}
	weir_batch_complete(batch, &done);
	return 0;
}

/* Nothing is ever in flight here: every batch was finished before submit() returned. */
static int settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self;
	(void)deadline_ns;
	return 0;
}

static void close_counter(struct weir_sink *self)
{
	struct counter *counter = (struct counter *)self;

	printf("%llu records, %llu bytes, %s\n", (unsigned long long)counter->records,
	       (unsigned long long)counter->bytes, counter->batches ? "in batches" : "no batch");
	free(counter);
}

static const struct weir_sink_ops ops = {
	.abi = WEIR_SINK_ABI,
	.name = "counter",
	.submit = submit,
	.settle = settle,
	.close = close_counter,
};

int main(void)
{
	struct counter *counter = calloc(1, sizeof(*counter));
	struct weir_why why = { "" };
	struct weir *weir;

	if (!counter)
		return 1;
	counter->sink.ops = &ops;
	if (weir_open(NULL, &counter->sink, &weir, &why) < 0) {
		fprintf(stderr, "open: %s\n", why.text);
		free(counter);
		return 1;
	}
	for (int i = 0; i < 1000; i++) {
		if (weir_push(weir, "0123456789", 10) < 0)
			return 1;
	}
	if (weir_close(weir, WEIR_SECONDS(10), NULL) < 0)
		return 1;
	return weir_free(weir) < 0; /* closes the sink, which prints */
}
