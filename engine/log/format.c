/* SPDX-License-Identifier: Apache-2.0 */
/* format.c - headers to bytes and back. Little-endian on disk, whatever the machine. */
#include "log/format.h"

#include <string.h>

#include "base/crc32c.h"

/* Where the fields stand that every header has. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_KIND = 5,
	AT_HEADER_BYTES = 6,
	AT_BODY_BYTES = 8,
	AT_BODY_CRC = 16,
	AT_HEADER_CRC = 20,
	AT_ENGINE = 24,
	AT_SEGMENT = 40,
	AT_OFFSET = 48,
	AT_REST = WR_LOG_COMMON_BYTES
};

static void put(uint8_t *to, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

/* Of the whole header but the sum itself. */
static uint32_t header_crc(const uint8_t *header, size_t bytes)
{
	uint32_t crc = wr_crc32c(0, header, AT_HEADER_CRC);

	return wr_crc32c(crc, header + AT_ENGINE, bytes - AT_ENGINE);
}

uint16_t wr_log_header_bytes(enum wr_log_kind kind)
{
	switch (kind) {
	case WR_LOG_SEGMENT:
		return WR_LOG_SEGMENT_BYTES;
	case WR_LOG_SOURCES:
		return WR_LOG_SOURCES_BYTES;
	case WR_LOG_BATCH:
		return WR_LOG_BATCH_BYTES;
	}
	return WR_LOG_COMMON_BYTES;
}

void wr_log_encode(struct wr_log_header *header, uint8_t *to)
{
	uint8_t *rest = to + AT_REST;

	uint16_t least = wr_log_header_bytes((enum wr_log_kind)header->kind);

	if (header->header_bytes < least)
		header->header_bytes = least;
	memset(to, 0, header->header_bytes);
	put(to + AT_MAGIC, WR_LOG_MAGIC, 4);
	to[AT_VERSION] = WR_LOG_VERSION;
	to[AT_KIND] = header->kind;
	put(to + AT_HEADER_BYTES, header->header_bytes, 2);
	put(to + AT_BODY_BYTES, header->body_bytes, 8);
	put(to + AT_BODY_CRC, header->body_crc, 4);
	memcpy(to + AT_ENGINE, header->engine, 16);
	put(to + AT_SEGMENT, header->segment, 8);
	put(to + AT_OFFSET, header->offset, 8);
	switch ((enum wr_log_kind)header->kind) {
	case WR_LOG_SEGMENT:
		put(rest, header->start.created_ns, 8);
		put(rest + 8, header->start.first, 8);
		put(rest + 16, header->start.wall_ns, 8);
		put(rest + 24, header->start.flags, 4);
		put(rest + 28, header->start.over, 4);
		break;
	case WR_LOG_SOURCES:
		put(rest, header->sources.count, 4);
		break;
	case WR_LOG_BATCH:
		put(rest, header->batch.seq, 8);
		put(rest + 8, header->batch.first_record, 8);
		put(rest + 16, header->batch.records, 8);
		put(rest + 24, header->batch.wall_ns, 8);
		put(rest + 32, header->batch.earliest_ns, 8);
		put(rest + 40, header->batch.cause, 4);
		put(rest + 44, header->batch.attempt, 4);
		break;
	}
	put(to + AT_HEADER_CRC, header_crc(to, header->header_bytes), 4);
}

static uint64_t body_max(uint8_t kind)
{
	if (kind == WR_LOG_SEGMENT)
		return 0;
	return kind == WR_LOG_SOURCES ? WR_LOG_SOURCES_BODY_MAX : WR_LOG_BATCH_BODY_MAX;
}

