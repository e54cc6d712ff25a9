/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

#define FDS 32
#define FD_BASE 100

struct disk disk;

static struct {
	int file; /* -1: closed */
	int flags;
	uint64_t offset;
	int locks;
} fds[FDS];
static int locked[DISK_FILES];

static _Noreturn void broken(const char *what)
{
	printf("Bail out! the disk of the test: %s\n", what);
	fflush(stdout);
	abort();
}

void disk_copy(struct disk_image *to, const struct disk_image *from)
{
	to->names = from->names;
	to->files = from->files;
	memcpy(to->name, from->name, (size_t)from->names * sizeof(from->name[0]));
	for (int i = 0; i < from->files; i++) {
		const struct disk_file *file = &from->file[i];

		to->file[i].size = file->size;
		to->file[i].in_use = file->in_use;
		to->file[i].is_dir = file->is_dir;
		memcpy(to->file[i].data, file->data, file->size);
	}
}

void disk_empty(struct disk_image *image)
{
	image->names = 0;
	image->files = 1;
	image->file[0].size = 0;
	image->file[0].in_use = image->file[0].is_dir = 1;
}

static struct disk_name *name_in(struct disk_image *image, int dir, const char *name)
{
	for (int i = 0; i < image->names; i++)
		if (image->name[i].file >= 0 && image->name[i].dir == dir &&
		    !strcmp(image->name[i].name, name))
			return &image->name[i];
	return NULL;
}

int disk_find(const struct disk_image *image, const char *name)
{
	struct disk_image *seen = (struct disk_image *)(uintptr_t)image;
	const struct disk_name *dir = name_in(seen, 0, "log");
	const struct disk_name *found = dir ? name_in(seen, dir->file, name) : NULL;

	return found ? found->file : -1;
}

static void link_name(struct disk_image *image, int dir, const char *name, int file)
{
	struct disk_name *at = name_in(image, dir, name);

	if (!at) {
		for (int i = 0; i < image->names && !at; i++)
			if (image->name[i].file < 0)
				at = &image->name[i];
		if (!at && image->names == DISK_NAMES)
			broken("too many names");
		if (!at)
			at = &image->name[image->names++];
	}
	at->dir = (int16_t)dir;
	at->file = (int16_t)file;
	snprintf(at->name, sizeof(at->name), "%s", name);
}

static void unlink_name(struct disk_image *image, int dir, const char *name)
{
	struct disk_name *at = name_in(image, dir, name);

	if (at)
		at->file = -1;
}

static int new_file(struct disk_image *image, int is_dir)
{
	struct disk_file *file;

	if (image->files == DISK_FILES)
		broken("too many files");
	file = &image->file[image->files];
	file->size = 0;
	file->in_use = 1;
	file->is_dir = (uint8_t)is_dir;
	return image->files++;
}

static void resize(struct disk_file *file, uint32_t size)
{
	if (size > DISK_FILE_MAX)
		broken("too large a file");
	if (size > file->size)
		memset(file->data + file->size, 0, size - file->size);
	file->size = size;
}

static void put(struct disk_file *file, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
	if (offset + count > file->size)
		resize(file, offset + count);
	memcpy(file->data + offset, bytes, count);
}

