/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts at their edges: without memory, with marks that no thread would write, and with others who
 * push at any instruction of the cut.
 */
#include "support/cut_rig.h"
#include "support/step.h"

#if WR_HAS_SECTION

static int memory_is_gone;

static void *give(void *arg, size_t bytes)
{
	(void)arg;
	return memory_is_gone ? NULL : malloc(bytes);
}

static void take_back(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)bytes;
	free(memory);
}

static const struct wr_mem mem = { give, take_back, NULL };

/* @count rseq rings, ids from 1. */
static void begin(uint32_t count)
{
	if (rings.page) {
		wr_cut_fini(&cut);
		wr_rings_close(&rings);
	}
	rings_begin(&rings, SMALL_RING, 1);
	memset((void *)bits, 0, sizeof(bits));
	for (uint32_t i = 1; i <= count; i++) {
		ring[i] = ring_make(&rings, WR_RING_RSEQ, i);
		bits[0] |= UINT64_C(1) << i;
	}
	T_EQ(wr_cut_init(&cut, &rings, &mem, 1), 0);
}

static void put(uint32_t id, char letter)
{
	(void)put_with(id, letter, NULL, WEIR_REC_COMMITTED);
}

static void put_marked(uint32_t id, char letter, uint32_t named, uint64_t head)
{
	struct wr_mark mark = { .ids = { (uint16_t)named }, .heads = { head } };

	(void)put_with(id, letter, &mark, WEIR_REC_COMMITTED);
}

static void end_claim(uint32_t id, uint64_t position, uint32_t flag)
{
	T_EQ(wr_ring_end_claim(wr_ring_header(ring[id], position), flag), 0);
}

Test(flush_cut, a_bit_without_a_ring_is_passed_over)
{
	begin(2);
	put(1, 'a');
	put(2, 'b');
	bits[0] |= UINT64_C(1) << 5;
	bits[7] = 1;
	atomic_store(&rings.last_id, 7 * 64);
	T_EQ(make(), 2);
	T_EQ(cut.set_count, 2);
	T_STR(take(), "a b");
}

Test(flush_cut, without_memory_for_a_note_the_cut_stops_before_its_record)
{
	begin(2);
	put(2, 'z');
	put(1, 'a');
	put_marked(1, 'b', 2, ring_head(ring[2]));
	put(1, 'c');
	memory_is_gone = 1;
	T_EQ(make(), 2);
	T_EQ(cut.starved, 1);
	T_EQ(cut.shares[1].cut.count, 1);
	memory_is_gone = 0;
	T_EQ(make(), 4);
	T_EQ(cut.starved, 0);
	T_STR(take(), "a z bc");
}

/* An attempt that was aborted behind its note, and then the claim itself, at the same place. */
Test(flush_cut, an_aborted_claim_that_was_noted_twice_is_counted_once)
{
	uint64_t at;

	begin(1);
	put(1, 'a');
	atomic_store(&ring[1]->side[0], ring_head(ring[1]));
	atomic_store(&ring[1]->side_next, 1);
	at = put_with(1, 'x', NULL, WEIR_REC_RESERVED);
	end_claim(1, at, WEIR_REC_ABORTED);
	put(1, 'b');
	T_EQ(make(), 2);
	T_STR(take(), "ab");
	T_EQ(cut.aborted, 1);
	T_EQ(cut.walks, 0);
}

static uint32_t gives;

static void *give_some(void *arg, size_t bytes)
{
	(void)arg;
	return gives && gives-- ? malloc(bytes) : NULL;
}

Test(flush_cut, without_memory_for_its_tables_no_cut_is_begun_and_none_is_kept)
{
	const struct wr_mem little = { give_some, take_back, NULL };

	begin(1);
	for (uint32_t i = 0; i < 2; i++) {
		struct wr_cut none = { 0 };

		gives = i;
		T_EQ(wr_cut_init(&none, &rings, &little, 1), -ENOMEM);
		T_TRUE(!none.shares && !none.set);
	}
}

/* --- marks that no thread would write --- */

Test(flush_order, a_mark_that_names_its_own_ring_holds_nothing_up)
{
	begin(1);
	put_marked(1, 'b', 1, wr_head_make(3, 96));
	(void)put_with(1, 'x', NULL, WEIR_REC_RESERVED);
	put(1, 'd');
	T_EQ(make(), 1);
	T_STR(take(), "b");
}

Test(flush_order, marks_in_a_circle_lose_nothing_and_hang_nothing)
{
	uint64_t at;
	struct wr_mark mark = { .ids = { 2 }, .heads = { wr_head_make(1, 48) } };

	begin(2);
	put(1, 'a');
	at = put_with(1, 'x', &mark, WEIR_REC_RESERVED);
	end_claim(1, at, WEIR_REC_ABORTED);
	put(1, 'b');
	put_marked(2, 'c', 1, ring_head(ring[1]));
	T_EQ(make(), 3);
	T_STR(take(), "ab c"); /* what follows in the same ring joins the segment before */
	T_EQ(cut.segment_count, 2);
	T_EQ(cut.segments[0].aborted, 1);
	T_EQ(cut.segments[1].aborted, 0);
	T_EQ(cut.aborted, 1);
}

