/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/again.h - batches of a segment that was given up, which a later one holds once more.
 *
 * It knows headers of the segments that follow the one that is read. It does not know records.
 * thread: the reader's
 *
 * After a failed sync the disk may hold a later batch of the segment and not the one before it.
 * Both were written again, in order: whoever read on here would take the later one first.
 */
#ifndef WR_LOG_AGAIN_H
#define WR_LOG_AGAIN_H

#include "log/lives.h"
#include "log/scan.h"

struct wr_log_again {
	struct wr_log_window window;
	struct wr_log_scan scan;
	int fd;          /* -1: none is open */
	size_t part;     /* the one that is open, in lives */
	uint64_t lowest; /* number of the first batch there is; 0: not known */
};

/*
 * 1: a segment after @part of its life, begun after trouble, holds the batch whole; 0: none does,
 * or it cannot be told; -ENOMEM.
 */
int wr_log_again_has(struct wr_log_again *again, const struct wr_log_lives *lives, size_t part,
                     uint64_t seq, uint64_t first_record);
/* Another segment is read now. A zeroed one with fd -1 is fine. */
void wr_log_again_end(struct wr_log_again *again);
void wr_log_again_fini(struct wr_log_again *again);

#endif