/* Files and names that are of no use are left out, so that equal states have equal sums. */
uint64_t disk_hash(const struct disk_image *image)
{
	uint64_t sum = 0;

	for (int i = 0; i < image->names; i++) {
		const struct disk_name *name = &image->name[i];
		const struct disk_file *file;
		uint64_t h = UINT64_C(0xcbf29ce484222325);

		if (name->file < 0)
			continue;
		file = &image->file[name->file];
		for (const char *c = name->name; *c; c++)
			h = (h ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
		h = (h ^ (uint64_t)file->size) * UINT64_C(0x9e3779b97f4a7c15);
		for (uint32_t at = 0; at < file->size; at += 8) {
			uint64_t word = 0;

			memcpy(&word, file->data + at, file->size - at < 8 ? file->size - at : 8);
			h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
			h ^= h >> 29;
		}
		sum += h ^ h >> 32;
	}
	return sum;
}

/* --- what a cut leaves --- */

static int syncs(const struct disk_op *sync, const struct disk_op *op)
{
	if (sync->file >= 0)
		return op->kind <= DISK_TRUNCATE && op->file == sync->file;
	return op->kind >= DISK_LINK && op->kind <= DISK_RENAME && op->dir == sync->dir;
}

static int is_reached(const struct disk_trace *trace, int ops, int file)
{
	for (int i = 0; i < trace->base.names; i++)
		if (trace->base.name[i].file == file)
			return 1;
	for (int i = 0; i < ops; i++)
		if ((trace->op[i].kind == DISK_LINK || trace->op[i].kind == DISK_RENAME) &&
		    trace->op[i].file == file)
			return 1;
	return 0;
}

static void add_unit(struct disk_cut *cut, int op, uint32_t from, uint32_t bytes)
{
	if (cut->units < DISK_UNITS)
		cut->unit[cut->units++] = (struct disk_unit){ op, from, bytes };
}

static void add_units(struct disk_cut *cut, int i)
{
	const struct disk_op *op = &cut->trace->op[i];
	uint32_t bytes = op->bytes, from = 0;

	if (op->kind == DISK_RENAME) {
		add_unit(cut, i, 0, 0);
		add_unit(cut, i, 1, 0);
		return;
	}
	if (op->kind != DISK_WRITE) {
		add_unit(cut, i, 0, 0);
		return;
	}
	while (from < bytes) {
		uint32_t sector = (op->offset + from) / DISK_SECTOR + 1;
		uint32_t end = sector * DISK_SECTOR - op->offset;

		end = end < bytes ? end : bytes;
		add_unit(cut, i, from, end - from);
		from = end;
	}
}

void disk_cut_at(struct disk_cut *cut, const struct disk_trace *trace, int ops)
{
	uint8_t lost[DISK_OPS] = { 0 };

	*cut = (struct disk_cut){ .trace = trace, .ops = ops, .torn = -1 };
	for (int i = 0; i < ops; i++) {
		const struct disk_op *op = &trace->op[i];

		cut->durable[i] = op->kind == DISK_SYNC;
		if (op->kind != DISK_SYNC)
			continue;
		for (int k = 0; k < i; k++) {
			if (cut->durable[k] || lost[k] || !syncs(op, &trace->op[k]))
				continue;
			if (op->failed && op->dir != 0)
				lost[k] = 1;
			else if (op->failed)
				continue; /* the root has no second chance: see disk.h */
			else
				cut->durable[k] = 1;
		}
	}
	for (int i = 0; i < ops; i++) {
		const struct disk_op *op = &trace->op[i];

		if (cut->durable[i] ||
		    (op->kind <= DISK_TRUNCATE && !is_reached(trace, ops, op->file)))
			continue;
		cut->pending++;
		cut->grows |= op->kind == DISK_WRITE;
		add_units(cut, i);
	}
}

/* A file of this log that held something else there, before it was removed. */
static const struct disk_file *stale_for(const struct disk_image *image, int file)
{
	const struct disk_file *found = NULL;

	for (int i = 1; i < image->files; i++)
		if (i != file && !image->file[i].is_dir &&
		    (!found || image->file[i].size >= found->size))
			found = &image->file[i];
	return found;
}

static int holes; /* something was filled, or could have been */

static void grow(struct disk_image *image, int i, uint32_t size, enum disk_fill fill)
{
	struct disk_file *file = &image->file[i];
	uint32_t from = file->size;

	if (size <= from)
		return;
	holes = 1;
	resize(file, size);
	if (fill != DISK_STALE)
		return;
	const struct disk_file *stale = stale_for(image, i);

	for (uint32_t at = from; at < size; at++)
			file->data[at] = stale && at < stale->size ? stale->data[at] : 0xa5;
}

static int is_there(const struct disk_cut *cut, uint64_t mask, int op, uint32_t from)
{
	if (cut->durable[op])
		return 1;
	for (int i = 0; i < cut->units; i++)
		if (cut->unit[i].op == op && cut->unit[i].from == from)
			return (int)(mask >> i & 1);
	return 0;
}

static void replay_name(const struct disk_cut *cut, uint64_t mask, int i, struct disk_image *ret)
{
	const struct disk_op *op = &cut->trace->op[i];

	if (op->kind == DISK_LINK && is_there(cut, mask, i, 0))
		link_name(ret, op->dir, op->name, op->file);
	if (op->kind == DISK_UNLINK && is_there(cut, mask, i, 0))
		unlink_name(ret, op->dir, op->name);
	if (op->kind == DISK_RENAME && is_there(cut, mask, i, 0))
		unlink_name(ret, op->dir, op->name);
	if (op->kind == DISK_RENAME && is_there(cut, mask, i, 1))
		link_name(ret, op->dir, op->to, op->file);
}

static void replay_write(const struct disk_cut *cut, uint64_t mask, int i, enum disk_fill fill,
                         struct disk_image *ret)
{
	const struct disk_op *op = &cut->trace->op[i];
	const uint8_t *bytes = cut->trace->arena + op->at;
	uint32_t count = op->bytes;

	if (i == cut->ops - 1 && cut->torn >= 0)
		count = (uint32_t)cut->torn;
	if (cut->durable[i]) {
		grow(ret, op->file, op->offset, fill);
		put(&ret->file[op->file], op->offset, bytes, count);
		return;
	}
	for (int u = 0; u < cut->units; u++) {
		uint32_t from = cut->unit[u].from, n = cut->unit[u].bytes;

		if (cut->unit[u].op != i || !(mask >> u & 1) || from >= count)
			continue;
		n = from + n > count ? count - from : n;
		grow(ret, op->file, op->offset + from, fill);
		put(&ret->file[op->file], op->offset + from, bytes + from, n);
	}
}

/* Files made since come as empty ones. */
static void make_files(const struct disk_cut *cut, struct disk_image *ret)
{
	for (int i = 0; i < cut->ops; i++) {
		const struct disk_op *op = &cut->trace->op[i];

		if (op->file < ret->files)
			continue;
		for (int n = ret->files; n <= op->file; n++) {
			ret->file[n].size = 0;
			ret->file[n].in_use = 1;
			ret->file[n].is_dir = 0;
		}
		ret->files = op->file + 1;
		ret->file[op->file].is_dir = op->kind == DISK_LINK && op->bytes;
	}
}

int disk_state(const struct disk_cut *cut, uint64_t mask, enum disk_fill fill,
               struct disk_image *ret)
{
	uint32_t length[DISK_FILES];

	holes = 0;
	disk_copy(ret, &cut->trace->base);
	make_files(cut, ret);
	for (int i = 0; i < ret->files; i++)
		length[i] = ret->file[i].size;
	for (int i = 0; i < cut->ops; i++) {
		const struct disk_op *op = &cut->trace->op[i];

		if (op->kind == DISK_WRITE) {
			if (length[op->file] < op->offset + op->bytes)
				length[op->file] = op->offset + op->bytes;
			replay_write(cut, mask, i, fill, ret);
		} else if (op->kind == DISK_TRUNCATE) {
			length[op->file] = op->bytes;
			if (is_there(cut, mask, i, 0))
				resize(&ret->file[op->file], op->bytes);
		} else {
			replay_name(cut, mask, i, ret);
		}
	}
	for (int i = 0; i < ret->files; i++) {
		if (fill != DISK_SHORT)
			grow(ret, i, length[i], fill);
		holes |= ret->file[i].size < length[i];
	}
	return holes;
}

/* --- the machine --- */

static void close_all(void)
{
	for (int i = 0; i < FDS; i++)
		fds[i].file = -1;
	memset(locked, 0, sizeof(locked));
	memset(disk.called, 0, sizeof(disk.called));
}

int disk_open_count(void)
{
	int n = 0;

	for (int i = 0; i < FDS; i++)
		n += fds[i].file >= 0;
	return n;
}

void disk_boot(struct disk_trace *trace, const struct disk_image *image)
{
	close_all();
	disk.trace = trace;
	if (trace) {
		trace->ops = 0;
		trace->used = 0;
		disk_copy(&trace->base, image);
	}
	disk_copy(&disk.now, image);
}

void disk_respawn(struct disk_trace *trace)
{
	struct disk_cut cut;

	close_all();
	disk.trace = trace;
	disk_cut_at(&cut, trace, trace->ops);
	memset(cut.durable, 1, sizeof(cut.durable));
	disk_state(&cut, 0, DISK_SHORT, &disk.now);
}

static struct disk_op *record(enum disk_kind kind, int dir, int file)
{
	static struct disk_op nowhere;
	struct disk_op *op;

	if (!disk.trace)
		return &nowhere;
	if (disk.trace->ops == DISK_OPS)
		broken("too many operations");
	op = &disk.trace->op[disk.trace->ops++];
	*op = (struct disk_op){ .kind = (uint8_t)kind, .dir = (int16_t)dir, .file = (int16_t)file };
	return op;
}

/* 1: this call is to fail, as *ret says. */
static int fails(enum disk_call call, struct disk_fault *ret)
{
	uint32_t n = ++disk.called[call];

	for (int i = 0; i < DISK_FAULTS; i++) {
		const struct disk_fault *fault = &disk.fault[i];

		if (fault->first && fault->call == call && n >= fault->first && n <= fault->last) {
			if (disk.hit_at < 0 && disk.trace)
				disk.hit_at = disk.trace->ops;
			*ret = *fault;
			return 1;
		}
	}
	return 0;
}

static int slot_of(int fd)
{
	if (fd < FD_BASE || fd >= FD_BASE + FDS || fds[fd - FD_BASE].file < 0)
		broken("a descriptor that is not open");
	return fd - FD_BASE;
}

static int dir_of(int dir_fd)
{
	return dir_fd == AT_FDCWD ? 0 : fds[slot_of(dir_fd)].file;
}

static int open_file(int file, int flags)
{
	for (int i = 0; i < FDS; i++) {
		if (fds[i].file >= 0)
			continue;
		fds[i].file = file;
		fds[i].flags = flags;
		fds[i].offset = 0;
		fds[i].locks = 0;
		return FD_BASE + i;
	}
	broken("too many descriptors");
}

static int disk_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int dir = dir_of(dir_fd), file;
	struct disk_fault fault;
	struct disk_name *name;
	struct disk_op *op;

	(void)mode;
	if (fails(DISK_CALL_OPEN, &fault))
		return fault.error;
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		file = disk.now.files - 1; /* nobody will look at it */
		return open_file(file, flags);
	}
	if (!strcmp(path, "."))
		return open_file(dir, flags);
	if (!strcmp(path, ".."))
		return open_file(0, flags);
	name = name_in(&disk.now, dir, path);
	if (name && (flags & O_EXCL))
		return -EEXIST;
	if (name && (flags & O_DIRECTORY) && !disk.now.file[name->file].is_dir)
		return -ENOTDIR;
	if (name)
		return open_file(name->file, flags);
	if (!(flags & O_CREAT))
		return -ENOENT;
	file = new_file(&disk.now, 0);
	link_name(&disk.now, dir, path, file);
	op = record(DISK_LINK, dir, file);
	snprintf(op->name, sizeof(op->name), "%s", path);
	return open_file(file, flags);
}

