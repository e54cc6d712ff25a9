/* SPDX-License-Identifier: Apache-2.0 */
/* support.h - logs to test with: directories, batches of strings, files that are spoiled. */
#ifndef WEIR_TESTS_LOG_SUPPORT_H
#define WEIR_TESTS_LOG_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/log.h>
#include <weir/sink.h>

#include "log/format.h"
#include "log/writer.h"
#include "test.h"

/* A path in a fresh temporary directory that does not exist yet; t_remove() removes the whole. */
struct t_dir {
	char base[64];
	char path[80];
};
struct t_dir t_dir(void);
void t_remove(struct t_dir *dir);

/* Names of ids 1..count. */
struct t_sources {
	struct weir_sources seen;
	uint32_t count;
	const char *const *names;
};
struct t_sources t_sources(const char *const *names, uint32_t count);

/* What is written, and what else there is to say of it: zero is a default. */
struct t_batch {
	uint8_t life; /* fills the uuid */
	uint64_t seq, first_record;
	const char *records; /* separated by spaces; "-": an empty record */
	uint64_t wall_ns;    /* 0: seq */
	uint16_t source;
	uint16_t flags;
	const struct weir_sources *sources;
	uint64_t claimed; /* records that the header says there are */
};

struct wr_log_writer *t_open(const char *dir, struct wr_log_options options);
int t_try(struct wr_log_writer *writer, struct t_batch batch);
/* As above, and must work. */
void t_write(struct wr_log_writer *writer, struct t_batch batch);
void t_close(struct wr_log_writer *writer);
/* Batches first..last of a life, one record each: its number. */
void t_run(struct wr_log_writer *writer, uint8_t life, uint64_t first, uint64_t last);
/* One batch of life 1: @bytes of records of 1 KiB, 1032 each, full of its number. */
void t_large(struct wr_log_writer *writer, uint64_t seq, size_t bytes);

/* Reads on until the end and adds the records to @text, with spaces between. */
void t_drain(struct weir_log_reader *reader, char *text, size_t bytes);
struct weir_log_counts t_counts(const struct weir_log_reader *reader);
/* All of a log: its records in one static string. */
const char *t_read(const char *dir, struct weir_log_counts *ret);
struct weir_log_reader *t_reader(const char *dir);

/* The file of a segment, and what is done to it. */
const char *t_segment(const char *dir, uint64_t number);
uint64_t t_size(const char *path);
int t_exists(const char *path);
uint8_t *t_load(const char *path, size_t *ret_bytes);
void t_store(const char *path, const void *data, size_t bytes);
void t_cut(const char *path, uint64_t bytes);
void t_flip(const char *path, uint64_t offset, int bit);
void t_append(const char *path, const void *data, size_t bytes);
/* Where the n-th block of a segment begins (0: the segment's own). */
uint64_t t_block(const char *path, int n, struct wr_log_header *ret);

#endif
