/* SPDX-License-Identifier: Apache-2.0 */
/* config_test.c - keys as text: set, get, the table, presets, and structs of another size. */
#include <errno.h>
#include <weir/config.h>

#include "api/property.h"
#include "test.h"

static struct weir_config config;
static struct weir_why why;

/* 0, and @key reads back as @shown. */
static void takes(const char *key, const char *value, const char *shown)
{
	char text[64];
	int r = weir_config_set(&config, key, value, &why);

	if (r)
		T_FAIL("%s = %s gave %d: %s", key, value, r, why.text);
	T_EQ(weir_config_get(&config, key, text, sizeof(text)), strlen(shown));
	T_STR(text, shown);
}

/* @error, nothing changed, and a sentence that holds each of three words. */
static void refuses(const char *key, const char *value, int error, const char *a, const char *b,
                    const char *c)
{
	struct weir_config before = config;
	int r = weir_config_set(&config, key, value, &why);

	if (r != error)
		T_FAIL("%s = %s gave %d, not %d", key, value, r, error);
	T_EQ(memcmp(&before, &config, sizeof(config)), 0);
	if (!strstr(why.text, a) || !strstr(why.text, b) || !strstr(why.text, c))
		T_FAIL("'%s' lacks one of '%s' '%s' '%s'", why.text, a, b, c);
}

Test(config, init_gives_the_balanced_defaults)
{
	weir_config_init(&config);
	T_EQ(config.size, sizeof(config));
	T_EQ(config.threshold, 4096);
	T_EQ(config.threshold_bytes, 1 << 20);
	T_EQ(config.deadline_ns, 5000000);
	T_EQ(config.timer_mode, WEIR_MODE_ON);
	T_EQ(config.pressure, 50);
	T_TRUE(config.count_slack == WEIR_AUTO);
	T_EQ(config.ring_bytes, 1 << 20);
	T_EQ(config.full, WEIR_FULL_FAIL);
	T_EQ(config.order, WEIR_ORDER_THREAD);
	T_EQ(config.loop, WEIR_LOOP_THREAD);
}

Test(config, init_gives_the_documented_limits)
{
	weir_config_init(&config);
	T_EQ(config.max_batch_records, 65536);
	T_EQ(config.max_batch_bytes, 8 << 20);
	T_EQ(config.max_batch_spans, 1024);
	T_EQ(config.max_inflight, 0);
	T_EQ(config.record_max, 65536);
	T_EQ(config.inline_max, 4096);
	T_EQ(config.block_max_ns, 100000000);
	T_EQ(config.batch_total_timeout_ns, INT64_C(60000000000));
	T_EQ(config.claim_max_ns, 1000000000);
	T_EQ(config.close_timeout_ns, INT64_C(10000000000));
}

Test(config, init_leaves_the_flusher_to_the_scheduler)
{
	weir_config_init(&config);
	T_EQ(config.flusher_cpu, -1);
	T_EQ(config.flusher_nice, 0);
	T_EQ(config.flusher_timerslack_ns, 1);
	T_STR(config.flusher_name, "flush");
	T_TRUE(!config.allocator.alloc);
	T_TRUE(!config.allocator.free);
}

Test(config, init_of_null_does_nothing)
{
	weir_config_init(NULL);
	weir_config_init(&config);
	T_EQ(config.threshold, 4096);
}

Test(config, the_table_has_every_field_of_the_struct_once)
{
	static unsigned char hits[sizeof(struct weir_config)];
	static const size_t sizes[] = { 8, 4, 4, 16 };
	size_t covered = 0;

	for (size_t i = 0; i < wr_property_count; i++) {
		const struct wr_property *row = &wr_properties[i];

		T_EQ(wr_property_end(row), row->offset + sizes[row->field]);
		for (size_t at = row->offset; at < wr_property_end(row); at++)
			T_EQ(hits[at]++, 0);
		covered += sizes[row->field];
	}
	T_EQ(covered, sizeof(config) - sizeof(config.size) - sizeof(config.allocator));
}

Test(config, every_default_reads_back_as_the_table_says)
{
	weir_config_init(&config);
	for (const struct weir_property *p = weir_config_next(NULL); p; p = weir_config_next(p)) {
		char text[64];

		T_TRUE(weir_config_get(&config, p->key, text, sizeof(text)) > 0);
		T_STR(text, p->initial);
	}
}

