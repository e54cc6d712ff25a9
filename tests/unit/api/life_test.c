/* SPDX-License-Identifier: Apache-2.0 */
/* The promises of open, flush, source, stats, audit, features, own loop, close and free. */
#include "catch.h"

#include <poll.h>
#include <stdatomic.h>

#include "api/engine.h"
#include "base/testpoint.h"
#include "ring/rseq.h"

Test(open, a_sink_without_methods_or_of_an_unknown_abi_is_refused)
{
	struct weir_sink_ops ops = catch_ops;
	struct weir_sink sink = { &ops, NULL };
	struct weir_why why;
	struct weir *weir = NULL;

	T_EQ(weir_open(NULL, NULL, &weir, &why), -EINVAL);
	ops.abi = WEIR_SINK_ABI + 1;
	T_EQ(weir_open(NULL, &sink, &weir, &why), -EINVAL);
	T_TRUE(strstr(why.text, "abi"));
	ops.abi = WEIR_SINK_ABI;
	ops.settle = NULL;
	T_EQ(weir_open(NULL, &sink, &weir, NULL), -EINVAL);
	T_TRUE(!weir);
}

Test(open, a_sink_that_does_not_start_stays_the_callers)
{
	struct catch *catch = catch_new();
	struct weir_why why = { "" };
	struct weir *weir = NULL;

	catch->start_result = -ENXIO;
	T_EQ(weir_open(&catch->config, &catch->sink, &weir, &why), -ENXIO);
	T_TRUE(why.text[0]);
	T_TRUE(!weir);
	T_EQ(catch->closed, 0);
	catch->start_result = 0;
	catch_open(catch);
	catch_end(catch);
}

Test(open, sixty_four_engines_and_no_more)
{
	static struct catch *all[65];
	struct weir *weir = NULL;

	for (int i = 0; i < 65; i++)
		all[i] = catch_new();
	for (int i = 0; i < 64; i++)
		catch_open(all[i]);
	T_EQ(weir_open(&all[64]->config, &all[64]->sink, &weir, NULL), -EMFILE);
	for (int i = 0; i < 64; i++)
		T_EQ(weir_push(all[i]->weir, &i, sizeof(i)), 0);
	for (int i = 0; i < 64; i++) {
		catch_end(all[i]);
		T_EQ(all[i]->count, 1);
		T_EQ(all[i]->records[0].data[0], i);
	}
	catch_open(all[64]);
	catch_end(all[64]);
}

Test(flush, flush_sends_what_is_there_with_cause_manual)
{
	struct catch *catch = catch_new();

	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush(catch->weir), 0);
	catch_wait(catch, 1);
	T_EQ(catch->batch_cause[0], WEIR_CAUSE_MANUAL);
	T_EQ(catch_stats(catch).flushes[WEIR_CAUSE_MANUAL], 1);
	catch_end(catch);
}

Test(flush, flush_wait_of_nothing_returns_at_once)
{
	struct catch *catch = catch_new();

	T_EQ(weir_flush_wait(catch_open(catch), WEIR_SECONDS(10)), 0);
	T_EQ(catch->batches, 0);
	catch_end(catch);
}

Test(flush, flush_wait_times_out_while_the_sink_holds_the_batch)
{
	struct catch *catch = catch_new();

	catch->hold = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_MILLIS(20)), -ETIMEDOUT);
	T_EQ(catch_let_go(catch), 1);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	T_EQ(catch->count, 1);
	catch_end(catch);
}

Test(flush, threshold_fires_exactly_and_says_size)
{
	struct catch *catch = catch_new();

	catch->config.threshold = 7;
	catch_open(catch);
	for (uint64_t round = 1; round <= 20; round++) {
		for (int i = 0; i < 7; i++)
			T_EQ(weir_push(catch->weir, "x", 1), 0);
		catch_wait(catch, 7 * round);
		T_EQ(catch->batch_records[round - 1], 7);
		T_EQ(catch->batch_cause[round - 1], WEIR_CAUSE_SIZE);
	}
	catch_end(catch);
}

