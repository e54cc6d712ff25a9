/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.c - what must be true of every record, after every step.
 *
 * It knows what producers did and what sinks saw. It looks into the engine for two things only: its
 * own audit, and whether the flusher is amid a turn. Why a record was late it works out from what
 * the simulator itself did: an engine that believes its sink to be busy is no excuse.
 */
#include "sim/core/sim.h"

#include <inttypes.h>
#include <string.h>

#include "api/engine.h"

#define HEAD 22
#define GRACE_NS (1 * MS)

struct life lives[LIVES_MAX];
uint32_t life_now;
struct weir *the_weir;
const char *const excuse_names[E_KINDS] = { "sink busy", "late wake", "clock jump", "no memory",
	                                    "place held", "own work" };
uint64_t excused[E_KINDS], overruns[E_KINDS], starved_until;
static uint64_t looked_at, counted_at;
static uint64_t total_excused;

static struct life *life(void)
{
	return &lives[life_now];
}

void excuse_add(enum excuse kind, uint64_t ns)
{
	excused[kind] += ns;
	total_excused += ns;
}

/* Of a verdict, or of room: the sink's thread is on its way. ORDER none: relaxed. One thread. */
static int is_being_told(void)
{
	return the_weir &&
	       (atomic_load_explicit(&the_weir->flusher.done, memory_order_relaxed) ||
	        atomic_load_explicit(&the_weir->flusher.control.ready, memory_order_relaxed));
}

/* Time goes on by @ns: is there a reason for which the flusher cannot do its work? */
static void on_time(uint64_t ns)
{
	if (vt_no_yield) /* a jump, counted already */
		return;
	if (watch_is_held() || is_being_told())
		excuse_add(E_SINK, ns);
	else if (vt_now < starved_until)
		excuse_add(E_MEMORY, ns);
	else if (task_any_held() || oracle_claims())
		excuse_add(E_HELD, ns);
	else if (task_self() && task_self() == task_flusher_now())
		excuse_add(E_WORK, ns);
	else if (task_flusher_is_late())
		excuse_add(E_LATE, ns);
}

/* In a process of its own: all else is zero. */
void oracle_reset(void)
{
	vt_on_time = on_time;
	vt_after_step = oracle_step;
}

void oracle_life(void)
{
	life()->next_seq = 1;
	looked_at = counted_at = 0;
}

static void fill(uint8_t *to, uint32_t life_number, uint32_t producer, uint32_t number, uint32_t size)
{
	char head[HEAD + 1];
	uint32_t state = number * 2654435761u + producer * 40503u + life_number + 1;

	snprintf(head, sizeof(head), "weir:%02x%02x%04x%08x:", life_number, producer, number, size);
	memcpy(to, head, HEAD);
	for (uint32_t i = HEAD; i < size; i++) {
		state = state * 1103515245u + 12345u;
		to[i] = (uint8_t)('a' + (state >> 16) % 26);
	}
}

uint32_t oracle_begin(uint32_t producer, uint32_t size, uint64_t max_age_ns, uint8_t *content)
{
	uint32_t number = life()->begun[producer]++;
	struct record *record = &life()->records[producer][number];

	record->state = R_PUSHING;
	record->size = size;
	record->due_ns = max_age_ns; /* its own limit, until it is pushed */
	fill(content, life_now, producer, number, size);
	return number;
}

static void accept(struct record *record)
{
	const struct weir_config *config = &plan.config;
	uint64_t limit = UINT64_MAX;

	record->state = R_ACCEPTED;
	record->pushed_ns = vt_now;
	record->excused_ns = total_excused;
	life()->accepted++;
	life()->dirty++;
	if (config->timer_mode == WEIR_MODE_ON && config->deadline_ns != WEIR_OFF)
		limit = config->deadline_ns;
	if (config->urgent_mode == WEIR_MODE_ON && record->due_ns && record->due_ns < limit &&
	    config->timer_mode == WEIR_MODE_ON)
		limit = record->due_ns;
	record->due_ns = limit == UINT64_MAX ? limit : vt_now + limit;
}

