/* SPDX-License-Identifier: Apache-2.0 */
/* wake.c - the producer's side of the wake protocol. See wake.h. thread: producer */
#include "flush/wake.h"

#include <errno.h>

#include "base/sys.h"
#include "base/testpoint.h"

#define SUM_SIGNALLED (UINT64_C(1) << 32)
#define SUM_EPOCH(sum) ((sum) >> 33)
#define BYTES_SIGNALLED (UINT64_C(1) << 40)
#define BYTES_EPOCH(bytes) ((bytes) >> 41)
#define BYTES_COUNT(bytes) ((bytes) & (BYTES_SIGNALLED - 1))
#define BUSY_LOG2_STRIDE 20u

/*
 * Every access of the protocol is seq_cst: it is off the fast path, and the models assume one order.
 * ORDER wake.words: seq_cst. Both ends of the edge are all accesses to due, soon, sum, bits, alarm
 * and limit in this file and in sleep.c.
 * Gives:     a record is never committed while the flusher sleeps without a timer or an event.
 * Otherwise: a lost wake-up.
 */
#define LOAD(word) atomic_load_explicit((word), memory_order_seq_cst)
#define CAS(word, seen, next) \
	atomic_compare_exchange_strong_explicit((word), (seen), (next), memory_order_seq_cst, \
	                                        memory_order_seq_cst)
/* ORDER none: relaxed. Counters and settings. */
#define PEEK(word) atomic_load_explicit((word), memory_order_relaxed)
#define COUNT(word) ((void)atomic_fetch_add_explicit((word), 1, memory_order_relaxed))

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
	int redo = 1; /* the flusher always sets: the timer may stand at a stale time */

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
		if (wr_due_time(due) == WR_DUE_NEVER)
			return;
		if (((due & 1u) && !redo) || confirm(wake, due, &redo))
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
			later = deadline >= WR_DUE_NEVER - now_us ? WR_DUE_NEVER : now_us + deadline;
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
			 * ORDER none: relaxed. A hint for ages: whoever won read its clock before any
			 * record of this batch was committed, who lost perhaps did not.
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

static uint32_t log2_floor(uint64_t n)
{
	return n ? 63u - (uint32_t)__builtin_clzll(n) : 0u;
}

/*
 * The stride that a ring takes from now on: its share of an eighth of the threshold, and no more than
 * what is missing, so that a lone pusher reaches the threshold exactly.
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
	return log2_floor(stride) > BUSY_LOG2_STRIDE ? BUSY_LOG2_STRIDE : log2_floor(stride);
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

		urgent = max_age_us >= WR_DUE_NEVER - now_us ? WR_DUE_NEVER - 1 : now_us + max_age_us;
		fold_soon(wake, urgent);
		if (!(signals & WR_SIGNAL_URGENT))
			urgent = UINT64_MAX;
	}
	busy = cover(wake, urgent, &sum); /* steps 3, 4 */
	WR_TESTPOINT("wake.covered");
	log2_stride = busy ? BUSY_LOG2_STRIDE : choose_stride(wake, alarm, sum, gained);
	*ret_epoch = wr_alarm_epoch(alarm);
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

/* The byte trigger: credits what the ring has gained since its last stop. */
static void credit_bytes(struct wr_wake *wake, uint32_t gained, struct wr_credit *credit)
{
	uint64_t bytes = LOAD(&wake->bytes);

	while (!CAS(&wake->bytes, &bytes, bytes + gained))
		;
	if (!credit->bytes)
		credit->bytes_before = BYTES_COUNT(bytes);
	credit->bytes = 1;
}

/* Where the limit goes next: the nearest of full, watermark and byte stop behind @end. */
static uint64_t next_limit(struct wr_wake *wake, const struct wr_ring *ring, uint64_t limit,
                           uint32_t end, uint32_t full)
{
	uint64_t threshold = PEEK(&wake->settings.threshold_bytes);
	uint32_t watermark = PEEK(&wake->settings.watermark);
	uint32_t kind = WR_STOP_FULL, stop = full, stride = 0, at;

	/* ORDER none: relaxed. An old cut makes the watermark come earlier. */
	at = (uint32_t)atomic_load_explicit(&ring->cut_position, memory_order_relaxed) + watermark;
	if (watermark && wr_limit_kind(limit) != WR_STOP_WATERMARK && (int32_t)(at - end) > 0 &&
	    (int32_t)(stop - at) > 0) {
		stop = at;
		kind = WR_STOP_WATERMARK;
	}
	if (threshold) {
		uint64_t joined = PEEK(&wake->joined);

		stride = log2_floor(threshold / (8 * (joined + 1)));
		at = end + (1u << (stride & 31u));
		if (stride < 30 && (int32_t)(stop - at) > 0) {
			stop = at;
			kind = WR_STOP_BYTES;
		}
	}
	return wr_limit_make(wr_limit_epoch(limit), stride, kind, stop);
}

/*
 * Was an event written since the flusher slept last? @sum tells when that was. Then it is awake, or
 * will be, and looks at everything. Only the write itself counts, not the intention: who took a
 * signalled bit may have stopped for ever before it wrote.
 */
static int is_told(struct wr_wake *wake, uint64_t sum)
{
	return LOAD(&wake->told) == (uint32_t)SUM_EPOCH(sum) + 1;
}

static void tell(struct wr_wake *wake, uint64_t sum)
{
	if (is_told(wake, sum))
		return;
	wr_wake_write(wake);
	atomic_store_explicit(&wake->told, (uint32_t)SUM_EPOCH(sum) + 1, memory_order_seq_cst);
}

