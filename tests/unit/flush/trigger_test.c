/* SPDX-License-Identifier: Apache-2.0 */
/* The triggers, end to end on virtual time: real pushes, the real flusher, no clock but the test's. */
#include "base/testpoint.h"
#include "support/rig.h"

static int event_is_written(void)
{
	return vs.event_writes > 0;
}

/* --- the four scenarios that the first users of such an engine named --- */

Test(flush_trigger, seed_1_three_records_at_a_threshold_of_three_are_flushed_at_once)
{
	rig_init();
	rig.config.threshold = 3;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	rig_turn();
	T_EQ(rig.submits, 0);
	rig_push("c");
	T_TRUE(event_is_written());
	rig_turn();
	T_STR(rig.text, "a b c |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_SIZE);
	T_EQ(rig.log[0].at_ns, RIG_START);
	rig_close();
}

Test(flush_trigger, seed_2_the_timer_flushes_after_two_seconds)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig_pass(WEIR_SECONDS(2) - WEIR_MILLIS(1));
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_MILLIS(2));
	T_STR(rig.text, "a |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_DEADLINE);
	T_TRUE(rig.log[0].at_ns - RIG_START - WEIR_SECONDS(2) <= 2000);
	rig_close();
}

Test(flush_trigger, seed_3_three_records_below_a_threshold_of_ten_do_not_wait_for_ever)
{
	rig_init();
	rig.config.threshold = 10;
	rig.config.deadline_ns = WEIR_SECONDS(3);
	rig_open(0);
	rig_push("a");
	rig_pass(WEIR_MILLIS(500));
	rig_push("b");
	rig_pass(WEIR_MILLIS(500));
	rig_push("c");
	rig_pass(WEIR_SECONDS(2) - WEIR_MILLIS(1));
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_MILLIS(2));
	T_STR(rig.text, "a b c |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_trigger, seed_4_size_and_timer_work_each_on_its_own)
{
	rig_init();
	rig.config.threshold = 3;
	rig_open(0);
	rig_push_many("x", 3);
	rig_turn();
	rig_push_many("y", 3);
	rig_turn();
	rig_push_many("z", 2);
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "x x x |y y y |z z |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_SIZE);
	T_EQ(rig.log[1].cause, WEIR_CAUSE_SIZE);
	T_EQ(rig.log[2].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

/* --- cost of low volume and of idling --- */

Test(flush_trigger, three_records_and_a_deadline_cost_one_timer_call_and_one_wake_up)
{
	struct weir_stats stats;

	rig_init();
	rig.config.threshold = 10;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	rig_push("c");
	rig_pass(WEIR_SECONDS(6));
	stats = rig_stats();
	T_STR(rig.text, "a b c |");
	T_EQ(vs.timer_sets, 1);
	T_EQ(stats.timer_arms, 1);
	T_EQ(vs.event_writes, 0);
	T_EQ(stats.wakeups_trigger, 1);
	T_EQ(stats.wakeups_completion, 0);
	rig_close();
}

Test(flush_trigger, an_idle_engine_has_no_timer_and_would_sleep_for_ever)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig_pass(WEIR_SECONDS(6));
	vs_forget();
	T_EQ(weir_run_once(rig.weir, WEIR_OFF), 0);
	T_EQ(vs.slept_for_ever, 1);
	T_EQ(vs.timer_sets + vs.event_writes + vs.membarriers, 0);
	rig_close();
}

Test(flush_trigger, a_new_engine_sleeps_for_ever)
{
	rig_init();
	rig_open(0);
	T_EQ(weir_run_once(rig.weir, WEIR_OFF), 0);
	T_EQ(vs.slept_for_ever, 1);
	rig_close();
}

Test(flush_trigger, only_the_first_record_of_a_batch_sets_the_timer)
{
	rig_init();
	rig_open(0);
	rig_push_many("a", 100);
	T_EQ(vs.timer_sets, 1);
	T_EQ(vs_timer(rig.weir->flusher.timer_fd), RIG_START + WEIR_SECONDS(2) + 1000);
	rig_close();
}

Test(flush_trigger, later_records_do_not_postpone_the_deadline)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	for (int i = 0; i < 19; i++) {
		rig_pass(WEIR_MILLIS(100));
		rig_push("b");
	}
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_MILLIS(101));
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].records, 20);
	rig_close();
}

