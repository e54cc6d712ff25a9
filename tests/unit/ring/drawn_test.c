/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drawn_test.c - what single changed lines of the rings showed to be untested: a kernel that refuses,
 * descriptor 0, and the last word of a thread's order.
 */
#include "ring/thread.h"
#include "support/rings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As under a filter of a container: the call is there, and nobody may make it. */
static int refuse_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

Test(ring_rseq, where_membarrier_is_refused_there_are_no_sequences)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(refuse_membarrier() ? 99 : (int)wr_rseq_detect());
	T_EQ(waitpid(child, &status, 0), child);
	T_TRUE(WIFEXITED(status));
	if (WEXITSTATUS(status) == 99 || wr_rseq_detect() != WR_RSEQ_YES)
		T_SKIP("no filters or no restartable sequences here");
	T_EQ(WEXITSTATUS(status), WR_RSEQ_NO_MEMBARRIER);
}

Test(ring_rings, memory_whose_file_has_descriptor_0_is_a_childs_to_close_too)
{
	static struct wr_rings rings;

	close(0);
	rings_begin(&rings, SMALL_RING, 1);
	T_EQ(rings.memory_fd, 0);
	ring_make(&rings, WR_RING_FALLBACK, 0);
	wr_rings_disown(&rings);
	T_EQ(fcntl(0, F_GETFD), -1);
}

Test(ring_mark, each_engine_and_those_without_order_have_a_word_of_a_thread)
{
	for (unsigned i = 0; i <= WR_ORDER_NONE; i++)
		atomic_store(&wr_thread.order[i], UINT64_MAX);
	T_EQ(wr_thread.slow_depth, 0);
	T_EQ(wr_thread.sink_depth, 0);
	T_TRUE(!wr_thread.turning);
}
