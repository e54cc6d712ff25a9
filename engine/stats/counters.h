/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats/counters.h - the flusher's counters: one writer, any reader.
 *
 * It knows numbers and their names. It does not know who counts what.
 */
#ifndef WR_STATS_COUNTERS_H
#define WR_STATS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>
#include <weir/sink.h>

enum wr_counter {
	WR_DELIVERED,
	WR_DROPPED_REJECTED,
	WR_DROPPED_TIMEOUT,
	WR_DROPPED_TOO_LARGE,
	WR_DROPPED_FATAL,
	WR_DROPPED_SHUTDOWN,
	WR_DEAD_LETTERED,
	WR_REDELIVERED,
	WR_TAKEN,         /* gauge: taken from a ring, no final verdict yet */
	WR_ABORTED_TAKEN, /* aborted claims passed by the cut */
	WR_OLDEST_NS,     /* gauge: no pending record was pushed before; 0: not known */
	WR_BATCHES,
	WR_BATCHES_DONE,
	WR_ATTEMPTS,
	WR_INFLIGHT,
	WR_RETRIES,
	WR_SPLITS,
	WR_OVERRUNS,
	WR_OVERRUNS_SINK,
	WR_OVERRUNS_SCHEDULER,
	WR_LATENESS_MAX,
	WR_WAKEUPS_TRIGGER,
	WR_WAKEUPS_COMPLETION,
	WR_WAKEUPS_SINK,
	WR_WAKEUPS_CONTROL,
	WR_MEMBARRIERS,
	WR_WALKS,
	WR_CLAIMS_STALLED,
	WR_FLUSHES,                            /* WEIR_CAUSES of them */
	WR_SHADOW = WR_FLUSHES + WEIR_CAUSES,  /* likewise */
	WR_COUNTERS = WR_SHADOW + WEIR_CAUSES
};

struct wr_counters {
	_Atomic uint64_t value[WR_COUNTERS];
};

/* thread: flusher */
static inline void wr_count(struct wr_counters *counters, unsigned which, uint64_t n)
{
	/* ORDER none: relaxed. One writer; readers want a number, not an order. */
	uint64_t value = atomic_load_explicit(&counters->value[which], memory_order_relaxed);

	atomic_store_explicit(&counters->value[which], value + n, memory_order_relaxed);
}

static inline void wr_count_set(struct wr_counters *counters, unsigned which, uint64_t value)
{
	/* ORDER none: relaxed. As above. */
	atomic_store_explicit(&counters->value[which], value, memory_order_relaxed);
}

/* thread: any */
static inline uint64_t wr_counted(const struct wr_counters *counters, unsigned which)
{
	/* ORDER none: relaxed. As above. */
	return atomic_load_explicit(&counters->value[which], memory_order_relaxed);
}

#endif
