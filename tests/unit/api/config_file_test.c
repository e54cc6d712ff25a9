/* SPDX-License-Identifier: Apache-2.0 */
/* config_file_test.c - settings from a flat file, and where its mistakes are. */
#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/config.h>

#include "test.h"

static struct weir_config config;
static struct weir_why why;

/* Reads @bytes of @text as a file; the result. Its path in messages ends in ".conf". */
static int read_bytes(const char *text, size_t bytes)
{
	char path[] = "/tmp/weir-config-test-XXXXXX.conf";
	int fd = mkstemps(path, 5), r;

	T_TRUE(fd >= 0);
	T_EQ(write(fd, text, bytes), (ssize_t)bytes);
	close(fd);
	r = weir_config_file(&config, path, &why);
	unlink(path);
	return r;
}

static void reads(const char *text, int keys)
{
	int r = read_bytes(text, strlen(text));

	if (r != keys)
		T_FAIL("%d keys set, not %d (%s)", r, keys, r < 0 ? why.text : "");
}

static void refuses_bytes(const char *text, size_t bytes, int error, const char *place,
                          const char *words)
{
	struct weir_config before = config;
	int r = read_bytes(text, bytes);
	char behind[64];

	T_EQ(r, error);
	T_EQ(memcmp(&before, &config, sizeof(config)), 0);
	snprintf(behind, sizeof(behind), ".conf:%s: ", place);
	if (!strstr(why.text, behind) || !strstr(why.text, words))
		T_FAIL("'%s' lacks '%s' or '%s'", why.text, behind, words);
}

static void refuses(const char *text, int error, const char *place, const char *words)
{
	refuses_bytes(text, strlen(text), error, place, words);
}

Test(config_file, lines_set_keys)
{
	weir_config_init(&config);
	reads("threshold = 7\ndeadline = 2s\n", 2);
	T_EQ(config.threshold, 7);
	T_EQ(config.deadline_ns, 2000000000);
}

Test(config_file, an_empty_file_sets_nothing)
{
	weir_config_init(&config);
	reads("", 0);
	reads("\n\n", 0);
	reads(" \t \n", 0);
}

Test(config_file, comments_and_blank_lines_are_skipped)
{
	weir_config_init(&config);
	reads("# threshold = 1\n\n   # more\n\t\nthreshold = 7\n#", 1);
	T_EQ(config.threshold, 7);
}

Test(config_file, a_comment_may_stand_behind_a_value)
{
	weir_config_init(&config);
	reads("threshold = 7 # why\ndeadline = 1s\t# soon\n", 2);
	T_EQ(config.threshold, 7);
	T_EQ(config.deadline_ns, 1000000000);
}

Test(config_file, a_hash_within_a_value_begins_no_comment)
{
	weir_config_init(&config);
	refuses("threshold = 7#8\n", -EINVAL, "1:13", "'7#8'");
}

Test(config_file, blanks_around_the_parts_do_not_count)
{
	weir_config_init(&config);
	reads("  threshold\t=\t 7  \t\ndeadline=1s", 2);
	T_EQ(config.threshold, 7);
	T_EQ(config.deadline_ns, 1000000000);
}

Test(config_file, the_last_line_may_lack_its_end)
{
	weir_config_init(&config);
	reads("deadline = 1s\nthreshold = 7", 2);
	T_EQ(config.threshold, 7);
}

Test(config_file, crlf_ends_lines_too)
{
	weir_config_init(&config);
	reads("threshold = 7\r\n\r\n# c\r\ndeadline = 1s\r\n", 2);
	T_EQ(config.threshold, 7);
	T_EQ(config.deadline_ns, 1000000000);
}

Test(config_file, a_cr_within_a_line_is_part_of_the_value)
{
	weir_config_init(&config);
	refuses("threshold = 7\r8\n", -EINVAL, "1:13", "'7?8'");
}

