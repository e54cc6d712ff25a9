/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help.c - `weir help`: the commands, one command, or one configuration key.
 *
 * Everything about a key comes from the library's property table. thread: main
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <weir/config.h>

#include "args.h"
#include "command.h"

#define COLUMNS 100u

/* A paragraph, every line of it indented. */
static void paragraph(const char *text, unsigned indent)
{
	unsigned column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column == 0 || column + 1 + word > COLUMNS) {
			printf("%s%*s", column ? "\n" : "", (int)indent, "");
			column = indent;
		} else {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)word, text);
		column += (unsigned)word;
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

void command_list(void)
{
	puts("weir - stands between threads that push records and a sink that takes batches\n");
	printf("usage: weir COMMAND [FLAGS] [OPERANDS]\n\ncommands:\n");
	for (size_t i = 0; commands[i]; i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n`weir help COMMAND` explains a command, `weir help KEY` a configuration key.");
	puts("\nkeys:");
	for (const struct weir_property *p = NULL; (p = weir_config_next(p)) != NULL;)
		printf("  %-22s %s\n", p->key, p->initial);
	puts("\nexit codes:\n"
	     "  0  ok\n"
	     "  1  damage was found, or an input or output failed\n"
	     "  2  usage\n"
	     "  3  the sink could not be opened, broke or dropped records\n"
	     "  4  the close deadline passed with records left");
}

static void print_flags(const struct flag *flag)
{
	for (; flag->name; flag++) {
		printf("  --%s%s%s\n", flag->name, flag->value ? " " : "",
		       flag->value ? flag->value : "");
		paragraph(flag->meaning, 8);
	}
}

void command_explain(const struct command *command)
{
	printf("usage: weir %s%s%s%s\n\n", command->name, command->flags ? " [FLAGS]" : "",
	       command->operands[0] ? " " : "", command->operands);
	paragraph(command->summary, 0);
	if (command->more) {
		putchar('\n');
		paragraph(command->more, 0);
	}
	if (command->flags) {
		printf("\nflags:\n");
		print_flags(command->flags);
	}
	if (!command->config)
		return;
	printf("\nsettings (later wins: default, preset, file, environment, flag):\n");
	print_flags(settings_flags);
	printf("  --KEY VALUE\n");
	paragraph("Set a configuration key, with - or _ in its name:", 8);
	for (const struct weir_property *p = NULL; (p = weir_config_next(p)) != NULL;)
		printf("          %-22s %s\n", p->key, p->initial);
}

static const char *type_name(enum weir_property_type type)
{
	switch (type) {
	case WEIR_TYPE_COUNT:
		return "a whole number; k, M, G and Ki, Mi, Gi are understood";
	case WEIR_TYPE_BYTES:
		return "a size: 65536, 64KiB, 1MB";
	case WEIR_TYPE_DURATION:
		return "a time with its unit: 300us, 5ms, 1.5s, 1m";
	case WEIR_TYPE_PERCENT:
		return "a percentage, 1 to 100";
	case WEIR_TYPE_ENUM:
		return "a word";
	case WEIR_TYPE_INTEGER:
		return "a whole number, perhaps negative";
	case WEIR_TYPE_NAME:
		return "a name: letters, digits, - _ .";
	}
	return "";
}

static void explain_key(const struct weir_property *property)
{
	printf("%s\n\n", property->key);
	paragraph(property->meaning, 2);
	printf("\n  type     %s\n", type_name(property->type));
	if (property->choices)
		printf("  choices  %s\n", property->choices);
	if (property->unit && property->unit[0])
		printf("  unit     %s\n", property->unit);
	printf("  range    %s\n", property->range);
	printf("  default  %s\n", property->initial);
	if (property->trades && property->trades[0]) {
		printf("\n  what it trades\n");
		paragraph(property->trades, 4);
	}
	printf("\n  flag     --%s VALUE\n  file     %s = VALUE\n  environ  WEIR_", property->key,
	       property->key);
	for (const char *c = property->key; *c; c++)
		putchar(toupper((unsigned char)*c));
	printf("\n");
}

static const struct weir_property *find_key(const char *word)
{
	const struct weir_property *property = NULL;

	while ((property = weir_config_next(property)) != NULL) {
		size_t i = 0;

		while (word[i] && (word[i] == '-' ? '_' : word[i]) == property->key[i])
			i++;
		if (!word[i] && !property->key[i])
			break;
	}
	return property;
}

static int explain(const char *word)
{
	const struct command *command = command_find(word);
	const struct weir_property *property = find_key(word);
	struct nearest nearest = { 0 };

	if (command) {
		command_explain(command);
		if (property) {
			printf("\n");
			explain_key(property);
		}
		return finish_output();
	}
	if (property) {
		explain_key(property);
		return finish_output();
	}
	for (size_t i = 0; commands[i]; i++)
		nearest_try(&nearest, word, commands[i]->name);
	while ((property = weir_config_next(property)) != NULL)
		nearest_try(&nearest, word, property->key);
	if (nearest.name)
		say("no command and no key '%s' (did you mean '%s'?)", word, nearest.name);
	else
		say("no command and no key '%s'; `weir help` lists them", word);
	return END_USAGE;
}

static int take(void *arg, const char *name, const char *value)
{
	const char **word = arg;

	if (name || *word)
		return args_none(NULL, name, value);
	*word = value;
	return END_OK;
}

static int help_main(int argc, char **argv)
{
	const char *word = NULL;
	int end = args_parse(&command_help, argc, argv, NULL, take, &word);

	if (end >= 0)
		return end;
	if (word)
		return explain(word);
	command_list();
	return finish_output();
}

const struct command command_help = {
	.name = "help",
	.operands = "[COMMAND|KEY]",
	.summary = "explain a command or a configuration key",
	.run = help_main,
};
