/* SPDX-License-Identifier: Apache-2.0 */
/* property.c - one row: find it, read it, write it, test it. thread: any; pure */
#include "api/property.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/units.h"

/* Digits that may be a signed or a percent number; longer ones are no such number. */
#define DIGITS_MAX 31

const struct wr_property *wr_property_find(const char *key)
{
	for (size_t i = 0; i < wr_property_count; i++) {
		if (strcmp(wr_properties[i].seen.key, key) == 0)
			return &wr_properties[i];
	}
	return NULL;
}

const char *wr_property_nearest(const char *key)
{
	const char *nearest = "preset";
	unsigned least = wr_nearest_distance(key, nearest);

	for (size_t i = 0; i < wr_property_count; i++) {
		unsigned distance = wr_nearest_distance(key, wr_properties[i].seen.key);

		if (distance < least) {
			least = distance;
			nearest = wr_properties[i].seen.key;
		}
	}
	return wr_nearest_is_near(key, least) ? nearest : NULL;
}

size_t wr_property_end(const struct wr_property *property)
{
	static const size_t sizes[] = { 8, 4, 4, sizeof(((struct weir_config *)0)->flusher_name) };

	return property->offset + sizes[property->field];
}

struct wr_value wr_property_load(const struct wr_property *property,
                                 const struct weir_config *config)
{
	const char *at = (const char *)config + property->offset;
	struct wr_value value = { 0 };
	uint32_t u32;
	int32_t i32;

	switch (property->field) {
	case WR_FIELD_U64:
		memcpy(&value.number, at, sizeof(value.number));
		break;
	case WR_FIELD_U32:
		memcpy(&u32, at, sizeof(u32));
		value.number = u32;
		break;
	case WR_FIELD_I32:
		memcpy(&i32, at, sizeof(i32));
		value.number = (uint64_t)(int64_t)i32;
		break;
	case WR_FIELD_NAME:
		memcpy(value.name, at, sizeof(value.name));
		break;
	}
	return value;
}

void wr_property_store(const struct wr_property *property, struct weir_config *config,
                       const struct wr_value *value)
{
	char *at = (char *)config + property->offset;
	uint32_t u32 = (uint32_t)value->number;

	switch (property->field) {
	case WR_FIELD_U64:
		memcpy(at, &value->number, sizeof(value->number));
		break;
	case WR_FIELD_U32:
	case WR_FIELD_I32: /* the low half of two's complement */
		memcpy(at, &u32, sizeof(u32));
		break;
	case WR_FIELD_NAME:
		memcpy(at, value->name, sizeof(value->name));
		break;
	}
}

const char *wr_property_choice(const struct wr_property *property, uint64_t n, size_t *ret_length)
{
	const char *choices = property->seen.choices;

	for (; n; n--) {
		choices = strchr(choices, '|');
		if (!choices)
			return NULL;
		choices++;
	}
	*ret_length = strcspn(choices, "|");
	return choices;
}

/* What a malformed value should have been. */
static const char *expected(const struct wr_property *property)
{
	switch (property->seen.type) {
	case WEIR_TYPE_COUNT:
		return "a count";
	case WEIR_TYPE_BYTES:
		return "a size such as 65536 or 64KiB";
	case WEIR_TYPE_DURATION:
		return "a time with its unit, such as 5ms";
	case WEIR_TYPE_PERCENT:
		return "a percentage";
	case WEIR_TYPE_INTEGER:
		return "a whole number";
	case WEIR_TYPE_ENUM:
		return "one of these";
	case WEIR_TYPE_NAME:
		return "a name";
	}
	return "a value";
}

static int refuse(const struct wr_property *property, const char *text, int error,
                  struct weir_why *why)
{
	char shown[WR_SHOWN_MAX];

	wr_property_shown(text, shown);
	if (error == -ERANGE)
		return wr_why(why, error, "%s = '%s' is out of range: %s", property->seen.key,
		              shown, property->seen.range);
	return wr_why(why, error, "%s = '%s' is not %s: %s", property->seen.key, shown,
	              expected(property), property->seen.range);
}

static int parse_enum(const struct wr_property *property, const char *text, struct wr_value *ret,
                      struct weir_why *why)
{
	char word[16], nearest[16] = "", shown[WR_SHOWN_MAX];
	unsigned least = ~0u;
	const char *choice;
	size_t length;

	for (uint64_t n = 0; (choice = wr_property_choice(property, n, &length)); n++) {
		unsigned distance;

		snprintf(word, sizeof(word), "%.*s", (int)length, choice);
		if (strcmp(text, word) == 0) {
			ret->number = n;
			return 0;
		}
		distance = wr_nearest_distance(text, word);
		if (distance < least) {
			least = distance;
			memcpy(nearest, word, sizeof(nearest));
		}
	}
	if (!wr_nearest_is_near(text, least))
		return refuse(property, text, -EINVAL, why);
	return wr_why(why, -EINVAL, "%s = '%s' is not one of these: %s (did you mean %s?)",
	              property->seen.key, wr_property_shown(text, shown), property->seen.choices,
	              nearest);
}

static bool is_name_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

/* @bytes: a field need not end in NUL. */
static int test_name(const struct wr_property *property, const char *name, size_t bytes)
{
	size_t length = bytes == SIZE_MAX ? strlen(name) : strnlen(name, bytes);

	for (size_t i = 0; i < length; i++) {
		if (!is_name_letter(name[i]))
			return -EINVAL;
	}
	return length < (size_t)property->min   ? -EINVAL
	       : length > (size_t)property->max ? -ERANGE
	                                        : 0;
}

