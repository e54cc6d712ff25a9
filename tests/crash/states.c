/* SPDX-License-Identifier: Apache-2.0 */
/*
 * states.c - the log after a power cut: every state that the disk of disk.h may be in.
 *
 * The real writer runs a script on the disk in memory. After every operation of it all states that
 * a cut may leave are made, and the real reader reads each. Then the writer is started on it again,
 * and that is cut off as well, to a depth of three; or it is started after its death alone, with
 * what is not durable still in memory. Scripts run undisturbed, and with each of their calls
 * failing once.
 *
 *     states [SCENARIO]     prints TAP; WEIR_PROOF, WEIR_PROOF_SECONDS
 *
 * What must hold in each state: what was acknowledged under sync=batch, or before a sync that
 * answered 0, is there; every batch is as it was written, and none comes twice; they are in order.
 * (When a machine dies amid the rescue of what a failed sync left, batches that are not durable yet
 * may change places.)
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/sys.h"
#include "disk.h"
#include "ledger.h"
#include "log/dir.h"

#define EVENTS 160
#define DEPTH 3

/*
 * Scripts: o opens, c closes, b writes the next batch, s syncs, t lets an hour pass and ticks, n is
 * the next life, + names sources from now on.
 */
struct scenario {
	const char *name, *promise;
	struct wr_log_options options;
	enum ledger_sizes sizes;
	const char *script, *again; /* again: after a cut */
	int depth;                  /* cuts one after the other */
	int faults;                 /* each call fails once */
};

#define SMALL .segment_bytes = 4096
#define TIGHT .segment_bytes = 4096, .max_bytes = 8192
#define LONG_INTERVAL .sync = WR_LOG_SYNC_INTERVAL, .interval_ns = 3600000000000u

static const struct scenario scenarios[] = {
	{ "append", "append: whatever a power cut leaves, what was acknowledged is there",
	  { .sync = WR_LOG_SYNC_BATCH }, LEDGER_MIXED, "o+bbbbbc", "obbc", 3, 1 },
	{ "rotation", "rotation: whatever a power cut leaves, what was acknowledged is there",
	  { .sync = WR_LOG_SYNC_BATCH, SMALL }, LEDGER_LARGE, "obbbbbbbc", "obbc", 2, 1 },
	{ "recycle", "a recycled file: whatever a power cut leaves, what was acknowledged is there",
	  { .sync = WR_LOG_SYNC_BATCH, TIGHT }, LEDGER_LARGE, "obbbbbbbbbbbc", "obbbbc", 2, 1 },
	{ "equal", "a recycled file of the same length: what was acknowledged is there",
	  { .sync = WR_LOG_SYNC_BATCH, TIGHT }, LEDGER_EQUAL, "obbbbbbbbbbbbbc", "obbbbc", 2, 1 },
	{ "lives", "several lives: whatever a power cut leaves, what was acknowledged is there",
	  { .sync = WR_LOG_SYNC_BATCH, TIGHT }, LEDGER_LARGE, "obbbncobbbbncobbc", "obbc", 2, 1 },
	{ "interval", "sync=interval: what a sync covered is there, eight changes later too",
	  { LONG_INTERVAL }, LEDGER_MIXED, "o+bbsbbbbbbbbsbbc", "obbsc", 2, 1 },
	{ "interval-recycle", "sync=interval: what a sync covered is there, in recycled files too",
	  { LONG_INTERVAL, TIGHT }, LEDGER_LARGE, "obbsbbbbbsbbbbbsbbc", "obbsc", 2, 1 },
	{ "none", "sync=none: nothing that was not written is read, and nothing twice",
	  { .sync = WR_LOG_SYNC_NONE, SMALL }, LEDGER_MIXED, "obbbbb", "obb", 3, 1 },
};

enum event_kind { EV_TRIED, EV_ACKED, EV_DURABLE, EV_EXPIRED, EV_LOST };

/* Holds for cuts at or after operation @pos. */
struct event {
	int pos;
	enum event_kind kind;
	struct batches set;
};

