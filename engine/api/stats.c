/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.c - what an engine tells about itself: counters, the identity, what is in use. thread: any
 */
#include "api/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/sys.h"
#include "ring/rseq.h"

#define AUDIT_WAIT_NS 10000000000u

/* Every public struct that grows begins with its size: copies as much as the caller knows of. */
static int give(void *ret, const void *full, size_t full_size)
{
	size_t size = *(const size_t *)ret;

	if (size < sizeof(size_t))
		return -EINVAL;
	size = size < full_size ? size : full_size;
	memcpy((char *)ret + sizeof(size_t), (const char *)full + sizeof(size_t),
	       size - sizeof(size_t));
	return 0;
}

/* ORDER none: relaxed. Statistics. */
static uint64_t peek(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Sums up what the rings count. Returns the places that are in no batch. */
static uint64_t read_rings(const struct weir *weir, struct weir_stats *stats)
{
	uint64_t untaken = 0, open = 0;

	for (uint32_t id = 1; id <= wr_rings_last_id(&weir->rings); id++) {
		const struct wr_ring *ring = wr_rings_by_id(&weir->rings, id);

		if (!ring)
			continue;
		stats->rings++;
		stats->rings_fallback += ring->kind == WR_RING_FALLBACK;
		stats->refused_full += peek(&ring->refused_full);
		stats->refused_context += peek(&ring->refused_context);
		stats->waits += peek(&ring->waits);
		stats->migrations += peek(&ring->migrations);
		stats->aborts_capped += peek(&ring->aborts_capped);
		open += wr_ring_claims(ring);
		untaken += wr_head_count(peek(&ring->head)) - (uint32_t)peek(&ring->cut_count);
	}
	/* Of what is not taken, claims that are open or were given up are no records. */
	open -= wr_counted(&weir->flusher.counters, WR_ABORTED_TAKEN);
	return untaken > open ? untaken - open : 0;
}

static void read_flusher(const struct weir *weir, struct weir_stats *stats)
{
	const struct wr_counters *counters = &weir->flusher.counters;
	uint64_t claims, lost = wr_flusher_lost(&weir->flusher, &claims);
	/* ORDER none: relaxed. Set for good, before the flusher ended and lost anything. */
	uint32_t hopeless = atomic_load_explicit(&weir->wake.hopeless, memory_order_relaxed);

	stats->delivered = wr_counted(counters, WR_DELIVERED);
	stats->dropped_rejected = wr_counted(counters, WR_DROPPED_REJECTED);
	stats->dropped_timeout = wr_counted(counters, WR_DROPPED_TIMEOUT);
	stats->dropped_too_large = wr_counted(counters, WR_DROPPED_TOO_LARGE);
	stats->dropped_fatal = wr_counted(counters, WR_DROPPED_FATAL);
	stats->dropped_shutdown = wr_counted(counters, WR_DROPPED_SHUTDOWN);
	*(hopeless ? &stats->dropped_fatal : &stats->dropped_shutdown) += lost;
	stats->dead_lettered = wr_counted(counters, WR_DEAD_LETTERED);
	stats->redelivered = wr_counted(counters, WR_REDELIVERED);
	stats->batches = wr_counted(counters, WR_BATCHES);
	stats->batches_done = wr_counted(counters, WR_BATCHES_DONE);
	stats->attempts = wr_counted(counters, WR_ATTEMPTS);
	stats->inflight = wr_counted(counters, WR_INFLIGHT);
	stats->retries = wr_counted(counters, WR_RETRIES);
	stats->splits = wr_counted(counters, WR_SPLITS);
	stats->overruns = wr_counted(counters, WR_OVERRUNS);
	stats->overruns_sink = wr_counted(counters, WR_OVERRUNS_SINK);
	stats->overruns_scheduler = wr_counted(counters, WR_OVERRUNS_SCHEDULER);
	stats->lateness_max_ns = wr_counted(counters, WR_LATENESS_MAX);
	stats->wakeups_trigger = wr_counted(counters, WR_WAKEUPS_TRIGGER);
	stats->wakeups_completion = wr_counted(counters, WR_WAKEUPS_COMPLETION);
	stats->wakeups_sink = wr_counted(counters, WR_WAKEUPS_SINK);
	stats->wakeups_control = wr_counted(counters, WR_WAKEUPS_CONTROL);
	stats->membarriers = wr_counted(counters, WR_MEMBARRIERS);
	stats->walks = wr_counted(counters, WR_WALKS);
	stats->claims_stalled = wr_counted(counters, WR_CLAIMS_STALLED);
	for (unsigned cause = 0; cause < WEIR_CAUSES; cause++) {
		stats->flushes[cause] = wr_counted(counters, WR_FLUSHES + cause);
		stats->shadow[cause] = wr_counted(counters, WR_SHADOW + cause);
	}
}

int weir_stats(const struct weir *weir, struct weir_stats *ret)
{
	struct weir_stats stats;
	uint64_t oldest, now;

	if (!wr_is_ours(weir))
		return -EPERM;
	memset(&stats, 0, sizeof(stats));
	stats.refused_too_big = peek(&weir->refused_too_big);
	stats.refused_closed = peek(&weir->refused_closed);
	stats.refused_context = peek(&weir->refused_context);
	read_flusher(weir, &stats);
	stats.pending = read_rings(weir, &stats) +
	                wr_counted(&weir->flusher.counters, WR_TAKEN);
	stats.accepted = wr_flusher_accepted(&weir->flusher, &stats.accepted_bytes);
	stats.timer_arms = peek(&weir->wake.timer_arms);
	stats.eventfd_writes = peek(&weir->wake.eventfd_writes);
	oldest = wr_counted(&weir->flusher.counters, WR_OLDEST_NS);
	if (!oldest)
		oldest = peek(&weir->wake.first_us) * 1000;
	now = wr_sys.now();
	stats.oldest_age_ns = stats.pending && oldest && now > oldest ? now - oldest : 0;
	return give(ret, &stats, sizeof(stats));
}

/* Asks the flusher's thread. 0, -ETIMEDOUT, or -ESHUTDOWN when it has ended. */
static int audit_by_thread(struct weir *weir, struct weir_audit *ret)
{
	struct wr_control *control = &weir->flusher.control;
	uint64_t until = wr_sys.now() + AUDIT_WAIT_NS;
	uint32_t asked = 1;

	/* ORDER flush.audit: seq_cst. The kick makes the flusher look. */
	atomic_store_explicit(&control->audit, 1, memory_order_seq_cst);
	wr_flusher_kick(&weir->flusher);
	/* ORDER flush.audit: seq_cst, an acquire. What the flusher wrote is read below. */
	while (atomic_load_explicit(&control->audit, memory_order_seq_cst) == 1) {
		if (atomic_load_explicit(&control->ended, memory_order_seq_cst))
			break;
		if (wr_sys.futex_wait(&control->audit, 1, until) == -ETIMEDOUT)
			break;
	}
	/* ORDER flush.audit: acquire. 2: answered. 1: withdrawn here. 0: withdrawn by the end. */
	if (!atomic_compare_exchange_strong_explicit(&control->audit, &asked, 0,
	                                             memory_order_acq_rel, memory_order_acquire) &&
	    asked == 2) {
		*ret = weir->flusher.audit;
		return 0;
	}
	return atomic_load_explicit(&control->ended, memory_order_acquire) ? -ESHUTDOWN
	                                                                   : -ETIMEDOUT;
}

/* The caller is the flusher, or there is none any more. */
static int audit_here(struct weir *weir, struct weir_audit *ret)
{
	uint32_t idle = 0;

	/* ORDER flush.turn: acquire. One at a time. */
	if (!atomic_compare_exchange_strong_explicit(&weir->flusher.turning, &idle, 1,
	                                             memory_order_acq_rel, memory_order_relaxed))
		return -EBUSY;
	wr_flusher_audit(&weir->flusher, ret);
	/* ORDER flush.turn: release. */
	atomic_store_explicit(&weir->flusher.turning, 0, memory_order_release);
	return 0;
}

int weir_audit(struct weir *weir, struct weir_audit *ret)
{
	struct weir_audit audit;
	uint64_t until;
	int r = -ESHUTDOWN;

	if (!wr_is_ours(weir))
		return -EPERM;
	if (wr_in_sink())
		return -EDEADLK;
	memset(&audit, 0, sizeof(audit));
	pthread_mutex_lock(&weir->control);
	until = wr_sys.now() + AUDIT_WAIT_NS;
	/* ORDER flush.barrier: acquire. After the end the counters stand still. */
	if (weir->has_thread &&
	    !atomic_load_explicit(&weir->flusher.control.ended, memory_order_acquire))
		r = audit_by_thread(weir, &audit);
	while (r == -ESHUTDOWN || r == -EBUSY) {
		r = audit_here(weir, &audit);
		if (r == -EBUSY && wr_sys.now() >= until)
			r = -ETIMEDOUT;
	}
	pthread_mutex_unlock(&weir->control);
	return r ? r : give(ret, &audit, sizeof(audit));
}

int weir_features(const struct weir *weir, struct weir_features *ret)
{
	struct weir_features features;
	enum wr_rseq_state state = wr_rseq_detect();

	if (weir && !wr_is_ours(weir))
		return -EPERM;
	memset(&features, 0, sizeof(features));
	features.rseq = weir ? !weir->no_rseq : state == WR_RSEQ_YES;
	features.membarrier = features.rseq; /* there are no sections without it */
	features.mirror = 1;
	features.hugepage = weir ? weir->rings.hugepage : 0;
	features.crc_hardware = (uint32_t)wr_crc32c_hardware();
	features.jemalloc = (uint32_t)wr_mem_is_jemalloc();
	features.cpus_possible = wr_cpus_possible();
	features.cpus_usable = wr_cpus_usable();
	features.ring_bytes = weir ? weir->rings.ring_bytes : 0;
	if (!features.rseq)
		snprintf(features.why_no_rseq, sizeof(features.why_no_rseq), "%s",
		         wr_rseq_why(state));
	return give(ret, &features, sizeof(features));
}
