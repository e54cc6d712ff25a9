/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of weir.h at their edges, on virtual time: in a forked child, amid a close, when it has
 * ended, and with arguments that overflow.
 */
#include "support/rig.h"
#include "support/step.h"

#include <errno.h>

#include "api/push.h"
#include "base/testpoint.h"
#include "base/thread.h"
#include "ring/thread.h"

static void flush(void)
{
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

/* --- a forked child: the page is all that the kernel has wiped --- */

static void wipe(void)
{
	memset((void *)rig.weir->rings.page, 0, sizeof(*rig.weir->rings.page));
}

Test(child, every_call_is_refused_and_counts_nothing)
{
	static const uint8_t big[8193];
	struct weir_stats stats = { .size = sizeof(stats) };
	struct weir_audit audit = { .size = sizeof(audit) };
	struct weir_features features = { .size = sizeof(features) };
	struct weir_claim claim, another;
	uint64_t ns, head;

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	head = ring_head(rig_ring(0));
	wipe();
	vs_forget();
	T_EQ(weir_push(rig.weir, "a", 1), -EPERM);
	T_EQ(weir_pushv(rig.weir, NULL, 0), -EPERM);
	T_EQ(weir_push(rig.weir, big, sizeof(big)), -EPERM);
	T_EQ(weir_claim(rig.weir, 1, NULL, &another), -EPERM);
	T_EQ(weir_commit(&claim), -EPERM);
	T_EQ(weir_abort(&claim), -EPERM);
	T_EQ(weir_flush(rig.weir), -EPERM);
	T_EQ(weir_flush_wait(rig.weir, 1), -EPERM);
	T_EQ(weir_run_once(rig.weir, 0), -EPERM);
	T_EQ(weir_source(rig.weir, "x"), -EPERM);
	T_EQ(weir_poll_fd(rig.weir), -EPERM);
	T_EQ(weir_next_deadline(rig.weir, &ns), -EPERM);
	T_EQ(weir_stats(rig.weir, &stats), -EPERM);
	T_EQ(weir_audit(rig.weir, &audit), -EPERM);
	T_EQ(weir_features(rig.weir, &features), -EPERM);
	T_EQ(rig.weir->refused_too_big + rig.weir->refused_closed + rig.weir->refused_context, 0);
	T_EQ(rig.weir->inside, 0);
	T_EQ(ring_head(wr_rings_by_id(&rig.weir->rings, 1)), head);
	T_EQ(vs.timer_sets + vs.event_writes + vs.futex_wakes, 0);
}

#ifdef WR_TEST_POINTS

/* A handler forks while the slow path has just counted itself in; its parent closes meanwhile. */
static void fork_inside(const char *name)
{
	if (strcmp(name, "push.inside") != 0)
		return;
	wr_testpoint_hook = NULL;
	wipe();
	atomic_store(&rig.weir->closing, 1);
}

Test(child, of_a_handler_amid_a_slow_path_is_told_that_it_is_a_child)
{
	rig_init();
	rig_open(0);
	wr_testpoint_hook = fork_inside;
	T_EQ(weir_push(rig.weir, "a", 1), -EPERM);
	T_TRUE(!wr_testpoint_hook);
}

#endif

Test(child, its_own_copies_of_the_descriptors_are_closed)
{
	for (int by_free = 0; by_free < 2; by_free++) {
		struct wr_flusher *flusher;

		rig_init();
		rig_open(0);
		flusher = &rig.weir->flusher;
		wipe();
		T_EQ(by_free ? weir_free(rig.weir) : weir_close(rig.weir, 0, NULL),
		     by_free ? 0 : -EPERM);
		T_EQ(flusher->poll_fd + flusher->timer_fd + flusher->event_fd, -3);
		T_EQ(flusher->done_fd + flusher->aux_fd, -2);
		T_EQ(rig.weir->rings.memory_fd, -1);
	}
}

/* --- arguments --- */

static struct weir *nothing_opened;

static int try_sink(const struct weir_sink_ops *ops)
{
	struct weir_sink sink = { ops, NULL };

	return weir_open(NULL, &sink, &nothing_opened, NULL);
}

Test(open, a_sink_that_lacks_any_method_that_is_needed_is_refused)
{
	struct weir_sink_ops ops;

	rig_init();
	T_EQ(weir_open(NULL, &rig.sink, NULL, NULL), -EINVAL);
	T_EQ(try_sink(NULL), -EINVAL);
	ops = *rig.sink.ops;
	ops.submit = NULL;
	T_EQ(try_sink(&ops), -EINVAL);
	ops = *rig.sink.ops;
	ops.settle = NULL;
	T_EQ(try_sink(&ops), -EINVAL);
	ops = *rig.sink.ops;
	ops.close = NULL;
	T_EQ(try_sink(&ops), -EINVAL);
	T_TRUE(!nothing_opened);
}

Test(open, a_sink_needs_no_start)
{
	struct weir_sink_ops ops;

	rig_init();
	ops = *rig.sink.ops;
	ops.start = NULL;
	rig.sink.ops = &ops;
	rig_open(0);
	rig_push("a");
	flush();
	T_STR(rig.text, "a |");
	rig_close();
}

static int start_and_say(struct weir_sink *self, struct weir_sink_host *host,
                         struct weir_sink_caps *caps, struct weir_why *why)
{
	(void)self, (void)host, (void)caps;
	snprintf(why->text, sizeof(why->text), "the sink's own words");
	return -ENXIO;
}

Test(open, what_a_sink_says_itself_is_passed_on)
{
	struct weir_why why = { "" };
	struct weir_sink_ops ops;

	rig_init();
	ops = *rig.sink.ops;
	ops.start = start_and_say;
	rig.sink.ops = &ops;
	T_EQ(weir_open(&rig.config, &rig.sink, &rig.weir, &why), -ENXIO);
	T_STR(why.text, "the sink's own words");
}

/* 0 is what a child finds: an engine of that generation would take it for its own. */
Test(open, the_generation_after_the_last_is_1_again)
{
	struct weir *first;

	rig_init();
	rig_open(0);
	first = rig.weir;
	rig_close();
	first->generation = UINT32_MAX;
	rig_init();
	rig_open(0);
	T_TRUE(rig.weir == first);
	T_EQ(rig.weir->generation, 1);
	rig_push("a");
	wipe();
	T_EQ(weir_push(rig.weir, "b", 1), -EPERM);
}

Test(claim, a_claim_of_an_engine_that_is_gone_does_nothing)
{
	struct weir_claim claim, none = { 0 };

	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	(void)weir_close(rig.weir, 0, NULL);
	T_EQ(weir_free(rig.weir), 0);
	rig_init();
	rig_open(0);
	T_TRUE(claim.weir == rig.weir); /* the next in the same slot */
	T_EQ(weir_commit(&claim), -EINVAL);
	T_EQ(weir_abort(&claim), -EINVAL);
	T_EQ(weir_commit(&none), -EINVAL);
	none.weir = rig.weir;
	T_EQ(weir_commit(&none), -EINVAL);
	T_EQ(rig_stats().accepted, 0);
	rig_close();
}

Test(urgent, in_shadow_it_is_noted_and_counted_and_flushes_nothing)
{
	struct weir_push_options urgent = { .max_age_ns = WEIR_MILLIS(1) };

	rig_init();
	rig.config.urgent_mode = WEIR_MODE_SHADOW;
	rig_open(0);
	T_EQ(weir_push_ex(rig.weir, "u", 1, &urgent), 0);
	rig_pass(WEIR_MILLIS(100));
	T_EQ(rig.submits, 0);
	flush();
	T_STR(rig.text, "u |");
	T_EQ(rig_stats().shadow[WEIR_CAUSE_URGENT], 1);
	rig_close();
}

/* --- waits --- */

Test(wait, a_wait_of_no_end_does_not_wrap)
{
	uint64_t due_ns;

	rig_init();
	rig_open(0);
	rig_push("a");
	due_ns = vs_timer(rig.weir->flusher.timer_fd);
	T_EQ(weir_run_once(rig.weir, UINT64_MAX - 1), 1);
	T_EQ(vs.now_ns, due_ns);
	T_STR(rig.text, "a |");
	rig_push("b");
	T_EQ(weir_flush_wait(rig.weir, UINT64_MAX), 0);
	T_STR(rig.text, "a |b |");
	rig_close();
}

static int answer, answer_2, answer_3;

static void call_from_sink(struct weir_batch *batch)
{
	struct weir_audit audit = { .size = sizeof(audit) };
	uint64_t ns = 0;

	(void)batch;
	answer = weir_run_once(rig.weir, 0);
	answer_2 = weir_audit(rig.weir, &audit);
	answer_3 = weir_close(rig.weir, 0, NULL);
	T_EQ(weir_free(rig.weir), -EDEADLK);
	T_EQ(weir_next_deadline(rig.weir, &ns), 0);
	T_EQ(ns, UINT64_MAX); /* awake, it has none */
}

Test(wait, a_sink_that_would_wait_for_itself_is_told)
{
	rig_init();
	rig.on_submit = call_from_sink;
	rig_open(0);
	rig_push("a");
	flush();
	T_EQ(answer, -EDEADLK);
	T_EQ(answer_2, -EDEADLK);
	T_EQ(answer_3, -EDEADLK);
	rig_close();
}

Test(wait, on_a_thread_of_the_sinks_own_nothing_waits_for_the_sink)
{
	rig_init();
	rig_open(0);
	wr_thread_hosted = 1;
	T_EQ(weir_flush_wait(rig.weir, 1), -EDEADLK);
	T_EQ(weir_close(rig.weir, 1, NULL), -EDEADLK);
	wr_thread_hosted = 0;
	rig_close();
}

Test(wait, after_close_every_call_says_so)
{
	uint64_t ns;

	rig_init();
	rig_open(0);
	T_EQ(weir_close(rig.weir, 0, NULL), 0);
	T_EQ(weir_run_once(rig.weir, 0), -ESHUTDOWN);
	T_EQ(weir_flush_wait(rig.weir, 0), -ESHUTDOWN);
	T_EQ(weir_poll_fd(rig.weir), -ESHUTDOWN);
	T_EQ(weir_next_deadline(rig.weir, &ns), -ESHUTDOWN);
	T_EQ(weir_source(rig.weir, "x"), -ESHUTDOWN);
	T_EQ(weir_free(rig.weir), 0);
}

static uint32_t clock_reads;

/* Another thread's close, between two looks of who waits. */
static void close_at_the_second_look(void)
{
	if (++clock_reads != 2)
		return;
	vs.on_now = NULL;
	(void)weir_close(rig.weir, 0, NULL);
}

Test(wait, a_flush_that_the_end_overtakes_says_so)
{
	rig_init();
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	flush();
	T_EQ(rig.submits, 1);
	vs.on_now = close_at_the_second_look;
	T_EQ(weir_flush_wait(rig.weir, WEIR_SECONDS(100)), -ESHUTDOWN);
	rig_done(0);
}

static void let_time_pass(void)
{
	vs.now_ns += WEIR_MILLIS(100);
}

Test(audit, while_another_thread_turns_the_crank_it_is_waited_for_and_not_for_ever)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	rig_init();
	rig_open(0);
	atomic_store(&rig.weir->flusher.turning, 1);
	vs.on_now = let_time_pass;
	T_EQ(weir_audit(rig.weir, &audit), -ETIMEDOUT);
	vs.on_now = NULL;
	T_EQ(atomic_load(&rig.weir->flusher.turning), 1);
	atomic_store(&rig.weir->flusher.turning, 0);
	T_EQ(weir_audit(rig.weir, &audit), 0);
	rig_close();
}