struct expect {
	struct batches tried, acked, durable, expired;
};

/* One start of the writer on one disk, and all that was done before. */
struct run {
	struct disk_trace trace;
	struct event event[EVENTS];
	int events;
	struct expect before;
	uint32_t life, seq;
};

static struct run *runs[DEPTH + 2]; /* of each depth; the last for deaths */
static struct run *now;             /* what is under way */
static const struct scenario *scenario;
static struct disk_image state[DEPTH + 1];
static uint64_t *seen;
static unsigned seen_bits; /* log2 of the places of seen[] */
static uint64_t seen_count;
static double deadline;

static struct {
	uint64_t states, distinct, sampled, sampled_small, recoveries, faults, eight, damaged;
	uint64_t depth[DEPTH + 1];
	int most_pending;
	int incomplete;
} figures;

static char failure[2048];
static char context[160]; /* the fault that is planted */

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* others may be at work, too */
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int is_over(void)
{
	if (failure[0])
		return 1;
	if (!figures.incomplete && seconds() > deadline)
		figures.incomplete = 1;
	return figures.incomplete;
}

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
	size_t n;
	va_list args;

	if (failure[0])
		return;
	n = (size_t)snprintf(failure, sizeof(failure), "%s%s: ", scenario->name, context);
	va_start(args, format);
	vsnprintf(failure + n, sizeof(failure) - n, format, args);
	va_end(args);
}

/* --- what is expected --- */

static void add(struct batches *to, const struct batches *from)
{
	for (int i = 0; i <= LIVES; i++)
		to->of[i] |= from->of[i];
}

static void record(enum event_kind kind, struct batches set)
{
	if (now->events == EVENTS) {
		fail("too many events for the test");
		return;
	}
	now->event[now->events++] = (struct event){ now->trace.ops, kind, set };
}

static struct batches only(uint32_t life, uint32_t seq)
{
	struct batches set = { { 0 } };

	set.of[life] = UINT64_C(1) << seq;
	return set;
}

static void expect_at(const struct run *run, int ops, struct expect *ret)
{
	*ret = run->before;
	for (int i = 0; i < run->events && run->event[i].pos <= ops; i++) {
		const struct event *event = &run->event[i];

		if (event->kind == EV_TRIED)
			add(&ret->tried, &event->set);
		else if (event->kind == EV_ACKED)
			add(&ret->acked, &event->set);
		else if (event->kind == EV_EXPIRED)
			add(&ret->expired, &event->set);
		else if (event->kind == EV_DURABLE)
			add(&ret->durable, &event->set);
		else
			ret->acked = ret->durable;
	}
}

/* The batches in segments that have a name, but for those in @file. */
static void in_names(int file, struct batches *ret, uint64_t *bytes, uint64_t *lowest)
{
	uint64_t number;

	*bytes = 0;
	*lowest = UINT64_MAX;
	for (int i = 0; i < disk.now.names; i++) {
		const struct disk_name *name = &disk.now.name[i];
		const struct disk_file *at = &disk.now.file[name->file < 0 ? 0 : name->file];

		if (name->file < 0 || !wr_log_segment_number(name->name, &number))
			continue;
		*bytes += at->size;
		*lowest = number < *lowest ? number : *lowest;
		if (name->file != file)
			ledger_parse(at->data, at->size, number, ret);
	}
}

/* Only retention may remove what was acknowledged: the oldest, when there is too much. */
static void on_gone(int file, const char *name)
{
	const struct disk_file *gone = &disk.now.file[file];
	struct batches inside = { { 0 } }, elsewhere = { { 0 } };
	uint64_t number, bytes, lowest, max = scenario->options.max_bytes;
	struct expect expect;
	int needed = 0;

	if (!wr_log_segment_number(name, &number))
		return;
	ledger_parse(gone->data, gone->size, number, &inside);
	in_names(file, &elsewhere, &bytes, &lowest);
	expect_at(now, now->trace.ops, &expect);
	for (int i = 0; i <= LIVES; i++)
		needed |= (inside.of[i] & expect.acked.of[i] & ~elsewhere.of[i]) != 0;
	if (!needed)
		return;
	if (!max || bytes + scenario->options.segment_bytes <= max)
		fail("segment %" PRIu64 " is removed, which holds acknowledged batches", number);
	else if (number != lowest)
		fail("segment %" PRIu64 " expires before segment %" PRIu64, number, lowest);
	now->trace.ops++; /* it is gone once the operation that follows is there */
	record(EV_EXPIRED, inside);
	now->trace.ops--;
}

