/* SPDX-License-Identifier: Apache-2.0 */
/* config_env_test.c - settings from the environment. */
#include <errno.h>
#include <stddef.h>
#include <weir/config.h>

#include "test.h"

static struct weir_config config;
static struct weir_why why;

/* Applies the environment with NAME=value; @keys set. */
static void applies(const char *prefix, int keys)
{
	int r = weir_config_env(&config, prefix, &why);

	if (r != keys)
		T_FAIL("%d keys set, not %d (%s)", r, keys, r < 0 ? why.text : "");
}

/* @error, a sentence with both words, and nothing changed. */
static void refuses(const char *prefix, int error, const char *a, const char *b)
{
	struct weir_config before = config;
	int r = weir_config_env(&config, prefix, &why);

	T_EQ(r, error);
	T_EQ(memcmp(&before, &config, sizeof(config)), 0);
	if (!strstr(why.text, a) || !strstr(why.text, b))
		T_FAIL("'%s' lacks '%s' or '%s'", why.text, a, b);
}

static void put(const char *name, const char *value)
{
	T_EQ(setenv(name, value, 1), 0);
}

static void begin(void)
{
	clearenv();
	weir_config_init(&config);
}

Test(config_env, nothing_set_changes_nothing)
{
	begin();
	applies(NULL, 0);
	T_EQ(config.threshold, 4096);
}

Test(config_env, the_default_prefix_is_weir)
{
	begin();
	put("WEIR_THRESHOLD", "7");
	applies(NULL, 1);
	T_EQ(config.threshold, 7);
}

Test(config_env, another_prefix_reads_other_variables)
{
	begin();
	put("WEIR_THRESHOLD", "7");
	put("APP_THRESHOLD", "8");
	applies("APP", 1);
	T_EQ(config.threshold, 8);
}

Test(config_env, every_key_has_a_variable)
{
	for (const struct weir_property *p = weir_config_next(NULL); p; p = weir_config_next(p)) {
		static const char *const probes[] = { "3", "131072", "3ms", "off",
			                              "block", "own", "none", "hugepage", "x" };
		char name[64], text[64];
		size_t i;

		for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
			begin();
			if (!weir_config_set(&config, p->key, probes[i], NULL))
				break;
		}
		begin();
		snprintf(name, sizeof(name), "WEIR_%s", p->key);
		for (char *c = name; *c; c++)
			*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
		put(name, probes[i]);
		applies(NULL, 1);
		T_TRUE(weir_config_get(&config, p->key, text, sizeof(text)) > 0);
		T_TRUE(strcmp(text, p->initial) != 0);
	}
}

Test(config_env, an_empty_variable_is_unset)
{
	begin();
	put("WEIR_THRESHOLD", "");
	put("WEIR_PRESET", "");
	put("WEIR_ENABLE_TIMER_FLUSH", "");
	applies(NULL, 0);
	T_EQ(config.threshold, 4096);
}

Test(config_env, unknown_variables_are_ignored)
{
	begin();
	put("WEIR_TRESHOLD", "7");
	put("WEIR_COLOUR", "blue");
	put("WEIR_", "x");
	put("WEIRTHRESHOLD", "9");
	applies(NULL, 0);
}

Test(config_env, names_are_upper_case)
{
	begin();
	put("WEIR_threshold", "7");
	put("weir_THRESHOLD", "7");
	applies(NULL, 0);
}

Test(config_env, the_prefix_keeps_its_own_case)
{
	begin();
	put("app_THRESHOLD", "7");
	put("APP_THRESHOLD", "8");
	applies("app", 1);
	T_EQ(config.threshold, 7);
}

Test(config_env, a_malformed_value_names_its_variable)
{
	begin();
	put("WEIR_DEADLINE", "5");
	refuses(NULL, -EINVAL, "WEIR_DEADLINE: ", "'5'");
}

Test(config_env, a_value_out_of_range_names_its_variable)
{
	begin();
	put("WEIR_RING_BYTES", "3");
	refuses(NULL, -ERANGE, "WEIR_RING_BYTES: ", "64KiB..1GiB");
}

