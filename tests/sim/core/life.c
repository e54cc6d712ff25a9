/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.c - one life of an engine: opened, pushed to by producers, healed, drained, closed; or ended
 * in the midst of all that.
 */
#include "sim/core/sim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/engine.h"
#include "ring/rseq.h"

#define LEFT_MAX 64

struct left_claim {
	struct weir_claim claim;
	uint32_t producer, number;
	uint8_t *to;
};

static int stop;      /* no more pushes */
static int stop_own;  /* the host's own loop is to end */
static uint32_t busy; /* producers at work */
static struct left_claim left_claims[LEFT_MAX];
static uint32_t left_count;
static uint64_t crash_at;

static struct life *life(void)
{
	return &lives[life_now];
}

/* How many faults of a kind there have been, to see which one an error comes from. */
struct before {
	uint64_t injected[F_KINDS];
};

static void look(struct before *before)
{
	for (uint32_t i = 0; i < F_KINDS; i++)
		before->injected[i] = faults[i].injected;
}

/* @r is the answer to one of these, if it is what they cause. 1: it is. */
static int blame(const struct before *before, enum fault kind, int r, int right)
{
	if (r != right || faults[kind].injected == before->injected[kind])
		return 0;
	fault_hit(kind);
	return 1;
}

static int open_other(struct weir_sink **ret, struct weir_why *why)
{
	char path[256];
	const char *colon = strrchr(options.sink_so, ':');
	int (*open_fn)(struct weir_sink **sink, struct weir_why *why);
	void *plugin;

	S_TRUE(colon && (size_t)(colon - options.sink_so) < sizeof(path) - 2,
	       "--sink-so: FILE.so:SYMBOL is wanted");
	/* A name without a folder is a file here, not one that the loader searches for. */
	snprintf(path, sizeof(path), "%s%.*s", strchr(options.sink_so, '/') ? "" : "./",
	         (int)(colon - options.sink_so), options.sink_so);
	plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	S_TRUE(plugin, "%s", dlerror());
	*(void **)&open_fn = dlsym(plugin, colon + 1);
	S_TRUE(open_fn, "%s", dlerror());
	return open_fn(ret, why);
}

static int open_sink(struct weir_sink **ret, struct weir_why *why)
{
	if (options.sink_so)
		return open_other(ret, why);
	if (plan.sink == SINK_SCRIPT)
		return script_open(ret);
	if (plan.sink == SINK_PIPE) {
		int at = open("/dev/null", O_WRONLY | O_CLOEXEC), r;
		char uri[160];
		const char *options_at = strchr(plan.uri, '?');

		/* The library duplicates it: the next number that is free. */
		snprintf(uri, sizeof(uri), "fd:%d%s", at, options_at ? options_at : "");
		r = fcntl(at, F_DUPFD_CLOEXEC, 3);
		sys_pipe(r);
		close(r);
		r = weir_sink_open(uri, ret, why);
		close(at);
		return r;
	}
	return weir_sink_open(plan.uri, ret, why);
}

static struct weir_sink *get_sink(void)
{
	struct weir_sink *sink = NULL;

	for (int try = 0;; try++) {
		struct weir_why why = { "" };
		struct before before;
		int healed = vt_healed, r;

		look(&before);
		vt_healed |= try >= 6;
		r = open_sink(&sink, &why);
		vt_healed = healed;
		if (!r)
			return sink;
		trace(T_LIFE, "no-sink", (uint64_t)-r, (uint64_t)try, 0);
		S_TRUE(try < 6 && !options.sink_so, "the sink cannot be opened: %d %s", r, why.text);
		if (!blame(&before, F_LOCK_BUSY, r, -EBUSY) &&
		    !blame(&before, F_MKDIR_ENOSPC, r, -ENOSPC) &&
		    !blame(&before, F_LIST_EIO, r, -EIO) && !blame(&before, F_DIRSYNC_EIO, r, -EIO) &&
		    !blame(&before, F_STAT_EIO, r, -EIO) &&
		    !blame(&before, F_NO_DESCRIPTOR, r, -EMFILE))
			sim_fail("the sink answers %d for no reason: %s", r, why.text);
		task_sleep(MS);
	}
}

