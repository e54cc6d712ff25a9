/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep.c - how the flusher goes to sleep without missing a record: steps S1 to S6 of the protocol.
 * See wake.h and tests/model/wake.pml. thread: flusher
 */
#include "flush/flusher.h"

#include "base/sys.h"
#include "base/testpoint.h"

/* ORDER wake.words: seq_cst, see wake_words.h. */
#define LOAD(word) atomic_load_explicit((word), memory_order_seq_cst)
#define STORE(word, value) atomic_store_explicit((word), (value), memory_order_seq_cst)
#define TAKE(word, value) atomic_exchange_explicit((word), (value), memory_order_seq_cst)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void wr_sleep_busy(struct wr_flusher *flusher)
{
	struct wr_wake *wake = flusher->wake;
	uint64_t now = wr_sys.now(), due;

	/* After a sleep that did not come about, what is left may be as old as the last cut. */
	if (flusher->asleep)
		flusher->busy_ns = now;
	due = TAKE(&wake->due, wr_due_make(WR_DUE_BUSY, 0, 0));
	flusher->due_seq = wr_due_seq(due) + 1;
	if (wr_due_time(due) != WR_DUE_INF && wr_due_time(due) != WR_DUE_BUSY) {
		flusher->keep_us = min_u64(flusher->keep_us, wr_due_time(due));
		/*
		 * A timer that has gone off is not set any more. That its time has passed is not
		 * enough: it would go off any moment, and wake us for nothing.
		 */
		if (wr_due_time(due) != WR_DUE_NEVER &&
		    (wr_due_time(due) * 1000 > now || !flusher->timer_seen))
			flusher->timer_may_be_set = 1;
		if (!(due & 1u))
			flusher->timer_may_be_set = 1;
		if (!flusher->oldest_ns)
			/* ORDER none: relaxed. A hint. */
			flusher->oldest_ns = 1000 * atomic_load_explicit(&wake->first_us,
			                                                 memory_order_relaxed);
	}
	flusher->timer_seen = 0; /* used: the next sleep has its own timer */
	flusher->asleep = 0;
}

/* The deadline of the oldest record. What was armed may be an urgent record's own, earlier time. */
static uint64_t deadline_of_oldest(const struct wr_flusher *flusher, uint64_t soon_us)
{
	const struct wr_policy *policy = &flusher->config.policy;

	if (flusher->keep_us >= WR_DUE_NEVER)
		return UINT64_MAX;
	if (policy->urgent_mode != WEIR_MODE_ON || soon_us > flusher->keep_us)
		return flusher->keep_us * 1000;
	if (!flusher->oldest_ns || policy->deadline_ns >= UINT64_MAX - flusher->oldest_ns)
		return UINT64_MAX;
	return flusher->oldest_ns + policy->deadline_ns;
}

struct wr_decision wr_sleep_decide(struct wr_flusher *flusher, uint64_t now_ns)
{
	uint64_t soon = min_u64(LOAD(&flusher->wake->soon), flusher->soon_us);
	struct wr_facts facts = {
		.records = flusher->cut.records,
		.bytes = flusher->cut.bytes,
		.fullest = flusher->cut.fullest,
		.now_ns = now_ns,
		.due_ns = deadline_of_oldest(flusher, soon),
		.urgent_ns = soon >= WR_DUE_NEVER ? UINT64_MAX : soon * 1000,
		.oldest_ns = flusher->oldest_ns,
		.full = flusher->cut.full,
		.requested = (uint32_t)wr_control_requested(flusher),
		/* ORDER none: relaxed. Set before the kick that woke us. */
		.shutdown = atomic_load_explicit(&flusher->control.shutdown, memory_order_relaxed),
	};

	return wr_policy_decide(&flusher->config.policy, &facts);
}

