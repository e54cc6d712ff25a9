/* SPDX-License-Identifier: Apache-2.0 */
/* What a push does that finds no room, or an engine that ends: no trace, and no wait in vain. */
#include "support/rig.h"

#include "base/testpoint.h"

static char large[8001];

static void begin(void)
{
	memset(large, 'x', sizeof(large) - 1);
	rig_init();
}

static void fill_ring(uint32_t cpu)
{
	rig_on(cpu);
	while (weir_push(rig.weir, large, 8000) == 0)
		;
}

/* A thread's set of rings has room for four: those that took nothing must not stay in it. */
Test(flush_room, full_rings_that_a_thread_has_tried_in_vain_are_none_that_it_comes_from)
{
	uint64_t word;

	begin();
	rig_open(0);
	for (uint32_t cpu = 1; cpu <= 4; cpu++)
		fill_ring(cpu);
	rig_on(0);
	rig_push("a");
	for (uint32_t cpu = 1; cpu <= 4; cpu++) {
		rig_on(cpu);
		T_EQ(weir_push(rig.weir, large, 8000), -EAGAIN);
	}
	word = atomic_load(&wr_thread.order[rig.weir->order_slot]);
	T_EQ(wr_order_id(word, 0), rig_ring(0)->id);
	T_EQ(wr_order_id(word, 1), 0);
	rig_on(5);
	rig_push("b");
	T_EQ(rig_stats().refused_context, 0);
	rig_close();
}

static void make_room(void)
{
	vs.on_now = NULL;
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

Test(flush_room, room_that_came_before_the_wait_is_not_waited_for)
{
	begin();
	rig.config.full = WEIR_FULL_BLOCK;
	rig_open(0);
	for (int i = 0; i < 8; i++)
		T_EQ(weir_push(rig.weir, large, 8000), 0);
	vs_forget();
	vs.on_now = make_room;
	T_EQ(weir_push(rig.weir, large, 8000), 0);
	T_TRUE(!vs.on_now);
	T_EQ(vs.futex_waits, 0);
	T_EQ(rig.weir->wake.waiters, 0);
	T_EQ(rig_stats().waits, 1);
	rig_close();
}

static uint32_t waits_of_close;

static void close_here(void)
{
	vs.on_now = NULL;
	T_EQ(weir_close(rig.weir, 0, NULL), -ETIMEDOUT);
	waits_of_close = vs.futex_waits;
}

Test(flush_room, who_is_about_to_wait_when_the_engine_closes_does_not)
{
	begin();
	rig.config.full = WEIR_FULL_BLOCK;
	rig.hold = 1;
	rig_open(0);
	for (int i = 0; i < 8; i++)
		T_EQ(weir_push(rig.weir, large, 8000), 0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	vs_forget();
	vs.on_now = close_here;
	T_EQ(weir_push(rig.weir, large, 8000), -ESHUTDOWN);
	T_TRUE(!vs.on_now);
	T_EQ(vs.futex_waits, waits_of_close);
	T_EQ(rig.weir->wake.waiters, 0);
}

static uint32_t told_in_time;

/* Rings are closed, and the last drain has not begun. */
static void look_at_rings(void)
{
	struct wr_ring *ring = wr_rings_by_id(&rig.weir->rings, 1);

	told_in_time += atomic_load(&rig.weir->closing) &&
	                !atomic_load(&rig.weir->flusher.control.shutdown) &&
	                wr_limit_kind(atomic_load(&ring->limit)) & WR_STOP_CLOSED;
}

Test(flush_room, every_section_knows_that_rings_are_closed_before_they_are_drained)
{
	begin();
	rig_open(1);
	if (!rig.weir->rings.sections)
		T_SKIP("no restartable sequences");
	rig_push("a");
	vs.on_membarrier = look_at_rings;
	rig_close();
	T_EQ(told_in_time, 1);
}

Test(flush_room, a_barrier_is_reached_although_its_number_has_wrapped)
{
	begin();
	rig_open(0);
	atomic_store(&rig.weir->flusher.control.barrier_asked, UINT32_MAX);
	atomic_store(&rig.weir->flusher.control.barrier_done, UINT32_MAX);
	rig_push("a");
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), 0);
	T_STR(rig.text, "a |");
	rig_push("b");
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), 0);
	T_STR(rig.text, "a |b |");
	rig_close();
}

