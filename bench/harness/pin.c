/* SPDX-License-Identifier: Apache-2.0 */
/* pin.c - see pin.h. Thread: any. */
#include "harness/pin.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>

#include "harness/bench.h"

static cpu_set_t usable;
static pthread_once_t looked = PTHREAD_ONCE_INIT;

static void look(void)
{
	if (sched_getaffinity(0, sizeof(usable), &usable))
		bench_die("the CPUs of this process cannot be read");
}

uint32_t bench_cpus(void)
{
	pthread_once(&looked, look);
	return (uint32_t)CPU_COUNT(&usable);
}

void bench_pin(uint32_t n)
{
	cpu_set_t one;

	n %= bench_cpus();
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &usable) && n-- == 0) {
			CPU_SET(cpu, &one);
			break;
		}
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one))
		bench_die("a thread cannot be moved to a CPU");
}

void bench_unpin(void)
{
	(void)bench_cpus();
	(void)pthread_setaffinity_np(pthread_self(), sizeof(usable), &usable);
}
