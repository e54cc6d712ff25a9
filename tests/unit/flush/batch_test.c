/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: windows on the rings, cut to what configuration and sink allow. */
#include "support/rig.h"

static void flush(void)
{
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

Test(flush_batch, sequences_begin_at_1_and_have_no_gaps)
{
	rig_init();
	rig_open(0);
	for (uint32_t i = 0; i < 5; i++) {
		rig_push("a");
		flush();
		T_EQ(rig.log[i].seq, i + 1);
	}
	rig_close();
}

Test(flush_batch, a_cut_is_parted_at_the_most_records_a_batch_may_hold)
{
	rig_init();
	rig.config.max_batch_records = 4;
	rig_open(0);
	for (char c = 'a'; c <= 'j'; c++)
		rig_push((char[]){ c, 0 });
	flush();
	T_STR(rig.text, "a b c d |e f g h |i j |");
	T_EQ(rig.log[2].seq, 3);
	rig_close();
}

Test(flush_batch, the_sinks_own_limit_counts_when_it_is_lower)
{
	rig_init();
	rig.caps.max_records = 3;
	rig.config.max_batch_records = 4;
	rig_open(0);
	rig_push_many("a", 7);
	flush();
	T_STR(rig.text, "a a a |a a a |a |");
	rig_close();
}

Test(flush_batch, the_configured_limit_counts_when_it_is_lower)
{
	rig_init();
	rig.caps.max_records = 30;
	rig.config.max_batch_records = 2;
	rig_open(0);
	rig_push_many("a", 3);
	flush();
	T_STR(rig.text, "a a |a |");
	rig_close();
}

Test(flush_batch, a_cut_is_parted_at_the_most_bytes_a_batch_may_hold)
{
	rig_init();
	rig.caps.max_bytes = 50;
	rig_open(0);
	rig_push_many("a", 7);
	flush();
	T_STR(rig.text, "a a a |a a a |a |");
	T_EQ(rig.log[0].bytes, 48);
	rig_close();
}

Test(flush_batch, a_batch_may_hold_exactly_its_most_bytes)
{
	rig_init();
	rig.caps.max_bytes = 48;
	rig_open(0);
	rig_push_many("a", 4);
	flush();
	T_STR(rig.text, "a a a |a |");
	rig_close();
}

Test(flush_batch, a_record_above_the_most_bytes_goes_alone)
{
	char big[201];

	rig_init();
	rig.caps.max_bytes = 64;
	rig_open(0);
	memset(big, 'X', 200);
	big[200] = 0;
	rig_push("a");
	rig_push(big);
	rig_push("b");
	flush();
	T_EQ(rig.submits, 3);
	T_EQ(rig.log[0].records, 1);
	T_EQ(rig.log[1].records, 1);
	T_EQ(rig.log[1].bytes, 208);
	T_EQ(rig.log[2].records, 1);
	rig_close();
}

Test(flush_batch, a_cut_is_parted_at_the_most_spans_a_batch_may_hold)
{
	rig_init();
	rig.config.max_batch_spans = 2;
	rig.config.order = WEIR_ORDER_NONE;
	rig_open(0);
	for (uint32_t cpu = 0; cpu < 5; cpu++) {
		rig_on(cpu);
		rig_push("a");
	}
	flush();
	T_STR(rig.text, "a a |a a |a |");
	T_EQ(rig.log[0].span_count, 2);
	rig_close();
}

static uint64_t spans_seen[8][3];
static uint32_t span_count;

static void note_spans(struct weir_batch *batch)
{
	for (uint32_t i = 0; i < batch->span_count && span_count < 8; i++, span_count++) {
		spans_seen[span_count][0] = batch->spans[i].first;
		spans_seen[span_count][1] = batch->spans[i].records;
		spans_seen[span_count][2] = batch->iov[i].iov_len;
	}
}

Test(flush_batch, a_span_names_its_ring_and_the_count_of_its_first_record)
{
	rig_init();
	rig.config.max_batch_records = 4;
	rig.on_submit = note_spans;
	rig_open(0);
	rig_push_many("a", 6);
	flush();
	rig_push("a");
	flush();
	T_EQ(span_count, 3);
	T_EQ(spans_seen[0][0], 0);
	T_EQ(spans_seen[0][1], 4);
	T_EQ(spans_seen[0][2], 64);
	T_EQ(spans_seen[1][0], 4);
	T_EQ(spans_seen[1][1], 2);
	T_EQ(spans_seen[2][0], 6);
	rig_close();
}

Test(flush_batch, counts_and_sequences_go_on_beyond_32_and_63_bits)
{
	rig_init();
	wr_test_start.count = 0xfffffffd;
	wr_test_start.position = 0xffffffe0;
	wr_test_start.epoch = 0x7fffffe;
	wr_test_start.seq = UINT64_C(0x7ffffffffffffffe);
	wr_test_start.total = UINT64_C(0x7ffffffffffffffd);
	rig.on_submit = note_spans;
	rig_open(0);
	for (int i = 0; i < 5; i++) {
		rig_push_many("a", 2);
		flush();
	}
	T_STR(rig.text, "a a |a a |a a |a a |a a |");
	T_EQ(spans_seen[4][0], UINT64_C(0x100000005));
	T_EQ(rig.log[4].seq, INT64_MIN + 2);
	T_EQ(rig_stats().delivered, INT64_MIN + 7);
	rig_audit();
	rig_close();
}

static struct weir_claim take_claim(char letter)
{
	struct weir_claim claim;

	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	*(char *)claim.data = letter;
	return claim;
}

Test(flush_batch, aborted_claims_are_in_no_count_of_a_batch)
{
	struct weir_claim claim;

	rig_init();
	rig.on_submit = note_spans;
	rig_open(0);
	rig_push("a");
	claim = take_claim('b');
	rig_push("c");
	T_EQ(weir_abort(&claim), 0);
	flush();
	T_STR(rig.text, "a c |");
	T_EQ(rig.log[0].records, 2);
	T_EQ(spans_seen[0][1], 2);
	T_EQ(rig_stats().delivered, 2);
	T_EQ(rig_stats().accepted, 2);
	rig_audit();
	rig_close();
}

Test(flush_batch, aborted_claims_do_not_count_towards_the_most_records)
{
	struct weir_claim claim;

	rig_init();
	rig.config.max_batch_records = 2;
	rig_open(0);
	claim = take_claim('x');
	T_EQ(weir_abort(&claim), 0);
	rig_push("a");
	claim = take_claim('x');
	T_EQ(weir_abort(&claim), 0);
	rig_push("b");
	rig_push("c");
	flush();
	T_STR(rig.text, "a b |c |");
	rig_audit();
	rig_close();
}

Test(flush_batch, a_cut_of_nothing_but_aborted_claims_is_no_batch_and_gives_its_room_back)
{
	struct weir_claim claim;
	uint64_t tail;

	rig_init();
	rig_open(0);
	for (int i = 0; i < 3; i++) {
		claim = take_claim('x');
		T_EQ(weir_abort(&claim), 0);
	}
	tail = wr_head_position(ring_head(rig_ring(0)));
	flush();
	rig_push("a");
	flush();
	T_STR(rig.text, "a |");
	T_EQ(rig.log[0].seq, 1);
	T_TRUE(atomic_load(&rig_ring(0)->tail) >= tail);
	rig_audit();
	rig_close();
}

/* So many bytes of them that a batch is full before the first record. */
Test(flush_batch, behind_aborted_claims_that_fill_a_batch_the_rest_of_the_cut_still_goes_out)
{
	rig_init();
	rig.config.max_batch_bytes = 4096;
	rig_open(0);
	for (int i = 0; i < 3; i++) {
		struct weir_claim claim;

		T_EQ(weir_claim(rig.weir, 2000, NULL, &claim), 0);
		T_EQ(weir_abort(&claim), 0);
	}
	rig_push("a");
	rig_push("b");
	flush();
	T_STR(rig.text, "a b |");
	T_EQ(rig_stats().pending, 0);
	rig_audit();
	rig_close();
}

Test(flush_batch, every_batch_of_a_cut_carries_its_cause_and_time)
{
	rig_init();
	rig.config.max_batch_records = 2;
	rig.config.threshold = 5;
	rig_open(0);
	rig_push_many("a", 5);
	rig_turn();
	T_EQ(rig.submits, 3);
	for (int i = 0; i < 3; i++) {
		T_EQ(rig.log[i].cause, WEIR_CAUSE_SIZE);
		T_EQ(rig.log[i].formed_ns, rig.log[0].formed_ns);
		T_EQ(rig.log[i].attempt, 1);
		T_EQ(rig.log[i].first_record, 0);
	}
	T_EQ(rig_stats().flushes[WEIR_CAUSE_SIZE], 3);
	rig_close();
}

Test(flush_batch, a_verdict_is_wanted_within_the_total_time_from_the_first_submit)
{
	rig_init();
	rig.config.batch_total_timeout_ns = WEIR_SECONDS(7);
	rig_open(0);
	rig_push("a");
	flush();
	T_EQ(rig.log[0].deadline_ns, RIG_START + WEIR_SECONDS(7));
	rig_close();
}

Test(flush_batch, without_a_total_time_there_is_no_deadline)
{
	rig_init();
	rig.config.batch_total_timeout_ns = WEIR_OFF;
	rig_open(0);
	rig_push("a");
	flush();
	T_TRUE(rig.log[0].deadline_ns == UINT64_MAX);
	rig_close();
}

Test(flush_batch, no_more_batches_are_at_the_sink_than_it_takes)
{
	rig_init();
	rig.hold = 1;
	rig.caps.max_inflight = 2;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push_many("a", 5);
	flush();
	T_EQ(rig.submits, 2);
	T_EQ(rig_stats().inflight, 2);
	rig_done(0);
	rig_turn();
	T_EQ(rig.submits, 3);
	rig.hold = 0;
	rig_done(1);
	rig_done(2);
	rig_turn();
	T_EQ(rig.submits, 5);
	rig_close();
}

Test(flush_batch, a_configured_number_in_flight_narrows_the_sinks)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_inflight = 1;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push_many("a", 3);
	flush();
	T_EQ(rig.submits, 1);
	rig.hold = 0;
	rig_done(0);
	rig_turn();
	T_EQ(rig.submits, 3);
	rig_close();
}

