/* SPDX-License-Identifier: Apache-2.0 */
/* flusher.c - the loop: wait, take verdicts, cut, decide, send, and sleep when nothing is left. */
#include "flush/flusher.h"

#include <errno.h>
#include <stdio.h>

#include "base/sys.h"
#include "base/testpoint.h"
#include "ring/thread.h"

/* A wake-up is counted once, for the first of: trigger, control, completion, sink. */
static void count_wakeup(struct wr_flusher *flusher, const struct epoll_event *events, int n)
{
	uint32_t tags = 0;
	unsigned which = WR_WAKEUPS_SINK;

	for (int i = 0; i < n; i++)
		tags |= 1u << (events[i].data.u64 < 8 ? events[i].data.u64 : 8);
	if (tags & (1u << WR_TAG_EVENT) &&
	    /* ORDER none: relaxed. A statistic. */
	    atomic_exchange_explicit(&flusher->control.wanted, 0, memory_order_relaxed))
		which = WR_WAKEUPS_CONTROL;
	else if (tags & (1u << WR_TAG_TIMER | 1u << WR_TAG_EVENT))
		which = WR_WAKEUPS_TRIGGER;
	else if (tags & 1u << WR_TAG_DONE)
		which = WR_WAKEUPS_COMPLETION;
	wr_count(&flusher->counters, which, 1);
}

/* Waits. Returns a mask of 1 << tag (8: a sink's), or 0. Runs the sink's own callbacks. */
static uint32_t wait(struct wr_flusher *flusher, uint64_t until_ns)
{
	struct epoll_event events[16];
	uint32_t tags = 0;
	int n;

	WR_TESTPOINT("flusher.before_wait");
	n = wr_sys.poll_wait(flusher->poll_fd, events, 16, until_ns);
	if (n <= 0)
		return 0;
	count_wakeup(flusher, events, n);
	for (int i = 0; i < n; i++) {
		uint64_t tag = events[i].data.u64;

		tags |= 1u << (tag < 8 ? tag : 8);
		if (tag >= WR_TAG_AUX)
			wr_host_event(flusher, tag, events[i].events);
	}
	flusher->timer_seen = tags >> WR_TAG_TIMER & 1;
	return tags;
}

/* A timer alone, and not for what is due now: a stale one of a helper that was held up. */
static int is_stale_timer(struct wr_flusher *flusher, uint32_t tags)
{
	/* ORDER wake.words: seq_cst, see wake_words.h. */
	uint64_t due = atomic_load_explicit(&flusher->wake->due, memory_order_seq_cst);

	if (tags & ~(1u << WR_TAG_TIMER | 1u << WR_TAG_DONE | 1u << WR_TAG_AUX) ||
	    !(tags & 1u << WR_TAG_TIMER))
		return 0;
	if (wr_due_time(due) == WR_DUE_INF)
		return 1;
	if (wr_due_time(due) * 1000 <= wr_sys.now())
		return 0;
	wr_wake_arm(flusher->wake, wr_due_time(due), 1);
	return 1;
}

/* Counts what shadow triggers would have done with the cut that is about to be taken. */
static void count_shadow(struct wr_flusher *flusher, uint32_t shadow)
{
	const struct wr_policy *policy = &flusher->config.policy;

	for (unsigned cause = 0; shadow && cause < WEIR_CAUSES; cause++) {
		uint64_t n = 1;

		if (!(shadow & 1u << cause))
			continue;
		if (cause == WEIR_CAUSE_SIZE)
			n = flusher->cut.records / policy->threshold;
		if (cause == WEIR_CAUSE_BYTES)
			n = flusher->cut.bytes / policy->threshold_bytes;
		wr_count(&flusher->counters, WR_SHADOW + cause, n);
	}
}

