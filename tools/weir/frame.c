/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c - see frame.h. */
#include "frame.h"

#include <string.h>
#include <weir/record.h>

#include "command.h"

int frame_parse(const char *text, enum frame *ret)
{
	static const char *const names[] = { "lines", "len32", "nul" };

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum frame)i;
			return END_OK;
		}
	}
	say("--frame '%s': one of lines, len32, nul", text);
	return END_USAGE;
}

static int next_delimited(struct splitter *s, const uint8_t *at, size_t bytes, bool end,
                          struct piece *ret)
{
	/* The end of a record of exactly record_max bytes lies one byte behind it. */
	size_t window = bytes > s->record_max ? s->record_max + 1 : bytes;
	const uint8_t *found = NULL;

	if (s->scanned < window)
		found = memchr(at + s->scanned, s->frame == FRAME_NUL ? 0 : '\n',
		               window - s->scanned);
	*ret = (struct piece){ .data = at };
	if (found) {
		ret->size = (size_t)(found - at);
		ret->used = ret->size + 1;
		s->inside = false;
	} else if (bytes > s->record_max) {
		ret->size = ret->used = s->record_max;
		ret->flags = WEIR_REC_CONTINUES;
		s->inside = true;
	} else if (end && bytes) {
		ret->size = ret->used = bytes;
		ret->flags = WEIR_REC_NO_EOL;
		s->inside = false;
	} else {
		s->scanned = bytes;
		return 0;
	}
	s->scanned = 0;
	return 1;
}

static int next_counted(struct splitter *s, const uint8_t *at, size_t bytes, bool end,
                        struct piece *ret)
{
	size_t prefix = s->inside ? 0 : 4, size;
	uint64_t left = s->left;

	if (!s->inside) {
		if (bytes < prefix) {
			s->truncated |= end && bytes;
			return 0;
		}
		left = at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
	}
	size = left > s->record_max ? s->record_max : (size_t)left;
	*ret = (struct piece){ .data = at + prefix };
	if (bytes - prefix < size) {
		if (!end)
			return 0;
		s->truncated = true;
		if (bytes == prefix)
			return 0;
		size = bytes - prefix;
		left = size;
		ret->flags = WEIR_REC_NO_EOL;
	}
	ret->size = size;
	ret->used = prefix + size;
	s->left = left - size;
	s->inside = s->left != 0;
	if (s->inside)
		ret->flags = WEIR_REC_CONTINUES;
	return 1;
}

int splitter_next(struct splitter *splitter, const uint8_t *at, size_t bytes, bool end,
                  struct piece *ret)
{
	if (splitter->frame == FRAME_LEN32)
		return next_counted(splitter, at, bytes, end, ret);
	return next_delimited(splitter, at, bytes, end, ret);
}
