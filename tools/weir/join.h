/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.h - makes whole records of parts.
 *
 * Records of several sources lie mixed in a log, so the parts of one that is not whole yet are
 * held, per source, until its last part comes. At most one record per source is held: the memory is
 * that of the records, however long they are. It does not know files or formats. thread: main
 */
#ifndef WEIR_JOIN_H
#define WEIR_JOIN_H

#include <weir/record.h>

#include "text.h"

struct held {
	struct text text;
	uint32_t parts;
};

/* Zero it to begin. */
struct join {
	struct held *held; /* by source id */
	size_t count;
	struct text last; /* what the last whole record is made of */
};

/*
 * Takes a record. 1: *record is a whole one now (its data valid until the next call), of *ret_parts
 * parts. 0: it was held.
 */
int join_take(struct join *join, struct weir_record *record, uint32_t *ret_parts);
/* What is still held, one after another: 1 and a record, or 0. */
int join_rest(struct join *join, struct weir_record *ret, uint32_t *ret_parts);
void join_free(struct join *join);

#endif
