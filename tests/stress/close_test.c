/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close_test.c - the end of an engine while threads push into it: a push that answered 0 is delivered
 * or booked, one that comes later is refused, and close always comes back.
 */
#include "stress.h"

#include <sched.h>

#define THREADS 64

static struct weir *weir;
static struct ledger ledger;
static struct pusher *pushers[THREADS];
static pthread_barrier_t begin, end;
static _Atomic uint32_t over;

static void look(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledger, record);
}

static void *push_rounds(void *arg)
{
	struct pusher *pusher = arg;

	for (;;) {
		pthread_barrier_wait(&begin);
		if (atomic_load(&over))
			break;
		for (;;) {
			size_t size = sizeof(struct ticket) + below(&pusher->rng, 60);
			int r = push_ticket(weir, pusher, 0,
			                    below(&pusher->rng, 30) ? size : size + 5000, NULL);

			if (r == -ESHUTDOWN)
				break;
			if (r == -EAGAIN)
				sched_yield();
		}
		pthread_barrier_wait(&end);
	}
	return NULL;
}

/* 64 pushers against close, again and again. */
static void race(uint64_t rounds)
{
	static struct meter meter;
	uint64_t rng = stress_seed(), bad = 0, lost = 0, pushed = 0, misordered = 0, late = 0;
	struct weir_config config;

	config_small(&config);
	config.ring_bytes = 65536;
	config.record_max = 16384;
	pthread_barrier_init(&begin, NULL, THREADS + 1);
	pthread_barrier_init(&end, NULL, THREADS + 1);
	for (uint32_t i = 0; i < THREADS; i++)
		if (pthread_create(&pushers[i]->thread, NULL, push_rounds, pushers[i]))
			abort();
	for (uint64_t round = 0; round < rounds; round++) {
		struct weir_close_report report = { .size = sizeof(report) };
		struct tally sum = { 0 };
		int r;

		meter_init(&meter);
		meter.record = look;
		ledger_init(&ledger);
		config.full = (uint32_t)below(&rng, 2);
		for (uint32_t i = 0; i < THREADS; i++) {
			pthread_t thread = pushers[i]->thread;

			memset(pushers[i], 0, offsetof(struct pusher, buffer));
			pushers[i]->thread = thread;
			pushers[i]->id = i;
			pushers[i]->rng = rnd(&rng);
		}
		weir = open_or_die(&config, &meter);
		pthread_barrier_wait(&begin);
		nap_ns(below(&rng, 1500000));
		r = weir_close(weir, WEIR_SECONDS(60), &report);
		if (r || report.left || report.threads_stuck || report.descriptors_kept) {
			late++;
			note("round %" PRIu64 ": close %d, left %" PRIu64 " in rings, %" PRIu64
			     " in batches, %u threads stuck, sink stuck %u, late %u",
			     round, r, report.left_in_rings, report.left_in_batches,
			     report.threads_stuck, report.sink_stuck, report.timed_out);
		}
		pthread_barrier_wait(&end);
		for (uint32_t i = 0; i < THREADS; i++)
			tally_sum(&sum, &pushers[i]->tally[0]);
		bad += identity(weir, &sum, &meter, 0, bad < 3) != 0;
		lost += sum.accepted != atomic_load(&meter.delivered);
		misordered += atomic_load(&ledger.misordered) + atomic_load(&ledger.damaged);
		pushed += sum.accepted;
		weir_free(weir);
		meter_fini(&meter);
	}
	atomic_store(&over, 1);
	pthread_barrier_wait(&begin);
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(pushers[i]->thread, NULL);
	note("%" PRIu64 " rounds, %" PRIu64 " pushed", rounds, pushed);
	ok(!lost && pushed, "64 pushers against close: what answered 0 is delivered");
	ok(!bad, "64 pushers against close: the identity holds");
	ok(!misordered, "64 pushers against close: order is kept");
	ok(!late, "64 pushers against close: close leaves nothing and keeps nothing");
}

