/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block_test.c - what happens when a ring is full, and what makes a batch go: waits with and without a
 * bound, pressure, bytes, urgent records, exact thresholds, barriers, an own loop.
 */
#include "stress.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct weir *weir;
static struct ledger ledger;
static struct pusher *pushers[8];

static _Atomic uint32_t not_tickets; /* what is pushed now is something else */

static void look(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	if (!atomic_load(&not_tickets))
		ledger_in_order(&ledger, record);
}

static void quiet_config(struct weir_config *config)
{
	config_small(config);
	config->ring_bytes = 65536;
	config->record_max = 16384;
	config->threshold = 1000000;
	config->deadline_ns = WEIR_OFF;
}

static void prepare(struct meter *meter)
{
	meter_init(meter);
	meter->record = look;
	ledger_init(&ledger);
	for (uint32_t i = 0; i < 8; i++) {
		memset(pushers[i], 0, offsetof(struct pusher, buffer));
		pushers[i]->id = i;
		pushers[i]->rng = stress_seed() + i;
	}
}

static unsigned finish(struct meter *meter)
{
	struct tally sum = { 0 };
	unsigned wrong;

	for (uint32_t i = 0; i < 8; i++)
		for (unsigned k = 0; k < LANES; k++)
			tally_sum(&sum, &pushers[i]->tally[k]);
	(void)weir_close(weir, WEIR_SECONDS(60), NULL);
	wrong = identity(weir, &sum, meter, 0, 1);
	weir_free(weir);
	meter_fini(meter);
	return wrong;
}

static _Atomic uint32_t running;

static void *push_while_running(void *arg)
{
	struct pusher *pusher = arg;

	while (atomic_load(&running))
		(void)push_ticket(weir, pusher, 0, sizeof(struct ticket) + below(&pusher->rng, 500),
		                  NULL);
	return NULL;
}

static void slow_sink(double seconds)
{
	static struct meter meter;
	struct weir_config config;
	struct weir_stats stats;
	uint64_t refused = 0;
	unsigned wrong;

	quiet_config(&config);
	config.full = WEIR_FULL_BLOCK;
	config.block_max_ns = WEIR_SECONDS(60);
	prepare(&meter);
	meter.workers = 1;
	meter.delay_ns = 500000;
	weir = open_or_die(&config, &meter);
	atomic_store(&running, 1);
	for (uint32_t i = 0; i < 4; i++)
		if (pthread_create(&pushers[i]->thread, NULL, push_while_running, pushers[i]))
			abort();
	nap_ns((uint64_t)(seconds * 1e9));
	atomic_store(&running, 0);
	for (uint32_t i = 0; i < 4; i++) {
		pthread_join(pushers[i]->thread, NULL);
		refused += pushers[i]->tally[0].attempted - pushers[i]->tally[0].accepted;
	}
	stats = stats_of(weir);
	wrong = finish(&meter);
	note("slow sink: %" PRIu64 " delivered, %" PRIu64 " waits", atomic_load(&meter.delivered),
	     stats.waits);
	ok(!refused && stats.waits && !wrong, "full=block before a slow sink loses nothing");
	ok(!atomic_load(&ledger.misordered), "full=block keeps the order");
}

static _Atomic int handler_answer;
static struct weir *handler_weir;
static int is_expecting;

static void push_in_handler(int number)
{
	static char data[1000];

	(void)number;
	if (is_expecting)
		atomic_store(&handler_answer, weir_push(handler_weir, data, sizeof(data)));
}

static _Atomic pid_t blocked_tid;

static void *block_for_long(void *arg)
{
	struct weir_push_options wait = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_SECONDS(60) };
	struct pusher *pusher = arg;

	atomic_store(&blocked_tid, (pid_t)syscall(SYS_gettid));
	while (push_ticket(weir, pusher, 0, 1000, &wait) == 0 && atomic_load(&running))
		;
	return NULL;
}

/* Fills every ring that this thread may come to. */
static int fill_up(struct pusher *pusher)
{
	struct weir_push_options now = { .wait = WEIR_PUSH_NO_WAIT };
	int r, full = 0;

	while (full < 3) {
		r = push_ticket(weir, pusher, 0, 1000, &now);
		full = r ? full + 1 : 0;
	}
	return r;
}

