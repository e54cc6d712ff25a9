/* SPDX-License-Identifier: Apache-2.0 */
/* What others ask of the flusher: barriers, audits, the end. */
#include "support/rig.h"

static struct wr_control *control(void)
{
	return &rig.weir->flusher.control;
}

static void flush(void)
{
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

/* --- barriers --- */

Test(flush_control, one_drain_serves_every_barrier_asked_for_before_it)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	atomic_store(&control()->barrier_asked, 3);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(control()->barrier_done, 3);
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].cause, WEIR_CAUSE_MANUAL);
}

Test(flush_control, a_barrier_is_reached_with_the_verdict_not_with_the_submit)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	atomic_store(&control()->barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(control()->barrier_done, 0);
	rig_done(0);
	rig_turn();
	T_EQ(control()->barrier_done, 1);
	T_TRUE(vs.last_woken == (const void *)&control()->barrier_turn);
}

Test(flush_control, a_barrier_does_not_wait_for_what_is_pushed_later)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	atomic_store(&control()->barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	rig_push("b");
	flush();
	T_EQ(rig.submits, 2);
	rig_done(0);
	rig_turn();
	T_EQ(control()->barrier_done, 1);
	rig_done(1);
	rig_turn();
}

Test(flush_control, a_barrier_covers_every_ring)
{
	rig_init();
	rig.hold = 1;
	rig.config.max_batch_records = 1;
	rig_open(0);
	rig_push("a");
	rig_on(3);
	rig_push("b");
	atomic_store(&control()->barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	rig_done(0);
	rig_turn();
	T_EQ(control()->barrier_done, 0);
	rig_done(1);
	rig_turn();
	T_EQ(control()->barrier_done, 1);
}

Test(flush_control, a_barrier_asked_for_during_another_is_served_after_it)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	atomic_store(&control()->barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	rig_push("b");
	atomic_store(&control()->barrier_asked, 2);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	rig_done(0);
	rig_turn();
	T_EQ(control()->barrier_done, 1);
	T_EQ(rig.submits, 2);
	rig_done(1);
	rig_turn();
	T_EQ(control()->barrier_done, 2);
}

Test(flush_control, tickets_of_barriers_wrap)
{
	rig_init();
	rig_open(0);
	control()->barrier_asked = control()->barrier_done = UINT32_MAX;
	rig_push("a");
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(1)), 0);
	T_EQ(control()->barrier_done, 0);
	T_EQ(rig.records, 1);
}

/* --- audits --- */

static struct weir_audit audit(void)
{
	struct weir_audit ret = { .size = sizeof(ret) };

	wr_flusher_audit(&rig.weir->flusher, &ret);
	return ret;
}

Test(flush_control, an_audit_finds_what_lies_in_rings)
{
	rig_init();
	rig_open(0);
	rig_push_many("a", 3);
	rig_on(1);
	rig_push_many("b", 2);
	T_EQ(audit().accepted, 5);
	T_EQ(audit().pending_ring, 5);
	T_EQ(audit().pending_batch, 0);
	T_EQ(audit().residual, 0);
}

Test(flush_control, an_audit_finds_what_lies_in_batches)
{
	rig_init();
	rig.hold = 1;
	rig.caps.max_inflight = 1;
	rig.config.max_batch_records = 2;
	rig_open(0);
	rig_push_many("a", 5);
	flush();
	T_EQ(audit().pending_batch, 2);
	T_EQ(audit().pending_ring, 3); /* taken, and in no batch yet */
	T_EQ(audit().residual, 0);
	rig.hold = 0;
	rig_done(0);
	rig_turn();
}

