/* SPDX-License-Identifier: Apache-2.0 */
/* What is only noticed at an edge: no memory, what a cut leaves behind, and who counts what. */
#include "support/rig.h"

#include "ring/thread.h"

static int memory_is_gone;

static void *give(void *arg, size_t bytes)
{
	(void)arg;
	return memory_is_gone ? NULL : malloc(bytes);
}

static void take(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)bytes;
	free(memory);
}

Test(flush_edge, without_memory_for_the_list_of_a_cut_it_is_taken_later)
{
	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take, NULL };
	rig.config.threshold = 3;
	rig_open(0);
	memory_is_gone = 1;
	rig_push_many("a", 3);
	rig_turn();
	T_EQ(rig.submits, 0);
	/* Tried again by itself, and not all the time: no other reason to wake is left. */
	T_EQ(vs_next_timer(rig.weir->flusher.poll_fd), vs.now_ns + WR_STARVED_NS);
	rig_pass(WEIR_MILLIS(25));
	T_EQ(rig.submits, 0);
	T_EQ(rig_stats().pending, 3); /* booked as taken when it was, and once */
	memory_is_gone = 0;
	rig_pass(WEIR_MILLIS(10));
	T_STR(rig.text, "a a a |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_SIZE);
	T_EQ(rig_stats().pending, 0);
	T_EQ(rig_counted(WR_TAKEN), 0);
	rig_audit();
	rig_close();
}

Test(flush_edge, without_memory_for_a_batch_it_is_formed_later_and_nothing_is_lost)
{
	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take, NULL };
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn(); /* the list is there, and the one batch is at the sink */
	T_STR(rig.text, "a |");
	memory_is_gone = 1;
	rig_push("b");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(vs_next_timer(rig.weir->flusher.poll_fd), vs.now_ns + WR_STARVED_NS);
	rig_audit();
	memory_is_gone = 0;
	rig_pass(WEIR_MILLIS(12));
	T_STR(rig.text, "a |b |");
	rig_done(0);
	rig_done(1);
	rig_audit();
	rig_close();
}

/* "b" moved the thread to another ring, and the note of its mark has no memory. */
Test(flush_edge, what_a_cut_without_memory_leaves_keeps_its_deadline)
{
	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take, NULL };
	rig_open(0);
	rig_push("x");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn(); /* the list and a batch have their memory */
	rig_push("a");
	rig_on(1);
	rig_push("b");
	memory_is_gone = 1;
	rig_pass(WEIR_SECONDS(2) + WEIR_MILLIS(1));
	T_STR(rig.text, "x |a |");
	memory_is_gone = 0;
	rig_pass(WEIR_MILLIS(12));
	T_STR(rig.text, "x |a |b |");
	T_EQ(rig.log[2].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_edge, without_memory_for_the_list_of_a_cut_aborted_claims_are_counted_once)
{
	struct weir_claim claim;

	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take, NULL };
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn(); /* the list has its first 256 entries */
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	T_EQ(weir_abort(&claim), 0);
	for (uint32_t i = 0; i < 300; i++) { /* each goes out alone, behind the one before */
		rig_on(i % 2);
		rig_push("b");
	}
	wr_cut_make(&rig.weir->flusher.cut, rig.weir->wake.bits); /* the marks have their memory */
	memory_is_gone = 1;
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.submits, 1);
	rig_pass(WEIR_MILLIS(25));
	memory_is_gone = 0;
	rig_pass(WEIR_MILLIS(20));
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig_stats().delivered, 301);
	T_EQ(rig.weir->flusher.cut.aborted, 1);
	rig_audit();
	rig_close();
}

/* Kept over the sleep behind it, lest a record be left whose commit came late: not for ever. */
Test(flush_edge, an_urgent_time_is_over_with_the_next_cut_although_a_claim_is_open)
{
	struct weir_push_options urgent = { .max_age_ns = WEIR_MILLIS(1) };
	struct weir_claim claim;

	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &urgent), 0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_pass(WEIR_MILLIS(2));
	T_STR(rig.text, "u |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_URGENT);
	rig_on(1);
	rig_push("b");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "u |b |");
	rig_push("c");
	rig_pass(WEIR_SECONDS(1));
	T_EQ(rig.submits, 2);
	rig_pass(WEIR_SECONDS(2));
	T_STR(rig.text, "u |b |c |");
	T_EQ(rig.log[2].cause, WEIR_CAUSE_DEADLINE);
	T_EQ(weir_abort(&claim), 0);
	rig_close();
}

static uint32_t depth_in_submit;

static void note_depth(struct weir_batch *batch)
{
	(void)batch;
	depth_in_submit = wr_thread.sink_depth;
}

Test(flush_edge, the_thread_is_the_sinks_while_it_is_in_submit_and_not_after)
{
	rig_init();
	rig.on_submit = note_depth;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(depth_in_submit, 1);
	T_EQ(wr_thread.sink_depth, 0);
	rig_close();
}

