/* SPDX-License-Identifier: Apache-2.0 */
/* The flusher's counters: one writer, any reader. */
#include "stats/counters.h"

#include <pthread.h>

#include "test.h"

static struct wr_counters counters;

Test(stats_counters, count_adds_what_it_is_told)
{
	wr_count(&counters, WR_DELIVERED, 3);
	wr_count(&counters, WR_DELIVERED, 4);
	T_EQ(wr_counted(&counters, WR_DELIVERED), 7);
}

Test(stats_counters, a_gauge_can_be_lowered)
{
	wr_count(&counters, WR_TAKEN, 5);
	wr_count(&counters, WR_TAKEN, -UINT64_C(2));
	T_EQ(wr_counted(&counters, WR_TAKEN), 3);
}

Test(stats_counters, set_replaces)
{
	wr_count(&counters, WR_INFLIGHT, 5);
	wr_count_set(&counters, WR_INFLIGHT, 2);
	T_EQ(wr_counted(&counters, WR_INFLIGHT), 2);
}

Test(stats_counters, every_counter_is_its_own)
{
	for (unsigned i = 0; i < WR_COUNTERS; i++)
		wr_count(&counters, i, i + 1);
	for (unsigned i = 0; i < WR_COUNTERS; i++)
		T_EQ(wr_counted(&counters, i), i + 1);
}

Test(stats_counters, there_is_one_per_cause_for_flushes_and_for_shadows)
{
	T_EQ(WR_SHADOW - WR_FLUSHES, WEIR_CAUSES);
	T_EQ(WR_COUNTERS - WR_SHADOW, WEIR_CAUSES);
}

Test(stats_counters, the_named_ends_of_a_record_lie_side_by_side)
{
	/* audits and statistics sum over this range */
	T_EQ(WR_DROPPED_SHUTDOWN - WR_DROPPED_REJECTED, 4);
	T_TRUE(WR_DELIVERED < WR_DROPPED_REJECTED || WR_DELIVERED > WR_DROPPED_SHUTDOWN);
	T_TRUE(WR_DEAD_LETTERED < WR_DROPPED_REJECTED || WR_DEAD_LETTERED > WR_DROPPED_SHUTDOWN);
}

Test(stats_counters, counters_go_on_beyond_63_bits)
{
	wr_count_set(&counters, WR_DELIVERED, UINT64_C(0x7fffffffffffffff));
	wr_count(&counters, WR_DELIVERED, 1);
	T_EQ(wr_counted(&counters, WR_DELIVERED), INT64_MIN);
	wr_count_set(&counters, WR_DELIVERED, UINT64_MAX);
	wr_count(&counters, WR_DELIVERED, 1);
	T_EQ(wr_counted(&counters, WR_DELIVERED), 0);
}

static _Atomic int over;

static void *read_on(void *arg)
{
	uint64_t last = 0;

	while (!atomic_load(&over)) {
		uint64_t now = wr_counted(&counters, WR_BATCHES);

		if (now < last)
			*(int *)arg = 1;
		last = now;
	}
	return NULL;
}

Test(stats_counters, a_reader_never_sees_a_counter_go_back)
{
	pthread_t thread;
	int went_back = 0;

	T_EQ(pthread_create(&thread, NULL, read_on, &went_back), 0);
	for (int i = 0; i < 200000; i++)
		wr_count(&counters, WR_BATCHES, 1);
	atomic_store(&over, 1);
	pthread_join(thread, NULL);
	T_EQ(went_back, 0);
	T_EQ(wr_counted(&counters, WR_BATCHES), 200000);
}
