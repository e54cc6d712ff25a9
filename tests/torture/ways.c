/* SPDX-License-Identifier: Apache-2.0 */
/* ways.c - every way to push a record: each path of the sections and of their callers. */
#include "torture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/engine.h"
#include "ring/section.h"

static uint8_t data[RECORD_BYTES_MAX];
static int cpu_turn;
unsigned ways_wrong;

/* The next record of the main lane; it counts once the push has returned 0. */
static void next(uint32_t size, uint32_t ahead)
{
	rig_fill(LANE_MAIN, atomic_load(&rig.pushed[LANE_MAIN]) + ahead, data, size);
}

static int accepted(int r)
{
	if (r == 0)
		atomic_fetch_add(&rig.pushed[LANE_MAIN], 1);
	return r;
}

static int push(const struct way *way)
{
	next(way->size, 0);
	return accepted(weir_push(rig.weir, data, way->size));
}

static int push_many(const struct way *way)
{
	static uint8_t copies[3][64];
	struct iovec iov[3];
	int r;

	for (uint32_t i = 0; i < 3; i++) {
		next(way->size, i);
		memcpy(copies[i], data, way->size);
		iov[i] = (struct iovec){ copies[i], way->size };
	}
	r = weir_push_many(rig.weir, iov, 3);
	if (r > 0)
		atomic_fetch_add(&rig.pushed[LANE_MAIN], (uint64_t)r);
	return r == 3 ? 0 : r < 0 ? r : -EAGAIN;
}

static int pieces(const struct way *way, int count)
{
	struct iovec iov[20];
	uint32_t done = 0;

	next(way->size, 0);
	for (int i = 0; i < count; i++) {
		uint32_t size = i == count - 1 ? way->size - done : (uint32_t)i * 7 % 13;

		iov[i] = (struct iovec){ data + done, size };
		done += size;
	}
	return accepted(weir_pushv(rig.weir, iov, count));
}

static int gather(const struct way *way)
{
	return pieces(way, 5);
}

static int gather_many(const struct way *way)
{
	return pieces(way, 20);
}

static int extended(const struct way *way)
{
	static const uint8_t uuid[16] = "sixteen bytes...";
	struct weir_push_options options = { .uuid = uuid, .origin_ns = 12345, .flags = 0x1000 };

	next(way->size, 0);
	return accepted(weir_push_ex(rig.weir, data, way->size, &options));
}

static int urgent(const struct way *way)
{
	struct weir_push_options options = { .max_age_ns = 1000000 };

	next(way->size, 0);
	return accepted(weir_push_ex(rig.weir, data, way->size, &options));
}

static int claim_commit(const struct way *way)
{
	struct weir_claim claim;
	int r = weir_claim(rig.weir, way->size, NULL, &claim);

	if (r)
		return r;
	next(way->size, 0);
	memcpy(claim.data, data, way->size);
	return accepted(weir_commit(&claim));
}

/* The given-up place must vanish without a trace, and the record behind it be there. */
static int claim_abort(const struct way *way)
{
	struct weir_claim claim;
	int r = weir_claim(rig.weir, way->size + 9, NULL, &claim);

	if (r)
		return r;
	memset(claim.data, 0xee, way->size + 9);
	r = weir_abort(&claim);
	return r ? r : push(way);
}

static int move_push(const struct way *way)
{
	cpus_pin(++cpu_turn);
	return push(way);
}

static int move_gather(const struct way *way)
{
	cpus_pin(++cpu_turn);
	return gather(way);
}

static int move_claim(const struct way *way)
{
	cpus_pin(++cpu_turn);
	return claim_commit(way);
}

