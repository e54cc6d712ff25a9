/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/rings.h - rings without an engine, and an rseq area without a kernel.
 *
 * It knows engine/ring only. The sections take the place of the rseq area as an argument: with one
 * that is made up, every path of theirs but the abort by the kernel can be walked step by step.
 */
#ifndef WEIR_TESTS_SUPPORT_RINGS_H
#define WEIR_TESTS_SUPPORT_RINGS_H

#include <errno.h>
#include <stdatomic.h>

#include "ring/fallback.h"
#include "ring/mark.h"
#include "ring/rings.h"
#include "ring/rseq.h"
#include "ring/section.h"
#include "test.h"

#define SMALL_RING 65536u
#define FAR 0x40000000u

/* As the kernel's struct rseq, and a watched margin behind it. */
struct fake_rseq {
	_Alignas(32) _Atomic uint32_t cpu_id_start;
	_Atomic uint32_t cpu_id;
	_Atomic uint64_t rseq_cs;
	uint32_t flags, node_id, mm_cid, unused;
	uint8_t margin[32];
};

static inline char *thread_pointer(void)
{
	char *pointer;

#if defined(__x86_64__)
	__asm__("movq %%fs:0, %0" : "=r"(pointer));
#elif defined(__aarch64__)
	__asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#else
	pointer = NULL;
#endif
	return pointer;
}

/* What to pass as the offset of the rseq area. */
static inline long fake_offset(struct fake_rseq *area)
{
	return (long)((intptr_t)area - (intptr_t)thread_pointer());
}

static inline void rings_begin(struct wr_rings *rings, uint64_t bytes, int order)
{
	T_EQ(wr_rings_reserve(rings), 0);
	T_EQ(wr_rings_open(rings, bytes, 0, order), 0);
}

/* Moves what a push tests out of its way. */
static inline void ring_open_wide(struct wr_ring *ring)
{
	uint64_t head = atomic_load(&ring->head);

	atomic_store(&ring->alarm, wr_alarm_make(7, 0, wr_head_count(head) + FAR));
	atomic_store(&ring->limit,
	             wr_limit_make(0, 0, WR_STOP_FULL,
	                           wr_head_position(head) + (uint32_t)wr_ring_bytes(ring)));
}

static inline struct wr_ring *ring_make(struct wr_rings *rings, enum wr_ring_kind kind, uint32_t cpu)
{
	struct wr_ring *ring = NULL;

	T_EQ(wr_rings_get(rings, kind, cpu, &ring), 0);
	T_TRUE(ring);
	ring_open_wide(ring);
	return ring;
}

static inline void ring_set_head(struct wr_ring *ring, uint32_t count, uint32_t position)
{
	atomic_store(&ring->head, wr_head_make(count, position));
	ring_open_wide(ring);
}

static inline uint64_t ring_head(const struct wr_ring *ring)
{
	return atomic_load(&ring->head);
}

#endif
