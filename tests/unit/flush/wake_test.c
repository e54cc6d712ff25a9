/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The producer's side of the wake protocol, step by step. Other threads get in between at the system
 * calls: the hooks of the virtual system.
 */
#include "flush/wake.h"
#include "support/rings.h"
#include "support/virtual_sys.h"

#define NOW_US UINT64_C(5000000)
#define DEADLINE_US UINT64_C(2000000)
#define EPOCH 5u
/* The clock is rounded up to the next microsecond, so that a timer never goes off early. */
#define DUE_US (NOW_US + 1 + DEADLINE_US)
#define ALL_SIGNALS \
	(WR_SIGNAL_SIZE | WR_SIGNAL_BYTES | WR_SIGNAL_TIMER | WR_SIGNAL_URGENT | WR_SIGNAL_PRESSURE)

static struct wr_rings rings;
static struct wr_ring *ring[6];
static struct wr_wake wake;
static struct wr_credit credit;
static int timer_fd, event_fd;
static uint64_t epoch;

static void begin(uint64_t threshold)
{
	vs_reset(NOW_US * 1000);
	rings_begin(&rings, SMALL_RING, 1);
	timer_fd = wr_sys.timer_open();
	event_fd = wr_sys.event_open();
	atomic_store(&rings.page->timer_fd1, timer_fd + 1);
	atomic_store(&rings.page->event_fd1, event_fd + 1);
	wr_wake_init(&wake, rings.page, EPOCH);
	wake.settings.threshold = threshold;
	wake.settings.deadline_us = DEADLINE_US;
	wake.settings.slack = UINT32_MAX - 1;
	wake.settings.signals = ALL_SIGNALS;
	for (uint32_t i = 1; i < 6; i++) {
		ring[i] = ring_make(&rings, WR_RING_RSEQ, i);
		atomic_store(&ring[i]->alarm, wr_alarm_make(EPOCH, 0, 1));
	}
}

static int slow_aged(struct wr_ring *at, uint64_t max_age_us)
{
	struct wr_seen seen = { at, ring_head(at), atomic_load(&at->alarm) };

	credit = (struct wr_credit){ 0 };
	return wr_wake_slow(&wake, &seen, max_age_us, &credit, &epoch);
}

static int slow(struct wr_ring *at)
{
	return slow_aged(at, 0);
}

static void set_due(uint64_t time_us, uint32_t confirmed)
{
	wake.due = wr_due_make(time_us, 9, confirmed);
}

static uint64_t due_time(void)
{
	return wr_due_time(wake.due);
}

static uint32_t sum(void)
{
	return (uint32_t)wake.sum;
}

/* --- the words --- */

Test(flush_wake, due_gives_back_time_sequence_and_confirmation)
{
	uint64_t due = wr_due_make(WR_DUE_NEVER, 0x7fff, 1);

	T_EQ(wr_due_time(due), WR_DUE_NEVER);
	T_EQ(wr_due_seq(due), 0x7fff);
	T_EQ(due & 1, 1);
	due = wr_due_make(77, 0x8000, 0);
	T_EQ(wr_due_time(due), 77);
	T_EQ(wr_due_seq(due), 0);
	T_EQ(due & 1, 0);
}

Test(flush_wake, a_fresh_engine_waits_for_nobody)
{
	begin(100);
	T_EQ(due_time(), WR_DUE_INF);
	T_TRUE(wake.soon == UINT64_MAX);
	T_EQ(wake.sum >> 33, EPOCH);
	T_EQ(sum(), 0);
	T_EQ(wake.bytes >> 41, EPOCH);
}

Test(flush_wake, the_bit_of_a_ring_is_set_and_no_other)
{
	begin(100);
	wr_wake_set_bit(&wake, 1);
	wr_wake_set_bit(&wake, 64);
	wr_wake_set_bit(&wake, WR_RING_IDS - 1);
	wr_wake_set_bit(&wake, 1);
	T_EQ(wake.bits[0], 2);
	T_EQ(wake.bits[1], 1);
	T_EQ(wake.bits[WR_RING_IDS / 64 - 1], INT64_MIN);
	T_EQ(wake.bits[2], 0);
}

/* --- steps 3 and 4: a timer covers the record --- */

