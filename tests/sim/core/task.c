/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.c - tasks and virtual time.
 *
 * It knows stacks, times and what a task waits for. It does not know why. A task runs until it
 * calls the system; there it may have to wait, or has to let others go first. Time passes only
 * between the steps of tasks and by what calls cost.
 *
 * The library starts threads by wr_thread_start() and ends them by pthread_join(): the linker hands
 * both to this file (--wrap), so that the flusher's loop and the threads of hosted sinks are tasks.
 * What the library keeps per thread is swapped with the stack.
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/thread.h"
#include "ring/rings.h"
#include "ring/thread.h"

#define TASKS 48
#define STACK (1024 * 1024)

enum task_state { FREE = 0, READY, BLOCKED, DEAD, DONE };

struct task {
	enum task_state state;
	uint32_t id;
	char name[16];
	ucontext_t context;
	uint8_t *stack;
	void *(*fn)(void *);
	void *arg;
	void *result;
	uint64_t at_ns; /* READY: when it goes on; BLOCKED: when it stops waiting */
	const void *word;
	int poll_fd;
	int woken;
	int in_push;
	int held;      /* it was stopped in the midst of a push */
	struct wr_thread thread;
	uint32_t hosted;
};

static struct task tasks[TASKS];
static struct task *self, *flusher;
static ucontext_t supervisor;
static struct rng rng;
uint64_t vt_now, vt_wall, vt_steps, vt_calls_to_crash, vt_late_ns;
int vt_healed, vt_crashed, vt_no_yield;
void (*vt_after_step)(void);
void (*vt_on_time)(uint64_t ns);

void task_reset(void)
{
	self = flusher = NULL;
	vt_now = 1000 * SEC;
	vt_wall = UINT64_C(1700000000) * SEC;
	vt_steps = vt_calls_to_crash = vt_late_ns = 0;
	vt_healed = vt_crashed = vt_no_yield = 0;
	rng = rng_of(plan.seed, 1001);
	task_kill_all();
}

static void pass(uint64_t ns)
{
	if (vt_on_time)
		vt_on_time(ns);
	vt_now += ns;
	vt_wall += ns;
}

static void pass_to(uint64_t at_ns)
{
	if (at_ns > vt_now)
		pass(at_ns - vt_now);
}

static void switch_out(void)
{
	struct task *task = self;

	task->thread = wr_thread;
	task->hosted = wr_thread_hosted;
	swapcontext(&task->context, &supervisor);
}

static void switch_in(struct task *task)
{
	wr_thread = task->thread;
	wr_thread_hosted = task->hosted;
	self = task;
	swapcontext(&supervisor, &task->context);
	self = NULL;
}

static void entry(void)
{
	self->result = self->fn(self->arg);
	self->state = DONE;
	self->woken = 0;
	(void)task_wake_word(self, TASKS);
	switch_out();
}

struct task *task_start(const char *name, void *(*fn)(void *), void *arg)
{
	for (uint32_t i = 0; i < TASKS; i++) {
		struct task *task = &tasks[i];
		uint8_t *stack = task->stack;

		if (task->state != FREE)
			continue;
		if (!stack)
			stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		S_TRUE(stack != MAP_FAILED, "no memory for a task");
		memset(task, 0, sizeof(*task));
		task->stack = stack;
		task->state = READY;
		task->id = i;
		snprintf(task->name, sizeof(task->name), "%s", name);
		task->fn = fn;
		task->arg = arg;
		task->at_ns = vt_now + rng_between(&rng, 1 * US, 50 * US);
		task->poll_fd = -1;
		task->thread.cpu_left = UINT32_MAX / 2;
		getcontext(&task->context);
		task->context.uc_stack.ss_sp = stack;
		task->context.uc_stack.ss_size = STACK;
		makecontext(&task->context, entry, 0);
		trace(T_TASK, name, i, task->at_ns, 0);
		return task;
	}
	sim_fail("too many tasks");
}

struct task *task_self(void)
{
	return self;
}

int task_done(const struct task *task)
{
	return task->state == DONE;
}

const char *task_name(const struct task *task)
{
	return task->name;
}

void task_flusher(struct task *task)
{
	flusher = task;
}

struct task *task_flusher_now(void)
{
	return flusher;
}

struct task *task_of_thread(uint64_t thread)
{
	return &tasks[thread - 1];
}

void task_kill_all(void)
{
	for (uint32_t i = 0; i < TASKS; i++)
		tasks[i].state = FREE;
	flusher = NULL;
}

/* Clocks that jump: everybody stood still, or somebody has set the wall clock. */
static void jump(void)
{
	if (fault_now(F_JUMP)) {
		uint64_t ns = rng_log(&rng, 22, 32);

		excuse_add(E_JUMP, ns);
		vt_no_yield++;
		pass(ns);
		watch_jumped(ns);
		vt_no_yield--;
	}
	if (fault_now(F_WALL_BACK))
		vt_wall -= rng_log(&rng, 30, 42);
	if (fault_now(F_WALL_AHEAD))
		vt_wall += rng_log(&rng, 30, 42);
}

/* Who goes on first? Of two at the same time the one with the lower number. */
static struct task *pick(void)
{
	struct task *best = NULL;

	for (uint32_t i = 0; i < TASKS; i++) {
		struct task *task = &tasks[i];

		if (task->state != READY && task->state != BLOCKED)
			continue;
		if (!best || task->at_ns < best->at_ns)
			best = task;
	}
	return best && best->at_ns != UINT64_MAX ? best : NULL;
}

