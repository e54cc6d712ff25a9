/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct disk_plan disk_plan;

_Noreturn void disk_broken(const char *what)
{
	printf("Bail out! the disk of the test: %s\n", what);
	fflush(stdout);
	abort();
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

	if (ops > DISK_OPS)
		disk_broken("too many operations");
	*cut = (struct disk_cut){ .trace = trace, .ops = ops, .torn = -1 };
	for (int i = 0; i < ops; i++) {
		const struct disk_op *op = &trace->op[i];

		cut->durable[i] = op->kind == DISK_SYNC;
		if (op->kind != DISK_SYNC)
			continue;
		for (int k = 0; k < i; k++) {
			if (cut->durable[k] || lost[k] || !disk_syncs(&trace->op[k], op->file))
				continue;
			if (op->failed && op->file != 0)
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
	const struct disk_file *stale;
	uint32_t from = file->size;

	if (size <= from)
		return;
	holes = 1;
	disk_resize(file, size);
	if (fill != DISK_STALE)
		return;
	stale = stale_for(image, i);
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
		disk_link(ret, op->dir, op->to, op->file);
	if (op->kind == DISK_UNLINK && is_there(cut, mask, i, 0))
		disk_unlink(ret, op->dir, op->from);
	if (op->kind == DISK_RENAME && is_there(cut, mask, i, 0))
		disk_unlink(ret, op->dir, op->from);
	if (op->kind == DISK_RENAME && is_there(cut, mask, i, 1))
		disk_link(ret, op->dir, op->to, op->file);
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
		disk_put(&ret->file[op->file], op->offset, bytes, count);
		return;
	}
	for (int u = 0; u < cut->units; u++) {
		uint32_t from = cut->unit[u].from, n = cut->unit[u].bytes;

		if (cut->unit[u].op != i || !(mask >> u & 1) || from >= count)
			continue;
		n = from + n > count ? count - from : n;
		grow(ret, op->file, op->offset + from, fill);
		disk_put(&ret->file[op->file], op->offset + from, bytes + from, n);
	}
}

/* Files made since come as empty ones. */
static void make_files(const struct disk_cut *cut, struct disk_image *ret)
{
	for (int i = 0; i < cut->ops; i++) {
		const struct disk_op *op = &cut->trace->op[i];

		while (op->file >= ret->files)
			(void)disk_new_file(ret, op->kind == DISK_LINK && op->is_dir);
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
				disk_resize(&ret->file[op->file], op->bytes);
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

/* 1: this call is to fail, as *ret says. */
static int fails(enum disk_call call, struct disk_fault *ret)
{
	uint32_t n = ++disk_plan.called[call];

	for (int i = 0; i < DISK_FAULTS; i++) {
		const struct disk_fault *fault = &disk_plan.fault[i];

		if (fault->first && fault->call == call && n >= fault->first && n <= fault->last) {
			if (disk_plan.hit_at < 0 && disk.trace)
				disk_plan.hit_at = disk.trace->ops;
			*ret = *fault;
			return 1;
		}
	}
	return 0;
}

/* The pages that could not be written are dropped: what is read then is what the disk has. */
static void forget(int file)
{
	static struct disk_image image;
	struct disk_cut cut;
	uint32_t size = disk.now.file[file].size;

	disk_cut_at(&cut, disk.trace, disk.trace->ops);
	disk_state(&cut, 0, DISK_SHORT, &image);
	disk_resize(&image.file[file], size);
	disk_put(&disk.now.file[file], 0, image.file[file].data, size);
}

static void fail_sync(int file)
{
	disk_synced(file, 1);
	if (disk_plan.forgets && !disk.now.file[file].is_dir && disk.trace)
		forget(file);
}

static int decide(struct disk_ask *ask)
{
	int is_sync = ask->call == DISK_CALL_SYNC || ask->call == DISK_CALL_SYNC_DIR;
	struct disk_fault fault;

	if (ask->call == DISK_CALL_CLOSE || ask->call == DISK_CALL_SEEK)
		return 0;
	if (ask->call == DISK_CALL_STAT) /* all is of this second */
		disk.now.file[ask->file].written_ns = disk_plan.wall_ns / 1000000000 * 1000000000;
	if (fails(ask->call, &fault)) {
		if (is_sync && fault.error != -EINTR)
			fail_sync(ask->file);
		if (ask->call != DISK_CALL_WRITE || !fault.partly)
			return fault.error;
		/* What was written before the kernel met the error is what it answers. */
		ask->bytes = ask->bytes < fault.partly ? ask->bytes : fault.partly;
	}
	if (disk_plan.on_gone && ask->file >= 0 &&
	    (ask->call == DISK_CALL_UNLINK ||
	     (ask->call == DISK_CALL_RENAME && disk_find(&disk.now, ask->dir, ask->to) < 0)))
		disk_plan.on_gone(ask->file, ask->name);
	return 0;
}

void disk_start(struct disk_trace *trace, const struct disk_image *image)
{
	memset(disk_plan.called, 0, sizeof(disk_plan.called));
	disk.decide = decide;
	if (trace)
		trace->keeps = DISK_KEEPS_ALL;
	disk_boot(trace, image);
}

void disk_respawn(struct disk_trace *trace, const struct disk_trace *from, int ops)
{
	struct disk_cut cut;

	disk_copy_trace(trace, from, ops);
	disk_start(NULL, &trace->base);
	disk.trace = trace;
	disk_cut_at(&cut, trace, trace->ops);
	memset(cut.durable, 1, sizeof(cut.durable));
	disk_state(&cut, 0, DISK_SHORT, &disk.now);
}

static uint64_t disk_now(void)
{
	return disk_plan.now_ns += 1000;
}

static uint64_t disk_wall(void)
{
	return disk_plan.wall_ns += 1000;
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
	.mkdirat = disk_mkdirat,
	.close = disk_close,
	DISK_SYS,
};
