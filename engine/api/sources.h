/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/sources.h - interned tags: a name once, a 16-bit id with every record.
 *
 * It knows names and ids. It does not know records. Look-ups share nothing but a hash table under
 * RCU; a new name takes a mutex. thread: any, not a signal handler
 */
#ifndef WR_API_SOURCES_H
#define WR_API_SOURCES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <weir/sink.h>

#include "base/mem.h"

#define WR_SOURCES_MAX 65535u
#define WR_SOURCE_NAME_MAX 255u

struct cds_lfht;

struct wr_sources {
	struct weir_sources seen; /* what a batch carries */
	struct wr_mem mem;
	struct cds_lfht *table;
	struct wr_source *_Atomic *by_id; /* WR_SOURCES_MAX + 1, populated as used */
	_Atomic uint32_t count;
	pthread_mutex_t lock; /* of making a name */
};

/* 0, -ENOMEM. thread: owner */
int wr_sources_init(struct wr_sources *sources, const struct wr_mem *mem);
/* thread: owner, when nobody uses it any more */
void wr_sources_fini(struct wr_sources *sources);
/* The id of @name, 1..65535; -EINVAL, -ENOSPC, -ENOMEM. */
int wr_sources_intern(struct wr_sources *sources, const char *name);
/* NULL: none. */
const char *wr_sources_name(const struct wr_sources *sources, uint16_t id);

#endif
