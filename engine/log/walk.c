/* SPDX-License-Identifier: Apache-2.0 */
/* walk.c - from batch to batch, over segments and lives. thread: the reader's */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/sys.h"
#include "log/reader_state.h"

static struct wr_log_part *part_of(struct weir_log_reader *reader)
{
	return &reader->lives.parts[reader->part];
}

__attribute__((format(printf, 4, 0))) static void sentence(const struct weir_log_reader *reader,
                                                           struct weir_why *ret, uint64_t offset,
                                                           const char *format, va_list args)
{
	int n = snprintf(ret->text, sizeof(ret->text), "segment %" PRIu64 ", offset %" PRIu64 ": ",
	                 reader->lives.parts[reader->part].number, offset);

	vsnprintf(ret->text + n, sizeof(ret->text) - (size_t)n, format, args);
}

void wr_log_damage(struct weir_log_reader *reader, uint64_t offset, const char *format, ...)
{
	struct weir_why ignored;
	uint64_t n = reader->counts.damaged++;
	va_list args;

	reader->behind_damage = 1;
	va_start(args, format);
	sentence(reader, n < WR_LOG_DAMAGE_KEPT ? &reader->damage[n] : &ignored, offset, format,
	         args);
	va_end(args);
}

__attribute__((format(printf, 3, 4))) static void
set_pending(struct weir_log_reader *reader, uint64_t offset, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	sentence(reader, &reader->pending, offset, format, args);
	va_end(args);
}

static void close_part(struct weir_log_reader *reader)
{
	if (reader->fd >= 0)
		wr_sys.close(reader->fd);
	wr_log_again_end(&reader->again);
	reader->fd = -1;
	reader->part++;
}

static void leave_life(struct weir_log_reader *reader)
{
	if (reader->in_life)
		wr_log_seen_gaps(&reader->seen, &reader->counts.gaps,
		                 &reader->counts.missing_batches);
	reader->in_life = reader->met_batch = 0;
}

static void enter_life(struct weir_log_reader *reader, const struct wr_log_part *part)
{
	if (reader->in_life && !memcmp(reader->engine, part->engine, 16))
		return;
	leave_life(reader);
	memcpy(reader->engine, part->engine, 16);
	reader->in_life = 1;
	reader->expired_under_way = 0;
	wr_log_seen_begin(&reader->seen, 0);
	wr_log_names_begin(&reader->names);
}

/* 1: open, or another is first now; 0: passed over, look at the next; -errno. */
static int open_part(struct weir_log_reader *reader)
{
	const struct wr_log_part *part = part_of(reader);
	/* Whose a segment is must be known before one is read: it may not be its turn. */
	int r = wr_log_lives_look_again(&reader->lives, &reader->window, reader->part), fd;

	if (r)
		return r;
	fd = wr_log_lives_open(&reader->lives, part->number);
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -EINTR)
		return fd;
	if (fd >= 0 && part->unlooked) { /* since just now: at the next call */
		wr_sys.close(fd);
		return -EIO;
	}
	if (reader->in_life && !memcmp(reader->engine, part->engine, 16) &&
	    part->number != part[-1].number + 1 && wr_log_lives_is_front(&reader->lives, part))
		reader->expired_under_way = 1;
	enter_life(reader, part);
	if (fd == -ENOENT) {
		/* Retention was faster: not a fault of the log. */
		wr_log_pass_over(reader);
		return 0;
	}
	reader->counts.segments++;
	if (fd < 0) {
		wr_log_damage(reader, 0, "the file cannot be read: %s",
		              fd == -EINVAL ? "it is not a plain file" : wr_log_reason(fd));
		reader->part++;
		return 0;
	}
	reader->fd = fd;
	reader->behind_damage = 0;
	wr_log_scan_begin(&reader->scan, &reader->window, fd, part->number);
	if (!part->headless) {
		memcpy(reader->scan.engine, part->engine, 16);
		reader->scan.bound = 1;
	}
	return 1;
}

int wr_log_is_gone(struct weir_log_reader *reader)
{
	int fd;

	if (!wr_log_scan_is_gone(&reader->scan))
		return 0;
	/* It was never its own, unless its name has left it. */
	fd = wr_log_lives_open(&reader->lives, part_of(reader)->number);
	if (fd >= 0)
		wr_sys.close(fd);
	return fd == -ENOENT;
}

void wr_log_pass_over(struct weir_log_reader *reader)
{
	reader->expired_under_way = 1;
	close_part(reader);
}

