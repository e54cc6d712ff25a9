/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - see bench.h. It knows blocks and rows; it does not know what is measured. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/machine.h"
#include "harness/pin.h"
#include "harness/schedule.h"

#define BLOCKS_MAX 99u
#define BURSTS_MAX 256u

struct bench_run {
	const char *question, *filter;
	uint32_t blocks;
	int quick, pinned, list, failed;
	uint64_t began_ns;
	double steal;
	FILE *out;
};

/* One case, as it is scheduled: in the blocks, and twice in the A/A run. */
struct turn {
	const struct bench_run *run;
	const struct bench_case *bench;
	void *state;
	char why[BENCH_WHY];
	int stopped; /* it began, and then could not go on ... */
	int failed;  /* ... and that is a failure */
	uint32_t block, bursts;
	double burst[BURSTS_MAX][BENCH_METRICS];
	double value[BENCH_METRICS][BLOCKS_MAX];
};

void bench_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void bench_name(char name[BENCH_NAME], const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(name, BENCH_NAME, format, args);
	va_end(args);
	if (n < 0 || n >= BENCH_NAME)
		bench_die("a name is too long: %s", name);
}

static uint32_t number(const char *text, uint32_t most)
{
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;

	if (!text || *end || !n || n > most) {
		fprintf(stderr, "bench: --blocks wants 1..%u\n", most);
		exit(2);
	}
	return (uint32_t)n;
}

static void usage(const char *question)
{
	fprintf(stderr,
	        "usage: bench_%s [--json FILE] [--quick] [--unpinned] [--filter TEXT] "
	        "[--blocks N] [--list]\n",
	        question);
	exit(2);
}

struct bench_run *bench_start(const char *question, int argc, char **argv)
{
	struct bench_run *run = calloc(1, sizeof(*run));
	const char *path = NULL;
	char date[32];
	time_t now = time(NULL);
	struct tm utc;

	if (!run)
		bench_die("no memory");
	run->question = question;
	run->blocks = 9;
	run->pinned = 1;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			run->quick = 1;
		else if (!strcmp(argv[i], "--unpinned"))
			run->pinned = 0;
		else if (!strcmp(argv[i], "--list"))
			run->list = 1;
		else if (!strcmp(argv[i], "--json") && i + 1 < argc)
			path = argv[++i];
		else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
			run->filter = argv[++i];
		else if (!strcmp(argv[i], "--blocks"))
			run->blocks = number(argv[++i], BLOCKS_MAX);
		else
			usage(question);
	}
	run->out = path ? fopen(path, "we") : stdout;
	if (!run->out)
		bench_die("%s: %s", path, strerror(errno));
	run->began_ns = bench_now();
	run->steal = bench_steal();
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	if (run->list)
		return run;
	fprintf(run->out, "{\"type\": \"machine\", \"question\": \"%s\", \"date\": \"%s\", ",
	        question, date);
	fprintf(run->out, "\"quick\": %s, \"pinned\": %s, \"blocks\": %u, ",
	        run->quick ? "true" : "false", run->pinned ? "true" : "false", run->blocks);
	bench_machine(run->out);
	fputs("}\n", run->out);
	return run;
}

int bench_is_quick(const struct bench_run *run)
{
	return run->quick;
}

int bench_is_pinned(const struct bench_run *run)
{
	return run->pinned;
}

