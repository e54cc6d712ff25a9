/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of threads without restartable sequences: reserve, copy, commit. */
#include "support/rings.h"

#include <pthread.h>

#include "base/testpoint.h"

static struct wr_rings rings;

static struct wr_ring *begin(void)
{
	rings_begin(&rings, SMALL_RING, 1);
	return ring_make(&rings, WR_RING_FALLBACK, 0);
}

static struct wr_put put_of(uint32_t size, struct iovec *iov)
{
	struct wr_put put = { .header = wr_header_make(size, 3, WEIR_REC_COMMITTED),
		              .total = weir_record_total(size, 0),
		              .epoch = WR_ANY_EPOCH,
		              .iov = iov,
		              .iov_count = iov ? 1 : 0 };

	return put;
}

static enum wr_exit reserve(struct wr_ring *ring, uint32_t size, struct wr_seen *seen)
{
	struct wr_put put = put_of(size, NULL);

	return wr_fallback_reserve(ring, &put, seen);
}

Test(ring_fallback, reserve_takes_one_record_and_its_bytes)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	T_EQ(reserve(ring, 5, &seen), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(1, 16));
	T_EQ(seen.head, 0);
	T_TRUE(seen.ring == ring);
	T_EQ(reserve(ring, 24, &seen), WR_PUSHED);
	T_EQ(seen.head, wr_head_make(1, 16));
	T_EQ(ring_head(ring), wr_head_make(2, 48));
}

Test(ring_fallback, a_reserved_place_is_not_yet_a_record)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	T_EQ(reserve(ring, 5, &seen), WR_PUSHED);
	T_EQ(atomic_load(wr_ring_header(ring, 0)), 0);
}

Test(ring_fallback, reserve_tells_the_alarm_it_saw)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	atomic_store(&ring->alarm, wr_alarm_make(12, 3, 44));
	T_EQ(reserve(ring, 5, &seen), WR_PUSHED);
	T_EQ(seen.alarm, wr_alarm_make(12, 3, 44));
}

Test(ring_fallback, an_alarm_does_not_stop_a_reserve)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	atomic_store(&ring->alarm, wr_alarm_make(0, 0, 1));
	T_EQ(reserve(ring, 5, &seen), WR_PUSHED);
	T_EQ(wr_head_count(ring_head(ring)), 1);
}

Test(ring_fallback, copy_lays_the_pieces_behind_the_header_and_leaves_the_header)
{
	struct wr_ring *ring = begin();
	char ab[] = "ab", cde[] = "cde";
	struct iovec iov[] = { { ab, 2 }, { NULL, 0 }, { cde, 3 } };
	struct wr_put put = put_of(5, iov);
	struct wr_seen seen;

	put.iov_count = 3;
	T_EQ(wr_fallback_reserve(ring, &put, &seen), WR_PUSHED);
	wr_fallback_copy(&put, &seen);
	T_EQ(memcmp(ring->data + 8, "abcde", 5), 0);
	T_EQ(ring->data[13], 0);
	T_EQ(atomic_load(wr_ring_header(ring, 0)), 0);
}

Test(ring_fallback, commit_puts_the_header_at_the_place_that_was_reserved)
{
	struct wr_ring *ring = begin();
	struct wr_seen first, second;

	T_EQ(reserve(ring, 5, &first), WR_PUSHED);
	T_EQ(reserve(ring, 5, &second), WR_PUSHED);
	T_EQ(wr_fallback_commit(&second, wr_header_make(5, 9, WEIR_REC_COMMITTED)), 0);
	T_EQ(atomic_load(wr_ring_header(ring, 0)), 0);
	T_EQ(atomic_load(wr_ring_header(ring, 16)), wr_header_make(5, 9, WEIR_REC_COMMITTED));
}

Test(ring_fallback, who_commits_what_is_waited_for_is_told)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	T_EQ(reserve(ring, 5, &seen), WR_PUSHED);
	atomic_store(wr_ring_header(ring, 0), wr_header_make(0, 0, WEIR_REC_WAITED));
	T_EQ(wr_fallback_commit(&seen, wr_header_make(5, 9, WEIR_REC_COMMITTED)), 1);
	T_EQ(atomic_load(wr_ring_header(ring, 0)), wr_header_make(5, 9, WEIR_REC_COMMITTED));
}

Test(ring_fallback, a_record_that_fits_exactly_is_taken)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	atomic_store(&ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, 16));
	T_EQ(reserve(ring, 8, &seen), WR_PUSHED);
}

Test(ring_fallback, a_record_beyond_the_limit_changes_nothing)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen = { 0 };

	atomic_store(&ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, 16));
	T_EQ(reserve(ring, 9, &seen), WR_EXIT_LIMIT);
	T_EQ(ring_head(ring), 0);
	T_TRUE(seen.ring == ring);
}

