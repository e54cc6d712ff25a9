/* SPDX-License-Identifier: Apache-2.0 */
/* timers.c - see timers.h. Thread: the main one. */
#include "harness/timers.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/clock.h"

#define MOST 16u

static int found[MOST];
static uint32_t count;

void bench_timers_find(void)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (!folder)
		bench_die("/proc/self/fd cannot be read");
	count = 0;
	while ((entry = readdir(folder)) && count < MOST) {
		char link[64] = "";

		if (readlinkat(dirfd(folder), entry->d_name, link, sizeof(link) - 1) > 0 &&
		    !strcmp(link, "anon_inode:[timerfd]"))
			found[count++] = atoi(entry->d_name);
	}
	closedir(folder);
}

int bench_timer_runs(uint64_t from_ns, uint64_t to_ns)
{
	for (uint32_t i = 0; i < count; i++) {
		struct itimerspec left;
		uint64_t ns;

		if (timerfd_gettime(found[i], &left))
			continue;
		ns = (uint64_t)left.it_value.tv_sec * 1000000000u + (uint64_t)left.it_value.tv_nsec;
		if (ns && bench_now() + ns >= from_ns && bench_now() + ns <= to_ns)
			return 1;
	}
	return 0;
}
