/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect.h - the far side of a sink under test: what has arrived there, and a way to stall it.
 */
#ifndef WEIR_TEST_SINK_COLLECT_H
#define WEIR_TEST_SINK_COLLECT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/sink.h>

struct bytes {
	uint8_t *data;
	size_t used, room;
};

struct collect {
	const char *kind, *frame;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int stalled, interrupted;
	/* records as u32 length and bytes */
	struct bytes expected, arrived;
	/* fd: the stream as it came */
	struct bytes stream;
	int pipe_read, pipe_write;
	pthread_t reader, helper;
	int has_reader, has_helper;
	char dir[64];
};

void collect_init(struct collect *collect, const char *kind, const char *frame);
void collect_end(struct collect *collect);

void collect_callback(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict);
int collect_hosted(struct collect *collect, struct weir_sink **ret_sink);
/* A pipe of the smallest size, with a reader. Its writing end; close it once the sink has it. */
int collect_pipe(struct collect *collect);
/* A directory that collect_end() removes. */
const char *collect_dir(struct collect *collect);

/* The destination takes nothing, until it goes on. */
void collect_stall(struct collect *collect);
void collect_go_on(struct collect *collect);
void collect_go_on_soon(struct collect *collect);

void collect_expect(struct collect *collect, const void *data, size_t bytes);
/* After close: exactly what was expected has arrived. */
void collect_check(struct collect *collect);
/* After close: the bytes that came out of the pipe. */
const struct bytes *collect_stream(struct collect *collect);

#endif
