/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RECORD_MAX 1400u

enum ledger_sizes ledger_sizes;

static const char *const names[] = { "alpha", "beta" };

static uint32_t source_count(const struct weir_sources *sources)
{
	(void)sources;
	return 2;
}

static const char *source_name(const struct weir_sources *sources, uint16_t id)
{
	(void)sources;
	return id && id <= 2 ? names[id - 1] : NULL;
}

static const struct weir_sources sources_of_all = { source_count, source_name };

const struct weir_sources *ledger_sources(void)
{
	return &sources_of_all;
}

uint32_t ledger_records(uint32_t life, uint32_t seq)
{
	return ledger_sizes == LEDGER_EQUAL ? 1 : 1 + (life + seq) % 3 / 2;
}

/* Small ones, and now and then one that spans sectors. */
static uint32_t size_of(uint32_t life, uint32_t seq, uint32_t index)
{
	if (ledger_sizes == LEDGER_EQUAL)
		return index ? 16 : 1000;
	if (ledger_sizes == LEDGER_LARGE && !index)
		return 900 + 72 * ((seq + life) % 5);
	if ((seq + life) % 5 == 3 && !index)
		return 400 + 40 * (seq % 4);
	return 9 + (seq * 7 + index * 3 + life) % 24;
}

static void fill(uint8_t *to, uint32_t life, uint32_t seq, uint32_t index, uint32_t size)
{
	char head[16];
	int n = snprintf(head, sizeof(head), "%" PRIu32 ".%" PRIu32 ".%" PRIu32, life, seq, index);

	for (uint32_t i = 0; i < size; i++)
		to[i] = i < (uint32_t)n ? (uint8_t)head[i] : (uint8_t)(seq * 31 + i * 7 + life);
}

static uint16_t source_of(uint32_t seq, uint32_t index)
{
	return (uint16_t)((seq + index) % 3);
}

uint32_t ledger_bytes(uint32_t life, uint32_t seq)
{
	uint32_t bytes = WR_LOG_BATCH_BYTES;

	for (uint32_t i = 0; i < ledger_records(life, seq); i++)
		bytes += (uint32_t)weir_record_total(size_of(life, seq, i), WEIR_REC_COMMITTED);
	return bytes;
}

int ledger_write(struct wr_log_writer *writer, uint32_t life, uint32_t seq,
                 const struct weir_sources *sources)
{
	_Alignas(8) uint8_t body[2 * (RECORD_MAX + 8)];
	struct weir_log_batch batch = { .seq = seq,
		                        .records = ledger_records(life, seq),
		                        .wall_ns = life * 1000000u + seq,
		                        .earliest_ns = life * 1000000u,
		                        .cause = WEIR_CAUSE_MANUAL,
		                        .attempt = 1 };
	struct iovec iov[2] = { { body, 0 }, { NULL, 0 } };

	memset(batch.engine, (int)life, 16);
	for (uint32_t i = 0; i < batch.records; i++) {
		struct weir_record_header header = { size_of(life, seq, i),
			                             sources ? source_of(seq, i) : 0,
			                             WEIR_REC_COMMITTED };
		uint64_t total = weir_record_total(header.size, header.flags);

		memset(body + batch.bytes, 0, total);
		memcpy(body + batch.bytes, &header, sizeof(header));
		fill(body + batch.bytes + sizeof(header), life, seq, i, header.size);
		batch.bytes += total;
	}
	/* In two pieces, as of two rings. */
	iov[0].iov_len = batch.bytes / 16 * 8;
	iov[1] = (struct iovec){ body + iov[0].iov_len, batch.bytes - iov[0].iov_len };
	return wr_log_writer_write(writer, &batch, iov, 2, sources);
}

