/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_push - what does a push cost, beside the bare copy that it cannot do without?
 *
 *     burst of 4,096 records, pre-filled source        after the burst, not timed
 *     producer 0 (core 0) ──▶ [ring of core 0] ┐
 *     producer 1 (core 1) ──▶ [ring of core 1] ┴─▶ flusher ──▶ null sink
 *
 *     floor: a non-inlined function that stores an 8-byte header and copies a run-time size into a
 *     private, prefaulted ring of the same size and mapping, called as weir is
 *
 * No trigger fires inside a burst: the flusher sleeps. All cases are interleaved in one run;
 * compare medians by their ratio, within the run only.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <weir/weir.h>

#include "harness/bench.h"

#define BURST 4096u
#define RING_BYTES (4u << 20)
#define THREADS_MAX 2u

struct floor_ring {
	uint8_t *data;
	uint64_t mask, head;
	char pad[128];
};

struct state {
	const struct bench_case *bench;
	struct weir *weir;
	pthread_barrier_t barrier;
	struct floor_ring rings[THREADS_MAX];
	uint8_t source[THREADS_MAX][512];
};

__attribute__((noinline)) static int floor_push(struct floor_ring *ring, const void *data,
                                                size_t size)
{
	uint64_t header = size | UINT64_C(1) << 48;
	uint8_t *to = ring->data + (ring->head & ring->mask);

	memcpy(to, &header, sizeof(header));
	memcpy(to + sizeof(header), data, size);
	ring->head += (size + 15) & ~UINT64_C(7);
	return 0;
}

static void map_twice(struct floor_ring *ring)
{
	int fd = memfd_create("floor", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, RING_BYTES))
		abort();
	ring->data = mmap(NULL, 2 * RING_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t half = 0; half < 2; half++)
		if (mmap(ring->data + half * RING_BYTES, RING_BYTES, PROT_READ | PROT_WRITE,
		         MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			abort();
	close(fd);
	memset(ring->data, 1, RING_BYTES);
	memset(ring->data + RING_BYTES, 1, RING_BYTES);
	ring->mask = RING_BYTES - 1;
	ring->head = 0;
}

static struct state *new_state(const struct bench_case *bench)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		abort();
	state->bench = bench;
	pthread_barrier_init(&state->barrier, NULL, bench->threads);
	memset(state->source, 'x', sizeof(state->source));
	return state;
}

static void *floor_setup(const struct bench_case *bench)
{
	struct state *state = new_state(bench);

	for (uint32_t i = 0; i < bench->threads; i++)
		map_twice(&state->rings[i]);
	return state;
}

static uint64_t floor_burst(void *state_, uint32_t thread)
{
	struct state *state = state_;
	uint64_t t0;

	pthread_barrier_wait(&state->barrier);
	t0 = bench_now();
	for (uint32_t i = 0; i < BURST; i++)
		floor_push(&state->rings[thread], state->source[thread], state->bench->bytes);
	return bench_now() - t0;
}

/* As weir's, so that both find caches and clocks in the same state. */
static void floor_rest(void *state_, uint32_t thread)
{
	struct timespec pause = { 0, 100000 };
	struct state *state = state_;

	pthread_barrier_wait(&state->barrier);
	if (!thread)
		nanosleep(&pause, NULL);
}

static void floor_teardown(void *state_)
{
	struct state *state = state_;

	for (uint32_t i = 0; i < state->bench->threads; i++)
		munmap(state->rings[i].data, 2 * RING_BYTES);
	free(state);
}

static void *weir_setup(const struct bench_case *bench)
{
	struct state *state = new_state(bench);
	struct weir_config config;
	struct weir_sink *sink;
	struct weir_why why;

	weir_config_init(&config);
	config.ring_bytes = RING_BYTES;
	config.threshold = WEIR_OFF;
	config.threshold_bytes = WEIR_OFF;
	config.deadline_ns = WEIR_OFF;
	config.pressure_mode = WEIR_MODE_OFF;
	if (weir_sink_open("null:", &sink, &why) || weir_open(&config, sink, &state->weir, &why)) {
		fprintf(stderr, "bench_push: %s\n", why.text);
		exit(1);
	}
	return state;
}

/* Touches the whole ring once, so that no page is new in a timed burst. */
static void warm_up(struct state *state, uint32_t thread)
{
	uint64_t total = 0;

	while (total < 2 * RING_BYTES) {
		if (weir_push(state->weir, state->source[thread], state->bench->bytes) == 0)
			total += (state->bench->bytes + 15) & ~7u;
		else
			(void)weir_flush_wait(state->weir, WEIR_SECONDS(10));
	}
	(void)weir_flush_wait(state->weir, WEIR_SECONDS(10));
}

static uint64_t weir_burst(void *state_, uint32_t thread)
{
	struct state *state = state_;
	uint64_t t0;

	if (!state->rings[thread].mask) {
		state->rings[thread].mask = 1;
		warm_up(state, thread);
	}
	pthread_barrier_wait(&state->barrier); /* all at once, or one of them meets the flusher */
	t0 = bench_now();
	for (uint32_t i = 0; i < BURST; i++)
		if (weir_push(state->weir, state->source[thread], state->bench->bytes))
			abort();
	return bench_now() - t0;
}

static void weir_rest(void *state_, uint32_t thread)
{
	struct timespec until_it_sleeps = { 0, 100000 };
	struct state *state = state_;

	pthread_barrier_wait(&state->barrier);
	if (thread)
		return;
	if (weir_flush_wait(state->weir, WEIR_SECONDS(10)))
		abort();
	nanosleep(&until_it_sleeps, NULL);
}

static void weir_teardown(void *state_)
{
	struct state *state = state_;

	weir_close(state->weir, WEIR_SECONDS(10), NULL);
	weir_free(state->weir);
	free(state);
}

#define WEIR(threads, bytes) \
	{ "push/weir/" #threads "p/" #bytes "B", "push/floor/" #threads "p/" #bytes "B", BURST, \
	  threads, bytes, weir_setup, weir_burst, weir_rest, weir_teardown }
#define FLOOR(threads, bytes) \
	{ "push/floor/" #threads "p/" #bytes "B", NULL, BURST, threads, bytes, floor_setup, \
	  floor_burst, floor_rest, floor_teardown }

static const struct bench_case cases[] = {
	FLOOR(1, 8), WEIR(1, 8), FLOOR(1, 64), WEIR(1, 64), FLOOR(1, 256), WEIR(1, 256),
	FLOOR(2, 8), WEIR(2, 8), FLOOR(2, 64), WEIR(2, 64), FLOOR(2, 256), WEIR(2, 256),
};

int main(int argc, char **argv)
{
	struct weir_features features = { .size = sizeof(features) };

	weir_features(NULL, &features);
	printf("rseq %s\n", features.rseq ? "in use" : features.why_no_rseq);
	return bench_run(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
