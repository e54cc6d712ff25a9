/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_sys.h - a system table whose only directory lies in memory: the disk of tests/support with a
 * few odd files, calls that fail on request, and a hook that may change it all amid a call.
 */
#ifndef WEIR_FUZZ_MEMORY_SYS_H
#define WEIR_FUZZ_MEMORY_SYS_H

#include <stdbool.h>
#include <stddef.h>

#include "support/disk.h"

#define MEMORY_FILES 80

struct memory_disk {
	bool directory;      /* it has been made */
	bool nameless;       /* it can hold files without a name */
	uint64_t clock_ns;
	unsigned calls;      /* so far */
	unsigned fail_at;    /* 0: never; the call of this number fails ... */
	unsigned fail_count; /* ... and so many in all */
	int fail_with;       /* -errno */
	unsigned short_at;   /* the write or read of this number is a short one */
	unsigned hook_at;
	void (*hook)(void);
};

extern struct memory_disk memory_disk;

/* An empty disk; everything is closed. */
void memory_reset(void);
struct disk_file *memory_find(const char *name);
/* NULL: too many. */
struct disk_file *memory_make(const char *name);
/* NULL: it has none. */
const char *memory_name(const struct disk_file *file);
void memory_unlink(const struct disk_file *file);
void memory_rename(const struct disk_file *file, const char *to);
/* Writes at @at, zeros in between. */
void memory_put(struct disk_file *file, size_t at, const void *bytes, size_t count);
void memory_truncate(struct disk_file *file, size_t size);

#endif