static int disk_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	int dir = dir_of(dir_fd), file;
	struct disk_fault fault;
	struct disk_op *op;

	(void)mode;
	if (fails(DISK_CALL_MKDIR, &fault))
		return fault.error;
	if (name_in(&disk.now, dir, path))
		return -EEXIST;
	file = new_file(&disk.now, 1);
	link_name(&disk.now, dir, path, file);
	op = record(DISK_LINK, dir, file);
	op->bytes = 1;
	snprintf(op->name, sizeof(op->name), "%s", path);
	return 0;
}

static int disk_close(int fd)
{
	int slot = slot_of(fd);

	locked[fds[slot].file] -= fds[slot].locks;
	fds[slot].file = -1;
	return 0;
}

static ssize_t disk_writev(int fd, const struct iovec *iov, int count)
{
	int slot = slot_of(fd), file = fds[slot].file;
	struct disk_fault fault = { .partly = UINT32_MAX };
	int failed = fails(DISK_CALL_WRITE, &fault);
	uint32_t offset, bytes = 0;
	struct disk_op *op;

	if (failed && !fault.partly)
		return fault.error;
	if ((fds[slot].flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	offset = fds[slot].flags & O_APPEND ? disk.now.file[file].size
	                                    : (uint32_t)fds[slot].offset;
	op = record(DISK_WRITE, -1, file);
	op->offset = offset;
	op->at = disk.trace ? disk.trace->used : 0;
	for (int i = 0; i < count; i++) {
		uint32_t n = (uint32_t)iov[i].iov_len;

		n = n > fault.partly - bytes ? fault.partly - bytes : n;
		put(&disk.now.file[file], offset + bytes, iov[i].iov_base, n);
		if (disk.trace) {
			if (disk.trace->used + n > DISK_ARENA)
				broken("too much data");
			memcpy(disk.trace->arena + disk.trace->used, iov[i].iov_base, n);
			disk.trace->used += n;
		}
		bytes += n;
	}
	op->bytes = bytes;
	fds[slot].offset = offset + bytes;
	/* What the kernel had written before it met the error is what it answers. */
	return bytes;
}

static ssize_t disk_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	const struct disk_file *file = &disk.now.file[fds[slot_of(fd)].file];
	struct disk_fault fault;
	size_t left;

	if (fails(DISK_CALL_READ, &fault))
		return fault.error;
	if (offset >= file->size)
		return 0;
	left = file->size - (size_t)offset;
	bytes = bytes < left ? bytes : left;
	memcpy(buffer, file->data + offset, bytes);
	return (ssize_t)bytes;
}

/* The pages that could not be written are dropped: what is read then is what the disk has. */
static void forget(int file)
{
	static struct disk_image image;
	struct disk_cut cut;
	uint32_t size = disk.now.file[file].size;

	disk_cut_at(&cut, disk.trace, disk.trace->ops);
	disk_state(&cut, 0, DISK_SHORT, &image);
	resize(&image.file[file], size);
	memcpy(disk.now.file[file].data, image.file[file].data, size);
}

static int sync_it(int fd, enum disk_call call)
{
	int slot = slot_of(fd), file = fds[slot].file, is_dir = disk.now.file[file].is_dir;
	struct disk_fault fault = { 0 };
	int failed = fails(call, &fault);
	struct disk_op *op;

	if (failed && fault.error == -EINTR)
		return fault.error;
	op = record(DISK_SYNC, is_dir ? file : -1, is_dir ? -1 : file);
	op->failed = (uint8_t)failed;
	if (failed && disk.forgets && !is_dir && disk.trace)
		forget(file);
	return failed ? fault.error : 0;
}

static int disk_fdatasync(int fd)
{
	return sync_it(fd, DISK_CALL_SYNC);
}

static int disk_fsync(int fd)
{
	return sync_it(fd, DISK_CALL_SYNC_DIR);
}

static int disk_ftruncate(int fd, uint64_t bytes)
{
	int file = fds[slot_of(fd)].file;
	struct disk_fault fault;
	struct disk_op *op;

	if (fails(DISK_CALL_TRUNCATE, &fault))
		return fault.error;
	op = record(DISK_TRUNCATE, -1, file);
	op->bytes = (uint32_t)bytes;
	resize(&disk.now.file[file], (uint32_t)bytes);
	return 0;
}

static int disk_fstat(int fd, struct stat *ret)
{
	int file = fds[slot_of(fd)].file;
	struct disk_fault fault;

	if (fails(DISK_CALL_STAT, &fault))
		return fault.error;
	memset(ret, 0, sizeof(*ret));
	ret->st_mode = disk.now.file[file].is_dir ? S_IFDIR | 0700 : S_IFREG | 0600;
	ret->st_size = disk.now.file[file].size;
	ret->st_mtim.tv_sec = (time_t)(disk.wall_ns / 1000000000u);
	for (int i = 0; i < disk.now.names; i++)
		ret->st_nlink += disk.now.name[i].file == file;
	return 0;
}

static int disk_unlinkat(int dir_fd, const char *path)
{
	int dir = dir_of(dir_fd);
	struct disk_name *name = name_in(&disk.now, dir, path);
	struct disk_fault fault;
	struct disk_op *op;

	if (fails(DISK_CALL_UNLINK, &fault))
		return fault.error;
	if (!name)
		return -ENOENT;
	if (disk.on_gone)
		disk.on_gone(name->file, path);
	op = record(DISK_UNLINK, dir, name->file);
	snprintf(op->name, sizeof(op->name), "%s", path);
	name->file = -1;
	return 0;
}

static int disk_rename(int dir_fd, const char *from, const char *to)
{
	int dir = dir_of(dir_fd), file;
	struct disk_name *name = name_in(&disk.now, dir, from);
	struct disk_fault fault;
	struct disk_op *op;

	if (fails(DISK_CALL_RENAME, &fault))
		return fault.error;
	if (!name)
		return -ENOENT;
	if (name_in(&disk.now, dir, to))
		return -EEXIST;
	if (disk.on_gone)
		disk.on_gone(name->file, from);
	file = name->file;
	op = record(DISK_RENAME, dir, file);
	snprintf(op->name, sizeof(op->name), "%s", from);
	snprintf(op->to, sizeof(op->to), "%s", to);
	name->file = -1;
	link_name(&disk.now, dir, to, file);
	return 0;
}

static int disk_lock(int fd, int on)
{
	int slot = slot_of(fd), file = fds[slot].file;
	struct disk_fault fault;

	if (fails(DISK_CALL_LOCK, &fault))
		return fault.error;
	if (!on) {
		locked[file] -= fds[slot].locks;
		fds[slot].locks = 0;
	} else if (locked[file]) {
		return -EBUSY;
	} else {
		locked[file] = fds[slot].locks = 1;
	}
	return 0;
}

static ssize_t disk_list(int dir_fd, void *buffer, size_t bytes)
{
	int slot = slot_of(dir_fd), dir = fds[slot].file;
	struct disk_fault fault;
	size_t used = 0;

	if (fails(DISK_CALL_LIST, &fault))
		return fault.error;
	/* From the last to the first: nobody may rely on an order. */
	for (int i = disk.now.names - 1 - (int)fds[slot].offset; i >= 0; i--) {
		struct dirent64 *entry = (void *)((char *)buffer + used);

		if (used + sizeof(*entry) > bytes)
			break;
		fds[slot].offset++;
		if (disk.now.name[i].file < 0 || disk.now.name[i].dir != dir)
			continue;
		entry->d_ino = (uint64_t)disk.now.name[i].file;
		entry->d_type = DT_UNKNOWN;
		entry->d_reclen = (sizeof(*entry) - sizeof(entry->d_name) + DISK_NAME_BYTES + 7) & ~7u;
		memcpy(entry->d_name, disk.now.name[i].name, DISK_NAME_BYTES);
		used += entry->d_reclen;
	}
	return (ssize_t)used;
}

static int64_t disk_seek_data(int fd, uint64_t offset)
{
	return offset >= disk.now.file[fds[slot_of(fd)].file].size ? -ENXIO : (int64_t)offset;
}

static uint64_t disk_now(void)
{
	return disk.now_ns += 1000;
}

static uint64_t disk_wall(void)
{
	return disk.wall_ns += 1000;
}

static uint64_t disk_random(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + 1;
	return state >> 11;
}

const struct wr_sys wr_sys = {
	.now = disk_now,
	.wall = disk_wall,
	.random = disk_random,
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
