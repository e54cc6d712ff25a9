/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/window.h - a part of a file in memory, moved forward as it is read.
 *
 * It knows bytes and offsets. It does not know blocks. Never a mapping: a file that somebody cuts
 * short must not kill the reader. thread: the reader's
 */
#ifndef WR_LOG_WINDOW_H
#define WR_LOG_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct wr_log_window {
	struct wr_mem mem;
	int fd;
	uint8_t *buffer;
	size_t room, bytes; /* allocated; of them filled */
	uint64_t at;        /* offset of buffer[0] in the file */
};

/*
 * What lies at @offset: *ret leads to it, and the answer says how many bytes may be read there: at
 * least @bytes, unless the file ends before. -errno; -ENOMEM when @bytes cannot be had.
 */
int64_t wr_log_window_get(struct wr_log_window *window, uint64_t offset, size_t bytes,
                          const uint8_t **ret);
/* Forgets what was read: of another file, or of one that may have changed. */
void wr_log_window_reset(struct wr_log_window *window, int fd);
void wr_log_window_fini(struct wr_log_window *window);

#endif
