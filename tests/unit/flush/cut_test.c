/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts: how far each ring is taken, what must be looked at, and the order in which it goes out.
 * Records are put into rings by the real section over a made-up rseq area (or, on fallback rings, by
 * reserve and commit); marks are written as the push path writes them.
 */
#include "base/testpoint.h"
#include "support/cut_rig.h"

#if WR_HAS_SECTION

/* @kinds: one letter per ring, ids from 1: r for rseq, f for fallback. */
static void begin_at(const char *kinds, int order, uint32_t count, uint32_t position)
{
	rings.start_count = count;
	rings.start_position = position;
	rings_begin(&rings, SMALL_RING, 1);
	for (uint32_t i = 0; kinds[i]; i++) {
		ring[i + 1] = ring_make(&rings, kinds[i] == 'r' ? WR_RING_RSEQ : WR_RING_FALLBACK, i);
		bits[(i + 1) / 64] |= UINT64_C(1) << (i + 1) % 64;
	}
	T_EQ(wr_cut_init(&cut, &rings, NULL, (uint32_t)order), 0);
}

static void begin(const char *kinds)
{
	begin_at(kinds, 1, 0, 0);
}

static uint64_t put(uint32_t id, char letter)
{
	return put_with(id, letter, NULL, WEIR_REC_COMMITTED);
}

static uint64_t claim(uint32_t id, char letter)
{
	return put_with(id, letter, NULL, WEIR_REC_RESERVED);
}

static int end_claim(uint32_t id, uint64_t position, uint32_t flag)
{
	return wr_ring_end_claim(wr_ring_header(ring[id], position), flag);
}

/* A place that is reserved on a fallback ring and whose size nobody knows yet. */
static struct wr_seen reserve_only(uint32_t id)
{
	struct wr_put put = { .total = 16 };
	struct wr_seen seen;

	T_EQ(wr_fallback_reserve(ring[id], &put, &seen), WR_PUSHED);
	return seen;
}

/* The mark of a thread that comes from the rings named, as of now. */
static struct wr_mark mark_now(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t ids[3] = { a, b, c };
	struct wr_mark mark = { 0 };

	for (unsigned i = 0; i < 3; i++) {
		if (!ids[i])
			continue;
		mark.ids[i] = (uint16_t)ids[i];
		mark.heads[i] = ring_head(ring[ids[i]]);
	}
	return mark;
}

static void put_marked(uint32_t id, char letter, struct wr_mark mark)
{
	put_with(id, letter, &mark, WEIR_REC_COMMITTED);
}

static const char *make_and_take(void)
{
	make();
	return take();
}

/* --- how far --- */

Test(flush_cut, an_empty_ring_gives_nothing)
{
	begin("rf");
	T_EQ(make(), 0);
	T_STR(take(), "");
	T_EQ(cut.segment_count, 0);
}

Test(flush_cut, a_cut_is_everything_below_the_head)
{
	begin("r");
	put(1, 'a');
	put(1, 'b');
	T_EQ(make(), 2);
	T_EQ(cut.bytes, 32);
	T_STR(take(), "ab");
	put(1, 'c');
	T_STR(make_and_take(), "c");
}

Test(flush_cut, a_ring_without_its_bit_is_not_looked_at)
{
	begin("rr");
	put(1, 'a');
	put(2, 'b');
	bits[0] = UINT64_C(1) << 2;
	T_STR(make_and_take(), "b");
}

Test(flush_cut, a_ring_that_was_kept_is_looked_at_without_its_bit)
{
	begin("rr");
	put(1, 'a');
	bits[0] = 0;
	cut.kept[0] = UINT64_C(1) << 1;
	T_STR(make_and_take(), "a");
}

Test(flush_cut, making_a_cut_twice_changes_nothing)
{
	begin("rf");
	put(1, 'a');
	put(2, 'b');
	T_EQ(make(), 2);
	T_EQ(make(), 2);
	T_STR(take(), "a b");
}

Test(flush_cut, a_cut_of_a_quiet_rseq_ring_walks_nothing)
{
	begin("r");
	for (int i = 0; i < 100; i++)
		put(1, 'x');
	T_EQ(make(), 100);
	T_EQ(cut.walks, 0);
}