Test(flush_trigger, a_size_flush_clears_the_timer_that_was_set)
{
	rig_init();
	rig.config.threshold = 3;
	rig_open(0);
	rig_push_many("a", 3);
	rig_turn();
	T_EQ(vs_timer(rig.weir->flusher.timer_fd), 0);
	rig_pass(WEIR_SECONDS(10));
	T_EQ(rig.submits, 1);
	T_EQ(rig_stats().wakeups_trigger, 1);
	rig_close();
}

Test(flush_trigger, a_deadline_flush_need_not_clear_the_timer_that_has_gone_off)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig_pass(WEIR_SECONDS(3));
	T_EQ(vs.timer_disarms, 0);
	rig_close();
}

Test(flush_trigger, every_batch_of_a_slow_stream_has_its_own_deadline)
{
	rig_init();
	rig_open(0);
	for (int i = 0; i < 10; i++) {
		rig_push("a");
		rig_pass(WEIR_SECONDS(3));
	}
	T_EQ(rig.submits, 10);
	for (uint32_t i = 0; i < 10; i++)
		T_TRUE(rig.log[i].at_ns - RIG_START - i * WEIR_SECONDS(3) - WEIR_SECONDS(2) <= 2000);
	T_EQ(vs.timer_sets, 10);
	rig_close();
}

Test(flush_trigger, a_deadline_of_0_flushes_each_record_as_soon_as_a_timer_pays)
{
	rig_init();
	rig.config.deadline_ns = 0;
	rig_open(0);
	rig_push("a");
	T_EQ(vs.timer_sets, 1);
	rig_pass(WR_WAKE_LEAST_US * 1000 + 2000);
	T_STR(rig.text, "a |");
	T_EQ(vs.timer_sets, 1);
	rig_close();
}

/* --- modes --- */

