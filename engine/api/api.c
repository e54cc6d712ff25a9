/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.c - the calls of weir.h that are neither beginning nor end; it says there who may call them.
 *
 * It knows handles, requests and deadlines. It does not know how a record finds its place (push.c).
 */
#include "api/engine.h"

#include <errno.h>
#include <limits.h>

#include "base/sys.h"
#include "base/testpoint.h"
#include "ring/rseq.h"
#include "ring/section.h"

/* Everything but the fast path, kept out of its way. */
static __attribute__((noinline)) int push_slowly(struct weir *weir, const void *data, size_t size)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct wr_request request = { weir, &iov, 1, size, NULL, NULL };

	return wr_push(&request);
}

int weir_push(struct weir *weir, const void *data, size_t size)
{
#if WR_HAS_SECTION
	struct wr_seen seen;

	if (WR_LIKELY(size < weir->fast_below)) {
		WR_TSAN_COMMIT(weir->table);
		if (WR_LIKELY(wr_section_push(weir->table, weir->rseq,
		                              &wr_thread.order[weir->order_slot],
		                              wr_header_make((uint32_t)size, 0, WEIR_REC_COMMITTED),
		                              data, &seen) == WR_PUSHED))
			return 0;
	}
#endif
	return push_slowly(weir, data, size);
}

int weir_push_ex(struct weir *weir, const void *data, size_t size,
                 const struct weir_push_options *options)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct wr_request request = { weir, &iov, 1, size, options, NULL };

	return wr_push(&request);
}

int weir_pushv(struct weir *weir, const struct iovec *iov, int count)
{
	struct wr_request request = { weir, iov, count, 0, NULL, NULL };

	if (count < 0 || count > IOV_MAX)
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > weir->record_max - request.size) {
			request.size = UINT64_MAX;
			break;
		}
		request.size += iov[i].iov_len;
	}
	return wr_push(&request);
}

int weir_push_many(struct weir *weir, const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++) {
		int r = weir_push(weir, iov[i].iov_base, iov[i].iov_len);

		if (r)
			return i ? i : r;
	}
	return count < 0 ? -EINVAL : count;
}

int weir_claim(struct weir *weir, size_t size, const struct weir_push_options *options,
               struct weir_claim *ret)
{
	struct wr_request request = { weir, NULL, 0, size, options, ret };

	return wr_push(&request);
}

static int end_claim(struct weir_claim *claim, uint32_t flag)
{
	struct weir *weir = claim->weir;
	struct wr_ring *ring = claim->ring;
	int r;

	if (!weir || !claim->header)
		return -EINVAL;
	if (claim->generation != weir->generation) { /* its engine is gone */
		claim->header = NULL;
		wr_let_go(claim->holder);
		return -EINVAL;
	}
	if (!wr_is_ours(weir))
		return -EPERM;
	WR_TESTPOINT("claim.end");
	/* ORDER none: relaxed. A statistic; booked before the record can be delivered. */
	if (flag == WEIR_REC_COMMITTED)
		atomic_fetch_add_explicit(&ring->claims_committed, 1, memory_order_relaxed);
	r = wr_ring_end_claim(claim->header, flag);
	if (r < 0 && flag == WEIR_REC_COMMITTED) {
		atomic_fetch_sub_explicit(&ring->claims_committed, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&weir->refused_closed, r == -ESHUTDOWN,
		                          memory_order_relaxed);
	}
	claim->header = NULL;
	if (r != -EINVAL)
		wr_let_go(claim->holder);
	if (r == 1)
		wr_flusher_kick(&weir->flusher);
	return r < 0 ? r : 0;
}

int weir_commit(struct weir_claim *claim)
{
	return end_claim(claim, WEIR_REC_COMMITTED);
}

int weir_abort(struct weir_claim *claim)
{
	return end_claim(claim, WEIR_REC_ABORTED);
}

static int check_open(const struct weir *weir)
{
	if (!wr_is_ours(weir))
		return -EPERM;
	/* ORDER engine.closed: acquire. */
	return atomic_load_explicit(&weir->state, memory_order_acquire) == WR_OPEN ? 0 : -ESHUTDOWN;
}

