/* SPDX-License-Identifier: Apache-2.0 */
/* version.c - `weir version`. thread: main */
#include <stdio.h>
#include <string.h>
#include <weir/weir.h>

#include "args.h"
#include "command.h"
#include "text.h"

static const struct flag flags[] = {
	{ "json", NULL, "One JSON object, with what this process can use." },
	{ NULL, NULL, NULL },
};

static int take(void *arg, const char *name, const char *value)
{
	if (!name)
		return args_none(arg, name, value);
	*(bool *)arg = true;
	return END_OK;
}

static void print_json(void)
{
	struct weir_features features = { .size = sizeof(features) };
	struct text text = { 0 };
	struct json json = { .text = &text };

	json_open(&json, NULL, '{');
	json_string(&json, "version", weir_version());
	json_string(&json, "compiled_with", WEIR_VERSION);
	if (weir_features(NULL, &features) == 0) {
		json_bool(&json, "rseq", features.rseq);
		json_string(&json, "why_no_rseq", features.why_no_rseq);
		json_bool(&json, "membarrier", features.membarrier);
		json_bool(&json, "crc_hardware", features.crc_hardware);
		json_bool(&json, "jemalloc", features.jemalloc);
		json_u64(&json, "cpus_possible", features.cpus_possible);
		json_u64(&json, "cpus_usable", features.cpus_usable);
	}
	json_shut(&json, '}');
	printf("%.*s\n", (int)text.size, text.data);
	text_free(&text);
}

static int version_main(int argc, char **argv)
{
	bool json = false;
	int end = args_parse(&command_version, argc, argv, NULL, take, &json);

	if (end >= 0)
		return end;
	if (json)
		print_json();
	else
		printf("weir %s\n", weir_version());
	return finish_output();
}

const struct command command_version = {
	.name = "version",
	.operands = "",
	.summary = "print the version",
	.flags = flags,
	.run = version_main,
};
