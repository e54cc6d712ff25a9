/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread does to a mark or a claim, with somebody else in between at each of its
 * instructions: a signal handler that pushes, or the flusher.
 */
#include "support/rings.h"
#include "support/step.h"

#ifdef WR_CAN_STEP

#define STEPS 64

static struct wr_rings rings;
static struct wr_ring *ring[4]; /* ids 1..3 */
static _Atomic uint64_t order;
static struct wr_mark mark;
static struct wr_migration migration;
static int answer;

static void come_from_ring_1(void)
{
	if (!ring[1]) {
		rings_begin(&rings, SMALL_RING, 1);
		for (uint32_t i = 1; i < 4; i++)
			ring[i] = ring_make(&rings, WR_RING_RSEQ, i);
	}
	order = (uint64_t)1 << 16 | 0xfff0;
}

static int word_holds(uint32_t id)
{
	uint64_t word = atomic_load(&order);

	for (unsigned i = 0; i < WR_ORDER_IDS; i++)
		if (wr_order_id(word, i) == id)
			return 1;
	return 0;
}

static int mark_names(uint32_t id)
{
	return mark.ids[0] == id || mark.ids[1] == id || mark.ids[2] == id;
}

/* A signal handler's whole push to ring 3. */
static void push_to_ring_3(void)
{
	struct wr_migration inner;
	struct wr_mark unused;

	T_TRUE(wr_mark_begin(&rings, &order, ring[3], &unused, &inner) >= 0);
	wr_mark_done(&order, ring[3], &inner);
}

static void begin_mark(void)
{
	answer = wr_mark_begin(&rings, &order, ring[2], &mark, &migration);
}

/* Either the mark names what the handler pushed to, or this attempt is over and the word keeps it. */
static void look_at_begun_mark(void)
{
	T_TRUE(answer >= 1);
	if (atomic_load(&order) == migration.word) {
		T_TRUE(mark_names(3));
		T_EQ(answer, 1); /* the handler's record came behind ring 1's, which need not be named */
	} else {
		T_TRUE(word_holds(3));
		T_TRUE(mark_names(1));
	}
}

Test(ring_step, a_handler_that_pushes_at_any_instruction_of_a_mark_is_named_or_ends_the_attempt)
{
	T_TRUE(step_through(STEPS, come_from_ring_1, begin_mark, push_to_ring_3,
	                    look_at_begun_mark) > 50);
}

static void begin_and_end_mark(void)
{
	begin_mark();
	wr_mark_done(&order, ring[2], &migration);
}

static void both_are_kept(void)
{
	T_TRUE(word_holds(2) || word_holds(3));
	/* Of two at once neither is forgotten, unless the later one names the other. */
	if (!word_holds(3))
		T_TRUE(mark_names(3));
}

Test(ring_step, a_handler_that_pushes_at_any_instruction_of_a_migration_is_not_forgotten)
{
	T_TRUE(step_through(STEPS, come_from_ring_1, begin_and_end_mark, push_to_ring_3,
	                    both_are_kept) > 50);
}

/* A handler has pushed before; the next comes while the word is mended. */
static void come_with_a_handlers_push(void)
{
	come_from_ring_1();
	begin_mark();
	push_to_ring_3();
}

static void end_mark(void)
{
	wr_mark_done(&order, ring[2], &migration);
}

static void push_to_ring_1(void)
{
	struct wr_migration inner;
	struct wr_mark unused;

	T_TRUE(wr_mark_begin(&rings, &order, ring[1], &unused, &inner) >= 0);
	wr_mark_done(&order, ring[1], &inner);
}

/* The last handler's mark names what was in the word then; else all of it must be there still. */
static void the_last_push_is_kept(void)
{
	T_TRUE(word_holds(1));
	T_TRUE((atomic_load(&order) & 0xffff) != (migration.word & 0xffff));
}

Test(ring_step, a_second_handlers_push_at_any_instruction_of_the_end_is_not_forgotten)
{
	T_TRUE(step_through(STEPS, come_with_a_handlers_push, end_mark, push_to_ring_1,
	                    the_last_push_is_kept) > 20);
}

static _Atomic uint64_t header;
static int flusher_waits;

static void open_claim(void)
{
	header = wr_header_make(5, 0, WEIR_REC_RESERVED);
	flusher_waits = 0;
}

/* As wr_cut_wait_for() does. */
static void flusher_asks(void)
{
	uint64_t seen = atomic_load(&header);

	if (wr_header_flags(seen) & WEIR_REC_RESERVED) {
		atomic_store(&header, seen | (uint64_t)WEIR_REC_WAITED << WR_HEADER_FLAGS_SHIFT);
		flusher_waits = 1;
	}
}

static void commit_claim(void)
{
	answer = wr_ring_end_claim(&header, WEIR_REC_COMMITTED);
}

static void who_waits_is_told(void)
{
	T_EQ(answer, flusher_waits);
	T_EQ(atomic_load(&header), wr_header_make(5, 0, WEIR_REC_COMMITTED));
}

Test(ring_step, a_flusher_that_asks_at_any_instruction_of_a_commit_is_told)
{
	T_TRUE(step_through(STEPS, open_claim, commit_claim, flusher_asks, who_waits_is_told) > 20);
}

/* Close gives the claim up at any moment: either of the two has it, never both. */
static int given_up;

static void close_gives_up(void)
{
	given_up = wr_ring_end_claim(&header, WEIR_REC_ABORTED);
}

static void one_of_them_had_it(void)
{
	T_TRUE((answer == 0) != (given_up == 0));
	T_EQ(wr_header_flags(atomic_load(&header)),
	     answer == 0 ? WEIR_REC_COMMITTED : WEIR_REC_ABORTED);
	T_EQ(answer == 0 ? given_up : answer, answer == 0 ? -EINVAL : -ESHUTDOWN);
}

