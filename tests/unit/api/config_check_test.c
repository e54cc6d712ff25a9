/* SPDX-License-Identifier: Apache-2.0 */
/* config_check_test.c - a whole configuration: ranges, contradictions, and what is unwise. */
#include <errno.h>

#include "api/config.h"
#include "ring/rings.h"
#include "test.h"

static struct weir_config config;
static struct weir_why why;

static void is_fine(void)
{
	int r = weir_config_check(&config, &why);

	if (r)
		T_FAIL("gave %d: %s", r, why.text);
}

static void gives(int result, const char *a, const char *b)
{
	int r = weir_config_check(&config, &why);

	if (r != result)
		T_FAIL("gave %d, not %d", r, result);
	if (!strstr(why.text, a) || !strstr(why.text, b))
		T_FAIL("'%s' lacks '%s' or '%s'", why.text, a, b);
}

Test(config_check, the_defaults_are_fine)
{
	weir_config_init(&config);
	is_fine();
	T_EQ(weir_config_check(NULL, &why), 0);
}

Test(config_check, every_preset_is_fine)
{
	for (size_t i = 0; weir_config_preset_name(i); i++) {
		weir_config_init(&config);
		T_EQ(weir_config_preset(&config, weir_config_preset_name(i), &why), 0);
		is_fine();
	}
}

Test(config_check, a_threshold_of_zero_means_use_off)
{
	weir_config_init(&config);
	config.threshold = 0;
	gives(-EINVAL, "threshold = '0'", "use off");
	weir_config_init(&config);
	config.threshold_bytes = 0;
	gives(-EINVAL, "threshold_bytes = '0'", "use off");
}

Test(config_check, a_threshold_that_its_counter_cannot_reach_is_refused)
{
	weir_config_init(&config);
	config.threshold = UINT64_C(1) << 31;
	gives(-EINVAL, "threshold = '2147483648'", "1..2147483647 or off");
}

Test(config_check, auto_in_a_field_without_it_is_refused)
{
	weir_config_init(&config);
	config.threshold = WEIR_AUTO;
	gives(-EINVAL, "threshold = '18446744073709551614'", "out of range");
}

Test(config_check, off_in_a_field_without_it_is_refused)
{
	weir_config_init(&config);
	config.claim_max_ns = WEIR_OFF;
	gives(-EINVAL, "claim_max", "1ms..1d");
	weir_config_init(&config);
	config.count_slack = WEIR_OFF;
	gives(-EINVAL, "count_slack", "or auto");
}

Test(config_check, a_ring_of_three_bytes_names_key_value_and_range)
{
	weir_config_init(&config);
	config.ring_bytes = 3;
	gives(-EINVAL, "ring_bytes = '3'", "64KiB..1GiB");
}

Test(config_check, a_ring_that_is_no_power_of_two_is_refused)
{
	weir_config_init(&config);
	config.ring_bytes = 3 << 20;
	gives(-EINVAL, "ring_bytes = '3MiB'", "power of two");
}

Test(config_check, an_unknown_enum_value_is_refused)
{
	weir_config_init(&config);
	config.full = 2;
	gives(-EINVAL, "full = '2'", "fail|block");
	weir_config_init(&config);
	config.timer_mode = 3;
	gives(-EINVAL, "timer_mode = '3'", "on|off|shadow");
	weir_config_init(&config);
	config.order = UINT32_MAX;
	gives(-EINVAL, "order = '4294967295'", "thread|none");
}

Test(config_check, numbers_outside_their_range_are_refused)
{
	weir_config_init(&config);
	config.inline_max = 4097;
	gives(-EINVAL, "inline_max = '4097'", "0..4KiB");
	weir_config_init(&config);
	config.max_batch_spans = 0;
	gives(-EINVAL, "max_batch_spans = '0'", "1..1024");
	weir_config_init(&config);
	config.max_batch_spans = 1025;
	gives(-EINVAL, "max_batch_spans = '1025'", "1..1024");
	weir_config_init(&config);
	config.pressure = 101;
	gives(-EINVAL, "pressure = '101%'", "1..100");
	weir_config_init(&config);
	config.deadline_ns = UINT64_C(31536000000000001);
	gives(-EINVAL, "deadline = '31536000000000001ns'", "365d");
}

Test(config_check, signed_numbers_outside_their_range_are_refused)
{
	weir_config_init(&config);
	config.flusher_nice = -21;
	gives(-EINVAL, "flusher_nice = '-21'", "-20..19");
	weir_config_init(&config);
	config.flusher_cpu = -2;
	gives(-EINVAL, "flusher_cpu = '-2'", "-1..1023");
	weir_config_init(&config);
	config.flusher_cpu = 1024;
	gives(-EINVAL, "flusher_cpu = '1024'", "-1..1023");
}

