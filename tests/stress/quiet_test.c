/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quiet_test.c - what the library asks of the kernel: nothing while idle, and while records come at
 * most one timer and one event per batch. The program runs itself under strace and reads the trace.
 *
 * The traced half marks its phases by writing to descriptor -1, which only the trace shows.
 */
#include "stress.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDLE_SECONDS 3

/* The traced half */

static void mark(const char *text)
{
	ssize_t n = write(-1, text, strlen(text));

	(void)n;
}

static int traced(const char *what)
{
	static struct meter meter;
	struct weir_config config;
	struct weir *weir;

	config_small(&config);
	config.threshold = 10;
	config.deadline_ns = WEIR_MILLIS(300);
	if (strcmp(what, "off") == 0)
		config.timer_mode = WEIR_MODE_OFF;
	if (strcmp(what, "shadow") == 0)
		config.timer_mode = WEIR_MODE_SHADOW;
	meter_init(&meter);
	weir = open_or_die(&config, &meter);
	nap_ns(200000000);
	mark("PHASE warm");
	for (int i = 0; i < 3; i++)
		(void)weir_push(weir, "warm up", 7);
	nap_ns(700000000);
	mark("PHASE three");
	for (int i = 0; i < 3; i++)
		(void)weir_push(weir, "one of three", 12);
	nap_ns(1000000000);
	mark("PHASE threshold");
	for (int i = 0; i < 10; i++)
		(void)weir_push(weir, "one of ten", 10);
	nap_ns(1000000000);
	mark("PHASE idle");
	nap_ns((uint64_t)IDLE_SECONDS * 1000000000u);
	mark("PHASE end");
	(void)weir_close(weir, WEIR_SECONDS(10), NULL);
	weir_free(weir);
	return 0;
}

/* The half that reads the trace */

struct phase {
	char name[32];
	uint64_t timers, events, waits, others;
};

static int read_trace(const char *path, struct phase *phases, int most)
{
	FILE *file = fopen(path, "re");
	char text[1024];
	int n = 0;

	if (!file)
		return -1;
	while (fgets(text, sizeof(text), file)) {
		char *at = strstr(text, "write(-1, \"PHASE ");
		struct phase *phase = n ? &phases[n - 1] : NULL;

		if (at && n < most) {
			memset(&phases[n], 0, sizeof(phases[n]));
			(void)sscanf(at + 17, "%31[a-z]", phases[n].name);
			n++;
		} else if (!phase || strstr(text, "resumed>") || strstr(text, "nanosleep")) {
			continue;
		} else if (strstr(text, "timerfd_settime(")) {
			phase->timers++;
		} else if (strstr(text, "write(")) {
			phase->events++;
		} else if (strstr(text, "epoll_wait") || strstr(text, "epoll_pwait")) {
			phase->waits++;
		} else {
			phase->others++;
			if (getenv("WEIR_STRESS_SHOW"))
				note("%s: %.100s", phase->name, text);
		}
	}
	fclose(file);
	return n;
}

static int trace(const char *self, const char *what, struct phase *phases, int most)
{
	char path[] = "/tmp/weir-quiet-XXXXXX", command[1024];
	int fd = mkstemp(path), n = -1;

	if (fd < 0)
		return -1;
	close(fd);
	snprintf(command, sizeof(command), "strace -f -qq -o %s %s %s >/dev/null 2>&1", path, self,
	         what);
	if (system(command) == 0)
		n = read_trace(path, phases, most);
	unlink(path);
	return n;
}

static const struct phase *find(const struct phase *phases, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(phases[i].name, name) == 0)
			return &phases[i];
	return NULL;
}

static uint64_t all_of(const struct phase *phase)
{
	return phase->timers + phase->events + phase->waits + phase->others;
}

