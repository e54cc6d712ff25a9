/* SPDX-License-Identifier: Apache-2.0 */
/* Batches, verdicts and released space at their edges: sinks that break their contract, no memory. */
#include "support/rig.h"
#include "support/step.h"

static void flush(void)
{
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

static int memory_is_gone;

static void *give(void *arg, size_t bytes)
{
	(void)arg;
	return memory_is_gone ? NULL : malloc(bytes);
}

static void take_back(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)bytes;
	free(memory);
}

/* What the sink was handed with batch @i, one letter per record. */
static void expect(const char *text)
{
	T_STR(rig.text, text);
	rig_audit();
}

Test(flush_batch, a_rest_with_more_gaps_than_a_batch_has_spans_goes_out_whole)
{
	static const int32_t codes[] = { -EAGAIN, 0, -EAGAIN, 0, -EAGAIN };

	rig_init();
	rig.config.max_batch_spans = 1;
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL,
		                                 .partial = WEIR_PARTIAL_CODES,
		                                 .codes = codes };
	rig.verdict_count = 1;
	rig.hold = 1;
	rig_open(0);
	rig_push("x");
	flush();
	rig_push("y");
	flush();
	rig_done(0);
	rig_done(1);
	rig_turn(); /* two batches of one span are unused now, and the next one takes but one */
	rig.hold = 0;
	rig_push("a");
	rig_push("b");
	rig_push("c");
	rig_push("d");
	rig_push("e");
	flush();
	rig_pass(WEIR_MILLIS(5));
	expect("x |y |a b c d e |a c e |");
	T_EQ(rig.log[3].span_count, 3);
	T_EQ(rig_stats().delivered, 7);
	rig_close();
}

Test(flush_batch, after_the_most_bytes_the_next_ring_begins_a_batch)
{
	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig.config.max_batch_bytes = 4096;
	rig_open(0);
	for (int i = 0; i < 4096 / 16; i++)
		rig_push("a");
	rig_on(1);
	rig_push("z");
	rig_push("z");
	flush();
	T_EQ(rig.submits, 2);
	T_EQ(rig.log[0].records, 256);
	T_EQ(rig.log[0].bytes, 4096);
	T_EQ(rig.log[1].records, 2);
	T_EQ(rig.log[1].span_count, 1);
	rig_close();
}

Test(flush_batch, behind_a_record_above_the_most_bytes_the_next_ring_begins_a_batch)
{
	static const char text[8000];

	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig.config.max_batch_bytes = 4096;
	rig_open(0);
	T_EQ(weir_push(rig.weir, text, sizeof(text)), 0);
	rig_on(1);
	rig_push("z");
	flush();
	T_EQ(rig.submits, 2);
	T_EQ(rig.log[0].records, 1);
	T_EQ(rig.log[1].records, 1);
	rig_close();
}

Test(flush_batch, a_configured_number_in_flight_above_the_sinks_changes_nothing)
{
	rig_init();
	rig.hold = 1;
	rig.caps.max_inflight = 2;
	rig.config.max_inflight = 100;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push_many("a", 5);
	flush();
	T_EQ(rig.submits, 2);
	rig_done(0);
	rig_turn();
	T_EQ(rig.submits, 3);
	for (uint32_t i = 1; i < 5; i++) {
		rig_done(i);
		rig_turn();
	}
	T_EQ(rig_stats().delivered, 5);
	rig_close();
}

Test(flush_batch, batches_that_come_back_in_another_order_are_tried_again_in_theirs)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	rig_push("c");
	flush();
	for (uint32_t i = 3; i-- > 0;)
		rig_complete(i, (struct weir_verdict){ .kind = WEIR_RETRY });
	rig.hold = 0;
	rig_turn();
	rig_pass(WEIR_MILLIS(5));
	expect("a |b |c |a |b |c |");
	rig_close();
}

Test(flush_batch, without_a_deadline_nothing_is_late)
{
	struct weir_push_options urgent = { .max_age_ns = WEIR_MILLIS(1) };

	rig_init();
	rig.config.deadline_ns = WEIR_OFF;
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &urgent), 0);
	vs_advance(WEIR_SECONDS(10));
	rig_turn();
	expect("u |");
	T_EQ(rig_counted(WR_OVERRUNS), 0);
	T_EQ(rig_counted(WR_LATENESS_MAX), 0);
	rig_close();
}

