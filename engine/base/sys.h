/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/sys.h - the one table through which the flusher, the sinks and the log meet the kernel.
 *
 * It knows system calls. It does not know rings, batches or files of any format. Ring code and the
 * push path do not use it, except for the two calls of the wake protocol (timer_set, event_write).
 *
 * In production it is one constant table, base/sys_linux.c. A test or simulator defines `wr_sys`
 * itself: the linker then leaves that object of the archive out, and the same objects of flush,
 * sink and log run on virtual time and on a disk that fails.
 *
 * Every call answers a count or 0 on success and -errno on failure.
 */
#ifndef WR_BASE_SYS_H
#define WR_BASE_SYS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct wr_sys {
	/* time, in nanoseconds */
	uint64_t (*now)(void);  /* CLOCK_MONOTONIC */
	uint64_t (*wall)(void); /* CLOCK_REALTIME */
	uint64_t (*random)(void);

	/* wake */
	int (*timer_open)(void); /* CLOCK_MONOTONIC, non-blocking, close-on-exec */
	int (*timer_set)(int fd, uint64_t at_ns); /* absolute; 0 disarms */
	int (*event_open)(void);
	int (*event_write)(int fd); /* adds one; a full counter is success */
	int (*poll_open)(void);
	int (*poll_ctl)(int poll_fd, int op, int fd, uint32_t events, uint64_t tag);
	/* at most until_ns (CLOCK_MONOTONIC); 0: do not wait; UINT64_MAX: for ever */
	int (*poll_wait)(int poll_fd, struct epoll_event *events, int max, uint64_t until_ns);
	/* -EAGAIN: *word is not @value; -ETIMEDOUT; -EINTR */
	int (*futex_wait)(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns);
	int (*futex_wake)(_Atomic uint32_t *word, int count);
	int (*membarrier)(int cpu); /* the rseq form; -1: every CPU */

	/* files */
	int (*openat)(int dir_fd, const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*writev)(int fd, const struct iovec *iov, int count);
	ssize_t (*pread)(int fd, void *buffer, size_t bytes, uint64_t offset);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*ftruncate)(int fd, uint64_t bytes);
	int (*fstat)(int fd, struct stat *ret);
	int (*unlinkat)(int dir_fd, const char *path);
	/* Within one directory. -EEXIST: @to is there, and stays. */
	int (*rename)(int dir_fd, const char *from, const char *to);
	int (*mkdirat)(int dir_fd, const char *path, mode_t mode);
	/* Locks the whole of an open file for writing, or lets it go. -EBUSY: another has it. */
	int (*lock)(int fd, int on);
	/* Raw directory entries (struct dirent64); 0: no more. Bytes, or -errno. */
	ssize_t (*list)(int dir_fd, void *buffer, size_t bytes);
	/* Where the first byte at or after @offset lies that is not in a hole; -ENXIO: none. */
	int64_t (*seek_data)(int fd, uint64_t offset);
};

extern const struct wr_sys wr_sys;

#endif
