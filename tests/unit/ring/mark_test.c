/* SPDX-License-Identifier: Apache-2.0 */
/* Migration marks: what a thread that changes rings says must come first. */
#include "support/rings.h"

static struct wr_rings rings;
static struct wr_ring *ring[6]; /* ids 1..5 */
static _Atomic uint64_t order;

static void begin(void)
{
	rings_begin(&rings, SMALL_RING, 1);
	for (uint32_t i = 1; i < 6; i++) {
		ring[i] = ring_make(&rings, WR_RING_RSEQ, i);
		ring_set_head(ring[i], 100 * i, 64 * i);
	}
}

static uint64_t word_of(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint16_t version)
{
	return a << 16 | b << 28 | c << 40 | d << 52 | version;
}

/* 0 or -errno; how many rings are named is looked at in one test of its own. */
static int mark_begin(struct wr_ring *to, struct wr_mark *mark, struct wr_migration *migration)
{
	int r = wr_mark_begin(&rings, &order, to, mark, migration);

	return r < 0 ? r : 0;
}

Test(ring_mark, begin_tells_how_many_rings_are_named)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	T_EQ(wr_mark_begin(&rings, &order, ring[2], &mark, &migration), 0);
	order = word_of(1, 0, 0, 0, 9);
	T_EQ(wr_mark_begin(&rings, &order, ring[2], &mark, &migration), 1);
	order = word_of(1, 3, 77, 0, 0);
	T_EQ(wr_mark_begin(&rings, &order, ring[2], &mark, &migration), 2);
	order = word_of(1, 3, 5, 0, 0);
	T_EQ(wr_mark_begin(&rings, &order, ring[2], &mark, &migration), 3);
}

Test(ring_mark, a_threads_first_push_names_nobody)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	for (int i = 0; i < WR_MARK_NAMES; i++)
		T_EQ(mark.ids[i], 0);
	T_EQ(atomic_load(&order), word_of(2, 0, 0, 0, 1));
}

Test(ring_mark, a_thread_that_moves_names_the_ring_it_comes_from_and_its_head)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 9);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(mark.ids[0], 1);
	T_EQ(mark.heads[0], wr_head_make(100, 64));
	T_EQ(mark.ids[1], 0);
}

Test(ring_mark, what_is_pushed_after_the_mark_is_not_named)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 9);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	ring_set_head(ring[1], 500, 512);
	T_EQ(mark.heads[0], wr_head_make(100, 64));
}

Test(ring_mark, unused_names_and_reserved_bytes_are_0)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	memset(&mark, 0xff, sizeof(mark));
	order = word_of(1, 0, 0, 0, 9);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(mark.reserved, 0);
	T_EQ(mark.heads[1], 0);
	T_EQ(mark.ids[2], 0);
}

Test(ring_mark, while_it_is_under_way_the_word_names_both_rings)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 9);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(atomic_load(&order), word_of(1, 2, 0, 0, 10));
	T_EQ(migration.word, word_of(1, 2, 0, 0, 10));
	T_EQ(migration.before, word_of(1, 0, 0, 0, 9));
}

Test(ring_mark, done_leaves_the_new_ring_alone_in_the_word)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 9);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	wr_mark_done(&order, ring[2], &migration);
	T_EQ(atomic_load(&order), word_of(2, 0, 0, 0, 11));
	T_EQ(atomic_load(&order) >> 16, ring[2]->order_id);
}

Test(ring_mark, undo_restores_the_ids_with_another_version)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 9);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	wr_mark_undo(&order, &migration);
	T_EQ(atomic_load(&order), word_of(1, 0, 0, 0, 11));
}

Test(ring_mark, three_predecessors_are_named)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 3, 5, 0, 0);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(mark.ids[0], 1);
	T_EQ(mark.ids[1], 3);
	T_EQ(mark.ids[2], 5);
	T_EQ(mark.heads[2], wr_head_make(500, 320));
	T_EQ(atomic_load(&order), word_of(1, 3, 5, 2, 1));
}

Test(ring_mark, a_full_set_is_refused_and_left_alone)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 3, 4, 5, 7);
	T_EQ(mark_begin(ring[2], &mark, &migration), -EAGAIN);
	T_EQ(atomic_load(&order), word_of(1, 3, 4, 5, 7));
}

