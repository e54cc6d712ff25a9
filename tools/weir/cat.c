/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cat.c - `weir cat`: the records of a segment log, in the log's order, as they came.
 *
 * One source alone comes back byte for byte. Records of several are kept apart: a last line without
 * its end gets one when a record of another source follows. thread: main
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
#include <weir/log.h>

#include "args.h"
#include "command.h"
#include "frame.h"
#include "join.h"
#include "out.h"
#include "when.h"

static const struct flag flags[] = {
	{ "frame", "FRAME", "How records are set apart: lines (default), len32 or nul." },
	{ "json", NULL,
	  "One JSON object per record: time, engine, seq, source, size, data (or data_base64 when "
	  "it is not UTF-8)." },
	{ "since", "TIME",
	  "Only batches cut at or after TIME: 2026-03-01T12:30:00Z, @SECONDS, or 5m for five "
	  "minutes ago." },
	{ "source", "NAME", "Only the records of this source." },
	{ "follow", NULL, "Wait for more at the end, until interrupted." },
	{ NULL, NULL, NULL },
};

struct cat {
	const char *dir;
	const char *source;
	enum frame frame;
	bool json, follow, since_given;
	uint64_t since_ns;

	struct weir_log_reader *reader;
	struct join join;
	struct out out;
	struct text line;
	uint8_t engine[16];   /* the life that join's sources belong to */
	bool any;             /* engine is set */
	bool open_end;        /* what was written last has no end */
	char open_name[256];  /* whose it was: ids differ from life to life */
	uint64_t unfinished;
	uint64_t damage_told;
	int inotify_fd;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static int take(void *arg, const char *name, const char *value)
{
	struct cat *cat = arg;
	struct timespec now;

	if (!name) {
		if (cat->dir) {
			say("one directory, please: '%s' is a second one", value);
			return END_USAGE;
		}
		cat->dir = value;
		return END_OK;
	}
	if (strcmp(name, "frame") == 0)
		return frame_parse(value, &cat->frame);
	if (strcmp(name, "json") == 0)
		cat->json = true;
	if (strcmp(name, "follow") == 0)
		cat->follow = true;
	if (strcmp(name, "source") == 0)
		cat->source = value;
	if (strcmp(name, "since") != 0)
		return END_OK;
	clock_gettime(CLOCK_REALTIME, &now);
	cat->since_given = true;
	if (when_parse(value, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
	               &cat->since_ns) == 0)
		return END_OK;
	say("--since '%s': a date (2026-03-01), a time (2026-03-01T12:30:00Z), @SECONDS since "
	    "1970, or how long ago (5m)",
	    value);
	return END_USAGE;
}

static struct whence whence_of(const struct cat *cat, const struct weir_record *record)
{
	const char *name = weir_log_source_name(cat->reader, record->source);
	const struct weir_log_batch *batch = weir_log_batch(cat->reader); /* a record has one */