/* --- a run of the writer --- */

struct session {
	struct wr_log_writer *writer;
	const struct weir_sources *sources;
	uint64_t unsynced;
	int disturbed; /* a fault is planted: calls may fail */
};

static void all_durable(void)
{
	struct expect expect;

	expect_at(now, now->trace.ops, &expect);
	record(EV_DURABLE, expect.acked);
}

static void look_back(struct session *session)
{
	struct wr_log_writer_counts counts;

	wr_log_writer_counts(session->writer, &counts);
	if (counts.unsynced != session->unsynced)
		record(EV_LOST, (struct batches){ { 0 } });
	session->unsynced = counts.unsynced;
}

static void write_one(struct session *session)
{
	uint32_t seq = ++now->seq;
	int r = -EIO;

	record(EV_TRIED, only(now->life, seq));
	for (int tries = 0; tries < 4 && r; tries++) {
		r = ledger_write(session->writer, now->life, seq, session->sources);
		look_back(session);
		if (r && !session->disturbed)
			fail("batch %u.%u is answered with %d", now->life, seq, r);
	}
	if (r) { /* given up: the engine would drop it */
		if (!failure[0] && disk_plan.fault[0].last != UINT32_MAX)
			fail("batch %u.%u is answered with %d for ever", now->life, seq, r);
		return;
	}
	record(EV_ACKED, only(now->life, seq));
	if (scenario->options.sync == WR_LOG_SYNC_BATCH)
		record(EV_DURABLE, only(now->life, seq));
}

static void open_one(struct session *session)
{
	struct weir_why why = { "" };
	int r = -EIO;

	session->unsynced = 0;
	for (int tries = 0; tries < 2 && r; tries++) {
		r = wr_log_writer_open("log", &scenario->options, NULL, &session->writer, &why);
		if (r && !session->disturbed)
			fail("open answers %d, %s", r, why.text);
	}
	if (r)
		session->writer = NULL;
}

static void close_one(struct session *session)
{
	int r = wr_log_writer_close(session->writer);

	session->writer = NULL;
	if (!r && scenario->options.sync != WR_LOG_SYNC_NONE && !session->unsynced)
		all_durable();
	if (r && !session->disturbed)
		fail("close answers %d", r);
	if (disk_open_count())
		fail("%d descriptors stay open", disk_open_count());
}

static void play(const char *script, int disturbed)
{
	struct session session = { .disturbed = disturbed };
	int r = 0;

	disk_plan.on_gone = on_gone;
	for (; *script && !failure[0]; script++) {
		if (*script == 'o')
			open_one(&session);
		else if (*script == '+')
			session.sources = ledger_sources();
		else if (*script == 'n') {
			now->life++;
			now->seq = 0;
		}
		if (!session.writer)
			continue;
		if (*script == 'b')
			write_one(&session);
		if (*script == 'c')
			close_one(&session);
		if (*script == 't')
			disk_plan.now_ns += 3600000000000u;
		if (*script == 't' || *script == 's') {
			r = *script == 's' ? wr_log_writer_sync(session.writer)
			                   : wr_log_writer_tick(session.writer);
			look_back(&session);
			if (!r)
				all_durable();
			else if (!disturbed)
				fail("a sync answers %d", r);
		}
	}
	disk_plan.on_gone = NULL;
	if (session.writer) { /* what it does from here on is no part of the run */
		int ops = now->trace.ops;

		memset(disk_plan.fault, 0, sizeof(disk_plan.fault));
		(void)wr_log_writer_close(session.writer);
		now->trace.ops = ops;
	}
}

