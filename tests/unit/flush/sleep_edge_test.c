/* SPDX-License-Identifier: Apache-2.0 */
/* The flusher's sleep at its edges: what slips in, thresholds out of proportion, no memory. */
#include "support/rig.h"
#include "support/step.h"

#include "ring/thread.h"

static uint64_t due(void)
{
	return wr_due_time(rig.weir->wake.due);
}

static void flush(void)
{
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

static void (*at_disarm)(void);

/* Step S1 clears the timer: the flusher is busy still, and reads the heads after that. */
static void on_disarm(int fd, uint64_t at_ns)
{
	void (*fn)(void) = at_disarm;

	if (fd != rig.weir->flusher.timer_fd || at_ns || !fn)
		return;
	at_disarm = NULL;
	fn();
}

/* A record is pushed and flushed; @fn gets in while the flusher falls asleep behind it. */
static void fall_asleep_with(void (*fn)(void))
{
	rig_push("a");
	at_disarm = fn;
	vs.on_timer_set = on_disarm;
	flush();
	T_TRUE(!at_disarm);
}

static void push_b(void)
{
	rig_push("b");
}

Test(flush_sleep, with_urgent_off_what_slips_in_has_its_deadline)
{
	uint64_t woke_us = RIG_START / 1000;

	rig_init();
	rig.config.urgent_mode = WEIR_MODE_OFF;
	rig_open(0);
	rig.weir->wake.soon = woke_us + 10; /* left by somebody while urgent was on */
	fall_asleep_with(push_b);
	T_STR(rig.text, "a |");
	T_EQ(due(), woke_us + 1 + 2000000);
	T_EQ(vs_timer(rig.weir->flusher.timer_fd), (woke_us + 1 + 2000000) * 1000);
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a |b |");
	T_EQ(rig.log[1].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_sleep, without_a_deadline_what_lies_behind_an_open_claim_has_none)
{
	for (int shadow = 0; shadow < 2; shadow++) {
		struct weir_claim claim;

		rig_init();
		rig.config.deadline_ns = shadow ? WEIR_MILLIS(5) : WEIR_OFF;
		rig.config.timer_mode = shadow ? WEIR_MODE_SHADOW : WEIR_MODE_ON;
		rig_open(0);
		rig_push("a");
		T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
		rig_push("b");
		flush();
		T_STR(rig.text, "a |");
		T_EQ(rig.weir->flusher.keep_us, WR_DUE_INF);
		T_EQ(weir_abort(&claim), 0);
		rig_pass(WEIR_SECONDS(100));
		T_STR(rig.text, "a |");
		flush();
		T_STR(rig.text, "a |b |");
		rig_close();
	}
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

static void migrate_without_memory(void)
{
	memory_is_gone = 1;
	rig_on(1);
	rig_push("b"); /* with a mark, which needs a note */
}

/* It would decide upon a part of what is there, and sleep over the rest. */
Test(flush_sleep, without_memory_for_what_slips_in_the_flusher_does_not_sleep_but_tries_again)
{
	rig_init();
	rig.config.allocator = (struct weir_allocator){ give, take_back, NULL };
	rig_open(0);
	fall_asleep_with(migrate_without_memory);
	T_STR(rig.text, "a |");
	T_EQ(rig.weir->flusher.asleep, 0);
	T_EQ(vs_next_timer(rig.weir->flusher.poll_fd), vs.now_ns + WR_STARVED_NS);
	memory_is_gone = 0;
	rig_pass(WEIR_MILLIS(20));
	T_EQ(rig.weir->flusher.asleep, 1);
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a |b |");
	T_EQ(rig.log[1].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

Test(flush_sleep, being_busy_twice_takes_no_time_for_a_deadline)
{
	struct wr_flusher *flusher;

	rig_init();
	rig_open(0);
	flusher = &rig.weir->flusher;
	rig_push("a");
	wr_sleep_busy(flusher);
	T_EQ(due(), WR_DUE_BUSY);
	T_EQ(flusher->keep_us, RIG_START / 1000 + 1 + 2000000);
	wr_sleep_busy(flusher);
	T_EQ(flusher->keep_us, RIG_START / 1000 + 1 + 2000000);
	T_EQ(flusher->timer_may_be_set, 1);
	rig_pass(WEIR_SECONDS(3));
	T_STR(rig.text, "a |");
	T_EQ(rig.log[0].cause, WEIR_CAUSE_DEADLINE);
	rig_close();
}

/* The bound of its age is not known: then only its own max age is sure. */
Test(flush_sleep, an_urgent_record_of_unknown_age_goes_by_its_max_age)
{
	struct wr_flusher *flusher;

	rig_init();
	rig_open(0);
	flusher = &rig.weir->flusher;
	rig_push("a");
	wr_cut_make(&flusher->cut, rig.weir->wake.bits);
	flusher->keep_us = flusher->soon_us = vs.now_ns / 1000;
	flusher->oldest_ns = 0;
	T_EQ((int)wr_sleep_decide(flusher, vs.now_ns).cause, WEIR_CAUSE_URGENT);
	flusher->oldest_ns = vs.now_ns - flusher->config.policy.deadline_ns;
	T_EQ((int)wr_sleep_decide(flusher, vs.now_ns).cause, WEIR_CAUSE_DEADLINE);
	flusher->oldest_ns++;
	T_EQ((int)wr_sleep_decide(flusher, vs.now_ns).cause, WEIR_CAUSE_URGENT);
	flusher->config.policy.deadline_ns = UINT64_MAX - flusher->oldest_ns;
	T_EQ((int)wr_sleep_decide(flusher, vs.now_ns).cause, WEIR_CAUSE_URGENT);
}

Test(flush_sleep, a_byte_threshold_below_eight_makes_every_record_count)
{
	rig_init();
	rig.config.threshold = WEIR_OFF;
	rig.config.threshold_bytes = 7;
	rig_open(0);
	rig_push("a");
	rig_turn();
	T_STR(rig.text, "a |");
	vs_forget();
	rig_push("b");
	T_EQ(vs.event_writes, 1);
	rig_turn();
	T_STR(rig.text, "a |b |");
	T_EQ(rig.log[1].cause, WEIR_CAUSE_BYTES);
	rig_close();
}

Test(flush_sleep, a_byte_threshold_whose_share_is_beyond_any_ring_puts_no_stop)
{
	struct wr_ring *ring;

	rig_init();
	rig_open(0);
	rig.weir->wake.settings.threshold_bytes = UINT64_C(1) << 36; /* a stride of 2^32 */
	rig_push("a");
	flush();
	ring = rig_ring(0);
	T_EQ(wr_limit_kind(ring->limit), WR_STOP_FULL);
	T_EQ(wr_limit_position(ring->limit), (uint32_t)ring->tail + SMALL_RING);
	rig.weir->wake.settings.threshold_bytes = UINT64_C(1) << 34; /* and one of 2^30 */
	rig_push("b");
	flush();
	T_EQ(wr_limit_kind(ring->limit), WR_STOP_FULL);
	rig_close();
}

Test(flush_sleep, a_watermark_at_the_end_of_the_room_is_no_stop_of_its_own)
{
	rig_init();
	rig_open(0);
	rig.weir->wake.settings.watermark = SMALL_RING;
	rig_push("a");
	flush();
	T_EQ(wr_limit_kind(rig_ring(0)->limit), WR_STOP_FULL);
	rig.weir->wake.settings.watermark = SMALL_RING - 8;
	rig_push("b");
	flush();
	T_EQ(wr_limit_kind(rig_ring(0)->limit), WR_STOP_WATERMARK);
	rig_close();
}

static struct weir_claim late_claim;

/* The flusher is busy: no timer is set, and nobody notes when this was. */
static void claim_and_push_while_busy(struct weir_batch *batch)
{
	(void)batch;
	rig.on_submit = NULL;
	T_EQ(weir_claim(rig.weir, 1, NULL, &late_claim), 0);
	memcpy(late_claim.data, "c", 1);
	rig_on(1);
	rig_push("b");
	T_EQ(weir_flush(rig.weir), 0);
}

Test(flush_sleep, what_was_claimed_while_the_flusher_was_busy_is_no_older_than_that)
{
	uint64_t busy_ns;

	rig_init();
	rig.config.order = WEIR_ORDER_NONE;
	rig.on_submit = claim_and_push_while_busy;
	rig_open(0);
	rig_push("a");
	vs_advance(WEIR_MILLIS(7));
	busy_ns = vs.now_ns;
	flush();
	T_STR(rig.text, "a |b |");
	T_EQ(rig.weir->flusher.oldest_ns, busy_ns);
	vs_advance(WEIR_MILLIS(7));
	T_EQ(weir_commit(&late_claim), 0);
	flush();
	T_STR(rig.text, "a |b |c |");
	T_TRUE(rig.log[2].earliest_ns <= busy_ns);
	rig_close();
}

Test(flush_sleep, a_bit_without_a_ring_keeps_nobody_awake)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	rig.weir->wake.bits[0] |= UINT64_C(1) << 60;
	flush();
	T_STR(rig.text, "a |");
	T_EQ(rig.weir->flusher.asleep, 1);
	T_EQ(rig.weir->wake.bits[0], 0);
	T_EQ(rig.weir->flusher.cut.set_count, 1);
	rig_close();
}

/* The sum would wrap, and the claim be stalled at once. */
Test(flush_sleep, a_claim_that_may_stay_open_for_ever_is_never_counted)
{
	struct weir_claim claim;

	rig_init();
	rig_open(0);
	rig.weir->flusher.config.claim_max_ns = UINT64_MAX - 5;
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	flush();
	rig_pass(WEIR_SECONDS(100));
	T_EQ(rig_counted(WR_CLAIMS_STALLED), 0);
	T_EQ(rig.weir->flusher.aux_ns, UINT64_MAX);
	T_EQ(weir_abort(&claim), 0);
	rig_close();
}

Test(flush_sleep, of_a_retry_and_the_sinks_timer_the_earlier_wakes_the_flusher)
{
	rig_init();
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = WEIR_MILLIS(50) };
	rig.verdict_count = 1;
	rig_open(0);
	T_EQ(weir_sink_timer(&rig.sink, RIG_START + WEIR_MILLIS(10)), 0);
	rig_push("a");
	flush();
	T_EQ(rig.weir->flusher.aux_ns, RIG_START + WEIR_MILLIS(10));
	rig_pass(WEIR_MILLIS(20));
	T_STR(rig.text, "a |");
	T_EQ(rig.weir->flusher.aux_ns, RIG_START + WEIR_MILLIS(50));
	rig_pass(WEIR_MILLIS(40));
	T_STR(rig.text, "a |a |");
	rig_close();
}

static uint32_t timer_calls;

static void sink_timer(struct weir_sink *self)
{
	(void)self;
	timer_calls++;
}

/* A timer that is set to 0 is switched off. */
Test(flush_host, a_sinks_timer_at_time_0_goes_off_at_once)
{
	static struct weir_sink_ops timed;

	rig_init();
	timed = *rig.sink.ops;
	timed.timer = sink_timer;
	rig.sink.ops = &timed;
	rig_open(0);
	T_EQ(weir_sink_timer(&rig.sink, 0), 0);
	rig_turn();
	rig_turn();
	T_EQ(timer_calls, 1);
	rig_close();
}

#ifdef WR_CAN_STEP

static struct weir_claim step_claim;

/* The flusher has been woken, has found nothing due, and is about to sleep again. */
static void about_to_sleep(void)
{
	wr_sleep_busy(&rig.weir->flusher);
	wr_cut_make(&rig.weir->flusher.cut, rig.weir->wake.bits);
}

static void quiet_engine(void)
{
	if (rig.weir)
		rig_close();
	rig_init();
	rig_open(0);
	rig_push("a"); /* so that its ring is dealt an alarm and a limit */
	about_to_sleep();
}

static void claim_and_what_lies_behind(void)
{
	if (rig.weir)
		rig_close();
	rig_init();
	rig_open(0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &step_claim), 0);
	memcpy(step_claim.data, "c", 1);
	rig_push("b");
	wr_flusher_kick(&rig.weir->flusher);
	rig_turn();
	about_to_sleep();
}

static void sleep_or_stay(void)
{
	if (!wr_sleep_try(&rig.weir->flusher)) {
		wr_sleep_busy(&rig.weir->flusher);
		wr_flusher_kick(&rig.weir->flusher); /* work() would go on */
	}
}

static void push_late(void)
{
	rig_push("b");
}

static void commit_late(void)
{
	T_EQ(weir_commit(&step_claim), 0);
}

static void all_goes_by_its_deadline(void)
{
	rig_pass(WEIR_SECONDS(2) + WEIR_MILLIS(1));
	T_EQ(rig_stats().delivered, 2);
	T_EQ(rig_stats().pending, 0);
	rig_audit();
}

Test(flush_sleep, what_is_pushed_at_any_instruction_of_falling_asleep_goes_by_its_deadline)
{
	T_TRUE(step_through(60, quiet_engine, sleep_or_stay, push_late, all_goes_by_its_deadline) >
	       20);
}

Test(flush_sleep, a_claim_that_ends_at_any_instruction_of_falling_asleep_goes_by_its_deadline)
{
	T_TRUE(step_through(60, claim_and_what_lies_behind, sleep_or_stay, commit_late,
	                    all_goes_by_its_deadline) > 20);
}

/* Another thread's close, which goes through the rings. */
static void close_ring(void)
{
	atomic_store(&rig_ring(0)->limit, wr_limit_make(0, 0, WR_STOP_CLOSED, 16));
}

static void it_stays_closed(void)
{
	T_TRUE(wr_limit_kind(rig_ring(0)->limit) & WR_STOP_CLOSED);
}

Test(flush_sleep, a_ring_that_is_closed_at_any_instruction_of_falling_asleep_stays_closed)
{
	T_TRUE(step_through(60, quiet_engine, sleep_or_stay, close_ring, it_stays_closed) > 20);
}

static uint64_t began_ns;

static void open_rig(void)
{
	if (rig.weir)
		rig_close();
	rig_init();
	rig.config.threshold = 3;
	rig_open(0);
	rig_push("a"); /* the deadline runs */
	began_ns = vs.now_ns;
}

static void push_urgent(void)
{
	struct weir_push_options urgent = { .max_age_ns = WEIR_MILLIS(1) };

	T_EQ(weir_push_ex(rig.weir, "u", 1, &urgent), 0);
}

static void urgent_goes_in_time(void)
{
	T_EQ((uint32_t)rig.weir->wake.sum, 3);
	T_EQ(rig.weir->wake.sum >> 33, rig.weir->flusher.epoch);
	rig_pass(WEIR_MILLIS(2));
	T_EQ(rig.submits, 1);
	T_EQ(rig.log[0].records, 3);
	T_TRUE(rig.log[0].at_ns - began_ns <= WEIR_MILLIS(1) + 2000);
	T_TRUE(rig.log[0].cause == WEIR_CAUSE_URGENT || rig.log[0].cause == WEIR_CAUSE_SIZE);
	rig_audit();
}

/* The handler's record may lie behind the urgent one's place and count it before that does. */
static void push_plain(void)
{
	T_EQ(weir_push(rig.weir, "b", 1), 0);
}

Test(flush_sleep, an_urgent_push_that_a_handlers_push_interrupts_anywhere_is_in_time_and_counted_once)
{
	T_TRUE(step_through(5, open_rig, push_urgent, push_plain, urgent_goes_in_time) > 20);
}
#endif
