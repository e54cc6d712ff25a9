/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig.c - see torture.h. The sink knows every byte and the order of what it must get: a record that
 * is lost, doubled, torn or out of order is seen when the next one arrives.
 */
#include "torture.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "api/engine.h"
#include "ring/rseq.h"

#define BASES (sizeof(rig.base) / sizeof(rig.base[0]))

struct rig rig;
uint64_t rig_deadline_ns;
double rig_patience = 30;
const char *rig_doing = "";

void rig_wrong(const char *format, ...)
{
	va_list args;

	if (rig.wrong++)
		return;
	va_start(args, format);
	vsnprintf(rig.why, sizeof(rig.why), format, args);
	va_end(args);
}

/* --- what a record is --- */

void rig_fill(enum lane lane, uint64_t number, void *data, uint32_t size)
{
	uint64_t word = (number * 8 + (uint64_t)lane + 1) * 0x9e3779b97f4a7c15u;
	uint8_t *to = data;

	word ^= word >> 29;
	for (uint32_t i = 0; i < size; i += 8, word = word * 5 + 0x632be59bd9b4e019u)
		memcpy(to + i, &word, size - i < 8 ? size - i : 8);
}

static enum lane lane_of(uint32_t size)
{
	return size == HANDLER_BYTES ? LANE_HANDLER : size == OTHER_BYTES ? LANE_OTHER : LANE_MAIN;
}

static void look(const struct weir_record *record)
{
	enum lane lane = lane_of(record->size);
	uint64_t number = rig.seen[lane]++;
	uint8_t want[RECORD_BYTES_MAX];

	if (lane == LANE_MAIN && record->size != rig.size) {
		rig_wrong("a record of %u bytes where %u were pushed", record->size, rig.size);
		return;
	}
	rig_fill(lane, number, want, record->size);
	if (memcmp(want, record->data, record->size) != 0)
		rig_wrong("record %llu of lane %d is not what must come next",
		          (unsigned long long)number, (int)lane);
	if (lane == LANE_HANDLER) {
		uint64_t base = rig.base[number % BASES], main = rig.seen[LANE_MAIN];

		if (main < base || main > base + rig.slack - rig.strict)
			rig_wrong("a handler's record behind %llu records, pushed behind %llu",
			          (unsigned long long)main, (unsigned long long)base);
	}
}

static int submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct weir_verdict verdict = { .kind = WEIR_DONE };
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;

	(void)self;
	while (weir_batch_next(batch, &iter, &record))
		look(&record);
	weir_batch_complete(batch, &verdict);
	return 0;
}

static int settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self;
	(void)deadline_ns;
	return 0;
}

static void close_sink(struct weir_sink *self)
{
	(void)self;
}

static const struct weir_sink_ops sink_ops = {
	.abi = WEIR_SINK_ABI,
	.name = "torture",
	.submit = submit,
	.settle = settle,
	.close = close_sink,
};

/* --- the engine --- */

static void on_alarm(int number)
{
	static const char text[] = "not ok - it hangs: ";

	(void)number;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	(void)!write(STDOUT_FILENO, rig_doing, strlen(rig_doing));
	(void)!write(STDOUT_FILENO, "\n", 1);
	_exit(1);
}

/* Whoever does not come by here in time is stuck in a push. */
static void watch(void)
{
	struct sigaction action = { .sa_handler = on_alarm };

	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	alarm(rig_patience < 10 ? 20 : 120);
}

