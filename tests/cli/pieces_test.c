/* SPDX-License-Identifier: Apache-2.0 */
/* pieces_test.c - the parts of the command that are plain functions: frames, JSON, times, joining. */
#include "test.h"

#include <stdarg.h>
#include <weir/record.h>

#include "../../tools/weir/command.h"
#include "../../tools/weir/frame.h"
#include "../../tools/weir/join.h"
#include "../../tools/weir/text.h"
#include "../../tools/weir/when.h"

/* Stands in for main.c. */
static char said[256];

void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(said, sizeof(said), format, list);
	va_end(list);
}

/* "data/flags,..." of what comes out when @bytes are fed @step at a time. */
static const char *split(enum frame frame, size_t record_max, const char *bytes, size_t size,
                         size_t step)
{
	static char out[512];
	struct splitter splitter = { .frame = frame, .record_max = record_max };
	struct piece piece;
	size_t begin = 0, end = 0, at = 0;

	out[0] = '\0';
	do {
		end = size - end < step ? size : end + step;
		while (splitter_next(&splitter, (const uint8_t *)bytes + begin, end - begin,
		                     end == size, &piece)) {
			at += (size_t)snprintf(out + at, sizeof(out) - at, "%.*s%s,", (int)piece.size,
			                       (const char *)piece.data,
			                       piece.flags == WEIR_REC_CONTINUES ? "+"
			                       : piece.flags == WEIR_REC_NO_EOL  ? "!"
			                       : piece.flags                     ? "?"
			                                                         : "");
			begin += piece.used;
		}
	} while (end < size);
	if (splitter.truncated)
		snprintf(out + at, sizeof(out) - at, "TRUNCATED");
	else if (begin != size)
		snprintf(out + at, sizeof(out) - at, "LEFT %zu", size - begin);
	return out;
}

static void splits(enum frame frame, size_t record_max, const char *bytes, size_t size,
                   const char *wanted)
{
	for (size_t step = 1; step <= size + 1; step++)
		T_STR(split(frame, record_max, bytes, size, step), wanted);
}

#define LINES(text, wanted) splits(FRAME_LINES, 4, text, sizeof(text) - 1, wanted)
#define COUNTED(text, wanted) splits(FRAME_LEN32, 4, text, sizeof(text) - 1, wanted)

Test(frame, lines_end_at_line_feeds_however_they_arrive)
{
	LINES("ab\ncd\n", "ab,cd,");
}

Test(frame, empty_lines_are_records)
{
	LINES("\n\na\n\n", ",,a,,");
}

Test(frame, nothing_is_no_record)
{
	LINES("", "");
}

Test(frame, last_line_without_its_end_is_marked)
{
	LINES("ab\nc", "ab,c!,");
}

Test(frame, line_of_record_max_is_whole)
{
	LINES("abcd\ne\n", "abcd,e,");
}

Test(frame, line_of_record_max_without_end_is_whole)
{
	LINES("abcd", "abcd!,");
}

Test(frame, line_one_above_record_max_continues)
{
	LINES("abcde\nf\n", "abcd+,e,f,");
}

Test(frame, line_of_twice_record_max_has_two_parts)
{
	LINES("abcdefgh\n", "abcd+,efgh,");
}

Test(frame, long_line_without_end_continues_and_is_marked)
{
	LINES("abcdefghi", "abcd+,efgh+,i!,");
}

Test(frame, zero_bytes_do_not_end_lines)
{
	struct splitter s = { .frame = FRAME_LINES, .record_max = 100 };
	struct piece piece;

	T_EQ(splitter_next(&s, (const uint8_t *)"a\0b\n", 4, false, &piece), 1);
	T_EQ(piece.size, 3);
	T_EQ(piece.used, 4);
}

Test(frame, zero_bytes_end_nul_frames_and_line_feeds_do_not)
{
	splits(FRAME_NUL, 10, "a\nb\0\0c", 6, "a\nb,,c!,");
}

Test(frame, counted_records_are_as_long_as_they_say)
{
	COUNTED("\2\0\0\0ab\0\0\0\0\3\0\0\0cde", "ab,,cde,");
}

Test(frame, counted_record_of_record_max_is_whole)
{
	COUNTED("\4\0\0\0abcd\1\0\0\0e", "abcd,e,");
}

Test(frame, counted_record_above_record_max_continues)
{
	COUNTED("\5\0\0\0abcde\10\0\0\0fghijklm", "abcd+,e,fghi+,jklm,");
}

Test(frame, length_is_little_endian)
{
	struct splitter s = { .frame = FRAME_LEN32, .record_max = 1000 };
	uint8_t bytes[4 + 258] = { 2, 1 };
	struct piece piece;

	T_EQ(splitter_next(&s, bytes, sizeof(bytes) - 1, false, &piece), 0);
	T_EQ(splitter_next(&s, bytes, sizeof(bytes), false, &piece), 1);
	T_EQ(piece.size, 258);
}

