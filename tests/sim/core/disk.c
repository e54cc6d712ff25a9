/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - one directory of files in memory: what the page cache holds, and what would survive.
 *
 * Every file has its bytes as they can be read, its bytes on the disk, and the writes and truncates
 * in between, in order. fdatasync() moves the latter over; a failed one loses them for good, and the
 * next answers 0. The directory has names likewise, and its fsync(). A power cut keeps of what lies
 * in between nothing, a beginning, or some sectors of some writes, as the seed says; of the names,
 * any that do not depend on a lost one.
 *
 * A fault is hit when the next call on the same file is the one that the engine's branch for it
 * makes: the rest of a short write, the truncate after a failed one, the pread of a rescue.
 */
#include "sim/core/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 200000
#define FDS 64
#define INODES 4096
#define NAMES 2048
#define SECTOR 512u
#define ROOT 1
#define DIR_LOG 2

struct op {
	int truncate;
	uint64_t offset, bytes;
	uint8_t *data;
};

struct bytes {
	uint8_t *at;
	uint64_t size, room;
};

struct inode {
	int used;
	int failed; /* -errno that the next writev answers, after it wrote less */
	struct bytes now, disk;
	struct op *ops;
	uint32_t op_count, op_room;
	uint64_t written_ns;
	int locked;
	/* what the engine is to do next, if its branch for a fault runs */
	int expect; /* fault + 1; 0: nothing */
	uint64_t expect_bytes;
};

struct name {
	char text[40];
	uint32_t inode;
};

struct names {
	struct name at[NAMES];
	uint32_t count;
};

struct name_op {
	enum { LINK, UNLINK, RENAME } kind;
	char from[40], to[40];
	uint32_t inode;
};

struct open_file {
	uint32_t inode; /* 0: free; ROOT, DIR_LOG: a directory */
	int append;
	uint64_t offset, listed;
};

static struct open_file files[FDS];
static struct inode inodes[INODES];
static struct names names, durable;
static struct name_op name_ops[4 * NAMES];
static uint32_t name_op_count;
static int directory, directory_durable; /* it is there; its own entry is on the disk */
static struct rng rng;
static uint64_t newest, removed, ever; /* segment numbers: in the directory, ..., since the start */
static int lost_pages;
static char expect_name[40];
static int expect_name_fault; /* fault + 1: of a call that named a file */
struct disk_damage disk_damage;

/* In a process of its own: all else is zero. */
void disk_reset(uint64_t seed)
{
	rng = rng_of(seed, 1003);
}

uint64_t disk_newest(void)
{
	return newest;
}

uint64_t disk_removed(void)
{
	return removed;
}

int disk_lost_pages(void)
{
	return lost_pages;
}

static struct open_file *file_of(int fd)
{
	return fd >= FIRST && fd < FIRST + FDS && files[fd - FIRST].inode ? &files[fd - FIRST]
	                                                                  : NULL;
}

int disk_owns(int fd)
{
	return file_of(fd) != NULL;
}

static void put(struct bytes *to, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	uint64_t end = offset + bytes;

	if (end > to->room) {
		to->room = 2 * end;
		to->at = realloc(to->at, to->room);
		S_TRUE(to->at, "no memory for a simulated file");
	}
	if (offset > to->size)
		memset(to->at + to->size, 0, offset - to->size);
	if (bytes)
		memcpy(to->at + offset, data, bytes);
	if (end > to->size)
		to->size = end;
}

static void cut_to(struct bytes *to, uint64_t size)
{
	if (size > to->size)
		put(to, size, NULL, 0);
	to->size = size;
}

static struct op *add_op(struct inode *inode)
{
	if (inode->op_count == inode->op_room) {
		inode->op_room = inode->op_room ? 2 * inode->op_room : 16;
		inode->ops = realloc(inode->ops, inode->op_room * sizeof(*inode->ops));
		S_TRUE(inode->ops, "no memory for a simulated file");
	}
	return &inode->ops[inode->op_count++];
}

static void forget_ops(struct inode *inode)
{
	for (uint32_t i = 0; i < inode->op_count; i++)
		free(inode->ops[i].data);
	inode->op_count = 0;
}

static struct name *find(struct names *in, const char *text)
{
	for (uint32_t i = 0; i < in->count; i++)
		if (!strcmp(in->at[i].text, text))
			return &in->at[i];
	return NULL;
}

