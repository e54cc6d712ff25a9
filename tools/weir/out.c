/* SPDX-License-Identifier: Apache-2.0 */
/* out.c - see out.h. */
#include "out.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void write_all(struct out *out, const char *data, size_t size)
{
	while (size && !out->error) {
		ssize_t n = write(out->fd, data, size);

		if (n >= 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd fd = { out->fd, POLLOUT, 0 };

			(void)poll(&fd, 1, -1);
		} else if (errno != EINTR) {
			out->error = -errno;
		}
	}
}

int out_flush(struct out *out)
{
	write_all(out, out->buffer, out->used);
	out->used = 0;
	return out->error;
}

void out_put(struct out *out, const void *data, size_t size)
{
	if (size > sizeof(out->buffer) - out->used)
		(void)out_flush(out);
	if (size > sizeof(out->buffer)) {
		write_all(out, data, size);
		return;
	}
	memcpy(out->buffer + out->used, data, size);
	out->used += size;
}
