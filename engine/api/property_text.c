/* SPDX-License-Identifier: Apache-2.0 */
/* property_text.c - what a person reads: values as text, and sentences. thread: any; pure */
#include "api/property.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit byte_units[] = {
	{ "GiB", 1u << 30 },
	{ "MiB", 1u << 20 },
	{ "KiB", 1u << 10 },
	{ "", 1 },
};

static const struct unit time_units[] = {
	{ "d", 86400000000000 }, { "h", 3600000000000 }, { "m", 60000000000 }, { "s", 1000000000 },
	{ "ms", 1000000 },       { "us", 1000 },         { "ns", 1 },
};

int wr_why(struct weir_why *why, int error, const char *format, ...)
{
	va_list args;

	if (!why)
		return error;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

const char *wr_property_shown(const char *text, char shown[WR_SHOWN_MAX])
{
	size_t length = strlen(text), room = WR_SHOWN_MAX - 1, half = (room - 3) / 2;

	if (length <= room)
		memcpy(shown, text, length + 1);
	else
		snprintf(shown, WR_SHOWN_MAX, "%.*s...%s", (int)half, text, text + length - half);
	for (char *c = shown; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return shown;
}

void wr_property_unknown(struct weir_why *why, const char *what, const char *word,
                         const char *nearest)
{
	char shown[WR_SHOWN_MAX];

	wr_property_shown(word, shown);
	if (nearest)
		wr_why(why, 0, "unknown %s '%s' (did you mean %s?)", what, shown, nearest);
	else
		wr_why(why, 0, "unknown %s '%s'", what, shown);
}

static size_t print_in_units(const struct unit *unit, uint64_t number, char *text, size_t bytes)
{
	if (!number)
		return (size_t)snprintf(text, bytes, "0");
	while (number % unit->factor)
		unit++;
	return (size_t)snprintf(text, bytes, "%" PRIu64 "%s", number / unit->factor, unit->name);
}

static size_t print_choice(const struct wr_property *property, uint64_t number, char *text,
                           size_t bytes)
{
	size_t length;
	const char *choice = wr_property_choice(property, number, &length);

	if (!choice)
		return (size_t)snprintf(text, bytes, "%" PRIu64, number);
	return (size_t)snprintf(text, bytes, "%.*s", (int)length, choice);
}

size_t wr_property_print(const struct wr_property *property, const struct wr_value *value,
                         char *text, size_t bytes)
{
	uint64_t number = value->number;

	if (number == WEIR_OFF && property->seen.flags & WEIR_PROPERTY_OFF)
		return (size_t)snprintf(text, bytes, "off");
	if (number == WEIR_AUTO && property->seen.flags & WEIR_PROPERTY_AUTO)
		return (size_t)snprintf(text, bytes, "auto");
	switch (property->seen.type) {
	case WEIR_TYPE_COUNT:
		break;
	case WEIR_TYPE_BYTES:
		return print_in_units(byte_units, number, text, bytes);
	case WEIR_TYPE_DURATION:
		return print_in_units(time_units, number, text, bytes);
	case WEIR_TYPE_PERCENT:
		return (size_t)snprintf(text, bytes, "%" PRIu64 "%%", number);
	case WEIR_TYPE_ENUM:
		return print_choice(property, number, text, bytes);
	case WEIR_TYPE_INTEGER:
		return (size_t)snprintf(text, bytes, "%" PRId64, (int64_t)number);
	case WEIR_TYPE_NAME: /* may lack its NUL when a caller wrote the field */
		return (size_t)snprintf(text, bytes, "%.*s", (int)sizeof(value->name), value->name);
	}
	return (size_t)snprintf(text, bytes, "%" PRIu64, number);
}
