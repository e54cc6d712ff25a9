/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this process and its threads have restartable sequences, and what it says if not. */
#include "support/rings.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

Test(ring_rseq, detection_gives_the_same_answer_twice_and_never_unknown)
{
	enum wr_rseq_state state = wr_rseq_detect();

	T_TRUE(state != WR_RSEQ_UNKNOWN);
	T_EQ(wr_rseq_detect(), state);
}

Test(ring_rseq, a_test_can_force_it_off_and_undo_that)
{
	enum wr_rseq_state state = wr_rseq_detect();

	wr_rseq_force(WR_RSEQ_FORCED_OFF);
	T_EQ(wr_rseq_detect(), WR_RSEQ_FORCED_OFF);
	wr_rseq_force(WR_RSEQ_UNKNOWN);
	T_EQ(wr_rseq_detect(), state);
}

Test(ring_rseq, every_reason_to_do_without_is_a_sentence_of_its_own)
{
	for (int i = WR_RSEQ_NO_ARCH; i <= WR_RSEQ_FORCED_OFF; i++) {
		T_TRUE(strlen(wr_rseq_why((enum wr_rseq_state)i)) > 10);
		for (int k = WR_RSEQ_NO_ARCH; k < i; k++)
			T_TRUE(strcmp(wr_rseq_why((enum wr_rseq_state)i),
			              wr_rseq_why((enum wr_rseq_state)k)) != 0);
	}
}

Test(ring_rseq, no_reason_is_given_when_there_is_none)
{
	T_STR(wr_rseq_why(WR_RSEQ_YES), "");
	T_STR(wr_rseq_why(WR_RSEQ_UNKNOWN), "not looked at yet");
}

static void need_rseq(void)
{
	if (wr_rseq_detect() != WR_RSEQ_YES)
		T_SKIP("no restartable sequences here");
}

Test(ring_rseq, detection_registers_the_process_with_membarrier)
{
	need_rseq();
	T_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0), 0);
}

static void pin(int *ret_cpu)
{
	cpu_set_t mask, one;

	T_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &mask))
			*ret_cpu = cpu;
	CPU_ZERO(&one);
	CPU_SET((size_t)*ret_cpu, &one);
	T_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

Test(ring_rseq, thread_cpu_is_the_cpu_the_thread_runs_on)
{
	int cpu = -1;

	need_rseq();
	pin(&cpu);
	T_EQ(wr_rseq_thread_cpu(), cpu);
	T_EQ(sched_getcpu(), cpu);
}

static void *look(void *arg)
{
	*(int *)arg = wr_rseq_thread_cpu();
	return NULL;
}

Test(ring_rseq, a_new_thread_is_registered_too)
{
	pthread_t thread;
	int cpu = -1;

	need_rseq();
	T_EQ(pthread_create(&thread, NULL, look, &cpu), 0);
	pthread_join(thread, NULL);
	T_TRUE(cpu >= 0);
}

/* CPU 0 must not be taken for none. What was found is kept: a child for each, before the parent. */
Test(ring_rseq, detection_finds_the_same_on_every_cpu)
{
	int found[64], n = 0;
	cpu_set_t mine, one;

	T_EQ(sched_getaffinity(0, sizeof(mine), &mine), 0);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && n < 64; cpu++) {
		int status = 0;
		pid_t pid;

		if (!CPU_ISSET(cpu, &mine))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pid = fork();
		T_TRUE(pid >= 0);
		if (pid == 0)
			_exit(sched_setaffinity(0, sizeof(one), &one) ? 98 : (int)wr_rseq_detect());
		T_EQ(waitpid(pid, &status, 0), pid);
		T_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 98);
		found[n++] = WEXITSTATUS(status);
	}
	for (int i = 0; i < n; i++)
		T_EQ(found[i], wr_rseq_detect());
}
