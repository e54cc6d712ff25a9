/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - where one record of a byte stream ends and the next begins.
 *
 *     lines   ends with a line feed, which is not part of it
 *     nul     ends with a zero byte, which is not part of it
 *     len32   begins with its length, 32 bits, little-endian
 *
 * A record above record_max comes out in parts, WEIR_REC_CONTINUES on all but the last; a last one
 * without its end carries WEIR_REC_NO_EOL. It knows bytes. It does not know files or engines.
 * thread: any; pure.
 */
#ifndef WEIR_FRAME_H
#define WEIR_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame { FRAME_LINES, FRAME_LEN32, FRAME_NUL };

/* 0, or END_USAGE after a message. */
int frame_parse(const char *text, enum frame *ret);

/* Zero it, set frame and record_max. */
struct splitter {
	enum frame frame;
	size_t record_max;
	size_t scanned;   /* bytes known to hold no end */
	uint64_t left;    /* len32: bytes of the record that are still to come */
	bool inside;      /* parts of a record are out, its end is not */
	bool truncated;   /* len32: the stream ended inside a record */
};

struct piece {
	const uint8_t *data;
	size_t size;
	size_t used; /* bytes of the stream that it took */
	uint16_t flags;
};

/* The next piece of @bytes at @at; @end: there will be no more. 1, or 0: more is needed. */
int splitter_next(struct splitter *splitter, const uint8_t *at, size_t bytes, bool end,
                  struct piece *ret);

#endif
