/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/core/sim.h - what the parts of the simulator share.
 *
 * One seed is one small world: an engine as it is shipped, producers that follow a script, a sink, a
 * disk in memory, two clocks, and faults. There is one real thread. Whatever would be a thread is a
 * task with a stack of its own (task.c), whatever would be a call to the kernel goes to sys.c and
 * disk.c, and time is a number. So a seed does the same on every run and on every machine.
 *
 *     random.c  streams of numbers, and the hash of the trace
 *     task.c    tasks and virtual time          sys.c   the table wr_sys: clocks, wake, descriptors
 *     disk.c    files that fail, and what a crash leaves of them
 *     fault.c   kinds of fault: when, and whether they hit
 *     plan.c    what a seed is made of          oracle.c what must be true of every record
 *     watch.c   looks at what goes in and out of any sink
 *     script.c  the sink that fails on demand   life.c  producers, an engine life, its end
 *     look.c    reads the log back              seed.c  one seed from beginning to end
 *     run.c     many seeds, in child processes  shrink.c the shortest command that still fails
 *
 * Nothing here may depend on an address, on uninitialised bytes, on the order in which a compiler
 * evaluates arguments, or on the machine.
 */
#ifndef WEIR_TESTS_SIM_CORE_SIM_H
#define WEIR_TESTS_SIM_CORE_SIM_H

#include <stdint.h>
#include <stdio.h>
#include <weir/weir.h>

#include "base/sys.h"
#include "support/disk.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

/* random.c */
struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t n);                  /* 0..n-1; n 0: 0 */
uint64_t rng_between(struct rng *rng, uint64_t least, uint64_t most);
int rng_ppm(struct rng *rng, uint64_t ppm);
/* Small numbers as often as large ones: 2^least_log2 .. 2^most_log2. */
uint64_t rng_log(struct rng *rng, unsigned least_log2, unsigned most_log2);
struct rng rng_of(uint64_t seed, uint64_t stream);
/* What happened: goes into the hash, and onto standard error when it is wanted. */
enum { T_CALL = 1, T_SUBMIT, T_VERDICT, T_PUSH, T_LIFE, T_CRASH, T_READ, T_FAULT, T_TASK };
void trace(unsigned kind, const char *what, uint64_t a, uint64_t b, uint64_t c);
extern uint64_t trace_hash;
extern int trace_wanted;

