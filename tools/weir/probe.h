/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what this machine, kernel and container offer.
 *
 * It finds facts by trying or by reading /proc and /sys. It does not judge them; doctor.c does.
 * thread: main
 */
#ifndef WEIR_PROBE_H
#define WEIR_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first line of a file, without its end. 0 or -errno. */
int probe_line(const char *path, char *ret, size_t bytes);

/* The tightest limit among the control groups that this process is in. */
struct cgroup_limits {
	unsigned version;  /* 0: none is mounted, 1 or 2 */
	double cpus;       /* 0: no limit */
	uint64_t memory;   /* bytes; UINT64_MAX: no limit */
};
void probe_cgroup(struct cgroup_limits *ret);

/* Each 0 or -errno. */
int probe_memfd(void);   /* a memfd of two pages, mapped twice back to back */
int probe_timerfd(void); /* timerfd, eventfd and epoll together */
int probe_io_uring(void);

/* The step of CLOCK_MONOTONIC in nanoseconds, and what reading it costs. */
uint64_t probe_clock_step(void);
uint64_t probe_clock_cost(void);

#endif