/* The flusher's thread is played by what happens while the caller waits. */
static void ask_a_thread(void (*meanwhile)(_Atomic uint32_t *word))
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig.weir->has_thread = 1;
	vs.on_futex_wait = meanwhile;
}

static void thread_answers(_Atomic uint32_t *word)
{
	T_TRUE(word == &rig.weir->flusher.control.audit);
	T_EQ(wr_control_pending(&rig.weir->flusher), 1);
}

static void thread_ends(_Atomic uint32_t *word)
{
	(void)word;
	vs.on_futex_wait = NULL;
	atomic_store(&rig.weir->flusher.control.ended, 1);
}

static void thread_ends_and_withdraws(_Atomic uint32_t *word)
{
	thread_ends(word);
	atomic_store(&rig.weir->flusher.control.audit, 0);
}

Test(audit, the_flushers_thread_answers)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	ask_a_thread(thread_answers);
	T_EQ(weir_audit(rig.weir, &audit), 0);
	T_EQ(audit.pending_ring, 1);
	T_EQ(audit.residual, 0);
	rig.weir->has_thread = 0;
	rig_close();
}

Test(audit, a_thread_that_does_not_answer_is_not_waited_for_for_ever)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	ask_a_thread(NULL);
	T_EQ(weir_audit(rig.weir, &audit), -ETIMEDOUT);
	T_EQ(atomic_load(&rig.weir->flusher.control.audit), 0);
	T_EQ(audit.accepted, 0);
	rig.weir->has_thread = 0;
	rig_close();
}

