/* SPDX-License-Identifier: Apache-2.0 */
#include "log/seen.h"

#include "test.h"

static struct wr_log_seen seen;

static uint64_t gaps(void)
{
	uint64_t n = 0, missing = 0;

	wr_log_seen_gaps(&seen, &n, &missing);
	return n;
}

static uint64_t missing(void)
{
	uint64_t n = 0, sum = 0;

	wr_log_seen_gaps(&seen, &n, &sum);
	return sum;
}

Test(seen, a_sequence_without_holes_has_no_gaps)
{
	wr_log_seen_begin(&seen, 0);
	for (uint64_t seq = 1; seq <= 100; seq++) {
		T_EQ(wr_log_seen_has(&seen, seq, 0), 0);
		wr_log_seen_add(&seen, seq, 0);
		T_EQ(wr_log_seen_has(&seen, seq, 0), 1);
	}
	T_EQ(gaps(), 0);
}

Test(seen, a_jump_is_one_gap_of_so_many)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 1, 0);
	wr_log_seen_add(&seen, 5, 0);
	T_EQ(gaps(), 1);
	T_EQ(missing(), 3);
	wr_log_seen_add(&seen, 9, 0);
	T_EQ(gaps(), 2);
	T_EQ(missing(), 6);
}

Test(seen, what_comes_late_fills_its_gap)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 1, 0);
	wr_log_seen_add(&seen, 3, 0);
	T_EQ(wr_log_seen_has(&seen, 2, 0), 0);
	wr_log_seen_add(&seen, 2, 0);
	T_EQ(wr_log_seen_has(&seen, 2, 0), 1);
	T_EQ(gaps(), 0);
}

Test(seen, a_gap_shrinks_from_either_end_and_splits)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 10, 0);
	T_EQ(missing(), 9);
	wr_log_seen_add(&seen, 1, 0);
	wr_log_seen_add(&seen, 9, 0);
	T_EQ(gaps(), 1);
	T_EQ(missing(), 7);
	wr_log_seen_add(&seen, 5, 0);
	T_EQ(gaps(), 2);
	T_EQ(missing(), 6);
	T_EQ(wr_log_seen_has(&seen, 4, 0), 0);
	T_EQ(wr_log_seen_has(&seen, 5, 0), 1);
	T_EQ(wr_log_seen_has(&seen, 6, 0), 0);
}

Test(seen, nothing_below_the_floor_is_missing_or_a_duplicate)
{
	wr_log_seen_begin(&seen, 100);
	wr_log_seen_add(&seen, 101, 0);
	T_EQ(gaps(), 0);
	T_EQ(wr_log_seen_has(&seen, 50, 0), 0);
	wr_log_seen_add(&seen, 50, 0);
	T_EQ(wr_log_seen_has(&seen, 50, 0), 0);
}

Test(seen, pieces_of_a_batch_are_told_apart)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 1, 0);
	T_EQ(wr_log_seen_has(&seen, 1, 7), 0);
	wr_log_seen_add(&seen, 1, 7);
	T_EQ(wr_log_seen_has(&seen, 1, 7), 1);
	T_EQ(wr_log_seen_has(&seen, 1, 8), 0);
	T_EQ(gaps(), 0);
}

Test(seen, a_later_piece_does_not_stand_for_the_first)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 1, 7);
	T_EQ(gaps(), 0);
	T_EQ(wr_log_seen_has(&seen, 1, 0), 0);
	wr_log_seen_add(&seen, 2, 0);
	T_EQ(wr_log_seen_has(&seen, 1, 0), 0);
	wr_log_seen_add(&seen, 1, 0);
	T_EQ(wr_log_seen_has(&seen, 1, 0), 1);
}

Test(seen, more_gaps_than_there_is_room_for_are_still_counted)
{
	wr_log_seen_begin(&seen, 0);
	for (uint64_t i = 1; i <= 3 * WR_LOG_HOLES; i++)
		wr_log_seen_add(&seen, 2 * i, 0);
	T_EQ(gaps(), 3 * WR_LOG_HOLES);
	T_EQ(missing(), 3 * WR_LOG_HOLES);
}

Test(seen, a_forgotten_gap_never_makes_a_batch_a_duplicate)
{
	wr_log_seen_begin(&seen, 0);
	for (uint64_t i = 1; i <= 2 * WR_LOG_HOLES; i++)
		wr_log_seen_add(&seen, 2 * i, 0);
	for (uint64_t i = 1; i <= 2 * WR_LOG_HOLES; i++)
		T_EQ(wr_log_seen_has(&seen, 2 * i - 1, 0), 0);
	T_EQ(wr_log_seen_has(&seen, 4 * WR_LOG_HOLES, 0), 1);
}

Test(seen, splitting_a_gap_when_there_is_no_room_keeps_the_count)
{
	wr_log_seen_begin(&seen, 0);
	for (uint64_t i = 1; i <= WR_LOG_HOLES; i++) /* gaps of three */
		wr_log_seen_add(&seen, 4 * i, 0);
	T_EQ(gaps(), WR_LOG_HOLES);
	T_EQ(missing(), 3 * WR_LOG_HOLES);
	wr_log_seen_add(&seen, 2, 0); /* in the oldest */
	T_EQ(gaps(), WR_LOG_HOLES + 1);
	T_EQ(missing(), 3 * WR_LOG_HOLES - 1);
	wr_log_seen_add(&seen, 4 * WR_LOG_HOLES - 2, 0); /* in the newest */
	T_EQ(gaps(), WR_LOG_HOLES + 2);
	T_EQ(missing(), 3 * WR_LOG_HOLES - 2);
	T_EQ(wr_log_seen_has(&seen, 4 * WR_LOG_HOLES - 2, 0), 1);
	T_EQ(wr_log_seen_has(&seen, 4 * WR_LOG_HOLES - 1, 0), 0);
	T_EQ(wr_log_seen_has(&seen, 4 * WR_LOG_HOLES - 3, 0), 0);
}

Test(seen, what_is_forgiven_is_no_gap_and_keeps_those_before)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 2, 0);
	wr_log_seen_forgive(&seen, 9);
	wr_log_seen_add(&seen, 10, 0);
	T_EQ(gaps(), 1);
	T_EQ(missing(), 1);
	T_EQ(wr_log_seen_has(&seen, 5, 0), 0);
	T_EQ(wr_log_seen_has(&seen, 10, 0), 1);
}

Test(seen, numbers_at_the_end_of_64_bits_hold)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 1, 0);
	wr_log_seen_add(&seen, UINT64_MAX - 1, 0);
	wr_log_seen_add(&seen, UINT64_MAX, 0);
	T_EQ(gaps(), 1);
	T_EQ(missing(), UINT64_MAX - 3);
	T_EQ(wr_log_seen_has(&seen, UINT64_MAX, 0), 1);
	T_EQ(wr_log_seen_has(&seen, 0, 0), 0);
}

Test(seen, what_is_expected_is_missing_until_it_comes)
{
	wr_log_seen_begin(&seen, 0);
	wr_log_seen_add(&seen, 1, 0);
	wr_log_seen_expect(&seen, 2);
	wr_log_seen_expect(&seen, 4);
	T_EQ(gaps(), 1);
	T_EQ(missing(), 3);
	T_EQ(wr_log_seen_has(&seen, 2, 0), 0);
	wr_log_seen_expect(&seen, 1);
	T_EQ(missing(), 3);
	for (uint64_t seq = 2; seq <= 4; seq++)
		wr_log_seen_add(&seen, seq, 0);
	T_EQ(gaps(), 0);
}