/* A cut that found nothing due yet once made the scheduler answer for it. */
Test(flush_batch, a_batch_that_is_late_because_the_sink_was_full_is_the_sinks_overrun)
{
	rig_init();
	rig.hold = 1;
	rig.caps.max_inflight = 1;
	rig_open(0);
	rig_push("a");
	rig_pass(WEIR_SECONDS(3));
	T_EQ(rig.submits, 1);
	rig_push("b");
	wr_flusher_kick(&rig.weir->flusher);
	rig_pass(WEIR_SECONDS(30));
	T_EQ(rig.submits, 1);
	rig_done(0);
	rig_turn();
	rig_pass(WEIR_SECONDS(3));
	T_EQ(rig.submits, 2);
	T_EQ(rig_counted(WR_OVERRUNS), 1);
	T_EQ(rig_counted(WR_OVERRUNS_SINK), 1);
	rig_done(1);
	rig_turn();
	rig_push("c"); /* and what comes when the sink has room again is the scheduler's */
	vs_advance(WEIR_SECONDS(30));
	rig_turn();
	T_EQ(rig_counted(WR_OVERRUNS), 2);
	T_EQ(rig_counted(WR_OVERRUNS_SCHEDULER), 1);
	rig_done(2);
	rig_close();
}

Test(flush_verdict, the_rest_of_a_batch_of_two_rings_goes_on_in_the_second)
{
	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 1 };
	rig.verdict_count = 1;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	rig_on(1);
	rig_push("c");
	rig_push("d");
	flush();
	rig_pass(WEIR_MILLIS(5));
	expect("a b c d |b c d |");
	T_EQ(rig.log[1].span_count, 2);
	rig_close();
}

/* --- a sink that breaks its contract --- */

Test(flush_verdict, a_second_verdict_is_passed_over_and_counted)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	flush();
	T_EQ(rig.submits, 2);
	rig_done(0);
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_REJECT });
	rig_done(1);
	rig_done(1);
	rig_turn();
	T_EQ(rig_stats().delivered, 2);
	T_EQ(rig_counted(WR_DROPPED_REJECTED), 0);
	T_EQ(rig_counted(WR_INFLIGHT), 0);
	T_EQ(atomic_load(&rig.weir->flusher.verdicts_ignored), 2);
	T_EQ(atomic_load(&rig_ring(0)->tail), 32);
	rig_close();
}

Test(flush_verdict, codes_that_are_not_there_are_a_retry_of_all)
{
	rig_init();
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL,
		                                 .partial = WEIR_PARTIAL_CODES };
	rig.verdicts[1] = (struct weir_verdict){ .kind = WEIR_PARTIAL, .partial = 77 };
	rig.verdict_count = 2;
	rig_open(0);
	rig_push_many("a", 2);
	flush();
	rig_pass(WEIR_MILLIS(5));
	expect("a a |a a |a a |");
	T_EQ(rig_stats().delivered, 2);
	rig_close();
}

Test(flush_verdict, partial_by_more_bytes_than_there_are_is_all)
{
	rig_init();
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL,
		                                 .partial = WEIR_PARTIAL_BYTES,
		                                 .bytes = UINT64_MAX };
	rig.verdict_count = 1;
	rig_open(0);
	rig_push_many("a", 3);
	flush();
	rig_pass(WEIR_MILLIS(5));
	expect("a a a |");
	T_EQ(rig_stats().delivered, 3);
	rig_close();
}

static int ready_then_full(struct weir_sink *self, struct weir_batch *batch)
{
	(void)batch;
	rig.submits++;
	if (rig.submits == 1) {
		weir_sink_ready(self);
		return -EAGAIN;
	}
	weir_batch_complete(batch, &(struct weir_verdict){ .kind = WEIR_DONE });
	return 0;
}

/* It gets room while it says that there is none: it will not say so a second time. */
Test(flush_verdict, a_sink_that_is_ready_before_it_says_that_it_is_full_is_asked_again)
{
	static struct weir_sink_ops ops;

	rig_init();
	ops = *rig.sink.ops;
	ops.submit = ready_then_full;
	rig.sink.ops = &ops;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	T_EQ(weir_run_once(rig.weir, 0), 1);
	T_EQ(rig.submits, 2); /* within the same turn */
	T_EQ(rig_stats().delivered, 1);
	T_EQ(rig.weir->flusher.sink_full, 0);
	rig_close();
}

/* --- no memory --- */

static void lose_memory(struct weir_batch *batch)
{
	(void)batch;
	memory_is_gone = 1;
}

static void lose_memory_before_submit(void)
{
	if (rig.weir && rig.weir->flusher.live)
		memory_is_gone = 1;
}

/* There is no room for its bits: nothing may be taken for done. */
Test(flush_verdict, without_memory_for_its_bits_a_partial_verdict_is_a_retry_of_all)
{
	static const uint64_t bits[] = { 1 };

	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take_back, NULL };
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL,
		                                 .partial = WEIR_PARTIAL_BITMAP,
		                                 .bitmap = bits };
	rig.verdict_count = 1;
	rig_open(0);
	rig_push_many("a", 2);
	vs.on_now = lose_memory_before_submit; /* behind the forming, before the bits */
	flush();
	vs.on_now = NULL;
	memory_is_gone = 0;
	expect("a a |");
	rig_pass(WEIR_MILLIS(5));
	expect("a a |a a |");
	T_EQ(rig_stats().delivered, 2);
	T_EQ(rig_counted(WR_DROPPED_REJECTED), 0);
	rig_close();
}