/* The seed does not hold what it must. Ends the process that runs the seed. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define S_TRUE(x, ...) \
	do { \
		if (!(x)) \
			sim_fail(__VA_ARGS__); \
	} while (0)

/* fault.c */
/* The columns: id, name on the command line, what happens. */
#define FAULTS(X) \
	X(LATE_WAKE, "late-wake", "the flusher wakes late") \
	X(LATE_ROOM, "late-room", "a push that waits for room wakes late") \
	X(POLL_EINTR, "poll-eintr", "waiting for events is interrupted") \
	X(FUTEX_EINTR, "futex-eintr", "waiting on a futex is interrupted") \
	X(JUMP, "clock-jump", "the monotonic clock jumps, everybody stood still") \
	X(WALL_BACK, "wall-back", "the wall clock is set back") \
	X(WALL_AHEAD, "wall-ahead", "the wall clock is set ahead") \
	X(PUSH_HELD, "push-held", "a thread is preempted amid a push") \
	X(PUSH_DEAD, "push-dead", "a thread stops for ever amid a push") \
	X(CLAIM_OPEN, "claim-open", "a claim stays open too long") \
	X(CLAIM_LEFT, "claim-left", "a claim is never ended") \
	X(CLAIM_ABORT, "claim-abort", "a claim is aborted") \
	X(NO_MEMORY, "no-memory", "the flusher gets no memory") \
	X(NO_DESCRIPTOR, "no-descriptor", "no descriptor is left at open") \
	X(NO_THREAD, "no-thread", "no thread can be started at open") \
	X(RING_FULL, "ring-full", "a push finds its ring full") \
	X(ROOM_LATE, "room-timeout", "a push waits for room in vain") \
	X(TOO_BIG, "too-big", "a record is too large") \
	X(SINK_BUSY, "sink-busy", "submit says -EAGAIN, and ready comes later") \
	X(SINK_LATE, "sink-late", "a verdict comes late") \
	X(SINK_NEVER, "sink-never", "a verdict does not come before close gives up") \
	X(SINK_RETRY, "sink-retry", "RETRY") \
	X(SINK_SPLIT, "sink-split", "SPLIT") \
	X(SINK_SPLIT_ONE, "sink-split-one", "SPLIT of a single record") \
	X(SINK_PART_RECORDS, "sink-part-records", "PARTIAL, the first records") \
	X(SINK_PART_BYTES, "sink-part-bytes", "PARTIAL, the first bytes") \
	X(SINK_PART_BITMAP, "sink-part-bitmap", "PARTIAL, a bitmap") \
	X(SINK_PART_CODES, "sink-part-codes", "PARTIAL, codes, some of them rejections") \
	X(SINK_REJECT, "sink-reject", "REJECT") \
	X(SINK_FATAL, "sink-fatal", "FATAL") \
	X(SINK_NONSENSE, "sink-nonsense", "a verdict that does not exist") \
	X(SINK_ERROR, "sink-error", "submit fails") \
	X(SINK_TWICE, "sink-twice", "a batch gets a second verdict") \
	X(SINK_REORDER, "sink-reorder", "verdicts come in another order") \
	X(SINK_TIMEOUT, "sink-timeout", "RETRY until the time of all attempts is over") \
	X(SINK_START, "sink-start", "the sink cannot be started") \
	X(WRITE_EINTR, "write-eintr", "writev is interrupted") \
	X(WRITE_SHORT, "write-short", "writev writes less") \
	X(WRITE_EIO, "write-eio", "writev: EIO, perhaps after some bytes") \
	X(WRITE_ENOSPC, "write-enospc", "writev: ENOSPC, perhaps after some bytes") \
	X(SYNC_EINTR, "sync-eintr", "fdatasync is interrupted") \
	X(SYNC_EIO, "sync-eio", "fdatasync: EIO once, then 0 about lost pages; sync=batch") \
	X(SYNC_RESCUE, "sync-rescue", "the same where batches were acknowledged before") \
	X(READ_EINTR, "read-eintr", "pread is interrupted") \
	X(READ_SHORT, "read-short", "pread reads less") \
	X(READ_EIO, "read-eio", "pread: EIO") \
	X(DIRSYNC_EIO, "dirsync-eio", "fsync of the directory: EIO") \
	X(OPEN_EMFILE, "open-emfile", "openat of a segment: EMFILE") \
	X(OPEN_EEXIST, "open-eexist", "the segment is there already") \
	X(TRUNC_EINTR, "truncate-eintr", "ftruncate is interrupted") \
	X(TRUNC_EIO, "truncate-eio", "ftruncate: EIO") \
	X(RENAME_EIO, "rename-eio", "rename: EIO") \
	X(UNLINK_EIO, "unlink-eio", "unlinkat: EIO") \
	X(LOCK_BUSY, "lock-busy", "another process holds the log's lock") \
	X(LIST_EIO, "list-eio", "the directory cannot be listed") \
	X(STAT_EIO, "stat-eio", "fstat: EIO") \
	X(MKDIR_ENOSPC, "mkdir-enospc", "the log's directory cannot be made") \
	X(KILL, "kill", "kill -9: the page cache stays") \
	X(POWER_DROP, "power-drop", "a power cut drops unsynced writes") \
	X(POWER_TEAR, "power-tear", "a power cut tears an unsynced write") \
	X(POWER_REORDER, "power-reorder", "a power cut keeps a later write and loses an earlier one") \
	X(POWER_NAME, "power-name", "a power cut loses a directory entry") \
	X(CRASH_OPENING, "crash-opening", "a crash while the next life opens the log") \
	X(PIPE_FULL, "pipe-full", "a pipe has no room for a while") \
	X(PIPE_BROKEN, "pipe-broken", "a pipe has no reader any more")
enum fault {
#define X(id, name, meaning) F_##id,
	FAULTS(X)
#undef X
	F_KINDS
};
struct fault_kind {
	const char *name, *meaning;
};
extern const struct fault_kind fault_kinds[F_KINDS];
struct fault_state {
	uint32_t ppm;      /* of its occasions; 0: not in this seed */
	struct rng rng;
	uint64_t injected; /* how often it was done */
	uint64_t hit;      /* how often the engine's own branch for it was seen to run */
};
extern struct fault_state faults[F_KINDS];
/* Is it to happen now? Never once all is healed. */
int fault_now(enum fault kind);
/* It is in this seed, and nothing is healed yet. */
int fault_on(enum fault kind);
void fault_hit(enum fault kind);
int fault_find(const char *name);

