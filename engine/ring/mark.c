/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark.c - see mark.h. An order word is its thread's own: only signal handlers of that thread get
 * in between, so every access is relaxed and compare-and-swap is there for them.
 * ORDER none: relaxed, throughout this file. One thread.
 */
#include "ring/mark.h"

#include <errno.h>

static uint64_t next_version(uint64_t word)
{
	return (word & ~(uint64_t)0xffff) | (uint16_t)(word + 1);
}

static int contains(uint64_t word, uint32_t id)
{
	for (unsigned i = 0; i < WR_ORDER_IDS; i++)
		if (wr_order_id(word, i) == id)
			return 1;
	return 0;
}

/* 0 when there is no room: a word with version 0 and no ids never comes out of here otherwise. */
static uint64_t with_id(uint64_t word, uint32_t id)
{
	if (contains(word, id))
		return word;
	for (unsigned i = 0; i < WR_ORDER_IDS; i++)
		if (!wr_order_id(word, i))
			return word | (uint64_t)id << (16 + 12 * i);
	return 0;
}

int wr_mark_begin(const struct wr_rings *rings, _Atomic uint64_t *order, const struct wr_ring *ring,
                  struct wr_mark *ret_mark, struct wr_migration *ret)
{
	uint64_t before = atomic_load_explicit(order, memory_order_relaxed);
	uint64_t word;
	unsigned n = 0;

	do {
		word = with_id(before, ring->id);
		if (!word)
			return -EAGAIN;
		word = next_version(word);
	} while (!atomic_compare_exchange_weak_explicit(order, &before, word, memory_order_relaxed,
	                                                memory_order_relaxed));
	memset(ret_mark, 0, sizeof(*ret_mark));
	for (unsigned i = 0; i < WR_ORDER_IDS; i++) {
		uint32_t id = (uint32_t)wr_order_id(word, i);
		const struct wr_ring *from = id == ring->id ? NULL : wr_rings_by_id(rings, id);

		if (!from)
			continue;
		ret_mark->ids[n] = (uint16_t)id;
		/*
		 * ORDER ring.publish: acquire. Not for the records but for the time: the mark may
		 * only name what was committed before it.
		 */
		ret_mark->heads[n++] = atomic_load_explicit(&from->head, memory_order_acquire);
	}
	ret->before = before;
	ret->word = word;
	return (int)n;
}

void wr_mark_done(_Atomic uint64_t *order, const struct wr_ring *ring,
                  const struct wr_migration *migration)
{
	uint64_t seen = migration->word;
	uint64_t mine = next_version((uint64_t)ring->id << 16 | (uint16_t)seen);

	if (atomic_compare_exchange_strong_explicit(order, &seen, mine, memory_order_relaxed,
	                                            memory_order_relaxed))
		return;
	/* A handler has pushed: add this ring to what it left, or leave a full set as it is. */
	do {
		mine = with_id(seen, ring->id);
		if (!mine)
			return;
		mine = next_version(mine);
	} while (!atomic_compare_exchange_weak_explicit(order, &seen, mine, memory_order_relaxed,
	                                                memory_order_relaxed));
}

void wr_mark_undo(_Atomic uint64_t *order, const struct wr_migration *migration)
{
	uint64_t seen = migration->word;
	uint64_t back = (migration->before & ~(uint64_t)0xffff) | (uint16_t)(seen + 1);

	(void)atomic_compare_exchange_strong_explicit(order, &seen, back, memory_order_relaxed,
	                                              memory_order_relaxed);
}
