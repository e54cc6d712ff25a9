/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/property/model.h - what an engine should do, as arrays.
 *
 * It knows records in the order of their pushes, rings as lists of them, batches as counts, and
 * what each verdict means. It does not know how an engine finds out. engine.c drives the real one
 * beside it; model.c compares.
 */
#ifndef WEIR_TESTS_PROPERTY_MODEL_H
#define WEIR_TESTS_PROPERTY_MODEL_H

#include <stdint.h>
#include <weir/weir.h>

#include "api/engine.h"
#include "property/prop.h"

#define M_THREADS 3
#define M_CPUS 3
#define M_RECORDS 6144 /* in all lives of a sequence */
#define M_RINGS 8
#define M_HELD 8
#define M_BATCHES 4096
#define M_RING_BYTES 65536u
#define M_RECORD_MAX 16384u

enum m_state {
	M_OPEN,    /* claimed */
	M_GIVEN_UP, /* aborted: never accepted */
	M_PENDING, /* in a ring, not yet submitted */
	M_AT_SINK,
	M_AGAIN,
	M_DELIVERED,
	M_REJECTED,
	M_TIMEOUT,
	M_TOO_LARGE,
	M_FATAL,
	M_SHUTDOWN,
	M_CRASHED,
	M_STATES
};

struct m_record {
	uint8_t state, thread, ring; /* index in model.rings */
	uint8_t has_uuid;
	uint16_t source, flags;
	uint32_t size, order; /* order: of its thread's pushes */
	uint32_t bytes;       /* in the ring */
	uint64_t origin_ns, max_age_ns, pushed_ns, committed_ns;
	uint32_t batch, index, attempt; /* batch: seq - first seq of the life, + 1 */
};

struct m_ring {
	struct wr_ring *ring;
	uint32_t *records; /* by count, in the life */
	uint32_t count, room, next; /* next: the first that was never submitted */
	uint64_t first_count, first_position;
	uint64_t position; /* behind the last record */
};

struct m_held {
	struct weir_batch *batch;
	struct weir_verdict verdict;
	uint64_t deadline_ns;
	uint32_t *records;
	uint32_t count;
	int given;
	uint64_t bitmap[32];
	int32_t codes[2048];
};

struct m_thread {
	struct wr_thread saved;
	uint32_t cpu, claims, pushed;
	uint32_t ring;         /* index + 1 of where it pushed last; 0: nowhere yet */
	uint32_t submitted;    /* order of its record that was submitted last, + 1 */
};

struct m_counts {
	uint64_t attempted, accepted, full, too_big, closed, context;
	uint64_t states[M_STATES];
	uint64_t attempts, redelivered, retries, splits, batches_done, waits, claims_abandoned;
};

struct model {
	struct m_record records[M_RECORDS];
	uint32_t record_count, life_first;
	struct m_ring rings[M_RINGS];
	uint32_t ring_count;
	struct m_held held[M_HELD];
	uint32_t held_count;
	struct m_thread threads[M_THREADS + 1]; /* the last is the flusher */
	uint32_t current;
	struct m_counts counts;
	uint32_t left[M_BATCHES]; /* records of a batch without a final state */
	uint64_t first_seq;
	uint32_t batches;    /* seen so far */
	uint32_t flush_mark; /* records below were to be flushed */
	int sink_full, broken, closing;
	uint64_t free_ns;    /* since when nothing has held the flusher back */
	uint64_t again_ns;   /* the earliest time of the next attempt */
	struct weir_config config;
	struct weir_sink_caps caps;
	struct weir *weir;
};
extern struct model model;

/* A new life: rings, batches, counts begin again; records stay. */
void m_life(void);
/* One record more, of the thread that runs; its place is what the rings show. */
uint32_t m_pushed(const struct m_record *record, const uint64_t before[2]);
/* The two rings a push of now may go to: their heads. */
void m_heads(uint64_t heads[2]);
/* 1: a record of this total would not fit now; 0: it would; by the ring's own tail. */
int m_is_full(uint32_t total, const uint64_t heads[2]);
/* The bytes of a record. */
const uint8_t *m_payload(uint32_t record);
const uint8_t *m_uuid(uint32_t record);
/* Is what was decoded the record, to the last byte? */
void m_compare(uint32_t record, const struct weir_record *seen);
/* A batch came to the sink: compares and books. Index in model.held. */
uint32_t m_submitted(struct weir_batch *batch);
/* The sink has given held[i] back; the flusher does not know yet. */
void m_give(uint32_t i, const struct weir_verdict *verdict);
/* The flusher takes what was given back by now. */
void m_take_given(void);
/* What must hold whenever the flusher sleeps. */
void m_at_rest(void);
/* The identity and every counter. */
void m_check_counts(void);
void m_end(uint32_t record, enum m_state state);

#endif
