/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/engine.h - an engine: rings, wake words, a flusher and a sink under one handle.
 *
 * Handles come from a static pool and are never unmapped: a thread may be preempted anywhere on its
 * way into a slow path, and must find the generation there when it wakes.
 */
#ifndef WR_API_ENGINE_H
#define WR_API_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <weir/weir.h>

#include "api/sources.h"
#include "base/thread.h"
#include "flush/flusher.h"
#include "ring/thread.h"

enum wr_state { WR_FREE = 0, WR_OPENING, WR_OPEN, WR_CLOSING, WR_CLOSED };

struct weir {
	/* Read by every push, written by open. */
	WR_LINE_ALIGNED struct wr_ring *_Atomic const *table; /* rings.page->rseq */
	long rseq;                                             /* wr_rseq_offset */
	uint64_t fast_below; /* sizes that a section takes: inline_max + 1, or 0 without rseq */
	uint64_t inline_max;
	uint32_t order_slot;
	uint32_t no_rseq; /* 1: every push goes to the fallback rings */
	uint64_t record_max;
	uint32_t generation;
	uint32_t full;
	uint64_t block_max_ns;

	/* Written by slow paths and control calls. */
	WR_LINE_ALIGNED _Atomic uint32_t state; /* enum wr_state; futex of weir_close() */
	_Atomic uint32_t closing;               /* 1: no new record is accepted */
	_Atomic uint32_t inside;                /* slow paths that have no ring yet */
	_Atomic uint64_t refused_too_big;
	_Atomic uint64_t refused_closed;
	_Atomic uint64_t refused_context;

	struct wr_rings rings;
	struct wr_wake wake;
	struct wr_flusher flusher;
	struct wr_sources sources;
	struct weir_config config;
	pthread_t thread;
	uint32_t has_thread;
	pthread_mutex_t control; /* of audits and of turns without a thread */
	struct weir_close_report report;
	int close_result;
};

/* A push with everything it may carry. push.c */
struct wr_request {
	struct weir *weir;
	const struct iovec *iov;
	int count;
	uint64_t size;
	const struct weir_push_options *options; /* or NULL */
	struct weir_claim *claim;                /* to be filled in, or NULL */
};
int wr_push(const struct wr_request *request);

/* 1: this thread runs a sink's code, on the flusher or a thread of the sink's own. thread: any */
static inline int wr_in_sink(void)
{
	return wr_thread.sink_depth || wr_thread_hosted;
}

/* 1: the engine's memory is this process's; 0: a forked child. thread: any */
static inline int wr_is_ours(const struct weir *weir)
{
	/* ORDER none: relaxed. Wiped by the kernel at fork. */
	return atomic_load_explicit(&weir->rings.page->generation, memory_order_relaxed) ==
	       weir->generation;
}

/* Where the words of engines opened from now on begin. Tests only; zero is the rule. */
struct wr_test_start {
	uint32_t count, position, epoch;
	uint64_t seq, total;
};
extern struct wr_test_start wr_test_start;

#endif