static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void bounds(void)
{
	static struct meter meter;
	struct weir_push_options wait = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_MILLIS(40) };
	struct weir_config config;
	struct weir_claim claim;
	cpu_set_t before;
	uint64_t from, took, waits;
	int r;

	quiet_config(&config);
	config.full = WEIR_FULL_BLOCK;
	config.block_max_ns = WEIR_MILLIS(30);
	prepare(&meter);
	atomic_store(&meter.stuck, 1);
	sched_getaffinity(0, sizeof(before), &before);
	pin();
	weir = open_or_die(&config, &meter);
	r = weir_claim(weir, 100, NULL, &claim);
	tally_add(&pushers[0]->tally[1], 0); /* committed below */
	memset(claim.data, 0, 100);
	ok(r == 0 && fill_up(pushers[0]) == -EAGAIN, "WEIR_PUSH_NO_WAIT answers -EAGAIN at once");
	ok(push_ticket(weir, pushers[0], 0, 1000, NULL) == -EDEADLK,
	   "a push that would wait on a thread with an open claim answers -EDEADLK");
	ok(weir_commit(&claim) == 0, "and the claim is committed afterwards");
	from = now_ns();
	r = push_ticket(weir, pushers[0], 0, 1000, NULL);
	took = now_ns() - from;
	ok(r == -ETIMEDOUT && took >= WEIR_MILLIS(30) && took < WEIR_SECONDS(10),
	   "block_max bounds the wait (%d)", r);
	from = now_ns();
	r = push_ticket(weir, pushers[0], 0, 1000, &wait);
	took = now_ns() - from;
	ok(r == -ETIMEDOUT && took >= WEIR_MILLIS(40) && took < WEIR_SECONDS(10),
	   "a call's own bound wins (%d)", r);

	/* A handler that interrupts a push that waits. */
	atomic_store(&running, 0);
	atomic_store(&handler_answer, 1);
	handler_weir = weir;
	is_expecting = 1;
	waits = stats_of(weir).waits;
	if (pthread_create(&pushers[1]->thread, NULL, block_for_long, pushers[1]))
		abort();
	{
		uint64_t until = now_ns() + WEIR_SECONDS(20);

		while (stats_of(weir).waits == waits && now_ns() < until)
			nap_ns(500000);
		nap_ns(2000000);
		while (atomic_load(&handler_answer) == 1 && now_ns() < until) {
			(void)syscall(SYS_tgkill, getpid(), atomic_load(&blocked_tid), SIGUSR1);
			nap_ns(5000000);
		}
	}
	r = atomic_load(&handler_answer);
	is_expecting = 0;
	if (r == -EAGAIN)
		tally_add(&pushers[2]->tally[0], r);
	if (STRESS_TSAN)
		skip("signals are held back there", "in a handler that interrupted a push nothing waits");
	else
		ok(r == -EAGAIN, "in a handler that interrupted a push nothing waits: -EAGAIN (%d)", r);
	atomic_store(&not_tickets, 1); /* the claim's record is none */
	meter_unstick(&meter);
	pthread_join(pushers[1]->thread, NULL);
	ok(pushers[1]->tally[0].accepted == 1, "room wakes who waits");
	{
		/* The handler may have run more than once. */
		struct weir_stats stats = stats_of(weir);
		struct tally *extra = &pushers[2]->tally[0];
		uint64_t have = 0;

		for (uint32_t i = 0; i < 8; i++) {
			const struct tally *tally = &pushers[i]->tally[0];

			have += tally->again + tally->timed_out + tally->deadlock;
		}
		while (have < stats.refused_full + stats.refused_context) {
			tally_add(extra, -EAGAIN);
			have++;
		}
	}
	ok(!finish(&meter), "full rings: the identity holds");
	atomic_store(&not_tickets, 0);
	sched_setaffinity(0, sizeof(before), &before);
}

static int inside_answer;

static void push_until_it_would_block(struct meter *meter, struct weir_batch *batch)
{
	struct weir_push_options wait = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_SECONDS(30) };

	(void)batch;
	if (meter->arg)
		return;
	meter->arg = meter;
	while ((inside_answer = push_ticket(weir, pushers[3], 0, 1000, &wait)) == 0)
		;
}

