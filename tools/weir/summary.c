/* SPDX-License-Identifier: Apache-2.0 */
/*
 * summary.c - what came of a run of `weir ingest`, as sentences or as one JSON object.
 *
 * All numbers but those of the readers come from the engine's own counters, so that what is told
 * adds up: accepted = delivered + dropped + pending. thread: main, or the watchman when it abandons
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "ingest.h"
#include "text.h"

static const char *const cause_names[WEIR_CAUSES] = {
	[WEIR_CAUSE_SIZE] = "size",         [WEIR_CAUSE_BYTES] = "bytes",
	[WEIR_CAUSE_DEADLINE] = "deadline", [WEIR_CAUSE_URGENT] = "urgent",
	[WEIR_CAUSE_PRESSURE] = "pressure", [WEIR_CAUSE_MANUAL] = "manual",
	[WEIR_CAUSE_SHUTDOWN] = "shutdown",
};

/* One named number. */
struct figure {
	const char *name;
	uint64_t value;
};

#define DROP_REASONS 5

struct summary {
	const struct ingest *ingest;
	struct tally tally;
	struct weir_stats stats;
	struct weir_why trouble;
	struct figure drops[DROP_REASONS];
	uint64_t dropped;
	double seconds;
	int end;
};

static int how_to_end(const struct summary *summary)
{
	const struct weir_stats *stats = &summary->stats;
	uint64_t by_sink = summary->dropped - stats->dropped_shutdown;
	/* ORDER none: relaxed. */
	uint32_t heard = atomic_load_explicit(&summary->ingest->heard, memory_order_relaxed);

	if (by_sink || heard & 1u << WATCH_BROKEN)
		return END_SINK;
	if (stats->dropped_shutdown || stats->pending || summary->tally.unpushed)
		return END_LEFT;
	return summary->tally.inputs_failed ? END_CHECK : END_OK;
}

static void gather(struct summary *summary, const struct ingest *ingest, const struct tally *tally,
                   const struct weir_close_report *report)
{
	struct weir_stats *stats = &summary->stats;

	summary->ingest = ingest;
	stats->size = sizeof(*stats);
	if (weir_stats(ingest->weir, stats) < 0)
		say("the engine's counters cannot be read");
	if (tally)
		summary->tally = *tally;
	else
		summary->tally.records = stats->accepted;
	if (report)
		summary->trouble = report->trouble;
	summary->drops[0] = (struct figure){ "rejected", stats->dropped_rejected };
	summary->drops[1] = (struct figure){ "timeout", stats->dropped_timeout };
	summary->drops[2] = (struct figure){ "too_large", stats->dropped_too_large };
	summary->drops[3] = (struct figure){ "fatal", stats->dropped_fatal };
	summary->drops[4] = (struct figure){ "shutdown", stats->dropped_shutdown };
	for (unsigned i = 0; i < DROP_REASONS; i++)
		summary->dropped += summary->drops[i].value;
	summary->seconds = (double)(ingest_now() - ingest->started_ns) / 1e9;
	summary->end = how_to_end(summary);
}

static void put_causes(struct json *json, const char *key, const uint64_t *counts)
{
	json_open(json, key, '{');
	for (unsigned i = WEIR_CAUSE_NONE + 1; i < WEIR_CAUSES; i++)
		json_u64(json, cause_names[i], counts[i]);
	json_shut(json, '}');
}

static void put_figures(struct json *json, const struct figure *figures, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_u64(json, figures[i].name, figures[i].value);
}

static void put_numbers(struct json *json, const struct summary *summary)
{
	const struct weir_stats *stats = &summary->stats;
	const uint64_t *flushes = stats->flushes;
	const struct figure figures[] = {
		{ "inputs", summary->ingest->input_count },
		{ "inputs_failed", summary->tally.inputs_failed },
		{ "records", summary->tally.records },
		{ "bytes", summary->tally.bytes },
		{ "not_accepted", summary->tally.unpushed },
		{ "accepted", stats->accepted },
		{ "delivered", stats->delivered },
		{ "pending", stats->pending },
		{ "batches", stats->batches },
		{ "attempts", stats->attempts },
		{ "retries", stats->retries },
		{ "redelivered", stats->redelivered },
		{ "size_flushes", flushes[WEIR_CAUSE_SIZE] + flushes[WEIR_CAUSE_BYTES] },
		{ "timer_flushes", flushes[WEIR_CAUSE_DEADLINE] },
		{ "timer_arms", stats->timer_arms },
		{ "eventfd_writes", stats->eventfd_writes },
		{ "wakeups_trigger", stats->wakeups_trigger },
		{ "wakeups_completion", stats->wakeups_completion },
		{ "wakeups_sink", stats->wakeups_sink },
		{ "wakeups_control", stats->wakeups_control },
		{ "overruns", stats->overruns },
		{ "lateness_max_ns", stats->lateness_max_ns },
		{ "waits", stats->waits },
		{ "rings", stats->rings },
		{ "rings_fallback", stats->rings_fallback },
	};

	put_figures(json, figures, sizeof(figures) / sizeof(figures[0]));
}

