/* SPDX-License-Identifier: Apache-2.0 */
/* inorder_test.c - which batch may be delivered while others are to come again. */
#include "sink/inorder.h"

#include <errno.h>

#include "test.h"

static struct wr_inorder order;

static struct weir_batch batch(uint64_t seq, uint64_t first, uint64_t records)
{
	return (struct weir_batch){ .seq = seq, .first_record = first, .records = records };
}

static int accept(uint64_t seq, uint64_t first, uint64_t records)
{
	struct weir_batch b = batch(seq, first, records);

	return wr_inorder_accept(&order, &b);
}

static void back(uint64_t seq, uint64_t first, uint64_t records)
{
	struct weir_batch b = batch(seq, first, records);

	wr_inorder_answered(&order, &b, &(struct weir_verdict){ .kind = WEIR_RETRY });
}

Test(inorder, with_nothing_sent_back_every_batch_is_delivered)
{
	T_EQ(accept(1, 0, 10), 1);
	T_EQ(accept(2, 0, 10), 1);
}

Test(inorder, a_later_batch_waits_for_one_that_comes_again)
{
	back(1, 0, 10);
	T_EQ(accept(2, 0, 10), 0);
	back(2, 0, 10);
	T_EQ(accept(1, 0, 10), 1);
	T_EQ(accept(2, 0, 10), 1);
	T_EQ(order.count, 0);
}

Test(inorder, an_earlier_batch_does_not_wait)
{
	back(5, 0, 10);
	T_EQ(accept(4, 0, 10), 1);
	T_EQ(order.count, 1);
}

Test(inorder, the_rest_of_a_batch_is_that_batch)
{
	back(1, 0, 10);
	T_EQ(accept(1, 7, 3), 1);
	T_EQ(order.count, 0);
}

Test(inorder, a_later_piece_of_the_same_batch_waits)
{
	back(1, 0, 5);
	T_EQ(accept(1, 5, 5), 0);
	back(1, 5, 5);
	T_EQ(accept(1, 0, 5), 1);
	T_EQ(accept(1, 5, 5), 1);
}

/* What is left has gaps: 3 records of 10, the last of which is the tenth. */
Test(inorder, what_is_left_behind_a_gap_is_the_rest_of_its_batch)
{
	back(1, 0, 10);
	T_EQ(accept(1, 2, 3), 1);
	back(1, 2, 3);
	T_EQ(accept(1, 9, 1), 1);
	T_EQ(order.count, 0);
}

Test(inorder, what_is_left_keeps_its_extent_while_it_waits)
{
	back(2, 0, 10);
	back(1, 0, 1);
	T_EQ(accept(2, 2, 3), 0);
	back(2, 2, 3);
	T_EQ(accept(1, 0, 1), 1);
	T_EQ(accept(2, 9, 1), 1);
	T_EQ(order.count, 0);
}

Test(inorder, the_second_half_of_a_batch_waits_for_the_first)
{
	struct weir_batch whole = batch(1, 0, 10);

	T_EQ(accept(1, 0, 10), 1);
	wr_inorder_answered(&order, &whole, &(struct weir_verdict){ .kind = WEIR_SPLIT });
	T_EQ(accept(1, 0, 5), 1);
	back(1, 0, 5);
	T_EQ(accept(1, 5, 5), 0);
	back(1, 5, 5);
	T_EQ(accept(1, 0, 5), 1);
	T_EQ(accept(1, 5, 5), 1);
	T_EQ(order.count, 0);
}

Test(inorder, the_extent_of_one_batch_is_not_that_of_the_next)
{
	back(1, 0, 10);
	T_EQ(accept(1, 2, 3), 1);
	back(2, 2, 1);
	T_EQ(accept(2, 3, 1), 0);
}

Test(inorder, a_batch_sent_back_twice_keeps_the_others_waiting)
{
	back(1, 0, 10);
	back(2, 0, 10);
	T_EQ(accept(1, 0, 10), 1);
	back(1, 0, 10);
	T_EQ(accept(2, 0, 10), 0);
}

Test(inorder, a_batch_that_was_dropped_is_waited_for_only_once)
{
	back(1, 0, 10);
	T_EQ(accept(2, 0, 10), 0);
	back(2, 0, 10);
	/* 2 again, and 1 did not come before it: it never will. */
	T_EQ(accept(2, 0, 10), 1);
	T_EQ(accept(3, 0, 10), 1);
	T_EQ(order.count, 0);
}

Test(inorder, sequences_may_wrap)
{
	back(UINT64_MAX, 0, 1);
	T_EQ(accept(0, 0, 1), 0);
	T_EQ(accept(UINT64_MAX - 1, 0, 1), 1);
	T_EQ(accept(UINT64_MAX, 0, 1), 1);
	T_EQ(accept(0, 0, 1), 1);
}

Test(inorder, more_leftovers_than_there_is_room_for_push_the_oldest_out)
{
	for (uint64_t i = 1; i <= WR_INORDER_MAX + 5; i++)
		back(i, 0, 1);
	T_EQ(order.count, WR_INORDER_MAX);
	T_EQ(order.back[0].seq, WR_INORDER_MAX + 1);
}

/* Whether a batch of 70 records and 700 bytes comes again after @verdict. */
static int comes_again(struct weir_verdict verdict)
{
	struct weir_batch b = batch(1, 0, 70);

	b.bytes = 700;
	order.count = 0;
	verdict.kind = verdict.kind ? verdict.kind : WEIR_PARTIAL;
	wr_inorder_answered(&order, &b, &verdict);
	return order.count == 1;
}

Test(inorder, nobody_waits_for_a_batch_of_which_nothing_is_left)
{
	uint64_t bitmap[2] = { UINT64_MAX, 0x3f };
	int32_t codes[70] = { -EPERM };

	T_EQ(comes_again((struct weir_verdict){ .kind = WEIR_REJECT }), 0);
	T_EQ(comes_again((struct weir_verdict){ .kind = WEIR_FATAL }), 0);
	T_EQ(comes_again((struct weir_verdict){ .records = 70 }), 0);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_BYTES, .bytes = 700 }), 0);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_BITMAP, .bitmap = bitmap }),
	     0);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_CODES, .codes = codes }),
	     0);
}

Test(inorder, a_batch_is_waited_for_when_one_record_is_left)
{
	uint64_t bitmap[2] = { UINT64_MAX, 0x1f };
	int32_t codes[70] = { [69] = -EAGAIN };

	T_EQ(comes_again((struct weir_verdict){ .records = 69 }), 1);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_BYTES, .bytes = 699 }), 1);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_BITMAP, .bitmap = bitmap }),
	     1);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_BITMAP }), 1);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_CODES, .codes = codes }),
	     1);
	T_EQ(comes_again((struct weir_verdict){ .partial = WEIR_PARTIAL_CODES }), 1);
	T_EQ(comes_again((struct weir_verdict){ .partial = 77 }), 1);
}