int bench_wants(const struct bench_run *run, const char *title)
{
	return !run->filter || strstr(title, run->filter);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void measure(struct turn *turn, double *values)
{
	int r = turn->bench->measure(turn->state, values, turn->why);

	turn->stopped = r != 0;
	turn->failed = r && r != -ECANCELED;
}

static void begin(void *arg, uint32_t block)
{
	struct turn *turn = arg;
	double values[BENCH_METRICS];

	turn->block = block;
	turn->bursts = 0;
	turn->state = turn->why[0] ? NULL : turn->bench->begin(turn->bench, turn->why);
	if (!turn->state && !turn->why[0])
		snprintf(turn->why, sizeof(turn->why), "cannot run here");
	for (uint32_t i = 0; turn->state && !turn->stopped && i < turn->bench->warm; i++)
		measure(turn, values);
}

static double burst(void *arg)
{
	struct turn *turn = arg;
	uint64_t t0 = bench_now();

	if (!turn->state || turn->stopped)
		return 1;
	measure(turn, turn->burst[turn->bursts]);
	turn->bursts += !turn->stopped;
	return (double)(bench_now() - t0);
}

static void end(void *arg)
{
	struct turn *turn = arg;
	double values[BURSTS_MAX];

	if (turn->state)
		turn->bench->end(turn->state);
	turn->state = NULL;
	for (uint32_t m = 0; turn->bursts && m < turn->bench->metric_count; m++) {
		for (uint32_t i = 0; i < turn->bursts; i++)
			values[i] = turn->burst[i][m];
		turn->value[m][turn->block] = median(values, turn->bursts);
	}
}

static struct bench_entry entry_of(struct turn *turn)
{
	uint32_t bursts = turn->bench->bursts ? turn->bench->bursts : 1;

	return (struct bench_entry){ turn->bench->name,
		                     bursts < BURSTS_MAX ? bursts : BURSTS_MAX,
		                     turn, begin, burst, end };
}

static void write_values(FILE *out, const double *values, uint32_t count)
{
	fputc('[', out);
	for (uint32_t i = 0; i < count; i++)
		fprintf(out, "%s%.6g", i ? ", " : "", values[i]);
	fputc(']', out);
}

static void write_spectrum(FILE *out, const struct bench_hist *hist)
{
	static const double parts[] = { 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999,
		                        0.9995, 0.9999, 0.99995, 0.99999 };

	fprintf(out, ", \"count\": %llu, \"spectrum\": [", (unsigned long long)hist->count);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if ((1 - parts[i]) * (double)hist->count >= 1)
			fprintf(out, "[%g, %.6g], ", parts[i], bench_hist_quantile(hist, parts[i]));
	fprintf(out, "[1, %.6g]]", (double)hist->most);
}

static void open_row(const struct bench_run *run, const char *type, const char *title,
                     const struct bench_case *bench)
{
	fprintf(run->out, "{\"type\": \"%s\", \"question\": \"%s\", \"group\": \"%s\", ", type,
	        run->question, title);
	fprintf(run->out, "\"case\": \"%s\", \"peer\": \"%s\", ", bench->name, bench->peer);
}

/* @twins: the two of its A/A run, or NULL. */
static void write_rows(struct bench_run *run, const char *title, const struct turn *turn,
                       const struct turn *twins)
{
	const struct bench_case *bench = turn->bench;

	if (turn->why[0]) {
		open_row(run, turn->failed ? "failed" : "skip", title, bench);
		fputs("\"why\": ", run->out);
		bench_json_text(run->out, turn->why);
		fputs("}\n", run->out);
		run->failed += turn->failed;
		return;
	}
	for (uint32_t m = 0; m < bench->metric_count; m++) {
		const struct bench_metric *metric = &bench->metrics[m];

		open_row(run, "row", title, bench);
		fprintf(run->out, "\"name\": \"%s%s%s\", \"metric\": \"%s\", ", bench->name,
		        metric->name[0] ? "/" : "", metric->name, metric->name);
		fprintf(run->out, "\"unit\": \"%s\", \"more_is_better\": %s, \"values\": ",
		        metric->unit, metric->more_is_better ? "true" : "false");
		write_values(run->out, turn->value[m], run->blocks);
		if (twins && !twins[0].why[0] && !twins[1].why[0]) {
			fputs(", \"aa\": [", run->out);
			write_values(run->out, twins[0].value[m], run->blocks);
			fputs(", ", run->out);
			write_values(run->out, twins[1].value[m], run->blocks);
			fputc(']', run->out);
		}
		if (!m && bench->hist && bench->hist->count)
			write_spectrum(run->out, bench->hist);
		fputs("}\n", run->out);
	}
	fflush(run->out);
}

void bench_group(struct bench_run *run, const char *title, struct bench_case *cases,
                 uint32_t count)
{
	struct turn *turns, *twins;
	struct bench_entry *entries;
	uint32_t pairs = 0;

	if (!bench_wants(run, title))
		return;
	if (run->list) {
		printf("%s\n", title);
		return;
	}
	turns = calloc(count, sizeof(*turns));
	twins = calloc(2 * (size_t)count, sizeof(*twins));
	entries = calloc(2 * (size_t)count, sizeof(*entries));
	if (!turns || !twins || !entries)
		bench_die("no memory");
	fprintf(stderr, "bench: %s\n", title);
	for (uint32_t i = 0; i < count; i++) {
		turns[i].run = twins[2 * i].run = twins[2 * i + 1].run = run;
		turns[i].bench = twins[2 * i].bench = twins[2 * i + 1].bench = &cases[i];
		if (cases[i].hist)
			bench_hist_clear(cases[i].hist);
		for (uint32_t n = 0; cases[i].ours && n < 2; n++)
			entries[pairs++] = entry_of(&twins[2 * i + n]);
	}
	bench_schedule(entries, pairs, run->blocks);
	for (uint32_t i = 0; i < count; i++) {
		if (cases[i].hist)
			bench_hist_clear(cases[i].hist);
		entries[i] = entry_of(&turns[i]);
	}
	bench_schedule(entries, count, run->blocks);
	for (uint32_t i = 0; i < count; i++)
		write_rows(run, title, &turns[i], cases[i].ours ? &twins[2 * i] : NULL);
	free(turns);
	free(twins);
	free(entries);
}

int bench_finish(struct bench_run *run)
{
	int status = run->failed ? 1 : 0;

	if (!run->list)
		fprintf(run->out, "{\"type\": \"end\", \"question\": \"%s\", \"seconds\": %.1f, "
		        "\"steal_s\": %.2f}\n", run->question,
		        (double)(bench_now() - run->began_ns) / 1e9, bench_steal() - run->steal);
	if (run->out != stdout)
		fclose(run->out);
	free(run);
	return status;
}
