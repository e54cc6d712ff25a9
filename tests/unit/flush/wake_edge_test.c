/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The edges of the producer's side: places that were counted by others, thresholds beyond all
 * strides, and others who get in between at any instruction.
 */
#include "flush/wake.h"
#include "support/rings.h"
#include "support/step.h"
#include "support/virtual_sys.h"

#define NOW_US UINT64_C(5000000)
#define DEADLINE_US UINT64_C(2000000)
#define EPOCH 5u
#define ALL_SIGNALS \
	(WR_SIGNAL_SIZE | WR_SIGNAL_BYTES | WR_SIGNAL_TIMER | WR_SIGNAL_URGENT | WR_SIGNAL_PRESSURE)

static struct wr_rings rings;
static struct wr_ring *ring;
static struct wr_wake wake;
static struct wr_credit credit;
static int timer_fd;
static uint64_t epoch;

static void begin(uint64_t threshold)
{
	if (!ring) {
		rings_begin(&rings, SMALL_RING, 1);
		ring = ring_make(&rings, WR_RING_FALLBACK, 0);
	}
	vs_reset(NOW_US * 1000);
	timer_fd = wr_sys.timer_open();
	atomic_store(&rings.page->timer_fd1, timer_fd + 1);
	atomic_store(&rings.page->event_fd1, wr_sys.event_open() + 1);
	wr_wake_init(&wake, rings.page, EPOCH);
	wake.settings.threshold = threshold;
	wake.settings.deadline_us = DEADLINE_US;
	wake.settings.slack = UINT32_MAX - 1;
	wake.settings.signals = ALL_SIGNALS;
	ring_set_head(ring, 0, 0);
	atomic_store(&ring->alarm, wr_alarm_make(EPOCH, 0, 1));
	credit = (struct wr_credit){ 0 };
}

/* Of the place that the record of count @count (the first: 0) has taken. */
static int slow_at(uint32_t count, uint64_t max_age_us)
{
	struct wr_seen seen = { ring, wr_head_make(count, 16 * count), atomic_load(&ring->alarm) };

	return wr_wake_slow(&wake, &seen, max_age_us, &credit, &epoch);
}

/* --- a place that others have counted already --- */

/* It reserved place 5, was held up, and whoever took place 9 has counted all ten. */
static void held_up_at_place_5(void)
{
	begin(100);
	atomic_store(&ring->alarm, wr_alarm_make(EPOCH, 1, 12));
	wake.sum += 10;
}

Test(flush_wake, an_urgent_record_that_others_have_counted_is_not_counted_again)
{
	uint64_t before, alarm;

	held_up_at_place_5();
	before = wake.sum;
	alarm = ring->alarm;
	T_EQ(slow_at(5, 500), 0);
	T_TRUE(wake.sum == before);
	T_TRUE(ring->alarm == alarm);
	T_EQ(credit.counted, 0);
	T_EQ(epoch, EPOCH);
}

Test(flush_wake, an_urgent_record_that_others_have_counted_still_has_its_own_time)
{
	held_up_at_place_5();
	T_EQ(slow_at(5, 500), 0);
	T_EQ(wake.soon, NOW_US + 1 + 500);
	T_EQ(wr_due_time(wake.due), NOW_US + 1 + 500);
	T_EQ(vs_timer(timer_fd), (NOW_US + 1 + 500) * 1000);
	T_EQ(wake.bits[0], UINT64_C(1) << ring->id);
}

/* The place right below what was counted is gained by 0, and counts like any other. */
Test(flush_wake, an_urgent_record_at_the_very_end_of_what_was_counted_keeps_the_sum)
{
	held_up_at_place_5();
	T_EQ(slow_at(9, 500), 0);
	T_EQ((uint32_t)wake.sum, 10);
	T_EQ(wake.sum >> 33, EPOCH);
}

static void flusher_deals(int fd, uint64_t at_ns)
{
	(void)fd, (void)at_ns;
	atomic_store(&ring->alarm, wr_alarm_make(EPOCH + 1, 0, 11));
}

