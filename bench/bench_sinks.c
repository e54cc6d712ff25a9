/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_sinks - how fast do the built-in sinks move payload, beside plain calls on the same disk?
 *
 *     weir    producer (CPU 0) ──▶ ring ──▶ flusher, sink (CPU 1) ──▶ null, a descriptor, a log
 *     write   write(2) of the same payload bytes in pieces of 1 MiB ──▶ a file
 *     dd      read(2) of 1 MiB from a file in memory, write(2) of it ──▶ a file
 *
 *     sinks/file/tmpfs/none/256B    all write over what is there: a log as large as max_bytes lets
 *                                   it be, a file of the same size; time until all is written
 *     sinks/fd/tmpfs/256B           to a file that is given open; weir: records as they lie in the
 *                                   ring (frame=raw), weir-lines: with a line feed after each
 *     sinks/null/256B               what it costs to get there; weir-fd: to /dev/null
 *     sinks/push/256B               ns per push in bursts of 1 MiB or less, while ...
 *         weir-file                 ... 4 MiB that were pushed before are written to a log
 *         weir-null                 ... the same were handed to the null sink just now
 *         weir-idle                 ... the flusher sleeps, the same having been drained before
 *
 * Sync: none; interval: weir and write fdatasync each 20 ms, dd once at the end; batch: weir after
 * each batch (up to 4 MiB under this load), write and dd after each piece. tmpfs is /dev/shm, the
 * disk is $TMPDIR or /var/tmp. A record's frame, 8 bytes and padding, is no payload: it is written
 * to the log, and not counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/weir.h>

#include "harness/bench.h"
#include "harness/clock.h"
#include "harness/pin.h"
#include "harness/place.h"

#define MIB (UINT64_C(1) << 20)
#define PIECE MIB
#define SOURCE (16 * MIB)
#define INTERVAL_NS WEIR_MILLIS(20) /* a burst holds some of them */
#define WAIT_NS WEIR_SECONDS(60)

enum kind { LOG, RAW, LINES, DEV_NULL, NOTHING, WRITE, DD, PUSH_IDLE, PUSH_NULL, PUSH_LOG };
enum sync { NONE, INTERVAL, BATCH };

static const char *const sync_names[] = { "none", "interval", "batch" };

struct shape {
	enum kind kind;
	enum place place;
	enum sync sync;
	uint32_t bytes; /* of a record */
	uint64_t total; /* payload of a burst */
	int filled;     /* what is written over is there */
	char path[PLACE_PATH];
};

struct state {
	struct shape *shape;
	struct weir *weir;
	int fd, from;
	uint64_t pushed, synced_ns;
};

static uint8_t piece[PIECE];
static int pinned;

static void stand_on(uint32_t cpu)
{
	if (pinned)
		bench_pin(cpu < bench_cpus() ? cpu : 0);
	else
		bench_unpin();
}

/* An engine as a program sets one up that moves much and waits for nothing. */
static int open_weir(struct state *state, char why[BENCH_WHY])
{
	const struct shape *shape = state->shape;
	uint64_t segment = shape->total / 4 < 64 * MIB ? shape->total / 4 : 64 * MIB;
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why reason = { "" };
	char uri[700];
	int r;

	switch (shape->kind) {
	case LOG:
	case PUSH_LOG:
		snprintf(uri, sizeof(uri), "file:%s?sync=%s%s&segment=%llu&max_bytes=%llu",
		         shape->path, sync_names[shape->sync],
		         shape->sync == INTERVAL ? "&interval=20ms" : "",
		         (unsigned long long)segment, (unsigned long long)shape->total);
		break;
	case RAW:
	case LINES:
	case DEV_NULL:
		snprintf(uri, sizeof(uri), "fd:%d?frame=%s", state->fd,
		         shape->kind == LINES ? "lines" : "raw");
		break;
	default:
		snprintf(uri, sizeof(uri), "null:");
	}
	stand_on(1); /* and so do the threads of the engine and of the sink */
	weir_config_init(&config);
	r = weir_config_preset(&config, "throughput", &reason);
	r = r ? r : weir_sink_open(uri, &sink, &reason);
	r = r ? r : weir_open(&config, sink, &state->weir, &reason);
	stand_on(0);
	if (r)
		snprintf(why, BENCH_WHY, "%.120s", reason.text);
	return r;
}

