/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/segment.h - one segment file, from its creation to its last block.
 *
 * It knows how blocks are put at the end of a file, and taken away again when that fails. It does
 * not know when a segment begins or ends, nor what its neighbours hold. thread: the writer's
 *
 * The file is a new one, or that of a segment that expired, which is written over from its start:
 * pages that are there already cost nothing to get. What the old segment held then lies behind the
 * blocks of the new one until it is trimmed, or overwritten.
 */
#ifndef WR_LOG_SEGMENT_H
#define WR_LOG_SEGMENT_H

#include <stdint.h>
#include <sys/uio.h>
#include <weir/sink.h>

#include "log/format.h"

struct wr_log_segment {
	int fd; /* -1: none */
	uint64_t number;
	uint8_t engine[16];
	uint64_t wall_ns; /* of its first batch: a life goes by the time of its first segment */
	uint64_t bytes;  /* where the next block goes: all before it is whole */
	uint64_t synced; /* all before it is durable */
	uint64_t batches;
	uint64_t unsynced_batches; /* of them, after synced */
	uint32_t announced;        /* names of ids 1..announced stand in it */
	int spoiled;               /* its end is not where the next block would go: none may */
	uint64_t over;             /* length of the old file below it; 0: none, or trimmed */
	int trimmed;               /* and that is not durable yet */
	int aside; /* its name is WR_LOG_SPARE_NAME still: nobody reads it, a crash forgets it */
};

/*
 * Makes the file and writes its segment block from @start (engine, segment, start). @durable: the
 * directory is synced before this returns. @aside: it has no name of its own before
 * wr_log_segment_publish(). 0 or -errno; then nothing is left of it.
 */
int wr_log_segment_create(struct wr_log_segment *segment, int dir_fd,
                          const struct wr_log_header *start, int durable, int aside);

/*
 * The same, written over the file of the name WR_LOG_SPARE_NAME, which then has the segment's own
 * name, unless @aside. Also -EINVAL: that one is not suited.
 */
int wr_log_segment_over(struct wr_log_segment *segment, int dir_fd,
                        const struct wr_log_header *start, int durable, int aside);
/*
 * Gives one that is aside its own name. @durable: and syncs the directory. 0; -EEXIST: somebody has
 * that name; -errno. Then it is to be discarded.
 */
int wr_log_segment_publish(struct wr_log_segment *segment, int dir_fd, int durable);
/* Lengths of a file that may be written over: whole words, and they can be counted in 32 bits. */
static inline int wr_log_may_be_over(uint64_t bytes)
{
	return bytes && bytes % WR_LOG_ALIGN == 0 && bytes / WR_LOG_ALIGN <= UINT32_MAX;
}
/*
 * Bytes that a block of @bytes takes more than that. One that would end exactly where the old file
 * does gets a longer header: a segment that was ended or closed never has the length of the old
 * one, which would tell a reader that the end may be anything.
 */
static inline uint64_t wr_log_segment_pad(const struct wr_log_segment *segment, uint64_t bytes)
{
	return segment->over && segment->bytes + bytes == segment->over ? WR_LOG_ALIGN : 0;
}
/* Takes away what is left of the old file. 0 or -errno. */
int wr_log_segment_trim(struct wr_log_segment *segment);

/*
 * Writes one block at the end: @header is completed (place, sums) and the body is @iov. All of it
 * or none: on failure what was written is cut off again. 0 or -errno.
 */
int wr_log_segment_append(struct wr_log_segment *segment, struct wr_log_header *header,
                          const struct iovec *iov, uint32_t count);

/* Writes the names of ids announced+1..count. @chunk: memory for one body. 0 or -errno. */
#define WR_LOG_CHUNK_BYTES 65536u
int wr_log_segment_announce(struct wr_log_segment *segment, const struct weir_sources *sources,
                            uint8_t *chunk);

/* Trims and closes the file. 0 or what trim or close answered. */
int wr_log_segment_close(struct wr_log_segment *segment);
/*
 * Closes and removes it: it held nothing that was ever acknowledged. 0, or -errno: the file is
 * still there, and segment->bytes long.
 */
int wr_log_segment_discard(struct wr_log_segment *segment, int dir_fd);

#endif
