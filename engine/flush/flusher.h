/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush/flusher.h - the one loop that drains the rings.
 *
 *     cut (walk.c, order.c) -> decide (policy.c) -> form (batch.c) -> submit -> verdict (verdict.c)
 *         -> release (release.c);  sleep.c puts it to sleep;  flusher.c turns the crank
 *
 * It knows rings, triggers, batches and one sink. It does not know how a record got into a ring,
 * nor what the sink does with it. thread: flusher, where nothing else is said.
 */
#ifndef WR_FLUSH_FLUSHER_H
#define WR_FLUSH_FLUSHER_H

#include <stdatomic.h>
#include <stdint.h>
#include <weir/sink.h>
#include <weir/stats.h>

#include "base/mem.h"
#include "flush/cut.h"
#include "flush/policy.h"
#include "flush/wake.h"
#include "stats/counters.h"

#define WR_WATCHES 64
#define WR_STARVED_NS 10000000u /* until the next try when no memory was left */

/* A batch, or a piece of one. The rings' space is held by the batch as it was formed. */
struct wr_batch {
	struct weir_batch seen; /* what the sink sees; its spans and iov are the arrays below */
	struct wr_flusher *flusher;
	struct wr_batch *next;      /* in whichever list it is */
	struct wr_batch *live, **live_at; /* in the list of those without a final verdict */
	struct wr_batch *next_done; /* in the completion list */
	struct wr_batch *whole;     /* itself, or the batch of which this is a piece */
	uint32_t pieces;            /* whole: pieces without a final verdict, itself included */
	uint32_t holds_left;        /* whole: spans whose space is not released */
	uint32_t span_room;
	uint32_t at_sink;
	_Atomic uint32_t owed; /* 1: the sink has it, and has not given a verdict */
	uint64_t first_submit_ns;
	uint64_t not_before_ns; /* of the next attempt */
	uint64_t due_ns;        /* when it should have been submitted; UINT64_MAX: any time */
	struct weir_span *spans;
	struct iovec *iov;
	struct wr_hold *holds; /* whole: one per span */
	/* the verdict, copied: a completing thread's memory is its own again at once */
	struct weir_verdict verdict;
	uint64_t *bitmap; /* done, then rejected */
	uint64_t bitmap_words;
};

struct wr_flusher_config {
	struct wr_policy policy;
	uint64_t max_batch_records, max_batch_bytes, batch_total_timeout_ns, claim_max_ns;
	uint32_t max_batch_spans, max_inflight, order;
	uint8_t uuid[16];
	uint64_t first_seq; /* 1, but in tests */
	uint64_t total_base; /* 0, but in tests: where the 64-bit totals begin */
};

struct wr_watch {
	int fd;
	struct weir_sink *sink;
	void (*fn)(struct weir_sink *sink, int fd, uint32_t events);
};

/* Control requests and what came of them. Written by any thread, read by the flusher. */
struct wr_control {
	_Atomic uint32_t flush;         /* flush once */
	_Atomic uint32_t barrier_asked; /* tickets: the highest asked for */
	_Atomic uint32_t barrier_done;  /* the highest reached */
	_Atomic uint32_t barrier_turn;  /* futex: bumped when one is reached, and at the end */
	_Atomic uint32_t shutdown;      /* 1: drain and end; 2: claims are given up, go on;
	                                 * 3: nothing is submitted any more, end when the sink has
	                                 * given everything back; 4: end now */
	_Atomic uint32_t audit;         /* 1: asked; 2 (futex): done */
	_Atomic uint32_t ended;         /* futex: 1 when the loop is over */
	_Atomic uint32_t drained;       /* futex: 1 when nothing is pending any more */
	_Atomic uint32_t wanted;        /* the eventfd was written for one of these */
	_Atomic uint32_t ready;         /* the sink said it has room again */
};

struct wr_flusher {
	struct wr_flusher_config config;
	struct wr_wake *wake;
	struct wr_rings *rings;
	struct wr_mem mem;
	struct weir_sink *sink;
	struct weir_sink_caps caps;
	struct weir_sink_host host;
	const struct weir_sources *sources;
	struct weir_allocator allocator;
	struct wr_cut cut;
	struct wr_counters counters;
	struct wr_control control;

	int poll_fd, timer_fd, event_fd, done_fd, aux_fd;
	_Atomic uint32_t turning; /* 1: somebody is in the loop */

	/* sleep */
	uint32_t asleep;   /* the sleep transition was made: due is INF or finite */
	uint32_t epoch;
	uint32_t due_seq;
	uint32_t timer_may_be_set;
	uint32_t timer_seen; /* the last wake-up was, or was also, the timer's */
	uint64_t keep_us;  /* deadline of what the last cut left, us; WR_DUE_INF: nothing */
	uint64_t soon_us;  /* what was taken from wake->soon and may still be needed */
	uint64_t busy_ns;  /* since when due is BUSY */
	uint64_t born_ns;   /* no record was pushed before */
	uint64_t oldest_ns; /* lower bound of the oldest record's push, 0: none */

