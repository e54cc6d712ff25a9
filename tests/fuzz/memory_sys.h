/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_sys.h - a system table whose only directory lies in memory: files with bytes and a few
 * odd ones, calls that fail on request, and a hook that may change it all in the middle of a call.
 */
#ifndef WEIR_FUZZ_MEMORY_SYS_H
#define WEIR_FUZZ_MEMORY_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_FILES 80
#define MEMORY_NAME 40

struct memory_file {
	bool there;      /* it has a name */
	unsigned opened; /* descriptors that lead to it */
	char name[MEMORY_NAME];
	uint8_t *bytes;
	size_t size, room;
	size_t hole_from, hole_to; /* nothing was ever written here; both 0: no hole */
	int refuse;                /* -errno of every opening */
	bool odd;                  /* no plain file */
	bool shared;               /* it has another name elsewhere */
	bool locked;
	uint64_t modified_ns;
};

struct memory_disk {
	struct memory_file files[MEMORY_FILES];
	bool directory;      /* it has been made */
	bool nameless;       /* it can hold files without a name */
	bool crowded;        /* the list comes in pieces of one entry */
	uint64_t clock_ns;
	unsigned calls;      /* so far */
	unsigned fail_at;    /* 0: never; the call of this number fails ... */
	unsigned fail_count; /* ... and so many in all */
	int fail_with;       /* -errno */
	unsigned short_at;   /* the write or read of this number is a short one */
	unsigned hook_at;
	void (*hook)(void);
	int descriptors; /* that are open */
};

extern struct memory_disk memory_disk;

/* An empty disk; everything is closed. */
void memory_reset(void);
struct memory_file *memory_find(const char *name);
/* NULL: too many. */
struct memory_file *memory_make(const char *name);
void memory_unlink(struct memory_file *file);
/* Writes at @at, zeros in between. */
void memory_put(struct memory_file *file, size_t at, const void *bytes, size_t count);
void memory_truncate(struct memory_file *file, size_t size);

#endif