Test(ring_step, a_claim_that_is_given_up_at_any_instruction_of_its_commit_ends_once)
{
	T_TRUE(step_through(STEPS, open_claim, commit_claim, close_gives_up,
	                    one_of_them_had_it) > 20);
}

/* --- two threads make the ring of one CPU --- */

static struct wr_ring *made, *made_by_other;
static uint32_t cpu, rings_before;

static void a_cpu_without_ring(void)
{
	if (!rings.page)
		rings_begin(&rings, SMALL_RING, 1);
	cpu++;
	rings_before = 0;
	for (uint32_t id = 1; id <= wr_rings_last_id(&rings); id++)
		rings_before += wr_rings_by_id(&rings, id) != NULL;
}

static void make_ring(void)
{
	T_EQ(wr_rings_get(&rings, WR_RING_FALLBACK, cpu, &made), 0);
}

static void another_makes_it(void)
{
	T_EQ(wr_rings_get(&rings, WR_RING_FALLBACK, cpu, &made_by_other), 0);
}

static void there_is_one(void)
{
	uint32_t now = 0;

	T_TRUE(made == made_by_other);
	T_TRUE(atomic_load(&rings.page->fallback[cpu]) == made);
	T_TRUE(wr_rings_by_id(&rings, made->id) == made);
	for (uint32_t id = 1; id <= wr_rings_last_id(&rings); id++)
		now += wr_rings_by_id(&rings, id) != NULL;
	T_EQ(now, rings_before + 1);
	made->data[0] = 1; /* it is mapped */
}

static void whoever_finds_it_finds_its_id(void)
{
	const struct wr_ring *found = atomic_load(&rings.page->fallback[cpu]);

	if (found)
		T_TRUE(wr_rings_by_id(&rings, found->id) == found);
}

static void it_is_made(void)
{
	T_TRUE(atomic_load(&rings.page->fallback[cpu]) == made);
}

Test(ring_step, a_ring_that_a_push_can_find_is_one_that_the_flusher_can_find)
{
	/* Each takes a CPU, of which there are 1024. */
	T_TRUE(step_through(128, a_cpu_without_ring, make_ring, whoever_finds_it_finds_its_id,
	                    it_is_made) > 50);
}

Test(ring_step, of_two_that_make_the_ring_of_a_cpu_at_once_both_get_the_same)
{
	T_TRUE(step_through(STEPS, a_cpu_without_ring, make_ring, another_makes_it, there_is_one) >
	       20);
}

/* --- the fallback ring: every push of another thread comes whole --- */

static struct wr_ring *fallback;
static struct wr_seen seen;
static struct wr_put put;
static enum wr_exit how, how_other;
static uint64_t other_at;

static void empty_fallback_ring(void)
{
	if (!fallback) {
		rings_begin(&rings, SMALL_RING, 1);
		fallback = ring_make(&rings, WR_RING_FALLBACK, 0);
	}
	put = (struct wr_put){ .total = 16 };
	ring_set_head(fallback, 7, 64);
}

static void reserve(void)
{
	how = wr_fallback_reserve(fallback, &put, &seen);
}

static void another_reserves(void)
{
	struct wr_put other = { .total = 24 };
	struct wr_seen its;

	how_other = wr_fallback_reserve(fallback, &other, &its);
	other_at = its.head;
}

static void no_place_was_given_twice(void)
{
	T_EQ(how, WR_PUSHED);
	T_EQ(how_other, WR_PUSHED);
	T_EQ(ring_head(fallback), wr_head_make(9, 64 + 16 + 24));
	if (wr_head_count(other_at) == 7) {
		T_EQ(other_at, wr_head_make(7, 64));
		T_EQ(seen.head, wr_head_make(8, 64 + 24));
	} else {
		T_EQ(seen.head, wr_head_make(7, 64));
		T_EQ(other_at, wr_head_make(8, 64 + 16));
	}
}

Test(ring_step, no_place_is_given_twice_whoever_comes_between_at_any_instruction)
{
	T_TRUE(step_through(STEPS, empty_fallback_ring, reserve, another_reserves,
	                    no_place_was_given_twice) > 20);
}

static void close_fallback_ring(void)
{
	wr_fallback_close(fallback);
}

static void reserved_or_refused(void)
{
	T_EQ(how == WR_PUSHED ? WR_PUSHED : WR_EXIT_CLOSED, how);
	T_EQ(ring_head(fallback), wr_head_make(how == WR_PUSHED ? 8 : 7, how == WR_PUSHED ? 80 : 64) |
	                                  WR_HEAD_CLOSED);
}

Test(ring_step, a_close_at_any_instruction_of_a_reservation_comes_after_it_or_refuses_it)
{
	T_TRUE(step_through(STEPS, empty_fallback_ring, reserve, close_fallback_ring,
	                    reserved_or_refused) > 20);
}

static void lower_alarm(void)
{
	atomic_store(&fallback->alarm, wr_alarm_make(8, 0, 1));
	other_at = ring_head(fallback);
}

static void seen_or_sees(void)
{
	T_EQ(how, WR_PUSHED);
	if (wr_alarm_epoch(seen.alarm) != 8)
		T_EQ(wr_head_count(other_at), 8);
}

Test(ring_step, who_lowers_the_alarm_at_any_instruction_of_a_reservation_sees_it_or_is_seen)
{
	T_TRUE(step_through(STEPS, empty_fallback_ring, reserve, lower_alarm, seen_or_sees) > 20);
}

#else
typedef int no_steps_here;
#endif