Test(flush, the_deadline_flushes_what_is_below_the_threshold)
{
	struct catch *catch = catch_new();

	catch->config.threshold = 10;
	catch->config.deadline_ns = WEIR_MILLIS(30);
	catch_open(catch);
	for (int i = 0; i < 3; i++)
		T_EQ(weir_push(catch->weir, "x", 1), 0);
	catch_wait(catch, 3);
	T_EQ(catch->batches, 1);
	T_EQ(catch->batch_cause[0], WEIR_CAUSE_DEADLINE);
	T_EQ(catch_stats(catch).timer_arms, 1);
	T_EQ(catch_stats(catch).wakeups_trigger, 1);
	catch_end(catch);
}

Test(flush, an_urgent_record_takes_the_others_along)
{
	struct catch *catch = catch_new();
	struct weir_push_options options = { .max_age_ns = WEIR_MILLIS(5) };

	catch->config.deadline_ns = WEIR_SECONDS(1000);
	T_EQ(weir_push(catch_open(catch), "bulk", 4), 0);
	T_EQ(weir_push_ex(catch->weir, "now", 3, &options), 0);
	catch_wait(catch, 2);
	T_EQ(catch->batches, 1);
	T_EQ(catch->batch_cause[0], WEIR_CAUSE_URGENT);
	catch_end(catch);
}

Test(flush, a_hot_ring_is_flushed_at_its_watermark)
{
	struct catch *catch = catch_new();
	static uint8_t data[4000];

	catch->config.ring_bytes = 65536;
	catch->config.record_max = 16384;
	catch_open(catch);
	for (int i = 0; i < 9; i++)
		T_EQ(weir_push(catch->weir, data, sizeof(data)), 0);
	catch_wait(catch, 1);
	T_EQ(catch->batch_cause[0], WEIR_CAUSE_PRESSURE);
	catch_end(catch);
}

Test(flush, bytes_fire_the_byte_threshold)
{
	struct catch *catch = catch_new();
	static uint8_t data[1000];

	catch->config.threshold_bytes = 20000;
	catch_open(catch);
	for (int i = 0; i < 25; i++)
		T_EQ(weir_push(catch->weir, data, sizeof(data)), 0);
	catch_wait(catch, 19);
	T_EQ(catch->batch_cause[0], WEIR_CAUSE_BYTES);
	catch_end(catch);
}