/* The names of a source block, as take_block(); what is malformed is damage. */
static int take_sources(struct weir_log_reader *reader, const struct wr_log_header *header)
{
	uint64_t at = reader->scan.at + header->header_bytes;
	uint32_t found = 0;
	const uint8_t *body;
	int64_t got;
	int r = wr_log_scan_body(&reader->scan, header);

	if (r < 0 || r == WR_LOG_BODY_OPEN)
		return r;
	if (!r) {
		if (wr_log_is_gone(reader))
			return WR_LOG_BODY_OPEN;
		wr_log_damage(reader, reader->scan.at,
		              "%" PRIu32 " source names do not match their sum",
		              header->sources.count);
		return 0;
	}
	/* It was read for its sum, and is kept: such bodies are small. */
	static_assert(WR_LOG_SOURCES_BODY_MAX <= WR_LOG_BODY_WHOLE, "names are read once");
	got = wr_log_window_get(&reader->window, at, header->body_bytes, &body);
	WR_ASSERT(got >= (int64_t)header->body_bytes);
	for (size_t i = 0; i < header->body_bytes;) {
		const char *name;
		size_t bytes, used;
		uint16_t id;

		used = wr_log_name_get(body + i, header->body_bytes - i, &id, &name, &bytes);
		if (!used)
			break;
		r = wr_log_names_add(&reader->names, id, name, bytes);
		if (r == -ENOMEM)
			return r;
		i += used;
		found++;
	}
	if (found != header->sources.count)
		wr_log_damage(reader, reader->scan.at, "%" PRIu32 " source names of %" PRIu32,
		              found, header->sources.count);
	return 0;
}

/* The first batch of a life: whether smaller numbers are missing, or were never to be expected. */
static void expect_from(struct weir_log_reader *reader, uint64_t seq)
{
	const struct wr_log_part *first = part_of(reader);

	while (first > reader->lives.parts && !memcmp(first[-1].engine, first->engine, 16))
		first--;
	/* Missing in peace only when the life's first segment is, and nothing older is there. */
	if (seq > 1 && first->number != 1 &&
	    wr_log_lives_first(&reader->lives, first) != first->number &&
	    wr_log_lives_is_front(&reader->lives, first))
		wr_log_seen_begin(&reader->seen, seq - 1);
}

static void fill_batch(struct weir_log_batch *batch, const struct wr_log_header *header)
{
	memcpy(batch->engine, header->engine, 16);
	batch->seq = header->batch.seq;
	batch->first_record = header->batch.first_record;
	batch->wall_ns = header->batch.wall_ns;
	batch->earliest_ns = header->batch.earliest_ns;
	batch->records = header->batch.records;
	batch->bytes = header->body_bytes;
	batch->cause = header->batch.cause;
	batch->attempt = header->batch.attempt;
}

/* As take_block(). */
static int take_batch(struct weir_log_reader *reader, const struct wr_log_header *header)
{
	uint64_t seq = header->batch.seq, first_record = header->batch.first_record;
	int early = header->batch.wall_ns < reader->since_ns;
	int r;

	if (!reader->met_batch) {
		reader->met_batch = 1;
		reader->counts.engines++;
		expect_from(reader, seq);
	}
	if (wr_log_seen_has(&reader->seen, seq, first_record)) {
		reader->counts.duplicates++;
		return 0;
	}
	/* What was lost before it comes again, and this one after that. */
	r = !reader->behind_damage ? 0
	                           : wr_log_again_has(&reader->again, &reader->lives, reader->part,
	                                              seq, first_record);
	if (r) {
		reader->counts.duplicates += r > 0;
		return r < 0 ? r : 0;
	}
	r = early ? 1 : wr_log_scan_body(&reader->scan, header);
	if (r < 0 || r == WR_LOG_BODY_OPEN)
		return r;
	if (!r) {
		if (wr_log_is_gone(reader))
			return WR_LOG_BODY_OPEN;
		wr_log_damage(reader, reader->scan.at,
		              "batch %" PRIu64 " does not match its sum, %" PRIu64 " records lost",
		              seq, header->batch.records);
		wr_log_seen_expect(&reader->seen, seq);
		return 0;
	}
	if (reader->expired_under_way && seq)
		wr_log_seen_forgive(&reader->seen, seq - 1);
	reader->expired_under_way = 0;
	wr_log_seen_add(&reader->seen, seq, first_record);
	if (early)
		return 0;
	reader->counts.batches++;
	reader->in_batch = 1;
	reader->record_at = reader->scan.at + header->header_bytes;
	reader->body_end = reader->record_at + header->body_bytes;
	reader->records_read = 0;
	fill_batch(&reader->batch, header);
	return 1;
}