static void *own_loop(void *arg)
{
	struct rng rng = rng_of(plan.seed, 1010 + life_now);

	(void)arg;
	while (!stop_own) {
		static const uint64_t waits[4] = { WEIR_OFF, WEIR_OFF, 10 * MS, 0 };
		int r = weir_run_once(the_weir, waits[rng_below(&rng, 4)]);

		S_TRUE(r >= 0 || r == -EBUSY || r == -ESHUTDOWN, "weir_run_once answers %d", r);
		if (r == -ESHUTDOWN)
			break;
		/* A host has other things to do; never for as long as a millisecond. */
		task_sleep(r == -EBUSY ? 100 * US : rng_between(&rng, 1 * US, 200 * US));
	}
	return NULL;
}

static void get_engine(struct weir_sink *sink)
{
	struct weir_sink *watched = watch_new(sink);
	struct weir *weir = NULL;

	wr_rseq_force(WR_RSEQ_FORCED_OFF);
	for (int try = 0;; try++) {
		struct weir_why why = { "" };
		struct before before;
		int healed = vt_healed, r;

		look(&before);
		vt_healed |= try >= 6;
		r = weir_open(&plan.config, watched, &weir, &why);
		vt_healed = healed;
		if (!r)
			break;
		trace(T_LIFE, "no-engine", (uint64_t)-r, (uint64_t)try, 0);
		S_TRUE(try < 6, "the engine cannot be opened: %d %s", r, why.text);
		if (!blame(&before, F_NO_DESCRIPTOR, r, -EMFILE) &&
		    !blame(&before, F_NO_THREAD, r, -EAGAIN) &&
		    !blame(&before, F_SINK_START, r, -ENOTCONN))
			sim_fail("weir_open answers %d for no reason: %s", r, why.text);
		task_sleep(MS);
	}
	the_weir = weir;
	stop_own = 0;
	if (plan.config.loop == WEIR_LOOP_OWN)
		task_flusher(task_start("own", own_loop, NULL));
	else
		task_flusher(task_of_thread((uint64_t)weir->thread));
	life()->opened = 1;
	life()->dirty++;
}

static void check_push(int r)
{
	S_TRUE(!r || r == -EAGAIN || r == -ETIMEDOUT || r == -EPIPE || r == -ESHUTDOWN ||
	           r == -EDEADLK,
	       "a push answers %d", r);
	if (r == -EAGAIN)
		fault_hit(F_RING_FULL);
	if (r == -ETIMEDOUT)
		fault_hit(F_ROOM_LATE);
}

struct producer {
	uint32_t id;
	struct rng rng;
	uint32_t burst; /* so many more large records without a pause */
	uint8_t content[8192];
};

static uint32_t draw_bytes(struct producer *producer)
{
	uint64_t n = rng_below(&producer->rng, 100);
	uint64_t small = rng_between(&producer->rng, 24, 120);
	uint64_t middle = rng_between(&producer->rng, 120, 1500);
	uint64_t large = rng_between(&producer->rng, 3000, 8192);

	if (producer->burst) {
		producer->burst--;
		return (uint32_t)large;
	}
	return (uint32_t)(n < 75 ? small : n < 96 ? middle : large);
}

static void claim(struct producer *producer, uint32_t bytes)
{
	struct weir_claim claim;
	uint32_t number = oracle_begin(producer->id, bytes, 0, producer->content);
	int r, abort = fault_now(F_CLAIM_ABORT), open = fault_now(F_CLAIM_OPEN);
	int leave = fault_now(F_CLAIM_LEFT);

	task_in_push(1);
	r = weir_claim(the_weir, bytes, NULL, &claim);
	task_in_push(-1);
	oracle_claimed(producer->id, number, r);
	life()->dirty++;
	check_push(r);
	if (r)
		return;
	memcpy(claim.data, producer->content, bytes);
	if (leave && left_count < LEFT_MAX) {
		left_claims[left_count++] =
			(struct left_claim){ claim, producer->id, number, claim.data };
		return;
	}
	task_sleep(open ? 2 * plan.config.claim_max_ns : rng_log(&producer->rng, 10, 18));
	lives[life_now].records[producer->id][number].state = R_PUSHING;
	life()->dirty++;
	r = abort ? weir_abort(&claim) : weir_commit(&claim);
	S_TRUE(!r || r == -ESHUTDOWN, "ending a claim answers %d", r);
	oracle_claim_ended(producer->id, number, !abort, r);
}