/* Digits alone, with a sign if @is_signed; -EINVAL, -ERANGE. */
static int parse_digits(const char *text, bool is_signed, uint64_t *ret)
{
	bool minus = is_signed && *text == '-';
	uint64_t number;
	int r;

	text += minus;
	if (!*text || text[strspn(text, "0123456789")])
		return -EINVAL;
	r = wr_units_count(text, &number);
	if (r)
		return r;
	if (number > INT64_MAX)
		return -ERANGE;
	*ret = minus ? 0 - number : number;
	return 0;
}

static int parse_percent(const char *text, uint64_t *ret)
{
	char digits[DIGITS_MAX + 1];
	size_t length = strlen(text);

	if (length && text[length - 1] == '%')
		length--;
	if (length > DIGITS_MAX)
		return -EINVAL;
	memcpy(digits, text, length);
	digits[length] = 0;
	return parse_digits(digits, false, ret);
}

static int parse_number(const struct wr_property *property, const char *text, uint64_t *ret)
{
	switch (property->seen.type) {
	case WEIR_TYPE_COUNT:
		return wr_units_count(text, ret);
	case WEIR_TYPE_BYTES:
		return wr_units_bytes(text, ret);
	case WEIR_TYPE_DURATION:
		return wr_units_duration(text, ret);
	case WEIR_TYPE_PERCENT:
		return parse_percent(text, ret);
	default:
		return parse_digits(text, true, ret);
	}
}

/* 0, -EINVAL, -ERANGE. @text is for the message. */
static int test_number(const struct wr_property *property, uint64_t number, const char *text,
                       struct weir_why *why)
{
	bool below, above;

	if (property->field == WR_FIELD_I32) {
		below = (int64_t)number < property->min;
		above = (int64_t)number > property->max;
	} else {
		below = number < (uint64_t)property->min;
		above = number > (uint64_t)property->max;
	}
	if (below && !number && property->seen.flags & WEIR_PROPERTY_OFF)
		return wr_why(why, -EINVAL, "%s = '%s' would never end a batch: %s (use off)",
		              property->seen.key, text, property->seen.range);
	if (below || above)
		return refuse(property, text, -ERANGE, why);
	if (property->power_of_two && number & (number - 1))
		return wr_why(why, -EINVAL, "%s = '%s' is not a power of two: %s",
		              property->seen.key, text, property->seen.range);
	return 0;
}

int wr_property_parse(const struct wr_property *property, const char *text, struct wr_value *ret,
                      struct weir_why *why)
{
	struct wr_value value = { 0 };
	char shown[WR_SHOWN_MAX];
	int r;

	if (property->seen.type == WEIR_TYPE_ENUM) {
		r = parse_enum(property, text, &value, why);
	} else if (property->seen.type == WEIR_TYPE_NAME) {
		r = test_name(property, text, SIZE_MAX);
		if (r)
			return refuse(property, text, r, why);
		memcpy(value.name, text, strlen(text));
	} else if (property->seen.flags & WEIR_PROPERTY_OFF && strcmp(text, "off") == 0) {
		value.number = WEIR_OFF;
		r = 0;
	} else if (property->seen.flags & WEIR_PROPERTY_AUTO && strcmp(text, "auto") == 0) {
		value.number = WEIR_AUTO;
		r = 0;
	} else {
		r = parse_number(property, text, &value.number);
		if (r)
			return refuse(property, text, r, why);
		r = test_number(property, value.number, wr_property_shown(text, shown), why);
	}
	if (!r)
		*ret = value;
	return r;
}

static int parse_switch(const char *text, struct wr_value *ret)
{
	static const char *const words[] = { "1", "true", "yes", "on", "0", "false", "no", "off" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = (struct wr_value){ .number = i < 4 ? WEIR_MODE_ON : WEIR_MODE_OFF };
			return 0;
		}
	}
	return -EINVAL;
}

int wr_property_parse_alias(const struct wr_property *property, const struct wr_alias *alias,
                            const char *text, struct wr_value *ret, struct weir_why *why)
{
	char seconds[DIGITS_MAX + 2], shown[WR_SHOWN_MAX];
	size_t length = strlen(text);

	wr_property_shown(text, shown);
	if (alias->kind == WR_ALIAS_SWITCH) {
		if (parse_switch(text, ret) == 0)
			return 0;
		return wr_why(why, -EINVAL, "'%s' is not one of 1|true|yes|on|0|false|no|off",
		              shown);
	}
	if (alias->kind == WR_ALIAS_SAME)
		return wr_property_parse(property, text, ret, why);
	if (!length || length > DIGITS_MAX || text[strspn(text, "0123456789.")])
		return wr_why(why, -EINVAL, "'%s' is not a number of seconds such as 300 or 0.5",
		              shown);
	snprintf(seconds, sizeof(seconds), "%ss", text);
	return wr_property_parse(property, seconds, ret, why);
}

int wr_property_check(const struct wr_property *property, const struct weir_config *config,
                      struct weir_why *why)
{
	struct wr_value value = wr_property_load(property, config);
	char text[WR_SHOWN_MAX];
	size_t length;
	int r = 0;

	wr_property_print(property, &value, text, sizeof(text));
	if (property->seen.type == WEIR_TYPE_ENUM) {
		if (!wr_property_choice(property, value.number, &length))
			r = refuse(property, text, -EINVAL, why);
	} else if (property->seen.type == WEIR_TYPE_NAME) {
		r = test_name(property, value.name, sizeof(value.name));
		if (r)
			r = refuse(property, text, r, why);
	} else if (!(value.number == WEIR_OFF && property->seen.flags & WEIR_PROPERTY_OFF) &&
	           !(value.number == WEIR_AUTO && property->seen.flags & WEIR_PROPERTY_AUTO)) {
		r = test_number(property, value.number, text, why);
	}
	return r ? -EINVAL : 0;
}
