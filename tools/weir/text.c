/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - see text.h. */
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static void need(struct text *text, size_t more)
{
	size_t room = text->room ? text->room : 256;
	char *data;

	if (text->room - text->size >= more)
		return;
	while (room - text->size < more) {
		if (room > SIZE_MAX / 2)
			goto none;
		room *= 2;
	}
	data = realloc(text->data, room);
	if (!data)
		goto none;
	text->data = data;
	text->room = room;
	return;
none:
	say("out of memory (%zu bytes)", room);
	_exit(END_CHECK);
}

void text_put(struct text *text, const void *data, size_t size)
{
	if (!size)
		return;
	need(text, size);
	memcpy(text->data + text->size, data, size);
	text->size += size;
}

void text_format(struct text *text, const char *format, ...)
{
	va_list list, again;
	int n;

	need(text, 128);
	va_start(list, format);
	va_copy(again, list);
	n = vsnprintf(text->data + text->size, text->room - text->size, format, list);
	va_end(list);
	if (n > 0 && (size_t)n >= text->room - text->size) {
		need(text, (size_t)n + 1);
		n = vsnprintf(text->data + text->size, (size_t)n + 1, format, again);
	}
	va_end(again);
	if (n > 0)
		text->size += (size_t)n;
}

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){ 0 };
}

static void escape(struct text *text, const unsigned char *data, size_t size)
{
	size_t from = 0;

	text_put(text, "\"", 1);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		text_put(text, data + from, i - from);
		from = i + 1;
		if (c == '"' || c == '\\')
			text_format(text, "\\%c", c);
		else if (c == '\n')
			text_put(text, "\\n", 2);
		else if (c == '\t')
			text_put(text, "\\t", 2);
		else if (c == '\r')
			text_put(text, "\\r", 2);
		else
			text_format(text, "\\u%04x", c);
	}
	text_put(text, data + from, size - from);
	text_put(text, "\"", 1);
}

static void begin(struct json *json, const char *key)
{
	if (json->comma)
		text_put(json->text, ",", 1);
	json->comma = true;
	if (!key)
		return;
	escape(json->text, (const unsigned char *)key, strlen(key));
	text_put(json->text, ":", 1);
}

void json_open(struct json *json, const char *key, char bracket)
{
	begin(json, key);
	text_put(json->text, &bracket, 1);
	json->comma = false;
}

void json_shut(struct json *json, char bracket)
{
	text_put(json->text, &bracket, 1);
	json->comma = true;
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
	begin(json, key);
	text_format(json->text, "%llu", (unsigned long long)value);
}

void json_real(struct json *json, const char *key, double value)
{
	begin(json, key);
	/* JSON has no infinity and no "not a number". */
	text_format(json->text, "%.6f", isfinite(value) ? value : 0.0);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	text_format(json->text, "%s", value ? "true" : "false");
}

static void base64(struct text *text, const unsigned char *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	text_put(text, "\"", 1);
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i < 3 ? size - i : 3;
		unsigned word = (unsigned)data[i] << 16;
		char out[4];

		word |= left > 1 ? (unsigned)data[i + 1] << 8 : 0;
		word |= left > 2 ? (unsigned)data[i + 2] : 0;
		for (unsigned k = 0; k < 4; k++)
			out[k] = k <= left ? digits[word >> (18 - 6 * k) & 63] : '=';
		text_put(text, out, 4);
	}
	text_put(text, "\"", 1);
}

void json_bytes(struct json *json, const char *key, const void *data, size_t size)
{
	if (text_is_utf8(data, size)) {
		begin(json, key);
		escape(json->text, data, size);
		return;
	}
	begin(json, NULL);
	text_format(json->text, "\"%s_base64\":", key);
	base64(json->text, data, size);
}

void json_string(struct json *json, const char *key, const char *value)
{
	size_t size = strlen(value);

	if (key) {
		json_bytes(json, key, value, size);
		return;
	}
	begin(json, NULL);
	if (text_is_utf8(value, size))
		escape(json->text, (const unsigned char *)value, size);
	else
		base64(json->text, (const unsigned char *)value, size);
}

bool text_is_utf8(const void *data, size_t size)
{
	const unsigned char *p = data, *end = p + size;

	while (p < end) {
		unsigned c = *p++, more, low = 0x80, high = 0xbf;

		if (c < 0x80)
			continue;
		if (c < 0xc2 || c > 0xf4)
			return false;
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (c == 0xe0)
			low = 0xa0; /* shorter forms exist */
		else if (c == 0xed)
			high = 0x9f; /* surrogates */
		else if (c == 0xf0)
			low = 0x90;
		else if (c == 0xf4)
			high = 0x8f; /* above U+10FFFF */
		for (; more; more--, low = 0x80, high = 0xbf)
			if (p == end || *p < low || *p++ > high)
				return false;
	}
	return true;
}

struct human human_count(uint64_t n)
{
	struct human human;
	char digits[32];
	int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	size_t at = 0;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			human.text[at++] = ',';
		human.text[at++] = digits[i];
	}
	human.text[at] = '\0';
	return human;
}

static struct human scaled(double n, const char *const *units, const char *plain)
{
	struct human human;
	int unit = -1;

	while (n >= 999.5 && unit < 3) {
		n /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(human.text, sizeof(human.text), "%.0f %s", n, plain);
	else
		snprintf(human.text, sizeof(human.text), n < 9.95 ? "%.1f %s" : "%.0f %s", n,
		         units[unit]);
	return human;
}

struct human human_bytes(double bytes)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB" };

	return scaled(bytes, units, "bytes");
}

struct human human_rate(double per_second)
{
	static const char *const units[] = { "k/s", "M/s", "G/s", "T/s" };

	return scaled(per_second, units, "/s");
}
