/* SPDX-License-Identifier: Apache-2.0 */
/* disk_image.c - see disk_image.h. */
#include "support/disk_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct disk_file *file, uint32_t size)
{
	if (size <= file->room)
		return;
	file->room = size < 2048 ? 4096 : 2 * size;
	file->data = realloc(file->data, file->room);
	if (!file->data)
		disk_broken("no memory for a file");
}

void disk_empty(struct disk_image *image)
{
	image->names = image->files = 0;
	(void)disk_new_file(image, 1);
}

void disk_copy_file(struct disk_file *to, const struct disk_file *from)
{
	struct disk_file old;

	reserve(to, from->size);
	old = *to;
	*to = *from;
	to->data = old.data;
	to->room = old.room;
	if (from->size)
		memcpy(to->data, from->data, from->size);
}

void disk_copy(struct disk_image *to, const struct disk_image *from)
{
	to->names = from->names;
	to->files = from->files;
	memcpy(to->name, from->name, (size_t)from->names * sizeof(from->name[0]));
	for (int i = 0; i < from->files; i++)
		disk_copy_file(&to->file[i], &from->file[i]);
}

void disk_copy_names(struct disk_image *to, const struct disk_image *from, int dir)
{
	for (int i = 0; i < to->names; i++)
		if (to->name[i].dir == dir)
			to->name[i].file = -1;
	for (int i = 0; i < from->names; i++)
		if (from->name[i].dir == dir && from->name[i].file >= 0)
			disk_link(to, dir, from->name[i].name, from->name[i].file);
}

static int index_of(const struct disk_image *image, int dir, const char *name)
{
	for (int i = 0; i < image->names; i++)
		if (image->name[i].file >= 0 && image->name[i].dir == dir &&
		    !strcmp(image->name[i].name, name))
			return i;
	return -1;
}

int disk_find(const struct disk_image *image, int dir, const char *name)
{
	int i = index_of(image, dir, name);

	return i < 0 ? -1 : image->name[i].file;
}

const char *disk_name_of(const struct disk_image *image, int file)
{
	for (int i = 0; i < image->names; i++)
		if (image->name[i].file == file)
			return image->name[i].name;
	return NULL;
}

void disk_link(struct disk_image *image, int dir, const char *name, int file)
{
	int i = index_of(image, dir, name);

	for (int k = 0; k < image->names && i < 0; k++)
		if (image->name[k].file < 0)
			i = k;
	if (i < 0 && image->names == DISK_NAMES)
		disk_broken("too many names");
	if (i < 0)
		i = image->names++;
	image->name[i].dir = dir;
	image->name[i].file = file;
	snprintf(image->name[i].name, DISK_NAME_BYTES, "%s", name);
}

void disk_unlink(struct disk_image *image, int dir, const char *name)
{
	int i = index_of(image, dir, name);

	if (i >= 0)
		image->name[i].file = -1;
}

int disk_new_file(struct disk_image *image, int is_dir)
{
	struct disk_file *file;
	int i = 0;

	while (i < image->files && image->file[i].in_use)
		i++;
	if (i == DISK_FILES)
		disk_broken("too many files");
	if (i == image->files)
		image->files++;
	file = &image->file[i];
	*file = (struct disk_file){ .data = file->data, .room = file->room, .in_use = 1,
		                    .is_dir = (uint8_t)is_dir };
	return i;
}

void disk_resize(struct disk_file *file, uint32_t size)
{
	reserve(file, size);
	if (size > file->size)
		memset(file->data + file->size, 0, size - file->size);
	file->size = size;
}

void disk_put(struct disk_file *file, uint32_t offset, const void *bytes, uint32_t count)
{
	if (offset + count > file->size)
		disk_resize(file, offset + count);
	if (count)
		memcpy(file->data + offset, bytes, count);
}
