/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.c - a sink that stalls, fails, answers late, in part, in another order, or never.
 *
 * It comes in four shapes: it answers inside submit(); a task of its own answers later; it is a
 * function on a thread of its own (weir_sink_hosted); it is a plain function (weir_sink_callback).
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCHES 64
#define BITS 1024

struct waiting {
	struct weir_batch *batch; /* NULL: none */
	uint64_t at_ns;           /* when it is answered; UINT64_MAX: not before all is healed */
	struct weir_verdict verdict;
};

struct script {
	struct weir_sink sink;
	struct waiting waiting[BATCHES];
	uint64_t ready_at; /* 0: none is owed */
	int closed, cancelled;
	struct task *task;
	uint64_t splitting, expiring; /* the batch that is split down, that is never taken; 0: none */
	uint32_t inflight;
};

static struct script *script;
static struct rng rng;
static uint64_t bitmap[BITS / 64];
static int32_t codes[BITS];

/* PARTIAL in one of its four ways, with at least one record done and one to come. */
static int partly(const struct weir_batch *batch, struct weir_verdict *verdict)
{
	uint64_t records = batch->records;

	if (records < 2 || records > BITS)
		return 0;
	verdict->after_ns = rng_below(&rng, 2) ? 0 : rng_log(&rng, 16, 27);
	verdict->kind = WEIR_PARTIAL;
	verdict->records = rng_between(&rng, 1, records - 1);
	if (fault_now(F_SINK_PART_RECORDS)) {
		verdict->partial = WEIR_PARTIAL_RECORDS;
		return 1;
	}
	if (fault_now(F_SINK_PART_BYTES)) {
		verdict->partial = WEIR_PARTIAL_BYTES;
		verdict->bytes = rng_below(&rng, batch->bytes);
		return 1;
	}
	if (fault_now(F_SINK_PART_BITMAP)) {
		verdict->partial = WEIR_PARTIAL_BITMAP;
		for (uint32_t i = 0; i < BITS / 64; i++)
			bitmap[i] = rng_next(&rng);
		verdict->bitmap = bitmap;
		return 1;
	}
	if (fault_now(F_SINK_PART_CODES)) {
		verdict->partial = WEIR_PARTIAL_CODES;
		for (uint32_t i = 0; i < BITS; i++) {
			static const int32_t some[4] = { 0, 0, -EAGAIN, -EINVAL };

			codes[i] = some[rng_below(&rng, 4)];
		}
		verdict->codes = codes;
		return 1;
	}
	return 0;
}

static void decide(const struct weir_batch *batch, struct weir_verdict *verdict)
{
	*verdict = (struct weir_verdict){ .kind = WEIR_DONE };
	if (vt_healed)
		return;
	if (fault_now(F_SINK_FATAL)) {
		*verdict = (struct weir_verdict){ .kind = WEIR_FATAL, .code = -EPIPE };
		return;
	}
	if (fault_now(F_SINK_NONSENSE)) {
		*verdict = (struct weir_verdict){ .kind = 77 };
		return;
	}
	if (!script->splitting && batch->records <= 32 && fault_now(F_SINK_SPLIT_ONE))
		script->splitting = batch->seq;
	if (script->splitting == batch->seq) {
		verdict->kind = WEIR_SPLIT;
		return;
	}
	if (!script->expiring && fault_now(F_SINK_TIMEOUT))
		script->expiring = batch->seq;
	if (script->expiring == batch->seq) {
		*verdict = (struct weir_verdict){ .kind = WEIR_RETRY, .after_ns = 200 * MS };
		return;
	}
	if (fault_now(F_SINK_REJECT))
		verdict->kind = WEIR_REJECT;
	else if (batch->records > 1 && fault_now(F_SINK_SPLIT))
		verdict->kind = WEIR_SPLIT;
	else if (fault_now(F_SINK_RETRY))
		*verdict = (struct weir_verdict){ .kind = WEIR_RETRY,
			                          .code = -EIO,
			                          .after_ns = rng_below(&rng, 2)
			                                              ? 0
			                                              : rng_log(&rng, 16, 29) };
	else if (!partly(batch, verdict))
		*verdict = (struct weir_verdict){ .kind = WEIR_DONE };
}

static uint64_t delay(void)
{
	if (fault_now(F_SINK_NEVER))
		return UINT64_MAX;
	if (fault_now(F_SINK_LATE))
		return vt_now + rng_log(&rng, 22, 31);
	return vt_now + rng_log(&rng, 12, fault_on(F_SINK_REORDER) ? 23 : 17);
}

static int submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct waiting *at = NULL;
	struct weir_verdict verdict;

	(void)self;
	if (fault_now(F_SINK_ERROR))
		return -EIO;
	if (fault_now(F_SINK_BUSY)) {
		script->ready_at = vt_now + rng_log(&rng, 12, 28);
		(void)task_wake_word(script, 1);
		return -EAGAIN;
	}
	if (!plan.hosted && rng_ppm(&rng, 300000) && !fault_on(F_SINK_NEVER)) {
		decide(batch, &verdict); /* at once */
		weir_batch_complete(batch, &verdict);
		return 0;
	}
	for (uint32_t i = 0; i < BATCHES && !at; i++)
		if (!script->waiting[i].batch)
			at = &script->waiting[i];
	S_TRUE(at, "too many batches at the sink");
	*at = (struct waiting){ .batch = batch, .at_ns = delay() };
	script->inflight++;
	(void)task_wake_word(script, 1);
	return 0;
}