Test(config_env, quotes_and_blanks_are_part_of_the_value)
{
	begin();
	put("WEIR_THRESHOLD", "\"10\"");
	refuses(NULL, -EINVAL, "WEIR_THRESHOLD", "'\"10\"'");
	put("WEIR_THRESHOLD", " 10");
	refuses(NULL, -EINVAL, "WEIR_THRESHOLD", "' 10'");
	put("WEIR_THRESHOLD", "10\n");
	refuses(NULL, -EINVAL, "WEIR_THRESHOLD", "'10?'");
}

Test(config_env, one_bad_variable_sets_none)
{
	begin();
	put("WEIR_PRESET", "latency");
	put("WEIR_THRESHOLD", "7");
	put("WEIR_CLOSE_TIMEOUT", "soon"); /* of the last key */
	refuses(NULL, -EINVAL, "WEIR_CLOSE_TIMEOUT", "soon");
	T_EQ(config.threshold, 4096);
}

Test(config_env, the_preset_goes_before_the_keys)
{
	begin();
	put("WEIR_THRESHOLD", "7");
	put("WEIR_PRESET", "seed-default");
	applies(NULL, 2);
	T_EQ(config.threshold, 7);
	T_EQ(config.deadline_ns, INT64_C(300000000000));
}

Test(config_env, an_unknown_preset_names_its_variable)
{
	begin();
	put("WEIR_PRESET", "seed-defualt");
	refuses(NULL, -ENOENT, "WEIR_PRESET: ", "did you mean seed-default?");
}

Test(config_env, the_seeds_three_names_work_with_its_prefix)
{
	begin();
	put("MOONSHOT_LOCATION_BATCH_THRESHOLD", "10");
	put("MOONSHOT_BATCH_TIME_THRESHOLD_SECONDS", "300");
	put("MOONSHOT_ENABLE_TIMER_FLUSH", "true");
	applies("MOONSHOT", 3);
	T_EQ(config.threshold, 10);
	T_EQ(config.deadline_ns, INT64_C(300000000000));
	T_EQ(config.timer_mode, WEIR_MODE_ON);
}

Test(config_env, batch_threshold_is_threshold)
{
	begin();
	put("WEIR_BATCH_THRESHOLD", "12");
	applies(NULL, 1);
	T_EQ(config.threshold, 12);
}

Test(config_env, seconds_may_have_a_fraction)
{
	begin();
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "300.0");
	applies(NULL, 1);
	T_EQ(config.deadline_ns, INT64_C(300000000000));
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "0.25");
	applies(NULL, 1);
	T_EQ(config.deadline_ns, 250000000);
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "0");
	applies(NULL, 1);
	T_EQ(config.deadline_ns, 0);
}

Test(config_env, seconds_are_a_bare_decimal_number)
{
	static const char *const bad[] = { "300s", "5m",  "-1",  "+1",  "1e3",  "off", ".5",
		                           "5.",   "1.2.3", "nan", " 300", "3,5", "0x10", "." };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", bad[i]);
		refuses(NULL, -EINVAL, "WEIR_BATCH_TIME_THRESHOLD_SECONDS: ", bad[i]);
	}
}

Test(config_env, seconds_beyond_a_year_are_out_of_range)
{
	begin();
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "31536000");
	applies(NULL, 1);
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "31536001");
	refuses(NULL, -ERANGE, "WEIR_BATCH_TIME_THRESHOLD_SECONDS", "31536001");
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "18446744073709551616");
	refuses(NULL, -ERANGE, "WEIR_BATCH_TIME_THRESHOLD_SECONDS", "18446744073709551616");
}

Test(config_env, the_timer_is_switched_off_by_four_words_in_any_case)
{
	static const char *const words[] = { "0", "false", "no", "off", "FALSE", "No", "oFF" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		begin();
		put("WEIR_ENABLE_TIMER_FLUSH", words[i]);
		applies(NULL, 1);
		T_EQ(config.timer_mode, WEIR_MODE_OFF);
	}
}

