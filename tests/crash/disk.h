/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/crash/disk.h - a disk in memory behind `wr_sys`, which records what is done to it.
 *
 * It knows files, names, what is durable and what a power cut may leave. It does not know a log.
 * One directory, "log", in the root; one thread.
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

#include <stddef.h>
#include <stdint.h>

#define DISK_FILE_MAX 40960u
#define DISK_FILES 48
#define DISK_NAMES 48
#define DISK_OPS 400
#define DISK_ARENA (1u << 19)
#define DISK_SECTOR 512u
#define DISK_UNITS 40
#define DISK_NAME_BYTES 40

struct disk_file {
	uint32_t size;
	uint8_t in_use, is_dir;
	uint8_t data[DISK_FILE_MAX];
};

struct disk_name {
	int16_t dir, file; /* file -1: none */
	char name[DISK_NAME_BYTES];
};

/* What is on a disk. File 0 is the root. */
struct disk_image {
	int names, files; /* in use, of the arrays below */
	struct disk_name name[DISK_NAMES];
	struct disk_file file[DISK_FILES];
};

enum disk_kind { DISK_WRITE, DISK_TRUNCATE, DISK_LINK, DISK_UNLINK, DISK_RENAME, DISK_SYNC };

struct disk_op {
	uint8_t kind, failed; /* failed: a sync that answered an error */
	int16_t dir, file;    /* of a sync: file, or dir with file -1 */
	uint32_t offset, bytes, at; /* at: in the arena */
	char name[DISK_NAME_BYTES], to[DISK_NAME_BYTES];
};

/* What was done to a disk since it was started. */
struct disk_trace {
	struct disk_image base;
	int ops;
	uint32_t used;
	struct disk_op op[DISK_OPS];
	uint8_t arena[DISK_ARENA];
};

enum disk_call {
	DISK_CALL_OPEN,
	DISK_CALL_WRITE,
	DISK_CALL_READ,
	DISK_CALL_SYNC,
	DISK_CALL_SYNC_DIR,
	DISK_CALL_TRUNCATE,
	DISK_CALL_UNLINK,
	DISK_CALL_RENAME,
	DISK_CALL_STAT,
	DISK_CALL_LIST,
	DISK_CALL_LOCK,
	DISK_CALL_MKDIR,
	DISK_CALLS
};

/* Calls number first..last of one kind fail. */
struct disk_fault {
	enum disk_call call;
	int error;
	uint32_t first, last;
	uint32_t partly; /* DISK_CALL_WRITE: so many bytes are written; error 0: a short write */
};

#define DISK_FAULTS 3

struct disk {
	struct disk_image now; /* as a program sees it */
	struct disk_trace *trace;
	struct disk_fault fault[DISK_FAULTS];
	uint32_t called[DISK_CALLS];
	int hit_at;               /* operations before the first fault that happened; -1: none did */
	int forgets;              /* a sync that fails drops what it should have written */
	uint64_t now_ns, wall_ns;
	/* Called before a name of the directory goes, by unlink or rename. */
	void (*on_gone)(int file, const char *name);
};
extern struct disk disk;

/* Starts the machine: what is durable is what there is, and nothing is open. */
void disk_boot(struct disk_trace *trace, const struct disk_image *image);
/* Goes on with a trace, after the death of the process: what it did is still in memory. */
void disk_respawn(struct disk_trace *trace);
void disk_empty(struct disk_image *image);
/* No descriptor is open but those of nobody. Count of open ones. */
int disk_open_count(void);
/* The file of a name in "log"; -1: none. */
int disk_find(const struct disk_image *image, const char *name);
void disk_copy(struct disk_image *to, const struct disk_image *from);
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