Test(flush_wake, the_first_push_after_idle_publishes_its_deadline_and_sets_the_timer_once)
{
	begin(100);
	T_EQ(slow(ring[1]), 0);
	T_EQ(due_time(), DUE_US);
	T_EQ(wake.due & 1, 1);
	T_EQ(vs.timer_sets, 1);
	T_EQ(vs_timer(timer_fd), DUE_US * 1000);
	T_EQ(wake.timer_arms, 1);
}

Test(flush_wake, every_publication_has_a_new_sequence)
{
	begin(100);
	wake.due = wr_due_make(WR_DUE_INF, 41, 0);
	T_EQ(slow(ring[1]), 0);
	T_EQ(wr_due_seq(wake.due), 42);
}

Test(flush_wake, the_time_of_the_first_push_after_idle_is_no_later_than_the_push)
{
	begin(100);
	T_EQ(slow(ring[1]), 0);
	T_TRUE(wake.first_us <= NOW_US);
	T_TRUE(wake.first_us + 2 >= NOW_US);
}

Test(flush_wake, a_push_under_a_confirmed_deadline_sets_no_timer)
{
	begin(100);
	set_due(NOW_US + 10, 1);
	T_EQ(slow(ring[1]), 0);
	T_EQ(vs.timer_sets, 0);
	T_EQ(due_time(), NOW_US + 10);
}

Test(flush_wake, a_deadline_whose_timer_may_not_be_set_yet_is_helped)
{
	begin(100);
	set_due(NOW_US + 10, 0);
	T_EQ(slow(ring[1]), 0);
	T_EQ(vs_timer(timer_fd), (NOW_US + 10) * 1000);
	T_EQ(wake.due & 1, 1);
}

Test(flush_wake, while_the_flusher_is_busy_no_timer_is_set_and_nothing_is_counted)
{
	begin(100);
	wake.due = wr_due_make(WR_DUE_BUSY, 0, 0);
	T_EQ(slow(ring[1]), 0);
	T_EQ(vs.timer_sets, 0);
	T_EQ(sum(), 0);
	T_EQ(credit.counted, 0);
	T_EQ(wr_alarm_trip(ring[1]->alarm), 1 + (1u << 20));
}

Test(flush_wake, without_a_timer_the_first_push_publishes_never_and_makes_no_call)
{
	begin(100);
	wake.settings.signals = ALL_SIGNALS & ~WR_SIGNAL_TIMER;
	T_EQ(slow(ring[1]), 0);
	T_EQ(due_time(), WR_DUE_NEVER);
	T_EQ(wake.due & 1, 1);
	T_EQ(vs.timer_sets, 0);
}

Test(flush_wake, a_deadline_that_is_off_publishes_never)
{
	begin(100);
	wake.settings.deadline_us = WR_DUE_NEVER;
	T_EQ(slow(ring[1]), 0);
	T_EQ(due_time(), WR_DUE_NEVER);
	T_EQ(vs.timer_sets, 0);
}

Test(flush_wake, under_never_later_pushes_make_no_call_either)
{
	begin(100);
	set_due(WR_DUE_NEVER, 1);
	T_EQ(slow(ring[1]), 0);
	T_EQ(vs.timer_sets, 0);
	T_EQ(due_time(), WR_DUE_NEVER);
}


static uint64_t alarm_then, bits_then;

static void look_at_alarm(int fd, uint64_t at_ns)
{
	(void)fd, (void)at_ns;
	alarm_then = ring[1]->alarm;
	bits_then = wake.bits[0];
}

Test(flush_wake, the_alarm_moves_only_after_the_timer_is_set)
{
	begin(100);
	vs.on_timer_set = look_at_alarm;
	T_EQ(slow(ring[1]), 0);
	T_EQ(alarm_then, wr_alarm_make(EPOCH, 0, 1));
	T_EQ(bits_then, 2);
}

static void earlier_deadline(int fd, uint64_t at_ns)
{
	(void)fd, (void)at_ns;
	vs.on_timer_set = NULL;
	set_due(NOW_US + 7, 1); /* somebody else, and its settime came before ours */
}

