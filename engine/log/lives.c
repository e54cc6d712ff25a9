/* SPDX-License-Identifier: Apache-2.0 */
/* lives.c - segments in reading order. thread: the reader's */
#include "log/lives.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "log/scan.h"

int wr_log_lives_open(const struct wr_log_lives *lives, uint64_t number)
{
	char name[WR_LOG_NAME_BYTES];
	struct stat file;
	int fd, r;

	wr_log_segment_name(number, name);
	/* Non-blocking for the sake of a fifo that somebody put there. */
	fd = wr_sys.openat(lives->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	r = wr_sys.fstat(fd, &file);
	if (!r && !S_ISREG(file.st_mode))
		r = -EINVAL;
	if (!r)
		return fd;
	wr_sys.close(fd);
	return r;
}

/* What its first good block says. 0, or -errno: it cannot be read, and nothing is known of it. */
static int probe(struct wr_log_part *part, struct wr_log_window *window, int fd)
{
	struct wr_log_header header;
	struct wr_log_scan scan;
	uint64_t to;
	int step;

	wr_log_scan_begin(&scan, window, fd, part->number);
	for (;;) {
		step = wr_log_scan_look(&scan, &header, &to);
		if (step == WR_LOG_STEP_DAMAGE) {
			scan.at = to;
			continue;
		}
		if (step < 0)
			return step;
		if (step != WR_LOG_STEP_BLOCK)
			return 0;
		memcpy(part->engine, header.engine, 16);
		part->headless = 0;
		if (header.kind == WR_LOG_SEGMENT) {
			part->wall_ns = header.start.wall_ns;
			part->first = header.start.first;
			part->flags = header.start.flags;
			return 0;
		}
		if (header.kind == WR_LOG_BATCH) {
			part->wall_ns = header.batch.wall_ns;
			return 0;
		}
		scan.at += wr_log_block_bytes(&header);
	}
}

static int add(struct wr_log_lives *lives, const struct wr_log_part *part)
{
	if (lives->count == lives->room) {
		size_t room = lives->room ? 2 * lives->room : 64;
		struct wr_log_part *parts = wr_mem_alloc(&lives->mem, room * sizeof(*parts));

		if (!parts)
			return -ENOMEM;
		if (lives->count)
			memcpy(parts, lives->parts, lives->count * sizeof(*parts));
		wr_mem_free(&lives->mem, lives->parts, lives->room * sizeof(*parts));
		lives->parts = parts;
		lives->room = room;
	}
	lives->parts[lives->count++] = *part;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct wr_log_part *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int by_engine(const void *a, const void *b)
{
	const struct wr_log_part *x = a, *y = b;
	int order = memcmp(x->engine, y->engine, 16);

	return order ? order : by_number(a, b);
}

static int by_life(const void *a, const void *b)
{
	const struct wr_log_part *x = a, *y = b;

	if (x->life_wall_ns != y->life_wall_ns)
		return x->life_wall_ns < y->life_wall_ns ? -1 : 1;
	if (x->life_number != y->life_number)
		return x->life_number < y->life_number ? -1 : 1;
	return by_number(a, b);
}

/* When the life of the first of @count parts, sorted by life, began, as far as is left of it. */
static uint64_t wall_of(const struct wr_log_part *parts, size_t count)
{
	for (size_t i = 0; i < count && !memcmp(parts[i].engine, parts->engine, 16); i++)
		if (parts[i].wall_ns) /* its beginning may be damaged, down to a list of names */
			return parts[i].wall_ns;
	return 0;
}

/* Puts the parts from @from on in order; the life of the one before goes on first. */
static void order(struct wr_log_lives *lives, size_t from)
{
	struct wr_log_part *parts = lives->parts + from;
	const struct wr_log_part *last = from ? parts - 1 : NULL;
	size_t count = lives->count - from;

	for (size_t i = 0; i < count; i++) /* they lie in the order of their numbers */
		if (parts[i].headless && (i || last))
			memcpy(parts[i].engine, i ? parts[i - 1].engine : last->engine, 16);
	qsort(parts, count, sizeof(*parts), by_engine);
	for (size_t i = 0; i < count; i++) {
		if (i && !memcmp(parts[i].engine, parts[i - 1].engine, 16)) {
			parts[i].life_wall_ns = parts[i - 1].life_wall_ns;
			parts[i].life_number = parts[i - 1].life_number;
		} else if (last && !memcmp(parts[i].engine, last->engine, 16)) {
			parts[i].life_wall_ns = 0;
			parts[i].life_number = 0;
		} else {
			parts[i].life_wall_ns = wall_of(parts + i, count - i);
			parts[i].life_number = parts[i].number;
		}
	}
	qsort(parts, count, sizeof(*parts), by_life);
}

/* 1: added; 0: not now; -errno. */
static int take(struct wr_log_lives *lives, struct wr_log_window *window, uint64_t number, int last)
{
	struct wr_log_part part = { .number = number, .headless = 1 };
	int fd = wr_log_lives_open(lives, number), r = fd < 0 ? fd : 0;
	struct stat file;

	if (fd == -ENOENT)
		return 0;
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return fd;
	if (fd >= 0) {
		r = wr_sys.fstat(fd, &file);
		if (!r && last && (uint64_t)file.st_size < WR_LOG_SEGMENT_BYTES) {
			/* Being made, or all that a crash left of it: a next look will tell. */
			lives->unborn_bytes = (uint64_t)file.st_size;
			wr_sys.close(fd);
			return 0;
		}
		r = r ? r : probe(&part, window, fd);
		wr_sys.close(fd);
	}
	if (r == -ENOMEM)
		return r;
	part.unlooked = r < 0;
	r = add(lives, &part);
	if (r)
		return r;
	if (number > lives->highest)
		lives->highest = number;
	return 1;
}

int wr_log_lives_look(struct wr_log_lives *lives, struct wr_log_window *window)
{
	struct wr_log_listing listing = { 0 };
	uint64_t highest = lives->highest;
	size_t from = lives->count;
	int r = wr_log_dir_list(lives->dir_fd, &lives->mem, &listing);

	if (r)
		return r;
	lives->locked = listing.locked;
	lives->others = listing.others;
	lives->unborn_bytes = 0;
	for (size_t i = 0; i < listing.count && r >= 0; i++)
		if (!from || listing.numbers[i] > lives->highest)
			r = take(lives, window, listing.numbers[i], i + 1 == listing.count);
	wr_log_listing_fini(&listing, &lives->mem);
	if (r < 0) {
		lives->count = from;
		lives->highest = highest;
		return r;
	}
	if (lives->count > from)
		order(lives, from);
	return (int)(lives->count - from);
}

int wr_log_lives_look_again(struct wr_log_lives *lives, struct wr_log_window *window, size_t from)
{
	int known = 0;

	for (size_t i = from; i < lives->count; i++) {
		struct wr_log_part *part = &lives->parts[i];
		int fd, r;

		if (!part->unlooked)
			continue;
		fd = wr_log_lives_open(lives, part->number);
		if (fd < 0)
			continue;
		r = probe(part, window, fd);
		wr_sys.close(fd);
		if (r == -ENOMEM || (r < 0 && i == from))
			return r;
		if (r < 0)
			continue;
		part->unlooked = 0;
		known = 1;
	}
	if (known) {
		qsort(lives->parts + from, lives->count - from, sizeof(*lives->parts), by_number);
		order(lives, from);
	}
	return known;
}

uint64_t wr_log_lives_first(const struct wr_log_lives *lives, const struct wr_log_part *part)
{
	const struct wr_log_part *end = lives->parts + lives->count, *at = part;

	while (at < end && !at->first && !memcmp(at->engine, part->engine, 16))
		at++;
	return at < end && !memcmp(at->engine, part->engine, 16) ? at->first : 0;
}

int wr_log_lives_is_front(const struct wr_log_lives *lives, const struct wr_log_part *part)
{
	struct wr_log_listing listing = { 0 };
	int front;

	if (wr_log_dir_list(lives->dir_fd, &lives->mem, &listing))
		return 0;
	front = !listing.count || listing.numbers[0] >= part->number;
	wr_log_listing_fini(&listing, &lives->mem);
	return front;
}

void wr_log_lives_fini(struct wr_log_lives *lives)
{
	wr_mem_free(&lives->mem, lives->parts, lives->room * sizeof(*lives->parts));
	lives->parts = NULL;
	lives->count = lives->room = 0;
}