/* What its earlier marks name still comes first. */
Test(flush_order, a_ring_that_is_retracted_keeps_the_marks_before)
{
	begin(3);
	put(3, 'n');
	(void)put_with(2, 'x', NULL, WEIR_REC_RESERVED);
	put(2, 'y');
	put_marked(1, 'm', 3, ring_head(ring[3]));
	put_marked(1, 'k', 2, ring_head(ring[2]));
	put(1, 'z');
	T_EQ(make(), 2);
	T_EQ(cut.shares[1].blocked, WR_BLOCKED_RETRACTED);
	T_STR(take(), "n m");
}

#ifdef WR_CAN_STEP

#define STEPS 6

static uint64_t claim_at;

/* The claim that was given up is noted, and must not be noted twice. */
static void one_open_claim(void)
{
	begin(1);
	put(1, 'a');
	end_claim(1, put_with(1, 'q', NULL, WEIR_REC_RESERVED), WEIR_REC_ABORTED);
	claim_at = put_with(1, 'x', NULL, WEIR_REC_RESERVED);
}

static void make_a_cut(void)
{
	(void)make();
}

/* As many claims as the side table has entries. */
static void overrun_side_table(void)
{
	for (unsigned i = 0; i < WR_SIDE_ENTRIES; i++)
		end_claim(1, put_with(1, 'x', NULL, WEIR_REC_RESERVED), WEIR_REC_COMMITTED);
}

static void the_open_claim_stops_it(void)
{
	T_EQ(cut.records, 1);
	T_EQ(cut.any_blocked, 1);
	T_STR(take(), "a");
	T_EQ(cut.aborted, 1);
}

Test(flush_cut, a_side_table_that_is_overrun_at_any_instruction_of_a_cut_hides_no_open_claim)
{
	T_TRUE(step_through(STEPS, one_open_claim, make_a_cut, overrun_side_table,
	                    the_open_claim_stops_it) > 20);
}

static void end_it_and_overrun(void)
{
	end_claim(1, claim_at, WEIR_REC_COMMITTED);
	overrun_side_table();
}

/* Either the cut had met it open, or all of the ring is free. */
static void blocked_means_blocked(void)
{
	if (cut.shares[1].cut.count == wr_head_count(ring_head(ring[1])))
		T_EQ(cut.shares[1].blocked, 0);
	else
		T_TRUE(cut.records == 1 || !cut.shares[1].blocked);
}

Test(flush_cut, a_claim_that_ends_before_the_table_is_overrun_does_not_seem_open)
{
	T_TRUE(step_through(STEPS, one_open_claim, make_a_cut, end_it_and_overrun,
	                    blocked_means_blocked) > 20);
}

static int freed, committed;

static void blocked_by_a_claim(void)
{
	begin(1);
	claim_at = put_with(1, 'x', NULL, WEIR_REC_RESERVED);
	T_EQ(make(), 0);
}

static void ask_to_be_woken(void)
{
	freed = wr_cut_wait_for(&cut.shares[1]);
}

static void commit_it(void)
{
	committed = wr_ring_end_claim(wr_ring_header(ring[1], claim_at), WEIR_REC_COMMITTED);
}

static void one_of_them_knows(void)
{
	T_EQ(freed + committed, 1);
}

Test(flush_cut, a_claim_that_ends_at_any_instruction_of_the_asking_is_seen_or_asked)
{
	T_TRUE(step_through(64, blocked_by_a_claim, ask_to_be_woken, commit_it, one_of_them_knows) >
	       10);
}

/* Ring 1 has a note when it is looked at first; ring 3 holds what that note names. */
static void rings_with_a_note(void)
{
	begin(3);
	put(3, 'n');
	put_marked(1, 'm', 3, ring_head(ring[3]));
	put(2, 'y');
}

/* A thread fills ring 1 beyond its side table, and goes on in ring 2. */
static void overrun_and_migrate(void)
{
	overrun_side_table();
	put_marked(2, 'z', 1, ring_head(ring[1]));
}

/* Over this cut and the next: nothing is missing, and nothing comes before what it names. */
static void z_comes_behind_all_of_ring_1(void)
{
	uint32_t x = 0, others = 0;

	for (int cuts = 0; cuts < 2; cuts++) {
		(void)take();
		for (const char *c = text; *c; c++) {
			x += *c == 'x';
			others += *c == 'n' || *c == 'y';
			if (*c == 'm')
				T_TRUE(others >= 1 && memchr(text, 'n', (size_t)(c - text)));
			if (*c == 'z')
				T_EQ(x, WR_SIDE_ENTRIES);
			others += *c == 'm' || *c == 'z';
		}
		(void)make();
	}
	T_EQ(x, WR_SIDE_ENTRIES);
	T_EQ(others, 4);
	T_EQ(cut.records, 0);
}

Test(flush_order, a_ring_that_is_overrun_and_left_at_any_instruction_of_a_cut_goes_out_in_order)
{
	T_TRUE(step_through(STEPS, rings_with_a_note, make_a_cut, overrun_and_migrate,
	                    z_comes_behind_all_of_ring_1) > 20);
}
#endif
#endif
