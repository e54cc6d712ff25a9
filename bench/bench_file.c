/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_file - how fast does the file sink move payload, beside plain write(2)?
 *
 *     one producer ──▶ ring ──▶ flusher ──▶ file sink (sync=none) ──▶ segments in DIR/log
 *     write(2) of the same payload bytes in pieces of 1 MiB       ──▶ DIR/plain
 *
 *     bench_file [DIR [MIB [RECORD_BYTES [ROUNDS]]]]
 *
 * Two pairs alternate in one run. `over`: both write over pages that are there, as a log does that
 * is as large as max_bytes lets it be; write(2) writes over its file. `new`: both begin each round
 * by removing what the round before has written. DIR should be on tmpfs, so that no disk is
 * measured. Medians, and the ratio of each pair.
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

#include "harness/clock.h"

#define ROUNDS_MAX 64
#define PIECE (1u << 20)
#define MIN_LOG (UINT64_C(128) << 20) /* two segments */

static char over_dir[4096], new_dir[4096], plain_path[4096];
static uint64_t payload_bytes;
static size_t record_bytes;
static uint8_t piece[PIECE];

static void die(const char *what)
{
	fprintf(stderr, "bench_file: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void remove_log(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
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

/* An engine as a program sets one up that moves much and waits for nothing. */
static struct weir *open_weir(const char *dir, uint64_t max_bytes)
{
	struct weir_config config;
	struct weir_sink *sink;
	struct weir *weir;
	struct weir_why why;
	char uri[5000];

	snprintf(uri, sizeof(uri), "file:%s?sync=none&segment=64MiB&max_bytes=%llu", dir,
	         (unsigned long long)max_bytes);
	weir_config_init(&config);
	if (weir_config_preset(&config, "throughput", &why) || weir_sink_open(uri, &sink, &why) ||
	    weir_open(&config, sink, &weir, &why)) {
		fprintf(stderr, "bench_file: %s\n", why.text);
		exit(1);
	}
	return weir;
}

static void close_weir(struct weir *weir)
{
	weir_close(weir, WEIR_SECONDS(10), NULL);
	weir_free(weir);
}

static double push_round(struct weir *weir)
{
	struct weir_push_options options = { .wait = WEIR_PUSH_WAIT, .wait_ns = WEIR_SECONDS(60) };
	uint64_t t0 = bench_now(), t1;

	for (uint64_t done = 0; done < payload_bytes; done += record_bytes) {
		const void *data = piece + done % (PIECE - record_bytes);

		if (weir_push(weir, data, record_bytes) &&
		    weir_push_ex(weir, data, record_bytes, &options))
			die("push");
	}
	if (weir_flush_wait(weir, WEIR_SECONDS(60)))
		die("flush");
	t1 = bench_now();
	return (double)payload_bytes / (double)(t1 - t0) * 1000;
}

static double new_round(void)
{
	struct weir *weir = open_weir(new_dir, 0);
	double speed = push_round(weir);

	close_weir(weir);
	remove_log(new_dir);
	return speed;
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

static void print_pair(const char *what, double weir, double plain)
{
	printf("file/write/%-7s %8.0f\n", what, plain);
	printf("file/weir/%-8s %8.0f   %.2f x of file/write/%s\n", what, weir, weir / plain, what);
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "/dev/shm";
	unsigned rounds = argc > 4 ? (unsigned)atoi(argv[4]) : 7;
	double write_over[ROUNDS_MAX], write_new[ROUNDS_MAX], weir_over[ROUNDS_MAX];
	double weir_new[ROUNDS_MAX];
	struct weir *weir;

	payload_bytes = (uint64_t)(argc > 2 ? atoi(argv[2]) : 512) << 20;
	record_bytes = argc > 3 ? (size_t)atoi(argv[3]) : 256;
	if (!rounds || rounds > ROUNDS_MAX || !payload_bytes || !record_bytes ||
	    record_bytes > 65536) {
		fprintf(stderr, "usage: bench_file [DIR [MIB [RECORD_BYTES [ROUNDS]]]]\n");
		return 2;
	}
	snprintf(over_dir, sizeof(over_dir), "%s/weir-bench.%d.over", dir, (int)getpid());
	snprintf(new_dir, sizeof(new_dir), "%s/weir-bench.%d.new", dir, (int)getpid());
	snprintf(plain_path, sizeof(plain_path), "%s/weir-bench.%d.plain", dir, (int)getpid());
	memset(piece, 'x', sizeof(piece));
	/* Until the log is as large as it may be: then each segment is written over an old one. */
	weir = open_weir(over_dir, payload_bytes > MIN_LOG ? payload_bytes : MIN_LOG);
	(void)push_round(weir);
	(void)push_round(weir);
	for (unsigned i = 0; i < rounds; i++) {
		weir_new[i] = new_round();
		write_new[i] = write_round(0);
		write_over[i] = write_round(1);
		weir_over[i] = push_round(weir);
	}
	close_weir(weir);
	remove_log(over_dir);
	unlink(plain_path);
	printf("%-18s %8s   %zu-byte records, %llu MiB, %u rounds\n", "payload, MB/s", "median",
	       record_bytes, (unsigned long long)(payload_bytes >> 20), rounds);
	print_pair("over", median(weir_over, rounds), median(write_over, rounds));
	print_pair("new", median(weir_new, rounds), median(write_new, rounds));
	return 0;
}
