/* SPDX-License-Identifier: Apache-2.0 */
/* forced.c - see forced.h. It knows where a thread's CPU is said; it knows nothing of batches. */
#include "scale/forced.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/pin.h"

#define WAIT_NS WEIR_SECONDS(10)
#define FALLBACK_STEPS 257u /* pushes until a thread without rseq looks for its CPU again */

/* glibc 2.35 and later; absent elsewhere. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
static _Thread_local int pretended = -1;

/* The library's, too: this program is searched first. */
__attribute__((visibility("default"))) int sched_getcpu(void)
{
	unsigned cpu = 0;

	if (pretended >= 0)
		return pretended;
	return syscall(SYS_getcpu, &cpu, NULL, NULL) ? -1 : (int)cpu;
}

static int has_rseq(struct weir *weir)
{
	struct weir_features features = { .size = sizeof(features) };

	return !weir_features(weir, &features) && features.rseq;
}

/* The next push of this thread is one on @cpu, unless the kernel comes in between. */
static void pretend(uint32_t cpu, int rseq)
{
	uint8_t *area = NULL;

	pretended = (int)cpu;
#if defined(__x86_64__)
	__asm__("movq %%fs:0, %0" : "=r"(area));
#elif defined(__aarch64__)
	__asm__("mrs %0, tpidr_el0" : "=r"(area));
#endif
	if (!rseq || !area)
		return;
	area += __rseq_offset; /* struct rseq: cpu_id_start, cpu_id */
	*(volatile uint64_t *)(void *)area = (uint64_t)cpu << 32 | cpu; /* both at once */
}

uint64_t forced_rings(struct weir *weir)
{
	struct weir_stats stats = { .size = sizeof(stats) };

	return weir_stats(weir, &stats) ? 0 : stats.rings;
}

static void push_to(struct weir *weir, uint32_t cpu, int rseq, uint64_t bytes)
{
	static const uint8_t page[4096];
	const struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = WAIT_NS };
	uint64_t size = bytes ? sizeof(page) : 1, steps = rseq ? 1 : FALLBACK_STEPS;

	if (bytes / size > steps)
		steps = bytes / size;
	for (uint64_t i = 0; i < steps; i++) {
		pretend(cpu, rseq);
		if (weir_push_ex(weir, page, size, &options))
			bench_die("scale: a push was refused");
	}
}

static void *force(void *arg)
{
	struct forced *forced = arg;
	struct weir *weir = forced->weir;
	int rseq = has_rseq(weir);

	bench_pin(0);
	/* A push that was interrupted went to the ring of the CPU: so up to three times. */
	for (int pass = 0; pass < 3 && forced_rings(weir) < forced->rings; pass++) {
		uint32_t missing = forced->rings - (uint32_t)forced_rings(weir);

		for (uint32_t i = 0; i < missing; i++)
			push_to(weir, forced->from++, rseq, 0);
	}
	for (uint32_t i = 0; i < forced->filled; i++)
		push_to(weir, forced->from + i, rseq, forced->bytes);
	return NULL;
}

void forced_run(struct forced *forced)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, force, forced) || pthread_join(thread, NULL))
		bench_die("scale: a thread cannot be started");
}
