/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/property/sys.h - the system of a sequence: time and the disk of tests/support.
 *
 * It knows which calls fail on demand, and what a power cut leaves of a file and of a directory. It
 * does not know what is written. Only one thread. The path DISK_DIR is the only directory.
 *
 * What was not synced may be lost, be there, or be there in part: disk_cut() decides, file by file
 * and for the directory. All legal states of a few operations are another rung's; this one meets
 * some of them behind many operations.
 */
#ifndef WEIR_TESTS_PROPERTY_SYS_H
#define WEIR_TESTS_PROPERTY_SYS_H

#include <stdint.h>

#include "property/prop.h"

#define DISK_DIR "log"

struct disk_fault {
	uint32_t after; /* calls that still succeed */
	uint32_t times; /* then so many fail */
	int error;      /* -errno; of a writev also 1: short */
};

/* A fresh system: time, wall clock, an empty disk, randomness from @seed. */
void sys_reset(uint64_t now_ns, uint64_t seed);
/* The process is gone: descriptors of files are closed, locks let go. */
void disk_kill(void);
/* The power is cut: the same, and what is not durable goes as @random says. */
void disk_cut(struct prop_random *random);
/* While it is on nothing that is done changes a file: for what a dead process would not do. */
void disk_freeze(int on);
/* From now on calls that change or read the disk fail like that. */
void disk_fail(struct disk_fault fault);
/* Calls that have failed on demand. */
uint64_t disk_failed(void);
/* Descriptors that are open, of files and others. */
unsigned sys_open_descriptors(void);
/* Files in the directory, and the bytes in them. */
unsigned disk_files(uint64_t *ret_bytes);
/* Number of the first segment there is; UINT64_MAX: there is none. */
uint64_t disk_lowest(void);

#endif
