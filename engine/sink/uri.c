/* SPDX-License-Identifier: Apache-2.0 */
/* uri.c - see uri.h. thread: any */
#include "sink/uri.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/units.h"

int wr_sink_why(struct weir_why *ret_why, int error, const char *format, ...)
{
	va_list args;

	if (ret_why) {
		va_start(args, format);
		vsnprintf(ret_why->text, sizeof(ret_why->text), format, args);
		va_end(args);
	}
	return error;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Length of the scheme that @text starts with; 0: it starts with none. */
static size_t scheme_length(const char *text)
{
	size_t n = 0;

	if (!is_letter(text[0]))
		return 0;
	while (is_letter(text[n]) || is_digit(text[n]) || (text[n] && strchr("+-.", text[n])))
		n++;
	return text[n] == ':' ? n : 0;
}

/* -1: not a hexadecimal digit. */
static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX in place. 0 or -EINVAL. */
static int decode(char *text, struct weir_why *ret_why)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high, low;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		high = hex_digit(from[1]);
		low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || (high | low) == 0)
			return wr_sink_why(
			    ret_why, -EINVAL,
			    "\"%.3s\" in a sink's address stands for no byte; a percent "
			    "sign is written %%25",
			    from);
		*to++ = (char)(high * 16 + low);
		from += 2;
	}
	*to = '\0';
	return 0;
}

/* One KEY=VALUE, which ends at a NUL. */
static int add_option(struct wr_uri *uri, char *text, struct weir_why *ret_why)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return wr_sink_why(ret_why, -EINVAL,
				   "\"%.64s\" in a sink's address is not of the form KEY=VALUE",
				   text);
	*equals = '\0';
	if (wr_uri_get(uri, text))
		return wr_sink_why(ret_why, -EINVAL,
		                   "the option \"%.64s\" stands twice in the sink's address", text);
	if (uri->option_count == WR_URI_OPTIONS_MAX)
		return wr_sink_why(ret_why, -EINVAL, "more than %d options in a sink's address",
		                   WR_URI_OPTIONS_MAX);
	uri->options[uri->option_count++] = (struct wr_uri_option){ text, equals + 1 };
	return decode(equals + 1, ret_why);
}

int wr_uri_parse(const char *text, char *buffer, struct wr_uri *ret, struct weir_why *ret_why)
{
	size_t scheme = scheme_length(text);
	struct wr_uri uri = { 0 };
	char *path, *query;
	int r;

	if (!scheme)
		return wr_sink_why(
		    ret_why, -EINVAL,
		    "\"%.64s\" is no sink's address: it is written SCHEME:PATH, as in "
		    "file:/var/tmp/log or fd:1",
		    text);
	memcpy(buffer, text, strlen(text) + 1);
	buffer[scheme] = '\0';
	path = buffer + scheme + 1;
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	uri.scheme = buffer;
	uri.path = path;
	r = decode(path, ret_why);
	while (!r && query && *query) {
		char *end = strchr(query, '&');

		if (end)
			*end++ = '\0';
		r = add_option(&uri, query, ret_why);
		query = end;
	}
	if (!r)
		*ret = uri;
	return r;
}

/* Takes the next word off an "a|b|c" list. 0: there is none. */
static size_t next_word(const char **list, const char **ret)
{
	size_t length = strcspn(*list, "|");

	*ret = *list;
	*list += length + ((*list)[length] == '|');
	return length;
}

static bool same_word(const char *word, const char *choice, size_t length)
{
	return strlen(word) == length && memcmp(word, choice, length) == 0;
}

struct wr_uri_hint wr_uri_hint(const char *word, const char *choices)
{
	struct wr_uri_hint hint = { "" };
	unsigned least = UINT32_MAX;
	const char *choice;
	size_t length;

	while ((length = next_word(&choices, &choice)) != 0) {
		char copy[WR_NEAREST_MAX + 1];
		unsigned distance;

		snprintf(copy, sizeof(copy), "%.*s", (int)length, choice);
		distance = wr_nearest_distance(word, copy);
		if (distance >= least || !wr_nearest_is_near(word, distance))
			continue;
		least = distance;
		snprintf(hint.text, sizeof(hint.text), " (did you mean %s?)", copy);
	}
	return hint;
}

static bool is_choice(const char *word, const char *choices, uint32_t *ret_index)
{
	const char *choice;
	size_t length;

	for (uint32_t i = 0; (length = next_word(&choices, &choice)) != 0; i++) {
		if (same_word(word, choice, length)) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

int wr_uri_check(const struct wr_uri *uri, const char *names, struct weir_why *ret_why)
{
	for (uint32_t i = 0; i < uri->option_count; i++) {
		const char *key = uri->options[i].key;
		uint32_t ignored;

		if (is_choice(key, names, &ignored))
			continue;
		if (!names[0])
			return wr_sink_why(ret_why, -EINVAL,
					   "%s: takes no options, and no \"%.64s\"", uri->scheme,
					   key);
		return wr_sink_why(ret_why, -EINVAL, "%s: has no option \"%.64s\"%s; it has %s",
		                   uri->scheme, key, wr_uri_hint(key, names).text, names);
	}
	return 0;
}

const char *wr_uri_get(const struct wr_uri *uri, const char *key)
{
	for (uint32_t i = 0; i < uri->option_count; i++)
		if (strcmp(uri->options[i].key, key) == 0)
			return uri->options[i].value;
	return NULL;
}

static int bad_value(const struct wr_uri *uri, const char *key, int error, const char *wanted,
                     struct weir_why *ret_why)
{
	return wr_sink_why(ret_why, -EINVAL, "%s: %s=%.64s %s", uri->scheme, key,
	                   wr_uri_get(uri, key), error == -ERANGE ? "is too large" : wanted);
}

int wr_uri_bytes(const struct wr_uri *uri, const char *key, uint64_t *value,
                 struct weir_why *ret_why)
{
	const char *text = wr_uri_get(uri, key);
	int r = text ? wr_units_bytes(text, value) : 0;

	return r ? bad_value(uri, key, r, "is no size, such as 64MiB", ret_why) : 0;
}

int wr_uri_duration(const struct wr_uri *uri, const char *key, uint64_t *value_ns,
                    struct weir_why *ret_why)
{
	const char *text = wr_uri_get(uri, key);
	int r = text ? wr_units_duration(text, value_ns) : 0;

	return r ? bad_value(uri, key, r, "is no time, such as 200ms", ret_why) : 0;
}

int wr_uri_choice(const struct wr_uri *uri, const char *key, const char *choices, uint32_t *value,
                  struct weir_why *ret_why)
{
	const char *text = wr_uri_get(uri, key);

	if (!text || is_choice(text, choices, value))
		return 0;
	return wr_sink_why(ret_why, -EINVAL, "%s: %s=%.64s is none of %s%s", uri->scheme, key, text,
	                   choices, wr_uri_hint(text, choices).text);
}
