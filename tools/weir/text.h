/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - text that grows, JSON in it, and numbers for people.
 *
 * It knows bytes and digits. It does not know what they tell. Running out of memory ends the
 * process with a message: a command has nothing better to do. thread: any, one at a time per
 * object.
 */
#ifndef WEIR_TEXT_H
#define WEIR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero it to begin. */
struct text {
	char *data;
	size_t size, room;
};

void text_put(struct text *text, const void *data, size_t size);
__attribute__((format(printf, 2, 3))) void text_format(struct text *text, const char *format, ...);
void text_free(struct text *text);

/* One JSON value after another into a text; zero it, set text. A key of NULL: inside an array. */
struct json {
	struct text *text;
	bool comma;
};

void json_open(struct json *json, const char *key, char bracket); /* '{' or '[' */
void json_shut(struct json *json, char bracket);                  /* '}' or ']' */
void json_string(struct json *json, const char *key, const char *value);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_real(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
/* Bytes as a string when they are UTF-8, else under KEY_base64. */
void json_bytes(struct json *json, const char *key, const void *data, size_t size);

/* Whether these bytes are UTF-8: shortest form, no surrogates, up to U+10FFFF. */
bool text_is_utf8(const void *data, size_t size);

/* For people; the result lives in the object. */
struct human {
	char text[32];
};
struct human human_count(uint64_t n);       /* 1,234,567 */
struct human human_bytes(double bytes);     /* 1.2 MB */
struct human human_rate(double per_second); /* 4.1 M/s */

#endif
