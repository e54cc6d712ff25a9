/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_test.c - the byte stream that records become, and that it stays whole wherever a write
 * stops.
 *
 * A limit on the size of a file stops a write at any byte that is wanted; what must come out is
 * told by a few lines here that know nothing of batches or writes.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sink/fd.h"
#include "test.h"
#include "unit/sink/host.h"

#define PART WEIR_REC_CONTINUES
#define NO_EOL WEIR_REC_NO_EOL
#define RAW WR_FRAME_RAW

struct item {
	uint16_t source, flags;
	const char *text;
	int batch;
};

/* Lines of several sources, parts next to each other and apart, within and across batches. */
static const struct item mixed[] = {
	{ 1, PART, "o", 1 },        { 1, 0, "ne", 1 },
	{ 1, 0, "one", 1 },         { 2, PART, "apart ", 1 },  { 1, 0, "", 1 },
	{ 2, PART, "still ", 1 },   { 1, PART, "next ", 1 },   { 1, PART, "to ", 1 },
	{ 1, 0, "each other", 1 },  { 1, 0, "five", 1 },       { 2, 0, "joined", 2 },
	{ 3, PART, "over ", 2 },    { 3, PART, "the ", 2 },    { 3, 0, "edge", 3 },
	{ 1, NO_EOL, "open", 3 },   { 2, 0, "closes it", 3 },  { 1, PART, "", 3 },
	{ 1, 0, "", 3 },            { 2, PART, "a", 3 },       { 1, PART, "b", 4 },
	{ 2, 0, "a", 4 },           { 1, 0, "b", 4 },          { 1, NO_EOL, "the end", 4 },
};
#define MIXED (sizeof(mixed) / sizeof(mixed[0]))

static const struct item plain[] = {
	{ 1, 0, "one", 1 },  { 1, 0, "", 1 },  { 2, 0, "three", 1 },
	{ 2, 0, "four", 2 }, { 1, 0, "5", 2 },
};
#define PLAIN (sizeof(plain) / sizeof(plain[0]))

struct text {
	char bytes[8192];
	size_t used;
};

static void say(struct text *to, const void *bytes, size_t n)
{
	T_TRUE(to->used + n <= sizeof(to->bytes));
	memcpy(to->bytes + to->used, bytes, n);
	to->used += n;
}

static void say_record(struct text *to, enum wr_fd_frame frame, const struct text *record, int eol)
{
	uint8_t length[4] = { (uint8_t)record->used, (uint8_t)(record->used >> 8), 0, 0 };

	if (frame == WR_FRAME_LEN32)
		say(to, length, 4);
	say(to, record->bytes, record->used);
	if (frame != WR_FRAME_LEN32 && eol)
		say(to, frame == WR_FRAME_NUL ? "" : "\n", 1);
}

/* What is to come out: a line stands where its last part stood. */
static void foretell(struct text *to, enum wr_fd_frame frame, const struct item *items,
		     size_t count)
{
	static struct text parts[4];

	memset(parts, 0, sizeof(parts));
	for (size_t i = 0; i < count; i++) {
		struct text *line = &parts[items[i].source];

		say(line, items[i].text, strlen(items[i].text));
		if (items[i].flags & PART)
			continue;
		say_record(to, frame, line, !(items[i].flags & NO_EOL) || i + 1 < count);
		line->used = 0;
	}
}

static struct host host;
static struct wr_fd fd;
static FILE *file;

static void begin(enum wr_fd_frame frame)
{
	memset(&fd, 0, sizeof(fd));
	if (!file)
		file = tmpfile();
	T_TRUE(file != NULL);
	T_EQ(ftruncate(fileno(file), 0), 0);
	T_EQ(lseek(fileno(file), 0, SEEK_SET), 0);
	fd.fd = fileno(file);
	fd.poll_fd = fd.event_fd = -1;
	fd.frame = frame;
	signal(SIGXFSZ, SIG_IGN);
}

static void limit(rlim_t bytes)
{
	struct rlimit rlimit;

	getrlimit(RLIMIT_FSIZE, &rlimit);
	rlimit.rlim_cur = bytes;
	T_EQ(setrlimit(RLIMIT_FSIZE, &rlimit), 0);
}

/* The n-th batch of the items. */
static struct made *batch_of(const struct item *items, size_t count, int batch)
{
	struct made *made = made_new(&host, (uint64_t)batch);

	for (size_t i = 0; i < count; i++) {
		if (items[i].batch != batch)
			continue;
		if (i % 3 == 0)
			made_cut(made);
		made_add(made, items[i].source, items[i].flags, items[i].text,
		         (uint32_t)strlen(items[i].text));
	}
	return made;
}

