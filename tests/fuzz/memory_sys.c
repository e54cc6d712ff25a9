/* SPDX-License-Identifier: Apache-2.0 */
/* memory_sys.c - see memory_sys.h. Defining wr_sys here leaves the library's own table out. */
#include "memory_sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "fuzz.h"

#define FIRST_FD 1000 /* below: real ones */
#define FILE_FD 2000 /* and up: a slot of `opened` */
#define FDS 256
#define BYTES_MAX ((size_t)12 << 20)

struct memory_disk memory_disk;

static struct opened {
	struct memory_file *file; /* NULL: the slot is free, or it is a directory */
	bool directory;
	size_t at; /* file offset, or the next entry to list */
	bool append;
} fds[FDS];

void memory_reset(void)
{
	for (size_t i = 0; i < MEMORY_FILES; i++)
		free(memory_disk.files[i].bytes);
	memset(&memory_disk, 0, sizeof(memory_disk));
	memset(fds, 0, sizeof(fds));
	memory_disk.clock_ns = 1000000000;
}

struct memory_file *memory_find(const char *name)
{
	for (size_t i = 0; i < MEMORY_FILES; i++)
		if (memory_disk.files[i].there && !strcmp(memory_disk.files[i].name, name))
			return &memory_disk.files[i];
	return NULL;
}

struct memory_file *memory_make(const char *name)
{
	for (size_t i = 0; i < MEMORY_FILES; i++) {
		struct memory_file *file = &memory_disk.files[i];

		if (file->there || file->opened)
			continue;
		free(file->bytes);
		*file = (struct memory_file){ .there = true };
		strncpy(file->name, name, MEMORY_NAME - 1);
		file->modified_ns = memory_disk.clock_ns;
		return file;
	}
	return NULL;
}

void memory_unlink(struct memory_file *file)
{
	file->there = false;
}

void memory_truncate(struct memory_file *file, size_t size)
{
	if (size > BYTES_MAX)
		return;
	if (size > file->room) {
		file->room = size + size / 2 + 4096;
		file->bytes = realloc(file->bytes, file->room);
		FUZZ_TRUE(file->bytes);
	}
	if (size > file->size)
		memset(file->bytes + file->size, 0, size - file->size);
	file->size = size;
}

void memory_put(struct memory_file *file, size_t at, const void *bytes, size_t count)
{
	if (at > BYTES_MAX || count > BYTES_MAX - at)
		return;
	if (at + count > file->size)
		memory_truncate(file, at + count);
	if (count)
		memcpy(file->bytes + at, bytes, count);
}

/* At the beginning of every call: 0, or what it is to answer. */
static int enter(void)
{
	unsigned call = ++memory_disk.calls;

	memory_disk.clock_ns += 1000;
	if (memory_disk.hook && call == memory_disk.hook_at)
		memory_disk.hook();
	if (memory_disk.fail_at && call >= memory_disk.fail_at &&
	    call - memory_disk.fail_at < memory_disk.fail_count)
		return memory_disk.fail_with;
	return 0;
}

static struct opened *opened_at(int fd)
{
	FUZZ_TRUE(fd >= FILE_FD && fd < FILE_FD + FDS);
	FUZZ_TRUE(fds[fd - FILE_FD].file || fds[fd - FILE_FD].directory);
	return &fds[fd - FILE_FD];
}

static int give(struct memory_file *file, bool append)
{
	for (int i = 0; i < FDS; i++) {
		if (fds[i].file || fds[i].directory)
			continue;
		fds[i] = (struct opened){ file, !file, 0, append };
		if (file)
			file->opened++;
		memory_disk.descriptors++;
		return FILE_FD + i;
	}
	return -EMFILE;
}

