/* SPDX-License-Identifier: Apache-2.0 */
/* seed.c - one seed from beginning to end, in a process of its own. */
#include "sim/core/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct outcome outcome;
static int report_fd = -1;

void seed_report_to(int fd);

void seed_report_to(int fd)
{
	report_fd = fd;
}

static _Noreturn void finish(void)
{
	outcome.hash = trace_hash;
	outcome.steps = vt_steps;
	outcome.lives = life_now + 1;
	for (uint32_t i = 0; i < F_KINDS; i++) {
		outcome.injected[i] = faults[i].injected;
		outcome.hit[i] = faults[i].hit;
	}
	memcpy(outcome.overruns, overruns, sizeof(overruns));
	if (report_fd >= 0 && write(report_fd, &outcome, sizeof(outcome)) < 0)
		_exit(3);
	_exit(outcome.failed ? 1 : 0);
}

void sim_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome.why, sizeof(outcome.why), format, args);
	va_end(args);
	outcome.failed = 1;
	finish();
}

static void crash(void)
{
	struct life *life = &lives[life_now];
	int power = fault_on(F_POWER_DROP) || fault_on(F_POWER_TEAR) || fault_on(F_POWER_REORDER) ||
	            fault_on(F_POWER_NAME);
	struct rng rng = rng_of(plan.seed, 1030 + life_now);

	if (power && fault_on(F_KILL))
		power = (int)rng_below(&rng, 3) != 0;
	vt_crashed = 0;
	vt_calls_to_crash = 0;
	life->end = power ? END_POWER : END_KILLED;
	life->end_ns = vt_now;
	if (!life->opened)
		fault_hit(F_CRASH_OPENING);
	the_weir = NULL;
	watch_forget();
	sys_forget_descriptors();
	if (plan.retains)
		oracle_expire(disk_removed());
	if (power)
		disk_cut();
	else
		disk_kill();
	if (!power && plan.sink != SINK_FILE)
		fault_hit(F_KILL);
}

/* What the seed is made of, for who looks at its trace. */
static void show_plan(void)
{
	struct weir_config defaults;
	char text[128], initial[128];

	weir_config_init(&defaults);
	fprintf(stderr, "sink %s\nlives %u producers %u records %u cpus %u\n",
	        plan.uri[0] && plan.sink != SINK_SCRIPT ? plan.uri : "script", plan.lives,
	        plan.producers, plan.records, plan.cpus);
	for (const struct weir_property *p = NULL; (p = weir_config_next(p)) != NULL;) {
		(void)weir_config_get(&plan.config, p->key, text, sizeof(text));
		(void)weir_config_get(&defaults, p->key, initial, sizeof(initial));
		if (strcmp(text, initial) != 0)
			fprintf(stderr, "%s = %s\n", p->key, text);
	}
	for (uint32_t i = 0; i < F_KINDS; i++)
		if (faults[i].ppm)
			fprintf(stderr, "fault %s: %u in a million\n", fault_kinds[i].name,
			        faults[i].ppm);
}

void seed_run(uint64_t seed)
{
	outcome = (struct outcome){ .seed = seed };
	trace_hash = seed;
	plan_make(seed);
	if (trace_wanted)
		show_plan();
	task_reset();
	sys_reset(seed);
	disk_reset(seed);
	oracle_reset();
	for (uint32_t i = 0; i < plan.lives; i++) {
		struct task *task;
		int last = i + 1 == plan.lives, r;

		life_now = i;
		oracle_life();
		task = task_start("life", life_task, last ? &plan : NULL);
		r = task_run(task);
		if (r < 0)
			sim_fail("everybody sleeps, and nothing will ever happen");
		if (r)
			crash();
		vt_calls_to_crash = 0;
		task_kill_all();
		sys_forget_descriptors();
		if (plan.sink != SINK_FILE)
			continue;
		if (!r)
			disk_kill();
		task = task_start("look", look_task, NULL);
		if (task_run(task))
			sim_fail("reading the log never ends");
		task_kill_all();
	}
	finish();
}
