/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/dir.h - a directory of segments: what is in it, and who writes it.
 *
 * It knows file names and numbers. It does not know what a segment holds. thread: owner
 */
#ifndef WR_LOG_DIR_H
#define WR_LOG_DIR_H

#include <stddef.h>
#include <stdint.h>
#include <weir/config.h>

#include "base/mem.h"

#define WR_LOG_LOCK_NAME "lock"
#define WR_LOG_SPARE_NAME "spare" /* a segment that has no name of its own, or none any more */
#define WR_LOG_NAME_BYTES 32u /* of a segment file's name, with the NUL */

/* Numbers of the segments found, ascending. */
struct wr_log_listing {
	uint64_t *numbers;
	size_t count, room;
	int locked; /* the lock file is there */
	int spare;  /* so is a spare one */
	int others; /* so is something that is not the log's */
};

/* Fills in a sentence (@ret_why may be NULL) and returns @error. */
__attribute__((format(printf, 3, 4))) int wr_log_why(struct weir_why *ret_why, int error,
                                                     const char *format, ...);

/* What @error (-errno) means, in a few words. */
const char *wr_log_reason(int error);

void wr_log_segment_name(uint64_t number, char name[WR_LOG_NAME_BYTES]);
/* 1: @name is that of a segment. */
int wr_log_segment_number(const char *name, uint64_t *ret_number);

/* Opens a directory to read it. A descriptor, or -errno with a sentence. */
int wr_log_dir_open(const char *path, struct weir_why *ret_why);
/* Opens one to write it: makes it when it is missing, takes its lock, tries whether a file can be
 * made. 0 or -errno with a sentence. @durable: the directory itself is made to last. */
int wr_log_dir_own(const char *path, int durable, int *ret_dir_fd, int *ret_lock_fd,
                   struct weir_why *ret_why);

/* 0 or -errno. wr_log_listing_fini() frees what it holds; a zeroed one is fine. */
int wr_log_dir_list(int dir_fd, const struct wr_mem *mem, struct wr_log_listing *ret);
void wr_log_listing_fini(struct wr_log_listing *listing, const struct wr_mem *mem);

#endif
