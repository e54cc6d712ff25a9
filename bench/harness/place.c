/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - see place.h. It knows directories; it does not know what is written there. */
#include "harness/place.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PREFIX "weir-bench."

static const char *directory(enum place place)
{
	const char *tmpdir = getenv("TMPDIR");

	if (place == PLACE_TMPFS)
		return "/dev/shm";
	return tmpdir && tmpdir[0] && strlen(tmpdir) < PLACE_PATH / 2 ? tmpdir : "/var/tmp";
}

const char *place_name(enum place place)
{
	return place == PLACE_TMPFS ? "tmpfs" : "disk";
}

void place_path(enum place place, uint32_t n, char path[PLACE_PATH])
{
	snprintf(path, PLACE_PATH, "%s/" PREFIX "%d.%u", directory(place), (int)getpid(), n);
}

void place_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir) {
		unlink(path);
		return;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(path);
}

void place_tidy(enum place place)
{
	const char *where = directory(place);
	DIR *dir = opendir(where);
	struct dirent *entry;
	char path[PLACE_PATH + 256];

	while (dir && (entry = readdir(dir))) {
		long pid = 0;

		if (!strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1))
			pid = strtol(entry->d_name + sizeof(PREFIX) - 1, NULL, 10);
		if (pid <= 0 || !kill((pid_t)pid, 0) || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%s/%s", where, entry->d_name);
		place_remove(path);
	}
	if (dir)
		closedir(dir);
}

int place_is_good(enum place place, uint64_t bytes, char why[BENCH_WHY])
{
	const char *where = directory(place);
	struct statfs fs;

	if (statfs(where, &fs)) {
		snprintf(why, BENCH_WHY, "%.60s: %.50s", where, strerror(errno));
		return 0;
	}
	if ((fs.f_type == TMPFS_MAGIC) != (place == PLACE_TMPFS)) {
		snprintf(why, BENCH_WHY, "%.60s is %s tmpfs", where,
		         place == PLACE_TMPFS ? "no" : "on a");
		return 0;
	}
	if ((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < bytes) {
		snprintf(why, BENCH_WHY, "%.60s has too little room", where);
		return 0;
	}
	return 1;
}
