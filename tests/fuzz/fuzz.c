/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.c - the list of targets, and what they share: bytes, memory that fails on request.
 *
 * mallocx and sdallocx are defined here: base/mem.c takes them for an allocator's own interface,
 * and so every request of the library comes by, with the size it gives back.
 */
#include "fuzz.h"

#include <stdarg.h>

#include "../../tools/weir/command.h"

const struct fuzz_target fuzz_targets[] = {
	{ "args", fuzz_args, 2600 },
	{ "config_env", fuzz_config_env, 512 },
	{ "config_file", fuzz_config_file, 9000 },
	{ "config_set", fuzz_config_set, 200 },
	{ "cpus", fuzz_cpus, 64 },
	{ "frames", fuzz_frames, 256 },
	{ "json", fuzz_json, 600 },
	{ "log_dir", fuzz_log_dir, 1500 },
	{ "log_header", fuzz_log_header, 512 },
	{ "log_segment", fuzz_log_segment, 1500 },
	{ "probe", fuzz_probe, 300 },
	{ "records", fuzz_records, 512 },
	{ "sink_fd", fuzz_sink_fd, 400 },
	{ "units", fuzz_units, 64 },
	{ "uri", fuzz_uri, 400 },
	{ "when", fuzz_when, 64 },
	{ NULL, NULL, 0 },
};

const struct fuzz_target *fuzz_find(const char *name)
{
	for (const struct fuzz_target *target = fuzz_targets; name && target->name; target++)
		if (strcmp(target->name, name) == 0)
			return target;
	return NULL;
}

_Noreturn void fuzz_broken(const char *file, int line, const char *promise)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, promise);
	fflush(stderr);
	abort();
}

uint8_t feed_u8(struct feed *feed)
{
	if (!feed->left)
		return 0;
	feed->left--;
	return *feed->at++;
}

uint16_t feed_u16(struct feed *feed)
{
	uint16_t low = feed_u8(feed);

	return (uint16_t)(low | feed_u8(feed) << 8);
}

uint64_t feed_u64(struct feed *feed)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t)feed_u8(feed) << 8 * i;
	return value;
}

const uint8_t *feed_bytes(struct feed *feed, size_t bytes, size_t *ret_bytes)
{
	const uint8_t *at = feed->at;

	*ret_bytes = bytes < feed->left ? bytes : feed->left;
	feed->at += *ret_bytes;
	feed->left -= *ret_bytes;
	return at;
}

char *feed_text(struct feed *feed, size_t bytes)
{
	size_t count;
	const uint8_t *at = feed_bytes(feed, bytes, &count);
	char *text = malloc(count + 1);

	FUZZ_TRUE(text);
	if (count)
		memcpy(text, at, count);
	text[count] = '\0';
	return text;
}

char *feed_line(struct feed *feed)
{
	const uint8_t *end = feed->left ? memchr(feed->at, '\n', feed->left) : NULL;
	char *text = feed_text(feed, end ? (size_t)(end - feed->at) : feed->left);

	if (end)
		feed_u8(feed);
	return text;
}

unsigned fuzz_touch(const void *data, size_t bytes)
{
	const volatile uint8_t *at = data;
	unsigned sum = 0;

	for (size_t i = 0; i < bytes; i += i < 4096 ? 1 : 509) /* and the last one below */
		sum += at[i];
	return bytes ? sum + at[bytes - 1] : 0;
}

static unsigned fail_in, fail_count;
static long live;

void fuzz_fail_memory(unsigned nth, unsigned count)
{
	fail_in = nth;
	fail_count = count;
}

long fuzz_memory_live(void)
{
	return live;
}

static bool fails_now(void)
{
	if (fail_in > 1) {
		fail_in--;
		return false;
	}
	if (!fail_count)
		return false;
	fail_count--;
	return true;
}

void *mallocx(size_t bytes, int flags);
void sdallocx(void *memory, size_t bytes, int flags);

/* The size lies in front, so that giving back another one is noticed. */
void *mallocx(size_t bytes, int flags)
{
	size_t *block;

	(void)flags;
	if (fails_now())
		return NULL;
	block = calloc(1, bytes + 16);
	FUZZ_TRUE(block);
	*block = bytes;
	live++;
	return block + 2;
}

void sdallocx(void *memory, size_t bytes, int flags)
{
	size_t *block = (size_t *)memory - 2;

	(void)flags;
	FUZZ_TRUE(*block == bytes);
	live--;
	free(block);
}

/* Stand in for main.c, help.c and out.c of the command. */
unsigned fuzz_said;

void say(const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	fuzz_said += (unsigned)vsnprintf(text, sizeof(text), format, args) + 1;
	va_end(args);
}

int finish_output(void)
{
	return END_OK;
}

void command_explain(const struct command *command)
{
	fuzz_said += (unsigned)strlen(command->name);
}
