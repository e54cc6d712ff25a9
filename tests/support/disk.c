/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c - see disk.h. */
#include "support/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FDS 256

struct disk disk;

static struct opened {
	int in_use, file, flags, locks;
	uint64_t offset; /* of a directory: entries that were passed */
} fds[FDS];

/* --- what is kept --- */

static void make_room(struct disk_trace *trace, int ops, uint32_t bytes)
{
	if (ops > trace->op_room) {
		trace->op_room = 2 * ops + 64;
		trace->op = realloc(trace->op, (size_t)trace->op_room * sizeof(*trace->op));
	}
	if (bytes > trace->arena_room) {
		trace->arena_room = 2 * bytes;
		trace->arena = realloc(trace->arena, trace->arena_room);
	}
	if ((ops && !trace->op) || (bytes && !trace->arena))
		disk_broken("no memory for what is done");
}

static struct disk_op *note(enum disk_kind kind, int dir, int file)
{
	static struct disk_op nowhere;
	struct disk_trace *trace = disk.trace;

	if (!trace || trace->keeps == DISK_KEEPS_BASE)
		return &nowhere;
	make_room(trace, trace->ops + 1, trace->used);
	trace->op[trace->ops] = (struct disk_op){
		.kind = (uint8_t)kind, .dir = dir, .file = file, .at = trace->used,
		.is_dir = disk.now.file[file].is_dir,
	};
	return &trace->op[trace->ops++];
}

static void note_names(enum disk_kind kind, int dir, int file, const char *from, const char *to)
{
	struct disk_op *op = note(kind, dir, file);

	snprintf(op->from, sizeof(op->from), "%s", from);
	snprintf(op->to, sizeof(op->to), "%s", to);
}

static void note_bytes(const void *bytes, uint32_t count)
{
	struct disk_trace *trace = disk.trace;

	if (!trace || trace->keeps == DISK_KEEPS_BASE || !count)
		return;
	make_room(trace, trace->ops, trace->used + count);
	memcpy(trace->arena + trace->used, bytes, count);
	trace->used += count;
}

void disk_copy_trace(struct disk_trace *to, const struct disk_trace *from, int ops)
{
	make_room(to, ops, from->used);
	to->keeps = from->keeps;
	disk_copy(&to->base, &from->base);
	memcpy(to->op, from->op, (size_t)ops * sizeof(*to->op));
	to->ops = ops;
	if (from->used)
		memcpy(to->arena, from->arena, from->used);
	to->used = from->used;
}

int disk_syncs(const struct disk_op *op, int file)
{
	return op->kind != DISK_SYNC && (op->kind <= DISK_TRUNCATE ? op->file : op->dir) == file;
}

void disk_drop(struct disk_trace *trace, int file)
{
	int kept = 0;

	trace->used = 0;
	for (int i = 0; i < trace->ops; i++) {
		struct disk_op *op = &trace->op[i];

		if (disk_syncs(op, file))
			continue;
		if (op->kind == DISK_WRITE) {
			memmove(trace->arena + trace->used, trace->arena + op->at, op->bytes);
			op->at = trace->used;
			trace->used += op->bytes;
		}
		trace->op[kept++] = *op;
	}
	trace->ops = kept;
}

void disk_synced(int file, int failed)
{
	struct disk_trace *trace = disk.trace;

	if (trace && trace->keeps == DISK_KEEPS_ALL)
		note(DISK_SYNC, -1, file)->failed = (uint8_t)failed;
	if (!trace || trace->keeps == DISK_KEEPS_ALL || failed)
		return;
	if (disk.now.file[file].is_dir)
		disk_copy_names(&trace->base, &disk.now, file);
	else
		disk_copy_file(&trace->base.file[file], &disk.now.file[file]);
	disk_drop(trace, file);
}

static int new_file(int is_dir)
{
	int file = disk_new_file(&disk.now, is_dir);
	struct disk_trace *trace = disk.trace;

	disk.now.file[file].written_ns = disk.clock ? *disk.clock : 0;
	if (trace && trace->keeps != DISK_KEEPS_ALL) {
		trace->base.files = disk.now.files;
		disk_copy_file(&trace->base.file[file], &disk.now.file[file]);
	}
	return file;
}