static void print_json(const struct summary *summary, FILE *to)
{
	struct text text = { 0 };
	struct json json = { .text = &text };

	json_open(&json, NULL, '{');
	json_string(&json, "sink", summary->ingest->sink_uri);
	json_real(&json, "seconds", summary->seconds);
	put_numbers(&json, summary);
	json_u64(&json, "dropped", summary->dropped);
	json_open(&json, "dropped_by", '{');
	put_figures(&json, summary->drops, DROP_REASONS);
	json_shut(&json, '}');
	put_causes(&json, "flushes", summary->stats.flushes);
	put_causes(&json, "shadow", summary->stats.shadow);
	json_string(&json, "trouble", summary->trouble.text);
	json_u64(&json, "exit", (uint64_t)summary->end);
	json_shut(&json, '}');
	fprintf(to, "%.*s\n", (int)text.size, text.data);
	text_free(&text);
}

/* " (size 12, deadline 1)" from what is not zero. */
static void put_parts(struct text *line, const struct figure *figures, size_t count)
{
	const char *before = " (";

	for (size_t i = 0; i < count; i++) {
		if (!figures[i].value)
			continue;
		text_format(line, "%s%s %s", before, figures[i].name,
		            human_count(figures[i].value).text);
		before = ", ";
	}
	if (before[0] == ',')
		text_put(line, ")", 1);
}

static void print_sentences(const struct summary *summary)
{
	const struct weir_stats *stats = &summary->stats;
	struct figure causes[WEIR_CAUSES - 1];
	struct text line = { 0 };
	double seconds = summary->seconds > 0 ? summary->seconds : 1e-9;

	text_format(&line, "%s records, %s in %.3f s (%s, %s/s)\n",
	            human_count(summary->tally.records).text,
	            human_bytes((double)summary->tally.bytes).text, summary->seconds,
	            human_rate((double)summary->tally.records / seconds).text,
	            human_bytes((double)summary->tally.bytes / seconds).text);
	for (unsigned i = 1; i < WEIR_CAUSES; i++)
		causes[i - 1] = (struct figure){ cause_names[i], stats->flushes[i] };
	text_format(&line, "  %s batches", human_count(stats->batches).text);
	put_parts(&line, causes, WEIR_CAUSES - 1);
	text_format(&line, "\n  %s delivered, %s dropped", human_count(stats->delivered).text,
	            human_count(summary->dropped).text);
	put_parts(&line, summary->drops, DROP_REASONS);
	if (stats->pending)
		text_format(&line, ", %s left", human_count(stats->pending).text);
	if (summary->tally.unpushed)
		text_format(&line, "\n  %s records were read and not accepted",
		            human_count(summary->tally.unpushed).text);
	if (summary->end != END_OK && summary->trouble.text[0])
		text_format(&line, "\n  the sink says: %s", summary->trouble.text);
	say("%.*s", (int)line.size, line.data);
	text_free(&line);
}

/* Whether the records themselves go to standard output. */
static bool output_taken(const char *uri)
{
	return strncmp(uri, "fd:1", 4) == 0 && (uri[4] == '\0' || uri[4] == '?');
}

int summary_print(const struct ingest *ingest, const struct tally *tally,
                  const struct weir_close_report *report)
{
	struct summary summary = { 0 };

	gather(&summary, ingest, tally, report);
	/* What went wrong is said even to those who asked for quiet. */
	if (ingest->json)
		print_json(&summary, output_taken(ingest->sink_uri) ? stderr : stdout);
	else if (!ingest->quiet || summary.end != END_OK)
		print_sentences(&summary);
	return summary.end;
}
