/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.c - the way of a record into a ring. The fast path is one restartable section (weir_push());
 * whatever it cannot do, the loop below does: arm before commit, mark before migrate.
 *
 * It knows requests, sections and marks. It does not know what stops an attempt (slow.c) or how a
 * fallback ring is written (reserve.c). thread: producer
 */
#include "api/push.h"

#include <errno.h>
#include <string.h>

#include "base/testpoint.h"
#include "ring/rseq.h"
#include "ring/section.h"

#define ABORTS_MAX 64u

static void put_bytes(struct wr_extension *extension, const void *data, size_t bytes)
{
	memcpy(extension->bytes + extension->length, data, bytes);
	extension->length += (uint32_t)bytes;
}

/* Header, extension and pieces, with the mark if there is one. */
static void build(struct wr_push *push)
{
	const struct weir_push_options *options = push->request->options;
	struct wr_extension *extension = &push->extension;
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

int wr_push_begin_mark(struct wr_push *push, struct wr_ring *ring)
{
	int r;

	if (push->mark_ring) {
		wr_mark_undo(push->order, &push->migration);
		push->mark_ring = NULL;
	}
	r = wr_mark_begin(&push->weir->rings, push->order, ring, &push->mark, &push->migration);
	if (r < 0) {
		wr_push_count(&ring->refused_context);
		return r;
	}
	push->mark_ring = ring;
	push->mark_names = r;
	build(push);
	return 0;
}

/* One attempt in a section. 0: pushed, 1: again, or -errno. */
static int try_section(struct wr_push *push, uint32_t *aborts)
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
			wr_push_count(&push->seen.ring->claims_begun);
		}
		return 0;
	case WR_EXIT_ABORTED:
		cpu = wr_rseq_thread_cpu();
		if (++*aborts >= ABORTS_MAX || cpu < 0)
			wr_thread.stay = WR_STAY_ON_FALLBACK;
		return 1;
	case WR_EXIT_NO_RING:
		cpu = wr_rseq_thread_cpu();
		if (cpu >= 0)
			r = wr_push_make_ring(push, WR_RING_RSEQ, (uint32_t)cpu, &push->seen.ring);
		if (cpu < 0 || r == -EMFILE) {
			wr_thread.stay = WR_STAY_ON_FALLBACK;
			r = 0;
		}
		break;
	case WR_EXIT_ALARM:
		r = wr_push_met_alarm(push, push->seen.ring);
		break;
	case WR_EXIT_LIMIT:
		r = wr_push_met_limit(push, push->seen.ring);
		break;
	default:
		r = wr_push_begin_mark(push, push->seen.ring);
		break;
	}
	return r ? r : 1;
#else
	(void)aborts;
	wr_thread.stay = WR_STAY_ON_FALLBACK;
	(void)push;
	return 1;
#endif
}

/* Until the record is in a ring, or cannot be. */
static int push_loop(struct wr_push *push)
{
	uint32_t aborts = 0;
	int r;

	do {
		if (push->weir->no_rseq || wr_thread.stay) {
			r = wr_push_try_fallback(push);
			if (r == 0 && wr_thread.stay && !push->weir->no_rseq) {
				wr_thread.stay--;
				wr_push_count(&push->seen.ring->aborts_capped);
			}
		} else {
			r = try_section(push, &aborts);
		}
	} while (r == 1);
	if (push->mark_ring) {
		if (r == 0) {
			wr_mark_done(push->order, push->mark_ring, &push->migration);
			if (push->mark_names)
				wr_push_count(&push->mark_ring->migrations);
		} else {
			wr_mark_undo(push->order, &push->migration);
		}
	}
	if (r == -ESHUTDOWN)
		wr_push_count(&push->weir->refused_closed);
	if (r == -ENOMEM || r == -EMFILE)
		wr_push_count(&push->weir->refused_context);
	return r;
}

/* Copies a large record into the place that it has claimed, and commits it. */
static int fill(struct wr_push *push)
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
			.holder = wr_hold(),
		};
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
		wr_push_count(&push->weir->refused_closed);
		return r;
	}
	push->waited_for |= (uint32_t)r;
	return 0;
}

int wr_push(const struct wr_request *request)
{
	struct weir *weir = request->weir;
	const struct weir_push_options *options = request->options;
	struct wr_push push;
	int r;

	if (options && (options->flags & ~WEIR_REC_SETTABLE || options->wait > WEIR_PUSH_NO_WAIT))
		return -EINVAL;
	if (request->size > weir->record_max) {
		if (!wr_is_ours(weir))
			return -EPERM;
		wr_push_count(&weir->refused_too_big);
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
	               request->count > WR_PIECES_INLINE;
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
	wr_push_wake_for(&push);
	return r;
}
