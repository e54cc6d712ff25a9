/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap.c - what happens at a point. The trap's signal makes the kernel abort the section before the
 * handler runs; so the handler is what a preempted, migrated or interrupted thread meets, at a place
 * that the test has chosen. Whether the kernel did abort is seen by where the thread will go on.
 */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SIGNATURE 0x53053053u
#define DELAY_LOOPS 200u
#define DELAY_TURN_LOOPS 200000u
#define DELAY_LONG_LOOPS 2000000u

const char *const happening_names[HAPPENINGS] = {
	[TRAP] = "a trap",
	[TRAP_PUSH] = "a handler that pushes",
	[TRAP_PUT] = "a handler that pushes pieces",
	[TRAP_SIGNAL] = "a signal within the handler, which pushes",
	[TRAP_MOVE] = "a move to another CPU",
	[TRAP_MOVE_PUSH] = "a move, and a push there",
	[TRAP_AWAY] = "a move, a push there, and the way back",
	[TRAP_YIELD] = "a yield",
	[TRAP_SLEEP] = "a sleep",
	[TRAP_BARRIER] = "an rseq membarrier",
	[TRAP_TURN] = "a turn of the flusher",
	[TRAP_CPUSET] = "a change of the CPU set",
	[DELAY] = "a delay",
	[DELAY_TURN] = "a delay, and a turn of the flusher",
	[DELAY_LONG] = "a long delay",
};

struct counts counts;
enum happening trap_does;
void (*trap_hook)(void);
static int sets;

static void move(void)
{
	cpus_pin(cpus_here() + 1);
}

/* --- the flusher on a thread of its own, for a turn --- */

enum { REST, NOW, ONCE_INSIDE, ENDED };
static _Atomic uint32_t turner_does;
static volatile struct wr_torture *turner_watches;

static void *turner(void *arg)
{
	struct timespec nap = { 0, 20000 };

	(void)arg;
	for (;;) {
		uint32_t what = atomic_load(&turner_does);

		if (what == NOW || (what == ONCE_INSIDE && turner_watches->inside)) {
			/* Two: one that takes what is there, one that goes to sleep. */
			rig_turn();
			rig_turn();
			atomic_store(&turner_does, REST);
		} else if (what == ENDED) {
			atomic_store(&turner_does, REST);
		} else {
			nanosleep(&nap, NULL);
		}
	}
	return NULL;
}

static void turn(uint32_t how)
{
	static pthread_t thread;
	static int runs;

	turner_watches = &wr_torture;
	if (!runs && pthread_create(&thread, NULL, turner, NULL))
		abort();
	runs = 1;
	atomic_store(&turner_does, how);
}

void trap_settle(void)
{
	uint32_t waits = ONCE_INSIDE;

	if (!atomic_load(&turner_does))
		return;
	/* It was never inside, or not seen there: then there is no turn to wait for. */
	atomic_compare_exchange_strong(&turner_does, &waits, ENDED);
	while (atomic_load(&turner_does))
		sched_yield();
}

static void happen(void)
{
	struct timespec nap = { 0, 1000 };
	int here;

	switch (trap_does) {
	case TRAP_PUSH:
		rig_push(LANE_HANDLER, 0);
		break;
	case TRAP_PUT:
		rig_push(LANE_HANDLER, 1);
		break;
	case TRAP_SIGNAL:
		raise(SIGUSR2);
		break;
	case TRAP_MOVE:
		move();
		break;
	case TRAP_MOVE_PUSH:
		move();
		rig_push(LANE_HANDLER, 0);
		break;
	case TRAP_AWAY:
		here = cpus_here();
		cpus_pin(here + 1);
		rig_push(LANE_HANDLER, 0);
		cpus_pin(here);
		break;
	case TRAP_YIELD:
		sched_yield();
		break;
	case TRAP_SLEEP:
		nanosleep(&nap, NULL);
		break;
	case TRAP_BARRIER:
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0);
		break;
	case TRAP_TURN:
		atomic_store(&turner_does, NOW);
		trap_settle();
		break;
	case TRAP_CPUSET:
		if (cpuset_to(++sets))
			rig_wrong("the CPU set was not changed");
		break;
	default:
		break;
	}
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	const uint8_t *at = (const uint8_t *)(uintptr_t)((ucontext_t *)context)
	                            ->uc_mcontext.gregs[REG_RIP];
	uint32_t before, point = wr_torture.inside;
	int saved = errno;

	(void)number;
	(void)info;
	memcpy(&before, at - 4, sizeof(before));
	wr_torture.inside = 0;
	if (!point || point > POINTS)
		abort(); /* not one of ours */
	counts.traps[point]++;
	counts.aborted[point] += before == SIGNATURE;
	happen();
	if (trap_hook)
		trap_hook();
	errno = saved;
}

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	rig_push(LANE_HANDLER, 0);
	errno = saved;
}

