/* SPDX-License-Identifier: Apache-2.0 */
/* window.c - a part of a file in memory. thread: the reader's */
#include "log/window.h"

#include <errno.h>
#include <string.h>

#include "base/sys.h"

#define READ_BYTES ((size_t)256 << 10) /* at once, when less is wanted */

static int reserve(struct wr_log_window *window, size_t bytes)
{
	size_t room = window->room ? window->room : READ_BYTES;
	uint8_t *buffer;

	if (bytes <= window->room)
		return 0;
	while (room < bytes)
		room *= 2;
	buffer = wr_mem_alloc(&window->mem, room);
	if (!buffer)
		return -ENOMEM;
	if (window->bytes)
		memcpy(buffer, window->buffer, window->bytes);
	wr_mem_free(&window->mem, window->buffer, window->room);
	window->buffer = buffer;
	window->room = room;
	return 0;
}

/* Until @bytes are there or the file ends. */
static int fill(struct wr_log_window *window, size_t bytes)
{
	size_t want = bytes < READ_BYTES ? READ_BYTES : bytes;

	while (window->bytes < bytes) {
		ssize_t n = wr_sys.pread(window->fd, window->buffer + window->bytes,
		                         want - window->bytes, window->at + window->bytes);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (!n)
			return 0;
		window->bytes += (size_t)n;
	}
	return 0;
}

int64_t wr_log_window_get(struct wr_log_window *window, uint64_t offset, size_t bytes,
                          const uint8_t **ret)
{
	uint64_t skip = offset - window->at;
	int r;

	if (offset < window->at || skip > window->bytes)
		skip = window->bytes; /* elsewhere: nothing of it is of use */
	if (offset < window->at || window->bytes - skip < bytes) {
		window->bytes -= (size_t)skip;
		if (window->bytes)
			memmove(window->buffer, window->buffer + skip, window->bytes);
		window->at = offset;
		r = reserve(window, bytes < READ_BYTES ? READ_BYTES : bytes);
		if (!r)
			r = fill(window, bytes);
		if (r)
			return r;
		skip = 0;
	}
	*ret = window->buffer + skip;
	return (int64_t)(window->bytes - skip);
}

void wr_log_window_reset(struct wr_log_window *window, int fd)
{
	window->fd = fd;
	window->bytes = 0;
	window->at = 0;
}

void wr_log_window_fini(struct wr_log_window *window)
{
	wr_mem_free(&window->mem, window->buffer, window->room);
	window->buffer = NULL;
	window->room = window->bytes = 0;
}
