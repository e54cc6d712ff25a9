/* SPDX-License-Identifier: Apache-2.0 */
/* harness_test.c - what the benches measure with: the histogram, the counter, the open loop. */
#include <errno.h>
#include <math.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/dest.h"
#include "harness/hist.h"
#include "harness/openloop.h"
#include "harness/tick.h"
#include "test.h"

#define MANY 200000u

static struct bench_hist hist, other;
static struct openloop_report report;
static uint64_t at[MANY];

Test(hist, each_cell_begins_with_the_value_that_has_its_index)
{
	for (uint32_t i = 0; i < BENCH_HIST_CELLS; i++)
		T_EQ(bench_hist_index(bench_hist_lowest(i)), i);
}

Test(hist, each_cell_ends_where_the_next_begins)
{
	for (uint32_t i = 0; i + 1 < BENCH_HIST_CELLS; i++)
		T_EQ(bench_hist_index(bench_hist_lowest(i + 1) - 1), i);
	T_EQ(bench_hist_lowest(BENCH_HIST_CELLS), UINT64_C(1) << 45);
}

Test(hist, no_cell_is_wider_than_a_64th_of_its_values)
{
	for (uint32_t i = 2 * BENCH_HIST_STEPS; i < BENCH_HIST_CELLS; i++) {
		uint64_t lowest = bench_hist_lowest(i);

		T_TRUE((bench_hist_lowest(i + 1) - lowest) * BENCH_HIST_STEPS <= lowest);
	}
}

Test(hist, what_is_too_large_lies_in_the_last_cell)
{
	T_EQ(bench_hist_index(UINT64_C(1) << 45), BENCH_HIST_CELLS - 1);
	T_EQ(bench_hist_index(UINT64_MAX), BENCH_HIST_CELLS - 1);
}

Test(hist, quantiles_of_small_values_are_exact)
{
	for (uint64_t i = 0; i < 100; i++)
		bench_hist_note(&hist, i);
	T_EQ(hist.count, 100);
	T_EQ(hist.most, 99);
	for (int i = 1; i < 100; i++)
		T_TRUE(fabs(bench_hist_quantile(&hist, i / 100.0) - i) < 1e-9);
	T_TRUE(bench_hist_quantile(&hist, 1) == 99);
}

Test(hist, quantiles_of_large_values_are_right_within_a_64th)
{
	for (uint64_t i = 1; i <= 100000; i++)
		bench_hist_note(&hist, i * 1000);
	for (int i = 1; i < 1000; i++) {
		double right = i * 100000.0, found = bench_hist_quantile(&hist, i / 1000.0);

		T_TRUE(fabs(found - right) <= right / 64);
	}
	T_TRUE(bench_hist_quantile(&hist, 1) == 1e8);
}

Test(hist, an_empty_one_has_zero_everywhere)
{
	T_TRUE(bench_hist_quantile(&hist, 0.5) == 0);
}

Test(hist, adding_is_the_same_as_noting_all_in_one)
{
	bench_hist_note_many(&hist, 500, 3);
	bench_hist_note(&other, 70000);
	bench_hist_add(&hist, &other);
	T_EQ(hist.count, 4);
	T_EQ(hist.most, 70000);
	T_EQ(hist.cell[bench_hist_index(500)], 3);
	T_EQ(hist.cell[bench_hist_index(70000)], 1);
}

Test(tick, ticks_are_as_long_as_the_clock_says)
{
	double off = 1;

	bench_tick_init();
	for (int i = 0; i < 5 && off > 0.02; i++) { /* an interruption between two reads */
		uint64_t ns = bench_now(), t0 = bench_tick(), t1;

		bench_sleep_until(ns + 50000000);
		t1 = bench_tick();
		ns = bench_now() - ns;
		off = fabs((double)bench_tick_span(t0, t1, 0) / (double)ns - 1);
	}
	T_TRUE(off <= 0.02);
}

Test(tick, what_a_pair_costs_is_taken_off_and_never_more)
{
	bench_tick_init();
	T_TRUE(bench_tick_cost() >= 0);
	T_EQ(bench_tick_span(1000, 1000, 0), 0);
	T_EQ(bench_tick_span(1000, 999, 0), 0);
	T_EQ(bench_tick_span(1000, 1010, 20), 0);
	T_EQ(bench_tick_span(0, 1000000, 1000000), 0);
	T_TRUE(bench_tick_span(0, 1000000, 500000) <= bench_tick_span(0, 1000000, 0));
}

static uint64_t draw(enum openloop_shape shape, double rate, uint64_t ns, uint64_t seed)
{
	struct openloop_plan plan = { shape, rate, ns, seed };

	return openloop_draw(&plan, at, MANY);
}

Test(openloop, gaps_of_poisson_arrivals_have_the_mean_and_variance_of_an_exponential)
{
	uint64_t n = draw(OPENLOOP_POISSON, 1e5, 1000000000, 20);
	double sum = 0, squares = 0, mean, variance;

	T_TRUE(n > 99000 && n < 101000); /* three standard deviations */
	for (uint64_t i = 1; i < n; i++) {
		double gap = (double)(at[i] - at[i - 1]);

		sum += gap;
		squares += gap * gap;
	}
	mean = sum / (double)(n - 1);
	variance = squares / (double)(n - 1) - mean * mean;
	T_TRUE(fabs(mean / 1e4 - 1) < 0.01);
	T_TRUE(fabs(variance / 1e8 - 1) < 0.03);
}