static void apply(struct names *to, const struct name_op *op)
{
	struct name *at = find(to, op->kind == LINK ? op->to : op->from);

	if (op->kind == LINK) {
		if (!at) {
			S_TRUE(to->count < NAMES, "too many simulated files");
			at = &to->at[to->count++];
		}
		snprintf(at->text, sizeof(at->text), "%s", op->to);
		at->inode = op->inode;
	} else if (at && op->kind == UNLINK) {
		*at = to->at[--to->count];
	} else if (at) {
		snprintf(at->text, sizeof(at->text), "%s", op->to);
	}
}

static void change_names(struct name_op op)
{
	apply(&names, &op);
	S_TRUE(name_op_count < 4 * NAMES, "too many unsynced names");
	name_ops[name_op_count++] = op;
}

/* A name that the engine has to deal with, since a call with it has failed. */
static void expect_with(enum fault kind, const char *name)
{
	snprintf(expect_name, sizeof(expect_name), "%s", name);
	expect_name_fault = (int)kind + 1;
}

static void met_name(enum fault kind, const char *name)
{
	if (expect_name_fault != (int)kind + 1 || (name && strcmp(expect_name, name) != 0))
		return;
	fault_hit(kind);
	expect_name_fault = 0;
}

/* The engine's next call on @inode; @bytes of a writev. */
enum call { C_WRITE, C_READ, C_SYNC, C_TRUNCATE, C_CLOSE, C_UNLINK };
static void met(struct inode *inode, enum call call, uint64_t bytes)
{
	int kind = inode->expect - 1, right = 0;

	if (kind < 0)
		return;
	switch (kind) {
	case F_WRITE_EINTR:
	case F_WRITE_SHORT:
		right = call == C_WRITE && bytes == inode->expect_bytes;
		break;
	case F_WRITE_EIO:
	case F_WRITE_ENOSPC:
		right = call == C_TRUNCATE || call == C_UNLINK || call == C_CLOSE;
		break;
	case F_SYNC_EINTR:
		right = call == C_SYNC;
		break;
	case F_SYNC_EIO:
		right = call == C_TRUNCATE || call == C_CLOSE;
		break;
	case F_SYNC_RESCUE:
	case F_READ_EINTR:
	case F_READ_SHORT:
		right = call == C_READ;
		break;
	case F_TRUNC_EINTR:
		right = call == C_TRUNCATE;
		break;
	default: /* TRUNC_EIO, STAT_EIO: it is given up */
		right = call == C_CLOSE || call == C_SYNC || call == C_UNLINK || call == C_TRUNCATE;
		break;
	}
	inode->expect = 0;
	if (right)
		fault_hit((enum fault)kind);
}

static int open_inode(uint32_t inode, int append)
{
	for (int i = 0; i < FDS; i++) {
		if (!files[i].inode) {
			files[i] = (struct open_file){ .inode = inode, .append = append };
			return FIRST + i;
		}
	}
	return -EMFILE;
}

static uint32_t new_inode(void)
{
	for (uint32_t i = DIR_LOG + 1; i < INODES; i++) {
		if (!inodes[i].used) {
			inodes[i] = (struct inode){ .used = 1, .written_ns = vt_wall };
			return i;
		}
	}
	sim_fail("too many simulated files");
}

static uint64_t number_of(const char *path)
{
	return path[0] >= '0' && path[0] <= '9' ? strtoull(path, NULL, 10) : 0;
}

static void made_segment(uint64_t number)
{
	if (number && number <= ever && disk_damage.names) /* the recovery did not see it */
		fault_hit(F_POWER_NAME);
	if (number > newest)
		newest = number;
	if (number > ever)
		ever = number;
}

