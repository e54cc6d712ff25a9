/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nth.c - fails the Nth call of each kind, for every N, in every phase of an engine's life, once
 * and for ever, and looks at what is left: the identity, the log, memory, maps, descriptors,
 * threads, and what the caller was told.
 *
 * A life: open (sink, engine), first push (its ring is made by it), flush, rotation, close, then
 * recovery (the log is opened and written on), and reading. One phase is armed, and healed when it
 * is over: from then on all must work. N goes up until the phase passes without reaching it.
 *
 *     nth                all, or as long as WEIR_PROOF_SECONDS says in a slice
 *     nth --short yes    the first failure alone, two cases of each row; for mutants
 *     nth --only TEXT    cases whose name contains TEXT, one line each
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weir/log.h>
#include <weir/weir.h>

#include "nth/fault.h"
#include "ring/rseq.h"
#include "ring/thread.h"

#define RECORDS 256
#define FLUSH_NS UINT64_C(400000000)       /* while something fails */
#define HEALED_NS UINT64_C(1000000000000) /* when nothing does: 10 s of real time */
#define HANG_S 30

enum phase { OPEN, PUSH, FLUSH, ROTATE, CLOSE, FREE, RECOVER, READ, PHASES, NONE };
static const char *const phase_names[] = { "open", "first push", "flush", "rotation", "close",
	                                   "free", "recovery", "reading" };

/* What is built: how records get in, who flushes, where they go. */
static const struct scenario {
	const char *name;
	int rseq, own_loop, fresh;
	const char *sink; /* options of file:DIR; "own": a sink in here; "fd" */
	int keeps_all;    /* the log keeps all of it */
} scenarios[] = {
	{ "sections, a thread, sync=batch", 1, 0, 0, "sync=batch&segment=4KiB", 1 },
	{ "fallback, a thread, recycled segments", 0, 0, 0,
	  "sync=batch&segment=4KiB&max_bytes=12KiB", 0 },
	{ "fallback, own loop, sync=interval", 0, 1, 0, "sync=interval&interval=50ms&segment=8KiB",
	  1 },
	{ "sections, own loop, verdicts", 1, 1, 0, "own", 1 },
	{ "fallback, a thread, a descriptor", 0, 0, 0, "fd", 1 },
	{ "the first engine of a process", 1, 1, 1, "own", 1 },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* How each call fails. The first is tried everywhere, the others where there is time. */
static const int errors[N_CALLS][3] = {
	[N_NOW] = { 1 }, [N_WALL] = { 1 }, [N_RANDOM] = { 1 },
	[N_TIMER_OPEN] = { -EMFILE }, [N_TIMER_SET] = { -EINVAL }, [N_EVENT_OPEN] = { -EMFILE },
	[N_EVENT_WRITE] = { -EIO }, [N_POLL_OPEN] = { -ENFILE }, [N_POLL_CTL] = { -ENOSPC },
	[N_POLL_WAIT] = { -EINTR }, [N_FUTEX_WAIT] = { -EINTR }, [N_FUTEX_WAKE] = { -EFAULT },
	[N_MEMBARRIER] = { -EPERM }, [N_OPENAT] = { -EMFILE, -EACCES, -ENOSPC },
	[N_CLOSE] = { -EIO }, [N_WRITEV] = { -ENOSPC, -EIO, 1 }, [N_PREAD] = { -EIO },
	[N_FDATASYNC] = { -EIO, -EINTR }, [N_FSYNC] = { -EIO }, [N_FTRUNCATE] = { -EIO },
	[N_FSTAT] = { -EIO }, [N_UNLINKAT] = { -EROFS }, [N_RENAME] = { -EIO },
	[N_MKDIRAT] = { -ENOSPC, -EACCES }, [N_LOCK] = { -ENOLCK, -EBUSY }, [N_LIST] = { -EIO },
	[N_SEEK_DATA] = { -EINVAL }, [N_ALLOC] = { -ENOMEM }, [N_CALLOC] = { -ENOMEM },
	[N_HASH] = { -ENOMEM }, [N_MMAP] = { -ENOMEM }, [N_MUNMAP] = { -ENOMEM },
	[N_MADVISE] = { -EINVAL }, [N_MEMFD] = { -EMFILE }, [N_RING_FTRUNCATE] = { -ENOSPC },
	[N_THREAD] = { -EAGAIN }, [N_AFFINITY] = { -EPERM }, [N_SYSCONF] = { -EINVAL },
	[N_OPEN] = { -ENOENT }, [N_READ] = { -EIO }, [N_REGISTER] = { -ENOSYS },
	[N_PRCTL] = { -EINVAL }, [N_DUP] = { -EMFILE },
};

/* Lives wait more than they work: some go on at once, each process with every third row. */
#define WORKERS 3
#define AGAIN 3 /* times that a case may seem stuck: who had no CPU for 50 ms seems so, too */
#define FAILED 99 /* a process has told of its failure */
#define SEEMS_STUCK 98

struct shared {
	struct worker {
		_Atomic uint64_t row, nth; /* where its successor goes on, should it die */
		_Atomic uint32_t done, again;
		char name[256]; /* of the case under way */
		uint64_t left_out;
	} workers[WORKERS];
	_Atomic uint64_t cases, faults, hits[N_CALLS][PHASES];
	_Atomic uint32_t failures;
	uint8_t goes_on[16384]; /* row: its second case reached the failure */
	char first[8][512]; /* what failed */
};
static struct shared *shared;
static struct worker *mine;
static uint32_t worker;
static const char *only;
static int briefly;
static uint64_t until_ns; /* for what a slice may leave out: all but the first two of a row */
static int bounded;

/* One life. */
static struct life {
	const struct scenario *scenario;
	enum phase armed;
	enum fault_call call;
	int error, forever;
	uint64_t nth, hits;
	int weir_is_armed; /* the armed phase was one of this engine's */
	char dir[64], stream[80];
	struct weir_config config;
	struct weir_sink *sink, own;
	struct weir *weir;
	uint8_t accepted[RECORDS], delivered[RECORDS], logged[RECORDS];
	uint32_t pushed; /* ids used */
	uint32_t accepts; /* in this engine */
	uint64_t delivered_all, own_delivered;
	int verdicts; /* own sink: so many odd verdicts are still to come */
	int64_t pieces, mapped;
	unsigned descriptors, threads;
} life;

static uint64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static __attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...)
{
	uint32_t n = atomic_fetch_add(&shared->failures, 1);
	char what[320];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (n < 8)
		snprintf(shared->first[n], sizeof(shared->first[n]), "%.180s: %.300s", mine->name,
		         what);
	fflush(NULL);
	_exit(FAILED);
}