Test(ring_mark, a_full_set_that_holds_the_ring_is_fine)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 2, 4, 5, 7);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(mark.ids[0], 1);
	T_EQ(mark.ids[1], 4);
	T_EQ(mark.ids[2], 5);
	T_EQ(atomic_load(&order), word_of(1, 2, 4, 5, 8));
}

Test(ring_mark, a_ring_never_names_itself)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(2, 1, 0, 0, 7);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(mark.ids[0], 1);
	T_EQ(mark.ids[1], 0);
}

Test(ring_mark, a_ring_is_added_to_a_set_once)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(2, 1, 0, 0, 7);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(atomic_load(&order), word_of(2, 1, 0, 0, 8));
}

Test(ring_mark, a_ring_that_is_gone_is_not_named)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(77, 1, 0, 0, 7);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(mark.ids[0], 1);
	T_EQ(mark.ids[1], 0);
}

Test(ring_mark, the_version_wraps_without_touching_the_ids)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 0xffff);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	T_EQ(atomic_load(&order), word_of(1, 2, 0, 0, 0));
	wr_mark_undo(&order, &migration);
	T_EQ(atomic_load(&order), word_of(1, 0, 0, 0, 1));
}

Test(ring_mark, undo_of_the_highest_version_does_not_carry_into_the_ids)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 0xfffe);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	wr_mark_undo(&order, &migration);
	T_EQ(atomic_load(&order), word_of(1, 0, 0, 0, 0));
}

/* A signal handler that pushes to ring @id between the steps of the interrupted push. */
static void handler_pushes_to(uint32_t id)
{
	struct wr_migration migration;
	struct wr_mark mark;

	T_EQ(mark_begin(ring[id], &mark, &migration), 0);
	wr_mark_done(&order, ring[id], &migration);
}

Test(ring_mark, done_after_a_handlers_push_keeps_the_handlers_ring_too)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 0);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	handler_pushes_to(3);
	T_EQ(atomic_load(&order) >> 16, 3);
	wr_mark_done(&order, ring[2], &migration);
	T_EQ(atomic_load(&order) >> 16, word_of(3, 2, 0, 0, 0) >> 16);
}

Test(ring_mark, a_handlers_mark_names_the_ring_of_the_push_it_interrupted)
{
	struct wr_migration outer, inner;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 0);
	T_EQ(mark_begin(ring[2], &mark, &outer), 0);
	T_EQ(mark_begin(ring[3], &mark, &inner), 0);
	T_EQ(mark.ids[0], 1);
	T_EQ(mark.ids[1], 2);
}

Test(ring_mark, a_handler_that_pushes_to_the_same_ring_still_changes_the_version)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 0);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	handler_pushes_to(2);
	T_TRUE(atomic_load(&order) != migration.word);
	wr_mark_done(&order, ring[2], &migration);
	T_EQ(atomic_load(&order) >> 16, 2);
}

Test(ring_mark, undo_after_a_handlers_push_leaves_the_handlers_word)
{
	struct wr_migration migration;
	struct wr_mark mark;
	uint64_t word;

	begin();
	order = word_of(1, 0, 0, 0, 0);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	handler_pushes_to(3);
	word = atomic_load(&order);
	wr_mark_undo(&order, &migration);
	T_EQ(atomic_load(&order), word);
}

Test(ring_mark, done_leaves_a_set_that_handlers_filled_as_it_is)
{
	struct wr_migration migration;
	struct wr_mark mark;

	begin();
	order = word_of(1, 0, 0, 0, 0);
	T_EQ(mark_begin(ring[2], &mark, &migration), 0);
	order = word_of(1, 3, 4, 5, 50);
	wr_mark_done(&order, ring[2], &migration);
	T_EQ(atomic_load(&order), word_of(1, 3, 4, 5, 50));
}

Test(ring_mark, lies_in_the_extension_as_the_framing_says)
{
	T_EQ(sizeof(struct wr_mark), WEIR_MARK_BYTES);
	T_EQ(offsetof(struct wr_mark, ids), 0);
	T_EQ(offsetof(struct wr_mark, heads), 8);
}