Test(config_file, an_unknown_key_is_an_error_at_its_place)
{
	weir_config_init(&config);
	refuses("\n# x\n  treshold = 7\n", -ENOENT, "3:3", "(did you mean threshold?)");
}

Test(config_file, a_malformed_value_is_an_error_at_its_place)
{
	weir_config_init(&config);
	refuses("threshold = 7\ndeadline =   5\n", -EINVAL, "2:14", "deadline = '5'");
}

Test(config_file, a_value_out_of_range_is_an_error_at_its_place)
{
	weir_config_init(&config);
	refuses("ring_bytes = 3\n", -ERANGE, "1:14", "64KiB..1GiB");
}

Test(config_file, one_bad_line_sets_none)
{
	weir_config_init(&config);
	refuses("preset = latency\nthreshold = 7\nfull = blok\n", -EINVAL, "3:8", "block");
	T_EQ(config.threshold, 4096);
	T_EQ(config.deadline_ns, 5000000);
}

Test(config_file, a_missing_equals_sign_is_an_error_at_its_place)
{
	weir_config_init(&config);
	refuses("threshold 7\n", -EINVAL, "1:11", "= is missing");
	refuses("threshold\n", -EINVAL, "1:10", "= is missing");
	refuses("threshold # = 7\n", -EINVAL, "1:11", "= is missing");
}

Test(config_file, a_missing_key_is_an_error_at_its_place)
{
	weir_config_init(&config);
	refuses(" = 7\n", -EINVAL, "1:2", "a key is missing");
}

Test(config_file, a_missing_value_is_an_error_at_its_place)
{
	weir_config_init(&config);
	refuses("threshold =\n", -EINVAL, "1:12", "a value is missing");
	refuses("threshold = # none\n", -EINVAL, "1:13", "a value is missing");
	refuses("threshold =   \n", -EINVAL, "1:15", "a value is missing");
}

Test(config_file, a_key_given_twice_is_an_error_naming_both_lines)
{
	weir_config_init(&config);
	refuses("threshold = 7\n\nthreshold = 7\n", -EINVAL, "3:1",
	        "threshold was set in line 1 already");
	refuses("preset = dev\npreset = dev\n", -EINVAL, "2:1", "preset was set in line 1");
}

Test(config_file, quotes_are_part_of_the_value)
{
	weir_config_init(&config);
	refuses("deadline = \"5ms\"\n", -EINVAL, "1:12", "'\"5ms\"'");
}

Test(config_file, sections_are_no_syntax)
{
	weir_config_init(&config);
	refuses("[weir]\nthreshold = 7\n", -EINVAL, "1:7", "= is missing");
}

Test(config_file, a_nul_byte_is_an_error_at_its_place)
{
	static const char text[] = "threshold = 7\ndead\0line = 1s\n";

	weir_config_init(&config);
	refuses_bytes(text, sizeof(text) - 1, -EINVAL, "2:5", "NUL");
}

Test(config_file, a_nul_byte_in_a_comment_is_an_error_too)
{
	static const char text[] = "# \0\n";

	weir_config_init(&config);
	refuses_bytes(text, sizeof(text) - 1, -EINVAL, "1:3", "NUL");
}

/* A line of @bytes: a setting, blanks, a comment. */
static char *long_line(char *text, size_t bytes, const char *end)
{
	memset(text, 'x', bytes);
	memcpy(text, "threshold = 7 #", 15);
	memcpy(text + bytes, end, strlen(end) + 1);
	return text;
}

Test(config_file, a_line_has_up_to_4096_bytes)
{
	char text[8192];

	weir_config_init(&config);
	reads(long_line(text, 4096, "\ndeadline = 1s"), 2);
	reads(long_line(text, 4096, ""), 1);
	T_EQ(config.threshold, 7);
}

Test(config_file, the_cr_of_a_line_end_is_not_counted)
{
	char text[8192];

	weir_config_init(&config);
	reads(long_line(text, 4096, "\r\ndeadline = 1s"), 2);
}

