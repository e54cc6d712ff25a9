/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill.c - a process that writes a log is killed: at random moments, and at every system call.
 *
 *     kill WEIR     prints TAP; WEIR: the command, whose verify must agree
 *
 * It opens the log that the one before left, so that each death is recovered from by the next
 * life. What was acknowledged is kept in memory that all share; it must be in the log, once and in
 * order, and the log must not be damaged. The engine is a whole one, with its threads.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "victim.h"

static char base[] = "/tmp/weir-kill-XXXXXX", dir[128], table_path[128];
static struct victim_table *table;
static const char *weir;
static char why[512];
static uint64_t verified, acked, records;

static uint64_t random_below(uint64_t n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % n;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void remove_all(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	if (system(command))
		printf("# cannot remove %s\n", path);
}

static void begin_anew(void)
{
	remove_all(dir);
	memset(table, 0, sizeof(*table));
}

/* 0: all is well. */
static int check(int expires, int with_command)
{
	char command[512];
	uint64_t read;
	int r = victim_check(dir, table, expires, why, sizeof(why), &read);

	acked += table->acked[table->lives];
	records += read;
	if (r || !with_command || !weir)
		return r;
	snprintf(command, sizeof(command), "test ! -d '%s' || '%s' verify '%s' >/dev/null", dir,
	         weir, dir);
	verified++;
	if (!system(command))
		return 0;
	snprintf(why, sizeof(why), "weir verify says that the log is damaged");
	return 1;
}

static const struct {
	const char *options;
	int expires, large;
} kinds[] = {
	{ "sync=batch&segment=8KiB", 0, 0 },
	{ "sync=none&segment=8KiB", 0, 0 },
	{ "sync=interval&interval=2ms&segment=16KiB&max_bytes=64KiB", 1, 0 },
	{ "sync=none&segment=4MiB&max_bytes=8MiB", 1, 1 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int kill_at_random(uint64_t want, double until, uint64_t *ret_kills)
{
	uint64_t kills = 0;

	while (kills < want && seconds() < until) {
		size_t kind = kills / 16 % KINDS;
		int status;
		pid_t pid;

		if (kills % 16 == 0)
			begin_anew();
		pid = fork();
		if (!pid)
			_exit(victim_write(dir, kinds[kind].options, table, 0, kinds[kind].large) != 0);
		usleep((useconds_t)random_below(kinds[kind].large ? 30000 : 12000));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status)) {
			snprintf(why, sizeof(why), "the next life cannot begin");
			return 1;
		}
		kills++;
		if (check(kinds[kind].expires, kills % 64 == 1)) {
			printf("# kill %" PRIu64 ", %s: %s\n", kills, kinds[kind].options, why);
			return 1;
		}
	}
	*ret_kills = kills;
	return 0;
}

/* Lets a process go on until its n-th entry into a system call, of any thread, and kills it there.
 * 1: it ended before. */
static int run_until(uint64_t nth, int kind)
{
	pid_t pid = fork(), who;
	uint64_t stops = 0;
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(victim_write(dir, kinds[kind].options, table, 24, kinds[kind].large) != 0);
	}
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, NULL,
	       PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
	ptrace(PTRACE_SYSCALL, pid, NULL, 0);
	for (;;) {
		long pass = 0;

		who = waitpid(-1, &status, __WALL);
		if (who < 0)
			return 1;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (who == pid)
				return 1;
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			/* Entries and ends both count: a call that blocks is entered once. */
			if (++stops == nth)
				break;
		} else if (WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) {
			pass = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, who, NULL, pass);
	}
	kill(pid, SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0)
		;
	return 0;
}

static int kill_at_calls(uint64_t want, double until, uint64_t *ret_kills)
{
	uint64_t kills = 0, step = want < 1000 ? 1 + random_below(7) : 1;

	for (int kind = 0; kills < want && seconds() < until; kind = (kind + 1) % 3) {
		int over = 0;

		for (uint64_t nth = 1 + random_below(step); !over && kills < want; nth += step) {
			/* Three lives one after the other, then a new log. */
			if (nth / step % 3 == 0)
				begin_anew();
			over = run_until(nth, kind);
			kills += !over;
			if (check(kinds[kind].expires, kills % 256 == 1)) {
				printf("# at call %" PRIu64 ", %s: %s\n", nth, kinds[kind].options,
				       why);
				return 1;
			}
			if (seconds() > until)
				break;
		}
		begin_anew();
	}
	*ret_kills = kills;
	return 0;
}

int main(int argc, char **argv)
{
	const char *proof = getenv("WEIR_PROOF"), *time = getenv("WEIR_PROOF_SECONDS");
	const int slice = !proof || !strcmp(proof, "slice");
	double part = (time ? strtod(time, NULL) : 20) / 10;
	uint64_t want = slice ? 200 : !strcmp(proof, "full") ? 500 : 5000;
	uint64_t random_kills = 0, call_kills = 0;
	int bad, all = 0;

	weir = argc > 1 ? argv[1] : NULL;
	if (!mkdtemp(base)) {
		printf("Bail out! no temporary directory\n");
		return 1;
	}
	snprintf(dir, sizeof(dir), "%s/log", base);
	snprintf(table_path, sizeof(table_path), "%s/table", base);
	table = victim_map(table_path);
	if (!table) {
		printf("Bail out! no table\n");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..2\n");
	bad = kill_at_random(want, seconds() + (slice ? part : 3600), &random_kills);
	printf("%s 1 - killed at a random moment: what was acknowledged is there, once and in order\n",
	       bad ? "not ok" : "ok");
	all |= bad;
	begin_anew();
	bad = kill_at_calls(want, seconds() + (slice ? part : 3600), &call_kills);
	printf("%s 2 - killed at a system call: what was acknowledged is there, once and in order\n",
	       bad ? "not ok" : "ok");
	all |= bad;
	printf("# figure crash-kill | kills at random microseconds | %" PRIu64 " | 5000\n",
	       random_kills);
	printf("# figure crash-kill | kills at system calls | %" PRIu64 " | 5000\n", call_kills);
	printf("# figure crash-kill | records acknowledged before a kill | %" PRIu64 " |\n", acked);
	printf("# figure crash-kill | logs verified by the command | %" PRIu64 " |\n", verified);
	if (!all && !acked) {
		printf("Bail out! nothing was ever acknowledged\n");
		all = 1;
	}
	if (!all)
		remove_all(base);
	return all;
}