Test(flush_trigger, with_the_timer_off_records_wait_for_the_threshold_or_the_end)
{
	rig_init();
	rig.config.timer_mode = WEIR_MODE_OFF;
	rig_open(0);
	rig_push_many("a", 3);
	rig_pass(WEIR_SECONDS(3600));
	T_EQ(rig.submits, 0);
	T_EQ(vs.timer_sets, 0);
	rig_close();
	T_STR(rig.text, "a a a |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_SHUTDOWN);
}

Test(flush_trigger, with_a_shadow_timer_the_end_flushes_and_says_what_the_timer_would_have_done)
{
	struct weir_stats stats;

	rig_init();
	rig.config.timer_mode = WEIR_MODE_SHADOW;
	rig_open(0);
	rig_push_many("a", 3);
	rig_pass(WEIR_SECONDS(3600));
	T_EQ(rig.submits, 0);
	T_EQ(vs.timer_sets, 0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	stats = rig_stats();
	T_EQ(rig.log[0].cause, WEIR_CAUSE_MANUAL);
	T_EQ(stats.shadow[WEIR_CAUSE_DEADLINE], 1);
	rig_close();
}

Test(flush_trigger, with_the_threshold_off_only_the_deadline_flushes)
{
	rig_init();
	rig.config.threshold = 5;
	rig.config.threshold_mode = WEIR_MODE_OFF;
	rig_open(0);
	rig_push_many("a", 50);
	T_EQ(vs.event_writes, 0);
	rig_turn();
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_SECONDS(3));
	T_EQ(rig.log[0].records, 50);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_trigger, a_shadow_threshold_counts_how_often_it_would_have_flushed)
{
	rig_init();
	rig.config.threshold = 5;
	rig.config.threshold_mode = WEIR_MODE_SHADOW;
	rig_open(0);
	rig_push_many("a", 17);
	T_EQ(vs.event_writes, 0);
	rig_pass(WEIR_SECONDS(3));
	T_EQ(rig.submits, 1);
	T_EQ(rig_stats().shadow[WEIR_CAUSE_SIZE], 3);
	rig_close();
}

Test(flush_trigger, flushes_are_counted_by_cause)
{
	struct weir_stats stats;

	rig_init();
	rig.config.threshold = 4;
	rig_open(0);
	rig_push_many("a", 4);
	rig_turn();
	rig_push("b");
	rig_pass(WEIR_SECONDS(3));
	rig_push("c");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	stats = rig_stats();
	T_EQ(stats.flushes[WEIR_CAUSE_SIZE], 1);
	T_EQ(stats.flushes[WEIR_CAUSE_DEADLINE], 1);
	T_EQ(stats.flushes[WEIR_CAUSE_MANUAL], 1);
	T_EQ(stats.batches, 3);
	rig_close();
}

/* --- the threshold --- */

Test(flush_trigger, a_lone_ring_meets_every_threshold_exactly_and_signals_once)
{
	static const uint32_t thresholds[] = { 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 100,
		                               127, 128, 250, 500, 1000, 1500 };

	rig_init();
	for (unsigned i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++) {
		rig_init();
		rig.config.threshold = thresholds[i];
		rig_open(0);
		for (uint32_t batch = 0; batch < 3; batch++) {
			vs_forget();
			for (uint32_t n = 1; n <= thresholds[i]; n++) {
				T_EQ(vs.event_writes, 0);
				rig_push("x");
			}
			T_EQ(vs.event_writes, 1);
			rig_turn();
			T_EQ(rig.submits, batch + 1);
			T_EQ(rig.log[batch].records, thresholds[i]);
			T_EQ(rig.log[batch].cause, WEIR_CAUSE_SIZE);
		}
		rig_close();
	}
}

/* One thread that is moved about; each batch is waited for. The worst lateness seen. */
static uint32_t worst_lateness(uint32_t threshold, uint32_t cpus, uint32_t batches)
{
	uint32_t worst = 0, random = 12345;
	uint64_t all = 0;

	rig_init();
	rig.config.threshold = threshold;
	rig_open(0);
	for (uint32_t batch = 0; batch < batches; batch++) {
		uint32_t pushed = 0;

		vs_forget();
		while (!vs.event_writes) {
			random = random * 1103515245u + 12345u;
			rig_on((random >> 16) % cpus);
			rig_push("x");
			pushed++;
			T_TRUE(pushed <= 2 * threshold + 64);
		}
		T_TRUE(pushed >= threshold);
		all += pushed;
		rig_turn();
		T_EQ(rig.records, all);
		if (pushed - threshold > worst)
			worst = pushed - threshold;
	}
	rig_close();
	return worst;
}

Test(flush_trigger, a_threshold_up_to_31_is_met_exactly_over_any_number_of_rings)
{
	static const uint32_t cpus[] = { 2, 4, 16 };

	for (uint32_t threshold = 1; threshold <= 31; threshold++)
		for (unsigned i = 0; i < 3; i++)
			T_EQ(worst_lateness(threshold, cpus[i], 4), 0);
}

Test(flush_trigger, a_larger_threshold_is_met_at_most_an_eighth_late_over_any_number_of_rings)
{
	static const uint32_t thresholds[] = { 32, 40, 64, 100, 200, 500, 1000, 2000 };
	static const uint32_t cpus[] = { 1, 2, 3, 4, 8, 32 };

	for (unsigned i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++)
		for (unsigned k = 0; k < sizeof(cpus) / sizeof(cpus[0]); k++)
			T_TRUE(worst_lateness(thresholds[i], cpus[k], 4) <= thresholds[i] / 8);
}

Test(flush_trigger, with_a_slack_of_0_every_threshold_is_met_exactly_over_many_rings)
{
	uint32_t pushed = 0;

	rig_init();
	rig.config.threshold = 500;
	rig.config.count_slack = 0;
	rig_open(0);
	while (!vs.event_writes) {
		rig_on(pushed % 7);
		rig_push("x");
		pushed++;
	}
	T_EQ(pushed, 500);
	rig_close();
}

Test(flush_trigger, what_comes_between_the_signal_and_the_turn_goes_with_the_batch)
{
	rig_init();
	rig.config.threshold = 4;
	rig_open(0);
	rig_push_many("a", 6);
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_STR(rig.text, "a a a a a a |");
	rig_close();
}

Test(flush_trigger, a_sleeping_flusher_is_told_once_however_much_is_pushed)
{
	rig_init();
	rig.config.threshold = 4;
	rig_open(0);
	rig_push_many("a", 50);
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_EQ(rig.log[0].records, 50);
	rig_push_many("a", 50);
	T_EQ(vs.event_writes, 2);
	rig_close();
}

Test(flush_trigger, a_pusher_that_stops_before_its_signal_costs_no_batch)
{
	rig_init();
	rig.config.threshold = 4;
	rig_open(0);
	rig_push_many("a", 3);
	/* One that reached the threshold, set the bit, and stopped for ever. */
	atomic_fetch_or(&rig.weir->wake.sum, UINT64_C(1) << 32);
	rig_push("a");
	T_EQ(vs.event_writes, 0);
	rig_push_many("a", 4);
	T_EQ(vs.event_writes, 1);
	rig_close();
}

Test(flush_trigger, a_steady_stream_wakes_the_flusher_once_per_batch)
{
	struct weir_stats stats;

	rig_init();
	rig.config.threshold = 50;
	rig_open(0);
	for (int i = 0; i < 20; i++) {
		rig_push_many("a", 50);
		rig_turn();
	}
	stats = rig_stats();
	T_EQ(stats.batches, 20);
	T_EQ(stats.wakeups_trigger, 20);
	T_EQ(stats.eventfd_writes, 20);
	T_TRUE(stats.timer_arms <= 40);
	rig_close();
}

/* --- bytes and pressure --- */

Test(flush_trigger, the_byte_threshold_flushes)
{
	char text[993];

	rig_init();
	rig.config.threshold_bytes = 16384;
	rig_open(0);
	memset(text, 'x', sizeof(text));
	text[992] = 0;
	for (int i = 0; i < 16; i++)
		rig_push(text);
	rig_turn();
	T_EQ(rig.submits, 0);
	/* 1000 bytes each: the 17th passes 16384; found at most an eighth late. */
	for (int i = 0; i < 3; i++)
		rig_push(text);
	T_TRUE(vs.event_writes >= 1);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_BYTES);
	rig_close();
}

