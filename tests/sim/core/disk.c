/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - how the disk of a seed fails, and what would survive. The disk is tests/support's.
 *
 * A failed sync loses some of what it should have written for good, and the next answers 0. A power
 * cut keeps of what no sync has covered nothing, a beginning, or some sectors of some writes, as the
 * seed says; of the names, any that do not depend on a lost one.
 *
 * A fault is hit when the next call on the same file is the one that the engine's branch for it
 * makes: the rest of a short write, the truncate after a failed one, the pread of a rescue.
 */
#include "sim/core/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define NAME_OPS 8192

/* What the engine is to do next with a file, if its branch for a fault runs. */
static struct due {
	int failed; /* -errno that the next writev answers, after it wrote less */
	int expect; /* fault + 1; 0: nothing */
	uint64_t bytes;
} dues[DISK_FILES];

static struct disk_trace medium = { .keeps = DISK_KEEPS_PENDING };
static struct rng rng;
static uint64_t newest, removed, ever; /* segment numbers: in the directory, ..., since the start */
static int lost_pages;
static char expect_name[DISK_NAME_BYTES];
static int expect_name_fault; /* fault + 1: of a call that named a file */
struct disk_damage disk_damage;

_Noreturn void disk_broken(const char *what)
{
	sim_fail("the disk: %s", what);
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

/* The engine's next call on a file; @bytes of a writev. */
static void met(struct due *due, enum disk_call call, uint64_t bytes)
{
	int kind = due->expect - 1, right = 0;

	if (kind < 0)
		return;
	switch (kind) {
	case F_WRITE_EINTR:
	case F_WRITE_SHORT:
		right = call == DISK_CALL_WRITE && bytes == due->bytes;
		break;
	case F_WRITE_EIO:
	case F_WRITE_ENOSPC:
		right = call == DISK_CALL_TRUNCATE || call == DISK_CALL_UNLINK ||
		        call == DISK_CALL_CLOSE;
		break;
	case F_SYNC_EINTR:
		right = call == DISK_CALL_SYNC;
		break;
	case F_SYNC_EIO:
		right = call == DISK_CALL_TRUNCATE || call == DISK_CALL_CLOSE;
		break;
	case F_SYNC_RESCUE:
	case F_READ_EINTR:
	case F_READ_SHORT:
		right = call == DISK_CALL_READ;
		break;
	case F_TRUNC_EINTR:
		right = call == DISK_CALL_TRUNCATE;
		break;
	default: /* TRUNC_EIO, STAT_EIO: it is given up */
		right = call == DISK_CALL_CLOSE || call == DISK_CALL_SYNC ||
		        call == DISK_CALL_UNLINK || call == DISK_CALL_TRUNCATE;
		break;
	}
	due->expect = 0;
	if (right)
		fault_hit((enum fault)kind);
}

/* It fails, and the engine's branch for that is awaited. */
static int fail_with(struct due *due, enum fault kind, int error)
{
	due->expect = (int)kind + 1;
	return error;
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

static int decide_open(const struct disk_ask *ask)
{
	uint64_t number = number_of(ask->name);
	int makes = ask->flags & O_CREAT && ask->flags & O_EXCL && number;

	if (ask->dir == 0 || ask->file >= 0 || !(ask->flags & O_CREAT))
		return 0;
	if (makes && fault_now(F_OPEN_EEXIST)) {
		(void)disk_create(ask->dir, ask->name, 0); /* somebody else's, empty */
		expect_with(F_OPEN_EEXIST, ask->name);
		return 0;
	}
	if (makes) {
		met_name(F_OPEN_EMFILE, ask->name);
		if (expect_name_fault == F_OPEN_EEXIST + 1 &&
		    number == strtoull(expect_name, NULL, 10) + 1)
			met_name(F_OPEN_EEXIST, NULL);
		if (fault_now(F_OPEN_EMFILE)) {
			expect_with(F_OPEN_EMFILE, ask->name);
			return -EMFILE;
		}
	}
	made_segment(number);
	return 0;
}

static int decide_write(struct due *due, struct disk_ask *ask)
{
	uint64_t bytes = ask->bytes;
	int kind = -1;

	if (due->failed) {
		kind = due->failed == -EIO ? F_WRITE_EIO : F_WRITE_ENOSPC;
		due->failed = 0;
		return fail_with(due, (enum fault)kind, kind == F_WRITE_EIO ? -EIO : -ENOSPC);
	}
	if (fault_now(F_WRITE_EINTR)) {
		due->bytes = bytes;
		return fail_with(due, F_WRITE_EINTR, -EINTR);
	}
	if (fault_now(F_WRITE_EIO))
		kind = F_WRITE_EIO;
	else if (fault_now(F_WRITE_ENOSPC))
		kind = F_WRITE_ENOSPC;
	if (kind >= 0) {
		int error = kind == F_WRITE_EIO ? -EIO : -ENOSPC;

		if (bytes < 2 || rng_ppm(&rng, 400000))
			return fail_with(due, (enum fault)kind, error);
		due->failed = error;
	} else if (bytes > 1 && fault_now(F_WRITE_SHORT)) {
		due->expect = F_WRITE_SHORT + 1;
	}
	if (due->failed || due->expect == F_WRITE_SHORT + 1) {
		ask->bytes = rng_between(&rng, 1, bytes - 1);
		due->bytes = bytes - ask->bytes;
	}
	return 0;
}

static int decide_read(struct due *due, struct disk_ask *ask)
{
	if (fault_now(F_READ_EINTR))
		return fail_with(due, F_READ_EINTR, -EINTR);
	if (fault_now(F_READ_EIO))
		return -EIO;
	if (ask->bytes > 1 && fault_now(F_READ_SHORT)) {
		due->expect = F_READ_SHORT + 1;
		ask->bytes = rng_between(&rng, 1, ask->bytes - 1);
	}
	return 0;
}

/* Some sectors of a write. Returns whether any (1) and whether all (2) were kept. */
static int store_sectors(struct disk_file *to, const struct disk_op *op, uint64_t keep_ppm)
{
	const uint8_t *data = medium.arena + op->at;
	uint32_t at = 0;
	int any = 0, all = 1;

	while (at < op->bytes) {
		uint32_t n = DISK_SECTOR - (op->offset + at) % DISK_SECTOR;

		n = n < op->bytes - at ? n : op->bytes - at;
		if (rng_ppm(&rng, keep_ppm)) {
			disk_put(to, op->offset + at, data + at, n);
			any = 1;
		} else {
			all = 0;
		}
		at += n;
	}
	return any | all << 1;
}

/* What is read of a file is what the medium has. */
static void reread(int file)
{
	const struct disk_file *from = &medium.base.file[file];

	disk_resize(&disk.now.file[file], 0);
	disk_put(&disk.now.file[file], 0, from->data, from->size);
}

/* A sync failed: part of what was written got there, the rest never will. */
static void lose(int file)
{
	int cached = rng_ppm(&rng, 500000);

	for (int i = 0; i < medium.ops; i++)
		if (medium.op[i].kind == DISK_WRITE && medium.op[i].file == file)
			(void)store_sectors(&medium.base.file[file], &medium.op[i],
			                    rng_ppm(&rng, 300000) ? 1000000 : 300000);
	if (!cached) { /* the pages are gone from the cache as well; the size is not */
		uint32_t size = disk.now.file[file].size;

		reread(file);
		disk_resize(&disk.now.file[file], size);
		lost_pages = 1;
	}
	disk_drop(&medium, file);
}

static uint32_t pending_of(int file)
{
	uint32_t n = 0;

	for (int i = 0; i < medium.ops; i++)
		n += disk_syncs(&medium.op[i], file) != 0;
	return n;
}

static int decide_sync(struct due *due, int file)
{
	enum fault kind = plan.sync == 2 ? F_SYNC_EIO : F_SYNC_RESCUE;

	if (disk.now.file[file].is_dir) {
		if (!fault_now(F_DIRSYNC_EIO))
			return 0;
		expect_with(F_DIRSYNC_EIO, "");
		return -EIO;
	}
	if (fault_now(F_SYNC_EINTR))
		return fail_with(due, F_SYNC_EINTR, -EINTR);
	if (!pending_of(file) || !fault_now(kind))
		return 0;
	lose(file);
	return fail_with(due, kind, -EIO);
}

static int decide_truncate(struct due *due)
{
	if (fault_now(F_TRUNC_EINTR))
		return fail_with(due, F_TRUNC_EINTR, -EINTR);
	return fault_now(F_TRUNC_EIO) ? fail_with(due, F_TRUNC_EIO, -EIO) : 0;
}

static int decide_unlink(const struct disk_ask *ask)
{
	uint64_t number = number_of(ask->name);

	met_name(F_UNLINK_EIO, ask->name);
	met_name(F_RENAME_EIO, NULL);
	met_name(F_DIRSYNC_EIO, NULL);
	if (ask->file < 0)
		return 0;
	met(&dues[ask->file], DISK_CALL_UNLINK, 0);
	if (fault_now(F_UNLINK_EIO)) {
		expect_with(F_UNLINK_EIO, ask->name);
		return -EIO;
	}
	if (number > removed) /* or one of its own that held nothing: no matter */
		removed = number;
	return 0;
}

static int decide_rename(const struct disk_ask *ask)
{
	if (ask->file < 0 || disk_find(&disk.now, ask->dir, ask->to) >= 0)
		return 0;
	if (fault_now(F_RENAME_EIO)) {
		expect_with(F_RENAME_EIO, ask->name);
		return -EIO;
	}
	if (number_of(ask->name) > removed)
		removed = number_of(ask->name);
	made_segment(number_of(ask->to));
	return 0;
}

static int decide(struct disk_ask *ask)
{
	struct due *due = ask->file < 0 ? NULL : &dues[ask->file];

	if (due && ask->dir < 0 && ask->call != DISK_CALL_STAT)
		met(due, ask->call, ask->bytes);
	switch (ask->call) {
	case DISK_CALL_OPEN:
		return decide_open(ask);
	case DISK_CALL_WRITE:
		return decide_write(due, ask);
	case DISK_CALL_READ:
		return decide_read(due, ask);
	case DISK_CALL_SYNC:
	case DISK_CALL_SYNC_DIR:
		return decide_sync(due, ask->file);
	case DISK_CALL_TRUNCATE:
		return decide_truncate(due);
	case DISK_CALL_UNLINK:
		return decide_unlink(ask);
	case DISK_CALL_RENAME:
		return decide_rename(ask);
	case DISK_CALL_STAT:
		return fault_now(F_STAT_EIO) ? fail_with(due, F_STAT_EIO, -EIO) : 0;
	case DISK_CALL_LIST:
		return fault_now(F_LIST_EIO) ? -EIO : 0;
	case DISK_CALL_LOCK:
		return ask->flags && !disk_is_locked(ask->file) && fault_now(F_LOCK_BUSY) ? -EBUSY
		                                                                          : 0;
	case DISK_CALL_MKDIR:
		return ask->file < 0 && fault_now(F_MKDIR_ENOSPC) ? -ENOSPC : 0;
	default:
		return 0;
	}
}

/* In a process of its own: all else is zero. */
void disk_reset(uint64_t seed)
{
	rng = rng_of(seed, 1003);
	disk_boot(&medium, NULL);
	disk.decide = decide;
	disk.clock = &vt_wall;
}

void disk_kill(void)
{
	disk_let_go();
	memset(dues, 0, sizeof(dues));
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

static void cut_file(int file)
{
	struct disk_file *to = &medium.base.file[file];
	enum keep how = how_to_keep();
	uint64_t stop = rng_below(&rng, pending_of(file) + 1), n = 0;
	int lost = 0;

	for (int i = 0; i < medium.ops; i++) {
		const struct disk_op *op = &medium.op[i];
		uint64_t ppm = 1000000;
		int kept;

		if (!disk_syncs(op, file))
			continue;
		if (how == KEEP_NONE || (how == KEEP_BEGINNING && n >= stop) ||
		    (how == KEEP_TORN && n > stop))
			ppm = 0;
		else if (how == KEEP_TORN && n == stop)
			ppm = 500000;
		else if (how == KEEP_SOME)
			ppm = rng_ppm(&rng, 500000) ? 700000 : 0;
		if (op->kind == DISK_TRUNCATE) {
			kept = rng_ppm(&rng, ppm) ? 3 : 0;
			if (kept)
				disk_resize(to, op->bytes);
		} else {
			kept = store_sectors(to, op, ppm);
		}
		disk_damage.reordered |= lost && kept;
		lost |= kept != 3;
		disk_damage.torn |= kept == 1;
		n++;
	}
	disk_damage.dropped |= lost;
	/* The new size may be known where the data is not: zeros. */
	if (lost && how == KEEP_SOME && disk.now.file[file].size > to->size &&
	    rng_ppm(&rng, 500000))
		disk_resize(to, disk.now.file[file].size);
	disk_drop(&medium, file);
	reread(file);
}

static int depends(const struct disk_op *op, const struct disk_op *on)
{
	return op->file == on->file || (op->from[0] && !strcmp(op->from, on->to)) ||
	       (op->to[0] && !strcmp(op->to, on->to)) ||
	       (op->to[0] && !strcmp(op->to, on->from));
}

/* What is left of the names of @dir. */
static void cut_dir(int dir)
{
	struct disk_image *base = &medium.base;
	uint8_t lost[NAME_OPS] = { 0 };

	S_TRUE(medium.ops <= NAME_OPS, "too many unsynced names");
	for (int i = 0; i < medium.ops; i++) {
		const struct disk_op *op = &medium.op[i];

		if (op->dir != dir)
			continue;
		lost[i] = fault_on(F_POWER_NAME) && rng_ppm(&rng, 500000);
		for (int j = 0; j < i; j++)
			lost[i] |= lost[j] && depends(op, &medium.op[j]);
		disk_damage.names |= lost[i];
		if (lost[i] || (op->kind == DISK_RENAME && disk_find(base, dir, op->from) < 0))
			continue;
		if (op->kind != DISK_LINK)
			disk_unlink(base, dir, op->from);
		if (op->kind != DISK_UNLINK)
			disk_link(base, dir, op->to, op->file);
	}
	disk_copy_names(&disk.now, base, dir);
	disk_drop(&medium, dir);
}

static uint32_t cut_names(void)
{
	int dir = disk_find(&disk.now, 0, DISK_LOG);
	uint32_t count = 0;

	newest = 0;
	if (dir >= 0)
		cut_dir(dir);
	cut_dir(0);
	for (int i = 0; i < disk.now.names; i++) {
		struct disk_name *name = &disk.now.name[i];

		if (name->file < 0 || name->dir == 0)
			continue;
		if (disk_find(&disk.now, 0, DISK_LOG) < 0) { /* with all that was in it */
			disk_unlink(&medium.base, dir, name->name);
			name->file = -1;
			continue;
		}
		count++;
		if (number_of(name->name) > newest)
			newest = number_of(name->name);
	}
	if (removed > newest)
		removed = newest;
	disk_sweep();
	return count;
}

void disk_cut(void)
{
	uint32_t count;

	disk_damage = (struct disk_damage){ 0, 0, 0, 0 };
	disk_kill();
	for (int i = 1; i < disk.now.files; i++)
		if (disk.now.file[i].in_use && !disk.now.file[i].is_dir)
			cut_file(i);
	count = cut_names();
	trace(T_CRASH, "cut", count, (uint64_t)disk_damage.dropped, (uint64_t)disk_damage.torn);
}
