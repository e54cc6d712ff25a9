/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork_test.c - a process that forks at any moment while its threads push. The child's handle is
 * inert, the parent's records are delivered once, and the child may have an engine of its own.
 */
#include "stress.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4

static struct weir *weir;
static struct ledger ledger;
static struct pusher *pushers[THREADS];
static _Atomic uint32_t running;
static _Thread_local struct pusher *me;
static _Atomic uint64_t forks_by_handler, bad_children;
static _Atomic uint32_t pause_wanted, paused;

static void look(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledger, record);
}

/* What a child must see of its parent's engine. 0, or which call was wrong. */
static int try_inherited(void)
{
	struct weir_push_options wait = { .wait = WEIR_PUSH_WAIT };
	struct weir_stats stats = { .size = sizeof(stats) };
	struct weir_audit audit = { .size = sizeof(audit) };
	struct weir_close_report report = { .size = sizeof(report) };
	struct iovec iov = { (void *)(uintptr_t)"x", 1 };
	static char large[10000];
	struct weir_claim claim;
	uint64_t deadline;

	if (weir_push(weir, "x", 1) != -EPERM || weir_push(weir, large, sizeof(large)) != -EPERM)
		return 1;
	if (weir_push(weir, large, 70000) != -EPERM)
		return 2;
	if (weir_push_ex(weir, "x", 1, &wait) != -EPERM || weir_pushv(weir, &iov, 1) != -EPERM ||
	    weir_push_many(weir, &iov, 1) != -EPERM)
		return 3;
	if (weir_claim(weir, 5, NULL, &claim) != -EPERM)
		return 4;
	if (weir_flush(weir) != -EPERM || weir_flush_wait(weir, 1000000) != -EPERM)
		return 5;
	if (weir_stats(weir, &stats) != -EPERM || weir_audit(weir, &audit) != -EPERM)
		return 6;
	if (weir_source(weir, "x") != -EPERM || weir_next_deadline(weir, &deadline) != -EPERM ||
	    weir_poll_fd(weir) != -EPERM || weir_run_once(weir, 0) != -EPERM)
		return 7;
	if (weir_close(weir, WEIR_SECONDS(10), &report) != -EPERM || weir_free(weir) != 0)
		return 8;
	return 0;
}

/*
 * The child's own engine, with a thread of its own; but not under TSan, which ends a child whose new
 * thread has the id of one of its parent's.
 */
static int try_own(void)
{
	static struct meter meter;
	struct weir_config config;
	struct weir *own = NULL;

	config_small(&config);
	if (STRESS_TSAN)
		config.loop = WEIR_LOOP_OWN;
	meter_init(&meter);
	if (weir_open(&config, &meter.sink, &own, NULL))
		return 20;
	for (int i = 0; i < 200; i++)
		if (weir_push(own, "the child's own", 15))
			return 21;
	if (weir_source(own, "child") != 1 || weir_flush_wait(own, WEIR_SECONDS(20)))
		return 22;
	if (weir_close(own, WEIR_SECONDS(20), NULL) || atomic_load(&meter.delivered) != 200)
		return 23;
	weir_free(own);
	return 0;
}

static int child(int fds, int with_own)
{
	int r = try_inherited();

	/* Of the engine's descriptors none is left: what remains was the test's. */
	if (!r && fds && count_entries("/proc/self/fd") != fds)
		r = 10;
	if (!r && with_own)
		r = try_own();
	return r;
}

