/* SPDX-License-Identifier: Apache-2.0 */
/* cpus.c - which CPUs there may be and which this thread may use. thread: owner */
#include "ring/rings.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

/* Reads digits, at most up to WR_TABLE_CPUS - 1. */
static int parse_id(const char **at)
{
	long id = 0;

	if (**at < '0' || **at > '9')
		return -EINVAL;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		id = id * 10 + (**at - '0');
		if (id >= (long)WR_TABLE_CPUS)
			return -EINVAL;
	}
	return (int)id;
}

int wr_cpus_parse(const char *list)
{
	int highest = -1;

	for (;;) {
		int first = parse_id(&list), last = first;

		if (first >= 0 && *list == '-') {
			list++;
			last = parse_id(&list);
		}
		if (first < 0 || last < first)
			return -EINVAL;
		if (last > highest)
			highest = last;
		if (*list == ',') {
			list++;
			continue;
		}
		if (*list == '\n')
			list++;
		return *list ? -EINVAL : highest + 1;
	}
}

uint32_t wr_cpus_possible(void)
{
	char text[4096];
	int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
	long configured = sysconf(_SC_NPROCESSORS_CONF);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int possible;

	if (fd >= 0)
		close(fd);
	if (n > 0) {
		text[n] = 0;
		possible = wr_cpus_parse(text);
		if (possible > 0)
			return (uint32_t)possible;
	}
	return configured > 0 && configured <= (long)WR_TABLE_CPUS ? (uint32_t)configured : 1;
}

void wr_cpus_each_usable(void (*fn)(void *arg, uint32_t cpu), void *arg)
{
	unsigned long mask[WR_TABLE_CPUS / (8 * sizeof(unsigned long))] = { 0 };

	if (sched_getaffinity(0, sizeof(mask), (cpu_set_t *)(void *)mask) < 0) {
		fn(arg, 0);
		return;
	}
	for (uint32_t cpu = 0; cpu < WR_TABLE_CPUS; cpu++)
		if (mask[cpu / (8 * sizeof(long))] >> cpu % (8 * sizeof(long)) & 1)
			fn(arg, cpu);
}

static void count_cpu(void *arg, uint32_t cpu)
{
	(void)cpu;
	++*(uint32_t *)arg;
}

uint32_t wr_cpus_usable(void)
{
	uint32_t n = 0;

	wr_cpus_each_usable(count_cpu, &n);
	return n ? n : 1;
}
