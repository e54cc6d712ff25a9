/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - see policy.h: which trigger holds, and the one that is named as the cause.
 * It reads no clock and changes nothing. thread: flusher; pure
 */
#include "flush/policy.h"

/* The first of the enum's order among the triggers that hold and act. */
static void consider(struct wr_decision *decision, enum weir_cause cause, uint32_t mode, int holds)
{
	if (!holds || mode == WEIR_MODE_OFF)
		return;
	if (mode == WEIR_MODE_SHADOW)
		decision->shadow |= 1u << cause;
	else if (decision->cause == WEIR_CAUSE_NONE)
		decision->cause = cause;
}

struct wr_decision wr_policy_decide(const struct wr_policy *policy, const struct wr_facts *facts)
{
	struct wr_decision decision = { WEIR_CAUSE_NONE, 0 };
	int timer_due = facts->due_ns <= facts->now_ns;

	/* Bytes without records are aborted claims: taken too, so that their room comes back. */
	if (!facts->records && !facts->bytes)
		return decision;
	/* Without a timer to say so, the age is what the oldest record's bound says. */
	if (policy->timer_mode == WEIR_MODE_SHADOW && policy->deadline_ns != WEIR_OFF)
		timer_due = facts->oldest_ns &&
		            facts->now_ns - facts->oldest_ns >= policy->deadline_ns;
	consider(&decision, WEIR_CAUSE_SIZE, policy->threshold_mode,
	         policy->threshold && facts->records >= policy->threshold);
	consider(&decision, WEIR_CAUSE_BYTES, policy->bytes_mode,
	         policy->threshold_bytes && facts->bytes >= policy->threshold_bytes);
	consider(&decision, WEIR_CAUSE_DEADLINE, policy->timer_mode,
	         timer_due && policy->deadline_ns != WEIR_OFF);
	consider(&decision, WEIR_CAUSE_URGENT, policy->urgent_mode,
	         facts->urgent_ns <= facts->now_ns);
	consider(&decision, WEIR_CAUSE_PRESSURE, policy->pressure_mode,
	         policy->watermark && facts->fullest >= policy->watermark);
	/* A full ring is always drained: nothing else would make room. */
	consider(&decision, WEIR_CAUSE_PRESSURE, WEIR_MODE_ON, facts->full != 0);
	consider(&decision, WEIR_CAUSE_MANUAL, WEIR_MODE_ON, facts->requested != 0);
	consider(&decision, WEIR_CAUSE_SHUTDOWN, WEIR_MODE_ON, facts->shutdown != 0);
	return decision;
}

uint64_t wr_policy_retry_at(uint64_t now_ns, uint64_t after_ns)
{
	uint64_t least = 1000000u;

	return after_ns > UINT64_MAX - now_ns - 1 ? UINT64_MAX - 1
	                                          : now_ns + (after_ns < least ? least : after_ns);
}
