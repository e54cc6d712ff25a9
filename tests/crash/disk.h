/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/crash/disk.h - calls of the disk that are to fail, and every state that a cut may leave.
 *
 * It knows what was done to the disk of tests/support, what of that is durable and what a power cut
 * may leave. It does not know a log. One directory, "log", in the root; one thread.
 *
 * What a cut may leave. A sync of a file makes its earlier writes and lengths durable, a sync of a
 * directory the earlier changes of its names, and nothing else makes anything durable, nor one
 * change before another. Of the rest any subset is there: of a write each sector by itself, of a
 * rename the new name and the end of the old one each by itself. A file may have the length of what
 * it does not hold: then zeros are there, or what lay on the disk before. After a sync that failed
 * no later one makes durable what that one should have; but for the root, whose names a log cannot
 * make anew.
 */
#ifndef WEIR_TESTS_CRASH_DISK_H
#define WEIR_TESTS_CRASH_DISK_H

#include "support/disk.h"

#define DISK_OPS 400
#define DISK_UNITS 40

/* Calls number first..last of one kind fail. */
struct disk_fault {
	enum disk_call call;
	int error;
	uint32_t first, last;
	uint32_t partly; /* DISK_CALL_WRITE: so many bytes are written; error 0: a short write */
};

#define DISK_FAULTS 3

/* What the calls to come do. */
struct disk_plan {
	struct disk_fault fault[DISK_FAULTS];
	uint32_t called[DISK_CALLS];
	int hit_at;               /* operations before the first fault that happened; -1: none did */
	int forgets;              /* a sync that fails drops what it should have written */
	uint64_t now_ns, wall_ns;
	/* Called before a name of the directory goes, by unlink or rename. */
	void (*on_gone)(int file, const char *name);
};
extern struct disk_plan disk_plan;

/* Starts the machine: what is durable is what there is, and nothing is open. */
void disk_start(struct disk_trace *trace, const struct disk_image *image);
/* Goes on as @trace, after the death of a process that did @ops: they are still in memory. */
void disk_respawn(struct disk_trace *trace, const struct disk_trace *from, int ops);
/* The file of a name in "log"; -1: none. */
static inline int disk_in_log(const struct disk_image *image, const char *name)
{
	return disk_find(image, disk_find(image, 0, "log"), name);
}
uint64_t disk_hash(const struct disk_image *image);

/* Something that a cut leaves or does not. */
struct disk_unit {
	int op;
	uint32_t from, bytes; /* of a write; of a rename: from 0 is the old name, 1 the new one */
};

/* What may be missing after the first @ops operations of a trace. */
struct disk_cut {
	const struct disk_trace *trace;
	int ops;
	int pending; /* operations that are not durable */
	int units;   /* of them the parts; DISK_UNITS: there are more */
	struct disk_unit unit[DISK_UNITS];
	uint8_t durable[DISK_OPS];
	int grows; /* a write that is not durable makes its file longer */
	int torn;  /* the last operation: so many bytes of it were written; -1: all */
};
void disk_cut_at(struct disk_cut *cut, const struct disk_trace *trace, int ops);

enum disk_fill { DISK_SHORT, DISK_ZEROS, DISK_STALE, DISK_FILLS };
/* One of the states: the units of @mask are there. 1: another @fill may make another of it. */
int disk_state(const struct disk_cut *cut, uint64_t mask, enum disk_fill fill,
               struct disk_image *ret);

#endif