Test(flush_wake, a_settime_that_may_have_overwritten_an_earlier_one_is_repaired)
{
	begin(100);
	vs.on_timer_set = earlier_deadline;
	T_EQ(slow(ring[1]), 0);
	T_EQ(vs.timer_sets, 2);
	T_EQ(vs_timer(timer_fd), (NOW_US + 7) * 1000);
}

static void confirmed_by_another(int fd, uint64_t at_ns)
{
	(void)fd, (void)at_ns;
	wake.due |= 1;
}

Test(flush_wake, a_deadline_that_a_helper_confirmed_is_done)
{
	begin(100);
	vs.on_timer_set = confirmed_by_another;
	T_EQ(slow(ring[1]), 0);
	T_EQ(vs.timer_sets, 1);
}

static void flusher_wakes(int fd, uint64_t at_ns)
{
	(void)fd, (void)at_ns;
	vs.on_timer_set = NULL;
	wake.due = wr_due_make(WR_DUE_BUSY, 0, 0);
}

Test(flush_wake, a_flusher_that_woke_meanwhile_needs_no_timer)
{
	begin(100);
	vs.on_timer_set = flusher_wakes;
	T_EQ(slow(ring[1]), 0);
	T_EQ(vs.timer_sets, 1);
	T_EQ(credit.counted, 0);
}

Test(flush_wake, in_a_child_there_is_no_descriptor_and_no_call)
{
	begin(100);
	atomic_store(&rings.page->timer_fd1, 0);
	atomic_store(&rings.page->event_fd1, 0);
	T_EQ(slow(ring[1]), 0);
	wr_wake_write(&wake);
	T_EQ(vs.timer_sets + vs.event_writes, 0);
	T_EQ(wake.timer_arms + wake.eventfd_writes, 0);
}

/* --- urgent --- */

Test(flush_wake, an_urgent_record_lowers_a_later_deadline)
{
	begin(100);
	set_due(NOW_US + 1000000, 1);
	T_EQ(slow_aged(ring[1], 500), 0);
	T_EQ(due_time(), NOW_US + 1 + 500);
	T_EQ(vs_timer(timer_fd), (NOW_US + 501) * 1000);
	T_EQ(wake.soon, NOW_US + 501);
}

Test(flush_wake, an_urgent_record_leaves_an_earlier_deadline)
{
	begin(100);
	set_due(NOW_US + 100, 1);
	T_EQ(slow_aged(ring[1], 500), 0);
	T_EQ(due_time(), NOW_US + 100);
	T_EQ(vs.timer_sets, 0);
	T_EQ(wake.soon, NOW_US + 501);
}

Test(flush_wake, an_urgent_first_record_takes_the_earlier_of_two_deadlines)
{
	begin(100);
	T_EQ(slow_aged(ring[1], 500), 0);
	T_EQ(due_time(), NOW_US + 501);
	begin(100);
	T_EQ(slow_aged(ring[1], DEADLINE_US + 9), 0);
	T_EQ(due_time(), DUE_US);
}

Test(flush_wake, the_soonest_of_urgent_records_is_kept)
{
	begin(100);
	T_EQ(slow_aged(ring[1], 500), 0);
	T_EQ(slow_aged(ring[2], 700), 0);
	T_EQ(wake.soon, NOW_US + 501);
	T_EQ(slow_aged(ring[3], 300), 0);
	T_EQ(wake.soon, NOW_US + 301);
	T_EQ(due_time(), NOW_US + 301);
}

Test(flush_wake, with_urgent_off_a_max_age_moves_nothing)
{
	begin(100);
	wake.settings.signals = ALL_SIGNALS & ~WR_SIGNAL_URGENT;
	set_due(NOW_US + 1000000, 1);
	T_EQ(slow_aged(ring[1], 500), 0);
	T_TRUE(wake.soon == UINT64_MAX);
	T_EQ(due_time(), NOW_US + 1000000);
}

Test(flush_wake, with_urgent_in_shadow_a_max_age_is_noted_and_sets_no_timer)
{
	begin(100);
	wake.settings.signals = (ALL_SIGNALS & ~WR_SIGNAL_URGENT) | WR_SIGNAL_URGENT_SHADOW;
	set_due(NOW_US + 1000000, 1);
	T_EQ(slow_aged(ring[1], 500), 0);
	T_EQ(wake.soon, NOW_US + 501);
	T_EQ(due_time(), NOW_US + 1000000);
	T_EQ(vs.timer_sets, 0);
}

