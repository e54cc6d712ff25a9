/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/place.h - where a bench writes: in memory, and on a disk.
 *
 * tmpfs is /dev/shm, the disk is $TMPDIR or /var/tmp. Thread: the main one.
 */
#ifndef WEIR_BENCH_PLACE_H
#define WEIR_BENCH_PLACE_H

#include <stdint.h>

#include "harness/bench.h"

#define PLACE_PATH 512u

enum place { PLACE_TMPFS, PLACE_DISK, PLACES };

/* "tmpfs", "disk" */
const char *place_name(enum place place);
/* A path of this process's own there, told apart by @n; and what is there, no deeper than files. */
void place_path(enum place place, uint32_t n, char path[PLACE_PATH]);
void place_remove(const char *path);
/* Removes what processes left there that were ended amid their work. */
void place_tidy(enum place place);
/* 1: it is what its name says, and has room for @bytes. 0: @why says why not. */
int place_is_good(enum place place, uint64_t bytes, char why[BENCH_WHY]);

#endif
