/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - names of source ids. thread: the reader's */
#include "log/names.h"

#include <errno.h>
#include <string.h>

#define IDS 65536u
#define CHUNK ((size_t)64 << 10)

struct wr_log_chunk {
	struct wr_log_chunk *next;
	size_t used;
	char text[CHUNK];
};

void wr_log_names_begin(struct wr_log_names *names)
{
	if (names->known)
		memset(names->known, 0, IDS / 8);
}

static int prepare(struct wr_log_names *names)
{
	if (!names->by_id)
		names->by_id = wr_mem_alloc(&names->mem, IDS * sizeof(*names->by_id));
	if (!names->known)
		names->known = wr_mem_alloc(&names->mem, IDS / 8);
	return names->by_id && names->known ? 0 : -ENOMEM;
}

static char *place_for(struct wr_log_names *names, size_t bytes)
{
	struct wr_log_chunk *chunk = names->chunks;

	if (!chunk || CHUNK - chunk->used < bytes) {
		chunk = wr_mem_alloc(&names->mem, sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = names->chunks;
		names->chunks = chunk;
		names->bytes += sizeof(*chunk);
	}
	chunk->used += bytes;
	return chunk->text + chunk->used - bytes;
}

int wr_log_names_add(struct wr_log_names *names, uint16_t id, const char *name, size_t bytes)
{
	int r = prepare(names);
	const char *old;
	char *text;

	if (r)
		return r;
	old = names->by_id[id];
	if (!old || strlen(old) != bytes || memcmp(old, name, bytes) != 0) {
		if (names->bytes >= WR_LOG_NAMES_BYTES)
			return -ENOSPC;
		text = place_for(names, bytes + 1);
		if (!text)
			return -ENOMEM;
		memcpy(text, name, bytes);
		text[bytes] = 0;
		names->by_id[id] = text;
	}
	names->known[id / 8] |= (uint8_t)(1u << id % 8);
	return 0;
}

const char *wr_log_names_get(const struct wr_log_names *names, uint16_t id)
{
	if (!names->known || !(names->known[id / 8] >> id % 8 & 1))
		return NULL;
	return names->by_id[id];
}

void wr_log_names_fini(struct wr_log_names *names)
{
	while (names->chunks) {
		struct wr_log_chunk *chunk = names->chunks;

		names->chunks = chunk->next;
		wr_mem_free(&names->mem, chunk, sizeof(*chunk));
	}
	wr_mem_free(&names->mem, names->by_id, IDS * sizeof(*names->by_id));
	wr_mem_free(&names->mem, names->known, IDS / 8);
	names->by_id = NULL;
	names->known = NULL;
}