#define CHECK(x, ...) \
	do { \
		if (!(x)) \
			fail(__VA_ARGS__); \
	} while (0)

static unsigned count_entries(const char *path)
{
	static char buffer[16384];
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
	unsigned n = 0;
	ssize_t got;

	while ((got = getdents64(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < got; n++)
			at += ((struct dirent64 *)(void *)(buffer + at))->d_reclen;
	close(fd);
	return n;
}

/* Memory of the embedder. */
static void *take(void *arg, size_t bytes)
{
	void *memory;

	(void)arg;
	if (fault(N_ALLOC))
		return NULL;
	memory = malloc(bytes ? bytes : 1);
	fault_piece(memory != NULL);
	return memory;
}

static void give(void *arg, void *memory, size_t bytes)
{
	(void)arg, (void)bytes;
	free(memory); /* counts itself out */
}

/* A sink in here: remembers ids, gives odd verdicts at first. */
static uint32_t id_of(const struct weir_record *record)
{
	uint32_t id;

	memcpy(&id, record->data, sizeof(id));
	CHECK(id < RECORDS && life.accepted[id] != 2, "a record that was never pushed");
	return id;
}

static int own_submit(struct weir_sink *self, struct weir_batch *batch)
{
	struct weir_verdict verdict = { .kind = WEIR_DONE };
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;
	uint64_t bits[RECORDS / 64] = { 0 }, i = 0;

	(void)self;
	if (life.verdicts && life.verdicts-- % 3 == 0)
		verdict.kind = WEIR_SPLIT;
	else if (life.verdicts && life.verdicts % 3 == 1 && batch->records <= RECORDS)
		verdict = (struct weir_verdict){ .kind = WEIR_PARTIAL,
			                         .partial = WEIR_PARTIAL_BITMAP,
			                         .bitmap = bits };
	for (; weir_batch_next(batch, &iter, &record); i++) {
		uint32_t id = id_of(&record);

		bits[i / 64] |= (i % 3 != 0 ? UINT64_C(1) : 0) << i % 64;
		if (verdict.kind == WEIR_SPLIT ||
		    (verdict.kind == WEIR_PARTIAL && !(bits[i / 64] >> i % 64 & 1)))
			continue;
		/* Without memory for the bits all of the batch comes again: at least once, then. */
		if (!life.delivered[id])
			life.own_delivered++;
		else
			CHECK(batch->attempt > 1, "record %u was delivered twice", id);
		life.delivered[id]++;
	}
	weir_batch_complete(batch, &verdict);
	return 0;
}

static int own_settle(struct weir_sink *self, uint64_t deadline_ns)
{
	(void)self, (void)deadline_ns;
	return 0;
}

static void own_close(struct weir_sink *self)
{
	(void)self;
}

static const struct weir_sink_ops own_ops = { .abi = WEIR_SINK_ABI,
	                                      .name = "own",
	                                      .submit = own_submit,
	                                      .settle = own_settle,
	                                      .close = own_close };

static void arm(enum phase phase)
{
	if (phase == life.armed)
		fault_arm(life.call, life.nth, life.forever, life.error);
	else
		fault_count();
}

static void heal(enum phase phase)
{
	if (phase != life.armed)
		return;
	life.hits = fault_lift();
	life.weir_is_armed = 1;
}

/* The words of a failure: a code of Linux, and a sentence that a person can use. */
static void check_why(const char *what, int r, const struct weir_why *why)
{
	size_t length = strnlen(why->text, sizeof(why->text));

	CHECK(r < 0 && r > -4096, "%s answered %d", what, r);
	CHECK(length >= 12 && length < sizeof(why->text), "%s said \"%s\"", what, why->text);
	CHECK(!strstr(why->text, "(null)") && !strchr(why->text, '\n'), "%s said \"%s\"", what,
	      why->text);
	if (life.call < N_TABLE || life.call == N_ALLOC || life.call == N_CALLOC) {
		/* The code is that of the call, or the one that the header names for its kind. */
		CHECK(r == life.error || r == -EMFILE || r == -ENOMEM || r == -EIO,
		      "%s answered %d (\"%s\") to an error of %d", what, r, why->text, life.error);
	}
}

static int open_sink(struct weir_why *why)
{
	char uri[200];
	int r, fd;

	if (!strcmp(life.scenario->sink, "own")) {
		life.own = (struct weir_sink){ .ops = &own_ops };
		life.sink = &life.own;
		return 0;
	}
	if (strcmp(life.scenario->sink, "fd")) {
		snprintf(uri, sizeof(uri), "file:%s?%s", life.dir, life.scenario->sink);
		r = weir_sink_open(uri, &life.sink, why);
		if (r && life.call != N_CALLOC)
			CHECK(strstr(why->text, life.dir), "weir_sink_open said \"%s\": which log?",
			      why->text);
		return r;
	}
	fd = openat(AT_FDCWD, life.stream, O_WRONLY | O_CREAT | O_APPEND, 0600);
	snprintf(uri, sizeof(uri), "fd:%d?frame=lines", fd);
	r = weir_sink_open(uri, &life.sink, why);
	close(fd);
	return r;
}

static int open_engine(void)
{
	struct weir_why why = { "" };
	int r = open_sink(&why);

	if (r) {
		check_why("weir_sink_open", r, &why);
		return r;
	}
	wr_rseq_force(life.scenario->rseq ? WR_RSEQ_UNKNOWN : WR_RSEQ_FORCED_OFF);
	r = weir_open(&life.config, life.sink, &life.weir, &why);
	life.accepts = 0;
	life.weir_is_armed = 0;
	life.own_delivered = 0;
	if (!r)
		return 0;
	check_why("weir_open", r, &why);
	life.sink->ops->close(life.sink);
	return r;
}

static int push(uint32_t bytes)
{
	static uint8_t data[4096];
	uint32_t id = life.pushed;
	int r;

	CHECK(id < RECORDS, "too many records");
	/* A line of its own for the stream: no line feed within. */
	memset(data, 'a' + (int)(id % 26), sizeof(data));
	memcpy(data, &id, sizeof(id));
	for (int i = 0; i < 4 && !strcmp(life.scenario->sink, "fd"); i++)
		data[i] = (uint8_t)('A' + (id >> 4 * i & 15));
	life.accepted[id] = 1;
	r = weir_push(life.weir, data, bytes);
	if (r)
		life.accepted[id] = 2;
	else
		life.accepts++;
	life.pushed++;
	return r;
}

static void check_identity(void)
{
	struct weir_stats stats = { .size = sizeof(stats) };
	struct weir_audit audit = { .size = sizeof(audit) };

	CHECK(weir_stats(life.weir, &stats) == 0, "weir_stats");
	CHECK(weir_audit(life.weir, &audit) == 0, "weir_audit");
	CHECK(audit.residual == 0, "the residual is %lld", (long long)audit.residual);
	CHECK(audit.accepted == life.accepts, "accepted %llu, pushed %u",
	      (unsigned long long)audit.accepted, life.accepts);
	CHECK(stats.accepted == life.accepts, "accepted %llu, pushed %u",
	      (unsigned long long)stats.accepted, life.accepts);
}

static void phase_open(void)
{
	int r;
	struct weir_features features = { .size = sizeof(features) };

	arm(OPEN);
	CHECK(weir_features(NULL, &features) == 0 && features.cpus_possible, "weir_features");
	r = open_engine();
	heal(OPEN);
	if (!r)
		return;
	CHECK(life.hits && life.armed == OPEN, "opening failed by itself: %d", r);
	r = open_engine();
	CHECK(!r, "opening fails with %d when all is well again", r);
}

static void phase_push(void)
{
	int r;

	/* To a ring that nobody has made: of a CPU that is none, without a section. */
	wr_thread.cpu = 77;
	wr_thread.cpu_left = 1000000;
	wr_thread.stay = 4;
	arm(PUSH);
	r = push(20);
	heal(PUSH);
	if (r) {
		CHECK(life.hits && life.armed == PUSH, "a push failed by itself: %d", r);
		CHECK(r == -ENOMEM || r == -EMFILE, "a push answered %d", r);
	}
	r = push(20);
	CHECK(r == 0, "a push answers %d when all is well again", r);
}

/* A descriptor that answers EIO is broken for good, and so is the sink: close says so. */
static int is_broken(void)
{
	return life.hits && !strcmp(life.scenario->sink, "fd") && life.call == N_WRITEV &&
	       life.error == -EIO && life.weir_is_armed;
}

/* How long a flush may take: as long as it wants to, but for one that cannot succeed. */
static uint64_t bound(enum phase phase)
{
	return phase == life.armed || is_broken() ? FLUSH_NS / 4 : HEALED_NS;
}

static void flush_healed(const char *when)
{
	int r = weir_flush_wait(life.weir, bound(NONE));

	CHECK(r == 0 || (r == -ETIMEDOUT && is_broken()), "a flush %s answers %d when all is well again", when, r);
	check_identity();
}

static void phase_flush(void)
{
	life.verdicts = 5;
	arm(FLUSH);
	for (int i = 0; i < 20; i++)
		(void)push(16 + (uint32_t)i * 3);
	(void)weir_flush_wait(life.weir, bound(FLUSH));
	heal(FLUSH);
	flush_healed("later");
}

static void phase_rotate(void)
{
	arm(ROTATE);
	for (int i = 0; i < 7; i++) {
		(void)push(1500 - 150 * (uint32_t)i);
		(void)push(100);
		(void)weir_flush_wait(life.weir, bound(ROTATE));
	}
	heal(ROTATE);
	flush_healed("after the rotation");
}

static void remove_all(void)
{
	DIR *dir = opendir(life.dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	(void)rmdir(life.dir);
	(void)unlink(life.stream);
}

static void end_engine(enum phase phase)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct weir_stats stats = { .size = sizeof(stats) };
	uint64_t dropped, ended;
	int r;

	for (int i = 0; i < 3; i++)
		(void)push(40);
	arm(phase);
	r = weir_close(life.weir, life.armed == phase ? 20 * FLUSH_NS : HEALED_NS, &report);
	heal(phase);
	CHECK(r == 0 || (life.hits && (r == -ETIMEDOUT || r == -EPIPE)), "close answered %d", r);
	if (report.descriptors_kept && life.forever &&
	    (life.call == N_EVENT_WRITE || life.call == N_POLL_WAIT)) {
		/* The flusher cannot be woken: it is left behind, and the caller is told. */
		CHECK(r == -ETIMEDOUT && report.timed_out, "close answered %d", r);
		remove_all();
		_exit(42);
	}
	if (report.sink_stuck || report.threads_stuck || report.descriptors_kept) {
		if (report.timed_out && atomic_fetch_add(&mine->again, 1) < AGAIN) {
			remove_all();
			_exit(SEEMS_STUCK);
		}
		fail("close left something behind");
	}
	check_identity();
	CHECK(weir_stats(life.weir, &stats) == 0, "weir_stats");
	dropped = stats.dropped_rejected + stats.dropped_timeout + stats.dropped_too_large +
	          stats.dropped_fatal + stats.dropped_shutdown;
	ended = stats.delivered + dropped;
	CHECK(stats.pending == 0 && ended == life.accepts, "%u accepted, %llu ended, %llu pending",
	      life.accepts, (unsigned long long)ended, (unsigned long long)stats.pending);
	if (is_broken() && r)
		CHECK(r == -EPIPE && strlen(report.trouble.text) > 11, "close answered %d (\"%s\")",
		      r, report.trouble.text);
	CHECK(report.left == dropped, "%llu dropped, %llu in the report",
	      (unsigned long long)dropped, (unsigned long long)report.left);
	CHECK(r == 0 ? !dropped : 1, "close answered 0 and has dropped %llu",
	      (unsigned long long)dropped);
	life.delivered_all += stats.delivered;
	if (!strcmp(life.scenario->sink, "own"))
		CHECK(life.own_delivered == stats.delivered, "the sink has %llu, and delivered %llu",
		      (unsigned long long)life.own_delivered,
		      (unsigned long long)stats.delivered);
	arm(phase == CLOSE ? FREE : PHASES);
	r = weir_free(life.weir);
	heal(FREE);
	CHECK(r == 0, "weir_free answered %d", r);
}

/* The tail of a write that a crash has cut off, with a hole in it. */
static void tear_log(void)
{
	char path[128] = "", last[32] = "";
	DIR *dir = opendir(life.dir);
	struct dirent *entry;
	int fd;

	while (dir && (entry = readdir(dir)))
		if (strstr(entry->d_name, ".weir") && strcmp(entry->d_name, last) > 0)
			snprintf(last, sizeof(last), "%.31s", entry->d_name);
	if (dir)
		closedir(dir);
	if (!last[0])
		return;
	snprintf(path, sizeof(path), "%.60s/%.31s", life.dir, last);
	fd = openat(AT_FDCWD, path, O_RDWR | O_APPEND);
	(void)!write(fd, "WEIR torn", 9);
	(void)!fallocate(fd, 0, lseek(fd, 0, SEEK_END) + 65536, 8); /* a hole before it */
	close(fd);
}

static int read_once(int armed)
{
	struct weir_log_counts counts = { .size = sizeof(counts) };
	struct weir_log_reader *reader;
	struct weir_why why = { "" };
	struct weir_record record;
	int r = weir_log_open(life.dir, &reader, &why);

	memset(life.logged, 0, sizeof(life.logged));
	if (r) {
		check_why("weir_log_open", r, &why);
		return r;
	}
	while ((r = weir_log_next(reader, &record)) == 1) {
		uint32_t id = id_of(&record);

		CHECK(!life.logged[id]++, "record %u is in the log twice", id);
		CHECK(((const uint8_t *)record.data)[record.size - 1] == 'a' + id % 26,
		      "record %u has other bytes", id);
	}
	CHECK(weir_log_counts(reader, &counts) == 0, "weir_log_counts");
	weir_log_close(reader);
	CHECK(r == 0 || armed, "weir_log_next answers %d", r);
	return r;
}

static uint64_t sum(const uint8_t *flags)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < RECORDS; i++)
		n += flags[i] == 1;
	return n;
}

