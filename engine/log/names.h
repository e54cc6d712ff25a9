/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log/names.h - names of source ids in one engine life, as a reader finds them.
 *
 * It knows ids and strings. It does not know blocks. A string stays until the end, whatever life it
 * belonged to; a life that names its sources as the one before takes no more memory. thread: the
 * reader's
 */
#ifndef WR_LOG_NAMES_H
#define WR_LOG_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* Strings in all, however long the log: names beyond are not kept. */
#define WR_LOG_NAMES_BYTES ((size_t)32 << 20)

struct wr_log_names {
	struct wr_mem mem;
	const char **by_id; /* 65536; made when the first name comes */
	uint8_t *known;     /* one bit per id: named in the current life */
	struct wr_log_chunk *chunks;
	size_t bytes; /* in chunks */
};

/* Another life: no id has a name. */
void wr_log_names_begin(struct wr_log_names *names);
/* 0, -ENOMEM, -ENOSPC (over the limit). */
int wr_log_names_add(struct wr_log_names *names, uint16_t id, const char *name, size_t bytes);
const char *wr_log_names_get(const struct wr_log_names *names, uint16_t id);
void wr_log_names_fini(struct wr_log_names *names);

#endif
