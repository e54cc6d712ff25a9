/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - finds the sub-command. It does not know what any of them does. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "command.h"

const struct command *const commands[] = {
	&command_ingest,  &command_cat,  &command_verify,  &command_doctor, &command_config,
	&command_presets, &command_sim,  &command_bench,  &command_help,   &command_version, NULL,
};

static const char *called;

void say_as(const char *name)
{
	called = name;
}

void say(const char *format, ...)
{
	char text[8192];
	int head = snprintf(text, sizeof(text), "weir%s%s: ", called ? " " : "",
	                    called ? called : "");
	size_t at = (size_t)head, room = sizeof(text) - at - 1;
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text + at, room, format, list);
	va_end(list);
	if (n > 0)
		at += (size_t)n < room ? (size_t)n : room - 1;
	text[at++] = '\n';
	if (write(STDERR_FILENO, text, at) < 0)
		return; /* nobody is left who could be told */
}

int finish_output(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return END_OK;
	say("cannot write the results: %s", strerror(errno ? errno : EIO));
	return END_CHECK;
}

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static const struct command *alias(const char *word)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return &command_help;
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return &command_version;
	return command_find(word);
}

static int unknown(const char *word)
{
	struct nearest nearest = { 0 };

	for (size_t i = 0; commands[i]; i++)
		nearest_try(&nearest, word, commands[i]->name);
	if (nearest.name)
		say("no command '%s' (did you mean '%s'?)", word, nearest.name);
	else
		say("no command '%s'; `weir help` lists them", word);
	return END_USAGE;
}

/*
 * A standard descriptor that is closed would be given to the next file that is opened, and a
 * summary be written into a log. Its place is taken by something that cannot be used the way it is
 * meant.
 */
static void hold_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			_exit(END_CHECK);
}

int main(int argc, char **argv)
{
	const struct command *command;

	hold_descriptors();
	if (argc < 2) {
		say("a command is missing; `weir help` lists them");
		return END_USAGE;
	}
	command = alias(argv[1]);
	if (!command)
		return unknown(argv[1]);
	say_as(command->name);
	return command->run(argc - 1, argv + 1);
}