Test(config, every_value_of_every_key_survives_get_and_set)
{
	static const char *const probes[] = {
		"1", "3", "17", "65536", "131072", "4k", "1MiB", "64KiB", "1ns", "7us", "5ms", "1m",
		"off", "auto", "on", "shadow", "fail", "block", "thread", "none", "own", "anon",
		"hugepage", "-1", "-20", "19", "99%", "a-b_c.9",
	};

	weir_config_init(&config);
	for (const struct weir_property *p = weir_config_next(NULL); p; p = weir_config_next(p)) {
		int taken = 0;

		for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
			struct weir_config again;
			char text[64];

			if (weir_config_set(&config, p->key, probes[i], NULL))
				continue;
			taken++;
			T_TRUE(weir_config_get(&config, p->key, text, sizeof(text)) > 0);
			weir_config_init(&again);
			T_EQ(weir_config_set(&again, p->key, text, NULL), 0);
			T_EQ(memcmp((char *)&again + wr_property_find(p->key)->offset,
			            (char *)&config + wr_property_find(p->key)->offset, 4),
			     0);
		}
		if (taken < 1 + (p->type != WEIR_TYPE_NAME))
			T_FAIL("%s took %d of the probes", p->key, taken);
	}
}

Test(config, setting_one_key_leaves_every_other_alone)
{
	for (const struct weir_property *p = weir_config_next(NULL); p; p = weir_config_next(p)) {
		static const char *const probes[] = { "3", "65536", "131072", "3ms", "off",
			                              "block", "own", "none", "hugepage", "x" };
		char text[64];
		size_t i = 0;

		weir_config_init(&config);
		for (; i < sizeof(probes) / sizeof(probes[0]); i++) {
			if (!weir_config_set(&config, p->key, probes[i], NULL))
				break;
		}
		T_TRUE(weir_config_get(&config, p->key, text, sizeof(text)) > 0);
		T_TRUE(strcmp(text, p->initial) != 0);
		for (const struct weir_property *q = weir_config_next(NULL); q;
		     q = weir_config_next(q)) {
			T_TRUE(weir_config_get(&config, q->key, text, sizeof(text)) > 0);
			if (q != p)
				T_STR(text, q->initial);
		}
	}
}

/* Both ends of "A..B ..." are taken, and the table's own numbers are those. */
Test(config, every_range_says_where_it_ends)
{
	for (const struct weir_property *p = weir_config_next(NULL); p; p = weir_config_next(p)) {
		const struct wr_property *row = wr_property_find(p->key);
		const char *dots = strstr(p->range, "..");
		struct wr_value value = { .name = "" };
		char low[32] = "", high[32] = "", text[64];

		if (p->type == WEIR_TYPE_ENUM) {
			T_STR(p->range, p->choices);
			continue;
		}
		T_TRUE(dots);
		snprintf(low, sizeof(low), "%.*s", (int)(dots - p->range), p->range);
		snprintf(high, sizeof(high), "%.*s", (int)strcspn(dots + 2, " ,"), dots + 2);
		value.number = (uint64_t)row->min;
		T_TRUE(wr_property_print(row, &value, text, sizeof(text)) < sizeof(text));
		if (p->type == WEIR_TYPE_NAME)
			continue;
		if (p->type == WEIR_TYPE_PERCENT)
			text[strlen(text) - 1] = 0;
		T_STR(text, low);
		value.number = (uint64_t)row->max;
		T_TRUE(wr_property_print(row, &value, text, sizeof(text)) < sizeof(text));
		if (p->type == WEIR_TYPE_PERCENT)
			text[strlen(text) - 1] = 0;
		T_STR(text, high);
		weir_config_init(&config);
		T_EQ(weir_config_set(&config, p->key, low, &why), 0);
		T_EQ(weir_config_set(&config, p->key, high, &why), 0);
		T_EQ(!strstr(p->range, "or off"), !(p->flags & WEIR_PROPERTY_OFF));
		T_EQ(!strstr(p->range, "or auto"), !(p->flags & WEIR_PROPERTY_AUTO));
	}
}

Test(config, every_key_says_what_it_means_and_trades)
{
	for (const struct weir_property *p = weir_config_next(NULL); p; p = weir_config_next(p)) {
		T_TRUE(p->unit);
		T_TRUE(p->meaning[strlen(p->meaning) - 1] == '.');
		T_TRUE(p->trades[strlen(p->trades) - 1] == '.');
		T_EQ(!p->choices, p->type != WEIR_TYPE_ENUM);
	}
}

