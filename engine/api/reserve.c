/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reserve.c - a push into a fallback ring: reserve, cover by a timer, copy, commit; or give the
 * place up.
 *
 * It knows what a reserved place demands: nobody sees the record before a timer covers it. It does
 * not know why the section was not taken. thread: producer
 */
#include "api/push.h"

#include <errno.h>
#include <sched.h>

#include "ring/fallback.h"

/* Which fallback ring: asking for the CPU costs more than a push, so not every time. */
static uint32_t fallback_cpu(void)
{
	if (!wr_thread.cpu_left) {
		int cpu = sched_getcpu();

		wr_thread.cpu = cpu < 0 ? 0 : (uint32_t)cpu;
		wr_thread.cpu_left = WR_STAY_ON_FALLBACK;
	}
	wr_thread.cpu_left--;
	return wr_thread.cpu % WR_FALLBACK_CPUS;
}

/* The record is reserved: makes sure that a timer covers it before anybody can see it. */
static int cover_reserved(struct wr_push *push, struct wr_ring *ring)
{
	uint32_t n = wr_head_count(push->seen.head) + 1;

	while ((int32_t)(n - wr_alarm_trip(push->seen.alarm)) >= 0 ||
	       (push->max_age_us && push->put.epoch != wr_alarm_epoch(push->seen.alarm))) {
		int r = wr_push_met_alarm(push, ring);

		/* Reserved is reserved: once close has begun the flusher waits for it no longer. */
		if (r)
			return r;
		/* ORDER fallback.sleep: seq_cst. See wr_fallback_reserve(). */
		push->seen.alarm = atomic_load_explicit(&ring->alarm, memory_order_seq_cst);
	}
	return 0;
}

/* Gives the reserved place up: a record that never was. */
static void abort_reserved(struct wr_push *push, struct wr_ring *ring)
{
	/* As long, but without an extension: nothing was written there. */
	uint64_t header = wr_header_make((uint32_t)(push->put.total -
	                                            sizeof(struct weir_record_header)),
	                                 0, WEIR_REC_ABORTED);

	wr_push_count(&ring->claims_begun);
	push->waited_for |= (uint32_t)wr_fallback_commit(&push->seen, header);
	wr_push_wake_for(push);
	push->waited_for = 0;
}

int wr_push_try_fallback(struct wr_push *push)
{
	struct weir *weir = push->weir;
	uint32_t cpu = fallback_cpu();
	struct wr_ring *ring;
	uint64_t word;
	int r;

	/* ORDER rings.made: acquire. */
	ring = atomic_load_explicit(&weir->rings.page->fallback[cpu], memory_order_acquire);
	if (!ring) {
		r = wr_push_make_ring(push, WR_RING_FALLBACK, cpu, &ring);
		if (r)
			return r;
	}
	/* ORDER none: relaxed. The thread's own. */
	word = atomic_load_explicit(push->order, memory_order_relaxed);
	if (push->mark_ring ? push->mark_ring != ring || word != push->migration.word
	                    : word >> 16 != ring->order_id) {
		r = wr_push_begin_mark(push, ring);
		if (r)
			return r;
		word = push->migration.word;
	}
	switch (wr_fallback_reserve(ring, &push->put, &push->seen)) {
	case WR_PUSHED:
		break;
	case WR_EXIT_LIMIT:
		r = wr_push_met_limit(push, ring);
		return r ? r : 1;
	default:
		return wr_is_ours(weir) ? -ESHUTDOWN : -EPERM;
	}
	/* A handler pushed meanwhile, before or behind the reserved place: nobody knows. */
	if (atomic_load_explicit(push->order, memory_order_relaxed) != word) {
		abort_reserved(push, ring);
		return 1;
	}
	r = cover_reserved(push, ring);
	if (r) {
		if (r != -EPERM)
			abort_reserved(push, ring);
		return r;
	}
	if (!wr_is_ours(weir)) /* a handler has forked, and this is the child */
		return -EPERM;
	wr_fallback_copy(&push->put, &push->seen);
	if (push->reserve)
		wr_push_count(&ring->claims_begun);
	push->waited_for |= (uint32_t)wr_fallback_commit(&push->seen, push->put.header);
	return 0;
}
