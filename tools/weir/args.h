/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.h - the words of a command line: --flag value, --flag=value, operands; and every
 * configuration key as a flag.
 *
 * It knows flags and where settings come from. It does not know what they do.
 */
#ifndef WEIR_ARGS_H
#define WEIR_ARGS_H

#include <weir/config.h>

#include "command.h"

#define SETTINGS_FLAGS_MAX 128
#define SETTINGS_KEYS_MAX 64

/* Where the value of a key comes from. */
struct origin {
	char text[192];
};

/* The configuration of a run: default < preset < file < environment < flags. */
struct settings {
	struct weir_config config;
	const char *preset;
	const char *file;
	const char *env; /* prefix; NULL: the environment is not read */
	struct {
		const char *key;
		const char *value;
	} flags[SETTINGS_FLAGS_MAX];
	size_t flag_count;
	struct origin origins[SETTINGS_KEYS_MAX]; /* in the order of weir_config_next() */
};

void settings_init(struct settings *settings);
/* Puts the layers on each other and checks the result. END_OK, or END_USAGE after a message. */
int settings_apply(struct settings *settings);
/* Where @key comes from. */
const char *settings_origin(const struct settings *settings, const char *key);
/* The flags that settings are read from, for help. */
extern const struct flag settings_flags[];

/*
 * Gets a flag (@name as in the command's table) or an operand (@name NULL). Returns END_OK, or how
 * to end, after a message.
 */
typedef int (*args_take)(void *arg, const char *name, const char *value);

/* Reads the whole line. -1: go on; else how to end. @settings NULL: the command has none. */
int args_parse(const struct command *command, int argc, char **argv, struct settings *settings,
               args_take take, void *arg);

/* For a command without operands or flags of its own. */
int args_none(void *arg, const char *name, const char *value);

/* "did you mean": zero it, try names, look at name. */
struct nearest {
	const char *name;
	unsigned distance;
};
void nearest_try(struct nearest *nearest, const char *word, const char *candidate);

/* A number from text, @least..@most. 0 or -1. */
int args_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret);

#endif