Test(flush_control, an_audit_counts_open_claims_as_not_accepted)
{
	struct weir_claim open, aborted;

	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(weir_claim(rig.weir, 100, NULL, &open), 0);
	T_EQ(weir_claim(rig.weir, 100, NULL, &aborted), 0);
	T_EQ(weir_abort(&aborted), 0);
	rig_push("b");
	T_EQ(audit().accepted, 2);
	T_EQ(audit().pending_ring, 2);
	T_EQ(audit().residual, 0);
	T_EQ(weir_commit(&open), 0);
	T_EQ(audit().accepted, 3);
	T_EQ(audit().residual, 0);
}

Test(flush_control, an_audit_counts_what_lies_behind_a_place_of_unknown_size_as_not_accepted)
{
	struct wr_put put = { .total = 16 };
	struct wr_seen seen;

	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(wr_fallback_reserve(rig_ring(0), &put, &seen), WR_PUSHED);
	rig_push("b");
	T_EQ(audit().pending_ring, 1);
	T_EQ(audit().accepted, 1);
	T_EQ(audit().residual, 0);
	wr_fallback_commit(&seen, wr_header_make(1, 0, WEIR_REC_COMMITTED));
	T_EQ(audit().accepted, 3);
	T_EQ(audit().residual, 0);
}

Test(flush_control, one_too_many_in_any_counter_of_an_end_fails_the_audit)
{
	static const unsigned ends[] = { WR_DELIVERED,        WR_DROPPED_REJECTED,
		                         WR_DROPPED_TIMEOUT,  WR_DROPPED_TOO_LARGE,
		                         WR_DROPPED_FATAL,    WR_DROPPED_SHUTDOWN,
		                         WR_DEAD_LETTERED };

	rig_init();
	rig_open(0);
	rig_push_many("a", 3);
	flush();
	rig_push("b");
	T_EQ(audit().residual, 0);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		wr_count(&rig.weir->flusher.counters, ends[i], 1);
		T_EQ(audit().residual, -1);
		wr_count(&rig.weir->flusher.counters, ends[i], (uint64_t)-1);
	}
	rig.weir->flusher.cut.aborted++;
	T_EQ(audit().residual, -1);
}

Test(flush_control, an_audit_that_is_asked_for_is_answered_on_the_next_turn)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	atomic_store(&control()->audit, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(control()->audit, 2);
	T_EQ(rig.weir->flusher.audit.pending_ring, 1);
	T_EQ(rig.submits, 0);
}

Test(flush_control, a_control_wake_up_is_not_counted_as_a_triggers)
{
	rig_init();
	rig_open(0);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(rig_stats().wakeups_control, 1);
	T_EQ(rig_stats().wakeups_trigger, 0);
	rig.config.threshold = 1000;
	rig_push_many("a", 1000);
	rig_turn();
	T_EQ(rig_stats().wakeups_control, 1);
	T_EQ(rig_stats().wakeups_trigger, 1);
}

/* --- the end --- */

Test(flush_control, an_engine_is_drained_when_nothing_lies_anywhere)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 1);
	rig_push("a");
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 0);
	flush();
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 0);
	rig_done(0);
	rig_turn();
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 1);
}

Test(flush_control, close_gives_open_claims_up_at_its_deadline)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_push("b");
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), &report), -ETIMEDOUT);
	T_EQ(report.claims_abandoned, 1);
	T_EQ(report.left, 0); /* what lay behind the claim still went out */
	T_STR(rig.text, "a |b |");
	T_EQ(weir_commit(&claim), -ESHUTDOWN);
	rig_audit();
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_control, close_reports_what_the_sink_did_not_take)
{
	struct weir_close_report report = { .size = sizeof(report) };

	rig_init();
	rig.submit_answer = -EAGAIN;
	rig_open(0);
	rig_push_many("a", 3);
	flush();
	rig_push_many("b", 2);
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), &report), -ETIMEDOUT);
	T_EQ(report.timed_out, 1);
	T_EQ(report.left, 5);
	T_EQ(report.left_in_batches, 3);
	T_EQ(report.left_in_rings, 2);
	T_EQ(rig_stats().dropped_shutdown, 5);
	rig_audit();
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_control, close_waits_for_what_the_sink_still_has)
{
	rig_init();
	rig_open(0);
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = WEIR_MILLIS(300) };
	rig.verdict_count = 1;
	rig_push("a");
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), NULL), 0);
	T_STR(rig.text, "a |a |");
	T_EQ(rig_stats().delivered, 1);
	T_EQ(rig_stats().pending, 0);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_control, after_close_every_push_says_shutdown_and_nothing_is_pending)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), NULL), 0);
	T_EQ(weir_push(rig.weir, "b", 1), -ESHUTDOWN);
	rig_on(5);
	T_EQ(weir_push(rig.weir, "b", 1), -ESHUTDOWN);
	T_EQ(weir_flush(rig.weir), -ESHUTDOWN);
	T_EQ(rig_stats().refused_closed, 2);
	T_EQ(rig_stats().pending, 0);
	T_EQ(weir_free(rig.weir), 0);
}

