/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor.c - what no push can do without: a function, called as weir is, that stores a header of
 * eight bytes and copies a run-time size into a private, prefaulted ring of the same size and
 * mapping. Nobody reads it.
 */
#include <stdlib.h>

#include "rivals/loop.h"
#include "rivals/mirror.h"

struct floor_ring {
	struct mirror ring;
	uint64_t head;
	uint64_t pad[13]; /* no line is shared with a neighbour's */
};

struct floor_rings {
	struct peer_sum out;
	struct floor_ring each[];
};

static void *open_floor(const struct peer_room *room, char why[BENCH_WHY])
{
	struct floor_rings *rings =
		aligned_alloc(128, (sizeof(*rings) + 127) / 128 * 128 +
		                           (room->producers + 1) * sizeof(struct floor_ring));

	(void)why;
	if (!rings)
		bench_die("no memory");
	for (uint32_t i = 0; i < room->producers; i++) {
		mirror_map(&rings->each[i].ring, room->records * (room->bytes + 8) + 4096);
		rings->each[i].head = 0;
	}
	rings->each[room->producers].ring.data = NULL;
	return rings;
}

static void *join(void *peer, uint32_t producer)
{
	return &((struct floor_rings *)peer)->each[producer];
}

static void leave(void *producer)
{
	(void)producer;
}

__attribute__((noinline)) static int take(struct floor_ring *to, const void *data, size_t bytes)
{
	uint64_t header = bytes | UINT64_C(1) << 48;
	uint8_t *at = to->ring.data + (to->head & (to->ring.bytes - 1));

	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), data, bytes);
	to->head += (bytes + 15) & ~UINT64_C(7);
	return 0;
}

PEER_LOOP(push, struct floor_ring, take)

static void close_floor(void *peer)
{
	struct floor_rings *rings = peer;

	for (uint32_t i = 0; rings->each[i].ring.data; i++)
		mirror_unmap(&rings->each[i].ring);
	free(rings);
}

extern const struct peer peer_floor;
const struct peer peer_floor = { .name = "floor", .package = "", .page = "bench/README.md",
	.flags = PEER_FLOOR | PEER_PER_THREAD, .open = open_floor, .join = join, .push = push,
	.leave = leave, .close = close_floor };
