/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/rivals/fixed.h - the loops of a "+fixed" peer: the size is a constant in each of them.
 *
 *     static inline __attribute__((always_inline)) int put(struct its_producer *to,
 *                                                          const void *data, uint32_t bytes);
 *     PEER_FIXED_LOOPS(push, struct its_producer, put)
 *
 * makes push(). Which of the loops runs is decided once per call of it. Included by adapters alone.
 */
#ifndef WEIR_BENCH_FIXED_H
#define WEIR_BENCH_FIXED_H

#include "rivals/loop.h"

#define PEER_FIXED_TAKE(name, type, put, size) \
	static inline int name##_take_##size(type *to, const void *data, uint32_t bytes) \
	{ \
		(void)bytes; \
		return put(to, data, size); \
	} \
	PEER_LOOP(name##_##size, type, name##_take_##size)

#define PEER_FIXED_LOOPS(name, type, put) \
	PEER_FIXED_TAKE(name, type, put, 8) \
	PEER_FIXED_TAKE(name, type, put, 64) \
	PEER_FIXED_TAKE(name, type, put, 256) \
	static uint64_t name(void *to_, struct peer_source *source, uint64_t count) \
	{ \
		if (source->bytes == 8) \
			return name##_8(to_, source, count); \
		return source->bytes == 64 ? name##_64(to_, source, count) : \
		                             name##_256(to_, source, count); \
	}

/* 1: there is a loop for the size. Else @why says that there is none. */
static inline int peer_fixed_has(uint32_t bytes, char why[BENCH_WHY])
{
	if (bytes == 8 || bytes == 64 || bytes == 256)
		return 1;
	strcpy(why, "the fixed form is built for 8, 64 and 256 bytes");
	return 0;
}

#endif
