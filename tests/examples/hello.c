/* SPDX-License-Identifier: Apache-2.0 */
/* hello.c - push a few records, see them come out in batches. */
#include <stdio.h>
#include <string.h>
#include <weir/weir.h>

static int fail(const char *what, int code, const struct weir_why *why)
{
	fprintf(stderr, "%s: %s (%s)\n", what, why->text, strerror(-code));
	return 1;
}

int main(void)
{
	struct weir_why why = { "" };
	struct weir_config config;
	struct weir_sink *sink;
	struct weir *weir;
	int code;

	weir_config_init(&config);
	code = weir_config_set(&config, "deadline", "5ms", &why);
	if (code < 0)
		return fail("config", code, &why);
	code = weir_sink_open("fd:1?frame=lines", &sink, &why); /* standard output, a line each */
	if (code < 0)
		return fail("sink", code, &why);
	code = weir_open(&config, sink, &weir, &why);
	if (code < 0)
		return fail("open", code, &why);

	for (int i = 0; i < 3; i++) {
		char record[32];
		int size = snprintf(record, sizeof(record), "hello %d", i);

		/* From any thread, any signal handler. 0: it will be delivered or accounted for. */
		code = weir_push(weir, record, (size_t)size);
		if (code < 0)
			fprintf(stderr, "push: %s\n", strerror(-code));
	}

	code = weir_close(weir, WEIR_SECONDS(10), NULL); /* delivers what was accepted */
	weir_free(weir);
	return code < 0;
}
