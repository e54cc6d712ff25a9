/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an engine whose sink is broken while it still has a batch. */
#include "catch.h"

#include "api/engine.h"

static void wait_a_little(void)
{
	const struct timespec a_while = { 0, 2000000 };

	nanosleep(&a_while, NULL);
}

static unsigned held(struct catch *catch)
{
	unsigned n;

	pthread_mutex_lock(&catch->lock);
	n = catch->held_count;
	pthread_mutex_unlock(&catch->lock);
	return n;
}

static void push_and_hold(struct catch *catch, unsigned count)
{
	T_EQ(weir_push(catch->weir, "r", 1), 0);
	T_EQ(weir_flush(catch->weir), 0);
	while (held(catch) < count)
		wait_a_little();
}

/* Gives the first batch back well after close has begun. */
static void *give_back_late(void *arg)
{
	struct catch *catch = arg;

	while (!atomic_load(&catch->weir->closing))
		wait_a_little();
	for (int i = 0; i < 25; i++)
		wait_a_little();
	catch_give_last(catch, 0, (struct weir_verdict){ .kind = WEIR_DONE });
	return NULL;
}

Test(close, a_batch_that_a_broken_sink_still_has_is_waited_for)
{
	struct weir_verdict fatal = { .kind = WEIR_FATAL, .code = -EIO };
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_audit audit = { .size = sizeof(audit) };
	struct catch *catch = catch_new();
	pthread_t late;

	catch->hold = 1;
	catch->caps.max_inflight = 2;
	catch_open(catch);
	push_and_hold(catch, 1);
	push_and_hold(catch, 2);
	weir_batch_complete(catch->held[1], &fatal);
	T_EQ(pthread_create(&late, NULL, give_back_late, catch), 0);
	T_EQ(weir_close(catch->weir, WEIR_SECONDS(60), &report), -EPIPE);
	pthread_join(late, NULL);
	T_EQ(report.sink_stuck, 0);
	T_EQ(report.left, 1);
	T_EQ(weir_audit(catch->weir, &audit), 0);
	T_EQ(audit.residual, 0);
	T_EQ(audit.delivered, 1);
	T_EQ(audit.dropped, 1);
	T_EQ(weir_free(catch->weir), 0);
}