Test(flush_trigger, the_byte_threshold_is_found_at_most_an_eighth_late_over_several_rings)
{
	for (uint32_t cpus = 1; cpus <= 4; cpus++) {
		uint64_t bytes = 0;

		rig_init();
		rig.config.threshold = 1000000;
		rig.config.threshold_bytes = 16384;
		rig_open(0);
		for (uint32_t i = 0; !vs.event_writes; i++) {
			rig_on(i % cpus);
			rig_push("12345678");
			bytes = rig_stats().accepted_bytes;
			T_TRUE(bytes <= 16384 + 16384 / 8 + 64);
		}
		T_TRUE(bytes >= 16384);
		rig_turn();
		T_EQ(rig.submits, 1);
		T_EQ(rig.log[0].cause, WEIR_CAUSE_BYTES);
		rig_close();
	}
}

Test(flush_trigger, a_byte_threshold_that_is_off_costs_no_event)
{
	rig_init();
	rig.config.threshold_bytes = 4096;
	rig.config.bytes_mode = WEIR_MODE_OFF;
	rig_open(0);
	rig_push_many("12345678", 900);
	T_EQ(vs.event_writes, 0);
	rig_turn();
	T_EQ(rig.submits, 0);
	rig_close();
}

Test(flush_trigger, a_shadow_byte_threshold_counts_and_writes_no_event)
{
	rig_init();
	rig.config.threshold_bytes = 4096;
	rig.config.bytes_mode = WEIR_MODE_SHADOW;
	rig_open(0);
	rig_push_many("12345678", 900);
	T_EQ(vs.event_writes, 0);
	rig_pass(WEIR_SECONDS(3));
	T_EQ(rig.log[0].cause, WEIR_CAUSE_DEADLINE);
	T_EQ(rig_stats().shadow[WEIR_CAUSE_BYTES], 900 * 16 / 4096);
	rig_close();
}

