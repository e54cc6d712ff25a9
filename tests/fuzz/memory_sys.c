/* SPDX-License-Identifier: Apache-2.0 */
/* memory_sys.c - see memory_sys.h. Defining wr_sys here leaves the library's own table out. */
#include "memory_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define BYTES_MAX ((size_t)12 << 20)
#define DIRECTORY "log" /* whatever it is called by */

struct memory_disk memory_disk;

_Noreturn void disk_broken(const char *what)
{
	fuzz_broken(__FILE__, __LINE__, what);
}

static int directory(void)
{
	return disk_find(&disk.now, 0, DIRECTORY);
}

static int is_full(void)
{
	int n = 0;

	for (int i = 0; i < disk.now.files; i++)
		n += disk.now.file[i].in_use && !disk.now.file[i].is_dir;
	return n >= MEMORY_FILES;
}

struct disk_file *memory_find(const char *name)
{
	int file = disk_find(&disk.now, directory(), name);

	return file < 0 ? NULL : &disk.now.file[file];
}

struct disk_file *memory_make(const char *name)
{
	return is_full() ? NULL : &disk.now.file[disk_create(directory(), name, 0)];
}

const char *memory_name(const struct disk_file *file)
{
	return disk_name_of(&disk.now, (int)(file - disk.now.file));
}

void memory_unlink(const struct disk_file *file)
{
	if (memory_name(file))
		disk_unlink(&disk.now, directory(), memory_name(file));
	disk_sweep();
}

void memory_rename(const struct disk_file *file, const char *to)
{
	disk_unlink(&disk.now, directory(), memory_name(file));
	disk_link(&disk.now, directory(), to, (int)(file - disk.now.file));
}

void memory_truncate(struct disk_file *file, size_t size)
{
	if (size <= BYTES_MAX)
		disk_resize(file, (uint32_t)size);
}

void memory_put(struct disk_file *file, size_t at, const void *bytes, size_t count)
{
	if (at <= BYTES_MAX && count <= BYTES_MAX - at)
		disk_put(file, (uint32_t)at, bytes, (uint32_t)count);
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

static int decide(struct disk_ask *ask)
{
	bool is_short = memory_disk.short_at && memory_disk.calls + 1 == memory_disk.short_at;
	int r = enter();

	if (r)
		return r;
	for (int i = 0; i < ask->count; i++)
		fuzz_touch(ask->iov[i].iov_base, ask->iov[i].iov_len);
	if (is_short && ask->bytes > 9)
		ask->bytes = 9;
	if (ask->call == DISK_CALL_WRITE && ask->offset + ask->bytes > BYTES_MAX)
		return -ENOSPC;
	if (ask->call != DISK_CALL_OPEN)
		return 0;
	if (ask->dir == 0 && !memory_disk.directory)
		return -ENOENT;
	if ((ask->flags & O_TMPFILE) == O_TMPFILE)
		return memory_disk.nameless ? 0 : -EOPNOTSUPP;
	return ask->flags & O_CREAT && is_full() && !memory_find(ask->name) ? -ENOSPC : 0;
}

void memory_reset(void)
{
	memset(&memory_disk, 0, sizeof(memory_disk));
	memory_disk.clock_ns = 1000000000;
	disk_boot(NULL, NULL);
	(void)disk_create(0, DIRECTORY, 1);
	disk.decide = decide;
	disk.clock = &memory_disk.clock_ns;
	disk.crowded = 0;
	disk.dots = 1;
}

static int m_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	return disk_openat(dir_fd, dir_fd == AT_FDCWD ? DIRECTORY : path, flags, mode);
}

/* What was in it when it went is there again. */
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

static int m_close(int fd)
{
	if (fd < DISK_FIRST_FD) /* a real one: the sink for descriptors duplicates what it is given */
		return close(fd) ? -errno : 0;
	return disk_close(fd);
}

static uint64_t m_now(void)
{
	return memory_disk.clock_ns += 1000;
}

static uint64_t m_random(void)
{
	return memory_disk.clock_ns * UINT64_C(0x9e3779b97f4a7c15);
}

/* No file, but it is to be closed as one. */
static int m_open_other(void)
{
	int r = enter();

	if (r)
		return r;
	return is_full() ? -EMFILE : disk_open_file(disk_new_file(&disk.now, 0), 0);
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
	.mkdirat = m_mkdirat,
	.close = m_close,
	DISK_SYS,
};
