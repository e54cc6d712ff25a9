/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_fuzz.c - what the kernel's files say of control groups. Opening them is wrapped by the
 * linker: each path leads to the next piece of the input.
 */
#include <errno.h>
#include <unistd.h>

#include "../../tools/weir/probe.h"
#include "fuzz.h"

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);

static struct feed *feed; /* NULL: nothing is wrapped */
static unsigned version;
bool fuzz_no_files;

/* Up to the next LF LF: the contents; a piece that begins with '!' is a file that is missing. */
FILE *__wrap_fopen(const char *path, const char *mode)
{
	const uint8_t *end = feed && feed->left ? memmem(feed->at, feed->left, "\n\n", 2) : NULL;
	size_t bytes;
	const uint8_t *at;

	if (!feed)
		return fuzz_no_files ? NULL : __real_fopen(path, mode);
	FUZZ_TRUE(strlen(path) < 600);
	at = feed_bytes(feed, end ? (size_t)(end - feed->at) + 1 : feed->left, &bytes);
	if (end)
		feed_u8(feed);
	if (!bytes || *at == '!') {
		errno = ENOENT;
		return NULL;
	}
	if (*at == '?') /* an empty file */
		bytes = 0;
	return fmemopen((void *)(uintptr_t)at, bytes, "r");
}

int __wrap_access(const char *path, int mode)
{
	if (!feed)
		return __real_access(path, mode);
	switch (version) {
	case 2:
		return 0;
	case 1:
		return strstr(path, "memory") ? 0 : -1;
	case 3: /* the first version, of which one part is there */
		return strstr(path, "/cpu") ? 0 : -1;
	}
	return -1;
}

/* The first byte: which version; then /proc/self/cgroup, then a file for each that is opened. */
void fuzz_probe(const uint8_t *data, size_t size)
{
	struct feed input = { data, size };
	struct cgroup_limits limits;
	char line[64];

	feed = &input;
	version = feed_u8(&input) % 4;
	probe_cgroup(&limits);
	FUZZ_TRUE(limits.version == (version == 3 ? 1 : version));
	FUZZ_TRUE(limits.cpus >= 0);
	if (probe_line("x", line, sizeof(line)) == 0)
		FUZZ_TRUE(!strchr(line, '\n'));
	feed = NULL;
}