Test(flush_wake, an_absurd_max_age_does_not_wrap)
{
	begin(100);
	T_EQ(slow_aged(ring[1], UINT64_MAX), 0);
	T_EQ(due_time(), DUE_US);
	T_TRUE(wake.soon > DUE_US);
}

/* --- step 5: the alarm --- */

Test(flush_wake, the_alarm_moves_within_its_epoch)
{
	begin(1000);
	T_EQ(slow(ring[1]), 0);
	T_EQ(wr_alarm_epoch(ring[1]->alarm), EPOCH);
	T_EQ(epoch, EPOCH);
	T_EQ(wr_alarm_base(ring[1]->alarm), 1);
}

static void flusher_deals(int fd, uint64_t at_ns)
{
	(void)fd, (void)at_ns;
	ring[1]->alarm = wr_alarm_make(EPOCH + 1, 0, 1);
}

Test(flush_wake, an_alarm_that_the_flusher_has_dealt_anew_is_left_alone_and_nothing_is_counted)
{
	begin(1000);
	vs.on_timer_set = flusher_deals;
	T_EQ(slow(ring[1]), 1);
	T_EQ(ring[1]->alarm, wr_alarm_make(EPOCH + 1, 0, 1));
	T_EQ(sum(), 0);
	T_EQ(credit.counted, 0);
}

Test(flush_wake, up_to_31_every_push_is_counted)
{
	for (uint32_t threshold = 1; threshold <= 31; threshold++) {
		begin(threshold);
		for (uint32_t i = 1; i < 6; i++) {
			T_EQ(slow(ring[i]), 0);
			T_EQ(wr_alarm_trip(ring[i]->alarm), 2);
		}
	}
}

Test(flush_wake, the_kth_ring_to_join_takes_its_share_of_an_eighth)
{
	begin(1000);
	for (uint32_t k = 1; k < 6; k++) {
		uint32_t share = 1000 / (8 * k * (k + 1)), stride = 1;

		while (2 * stride <= share)
			stride *= 2;
		T_EQ(slow(ring[k]), 0);
		T_EQ(wr_alarm_trip(ring[k]->alarm), 1 + stride);
	}
	T_EQ(wake.joined, 5);
}

Test(flush_wake, all_joiners_together_keep_less_than_an_eighth_uncounted)
{
	uint32_t uncounted = 0;

	begin(100000);
	for (uint32_t k = 1; k < 6; k++) {
		T_EQ(slow(ring[k]), 0);
		uncounted += wr_alarm_trip(ring[k]->alarm) - 2;
	}
	T_TRUE(uncounted < 100000 / 8);
	T_TRUE(uncounted > 100000 / 32);
}

Test(flush_wake, a_ring_that_has_joined_does_not_join_again)
{
	begin(1000);
	T_EQ(slow(ring[1]), 0);
	ring_set_head(ring[1], 32, 512);
	atomic_store(&ring[1]->alarm, wr_alarm_make(EPOCH, 5, 33));
	T_EQ(slow(ring[1]), 0);
	T_EQ(wake.joined, 1);
}

Test(flush_wake, a_stride_never_passes_what_is_missing)
{
	begin(1000);
	wake.sum += 995;
	T_EQ(slow(ring[1]), 0);
	T_EQ(sum(), 996);
	T_EQ(wr_alarm_trip(ring[1]->alarm), 1 + 4);
}

Test(flush_wake, a_stride_never_passes_the_slack)
{
	begin(100000);
	wake.settings.slack = 3;
	T_EQ(slow(ring[1]), 0);
	T_EQ(wr_alarm_trip(ring[1]->alarm), 1 + 4);
	wake.settings.slack = 0;
	T_EQ(slow(ring[2]), 0);
	T_EQ(wr_alarm_trip(ring[2]->alarm), 1 + 1);
}

Test(flush_wake, without_a_threshold_a_ring_counts_a_million_at_a_time)
{
	begin(0);
	T_EQ(slow(ring[1]), 0);
	T_EQ(wr_alarm_trip(ring[1]->alarm), 1 + (1u << 20));
}

/* --- step 6: the sum --- */

