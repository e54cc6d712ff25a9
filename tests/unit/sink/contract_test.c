/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract_test.c - one list of promises, kept by every sink.
 *
 * kinds[] is the table of sinks; a test is one promise, tried on each of them. A sink that can be
 * stalled (its destination takes nothing for a while) has stall() and go_on().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>
#include <weir/log.h>

#include "test.h"
#include "unit/sink/collect.h"
#include "unit/sink/host.h"

struct fixture {
	const struct kind *kind;
	struct weir_sink *sink;
	struct collect collect; /* what has arrived */
};

static const struct kind {
	const char *name;
	const char *frame; /* of an fd: kind */
	int stalls, observed;
} kinds[] = {
	{ "null", NULL, 0, 0 },
	{ "callback", NULL, 0, 1 },
	{ "hosted", NULL, 1, 1 },
	{ "fd", "lines", 1, 1 },
	{ "fd", "len32", 1, 1 },
	{ "fd", "nul", 1, 1 },
	{ "fd", "raw", 1, 1 },
	{ "file", NULL, 0, 1 },
};

static void fixture_open(struct fixture *f, const struct kind *kind)
{
	struct weir_why why = { "" };
	char uri[128];
	int r = 0;

	memset(f, 0, sizeof(*f));
	f->kind = kind;
	collect_init(&f->collect, kind->name, kind->frame);
	if (strcmp(kind->name, "null") == 0) {
		r = weir_sink_open("null:", &f->sink, &why);
	} else if (strcmp(kind->name, "callback") == 0) {
		r = weir_sink_callback(collect_callback, &f->collect, &f->sink);
	} else if (strcmp(kind->name, "hosted") == 0) {
		r = collect_hosted(&f->collect, &f->sink);
	} else if (strcmp(kind->name, "fd") == 0) {
		snprintf(uri, sizeof(uri), "fd:%d?frame=%s", collect_pipe(&f->collect),
		         kind->frame);
		r = weir_sink_open(uri, &f->sink, &why);
		close(f->collect.pipe_write);
	} else {
		snprintf(uri, sizeof(uri), "file:%s", collect_dir(&f->collect));
		r = weir_sink_open(uri, &f->sink, &why);
	}
	if (r)
		T_FAIL("%s: %d %s", kind->name, r, why.text);
}

static void fixture_end(struct fixture *f)
{
	collect_end(&f->collect);
}

/* A promise, tried on every sink of the table. */
#define PROMISE(name_, needs_) \
	static void name_(struct fixture *f, struct host *host); \
	Test(contract, name_) \
	{ \
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) { \
			struct weir_why why = { "" }; \
			struct fixture f; \
			struct host host; \
			if (!(needs_)) \
				continue; \
			fixture_open(&f, &kinds[i]); \
			T_EQ(host_start(&host, f.sink, &why), 0); \
			name_(&f, &host); \
			fixture_end(&f); \
		} \
	} \
	static void name_(struct fixture *f, struct host *host)
#define ANY 1
#define STALLS (kinds[i].stalls)
#define OBSERVED (kinds[i].observed)

static struct made *small(struct host *host, uint64_t seq)
{
	struct made *made = made_new(host, seq);
	char text[32];

	snprintf(text, sizeof(text), "record of %" PRIu64, seq);
	made_text(made, text);
	return made;
}

/* More than a stalled sink takes without being finished with it. */
static struct made *large(struct host *host, uint64_t seq)
{
	struct made *made = made_new(host, seq);
	char text[4000];

	memset(text, 'a' + (int)(seq % 26), sizeof(text));
	for (int i = 0; i < 8; i++)
		made_add(made, 0, 0, text, sizeof(text));
	return made;
}

PROMISE(a_batch_taken_is_completed_exactly_once, ANY)
{
	struct made *made[20];

	for (uint64_t i = 0; i < 20; i++) {
		made[i] = small(host, i + 1);
		host_give(host, made[i]);
	}
	(void)f;
	host_close(host);
	T_EQ(host_completed(host), 20);
	for (int i = 0; i < 20; i++) {
		T_EQ(made[i]->completed, 1);
		T_EQ(made[i]->verdict.kind, WEIR_DONE);
		made_free(made[i]);
	}
}

