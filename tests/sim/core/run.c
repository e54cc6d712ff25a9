/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - many seeds: each in a child process, so many at once; the results in the order of seeds.
 *
 * A child that dies or never ends has failed as well. Time is shown on standard
 * error alone: what is on standard output is the same on every run.
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64
#define CPU_SECONDS 10   /* a seed needs less than one */
#define REAL_SECONDS 300 /* it may have to wait for a CPU */

void seed_report_to(int fd);

struct job {
	pid_t pid;
	int fd;
	uint64_t seed;
};

static pid_t start(uint64_t seed, int *ret_fd)
{
	int ends[2];
	pid_t pid;

	if (pipe(ends) < 0)
		return -1;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		const struct rlimit most = { CPU_SECONDS, CPU_SECONDS + 1 };

		close(ends[0]);
		(void)setrlimit(RLIMIT_CPU, &most);
		alarm(REAL_SECONDS);
		trace_wanted = options.trace;
		seed_report_to(ends[1]);
		seed_run(seed);
	}
	close(ends[1]);
	*ret_fd = ends[0];
	return pid;
}

static void collect(struct job *job, struct outcome *ret)
{
	size_t got = 0;
	int status = 0;

	while (got < sizeof(*ret)) {
		ssize_t n = read(job->fd, (uint8_t *)ret + got, sizeof(*ret) - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	close(job->fd);
	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (got == sizeof(*ret))
		return;
	*ret = (struct outcome){ .seed = job->seed, .failed = 1 };
	if (WIFSIGNALED(status))
		snprintf(ret->why, sizeof(ret->why), "%s",
		         WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGXCPU
		                 ? "it never ends: real time is over"
		                 : strsignal(WTERMSIG(status)));
	else
		snprintf(ret->why, sizeof(ret->why), "it ended with status %d",
		         WEXITSTATUS(status));
}

void run_child(uint64_t seed, struct outcome *ret)
{
	struct job job = { .seed = seed };

	job.pid = start(seed, &job.fd);
	if (job.pid < 0) {
		*ret = (struct outcome){ .seed = seed, .failed = 1, .why = "no process" };
		return;
	}
	collect(&job, ret);
}

struct sums {
	uint64_t seeds, failed, hash, steps, pushes, batches, lives, first_failed;
	uint64_t injected[F_KINDS], hit[F_KINDS], in_seeds[F_KINDS], overruns[E_KINDS];
};

static void add(struct sums *sums, const struct outcome *one)
{
	sums->seeds++;
	if (one->failed && !sums->failed++)
		sums->first_failed = one->seed;
	sums->hash = (sums->hash ^ one->hash) * UINT64_C(0x9fb21c651e98df25);
	sums->steps += one->steps;
	sums->pushes += one->pushes;
	sums->batches += one->batches;
	sums->lives += one->lives;
	for (uint32_t i = 0; i < F_KINDS; i++) {
		sums->injected[i] += one->injected[i];
		sums->hit[i] += one->hit[i];
		sums->in_seeds[i] += one->hit[i] > 0;
	}
	for (uint32_t i = 0; i < E_KINDS; i++)
		sums->overruns[i] += one->overruns[i];
}

static void quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		if ((unsigned char)*text >= ' ')
			putchar(*text);
	}
	putchar('"');
}

static void show(const struct run *run, const struct outcome *one, int first)
{
	if (run->json) {
		printf("%s{\"seed\": %" PRIu64 ", \"ok\": %s, \"hash\": \"%016" PRIx64
		       "\", \"steps\": %" PRIu64 ", \"why\": ",
		       first ? "" : ",\n", one->seed, one->failed ? "false" : "true", one->hash,
		       one->steps);
		quoted(one->why);
		putchar('}');
	} else if (one->failed) {
		printf("seed %" PRIu64 " FAILED: %s\n", one->seed, one->why);
	} else if (!run->quiet) {
		printf("seed %" PRIu64 " hash %016" PRIx64 " steps %" PRIu64 "\n", one->seed,
		       one->hash, one->steps);
	}
	fflush(stdout);
}

