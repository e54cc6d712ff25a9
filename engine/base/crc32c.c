/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.c - CRC-32C by table (slicing by eight) or by the processor's instruction.
 *
 * The instruction has a latency of three cycles and a throughput of one, so that three independent
 * streams are run side by side; the sums of the first two are then moved past the bytes that follow
 * them, by tables made for that one distance. thread: any; pure once the constructor has run
 */
#include "base/crc32c.h"

#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

#define POLYNOMIAL 0x82f63b78u /* reflected */
#define LONG_BYTES 4096u       /* of one of three streams, in a long run */
#define SHORT_BYTES 256u       /* and in a short one */

static uint32_t slices[8][256];
static int hardware;

static void make_slices(void)
{
	for (uint32_t n = 0; n < 256; n++) {
		uint32_t crc = n;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
		slices[0][n] = crc;
	}
	for (uint32_t n = 0; n < 256; n++)
		for (int k = 1; k < 8; k++)
			slices[k][n] = slices[k - 1][n] >> 8 ^ slices[0][slices[k - 1][n] & 0xff];
}

static uint64_t load64(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

uint32_t wr_crc32c_portable(uint32_t crc, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	crc = ~crc;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (; bytes >= 8; bytes -= 8, at += 8) {
		uint64_t word = load64(at) ^ crc;

		crc = slices[7][word & 0xff] ^ slices[6][word >> 8 & 0xff] ^
		      slices[5][word >> 16 & 0xff] ^ slices[4][word >> 24 & 0xff] ^
		      slices[3][word >> 32 & 0xff] ^ slices[2][word >> 40 & 0xff] ^
		      slices[1][word >> 48 & 0xff] ^ slices[0][word >> 56];
	}
#endif
	for (; bytes; bytes--, at++)
		crc = crc >> 8 ^ slices[0][(crc ^ *at) & 0xff];
	return ~crc;
}

#if defined(__x86_64__) || defined(__aarch64__)

static uint32_t shift_long[4][256], shift_short[4][256];

/* a * b modulo the polynomial; bit 31 is x to the power of 0. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t mask = 1u << 31; mask; mask >>= 1) {
		if (a & mask)
			product ^= b;
		b = b & 1 ? b >> 1 ^ POLYNOMIAL : b >> 1;
	}
	return product;
}

/* What a sum becomes when @bytes zero bytes follow: one look-up per byte of the sum. */
static void make_shift(uint32_t table[4][256], uint32_t bytes)
{
	uint32_t power = 1u << 31, square = 1u << 23; /* 1, and x to the power of 8 */

	for (; bytes; bytes >>= 1) {
		if (bytes & 1)
			power = multiply(power, square);
		square = multiply(square, square);
	}
	for (int k = 0; k < 4; k++)
		for (uint32_t n = 0; n < 256; n++)
			table[k][n] = multiply(power, n << 8 * k);
}

static inline uint32_t shift(uint32_t table[4][256], uint32_t crc)
{
	return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^
	       table[3][crc >> 24];
}

#if defined(__x86_64__)
#define WITH_CRC __attribute__((target("sse4.2")))
#define STEP64(crc, word) ((crc) = __builtin_ia32_crc32di((crc), (word)))
#define STEP8(crc, byte) ((crc) = __builtin_ia32_crc32qi((uint32_t)(crc), (byte)))
#else
/* By hand: the two compilers spell both the attribute and the builtin differently. */
#define WITH_CRC
#define STEP64(crc, word) \
	__asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word))
#define STEP8(crc, byte) \
	__asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)(byte)))
#endif

/* Three streams of @run bytes each. */
WITH_CRC static inline uint64_t three(uint64_t crc, const uint8_t *at, size_t run,
                                      uint32_t table[4][256])
{
	uint64_t second = 0, third = 0;

	for (const uint8_t *end = at + run; at < end; at += 8) {
		STEP64(crc, load64(at));
		STEP64(second, load64(at + run));
		STEP64(third, load64(at + 2 * run));
	}
	crc = shift(table, (uint32_t)crc) ^ second;
	return shift(table, (uint32_t)crc) ^ third;
}

WITH_CRC static uint32_t by_instruction(uint32_t start, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint64_t crc = (uint32_t)~start;

	for (; bytes && (uintptr_t)at % 8; bytes--, at++)
		STEP8(crc, *at);
	for (; bytes >= 3 * LONG_BYTES; bytes -= 3 * LONG_BYTES, at += 3 * LONG_BYTES)
		crc = three(crc, at, LONG_BYTES, shift_long);
	for (; bytes >= 3 * SHORT_BYTES; bytes -= 3 * SHORT_BYTES, at += 3 * SHORT_BYTES)
		crc = three(crc, at, SHORT_BYTES, shift_short);
	for (; bytes >= 8; bytes -= 8, at += 8)
		STEP64(crc, load64(at));
	for (; bytes; bytes--, at++)
		STEP8(crc, *at);
	return ~(uint32_t)crc;
}
#endif

__attribute__((constructor)) static void make_tables(void)
{
	make_slices();
#if defined(__x86_64__)
	__builtin_cpu_init();
	hardware = __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__aarch64__)
	hardware = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
	make_shift(shift_long, LONG_BYTES);
	make_shift(shift_short, SHORT_BYTES);
#endif
}

int wr_crc32c_hardware(void)
{
	return hardware;
}

uint32_t wr_crc32c(uint32_t crc, const void *data, size_t bytes)
{
#if defined(__x86_64__) || defined(__aarch64__)
	if (hardware)
		return by_instruction(crc, data, bytes);
#endif
	return wr_crc32c_portable(crc, data, bytes);
}
