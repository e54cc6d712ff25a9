/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from the side: a sink's word amid submit(), its end, and memory that is short. */
#include "support/rig.h"

#include "base/testpoint.h"

static uint32_t refusals;

/* Room comes while submit() still says that there is none. */
static int refuse_and_be_ready(struct weir_sink *self, struct weir_batch *batch)
{
	struct weir_verdict verdict = { .kind = WEIR_DONE };

	if (!refusals++) {
		weir_sink_ready(self);
		return -EAGAIN;
	}
	rig.submits++;
	weir_batch_complete(batch, &verdict);
	return 0;
}

Test(flush_side, a_sink_that_is_ready_before_it_has_refused_is_asked_again)
{
	static struct weir_sink_ops ops;

	rig_init();
	ops = *rig.sink.ops;
	ops.submit = refuse_and_be_ready;
	rig.sink.ops = &ops;
	rig_open(0);
	rig_push("a");
	T_EQ(weir_flush(rig.weir), 0);
	/* In one turn: behind it nothing would wake the flusher. */
	T_TRUE(weir_run_once(rig.weir, 0) >= 0);
	T_EQ(refusals, 2);
	T_EQ(rig.submits, 1);
	rig_close();
}

static uint32_t woken, hopeless_when_woken;

static void look_at_hopeless(_Atomic uint32_t *word)
{
	if (word != &rig.weir->wake.release_seq)
		return;
	woken++;
	hopeless_when_woken += atomic_load(&rig.weir->wake.hopeless);
}

Test(flush_side, who_waits_for_room_is_woken_when_there_is_none_to_hope_for)
{
	rig_init();
	rig_open(0);
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_FATAL, .code = -EIO };
	rig.verdict_count = 1;
	rig_push("a");
	atomic_store(&rig.weir->wake.waiters, 1);
	vs.on_futex_wake = look_at_hopeless;
	T_EQ(weir_flush(rig.weir), 0);
	rig_turn();
	T_EQ(woken, 1);
	T_EQ(hopeless_when_woken, 1);
	vs.on_futex_wake = NULL;
	atomic_store(&rig.weir->wake.waiters, 0);
	rig_close();
}

static int gives_left = -1;

static void *give_some(void *arg, size_t bytes)
{
	(void)arg;
	if (gives_left == 0)
		return NULL;
	gives_left -= gives_left > 0;
	return malloc(bytes);
}

static void take_back(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)bytes;
	free(memory);
}

static void only_one_half(struct weir_batch *batch)
{
	gives_left = batch->attempt == 1 ? 1 : -1;
}

Test(flush_side, a_batch_of_which_only_one_half_found_memory_gives_its_room_back)
{
	uint64_t tail;

	rig_init();
	rig.config.allocator.alloc = give_some;
	rig.config.allocator.free = take_back;
	rig_open(0);
	rig.on_submit = only_one_half;
	rig.verdicts[0] = (struct weir_verdict){ .kind = WEIR_SPLIT };
	rig.verdict_count = 1;
	rig_push_many("a", 4);
	T_EQ(weir_flush(rig.weir), 0);
	rig_pass(WEIR_MILLIS(100));
	T_STR(rig.text, "a a a a |a a a a |");
	T_EQ(rig_stats().splits, 0);
	T_EQ(rig_stats().batches_done, 1);
	tail = atomic_load(&rig_ring(0)->tail);
	T_EQ((uint32_t)tail, wr_head_position(ring_head(rig_ring(0))));
	rig_close();
}

#ifdef WR_TEST_POINTS
/* The end comes while a large record is copied to the place that it has. */
static void end_here(const char *name)
{
	if (strcmp(name, "push.filled") != 0)
		return;
	atomic_store(&wr_testpoint_hook, NULL);
	T_EQ(weir_close(rig.weir, 0, NULL), -ETIMEDOUT);
}

Test(flush_side, a_large_record_that_close_gave_up_was_refused_and_never_accepted)
{
	char large[5000] = { 'x' };
	struct weir_audit audit = { .size = sizeof(audit) };
	struct weir_stats stats;

	rig_init();
	rig_open(0);
	rig_push("a");
	atomic_store(&wr_testpoint_hook, end_here);
	T_EQ(weir_push(rig.weir, large, sizeof(large)), -ESHUTDOWN);
	stats = rig_stats();
	T_EQ(stats.accepted, 1);
	T_EQ(stats.refused_closed, 1);
	T_EQ(stats.pending, 0);
	T_EQ(weir_audit(rig.weir, &audit), 0);
	T_EQ(audit.accepted, 1);
	T_EQ(audit.residual, 0);
	rig_close();
}
#endif
