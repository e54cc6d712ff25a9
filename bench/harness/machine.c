/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - see machine.h. Thread: the main one. */
#include "harness/machine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <weir/weir.h>

#include "harness/pin.h"
#include "harness/schedule.h"

void bench_json_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text >= ' ')
			fputc(*text, out);
	}
	fputc('"', out);
}

static void member(FILE *out, const char *key, const char *text)
{
	fprintf(out, "\"%s\": ", key);
	bench_json_text(out, text);
	fputs(", ", out);
}

/* What follows the colon of the first line of @path that begins with @key. */
static void line_of(const char *path, const char *key, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[256], *value;

	ret[0] = 0;
	while (file && fgets(line, sizeof(line), file)) {
		value = strchr(line, ':');
		if (strncmp(line, key, strlen(key)) != 0 || !value)
			continue;
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, "\n")] = 0;
		snprintf(ret, size, "%s", value);
		break;
	}
	if (file)
		fclose(file);
}

double bench_steal(void)
{
	FILE *file = fopen("/proc/stat", "re");
	unsigned long long ticks[8] = { 0 };
	int n = 0;

	if (file) {
		n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0],
		           &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6],
		           &ticks[7]);
		fclose(file);
	}
	return n == 8 ? (double)ticks[7] / (double)sysconf(_SC_CLK_TCK) : 0;
}

void bench_machine(FILE *out)
{
	struct weir_features features = { .size = sizeof(features) };
	struct utsname kernel;
	char cpu[128];
	double load = 0;

	(void)weir_features(NULL, &features);
	line_of("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	member(out, "cpu", cpu[0] ? cpu : "unknown");
	if (!uname(&kernel)) {
		member(out, "kernel", kernel.release);
		member(out, "architecture", kernel.machine);
	}
	member(out, "compiler", BENCH_COMPILER);
	member(out, "flags", BENCH_FLAGS);
	member(out, "allocator", features.jemalloc ? "jemalloc" : "libc");
	member(out, "rseq", features.rseq ? "in use" : features.why_no_rseq);
	member(out, "scheduler", bench_scheduler());
	member(out, "weir", weir_version());
	(void)getloadavg(&load, 1);
	fprintf(out, "\"cpus\": %u, \"load\": %.2f, \"steal_s\": %.2f", bench_cpus(), load,
	        bench_steal());
}
