/* SPDX-License-Identifier: Apache-2.0 */
/* tick.c - see tick.h. It knows where the kernel says which clock it trusts. */
#include "harness/tick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CALIBRATE_NS 20000000u
#define PAIRS 4095u

double bench_tick_ns = 1;
int bench_tick_counts;

#if defined(__x86_64__)
/* The counter must run at one rate, and the kernel must find the CPUs' counters to be the same. */
static int can_count(void)
{
	unsigned a, b, c, d;
	char text[32] = "";
	FILE *file;

	if (!__get_cpuid(0x80000001u, &a, &b, &c, &d) || !(d >> 27 & 1)) /* rdtscp */
		return 0;
	if (!__get_cpuid(0x80000007u, &a, &b, &c, &d) || !(d >> 8 & 1)) /* one rate */
		return 0;
	file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = 0;
	fclose(file);
	return !strcmp(text, "tsc\n");
}
#elif defined(__aarch64__)
static int can_count(void)
{
	return 1;
}
#else
static int can_count(void)
{
	return 0;
}
#endif

void bench_tick_init(void)
{
	uint64_t t0, t1, ns;

	if (bench_tick_counts || !can_count())
		return;
	bench_tick_counts = 1;
	ns = bench_now();
	t0 = bench_tick();
	while (bench_now() - ns < CALIBRATE_NS)
		;
	t1 = bench_tick();
	ns = bench_now() - ns;
	bench_tick_ns = (double)ns / (double)(t1 - t0);
}

const char *bench_tick_name(void)
{
	if (!bench_tick_counts)
		return "clock_gettime";
#if defined(__x86_64__)
	return "rdtscp";
#else
	return "cntvct";
#endif
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

double bench_tick_cost(void)
{
	static uint64_t spans[PAIRS];
	uint64_t sum = 0, count = 0;

	for (uint32_t i = 0; i < PAIRS; i++) {
		uint64_t t0 = bench_tick(), t1 = bench_tick();

		spans[i] = t1 > t0 ? t1 - t0 : 0;
	}
	qsort(spans, PAIRS, sizeof(spans[0]), compare);
	while (count < PAIRS && spans[count] <= 2 * spans[PAIRS / 2])
		sum += spans[count++];
	return (double)sum / (double)count;
}