Test(ring_fallback, the_limit_holds_across_a_wrap_of_the_position)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	ring_set_head(ring, 1, 0xfffffff0);
	atomic_store(&ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, 16));
	T_EQ(reserve(ring, 24, &seen), WR_PUSHED);
	T_EQ(wr_head_position(ring_head(ring)), 16);
	T_EQ(reserve(ring, 0, &seen), WR_EXIT_LIMIT);
}

Test(ring_fallback, a_wrap_of_the_position_does_not_carry_into_the_count)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	ring_set_head(ring, 41, 0xfffffff8);
	T_EQ(reserve(ring, 0, &seen), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(42, 0));
}

Test(ring_fallback, the_count_wraps_to_0)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	ring_set_head(ring, 0xffffffff, 64);
	T_EQ(reserve(ring, 0, &seen), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(0, 72));
}

Test(ring_fallback, close_keeps_count_and_position)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 7, 64);
	wr_fallback_close(ring);
	T_EQ(ring_head(ring), wr_head_make(7, 64) | WR_HEAD_CLOSED);
	wr_fallback_close(ring);
	T_EQ(ring_head(ring), wr_head_make(7, 64) | WR_HEAD_CLOSED);
}

Test(ring_fallback, nothing_is_reserved_after_close)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	ring_set_head(ring, 7, 64);
	wr_fallback_close(ring);
	T_EQ(reserve(ring, 0, &seen), WR_EXIT_CLOSED);
	T_EQ(ring_head(ring), wr_head_make(7, 64) | WR_HEAD_CLOSED);
}

Test(ring_fallback, a_closed_ring_that_is_full_says_closed)
{
	struct wr_ring *ring = begin();
	struct wr_seen seen;

	atomic_store(&ring->limit, 0);
	wr_fallback_close(ring);
	T_EQ(reserve(ring, 8, &seen), WR_EXIT_CLOSED);
}

Test(ring_fallback, a_record_across_the_end_of_the_ring_is_whole)
{
	struct wr_ring *ring = begin();
	char text[101];
	struct iovec iov = { text, 100 };
	struct wr_put put = put_of(100, &iov);
	struct wr_seen seen;

	for (int i = 0; i < 100; i++)
		text[i] = (char)('0' + i % 70);
	ring_set_head(ring, 0, SMALL_RING - 32);
	T_EQ(wr_fallback_reserve(ring, &put, &seen), WR_PUSHED);
	wr_fallback_copy(&put, &seen);
	T_EQ(wr_fallback_commit(&seen, put.header), 0);
	T_EQ(memcmp(ring->data + SMALL_RING - 24, text, 100), 0);
	T_EQ(memcmp(ring->data, text + 24, 76), 0);
}

#define RESERVERS 4
#define EACH 500

static _Atomic uint32_t starts[RESERVERS * EACH];

static void *reserve_many(void *arg)
{
	struct wr_ring *ring = arg;

	for (int i = 0; i < EACH; i++) {
		struct wr_seen seen;

		if (reserve(ring, 8, &seen) == WR_PUSHED)
			atomic_fetch_add(&starts[wr_head_position(seen.head) / 16], 1);
	}
	return NULL;
}

Test(ring_fallback, places_of_four_threads_never_overlap)
{
	struct wr_ring *ring = begin();
	pthread_t threads[RESERVERS];

	for (int i = 0; i < RESERVERS; i++)
		T_EQ(pthread_create(&threads[i], NULL, reserve_many, ring), 0);
	for (int i = 0; i < RESERVERS; i++)
		pthread_join(threads[i], NULL);
	T_EQ(ring_head(ring), wr_head_make(RESERVERS * EACH, RESERVERS * EACH * 16));
	for (int i = 0; i < RESERVERS * EACH; i++)
		T_EQ(atomic_load(&starts[i]), 1);
}

#ifdef WR_TEST_POINTS
static struct wr_ring *lowered;

static void lower_alarm(const char *name)
{
	if (strcmp(name, "fallback.reserved") == 0)
		atomic_store(&lowered->alarm, wr_alarm_make(9, 0, 1));
}

/* Seen before the reserve it could be one that the flusher has lowered since. */
Test(ring_fallback, the_alarm_is_the_one_that_holds_after_the_reserve)
{
	struct wr_seen seen;

	lowered = begin();
	atomic_store(&wr_testpoint_hook, lower_alarm);
	T_EQ(reserve(lowered, 5, &seen), WR_PUSHED);
	T_EQ(seen.alarm, wr_alarm_make(9, 0, 1));
}
#endif
