/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a batch that the sink gave back. */
#include "support/rig.h"

static void flush(void)
{
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

/* Opens, with a verdict for the first batch, and flushes @text one letter a record. */
static void first_batch(const char *text, struct weir_verdict verdict)
{
	rig.verdicts[0] = verdict;
	rig.verdict_count = 1;
	rig_open(0);
	for (; *text; text++)
		rig_push((char[]){ *text, 0 });
	flush();
}

static void end_with(const char *text)
{
	T_STR(rig.text, text);
	rig_audit();
	rig_close();
}

Test(flush_verdict, done_is_delivered)
{
	rig_init();
	first_batch("abc", (struct weir_verdict){ .kind = WEIR_DONE });
	T_EQ(rig_stats().delivered, 3);
	T_EQ(rig_stats().pending, 0);
	T_EQ(rig_stats().batches_done, 1);
	T_EQ(rig_stats().attempts, 1);
	end_with("a b c |");
}

Test(flush_verdict, retry_submits_the_same_batch_again_after_its_delay)
{
	rig_init();
	first_batch("ab", (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = WEIR_MILLIS(50) });
	T_EQ(rig_stats().delivered, 0);
	T_EQ(rig_stats().pending, 2);
	rig_pass(WEIR_MILLIS(49));
	T_EQ(rig.submits, 1);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(rig.submits, 2);
	T_EQ(rig.log[1].seq, 1);
	T_EQ(rig.log[1].attempt, 2);
	T_EQ(rig.log[1].at_ns, RIG_START + WEIR_MILLIS(50));
	T_EQ(rig_stats().retries, 1);
	T_EQ(rig_stats().redelivered, 2);
	T_EQ(rig_stats().delivered, 2);
	end_with("a b |a b |");
}

Test(flush_verdict, retry_at_once_does_not_make_the_flusher_spin)
{
	rig_init();
	first_batch("a", (struct weir_verdict){ .kind = WEIR_RETRY });
	T_EQ(rig.submits, 1);
	rig_pass(WEIR_MILLIS(1));
	end_with("a |a |");
}

Test(flush_verdict, later_batches_wait_behind_one_that_is_retried)
{
	rig_init();
	first_batch("a", (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = WEIR_MILLIS(50) });
	rig_push("b");
	flush();
	T_EQ(rig.submits, 1);
	rig_pass(WEIR_MILLIS(60));
	end_with("a |a |b |");
}

Test(flush_verdict, retry_ends_with_the_total_time_of_all_attempts)
{
	rig_init();
	rig.config.batch_total_timeout_ns = WEIR_MILLIS(100);
	for (int i = 0; i < 16; i++)
		rig.verdicts[i] = (struct weir_verdict){ .kind = WEIR_RETRY,
			                                 .after_ns = WEIR_MILLIS(40) };
	rig.verdict_count = 16;
	rig_open(0);
	rig_push("a");
	flush();
	rig_pass(WEIR_SECONDS(1));
	T_EQ(rig_stats().dropped_timeout, 1);
	T_EQ(rig_stats().pending, 0);
	T_TRUE(rig.submits >= 3);
	T_TRUE(rig.submits <= 4);
	rig_audit();
	rig_close();
}

Test(flush_verdict, split_submits_halves_under_the_same_sequence)
{
	rig_init();
	first_batch("abcde", (struct weir_verdict){ .kind = WEIR_SPLIT });
	T_EQ(rig.submits, 3);
	T_EQ(rig.log[1].seq, 1);
	T_EQ(rig.log[1].first_record, 0);
	T_EQ(rig.log[1].records, 2);
	T_EQ(rig.log[2].seq, 1);
	T_EQ(rig.log[2].first_record, 2);
	T_EQ(rig.log[2].records, 3);
	T_EQ(rig_stats().splits, 1);
	T_EQ(rig_stats().delivered, 5);
	T_EQ(rig_stats().batches_done, 1);
	end_with("a b c d e |a b |c d e |");
}

Test(flush_verdict, split_goes_down_to_single_records)
{
	rig_init();
	for (int i = 0; i < 7; i++)
		rig.verdicts[i].kind = i == 0 || i == 1 || i == 4 ? WEIR_SPLIT : WEIR_DONE;
	rig.verdict_count = 7;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	rig_push("c");
	rig_push("d");
	flush();
	T_EQ(rig_stats().delivered, 4);
	T_EQ(rig.log[6].first_record, 3);
	end_with("a b c d |a b |a |b |c d |c |d |");
}

Test(flush_verdict, a_single_record_that_is_too_large_is_dropped_by_name)
{
	rig_init();
	first_batch("a", (struct weir_verdict){ .kind = WEIR_SPLIT });
	T_EQ(rig.submits, 1);
	T_EQ(rig_stats().dropped_too_large, 1);
	T_EQ(rig_stats().pending, 0);
	end_with("a |");
}

Test(flush_verdict, split_after_the_total_time_is_dropped)
{
	rig_init();
	rig.config.batch_total_timeout_ns = WEIR_MILLIS(100);
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	flush();
	rig_pass(WEIR_MILLIS(150));
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_SPLIT });
	rig_turn();
	T_EQ(rig_stats().dropped_timeout, 2);
	end_with("a b |");
}

