/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.c - copies of the parts of lines whose last part has not come yet, one per source.
 *
 * It knows bytes and sources. It does not know how a line looks. thread: the sink's own
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "sink/fd.h"

struct wr_kept **wr_kept_find(struct wr_fd *fd, uint16_t source)
{
	struct wr_kept **at = &fd->kept;

	while (*at && (*at)->source != source)
		at = &(*at)->next;
	return at;
}

void wr_kept_drop(struct wr_fd *fd, struct wr_kept **at)
{
	struct wr_kept *kept = *at;

	*at = kept->next;
	fd->kept_bytes -= kept->used;
	wr_mem_free(NULL, kept->data, kept->room);
	wr_mem_free(NULL, kept, sizeof(*kept));
}

int wr_kept_add(struct wr_fd *fd, const struct weir_record *record)
{
	struct wr_kept **at = wr_kept_find(fd, record->source), *kept = *at;
	size_t need;

	if (!kept) {
		kept = wr_mem_alloc(NULL, sizeof(*kept));
		if (!kept)
			return -ENOMEM;
		kept->source = record->source;
		*at = kept;
	}
	need = kept->used + record->size;
	if (need > kept->room) {
		size_t room = need + need / 2;
		uint8_t *data = wr_mem_alloc(NULL, room);

		if (!data)
			return -ENOMEM;
		if (kept->used)
			memcpy(data, kept->data, kept->used);
		wr_mem_free(NULL, kept->data, kept->room);
		kept->data = data;
		kept->room = room;
	}
	if (record->size)
		memcpy(kept->data + kept->used, record->data, record->size);
	kept->used = need;
	fd->kept_bytes += record->size;
	return 0;
}
