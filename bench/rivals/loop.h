/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/rivals/loop.h - the producer's loop around one call of a rival, the same for all.
 *
 *     static inline int take(struct its_producer *to, const void *data, uint32_t bytes);
 *     PEER_LOOP(push, struct its_producer, take)
 *
 * take() returns 0, or anything else when there is no room. Included by adapters alone.
 */
#ifndef WEIR_BENCH_LOOP_H
#define WEIR_BENCH_LOOP_H

#include "rivals/peer.h"

/* Writes the next words, and returns their sum. They count when they have been pushed. */
static inline uint64_t peer_write(struct peer_source *source)
{
	uint64_t word = source->next, sum = 0;

	for (uint32_t i = 0; i < source->bytes; i += 8, word += 0x9e3779b97f4a7c15u) {
		memcpy(source->data + i, &word, sizeof(word));
		sum += word;
	}
	return sum;
}

#define PEER_LOOP(name, type, take) \
	static uint64_t name(void *to_, struct peer_source *source, uint64_t count) \
	{ \
		type *to = (type *)to_; \
		const uint32_t bytes = source->bytes; \
		uint64_t n = 0, sum = 0, words; \
\
		if (!source->fresh) { \
			while (n < count && !take(to, source->data, bytes)) \
				n++; \
			sum = n * source->each; \
		} \
		for (; source->fresh && n < count; n++) { \
			words = peer_write(source); \
			if (take(to, source->data, bytes)) \
				break; \
			source->next++; \
			sum += words; \
		} \
		source->pushed.records += n; \
		source->pushed.sum += sum; \
		return n; \
	}

#endif