Test(flush_trigger, a_ring_past_its_watermark_is_flushed_below_every_threshold)
{
	uint32_t bytes = 0;

	rig_init();
	rig.config.threshold = 1000000;
	rig.config.pressure_mode = WEIR_MODE_ON;
	rig.config.pressure = 50;
	rig_open(0);
	while (!vs.event_writes && bytes < SMALL_RING) {
		rig_push("12345678");
		bytes += 16;
	}
	T_TRUE(bytes >= SMALL_RING / 2);
	T_TRUE(bytes <= SMALL_RING / 2 + 16);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_PRESSURE);
	rig_close();
}

Test(flush_trigger, the_watermark_signals_once_per_batch_and_again_in_the_next)
{
	rig_init();
	rig.config.threshold = 1000000;
	rig.config.pressure_mode = WEIR_MODE_ON;
	rig.config.pressure = 50;
	rig_open(0);
	for (uint32_t i = 0; i < 3; i++) {
		vs_forget();
		rig_push_many("12345678", SMALL_RING * 3 / 4 / 16);
		T_EQ(vs.event_writes, 1);
		rig_turn();
		T_EQ(rig.submits, i + 1);
	}
	rig_close();
}

Test(flush_trigger, a_full_ring_refuses_and_tells_a_sleeping_flusher_once)
{
	rig_init();
	rig.config.threshold = 1000000;
	rig_open(0);
	rig_push_many("12345678", SMALL_RING / 16);
	T_EQ(vs.event_writes, 0);
	T_EQ(weir_push(rig.weir, "x", 1), -EAGAIN);
	T_EQ(vs.event_writes, 1);
	for (int i = 0; i < 999; i++)
		T_EQ(weir_push(rig.weir, "x", 1), -EAGAIN);
	T_EQ(vs.event_writes, 1);
	T_EQ(rig_stats().refused_full, 1000);
	rig_turn();
	T_EQ(rig.log[0].cause, WEIR_CAUSE_PRESSURE);
	T_EQ(rig.log[0].records, SMALL_RING / 16);
	T_EQ(weir_push(rig.weir, "x", 1), 0);
	rig_close();
}

/* --- flush, barrier, urgent --- */

Test(flush_trigger, flush_sends_what_is_there_and_nothing_when_there_is_nothing)
{
	rig_init();
	rig_open(0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.submits, 0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_MANUAL);
	T_EQ(rig_stats().wakeups_control, 2);
	T_EQ(rig_stats().wakeups_trigger, 0);
	rig_close();
}

Test(flush_trigger, a_flush_does_not_reach_records_pushed_later)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig_push("b");
	rig_turn();
	T_STR(rig.text, "a |");
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a |b |");
	rig_close();
}

Test(flush_trigger, flush_wait_returns_when_all_that_was_pushed_before_has_its_verdict)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig_on(1);
	rig_push("b");
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), 0);
	T_EQ(rig.records, 2);
	rig_close();
}

Test(flush_trigger, flush_wait_of_an_empty_engine_returns_at_once)
{
	rig_init();
	rig_open(0);
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), 0);
	T_EQ(vs.now_ns, RIG_START);
	rig_close();
}

Test(flush_trigger, flush_wait_times_out_while_the_sink_keeps_the_batch)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), -ETIMEDOUT);
	rig_done(0);
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), 0);
	rig_close();
}

static const struct weir_push_options soon = { .max_age_ns = WEIR_MILLIS(100) };

Test(flush_trigger, an_urgent_record_is_flushed_at_its_own_max_age)
{
	rig_init();
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &soon), 0);
	rig_pass(WEIR_MILLIS(99));
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_MILLIS(2));
	T_STR(rig.text, "u |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_URGENT);
	T_TRUE(rig.log[0].at_ns - RIG_START - WEIR_MILLIS(100) <= 2000);
	rig_close();
}

Test(flush_trigger, an_urgent_record_behind_others_brings_their_deadline_forward)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig_pass(WEIR_MILLIS(500));
	T_EQ(weir_push_ex(rig.weir, "u", 1, &soon), 0);
	T_EQ(vs.timer_sets, 2);
	rig_pass(WEIR_MILLIS(101));
	T_STR(rig.text, "a u |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_URGENT);
	rig_close();
}