static void compare(const struct text *wanted)
{
	static struct text found;

	found.used = (size_t)pread(fd.fd, found.bytes, sizeof(found.bytes), 0);
	if (found.used != wanted->used || memcmp(found.bytes, wanted->bytes, found.used) != 0)
		T_FAIL("found \"%.*s\", not \"%.*s\"", (int)found.used, found.bytes,
		       (int)wanted->used, wanted->bytes);
}

/* Writes all batches; a write that stops is gone on with, as the engine would. Times it stopped. */
static int write_all(const struct item *items, size_t count, int batches)
{
	int stops = 0;

	for (int batch = 1; batch <= batches; batch++) {
		struct made *made = batch_of(items, count, batch), *rest;
		uint64_t done;

		while (wr_frame_batch(&fd, &made->batch, &done) != 0) {
			stops++;
			limit(RLIM_INFINITY);
			rest = made_rest(made, done);
			made_free(made);
			made = rest;
		}
		T_EQ(done, made->batch.records);
		made_free(made);
	}
	return stops;
}

static void stop_everywhere(enum wr_fd_frame frame)
{
	static struct text wanted;

	memset(&wanted, 0, sizeof(wanted));
	foretell(&wanted, frame, mixed, MIXED);
	for (size_t at = 0; at < wanted.used; at++) {
		begin(frame);
		limit(at);
		T_EQ(write_all(mixed, MIXED, 4), 1);
		compare(&wanted);
		T_EQ(wr_frame_finish(&fd), 0);
		compare(&wanted); /* nothing was lacking */
		wr_frame_free(&fd);
	}
	begin(frame);
	T_EQ(write_all(mixed, MIXED, 4), 0);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, lines_stay_whole_wherever_a_write_stops)
{
	stop_everywhere(WR_FRAME_LINES);
}

Test(frame, nul_terminated_records_stay_whole_wherever_a_write_stops)
{
	stop_everywhere(WR_FRAME_NUL);
}

Test(frame, len32_records_stay_whole_wherever_a_write_stops)
{
	stop_everywhere(WR_FRAME_LEN32);
}

Test(frame, raw_records_stay_whole_wherever_a_write_stops)
{
	static struct text wanted;

	for (int batch = 1; batch <= 2; batch++) {
		struct made *made = batch_of(plain, PLAIN, batch);

		for (uint32_t i = 0; i < made->batch.span_count; i++)
			say(&wanted, made->iov[i].iov_base, made->iov[i].iov_len);
		made_free(made);
	}
	for (size_t at = 0; at < wanted.used; at++) {
		begin(RAW);
		limit(at);
		T_EQ(write_all(plain, PLAIN, 2), 1);
		compare(&wanted);
		wr_frame_free(&fd);
	}
}

/* The first batch stops at byte @at and never comes again; the second one does. */
static void lose_the_rest(enum wr_fd_frame frame, size_t at)
{
	struct made *made = batch_of(plain, PLAIN, 1);
	static struct text wanted;
	size_t whole;
	uint64_t done;

	begin(frame);
	limit(at);
	T_EQ(wr_frame_batch(&fd, &made->batch, &done), -EFBIG);
	limit(RLIM_INFINITY);
	made_free(made);
	made = batch_of(plain, PLAIN, 2);
	whole = (size_t)done + fd.torn;
	T_EQ(wr_frame_batch(&fd, &made->batch, &done), 0);
	made_free(made);
	wanted.used = 0;
	foretell(&wanted, frame, plain, whole);
	foretell(&wanted, frame, plain + 3, 2);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, a_torn_record_that_never_comes_again_is_finished_before_the_next)
{
	for (size_t at = 0; at < 3 + 1 + 1 + 5; at++) {
		lose_the_rest(WR_FRAME_LINES, at);
		lose_the_rest(WR_FRAME_NUL, at);
		lose_the_rest(WR_FRAME_LEN32, at);
	}
}

Test(frame, a_torn_record_is_finished_at_the_end_of_the_stream)
{
	struct made *made = batch_of(plain, PLAIN, 1);
	static struct text wanted;
	uint64_t done;

	begin(WR_FRAME_LINES);
	limit(2);
	T_EQ(wr_frame_batch(&fd, &made->batch, &done), -EFBIG);
	T_EQ(done, 0);
	limit(RLIM_INFINITY);
	T_EQ(wr_frame_finish(&fd), 0);
	say(&wanted, "one\n", 4);
	compare(&wanted);
	made_free(made);
	wr_frame_free(&fd);
}

