/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life_test.c - engines come and go: thousands one after the other, 64 at once, failures at each step
 * of opening, every byte given back, a host with or without jemalloc. Descriptors, threads and memory
 * are as before.
 */
#include "stress.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static void push_some(struct weir *weir, int n)
{
	for (int i = 0; i < n; i++)
		(void)weir_push(weir, "a record", 8);
}

static int round_trip(int records)
{
	static struct meter meter;
	struct weir_config config;
	struct weir *weir;
	int good;

	config_small(&config);
	meter_init(&meter);
	weir = open_or_die(&config, &meter);
	push_some(weir, records);
	good = weir_source(weir, "a name") == 1;
	good &= weir_close(weir, WEIR_SECONDS(30), NULL) == 0;
	good &= atomic_load(&meter.delivered) == (uint64_t)records;
	good &= weir_free(weir) == 0;
	meter_fini(&meter);
	return good;
}

static void again_and_again(uint64_t rounds)
{
	int fds, tasks, good = 1;
	long early, late;

	for (int i = 0; i < 50; i++)
		good &= round_trip(100);
	fds = count_entries("/proc/self/fd");
	tasks = count_entries("/proc/self/task");
	early = resident_kib();
	for (uint64_t i = 0; i < rounds; i++)
		good &= round_trip((int)(i % 200));
	late = resident_kib();
	note("%" PRIu64 " rounds; resident %ld KiB, then %ld KiB", rounds, early, late);
	ok(good, "open, push, close, free, %" PRIu64 " times", rounds);
	ok(count_entries("/proc/self/fd") == fds, "descriptors are as before");
	ok(count_entries("/proc/self/task") == tasks, "threads are as before");
	if (STRESS_ASAN || STRESS_TSAN || stress_is_slow())
		skip("a checked build keeps freed memory", "memory is as before");
	else
		ok(late - early < 1024, "memory is as before (%ld KiB more)", late - early);
}

static void many_at_once(void)
{
	static struct meter meters[65];
	struct weir *weirs[65];
	struct weir_config config;
	struct weir_why why;
	struct weir *one_more = NULL;
	int fds = count_entries("/proc/self/fd"), good = 1, r;

	config_small(&config);
	config.ring_bytes = 65536;
	config.record_max = 16384;
	for (int i = 0; i < 64; i++) {
		meter_init(&meters[i]);
		weirs[i] = open_or_die(&config, &meters[i]);
	}
	meter_init(&meters[64]);
	r = weir_open(&config, &meters[64].sink, &one_more, &why);
	ok(r == -EMFILE && !one_more && why.text[0], "the 65th engine: -EMFILE (%d: %s)", r, why.text);
	/* One thread pushes to all of them in turn. */
	for (int n = 0; n < 50; n++)
		for (int i = 0; i < 64; i++)
			good &= weir_push(weirs[i], "to all", 6) == 0;
	for (int i = 0; i < 64; i++) {
		good &= weir_close(weirs[i], WEIR_SECONDS(60), NULL) == 0;
		good &= atomic_load(&meters[i].delivered) == 50;
	}
	ok(good, "64 engines at once, pushed to by the same thread");
	for (int i = 0; i < 64; i++)
		weir_free(weirs[i]);
	ok(count_entries("/proc/self/fd") == fds, "64 engines: descriptors are as before");
	weirs[0] = open_or_die(&config, &meters[64]);
	ok(weir_close(weirs[0], WEIR_SECONDS(10), NULL) == 0 && weir_free(weirs[0]) == 0,
	   "and then another one");
	for (int i = 0; i < 65; i++)
		meter_fini(&meters[i]);
}

/* Several engines, the same threads. */
struct pair {
	struct weir *a, *b;
	struct pusher *pusher[2];
	pthread_t thread;
};

static struct ledger ledgers[2];

static void look_a(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledgers[0], record);
}

static void look_b(struct meter *meter, const struct weir_record *record)
{
	(void)meter;
	ledger_in_order(&ledgers[1], record);
}

static void *push_both(void *arg)
{
	struct pair *pair = arg;

	for (int i = 0; i < 20000; i++) {
		int which = (int)below(&pair->pusher[0]->rng, 2);

		if (push_ticket(which ? pair->b : pair->a, pair->pusher[which], 0,
		                sizeof(struct ticket) + below(&pair->pusher[0]->rng, 100), NULL))
			nap_ns(50000);
	}
	return NULL;
}

