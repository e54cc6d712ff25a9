/* SPDX-License-Identifier: Apache-2.0 */
/* args_fuzz.c - a command line, and the settings that come of it. */
#include <sys/mman.h>
#include <unistd.h>
#include <weir/config.h>

#include "../../tools/weir/args.h"
#include "fuzz.h"

extern char **environ;

static const struct flag flags[] = {
	{ "sink", "URI", "" }, { "json", NULL, "" }, { "no-progress", NULL, "" }, { "b", NULL, "" },
	{ NULL, NULL, NULL },
};
static const struct command with = { .name = "with", .flags = flags, .config = true };
static const struct command without = { .name = "without" };

static int take(void *arg, const char *name, const char *value)
{
	unsigned *taken = arg;
	uint64_t number;

	++*taken;
	if (name && strcmp(name, "sink") == 0 && args_number(value, 1, 1024, &number) == 0)
		FUZZ_TRUE(number >= 1 && number <= 1024);
	FUZZ_TRUE(name || value);
	return value && strcmp(value, "stop") == 0 ? args_none(NULL, name, value) : END_OK;
}

static const char *write_file(const uint8_t *bytes, size_t count)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("settings", MFD_CLOEXEC);
	FUZZ_TRUE(fd >= 0 && ftruncate(fd, 0) == 0);
	FUZZ_TRUE(pwrite(fd, bytes, count, 0) == (ssize_t)count);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* Lines up to an empty one, or to the end. */
static size_t take_lines(struct feed *feed, char **lines, size_t room)
{
	size_t count = 0;

	while (feed->left && count < room) {
		lines[count] = feed_line(feed);
		if (!*lines[count++])
			break;
	}
	return count;
}

/*
 * The first byte: what the command is like; then a word a line, an empty one, variables of the
 * environment, an empty one, and the file that --config names, whatever its name.
 */
void fuzz_args(const uint8_t *data, size_t size)
{
	static struct settings settings;
	struct feed feed = { data, size };
	uint8_t how = feed_u8(&feed);
	char *words[260] = { "weir" }, *vars[40], **before = environ;
	size_t count = take_lines(&feed, words + 1, 258), var_count = take_lines(&feed, vars, 39);
	unsigned taken = 0;
	int end;

	vars[var_count] = NULL;
	settings_init(&settings);
	if (how & 1)
		end = args_parse(&without, (int)count + 1, words, NULL, take, &taken);
	else
		end = args_parse(&with, (int)count + 1, words, &settings, take, &taken);
	FUZZ_TRUE(end >= -1 && end <= END_USAGE);
	FUZZ_TRUE(settings.flag_count <= SETTINGS_FLAGS_MAX);
	if (settings.file)
		settings.file = how & 2 ? "/nowhere/at/all" : write_file(feed.at, feed.left);
	environ = vars;
	fuzz_no_files = how & 4; /* the second reading of the file, for its lines */
	if (end == -1 && settings_apply(&settings) == END_OK)
		for (const struct weir_property *p = NULL; (p = weir_config_next(p));)
			FUZZ_TRUE(*settings_origin(&settings, p->key));
	FUZZ_TRUE(!*settings_origin(&settings, "no-such-key"));
	fuzz_no_files = false;
	environ = before;
	for (size_t i = 0; i < count; i++)
		free(words[i + 1]);
	for (size_t i = 0; i < var_count; i++)
		free(vars[i]);
}
