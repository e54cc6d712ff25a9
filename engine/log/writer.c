/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c - the way of a batch into the log. thread: one at a time */
#include "log/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/sys.h"
#include "log/dir.h"
#include "log/writer_state.h"

static int check(struct wr_log_options *options, const char *dir, struct weir_why *ret_why)
{
	if (!options->interval_ns)
		options->interval_ns = WR_LOG_INTERVAL_NS;
	if (!options->segment_bytes)
		options->segment_bytes = WR_LOG_SEGMENT_SIZE;
	if (options->sync > WR_LOG_SYNC_BATCH)
		return wr_log_why(ret_why, -EINVAL, "%s: sync is none, interval or batch", dir);
	if (options->segment_bytes < WR_LOG_SEGMENT_SIZE_MIN)
		return wr_log_why(ret_why, -EINVAL,
		                  "%s: segment %" PRIu64 " is below %" PRIu64 " bytes", dir,
		                  options->segment_bytes, WR_LOG_SEGMENT_SIZE_MIN);
	if (options->max_bytes && options->max_bytes / 2 < options->segment_bytes)
		return wr_log_why(ret_why, -EINVAL,
		                  "%s: max_bytes %" PRIu64
		                  " is below twice the segment of %" PRIu64,
		                  dir, options->max_bytes, options->segment_bytes);
	return 0;
}

static void release(struct wr_log_writer *writer)
{
	struct wr_mem mem = writer->mem;

	if (writer->dir_fd >= 0)
		wr_sys.close(writer->dir_fd);
	if (writer->lock_fd >= 0) {
		/* A forked child may hold the same open file: closing alone would not let it go. */
		(void)wr_sys.lock(writer->lock_fd, 0);
		wr_sys.close(writer->lock_fd);
	}
	wr_mem_free(&mem, writer->closed, writer->closed_room * sizeof(*writer->closed));
	wr_mem_free(&mem, writer->chunk, WR_LOG_CHUNK_BYTES);
	wr_mem_free(&mem, writer, sizeof(*writer));
}

/* What is there already: a new life begins after it and never touches it. */
static int look(struct wr_log_writer *writer, const char *dir, struct weir_why *ret_why)
{
	struct wr_log_listing listing = { 0 };
	int r = wr_log_dir_list(writer->dir_fd, &writer->mem, &listing);

	if (!r)
		r = wr_log_retain_load(writer, listing.numbers, listing.count);
	if (r) {
		wr_log_why(ret_why, r, "cannot read the log %s: %s", dir, wr_log_reason(r));
	} else {
		writer->next = listing.count ? listing.numbers[listing.count - 1] + 1 : 1;
		if (!writer->next)
			r = wr_log_why(ret_why, -EOVERFLOW, "%s: no segment number is left", dir);
		if (listing.spare) /* by a crash, and nothing depends on it */
			(void)wr_sys.unlinkat(writer->dir_fd, WR_LOG_SPARE_NAME);
	}
	wr_log_listing_fini(&listing, &writer->mem);
	return r;
}

int wr_log_writer_open(const char *dir, const struct wr_log_options *options,
                       const struct wr_mem *mem, struct wr_log_writer **ret,
                       struct weir_why *ret_why)
{
	struct wr_log_options checked = options ? *options : (struct wr_log_options){ 0 };
	int r = check(&checked, dir, ret_why);
	struct wr_log_writer *writer;

	if (r)
		return r;
	writer = wr_mem_alloc(mem, sizeof(*writer));
	if (!writer)
		return wr_log_why(ret_why, -ENOMEM, "no memory for a writer of %s", dir);
	if (mem)
		writer->mem = *mem;
	writer->options = checked;
	writer->dir_fd = writer->lock_fd = writer->now.fd = writer->poisoned.fd = -1;
	writer->chunk = wr_mem_alloc(&writer->mem, WR_LOG_CHUNK_BYTES);
	if (!writer->chunk)
		r = wr_log_why(ret_why, -ENOMEM, "no memory for a writer of %s", dir);
	if (!r)
		r = wr_log_dir_own(dir, checked.sync != WR_LOG_SYNC_NONE, &writer->dir_fd,
		                   &writer->lock_fd, ret_why);
	if (!r)
		r = look(writer, dir, ret_why);
	if (r) {
		release(writer);
		return r;
	}
	wr_log_retain(writer);
	*ret = writer;
	return 0;
}

