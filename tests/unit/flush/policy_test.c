/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions: numbers in, a cause out. */
#include "flush/policy.h"

#include "test.h"

#define NOW UINT64_C(5000000000)

static struct wr_policy policy;
static struct wr_facts facts;

/* Everything on, nothing holds. */
static void begin(void)
{
	policy = (struct wr_policy){ .threshold = 10,
		                     .threshold_bytes = 1000,
		                     .watermark = 500,
		                     .deadline_ns = 2000000000 };
	facts = (struct wr_facts){ .records = 1,
		                   .bytes = 16,
		                   .fullest = 16,
		                   .now_ns = NOW,
		                   .due_ns = NOW + 1,
		                   .urgent_ns = UINT64_MAX,
		                   .oldest_ns = NOW - 1 };
}

static int cause(void)
{
	return (int)wr_policy_decide(&policy, &facts).cause;
}

static uint32_t shadow(void)
{
	return wr_policy_decide(&policy, &facts).shadow;
}

Test(flush_policy, nothing_holds_nothing_is_flushed)
{
	begin();
	T_EQ(cause(), WEIR_CAUSE_NONE);
	T_EQ(shadow(), 0);
}

Test(flush_policy, size_holds_from_the_threshold_on)
{
	begin();
	facts.records = 9;
	T_EQ(cause(), WEIR_CAUSE_NONE);
	facts.records = 10;
	T_EQ(cause(), WEIR_CAUSE_SIZE);
	facts.records = 11;
	T_EQ(cause(), WEIR_CAUSE_SIZE);
}

Test(flush_policy, size_without_a_threshold_never_holds)
{
	begin();
	policy.threshold = 0;
	facts.records = UINT64_MAX;
	T_EQ(cause(), WEIR_CAUSE_NONE);
}

Test(flush_policy, bytes_hold_from_their_threshold_on)
{
	begin();
	facts.bytes = 999;
	T_EQ(cause(), WEIR_CAUSE_NONE);
	facts.bytes = 1000;
	T_EQ(cause(), WEIR_CAUSE_BYTES);
}

Test(flush_policy, bytes_without_a_threshold_never_hold)
{
	begin();
	policy.threshold_bytes = 0;
	facts.bytes = UINT64_MAX;
	T_EQ(cause(), WEIR_CAUSE_NONE);
}

Test(flush_policy, deadline_holds_from_the_due_time_on)
{
	begin();
	facts.due_ns = NOW;
	T_EQ(cause(), WEIR_CAUSE_DEADLINE);
	facts.due_ns = NOW - 1;
	T_EQ(cause(), WEIR_CAUSE_DEADLINE);
}

Test(flush_policy, no_due_time_is_no_deadline)
{
	begin();
	facts.due_ns = UINT64_MAX;
	T_EQ(cause(), WEIR_CAUSE_NONE);
}

Test(flush_policy, deadline_that_is_off_never_holds)
{
	begin();
	policy.deadline_ns = WEIR_OFF;
	facts.due_ns = 0;
	T_EQ(cause(), WEIR_CAUSE_NONE);
}

Test(flush_policy, urgent_holds_from_its_time_on)
{
	begin();
	facts.urgent_ns = NOW + 1;
	T_EQ(cause(), WEIR_CAUSE_NONE);
	facts.urgent_ns = NOW;
	T_EQ(cause(), WEIR_CAUSE_URGENT);
}

Test(flush_policy, pressure_holds_from_the_watermark_on)
{
	begin();
	facts.fullest = 499;
	T_EQ(cause(), WEIR_CAUSE_NONE);
	facts.fullest = 500;
	T_EQ(cause(), WEIR_CAUSE_PRESSURE);
}

Test(flush_policy, pressure_without_a_watermark_never_holds)
{
	begin();
	policy.watermark = 0;
	facts.fullest = UINT64_MAX;
	T_EQ(cause(), WEIR_CAUSE_NONE);
}

Test(flush_policy, a_full_ring_is_drained_even_with_pressure_off)
{
	begin();
	policy.pressure_mode = WEIR_MODE_OFF;
	facts.full = 1;
	T_EQ(cause(), WEIR_CAUSE_PRESSURE);
}

Test(flush_policy, a_request_flushes)
{
	begin();
	facts.requested = 1;
	T_EQ(cause(), WEIR_CAUSE_MANUAL);
}

Test(flush_policy, the_end_flushes)
{
	begin();
	facts.shutdown = 1;
	T_EQ(cause(), WEIR_CAUSE_SHUTDOWN);
}

Test(flush_policy, aborted_claims_alone_are_taken_so_that_their_room_comes_back)
{
	begin();
	facts.records = 0;
	facts.fullest = 500;
	T_EQ(cause(), WEIR_CAUSE_PRESSURE);
}

Test(flush_policy, with_nothing_to_take_nothing_is_flushed_whatever_holds)
{
	begin();
	facts = (struct wr_facts){ .records = 0,
		                   .bytes = 0,
		                   .fullest = 5000,
		                   .now_ns = NOW,
		                   .oldest_ns = 1,
		                   .full = 1,
		                   .requested = 1,
		                   .shutdown = 1 };
	T_EQ(cause(), WEIR_CAUSE_NONE);
	policy.threshold_mode = policy.timer_mode = WEIR_MODE_SHADOW;
	T_EQ(shadow(), 0);
}