void rig_open(const struct start *start, uint64_t ring_bytes, uint64_t threshold)
{
	struct weir_config config;
	struct weir_why why = { "" };

	memset(rig.seen, 0, sizeof(rig.seen));
	for (int lane = 0; lane < LANES; lane++)
		atomic_store(&rig.pushed[lane], 0);
	rig.wrong = 0;
	rig.strict = 0;
	rig.may_cap = 0;
	rig.why[0] = 0;
	rig.sink.ops = &sink_ops;
	watch();
	weir_config_init(&config);
	config.loop = WEIR_LOOP_OWN;
	config.ring_bytes = ring_bytes;
	config.record_max = ring_bytes / 4;
	config.threshold = threshold;
	config.threshold_bytes = WEIR_OFF;
	config.deadline_ns = rig_deadline_ns;
	config.full = WEIR_FULL_FAIL;
	if (start)
		wr_test_start = (struct wr_test_start){ start->count, start->position, start->epoch,
			                                0, 0 };
	if (weir_open(&config, &rig.sink, &rig.weir, &why)) {
		printf("Bail out! no engine: %s\n", why.text);
		exit(1);
	}
	wr_test_start = (struct wr_test_start){ 0, 0, 0, 0, 0 };
}

void rig_push(enum lane lane, int by_put)
{
	uint32_t size = lane == LANE_HANDLER ? HANDLER_BYTES : OTHER_BYTES;
	uint64_t number = atomic_load(&rig.pushed[lane]);
	uint8_t data[OTHER_BYTES];
	int r;

	rig_fill(lane, number, data, size);
	if (lane == LANE_HANDLER)
		rig.base[number % BASES] = atomic_load(&rig.pushed[LANE_MAIN]);
	if (by_put) {
		struct iovec iov[2] = { { data, 11 }, { data + 11, size - 11 } };

		r = weir_pushv(rig.weir, iov, 2);
	} else {
		r = weir_push(rig.weir, data, size);
	}
	if (r)
		rig_wrong("a push of lane %d: %s", (int)lane, strerror(-r));
	else
		atomic_store(&rig.pushed[lane], number + 1);
}

void rig_turn(void)
{
	int r = weir_run_once(rig.weir, 0);

	watch();
	if (r < 0)
		rig_wrong("weir_run_once: %s", strerror(-r));
}

static uint64_t missing(void)
{
	uint64_t n = 0;

	for (int lane = 0; lane < LANES; lane++)
		n += atomic_load(&rig.pushed[lane]) - rig.seen[lane];
	return n;
}

/* Nobody asks for a flush: alarm, threshold and timer must see to it. */
void rig_drain(void)
{
	double until = now() + rig_patience;

	while (missing() && !rig.wrong) {
		int r = weir_run_once(rig.weir, 20000000);

		if (r < 0)
			rig_wrong("weir_run_once: %s", strerror(-r));
		if (now() > until)
			rig_wrong("%llu records do not arrive", (unsigned long long)missing());
	}
}

/* The books, before all has arrived and after. */
static void compare(uint64_t pushed)
{
	struct weir_audit audit = { .size = sizeof(audit) };
	int r = weir_audit(rig.weir, &audit);

	if (r || audit.residual)
		rig_wrong("the identity is off by %lld (%d)", (long long)audit.residual, r);
	if (audit.accepted != pushed)
		rig_wrong("%llu pushed, %llu accepted", (unsigned long long)pushed,
		          (unsigned long long)audit.accepted);
}

int rig_close(void)
{
	struct weir_stats stats = { .size = sizeof(stats) };
	uint64_t all = 0;

	for (int lane = 0; lane < LANES; lane++)
		all += atomic_load(&rig.pushed[lane]);
	compare(all);
	rig_drain();
	compare(all);
	if (weir_stats(rig.weir, &stats) == 0) {
		rig.migrations = stats.migrations;
		rig.capped = stats.aborts_capped;
	}
	if (rig.capped && !rig.may_cap)
		rig_wrong("a push went round and round until it was aborted 64 times");
	if (weir_close(rig.weir, WEIR_SECONDS(rig.wrong ? 1 : 10), NULL))
		rig_wrong("close left something");
	for (int lane = 0; lane < LANES; lane++)
		if (rig.seen[lane] != atomic_load(&rig.pushed[lane]))
			rig_wrong("lane %d: %llu delivered of %llu", lane,
			          (unsigned long long)rig.seen[lane],
			          (unsigned long long)atomic_load(&rig.pushed[lane]));
	weir_free(rig.weir);
	rig.weir = NULL;
	alarm(0);
	return rig.wrong ? -1 : 0;
}