Test(config, the_walk_meets_29_keys_and_ends)
{
	size_t n = 0;

	for (const struct weir_property *p = weir_config_next(NULL); p; p = weir_config_next(p))
		n++;
	T_EQ(n, 29);
	T_EQ(n, wr_property_count);
}

Test(config, the_walk_from_a_strange_row_ends)
{
	struct weir_property strange = { .key = "threshold" };

	T_TRUE(!weir_config_next(&strange));
}

Test(config, sizes_take_binary_and_decimal_units)
{
	weir_config_init(&config);
	takes("threshold_bytes", "64KiB", "64KiB");
	T_EQ(config.threshold_bytes, 65536);
	takes("threshold_bytes", "1MB", "1000000");
	takes("threshold_bytes", "0.5MiB", "512KiB");
}

Test(config, times_are_written_in_the_largest_exact_unit)
{
	weir_config_init(&config);
	takes("deadline", "5000us", "5ms");
	takes("deadline", "1500ms", "1500ms");
	takes("deadline", "1.5s", "1500ms");
	takes("deadline", "120s", "2m");
	takes("deadline", "48h", "2d");
	takes("deadline", "1001ns", "1001ns");
	takes("deadline", "0", "0");
}

Test(config, sizes_are_written_in_the_largest_exact_unit)
{
	weir_config_init(&config);
	takes("threshold_bytes", "1048576", "1MiB");
	takes("threshold_bytes", "1073741824", "1GiB");
	takes("threshold_bytes", "1536KiB", "1536KiB");
	takes("threshold_bytes", "1025", "1025");
	takes("inline_max", "0", "0");
}

Test(config, counts_take_suffixes_and_are_written_out)
{
	weir_config_init(&config);
	takes("threshold", "4k", "4000");
	takes("threshold", "4Ki", "4096");
	takes("threshold", "2.5k", "2500");
}

Test(config, a_trigger_is_switched_off_by_off)
{
	weir_config_init(&config);
	takes("threshold", "off", "off");
	T_TRUE(config.threshold == WEIR_OFF);
	takes("threshold_bytes", "off", "off");
	takes("deadline", "off", "off");
	T_TRUE(config.deadline_ns == WEIR_OFF);
	takes("batch_total_timeout", "off", "off");
}

Test(config, off_is_no_value_of_a_key_without_it)
{
	weir_config_init(&config);
	refuses("ring_bytes", "off", -EINVAL, "ring_bytes", "off", "64KiB..1GiB");
	refuses("count_slack", "off", -EINVAL, "count_slack", "off", "auto");
}

Test(config, auto_is_a_value_of_count_slack_alone)
{
	weir_config_init(&config);
	takes("count_slack", "0", "0");
	takes("count_slack", "auto", "auto");
	T_TRUE(config.count_slack == WEIR_AUTO);
	refuses("threshold", "auto", -EINVAL, "threshold", "auto", "or off");
}

Test(config, enums_are_named)
{
	weir_config_init(&config);
	takes("timer_mode", "off", "off");
	T_EQ(config.timer_mode, WEIR_MODE_OFF);
	takes("timer_mode", "shadow", "shadow");
	T_EQ(config.timer_mode, WEIR_MODE_SHADOW);
	takes("full", "block", "block");
	T_EQ(config.full, WEIR_FULL_BLOCK);
	takes("order", "none", "none");
	T_EQ(config.order, WEIR_ORDER_NONE);
	takes("loop", "own", "own");
	T_EQ(config.loop, WEIR_LOOP_OWN);
	takes("ring_backing", "hugepage", "hugepage");
	T_EQ(config.ring_backing, WEIR_BACKING_HUGEPAGE);
}

Test(config, each_trigger_has_its_own_mode)
{
	weir_config_init(&config);
	takes("threshold_mode", "shadow", "shadow");
	T_EQ(config.threshold_mode, WEIR_MODE_SHADOW);
	takes("bytes_mode", "off", "off");
	T_EQ(config.bytes_mode, WEIR_MODE_OFF);
	takes("pressure_mode", "off", "off");
	T_EQ(config.pressure_mode, WEIR_MODE_OFF);
	takes("urgent_mode", "shadow", "shadow");
	T_EQ(config.urgent_mode, WEIR_MODE_SHADOW);
}