__attribute__((format(printf, 2, 3))) static void wrong(struct reading *ret, const char *format,
                                                        ...)
{
	va_list args;

	if (ret->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(ret->wrong, sizeof(ret->wrong), format, args);
	va_end(args);
}

/* Where a reading stands. */
struct place {
	uint32_t life, seq, index;
};

/* The next record must be the next of its batch, or the first of a later one. */
static void take(struct weir_log_reader *reader, const struct weir_record *record,
                 struct place *at, struct reading *ret)
{
	const struct weir_log_batch *batch = weir_log_batch(reader);
	uint32_t life = batch->engine[0], seq = (uint32_t)batch->seq;
	uint8_t expected[RECORD_MAX];

	if (!life || life > LIVES || !batch->seq || batch->seq > BATCHES || batch->first_record) {
		wrong(ret, "a batch that nobody wrote: life %u, %" PRIu64, life, batch->seq);
		return;
	}
	if (life == at->life && seq == at->seq) {
		at->index++;
	} else {
		if (at->life && at->index + 1 != ledger_records(at->life, at->seq))
			wrong(ret, "batch %u.%u ends after %u records", at->life, at->seq, at->index + 1);
		if (ret->met.of[life] >> seq & 1)
			wrong(ret, "batch %u.%u comes twice", life, seq);
		else if (life < at->life)
			wrong(ret, "batch %u.%u comes after a later life", life, seq);
		else if (ret->met.of[life] >> seq)
			ret->late.of[life] |= UINT64_C(1) << seq;
		*at = (struct place){ life, seq, 0 };
		ret->met.of[life] |= UINT64_C(1) << seq;
	}
	if (at->index >= ledger_records(life, seq) ||
	    record->size != size_of(life, seq, at->index)) {
		wrong(ret, "record %u of batch %u.%u has %u bytes", at->index, life, seq, record->size);
		return;
	}
	fill(expected, life, seq, at->index, record->size);
	if (memcmp(expected, record->data, record->size) != 0)
		wrong(ret, "record %u of batch %u.%u is another", at->index, life, seq);
	if (record->source) {
		const char *name = weir_log_source_name(reader, record->source);

		if (record->source != source_of(seq, at->index))
			wrong(ret, "record %u of batch %u.%u has another source", at->index, life, seq);
		if (name && record->source <= 2 && strcmp(name, names[record->source - 1]) != 0)
			wrong(ret, "source %u is called %.20s", record->source, name);
		ret->named += name != NULL;
	}
}

/* Segments with damage: they are told one after the other. */
static uint32_t count_spoiled(const struct weir_log_reader *reader, uint64_t *ret_first)
{
	struct weir_why why;
	uint64_t last = 0;
	uint32_t count = 0;

	for (size_t i = 0; !weir_log_damage(reader, i, &why); i++) {
		uint64_t number = 0;

		if (sscanf(why.text, "segment %" SCNu64, &number) == 1 && number != last)
			*ret_first = count++ ? *ret_first : number;
		last = number;
	}
	return count;
}

void ledger_read(const char *dir, struct reading *ret)
{
	struct weir_log_reader *reader;
	struct weir_why why = { "" };
	struct weir_record record;
	struct place at = { 0, 0, 0 };
	int r = weir_log_open(dir, &reader, &why);
	uint32_t n = 0;

	*ret = (struct reading){ .counts = { .size = sizeof(ret->counts) } };
	if (r == -ENOENT)
		return;
	if (r) {
		wrong(ret, "open answers %d, %.150s", r, why.text);
		return;
	}
	while ((r = weir_log_next(reader, &record)) == 1) {
		take(reader, &record, &at, ret);
		if (++n > 4 * LIVES * BATCHES) {
			wrong(ret, "it does not end");
			break;
		}
	}
	if (r < 0)
		wrong(ret, "reading answers %d", r);
	if (at.life && at.index + 1 != ledger_records(at.life, at.seq))
		wrong(ret, "batch %u.%u ends after %u records", at.life, at.seq, at.index + 1);
	weir_log_counts(reader, &ret->counts);
	if (ret->counts.batches != (uint64_t)batches_count(&ret->met))
		wrong(ret, "%" PRIu64 " batches counted, %d met", ret->counts.batches,
		      batches_count(&ret->met));
	if (ret->counts.records != n)
		wrong(ret, "%" PRIu64 " records counted, %u met", ret->counts.records, n);
	ret->spoiled = count_spoiled(reader, &ret->first_spoiled);
	weir_log_close(reader);
}

static uint64_t load(const uint8_t *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

void ledger_parse(const uint8_t *bytes, uint32_t size, uint64_t number, struct batches *add)
{
	uint64_t at = 0;

	while (at + 104 <= size && !memcmp(bytes + at, "WEIR", 4) &&
	       load(bytes + at + 40, 8) == number && load(bytes + at + 48, 8) == at) {
		uint64_t seq = load(bytes + at + 56, 8), next;

		next = at + load(bytes + at + 6, 2) + load(bytes + at + 8, 8);
		if (next > size || next <= at)
			return;
		if (bytes[at + 5] == 3 && bytes[at + 24] <= LIVES && seq <= BATCHES)
			add->of[bytes[at + 24]] |= UINT64_C(1) << seq;
		at = next;
	}
}
