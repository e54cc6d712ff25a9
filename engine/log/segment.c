/* SPDX-License-Identifier: Apache-2.0 */
/* segment.c - blocks to the end of one file. thread: the writer's */
#include "log/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/sys.h"
#include "log/dir.h"

#define WINDOW 64 /* pieces of one writev: well below IOV_MAX, and a large batch has few */

/* Where a list of pieces has been written to. */
struct cursor {
	const struct iovec *iov;
	uint32_t count, index;
	size_t offset; /* in iov[index] */
};

static void advance(struct cursor *cursor, size_t bytes)
{
	while (cursor->index < cursor->count) {
		size_t left = cursor->iov[cursor->index].iov_len - cursor->offset;

		if (bytes < left) {
			cursor->offset += bytes;
			return;
		}
		bytes -= left;
		cursor->index++;
		cursor->offset = 0;
	}
}

/* Pieces not yet written, as many as fit. */
static int window_of(const struct cursor *cursor, struct iovec *window, int room)
{
	size_t offset = cursor->offset;
	int n = 0;

	for (uint32_t i = cursor->index; i < cursor->count && n < room; i++) {
		const struct iovec *piece = &cursor->iov[i];

		if (piece->iov_len > offset) {
			window[n].iov_base = (uint8_t *)piece->iov_base + offset;
			window[n++].iov_len = piece->iov_len - offset;
		}
		offset = 0;
	}
	return n;
}

static int write_all(int fd, const uint8_t *head, size_t head_bytes, const struct iovec *iov,
                     uint32_t count)
{
	struct iovec header = { (void *)(uintptr_t)head, head_bytes };
	struct cursor first = { &header, 1, 0, 0 }, rest = { iov, count, 0, 0 };
	struct iovec window[WINDOW];

	for (;;) {
		int n = window_of(&first, window, 1);
		size_t head_left = n ? window[0].iov_len : 0;
		ssize_t wrote;

		n += window_of(&rest, window + n, WINDOW - n);
		if (!n)
			return 0;
		wrote = wr_sys.writev(fd, window, n);
		if (wrote == -EINTR)
			continue;
		if (wrote <= 0)
			return wrote ? (int)wrote : -EIO;
		if ((size_t)wrote < head_left) {
			advance(&first, (size_t)wrote);
		} else {
			advance(&first, head_left);
			advance(&rest, (size_t)wrote - head_left);
		}
	}
}

static int truncate_to(int fd, uint64_t bytes)
{
	int r;

	do
		r = wr_sys.ftruncate(fd, bytes);
	while (r == -EINTR);
	return r;
}

int wr_log_segment_append(struct wr_log_segment *segment, struct wr_log_header *header,
                          const struct iovec *iov, uint32_t count)
{
	uint8_t head[WR_LOG_HEADER_MAX];
	int r;

	memcpy(header->engine, segment->engine, 16);
	header->segment = segment->number;
	header->offset = segment->bytes;
	header->body_bytes = 0;
	header->body_crc = 0;
	for (uint32_t i = 0; i < count; i++) {
		header->body_bytes += iov[i].iov_len;
		header->body_crc = wr_crc32c(header->body_crc, iov[i].iov_base, iov[i].iov_len);
	}
	header->header_bytes = wr_log_header_bytes((enum wr_log_kind)header->kind);
	header->header_bytes += (uint16_t)wr_log_segment_pad(segment, wr_log_block_bytes(header));
	wr_log_encode(header, head);
	r = write_all(segment->fd, head, header->header_bytes, iov, count);
	if (r) {
		/*
		 * A new file is written with O_APPEND: the next block goes where it ends then. In
		 * one that is written over, the file offset stays where the write left it.
		 */
		segment->spoiled = segment->over || truncate_to(segment->fd, segment->bytes) != 0;
		return r;
	}
	segment->bytes += wr_log_block_bytes(header);
	segment->batches += header->kind == WR_LOG_BATCH;
	segment->unsynced_batches += header->kind == WR_LOG_BATCH;
	return 0;
}

static void name_of(const struct wr_log_segment *segment, char name[WR_LOG_NAME_BYTES])
{
	if (segment->aside)
		memcpy(name, WR_LOG_SPARE_NAME, sizeof(WR_LOG_SPARE_NAME));
	else
		wr_log_segment_name(segment->number, name);
}

int wr_log_segment_create(struct wr_log_segment *segment, int dir_fd,
                          const struct wr_log_header *start, int durable, int aside)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
	struct wr_log_segment made = { .number = start->segment, .aside = aside };
	struct wr_log_header header = *start;
	char name[WR_LOG_NAME_BYTES];
	int r;

	name_of(&made, name);
	made.fd = wr_sys.openat(dir_fd, name, flags, 0600);
	if (made.fd == -EEXIST && aside && !wr_sys.unlinkat(dir_fd, name)) /* one that stayed */
		made.fd = wr_sys.openat(dir_fd, name, flags, 0600);
	if (made.fd < 0)
		return made.fd;
	memcpy(made.engine, start->engine, 16);
	header.kind = WR_LOG_SEGMENT;
	r = wr_log_segment_append(&made, &header, NULL, 0);
	if (!r && durable && !aside)
		r = wr_sys.fsync(dir_fd);
	if (r) {
		(void)wr_log_segment_discard(&made, dir_fd);
		return r;
	}
	*segment = made;
	return 0;
}

