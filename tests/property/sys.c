/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.c - see sys.h. The time half is tests/support/virtual_sys.c as it stands: its table gets
 * another name here, so that one can be made of its functions and those of the disk.
 */
#define wr_sys virtual_time
#include "support/virtual_sys.c" /* and base/sys.h with it */
#undef wr_sys

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>

#include "property/sys.h"

#define FILES 96
#define OPENINGS 32
#define FIRST_FILE 200000
#define BLOCK 512
#define NAME 32
#define DIRECTORY (-2) /* in the place of a file: the directory, or its parent */
#define NAMELESS (-3)

struct content {
	uint8_t *bytes;
	size_t size, room;
};

struct file {
	int used;
	char name[NAME];    /* "": none any more */
	char durable[NAME]; /* in the directory as it is on the medium; "": not there */
	struct content now, synced;
	uint64_t written_ns;
	int locked; /* opening that holds the lock + 1 */
};

struct opening {
	int used, file, flags;
	size_t offset;
	uint32_t entry; /* of a listing */
};

static struct file files[FILES];
static struct opening openings[OPENINGS];
static struct disk_fault faults;
static uint64_t failed;
static int frozen;
static int made; /* the directory is there */
static struct prop_random numbers;

void sys_reset(uint64_t now_ns, uint64_t seed)
{
	vs_reset(now_ns);
	for (int i = 0; i < FILES; i++) {
		struct content now = files[i].now, synced = files[i].synced;

		/* The memory is kept for the next sequence. */
		now.size = synced.size = 0;
		files[i] = (struct file){ .now = now, .synced = synced };
	}
	memset(openings, 0, sizeof(openings));
	faults = (struct disk_fault){ 0, 0, 0 };
	failed = 0;
	made = 0;
	numbers.state = seed;
}

unsigned sys_open_descriptors(void)
{
	unsigned n = 0;

	for (int i = 0; i < OPENINGS; i++)
		n += openings[i].used != 0;
	for (int i = 0; i < FDS; i++)
		n += fds[i].kind != FREE;
	return n;
}

unsigned disk_files(uint64_t *ret_bytes)
{
	unsigned n = 0;

	*ret_bytes = 0;
	for (int i = 0; i < FILES; i++) {
		if (!files[i].used || !files[i].name[0] || !strcmp(files[i].name, "lock"))
			continue;
		n++;
		*ret_bytes += files[i].now.size;
	}
	return n;
}

void disk_fail(struct disk_fault fault)
{
	faults = fault;
}

uint64_t disk_failed(void)
{
	return failed;
}

void disk_freeze(int on)
{
	frozen = on;
}

/* 0: the call goes on. */
static int fault(void)
{
	if (!faults.times)
		return 0;
	if (faults.after) {
		faults.after--;
		return 0;
	}
	faults.times--;
	failed++;
	prop_step("      a call fails");
	return faults.error;
}

static void set_size(struct content *content, size_t size)
{
	if (size > content->room) {
		size_t room = size < 8192 ? 8192 : 2 * size;
		uint8_t *bytes = realloc(content->bytes, room);

		if (!bytes)
			prop_fail("no memory for the disk");
		content->bytes = bytes;
		content->room = room;
	}
	if (size > content->size)
		memset(content->bytes + content->size, 0, size - content->size);
	content->size = size;
}

static void copy(struct content *to, const struct content *from)
{
	set_size(to, from->size);
	if (from->size)
		memcpy(to->bytes, from->bytes, from->size);
}

static void sweep(void)
{
	for (int i = 0; i < FILES; i++) {
		int open = 0;

		for (int j = 0; j < OPENINGS; j++)
			open |= openings[j].used && openings[j].file == i;
		if (!open && !files[i].name[0] && !files[i].durable[0])
			files[i].used = 0;
	}
}

void disk_kill(void)
{
	memset(openings, 0, sizeof(openings));
	for (int i = 0; i < FILES; i++)
		files[i].locked = 0;
	memset(fds, 0, sizeof(fds));
	sweep();
}

/* One file's bytes after the cut: as durable, as they were, or some blocks of each. */
static void cut_file(struct file *file, struct prop_random *random)
{
	uint64_t how = prop_random(random) % 4;
	size_t size = file->synced.size;

	if (how == 0) {
		copy(&file->now, &file->synced);
		return;
	}
	if (how == 1) {
		copy(&file->synced, &file->now);
		return;
	}
	/* The size is one or the other, or between them; the blocks are old or new. */
	if (how == 2)
		size = file->now.size;
	else if (file->now.size > size)
		size += prop_random(random) % (file->now.size - size + 1);
	set_size(&file->synced, size > file->synced.size ? size : file->synced.size);
	for (size_t at = 0; at < size && at < file->now.size; at += BLOCK) {
		size_t left = (size < file->now.size ? size : file->now.size) - at;

		if (prop_random(random) & 1)
			memcpy(file->synced.bytes + at, file->now.bytes + at,
			       left < BLOCK ? left : BLOCK);
	}
	set_size(&file->synced, size);
	copy(&file->now, &file->synced);
}

