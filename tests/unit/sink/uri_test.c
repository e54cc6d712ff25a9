/* SPDX-License-Identifier: Apache-2.0 */
/* uri_test.c - the shape of an address, and the sentences about a wrong one. */
#include "sink/uri.h"

#include <errno.h>

#include "test.h"

static char buffer[512];
static struct wr_uri uri;
static struct weir_why why;

static int parse(const char *text)
{
	T_TRUE(strlen(text) < sizeof(buffer));
	why.text[0] = '\0';
	return wr_uri_parse(text, buffer, &uri, &why);
}

static void says(const char *part)
{
	if (!strstr(why.text, part))
		T_FAIL("\"%s\" does not say \"%s\"", why.text, part);
}

Test(uri, scheme_and_path_are_told_apart_at_the_first_colon)
{
	T_EQ(parse("file:/a:b"), 0);
	T_STR(uri.scheme, "file");
	T_STR(uri.path, "/a:b");
	T_EQ(uri.option_count, 0);
}

Test(uri, a_path_may_be_empty)
{
	T_EQ(parse("null:"), 0);
	T_STR(uri.scheme, "null");
	T_STR(uri.path, "");
}

Test(uri, options_follow_a_question_mark_and_are_parted_by_ampersands)
{
	T_EQ(parse("file:d?sync=batch&segment=1MiB"), 0);
	T_STR(uri.path, "d");
	T_EQ(uri.option_count, 2);
	T_STR(wr_uri_get(&uri, "sync"), "batch");
	T_STR(wr_uri_get(&uri, "segment"), "1MiB");
	T_TRUE(wr_uri_get(&uri, "interval") == NULL);
}

Test(uri, a_question_mark_with_nothing_behind_it_is_no_option)
{
	T_EQ(parse("fd:1?"), 0);
	T_EQ(uri.option_count, 0);
}

Test(uri, an_empty_value_is_a_value)
{
	T_EQ(parse("fd:1?frame="), 0);
	T_STR(wr_uri_get(&uri, "frame"), "");
}

Test(uri, percent_stands_for_a_byte_in_path_and_value)
{
	T_EQ(parse("file:/a%20b%3Fc%25?k=%26%3d"), 0);
	T_STR(uri.path, "/a b?c%");
	T_STR(wr_uri_get(&uri, "k"), "&=");
}

Test(uri, a_percent_without_two_hexadecimal_digits_is_refused_and_named)
{
	T_EQ(parse("file:/100%"), -EINVAL);
	says("%25");
	T_EQ(parse("file:/%g0"), -EINVAL);
	says("\"%g0\"");
	T_EQ(parse("file:/%0g"), -EINVAL);
	T_EQ(parse("file:d?k=%"), -EINVAL);
}

Test(uri, percent_zero_zero_is_refused)
{
	T_EQ(parse("file:/a%00b"), -EINVAL);
	says("%00");
}

Test(uri, an_address_without_a_scheme_is_refused_with_an_example)
{
	T_EQ(parse("/var/tmp/log"), -EINVAL);
	says("file:/var/tmp/log");
	T_EQ(parse(""), -EINVAL);
	T_EQ(parse(":x"), -EINVAL);
	T_EQ(parse("1a:x"), -EINVAL);
	T_EQ(parse("a b:x"), -EINVAL);
}

Test(uri, a_scheme_may_hold_digits_and_some_signs)
{
	T_EQ(parse("a1+b-c.d:x"), 0);
	T_STR(uri.scheme, "a1+b-c.d");
}

Test(uri, an_option_without_a_value_is_refused_and_named)
{
	T_EQ(parse("file:d?sync"), -EINVAL);
	says("\"sync\"");
	T_EQ(parse("file:d?=batch"), -EINVAL);
	T_EQ(parse("file:d?a=1&&b=2"), -EINVAL);
}

Test(uri, an_option_given_twice_is_refused_and_named)
{
	T_EQ(parse("file:d?sync=none&sync=batch"), -EINVAL);
	says("\"sync\"");
	says("twice");
}

Test(uri, more_options_than_there_is_room_for_are_refused)
{
	char text[400] = "x:?a0=1";

	for (int i = 1; i < WR_URI_OPTIONS_MAX; i++)
		snprintf(text + strlen(text), 16, "&a%d=1", i);
	T_EQ(parse(text), 0);
	T_EQ(uri.option_count, WR_URI_OPTIONS_MAX);
	strcat(text, "&b=1");
	T_EQ(parse(text), -EINVAL);
	says("16");
}

