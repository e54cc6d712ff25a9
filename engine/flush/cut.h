/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush/cut.h - a cut: one head per ring, closed under migration marks, and the order in which its
 * records go out.
 *
 * It knows rings, counts and marks. It does not know batches, sinks or time. A cut is tentative
 * until wr_cut_take(): making one changes nothing that a producer could see. thread: flusher
 */
#ifndef WR_FLUSH_CUT_H
#define WR_FLUSH_CUT_H

#include <stdint.h>

#include "base/mem.h"
#include "ring/mark.h"
#include "ring/rings.h"

/* A place in a ring, 64 bits each. */
struct wr_place {
	uint64_t count;
	uint64_t position;
};

/* A record that a cut must look at: it carries a mark, or is an aborted claim, or both. */
struct wr_note {
	struct wr_place at;
	uint64_t aborted_bytes;      /* 0: it is none */
	const struct wr_mark *mark;  /* or NULL */
	uint32_t next;               /* in the same ring, index + 1; 0: last */
};

struct wr_batch;

/* In-flight spans of a ring, oldest first: space is released in this order. */
struct wr_hold {
	struct wr_hold *next;
	uint64_t end;        /* position behind the span */
	struct wr_batch *batch;
	uint32_t done; /* its batch has a final verdict */
	uint32_t ring;
};

/*
 * Why a cut stops short. Who commits an open record can wake the flusher; a retracted ring waits
 * for another ring that is blocked itself.
 */
#define WR_BLOCKED_OPEN 1u
#define WR_BLOCKED_RETRACTED 2u

/* The flusher's view of one ring. */
struct wr_share {
	struct wr_ring *ring;   /* NULL: the flusher has not met it */
	struct wr_place taken;  /* everything below is in a batch or released */
	struct wr_place cut;    /* tentative */
	struct wr_place sent;   /* while the cut's order is made: emitted up to here */
	uint64_t released;      /* position */
	uint64_t barrier;       /* position that the current barrier waits for */
	uint64_t cut_ns;        /* no record above `taken` was pushed before */
	uint64_t blocked_ns;    /* since when it is known that an open record blocks it ... */
	uint64_t blocked_at;    /* ... and the count of that record */
	uint64_t aborted;       /* aborted claims ever taken */
	struct wr_hold *first, **last;
	uint32_t side_seen;     /* side entries below lie below the cut */
	uint32_t rescan;        /* 1: walk the next cut, entries were dropped */
	uint32_t dealt;         /* count when the alarm was dealt */
	uint32_t dealt_epoch;   /* the sleep at which that was */
	struct wr_place dealt_at, credited; /* the head then, and up to where the sums hold it */
	uint32_t notes, notes_last; /* index + 1 */
	uint32_t in_cut;
	uint32_t blocked;       /* WR_BLOCKED_*, 0: the cut reaches the head that was read */
	uint32_t stalled;       /* the blocking claim was counted as stalled */
};

/* A run of records in emission order. */
struct wr_segment {
	uint32_t ring;
	uint32_t aborted;
	struct wr_place begin, end;
	uint64_t earliest_ns;
};

struct wr_cut {
	const struct wr_rings *rings;
	const struct wr_mem *mem;
	struct wr_share *shares; /* by ring id */
	uint32_t share_count;
	uint32_t order;          /* 0: order=none */
	uint32_t *set;           /* ids in the current cut */
	uint32_t set_count;
	struct wr_note *notes;
	uint32_t note_count, note_room;
	struct wr_segment *segments;
	uint32_t segment_count, segment_room;
	uint32_t any_blocked;
	uint32_t starved; /* no memory for a note: the cut stops before it */
	uint64_t walks;
	uint64_t aborted; /* aborted claims ever taken */
	uint64_t floor_ns;
	/* sums of the tentative cut */
	uint64_t records, bytes, fullest;
	uint32_t full; /* a push found one of its rings full */
	uint64_t kept[WR_RING_IDS / 64]; /* rings with something left although their bit is clear */
};

int wr_cut_init(struct wr_cut *cut, const struct wr_rings *rings, const struct wr_mem *mem,
                uint32_t order);
void wr_cut_fini(struct wr_cut *cut);

/* The flusher's view of @id, made on first use; NULL: no such ring. */
struct wr_share *wr_cut_share(struct wr_cut *cut, uint32_t id);
/*
 * Makes a tentative cut over the rings of @bits and those kept, closes it and sums it up. @bits is
 * WR_RING_IDS / 64 words.
 */
void wr_cut_make(struct wr_cut *cut, const _Atomic uint64_t *bits);
/*
 * Puts the cut into emission order and takes it: segments[] holds it, taken = cut. No record of it
 * was pushed before @floor_ns. 0, -ENOMEM.
 */
int wr_cut_take(struct wr_cut *cut, uint64_t now_ns, uint64_t floor_ns);
/* Asks the owner of the record that blocks @share to wake the flusher. 1: it is not blocked now. */
int wr_cut_wait_for(struct wr_share *share);

/* A ring's head, extended to 64 bits from what was taken. */
struct wr_place wr_cut_head(const struct wr_cut *cut, const struct wr_share *share);
/*
 * Walks [from, to): calls @fn for every record that is committed (1), aborted (2), open (0). Stops
 * at a place whose size is not known. Returns where it stopped. For audits and reports.
 */
struct wr_place wr_cut_walk(const struct wr_share *share, struct wr_place from, struct wr_place to,
                            void (*fn)(void *arg, uint64_t header), void *arg);
/* For walk.c and order.c. */
void wr_cut_scan(struct wr_cut *cut, struct wr_share *share, struct wr_place to);
void wr_cut_close(struct wr_cut *cut);

#endif