/* Credits what the ring holds up to @to. */
static void credit_to(struct wr_flusher *flusher, struct wr_share *share, struct wr_place to)
{
	/* ORDER wake.after: seq_cst. Added before heads are read again (S5, S6). */
	(void)atomic_fetch_add_explicit(&flusher->wake->sum, to.count - share->credited.count,
	                                memory_order_seq_cst);
	(void)atomic_fetch_add_explicit(&flusher->wake->bytes,
	                                to.position - share->credited.position,
	                                memory_order_seq_cst);
	share->credited = to;
}

/* S3, one ring: its next push takes the slow path. What it has got is credited. */
static void deal(struct wr_flusher *flusher, struct wr_share *share)
{
	struct wr_ring *ring = share->ring;
	const struct wr_wake_settings *settings = &flusher->wake->settings;
	struct wr_place head = wr_cut_head(&flusher->cut, share);
	uint64_t limit = LOAD(&ring->limit), next;
	uint32_t watermark, position = (uint32_t)head.position, stop, kind = WR_STOP_FULL;
	uint32_t stride = 0;
	uint64_t bytes;

	share->dealt = (uint32_t)head.count;
	/* ORDER fallback.sleep: seq_cst. The alarm first, then heads again (S5, S6). */
	STORE(&ring->alarm, wr_alarm_make(flusher->epoch, 0, share->dealt + 1));
	/* What lies behind an open record cannot be taken: counted, it would wake us each time. */
	share->dealt_epoch = flusher->epoch;
	share->dealt_at = head;
	share->credited = share->taken;
	credit_to(flusher, share, share->blocked ? share->cut : head);
	/* ORDER none: relaxed. The flusher's own. */
	watermark = atomic_load_explicit(&settings->watermark, memory_order_relaxed);
	bytes = atomic_load_explicit(&settings->threshold_bytes, memory_order_relaxed);
	stop = (uint32_t)share->released + (uint32_t)wr_ring_bytes(ring);
	if (watermark && (int32_t)(stop - ((uint32_t)share->taken.position + watermark)) > 0) {
		stop = (uint32_t)share->taken.position + watermark;
		kind = WR_STOP_WATERMARK;
	}
	if (bytes) {
		uint64_t share_of = bytes / (8 * ((uint64_t)flusher->cut.set_count + 1));

		stride = share_of ? 63u - (uint32_t)__builtin_clzll(share_of) : 0;
		if (stride < 30 && (int32_t)(stop - (position + (1u << stride))) > 0) {
			stop = position + (1u << stride);
			kind = WR_STOP_BYTES;
		}
	}
	do {
		if (wr_limit_kind(limit) & WR_STOP_CLOSED)
			return;
		next = wr_limit_make(flusher->epoch, stride, kind, stop);
		/*
		 * ORDER wake.limit: seq_cst, a release. Acquired by wr_fallback_reserve(); what a
		 * section reads stands before its stores (section_x86_64.h, section_aarch64.h).
		 * Gives:     below the limit everything was released: read, or zeroed.
		 * Otherwise: a producer overwrites a record that the sink still reads.
		 */
	} while (!atomic_compare_exchange_weak_explicit(&ring->limit, &limit, next,
	                                                memory_order_seq_cst,
	                                                memory_order_seq_cst));
}

/* S5, one ring: what was pushed between S3 and the barrier counts too. */
static void recheck(struct wr_flusher *flusher, struct wr_share *share)
{
	struct wr_place head = wr_cut_head(&flusher->cut, share);
	uint64_t alarm = wr_alarm_make(flusher->epoch, 0, share->dealt + 1);
	uint64_t next = wr_alarm_make(flusher->epoch, 0, (uint32_t)head.count + 1);

	if ((uint32_t)head.count == share->dealt)
		return;
	/* ORDER wake.after: seq_cst, of the sum. Added before heads are read again (S6). */
	if (atomic_compare_exchange_strong_explicit(&share->ring->alarm, &alarm, next,
	                                            memory_order_seq_cst, memory_order_seq_cst))
		(void)atomic_fetch_add_explicit(&flusher->wake->sum,
		                                (uint32_t)head.count - share->dealt,
		                                memory_order_seq_cst);
}

