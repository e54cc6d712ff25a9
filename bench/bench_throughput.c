/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_throughput - how many records a second get from the producers to one consumer?
 *
 *     producer 0 (CPU 0) ─┐
 *     producer 1 (CPU 1) ─┤
 *     producer 2 (CPU 0) ─┼─▶ [room for 32 Ki records] ──▶ consumer (CPU 1): adds up every word
 *     ...                 │
 *     producer n         ─┘
 *
 * Producers push as fast as they can, and yield when there is no room. A batched consumer naps for
 * 50 us when little was there; an eager one polls; a rival that consumes by itself stands with the
 * batched ones. All have the same room, however many producers there are: each producer's part of
 * it, or each CPU's; one that is alone has half of it. weir's own flusher batches by its threshold;
 * eager, weir's loop is on the consumer's thread ("weir-own"). What came out is compared with what
 * went in after every burst. "fairness": records of the slowest producer over the fastest one's.
 * throughput/weir/2p/64B: two producers, records of 64 bytes, batched.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/crew.h"
#include "harness/pin.h"

#define CASES 64u
#define MS UINT64_C(1000000)
#define STUCK (400 * MS) /* what stopping takes longer than, when pushes wait for each other */
#define ROOM 32768u      /* records of all producers: more room is more memory to go through */

struct shape {
	const struct peer *peer;
	uint32_t producers, bytes;
	int eager, pinned;
	uint64_t ns, warm_ns; /* of a burst; less for a peer that was seen to stand still */
};

struct state {
	struct shape *shape;
	struct crew *crew;
};

static const struct bench_metric metrics[] = { { "", "M records/s", 1 },
	{ "fairness", "slowest/fastest", 1 } };

/*
 * Where commits wait for each other, all wait for a producer that is preempted, and none of them
 * can be stopped inside a push: the next bursts of such a one are short.
 */
static void run_for(struct state *state, uint64_t ns, struct crew_rates *rates)
{
	uint64_t t0 = bench_now();

	(void)crew_run(state->crew, ns, rates);
	if (bench_now() - t0 > ns + STUCK) {
		state->shape->ns = 5 * MS;
		state->shape->warm_ns = 0;
	}
}

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	struct shape *shape = (struct shape *)bench->arg;
	struct crew_plan plan = { .peer = shape->peer, .pinned = shape->pinned, .room = {
		.bytes = shape->bytes, .producers = shape->producers, .eager = shape->eager,
		.threshold = shape->eager ? 0 : 4096 } };
	uint32_t parts = shape->producers < 2 ? 2 : shape->producers;
	struct state *state = calloc(1, sizeof(*state));
	struct crew_rates rates;

	if (!state)
		bench_die("no memory");
	if (shape->peer->flags & PEER_OURS && parts > bench_cpus()) /* a ring of each CPU */
		parts = bench_cpus() < 2 ? 2 : bench_cpus();
	plan.room.records = ROOM / parts;
	state->shape = shape;
	state->crew = crew_open(&plan, why);
	if (!state->crew) {
		free(state);
		return NULL;
	}
	if (shape->warm_ns)
		run_for(state, shape->warm_ns, &rates);
	return state;
}

static int measure(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	struct crew_rates rates;

	run_for(state, state->shape->ns, &rates);
	values[0] = rates.records_per_s / 1e6;
	values[1] = rates.fairness;
	return crew_check(state->crew, why);
}

static void end(void *state_)
{
	struct state *state = state_;

	crew_close(state->crew);
	free(state);
}

static int takes_part(const struct bench_run *run, const struct peer *peer,
                      const struct shape *shape)
{
	int eager = shape->eager;

	if (peer->flags & PEER_FLOOR || (peer->flags & PEER_SLOW && bench_is_quick(run)))
		return 0;
	if (peer->flags & PEER_FIXED && (eager || bench_is_quick(run) || shape->producers > 8))
		return 0; /* shown beside the other once */
	if (!peer->drain && eager && peer->open && !(peer->flags & PEER_OURS))
		return 0;
	if (peer->flags & PEER_OURS) /* eager: the one that is polled */
		return eager ? peer->drain != NULL : peer->drain == NULL || !bench_is_quick(run);
	return 1;
}

static uint64_t burst_ns(const struct bench_run *run, const struct shape *shape)
{
	if (bench_is_quick(run))
		return 20 * MS;
	if (shape->eager)
		return 40 * MS;
	/* Eight producers that share a core by fours are given some ten time slices each. */
	return (shape->producers == 8 ? 150 : 60) * MS;
}

static void group(struct bench_run *run, struct shape shape)
{
	static struct bench_case cases[CASES];
	static struct shape shapes[CASES];
	char title[BENCH_NAME];
	uint32_t count = 0;

	bench_name(title, "throughput/%up/%uB%s%s", shape.producers, shape.bytes,
	           shape.eager ? "/eager" : "", shape.pinned ? "" : "/unpinned");
	if (!bench_wants(run, title))
		return;
	shape.ns = burst_ns(run, &shape);
	shape.warm_ns = (bench_is_quick(run) ? 5 : 10) * MS;
	for (uint32_t i = 0; i < peer_count && count < CASES; i++) {
		struct bench_case *bench = &cases[count];

		if (!takes_part(run, peers[i], &shape))
			continue;
		shapes[count] = shape;
		shapes[count].peer = peers[i];
		*bench = (struct bench_case){ .peer = peers[i]->name,
			.ours = (peers[i]->flags & PEER_OURS) != 0, .bursts = 1,
			.metrics = metrics, .arg = &shapes[count],
			.metric_count = bench_is_quick(run) && shape.producers > bench_cpus()
			                        ? 1 : 2,
			.begin = begin, .measure = measure, .end = end };
		bench_name(bench->name, "throughput/%s/%s", peers[i]->name,
		           title + strlen("throughput/"));
		count++;
	}
	bench_group(run, title, cases, count);
}

int main(int argc, char **argv)
{
	static const uint32_t crews[] = { 1, 2, 4, 8, 32 }, sizes[] = { 8, 64, 256 };
	struct bench_run *run = bench_start("throughput", argc, argv);
	int quick = bench_is_quick(run), pinned = bench_is_pinned(run);

	for (int eager = 0; eager < (quick ? 1 : 2); eager++)
		for (uint32_t size = 0; size < 3; size++)
			for (uint32_t crew = 0; crew < (quick ? 4 : 5); crew++)
				if (!quick || sizes[size] == 64)
					group(run, (struct shape){ .producers = crews[crew],
						.bytes = sizes[size], .eager = eager,
						.pinned = pinned });
	for (uint32_t crew = 1; crew < 3 && !quick && pinned; crew++)
		group(run, (struct shape){ .producers = crews[crew], .bytes = 64 });
	return bench_finish(run);
}