static int m_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	struct memory_file *file;
	int r = enter();

	(void)mode;
	if (r)
		return r;
	if (dir_fd == AT_FDCWD) {
		if (!memory_disk.directory)
			return -ENOENT;
		return give(NULL, false);
	}
	FUZZ_TRUE(opened_at(dir_fd)->directory);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return memory_disk.nameless ? give(NULL, false) : -EOPNOTSUPP;
	if (flags & O_DIRECTORY)
		return give(NULL, false);
	file = memory_find(path);
	if (file && flags & O_EXCL)
		return -EEXIST;
	if (!file && flags & O_CREAT)
		file = memory_make(path);
	else if (!file)
		return -ENOENT;
	if (!file)
		return -ENOSPC;
	if (file->refuse)
		return file->refuse;
	return give(file, (flags & O_APPEND) != 0);
}

static int m_close(int fd)
{
	struct opened *opened;

	if (fd < FIRST_FD) /* a real one: the sink for descriptors duplicates what it is given */
		return close(fd) ? -errno : 0;
	opened = opened_at(fd);
	if (opened->file)
		opened->file->opened--;
	*opened = (struct opened){ 0 };
	memory_disk.descriptors--;
	return enter();
}

static ssize_t m_writev(int fd, const struct iovec *iov, int count)
{
	struct opened *opened = opened_at(fd);
	bool is_short = memory_disk.short_at && memory_disk.calls + 1 == memory_disk.short_at;
	size_t wrote = 0;
	int r = enter();

	if (r)
		return r;
	if (opened->append)
		opened->at = opened->file->size;
	for (int i = 0; i < count; i++) {
		size_t bytes = iov[i].iov_len;

		fuzz_touch(iov[i].iov_base, bytes);
		if (is_short && wrote + bytes > 9)
			bytes = wrote < 9 ? 9 - wrote : 0;
		if (opened->at + bytes > BYTES_MAX)
			return wrote ? (ssize_t)wrote : -ENOSPC;
		memory_put(opened->file, opened->at, iov[i].iov_base, bytes);
		opened->at += bytes;
		wrote += bytes;
		if (bytes < iov[i].iov_len)
			break;
	}
	opened->file->modified_ns = memory_disk.clock_ns;
	return (ssize_t)wrote;
}

static ssize_t m_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	const struct memory_file *file = opened_at(fd)->file;
	bool is_short = memory_disk.short_at && memory_disk.calls + 1 == memory_disk.short_at;
	int r = enter();

	if (r)
		return r;
	if (offset >= file->size)
		return 0;
	if (bytes > file->size - offset)
		bytes = file->size - offset;
	if (is_short && bytes > 9)
		bytes = 9;
	memcpy(buffer, file->bytes + offset, bytes);
	return (ssize_t)bytes;
}

static int m_sync(int fd)
{
	(void)opened_at(fd);
	return enter();
}

static int m_ftruncate(int fd, uint64_t bytes)
{
	int r = enter();

	if (!r)
		memory_truncate(opened_at(fd)->file, bytes);
	return r;
}

static int m_fstat(int fd, struct stat *ret)
{
	const struct memory_file *file = opened_at(fd)->file;
	int r = enter();

	if (r)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->st_mode = file->odd ? S_IFIFO | 0600 : S_IFREG | 0600;
	ret->st_nlink = file->shared ? 2 : 1;
	ret->st_size = (off_t)file->size;
	ret->st_mtim.tv_sec = (time_t)(file->modified_ns / 1000000000);
	ret->st_mtim.tv_nsec = (long)(file->modified_ns % 1000000000);
	return 0;
}

static int m_unlinkat(int dir_fd, const char *path)
{
	struct memory_file *file;
	int r = enter();

	(void)opened_at(dir_fd);
	file = memory_find(path);
	if (r)
		return r;
	if (!file)
		return -ENOENT;
	memory_unlink(file);
	return 0;
}

static int m_rename(int dir_fd, const char *from, const char *to)
{
	struct memory_file *file;
	int r = enter();

	(void)opened_at(dir_fd);
	file = memory_find(from);
	if (r)
		return r;
	if (!file)
		return -ENOENT;
	if (memory_find(to))
		return -EEXIST;
	strncpy(file->name, to, MEMORY_NAME - 1);
	return 0;
}

static int m_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	int r = enter();

	(void)dir_fd;
	(void)path;
	(void)mode;
	if (r)
		return r;
	if (memory_disk.directory)
		return -EEXIST;
	memory_disk.directory = true;
	return 0;
}

