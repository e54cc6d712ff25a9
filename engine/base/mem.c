/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - see mem.h: the embedder's functions, or jemalloc's own interface when the process has it,
 * or libc. What is given out is zeroed, whoever gives it. It does not know what it is for.
 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* jemalloc's own interface, there when the executable links it: freeing by size is cheaper. The
 * reference is weak and bound at load time, so that allocation and release always agree. */
extern void *mallocx(size_t bytes, int flags) __attribute__((weak));
extern void sdallocx(void *memory, size_t bytes, int flags) __attribute__((weak));
#define MALLOCX_ZERO 0x40

int wr_mem_is_jemalloc(void)
{
	return &mallocx && &sdallocx;
}

void *wr_mem_alloc(const struct wr_mem *mem, size_t bytes)
{
	void *memory;

	if (mem && mem->alloc) {
		memory = mem->alloc(mem->arg, bytes);
		if (memory)
			memset(memory, 0, bytes);
		return memory;
	}
	if (wr_mem_is_jemalloc())
		return mallocx(bytes ? bytes : 1, MALLOCX_ZERO);
	return calloc(1, bytes);
}

void wr_mem_free(const struct wr_mem *mem, void *memory, size_t bytes)
{
	if (!memory)
		return;
	if (mem && mem->free)
		mem->free(mem->arg, memory, bytes);
	else if (wr_mem_is_jemalloc())
		sdallocx(memory, bytes ? bytes : 1, 0);
	else
		free(memory);
}

void *wr_mem_grow(const struct wr_mem *mem, void *list, uint32_t *room, size_t each)
{
	uint32_t more = *room ? 2 * *room : 256;
	void *grown = wr_mem_alloc(mem, more * each);

	if (!grown)
		return NULL;
	if (*room)
		memcpy(grown, list, *room * each);
	wr_mem_free(mem, list, *room * each);
	*room = more;
	return grown;
}
