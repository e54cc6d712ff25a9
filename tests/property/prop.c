/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prop.c - see prop.h. Sequences run by the thousand in one child; the parent learns of a failure,
 * a crash or a hang from what the child left in shared memory, and shrinks with a child per try.
 */
#include "property/prop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define HANG_S 20
#define SHRINK_S 60
#define CHILDREN 8

struct shared {
	struct child {
		_Atomic uint64_t seed; /* of the sequence under way */
		_Atomic uint64_t done;
		char what[1024];
	} children[CHILDREN];
	_Atomic uint64_t hits[PROP_COUNTERS];
	_Atomic uint32_t stop;
};

static struct shared *shared;
static struct child *mine;
int prop_verbose;

void prop_hit(unsigned which, uint64_t n)
{
	atomic_fetch_add_explicit(&shared->hits[which], n, memory_order_relaxed);
}

uint64_t prop_hits(unsigned which)
{
	return atomic_load_explicit(&shared->hits[which], memory_order_relaxed);
}

void prop_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(mine->what, sizeof(mine->what), format, args);
	va_end(args);
	if (prop_verbose)
		printf("# failed: %s\n", mine->what);
	fflush(NULL);
	_exit(99);
}

/* What tests/support says through T_FAIL. */
void test_failed(const char *file, int line, const char *what)
{
	prop_fail("%s:%d: %s", file, line, what);
}