Test(uri, an_unknown_option_is_refused_with_the_nearest_and_the_list)
{
	T_EQ(parse("file:d?sink=none"), 0);
	T_EQ(wr_uri_check(&uri, "sync|interval", &why), -EINVAL);
	says("\"sink\"");
	says("did you mean sync?");
	says("sync|interval");
	T_EQ(wr_uri_check(&uri, "sink", NULL), 0);
}

Test(uri, an_option_where_none_is_known_is_refused)
{
	T_EQ(parse("null:?a=b"), 0);
	T_EQ(wr_uri_check(&uri, "", &why), -EINVAL);
	says("takes no options");
}

Test(uri, an_option_name_must_match_whole)
{
	T_EQ(parse("file:d?syn=none"), 0);
	T_EQ(wr_uri_check(&uri, "sync|interval", NULL), -EINVAL);
	T_EQ(parse("file:d?syncs=none"), 0);
	T_EQ(wr_uri_check(&uri, "sync|interval", NULL), -EINVAL);
}

Test(uri, a_size_is_read_with_its_unit)
{
	uint64_t value = 5;

	T_EQ(parse("file:d?segment=64KiB"), 0);
	T_EQ(wr_uri_bytes(&uri, "segment", &value, &why), 0);
	T_EQ(value, 65536);
}

Test(uri, what_was_not_given_leaves_the_value_alone)
{
	uint64_t value = 5;
	uint32_t choice = 7;

	T_EQ(parse("file:d"), 0);
	T_EQ(wr_uri_bytes(&uri, "segment", &value, NULL), 0);
	T_EQ(wr_uri_duration(&uri, "interval", &value, NULL), 0);
	T_EQ(wr_uri_choice(&uri, "sync", "a|b", &choice, NULL), 0);
	T_EQ(value, 5);
	T_EQ(choice, 7);
}

Test(uri, a_bad_size_is_refused_with_key_value_and_an_example)
{
	uint64_t value = 5;

	T_EQ(parse("file:d?segment=big"), 0);
	T_EQ(wr_uri_bytes(&uri, "segment", &value, &why), -EINVAL);
	says("segment=big");
	says("64MiB");
	T_EQ(value, 5);
}

Test(uri, a_size_above_64_bits_is_said_to_be_too_large)
{
	uint64_t value = 5;

	T_EQ(parse("file:d?segment=99999999999TiB"), 0);
	T_EQ(wr_uri_bytes(&uri, "segment", &value, &why), -EINVAL);
	says("too large");
}

Test(uri, a_time_is_read_with_its_unit_and_refused_without)
{
	uint64_t value = 5;

	T_EQ(parse("file:d?interval=200ms&max_age=7"), 0);
	T_EQ(wr_uri_duration(&uri, "interval", &value, &why), 0);
	T_EQ(value, 200000000);
	T_EQ(wr_uri_duration(&uri, "max_age", &value, &why), -EINVAL);
	says("max_age=7");
}

Test(uri, a_choice_is_the_place_of_the_word_in_the_list)
{
	uint32_t value = 9;

	T_EQ(parse("file:d?sync=batch"), 0);
	T_EQ(wr_uri_choice(&uri, "sync", "none|interval|batch", &value, &why), 0);
	T_EQ(value, 2);
}

Test(uri, a_wrong_choice_is_refused_with_the_nearest_and_the_list)
{
	uint32_t value = 9;

	T_EQ(parse("file:d?sync=bach"), 0);
	T_EQ(wr_uri_choice(&uri, "sync", "none|interval|batch", &value, &why), -EINVAL);
	says("sync=bach");
	says("did you mean batch?");
	says("none|interval|batch");
	T_EQ(value, 9);
}

Test(uri, nothing_near_is_not_suggested)
{
	T_STR(wr_uri_hint("zzzzzz", "null|fd|file").text, "");
	T_STR(wr_uri_hint("fiel", "null|fd|file").text, " (did you mean file?)");
	T_STR(wr_uri_hint("sync1", "sync|synced").text, " (did you mean sync?)");
}

Test(uri, a_sentence_fits_and_needs_no_reader)
{
	char longer[600];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	T_EQ(wr_sink_why(&why, -EIO, "%s", longer), -EIO);
	T_EQ(strlen(why.text), sizeof(why.text) - 1);
	T_EQ(wr_sink_why(NULL, -EIO, "nobody"), -EIO);
}