Test(flush_cut, a_fallback_ring_is_always_walked)
{
	begin("f");
	put(1, 'a');
	make();
	T_EQ(cut.walks, 1);
}

Test(flush_cut, sums_tell_records_bytes_and_the_fullest_ring)
{
	begin("rr");
	put(1, 'a');
	put(2, 'b');
	put(2, 'c');
	make();
	T_EQ(cut.records, 3);
	T_EQ(cut.bytes, 48);
	T_EQ(cut.fullest, 32);
	T_EQ(cut.any_blocked, 0);
}

Test(flush_cut, heads_are_extended_to_64_bits_across_every_wrap)
{
	begin_at("r", 1, 0xfffffffe, 0xffffffe0);
	for (int i = 0; i < 5; i++)
		put(1, (char)('a' + i));
	T_EQ(make(), 5);
	T_STR(take(), "abcde");
	T_EQ(cut.segments[0].end.count, UINT64_C(0x100000003));
	T_EQ(cut.segments[0].end.position, UINT64_C(0xffffffe0) + 5 * 16);
}

Test(flush_cut, taking_a_cut_moves_the_rings_public_marks_of_it)
{
	begin("r");
	put(1, 'a');
	make();
	T_EQ(atomic_load(&ring[1]->cut_count), 0);
	take();
	T_EQ(atomic_load(&ring[1]->cut_count), 1);
	T_EQ(atomic_load(&ring[1]->cut_position), 16);
}

Test(flush_cut, no_record_of_a_segment_is_older_than_it_says)
{
	begin("r");
	put(1, 'a');
	make();
	T_EQ(wr_cut_take(&cut, 1000, 500), 0);
	T_EQ(cut.segments[0].earliest_ns, 500);
	put(1, 'b');
	make();
	T_EQ(wr_cut_take(&cut, 2000, 500), 0);
	T_EQ(cut.segments[0].earliest_ns, 1000);
}

/* --- claims --- */

Test(flush_cut, a_cut_stops_before_an_open_claim)
{
	begin("r");
	put(1, 'a');
	claim(1, 'b');
	put(1, 'c');
	T_EQ(make(), 1);
	T_EQ(cut.any_blocked, 1);
	T_STR(take(), "a");
}

Test(flush_cut, a_claim_that_was_committed_goes_out_in_its_place)
{
	uint64_t at;

	begin("r");
	put(1, 'a');
	at = claim(1, 'b');
	put(1, 'c');
	T_STR(make_and_take(), "a");
	T_EQ(end_claim(1, at, WEIR_REC_COMMITTED), 0);
	T_STR(make_and_take(), "bc");
	T_EQ(cut.any_blocked, 0);
}

Test(flush_cut, two_claims_stop_a_ring_twice)
{
	uint64_t first, second;

	begin("r");
	first = claim(1, 'a');
	put(1, 'b');
	second = claim(1, 'c');
	put(1, 'd');
	T_EQ(make(), 0);
	T_EQ(end_claim(1, second, WEIR_REC_COMMITTED), 0);
	T_EQ(make(), 0);
	T_EQ(end_claim(1, first, WEIR_REC_COMMITTED), 0);
	T_STR(make_and_take(), "abcd");
}

Test(flush_cut, a_claim_behind_one_that_was_committed_stops_the_ring_again)
{
	uint64_t first, second;

	begin("r");
	first = claim(1, 'a');
	put(1, 'b');
	second = claim(1, 'c');
	T_EQ(end_claim(1, first, WEIR_REC_COMMITTED), 0);
	T_STR(make_and_take(), "ab");
	T_EQ(cut.any_blocked, 1);
	put(1, 'd');
	T_EQ(make(), 0);
	T_EQ(end_claim(1, second, WEIR_REC_COMMITTED), 0);
	T_STR(make_and_take(), "cd");
}

Test(flush_cut, an_aborted_claim_is_skipped_and_counted)
{
	uint64_t at;

	begin("r");
	put(1, 'a');
	at = claim(1, 'b');
	put(1, 'c');
	T_EQ(end_claim(1, at, WEIR_REC_ABORTED), 0);
	T_EQ(make(), 2);
	T_STR(take(), "ac");
	T_EQ(cut.aborted, 1);
	T_EQ(cut.segments[0].aborted, 1);
}