/* --- the states --- */

/* A later segment of the same life is there: then this one was ended, and must be whole. */
static int was_ended(const struct disk_image *image, uint64_t number)
{
	char name[WR_LOG_NAME_BYTES];
	int file, later;

	wr_log_segment_name(number, name);
	file = disk_in_log(image, name);
	for (uint64_t next = number + 1; file >= 0 && next < number + 8; next++) {
		wr_log_segment_name(next, name);
		later = disk_in_log(image, name);
		if (later >= 0 && image->file[later].size > 24 &&
		    image->file[later].data[24] == image->file[file].data[24] &&
		    !memcmp(image->file[later].data, "WEIR", 4))
			return 1;
	}
	return 0;
}

static void verify(const struct disk_image *image, const struct expect *expect, int depth,
                   const char *where)
{
	struct reading reading;

	disk_start(NULL, image);
	ledger_read("log", &reading);
	if (reading.wrong[0])
		fail("%s: %s", where, reading.wrong);
	for (int life = 0; life <= LIVES; life++) {
		uint64_t missing = expect->durable.of[life] & ~expect->expired.of[life] &
		                   ~reading.met.of[life];
		uint64_t late = reading.late.of[life] &
		                (context[0] ? expect->durable.of[life] : UINT64_MAX);
		uint64_t strange = reading.met.of[life] & ~expect->tried.of[life];

		if (missing)
			fail("%s: batch %d.%d was acknowledged and is missing", where, life,
			     __builtin_ctzll(missing));
		if (late)
			fail("%s: batch %d.%d comes after a later one", where, life,
			     __builtin_ctzll(late));
		if (strange)
			fail("%s: batch %d.%d was never written", where, life,
			     __builtin_ctzll(strange));
	}
	/* One that was under way may be there in part, its header whole. */
	if (scenario->options.sync == WR_LOG_SYNC_BATCH && !context[0] &&
	    reading.counts.missing_batches > reading.counts.damaged)
		fail("%s: %" PRIu64 " batches are missing in between", where,
		     reading.counts.missing_batches);
	if (!context[0] && reading.counts.duplicates)
		fail("%s: %" PRIu64 " duplicates", where, reading.counts.duplicates);
	/* Each cut may spoil the segment that was being written, and nothing else. */
	if (scenario->options.sync == WR_LOG_SYNC_BATCH && !context[0] &&
	    reading.spoiled > (uint32_t)depth + 1)
		fail("%s: %u segments are damaged", where, reading.spoiled);
	if (scenario->options.sync == WR_LOG_SYNC_BATCH && !context[0] && !depth && reading.spoiled &&
	    was_ended(image, reading.first_spoiled))
		fail("%s: segment %" PRIu64 " is damaged, which was ended", where,
		     reading.first_spoiled);
	if (disk_open_count())
		fail("%s: the reader leaves descriptors open", where);
	figures.damaged += reading.counts.damaged != 0;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	return x ^ x >> 29;
}

/* 1: this state with these expectations was met before. */
static int was_seen(uint64_t hash, const struct expect *expect, int depth)
{
	uint64_t i;

	for (int n = 0; n <= LIVES; n++) {
		hash = mix(hash + expect->durable.of[n]);
		hash = mix(hash + expect->expired.of[n]);
		hash = mix(hash + expect->tried.of[n]);
	}
	hash = mix(hash + (uint64_t)(depth + 8 * scenario->depth)) | 1;
	for (i = hash >> (64 - seen_bits); seen[i]; i = (i + 1) & ((1u << seen_bits) - 1))
		if (seen[i] == hash)
			return 1;
	if (seen_count > UINT64_C(3) << (seen_bits - 2))
		return 0;
	seen[i] = hash;
	seen_count++;
	return 0;
}

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Of one place: all states of so many units; of more, so many of the states. */
static int slice, soak, units_most;
static uint32_t samples;