static uint32_t vain_wakes;

/* Somebody else takes the room: woken, five times, for nothing. */
static void wake_in_vain(_Atomic uint32_t *word)
{
	if (word != &rig.weir->wake.release_seq)
		return;
	vs_advance(WEIR_MILLIS(60));
	if (vain_wakes++ < 5)
		atomic_fetch_add(word, 1);
}

Test(flush_room, who_is_woken_in_vain_waits_no_longer_in_all)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT,
		                             .wait_ns = WEIR_MILLIS(100) };
	uint64_t began_ns;

	begin();
	rig_open(0);
	fill_ring(0);
	vs.on_futex_wait = wake_in_vain;
	began_ns = vs.now_ns;
	T_EQ(weir_push_ex(rig.weir, large, 8000, &options), -ETIMEDOUT);
	T_EQ(vain_wakes, 6);
	T_EQ(vs.now_ns - began_ns, WEIR_MILLIS(360));
	T_EQ(rig_stats().refused_full, 2); /* and the one that found the ring full */
	vs.on_futex_wait = NULL;
	rig_close();
}

Test(flush_room, a_claim_that_close_gave_up_is_refused_when_it_is_committed)
{
	struct weir_claim claims[2];

	begin();
	rig_open(0);
	for (int i = 0; i < 2; i++)
		T_EQ(weir_claim(rig.weir, 1, NULL, &claims[i]), 0);
	T_EQ(weir_close(rig.weir, 0, NULL), -ETIMEDOUT);
	T_EQ(rig_stats().refused_closed, 0);
	T_EQ(weir_commit(&claims[0]), -ESHUTDOWN);
	T_EQ(rig_stats().refused_closed, 1);
	T_EQ(weir_abort(&claims[1]), -ESHUTDOWN);
	T_EQ(rig_stats().refused_closed, 1);
	T_EQ(rig_stats().accepted, 0);
	rig_close();
}

/* Its place is somebody else's by then. */
Test(flush_room, a_claim_that_has_ended_ends_no_other)
{
	struct weir_claim claim;

	begin();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	memcpy(claim.data, "c", 1);
	T_EQ(weir_commit(&claim), 0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "c |");
	T_EQ(weir_commit(&claim), -EINVAL);
	T_EQ(weir_abort(&claim), -EINVAL);
	T_EQ(rig_stats().refused_closed, 0);
	rig_close();
}

Test(flush_room, pieces_whose_sum_wraps_to_a_small_one_are_too_big)
{
	struct iovec iov[2] = { { large, 8 }, { large, SIZE_MAX - 3 } };

	begin();
	rig_open(0);
	T_EQ(weir_pushv(rig.weir, iov, 2), -EMSGSIZE);
	T_EQ(rig_stats().refused_too_big, 1);
	rig_close();
}

#ifdef WR_TEST_POINTS
/* The flusher falls asleep over the place, then a handler pushes elsewhere. */
static void disturb(const char *name)
{
	if (strcmp(name, "fallback.reserved") != 0)
		return;
	atomic_store(&wr_testpoint_hook, NULL);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig_on(1);
	rig_push("h");
	rig_on(0);
	vs_forget();
}

Test(flush_room, a_place_that_the_flusher_waits_for_wakes_it_when_it_is_given_up)
{
	begin();
	rig_open(0);
	rig_push("a");
	atomic_store(&wr_testpoint_hook, disturb);
	rig_push("p");
	T_STR(rig.text, "a |");
	T_EQ(vs.event_writes, 1);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |h p |");
	rig_close();
}
#endif
