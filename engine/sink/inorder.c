/* SPDX-License-Identifier: Apache-2.0 */
/* inorder.c - see inorder.h. */
#include "sink/inorder.h"

#include <errno.h>
#include <stddef.h>

static void forget(struct wr_inorder *order, struct wr_inorder_entry *entry)
{
	*entry = order->back[--order->count];
}

/* Sequences may wrap: they are compared by subtraction. */
static int is_before(const struct wr_inorder_entry *entry, const struct weir_batch *batch)
{
	if (entry->seq != batch->seq)
		return (int64_t)(entry->seq - batch->seq) < 0;
	return entry->first < batch->first_record;
}

/* The rest of a batch starts somewhere within it. */
static int is_of(const struct wr_inorder_entry *entry, const struct weir_batch *batch)
{
	return entry->seq == batch->seq && batch->first_record >= entry->first &&
	       batch->first_record < entry->end;
}

/*
 * How far @batch, which @own said would come (or NULL), goes at most. What a verdict left of one
 * has gaps: it says how many records it has, not where the last one was.
 */
static uint64_t end_of(const struct weir_batch *batch, const struct wr_inorder_entry *own)
{
	return own && !own->halved ? own->end : batch->first_record + batch->records;
}

static struct wr_inorder_entry *find(struct wr_inorder *order, const struct weir_batch *batch)
{
	for (uint32_t i = 0; i < order->count; i++)
		if (is_of(&order->back[i], batch))
			return &order->back[i];
	return NULL;
}

int wr_inorder_accept(struct wr_inorder *order, const struct weir_batch *batch)
{
	struct wr_inorder_entry *own;
	uint64_t stamp;
	int blocked = 0;

	own = find(order, batch);
	stamp = own ? own->stamp : 0;
	for (uint32_t i = 0; i < order->count;) {
		struct wr_inorder_entry *at = &order->back[i];

		if (is_of(at, batch) || !is_before(at, batch)) {
			i++;
		} else if (at->stamp < stamp) {
			forget(order, at);
		} else {
			blocked = 1;
			i++;
		}
	}
	if (blocked)
		return 0;
	own = find(order, batch);
	order->now = (struct wr_inorder_entry){ .seq = batch->seq,
		                                .first = batch->first_record,
		                                .end = end_of(batch, own) };
	if (own)
		forget(order, own);
	return 1;
}

static struct wr_inorder_entry *oldest(struct wr_inorder *order)
{
	struct wr_inorder_entry *oldest = &order->back[0];

	for (uint32_t i = 1; i < order->count; i++)
		if (order->back[i].stamp < oldest->stamp)
			oldest = &order->back[i];
	return oldest;
}

/* Is there a record that a partial verdict sends back? */
static int leaves_some(const struct weir_batch *batch, const struct weir_verdict *verdict)
{
	uint64_t i = 0;

	switch ((enum weir_partial)verdict->partial) {
	case WEIR_PARTIAL_RECORDS:
		return verdict->records < batch->records;
	case WEIR_PARTIAL_BYTES:
		return verdict->bytes < batch->bytes;
	case WEIR_PARTIAL_BITMAP:
		while (verdict->bitmap && i < batch->records &&
		       verdict->bitmap[i / 64] >> i % 64 & 1)
			i++;
		return i < batch->records;
	case WEIR_PARTIAL_CODES:
		while (verdict->codes && i < batch->records && verdict->codes[i] != -EAGAIN)
			i++;
		return i < batch->records;
	}
	return 1;
}

static int comes_again(const struct weir_batch *batch, const struct weir_verdict *verdict)
{
	return verdict->kind == WEIR_RETRY || verdict->kind == WEIR_SPLIT ||
	       (verdict->kind == WEIR_PARTIAL && leaves_some(batch, verdict));
}

void wr_inorder_answered(struct wr_inorder *order, const struct weir_batch *batch,
                         const struct weir_verdict *verdict)
{
	struct wr_inorder_entry *entry = find(order, batch);
	uint64_t end = end_of(batch, entry);

	if (!comes_again(batch, verdict))
		return;
	if (!entry && order->now.seq == batch->seq && order->now.first == batch->first_record)
		end = order->now.end;
	if (!entry && order->count < WR_INORDER_MAX)
		entry = &order->back[order->count++];
	if (!entry) /* only leftovers of dropped batches can be so many */
		entry = oldest(order);
	*entry = (struct wr_inorder_entry){ .seq = batch->seq,
		                            .first = batch->first_record,
		                            .end = end,
		                            .stamp = ++order->stamp,
		                            .halved = verdict->kind == WEIR_SPLIT };
}