/* The first to find a reason. If that thread stops, twice the threshold or a full ring tells. */
static void tell_first(struct wr_wake *wake, uint64_t sum)
{
	uint32_t mark = (uint32_t)SUM_EPOCH(sum) + 1;

	if (atomic_exchange_explicit(&wake->telling, mark, memory_order_seq_cst) == mark)
		return;
	WR_TESTPOINT("wake.before_signal");
	tell(wake, sum);
}

int wr_wake_limit(struct wr_wake *wake, struct wr_ring *ring, uint64_t need,
                  struct wr_credit *credit)
{
	uint64_t limit = LOAD(&ring->limit), next;
	uint32_t end = wr_head_position(LOAD(&ring->head)) + (uint32_t)need;
	/*
	 * ORDER flush.release: acquire. The flusher has read, or zeroed, what it released: only then
	 * may it be written to. Released by release_to() in flush/release.c.
	 */
	uint32_t tail = (uint32_t)atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint32_t full = tail + (uint32_t)wr_ring_bytes(ring);
	uint32_t kind = wr_limit_kind(limit);
	uint64_t due, sum;

	if (kind & WR_STOP_CLOSED)
		return -ESHUTDOWN;
	if ((int32_t)(full - end) < 0) {
		/* The first one tells, and more and more rarely others: the first may have stopped. */
		uint32_t before =
			atomic_fetch_add_explicit(&ring->pressed, 1, memory_order_seq_cst);

		if (!(before & (before - 1))) {
			wr_wake_set_bit(wake, ring->id);
			sum = LOAD(&wake->sum);
			if (wr_due_time(LOAD(&wake->due)) != WR_DUE_BUSY)
				tell(wake, sum);
		}
		return -EAGAIN;
	}
	if ((int32_t)(wr_limit_position(limit) - end) >= 0)
		return 0; /* it has moved already */
	due = LOAD(&wake->due);
	if (wr_due_time(due) == WR_DUE_BUSY)
		next = wr_limit_make(wr_limit_epoch(limit), 0, WR_STOP_FULL, full);
	else
		next = next_limit(wake, ring, limit, end, full);
	WR_TESTPOINT("wake.before_limit");
	if (!CAS(&ring->limit, &limit, next) || wr_due_time(due) == WR_DUE_BUSY)
		return 0;
	if (kind == WR_STOP_BYTES)
		credit_bytes(wake, end - (wr_limit_position(limit) - wr_limit_stride(limit)), credit);
	if (kind == WR_STOP_WATERMARK)
		credit->pressure = 1;
	return 0;
}

/*
 * The word as it is after the commit.
 * ORDER wake.after: seq_cst, by an exchange that changes nothing. A plain load could overtake the
 * commit, which still lies in the store buffer.
 * Gives:     either this sees what the flusher adds last (S5), or the flusher then sees the commit.
 * Otherwise: each counts less than the threshold, and a full batch lies there unsignalled.
 */
static uint64_t load_after_commit(_Atomic uint64_t *word)
{
	return atomic_fetch_add_explicit(word, 0, memory_order_seq_cst);
}

/* Writes the event once per epoch, and again at twice, thrice ... the threshold if that failed. */
static void test_sum(struct wr_wake *wake, uint32_t before)
{
	uint64_t threshold = PEEK(&wake->settings.threshold), sum;

	if (!threshold || !(PEEK(&wake->settings.signals) & WR_SIGNAL_SIZE))
		return;
	sum = load_after_commit(&wake->sum);
	while ((uint32_t)sum >= threshold) {
		if (sum & SUM_SIGNALLED) {
			if ((uint32_t)sum / threshold >= 2 &&
			    (uint32_t)sum / threshold != before / threshold)
				tell(wake, sum);
			return;
		}
		if (CAS(&wake->sum, &sum, sum | SUM_SIGNALLED)) {
			tell_first(wake, sum);
			return;
		}
	}
}

static void test_bytes(struct wr_wake *wake, uint64_t before)
{
	uint64_t threshold = PEEK(&wake->settings.threshold_bytes), sum, bytes;

	if (!threshold || !(PEEK(&wake->settings.signals) & WR_SIGNAL_BYTES))
		return;
	sum = LOAD(&wake->sum);
	bytes = load_after_commit(&wake->bytes);
	while (BYTES_COUNT(bytes) >= threshold) {
		if (bytes & BYTES_SIGNALLED) {
			if (BYTES_COUNT(bytes) / threshold >= 2 &&
			    BYTES_COUNT(bytes) / threshold != before / threshold)
				tell(wake, sum);
			return;
		}
		if (CAS(&wake->bytes, &bytes, bytes | BYTES_SIGNALLED)) {
			tell_first(wake, sum);
			return;
		}
	}
}

void wr_wake_after(struct wr_wake *wake, const struct wr_credit *credit)
{
	WR_TESTPOINT("wake.after_commit");
	if (credit->counted)
		test_sum(wake, credit->before);
	if (credit->bytes)
		test_bytes(wake, credit->bytes_before);
	if (credit->pressure && (PEEK(&wake->settings.signals) & WR_SIGNAL_PRESSURE)) {
		uint64_t sum = load_after_commit(&wake->sum);

		if (wr_due_time(LOAD(&wake->due)) != WR_DUE_BUSY)
			tell_first(wake, sum);
	}
}
