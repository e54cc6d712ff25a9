/* SPDX-License-Identifier: Apache-2.0 */
/* Space out: in the order of each ring, whatever the order of the verdicts. */
#include "support/rig.h"

/* Three batches of one record each at the sink, all of ring 0. */
static void three_held(void)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	rig_push("c");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.submits, 3);
	T_EQ(atomic_load(&rig_ring(0)->tail), 0);
}

static void done(uint32_t i)
{
	rig_done(i);
	rig_turn();
}

Test(flush_release, space_comes_back_when_the_verdict_is_there)
{
	three_held();
	done(0);
	T_EQ(atomic_load(&rig_ring(0)->tail), 16);
	done(1);
	T_EQ(atomic_load(&rig_ring(0)->tail), 32);
}

Test(flush_release, space_of_a_later_batch_waits_for_the_earlier_one)
{
	three_held();
	done(2);
	T_EQ(atomic_load(&rig_ring(0)->tail), 0);
	done(1);
	T_EQ(atomic_load(&rig_ring(0)->tail), 0);
	done(0);
	T_EQ(atomic_load(&rig_ring(0)->tail), 48);
}

Test(flush_release, a_hole_in_the_middle_gives_back_only_what_lies_before_it)
{
	three_held();
	done(0);
	done(2);
	T_EQ(atomic_load(&rig_ring(0)->tail), 16);
	done(1);
	T_EQ(atomic_load(&rig_ring(0)->tail), 48);
}

Test(flush_release, each_ring_gives_back_its_own_space)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 1;
	rig.config.order = WEIR_ORDER_NONE;
	rig_open(0);
	rig_push("a");
	rig_on(1);
	rig_push("b");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	done(1);
	T_EQ(atomic_load(&rig_ring(0)->tail), 0);
	T_EQ(atomic_load(&rig_ring(1)->tail), 16);
	done(0);
	T_EQ(atomic_load(&rig_ring(0)->tail), 16);
}

Test(flush_release, what_is_rejected_or_dropped_gives_back_its_space_too)
{
	three_held();
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_REJECT });
	rig_complete(1, (struct weir_verdict){ .kind = WEIR_SPLIT });
	rig_turn();
	T_EQ(atomic_load(&rig_ring(0)->tail), 32);
}

Test(flush_release, a_batch_in_pieces_gives_back_its_space_with_the_last_of_them)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push_many("a", 4);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_SPLIT });
	rig_turn();
	T_EQ(rig.submits, 3);
	done(2);
	T_EQ(atomic_load(&rig_ring(0)->tail), 0);
	done(1);
	T_EQ(atomic_load(&rig_ring(0)->tail), 64);
}

Test(flush_release, what_is_released_of_a_fallback_ring_is_zero)
{
	three_held();
	done(0);
	T_EQ(*(uint64_t *)(void *)rig_ring(0)->data, 0);
	T_EQ(rig_ring(0)->data[8], 0);
	T_TRUE(rig_ring(0)->data[16] != 0);
	T_EQ(rig_ring(0)->data[24], 'b');
}

Test(flush_release, nothing_is_zeroed_under_the_hands_of_a_claim_that_was_given_up)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	*(char *)claim.data = 'x';
	rig_push("b");
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), NULL), -ETIMEDOUT);
	T_STR(rig.text, "b |");
	T_EQ(wr_header_flags(*(uint64_t *)(void *)rig_ring(0)->data), WEIR_REC_ABORTED);
	T_EQ(*(char *)claim.data, 'x');
	T_EQ(weir_commit(&claim), -ESHUTDOWN);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_release, a_ring_can_be_filled_over_and_over)
{
	rig_init();
	rig.config.threshold = 1000000;
	rig_open(0);
	for (int round = 0; round < 20; round++) {
		int r;

		while ((r = weir_push(rig.weir, "1234567890123", 13)) == 0)
			;
		T_EQ(r, -EAGAIN);
		rig_turn();
	}
	T_EQ(rig.records, 20 * (SMALL_RING / 24));
	rig_audit();
	rig_close();
}

Test(flush_release, pushes_that_wait_for_room_are_woken)
{
	uint32_t before;

	three_held();
	before = rig.weir->wake.release_seq;
	rig.weir->wake.waiters = 1;
	vs_forget();
	done(0);
	T_TRUE(rig.weir->wake.release_seq != before);
	T_EQ(vs.futex_wakes, 1);
	T_TRUE(vs.last_woken == (const void *)&rig.weir->wake.release_seq);
}

Test(flush_release, when_nobody_waits_no_call_is_made)
{
	three_held();
	vs_forget();
	done(0);
	T_EQ(vs.futex_wakes, 0);
}

Test(flush_release, when_no_space_came_back_nobody_is_woken)
{
	three_held();
	rig.weir->wake.waiters = 1;
	vs_forget();
	done(2);
	T_EQ(vs.futex_wakes, 0);
}

static void turn_while_waiting(_Atomic uint32_t *word)
{
	(void)word;
	vs.on_futex_wait = NULL;
	rig_turn();
}

Test(flush_release, a_push_that_may_wait_gets_its_room)
{
	struct weir_push_options wait = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_SECONDS(1) };

	rig_init();
	rig.config.threshold = 1000000;
	rig_open(0);
	while (weir_push(rig.weir, "12345678", 8) == 0)
		;
	vs.on_futex_wait = turn_while_waiting;
	T_EQ(weir_push_ex(rig.weir, "x", 1, &wait), 0);
	T_EQ(rig_stats().waits, 1);
	T_EQ(rig.weir->wake.waiters, 0);
	rig_close();
}

Test(flush_release, a_push_waits_no_longer_than_it_may)
{
	struct weir_push_options wait = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_SECONDS(1) };

	rig_init();
	rig.config.threshold = 1000000;
	rig_open(0);
	while (weir_push(rig.weir, "12345678", 8) == 0)
		;
	T_EQ(weir_push_ex(rig.weir, "x", 1, &wait), -ETIMEDOUT);
	T_EQ(vs.now_ns, RIG_START + WEIR_SECONDS(1));
	rig_close();
}
