/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow.c - what a push does about what stopped it: it makes the ring, moves the alarm or the limit,
 * and waits for room only where that is allowed.
 *
 * It knows who may be inside while the engine closes. It does not know how a record is laid out or
 * copied. thread: producer
 */
#include "api/push.h"

#include <errno.h>

#include "base/sys.h"
#include "base/testpoint.h"

/* Counts in on the ring, then tests: 0, -EPERM, -ESHUTDOWN. */
static int enter(struct weir *weir, _Atomic uint32_t *inside)
{
	if (!wr_is_ours(weir))
		return -EPERM;
	/*
	 * ORDER close.inside: seq_cst. close sets closing, then waits for inside to become 0.
	 * Gives:     either this slow path sees closing, or close waits for it.
	 * Otherwise: it writes to a descriptor that was closed and is somebody else's by now.
	 */
	atomic_fetch_add_explicit(inside, 1, memory_order_seq_cst);
	WR_TESTPOINT("push.inside");
	if (wr_is_ours(weir) && !atomic_load_explicit(&weir->closing, memory_order_seq_cst))
		return 0;
	atomic_fetch_sub_explicit(inside, 1, memory_order_seq_cst);
	return wr_is_ours(weir) ? -ESHUTDOWN : -EPERM;
}

static void leave(_Atomic uint32_t *inside)
{
	/* ORDER close.inside: release. What was done inside is done before close goes on. */
	atomic_fetch_sub_explicit(inside, 1, memory_order_release);
}

int wr_push_make_ring(struct wr_push *push, enum wr_ring_kind kind, uint32_t cpu,
                      struct wr_ring **ret_ring)
{
	struct weir *weir = push->weir;
	int r = enter(weir, &weir->inside);

	if (r)
		return r;
	r = wr_rings_get(&weir->rings, kind, cpu, ret_ring);
	leave(&weir->inside);
	return r;
}

int wr_push_met_alarm(struct wr_push *push, struct wr_ring *ring)
{
	uint64_t epoch;
	int r = enter(push->weir, &ring->inside);

	if (r)
		return r;
	r = wr_wake_slow(&push->weir->wake, &push->seen, push->max_age_us, &push->credit, &epoch);
	if (r == 0 && push->max_age_us)
		push->put.epoch = epoch;
	/*
	 * A place may have been reserved under a limit from before the flusher's sleep, and lie
	 * behind a stop that it has put there since: nobody else may pass that stop for long.
	 */
	if (r == 0 && ring->kind == WR_RING_FALLBACK)
		(void)wr_wake_limit(&push->weir->wake, ring, 0, &push->credit);
	leave(&ring->inside);
	return 0;
}

/* Waits for room, if this push may: 0: try again. Never while counted in. */
static int wait_for_room(struct wr_push *push, struct wr_ring *ring)
{
	const struct weir_push_options *options = push->request->options;
	struct weir *weir = push->weir;
	struct wr_wake *wake = &weir->wake;
	uint32_t wait = options ? options->wait : 0, seq, end;
	uint64_t bound = weir->block_max_ns;
	int r = 0;

	if (wait == WEIR_PUSH_NO_WAIT || (!wait && weir->full != WEIR_FULL_BLOCK)) {
		wr_push_count(&ring->refused_full);
		return -EAGAIN;
	}
	if (wr_thread.slow_depth > 1) { /* a signal handler interrupted a push */
		wr_push_count(&ring->refused_context);
		return -EAGAIN;
	}
	if (wr_in_sink() || wr_is_holding()) {
		wr_push_count(&ring->refused_context);
		return -EDEADLK;
	}
	if (options && options->wait == WEIR_PUSH_WAIT && options->wait_ns)
		bound = options->wait_ns;
	if (!push->wait_until_ns) {
		uint64_t now = wr_sys.now();

		push->wait_until_ns = bound > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + bound;
		wr_push_count(&ring->waits);
	}
	/* ORDER flush.room: seq_cst. See wake_waiters() in flush/release.c. */
	atomic_fetch_add_explicit(&wake->waiters, 1, memory_order_seq_cst);
	seq = atomic_load_explicit(&wake->release_seq, memory_order_seq_cst);
	end = wr_head_position(atomic_load_explicit(&ring->head, memory_order_seq_cst)) +
	      (uint32_t)push->put.total;
	if (atomic_load_explicit(&wake->hopeless, memory_order_seq_cst))
		r = -EPIPE;
	else if (!atomic_load_explicit(&weir->closing, memory_order_seq_cst) &&
	         (int32_t)((uint32_t)atomic_load_explicit(&ring->tail, memory_order_seq_cst) +
	                   (uint32_t)wr_ring_bytes(ring) - end) < 0)
		r = wr_sys.futex_wait(&wake->release_seq, seq, push->wait_until_ns);
	atomic_fetch_sub_explicit(&wake->waiters, 1, memory_order_seq_cst);
	if (r == -ETIMEDOUT || r == -EPIPE) {
		wr_push_count(&ring->refused_full);
		return r;
	}
	return 0;
}

int wr_push_met_limit(struct wr_push *push, struct wr_ring *ring)
{
	int r = enter(push->weir, &ring->inside);

	if (r)
		return r;
	r = wr_wake_limit(&push->weir->wake, ring, push->put.total, &push->credit);
	leave(&ring->inside);
	return r == -EAGAIN ? wait_for_room(push, ring) : r;
}
