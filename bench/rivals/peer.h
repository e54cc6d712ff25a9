/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/rivals/peer.h - what weir and its rivals do alike: records in at one end, out at the other.
 *
 * An adapter holds the calls of its rival and nothing else; the loops around them are made by
 * loop.h, in the adapter, so that the compiler may inline what the rival lets it inline. Records
 * are of variable length and carry it. A peer whose name ends with "+fixed" is the form that knows
 * the size when it is compiled; it is shown beside the other.
 *
 * thread: open() and close() are the main thread's, which stands on the consumer's CPU meanwhile,
 * so that threads that the rival makes do, too; join(), push() and leave() are the producer's;
 * drain() is the consumer's.
 */
#ifndef WEIR_BENCH_PEER_H
#define WEIR_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "harness/bench.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PEER_BYTES_MAX 4096u

/* What a peer is opened for. Every peer gets the same room, counted in records. */
struct peer_room {
	uint64_t records;   /* of each producer, that must fit at once */
	uint32_t bytes;     /* payload of a record: a multiple of 8, up to PEER_BYTES_MAX */
	uint32_t producers;
	int eager;          /* 1: the consumer polls. 0: it waits for batches */
	uint64_t threshold; /* records that a peer which flushes by itself gathers; 0: no trigger */
};

/* What came out. */
struct peer_sum {
	uint64_t records, sum; /* of all 64-bit words of all payloads */
};

/* Where a producer's records come from. */
struct peer_source {
	uint8_t data[PEER_BYTES_MAX] __attribute__((aligned(64)));
	uint32_t bytes;
	int fresh;     /* 1: its words are written anew before each push */
	uint64_t next; /* the next word */
	uint64_t each; /* the sum of a record, when it is not fresh */
	struct peer_sum pushed;
};

enum peer_flags {
	PEER_PER_THREAD = 1, /* a queue of each producer's own, not one destination for all */
	PEER_FIXED = 2,      /* records of one size */
	PEER_FLOOR = 4,      /* not a queue: what a copy costs */
	PEER_OURS = 8,
	PEER_SLOW = 16,      /* about 1 us a record: not in the quick run */
	PEER_SOAKS = 32      /* takes whatever is pushed, and keeps it in memory */
};

struct peer {
	const char *name;
	const char *package; /* Debian's, "" when it needs none */
	const char *page;    /* where its authors recommend the build and the calls used here */
	uint32_t flags;
	/* NULL: it cannot be had in this form, and @why says why. */
	void *(*open)(const struct peer_room *room, char why[BENCH_WHY]);
	void *(*join)(void *peer, uint32_t producer);
	/* Pushes up to @count records, until there is no room. Returns how many. */
	uint64_t (*push)(void *producer, struct peer_source *source, uint64_t count);
	void (*leave)(void *producer);
	/* Takes what there is, once round. Returns how many. NULL: it consumes by itself. */
	uint64_t (*drain)(void *peer, struct peer_sum *sum);
	/* With no drain(): waits until @expected records are out, and says what came. */
	void (*settle)(void *peer, uint64_t expected, struct peer_sum *sum);
	void (*close)(void *peer);
};

/* All that could be built, and those that could not: with open() NULL. */
extern const struct peer *const peers[];
extern const uint32_t peer_count;
/* NULL: there is none. */
const struct peer *peer_find(const char *name);

void peer_source_init(struct peer_source *source, uint32_t bytes, int fresh, uint32_t producer);

/* The sum of a record's words. */
static inline uint64_t peer_sum_of(const void *data, uint32_t bytes)
{
	const uint8_t *at = (const uint8_t *)data;
	uint64_t sum = 0, word;

	for (uint32_t i = 0; i + 8 <= bytes; i += 8) {
		memcpy(&word, at + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static inline void peer_took(struct peer_sum *sum, const void *data, uint32_t bytes)
{
	sum->records++;
	sum->sum += peer_sum_of(data, bytes);
}

#ifdef __cplusplus
}
#endif

#endif