/* A segment that takes @bytes more of this engine life. */
static int make_room(struct wr_log_writer *writer, const struct weir_log_batch *batch,
                     uint64_t bytes)
{
	int r;

	bytes += wr_log_segment_pad(&writer->now, bytes);
	if (writer->now.fd >= 0 && writer->now.batches &&
	    (memcmp(writer->engine, batch->engine, 16) != 0 ||
	     writer->now.bytes + bytes > writer->options.segment_bytes)) {
		r = wr_log_turn_end(writer);
		if (r)
			return r;
	}
	if (writer->now.fd >= 0 && memcmp(writer->engine, batch->engine, 16) != 0)
		wr_log_turn_leave(writer); /* without a batch: removed */
	return writer->now.fd >= 0 ? 0 : wr_log_turn_begin(writer, batch->engine, batch->wall_ns);
}

/* Once, in a segment that is ready. */
static int append(struct wr_log_writer *writer, const struct weir_log_batch *batch,
                  const struct iovec *iov, uint32_t count, const struct weir_sources *sources)
{
	struct wr_log_header header = { .kind = WR_LOG_BATCH };
	uint64_t from;
	int r;

	r = make_room(writer, batch, WR_LOG_BATCH_BYTES + batch->bytes);
	if (r)
		return r;
	r = wr_log_segment_announce(&writer->now, sources, writer->chunk);
	if (!r) {
		header.batch.seq = batch->seq;
		header.batch.first_record = batch->first_record;
		header.batch.records = batch->records;
		header.batch.wall_ns = batch->wall_ns;
		header.batch.earliest_ns = batch->earliest_ns;
		header.batch.cause = batch->cause;
		header.batch.attempt = batch->attempt;
		from = writer->now.bytes;
		r = wr_log_segment_append(&writer->now, &header, iov, count);
	}
	if (r) {
		/* An empty one is not worth its directory entry, least of all on a full disk. */
		if (!writer->now.batches)
			wr_log_turn_leave(writer);
		else if (writer->now.spoiled)
			wr_log_turn_spoiled(writer);
		return r;
	}
	return writer->options.sync == WR_LOG_SYNC_BATCH ? wr_log_turn_sync_batch(writer, from) : 0;
}

int wr_log_writer_write(struct wr_log_writer *writer, const struct weir_log_batch *batch,
                        const struct iovec *iov, uint32_t count, const struct weir_sources *sources)
{
	uint64_t bytes = 0, poisoned = writer->counts.poisoned;
	int r;

	for (uint32_t i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	if (bytes != batch->bytes || bytes % WR_LOG_ALIGN)
		return -EINVAL;
	if (bytes > WR_LOG_BATCH_BODY_MAX)
		return -EMSGSIZE;
	writer->sources = sources;
	r = wr_log_writer_tick(writer);
	if (!r)
		r = append(writer, batch, iov, count, sources);
	/* A sync that failed says nothing about another file: once more at once, in a new one. */
	if (r && writer->counts.poisoned != poisoned && writer->poisoned.fd < 0)
		r = append(writer, batch, iov, count, sources);
	if (r) {
		writer->counts.failures++;
		return r;
	}
	if (writer->options.sync == WR_LOG_SYNC_INTERVAL && !writer->dirty_ns)
		writer->dirty_ns = wr_sys.now();
	writer->counts.batches++;
	writer->counts.records += batch->records;
	writer->counts.bytes += bytes;
	if (writer->options.max_bytes)
		wr_log_retain(writer);
	return 0;
}

int wr_log_writer_tick(struct wr_log_writer *writer)
{
	int r = wr_log_turn_rescue(writer);

	/* Half, since the next occasion may be another half away: see writer.h. */
	if (!r && writer->options.sync == WR_LOG_SYNC_INTERVAL && writer->dirty_ns &&
	    wr_sys.now() - writer->dirty_ns >= writer->options.interval_ns / 2)
		r = wr_log_turn_sync(writer);
	if (!r && writer->options.max_age_ns)
		wr_log_retain(writer);
	return r;
}

int wr_log_writer_sync(struct wr_log_writer *writer)
{
	return wr_log_turn_sync(writer);
}

void wr_log_writer_counts(const struct wr_log_writer *writer, struct wr_log_writer_counts *ret)
{
	*ret = writer->counts;
}

int wr_log_writer_close(struct wr_log_writer *writer)
{
	uint64_t unsynced;
	int r;

	if (!writer)
		return 0;
	unsynced = writer->counts.unsynced;
	if (writer->now.fd >= 0) /* a rest of the old file that stays is no loss */
		(void)wr_log_segment_trim(&writer->now);
	r = writer->options.sync == WR_LOG_SYNC_NONE ? wr_log_turn_rescue(writer)
	                                             : wr_log_turn_sync(writer);
	if (writer->now.fd >= 0) /* else r tells of worse */
		r = wr_log_segment_close(&writer->now);
	(void)wr_log_segment_close(&writer->poisoned);
	if (!r && writer->counts.unsynced != unsynced) /* nobody can ask for the counts any more */
		r = -EIO;
	release(writer);
	return r;
}
