/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wrap_test.c - engines whose words begin just below where they wrap: the 32-bit counts, positions
 * and epochs of the rings, the 64-bit totals and sequences. Order and identity hold across the wrap.
 */
#include "stress.h"

#include <sched.h>

#include "api/engine.h"

#define THREADS 3

static struct ledger ledger;
static struct weir *weir;
static struct pusher *pushers[THREADS];
static _Atomic uint32_t running;
static uint64_t first_seq, last_count;
static _Atomic uint64_t wrong_seq, wrong_first;

static void look(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledger, record);
}

/* Sequences have no gap and records' counts go on, in 64 bits. */
static void before(struct meter *meter, struct weir_batch *batch)
{
	static uint64_t next_of_ring[4096];

	if (!meter->arg) {
		meter->arg = &first_seq;
		first_seq = batch->seq;
		memset(next_of_ring, 0, sizeof(next_of_ring));
	} else if (batch->attempt == 1 && batch->seq != last_count + 1) {
		atomic_fetch_add(&wrong_seq, 1);
	}
	last_count = batch->seq;
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct weir_span *span = &batch->spans[i];
		uint64_t *next = &next_of_ring[span->ring % 4096];

		if (*next && span->first < *next)
			atomic_fetch_add(&wrong_first, 1);
		*next = span->first + span->records;
	}
}

static void *push_all(void *arg)
{
	struct pusher *pusher = arg;

	while (atomic_load(&running)) {
		size_t size = sizeof(struct ticket) + below(&pusher->rng, 200);
		struct weir_push_options urgent = { .max_age_ns = 1000000 };
		struct weir_claim claim;
		int r = 0;

		switch (below(&pusher->rng, 40)) {
		case 0:
			ticket_write(pusher, 0, pusher->buffer[0], size);
			r = weir_claim(weir, size, NULL, &claim);
			if (r) {
				tally_add(&pusher->tally[0], r);
				break;
			}
			memcpy(claim.data, pusher->buffer[0], size);
			ticket_accepted(pusher, 0);
			tally_add(&pusher->tally[0], weir_commit(&claim));
			break;
		case 1:
			r = push_ticket(weir, pusher, 0, size + 5000, NULL);
			break;
		case 2:
			r = push_ticket(weir, pusher, 0, size, &urgent);
			break;
		case 3:
			nap_ns(1000000); /* idle in between, so that alarms and timers are met */
			break;
		default:
			r = push_ticket(weir, pusher, 0, size, NULL);
		}
		if (r == -EAGAIN)
			sched_yield();
	}
	return NULL;
}

static void try_from(const char *name, struct wr_test_start start, double seconds)
{
	static struct meter meter;
	struct weir_config config;
	struct tally sum = { 0 };
	struct weir_stats stats;
	unsigned wrong;

	meter_init(&meter);
	meter.record = look;
	meter.before = before;
	ledger_init(&ledger);
	atomic_store(&wrong_seq, 0);
	atomic_store(&wrong_first, 0);
	config_small(&config);
	config.threshold_bytes = 40000;
	config.threshold = 300;
	wr_test_start = start;
	weir = open_or_die(&config, &meter);
	wr_test_start = (struct wr_test_start){ 0, 0, 0, 0, 0 };
	atomic_store(&running, 1);
	for (uint32_t i = 0; i < THREADS; i++) {
		memset(pushers[i], 0, offsetof(struct pusher, buffer));
		pushers[i]->id = i;
		pushers[i]->rng = stress_seed() + i;
		if (pthread_create(&pushers[i]->thread, NULL, push_all, pushers[i]))
			abort();
	}
	nap_ns((uint64_t)(seconds * 1e9));
	atomic_store(&running, 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(pushers[i]->thread, NULL);
		tally_sum(&sum, &pushers[i]->tally[0]);
	}
	(void)weir_close(weir, WEIR_SECONDS(30), NULL);
	wrong = identity(weir, &sum, &meter, start.total, 1);
	stats = stats_of(weir);
	weir_free(weir);
	meter_fini(&meter);
	if (ledger.first_trouble[0])
		note("%s: %s", name, ledger.first_trouble);
	note("%s: %" PRIu64 " pushed in %" PRIu64 " batches", name, sum.accepted, stats.batches);
	ok(!wrong && !atomic_load(&ledger.misordered) && !atomic_load(&ledger.damaged) &&
	           sum.accepted > 100 && stats.batches > 3,
	   "from %s: order and identity hold", name);
	ok(!atomic_load(&wrong_seq) && !atomic_load(&wrong_first) &&
	           first_seq == (start.seq ? start.seq : 1),
	   "from %s: sequences and counts go on", name);
	if (start.total)
		ok(stats.accepted == start.total + sum.accepted &&
		           stats.delivered == stats.accepted,
		   "from %s: totals go on", name);
}

int main(void)
{
	const uint32_t half = UINT32_C(1) << 31, whole = 0;
	const uint64_t half64 = UINT64_C(1) << 63, whole64 = 0;
	double each = stress_seconds() / 8 < 0.3 ? 0.3 : stress_seconds() / 8;

	(void)stress_seed();
	for (uint32_t i = 0; i < THREADS; i++)
		pushers[i] = calloc(1, sizeof(*pushers[i]));
#define START(...) ((struct wr_test_start){ __VA_ARGS__ })
	try_from("counts below 2^31", START(.count = half - 50), each);
	try_from("counts below 2^32", START(.count = whole - 50), each);
	try_from("positions below 2^31", START(.position = half - 4096), each);
	try_from("positions below 2^32", START(.position = whole - 4096), each);
	try_from("epochs below 2^26", START(.epoch = (UINT32_C(1) << 26) - 5), each);
	try_from("epochs below 2^27", START(.epoch = (UINT32_C(1) << 27) - 5), each);
	try_from("epochs below 2^31", START(.epoch = half - 5), each);
	try_from("epochs below 2^32", START(.epoch = whole - 5), each);
	try_from("sequences and totals below 2^63",
	         START(.seq = half64 - 5, .total = half64 - 200), each);
	try_from("sequences and totals below 2^64",
	         START(.seq = whole64 - 5, .total = whole64 - 200), each);
	try_from("all at once", START(whole - 50, whole - 4096, (UINT32_C(1) << 27) - 5,
	                              half64 - 5, whole64 - 200), each);
	for (uint32_t i = 0; i < THREADS; i++)
		free(pushers[i]);
	return done();
}