Test(flush_cut, aborted_claims_are_counted_once_over_many_cuts)
{
	begin("rf");
	for (int i = 0; i < 3; i++) {
		T_EQ(end_claim(1, claim(1, 'x'), WEIR_REC_ABORTED), 0);
		put(2, 'y');
		make();
		T_EQ(cut.records, 1);
		make();
		T_STR(take(), " y");
		T_EQ(cut.aborted, (uint64_t)i + 1);
	}
}

Test(flush_cut, a_reserved_place_stops_a_fallback_ring)
{
	struct wr_seen seen;

	begin("f");
	put(1, 'a');
	seen = reserve_only(1);
	put(1, 'c');
	T_EQ(make(), 1);
	T_EQ(cut.any_blocked, 1);
	T_STR(take(), "a");
	*((char *)wr_ring_at(ring[1], wr_head_position(seen.head) + 8)) = 'b';
	wr_fallback_commit(&seen, wr_header_make(1, 0, WEIR_REC_COMMITTED));
	T_STR(make_and_take(), "bc");
}

Test(flush_cut, whoever_blocks_a_ring_is_asked_to_wake_the_flusher)
{
	uint64_t at;

	begin("r");
	at = claim(1, 'a');
	make();
	T_EQ(wr_cut_wait_for(&cut.shares[1]), 0);
	T_EQ(wr_cut_wait_for(&cut.shares[1]), 0);
	T_EQ(end_claim(1, at, WEIR_REC_COMMITTED), 1);
}

Test(flush_cut, whoever_blocks_a_fallback_ring_is_asked_too)
{
	struct wr_seen seen;

	begin("f");
	seen = reserve_only(1);
	make();
	T_EQ(wr_cut_wait_for(&cut.shares[1]), 0);
	T_EQ(wr_fallback_commit(&seen, wr_header_make(1, 0, WEIR_REC_COMMITTED)), 1);
}

Test(flush_cut, a_claim_that_ended_meanwhile_is_not_waited_for)
{
	uint64_t at;

	begin("r");
	at = claim(1, 'a');
	make();
	T_EQ(end_claim(1, at, WEIR_REC_COMMITTED), 0);
	T_EQ(wr_cut_wait_for(&cut.shares[1]), 1);
}

Test(flush_cut, a_false_side_entry_does_no_harm)
{
	begin("r");
	put(1, 'a');
	/* As a put leaves it that was aborted behind its note. */
	atomic_store(&ring[1]->side[0], ring_head(ring[1]));
	atomic_store(&ring[1]->side_next, 1);
	put(1, 'b');
	put(1, 'c');
	T_STR(make_and_take(), "abc");
	T_EQ(cut.walks, 0);
}

Test(flush_cut, a_side_table_of_63_entries_is_trusted_and_one_of_64_is_not)
{
	begin("r");
	for (unsigned i = 0; i < WR_SIDE_ENTRIES - 1; i++)
		T_EQ(end_claim(1, claim(1, 'x'), WEIR_REC_COMMITTED), 0);
	make();
	T_EQ(cut.walks, 0);
	T_EQ(end_claim(1, claim(1, 'x'), WEIR_REC_COMMITTED), 0);
	T_EQ(make(), WR_SIDE_ENTRIES);
	T_EQ(cut.walks, 1);
}

/*
 * A put that is under way may have written its entry and not yet its number: the entry of the oldest
 * is gone then, and an open claim with it.
 */
Test(flush_cut, the_oldest_of_64_side_entries_may_be_overwritten_already)
{
	begin("r");
	put(1, 'a');
	claim(1, 'b');
	for (unsigned i = 0; i < WR_SIDE_ENTRIES - 1; i++)
		T_EQ(end_claim(1, claim(1, 'x'), WEIR_REC_COMMITTED), 0);
	atomic_store(&ring[1]->side[0], ring_head(ring[1]));
	T_EQ(make(), 1);
	T_STR(take(), "a");
}

