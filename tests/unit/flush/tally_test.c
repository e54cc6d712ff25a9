/* SPDX-License-Identifier: Apache-2.0 */
/* What the numbers of an engine say, one by one, where nothing else would notice. */
#include "support/rig.h"

#include "ring/thread.h"

Test(flush_tally, each_mark_that_was_written_is_counted)
{
	rig_init();
	rig_open(0);
	rig_push("a");
	T_EQ(rig_stats().migrations, 0);
	rig_on(1);
	rig_push("b");
	rig_push("c");
	T_EQ(rig_stats().migrations, 1);
	rig_on(0);
	rig_push("d");
	T_EQ(rig_stats().migrations, 2);
	rig_close();
}

Test(flush_tally, each_push_that_goes_elsewhere_after_too_many_aborts_is_counted)
{
	rig_init();
	rig_open(1);
	if (!rig.weir->rings.sections)
		T_SKIP("no restartable sequences");
	rig_push("a");
	T_EQ(rig_stats().aborts_capped, 0);
	wr_thread.stay = 3;
	for (int i = 0; i < 5; i++)
		T_EQ(weir_push_ex(rig.weir, "b", 1, NULL), 0);
	T_EQ(wr_thread.stay, 0);
	T_EQ(rig_stats().aborts_capped, 3);
	T_EQ(rig_stats().rings_fallback, 1);
	rig_close();
}

Test(flush_tally, only_what_is_larger_than_inline_max_takes_its_place_first)
{
	static char large[8192];
	struct wr_ring *ring;
	uint64_t begun = 0;

	rig_init();
	rig_open(1);
	if (!rig.weir->rings.sections)
		T_SKIP("no restartable sequences");
	T_EQ(weir_push(rig.weir, large, rig.config.inline_max), 0);
	for (uint32_t id = 1; (ring = wr_rings_by_id(&rig.weir->rings, id)); id++)
		begun += ring->claims_begun;
	T_EQ(begun, 0);
	T_EQ(weir_push(rig.weir, large, rig.config.inline_max + 1), 0);
	for (uint32_t id = 1; (ring = wr_rings_by_id(&rig.weir->rings, id)); id++)
		begun += ring->claims_begun;
	T_EQ(begun, 1);
	rig_close();
}

Test(flush_tally, without_a_timer_the_next_deadline_is_never)
{
	uint64_t at_ns = 0;

	rig_init();
	rig.config.timer_mode = WEIR_MODE_OFF;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_next_deadline(rig.weir, &at_ns), 0);
	T_TRUE(at_ns == UINT64_MAX);
	rig_close();
}

static void tell_trouble(struct weir_sink *self, struct weir_why *ret_why)
{
	(void)self;
	snprintf(ret_why->text, sizeof(ret_why->text), "stuck");
}

Test(flush_tally, the_report_of_close_says_what_was_left_where_and_why)
{
	static struct weir_sink_ops ops;
	struct weir_close_report report = { .size = sizeof(report) };

	rig_init();
	ops = *rig.sink.ops;
	ops.trouble = tell_trouble;
	rig.sink.ops = &ops;
	rig.caps.max_inflight = 1;
	rig.hold = 1;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	rig_push("b");
	rig_push("c");
	T_EQ(weir_close(rig.weir, 0, &report), -ETIMEDOUT);
	T_EQ(report.left_in_batches, 1);
	T_EQ(report.left_in_rings, 2);
	T_EQ(report.left, 3);
	T_EQ(report.timed_out, 1);
	T_STR(report.trouble.text, "stuck");
}

Test(flush_tally, close_without_a_bound_waits_for_what_comes_again)
{
	rig_init();
	rig_open(0);
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = 100000000 };
	rig.verdict_count = 1;
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(weir_close(rig.weir, WEIR_OFF, NULL), 0);
	T_STR(rig.text, "a |a |");
	rig_close();
}
