/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers_test - every peer of the benches gives back what went into it.
 *
 * A bench compares work that is the same; so each adapter is taken through the sizes, through bursts
 * and through pushing at full speed, polled and in batches, with fewer and with more producers than
 * CPUs, and what comes out is added up. Then it is closed with records left inside. A peer whose
 * package is missing, or that this machine cannot run, is skipped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/crew.h"

#define BURST 512u
#define MS 1000000u

static uint32_t tests, failed;

/* TAP forbids '#' in a description; no peer has one. */
static void tell(int ok, const struct peer *peer, const char *what, const char *why)
{
	printf("%sok %u - %s %s\n", ok ? "" : "not ", ++tests, peer->name, what);
	if (!ok)
		printf("# %s\n", why);
	failed += !ok;
	fflush(stdout);
}

static void skip(const struct peer *peer, const char *what, const char *why)
{
	printf("ok %u - %s %s # SKIP %s\n", ++tests, peer->name, what, why);
	fflush(stdout);
}

static struct crew_plan plan_of(const struct peer *peer, uint32_t producers, uint32_t bytes)
{
	struct crew_plan plan = { .peer = peer, .pinned = 1, .room = { .records = BURST,
		.bytes = bytes, .producers = producers, .eager = 1 } };

	plan.fresh = (int)(bytes / 8 % 2); /* some sizes this way, some that */
	return plan;
}

static void test_bursts(const struct peer *peer, uint32_t bytes)
{
	struct crew_plan plan = plan_of(peer, 2, bytes);
	char why[BENCH_WHY] = "", what[64];
	struct crew *crew = crew_open(&plan, why);
	double ns;
	int r = 0;

	snprintf(what, sizeof(what), "bursts of %u bytes", bytes);
	if (!crew) {
		skip(peer, what, why);
		return;
	}
	for (int i = 0; i < 5 && !r; i++) {
		r = crew_burst(crew, BURST, &ns);
		if (r)
			snprintf(why, sizeof(why), "burst %d found no room", i);
	}
	if (!r)
		r = crew_check(crew, why);
	tell(!r, peer, what, why);
	crew_close(crew);
}

static void test_run(const struct peer *peer, uint32_t producers, uint32_t bytes, int eager)
{
	struct crew_plan plan = plan_of(peer, producers, bytes);
	char why[BENCH_WHY] = "", what[64];
	struct crew_rates rates;
	struct crew *crew;
	int r;

	plan.room.eager = eager;
	plan.room.threshold = 4096;
	snprintf(what, sizeof(what), "%u producers, %u bytes, %s", producers, bytes,
	         eager ? "polled" : "in batches");
	crew = crew_open(&plan, why);
	if (!crew) {
		skip(peer, what, why);
		return;
	}
	(void)crew_run(crew, 30 * MS, &rates);
	r = crew_check(crew, why);
	if (!r && rates.records_per_s <= 0 && !(peer->flags & PEER_FLOOR)) {
		strcpy(why, "nothing was pushed");
		r = -EBADMSG;
	}
	tell(!r, peer, what, why);
	crew_close(crew);
}

/* Nobody takes them out. A leak, or a close that waits for them, is found here. */
static void test_left_inside(const struct peer *peer, uint32_t bytes)
{
	struct peer_room room = { .records = BURST, .bytes = bytes, .producers = 2, .eager = 1 };
	struct peer_source *source = aligned_alloc(64, sizeof(*source));
	char why[BENCH_WHY] = "", what[64];
	uint64_t pushed = 0;
	void *state, *to;

	snprintf(what, sizeof(what), "closed with records of %u bytes left", bytes);
	state = peer->open(&room, why);
	if (!source || !state) {
		skip(peer, what, why);
		free(source);
		return;
	}
	for (uint32_t i = 0; i < room.producers; i++) {
		peer_source_init(source, bytes, 0, i);
		to = peer->join(state, i);
		pushed += peer->push(to, source, BURST / 2); /* one CPU's part, from one thread */
		peer->leave(to);
	}
	peer->close(state);
	tell(pushed == BURST, peer, what, "not all were pushed");
	free(source);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 8, 16, 24, 64, 256, 1000, 1024, 4096 };

	for (uint32_t p = 0; p < peer_count; p++) {
		const struct peer *peer = peers[p];

		if (argc > 1 && strcmp(argv[1], peer->name) != 0)
			continue;
		if (!peer->open) {
			skip(peer, "as a whole", peer->package);
			continue;
		}
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			test_bursts(peer, sizes[i]);
		test_run(peer, 1, 8, 1);
		test_run(peer, 2, 256, 0);
		test_run(peer, 4, 64, 1);
		test_run(peer, 8, 8, 0);
		test_run(peer, 32, 64, 0);
		test_run(peer, 32, 8, 1);
		test_left_inside(peer, 8);
		test_left_inside(peer, 256);
	}
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