Test(flush_edge, the_rest_of_a_batch_says_how_often_it_was_tried)
{
	rig_init();
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_PARTIAL, .records = 1 };
	rig.verdicts[1] = (struct weir_verdict){ .kind = WEIR_SPLIT };
	rig.verdict_count = 2;
	rig_open(0);
	rig_push_many("a", 3);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig_pass(WEIR_MILLIS(5));
	T_STR(rig.text, "a a a |a a |a |a |");
	T_EQ(rig.log[0].attempt, 1);
	T_EQ(rig.log[1].attempt, 2);
	T_EQ(rig.log[2].attempt, 3);
	T_EQ(rig.log[3].attempt, 3);
	rig_close();
}

Test(flush_edge, shares_that_were_walked_are_counted)
{
	rig_init();
	rig_open(0); /* fallback rings: each cut walks */
	T_EQ(rig_stats().walks, 0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_TRUE(rig_stats().walks > 0);
	rig_close();
}

static uint64_t jump_to;

static void jump(void)
{
	vs.on_now = NULL;
	if (vs.now_ns < jump_to)
		vs_advance(jump_to - vs.now_ns);
}

/* Its time had passed when the flusher woke for another reason: it went off, and woke it again. */
Test(flush_edge, a_timer_whose_time_passes_while_the_flusher_wakes_is_disarmed)
{
	rig_init();
	rig.config.threshold = 3;
	rig_open(0);
	rig_push_many("a", 3);
	jump_to = vs.now_ns + WEIR_SECONDS(3);
	vs_forget();
	vs.on_now = jump; /* behind the wait, before the flusher looks at the clock */
	T_EQ(weir_run_once(rig.weir, 0), 1);
	T_STR(rig.text, "a a a |");
	T_EQ(vs.timer_disarms, 1);
	T_TRUE(!vs_is_ready(rig.weir->flusher.poll_fd));
	rig_close();
}

Test(flush_edge, after_an_urgent_flush_the_next_records_wait_for_their_own_deadline)
{
	struct weir_push_options urgent = { .max_age_ns = WEIR_MILLIS(1) };

	rig_init();
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &urgent), 0);
	rig_pass(WEIR_MILLIS(2));
	T_STR(rig.text, "u |");
	T_EQ(rig.weir->wake.soon, UINT64_MAX);
	rig_push("a");
	rig_pass(WEIR_MILLIS(500));
	T_EQ(rig.submits, 1);
	rig_pass(WEIR_SECONDS(2));
	T_STR(rig.text, "u |a |");
	T_EQ(rig.log[1].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

/* It cannot be taken: counted, it would wake the flusher with each push. */
Test(flush_edge, what_lies_behind_an_open_claim_wakes_nobody)
{
	struct weir_claim claim;

	rig_init();
	rig.config.threshold = 3;
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_push_many("a", 5);
	rig_turn();
	T_EQ(rig.submits, 0);
	vs_forget();
	rig_push("a");
	T_EQ(vs.event_writes, 0);
	T_EQ(weir_abort(&claim), 0);
	rig_turn();
	T_EQ(rig_stats().delivered, 6);
	rig_close();
}

/* A flusher that falls asleep while close goes through the rings deals their limits anew. */
Test(flush_edge, a_sleep_opens_no_ring_that_was_closed)
{
	struct wr_ring *ring;

	rig_init();
	rig_open(0);
	rig_push("a");
	ring = rig_ring(0);
	atomic_store(&ring->limit, wr_limit_make(0, 0, WR_STOP_CLOSED,
	                                         wr_head_position(ring_head(ring))));
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |");
	T_EQ(rig.weir->flusher.asleep, 1);
	T_TRUE(wr_limit_kind(ring->limit) & WR_STOP_CLOSED);
	T_EQ(weir_push(rig.weir, "b", 1), -ESHUTDOWN);
}

static void ask_at_the_end(_Atomic uint32_t *word)
{
	if (word != &rig.weir->flusher.control.ended)
		return;
	vs.on_futex_wake = NULL;
	atomic_store(&rig.weir->flusher.control.audit, 1);
}

/* Whoever asks in that very moment would wait until its time is up. */
Test(flush_edge, an_audit_that_is_asked_for_at_the_end_is_told_of_it)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	vs.on_futex_wake = ask_at_the_end;
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), NULL), 0);
	T_EQ(atomic_load(&rig.weir->flusher.control.audit), 0);
}

Test(flush_edge, what_a_sink_still_has_at_the_end_stays_as_it_is)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;
	uint64_t tail;

	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("abc");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(rig.submits, 1);
	tail = rig_ring(0)->tail;
	T_EQ(weir_close(rig.weir, 0, &report), -ETIMEDOUT);
	T_EQ(report.sink_stuck, 1);
	T_EQ(rig_ring(0)->tail, tail);
	T_EQ(weir_batch_next(rig.log[0].batch, &iter, &record), 1);
	T_EQ(record.size, 3);
	T_EQ(memcmp(record.data, "abc", 3), 0);
}