static void two_engines(void)
{
	static struct meter a, b;
	struct weir_config config;
	struct pair pairs[4];
	struct tally sum[2] = { { 0 } };
	unsigned wrong = 0;

	config_small(&config);
	meter_init(&a);
	meter_init(&b);
	a.record = look_a;
	b.record = look_b;
	ledger_init(&ledgers[0]);
	ledger_init(&ledgers[1]);
	pairs[0].a = open_or_die(&config, &a);
	config.order = WEIR_ORDER_THREAD;
	pairs[0].b = open_or_die(&config, &b);
	for (uint32_t i = 0; i < 4; i++) {
		pairs[i].a = pairs[0].a;
		pairs[i].b = pairs[0].b;
		for (int k = 0; k < 2; k++) {
			pairs[i].pusher[k] = calloc(1, sizeof(struct pusher));
			pairs[i].pusher[k]->id = i;
			pairs[i].pusher[k]->rng = stress_seed() + i;
		}
		if (pthread_create(&pairs[i].thread, NULL, push_both, &pairs[i]))
			abort();
	}
	for (uint32_t i = 0; i < 4; i++) {
		pthread_join(pairs[i].thread, NULL);
		for (int k = 0; k < 2; k++) {
			tally_sum(&sum[k], &pairs[i].pusher[k]->tally[0]);
			free(pairs[i].pusher[k]);
		}
	}
	(void)weir_close(pairs[0].b, WEIR_SECONDS(30), NULL);
	(void)weir_close(pairs[0].a, WEIR_SECONDS(30), NULL);
	wrong |= identity(pairs[0].a, &sum[0], &a, 0, 1);
	wrong |= identity(pairs[0].b, &sum[1], &b, 0, 1);
	ok(!wrong, "two engines, the same threads: both identities hold");
	ok(!atomic_load(&ledgers[0].misordered) && !atomic_load(&ledgers[1].misordered),
	   "two engines, the same threads: order in both");
	weir_free(pairs[0].a);
	weir_free(pairs[0].b);
	meter_fini(&a);
	meter_fini(&b);
}

/* An allocator that counts, and fails when told to. */
static _Atomic int64_t outstanding, outstanding_bytes;
static _Atomic uint64_t allocations, fail_at;
static int allocator_arg;
static _Atomic uint64_t wrong_free;

struct block {
	size_t bytes;
	uint64_t magic;
};

static void *count_alloc(void *arg, size_t bytes)
{
	struct block *block;

	if (arg != &allocator_arg)
		abort();
	if (atomic_fetch_add(&allocations, 1) + 1 == atomic_load(&fail_at))
		return NULL;
	block = malloc(sizeof(*block) + bytes);
	if (!block)
		return NULL;
	block->bytes = bytes;
	block->magic = 0x5765697257656972;
	memset(block + 1, 0xa5, bytes);
	atomic_fetch_add(&outstanding, 1);
	atomic_fetch_add(&outstanding_bytes, (int64_t)bytes);
	return block + 1;
}

static void count_free(void *arg, void *memory, size_t bytes)
{
	struct block *block = (struct block *)memory - 1;

	(void)arg;
	if (block->bytes != bytes || block->magic != 0x5765697257656972)
		atomic_fetch_add(&wrong_free, 1);
	atomic_fetch_sub(&outstanding, 1);
	atomic_fetch_sub(&outstanding_bytes, (int64_t)bytes);
	block->magic = 0;
	free(block);
}

static void decide_any(struct meter *meter, const struct weir_batch *batch,
                       struct weir_verdict *verdict, uint64_t *rng)
{
	(void)meter;
	verdict->kind = (uint32_t)below(rng, 4);
	verdict->partial = WEIR_PARTIAL_RECORDS;
	verdict->records = batch->records / 2;
}

static void given_back(void)
{
	static struct meter meter;
	struct weir_config config;
	uint64_t used, opened = 0, failed = 0, leaked = 0;

	for (uint64_t at = 0; at < 60; at++) {
		struct weir *weir = NULL;
		int r;

		config_small(&config);
		config.allocator = (struct weir_allocator){ count_alloc, count_free, &allocator_arg };
		config.max_batch_records = 50;
		atomic_store(&allocations, 0);
		atomic_store(&fail_at, at);
		meter_init(&meter);
		meter.decide = decide_any;
		r = weir_open(&config, &meter.sink, &weir, NULL);
		if (r == 0) {
			opened++;
			for (int i = 0; i < 20; i++) {
				char name[16];

				snprintf(name, sizeof(name), "source-%d", i);
				(void)weir_source(weir, name);
			}
			push_some(weir, 500);
			(void)weir_close(weir, WEIR_SECONDS(30), NULL);
			weir_free(weir);
		} else {
			failed += r == -ENOMEM;
		}
		leaked += atomic_load(&outstanding) != 0;
		used = atomic_load(&allocations);
		meter_fini(&meter);
	}
	note("allocator: %" PRIu64 " engines opened, %" PRIu64 " failed, %" PRIu64
	     " allocations at last",
	     opened, failed, used);
	ok(!leaked && !atomic_load(&outstanding_bytes), "the host's allocator gets everything back");
	ok(!atomic_load(&wrong_free), "and is told the sizes it was asked for");
	ok(opened && failed && opened + failed == 60, "no memory at any step: -ENOMEM, or it goes on");
}