	return (struct whence){ name ? name : "", batch->seq, batch->wall_ns, batch->earliest_ns };
}

static void put_uuid(struct json *json, const char *key, const uint8_t *uuid)
{
	char text[33];

	for (unsigned i = 0; i < 16; i++) {
		text[2 * i] = "0123456789abcdef"[uuid[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[uuid[i] & 15];
	}
	text[32] = '\0';
	json_string(json, key, text);
}

static void put_json(struct cat *cat, const struct weir_record *record,
                     const struct whence *whence, uint32_t parts)
{
	struct json json = { .text = &cat->line };

	cat->line.size = 0;
	json_open(&json, NULL, '{');
	json_string(&json, "time", when_format(whence->earliest_ns).text);
	json_string(&json, "batch_time", when_format(whence->wall_ns).text);
	put_uuid(&json, "engine", cat->engine);
	json_u64(&json, "seq", whence->seq);
	if (record->source)
		json_string(&json, "source", whence->name);
	if (record->uuid)
		put_uuid(&json, "uuid", record->uuid);
	if (record->origin_ns)
		json_u64(&json, "origin_ns", record->origin_ns);
	if (parts > 1)
		json_u64(&json, "parts", parts);
	if (record->flags & WEIR_REC_NO_EOL)
		json_bool(&json, "no_eol", true);
	if (record->flags & WEIR_REC_USER)
		json_u64(&json, "user_flags", record->flags >> 12);
	json_u64(&json, "size", record->size);
	json_bytes(&json, "data", record->data, record->size);
	json_shut(&json, '}');
	text_put(&cat->line, "\n", 1);
	out_put(&cat->out, cat->line.data, cat->line.size);
}

static void put_counted(struct cat *cat, const struct weir_record *record)
{
	uint32_t size = record->size;
	uint8_t prefix[4] = { (uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16),
		              (uint8_t)(size >> 24) };

	out_put(&cat->out, prefix, sizeof(prefix));
	out_put(&cat->out, record->data, record->size);
}

static void put_delimited(struct cat *cat, const struct weir_record *record, const char *name)
{
	const char *end = cat->frame == FRAME_NUL ? "" : "\n";

	if (cat->open_end && strcmp(cat->open_name, name) != 0)
		out_put(&cat->out, end, 1);
	out_put(&cat->out, record->data, record->size);
	cat->open_end = record->flags & (WEIR_REC_NO_EOL | WEIR_REC_CONTINUES);
	if (cat->open_end)
		snprintf(cat->open_name, sizeof(cat->open_name), "%s", name);
	else
		out_put(&cat->out, end, 1);
}

static void put(struct cat *cat, const struct weir_record *record, const struct whence *whence,
                uint32_t parts)
{
	if (cat->json)
		put_json(cat, record, whence, parts);
	else if (cat->frame == FRAME_LEN32)
		put_counted(cat, record);
	else
		put_delimited(cat, record, whence->name);
}

/* What will never become whole is given out as it is. */
static void put_unfinished(struct cat *cat)
{
	struct weir_record record;
	struct whence whence;
	uint32_t parts;

	while (join_rest(&cat->join, &record, &whence, &parts)) {
		put(cat, &record, &whence, parts);
		cat->unfinished++;
	}
}

static void take_record(struct cat *cat, struct weir_record *record)
{
	const struct weir_log_batch *batch = weir_log_batch(cat->reader);
	struct whence whence = whence_of(cat, record);
	uint32_t parts = 1;

	if (!cat->any || memcmp(cat->engine, batch->engine, 16) != 0) {
		put_unfinished(cat);
		memcpy(cat->engine, batch->engine, 16);
		cat->any = true;
	}
	if (cat->source && strcmp(whence.name, cat->source) != 0)
		return;
	/* A single source needs no holding: its parts follow each other as they are. */
	if (cat->source && !cat->json && cat->frame != FRAME_LEN32)
		put(cat, record, &whence, 1);
	else if (join_take(&cat->join, record, &whence, &parts))
		put(cat, record, &whence, parts);
}

/* Says what was found damaged since the last time. */
static void tell_damage(struct cat *cat)
{
	struct weir_log_counts counts = { .size = sizeof(counts) };
	struct weir_why why;

	if (weir_log_counts(cat->reader, &counts) < 0)
		return;
	for (; cat->damage_told < counts.damaged; cat->damage_told++) {
		if (weir_log_damage(cat->reader, (size_t)cat->damage_told, &why) == 0)
			say("damaged: %s", why.text);
	}
}

/* All there is for now. 0 or -errno. */
static int read_on(struct cat *cat)
{
	struct weir_record record;
	int r = 0;

	while (!interrupted && !cat->out.error && (r = weir_log_next(cat->reader, &record)) > 0)
		take_record(cat, &record);
	tell_damage(cat);
	return r < 0 ? r : 0;
}

/* Waits for the directory to change. 0: it has. */
static int wait_for_change(const struct cat *cat, const sigset_t *unblocked)
{
	struct pollfd fd = { cat->inotify_fd, POLLIN, 0 };
	char events[4096];

	if (ppoll(&fd, 1, NULL, unblocked) < 0)
		return -errno;
	return read(cat->inotify_fd, events, sizeof(events)) < 0 ? -errno : 0;
}

static int watch_directory(struct cat *cat, sigset_t *ret_unblocked)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;

	cat->inotify_fd = inotify_init1(IN_CLOEXEC);
	if (cat->inotify_fd < 0 ||
	    inotify_add_watch(cat->inotify_fd, cat->dir,
	                      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
		say("cannot watch '%s': %s", cat->dir, strerror(errno));
		return END_CHECK;
	}
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Taken only while ppoll() sleeps: no signal falls between the look and the sleep. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, ret_unblocked);
	sigdelset(ret_unblocked, SIGINT);
	sigdelset(ret_unblocked, SIGTERM);
	return END_OK;
}

/* Signals are blocked while we read: has one come? */
static bool signal_waits(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM));
}