int disk_create(int dir, const char *name, int is_dir)
{
	int file = new_file(is_dir);

	disk_link(&disk.now, dir, name, file);
	note_names(DISK_LINK, dir, file, "", name);
	return file;
}

static int is_open(int file)
{
	for (int i = 0; i < FDS; i++)
		if (fds[i].in_use && fds[i].file == file)
			return 1;
	return 0;
}

void disk_sweep(void)
{
	for (int i = 1; i < disk.now.files; i++)
		if (disk.now.file[i].in_use && !disk_name_of(&disk.now, i) && !is_open(i) &&
		    !(disk.trace && disk_name_of(&disk.trace->base, i)))
			disk.now.file[i].in_use = 0;
}

/* Where no operation may still bring it back. */
static void sweep_now(void)
{
	if (!disk.trace || disk.trace->keeps == DISK_KEEPS_BASE)
		disk_sweep();
}

/* --- what is open --- */

void disk_let_go(void)
{
	memset(fds, 0, sizeof(fds));
	sweep_now();
}

void disk_boot(struct disk_trace *trace, const struct disk_image *image)
{
	memset(fds, 0, sizeof(fds));
	disk.trace = trace;
	if (image)
		disk_copy(&disk.now, image);
	else
		disk_empty(&disk.now);
	if (trace) {
		trace->ops = 0;
		trace->used = 0;
		disk_copy(&trace->base, &disk.now);
	}
}

int disk_open_count(void)
{
	int n = 0;

	for (int i = 0; i < FDS; i++)
		n += fds[i].in_use;
	return n;
}

int disk_owns(int fd)
{
	return fd >= DISK_FIRST_FD && fd < DISK_FIRST_FD + FDS && fds[fd - DISK_FIRST_FD].in_use;
}

int disk_is_locked(int file)
{
	for (int i = 0; i < FDS; i++)
		if (fds[i].in_use && fds[i].file == file && fds[i].locks)
			return 1;
	return 0;
}

static struct opened *opened_at(int fd)
{
	if (!disk_owns(fd))
		disk_broken("a descriptor that is not open");
	return &fds[fd - DISK_FIRST_FD];
}

static int dir_of(int dir_fd)
{
	int dir = dir_fd == AT_FDCWD ? 0 : opened_at(dir_fd)->file;

	if (!disk.now.file[dir].is_dir)
		disk_broken("a file in the place of a directory");
	return dir;
}

int disk_open_file(int file, int flags)
{
	for (int i = 0; i < FDS; i++) {
		if (fds[i].in_use)
			continue;
		fds[i] = (struct opened){ .in_use = 1, .file = file, .flags = flags };
		return DISK_FIRST_FD + i;
	}
	return -EMFILE;
}

/* --- calls --- */

static int decided(struct disk_ask *ask)
{
	return disk.decide ? disk.decide(ask) : 0;
}

static int decided_of_fd(enum disk_call call, int fd)
{
	return decided(&(struct disk_ask){ .call = call, .dir = -1, .file = opened_at(fd)->file });
}

static int decided_of_name(enum disk_call call, int dir, const char *name, const char *to)
{
	return decided(&(struct disk_ask){ .call = call, .dir = dir, .name = name, .to = to,
	                                   .file = disk_find(&disk.now, dir, name) });
}

int disk_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int dir = dir_of(dir_fd), file = disk_find(&disk.now, dir, path), r;
	struct disk_ask ask = { DISK_CALL_OPEN, dir, file, .name = path, .flags = flags };

	(void)mode;
	r = decided(&ask);
	if (r)
		return r;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return disk_open_file(new_file(0), flags);
	if (!strcmp(path, ".") || !strcmp(path, ".."))
		return disk_open_file(path[1] ? 0 : dir, flags);
	file = disk_find(&disk.now, dir, path);
	if (file < 0 && !(flags & O_CREAT))
		return -ENOENT;
	if (file >= 0 && flags & O_EXCL)
		return -EEXIST;
	if (file >= 0 && flags & O_DIRECTORY && !disk.now.file[file].is_dir)
		return -ENOTDIR;
	if (file >= 0 && disk.now.file[file].refuse)
		return disk.now.file[file].refuse;
	return disk_open_file(file < 0 ? disk_create(dir, path, 0) : file, flags);
}

