/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/scan.h - from block to block of one segment, past whatever is damaged.
 *
 * It knows headers and where they may stand. It does not know what a body holds, nor whether a
 * segment is the last one. thread: the reader's
 */
#ifndef WR_LOG_SCAN_H
#define WR_LOG_SCAN_H

#include "log/format.h"
#include "log/window.h"

struct wr_log_scan {
	struct wr_log_window *window;
	int fd;
	uint64_t segment;   /* its number */
	uint8_t engine[16]; /* when bound: no other is accepted */
	int bound;
	uint64_t at;   /* where the next block is expected */
	uint64_t size; /* of the file, as last seen */
};

enum wr_log_step {
	WR_LOG_STEP_BLOCK,  /* a good header at `at`, its body all there; move on yourself */
	WR_LOG_STEP_DAMAGE, /* no header at `at`, but one at *ret_to */
	WR_LOG_STEP_END,    /* `at` is the end */
	WR_LOG_STEP_TORN,   /* an unfinished block, or nothing but zeros, to the end */
	WR_LOG_STEP_BAD_END /* neither a header at `at` nor any after it */
};

void wr_log_scan_begin(struct wr_log_scan *scan, struct wr_log_window *window, int fd,
                       uint64_t segment);
/* enum wr_log_step, or -errno. Nothing is moved: ask again and the answer is the same. */
int wr_log_scan_look(struct wr_log_scan *scan, struct wr_log_header *ret, uint64_t *ret_to);
/* 1: the body of the block at `at` has its sum; 0: it does not; -errno. */
int wr_log_scan_body(struct wr_log_scan *scan, const struct wr_log_header *header);

#endif