void prop_step(const char *format, ...)
{
	va_list args;

	if (!prop_verbose)
		return;
	va_start(args, format);
	printf("#   ");
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

uint64_t prop_random(struct prop_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t seconds_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t draw(const struct prop *prop, uint64_t seed, struct prop_op *ops)
{
	struct prop_random random = { seed * UINT64_C(0xd1342543de82ef95) + 1 };
	uint64_t weights = 0;
	uint32_t count = prop->least +
	                 (uint32_t)(prop_random(&random) % (prop->most - prop->least + 1));

	for (uint32_t i = 0; i < prop->kind_count; i++)
		weights += prop->kinds[i].weight;
	for (uint32_t n = 0; n < count; n++) {
		uint64_t at = prop_random(&random) % weights;
		uint32_t kind = 0;

		while (n && at >= prop->kinds[kind].weight)
			at -= prop->kinds[kind++].weight;
		ops[n].kind = kind;
		ops[n].a = (uint32_t)prop_random(&random);
		ops[n].b = (uint32_t)prop_random(&random);
		ops[n].c = (uint32_t)prop_random(&random);
	}
	return count;
}

/* Runs one sequence in a child. 0: it holds. */
static int try(const struct prop *prop, const struct prop_op *ops, uint32_t count, int verbose)
{
	int status;
	pid_t pid;

	mine = &shared->children[0];
	mine->what[0] = 0;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		prop_verbose = verbose;
		alarm(HANG_S);
		prop->run(ops, count);
		fflush(NULL);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 0;
	if (WIFSIGNALED(status) && !mine->what[0])
		snprintf(mine->what, sizeof(mine->what), "killed by signal %d (%s)%s",
		         WTERMSIG(status), strsignal(WTERMSIG(status)),
		         WTERMSIG(status) == SIGALRM ? ": it never ended" : "");
	return status != 0;
}

/* Does it fail in the way of @what? Numbers may differ. */
static int fails_so(const struct prop *prop, const struct prop_op *ops, uint32_t count,
                    const char *what)
{
	const char *now = mine->what;

	if (!try(prop, ops, count, 0))
		return 0;
	while (*what || *now) {
		while (*what >= '0' && *what <= '9')
			what++;
		while (*now >= '0' && *now <= '9')
			now++;
		if (*what != *now)
			return 0;
		if (*what) {
			what++;
			now++;
		}
	}
	return 1;
}

static uint32_t without(const struct prop_op *ops, uint32_t count, uint32_t from, uint32_t n,
                        struct prop_op *ret)
{
	memcpy(ret, ops, from * sizeof(*ops));
	memcpy(ret + from, ops + from + n, (count - from - n) * sizeof(*ops));
	return count - n;
}

/* Smaller numbers, one field at a time. 1: something became smaller. */
static int shrink_fields(const struct prop *prop, struct prop_op *ops, uint32_t count,
                         const char *what, uint64_t until)
{
	int any = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t *fields[] = { &ops[i].a, &ops[i].b, &ops[i].c };

		for (unsigned f = 0; f < 3; f++) {
			uint32_t was = *fields[f];
			const uint32_t tries[] = { 0, 1, was % 256, was % 4096, was / 2, was - 1 };

			for (unsigned t = 0; t < 6 && was && seconds_ns() < until; t++) {
				if (tries[t] >= was)
					continue;
				*fields[f] = tries[t];
				if (fails_so(prop, ops, count, what)) {
					any = 1;
					break;
				}
				*fields[f] = was;
			}
		}
	}
	return any;
}

/* Takes away what is not needed for the failure, until nothing more can go. */
static uint32_t shrink(const struct prop *prop, struct prop_op *ops, uint32_t count,
                       const char *what)
{
	uint64_t until = seconds_ns() + SHRINK_S * UINT64_C(1000000000);
	struct prop_op fewer[PROP_OPS];
	int any = 1;

	while (any && seconds_ns() < until) {
		any = 0;
		for (uint32_t n = count / 2; n >= 1; n /= 2) {
			for (uint32_t from = 1; from + n <= count && seconds_ns() < until;) {
				uint32_t left = without(ops, count, from, n, fewer);

				if (fails_so(prop, fewer, left, what)) {
					memcpy(ops, fewer, left * sizeof(*ops));
					count = left;
					any = 1;
				} else {
					from += n;
				}
			}
		}
		any |= shrink_fields(prop, ops, count, what, until);
	}
	return count;
}

static void print_ops(const struct prop *prop, const struct prop_op *ops, uint32_t count)
{
	printf("# replay with: --ops '");
	for (uint32_t i = 0; i < count; i++)
		printf("%s%s:%u:%u:%u", i ? " " : "", prop->kinds[ops[i].kind].name, ops[i].a,
		       ops[i].b, ops[i].c);
	printf("'\n");
}

/* Shrinks, prints and shows the last run step by step. */
static void report(const struct prop *prop, uint64_t seed, struct prop_op *ops, uint32_t count)
{
	char what[sizeof(mine->what)];

	if (!try(prop, ops, count, 0)) {
		printf("# seed %llu fails only behind others that ran in its process\n",
		       (unsigned long long)seed);
		return;
	}
	printf("# seed %llu, %u operations: %s\n", (unsigned long long)seed, count,
	       shared->children[0].what);
	memcpy(what, shared->children[0].what, sizeof(what));
	count = shrink(prop, ops, count, what);
	printf("# shrunk to %u operations:\n", count);
	(void)try(prop, ops, count, 1);
	printf("# %s\n", shared->children[0].what);
	print_ops(prop, ops, count);
	fflush(stdout);
}

/* What one of the children does: every @stride-th seed, until @end or @until. */
static void work(const struct prop *prop, uint64_t seed, uint64_t end, uint64_t stride,
                 uint64_t until)
{
	static struct prop_op ops[PROP_OPS];

	for (; seed < end; seed += stride) {
		uint64_t done = atomic_load_explicit(&mine->done, memory_order_relaxed);

		if (atomic_load_explicit(&shared->stop, memory_order_relaxed) ||
		    (until && seconds_ns() >= until))
			return;
		if (done % 64 == 0)
			alarm(HANG_S);
		atomic_store_explicit(&mine->seed, seed, memory_order_relaxed);
		prop->run(ops, draw(prop, seed, ops));
		atomic_store_explicit(&mine->done, done + 1, memory_order_relaxed);
	}
}

/* Sequences from @seed to @end in @children processes. The seed of one that failed, or 0. */
static uint64_t work_all(const struct prop *prop, uint64_t seed, uint64_t end, uint32_t children,
                         uint64_t until)
{
	pid_t pids[CHILDREN];
	uint64_t bad = 0;

	fflush(NULL);
	for (uint32_t i = 0; i < children; i++) {
		mine = &shared->children[i];
		pids[i] = fork();
		if (!pids[i]) {
			work(prop, seed + i, end, children, until);
			_exit(0);
		}
	}
	for (uint32_t i = 0; i < children; i++) {
		int status;

		if (pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i] && status && !bad) {
			bad = atomic_load(&shared->children[i].seed);
			atomic_store(&shared->stop, 1);
		}
	}
	return bad;
}

