/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/rseq.h - whether and where this process and thread have restartable sequences.
 *
 * It knows the C library's registration and the kernel's membarrier. It does not know rings.
 */
#ifndef WR_RING_RSEQ_H
#define WR_RING_RSEQ_H

#include <stdint.h>

/* Why the process does without, or WR_RSEQ_YES. */
enum wr_rseq_state {
	WR_RSEQ_UNKNOWN = 0,
	WR_RSEQ_YES,
	WR_RSEQ_NO_ARCH,       /* no section is written for this processor */
	WR_RSEQ_NO_LIBC,       /* the C library does not register threads */
	WR_RSEQ_UNREGISTERED,  /* it can, and did not: tunable, old kernel, valgrind, seccomp */
	WR_RSEQ_NO_MEMBARRIER, /* the kernel has no membarrier for it */
	WR_RSEQ_FORCED_OFF     /* a test said so */
};

/* Offset of the rseq area from the thread pointer; valid when the state is WR_RSEQ_YES. */
extern long wr_rseq_offset __attribute__((visibility("hidden")));

/* Finds out once, registers the process with membarrier. thread: any, first in weir_open(). */
enum wr_rseq_state wr_rseq_detect(void);
/* A sentence part for each state. */
const char *wr_rseq_why(enum wr_rseq_state state);
/* Tests only: WR_RSEQ_FORCED_OFF makes engines opened from now on do without; UNKNOWN undoes it. */
void wr_rseq_force(enum wr_rseq_state state);

/* The CPU the thread runs on as its rseq area says; negative: this thread is not registered. */
int wr_rseq_thread_cpu(void);

#endif