Test(flush_verdict, without_memory_for_the_rest_all_of_it_is_tried_again)
{
	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take_back, NULL };
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 1 };
	rig.verdict_count = 1;
	rig.on_submit = lose_memory;
	rig_open(0);
	rig_push_many("a", 3);
	flush();
	rig.on_submit = NULL;
	memory_is_gone = 0;
	rig_pass(WEIR_MILLIS(5));
	expect("a a a |a a a |");
	T_EQ(rig_stats().delivered, 3);
	rig_close();
}

static uint32_t gives;

static void *give_some(void *arg, size_t bytes)
{
	(void)arg;
	return gives && gives-- ? malloc(bytes) : NULL;
}

static void leave_some_memory(struct weir_batch *batch)
{
	(void)batch;
	gives = rig.verdict_next == 0 && rig.submits == 1 ? 0 : 1;
}

/* Neither half is sent before both are there. */
Test(flush_verdict, without_memory_for_the_halves_the_whole_is_tried_again)
{
	rig_init();
	gives = UINT32_MAX;
	rig.config.allocator = (struct weir_allocator){ give_some, take_back, NULL };
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_SPLIT };
	rig.verdicts[1] = (struct weir_verdict){ .kind = WEIR_SPLIT };
	rig.verdict_count = 2;
	rig.on_submit = leave_some_memory; /* for no half, then for one of them */
	rig_open(0);
	rig_push_many("a", 4);
	flush();
	expect("a a a a |");
	rig_pass(WEIR_MILLIS(5));
	expect("a a a a |a a a a |a a a a |");
	T_EQ(rig_counted(WR_SPLITS), 0);
	T_EQ(rig_stats().delivered, 4);
	gives = UINT32_MAX;
	rig_close();
}

Test(flush_control, what_was_cut_and_is_in_no_batch_is_not_drained)
{
	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take_back, NULL };
	rig_open(0);
	rig_push("a");
	flush();
	wr_batch_free_unused(&rig.weir->flusher);
	memory_is_gone = 1;
	rig_push("b");
	flush(); /* it is cut, and there is no memory for its batch */
	T_TRUE(!rig.weir->flusher.live);
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 0);
	memory_is_gone = 0;
	rig_pass(WEIR_MILLIS(20));
	expect("a |b |");
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 1);
	rig_close();
}

/* --- space --- */

/* The flusher has not met it: nothing of it was there when the barrier was asked for. */
Test(flush_release, a_ring_that_is_new_since_the_barrier_does_not_hold_it_up)
{
	struct wr_control *control;

	rig_init();
	rig.hold = 1;
	rig_open(0);
	control = &rig.weir->flusher.control;
	rig_push("a");
	atomic_store(&control->barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(rig.submits, 1);
	rig_on(900); /* of a CPU that had none when the engine was opened */
	rig_push("b");
	T_TRUE(!rig.weir->flusher.cut.shares[rig_ring(900)->id].ring);
	rig_done(0);
	rig_turn();
	T_EQ(atomic_load(&control->barrier_done), 1);
	T_EQ(rig.submits, 1);
	rig_pass(WEIR_SECONDS(3));
	rig_done(1);
	rig_close();
}

#ifdef WR_CAN_STEP

static void two_at_the_sink(void)
{
	if (rig.weir)
		rig_close();
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	flush();
	T_EQ(rig.submits, 2);
}

static void complete_first(void)
{
	rig_done(0);
}

static void complete_second(void)
{
	rig_done(1);
}

static void both_are_taken_back(void)
{
	rig_turn();
	T_EQ(rig_stats().delivered, 2);
	T_EQ(rig.weir->flusher.inflight, 0);
	T_EQ(atomic_load(&rig_ring(0)->tail), 32);
	rig_audit();
}

Test(flush_verdict, of_two_verdicts_at_once_neither_is_lost)
{
	T_TRUE(step_through(24, two_at_the_sink, complete_first, complete_second,
	                    both_are_taken_back) > 20);
}

static void rejects_first(void)
{
	rig_complete(0, (struct weir_verdict){ .kind = WEIR_DONE });
}

static void one_verdict_counts(void)
{
	rig_done(1);
	rig_turn();
	T_EQ(rig_stats().delivered, 2);
	T_EQ(atomic_load(&rig.weir->flusher.verdicts_ignored), 1);
	T_EQ(rig.weir->flusher.inflight, 0);
	rig_audit();
}

Test(flush_verdict, of_two_verdicts_on_the_same_batch_at_once_one_counts)
{
	T_TRUE(step_through(24, two_at_the_sink, complete_first, rejects_first, one_verdict_counts) >
	       20);
}
#endif
