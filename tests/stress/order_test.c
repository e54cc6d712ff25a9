/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order_test.c - threads that are moved between CPUs all the time, and interrupted by signal handlers
 * that push too: the sink sees each one's records consecutive and rising.
 *
 * With test points the same run must fail when marks are off, and when the closure is off: otherwise
 * it would prove nothing.
 */
#include "stress.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef WR_TEST_POINTS
#include "base/testpoint.h"
#endif

#define THREADS 16

static struct pusher *pushers[THREADS];
static _Thread_local struct pusher *me;
static _Atomic uint32_t running;
static _Atomic pid_t tids[THREADS];
static struct weir *weir;
static struct ledger ledger;
static int with_signals;
static int with_claims;
static int plain_only;
static int gently; /* pushers give way after each push: nothing is ever full, all move a lot */

static void on_signal(int number)
{
	unsigned lane = number == SIGUSR1 ? 1 : 2;
	struct pusher *pusher = me;
	int saved = errno;

	if (!pusher || !atomic_load(&running))
		return;
	(void)push_ticket(weir, pusher, lane, sizeof(struct ticket) + pusher->id, NULL);
	if (errno != saved)
		abort();
}

/* A claim, perhaps with another push before its commit; now and then given up. */
static void push_claim(struct pusher *pusher)
{
	size_t size = sizeof(struct ticket) + below(&pusher->rng, 200);
	struct weir_claim claim;
	int r;

	/* Before the claim: what handlers push after it comes later. */
	ticket_write(pusher, 0, pusher->buffer[0], size);
	r = weir_claim(weir, size, NULL, &claim);
	if (r) {
		tally_add(&pusher->tally[0], r);
		return;
	}
	memcpy(claim.data, pusher->buffer[0], size);
	if (below(&pusher->rng, 8) == 0) {
		(void)weir_abort(&claim);
		return;
	}
	ticket_accepted(pusher, 0);
	if (below(&pusher->rng, 2))
		(void)push_ticket(weir, pusher, 0, sizeof(struct ticket), NULL);
	r = weir_commit(&claim);
	tally_add(&pusher->tally[0], r);
	if (r)
		abort(); /* its number is used up: the run has no meaning any more */
}

static size_t any_size(uint64_t *rng)
{
	uint64_t kind = below(rng, 100);

	if (kind < 80)
		return sizeof(struct ticket) + below(rng, 64);
	if (kind < 97)
		return sizeof(struct ticket) + below(rng, 1000);
	return sizeof(struct ticket) + below(rng, 12000);
}

static void *push_all(void *arg)
{
	struct pusher *pusher = arg;

	me = pusher;
	atomic_store(&tids[pusher->id], (pid_t)syscall(SYS_gettid));
	while (atomic_load_explicit(&running, memory_order_relaxed)) {
		int r = 0;

		if (with_claims && below(&pusher->rng, 64) == 0)
			push_claim(pusher);
		else
			r = push_ticket(weir, pusher, 0,
			                plain_only ? sizeof(struct ticket)
			                           : any_size(&pusher->rng),
			                NULL);
		if (r == -EAGAIN || gently)
			sched_yield();
	}
	me = NULL;
	return NULL;
}

/* Every millisecond each thread goes to a CPU of its choice. */
static void *move_all(void *arg)
{
	uint64_t rng = stress_seed() ^ 77;
	cpu_set_t all;
	int cpus[CPU_SETSIZE], n = 0;

	(void)arg;
	CPU_ZERO(&all);
	sched_getaffinity(0, sizeof(all), &all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET((size_t)i, &all))
			cpus[n++] = i;
	while (atomic_load(&running)) {
		for (int i = 0; i < THREADS; i++) {
			cpu_set_t one;
			pid_t tid = atomic_load(&tids[i]);

			CPU_ZERO(&one);
			CPU_SET((size_t)cpus[below(&rng, (uint64_t)n)], &one);
			if (tid)
				(void)sched_setaffinity(tid, sizeof(one), &one);
		}
		nap_ns(1000000);
	}
	return NULL;
}

/* Signals, so that handlers push in the midst of pushes. */
static void *signal_all(void *arg)
{
	uint64_t rng = stress_seed() ^ 99;

	(void)arg;
	while (atomic_load(&running)) {
		pid_t tid = atomic_load(&tids[below(&rng, THREADS)]);

		if (tid)
			(void)syscall(SYS_tgkill, getpid(), tid,
			              below(&rng, 2) ? SIGUSR1 : SIGUSR2);
		nap_ns(20000);
	}
	return NULL;
}

static void look(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledger, record);
}