Test(flush_wake, a_slow_path_credits_what_its_ring_has_gained)
{
	begin(1000);
	ring_set_head(ring[1], 40, 640);
	atomic_store(&ring[1]->alarm, wr_alarm_make(EPOCH, 4, 41));
	T_EQ(slow(ring[1]), 0);
	T_EQ(sum(), 16);
	T_EQ(credit.counted, 1);
	T_EQ(credit.before, 0);
	T_EQ(slow(ring[2]), 0);
	T_EQ(sum(), 17);
	T_EQ(credit.before, 16);
}

Test(flush_wake, credit_is_right_across_a_wrap_of_the_count)
{
	begin(1000);
	ring_set_head(ring[1], 2, 640);
	atomic_store(&ring[1]->alarm, wr_alarm_make(EPOCH, 3, 3));
	T_EQ(wr_alarm_base(ring[1]->alarm), 0xfffffffb);
	T_EQ(slow(ring[1]), 0);
	T_EQ(sum(), 8);
}

static void flusher_begins_a_batch(int fd, uint64_t at_ns)
{
	(void)fd, (void)at_ns;
	vs.on_timer_set = NULL;
	wake.sum = (uint64_t)(EPOCH + 1) << 33 | 77;
}

Test(flush_wake, credit_for_a_batch_that_is_over_is_dropped)
{
	begin(1000);
	vs.on_timer_set = flusher_begins_a_batch;
	T_EQ(slow(ring[1]), 0);
	T_EQ(wake.sum, (uint64_t)(EPOCH + 1) << 33 | 77);
	T_EQ(credit.counted, 0);
}

/* --- after the commit --- */

static void credit_and_test(uint32_t to)
{
	struct wr_credit mine = { .counted = 1, .before = sum() };

	wake.sum += to - sum();
	wr_wake_after(&wake, &mine);
}

Test(flush_wake, below_the_threshold_nobody_is_woken)
{
	begin(100);
	credit_and_test(99);
	T_EQ(vs.event_writes, 0);
}

Test(flush_wake, at_the_threshold_the_flusher_is_woken_once)
{
	begin(100);
	credit_and_test(100);
	T_EQ(vs.event_writes, 1);
	T_EQ(wake.eventfd_writes, 1);
	credit_and_test(101);
	credit_and_test(199);
	T_EQ(vs.event_writes, 1);
}

Test(flush_wake, an_event_that_was_written_is_not_written_again)
{
	begin(100);
	credit_and_test(100);
	credit_and_test(205);
	credit_and_test(300);
	T_EQ(vs.event_writes, 1);
}

Test(flush_wake, at_twice_and_thrice_the_threshold_one_that_was_not_written_is)
{
	begin(100);
	credit_and_test(100);
	wake.told = 0; /* as if that thread had stopped before its write */
	credit_and_test(205);
	T_EQ(vs.event_writes, 2);
	wake.told = 0;
	credit_and_test(299);
	T_EQ(vs.event_writes, 2);
	credit_and_test(300);
	T_EQ(vs.event_writes, 3);
}

Test(flush_wake, a_push_that_credited_nothing_wakes_nobody)
{
	begin(100);
	wake.sum += 500;
	credit = (struct wr_credit){ 0 };
	wr_wake_after(&wake, &credit);
	T_EQ(vs.event_writes, 0);
}

Test(flush_wake, a_threshold_that_does_not_act_wakes_nobody)
{
	begin(100);
	wake.settings.signals = ALL_SIGNALS & ~WR_SIGNAL_SIZE;
	credit_and_test(500);
	T_EQ(vs.event_writes, 0);
	begin(0);
	credit_and_test(500);
	T_EQ(vs.event_writes, 0);
}

Test(flush_wake, an_epoch_in_the_sum_is_not_mistaken_for_a_count)
{
	begin(100);
	wake.sum = UINT64_C(0x7fffffff) << 33;
	credit_and_test(99);
	T_EQ(vs.event_writes, 0);
	T_EQ(wake.sum >> 33, 0x7fffffff);
}