static void decode_rest(const uint8_t *rest, struct wr_log_header *ret)
{
	switch ((enum wr_log_kind)ret->kind) {
	case WR_LOG_SEGMENT:
		ret->start.created_ns = get(rest, 8);
		ret->start.first = get(rest + 8, 8);
		ret->start.wall_ns = get(rest + 16, 8);
		ret->start.flags = (uint32_t)get(rest + 24, 4);
		ret->start.over = (uint32_t)get(rest + 28, 4);
		break;
	case WR_LOG_SOURCES:
		ret->sources.count = (uint32_t)get(rest, 4);
		break;
	case WR_LOG_BATCH:
		ret->batch.seq = get(rest, 8);
		ret->batch.first_record = get(rest + 8, 8);
		ret->batch.records = get(rest + 16, 8);
		ret->batch.wall_ns = get(rest + 24, 8);
		ret->batch.earliest_ns = get(rest + 32, 8);
		ret->batch.cause = (uint32_t)get(rest + 40, 4);
		ret->batch.attempt = (uint32_t)get(rest + 44, 4);
		break;
	}
}

enum wr_log_found wr_log_decode(const uint8_t *at, uint64_t avail, struct wr_log_header *ret)
{
	struct wr_log_header header = { 0 };
	uint16_t known;

	if (avail < WR_LOG_COMMON_BYTES)
		return WR_LOG_SHORT;
	if (get(at + AT_MAGIC, 4) != WR_LOG_MAGIC || at[AT_VERSION] != WR_LOG_VERSION)
		return WR_LOG_BAD;
	header.kind = at[AT_KIND];
	header.header_bytes = (uint16_t)get(at + AT_HEADER_BYTES, 2);
	known = wr_log_header_bytes((enum wr_log_kind)header.kind);
	if (header.header_bytes < known || header.header_bytes > WR_LOG_HEADER_MAX ||
	    header.header_bytes % WR_LOG_ALIGN)
		return WR_LOG_BAD;
	/* One that is longer by more than a writer makes it, and cut short, is more likely a length
	 * that was damaged. */
	if (avail < header.header_bytes)
		return avail < known || header.header_bytes == known + WR_LOG_ALIGN ? WR_LOG_SHORT
		                                                                    : WR_LOG_BAD;
	if (get(at + AT_HEADER_CRC, 4) != header_crc(at, header.header_bytes))
		return WR_LOG_BAD;
	header.body_bytes = get(at + AT_BODY_BYTES, 8);
	if (header.body_bytes > body_max(header.kind) || header.body_bytes % WR_LOG_ALIGN)
		return WR_LOG_BAD;
	header.body_crc = (uint32_t)get(at + AT_BODY_CRC, 4);
	memcpy(header.engine, at + AT_ENGINE, 16);
	header.segment = get(at + AT_SEGMENT, 8);
	header.offset = get(at + AT_OFFSET, 8);
	decode_rest(at + AT_REST, &header);
	*ret = header;
	return WR_LOG_GOOD;
}

int wr_log_may_be_header(const uint8_t *at, uint64_t segment, uint64_t offset,
                         struct wr_log_header *ret)
{
	int like = (get(at + AT_MAGIC, 4) == WR_LOG_MAGIC) + (get(at + AT_SEGMENT, 8) == segment) +
	           (get(at + AT_OFFSET, 8) == offset);

	if (like < 2)
		return 0;
	ret->header_bytes = (uint16_t)get(at + AT_HEADER_BYTES, 2);
	ret->body_bytes = get(at + AT_BODY_BYTES, 8) & (UINT64_MAX >> 1);
	return 1;
}

size_t wr_log_name_put(uint8_t *to, size_t room, uint16_t id, const char *name)
{
	size_t bytes = strnlen(name, WR_LOG_NAME_MAX);

	if (room < 4 + bytes)
		return 0;
	put(to, id, 2);
	put(to + 2, bytes, 2);
	memcpy(to + 4, name, bytes);
	return 4 + bytes;
}

size_t wr_log_name_get(const uint8_t *at, size_t avail, uint16_t *ret_id, const char **ret_name,
                       size_t *ret_bytes)
{
	size_t bytes;

	if (avail < 4)
		return 0;
	bytes = get(at + 2, 2);
	if (!get(at, 2) || bytes > WR_LOG_NAME_MAX || bytes > avail - 4 || memchr(at + 4, 0, bytes))
		return 0;
	*ret_id = (uint16_t)get(at, 2);
	*ret_name = (const char *)at + 4;
	*ret_bytes = bytes;
	return 4 + bytes;
}