Test(flush_wake, an_urgent_record_that_was_counted_in_an_older_epoch_looks_again)
{
	held_up_at_place_5();
	vs.on_timer_set = flusher_deals;
	T_EQ(slow_at(5, 500), 1);
	T_EQ((uint32_t)wake.sum, 10);
	T_EQ(wr_alarm_epoch(ring->alarm), EPOCH + 1);
	T_EQ(slow_at(5, 500), 0);
	T_EQ(epoch, EPOCH + 1);
}

/* --- strides --- */

static uint32_t stride_of_first_push(void)
{
	T_EQ(slow_at(0, 0), 0);
	return (uint32_t)(ring->alarm >> 32) & 31u;
}

Test(flush_wake, a_stride_of_a_huge_threshold_has_20_bits)
{
	begin(UINT64_C(1) << 40);
	wake.settings.slack = UINT32_MAX;
	T_EQ(stride_of_first_push(), 20);
}

/* More joiners than rings there can be: they have counted record by record. */
Test(flush_wake, the_share_of_a_ring_shrinks_no_further_than_for_4096)
{
	uint32_t least;

	begin(UINT64_C(1) << 36);
	wake.settings.slack = UINT32_MAX;
	wake.joined = 4095;
	least = stride_of_first_push();
	T_EQ(least, 8);
	begin(UINT64_C(1) << 36);
	wake.settings.slack = UINT32_MAX;
	wake.joined = 100000;
	T_EQ(stride_of_first_push(), least);
	begin(UINT64_C(1) << 36);
	wake.settings.slack = UINT32_MAX;
	wake.joined = UINT32_MAX - 1;
	T_EQ(stride_of_first_push(), least);
}

/* A push may meet the alarm twice before it commits. */
Test(flush_wake, of_two_credits_of_a_push_the_first_says_where_the_sum_stood)
{
	begin(100);
	wake.sum += 7;
	T_EQ(slow_at(0, 0), 0);
	T_EQ(credit.before, 7);
	ring->alarm = wr_alarm_make(EPOCH, 0, 2);
	T_EQ(slow_at(1, 0), 0);
	T_EQ(credit.before, 7);
	T_EQ((uint32_t)wake.sum, 9);
}

/* --- the flusher arms --- */

Test(flush_wake, where_no_timer_is_wanted_arming_for_never_makes_no_call)
{
	begin(100);
	wake.due = wr_due_make(WR_DUE_NEVER, 3, 1);
	wr_wake_arm(&wake, WR_DUE_NEVER, 1);
	T_EQ(vs.timer_sets, 0);
	T_EQ(wr_due_time(wake.due), WR_DUE_NEVER);
	T_EQ(wr_due_seq(wake.due), 3);
}

/* A confirmed time may stand at a timer that a late helper has overwritten. */
Test(flush_wake, the_flusher_sets_the_timer_of_a_confirmed_time_once_more)
{
	begin(100);
	wake.due = wr_due_make(NOW_US + 700, 3, 1);
	wr_wake_arm(&wake, NOW_US + 900, 1);
	T_EQ(vs.timer_sets, 1);
	T_EQ(vs_timer(timer_fd), (NOW_US + 700) * 1000);
}

/* --- limits --- */

static int limit(uint32_t need)
{
	credit = (struct wr_credit){ 0 };
	return wr_wake_limit(&wake, ring, need, &credit);
}

Test(flush_limit, a_byte_threshold_whose_share_is_beyond_any_ring_puts_no_stop)
{
	begin(100);
	wake.settings.threshold_bytes = UINT64_C(1) << 35; /* a stride of 2^32, which is none */
	ring->limit = wr_limit_make(3, 0, WR_STOP_BYTES, 1);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring->limit), WR_STOP_FULL);
	T_EQ(wr_limit_position(ring->limit), SMALL_RING);
	wake.settings.threshold_bytes = UINT64_C(1) << 33; /* 2^30 lies behind the end of the ring */
	ring->limit = wr_limit_make(3, 0, WR_STOP_BYTES, 1);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring->limit), WR_STOP_FULL);
	T_EQ(wr_limit_position(ring->limit), SMALL_RING);
}

