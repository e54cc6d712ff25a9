/* SPDX-License-Identifier: Apache-2.0 */
/* inorder.c - see inorder.h. */
#include "sink/inorder.h"

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
	       batch->first_record - entry->first < entry->records;
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

	if (!order->count)
		return 1;
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
	if (own)
		forget(order, own);
	return 1;
}

void wr_inorder_sent_back(struct wr_inorder *order, const struct weir_batch *batch)
{
	struct wr_inorder_entry *entry = find(order, batch);

	if (!entry && order->count < WR_INORDER_MAX)
		entry = &order->back[order->count++];
	if (!entry) { /* only leftovers of dropped batches can be so many */
		entry = &order->back[0];
		for (uint32_t i = 1; i < order->count; i++)
			if (order->back[i].stamp < entry->stamp)
				entry = &order->back[i];
	}
	*entry = (struct wr_inorder_entry){ batch->seq, batch->first_record, batch->records,
		                            ++order->stamp };
}