int task_run(struct task *until)
{
	while (until->state != DONE) {
		struct task *task = pick();
		uint64_t timer = sys_next();

		if (vt_crashed)
			return 1;
		if (!task && timer == UINT64_MAX)
			return -1;
		if (!task || timer <= task->at_ns) {
			pass_to(timer);
			sys_go_off();
			continue;
		}
		jump();
		pass_to(task->at_ns);
		if (task->state == BLOCKED)
			task->woken = 0;
		task->state = READY;
		task->held = 0;
		switch_in(task);
		vt_steps++;
		if (!vt_crashed && vt_after_step)
			vt_after_step();
	}
	return vt_crashed ? 1 : 0;
}

void task_sleep(uint64_t ns)
{
	self->state = READY;
	self->at_ns = vt_now + ns;
	switch_out();
}

int task_block(uint64_t until_ns, const void *word, int poll_fd)
{
	self->state = BLOCKED;
	self->at_ns = until_ns;
	self->word = word;
	self->poll_fd = poll_fd;
	self->woken = 0;
	switch_out();
	self->word = NULL;
	self->poll_fd = -1;
	return self->woken;
}

static void wake(struct task *task)
{
	uint64_t late = rng_between(&rng, 2 * US, 40 * US), more = rng_log(&rng, 20, 29);

	if (task == flusher && fault_now(F_LATE_WAKE)) {
		late += more;
		vt_late_ns += more;
	} else if (task->in_push && fault_now(F_LATE_ROOM)) {
		late += more;
	}
	task->state = READY;
	task->woken = 1;
	task->at_ns = vt_now + late;
}

int task_wake_word(const void *word, int count)
{
	int n = 0;

	for (uint32_t i = 0; i < TASKS && n < count; i++) {
		if (tasks[i].state != BLOCKED || tasks[i].word != word)
			continue;
		wake(&tasks[i]);
		n++;
	}
	return n;
}

void task_wake_poll(int poll_fd)
{
	for (uint32_t i = 0; i < TASKS; i++)
		if (tasks[i].state == BLOCKED && tasks[i].poll_fd == poll_fd)
			wake(&tasks[i]);
}

void task_call(void)
{
	if (!self || vt_no_yield)
		return;
	pass(rng_between(&rng, 50, 500));
	if (self->in_push && fault_now(F_PUSH_DEAD)) {
		self->state = DEAD;
		self->held = 1;
		switch_out();
	}
	if (self->in_push && fault_now(F_PUSH_HELD)) {
		self->held = 1;
		task_sleep(rng_log(&rng, 16, 31));
	} else if (rng_ppm(&rng, plan.preempt_ppm)) {
		self->held = self->in_push > 0;
		task_sleep(rng_between(&rng, 1 * US, 60 * US));
	}
}

int task_in_push(int change)
{
	return self->in_push += change;
}

int task_any_held(void)
{
	for (uint32_t i = 0; i < TASKS; i++)
		if (tasks[i].held && (tasks[i].state == READY || tasks[i].state == DEAD))
			return 1;
	return 0;
}

int task_flusher_is_late(void)
{
	return flusher && (flusher->state == READY || flusher->state == DONE);
}

int task_any_overdue(void)
{
	for (uint32_t i = 0; i < TASKS; i++)
		if ((tasks[i].state == READY || tasks[i].state == BLOCKED) &&
		    tasks[i].at_ns < vt_now)
			return 1;
	return sys_next() <= vt_now;
}

uint64_t task_flusher_wakes(void)
{
	return flusher && flusher->state == READY && flusher->at_ns > vt_now ? flusher->at_ns : vt_now;
}

int task_is_quiet(const void *which, int poll_fd, int *ret_waits)
{
	*ret_waits = 0;
	for (uint32_t i = 0; i < TASKS; i++) {
		const struct task *task = &tasks[i];

		if (task->state == FREE || task->state == DONE || task->thread.turning != which)
			continue;
		if (task->state != BLOCKED || task->poll_fd != poll_fd)
			return 0;
		*ret_waits = 1;
	}
	return 1;
}

/* What the linker puts in the place of the library's threads and of the machine's CPUs. */
int __wrap_wr_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg);
void __wrap_wr_thread_name(const char *name);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_detach(pthread_t thread);
uint32_t __wrap_wr_cpus_usable(void);
void __wrap_wr_cpus_each_usable(void (*fn)(void *arg, uint32_t cpu), void *arg);

int __wrap_wr_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	struct task *task;

	if (fault_now(F_NO_THREAD))
		return -EAGAIN;
	task = task_start("thread", fn, arg);
	*ret = (pthread_t)task->id + 1;
	return 0;
}

void __wrap_wr_thread_name(const char *name)
{
	snprintf(self->name, sizeof(self->name), "%s", name);
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
	struct task *task = &tasks[thread - 1];

	while (task->state != DONE)
		(void)task_block(UINT64_MAX, task, -1);
	if (ret)
		*ret = task->result;
	if (task == flusher)
		flusher = NULL;
	task->state = FREE;
	return 0;
}

int __wrap_pthread_detach(pthread_t thread)
{
	(void)thread;
	return 0;
}

uint32_t __wrap_wr_cpus_usable(void)
{
	return plan.cpus;
}

void __wrap_wr_cpus_each_usable(void (*fn)(void *arg, uint32_t cpu), void *arg)
{
	for (uint32_t cpu = 0; cpu < plan.cpus; cpu++)
		fn(arg, cpu);
}