Test(flush_cut, a_side_table_that_was_overrun_makes_the_cut_walk_to_the_open_claim)
{
	begin("r");
	put(1, 'a');
	claim(1, 'b');
	for (unsigned i = 0; i < 3 * WR_SIDE_ENTRIES; i++)
		T_EQ(end_claim(1, claim(1, 'x'), WEIR_REC_COMMITTED), 0);
	T_EQ(make(), 1);
	T_EQ(cut.walks, 1);
	T_STR(take(), "a");
}

Test(flush_cut, after_an_overrun_the_next_quiet_cut_jumps_again)
{
	begin("r");
	for (unsigned i = 0; i < 3 * WR_SIDE_ENTRIES; i++)
		T_EQ(end_claim(1, claim(1, 'x'), WEIR_REC_COMMITTED), 0);
	make_and_take();
	cut.walks = 0;
	put(1, 'a');
	T_STR(make_and_take(), "a");
	T_EQ(cut.walks, 0);
}

Test(flush_cut, a_walk_for_an_audit_sees_every_kind_of_record)
{
	begin("r");
	put(1, 'a');
	T_EQ(end_claim(1, claim(1, 'b'), WEIR_REC_ABORTED), 0);
	claim(1, 'c');
	put(1, 'd');
	make();
	{
		struct wr_share *share = wr_cut_share(&cut, 1);
		struct wr_place head = wr_cut_head(&cut, share);

		T_EQ(head.count, 4);
		T_EQ(head.position, 64);
	}
}

/* --- the order --- */

Test(flush_order, rings_without_marks_go_out_one_after_the_other)
{
	begin("rrf");
	put(2, 'b');
	put(1, 'a');
	put(3, 'c');
	T_STR(make_and_take(), "a b c");
}

Test(flush_order, a_marked_record_goes_out_behind_what_its_mark_names)
{
	begin("rr");
	put(2, 'a');
	put_marked(1, 'b', mark_now(2, 0, 0));
	T_STR(make_and_take(), "a b");
}

Test(flush_order, what_lies_before_a_mark_need_not_wait)
{
	begin("rr");
	put(1, 'x');
	put(2, 'a');
	put_marked(1, 'b', mark_now(2, 0, 0));
	T_STR(make_and_take(), "x a b");
}

Test(flush_order, what_lies_behind_a_mark_waits_with_it)
{
	begin("rr");
	put(2, 'a');
	put_marked(1, 'b', mark_now(2, 0, 0));
	put(1, 'c');
	T_STR(make_and_take(), "a bc");
}

Test(flush_order, a_thread_that_goes_and_returns_keeps_its_order)
{
	begin("rr");
	put(1, 'a');
	put_marked(2, 'b', mark_now(1, 0, 0));
	put_marked(1, 'c', mark_now(2, 0, 0));
	put_marked(2, 'd', mark_now(1, 0, 0));
	T_STR(make_and_take(), "a b c d");
}

Test(flush_order, a_chain_over_many_rings_goes_out_from_its_beginning)
{
	begin("rfrfrfr");
	put(7, 'a');
	for (uint32_t id = 6; id >= 1; id--)
		put_marked(id, (char)('a' + 7 - id), mark_now(id + 1, 0, 0));
	T_STR(make_and_take(), "a b c d e f g");
}

Test(flush_order, three_predecessors_all_come_first)
{
	begin("rrrr");
	put(2, 'a');
	put(3, 'b');
	put(4, 'c');
	put_marked(1, 'd', mark_now(2, 3, 4));
	T_STR(make_and_take(), "a b c d");
}

Test(flush_order, a_mark_that_names_what_went_out_long_ago_holds_nothing_up)
{
	struct wr_mark mark;

	begin("rr");
	put(2, 'a');
	mark = mark_now(2, 0, 0);
	T_STR(make_and_take(), "a");
	put(2, 'z');
	put_marked(1, 'b', mark);
	T_STR(make_and_take(), "b z");
}

Test(flush_order, a_mark_that_names_an_empty_past_holds_nothing_up)
{
	begin("rr");
	put_marked(1, 'b', mark_now(2, 0, 0));
	T_STR(make_and_take(), "b");
}

