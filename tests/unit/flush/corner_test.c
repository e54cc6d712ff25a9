/* SPDX-License-Identifier: Apache-2.0 */
/* Corners: triggers in shadow and with something left, and pushes that must not wait. */
#include "support/rig.h"
#include "support/step.h"

#include "base/testpoint.h"

static char large[8001];

/* A full ring, whose records the sink keeps. */
static void fill_ring(void)
{
	memset(large, 'x', sizeof(large) - 1);
	rig_init();
	rig.hold = 1;
	rig_open(0);
	for (int i = 0; i < 8; i++)
		T_EQ(weir_push(rig.weir, large, 8000), 0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	vs_forget();
}

static struct weir_claim claim_one(void)
{
	struct weir_claim one;

	T_EQ(weir_claim(rig.weir, 1, NULL, &one), 0);
	memcpy(one.data, "c", 1);
	return one;
}

static int push_that_waits(uint64_t wait_ns)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = wait_ns };

	return weir_push_ex(rig.weir, large, 8000, &options);
}

static void give_room(void)
{
	rig.hold = 0;
	rig_done(0);
	rig_turn();
}

Test(flush_corner, what_a_turn_left_counts_towards_the_watermark)
{
	uint32_t bytes = SMALL_RING / 4;

	rig_init();
	rig.config.threshold = 1000000;
	rig.config.pressure_mode = WEIR_MODE_ON;
	rig.config.pressure = 50;
	rig_open(0);
	rig_push_many("12345678", bytes / 16);
	wr_flusher_kick(&rig.weir->flusher); /* awake, and asleep again, with all of it left */
	rig_turn();
	T_EQ(rig.submits, 0);
	vs_forget();
	while (!vs.event_writes && bytes < SMALL_RING) {
		rig_push("12345678");
		bytes += 16;
	}
	T_TRUE(bytes <= SMALL_RING / 2 + 16);
	rig_turn();
	T_EQ(rig.log[0].cause, WEIR_CAUSE_PRESSURE);
	rig_close();
}

Test(flush_corner, a_shadow_watermark_counts_and_writes_no_event)
{
	rig_init();
	rig.config.threshold = 1000000;
	rig.config.pressure_mode = WEIR_MODE_SHADOW;
	rig.config.pressure = 50;
	rig_open(0);
	rig_push_many("12345678", SMALL_RING * 3 / 4 / 16);
	T_EQ(vs.event_writes, 0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_MANUAL);
	T_EQ(rig_stats().shadow[WEIR_CAUSE_PRESSURE], 1);
	rig_close();
}

/* --- what a batch leaves to the next --- */

Test(flush_corner, claims_that_were_given_up_take_no_sequence)
{
	struct weir_claim given_up;

	rig_init();
	rig_open(0);
	for (uint64_t seq = 1; seq <= 3; seq++) {
		rig_push("a");
		T_EQ(weir_flush(rig.weir), 0);
		rig_turn();
		T_EQ(rig.log[seq - 1].seq, seq);
		given_up = claim_one();
		T_EQ(weir_abort(&given_up), 0);
		T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), 0); /* takes them */
		T_EQ(rig.submits, seq);
	}
	rig_close();
}

/* --- pushes that find a ring full --- */

Test(flush_corner, who_holds_a_claim_does_not_wait_for_room_and_is_counted)
{
	struct weir_claim claim;

	fill_ring();
	rig_on(1);
	claim = claim_one();
	rig_on(0);
	T_EQ(push_that_waits(WEIR_SECONDS(1)), -EDEADLK);
	T_EQ(vs.futex_waits, 0);
	T_EQ(rig_stats().refused_context, 1);
	T_EQ(rig_stats().refused_full, 0);
	T_EQ(weir_abort(&claim), 0);
	T_EQ(push_that_waits(1), -ETIMEDOUT);
	give_room();
	rig_close();
}

static int answer;

static void push_from_sink(struct weir_batch *batch)
{
	(void)batch;
	answer = push_that_waits(WEIR_SECONDS(1));
}

Test(flush_corner, inside_the_sink_no_push_waits_for_room)
{
	memset(large, 'x', sizeof(large) - 1);
	rig_init();
	rig.on_submit = push_from_sink;
	rig_open(0);
	for (int i = 0; i < 8; i++)
		T_EQ(weir_push(rig.weir, large, 8000), 0);
	T_EQ(weir_flush(rig.weir), 0);
	vs_forget();
	rig_turn();
	T_EQ(answer, -EDEADLK);
	T_EQ(vs.futex_waits, 0);
	T_EQ(rig_stats().refused_context, 1);
	rig.on_submit = NULL;
	rig_close();
}

