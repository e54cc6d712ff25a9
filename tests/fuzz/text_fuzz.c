/* SPDX-License-Identifier: Apache-2.0 */
/* text_fuzz.c - small parsers of text: CPU lists, units, addresses of sinks, times, JSON. */
#include <errno.h>
#include <weir/sink.h>

#include "../../tools/weir/text.h"
#include "../../tools/weir/when.h"
#include "base/units.h"
#include "fuzz.h"
#include "memory_sys.h"
#include "ring/rings.h"
#include "sink/uri.h"

/* A list that is accepted names its highest CPU somewhere, and none above. */
void fuzz_cpus(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	char *text = feed_text(&feed, size);
	int count = wr_cpus_parse(text);
	long highest = -1;

	FUZZ_TRUE(count == -EINVAL || (count > 0 && count <= (int)WR_TABLE_CPUS));
	for (const char *at = text; count > 0 && *at;) {
		char *end;
		long id;

		if (*at < '0' || *at > '9') {
			FUZZ_TRUE(*at == ',' || *at == '-' || (*at == '\n' && !at[1]));
			at++;
			continue;
		}
		id = strtol(at, &end, 10);
		highest = id > highest ? id : highest;
		at = end;
	}
	FUZZ_TRUE(count < 0 || highest + 1 == count);
	free(text);
}

/* What a plain number with a plain unit means, by the longest arithmetic there is. */
static bool is_near(const char *text, uint64_t value)
{
	char *end;
	long double number = strtold(text, &end), factor = 0, wanted, off;
	static const struct {
		const char *name;
		long double factor;
	} units[] = {
		{ "", 1 },        { "k", 1e3L },      { "K", 1e3L },   { "M", 1e6L },
		{ "G", 1e9L },    { "T", 1e12L },     { "Ki", 1024 },  { "Mi", 1048576 },
		{ "Gi", 1073741824 }, { "Ti", 1099511627776 }, { "ns", 1 }, { "us", 1e3L },
		{ "ms", 1e6L },   { "s", 1e9L },      { "m", 60e9L },  { "h", 3600e9L },
		{ "d", 86400e9L },
	};
	size_t length = strlen(end);

	if (length && end[length - 1] == 'B')
		length--;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i].name) == length && !memcmp(units[i].name, end, length))
			factor = units[i].factor;
	wanted = number * factor;
	off = wanted > (long double)value ? wanted - (long double)value
	                                  : (long double)value - wanted;
	return off <= wanted * 1e-15L;
}

void fuzz_units(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	char *text = feed_text(&feed, size);
	static int (*const parse[])(const char *, uint64_t *) = {
		wr_units_count, wr_units_bytes, wr_units_duration
	};

	for (size_t i = 0; i < 3; i++) {
		uint64_t value = 4711;
		int r = parse[i](text, &value);

		FUZZ_TRUE(r == 0 || r == -EINVAL || r == -ERANGE);
		FUZZ_TRUE(r == 0 || value == 4711);
		FUZZ_TRUE(r || (*text >= '0' && *text <= '9'));
		FUZZ_TRUE(r || is_near(text, value));
	}
	free(text);
}

static void check_parsed(const struct wr_uri *uri, const char *buffer, size_t bytes)
{
	FUZZ_TRUE(uri->scheme == buffer && *uri->scheme);
	FUZZ_TRUE(uri->path >= buffer && uri->path + strlen(uri->path) < buffer + bytes);
	FUZZ_TRUE(uri->option_count <= WR_URI_OPTIONS_MAX);
	for (uint32_t i = 0; i < uri->option_count; i++) {
		const struct wr_uri_option *option = &uri->options[i];

		FUZZ_TRUE(*option->key && option->key > uri->path);
		FUZZ_TRUE(option->value + strlen(option->value) < buffer + bytes);
		FUZZ_TRUE(wr_uri_get(uri, option->key) == option->value);
	}
}

/* Answers must not depend on whether a sentence is asked for. */
static void open_sink(const char *text, unsigned fail_in)
{
	struct weir_why why = { "" };
	struct weir_sink *sink = NULL;
	int first, second;

	memory_reset();
	memory_disk.directory = true;
	FUZZ_TRUE(weir_sink_open(text, NULL, &why) == -EINVAL && why.text[0]);
	FUZZ_TRUE(weir_sink_open(NULL, &sink, &why) == -EINVAL && why.text[0]);
	why.text[0] = '\0';
	memory_disk.fail_at = fail_in > 7 ? fail_in - 7 : 0;
	memory_disk.fail_count = 1;
	memory_disk.fail_with = -EPERM;
	fuzz_fail_memory(fail_in, fail_in && fail_in < 8);
	first = weir_sink_open(text, &sink, &why);
	fuzz_fail_memory(0, 0);
	FUZZ_TRUE((first == 0) == (sink != NULL));
	FUZZ_TRUE(first == 0 || why.text[0]);
	FUZZ_TRUE(memchr(why.text, 0, sizeof(why.text)));
	if (sink)
		sink->ops->close(sink);
	FUZZ_TRUE(disk_open_count() == 0);
	if (fail_in)
		return;
	sink = NULL;
	second = weir_sink_open(text, &sink, NULL);
	FUZZ_TRUE(first == second);
	if (sink)
		sink->ops->close(sink);
}

