/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sources.c - see sources.h. A name is found without a lock; a new one takes the mutex, goes into
 * the array by id, and only then into the table, so that whoever finds an id finds its name.
 */
#include "api/sources.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/rcu.h"

#define TABLE_BYTES ((WR_SOURCES_MAX + 1) * sizeof(struct wr_source *))
#define BUCKETS 1024u

struct wr_source {
	struct cds_lfht_node node;
	uint32_t id;
	size_t bytes; /* as allocated */
	char name[];
};

static unsigned long hash_name(const char *name)
{
	unsigned long hash = 14695981039346656037u; /* FNV-1a, 64 bits */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return hash;
}

static int match(struct cds_lfht_node *node, const void *key)
{
	const struct wr_source *source = WR_CONTAINER(node, struct wr_source, node);

	WR_RCU_FOUND(node);
	return strcmp(source->name, key) == 0;
}

static uint32_t count(const struct weir_sources *seen)
{
	const struct wr_sources *sources = (const struct wr_sources *)seen;

	/* ORDER sources.made: acquire. */
	return atomic_load_explicit(&sources->count, memory_order_acquire);
}

const char *wr_sources_name(const struct wr_sources *sources, uint16_t id)
{
	/* ORDER sources.made: acquire. */
	const struct wr_source *source =
		atomic_load_explicit(&sources->by_id[id], memory_order_acquire);

	return source ? source->name : NULL;
}

static const char *name(const struct weir_sources *seen, uint16_t id)
{
	return wr_sources_name((const struct wr_sources *)seen, id);
}

int wr_sources_init(struct wr_sources *sources, const struct wr_mem *mem)
{
	memset(sources, 0, sizeof(*sources));
	sources->seen.count = count;
	sources->seen.name = name;
	sources->mem = *mem;
	sources->by_id = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE,
	                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sources->by_id == MAP_FAILED) {
		sources->by_id = NULL;
		return -ENOMEM;
	}
	/* A fixed number of buckets: no resizing, and so no helper thread and no fork handler. */
	sources->table = cds_lfht_new_flavor(BUCKETS, BUCKETS, BUCKETS, 0,
	                                     &urcu_bp_flavor, NULL);
	if (!sources->table) {
		munmap(sources->by_id, TABLE_BYTES);
		sources->by_id = NULL;
		return -ENOMEM;
	}
	pthread_mutex_init(&sources->lock, NULL);
	return 0;
}

void wr_sources_fini(struct wr_sources *sources)
{
	struct wr_source *source;

	if (!sources->by_id)
		return;
	for (uint32_t id = 1; id <= count(&sources->seen); id++) {
		/* ORDER sources.made: acquire. */
		source = atomic_load_explicit(&sources->by_id[id], memory_order_acquire);
		urcu_bp_read_lock();
		(void)cds_lfht_del(sources->table, &source->node);
		urcu_bp_read_unlock();
	}
	/*
	 * Nobody looks anything up any more, so no grace period is waited for. In a forked child it
	 * would never end: a thread of the parent may have been reading at that moment.
	 */
	for (uint32_t id = 1; id <= count(&sources->seen); id++) {
		/* ORDER sources.made: acquire. */
		source = atomic_load_explicit(&sources->by_id[id], memory_order_acquire);
		wr_mem_free(&sources->mem, source, source->bytes);
	}
	(void)cds_lfht_destroy(sources->table, NULL);
	munmap(sources->by_id, TABLE_BYTES);
	pthread_mutex_destroy(&sources->lock);
	sources->by_id = NULL;
}

static int look_up(struct wr_sources *sources, const char *name_, unsigned long hash)
{
	struct cds_lfht_iter iter = { NULL, NULL }; /* for MemorySanitizer: liburcu fills it in */
	struct cds_lfht_node *node;
	int id = 0;

	urcu_bp_read_lock();
	cds_lfht_lookup(sources->table, hash, match, name_, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node)
		id = (int)WR_CONTAINER(node, struct wr_source, node)->id;
	urcu_bp_read_unlock();
	return id;
}

static int make(struct wr_sources *sources, const char *name_, size_t length, unsigned long hash)
{
	size_t bytes = sizeof(struct wr_source) + length + 1;
	struct wr_source *source;
	uint32_t id = count(&sources->seen) + 1;

	if (id > WR_SOURCES_MAX)
		return -ENOSPC;
	source = wr_mem_alloc(&sources->mem, bytes);
	if (!source)
		return -ENOMEM;
	cds_lfht_node_init(&source->node);
	source->id = id;
	source->bytes = bytes;
	memcpy(source->name, name_, length + 1);
	/*
	 * ORDER sources.made: release. Acquired by count(), wr_sources_name() and, through the hash
	 * table, look_up().
	 * Gives:     whoever knows the id finds its name.
	 * Otherwise: a sink writes records of a source that it cannot name.
	 */
	atomic_store_explicit(&sources->by_id[id], source, memory_order_release);
	atomic_store_explicit(&sources->count, id, memory_order_release);
	WR_RCU_PUBLISH(&source->node);
	urcu_bp_read_lock();
	cds_lfht_add(sources->table, hash, &source->node);
	urcu_bp_read_unlock();
	return (int)id;
}

int wr_sources_intern(struct wr_sources *sources, const char *name_)
{
	size_t length = strlen(name_);
	unsigned long hash = hash_name(name_);
	int id;

	if (!length || length > WR_SOURCE_NAME_MAX)
		return -EINVAL;
	id = look_up(sources, name_, hash);
	if (id)
		return id;
	pthread_mutex_lock(&sources->lock);
	id = look_up(sources, name_, hash);
	if (!id)
		id = make(sources, name_, length, hash);
	pthread_mutex_unlock(&sources->lock);
	return id;
}