const struct way ways[] = {
	{ "push of 0 bytes", 0, -1, push, 1, 0 },
	{ "push of 3 bytes", 3, -1, push, 1, 0 },
	{ "push of 6 bytes", 6, -1, push, 1, 0 },
	{ "push of 13 bytes", 13, -1, push, 1, 0 },
	{ "push of 24 bytes", 24, -1, push, 1, 0 },
	{ "push of 50 bytes, wide", 50, 1, push, 1, 0 },
	{ "push of 50 bytes, narrow", 50, 0, push, 1, 0 },
	{ "push of 100 bytes, wide", 100, 1, push, 1, 0 },
	{ "push of 100 bytes, narrow", 100, 0, push, 1, 0 },
	{ "push of 500 bytes, wide", 500, 1, push, 1, 0 },
	{ "push of 500 bytes, narrow", 500, 0, push, 1, 0 },
	{ "push of 4096 bytes", 4096, -1, push, 1, 0 },
	{ "push of 6000 bytes: reserved", 6000, -1, push, 1, 0 },
	{ "push of many", 13, -1, push_many, 3, 0 },
	{ "pushv of 5 pieces", 90, -1, gather, 1, 0 },
	{ "pushv of 20 pieces: reserved", 150, -1, gather_many, 1, 0 },
	{ "push with uuid, origin and flags", 40, -1, extended, 1, 0 },
	{ "urgent push", 40, -1, urgent, 1, 0 },
	{ "claim and commit", 72, -1, claim_commit, 1, 0 },
	{ "claim and abort, then push", 72, -1, claim_abort, 1, 0 },
	{ "push on another CPU: mark", 24, -1, move_push, 1, 1 },
	{ "pushv on another CPU: mark", 90, -1, move_gather, 1, 1 },
	{ "claim on another CPU: mark", 72, -1, move_claim, 1, 1 },
};
const unsigned ways_count = sizeof(ways) / sizeof(ways[0]);

int way_possible(const struct way *way)
{
#if defined(__x86_64__)
	if (way->wide == 1 && !__builtin_cpu_supports("avx2"))
		return 0;
#endif
	return !way->moves || cpus_count() > 1;
}

void way_begin(const struct way *way)
{
#if defined(__x86_64__)
	wr_section_wide = way->wide < 0 ? __builtin_cpu_supports("avx2") != 0 : way->wide;
#endif
	rig_doing = way->name;
	rig.size = way->size;
	rig.slack = way->records;
	cpu_turn = 0;
}

int way_go(const struct way *way)
{
	int r = way->go(way);

	if (r)
		rig_wrong("%s: %s", way->name, strerror(-r));
	return r;
}

int way_again(const struct way *way)
{
	cpu_turn -= way->moves;
	return way_go(way);
}

void way_prepare(const struct way *way, enum warmth warmth)
{
	if (warmth == COLD) {
		rig_drain();
		return;
	}
	for (int i = 0; i <= way->moves; i++)
		way_go(way);
}

static uint8_t count_passes(const struct way *way, enum warmth warmth, uint32_t point)
{
	uint8_t n = 0;

	for (; n < 15; n++) {
		uint64_t hits = wr_torture.hits;

		way_prepare(way, warmth);
		wr_torture.loops = 1;
		wr_torture.skip = n;
		wr_torture.at = point;
		way_go(way);
		wr_torture.at = 0;
		wr_torture.skip = 0;
		rig_drain();
		if (hits == wr_torture.hits)
			break;
	}
	return n;
}

/* The same twice, or the third: the machine itself may preempt a section just when it is looked at. */
static uint8_t passes(const struct way *way, enum warmth warmth, uint32_t point)
{
	uint8_t a = count_passes(way, warmth, point), b = count_passes(way, warmth, point);

	return a == b ? a : count_passes(way, warmth, point);
}

const struct reach *way_reach(unsigned n)
{
	static struct reach all[64];
	struct reach *reach = &all[n];
	const struct way *way = &ways[n];
	struct wr_ring *ring;
	uint64_t before, after;

	if (reach->records)
		return reach;
	cpus_pin(0);
	way_begin(way);
	rig_open(NULL, 1u << 20, 1u << 20);
	way_go(way);
	way_go(way);
	/* ORDER none: relaxed. This thread's own. */
	ring = atomic_load_explicit(&rig.weir->table[cpus_id(0)], memory_order_relaxed);
	before = atomic_load(&ring->head);
	for (int i = 0; i <= way->moves; i++)
		way_go(way);
	after = atomic_load(&ring->head);
	reach->records = wr_head_count(after) - wr_head_count(before);
	reach->bytes = wr_head_position(after) - wr_head_position(before);
	for (uint32_t point = 1; point <= POINTS; point++)
		for (int warmth = 0; warmth < WARMTHS; warmth++)
			reach->passes[warmth][point] = passes(way, (enum warmth)warmth, point);
	if (rig_close()) {
		printf("# %s, looking for its points: %s\n", way->name, rig.why);
		ways_wrong++;
	}
	return reach;
}

int way_through(uint32_t point)
{
	int best = -1;

	for (unsigned n = 0; n < ways_count; n++)
		if (way_possible(&ways[n]) && !ways[n].moves &&
		    way_reach(n)->passes[WARM][point] &&
		    (best < 0 || way_reach(n)->bytes < way_reach((unsigned)best)->bytes))
			best = (int)n;
	return best;
}
