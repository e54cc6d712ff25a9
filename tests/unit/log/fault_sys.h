/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_sys.h - a system table that fails on demand. It stands in for base/sys_linux.c in a test
 * executable of its own; without a fault planted it does what that one does.
 */
#ifndef WEIR_TESTS_LOG_FAULT_SYS_H
#define WEIR_TESTS_LOG_FAULT_SYS_H

#include <stddef.h>
#include <stdint.h>

enum t_call {
	T_WRITEV,
	T_PREAD,
	T_FDATASYNC,
	T_FSYNC,
	T_FTRUNCATE,
	T_OPENAT,
	T_UNLINKAT,
	T_RENAME,
	T_LOCK,
	T_LIST,
	T_FSTAT,
	T_CALLS
};

struct t_fault {
	int error;      /* -errno to answer; 0: none */
	uint64_t after; /* calls that still work */
	uint64_t times; /* calls that fail then; 0: all */
	size_t partly;  /* T_WRITEV: bytes that still reach the file, before the first failure */
	uint64_t which; /* not 0: the calls that fail, one bit each, the next one first */
};

/* An error that is none: T_WRITEV and T_PREAD answer 0. */
#define T_NOTHING (-99999)

extern struct t_fault t_faults[T_CALLS];
extern _Atomic uint64_t t_called[T_CALLS];
/* T_WRITEV and T_PREAD move at most so many bytes a call; 0: no limit. */
extern size_t t_most;
/* Every second T_WRITEV, T_PREAD, T_FDATASYNC and T_FTRUNCATE answers -EINTR first. */
extern int t_interrupts;
/* Descriptor 0 is closed right before the opening that has so many before it, and so it gets it. */
extern uint64_t t_zero_at;
/* 1: the file system knows where its holes are; 0: it says that there are none. */
extern int t_holes;
/* Called once, in the midst of the call of seek_data that has so many before it. */
extern void (*t_on_seek)(void);
extern uint64_t t_seeks_before;
/* What wr_sys.now() and wall() answer; 0: the real clock. */
extern uint64_t t_now, t_wall;
/* The calls as they were made, a letter each: w writev (that reached the file), s fdatasync, d
 * fsync, t ftruncate, o openat of a new segment, u unlinkat, r rename. */
extern char t_trace[4096];

#endif