Test(flush, a_shadow_trigger_counts_and_does_nothing)
{
	struct catch *catch = catch_new();

	catch->config.threshold = 2;
	catch->config.threshold_mode = WEIR_MODE_SHADOW;
	catch_open(catch);
	for (int i = 0; i < 6; i++)
		T_EQ(weir_push(catch->weir, "x", 1), 0);
	T_EQ(catch->batches, 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	T_EQ(catch->batches, 1);
	T_EQ(catch_stats(catch).shadow[WEIR_CAUSE_SIZE], 3);
	T_EQ(catch_stats(catch).flushes[WEIR_CAUSE_SIZE], 0);
	catch_end(catch);
}

Test(verdict, a_retried_batch_keeps_its_id_and_counts_attempts)
{
	struct catch *catch = catch_new();

	catch->verdicts[0] = (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = 1000000 };
	catch->verdict_count = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	T_EQ(catch->batches, 2);
	T_EQ(catch->seq[0], 1);
	T_EQ(catch->seq[1], 1);
	T_EQ(catch->attempt[0], 1);
	T_EQ(catch->attempt[1], 2);
	T_EQ(catch_stats(catch).retries, 1);
	T_EQ(catch_stats(catch).redelivered, 1);
	catch_end(catch);
}

Test(verdict, a_batch_too_large_is_halved_down_to_single_records)
{
	struct catch *catch = catch_new();

	/* 4 -> 2 2, the first 2 -> 1 1, both done, the second 2 -> 1 1 */
	catch->verdicts[0].kind = catch->verdicts[1].kind = catch->verdicts[4].kind = WEIR_SPLIT;
	catch->verdict_count = 5;
	catch_open(catch);
	for (int i = 0; i < 4; i++)
		T_EQ(weir_push(catch->weir, &"abcd"[i], 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	T_EQ(catch->count, 4);
	for (int i = 0; i < 4; i++)
		T_EQ(catch->records[i].data[0], 'a' + i);
	T_EQ(catch_stats(catch).splits, 3);
	T_EQ(catch_stats(catch).delivered, 4);
	catch_end(catch);
}

Test(verdict, rejected_records_are_dropped_with_that_reason)
{
	struct catch *catch = catch_new();

	catch->verdicts[0].kind = WEIR_REJECT;
	catch->verdict_count = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	T_EQ(catch_stats(catch).dropped_rejected, 1);
	T_EQ(catch_audit(catch).dropped, 1);
	catch_end(catch);
}

Test(verdict, retries_end_when_the_total_time_is_up)
{
	struct catch *catch = catch_new();

	catch->config.batch_total_timeout_ns = WEIR_MILLIS(20);
	for (int i = 0; i < 64; i++)
		catch->verdicts[i] = (struct weir_verdict){ .kind = WEIR_RETRY };
	catch->verdict_count = 64;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	T_EQ(catch_stats(catch).dropped_timeout, 1);
	catch_end(catch);
}

Test(verdict, after_fatal_close_reports_what_was_left)
{
	struct catch *catch = catch_new();
	struct weir_close_report report = { .size = sizeof(report) };

	catch->verdicts[0].kind = WEIR_FATAL;
	catch->verdict_count = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush(catch->weir), 0);
	T_EQ(weir_close(catch->weir, WEIR_SECONDS(5), &report), -EPIPE);
	T_EQ(report.left, 1);
	T_EQ(catch_stats(catch).dropped_fatal, 1);
	T_EQ(catch_audit(catch).dropped, 1);
	T_EQ(weir_free(catch->weir), 0);
}

Test(source, the_same_name_has_the_same_id_and_ids_have_names)
{
	struct catch *catch = catch_new();
	struct weir *weir = catch_open(catch);
	int a = weir_source(weir, "a"), b = weir_source(weir, "b");

	T_TRUE(a > 0 && b > 0 && a != b);
	T_EQ(weir_source(weir, "a"), a);
	T_STR(weir_source_name(weir, (uint16_t)b), "b");
	T_TRUE(!weir_source_name(weir, 0));
	T_TRUE(!weir_source_name(weir, 60000));
	catch_end(catch);
}

Test(source, names_that_are_empty_or_too_long_are_refused)
{
	struct catch *catch = catch_new();
	char name[258];

	memset(name, 'n', sizeof(name));
	name[256] = 0;
	T_EQ(weir_source(catch_open(catch), ""), -EINVAL);
	T_EQ(weir_source(catch->weir, name), -EINVAL);
	name[255] = 0;
	T_TRUE(weir_source(catch->weir, name) > 0);
	catch_end(catch);
}

Test(source, there_are_65535_sources_and_no_more)
{
	struct catch *catch = catch_new();
	char name[16];

	catch_open(catch);
	for (int i = 1; i <= 65535; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		T_EQ(weir_source(catch->weir, name), i);
	}
	T_EQ(weir_source(catch->weir, "one more"), -ENOSPC);
	T_EQ(weir_source(catch->weir, "s65535"), 65535);
	catch_end(catch);
}

Test(stats, a_smaller_struct_of_an_older_caller_is_filled_as_far_as_it_reaches)
{
	struct catch *catch = catch_new();
	struct weir_stats stats;

	memset(&stats, 0xee, sizeof(stats));
	stats.size = offsetof(struct weir_stats, accepted_bytes);
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_stats(catch->weir, &stats), 0);
	T_EQ(stats.accepted, 1);
	T_EQ(stats.accepted_bytes, (int64_t)0xeeeeeeeeeeeeeeee);
	stats.size = 0;
	T_EQ(weir_stats(catch->weir, &stats), -EINVAL);
	catch_end(catch);
}

Test(stats, pending_and_its_age_are_told)
{
	struct catch *catch = catch_new();
	struct weir_stats stats;

	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_push(catch->weir, "y", 1), 0);
	stats = catch_stats(catch);
	T_EQ(stats.pending, 2);
	T_EQ(stats.accepted_bytes, 32);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	stats = catch_stats(catch);
	T_EQ(stats.pending, 0);
	T_EQ(stats.oldest_age_ns, 0);
	catch_end(catch);
}

Test(audit, counts_what_is_pending_by_walking)
{
	struct catch *catch = catch_new();
	struct weir_audit audit;

	catch->hold = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_MILLIS(20)), -ETIMEDOUT);
	T_EQ(weir_push(catch->weir, "y", 1), 0);
	audit = catch_audit(catch);
	T_EQ(audit.pending_batch, 1);
	T_EQ(audit.pending_ring, 1);
	catch_let_go(catch);
	catch_end(catch);
}