static void *push_until_closed(void *arg)
{
	struct pusher *pusher = arg;
	int r;

	do
		r = push_ticket(weir, pusher, 0, 1000, NULL);
	while (r == 0);
	tally_add(&pusher->tally[1], r);
	pusher->arg = (void *)(intptr_t)r;
	return NULL;
}

static void reset_pushers(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		memset(pushers[i], 0, offsetof(struct pusher, buffer));
		pushers[i]->id = i;
		pushers[i]->rng = stress_seed() + i;
	}
}

/* Pushes that wait for room are told at once, and the sink never comes back. */
static void blocked_and_stuck(void)
{
	static struct meter meter;
	struct weir_close_report report = { .size = sizeof(report) }, again = report;
	struct weir_config config;
	struct tally sum = { 0 };
	uint64_t from, took;
	int r, right = 1;

	config_small(&config);
	config.ring_bytes = 65536;
	config.record_max = 16384;
	config.full = WEIR_FULL_BLOCK;
	config.block_max_ns = WEIR_SECONDS(3600);
	meter_init(&meter);
	atomic_store(&meter.stuck, 1);
	meter.caps.max_inflight = 2;
	reset_pushers(8);
	weir = open_or_die(&config, &meter);
	for (uint32_t i = 0; i < 8; i++)
		if (pthread_create(&pushers[i]->thread, NULL, push_until_closed, pushers[i]))
			abort();
	while (stats_of(weir).waits < 8)
		nap_ns(1000000);
	from = now_ns();
	r = weir_close(weir, WEIR_MILLIS(200), &report);
	took = now_ns() - from;
	for (uint32_t i = 0; i < 8; i++) {
		pthread_join(pushers[i]->thread, NULL);
		right &= (intptr_t)pushers[i]->arg == -ESHUTDOWN;
		tally_sum(&sum, &pushers[i]->tally[0]);
	}
	note("close took %" PRIu64 " ms; left %" PRIu64 "; sink stuck %u; descriptors kept %u",
	     took / 1000000, report.left, report.sink_stuck, report.descriptors_kept);
	ok(right, "blocked pushes answer -ESHUTDOWN");
	ok(r == -ETIMEDOUT && report.timed_out && report.sink_stuck,
	   "a sink that is stuck for ever: close comes back and says so (%d)", r);
	ok(took < WEIR_SECONDS(10), "a sink that is stuck for ever: close is bounded");
	ok(!identity(weir, &sum, &meter, 0, 1) && report.left == sum.accepted,
	   "a sink that is stuck for ever: what was left is booked and reported");
	ok(weir_push(weir, "x", 1) == -ESHUTDOWN && weir_close(weir, 0, &again) == -ETIMEDOUT &&
	           again.left == report.left,
	   "a sink that is stuck for ever: the handle stays valid, the report too");
	meter_unstick(&meter); /* the memory is still there for it */
	ok(weir_free(weir) == 0, "a sink that is stuck for ever: free comes back");
	meter_fini(&meter);
}

static int inside_answers[8];

static void call_from_inside(struct meter *meter, struct weir_batch *batch)
{
	struct weir_audit audit = { .size = sizeof(audit) };

	(void)batch;
	if (meter->arg)
		return;
	meter->arg = meter;
	inside_answers[0] = weir_close(weir, 0, NULL);
	inside_answers[1] = weir_flush_wait(weir, 1000);
	inside_answers[2] = weir_free(weir);
	inside_answers[3] = weir_audit(weir, &audit);
	inside_answers[4] = weir_push(weir, "from inside", 11) ? 0 : 1;
}

static void from_a_callback(void)
{
	static struct meter meter;
	struct weir_config config;

	config_small(&config);
	meter_init(&meter);
	meter.before = call_from_inside;
	weir = open_or_die(&config, &meter);
	(void)weir_push(weir, "x", 1);
	ok(wait_count(&meter.batches, 1, 30), "a batch came");
	ok(inside_answers[0] == -EDEADLK && inside_answers[1] == -EDEADLK &&
	           inside_answers[2] == -EDEADLK && inside_answers[3] == -EDEADLK,
	   "close, free, flush_wait and audit answer -EDEADLK in a sink call");
	ok(inside_answers[4] == 1, "a push in a sink call is accepted");
	(void)weir_close(weir, WEIR_SECONDS(30), NULL);
	weir_free(weir);
	meter_fini(&meter);
}