/* The first byte: which request for memory (1..7) or call of the system fails; then an address. */
void fuzz_uri(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	unsigned fail_in = feed_u8(&feed) % 16;
	char *text = feed_text(&feed, size);
	size_t bytes = strlen(text) + 1;
	char *buffer = malloc(bytes);
	struct wr_uri uri;
	uint64_t value = 1;
	uint32_t choice = 9;
	long live = fuzz_memory_live();

	FUZZ_TRUE(buffer);
	if (wr_uri_parse(text, buffer, &uri, NULL) == 0) {
		check_parsed(&uri, buffer, bytes);
		(void)wr_uri_check(&uri, "", NULL);
		(void)wr_uri_duration(&uri, "interval", &value, NULL);
		if (!wr_uri_choice(&uri, "sync", "none|interval|batch", &choice, NULL))
			FUZZ_TRUE(choice < 3 || (choice == 9 && !wr_uri_get(&uri, "sync")));
	}
	free(buffer);
	open_sink(text, fail_in);
	FUZZ_TRUE(fuzz_memory_live() == live);
	memory_reset();
	free(text);
}

/* What is accepted and written back is the same time. */
void fuzz_when(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	uint64_t now = (uint64_t)feed_u16(&feed) << 46, ns, again;
	char *text = feed_text(&feed, size);

	if (when_parse(text, now, &ns) == 0) {
		struct when when = when_format(ns);

		/* Dates beyond the year 2500 are written, but not read. */
		FUZZ_TRUE(ns / 1000000000 > UINT64_C(16725225600) ||
		          (when_parse(when.text, 0, &again) == 0 && again == ns));
	}
	free(text);
}

/* A reader of the JSON that we write: numbers, strings, nesting. Returns what follows, or NULL. */
static const char *json_value(const char *at, unsigned depth);

static const char *json_quoted(const char *at)
{
	for (at++; *at != '"'; at++) {
		FUZZ_TRUE((unsigned char)*at >= 0x20);
		if (*at != '\\')
			continue;
		at++;
		if (*at == 'u') {
			for (int i = 0; i < 4; i++)
				FUZZ_TRUE(strchr("0123456789abcdef", *++at) && *at);
		} else {
			FUZZ_TRUE(*at && strchr("\"\\ntr", *at));
		}
	}
	return at + 1;
}

static const char *json_inside(const char *at, char end, unsigned depth)
{
	FUZZ_TRUE(depth < 4);
	if (*++at == end)
		return at + 1;
	for (;;) {
		if (end == '}') {
			FUZZ_TRUE(*at == '"');
			at = json_quoted(at);
			FUZZ_TRUE(*at++ == ':');
		}
		at = json_value(at, depth + 1);
		if (*at == end)
			return at + 1;
		FUZZ_TRUE(*at++ == ',');
	}
}

static const char *json_value(const char *at, unsigned depth)
{
	char *end;

	if (*at == '{')
		return json_inside(at, '}', depth);
	if (*at == '[')
		return json_inside(at, ']', depth);
	if (*at == '"')
		return json_quoted(at);
	if (strncmp(at, "true", 4) == 0)
		return at + 4;
	if (strncmp(at, "false", 5) == 0)
		return at + 5;
	(void)strtod(at, &end);
	FUZZ_TRUE(end != at);
	return end;
}

/* Bytes and strings become JSON that is well-formed UTF-8, whatever they are. */
void fuzz_json(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	double real;
	uint64_t bits = feed_u64(&feed);
	size_t count;
	const uint8_t *bytes = feed_bytes(&feed, feed_u16(&feed) % 400, &count);
	char *string = feed_text(&feed, size);
	struct text text = { 0 };
	struct json json = { .text = &text };

	memcpy(&real, &bits, sizeof(real));
	json_open(&json, NULL, '{');
	json_bytes(&json, "bytes", bytes, count);
	json_string(&json, "string", string);
	json_real(&json, "real", real);
	json_u64(&json, "u64", bits);
	json_bool(&json, "bool", bits & 1);
	json_open(&json, "list", '[');
	json_string(&json, NULL, string);
	json_string(&json, NULL, "");
	json_shut(&json, ']');
	json_shut(&json, '}');
	FUZZ_TRUE(text_is_utf8(text.data, text.size));
	text_put(&text, "", 1);
	FUZZ_TRUE(json_value(text.data, 0) == text.data + text.size - 1);
	text_format(&text, "%s%s", human_count(bits).text, string);
	text_format(&text, "%s", string);
	FUZZ_TRUE(strlen(human_bytes(real < 0 ? -real : real).text) < sizeof(struct human));
	FUZZ_TRUE(strlen(human_rate((double)bits).text) < sizeof(struct human));
	text_free(&text);
	free(string);
}