static void set_most(int alone)
{
	units_most = slice ? alone ? 12 : 6 : alone ? 16 : 12;
	samples = slice ? alone ? 2048 : 40 : alone ? 8192 : 1024;
}

/* The soak makes every state of up to eight changes, whatever they consist of. */
static int is_sampled(const struct disk_cut *cut)
{
	return cut->units > (soak && cut->pending <= 8 ? 24 : units_most);
}

/* In a slice not every state is started from, so that the starts are spread over all places. */
static int is_chosen(void)
{
	return !slice || next_random() % 24 == 0;
}

static void explore(struct run *run, int from, int depth);

/* A start on what a cut or a death left, and all cuts of that. */
static void recover(struct run *run, const struct expect *expect, int depth)
{
	struct run *before = now;

	now = run;
	run->life++;
	run->seq = 0;
	run->before = *expect;
	run->before.acked = expect->durable; /* a later sync covers nothing of what was before */
	figures.recoveries++;
	play(scenario->again, 0);
	now = before;
	if (!failure[0])
		explore(run, 0, depth);
}

/* 1: another @fill may make another state. */
static int one_state(const struct run *run, const struct disk_cut *cut, uint64_t mask,
                     enum disk_fill fill, const struct expect *expect, int depth)
{
	struct disk_image *image = &state[depth];
	int more = disk_state(cut, mask, fill, image);
	char where[120];

	figures.states++;
	if (was_seen(disk_hash(image), expect, depth))
		return more;
	figures.distinct++;
	figures.depth[depth]++;
	snprintf(where, sizeof(where), "depth %d, %d operations, state %" PRIx64 ".%d.%d", depth + 1,
	         cut->ops, mask, (int)fill, cut->torn);
	verify(image, expect, depth, where);
	if (failure[0] || depth + 1 >= scenario->depth || run->life + 1 > LIVES || !is_chosen())
		return more;
	runs[depth + 1]->events = 0;
	runs[depth + 1]->life = run->life;
	disk_start(&runs[depth + 1]->trace, image);
	recover(runs[depth + 1], expect, depth + 1);
	return more;
}

static void explore(struct run *run, int from, int depth)
{
	for (int ops = from; ops <= run->trace.ops && !is_over(); ops++) {
		struct disk_cut cut;
		struct expect expect;
		uint64_t all;
		int fills;

		disk_cut_at(&cut, &run->trace, ops);
		expect_at(run, ops, &expect);
		if (cut.pending > figures.most_pending)
			figures.most_pending = cut.pending;
		figures.eight += cut.pending == 8;
		fills = cut.grows ? DISK_FILLS : 1;
		all = UINT64_C(1) << (cut.units < 63 ? cut.units : 63);
		if (is_sampled(&cut)) {
			figures.sampled++;
			figures.sampled_small += cut.pending <= 8;
			for (uint32_t i = 0; i < samples && !is_over(); i++)
				(void)one_state(run, &cut, next_random() & (all - 1),
				          (enum disk_fill)(i % DISK_FILLS), &expect, depth);
		} else {
			for (uint64_t mask = 0; mask < all && !is_over(); mask++)
				for (int fill = 0, more = 1; fill < fills && more && !is_over();
				     fill++)
					more = one_state(run, &cut, mask, (enum disk_fill)fill,
					                 &expect, depth);
		}
		if (ops && run->trace.op[ops - 1].kind == DISK_WRITE) {
			/* Within the call: by its death, all before it is in memory still. */
			for (cut.torn = 0; cut.torn < (int)run->trace.op[ops - 1].bytes && !is_over();
			     cut.torn += context[0] ? 61 : cut.torn % 8 % 2 ? 6 : 1 + cut.torn % 8)
				(void)one_state(run, &cut, all - 1, DISK_SHORT, &expect, depth);
		}
	}
}

