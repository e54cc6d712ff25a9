/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/disk.h - a disk in memory: the file half of the table `wr_sys`.
 *
 * It knows what a program sees, what it has open and locked, which changes a sync has not made
 * durable, and the calls. It does not know when one fails: decide() says so, before each; nor what
 * is left after a power cut: who asks for one makes it of the base and of the operations. It does
 * not know a log. One thread.
 *
 * There are directories in the root and files in them. "." and ".." may be opened.
 */
#ifndef WEIR_TESTS_SUPPORT_DISK_H
#define WEIR_TESTS_SUPPORT_DISK_H

#include "base/sys.h"
#include "support/disk_image.h"

#define DISK_FIRST_FD 200000
#define DISK_SECTOR 512u

enum disk_kind { DISK_WRITE, DISK_TRUNCATE, DISK_LINK, DISK_UNLINK, DISK_RENAME, DISK_SYNC };

/* Something that was done to the disk. */
struct disk_op {
	uint8_t kind, is_dir;
	uint8_t failed; /* a sync that answered an error */
	int dir, file;  /* dir: of a name, else -1; file: of a sync, what was synced */
	uint32_t offset, bytes, at; /* a truncate: bytes alone; at: in the arena */
	char from[DISK_NAME_BYTES], to[DISK_NAME_BYTES]; /* a name that goes, a name that comes */
};

enum disk_keeps {
	DISK_KEEPS_BASE,    /* what is durable, no operations */
	DISK_KEEPS_PENDING, /* and the operations that are not */
	DISK_KEEPS_ALL,     /* what was there at first, and all operations since, syncs too */
};

struct disk_trace {
	enum disk_keeps keeps;
	struct disk_image base;
	int ops, op_room;
	struct disk_op *op;
	uint32_t used, arena_room;
	uint8_t *arena;
};

enum disk_call {
	DISK_CALL_OPEN,
	DISK_CALL_WRITE,
	DISK_CALL_READ,
	DISK_CALL_SYNC,     /* fdatasync */
	DISK_CALL_SYNC_DIR, /* fsync: of files as well, if somebody does that */
	DISK_CALL_TRUNCATE,
	DISK_CALL_UNLINK,
	DISK_CALL_RENAME,
	DISK_CALL_STAT,
	DISK_CALL_LIST,
	DISK_CALL_LOCK,
	DISK_CALL_MKDIR,
	DISK_CALL_CLOSE, /* is closed, whatever is answered */
	DISK_CALL_SEEK,
	DISK_CALLS
};

/* A call that is about to be carried out. */
struct disk_ask {
	enum disk_call call;
	int dir, file; /* -1: there is none */
	const char *name, *to;
	int flags; /* of an opening; of a lock: on */
	uint64_t offset;
	uint64_t bytes; /* of a write, of a read within the file: may be made less */
	const struct iovec *iov;
	int count;
};

struct disk {
	struct disk_image now; /* as a program sees it */
	struct disk_trace *trace; /* NULL: nothing is kept */
	/* 0: go on; else the answer. It may change the disk. NULL: all goes well. */
	int (*decide)(struct disk_ask *ask);
	const uint64_t *clock; /* the wall's, for times of files */
	int crowded;           /* a listing comes in pieces of one entry */
	int dots;              /* it begins with . and .. */
};
extern struct disk disk;

/* Starts it: what is there is durable, and nothing is open. @image NULL: an empty one. */
void disk_boot(struct disk_trace *trace, const struct disk_image *image);
/* The process is gone: its descriptors are closed, its locks let go. */
void disk_let_go(void);
int disk_open_count(void);
int disk_owns(int fd);
/* Somebody holds a lock on it. */
int disk_is_locked(int file);

/* What a program could do, without a call of it. */
int disk_create(int dir, const char *name, int is_dir);
int disk_open_file(int file, int flags);
/* @file is synced now, or that was tried. */
void disk_synced(int file, int failed);
/* A sync of @file is what makes @op durable. */
int disk_syncs(const struct disk_op *op, int file);
/* The operations that a sync of @file would make durable are forgotten. */
void disk_drop(struct disk_trace *trace, int file);
/* Its first @ops operations. */
void disk_copy_trace(struct disk_trace *to, const struct disk_trace *from, int ops);
/* The numbers of files that nobody can reach any more become free. */
void disk_sweep(void);

int disk_openat(int dir_fd, const char *path, int flags, mode_t mode);
int disk_close(int fd);
ssize_t disk_writev(int fd, const struct iovec *iov, int count);
ssize_t disk_pread(int fd, void *buffer, size_t bytes, uint64_t offset);
int disk_fdatasync(int fd);
int disk_fsync(int fd);
int disk_ftruncate(int fd, uint64_t bytes);
int disk_fstat(int fd, struct stat *ret);
int disk_unlinkat(int dir_fd, const char *path);
int disk_rename(int dir_fd, const char *from, const char *to);
int disk_mkdirat(int dir_fd, const char *path, mode_t mode);
int disk_lock(int fd, int on);
ssize_t disk_list(int dir_fd, void *buffer, size_t bytes);
int64_t disk_seek_data(int fd, uint64_t offset);

/* That part of the table, but for what finds, makes or closes more than files. */
#define DISK_SYS \
	.writev = disk_writev, .pread = disk_pread, .fdatasync = disk_fdatasync, \
	.fsync = disk_fsync, .ftruncate = disk_ftruncate, .fstat = disk_fstat, \
	.unlinkat = disk_unlinkat, .rename = disk_rename, .lock = disk_lock, .list = disk_list, \
	.seek_data = disk_seek_data

#endif
