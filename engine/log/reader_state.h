/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/reader_state.h - what the two files of the reader share: reader.c (what the caller sees,
 * records), walk.c (from batch to batch, over segments and lives). thread: the reader's
 */
#ifndef WR_LOG_READER_STATE_H
#define WR_LOG_READER_STATE_H

#include <weir/log.h>

#include "log/again.h"
#include "log/lives.h"
#include "log/names.h"
#include "log/scan.h"
#include "log/seen.h"

#define WR_LOG_DAMAGE_KEPT 64u

struct weir_log_reader {
	struct wr_log_window window;
	struct wr_log_lives lives;
	struct wr_log_names names;
	struct wr_log_seen seen;
	struct wr_log_scan scan; /* of the segment that is open */
	int behind_damage;       /* something before scan.at in it could not be read */
	struct wr_log_again again;
	int fd;                  /* -1: none is */
	size_t part;             /* its place in lives, or that of the next to open */
	uint8_t engine[16];      /* the life it belongs to */
	int in_life, met_batch;  /* engine is set; a batch of it was met */
	int expired_under_way;   /* a segment went while this was reading: do not count a gap */
	uint64_t since_ns;

	int in_batch;
	uint64_t record_at, body_end; /* of the batch: next record, end */
	uint64_t records_read;
	struct weir_log_batch batch;
	int has_batch; /* batch is that of the last record */

	struct weir_log_counts counts; /* without the current life's gaps, and what is pending */
	struct weir_why damage[WR_LOG_DAMAGE_KEPT];
	/* How the log ends for now. It counts, but a look at a longer log may withdraw it. */
	uint64_t pending_torn, pending_skipped;
	struct weir_why pending; /* "": nothing is damaged */
};

/* Counts a damaged place at @offset of the open segment. */
__attribute__((format(printf, 3, 4))) void wr_log_damage(struct weir_log_reader *reader,
                                                         uint64_t offset, const char *format, ...);
/* 1: the open segment has expired, and its file is written over for another one. */
int wr_log_is_gone(struct weir_log_reader *reader);
/* Goes on with the next segment, and nothing is wrong with that. */
void wr_log_pass_over(struct weir_log_reader *reader);
/* 1: the next batch is entered; 0: the end for now; -errno. */
int wr_log_walk(struct weir_log_reader *reader);

#endif
