/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hosted sink, with its own thread or the flusher in between at each instruction of the other: no
 * batch lies in the queue unseen, and a refusal is always followed by ready().
 */
#include "support/step.h"

#ifdef WR_CAN_STEP

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/sink.h>

#include "unit/sink/host.h"

#define STEPS 64

static struct host host;
static struct weir_sink *sink;
static struct made *first, *second;
static _Atomic uint32_t stuck, writes, idles, steps_wanted;
static _Atomic pid_t writer;
static int answer;

/* Stands in write() while it is to; the thread's own steps begin there, when they are wanted. */
static void stand(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	sigset_t trap;

	(void)arg, (void)batch, (void)verdict;
	writer = (pid_t)syscall(SYS_gettid);
	writes++;
	while (stuck)
		usleep(50);
	if (atomic_exchange(&steps_wanted, 0)) {
		sigemptyset(&trap);
		sigaddset(&trap, SIGTRAP);
		pthread_sigmask(SIG_UNBLOCK, &trap, NULL);
		step_set_trap();
	}
}

static void count_idle(void *arg)
{
	(void)arg;
	idles++;
}

static const struct weir_hosted_ops stand_ops = { .name = "stand", .write = stand,
	                                          .idle = count_idle };

static struct made *one_record(uint64_t seq)
{
	struct made *made = made_new(&host, seq);

	made->keeps_memory = 1;
	made_text(made, "a");
	return made;
}

/* A queue of one place, and a batch in it that is being written. */
static void begin_with(uint64_t idle_ns)
{
	const struct weir_sink_caps caps = { .max_inflight = 1 };
	static struct weir_why why;

	stuck = 1;
	writes = idles = 0;
	T_EQ(weir_sink_hosted(&stand_ops, NULL, &caps, idle_ns, &sink), 0);
	T_EQ(host_start(&host, sink, &why), 0);
	first = one_record(1);
	second = one_record(2);
	T_EQ(host_submit(&host, first), 0);
	while (!writes)
		usleep(50);
}

static void begin(void)
{
	begin_with(1);
}

static void end(void)
{
	stuck = 0;
	host_close(&host);
	made_free(first);
	made_free(second);
}

/* Until the thread has given the first batch back, and has found no other. */
static void let_go(void)
{
	stuck = 0;
	while (!idles)
		usleep(50);
}

static void submit_second(void)
{
	answer = sink->ops->submit(sink, &second->batch);
}

/* Taken, or refused and then called for exactly once. */
static void it_comes_through(void)
{
	if (answer) {
		T_EQ(answer, -EAGAIN);
		host_wait_ready(&host, 1);
		T_EQ(host_submit(&host, second), 0);
	} else {
		second->submitted++;
	}
	T_EQ(host_wait(&host, second), WEIR_DONE);
	T_EQ(host_ready(&host), answer ? 1 : 0);
	end();
}

Test(hosted_step, a_queue_that_gets_room_at_any_instruction_of_a_submit_is_called_ready)
{
	T_TRUE(step_through(STEPS, begin, submit_second, let_go, it_comes_through) > 10);
	end(); /* the last one had no instruction left */
}

/* --- the thread's own instructions, from the return of write() until it sleeps --- */

static _Atomic uint32_t between, go_on; /* the thread is between two of them; it may go on */

static void wait_between(void)
{
	between = 1;
	while (!go_on)
		usleep(50);
}

/* The first batch is known to be back. The thread may have been stopped with the lock in its hand. */
static int is_back(void)
{
	int back;

	if (pthread_mutex_trylock(&host.lock))
		return 0;
	back = host.completed != 0;
	pthread_mutex_unlock(&host.lock);
	return back;
}

/* The thread waits for work, and has not been between two instructions on its way there. */
static int sleeps(void)
{
	char path[64], text[512], *state;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)writer);
	file = fopen(path, "re");
	T_TRUE(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = 0;
	state = strrchr(text, ')');
	return state && state[2] == 'S' && is_back() && !between;
}

/* Lets the thread come to instruction @n behind write(), and submits there. 0: it has fewer. */
static int submit_at(uint32_t n)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO, .sa_sigaction = step_on_trap };
	int known;

	T_EQ(sigaction(SIGTRAP, &action, NULL), 0);
	between = go_on = 0;
	step_interrupt = wait_between;
	step_left = n;
	steps_wanted = 1;
	stuck = 0;
	while (!between && !sleeps())
		usleep(50);
	if (!between) {
		step_interrupt = NULL; /* the next trap, when it wakes, is the last */
		step_left = 1;
	}
	known = is_back();
	answer = sink->ops->submit(sink, &second->batch);
	/* Who knows that a batch is back knows that its place is free. */
	if (known)
		T_EQ(answer, 0);
	n = between;
	go_on = 1;
	it_comes_through();
	return (int)n;
}

Test(hosted_step, a_batch_that_comes_at_any_instruction_of_falling_asleep_is_not_slept_through)
{
	uint32_t times = 0, n = 1;

	if (!step_works())
		T_SKIP("no trap flag here");
	for (;; n += 1 + n / 1024) {
		begin_with(0); /* a thread that is woken to be idle would look again */
		if (!submit_at(n))
			break;
		times++;
	}
	T_TRUE(times > 100);
}

#endif
