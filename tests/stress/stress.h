/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/stress.h - what the stress programs share: TAP, a seed, numbered records, a sink that
 * counts, and the identity.
 *
 * A program prints one line per promise. What was attempted is counted by whoever pushes, what was
 * delivered by the sink; the engine is only asked for what it dropped and what is pending.
 *
 * WEIR_STRESS_SECONDS says how long to try (default 2), WEIR_STRESS_SEED repeats a run.
 */
#ifndef WEIR_STRESS_H
#define WEIR_STRESS_H

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/weir.h>

/* TAP */
void ok(int good, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
int done(void); /* prints the plan; the exit status */
#define SKIP_PROGRAM 77

/* Time and chance */
double stress_seconds(void);
uint64_t stress_seed(void); /* printed at the first call */
uint64_t rnd(uint64_t *state);
static inline uint64_t below(uint64_t *state, uint64_t n)
{
	return rnd(state) % n;
}
uint64_t now_ns(void);
void nap_ns(uint64_t ns);
/* Waits until *word reaches at least @value, at most @seconds. 1: it has. */
int wait_count(const _Atomic uint64_t *word, uint64_t value, double seconds);
/* Runs @fn in a child process; its exit status, or 128 + signal (also when it took too long). */
int in_child(int (*fn)(void *arg), void *arg, unsigned seconds);
int count_entries(const char *directory); /* of /proc/self/fd, /proc/self/task */
long resident_kib(void);

#if defined(__SANITIZE_THREAD__)
#define STRESS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STRESS_TSAN 1
#endif
#endif
#ifndef STRESS_TSAN
#define STRESS_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define STRESS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRESS_ASAN 1
#endif
#endif
#ifndef STRESS_ASAN
#define STRESS_ASAN 0
#endif
/* Pushing for a whole run is too much for a machine under a tool that slows it down 50 times. */
int stress_is_slow(void);

/*
 * Numbered records. A thread has several lanes: its own code, and signal handlers that interrupt it.
 * Within a lane numbers rise by one; `done` says what each lane of the thread had completed when the
 * push began, so that all of that must reach the sink earlier.
 */
#define LANES 3
#define PUSHERS_MAX 80

struct ticket {
	uint32_t pusher;
	uint32_t lane;
	uint64_t number;
	uint64_t done[LANES];
};

/* Answers, by kind. */
struct tally {
	uint64_t attempted, accepted;
	uint64_t again, timed_out, too_big, shutdown, deadlock, no_memory, other;
	int last_other;
};

struct pusher {
	uint32_t id;
	uint32_t inside; /* a lane is being used: for handlers that must not use it twice */
	_Atomic uint64_t done[LANES];
	struct tally tally[LANES];
	uint64_t rng;
	void *arg;
	pthread_t thread;
	uint8_t buffer[LANES][70000];
};

/* Counts the answer @r of one attempt. */
void tally_add(struct tally *tally, int r);
void tally_sum(struct tally *sum, const struct tally *tally);
/* Writes the next ticket of @lane with @size bytes in all (at least a ticket) to @to. */
void ticket_write(struct pusher *pusher, unsigned lane, void *to, size_t size);
/* The ticket of @lane was accepted. */
void ticket_accepted(struct pusher *pusher, unsigned lane);
/* One push of a ticket, tallied. The answer. */
int push_ticket(struct weir *weir, struct pusher *pusher, unsigned lane, size_t size,
                const struct weir_push_options *options);
/* 1: the bytes are as written. */
int ticket_is_whole(const struct weir_record *record);

/* What a sink has seen of each pusher's lanes. */
struct ledger {
	uint64_t last[PUSHERS_MAX][LANES];
	_Atomic uint64_t *_Atomic seen[PUSHERS_MAX][LANES]; /* bits, or NULL */
	_Atomic uint32_t told;
	uint64_t records;
	_Atomic uint64_t damaged, misordered, twice, unknown;
	char first_trouble[256];
};
#define LEDGER_MOST (UINT64_C(1) << 27) /* numbers told apart */

void ledger_init(struct ledger *ledger);
void ledger_fini(struct ledger *ledger);
/* A record in its turn: consecutive, and after all it must follow. */
void ledger_in_order(struct ledger *ledger, const struct weir_record *record);
/* A record in any order: whole, and never twice. */
void ledger_once(struct ledger *ledger, const struct weir_record *record);

/* A sink that counts. Set what differs from zero after meter_init(). */
struct meter {
	struct weir_sink sink;
	/* how it behaves */
	struct weir_sink_caps caps;
	void (*record)(struct meter *meter, const struct weir_record *record); /* delivered ones */
	/* Decides; NULL: DONE. Runs on the flusher, or on a worker. */
	void (*decide)(struct meter *meter, const struct weir_batch *batch,
	               struct weir_verdict *verdict, uint64_t *rng);
	int (*start)(struct meter *meter); /* 0 or -errno */
	void (*before)(struct meter *meter, struct weir_batch *batch); /* in submit */
	uint32_t workers;        /* 0: completes inside submit */
	uint32_t busy_per_mille; /* how often submit answers -EAGAIN */
	uint64_t delay_ns;       /* each batch takes so long, on a worker */
	_Atomic uint32_t stuck;  /* 1: batches are taken and never finished */
	void *arg;
	/* what it saw */
	_Atomic uint64_t delivered, rejected, bytes, batches, submits, closed, started;
	_Atomic uint64_t causes[WEIR_CAUSES];
	_Atomic uint64_t first_ns, last_ns; /* of deliveries */
	uint64_t last_seq;
	_Atomic uint64_t seq_gaps;
	/* its own */
	uint64_t rng;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct weir_batch *queue[64];
	uint32_t head, tail, running, ending;
	_Atomic uint32_t cancelled;
	pthread_t threads[8];
	pthread_t readier;
	_Atomic uint64_t workers_begun;
	_Atomic uint32_t readies, readier_runs;
	struct weir_batch *held[64];
	uint32_t held_count;
};
void meter_init(struct meter *meter);
void meter_fini(struct meter *meter);
/* Gives the batches back that a stuck meter holds. */
void meter_unstick(struct meter *meter);

/*
 * The identity after weir_close(), by the callers' and the sink's own counts. A mask of what does not
 * hold; 0: all does. @explain: says so.
 */
#define WRONG_ATTEMPTED 1u /* attempted = accepted + refused */
#define WRONG_ACCEPTED 2u  /* what callers were told = what the engine counts */
#define WRONG_DELIVERED 4u /* what the sink saw = what the engine counts */
#define WRONG_BALANCE 8u   /* accepted = delivered + dropped + dead-lettered + pending */
#define WRONG_PENDING 16u  /* nothing is pending */
#define WRONG_AUDIT 32u    /* the audit's residual is 0 */
#define WRONG_REFUSED 64u  /* refusals, one by one */
#define WRONG_AGREE 128u   /* audit and statistics say the same */
unsigned identity(struct weir *weir, const struct tally *tally, const struct meter *meter,
                  uint64_t base, int explain);
struct weir_stats stats_of(const struct weir *weir);
uint64_t dropped_of(const struct weir_stats *stats);

/* A configuration for tests: small rings, a short deadline. */
void config_small(struct weir_config *config);
struct weir *open_or_die(const struct weir_config *config, struct meter *meter);

#endif
