/* SPDX-License-Identifier: Apache-2.0 */
/* units.c - see units.h. thread: any. */
#include "base/units.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit count_units[] = {
	{ "", 1 },
	{ "k", 1000 },
	{ "K", 1000 },
	{ "M", 1000000 },
	{ "G", 1000000000 },
	{ "T", 1000000000000 },
	{ "Ki", 1ull << 10 },
	{ "Mi", 1ull << 20 },
	{ "Gi", 1ull << 30 },
	{ "Ti", 1ull << 40 },
	{ NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", 60000000000 },
	{ "h", 3600000000000 },
	{ "d", 86400000000000 },
	{ NULL, 0 },
};

/* Up to nine digits after the point: more cannot matter, and the arithmetic stays in 64 bits. */
#define FRACTION_DIGITS_MAX 9

struct number {
	uint64_t whole;
	uint64_t fraction; /* in units of 1 / scale */
	uint64_t scale;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits and fraction; *ret_rest is what follows. */
static int read_number(const char *text, struct number *ret, const char **ret_rest)
{
	struct number n = { .scale = 1 };

	if (!is_digit(*text))
		return -EINVAL;
	for (; is_digit(*text); text++) {
		if (__builtin_mul_overflow(n.whole, 10u, &n.whole) ||
		    __builtin_add_overflow(n.whole, (uint64_t)(*text - '0'), &n.whole))
			return -ERANGE;
	}
	if (*text == '.') {
		int digits = 0;

		for (text++; is_digit(*text); text++) {
			if (++digits > FRACTION_DIGITS_MAX)
				return -EINVAL;
			n.fraction = n.fraction * 10 + (uint64_t)(*text - '0');
			n.scale *= 10;
		}
		if (!digits)
			return -EINVAL;
	}
	*ret = n;
	*ret_rest = text;
	return 0;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static int scaled(const struct number *n, uint64_t factor, uint64_t *ret)
{
	/* Cancelled first, so that no product is larger than what it ends as. */
	uint64_t common = common_divisor(factor, n->scale), scale = n->scale / common;
	uint64_t whole;

	if (n->fraction % scale)
		return -EINVAL;
	if (__builtin_mul_overflow(n->whole, factor, &whole) ||
	    __builtin_add_overflow(whole, n->fraction / scale * (factor / common), &whole))
		return -ERANGE;
	*ret = whole;
	return 0;
}

static int parse(const char *text, const struct unit *units, bool with_b, uint64_t *ret)
{
	struct number n;
	const char *rest;
	int r = read_number(text, &n, &rest);

	if (r < 0)
		return r;
	for (const struct unit *u = units; u->name; u++) {
		size_t length = strlen(u->name);

		if (strncmp(rest, u->name, length) != 0)
			continue;
		if (rest[length] == '\0' || (with_b && rest[length] == 'B' && !rest[length + 1]))
			return scaled(&n, u->factor, ret);
	}
	return -EINVAL;
}

int wr_units_count(const char *text, uint64_t *ret)
{
	return parse(text, count_units, false, ret);
}

int wr_units_bytes(const char *text, uint64_t *ret)
{
	return parse(text, count_units, true, ret);
}

int wr_units_duration(const char *text, uint64_t *ret_ns)
{
	if (strcmp(text, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	return parse(text, duration_units, false, ret_ns);
}
