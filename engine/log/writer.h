/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/writer.h - appends batches to a directory of segments.
 *
 * It knows when a segment begins and ends, when it is made durable, and which old ones may go. It
 * does not know sinks, verdicts or records. thread: one at a time; it blocks on the disk
 *
 * A batch is acknowledged by a 0 of wr_log_writer_write(), and that means what `sync` says:
 *
 *     none      it is in the page cache
 *     interval  the same, and it is durable at most interval_ns later, given that
 *               wr_log_writer_tick() is called interval_ns / 2 after the last write
 *     batch     it is durable
 */
#ifndef WR_LOG_WRITER_H
#define WR_LOG_WRITER_H

#include <stdint.h>
#include <sys/uio.h>
#include <weir/config.h>
#include <weir/log.h>
#include <weir/sink.h>

#include "base/mem.h"

enum wr_log_sync { WR_LOG_SYNC_NONE, WR_LOG_SYNC_INTERVAL, WR_LOG_SYNC_BATCH };

/* Zero is a default where one is named. */
struct wr_log_options {
	enum wr_log_sync sync;
	uint64_t interval_ns;   /* 0: 200 ms */
	uint64_t segment_bytes; /* a segment that would pass it is closed before; 0: 64 MiB */
	/* Of the directory, with room for the next segment; 0: no limit, else at least twice
	 * segment_bytes. */
	uint64_t max_bytes;
	uint64_t max_age_ns; /* of the newest batch of a segment; 0: no limit */
};

#define WR_LOG_INTERVAL_NS UINT64_C(200000000)
#define WR_LOG_SEGMENT_SIZE (UINT64_C(64) << 20)
#define WR_LOG_SEGMENT_SIZE_MIN UINT64_C(4096)

struct wr_log_writer_counts {
	uint64_t batches, records, bytes; /* acknowledged; bytes as framed */
	uint64_t segments;                /* made */
	uint64_t syncs;
	uint64_t failures; /* writes that were answered with an error */
	uint64_t poisoned; /* segments given up after a failed sync */
	uint64_t rescued;  /* acknowledged batches written again after one */
	uint64_t unsynced; /* acknowledged batches of which that could not be done */
	uint64_t expired;  /* segments removed by max_bytes or max_age */
	uint64_t expired_bytes;
};

struct wr_log_writer;

/*
 * 0, or -errno with a sentence: -EBUSY (another writer), -ENOTDIR, -EACCES, -EROFS, -ENOENT (its
 * parent), -EINVAL (options), -EOVERFLOW (segment numbers are used up), -ENOMEM, ...
 */
int wr_log_writer_open(const char *dir, const struct wr_log_options *options,
                       const struct wr_mem *mem, struct wr_log_writer **ret,
                       struct weir_why *ret_why);

/*
 * Appends one batch; the body is @iov, whole framed records, and must sum up to batch->bytes.
 * @sources: names of the ids, or NULL; must live until wr_log_writer_close().
 * 0: acknowledged. -errno: nothing of it is in the log, and it may be written again.
 * -EMSGSIZE: no segment can take so much. -EINVAL: bytes is no multiple of 8, or is not the sum.
 */
int wr_log_writer_write(struct wr_log_writer *writer, const struct weir_log_batch *batch,
                        const struct iovec *iov, uint32_t count,
                        const struct weir_sources *sources);

/* What is due by now: the sync of an interval, retention. 0 or -errno (what was due stays so). */
int wr_log_writer_tick(struct wr_log_writer *writer);

/*
 * Makes all that was written durable at once. 0 or -errno. With sync=none only the data of the
 * current segment: neither closed segments nor names in the directory were ever synced.
 */
int wr_log_writer_sync(struct wr_log_writer *writer);

void wr_log_writer_counts(const struct wr_log_writer *writer, struct wr_log_writer_counts *ret);

/* Syncs unless `sync` is none, and frees. -errno: something acknowledged may not be durable. */
int wr_log_writer_close(struct wr_log_writer *writer);

#endif