Test(flush_policy, of_several_causes_the_first_of_the_list_is_told)
{
	static const enum weir_cause list[] = { WEIR_CAUSE_SIZE,     WEIR_CAUSE_BYTES,
		                                WEIR_CAUSE_DEADLINE, WEIR_CAUSE_URGENT,
		                                WEIR_CAUSE_PRESSURE, WEIR_CAUSE_MANUAL,
		                                WEIR_CAUSE_SHUTDOWN };

	begin();
	facts.records = 10;
	facts.bytes = 1000;
	facts.due_ns = facts.urgent_ns = NOW;
	facts.fullest = 500;
	facts.requested = facts.shutdown = 1;
	for (unsigned i = 0; i < 7; i++) {
		T_EQ(cause(), list[i]);
		switch (list[i]) {
		case WEIR_CAUSE_SIZE:
			facts.records = 1;
			break;
		case WEIR_CAUSE_BYTES:
			facts.bytes = 16;
			break;
		case WEIR_CAUSE_DEADLINE:
			facts.due_ns = NOW + 1;
			break;
		case WEIR_CAUSE_URGENT:
			facts.urgent_ns = NOW + 1;
			break;
		case WEIR_CAUSE_PRESSURE:
			facts.fullest = 16;
			break;
		default:
			facts.requested = 0;
			break;
		}
	}
}

/* Makes the trigger of @cause_ hold, alone. */
static uint32_t *hold(enum weir_cause cause_)
{
	begin();
	switch (cause_) {
	case WEIR_CAUSE_SIZE:
		facts.records = 10;
		return &policy.threshold_mode;
	case WEIR_CAUSE_BYTES:
		facts.bytes = 1000;
		return &policy.bytes_mode;
	case WEIR_CAUSE_DEADLINE:
		facts.due_ns = NOW;
		facts.oldest_ns = NOW - policy.deadline_ns;
		return &policy.timer_mode;
	case WEIR_CAUSE_URGENT:
		facts.urgent_ns = NOW;
		return &policy.urgent_mode;
	default:
		facts.fullest = 500;
		return &policy.pressure_mode;
	}
}

Test(flush_policy, each_trigger_that_is_off_neither_flushes_nor_counts)
{
	for (int c = WEIR_CAUSE_SIZE; c <= WEIR_CAUSE_PRESSURE; c++) {
		uint32_t *mode = hold((enum weir_cause)c);

		T_EQ(cause(), c);
		*mode = WEIR_MODE_OFF;
		T_EQ(cause(), WEIR_CAUSE_NONE);
		T_EQ(shadow(), 0);
	}
}

Test(flush_policy, each_shadow_trigger_counts_and_does_not_flush)
{
	for (int c = WEIR_CAUSE_SIZE; c <= WEIR_CAUSE_PRESSURE; c++) {
		*hold((enum weir_cause)c) = WEIR_MODE_SHADOW;
		T_EQ(cause(), WEIR_CAUSE_NONE);
		T_EQ(shadow(), 1u << c);
	}
}

Test(flush_policy, a_shadow_trigger_leaves_the_word_to_those_that_act)
{
	begin();
	facts.records = 10;
	facts.bytes = 1000;
	policy.threshold_mode = WEIR_MODE_SHADOW;
	T_EQ(cause(), WEIR_CAUSE_BYTES);
	T_EQ(shadow(), 1u << WEIR_CAUSE_SIZE);
}

Test(flush_policy, a_shadow_timer_goes_by_the_age_of_the_oldest_record)
{
	begin();
	policy.timer_mode = WEIR_MODE_SHADOW;
	facts.due_ns = UINT64_MAX;
	facts.oldest_ns = NOW - policy.deadline_ns + 1;
	T_EQ(shadow(), 0);
	facts.oldest_ns = NOW - policy.deadline_ns;
	T_EQ(shadow(), 1u << WEIR_CAUSE_DEADLINE);
	facts.oldest_ns = 0;
	T_EQ(shadow(), 0);
}

Test(flush_policy, a_retry_comes_after_what_was_asked_for)
{
	T_EQ(wr_policy_retry_at(NOW, 30000000), NOW + 30000000);
}

Test(flush_policy, a_retry_at_once_still_waits_a_millisecond)
{
	T_EQ(wr_policy_retry_at(NOW, 0), NOW + 1000000);
	T_EQ(wr_policy_retry_at(NOW, 999999), NOW + 1000000);
	T_EQ(wr_policy_retry_at(NOW, 1000001), NOW + 1000001);
}

Test(flush_policy, a_retry_never_wraps)
{
	T_TRUE(wr_policy_retry_at(NOW, UINT64_MAX) == UINT64_MAX - 1);
	T_TRUE(wr_policy_retry_at(NOW, UINT64_MAX - NOW) == UINT64_MAX - 1);
	T_TRUE(wr_policy_retry_at(UINT64_MAX - 5, 100) == UINT64_MAX - 1);
}
