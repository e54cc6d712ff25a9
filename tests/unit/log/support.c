/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <ftw.h>

struct t_dir t_dir(void)
{
	struct t_dir dir;

	strcpy(dir.base, "/tmp/weir-log-XXXXXX");
	T_TRUE(mkdtemp(dir.base) != NULL);
	snprintf(dir.path, sizeof(dir.path), "%s/log", dir.base);
	return dir;
}

static int remove_one(const char *path, const struct stat *file, int type, struct FTW *at)
{
	(void)file;
	(void)type;
	(void)at;
	return remove(path);
}

void t_remove(struct t_dir *dir)
{
	(void)nftw(dir->base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static uint32_t count_of(const struct weir_sources *sources)
{
	return ((const struct t_sources *)(const void *)sources)->count;
}

static const char *name_of(const struct weir_sources *sources, uint16_t id)
{
	const struct t_sources *own = (const void *)sources;

	return id && id <= own->count ? own->names[id - 1] : NULL;
}

struct t_sources t_sources(const char *const *names, uint32_t count)
{
	return (struct t_sources){ { count_of, name_of }, count, names };
}

struct wr_log_writer *t_open(const char *dir, struct wr_log_options options)
{
	struct wr_log_writer *writer = NULL;
	struct weir_why why = { "" };
	int r = wr_log_writer_open(dir, &options, NULL, &writer, &why);

	if (r)
		T_FAIL("open: %d %s", r, why.text);
	return writer;
}

int t_try(struct wr_log_writer *writer, struct t_batch batch)
{
	static uint8_t body[1 << 20];
	struct weir_log_batch header = { .seq = batch.seq,
		                         .first_record = batch.first_record,
		                         .wall_ns = batch.wall_ns ? batch.wall_ns : batch.seq,
		                         .earliest_ns = batch.wall_ns / 2,
		                         .cause = WEIR_CAUSE_MANUAL,
		                         .attempt = 1 };
	const char *at = batch.records;
	struct iovec iov[2];

	memset(header.engine, batch.life, 16);
	while (at && *at) {
		size_t bytes = strcspn(at, " ");
		const char *next = at + bytes + (at[bytes] == ' ');
		struct weir_record_header record = { 0, batch.source,
			                             (uint16_t)(WEIR_REC_COMMITTED | batch.flags) };

		record.size = bytes == 1 && *at == '-' ? 0 : (uint32_t)bytes;
		memcpy(body + header.bytes, &record, sizeof(record));
		memcpy(body + header.bytes + sizeof(record), at, record.size);
		header.bytes += weir_record_total(record.size, record.flags);
		header.records++;
		at = next;
	}
	if (batch.claimed)
		header.records = batch.claimed;
	/* In two pieces, as of two rings. */
	iov[0] = (struct iovec){ body, header.bytes / 16 * 8 };
	iov[1] = (struct iovec){ body + iov[0].iov_len, header.bytes - iov[0].iov_len };
	return wr_log_writer_write(writer, &header, iov, 2, batch.sources);
}

void t_write(struct wr_log_writer *writer, struct t_batch batch)
{
	T_EQ(t_try(writer, batch), 0);
}

void t_close(struct wr_log_writer *writer)
{
	T_EQ(wr_log_writer_close(writer), 0);
}

void t_run(struct wr_log_writer *writer, uint8_t life, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		char text[24];

		snprintf(text, sizeof(text), "%" PRIu64, seq);
		t_write(writer, (struct t_batch){ .life = life, .seq = seq, .records = text });
	}
}

void t_large(struct wr_log_writer *writer, uint64_t seq, size_t bytes)
{
	static _Alignas(8) uint8_t body[9 << 20];
	struct weir_log_batch batch = { .seq = seq, .wall_ns = seq, .bytes = bytes,
		                        .records = bytes / 1032 };
	struct iovec iov = { body, bytes };

	memset(batch.engine, 1, 16);
	for (size_t at = 0; at < bytes; at += 1032) {
		struct weir_record_header header = { 1024, 0, WEIR_REC_COMMITTED };

		memcpy(body + at, &header, sizeof(header));
		memset(body + at + 8, (int)seq, 1024);
	}
	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), 0);
}

void t_drain(struct weir_log_reader *reader, char *text, size_t bytes)
{
	struct weir_record record;
	size_t used = strlen(text);
	int r;

	while ((r = weir_log_next(reader, &record)) == 1) {
		T_TRUE(used + record.size + 2 < bytes);
		if (used)
			text[used++] = ' ';
		if (!record.size)
			text[used++] = '-';
		memcpy(text + used, record.data, record.size);
		used += record.size;
		text[used] = 0;
	}
	T_EQ(r, 0);
}

struct weir_log_counts t_counts(const struct weir_log_reader *reader)
{
	struct weir_log_counts counts = { .size = sizeof(counts) };

	T_EQ(weir_log_counts(reader, &counts), 0);
	return counts;
}

struct weir_log_reader *t_reader(const char *dir)
{
	struct weir_log_reader *reader = NULL;
	struct weir_why why = { "" };
	int r = weir_log_open(dir, &reader, &why);

	if (r)
		T_FAIL("reader: %d %s", r, why.text);
	return reader;
}

const char *t_read(const char *dir, struct weir_log_counts *ret)
{
	static char text[1 << 16];
	struct weir_log_reader *reader = t_reader(dir);

	text[0] = 0;
	t_drain(reader, text, sizeof(text));
	if (ret)
		*ret = t_counts(reader);
	weir_log_close(reader);
	return text;
}

const char *t_segment(const char *dir, uint64_t number)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%020" PRIu64 ".weir", dir, number);
	return path;
}

uint64_t t_size(const char *path)
{
	struct stat file;

	T_EQ(stat(path, &file), 0);
	return (uint64_t)file.st_size;
}

int t_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

uint8_t *t_load(const char *path, size_t *ret_bytes)
{
	size_t bytes = t_size(path);
	uint8_t *data = malloc(bytes + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	T_TRUE(data && fd >= 0);
	T_EQ(read(fd, data, bytes), bytes);
	close(fd);
	*ret_bytes = bytes;
	return data;
}

void t_store(const char *path, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	T_TRUE(fd >= 0);
	T_EQ(write(fd, data, bytes), bytes);
	close(fd);
}

void t_cut(const char *path, uint64_t bytes)
{
	T_EQ(truncate(path, (off_t)bytes), 0);
}

void t_flip(const char *path, uint64_t offset, int bit)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	T_TRUE(fd >= 0);
	T_EQ(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= (uint8_t)(1u << bit);
	T_EQ(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

void t_append(const char *path, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	T_TRUE(fd >= 0);
	T_EQ(write(fd, data, bytes), bytes);
	close(fd);
}

uint64_t t_block(const char *path, int n, struct wr_log_header *ret)
{
	struct wr_log_header header = { 0 };
	size_t bytes;
	uint8_t *data = t_load(path, &bytes);
	uint64_t at = 0;

	for (;;) {
		if (at >= bytes || wr_log_decode(data + at, bytes - at, &header) != WR_LOG_GOOD)
			T_FAIL("no block %d", n);
		if (!n--)
			break;
		at += wr_log_block_bytes(&header);
	}
	free(data);
	if (ret)
		*ret = header;
	return at;
}