static int read_log(struct cat *cat)
{
	sigset_t unblocked;
	int r;

	if (cat->follow && watch_directory(cat, &unblocked) != END_OK)
		return END_CHECK;
	for (;;) {
		r = read_on(cat);
		if (r < 0) {
			say("cannot read '%s': %s", cat->dir, strerror(-r));
			return END_CHECK;
		}
		if (!cat->follow || cat->out.error || out_flush(&cat->out) || signal_waits())
			return END_OK;
		r = wait_for_change(cat, &unblocked);
		if (interrupted)
			return END_OK;
		if (r < 0 && r != -EINTR) {
			say("cannot watch '%s': %s", cat->dir, strerror(-r));
			return END_CHECK;
		}
	}
}

static int sum_up(struct cat *cat, int end)
{
	struct weir_log_counts counts = { .size = sizeof(counts) };

	put_unfinished(cat);
	if (out_flush(&cat->out) < 0) {
		if (cat->out.error != -EPIPE)
			say("cannot write: %s", strerror(-cat->out.error));
		return END_CHECK;
	}
	if (cat->unfinished)
		say("%llu records lack their last part", (unsigned long long)cat->unfinished);
	if (weir_log_counts(cat->reader, &counts) < 0)
		return END_CHECK;
	if (counts.torn_bytes)
		say("note: %llu bytes of an unfinished batch at the end were passed over",
		    (unsigned long long)counts.torn_bytes);
	if (!counts.damaged && !counts.gaps)
		return end;
	say("%llu damaged places, %llu batches are missing: what could be read was printed",
	    (unsigned long long)counts.damaged, (unsigned long long)counts.missing_batches);
	return END_CHECK;
}

static int cat_main(int argc, char **argv)
{
	static struct cat cat = { .inotify_fd = -1, .out = { .fd = STDOUT_FILENO } };
	struct weir_why why = { "" };
	int r, end = args_parse(&command_cat, argc, argv, NULL, take, &cat);

	if (end >= 0)
		return end;
	if (!cat.dir) {
		say("which directory?");
		return END_USAGE;
	}
	r = weir_log_open(cat.dir, &cat.reader, &why);
	if (r < 0) {
		if (why.text[0])
			say("%s", why.text);
		else
			say("cannot open '%s': %s", cat.dir, strerror(-r));
		return END_CHECK;
	}
	if (cat.since_given)
		(void)weir_log_seek_time(cat.reader, cat.since_ns);
	end = sum_up(&cat, read_log(&cat));
	if (cat.inotify_fd >= 0)
		close(cat.inotify_fd);
	join_free(&cat.join);
	text_free(&cat.line);
	weir_log_close(cat.reader);
	return end;
}

const struct command command_cat = {
	.name = "cat",
	.operands = "DIR",
	.summary = "print the records of a segment log",
	.more = "Records come in the log's order: by engine life, then by sequence. The parts of a "
	        "record that was longer than record_max are joined. Damage is passed over, named, "
	        "and makes the command end with 1. Times are the earliest at which a record can "
	        "have been pushed.",
	.flags = flags,
	.run = cat_main,
};