/* S4: sections that read an old alarm start again. */
static void barrier(struct wr_flusher *flusher)
{
	WR_TESTPOINT("sleep.before_membarrier");
	if (!flusher->rings->sections)
		return;
	wr_count(&flusher->counters, WR_MEMBARRIERS, 1);
	(void)wr_sys.membarrier(-1);
}

static void deal_all(struct wr_flusher *flusher)
{
	struct wr_cut *cut = &flusher->cut;

	for (uint32_t i = 0; i < cut->set_count; i++)
		cut->shares[cut->set[i]].in_cut = 0;
	cut->set_count = 0;
	for (uint32_t word = 0; word < wr_rings_words(flusher->rings); word++) {
		uint64_t set = cut->kept[word];

		if (LOAD(&flusher->wake->bits[word]))
			set |= TAKE(&flusher->wake->bits[word], 0);
		cut->kept[word] = 0;
		for (; set; set &= set - 1) {
			uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(set);
			struct wr_share *share = wr_cut_share(cut, id);

			if (!share)
				continue;
			cut->set[cut->set_count++] = id;
			deal(flusher, share);
		}
	}
}

/*
 * Rings that were blocked when their alarm was dealt and are free by now: what was left out then is
 * credited. 1: something was, and the heads must be read again behind it.
 */
static int credit_freed(struct wr_flusher *flusher)
{
	struct wr_cut *cut = &flusher->cut;
	int any = 0;

	for (uint32_t i = 0; i < cut->set_count; i++) {
		struct wr_share *share = &cut->shares[cut->set[i]];

		if (share->blocked || share->dealt_epoch != flusher->epoch ||
		    share->credited.count == share->dealt_at.count)
			continue;
		credit_to(flusher, share, share->dealt_at);
		any = 1;
	}
	return any;
}

/* Blocked rings: asks to be woken by whoever commits. 1: one of them is free by now. */
static int wait_for_blocked(struct wr_flusher *flusher, uint64_t now_ns)
{
	struct wr_cut *cut = &flusher->cut;

	for (uint32_t i = 0; i < cut->set_count; i++) {
		struct wr_share *share = &cut->shares[cut->set[i]];

		if (share->blocked != WR_BLOCKED_OPEN)
			continue;
		if (!share->blocked_ns || share->blocked_at != share->cut.count) {
			share->blocked_ns = now_ns;
			share->blocked_at = share->cut.count;
			share->stalled = 0;
		}
		if (wr_cut_wait_for(share))
			return 1;
	}
	return 0;
}

