/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/stats.h - counters, and the identity that they keep.
 *
 *     attempted = accepted + refused_full + refused_too_big + refused_closed + refused_context
 *     accepted  = delivered + dropped_* + dead_lettered + pending
 *
 * All counters are 64-bit and monotone; a reader subtracts two snapshots. One exception: a push
 * that was stuck all through weir_close() and then fails goes out of `accepted` and `dropped_*`
 * again, of both at once.
 */
#ifndef WEIR_STATS_H
#define WEIR_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <weir/sink.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_stats {
	size_t size; /* sizeof(struct weir_stats) of the caller, set before the call */

	/* records */
	uint64_t accepted;
	uint64_t accepted_bytes; /* as framed */
	uint64_t refused_full;
	uint64_t refused_too_big;
	uint64_t refused_closed;
	uint64_t refused_context; /* nested wait, nested too deep, no memory for a ring */
	uint64_t delivered;
	uint64_t dropped_rejected; /* the sink said REJECT */
	uint64_t dropped_timeout;  /* batch_total_timeout passed */
	uint64_t dropped_too_large; /* SPLIT of a single record */
	uint64_t dropped_fatal;    /* left when the sink had said FATAL */
	uint64_t dropped_shutdown; /* left when close ran out of time */
	uint64_t dead_lettered;
	uint64_t redelivered;     /* submitted again; outside the identity */
	uint64_t pending;         /* accepted, no verdict yet */
	uint64_t oldest_age_ns;   /* upper bound of the age of the oldest pending record, 0: none */

	/* batches and flushes */
	uint64_t batches;                 /* formed */
	uint64_t batches_done;            /* with a final verdict */
	uint64_t attempts;                /* submits that the sink took */
	uint64_t flushes[WEIR_CAUSES];    /* batches by cause */
	uint64_t shadow[WEIR_CAUSES];     /* flushes that a shadow trigger would have made */
	uint64_t inflight;                /* batches at the sink */
	uint64_t retries;
	uint64_t splits;
	uint64_t overruns;                /* batches submitted later than the deadline ... */
	uint64_t overruns_sink;           /* ... as the sink had no room or waited for a retry */
	uint64_t overruns_scheduler;      /* ... because the flusher ran late */
	uint64_t lateness_max_ns;

	/* what it cost */
	uint64_t wakeups_trigger;    /* the flusher woke for a timer or a threshold */
	uint64_t wakeups_completion; /* for a completion */
	uint64_t wakeups_sink;       /* for a sink's descriptor or timer, or to try again */
	uint64_t wakeups_control;    /* for flush, close, commit of a claim that was waited for */
	uint64_t timer_arms;         /* timerfd_settime */
	uint64_t eventfd_writes;
	uint64_t membarriers;

	/* rings */
	uint64_t rings;           /* in existence */
	uint64_t rings_fallback;  /* of these, without rseq */
	uint64_t aborts_capped;   /* pushes that went to the fallback ring after 64 aborts */
	uint64_t migrations;      /* marks written */
	uint64_t walks;           /* ring shares that were walked record by record */
	uint64_t claims_stalled;  /* claims found open for longer than claim_max */
	uint64_t waits;           /* pushes that waited for room */
};

/* The identity at a quiescent cut. pending_* are counted by walking records. */
struct weir_audit {
	size_t size;
	uint64_t accepted;
	uint64_t delivered;
	uint64_t dropped;
	uint64_t dead_lettered;
	uint64_t pending_ring;  /* in rings, not yet in a batch */
	uint64_t pending_batch; /* in batches without a final verdict */
	int64_t residual;       /* accepted - all of these; 0 or the engine has a bug */
};

#ifdef __cplusplus
}
#endif

#endif
