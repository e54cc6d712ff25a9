/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/record.h - how a record lies in memory and on disk.
 *
 * One framing serves the rings, the spans of a batch and the bodies of the segment log:
 *
 *     8 bytes   header: size u32, source u16, flags u16   (little-endian on disk)
 *    16 bytes   uuid            when WEIR_REC_UUID
 *     8 bytes   origin time     when WEIR_REC_ORIGIN   (ns, the pusher's own clock)
 *     8 bytes   max age         when WEIR_REC_MAX_AGE  (ns)
 *    32 bytes   migration mark  when WEIR_REC_MARK     (the engine's own; skip it)
 *     size      payload
 *     0..7      padding to 8 bytes (content undefined)
 *
 * Thread: any function here is pure.
 */
#ifndef WEIR_RECORD_H
#define WEIR_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first eight bytes of every record. */
struct weir_record_header {
	uint32_t size;   /* payload bytes, 0 is legal */
	uint16_t source; /* interned tag (weir_source), 0: none */
	uint16_t flags;  /* WEIR_REC_* */
};

/* State bits: the engine's. Of what a sink or reader sees, exactly one of the first and third. */
#define WEIR_REC_COMMITTED 0x0001u /* a record */
#define WEIR_REC_RESERVED 0x0002u  /* claimed, its owner still writes; never seen by a sink */
#define WEIR_REC_ABORTED 0x0004u   /* claimed and given up: skip it, it was never accepted */
#define WEIR_REC_WAITED 0x0008u    /* the flusher waits for this commit; ignore */
/* What the extension holds, in this order. */
#define WEIR_REC_UUID 0x0010u
#define WEIR_REC_ORIGIN 0x0020u
#define WEIR_REC_MAX_AGE 0x0040u
#define WEIR_REC_MARK 0x0080u
/* Set by whoever pushes (weir_push_ex), carried to the reader. */
#define WEIR_REC_CONTINUES 0x0100u /* the next record of this source goes on where this one ends */
#define WEIR_REC_NO_EOL 0x0200u    /* a last line that had no line feed */
#define WEIR_REC_USER 0xf000u      /* four bits for the application */
#define WEIR_REC_SETTABLE (WEIR_REC_CONTINUES | WEIR_REC_NO_EOL | WEIR_REC_USER)

#define WEIR_RECORD_ALIGN 8u
#define WEIR_MARK_BYTES 32u

/* One record, decoded. Pointers lead into the memory it was decoded from. */
struct weir_record {
	const void *data;
	uint32_t size;
	uint16_t source;
	uint16_t flags;
	const uint8_t *uuid; /* 16 bytes, or NULL */
	uint64_t origin_ns;  /* 0: none */
	uint64_t max_age_ns; /* 0: none */
};

/* Bytes of the extension that @flags announces. */
static inline uint32_t weir_record_ext_bytes(uint16_t flags)
{
	return ((flags & WEIR_REC_UUID) ? 16u : 0u) + ((flags & WEIR_REC_ORIGIN) ? 8u : 0u) +
	       ((flags & WEIR_REC_MAX_AGE) ? 8u : 0u) +
	       ((flags & WEIR_REC_MARK) ? WEIR_MARK_BYTES : 0u);
}

/* Bytes that a record takes in all: header, extension, payload and padding. */
static inline uint64_t weir_record_total(uint32_t size, uint16_t flags)
{
	return ((uint64_t)sizeof(struct weir_record_header) + weir_record_ext_bytes(flags) + size +
	        (WEIR_RECORD_ALIGN - 1)) &
	       ~(uint64_t)(WEIR_RECORD_ALIGN - 1);
}

/*
 * Decodes what lies at @at, of which @avail bytes may be read.
 * Returns the bytes it takes (a multiple of 8), or 0 when no whole record lies there.
 * A record with WEIR_REC_ABORTED in ret->flags is to be skipped.
 */
static inline uint64_t weir_record_decode(const void *at, uint64_t avail, struct weir_record *ret)
{
	struct weir_record_header header;
	const uint8_t *p = (const uint8_t *)at;
	uint64_t total;

	if (avail < sizeof(header))
		return 0;
	memcpy(&header, p, sizeof(header));
	total = weir_record_total(header.size, header.flags);
	if (total > avail || !(header.flags & (WEIR_REC_COMMITTED | WEIR_REC_ABORTED)))
		return 0;
	p += sizeof(header);
	ret->size = header.size;
	ret->source = header.source;
	ret->flags = header.flags;
	ret->uuid = NULL;
	ret->origin_ns = 0;
	ret->max_age_ns = 0;
	if (header.flags & WEIR_REC_UUID) {
		ret->uuid = p;
		p += 16;
	}
	if (header.flags & WEIR_REC_ORIGIN) {
		memcpy(&ret->origin_ns, p, 8);
		p += 8;
	}
	if (header.flags & WEIR_REC_MAX_AGE) {
		memcpy(&ret->max_age_ns, p, 8);
		p += 8;
	}
	if (header.flags & WEIR_REC_MARK)
		p += WEIR_MARK_BYTES;
	ret->data = p;
	return total;
}

#ifdef __cplusplus
}
#endif

#endif