PROMISE(nothing_is_completed_after_close, STALLS)
{
	struct made *made[2] = { large(host, 1), large(host, 2) };
	unsigned completed;

	collect_stall(&f->collect);
	host_give(host, made[0]);
	host_give(host, made[1]);
	T_EQ(host->sink->ops->settle(host->sink, in_ms(20)), -ETIMEDOUT);
	host->sink->ops->close(host->sink);
	host->closed = 1;
	completed = host_completed(host);
	collect_go_on(&f->collect);
	usleep(20000);
	T_EQ(host_completed(host), completed);
	T_EQ(host->too_late, 0);
	made_free(made[0]);
	made_free(made[1]);
}

PROMISE(settle_waits_until_every_batch_is_back, STALLS)
{
	struct made *made[2] = { large(host, 1), large(host, 2) };

	collect_stall(&f->collect);
	host_give(host, made[0]);
	host_give(host, made[1]);
	collect_go_on_soon(&f->collect);
	T_EQ(host->sink->ops->settle(host->sink, in_ms(20000)), 0);
	T_EQ(host_completed(host), 2);
	host_close(host);
	made_free(made[0]);
	made_free(made[1]);
}

PROMISE(settle_ends_at_its_deadline, STALLS)
{
	struct made *made = large(host, 1);

	collect_stall(&f->collect);
	host_give(host, made);
	T_EQ(host->sink->ops->settle(host->sink, in_ms(10)), -ETIMEDOUT);
	T_EQ(host->sink->ops->settle(host->sink, 0), -ETIMEDOUT);
	T_EQ(host_completed(host), 0);
	collect_go_on(&f->collect);
	T_EQ(host->sink->ops->settle(host->sink, in_ms(20000)), 0);
	T_EQ(made->verdict.kind, WEIR_DONE);
	host_close(host);
	made_free(made);
}

PROMISE(settle_with_nothing_taken_is_done_at_once, ANY)
{
	(void)f;
	T_EQ(host->sink->ops->settle(host->sink, 0), 0);
	host_close(host);
}

PROMISE(a_full_sink_refuses_and_then_says_ready_exactly_once, STALLS)
{
	struct made *made[8], *refused;
	unsigned taken = 0;

	collect_stall(&f->collect);
	while (taken < 8) {
		made[taken] = large(host, taken + 1);
		if (host_submit(host, made[taken]) == -EAGAIN)
			break;
		taken++;
	}
	T_TRUE(taken >= host->caps.max_inflight);
	T_TRUE(taken < 8);
	refused = made[taken];
	T_EQ(host_ready(host), 0);
	T_EQ(host_completed(host), 0);
	collect_go_on(&f->collect);
	host_wait_ready(host, 1);
	T_EQ(host_submit(host, refused), 0);
	host_close(host);
	T_EQ(host_ready(host), 1);
	T_EQ(host_completed(host), taken + 1);
	for (unsigned i = 0; i <= taken; i++) {
		T_EQ(made[i]->completed, 1);
		made_free(made[i]);
	}
}

PROMISE(a_sink_that_refused_nothing_never_says_ready, ANY)
{
	struct made *made = small(host, 1);

	(void)f;
	host_give(host, made);
	(void)host_wait(host, made);
	host_close(host);
	T_EQ(host_ready(host), 0);
	made_free(made);
}

PROMISE(submit_does_not_wait_for_a_stalled_destination, STALLS)
{
	struct made *made[4] = { 0 };

	collect_stall(&f->collect);
	for (uint64_t i = 0; i < host->caps.max_inflight && i < 4; i++) {
		made[i] = large(host, i + 1);
		T_EQ(host_submit(host, made[i]), 0); /* would hang for ever */
	}
	collect_go_on(&f->collect);
	host_close(host);
	for (int i = 0; i < 4; i++)
		if (made[i])
			made_free(made[i]);
}

PROMISE(cancel_gives_back_everything_that_was_not_delivered, STALLS)
{
	struct made *made[2] = { large(host, 1), large(host, 2) };

	collect_stall(&f->collect);
	host_give(host, made[0]);
	host_give(host, made[1]);
	host->sink->ops->cancel(host->sink);
	T_EQ(host->sink->ops->settle(host->sink, in_ms(20000)), 0);
	T_TRUE(made[0]->verdict.kind == WEIR_RETRY || made[0]->verdict.kind == WEIR_PARTIAL);
	T_EQ(made[1]->verdict.kind, WEIR_RETRY);
	collect_go_on(&f->collect);
	host_close(host);
	made_free(made[0]);
	made_free(made[1]);
}

