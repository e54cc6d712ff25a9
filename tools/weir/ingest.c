/* SPDX-License-Identifier: Apache-2.0 */
/* ingest.c - `weir ingest`: the command line, and the run from open to close. thread: main */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "command.h"
#include "ingest.h"

#define PRODUCERS_MAX 1024u
#define NAME_MAX_BYTES 255u

static const struct flag flags[] = {
	{ "sink", "URI",
	  "Where the records go: null: | fd:N[?frame=lines|len32|nul|raw] | "
	  "file:DIR[?sync=none|interval|batch&segment=64MiB&...]; fd:1 by default." },
	{ "producers", "N",
	  "How many threads read; each takes one input after another. 1 by default." },
	{ "frame", "FRAME", "How the input is cut into records: lines (default), len32 or nul." },
	{ "files-from", "FILE",
	  "Read the names of inputs from FILE, one a line; - is standard input." },
	{ "json", NULL,
	  "Print the summary as one JSON object, on standard output, or on standard error when the "
	  "records go there." },
	{ "quiet", NULL, "No summary and no progress unless something went wrong." },
	{ "no-progress", NULL, "No progress line, on a terminal either." },
	{ NULL, NULL, NULL },
};

uint64_t ingest_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int add_input(struct ingest *ingest, const char *path, bool owned)
{
	size_t n = ingest->input_count;

	if ((n & (n + 1)) == 0) { /* full: 0, 1, 3, 7... */
		struct input *more = realloc(ingest->inputs, (2 * n + 1) * sizeof(*more));

		if (!more) {
			say("out of memory after %zu inputs", n);
			return END_CHECK;
		}
		ingest->inputs = more;
	}
	ingest->inputs[n] = (struct input){ .path = path, .owned = owned };
	ingest->input_count++;
	return END_OK;
}

static void free_inputs(struct ingest *ingest)
{
	for (size_t i = 0; i < ingest->input_count; i++)
		if (ingest->inputs[i].owned)
			free((char *)(uintptr_t)ingest->inputs[i].path);
	free(ingest->inputs);
}

static int add_inputs_from(struct ingest *ingest, const char *list)
{
	FILE *file = strcmp(list, "-") == 0 ? stdin : fopen(list, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int r = END_OK;

	ingest->listed = true;
	if (!file) {
		say("cannot open '%s': %s", list, strerror(errno));
		return END_CHECK;
	}
	while (r == END_OK && (length = getline(&line, &room, file)) >= 0) {
		char *name;

		if (length && line[length - 1] == '\n')
			line[--length] = '\0';
		if (!length)
			continue;
		name = strdup(line);
		r = name ? add_input(ingest, name, true) : END_CHECK;
		if (r != END_OK)
			free(name);
	}
	free(line);
	if (file != stdin)
		fclose(file);
	return r;
}

static int take(void *arg, const char *name, const char *value)
{
	struct ingest *ingest = arg;

	if (!name)
		return add_input(ingest, value, false);
	if (strcmp(name, "sink") == 0)
		ingest->sink_uri = value;
	else if (strcmp(name, "json") == 0)
		ingest->json = true;
	else if (strcmp(name, "quiet") == 0)
		ingest->quiet = true;
	else if (strcmp(name, "no-progress") == 0)
		ingest->progress = false;
	else if (strcmp(name, "frame") == 0)
		return frame_parse(value, &ingest->frame);
	else if (strcmp(name, "files-from") == 0)
		return add_inputs_from(ingest, value);
	else if (args_number(value, 1, PRODUCERS_MAX, &ingest->producers) < 0) {
		say("--producers '%s': a number from 1 to %u", value, PRODUCERS_MAX);
		return END_USAGE;
	}
	return END_OK;
}

/* The library's threads block all signals by themselves; ours must not take these either. */
static void block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int open_engine(struct ingest *ingest, const struct weir_config *config)
{
	struct weir_why why = { "" };
	struct weir_sink *sink;
	int r = weir_sink_open(ingest->sink_uri, &sink, &why);

	if (r < 0) {
		say("cannot open sink %s: %s", ingest->sink_uri,
		    why.text[0] ? why.text : strerror(-r));
		return r == -EINVAL || r == -EPROTONOSUPPORT ? END_USAGE : END_SINK;
	}
	r = watch_open(sink, watchman_hear, ingest, &ingest->sink);
	if (r < 0)
		ingest->sink = sink;
	else
		r = weir_open(config, ingest->sink, &ingest->weir, &why);
	if (r < 0) {
		say("cannot start with sink %s: %s", ingest->sink_uri,
		    why.text[0] ? why.text : strerror(-r));
		ingest->sink->ops->close(ingest->sink);
		return r == -EINVAL ? END_USAGE : END_SINK;
	}
	return END_OK;
}

/* Gives each input its source; those of one name follow each other. */
static int name_inputs(struct ingest *ingest)
{
	struct input **last = calloc(UINT16_MAX + 1, sizeof(struct input *));
	int r = END_OK;

	if (!last) {
		say("out of memory");
		return END_CHECK;
	}
	for (size_t i = 0; i < ingest->input_count && r == END_OK; i++) {
		struct input *input = &ingest->inputs[i];
		size_t length = strlen(input->path);
		/* Of a longer name the end tells more than the beginning. */
		int id = weir_source(ingest->weir, length > NAME_MAX_BYTES
		                                           ? input->path + length - NAME_MAX_BYTES
		                                           : input->path);

		if (id < 0) {
			say("'%s' cannot be a source: %s", input->path,
			    id == -ENOSPC ? "more than 65535 inputs" : strerror(-id));
			r = END_USAGE;
			continue;
		}
		input->source = (uint16_t)id;
		input->follows = last[id] != NULL;
		if (last[id])
			last[id]->next = input;
		last[id] = input;
	}
	free(last);
	return r;
}

/* Runs the readers to their end and adds up what they did. 0 or -errno. */
static int run_readers(struct ingest *ingest, struct tally *total)
{
	uint64_t count = ingest->producers < ingest->input_count ? ingest->producers
	                                                          : ingest->input_count;
	struct reader *readers = calloc(count, sizeof(*readers));
	uint64_t started = 0;
	int r = readers ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < count && r == 0; i++) {
		readers[i].ingest = ingest;
		readers[i].room = ingest->record_max + ((size_t)1 << 20);
		readers[i].buffer = malloc(readers[i].room);
		r = readers[i].buffer ? 0 : -ENOMEM;
		if (r == 0)
			r = -pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]);
		if (r == 0)
			started++;
		else
			free(readers[i].buffer);
	}
	if (r < 0)
		ingest_stop(ingest);
	for (uint64_t i = 0; i < started; i++) {
		pthread_join(readers[i].thread, NULL);
		total->records += readers[i].tally.records;
		total->bytes += readers[i].tally.bytes;
		total->unpushed += readers[i].tally.unpushed;
		total->inputs_failed += readers[i].tally.inputs_failed;
		free(readers[i].buffer);
	}
	free(readers);
	return r;
}