static int open_files(struct state *state, char why[BENCH_WHY])
{
	const struct shape *shape = state->shape;
	int r = 0;

	if (shape->kind == DEV_NULL)
		state->fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	else
		state->fd = open(shape->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	r = state->fd < 0 ? -errno : 0;
	if (!r && shape->kind == DD) {
		state->from = memfd_create("bench-source", MFD_CLOEXEC);
		for (uint64_t i = 0; !r && i < SOURCE; i += PIECE)
			if (state->from < 0 || write(state->from, piece, PIECE) != (ssize_t)PIECE)
				r = -errno;
	}
	if (r)
		snprintf(why, BENCH_WHY, "%.60s: %s", shape->path, strerror(-r));
	return r;
}

/* Pushes @count records, waiting for room where there is none. */
static int push(struct state *state, uint64_t count)
{
	const struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = WAIT_NS };
	uint32_t bytes = state->shape->bytes;
	struct weir *weir = state->weir;
	uint64_t at = 0;
	int r = 0;

	for (uint64_t i = 0; i < count && !r; i++) {
		r = weir_push(weir, piece + at, bytes);
		if (r)
			r = weir_push_ex(weir, piece + at, bytes, &options);
		at = at + 2 * bytes > PIECE ? 0 : at + bytes;
	}
	state->pushed += count;
	return r;
}

/* Until all that was pushed is written. -EBADMSG: some of it was not. */
static int settle(struct state *state)
{
	struct weir_stats stats = { .size = sizeof(stats) };
	int r = weir_flush_wait(state->weir, WAIT_NS);

	r = r ? r : weir_stats(state->weir, &stats);
	return r ? r : stats.delivered == state->pushed ? 0 : -EBADMSG;
}

static int sync_now(struct state *state)
{
	state->synced_ns = bench_now();
	return fdatasync(state->fd) ? -errno : 0;
}

static int write_plainly(struct state *state)
{
	const struct shape *shape = state->shape;
	int r = 0;

	if (lseek(state->fd, 0, SEEK_SET))
		return -errno;
	for (uint64_t done = 0; done < shape->total && !r; done += PIECE) {
		if (shape->kind == DD &&
		    pread(state->from, piece, PIECE, (off_t)(done % SOURCE)) != (ssize_t)PIECE)
			return -EIO;
		if (write(state->fd, piece, PIECE) != (ssize_t)PIECE)
			return -errno;
		if (shape->sync == BATCH || (shape->sync == INTERVAL && shape->kind == WRITE &&
		                             bench_now() - state->synced_ns >= INTERVAL_NS))
			r = sync_now(state);
	}
	if (!r && shape->sync == INTERVAL && shape->kind == DD)
		r = sync_now(state);
	return r;
}

static int move(struct state *state)
{
	const struct shape *shape = state->shape;
	uint64_t count = shape->total / shape->bytes;
	uint32_t frame = 0;
	int r;

	if (shape->kind == WRITE || shape->kind == DD)
		return write_plainly(state);
	if (shape->kind == RAW || shape->kind == LINES) {
		frame = shape->kind == RAW ? 8 : 1;
		if (lseek(state->fd, 0, SEEK_SET))
			return -errno;
	}
	r = push(state, count);
	r = r ? r : settle(state);
	if (!r && frame &&
	    lseek(state->fd, 0, SEEK_CUR) != (off_t)(count * (shape->bytes + frame)))
		r = -EBADMSG;
	return r;
}

static void end(void *state_)
{
	struct state *state = state_;

	if (state->weir) {
		(void)weir_close(state->weir, WAIT_NS, NULL);
		(void)weir_free(state->weir);
	}
	if (state->fd >= 0)
		close(state->fd);
	if (state->from >= 0)
		close(state->from);
	free(state);
}

static void *begin(const struct bench_case *bench, char why[BENCH_WHY])
{
	struct shape *shape = (struct shape *)(uintptr_t)bench->arg;
	struct state *state = calloc(1, sizeof(*state));
	int is_plain = shape->kind == WRITE || shape->kind == DD;
	int has_fd = is_plain || shape->kind == RAW || shape->kind == LINES ||
	             shape->kind == DEV_NULL;

	if (!state)
		bench_die("no memory");
	*state = (struct state){ .shape = shape, .fd = -1, .from = -1 };
	stand_on(0);
	if (!place_is_good(shape->place, 4 * shape->total, why) ||
	    (has_fd && open_files(state, why)) || (!is_plain && open_weir(state, why))) {
		end(state);
		return NULL;
	}
	return state;
}

static int measure(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	uint64_t t0;
	double s;
	int r = 0;

	/* Not timed. A log is as large as it may be only when it has been filled more than once. */
	for (int i = 0; i < 2 && !r && state->shape->kind == LOG && !state->shape->filled; i++)
		r = move(state);
	state->shape->filled = 1;
	t0 = bench_now();
	r = r ? r : move(state);
	s = (double)(bench_now() - t0) / 1e9;
	if (r) {
		snprintf(why, BENCH_WHY, "%s", strerror(-r));
		return r;
	}
	values[0] = (double)state->shape->total / s / 1e6;
	values[1] = (double)state->shape->total / state->shape->bytes / s / 1e6;
	return 0;
}

/* Until the flusher has taken a batch more than @batches. */
static int wait_for_batch(struct state *state, uint64_t batches)
{
	struct weir_stats stats = { .size = sizeof(stats) };
	uint64_t until = bench_now() + WAIT_NS;

	do {
		if (weir_stats(state->weir, &stats) || bench_now() > until)
			return -ETIMEDOUT;
	} while (stats.batches == batches);
	return 0;
}