Test(flush_wake, the_byte_threshold_wakes_once)
{
	struct wr_credit mine = { .bytes = 1 };

	begin(0);
	wake.settings.threshold_bytes = 1000;
	wake.bytes += 999;
	wr_wake_after(&wake, &mine);
	T_EQ(vs.event_writes, 0);
	wake.bytes += 1;
	wr_wake_after(&wake, &mine);
	T_EQ(vs.event_writes, 1);
	mine.bytes_before = 1000;
	wake.bytes += 500;
	wr_wake_after(&wake, &mine);
	T_EQ(vs.event_writes, 1);
}

Test(flush_wake, a_watermark_that_was_passed_wakes_a_flusher_that_sleeps)
{
	struct wr_credit mine = { .pressure = 1 };

	begin(100);
	wr_wake_after(&wake, &mine);
	T_EQ(vs.event_writes, 1);
	wake.due = wr_due_make(WR_DUE_BUSY, 0, 0);
	wr_wake_after(&wake, &mine);
	T_EQ(vs.event_writes, 1);
	set_due(NOW_US, 1);
	wake.settings.signals = ALL_SIGNALS & ~WR_SIGNAL_PRESSURE;
	wr_wake_after(&wake, &mine);
	T_EQ(vs.event_writes, 1);
}

/* --- the limit --- */

static int limit(uint64_t need)
{
	credit = (struct wr_credit){ 0 };
	return wr_wake_limit(&wake, ring[1], need, &credit);
}

static void set_limit(uint32_t kind, uint32_t log2_stride, uint32_t position)
{
	ring[1]->limit = wr_limit_make(3, log2_stride, kind, position);
}

Test(flush_limit, a_closed_ring_says_shutdown)
{
	begin(100);
	set_limit(WR_STOP_CLOSED, 0, 0);
	T_EQ(limit(16), -ESHUTDOWN);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_CLOSED);
}

Test(flush_limit, a_full_ring_says_so_and_wakes_the_flusher)
{
	begin(100);
	ring[1]->head = wr_head_make(10, SMALL_RING - 8);
	set_limit(WR_STOP_FULL, 0, SMALL_RING);
	T_EQ(limit(16), -EAGAIN);
	T_EQ(vs.event_writes, 1);
	T_EQ(wake.bits[0], 2);
}

Test(flush_limit, a_full_ring_does_not_wake_a_flusher_that_is_awake)
{
	begin(100);
	wake.due = wr_due_make(WR_DUE_BUSY, 0, 0);
	ring[1]->head = wr_head_make(10, SMALL_RING);
	set_limit(WR_STOP_FULL, 0, SMALL_RING);
	T_EQ(limit(8), -EAGAIN);
	T_EQ(vs.event_writes, 0);
}

Test(flush_limit, what_was_released_may_be_written_again)
{
	begin(100);
	ring[1]->head = wr_head_make(10, SMALL_RING);
	set_limit(WR_STOP_FULL, 0, SMALL_RING);
	ring[1]->tail = 64;
	T_EQ(limit(64), 0);
	T_EQ(wr_limit_position(ring[1]->limit), SMALL_RING + 64);
	T_EQ(limit(72), -EAGAIN);
}

Test(flush_limit, a_limit_that_has_moved_already_is_left_alone)
{
	uint64_t before;

	begin(100);
	set_limit(WR_STOP_BYTES, 6, 64);
	before = ring[1]->limit;
	T_EQ(limit(64), 0);
	T_EQ(ring[1]->limit, before);
	T_EQ(credit.bytes, 0);
}

Test(flush_limit, while_the_flusher_is_busy_the_limit_goes_to_the_end)
{
	begin(100);
	wake.settings.threshold_bytes = 1000;
	wake.settings.watermark = 500;
	wake.due = wr_due_make(WR_DUE_BUSY, 0, 0);
	set_limit(WR_STOP_BYTES, 6, 8);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_position(ring[1]->limit), SMALL_RING);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_FULL);
	T_EQ(credit.bytes, 0);
}

Test(flush_limit, the_epoch_of_a_limit_is_kept)
{
	begin(100);
	set_limit(WR_STOP_FULL, 0, 8);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_epoch(ring[1]->limit), 3);
}

Test(flush_limit, the_watermark_is_the_next_stop)
{
	begin(100);
	wake.settings.watermark = 4096;
	set_limit(WR_STOP_FULL, 0, 8);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_WATERMARK);
	T_EQ(wr_limit_position(ring[1]->limit), 4096);
	T_EQ(credit.pressure, 0);
}