struct closer {
	pthread_t thread;
	struct weir_close_report report;
	int r;
};

static void *close_it(void *arg)
{
	struct closer *closer = arg;

	closer->report.size = sizeof(closer->report);
	closer->r = weir_close(weir, WEIR_SECONDS(30), &closer->report);
	return NULL;
}

static void at_once(void)
{
	static struct meter meter;
	struct closer closers[8];
	struct weir_config config;
	int same = 1;

	config_small(&config);
	meter_init(&meter);
	meter.workers = 1;
	meter.delay_ns = 20000000;
	weir = open_or_die(&config, &meter);
	for (int i = 0; i < 1000; i++)
		(void)weir_push(weir, "something", 9);
	for (int i = 0; i < 8; i++)
		if (pthread_create(&closers[i].thread, NULL, close_it, &closers[i]))
			abort();
	for (int i = 0; i < 8; i++) {
		pthread_join(closers[i].thread, NULL);
		same &= closers[i].r == closers[0].r &&
		        closers[i].report.left == closers[0].report.left;
	}
	ok(same && closers[0].r == 0 && atomic_load(&meter.closed) == 1,
	   "eight closers at once get one answer, the sink is closed once");
	ok(atomic_load(&meter.delivered) == 1000, "and everything was delivered");
	ok(weir_close(weir, 0, NULL) == 0 && weir_push(weir, "x", 1) == -ESHUTDOWN &&
	           weir_flush(weir) == -ESHUTDOWN && weir_flush_wait(weir, 0) == -ESHUTDOWN,
	   "after close everything answers -ESHUTDOWN");
	weir_free(weir);
	meter_fini(&meter);
}

static void say_fatal(struct meter *meter, const struct weir_batch *batch,
                      struct weir_verdict *verdict, uint64_t *rng)
{
	(void)batch;
	(void)rng;
	if (atomic_load(&meter->batches) >= 3) {
		verdict->kind = WEIR_FATAL;
		verdict->code = -EIO;
	}
}

static void broken_sink(void)
{
	static struct meter meter;
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_config config;
	struct tally sum = { 0 };
	int r;

	config_small(&config);
	config.threshold = 10;
	meter_init(&meter);
	meter.decide = say_fatal;
	reset_pushers(1);
	weir = open_or_die(&config, &meter);
	for (int i = 0; i < 500; i++) {
		(void)push_ticket(weir, pushers[0], 0, 100, NULL);
		if (i % 10 == 9 && i < 30) /* a batch of its own, however busy the machine is */
			(void)weir_flush_wait(weir, WEIR_SECONDS(30));
		else if (i % 10 == 9)
			nap_ns(300000);
	}
	r = weir_close(weir, WEIR_SECONDS(10), &report);
	tally_sum(&sum, &pushers[0]->tally[0]);
	note("broken sink: close %d, left %" PRIu64 ", delivered %" PRIu64, r, report.left,
	     atomic_load(&meter.delivered));
	ok(r == -EPIPE && report.left, "a broken sink: close answers -EPIPE");
	ok(!identity(weir, &sum, &meter, 0, 1) &&
	           report.left == sum.accepted - atomic_load(&meter.delivered),
	   "a broken sink: what was left is booked and reported");
	weir_free(weir);
	meter_fini(&meter);
}

int main(void)
{
	double rounds = stress_seconds() * 170;

	(void)stress_seed();
	if (stress_is_slow() || STRESS_TSAN)
		rounds = rounds / 10;
	for (uint32_t i = 0; i < THREADS; i++)
		pushers[i] = calloc(1, sizeof(*pushers[i]));
	race(rounds < 20 ? 20 : (uint64_t)rounds);
	blocked_and_stuck();
	from_a_callback();
	at_once();
	broken_sink();
	for (uint32_t i = 0; i < THREADS; i++)
		free(pushers[i]);
	return done();
}
