/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - `weir config`: the value of every key, and where it comes from. thread: main */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "text.h"

static const struct flag flags[] = {
	{ "json", NULL, "One JSON object: {KEY: {value, origin, unit}}." },
	{ NULL, NULL, NULL },
};

static int take(void *arg, const char *name, const char *value)
{
	if (!name) {
		say("unexpected '%s': a key is set with --KEY VALUE", value);
		return END_USAGE;
	}
	*(bool *)arg = true;
	return END_OK;
}

static void print_json(const struct settings *settings)
{
	const struct weir_property *property = NULL;
	struct text text = { 0 };
	struct json json = { .text = &text };
	char value[128];

	json_open(&json, NULL, '{');
	while ((property = weir_config_next(property)) != NULL) {
		if (weir_config_get(&settings->config, property->key, value, sizeof(value)) < 0)
			continue;
		json_open(&json, property->key, '{');
		json_string(&json, "value", value);
		json_string(&json, "origin", settings_origin(settings, property->key));
		json_string(&json, "unit", property->unit ? property->unit : "");
		json_shut(&json, '}');
	}
	json_shut(&json, '}');
	printf("%.*s\n", (int)text.size, text.data);
	text_free(&text);
}

/* The lines are those of a configuration file: what is printed can be read again. */
static void print_lines(const struct settings *settings)
{
	const struct weir_property *property = NULL;
	char value[128];

	while ((property = weir_config_next(property)) != NULL)
		if (weir_config_get(&settings->config, property->key, value, sizeof(value)) >= 0)
			printf("%-22s = %-12s # %s\n", property->key, value,
			       settings_origin(settings, property->key));
}

static int config_main(int argc, char **argv)
{
	struct settings settings;
	bool json = false;
	int end;

	settings_init(&settings);
	end = args_parse(&command_config, argc, argv, &settings, take, &json);
	if (end >= 0)
		return end;
	end = settings_apply(&settings);
	if (end != END_OK)
		return end;
	if (json)
		print_json(&settings);
	else
		print_lines(&settings);
	return finish_output();
}

const struct command command_config = {
	.name = "config",
	.operands = "",
	.summary = "show the value of every key and where it comes from",
	.more = "Later wins: default, preset, file, environment, flag. What is printed is itself a "
	        "configuration file.",
	.flags = flags,
	.config = true,
	.run = config_main,
};