Test(frame, a_torn_line_with_kept_parts_is_finished_and_its_parts_are_forgotten)
{
	static const struct item items[] = {
		{ 2, PART, "a", 1 }, { 1, 0, "x", 1 }, { 2, 0, "b", 2 }, { 2, 0, "c", 3 },
	};
	struct made *made;
	static struct text wanted;
	uint64_t done;

	begin(WR_FRAME_LINES);
	for (int batch = 1; batch <= 3; batch++) {
		limit(batch == 2 ? 3 : RLIM_INFINITY); /* in "ab", after the "a" */
		made = batch_of(items, 4, batch);
		T_EQ(wr_frame_batch(&fd, &made->batch, &done), batch == 2 ? -EFBIG : 0);
		made_free(made);
	}
	say(&wanted, "x\nab\nc\n", 7);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, parts_whose_last_one_never_comes_are_written_at_the_end)
{
	static const struct item items[] = {
		{ 2, PART, "half a ", 1 }, { 1, NO_EOL, "x", 1 }, { 2, PART, "line", 1 },
	};
	static struct text wanted;

	begin(WR_FRAME_LINES);
	T_EQ(write_all(items, 3, 1), 0);
	say(&wanted, "x", 1);
	compare(&wanted);
	T_EQ(wr_frame_finish(&fd), 0);
	say(&wanted, "\nhalf a line\n", 13);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, the_parts_of_every_source_are_written_at_the_end)
{
	static const struct item items[] = {
		{ 2, PART, "two", 1 }, { 3, PART, "three", 1 }, { 1, 0, "x", 1 },
	};
	static struct text wanted;

	begin(WR_FRAME_LINES);
	T_EQ(write_all(items, 3, 1), 0);
	T_EQ(wr_frame_finish(&fd), 0);
	say(&wanted, "x\ntwo\nthree\n", 12);
	compare(&wanted);
	T_TRUE(!fd.kept);
	wr_frame_free(&fd);
}

Test(frame, kept_parts_of_len32_get_their_length_at_the_end)
{
	static const struct item items[] = { { 2, PART, "half", 1 } };
	static struct text wanted;

	begin(WR_FRAME_LEN32);
	T_EQ(write_all(items, 1, 1), 0);
	T_EQ(wr_frame_finish(&fd), 0);
	say(&wanted, "\4\0\0\0half", 8);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, a_line_that_would_keep_too_much_is_broken_and_nothing_is_lost)
{
	static const struct item items[] = {
		{ 2, PART, "abc", 1 }, { 1, 0, "x", 1 }, { 2, PART, "def", 1 }, { 1, 0, "y", 1 },
		{ 2, 0, "g", 1 },
	};
	static struct text wanted;

	begin(WR_FRAME_LINES);
	fd.kept_bytes = (64u << 20) - 4; /* of others */
	T_EQ(write_all(items, 5, 1), 0);
	say(&wanted, "x\nabcdef\ny\ng\n", 13);
	compare(&wanted);
	T_EQ(fd.kept_bytes, (64u << 20) - 4);
	wr_frame_free(&fd);
}

Test(frame, parts_next_to_each_other_are_not_copied)
{
	static const struct item items[] = { { 1, PART, "a", 1 },
					     { 1, PART, "b", 1 },
					     { 1, 0, "c", 1 } };
	struct made *made = batch_of(items, 3, 1);
	uint64_t done;

	begin(WR_FRAME_LINES);
	limit(2); /* stopped between parts: the first two are out, none is kept */
	T_EQ(wr_frame_batch(&fd, &made->batch, &done), -EFBIG);
	T_EQ(done, 2);
	T_TRUE(fd.kept == NULL);
	limit(RLIM_INFINITY);
	made_free(made);
	wr_frame_free(&fd);
}

Test(frame, a_line_that_was_cut_off_between_its_parts_is_ended_before_another_record)
{
	static const struct item items[] = {
		{ 1, PART, "a", 1 }, { 1, PART, "b", 1 }, { 1, 0, "c", 1 }, { 2, 0, "x", 2 },
	};
	struct made *made = batch_of(items, 4, 1);
	static struct text wanted;
	uint64_t done;

	begin(WR_FRAME_LINES);
	limit(2);
	T_EQ(wr_frame_batch(&fd, &made->batch, &done), -EFBIG);
	limit(RLIM_INFINITY);
	made_free(made);
	made = batch_of(items, 4, 2);
	T_EQ(wr_frame_batch(&fd, &made->batch, &done), 0);
	say(&wanted, "ab\nx\n", 5);
	compare(&wanted);
	made_free(made);
	wr_frame_free(&fd);
}

