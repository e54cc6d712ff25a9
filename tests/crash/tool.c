/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool.c - what power.py and eio.py run on file systems that fail.
 *
 *     tool write DIR OPTIONS TABLE    an engine that writes until it dies; see victim.h
 *     tool check DIR TABLE            0: what was acknowledged is there; else a sentence
 *     tool log DIR SYNC               the log's writer alone, ordered by lines of standard input:
 *                                     b N writes N batches, s syncs, t ticks, q closes; each is
 *                                     answered by a line: what, answers, counts
 *     tool read DIR                   numbers of the batches that are read, and counts
 *     tool sync FILE                  writes to a file and syncs it, twice: "-5 0" is a kernel that
 *                                     forgets what it could not write
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/log.h>

#include "log/writer.h"
#include "victim.h"

static uint64_t next_seq;

/*
 * In the place of the C library's. A device that fails for good would stop the file system for
 * good, with its journal: so it is well again as soon as a sync has failed, if there is a file to
 * say so with.
 */
int fdatasync(int fd)
{
	const char *trigger = getenv("WEIR_TRIGGER");
	int r = (int)syscall(SYS_fdatasync, fd), error = errno;

	if (r && trigger)
		(void)unlink(trigger);
	errno = error;
	return r;
}

static int write_batch(struct wr_log_writer *writer)
{
	static _Alignas(8) uint8_t body[4096];
	struct weir_record_header header = { 1000, 0, WEIR_REC_COMMITTED };
	struct weir_log_batch batch = { .seq = next_seq + 1, .records = 3, .wall_ns = next_seq + 1 };
	struct iovec iov = { body, 0 };
	int r;

	memset(batch.engine, 7, 16);
	for (int i = 0; i < 3; i++) {
		memcpy(body + iov.iov_len, &header, sizeof(header));
		memset(body + iov.iov_len + sizeof(header), (int)(batch.seq * 3) + i, header.size);
		iov.iov_len += weir_record_total(header.size, header.flags);
	}
	batch.bytes = iov.iov_len;
	r = wr_log_writer_write(writer, &batch, &iov, 1, NULL);
	next_seq += !r;
	return r;
}

static int log_writer(const char *dir, const char *sync)
{
	struct wr_log_options options = { .sync = !strcmp(sync, "batch") ? WR_LOG_SYNC_BATCH
		                                                         : WR_LOG_SYNC_INTERVAL,
		                          .interval_ns = UINT64_C(3600000000000) };
	struct wr_log_writer *writer;
	struct wr_log_writer_counts counts;
	struct weir_why why = { "" };
	char line[64];
	int r = wr_log_writer_open(dir, &options, NULL, &writer, &why);

	printf("open %d %s\n", r, why.text);
	fflush(stdout);
	while (!r && fgets(line, sizeof(line), stdin) && line[0] != 'q') {
		int answer = 0;

		if (line[0] == 'b')
			for (int n = atoi(line + 1); n > 0 && !answer; n--)
				answer = write_batch(writer);
		else
			answer = line[0] == 's' ? wr_log_writer_sync(writer)
			                        : wr_log_writer_tick(writer);
		wr_log_writer_counts(writer, &counts);
		printf("%c %d acked %" PRIu64 " poisoned %" PRIu64 " rescued %" PRIu64
		       " unsynced %" PRIu64 "\n",
		       line[0], answer, next_seq, counts.poisoned, counts.rescued, counts.unsynced);
		fflush(stdout);
	}
	if (!r)
		printf("close %d\n", wr_log_writer_close(writer));
	return r != 0;
}

static int read_log(const char *dir)
{
	struct weir_log_counts counts = { .size = sizeof(counts) };
	struct weir_log_reader *reader;
	struct weir_record record;
	struct weir_why why = { "" };
	uint64_t last = 0, records = 0;
	int r = weir_log_open(dir, &reader, &why);

	if (r) {
		printf("open %d %s\n", r, why.text);
		return 1;
	}
	while ((r = weir_log_next(reader, &record)) == 1) {
		uint64_t seq = weir_log_batch(reader)->seq;
		const uint8_t *data = record.data;

		if (seq != last && last && records % 3)
			printf("short ");
		if (seq != last)
			printf("%" PRIu64 " ", seq);
		for (uint32_t i = 0; i < record.size; i++)
			if (data[i] != (uint8_t)(seq * 3 + records % 3))
				return printf("wrong bytes in %" PRIu64 "\n", seq), 1;
		last = seq;
		records++;
	}
	weir_log_counts(reader, &counts);
	printf("| damaged %" PRIu64 " duplicates %" PRIu64 " gaps %" PRIu64 "\n", counts.damaged,
	       counts.duplicates, counts.gaps);
	weir_log_close(reader);
	return r < 0;
}

static int sync_twice(const char *path)
{
	static const char bytes[8192] = "new";
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), first, second;

	if (fd < 0 || pwrite(fd, bytes, sizeof(bytes), 0) < 0)
		return printf("%d\n", -errno), 1;
	first = fdatasync(fd) ? -errno : 0;
	second = fdatasync(fd) ? -errno : 0;
	printf("%d %d\n", first, second);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct victim_table *table;
	char why[512] = "";
	uint64_t read;
	int r;

	if (!strcmp(what, "write") && argc == 5) {
		table = victim_map(argv[4]);
		return !table || victim_write(argv[2], argv[3], table, 0, 0);
	}
	if (!strcmp(what, "check") && argc == 4) {
		table = victim_map(argv[3]);
		r = !table || victim_check(argv[2], table, 0, why, sizeof(why), &read);
		printf("%s\n", r ? why : "ok");
		printf("%" PRIu64 "\n", table ? (uint64_t)table->acked[table->lives] : 0);
		return r;
	}
	if (!strcmp(what, "log") && argc == 4)
		return log_writer(argv[2], argv[3]);
	if (!strcmp(what, "read") && argc == 3)
		return read_log(argv[2]);
	if (!strcmp(what, "sync") && argc == 3)
		return sync_twice(argv[2]);
	fprintf(stderr, "usage: see the top of tool.c\n");
	return 2;
}