static void push(struct producer *producer)
{
	uint64_t kind = rng_below(&producer->rng, 100), ages = rng_log(&producer->rng, 16, 30);
	uint32_t bytes = draw_bytes(producer), number;
	struct weir_push_options with = { 0 };
	uint64_t late = faults[F_LATE_ROOM].injected;
	struct iovec iov[3];
	int r;

	if (kind < 8) {
		claim(producer, bytes);
		return;
	}
	if (kind < 14)
		with.max_age_ns = ages;
	else if (kind < 20)
		with.wait = kind < 17 ? WEIR_PUSH_WAIT : WEIR_PUSH_NO_WAIT;
	number = oracle_begin(producer->id, bytes, with.max_age_ns, producer->content);
	task_in_push(1);
	if (kind < 20) {
		r = weir_push_ex(the_weir, producer->content, bytes, &with);
	} else if (kind < 30) {
		iov[0] = (struct iovec){ producer->content, bytes / 3 };
		iov[1] = (struct iovec){ producer->content + bytes / 3, bytes / 3 };
		iov[2] = (struct iovec){ producer->content + 2 * (bytes / 3),
			                 bytes - 2 * (bytes / 3) };
		r = weir_pushv(the_weir, iov, 3);
	} else {
		r = weir_push(the_weir, producer->content, bytes);
	}
	task_in_push(-1);
	if (!r && faults[F_LATE_ROOM].injected != late)
		fault_hit(F_LATE_ROOM);
	outcome.pushes++;
	oracle_end(producer->id, number, r);
	check_push(r);
}

/* What weir_flush_wait() promises: all that was pushed before has its verdict. */
static void flush_wait(void)
{
	uint64_t before = vt_now;
	struct life *mine = life();
	int r = weir_flush_wait(the_weir, 500 * MS);

	S_TRUE(!r || r == -ETIMEDOUT || r == -ESHUTDOWN, "weir_flush_wait answers %d", r);
	for (uint32_t p = 0; !r && p < PRODUCERS_MAX; p++) {
		for (uint32_t i = 0; i < mine->begun[p]; i++) {
			const struct record *record = &mine->records[p][i];

			S_TRUE(record->state != R_ACCEPTED || record->pushed_ns >= before ||
			           (record->place != P_RING && record->place != P_SINK),
			       "weir_flush_wait is over, record %u of producer %u has no verdict", i,
			       p);
		}
	}
}

static void one_thing(struct producer *producer)
{
	uint64_t other = rng_below(&producer->rng, 1000);

	if (fault_now(F_TOO_BIG)) {
		int r = weir_push(the_weir, producer->content, plan.config.record_max + 1);

		S_TRUE(r == -EMSGSIZE, "a record that is too large: %d", r);
		fault_hit(F_TOO_BIG);
	}
	if (fault_now(F_RING_FULL) || fault_now(F_ROOM_LATE))
		producer->burst = 24;
	if (other < 8)
		(void)weir_flush(the_weir);
	else if (other < 12)
		flush_wait();
	else
		push(producer);
}

static void *producer_task(void *arg)
{
	struct producer *producer = arg;

	wr_thread.cpu = (uint32_t)rng_below(&producer->rng, plan.cpus);
	for (uint32_t i = 0; i < plan.records + 200 && !stop; i++) {
		if (i >= plan.records && !producer->burst)
			break;
		if (life()->begun[producer->id] >= RECORDS_MAX)
			break;
		if (!producer->burst && rng_ppm(&producer->rng, 400000))
			task_sleep(rng_below(&producer->rng, 2 * plan.gap_ns));
		if (stop)
			break;
		if (rng_ppm(&producer->rng, 120000))
			wr_thread.cpu = (uint32_t)rng_below(&producer->rng, plan.cpus);
		one_thing(producer);
	}
	busy--;
	return NULL;
}