Test(config, a_mistyped_choice_is_met_with_the_nearest)
{
	weir_config_init(&config);
	refuses("full", "blok", -EINVAL, "full", "'blok'", "did you mean block?");
	refuses("timer_mode", "shadwo", -EINVAL, "timer_mode", "'shadwo'", "shadow?");
}

Test(config, a_choice_in_another_case_is_refused_with_the_right_one)
{
	weir_config_init(&config);
	refuses("timer_mode", "OFF", -EINVAL, "on|off|shadow", "'OFF'", "did you mean off?");
}

Test(config, a_choice_like_none_is_met_with_all)
{
	weir_config_init(&config);
	refuses("full", "drop_newest", -EINVAL, "full", "'drop_newest'", "fail|block");
	T_TRUE(!strstr(why.text, "did you mean"));
	refuses("full", "", -EINVAL, "full", "''", "fail|block");
	refuses("full", "fail|block", -EINVAL, "full", "fail|block", "fail|block");
	refuses("full", "0", -EINVAL, "full", "'0'", "fail|block");
}

Test(config, percents_take_a_sign_or_none)
{
	weir_config_init(&config);
	takes("pressure", "75", "75%");
	T_EQ(config.pressure, 75);
	takes("pressure", "100%", "100%");
	takes("pressure", "1", "1%");
}

Test(config, percents_outside_1_to_100_are_refused)
{
	weir_config_init(&config);
	refuses("pressure", "0", -ERANGE, "pressure", "'0'", "1..100");
	refuses("pressure", "101%", -ERANGE, "pressure", "'101%'", "1..100");
	refuses("pressure", "%", -EINVAL, "pressure", "'%'", "1..100");
	refuses("pressure", "50%%", -EINVAL, "pressure", "50%%", "1..100");
	refuses("pressure", "-5%", -EINVAL, "pressure", "-5%", "1..100");
	refuses("pressure", "1k", -EINVAL, "pressure", "1k", "percentage");
}

Test(config, integers_may_be_negative)
{
	weir_config_init(&config);
	takes("flusher_nice", "-20", "-20");
	T_EQ(config.flusher_nice, -20);
	takes("flusher_nice", "19", "19");
	takes("flusher_cpu", "3", "3");
	takes("flusher_cpu", "-1", "-1");
	T_EQ(config.flusher_cpu, -1);
}

Test(config, integers_outside_their_range_are_refused)
{
	weir_config_init(&config);
	refuses("flusher_nice", "-21", -ERANGE, "flusher_nice", "'-21'", "-20..19");
	refuses("flusher_nice", "20", -ERANGE, "flusher_nice", "'20'", "-20..19");
	refuses("flusher_cpu", "1024", -ERANGE, "flusher_cpu", "'1024'", "-1..1023");
	refuses("flusher_cpu", "18446744073709551615", -ERANGE, "flusher_cpu", "184", "-1..1023");
	refuses("flusher_cpu", "99999999999999999999", -ERANGE, "flusher_cpu", "999", "-1..1023");
	refuses("flusher_cpu", "-9223372036854775809", -ERANGE, "flusher_cpu", "-922", "-1..1023");
}

Test(config, integers_are_digits_alone)
{
	weir_config_init(&config);
	refuses("flusher_nice", "--1", -EINVAL, "flusher_nice", "'--1'", "-20..19");
	refuses("flusher_nice", "-", -EINVAL, "flusher_nice", "'-'", "whole number");
	refuses("flusher_nice", "1k", -EINVAL, "flusher_nice", "'1k'", "-20..19");
	refuses("flusher_cpu", "any", -EINVAL, "flusher_cpu", "'any'", "-1..1023");
}

Test(config, a_name_is_letters_digits_and_three_signs)
{
	weir_config_init(&config);
	takes("flusher_name", "AZaz09-_.", "AZaz09-_.");
	takes("flusher_name", "x", "x");
	T_STR(config.flusher_name, "x");
	refuses("flusher_name", "a b", -EINVAL, "flusher_name", "'a b'", "letters");
	refuses("flusher_name", "a/b", -EINVAL, "flusher_name", "'a/b'", "letters");
	refuses("flusher_name", "\xc3\xa9", -EINVAL, "flusher_name", "\xc3\xa9", "letters");
}

