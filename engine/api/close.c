/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close.c - the end: refuse, drain, stop, and leave nothing that somebody could still write to.
 *
 *     closing = 1 -> CLOSED in every ring -> membarrier -> waiters woken -> final drain by the
 *     flusher -> at the deadline claims are abandoned, a little later the sink is cancelled
 *     -> flusher ends -> sink closed -> slow paths counted out -> descriptors closed
 *
 * Every wait is bounded by the caller's deadline plus GRACE_NS, or STUCK_NS if a thread is stuck.
 * thread: owner
 */
#include "api/engine.h"

#include <ck_backoff.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "api/life.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "ring/fallback.h"

#define GRACE_NS 50000000u
#define STUCK_NS 1000000000u

/* Closes one ring: a section's next push passes the limit, a reserve finds the bit. */
static void close_ring(struct wr_ring *ring)
{
	/* ORDER wake.words: seq_cst, see flush/wake_words.h. A late exchange of limit fails. */
	uint32_t position =
		wr_head_position(atomic_load_explicit(&ring->head, memory_order_seq_cst));

	(void)atomic_exchange_explicit(&ring->limit,
	                               wr_limit_make(0, 0, WR_STOP_CLOSED, position),
	                               memory_order_seq_cst);
	if (ring->kind == WR_RING_FALLBACK)
		wr_fallback_close(ring);
}

/* Waits until *word is 0, at most until @until_ns. 0 or what it was. */
static uint32_t wait_for_zero(const _Atomic uint32_t *word, uint64_t until_ns)
{
	ck_backoff_t backoff = CK_BACKOFF_INITIALIZER;
	uint32_t value;

	for (;;) {
		_Atomic uint32_t nobody = 0;

		/* ORDER close.inside: seq_cst. See enter() in slow.c. */
		value = atomic_load_explicit(word, memory_order_seq_cst);
		if (!value || wr_sys.now() >= until_ns)
			return value;
		if (backoff < CK_BACKOFF_CEILING / 64)
			ck_backoff_eb(&backoff);
		else /* the thread we wait for may need this CPU */
			(void)wr_sys.futex_wait(&nobody, 0, wr_sys.now() + 1000000u);
	}
}

static void refuse_pushes(struct weir *weir, uint64_t until_ns)
{
	struct wr_rings *rings = &weir->rings;
	uint64_t now;

	/* ORDER close.inside: seq_cst. See enter() in slow.c. */
	atomic_store_explicit(&weir->closing, 1, memory_order_seq_cst);
	/* Rings under construction. A thread that stopped there must not take all the time. */
	now = wr_sys.now();
	(void)wait_for_zero(&weir->inside, until_ns > now + GRACE_NS ? now + GRACE_NS : until_ns);
	for (uint32_t id = 1; id <= wr_rings_last_id(rings); id++) {
		struct wr_ring *ring = wr_rings_by_id(rings, id);

		if (!ring)
			continue;
		close_ring(ring);
		/*
		 * A reserved place whose push was refused in its slow path lies in a ring that
		 * nobody has announced: the last drain looks at all of them.
		 */
		wr_wake_set_bit(&weir->wake, id);
	}
	WR_TESTPOINT("close.rings_closed");
	if (rings->sections)
		(void)wr_sys.membarrier(-1);
	/* ORDER flush.room: seq_cst. Whoever waits looks at closing again. */
	atomic_fetch_add_explicit(&weir->wake.release_seq, 1, memory_order_seq_cst);
	(void)wr_sys.futex_wake(&weir->wake.release_seq, INT_MAX);
}

/* Waits for the futex word @word to become 1. 0 or -ETIMEDOUT. */
static int wait_for_one(_Atomic uint32_t *word, uint64_t until_ns)
{
	/* ORDER flush.barrier: acquire. */
	while (!atomic_load_explicit(word, memory_order_acquire))
		if (wr_sys.futex_wait(word, 0, until_ns) == -ETIMEDOUT)
			return atomic_load_explicit(word, memory_order_acquire) ? 0 : -ETIMEDOUT;
	return 0;
}

static void tell_flusher(struct weir *weir, uint32_t shutdown)
{
	/* ORDER none: relaxed. The kick makes it look. */
	atomic_store_explicit(&weir->flusher.control.shutdown, shutdown, memory_order_relaxed);
	wr_flusher_kick(&weir->flusher);
}

/* With loop=own the closing thread turns the crank itself. */
static int drain_here(struct weir *weir, uint64_t until_ns)
{
	struct wr_flusher *flusher = &weir->flusher;
	int r = 0;

	while (!wr_flusher_is_drained(flusher) && !(flusher->broken && !flusher->inflight)) {
		if (wr_sys.now() >= until_ns) {
			r = -ETIMEDOUT;
			break;
		}
		(void)wr_flusher_turn(flusher, until_ns);
	}
	return r;
}

static int drain_until(struct weir *weir, uint64_t until_ns)
{
	return weir->has_thread ? wait_for_one(&weir->flusher.control.ended, until_ns)
	                        : drain_here(weir, until_ns);
}

/* Drains until the deadline, then gives up. 0: the flusher has ended; else it is stuck. */
static int drain(struct weir *weir, uint64_t until_ns, int *ret_late)
{
	struct wr_flusher *flusher = &weir->flusher;
	struct weir_sink *sink = flusher->sink;

	tell_flusher(weir, 1);
	*ret_late = drain_until(weir, until_ns) != 0;
	if (*ret_late) {
		/* What waits behind claims that nobody ends may still go. */
		tell_flusher(weir, 2);
		if (!weir->has_thread)
			wr_flusher_abandon(flusher);
		if (drain_until(weir, wr_sys.now() + GRACE_NS / 2)) {
			tell_flusher(weir, 3);
			if (sink->ops->cancel)
				sink->ops->cancel(sink);
			if (sink->ops->settle(sink, wr_sys.now() + GRACE_NS / 2))
				tell_flusher(weir, 4);
		}
	}
	if (!weir->has_thread) {
		wr_flusher_end(flusher);
		return 0;
	}
	/* It only needs a CPU, unless it hangs in the sink's submit(). */
	if (wait_for_one(&flusher->control.ended, wr_sys.now() + STUCK_NS))
		return -EBUSY;
	pthread_join(weir->thread, NULL);
	return 0;
}

