/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture.h - what the files of the torture share: an engine whose flusher turns on the test's own
 * thread, a sink that knows which record must come next, the ways of pushing, and the handler of
 * the trap.
 *
 *     points.c     the places inside the sections, in words
 *     rig.c        engine, sink, what every record must look like, the thread's rseq area
 *     ways.c       every way to push a record
 *     trap.c       what happens at a point, in the handler of the trap
 *     matrix.c     every way, point, position and happening, a few pushes of each
 *     forced.c     many aborts at each point
 *     provoked.c   timers, migrations, barriers, preemptions while a section stays at a point
 *     scenes.c     what needs a story of its own
 */
#ifndef WEIR_TESTS_TORTURE_H
#define WEIR_TESTS_TORTURE_H

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/weir.h>

#include "ring/torture.h"

#define POINTS 63u /* 1.. */

/* --- points.c --- */

struct point {
	const char *where;
	int outside; /* 1: not within the section: nothing is aborted there */
};
extern const struct point points[POINTS + 1];

/* --- rig.c --- */

enum lane { LANE_MAIN, LANE_HANDLER, LANE_OTHER, LANES };
#define HANDLER_BYTES 27u /* sizes that no way uses: they tell the lane */
#define OTHER_BYTES 29u
#define RECORD_BYTES_MAX 8192u

struct start {
	const char *name;
	uint32_t count, position, epoch;
};

struct rig {
	struct weir_sink sink; /* first */
	struct weir *weir;
	uint32_t size; /* of the main lane's records */
	uint32_t slack; /* records of one push of the main lane */
	_Atomic uint64_t pushed[LANES];
	uint64_t seen[LANES];
	uint64_t base[4096]; /* main records there were when a handler pushed its record number n */
	uint32_t may_cap; /* 1: a push may be aborted 64 times in a row; else that is wrong */
	uint32_t strict; /* 1: no push was past its commit when a handler interrupted it */
	uint64_t migrations, capped; /* read from the statistics by rig_close() */
	uint64_t wrong;
	char why[256]; /* the first thing that was wrong */
};
extern struct rig rig;       /* handlers find it here */
extern uint64_t rig_deadline_ns; /* of engines opened from now on */
extern double rig_patience; /* seconds in which a record must arrive */
extern const char *rig_doing; /* for the one line that can be said about a hang */

void rig_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
void rig_open(const struct start *start, uint64_t ring_bytes, uint64_t threshold);
/* What record @number of @lane consists of. */
void rig_fill(enum lane lane, uint64_t number, void *data, uint32_t size);
/* Pushes record of a lane that has a size of its own. */
void rig_push(enum lane lane, int by_put);
void rig_turn(void);
void rig_drain(void);
/* Delivers all, compares the books, closes. 0: nothing was wrong */
int rig_close(void);

int cpus_count(void);
int cpus_here(void);
void cpus_pin(int n); /* the n-th usable CPU, modulo; -1: all of them */
unsigned cpus_id(int n);
void area_check(int pinned); /* the n-th CPU, or -1: not pinned */
int area_init(void);

/* How much, as the environment says. */
enum amount { SLICE, FULL, SOAK };
enum amount amount(void);
double amount_seconds(void);
double now(void);

/* --- ways.c --- */

struct way {
	const char *name;
	uint32_t size;
	int wide; /* 0, 1: by 16 or 32 bytes at a time; -1: does not matter */
	int (*go)(const struct way *way);
	uint32_t records;
	int moves; /* changes the CPU before the push */
};
extern const struct way ways[];
extern const unsigned ways_count;

/* Chooses for the engine opened next. */
void way_begin(const struct way *way);
/* One push; 0, or -errno that no push of the torture may answer. */
int way_go(const struct way *way);
/* The same, by a moving way on the CPU that it chose last. */
int way_again(const struct way *way);
int way_possible(const struct way *way);
/* A warm push comes soon after another; a cold one finds the engine idle, and its alarm. */
enum warmth { WARM, COLD, WARMTHS };
void way_prepare(const struct way *way, enum warmth warmth);
/* How often a push by @way passes each point, at most 15; and what it takes in one ring. */
struct reach {
	uint8_t passes[WARMTHS][POINTS + 1];
	uint32_t bytes, records;
};
const struct reach *way_reach(unsigned way);
extern unsigned ways_wrong; /* that something was wrong with while their points were looked for */
/* The way, not a moving one, that passes @point warm and takes the least room; -1: none. */
int way_through(uint32_t point);

/* --- trap.c --- */

enum happening {
	TRAP,           /* nothing but the trap */
	TRAP_PUSH,      /* the handler pushes a record */
	TRAP_PUT,       /* ... gathered from two pieces */
	TRAP_SIGNAL,    /* it raises a signal whose handler pushes */
	TRAP_MOVE,      /* it moves the thread to another CPU */
	TRAP_MOVE_PUSH, /* and pushes there */
	TRAP_AWAY,      /* and pushes there, and comes back */
	TRAP_YIELD,
	TRAP_SLEEP,
	TRAP_BARRIER, /* rseq membarrier */
	TRAP_TURN,    /* the flusher makes its turn, on another thread */
	TRAP_CPUSET,  /* it changes the CPU set that the thread lives in */
	DELAY,        /* no trap: the section takes longer */
	DELAY_TURN,   /* ... and meanwhile the flusher makes its turn */
	DELAY_LONG,   /* so long that the thread is likely to be preempted */
	HAPPENINGS
};
extern const char *const happening_names[HAPPENINGS];
int happening_possible(enum happening happening);

struct counts {
	uint64_t traps[POINTS + 1];
	uint64_t aborted[POINTS + 1]; /* of these: the kernel had sent the thread away */
};
extern struct counts counts;
extern enum happening trap_does;
extern void (*trap_hook)(void); /* called in the handler, if set */

void trap_init(void);
/* The next passage of @point but @skip acts. */
/* Waits for the other thread, if the flusher turns there. */
void trap_settle(void);
void trap_arm(uint32_t point, uint32_t skip, enum happening happening);

/* cpuset: "" when it can be done, else why not. */
const char *cpuset_begin(void);
int cpuset_to(int n); /* the n-th usable CPU; -1: all. 0 or -errno */
void cpuset_end(void);

/* --- the parts; each returns the number of its lines that were not ok --- */

void tap(int ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tap_skip(const char *what, const char *why);
void figure(const char *what, uint64_t reached, uint64_t asked);

void part_matrix(void);
void part_forced(void);
void part_provoked(void);
void part_scenes(void);
/* A bit of all, until something is wrong; for mutants. 0: nothing was wrong */
int part_quick(void);
int scene_crossed(int x_by_put, int y_by_put);
int scene_full(int by_put);
int scene_no_ring(int by_put);
int scene_urgent(void);

#endif