static void check_log(void)
{
	uint64_t logged, accepted = sum(life.accepted);
	uint32_t newest = 0;

	CHECK(read_once(0) == 0, "the log cannot be read when all is well again");
	logged = sum(life.logged);
	if (!life.scenario->keeps_all) {
		for (uint32_t id = 0; id < RECORDS; id++)
			newest = life.logged[id] ? id : newest;
		CHECK(newest + 4 >= life.pushed, "the newest in the log is %u of %u", newest,
		      life.pushed);
		return;
	}
	/* A failure that lasts may leave what nobody was told of; one alone may not. */
	CHECK(logged >= life.delivered_all, "%llu delivered, %llu in the log",
	      (unsigned long long)life.delivered_all, (unsigned long long)logged);
	CHECK(logged <= (life.forever ? accepted : life.delivered_all),
	      "%llu delivered, %llu in the log", (unsigned long long)life.delivered_all,
	      (unsigned long long)logged);
}

static void check_stream(void)
{
	static char text[1 << 16];
	int fd = openat(AT_FDCWD, life.stream, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof(text), 0);
	uint64_t lines = 0;

	close(fd);
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	CHECK(lines >= life.delivered_all && lines <= sum(life.accepted),
	      "%llu delivered, %llu lines", (unsigned long long)life.delivered_all,
	      (unsigned long long)lines);
}