void trap_init(void)
{
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sigaction raised = { .sa_handler = on_signal };

	sigemptyset(&trap.sa_mask);
	sigemptyset(&raised.sa_mask);
	sigaction(SIGTRAP, &trap, NULL);
	sigaction(SIGUSR2, &raised, NULL);
}

void trap_arm(uint32_t point, uint32_t skip, enum happening happening)
{
	trap_does = happening;
	wr_torture.inside = 0;
	wr_torture.skip = skip;
	wr_torture.loops = happening == DELAY        ? DELAY_LOOPS
	                   : happening == DELAY_TURN ? DELAY_TURN_LOOPS
	                   : happening == DELAY_LONG ? DELAY_LONG_LOOPS
	                                             : 0;
	if (happening == TRAP_TURN || happening == DELAY_TURN)
		turn(happening == DELAY_TURN ? ONCE_INSIDE : REST);
	atomic_signal_fence(memory_order_seq_cst);
	wr_torture.at = point;
}

int happening_possible(enum happening happening)
{
	if (happening == TRAP_CPUSET)
		return cpus_count() > 1 && !*cpuset_begin();
	return happening < TRAP_MOVE || happening > TRAP_AWAY || cpus_count() > 1;
}

/* --- the CPU set --- */

static char folder[512], home[512], reason[160];
static int version; /* 0: not tried, 1, 2: of cgroups; -1: not possible */

static int write_file(const char *name, const char *text)
{
	char path[600];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Where this process lives, to be left and come back to. */
static void find_home(const char *root)
{
	char text[256] = "/";
	int fd = open("/proc/self/cpuset", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 1] = 0;
	text[strcspn(text, "\n")] = 0;
	snprintf(home, sizeof(home), "%s%s", root, text);
}

static int try_version(int which)
{
	const char *root = which == 1 ? "/sys/fs/cgroup/cpuset" : "/sys/fs/cgroup";
	char text[32];
	int r;

	find_home(root);
	snprintf(folder, sizeof(folder), "%s", root);
	if (which == 2) {
		r = write_file("cgroup.subtree_control", "+cpuset");
		if (r)
			return r;
	}
	snprintf(folder, sizeof(folder), "%s/weir-torture-%d", root, getpid());
	if (mkdir(folder, 0755) < 0)
		return -errno;
	version = which;
	r = which == 1 ? write_file("cpuset.mems", "0") : 0;
	if (r == 0)
		r = cpuset_to(-1);
	snprintf(text, sizeof(text), "%d", getpid());
	if (r == 0)
		r = write_file("cgroup.procs", text);
	if (r) {
		rmdir(folder);
		version = 0;
	}
	return r;
}

const char *cpuset_begin(void)
{
	int r;

	if (version)
		return version > 0 ? "" : reason;
	r = try_version(1);
	if (r == -ENOENT)
		r = try_version(2);
	if (r == 0) {
		atexit(cpuset_end);
		return "";
	}
	version = -1;
	snprintf(reason, sizeof(reason), "no CPU set can be made below /sys/fs/cgroup: %s",
	         strerror(-r));
	return reason;
}

int cpuset_to(int n)
{
	char text[512] = "";
	size_t length = 0;

	for (int i = 0; i < cpus_count(); i++)
		if (n < 0 || i == n % cpus_count())
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u",
			                           length ? "," : "", cpus_id(i));
	return write_file("cpuset.cpus", text);
}

void cpuset_end(void)
{
	char made[sizeof(folder)], text[32];

	if (version <= 0)
		return;
	memcpy(made, folder, sizeof(made));
	snprintf(folder, sizeof(folder), "%s", home);
	snprintf(text, sizeof(text), "%d", getpid());
	if (write_file("cgroup.procs", text))
		fprintf(stderr, "cannot go back to %s\n", home);
	rmdir(made);
	version = 0;
}
