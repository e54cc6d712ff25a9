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

/* Where a record comes from. A reader knows that only while it is in that life of the engine. */
struct whence {
	const char *name; /* of its source */
	uint64_t seq, wall_ns, earliest_ns;
};

struct held {
	struct text text, name;
	struct whence whence; /* of the last part */
	uint32_t parts;
};

/* Zero it to begin. */
struct join {
	struct held *held; /* by source id */
	size_t count;
	struct held last; /* what the last whole record is made of */
};

/*
 * Takes a record of @whence. 1: *record is a whole one now (its data valid until the next call), of
 * *ret_parts parts. 0: it was held, and a copy of @whence with it.
 */
int join_take(struct join *join, struct weir_record *record, const struct whence *whence,
              uint32_t *ret_parts);
/* What is still held, one after another: 1 and a record, valid until the next call, or 0. */
int join_rest(struct join *join, struct weir_record *ret, struct whence *ret_whence,
              uint32_t *ret_parts);
void join_free(struct join *join);

#endif