/* The ring it names has moved on by more than half of what a count can tell apart. */
Test(flush_order, a_mark_that_is_older_than_half_of_all_counts_holds_nothing_up)
{
	struct wr_mark mark = { .ids = { 2 }, .heads = { wr_head_make(UINT32_C(0x7fffffff), 64) } };

	begin("rr");
	put(2, 'z');
	put_marked(1, 'b', mark);
	T_STR(make_and_take(), "b z");
}

Test(flush_order, a_mark_that_names_a_ring_nobody_knows_holds_nothing_up)
{
	struct wr_mark mark = { .ids = { 4000 }, .heads = { wr_head_make(5, 80) } };

	begin("r");
	put_marked(1, 'b', mark);
	T_STR(make_and_take(), "b");
}

Test(flush_order, a_ring_cut_too_early_is_extended_to_what_a_mark_names)
{
	struct wr_share *first;

	begin("rr");
	put(1, 'x');
	make(); /* both shares are known now */
	/* Ring 1 is cut before `a`, ring 2 after `b`: as if both were pushed between the two reads. */
	bits[0] = UINT64_C(1) << 2;
	put(1, 'a');
	put_marked(2, 'b', mark_now(1, 0, 0));
	put(1, 'y');
	make();
	first = &cut.shares[1];
	T_EQ(first->in_cut, 1);
	T_EQ(first->cut.count, 2);
	T_STR(take(), "xa b");
	bits[0] = UINT64_C(1) << 1;
	T_STR(make_and_take(), "y");
}

Test(flush_order, an_extension_looks_at_the_marks_it_brings_in)
{
	begin("rrr");
	put(1, 'a');
	put_marked(2, 'b', mark_now(1, 0, 0));
	put_marked(3, 'c', mark_now(2, 0, 0));
	bits[0] = UINT64_C(1) << 3;
	T_EQ(make(), 3);
	T_STR(take(), "a b c");
}

Test(flush_order, a_mark_behind_an_open_claim_retracts_its_ring)
{
	uint64_t at;

	begin("rr");
	at = claim(1, 'a');
	put(1, 'b');
	put(2, 'x');
	put_marked(2, 'c', mark_now(1, 0, 0));
	put(2, 'y');
	T_EQ(make(), 1);
	T_EQ(cut.any_blocked, 1);
	T_STR(take(), "x");
	T_EQ(end_claim(1, at, WEIR_REC_COMMITTED), 0);
	T_STR(make_and_take(), "ab cy");
}

Test(flush_order, a_mark_behind_a_hole_of_a_fallback_ring_retracts_its_ring)
{
	struct wr_seen seen;

	begin("fr");
	seen = reserve_only(1);
	put(1, 'b');
	put_marked(2, 'c', mark_now(1, 0, 0));
	T_EQ(make(), 0);
	*((char *)wr_ring_at(ring[1], wr_head_position(seen.head) + 8)) = 'a';
	wr_fallback_commit(&seen, wr_header_make(1, 0, WEIR_REC_COMMITTED));
	T_STR(make_and_take(), "ab c");
}

Test(flush_order, a_retraction_retracts_whoever_names_what_was_retracted)
{
	uint64_t at;

	begin("rrr");
	at = claim(1, 'a');
	put_marked(2, 'b', mark_now(1, 0, 0));
	put_marked(3, 'c', mark_now(2, 0, 0));
	put(3, 'd');
	T_EQ(make(), 0);
	T_EQ(end_claim(1, at, WEIR_REC_COMMITTED), 0);
	T_STR(make_and_take(), "a b cd");
}

Test(flush_order, a_mark_before_the_open_claim_is_not_held_up_by_it)
{
	begin("rr");
	put(1, 'a');
	put_marked(2, 'b', mark_now(1, 0, 0));
	claim(1, 'c');
	T_EQ(make(), 2);
	T_STR(take(), "a b");
}

Test(flush_order, a_retracted_ring_is_told_from_one_whose_owner_can_be_waited_for)
{
	begin("rr");
	claim(1, 'a');
	put_marked(2, 'c', mark_now(1, 0, 0));
	make();
	T_EQ(cut.shares[1].blocked, WR_BLOCKED_OPEN);
	T_EQ(cut.shares[2].blocked, WR_BLOCKED_RETRACTED);
}