static void start_producers(void)
{
	memset(wr_holders, 0, sizeof(wr_holders)); /* those of a life before are dead */
	stop = 0;
	left_count = 0;
	busy = plan.producers;
	for (uint32_t i = 0; i < plan.producers; i++) {
		struct producer *producer = calloc(1, sizeof(*producer));
		char name[24];

		S_TRUE(producer, "no memory");
		producer->id = i;
		producer->rng = rng_of(plan.seed, 5000 + 100 * life_now + i);
		snprintf(name, sizeof(name), "producer%u", i);
		(void)task_start(name, producer_task, producer);
	}
}

/* Claims that their owners never ended; another thread may. */
static void end_left_claims(void)
{
	for (uint32_t i = 0; i < left_count; i++) {
		struct left_claim *left = &left_claims[i];
		int r;

		lives[life_now].records[left->producer][left->number].state = R_PUSHING;
		r = weir_commit(&left->claim);
		S_TRUE(!r || r == -ESHUTDOWN, "ending a claim answers %d", r);
		oracle_claim_ended(left->producer, left->number, 1, r);
	}
	left_count = 0;
}

/* Phase two: nothing fails any more, and all that was accepted must be delivered in time. */
static void heal(void)
{
	const struct weir_config *config = &plan.config;
	int timed = config->timer_mode == WEIR_MODE_ON && config->deadline_ns != WEIR_OFF;
	uint64_t until = vt_now + 6 * SEC + (timed ? config->deadline_ns : 0);

	vt_healed = 1;
	trace(T_LIFE, "heal", 0, 0, 0);
	script_heal();
	end_left_claims();
	while (busy && vt_now < until && !task_any_held())
		task_sleep(10 * MS);
	while (!watch_broken() && !oracle_pushing() && !oracle_drained()) {
		end_left_claims(); /* of one that was under way */
		if (!timed)
			(void)weir_flush(the_weir);
		S_TRUE(vt_now < until,
		       "%" PRIu64 " records are not delivered, %" PRIu64 " ms after all was healed",
		       oracle_open(), (6 * SEC + (timed ? config->deadline_ns : 0)) / MS);
		task_sleep(20 * MS);
	}
	trace(T_LIFE, "drained", life()->delivered, 0, 0);
}

static void end_own_loop(void)
{
	struct task *own = task_flusher_now();

	if (plan.config.loop != WEIR_LOOP_OWN)
		return;
	stop_own = 1;
	while (!task_done(own)) {
		(void)weir_flush(the_weir);
		task_sleep(MS);
	}
	task_flusher(task_self());
}

static void count_hits(const struct weir_close_report *report)
{
	struct weir_stats stats = { .size = sizeof(stats) };
	static const struct {
		enum fault kind;
		size_t counter;
	} shown[] = {
		{ F_LATE_WAKE, offsetof(struct weir_stats, overruns_scheduler) },
		{ F_JUMP, offsetof(struct weir_stats, lateness_max_ns) },
		{ F_CLAIM_OPEN, offsetof(struct weir_stats, claims_stalled) },
		{ F_SINK_LATE, offsetof(struct weir_stats, overruns_sink) },
		{ F_SINK_RETRY, offsetof(struct weir_stats, retries) },
		{ F_SINK_SPLIT, offsetof(struct weir_stats, splits) },
		{ F_SINK_SPLIT_ONE, offsetof(struct weir_stats, dropped_too_large) },
		{ F_SINK_PART_RECORDS, offsetof(struct weir_stats, redelivered) },
		{ F_SINK_PART_BYTES, offsetof(struct weir_stats, redelivered) },
		{ F_SINK_PART_BITMAP, offsetof(struct weir_stats, redelivered) },
		{ F_SINK_PART_CODES, offsetof(struct weir_stats, dropped_rejected) },
		{ F_SINK_REJECT, offsetof(struct weir_stats, dropped_rejected) },
		{ F_SINK_TIMEOUT, offsetof(struct weir_stats, dropped_timeout) },
		{ F_SINK_FATAL, offsetof(struct weir_stats, dropped_fatal) },
		{ F_SINK_NONSENSE, offsetof(struct weir_stats, dropped_fatal) },
		{ F_SINK_ERROR, offsetof(struct weir_stats, dropped_fatal) },
		{ F_PIPE_BROKEN, offsetof(struct weir_stats, dropped_fatal) },
		{ F_SINK_NEVER, offsetof(struct weir_stats, dropped_shutdown) },
	};

	(void)weir_stats(the_weir, &stats);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (faults[shown[i].kind].injected &&
		    *(const uint64_t *)(const void *)((const char *)&stats + shown[i].counter))
			fault_hit(shown[i].kind);
	if (report->claims_abandoned && faults[F_CLAIM_LEFT].injected)
		fault_hit(F_CLAIM_LEFT);
	if (oracle_pushing() && faults[F_PUSH_DEAD].injected &&
	    (report->threads_stuck || report->claims_abandoned || report->left))
		fault_hit(F_PUSH_DEAD);
	if (the_weir->flusher.cut.aborted && faults[F_CLAIM_ABORT].injected)
		fault_hit(F_CLAIM_ABORT);
}

