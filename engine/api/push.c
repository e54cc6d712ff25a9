/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.c - the way of a record into a ring. The fast path is one restartable section; whatever it
 * cannot do, the loop below does: arm before commit, mark before migrate, wait only where allowed.
 * thread: producer
 */
#include "api/engine.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>

#include "base/sys.h"
#include "base/testpoint.h"
#include "ring/fallback.h"
#include "ring/rseq.h"
#include "ring/section.h"

#define ABORTS_MAX 64u
#define STAY_ON_FALLBACK 256u
#define PIECES_INLINE 7

struct extension {
	uint8_t bytes[16 + 8 + 8 + WEIR_MARK_BYTES];
	uint32_t length;
};

/* One push on its way. */
struct push {
	const struct wr_request *request;
	struct weir *weir;
	_Atomic uint64_t *order;
	struct wr_put put;
	struct iovec iov[PIECES_INLINE + 1];
	struct extension extension;
	struct wr_credit credit;
	struct wr_migration migration;
	struct wr_mark mark;
	struct wr_ring *mark_ring; /* the ring the mark was made for, NULL: no mark */
	int mark_names;            /* rings that it names; 0: the record goes without */
	struct wr_seen seen;
	uint64_t max_age_us;
	uint64_t wait_until_ns;
	uint32_t reserve; /* 1: a claim, or too large to be copied inside a section */
	uint32_t waited_for; /* the flusher waits for this very record */
};

static void put_bytes(struct extension *extension, const void *data, size_t bytes)
{
	memcpy(extension->bytes + extension->length, data, bytes);
	extension->length += (uint32_t)bytes;
}

/* Header, extension and pieces, with the mark if there is one. */
static void build(struct push *push)
{
	const struct weir_push_options *options = push->request->options;
	struct extension *extension = &push->extension;
	uint32_t flags = push->reserve ? WEIR_REC_RESERVED : WEIR_REC_COMMITTED;
	uint16_t source = 0;
	uint64_t n = 0;

	extension->length = 0;
	if (options) {
		source = options->source;
		flags |= options->flags & WEIR_REC_SETTABLE;
		if (options->uuid) {
			flags |= WEIR_REC_UUID;
			put_bytes(extension, options->uuid, 16);
		}
		if (options->origin_ns) {
			flags |= WEIR_REC_ORIGIN;
			put_bytes(extension, &options->origin_ns, 8);
		}
		if (options->max_age_ns) {
			flags |= WEIR_REC_MAX_AGE;
			put_bytes(extension, &options->max_age_ns, 8);
		}
	}
	push->put.side = push->reserve;
	push->put.ring = push->mark_ring;
	if (push->mark_ring)
		push->put.order = push->migration.word;
	if (push->mark_ring && push->mark_names && !WR_TEST_OFF(WR_TEST_NO_MARKS)) {
		flags |= WEIR_REC_MARK;
		put_bytes(extension, &push->mark, sizeof(push->mark));
		push->put.side = 1;
	}
	if (extension->length)
		push->iov[n++] = (struct iovec){ extension->bytes, extension->length };
	for (int i = 0; !push->reserve && i < push->request->count; i++)
		push->iov[n++] = push->request->iov[i];
	push->put.iov = push->iov;
	push->put.iov_count = n;
	push->put.header = wr_header_make((uint32_t)push->request->size, source, flags);
	push->put.total = wr_header_total(push->put.header);
}

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

