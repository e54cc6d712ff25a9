/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/scale/forced.h - rings of CPUs that this machine does not have.
 *
 * A ring belongs to a CPU. They are forced: a thread says that it is on another CPU, where the
 * library looks for that (its own area of restartable sequences, or sched_getcpu() where there are
 * none), and pushes. The kernel puts it right when it next preempts the thread, which ends before
 * anything is measured. Nobody else may push meanwhile. thread: the main one
 */
#ifndef WEIR_BENCH_FORCED_H
#define WEIR_BENCH_FORCED_H

#include <stdint.h>
#include <weir/weir.h>

#define FORCED_FROM 4608u /* CPUs from here on are nobody's, by 8192 and by 1024 */

struct forced {
	struct weir *weir;
	uint32_t rings;  /* made until there are so many; each new one gets a record of one byte */
	uint32_t from;   /* for CPUs from here on; left behind the last one */
	uint32_t filled; /* then so many CPUs from there on get ... */
	uint64_t bytes;  /* ... so much each, in records of 4 KiB */
};

void forced_run(struct forced *forced);
/* How many rings there are. */
uint64_t forced_rings(struct weir *weir);

#endif