/* plan.c: what a seed is made of. Options of the command line change it, nothing else does. */
enum sink_kind { SINK_SCRIPT, SINK_FILE, SINK_PIPE, SINK_OTHER };
struct options {
	uint64_t steps;         /* of phase one; 0: as the seed says */
	uint64_t producers, records, lives; /* 0: as the seed says, else at most */
	uint8_t off[F_KINDS];   /* 1: not this kind */
	const char *sink;       /* address of a sink, or NULL */
	const char *sink_so;    /* FILE:SYMBOL, or NULL */
	int trace;
};
extern struct options options;
struct plan {
	uint64_t seed;
	enum sink_kind sink;
	char uri[160];
	uint32_t sync;          /* of a file: 0 none, 1 interval, 2 batch */
	uint64_t interval_ns;
	int retains;            /* of a file: old segments go */
	uint32_t cpus, lives, producers, records;
	uint64_t steps;
	struct weir_config config;
	uint32_t max_inflight, ordered; /* of a scripted sink */
	int hosted;             /* a scripted sink on a thread of its own */
	uint64_t gap_ns;        /* between pushes, about */
	uint64_t close_ns;
	uint32_t preempt_ppm;   /* a call to the system lets others go first */
};
extern struct plan plan;
void plan_make(uint64_t seed);

/* task.c */
struct task;
extern uint64_t vt_now, vt_wall; /* virtual time, ns */
extern uint64_t vt_steps, vt_late_ns; /* ... and by how much the flusher was woken late */
extern int vt_healed;    /* phase two: nothing fails any more */
extern int vt_crashed;   /* the process or the machine is gone */
extern uint64_t vt_calls_to_crash; /* disk calls from now; 0: none planned */
extern void (*vt_after_step)(void);
extern void (*vt_on_time)(uint64_t ns); /* time goes on by so much */
void task_reset(void);
struct task *task_start(const char *name, void *(*fn)(void *), void *arg);
struct task *task_self(void); /* NULL: the supervisor */
int task_done(const struct task *task);
const char *task_name(const struct task *task);
void task_flusher(struct task *task); /* marks the one that turns the flusher */
struct task *task_flusher_now(void);
struct task *task_of_thread(uint64_t thread);
/* Runs tasks until @until is over or all is lost: 0; -1: nobody can go on; 1: crashed. */
int task_run(struct task *until);
void task_kill_all(void);
void task_sleep(uint64_t ns);
/* Blocks the calling task. 1: woken, 0: time is over. */
int task_block(uint64_t until_ns, const void *word, int poll_fd);
/* Wakes those that block on @word; how many. */
int task_wake_word(const void *word, int count);
void task_wake_poll(int poll_fd);
/* A call to the system: costs time, and may let others go first. */
void task_call(void);
int task_in_push(int change); /* the calling task begins (1), ends (-1) a push */
/* 1: stopped for a while in the midst of a push, or for ever. */
int task_any_held(void);
int task_flusher_is_late(void);
int task_any_overdue(void); /* somebody, or a timer, was to go on before now */
uint64_t task_flusher_wakes(void); /* when it goes on, if it is to; else now */
/* No task is amid a turn of @flusher: its state is whole. */
int task_is_quiet(const void *flusher, int poll_fd, int *ret_waits);
extern int vt_no_yield;

/* sys.c */
void sys_reset(uint64_t seed);
void sys_forget_descriptors(void);
uint64_t sys_next(void);   /* when the next timer goes off; UINT64_MAX: none */
void sys_go_off(void);
void sys_pipe(int fd);     /* a real descriptor that stands for a pipe */
int sys_is_ready(int poll_fd);
int sys_set_timer_count(void);

/* disk.c: the calls are those of support/disk.h */
#define DISK_LOG "log"
void disk_reset(uint64_t seed);
void disk_kill(void);
/* The power is cut. What was not durable goes, or not, or in part. */
void disk_cut(void);
uint64_t disk_newest(void);  /* number of the newest segment that was made */
uint64_t disk_removed(void); /* highest number of a segment that retention removed */
int disk_lost_pages(void);   /* a failed sync has dropped pages that were written */
/* What the last crash did to what was there. */
struct disk_damage {
	int dropped, torn, reordered, names;
};
extern struct disk_damage disk_damage;