Test(frame, record_that_lacks_bytes_is_given_out_marked)
{
	COUNTED("\1\0\0\0a\3\0\0\0bc", "a,bc!,TRUNCATED");
}

Test(frame, record_that_lacks_its_last_part_is_truncated)
{
	COUNTED("\6\0\0\0abcd", "abcd+,TRUNCATED");
}

Test(frame, half_a_length_is_truncated)
{
	COUNTED("\1\0\0\0a\3\0", "a,TRUNCATED");
}

Test(frame, counted_record_of_which_only_the_length_came_is_nothing_but_truncated)
{
	COUNTED("\5\0\0\0", "TRUNCATED");
	COUNTED("\1\0\0\0a\3\0\0\0", "a,TRUNCATED");
}

Test(frame, bytes_without_an_end_are_looked_at_once)
{
	struct splitter s = { .frame = FRAME_LINES, .record_max = 100 };
	struct piece piece;

	T_EQ(splitter_next(&s, (const uint8_t *)"abc", 3, false, &piece), 0);
	/* Had the first three been looked at again, this would be an end. */
	T_EQ(splitter_next(&s, (const uint8_t *)"a\ncd", 4, false, &piece), 0);
	T_EQ(splitter_next(&s, (const uint8_t *)"a\ncd\n", 5, false, &piece), 1);
	T_EQ(piece.size, 4);
}

Test(frame, names_of_frames_are_understood_and_others_named)
{
	enum frame frame;

	T_EQ(frame_parse("nul", &frame), END_OK);
	T_EQ(frame, FRAME_NUL);
	T_EQ(frame_parse("len32", &frame), END_OK);
	T_EQ(frame, FRAME_LEN32);
	T_EQ(frame_parse("lines", &frame), END_OK);
	T_EQ(frame, FRAME_LINES);
	T_EQ(frame_parse("line", &frame), END_USAGE);
	T_TRUE(strstr(said, "'line'"));
}

static const char *in_json(const void *data, size_t size)
{
	static char out[256];
	struct text text = { 0 };
	struct json json = { .text = &text };

	json_open(&json, NULL, '{');
	json_bytes(&json, "k", data, size);
	json_shut(&json, '}');
	snprintf(out, sizeof(out), "%.*s", (int)text.size, text.data);
	text_free(&text);
	return out;
}

Test(json, quotes_and_backslashes_are_escaped)
{
	T_STR(in_json("a\"b\\c", 5), "{\"k\":\"a\\\"b\\\\c\"}");
}

Test(json, control_characters_are_escaped)
{
	T_STR(in_json("\n\t\r\0\x1f ", 6), "{\"k\":\"\\n\\t\\r\\u0000\\u001f \"}");
}

Test(json, utf8_is_left_as_it_is)
{
	T_STR(in_json("\xc3\xbc\xe2\x82\xac\xf0\x9f\x8c\x8a", 9),
	      "{\"k\":\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x8c\x8a\"}");
}

Test(json, other_bytes_are_base64_under_another_key)
{
	T_STR(in_json("\xff", 1), "{\"k_base64\":\"/w==\"}");
	T_STR(in_json("\xff\xfe", 2), "{\"k_base64\":\"//4=\"}");
	T_STR(in_json("\xff\xfe\xfd", 3), "{\"k_base64\":\"//79\"}");
	T_STR(in_json("\xff" "abc", 4), "{\"k_base64\":\"/2FiYw==\"}");
}

Test(json, nothing_is_an_empty_string)
{
	T_STR(in_json("", 0), "{\"k\":\"\"}");
}

Test(json, values_are_set_apart_at_every_depth)
{
	struct text text = { 0 };
	struct json json = { .text = &text };

	json_open(&json, NULL, '{');
	json_u64(&json, "a", UINT64_MAX);
	json_open(&json, "b", '[');
	json_string(&json, NULL, "x");
	json_string(&json, NULL, "y");
	json_open(&json, NULL, '{');
	json_shut(&json, '}');
	json_shut(&json, ']');
	json_bool(&json, "c", true);
	json_bool(&json, "d", false);
	json_real(&json, "e", 1.5);
	json_shut(&json, '}');
	text_put(&text, "", 1);
	T_STR(text.data, "{\"a\":18446744073709551615,\"b\":[\"x\",\"y\",{}],\"c\":true,\"d\":false,"
	                 "\"e\":1.500000}");
	text_free(&text);
}

