/* SPDX-License-Identifier: Apache-2.0 */
/* The packed words of a ring and the framing of a record: pure, so every edge is tried. */
#include "support/rings.h"

#include <weir/record.h>

static const uint32_t edges[] = { 0, 1, 8, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff };
#define EDGES (sizeof(edges) / sizeof(edges[0]))

Test(ring_words, head_keeps_count_and_position_apart_at_every_edge)
{
	for (size_t i = 0; i < EDGES; i++) {
		for (size_t k = 0; k < EDGES; k++) {
			uint64_t head = wr_head_make(edges[i], edges[k] & ~7u);

			T_EQ(wr_head_count(head), edges[i]);
			T_EQ(wr_head_position(head), edges[k] & ~7u);
		}
	}
}

Test(ring_words, closed_bit_is_no_part_of_the_position)
{
	uint64_t head = wr_head_make(5, 0xfffffff8u) | WR_HEAD_CLOSED;

	T_EQ(wr_head_position(head), 0xfffffff8u);
	T_EQ(wr_head_count(head), 5);
}

Test(ring_words, alarm_gives_back_its_epoch_up_to_27_bits)
{
	T_EQ(wr_alarm_epoch(wr_alarm_make(0, 31, 0xffffffff)), 0);
	T_EQ(wr_alarm_epoch(wr_alarm_make((1u << WR_ALARM_EPOCH_BITS) - 1, 31, 0)),
	     (1u << WR_ALARM_EPOCH_BITS) - 1);
	T_EQ(wr_alarm_epoch(wr_alarm_make(1, 0, 0)), 1);
}

Test(ring_words, alarm_epoch_of_28_bits_wraps)
{
	T_EQ(wr_alarm_epoch(wr_alarm_make(1u << WR_ALARM_EPOCH_BITS, 3, 9)), 0);
}

Test(ring_words, alarm_gives_back_its_trip_at_every_edge)
{
	for (size_t i = 0; i < EDGES; i++)
		T_EQ(wr_alarm_trip(wr_alarm_make(0x7ffffff, 31, edges[i])), edges[i]);
}

Test(ring_words, alarm_base_is_trip_less_stride)
{
	T_EQ(wr_alarm_base(wr_alarm_make(3, 0, 100)), 99);
	T_EQ(wr_alarm_base(wr_alarm_make(3, 4, 100)), 84);
	T_EQ(wr_alarm_base(wr_alarm_make(3, 31, 0x80000000u)), 0);
}

Test(ring_words, alarm_base_wraps_with_the_count)
{
	T_EQ(wr_alarm_base(wr_alarm_make(3, 3, 2)), 0xfffffffau);
}

Test(ring_words, alarm_stride_never_leaks_into_the_epoch)
{
	T_EQ(wr_alarm_epoch(wr_alarm_make(4, 32, 0)), 4);
	T_EQ(wr_alarm_epoch(wr_alarm_make(4, 63, 0)), 4);
}

Test(ring_words, limit_gives_back_each_part_at_its_extremes)
{
	uint64_t limit = wr_limit_make(0x7ffff, 31, 0xff, 0xffffffff);

	T_EQ(wr_limit_epoch(limit), 0x7ffff);
	T_EQ(wr_limit_kind(limit), 0xff);
	T_EQ(wr_limit_position(limit), 0xffffffff);
	limit = wr_limit_make(0, 0, 0, 0);
	T_EQ(limit, 0);
	T_EQ(wr_limit_epoch(wr_limit_make(1, 31, 0xff, 0xffffffff)), 1);
}

Test(ring_words, limit_stride_is_a_power_of_two_and_its_own)
{
	T_EQ(wr_limit_stride(wr_limit_make(0x7ffff, 0, 0xff, ~0u)), 1);
	T_EQ(wr_limit_stride(wr_limit_make(0, 20, 0, 0)), 1u << 20);
	T_EQ(wr_limit_kind(wr_limit_make(0, 31, 0, ~0u)), 0);
}

Test(ring_words, stops_and_the_closed_flag_can_be_told_apart)
{
	const uint32_t stops[] = { WR_STOP_FULL, WR_STOP_WATERMARK, WR_STOP_BYTES };

	for (unsigned i = 0; i < 3; i++) {
		T_EQ(wr_limit_kind(wr_limit_make(9, 9, stops[i], 9)), stops[i]);
		T_TRUE(!(stops[i] & WR_STOP_CLOSED));
		for (unsigned k = 0; k < i; k++)
			T_TRUE(stops[i] != stops[k]);
	}
}

