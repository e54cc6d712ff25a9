/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPUs there may be: the kernel's list format and the thread's own mask. */
#include "support/rings.h"

#include <sched.h>

Test(ring_cpus, a_list_gives_its_highest_cpu_plus_one)
{
	static const struct {
		const char *list;
		int cpus;
	} rows[] = {
		{ "0", 1 },           { "0-1", 2 },      { "0,3-7", 8 },   { "0-127", 128 },
		{ "0-3,128-131", 132 }, { "5", 6 },      { "7,2", 8 },     { "0-7,3", 8 },
		{ "8191", 8192 },     { "0-8191", 8192 }, { "00012", 13 }, { "3-3", 4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		T_EQ(wr_cpus_parse(rows[i].list), rows[i].cpus);
}

Test(ring_cpus, a_final_line_feed_is_fine_and_anything_behind_it_is_not)
{
	T_EQ(wr_cpus_parse("0-3\n"), 4);
	T_EQ(wr_cpus_parse("0-3\n\n"), -EINVAL);
	T_EQ(wr_cpus_parse("0-3\n4"), -EINVAL);
}

Test(ring_cpus, an_empty_list_is_refused)
{
	T_EQ(wr_cpus_parse(""), -EINVAL);
	T_EQ(wr_cpus_parse("\n"), -EINVAL);
}

Test(ring_cpus, an_unfinished_list_is_refused)
{
	T_EQ(wr_cpus_parse("0,"), -EINVAL);
	T_EQ(wr_cpus_parse("0-"), -EINVAL);
	T_EQ(wr_cpus_parse(",0"), -EINVAL);
	T_EQ(wr_cpus_parse("-3"), -EINVAL);
}

Test(ring_cpus, letters_spaces_and_signs_are_refused)
{
	static const char *const bad[] = { "a",   "0x1", "0-3a",  " 0",  "0 ",
		                           "0;1", "+1",  "0-3-5", "0--1" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		T_EQ(wr_cpus_parse(bad[i]), -EINVAL);
}

Test(ring_cpus, a_range_that_runs_backwards_is_refused)
{
	T_EQ(wr_cpus_parse("7-3"), -EINVAL);
}

Test(ring_cpus, a_number_beyond_the_table_is_refused_and_never_wraps)
{
	T_EQ(wr_cpus_parse("8192"), -EINVAL);
	T_EQ(wr_cpus_parse("0-8192"), -EINVAL);
	T_EQ(wr_cpus_parse("4294967296"), -EINVAL);
	T_EQ(wr_cpus_parse("18446744073709551616"), -EINVAL);
	T_EQ(wr_cpus_parse("99999999999999999999999999999999999"), -EINVAL);
}

static void note_cpu(void *arg, uint32_t cpu)
{
	CPU_SET(cpu, (cpu_set_t *)arg);
}

Test(ring_cpus, each_usable_cpu_is_one_of_the_threads_mask)
{
	cpu_set_t mask, found;

	CPU_ZERO(&found);
	T_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
	wr_cpus_each_usable(note_cpu, &found);
	T_TRUE(CPU_EQUAL(&mask, &found));
	T_EQ(wr_cpus_usable(), CPU_COUNT(&mask));
}

Test(ring_cpus, a_pinned_thread_may_use_one_cpu)
{
	cpu_set_t mask, one, found;
	int last = -1;

	T_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &mask))
			last = cpu;
	CPU_ZERO(&one);
	CPU_SET((size_t)last, &one);
	T_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	CPU_ZERO(&found);
	wr_cpus_each_usable(note_cpu, &found);
	T_TRUE(CPU_EQUAL(&one, &found));
	T_EQ(wr_cpus_usable(), 1);
}

static void highest_cpu(void *arg, uint32_t cpu)
{
	if (cpu > *(uint32_t *)arg)
		*(uint32_t *)arg = cpu;
}

Test(ring_cpus, no_usable_cpu_lies_beyond_the_possible_ones)
{
	uint32_t highest = 0;

	wr_cpus_each_usable(highest_cpu, &highest);
	T_TRUE(wr_cpus_possible() > highest);
	T_TRUE(wr_cpus_possible() <= WR_TABLE_CPUS);
}