Test(audit, a_thread_that_ends_meanwhile_is_not_needed)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	for (int withdraws = 0; withdraws < 2; withdraws++) {
		ask_a_thread(withdraws ? thread_ends_and_withdraws : thread_ends);
		T_EQ(weir_audit(rig.weir, &audit), 0);
		T_EQ(audit.pending_ring, 1);
		T_EQ(audit.residual, 0);
		rig.weir->has_thread = 0;
		rig_close();
	}
}

/* The thread's last act comes between the question and the look at its end. */
static void thread_ends_at_the_kick(int fd)
{
	(void)fd;
	vs.on_event_write = NULL;
	atomic_store(&rig.weir->flusher.control.ended, 1);
}

Test(audit, a_thread_that_ends_before_the_wait_is_not_waited_for)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	ask_a_thread(NULL);
	vs.on_event_write = thread_ends_at_the_kick;
	T_EQ(weir_audit(rig.weir, &audit), 0);
	T_EQ(vs.futex_waits, 0);
	T_EQ(audit.pending_ring, 1);
	rig.weir->has_thread = 0;
	rig_close();
}

Test(stats, an_age_is_told_only_when_it_is_known_and_past)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	vs_advance(WEIR_MILLIS(3));
	T_TRUE(rig_stats().oldest_age_ns >= WEIR_MILLIS(3));
	rig.weir->wake.first_us = 0;
	T_EQ(rig_stats().oldest_age_ns, 0);
	rig.weir->wake.first_us = vs.now_ns / 1000 + 5; /* of a clock read a moment later */
	T_EQ(rig_stats().oldest_age_ns, 0);
	flush();
	rig_close();
}

