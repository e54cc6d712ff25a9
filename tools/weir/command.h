/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - what the sub-commands of `weir` share: how they are listed, talk and end.
 *
 * Results go to standard output, everything else to standard error. The command sees include/weir
 * only, like any other application. thread: main, unless a function says otherwise.
 */
#ifndef WEIR_COMMAND_H
#define WEIR_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a command ends. */
enum {
	END_OK = 0,
	END_CHECK = 1, /* damage was found, or an input or output failed */
	END_USAGE = 2, /* a flag, a key, a value or an address is wrong */
	END_SINK = 3,  /* the sink could not be opened, broke, or dropped records */
	END_LEFT = 4   /* the close deadline passed, or a second signal came, with records left */
};

/* One flag. */
struct flag {
	const char *name;    /* "frame" */
	const char *value;   /* what its value is called, NULL: it takes none */
	const char *meaning; /* one sentence */
};

struct command {
	const char *name;
	const char *operands; /* "[FILE...]" */
	const char *summary;
	const char *more;         /* further sentences for `weir help NAME`, or NULL */
	const struct flag *flags; /* ends with a NULL name */
	bool config;              /* every configuration key is a flag too */
	int (*run)(int argc, char **argv);
};

extern const struct command command_ingest, command_cat, command_verify, command_doctor,
	command_config, command_presets, command_sim, command_bench, command_help, command_version;
/* NULL ends it. */
extern const struct command *const commands[];

const struct command *command_find(const char *name);
/* Prints what `weir help` prints, or `weir help NAME`. */
void command_list(void);
void command_explain(const struct command *command);

/* "weir NAME: sentence\n" on standard error, in one write. thread: any */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
/* Which NAME. */
void say_as(const char *name);

/* Flushes standard output: END_OK, or END_CHECK after a message. */
int finish_output(void);

#endif