static void phase_recover(void)
{
	int r;

	tear_log();
	arm(RECOVER);
	r = open_engine();
	if (!r) {
		for (int i = 0; i < 4; i++)
			(void)push(30);
		(void)weir_flush_wait(life.weir, bound(RECOVER));
	}
	heal(RECOVER);
	if (r) {
		CHECK(life.hits && life.armed == RECOVER, "recovery failed by itself: %d", r);
		r = open_engine();
		CHECK(!r, "recovery fails with %d when all is well again", r);
	}
	flush_healed("after recovery");
	end_engine(PHASES);
	tear_log();
}

static void phase_read(void)
{
	int r = 0;

	if (!strcmp(life.scenario->sink, "own"))
		return;
	if (!strcmp(life.scenario->sink, "fd")) {
		check_stream();
		return;
	}
	arm(READ);
	if (life.armed == READ) {
		r = read_once(1);
		CHECK(r <= 0, "reading answers %d", r);
	}
	heal(READ);
	check_log();
}

static void look(void)
{
	life.pieces = fault_pieces();
	life.mapped = fault_mapped();
	life.descriptors = count_entries("/proc/self/fd");
	life.threads = count_entries("/proc/self/task");
}

static void check_leaks(void)
{
	struct life before = life;

	for (int i = 0; i < 200; i++) { /* a thread that was joined may still be listed */
		look();
		if (life.threads == before.threads)
			break;
		usleep(1000);
	}
	CHECK(life.pieces == before.pieces, "%lld pieces of memory were not given back",
	      (long long)(life.pieces - before.pieces));
	CHECK(life.mapped == before.mapped || life.call == N_MUNMAP,
	      "%lld bytes are still mapped", (long long)(life.mapped - before.mapped));
	CHECK(life.descriptors == before.descriptors, "%u descriptors, not %u", life.descriptors,
	      before.descriptors);
	CHECK(life.threads == before.threads, "%u threads, not %u", life.threads, before.threads);
}