static uint32_t kinds_hit(const struct sums *sums)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < F_KINDS; i++)
		n += sums->hit[i] > 0;
	return n;
}

static void show_sums(const struct run *run, const struct sums *sums)
{
	if (run->json) {
		printf("],\n\"seeds\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"hash\": \"%016" PRIx64
		       "\", \"steps\": %" PRIu64 ",\n\"faults\": {",
		       sums->seeds, sums->failed, sums->hash, sums->steps);
		for (uint32_t i = 0; i < F_KINDS; i++)
			printf("%s\"%s\": {\"injected\": %" PRIu64 ", \"hit\": %" PRIu64 "}",
			       i ? ", " : "", fault_kinds[i].name, sums->injected[i], sums->hit[i]);
		printf("},\n\"overruns\": {");
		for (uint32_t i = 0; i < E_KINDS; i++)
			printf("%s\"%s\": %" PRIu64, i ? ", " : "", excuse_names[i],
			       sums->overruns[i]);
		printf("}}\n");
		return;
	}
	for (uint32_t i = 0; i < F_KINDS; i++)
		if (sums->hit[i] || run->all_kinds)
			printf("fault %-18s hit %" PRIu64 " in %" PRIu64 " seeds: %s\n",
			       fault_kinds[i].name, sums->hit[i], sums->in_seeds[i],
			       fault_kinds[i].meaning);
	for (uint32_t i = 0; i < E_KINDS; i++)
		printf("overruns, %s: %" PRIu64 "\n", excuse_names[i], sums->overruns[i]);
	printf("%" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64 " steps, %" PRIu64
	       " pushes, %" PRIu64 " batches, %" PRIu64 " lives, %u of %u kinds of fault hit, hash "
	       "%016" PRIx64 "\n",
	       sums->seeds, sums->failed, sums->steps, sums->pushes, sums->batches, sums->lives,
	       kinds_hit(sums), F_KINDS, sums->hash);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void run_all(const struct run *run, struct sums *sums)
{
	struct job jobs[JOBS_MAX];
	uint32_t at = 0, busy = 0;
	uint64_t next = run->first;
	int over = 0;

	while (busy || (!over && next <= run->last)) {
		struct outcome one;

		while (!over && busy < run->jobs && next <= run->last) {
			struct job *job = &jobs[(at + busy) % run->jobs];

			job->seed = next;
			job->pid = start(next, &job->fd);
			next++;
			busy++;
		}
		collect(&jobs[at], &one);
		at = (at + 1) % run->jobs;
		busy--;
		if (over && run->stop)
			continue;
		show(run, &one, !sums->seeds);
		add(sums, &one);
		over |= one.failed && run->stop;
	}
}

int run_seeds(const struct run *run)
{
	struct sums sums = { 0 };
	double begun = now();
	int end = 0;

	if (run->json)
		printf("{\"results\": [\n");
	run_all(run, &sums);
	show_sums(run, &sums);
	fflush(stdout);
	fprintf(stderr, "weir sim: %.1f s, %.1f seeds a second\n", now() - begun,
	        (double)sums.seeds / (now() - begun));
	if (sums.failed) {
		end = 1;
		if (run->minimise)
			end = shrink(run, sums.first_failed);
		else
			fprintf(stderr,
			        "weir sim: `weir sim --seed %" PRIu64 " --minimise` shrinks the first\n",
			        sums.first_failed);
	}
	if (run->all_kinds && kinds_hit(&sums) < F_KINDS) {
		for (uint32_t i = 0; i < F_KINDS; i++)
			if (!sums.hit[i])
				fprintf(stderr, "weir sim: the fault %s was never hit\n",
				        fault_kinds[i].name);
		end = 1;
	}
	return end;
}