/* A push may pass a stop, find no room, wait, and pass another before it commits. */
Test(flush_limit, of_two_stops_that_a_push_passes_the_first_says_where_the_sum_stood)
{
	begin(100);
	wake.settings.threshold_bytes = 8000;
	wake.bytes += 500;
	ring->limit = wr_limit_make(3, 3, WR_STOP_BYTES, 8);
	credit = (struct wr_credit){ 0 };
	T_EQ(wr_wake_limit(&wake, ring, 16, &credit), 0);
	T_EQ(credit.bytes_before, 500);
	ring->limit = wr_limit_make(3, 3, WR_STOP_BYTES, 8);
	T_EQ(wr_wake_limit(&wake, ring, 16, &credit), 0);
	T_EQ(credit.bytes_before, 500);
	T_EQ(wake.bytes & 0xffffffffff, 500 + 16 + 16);
}

Test(flush_limit, a_watermark_that_was_passed_long_ago_is_no_pressure_anew)
{
	begin(100);
	wake.settings.watermark = 100;
	wake.settings.threshold_bytes = 8000;
	ring_set_head(ring, 4, 512);
	ring->limit = wr_limit_make(3, 0, WR_STOP_BYTES, 513);
	T_EQ(limit(16), 0);
	T_EQ(credit.pressure, 0);
	ring->cut_position = 412; /* the watermark lies at 512: this push passes it */
	ring->limit = wr_limit_make(3, 0, WR_STOP_BYTES, 513);
	T_EQ(limit(16), 0);
	T_EQ(credit.pressure, 1);
	ring->cut_position = 0;
}

Test(flush_limit, a_watermark_at_the_end_of_the_room_is_no_stop_of_its_own)
{
	begin(100);
	wake.settings.watermark = SMALL_RING;
	ring->limit = wr_limit_make(3, 0, WR_STOP_BYTES, 1);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring->limit), WR_STOP_FULL);
	T_EQ(wr_limit_position(ring->limit), SMALL_RING);
	T_EQ(credit.pressure, 0);
}

/* The first may have stopped before its write: at twice the threshold another tells, and only there. */
Test(flush_wake, bytes_that_were_signalled_tell_again_at_each_further_threshold)
{
	begin(100);
	wake.settings.threshold_bytes = 1000;
	wake.bytes += (UINT64_C(1) << 40) + 2500;
	credit = (struct wr_credit){ .bytes = 1, .bytes_before = 2400 };
	wr_wake_after(&wake, &credit);
	T_EQ(vs.event_writes, 0);
	credit.bytes_before = 1900;
	wr_wake_after(&wake, &credit);
	T_EQ(vs.event_writes, 1);
}

#ifdef WR_CAN_STEP

#ifdef __OPTIMIZE__
#define STEPS 80
#else
#define STEPS 16 /* ten times as many instructions */
#endif

/* --- others at any instruction --- */

static int answer;
static uint64_t other_soon;

static void urgent_push(void)
{
	answer = slow_at(0, 500);
}

static void begin_under_a_deadline(void)
{
	begin(100);
	wake.due = wr_due_make(NOW_US + DEADLINE_US, 9, 1);
	(void)wr_sys.timer_set(timer_fd, (NOW_US + DEADLINE_US) * 1000);
}

/* Another thread's urgent record: the same steps, of another ring, all at once. */
static void sooner(void)
{
	wake.soon = other_soon < wake.soon ? other_soon : wake.soon;
	wr_wake_arm(&wake, other_soon, 1);
}

static void the_sooner_of_both_holds(void)
{
	uint64_t mine = NOW_US + 1 + 500, least = mine < other_soon ? mine : other_soon;

	T_EQ(answer, 0);
	T_EQ(wake.soon, least);
	T_EQ(wr_due_time(wake.due), least);
	T_EQ(wake.due & 1u, 1);
	T_EQ(vs_timer(timer_fd), least * 1000);
}

