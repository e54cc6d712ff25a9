/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beside.h - becomes a program that lies beside this command, with the words it was given.
 *
 * It knows where this command lies. It does not know what is started. thread: main
 */
#ifndef WEIR_BESIDE_H
#define WEIR_BESIDE_H

#include "args.h"

#define WORDS_MAX 64

/* An argument vector like main()'s: it is never given back. */
struct words {
	const struct command *command;
	char *at[WORDS_MAX];
	int count;
};

/* Reads a command's line and writes it again, behind @name. -1: go on; else how to end. */
int words_take(struct words *words, const struct command *command, const char *name, int argc,
               char **argv);
/* Returns, with errno, if there is no such program at @place, seen from where this command lies. */
void become_beside(const char *place, const struct words *words);

#endif
