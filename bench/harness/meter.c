/* SPDX-License-Identifier: Apache-2.0 */
/* meter.c - see meter.h: switches and CPU time. The calls are in calls.c. */
#include "harness/meter.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int knows(const struct meter_threads *threads, pid_t id)
{
	for (uint32_t i = 0; threads && i < threads->count; i++)
		if (threads->id[i] == id)
			return 1;
	return 0;
}

void meter_threads(const struct meter_threads *known, struct meter_threads *ret)
{
	DIR *folder = opendir("/proc/self/task");
	const struct dirent *entry;

	if (!folder)
		bench_die("/proc/self/task cannot be read");
	ret->count = 0;
	while ((entry = readdir(folder))) {
		pid_t id = atoi(entry->d_name);

		if (id <= 0 || knows(known, id))
			continue;
		if (ret->count == METER_THREADS)
			bench_die("more threads than can be watched");
		ret->id[ret->count++] = id;
	}
	closedir(folder);
}

static uint64_t switches_of(pid_t id)
{
	static const char word[] = "voluntary_ctxt_switches:";
	char path[64], line[256];
	uint64_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)id);
	file = fopen(path, "re");
	if (!file)
		bench_die("%s cannot be read", path);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, word, sizeof(word) - 1))
			n = strtoull(line + sizeof(word) - 1, NULL, 10);
	fclose(file);
	return n;
}

/* The kernel's name for the CPU clock of any thread of this process. */
static clockid_t cpu_clock_of(pid_t id)
{
	return (clockid_t)(~(unsigned)id << 3 | 6u);
}

void meter_use(const struct meter_threads *threads, struct meter_use *ret)
{
	ret->wakeups = ret->cpu_ns = 0;
	for (uint32_t i = 0; i < threads->count; i++) {
		struct timespec used;

		if (clock_gettime(cpu_clock_of(threads->id[i]), &used))
			bench_die("the CPU time of a thread cannot be read");
		ret->cpu_ns += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
		ret->wakeups += switches_of(threads->id[i]);
	}
}
