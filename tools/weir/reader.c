/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c - reads inputs and pushes their records.
 *
 * A record is pushed as soon as its end was read, straight from the buffer. A full ring blocks the
 * reader, so that a pipe or a file loses nothing. Told to stop, a reader still pushes what it has
 * read, and finishes the record that it was reading if the rest of it is there. thread: reader
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "ingest.h"

#define READ_BYTES ((size_t)256 << 10)
/* How often a push that waits for room looks whether it still should. */
#define PATIENCE WEIR_MILLIS(200)

/* One input on its way. */
struct reading {
	struct reader *reader;
	const struct input *input;
	struct splitter splitter;
	int fd;
	bool regular;
	size_t begin, end; /* what the buffer holds */
	int error;         /* pushing failed for good */
};

static bool should_stop(struct ingest *ingest)
{
	/* ORDER none: relaxed. stop_fd wakes whoever waits. */
	return atomic_load_explicit(&ingest->stop, memory_order_relaxed);
}

/* Whether a push that found no room is to try again. */
static bool may_wait(struct ingest *ingest)
{
	/* ORDER none: relaxed. Looked at again and again. */
	return !(atomic_load_explicit(&ingest->heard, memory_order_relaxed) & 1u << WATCH_BROKEN) &&
	       ingest_now() <
	               atomic_load_explicit(&ingest->give_up_ns, memory_order_relaxed);
}

static int push(struct reading *reading, const struct piece *piece)
{
	struct ingest *ingest = reading->reader->ingest;
	struct weir_push_options options = {
		.source = reading->input->source,
		.flags = piece->flags,
		.wait = WEIR_PUSH_WAIT,
		.wait_ns = PATIENCE,
	};
	int r;

	do {
		r = weir_push_ex(ingest->weir, piece->data, piece->size, &options);
	} while ((r == -EAGAIN || r == -ETIMEDOUT) && may_wait(ingest));
	return r;
}

/* Pushes every piece that the buffer holds; @end: nothing will follow. */
static void push_all(struct reading *reading, bool end)
{
	struct tally *tally = &reading->reader->tally;
	struct piece piece;
	uint64_t before = tally->records;

	while (splitter_next(&reading->splitter, reading->reader->buffer + reading->begin,
	                     reading->end - reading->begin, end, &piece)) {
		if (!reading->error)
			reading->error = push(reading, &piece);
		if (reading->error) {
			tally->unpushed++;
		} else {
			tally->records++;
			tally->bytes += piece.size;
		}
		reading->begin += piece.used;
	}
	if (reading->begin == reading->end)
		reading->begin = reading->end = 0;
	/* ORDER none: relaxed. For the progress line. */
	atomic_fetch_add_explicit(&reading->reader->ingest->pushed, tally->records - before,
	                          memory_order_relaxed);
}

static void failed(struct reading *reading, const char *what, int error)
{
	reading->reader->tally.inputs_failed++;
	say("cannot %s '%s': %s", what, reading->input->path, strerror(error));
}

/* Waits for input or for the word to stop. */
static void wait_for_input(const struct reading *reading)
{
	struct pollfd fds[2] = {
		{ reading->fd, POLLIN, 0 },
		{ reading->reader->ingest->stop_fd, POLLIN, 0 },
	};

	if (!reading->regular)
		(void)poll(fds, 2, -1);
}

/* Room for one read. */
static void make_room(struct reading *reading)
{
	struct reader *reader = reading->reader;

	if (reader->room - reading->end >= READ_BYTES)
		return;
	memmove(reader->buffer, reader->buffer + reading->begin, reading->end - reading->begin);
	reading->end -= reading->begin;
	reading->begin = 0;
}

/* The rest of a record that was begun, byte by byte, as far as it is there. */
static void finish_record(struct reading *reading)
{
	struct pollfd fd = { reading->fd, POLLIN, 0 };
	struct tally *tally = &reading->reader->tally;
	uint64_t before = tally->records + tally->unpushed;

	while ((reading->begin != reading->end || reading->splitter.inside) && !reading->error) {
		if (poll(&fd, 1, 0) != 1 || !(fd.revents & POLLIN))
			return;
		make_room(reading);
		if (read(reading->fd, reading->reader->buffer + reading->end, 1) != 1)
			return;
		reading->end++;
		push_all(reading, false);
		if (tally->records + tally->unpushed != before && !reading->splitter.inside)
			return;
	}
}

/* Reads until the end, a word to stop, or an error. */
static void read_all(struct reading *reading)
{
	struct reader *reader = reading->reader;
	bool ended = false;

	while (!ended && !reading->error) {
		ssize_t n;

		wait_for_input(reading);
		if (should_stop(reader->ingest))
			break;
		make_room(reading);
		n = read(reading->fd, reader->buffer + reading->end, READ_BYTES);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			failed(reading, "read", errno);
			ended = true;
		} else if (n == 0) {
			ended = true;
		} else {
			reading->end += (size_t)n;
			push_all(reading, false);
		}
	}
	if (!ended)
		finish_record(reading);
	push_all(reading, true);
	if (reading->splitter.truncated) {
		reader->tally.inputs_failed++;
		say("'%s' ends inside a record", reading->input->path);
	}
}

/* A failure that will not pass: nobody else needs to try. */
static void give_up(struct reading *reading)
{
	struct ingest *ingest = reading->reader->ingest;

	if (reading->error != -EAGAIN && reading->error != -ETIMEDOUT) {
		reading->reader->tally.inputs_failed++;
		say("cannot push what '%s' holds: %s", reading->input->path,
		    strerror(-reading->error));
	}
	ingest_stop(ingest);
}

static void read_input(struct reader *reader, const struct input *input)
{
	struct reading reading = {
		.reader = reader,
		.input = input,
		.splitter = { .frame = reader->ingest->frame,
		              .record_max = reader->ingest->record_max },
	};
	bool standard = strcmp(input->path, "-") == 0;
	struct stat status;

	/* A FIFO that nobody writes to must not hold us in open(): it is polled instead. */
	reading.fd = standard ? STDIN_FILENO
	                      : open(input->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (reading.fd < 0 || fstat(reading.fd, &status) < 0) {
		failed(&reading, "open", errno);
		return;
	}
	reading.regular = S_ISREG(status.st_mode);
	if (reading.regular)
		(void)posix_fadvise(reading.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	read_all(&reading);
	if (reading.error)
		give_up(&reading);
	if (!standard)
		close(reading.fd);
}

void *reader_main(void *arg)
{
	struct reader *reader = arg;
	struct ingest *ingest = reader->ingest;

	while (!should_stop(ingest)) {
		/* ORDER none: relaxed. The list itself does not change. */
		size_t i = atomic_fetch_add_explicit(&ingest->next_input, 1, memory_order_relaxed);

		if (i >= ingest->input_count)
			break;
		if (ingest->inputs[i].follows)
			continue;
		for (const struct input *at = &ingest->inputs[i]; at && !should_stop(ingest);
		     at = at->next)
			read_input(reader, at);
	}
	return NULL;
}