Test(config, a_name_has_one_to_ten_characters)
{
	weir_config_init(&config);
	takes("flusher_name", "0123456789", "0123456789");
	refuses("flusher_name", "0123456789a", -ERANGE, "flusher_name", "0123456789a", "1..10");
	refuses("flusher_name", "", -EINVAL, "flusher_name", "''", "1..10");
}

Test(config, a_shorter_name_leaves_nothing_of_the_longer)
{
	weir_config_init(&config);
	takes("flusher_name", "0123456789", "0123456789");
	takes("flusher_name", "ab", "ab");
	for (size_t i = 2; i < sizeof(config.flusher_name); i++)
		T_EQ(config.flusher_name[i], 0);
}

Test(config, malformed_numbers_are_refused_with_what_is_allowed)
{
	weir_config_init(&config);
	refuses("threshold", "ten", -EINVAL, "threshold = 'ten'", "a count", "1..2147483647");
	refuses("threshold", "", -EINVAL, "threshold = ''", "a count", "or off");
	refuses("threshold", "-1", -EINVAL, "'-1'", "a count", "or off");
	refuses("threshold", "10 ", -EINVAL, "'10 '", "a count", "or off");
	refuses("ring_bytes", "1mib", -EINVAL, "ring_bytes = '1mib'", "64KiB", "a size");
	refuses("threshold", "1.5", -EINVAL, "'1.5'", "a count", "or off");
}

Test(config, a_time_without_its_unit_is_refused)
{
	weir_config_init(&config);
	refuses("deadline", "5", -EINVAL, "deadline = '5'", "with its unit", "5ms");
	refuses("deadline", "5 ms", -EINVAL, "deadline = '5 ms'", "with its unit", "365d");
}

Test(config, a_threshold_of_zero_is_refused_and_off_is_offered)
{
	weir_config_init(&config);
	refuses("threshold", "0", -EINVAL, "threshold", "'0'", "use off");
	refuses("threshold_bytes", "0", -EINVAL, "threshold_bytes", "'0'", "use off");
}

Test(config, a_ring_of_three_bytes_is_refused_with_the_range)
{
	weir_config_init(&config);
	refuses("ring_bytes", "3", -ERANGE, "ring_bytes", "'3'", "64KiB..1GiB");
}

Test(config, a_ring_is_a_power_of_two)
{
	weir_config_init(&config);
	refuses("ring_bytes", "100000", -EINVAL, "ring_bytes", "'100000'", "not a power of two");
	refuses("ring_bytes", "3MiB", -EINVAL, "ring_bytes", "'3MiB'", "not a power of two");
	takes("ring_bytes", "64KiB", "64KiB");
	takes("ring_bytes", "1GiB", "1GiB");
	refuses("ring_bytes", "2GiB", -ERANGE, "ring_bytes", "'2GiB'", "64KiB..1GiB");
}

Test(config, values_above_a_range_are_refused)
{
	weir_config_init(&config);
	refuses("threshold", "2147483648", -ERANGE, "threshold", "2147483648", "1..2147483647");
	refuses("inline_max", "4097", -ERANGE, "inline_max", "'4097'", "0..4KiB");
	refuses("max_batch_spans", "1025", -ERANGE, "max_batch_spans", "'1025'", "1..1024");
	refuses("max_batch_spans", "0", -ERANGE, "max_batch_spans", "'0'", "1..1024");
	refuses("deadline", "366d", -ERANGE, "deadline", "'366d'", "0..365d");
	refuses("record_max", "257MiB", -ERANGE, "record_max", "'257MiB'", "256MiB");
	refuses("record_max", "0", -ERANGE, "record_max", "'0'", "256MiB");
	refuses("flusher_timerslack", "0", -ERANGE, "flusher_timerslack", "'0'", "1ns..1s");
}

Test(config, two_to_the_64_is_out_of_range_and_not_zero)
{
	weir_config_init(&config);
	refuses("threshold", "18446744073709551616", -ERANGE, "threshold", "18446", "or off");
	refuses("deadline", "18446744073709551616ns", -ERANGE, "deadline", "18446", "or off");
	refuses("threshold_bytes", "16777216TiB", -ERANGE, "threshold_bytes", "TiB", "or off");
	refuses("max_inflight", "4294967296", -ERANGE, "max_inflight", "4294967296", "0..1024");
}

