/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - `weir verify`: reads a whole segment log and tells what it found. thread: main */
#include <stdio.h>
#include <string.h>
#include <weir/log.h>

#include "args.h"
#include "command.h"
#include "text.h"

static const struct flag flags[] = {
	{ "json", NULL, "One JSON object." },
	{ NULL, NULL, NULL },
};

struct verify {
	const char *dir;
	bool json;
	struct weir_log_counts counts;
};

static int take(void *arg, const char *name, const char *value)
{
	struct verify *verify = arg;

	if (name) {
		verify->json = true;
		return END_OK;
	}
	if (verify->dir) {
		say("one directory, please: '%s' is a second one", value);
		return END_USAGE;
	}
	verify->dir = value;
	return END_OK;
}

static const struct {
	const char *name, *meaning;
	size_t offset;
} rows[] = {
	{ "segments", "files", offsetof(struct weir_log_counts, segments) },
	{ "engines", "engine lives", offsetof(struct weir_log_counts, engines) },
	{ "batches", "", offsetof(struct weir_log_counts, batches) },
	{ "records", "", offsetof(struct weir_log_counts, records) },
	{ "bytes", "of payload", offsetof(struct weir_log_counts, bytes) },
	{ "damaged", "places that could not be read", offsetof(struct weir_log_counts, damaged) },
	{ "skipped_bytes", "passed over after damage",
	  offsetof(struct weir_log_counts, skipped_bytes) },
	{ "gaps", "jumps in the sequence of an engine life",
	  offsetof(struct weir_log_counts, gaps) },
	{ "missing_batches", "in these gaps", offsetof(struct weir_log_counts, missing_batches) },
	{ "duplicates", "batches met again and not counted",
	  offsetof(struct weir_log_counts, duplicates) },
	{ "torn_bytes", "of an unfinished batch at the end; not damage",
	  offsetof(struct weir_log_counts, torn_bytes) },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static uint64_t value_of(const struct weir_log_counts *counts, size_t row)
{
	uint64_t value;

	memcpy(&value, (const char *)counts + rows[row].offset, sizeof(value));
	return value;
}

static bool is_sound(const struct weir_log_counts *counts)
{
	return !counts->damaged && !counts->gaps;
}

static void print_json(const struct verify *verify, const struct weir_log_reader *reader)
{
	struct text text = { 0 };
	struct json json = { .text = &text };
	struct weir_why why;

	json_open(&json, NULL, '{');
	json_string(&json, "dir", verify->dir);
	json_bool(&json, "ok", is_sound(&verify->counts));
	for (size_t i = 0; i < ROWS; i++)
		json_u64(&json, rows[i].name, value_of(&verify->counts, i));
	json_open(&json, "damage", '[');
	for (size_t i = 0; weir_log_damage(reader, i, &why) == 0; i++)
		json_string(&json, NULL, why.text);
	json_shut(&json, ']');
	json_shut(&json, '}');
	printf("%.*s\n", (int)text.size, text.data);
	text_free(&text);
}

static void print_table(const struct verify *verify, const struct weir_log_reader *reader)
{
	struct weir_why why;
	uint64_t told = 0;

	for (size_t i = 0; i < ROWS; i++)
		printf("%-16s %16s%s%s\n", rows[i].name,
		       human_count(value_of(&verify->counts, i)).text,
		       rows[i].meaning[0] ? "  " : "", rows[i].meaning);
	for (; weir_log_damage(reader, (size_t)told, &why) == 0; told++)
		printf("damaged: %s\n", why.text);
	if (told < verify->counts.damaged)
		printf("damaged: and %s more places\n",
		       human_count(verify->counts.damaged - told).text);
	printf("%s\n", verify->counts.damaged ? "DAMAGED"
	               : verify->counts.gaps ? "INCOMPLETE: batches are missing"
	                                     : "ok");
}

static int read_all(struct verify *verify, struct weir_log_reader *reader)
{
	struct weir_record record;
	int r;

	while ((r = weir_log_next(reader, &record)) > 0)
		;
	if (r < 0) {
		say("cannot read '%s': %s", verify->dir, strerror(-r));
		return END_CHECK;
	}
	verify->counts.size = sizeof(verify->counts);
	if (weir_log_counts(reader, &verify->counts) < 0)
		return END_CHECK;
	if (verify->json)
		print_json(verify, reader);
	else
		print_table(verify, reader);
	if (finish_output() != END_OK)
		return END_CHECK;
	return is_sound(&verify->counts) ? END_OK : END_CHECK;
}

static int verify_main(int argc, char **argv)
{
	struct verify verify = { 0 };
	struct weir_log_reader *reader;
	struct weir_why why = { "" };
	int r, end = args_parse(&command_verify, argc, argv, NULL, take, &verify);

	if (end >= 0)
		return end;
	if (!verify.dir) {
		say("which directory?");
		return END_USAGE;
	}
	r = weir_log_open(verify.dir, &reader, &why);
	if (r < 0) {
		if (why.text[0])
			say("%s", why.text);
		else
			say("cannot open '%s': %s", verify.dir, strerror(-r));
		return END_CHECK;
	}
	end = read_all(&verify, reader);
	weir_log_close(reader);
	return end;
}

const struct command command_verify = {
	.name = "verify",
	.operands = "DIR",
	.summary = "check a segment log: checksums, counts, gaps in the sequence",
	.more = "Ends with 1 when something is damaged or missing, and names each place. An "
	        "unfinished batch at the end of an engine's life is what a crash leaves: it is "
	        "reported, and is not damage.",
	.flags = flags,
	.run = verify_main,
};