static uint32_t count_stuck(struct weir *weir, uint64_t until_ns)
{
	struct wr_page *page = weir->rings.page;
	uint32_t stuck = wait_for_zero(&weir->inside, until_ns);

	/* ORDER close.writing: seq_cst. See begin_call() in flush/wake.c. */
	atomic_store_explicit(&page->timer_fd1, 0, memory_order_seq_cst);
	atomic_store_explicit(&page->event_fd1, 0, memory_order_seq_cst);
	stuck += wait_for_zero(&weir->wake.writing, until_ns);
	for (uint32_t id = 1; id <= wr_rings_last_id(&weir->rings); id++) {
		struct wr_ring *ring = wr_rings_by_id(&weir->rings, id);

		if (ring)
			stuck += wait_for_zero(&ring->inside, until_ns);
	}
	return stuck;
}

static void close_descriptors(struct weir *weir, struct weir_close_report *report,
                              int stuck_flusher)
{
	if (stuck_flusher || report->threads_stuck || report->sink_stuck) {
		report->descriptors_kept = 5;
		return;
	}
	wr_flusher_close_fds(&weir->flusher);
}

static int close_engine(struct weir *weir, uint64_t timeout_ns, struct weir_close_report *report)
{
	struct wr_flusher *flusher = &weir->flusher;
	struct weir_sink *sink = flusher->sink;
	uint64_t now = wr_sys.now(), until_ns, wait;
	int late = 0, stuck;

	until_ns = timeout_ns > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + timeout_ns;
	refuse_pushes(weir, until_ns);
	stuck = drain(weir, until_ns, &late);
	if (sink->ops->trouble)
		sink->ops->trouble(sink, &report->trouble);
	report->timed_out = (uint32_t)late;
	report->sink_stuck = stuck || flusher->inflight;
	if (!stuck) {
		report->left_in_rings = flusher->left_in_rings;
		report->left_in_batches = flusher->left_in_batches;
		report->left = report->left_in_rings + report->left_in_batches;
		report->claims_abandoned = flusher->claims_abandoned;
		/* A verdict is taken before the call that gave it has written to its descriptor. */
		wait = flusher->inflight ? 0 : GRACE_NS;
		(void)sink->ops->settle(sink, wr_sys.now() + wait);
		sink->ops->close(sink);
		flusher->sink = NULL;
	}
	now = wr_sys.now();
	/* A thread that was only preempted comes back soon; one that was cancelled never does. */
	wait = until_ns > now ? until_ns - now : 0;
	wait = wait < GRACE_NS ? GRACE_NS : wait;
	report->threads_stuck = count_stuck(weir, now + wait);
	close_descriptors(weir, report, stuck);
	if (flusher->broken && report->left)
		return -EPIPE;
	return late || stuck ? -ETIMEDOUT : 0;
}

static void give_report(const struct weir *weir, struct weir_close_report *report)
{
	size_t size = report ? report->size : 0;

	if (size > sizeof(*report))
		size = sizeof(*report);
	if (size > sizeof(report->size))
		memcpy((char *)report + sizeof(report->size),
		       (const char *)&weir->report + sizeof(report->size),
		       size - sizeof(report->size));
}

/* A forked child: thread and records are the parent's, descriptors and memory are its own. */
static void disown(struct weir *weir)
{
	wr_flusher_close_fds(&weir->flusher);
	wr_rings_disown(&weir->rings);
}

int weir_close(struct weir *weir, uint64_t timeout_ns, struct weir_close_report *report)
{
	uint32_t state = WR_OPEN;

	if (!wr_is_ours(weir)) {
		disown(weir);
		return -EPERM;
	}
	if (wr_in_sink())
		return -EDEADLK;
	/* ORDER engine.closed: acquire. */
	if (!atomic_compare_exchange_strong_explicit(&weir->state, &state, WR_CLOSING,
	                                             memory_order_acq_rel, memory_order_acquire)) {
		while (state == WR_CLOSING) {
			(void)wr_sys.futex_wait(&weir->state, WR_CLOSING, UINT64_MAX);
			state = atomic_load_explicit(&weir->state, memory_order_acquire);
		}
		give_report(weir, report);
		return weir->close_result;
	}
	memset(&weir->report, 0, sizeof(weir->report));
	weir->close_result = close_engine(weir, timeout_ns, &weir->report);
	/* ORDER engine.closed: release. Later callers read the report. */
	atomic_store_explicit(&weir->state, WR_CLOSED, memory_order_release);
	(void)wr_sys.futex_wake(&weir->state, INT_MAX);
	give_report(weir, report);
	return weir->close_result;
}

int weir_free(struct weir *weir)
{
	if (!weir)
		return 0;
	if (wr_in_sink())
		return -EDEADLK;
	if (!wr_is_ours(weir)) {
		disown(weir);
		return 0;
	}
	(void)weir_close(weir, 0, NULL);
	if (weir->report.sink_stuck)
		return 0; /* somebody may still write: the slot and its memory stay */
	/* ORDER none: relaxed. The caller promises that nobody uses the handle. */
	atomic_store_explicit(&weir->rings.page->generation, 0, memory_order_relaxed);
	wr_engine_forget(weir);
	return 0;
}