Test(ring_words, header_word_is_the_public_header)
{
	uint64_t word = wr_header_make(0xfffffffe, 0x1234, 0xf0f1);
	struct weir_record_header header;

	memcpy(&header, &word, sizeof(header));
	T_EQ(header.size, 0xfffffffeu);
	T_EQ(header.source, 0x1234);
	T_EQ(header.flags, 0xf0f1);
	T_EQ(wr_header_flags(word), 0xf0f1);
}

Test(ring_words, header_total_counts_header_extension_payload_and_padding)
{
	T_EQ(wr_header_total(wr_header_make(0, 0, WEIR_REC_COMMITTED)), 8);
	T_EQ(wr_header_total(wr_header_make(1, 0, WEIR_REC_COMMITTED)), 16);
	T_EQ(wr_header_total(wr_header_make(8, 0xffff, WEIR_REC_COMMITTED)), 16);
	T_EQ(wr_header_total(wr_header_make(9, 0, WEIR_REC_UUID)), 8 + 16 + 16);
	T_EQ(wr_header_total(wr_header_make(0, 0, WEIR_REC_MARK)), 8 + 32);
}

Test(ring_words, a_place_in_a_ring_is_its_position_modulo_the_ring)
{
	static uint8_t memory[128];
	struct wr_ring ring = { .data = memory, .mask = 63 };

	T_TRUE(wr_ring_at(&ring, 0) == memory);
	T_TRUE(wr_ring_at(&ring, 72) == memory + 8);
	T_TRUE(wr_ring_at(&ring, UINT64_C(0xffffffffffffffc8)) == memory + 8);
	T_EQ(wr_ring_bytes(&ring), 64);
	T_TRUE((uint8_t *)wr_ring_header(&ring, 72) == memory + 8);
}

Test(ring_words, sections_find_each_word_where_they_look)
{
	T_EQ(offsetof(struct wr_ring, alarm), 0);
	T_EQ(offsetof(struct wr_ring, limit), 8);
	T_EQ(offsetof(struct wr_ring, data), 16);
	T_EQ(offsetof(struct wr_ring, mask), 24);
	T_EQ(offsetof(struct wr_ring, order_id), 32);
	T_EQ(offsetof(struct wr_ring, head), 128);
	T_EQ(offsetof(struct wr_ring, side_next), 136);
	T_EQ(offsetof(struct wr_ring, side), 144);
	T_EQ(offsetof(struct wr_put, header), 0);
	T_EQ(offsetof(struct wr_put, total), 8);
	T_EQ(offsetof(struct wr_put, ring), 16);
	T_EQ(offsetof(struct wr_put, order), 24);
	T_EQ(offsetof(struct wr_put, epoch), 32);
	T_EQ(offsetof(struct wr_put, iov), 40);
	T_EQ(offsetof(struct wr_put, iov_count), 48);
}

Test(ring_words, words_of_different_writers_lie_on_different_line_pairs)
{
	size_t at[] = { offsetof(struct wr_ring, alarm), offsetof(struct wr_ring, head),
		        offsetof(struct wr_ring, inside), offsetof(struct wr_ring, tail),
		        sizeof(struct wr_ring) };

	for (unsigned i = 1; i < 5; i++)
		T_TRUE(at[i] / WR_LINE_PAIR > at[i - 1] / WR_LINE_PAIR);
	T_EQ(sizeof(struct wr_ring) % WR_LINE_PAIR, 0);
}

Test(ring_words, order_word_names_four_rings)
{
	uint64_t word = UINT64_C(0xfff) << 16 | UINT64_C(1) << 28 | UINT64_C(0x800) << 40 |
	                UINT64_C(0xabc) << 52 | 0xffff;

	T_EQ(wr_order_id(word, 0), 0xfff);
	T_EQ(wr_order_id(word, 1), 1);
	T_EQ(wr_order_id(word, 2), 0x800);
	T_EQ(wr_order_id(word, 3), 0xabc);
}

static const uint16_t parts[4] = { WEIR_REC_UUID, WEIR_REC_ORIGIN, WEIR_REC_MAX_AGE, WEIR_REC_MARK };
static const uint32_t part_bytes[4] = { 16, 8, 8, 32 };

Test(ring_words, extension_is_as_long_as_its_parts)
{
	for (unsigned set = 0; set < 16; set++) {
		uint32_t flags = WEIR_REC_COMMITTED | WEIR_REC_SETTABLE, bytes = 0;

		for (unsigned i = 0; i < 4; i++) {
			flags |= set >> i & 1 ? parts[i] : 0u;
			bytes += set >> i & 1 ? part_bytes[i] : 0u;
		}
		T_EQ(weir_record_ext_bytes((uint16_t)flags), bytes);
	}
}