Test(features, an_engine_without_sections_says_why)
{
	struct weir_features features = { .size = sizeof(features) };

	rig_init();
	rig_open(0);
	T_EQ(weir_features(rig.weir, &features), 0);
	T_EQ(features.rseq, 0);
	T_EQ(features.membarrier, 0);
	T_STR(features.why_no_rseq, "switched off by a test");
	T_EQ(features.ring_bytes, SMALL_RING);
	rig_close();
}

/* --- room --- */

static uint64_t waited_until_ns;

static void no_room_comes(_Atomic uint32_t *word)
{
	(void)word;
	vs.on_futex_wait = NULL;
	waited_until_ns = vs.now_ns;
	atomic_store(&rig.weir->wake.hopeless, 1); /* ends the wait that has no bound */
	atomic_fetch_add(&rig.weir->wake.release_seq, 1);
}

static void full_ring(void)
{
	static const char text[1016];

	rig_init();
	rig.hold = 1;
	rig.config.block_max_ns = WEIR_MILLIS(70);
	rig_open(0);
	for (int i = 0; i < 64; i++)
		T_EQ(weir_push(rig.weir, text, sizeof(text)), 0);
}

Test(push, a_wait_without_a_bound_of_its_own_has_the_engines)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT };
	uint64_t before;

	full_ring();
	before = vs.now_ns;
	T_EQ(weir_push_ex(rig.weir, "x", 1, &options), -ETIMEDOUT);
	T_EQ(vs.now_ns - before, WEIR_MILLIS(70));
	options.wait_ns = WEIR_MILLIS(5);
	before = vs.now_ns;
	T_EQ(weir_push_ex(rig.weir, "x", 1, &options), -ETIMEDOUT);
	T_EQ(vs.now_ns - before, WEIR_MILLIS(5));
}

Test(push, a_wait_of_no_end_does_not_wrap)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = UINT64_MAX };

	full_ring();
	vs.on_futex_wait = no_room_comes;
	T_EQ(weir_push_ex(rig.weir, "x", 1, &options), -EPIPE);
	T_EQ(vs.futex_waits, 1); /* it did wait */
	T_EQ(waited_until_ns, vs.now_ns);
}