static void count_one(_Atomic uint64_t *counter)
{
	/* ORDER none: relaxed. A statistic. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static int make_ring(struct push *push, enum wr_ring_kind kind, uint32_t cpu,
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

/* This thread comes from another ring: the record must say so. */
static int begin_mark(struct push *push, struct wr_ring *ring)
{
	int r;

	if (push->mark_ring) {
		wr_mark_undo(push->order, &push->migration);
		push->mark_ring = NULL;
	}
	r = wr_mark_begin(&push->weir->rings, push->order, ring, &push->mark, &push->migration);
	if (r < 0) {
		count_one(&ring->refused_context);
		return r;
	}
	push->mark_ring = ring;
	push->mark_names = r;
	build(push);
	return 0;
}

static int met_alarm(struct push *push, struct wr_ring *ring)
{
	uint64_t epoch;
	int r = enter(push->weir, &ring->inside);

	if (r)
		return r;
	r = wr_wake_slow(&push->weir->wake, &push->seen, push->max_age_us, &push->credit, &epoch);
	if (r == 0 && push->max_age_us)
		push->put.epoch = epoch;
	leave(&ring->inside);
	return 0;
}

/* Waits for room, if this push may: 0: try again. Never while counted in. */
static int wait_for_room(struct push *push, struct wr_ring *ring)
{
	const struct weir_push_options *options = push->request->options;
	struct weir *weir = push->weir;
	struct wr_wake *wake = &weir->wake;
	uint32_t wait = options ? options->wait : 0, seq, end;
	uint64_t bound = weir->block_max_ns;
	int r = 0;

	if (wait == WEIR_PUSH_NO_WAIT || (!wait && weir->full != WEIR_FULL_BLOCK)) {
		count_one(&ring->refused_full);
		return -EAGAIN;
	}
	if (wr_thread.slow_depth > 1) { /* a signal handler interrupted a push */
		count_one(&ring->refused_context);
		return -EAGAIN;
	}
	if (wr_in_sink() || wr_thread.claims) {
		count_one(&ring->refused_context);
		return -EDEADLK;
	}
	if (options && options->wait == WEIR_PUSH_WAIT && options->wait_ns)
		bound = options->wait_ns;
	if (!push->wait_until_ns) {
		uint64_t now = wr_sys.now();

		push->wait_until_ns = bound > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + bound;
		count_one(&ring->waits);
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
		count_one(&ring->refused_full);
		return r;
	}
	return 0;
}

static int met_limit(struct push *push, struct wr_ring *ring)
{
	int r = enter(push->weir, &ring->inside);

	if (r)
		return r;
	r = wr_wake_limit(&push->weir->wake, ring, push->put.total, &push->credit);
	leave(&ring->inside);
	return r == -EAGAIN ? wait_for_room(push, ring) : r;
}

/* Which fallback ring: asking for the CPU costs more than a push, so not every time. */
static uint32_t fallback_cpu(void)
{
	if (!wr_thread.cpu_left) {
		int cpu = sched_getcpu();

		wr_thread.cpu = cpu < 0 ? 0 : (uint32_t)cpu;
		wr_thread.cpu_left = STAY_ON_FALLBACK;
	}
	wr_thread.cpu_left--;
	return wr_thread.cpu % WR_FALLBACK_CPUS;
}

/* The record is reserved: makes sure that a timer covers it before anybody can see it. */
static int cover_reserved(struct push *push, struct wr_ring *ring)
{
	uint32_t n = wr_head_count(push->seen.head) + 1;

	while ((int32_t)(n - wr_alarm_trip(push->seen.alarm)) >= 0 ||
	       (push->max_age_us && push->put.epoch != wr_alarm_epoch(push->seen.alarm))) {
		int r = met_alarm(push, ring);

		/* Reserved is reserved: after close has begun the flusher waits for it no longer. */
		if (r)
			return r;
		/* ORDER fallback.sleep: seq_cst. See wr_fallback_reserve(). */
		push->seen.alarm = atomic_load_explicit(&ring->alarm, memory_order_seq_cst);
	}
	return 0;
}

static void wake_for(struct push *push)
{
	if (push->waited_for)
		wr_flusher_kick(&push->weir->flusher);
}

/* Gives the reserved place up: a record that never was. */
static void abort_reserved(struct push *push, struct wr_ring *ring)
{
	/* As long, but without an extension: nothing was written there. */
	uint64_t header = wr_header_make((uint32_t)(push->put.total -
	                                            sizeof(struct weir_record_header)),
	                                 0, WEIR_REC_ABORTED);

	count_one(&ring->claims_begun);
	push->waited_for |= (uint32_t)wr_fallback_commit(&push->seen, header);
	wake_for(push);
	push->waited_for = 0;
}

/* One attempt on a fallback ring. 0: pushed, 1: again, or -errno. */
static int try_fallback(struct push *push)
{
	struct weir *weir = push->weir;
	uint32_t cpu = fallback_cpu();
	struct wr_ring *ring;
	uint64_t word;
	int r;

	/* ORDER rings.made: acquire. */
	ring = atomic_load_explicit(&weir->rings.page->fallback[cpu], memory_order_acquire);
	if (!ring) {
		r = make_ring(push, WR_RING_FALLBACK, cpu, &ring);
		if (r)
			return r;
	}
	/* ORDER none: relaxed. The thread's own. */
	word = atomic_load_explicit(push->order, memory_order_relaxed);
	if (push->mark_ring ? push->mark_ring != ring || word != push->migration.word
	                    : word >> 16 != ring->order_id) {
		r = begin_mark(push, ring);
		if (r)
			return r;
		word = push->migration.word;
	}
	switch (wr_fallback_reserve(ring, &push->put, &push->seen)) {
	case WR_PUSHED:
		break;
	case WR_EXIT_LIMIT:
		r = met_limit(push, ring);
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
		count_one(&ring->claims_begun);
	push->waited_for |= (uint32_t)wr_fallback_commit(&push->seen, push->put.header);
	return 0;
}

/* One attempt in a section. 0: pushed, 1: again, or -errno. */
static int try_section(struct push *push, uint32_t *aborts)
{
#if WR_HAS_SECTION
	struct weir *weir = push->weir;
	int r = 0, cpu;

	WR_TSAN_COMMIT(weir->rings.page);
	switch ((enum wr_exit)wr_section_put(weir->table, wr_rseq_offset, push->order, &push->put,
	                                     &push->seen)) {
	case WR_PUSHED:
		if (push->reserve) {
			/* The section has read the limit; see flush.release in flush/release.c. */
			WR_TSAN_READ(&push->seen.ring->tail);
			count_one(&push->seen.ring->claims_begun);
		}
		return 0;
	case WR_EXIT_ABORTED:
		cpu = wr_rseq_thread_cpu();
		if (++*aborts >= ABORTS_MAX || cpu < 0)
			wr_thread.stay = STAY_ON_FALLBACK;
		return 1;
	case WR_EXIT_NO_RING:
		cpu = wr_rseq_thread_cpu();
		if (cpu >= 0)
			r = make_ring(push, WR_RING_RSEQ, (uint32_t)cpu, &push->seen.ring);
		if (cpu < 0 || r == -EMFILE) {
			wr_thread.stay = STAY_ON_FALLBACK;
			r = 0;
		}
		break;
	case WR_EXIT_ALARM:
		r = met_alarm(push, push->seen.ring);
		break;
	case WR_EXIT_LIMIT:
		r = met_limit(push, push->seen.ring);
		break;
	default:
		r = begin_mark(push, push->seen.ring);
		break;
	}
	return r ? r : 1;
#else
	(void)aborts;
	wr_thread.stay = STAY_ON_FALLBACK;
	(void)push;
	return 1;
#endif
}

/* Until the record is in a ring, or cannot be. */
static int push_loop(struct push *push)
{
	uint32_t aborts = 0;
	int r;

	do {
		if (push->weir->no_rseq || wr_thread.stay) {
			r = try_fallback(push);
			if (r == 0 && wr_thread.stay && !push->weir->no_rseq) {
				wr_thread.stay--;
				count_one(&push->seen.ring->aborts_capped);
			}
		} else {
			r = try_section(push, &aborts);
		}
	} while (r == 1);
	if (push->mark_ring) {
		if (r == 0) {
			wr_mark_done(push->order, push->mark_ring, &push->migration);
			if (push->mark_names)
				count_one(&push->mark_ring->migrations);
		} else {
			wr_mark_undo(push->order, &push->migration);
		}
	}
	if (r == -ESHUTDOWN)
		count_one(&push->weir->refused_closed);
	if (r == -ENOMEM || r == -EMFILE)
		count_one(&push->weir->refused_context);
	return r;
}

/* Copies a large record into the place that it has claimed, and commits it. */
static int fill(struct push *push)
{
	const struct wr_request *request = push->request;
	struct wr_ring *ring = push->seen.ring;
	uint32_t position = wr_head_position(push->seen.head);
	_Atomic uint64_t *header = wr_ring_header(ring, position);
	uint8_t *to = wr_ring_at(ring, position);
	int r;

	to += sizeof(struct weir_record_header) + push->extension.length;
	if (request->claim) {
		*request->claim = (struct weir_claim){
			.data = to,
			.size = request->size,
			.weir = push->weir,
			.header = (void *)header,
			.ring = ring,
			.generation = push->weir->generation,
		};
		wr_thread.claims++;
		return 0;
	}
	for (int i = 0; i < request->count; i++) {
		if (request->iov[i].iov_len)
			memcpy(to, request->iov[i].iov_base, request->iov[i].iov_len);
		to += request->iov[i].iov_len;
	}
	WR_TESTPOINT("push.filled");
	/* ORDER none: relaxed. A statistic; booked before the record can be delivered. */
	atomic_fetch_add_explicit(&ring->claims_committed, 1, memory_order_relaxed);
	r = wr_ring_end_claim(header, WEIR_REC_COMMITTED);
	if (r < 0) { /* close has given it up */
		atomic_fetch_sub_explicit(&ring->claims_committed, 1, memory_order_relaxed);
		count_one(&push->weir->refused_closed);
		return r;
	}
	push->waited_for |= (uint32_t)r;
	return 0;
}

int wr_push(const struct wr_request *request)
{
	struct weir *weir = request->weir;
	const struct weir_push_options *options = request->options;
	struct push push;
	int r;

	if (options && (options->flags & ~WEIR_REC_SETTABLE || options->wait > WEIR_PUSH_NO_WAIT))
		return -EINVAL;
	if (request->size > weir->record_max) {
		if (!wr_is_ours(weir))
			return -EPERM;
		count_one(&weir->refused_too_big);
		return -EMSGSIZE;
	}
	push.request = request;
	push.weir = weir;
	push.order = &wr_thread.order[weir->order_slot];
	push.credit = (struct wr_credit){ 0 };
	push.mark_ring = NULL;
	push.wait_until_ns = 0;
	push.waited_for = 0;
	push.reserve = request->claim || request->size > weir->inline_max ||
	               request->count > PIECES_INLINE;
	push.max_age_us = options ? (options->max_age_ns + 999) / 1000 : 0;
	push.put.epoch = push.max_age_us ? WR_ANY_EPOCH - 1 : WR_ANY_EPOCH;
	push.put.order = 0;
	build(&push);
	wr_thread.slow_depth++;
	r = push_loop(&push);
	wr_thread.slow_depth--;
	if (r == 0 && push.reserve)
		r = fill(&push);
	wr_wake_after(&weir->wake, &push.credit);
	wake_for(&push);
	return r;
}
