/* SPDX-License-Identifier: Apache-2.0 */
/* dir.c - a directory of segments. thread: owner */
#include "log/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

#define SUFFIX ".weir"
#define DIGITS 20

int wr_log_why(struct weir_why *ret_why, int error, const char *format, ...)
{
	va_list args;

	if (!ret_why)
		return error;
	va_start(args, format);
	vsnprintf(ret_why->text, sizeof(ret_why->text), format, args);
	va_end(args);
	return error;
}

const char *wr_log_reason(int error)
{
	const char *text = strerrordesc_np(-error);

	return text ? text : "unknown error";
}

void wr_log_segment_name(uint64_t number, char name[WR_LOG_NAME_BYTES])
{
	snprintf(name, WR_LOG_NAME_BYTES, "%0*" PRIu64 SUFFIX, DIGITS, number);
}

int wr_log_segment_number(const char *name, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (int i = 0; i < DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
		    __builtin_add_overflow(number, (uint64_t)(name[i] - '0'), &number))
			return 0;
	}
	if (strcmp(name + DIGITS, SUFFIX) != 0)
		return 0;
	*ret_number = number;
	return 1;
}

int wr_log_dir_open(const char *path, struct weir_why *ret_why)
{
	int fd = wr_sys.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd < 0)
		return wr_log_why(ret_why, fd, "cannot open the log %s: %s", path,
		                  wr_log_reason(fd));
	return fd;
}

/*
 * Makes the entry of the directory last: by a sync of the one that it lies in. Also when it was
 * there already: whoever made it may have died, or failed, before this.
 */
static int sync_parent(int dir_fd)
{
	int fd = wr_sys.openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int r;

	if (fd < 0) /* one that may be entered and written, but not read, cannot be synced */
		return fd == -EACCES ? 0 : fd;
	r = wr_sys.fsync(fd);
	wr_sys.close(fd);
	return r == -EINVAL ? 0 : r; /* it is of another file system, which knows no such sync */
}

/* A file without a name tells whether one with a name could be made, and leaves nothing behind. */
static int can_create(int dir_fd)
{
	int fd = wr_sys.openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		return wr_sys.close(fd);
	/* Not every file system has such files. */
	return fd == -EACCES || fd == -EPERM || fd == -EROFS ? fd : 0;
}

static int own(const char *path, int dir_fd, int *ret_lock_fd, struct weir_why *ret_why)
{
	int r = can_create(dir_fd);
	int fd;

	if (r)
		return wr_log_why(ret_why, r, "cannot write in the log %s: %s", path,
		                  wr_log_reason(r));
	fd = wr_sys.openat(dir_fd, WR_LOG_LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
	                   0600);
	if (fd == -ELOOP)
		return wr_log_why(ret_why, fd, "%s/" WR_LOG_LOCK_NAME " is a symbolic link", path);
	if (fd < 0)
		return wr_log_why(ret_why, fd, "cannot open %s/" WR_LOG_LOCK_NAME ": %s", path,
		                  wr_log_reason(fd));
	r = wr_sys.lock(fd, 1);
	if (r) {
		wr_sys.close(fd);
		if (r == -EBUSY)
			return wr_log_why(ret_why, r, "the log %s has a writer already", path);
		return wr_log_why(ret_why, r, "cannot lock %s/" WR_LOG_LOCK_NAME ": %s", path,
		                  wr_log_reason(r));
	}
	*ret_lock_fd = fd;
	return 0;
}

int wr_log_dir_own(const char *path, int durable, int *ret_dir_fd, int *ret_lock_fd,
                   struct weir_why *ret_why)
{
	int made = wr_sys.mkdirat(AT_FDCWD, path, 0700);
	int fd, r;

	if (made && made != -EEXIST)
		return wr_log_why(ret_why, made, "cannot make the directory %s: %s", path,
		                  wr_log_reason(made));
	fd = wr_sys.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd == -ENOTDIR || fd == -ELOOP)
		return wr_log_why(ret_why, -ENOTDIR,
		                  "%s is not a directory, or is a symbolic link (%s/. follows it)",
		                  path, path);
	if (fd < 0)
		return wr_log_why(ret_why, fd, "cannot open the log %s: %s", path,
		                  wr_log_reason(fd));
	r = durable ? sync_parent(fd) : 0;
	if (r)
		wr_log_why(ret_why, r, "cannot make the directory %s last: %s", path,
		           wr_log_reason(r));
	else
		r = own(path, fd, ret_lock_fd, ret_why);
	if (r) {
		wr_sys.close(fd);
		return r;
	}
	*ret_dir_fd = fd;
	return 0;
}

static int add(struct wr_log_listing *listing, const struct wr_mem *mem, uint64_t number)
{
	if (listing->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 64;
		uint64_t *numbers = wr_mem_alloc(mem, room * sizeof(*numbers));

		if (!numbers)
			return -ENOMEM;
		if (listing->count)
			memcpy(numbers, listing->numbers, listing->count * sizeof(*numbers));
		wr_mem_free(mem, listing->numbers, listing->room * sizeof(*numbers));
		listing->numbers = numbers;
		listing->room = room;
	}
	listing->numbers[listing->count++] = number;
	return 0;
}

static int take(struct wr_log_listing *listing, const struct wr_mem *mem, const char *name)
{
	uint64_t number;

	if (wr_log_segment_number(name, &number))
		return add(listing, mem, number);
	if (!strcmp(name, WR_LOG_LOCK_NAME))
		listing->locked = 1;
	else if (!strcmp(name, WR_LOG_SPARE_NAME))
		listing->spare = 1;
	else if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		listing->others = 1;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int wr_log_dir_list(int dir_fd, const struct wr_mem *mem, struct wr_log_listing *ret)
{
	struct wr_log_listing listing = { 0 };
	_Alignas(struct dirent64) char buffer[16384];
	/* A fresh opening begins at the first entry, and is nobody else's. */
	int fd = wr_sys.openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return fd;
	while (!r && (n = wr_sys.list(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0) {
			r = (int)n;
			break;
		}
		for (ssize_t at = 0; at < n && !r;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			r = take(&listing, mem, entry->d_name);
		}
	}
	wr_sys.close(fd);
	if (r) {
		wr_log_listing_fini(&listing, mem);
		return r;
	}
	if (listing.count)
		qsort(listing.numbers, listing.count, sizeof(*listing.numbers), ascending);
	*ret = listing;
	return 0;
}

void wr_log_listing_fini(struct wr_log_listing *listing, const struct wr_mem *mem)
{
	wr_mem_free(mem, listing->numbers, listing->room * sizeof(*listing->numbers));
	*listing = (struct wr_log_listing){ 0 };
}
