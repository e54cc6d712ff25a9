/* SPDX-License-Identifier: Apache-2.0 */
/* beside.c - see beside.h. thread: main */
#include "beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

static int add(struct words *words, const char *text)
{
	if (words->count + 1 >= WORDS_MAX) {
		say("too many words");
		return END_USAGE;
	}
	words->at[words->count++] = (char *)(uintptr_t)text;
	words->at[words->count] = NULL;
	return END_OK;
}

/* "--name value" as two words. */
static int take(void *arg, const char *name, const char *value)
{
	struct words *words = arg;
	size_t bytes;
	char *text;
	int end;

	if (!name && !words->command->operands[0])
		return args_none(NULL, name, value);
	if (!name)
		return add(words, value);
	bytes = strlen(name) + 3;
	text = malloc(bytes);
	if (!text) {
		say("no memory");
		return END_CHECK;
	}
	snprintf(text, bytes, "--%s", name);
	end = add(words, text);
	if (end)
		free(text);
	return end || !value ? end : add(words, value);
}

int words_take(struct words *words, const struct command *command, const char *name, int argc,
               char **argv)
{
	int end = add(words, name);

	words->command = command;
	return end ? end : args_parse(command, argc, argv, NULL, take, words);
}

void become_beside(const char *place, const struct words *words)
{
	char path[2 * PATH_BYTES], self[PATH_BYTES];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return;
	*slash = 0;
	snprintf(path, sizeof(path), "%s/%s", self, place);
	execv(path, words->at);
}
