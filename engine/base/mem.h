/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/mem.h - memory that is not a ring: through the allocator of the embedder.
 *
 * It knows sizes. It does not know what they are for. thread: any but a producer in a push.
 */
#ifndef WR_BASE_MEM_H
#define WR_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* Same shape as struct weir_allocator, which base does not know. alloc NULL: libc. */
struct wr_mem {
	void *(*alloc)(void *arg, size_t bytes);
	void (*free)(void *arg, void *memory, size_t bytes);
	void *arg;
};

/* Zeroed memory, or NULL. */
void *wr_mem_alloc(const struct wr_mem *mem, size_t bytes);
/* NULL is fine. @bytes as allocated. */
void wr_mem_free(const struct wr_mem *mem, void *memory, size_t bytes);
/*
 * Makes room in @list of *room entries of @each bytes, of which all are in use: twice as many, 256
 * at first. Returns the list, which may have moved; NULL: no memory, all is as it was.
 */
void *wr_mem_grow(const struct wr_mem *mem, void *list, uint32_t *room, size_t each);
/* 1: libc's allocator is jemalloc, and is asked by its own interface. */
int wr_mem_is_jemalloc(void);

#endif
