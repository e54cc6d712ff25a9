/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn.c - one segment after the other: begun, synced, given up, rescued. thread: the writer's
 *
 * After a failed sync the kernel may have dropped the pages that it could not write, and a second
 * sync would then answer success about data that is gone. So a segment is never synced again once
 * that failed. What it held that was acknowledged but not durable is still in the page cache (or it
 * is nowhere): it is read back and written to a new segment, before anything else is. That one gets
 * its name when it is whole and durable: with a part of it, a reader could not tell the order.
 */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/sys.h"
#include "log/writer_state.h"

#define PAGE_BYTES 4096u /* what is lost at once is so much, or a multiple */

/* Begins the next segment, @aside or under its own name. 0 or -errno. */
static int begin(struct wr_log_writer *writer, const uint8_t engine[16], uint64_t wall_ns,
                 int aside)
{
	int same_life = writer->first && !memcmp(writer->engine, engine, 16);
	int durable = writer->options.sync != WR_LOG_SYNC_NONE;
	struct wr_log_header start = { .segment = writer->next };
	int r;

	if (!writer->next)
		return -EOVERFLOW;
	r = wr_log_retain_reserve(writer);
	if (r)
		return r;
	memcpy(start.engine, engine, 16);
	start.start.created_ns = wr_sys.wall();
	start.start.first = same_life ? writer->first : writer->next;
	start.start.wall_ns = wall_ns;
	start.start.flags = writer->after_trouble ? WR_LOG_AFTER_TROUBLE : 0;
	/* An old file is a convenience: whatever is wrong with it, a new one will do. */
	if (!wr_log_retain_ahead(writer) ||
	    wr_log_segment_over(&writer->now, writer->dir_fd, &start, durable, aside))
		r = wr_log_segment_create(&writer->now, writer->dir_fd, &start, durable, aside);
	if (r == -EEXIST && !aside) { /* it holds nothing of ours; the next may be free */
		(void)wr_log_retain_load(writer, &writer->next, 1);
		writer->next++;
	}
	if (r)
		return r;
	writer->next++; /* 0 after the last number there is */
	writer->now.wall_ns = wall_ns;
	writer->first = start.start.first;
	memcpy(writer->engine, engine, 16);
	writer->after_trouble = 0;
	writer->counts.segments++;
	return 0;
}

int wr_log_turn_begin(struct wr_log_writer *writer, const uint8_t engine[16], uint64_t wall_ns)
{
	return begin(writer, engine, wall_ns, 0);
}

static void discard(struct wr_log_writer *writer, struct wr_log_segment *segment)
{
	/* A reader must not take its absence for the work of retention. */
	if (segment->number == writer->first)
		writer->first = 0;
	/* One that cannot be removed now is so later, when its turn comes. */
	if (wr_log_segment_discard(segment, writer->dir_fd) && !segment->aside)
		wr_log_retain_add(writer, segment);
}

/* The file stays, closed for good; one that never held anything does not. */
static void leave(struct wr_log_writer *writer, struct wr_log_segment *segment)
{
	if (!segment->batches) {
		discard(writer, segment);
		return;
	}
	(void)wr_log_segment_close(segment);
	wr_log_retain_add(writer, segment);
}

void wr_log_turn_leave(struct wr_log_writer *writer)
{
	writer->after_trouble = 1;
	leave(writer, &writer->now);
}

int wr_log_turn_end(struct wr_log_writer *writer)
{
	int r = 0;

	/* Before the sync: the next segment says by being there that this one is trimmed. */
	if (wr_log_segment_trim(&writer->now))
		writer->after_trouble = 1;
	if (writer->options.sync != WR_LOG_SYNC_NONE)
		r = wr_log_turn_sync(writer);
	if (r)
		return r;
	leave(writer, &writer->now);
	return 0;
}

/* What it holds is acknowledged, perhaps, and not durable yet: nobody comes back to sync it. */
void wr_log_turn_spoiled(struct wr_log_writer *writer)
{
	writer->after_trouble = 1;
	(void)wr_log_turn_end(writer); /* if that fails it is poisoned, and being rescued */
}

static int sync_segment(struct wr_log_writer *writer, struct wr_log_segment *segment)
{
	int r;

	do
		r = wr_sys.fdatasync(segment->fd);
	while (r == -EINTR);
	if (r)
		return r;
	segment->synced = segment->bytes;
	segment->trimmed = 0;
	segment->unsynced_batches = 0;
	writer->counts.syncs++;
	return 0;
}

int wr_log_turn_sync(struct wr_log_writer *writer)
{
	int r;

	if (writer->poisoned.fd >= 0)
		return wr_log_turn_rescue(writer);
	if (writer->now.fd < 0 ||
	    (writer->now.synced == writer->now.bytes && !writer->now.trimmed)) {
		writer->dirty_ns = 0;
		return 0;
	}
	r = sync_segment(writer, &writer->now);
	if (!r) {
		writer->dirty_ns = 0;
		return 0;
	}
	writer->counts.poisoned++;
	writer->after_trouble = 1;
	writer->poisoned = writer->now;
	writer->now.fd = -1;
	return wr_log_turn_rescue(writer);
}

