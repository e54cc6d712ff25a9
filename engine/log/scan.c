/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - from block to block of one segment. thread: the reader's */
#include "log/scan.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/sys.h"

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

static int is_zero(const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i])
			return 0;
	return 1;
}

/* What follows the last block may be no more than what lay there before. */
static int may_be_old(const struct wr_log_scan *scan)
{
	return scan->over && scan->size == scan->over;
}

/*
 * The next good header from @offset on, and after scan->at. 1: at *ret_to; 0: none; -errno. *zero:
 * there is nothing but zeros on the way. Holes are passed over without being read.
 */
static int resync(struct wr_log_scan *scan, uint64_t offset, uint64_t *ret_to, int *zero)
{

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
			if (!wr_log_is_magic(bytes + i) || offset + i == scan->at)
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

static int at_header(struct wr_log_scan *scan, struct wr_log_header *ret)
{
	enum wr_log_found found;
	const uint8_t *bytes;
	int64_t got;

	if (scan->at >= scan->size)
		return WR_LOG_STEP_END;
	scan->left = scan->size - scan->at;
	got = wr_log_window_get(scan->window, scan->at, WR_LOG_HEADER_MAX, &bytes);
	if (got <= 0) /* 0: it has become shorter just now */
		return got ? (int)got : WR_LOG_STEP_END;
	found = header_at(scan, scan->at, bytes, (uint64_t)got, ret);
	if (found == WR_LOG_BAD)
		return WR_LOG_STEP_BAD_END;
	if (found == WR_LOG_SHORT)
		return may_be_old(scan) ? WR_LOG_STEP_OLD : WR_LOG_STEP_TORN;
	if (ret->kind == WR_LOG_SEGMENT && !scan->at)
		scan->over = (uint64_t)ret->start.over * WR_LOG_ALIGN;
	return wr_log_block_bytes(ret) > scan->left ? WR_LOG_STEP_TORN : WR_LOG_STEP_BLOCK;
}

/*
 * Bytes of a block of this very segment that begins at scan->at and has no good header: it is not
 * all there yet, or damaged. 0: what lies there was never one.
 */
static int64_t begun_here(struct wr_log_scan *scan)
{
	struct wr_log_header other;
	const uint8_t *bytes;
	int64_t got = wr_log_window_get(scan->window, scan->at, WR_LOG_HEADER_MAX, &bytes);

	if (got < (int64_t)WR_LOG_COMMON_BYTES)
		return got < 0 ? got : 0;
	/* A good one is of another segment: what the old file held. */
	if (wr_log_decode(bytes, (uint64_t)got, &other) == WR_LOG_GOOD ||
	    !wr_log_may_be_header(bytes, scan->segment, scan->at, &other))
		return 0;
	if (wr_log_block_bytes(&other) > scan->size - scan->at)
		return WR_LOG_COMMON_BYTES; /* its length is what is wrong */
	return (int64_t)wr_log_block_bytes(&other);
}

/* The step at what is no good block, nor is any behind it, with an old file below. */
static int at_old(struct wr_log_scan *scan)
{
	int64_t begun = begun_here(scan);

	if (begun < 0)
		return (int)begun;
	if (!begun)
		return WR_LOG_STEP_OLD;
	scan->left = (uint64_t)begun;
	return WR_LOG_STEP_TORN;
}

/* The same of what is in the file by now: the window may hold what an old one held. */
static int at_header_now(struct wr_log_scan *scan, struct wr_log_header *ret)
{
	wr_log_window_reset(scan->window, scan->fd);
	return at_header(scan, ret);
}

int wr_log_scan_look(struct wr_log_scan *scan, struct wr_log_header *ret, uint64_t *ret_to)
{
	struct stat file;
	int r = wr_sys.fstat(scan->fd, &file), step, zero;

	if (r)
		return r;
	scan->size = (uint64_t)file.st_size;
	step = at_header(scan, ret);
	if (step == WR_LOG_STEP_BAD_END && scan->over)
		step = at_header_now(scan, ret);
	if (step != WR_LOG_STEP_BAD_END)
		return step;
	if (may_be_old(scan) && scan->quiet_at == scan->at)
		return at_old(scan);
	r = resync(scan, scan->at, ret_to, &zero);
	if (r < 0)
		return r;
	if (r) /* the one before it may have become whole while this looked */
		step = scan->over ? at_header_now(scan, ret) : step;
	if (r)
		return step == WR_LOG_STEP_BAD_END ? WR_LOG_STEP_DAMAGE : step;
	if (may_be_old(scan)) {
		scan->quiet_at = scan->at;
		return at_old(scan);
	}
	return zero ? WR_LOG_STEP_TORN : WR_LOG_STEP_BAD_END;
}

/* 1: the body has its sum; 0: it does not; -errno. */
static int has_sum(struct wr_log_scan *scan, const struct wr_log_header *header)
{
	uint64_t at = scan->at + header->header_bytes, left = header->body_bytes;
	uint32_t crc = 0;

	while (left) {
		const uint8_t *bytes;
		size_t want = left <= WR_LOG_BODY_WHOLE ? (size_t)left : PIECE;
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

static int has_sum_now(struct wr_log_scan *scan, const struct wr_log_header *header)
{
	wr_log_window_reset(scan->window, scan->fd);
	return has_sum(scan, header);
}

int wr_log_scan_body(struct wr_log_scan *scan, const struct wr_log_header *header)
{
	uint64_t next = scan->at + wr_log_block_bytes(header), to;
	int r = has_sum(scan, header), zero;

	if (!r && scan->over)
		r = has_sum_now(scan, header);
	if (r || !may_be_old(scan))
		return r;
	scan->left = wr_log_block_bytes(header);
	if (scan->quiet_at == scan->at)
		return WR_LOG_BODY_OPEN;
	r = resync(scan, next, &to, &zero);
	if (r > 0) /* what has one behind it is finished */
		return has_sum_now(scan, header);
	if (r < 0)
		return r;
	scan->quiet_at = scan->at;
	return WR_LOG_BODY_OPEN;
}

int wr_log_scan_is_gone(const struct wr_log_scan *scan)
{
	uint8_t head[WR_LOG_HEADER_MAX];
	struct wr_log_header header;
	ssize_t n;

	do
		n = wr_sys.pread(scan->fd, head, sizeof(head), 0);
	while (n == -EINTR);
	/* The segment block is the first that is written: as long as it is not, nothing is. */
	return n > 0 && wr_log_decode(head, (uint64_t)n, &header) == WR_LOG_GOOD &&
	       header.segment != scan->segment;
}