Test(flush_order, marks_hold_across_a_wrap_of_counts_and_positions)
{
	begin_at("rr", 1, 0xfffffffe, 0xffffffe0);
	put(2, 'a');
	put(2, 'b');
	put(2, 'c');
	put_marked(1, 'd', mark_now(2, 0, 0));
	put_marked(2, 'e', mark_now(1, 0, 0));
	T_STR(make_and_take(), "abc d e");
	put(2, 'f');
	put_marked(1, 'g', mark_now(2, 0, 0));
	T_STR(make_and_take(), "f g");
}

Test(flush_order, the_closed_bit_in_a_named_head_changes_nothing)
{
	struct wr_mark mark;

	begin("fr");
	put(1, 'a');
	mark = mark_now(1, 0, 0);
	mark.heads[0] |= WR_HEAD_CLOSED;
	bits[0] = UINT64_C(1) << 2;
	put_marked(2, 'b', mark);
	T_STR(make_and_take(), "a b");
}

Test(flush_order, without_order_marks_are_passed_over)
{
	begin_at("rr", 0, 0, 0);
	put(2, 'a');
	put_marked(1, 'b', mark_now(2, 0, 0));
	T_STR(make_and_take(), "b a");
}

Test(flush_order, without_order_an_open_claim_elsewhere_holds_up_nobody)
{
	begin_at("rr", 0, 0, 0);
	claim(1, 'a');
	put_marked(2, 'b', mark_now(1, 0, 0));
	T_EQ(make(), 1);
	T_STR(take(), "b");
}

Test(flush_order, a_mark_on_an_aborted_claim_still_orders_what_follows_it)
{
	struct wr_mark mark;
	uint64_t at;

	begin("rr");
	put(2, 'a');
	mark = mark_now(2, 0, 0);
	at = put_with(1, 'b', &mark, WEIR_REC_RESERVED);
	put(1, 'c');
	T_EQ(end_claim(1, at, WEIR_REC_ABORTED), 0);
	T_EQ(make(), 2);
	T_STR(take(), "a c");
	T_EQ(cut.aborted, 1);
}

Test(flush_order, a_mark_behind_other_extensions_is_found)
{
	struct wr_mark mark;
	uint8_t before[32] = { 0 };
	char letter = 'b';
	struct iovec iov[3] = { { before, 32 }, { &mark, sizeof(mark) }, { &letter, 1 } };
	struct wr_put what = { .epoch = WR_ANY_EPOCH, .iov = iov, .iov_count = 3, .side = 1 };
	struct wr_seen seen;

	begin("rr");
	put(2, 'a');
	mark = mark_now(2, 0, 0);
	what.header = wr_header_make(1, 0, WEIR_REC_COMMITTED | WEIR_REC_UUID | WEIR_REC_ORIGIN |
	                                           WEIR_REC_MAX_AGE | WEIR_REC_MARK);
	what.total = wr_header_total(what.header);
	table[0] = what.ring = ring[1];
	T_EQ(wr_section_put(table, fake_offset(&area), &no_order, &what, &seen), WR_PUSHED);
	T_STR(make_and_take(), "a b");
}

Test(flush_order, hundreds_of_marks_in_one_cut_are_all_obeyed)
{
	uint32_t n = 0;

	begin("rr");
	put(1, 'a');
	for (int i = 0; i < 400; i++)
		put_marked(i & 1 ? 1 : 2, (char)('a' + i % 26), mark_now(i & 1 ? 2 : 1, 0, 0));
	T_EQ(make(), 401);
	T_EQ(wr_cut_take(&cut, 1000, 0), 0);
	T_EQ(cut.segment_count, 401);
	for (uint32_t i = 0; i < cut.segment_count; i++) {
		T_EQ(cut.segments[i].ring, i & 1 ? 2 : 1);
		n += (uint32_t)(cut.segments[i].end.count - cut.segments[i].begin.count);
	}
	T_EQ(n, 401);
}

#endif

/* Its side entry stands at the very place that the cut has reached. */
Test(flush_cut, a_claim_that_came_between_a_cut_and_its_taking_stops_the_next)
{
	begin("r");
	put(1, 'a');
	T_EQ(make(), 1);
	claim(1, 'b');
	put(1, 'c');
	T_STR(take(), "a");
	T_EQ(make(), 0);
	T_EQ(cut.any_blocked, 1);
	T_EQ(cut.walks, 0);
}

