/* SPDX-License-Identifier: Apache-2.0 */
/* units_test.c - numbers as people write them. */
#include "base/units.h"

#include <errno.h>

#include "test.h"

static uint64_t count(const char *text)
{
	uint64_t n = 77;

	T_EQ(wr_units_count(text, &n), 0);
	return n;
}

static uint64_t bytes(const char *text)
{
	uint64_t n = 77;

	T_EQ(wr_units_bytes(text, &n), 0);
	return n;
}

static uint64_t duration(const char *text)
{
	uint64_t n = 77;

	T_EQ(wr_units_duration(text, &n), 0);
	return n;
}

static void refused(int (*parse)(const char *, uint64_t *), const char *text, int error)
{
	uint64_t n = 77;
	int r = parse(text, &n);

	if (r != error)
		T_FAIL("'%s' gave %d, not %d", text, r, error);
	T_EQ(n, 77);
}

Test(units, a_count_is_its_digits)
{
	T_EQ(count("0"), 0);
	T_EQ(count("4096"), 4096);
	T_EQ(count("007"), 7);
}

Test(units, decimal_suffixes_are_powers_of_a_thousand)
{
	T_EQ(count("4k"), 4000);
	T_EQ(count("4K"), 4000);
	T_EQ(count("3M"), 3000000);
	T_EQ(count("2G"), 2000000000);
	T_EQ(count("2T"), 2000000000000);
}

Test(units, binary_suffixes_are_powers_of_1024)
{
	T_EQ(count("1Ki"), 1024);
	T_EQ(count("1Mi"), 1 << 20);
	T_EQ(count("1Gi"), 1 << 30);
	T_EQ(count("1Ti"), INT64_C(1) << 40);
}

Test(units, a_fraction_is_taken_when_the_value_is_whole)
{
	T_EQ(count("1.5k"), 1500);
	T_EQ(bytes("0.5KiB"), 512);
	T_EQ(duration("1.5s"), 1500000000);
	T_EQ(duration("0.000000001s"), 1);
	T_EQ(count("2.0"), 2);
}

Test(units, a_fraction_of_a_large_unit_is_exact)
{
	T_EQ(count("0.500000000Ti"), INT64_C(1) << 39);
	T_EQ(count("0.998046875Ti"), INT64_C(511) << 31);
	refused(wr_units_count, "0.998046874Ti", -EINVAL);
}

Test(units, a_fraction_that_leaves_a_rest_is_refused)
{
	refused(wr_units_count, "1.5", -EINVAL);
	refused(wr_units_bytes, "0.3KiB", -EINVAL);
	refused(wr_units_duration, "0.5ns", -EINVAL);
}

Test(units, a_fraction_has_one_to_nine_digits)
{
	T_EQ(duration("1.123456789s"), 1123456789);
	refused(wr_units_duration, "1.s", -EINVAL);
	refused(wr_units_duration, "1.1234567890s", -EINVAL);
	refused(wr_units_duration, ".5s", -EINVAL);
	refused(wr_units_duration, "1.2.3s", -EINVAL);
}

Test(units, sizes_take_a_b_behind_any_unit)
{
	T_EQ(bytes("64KiB"), 65536);
	T_EQ(bytes("64Ki"), 65536);
	T_EQ(bytes("1MB"), 1000000);
	T_EQ(bytes("7B"), 7);
	T_EQ(bytes("7"), 7);
}

Test(units, counts_take_no_b)
{
	refused(wr_units_count, "7B", -EINVAL);
	refused(wr_units_count, "1KiB", -EINVAL);
}

Test(units, durations_know_seven_units)
{
	T_EQ(duration("1ns"), 1);
	T_EQ(duration("1us"), 1000);
	T_EQ(duration("1ms"), 1000000);
	T_EQ(duration("1s"), 1000000000);
	T_EQ(duration("1m"), INT64_C(60000000000));
	T_EQ(duration("1h"), INT64_C(3600000000000));
	T_EQ(duration("1d"), INT64_C(86400000000000));
}

Test(units, a_time_without_a_unit_is_refused_unless_it_is_zero)
{
	T_EQ(duration("0"), 0);
	T_EQ(duration("0s"), 0);
	refused(wr_units_duration, "5", -EINVAL);
	refused(wr_units_duration, "00", -EINVAL);
}

Test(units, units_are_spelled_in_their_own_case)
{
	refused(wr_units_bytes, "1kib", -EINVAL);
	refused(wr_units_bytes, "1mb", -EINVAL);
	refused(wr_units_duration, "1MS", -EINVAL);
	refused(wr_units_count, "1g", -EINVAL);
}

Test(units, nothing_may_stand_around_a_number)
{
	refused(wr_units_count, "", -EINVAL);
	refused(wr_units_count, " 1", -EINVAL);
	refused(wr_units_count, "1 ", -EINVAL);
	refused(wr_units_bytes, "1 KiB", -EINVAL);
	refused(wr_units_bytes, "1KiBB", -EINVAL);
	refused(wr_units_bytes, "1KiBx", -EINVAL);
	refused(wr_units_duration, "1s2", -EINVAL);
	refused(wr_units_count, "1e3", -EINVAL);
	refused(wr_units_count, "0x10", -EINVAL);
}

Test(units, signs_are_refused)
{
	refused(wr_units_count, "-1", -EINVAL);
	refused(wr_units_count, "+1", -EINVAL);
}

Test(units, the_largest_64_bit_number_is_taken)
{
	T_TRUE(count("18446744073709551615") == UINT64_MAX);
}

Test(units, two_to_the_64_is_out_of_range)
{
	refused(wr_units_count, "18446744073709551616", -ERANGE);
	refused(wr_units_count, "99999999999999999999999999", -ERANGE);
}

Test(units, a_unit_that_lifts_a_number_over_64_bits_is_out_of_range)
{
	refused(wr_units_bytes, "16777216Ti", -ERANGE);
	T_TRUE(bytes("16777215Ti") == UINT64_C(16777215) << 40);
	refused(wr_units_duration, "213504d", -ERANGE);
	refused(wr_units_count, "18446744073709551615k", -ERANGE);
}

Test(units, a_fraction_that_lifts_the_sum_over_64_bits_is_out_of_range)
{
	refused(wr_units_count, "18446744073709551.616k", -ERANGE);
	T_TRUE(count("18446744073709551.615k") == UINT64_MAX);
}
