/* SPDX-License-Identifier: Apache-2.0 */
/* How old records are said to be, and whose time holds: of pieces, of urgent ones, behind claims. */
#include "support/rig.h"

#define MS WEIR_MILLIS(1)

static void push_urgent(const char *text, uint64_t max_age_ns)
{
	struct weir_push_options options = { .max_age_ns = max_age_ns };

	T_EQ(weir_push_ex(rig.weir, text, strlen(text), &options), 0);
}

static struct weir_claim claim_one(const char *text)
{
	struct weir_claim claim;

	T_EQ(weir_claim(rig.weir, strlen(text), NULL, &claim), 0);
	memcpy(claim.data, text, strlen(text));
	return claim;
}

Test(flush_age, an_urgent_record_makes_the_one_before_it_no_younger)
{
	uint64_t pushed_ns;

	rig_init();
	rig_open(0);
	pushed_ns = vs.now_ns;
	rig_push("a");
	vs_advance(5 * MS);
	push_urgent("u", 10 * MS);
	rig_pass(20 * MS);
	T_STR(rig.text, "a u |");
	T_TRUE(rig.log[0].earliest_ns <= pushed_ns);
	rig_close();
}

static void push_urgent_once(struct weir_batch *batch)
{
	(void)batch;
	rig.on_submit = NULL;
	push_urgent("u", 10 * MS);
}

Test(flush_age, an_urgent_record_that_came_while_the_flusher_was_awake_is_still_urgent)
{
	rig_init();
	rig_open(0);
	rig.on_submit = push_urgent_once;
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |");
	rig_pass(12 * MS);
	T_STR(rig.text, "a |u |");
	T_EQ(rig.log[1].cause, WEIR_CAUSE_URGENT);
	rig_close();
}

/* Its time was over long ago: that of a younger record elsewhere must not take its place. */
Test(flush_age, what_is_overdue_behind_a_claim_goes_with_its_commit_whatever_was_armed_meanwhile)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	claim = claim_one("c");
	rig_push("b");
	rig_pass(3000 * MS);
	rig_on(1);
	rig_push("x");
	rig_pass(100 * MS);
	T_STR(rig.text, "");
	T_EQ(weir_commit(&claim), 0);
	rig_turn();
	T_STR(rig.text, "c b x |");
	rig_close();
}

Test(flush_age, what_a_cut_left_behind_a_claim_keeps_a_deadline)
{
	struct weir_claim claim;

	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig_open(0);
	claim = claim_one("c");
	rig_push("b");
	rig_on(1);
	rig_push("x");
	rig_pass(2100 * MS);
	T_STR(rig.text, "x |");
	rig_pass(2100 * MS);
	T_STR(rig.text, "x |");
	T_EQ(weir_commit(&claim), 0);
	rig_turn();
	T_STR(rig.text, "x |c b |");
	rig_close();
}

Test(flush_age, a_claim_that_stays_open_is_counted_as_stalled_once)
{
	struct weir_claim claim;

	rig_init();
	rig.config.claim_max_ns = 1000 * MS;
	rig_open(0);
	claim = claim_one("c");
	for (int i = 0; i < 5; i++) {
		rig_on(1);
		rig_push("x");
		rig_pass(3000 * MS);
	}
	T_EQ(rig_stats().claims_stalled, 1);
	T_EQ(weir_abort(&claim), 0);
	rig_close();
}

Test(flush_age, a_flusher_that_comes_late_by_itself_does_not_blame_the_sink)
{
	struct weir_stats stats;

	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig_push("b");
	vs_advance(9000 * MS);
	rig_turn();
	T_STR(rig.text, "a |b |");
	stats = rig_stats();
	T_EQ(stats.overruns, 1);
	T_EQ(stats.overruns_scheduler, 1);
	T_EQ(stats.overruns_sink, 0);
	rig_close();
}

