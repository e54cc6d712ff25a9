/* SPDX-License-Identifier: Apache-2.0 */
/* own_loop.c - no thread of weir's: the program's own poll() runs the flusher. */
#include <poll.h>
#include <stdio.h>
#include <weir/weir.h>

static uint64_t delivered;

/* Runs inside weir_run_once(), on this program's only thread. */
static void take(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)arg;
	(void)verdict; /* WEIR_DONE already */
	delivered += batch->records;
}

int main(void)
{
	struct weir_why why = { "" };
	struct weir_config config;
	struct weir_sink *sink;
	struct pollfd poll_fd;
	struct weir *weir;

	weir_config_init(&config);
	config.loop = WEIR_LOOP_OWN;
	config.threshold = 100;
	config.deadline_ns = WEIR_MILLIS(20);
	if (weir_sink_callback(take, NULL, &sink) < 0)
		return 1;
	if (weir_open(&config, sink, &weir, &why) < 0) {
		fprintf(stderr, "open: %s\n", why.text);
		sink->ops->close(sink);
		return 1;
	}

	/* 250 records: two batches by the threshold, the rest by the deadline. */
	for (int i = 0; i < 250; i++) {
		if (weir_push(weir, &i, sizeof(i)) < 0)
			return 1;
	}
	poll_fd.fd = weir_poll_fd(weir);
	poll_fd.events = POLLIN;
	while (delivered < 250) {
		if (poll(&poll_fd, 1, 10000) <= 0)
			break; /* ten seconds without anything to do: something is wrong */
		while (weir_run_once(weir, 0) == 1)
			;
	}
	printf("%llu records\n", (unsigned long long)delivered);
	if (weir_close(weir, WEIR_SECONDS(10), NULL) < 0)
		return 1;
	return weir_free(weir) < 0;
}
