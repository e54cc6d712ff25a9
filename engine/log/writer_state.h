/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/writer_state.h - what the three files of the writer share: writer.c (the way of a batch),
 * turn.c (segments begun, synced, given up), retain.c (old ones removed). thread: the writer's
 */
#ifndef WR_LOG_WRITER_STATE_H
#define WR_LOG_WRITER_STATE_H

#include "log/segment.h"
#include "log/writer.h"

/* A segment that nobody writes any more. */
struct wr_log_closed {
	uint64_t number, bytes;
	uint64_t wall_ns; /* when it was last written */
};

struct wr_log_writer {
	struct wr_mem mem;
	struct wr_log_options options;
	int dir_fd, lock_fd;
	uint64_t next;  /* number of the next segment; 0: there are no more */
	uint64_t first; /* of this engine life; 0: none yet */
	uint8_t engine[16];
	struct wr_log_segment now;
	/* A sync of it failed; what was acknowledged and is not durable is still to be written
	 * again. fd -1: none. */
	struct wr_log_segment poisoned;
	int after_trouble;
	uint64_t dirty_ns; /* CLOCK_MONOTONIC of the oldest write that is not durable; 0: none */
	const struct weir_sources *sources;
	uint8_t *chunk;               /* WR_LOG_CHUNK_BYTES */
	struct wr_log_closed *closed; /* a queue: oldest at closed_from */
	size_t closed_from, closed_count, closed_room;
	uint64_t closed_bytes;
	struct wr_log_writer_counts counts;
};

/* turn.c */
int wr_log_turn_begin(struct wr_log_writer *writer, const uint8_t engine[16], uint64_t wall_ns);
/* Ends the current segment, which there must be, in peace. 0 or -errno. */
int wr_log_turn_end(struct wr_log_writer *writer);
/* Leaves it as it is, after a failure: nothing in it waits for a sync. */
void wr_log_turn_leave(struct wr_log_writer *writer);
/* Ends one whose end is not where the next block would go. */
void wr_log_turn_spoiled(struct wr_log_writer *writer);
/* Makes durable what is written; a failure poisons the segment and rescues what it held. */
int wr_log_turn_sync(struct wr_log_writer *writer);
/* The same for one batch that was not acknowledged yet and begins at @from: it is cut off. */
int wr_log_turn_sync_batch(struct wr_log_writer *writer, uint64_t from);
/* Writes again what a poisoned segment held. 0 when nothing is left to do. */
int wr_log_turn_rescue(struct wr_log_writer *writer);

/* retain.c */
int wr_log_retain_load(struct wr_log_writer *writer, const uint64_t *numbers, size_t count);
/* Room for one more: called before a segment is begun, so that closing one cannot fail. */
int wr_log_retain_reserve(struct wr_log_writer *writer);
void wr_log_retain_add(struct wr_log_writer *writer, const struct wr_log_segment *segment);
/* Removes what is too much or too old. */
void wr_log_retain(struct wr_log_writer *writer);
/*
 * Makes room for a whole segment, before one is begun. 1: the file of one that had to go is at hand
 * under the name WR_LOG_SPARE_NAME, to be written over; 0: there is none.
 */
int wr_log_retain_ahead(struct wr_log_writer *writer);

#endif
