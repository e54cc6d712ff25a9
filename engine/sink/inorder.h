/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink/inorder.h - keeps the order of batches when one comes back for another attempt.
 *
 * While batch 1 fails, batch 2 may be in the sink's queue already. Delivering 2 before the rest of
 * 1 would break the order, so whatever was taken after a batch that comes back goes back as well,
 * until the first one is there again. It knows keys of batches, (seq, first record), and what a
 * verdict leaves of one. It does not know any queue. thread: one, the sink's own
 *
 * A batch that was sent back may have been dropped instead (its time was over) and never come
 * again. That is found out so: who submits sees verdicts in the order in which they are given, and
 * submits the earliest batch first. If a batch comes that was sent back *after* another, earlier
 * one, and the earlier one has not come, it never will.
 */
#ifndef WR_SINK_INORDER_H
#define WR_SINK_INORDER_H

#include <stdint.h>
#include <weir/sink.h>

#define WR_INORDER_MAX 64

struct wr_inorder {
	uint64_t stamp; /* of the latest batch sent back */
	uint32_t count;
	struct wr_inorder_entry {
		uint64_t seq, first;
		uint64_t end;   /* what is left of it begins before this record */
		uint64_t stamp;
		int halved;     /* it comes in two, and where the first ends that one says itself */
	} back[WR_INORDER_MAX]; /* sent back, and not come again */
	struct wr_inorder_entry now; /* the latest that was to be delivered; without a stamp */
};

/* 1: deliver @batch now. 0: send it back. */
int wr_inorder_accept(struct wr_inorder *order, const struct weir_batch *batch);

/* @batch is about to be given back with @verdict: it, or some of it, may come again. */
void wr_inorder_answered(struct wr_inorder *order, const struct weir_batch *batch,
                         const struct weir_verdict *verdict);

#endif