/*
 * A good block at scan.at. 1: a batch is entered; 0: on; WR_LOG_BODY_OPEN: it is unfinished, or
 * the segment has expired and its file has another use; -errno. Then nothing moved.
 */
static int take_block(struct weir_log_reader *reader, const struct wr_log_header *header)
{
	int r = 0;

	if (header->kind == WR_LOG_SOURCES)
		r = take_sources(reader, header);
	else if (header->kind == WR_LOG_BATCH)
		r = take_batch(reader, header);
	/* Any other kind, but the segment's own, is from a later version: let it pass. */
	if (r >= 0 && r != WR_LOG_BODY_OPEN)
		reader->scan.at += wr_log_block_bytes(header);
	return r;
}

/* The segment that is open will not grow any more, there is a next: what its end was, for good. */
static void settle_end(struct weir_log_reader *reader, int step)
{
	const struct wr_log_part *part = part_of(reader), *next = part + 1;
	const struct wr_log_part *end = reader->lives.parts + reader->lives.count;
	uint64_t left = reader->scan.left;
	int last, cut_short;

	while (next < end && next->headless) /* begun by nobody knows whom */
		next++;
	last = next == end || memcmp(next->engine, part->engine, 16) != 0;
	cut_short = last || part->headless || next->flags & WR_LOG_AFTER_TROUBLE;

	/* The rest of an old file is there when nobody came to trim it. */
	if (step == WR_LOG_STEP_END || (step == WR_LOG_STEP_OLD && cut_short))
		return;
	if (step == WR_LOG_STEP_TORN && cut_short) {
		reader->counts.torn_bytes += left;
		return;
	}
	reader->counts.skipped_bytes += left;
	wr_log_damage(reader, reader->scan.at,
	              step == WR_LOG_STEP_TORN
	                  ? "ends within a block, %" PRIu64 " bytes passed over"
	                  : "no block up to the end, %" PRIu64 " bytes passed over",
	              left);
}

/* The end of the last segment: it may grow, so all of this may be withdrawn. */
static void suspend(struct weir_log_reader *reader, int step)
{
	uint64_t left = reader->scan.left;

	if (step == WR_LOG_STEP_TORN) {
		reader->pending_torn = left;
	} else if (step == WR_LOG_STEP_BAD_END) {
		reader->pending_skipped = left;
		set_pending(reader, reader->scan.at,
		            "no block up to the end, %" PRIu64 " bytes passed over", left);
	}
	/* What was read of an unfinished block may be cut off and be something else next time. */
	wr_log_window_reset(&reader->window, reader->fd);
}

/* What to do at the end of the open segment. 1: go on; 0: the end for now; -errno. */
static int end_of_part(struct weir_log_reader *reader, int step)
{
	int r;

	if (reader->part + 1 < reader->lives.count) {
		settle_end(reader, step);
		close_part(reader);
		return 1;
	}
	r = wr_log_lives_look(&reader->lives, &reader->window);
	wr_log_window_reset(&reader->window, reader->fd);
	if (r < 0)
		return r;
	if (r > 0) { /* it was finished before the next was begun: but perhaps after the look */
		reader->scan.quiet_at = 0;
		return 1;
	}
	suspend(reader, step);
	return 0;
}

int wr_log_walk(struct weir_log_reader *reader)
{
	struct wr_log_header header;
	uint64_t to = 0;
	int r, step;

	reader->pending_torn = reader->pending_skipped = 0;
	reader->pending.text[0] = 0;
	for (;;) {
		if (reader->fd < 0) {
			if (reader->part == reader->lives.count) {
				r = wr_log_lives_look(&reader->lives, &reader->window);
				if (r <= 0)
					return r;
			}
			r = open_part(reader);
			if (r < 0)
				return r;
			continue;
		}
		step = wr_log_scan_look(&reader->scan, &header, &to);
		if (step < 0)
			return step;
		if (step == WR_LOG_STEP_BLOCK) {
			r = take_block(reader, &header);
			if (!r)
				continue;
			if (r != WR_LOG_BODY_OPEN)
				return r;
			step = WR_LOG_STEP_TORN;
		}
		if (wr_log_is_gone(reader)) {
			wr_log_pass_over(reader);
			continue;
		}
		if (step == WR_LOG_STEP_DAMAGE) {
			wr_log_damage(reader, reader->scan.at,
			              "no block here, %" PRIu64 " bytes passed over",
			              to - reader->scan.at);
			reader->counts.skipped_bytes += to - reader->scan.at;
			reader->scan.at = to;
			continue;
		}
		r = end_of_part(reader, step);
		if (r <= 0)
			return r;
	}
}