Test(config_check, a_name_without_its_nul_is_refused)
{
	weir_config_init(&config);
	memset(config.flusher_name, 'a', sizeof(config.flusher_name));
	gives(-EINVAL, "flusher_name = 'aaaaaaaaaaaaaaaa'", "1..10");
}

Test(config_check, a_name_with_strange_letters_is_refused)
{
	weir_config_init(&config);
	memcpy(config.flusher_name, "a b", 4);
	gives(-EINVAL, "flusher_name = 'a b'", "letters");
	config.flusher_name[0] = 0;
	gives(-EINVAL, "flusher_name = ''", "letters");
}

Test(config_check, a_record_above_a_quarter_of_the_ring_is_refused)
{
	weir_config_init(&config);
	config.ring_bytes = 65536;
	config.record_max = 16385;
	gives(-EINVAL, "record_max = 16385", "ring_bytes = 64KiB");
	config.record_max = 16384;
	is_fine();
}

Test(config_check, a_ring_smaller_than_a_huge_page_is_refused)
{
	weir_config_init(&config);
	config.ring_backing = WEIR_BACKING_HUGEPAGE;
	gives(-EINVAL, "ring_bytes = 1MiB", "2MiB");
	config.ring_bytes = 2 << 20;
	is_fine();
}

static void *take(void *arg, size_t bytes)
{
	(void)arg;
	return malloc(bytes);
}

static void give(void *arg, void *memory, size_t bytes)
{
	(void)arg;
	(void)bytes;
	free(memory);
}

Test(config_check, half_an_allocator_is_refused)
{
	weir_config_init(&config);
	config.allocator.alloc = take;
	gives(-EINVAL, "allocator.alloc is set", "allocator.free is not");
	config.allocator.alloc = NULL;
	config.allocator.free = give;
	gives(-EINVAL, "allocator.free is set", "allocator.alloc is not");
}

Test(config_check, an_allocators_argument_alone_is_refused)
{
	weir_config_init(&config);
	config.allocator.arg = &config;
	gives(-EINVAL, "allocator.arg", "without alloc and free");
}

Test(config_check, an_allocator_needs_no_argument)
{
	weir_config_init(&config);
	config.allocator.alloc = take;
	config.allocator.free = give;
	is_fine();
}

Test(config_check, no_trigger_for_a_few_records_is_unwise)
{
	weir_config_init(&config);
	config.threshold = WEIR_OFF;
	config.deadline_ns = WEIR_OFF;
	gives(1, "neither threshold nor deadline", "");
	weir_config_init(&config);
	config.threshold_mode = WEIR_MODE_OFF;
	config.timer_mode = WEIR_MODE_SHADOW;
	gives(1, "neither threshold nor deadline", "");
}

Test(config_check, one_of_threshold_and_deadline_is_enough)
{
	weir_config_init(&config);
	config.threshold = WEIR_OFF;
	is_fine();
	weir_config_init(&config);
	config.timer_mode = WEIR_MODE_OFF;
	is_fine();
}

Test(config_check, a_threshold_that_no_rings_hold_is_unwise)
{
	weir_config_init(&config);
	config.ring_bytes = 65536;
	config.record_max = 1024;
	config.threshold = INT32_MAX;
	gives(1, "threshold = 2147483647 is never reached", "ring_bytes = 64KiB");
	config.threshold_mode = WEIR_MODE_OFF;
	is_fine();
}

Test(config_check, a_byte_threshold_that_no_rings_hold_is_unwise)
{
	weir_config_init(&config);
	config.ring_bytes = 65536;
	config.record_max = 1024;
	config.threshold_bytes = UINT64_C(1) << 39;
	gives(1, "threshold_bytes = 512GiB is never reached", "ring_bytes = 64KiB");
	config.bytes_mode = WEIR_MODE_OFF;
	is_fine();
}

Test(config_check, what_all_rings_hold_can_be_reached)
{
	uint64_t room = wr_cpus_usable() * UINT64_C(65536);

	weir_config_init(&config);
	config.ring_bytes = 65536;
	config.record_max = 1024;
	config.max_batch_records = INT32_MAX;
	config.max_batch_bytes = UINT64_C(1) << 39;
	config.threshold = room / 8; /* records without payload */
	config.threshold_bytes = room;
	is_fine();
	config.threshold++;
	gives(1, "threshold = ", "never reached");
	config.threshold--;
	config.threshold_bytes++;
	gives(1, "threshold_bytes = ", "never reached");
}

Test(config_check, small_rings_and_batches_need_no_other_byte_threshold)
{
	weir_config_init(&config);
	config.ring_bytes = 65536;
	config.record_max = 1024;
	config.max_batch_bytes = 65536;
	is_fine();
}

Test(config_check, a_threshold_above_the_batch_cap_is_unwise)
{
	weir_config_init(&config);
	config.max_batch_records = 4095;
	gives(1, "threshold = 4096", "max_batch_records = 4095");
	config.max_batch_records = 4096;
	is_fine();
}

