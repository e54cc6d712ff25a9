/* SPDX-License-Identifier: Apache-2.0 */
/* when.c - see when.h. */
#include "when.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000000ull

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly @count digits, a value of @least..@most. Moves *at. */
static bool number(const char **at, int count, int least, int most, int *ret)
{
	int value = 0;

	for (int i = 0; i < count; i++, (*at)++) {
		if (!digit(**at))
			return false;
		value = value * 10 + (**at - '0');
	}
	*ret = value;
	return value >= least && value <= most;
}

/* ".25": nanoseconds; digits beyond the ninth are passed over. */
static bool fraction(const char **at, uint64_t *ret_ns)
{
	uint64_t unit = SECOND / 10, ns = 0;

	*ret_ns = 0;
	if (**at != '.')
		return true;
	if (!digit(*++*at))
		return false;
	for (; digit(**at); (*at)++, unit /= 10)
		ns += unit * (uint64_t)(**at - '0');
	*ret_ns = ns;
	return true;
}

static bool whole(const char **at, uint64_t most, uint64_t *ret)
{
	uint64_t value = 0;

	if (!digit(**at))
		return false;
	for (; digit(**at); (*at)++) {
		if (value > most / 10)
			return false;
		value = value * 10 + (uint64_t)(**at - '0');
	}
	*ret = value;
	return value <= most;
}

static int parse_epoch(const char *at, uint64_t *ret_ns)
{
	uint64_t seconds, ns;

	if (!whole(&at, UINT64_MAX / SECOND - 1, &seconds) || !fraction(&at, &ns) || *at)
		return -EINVAL;
	*ret_ns = seconds * SECOND + ns;
	return 0;
}

static int parse_ago(const char *at, uint64_t now_ns, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ms", SECOND / 1000 },     { "s", SECOND },           { "m", 60 * SECOND },
		{ "h", 60 * 60 * SECOND },   { "d", 24 * 3600 * SECOND },
	};
	uint64_t count;

	at += *at == '-';
	if (!whole(&at, UINT32_MAX, &count))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(at, units[i].name) != 0)
			continue;
		if (count > now_ns / units[i].ns)
			*ret_ns = 0;
		else
			*ret_ns = now_ns - count * units[i].ns;
		return 0;
	}
	return -EINVAL;
}

/* "Z", "+01:00", "-0530" or nothing (*ret_local). */
static bool zone(const char *at, int *ret_seconds, bool *ret_local)
{
	int sign, hours, minutes;

	*ret_seconds = 0;
	*ret_local = *at == '\0';
	if (*ret_local || strcmp(at, "Z") == 0 || strcmp(at, "z") == 0)
		return true;
	if (*at != '+' && *at != '-')
		return false;
	sign = *at++ == '-' ? -1 : 1;
	if (!number(&at, 2, 0, 23, &hours))
		return false;
	at += *at == ':';
	if (!number(&at, 2, 0, 59, &minutes) || *at)
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* "T12:30:00.5", or nothing. */
static bool time_of_day(const char **at, struct tm *tm, uint64_t *ret_ns)
{
	*ret_ns = 0;
	if (**at != 'T' && **at != 't' && **at != ' ')
		return true;
	++*at;
	if (!number(at, 2, 0, 23, &tm->tm_hour) || *(*at)++ != ':' ||
	    !number(at, 2, 0, 59, &tm->tm_min))
		return false;
	if (**at != ':')
		return true;
	++*at;
	return number(at, 2, 0, 60, &tm->tm_sec) && fraction(at, ret_ns);
}

static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static int parse_date(const char *at, uint64_t *ret_ns)
{
	struct tm tm = { .tm_isdst = -1 };
	int year, month, offset, day;
	uint64_t ns;
	time_t seconds;
	bool local;

	if (!number(&at, 4, 1970, 2500, &year) || *at++ != '-' ||
	    !number(&at, 2, 1, 12, &month) || *at++ != '-' ||
	    !number(&at, 2, 1, days_in(year, month), &day))
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	if (!time_of_day(&at, &tm, &ns) || !zone(at, &offset, &local))
		return -EINVAL;
	seconds = local ? mktime(&tm) : timegm(&tm) - offset;
	if (seconds < 0)
		return -EINVAL;
	*ret_ns = (uint64_t)seconds * SECOND + ns;
	return 0;
}

int when_parse(const char *text, uint64_t now_ns, uint64_t *ret_ns)
{
	if (*text == '@')
		return parse_epoch(text + 1, ret_ns);
	if (parse_ago(text, now_ns, ret_ns) == 0)
		return 0;
	return parse_date(text, ret_ns);
}

struct when when_format(uint64_t ns)
{
	struct when when;
	time_t seconds = (time_t)(ns / SECOND);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(when.text, sizeof(when.text), "%04d-%02d-%02dT%02d:%02d:%02d.%09lluZ",
	         tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	         (unsigned long long)(ns % SECOND));
	return when;
}
