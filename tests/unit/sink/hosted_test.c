/* SPDX-License-Identifier: Apache-2.0 */
/* hosted_test.c - a blocking function on a thread of its own. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <weir/sink.h>

#include "base/thread.h"
#include "test.h"
#include "unit/sink/host.h"

/* A function under the test's control. */
struct plain {
	struct weir_verdict say[64]; /* of the n-th call */
	_Atomic uint32_t calls, idles, closed, started, interrupted, stuck, inside_is_told;
	int start_answer;
	char name[16];
	int blocks_signals;
	pthread_t thread;
	uint64_t seen[4096]; /* first record's number of each record delivered */
	uint32_t seen_count;
};

static struct weir_why why;

static void plain_write(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct plain *plain = arg;
	uint32_t call = plain->calls++;
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;
	uint64_t delivered;
	sigset_t set;

	T_EQ(verdict->kind, WEIR_DONE);
	plain->thread = pthread_self();
	prctl(PR_GET_NAME, plain->name);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	plain->blocks_signals = sigismember(&set, SIGPIPE) && sigismember(&set, SIGTERM);
	plain->inside_is_told = wr_thread_hosted;
	while (plain->stuck)
		usleep(1000);
	if (call < 64)
		*verdict = plain->say[call];
	delivered = verdict->kind == WEIR_DONE      ? batch->records :
	            verdict->kind == WEIR_PARTIAL ? verdict->records :
	                                              0;
	while (delivered-- && weir_batch_next(batch, &iter, &record)) {
		uint64_t number;

		memcpy(&number, record.data, sizeof(number));
		plain->seen[plain->seen_count++] = number;
	}
}

static void plain_idle(void *arg)
{
	struct plain *plain = arg;

	plain->idles++;
	while (plain->stuck)
		usleep(1000);
}

static int plain_start(void *arg, struct weir_why *ret_why)
{
	struct plain *plain = arg;

	plain->started++;
	if (plain->start_answer)
		snprintf(ret_why->text, sizeof(ret_why->text), "not today");
	return plain->start_answer;
}

static void plain_interrupt(void *arg)
{
	((struct plain *)arg)->interrupted++;
}

static void plain_trouble(void *arg, struct weir_why *ret_why)
{
	(void)arg;
	snprintf(ret_why->text, sizeof(ret_why->text), "out of paper");
}

static void plain_close(void *arg)
{
	((struct plain *)arg)->closed++;
}

static const struct weir_hosted_ops plain_ops = { "plain",        plain_write,     plain_idle,
	                                          plain_start,    plain_interrupt, plain_trouble,
	                                          plain_close };

static struct weir_sink *open_plain(struct plain *plain, uint32_t inflight, uint64_t idle_ns)
{
	const struct weir_sink_caps caps = { .max_inflight = inflight,
		                             .max_records = 123,
		                             .max_bytes = 456,
		                             .ordered = 1 };
	struct weir_sink *sink;

	T_EQ(weir_sink_hosted(&plain_ops, plain, &caps, idle_ns, &sink), 0);
	return sink;
}

/* @records numbers from @from on. */
static struct made *numbers(struct host *host, uint64_t seq, uint64_t from, unsigned records)
{
	struct made *made = made_new(host, seq);

	for (unsigned i = 0; i < records; i++, from++)
		made_add(made, 0, 0, &from, sizeof(from));
	return made;
}

static int give_one(struct host *host, uint64_t seq)
{
	struct made *made = numbers(host, seq, 0, 1);
	int kind;

	host_give(host, made);
	kind = host_wait(host, made);
	made_free(made);
	return kind;
}

Test(hosted, what_cannot_be_a_sink_is_refused)
{
	const struct weir_hosted_ops no_write = { .name = "x" }, no_name = { .write = plain_write };
	struct weir_sink_caps caps = { .max_inflight = 2 };
	struct weir_sink *sink;

	T_EQ(weir_sink_hosted(NULL, NULL, &caps, 0, &sink), -EINVAL);
	T_EQ(weir_sink_hosted(&no_write, NULL, &caps, 0, &sink), -EINVAL);
	T_EQ(weir_sink_hosted(&no_name, NULL, &caps, 0, &sink), -EINVAL);
	T_EQ(weir_sink_hosted(&plain_ops, NULL, NULL, 0, &sink), -EINVAL);
	T_EQ(weir_sink_hosted(&plain_ops, NULL, &caps, 0, NULL), -EINVAL);
	caps.max_inflight = 1000;
	T_EQ(weir_sink_hosted(&plain_ops, NULL, &caps, 0, &sink), -EINVAL);
}

