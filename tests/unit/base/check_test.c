/* SPDX-License-Identifier: Apache-2.0 */
/* check_test.c - assertions, containers, alignment. */
#include "base/check.h"

#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/align.h"
#include "test.h"

/* Runs WR_ASSERT(@holds) in a child; its standard error goes to @text. The child's wait status. */
static int assert_in_child(int holds, char *text, size_t bytes)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	T_EQ(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		WR_ASSERT(holds);
		_exit(7);
	}
	close(fds[1]);
	n = read(fds[0], text, bytes - 1);
	text[n > 0 ? n : 0] = 0;
	close(fds[0]);
	T_TRUE(waitpid(pid, &status, 0) == pid);
	return status;
}

Test(check, a_broken_invariant_aborts_and_names_itself)
{
	char text[512];
	int status = assert_in_child(0, text, sizeof(text));

	T_TRUE(WIFSIGNALED(status));
	T_EQ(WTERMSIG(status), SIGABRT);
	T_TRUE(strstr(text, "holds"));
	T_TRUE(strstr(text, "check_test.c:"));
}

Test(check, a_kept_invariant_is_silent)
{
	char text[512];
	int status = assert_in_child(1, text, sizeof(text));

	T_TRUE(WIFEXITED(status));
	T_EQ(WEXITSTATUS(status), 7);
	T_STR(text, "");
}

Test(check, a_condition_is_evaluated_once)
{
	int n = 0;

	WR_ASSERT(++n);
	T_EQ(n, 1);
}

Test(check, a_container_is_found_from_its_member)
{
	struct outer {
		int before;
		char member;
	} outer = { 0 };

	T_TRUE(WR_CONTAINER(&outer.member, struct outer, member) == &outer);
}

Test(check, rounding_up_keeps_multiples_and_lifts_the_rest)
{
	T_EQ(WR_ROUND_UP(0u, 8u), 0);
	T_EQ(WR_ROUND_UP(1u, 8u), 8);
	T_EQ(WR_ROUND_UP(8u, 8u), 8);
	T_EQ(WR_ROUND_UP(9u, 8u), 16);
}

Test(check, words_of_different_writers_lie_a_pair_of_lines_apart)
{
	struct {
		WR_LINE_ALIGNED char a;
		WR_LINE_ALIGNED char b;
	} words;

	T_EQ((uintptr_t)&words.a % WR_LINE_PAIR, 0);
	T_EQ(&words.b - &words.a, WR_LINE_PAIR);
}
