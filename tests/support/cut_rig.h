/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut_rig.h - rings with records of one letter each, and a cut of them that is read out as letters.
 *
 * Records are put in by the real section over a made-up rseq area or, on fallback rings, by reserve
 * and commit. Each test file that includes this has rings of its own.
 */
#ifndef WEIR_TESTS_CUT_RIG_H
#define WEIR_TESTS_CUT_RIG_H

#include "flush/cut.h"
#include "support/rings.h"

static struct wr_rings rings;
static struct wr_ring *ring[8]; /* by id */
static struct wr_ring *_Atomic table[WR_TABLE_CPUS];
static struct fake_rseq area;
static struct wr_cut cut;
static _Atomic uint64_t bits[WR_RING_IDS / 64];
static _Atomic uint64_t no_order;

/* One record of one letter. @flags: WEIR_REC_RESERVED for a claim. Returns where it lies. */
static inline uint64_t put_with(uint32_t id, char letter, const struct wr_mark *mark, uint32_t flags)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)mark, mark ? sizeof(*mark) : 0 },
		                { &letter, 1 } };
	struct wr_put put = { .epoch = WR_ANY_EPOCH, .iov = iov, .iov_count = 2 };
	struct wr_seen seen;

	flags |= mark ? WEIR_REC_MARK : 0u;
	put.header = wr_header_make(1, 0, flags);
	put.total = wr_header_total(put.header);
	put.side = mark || flags & WEIR_REC_RESERVED;
	if (ring[id]->kind == WR_RING_FALLBACK) {
		T_EQ(wr_fallback_reserve(ring[id], &put, &seen), WR_PUSHED);
		wr_fallback_copy(&put, &seen);
		wr_fallback_commit(&seen, put.header);
	} else {
		area.cpu_id_start = area.cpu_id = 0;
		table[0] = ring[id];
		put.ring = ring[id]; /* the order word is of no interest here */
		T_EQ(wr_section_put(table, fake_offset(&area), &no_order, &put, &seen), WR_PUSHED);
	}
	return wr_head_position(seen.head);
}

static inline uint64_t make(void)
{
	wr_cut_make(&cut, bits);
	return cut.records;
}

static char text[1024];

/* Takes the cut and reads it out, letter by letter; segments are parted by a blank. */
static inline const char *take(void)
{
	size_t n = 0;

	T_EQ(wr_cut_take(&cut, 1000, 500), 0);
	for (uint32_t i = 0; i < cut.segment_count; i++) {
		const struct wr_segment *segment = &cut.segments[i];
		uint64_t at = segment->begin.position, count = segment->begin.count;

		if (i)
			text[n++] = ' ';
		for (; count != segment->end.count; count++) {
			struct weir_record record;
			uint64_t total = weir_record_decode(wr_ring_at(ring[segment->ring], at), 4096,
			                                    &record);

			T_TRUE(total);
			if (!(record.flags & WEIR_REC_ABORTED))
				text[n++] = *(const char *)record.data;
			at += total;
		}
		T_EQ(at, segment->end.position);
	}
	text[n] = 0;
	return text;
}

#endif
