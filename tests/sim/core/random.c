/* SPDX-License-Identifier: Apache-2.0 */
/* random.c - streams of numbers, and the hash of what happened. */
#include "sim/core/sim.h"

#include <inttypes.h>
#include <string.h>

uint64_t trace_hash;
int trace_wanted;

/* splitmix64 */
uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
	uint64_t value = rng_next(rng);

	return n ? value % n : 0;
}

uint64_t rng_between(struct rng *rng, uint64_t least, uint64_t most)
{
	return least + rng_below(rng, most - least + 1);
}

int rng_ppm(struct rng *rng, uint64_t ppm)
{
	return rng_below(rng, 1000000) < ppm;
}

uint64_t rng_log(struct rng *rng, unsigned least_log2, unsigned most_log2)
{
	unsigned log2 = (unsigned)rng_between(rng, least_log2, most_log2);
	uint64_t more = rng_next(rng);

	return (UINT64_C(1) << log2) + more % (UINT64_C(1) << log2);
}

struct rng rng_of(uint64_t seed, uint64_t stream)
{
	struct rng rng = { seed * UINT64_C(0x9e3779b97f4a7c15) + stream };

	rng.state = rng_next(&rng) ^ stream * UINT64_C(0xd1342543de82ef95);
	return rng;
}

static void mix(uint64_t value)
{
	trace_hash ^= value;
	trace_hash *= UINT64_C(0x9fb21c651e98df25);
	trace_hash ^= trace_hash >> 29;
}

void trace(unsigned kind, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t name = 0;

	for (const char *at = what; *at; at++)
		name = name * 31 + (uint8_t)*at;
	mix(kind);
	mix(name);
	mix(vt_now);
	mix(a);
	mix(b);
	mix(c);
	if (trace_wanted)
		fprintf(stderr, "%14" PRIu64 " %-8s %-16s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		        vt_now, task_self() ? task_name(task_self()) : "-", what, a, b, c);
}
