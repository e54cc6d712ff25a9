/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/disk_image.h - what a disk holds: files, and the names that lead to them.
 *
 * It knows bytes, directories and copies of all that. It does not know descriptors, calls, or what
 * of it is durable. File 0 is the root. A file keeps its number and its place in memory for as long
 * as it is in use, and its memory after that: an image may be emptied and filled again for ever.
 */
#ifndef WEIR_TESTS_SUPPORT_DISK_IMAGE_H
#define WEIR_TESTS_SUPPORT_DISK_IMAGE_H

#include <stdint.h>

#define DISK_FILES 4096
#define DISK_NAMES 2048
#define DISK_NAME_BYTES 40

struct disk_file {
	uint8_t *data;
	uint32_t size, room;
	uint8_t in_use, is_dir;
	uint8_t is_odd;              /* no plain file */
	uint8_t links;               /* names elsewhere */
	uint32_t hole_from, hole_to; /* nothing was ever written here; both 0: no hole */
	int refuse;                  /* -errno of every opening */
	uint64_t written_ns;
};

struct disk_name {
	int dir, file; /* file -1: none */
	char name[DISK_NAME_BYTES];
};

struct disk_image {
	int names, files; /* in use, of the arrays below */
	struct disk_name name[DISK_NAMES];
	struct disk_file file[DISK_FILES];
};

/* Ends the test: the disk cannot do it, or was used as none can be. Each user has its own. */
_Noreturn void disk_broken(const char *what);

/* Nothing but a root. */
void disk_empty(struct disk_image *image);
void disk_copy(struct disk_image *to, const struct disk_image *from);
void disk_copy_file(struct disk_file *to, const struct disk_file *from);
/* The names of one directory become those that @from has there. */
void disk_copy_names(struct disk_image *to, const struct disk_image *from, int dir);

/* The file of a name; -1: none. */
int disk_find(const struct disk_image *image, int dir, const char *name);
/* A name of a file; NULL: it has none. */
const char *disk_name_of(const struct disk_image *image, int file);
void disk_link(struct disk_image *image, int dir, const char *name, int file);
/* A name that is not there may go, too. */
void disk_unlink(struct disk_image *image, int dir, const char *name);

/* The first number that is free; without a name. */
int disk_new_file(struct disk_image *image, int is_dir);
/* Zeros come in where it grows. */
void disk_resize(struct disk_file *file, uint32_t size);
void disk_put(struct disk_file *file, uint32_t offset, const void *bytes, uint32_t count);

#endif