Test(flush_age, the_oldest_of_all_that_is_pending_may_be_at_the_sink)
{
	rig_init();
	rig_open(0);
	rig.hold = 1;
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	vs_advance(1000 * MS);
	rig_push("b");
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	vs_advance(500 * MS);
	T_STR(rig.text, "a |");
	T_TRUE(rig_stats().oldest_age_ns >= 1500 * MS);
	rig_done(0);
	rig.hold = 0;
	rig_turn();
	T_TRUE(rig_stats().oldest_age_ns < 1500 * MS);
	rig_close();
}

/* What the rest of a batch says of itself is what the batch said. */
Test(flush_age, the_rest_of_a_batch_has_the_times_and_the_cause_of_the_whole)
{
	struct weir_batch *whole, *rest;
	uint64_t formed_ns, wall_ns, earliest_ns, latest_ns, deadline_ns;

	rig_init();
	rig.config.batch_total_timeout_ns = 60000 * MS;
	rig_open(0);
	rig.hold = 1;
	rig_push("a");
	vs_advance(7 * MS);
	rig_push("b");
	vs_advance(7 * MS);
	rig_push("c");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	whole = rig.log[0].batch;
	formed_ns = whole->formed_ns;
	wall_ns = whole->wall_ns;
	earliest_ns = whole->earliest_ns;
	latest_ns = whole->latest_ns;
	deadline_ns = whole->deadline_ns;
	T_EQ(whole->cause, WEIR_CAUSE_MANUAL);
	T_TRUE(wall_ns);
	T_TRUE(earliest_ns < formed_ns);
	vs_advance(500 * MS);
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_PARTIAL,
	                                       .partial = WEIR_PARTIAL_RECORDS, .records = 1 });
	rig_pass(500 * MS);
	T_STR(rig.text, "a b c |b c |");
	rest = rig.log[1].batch;
	T_EQ(rest->cause, WEIR_CAUSE_MANUAL);
	T_EQ(rest->formed_ns, formed_ns);
	T_EQ(rest->wall_ns, wall_ns);
	T_EQ(rest->earliest_ns, earliest_ns);
	T_EQ(rest->latest_ns, latest_ns);
	T_EQ(rest->deadline_ns, deadline_ns);
	T_EQ(rest->attempt, 2);
	T_EQ(rest->spans[0].first, 1);
	rig_done(1);
	rig_turn();
	rig_close();
}

/* A claim that was given up lies between: what it counts are records. */
Test(flush_age, the_place_of_a_rest_in_its_batch_counts_records_alone)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	rig.hold = 1;
	rig_push("a");
	claim = claim_one("x");
	T_EQ(weir_abort(&claim), 0);
	rig_push("b");
	rig_push("c");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.log[0].records, 3);
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_PARTIAL,
	                                       .partial = WEIR_PARTIAL_RECORDS, .records = 2 });
	rig_pass(100 * MS);
	T_STR(rig.text, "a b c |c |");
	T_EQ(rig.log[1].first_record, 2);
	T_EQ(rig.log[1].batch->spans[0].first, 3);
	rig_done(1);
	rig_turn();
	rig_close();
}

Test(flush_age, a_delay_beyond_the_total_time_of_a_batch_ends_with_that_time)
{
	rig_init();
	rig.config.batch_total_timeout_ns = 1000 * MS;
	rig_open(0);
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = 60000 * MS };
	rig.verdicts[1] = rig.verdicts[0];
	rig.verdict_count = 2;
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_pass(1001 * MS);
	T_STR(rig.text, "a |a |");
	T_EQ(rig_stats().dropped_timeout, 1);
	T_EQ(rig_stats().pending, 0);
	rig_close();
}

Test(flush_age, what_is_sent_back_again_and_again_in_parts_has_one_total_time)
{
	rig_init();
	rig.config.batch_total_timeout_ns = 1000 * MS;
	rig_open(0);
	for (int i = 0; i < 8; i++)
		rig.verdicts[i] = (struct weir_verdict){ .kind = WEIR_PARTIAL,
			.partial = WEIR_PARTIAL_RECORDS, .records = 1, .after_ns = 400 * MS };
	rig.verdict_count = 8;
	rig_push_many("a", 8);
	T_EQ(weir_flush(rig.weir), 0);
	rig_pass(1500 * MS);
	T_EQ(rig_stats().delivered + rig_stats().dropped_timeout, 8);
	T_EQ(rig_stats().pending, 0);
	rig_close();
}