/* Writes batch @batch of the items with a limit on the file. What wr_frame_batch() answers. */
static int write_batch(const struct item *items, size_t count, int batch, rlim_t bytes)
{
	struct made *made = batch_of(items, count, batch);
	uint64_t done;
	int r;

	limit(bytes);
	r = wr_frame_batch(&fd, &made->batch, &done);
	limit(RLIM_INFINITY);
	made_free(made);
	return r;
}

Test(frame, a_torn_record_whose_rest_is_torn_again_is_finished_all_the_same)
{
	static const struct item items[] = { { 1, 0, "abcdef", 1 }, { 1, 0, "x", 2 } };
	static struct text wanted;

	begin(WR_FRAME_LINES);
	T_EQ(write_batch(items, 2, 1, 2), -EFBIG);
	T_EQ(write_batch(items, 2, 2, 4), -EFBIG);
	T_EQ(write_batch(items, 2, 2, RLIM_INFINITY), 0);
	say(&wanted, "abcdef\nx\n", 9);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, a_torn_record_that_comes_after_all_goes_on_behind_what_was_finished_of_it)
{
	static const struct item items[] = { { 1, 0, "abcdef", 1 }, { 1, 0, "x", 2 } };
	static struct text wanted;

	begin(WR_FRAME_LINES);
	T_EQ(write_batch(items, 2, 1, 2), -EFBIG);
	T_EQ(write_batch(items, 2, 2, 4), -EFBIG);
	T_EQ(write_batch(items, 2, 1, RLIM_INFINITY), 0);
	say(&wanted, "abcdef\n", 7);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, a_later_record_of_the_same_batch_is_not_taken_for_the_torn_one)
{
	struct made *made = batch_of(plain, PLAIN, 1), *rest = made_rest(made, 1);
	static struct text wanted;
	uint64_t done;

	begin(WR_FRAME_LINES);
	T_EQ(write_batch(plain, PLAIN, 1, 2), -EFBIG);
	T_EQ(wr_frame_batch(&fd, &rest->batch, &done), 0);
	say(&wanted, "one\n\nthree\n", 11);
	compare(&wanted);
	made_free(made);
	made_free(rest);
	wr_frame_free(&fd);
}

Test(frame, a_torn_last_line_without_a_line_feed_is_ended_before_another_record)
{
	static const struct item items[] = { { 1, NO_EOL, "abc", 1 }, { 1, 0, "x", 2 } };
	static struct text wanted;

	begin(WR_FRAME_LINES);
	T_EQ(write_batch(items, 2, 1, 2), -EFBIG);
	T_EQ(write_batch(items, 2, 2, RLIM_INFINITY), 0);
	say(&wanted, "abc\nx\n", 6);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, a_batch_without_a_byte_counts_and_is_ended_like_any_other)
{
	static const struct item items[] = { { 1, NO_EOL, "", 1 }, { 1, 0, "x", 2 } };
	static struct text wanted;

	begin(WR_FRAME_LINES);
	T_EQ(write_all(items, 2, 2), 0);
	foretell(&wanted, WR_FRAME_LINES, items, 2);
	compare(&wanted);
	wr_frame_free(&fd);
}

Test(frame, a_torn_part_that_comes_again_alone_goes_on_where_it_stopped)
{
	static const struct item whole[] = { { 1, PART, "abc", 1 }, { 1, 0, "def", 1 } };
	static const struct item apart[] = { { 1, PART, "abc", 1 }, { 1, 0, "def", 2 } };
	static struct text wanted;

	begin(WR_FRAME_LINES);
	T_EQ(write_batch(whole, 2, 1, 2), -EFBIG);
	T_EQ(write_batch(apart, 2, 1, RLIM_INFINITY), 0);
	T_EQ(write_batch(apart, 2, 2, RLIM_INFINITY), 0);
	say(&wanted, "abcdef\n", 7);
	compare(&wanted);
	wr_frame_free(&fd);
}

/* The same number and place in another life: its line stands behind the whole of the torn one. */
Test(frame, a_record_of_another_life_is_not_taken_for_the_torn_one)
{
	static const struct item items[] = { { 1, 0, "abc", 1 } };
	struct made *other = batch_of(items, 1, 1);
	static struct text wanted;
	uint64_t done;

	begin(WR_FRAME_LINES);
	T_EQ(write_batch(items, 1, 1, 2), -EFBIG);
	other->batch.engine[15] ^= 1;
	T_EQ(wr_frame_batch(&fd, &other->batch, &done), 0);
	say(&wanted, "abc\nabc\n", 8);
	compare(&wanted);
	made_free(other);
	wr_frame_free(&fd);
}