static int open_name(const char *path, int flags)
{
	struct name *at = find(&names, path);
	struct name_op op = { .kind = LINK };
	uint64_t number = number_of(path);
	int made;

	if (!at && flags & O_CREAT && flags & O_EXCL && number && fault_now(F_OPEN_EEXIST)) {
		op.inode = new_inode(); /* somebody else's, empty */
		snprintf(op.to, sizeof(op.to), "%s", path);
		change_names(op);
		expect_with(F_OPEN_EEXIST, path);
		at = find(&names, path);
	}
	if (at)
		return flags & O_CREAT && flags & O_EXCL ? -EEXIST
		                                         : open_inode(at->inode,
		                                                      flags & O_APPEND);
	if (!(flags & O_CREAT))
		return -ENOENT;
	if (number && flags & O_EXCL) {
		met_name(F_OPEN_EMFILE, path);
		if (expect_name_fault == F_OPEN_EEXIST + 1 &&
		    number == strtoull(expect_name, NULL, 10) + 1)
			met_name(F_OPEN_EEXIST, NULL);
		if (fault_now(F_OPEN_EMFILE)) {
			expect_with(F_OPEN_EMFILE, path);
			return -EMFILE;
		}
	}
	op.inode = new_inode();
	snprintf(op.to, sizeof(op.to), "%s", path);
	made = open_inode(op.inode, flags & O_APPEND);
	if (made < 0)
		return made;
	change_names(op);
	made_segment(number);
	return made;
}

int disk_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	(void)mode;
	if (dir_fd == AT_FDCWD)
		return directory ? open_inode(DIR_LOG, 0) : -ENOENT;
	if (!file_of(dir_fd))
		return -EBADF;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_inode(new_inode(), 0);
	if (!strcmp(path, "."))
		return open_inode(file_of(dir_fd)->inode, 0);
	if (!strcmp(path, ".."))
		return open_inode(ROOT, 0);
	return open_name(path, flags);
}

int disk_close(int fd)
{
	struct open_file *file = file_of(fd);
	struct inode *inode = &inodes[file->inode];

	if (inode->locked == fd)
		inode->locked = 0;
	met(inode, C_CLOSE, 0);
	file->inode = 0;
	return 0;
}

static uint64_t total_of(const struct iovec *iov, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/* The first @bytes of the pieces go to the file. */
static void store(struct open_file *file, const struct iovec *iov, uint64_t bytes)
{
	struct inode *inode = &inodes[file->inode];
	uint64_t offset = file->append ? inode->now.size : file->offset;
	struct op *op = add_op(inode);

	*op = (struct op){ .offset = offset, .bytes = bytes, .data = malloc(bytes ? bytes : 1) };
	S_TRUE(op->data, "no memory for a simulated file");
	for (uint64_t at = 0; at < bytes; iov++) {
		uint64_t n = iov->iov_len < bytes - at ? iov->iov_len : bytes - at;

		memcpy(op->data + at, iov->iov_base, n);
		at += n;
	}
	put(&inode->now, offset, op->data, bytes);
	inode->written_ns = vt_wall;
	file->offset = offset + bytes;
}

ssize_t disk_writev(int fd, const struct iovec *iov, int count)
{
	struct open_file *file = file_of(fd);
	struct inode *inode;
	uint64_t bytes = total_of(iov, count), part = bytes;
	int kind = -1;

	if (!file)
		return -EBADF;
	inode = &inodes[file->inode];
	met(inode, C_WRITE, bytes);
	if (inode->failed) {
		kind = inode->failed == -EIO ? F_WRITE_EIO : F_WRITE_ENOSPC;
		inode->expect = kind + 1;
		inode->failed = 0;
		return kind == F_WRITE_EIO ? -EIO : -ENOSPC;
	}
	if (fault_now(F_WRITE_EINTR)) {
		inode->expect = F_WRITE_EINTR + 1;
		inode->expect_bytes = bytes;
		return -EINTR;
	}
	if (fault_now(F_WRITE_EIO))
		kind = F_WRITE_EIO;
	else if (fault_now(F_WRITE_ENOSPC))
		kind = F_WRITE_ENOSPC;
	if (kind >= 0) {
		int error = kind == F_WRITE_EIO ? -EIO : -ENOSPC;

		if (bytes < 2 || rng_ppm(&rng, 400000)) {
			inode->expect = kind + 1;
			return error;
		}
		inode->failed = error;
	} else if (bytes > 1 && fault_now(F_WRITE_SHORT)) {
		inode->expect = F_WRITE_SHORT + 1;
	}
	if (inode->failed || inode->expect == F_WRITE_SHORT + 1) {
		part = rng_between(&rng, 1, bytes - 1);
		inode->expect_bytes = bytes - part;
	}
	store(file, iov, part);
	return (ssize_t)part;
}

ssize_t disk_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	struct open_file *file = file_of(fd);
	struct inode *inode;
	uint64_t n;

	if (!file)
		return -EBADF;
	inode = &inodes[file->inode];
	met(inode, C_READ, bytes);
	if (fault_now(F_READ_EINTR)) {
		inode->expect = F_READ_EINTR + 1;
		return -EINTR;
	}
	if (fault_now(F_READ_EIO))
		return -EIO;
	if (offset >= inode->now.size)
		return 0;
	n = inode->now.size - offset;
	n = n < bytes ? n : bytes;
	if (n > 1 && fault_now(F_READ_SHORT)) {
		inode->expect = F_READ_SHORT + 1;
		n = rng_between(&rng, 1, n - 1);
	}
	memcpy(buffer, inode->now.at + offset, n);
	return (ssize_t)n;
}

