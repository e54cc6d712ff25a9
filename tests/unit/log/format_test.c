/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/crc32c.h"

static struct wr_log_header a_batch(void)
{
	struct wr_log_header header = { .kind = WR_LOG_BATCH,
		                        .body_crc = 0x11223344,
		                        .body_bytes = 0x55667788,
		                        .segment = 0x0102030405060708,
		                        .offset = 0x1112131415161718 };

	for (uint8_t i = 0; i < 16; i++)
		header.engine[i] = (uint8_t)(0xa0 + i);
	header.batch.seq = 0x2122232425262728;
	header.batch.first_record = 0x31;
	header.batch.records = 0x41;
	header.batch.wall_ns = 0x51;
	header.batch.earliest_ns = 0x61;
	header.batch.cause = 0x71;
	header.batch.attempt = 0x81;
	return header;
}

Test(format, a_batch_header_lies_byte_by_byte_as_documented)
{
	static const uint8_t expected[WR_LOG_BATCH_BYTES] = {
		'W',  'E',  'I',  'R',  1,    3,    104,  0,    /* magic, version, kind, header */
		0x88, 0x77, 0x66, 0x55, 0,    0,    0,    0,    /* body */
		0x44, 0x33, 0x22, 0x11, 0,    0,    0,    0,    /* sums; the second is set below */
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, /* engine */
		0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
		8,    7,    6,    5,    4,    3,    2,    1,    /* segment */
		0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* offset */
		0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, /* seq */
		0x31, 0,    0,    0,    0,    0,    0,    0,    /* first record */
		0x41, 0,    0,    0,    0,    0,    0,    0,    /* records */
		0x51, 0,    0,    0,    0,    0,    0,    0,    /* wall */
		0x61, 0,    0,    0,    0,    0,    0,    0,    /* earliest */
		0x71, 0,    0,    0,    0x81, 0,    0,    0,    /* cause, attempt */
	};
	struct wr_log_header header = a_batch();
	uint8_t bytes[WR_LOG_HEADER_MAX];
	uint32_t crc;

	wr_log_encode(&header, bytes);
	crc = wr_crc32c(wr_crc32c(0, bytes, 20), bytes + 24, WR_LOG_BATCH_BYTES - 24);
	for (int i = 0; i < 4; i++)
		T_EQ(bytes[20 + i], crc >> 8 * i & 0xff);
	memset(bytes + 20, 0, 4);
	for (size_t i = 0; i < sizeof(expected); i++)
		if (bytes[i] != expected[i])
			T_FAIL("byte %zu is %02x, not %02x", i, bytes[i], expected[i]);
}

Test(format, a_batch_header_comes_back)
{
	struct wr_log_header header = a_batch(), back;
	uint8_t bytes[WR_LOG_HEADER_MAX];

	wr_log_encode(&header, bytes);
	T_EQ(wr_log_decode(bytes, WR_LOG_BATCH_BYTES, &back), WR_LOG_GOOD);
	T_EQ(back.kind, WR_LOG_BATCH);
	T_EQ(back.header_bytes, WR_LOG_BATCH_BYTES);
	T_EQ(back.body_crc, header.body_crc);
	T_EQ(back.body_bytes, header.body_bytes);
	T_EQ(memcmp(back.engine, header.engine, 16), 0);
	T_EQ(back.segment, header.segment);
	T_EQ(back.offset, header.offset);
	T_EQ(back.batch.seq, header.batch.seq);
	T_EQ(back.batch.first_record, header.batch.first_record);
	T_EQ(back.batch.records, header.batch.records);
	T_EQ(back.batch.wall_ns, header.batch.wall_ns);
	T_EQ(back.batch.earliest_ns, header.batch.earliest_ns);
	T_EQ(back.batch.cause, header.batch.cause);
	T_EQ(back.batch.attempt, header.batch.attempt);
}

Test(format, a_segment_header_comes_back)
{
	struct wr_log_header header = { .kind = WR_LOG_SEGMENT, .segment = 9 }, back;
	uint8_t bytes[WR_LOG_HEADER_MAX];

	header.start.created_ns = 1234567;
	header.start.first = 7;
	header.start.wall_ns = 1234000;
	header.start.flags = WR_LOG_AFTER_TROUBLE;
	wr_log_encode(&header, bytes);
	T_EQ(header.header_bytes, WR_LOG_SEGMENT_BYTES);
	T_EQ(wr_log_decode(bytes, WR_LOG_SEGMENT_BYTES, &back), WR_LOG_GOOD);
	T_EQ(back.start.created_ns, 1234567);
	T_EQ(back.start.first, 7);
	T_EQ(back.start.wall_ns, 1234000);
	T_EQ(back.start.flags, WR_LOG_AFTER_TROUBLE);
}

Test(format, headers_are_multiples_of_eight)
{
	T_EQ(WR_LOG_SEGMENT_BYTES % WR_LOG_ALIGN, 0);
	T_EQ(WR_LOG_SOURCES_BYTES % WR_LOG_ALIGN, 0);
	T_EQ(WR_LOG_BATCH_BYTES % WR_LOG_ALIGN, 0);
}