static void inside_a_sink(void)
{
	static struct meter meter;
	struct weir_config config;

	quiet_config(&config);
	prepare(&meter);
	meter.before = push_until_it_would_block;
	weir = open_or_die(&config, &meter);
	(void)push_ticket(weir, pushers[0], 0, 100, NULL);
	(void)weir_flush(weir);
	(void)wait_count(&meter.batches, 1, 30);
	ok(inside_answer == -EDEADLK, "a push that would wait inside a sink call: -EDEADLK (%d)",
	   inside_answer);
	ok(!finish(&meter), "pushes inside a sink call: the identity holds");
}

/* One batch, and why it went. */
static void trigger(const char *name, struct weir_config *config, enum weir_cause cause, int records,
                    size_t size, uint64_t max_age_ns)
{
	static struct meter meter;
	struct weir_push_options options = { .max_age_ns = max_age_ns };
	int came;

	prepare(&meter);
	weir = open_or_die(config, &meter);
	for (int i = 0; i < records; i++) {
		int urgent = max_age_ns && i == records - 1;

		(void)push_ticket(weir, pushers[0], 0, size, urgent ? &options : NULL);
	}
	came = wait_count(&meter.batches, 1, 30);
	ok(came && atomic_load(&meter.causes[cause]) >= 1, "%s: a batch goes, for that cause", name);
	ok(!finish(&meter), "%s: the identity holds", name);
}

static void triggers(void)
{
	struct weir_config config;

	quiet_config(&config);
	trigger("pressure of one ring below the threshold", &config, WEIR_CAUSE_PRESSURE, 50, 1000, 0);
	quiet_config(&config);
	config.deadline_ns = WEIR_SECONDS(3600);
	trigger("an urgent record", &config, WEIR_CAUSE_URGENT, 10, 100, WEIR_MILLIS(5));
	quiet_config(&config);
	trigger("an urgent record with the deadline off", &config, WEIR_CAUSE_URGENT, 10, 100,
	        WEIR_MILLIS(5));
	quiet_config(&config);
	config.threshold_bytes = 10000;
	trigger("bytes", &config, WEIR_CAUSE_BYTES, 20, 600, 0);
	quiet_config(&config);
	config.threshold = 64;
	/* an eighth late at most, should the thread move to another ring in the midst of it */
	trigger("threshold", &config, WEIR_CAUSE_SIZE, 64 + 64 / 8, 100, 0);
	quiet_config(&config);
	config.deadline_ns = WEIR_MILLIS(20);
	trigger("deadline", &config, WEIR_CAUSE_DEADLINE, 3, 100, 0);
	quiet_config(&config);
	config.threshold = WEIR_OFF;
	config.deadline_ns = 0;
	trigger("a deadline of 0", &config, WEIR_CAUSE_DEADLINE, 1, 100, 0);
}

static _Atomic uint64_t batch_records;

static void note_records(struct meter *meter, struct weir_batch *batch)
{
	(void)meter;
	atomic_store(&batch_records, batch->records);
}

/* Up to 8 x rings exact, beyond at most an eighth late; nothing but the threshold is on. */
static void thresholds(void)
{
	static struct meter meter;
	struct weir_config config;
	uint64_t rings = 2, inexact = 0, late = 0, missing = 0, rounds = 0;
	const uint64_t large[] = { 100, 777, 1000, 4096 };

	for (uint64_t n = 1; n <= 8 * rings; n++) {
		quiet_config(&config);
		config.threshold = n;
		prepare(&meter);
		meter.before = note_records;
		weir = open_or_die(&config, &meter);
		for (uint64_t round = 1; round <= 10; round++, rounds++) {
			for (uint64_t i = 0; i < n; i++)
				(void)push_ticket(weir, pushers[0], 0, 64, NULL);
			if (!wait_count(&meter.batches, round, 30)) {
				missing++;
				break;
			}
			inexact += atomic_load(&batch_records) != n;
		}
		late += finish(&meter) != 0;
	}
	ok(!inexact && !missing, "thresholds up to 8 x rings are exact (%" PRIu64 " batches)", rounds);
	for (size_t k = 0; k < sizeof(large) / sizeof(large[0]); k++) {
		quiet_config(&config);
		config.ring_bytes = 8 << 20;
		config.threshold = large[k];
		prepare(&meter);
		meter.before = note_records;
		weir = open_or_die(&config, &meter);
		for (uint64_t round = 1; round <= 10; round++) {
			for (uint64_t i = 0; i < large[k] + large[k] / 8; i++)
				(void)push_ticket(weir, pushers[0], 0, 64, NULL);
			/* What came after the batch was cut would count for the next one. */
			missing += !wait_count(&meter.batches, round, 30);
			(void)weir_flush_wait(weir, WEIR_SECONDS(30));
			round = atomic_load(&meter.batches);
		}
		late += finish(&meter) != 0;
	}
	ok(!missing && !late, "larger ones are at most an eighth late");
}

