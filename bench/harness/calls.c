/* SPDX-License-Identifier: Apache-2.0 */
/* calls.c - see meter.h: system calls, by ptrace. Thread: the main one, and a child process. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/meter.h"

#define PATIENCE_NS UINT64_C(2000000000)
#define SETTLE_NS 5000000u

/* Shared with the child. */
struct meter_calls {
	struct meter_threads threads;
	pid_t mine, tracer;
	_Atomic int go, error;
	_Atomic uint32_t ready;
	_Atomic uint64_t by_them, by_me;
};

static int is_nap(uint64_t number)
{
	return number == SYS_clock_nanosleep || number == SYS_nanosleep;
}

static void at_stop(struct meter_calls *calls, pid_t id)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, id, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (id != calls->mine)
		atomic_fetch_add(&calls->by_them, 1);
	else if (!is_nap(info.entry.nr))
		atomic_fetch_add(&calls->by_me, 1);
}

static int catch(struct meter_calls *calls, pid_t id)
{
	if (ptrace(PTRACE_SEIZE, id, NULL, (void *)PTRACE_O_TRACESYSGOOD) ||
	    ptrace(PTRACE_INTERRUPT, id, NULL, NULL)) {
		atomic_store(&calls->error, errno);
		return -1;
	}
	return 0;
}

/* The child: until it is killed. Its threads go on then, as if nothing had been. */
__attribute__((noreturn)) static void trace(struct meter_calls *calls)
{
	int status;
	pid_t id;

	while (!atomic_load(&calls->go))
		bench_sleep_until(bench_now() + 100000);
	for (uint32_t i = 0; i < calls->threads.count; i++)
		if (catch(calls, calls->threads.id[i]))
			_exit(1);
	if (catch(calls, calls->mine))
		_exit(1);
	while ((id = waitpid(-1, &status, __WALL)) > 0) {
		long signal = 0;

		if (!WIFSTOPPED(status))
			continue;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			at_stop(calls, id);
		else if (status >> 16 == PTRACE_EVENT_STOP)
			atomic_fetch_add(&calls->ready, 1);
		else
			signal = WSTOPSIG(status);
		ptrace(PTRACE_SYSCALL, id, NULL, (void *)signal);
	}
	_exit(0);
}

struct meter_calls *meter_calls_begin(const struct meter_threads *threads, char why[BENCH_WHY])
{
	struct meter_calls *calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE,
	                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t give_up = bench_now() + PATIENCE_NS;
	pid_t tracer;

	if (calls == MAP_FAILED)
		bench_die("no memory");
	calls->threads = *threads;
	calls->mine = (pid_t)syscall(SYS_gettid);
	tracer = fork();
	if (tracer < 0)
		bench_die("no process to trace with");
	if (!tracer)
		trace(calls);
	calls->tracer = tracer; /* not by the child, which shares it */
	(void)prctl(PR_SET_PTRACER, (unsigned long)tracer, 0, 0, 0);
	atomic_store(&calls->go, 1);
	while (atomic_load(&calls->ready) <= threads->count && !atomic_load(&calls->error) &&
	       bench_now() < give_up)
		bench_sleep_until(bench_now() + 100000);
	if (atomic_load(&calls->ready) > threads->count) {
		/* What was interrupted is called anew. */
		bench_sleep_until(bench_now() + SETTLE_NS);
		return calls;
	}
	snprintf(why, BENCH_WHY, "system calls cannot be traced here: %s",
	         strerror(atomic_load(&calls->error) ? atomic_load(&calls->error) : ETIMEDOUT));
	meter_calls_end(calls);
	return NULL;
}

void meter_calls_read(const struct meter_calls *calls, uint64_t *ret_theirs, uint64_t *ret_mine)
{
	*ret_theirs = atomic_load(&calls->by_them);
	*ret_mine = atomic_load(&calls->by_me);
}

void meter_calls_end(struct meter_calls *calls)
{
	(void)kill(calls->tracer, SIGKILL); /* never 0: that is this process's group */
	while (waitpid(calls->tracer, NULL, 0) < 0 && errno == EINTR)
		;
	(void)munmap(calls, sizeof(*calls));
}
