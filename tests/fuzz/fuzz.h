/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - one function for each thing that reads bytes, and what they share.
 *
 * A target takes any bytes and ends the process when a promise is broken. The same objects run
 * under libFuzzer (libfuzzer.c) and under a plain main that replays the corpora (replay.c). The
 * system table is memory (memory_sys.c), so that no target touches a file or the clock.
 */
#ifndef WEIR_FUZZ_H
#define WEIR_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void fuzz_fn(const uint8_t *data, size_t size);

struct fuzz_target {
	const char *name; /* also of its folder of inputs */
	fuzz_fn *run;
	unsigned bytes_max; /* longer inputs teach nothing new */
};

/* The list ends with a NULL name. */
extern const struct fuzz_target fuzz_targets[];
const struct fuzz_target *fuzz_find(const char *name);

fuzz_fn fuzz_args, fuzz_config_env, fuzz_config_file, fuzz_config_set, fuzz_cpus, fuzz_frames,
	fuzz_json, fuzz_log_dir, fuzz_log_header, fuzz_log_segment, fuzz_probe, fuzz_records,
	fuzz_sink_fd, fuzz_units, fuzz_uri, fuzz_when;

/* A promise: ends the process with a sentence when it is broken. */
#define FUZZ_TRUE(x) ((x) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #x))
_Noreturn void fuzz_broken(const char *file, int line, const char *promise);

/* Bytes taken from the front of an input; when there are no more, zeros. */
struct feed {
	const uint8_t *at;
	size_t left;
};
uint8_t feed_u8(struct feed *feed);
uint16_t feed_u16(struct feed *feed);
uint64_t feed_u64(struct feed *feed);
/* At most @bytes of what is left; *ret_bytes of them. */
const uint8_t *feed_bytes(struct feed *feed, size_t bytes, size_t *ret_bytes);
/* A copy with a NUL behind it, up to @bytes, to be freed. */
char *feed_text(struct feed *feed, size_t bytes);
/* The same up to the next LF, which is passed over. */
char *feed_line(struct feed *feed);

/* Reads every byte, so that a sanitizer sees each. */
unsigned fuzz_touch(const void *data, size_t bytes);

/* Memory that the library asks for: the Nth request from now on fails, and @count - 1 after it. */
void fuzz_fail_memory(unsigned nth, unsigned count);
/* Blocks that were given out and not taken back. */
long fuzz_memory_live(void);

/* fopen() finds nothing. */
extern bool fuzz_no_files;

/* What the command's parts say goes nowhere. */
extern unsigned fuzz_said;

#endif
