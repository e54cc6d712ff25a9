/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush/wake.h - how a producer wakes a sleeping flusher, without a fence, a clock read or a system
 * call on the fast path, so that a thread that stops for ever at any instruction strands nothing.
 *
 * It knows alarms, limits, one timer and one event. It does not know batches or sinks. The names of
 * the steps are those of tests/model/wake.pml; engine/DESIGN.md maps each to its function.
 *
 *     due    {time us:48 | seq:15 | confirmed:1}   BUSY: the flusher drains. INF: nobody waits.
 *     soon   the earliest deadline asked for by an urgent record, us
 *     sum    {epoch:31 | signalled:1 | count:32}   records credited to this batch
 *     bytes  {epoch:23 | signalled:1 | bytes:40}   the same for the byte trigger
 *     bits   rings that may hold something; the flusher visits no other
 */
#ifndef WR_FLUSH_WAKE_H
#define WR_FLUSH_WAKE_H

#include <stdatomic.h>
#include <stdint.h>

#include "ring/rings.h"

#define WR_DUE_BUSY 0u
#define WR_DUE_INF ((UINT64_C(1) << 48) - 1)
#define WR_DUE_NEVER ((UINT64_C(1) << 48) - 2) /* a finite time that needs no timer */

static inline uint64_t wr_due_make(uint64_t time_us, uint32_t seq, uint32_t confirmed)
{
	return time_us << 16 | (uint64_t)(seq & 0x7fffu) << 1 | confirmed;
}
static inline uint64_t wr_due_time(uint64_t due)
{
	return due >> 16;
}
static inline uint32_t wr_due_seq(uint64_t due)
{
	return (uint32_t)(due >> 1) & 0x7fffu;
}

/*
 * A timer that goes off between arm and commit finds nothing, and must be armed again: no timer is
 * set for less than a push and a wake-up take together.
 */
#define WR_WAKE_LEAST_US 50u

/* What producers need of the configuration. Changed only by the flusher. */
struct wr_wake_settings {
	_Atomic uint64_t threshold;       /* records; 0: off */
	_Atomic uint64_t threshold_bytes; /* bytes; 0: off */
	_Atomic uint64_t deadline_us;     /* WR_DUE_NEVER: off */
	_Atomic uint32_t slack;           /* most records a ring may keep uncounted; 0: count all */
	_Atomic uint32_t signals;         /* WR_SIGNAL_*: which triggers act */
	_Atomic uint32_t watermark;       /* bytes of one ring; 0: off */
};
#define WR_SIGNAL_SIZE 1u
#define WR_SIGNAL_BYTES 2u
#define WR_SIGNAL_TIMER 4u
#define WR_SIGNAL_URGENT 8u
#define WR_SIGNAL_PRESSURE 16u
#define WR_SIGNAL_URGENT_SHADOW 32u /* noted, but no timer is set for it */

struct wr_wake {
	WR_LINE_ALIGNED _Atomic uint64_t due;
	_Atomic uint64_t soon;     /* UINT64_MAX: none */
	_Atomic uint64_t first_us; /* when the first record after idle came; a hint for ages */
	WR_LINE_ALIGNED _Atomic uint64_t sum;
	_Atomic uint64_t bytes;
	_Atomic uint32_t joined; /* rings that joined since the last sleep */
	_Atomic uint32_t telling; /* epoch + 1 of the last sum in whose time one set out to write */
	_Atomic uint32_t told;    /* ... and really wrote the event */
	WR_LINE_ALIGNED _Atomic uint64_t bits[WR_RING_IDS / 64];
	WR_LINE_ALIGNED struct wr_wake_settings settings;
	struct wr_page *page;
	/* statistics of slow paths */
	WR_LINE_ALIGNED _Atomic uint64_t timer_arms;
	_Atomic uint64_t eventfd_writes;
	_Atomic uint32_t writing; /* calls on the timer and the event under way */
	/* pushes that wait for room */
	WR_LINE_ALIGNED _Atomic uint32_t release_seq; /* futex: bumped when space was released */
	_Atomic uint32_t waiters;
	_Atomic uint32_t hopeless; /* 1: the sink is broken, no room will come */
};

/* What a push has to test after its commit. Zero it first. */
struct wr_credit {
	uint32_t counted;  /* sum was added to, and stood at `before` */
	uint32_t before;
	uint32_t bytes;    /* the byte sum was added to, and stood at `bytes_before` */
	uint32_t pressure; /* the ring's watermark was passed */
	uint64_t bytes_before;
};

/* Sets everything to "idle". @seq, @epoch: where these begin. thread: owner */
void wr_wake_init(struct wr_wake *wake, struct wr_page *page, uint32_t epoch);

/*
 * Steps 1 to 6 of the slow path, for a push that met the alarm (or carries a max age). @seen is
 * what its attempt loaded, @max_age_us 0 or the record's own.
 * 0: the alarm has moved, push again; ret_epoch is the alarm's. 1: it had changed, push again.
 * thread: producer
 */
int wr_wake_slow(struct wr_wake *wake, const struct wr_seen *seen, uint64_t max_age_us,
                 struct wr_credit *credit, uint64_t *ret_epoch);

/*
 * For a push of @need bytes that met the limit. 0: push again. -EAGAIN: the ring is full and the
 * flusher knows. -ESHUTDOWN: closed. thread: producer
 */
int wr_wake_limit(struct wr_wake *wake, struct wr_ring *ring, uint64_t need,
                  struct wr_credit *credit);

/*
 * After the commit, or when it did not come about after all (others' records may have been
 * credited): wakes the flusher if a trigger was crossed. thread: producer
 */
void wr_wake_after(struct wr_wake *wake, const struct wr_credit *credit);

/* Writes the eventfd, whatever the state. thread: any */
void wr_wake_write(struct wr_wake *wake);

/* Marks a ring as one that may hold something. thread: any */
void wr_wake_set_bit(struct wr_wake *wake, uint32_t id);

/*
 * Sets the timer for @time_us, or an earlier one that is due (step 4; rearm of the flusher).
 * thread: flusher
 */
void wr_wake_arm(struct wr_wake *wake, uint64_t time_us, int with_timer);

#endif
