/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.c - reads the log back with the library's reader, and says what must be in it.
 *
 * Nothing acknowledged under sync=batch may be missing, nothing may come twice, nothing may come
 * that was refused, and each producer's records come in its order.
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <weir/log.h>

#define SLACK_NS (5 * MS) /* a sync takes up to 4 of them */

static uint32_t last_seen[LIVES_MAX][PRODUCERS_MAX];
static struct weir_log_counts counts;

static void see(const struct weir_record *bytes, const struct weir_log_batch *batch)
{
	uint32_t whose, producer, number;
	struct record *record = oracle_find(bytes->data, bytes->size, &whose, &producer, &number);

	S_TRUE(record->state != R_REFUSED && record->state != R_ABORTED,
	       "the log holds record %u of producer %u, whose push was refused", number, producer);
	S_TRUE(!record->read,
	       "the log holds record %u of producer %u of life %u twice: in batch %" PRIu64
	       ", piece %" PRIu64 ", attempt %u; the sink got it in batch %" PRIu64,
	       number, producer, whose, batch->seq, batch->first_record, batch->attempt,
	       record->seq);
	record->read = 1;
	if (plan.config.order == WEIR_ORDER_THREAD) {
		S_TRUE(last_seen[whose][producer] <= number,
		       "in the log record %u of producer %u comes after record %u", number,
		       producer, last_seen[whose][producer] - 1);
		last_seen[whose][producer] = number + 1;
	}
}

/* Reads all of it. 0, or what reading answered. */
static int read_all(uint64_t *ret_records)
{
	struct weir_log_reader *reader;
	struct weir_record record;
	struct weir_why why = { "" };
	int r = weir_log_open(DISK_LOG, &reader, &why);

	memset(&counts, 0, sizeof(counts));
	memset(last_seen, 0, sizeof(last_seen));
	*ret_records = 0;
	for (uint32_t l = 0; l < LIVES_MAX; l++)
		for (uint32_t p = 0; p < PRODUCERS_MAX; p++)
			for (uint32_t i = 0; i < lives[l].begun[p]; i++)
				lives[l].records[p][i].read = 0;
	if (r)
		return r;
	while ((r = weir_log_next(reader, &record)) == 1) {
		see(&record, weir_log_batch(reader));
		++*ret_records;
	}
	counts.size = sizeof(counts);
	(void)weir_log_counts(reader, &counts);
	weir_log_close(reader);
	return r;
}

/* Power cuts since the end of life @which, its own included. */
static int power_cuts_since(uint32_t which)
{
	int n = 0;

	for (uint32_t i = which; i <= life_now; i++)
		n += lives[i].end == END_POWER;
	return n;
}

static int must_be_there(uint32_t which, const struct record *record)
{
	const struct life *life = &lives[which];

	if (!record->acked || record->place != P_DONE)
		return 0;
	if (plan.retains && record->segment <= disk_removed())
		return 0;
	if (plan.sync == 2)
		return 1;
	if (disk_lost_pages())
		return 0;
	if (!power_cuts_since(which))
		return 1;
	if (plan.sync == 0 || faults[F_SYNC_RESCUE].injected)
		return 0;
	if (life->end == END_CLOSED)
		return 1;
	/* While the clock jumped nobody could sync. */
	return life->end_ns - record->acked_ns > plan.interval_ns + SLACK_NS + excused[E_JUMP];
}

static uint64_t check_all(void)
{
	uint64_t lost = 0;

	for (uint32_t l = 0; l <= life_now; l++) {
		for (uint32_t p = 0; p < PRODUCERS_MAX; p++) {
			for (uint32_t i = 0; i < lives[l].begun[p]; i++) {
				const struct record *record = &lives[l].records[p][i];

				lost += record->acked && !record->read;
				S_TRUE(record->read || !must_be_there(l, record),
				       "record %u of producer %u of life %u was acknowledged and is "
				       "not in the log",
				       i, p, l);
			}
		}
	}
	return lost;
}

/* What the reader made of what the crash had left. */
static void count_hits(uint64_t lost)
{
	const struct life *life = &lives[life_now];
	int met = counts.torn_bytes || counts.damaged || counts.skipped_bytes;

	if (life->end == END_KILLED)
		fault_hit(F_KILL);
	if (life->end != END_POWER)
		return;
	if (disk_damage.dropped && (lost || met))
		fault_hit(F_POWER_DROP);
	if (disk_damage.torn && met)
		fault_hit(F_POWER_TEAR);
	if (disk_damage.reordered && met)
		fault_hit(F_POWER_REORDER);
}

/* Was anything done to the files that a reader may call damage? */
static int is_intact(void)
{
	static const enum fault harm[] = { F_WRITE_EIO, F_WRITE_ENOSPC, F_SYNC_EIO, F_SYNC_RESCUE,
		                           F_TRUNC_EIO, F_OPEN_EEXIST, F_DIRSYNC_EIO, F_STAT_EIO,
		                           F_READ_EIO };

	for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++)
		if (faults[harm[i]].injected)
			return 0;
	return !power_cuts_since(0);
}

void *look_task(void *arg)
{
	uint64_t records, lost, errors = faults[F_READ_EIO].injected + faults[F_LIST_EIO].injected +
	                                 faults[F_STAT_EIO].injected;
	int healed = vt_healed, r;

	(void)arg;
	r = read_all(&records); /* with everything that fails */
	if (r == -EIO && faults[F_READ_EIO].injected)
		fault_hit(F_READ_EIO);
	S_TRUE(r == 0 || r == -ENOENT ||
	           faults[F_READ_EIO].injected + faults[F_LIST_EIO].injected +
	                   faults[F_STAT_EIO].injected != errors,
	       "reading the log answers %d", r);
	vt_healed = 1;
	r = read_all(&records);
	vt_healed = healed;
	trace(T_READ, "log", records, counts.batches, (uint64_t)-r);
	S_TRUE(r == 0 || r == -ENOENT, "reading the log answers %d", r);
	lost = check_all();
	if (is_intact() && !r)
		S_TRUE(!counts.damaged, "%" PRIu64 " damaged places in a log that nothing befell",
		       counts.damaged);
	count_hits(lost);
	return NULL;
}
