/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c - the layers of a configuration, and which one each value comes from.
 *
 * The library applies and checks; this file only remembers who spoke last. A preset is named for
 * the keys that it changes.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

const struct flag settings_flags[] = {
	{ "preset", "NAME", "Begin with a named set of values; `weir presets` lists them." },
	{ "config", "FILE", "Read `key = value` lines." },
	{ "env", "PREFIX", "Read PREFIX_KEY from the environment instead of WEIR_KEY." },
	{ "no-env", NULL, "Do not read the environment." },
	{ NULL, NULL, NULL },
};

/* Other names that the environment may use for a key. */
static const struct {
	const char *name, *key;
} aliases[] = {
	{ "BATCH_THRESHOLD", "threshold" },
	{ "LOCATION_BATCH_THRESHOLD", "threshold" },
	{ "BATCH_TIME_THRESHOLD_SECONDS", "deadline" },
	{ "ENABLE_TIMER_FLUSH", "timer_mode" },
};

void settings_init(struct settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	settings->env = "WEIR";
}

static size_t place_of(const char *key)
{
	const struct weir_property *property = NULL;
	size_t i = 0;

	while ((property = weir_config_next(property)) != NULL && i < SETTINGS_KEYS_MAX) {
		if (strcmp(property->key, key) == 0)
			return i;
		i++;
	}
	return SETTINGS_KEYS_MAX;
}

const char *settings_origin(const struct settings *settings, const char *key)
{
	size_t i = place_of(key);

	return i < SETTINGS_KEYS_MAX ? settings->origins[i].text : "";
}

__attribute__((format(printf, 3, 4))) static void comes_from(struct settings *settings,
                                                             const char *key, const char *format,
                                                             ...)
{
	size_t i = place_of(key);
	va_list list;

	if (i == SETTINGS_KEYS_MAX)
		return;
	va_start(list, format);
	vsnprintf(settings->origins[i].text, sizeof(settings->origins[i].text), format, list);
	va_end(list);
}

/* Every key that differs from @before comes from here. */
static void note_changes(struct settings *settings, const struct weir_config *before,
                         const char *what, const char *name)
{
	const struct weir_property *property = NULL;
	char was[128], is[128];

	while ((property = weir_config_next(property)) != NULL)
		if (weir_config_get(before, property->key, was, sizeof(was)) >= 0 &&
		    weir_config_get(&settings->config, property->key, is, sizeof(is)) >= 0 &&
		    strcmp(was, is) != 0)
			comes_from(settings, property->key, "%s %s", what, name);
}

/* The file was read and found right: which line set which key? */
static void file_origins(struct settings *settings)
{
	FILE *file = fopen(settings->file, "re");
	char *line = NULL;
	size_t room = 0;
	unsigned number = 0;

	if (!file)
		return;
	while (getline(&line, &room, file) >= 0) {
		char *key = line + strspn(line, " \t"), *c;

		number++;
		for (c = key; *c && !strchr(" \t=\r\n", *c); c++)
			*c = *c == '-' ? '_' : (char)tolower((unsigned char)*c);
		*c = '\0';
		comes_from(settings, key, "file %s:%u", settings->file, number);
	}
	free(line);
	fclose(file);
}

static bool is_set(const char *prefix, const char *name, char *text, size_t bytes)
{
	const char *value;

	snprintf(text, bytes, "%s_%s", prefix, name);
	value = secure_getenv(text);
	return value && *value;
}

static void env_origins(struct settings *settings)
{
	const struct weir_property *property = NULL;
	char text[128], name[64];

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (is_set(settings->env, aliases[i].name, text, sizeof(text)))
			comes_from(settings, aliases[i].key, "environment %s", text);
	while ((property = weir_config_next(property)) != NULL) {
		size_t n = 0;

		for (; n < sizeof(name) - 1 && property->key[n]; n++)
			name[n] = (char)toupper((unsigned char)property->key[n]);
		name[n] = '\0';
		if (is_set(settings->env, name, text, sizeof(text)))
			comes_from(settings, property->key, "environment %s", text);
	}
}

static int apply_flags(struct settings *settings)
{
	for (size_t i = 0; i < settings->flag_count; i++) {
		const char *key = settings->flags[i].key;
		struct weir_why why = { "" };

		if (weir_config_set(&settings->config, key, settings->flags[i].value, &why) < 0) {
			say("%s", why.text);
			return END_USAGE;
		}
		comes_from(settings, key, "flag --%s", key);
	}
	return END_OK;
}

static int apply_layers(struct settings *settings)
{
	struct weir_why why = { "" };
	struct weir_config before;

	weir_config_init(&settings->config);
	for (size_t i = 0; i < SETTINGS_KEYS_MAX; i++)
		snprintf(settings->origins[i].text, sizeof(settings->origins[i].text), "default");
	before = settings->config;
	if (settings->preset) {
		if (weir_config_preset(&settings->config, settings->preset, &why) < 0)
			goto wrong;
		note_changes(settings, &before, "preset", settings->preset);
	}
	before = settings->config;
	if (settings->file) {
		if (weir_config_file(&settings->config, settings->file, &why) < 0)
			goto wrong;
		note_changes(settings, &before, "file", settings->file);
		file_origins(settings);
	}
	before = settings->config;
	if (settings->env && *settings->env) {
		if (weir_config_env(&settings->config, settings->env, &why) < 0)
			goto wrong;
		note_changes(settings, &before, "environment", settings->env);
		env_origins(settings);
	}
	return apply_flags(settings);
wrong:
	say("%s", why.text);
	return END_USAGE;
}

int settings_apply(struct settings *settings)
{
	struct weir_why why = { "" };
	int r = apply_layers(settings);

	if (r)
		return r;
	r = weir_config_check(&settings->config, &why);
	if (r < 0) {
		say("%s", why.text);
		return END_USAGE;
	}
	if (r > 0)
		say("note: %s", why.text);
	return END_OK;
}