static _Atomic uint64_t barrier_broken, barriers;

static void *push_and_wait(void *arg)
{
	struct pusher *pusher = arg;

	while (atomic_load(&running)) {
		uint64_t n = below(&pusher->rng, 50);
		_Atomic uint64_t *seen = pusher->arg;
		int r;

		for (uint64_t i = 0; i < n; i++)
			if (push_ticket(weir, pusher, 0, 100, NULL))
				nap_ns(100000);
		r = weir_flush_wait(weir, WEIR_SECONDS(60));
		if (r || atomic_load(seen) < pusher->tally[0].accepted)
			atomic_fetch_add(&barrier_broken, 1);
		atomic_fetch_add(&barriers, 1);
	}
	return NULL;
}

static _Atomic uint64_t seen_of[8];

static void count_seen(struct meter *meter, const struct weir_record *record)
{
	struct ticket ticket;

	(void)meter;
	memcpy(&ticket, record->data, sizeof(ticket));
	atomic_store(&seen_of[ticket.pusher], ticket.number);
}

static void barrier_of_many(double seconds)
{
	static struct meter meter;
	struct weir_config config;

	quiet_config(&config);
	prepare(&meter);
	meter.record = count_seen;
	meter.workers = 1;
	meter.delay_ns = 200000;
	weir = open_or_die(&config, &meter);
	atomic_store(&running, 1);
	for (uint32_t i = 0; i < 8; i++) {
		atomic_store(&seen_of[i], 0);
		pushers[i]->arg = &seen_of[i];
		if (pthread_create(&pushers[i]->thread, NULL, push_and_wait, pushers[i]))
			abort();
	}
	nap_ns((uint64_t)(seconds * 1e9));
	atomic_store(&running, 0);
	for (uint32_t i = 0; i < 8; i++)
		pthread_join(pushers[i]->thread, NULL);
	ok(!atomic_load(&barrier_broken) && atomic_load(&barriers) > 8,
	   "flush_wait covers everything pushed before (%" PRIu64 " barriers of 8 threads)",
	   atomic_load(&barriers));
	ok(weir_flush_wait(weir, WEIR_SECONDS(10)) == 0, "a barrier over nothing comes back");
	ok(!finish(&meter), "barriers: the identity holds");
}

static void own_loop(double seconds)
{
	static struct meter meter;
	struct weir_config config;
	uint64_t deadline, until, turns = 0;
	struct pollfd pollfd = { .events = POLLIN };
	int r, before;

	quiet_config(&config);
	config.loop = WEIR_LOOP_OWN;
	config.deadline_ns = WEIR_MILLIS(20);
	prepare(&meter);
	before = count_entries("/proc/self/task");
	weir = open_or_die(&config, &meter);
	ok(count_entries("/proc/self/task") == before, "loop=own starts no thread");
	pollfd.fd = weir_poll_fd(weir);
	r = weir_next_deadline(weir, &deadline);
	ok(pollfd.fd >= 0 && r == 0 && deadline == UINT64_MAX, "idle: no timer runs");
	while (weir_run_once(weir, 0) > 0)
		;
	for (int i = 0; i < 3; i++)
		(void)push_ticket(weir, pushers[0], 0, 100, NULL);
	r = weir_next_deadline(weir, &deadline);
	ok(r == 0 && deadline > now_ns() - WEIR_SECONDS(60) && deadline < now_ns() + WEIR_SECONDS(1),
	   "a record sets the deadline");
	until = now_ns() + WEIR_SECONDS(30);
	while (!atomic_load(&meter.batches) && now_ns() < until)
		if (poll(&pollfd, 1, 1000) > 0)
			(void)weir_run_once(weir, 0);
	ok(atomic_load(&meter.delivered) == 3 && atomic_load(&meter.causes[WEIR_CAUSE_DEADLINE]) == 1,
	   "poll() on the descriptor, and the three go together at the deadline");
	atomic_store(&running, 1);
	for (uint32_t i = 1; i < 4; i++)
		if (pthread_create(&pushers[i]->thread, NULL, push_while_running, pushers[i]))
			abort();
	until = now_ns() + (uint64_t)(seconds * 1e9);
	while (now_ns() < until) {
		if (poll(&pollfd, 1, 100) > 0)
			(void)weir_run_once(weir, 0);
		turns++;
	}
	atomic_store(&running, 0);
	for (uint32_t i = 1; i < 4; i++)
		pthread_join(pushers[i]->thread, NULL);
	ok(weir_flush_wait(weir, WEIR_SECONDS(30)) == 0 || turns == 0,
	   "flush_wait turns the crank itself");
	ok(!finish(&meter), "loop=own: the identity holds (%" PRIu64 " turns)", turns);
}