Test(flush_corner, a_push_that_interrupted_another_does_not_wait_for_room)
{
	fill_ring();
	wr_thread.slow_depth = 1; /* as it is amid the push below the handler's */
	T_EQ(push_that_waits(WEIR_SECONDS(1)), -EAGAIN);
	wr_thread.slow_depth = 0;
	T_EQ(vs.futex_waits, 0);
	T_EQ(rig_stats().refused_context, 1);
	give_room();
	rig_close();
}

/* The last test of its process: nothing comes after the end of time. */
Test(flush_corner, a_wait_that_has_no_bound_lasts_to_the_end_of_time)
{
	fill_ring();
	T_EQ(push_that_waits(UINT64_MAX), -ETIMEDOUT);
	T_TRUE(vs.now_ns == UINT64_MAX - 1);
}

#ifdef WR_TEST_POINTS

static void push_nothing(const char *name)
{
	if (strcmp(name, "close.rings_closed") != 0)
		return;
	wr_testpoint_hook = NULL;
	answer = weir_push(rig.weir, "", 0);
}

Test(flush_corner, a_record_without_a_byte_finds_a_closed_ring_closed_as_well)
{
	for (int rseq = 0; rseq < 2; rseq++) {
		rig_init();
		rig_open(rseq);
		rig_push_many("a", 3); /* the alarm lies further ahead */
		answer = 0;
		wr_testpoint_hook = push_nothing;
		T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), NULL), 0);
		T_EQ(answer, -ESHUTDOWN);
		T_EQ(rig_stats().accepted, 3);
		T_EQ(weir_free(rig.weir), 0);
	}
}

#endif

#ifdef WR_CAN_STEP

static int sleeps, came_first;

static void note_the_sleep(_Atomic uint32_t *word)
{
	(void)word;
	sleeps = 1;
}

static void fill_ring_anew(void)
{
	fill_ring();
	sleeps = 0;
	vs.on_futex_wait = note_the_sleep;
}

static void push_to_full_ring(void)
{
	answer = push_that_waits(WEIR_SECONDS(1));
}

static void give_room_now(void)
{
	came_first = !sleeps;
	give_room();
}

/* Time stands still but in a sleep, and nobody is woken from one here. */
static void it_took_no_time(void)
{
	if (came_first) {
		T_EQ(answer, 0);
		T_TRUE(vs.now_ns < RIG_START + WEIR_SECONDS(1));
	}
	rig_close();
}

Test(flush_corner, room_that_comes_at_any_instruction_of_a_push_is_not_slept_through)
{
	T_TRUE(step_through(64, fill_ring_anew, push_to_full_ring, give_room_now,
	                    it_took_no_time) > 50);
}

static struct weir_claim claim;

static void open_a_claim(void)
{
	rig_init();
	rig_open(0);
	claim = claim_one();
}

static void commit_it(void)
{
	T_EQ(weir_commit(&claim), 0);
}

static void deliver_and_compare(void)
{
	struct weir_stats stats;

	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	stats = rig_stats();
	T_TRUE(stats.accepted >= stats.delivered);
}

Test(flush_corner, at_any_instruction_of_a_commit_no_more_is_delivered_than_was_accepted)
{
	T_TRUE(step_through(128, open_a_claim, commit_it, deliver_and_compare, rig_close) > 20);
}

#endif

/* --- a record of many pieces, with a mark --- */

Test(flush_corner, a_record_of_as_many_pieces_as_there_may_be_leaves_its_mark_whole)
{
	struct iovec iov[10];
	const char *text = "0123456789";

	for (int n = 1; n <= 10; n++) {
		rig_init();
		rig_open(0);
		for (int i = 0; i < n; i++)
			iov[i] = (struct iovec){ (void *)(uintptr_t)(text + i), 1 };
		rig_on(0);
		rig_push("w");
		rig_on(1);
		rig_push("x");
		rig_on(0); /* the ring that is looked at first */
		T_EQ(weir_pushv(rig.weir, iov, n), 0);
		T_EQ(weir_flush(rig.weir), 0);
		rig_turn();
		T_EQ(strncmp(rig.text, "w x 0", 5), 0);
		T_EQ(strncmp(rig.text + 4, text, (size_t)n), 0);
		T_EQ(rig_stats().migrations, 2);
		rig_close();
	}
}