void disk_cut(struct prop_random *random)
{
	/* The journal holds the entries in order: all up to some moment. Here: all or the synced. */
	int all = (int)(prop_random(random) & 1);

	for (int i = 0; i < FILES; i++) {
		struct file *file = &files[i];

		if (!file->used)
			continue;
		if (all)
			memcpy(file->durable, file->name, NAME);
		else
			memcpy(file->name, file->durable, NAME);
		if (file->name[0])
			cut_file(file, random);
		prop_step("      cut: %s of %zu bytes", file->name, file->now.size);
	}
	disk_kill();
}

static struct opening *opening_of(int fd)
{
	if (fd < FIRST_FILE || fd >= FIRST_FILE + OPENINGS || !openings[fd - FIRST_FILE].used)
		return NULL;
	return &openings[fd - FIRST_FILE];
}

static struct file *file_of(int fd)
{
	struct opening *opening = opening_of(fd);

	return opening && opening->file >= 0 ? &files[opening->file] : NULL;
}

static int find(const char *name)
{
	for (int i = 0; i < FILES; i++)
		if (files[i].used && files[i].name[0] && !strcmp(files[i].name, name))
			return i;
	return -1;
}

static int open_one(int file, int flags)
{
	for (int i = 0; i < OPENINGS; i++) {
		if (!openings[i].used) {
			openings[i] = (struct opening){ .used = 1, .file = file, .flags = flags };
			return FIRST_FILE + i;
		}
	}
	prop_fail("too many files are open");
}

static int make_file(const char *name)
{
	for (int i = 0; i < FILES; i++) {
		if (!files[i].used) {
			set_size(&files[i].now, 0);
			set_size(&files[i].synced, 0);
			files[i].used = 1;
			files[i].locked = 0;
			files[i].durable[0] = 0;
			snprintf(files[i].name, NAME, "%s", name);
			prop_step("      create %s", name);
			return i;
		}
	}
	prop_fail("the disk has too many files");
}

static int disk_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int r = frozen ? -EIO : fault(), file;

	(void)dir_fd, (void)mode;
	if (r < 0)
		return r;
	if (!strcmp(path, DISK_DIR))
		return made ? open_one(DIRECTORY, flags) : -ENOENT;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_one(NAMELESS, flags);
	if (!strcmp(path, ".") || !strcmp(path, ".."))
		return open_one(DIRECTORY, flags);
	file = find(path);
	if (file >= 0 && flags & O_EXCL)
		return -EEXIST;
	if (file < 0 && !(flags & O_CREAT))
		return -ENOENT;
	return open_one(file < 0 ? make_file(path) : file, flags);
}

static int disk_close(int fd)
{
	struct opening *opening = opening_of(fd);

	if (!opening)
		return sys_close(fd);
	opening->used = 0;
	if (opening->file < 0)
		return 0;
	if (files[opening->file].locked == fd + 1)
		files[opening->file].locked = 0;
	if (!files[opening->file].name[0])
		sweep();
	return 0;
}

static ssize_t disk_writev(int fd, const struct iovec *iov, int count)
{
	struct opening *opening = opening_of(fd);
	struct file *file = file_of(fd);
	size_t bytes = 0, at, left;
	int r = frozen ? -EIO : fault();

	if (r < 0)
		return r;
	if (!file)
		return -EBADF;
	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	left = r ? bytes / 2 : bytes; /* 1: only some of it */
	at = opening->flags & O_APPEND ? file->now.size : opening->offset;
	if (at + left > file->now.size)
		set_size(&file->now, at + left);
	bytes = left;
	for (int i = 0; i < count && left; i++) {
		size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

		if (part)
			memcpy(file->now.bytes + at, iov[i].iov_base, part);
		at += part;
		left -= part;
	}
	opening->offset = at;
	file->written_ns = vs.wall_ns;
	return bytes ? (ssize_t)bytes : -ENOSPC;
}

static ssize_t disk_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	struct file *file = file_of(fd);

	if (!file)
		return -EBADF;
	if (offset >= file->now.size)
		return 0;
	if (bytes > file->now.size - offset)
		bytes = file->now.size - offset;
	memcpy(buffer, file->now.bytes + offset, bytes);
	return (ssize_t)bytes;
}

static int disk_fdatasync(int fd)
{
	struct file *file = file_of(fd);
	int r = frozen ? -EIO : fault();

	if (r < 0)
		return r;
	if (!file)
		return -EBADF;
	copy(&file->synced, &file->now);
	return 0;
}

