/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the words of `weir sim`, which starts this program.
 *
 * It is a program of its own since it takes the library's objects with another system table: the
 * command `weir` has the kernel's. The words are checked by the command; they are read again here,
 * so that the program can be started alone.
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct run run;

static _Noreturn void usage(const char *what, const char *value)
{
	fprintf(stderr, "weir sim: %s: %s; `weir help sim` explains it\n", what, value);
	exit(2);
}

static uint64_t number(const char *text, const char **ret_end)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (end == text || errno || text[0] == '-' || (!ret_end && *end))
		usage("not a number", text);
	if (ret_end)
		*ret_end = end;
	return value;
}

static void take_seeds(const char *text)
{
	const char *rest;

	run.first = run.last = number(text, &rest);
	if (!strncmp(rest, "..", 2))
		run.last = number(rest + 2, &rest);
	if (*rest || run.last < run.first)
		usage("not a seed or A..B", text);
}

static void take_off(const char *text)
{
	char word[64];

	while (*text) {
		size_t length = strcspn(text, ",");
		int kind;

		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		kind = fault_find(word);
		if (kind < 0)
			usage("no such kind of fault", word);
		options.off[kind] = 1;
		text += length + (text[length] == ',');
	}
}

static void list_kinds(void)
{
	for (uint32_t i = 0; i < F_KINDS; i++)
		printf("%-18s %s\n", fault_kinds[i].name, fault_kinds[i].meaning);
	exit(0);
}

static const struct option words[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "steps", required_argument, NULL, 'n' },
	{ "producers", required_argument, NULL, 'p' },
	{ "records", required_argument, NULL, 'r' },
	{ "lives", required_argument, NULL, 'l' },
	{ "off", required_argument, NULL, 'o' },
	{ "sink", required_argument, NULL, 'k' },
	{ "sink-so", required_argument, NULL, 'K' },
	{ "json", no_argument, NULL, 'J' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "trace", no_argument, NULL, 't' },
	{ "minimise", no_argument, NULL, 'm' },
	{ "stop", no_argument, NULL, 'S' },
	{ "every-kind", no_argument, NULL, 'e' },
	{ "kinds", no_argument, NULL, 'L' },
	{ NULL, 0, NULL, 0 },
};

static void take(int word)
{
	switch (word) {
	case 's':
		take_seeds(optarg);
		break;
	case 'j':
		run.jobs = (uint32_t)number(optarg, NULL);
		if (!run.jobs || run.jobs > 64)
			usage("--jobs is 1 to 64", optarg);
		break;
	case 'n':
		options.steps = number(optarg, NULL);
		break;
	case 'p':
		options.producers = number(optarg, NULL);
		break;
	case 'r':
		options.records = number(optarg, NULL);
		break;
	case 'l':
		options.lives = number(optarg, NULL);
		break;
	case 'o':
		take_off(optarg);
		break;
	case 'k':
		options.sink = optarg;
		break;
	case 'K':
		options.sink_so = optarg;
		break;
	default:
		usage("unknown flag", optarg ? optarg : "?");
	}
}

int main(int argc, char **argv)
{
	int word;

	run = (struct run){ .first = 1, .last = 1, .jobs = 1 };
	while ((word = getopt_long(argc, argv, "", words, NULL)) != -1) {
		if (word == 'J')
			run.json = 1;
		else if (word == 'q')
			run.quiet = 1;
		else if (word == 't')
			options.trace = 1;
		else if (word == 'm')
			run.minimise = 1;
		else if (word == 'S')
			run.stop = 1;
		else if (word == 'e')
			run.all_kinds = 1;
		else if (word == 'L')
			list_kinds();
		else
			take(word);
	}
	if (optind < argc)
		usage("too many words", argv[optind]);
	if (options.sink && options.sink_so)
		usage("one of --sink and --sink-so", options.sink);
	return run_seeds(&run);
}
