/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - what a seed is made of: sink, configuration, producers, and how often what fails.
 *
 * Every draw is made whatever the options say, so that an option changes its own thing only.
 */
#include "sim/core/sim.h"

#include <stdlib.h>
#include <string.h>

struct plan plan;
struct options options;

/* Where a kind can happen, in how many seeds of a hundred it is, and how often of its occasions. */
enum where { ANY, SCRIPT_ONLY, FILE_ONLY, PIPE_ONLY, THREADS };
static const struct rate {
	enum where where;
	uint32_t percent, least_ppm, most_ppm;
} rates[F_KINDS] = {
	[F_LATE_WAKE] = { ANY, 30, 10000, 300000 },
	[F_LATE_ROOM] = { ANY, 40, 50000, 500000 },
	[F_POLL_EINTR] = { ANY, 30, 10000, 300000 },
	[F_FUTEX_EINTR] = { ANY, 30, 10000, 300000 },
	[F_JUMP] = { ANY, 15, 50, 3000 },
	[F_WALL_BACK] = { ANY, 20, 200, 5000 },
	[F_WALL_AHEAD] = { ANY, 20, 200, 5000 },
	[F_PUSH_HELD] = { ANY, 20, 1000, 60000 },
	[F_PUSH_DEAD] = { ANY, 6, 300, 5000 },
	[F_CLAIM_OPEN] = { ANY, 25, 20000, 300000 },
	[F_CLAIM_LEFT] = { ANY, 8, 10000, 100000 },
	[F_CLAIM_ABORT] = { ANY, 30, 20000, 400000 },
	[F_NO_MEMORY] = { ANY, 15, 10000, 300000 },
	[F_NO_DESCRIPTOR] = { ANY, 8, 50000, 200000 },
	[F_NO_THREAD] = { ANY, 8, 200000, 500000 },
	[F_RING_FULL] = { ANY, 30, 5000, 50000 },
	[F_ROOM_LATE] = { ANY, 25, 5000, 50000 },
	[F_TOO_BIG] = { ANY, 20, 5000, 50000 },
	[F_SINK_BUSY] = { SCRIPT_ONLY, 30, 20000, 400000 },
	[F_SINK_LATE] = { SCRIPT_ONLY, 30, 20000, 300000 },
	[F_SINK_NEVER] = { SCRIPT_ONLY, 10, 10000, 200000 },
	[F_SINK_RETRY] = { SCRIPT_ONLY, 30, 20000, 400000 },
	[F_SINK_SPLIT] = { SCRIPT_ONLY, 25, 20000, 300000 },
	[F_SINK_SPLIT_ONE] = { SCRIPT_ONLY, 15, 20000, 200000 },
	[F_SINK_PART_RECORDS] = { SCRIPT_ONLY, 20, 20000, 300000 },
	[F_SINK_PART_BYTES] = { SCRIPT_ONLY, 20, 20000, 300000 },
	[F_SINK_PART_BITMAP] = { SCRIPT_ONLY, 20, 20000, 300000 },
	[F_SINK_PART_CODES] = { SCRIPT_ONLY, 20, 20000, 300000 },
	[F_SINK_REJECT] = { SCRIPT_ONLY, 15, 10000, 200000 },
	[F_SINK_FATAL] = { SCRIPT_ONLY, 5, 5000, 50000 },
	[F_SINK_NONSENSE] = { SCRIPT_ONLY, 4, 5000, 50000 },
	[F_SINK_ERROR] = { SCRIPT_ONLY, 5, 5000, 50000 },
	[F_SINK_TWICE] = { ANY, 25, 10000, 300000 },
	[F_SINK_REORDER] = { SCRIPT_ONLY, 50, 1000000, 1000000 },
	[F_SINK_TIMEOUT] = { SCRIPT_ONLY, 20, 10000, 100000 },
	[F_SINK_START] = { SCRIPT_ONLY, 6, 300000, 600000 },
	[F_WRITE_EINTR] = { FILE_ONLY, 30, 10000, 300000 },
	[F_WRITE_SHORT] = { FILE_ONLY, 30, 10000, 300000 },
	[F_WRITE_EIO] = { FILE_ONLY, 25, 5000, 150000 },
	[F_WRITE_ENOSPC] = { FILE_ONLY, 25, 5000, 150000 },
	[F_SYNC_EINTR] = { FILE_ONLY, 25, 10000, 300000 },
	[F_SYNC_EIO] = { FILE_ONLY, 30, 10000, 200000 },
	[F_SYNC_RESCUE] = { FILE_ONLY, 30, 10000, 300000 },
	[F_READ_EINTR] = { FILE_ONLY, 25, 10000, 200000 },
	[F_READ_SHORT] = { FILE_ONLY, 25, 10000, 200000 },
	[F_READ_EIO] = { FILE_ONLY, 20, 2000, 50000 },
	[F_DIRSYNC_EIO] = { FILE_ONLY, 20, 20000, 300000 },
	[F_OPEN_EMFILE] = { FILE_ONLY, 20, 20000, 300000 },
	[F_OPEN_EEXIST] = { FILE_ONLY, 15, 20000, 200000 },
	[F_TRUNC_EINTR] = { FILE_ONLY, 25, 50000, 400000 },
	[F_TRUNC_EIO] = { FILE_ONLY, 20, 50000, 500000 },
	[F_RENAME_EIO] = { FILE_ONLY, 30, 50000, 400000 },
	[F_UNLINK_EIO] = { FILE_ONLY, 25, 50000, 400000 },
	[F_LOCK_BUSY] = { FILE_ONLY, 15, 100000, 500000 },
	[F_LIST_EIO] = { FILE_ONLY, 15, 50000, 300000 },
	[F_STAT_EIO] = { FILE_ONLY, 15, 5000, 100000 },
	[F_MKDIR_ENOSPC] = { FILE_ONLY, 15, 200000, 500000 },
	[F_KILL] = { ANY, 50, 1000000, 1000000 },
	[F_POWER_DROP] = { FILE_ONLY, 40, 1000000, 1000000 },
	[F_POWER_TEAR] = { FILE_ONLY, 40, 1000000, 1000000 },
	[F_POWER_REORDER] = { FILE_ONLY, 40, 1000000, 1000000 },
	[F_POWER_NAME] = { FILE_ONLY, 40, 1000000, 1000000 },
	[F_CRASH_OPENING] = { FILE_ONLY, 30, 300000, 300000 },
	[F_PIPE_FULL] = { PIPE_ONLY, 40, 10000, 200000 },
	[F_PIPE_BROKEN] = { PIPE_ONLY, 12, 2000, 30000 },
};

