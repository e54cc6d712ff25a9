/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/thread.h - what the library keeps per thread. Static TLS (initial-exec): reading it never
 * allocates, so a signal handler may.
 *
 * An order word, one per engine slot, is the set of rings in which the thread's latest records lie:
 *
 *     {four ring ids of 12 bits : 48 | version : 16}
 *
 * It is {one ring} but for the moments of a migration. Every change raises the version, so that a
 * push that was interrupted by a signal handler's push notices. An id left from an earlier engine
 * in the same slot does no harm: a mark names heads as they are now, so such a name can only order
 * more than needed. The word at WR_ORDER_NONE stays 0 and serves engines that keep no order.
 */
#ifndef WR_RING_THREAD_H
#define WR_RING_THREAD_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/align.h"

#define WR_ENGINES 64
#define WR_ORDER_NONE WR_ENGINES
#define WR_ORDER_IDS 4

struct wr_thread {
	_Atomic uint64_t order[WR_ENGINES + 1];
	uint32_t slow_depth;  /* pushes of this thread in their slow path, nested by handlers */
	uint32_t sink_depth;  /* inside a sink's or callback's code */
	const void *turning;  /* the flusher whose loop this thread is in: it looks for itself */
	_Atomic uint32_t holder; /* its place in wr_holders, 0: it has claimed nothing yet */
	uint32_t cpu;         /* where fallback pushes go ... */
	uint32_t cpu_left;    /* ... for this many more of them */
	uint32_t stay;        /* pushes left to send to the fallback ring after too many aborts */
};

/*
 * Open claims by who made them: whoever ends one may be another thread. The places are given in
 * turn: beyond so many threads that claim, two share one, and a push that would wait may be told
 * -EDEADLK for the claim of the other.
 */
#define WR_HOLDERS 1024
struct wr_holder {
	WR_LINE_ALIGNED _Atomic uint32_t open;
};
extern struct wr_holder wr_holders[WR_HOLDERS];

extern _Thread_local struct wr_thread wr_thread __attribute__((tls_model("initial-exec")));

/* thread: any; async-signal-safe. Notes that the calling thread has a claim. Returns its holder. */
uint32_t wr_hold(void);
/* thread: any. A claim of @holder has ended. */
void wr_let_go(uint32_t holder);
/* Does the calling thread hold an open claim? */
int wr_is_holding(void);

static inline uint64_t wr_order_id(uint64_t word, unsigned slot)
{
	return word >> (16 + 12 * slot) & 0xfff;
}

#endif