static int m_lock(int fd, int on)
{
	struct memory_file *file = opened_at(fd)->file;
	int r = enter();

	if (r)
		return r;
	if (on && file->locked)
		return -EBUSY;
	file->locked = on != 0;
	return 0;
}

/* One entry behind the other, "." and ".." first. */
static ssize_t m_list(int dir_fd, void *buffer, size_t bytes)
{
	struct opened *opened = opened_at(dir_fd);
	size_t used = 0;
	int r = enter();

	if (r)
		return r;
	while (opened->at < MEMORY_FILES + 2) {
		size_t i = opened->at;
		const char *name = i == 0 ? "." : i == 1 ? ".." : memory_disk.files[i - 2].name;
		struct dirent64 *entry = (void *)((char *)buffer + used);
		size_t length = (offsetof(struct dirent64, d_name) + strlen(name) + 8) & ~(size_t)7;

		if (i > 1 && !memory_disk.files[i - 2].there) {
			opened->at++;
			continue;
		}
		if (used + length > bytes || (memory_disk.crowded && used))
			break;
		memset(entry, 0, length);
		entry->d_reclen = (unsigned short)length;
		strcpy(entry->d_name, name);
		used += length;
		opened->at++;
	}
	return (ssize_t)used;
}

static int64_t m_seek_data(int fd, uint64_t offset)
{
	const struct memory_file *file = opened_at(fd)->file;
	int r = enter();

	if (r)
		return r;
	if (offset >= file->hole_from && offset < file->hole_to)
		offset = file->hole_to;
	return offset >= file->size ? -ENXIO : (int64_t)offset;
}

static uint64_t m_now(void)
{
	return memory_disk.clock_ns += 1000;
}

static uint64_t m_random(void)
{
	return memory_disk.clock_ns * UINT64_C(0x9e3779b97f4a7c15);
}

static int m_open_other(void)
{
	struct memory_file *file;
	int r = enter();

	if (r)
		return r;
	file = memory_make("-");
	if (!file)
		return -EMFILE;
	memory_unlink(file);
	return give(file, false);
}

static int m_one(int fd)
{
	(void)fd;
	return enter();
}

static int m_timer_set(int fd, uint64_t at_ns)
{
	(void)fd;
	(void)at_ns;
	return enter();
}

static int m_poll_ctl(int poll_fd, int op, int fd, uint32_t events, uint64_t tag)
{
	(void)poll_fd;
	(void)op;
	(void)fd;
	(void)events;
	(void)tag;
	return enter();
}

/* The descriptor that is written to (tag 0) is always writable. */
static int m_poll_wait(int poll_fd, struct epoll_event *events, int max, uint64_t until_ns)
{
	int r = enter();

	(void)poll_fd;
	(void)until_ns;
	if (r)
		return r;
	FUZZ_TRUE(max > 0);
	events[0] = (struct epoll_event){ .events = EPOLLOUT };
	return 1;
}

static int m_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	(void)word;
	(void)value;
	(void)until_ns;
	return -ETIMEDOUT;
}

static int m_futex_wake(_Atomic uint32_t *word, int count)
{
	(void)word;
	(void)count;
	return 0;
}

const struct wr_sys wr_sys = {
	.now = m_now,
	.wall = m_now,
	.random = m_random,
	.timer_open = m_open_other,
	.timer_set = m_timer_set,
	.event_open = m_open_other,
	.event_write = m_one,
	.poll_open = m_open_other,
	.poll_ctl = m_poll_ctl,
	.poll_wait = m_poll_wait,
	.futex_wait = m_futex_wait,
	.futex_wake = m_futex_wake,
	.membarrier = m_one,
	.openat = m_openat,
	.close = m_close,
	.writev = m_writev,
	.pread = m_pread,
	.fdatasync = m_sync,
	.fsync = m_sync,
	.ftruncate = m_ftruncate,
	.fstat = m_fstat,
	.unlinkat = m_unlinkat,
	.rename = m_rename,
	.mkdirat = m_mkdirat,
	.lock = m_lock,
	.list = m_list,
	.seek_data = m_seek_data,
};
