/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c - see probe.h. */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int probe_line(const char *path, char *ret, size_t bytes)
{
	FILE *file = fopen(path, "re");
	int r = 0;

	*ret = '\0';
	if (!file)
		return -errno;
	if (fgets(ret, (int)bytes, file))
		ret[strcspn(ret, "\n")] = '\0';
	else
		r = -ENODATA;
	fclose(file);
	return r;
}

static void take_cpus(struct cgroup_limits *limits, double cpus)
{
	if (cpus > 0 && (limits->cpus == 0.0 || cpus < limits->cpus))
		limits->cpus = cpus;
}

static void take_memory(struct cgroup_limits *limits, const char *text)
{
	uint64_t bytes = strtoull(text, NULL, 10);

	/* Version 1 writes "no limit" as a number near 2^63. */
	if (*text >= '0' && *text <= '9' && bytes < UINT64_MAX / 4 && bytes < limits->memory)
		limits->memory = bytes;
}

static void read_v2(struct cgroup_limits *limits, const char *folder)
{
	char path[600], line[128];
	double quota, period;

	snprintf(path, sizeof(path), "%s/cpu.max", folder);
	if (probe_line(path, line, sizeof(line)) == 0 &&
	    sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0)
		take_cpus(limits, quota / period);
	snprintf(path, sizeof(path), "%s/memory.max", folder);
	if (probe_line(path, line, sizeof(line)) == 0)
		take_memory(limits, line);
}

static void read_v1(struct cgroup_limits *limits, const char *folder)
{
	char path[600], quota[64], period[64];

	snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
	if (probe_line(path, quota, sizeof(quota)) == 0) {
		snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
		if (probe_line(path, period, sizeof(period)) == 0 && atof(period) > 0)
			take_cpus(limits, atof(quota) / atof(period));
	}
	snprintf(path, sizeof(path), "%s/memory.limit_in_bytes", folder);
	if (probe_line(path, quota, sizeof(quota)) == 0)
		take_memory(limits, quota);
}

/* A limit may stand at any level from the process's own group up to the mount. */
static void climb(struct cgroup_limits *limits, const char *mount, const char *group,
                  void (*read_at)(struct cgroup_limits *, const char *))
{
	char folder[512];
	size_t base = strlen(mount);

	snprintf(folder, sizeof(folder), "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
	for (;;) {
		char *slash;

		read_at(limits, folder);
		slash = strrchr(folder, '/');
		if (!slash || (size_t)(slash - folder) < base)
			return;
		*slash = '\0';
	}
}

static bool holds(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
		if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

void probe_cgroup(struct cgroup_limits *ret)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[512];

	*ret = (struct cgroup_limits){ .memory = UINT64_MAX };
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
		ret->version = 2;
	else if (access("/sys/fs/cgroup/memory", F_OK) == 0 ||
	         access("/sys/fs/cgroup/cpu", F_OK) == 0)
		ret->version = 1;
	if (!file)
		return;
	while (ret->version && fgets(line, sizeof(line), file)) {
		char *controllers = strchr(line, ':'), *group;

		line[strcspn(line, "\n")] = '\0';
		group = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!group)
			continue;
		*controllers++ = '\0';
		*group++ = '\0';
		if (ret->version == 2 && !*controllers)
			climb(ret, "/sys/fs/cgroup", group, read_v2);
		else if (ret->version == 1 && holds(controllers, "memory"))
			climb(ret, "/sys/fs/cgroup/memory", group, read_v1);
		else if (ret->version == 1 && holds(controllers, "cpu"))
			climb(ret, "/sys/fs/cgroup/cpu", group, read_v1);
	}
	fclose(file);
}

int probe_memfd(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("weir-probe", MFD_CLOEXEC), r = 0;
	char *twice, *once;

	if (fd < 0)
		return -errno;
	twice = ftruncate(fd, (off_t)page) < 0
	                ? MAP_FAILED
	                : mmap(NULL, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (twice == MAP_FAILED) {
		r = -errno;
		close(fd);
		return r;
	}
	once = mmap(twice, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (once == MAP_FAILED || mmap(twice + page, page, PROT_READ | PROT_WRITE,
	                               MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		r = -errno;
	else if (once[0] = 7, twice[page] != 7)
		r = -EFAULT;
	munmap(twice, 2 * page);
	close(fd);
	return r;
}

int probe_timerfd(void)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int event = eventfd(0, EFD_CLOEXEC), poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event interest = { .events = EPOLLIN };
	int r = 0;

	if (timer < 0 || event < 0 || poll < 0 ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, timer, &interest) < 0 ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, event, &interest) < 0)
		r = -errno;
	if (timer >= 0)
		close(timer);
	if (event >= 0)
		close(event);
	if (poll >= 0)
		close(poll);
	return r;
}

int probe_io_uring(void)
{
#ifdef SYS_io_uring_setup
	uint64_t params[15] = { 0 }; /* struct io_uring_params: 120 bytes */
	long fd = syscall(SYS_io_uring_setup, 1, params);

	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
#else
	return -ENOSYS;
#endif
}

uint64_t probe_clock_step(void)
{
	struct timespec ts;

	if (clock_getres(CLOCK_MONOTONIC, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t probe_clock_cost(void)
{
	enum { ROUNDS = 10000 };
	struct timespec first, last;

	clock_gettime(CLOCK_MONOTONIC, &first);
	for (int i = 0; i < ROUNDS; i++)
		clock_gettime(CLOCK_MONOTONIC, &last);
	return ((uint64_t)(last.tv_sec - first.tv_sec) * 1000000000u + (uint64_t)last.tv_nsec -
	        (uint64_t)first.tv_nsec) /
	       ROUNDS;
}