/* Some sectors of a write. Returns whether any (1) and whether all (2) were kept. */
static int store_sectors(struct bytes *to, const struct op *op, uint64_t keep_ppm)
{
	uint64_t at = 0;
	int any = 0, all = 1;

	while (at < op->bytes) {
		uint64_t n = SECTOR - (op->offset + at) % SECTOR;

		n = n < op->bytes - at ? n : op->bytes - at;
		if (rng_ppm(&rng, keep_ppm)) {
			put(to, op->offset + at, op->data + at, n);
			any = 1;
		} else {
			all = 0;
		}
		at += n;
	}
	return any | all << 1;
}

/* A sync failed: part of what was written got there, the rest never will. */
static void lose(struct inode *inode)
{
	int cached = rng_ppm(&rng, 500000);

	for (uint32_t i = 0; i < inode->op_count; i++)
		if (!inode->ops[i].truncate)
			(void)store_sectors(&inode->disk, &inode->ops[i],
			                    rng_ppm(&rng, 300000) ? 1000000 : 300000);
	if (!cached) { /* the pages are gone from the cache as well; the size is not */
		uint64_t size = inode->now.size;

		cut_to(&inode->now, 0);
		put(&inode->now, 0, inode->disk.at, inode->disk.size);
		cut_to(&inode->now, size);
		lost_pages = 1;
	}
	forget_ops(inode);
}

int disk_fdatasync(int fd)
{
	struct open_file *file = file_of(fd);
	enum fault kind = plan.sync == 2 ? F_SYNC_EIO : F_SYNC_RESCUE;
	struct inode *inode;

	if (!file)
		return -EBADF;
	inode = &inodes[file->inode];
	met(inode, C_SYNC, 0);
	if (fault_now(F_SYNC_EINTR)) {
		inode->expect = F_SYNC_EINTR + 1;
		return -EINTR;
	}
	if (inode->op_count && fault_now(kind)) {
		inode->expect = (int)kind + 1;
		lose(inode);
		return -EIO;
	}
	cut_to(&inode->disk, 0);
	put(&inode->disk, 0, inode->now.at, inode->now.size);
	forget_ops(inode);
	return 0;
}

int disk_fsync(int fd)
{
	struct open_file *file = file_of(fd);

	if (!file)
		return -EBADF;
	if (file->inode > DIR_LOG)
		return disk_fdatasync(fd);
	if (fault_now(F_DIRSYNC_EIO)) {
		expect_with(F_DIRSYNC_EIO, "");
		return -EIO;
	}
	if (file->inode == ROOT) {
		directory_durable = 1;
	} else {
		durable = names;
		name_op_count = 0;
	}
	return 0;
}

int disk_ftruncate(int fd, uint64_t bytes)
{
	struct open_file *file = file_of(fd);
	struct inode *inode;

	if (!file)
		return -EBADF;
	inode = &inodes[file->inode];
	met(inode, C_TRUNCATE, 0);
	if (fault_now(F_TRUNC_EINTR)) {
		inode->expect = F_TRUNC_EINTR + 1;
		return -EINTR;
	}
	if (fault_now(F_TRUNC_EIO)) {
		inode->expect = F_TRUNC_EIO + 1;
		return -EIO;
	}
	cut_to(&inode->now, bytes);
	*add_op(inode) = (struct op){ .truncate = 1, .offset = bytes };
	return 0;
}