Test(push, a_thread_that_handlers_have_taken_to_four_rings_is_refused_a_fifth)
{
	_Atomic uint64_t *order;
	uint64_t full = UINT64_C(11) << 16 | UINT64_C(12) << 28 | UINT64_C(13) << 40 |
	                UINT64_C(14) << 52;

	rig_init();
	rig_open(0);
	order = &wr_thread.order[rig.weir->order_slot];
	atomic_store(order, full);
	rig_on(900);
	T_EQ(weir_push(rig.weir, "a", 1), -EAGAIN);
	T_EQ(rig_stats().refused_context, 1);
	T_EQ(rig_stats().accepted, 0);
	T_TRUE(atomic_load(order) == full);
	rig_close();
}

Test(push, where_no_further_ring_can_be_made_it_is_refused_and_counted)
{
	rig_init();
	rig_open(0);
	atomic_store(&rig.weir->rings.last_id, WR_RING_IDS - 1);
	rig_on(900);
	T_EQ(weir_push(rig.weir, "a", 1), -EMFILE);
	T_EQ(rig_stats().refused_context, 1);
	rig_on(0);
	rig_push("b");
	flush();
	T_STR(rig.text, "b |");
	rig_close();
}

/* --- sections --- */

static void open_sections(void)
{
	rig_init();
	rig_open(1);
	if (!rig.weir->rings.sections)
		T_SKIP("no restartable sequences");
	wr_thread.stay = 0;
}

Test(push, where_its_cpu_has_no_ring_one_is_made)
{
	uint32_t before;

	open_sections();
	before = wr_rings_last_id(&rig.weir->rings);
	wr_rings_unpublish(&rig.weir->rings);
	rig_push("a");
	rig_push("b");
	T_TRUE(wr_rings_last_id(&rig.weir->rings) > before);
	flush();
	T_EQ(rig_stats().delivered, 2);
	T_EQ(wr_thread.stay, 0);
	rig_close();
}

Test(push, where_its_cpu_can_get_no_ring_the_fallback_ring_takes_it)
{
	struct wr_ring *ring;

	open_sections();
	T_EQ(wr_rings_get(&rig.weir->rings, WR_RING_FALLBACK, 0, &ring), 0);
	wr_rings_unpublish(&rig.weir->rings);
	atomic_store(&rig.weir->rings.page->fallback[0], ring);
	atomic_store(&rig.weir->rings.last_id, WR_RING_IDS - 1);
	rig_on(0);
	rig_push("a");
	T_EQ(wr_head_count(ring_head(ring)), 1);
	T_EQ(atomic_load(&ring->aborts_capped), 1);
	T_EQ(wr_thread.stay, WR_STAY_ON_FALLBACK - 1); /* for a while without asking again */
	rig_push("b");
	T_EQ(wr_thread.stay, WR_STAY_ON_FALLBACK - 2);
	T_EQ(atomic_load(&ring->aborts_capped), 2);
	flush();
	T_STR(rig.text, "a b |");
	wr_thread.stay = 0;
	rig_close();
}

#ifdef WR_CAN_STEP

static void push_a(void)
{
	answer = weir_push(rig.weir, "a", 1);
}

/* Each trap aborts the section that it comes in. */
Test(push, whose_section_is_aborted_every_time_goes_to_the_fallback_ring)
{
	open_sections();
	rig_on(0);
	T_EQ(step_into(push_a, UINT32_MAX, NULL), 1);
	T_EQ(answer, 0);
	T_TRUE(rig_ring(0));
	T_EQ(wr_head_count(ring_head(rig_ring(0))), 1);
	T_EQ(atomic_load(&rig_ring(0)->aborts_capped), 1);
	T_EQ(wr_thread.stay, WR_STAY_ON_FALLBACK - 1);
	flush();
	T_STR(rig.text, "a |");
	wr_thread.stay = 0;
	rig_close();
}

/* --- a close, and a fork, at any instruction of a push --- */

/* The report of a newer caller, whose own fields are none of ours. */
static struct newer_report {
	struct weir_close_report known;
	uint64_t later;
} report;
static int closed;

static void open_anew(void)
{
	if (rig.weir)
		T_EQ(weir_free(rig.weir), 0);
	rig_init();
	rig.config.inline_max = 16;
	rig_open(0);
	rig_push("x");
	flush();
	answer = 1;
}

static void push_urgent(void)
{
	struct weir_push_options urgent = { .max_age_ns = WEIR_MILLIS(1) };

	answer = weir_push_ex(rig.weir, "u", 1, &urgent);
}