static void close_engine(int healed)
{
	struct weir_close_report report = { .size = sizeof(report) };
	uint64_t before = vt_now, timeout = healed ? 5 * SEC : plan.close_ns, took;
	uint64_t excuse = vt_late_ns + excused[E_JUMP], late = task_flusher_wakes() - vt_now;
	int r;

	end_own_loop();
	life()->closing = 1;
	r = weir_close(the_weir, timeout, &report);
	took = vt_now - before;
	excuse = vt_late_ns + excused[E_JUMP] - excuse + late;
	trace(T_LIFE, "closed", (uint64_t)-r, report.left, report.claims_abandoned);
	S_TRUE(took <= timeout + excuse + 200 * MS + (oracle_pushing() ? 4 * SEC : 0),
	       "weir_close(%" PRIu64 " ms) took %" PRIu64 " ms", timeout / MS, took / MS);
	stop = 1;
	count_hits(&report);
	oracle_closed(healed, &report);
	life()->end = END_CLOSED;
	life()->end_ns = vt_now;
	(void)weir_free(the_weir);
	the_weir = NULL;
	watch_forget();
}

static void plan_crash(struct rng *rng, int last)
{
	int file = plan.sink == SINK_FILE, power = fault_on(F_POWER_DROP) ||
	                                           fault_on(F_POWER_TEAR) ||
	                                           fault_on(F_POWER_REORDER) ||
	                                           fault_on(F_POWER_NAME);
	uint64_t calls = rng_log(rng, 0, 9), how = rng_below(rng, 100);
	uint64_t after = rng_log(rng, 20, 31);

	crash_at = UINT64_MAX;
	if (last || !(fault_on(F_KILL) || power) || how < 20)
		return;
	if (file && how < 70)
		vt_calls_to_crash = calls;
	else
		crash_at = vt_now + after;
	if (file && fault_now(F_CRASH_OPENING))
		vt_calls_to_crash = rng_between(rng, 1, 12);
}

void *life_task(void *arg)
{
	int last = arg != NULL;
	struct rng rng = rng_of(plan.seed, 1020 + life_now);
	struct weir_sink *sink;

	trace(T_LIFE, "life", life_now, (uint64_t)last, 0);
	plan_crash(&rng, last);
	sink = get_sink();
	get_engine(sink);
	start_producers();
	while (busy && vt_steps < plan.steps && vt_now < crash_at)
		task_sleep(2 * MS);
	if (crash_at != UINT64_MAX) {
		while (vt_now < crash_at)
			task_sleep(crash_at - vt_now < 5 * MS ? crash_at - vt_now : 5 * MS);
		vt_crashed = 1;
		task_sleep(0);
	}
	if (last || rng_below(&rng, 100) < 20)
		stop = 1;
	if (last)
		heal();
	close_engine(last);
	return NULL;
}