/* One run of @seconds. What the ledger holds afterwards is the result. */
static unsigned run(double seconds, struct tally *ret_sum, struct weir_stats *ret_stats)
{
	static struct meter meter;
	struct weir_config config;
	struct weir_close_report report = { .size = sizeof(report) };
	pthread_t mover, signaller;
	unsigned wrong;

	meter_init(&meter);
	meter.record = look;
	ledger_init(&ledger);
	config_small(&config);
	config.deadline_ns = WEIR_MILLIS(1);
	if (gently)
		config.ring_bytes = 16 << 20;
	weir = open_or_die(&config, &meter);
	atomic_store(&running, 1);
	for (uint32_t i = 0; i < THREADS; i++) {
		memset(pushers[i], 0, offsetof(struct pusher, buffer));
		pushers[i]->id = i;
		pushers[i]->rng = stress_seed() + i;
		atomic_store(&tids[i], 0);
		if (pthread_create(&pushers[i]->thread, NULL, push_all, pushers[i]))
			abort();
	}
	if (pthread_create(&mover, NULL, move_all, NULL) ||
	    (with_signals && pthread_create(&signaller, NULL, signal_all, NULL)))
		abort();
	nap_ns((uint64_t)(seconds * 1e9));
	atomic_store(&running, 0);
	if (with_signals)
		pthread_join(signaller, NULL);
	pthread_join(mover, NULL);
	memset(ret_sum, 0, sizeof(*ret_sum));
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(pushers[i]->thread, NULL);
		for (unsigned k = 0; k < LANES; k++)
			tally_sum(ret_sum, &pushers[i]->tally[k]);
	}
	if (weir_close(weir, WEIR_SECONDS(60), &report))
		note("close: %" PRIu64 " left, timed out %u", report.left, report.timed_out);
	wrong = identity(weir, ret_sum, &meter, 0, 1);
	*ret_stats = stats_of(weir);
	weir_free(weir);
	meter_fini(&meter);
	return wrong;
}

static void say(const char *name, const struct tally *sum, const struct weir_stats *stats)
{
	note("%s: %" PRIu64 " pushed, %" PRIu64 " refused, %" PRIu64 " batches, %" PRIu64
	     " migrations, %" PRIu64 " walks, %" PRIu64 " fallback rings of %" PRIu64,
	     name, sum->accepted, sum->again, stats->batches, stats->migrations, stats->walks,
	     stats->rings_fallback, stats->rings);
	if (ledger.first_trouble[0])
		note("%s: first: %s", name, ledger.first_trouble);
}

static void hold(const char *name, double seconds)
{
	struct weir_stats stats;
	struct tally sum;
	unsigned wrong = run(seconds, &sum, &stats);

	say(name, &sum, &stats);
	ok(!atomic_load(&ledger.misordered) && sum.accepted, "%s: order of every thread is kept",
	   name);
	ok(!atomic_load(&ledger.damaged), "%s: no record is damaged", name);
	ok(!wrong, "%s: the identity holds", name);
	ok(stats.migrations > THREADS, "%s: threads did migrate", name);
}

#ifdef WR_TEST_POINTS
/* Time for other threads to push and move between two heads of a cut. */
static void between_heads(const char *name)
{
	if (strcmp(name, "cut.between_heads") == 0)
		nap_ns(1000000);
}

static void break_it(const char *name, uint32_t what, double seconds)
{
	struct weir_stats stats;
	struct tally sum;

	atomic_store(&wr_test_switches, what);
	(void)run(seconds, &sum, &stats);
	atomic_store(&wr_test_switches, 0);
	say(name, &sum, &stats);
	ok(atomic_load(&ledger.misordered) != 0, "%s: the check of the order fails", name);
}

static void prove(double seconds)
{
	plain_only = 1;
	gently = 1;
	with_claims = 0;
	with_signals = 0;
	atomic_store(&wr_testpoint_hook, between_heads);
	hold("with a pause between two heads", seconds);
	break_it("without marks", WR_TEST_NO_MARKS, seconds);
	break_it("without the closure", WR_TEST_NO_CLOSURE, seconds);
	atomic_store(&wr_testpoint_hook, NULL);
}
#else
static void prove(double seconds)
{
	(void)seconds;
	skip("built without test points", "without marks: the check of the order fails");
	skip("built without test points", "without the closure: the check of the order fails");
}
#endif

int main(void)
{
	struct weir_features features = { .size = sizeof(features) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	double seconds = stress_seconds();

	(void)stress_seed();
	weir_features(NULL, &features);
	note("rseq: %s%s", features.rseq ? "yes" : "no: ", features.why_no_rseq);
	for (uint32_t i = 0; i < THREADS; i++)
		pushers[i] = calloc(1, sizeof(*pushers[i]));
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	if (features.cpus_usable < 2) {
		skip("one CPU", "order of every thread is kept");
		return done();
	}
	plain_only = 1;
	hold("plain pushes", seconds * 0.4);
	plain_only = 0;
	with_claims = 1;
	hold("mixed sizes and claims", seconds * 0.3);
	with_signals = 1;
	hold("and signal handlers", seconds * 0.3);
	prove(seconds / 2 < 1 ? 1 : seconds / 2);
	for (uint32_t i = 0; i < THREADS; i++)
		free(pushers[i]);
	return done();
}