Test(openloop, counts_of_poisson_arrivals_vary_as_much_as_their_mean)
{
	static double counts[1000];
	uint64_t n = draw(OPENLOOP_POISSON, 1e5, 1000000000, 21);
	double variance = 0, mean = (double)n / 1000;

	for (uint64_t i = 0; i < n; i++)
		counts[at[i] / 1000000]++;
	for (int i = 0; i < 1000; i++)
		variance += (counts[i] - mean) * (counts[i] - mean) / 999;
	T_TRUE(variance / mean > 0.85 && variance / mean < 1.15);
}

Test(openloop, a_seed_gives_the_same_times_again_and_another_gives_others)
{
	uint64_t n = draw(OPENLOOP_POISSON, 1e5, 10000000, 1), first = at[0], last = at[n - 1];

	T_EQ(draw(OPENLOOP_POISSON, 1e5, 10000000, 1), n);
	T_EQ(at[0], first);
	T_EQ(at[n - 1], last);
	(void)draw(OPENLOOP_POISSON, 1e5, 10000000, 2);
	T_TRUE(at[0] != first);
}

Test(openloop, times_are_in_order_and_end_with_the_window_or_the_room)
{
	uint64_t n = draw(OPENLOOP_POISSON, 1e6, 50000000, 3);

	for (uint64_t i = 1; i < n; i++)
		T_TRUE(at[i] >= at[i - 1]);
	T_TRUE(at[n - 1] < 50000000);
	T_EQ(draw(OPENLOOP_POISSON, 1e9, 1000000000, 3), MANY);
}

Test(openloop, bursts_come_in_the_first_tenth_of_a_period_and_are_as_many_in_all)
{
	uint64_t n = draw(OPENLOOP_BURSTS, 1e5, 1000000000, 4);

	T_EQ(openloop_period_ns(1e5), 10000000);
	T_EQ(openloop_period_ns(100), 200000000);
	for (uint64_t i = 0; i < n; i++)
		T_TRUE(at[i] % 10000000 <= 1000000);
	T_TRUE(n > 99000 && n < 101000);
}

static uint64_t pushed, before;

static int push_and_look(void *arg, uint64_t intended_ns)
{
	(void)arg;
	T_TRUE(intended_ns >= before);
	T_TRUE(bench_now() >= intended_ns); /* never too early */
	before = intended_ns;
	return ++pushed % 4 ? 0 : -EAGAIN;
}

Test(openloop, each_record_is_pushed_once_and_not_before_its_time)
{
	uint64_t n = draw(OPENLOOP_POISSON, 1e4, 20000000, 5);

	openloop_run(at, n, push_and_look, NULL, &report);
	T_EQ(pushed, n);
	T_EQ(report.sent, n);
	T_EQ(report.refused, n / 4);
	T_EQ(report.lag.count, n);
	T_EQ(report.own.count, n);
}

static int push_slowly(void *arg, uint64_t intended_ns)
{
	uint64_t t0 = bench_now();

	(void)arg;
	(void)intended_ns;
	while (bench_now() - t0 < 1000000)
		;
	return 0;
}

/* Ten times as many as can be pushed: the queue grows, and that is not the generator's fault. */
Test(openloop, a_slow_engine_makes_records_late_and_not_the_generator)
{
	uint64_t n = draw(OPENLOOP_POISSON, 1e4, 10000000, 6);

	openloop_run(at, n, push_slowly, NULL, &report);
	T_TRUE(bench_hist_quantile(&report.lag, 0.5) > 10000000);
	T_TRUE(bench_hist_quantile(&report.own, 0.5) < bench_hist_quantile(&report.lag, 0.5) / 2);
}

Test(openloop, a_generator_that_lags_makes_its_run_invalid)
{
	char why[BENCH_WHY] = "";

	report.sent = 1000;
	report.late = 11;
	T_EQ(openloop_check(&report, why), 0);
	T_EQ(why[0], 0);
	report.late = 12;
	T_EQ(openloop_check(&report, why), -ECANCELED);
	T_TRUE(strstr(why, "12 of 1000"));
}

static void deliver_through(const struct dest *dest)
{
	static const struct dest_plan plan = { 100, 5000000 };
	static _Alignas(128) struct dest_out out;
	uint64_t record[DEST_BYTES / 8] = { 0 }, sum = 0;
	void *to = dest->open(&plan, &out);

	for (uint64_t i = 0; i < 1050; i++) {
		record[0] = bench_now();
		record[7] = i;
		sum += record[0] + i;
		T_EQ(dest->push(to, record), 0);
	}
	T_EQ(dest_settle(&out, 1050, 10000000000), 0);
	T_EQ(out.sum, sum);
	T_EQ(out.latency.count, 1050);
	dest->close(to);
}

Test(dest, weir_delivers_each_record_once_and_says_when)
{
	deliver_through(&dest_weir);
}

Test(dest, the_swapped_array_delivers_each_record_once_and_says_when)
{
	deliver_through(&dest_mutex);
}

Test(dest, the_polled_list_delivers_each_record_once_and_says_when)
{
	deliver_through(&dest_seed);
}