/* Delivers what was accepted: for as long as it takes, unless a bound was asked for. */
static void close_engine(struct ingest *ingest, struct weir_close_report *report)
{
	uint64_t now = ingest_now(), until, timeout = WEIR_OFF;

	/* ORDER none: relaxed. If the signal comes later, the watchman keeps the time. */
	if (atomic_load_explicit(&ingest->signalled, memory_order_relaxed)) {
		until = atomic_load_explicit(&ingest->give_up_ns, memory_order_relaxed);
		timeout = until > now ? until - now : 0;
	} else if (ingest->close_bounded ||
	           atomic_load_explicit(&ingest->heard, memory_order_relaxed) &
	                   1u << WATCH_EXPIRED) {
		/* What failed for so long is not waited for as long again. */
		timeout = ingest->close_ns;
	}
	(void)weir_close(ingest->weir, timeout, report);
}

static int run(struct ingest *ingest)
{
	struct weir_close_report report = { .size = sizeof(report) };
	struct tally total = { 0 };
	pthread_t watchman;
	int r, end = name_inputs(ingest);

	if (end == END_OK) {
		r = watchman_start(ingest, &watchman);
		if (r == 0) {
			r = run_readers(ingest, &total);
			close_engine(ingest, &report);
			watchman_end(ingest, watchman);
		}
		if (r < 0)
			say("cannot start a thread: %s", strerror(-r));
		end = r < 0 ? END_CHECK : summary_print(ingest, &total, &report);
	}
	weir_free(ingest->weir);
	return end;
}

static void settle_config(struct ingest *ingest, struct settings *settings)
{
	static char retry_for[64];
	struct weir_config *config = &settings->config;

	ingest->record_max = (size_t)config->record_max;
	ingest->close_ns = config->close_timeout_ns;
	ingest->close_bounded = strcmp(settings_origin(settings, "close_timeout"), "default") != 0;
	if (weir_config_get(config, "batch_total_timeout", retry_for, sizeof(retry_for)) > 0)
		ingest->retry_for = retry_for;
	ingest->progress = ingest->progress && isatty(STDERR_FILENO) && !ingest->quiet;
	/* The engine runs its own thread here, whatever the settings are shared with. */
	config->loop = WEIR_LOOP_THREAD;
}

static int ingest_main(int argc, char **argv)
{
	struct ingest ingest = {
		.sink_uri = "fd:1",
		.retry_for = "ever",
		.producers = 1,
		.progress = true,
		.give_up_ns = UINT64_MAX,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct settings settings;
	int end;

	settings_init(&settings);
	end = args_parse(&command_ingest, argc, argv, &settings, take, &ingest);
	if (end >= 0)
		return end;
	end = settings_apply(&settings);
	if (end == END_OK && !ingest.input_count && !ingest.listed)
		end = add_input(&ingest, "-", false);
	if (end != END_OK)
		return end;
	settle_config(&ingest, &settings);
	block_signals();
	ingest.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ingest.word_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ingest.stop_fd < 0 || ingest.word_fd < 0) {
		say("cannot make an eventfd: %s", strerror(errno));
		return END_CHECK;
	}
	ingest.started_ns = ingest_now();
	end = open_engine(&ingest, &settings.config);
	if (end == END_OK)
		end = run(&ingest);
	free_inputs(&ingest);
	if (ingest.json && end != END_USAGE && finish_output() != END_OK && end == END_OK)
		end = END_CHECK;
	return end;
}

const struct command command_ingest = {
	.name = "ingest",
	.operands = "[FILE...|-]",
	.summary = "push files or standard input through an engine into a sink",
	.more = "Each input's path is its source. A full ring blocks the reader, so that nothing "
	        "is lost. SIGINT or SIGTERM stops reading and drains for up to close_timeout; a "
	        "second one abandons the rest. After the end of the inputs the drain takes as long "
	        "as it needs, unless close_timeout was set.",
	.flags = flags,
	.config = true,
	.run = ingest_main,
};