Test(hosted, the_caps_are_the_callers_and_one_batch_at_least)
{
	static struct plain plain;
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 0, 0), &why), 0);
	T_EQ(host.caps.max_inflight, 1);
	T_EQ(host.caps.max_records, 123);
	T_EQ(host.caps.max_bytes, 456);
	T_EQ(host.caps.ordered, 1);
	host_close(&host);
	T_EQ(plain.closed, 1);
}

Test(hosted, write_runs_on_a_thread_of_its_own_with_a_name_and_no_signals)
{
	static struct plain plain;
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	T_EQ(give_one(&host, 1), WEIR_DONE);
	host_close(&host);
	T_TRUE(!pthread_equal(plain.thread, pthread_self()));
	T_STR(plain.name, "weir-plain");
	T_EQ(plain.blocks_signals, 1);
}

Test(hosted, the_callers_signals_are_as_they_were_after_start)
{
	static struct plain plain;
	struct host host;
	sigset_t set;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	T_EQ(sigismember(&set, SIGTERM), 0);
	host_close(&host);
}

Test(hosted, the_thread_is_marked_while_it_runs_the_sinks_code)
{
	static struct plain plain;
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	T_EQ(give_one(&host, 1), WEIR_DONE);
	T_EQ(plain.inside_is_told, 1);
	T_EQ(give_one(&host, 2), WEIR_DONE);
	T_EQ(plain.inside_is_told, 1);
	host_close(&host);
	T_EQ(wr_thread_hosted, 0);
}

Test(hosted, a_start_that_fails_says_why_and_starts_no_thread)
{
	static struct plain plain = { .start_answer = -EACCES };
	struct weir_sink *sink = open_plain(&plain, 2, 0);
	struct host host;

	T_EQ(host_start(&host, sink, &why), -EACCES);
	T_STR(why.text, "not today");
	sink->ops->close(sink);
	T_EQ(plain.closed, 1);
	T_EQ(plain.calls, 0);
}

Test(hosted, a_start_that_failed_may_be_tried_again_and_one_that_worked_is_not_repeated)
{
	static struct plain plain = { .start_answer = -EACCES };
	struct weir_sink *sink = open_plain(&plain, 2, 0);
	struct host host;

	T_EQ(host_start(&host, sink, &why), -EACCES);
	plain.start_answer = 0;
	T_EQ(host_start(&host, sink, &why), 0);
	T_EQ(host_start(&host, sink, &why), 0);
	T_EQ(plain.started, 2);
	T_EQ(give_one(&host, 1), WEIR_DONE);
	host_close(&host);
}

Test(hosted, every_kind_of_verdict_is_passed_on)
{
	static struct plain plain = { .say = { { .kind = WEIR_REJECT, .code = -5 },
		                               { .kind = WEIR_SPLIT },
		                               { .kind = WEIR_RETRY, .after_ns = 77 } } };
	struct made *made[3];
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 1, 0), &why), 0);
	for (uint64_t i = 0; i < 3; i++) {
		made[i] = numbers(&host, i == 2 ? 2 : i + 1, 0, 2);
		host_give(&host, made[i]);
		(void)host_wait(&host, made[i]);
	}
	T_EQ(made[0]->verdict.kind, WEIR_REJECT);
	T_EQ(made[0]->verdict.code, -5);
	T_EQ(made[1]->verdict.kind, WEIR_SPLIT);
	T_EQ(made[2]->verdict.kind, WEIR_RETRY);
	T_EQ(made[2]->verdict.after_ns, 77);
	host_close(&host);
	for (int i = 0; i < 3; i++)
		made_free(made[i]);
}

Test(hosted, after_a_fatal_verdict_write_is_not_called_again)
{
	static struct plain plain = { .say = { { .kind = WEIR_FATAL, .code = -EPIPE } } };
	struct made *made[2];
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	for (uint64_t i = 0; i < 2; i++) {
		made[i] = numbers(&host, i + 1, 0, 1);
		host_give(&host, made[i]);
		T_EQ(host_wait(&host, made[i]), WEIR_FATAL);
		T_EQ(made[i]->verdict.code, -EPIPE);
	}
	T_EQ(plain.calls, 1);
	host_close(&host);
	made_free(made[0]);
	made_free(made[1]);
}