/* Cuts, and takes the cut if a trigger says so. 1: there is something to send. */
static int cut_and_decide(struct wr_flusher *flusher)
{
	const struct wr_policy *policy = &flusher->config.policy;
	uint64_t t0 = wr_sys.now(), floor = flusher->born_ns;
	struct wr_decision decision;

	WR_ASSERT(flusher->next_segment >= flusher->cut.segment_count); /* all is in batches */
	/* ORDER flush.asked: seq_cst. Taken before the heads are read: all before it is covered. */
	uint32_t flush = atomic_exchange_explicit(&flusher->control.flush, 0, memory_order_seq_cst);

	flusher->cut.walks = 0;
	wr_cut_make(&flusher->cut, flusher->wake->bits);
	wr_count(&flusher->counters, WR_WALKS, flusher->cut.walks);
	if (flusher->cut.starved)
		flusher->starved_ns = wr_sys.now() + WR_STARVED_NS;
	decision = wr_sleep_decide(flusher, wr_sys.now());
	if (decision.cause == WEIR_CAUSE_NONE && flush && flusher->cut.records)
		decision.cause = WEIR_CAUSE_MANUAL;
	if (decision.cause == WEIR_CAUSE_NONE)
		return 0;
	count_shadow(flusher, decision.shadow);
	flusher->cause = decision.cause;
	flusher->cut_ns = wr_sys.now();
	flusher->cut_wall_ns = wr_sys.wall();
	flusher->cut_due_ns = policy->timer_mode == WEIR_MODE_ON && flusher->keep_us < WR_DUE_NEVER
	                              ? flusher->keep_us * 1000
	                              : UINT64_MAX;
	if (!flusher->cut.any_blocked && flusher->oldest_ns > floor)
		floor = flusher->oldest_ns;
	if (wr_cut_take(&flusher->cut, t0, floor)) {
		flusher->next_segment = 0;
		flusher->starved_ns = wr_sys.now() + WR_STARVED_NS;
		return 1;
	}
	wr_count(&flusher->counters, WR_TAKEN, flusher->cut.records);
	wr_count_set(&flusher->counters, WR_ABORTED_TAKEN, flusher->cut.aborted);
	flusher->next_segment = 0;
	/* What lies behind an open record, or had no memory, is as old and as urgent as ever. */
	if (!flusher->cut.any_blocked) {
		flusher->oldest_ns = 0;
		flusher->soon_us = UINT64_MAX;
	} else if (!flusher->oldest_ns) {
		flusher->oldest_ns = flusher->busy_ns > floor ? flusher->busy_ns : floor;
	}
	flusher->busy_ns = t0;
	if (flusher->cut.starved) /* and keeps its deadline */
		return 1;
	flusher->keep_us = WR_DUE_INF;
	if (flusher->cut.any_blocked && policy->timer_mode == WEIR_MODE_ON &&
	    policy->deadline_ns != WEIR_OFF)
		flusher->keep_us = t0 / 1000 + policy->deadline_ns / 1000 + 1;
	return 1;
}

/* Everything that can be done without waiting. Ends asleep, or held until the sink has room. */
static void work(struct wr_flusher *flusher)
{
	flusher->starved_ns = 0;
	for (;;) {
		int progress = wr_verdicts(flusher);

		progress |= wr_control_pending(flusher);
		if (atomic_exchange_explicit(&flusher->control.ready, 0, memory_order_seq_cst))
			flusher->sink_full = 0; /* ORDER flush.ready: seq_cst. */
		progress |= wr_batch_send(flusher);
		if (progress)
			continue;
		if (!wr_flusher_can_submit(flusher) || flusher->again || flusher->starved_ns) {
			/*
			 * Held: due stays BUSY, so that producers set no timer. A completion, the
			 * sink's readiness or the second timer is sure to come; a broken sink gets
			 * nothing any more.
			 */
			flusher->was_held = 1;
			return;
		}
		if (cut_and_decide(flusher))
			continue;
		if (flusher->cut.starved) { /* not all is known: no sleep, but a pause */
			flusher->was_held = 1;
			return;
		}
		if (wr_sleep_try(flusher)) {
			flusher->was_held = 0; /* not before: what was held may be due just now */
			return;
		}
		wr_sleep_busy(flusher);
	}
}

/* For whoever asks how old the oldest pending record may be. */
static void publish_oldest(struct wr_flusher *flusher)
{
	uint64_t oldest = flusher->oldest_ns;

	for (const struct wr_batch *batch = flusher->live; batch; batch = batch->live)
		if (!oldest || batch->seen.earliest_ns < oldest)
			oldest = batch->seen.earliest_ns;
	wr_count_set(&flusher->counters, WR_OLDEST_NS, oldest);
}

static int turn(struct wr_flusher *flusher, uint64_t until_ns)
{
	uint32_t tags;
	uint32_t only_done = 1u << WR_TAG_DONE | 1u << WR_TAG_AUX | 1u << 8;

	tags = wait(flusher, until_ns);
	if (flusher->asleep) {
		if (!tags && until_ns == UINT64_MAX)
			return 0;
		if (tags && is_stale_timer(flusher, tags))
			tags &= ~(1u << WR_TAG_TIMER);
		/* A verdict alone gives space back and needs no cut, unless more is awaited. */
		if (tags && !(tags & ~only_done)) {
			(void)wr_verdicts(flusher);
			/* ORDER none: relaxed. Set before the kick that wakes us again. */
			if (!flusher->again && !wr_control_waiting(flusher) &&
			    !atomic_load_explicit(&flusher->control.shutdown,
			                          memory_order_relaxed)) {
				wr_sleep_aux(flusher);
				publish_oldest(flusher);
				return 1;
			}
		} else if (!tags) {
			return 0;
		}
		wr_sleep_busy(flusher);
	}
	work(flusher);
	wr_sleep_aux(flusher);
	publish_oldest(flusher);
	return tags != 0;
}

int wr_flusher_turn(struct wr_flusher *flusher, uint64_t until_ns)
{
	int r;

	if (flusher->sink_timer_ns < flusher->aux_ns) /* asked for before the first turn */
		wr_sleep_aux(flusher);
	wr_thread.turning = flusher;
	r = turn(flusher, until_ns);
	wr_thread.turning = NULL;
	return r;
}

/* Is there nothing left to do, or nothing that can be done? @shutdown as in struct wr_control. */
static int is_over(struct wr_flusher *flusher, uint32_t shutdown)
{
	if (!shutdown || shutdown == 4)
		return shutdown != 0;
	if ((shutdown == 3 || flusher->broken) && !flusher->inflight)
		return 1;
	return wr_flusher_is_drained(flusher);
}

void wr_flusher_run(struct wr_flusher *flusher)
{
	int gave_up = 0;

	for (;;) {
		/* ORDER none: relaxed. A kick follows every change. */
		uint32_t shutdown = atomic_load_explicit(&flusher->control.shutdown,
		                                         memory_order_relaxed);

		if (shutdown == 2 && !gave_up) {
			gave_up = 1;
			wr_flusher_abandon(flusher);
		}
		if (is_over(flusher, shutdown))
			break;
		(void)wr_flusher_turn(flusher, UINT64_MAX);
	}
	wr_flusher_end(flusher);
}

static int open_fds(struct wr_flusher *flusher)
{
	int r;

	flusher->poll_fd = wr_sys.poll_open();
	flusher->timer_fd = wr_sys.timer_open();
	flusher->event_fd = wr_sys.event_open();
	flusher->done_fd = wr_sys.event_open();
	flusher->aux_fd = wr_sys.timer_open();
	if (flusher->poll_fd < 0 || flusher->timer_fd < 0 || flusher->event_fd < 0 ||
	    flusher->done_fd < 0 || flusher->aux_fd < 0)
		return -EMFILE;
	/* Edge-triggered: no read is needed, and a set timer or a written event is a new edge. */
	r = wr_sys.poll_ctl(flusher->poll_fd, EPOLL_CTL_ADD, flusher->timer_fd, EPOLLIN | EPOLLET,
	                    WR_TAG_TIMER);
	r = r ? r : wr_sys.poll_ctl(flusher->poll_fd, EPOLL_CTL_ADD, flusher->event_fd,
	                            EPOLLIN | EPOLLET, WR_TAG_EVENT);
	r = r ? r : wr_sys.poll_ctl(flusher->poll_fd, EPOLL_CTL_ADD, flusher->done_fd,
	                            EPOLLIN | EPOLLET, WR_TAG_DONE);
	return r ? r : wr_sys.poll_ctl(flusher->poll_fd, EPOLL_CTL_ADD, flusher->aux_fd,
	                               EPOLLIN | EPOLLET, WR_TAG_AUX);
}

void wr_flusher_close_fds(struct wr_flusher *flusher)
{
	int *fds[] = { &flusher->poll_fd, &flusher->timer_fd, &flusher->event_fd, &flusher->done_fd,
		       &flusher->aux_fd };

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		int fd = *fds[i];

		/* Forgotten first: a child forked in between must not close another's file. */
		*fds[i] = -1;
		if (fd >= 0)
			(void)wr_sys.close(fd);
	}
}

int wr_flusher_init(struct wr_flusher *flusher, struct weir_why *ret_why)
{
	int r = wr_cut_init(&flusher->cut, flusher->rings, &flusher->mem,
	                    flusher->config.order == WEIR_ORDER_THREAD);

	flusher->poll_fd = flusher->timer_fd = flusher->event_fd = -1;
	flusher->done_fd = flusher->aux_fd = -1;
	r = r ? r : open_fds(flusher);
	if (r) {
		wr_flusher_close_fds(flusher);
		wr_cut_fini(&flusher->cut);
		snprintf(ret_why->text, sizeof(ret_why->text), "%s",
		         r == -ENOMEM ? "no memory for the flusher" : "no descriptor was left");
		return r;
	}
	flusher->born_ns = wr_sys.now();
	flusher->keep_us = WR_DUE_INF;
	flusher->soon_us = UINT64_MAX;
	flusher->sink_timer_ns = flusher->aux_ns = UINT64_MAX;
	flusher->next_seq = flusher->config.first_seq;
	flusher->asleep = 1;
	wr_count_set(&flusher->counters, WR_DELIVERED, flusher->config.total_base);
	flusher->host.ops = &wr_host_ops;
	flusher->sink->host = &flusher->host;
	return 0;
}

void wr_flusher_fini(struct wr_flusher *flusher)
{
	wr_batch_free_unused(flusher);
	wr_cut_fini(&flusher->cut);
}