Test(flush_limit, passing_the_watermark_is_pressure_and_the_end_is_next)
{
	begin(100);
	wake.settings.watermark = 4096;
	ring[1]->head = wr_head_make(10, 4096);
	set_limit(WR_STOP_WATERMARK, 0, 4096);
	T_EQ(limit(16), 0);
	T_EQ(credit.pressure, 1);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_FULL);
	T_EQ(wr_limit_position(ring[1]->limit), SMALL_RING);
}

Test(flush_limit, the_watermark_counts_from_what_was_taken)
{
	begin(100);
	wake.settings.watermark = 4096;
	ring[1]->cut_position = 1000;
	set_limit(WR_STOP_FULL, 0, 8);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_position(ring[1]->limit), 5096);
}

Test(flush_limit, a_byte_stop_lies_a_share_of_an_eighth_ahead)
{
	begin(100);
	wake.settings.threshold_bytes = 65536;
	set_limit(WR_STOP_FULL, 0, 8);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_BYTES);
	T_EQ(wr_limit_stride(ring[1]->limit), wr_limit_position(ring[1]->limit) - 16);
	T_TRUE(wr_limit_stride(ring[1]->limit) <= 8192);
	T_TRUE(wr_limit_stride(ring[1]->limit) >= 1024);
}

Test(flush_limit, a_byte_stop_credits_exactly_what_came_since_the_last)
{
	begin(100);
	wake.settings.threshold_bytes = 65536;
	ring[1]->head = wr_head_make(10, 2040);
	set_limit(WR_STOP_BYTES, 10, 2048);
	T_EQ(limit(16), 0);
	T_EQ(credit.bytes, 1);
	T_EQ(wake.bytes & 0xffffffff, 2056 - 1024);
}

/* A push may pass two of them on its way: whoever tells must know of the first. */
Test(flush_limit, a_credit_keeps_what_the_sum_held_before_the_first)
{
	begin(100);
	wake.settings.threshold_bytes = 65536;
	wake.bytes += 5000;
	credit = (struct wr_credit){ 0 };
	for (uint32_t at = 2048; at <= 8192; at *= 2) {
		ring[1]->head = wr_head_make(10, at - 8);
		set_limit(WR_STOP_BYTES, 10, at);
		T_EQ(wr_wake_limit(&wake, ring[1], 16, &credit), 0);
		T_EQ(credit.bytes_before, 5000);
	}
	T_EQ(wake.bytes & 0xffffffff, 5000 + 3 * 1032);
}

Test(flush_limit, the_nearest_of_all_stops_is_taken)
{
	begin(100);
	wake.settings.threshold_bytes = 65536;
	wake.settings.watermark = 32;
	set_limit(WR_STOP_FULL, 0, 8);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_WATERMARK);
	T_EQ(wr_limit_position(ring[1]->limit), 32);
}

Test(flush_limit, stops_hold_across_a_wrap_of_the_position)
{
	begin(100);
	wake.settings.watermark = 4096;
	ring[1]->head = wr_head_make(10, 0xfffff000);
	ring[1]->tail = ring[1]->cut_position = 0xfffff000;
	set_limit(WR_STOP_FULL, 0, 0xfffff000);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_WATERMARK);
	T_EQ(wr_limit_position(ring[1]->limit), 0);
}

/* --- the flusher's own timer --- */

Test(flush_wake, arm_sets_the_timer_and_publishes)
{
	begin(100);
	wr_wake_arm(&wake, NOW_US + 50, 1);
	T_EQ(due_time(), NOW_US + 50);
	T_EQ(wake.due & 1, 1);
	T_EQ(vs_timer(timer_fd), (NOW_US + 50) * 1000);
}

Test(flush_wake, arm_keeps_an_earlier_deadline_and_sets_the_timer_all_the_same)
{
	begin(100);
	set_due(NOW_US + 20, 1);
	wr_wake_arm(&wake, NOW_US + 50, 1);
	T_EQ(due_time(), NOW_US + 20);
	T_EQ(vs_timer(timer_fd), (NOW_US + 20) * 1000);
}