static int can_happen(enum where where)
{
	switch (where) {
	case SCRIPT_ONLY:
		return plan.sink == SINK_SCRIPT;
	case FILE_ONLY:
		return plan.sink == SINK_FILE;
	case PIPE_ONLY:
		return plan.sink == SINK_PIPE;
	default:
		return 1;
	}
}

static void draw_faults(uint64_t seed)
{
	for (uint32_t i = 0; i < F_KINDS; i++) {
		struct rng rng = rng_of(seed, 2000 + i);
		const struct rate *rate = &rates[i];
		uint64_t span = rate->most_ppm - rate->least_ppm;
		uint64_t chosen = rng_below(&rng, 100), ppm = rng_below(&rng, span + 1);
		uint64_t again = rng_below(&rng, span + 1);

		ppm = rate->least_ppm + (ppm < again ? ppm : again);
		faults[i] = (struct fault_state){ .rng = rng_of(seed, 3000 + i) };
		if (chosen < rate->percent && can_happen(rate->where) && !options.off[i])
			faults[i].ppm = (uint32_t)ppm;
	}
	/*
	 * Without memory for the rest the engine submits all of a batch again, what was done
	 * included: at least once. Both together would make the sink's count mean nothing.
	 */
	for (uint32_t i = F_SINK_PART_RECORDS; i <= F_SINK_PART_CODES; i++) {
		if (faults[F_NO_MEMORY].ppm && faults[i].ppm)
			faults[seed % 2 ? i : (uint32_t)F_NO_MEMORY].ppm = 0;
	}
	if (plan.sink == SINK_PIPE || plan.sink == SINK_OTHER) /* they answer PARTIAL, too */
		faults[F_NO_MEMORY].ppm = 0;
	/* What a short write is, a pipe knows as well. */
	if (plan.sink == SINK_PIPE && !options.off[F_WRITE_SHORT] && seed % 3 == 0)
		faults[F_WRITE_SHORT].ppm = 100000;
}

