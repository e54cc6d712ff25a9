/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink/fd.h - what the files of the fd sink share: fd.c moves bytes to a descriptor, frame.c makes
 * a byte stream of records, gather.c knows how far a write came, kept.c holds the beginnings of
 * lines. thread: the sink's own, where nothing else is said
 */
#ifndef WR_SINK_FD_H
#define WR_SINK_FD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>
#include <weir/sink.h>

enum wr_fd_frame { WR_FRAME_LINES, WR_FRAME_LEN32, WR_FRAME_NUL, WR_FRAME_RAW };
#define WR_FRAME_NAMES "lines|len32|nul|raw"

#define WR_GATHER_IOV 1024 /* IOV_MAX */
#define WR_GATHER_RECORDS 1024
#define WR_GATHER_PIECES 4 /* of one record: terminator or length, kept parts, payload, end */

/* A record's place in the stream of batches, the same over all attempts. */
struct wr_record_id {
	uint8_t engine[16];
	uint64_t seq, index;
};

/* How the stream stands between two records. */
struct wr_stream {
	uint32_t open; /* the last record has no terminator yet; before another one it gets it */
	uint32_t goes_on; /* ... unless that is the next part of the same line, */
	uint16_t source;  /* from this source */
};

/* Parts of a line whose last part has not come, copied. */
struct wr_kept {
	struct wr_kept *next;
	uint8_t *data;
	size_t used, room;
	uint16_t source;
};

/* Records on their way into one write. */
struct wr_gather {
	uint32_t count, at; /* pieces; the first that is not written whole */
	uint32_t records, whole; /* records; those written whole */
	uint64_t bytes, written;
	struct wr_gather_end {
		uint64_t at; /* where in the bytes the record ends */
		uint16_t source;
		struct wr_stream after;
	} ends[WR_GATHER_RECORDS];
	uint32_t lengths[WR_GATHER_RECORDS];
	struct iovec iov[WR_GATHER_IOV];
};

struct wr_fd {
	int fd, poll_fd, event_fd; /* poll_fd -1: it cannot be waited for, so it does not block */
	int number;                /* as the address named it, for messages */
	enum wr_fd_frame frame;
	int ending; /* 1: nothing waits any more */
	_Atomic uint32_t interrupted; /* for good */
	_Atomic int trouble;          /* the last error, 0: none */
	int broken;                   /* -errno: every later write answers this */

	struct wr_stream stream;
	struct wr_kept *kept;
	uint64_t kept_bytes;
	/* a record that was written in part: which one, how far, and a copy of what is missing */
	uint32_t torn;
	uint32_t torn_kept; /* it had kept parts in front */
	uint16_t torn_source;
	struct wr_record_id torn_id;
	uint64_t torn_offset;
	struct wr_stream torn_after;
	uint8_t *tail;
	size_t tail_bytes, tail_at;

	struct wr_gather gather;
};

/* One pass over a batch. */
struct wr_pass {
	struct wr_fd *fd;
	const struct weir_batch *batch;
	struct weir_iter iter;
	uint64_t index; /* of the record at hand within the batch */
	uint64_t done;
	uint64_t skip;  /* bytes of the first record that were written before */
	uint32_t alone; /* what is gathered is one record, with the kept parts of its line */
	uint32_t run;   /* so many more records are known to be parts of one line ... */
	uint32_t run_is_whole; /* ... whose last part is among them */
	struct wr_stream stream; /* as it will be after what has been gathered */
};

/* fd.c: writes some of the pieces. Bytes (1 or more) or -errno; -ECANCELED: interrupted. */
ssize_t wr_fd_write_some(struct wr_fd *fd, const struct iovec *iov, uint32_t count);

/* Writes the pieces, which it changes. 0 or -errno; *written grows by what was written. */
int wr_fd_write_all(struct wr_fd *fd, struct iovec *iov, uint32_t count, size_t *written);

/* gather.c: adds a piece; what lies right behind the last one prolongs it. */
void wr_gather_add(struct wr_gather *gather, const void *data, size_t bytes);
/* Writes what is gathered, and books what of it was written. 0 or -errno. */
int wr_gather_flush(struct wr_pass *pass);
/* Whether the batch begins with the record that was written in part. */
int wr_torn_is(const struct wr_fd *fd, const struct weir_batch *batch);
/* Writes the rest of a torn record that does not come again. 0 or -errno. */
int wr_torn_finish(struct wr_fd *fd);
void wr_torn_forget(struct wr_fd *fd);

/* kept.c: where the parts kept for @source are; *result is NULL when there are none. */
struct wr_kept **wr_kept_find(struct wr_fd *fd, uint16_t source);
void wr_kept_drop(struct wr_fd *fd, struct wr_kept **at);
/* Copies a part behind those that are kept. 0 or -ENOMEM. */
int wr_kept_add(struct wr_fd *fd, const struct weir_record *record);

/* frame.c: writes the records of @batch. 0 or -errno; *ret_done of them are written, in order. */
int wr_frame_batch(struct wr_fd *fd, const struct weir_batch *batch, uint64_t *ret_done);
/* Writes what the stream lacks: a torn record's rest, kept parts. 0 or -errno. */
int wr_frame_finish(struct wr_fd *fd);
void wr_frame_free(struct wr_fd *fd);

#endif