/* One push passes both: that of the bytes must not hide that of the ring. */
Test(flush_age, a_push_that_passes_a_byte_stop_and_the_watermark_tells_of_pressure)
{
	char large[8001];
	uint64_t limit;

	memset(large, 'x', 8000);
	large[8000] = 0;
	rig_init();
	rig.config.pressure_mode = WEIR_MODE_ON;
	rig.config.threshold_bytes = 160 << 10;
	rig_open(0);
	rig_push_many(large, 4);
	T_EQ(vs.event_writes, 0);
	/* A byte stop close before the watermark, which lies at half of 64 KiB. */
	limit = atomic_load(&rig_ring(0)->limit);
	atomic_store(&rig_ring(0)->limit,
	             wr_limit_make(wr_limit_epoch(limit), 8, WR_STOP_BYTES, 32760));
	rig_push(large);
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_PRESSURE);
	rig_close();
}

/* The first stopped for ever between the sum and its event. */
Test(flush_age, whoever_reaches_twice_the_bytes_tells_for_one_that_stopped)
{
	rig_init();
	rig.config.threshold_bytes = 4096;
	rig_open(0);
	rig_push_many("eightbyt", 8);
	atomic_fetch_or(&rig.weir->wake.bytes, UINT64_C(1) << 40);
	for (int i = 0; vs.event_writes == 0 && i < 2 * 4096 / 16 + 16; i++)
		rig_push("eightbyt");
	T_EQ(vs.event_writes, 1);
	rig_close();
}

Test(flush_age, the_worst_lateness_stays_the_worst)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	vs_advance(9000 * MS);
	rig_turn();
	rig_push("b");
	vs_advance(3000 * MS);
	rig_turn();
	T_STR(rig.text, "a |b |");
	T_EQ(rig_stats().overruns, 2);
	T_TRUE(rig_stats().lateness_max_ns >= 6900 * MS);
	rig_close();
}

Test(flush_age, a_max_age_of_less_than_a_microsecond_is_one)
{
	rig_init();
	rig_open(0);
	push_urgent("u", 1);
	rig_pass(1 * MS);
	T_STR(rig.text, "u |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_URGENT);
	rig_close();
}

/* --- claims that stay open --- */

static void end_and_flush(struct weir_claim *claim)
{
	T_EQ(weir_commit(claim), 0);
	rig_turn();
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

Test(flush_age, a_second_claim_that_stays_open_is_counted_as_stalled_too)
{
	struct weir_claim claim;

	rig_init();
	rig.config.claim_max_ns = WEIR_SECONDS(1);
	rig.config.deadline_ns = WEIR_MILLIS(100);
	rig_open(0);
	for (unsigned i = 1; i <= 3; i++) {
		claim = claim_one("c");
		rig_pass(WEIR_SECONDS(3));
		T_EQ(rig_stats().claims_stalled, i);
		end_and_flush(&claim);
	}
	T_STR(rig.text, "c |c |c |");
	rig_close();
}

Test(flush_age, a_claim_is_as_old_as_it_is_whatever_was_open_before_it)
{
	struct weir_claim claim;

	rig_init();
	rig.config.claim_max_ns = WEIR_SECONDS(1);
	rig.config.deadline_ns = WEIR_MILLIS(100);
	rig_open(0);
	claim = claim_one("c");
	rig_pass(WEIR_MILLIS(500));
	end_and_flush(&claim);
	rig_pass(WEIR_SECONDS(5));
	claim = claim_one("c");
	rig_pass(WEIR_MILLIS(500));
	T_EQ(rig_stats().claims_stalled, 0);
	end_and_flush(&claim);
	rig_close();
}