static uint32_t draw_mode(struct rng *rng)
{
	uint64_t n = rng_below(rng, 100);

	return n < 86 ? WEIR_MODE_ON : n < 93 ? WEIR_MODE_OFF : WEIR_MODE_SHADOW;
}

static void draw_triggers(struct rng *rng, struct weir_config *config)
{
	uint64_t n = rng_below(rng, 100), small = rng_between(rng, 1, 8);
	uint64_t large = rng_log(rng, 3, 7);

	config->threshold = n < 10 ? WEIR_OFF : n < 40 ? small : large;
	n = rng_below(rng, 100);
	large = rng_log(rng, 10, 14);
	config->threshold_bytes = n < 60 ? WEIR_OFF : large;
	n = rng_below(rng, 100);
	large = rng_log(rng, 18, 31);
	config->deadline_ns = n < 6 ? WEIR_OFF : n < 10 ? 0 : large;
	config->threshold_mode = draw_mode(rng);
	config->bytes_mode = draw_mode(rng);
	config->timer_mode = draw_mode(rng);
	config->pressure_mode = draw_mode(rng);
	config->urgent_mode = draw_mode(rng);
	config->pressure = (uint32_t)rng_between(rng, 5, 95);
	n = rng_below(rng, 100);
	small = rng_below(rng, 16);
	config->count_slack = n < 70 ? WEIR_AUTO : n < 85 ? 0 : small;
}

static void draw_limits(struct rng *rng, struct weir_config *config)
{
	uint64_t n = rng_below(rng, 100), some = rng_log(rng, 0, 6);

	config->max_batch_records = n < 50 ? 65536 : some;
	n = rng_below(rng, 100);
	some = rng_log(rng, 8, 13);
	config->max_batch_bytes = n < 60 ? 1 << 20 : some;
	some = rng_between(rng, 1, 24);
	config->max_batch_spans = (uint32_t)some;
	n = rng_below(rng, 100);
	some = rng_between(rng, 1, 8);
	config->max_inflight = n < 60 ? 0 : (uint32_t)some;
	config->ring_bytes = 65536;
	config->record_max = 8192;
	some = rng_below(rng, 512);
	config->inline_max = some;
	config->full = rng_below(rng, 2) ? WEIR_FULL_BLOCK : WEIR_FULL_FAIL;
	config->block_max_ns = rng_log(rng, 20, 28);
	config->order = rng_below(rng, 100) < 88 ? WEIR_ORDER_THREAD : WEIR_ORDER_NONE;
	config->loop = rng_below(rng, 2) ? WEIR_LOOP_THREAD : WEIR_LOOP_OWN;
	n = rng_below(rng, 100);
	some = rng_log(rng, 27, 34);
	config->batch_total_timeout_ns = n < 40 ? WEIR_OFF : some;
	config->claim_max_ns = rng_log(rng, 23, 29);
}

/* A log of small segments; sometimes a small one, whose old segments go. */
static void draw_log(struct rng *rng)
{
	static const char *const words[3] = { "none", "interval", "batch" };
	uint64_t n = rng_below(rng, 100), segment = rng_log(rng, 12, 15);
	uint64_t interval = rng_log(rng, 0, 8), keep = rng_between(rng, 2, 5);

	plan.sync = n < 15 ? 0 : n < 50 ? 1 : 2;
	plan.interval_ns = interval * MS;
	plan.retains = rng_below(rng, 100) < 35;
	snprintf(plan.uri, sizeof(plan.uri), "file:" DISK_LOG "?sync=%s&interval=%ums&segment=%u",
	         words[plan.sync], (unsigned)interval, (unsigned)segment);
	if (plan.retains)
		snprintf(plan.uri + strlen(plan.uri), sizeof(plan.uri) - strlen(plan.uri),
		         "&max_bytes=%u", (unsigned)(segment * keep));
}