Test(config_env, the_timer_is_switched_on_by_four_words_in_any_case)
{
	static const char *const words[] = { "1", "true", "yes", "on", "TRUE", "Yes", "oN" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		begin();
		config.timer_mode = WEIR_MODE_SHADOW;
		put("WEIR_ENABLE_TIMER_FLUSH", words[i]);
		applies(NULL, 1);
		T_EQ(config.timer_mode, WEIR_MODE_ON);
	}
}

Test(config_env, the_timer_switch_takes_no_other_word)
{
	static const char *const bad[] = { "2", "shadow", "t", "enable", "01", "tru" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		put("WEIR_ENABLE_TIMER_FLUSH", bad[i]);
		refuses(NULL, -EINVAL, "WEIR_ENABLE_TIMER_FLUSH: ", bad[i]);
		T_TRUE(strstr(why.text, "true"));
	}
}

Test(config_env, a_keys_own_name_wins_over_its_other_names)
{
	begin();
	put("WEIR_THRESHOLD", "1");
	put("WEIR_BATCH_THRESHOLD", "2");
	put("WEIR_LOCATION_BATCH_THRESHOLD", "3");
	put("WEIR_DEADLINE", "1ms");
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "2");
	put("WEIR_TIMER_MODE", "shadow");
	put("WEIR_ENABLE_TIMER_FLUSH", "off");
	applies(NULL, 3);
	T_EQ(config.threshold, 1);
	T_EQ(config.deadline_ns, 1000000);
	T_EQ(config.timer_mode, WEIR_MODE_SHADOW);
}

Test(config_env, the_general_alias_wins_over_the_special_one)
{
	begin();
	put("WEIR_LOCATION_BATCH_THRESHOLD", "3");
	put("WEIR_BATCH_THRESHOLD", "2");
	applies(NULL, 1);
	T_EQ(config.threshold, 2);
}

Test(config_env, a_malformed_alias_is_an_error_even_if_overruled)
{
	begin();
	put("WEIR_THRESHOLD", "1");
	put("WEIR_LOCATION_BATCH_THRESHOLD", "ten");
	refuses(NULL, -EINVAL, "WEIR_LOCATION_BATCH_THRESHOLD: ", "'ten'");
}

Test(config_env, a_prefix_is_letters_digits_and_underscores)
{
	begin();
	refuses("", -EINVAL, "prefix ''", "letters");
	refuses("A=B", -EINVAL, "prefix 'A=B'", "letters");
	refuses("0A", -EINVAL, "prefix '0A'", "letters");
	refuses("9A", -EINVAL, "prefix '9A'", "letters");
	refuses("A-B", -EINVAL, "prefix 'A-B'", "letters");
	put("_A1_THRESHOLD", "7");
	applies("_A1", 1);
}

Test(config_env, a_prefix_has_at_most_64_letters)
{
	char prefix[66];

	begin();
	memset(prefix, 'A', 65);
	prefix[65] = 0;
	refuses(prefix, -EINVAL, "prefix 'AAA", "letters");
	prefix[64] = 0;
	applies(prefix, 0);
}

Test(config_env, the_last_field_that_the_caller_has_is_read)
{
	begin();
	config.size = offsetof(struct weir_config, allocator);
	put("WEIR_CLOSE_TIMEOUT", "1s");
	applies(NULL, 1);
	T_EQ(config.close_timeout_ns, 1000000000);
}

Test(config_env, seconds_have_at_most_31_characters)
{
	begin();
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "0000000000000000000000000000300");
	applies(NULL, 1);
	T_EQ(config.deadline_ns, INT64_C(300000000000));
	put("WEIR_BATCH_TIME_THRESHOLD_SECONDS", "00000000000000000000000000000300");
	refuses(NULL, -EINVAL, "WEIR_BATCH_TIME_THRESHOLD_SECONDS", "number of seconds");
}

Test(config_env, variables_of_fields_that_the_caller_lacks_are_ignored)
{
	begin();
	config.size = offsetof(struct weir_config, close_timeout_ns);
	put("WEIR_CLOSE_TIMEOUT", "1s");
	put("WEIR_THRESHOLD", "7");
	applies(NULL, 1);
	T_EQ(config.threshold, 7);
	T_EQ(config.close_timeout_ns, INT64_C(10000000000));
}