Test(features, process_and_engine_tell_what_they_use)
{
	struct catch *catch = catch_new();
	struct weir_features process = { .size = sizeof(process) }, engine = process;

	T_EQ(weir_features(NULL, &process), 0);
	T_EQ(weir_features(catch_open(catch), &engine), 0);
	T_EQ(process.rseq, engine.rseq);
	T_EQ(process.rseq, !process.why_no_rseq[0]);
	T_EQ(engine.ring_bytes, 1 << 20);
	T_TRUE(engine.cpus_possible >= engine.cpus_usable && engine.cpus_usable > 0);
	T_STR(weir_version(), WEIR_VERSION);
	catch_end(catch);
}

Test(loop, an_engine_with_its_own_thread_has_no_loop_to_run)
{
	struct catch *catch = catch_new();

	T_EQ(weir_run_once(catch_open(catch), 0), -EINVAL);
	T_EQ(weir_poll_fd(catch->weir), -EINVAL);
	catch_end(catch);
}

Test(loop, an_own_loop_is_told_by_its_descriptor_and_does_the_work)
{
	struct catch *catch = catch_new();
	struct pollfd fd = { .events = POLLIN };
	uint64_t next;

	catch->config.loop = WEIR_LOOP_OWN;
	catch->config.threshold = 3;
	catch_open(catch);
	fd.fd = weir_poll_fd(catch->weir);
	T_TRUE(fd.fd >= 0);
	T_EQ(poll(&fd, 1, 0), 0);
	T_EQ(weir_run_once(catch->weir, 0), 0);
	for (int i = 0; i < 3; i++)
		T_EQ(weir_push(catch->weir, "x", 1), 0);
	T_EQ(poll(&fd, 1, 5000), 1);
	T_EQ(weir_run_once(catch->weir, 0), 1);
	T_EQ(catch->count, 3);
	T_EQ(weir_next_deadline(catch->weir, &next), 0);
	T_EQ(next, -1);
	T_EQ(weir_push(catch->weir, "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	T_EQ(catch->count, 4);
	catch_end(catch);
}

Test(loop, next_deadline_is_that_of_the_first_record)
{
	struct catch *catch = catch_new();
	struct timespec now;
	uint64_t next, now_ns;

	catch->config.loop = WEIR_LOOP_OWN;
	catch->config.deadline_ns = WEIR_SECONDS(100);
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_next_deadline(catch->weir, &next), 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	T_TRUE(next > now_ns && next <= now_ns + WEIR_SECONDS(100) + 2000);
	catch_end(catch);
}

Test(close, close_delivers_what_is_left_with_cause_shutdown)
{
	struct catch *catch = catch_new();
	struct weir_close_report report = { .size = sizeof(report) };

	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_close(catch->weir, WEIR_SECONDS(10), &report), 0);
	T_EQ(catch->count, 1);
	T_EQ(catch->batch_cause[0], WEIR_CAUSE_SHUTDOWN);
	T_EQ(report.left, 0);
	T_EQ(weir_close(catch->weir, 0, &report), 0);
	T_EQ(catch->closed, 1);
	T_EQ(weir_free(catch->weir), 0);
}

Test(close, a_sink_that_keeps_its_batch_is_cancelled_and_the_rest_booked)
{
	struct catch *catch = catch_new();
	struct weir_close_report report = { .size = sizeof(report) };

	catch->hold = 1;
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_close(catch->weir, WEIR_MILLIS(30), &report), -ETIMEDOUT);
	T_EQ(report.timed_out, 1);
	T_EQ(report.left, 1);
	T_EQ(catch_stats(catch).dropped_shutdown, 1);
	T_EQ(catch_stats(catch).pending, 0);
	T_EQ(catch_audit(catch).residual, 0);
	T_EQ(weir_free(catch->weir), 0);
}

Test(close, free_closes_what_is_open_and_takes_null)
{
	struct catch *catch = catch_new();

	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_free(catch->weir), 0);
	T_EQ(catch->closed, 1);
	T_EQ(weir_free(NULL), 0);
}

Test(config, an_engine_with_a_bad_config_is_not_opened)
{
	struct catch *catch = catch_new();
	struct weir_why why;
	struct weir *weir = NULL;

	catch->config.threshold = 0;
	T_EQ(weir_open(&catch->config, &catch->sink, &weir, &why), -EINVAL);
	T_TRUE(strstr(why.text, "threshold"));
	T_TRUE(!weir);
}

