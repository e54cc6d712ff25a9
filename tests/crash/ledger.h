/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/crash/ledger.h - batches with known contents: written, read back, compared.
 *
 * It knows what was written and what a reader says. It does not know disks. What a batch holds
 * follows from its life and its number alone.
 */
#ifndef WEIR_TESTS_CRASH_LEDGER_H
#define WEIR_TESTS_CRASH_LEDGER_H

#include <stdint.h>
#include <weir/log.h>

#include "log/format.h"
#include "log/writer.h"

#define LIVES 6     /* numbered from 1 */
#define BATCHES 63u /* of a life, numbered from 1 */

/* A set of batches of each life: bit n is batch n. */
struct batches {
	uint64_t of[LIVES + 1];
};

/* How large they are: small with a larger one now and then, all of about 1 KiB, all of one size. */
enum ledger_sizes { LEDGER_MIXED, LEDGER_LARGE, LEDGER_EQUAL };
extern enum ledger_sizes ledger_sizes;

/* Writes one batch. The answer of the writer. */
int ledger_write(struct wr_log_writer *writer, uint32_t life, uint32_t seq,
                 const struct weir_sources *sources);
/* Bytes of its block, header and body. */
uint32_t ledger_bytes(uint32_t life, uint32_t seq);
/* Records of it. */
uint32_t ledger_records(uint32_t life, uint32_t seq);
/* What sources are told to a writer: ids 1..n. */
const struct weir_sources *ledger_sources(void);

struct reading {
	struct batches met;
	struct batches late; /* came after a later one */
	struct weir_log_counts counts;
	uint32_t spoiled; /* segments that have damage */
	uint64_t first_spoiled;
	uint32_t named;  /* records whose source had its name */
	char wrong[200]; /* "": it is as it was written, and nothing twice */
};

/* Reads all of a log. A log that is not there is empty. */
void ledger_read(const char *dir, struct reading *ret);

/* The batches of a segment, by its bytes alone: as far as its blocks follow each other. */
void ledger_parse(const uint8_t *bytes, uint32_t size, uint64_t number, struct batches *add);

static inline int batches_count(const struct batches *set)
{
	int n = 0;

	for (int i = 0; i <= LIVES; i++)
		n += __builtin_popcountll(set->of[i]);
	return n;
}

#endif
