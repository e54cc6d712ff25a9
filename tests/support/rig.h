/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/rig.h - an engine on virtual time with a sink that does as it is told.
 *
 * The engine has no thread (loop=own) and no restartable sequences unless asked for, so that a test
 * chooses the ring of each push and every step of the flusher. Records are short texts; what the sink
 * sees is kept as text: records parted by a blank, batches closed by '|'.
 */
#ifndef WEIR_TESTS_SUPPORT_RIG_H
#define WEIR_TESTS_SUPPORT_RIG_H

#include <weir/weir.h>

#include "api/engine.h"
#include "support/rings.h"
#include "support/virtual_sys.h"

#define RIG_BATCHES 4096
#define RIG_START UINT64_C(1000000000000)

/* What a batch looked like when it was submitted. */
struct rig_batch {
	uint64_t seq, first_record, records, bytes;
	uint64_t formed_ns, deadline_ns, earliest_ns, latest_ns, at_ns;
	uint32_t cause, attempt, span_count;
	struct weir_batch *batch;
};

struct rig {
	struct weir *weir;
	struct weir_config config;
	struct weir_sink sink;
	struct weir_sink_caps caps;
	struct rig_batch log[RIG_BATCHES];
	uint32_t submits; /* entries of log */
	uint64_t records; /* delivered with WEIR_DONE inside submit() */
	char text[65536];
	size_t length;
	/* what the sink does */
	int hold;           /* 1: keep the batch, the test completes it */
	int submit_answer;  /* != 0: submit() answers this and takes nothing */
	struct weir_verdict verdicts[16]; /* for the first batches, then WEIR_DONE */
	uint32_t verdict_count, verdict_next;
	void (*on_submit)(struct weir_batch *batch);
};
extern struct rig rig;

/* A config to change: threshold 1000, deadline 2 s, pressure off, 64 KiB rings. Resets the system. */
void rig_init(void);
/* Opens; @rseq 0: fallback rings, chosen by rig_on(). */
void rig_open(int rseq);
/* Pushes go to the fallback ring of @cpu from now on. */
void rig_on(uint32_t cpu);
struct wr_ring *rig_ring(uint32_t cpu);
void rig_push(const char *text);
void rig_push_many(const char *text, uint32_t count);
/* Turns the flusher while it has something to do. */
void rig_turn(void);
/* Moves time on by @ns, turning the flusher whenever it would have woken. */
void rig_pass(uint64_t ns);
/* Completes the batch of log entry @i. */
void rig_complete(uint32_t i, struct weir_verdict verdict);
void rig_done(uint32_t i);
uint64_t rig_counted(unsigned which);
/* Closes and frees; the identity must hold. */
void rig_close(void);
/* weir_audit() says 0. */
void rig_audit(void);
struct weir_stats rig_stats(void);

#endif
