/* SPDX-License-Identifier: Apache-2.0 */
/* How the flusher goes to sleep (S1 to S6), and what blocked rings do to it. */
#include "support/rig.h"

static void flush(void)
{
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

static uint64_t due(void)
{
	return wr_due_time(rig.weir->wake.due);
}

/* Room was made and nothing is left: asleep, with one ring that was used. */
static void open_used(int rseq)
{
	rig_init();
	rig_open(rseq);
	rig_push("a");
	flush();
	T_STR(rig.text, "a |");
	vs_forget();
}

/* The ring this thread's records went to. */
static struct wr_ring *used_ring(void)
{
	for (uint32_t id = 1; id <= wr_rings_last_id(&rig.weir->rings); id++) {
		struct wr_ring *ring = wr_rings_by_id(&rig.weir->rings, id);

		if (ring && wr_head_count(ring_head(ring)))
			return ring;
	}
	T_FAIL("no ring was used");
	return NULL;
}

Test(flush_sleep, asleep_the_flusher_waits_for_nobody_and_the_next_push_takes_the_slow_path)
{
	struct wr_ring *ring;

	open_used(0);
	ring = rig_ring(0);
	T_EQ(due(), WR_DUE_INF);
	T_EQ(wr_alarm_trip(ring->alarm), wr_head_count(ring_head(ring)) + 1);
	T_EQ(wr_alarm_base(ring->alarm), wr_head_count(ring_head(ring)));
}

Test(flush_sleep, every_sleep_has_an_epoch_of_its_own)
{
	uint32_t before;

	open_used(0);
	before = wr_alarm_epoch(rig_ring(0)->alarm);
	T_EQ(rig.weir->wake.sum >> 33, before);
	rig_push("b");
	flush();
	T_EQ(wr_alarm_epoch(rig_ring(0)->alarm), before + 1);
	T_EQ(rig.weir->wake.sum >> 33, before + 1);
	T_EQ(rig.weir->wake.bytes >> 41, before + 1);
	T_EQ(wr_limit_epoch(rig_ring(0)->limit), before + 1);
}

Test(flush_sleep, a_sleep_begins_with_empty_sums_and_no_joiner)
{
	open_used(0);
	T_EQ((uint32_t)rig.weir->wake.sum, 0);
	T_EQ(rig.weir->wake.bytes & 0xffffffffff, 0);
	T_EQ(rig.weir->wake.joined, 0);
}

Test(flush_sleep, the_bits_of_rings_that_were_emptied_are_cleared)
{
	open_used(0);
	T_EQ(rig.weir->wake.bits[0], 0);
	rig_push("b");
	T_EQ(rig.weir->wake.bits[0], UINT64_C(1) << rig_ring(0)->id);
}

Test(flush_sleep, a_timer_that_may_be_set_is_cleared_and_no_other_call_is_made)
{
	open_used(0);
	rig_push("b");
	T_EQ(vs.timer_sets, 1);
	flush();
	T_EQ(vs.timer_sets, 2);
	T_EQ(vs.timer_disarms, 1);
	flush();
	T_EQ(vs.timer_disarms, 1);
}

Test(flush_sleep, rings_without_sections_need_no_membarrier)
{
	open_used(0);
	rig_push("b");
	flush();
	T_EQ(vs.membarriers, 0);
}

Test(flush_sleep, rings_with_sections_need_one_membarrier_per_sleep)
{
	if (wr_rseq_detect() != WR_RSEQ_YES)
		T_SKIP("no restartable sequences here");
	open_used(1);
	rig_push("b");
	flush();
	T_EQ(vs.membarriers, 1);
	T_EQ(rig_stats().membarriers, 2);
}

/* A section that had read the old alarm commits @n records, right before the membarrier. */
static uint32_t late_commits;
static uint64_t due_at_barrier;

static void commit_late(void)
{
	struct wr_ring *ring = used_ring();

	due_at_barrier = due();
	for (; late_commits; late_commits--) {
		uint64_t head = ring_head(ring);

		memcpy(wr_ring_at(ring, wr_head_position(head) + 8), "z", 1);
		atomic_store(wr_ring_header(ring, wr_head_position(head)),
		             wr_header_make(1, 0, WEIR_REC_COMMITTED));
		atomic_store(&ring->head, wr_head_make(wr_head_count(head) + 1,
		                                       wr_head_position(head) + 16));
	}
}

static void open_for_late(void)
{
	if (wr_rseq_detect() != WR_RSEQ_YES)
		T_SKIP("no restartable sequences here");
	rig_init();
	rig.config.threshold = 10;
	rig.config.order = WEIR_ORDER_NONE;
	rig_open(1);
	vs.on_membarrier = commit_late;
	rig_push("a");
}

Test(flush_sleep, at_the_membarrier_the_flusher_already_waits_for_nobody)
{
	open_for_late();
	flush();
	T_EQ(due_at_barrier, WR_DUE_INF);
}

Test(flush_sleep, a_record_that_slips_in_before_the_membarrier_gets_a_timer_of_the_flushers)
{
	open_for_late();
	late_commits = 1;
	flush();
	T_STR(rig.text, "a |");
	T_EQ(vs_timer(rig.weir->flusher.timer_fd) / 1000, due());
	rig_pass(WEIR_SECONDS(2) + 2000);
	T_STR(rig.text, "a |z |");
	T_EQ(rig.log[1].cause, WEIR_CAUSE_DEADLINE);
}

Test(flush_sleep, records_that_slip_in_are_counted_and_the_alarm_lies_behind_them)
{
	struct wr_ring *ring;

	open_for_late();
	late_commits = 3;
	flush();
	ring = used_ring();
	T_EQ((uint32_t)rig.weir->wake.sum, 3);
	T_EQ(wr_alarm_trip(ring->alarm), wr_head_count(ring_head(ring)) + 1);
}

Test(flush_sleep, a_thresholds_worth_that_slips_in_keeps_the_flusher_awake)
{
	open_for_late();
	late_commits = 10;
	flush();
	T_STR(rig.text, "a |z z z z z z z z z z |");
	T_EQ(rig.log[1].cause, WEIR_CAUSE_SIZE);
	T_EQ(vs_timer(rig.weir->flusher.timer_fd), 0);
}

Test(flush_sleep, what_slips_in_counts_towards_the_threshold_with_what_is_pushed_later)
{
	open_for_late();
	late_commits = 6;
	flush();
	vs.on_membarrier = NULL;
	vs_forget();
	rig_push_many("b", 3);
	T_EQ(vs.event_writes, 0);
	rig_push("b");
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_EQ(rig.log[1].records, 10);
	T_EQ(rig.log[1].cause, WEIR_CAUSE_SIZE);
}

Test(flush_sleep, a_wake_up_that_flushes_nothing_keeps_the_deadline_of_what_is_there)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	for (int i = 0; i < 7; i++) {
		rig_pass(WEIR_MILLIS(250));
		wr_flusher_kick(&rig.weir->flusher);
		rig_turn();
	}
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_MILLIS(251));
	T_EQ(rig.submits, 1);
	T_TRUE(rig.log[0].at_ns - RIG_START - WEIR_SECONDS(2) <= 2000);
}