Test(flush_verdict, partial_by_records_submits_the_rest)
{
	rig_init();
	first_batch("abcde", (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 3 });
	T_EQ(rig_stats().delivered, 3);
	T_EQ(rig_stats().pending, 2);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(rig.log[1].first_record, 3);
	T_EQ(rig.log[1].seq, 1);
	T_EQ(rig_stats().delivered, 5);
	end_with("a b c d e |d e |");
}

Test(flush_verdict, partial_of_nothing_is_a_retry)
{
	rig_init();
	first_batch("ab", (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 0 });
	T_EQ(rig_stats().delivered, 0);
	T_EQ(rig_stats().retries, 1);
	rig_pass(WEIR_MILLIS(2));
	end_with("a b |a b |");
}

Test(flush_verdict, partial_of_more_than_there_is_is_all)
{
	rig_init();
	first_batch("ab", (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 99 });
	T_EQ(rig_stats().delivered, 2);
	T_EQ(rig_stats().pending, 0);
	rig_pass(WEIR_MILLIS(2));
	end_with("a b |");
}

Test(flush_verdict, partial_waits_as_long_as_it_asked_for)
{
	rig_init();
	first_batch("ab", (struct weir_verdict){
				  .kind = WEIR_PARTIAL, .records = 1, .after_ns = WEIR_MILLIS(50) });
	rig_pass(WEIR_MILLIS(49));
	T_EQ(rig.submits, 1);
	rig_pass(WEIR_MILLIS(2));
	end_with("a b |b |");
}

Test(flush_verdict, partial_by_bytes_counts_whole_records_only)
{
	rig_init();
	first_batch("abc", (struct weir_verdict){
				   .kind = WEIR_PARTIAL, .partial = WEIR_PARTIAL_BYTES, .bytes = 31 });
	T_EQ(rig_stats().delivered, 1);
	rig_pass(WEIR_MILLIS(2));
	end_with("a b c |b c |");
}

Test(flush_verdict, partial_by_bytes_on_a_boundary_includes_the_record_before_it)
{
	rig_init();
	first_batch("abc", (struct weir_verdict){
				   .kind = WEIR_PARTIAL, .partial = WEIR_PARTIAL_BYTES, .bytes = 32 });
	T_EQ(rig_stats().delivered, 2);
	rig_pass(WEIR_MILLIS(2));
	end_with("a b c |c |");
}

Test(flush_verdict, partial_by_bytes_counts_over_spans)
{
	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL,
		                                 .partial = WEIR_PARTIAL_BYTES,
		                                 .bytes = 48 };
	rig.verdict_count = 1;
	rig_open(0);
	for (uint32_t cpu = 0; cpu < 2; cpu++) {
		rig_on(cpu);
		rig_push(cpu ? "c" : "a");
		rig_push(cpu ? "d" : "b");
	}
	flush();
	T_EQ(rig_stats().delivered, 3);
	rig_pass(WEIR_MILLIS(2));
	end_with("a b c d |d |");
}