int disk_fstat(int fd, struct stat *ret)
{
	struct open_file *file = file_of(fd);
	struct inode *inode;

	if (!file)
		return -EBADF;
	inode = &inodes[file->inode];
	if (fault_now(F_STAT_EIO)) {
		inode->expect = F_STAT_EIO + 1;
		return -EIO;
	}
	memset(ret, 0, sizeof(*ret));
	ret->st_mode = file->inode <= DIR_LOG ? S_IFDIR | 0700 : S_IFREG | 0600;
	ret->st_nlink = 1;
	ret->st_size = (off_t)inode->now.size;
	ret->st_mtim.tv_sec = (time_t)(inode->written_ns / SEC);
	ret->st_mtim.tv_nsec = (long)(inode->written_ns % SEC);
	return 0;
}

int disk_unlinkat(int dir_fd, const char *path)
{
	struct name *at = find(&names, path);
	struct name_op op = { .kind = UNLINK };
	uint64_t number = number_of(path);

	(void)dir_fd;
	met_name(F_UNLINK_EIO, path);
	met_name(F_RENAME_EIO, NULL);
	met_name(F_DIRSYNC_EIO, NULL);
	if (!at)
		return -ENOENT;
	met(&inodes[at->inode], C_UNLINK, 0);
	if (fault_now(F_UNLINK_EIO)) {
		expect_with(F_UNLINK_EIO, path);
		return -EIO;
	}
	op.inode = at->inode;
	snprintf(op.from, sizeof(op.from), "%s", path);
	change_names(op);
	if (number > removed) /* or one of its own that held nothing: no matter */
		removed = number;
	return 0;
}

int disk_rename(int dir_fd, const char *from, const char *to)
{
	struct name *at = find(&names, from);
	struct name_op op = { .kind = RENAME };
	uint64_t old = number_of(from), new = number_of(to);

	(void)dir_fd;
	if (!at)
		return -ENOENT;
	if (find(&names, to))
		return -EEXIST;
	if (fault_now(F_RENAME_EIO)) {
		expect_with(F_RENAME_EIO, from);
		return -EIO;
	}
	op.inode = at->inode;
	snprintf(op.from, sizeof(op.from), "%s", from);
	snprintf(op.to, sizeof(op.to), "%s", to);
	change_names(op);
	if (old > removed)
		removed = old;
	made_segment(new);
	return 0;
}

int disk_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	(void)dir_fd, (void)path, (void)mode;
	if (directory)
		return -EEXIST;
	if (fault_now(F_MKDIR_ENOSPC))
		return -ENOSPC;
	directory = 1;
	return 0;
}

int disk_lock(int fd, int on)
{
	struct open_file *file = file_of(fd);
	struct inode *inode;

	if (!file)
		return -EBADF;
	inode = &inodes[file->inode];
	if (!on) {
		inode->locked = 0;
		return 0;
	}
	if (inode->locked || fault_now(F_LOCK_BUSY))
		return -EBUSY;
	inode->locked = fd;
	return 0;
}

ssize_t disk_list(int dir_fd, void *buffer, size_t bytes)
{
	struct open_file *file = file_of(dir_fd);
	uint8_t *to = buffer;
	size_t used = 0;

	if (!file)
		return -EBADF;
	if (fault_now(F_LIST_EIO))
		return -EIO;
	while (file->listed < names.count) {
		const struct name *name = &names.at[file->listed];
		size_t length = strlen(name->text) + 1;
		size_t need = (offsetof(struct dirent64, d_name) + length + 7) & ~(size_t)7;
		struct dirent64 *entry = (void *)(to + used);

		if (used + need > bytes)
			break;
		memset(entry, 0, need);
		entry->d_ino = name->inode;
		entry->d_reclen = (unsigned short)need;
		entry->d_type = DT_REG;
		memcpy(entry->d_name, name->text, length);
		used += need;
		file->listed++;
	}
	return (ssize_t)used;
}

int64_t disk_seek_data(int fd, uint64_t offset)
{
	struct open_file *file = file_of(fd);

	if (!file)
		return -EBADF;
	return offset < inodes[file->inode].now.size ? (int64_t)offset : -ENXIO;
}

void disk_kill(void)
{
	memset(files, 0, sizeof(files));
	for (uint32_t i = 0; i < INODES; i++) {
		inodes[i].locked = inodes[i].expect = 0;
		inodes[i].failed = 0;
	}
	expect_name_fault = 0;
}

