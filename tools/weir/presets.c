/* SPDX-License-Identifier: Apache-2.0 */
/* presets.c - `weir presets`: the named sets of values. thread: main */
#include <stdio.h>
#include <string.h>
#include <weir/config.h>

#include "args.h"
#include "command.h"
#include "text.h"

static const struct flag flags[] = {
	{ "json", NULL, "One JSON object: {PRESET: {KEY: VALUE}}." },
	{ NULL, NULL, NULL },
};

static int take(void *arg, const char *name, const char *value)
{
	if (!name)
		return args_none(arg, name, value);
	*(bool *)arg = true;
	return END_OK;
}

/* The next key after @property in which @config differs from the defaults; @ret its value. */
static const struct weir_property *next_difference(const struct weir_config *config,
                                                   const struct weir_property *property,
                                                   char *ret, size_t bytes)
{
	struct weir_config initial;
	char before[128];

	weir_config_init(&initial);
	while ((property = weir_config_next(property)) != NULL)
		if (weir_config_get(&initial, property->key, before, sizeof(before)) >= 0 &&
		    weir_config_get(config, property->key, ret, bytes) >= 0 &&
		    strcmp(before, ret) != 0)
			return property;
	return NULL;
}

static void put_preset(struct json *json, struct text *lines, const char *name)
{
	const struct weir_property *property = NULL;
	struct weir_config config;
	char value[128];
	const char *before = " ";

	weir_config_init(&config);
	if (weir_config_preset(&config, name, NULL) < 0)
		return;
	json_open(json, name, '{');
	text_format(lines, "%-18s", name);
	while ((property = next_difference(&config, property, value, sizeof(value))) != NULL) {
		json_string(json, property->key, value);
		text_format(lines, "%s%s = %s", before, property->key, value);
		before = ", ";
	}
	text_format(lines, "%s\n", before[0] == ' ' ? " the defaults" : "");
	json_shut(json, '}');
}

static int presets_main(int argc, char **argv)
{
	struct text lines = { 0 }, text = { 0 };
	struct json json = { .text = &text };
	bool as_json = false;
	const char *name;
	int end = args_parse(&command_presets, argc, argv, NULL, take, &as_json);

	if (end >= 0)
		return end;
	json_open(&json, NULL, '{');
	for (size_t i = 0; (name = weir_config_preset_name(i)) != NULL; i++)
		put_preset(&json, &lines, name);
	json_shut(&json, '}');
	text_put(&text, "\n", 1);
	if (as_json)
		fwrite(text.data, 1, text.size, stdout);
	else
		fwrite(lines.data, 1, lines.size, stdout);
	text_free(&lines);
	text_free(&text);
	return finish_output();
}

const struct command command_presets = {
	.name = "presets",
	.operands = "",
	.summary = "list the named sets of values and what they change",
	.flags = flags,
	.run = presets_main,
};
