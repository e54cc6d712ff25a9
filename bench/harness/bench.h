/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/harness/bench.h - how a bench in C asks its question.
 *
 * A program asks one question, in groups. The cases of a group are what is compared with each
 * other (weir and its peers at one size and number of producers): they are run in blocks,
 * interleaved in random order, so that whatever the machine does meanwhile is done to all of
 * them. A block opens the case, warms it up, measures some bursts and keeps their median; what
 * is reported is one value of each metric per block. Before the blocks, a case that is ours is
 * run against itself (A/A): what differs there is the machine, and no smaller difference is one.
 *
 *     int main(int argc, char **argv)
 *     {
 *             struct bench_run *run = bench_start("push", argc, argv);
 *
 *             bench_group(run, "push/1p/64B", cases, count);
 *             return bench_finish(run);
 *     }
 *
 * What is written is one JSON object per line: the machine first, then one row per case and metric.
 * Ratios, intervals and verdicts are made of them by bench/run.
 *
 *     --json FILE   where to (standard output)      --filter TEXT  groups whose title has TEXT
 *     --quick       what bench_is_quick() chooses   --blocks N     blocks per group (9)
 *     --unpinned    threads go where they like      --list         titles of the groups
 *
 * Thread: all of it is the main thread's.
 */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "harness/hist.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_NAME 96
#define BENCH_WHY 128
#define BENCH_METRICS 8

struct bench_run;

struct bench_metric {
	const char *name; /* "": the case's own name is enough; else "/" and this behind it */
	const char *unit; /* "ns", "M records/s" */
	int more_is_better;
};

struct bench_case {
	char name[BENCH_NAME]; /* topology: push/weir/1p/64B */
	const char *peer;      /* who is measured: "weir", "spsc", "floor" */
	int ours;              /* 1: has an A/A run */
	uint32_t warm, bursts; /* of a block: not measured, and measured; 0: once */
	const struct bench_metric *metrics;
	uint32_t metric_count;
	const void *arg; /* the bench's own */
	/* NULL: this machine cannot run it, and @why says why. */
	void *(*begin)(const struct bench_case *bench, char why[BENCH_WHY]);
	/* One burst: a value of each metric. 0, or -errno: the case is given up, with @why;
	 * -ECANCELED: the run was not valid, which is said as "skip" and is no failure. */
	int (*measure)(void *state, double *values, char why[BENCH_WHY]);
	void (*end)(void *state);
	/* NULL, or filled in by measure(): its percentiles of all blocks are written, in ns. What
	 * is to be left out is done in begin(): warm is 0. */
	struct bench_hist *hist;
};

/* Never fails: what is wrong with the arguments ends the program (status 2). */
struct bench_run *bench_start(const char *question, int argc, char **argv);
/* 1: a third of a minute is what this question may take, not some minutes. */
int bench_is_quick(const struct bench_run *run);
int bench_is_pinned(const struct bench_run *run);
/* 1: the group was asked for; what it costs to prepare need not be paid otherwise. */
int bench_wants(const struct bench_run *run, const char *title);
/* Runs one group and writes its rows. Skips what cannot run, and says so in its row. */
void bench_group(struct bench_run *run, const char *title, struct bench_case *cases,
                 uint32_t count);
/* The exit status: 0; 1 when a case failed. */
int bench_finish(struct bench_run *run);

/* Makes a name, or a title. */
__attribute__((format(printf, 2, 3))) void bench_name(char name[BENCH_NAME], const char *format,
                                                      ...);
/* Ends the program with a sentence: a bench that cannot set itself up has no result. */
__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif
