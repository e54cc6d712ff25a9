/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake.c - before the commit: the timer covers the record, the alarm moves, the sum is credited.
 *
 * It knows due, soon, the timer and one ring's alarm. It does not know room (limit.c), nor when the
 * event is written (signal.c). See wake.h. thread: producer
 */
#include "flush/wake_words.h"

#include "base/sys.h"
#include "base/testpoint.h"

#define BUSY_LOG2_STRIDE 20u

/* ORDER wake.words: seq_cst, see wake_words.h: every access that says nothing else. */

void wr_wake_init(struct wr_wake *wake, struct wr_page *page, uint32_t epoch)
{
	wake->page = page;
	/* ORDER none: relaxed, all of them. The engine is published after this. */
	atomic_store_explicit(&wake->due, wr_due_make(WR_DUE_INF, 0, 0), memory_order_relaxed);
	atomic_store_explicit(&wake->soon, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&wake->first_us, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->sum, (uint64_t)epoch << 33, memory_order_relaxed);
	atomic_store_explicit(&wake->bytes, (uint64_t)epoch << 41, memory_order_relaxed);
	atomic_store_explicit(&wake->joined, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->telling, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->told, 0, memory_order_relaxed);
	for (unsigned i = 0; i < WR_RING_IDS / 64; i++)
		atomic_store_explicit(&wake->bits[i], 0, memory_order_relaxed);
	atomic_store_explicit(&wake->timer_arms, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->eventfd_writes, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->release_seq, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->waiters, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->hopeless, 0, memory_order_relaxed);
	atomic_store_explicit(&wake->writing, 0, memory_order_relaxed);
}

void wr_wake_set_bit(struct wr_wake *wake, uint32_t id)
{
	_Atomic uint64_t *word = &wake->bits[id / 64];
	uint64_t bit = UINT64_C(1) << id % 64;

	if (!(LOAD(word) & bit))
		atomic_fetch_or_explicit(word, bit, memory_order_seq_cst);
}

/*
 * The descriptor is fetched right before the call: in a child it reads 0, whatever came before.
 * ORDER close.writing: seq_cst. close takes the descriptors out of the page, then waits for nobody
 * to be writing.
 * Gives:     either this call finds no descriptor, or close waits for it.
 * Otherwise: it writes to a descriptor that was closed and is somebody else's by now.
 */
static int begin_call(struct wr_wake *wake, const _Atomic int32_t *fd1)
{
	atomic_fetch_add_explicit(&wake->writing, 1, memory_order_seq_cst);
	return LOAD(fd1) - 1;
}

static void end_call(struct wr_wake *wake)
{
	/* ORDER close.writing: release. */
	atomic_fetch_sub_explicit(&wake->writing, 1, memory_order_release);
}

static void set_timer(struct wr_wake *wake, uint64_t time_us)
{
	int fd = begin_call(wake, &wake->page->timer_fd1);

	if (fd >= 0) {
		COUNT(&wake->timer_arms);
		(void)wr_sys.timer_set(fd, time_us * 1000u);
	}
	end_call(wake);
}

void wr_wake_write(struct wr_wake *wake)
{
	int fd = begin_call(wake, &wake->page->event_fd1);

	if (fd >= 0) {
		COUNT(&wake->eventfd_writes);
		(void)wr_sys.event_write(fd);
	}
	end_call(wake);
}

/* Step 4, the part behind the publication: is a timer set for @due? 1: yes, 0: look again. */
static int confirm(struct wr_wake *wake, uint64_t due, int *redo)
{
	uint64_t seen = due;

	WR_TESTPOINT("wake.before_settime");
	set_timer(wake, wr_due_time(due));
	WR_TESTPOINT("wake.after_settime");
	if (CAS(&wake->due, &seen, due | 1u) || seen == (due | 1u))
		return 1;
	/* Our call may have overwritten an earlier time: whatever is due now must be set again. */
	*redo = 1;
	return 0;
}

void wr_wake_arm(struct wr_wake *wake, uint64_t time_us, int with_timer)
{
	int again = 0;

	for (;;) {
		uint64_t due = LOAD(&wake->due);

		if (wr_due_time(due) == WR_DUE_INF || wr_due_time(due) > time_us) {
			uint64_t next = wr_due_make(time_us, wr_due_seq(due) + 1,
			                            with_timer ? 0 : 1);

			if (!CAS(&wake->due, &due, next))
				continue;
			due = next;
			if (!with_timer)
				return;
		}
		/* The flusher always sets: the timer may stand at a stale time. */
		if (wr_due_time(due) == WR_DUE_NEVER || confirm(wake, due, &again))
			return;
	}
}

/* Lowers soon to @time_us. */
static void fold_soon(struct wr_wake *wake, uint64_t time_us)
{
	uint64_t soon = LOAD(&wake->soon);

	while (time_us < soon && !CAS(&wake->soon, &soon, time_us))
		;
}

/*
 * Steps 3 and 4: makes sure that a timer covers the record that is about to be committed. Returns
 * whether the flusher is awake; *ret_sum is the sum's word as loaded before due.
 */
static int cover(struct wr_wake *wake, uint64_t urgent_us, uint64_t *ret_sum)
{
	int redo = 0;

	for (;;) {
		uint64_t due, time, now_us = 0, mine = urgent_us;
		uint32_t confirmed = 0;

		*ret_sum = LOAD(&wake->sum);
		due = LOAD(&wake->due);
		time = wr_due_time(due);
		if (time == WR_DUE_BUSY)
			return 1;
		if (time == WR_DUE_INF) {
			uint64_t deadline = PEEK(&wake->settings.deadline_us);
			uint64_t later;

			now_us = wr_sys.now() / 1000u + 1;
			later = deadline >= WR_DUE_NEVER - now_us ? WR_DUE_NEVER
			                                          : now_us + deadline;
			if (!(PEEK(&wake->settings.signals) & WR_SIGNAL_TIMER))
				later = WR_DUE_NEVER;
			if (later < mine)
				mine = later;
			confirmed = mine == WR_DUE_NEVER;
		}
		if (time == WR_DUE_INF || time > mine) {
			uint64_t next = wr_due_make(mine, wr_due_seq(due) + 1, confirmed);

			WR_TESTPOINT("wake.before_publish");
			if (!CAS(&wake->due, &due, next))
				continue;
			due = next;
			/*
			 * ORDER none: relaxed. A hint for ages: whoever won read its clock before
			 * any record of this batch was committed, who lost perhaps did not.
			 */
			if (time == WR_DUE_INF)
				atomic_store_explicit(&wake->first_us, now_us - 1,
				                      memory_order_relaxed);
		}
		if (wr_due_time(due) == WR_DUE_NEVER || ((due & 1u) && !redo) ||
		    confirm(wake, due, &redo))
			return 0;
	}
}

/*
 * The stride that a ring takes from now on: its share of an eighth of the threshold, and no more
 * than what is missing, so that a lone pusher reaches the threshold exactly.
 */
static uint32_t choose_stride(struct wr_wake *wake, uint64_t alarm, uint64_t sum, uint32_t gained)
{
	uint64_t threshold = PEEK(&wake->settings.threshold);
	uint64_t slack = PEEK(&wake->settings.slack);
	uint64_t count = (uint32_t)sum + (uint64_t)gained;
	uint64_t k, stride, missing;

	if (!threshold)
		return BUSY_LOG2_STRIDE;
	/* A stride of one: the ring has not joined since the last sleep, or counts everything. */
	if ((alarm >> 32 & 31u) == 0)
		k = (uint64_t)atomic_fetch_add_explicit(&wake->joined, 1, memory_order_seq_cst) + 1;
	else
		k = PEEK(&wake->joined);
	if (k == 0)
		k = 1;
	if (k > 4096)
		k = 4096;
	stride = threshold / (8 * k * (k + 1));
	if (stride > slack + 1)
		stride = slack + 1;
	missing = threshold - count % threshold;
	if (stride > missing)
		stride = missing;
	return wr_log2_floor(stride) > BUSY_LOG2_STRIDE ? BUSY_LOG2_STRIDE : wr_log2_floor(stride);
}

int wr_wake_slow(struct wr_wake *wake, const struct wr_seen *seen, uint64_t max_age_us,
                 struct wr_credit *credit, uint64_t *ret_epoch)
{
	struct wr_ring *ring = seen->ring;
	uint32_t n = wr_head_count(seen->head) + 1;
	uint32_t gained = n - wr_alarm_base(seen->alarm), log2_stride;
	uint64_t alarm = seen->alarm, sum, urgent = UINT64_MAX;
	uint32_t signals = PEEK(&wake->settings.signals);
	int busy;

	WR_TESTPOINT("wake.slow");
	wr_wake_set_bit(wake, ring->id); /* step 1 */
	WR_TESTPOINT("wake.bit_set");
	if (max_age_us && (signals & (WR_SIGNAL_URGENT | WR_SIGNAL_URGENT_SHADOW))) { /* step 2 */
		uint64_t now_us = wr_sys.now() / 1000u + 1;

		if (max_age_us < WR_WAKE_LEAST_US)
			max_age_us = WR_WAKE_LEAST_US;
		urgent = max_age_us >= WR_DUE_NEVER - now_us ? WR_DUE_NEVER - 1
		                                             : now_us + max_age_us;
		fold_soon(wake, urgent);
		if (!(signals & WR_SIGNAL_URGENT))
			urgent = UINT64_MAX;
	}
	busy = cover(wake, urgent, &sum); /* steps 3, 4 */
	WR_TESTPOINT("wake.covered");
	*ret_epoch = wr_alarm_epoch(alarm);
	/*
	 * On a fallback ring a later place may have been counted before this one, and this one with
	 * it; it is here for its own age only. A negative gain would carry into the sum's epoch.
	 */
	if ((int32_t)gained < 0)
		return CAS(&ring->alarm, &alarm, alarm) ? 0 : 1;
	log2_stride = busy ? BUSY_LOG2_STRIDE : choose_stride(wake, alarm, sum, gained);
	if (!CAS(&ring->alarm, &alarm, /* step 5 */
	         wr_alarm_make(wr_alarm_epoch(alarm), log2_stride, n + (1u << log2_stride))))
		return 1;
	WR_TESTPOINT("wake.alarm_moved");
	if (!busy) { /* step 6 */
		uint64_t epoch = SUM_EPOCH(sum);

		sum = LOAD(&wake->sum);
		while (SUM_EPOCH(sum) == epoch) {
			if (!CAS(&wake->sum, &sum, sum + gained))
				continue;
			if (!credit->counted)
				credit->before = (uint32_t)sum;
			credit->counted = 1;
			break;
		}
	}
	return 0;
}
