/* SPDX-License-Identifier: Apache-2.0 */
/* plain_main.c - the runner without Criterion: each test in a child, TAP on standard output. */
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_S 120

static struct test_case *first, **last = &first;

void test_register(struct test_case *test)
{
	*last = test;
	last = &test->next;
}

_Noreturn void test_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	fflush(NULL);
	_exit(99);
}

static int run(const struct test_case *test)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		alarm(TIMEOUT_S);
		test->run();
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s.%s: killed by %s\n", test->suite, test->name,
		        strsignal(WTERMSIG(status)));
	return status;
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int n = 0, failed = 0;

	for (struct test_case *test = first; test; test = test->next) {
		char full[256];

		snprintf(full, sizeof(full), "%s.%s", test->suite, test->name);
		if (only && !strstr(full, only))
			continue;
		int status = run(test);

		if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
			printf("ok %d %s # SKIP\n", ++n, full);
		} else if (status) {
			failed++;
			printf("not ok %d %s\n", ++n, full);
		} else {
			printf("ok %d %s\n", ++n, full);
		}
	}
	printf("1..%d\n", n);
	return failed || !n;
}