int disk_close(int fd)
{
	struct opened *opened = opened_at(fd);
	int r = decided_of_fd(DISK_CALL_CLOSE, fd);

	opened->in_use = 0;
	if (!disk_name_of(&disk.now, opened->file))
		sweep_now();
	return r;
}

ssize_t disk_writev(int fd, const struct iovec *iov, int count)
{
	struct opened *opened = opened_at(fd);
	struct disk_file *file = &disk.now.file[opened->file];
	struct disk_ask ask = { DISK_CALL_WRITE, -1, opened->file, .iov = iov, .count = count };
	uint32_t offset, done = 0;
	struct disk_op *op;
	int r;

	for (int i = 0; i < count; i++)
		ask.bytes += iov[i].iov_len;
	ask.offset = opened->flags & O_APPEND ? file->size : opened->offset;
	r = decided(&ask);
	if (r)
		return r;
	if ((opened->flags & O_ACCMODE) == O_RDONLY || file->is_dir)
		return -EBADF;
	offset = opened->flags & O_APPEND ? file->size : (uint32_t)opened->offset;
	op = note(DISK_WRITE, -1, opened->file);
	op->offset = offset;
	op->bytes = (uint32_t)ask.bytes;
	for (; done < ask.bytes; iov++) {
		uint32_t left = (uint32_t)ask.bytes - done;
		uint32_t n = iov->iov_len < left ? (uint32_t)iov->iov_len : left;

		disk_put(file, offset + done, iov->iov_base, n);
		note_bytes(iov->iov_base, n);
		done += n;
	}
	file->written_ns = disk.clock ? *disk.clock : 0;
	opened->offset = offset + done;
	return done;
}

ssize_t disk_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	const struct disk_file *file = &disk.now.file[opened_at(fd)->file];
	uint64_t left = offset < file->size ? file->size - offset : 0;
	struct disk_ask ask = { DISK_CALL_READ, -1, opened_at(fd)->file, .offset = offset,
		                .bytes = bytes < left ? bytes : left };
	int r = decided(&ask);

	if (r)
		return r;
	left = offset < file->size ? file->size - offset : 0;
	if (ask.bytes > left)
		ask.bytes = left;
	if (ask.bytes)
		memcpy(buffer, file->data + offset, ask.bytes);
	return (ssize_t)ask.bytes;
}

static int sync_it(int fd, enum disk_call call)
{
	int r = decided_of_fd(call, fd);

	if (!r)
		disk_synced(opened_at(fd)->file, 0);
	return r;
}

int disk_fdatasync(int fd)
{
	return sync_it(fd, DISK_CALL_SYNC);
}

int disk_fsync(int fd)
{
	return sync_it(fd, DISK_CALL_SYNC_DIR);
}

int disk_ftruncate(int fd, uint64_t bytes)
{
	int file = opened_at(fd)->file, r = decided_of_fd(DISK_CALL_TRUNCATE, fd);

	if (r)
		return r;
	note(DISK_TRUNCATE, -1, file)->bytes = (uint32_t)bytes;
	disk_resize(&disk.now.file[file], (uint32_t)bytes);
	return 0;
}

int disk_fstat(int fd, struct stat *ret)
{
	int at = opened_at(fd)->file, r = decided_of_fd(DISK_CALL_STAT, fd);
	const struct disk_file *file = &disk.now.file[at];

	if (r)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->st_mode = file->is_dir ? S_IFDIR | 0700 : file->is_odd ? S_IFIFO | 0600 : S_IFREG | 0600;
	ret->st_nlink = file->links;
	ret->st_size = (off_t)file->size;
	ret->st_mtim.tv_sec = (time_t)(file->written_ns / 1000000000u);
	ret->st_mtim.tv_nsec = (long)(file->written_ns % 1000000000u);
	for (int i = 0; i < disk.now.names; i++)
		ret->st_nlink += disk.now.name[i].file == at;
	return 0;
}

