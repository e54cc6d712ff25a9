/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - plays the engine for a sink under test: makes batches, submits them, takes verdicts.
 *
 * A batch's memory is one allocation per span, of exactly its size, and is scribbled over and freed
 * when the batch is completed: a sink that reads too far or too long is found by the sanitizers, or
 * by what it delivers.
 */
#ifndef WEIR_TEST_SINK_HOST_H
#define WEIR_TEST_SINK_HOST_H

#include <pthread.h>
#include <weir/sink.h>

#define HOST_SPANS 64
#define HOST_RECORDS 4096

struct host;

/* A batch under test. */
struct made {
	struct weir_batch batch; /* first */
	struct host *host;
	struct weir_span spans[HOST_SPANS];
	struct iovec iov[HOST_SPANS];
	size_t room[HOST_SPANS];
	unsigned submitted;  /* times a submit took it */
	unsigned completed;  /* times it was given back */
	struct weir_verdict verdict; /* the last one */
	uint64_t order;      /* number of its last completion among all of the host's */
	pthread_t by;        /* who completed it */
	int keeps_memory;    /* do not scribble: it is to be submitted again */
};

struct host {
	struct weir_sink_host base; /* first */
	struct weir_sink *sink;
	struct weir_sink_caps caps;
	struct weir_allocator allocator;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned ready;     /* calls of ready() */
	unsigned completed; /* batches given back */
	int closed;         /* a completion after it is an error, and counted here: */
	unsigned too_late;
};

/* Starts @sink. What start() answers. */
int host_start(struct host *host, struct weir_sink *sink, struct weir_why *why);
/* settle (20 s) and close. */
void host_close(struct host *host);

struct made *made_new(struct host *host, uint64_t seq);
/* Adds a record; @flags besides WEIR_REC_COMMITTED. Extensions get fixed contents. */
void made_add(struct made *made, uint16_t source, uint16_t flags, const void *data, uint32_t size);
void made_text(struct made *made, const char *text);
/* The next record begins a span of another ring. */
void made_cut(struct made *made);
void made_free(struct made *made);
/* The batch without its first @records records: a piece, to be submitted after WEIR_PARTIAL. */
struct made *made_rest(const struct made *made, uint64_t records);

/* What submit() answers. */
int host_submit(struct host *host, struct made *made);
/* Submits, waits for ready() when the sink is full. Fails the test after 20 s. */
void host_give(struct host *host, struct made *made);
/* Waits until the batch was given back. Its verdict's kind. */
int host_wait(struct host *host, struct made *made);
unsigned host_ready(struct host *host);
unsigned host_completed(struct host *host);
/* Waits for the n-th call of ready(). */
void host_wait_ready(struct host *host, unsigned n);
/* Submits the batches in order and again until all are done, as the engine does. Frees them. */
void host_run(struct host *host, struct made **batches, unsigned count);
/* CLOCK_MONOTONIC in @ms from now. */
uint64_t in_ms(uint64_t ms);

#endif
