/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal_test.c - pushes from signal handlers, ten thousand a second per thread, in the midst of the
 * same thread's pushes: nothing is lost or out of order, and errno is as it was.
 */
#include "stress.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2
#define EVERY_NS 100000

static struct pusher *pushers[16];
static _Thread_local struct pusher *me;
static _Atomic uint32_t running;
static struct weir *weir;
static struct ledger ledger;
static _Atomic uint64_t errno_changed, handled;

static void on_signal(int number)
{
	struct pusher *pusher = me;
	int saved = errno;

	(void)number;
	if (!pusher || !atomic_load(&running))
		return;
	errno = 4321;
	(void)push_ticket(weir, pusher, 1, sizeof(struct ticket) + pusher->tally[1].attempted % 50,
	                  NULL);
	if (errno != 4321)
		atomic_fetch_add(&errno_changed, 1);
	atomic_fetch_add(&handled, 1);
	errno = saved;
}

/* A timer that interrupts the calling thread. */
static timer_t interrupt_me(int number)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number };
	struct itimerspec every = { { 0, EVERY_NS }, { 0, EVERY_NS } };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &every, NULL))
		abort();
	return timer;
}

static void *push_all(void *arg)
{
	struct pusher *pusher = arg;
	stack_t alternative = { .ss_sp = pusher->arg, .ss_size = 65536 };
	timer_t timer;

	if (pusher->arg && sigaltstack(&alternative, NULL))
		abort();
	me = pusher;
	timer = interrupt_me(SIGUSR1);
	while (atomic_load_explicit(&running, memory_order_relaxed)) {
		size_t size = sizeof(struct ticket) + below(&pusher->rng, 100);
		int r;

		if (below(&pusher->rng, 50) == 0)
			size += 6000;
		errno = 1234;
		r = push_ticket(weir, pusher, 0, size, NULL);
		if (errno != 1234)
			atomic_fetch_add(&errno_changed, 1);
		if (r == -EAGAIN)
			sched_yield();
	}
	timer_delete(timer);
	me = NULL;
	if (pusher->arg) {
		alternative.ss_flags = SS_DISABLE;
		sigaltstack(&alternative, NULL);
	}
	return NULL;
}

static void look(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledger, record);
}

static void arrange(struct meter *meter)
{
	struct weir_config config;

	meter_init(meter);
	meter->record = look;
	ledger_init(&ledger);
	atomic_store(&errno_changed, 0);
	atomic_store(&handled, 0);
	for (uint32_t i = 0; i < 16; i++) {
		void *arg = pushers[i]->arg;

		memset(pushers[i], 0, offsetof(struct pusher, buffer));
		pushers[i]->id = i;
		pushers[i]->rng = stress_seed() + i;
		pushers[i]->arg = arg;
	}
	config_small(&config);
	weir = open_or_die(&config, meter);
	atomic_store(&running, 1);
}

static unsigned conclude(struct meter *meter, uint32_t threads, struct tally *sum,
                         struct tally *handlers)
{
	unsigned wrong;

	memset(sum, 0, sizeof(*sum));
	memset(handlers, 0, sizeof(*handlers));
	for (uint32_t i = 0; i < threads; i++) {
		tally_sum(sum, &pushers[i]->tally[0]);
		tally_sum(sum, &pushers[i]->tally[1]);
		tally_sum(handlers, &pushers[i]->tally[1]);
	}
	(void)weir_close(weir, WEIR_SECONDS(30), NULL);
	wrong = identity(weir, sum, meter, 0, 1);
	weir_free(weir);
	meter_fini(meter);
	if (ledger.first_trouble[0])
		note("%s", ledger.first_trouble);
	return wrong;
}

static void interrupted(const char *name, int flags, double seconds)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART | flags };
	static struct meter meter;
	struct tally sum, handlers;
	unsigned wrong;

	for (uint32_t i = 0; i < THREADS; i++)
		pushers[i]->arg = flags & SA_ONSTACK ? malloc(65536) : NULL;
	sigaction(SIGUSR1, &action, NULL);
	arrange(&meter);
	for (uint32_t i = 0; i < THREADS; i++)
		if (pthread_create(&pushers[i]->thread, NULL, push_all, pushers[i]))
			abort();
	nap_ns((uint64_t)(seconds * 1e9));
	atomic_store(&running, 0);
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(pushers[i]->thread, NULL);
	wrong = conclude(&meter, THREADS, &sum, &handlers);
	for (uint32_t i = 0; i < THREADS; i++) {
		free(pushers[i]->arg);
		pushers[i]->arg = NULL;
	}
	note("%s: %" PRIu64 " pushed, %" PRIu64 " by %" PRIu64 " handlers", name, sum.accepted,
	     handlers.accepted, atomic_load(&handled));
	ok(!wrong && handlers.accepted > 10, "%s: the identity holds", name);
	ok(!atomic_load(&ledger.misordered) && !atomic_load(&ledger.damaged),
	   "%s: order is kept, of both and between them", name);
	ok(!atomic_load(&errno_changed), "%s: errno is untouched", name);
}

/* A thread that never pushes but in its handler. */
static void *wait_for_signal(void *arg)
{
	struct pusher *pusher = arg;

	me = pusher;
	pthread_kill(pthread_self(), SIGUSR1);
	while (!pusher->tally[1].attempted)
		nap_ns(1000000);
	me = NULL;
	return NULL;
}

static void first_ever(double seconds)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	uint64_t until = now_ns() + (uint64_t)(seconds * 1e9), rounds = 0, refused = 0;
	static struct meter meter;
	unsigned wrong = 0;

	sigaction(SIGUSR1, &action, NULL);
	do {
		struct tally sum, handlers;

		arrange(&meter);
		for (uint32_t i = 0; i < 16; i++)
			if (pthread_create(&pushers[i]->thread, NULL, wait_for_signal, pushers[i]))
				abort();
		for (uint32_t i = 0; i < 16; i++)
			pthread_join(pushers[i]->thread, NULL);
		wrong |= conclude(&meter, 16, &sum, &handlers);
		refused += handlers.attempted - handlers.accepted;
		rounds++;
	} while (now_ns() < until);
	ok(!wrong && !refused, "a thread's first push may come from a handler (%" PRIu64 " rounds)",
	   rounds);
}

int main(void)
{
	double seconds = stress_seconds();

	(void)stress_seed();
	for (uint32_t i = 0; i < 16; i++)
		pushers[i] = calloc(1, sizeof(*pushers[i]));
	interrupted("10 kHz", 0, seconds * 0.4);
	interrupted("10 kHz on an alternative stack", SA_ONSTACK, seconds * 0.4);
	first_ever(seconds * 0.2);
	for (uint32_t i = 0; i < 16; i++)
		free(pushers[i]);
	return done();
}