int weir_flush(struct weir *weir)
{
	int r = check_open(weir);

	if (r)
		return r;
	/* ORDER flush.asked: seq_cst. What was pushed before lies below the heads read after it. */
	atomic_store_explicit(&weir->flusher.control.flush, 1, memory_order_seq_cst);
	wr_flusher_kick(&weir->flusher);
	return 0;
}

int weir_run_once(struct weir *weir, uint64_t timeout_ns)
{
	uint64_t until = timeout_ns;
	uint32_t idle = 0;
	int r = check_open(weir);

	if (r)
		return r;
	if (weir->has_thread)
		return -EINVAL;
	if (wr_in_sink())
		return -EDEADLK;
	/* ORDER flush.turn: acquire. One at a time. */
	if (!atomic_compare_exchange_strong_explicit(&weir->flusher.turning, &idle, 1,
	                                             memory_order_acq_rel, memory_order_relaxed))
		return -EBUSY;
	if (timeout_ns && timeout_ns != WEIR_OFF) {
		until = wr_sys.now();
		until = timeout_ns > UINT64_MAX - 1 - until ? UINT64_MAX - 1 : until + timeout_ns;
	}
	r = wr_flusher_turn(&weir->flusher, until);
	/* ORDER flush.turn: release. */
	atomic_store_explicit(&weir->flusher.turning, 0, memory_order_release);
	return r;
}

/* Has ticket @ticket been reached? Tickets wrap. */
static int is_reached(const struct weir *weir, uint32_t ticket)
{
	/* ORDER flush.barrier: acquire. */
	uint32_t done = atomic_load_explicit(&weir->flusher.control.barrier_done,
	                                     memory_order_acquire);

	return (int32_t)(done - ticket) >= 0;
}

int weir_flush_wait(struct weir *weir, uint64_t timeout_ns)
{
	struct wr_control *control = &weir->flusher.control;
	uint32_t ticket, turn;
	uint64_t now, until;
	int r = check_open(weir);

	if (r)
		return r;
	if (wr_in_sink())
		return -EDEADLK;
	now = wr_sys.now();
	until = timeout_ns > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + timeout_ns;
	/* ORDER flush.asked: seq_cst. As in weir_flush(). */
	ticket = atomic_fetch_add_explicit(&control->barrier_asked, 1, memory_order_seq_cst) + 1;
	wr_flusher_kick(&weir->flusher);
	for (;;) {
		/* ORDER flush.barrier: acquire. Before the looks: who comes later changes it. */
		turn = atomic_load_explicit(&control->barrier_turn, memory_order_acquire);
		if (is_reached(weir, ticket))
			break;
		if (atomic_load_explicit(&control->ended, memory_order_acquire))
			return is_reached(weir, ticket) ? 0 : -ESHUTDOWN;
		if (wr_sys.now() >= until)
			return -ETIMEDOUT;
		if (!weir->has_thread && weir_run_once(weir, 0) != -EBUSY) {
			if (is_reached(weir, ticket))
				return 0;
			(void)weir_run_once(weir, 1000000u);
			continue;
		}
		(void)wr_sys.futex_wait(&control->barrier_turn, turn, until);
	}
	return 0;
}

int weir_source(struct weir *weir, const char *name)
{
	int r = check_open(weir);

	return r ? r : wr_sources_intern(&weir->sources, name);
}

const char *weir_source_name(const struct weir *weir, uint16_t id)
{
	return id ? wr_sources_name(&weir->sources, id) : NULL;
}

int weir_poll_fd(const struct weir *weir)
{
	int r = check_open(weir);

	if (r)
		return r;
	return weir->has_thread ? -EINVAL : weir->flusher.poll_fd;
}

int weir_next_deadline(const struct weir *weir, uint64_t *ret_ns)
{
	uint64_t due, time;
	int r = check_open(weir);

	if (r)
		return r;
	/* ORDER wake.words: seq_cst, see flush/wake_words.h. */
	due = atomic_load_explicit(&weir->wake.due, memory_order_seq_cst);
	time = wr_due_time(due);
	*ret_ns = time == WR_DUE_BUSY || time >= WR_DUE_NEVER ? UINT64_MAX : time * 1000;
	return 0;
}

const char *weir_version(void)
{
	return WEIR_VERSION;
}