PROMISE(a_batch_that_comes_after_cancel_comes_back_too, STALLS)
{
	struct made *made = small(host, 1);

	(void)f;
	host->sink->ops->cancel(host->sink);
	host_give(host, made);
	T_EQ(host_wait(host, made), WEIR_RETRY);
	T_TRUE(made->verdict.after_ns > 0);
	host_close(host);
	made_free(made);
}

PROMISE(close_without_a_batch_leaves_nothing_behind, ANY)
{
	(void)f;
	host_close(host);
}

PROMISE(starting_again_after_a_failed_open_is_harmless, ANY)
{
	struct weir_sink_caps caps = { 0 };
	struct weir_why why = { "" };
	struct made *made = small(host, 1);

	(void)f;
	T_EQ(host->sink->ops->start(host->sink, &host->base, &caps, &why), 0);
	T_EQ(caps.max_inflight, host->caps.max_inflight);
	host_give(host, made);
	T_EQ(host_wait(host, made), WEIR_DONE);
	host_close(host);
	made_free(made);
}

/* Records of every size around the alignment, in random spans, with holes and extensions. */
static struct made *random_batch(struct fixture *f, struct host *host, uint64_t seq, unsigned *seed)
{
	struct made *made = made_new(host, seq);
	unsigned records = 1 + (unsigned)rand_r(seed) % 40;

	for (unsigned i = 0; i < records; i++) {
		uint16_t flags = (uint16_t)((rand_r(seed) & 0xf) << 4);
		uint32_t size = (uint32_t)rand_r(seed) % (i % 8 ? 40 : 6000);
		char text[6000];

		if (rand_r(seed) % 4 == 0)
			made_cut(made);
		if (rand_r(seed) % 8 == 0)
			made_add(made, 0, WEIR_REC_ABORTED, "never was", 9);
		for (uint32_t k = 0; k < size; k++)
			text[k] = (char)('A' + (seq + i + k) % 50);
		made_add(made, 0, flags, text, size);
		collect_expect(&f->collect, text, size);
	}
	return made;
}

PROMISE(batches_of_any_layout_arrive_complete_and_in_order, ANY)
{
	struct made *made[60];
	unsigned seed = 7;

	for (uint64_t i = 0; i < 60; i++)
		made[i] = random_batch(f, host, i + 1, &seed);
	host_run(host, made, 60);
	host_close(host);
	if (f->kind->observed)
		collect_check(&f->collect);
}

PROMISE(a_record_without_bytes_arrives, OBSERVED)
{
	struct made *made = made_new(host, 1);

	made_text(made, "");
	made_text(made, "x");
	made_text(made, "");
	host_give(host, made);
	host_close(host);
	collect_expect(&f->collect, "", 0);
	collect_expect(&f->collect, "x", 1);
	collect_expect(&f->collect, "", 0);
	collect_check(&f->collect);
	made_free(made);
}

PROMISE(an_aborted_claim_is_skipped, OBSERVED)
{
	struct made *made = made_new(host, 1);

	made_add(made, 0, WEIR_REC_ABORTED, "no", 2);
	made_text(made, "yes");
	made_add(made, 0, WEIR_REC_ABORTED, "no", 2);
	host_give(host, made);
	host_close(host);
	collect_expect(&f->collect, "yes", 3);
	collect_check(&f->collect);
	made_free(made);
}

PROMISE(extensions_are_not_payload, OBSERVED)
{
	struct made *made = made_new(host, 1);

	made_add(made, 3, WEIR_REC_UUID | WEIR_REC_ORIGIN, "one", 3);
	made_add(made, 3, WEIR_REC_MARK | WEIR_REC_MAX_AGE, "two", 3);
	host_give(host, made);
	host_close(host);
	collect_expect(&f->collect, "one", 3);
	collect_expect(&f->collect, "two", 3);
	collect_check(&f->collect);
	made_free(made);
}

PROMISE(a_span_of_aborted_claims_alone_is_skipped, OBSERVED)
{
	struct made *made = made_new(host, 1);

	made_text(made, "a");
	made_cut(made);
	made_add(made, 0, WEIR_REC_ABORTED, "no", 2);
	made_cut(made);
	made_text(made, "b");
	host_give(host, made);
	host_close(host);
	collect_expect(&f->collect, "a", 1);
	collect_expect(&f->collect, "b", 1);
	collect_check(&f->collect);
	made_free(made);
}