int wr_log_turn_sync_batch(struct wr_log_writer *writer, uint64_t from)
{
	int r = sync_segment(writer, &writer->now);

	if (!r)
		return 0;
	writer->counts.poisoned++;
	/* Nobody was told that it is there, and it is about to be written elsewhere. */
	if (!wr_sys.ftruncate(writer->now.fd, from)) {
		writer->now.bytes = from;
		writer->now.batches--;
	}
	wr_log_turn_leave(writer);
	return r;
}

/* Reads all of it. 0, or -EIO: it is not there. */
static int read_all(int fd, uint8_t *to, size_t bytes, uint64_t offset)
{
	while (bytes) {
		ssize_t n = wr_sys.pread(fd, to, bytes, offset);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		to += n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The header of a block of the poisoned segment that lies at @at, whole. 0, or -EIO: none does. */
static int header_at(const struct wr_log_writer *writer, uint64_t at, struct wr_log_header *ret)
{
	const struct wr_log_segment *from = &writer->poisoned;
	uint8_t head[WR_LOG_HEADER_MAX];
	uint64_t left = from->bytes - at;
	size_t bytes = left < sizeof(head) ? (size_t)left : sizeof(head);

	if (read_all(from->fd, head, bytes, at) ||
	    wr_log_decode(head, bytes, ret) != WR_LOG_GOOD || wr_log_block_bytes(ret) > left)
		return -EIO;
	/* What the old file below it held there, since the page that was written is lost. */
	return ret->segment == from->number && ret->offset == at ? 0 : -EIO;
}

/* The next header after @at, past a page that is lost; the end when there is none. */
static uint64_t next_header(const struct wr_log_writer *writer, uint64_t at)
{
	const struct wr_log_segment *from = &writer->poisoned;
	struct wr_log_header header;
	uint8_t page[PAGE_BYTES];

	for (at += WR_LOG_ALIGN; at < from->bytes;) {
		uint64_t end = (at / PAGE_BYTES + 1) * PAGE_BYTES;
		size_t bytes = (size_t)((end < from->bytes ? end : from->bytes) - at);

		if (read_all(from->fd, page, bytes, at)) {
			at = end;
			continue;
		}
		for (size_t i = 0; i < bytes; i += WR_LOG_ALIGN)
			if (wr_log_is_magic(page + i) &&
			    !header_at(writer, at + i, &header))
				return at + i;
		at += bytes;
	}
	return from->bytes;
}

/* One batch of the poisoned segment to the current one. 1; 0: it cannot be read any more; -errno:
 * it cannot be written now. */
static int copy_batch(struct wr_log_writer *writer, const struct wr_log_header *header)
{
	uint8_t *body = wr_mem_alloc(&writer->mem, header->body_bytes);
	struct iovec piece = { body, header->body_bytes };
	struct wr_log_header again = *header;
	int r = 0;

	if (!body)
		return -ENOMEM;
	if (!read_all(writer->poisoned.fd, body, header->body_bytes,
	              header->offset + header->header_bytes) &&
	    wr_crc32c(0, body, header->body_bytes) == header->body_crc) {
		r = wr_log_segment_append(&writer->now, &again, &piece, 1);
		r = r ? r : 1;
	}
	wr_mem_free(&writer->mem, body, header->body_bytes);
	return r;
}

/*
 * All that is not durable, and can be read: also what lies behind a page that is lost, or a reader
 * would meet that one there, and here what came before it. 0 or -errno.
 */
static int copy_all(struct wr_log_writer *writer, uint64_t *ret_lost)
{
	struct wr_log_header header = { 0 };
	uint64_t done = 0;

	for (uint64_t at = writer->poisoned.synced; at < writer->poisoned.bytes;) {
		if (header_at(writer, at, &header)) {
			at = next_header(writer, at);
			continue;
		}
		if (header.kind == WR_LOG_BATCH) { /* the names are announced anew */
			int r = copy_batch(writer, &header);

			if (r < 0)
				return r;
			done += (uint64_t)r;
		}
		at += wr_log_block_bytes(&header);
	}
	*ret_lost = writer->poisoned.unsynced_batches - done;
	return 0;
}

int wr_log_turn_rescue(struct wr_log_writer *writer)
{
	uint64_t lost = 0;
	int r;

	if (writer->poisoned.fd < 0)
		return 0;
	/* By the time of the one that it stands for: that may be gone, and the clock set back. */
	r = begin(writer, writer->poisoned.engine, writer->poisoned.wall_ns, 1);
	if (r)
		return r;
	r = wr_log_segment_announce(&writer->now, writer->sources, writer->chunk);
	if (!r)
		r = copy_all(writer, &lost);
	if (!r)
		r = sync_segment(writer, &writer->now);
	if (!r) {
		r = wr_log_segment_publish(&writer->now, writer->dir_fd, 1);
		if (r == -EEXIST) /* whoever made it, its size counts */
			(void)wr_log_retain_load(writer, &writer->now.number, 1);
	}
	if (r) { /* all of it again, at the next occasion */
		writer->after_trouble = 1;
		discard(writer, &writer->now);
		return r;
	}
	writer->counts.rescued += writer->poisoned.unsynced_batches - lost;
	writer->counts.unsynced += lost;
	leave(writer, &writer->poisoned);
	writer->dirty_ns = 0;
	return 0;
}
