/* SPDX-License-Identifier: Apache-2.0 */
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/log.h>
#include <weir/weir.h>

#define LARGE (600u << 10)

struct ticket {
	uint64_t life, number;
};

struct victim_table *victim_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at;

	if (fd < 0 || ftruncate(fd, sizeof(struct victim_table)))
		return NULL;
	at = mmap(NULL, sizeof(struct victim_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

static uint32_t size_of(uint64_t number, int large)
{
	uint32_t size = (uint32_t)(sizeof(struct ticket) + number * 37 % 300);

	return large && number % 5 == 2 ? LARGE - (uint32_t)(number % 1000) : size;
}

static uint8_t byte_of(uint64_t life, uint64_t number, uint32_t i)
{
	return (uint8_t)(life * 17 + number * 31 + i * 7 + (i >> 8));
}

static int is_right(const struct weir_record *record, const struct ticket *ticket)
{
	const uint8_t *data = record->data;

	if (record->size != size_of(ticket->number, 0) && record->size != size_of(ticket->number, 1))
		return 0;
	for (uint32_t i = sizeof(*ticket); i < record->size; i++)
		if (data[i] != byte_of(ticket->life, ticket->number, i))
			return 0;
	return 1;
}

static int push_one(struct weir *weir, uint64_t life, uint64_t number, int large)
{
	static uint8_t bytes[LARGE];
	struct ticket ticket = { life, number };
	uint32_t size = size_of(number, large);
	int r;

	memcpy(bytes, &ticket, sizeof(ticket));
	for (uint32_t i = sizeof(ticket); i < size; i++)
		bytes[i] = byte_of(life, number, i);
	do {
		r = weir_push(weir, bytes, size);
		if (r == -EAGAIN)
			usleep(100);
	} while (r == -EAGAIN);
	return r;
}

int victim_write(const char *dir, const char *options, struct victim_table *table, uint64_t count,
                 int large)
{
	struct weir_config config;
	struct weir_why why = { "" };
	struct weir_sink *sink;
	struct weir *weir;
	uint64_t life = ++table->lives;
	char uri[512];
	int r;

	weir_config_init(&config);
	config.ring_bytes = 4u << 20;
	config.record_max = 1u << 20;
	snprintf(uri, sizeof(uri), "file:%s?%s", dir, options);
	r = weir_sink_open(uri, &sink, &why);
	if (!r)
		r = weir_open(&config, sink, &weir, &why);
	if (r) {
		fprintf(stderr, "%s: %s\n", uri, why.text);
		return r;
	}
	for (uint64_t n = 1; !count || n <= count; n++) {
		struct weir_stats stats = { .size = sizeof(stats) };

		table->pushed[life] = n;
		if (push_one(weir, life, n, large))
			break;
		if (n % 7 % 3)
			continue;
		/* The barrier says that there is a verdict, the count that it was a good one. */
		if (!weir_flush_wait(weir, WEIR_SECONDS(600)) && !weir_stats(weir, &stats) &&
		    stats.delivered == n)
			table->acked[life] = n;
	}
	weir_close(weir, WEIR_SECONDS(600), NULL);
	weir_free(weir);
	return 0;
}

struct place {
	uint64_t life, number;
};

/* Whether all that was acknowledged between two places was nothing. */
static int is_next(const struct victim_table *table, struct place from, struct place to)
{
	if (to.life == from.life)
		return to.number == from.number + 1;
	if (to.life < from.life || to.number != 1 || table->acked[from.life] > from.number)
		return 0;
	for (uint64_t life = from.life + 1; life < to.life; life++)
		if (table->acked[life])
			return 0;
	return 1;
}

static int check_all(struct weir_log_reader *reader, const struct victim_table *table, int expires,
                     char *why, size_t bytes, uint64_t *ret_read)
{
	struct weir_log_counts counts = { .size = sizeof(counts) };
	struct place at = { 0, 0 }, end = { table->lives + 1, 1 };
	struct weir_record record;
	struct weir_why damage;
	int r;

	while ((r = weir_log_next(reader, &record)) == 1) {
		struct ticket ticket;
		struct place to;

		memcpy(&ticket, record.data, sizeof(ticket));
		to = (struct place){ ticket.life, ticket.number };
		if (record.size < sizeof(ticket) || !to.life || to.life > table->lives ||
		    to.number > table->pushed[to.life] || !is_right(&record, &ticket))
			return snprintf(why, bytes, "a record that nobody pushed"), 1;
		if (!is_next(table, at, to) && !(expires && !at.life))
			return snprintf(why, bytes,
			                "after record %" PRIu64 ".%" PRIu64 " comes %" PRIu64
			                ".%" PRIu64,
			                at.life, at.number, to.life, to.number),
			       1;
		at = to;
		++*ret_read;
	}
	if (r)
		return snprintf(why, bytes, "reading answers %d", r), 1;
	if (!is_next(table, at, end) && !(expires && !at.life && !table->acked[table->lives]))
		return snprintf(why, bytes,
		                "the last record is %" PRIu64 ".%" PRIu64 ", and %" PRIu64
		                " of life %" PRIu64 " were acknowledged",
		                at.life, at.number, (uint64_t)table->acked[at.life], at.life),
		       1;
	weir_log_counts(reader, &counts);
	if (counts.damaged || counts.gaps)
		return snprintf(why, bytes, "%" PRIu64 " places are damaged: %.150s", counts.damaged,
		                weir_log_damage(reader, 0, &damage) ? "gaps" : damage.text),
		       1;
	if (counts.duplicates)
		return snprintf(why, bytes, "%" PRIu64 " duplicates", counts.duplicates), 1;
	return 0;
}

int victim_check(const char *dir, const struct victim_table *table, int expires, char *why,
                 size_t bytes, uint64_t *ret_read)
{
	struct weir_log_reader *reader;
	struct weir_why sentence = { "" };
	int r = weir_log_open(dir, &reader, &sentence);

	*ret_read = 0;
	if (r == -ENOENT) {
		struct place none = { 0, 0 }, end = { table->lives + 1, 1 };

		snprintf(why, bytes, "there is no log");
		return !is_next(table, none, end);
	}
	if (r)
		return snprintf(why, bytes, "open: %s", sentence.text), 1;
	r = check_all(reader, table, expires, why, bytes, ret_read);
	weir_log_close(reader);
	return r;
}
