/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an engine whose sink keeps a batch, and what the next one in its place knows of it. */
#include "catch.h"

#include "api/engine.h"

Test(corner, a_sink_that_gives_back_when_it_is_cancelled_is_not_stuck)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct catch *catch = catch_new();

	catch->hold = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_close(catch->weir, WEIR_MILLIS(30), &report), -ETIMEDOUT);
	T_EQ(report.left, 1);
	T_EQ(report.sink_stuck, 0);
	T_EQ(report.descriptors_kept, 0);
	T_EQ(catch->held_count, 0);
	T_EQ(weir_free(catch->weir), 0);
	T_EQ(catch->closed, 1);
}

Test(corner, the_place_of_an_engine_whose_sink_is_stuck_is_nobody_elses)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct catch *stuck = catch_new(), *other = catch_new();
	struct weir_sink_ops ops = catch_ops;

	ops.cancel = NULL;
	stuck->sink.ops = &ops;
	stuck->hold = 1;
	T_EQ(weir_push(catch_open(stuck), "x", 1), 0);
	T_EQ(weir_close(stuck->weir, WEIR_MILLIS(1), &report), -ETIMEDOUT);
	T_EQ(report.sink_stuck, 1);
	T_EQ(weir_free(stuck->weir), 0);
	catch_open(other);
	T_TRUE(other->weir != stuck->weir);
	T_EQ(weir_push(other->weir, "y", 1), 0);
	catch_give_last(stuck, 0, (struct weir_verdict){ .kind = WEIR_DONE }); /* late, and harmless */
	T_EQ(weir_flush_wait(other->weir, WEIR_SECONDS(60)), 0);
	T_EQ(other->count, 1);
	catch_end(other);
}

/* --- the next engine in the same place --- */

static struct catch *open_again(const struct weir *before)
{
	struct catch *catch = catch_new();

	catch->config.ring_bytes = 65536;
	catch->config.record_max = 8192;
	catch_open(catch);
	T_TRUE(catch->weir == before);
	return catch;
}

Test(corner, an_engine_knows_nothing_of_a_sink_that_broke_before_it)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_MILLIS(1) };
	static char data[4000];
	struct catch *catch = catch_new();
	int r;

	catch->verdicts[0] = (struct weir_verdict){ .kind = WEIR_FATAL };
	catch->verdict_count = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_close(catch->weir, WEIR_SECONDS(10), NULL), -EPIPE);
	T_EQ(weir_free(catch->weir), 0);
	catch = open_again(catch->weir);
	pthread_mutex_lock(&catch->lock);
	catch->hold = 1;
	pthread_mutex_unlock(&catch->lock);
	while ((r = weir_push_ex(catch->weir, data, sizeof(data), &options)) == 0)
		;
	T_EQ(r, -ETIMEDOUT);
	(void)catch_let_go(catch);
	(void)weir_close(catch->weir, WEIR_SECONDS(10), NULL);
	T_EQ(catch_stats(catch).dropped_fatal, 0);
	T_EQ(weir_free(catch->weir), 0);
}

Test(corner, an_engine_counts_nothing_that_was_refused_before_it)
{
	struct catch *catch = catch_new();
	struct weir_stats stats;

	catch_open(catch);
	T_EQ(weir_push(catch->weir, "x", catch->config.record_max + 1), -EMSGSIZE);
	atomic_fetch_add(&catch->weir->refused_context, 1);
	T_EQ(weir_close(catch->weir, WEIR_SECONDS(10), NULL), 0);
	T_EQ(weir_push(catch->weir, "x", 1), -ESHUTDOWN);
	stats = catch_stats(catch);
	T_EQ(stats.refused_too_big + stats.refused_context + stats.refused_closed, 3);
	T_EQ(weir_free(catch->weir), 0);
	catch = open_again(catch->weir);
	stats = catch_stats(catch);
	T_EQ(stats.refused_too_big + stats.refused_context + stats.refused_closed, 0);
	catch_end(catch);
}

/* --- a caller that was compiled for a later version --- */

Test(corner, of_a_report_nothing_is_written_but_what_there_is)
{
	struct {
		struct weir_close_report report;
		uint8_t later[256];
	} room;
	struct catch *catch = catch_new();

	catch_open(catch);
	memset(&room, 0xaa, sizeof(room));
	room.report.size = sizeof(room);
	T_EQ(weir_close(catch->weir, WEIR_SECONDS(10), &room.report), 0);
	T_EQ(room.report.left, 0);
	for (size_t i = 0; i < sizeof(room.later); i++)
		T_EQ(room.later[i], 0xaa);
	T_EQ(weir_free(catch->weir), 0);
}