Test(config, the_numbers_behind_off_and_auto_are_no_text)
{
	weir_config_init(&config);
	refuses("threshold", "18446744073709551615", -ERANGE, "threshold", "615", "or off");
	refuses("count_slack", "18446744073709551614", -ERANGE, "count_slack", "614", "or auto");
}

Test(config, a_deadline_of_zero_is_legal)
{
	weir_config_init(&config);
	takes("deadline", "0", "0");
	T_EQ(config.deadline_ns, 0);
	T_EQ(weir_config_check(&config, &why), 0);
}

Test(config, an_unknown_key_is_met_with_the_nearest)
{
	weir_config_init(&config);
	refuses("treshold", "10", -ENOENT, "unknown key", "'treshold'", "did you mean threshold?");
	refuses("dead_line", "1s", -ENOENT, "unknown key", "'dead_line'", "did you mean deadline?");
	refuses("Threshold", "1", -ENOENT, "unknown key", "'Threshold'", "did you mean threshold?");
	refuses("presett", "dev", -ENOENT, "unknown key", "'presett'", "did you mean preset?");
	refuses("ring_byts", "1M", -ENOENT, "unknown key", "'ring_byts'", "mean ring_bytes?");
}

Test(config, a_key_like_none_is_not_guessed)
{
	weir_config_init(&config);
	refuses("xyzzy", "10", -ENOENT, "unknown key 'xyzzy'", "", "");
	T_TRUE(!strstr(why.text, "did you mean"));
	refuses("", "10", -ENOENT, "unknown key ''", "", "");
}

Test(config, a_long_value_is_shown_by_its_ends)
{
	char value[1000];

	memset(value, 'x', sizeof(value));
	memcpy(value, "begin", 5);
	memcpy(value + sizeof(value) - 4, "end", 4);
	weir_config_init(&config);
	refuses("threshold", value, -EINVAL, "'beginxxx", "...", "xxend' is not a count: 1..");
}

Test(config, a_value_of_47_characters_is_shown_whole)
{
	char value[49], quoted[64];

	memset(value, 'x', 48);
	value[47] = 0;
	weir_config_init(&config);
	snprintf(quoted, sizeof(quoted), "'%s'", value);
	refuses("threshold", value, -EINVAL, quoted, "", "");
	value[47] = 'x';
	value[48] = 0;
	refuses("threshold", value, -EINVAL, "xxx...xxx", "", "");
}

Test(config, a_percentage_has_at_most_31_digits)
{
	weir_config_init(&config);
	takes("pressure", "0000000000000000000000000000075%", "75%");
	refuses("pressure", "00000000000000000000000000000075%", -EINVAL, "pressure", "", "");
}

Test(config, control_characters_do_not_reach_a_message)
{
	weir_config_init(&config);
	refuses("threshold", "1\n2\x1b[31m\x7f", -EINVAL, "'1?2?[31m?'", "", "");
	refuses("a\tb", "1", -ENOENT, "unknown key 'a?b'", "", "");
}

Test(config, a_reason_may_be_left_out)
{
	weir_config_init(&config);
	T_EQ(weir_config_set(&config, "threshold", "x", NULL), -EINVAL);
	T_EQ(weir_config_set(&config, "thresold", "1", NULL), -ENOENT);
	T_EQ(weir_config_set(&config, "full", "blok", NULL), -EINVAL);
	T_EQ(weir_config_preset(&config, "lattency", NULL), -ENOENT);
	config.pressure = 0;
	T_EQ(weir_config_check(&config, NULL), -EINVAL);
}

Test(config, null_arguments_are_answered)
{
	char text[64];

	weir_config_init(&config);
	T_EQ(weir_config_set(NULL, "threshold", "1", &why), -EINVAL);
	refuses(NULL, "1", -EINVAL, "key", "NULL", "");
	refuses("threshold", NULL, -EINVAL, "value", "NULL", "");
	T_EQ(weir_config_get(&config, NULL, text, sizeof(text)), -EINVAL);
	T_EQ(weir_config_get(NULL, "threshold", text, sizeof(text)), -EINVAL);
	T_EQ(weir_config_get(&config, "threshold", NULL, 64), -EINVAL);
	T_EQ(weir_config_preset(&config, NULL, &why), -EINVAL);
}