#ifdef WR_TEST_POINTS
static unsigned reads, overrun_at, overrun_by;

static void overrun(const char *name)
{
	if (strcmp(name, "cut.side_entry") != 0 || ++reads != overrun_at)
		return;
	atomic_store(&wr_testpoint_hook, NULL);
	for (unsigned i = 0; i < overrun_by; i++)
		T_EQ(end_claim(1, claim(1, 'x'), WEIR_REC_COMMITTED), 0);
}

/* Before the side entry that is read as number @at, from 1, ring 1 gets @by more. */
static void overrun_with(unsigned at, unsigned by)
{
	overrun_at = at;
	overrun_by = by;
	atomic_store(&wr_testpoint_hook, overrun);
}

Test(flush_cut, a_side_table_that_is_overrun_while_it_is_read_is_not_trusted)
{
	begin("r");
	put(1, 'a');
	claim(1, 'b');
	overrun_with(1, WR_SIDE_ENTRIES);
	T_EQ(make(), 1);
	T_EQ(cut.walks, 1);
	T_STR(take(), "a");
}

/* What was noted of a table that cannot be trusted is forgotten, and found again by the walk. */
Test(flush_order, a_mark_that_was_noted_before_a_side_table_was_overrun_holds)
{
	begin("rr");
	put(2, 'b');
	put(1, 'a');
	put_marked(1, 'm', mark_now(2, 0, 0));
	T_EQ(end_claim(1, claim(1, 'c'), WEIR_REC_COMMITTED), 0);
	overrun_with(2, WR_SIDE_ENTRIES);
	T_EQ(make(), 4);
	T_EQ(cut.walks, 1);
	T_STR(take(), "a b mc");
}

/* The entry of the open claim is lost, that of the mark behind it is not. */
Test(flush_order, a_mark_that_was_noted_behind_a_claim_without_its_entry_brings_nothing_in)
{
	begin("rr");
	bits[0] = UINT64_C(1) << 1;
	put(2, 'b');
	put(1, 'a');
	claim(1, 'o');
	put_marked(1, 'm', mark_now(2, 0, 0));
	overrun_with(1, WR_SIDE_ENTRIES - 1);
	T_EQ(make(), 1);
	T_STR(take(), "a");
}

static void push_behind_a_note(const char *name)
{
	if (strcmp(name, "cut.between_heads") != 0)
		return;
	claim(1, 'o');
	put_marked(1, 'm', mark_now(3, 0, 0));
	put_marked(2, 'z', mark_now(1, 0, 0));
	overrun_with(2, WR_SIDE_ENTRIES - 1); /* ring 2's own comes first */
}

/* As before, while ring 2 extends a ring in which a mark was noted already. */
Test(flush_order, what_an_extension_noted_of_an_overrun_table_is_not_hung_behind_older_notes)
{
	begin("rrr");
	bits[0] = UINT64_C(1) << 1 | UINT64_C(1) << 2;
	put(3, 'c');
	put_marked(1, 'n', mark_now(0, 0, 0));
	atomic_store(&wr_testpoint_hook, push_behind_a_note);
	T_EQ(make(), 1);
	T_STR(take(), "n");
}

static void push_between(const char *name)
{
	if (strcmp(name, "cut.between_heads") != 0)
		return;
	atomic_store(&wr_testpoint_hook, NULL);
	put(3, 'c');
	put_marked(1, 'b', mark_now(3, 0, 0));
	put_marked(2, 'a', mark_now(1, 0, 0));
}

/* What ring 2 brings in of ring 1, which was looked at before, names ring 3. */
Test(flush_order, an_extension_of_a_ring_that_was_looked_at_is_looked_at_again)
{
	begin("rrr");
	put(1, 'x');
	put(2, 'y');
	bits[0] = UINT64_C(1) << 1 | UINT64_C(1) << 2;
	atomic_store(&wr_testpoint_hook, push_between);
	T_EQ(make(), 5);
	T_STR(take(), "x y c b a");
}
#endif