int disk_unlinkat(int dir_fd, const char *path)
{
	int dir = dir_of(dir_fd), r = decided_of_name(DISK_CALL_UNLINK, dir, path, NULL);
	int file = disk_find(&disk.now, dir, path);

	if (r || file < 0)
		return r ? r : -ENOENT;
	note_names(DISK_UNLINK, dir, file, path, "");
	disk_unlink(&disk.now, dir, path);
	sweep_now();
	return 0;
}

int disk_rename(int dir_fd, const char *from, const char *to)
{
	int dir = dir_of(dir_fd), r = decided_of_name(DISK_CALL_RENAME, dir, from, to);
	int file = disk_find(&disk.now, dir, from);

	if (r || file < 0)
		return r ? r : -ENOENT;
	if (disk_find(&disk.now, dir, to) >= 0)
		return -EEXIST;
	note_names(DISK_RENAME, dir, file, from, to);
	disk_unlink(&disk.now, dir, from);
	disk_link(&disk.now, dir, to, file);
	return 0;
}

int disk_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	int dir = dir_of(dir_fd), r = decided_of_name(DISK_CALL_MKDIR, dir, path, NULL);

	(void)mode;
	if (r)
		return r;
	if (disk_find(&disk.now, dir, path) >= 0)
		return -EEXIST;
	(void)disk_create(dir, path, 1);
	return 0;
}

int disk_lock(int fd, int on)
{
	struct opened *opened = opened_at(fd);
	struct disk_ask ask = { DISK_CALL_LOCK, -1, opened->file, .flags = on };
	int r = decided(&ask);

	if (r)
		return r;
	if (on && !opened->locks && disk_is_locked(opened->file))
		return -EBUSY;
	opened->locks = on;
	return 0;
}

/* The name of an entry, or NULL. From the last to the first: nobody may rely on an order. */
static const char *entry_of(int dir, uint64_t i, int *ret_file)
{
	const struct disk_name *name;

	*ret_file = dir;
	if (i < 2)
		return disk.dots ? i ? ".." : "." : NULL;
	name = &disk.now.name[disk.now.names - 1 - (int)(i - 2)];
	*ret_file = name->file;
	return name->file >= 0 && name->dir == dir ? name->name : NULL;
}

ssize_t disk_list(int dir_fd, void *buffer, size_t bytes)
{
	struct opened *opened = opened_at(dir_fd);
	int r = decided_of_fd(DISK_CALL_LIST, dir_fd);
	size_t used = 0;

	if (r)
		return r;
	if (!disk.now.file[opened->file].is_dir)
		return -ENOTDIR;
	for (; opened->offset < (uint64_t)disk.now.names + 2; opened->offset++) {
		struct dirent64 *entry = (void *)((char *)buffer + used);
		int file;
		const char *name = entry_of(opened->file, opened->offset, &file);
		size_t length = name ? strlen(name) + 1 : 0;
		size_t need = (offsetof(struct dirent64, d_name) + length + 7) & ~(size_t)7;

		if (!name)
			continue;
		if (used + need > bytes || (disk.crowded && used))
			break;
		memset(entry, 0, need);
		entry->d_ino = (uint64_t)file;
		entry->d_type = DT_UNKNOWN;
		entry->d_reclen = (unsigned short)need;
		memcpy(entry->d_name, name, length);
		used += need;
	}
	return (ssize_t)used;
}

int64_t disk_seek_data(int fd, uint64_t offset)
{
	const struct disk_file *file = &disk.now.file[opened_at(fd)->file];
	int r = decided_of_fd(DISK_CALL_SEEK, fd);

	if (r)
		return r;
	if (offset >= file->hole_from && offset < file->hole_to)
		offset = file->hole_to;
	return offset < file->size ? (int64_t)offset : -ENXIO;
}