/* The process dies after each operation, and the machine only after the next start. */
static void explore_deaths(struct run *run)
{
	struct run *again = runs[DEPTH + 1];

	for (int ops = 1; ops <= run->trace.ops && !is_over(); ops++) {
		struct expect expect;

		again->events = 0;
		again->life = run->life;
		again->seq = run->seq;
		expect_at(run, ops, &expect);
		disk_respawn(&again->trace, &run->trace, ops);
		now = again;
		again->life++;
		again->seq = 0;
		again->before = expect;
		again->before.acked = expect.durable;
		figures.recoveries++;
		play(scenario->again, 0);
		now = run;
		if (!failure[0])
			explore(again, ops, 1);
	}
}

/* Once through the script, with what is planted. */
static void one_run(int disturbed)
{
	struct run *run = runs[0];
	static struct disk_image empty;

	run->events = 0;
	run->life = 1;
	run->seq = 0;
	run->before = (struct expect){ 0 };
	disk_empty(&empty);
	disk_plan.now_ns = disk_plan.wall_ns = 1000000;
	disk_start(&run->trace, &empty);
	now = run;
	play(scenario->script, disturbed);
	memset(disk_plan.fault, 0, sizeof(disk_plan.fault));
	disk_plan.forgets = 0;
}

static const char *const call_names[DISK_CALLS] = {
	"open", "write", "read", "sync", "dir-sync", "truncate",
	"unlink", "rename", "stat", "list", "lock", "mkdir", "close", "seek"
};

static void one_fault(struct disk_fault fault, int forgets, int then)
{
	snprintf(context, sizeof(context), " (%s %u fails with %d, %d written, memory %s)",
	         call_names[fault.call], fault.first, fault.error, (int)fault.partly,
	         forgets ? "lost" : "kept");
	memset(disk_plan.fault, 0, sizeof(disk_plan.fault));
	disk_plan.fault[0] = fault;
	if (then) /* the next call, too */
		disk_plan.fault[1] = (struct disk_fault){ fault.call, then, fault.last + 1,
			                             fault.last + 1, 0 };
	disk_plan.forgets = forgets;
	disk_plan.hit_at = -1;
	one_run(1);
	figures.faults++;
	/* Before it happened all is as it was undisturbed. */
	if (!failure[0] && disk_plan.hit_at >= 0)
		explore(runs[0], disk_plan.hit_at, 0);
	context[0] = 0;
}

static void faults_of_a_call(enum disk_call call, uint32_t count)
{
	for (uint32_t n = 1; n <= count && !is_over(); n++) {
		struct disk_fault fault = { call, -EIO, n, n, 0 };

		one_fault(fault, 0, 0);
		if (call == DISK_CALL_SYNC) {
			one_fault(fault, 1, 0);
			/* That of the file it is written again to, too. */
			one_fault(fault, 0, -EIO);
			one_fault(fault, 1, -EIO);
		}
		if (call == DISK_CALL_WRITE) {
			fault = (struct disk_fault){ call, 0, n, n, 60 }; /* a short write */
			one_fault(fault, 0, 0);
			one_fault(fault, 0, -ENOSPC); /* then there is no more room */
		}
	}
}

/* One pass over a scenario: cuts to @depth, deaths, or faults. */
enum pass { PASS_CUTS, PASS_FAULTS, PASS_DEATHS, PASS_TWICE, PASS_THRICE, PASSES };

static void one_pass(const struct scenario *which, enum pass pass)
{
	struct scenario planned = *which;
	uint32_t called[DISK_CALLS];

	planned.depth = pass == PASS_THRICE ? 3 : pass == PASS_TWICE ? 2 : 1;
	if (planned.depth > which->depth)
		return;
	scenario = &planned;
	set_most(pass != PASS_FAULTS && pass != PASS_DEATHS);
	ledger_sizes = which->sizes;
	context[0] = 0;
	one_run(0);
	memcpy(called, disk_plan.called, sizeof(called));
	if (pass == PASS_DEATHS) {
		planned.depth = 2;
		explore_deaths(runs[0]);
	} else if (pass == PASS_FAULTS) {
		for (int call = 0; call < DISK_CALLS && !is_over(); call++)
			faults_of_a_call((enum disk_call)call, called[call]);
	} else if (!failure[0]) {
		explore(runs[0], 0, 0);
	}
	scenario = which;
}