Test(flush_wake, arm_lowers_a_later_deadline)
{
	begin(100);
	set_due(NOW_US + 90, 1);
	wr_wake_arm(&wake, NOW_US + 50, 1);
	T_EQ(due_time(), NOW_US + 50);
	T_EQ(vs_timer(timer_fd), (NOW_US + 50) * 1000);
}

Test(flush_wake, arm_without_a_timer_publishes_never_and_makes_no_call)
{
	begin(100);
	wr_wake_arm(&wake, WR_DUE_NEVER, 0);
	T_EQ(due_time(), WR_DUE_NEVER);
	T_EQ(vs.timer_sets, 0);
}

/* It was passed without a word: the next stop was the end of the ring. */
Test(flush_limit, a_push_that_ends_at_the_very_watermark_leaves_it_as_the_next_stop)
{
	begin(100);
	wake.settings.watermark = 16;
	set_limit(WR_STOP_FULL, 0, 8);
	T_EQ(limit(16), 0);
	T_EQ(wr_limit_kind(ring[1]->limit), WR_STOP_WATERMARK);
	T_EQ(wr_limit_position(ring[1]->limit), 16);
	T_EQ(credit.pressure, 0);
	ring[1]->head = wr_head_make(11, 16);
	T_EQ(limit(16), 0);
	T_EQ(credit.pressure, 1);
}

Test(flush_wake, a_flusher_that_is_awake_is_not_woken)
{
	begin(100);
	wake.due = wr_due_make(WR_DUE_BUSY, 0, 0);
	credit_and_test(100);
	T_EQ(vs.event_writes, 0);
}

static uint32_t told_during_write;

/* In the midst of the first write: another reason, by another thread. */
static void another_reason(int fd)
{
	struct wr_credit other = { .bytes = 1 };

	(void)fd;
	vs.on_event_write = NULL;
	told_during_write = wake.told;
	wr_wake_after(&wake, &other);
}

Test(flush_wake, of_two_reasons_at_once_the_first_alone_writes)
{
	begin(100);
	wake.settings.threshold_bytes = 1000;
	wake.bytes += 1000;
	vs.on_event_write = another_reason;
	credit_and_test(100);
	T_EQ(vs.event_writes, 1);
}

/* A thread may stop for ever within the call: then twice the threshold tells. */
Test(flush_wake, that_an_event_was_written_is_told_behind_the_write)
{
	begin(100);
	vs.on_event_write = another_reason;
	credit_and_test(100);
	T_EQ(told_during_write, 0);
	T_EQ(wake.told, EPOCH + 1);
}

Test(flush_limit, whoever_finds_a_ring_full_tells_again_ever_more_rarely)
{
	begin(100);
	ring[1]->head = wr_head_make(10, SMALL_RING);
	set_limit(WR_STOP_FULL, 0, SMALL_RING);
	for (uint32_t i = 1; i <= 9; i++) {
		static const uint32_t expected[] = { 0, 1, 2, 3, 3, 4, 4, 4, 4, 5 };

		wake.told = 0; /* as if that thread had stopped before its write */
		T_EQ(limit(8), -EAGAIN);
		T_EQ(vs.event_writes, expected[i]);
	}
}

Test(flush_wake, a_max_age_of_less_than_a_timer_takes_is_lengthened_to_that)
{
	begin(100);
	T_EQ(slow_aged(ring[1], 1), 0);
	T_EQ(due_time(), NOW_US + 1 + WR_WAKE_LEAST_US);
	T_EQ(wake.soon, NOW_US + 1 + WR_WAKE_LEAST_US);
}

/* A time beyond all times is none, and none is another word. */
Test(flush_wake, a_max_age_without_end_is_the_latest_time_there_is)
{
	begin(100);
	T_EQ(slow_aged(ring[1], UINT64_MAX), 0);
	T_EQ(wake.soon, WR_DUE_NEVER - 1);
}

/* Unconfirmed it would cost a call to clear a timer that nobody has set. */
Test(flush_wake, a_time_that_needs_no_timer_is_confirmed)
{
	begin(100);
	set_due(WR_DUE_INF, 0);
	wr_wake_arm(&wake, WR_DUE_NEVER, 0);
	T_EQ(wake.due & 1u, 1);
	T_EQ(vs.timer_sets, 0);
}
