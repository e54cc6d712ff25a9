/* SPDX-License-Identifier: Apache-2.0 */
/* openloop.c - see openloop.h. */
#include "harness/openloop.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>

#include "harness/clock.h"
#include "harness/pin.h"

#define PIECE 16u           /* records that are due, between two looks at the clock */
#define SPIN_NS 1000000u    /* a sleep ends so long before a record is due: it may end late */
#define BEGIN_NS 2000000u   /* the moment before the first */
#define BURST_NS 10000000.0 /* the shortest period */
#define BURST_RECORDS 20.0

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Of mean 1: how long until the next of events that know nothing of each other. */
static double exponential(uint64_t *state)
{
	return -log((double)((next_random(state) >> 11) + 1) * 0x1p-53);
}

uint64_t openloop_period_ns(double rate)
{
	double ns = BURST_RECORDS * 1e9 / rate;

	return (uint64_t)(ns > BURST_NS ? ns : BURST_NS);
}

uint64_t openloop_draw(const struct openloop_plan *plan, uint64_t *at, uint64_t most)
{
	uint64_t state = plan->seed, n = 0;
	double gap = 1e9 / plan->rate, now = 0, period = (double)openloop_period_ns(plan->rate);

	for (; n < most; n++) {
		double intended;

		now += gap * exponential(&state);
		intended = now;
		/* A period's records come in its first tenth. */
		if (plan->shape == OPENLOOP_BURSTS) {
			double burst = floor(now / period);

			intended = burst * period + (now - burst * period) / 10;
		}
		if (intended >= (double)plan->ns)
			break;
		at[n] = (uint64_t)intended;
	}
	return n;
}

/* The clock, once @due has come. */
static uint64_t wait_for(uint64_t due)
{
	uint64_t now = bench_now();

	while (now < due) {
		if (due - now > 2 * SPIN_NS)
			bench_sleep_until(due - SPIN_NS);
		else if (bench_cpus() == 1)
			sched_yield();
		now = bench_now();
	}
	return now;
}

void openloop_run(const uint64_t *at, uint64_t count, int (*push)(void *arg, uint64_t intended_ns),
                  void *arg, struct openloop_report *ret)
{
	uint64_t begin = bench_now() + BEGIN_NS, ideal_end = 0;

	ret->sent = ret->refused = ret->late = 0;
	bench_hist_clear(&ret->lag);
	bench_hist_clear(&ret->own);
	for (uint64_t i = 0; i < count;) {
		uint64_t due = begin + at[i], now = wait_for(due), n = 0, ideal, own;

		do {
			uint64_t intended = begin + at[i];

			bench_hist_note(&ret->lag, now - intended);
			if (push(arg, intended))
				ret->refused++;
			i++;
			n++;
		} while (n < PIECE && i < count && begin + at[i] <= now);
		ideal = due > ideal_end ? due : ideal_end;
		own = now > ideal ? now - ideal : 0;
		ret->late += own > OPENLOOP_LAG_NS ? n : 0;
		bench_hist_note_many(&ret->own, own, n);
		ideal_end = ideal + (bench_now() - now);
	}
	ret->sent = count;
}

int openloop_check(const struct openloop_report *report, char why[BENCH_WHY])
{
	/* One record says nothing, however few there are. */
	if (report->late <= 1 + report->sent / 100)
		return 0;
	snprintf(why, BENCH_WHY,
	         "the generator lagged: %" PRIu64 " of %" PRIu64 " records by more than %u us, "
	         "p99 %.0f us", report->late, report->sent, OPENLOOP_LAG_NS / 1000,
	         bench_hist_quantile(&report->own, 0.99) / 1000);
	return -ECANCELED;
}