static void read_all(const char *self)
{
	struct phase phases[16];
	const struct phase *phase;
	int n = trace(self, "on", phases, 16);

	if (n <= 0) {
		skip("strace does not work here", "idle: no system call");
		return;
	}
	phase = find(phases, n, "idle");
	ok(phase && !all_of(phase), "idle for %d s: no system call by any thread (%" PRIu64 ")",
	   IDLE_SECONDS, phase ? all_of(phase) : 0);
	phase = find(phases, n, "three");
	ok(phase && phase->timers == 1 && !phase->events,
	   "three records below the threshold: one timer set, no event (%" PRIu64 ", %" PRIu64 ")",
	   phase ? phase->timers : 0, phase ? phase->events : 0);
	phase = find(phases, n, "threshold");
	/* one set by the first record, one cleared when the threshold has sent the batch */
	ok(phase && phase->timers <= 2 && phase->events == 1,
	   "a threshold's worth: one timer set, one event (%" PRIu64 ", %" PRIu64 ")",
	   phase ? phase->timers : 0, phase ? phase->events : 0);
	n = trace(self, "off", phases, 16);
	phase = find(phases, n, "three");
	ok(phase && !phase->timers && !phase->events, "timer_mode=off: no timer is set");
	n = trace(self, "shadow", phases, 16);
	phase = find(phases, n, "three");
	ok(phase && !phase->timers && !phase->events, "timer_mode=shadow: no timer is set");
}

/* Wake-ups by the library's own count, under steady loads */

struct load {
	const char *name;
	uint64_t threshold, deadline_ns, pause_ns;
	int threads, burst, workers;
};

static _Atomic uint32_t running;
static struct weir *loaded;

static void *push_steadily(void *arg)
{
	const struct load *load = arg;

	while (atomic_load(&running)) {
		for (int i = 0; i < load->burst; i++)
			if (weir_push(loaded, "a record of some bytes", 22))
				sched_yield();
		if (load->pause_ns)
			nap_ns(load->pause_ns);
	}
	return NULL;
}

static void wakeups(const struct load *load, double seconds)
{
	static struct meter meter;
	struct weir_features features = { .size = sizeof(features) };
	struct weir_config config;
	struct weir_stats stats;
	pthread_t threads[8];
	uint64_t allowed, stretched;

	weir_features(NULL, &features);
	if (!load->pause_ns && !features.rseq) {
		skip("a preempted push holds up a fallback ring", "%s: wake-ups", load->name);
		return;
	}
	config_small(&config);
	config.ring_bytes = 1 << 20;
	config.threshold = load->threshold;
	config.deadline_ns = load->deadline_ns;
	meter_init(&meter);
	meter.workers = (uint32_t)load->workers;
	meter.caps.max_inflight = 2;
	loaded = open_or_die(&config, &meter);
	atomic_store(&running, 1);
	for (int i = 0; i < load->threads; i++)
		if (pthread_create(&threads[i], NULL, push_steadily, (void *)(uintptr_t)load))
			abort();
	nap_ns((uint64_t)(seconds * 1e9));
	atomic_store(&running, 0);
	for (int i = 0; i < load->threads; i++)
		pthread_join(threads[i], NULL);
	while (stats_of(loaded).pending)
		nap_ns(1000000);
	stats = stats_of(loaded);
	(void)weir_close(loaded, WEIR_SECONDS(30), NULL);
	weir_free(loaded);
	meter_fini(&meter);
	/*
	 * One event more only when twice the threshold gathers between a look of the flusher and
	 * its sleep, or while the first is being written: a checked build stretches both moments,
	 * and each such event is a wake-up as well.
	 */
	stretched = STRESS_TSAN || STRESS_ASAN ? stats.batches / 2 : 0;
	allowed = stats.batches + stats.batches / 100 + 1;
	note("%s: %" PRIu64 " batches, wake-ups: trigger %" PRIu64 ", completion %" PRIu64
	     ", control %" PRIu64 "; timers %" PRIu64 ", events %" PRIu64,
	     load->name, stats.batches, stats.wakeups_trigger, stats.wakeups_completion,
	     stats.wakeups_control, stats.timer_arms, stats.eventfd_writes);
	ok(stats.batches && stats.wakeups_trigger <= allowed + stretched,
	   "%s: at most one trigger wake-up per batch", load->name);
	ok(stats.wakeups_completion <= (load->workers ? stats.batches : 0),
	   "%s: completions wake at most once per batch, and not at all inside submit", load->name);
	ok(stats.eventfd_writes <= allowed + (stretched ? stretched : stats.batches / 10),
	   "%s: at most one event per batch", load->name);
}

