/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - see watch.h. Each batch under way has a slot with a copy of its description, so that
 * its verdict comes by here; the records themselves stay where they are.
 */
#include "watch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

/* A batch may be finished and the next submitted before the old slot is free: hence twice. */
#define INFLIGHT_MAX 32u
#define SLOTS (2 * INFLIGHT_MAX)

struct watched;

struct slot {
	struct weir_batch batch; /* first: the owner's methods get a pointer to it */
	struct weir_batch *whole;
	struct watched *watched;
	_Atomic int used;
};

struct watched {
	struct weir_sink base; /* first: the sink's methods get a pointer to it */
	struct weir_sink_ops ops;
	struct weir_sink *child;
	watch_fn fn;
	void *arg;
	struct slot slots[SLOTS];
};

static struct watched *watched_of(struct weir_sink *sink)
{
	return (struct watched *)sink;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Tells what happened, in the child's own words. */
static void tell(const struct watched *watched, enum watch_event event)
{
	struct weir_why why = { "" };

	if (watched->child->ops->trouble)
		watched->child->ops->trouble(watched->child, &why);
	watched->fn(watched->arg, event, why.text);
}

static void look_at(const struct watched *watched, const struct weir_batch *batch,
                    const struct weir_verdict *verdict)
{
	switch ((enum weir_verdict_kind)verdict->kind) {
	case WEIR_DONE:
	case WEIR_SPLIT:
		return;
	case WEIR_RETRY:
	case WEIR_PARTIAL:
		tell(watched, now_ns() >= batch->deadline_ns ? WATCH_EXPIRED : WATCH_RETRYING);
		return;
	case WEIR_REJECT:
		tell(watched, WATCH_REJECTED);
		return;
	case WEIR_FATAL:
		break;
	}
	tell(watched, WATCH_BROKEN);
}

/* thread: any */
static void complete(struct weir_batch *batch, const struct weir_verdict *verdict)
{
	struct slot *slot = (struct slot *)batch;

	if (verdict->kind != WEIR_DONE)
		look_at(slot->watched, batch, verdict);
	weir_batch_complete(slot->whole, verdict);
	/* ORDER watch.slot: release. submit() fills the slot again after this. */
	atomic_store_explicit(&slot->used, 0, memory_order_release);
}

static const struct weir_batch_owner owner = { complete };

/* thread: flusher */
static int submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct watched *watched = watched_of(self);
	struct slot *slot = watched->slots;
	int r;

	/* ORDER watch.slot: acquire. complete() has done with it. */
	while (atomic_load_explicit(&slot->used, memory_order_acquire))
		if (++slot == watched->slots + SLOTS)
			return -EOVERFLOW;
	slot->batch = *batch;
	slot->batch.owner = &owner;
	slot->whole = batch;
	/* ORDER none: relaxed. Only this thread takes slots. */
	atomic_store_explicit(&slot->used, 1, memory_order_relaxed);
	r = watched->child->ops->submit(watched->child, &slot->batch);
	if (r)
		atomic_store_explicit(&slot->used, 0, memory_order_relaxed);
	if (r && r != -EAGAIN)
		tell(watched, WATCH_BROKEN);
	return r;
}

static int settle(struct weir_sink *self, uint64_t deadline_ns)
{
	struct weir_sink *child = watched_of(self)->child;

	return child->ops->settle(child, deadline_ns);
}

static void shut(struct weir_sink *self)
{
	struct weir_sink *child = watched_of(self)->child;

	child->ops->close(child);
	free(self);
}

static int start(struct weir_sink *self, struct weir_sink_host *host, struct weir_sink_caps *caps,
                 struct weir_why *ret_why)
{
	struct weir_sink *child = watched_of(self)->child;
	int r = 0;

	child->host = host;
	if (child->ops->start)
		r = child->ops->start(child, host, caps, ret_why);
	if (r == 0 && caps->max_inflight > INFLIGHT_MAX)
		caps->max_inflight = INFLIGHT_MAX;
	return r;
}

static void cancel(struct weir_sink *self)
{
	struct weir_sink *child = watched_of(self)->child;

	child->ops->cancel(child);
}

static void timer(struct weir_sink *self)
{
	struct weir_sink *child = watched_of(self)->child;

	child->ops->timer(child);
}

static void trouble(struct weir_sink *self, struct weir_why *ret_why)
{
	struct weir_sink *child = watched_of(self)->child;

	child->ops->trouble(child, ret_why);
}

int watch_open(struct weir_sink *child, watch_fn fn, void *arg, struct weir_sink **ret)
{
	struct watched *watched = calloc(1, sizeof(*watched));

	if (!watched)
		return -ENOMEM;
	watched->ops = (struct weir_sink_ops){
		.abi = WEIR_SINK_ABI,
		.name = child->ops->name,
		.submit = submit,
		.settle = settle,
		.close = shut,
		.start = start,
		.cancel = child->ops->cancel ? cancel : NULL,
		.timer = child->ops->timer ? timer : NULL,
		.trouble = child->ops->trouble ? trouble : NULL,
	};
	watched->base.ops = &watched->ops;
	watched->child = child;
	watched->fn = fn;
	watched->arg = arg;
	for (unsigned i = 0; i < SLOTS; i++)
		watched->slots[i].watched = watched;
	*ret = &watched->base;
	return 0;
}
