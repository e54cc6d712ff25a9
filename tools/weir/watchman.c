/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchman.c - the thread of `weir ingest` that waits for what nobody else waits for: signals, and
 * bad news from the sink. On a terminal it also shows the progress, once a second.
 *
 * The first signal stops the readers; what they have read is pushed and drained. The second
 * abandons the rest at once, as does the end of the time that the drain may take. thread: watchman
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "command.h"
#include "ingest.h"
#include "text.h"

/* How long weir_close() may overrun its bound before it is no longer waited for. */
#define OVERRUN WEIR_MILLIS(500)

static void ring_bell(int fd)
{
	if (eventfd_write(fd, 1) < 0)
		return; /* full: it is readable, which is all that matters */
}

/* thread: any */
void ingest_stop(struct ingest *ingest)
{
	/* ORDER none: relaxed. The descriptor makes them look. */
	atomic_store_explicit(&ingest->stop, 1, memory_order_relaxed);
	ring_bell(ingest->stop_fd);
}

/* thread: flusher, or the sink's own */
void watchman_hear(void *arg, enum watch_event event, const char *trouble)
{
	struct ingest *ingest = arg;
	uint32_t bit = 1u << event;

	pthread_mutex_lock(&ingest->lock);
	snprintf(ingest->trouble.text, sizeof(ingest->trouble.text), "%s", trouble);
	pthread_mutex_unlock(&ingest->lock);
	/* ORDER none: relaxed. The text has a lock, and the bell makes the watchman look. */
	if (atomic_fetch_or_explicit(&ingest->heard, bit, memory_order_relaxed) & bit)
		return;
	if (event == WATCH_BROKEN || event == WATCH_EXPIRED)
		ingest_stop(ingest);
	ring_bell(ingest->word_fd);
}

/* Leaves without the end that a close would make: its records were counted as pending. */
static _Noreturn void abandon(const struct ingest *ingest, const char *why)
{
	say("%s", why);
	(void)summary_print(ingest, NULL, NULL);
	fflush(NULL);
	_exit(END_LEFT);
}

static void take_signal(struct ingest *ingest, int signals_fd)
{
	struct signalfd_siginfo info;
	uint64_t give_up;

	if (read(signals_fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* ORDER none: relaxed. Main looks after it has joined the readers, which the stop ended. */
	if (atomic_exchange_explicit(&ingest->signalled, 1, memory_order_relaxed))
		abandon(ingest, "a second signal: abandoned");
	give_up = ingest_now() + ingest->close_ns;
	atomic_store_explicit(&ingest->give_up_ns,
	                      give_up < ingest->close_ns ? UINT64_MAX : give_up,
	                      memory_order_relaxed);
	if (!ingest->quiet)
		say("%s: reading stops, what was read is delivered",
		    info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
	ingest_stop(ingest);
}

static void pass_on(struct ingest *ingest, uint32_t *told)
{
	/* ORDER none: relaxed. */
	uint32_t heard = atomic_load_explicit(&ingest->heard, memory_order_relaxed);
	uint32_t fresh = heard & ~*told;
	struct weir_why why;
	const char *colon;

	*told |= heard;
	pthread_mutex_lock(&ingest->lock);
	why = ingest->trouble;
	pthread_mutex_unlock(&ingest->lock);
	colon = why.text[0] ? ": " : "";
	if (fresh & 1u << WATCH_BROKEN)
		say("sink %s is broken%s%s", ingest->sink_uri, colon, why.text);
	else if (fresh & 1u << WATCH_EXPIRED)
		say("sink %s: records were dropped after %s of attempts; reading stops%s%s",
		    ingest->sink_uri, ingest->retry_for, colon, why.text);
	else if (fresh & 1u << WATCH_REJECTED)
		say("sink %s rejected records%s%s", ingest->sink_uri, colon, why.text);
	else if (fresh & 1u << WATCH_RETRYING && why.text[0])
		say("sink %s is in trouble, trying for up to %s%s%s", ingest->sink_uri,
		    ingest->retry_for, colon, why.text);
}

static void show_progress(const struct ingest *ingest)
{
	struct weir_stats stats = { .size = sizeof(stats) };
	double seconds = (double)(ingest_now() - ingest->started_ns) / 1e9;
	struct text line = { 0 };

	if (weir_stats(ingest->weir, &stats) < 0)
		return;
	/* ORDER none: relaxed. For people. */
	uint64_t pushed = atomic_load_explicit(&ingest->pushed, memory_order_relaxed);

	text_format(&line, "\r%s records, %s, %s delivered, %s batches\033[K",
	            human_count(pushed).text, human_rate((double)pushed / seconds).text,
	            human_count(stats.delivered).text, human_count(stats.batches).text);
	if (write(STDERR_FILENO, line.data, line.size) < 0)
		say("%s", strerror(errno));
	text_free(&line);
}

/* How long to sleep, in milliseconds; -1: until something happens. */
static int patience(const struct ingest *ingest)
{
	uint64_t give_up, now = ingest_now();

	/* ORDER none: relaxed. This thread wrote it. */
	if (!atomic_load_explicit(&ingest->signalled, memory_order_relaxed))
		return ingest->progress ? 1000 : -1;
	give_up = atomic_load_explicit(&ingest->give_up_ns, memory_order_relaxed);
	if (give_up > UINT64_MAX - OVERRUN)
		return -1;
	if (now >= give_up + OVERRUN)
		return 0;
	return give_up + OVERRUN - now > WEIR_SECONDS(1000)
	               ? 1000000
	               : (int)((give_up + OVERRUN - now) / 1000000u) + 1;
}

static void *watchman_main(void *arg)
{
	struct ingest *ingest = arg;
	struct pollfd fds[2] = { { -1, POLLIN, 0 }, { ingest->word_fd, POLLIN, 0 } };
	uint32_t told = 0;
	eventfd_t count;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	fds[0].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fds[0].fd < 0)
		say("signals cannot be heard: %s", strerror(errno));
	for (;;) {
		int wait = patience(ingest);
		int n = poll(fds, 2, wait);

		if (n > 0 && fds[0].revents)
			take_signal(ingest, fds[0].fd);
		if (n > 0 && fds[1].revents)
			(void)eventfd_read(ingest->word_fd, &count);
		pass_on(ingest, &told);
		/* ORDER none: relaxed. The bell made us look. */
		if (atomic_load_explicit(&ingest->over, memory_order_relaxed))
			break;
		if (n == 0 && wait == 0)
			abandon(ingest, "the drain took longer than close_timeout: abandoned");
		if (ingest->progress && n == 0)
			show_progress(ingest);
	}
	if (fds[0].fd >= 0)
		close(fds[0].fd);
	return NULL;
}

int watchman_start(struct ingest *ingest, pthread_t *ret)
{
	return -pthread_create(ret, NULL, watchman_main, ingest);
}

void watchman_end(struct ingest *ingest, pthread_t thread)
{
	/* ORDER none: relaxed. The bell makes it look. */
	atomic_store_explicit(&ingest->over, 1, memory_order_relaxed);
	ring_bell(ingest->word_fd);
	pthread_join(thread, NULL);
	if (ingest->progress)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
}