Test(flush_verdict, partial_by_bitmap_submits_what_has_no_bit)
{
	uint64_t bitmap[1] = { 0x15 };

	rig_init();
	first_batch("abcdef", (struct weir_verdict){ .kind = WEIR_PARTIAL,
	                                             .partial = WEIR_PARTIAL_BITMAP,
	                                             .bitmap = bitmap });
	T_EQ(rig_stats().delivered, 3);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(rig.log[1].first_record, 1);
	end_with("a b c d e f |b d f |");
}

Test(flush_verdict, a_bitmap_reaches_beyond_64_records)
{
	uint64_t bitmap[3] = { UINT64_MAX, UINT64_MAX, 0 };

	rig_init();
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL,
		                                 .partial = WEIR_PARTIAL_BITMAP,
		                                 .bitmap = bitmap };
	rig.verdict_count = 1;
	rig_open(0);
	rig_push_many("a", 130);
	flush();
	T_EQ(rig_stats().delivered, 128);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(rig.log[1].records, 2);
	T_EQ(rig.log[1].first_record, 128);
	rig_audit();
	rig_close();
}

Test(flush_verdict, partial_by_codes_tells_done_again_and_rejected)
{
	int32_t codes[5] = { 0, -EAGAIN, -EBADMSG, 0, -EAGAIN };

	rig_init();
	first_batch("abcde", (struct weir_verdict){ .kind = WEIR_PARTIAL,
	                                            .partial = WEIR_PARTIAL_CODES,
	                                            .codes = codes });
	T_EQ(rig_stats().delivered, 2);
	T_EQ(rig_stats().dropped_rejected, 1);
	T_EQ(rig_stats().pending, 2);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(rig_stats().delivered, 4);
	end_with("a b c d e |b e |");
}

Test(flush_verdict, partial_without_its_bits_is_a_retry_of_all)
{
	rig_init();
	first_batch("ab", (struct weir_verdict){ .kind = WEIR_PARTIAL,
	                                         .partial = WEIR_PARTIAL_BITMAP });
	T_EQ(rig_stats().delivered, 0);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(rig_stats().delivered, 2);
	end_with("a b |a b |");
}

Test(flush_verdict, a_rest_of_a_rest_knows_its_place_in_the_batch)
{
	rig_init();
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 1 };
	rig.verdicts[1] = (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 2 };
	rig.verdict_count = 2;
	rig_open(0);
	for (char c = 'a'; c <= 'e'; c++)
		rig_push((char[]){ c, 0 });
	flush();
	rig_pass(WEIR_MILLIS(5));
	T_EQ(rig.log[2].first_record, 3);
	T_EQ(rig_stats().batches_done, 1);
	end_with("a b c d e |b c d e |d e |");
}

Test(flush_verdict, aborted_claims_do_not_shift_the_records_of_a_rest)
{
	struct weir_claim claim;

	rig_init();
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 2 };
	rig.verdict_count = 1;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_push("b");
	rig_push("c");
	T_EQ(weir_abort(&claim), 0);
	flush();
	rig_pass(WEIR_MILLIS(2));
	end_with("a b c |c |");
}

Test(flush_verdict, reject_is_dropped_by_name)
{
	rig_init();
	first_batch("abc", (struct weir_verdict){ .kind = WEIR_REJECT, .code = -EBADMSG });
	T_EQ(rig_stats().dropped_rejected, 3);
	T_EQ(rig_stats().pending, 0);
	T_EQ(rig_stats().delivered, 0);
	end_with("a b c |");
}

static void check_fatal(struct weir_verdict verdict)
{
	struct weir_close_report report = { .size = sizeof(report) };

	rig_init();
	first_batch("ab", verdict);
	rig_push("c");
	flush();
	rig_pass(WEIR_SECONDS(5));
	T_EQ(rig.submits, 1);
	T_EQ(rig_stats().pending, 3);
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), &report), -EPIPE);
	T_EQ(report.left, 3);
	T_EQ(report.left_in_batches, 2);
	T_EQ(rig_stats().dropped_fatal, 3);
	rig_audit();
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_verdict, fatal_ends_the_submitting_and_what_is_left_is_dropped_by_name_at_close)
{
	check_fatal((struct weir_verdict){ .kind = WEIR_FATAL, .code = -EPIPE });
}