static void choose_sink(struct rng *rng)
{
	static const char *const frames[4] = { "lines", "len32", "nul", "raw" };
	uint64_t n = rng_below(rng, 100), frame = rng_below(rng, 4), shape = rng_below(rng, 100);

	plan.sink = n < 45 ? SINK_SCRIPT : n < 90 ? SINK_FILE : SINK_PIPE;
	plan.hosted = shape < 60 ? 0 : shape < 85 ? 1 : 2;
	draw_log(rng);
	if (options.sink || options.sink_so) {
		plan.sink = SINK_OTHER;
		if (options.sink && !strncmp(options.sink, "file:", 5))
			plan.sink = SINK_FILE;
		if (options.sink && !strncmp(options.sink, "fd:", 3))
			plan.sink = SINK_PIPE;
		snprintf(plan.uri, sizeof(plan.uri), "%s", options.sink ? options.sink : "");
		plan.sync = strstr(plan.uri, "sync=batch")  ? 2
		            : strstr(plan.uri, "sync=none") ? 0
		                                            : 1;
		plan.interval_ns = SEC; /* what the address says is not read: the most there is */
		plan.retains = strstr(plan.uri, "max_") != NULL;
	} else if (plan.sink == SINK_PIPE) {
		snprintf(plan.uri, sizeof(plan.uri), "fd:1?frame=%s", frames[frame]);
	}
}

static void draw_size(struct rng *rng)
{
	uint64_t n = rng_below(rng, 100);

	plan.cpus = (uint32_t)rng_between(rng, 1, 6);
	plan.producers = (uint32_t)rng_between(rng, 1, 6);
	plan.records = (uint32_t)rng_between(rng, 10, n < 80 ? 60 : 250);
	plan.lives = (uint32_t)rng_between(rng, 1, plan.sink == SINK_FILE ? 4 : 2);
	plan.steps = rng_log(rng, 9, 14);
	plan.max_inflight = (uint32_t)rng_between(rng, 1, 8);
	plan.ordered = (uint32_t)rng_below(rng, 2);
	plan.gap_ns = rng_log(rng, 14, 27);
	plan.close_ns = rng_log(rng, 24, 32);
	plan.preempt_ppm = (uint32_t)rng_below(rng, 200000);
	if (options.producers && options.producers < plan.producers)
		plan.producers = (uint32_t)options.producers;
	if (options.records && options.records < plan.records)
		plan.records = (uint32_t)options.records;
	if (options.lives && options.lives < plan.lives)
		plan.lives = (uint32_t)options.lives;
	if (options.steps)
		plan.steps = options.steps;
}

static void *take_memory(void *arg, size_t bytes)
{
	static uint64_t short_until; /* memory is short for a while, for everybody */

	(void)arg;
	if (!task_self() || !the_weir || vt_healed)
		return malloc(bytes);
	if (vt_now >= short_until && fault_now(F_NO_MEMORY))
		short_until = vt_now + rng_log(&faults[F_NO_MEMORY].rng, 10, 25);
	if (vt_now >= short_until)
		return malloc(bytes);
	starved_until = short_until + 12 * MS;
	return NULL;
}

static void give_memory(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)bytes;
	free(memory);
}

void plan_make(uint64_t seed)
{
	struct rng rng = rng_of(seed, 1);

	memset(&plan, 0, sizeof(plan));
	plan.seed = seed;
	weir_config_init(&plan.config);
	choose_sink(&rng);
	draw_triggers(&rng, &plan.config);
	draw_limits(&rng, &plan.config);
	draw_size(&rng);
	plan.config.allocator = (struct weir_allocator){ take_memory, give_memory, NULL };
	draw_faults(seed);
}
