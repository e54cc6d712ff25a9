/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/nth/fault.h - every call that the library makes to the system, counted, and failed on demand.
 *
 * It knows calls, numbers and errors. It does not know engines. What goes through the table of
 * base/sys.h is met in a table of our own, which ends in the real one; what does not (memory, maps,
 * threads, the few others) by the linker's --wrap.
 *
 * Time runs FAULT_SPEED times as fast as it does outside, so that what waits for a retry, or until
 * a bound has passed, takes milliseconds.
 */
#ifndef WEIR_TESTS_NTH_FAULT_H
#define WEIR_TESTS_NTH_FAULT_H

#include <stddef.h>
#include <stdint.h>

#define FAULT_SPEED 100u

enum fault_call {
	/* base/sys.h, in its order */
	N_NOW, N_WALL, N_RANDOM, N_TIMER_OPEN, N_TIMER_SET, N_EVENT_OPEN, N_EVENT_WRITE, N_POLL_OPEN,
	N_POLL_CTL, N_POLL_WAIT, N_FUTEX_WAIT, N_FUTEX_WAKE, N_MEMBARRIER, N_OPENAT, N_CLOSE,
	N_WRITEV, N_PREAD, N_FDATASYNC, N_FSYNC, N_FTRUNCATE, N_FSTAT, N_UNLINKAT, N_RENAME,
	N_MKDIRAT, N_LOCK, N_LIST, N_SEEK_DATA,
	N_TABLE, /* how many these are */
	/* the rest */
	N_ALLOC = N_TABLE, /* the allocator of the embedder */
	N_CALLOC, N_HASH,  /* of libc; of liburcu's table */
	N_MMAP, N_MUNMAP, N_MADVISE, N_MEMFD, N_RING_FTRUNCATE, N_THREAD, N_AFFINITY, N_SYSCONF,
	N_OPEN, N_READ, N_REGISTER, N_PRCTL, N_DUP,
	N_CALLS
};
extern const char *const fault_names[N_CALLS];

/* The @nth call of @call from now on fails with @error (-errno; a value for what cannot fail). */
void fault_arm(enum fault_call call, uint64_t nth, int forever, int error);
/* Nothing fails any more. Calls that did since it was armed. */
uint64_t fault_lift(void);
/* Counts from now on, nothing fails. */
void fault_count(void);
/* Calls since then. */
uint64_t fault_counted(enum fault_call call);
/* 0, or the error that this call is to answer; for callers outside. */
int fault(enum fault_call call);

/* What the library holds: bytes that are mapped, pieces of memory. */
int64_t fault_mapped(void);
int64_t fault_pieces(void);
void fault_piece(int64_t n);

/* Time of the table, as it would be without a fault. */
uint64_t fault_now(void);

#endif
