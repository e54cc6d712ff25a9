/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c - a log as its caller sees it: records, counts, names. thread: owner */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "log/reader_state.h"

int weir_log_open(const char *dir, struct weir_log_reader **ret, struct weir_why *ret_why)
{
	int dir_fd = wr_log_dir_open(dir, ret_why), r;
	struct weir_log_reader *reader;

	if (dir_fd < 0)
		return dir_fd;
	reader = wr_mem_alloc(NULL, sizeof(*reader));
	if (!reader) {
		wr_sys.close(dir_fd);
		return wr_log_why(ret_why, -ENOMEM, "no memory to read the log %s", dir);
	}
	reader->fd = reader->window.fd = reader->again.fd = -1;
	reader->lives.dir_fd = dir_fd;
	r = wr_log_lives_look(&reader->lives, &reader->window);
	if (r < 0) {
		wr_log_why(ret_why, r, "cannot read the log %s: %s", dir, wr_log_reason(r));
	} else if (!reader->lives.count && !reader->lives.unborn_bytes && !reader->lives.locked &&
	           reader->lives.others) {
		r = wr_log_why(ret_why, -EINVAL, "%s is not a log: it has files, but no segment",
		               dir);
	}
	if (r < 0) {
		weir_log_close(reader);
		return r;
	}
	*ret = reader;
	return 0;
}

/*
 * Bytes at the next record, as wr_log_window_get() says. Those of a body that is too large to be
 * kept are read a second time, with nothing to check them by but that the file is still what it
 * was. -ECANCELED: it is not.
 */
static int64_t at_record(struct weir_log_reader *reader, uint64_t bytes, const uint8_t **ret)
{
	const struct wr_log_window *window = &reader->window;
	uint64_t at = window->at, end = at + window->bytes;
	int64_t got = wr_log_window_get(&reader->window, reader->record_at, bytes, ret);

	if (got >= 0 && reader->batch.bytes > WR_LOG_BODY_WHOLE &&
	    (window->at != at || window->at + window->bytes != end) && wr_log_is_gone(reader))
		return -ECANCELED;
	return got;
}

/* 1: *ret is the next record of the batch; 0: there is none any more; -errno. */
static int next_of_batch(struct weir_log_reader *reader, struct weir_record *ret)
{
	while (reader->record_at < reader->body_end) {
		uint64_t left = reader->body_end - reader->record_at, total;
		struct weir_record_header header;
		const uint8_t *bytes;
		int64_t got = at_record(reader, sizeof(header), &bytes);

		if (got < 0)
			return (int)got;
		if (got < (int64_t)sizeof(header))
			break;
		memcpy(&header, bytes, sizeof(header));
		total = weir_record_total(header.size, header.flags);
		if (total > left || total > WR_LOG_RECORD_MAX) /* before memory is asked for */
			break;
		if ((uint64_t)got < total)
			got = at_record(reader, total, &bytes);
		if (got < 0)
			return (int)got;
		if ((uint64_t)got < total || !weir_record_decode(bytes, total, ret))
			break;
		reader->record_at += total;
		if (ret->flags & WEIR_REC_ABORTED)
			continue;
		reader->records_read++;
		return 1;
	}
	if (reader->record_at < reader->body_end)
		wr_log_damage(reader, reader->record_at,
		              "batch %" PRIu64 " holds a malformed record", reader->batch.seq);
	else if (reader->records_read != reader->batch.records)
		wr_log_damage(reader, reader->record_at,
		              "batch %" PRIu64 " holds %" PRIu64 " records, not %" PRIu64,
		              reader->batch.seq, reader->records_read, reader->batch.records);
	reader->in_batch = 0;
	return 0;
}

int weir_log_next(struct weir_log_reader *reader, struct weir_record *ret)
{
	int r;

	for (;;) {
		if (reader->in_batch) {
			r = next_of_batch(reader, ret);
			if (r > 0)
				break;
			if (r == -ECANCELED) {
				reader->in_batch = r = 0;
				wr_log_pass_over(reader);
			}
		} else {
			r = wr_log_walk(reader);
			if (!r)
				return 0;
		}
		if (r < 0)
			return r == -ENOMEM ? r : -EIO;
	}
	reader->has_batch = 1;
	reader->counts.records++;
	reader->counts.bytes += ret->size;
	return 1;
}

const struct weir_log_batch *weir_log_batch(const struct weir_log_reader *reader)
{
	return reader->has_batch ? &reader->batch : NULL;
}

const char *weir_log_source_name(const struct weir_log_reader *reader, uint16_t id)
{
	return wr_log_names_get(&reader->names, id);
}

int weir_log_seek_time(struct weir_log_reader *reader, uint64_t wall_ns)
{
	reader->since_ns = wall_ns;
	return 0;
}

int weir_log_counts(const struct weir_log_reader *reader, struct weir_log_counts *ret)
{
	struct weir_log_counts counts = reader->counts;
	size_t size = ret->size;

	if (size < sizeof(size) || size > sizeof(counts))
		return -EINVAL;
	if (reader->in_life)
		wr_log_seen_gaps(&reader->seen, &counts.gaps, &counts.missing_batches);
	counts.damaged += reader->pending.text[0] != 0;
	counts.skipped_bytes += reader->pending_skipped;
	counts.torn_bytes += reader->pending_torn + reader->lives.unborn_bytes;
	counts.size = size;
	memcpy(ret, &counts, size);
	return 0;
}

int weir_log_damage(const struct weir_log_reader *reader, size_t n, struct weir_why *ret)
{
	if (n < reader->counts.damaged && n < WR_LOG_DAMAGE_KEPT)
		*ret = reader->damage[n];
	else if (n == reader->counts.damaged && n < WR_LOG_DAMAGE_KEPT && reader->pending.text[0])
		*ret = reader->pending;
	else
		return -ENOENT;
	return 0;
}

void weir_log_close(struct weir_log_reader *reader)
{
	if (!reader)
		return;
	if (reader->fd >= 0)
		wr_sys.close(reader->fd);
	wr_sys.close(reader->lives.dir_fd);
	wr_log_lives_fini(&reader->lives);
	wr_log_names_fini(&reader->names);
	wr_log_again_fini(&reader->again);
	wr_log_window_fini(&reader->window);
	wr_mem_free(NULL, reader, sizeof(*reader));
}
