/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/openloop.h - pushes at times fixed beforehand, whatever the engine does.
 *
 *     intended:  |    |  ||      |   |          drawn before the run
 *     pushed:    |    |    |||   |   |          two were late, as a push took long
 *
 * A closed loop pushes later what it could not push in time, and so leaves out just the records
 * that waited. Here each carries the time at which it was to be pushed, and its latency counts from
 * then.
 *
 * A generator may be late itself: it woke late, or cannot go that fast. This lag is told from what
 * the engine makes it lag by with an ideal generator, which pushes the same records, whose pushes
 * take as long as they really took, and which needs no time of its own. A run in which the own lag
 * was too large says nothing about the engine, and is not valid.
 *
 * It knows times; it does not know what is pushed. Thread: the one that generates.
 */
#ifndef WEIR_BENCH_OPENLOOP_H
#define WEIR_BENCH_OPENLOOP_H

#include <stdint.h>

#include "harness/bench.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OPENLOOP_LAG_NS 50000u /* of its own; one record in a hundred may have more */

enum openloop_shape {
	OPENLOOP_POISSON, /* independent arrivals */
	OPENLOOP_BURSTS   /* the same at ten times the rate, for a tenth of each period */
};

struct openloop_plan {
	enum openloop_shape shape;
	double rate; /* records per second, mean */
	uint64_t ns; /* how long */
	uint64_t seed;
};

/* BURSTS: the period: 10 ms, or what 20 records take, if that is longer. */
uint64_t openloop_period_ns(double rate);
/* Draws the intended times, in ns from the beginning. Returns how many there are, at most @most. */
uint64_t openloop_draw(const struct openloop_plan *plan, uint64_t *at, uint64_t most);

struct openloop_report {
	uint64_t sent, refused; /* refused: of those sent, had no room */
	uint64_t late;          /* records that the generator was late for by itself, too late */
	struct bench_hist lag;  /* from intended to pushed, whoever was the cause */
	struct bench_hist own;  /* the generator's part of it */
};

/*
 * Pushes @count records at @at after a moment from now. @push gets the time that was intended for
 * the record, CLOCK_MONOTONIC, and answers 0, or anything else when it was refused.
 */
void openloop_run(const uint64_t *at, uint64_t count, int (*push)(void *arg, uint64_t intended_ns),
                  void *arg, struct openloop_report *ret);
/* 0, or -ECANCELED: the run is not valid, and @why says why. */
int openloop_check(const struct openloop_report *report, char why[BENCH_WHY]);

#ifdef __cplusplus
}
#endif

#endif