Test(flush_sleep, a_wake_up_that_flushes_nothing_keeps_an_urgent_deadline_too)
{
	struct weir_push_options soon = { .max_age_ns = WEIR_MILLIS(100) };

	rig_init();
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &soon), 0);
	rig_pass(WEIR_MILLIS(50));
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_MILLIS(51));
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_URGENT);
}

Test(flush_sleep, a_wake_up_that_flushes_nothing_keeps_what_was_counted)
{
	rig_init();
	rig.config.threshold = 10;
	rig_open(0);
	rig_push_many("a", 6);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	vs_forget();
	rig_push_many("a", 3);
	T_EQ(vs.event_writes, 0);
	rig_push("a");
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_EQ(rig.log[0].records, 10);
}

Test(flush_sleep, a_timer_that_goes_off_early_is_set_again_and_flushes_nothing)
{
	int fd;

	rig_init();
	rig_open(0);
	rig_push("a");
	fd = rig.weir->flusher.timer_fd;
	/* A helper that was held up overwrites the timer with an old time. */
	wr_sys.timer_set(fd, vs.now_ns + 10);
	vs_advance(20);
	rig_turn();
	T_EQ(rig.submits, 0);
	T_EQ(vs_timer(fd), due() * 1000);
	rig_pass(WEIR_SECONDS(2) + 2000);
	T_EQ(rig.submits, 1);
}