Test(json, infinity_becomes_a_number)
{
	struct text text = { 0 };
	struct json json = { .text = &text };

	json_real(&json, NULL, 1.0 / 0.0);
	text_put(&text, "", 1);
	T_STR(text.data, "0.000000");
	text_free(&text);
}

Test(text, utf8_is_told_from_other_bytes)
{
	static const struct {
		const char *bytes;
		bool valid;
	} rows[] = {
		{ "plain", true },
		{ "\x7f", true },
		{ "\x80", false },             /* a continuation alone */
		{ "\xc3", false },             /* cut off */
		{ "\xc3\xbc", true },
		{ "\xc3(", false },
		{ "\xc0\x80", false },         /* longer than need be */
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xe0\xa0\x80", true },
		{ "\xed\x9f\xbf", true },
		{ "\xed\xa0\x80", false },     /* a surrogate */
		{ "\xef\xbf\xbf", true },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf0\x90\x80\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", false },
		{ "\xe2\x82", false },
		{ "ok\xff", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (text_is_utf8(rows[i].bytes, strlen(rows[i].bytes)) != rows[i].valid)
			T_FAIL("row %zu is %s", i, rows[i].valid ? "refused" : "taken");
}

Test(text, formatted_text_of_any_length_is_whole)
{
	struct text text = { 0 };
	char wide[1000];

	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	text_format(&text, "%d-", 7);
	text_format(&text, "%s", wide);
	text_format(&text, "-%s", "end");
	T_EQ(text.size, 2 + 999 + 4);
	T_EQ(memcmp(text.data, "7-www", 5), 0);
	T_EQ(memcmp(text.data + text.size - 5, "w-end", 5), 0);
	text_free(&text);
}

Test(text, counts_have_commas)
{
	T_STR(human_count(0).text, "0");
	T_STR(human_count(999).text, "999");
	T_STR(human_count(1000).text, "1,000");
	T_STR(human_count(1234567).text, "1,234,567");
	T_STR(human_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
}

Test(text, sizes_have_two_digits_and_a_unit)
{
	T_STR(human_bytes(0).text, "0 bytes");
	T_STR(human_bytes(999).text, "999 bytes");
	T_STR(human_bytes(1000).text, "1.0 kB");
	T_STR(human_bytes(1234567).text, "1.2 MB");
	T_STR(human_bytes(56e9).text, "56 GB");
	T_STR(human_rate(4.14e6).text, "4.1 M/s");
}

#define NOW 1800000000000000000ull

Test(when, times_are_understood)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {
		{ "@0", 0 },
		{ "@1767225600", 1767225600000000000ull },
		{ "@1767225600.25", 1767225600250000000ull },
		{ "@1.0000000019", 1000000001ull },
		{ "2026-01-01T00:00:00Z", 1767225600000000000ull },
		{ "2026-01-01T00:00Z", 1767225600000000000ull },
		{ "2026-01-01t00:00:00.5z", 1767225600500000000ull },
		{ "2026-01-01 01:00:00+01:00", 1767225600000000000ull },
		{ "2025-12-31T18:30:00-0530", 1767225600000000000ull },
		{ "2024-02-29T00:00:00Z", 1709164800000000000ull },
		{ "2000-02-29T00:00:00Z", 951782400000000000ull },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "5m", NOW - 300000000000ull },
		{ "-5m", NOW - 300000000000ull },
		{ "90s", NOW - 90000000000ull },
		{ "250ms", NOW - 250000000ull },
		{ "2h", NOW - 7200000000000ull },
		{ "1d", NOW - 86400000000000ull },
		{ "99999d", 0 },
		{ "0s", NOW },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ns = 1;

		if (when_parse(rows[i].text, NOW, &ns) != 0 || ns != rows[i].ns)
			T_FAIL("%s is %llu", rows[i].text, (unsigned long long)ns);
	}
}

Test(when, times_that_are_none_are_refused)
{
	static const char *const rows[] = {
		"", "@", "@x", "@1.", "@1x", "@18446744073709551617", "5", "5x", "m", "--5m", "4294967296s",
		"2026", "2026-1-1", "2026-00-01", "2026-13-01", "2026-02-29", "2026-04-31", "2026-01-00",
		"1969-12-31", "2026-01-01T", "2026-01-01T24:00", "2026-01-01T10:60", "2026-01-01T10:00:61",
		"2026-01-01T10:00:00.", "2026-01-01T10:00:00Zx", "2026-01-01T10:00:00+1",
		"2026-01-01T10:00:00+24:00", "2026-01-01x", "1970-01-01T00:00:00+01:00",
		"2100-02-29",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ns = 77;

		if (when_parse(rows[i], NOW, &ns) == 0)
			T_FAIL("%s was taken", rows[i]);
		T_EQ(ns, 77);
	}
}

Test(when, date_without_zone_is_local)
{
	uint64_t ns;

	setenv("TZ", "UTC-3", 1); /* three hours east */
	T_EQ(when_parse("2026-01-01", NOW, &ns), 0);
	T_EQ(ns, 1767225600000000000ull - 3 * 3600000000000ull);
}

Test(when, times_are_written_in_utc_with_nanoseconds)
{
	T_STR(when_format(1767225600000000042ull).text, "2026-01-01T00:00:00.000000042Z");
}

static struct weir_record part(uint16_t source, const char *text, uint16_t flags)
{
	return (struct weir_record){ .data = text,
		                     .size = (uint32_t)strlen(text),
		                     .source = source,
		                     .flags = (uint16_t)(WEIR_REC_COMMITTED | flags) };
}

static struct whence whence = { .name = "" };

Test(join, whole_record_passes_through_as_it_is)
{
	struct join join = { 0 };
	struct weir_record record = part(9, "whole", 0);
	const void *data = record.data;
	uint32_t parts = 0;

	T_EQ(join_take(&join, &record, &whence, &parts), 1);
	T_TRUE(record.data == data);
	T_EQ(parts, 1);
	join_free(&join);
}

Test(join, parts_of_mixed_sources_are_joined_each_with_its_own)
{
	struct join join = { 0 };
	uint32_t parts = 0;
	struct weir_record a1 = part(1, "a1", WEIR_REC_CONTINUES), b1 = part(200, "b1", WEIR_REC_CONTINUES),
	                   a2 = part(1, "a2", WEIR_REC_CONTINUES), other = part(3, "c", 0),
	                   b2 = part(200, "b2", 0), a3 = part(1, "a3", WEIR_REC_NO_EOL);

	T_EQ(join_take(&join, &a1, &whence, &parts), 0);
	T_EQ(join_take(&join, &b1, &whence, &parts), 0);
	T_EQ(join_take(&join, &a2, &whence, &parts), 0);
	T_EQ(join_take(&join, &other, &whence, &parts), 1);
	T_EQ(parts, 1);
	T_EQ(join_take(&join, &b2, &whence, &parts), 1);
	T_EQ(parts, 2);
	T_EQ(b2.size, 4);
	T_EQ(memcmp(b2.data, "b1b2", 4), 0);
	T_EQ(join_take(&join, &a3, &whence, &parts), 1);
	T_EQ(parts, 3);
	T_EQ(a3.size, 6);
	T_EQ(memcmp(a3.data, "a1a2a3", 6), 0);
	T_TRUE(a3.flags & WEIR_REC_NO_EOL);
	join_free(&join);
}

Test(join, source_starts_anew_after_a_joined_record)
{
	struct join join = { 0 };
	uint32_t parts = 0;
	struct weir_record first = part(1, "x", WEIR_REC_CONTINUES), last = part(1, "y", 0),
	                   next = part(1, "z", 0);

	T_EQ(join_take(&join, &first, &whence, &parts), 0);
	T_EQ(join_take(&join, &last, &whence, &parts), 1);
	T_EQ(join_take(&join, &next, &whence, &parts), 1);
	T_EQ(parts, 1);
	T_EQ(next.size, 1);
	join_free(&join);
}

Test(join, what_never_became_whole_is_given_out_once)
{
	struct join join = { 0 };
	uint32_t parts = 0;
	struct weir_record one = part(5, "one", WEIR_REC_CONTINUES), got;

	T_EQ(join_rest(&join, &got, &whence, &parts), 0);
	T_EQ(join_take(&join, &one, &whence, &parts), 0);
	T_EQ(join_rest(&join, &got, &whence, &parts), 1);
	T_EQ(got.source, 5);
	T_EQ(got.size, 3);
	T_TRUE(got.flags & WEIR_REC_NO_EOL);
	T_EQ(join_rest(&join, &got, &whence, &parts), 0);
	join_free(&join);
}

/* By then its reader is in another life, where the same id is another source's. */
Test(join, what_never_became_whole_remembers_where_it_came_from)
{
	struct join join = { 0 };
	char name[] = "access.log";
	struct whence then = { name, 7, 300, 200 }, got_from;
	struct weir_record one = part(1, "one", WEIR_REC_CONTINUES), got;
	uint32_t parts = 0;

	T_EQ(join_take(&join, &one, &then, &parts), 0);
	memset(name, 'x', sizeof(name) - 1);
	T_EQ(join_rest(&join, &got, &got_from, &parts), 1);
	T_STR(got_from.name, "access.log");
	T_EQ(got_from.seq, 7);
	T_EQ(got_from.wall_ns, 300);
	T_EQ(got_from.earliest_ns, 200);
	join_free(&join);
}