/* Three records, a threshold of ten, two seconds: one batch, one timer, one wake-up. */
static void low_volume(void)
{
	static struct meter meter;
	struct weir_config config;
	struct weir_stats stats, before;
	struct weir *weir;
	uint64_t from, took;

	config_small(&config);
	config.threshold = 10;
	config.deadline_ns = WEIR_SECONDS(2);
	meter_init(&meter);
	weir = open_or_die(&config, &meter);
	nap_ns(100000000);
	before = stats_of(weir);
	from = now_ns();
	for (int i = 0; i < 3; i++)
		(void)weir_push(weir, "x", 1);
	(void)wait_count(&meter.delivered, 3, 30);
	took = now_ns() - from;
	stats = stats_of(weir);
	ok(stats.batches == 1 && stats.flushes[WEIR_CAUSE_DEADLINE] == 1 &&
	           took >= WEIR_MILLIS(1999) && took < WEIR_SECONDS(20),
	   "three records go together, at the deadline (%" PRIu64 " ms)", took / 1000000);
	ok(stats.timer_arms - before.timer_arms == 1 && stats.wakeups_trigger == 1 &&
	           stats.eventfd_writes == before.eventfd_writes,
	   "by one timer and one wake-up (%" PRIu64 ", %" PRIu64 ")",
	   stats.timer_arms - before.timer_arms, stats.wakeups_trigger);
	for (int i = 0; i < 10; i++)
		(void)weir_push(weir, "x", 1);
	ok(wait_count(&meter.delivered, 13, 1) && stats_of(weir).flushes[WEIR_CAUSE_SIZE] == 1,
	   "ten go at once");
	(void)weir_close(weir, WEIR_SECONDS(10), NULL);
	weir_free(weir);
	meter_fini(&meter);
}

/* Without a timer records go at the end only; a shadow counts what it would have done. */
static void without_timer(uint32_t mode)
{
	static struct meter meter;
	struct weir_config config;
	struct weir_stats stats;
	struct weir *weir;

	config_small(&config);
	config.threshold = 1000;
	config.deadline_ns = WEIR_MILLIS(10);
	config.timer_mode = mode;
	meter_init(&meter);
	weir = open_or_die(&config, &meter);
	for (int i = 0; i < 3; i++)
		(void)weir_push(weir, "x", 1);
	nap_ns(200000000);
	stats = stats_of(weir);
	ok(!atomic_load(&meter.delivered) && stats.pending == 3 && !stats.timer_arms,
	   "timer_mode=%s: records stay", mode == WEIR_MODE_OFF ? "off" : "shadow");
	(void)weir_close(weir, WEIR_SECONDS(10), NULL);
	stats = stats_of(weir);
	ok(atomic_load(&meter.delivered) == 3 && stats.flushes[WEIR_CAUSE_SHUTDOWN] == 1 &&
	           stats.shadow[WEIR_CAUSE_DEADLINE] == (mode == WEIR_MODE_SHADOW),
	   "timer_mode=%s: they go at the end (shadow %" PRIu64 ")",
	   mode == WEIR_MODE_OFF ? "off" : "shadow", stats.shadow[WEIR_CAUSE_DEADLINE]);
	weir_free(weir);
	meter_fini(&meter);
}

int main(int argc, char **argv)
{
	static const struct load loads[] = {
		{ "1 thread, threshold 100", 100, WEIR_MILLIS(50), 100000, 1, 10, 0 },
		{ "2 threads, threshold 1", 1, WEIR_MILLIS(50), 200000, 2, 1, 0 },
		{ "2 threads, threshold 4096, full speed", 4096, WEIR_MILLIS(50), 0, 2, 1000, 0 },
		{ "4 threads, deadline 1 ms", 100000, WEIR_MILLIS(1), 50000, 4, 3, 0 },
		{ "2 threads, threshold 64, completed elsewhere", 64, WEIR_MILLIS(5), 100000, 2, 8,
		  1 },
		{ "1 thread, a record every 3 ms", 1000, WEIR_MILLIS(1), 3000000, 1, 1, 1 },
	};
	size_t n = sizeof(loads) / sizeof(loads[0]);
	char self[512];
	ssize_t length;

	if (argc > 1)
		return traced(argv[1]);
	(void)stress_seed();
	length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[length < 0 ? 0 : length] = 0;
	if (STRESS_ASAN || STRESS_TSAN || stress_is_slow())
		skip("a checked build makes calls of its own", "idle: no system call");
	else if (system("strace -V >/dev/null 2>&1"))
		skip("no strace (package strace)", "idle: no system call");
	else
		read_all(self);
	low_volume();
	without_timer(WEIR_MODE_OFF);
	without_timer(WEIR_MODE_SHADOW);
	for (size_t i = 0; i < n; i++)
		wakeups(&loads[i], stress_seconds() / (double)n);
	return done();
}