static int measure_push(void *state_, double *values, char why[BENCH_WHY])
{
	struct state *state = state_;
	const struct shape *shape = state->shape;
	uint64_t burst = PIECE / shape->bytes < 4096 ? PIECE / shape->bytes : 4096, t0, t1 = 0;
	struct weir_stats stats = { .size = sizeof(stats) };
	int r = weir_stats(state->weir, &stats);

	r = r ? r : push(state, 4 * MIB / shape->bytes); /* with their frames: the byte threshold */
	r = r ? r : shape->kind == PUSH_IDLE ? settle(state) : wait_for_batch(state, stats.batches);
	r = r ? r : push(state, 1); /* sets the timer, if nothing else is pending */
	t0 = bench_now();
	if (!r) {
		r = push(state, burst);
		t1 = bench_now();
	}
	r = r ? r : settle(state);
	if (r) {
		snprintf(why, BENCH_WHY, "%s", strerror(-r));
		return r;
	}
	values[0] = (double)(t1 - t0) / (double)burst;
	return 0;
}

static const struct bench_metric rates[] = { { "bytes", "MB/s", 1 },
	                                     { "records", "M records/s", 1 } };
static const struct bench_metric costs[] = { { "", "ns", 0 } };
static const char *const peer_names[] = { "weir", "weir", "weir-lines", "weir-fd", "weir", "write",
	                                  "dd", "weir-idle", "weir-null", "weir-file" };

/* One group: @shape with each of @kinds. */
static void group(struct bench_run *run, const char *title, const struct shape *shape,
                  const enum kind *kinds, uint32_t count)
{
	static struct shape shapes[4];
	struct bench_case cases[4];
	int quick = bench_is_quick(run);

	if (!bench_wants(run, title))
		return;
	for (uint32_t i = 0; i < count; i++) {
		int pushes = kinds[i] >= PUSH_IDLE;

		shapes[i] = *shape;
		shapes[i].kind = kinds[i];
		place_path(shape->place, i, shapes[i].path);
		cases[i] = (struct bench_case){ .peer = peer_names[kinds[i]],
			.ours = kinds[i] != WRITE && kinds[i] != DD, .warm = 1,
			.bursts = pushes ? quick ? 5 : 21 : quick ? 1 : 3,
			.metrics = pushes ? costs : rates, .metric_count = pushes ? 1 : 2,
			.arg = &shapes[i], .begin = begin,
			.measure = pushes ? measure_push : measure, .end = end };
		bench_name(cases[i].name, "sinks/%s/%s", peer_names[kinds[i]],
		           title + sizeof("sinks/") - 1);
	}
	bench_group(run, title, cases, count);
	for (uint32_t i = 0; i < count; i++)
		place_remove(shapes[i].path);
}

static void of_size(struct bench_run *run, uint32_t bytes)
{
	static const enum kind file[] = { LOG, WRITE, DD }, fd[] = { RAW, LINES, WRITE, DD };
	static const enum kind nothing[] = { NOTHING, DEV_NULL };
	static const enum kind pushes[] = { PUSH_LOG, PUSH_NULL, PUSH_IDLE };
	int quick = bench_is_quick(run);
	struct shape shape = { .place = PLACE_TMPFS, .bytes = bytes };
	char title[BENCH_NAME];

	shape.total = (quick ? 32 : 64) * MIB;
	bench_name(title, "sinks/null/%uB", bytes);
	group(run, title, &shape, nothing, 2);
	bench_name(title, "sinks/push/%uB", bytes);
	group(run, title, &shape, pushes, 3);
	bench_name(title, "sinks/fd/tmpfs/%uB", bytes);
	group(run, title, &shape, fd, 4);
	for (int place = 0; place < PLACES; place++)
		for (int sync = NONE; sync <= BATCH; sync++) {
			/* There is nothing to sync on tmpfs. */
			if (place == PLACE_TMPFS ? sync != NONE : quick && sync != BATCH)
				continue;
			shape.place = (enum place)place;
			shape.sync = (enum sync)sync;
			shape.total = (quick                    ? place ? 16 : 64
			               : place && sync == BATCH ? 32
			               : place || bytes != 256  ? 128
			                                        : 512) * MIB;
			bench_name(title, "sinks/file/%s/%s/%uB",
			           place_name(shape.place), sync_names[sync], bytes);
			group(run, title, &shape, file, 3);
		}
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 64, 256, 1024 };
	struct bench_run *run = bench_start("sinks", argc, argv);

	pinned = bench_is_pinned(run);
	memset(piece, 'x', sizeof(piece));
	for (int place = 0; place < PLACES; place++)
		place_tidy((enum place)place);
	for (uint32_t i = 0; i < 3; i++)
		if (!bench_is_quick(run) || sizes[i] == 256)
			of_size(run, sizes[i]);
	return bench_finish(run);
}