int wr_log_segment_publish(struct wr_log_segment *segment, int dir_fd, int durable)
{
	char name[WR_LOG_NAME_BYTES];
	int r;

	wr_log_segment_name(segment->number, name);
	r = wr_sys.rename(dir_fd, WR_LOG_SPARE_NAME, name);
	if (r)
		return r;
	segment->aside = 0;
	return durable ? wr_sys.fsync(dir_fd) : 0;
}

/* A file that is nobody's but ours. */
static int is_suited(const struct stat *file)
{
	return S_ISREG(file->st_mode) && file->st_nlink == 1 && !(file->st_mode & 077) &&
	       wr_log_may_be_over((uint64_t)file->st_size);
}

static int sync_data(int fd)
{
	int r;

	do
		r = wr_sys.fdatasync(fd);
	while (r == -EINTR);
	return r;
}

/* Begins anew in a file that is open. 0 or -errno. */
static int begin_over(struct wr_log_segment *segment, const struct wr_log_header *start,
                      int durable)
{
	struct wr_log_header header = *start;
	struct stat file;
	int r = wr_sys.fstat(segment->fd, &file);

	if (r)
		return r;
	if (!is_suited(&file))
		return -EINVAL;
	segment->over = (uint64_t)file.st_size;
	header.kind = WR_LOG_SEGMENT;
	header.start.over = (uint32_t)(segment->over / WR_LOG_ALIGN);
	r = wr_log_segment_append(segment, &header, NULL, 0);
	/* Its name must not last longer than what the file says of itself. */
	return !r && durable ? sync_data(segment->fd) : r;
}

int wr_log_segment_over(struct wr_log_segment *segment, int dir_fd,
                        const struct wr_log_header *start, int durable, int aside)
{
	struct wr_log_segment made = { .number = start->segment, .aside = 1 };
	int r;

	memcpy(made.engine, start->engine, 16);
	/* Non-blocking for the sake of a fifo that somebody put there. */
	made.fd = wr_sys.openat(dir_fd, WR_LOG_SPARE_NAME,
	                        O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	r = made.fd < 0 ? made.fd : begin_over(&made, start, durable);
	if (!r && !aside)
		r = wr_log_segment_publish(&made, dir_fd, durable);
	if (r) {
		(void)wr_log_segment_discard(&made, dir_fd);
		return r;
	}
	*segment = made;
	return 0;
}

int wr_log_segment_trim(struct wr_log_segment *segment)
{
	int r = 0;

	if (segment->over > segment->bytes || (segment->over && segment->spoiled)) {
		r = truncate_to(segment->fd, segment->bytes);
		segment->trimmed = !r;
	}
	if (!r)
		segment->over = 0;
	return r;
}

int wr_log_segment_announce(struct wr_log_segment *segment, const struct weir_sources *sources,
                            uint8_t *chunk)
{
	uint32_t count = sources ? sources->count(sources) : 0;

	if (count > UINT16_MAX)
		count = UINT16_MAX;
	while (segment->announced < count) {
		struct wr_log_header header = { .kind = WR_LOG_SOURCES };
		struct iovec body = { chunk, 0 };
		uint32_t id = segment->announced;
		int r;

		while (id < count) {
			const char *name = sources->name(sources, (uint16_t)(id + 1));
			size_t room = WR_LOG_CHUNK_BYTES - WR_LOG_ALIGN - body.iov_len;
			size_t used = name ? wr_log_name_put(chunk + body.iov_len, room,
			                                     (uint16_t)(id + 1), name)
			                   : 0;

			if (name && !used)
				break;
			body.iov_len += used;
			header.sources.count += name != NULL;
			id++;
		}
		memset(chunk + body.iov_len, 0, WR_LOG_ALIGN);
		body.iov_len = (body.iov_len + WR_LOG_ALIGN - 1) & ~(size_t)(WR_LOG_ALIGN - 1);
		r = header.sources.count ? wr_log_segment_append(segment, &header, &body, 1) : 0;
		if (r)
			return r;
		segment->announced = id;
	}
	return 0;
}

int wr_log_segment_close(struct wr_log_segment *segment)
{
	int r = 0, closed;

	if (segment->fd < 0)
		return 0;
	if (segment->over)
		r = wr_log_segment_trim(segment);
	closed = wr_sys.close(segment->fd);
	segment->fd = -1;
	return r ? r : closed;
}

int wr_log_segment_discard(struct wr_log_segment *segment, int dir_fd)
{
	char name[WR_LOG_NAME_BYTES];

	if (segment->over > segment->bytes) /* no matter what is in it */
		segment->bytes = segment->over;
	segment->over = 0;
	name_of(segment, name);
	(void)wr_log_segment_close(segment);
	return wr_sys.unlinkat(dir_fd, name);
}