/* Sends the calling thread to the n-th CPU that it may use. 0: there is none. */
static int go_to(const cpu_set_t *all, int n)
{
	for (size_t i = 0; i < CPU_SETSIZE; i++) {
		cpu_set_t one;

		if (!CPU_ISSET(i, all) || n--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		return sched_setaffinity(0, sizeof(one), &one) == 0;
	}
	return 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/*
 * An open claim holds up what lies behind it, and what its thread pushes elsewhere afterwards. The
 * flusher waits for the commit, asleep, and others' records go on.
 */
static void open_claim(void)
{
	static struct meter meter;
	struct weir_config config;
	struct weir_claim claim;
	cpu_set_t all;
	uint64_t used;

	sched_getaffinity(0, sizeof(all), &all);
	if (CPU_COUNT(&all) < 2) {
		skip("one CPU", "an open claim: the flusher sleeps");
		return;
	}
	quiet_config(&config);
	config.deadline_ns = WEIR_MILLIS(1);
	config.threshold = 3;
	config.claim_max_ns = WEIR_MILLIS(10);
	prepare(&meter);
	weir = open_or_die(&config, &meter);
	go_to(&all, 0);
	ticket_write(pushers[0], 0, pushers[0]->buffer[0], 100);
	if (weir_claim(weir, 100, NULL, &claim))
		abort();
	memcpy(claim.data, pushers[0]->buffer[0], 100);
	ticket_accepted(pushers[0], 0);
	(void)push_ticket(weir, pushers[0], 0, 100, NULL); /* behind it */
	go_to(&all, 1);
	for (int i = 0; i < 10; i++)
		(void)push_ticket(weir, pushers[0], 0, 100, NULL); /* elsewhere, and after it */
	nap_ns(50000000);
	used = cpu_ns();
	nap_ns(500000000);
	used = cpu_ns() - used;
	ok(used < WEIR_MILLIS(250), "an open claim: the flusher sleeps (%" PRIu64 " us used)",
	   used / 1000);
	ok(!atomic_load(&meter.delivered) && stats_of(weir).claims_stalled >= 1,
	   "an open claim: what comes after it waits, and it is counted as stalled");
	ok(weir_commit(&claim) == 0 && wait_count(&meter.delivered, 12, 30) &&
	           !atomic_load(&ledger.misordered),
	   "its commit lets everything go, in order");
	tally_add(&pushers[0]->tally[0], 0);
	ok(!finish(&meter), "an open claim: the identity holds");
	sched_setaffinity(0, sizeof(all), &all);
}

int main(void)
{
	struct sigaction action = { .sa_handler = push_in_handler, .sa_flags = SA_RESTART };
	double seconds = stress_seconds();

	(void)stress_seed();
	for (uint32_t i = 0; i < 8; i++)
		pushers[i] = calloc(1, sizeof(*pushers[i]));
	sigaction(SIGUSR1, &action, NULL);
	slow_sink(seconds * 0.3);
	bounds();
	inside_a_sink();
	triggers();
	thresholds();
	barrier_of_many(seconds * 0.4);
	own_loop(seconds * 0.3);
	open_claim();
	for (uint32_t i = 0; i < 8; i++)
		free(pushers[i]);
	return done();
}
