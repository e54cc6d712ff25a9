/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retain.c - the oldest closed segments go when the log is too large or they are too old.
 *
 * The file of one that goes for the sake of the next segment is kept for that one to be written
 * over: its pages, and its blocks on the disk, are there already.
 *
 * It knows sizes and ages of closed files. It does not know what they hold. Nothing else in the log
 * ever removes a file that held an acknowledged batch. thread: the writer's
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "log/dir.h"
#include "log/writer_state.h"

static int wanted(const struct wr_log_writer *writer)
{
	return writer->options.max_bytes || writer->options.max_age_ns;
}

int wr_log_retain_reserve(struct wr_log_writer *writer)
{
	struct wr_log_closed *bigger;
	size_t room;

	/* Two may be closed before the next is begun: the current one and a poisoned one. */
	if (!wanted(writer) ||
	    writer->closed_from + writer->closed_count + 2 <= writer->closed_room)
		return 0;
	room = 2 * writer->closed_count + 64;
	bigger = wr_mem_alloc(&writer->mem, room * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	if (writer->closed_count)
		memcpy(bigger, writer->closed + writer->closed_from,
		       writer->closed_count * sizeof(*bigger));
	wr_mem_free(&writer->mem, writer->closed, writer->closed_room * sizeof(*bigger));
	writer->closed = bigger;
	writer->closed_from = 0;
	writer->closed_room = room;
	return 0;
}

static void push(struct wr_log_writer *writer, struct wr_log_closed closed)
{
	writer->closed[writer->closed_from + writer->closed_count++] = closed;
	writer->closed_bytes += closed.bytes;
}

int wr_log_retain_load(struct wr_log_writer *writer, const uint64_t *numbers, size_t count)
{
	if (!wanted(writer))
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct wr_log_closed closed = { .number = numbers[i] };
		char name[WR_LOG_NAME_BYTES];
		struct stat file;
		int fd, r;

		wr_log_segment_name(numbers[i], name);
		fd = wr_sys.openat(writer->dir_fd, name,
		                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
		if (fd < 0)
			return fd;
		r = wr_sys.fstat(fd, &file);
		wr_sys.close(fd);
		if (!r && !S_ISREG(file.st_mode)) /* it could never be removed */
			continue;
		if (!r)
			r = wr_log_retain_reserve(writer);
		if (r)
			return r;
		closed.bytes = (uint64_t)file.st_size;
		closed.wall_ns = (uint64_t)file.st_mtim.tv_sec * UINT64_C(1000000000) +
		                 (uint64_t)file.st_mtim.tv_nsec;
		push(writer, closed);
	}
	return 0;
}

void wr_log_retain_add(struct wr_log_writer *writer, const struct wr_log_segment *segment)
{
	if (wanted(writer))
		push(writer,
		     (struct wr_log_closed){ segment->number, segment->bytes, wr_sys.wall() });
}

static int too_much(const struct wr_log_writer *writer)
{
	/* An old file below the current one is not longer than the room that was made for it. */
	uint64_t bytes = writer->closed_bytes + (writer->now.fd < 0 ? 0 : writer->now.bytes);

	return writer->options.max_bytes && bytes > writer->options.max_bytes;
}

static int too_old(const struct wr_log_writer *writer)
{
	uint64_t written = writer->closed[writer->closed_from].wall_ns, now;

	if (!writer->options.max_age_ns)
		return 0;
	now = wr_sys.wall();
	return now > written && now - written > writer->options.max_age_ns;
}

/* The oldest is not there any more. @r: 0, or -ENOENT: that was no work of ours. */
static void pop(struct wr_log_writer *writer, int r)
{
	uint64_t bytes = writer->closed[writer->closed_from].bytes;

	writer->counts.expired += !r;
	writer->counts.expired_bytes += r ? 0 : bytes;
	writer->closed_bytes -= bytes;
	writer->closed_from++;
	writer->closed_count--;
}

/* 0; -errno: to be tried again at the next occasion. */
static int remove_oldest(struct wr_log_writer *writer)
{
	char name[WR_LOG_NAME_BYTES];
	int r;

	wr_log_segment_name(writer->closed[writer->closed_from].number, name);
	r = wr_sys.unlinkat(writer->dir_fd, name);
	if (r && r != -ENOENT)
		return r;
	pop(writer, r);
	return 0;
}

void wr_log_retain(struct wr_log_writer *writer)
{
	while (writer->closed_count && (too_much(writer) || too_old(writer)))
		if (remove_oldest(writer))
			return;
}

/* Too short a file is not worth it; too long a one would make the log larger than it may be. */
static int is_worth_it(const struct wr_log_writer *writer, uint64_t bytes)
{
	return bytes >= writer->options.segment_bytes / 2 &&
	       bytes <= writer->options.segment_bytes && wr_log_may_be_over(bytes);
}

/* The oldest becomes the spare one. 1: it has gone, and *spare says whether it can be used. */
static int keep_oldest(struct wr_log_writer *writer, int *spare)
{
	const struct wr_log_closed *oldest = &writer->closed[writer->closed_from];
	char name[WR_LOG_NAME_BYTES];
	int r;

	if (!is_worth_it(writer, oldest->bytes))
		return 0;
	wr_log_segment_name(oldest->number, name);
	r = wr_sys.rename(writer->dir_fd, name, WR_LOG_SPARE_NAME);
	if (r == -EEXIST && !wr_sys.unlinkat(writer->dir_fd, WR_LOG_SPARE_NAME))
		r = wr_sys.rename(writer->dir_fd, name, WR_LOG_SPARE_NAME); /* one that stayed */
	if (r)
		return 0;
	pop(writer, 0);
	/* What is written into it must not last while its old name does. */
	*spare = writer->options.sync == WR_LOG_SYNC_NONE || !wr_sys.fsync(writer->dir_fd);
	if (!*spare)
		(void)wr_sys.unlinkat(writer->dir_fd, WR_LOG_SPARE_NAME);
	return 1;
}

int wr_log_retain_ahead(struct wr_log_writer *writer)
{
	uint64_t max = writer->options.max_bytes;
	int spare = 0;

	while (max && writer->closed_count &&
	       writer->closed_bytes + writer->options.segment_bytes > max) {
		if (!spare && keep_oldest(writer, &spare))
			continue;
		if (remove_oldest(writer))
			break;
	}
	return spare;
}