Test(format, every_bit_of_a_header_is_guarded)
{
	struct wr_log_header header = a_batch(), back;
	uint8_t bytes[WR_LOG_HEADER_MAX] = { 0 };

	wr_log_encode(&header, bytes);
	for (unsigned bit = 0; bit < WR_LOG_BATCH_BYTES * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		T_EQ(wr_log_decode(bytes, sizeof(bytes), &back), WR_LOG_BAD);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	T_EQ(wr_log_decode(bytes, sizeof(bytes), &back), WR_LOG_GOOD);
}

Test(format, a_header_cut_short_at_any_byte_is_short)
{
	struct wr_log_header header = a_batch(), back;
	uint8_t bytes[WR_LOG_HEADER_MAX];

	wr_log_encode(&header, bytes);
	for (unsigned n = 0; n < WR_LOG_BATCH_BYTES; n++)
		T_EQ(wr_log_decode(bytes, n, &back), WR_LOG_SHORT);
}

/* Encodes with a length of the body that no writer would put, and a sum that is right. */
static enum wr_log_found with_body(enum wr_log_kind kind, uint64_t body_bytes)
{
	struct wr_log_header header = { .kind = (uint8_t)kind, .body_bytes = body_bytes }, back;
	uint8_t bytes[WR_LOG_HEADER_MAX];

	wr_log_encode(&header, bytes);
	return wr_log_decode(bytes, header.header_bytes, &back);
}

Test(format, no_body_is_above_its_limit)
{
	T_EQ(with_body(WR_LOG_BATCH, WR_LOG_BATCH_BODY_MAX), WR_LOG_GOOD);
	T_EQ(with_body(WR_LOG_BATCH, WR_LOG_BATCH_BODY_MAX + 8), WR_LOG_BAD);
	T_EQ(with_body(WR_LOG_BATCH, UINT64_MAX - 7), WR_LOG_BAD);
	T_EQ(with_body(WR_LOG_SOURCES, WR_LOG_SOURCES_BODY_MAX), WR_LOG_GOOD);
	T_EQ(with_body(WR_LOG_SOURCES, WR_LOG_SOURCES_BODY_MAX + 8), WR_LOG_BAD);
	T_EQ(with_body(WR_LOG_SEGMENT, 0), WR_LOG_GOOD);
	T_EQ(with_body(WR_LOG_SEGMENT, 8), WR_LOG_BAD);
}

Test(format, a_body_is_a_multiple_of_eight)
{
	T_EQ(with_body(WR_LOG_BATCH, 12), WR_LOG_BAD);
	T_EQ(with_body(WR_LOG_BATCH, 16), WR_LOG_GOOD);
}

/* A header made by hand: the sum put right after a field was changed. */
static enum wr_log_found with_byte(unsigned at, uint8_t value, unsigned header_bytes)
{
	struct wr_log_header header = a_batch(), back;
	uint8_t bytes[512] = { 0 };
	uint32_t crc;

	header.body_bytes = 8;
	wr_log_encode(&header, bytes);
	bytes[at] = value;
	crc = wr_crc32c(wr_crc32c(0, bytes, 20), bytes + 24, header_bytes - 24);
	memcpy(bytes + 20, &crc, 4);
	return wr_log_decode(bytes, sizeof(bytes), &back);
}

Test(format, a_longer_header_of_a_later_writer_is_read)
{
	T_EQ(with_byte(6, 112, 112), WR_LOG_GOOD);
	T_EQ(with_byte(6, 248, 248), WR_LOG_GOOD);
}

Test(format, a_header_of_a_strange_length_is_bad)
{
	T_EQ(with_byte(6, 96, 96), WR_LOG_BAD);       /* shorter than its kind */
	T_EQ(with_byte(6, 108, 108), WR_LOG_BAD);     /* no multiple of eight */
	T_EQ(with_byte(7, 1, 256 + 104), WR_LOG_BAD); /* above the limit */
}

Test(format, another_version_is_bad)
{
	T_EQ(with_byte(4, 2, 104), WR_LOG_BAD);
	T_EQ(with_byte(4, 1, 104), WR_LOG_GOOD);
}

Test(format, a_kind_that_is_not_known_is_still_a_block)
{
	T_EQ(with_byte(5, 200, 104), WR_LOG_GOOD);
}

Test(format, names_come_back)
{
	uint8_t bytes[64];
	const char *name;
	size_t used = wr_log_name_put(bytes, sizeof(bytes), 513, "a name"), length;
	uint16_t id;

	T_EQ(used, 4 + 6);
	T_EQ(wr_log_name_get(bytes, sizeof(bytes), &id, &name, &length), used);
	T_EQ(id, 513);
	T_EQ(length, 6);
	T_EQ(memcmp(name, "a name", 6), 0);
}

Test(format, a_name_needs_room_for_all_of_it)
{
	uint8_t bytes[64];

	T_EQ(wr_log_name_put(bytes, 9, 1, "a name"), 0);
	T_EQ(wr_log_name_put(bytes, 10, 1, "a name"), 10);
}

Test(format, a_malformed_name_is_refused)
{
	uint8_t zero_id[] = { 0, 0, 1, 0, 'a' }, too_long[] = { 1, 0, 2, 0, 'a' };
	uint8_t with_nul[] = { 1, 0, 2, 0, 'a', 0 }, fine[] = { 1, 0, 1, 0, 'a' };
	uint8_t above[4 + 256] = { 1, 0, 0, 1 };
	const char *name;
	size_t length;
	uint16_t id;

	memset(above + 4, 'x', 256);
	T_EQ(wr_log_name_get(zero_id, sizeof(zero_id), &id, &name, &length), 0);
	T_EQ(wr_log_name_get(too_long, sizeof(too_long), &id, &name, &length), 0);
	T_EQ(wr_log_name_get(with_nul, sizeof(with_nul), &id, &name, &length), 0);
	T_EQ(wr_log_name_get(above, sizeof(above), &id, &name, &length), 0);
	T_EQ(wr_log_name_get(fine, 3, &id, &name, &length), 0);
	T_EQ(wr_log_name_get(fine, sizeof(fine), &id, &name, &length), 5);
}