static void judge(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		if (atomic_fetch_add(&bad_children, 1) > 3)
			return;
		note("child: %s %d", WIFEXITED(status) ? "exit" : "signal",
		     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
}

/* Interrupts a push and forks there; _Fork() is the form that a handler may use. */
static void on_signal(int number)
{
	int saved = errno, status = 0;
	pid_t pid;

	(void)number;
	if (!me || !atomic_load(&running))
		return;
	pid = _Fork();
	if (pid == 0) {
		int r = weir_push(weir, "x", 1) != -EPERM;

		r = r ? r : weir_flush(weir) != -EPERM;
		_exit(r);
	}
	if (pid > 0) {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (status)
			atomic_fetch_add(&bad_children, 1);
		atomic_fetch_add(&forks_by_handler, 1);
	}
	errno = saved;
}

/*
 * The sanitizers do not hold their allocator's locks over a fork: a child whose parent's thread was
 * just inside waits for ever for a lock of the sanitizer when its own engine's thread begins. So,
 * with one of them, nobody is inside when a child is made that opens an engine.
 */
static void pause_all(void)
{
	atomic_store(&pause_wanted, 1);
	while (atomic_load(&paused) < THREADS)
		nap_ns(10000);
	if (weir_flush_wait(weir, WEIR_SECONDS(20)))
		abort();
}

static void go_on_all(void)
{
	atomic_store(&pause_wanted, 0);
	while (atomic_load(&paused))
		nap_ns(10000);
}

static void *push_all(void *arg)
{
	struct pusher *pusher = arg;

	me = pusher;
	while (atomic_load(&running)) {
		size_t size = sizeof(struct ticket) + below(&pusher->rng, 100);
		int r;

		if (atomic_load(&pause_wanted)) {
			atomic_fetch_add(&paused, 1);
			while (atomic_load(&pause_wanted))
				nap_ns(10000);
			atomic_fetch_sub(&paused, 1);
		}
		if (below(&pusher->rng, 30) == 0)
			size += 6000;
		r = push_ticket(weir, pusher, 0, size, NULL);
		if (r == -EAGAIN || below(&pusher->rng, 200) == 0)
			nap_ns(50000);
		if (below(&pusher->rng, 500) == 0)
			(void)weir_source(weir, "parent");
	}
	me = NULL;
	return NULL;
}

static void load(double seconds)
{
	static struct meter meter;
	uint64_t rng = stress_seed(), until, forks = 0;
	struct weir_config config;
	struct tally sum = { 0 };
	int fds = count_entries("/proc/self/fd");
	unsigned wrong;

	config_small(&config);
	meter_init(&meter);
	meter.record = look;
	ledger_init(&ledger);
	weir = open_or_die(&config, &meter);
	atomic_store(&running, 1);
	for (uint32_t i = 0; i < THREADS; i++) {
		pushers[i]->id = i;
		pushers[i]->rng = stress_seed() + i;
		if (pthread_create(&pushers[i]->thread, NULL, push_all, pushers[i]))
			abort();
	}
	until = now_ns() + (uint64_t)(seconds * 1e9);
	while (now_ns() < until) {
		int with_own = below(&rng, 3) == 0, quiet;
		pid_t pid;

		nap_ns(below(&rng, 3000000));
		if (!STRESS_TSAN && below(&rng, 2)) { /* it does not know _Fork() and hangs */
			pthread_kill(pushers[below(&rng, THREADS)]->thread, SIGUSR1);
			continue;
		}
		quiet = with_own && (STRESS_TSAN || STRESS_ASAN);
		if (quiet)
			pause_all();
		pid = fork();
		if (pid == 0) {
			alarm(60);
			atomic_store(&running, 0);
			_exit(child(fds, with_own));
		}
		if (quiet)
			go_on_all();
		judge(pid);
		forks++;
	}
	atomic_store(&running, 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(pushers[i]->thread, NULL);
		tally_sum(&sum, &pushers[i]->tally[0]);
	}
	(void)weir_close(weir, WEIR_SECONDS(30), NULL);
	wrong = identity(weir, &sum, &meter, 0, 1);
	weir_free(weir);
	meter_fini(&meter);
	note("%" PRIu64 " forks, %" PRIu64 " in a handler, %" PRIu64 " pushed", forks,
	     atomic_load(&forks_by_handler), sum.accepted);
	ok(!atomic_load(&bad_children) && forks,
	   "children: every call answers -EPERM, no descriptor is left, an own engine works");
	ok(!wrong, "the parent's identity holds");
	ok(!atomic_load(&ledger.misordered) && !atomic_load(&ledger.damaged),
	   "the parent's records are delivered once and in order");
}

/* The thread that forked in a handler goes on with the push that it had interrupted. */
static _Atomic uint32_t go_on_forks, is_pushing;

static void fork_and_return(int number)
{
	(void)number;
	if (me && !atomic_exchange(&go_on_forks, 1)) {
		pid_t pid = _Fork();

		if (pid > 0)
			judge(pid);
		else if (pid == 0)
			me = NULL;
	}
}

static void *push_through(void *arg)
{
	struct pusher *pusher = arg;

	me = pusher;
	atomic_store(&is_pushing, 1);
	while (atomic_load(&running)) {
		int r = push_ticket(weir, pusher, 0, sizeof(struct ticket) + 3000, NULL);

		if (!me) /* the child: this very push may have been committed before the fork */
			_exit((r == 0 || r == -EPERM || r == -EAGAIN) &&
			                      weir_push(weir, "x", 1) == -EPERM
			              ? 0
			              : 30);
		if (r == -EAGAIN)
			nap_ns(20000);
	}
	me = NULL;
	return NULL;
}

static void go_on(double seconds)
{
	struct sigaction action = { .sa_handler = fork_and_return, .sa_flags = SA_RESTART };
	static struct meter meter;
	uint64_t rng = stress_seed(), until, forks = 0;
	struct weir_config config;

	sigaction(SIGUSR2, &action, NULL);
	config_small(&config);
	meter_init(&meter);
	weir = open_or_die(&config, &meter);
	memset(pushers[0], 0, offsetof(struct pusher, buffer));
	atomic_store(&bad_children, 0);
	atomic_store(&running, 1);
	if (pthread_create(&pushers[0]->thread, NULL, push_through, pushers[0]))
		abort();
	while (!atomic_load(&is_pushing))
		nap_ns(10000);
	until = now_ns() + (uint64_t)(seconds * 1e9);
	while (now_ns() < until) {
		nap_ns(below(&rng, 2000000));
		atomic_store(&go_on_forks, 0);
		pthread_kill(pushers[0]->thread, SIGUSR2);
		while (!atomic_load(&go_on_forks))
			nap_ns(10000);
		forks++;
	}
	atomic_store(&running, 0);
	pthread_join(pushers[0]->thread, NULL);
	(void)weir_close(weir, WEIR_SECONDS(30), NULL);
	ok(!identity(weir, &pushers[0]->tally[0], &meter, 0, 1),
	   "forked in the midst of a push: the parent's identity holds");
	ok(!atomic_load(&bad_children) && forks,
	   "forked in the midst of a push: the child's push ends with -EPERM (%" PRIu64 " forks)",
	   forks);
	weir_free(weir);
	meter_fini(&meter);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct weir_features features = { .size = sizeof(features) };
	double seconds = stress_seconds();

	(void)stress_seed();
	for (uint32_t i = 0; i < THREADS; i++)
		pushers[i] = calloc(1, sizeof(*pushers[i]));
	sigaction(SIGUSR1, &action, NULL);
	load(seconds * 0.6);
	weir_features(NULL, &features);
	if (features.rseq && !STRESS_TSAN)
		go_on(seconds * 0.4);
	else
		skip(STRESS_TSAN ? "no _Fork() there" : "a reserved place is not in the child's memory",
		     "forked in the midst of a push: the child's push ends with -EPERM");
	for (uint32_t i = 0; i < THREADS; i++)
		free(pushers[i]);
	return done();
}