static int disk_fsync(int fd)
{
	struct opening *opening = opening_of(fd);
	int r = frozen ? -EIO : fault();

	if (r < 0)
		return r;
	if (!opening)
		return -EBADF;
	if (opening->file != DIRECTORY)
		return disk_fdatasync(fd);
	for (int i = 0; i < FILES; i++)
		memcpy(files[i].durable, files[i].name, NAME);
	return 0;
}

static int disk_ftruncate(int fd, uint64_t bytes)
{
	struct file *file = file_of(fd);
	int r = frozen ? -EIO : fault();

	if (r < 0)
		return r;
	if (!file)
		return -EBADF;
	prop_step("      truncate %s from %zu to %llu", file->name, file->now.size,
	          (unsigned long long)bytes);
	set_size(&file->now, bytes);
	return 0;
}

static int disk_fstat(int fd, struct stat *ret)
{
	struct file *file = file_of(fd);
	int r = fault();

	if (r < 0)
		return r;
	if (!file)
		return -EBADF;
	memset(ret, 0, sizeof(*ret));
	ret->st_mode = S_IFREG | 0600;
	ret->st_nlink = 1;
	ret->st_size = (off_t)file->now.size;
	ret->st_mtim.tv_sec = (time_t)(file->written_ns / 1000000000u);
	ret->st_mtim.tv_nsec = (long)(file->written_ns % 1000000000u);
	return 0;
}

static int disk_unlinkat(int dir_fd, const char *path)
{
	int r = frozen ? -EIO : fault(), file = find(path);

	(void)dir_fd;
	if (r < 0)
		return r;
	if (file < 0)
		return -ENOENT;
	prop_step("      unlink %s", path);
	files[file].name[0] = 0;
	sweep();
	return 0;
}

static int disk_rename(int dir_fd, const char *from, const char *to)
{
	int r = frozen ? -EIO : fault(), file = find(from);

	(void)dir_fd;
	if (r < 0)
		return r;
	if (file < 0)
		return -ENOENT;
	if (find(to) >= 0)
		return -EEXIST;
	prop_step("      rename %s to %s", from, to);
	snprintf(files[file].name, NAME, "%s", to);
	return 0;
}

static int disk_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	int r = fault();

	(void)dir_fd, (void)path, (void)mode;
	if (r < 0)
		return r;
	if (made)
		return -EEXIST;
	made = 1;
	return 0;
}

static int disk_lock(int fd, int on)
{
	struct file *file = file_of(fd);
	int r = fault();

	if (r < 0)
		return r;
	if (!file)
		return -EBADF;
	if (on && file->locked && file->locked != fd + 1)
		return -EBUSY;
	file->locked = on ? fd + 1 : 0;
	return 0;
}

static ssize_t disk_list(int dir_fd, void *buffer, size_t bytes)
{
	struct opening *opening = opening_of(dir_fd);
	uint8_t *to = buffer;
	size_t used = 0;
	int r = fault();

	if (r < 0)
		return r;
	if (!opening || opening->file != DIRECTORY)
		return -ENOTDIR;
	for (; opening->entry < FILES; opening->entry++) {
		struct file *file = &files[opening->entry];
		struct dirent64 entry = { .d_type = DT_REG };
		size_t length = (offsetof(struct dirent64, d_name) + NAME + 7) & ~(size_t)7;

		if (!file->used || !file->name[0])
			continue;
		if (used + length > bytes)
			break;
		entry.d_reclen = (unsigned short)length;
		memcpy(entry.d_name, file->name, NAME);
		memcpy(to + used, &entry, length);
		used += length;
	}
	return (ssize_t)used;
}

static int64_t disk_seek_data(int fd, uint64_t offset)
{
	struct file *file = file_of(fd);

	if (!file)
		return -EBADF;
	return offset < file->now.size ? (int64_t)offset : -ENXIO;
}

/* Each engine life has a uuid of its own. */
static uint64_t disk_random(void)
{
	return prop_random(&numbers);
}

const struct virtual_time wr_sys = {
	.now = sys_now,
	.wall = sys_wall,
	.random = disk_random,
	.timer_open = sys_timer_open,
	.timer_set = sys_timer_set,
	.event_open = sys_event_open,
	.event_write = sys_event_write,
	.poll_open = sys_poll_open,
	.poll_ctl = sys_poll_ctl,
	.poll_wait = sys_poll_wait,
	.futex_wait = sys_futex_wait,
	.futex_wake = sys_futex_wake,
	.membarrier = sys_membarrier,
	.openat = disk_openat,
	.close = disk_close,
	.writev = disk_writev,
	.pread = disk_pread,
	.fdatasync = disk_fdatasync,
	.fsync = disk_fsync,
	.ftruncate = disk_ftruncate,
	.fstat = disk_fstat,
	.unlinkat = disk_unlinkat,
	.rename = disk_rename,
	.mkdirat = disk_mkdirat,
	.lock = disk_lock,
	.list = disk_list,
	.seek_data = disk_seek_data,
};
