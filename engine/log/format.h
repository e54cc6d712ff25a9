/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/format.h - how a block lies in a segment, byte by byte: see FORMAT.md, which wins.
 *
 * It knows headers. It does not know files, directories or what a record is. thread: any; pure.
 *
 * A segment is blocks back to back: one segment block first, then source blocks and batch blocks. A
 * block says itself where it lies (engine, segment number, offset), so that bytes of another place,
 * or a block that somebody pushed as a record, are never taken for one.
 */
#ifndef WR_LOG_FORMAT_H
#define WR_LOG_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define WR_LOG_MAGIC 0x52494557u /* "WEIR" */
static inline int wr_log_is_magic(const uint8_t *at)
{
	return at[0] == (WR_LOG_MAGIC & 0xff) && at[1] == (WR_LOG_MAGIC >> 8 & 0xff) &&
	       at[2] == (WR_LOG_MAGIC >> 16 & 0xff) && at[3] == (WR_LOG_MAGIC >> 24);
}
#define WR_LOG_VERSION 1u
#define WR_LOG_ALIGN 8u

/* Bytes of a header: what all blocks have, and the most that a reader takes. */
#define WR_LOG_COMMON_BYTES 56u
#define WR_LOG_SEGMENT_BYTES 88u
#define WR_LOG_SOURCES_BYTES 64u
#define WR_LOG_BATCH_BYTES 104u
#define WR_LOG_HEADER_MAX 256u

/* No block has a body above these; checked before anything else is done with a length. */
#define WR_LOG_BATCH_BODY_MAX (UINT64_C(1) << 32)
#define WR_LOG_SOURCES_BODY_MAX (UINT64_C(1) << 20)
#define WR_LOG_NAME_MAX 255u
/* Nor is a record, with all that belongs to it: a ring has at most 1 GiB, a record a quarter. */
#define WR_LOG_RECORD_MAX ((UINT64_C(1) << 28) + 256)

enum wr_log_kind { WR_LOG_SEGMENT = 1, WR_LOG_SOURCES = 2, WR_LOG_BATCH = 3 };

/* Of a segment: the one before it may end in a block that was given up. */
#define WR_LOG_AFTER_TROUBLE 0x1u

struct wr_log_header {
	uint8_t kind; /* enum wr_log_kind, or one that this reader does not know */
	uint16_t header_bytes;
	uint32_t body_crc;
	uint64_t body_bytes;
	uint8_t engine[16];
	uint64_t segment;
	uint64_t offset;
	union {
		struct {
			uint64_t created_ns; /* CLOCK_REALTIME */
			uint64_t first;      /* number of the first segment of this engine life */
			uint64_t wall_ns;    /* CLOCK_REALTIME of the cut of its first batch */
			uint32_t flags;
			uint32_t over; /* words of 8 bytes of the old file; 0: it is new */
		} start;
		struct {
			uint32_t count;
		} sources;
		struct {
			uint64_t seq, first_record, records, wall_ns, earliest_ns;
			uint32_t cause, attempt;
		} batch;
	};
};

/* What wr_log_decode() found. */
enum wr_log_found {
	WR_LOG_GOOD,
	WR_LOG_SHORT, /* what is there may be the beginning of a header, and the rest is missing */
	WR_LOG_BAD
};

/* Bytes of the header of a block of @kind. */
uint16_t wr_log_header_bytes(enum wr_log_kind kind);
/* Writes header_bytes bytes, with the check sum. @header->header_bytes is set here, unless it is
 * larger than need be: then zeros fill it up. */
void wr_log_encode(struct wr_log_header *header, uint8_t *to);
/* Reads what lies at @at, of which @avail bytes may be read. *ret is set when it is good. */
enum wr_log_found wr_log_decode(const uint8_t *at, uint64_t avail, struct wr_log_header *ret);

/* Header and body: where the next block begins. */
static inline uint64_t wr_log_block_bytes(const struct wr_log_header *header)
{
	return header->header_bytes + header->body_bytes;
}

/*
 * 1: the WR_LOG_COMMON_BYTES at @at are like those of a header of that place: two of magic, segment
 * and offset are. Its lengths are set in *ret, whatever they are worth.
 */
int wr_log_may_be_header(const uint8_t *at, uint64_t segment, uint64_t offset,
                         struct wr_log_header *ret);

/* One name in the body of a source block: id u16, bytes u16, the name. Bytes used; 0: no room. */
size_t wr_log_name_put(uint8_t *to, size_t room, uint16_t id, const char *name);
/* Bytes used; 0: malformed, or the padding at the end. */
size_t wr_log_name_get(const uint8_t *at, size_t avail, uint16_t *ret_id, const char **ret_name,
                       size_t *ret_bytes);

#endif