PROMISE(more_records_than_one_writev_takes_arrive, OBSERVED)
{
	struct made *made = made_new(host, 1);
	char text[16];

	for (int i = 0; i < 3000; i++) {
		int n = snprintf(text, sizeof(text), "r%d", i);

		if (i % 60 == 0)
			made_cut(made);
		made_text(made, text);
		collect_expect(&f->collect, text, (size_t)n);
	}
	host_give(host, made);
	host_close(host);
	collect_check(&f->collect);
	made_free(made);
}

PROMISE(a_large_record_arrives, OBSERVED)
{
	struct made *made = made_new(host, 1);
	size_t bytes = 300000;
	char *text = malloc(bytes);

	memset(text, 'q', bytes);
	made_add(made, 0, 0, text, (uint32_t)bytes);
	host_give(host, made);
	host_close(host);
	collect_expect(&f->collect, text, bytes);
	collect_check(&f->collect);
	free(text);
	made_free(made);
}

PROMISE(sequences_around_the_wrap_keep_their_order, OBSERVED)
{
	struct made *made[8];

	for (uint64_t i = 0; i < 8; i++) {
		char text[24];
		int n = snprintf(text, sizeof(text), "n%" PRIu64, i);

		made[i] = made_new(host, i - 4);
		made_text(made[i], text);
		collect_expect(&f->collect, text, (size_t)n);
	}
	host_run(host, made, 8);
	host_close(host);
	collect_check(&f->collect);
}

PROMISE(as_many_batches_as_the_caps_say_are_taken, STALLS)
{
	struct made *made[32];

	collect_stall(&f->collect);
	T_TRUE(host->caps.max_inflight >= 1);
	T_TRUE(host->caps.max_inflight <= 32);
	for (uint32_t i = 0; i < host->caps.max_inflight; i++) {
		made[i] = small(host, i + 1);
		T_EQ(host_submit(host, made[i]), 0);
	}
	collect_go_on(&f->collect);
	host_close(host);
	for (uint32_t i = 0; i < host->caps.max_inflight; i++)
		made_free(made[i]);
}

PROMISE(batches_are_completed_in_the_order_of_submit, ANY)
{
	struct made *made[2];

	(void)f;
	for (int round = 0; round < 50; round++) {
		made[0] = small(host, (uint64_t)round * 2 + 1);
		made[1] = small(host, (uint64_t)round * 2 + 2);
		host_give(host, made[0]);
		host_give(host, made[1]);
		(void)host_wait(host, made[0]);
		(void)host_wait(host, made[1]);
		T_TRUE(made[0]->order < made[1]->order);
		made_free(made[0]);
		made_free(made[1]);
	}
	host_close(host);
}

PROMISE(a_sink_without_trouble_says_nothing, ANY)
{
	struct weir_why why = { "untouched" };
	struct made *made = small(host, 1);

	(void)f;
	host_give(host, made);
	(void)host_wait(host, made);
	if (host->sink->ops->trouble) {
		host->sink->ops->trouble(host->sink, &why);
		T_STR(why.text, "");
	}
	host_close(host);
	made_free(made);
}

PROMISE(the_table_of_methods_is_complete, ANY)
{
	const struct weir_sink_ops *ops = host->sink->ops;

	T_EQ(ops->abi, WEIR_SINK_ABI);
	T_STR(ops->name, f->kind->name);
	T_TRUE(ops->submit && ops->settle && ops->close);
	T_EQ(host->caps.ordered, 1);
	host_close(host);
}

Test(contract, a_sink_that_was_never_started_closes)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct fixture f;

		fixture_open(&f, &kinds[i]);
		f.sink->ops->close(f.sink);
		fixture_end(&f);
	}
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(contract, descriptors_are_given_back_by_close)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct weir_why why = { "" };
		struct fixture f;
		struct host host;
		int before = count_fds();

		fixture_open(&f, &kinds[i]);
		T_EQ(host_start(&host, f.sink, &why), 0);
		host_close(&host);
		fixture_end(&f);
		T_EQ(count_fds(), before);
	}
}