static void print_figures(void)
{
	printf("# figure crash-states | states read (distinct) | %" PRIu64 " | 100000\n",
	       figures.distinct);
	printf("# figure crash-states | states made | %" PRIu64 " |\n", figures.states);
	printf("# figure crash-states | most changes pending | %d | 8\n", figures.most_pending);
	printf("# figure crash-states | places with 8 changes pending | %" PRIu64 " |\n",
	       figures.eight);
	for (int i = 0; i < DEPTH; i++)
		printf("# figure crash-states | states of depth %d | %" PRIu64 " |\n", i + 1,
		       figures.depth[i]);
	printf("# figure crash-states | starts on what a cut left | %" PRIu64 " |\n",
	       figures.recoveries);
	printf("# figure crash-states | failing calls | %" PRIu64 " |\n", figures.faults);
	printf("# figure crash-states | places sampled, not exhausted | %" PRIu64 " |\n",
	       figures.sampled);
	printf("# figure crash-states | of them with at most 8 changes | %" PRIu64 " | 0\n",
	       figures.sampled_small);
	if (figures.incomplete)
		printf("# %s: the time was over before all states were made\n",
		       slice ? "slice" : "not complete");
}

static const char *const pass_names[PASSES] = {
	"one cut", "one failing call and a cut", "a death and a cut", "two cuts", "three cuts"
};

/*
 * Seconds of CPU for a pass. In the soak one cut, failing calls and deaths are given what all their
 * states take; what two and three cuts leave has no end.
 */
static double time_for(enum pass pass)
{
	const char *time = getenv("WEIR_PROOF_SECONDS");
	double part = (time ? strtod(time, NULL) : 20) / 20;

	if (soak)
		return pass < PASS_TWICE ? 900 : 120;
	if (!slice)
		return pass < PASS_TWICE ? 12 : 8;
	return pass < PASS_TWICE ? 60 : pass == PASS_TWICE ? part / 2 : part;
}

int main(int argc, char **argv)
{
	const char *proof = getenv("WEIR_PROOF");
	const int count = (int)(sizeof(scenarios) / sizeof(scenarios[0]));
	int bad = 0, n = 0;

	slice = !proof || !strcmp(proof, "slice");
	soak = proof && !strcmp(proof, "soak");
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	seen_bits = soak ? 28 : 24;
	seen = calloc(UINT64_C(1) << seen_bits, sizeof(*seen));
	for (int i = 0; i < DEPTH + 2; i++)
		runs[i] = calloc(1, sizeof(*runs[i]));
	printf("1..%d\n", argc > 1 ? 1 : count);
	for (int i = 0; i < count; i++) {
		if (argc > 1 && strcmp(argv[1], scenarios[i].name) != 0)
			continue;
		failure[0] = 0;
		for (enum pass pass = 0; pass < PASSES && !failure[0]; pass++) {
			double began = seconds();
			uint64_t distinct = figures.distinct;

			figures.incomplete = 0;
			deadline = began + time_for(pass);
			one_pass(&scenarios[i], pass);
			if (figures.distinct != distinct)
				printf("# %s, %s: %" PRIu64 " states%s, %.1f s\n", scenarios[i].name,
				       pass_names[pass], figures.distinct - distinct,
				       figures.incomplete ? " and time was over" : "",
				       seconds() - began);
		}
		bad += failure[0] != 0;
		if (failure[0])
			printf("# %s\n", failure);
		printf("%s %d - %s\n", failure[0] ? "not ok" : "ok", ++n, scenarios[i].promise);
		fflush(stdout);
		if (bad && getenv("WEIR_CRASH_FIRST"))
			return 1;
	}
	print_figures();
	printf("# states with damage: %" PRIu64 "\n", figures.damaged);
	return bad != 0;
}
