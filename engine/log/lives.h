/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/lives.h - the segments of a directory in the order in which they are to be read.
 *
 * It knows which engine life a segment belongs to, and when a life began. It does not know batches.
 * thread: the reader's
 */
#ifndef WR_LOG_LIVES_H
#define WR_LOG_LIVES_H

#include "log/dir.h"
#include "log/format.h"
#include "log/window.h"

struct wr_log_part {
	uint64_t number;
	uint8_t engine[16]; /* of its first good block; without one, of the segment before it */
	uint64_t wall_ns;   /* of its first batch */
	uint64_t first;     /* number of the life's first segment; 0: not known */
	uint32_t flags;     /* of its segment block */
	uint8_t headless;   /* it holds no good block at all, or was not looked at */
	uint8_t unlooked;   /* the file could not be looked at: whose it is, nobody knows yet */
	uint64_t life_wall_ns, life_number; /* what its life is sorted by */
};

struct wr_log_lives {
	struct wr_mem mem;
	int dir_fd;
	struct wr_log_part *parts; /* in reading order */
	size_t count, room;
	uint64_t highest;      /* number met so far; 0: none */
	uint64_t unborn_bytes; /* of a last file that has no whole segment block yet */
	int locked, others;    /* as in struct wr_log_listing */
};

/* Opens a segment to read. A descriptor; -ENOENT: it is gone; -EINVAL: not a plain file; -errno. */
int wr_log_lives_open(const struct wr_log_lives *lives, uint64_t number);
/*
 * Looks at the directory again and adds what is new at the end: first more of the life that is
 * last, then others by the wall time of their first batch. Number of segments added, or -errno.
 */
int wr_log_lives_look(struct wr_log_lives *lives, struct wr_log_window *window);
/*
 * Looks once more at those from @from on that could not be looked at. 1: something is known now,
 * and all from @from on have been put in order again; 0: nothing new; -errno: the one at @from can
 * be opened, and not be read.
 */
int wr_log_lives_look_again(struct wr_log_lives *lives, struct wr_log_window *window, size_t from);
/*
 * Number of the first segment of the life that begins with @part: each segment says it, so that one
 * that is whole will do. 0: none is.
 */
uint64_t wr_log_lives_first(const struct wr_log_lives *lives, const struct wr_log_part *part);
/*
 * Whether the segments that are missing just before @part were removed by retention: it takes them
 * from the front, so that nothing older is left. Looked at anew, since segments come and go while
 * this reads.
 */
int wr_log_lives_is_front(const struct wr_log_lives *lives, const struct wr_log_part *part);
void wr_log_lives_fini(struct wr_log_lives *lives);

#endif