Test(flush_trigger, a_max_age_beyond_the_deadline_changes_nothing)
{
	struct weir_push_options late = { .max_age_ns = WEIR_SECONDS(100) };

	rig_init();
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &late), 0);
	T_EQ(vs.timer_sets, 1);
	rig_pass(WEIR_SECONDS(2) + 2000);
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_trigger, an_urgent_record_acts_with_the_timer_off)
{
	rig_init();
	rig.config.timer_mode = WEIR_MODE_OFF;
	rig_open(0);
	rig_push("a");
	T_EQ(vs.timer_sets, 0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &soon), 0);
	rig_pass(WEIR_MILLIS(101));
	T_STR(rig.text, "a u |");
	rig_close();
}

Test(flush_trigger, with_urgent_off_a_max_age_is_only_carried)
{
	rig_init();
	rig.config.urgent_mode = WEIR_MODE_OFF;
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &soon), 0);
	rig_pass(WEIR_SECONDS(1));
	T_EQ(rig.submits, 0);
	rig_pass(WEIR_SECONDS(2));
	T_STR(rig.text, "u |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_trigger, the_end_sends_what_is_left_and_says_why)
{
	rig_init();
	rig_open(0);
	rig_push_many("a", 3);
	rig_close();
	T_STR(rig.text, "a a a |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_SHUTDOWN);
}

Test(flush_trigger, next_deadline_is_the_one_the_timer_stands_at)
{
	uint64_t at = 1;

	rig_init();
	rig_open(0);
	T_EQ(weir_next_deadline(rig.weir, &at), 0);
	T_TRUE(at == UINT64_MAX);
	rig_push("a");
	T_EQ(weir_next_deadline(rig.weir, &at), 0);
	T_EQ(at, vs_timer(rig.weir->flusher.timer_fd));
	rig_pass(WEIR_SECONDS(3));
	T_EQ(weir_next_deadline(rig.weir, &at), 0);
	T_TRUE(at == UINT64_MAX);
	rig_close();
}

Test(flush_trigger, time_bounds_of_a_batch_enclose_its_records)
{
	rig_init();
	rig_open(0);
	vs_advance(WEIR_MILLIS(5));
	rig_push("a");
	rig_pass(WEIR_SECONDS(3));
	T_TRUE(rig.log[0].earliest_ns <= RIG_START + WEIR_MILLIS(5) + 1000);
	T_TRUE(rig.log[0].latest_ns >= RIG_START + WEIR_MILLIS(5));
	T_EQ(rig.log[0].latest_ns, rig.log[0].formed_ns);
	rig_close();
}

#ifdef WR_TEST_POINTS
static uint64_t limit_of_sleep;

static void restore_limit(const char *name)
{
	if (strcmp(name, "fallback.reserved") != 0)
		return;
	atomic_store(&wr_testpoint_hook, NULL);
	atomic_store(&rig_ring(0)->limit, limit_of_sleep);
}

/* It read the limit before the flusher moved it, and reserved after the flusher read the head. */
Test(flush_trigger, a_place_reserved_under_the_limit_before_a_sleep_counts_for_the_byte_threshold)
{
	static char text[5001];
	struct wr_ring *ring;

	rig_init();
	rig.config.threshold_bytes = 4096;
	rig.config.deadline_ns = WEIR_OFF;
	rig_open(0);
	rig_push("x");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	ring = rig_ring(0);
	limit_of_sleep = atomic_load(&ring->limit);
	atomic_store(&ring->limit, wr_limit_make(wr_limit_epoch(limit_of_sleep), 0, WR_STOP_FULL,
	                                         (uint32_t)ring->tail + SMALL_RING));
	atomic_store(&wr_testpoint_hook, restore_limit);
	vs.event_writes = 0;
	memset(text, 'y', sizeof(text) - 1);
	rig_push(text);
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_EQ(rig.submits, 2);
	T_EQ(rig.log[1].cause, WEIR_CAUSE_BYTES);
	rig_close();
}
#endif
