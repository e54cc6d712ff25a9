/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/virtual_sys.h - a system whose time stands still until a test moves it.
 *
 * Linking virtual_sys.c puts its `wr_sys` in the place of the library's. Descriptors are numbers;
 * epoll is edge-triggered as the flusher asks for it; every call is counted. One thread.
 */
#ifndef WEIR_TESTS_SUPPORT_VIRTUAL_SYS_H
#define WEIR_TESTS_SUPPORT_VIRTUAL_SYS_H

#include <stdint.h>

#include "base/sys.h"

struct virtual_sys {
	uint64_t now_ns;
	uint64_t wall_ns;
	/* calls since vs_forget() */
	uint32_t timer_sets, timer_disarms, event_writes, membarriers, futex_wakes, futex_waits, polls;
	uint32_t poll_ctl_fails; /* 1: the next poll_ctl() fails, 2: the one after it, ... */
	uint32_t slept_for_ever; /* waits without a bound that nothing would have ended */
	/* looked in from, when set */
	void (*on_membarrier)(void);
	void (*on_timer_set)(int fd, uint64_t at_ns);
	void (*on_event_write)(int fd);
	void (*on_futex_wake)(_Atomic uint32_t *word);
	void (*on_now)(void);
	void (*on_futex_wait)(_Atomic uint32_t *word);
	const void *last_woken; /* futex word */
};
extern struct virtual_sys vs;

/* A fresh system at @now_ns. */
void vs_reset(uint64_t now_ns);
/* Zeroes the counts of calls. */
void vs_forget(void);
void vs_advance(uint64_t ns);
/* What a timer stands at, 0: disarmed. */
uint64_t vs_timer(int fd);
/* Would epoll say something now? */
int vs_is_ready(int poll_fd);
/* The earliest timer of a poll descriptor that has not gone off, UINT64_MAX: none. */
uint64_t vs_next_timer(int poll_fd);

#endif