enum keep { KEEP_ALL, KEEP_NONE, KEEP_BEGINNING, KEEP_TORN, KEEP_SOME, KEEPS };

static enum keep how_to_keep(void)
{
	enum keep choices[KEEPS];
	unsigned n = 0;

	choices[n++] = KEEP_ALL;
	if (fault_on(F_POWER_DROP)) {
		choices[n++] = KEEP_NONE;
		choices[n++] = KEEP_BEGINNING;
	}
	if (fault_on(F_POWER_TEAR))
		choices[n++] = KEEP_TORN;
	if (fault_on(F_POWER_REORDER))
		choices[n++] = KEEP_SOME;
	return choices[rng_below(&rng, n)];
}

static void cut_file(struct inode *inode)
{
	enum keep how = how_to_keep();
	uint64_t stop = rng_below(&rng, inode->op_count + 1);
	int lost = 0;

	for (uint32_t i = 0; i < inode->op_count; i++) {
		const struct op *op = &inode->ops[i];
		uint64_t ppm = 1000000;
		int kept;

		if (how == KEEP_NONE || (how == KEEP_BEGINNING && i >= stop) ||
		    (how == KEEP_TORN && i > stop))
			ppm = 0;
		else if (how == KEEP_TORN && i == stop)
			ppm = 500000;
		else if (how == KEEP_SOME)
			ppm = rng_ppm(&rng, 500000) ? 700000 : 0;
		if (op->truncate) {
			kept = rng_ppm(&rng, ppm) ? 3 : 0;
			if (kept)
				cut_to(&inode->disk, op->offset);
		} else {
			kept = store_sectors(&inode->disk, op, ppm);
		}
		disk_damage.reordered |= lost && kept;
		lost |= kept != 3;
		disk_damage.torn |= kept == 1;
	}
	disk_damage.dropped |= lost;
	/* The new size may be known where the data is not: zeros. */
	if (lost && how == KEEP_SOME && inode->now.size > inode->disk.size &&
	    rng_ppm(&rng, 500000))
		cut_to(&inode->disk, inode->now.size);
}

static int depends(const struct name_op *op, const struct name_op *on)
{
	return op->inode == on->inode || (op->from[0] && !strcmp(op->from, on->to)) ||
	       (op->to[0] && !strcmp(op->to, on->to)) ||
	       (op->to[0] && !strcmp(op->to, on->from));
}

static void cut_names(void)
{
	uint8_t lost[4 * NAMES] = { 0 }, in_use[INODES];

	for (uint32_t i = 0; i < name_op_count; i++) {
		lost[i] = fault_on(F_POWER_NAME) && rng_ppm(&rng, 500000);
		for (uint32_t j = 0; j < i; j++)
			lost[i] |= lost[j] && depends(&name_ops[i], &name_ops[j]);
		if (lost[i])
			disk_damage.names = 1;
		else
			apply(&durable, &name_ops[i]);
	}
	if (directory && !directory_durable && fault_on(F_POWER_NAME) &&
	    rng_ppm(&rng, 500000)) {
		directory = 0;
		durable.count = 0;
		disk_damage.names = 1;
	}
	names = durable;
	name_op_count = 0;
	directory_durable = directory;
	newest = 0;
	for (uint32_t i = 0; i < names.count; i++)
		if (number_of(names.at[i].text) > newest)
			newest = number_of(names.at[i].text);
	if (removed > newest)
		removed = newest;
	memset(in_use, 0, sizeof(in_use));
	for (uint32_t i = 0; i < names.count; i++)
		in_use[names.at[i].inode] = 1;
	for (uint32_t i = DIR_LOG + 1; i < INODES; i++)
		if (!in_use[i])
			inodes[i].used = 0;
}

void disk_cut(void)
{
	disk_damage = (struct disk_damage){ 0, 0, 0, 0 };
	disk_kill();
	for (uint32_t i = DIR_LOG + 1; i < INODES; i++) {
		struct inode *inode = &inodes[i];

		if (!inode->used)
			continue;
		cut_file(inode);
		forget_ops(inode);
		cut_to(&inode->now, 0);
		put(&inode->now, 0, inode->disk.at, inode->disk.size);
	}
	cut_names();
	trace(T_CRASH, "cut", names.count, (uint64_t)disk_damage.dropped,
	      (uint64_t)disk_damage.torn);
}