Test(ring_words, record_total_is_a_multiple_of_8_and_never_overflows)
{
	for (uint32_t size = 0; size < 40; size++) {
		uint64_t total = weir_record_total(size, WEIR_REC_ORIGIN);

		T_EQ(total % 8, 0);
		T_TRUE(total >= 16u + size);
		T_TRUE(total < 24u + size);
	}
	T_EQ(weir_record_total(UINT32_MAX, WEIR_REC_MARK), UINT64_C(0x100000000) + 40);
}

/* Lays a record out by hand: what the framing page says, not what the code does. */
static uint64_t lay(uint8_t *to, unsigned set, uint32_t size, uint32_t state)
{
	uint8_t *p = to + 8;
	uint32_t flags = state;

	for (unsigned i = 0; i < 4; i++) {
		if (!(set >> i & 1))
			continue;
		flags |= parts[i];
		memset(p, (int)(0x10 * (i + 1)), part_bytes[i]);
		p += part_bytes[i];
	}
	to[0] = (uint8_t)size;
	to[1] = to[2] = to[3] = 0;
	to[4] = 0x34;
	to[5] = 0x12;
	to[6] = (uint8_t)flags;
	to[7] = (uint8_t)(flags >> 8);
	for (uint32_t i = 0; i < size; i++)
		p[i] = (uint8_t)(i + 1);
	return (uint64_t)(p + size - to + 7) & ~UINT64_C(7);
}

Test(ring_words, decode_finds_every_part_of_every_kind_of_record)
{
	for (unsigned set = 0; set < 16; set++) {
		for (uint32_t size = 0; size < 20; size++) {
			uint8_t memory[128] = { 0 };
			struct weir_record record = { 0 };
			uint64_t total = lay(memory, set, size, WEIR_REC_COMMITTED);

			T_EQ(weir_record_decode(memory, sizeof(memory), &record), total);
			T_EQ(record.size, size);
			T_EQ(record.source, 0x1234);
			T_TRUE(record.flags & WEIR_REC_COMMITTED);
			T_EQ(record.uuid != NULL, set & 1);
			if (record.uuid)
				T_EQ(record.uuid[15], 0x10);
			T_EQ(record.origin_ns, set & 2 ? 0x2020202020202020 : 0);
			T_EQ(record.max_age_ns, set & 4 ? 0x3030303030303030 : 0);
			for (uint32_t i = 0; i < size; i++)
				T_EQ(((const uint8_t *)record.data)[i], i + 1);
		}
	}
}

Test(ring_words, decode_refuses_a_record_that_is_cut_short_anywhere)
{
	uint8_t memory[128] = { 0 };
	struct weir_record record = { 0 };
	uint64_t total = lay(memory, 15, 13, WEIR_REC_COMMITTED);

	for (uint64_t avail = 0; avail < total; avail++)
		T_EQ(weir_record_decode(memory, avail, &record), 0);
	T_EQ(weir_record_decode(memory, total, &record), total);
}

Test(ring_words, decode_refuses_what_nobody_has_committed)
{
	uint8_t memory[128] = { 0 };
	struct weir_record record = { 0 };

	T_EQ(weir_record_decode(memory, sizeof(memory), &record), 0);
	lay(memory, 0, 5, WEIR_REC_RESERVED);
	T_EQ(weir_record_decode(memory, sizeof(memory), &record), 0);
	lay(memory, 0, 5, WEIR_REC_RESERVED | WEIR_REC_WAITED);
	T_EQ(weir_record_decode(memory, sizeof(memory), &record), 0);
}

Test(ring_words, decode_passes_over_an_aborted_claim_and_says_so)
{
	uint8_t memory[128] = { 0 };
	struct weir_record record = { 0 };

	T_EQ(weir_record_decode(memory, sizeof(memory), &record), 0);
	T_EQ(lay(memory, 0, 5, WEIR_REC_ABORTED), 16);
	T_EQ(weir_record_decode(memory, sizeof(memory), &record), 16);
	T_TRUE(record.flags & WEIR_REC_ABORTED);
}

Test(ring_words, decode_of_a_size_of_4_gib_does_not_wrap)
{
	uint8_t memory[128] = { 0 };
	struct weir_record record = { 0 };

	lay(memory, 0, 0, WEIR_REC_COMMITTED);
	memset(memory, 0xff, 4);
	T_EQ(weir_record_decode(memory, sizeof(memory), &record), 0);
}

Test(ring_words, a_pusher_may_set_no_bit_that_is_the_engines)
{
	T_EQ(WEIR_REC_SETTABLE & (WEIR_REC_COMMITTED | WEIR_REC_RESERVED | WEIR_REC_ABORTED |
	                          WEIR_REC_WAITED | WEIR_REC_UUID | WEIR_REC_ORIGIN |
	                          WEIR_REC_MAX_AGE | WEIR_REC_MARK),
	     0);
}