int wr_sleep_try(struct wr_flusher *flusher)
{
	struct wr_wake *wake = flusher->wake;
	struct wr_cut *cut = &flusher->cut;
	uint64_t mine, now;
	int timer_on = flusher->config.policy.timer_mode == WEIR_MODE_ON &&
	               flusher->config.policy.deadline_ns != WEIR_OFF;

	if (flusher->timer_may_be_set) { /* S1 */
		(void)wr_sys.timer_set(flusher->timer_fd, 0);
		/* ORDER none: relaxed. A statistic. */
		atomic_fetch_add_explicit(&wake->timer_arms, 1, memory_order_relaxed);
		flusher->timer_may_be_set = 0;
	}
	flusher->epoch++; /* S2 */
	STORE(&wake->sum, (uint64_t)flusher->epoch << 33);
	STORE(&wake->bytes, (uint64_t)flusher->epoch << 41);
	STORE(&wake->joined, 0);
	STORE(&wake->due, wr_due_make(WR_DUE_INF, flusher->due_seq, 0));
	WR_TESTPOINT("sleep.inf");
	flusher->soon_us = min_u64(flusher->soon_us, TAKE(&wake->soon, UINT64_MAX)); /* S2b */
	deal_all(flusher);                                                           /* S3 */
	barrier(flusher);                                                            /* S4 */
	for (uint32_t i = 0; i < cut->set_count; i++)                                /* S5 */
		recheck(flusher, &cut->shares[cut->set[i]]);
	/* S6: what is takeable now, with blocked and retracted records left out */
	for (uint32_t i = 0; i < cut->set_count; i++)
		cut->kept[cut->set[i] / 64] |= UINT64_C(1) << cut->set[i] % 64;
	do
		wr_cut_make(cut, wake->bits);
	while (credit_freed(flusher));
	for (unsigned word = 0; word < wr_rings_words(flusher->rings); word++)
		cut->kept[word] = 0;
	for (uint32_t i = 0; i < cut->set_count; i++) {
		struct wr_share *share = &cut->shares[cut->set[i]];

		if (wr_cut_head(cut, share).count != share->taken.count)
			cut->kept[cut->set[i] / 64] |= UINT64_C(1) << cut->set[i] % 64;
	}
	now = wr_sys.now();
	if (cut->starved) { /* the decision would be made on a part of what is there */
		flusher->starved_ns = now + WR_STARVED_NS;
		return 0;
	}
	if (wr_sleep_decide(flusher, now).cause != WEIR_CAUSE_NONE)
		return 0;
	if (cut->any_blocked && wait_for_blocked(flusher, now))
		return 0;
	/* Of what lies behind an open record as well: it counts when that is complete. */
	if ((cut->records || cut->any_blocked) && !flusher->oldest_ns)
		flusher->oldest_ns = flusher->busy_ns;
	if (cut->records) {
		/* Nothing older than the last cut is left, or its deadline was kept. */
		mine = flusher->keep_us;
		if (mine == WR_DUE_INF)
			mine = timer_on ? flusher->busy_ns / 1000 + 1 +
			                          flusher->config.policy.deadline_ns / 1000
			                : WR_DUE_NEVER;
		if (flusher->config.policy.urgent_mode == WEIR_MODE_ON)
			mine = min_u64(mine, flusher->soon_us);
		if (timer_on && mine * 1000 <= now) {
			flusher->keep_us = mine;
			return 0;
		}
		wr_wake_arm(wake, mine, mine < WR_DUE_NEVER);
	} else if (!cut->any_blocked) {
		flusher->keep_us = WR_DUE_INF;
		flusher->soon_us = UINT64_MAX;
		flusher->oldest_ns = 0;
	}
	flusher->asleep = 1;
	return 1;
}

/* Counts claims that are open for too long. Returns when the next one will be. */
static uint64_t count_stalled(struct wr_flusher *flusher)
{
	uint64_t next = UINT64_MAX, now = flusher->cut.any_blocked ? wr_sys.now() : 0;

	for (uint32_t i = 0; flusher->cut.any_blocked && i < flusher->cut.set_count; i++) {
		struct wr_share *share = &flusher->cut.shares[flusher->cut.set[i]];
		uint64_t at = share->blocked_ns + flusher->config.claim_max_ns;

		if (share->blocked != WR_BLOCKED_OPEN || !share->blocked_ns || share->stalled ||
		    share->blocked_at != share->cut.count || at < share->blocked_ns)
			continue;
		if (at <= now) {
			share->stalled = 1;
			wr_count(&flusher->counters, WR_CLAIMS_STALLED, 1);
		} else {
			next = min_u64(next, at);
		}
	}
	return next;
}

void wr_sleep_aux(struct wr_flusher *flusher)
{
	uint64_t next = min_u64(flusher->sink_timer_ns, count_stalled(flusher));

	if (flusher->starved_ns)
		next = min_u64(next, flusher->starved_ns);
	/* Without room at the sink a timer would only spin: a completion or its readiness comes. */
	if (flusher->again && wr_flusher_can_submit(flusher) &&
	    flusher->again->not_before_ns < next)
		next = flusher->again->not_before_ns;
	if (next == flusher->aux_ns)
		return;
	flusher->aux_ns = next;
	(void)wr_sys.timer_set(flusher->aux_fd, next == UINT64_MAX ? 0 : next ? next : 1);
}