Test(config_check, a_byte_threshold_above_the_batch_cap_is_unwise)
{
	weir_config_init(&config);
	config.threshold_bytes = 2 << 20;
	config.ring_bytes = 4 << 20;
	config.max_batch_bytes = (2 << 20) - 1;
	gives(1, "threshold_bytes = 2MiB", "max_batch_bytes = 2097151");
	config.max_batch_bytes = 2 << 20;
	is_fine();
}

Test(config_check, a_record_above_the_batch_cap_is_unwise)
{
	weir_config_init(&config);
	config.threshold_bytes = WEIR_OFF;
	config.max_batch_bytes = 65535;
	gives(1, "record_max = 64KiB", "max_batch_bytes = 65535");
	config.max_batch_bytes = 65536;
	is_fine();
}

Test(config_check, a_small_threshold_is_fine_counted_exactly_or_not)
{
	weir_config_init(&config);
	config.threshold = 1;
	is_fine();
	config.count_slack = 0;
	is_fine();
}

Test(config_read, null_means_all_defaults)
{
	struct weir_config read, defaults;

	weir_config_init(&defaults);
	T_EQ(wr_config_read(NULL, &read, &why), 0);
	T_EQ(memcmp(&read, &defaults, sizeof(read)), 0);
}

Test(config_read, what_the_caller_set_is_taken)
{
	struct weir_config read;

	weir_config_init(&config);
	config.threshold = 7;
	config.close_timeout_ns = 8;
	config.allocator = (struct weir_allocator){ take, give, &config };
	T_EQ(wr_config_read(&config, &read, &why), 0);
	T_EQ(memcmp(&read, &config, sizeof(read)), 0);
}

Test(config_read, fields_behind_the_callers_size_have_their_defaults)
{
	struct weir_config read, defaults;

	weir_config_init(&defaults);
	memset(&config, 0xa5, sizeof(config));
	memcpy(&config, &defaults, offsetof(struct weir_config, ring_bytes));
	config.size = offsetof(struct weir_config, ring_bytes);
	config.threshold = 7;
	T_EQ(wr_config_read(&config, &read, &why), 0);
	T_EQ(read.threshold, 7);
	T_EQ(read.size, sizeof(read));
	T_EQ(read.ring_bytes, 1 << 20);
	T_TRUE(!read.allocator.alloc);
}

Test(config_read, a_field_cut_in_two_has_its_default)
{
	struct weir_config read;

	weir_config_init(&config);
	config.close_timeout_ns = 1;
	config.size = offsetof(struct weir_config, close_timeout_ns) + 4;
	T_EQ(wr_config_read(&config, &read, &why), 0);
	T_EQ(read.close_timeout_ns, INT64_C(10000000000));
}

Test(config_read, an_allocator_cut_in_two_is_none)
{
	struct weir_config read;

	weir_config_init(&config);
	config.allocator = (struct weir_allocator){ take, give, &config };
	config.size = sizeof(config) - 1;
	T_EQ(wr_config_read(&config, &read, &why), 0);
	T_TRUE(!read.allocator.alloc);
}

Test(config_read, an_absurd_size_is_refused)
{
	struct weir_config read = { .threshold = 3 };
	static const size_t sizes[] = { 0, 1, 8, 15, 65537, SIZE_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		weir_config_init(&config);
		config.size = sizes[i];
		T_EQ(wr_config_read(&config, &read, &why), -EINVAL);
		T_TRUE(strstr(why.text, "weir_config_init()"));
		T_EQ(read.threshold, 3);
	}
}

Test(config_read, the_least_and_the_largest_size_are_taken)
{
	struct weir_config read;

	weir_config_init(&config);
	config.threshold = 7;
	config.size = offsetof(struct weir_config, threshold_bytes);
	T_EQ(wr_config_read(&config, &read, &why), 0);
	T_EQ(read.threshold, 7);
	config.size = 65536; /* of a newer caller: only the known part is read */
	T_EQ(wr_config_read(&config, &read, &why), 0);
	T_EQ(read.threshold, 7);
	T_EQ(read.size, sizeof(read));
}

Test(config_read, a_refused_config_leaves_the_result_alone)
{
	struct weir_config read = { .threshold = 3 };

	weir_config_init(&config);
	config.record_max = config.ring_bytes;
	T_EQ(wr_config_read(&config, &read, &why), -EINVAL);
	config.ring_bytes = 3;
	T_EQ(wr_config_read(&config, &read, &why), -EINVAL);
	T_EQ(read.threshold, 3);
}

Test(config_read, an_unwise_config_is_read)
{
	struct weir_config read = { .threshold = 3 };

	weir_config_init(&config);
	config.threshold = config.deadline_ns = WEIR_OFF;
	T_EQ(wr_config_read(&config, &read, &why), 1);
	T_TRUE(read.threshold == WEIR_OFF);
}