/* With a queue, a later batch is there already when an earlier one fails. */
static void keep_order(uint32_t inflight, unsigned seed)
{
	static struct plain plain;
	struct made *made[40];
	struct host host;

	memset(&plain, 0, sizeof(plain));
	for (int i = 0; i < 64; i++) {
		plain.say[i].kind = rand_r(&seed) % 2 ? WEIR_DONE :
		                    rand_r(&seed) % 2 ? WEIR_RETRY :
		                                        WEIR_PARTIAL;
		plain.say[i].records = (uint64_t)rand_r(&seed) % 5;
	}
	T_EQ(host_start(&host, open_plain(&plain, inflight, 0), &why), 0);
	for (uint64_t i = 0; i < 40; i++)
		made[i] = numbers(&host, i + 1, i * 8, 8);
	host_run(&host, made, 40);
	host_close(&host);
	T_EQ(plain.seen_count, 40 * 8);
	for (uint32_t i = 0; i < plain.seen_count; i++)
		T_EQ(plain.seen[i], i);
}

Test(hosted, order_survives_retries_and_partial_verdicts_with_one_in_flight)
{
	for (unsigned seed = 1; seed < 20; seed++)
		keep_order(1, seed);
}

Test(hosted, order_survives_retries_and_partial_verdicts_with_two_in_flight)
{
	for (unsigned seed = 1; seed < 20; seed++)
		keep_order(2, seed);
}

Test(hosted, order_survives_retries_and_partial_verdicts_with_many_in_flight)
{
	for (unsigned seed = 1; seed < 20; seed++)
		keep_order(16, seed);
}

Test(hosted, idle_is_called_once_after_a_batch_and_not_again)
{
	static struct plain plain;
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 1000000), &why), 0);
	usleep(20000);
	T_EQ(plain.idles, 0); /* nothing was written: nothing to tidy up */
	T_EQ(give_one(&host, 1), WEIR_DONE);
	while (!plain.idles)
		usleep(1000);
	usleep(20000);
	T_EQ(plain.idles, 1);
	T_EQ(give_one(&host, 2), WEIR_DONE);
	while (plain.idles < 2)
		usleep(1000);
	host_close(&host);
	T_EQ(plain.idles, 2);
}

Test(hosted, without_idle_ns_idle_is_never_called)
{
	static struct plain plain;
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	T_EQ(give_one(&host, 1), WEIR_DONE);
	usleep(20000);
	host_close(&host);
	T_EQ(plain.idles, 0);
}

Test(hosted, cancel_interrupts_write)
{
	static struct plain plain;
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	host.sink->ops->cancel(host.sink);
	T_EQ(plain.interrupted, 1);
	T_EQ(give_one(&host, 1), WEIR_RETRY);
	T_EQ(plain.calls, 0);
	host_close(&host);
}

Test(hosted, close_leaves_a_write_that_does_not_return_behind)
{
	static struct plain plain = { .stuck = 1 };
	static struct made *made[2]; /* what is left behind stays readable */
	static struct host host;
	uint64_t begun;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	for (uint64_t i = 0; i < 2; i++) {
		made[i] = numbers(&host, i + 1, 0, 1);
		host_give(&host, made[i]);
	}
	while (!plain.calls)
		usleep(1000);
	begun = in_ms(0);
	host.sink->ops->close(host.sink);
	T_TRUE(in_ms(0) - begun < 10000000000u); /* it came back at all */
	T_TRUE(plain.interrupted >= 1);
	T_EQ(plain.closed, 0); /* write() still uses it */
	host.closed = 1;
	plain.stuck = 0;
	usleep(50000);
	T_EQ(host_completed(&host), 0); /* nothing after close */
	T_EQ(plain.calls, 1);
}

Test(hosted, close_leaves_an_idle_call_that_does_not_return_behind)
{
	static struct plain plain;
	static struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 50000000), &why), 0);
	T_EQ(give_one(&host, 1), WEIR_DONE);
	plain.stuck = 1;
	while (!plain.idles)
		usleep(1000);
	host.sink->ops->close(host.sink); /* would hang for ever */
	T_EQ(plain.closed, 0);
	plain.stuck = 0;
}

Test(hosted, trouble_is_what_the_function_says)
{
	static struct plain plain;
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 2, 0), &why), 0);
	host.sink->ops->trouble(host.sink, &why);
	T_STR(why.text, "out of paper");
	host_close(&host);
}

