/* SPDX-License-Identifier: Apache-2.0 */
/* race_test.c - a reader that follows while a writer writes, rotates and removes. */
#include <pthread.h>
#include <stdatomic.h>

#include "support.h"

static atomic_int done;

struct job {
	struct wr_log_options options;
	char path[80];
	uint64_t batches;
};

static void *write_all(void *arg)
{
	struct job *job = arg;
	struct wr_log_writer *writer = t_open(job->path, job->options);
	static char text[3000];

	for (uint64_t seq = 1; seq <= job->batches; seq++) {
		size_t bytes = 1 + seq * 7919 % (sizeof(text) - 1);

		memset(text, 'a' + (int)(seq % 26), bytes);
		text[bytes] = 0;
		t_write(writer, (struct t_batch){ .life = 1, .seq = seq, .records = text });
	}
	t_close(writer);
	/* ORDER none: seq_cst. The reader looks once more after it. */
	atomic_store(&done, 1);
	return NULL;
}

/* Reads until the writer is done. The last number read. */
static uint64_t follow(struct weir_log_reader *reader, uint64_t *ret_read)
{
	struct weir_record record;
	uint64_t last = 0;
	int ending = 0, r;

	for (*ret_read = 0;;) {
		r = weir_log_next(reader, &record);
		if (r == 1) {
			const struct weir_log_batch *batch = weir_log_batch(reader);

			T_TRUE(batch->seq > last);
			last = batch->seq;
			T_EQ(record.size, 1 + last * 7919 % 2999);
			for (uint32_t i = 0; i < record.size; i++)
				T_EQ(((const char *)record.data)[i], 'a' + (int)(last % 26));
			++*ret_read;
			continue;
		}
		T_EQ(r, 0);
		T_EQ(t_counts(reader).damaged, 0);
		if (ending)
			return last;
		ending = atomic_load(&done);
		usleep(200);
	}
}

static void race(struct wr_log_options options, int all)
{
	struct t_dir dir = t_dir();
	struct job job = { .options = options, .batches = 4000 };
	struct weir_log_reader *reader;
	struct weir_log_counts counts;
	pthread_t thread;
	uint64_t last, read;

	strcpy(job.path, dir.path);
	T_EQ(mkdir(dir.path, 0700), 0);
	reader = t_reader(dir.path);
	T_EQ(pthread_create(&thread, NULL, write_all, &job), 0);
	last = follow(reader, &read);
	T_EQ(pthread_join(thread, NULL), 0);
	counts = t_counts(reader);
	T_EQ(last, job.batches);
	if (all)
		T_EQ(read, job.batches);
	T_EQ(counts.damaged + counts.gaps + counts.duplicates + counts.torn_bytes, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

Test(log_race, a_follower_reads_all_that_is_written)
{
	race((struct wr_log_options){ .segment_bytes = 65536 }, 1);
}

Test(log_race, a_follower_that_is_overtaken_by_retention_sees_no_damage)
{
	race((struct wr_log_options){ .segment_bytes = 8192, .max_bytes = 16384 }, 0);
}
