/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the flusher, at its edges: numbers that no ring took, claims that end just now. */
#include "support/rig.h"
#include "support/step.h"

#include "flush/policy.h"

/* A number that a thread took, and gave up because another made the ring of that CPU first. */
static void leave_a_hole(void)
{
	atomic_fetch_add(&rig.weir->rings.last_id, 1);
}

/* The rings of the CPUs that there are were made with the engine: these two are none of them. */
static uint32_t rings_with_a_hole(void)
{
	uint32_t before;

	rig_init();
	rig_open(0);
	before = wr_rings_last_id(&rig.weir->rings);
	leave_a_hole();
	rig_on(900);
	rig_push("a");
	leave_a_hole();
	rig_on(901);
	rig_push("b");
	leave_a_hole();
	T_EQ(rig_ring(900)->id, before + 2);
	T_EQ(rig_ring(901)->id, before + 4);
	return before;
}

Test(flush_control, numbers_that_no_ring_took_change_no_count)
{
	struct weir_audit audit = { .size = sizeof(audit) };
	uint32_t before = rings_with_a_hole();

	T_EQ(rig_stats().accepted, 2);
	T_EQ(rig_stats().rings, before + 2);
	wr_flusher_audit(&rig.weir->flusher, &audit);
	T_EQ(audit.accepted, 2);
	T_EQ(audit.pending_ring, 2);
	T_EQ(audit.residual, 0);
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 0);
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a b |");
	T_EQ(wr_flusher_is_drained(&rig.weir->flusher), 1);
	rig_close();
}

Test(flush_control, numbers_that_no_ring_took_hold_no_barrier_up)
{
	(void)rings_with_a_hole();
	atomic_store(&rig.weir->flusher.control.barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_STR(rig.text, "a b |");
	T_EQ(atomic_load(&rig.weir->flusher.control.barrier_done), 1);
	rig_close();
}

Test(flush_control, numbers_that_no_ring_took_do_not_keep_close_waiting)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_claim claim;

	(void)rings_with_a_hole();
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), &report), -ETIMEDOUT);
	T_EQ(report.claims_abandoned, 1);
	T_STR(rig.text, "a b |");
	T_EQ(rig_stats().delivered, 2);
	T_EQ(weir_commit(&claim), -ESHUTDOWN);
	rig_audit();
}

/* A ring without a record of its own, made while a barrier is under way. */
Test(flush_control, a_ring_that_nobody_has_used_asks_for_no_flush)
{
	struct wr_ring *ring;

	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	atomic_store(&rig.weir->flusher.control.barrier_asked, 1);
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	T_EQ(rig.submits, 1);
	T_EQ(wr_rings_get(&rig.weir->rings, WR_RING_FALLBACK, 900, &ring), 0);
	T_EQ(wr_control_requested(&rig.weir->flusher), 0);
	rig_done(0);
	rig_turn();
	T_EQ(atomic_load(&rig.weir->flusher.control.barrier_done), 1);
	rig_close();
}

Test(flush_control, a_flush_that_was_asked_for_is_a_request_until_it_is_begun)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(wr_control_requested(&rig.weir->flusher), 0);
	T_EQ(weir_flush(rig.weir), 0);
	T_EQ(wr_control_requested(&rig.weir->flusher), 1);
	rig_turn();
	T_EQ(wr_control_requested(&rig.weir->flusher), 0);
	T_STR(rig.text, "a |");
	rig_close();
}

static void *give_nothing(void *arg, size_t bytes)
{
	(void)arg, (void)bytes;
	return NULL;
}

static void take_nothing(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)memory, (void)bytes;
}

Test(flush_control, without_memory_no_engine_is_opened)
{
	struct weir_why why = { "" };

	rig_init();
	wr_rseq_force(WR_RSEQ_FORCED_OFF);
	rig.config.allocator = (struct weir_allocator){ give_nothing, take_nothing, NULL };
	T_EQ(weir_open(&rig.config, &rig.sink, &rig.weir, &why), -ENOMEM);
	T_STR(why.text, "no memory for the flusher");
	T_TRUE(!rig.weir && !rig.sink.host);
}

Test(flush_control, told_to_end_now_the_loop_submits_nothing_more_and_says_what_is_left)
{
	struct wr_flusher *flusher;

	rig_init();
	rig_open(0);
	flusher = &rig.weir->flusher;
	rig_push("a");
	atomic_store(&flusher->control.shutdown, 4);
	wr_flusher_run(flusher);
	T_EQ(rig.submits, 0);
	T_EQ(atomic_load(&flusher->control.ended), 1);
	T_EQ(flusher->left_in_rings, 1);
	T_EQ(rig_counted(WR_DROPPED_SHUTDOWN), 1);
	rig_audit();
}

/* --- descriptors --- */

/* How many more can be opened; they are closed again. */
static int free_fds(void)
{
	int fds[64], n = 0;

	while (n < 64 && (fds[n] = wr_sys.event_open()) >= 0)
		n++;
	for (int i = 0; i < n; i++)
		(void)wr_sys.close(fds[i]);
	return n;
}

Test(flush_control, without_a_descriptor_left_no_engine_is_opened_and_none_is_kept)
{
	for (int left = 0; left <= 5; left++) {
		struct weir_why why = { "" };
		int r;

		rig_init();
		wr_rseq_force(WR_RSEQ_FORCED_OFF);
		for (int n = free_fds(); n > left; n--)
			T_TRUE(wr_sys.event_open() >= 0);
		r = weir_open(&rig.config, &rig.sink, &rig.weir, &why);
		if (left == 5) {
			T_EQ(r, 0);
			rig_close();
		} else {
			T_EQ(r, -EMFILE);
			T_STR(why.text, "no descriptor was left");
		}
		T_EQ(free_fds(), left);
		T_TRUE(left == 5 || !rig.sink.host);
	}
}

