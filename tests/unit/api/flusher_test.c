/* SPDX-License-Identifier: Apache-2.0 */
/* The flusher's thread is as the config says, seen from where it calls the sink; and who is who. */
#include "catch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/engine.h"

static struct {
	int nice, slack;
	cpu_set_t cpus;
	sigset_t blocked;
	char name[17];
	uint8_t engine[16];
} seen;

static void look(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)arg, (void)verdict;
	seen.nice = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
	seen.slack = prctl(PR_GET_TIMERSLACK);
	(void)sched_getaffinity(0, sizeof(seen.cpus), &seen.cpus);
	(void)prctl(PR_GET_NAME, seen.name);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &seen.blocked);
	memcpy(seen.engine, batch->engine, 16);
}

static void look_with(const struct weir_config *config)
{
	struct weir_sink *sink = NULL;
	struct weir_why why = { "" };
	struct weir *weir = NULL;

	T_EQ(weir_sink_callback(look, NULL, &sink), 0);
	if (weir_open(config, sink, &weir, &why) < 0)
		T_FAIL("weir_open: %s", why.text);
	T_EQ(weir_push(weir, "a", 1), 0);
	T_EQ(weir_flush_wait(weir, WEIR_SECONDS(60)), 0);
	T_EQ(weir_free(weir), 0);
}

static int last_cpu(void)
{
	cpu_set_t set;
	int last = 0;

	T_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &set))
			last = cpu;
	return last;
}

Test(flusher, its_thread_has_the_name_the_nice_value_the_slack_and_the_cpu_that_were_asked_for)
{
	struct weir_config config;
	int mine = getpriority(PRIO_PROCESS, 0), my_slack = prctl(PR_GET_TIMERSLACK);
	int cpu = last_cpu();

	weir_config_init(&config);
	config.flusher_nice = mine + 3 > 19 ? 19 : mine + 3;
	config.flusher_timerslack_ns = 12345;
	config.flusher_cpu = cpu;
	memcpy(config.flusher_name, "abc", 4);
	look_with(&config);
	T_EQ(seen.nice, config.flusher_nice);
	T_EQ(seen.slack, 12345);
	T_EQ(CPU_COUNT(&seen.cpus), 1);
	T_TRUE(CPU_ISSET((size_t)cpu, &seen.cpus));
	T_STR(seen.name, "weir-abc");
	T_EQ(getpriority(PRIO_PROCESS, 0), mine);
	T_EQ(prctl(PR_GET_TIMERSLACK), my_slack);
}

Test(flusher, its_thread_takes_no_signal_and_who_opened_takes_what_it_took_before)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM, SIGPROF };
	sigset_t before, after;

	T_EQ(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	sigdelset(&before, SIGUSR1);
	sigaddset(&before, SIGUSR2);
	T_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	look_with(NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		T_EQ(sigismember(&seen.blocked, signals[i]), 1);
	T_EQ(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	for (int i = 1; i < 32; i++)
		T_EQ(sigismember(&after, i), sigismember(&before, i));
}

Test(flusher, an_engines_uuid_is_a_random_one_of_its_own)
{
	uint8_t first[16];

	look_with(NULL);
	memcpy(first, seen.engine, 16);
	T_EQ(first[6] >> 4, 4);
	T_EQ(first[8] >> 6, 2);
	T_TRUE(memcmp(first, first + 8, 6) != 0 && memcmp(first + 1, first + 9, 5) != 0);
	look_with(NULL);
	T_TRUE(memcmp(first, seen.engine, 8) != 0);
	T_TRUE(memcmp(first + 8, seen.engine + 8, 8) != 0);
}

Test(open, an_open_that_fails_takes_no_place)
{
	struct catch *catch = catch_new();
	struct weir *weir = NULL;

	catch->start_result = -ENXIO;
	for (int i = 0; i < WR_ENGINES + 1; i++)
		T_EQ(weir_open(&catch->config, &catch->sink, &weir, NULL), -ENXIO);
	T_TRUE(!catch->sink.host);
	catch->start_result = 0;
	catch_open(catch);
	catch_end(catch);
}

Test(open, each_engine_has_an_order_word_of_its_own)
{
	struct catch *one = catch_new(), *other = catch_new();

	catch_open(one);
	catch_open(other);
	T_TRUE(one->weir->order_slot != other->weir->order_slot);
	T_TRUE(one->weir->order_slot != WR_ORDER_NONE);
	catch_end(one);
	catch_end(other);
}

static struct weir *named;

static void *name_it(void *arg)
{
	*(int *)arg = weir_source(named, "the same");
	return NULL;
}

Test(source, two_threads_that_name_the_same_at_once_get_one_id)
{
	const struct timespec a_while = { 0, 50000000 };
	struct catch *catch = catch_new();
	pthread_t threads[2];
	int ids[2] = { 0, 0 };

	catch_open(catch);
	named = catch->weir;
	pthread_mutex_lock(&named->sources.lock);
	for (int i = 0; i < 2; i++)
		T_EQ(pthread_create(&threads[i], NULL, name_it, &ids[i]), 0);
	nanosleep(&a_while, NULL); /* both have looked in vain, and want the lock */
	pthread_mutex_unlock(&named->sources.lock);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	T_EQ(ids[0], 1);
	T_EQ(ids[1], 1);
	catch_end(catch);
}

/* Of an engine and a sink: no program that the host starts inherits any. */
Test(open, every_descriptor_is_closed_on_exec)
{
	uint8_t was_open[1024];
	struct weir_sink *sink = NULL;
	struct weir *weir = NULL;
	unsigned made = 0;
	char uri[32];
	int fds[2];

	T_EQ(pipe(fds), 0);
	for (int fd = 0; fd < 1024; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
	snprintf(uri, sizeof(uri), "fd:%d", fds[1]);
	T_EQ(weir_sink_open(uri, &sink, NULL), 0);
	T_TRUE(weir_open(NULL, sink, &weir, NULL) >= 0);
	for (int fd = 0; fd < 1024; fd++) {
		int flags = was_open[fd] ? -1 : fcntl(fd, F_GETFD);

		if (flags < 0)
			continue;
		made++;
		if (!(flags & FD_CLOEXEC))
			T_FAIL("descriptor %d is left open", fd);
	}
	T_TRUE(made >= 9); /* five of the flusher, the memory, three of the sink */
	T_EQ(weir_free(weir), 0);
}