Test(flush_sleep, a_stale_timer_of_an_idle_engine_is_passed_over)
{
	open_used(0);
	wr_sys.timer_set(rig.weir->flusher.timer_fd, vs.now_ns + 10);
	vs_forget();
	vs_advance(20);
	rig_turn();
	T_EQ(due(), WR_DUE_INF);
	T_EQ(vs.timer_sets, 0);
}

Test(flush_sleep, what_the_last_batch_left_behind_has_its_deadline)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	memcpy(claim.data, "b", 1);
	rig_push("c");
	flush();
	T_STR(rig.text, "a |");
	T_EQ(weir_commit(&claim), 0);
	rig_pass(WEIR_SECONDS(2) + 3000);
	T_STR(rig.text, "a |b c |");
}

/* --- blocked rings --- */

Test(flush_sleep, an_open_claim_does_not_keep_the_flusher_awake)
{
	struct weir_claim claim;

	rig_init();
	rig.config.threshold = 3;
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_push_many("a", 5); /* behind the claim, more than the threshold */
	rig_turn();
	T_EQ(rig.submits, 0);
	T_EQ(rig.weir->flusher.asleep, 1);
	T_EQ(weir_abort(&claim), 0);
	rig_turn();
	T_STR(rig.text, "a a a a a |");
	rig_audit();
}

Test(flush_sleep, the_commit_of_a_claim_that_is_waited_for_wakes_the_flusher)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	memcpy(claim.data, "a", 1);
	flush();
	T_EQ(rig.submits, 0);
	vs_forget();
	T_EQ(weir_commit(&claim), 0);
	T_EQ(vs.event_writes, 1);
	T_EQ(rig_stats().wakeups_trigger, 0);
}

Test(flush_sleep, the_commit_of_a_claim_that_nobody_waits_for_wakes_nobody)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	memcpy(claim.data, "a", 1);
	T_EQ(weir_commit(&claim), 0);
	T_EQ(vs.event_writes, 0);
}

Test(flush_sleep, other_rings_go_on_while_one_is_blocked)
{
	struct weir_claim claim;

	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_on(1);
	rig_push("b");
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "b |");
	rig_push("c");
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "b |c |");
	T_EQ(weir_abort(&claim), 0);
	rig_turn();
	rig_audit();
}

/* The flusher took the ring that waits for a blocked one for one that is free, and never slept. */
Test(flush_sleep, a_ring_that_was_retracted_behind_an_open_claim_does_not_make_the_flusher_spin)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	memcpy(claim.data, "a", 1);
	rig_on(1);
	rig_push("b"); /* of the same thread: must come after the claim */
	flush();
	T_EQ(rig.submits, 0);
	T_EQ(rig.weir->flusher.asleep, 1);
	T_EQ(weir_commit(&claim), 0);
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a b |");
	rig_audit();
}

Test(flush_sleep, a_claim_that_stays_open_is_counted_once)
{
	struct weir_claim claim;

	rig_init();
	rig.config.claim_max_ns = WEIR_SECONDS(1);
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	flush();
	rig_pass(WEIR_MILLIS(900));
	T_EQ(rig_stats().claims_stalled, 0);
	rig_pass(WEIR_SECONDS(10));
	T_EQ(rig_stats().claims_stalled, 1);
	T_EQ(weir_abort(&claim), 0);
	rig_turn();
}

Test(flush_sleep, a_ring_that_waits_for_a_claim_elsewhere_is_not_counted_as_stalled)
{
	struct weir_claim claim;

	rig_init();
	rig.config.claim_max_ns = WEIR_SECONDS(1);
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_on(1);
	rig_push("b");
	flush();
	rig_pass(WEIR_SECONDS(5));
	T_EQ(rig_stats().claims_stalled, 1);
	T_EQ(weir_abort(&claim), 0);
	rig_turn();
}

Test(flush_sleep, requests_that_cannot_be_met_do_not_make_the_flusher_spin)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_push("a");
	T_EQ(weir_flush_wait(rig.weir, WEIR_MILLIS(100)), -ETIMEDOUT);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.submits, 0);
	T_EQ(weir_abort(&claim), 0);
	rig_turn();
	T_STR(rig.text, "a |");
}
