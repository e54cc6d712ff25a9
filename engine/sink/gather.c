/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather.c - gathers the pieces of records for one write, and knows how far a write came.
 *
 * It knows pieces, where a record ends among them, and the one record that was written in part. It
 * does not know what a frame looks like. thread: the sink's own
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "sink/fd.h"

void wr_gather_add(struct wr_gather *gather, const void *data, size_t bytes)
{
	struct iovec *last = gather->count ? &gather->iov[gather->count - 1] : NULL;

	if (!bytes)
		return;
	gather->bytes += bytes;
	if (last && (const char *)last->iov_base + last->iov_len == (const char *)data)
		last->iov_len += bytes;
	else
		gather->iov[gather->count++] =
			(struct iovec){ (void *)(uintptr_t)data, bytes };
}

/* The first @bytes of what is gathered are written. */
static void advance(struct wr_gather *gather, uint64_t bytes)
{
	gather->written += bytes;
	while (bytes) {
		struct iovec *piece = &gather->iov[gather->at];

		if (bytes < piece->iov_len) {
			piece->iov_base = (char *)piece->iov_base + bytes;
			piece->iov_len -= bytes;
			break;
		}
		bytes -= piece->iov_len;
		gather->at++;
	}
	while (gather->whole < gather->records && gather->ends[gather->whole].at <= gather->written)
		gather->whole++;
}

static struct wr_record_id id_of(const struct weir_batch *batch, uint64_t index)
{
	struct wr_record_id id = { .seq = batch->seq, .index = batch->first_record + index };

	memcpy(id.engine, batch->engine, sizeof(id.engine));
	return id;
}

/* Remembers the record that was written in part, with a copy of the rest. */
static void tear(struct wr_pass *pass)
{
	struct wr_fd *fd = pass->fd;
	struct wr_gather *gather = &fd->gather;
	const struct wr_gather_end *end = &gather->ends[gather->whole];
	uint64_t begin = gather->whole ? end[-1].at : 0, bytes = end->at - gather->written;

	fd->torn = 1;
	fd->torn_id = id_of(pass->batch, pass->done);
	fd->torn_offset = gather->written - begin;
	fd->torn_after = end->after;
	fd->torn_kept = pass->alone;
	fd->torn_source = end->source;
	fd->tail = wr_mem_alloc(NULL, bytes);
	fd->tail_at = 0;
	fd->tail_bytes = bytes;
	for (uint32_t i = gather->at; fd->tail && bytes; i++) {
		size_t n = gather->iov[i].iov_len < bytes ? gather->iov[i].iov_len : bytes;

		memcpy(fd->tail + (fd->tail_bytes - bytes), gather->iov[i].iov_base, n);
		bytes -= n;
	}
}

int wr_gather_flush(struct wr_pass *pass)
{
	struct wr_fd *fd = pass->fd;
	struct wr_gather *gather = &fd->gather;
	int r = 0;

	if (pass->skip)
		advance(gather, pass->skip);
	while (!r && gather->at < gather->count) {
		ssize_t n = wr_fd_write_some(fd, &gather->iov[gather->at],
		                             gather->count - gather->at);

		if (n > 0)
			advance(gather, (uint64_t)n);
		else
			r = (int)n;
	}
	advance(gather, 0); /* records without a byte */
	pass->done += gather->whole;
	if (gather->whole)
		fd->stream = gather->ends[gather->whole - 1].after;
	if (gather->whole < gather->records &&
	    gather->written > (gather->whole ? gather->ends[gather->whole - 1].at : 0))
		tear(pass);
	pass->stream = fd->stream;
	pass->skip = 0;
	gather->count = gather->at = gather->records = gather->whole = 0;
	gather->bytes = gather->written = 0;
	return r;
}

int wr_fd_write_all(struct wr_fd *fd, struct iovec *iov, uint32_t count, size_t *written)
{
	for (uint32_t at = 0; at < count;) {
		ssize_t n;

		if (!iov[at].iov_len) {
			at++;
			continue;
		}
		n = wr_fd_write_some(fd, &iov[at], 1);
		if (n <= 0)
			return (int)n;
		*written += (size_t)n;
		iov[at].iov_base = (char *)iov[at].iov_base + n;
		iov[at].iov_len -= (size_t)n;
	}
	return 0;
}

void wr_torn_forget(struct wr_fd *fd)
{
	wr_mem_free(NULL, fd->tail, fd->tail_bytes);
	fd->tail = NULL;
	fd->torn = 0;
}

int wr_torn_finish(struct wr_fd *fd)
{
	struct iovec rest = { 0 };
	size_t written = 0;
	int r;

	if (!fd->tail) /* there was no memory for it: the stream cannot be mended */
		return -EIO;
	rest.iov_base = fd->tail + fd->tail_at;
	rest.iov_len = fd->tail_bytes - fd->tail_at;
	r = wr_fd_write_all(fd, &rest, 1, &written);
	fd->tail_at += written;
	fd->torn_offset += written;
	if (r)
		return r;
	if (fd->torn_kept)
		wr_kept_drop(fd, wr_kept_find(fd, fd->torn_source));
	fd->stream = fd->torn_after;
	wr_torn_forget(fd);
	return 0;
}

int wr_torn_is(const struct wr_fd *fd, const struct weir_batch *batch)
{
	struct wr_record_id id = id_of(batch, 0);

	return id.seq == fd->torn_id.seq && id.index == fd->torn_id.index &&
	       memcmp(id.engine, fd->torn_id.engine, sizeof(id.engine)) == 0;
}
