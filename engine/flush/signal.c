/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal.c - after the commit: was a trigger crossed, and who writes the event? Once per sleep of
 * the flusher, and again when whoever set out to write may have stopped on the way.
 *
 * It knows the sums, the thresholds and the one event. It does not know rings. See wake.h.
 * thread: producer
 */
#include "flush/wake_words.h"

#include "base/testpoint.h"

/* ORDER wake.words: seq_cst, see wake_words.h: every access that says nothing else. */

/*
 * Was an event written since the flusher slept last? @sum tells when that was. Then it is awake, or
 * will be, and looks at everything. Only the write itself counts, not the intention: who took a
 * signalled bit may have stopped for ever before it wrote.
 */
static int is_told(struct wr_wake *wake, uint64_t sum)
{
	return LOAD(&wake->told) == (uint32_t)SUM_EPOCH(sum) + 1;
}

/*
 * Does the flusher look at everything anyway before it waits? It is busy, or it has gone to sleep
 * anew since @sum was loaded, which was after the commit: either way it reads the heads after that.
 */
static int looks_anyway(struct wr_wake *wake, uint64_t sum)
{
	return SUM_EPOCH(LOAD(&wake->sum)) != SUM_EPOCH(sum) ||
	       wr_due_time(LOAD(&wake->due)) == WR_DUE_BUSY;
}

void wr_wake_tell(struct wr_wake *wake, uint64_t sum)
{
	if (is_told(wake, sum) || looks_anyway(wake, sum))
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
	wr_wake_tell(wake, sum);
}

/*
 * The word as it is after the commit.
 * ORDER wake.after: seq_cst, by an exchange that changes nothing. A plain load could overtake the
 * commit, which still lies in the store buffer. Paired with deal() and recheck() in sleep.c.
 * Gives:     this sees what the flusher adds last (S3, S5), or the flusher then sees the commit.
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
				wr_wake_tell(wake, sum);
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
				wr_wake_tell(wake, sum);
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
