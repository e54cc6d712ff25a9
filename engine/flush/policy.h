/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush/policy.h - what the flusher decides, as pure functions: numbers in, a decision out.
 *
 * It knows thresholds and ages. It does not know rings, clocks or sinks.
 */
#ifndef WR_FLUSH_POLICY_H
#define WR_FLUSH_POLICY_H

#include <stdint.h>
#include <weir/sink.h>

/* What of the configuration decides. */
struct wr_policy {
	uint64_t threshold; /* 0: off */
	uint64_t threshold_bytes;
	uint64_t watermark; /* bytes of one ring */
	uint32_t threshold_mode, bytes_mode, timer_mode, urgent_mode, pressure_mode;
	uint64_t deadline_ns; /* WEIR_OFF: off */
};

/* What is the case. Counts are of takeable records only. */
struct wr_facts {
	uint64_t records;
	uint64_t bytes;       /* aborted claims included */
	uint64_t fullest;     /* bytes in the fullest ring */
	uint64_t now_ns;
	uint64_t due_ns;      /* UINT64_MAX: none. The deadline of the oldest record */
	uint64_t urgent_ns;   /* UINT64_MAX: none. The earliest deadline of an urgent record */
	uint64_t oldest_ns;   /* lower bound of the oldest record's push */
	uint32_t full;        /* a push found its ring full */
	uint32_t requested;   /* flush, or a barrier not yet reached */
	uint32_t shutdown;
};

struct wr_decision {
	enum weir_cause cause; /* NONE: sleep */
	uint32_t shadow;       /* bit per cause that a shadow trigger would have flushed for */
};

struct wr_decision wr_policy_decide(const struct wr_policy *policy, const struct wr_facts *facts);

/* When to try a batch again: @after_ns from now, at least a millisecond, so that a sink cannot make
 * the flusher spin. */
uint64_t wr_policy_retry_at(uint64_t now_ns, uint64_t after_ns);

#endif