Test(hosted, a_queue_of_many_batches_is_worked_off_in_order)
{
	static struct plain plain;
	struct made *made[64];
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 7, 0), &why), 0);
	for (uint64_t i = 0; i < 64; i++)
		made[i] = numbers(&host, i + 1, i, 1);
	host_run(&host, made, 64);
	host_close(&host);
	T_EQ(plain.seen_count, 64);
	for (uint32_t i = 0; i < 64; i++)
		T_EQ(plain.seen[i], i);
}

/* Each batch for itself: one that comes again holds no other back. */
Test(hosted, a_batch_that_was_sent_back_for_the_sake_of_order_is_waited_for_as_well)
{
	struct plain plain = { .stuck = 1, .say = { { .kind = WEIR_RETRY } } };
	struct made *made[3];
	struct host host;

	T_EQ(host_start(&host, open_plain(&plain, 3, 0), &why), 0);
	for (unsigned i = 0; i < 3; i++)
		made[i] = numbers(&host, i + 1, i, 1);
	T_EQ(host_submit(&host, made[0]), 0);
	T_EQ(host_submit(&host, made[1]), 0);
	plain.stuck = 0;
	T_EQ(host_wait(&host, made[0]), WEIR_RETRY);
	T_EQ(host_wait(&host, made[1]), WEIR_RETRY); /* unwritten: the first is to come before */
	T_EQ(host_submit(&host, made[0]), 0);
	T_EQ(host_wait(&host, made[0]), WEIR_DONE);
	T_EQ(host_submit(&host, made[2]), 0);
	T_EQ(host_wait(&host, made[2]), WEIR_RETRY); /* the second is still to come */
	T_EQ(host_submit(&host, made[1]), 0);
	T_EQ(host_wait(&host, made[1]), WEIR_DONE);
	T_EQ(host_submit(&host, made[2]), 0);
	T_EQ(host_wait(&host, made[2]), WEIR_DONE);
	for (uint32_t i = 0; i < 3; i++)
		T_EQ(plain.seen[i], i);
	T_EQ(plain.seen_count, 3);
	host_close(&host);
	for (unsigned i = 0; i < 3; i++)
		made_free(made[i]);
}

/* --- cancel, with the next batch on its way --- */

static struct {
	struct host host;
	_Atomic uint32_t calls, go_on;
} race;

static void race_write(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)arg, (void)batch, (void)verdict;
	race.calls++;
	while (!race.go_on)
		usleep(1000);
}

/* Ends the write that is under way, and stays until the next batch has met its fate. */
static void race_interrupt(void *arg)
{
	(void)arg;
	race.go_on = 1;
	while (race.calls < 2 && host_completed(&race.host) < 2)
		usleep(1000);
}

Test(hosted, no_write_begins_once_one_was_interrupted)
{
	const struct weir_hosted_ops ops = { .name = "race",
		                             .write = race_write,
		                             .interrupt = race_interrupt };
	const struct weir_sink_caps caps = { .max_inflight = 2 };
	struct weir_sink *sink;
	struct made *made[2];

	T_EQ(weir_sink_hosted(&ops, NULL, &caps, 0, &sink), 0);
	T_EQ(host_start(&race.host, sink, &why), 0);
	for (unsigned i = 0; i < 2; i++) {
		made[i] = numbers(&race.host, i + 1, i, 1);
		T_EQ(host_submit(&race.host, made[i]), 0);
	}
	while (!race.calls)
		usleep(1000);
	sink->ops->cancel(sink);
	T_EQ(host_wait(&race.host, made[0]), WEIR_DONE);
	T_EQ(host_wait(&race.host, made[1]), WEIR_RETRY);
	T_EQ(race.calls, 1);
	host_close(&race.host);
	for (unsigned i = 0; i < 2; i++)
		made_free(made[i]);
}

Test(hosted, without_an_order_a_later_batch_does_not_wait)
{
	static struct plain plain = { .say = { { .kind = WEIR_RETRY } } };
	const struct weir_sink_caps caps = { .max_inflight = 2 };
	struct weir_sink *sink;
	struct host host;

	T_EQ(weir_sink_hosted(&plain_ops, &plain, &caps, 0, &sink), 0);
	T_EQ(host_start(&host, sink, &why), 0);
	T_EQ(give_one(&host, 1), WEIR_RETRY);
	T_EQ(give_one(&host, 2), WEIR_DONE);
	T_EQ(plain.calls, 2);
	host_close(&host);
}