Test(flush_wake, of_two_urgent_records_the_sooner_holds_whenever_the_other_comes_between)
{
	other_soon = NOW_US + 300;
	T_TRUE(step_through(STEPS, begin_under_a_deadline, urgent_push, sooner,
	                    the_sooner_of_both_holds) > 20);
	other_soon = NOW_US + 900;
	T_TRUE(step_through(STEPS, begin_under_a_deadline, urgent_push, sooner,
	                    the_sooner_of_both_holds) > 20);
}

static void begin_idle(void)
{
	begin(100);
}

/* The flusher wakes, whoever woke it: from here on it looks at everything itself. */
static void flusher_wakes(void)
{
	atomic_store(&wake.due, wr_due_make(WR_DUE_BUSY, 0, 0));
}

static void plain_push(void)
{
	answer = slow_at(0, 0);
}

static void the_flusher_stays_awake(void)
{
	T_EQ(answer, 0);
	T_EQ(wr_due_time(wake.due), WR_DUE_BUSY);
	T_EQ(wake.bits[0], UINT64_C(1) << ring->id);
}

Test(flush_wake, a_flusher_that_wakes_at_any_instruction_of_a_push_is_left_awake)
{
	T_TRUE(step_through(STEPS, begin_idle, plain_push, flusher_wakes,
	                    the_flusher_stays_awake) > 20);
}

/* The flusher goes to sleep anew: sums and alarms begin afresh, with nothing of the old ones. */
static void flusher_sleeps_anew(void)
{
	atomic_store(&wake.sum, (uint64_t)(EPOCH + 1) << 33);
	atomic_store(&ring->alarm, wr_alarm_make(EPOCH + 1, 0, 1));
}

static void what_was_counted_is_in_the_new_sum_or_comes_again(void)
{
	T_EQ(wake.sum >> 33, EPOCH + 1);
	if (answer == 1) /* the push begins again, and is counted then */
		T_EQ((uint32_t)wake.sum, 0);
	else if (wr_alarm_epoch(ring->alarm) == EPOCH + 1 && wr_alarm_trip(ring->alarm) == 1)
		T_EQ((uint32_t)wake.sum, 0); /* it meets the new alarm before it commits */
	else
		T_EQ((uint32_t)wake.sum, 1);
}

Test(flush_wake, what_is_counted_while_the_sums_begin_anew_is_counted_once)
{
	T_TRUE(step_through(STEPS, begin_idle, plain_push, flusher_sleeps_anew,
	                    what_was_counted_is_in_the_new_sum_or_comes_again) > 20);
}

/* Another ring's push counts three. */
static void another_counts_3(void)
{
	atomic_fetch_add(&wake.sum, 3);
}

static void all_is_counted(void)
{
	T_EQ(answer, 0);
	T_EQ((uint32_t)wake.sum, 4);
	T_EQ(credit.counted, 1);
	T_TRUE(credit.before == 0 || credit.before == 3);
}

Test(flush_wake, what_two_count_at_once_is_all_counted)
{
	T_TRUE(step_through(5 * STEPS, begin_idle, plain_push, another_counts_3, all_is_counted) > 20);
}

/* --- after the commit --- */

static void at_the_threshold(void)
{
	begin(100);
	wake.sum += 100;
	credit = (struct wr_credit){ .counted = 1, .before = 99 };
	wake.settings.threshold_bytes = 1000;
	wake.bytes += 1000;
}

static void test_records(void)
{
	wr_wake_after(&wake, &credit);
}

static void another_tests_bytes(void)
{
	struct wr_credit other = { .bytes = 1, .bytes_before = 990 };

	wr_wake_after(&wake, &other);
}

static void the_event_was_written(void)
{
	T_EQ(wake.told, EPOCH + 1);
	T_EQ(vs.event_writes, 1);
}

Test(flush_wake, of_two_who_find_a_reason_one_writes_whenever_the_other_comes_between)
{
	T_TRUE(step_through(STEPS, at_the_threshold, test_records, another_tests_bytes,
	                    the_event_was_written) > 20);
}

