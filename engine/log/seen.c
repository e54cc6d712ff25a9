/* SPDX-License-Identifier: Apache-2.0 */
/* seen.c - which batches of one engine life were met. thread: the reader's */
#include "log/seen.h"

#include <string.h>

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

/* The hole that @seq lies in, or count. */
static uint32_t hole_of(const struct wr_log_range *range, uint64_t seq)
{
	for (uint32_t i = range->count; i; i--) /* what comes late comes soon after */
		if (seq >= range->holes[i - 1].first && seq <= range->holes[i - 1].last)
			return i - 1;
	return range->count;
}

static int range_has(const struct wr_log_range *range, uint64_t seq)
{
	return seq > range->floor && seq <= range->max && hole_of(range, seq) == range->count;
}

static void remove_hole(struct wr_log_range *range, uint32_t i)
{
	range->count--;
	memmove(&range->holes[i], &range->holes[i + 1],
	        (range->count - i) * sizeof(range->holes[0]));
}

/* A place at @i for one more; the oldest goes when there is none. */
static uint32_t make_place(struct wr_log_range *range, uint32_t i)
{
	if (range->count == WR_LOG_HOLES) {
		range->settled_gaps++;
		range->settled_missing =
		    sum(range->settled_missing, range->holes[0].last - range->holes[0].first + 1);
		range->floor = range->holes[0].last;
		remove_hole(range, 0);
		i -= i > 0;
	}
	memmove(&range->holes[i + 1], &range->holes[i],
	        (range->count - i) * sizeof(range->holes[0]));
	range->count++;
	return i;
}

static void range_add(struct wr_log_range *range, uint64_t seq)
{
	uint32_t i;

	if (seq > range->max) {
		if (seq - range->max > 1) {
			i = make_place(range, range->count);
			range->holes[i].first = range->max + 1;
			range->holes[i].last = seq - 1;
		}
		range->max = seq;
		return;
	}
	i = hole_of(range, seq);
	if (i == range->count)
		return;
	if (range->holes[i].first == range->holes[i].last) {
		remove_hole(range, i);
	} else if (range->holes[i].first == seq) {
		range->holes[i].first++;
	} else if (range->holes[i].last == seq) {
		range->holes[i].last--;
	} else {
		uint64_t first = range->holes[i].first;
		uint32_t count = range->count;

		/* The hole becomes two: what is before @seq, then what is after. */
		range->holes[i].first = seq + 1;
		if (count == WR_LOG_HOLES && i == 0) { /* its first half would be the one to go */
			range->settled_gaps++;
			range->settled_missing = sum(range->settled_missing, seq - first);
			range->floor = seq - 1;
			return;
		}
		i = make_place(range, i);
		range->holes[i].first = first;
		range->holes[i].last = seq - 1;
	}
}

static void range_begin(struct wr_log_range *range, uint64_t floor)
{
	range->floor = range->max = floor;
	range->count = 0;
	range->settled_gaps = range->settled_missing = 0;
}

void wr_log_seen_begin(struct wr_log_seen *seen, uint64_t floor)
{
	range_begin(&seen->batches, floor);
	range_begin(&seen->whole, floor);
	memset(seen->pieces, 0, sizeof(seen->pieces));
}

static void range_forgive(struct wr_log_range *range, uint64_t floor)
{
	if (floor <= range->max)
		return;
	/* What lies between must count as unknown: a hole that nobody counts is a floor. The holes
	 * below are settled as they are. */
	for (uint32_t i = 0; i < range->count; i++) {
		range->settled_gaps++;
		range->settled_missing =
		    sum(range->settled_missing, range->holes[i].last - range->holes[i].first + 1);
	}
	range->count = 0;
	range->floor = range->max = floor;
}

void wr_log_seen_forgive(struct wr_log_seen *seen, uint64_t floor)
{
	range_forgive(&seen->batches, floor);
	range_forgive(&seen->whole, floor);
}

static uint32_t place_of(uint64_t seq, uint64_t first_record)
{
	uint64_t mixed =
	    (seq * UINT64_C(0x9e3779b97f4a7c15)) ^ (first_record * UINT64_C(0xc2b2ae3d27d4eb4f));

	return (uint32_t)(mixed >> 40) % WR_LOG_PIECES;
}

int wr_log_seen_has(const struct wr_log_seen *seen, uint64_t seq, uint64_t first_record)
{
	uint32_t place = place_of(seq, first_record);

	if (!first_record)
		return range_has(&seen->whole, seq);
	return seen->pieces[place].seq == seq && seen->pieces[place].first_record == first_record;
}

void wr_log_seen_add(struct wr_log_seen *seen, uint64_t seq, uint64_t first_record)
{
	uint32_t place = place_of(seq, first_record);

	range_add(&seen->batches, seq);
	if (!first_record) {
		range_add(&seen->whole, seq);
		return;
	}
	seen->pieces[place].seq = seq;
	seen->pieces[place].first_record = first_record;
}

void wr_log_seen_expect(struct wr_log_seen *seen, uint64_t seq)
{
	struct wr_log_range *range = &seen->batches;
	uint32_t i = range->count;

	if (seq <= range->max)
		return;
	if (!i || range->holes[i - 1].last != range->max) {
		i = make_place(range, i) + 1;
		range->holes[i - 1].first = range->max + 1;
	}
	range->holes[i - 1].last = seq;
	range->max = seq;
}

void wr_log_seen_gaps(const struct wr_log_seen *seen, uint64_t *gaps, uint64_t *missing)
{
	*gaps += seen->batches.settled_gaps + seen->batches.count;
	*missing = sum(*missing, seen->batches.settled_missing);
	for (uint32_t i = 0; i < seen->batches.count; i++)
		*missing =
		    sum(*missing, seen->batches.holes[i].last - seen->batches.holes[i].first + 1);
}