static void answer(struct waiting *at, const struct weir_verdict *verdict)
{
	struct weir_batch *batch = at->batch;

	at->batch = NULL;
	weir_batch_complete(batch, verdict);
	script->inflight--;
}

/* The next thing to do: a verdict, or ready. */
static uint64_t next_time(void)
{
	uint64_t next = script->ready_at ? script->ready_at : UINT64_MAX;

	for (uint32_t i = 0; i < BATCHES; i++)
		if (script->waiting[i].batch && script->waiting[i].at_ns < next)
			next = script->waiting[i].at_ns;
	return next;
}

static void *worker(void *arg)
{
	struct script *mine = arg;

	while (!mine->closed) {
		uint64_t next = next_time();

		if (next > vt_now) {
			(void)task_block(next, mine, -1);
			continue;
		}
		if (mine->ready_at && mine->ready_at <= vt_now) {
			mine->ready_at = 0;
			weir_sink_ready(&mine->sink);
		}
		for (uint32_t i = 0; i < BATCHES; i++) {
			struct waiting *at = &mine->waiting[i];
			struct weir_verdict verdict;

			if (!at->batch || at->at_ns > vt_now)
				continue;
			decide(at->batch, &verdict);
			answer(at, &verdict);
		}
	}
	return NULL;
}

static int settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self;
	while (script->inflight) {
		if (vt_now >= deadline_ns)
			return -ETIMEDOUT;
		task_sleep(MS);
	}
	return 0;
}

static void cancel(struct weir_sink *self)
{
	const struct weir_verdict verdict = { .kind = WEIR_RETRY, .after_ns = SEC };

	(void)self;
	script->cancelled = 1;
	for (uint32_t i = 0; i < BATCHES; i++)
		if (script->waiting[i].batch)
			answer(&script->waiting[i], &verdict);
}

static void close_script(struct weir_sink *self)
{
	(void)self;
	script->closed = 1;
	(void)task_wake_word(script, 1);
}

static int start(struct weir_sink *self, struct weir_sink_host *host, struct weir_sink_caps *caps,
                 struct weir_why *why)
{
	(void)self, (void)host, (void)why;
	if (fault_now(F_SINK_START))
		return -ENOTCONN;
	caps->max_inflight = plan.max_inflight;
	caps->ordered = 0;
	if (!script->task)
		script->task = task_start("sink", worker, script);
	return 0;
}

static const struct weir_sink_ops ops = {
	.abi = WEIR_SINK_ABI,
	.name = "script",
	.submit = submit,
	.settle = settle,
	.close = close_script,
	.start = start,
	.cancel = cancel,
};

static int interrupted;

/* On a thread of its own: it blocks as long as it wants to, but for an interruption. */
static void hosted_write(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	uint64_t until = delay();

	(void)arg;
	while (vt_now < until && !interrupted && !(vt_healed && until - vt_now > SEC))
		task_sleep(until - vt_now < 10 * MS ? until - vt_now : 10 * MS);
	if (interrupted)
		*verdict = (struct weir_verdict){ .kind = WEIR_RETRY };
	else
		decide(batch, verdict);
}

static void hosted_interrupt(void *arg)
{
	(void)arg;
	interrupted = 1;
}

static int hosted_start(void *arg, struct weir_why *why)
{
	(void)arg, (void)why;
	return fault_now(F_SINK_START) ? -ENOTCONN : 0;
}

static void callback(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)arg;
	decide(batch, verdict);
}

static const struct weir_hosted_ops hosted_ops = {
	.name = "script",
	.write = hosted_write,
	.interrupt = hosted_interrupt,
	.start = hosted_start,
};

int script_open(struct weir_sink **ret)
{
	const struct weir_sink_caps caps = { .max_inflight = plan.max_inflight,
		                             .ordered = plan.ordered };

	rng = rng_of(plan.seed, 1004 + life_now);
	interrupted = 0;
	script = calloc(1, sizeof(*script));
	S_TRUE(script, "no memory");
	script->sink.ops = &ops;
	if (plan.hosted == 1)
		return weir_sink_hosted(&hosted_ops, NULL, &caps, 0, ret);
	if (plan.hosted == 2)
		return weir_sink_callback(callback, NULL, ret);
	*ret = &script->sink;
	return 0;
}

void script_heal(void)
{
	if (!script)
		return;
	for (uint32_t i = 0; i < BATCHES; i++)
		if (script->waiting[i].batch && script->waiting[i].at_ns > vt_now + SEC)
			script->waiting[i].at_ns = vt_now + SEC;
	if (script->ready_at > vt_now + SEC)
		script->ready_at = vt_now + SEC;
	(void)task_wake_word(script, 1);
}