/* oracle.c */
#define PRODUCERS_MAX 8
#define RECORDS_MAX 512
#define LIVES_MAX 6
enum record_state {
	R_NONE = 0,
	R_PUSHING,  /* its push has not returned */
	R_CLAIMED,  /* a claim that is not ended */
	R_REFUSED,  /* its push answered an error: it must never be seen */
	R_ABORTED,
	R_ACCEPTED,
};
enum record_place { P_RING = 0, P_SINK, P_BACK, P_DONE, P_REJECTED, P_STUCK };
struct record {
	uint8_t state, place;
	uint8_t acked;         /* DONE was said by a sink that keeps what it says */
	uint8_t read;          /* times it was found in the log */
	uint8_t late_verdict;  /* sent back when its time was over */
	uint32_t size;
	uint64_t seq, index;   /* of its batch, place there */
	uint64_t pushed_ns, due_ns, acked_ns;
	uint64_t excused_ns;   /* the excuse clock at its push */
	uint64_t segment;      /* the newest one when it was acknowledged */
};
struct life {
	struct record records[PRODUCERS_MAX][RECORDS_MAX];
	uint32_t begun[PRODUCERS_MAX];     /* pushes begun */
	uint32_t submitted[PRODUCERS_MAX]; /* the next that must be submitted */
	uint32_t last_done[PRODUCERS_MAX]; /* index + 1 of the last delivered */
	uint64_t accepted, delivered, rejected, single_splits;
	uint64_t next_seq;
	uint64_t dirty;         /* changes; the identity is looked at after each */
	int unordered;          /* the sink itself has broken the order of delivery */
	int closing;            /* weir_close() was called */
	int opened;
	enum { END_NOT, END_CLOSED, END_KILLED, END_POWER } end;
	uint64_t end_ns;
};
extern struct life lives[LIVES_MAX];
extern uint32_t life_now;
extern struct weir *the_weir; /* NULL: no engine is open */
void oracle_reset(void);
void oracle_life(void); /* a new one begins */
/* Gives the next record of @producer its content. */
uint32_t oracle_begin(uint32_t producer, uint32_t size, uint64_t max_age_ns, uint8_t *content);
void oracle_end(uint32_t producer, uint32_t number, int r);
void oracle_claimed(uint32_t producer, uint32_t number, int r);
void oracle_claim_ended(uint32_t producer, uint32_t number, int committed, int r);
/* Whose record is it? Fails when it was never pushed like that. */
struct record *oracle_find(const void *data, uint64_t size, uint32_t *ret_life,
                           uint32_t *ret_producer, uint32_t *ret_number);
void oracle_step(void);      /* after every step: identity, thresholds */
void oracle_submitted(struct record *record, uint64_t now);
/* Retention has removed segments up to @segment: what lay there need not be found any more. */
void oracle_expire(uint64_t segment);
uint64_t oracle_open(void);  /* accepted, and neither delivered nor rejected */
void oracle_closed(int healed, const struct weir_close_report *report);
uint64_t oracle_claims(void); /* that are not ended */
uint64_t oracle_pushing(void);
int oracle_drained(void);
enum excuse { E_SINK, E_LATE, E_JUMP, E_MEMORY, E_HELD, E_WORK, E_KINDS };
extern const char *const excuse_names[E_KINDS];
extern uint64_t excused[E_KINDS]; /* ns */
extern uint64_t overruns[E_KINDS];
extern uint64_t starved_until;
void excuse_add(enum excuse kind, uint64_t ns);

/* watch.c */
struct weir_sink *watch_new(struct weir_sink *child);
int watch_is_held(void);   /* the sink has no room, or a batch waits to come again */
int watch_broken(void);
void watch_jumped(uint64_t ns);
void watch_forget(void);   /* the engine is gone, and nothing will be answered */
uint32_t watch_at_sink(void);

/* script.c */
int script_open(struct weir_sink **ret);
void script_heal(void);

/* look.c, life.c */
void *look_task(void *arg); /* @arg: not NULL: reading fails now and then */
void *life_task(void *arg); /* @arg: not NULL: the last one */

/* seed.c */
struct outcome {
	uint64_t seed, hash, steps, pushes, batches, lives;
	uint64_t injected[F_KINDS], hit[F_KINDS], overruns[E_KINDS];
	uint32_t failed;
	char why[400];
};
extern struct outcome outcome;
void seed_run(uint64_t seed);

/* run.c */
struct run {
	uint64_t first, last;
	uint32_t jobs;
	int json, quiet, stop, minimise, all_kinds, here;
};
int run_seeds(const struct run *run);
/* One seed in a child of its own. */
void run_child(uint64_t seed, struct outcome *ret);
/* shrink.c */
int shrink(const struct run *run, uint64_t seed);

#endif