static void push_large(void)
{
	static const char text[200];

	answer = weir_push(rig.weir, text, sizeof(text));
}

static void close_it(void)
{
	report = (struct newer_report){ .known.size = sizeof(report), .later = 77 };
	closed = weir_close(rig.weir, WEIR_SECONDS(1), &report.known);
}

/* Accepted and refused are told apart, and what was accepted was delivered or is said to be lost. */
static void the_identity_holds(void)
{
	struct weir_audit audit = { .size = sizeof(audit) };
	struct weir_stats stats = rig_stats();

	T_TRUE(answer == 0 || answer == -ESHUTDOWN);
	T_TRUE(closed == 0 || closed == -ETIMEDOUT);
	T_EQ(report.known.timed_out, closed != 0);
	T_EQ(report.later, 77);
	T_EQ(stats.accepted, answer == 0 ? 2 : 1);
	T_EQ(stats.refused_closed, answer == 0 ? 0 : 1);
	T_EQ(stats.accepted, stats.delivered + stats.dropped_shutdown);
	T_EQ(stats.pending, 0);
	T_EQ(weir_audit(rig.weir, &audit), 0);
	T_EQ(audit.residual, 0);
	T_EQ(audit.accepted, stats.accepted);
}

Test(close, at_any_instruction_of_a_push_the_identity_holds)
{
	T_TRUE(step_through(8, open_anew, push_a, close_it, the_identity_holds) > 20);
	T_TRUE(step_through(8, open_anew, push_urgent, close_it, the_identity_holds) > 20);
}

Test(close, at_any_instruction_of_a_large_push_the_identity_holds)
{
	T_TRUE(step_through(8, open_anew, push_large, close_it, the_identity_holds) > 20);
}

static uint32_t inside(void)
{
	uint32_t n = rig.weir->inside;

	for (uint32_t id = 1; id <= wr_rings_last_id(&rig.weir->rings); id++)
		n += wr_rings_by_id(&rig.weir->rings, id)->inside;
	return n;
}

static struct wr_page parents;

static void fork_here(void)
{
	memcpy((void *)&parents, (void *)rig.weir->rings.page, sizeof(parents));
	wipe();
}

static void refused_or_over(void)
{
	T_TRUE(answer == 0 || answer == -EPERM);
	T_EQ(inside(), 0);
	T_EQ(rig.weir->refused_closed + rig.weir->refused_context, 0);
	memcpy((void *)rig.weir->rings.page, (void *)&parents, sizeof(parents)); /* for the next */
}

Test(child, forked_at_any_instruction_of_a_push_is_refused_or_had_finished)
{
	T_TRUE(step_through(8, open_anew, push_a, fork_here, refused_or_over) > 20);
	T_TRUE(step_through(8, open_anew, push_urgent, fork_here, refused_or_over) > 20);
}

#endif

/* --- claims that another thread ends --- */

static void *commit_it(void *arg)
{
	return (void *)(intptr_t)weir_commit(arg);
}

/* Made by this thread, ended by another. Returns it as it was. */
static struct weir_claim claim_for_another(void)
{
	struct weir_claim claim, before;
	pthread_t thread;
	void *ended;

	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	memcpy(claim.data, "c", 1);
	before = claim;
	T_EQ(pthread_create(&thread, NULL, commit_it, &claim), 0);
	pthread_join(thread, &ended);
	T_EQ((intptr_t)ended, 0);
	return before;
}

static int push_until_full(void)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = 1 };
	static char data[4000];
	int r;

	rig.hold = 1;
	while ((r = weir_push_ex(rig.weir, data, sizeof(data), &options)) == 0)
		;
	return r;
}

Test(api_edge, who_has_no_open_claim_any_more_may_wait_whoever_ended_it)
{
	rig_init();
	rig_open(0);
	(void)claim_for_another();
	T_EQ(push_until_full(), -ETIMEDOUT);
}

Test(api_edge, who_ends_anothers_claim_still_has_its_own)
{
	struct weir_claim mine, copy;

	rig_init();
	rig_open(0);
	copy = claim_for_another();
	T_EQ(weir_claim(rig.weir, 1, NULL, &mine), 0);
	T_EQ(weir_commit(&copy), -EINVAL); /* ended before */
	T_EQ(push_until_full(), -EDEADLK);
}
