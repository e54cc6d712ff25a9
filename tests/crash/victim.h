/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/crash/victim.h - a process that writes a log until it dies, and what must be there then.
 *
 * It knows records that tell their life and number, and a table of what was acknowledged, in memory
 * that outlives the process. It does not know what kills it.
 */
#ifndef WEIR_TESTS_CRASH_VICTIM_H
#define WEIR_TESTS_CRASH_VICTIM_H

#include <stddef.h>
#include <stdint.h>

#define VICTIM_LIVES 8192

/* In a file, mapped by whoever needs it. */
struct victim_table {
	_Atomic uint64_t acked[VICTIM_LIVES];  /* records 1..n of this life are delivered */
	_Atomic uint64_t pushed[VICTIM_LIVES]; /* no more were pushed */
	_Atomic uint64_t lives;                /* begun */
};

struct victim_table *victim_map(const char *path);

/*
 * Opens an engine on file:DIR?OPTIONS as the next life and pushes @count records (0: for ever), a
 * few at a time, each time waiting until they are delivered. @large: some have hundreds of KiB.
 * 0, or -errno of the opening.
 */
int victim_write(const char *dir, const char *options, struct victim_table *table, uint64_t count,
                 int large);

/*
 * What was acknowledged must be there, once and in order. With @expires what lies before the first
 * record that is read may have expired, but for the last life. 0, or 1 with a sentence. *ret_read:
 * records.
 */
int victim_check(const char *dir, const struct victim_table *table, int expires, char *why,
                 size_t bytes, uint64_t *ret_read);

#endif
