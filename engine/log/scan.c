/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - from block to block of one segment. thread: the reader's */
#include "log/scan.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/sys.h"

#define WHOLE_MAX ((size_t)8 << 20) /* a body up to this is read at once, and so only once */
#define PIECE ((size_t)1 << 20)

void wr_log_scan_begin(struct wr_log_scan *scan, struct wr_log_window *window, int fd,
                       uint64_t segment)
{
	*scan = (struct wr_log_scan){ .window = window, .fd = fd, .segment = segment };
	wr_log_window_reset(window, fd);
}

/* A header that says that it belongs where it lies. */
static enum wr_log_found header_at(const struct wr_log_scan *scan, uint64_t offset,
                                   const uint8_t *bytes, uint64_t avail, struct wr_log_header *ret)
{
	struct wr_log_header header;
	enum wr_log_found found = wr_log_decode(bytes, avail, &header);

	if (found != WR_LOG_GOOD)
		return found;
	if (header.segment != scan->segment || header.offset != offset ||
	    (scan->bound && memcmp(header.engine, scan->engine, 16) != 0))
		return WR_LOG_BAD;
	*ret = header;
	return WR_LOG_GOOD;
}

static int is_magic(const uint8_t *at)
{
	return at[0] == (WR_LOG_MAGIC & 0xff) && at[1] == (WR_LOG_MAGIC >> 8 & 0xff) &&
	       at[2] == (WR_LOG_MAGIC >> 16 & 0xff) && at[3] == (WR_LOG_MAGIC >> 24);
}

static int is_zero(const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i])
			return 0;
	return 1;
}

/*
 * The next good header after scan->at. 1: at *ret_to; 0: none; -errno. *zero: there is nothing but
 * zeros on the way. Holes are passed over without being read.
 */
static int resync(struct wr_log_scan *scan, uint64_t *ret_to, int *zero)
{
	uint64_t offset = scan->at;

	*zero = 1;
	while (offset < scan->size) {
		int64_t data = wr_sys.seek_data(scan->fd, offset), got;
		const uint8_t *bytes;
		uint64_t i = 0;

		if (data == -ENXIO)
			return 0;
		if (data > 0 && (uint64_t)data > offset)
			offset = (uint64_t)data & ~(uint64_t)(WR_LOG_ALIGN - 1);
		got = wr_log_window_get(scan->window, offset, PIECE, &bytes);
		if (got <= 0)
			return (int)got;
		for (; i + WR_LOG_ALIGN <= (uint64_t)got; i += WR_LOG_ALIGN) {
			struct wr_log_header header;
			uint64_t left = (uint64_t)got - i;

			if (*zero && !is_zero(bytes + i, WR_LOG_ALIGN))
				*zero = 0;
			if (!is_magic(bytes + i) || offset + i == scan->at)
				continue;
			if (left < WR_LOG_HEADER_MAX && offset + (uint64_t)got < scan->size)
				break; /* it goes on in the next piece */
			if (header_at(scan, offset + i, bytes + i, left, &header) == WR_LOG_GOOD) {
				*ret_to = offset + i;
				return 1;
			}
		}
		if (i < WR_LOG_ALIGN) {
			*zero = *zero && is_zero(bytes, (size_t)got);
			return 0; /* a rest that is no whole word */
		}
		offset += i;
	}
	return 0;
}

int wr_log_scan_look(struct wr_log_scan *scan, struct wr_log_header *ret, uint64_t *ret_to)
{
	const uint8_t *bytes;
	struct stat file;
	int64_t got;
	int r = wr_sys.fstat(scan->fd, &file), zero;

	if (r)
		return r;
	scan->size = (uint64_t)file.st_size;
	if (scan->at >= scan->size)
		return WR_LOG_STEP_END;
	got = wr_log_window_get(scan->window, scan->at, WR_LOG_HEADER_MAX, &bytes);
	if (got <= 0) /* 0: it has become shorter just now */
		return got ? (int)got : WR_LOG_STEP_END;
	switch (header_at(scan, scan->at, bytes, (uint64_t)got, ret)) {
	case WR_LOG_GOOD:
		return wr_log_block_bytes(ret) > scan->size - scan->at ? WR_LOG_STEP_TORN
		                                                       : WR_LOG_STEP_BLOCK;
	case WR_LOG_SHORT:
		return WR_LOG_STEP_TORN;
	case WR_LOG_BAD:
		break;
	}
	r = resync(scan, ret_to, &zero);
	if (r < 0)
		return r;
	if (r)
		return WR_LOG_STEP_DAMAGE;
	return zero ? WR_LOG_STEP_TORN : WR_LOG_STEP_BAD_END;
}

int wr_log_scan_body(struct wr_log_scan *scan, const struct wr_log_header *header)
{
	uint64_t at = scan->at + header->header_bytes, left = header->body_bytes;
	uint32_t crc = 0;

	while (left) {
		const uint8_t *bytes;
		size_t want = left <= WHOLE_MAX ? (size_t)left : PIECE;
		int64_t got = wr_log_window_get(scan->window, at, want, &bytes);

		if (got < 0)
			return (int)got;
		if ((uint64_t)got < want)
			return 0;
		crc = wr_crc32c(crc, bytes, want);
		at += want;
		left -= want;
	}
	return crc == header->body_crc;
}