Test(config, get_of_an_unknown_key_says_so)
{
	char text[64] = "as it was";

	weir_config_init(&config);
	T_EQ(weir_config_get(&config, "treshold", text, sizeof(text)), -ENOENT);
	T_STR(text, "as it was");
}

Test(config, get_wants_room_for_the_nul)
{
	char text[5] = "..";

	weir_config_init(&config);
	T_EQ(weir_config_get(&config, "threshold", text, 4), -ENOSPC);
	T_STR(text, "..");
	T_EQ(weir_config_get(&config, "threshold", text, 5), 4);
	T_STR(text, "4096");
}

/* Presets. */

struct numbers {
	const char *name;
	uint64_t threshold, threshold_bytes, deadline_ns, ring_bytes, slack;
	uint32_t full;
};

static void has_numbers(const struct numbers *n)
{
	weir_config_init(&config);
	T_EQ(weir_config_preset(&config, n->name, &why), 0);
	T_EQ(config.threshold, n->threshold);
	T_EQ(config.threshold_bytes, n->threshold_bytes);
	T_EQ(config.deadline_ns, n->deadline_ns);
	T_EQ(config.ring_bytes, n->ring_bytes);
	T_EQ(config.count_slack, n->slack);
	T_EQ(config.full, n->full);
	T_EQ(config.timer_mode, WEIR_MODE_ON);
	T_EQ(weir_config_check(&config, &why), 0);
}

#define MS UINT64_C(1000000)
#define MIB UINT64_C(1048576)

Test(preset, balanced_is_4096_or_5_ms)
{
	has_numbers(&(struct numbers){ "balanced", 4096, MIB, 5 * MS, MIB, WEIR_AUTO, 0 });
}

Test(preset, latency_is_256_or_1_ms)
{
	has_numbers(&(struct numbers){ "latency", 256, MIB, MS, MIB, WEIR_AUTO, 0 });
}

Test(preset, throughput_is_32768_or_50_ms_or_4_mib_in_rings_of_8)
{
	has_numbers(&(struct numbers){ "throughput", 32768, 4 * MIB, 50 * MS, 8 * MIB, WEIR_AUTO,
	                               0 });
}

Test(preset, durable_is_balanced_and_blocks)
{
	has_numbers(&(struct numbers){ "durable", 4096, MIB, 5 * MS, MIB, WEIR_AUTO,
	                               WEIR_FULL_BLOCK });
}

Test(preset, dev_is_3_or_10_ms_counted_exactly)
{
	has_numbers(&(struct numbers){ "dev", 3, MIB, 10 * MS, MIB, 0, 0 });
}

Test(preset, seed_default_is_10_or_300_s_with_the_timer_on)
{
	has_numbers(&(struct numbers){ "seed-default", 10, WEIR_OFF, 300000 * MS, MIB, WEIR_AUTO,
	                               0 });
}

Test(preset, seed_high_volume_is_20_or_180_s)
{
	has_numbers(&(struct numbers){ "seed-high-volume", 20, WEIR_OFF, 180000 * MS, MIB,
	                               WEIR_AUTO, 0 });
}

Test(preset, seed_low_latency_is_5_or_60_s)
{
	has_numbers(&(struct numbers){ "seed-low-latency", 5, WEIR_OFF, 60000 * MS, MIB, WEIR_AUTO,
	                               0 });
}

Test(preset, seed_dev_is_3_or_10_s)
{
	has_numbers(&(struct numbers){ "seed-dev", 3, WEIR_OFF, 10000 * MS, MIB, WEIR_AUTO, 0 });
}

Test(preset, balanced_is_what_init_gives)
{
	struct weir_config other;

	weir_config_init(&other);
	weir_config_init(&config);
	T_EQ(weir_config_preset(&config, "balanced", &why), 0);
	T_EQ(memcmp(&config, &other, sizeof(config)), 0);
}

Test(preset, nothing_of_a_former_preset_remains)
{
	struct weir_config other;

	weir_config_init(&other);
	for (size_t i = 0; weir_config_preset_name(i); i++) {
		weir_config_init(&config);
		T_EQ(weir_config_preset(&config, weir_config_preset_name(i), &why), 0);
		T_EQ(weir_config_set(&config, "timer_mode", "off", &why), 0);
		T_EQ(weir_config_preset(&config, "balanced", &why), 0);
		T_EQ(memcmp(&config, &other, sizeof(config)), 0);
	}
}

