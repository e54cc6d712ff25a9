/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include "test.h"

static uint8_t bytes[65536];

static void fill(void)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(x >> 24);
	}
}

/* By the definition, bit by bit. */
static uint32_t by_definition(uint32_t crc, const uint8_t *at, size_t n)
{
	crc = ~crc;
	while (n--) {
		crc ^= *at++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

Test(crc32c, check_value_of_the_standard)
{
	T_EQ(wr_crc32c(0, "123456789", 9), 0xe3069283u);
	T_EQ(wr_crc32c_portable(0, "123456789", 9), 0xe3069283u);
}

Test(crc32c, known_sums_of_rfc_3720)
{
	uint8_t zeros[32] = { 0 }, ones[32], up[32];

	memset(ones, 0xff, sizeof(ones));
	for (uint8_t i = 0; i < 32; i++)
		up[i] = i;
	T_EQ(wr_crc32c(0, zeros, 32), 0x8a9136aau);
	T_EQ(wr_crc32c(0, ones, 32), 0x62a8ab43u);
	T_EQ(wr_crc32c(0, up, 32), 0x46dd794eu);
}

Test(crc32c, nothing_changes_nothing)
{
	T_EQ(wr_crc32c(0, NULL, 0), 0);
	T_EQ(wr_crc32c(77, bytes, 0), 77);
	T_EQ(wr_crc32c_portable(77, bytes, 0), 77);
}

Test(crc32c, both_forms_agree_at_every_length_and_alignment)
{
	fill();
	for (size_t at = 0; at < 8; at++)
		for (size_t n = 0; n <= 300; n++)
			T_EQ(wr_crc32c(5, bytes + at, n), wr_crc32c_portable(5, bytes + at, n));
}

Test(crc32c, portable_form_is_the_definition)
{
	fill();
	for (size_t at = 0; at < 8; at++)
		for (size_t n = 0; n <= 300; n += 7)
			T_EQ(wr_crc32c_portable(9, bytes + at, n), by_definition(9, bytes + at, n));
}

Test(crc32c, three_streams_agree_around_their_lengths)
{
	static const size_t around[] = { 3 * 256, 6 * 256, 3 * 4096, 6 * 4096, 3 * 4096 + 3 * 256 };

	fill();
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++)
		for (size_t n = around[i] - 17; n <= around[i] + 17; n++)
			T_EQ(wr_crc32c(1, bytes + n % 9, n), wr_crc32c_portable(1, bytes + n % 9, n));
	T_EQ(wr_crc32c(0, bytes, sizeof(bytes)), wr_crc32c_portable(0, bytes, sizeof(bytes)));
}

Test(crc32c, a_sum_goes_on_where_it_was_cut)
{
	fill();
	for (size_t cut = 0; cut <= 20000; cut += 333) {
		uint32_t crc = wr_crc32c(0, bytes, cut);

		T_EQ(wr_crc32c(crc, bytes + cut, 20000 - cut), wr_crc32c(0, bytes, 20000));
	}
}

Test(crc32c, every_bit_matters)
{
	uint32_t whole;

	fill();
	whole = wr_crc32c(0, bytes, 3000);
	for (size_t bit = 0; bit < 3000 * 8; bit += 7) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		T_TRUE(wr_crc32c(0, bytes, 3000) != whole);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

Test(crc32c, the_instruction_is_used_where_the_processor_has_it)
{
#if defined(__x86_64__)
	T_EQ(wr_crc32c_hardware(), __builtin_cpu_supports("sse4.2") != 0);
#else
	T_TRUE(wr_crc32c_hardware() == 0 || wr_crc32c_hardware() == 1);
#endif
}