Test(flush_verdict, a_verdict_that_does_not_exist_is_fatal)
{
	check_fatal((struct weir_verdict){ .kind = 77 });
}

Test(flush_verdict, a_submit_that_fails_breaks_the_sink_and_loses_nothing_untold)
{
	struct weir_close_report report = { .size = sizeof(report) };

	rig_init();
	rig.submit_answer = -EIO;
	rig_open(0);
	rig_push("a");
	flush();
	T_EQ(rig_stats().attempts, 0);
	T_EQ(rig_stats().inflight, 0);
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), &report), -EPIPE);
	T_EQ(report.left, 1);
	rig_audit();
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_verdict, a_sink_without_room_is_asked_again_only_when_it_is_ready)
{
	rig_init();
	rig.submit_answer = -EAGAIN;
	rig_open(0);
	rig_push("a");
	flush();
	rig.submit_answer = 0;
	rig_pass(WEIR_SECONDS(60));
	T_EQ(rig.submits, 0);
	weir_sink_ready(&rig.sink);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].attempt, 1);
	T_EQ(rig.log[0].seq, 1);
	T_EQ(rig_stats().redelivered, 0);
	end_with("a |");
}

static int ready_first(void)
{
	weir_sink_ready(&rig.sink);
	return -EAGAIN;
}

static uint32_t refusals;

static void refuse_once(void)
{
	if (refusals++ == 0)
		ready_first();
	else
		rig.submit_answer = 0;
}

Test(flush_verdict, readiness_that_comes_before_the_answer_is_not_lost)
{
	rig_init();
	rig.submit_answer = -EAGAIN;
	rig_open(0);
	rig_push("a");
	vs.on_now = refuse_once; /* the clock is read right before submit() */
	flush();
	vs.on_now = NULL;
	rig.submit_answer = 0;
	rig_turn();
	end_with("a |");
}

Test(flush_verdict, while_the_sink_has_no_room_producers_set_no_timer)
{
	rig_init();
	rig.submit_answer = -EAGAIN;
	rig_open(0);
	rig_push("a");
	flush();
	vs_forget();
	rig_push_many("b", 5);
	T_EQ(vs.timer_sets + vs.event_writes, 0);
	rig.submit_answer = 0;
	weir_sink_ready(&rig.sink);
	rig_turn();
	rig_pass(WEIR_SECONDS(3));
	end_with("a |b b b b b |");
}

Test(flush_verdict, a_batch_completed_inside_submit_costs_no_wake_up)
{
	rig_init();
	first_batch("a", (struct weir_verdict){ .kind = WEIR_DONE });
	T_EQ(vs.event_writes, 1); /* the flush */
	T_EQ(rig_stats().wakeups_completion, 0);
	end_with("a |");
}

Test(flush_verdict, a_batch_completed_later_costs_one_wake_up)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	flush();
	vs_forget();
	rig_done(0);
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_EQ(rig_stats().wakeups_completion, 1);
	T_EQ(rig_stats().delivered, 1);
	end_with("a |");
}

Test(flush_verdict, several_completions_share_one_wake_up)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push_many("a", 3);
	flush();
	vs_forget();
	rig_done(2);
	rig_done(0);
	rig_done(1);
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_EQ(rig_stats().delivered, 3);
	rig_audit();
	rig_close();
}

Test(flush_verdict, the_identity_holds_at_every_moment)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 2;
	rig_open(0);
	rig_push_many("a", 7);
	rig_audit();
	flush();
	rig_audit();
	rig_push_many("b", 3);
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 1 });
	rig_complete(1, (struct weir_verdict){ .kind = WEIR_SPLIT });
	rig_complete(2, (struct weir_verdict){ .kind = WEIR_REJECT });
	rig_turn();
	rig_audit();
	rig.hold = 0;
	rig_done(3);
	rig_pass(WEIR_SECONDS(3));
	rig_audit();
	T_EQ(rig_stats().dropped_rejected, 2);
	T_EQ(rig_stats().accepted, 10);
}