static void live(int with_leaks)
{
	weir_config_init(&life.config);
	life.config.loop = life.scenario->own_loop ? WEIR_LOOP_OWN : WEIR_LOOP_THREAD;
	life.config.ring_bytes = 65536;
	life.config.record_max = 8192;
	life.config.full = WEIR_FULL_FAIL;
	life.config.deadline_ns = WEIR_SECONDS(1);
	life.config.batch_total_timeout_ns = WEIR_OFF;
	life.config.allocator = (struct weir_allocator){ take, give, NULL };
	memset(life.accepted, 0, sizeof(life.accepted));
	memset(life.delivered, 0, sizeof(life.delivered));
	life.pushed = 0;
	life.delivered_all = life.hits = 0;
	if (with_leaks)
		look();
	phase_open();
	phase_push();
	phase_flush();
	phase_rotate();
	end_engine(CLOSE);
	phase_recover();
	phase_read();
	if (with_leaks)
		check_leaks();
	remove_all();
}

/* In a process of its own: one that has never opened an engine, or will not get rid of one. */
static void live_alone(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(HANG_S);
		live(0);
		_exit(life.hits ? 42 : 0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	if (WIFSIGNALED(status))
		fail("killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == FAILED || WEXITSTATUS(status) == SEEMS_STUCK)
		_exit(WEXITSTATUS(status));
	life.hits = WEXITSTATUS(status) == 42;
}

/* Runs case @nth of the row that is set in `life`. 1: go on to the next N. */
static int run_case(uint64_t nth)
{
	/* Nobody can wake the flusher: it may be left behind. */
	int alone = life.forever && (life.call == N_EVENT_WRITE || life.call == N_POLL_WAIT);

	uint64_t began;

	life.nth = nth;
	snprintf(mine->name, sizeof(mine->name), "%s: %s %s of %s number %llu, error %d",
	         life.scenario->name, phase_names[life.armed], life.forever ? "for ever" : "once",
	         fault_names[life.call], (unsigned long long)life.nth, life.error);
	if (only && !strstr(mine->name, only))
		return nth < 30;
	if (bounded && until_ns && real_ns() >= until_ns) {
		mine->left_out++;
		return 0;
	}
	if (only) {
		printf("# %s\n", mine->name);
		fflush(stdout);
	}
	alarm(HANG_S);
	began = real_ns();
	if (life.scenario->fresh || alone)
		live_alone();
	else
		live(1);
	atomic_store(&mine->again, 0);
	atomic_fetch_add(&shared->cases, 1);
	atomic_fetch_add(&shared->faults, life.hits != 0);
	atomic_fetch_add(&shared->hits[life.call][life.armed], life.hits != 0);
	if (getenv("NTH_SLOW") && real_ns() - began > 100000000u)
		printf("# %llu ms: %s\n", (unsigned long long)(real_ns() - began) / 1000000,
		       mine->name);
	return life.hits != 0;
}

/* Cases @first.. of a row, the last of which is @last or does not reach the failure. */
static void run_row(uint64_t row, uint32_t index, uint64_t first, uint64_t last)
{
	if (row < mine->row || index % WORKERS != worker)
		return;
	if (row > mine->row)
		mine->nth = first - 1;
	mine->row = row;
	for (uint64_t nth = mine->nth + 1; nth <= last; nth++) {
		mine->nth = nth; /* should it die, the next worker goes on behind it */
		if (!run_case(nth))
			return;
	}
	shared->goes_on[index] = 1;
}

/* What cannot fail on Linux, and is failed all the same. */
static int cannot_fail(enum fault_call call)
{
	return call == N_NOW || call == N_WALL || call == N_RANDOM || call == N_FUTEX_WAKE ||
	       call == N_EVENT_WRITE || call == N_POLL_WAIT || call == N_FUTEX_WAIT;
}

/* The rows of one pass: the first two cases of each, with the first error; then all the others. */
static void run_pass(int pass, int fresh, uint64_t *row)
{
	uint32_t index = 0;

	bounded = pass;
	for (unsigned i = 0; i < 3 * SCENARIOS * N_CALLS * 2 * PHASES; i++) {
		unsigned at = i % (2 * PHASES), call = i / (2 * PHASES) % N_CALLS;
		unsigned s = i / (2 * PHASES * N_CALLS) % SCENARIOS;
		unsigned e = i / (2 * PHASES * N_CALLS * SCENARIOS);

		if (!errors[call][e])
			continue;
		index++;
		life.scenario = &scenarios[s];
		life.call = (enum fault_call)call;
		life.error = errors[call][e];
		life.armed = (enum phase)(at / 2);
		life.forever = at % 2;
		/* A clock that stands still is no failure; an interruption that lasts is none. */
		if (life.forever && (call == N_NOW || (life.error == -EINTR && e)))
			continue;
		if (life.scenario->fresh != fresh || (fresh && life.armed > PUSH))
			continue;
		if (pass == 0 && e == 0)
			run_row(++*row, index, 1, 2);
		else if (pass == 1 && (e > 0 || shared->goes_on[index]))
			run_row(++*row, index, e ? 1 : 3, cannot_fail(life.call) ? 12 : 400);
	}
}

static void run_all(void)
{
	uint64_t row = 0;

	mallopt(M_ARENA_MAX, 1);
	run_pass(0, 1, &row);
	if (!briefly)
		run_pass(1, 1, &row);
	/* What a process makes once is made now: it is no leak. */
	for (unsigned s = 0; s < SCENARIOS; s++) {
		life.scenario = &scenarios[s];
		life.armed = PHASES;
		snprintf(mine->name, sizeof(mine->name), "%s: nothing fails", scenarios[s].name);
		if (!scenarios[s].fresh)
			live(0);
	}
	run_pass(0, 0, &row);
	if (!briefly)
		run_pass(1, 0, &row);
}

static void report(void)
{
	uint32_t never = 0;
	uint64_t left_out = 0;

	printf("# %-28s", "faults by call and phase");
	for (int phase = 0; phase < PHASES; phase++)
		printf("%11s", phase_names[phase]);
	printf("\n");
	for (int call = 0; call < N_CALLS; call++) {
		uint64_t all = 0;

		printf("# %-28s", fault_names[call]);
		for (int phase = 0; phase < PHASES; phase++) {
			uint64_t n = atomic_load(&shared->hits[call][phase]);

			all += n;
			printf("%11llu", (unsigned long long)n);
		}
		printf("\n");
		never += !all;
	}
	for (uint32_t i = 0; i < 8 && i < shared->failures; i++)
		printf("# failed: %s\n", shared->first[i]);
	printf("%sok 1 - whichever call fails, once or for ever, the identity holds, nothing leaks, "
	       "the caller is told, and when it works again all is delivered\n",
	       shared->failures ? "not " : "");
	if (!only)
		printf("%sok 2 - every call that the library makes was failed (%u never were)\n",
		       never ? "not " : "", never);
	printf("# figure nth | cases | %llu | all\n# figure nth | calls failed | %llu | all\n",
	       (unsigned long long)shared->cases, (unsigned long long)shared->faults);
	for (uint32_t i = 0; i < WORKERS; i++)
		left_out += shared->workers[i].left_out;
	if (left_out)
		printf("# %llu rows of cases were not run to their end: no time\n",
		       (unsigned long long)left_out);
	printf("1..%d\n", only ? 1 : 2);
	exit(shared->failures || (!only && never));
}

/* A worker that dies has shown something: the next one goes on behind that case. */
static void watch(const char *temporary)
{
	mine = &shared->workers[worker];
	snprintf(life.dir, sizeof(life.dir), "%s/weir-nth-%d", temporary, (int)getpid());
	snprintf(life.stream, sizeof(life.stream), "%s/weir-nth-%d.stream", temporary,
	         (int)getpid());
	while (!mine->done && shared->failures < (briefly ? 1 : 50)) {
		uint32_t before;
		int status;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		if (!pid) {
			run_all();
			atomic_store(&mine->done, 1);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return;
		remove_all();
		if (mine->done || (WIFEXITED(status) && WEXITSTATUS(status) == FAILED))
			continue;
		if (WIFEXITED(status) && WEXITSTATUS(status) == SEEMS_STUCK) {
			atomic_fetch_sub(&mine->nth, 1);
			continue;
		}
		before = atomic_fetch_add(&shared->failures, 1);
		if (before < 8)
			snprintf(shared->first[before], sizeof(shared->first[before]),
			         "%.200s: killed by signal %d", mine->name,
			         WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
}

int main(int argc, char **argv)
{
	const char *how = getenv("WEIR_PROOF"), *seconds = getenv("WEIR_PROOF_SECONDS");
	const char *temporary = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";

	only = argc > 2 && !strcmp(argv[1], "--only") ? argv[2] : NULL;
	briefly = argc > 1 && !strcmp(argv[1], "--short");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	if (shared == MAP_FAILED)
		return 1;
	if (!briefly && (!how || !strcmp(how, "slice")))
		until_ns = real_ns() + strtoull(seconds ? seconds : "20", NULL, 10) * 1000000000u;
	for (worker = 0; worker < WORKERS; worker++) {
		pid_t pid = fork();

		if (!pid) {
			watch(temporary);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (worker = 0; worker < WORKERS; worker++)
		shared->failures += !shared->workers[worker].done;
	report();
}
