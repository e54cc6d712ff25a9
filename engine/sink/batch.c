/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - what a sink does with a batch: read its records, give it back. thread: any owner of it
 */
#include <weir/sink.h>

void weir_batch_complete(struct weir_batch *batch, const struct weir_verdict *verdict)
{
	batch->owner->complete(batch, verdict);
}

int weir_batch_next(const struct weir_batch *batch, struct weir_iter *iter, struct weir_record *ret)
{
	while (iter->span < batch->span_count) {
		const struct iovec *piece = &batch->iov[iter->span];

		while (iter->offset < piece->iov_len) {
			const uint8_t *at = (const uint8_t *)piece->iov_base + iter->offset;
			uint64_t total = weir_record_decode(at, piece->iov_len - iter->offset, ret);

			if (!total) /* cannot be: a span holds whole records */
				break;
			iter->offset += total;
			if (!(ret->flags & WEIR_REC_ABORTED))
				return 1;
		}
		iter->span++;
		iter->offset = 0;
	}
	return 0;
}
