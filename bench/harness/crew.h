/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/crew.h - producers at one end of a peer and the consumer at the other.
 *
 * Producer i stands on CPU i, modulo their number; the consumer is the main thread and stands on
 * the last CPU of the first two, and so do threads that the peer makes. Unpinned, all go where the
 * kernel likes. What comes out is added up and compared with what went in.
 *
 * thread: the main one
 */
#ifndef WEIR_BENCH_CREW_H
#define WEIR_BENCH_CREW_H

#include "harness/hist.h"
#include "rivals/peer.h"

#define CREW_MOST 64u

struct crew;

struct crew_plan {
	const struct peer *peer;
	struct peer_room room;
	int fresh, pinned;
	/* Not NULL: each push that found room is timed into it, in ns; crew_run() only. */
	struct bench_hist *hist;
	double timer_ticks; /* the timer's own share, taken off each of them: bench_tick_cost() */
};

/* NULL: the peer cannot be had, and @why says why. */
struct crew *crew_open(const struct crew_plan *plan, char why[BENCH_WHY]);
/*
 * Each producer pushes @records, all at once. ret_ns: what it took, per record, mean over the
 * producers. Then what was pushed is taken out, untimed. 0, or -EAGAIN: there was no room for all.
 */
int crew_burst(struct crew *crew, uint64_t records, double *ret_ns);

/* What crew_run() saw. */
struct crew_rates {
	double records_per_s; /* that came out */
	double fairness;      /* records of the slowest producer over those of the fastest */
	uint64_t refused;     /* timed pushes that found no room */
};

/* Producers push as fast as they can for @ns, a full queue making them yield. 0 */
int crew_run(struct crew *crew, uint64_t ns, struct crew_rates *ret);
/* Takes out what is left. 0, or -EBADMSG: what came out is not what went in, and @why says so. */
int crew_check(struct crew *crew, char why[BENCH_WHY]);
void crew_close(struct crew *crew);

#endif