void oracle_end(uint32_t producer, uint32_t number, int r)
{
	struct record *record = &life()->records[producer][number];

	trace(T_PUSH, "push", producer, number, (uint64_t)(int64_t)r);
	life()->dirty++;
	if (r) {
		S_TRUE(record->place == P_RING,
		       "push %u of producer %u answered %d, but the sink got its record", number,
		       producer, r);
		record->state = R_REFUSED;
		return;
	}
	accept(record);
}

void oracle_claimed(uint32_t producer, uint32_t number, int r)
{
	struct record *record = &life()->records[producer][number];

	trace(T_PUSH, "claim", producer, number, (uint64_t)(int64_t)r);
	record->state = r ? R_REFUSED : R_CLAIMED;
}

void oracle_claim_ended(uint32_t producer, uint32_t number, int committed, int r)
{
	struct record *record = &life()->records[producer][number];

	trace(T_PUSH, "claim-end", producer, number, (uint64_t)(int64_t)r);
	life()->dirty++;
	if (committed && !r) {
		accept(record);
		return;
	}
	S_TRUE(record->place == P_RING, "claim %u of producer %u was given up, but delivered",
	       number, producer);
	record->state = R_ABORTED;
}

static int parse_hex(const uint8_t **at, unsigned digits, uint32_t *ret)
{
	*ret = 0;
	for (; digits--; (*at)++) {
		uint8_t c = **at;

		if (c >= '0' && c <= '9')
			*ret = *ret * 16 + (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*ret = *ret * 16 + (uint32_t)(c - 'a' + 10);
		else
			return 0;
	}
	return 1;
}

struct record *oracle_find(const void *data, uint64_t bytes, uint32_t *ret_life,
                           uint32_t *ret_producer, uint32_t *ret_number)
{
	static uint8_t right[1 << 16];
	const uint8_t *at = (const uint8_t *)data + 5;
	uint32_t size = 0;

	S_TRUE(bytes >= HEAD && bytes <= sizeof(right) && !memcmp(data, "weir:", 5) &&
	           parse_hex(&at, 2, ret_life) && parse_hex(&at, 2, ret_producer) &&
	           parse_hex(&at, 4, ret_number) && parse_hex(&at, 8, &size) &&
	           *ret_life <= life_now && *ret_producer < PRODUCERS_MAX && size == bytes &&
	           *ret_number < lives[*ret_life].begun[*ret_producer],
	       "a record of %" PRIu64 " bytes that nobody pushed", bytes);
	fill(right, *ret_life, *ret_producer, *ret_number, size);
	S_TRUE(!memcmp(right, data, bytes), "record %u of producer %u has other bytes than pushed",
	       *ret_number, *ret_producer);
	return &lives[*ret_life].records[*ret_producer][*ret_number];
}

static uint64_t count_state(enum record_state state)
{
	uint64_t n = 0;

	for (uint32_t p = 0; p < PRODUCERS_MAX; p++)
		for (uint32_t i = life()->begun[p]; i-- > 0;)
			n += life()->records[p][i].state == state;
	return n;
}

static uint64_t count_place(enum record_place place)
{
	uint64_t n = 0;

	for (uint32_t p = 0; p < PRODUCERS_MAX; p++)
		for (uint32_t i = 0; i < life()->begun[p]; i++)
			n += life()->records[p][i].state == R_ACCEPTED &&
			     life()->records[p][i].place == place;
	return n;
}

static uint64_t claims_seen_at = UINT64_MAX, claims_seen;

uint64_t oracle_claims(void)
{
	if (claims_seen_at != life()->dirty) {
		claims_seen = count_state(R_CLAIMED);
		claims_seen_at = life()->dirty;
	}
	return claims_seen;
}

uint64_t oracle_pushing(void)
{
	return count_state(R_PUSHING);
}

static void check_identity(void)
{
	struct wr_flusher *flusher = &the_weir->flusher;
	struct weir_audit audit = { .size = sizeof(audit) };
	uint64_t pushing = oracle_pushing(), accepted = life()->accepted;

	wr_flusher_audit(flusher, &audit);
	S_TRUE(audit.residual == 0, "the identity is broken by %" PRId64, audit.residual);
	/* Behind a place whose size nobody has told yet the engine cannot count. */
	S_TRUE((audit.accepted >= accepted || pushing) &&
	           audit.accepted <= accepted + pushing,
	       "the engine accepted %" PRIu64 " records, the producers %" PRIu64
	       " and %" PRIu64 " under way",
	       audit.accepted, accepted, pushing);
	S_TRUE(audit.delivered <= life()->delivered,
	       "the engine counts %" PRIu64 " as delivered, the sink took %" PRIu64,
	       audit.delivered, life()->delivered);
	/* ORDER none: relaxed. One thread. */
	if (!atomic_load_explicit(&flusher->done, memory_order_relaxed))
		S_TRUE(audit.delivered == life()->delivered,
		       "the sink took %" PRIu64 " records, the engine counts %" PRIu64
		       " as delivered",
		       life()->delivered, audit.delivered);
}

/*
 * A batch waits for its next attempt, and others behind it. The watch's own guess of when that is
 * errs when the flusher took the verdict later than it could; that the wait is not too long is
 * left to the deadlines.
 */
static int is_to_come_again(void)
{
	const struct wr_batch *again = the_weir->flusher.again;

	return again && again->not_before_ns > vt_now;
}

/* Enough has gathered, the flusher sleeps, and nothing is to blame: somebody forgot to wake it. */
static void check_thresholds(void)
{
	const struct weir_config *config = &plan.config;
	uint64_t waiting, most = config->threshold;

	if (config->threshold_mode != WEIR_MODE_ON || config->threshold == WEIR_OFF ||
	    task_any_overdue() || life()->dirty == counted_at)
		return;
	counted_at = life()->dirty;
	if (watch_is_held() || vt_now < starved_until || task_any_held() || oracle_claims() ||
	    oracle_pushing() || life()->closing || sys_is_ready(the_weir->flusher.poll_fd))
		return;
	if (is_being_told() || is_to_come_again())
		return;
	if (config->count_slack != WEIR_AUTO)
		most += plan.cpus * config->count_slack;
	else if (config->threshold > 8 * (uint64_t)plan.cpus)
		most += most / 8 + 1;
	waiting = count_place(P_RING);
	S_TRUE(waiting < most,
	       "%" PRIu64 " records lie there, the threshold is %" PRIu64
	       ", at most %" PRIu64 " may be uncounted, and the flusher sleeps",
	       waiting, config->threshold, most - config->threshold);
}

void oracle_step(void)
{
	int waits;

	if (!the_weir || (life()->dirty == looked_at && life()->dirty == counted_at))
		return;
	if (!task_is_quiet(&the_weir->flusher, the_weir->flusher.poll_fd, &waits))
		return;
	if (life()->closing && !waits) /* the end is being booked, step by step */
		return;
	if (the_weir->flusher.cut.any_blocked && faults[F_PUSH_HELD].injected)
		fault_hit(F_PUSH_HELD);
	if (the_weir->flusher.starved_ns && faults[F_NO_MEMORY].injected)
		fault_hit(F_NO_MEMORY);
	if (life()->dirty != looked_at)
		check_identity();
	looked_at = life()->dirty;
	if (waits)
		check_thresholds();
}

void oracle_submitted(struct record *record, uint64_t now)
{
	uint64_t late, excuse = total_excused - record->excused_ns;
	uint64_t grace = GRACE_NS;
	unsigned best = 0;

	if (record->state != R_ACCEPTED || record->due_ns == UINT64_MAX ||
	    now <= record->due_ns + grace)
		return;
	late = now - record->due_ns;
	if (late > excuse + grace)
		sim_fail("a record was submitted %" PRIu64 " us after its deadline; of these only %"
		         PRIu64 " us have a cause",
		         late / US, excuse / US);
	for (unsigned i = 1; i < E_KINDS; i++) /* the cause that was there longest so far */
		if (excused[i] > excused[best])
			best = i;
	overruns[best]++;
}

void oracle_expire(uint64_t segment)
{
	for (uint32_t l = 0; l <= life_now; l++)
		for (uint32_t p = 0; p < PRODUCERS_MAX; p++)
			for (uint32_t i = 0; i < lives[l].begun[p]; i++)
				if (lives[l].records[p][i].segment <= segment)
					lives[l].records[p][i].acked = 0;
}

uint64_t oracle_open(void)
{
	return life()->accepted - life()->delivered - life()->rejected;
}

int oracle_drained(void)
{
	struct weir_audit audit = { .size = sizeof(audit) };
	int waits;

	if (!task_is_quiet(&the_weir->flusher, the_weir->flusher.poll_fd, &waits))
		return 0;
	wr_flusher_audit(&the_weir->flusher, &audit);
	return audit.pending_ring + audit.pending_batch == 0 &&
	       !atomic_load_explicit(&the_weir->flusher.done, memory_order_relaxed);
	/* ORDER none: relaxed. One thread. */
}

void oracle_closed(int healed, const struct weir_close_report *report)
{
	struct weir_stats stats = { .size = sizeof(stats) };
	struct weir_audit audit = { .size = sizeof(audit) };
	uint64_t pushing = oracle_pushing(), gone, left;

	(void)weir_stats(the_weir, &stats);
	wr_flusher_audit(&the_weir->flusher, &audit);
	S_TRUE(audit.residual == 0, "after close the identity is broken by %" PRId64,
	       audit.residual);
	if (report->sink_stuck && stats.pending) { /* the flusher did not come in a second */
		S_TRUE(vt_late_ns + excused[E_JUMP] >= SEC, "close left the flusher behind");
		return;
	}
	gone = stats.dropped_rejected + stats.dropped_timeout + stats.dropped_too_large +
	       stats.dropped_fatal + stats.dropped_shutdown + stats.dead_lettered;
	S_TRUE(stats.accepted == stats.delivered + gone && !stats.pending,
	       "after close: accepted %" PRIu64 ", delivered %" PRIu64 ", dropped %" PRIu64
	       ", pending %" PRIu64,
	       stats.accepted, stats.delivered, gone, stats.pending);
	S_TRUE(stats.accepted >= life()->accepted &&
	           stats.accepted <= life()->accepted + pushing,
	       "after close the engine has accepted %" PRIu64 " records, the producers %" PRIu64,
	       stats.accepted, life()->accepted);
	S_TRUE(stats.delivered == life()->delivered,
	       "after close: delivered %" PRIu64 ", but the sink took %" PRIu64, stats.delivered,
	       life()->delivered);
	S_TRUE(stats.dropped_rejected == life()->rejected,
	       "after close: rejected %" PRIu64 ", but the sink rejected %" PRIu64,
	       stats.dropped_rejected, life()->rejected);
	S_TRUE(stats.dropped_too_large == life()->single_splits,
	       "after close: too large %" PRIu64 ", but the sink split %" PRIu64 " single ones",
	       stats.dropped_too_large, life()->single_splits);
	left = count_place(P_RING) + count_place(P_BACK) + count_place(P_STUCK) +
	       count_place(P_SINK);
	gone = stats.dropped_timeout + stats.dropped_fatal + stats.dropped_shutdown;
	S_TRUE(gone >= left && gone <= left + pushing,
	       "after close: %" PRIu64 " dropped, %" PRIu64 " without a verdict", gone, left);
	/* Only the time of all attempts, a broken sink or the end of close may drop one. */
	S_TRUE(!stats.dropped_fatal || watch_broken(), "dropped as fatal, but the sink works");
	S_TRUE(!stats.dropped_timeout || plan.config.batch_total_timeout_ns != WEIR_OFF,
	       "dropped for its age, but attempts may go on for ever");
	S_TRUE(!stats.dropped_shutdown || report->timed_out || report->sink_stuck || pushing ||
	           report->claims_abandoned,
	       "close had the time, and left %" PRIu64 " records", stats.dropped_shutdown);
	S_TRUE(!healed || watch_broken() || pushing || report->claims_abandoned || !report->left,
	       "all is healed, and close left %" PRIu64 " records", report->left);
}
