/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lost_test.c - what close leaves behind a place that was never committed, and what its owner does
 * with the place later: the identity holds at every moment.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "base/testpoint.h"
#include "ring/fallback.h"
#include "support/rig.h"

/* A push that has reserved and goes no further. */
static struct wr_seen reserve(struct wr_ring *ring)
{
	struct wr_put put = { .total = weir_record_total(1, 0) };
	struct wr_seen seen;

	T_EQ(wr_fallback_reserve(ring, &put, &seen), WR_PUSHED);
	return seen;
}

/* Its owner commits it after all, ... */
static void commit(const struct wr_seen *seen)
{
	(void)wr_fallback_commit(seen, wr_header_make(1, 0, WEIR_REC_COMMITTED));
}

/* ... or gives it up. */
static void give_up(const struct wr_seen *seen)
{
	atomic_fetch_add(&seen->ring->claims_begun, 1);
	(void)wr_fallback_commit(seen, wr_header_make(1, 0, WEIR_REC_ABORTED));
}

static struct weir_close_report close_late(void)
{
	struct weir_close_report report = { .size = sizeof(report) };

	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), &report), -ETIMEDOUT);
	return report;
}

/* @accepted of which @dropped; the rest was delivered. */
static void check(uint64_t accepted, uint64_t dropped)
{
	struct weir_stats stats = rig_stats();
	struct weir_audit audit = { .size = sizeof(audit) };

	T_EQ(stats.accepted, accepted);
	T_EQ(stats.dropped_shutdown, dropped);
	T_EQ(stats.delivered, accepted - dropped);
	T_EQ(stats.pending, 0);
	T_EQ(weir_audit(rig.weir, &audit), 0);
	T_EQ(audit.residual, 0);
	T_EQ(audit.accepted, accepted);
	T_EQ(audit.dropped, dropped);
}

static void open_with(uint32_t delivered)
{
	rig_init();
	rig_open(0);
	rig_push_many("x", delivered);
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
}

Test(flush_lost, a_place_committed_after_close_was_accepted_and_dropped)
{
	struct wr_seen seen;

	open_with(2);
	seen = reserve(rig_ring(0));
	rig_push("behind");
	T_EQ(close_late().left_in_rings, 2);
	check(4, 2);
	commit(&seen);
	check(4, 2);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_lost, a_place_given_up_after_close_was_neither_accepted_nor_dropped)
{
	struct wr_seen seen;

	open_with(2);
	seen = reserve(rig_ring(0));
	rig_push("behind");
	T_EQ(close_late().left_in_rings, 2);
	give_up(&seen);
	check(3, 1);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_lost, a_place_given_up_behind_another_is_no_record_at_close)
{
	struct wr_seen first, second;

	open_with(1);
	first = reserve(rig_ring(0));
	second = reserve(rig_ring(0));
	give_up(&second);
	T_EQ(close_late().left, 1);
	check(2, 1);
	give_up(&first);
	check(1, 0);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_lost, a_claim_behind_such_a_place_counts_once_it_is_committed)
{
	struct weir_claim kept, aborted;

	open_with(1);
	(void)reserve(rig_ring(0));
	T_EQ(weir_claim(rig.weir, 1, NULL, &kept), 0);
	T_EQ(weir_claim(rig.weir, 1, NULL, &aborted), 0);
	T_EQ(close_late().left, 1);
	check(2, 1);
	T_EQ(weir_commit(&kept), 0);
	check(3, 2);
	T_EQ(weir_abort(&aborted), 0);
	check(3, 2);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_lost, claims_aborted_and_taken_before_are_not_among_what_close_left)
{
	struct weir_claim claim;
	struct wr_seen seen;

	open_with(1);
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	T_EQ(weir_abort(&claim), 0);
	rig_push("y");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	seen = reserve(rig_ring(0));
	T_EQ(close_late().left, 1);
	check(3, 1);
	give_up(&seen);
	check(2, 0);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_lost, other_rings_are_counted_as_ever)
{
	struct weir_claim claim;
	struct wr_seen seen;

	open_with(1);
	seen = reserve(rig_ring(0));
	rig_on(1);
	rig_push("other");
	T_EQ(weir_claim(rig.weir, 1, NULL, &claim), 0);
	rig_push("behind");
	T_EQ(close_late().claims_abandoned, 1);
	T_EQ(weir_commit(&claim), -ESHUTDOWN);
	check(4, 3); /* this thread's records keep their order: none may go before the place */
	give_up(&seen);
	check(3, 2);
	T_EQ(weir_free(rig.weir), 0);
}

Test(flush_lost, behind_a_broken_sink_it_is_the_sink_that_is_to_blame)
{
	struct wr_seen seen;

	open_with(1);
	rig.submit_answer = -EIO;
	rig_push("y");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	seen = reserve(rig_ring(0));
	T_EQ(weir_close(rig.weir, WEIR_SECONDS(1), NULL), -EPIPE);
	T_EQ(rig_stats().dropped_fatal, 2);
	T_EQ(rig_stats().dropped_shutdown, 0);
	give_up(&seen);
	T_EQ(rig_stats().dropped_fatal, 1);
	T_EQ(weir_free(rig.weir), 0);
}

#ifdef WR_TEST_POINTS
static const char *close_at;
static uint64_t left;

static void close_here(const char *name)
{
	if (strcmp(name, close_at) != 0)
		return;
	atomic_store(&wr_testpoint_hook, NULL);
	left = close_late().left;
}

/* It was about to set a timer, which nobody may any more: its place is given up, and so it says. */
Test(flush_lost, a_push_that_needs_a_timer_after_close_is_refused_and_no_record)
{
	open_with(2);
	close_at = "push.inside";
	atomic_store(&wr_testpoint_hook, close_here);
	T_EQ(weir_push(rig.weir, "late", 4), -ESHUTDOWN);
	T_EQ(left, 1);
	check(2, 0);
	T_EQ(rig_stats().refused_closed, 1);
	T_EQ(weir_free(rig.weir), 0);
}

/* It needs no timer: it commits, and is lost with what close left. */
Test(flush_lost, a_push_that_is_covered_commits_after_close_and_is_dropped)
{
	open_with(2);
	rig.submit_answer = -EAGAIN;
	rig_push("first");
	close_at = "fallback.reserved";
	atomic_store(&wr_testpoint_hook, close_here);
	T_EQ(weir_push(rig.weir, "late", 4), 0);
	T_EQ(left, 2);
	check(4, 2);
	T_EQ(weir_free(rig.weir), 0);
}
#endif