Test(flush_batch, a_sink_without_a_number_takes_one_at_a_time)
{
	rig_init();
	rig.hold = 1;
	rig.caps.max_inflight = 0;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push_many("a", 2);
	flush();
	T_EQ(rig.submits, 1);
	rig.hold = 0;
	rig_done(0);
	rig_turn();
	rig_close();
}

Test(flush_batch, records_of_a_thread_keep_their_order_over_rings_and_batches)
{
	rig_init();
	rig.config.max_batch_records = 2;
	rig_open(0);
	for (char c = 'a'; c <= 'f'; c++) {
		rig_on((uint32_t)(5 - (c - 'a')) % 3);
		rig_push((char[]){ c, 0 });
	}
	flush();
	T_STR(rig.text, "a b |c d |e f |");
	rig_close();
}

Test(flush_batch, a_batch_late_by_more_than_its_grace_is_an_overrun)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	vs_advance(WEIR_SECONDS(3)); /* the flusher was not run */
	rig_turn();
	T_EQ(rig_stats().overruns, 1);
	T_EQ(rig_stats().overruns_scheduler, 1);
	T_TRUE(rig_stats().lateness_max_ns > WEIR_MILLIS(990));
	rig_close();
}

Test(flush_batch, a_batch_in_time_is_no_overrun)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig_pass(WEIR_SECONDS(3));
	T_EQ(rig_stats().overruns, 0);
	T_TRUE(rig_stats().lateness_max_ns <= 2000);
	rig_close();
}
