/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/log.h - reading a segment log.
 *
 * The format stands byte by byte in engine/log/FORMAT.md and weir-log(5). A reader never writes and
 * takes no lock: it may follow a log that is being written.
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <weir/config.h>
#include <weir/export.h>
#include <weir/record.h>

#ifdef __cplusplus
extern "C" {
/* As in struct stat and stat(): a function may have the name of the struct that it fills in. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

struct weir_log_reader;

/* The batch that a record lay in. */
struct weir_log_batch {
	uint8_t engine[16];
	uint64_t seq;
	uint64_t first_record;
	uint64_t wall_ns;     /* CLOCK_REALTIME of the cut */
	uint64_t earliest_ns; /* CLOCK_REALTIME: no record of it was pushed before */
	uint64_t records;
	uint64_t bytes;
	uint32_t cause;
	uint32_t attempt;
};

/* What was found so far. */
struct weir_log_counts {
	size_t size; /* set by the caller */
	uint64_t segments;
	uint64_t engines;           /* engine lives */
	uint64_t batches;
	uint64_t records;
	uint64_t bytes;             /* payload */
	uint64_t damaged;           /* places at which something could not be read */
	uint64_t skipped_bytes;     /* bytes passed over in looking for the next good header */
	uint64_t torn_bytes;        /* of an unfinished batch at the end of a life's last segment */
	uint64_t gaps;              /* places at which the sequence of an engine life jumps */
	uint64_t missing_batches;   /* how many batches these gaps hold */
	uint64_t duplicates;        /* batches met before (skipped) */
};

/**
 * weir_log_open - open a directory of segments for reading.
 *
 * @dir      the directory
 * @ret      the reader
 * @ret_why  NULL, or a sentence on failure
 *
 * Returns  0, -ENOENT, -ENOTDIR, -EACCES, -ENOMEM, -EINVAL (not a log)
 * Thread   owner. A reader is used by one thread at a time.
 * Cost     reads the headers of all segments; memory is bounded whatever the size of the log.
 * Order    engine lives by first batch time, then sequence.
 * Since    0.1
 */
WEIR_API int weir_log_open(const char *dir, struct weir_log_reader **ret,
                           struct weir_why *ret_why);

/**
 * weir_log_next - the next record.
 *
 * @reader  from weir_log_open()
 * @ret     the record; valid until the next call
 *
 * Returns  1        *@ret holds a record
 *          0        the end, for now: call again to follow a log that grows
 *          -EIO     reading failed; -ENOMEM
 *          damage is passed over and counted, never an error here
 * Thread   owner. Cost: amortised a copy. Order: the log's. Since 0.1
 */
WEIR_API int weir_log_next(struct weir_log_reader *reader, struct weir_record *ret);

/**
 * weir_log_batch - the batch of the record that weir_log_next() returned last.
 *
 * @reader  from weir_log_open()
 *
 * Returns  valid until the next weir_log_next(); NULL before the first record
 * Thread   owner. Cost: none. Order: none. Since 0.1
 */
WEIR_API const struct weir_log_batch *weir_log_batch(const struct weir_log_reader *reader);

/**
 * weir_log_source_name - the name of a source id in the engine life of the current record.
 *
 * @reader  from weir_log_open()
 * @id      of a record
 *
 * Returns  the name, valid until weir_log_close(); NULL when the log does not hold it
 * Thread   owner. Cost: a look-up. Order: none. Since 0.1
 */
WEIR_API const char *weir_log_source_name(const struct weir_log_reader *reader, uint16_t id);

/**
 * weir_log_seek_time - skip batches that were cut before a time.
 *
 * @reader   from weir_log_open(), before the first weir_log_next()
 * @wall_ns  CLOCK_REALTIME; batches with wall_ns below it are skipped without reading their bodies
 *
 * Returns  0
 * Thread   owner. Cost: none here. Order: none. Since 0.1
 */
WEIR_API int weir_log_seek_time(struct weir_log_reader *reader, uint64_t wall_ns);

/**
 * weir_log_counts - what was read and what was found damaged so far.
 *
 * @reader  from weir_log_open()
 * @ret     size set by the caller
 *
 * Returns  0, -EINVAL
 * Thread   owner. Cost: a copy. Order: none. Since 0.1
 */
WEIR_API int weir_log_counts(const struct weir_log_reader *reader, struct weir_log_counts *ret);

/**
 * weir_log_damage - the n-th damaged place, for messages.
 *
 * @reader  from weir_log_open()
 * @n       0..damaged-1 (the first 64 are kept)
 * @ret     a sentence: segment, offset, what
 *
 * Returns  0, -ENOENT
 * Thread   owner. Cost: a copy. Order: none. Since 0.1
 */
WEIR_API int weir_log_damage(const struct weir_log_reader *reader, size_t n,
                             struct weir_why *ret);

/**
 * weir_log_close - end reading.
 *
 * @reader  or NULL
 *
 * Thread   owner. Cost: frees. Order: none. Since 0.1
 */
WEIR_API void weir_log_close(struct weir_log_reader *reader);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif
