/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest.h - what the parts of `weir ingest` share: the run, readers, watchman, summary.
 *
 *     reader threads   take inputs from a list, split them, push; wait when a ring is full
 *     watchman         waits for signals and for word from the sink; shows the progress
 *     main             opens, joins the readers, closes, sums up
 */
#ifndef WEIR_INGEST_H
#define WEIR_INGEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <weir/weir.h>

#include "frame.h"
#include "watch.h"

struct input {
	const char *path; /* "-": standard input */
	uint16_t source;
	bool owned;         /* path is to be freed */
	bool follows;       /* not in the list: read after another of the same name */
	struct input *next; /* the next of the same name, or NULL */
};

/* Written by one reader, read by main after it has ended. */
struct tally {
	uint64_t records;  /* accepted ones */
	uint64_t bytes;    /* payload of these */
	uint64_t unpushed; /* records that were read and could not be pushed */
	uint64_t inputs_failed;
};

struct ingest {
	/* from the command line */
	const char *sink_uri;
	const char *retry_for; /* batch_total_timeout, for messages */
	enum frame frame;
	uint64_t producers;
	bool json, quiet, progress;
	bool listed; /* inputs were named in a file, perhaps none */
	struct input *inputs;
	size_t input_count;

	struct weir *weir;
	struct weir_sink *sink;
	size_t record_max;
	uint64_t close_ns;  /* bound of the drain after a signal */
	bool close_bounded; /* ... and after the end of the inputs too */
	uint64_t started_ns;

	_Atomic size_t next_input;
	int stop_fd; /* readable for ever once the readers are to stop */
	int word_fd; /* eventfd: the watchman is to look at the words below */
	/* words: set, never taken back */
	_Atomic uint32_t stop;       /* no more reading */
	_Atomic uint32_t signalled;  /* a signal came */
	_Atomic uint64_t give_up_ns; /* CLOCK_MONOTONIC: after this a waiting push gives up */
	_Atomic uint32_t heard;      /* 1 << enum watch_event */
	_Atomic uint32_t over;       /* the watchman is to go home */
	_Atomic uint64_t pushed;     /* records, for the progress line */

	pthread_mutex_t lock; /* of: */
	struct weir_why trouble;
};

struct reader {
	struct ingest *ingest;
	pthread_t thread;
	struct tally tally;
	uint8_t *buffer;
	size_t room;
};

uint64_t ingest_now(void);
/* Wakes every reader and keeps it from reading on. thread: any */
void ingest_stop(struct ingest *ingest);
/* Tells the watchman to look. thread: any */
void ingest_word(struct ingest *ingest);

/* The body of a reader thread. */
void *reader_main(void *arg);

/* The watchman; signals must be blocked in every thread. 0 or -errno. */
int watchman_start(struct ingest *ingest, pthread_t *ret);
void watchman_end(struct ingest *ingest, pthread_t thread);
/* The sink's word, see watch.h. thread: any */
void watchman_hear(void *arg, enum watch_event event, const char *trouble);

/* Prints what came of it, and says how to end. */
int summary_print(const struct ingest *ingest, const struct tally *tally,
                  const struct weir_close_report *report);

#endif
