/* SPDX-License-Identifier: Apache-2.0 */
/* again.c - batches that were written again. thread: the reader's */
#include "log/again.h"

#include <errno.h>
#include <string.h>

#include "base/sys.h"

static void close_it(struct wr_log_again *again)
{
	if (again->fd >= 0)
		wr_sys.close(again->fd);
	again->fd = -1;
}

/* The next of those that follow @part. 1: it is open; 0: there is none. */
static int open_next(struct wr_log_again *again, const struct wr_log_lives *lives, size_t part)
{
	size_t next = again->fd >= 0 ? again->part + 1 : part + 1;
	const struct wr_log_part *at;

	close_it(again);
	while (next < lives->count && lives->parts[next].headless) /* begun, and given up at once */
		next++;
	if (next >= lives->count)
		return 0;
	at = &lives->parts[next];
	if (memcmp(at->engine, lives->parts[part].engine, 16) != 0 ||
	    !(at->flags & WR_LOG_AFTER_TROUBLE))
		return 0;
	again->fd = wr_log_lives_open(lives, at->number);
	if (again->fd < 0) {
		again->fd = -1;
		return 0;
	}
	again->part = next;
	wr_log_scan_begin(&again->scan, &again->window, again->fd, at->number);
	memcpy(again->scan.engine, at->engine, 16);
	again->scan.bound = 1;
	return 1;
}

/* The next batch, at scan.at. 1: *ret is its header; 0: there is none any more; -ENOMEM. */
static int next_batch(struct wr_log_again *again, const struct wr_log_lives *lives, size_t part,
                      struct wr_log_header *ret)
{
	uint64_t to;

	if (again->fd < 0 && !open_next(again, lives, part))
		return 0;
	for (;;) {
		int step = wr_log_scan_look(&again->scan, ret, &to);

		if (step == -ENOMEM)
			return step;
		if (step == WR_LOG_STEP_BLOCK && ret->kind == WR_LOG_BATCH)
			return 1;
		if (step == WR_LOG_STEP_BLOCK)
			again->scan.at += wr_log_block_bytes(ret);
		else if (step == WR_LOG_STEP_DAMAGE)
			again->scan.at = to;
		else if (!open_next(again, lives, part))
			return 0;
	}
}

/* From where the last one was found: they come in the same order. As wr_log_again_has(). */
static int find(struct wr_log_again *again, const struct wr_log_lives *lives, size_t part,
                uint64_t seq, uint64_t first_record)
{
	struct wr_log_header header;
	int r;

	while ((r = next_batch(again, lives, part, &header)) > 0) {
		int same =
		    header.batch.seq == seq && header.batch.first_record == first_record;

		if (!again->lowest)
			again->lowest = header.batch.seq;
		if (same)
			r = wr_log_scan_body(&again->scan, &header);
		again->scan.at += wr_log_block_bytes(&header);
		if (r == -ENOMEM || (same && r == 1))
			return r;
	}
	return r;
}

int wr_log_again_has(struct wr_log_again *again, const struct wr_log_lives *lives, size_t part,
                     uint64_t seq, uint64_t first_record)
{
	int midway = again->fd >= 0, r;

	if (seq < again->lowest)
		return 0;
	r = find(again, lives, part, seq, first_record);
	if (!r && midway)
		r = find(again, lives, part, seq, first_record);
	return r;
}

void wr_log_again_end(struct wr_log_again *again)
{
	close_it(again);
	again->lowest = 0;
}

void wr_log_again_fini(struct wr_log_again *again)
{
	close_it(again);
	wr_log_window_fini(&again->window);
}
