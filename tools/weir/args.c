/* SPDX-License-Identifier: Apache-2.0 */
/* args.c - see args.h. */
#include "args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 63

/* '-' and '_' are one letter in a flag. */
static char plain(char c)
{
	return c == '-' ? '_' : c;
}

/* Whether the first @length letters of @word are @name. */
static bool same(const char *word, size_t length, const char *name)
{
	for (size_t i = 0; i < length; i++)
		if (!name[i] || plain(word[i]) != plain(name[i]))
			return false;
	return name[length] == '\0';
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters differ, are missing or stand too much; a swap of neighbours counts once. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1];
	size_t a_length = strnlen(a, WORD_MAX), b_length = strnlen(b, WORD_MAX);

	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned change = plain(a[i - 1]) != plain(b[j - 1]);

			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + change);
			if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) &&
			    plain(a[i - 2]) == plain(b[j - 1]))
				row[j] = least(row[j], rows[(i + 1) % 3][j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

void nearest_try(struct nearest *nearest, const char *word, const char *candidate)
{
	unsigned d = distance(word, candidate);

	if (d > 1 + strlen(word) / 4 || d >= strlen(word))
		return;
	if (!nearest->name || d < nearest->distance)
		*nearest = (struct nearest){ candidate, d };
}

int args_number(const char *text, uint64_t least_value, uint64_t most, uint64_t *ret)
{
	char *end;
	uint64_t value;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value < least_value || value > most)
		return -1;
	*ret = value;
	return 0;
}

int args_none(void *arg, const char *name, const char *value)
{
	(void)arg;
	say("unexpected '%s'", name ? name : value);
	return END_USAGE;
}

/* One word that begins with "--", taken apart. */
struct word {
	const char *name;
	size_t length;
	const char *value; /* behind '=', or NULL */
};

struct line {
	const struct command *command;
	struct settings *settings;
	char **argv;
	int argc, at;
};

static int take_value(struct line *line, const struct word *word, const char **ret_value)
{
	*ret_value = word->value;
	if (*ret_value)
		return END_OK;
	if (line->at >= line->argc) {
		say("--%.*s needs a value", (int)word->length, word->name);
		return END_USAGE;
	}
	*ret_value = line->argv[line->at++];
	return END_OK;
}

/* 1: it was a flag of the settings; 0: it was not; else -(how to end). */
static int settings_word(struct line *line, const struct word *word)
{
	struct settings *settings = line->settings;
	const struct weir_property *property = NULL;
	const char *value;

	if (same(word->name, word->length, "no-env") && !word->value) {
		settings->env = NULL;
		return 1;
	}
	for (size_t i = 0; settings_flags[i].name; i++) {
		const char *name = settings_flags[i].name;

		if (!settings_flags[i].value || !same(word->name, word->length, name))
			continue;
		if (take_value(line, word, &value))
			return -END_USAGE;
		if (strcmp(name, "preset") == 0)
			settings->preset = value;
		else if (strcmp(name, "config") == 0)
			settings->file = value;
		else
			settings->env = value;
		return 1;
	}
	while ((property = weir_config_next(property)) != NULL) {
		if (!same(word->name, word->length, property->key))
			continue;
		if (take_value(line, word, &value))
			return -END_USAGE;
		if (settings->flag_count == SETTINGS_FLAGS_MAX) {
			say("more than %d settings on the command line", SETTINGS_FLAGS_MAX);
			return -END_USAGE;
		}
		settings->flags[settings->flag_count].key = property->key;
		settings->flags[settings->flag_count++].value = value;
		return 1;
	}
	return 0;
}

static int unknown_flag(const struct line *line, const struct word *word)
{
	const struct weir_property *property = NULL;
	struct nearest nearest = { 0 };
	char name[WORD_MAX + 1];
	size_t length = word->length < WORD_MAX ? word->length : WORD_MAX;

	memcpy(name, word->name, length);
	name[length] = '\0';
	for (const struct flag *flag = line->command->flags; flag && flag->name; flag++)
		nearest_try(&nearest, name, flag->name);
	if (line->settings) {
		for (size_t i = 0; settings_flags[i].name; i++)
			nearest_try(&nearest, name, settings_flags[i].name);
		while ((property = weir_config_next(property)) != NULL)
			nearest_try(&nearest, name, property->key);
	}
	if (nearest.name) {
		char hint[WORD_MAX + 1];

		snprintf(hint, sizeof(hint), "%s", nearest.name);
		for (char *c = hint; *c; c++)
			*c = *c == '_' ? '-' : *c;
		say("no flag '--%s' (did you mean '--%s'?)", name, hint);
	} else {
		say("no flag '--%s'; `weir help %s` lists them", name, line->command->name);
	}
	return END_USAGE;
}

static int flag_word(struct line *line, const char *text, args_take take, void *arg)
{
	struct word word = { text, strcspn(text, "="), NULL };
	const char *value = NULL;
	int r;

	if (text[word.length] == '=')
		word.value = text + word.length + 1;
	for (const struct flag *flag = line->command->flags; flag && flag->name; flag++) {
		if (!same(word.name, word.length, flag->name))
			continue;
		if (flag->value && take_value(line, &word, &value))
			return END_USAGE;
		if (!flag->value && word.value) {
			say("--%s takes no value", flag->name);
			return END_USAGE;
		}
		return take(arg, flag->name, value);
	}
	r = line->settings ? settings_word(line, &word) : 0;
	if (r)
		return r < 0 ? -r : END_OK;
	return unknown_flag(line, &word);
}

int args_parse(const struct command *command, int argc, char **argv, struct settings *settings,
               args_take take, void *arg)
{
	struct line line = { command, settings, argv, argc, 1 };
	bool operands_only = false;

	while (line.at < argc) {
		const char *word = argv[line.at++];
		int r;

		if (!operands_only && strcmp(word, "--") == 0) {
			operands_only = true;
			continue;
		}
		if (!operands_only && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
			command_explain(command);
			return finish_output();
		}
		if (!operands_only && word[0] == '-' && word[1] == '-') {
			r = flag_word(&line, word + 2, take, arg);
		} else if (!operands_only && word[0] == '-' && word[1]) {
			say("no flag '%s'; `weir help %s` lists them", word, command->name);
			r = END_USAGE;
		} else {
			r = take(arg, NULL, word);
		}
		if (r)
			return r;
	}
	return -1;
}