Test(config_file, a_longer_line_is_an_error)
{
	char text[8192];

	weir_config_init(&config);
	refuses(long_line(text, 4097, "\n"), -EINVAL, "1:4097", "longer than 4096");
	refuses(long_line(text, 4097, ""), -EINVAL, "1:4097", "longer than 4096");
	refuses(long_line(text, 4096, "\rx\n"), -EINVAL, "1:4097", "longer than 4096");
	refuses(long_line(text, 8000, "\n"), -EINVAL, "1:4097", "longer than 4096");
}

Test(config_file, lines_may_lie_across_the_pieces_that_are_read)
{
	char text[20000] = "", line[64];

	weir_config_init(&config);
	for (int i = 0; i < 900; i++) {
		snprintf(line, sizeof(line), "# comment %06d\n", i);
		strcat(text, line);
	}
	refuses(strcat(text, "deadline = x"), -EINVAL, "901:12", "'x'");
}

Test(config_file, the_preset_goes_first_wherever_it_stands)
{
	weir_config_init(&config);
	reads("threshold = 7\npreset = throughput\n", 2);
	T_EQ(config.threshold, 7);
	T_EQ(config.deadline_ns, 50000000);
	T_EQ(config.ring_bytes, 8 << 20);
}

Test(config_file, an_unknown_preset_is_an_error_at_its_place)
{
	weir_config_init(&config);
	refuses("preset = durabel\n", -ENOENT, "1:10", "did you mean durable?");
}

Test(config_file, the_names_of_the_environment_are_no_keys)
{
	weir_config_init(&config);
	refuses("batch_threshold = 7\n", -ENOENT, "1:1", "unknown key 'batch_threshold'");
}

Test(config_file, a_missing_file_is_named)
{
	weir_config_init(&config);
	T_EQ(weir_config_file(&config, "/nonexistent/weir.conf", &why), -ENOENT);
	T_TRUE(strstr(why.text, "cannot open '/nonexistent/weir.conf': No such file"));
	T_EQ(config.threshold, 4096);
}

Test(config_file, a_directory_is_no_file)
{
	weir_config_init(&config);
	T_EQ(weir_config_file(&config, "/tmp", &why), -EISDIR);
	T_TRUE(strstr(why.text, "cannot read '/tmp': Is a directory"));
}

Test(config_file, a_reason_may_be_left_out)
{
	weir_config_init(&config);
	T_EQ(weir_config_file(&config, "/nonexistent/weir.conf", NULL), -ENOENT);
	T_EQ(weir_config_file(&config, NULL, NULL), -EINVAL);
}

Test(config_file, of_a_long_path_the_end_is_shown)
{
	char dir[] = "/tmp/weir-config-test-XXXXXX", path[512];
	FILE *file;

	T_TRUE(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%0150d.conf", dir, 1);
	file = fopen(path, "w");
	T_TRUE(file);
	fputs("threshold = ten\n", file);
	fclose(file);
	weir_config_init(&config);
	T_EQ(weir_config_file(&config, path, &why), -EINVAL);
	unlink(path);
	rmdir(dir);
	T_TRUE(strncmp(why.text, "...0000", 7) == 0);
	T_TRUE(strstr(why.text, "1.conf:1:13: threshold = 'ten' is not a count: 1.."));
	T_TRUE(strstr(why.text, "or off"));
}

Test(config_file, no_descriptor_is_left_open)
{
	int before = dup(0), after;

	close(before);
	weir_config_init(&config);
	reads("threshold = 7\n", 1);
	refuses("threshold = x\n", -EINVAL, "1:13", "'x'");
	(void)weir_config_file(&config, "/tmp", &why);
	after = dup(0);
	close(after);
	T_EQ(before, after);
}

Test(config_file, fields_that_the_caller_lacks_are_an_error)
{
	weir_config_init(&config);
	config.size = offsetof(struct weir_config, close_timeout_ns);
	refuses("close_timeout = 1s\n", -ENOENT, "1:17", "close_timeout is newer");
}