#ifdef WR_TEST_POINTS
static _Atomic int stop_one, stopped, go_on;

static void nap(void)
{
	struct timespec ms = { 0, 1000000 };

	nanosleep(&ms, NULL);
}

static void stop_once(const char *name)
{
	if (strcmp(name, "fallback.reserved") != 0 || !atomic_exchange(&stop_one, 0))
		return;
	atomic_store(&stopped, 1);
	while (!atomic_load(&go_on))
		nap();
}

static void *push_one(void *weir)
{
	return (void *)(intptr_t)weir_push(weir, "late", 4);
}

static void *close_it(void *weir)
{
	return (void *)(intptr_t)weir_close(weir, WEIR_SECONDS(20), NULL);
}

/* Close once slept to its deadline: the flusher had no reason to look at the ring of such a place. */
Test(close, a_place_that_was_reserved_before_does_not_keep_it_waiting)
{
	struct catch *catch = catch_new();
	pthread_t pusher, closer;
	void *pushed, *closed;

	wr_rseq_force(WR_RSEQ_FORCED_OFF);
	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	for (int i = 0; i < 20; i++) /* the flusher falls asleep */
		nap();
	atomic_store(&stop_one, 1);
	atomic_store(&wr_testpoint_hook, stop_once);
	T_EQ(pthread_create(&pusher, NULL, push_one, catch->weir), 0);
	while (!atomic_load(&stopped))
		nap();
	T_EQ(pthread_create(&closer, NULL, close_it, catch->weir), 0);
	while (weir_flush(catch->weir) != -ESHUTDOWN)
		nap();
	for (int i = 0; i < 20; i++)
		nap();
	atomic_store(&go_on, 1);
	pthread_join(pusher, &pushed);
	pthread_join(closer, &closed);
	/* It came before the end: whether it is still taken is open, but close knows of it. */
	T_TRUE((intptr_t)pushed == 0 || (intptr_t)pushed == -ESHUTDOWN);
	T_EQ((intptr_t)closed, 0);
	T_EQ(catch->count, (intptr_t)pushed == 0 ? 2 : 1);
	T_EQ(weir_free(catch->weir), 0);
}

static struct weir_claim open_claim;

static void commit_in_sleep(const char *name)
{
	if (strcmp(name, "sleep.before_membarrier") == 0 && atomic_exchange(&stop_one, 0))
		(void)weir_commit(&open_claim);
}

/* What was left out of the sums as blocked was not credited when it became free meanwhile. */
Test(flush, a_claim_that_is_committed_while_the_flusher_falls_asleep_counts)
{
	struct catch *catch = catch_new();
	struct pollfd fd = { .events = POLLIN };

	catch->config.loop = WEIR_LOOP_OWN;
	catch->config.threshold = 3;
	T_EQ(weir_claim(catch_open(catch), 1, NULL, &open_claim), 0);
	atomic_store(&stop_one, 1);
	atomic_store(&wr_testpoint_hook, commit_in_sleep);
	T_EQ(weir_flush(catch->weir), 0);
	T_EQ(weir_run_once(catch->weir, 0), 1);
	T_EQ(atomic_load(&stop_one), 0);
	T_EQ(catch->count, 0);
	fd.fd = weir_poll_fd(catch->weir);
	T_EQ(weir_push(catch->weir, "x", 1), 0);
	T_EQ(poll(&fd, 1, 0), 0);
	T_EQ(weir_push(catch->weir, "x", 1), 0);
	T_EQ(poll(&fd, 1, 5000), 1);
	T_EQ(weir_run_once(catch->weir, 0), 1);
	T_EQ(catch->count, 3);
	T_EQ(catch->batch_cause[0], WEIR_CAUSE_SIZE);
	catch_end(catch);
}
#endif

/* A thread that is about to write to the timer or the event holds no slow path's count. */
Test(close, a_thread_within_a_write_keeps_the_descriptors_open)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct catch *catch = catch_new();

	T_EQ(weir_push(catch_open(catch), "x", 1), 0);
	T_EQ(weir_flush_wait(catch->weir, WEIR_SECONDS(10)), 0);
	atomic_fetch_add(&catch->weir->wake.writing, 1);
	(void)weir_close(catch->weir, WEIR_MILLIS(10), &report);
	T_EQ(report.threads_stuck, 1);
	T_TRUE(report.descriptors_kept > 0);
	T_EQ(catch->count, 1);
}
