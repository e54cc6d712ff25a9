/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring/mark.h - migration marks: how a thread that changes rings says what must come first.
 *
 * A mark names, for each ring the thread may come from, that ring's head as read just before. It
 * knows order words and heads. It does not know how a cut uses it (flush/order.c).
 * thread: producer
 */
#ifndef WR_RING_MARK_H
#define WR_RING_MARK_H

#include <stdint.h>
#include <string.h>

#include "ring/rings.h"
#include "ring/thread.h"

#define WR_MARK_NAMES 3

/* As it lies in a record's extension, WEIR_MARK_BYTES. ids[i] 0: none. */
struct wr_mark {
	uint16_t ids[WR_MARK_NAMES];
	uint16_t reserved;
	uint64_t heads[WR_MARK_NAMES];
};
static_assert(sizeof(struct wr_mark) == WEIR_MARK_BYTES, "the framing knows this size");

/* A migration under way. */
struct wr_migration {
	uint64_t before; /* the order word as found */
	uint64_t word;   /* the order word while the marked push is under way */
};

/*
 * Publishes that this thread is about to push to @ring and writes the mark. How many rings it names
 * (0: the thread comes from nowhere, and the record needs no mark), or -EAGAIN when the set is
 * full: signal handlers have interrupted more pushes than a word can name.
 */
int wr_mark_begin(const struct wr_rings *rings, _Atomic uint64_t *order, const struct wr_ring *ring,
                  struct wr_mark *ret_mark, struct wr_migration *ret);
/* The marked record is committed: the thread is on @ring now. */
void wr_mark_done(_Atomic uint64_t *order, const struct wr_ring *ring,
                  const struct wr_migration *migration);
/* It was not committed: undo, unless a handler has pushed meanwhile. */
void wr_mark_undo(_Atomic uint64_t *order, const struct wr_migration *migration);

#endif
