/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.c - see sys.h. The time half is tests/support/virtual_sys.c as it stands: its table gets
 * another name here, so that one can be made of its functions and those of the disk.
 */
#define wr_sys virtual_time
#include "support/virtual_sys.c" /* and base/sys.h with it */
#undef wr_sys

#include <fcntl.h>
#include <string.h>

#include "log/dir.h"
#include "property/sys.h"
#include "support/disk.h"

static struct disk_trace medium = { .keeps = DISK_KEEPS_BASE };
static struct disk_fault faults;
static uint64_t failed;
static int frozen;
static struct prop_random numbers;

_Noreturn void disk_broken(const char *what)
{
	prop_fail("the disk: %s", what);
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

static void tell(const struct disk_ask *ask)
{
	const struct disk_file *file = ask->file < 0 ? NULL : &disk.now.file[ask->file];

	if (ask->call == DISK_CALL_OPEN && !file && ask->flags & O_CREAT)
		prop_step("      create %s", ask->name);
	if (ask->call == DISK_CALL_TRUNCATE)
		prop_step("      truncate %s from %u", disk_name_of(&disk.now, ask->file),
		          file->size);
	if (ask->call == DISK_CALL_UNLINK && file)
		prop_step("      unlink %s", ask->name);
	if (ask->call == DISK_CALL_RENAME && file)
		prop_step("      rename %s to %s", ask->name, ask->to);
}

static int decide(struct disk_ask *ask)
{
	int r;

	if (ask->call == DISK_CALL_CLOSE || ask->call == DISK_CALL_READ ||
	    ask->call == DISK_CALL_SEEK)
		return 0;
	if (frozen && ask->call != DISK_CALL_STAT && ask->call != DISK_CALL_LIST &&
	    ask->call != DISK_CALL_LOCK && ask->call != DISK_CALL_MKDIR)
		return -EIO;
	r = fault();
	if (r == 1 && ask->call == DISK_CALL_WRITE) { /* only some of it */
		ask->bytes /= 2;
		return ask->bytes ? 0 : -ENOSPC;
	}
	if (r < 0)
		return r;
	tell(ask);
	return 0;
}

void sys_reset(uint64_t now_ns, uint64_t seed)
{
	vs_reset(now_ns);
	disk_boot(&medium, NULL);
	disk.decide = decide;
	disk.clock = &vs.wall_ns;
	faults = (struct disk_fault){ 0, 0, 0 };
	failed = 0;
	numbers.state = seed;
}

unsigned sys_open_descriptors(void)
{
	unsigned n = (unsigned)disk_open_count();

	for (int i = 0; i < FDS; i++)
		n += fds[i].kind != FREE;
	return n;
}

unsigned disk_files(uint64_t *ret_bytes)
{
	unsigned n = 0;

	*ret_bytes = 0;
	for (int i = 0; i < disk.now.names; i++) {
		const struct disk_name *name = &disk.now.name[i];

		if (name->file < 0 || name->dir == 0 || !strcmp(name->name, "lock"))
			continue;
		n++;
		*ret_bytes += disk.now.file[name->file].size;
	}
	return n;
}

uint64_t disk_lowest(void)
{
	uint64_t lowest = UINT64_MAX;

	for (int i = 0; i < disk.now.names; i++) {
		const struct disk_name *name = &disk.now.name[i];
		uint64_t number;

		if (name->file >= 0 && name->dir &&
		    wr_log_segment_number(name->name, &number) && number < lowest)
			lowest = number;
	}
	return lowest;
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

void disk_kill(void)
{
	memset(fds, 0, sizeof(fds));
	disk_let_go();
}

/* One file's bytes after the cut: as durable, as they were, or some blocks of each. */
static void cut_file(struct disk_file *now, struct disk_file *synced, struct prop_random *random)
{
	uint64_t how = prop_random(random) % 4;
	uint32_t size = synced->size;

	synced->written_ns = now->written_ns;
	if (how == 0) {
		disk_copy_file(now, synced);
		return;
	}
	if (how == 1) {
		disk_copy_file(synced, now);
		return;
	}
	/* The size is one or the other, or between them; the blocks are old or new. */
	if (how == 2)
		size = now->size;
	else if (now->size > size)
		size += (uint32_t)(prop_random(random) % (now->size - size + 1));
	disk_resize(synced, size > synced->size ? size : synced->size);
	for (uint32_t at = 0; at < size && at < now->size; at += DISK_SECTOR) {
		uint32_t left = (size < now->size ? size : now->size) - at;

		if (prop_random(random) & 1)
			disk_put(synced, at, now->data + at,
			         left < DISK_SECTOR ? left : DISK_SECTOR);
	}
	disk_resize(synced, size);
	disk_copy_file(now, synced);
}

void disk_cut(struct prop_random *random)
{
	/* The journal holds the entries in order: all up to some moment. Here: all or the synced. */
	int all = (int)(prop_random(random) & 1);
	struct disk_image *now = &disk.now, *base = &medium.base;
	int dir = disk_find(now, 0, DISK_DIR);

	disk_copy_names(all ? base : now, all ? now : base, dir);
	disk_copy_names(base, now, 0); /* the directory itself stays */
	for (int i = 1; i < now->files; i++) {
		const char *name = now->file[i].in_use ? disk_name_of(now, i) : NULL;

		if (!name || now->file[i].is_dir)
			continue;
		cut_file(&now->file[i], &base->file[i], random);
		prop_step("      cut: %s of %u bytes", name, now->file[i].size);
	}
	disk_kill();
}

/* Each engine life has a uuid of its own. */
static uint64_t disk_random(void)
{
	return prop_random(&numbers);
}

static int any_close(int fd)
{
	return disk_owns(fd) ? disk_close(fd) : sys_close(fd);
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
	.mkdirat = disk_mkdirat,
	.close = any_close,
	DISK_SYS,
};