	/* batches */
	uint64_t next_seq;
	uint32_t next_segment; /* of cut.segments, not yet in a batch */
	enum weir_cause cause; /* of the cut that is being sent */
	uint64_t cut_ns, cut_wall_ns, cut_due_ns;
	uint32_t inflight;
	uint32_t sink_full;    /* submit answered -EAGAIN and ready has not come */
	uint32_t broken;       /* the sink said FATAL */
	int32_t broken_code;
	uint64_t starved_ns;   /* no memory was left: try again then; 0: there is */
	uint32_t was_held;     /* a batch had to wait for the sink since the last sleep */
	struct wr_batch *again; /* to be submitted again, by seq */
	struct wr_batch *unused;
	struct wr_batch *live; /* all without a final verdict */
	_Atomic(struct wr_batch *) done; /* completed, newest first; pushed by any thread */
	_Atomic uint64_t verdicts_ignored; /* second ones, by a sink that breaks its contract */

	/* barrier */
	uint32_t barrier;    /* ticket under way, any number: they wrap */
	uint32_t in_barrier; /* 1: there is one */

	/* timers of the sink and of retries */
	uint64_t sink_timer_ns;
	struct weir_sink *sink_timer_of;
	uint64_t aux_ns; /* what aux_fd is set to */
	struct wr_watch watches[WR_WATCHES];

	struct weir_audit audit; /* the answer to the audit asked for last */
	uint64_t left_in_rings, left_in_batches, claims_abandoned; /* after the end */
};

/* Opens descriptors, starts the sink. 0, -errno, @ret_why set. thread: owner */
int wr_flusher_init(struct wr_flusher *flusher, struct weir_why *ret_why);
/* Frees everything but the descriptors. thread: owner, after the loop has ended */
void wr_flusher_fini(struct wr_flusher *flusher);
/* Closes the descriptors that producers do not know. thread: owner */
void wr_flusher_close_fds(struct wr_flusher *flusher);

/* One turn: sleeps until @until_ns at most (0: not at all), then does all there is. 1 or 0. */
int wr_flusher_turn(struct wr_flusher *flusher, uint64_t until_ns);
/* Turns until told to shut down and drained. */
void wr_flusher_run(struct wr_flusher *flusher);
/* Open claims are given up: what lies behind them can go. */
void wr_flusher_abandon(struct wr_flusher *flusher);
/* Gives up: abandons claims, books everything that is left as dropped. Ends the flusher. */
void wr_flusher_end(struct wr_flusher *flusher);
/* The identity, by walking. thread: flusher, or owner after the end */
void wr_flusher_audit(struct wr_flusher *flusher, struct weir_audit *ret);
/*
 * Records that close left where it could not count them for good, see leave_ring(): the places that
 * are not claims. @ret_claims: claims of these rings, ever, that are no records. thread: any
 */
uint64_t wr_flusher_lost(const struct wr_flusher *flusher, uint64_t *ret_claims);
/* Wakes the loop for a control request. thread: any */
void wr_flusher_kick(struct wr_flusher *flusher);
/* Records accepted so far, from the heads. thread: any */
uint64_t wr_flusher_accepted(const struct wr_flusher *flusher, uint64_t *ret_bytes);

/* batch.c: forms batches of the taken cut and submits what can be. 1 when something was. */
int wr_batch_send(struct wr_flusher *flusher);
int wr_flusher_can_submit(const struct wr_flusher *flusher);
struct wr_batch *wr_batch_alloc(struct wr_flusher *flusher, uint32_t spans);
/* thread: owner */
void wr_batch_free_unused(struct wr_flusher *flusher);
void wr_batch_live(struct wr_flusher *flusher, struct wr_batch *batch, int live);
void wr_batch_unused(struct wr_flusher *flusher, struct wr_batch *batch);
/* Puts a batch among those to be submitted again, in order. */
void wr_batch_again(struct wr_flusher *flusher, struct wr_batch *batch);
extern const struct weir_batch_owner wr_batch_owner;

/* verdict.c: takes completed batches back. 1 when there were any. */
int wr_verdicts(struct wr_flusher *flusher);
/* The final end of a batch or piece: @which counter books its records. */
void wr_batch_final(struct wr_flusher *flusher, struct wr_batch *batch, unsigned which);

/* release.c: a batch as formed is done with; gives space back in order, per ring. */
void wr_release_batch(struct wr_flusher *flusher, struct wr_batch *batch);
void wr_release_barrier(struct wr_flusher *flusher);
/* The sink is broken for good: whoever waits for room is told. */
void wr_release_hopeless(struct wr_flusher *flusher, int32_t code);

/* sleep.c */
void wr_sleep_busy(struct wr_flusher *flusher);    /* due = BUSY */
int wr_sleep_try(struct wr_flusher *flusher);      /* S1..S6. 1: asleep, 0: stay busy */
void wr_sleep_aux(struct wr_flusher *flusher);     /* sets the second timer to what is next */
struct wr_decision wr_sleep_decide(struct wr_flusher *flusher, uint64_t now_ns);

/* control.c */
int wr_control_pending(struct wr_flusher *flusher); /* takes audits, barriers. 1: there were any */
int wr_control_waiting(const struct wr_flusher *flusher); /* a barrier was asked for, not begun */
int wr_control_requested(const struct wr_flusher *flusher); /* a flush or barrier is under way */
int wr_flusher_is_drained(struct wr_flusher *flusher);

/* host.c: what the engine offers to its sink. */
extern const struct weir_sink_host_ops wr_host_ops;
#define WR_TAG_TIMER 1u
#define WR_TAG_EVENT 2u
#define WR_TAG_DONE 3u
#define WR_TAG_AUX 4u
#define WR_TAG_WATCH 16u
void wr_host_event(struct wr_flusher *flusher, uint64_t tag, uint32_t events);

#endif