/* What was found belongs to a batch that is gone: the flusher has looked since. */
static void told_or_slept_since(void)
{
	T_TRUE(vs.event_writes == (wake.told == EPOCH + 1));
	T_TRUE(vs.event_writes || wake.sum >> 33 == EPOCH + 1);
}

Test(flush_wake, a_flusher_that_slept_since_is_not_woken_for_what_it_has_seen)
{
	T_TRUE(step_through(4 * STEPS, at_the_threshold, test_records, flusher_sleeps_anew,
	                    told_or_slept_since) > 20);
}

static void test_bytes_only(void)
{
	struct wr_credit mine = { .bytes = 1, .bytes_before = 990 };

	wr_wake_after(&wake, &mine);
}

static void another_credits_5(void)
{
	wake.bytes += 5;
}

static void bytes_are_signalled(void)
{
	the_event_was_written();
	T_EQ(wake.bytes & 0xffffffffff, 1005);
	T_TRUE(wake.bytes >> 40 & 1);
}

Test(flush_wake, bytes_that_come_while_the_threshold_is_told_are_kept)
{
	T_TRUE(step_through(4 * STEPS, at_the_threshold, test_bytes_only, another_credits_5,
	                    bytes_are_signalled) > 20);
}

/* --- the flusher arms while others do --- */

static void flusher_arms(void)
{
	wr_wake_arm(&wake, NOW_US + 900, 1);
}

Test(flush_wake, a_sooner_time_that_comes_while_the_flusher_arms_holds)
{
	other_soon = NOW_US + 300;
	for (uint32_t n = 1;; n += 1 + n / (2 * STEPS)) {
		int more;

		begin(100);
		more = step_into(flusher_arms, n, sooner);
		if (!more)
			break;
		T_EQ(wr_due_time(wake.due), NOW_US + 300);
		T_EQ(wake.due & 1u, 1);
		T_EQ(vs_timer(timer_fd), (NOW_US + 300) * 1000);
	}
}

static void both_find_the_same_reason(void)
{
	struct wr_credit other = { .counted = 1, .before = 99 };

	wr_wake_after(&wake, &other);
}

Test(flush_wake, of_two_who_reach_the_threshold_one_writes_whenever_the_other_comes_between)
{
	T_TRUE(step_through(STEPS, at_the_threshold, test_records, both_find_the_same_reason,
	                    the_event_was_written) > 20);
}

/* --- the limit --- */

static void at_a_byte_stop(void)
{
	begin(100);
	wake.settings.threshold_bytes = 8000;
	ring_set_head(ring, 4, 512);
	ring->limit = wr_limit_make(3, 9, WR_STOP_BYTES, 512);
}

static void push_16(void)
{
	answer = limit(16);
}

static void another_credits_100(void)
{
	wake.bytes += 100;
}

static void nothing_of_the_bytes_is_lost(void)
{
	T_EQ(answer, 0);
	T_EQ(wake.bytes & ((UINT64_C(1) << 40) - 1), 100 + 512 + 16);
	T_EQ(wake.bytes >> 41, EPOCH);
}

Test(flush_limit, bytes_that_two_credit_at_once_are_all_counted)
{
	T_TRUE(step_through(8 * STEPS, at_a_byte_stop, push_16, another_credits_100,
	                    nothing_of_the_bytes_is_lost) > 20);
}

static void another_moves_the_limit(void)
{
	struct wr_credit other = { 0 };

	T_EQ(wr_wake_limit(&wake, ring, 16, &other), 0);
}

static void bytes_are_credited_once(void)
{
	T_EQ(answer, 0);
	T_EQ(wake.bytes & ((UINT64_C(1) << 40) - 1), 512 + 16);
	T_TRUE(wr_limit_position(ring->limit) > 512 + 16);
}

Test(flush_limit, of_two_who_meet_the_same_byte_stop_one_credits_it)
{
	T_TRUE(step_through(STEPS, at_a_byte_stop, push_16, another_moves_the_limit,
	                    bytes_are_credited_once) > 20);
}
#endif