Test(preset, what_no_preset_speaks_of_is_kept)
{
	weir_config_init(&config);
	takes("flusher_name", "mine", "mine");
	takes("close_timeout", "3s", "3s");
	T_EQ(weir_config_preset(&config, "throughput", &why), 0);
	T_STR(config.flusher_name, "mine");
	T_EQ(config.close_timeout_ns, 3000 * MS);
}

Test(preset, later_settings_override_field_by_field)
{
	weir_config_init(&config);
	T_EQ(weir_config_set(&config, "preset", "seed-default", &why), 0);
	takes("threshold", "7", "7");
	T_EQ(config.deadline_ns, 300000 * MS);
}

Test(preset, a_preset_set_later_overrides)
{
	weir_config_init(&config);
	takes("threshold", "7", "7");
	T_EQ(weir_config_set(&config, "preset", "latency", &why), 0);
	T_EQ(config.threshold, 256);
}

Test(preset, an_unknown_preset_is_met_with_the_nearest)
{
	weir_config_init(&config);
	refuses("preset", "lattency", -ENOENT, "unknown preset", "'lattency'", "latency?");
	refuses("preset", "seed", -ENOENT, "unknown preset 'seed'", "", "");
	T_EQ(weir_config_preset(&config, "seed-devv", &why), -ENOENT);
	T_TRUE(strstr(why.text, "did you mean seed-dev?"));
}

Test(preset, nine_are_named_and_balanced_is_the_first)
{
	size_t n = 0;

	while (weir_config_preset_name(n))
		n++;
	T_EQ(n, 9);
	T_STR(weir_config_preset_name(0), "balanced");
	T_TRUE(!weir_config_preset_name(SIZE_MAX));
}

/* Structs of another size. */

Test(config, nothing_behind_the_callers_size_is_written)
{
	struct weir_config before;

	weir_config_init(&config);
	memset((char *)&config + offsetof(struct weir_config, ring_bytes), 0xa5,
	       sizeof(config) - offsetof(struct weir_config, ring_bytes));
	config.size = offsetof(struct weir_config, ring_bytes);
	before = config;
	T_EQ(weir_config_set(&config, "threshold", "7", &why), 0);
	T_EQ(weir_config_preset(&config, "throughput", &why), 0);
	T_EQ(config.threshold, 32768);
	T_EQ(memcmp(&before.ring_bytes, &config.ring_bytes,
	            sizeof(config) - offsetof(struct weir_config, ring_bytes)),
	     0);
}

Test(config, a_key_that_the_callers_struct_lacks_is_refused)
{
	char text[64];

	weir_config_init(&config);
	config.size = offsetof(struct weir_config, close_timeout_ns);
	refuses("close_timeout", "1s", -ENOENT, "close_timeout", "newer", "");
	T_EQ(weir_config_get(&config, "close_timeout", text, sizeof(text)), -ENOENT);
	takes("claim_max", "2s", "2s");
}

Test(config, a_struct_that_was_never_initialised_is_refused)
{
	memset(&config, 0, sizeof(config));
	refuses("threshold", "1", -EINVAL, "size = 0", "weir_config_init()", "");
	memset(&config, 0xa5, sizeof(config));
	refuses("threshold", "1", -EINVAL, "size = ", "weir_config_init()", "");
	T_EQ(weir_config_preset(&config, "dev", &why), -EINVAL);
	T_EQ(weir_config_env(&config, NULL, &why), -EINVAL);
	T_EQ(weir_config_file(&config, "/dev/null", &why), -EINVAL);
}

Test(config, a_longer_struct_of_a_newer_caller_works)
{
	struct {
		struct weir_config config;
		char more[64];
	} newer;
	char untouched[64];

	weir_config_init(&newer.config);
	memset(newer.more, 0x5a, sizeof(newer.more));
	memcpy(untouched, newer.more, sizeof(untouched));
	newer.config.size = sizeof(newer);
	T_EQ(weir_config_set(&newer.config, "threshold", "7", &why), 0);
	T_EQ(newer.config.threshold, 7);
	T_EQ(newer.config.size, sizeof(newer));
	T_EQ(memcmp(newer.more, untouched, sizeof(untouched)), 0);
	T_EQ(weir_config_check(&newer.config, &why), 0);
}