static int refuse(struct meter *meter)
{
	(void)meter;
	return -EACCES;
}

static void fails_to_open(void)
{
	static struct meter meter;
	struct weir_config config;
	struct weir_why why;
	struct weir *weir = NULL;
	int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task"), r, next;
	struct rlimit before, low;
	uint64_t failures = 0, untidy = 0;

	config_small(&config);
	meter_init(&meter);
	meter.start = refuse;
	r = weir_open(&config, &meter.sink, &weir, &why);
	ok(r == -EACCES && !weir && why.text[0] && !atomic_load(&meter.closed),
	   "a sink that does not start: its answer, a reason, and it is still the caller's");
	getrlimit(RLIMIT_NOFILE, &before);
	next = dup(0);
	close(next);
	for (rlim_t more = 0; more < 14; more++) {
		low = before;
		low.rlim_cur = (rlim_t)next + more;
		setrlimit(RLIMIT_NOFILE, &low);
		meter_init(&meter);
		r = weir_open(&config, &meter.sink, &weir, &why);
		setrlimit(RLIMIT_NOFILE, &before);
		if (r == 0) {
			weir_close(weir, WEIR_SECONDS(10), NULL);
			weir_free(weir);
		} else {
			failures += r == -EMFILE && why.text[0];
			untidy += r != -EMFILE;
		}
		untidy += count_entries("/proc/self/fd") != fds;
		meter_fini(&meter);
	}
	note("descriptors: %" PRIu64 " failures, %" PRIu64 " untidy, the last: %d %s", failures, untidy, r,
	     why.text);
	ok(failures >= 5 && !untidy, "no descriptor at any step: -EMFILE and nothing stays open");
	ok(count_entries("/proc/self/task") == tasks, "failures to open leave no thread");
	ok(round_trip(10), "afterwards all is well");
}

/* Little address space: opening or pushing answers -ENOMEM, and nothing breaks. */
static int little_space(void *arg)
{
	static struct meter meter;
	struct rlimit limit;
	struct weir_config config;
	struct weir *weir = NULL;
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;
	int outcomes = 0;

	(void)arg;
	if (!file || fscanf(file, "%ld", &pages) != 1)
		return 1;
	fclose(file);
	for (uint64_t more = 0; more < 40; more++) {
		int r;

		limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
		getrlimit(RLIMIT_AS, &limit);
		limit.rlim_cur = (rlim_t)pages * 4096 + more * more * 32768;
		setrlimit(RLIMIT_AS, &limit);
		config_small(&config);
		meter_init(&meter);
		r = weir_open(&config, &meter.sink, &weir, NULL);
		if (r == 0) {
			r = weir_push(weir, "x", 1);
			if (r && r != -ENOMEM)
				return 2;
			weir_close(weir, WEIR_SECONDS(10), NULL);
			weir_free(weir);
			outcomes |= 1;
		} else if (r == -ENOMEM || r == -EAGAIN) {
			outcomes |= 2;
		} else {
			return 3;
		}
		meter_fini(&meter);
	}
	return outcomes == 3 ? 0 : 4;
}

/* Whatever malloc this process has, the library must get on with it. */
static void allocator_of_the_host(void)
{
	int jemalloc = dlsym(RTLD_DEFAULT, "mallocx") != NULL;
	struct weir_features features = { .size = sizeof(features) };

	weir_features(NULL, &features);
	ok((int)features.jemalloc == jemalloc && round_trip(1000), "a host %s jemalloc",
	   jemalloc ? "with" : "without");
}

int main(void)
{
	double rounds = stress_seconds() * 170;

	(void)stress_seed();
	if (stress_is_slow() || STRESS_TSAN)
		rounds /= 10;
	allocator_of_the_host();
	again_and_again(rounds < 50 ? 50 : (uint64_t)rounds);
	many_at_once();
	two_engines();
	given_back();
	fails_to_open();
	if (STRESS_ASAN || STRESS_TSAN || stress_is_slow()) {
		skip("a checked build needs all of it", "little address space: -ENOMEM");
	} else {
		int r = in_child(little_space, NULL, 60);

		ok(!r, "little address space: -ENOMEM (%d)", r);
	}
	return done();
}
