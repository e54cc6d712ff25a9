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
	uint64_t left; /* bytes of the unfinished block at `at`, or of what is none */
	/*
	 * Length of an old file that this segment is written over; 0: it is a new one. As long as
	 * the file has that very length, what follows the last block may be what the old one held,
	 * and a block may be there in part while it is being written.
	 */
	uint64_t over;
	uint64_t quiet_at; /* no good block came after this place when that was looked for */
};

enum wr_log_step {
	WR_LOG_STEP_BLOCK,  /* a good header at `at`, its body all there; move on yourself */
	WR_LOG_STEP_DAMAGE, /* no header at `at`, but one at *ret_to */
	WR_LOG_STEP_END,    /* `at` is the end */
	WR_LOG_STEP_TORN,   /* an unfinished block, or nothing but zeros, to the end */
	WR_LOG_STEP_BAD_END, /* neither a header at `at` nor any after it */
	WR_LOG_STEP_OLD      /* the same, and it is likely to be what an old file held */
};

void wr_log_scan_begin(struct wr_log_scan *scan, struct wr_log_window *window, int fd,
                       uint64_t segment);
#define WR_LOG_BODY_WHOLE ((size_t)8 << 20) /* a body up to this is read once, and kept */

/* enum wr_log_step, or -errno. Nothing is moved: ask again and the answer is the same. */
int wr_log_scan_look(struct wr_log_scan *scan, struct wr_log_header *ret, uint64_t *ret_to);
/*
 * 1: the body of the block at `at` has its sum; 0: it does not; WR_LOG_BODY_OPEN: it does not, and
 * is likely to be unfinished, so that the step is WR_LOG_STEP_TORN; -errno.
 */
#define WR_LOG_BODY_OPEN 2
int wr_log_scan_body(struct wr_log_scan *scan, const struct wr_log_header *header);

/* 1: the file is being written over for another segment by now, or was; nothing read is of use. */
int wr_log_scan_is_gone(const struct wr_log_scan *scan);

#endif
