/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/seen.h - which batches of one engine life were met, in bounded memory.
 *
 * It knows sequence numbers. It does not know where a batch lies. When in doubt a batch is new: to
 * read one twice is better than to lose one. thread: the reader's
 */
#ifndef WR_LOG_SEEN_H
#define WR_LOG_SEEN_H

#include <stdint.h>

#define WR_LOG_HOLES 1024u
#define WR_LOG_PIECES 4096u

/* Numbers above floor and up to max, but for the holes, ascending. */
struct wr_log_range {
	uint64_t floor, max;
	uint32_t count;
	uint64_t settled_gaps, settled_missing; /* holes that were forgotten, for want of room */
	struct {
		uint64_t first, last;
	} holes[WR_LOG_HOLES];
};

struct wr_log_seen {
	struct wr_log_range batches; /* any piece of it */
	struct wr_log_range whole;   /* the piece that begins at record 0 */
	struct {
		uint64_t seq, first_record;
	} pieces[WR_LOG_PIECES]; /* that begin later; a table, newer ones take the place */
};

/* Numbers up to @floor are not expected. */
void wr_log_seen_begin(struct wr_log_seen *seen, uint64_t floor);
/* Numbers up to @floor may be missing, and nobody is to blame: @floor below the last is nothing. */
void wr_log_seen_forgive(struct wr_log_seen *seen, uint64_t floor);
/* 1: it was met before. */
int wr_log_seen_has(const struct wr_log_seen *seen, uint64_t seq, uint64_t first_record);
void wr_log_seen_add(struct wr_log_seen *seen, uint64_t seq, uint64_t first_record);
/* It was written, and is not to be read: missing, unless it comes again. */
void wr_log_seen_expect(struct wr_log_seen *seen, uint64_t seq);
/* Adds the holes that are open, and those forgotten. */
void wr_log_seen_gaps(const struct wr_log_seen *seen, uint64_t *gaps, uint64_t *missing);

#endif