Test(flush_control, where_its_descriptors_cannot_be_watched_no_engine_is_opened)
{
	for (uint32_t which = 1; which <= 5; which++) {
		struct weir_why why = { "" };
		int before, r;

		rig_init();
		wr_rseq_force(WR_RSEQ_FORCED_OFF);
		before = free_fds();
		vs.poll_ctl_fails = which;
		r = weir_open(&rig.config, &rig.sink, &rig.weir, &why);
		T_EQ(r, which <= 4 ? -ENOSPC : 0);
		if (r)
			T_TRUE(why.text[0]);
		else
			rig_close();
		T_EQ(free_fds(), before);
	}
}

/* --- what the engine offers its sink --- */

static uint32_t calls;
static int watched[2];

static void stop_the_other(struct weir_sink *self, int fd, uint32_t events)
{
	(void)events;
	calls++;
	for (int i = 0; i < 2; i++)
		if (watched[i] != fd)
			T_EQ(weir_sink_watch(self, watched[i], 0, NULL), 0);
}

/* Both are ready in the same wake-up. */
Test(flush_host, a_descriptor_that_is_stopped_while_its_event_waits_calls_nobody)
{
	rig_init();
	rig_open(0);
	for (int i = 0; i < 2; i++) {
		watched[i] = wr_sys.event_open();
		T_EQ(weir_sink_watch(&rig.sink, watched[i], EPOLLIN, stop_the_other), 0);
		wr_sys.event_write(watched[i]);
	}
	rig_turn();
	T_EQ(calls, 1);
	rig_close();
}

Test(flush_host, a_descriptor_that_cannot_be_watched_takes_no_place)
{
	rig_init();
	rig_open(0);
	T_EQ(weir_sink_watch(&rig.sink, 5, EPOLLIN, stop_the_other), -EBADF);
	for (int i = 0; i < WR_WATCHES; i++)
		T_TRUE(!rig.weir->flusher.watches[i].fn);
	T_EQ(weir_sink_watch(&rig.sink, 5, 0, NULL), -ENOENT);
	rig_close();
}

Test(flush_host, a_sink_without_a_timer_method_may_set_one_and_is_not_called)
{
	rig_init();
	rig_open(0);
	T_EQ(weir_sink_timer(&rig.sink, RIG_START + 10), 0);
	rig_turn();
	rig_pass(100);
	T_EQ(rig.weir->flusher.sink_timer_ns, UINT64_MAX);
	rig.weir->flusher.sink_timer_of = NULL;
	rig.weir->flusher.sink_timer_ns = vs.now_ns;
	wr_host_event(&rig.weir->flusher, WR_TAG_AUX, EPOLLIN);
	T_EQ(rig.weir->flusher.sink_timer_ns, UINT64_MAX);
	rig_close();
}

Test(flush_host, an_event_of_nobody_is_passed_over)
{
	rig_init();
	rig_open(0);
	calls = 0;
	rig.weir->flusher.watches[0].fn = stop_the_other;
	wr_host_event(&rig.weir->flusher, WR_TAG_WATCH - 1, EPOLLIN);
	wr_host_event(&rig.weir->flusher, WR_TAG_WATCH + WR_WATCHES, EPOLLIN);
	T_EQ(calls, 0);
	rig.weir->flusher.watches[0].fn = NULL;
	rig_close();
}

Test(flush_host, a_sinks_memory_is_the_engines)
{
	struct weir_allocator mine = { NULL, NULL, &calls };

	rig_init();
	rig_open(0);
	rig.weir->flusher.allocator = mine;
	T_TRUE(rig.sink.host->ops->allocator(rig.sink.host) == &rig.weir->flusher.allocator);
	rig_close();
}

/* --- pure --- */

Test(flush_policy, a_shadow_timer_without_a_deadline_never_holds)
{
	struct wr_policy policy = { .deadline_ns = WEIR_OFF, .timer_mode = WEIR_MODE_SHADOW };
	struct wr_facts facts = { .records = 1, .bytes = 16, .now_ns = 1000, .due_ns = 1000,
		                  .urgent_ns = UINT64_MAX, .oldest_ns = 1 };
	struct wr_decision decision = wr_policy_decide(&policy, &facts);

	T_EQ((int)decision.cause, WEIR_CAUSE_NONE);
	T_EQ(decision.shadow, 0);
}

#ifdef WR_CAN_STEP

static struct weir_claim open_claim;
static int committed;

static void one_open_claim(void)
{
	if (rig.weir)
		rig_close();
	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &open_claim), 0);
	memcpy(open_claim.data, "c", 1);
}

static void abandon(void)
{
	wr_flusher_abandon(&rig.weir->flusher);
}

static void commit(void)
{
	committed = weir_commit(&open_claim);
}

static void one_of_them_has_it(void)
{
	T_EQ(rig.weir->flusher.claims_abandoned, committed == 0 ? 0 : 1);
	T_TRUE(committed == 0 || committed == -ESHUTDOWN);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_STR(rig.text, committed == 0 ? "c |" : "");
	T_EQ(rig_stats().accepted, committed == 0 ? 1 : 0);
	rig_audit();
}

Test(flush_control, a_claim_that_is_committed_at_any_instruction_of_giving_it_up_goes_out_or_is_refused)
{
	T_TRUE(step_through(12, one_open_claim, abandon, commit, one_of_them_has_it) > 20);
}
#endif