static uint64_t number(const char *text, uint64_t otherwise)
{
	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static uint32_t parse(const struct prop *prop, char *text, struct prop_op *ops)
{
	uint32_t count = 0;

	for (char *word = strtok(text, " "); word && count < PROP_OPS; word = strtok(NULL, " ")) {
		char *colon = strchr(word, ':');
		struct prop_op *op = &ops[count];

		if (!colon || sscanf(colon, ":%u:%u:%u", &op->a, &op->b, &op->c) != 3)
			return 0;
		*colon = 0;
		for (op->kind = 0; op->kind < prop->kind_count; op->kind++)
			if (!strcmp(prop->kinds[op->kind].name, word))
				break;
		if (op->kind == prop->kind_count)
			return 0;
		count++;
	}
	return count;
}

/* The sizes of the issue: a million undivided, a tenth in full, as many as there is time for. */
static int run_rung(const struct prop *prop, uint64_t seed, uint64_t count)
{
	const char *how = getenv("WEIR_PROOF");
	uint64_t most = UINT64_MAX - seed, until = 0, done = 0, began = seconds_ns(), bad, took;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t children = 1;

	if (count) {
		most = count;
	} else if (how && (!strcmp(how, "full") || !strcmp(how, "soak"))) {
		most = strcmp(how, "soak") ? 100000 : 1000000;
		children = cpus > CHILDREN ? CHILDREN : cpus > 0 ? (uint32_t)cpus : 1;
	} else {
		until = began + number(getenv("WEIR_PROOF_SECONDS"), 20) * 1000000000u;
	}
	bad = work_all(prop, seed, seed + most, children, until);
	for (uint32_t i = 0; i < children; i++)
		done += atomic_load(&shared->children[i].done);
	took = seconds_ns() - began;
	printf("# seed %llu: %llu sequences in %.1f s, %.0f a second on %u cores\n",
	       (unsigned long long)seed, (unsigned long long)done, (double)took / 1e9,
	       (double)done * 1e9 / (double)took, children);
	if (bad && !count) {
		struct prop_op ops[PROP_OPS];
		uint32_t length = draw(prop, bad, ops);

		report(prop, bad, ops, length);
	} else if (!bad && !count && prop->done) {
		prop->done();
	}
	printf("%sok 1 - %s\n", bad || !done ? "not " : "", prop->promise);
	if (!count)
		printf("# figure %s | sequences | %llu | 1000000\n", prop->rung,
		       (unsigned long long)done);
	printf("1..1\n");
	return bad || !done;
}

int prop_main(int argc, char **argv, const struct prop *prop)
{
	static struct prop_op ops[PROP_OPS];
	uint64_t seed = number(getenv("WEIR_PROOF_SEED"), (uint64_t)time(NULL) * 1000003u);
	uint64_t count = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	if (shared == MAP_FAILED)
		return 1;
	mine = &shared->children[0];
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--ops")) {
			uint32_t n = parse(prop, argv[i + 1], ops);

			if (!n) {
				fprintf(stderr, "not a sequence of this program\n");
				return 2;
			}
			return try(prop, ops, n, 1);
		}
		if (!strcmp(argv[i], "--seed")) {
			uint32_t n;

			seed = number(argv[i + 1], 0);
			n = draw(prop, seed, ops);
			if (!try(prop, ops, n, 0))
				return 0;
			report(prop, seed, ops, n);
			return 1;
		}
		if (!strcmp(argv[i], "--count"))
			count = number(argv[i + 1], 0);
	}
	return run_rung(prop, seed, count);
}