Test(flush_edge, a_later_batch_does_not_overtake_one_that_is_tried_again)
{
	rig_init();
	rig.config.max_batch_records = 1;
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = WEIR_MILLIS(5) };
	rig.verdict_count = 1;
	rig_open(0);
	rig_push("a");
	rig_push("b");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |");
	rig_pass(WEIR_MILLIS(6));
	T_STR(rig.text, "a |a |b |");
	rig_close();
}

Test(flush_edge, what_lies_behind_an_open_claim_is_as_old_as_it_is)
{
	struct weir_claim claim;
	uint64_t pushed_ns;

	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	memcpy(claim.data, "c", 1);
	vs_advance(WEIR_MILLIS(1));
	pushed_ns = vs.now_ns;
	rig_push("b");
	vs_advance(WEIR_MILLIS(1));
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |");
	vs_advance(WEIR_MILLIS(1));
	T_EQ(weir_commit(&claim), 0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |c b |");
	T_TRUE(rig.log[1].earliest_ns <= pushed_ns);
	rig_close();
}

static void push_late(void)
{
	vs.on_membarrier = NULL;
	rig_push("b");
}

Test(flush_edge, what_slips_in_while_the_flusher_falls_asleep_is_due_a_deadline_after_it_woke)
{
	uint64_t woke_us = RIG_START / 1000;

	rig_init();
	rig_open(1);
	if (!rig.weir->rings.sections)
		T_SKIP("no restartable sequences");
	rig_push("a");
	vs.on_membarrier = push_late;
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |");
	T_EQ(wr_due_time(rig.weir->wake.due), woke_us + 1 + 2000000);
	T_EQ(vs_timer(rig.weir->flusher.timer_fd), (woke_us + 1 + 2000000) * 1000);
	rig_close();
}

/* The flusher itself gives claims up, before it turns: it would fall asleep over what lay behind. */
Test(flush_edge, giving_claims_up_wakes_the_flusher_and_giving_up_nothing_does_not)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_push("a");
	vs_forget();
	wr_flusher_abandon(&rig.weir->flusher);
	T_EQ(vs.event_writes, 1);
	wr_flusher_abandon(&rig.weir->flusher);
	T_EQ(vs.event_writes, 1);
	T_EQ(weir_commit(&claim), -ESHUTDOWN);
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a |");
	rig_close();
}

/* It gives space back and needs no cut: one would cost a membarrier and deal every alarm. */
Test(flush_edge, a_verdict_alone_is_no_reason_for_a_cut)
{
	uint32_t epoch;

	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	epoch = rig.weir->flusher.epoch;
	rig_done(0);
	rig_turn();
	T_EQ(rig_stats().delivered, 1);
	T_EQ(rig.weir->flusher.epoch, epoch);
	T_EQ(rig.weir->flusher.asleep, 1);
	rig_close();
}

static void nothing_to_do(struct weir_sink *self)
{
	(void)self;
}

Test(flush_edge, a_stale_timer_is_passed_over_although_the_sinks_goes_off_as_well)
{
	static struct weir_sink_ops timed;
	uint32_t epoch;

	rig_init();
	timed = *rig.sink.ops;
	timed.timer = nothing_to_do;
	rig.sink.ops = &timed;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_sink_timer(&rig.sink, vs.now_ns + 10), 0);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, "a |");
	wr_sys.timer_set(rig.weir->flusher.timer_fd, vs.now_ns + 10);
	epoch = rig.weir->flusher.epoch;
	vs_advance(20);
	rig_turn();
	T_EQ(rig.weir->flusher.epoch, epoch);
	T_EQ(wr_due_time(rig.weir->wake.due), WR_DUE_INF);
	rig_close();
}

/* Rings are kept in words of 64 bits each. */
Test(flush_edge, what_is_left_in_the_70th_ring_keeps_its_deadline_over_a_wake_up)
{
	rig_init();
	rig_open(0);
	for (uint32_t cpu = 0; cpu < 69; cpu++) {
		rig_on(cpu);
		rig_push("a");
	}
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig_on(69);
	rig_push("z");
	T_EQ(rig_ring(69)->id, 70);
	for (int i = 0; i < 3; i++) { /* woken for nothing */
		wr_flusher_kick(&rig.weir->flusher);
		rig_turn();
		T_EQ(rig.weir->flusher.cut.records, 1);
		T_EQ(rig.submits, 1);
	}
	rig_pass(WEIR_SECONDS(3));
	T_EQ(rig.submits, 2);
	T_EQ(rig_stats().delivered, 70);
	T_EQ(rig.log[1].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_edge, a_barrier_that_waits_for_its_verdict_flushes_nothing_more)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	atomic_store(&rig.weir->flusher.control.barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(rig.submits, 1);
	rig_push("b");
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(rig.weir->flusher.in_barrier, 1);
	rig_done(0);
	rig_pass(WEIR_SECONDS(3));
	rig_done(1);
	T_STR(rig.text, "a |b |");
	rig_close();
}