/* --- CPUs and the thread's rseq area --- */

static unsigned cpu_ids[64];
static int cpu_count;

/* The usable ones. The first is where the test begins: it had room for us. */
int cpus_count(void)
{
	unsigned here = (unsigned)sched_getcpu();
	cpu_set_t set;

	if (cpu_count)
		return cpu_count;
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (unsigned i = 0; i < CPU_SETSIZE && cpu_count < 64; i++) {
		unsigned cpu = (here + i) % CPU_SETSIZE;

		if (CPU_ISSET(cpu, &set))
			cpu_ids[cpu_count++] = cpu;
	}
	return cpu_count;
}

int cpus_here(void)
{
	int cpu = sched_getcpu(), n = 0;

	while (n < cpus_count() - 1 && cpu_ids[n] != (unsigned)cpu)
		n++;
	return n;
}

unsigned cpus_id(int n)
{
	return cpu_ids[n % cpus_count()];
}

void cpus_pin(int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < cpus_count(); i++)
		if (n < 0 || i == n % cpus_count())
			CPU_SET(cpus_id(i), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

extern const char __start___rseq_cs[] __attribute__((visibility("hidden")));
extern const char __stop___rseq_cs[] __attribute__((visibility("hidden")));

/* As in the kernel's struct rseq, and its last four bytes, which are nobody's yet. */
struct area {
	uint32_t cpu_id_start, cpu_id;
	uint64_t rseq_cs;
	uint32_t flags, node_id, mm_cid, unused;
};
#define UNUSED 0x5eed5eedu
#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
static int watch_unused;

static volatile struct area *area(void)
{
	return (volatile struct area *)(void *)((char *)__builtin_thread_pointer() +
	                                        wr_rseq_offset);
}

int area_init(void)
{
	if (wr_rseq_detect() != WR_RSEQ_YES)
		return -ENOTSUP;
	watch_unused = getauxval(AT_RSEQ_FEATURE_SIZE) <= offsetof(struct area, unused);
	if (watch_unused)
		area()->unused = UNUSED;
	return 0;
}

void area_check(int pinned)
{
	volatile struct area *at = area();
	uint64_t section = at->rseq_cs;
	unsigned cpu = 0, node = 0;

	if (section && (section < (uint64_t)(uintptr_t)__start___rseq_cs ||
	                section >= (uint64_t)(uintptr_t)__stop___rseq_cs || section % 32))
		rig_wrong("rseq_cs is no section's: %#llx", (unsigned long long)section);
	if (at->flags)
		rig_wrong("rseq flags were written: %#x", at->flags);
	if (watch_unused && at->unused != UNUSED)
		rig_wrong("the unused end of the rseq area was written: %#x", at->unused);
	if (at->cpu_id != at->cpu_id_start)
		rig_wrong("cpu_id %u, cpu_id_start %u", at->cpu_id, at->cpu_id_start);
	if (pinned < 0)
		return;
	if (at->cpu_id != cpus_id(pinned))
		rig_wrong("cpu_id %u on CPU %u", at->cpu_id, cpus_id(pinned));
	if (!watch_unused && getauxval(AT_RSEQ_FEATURE_SIZE) == 0)
		return; /* node_id is not the kernel's there */
	if (syscall(SYS_getcpu, &cpu, &node, NULL) == 0 && cpu == at->cpu_id && node != at->node_id)
		rig_wrong("node_id %u on node %u", at->node_id, node);
}

/* --- how much --- */

enum amount amount(void)
{
	const char *text = getenv("WEIR_PROOF");

	if (text && !strcmp(text, "soak"))
		return SOAK;
	return text && !strcmp(text, "full") ? FULL : SLICE;
}

double amount_seconds(void)
{
	const char *text = getenv("WEIR_PROOF_SECONDS");
	double seconds = text ? atof(text) : 0;

	return seconds > 0 ? seconds : 20;
}

double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}
