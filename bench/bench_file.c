/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_file - how fast does the file sink move payload, beside plain write(2)?
 *
 *     one producer ──▶ ring ──▶ flusher ──▶ file sink (sync=none) ──▶ segments in DIR/log
 *     write(2) of the same payload bytes in pieces of 1 MiB       ──▶ DIR/plain
 *
 *     bench_file [DIR [MIB [RECORD_BYTES [ROUNDS]]]]
 *
 * The two alternate in one run; each round begins by removing what the round before has written
 * (write/new), or writes over it (write/over; the log never writes over a segment). DIR should be on
 * tmpfs, so that no disk is measured. Medians, and their ratio.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/weir.h>

#include "harness/bench.h"

#define ROUNDS_MAX 64
#define PIECE (1u << 20)

static char log_dir[4096], plain_path[4096];
static uint64_t payload_bytes;
static size_t record_bytes;
static uint8_t piece[PIECE];

static void die(const char *what)
{
	fprintf(stderr, "bench_file: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void remove_log(void)
{
	DIR *dir = opendir(log_dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(log_dir);
}

static double write_round(int over)
{
	uint64_t t0, t1;
	int fd;

	if (!over)
		unlink(plain_path);
	fd = open(plain_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die(plain_path);
	t0 = bench_now();
	for (uint64_t done = 0; done < payload_bytes; done += PIECE)
		if (write(fd, piece, PIECE) != (ssize_t)PIECE)
			die("write");
	t1 = bench_now();
	close(fd);
	return (double)payload_bytes / (double)(t1 - t0) * 1000;
}

static double weir_round(void)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_SECONDS(60) };
	struct weir_config config;
	struct weir_sink *sink;
	struct weir *weir;
	struct weir_why why;
	char uri[5000];
	uint64_t t0, t1;

	remove_log();
	snprintf(uri, sizeof(uri), "file:%s?sync=none", log_dir);
	weir_config_init(&config);
	if (weir_config_preset(&config, "throughput", &why) || weir_sink_open(uri, &sink, &why) ||
	    weir_open(&config, sink, &weir, &why)) {
		fprintf(stderr, "bench_file: %s\n", why.text);
		exit(1);
	}
	t0 = bench_now();
	for (uint64_t done = 0; done < payload_bytes; done += record_bytes) {
		const void *data = piece + done % (PIECE - record_bytes);

		if (weir_push(weir, data, record_bytes) &&
		    weir_push_ex(weir, data, record_bytes, &options))
			die("push");
	}
	if (weir_flush_wait(weir, WEIR_SECONDS(60)))
		die("flush");
	t1 = bench_now();
	weir_close(weir, WEIR_SECONDS(10), NULL);
	weir_free(weir);
	return (double)payload_bytes / (double)(t1 - t0) * 1000;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *samples, unsigned rounds)
{
	qsort(samples, rounds, sizeof(*samples), compare);
	return samples[rounds / 2];
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "/dev/shm";
	unsigned rounds = argc > 4 ? (unsigned)atoi(argv[4]) : 7;
	double over[ROUNDS_MAX], fresh[ROUNDS_MAX], mine[ROUNDS_MAX], m;

	payload_bytes = (uint64_t)(argc > 2 ? atoi(argv[2]) : 512) << 20;
	record_bytes = argc > 3 ? (size_t)atoi(argv[3]) : 256;
	if (!rounds || rounds > ROUNDS_MAX || !payload_bytes || !record_bytes ||
	    record_bytes > 65536) {
		fprintf(stderr, "usage: bench_file [DIR [MIB [RECORD_BYTES [ROUNDS]]]]\n");
		return 2;
	}
	snprintf(log_dir, sizeof(log_dir), "%s/weir-bench.%d.log", dir, (int)getpid());
	snprintf(plain_path, sizeof(plain_path), "%s/weir-bench.%d.plain", dir, (int)getpid());
	memset(piece, 'x', sizeof(piece));
	(void)write_round(0);
	for (unsigned i = 0; i < rounds; i++) {
		mine[i] = weir_round();
		over[i] = write_round(1);
		fresh[i] = write_round(0);
	}
	remove_log();
	unlink(plain_path);
	m = median(mine, rounds);
	printf("%-24s %8s   %zu-byte records, %llu MiB, %u rounds\n", "payload, MB/s", "median",
	       record_bytes, (unsigned long long)(payload_bytes >> 20), rounds);
	printf("%-24s %8.0f\n", "file/write/over", median(over, rounds));
	printf("%-24s %8.0f\n", "file/write/new", median(fresh, rounds));
	printf("%-24s %8.0f   %.2fx of write/over, %.2fx of write/new\n", "file/weir/sync=none", m,
	       m / median(over, rounds), m / median(fresh, rounds));
	return 0;
}