/* --- the sink's own timer and descriptors --- */

static uint32_t timer_calls;

static void sink_timer(struct weir_sink *self)
{
	(void)self;
	timer_calls++;
}

static struct weir_sink_ops timed_ops;

Test(flush_host, a_sinks_timer_goes_off_once_at_its_time)
{
	rig_init();
	timed_ops = *rig.sink.ops;
	timed_ops.timer = sink_timer;
	rig.sink.ops = &timed_ops;
	rig_open(0);
	T_EQ(weir_sink_timer(&rig.sink, RIG_START + WEIR_MILLIS(30)), 0);
	wr_flusher_kick(&rig.weir->flusher);
	rig_pass(WEIR_MILLIS(29));
	T_EQ(timer_calls, 0);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(timer_calls, 1);
	rig_pass(WEIR_SECONDS(1));
	T_EQ(timer_calls, 1);
	T_EQ(rig_stats().wakeups_sink, 1);
}

static int watched_fd;
static uint32_t watched_calls;

static void on_watched(struct weir_sink *self, int fd, uint32_t events)
{
	(void)self;
	watched_calls += fd == watched_fd && events & EPOLLIN ? 1 : 100;
}

Test(flush_host, a_sinks_descriptor_is_watched_until_it_says_stop)
{
	rig_init();
	rig_open(0);
	watched_fd = wr_sys.event_open();
	T_EQ(weir_sink_watch(&rig.sink, watched_fd, EPOLLIN, on_watched), 0);
	wr_sys.event_write(watched_fd);
	rig_turn();
	T_EQ(watched_calls, 1);
	T_EQ(rig_stats().wakeups_sink, 1);
	T_EQ(weir_sink_watch(&rig.sink, watched_fd, 0, NULL), 0);
	wr_sys.event_write(watched_fd);
	rig_turn();
	T_EQ(watched_calls, 1);
	T_EQ(weir_sink_watch(&rig.sink, watched_fd, 0, NULL), -ENOENT);
}

Test(flush_host, there_is_room_for_64_descriptors_and_the_65th_is_refused)
{
	int fds[WR_WATCHES + 1];

	rig_init();
	rig_open(0);
	for (int i = 0; i <= WR_WATCHES; i++)
		fds[i] = 100000 + i % 4; /* any known to the system */
	for (int i = 0; i < 4; i++)
		T_EQ(weir_sink_watch(&rig.sink, fds[i], EPOLLIN, on_watched), 0);
	/* the same descriptor again changes its watch and takes no place */
	for (int i = 0; i <= WR_WATCHES; i++)
		T_EQ(weir_sink_watch(&rig.sink, fds[i % 4], EPOLLIN, on_watched), 0);
	for (int i = 4; i < WR_WATCHES; i++)
		rig.weir->flusher.watches[i] = (struct wr_watch){ 900 + i, &rig.sink, on_watched };
	T_EQ(weir_sink_watch(&rig.sink, wr_sys.event_open(), EPOLLIN, on_watched), -ENOSPC);
}
