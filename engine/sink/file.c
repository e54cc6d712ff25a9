/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - the segment log as a sink: file:DIR.
 *
 * It knows the writer of the log, and which of its errors may pass. It does not know the format.
 * The log decides alone when a segment ends and when it is made durable. thread: the sink's own,
 * where nothing else is said
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "log/dir.h"
#include "log/format.h"
#include "log/writer.h"
#include "sink/uri.h"

#define INFLIGHT 2
#define RETRY_NS 100000000u /* a full disk may get room; the engine bounds the whole by a time */

struct file {
	struct wr_log_writer *writer;
	uint64_t unsynced;    /* of the writer's counts, as last seen */
	int interval;         /* sync=interval */
	size_t bytes;         /* of this, with the path */
	pthread_mutex_t lock; /* of trouble, alone: never held during a write */
	struct weir_why trouble;
	char path[];
};

static void set_trouble(struct file *file, const char *what, int error)
{
	pthread_mutex_lock(&file->lock);
	wr_sink_why(&file->trouble, 0, "%s the log %.150s: %s", what, file->path,
	            wr_log_reason(error));
	pthread_mutex_unlock(&file->lock);
}

/* After every act of the writer: whether something that was acknowledged may be lost. */
static void look_back(struct file *file)
{
	struct wr_log_writer_counts counts;

	wr_log_writer_counts(file->writer, &counts);
	if (counts.unsynced == file->unsynced)
		return;
	file->unsynced = counts.unsynced;
	set_trouble(file, "a sync failed, and delivered batches could not be read back from", -EIO);
}

/* The monotonic time of the first record as wall time: both clocks were read at the cut. */
static uint64_t earliest_wall(const struct weir_batch *batch)
{
	uint64_t age =
	    batch->formed_ns > batch->earliest_ns ? batch->formed_ns - batch->earliest_ns : 0;

	return batch->wall_ns > age ? batch->wall_ns - age : 0;
}

static void file_write(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct file *file = arg;
	struct weir_log_batch header = {
		.seq = batch->seq,
		.first_record = batch->first_record,
		.wall_ns = batch->wall_ns,
		.earliest_ns = earliest_wall(batch),
		.records = batch->records,
		.bytes = batch->bytes,
		.cause = batch->cause,
		.attempt = batch->attempt,
	};
	int r, sync_error = 0;

	memcpy(header.engine, batch->engine, 16);
	r = wr_log_writer_write(file->writer, &header, batch->iov, batch->span_count,
	                        batch->sources);
	/* Probably the last one: here, where it delays nobody, rather than in close. */
	if (!r && batch->cause == WEIR_CAUSE_SHUTDOWN && file->interval)
		sync_error = wr_log_writer_sync(file->writer);
	look_back(file);
	if (sync_error)
		set_trouble(file, "cannot sync", sync_error);
	if (!r)
		return;
	set_trouble(file, "cannot write", r);
	verdict->code = r;
	if (r == -EMSGSIZE) {
		verdict->kind = WEIR_SPLIT;
	} else if (r == -EOVERFLOW) { /* no segment number is left */
		verdict->kind = WEIR_FATAL;
	} else if (r == -EINVAL) { /* the batch contradicts itself */
		verdict->kind = WEIR_REJECT;
	} else {
		verdict->kind = WEIR_RETRY;
		verdict->after_ns = RETRY_NS;
	}
}

static void file_idle(void *arg)
{
	struct file *file = arg;
	int r = wr_log_writer_tick(file->writer);

	look_back(file);
	if (r)
		set_trouble(file, "cannot sync", r);
}

/* thread: any */
static void file_trouble(void *arg, struct weir_why *ret_why)
{
	struct file *file = arg;

	pthread_mutex_lock(&file->lock);
	*ret_why = file->trouble;
	pthread_mutex_unlock(&file->lock);
}

/* thread: owner, the sink's own has ended */
static void file_close(void *arg)
{
	struct file *file = arg;

	(void)wr_log_writer_close(file->writer);
	pthread_mutex_destroy(&file->lock);
	wr_mem_free(NULL, file, file->bytes);
}

static const struct weir_hosted_ops file_ops = {
	.name = "file",
	.write = file_write,
	.idle = file_idle,
	.trouble = file_trouble,
	.close = file_close,
};

static int read_options(const struct wr_uri *uri, struct wr_log_options *options,
                        struct weir_why *ret_why)
{
	uint32_t sync = WR_LOG_SYNC_INTERVAL;
	int r = wr_uri_check(uri, "sync|interval|segment|max_bytes|max_age", ret_why);

	options->interval_ns = WR_LOG_INTERVAL_NS;
	options->segment_bytes = WR_LOG_SEGMENT_SIZE;
	if (!r)
		r = wr_uri_choice(uri, "sync", "none|interval|batch", &sync, ret_why);
	if (!r)
		r = wr_uri_duration(uri, "interval", &options->interval_ns, ret_why);
	if (!r)
		r = wr_uri_bytes(uri, "segment", &options->segment_bytes, ret_why);
	if (!r)
		r = wr_uri_bytes(uri, "max_bytes", &options->max_bytes, ret_why);
	if (!r)
		r = wr_uri_duration(uri, "max_age", &options->max_age_ns, ret_why);
	if (r)
		return r;
	options->sync = (enum wr_log_sync)sync;
	if (!options->interval_ns)
		return wr_sink_why(ret_why, -EINVAL,
		                   "interval=0: use sync=batch for a sync per batch");
	if (!options->segment_bytes)
		return wr_sink_why(ret_why, -EINVAL, "segment=0: a segment holds at least 4KiB");
	/* A small log has small segments, unless it was said how large. */
	if (options->max_bytes && !wr_uri_get(uri, "segment") &&
	    options->max_bytes / 4 < options->segment_bytes)
		options->segment_bytes = options->max_bytes / 4;
	return 0;
}

int wr_sink_file_open(const char *path, const struct wr_uri *uri, struct weir_sink **ret_sink,
                      struct weir_why *ret_why)
{
	const struct weir_sink_caps caps = { .max_bytes = WR_LOG_BATCH_BODY_MAX,
		                             .max_inflight = INFLIGHT,
		                             .ordered = 1 };
	struct wr_log_options options = { 0 };
	size_t bytes = sizeof(struct file) + strlen(path) + 1;
	uint64_t idle_ns;
	struct file *file;
	int r = read_options(uri, &options, ret_why);

	if (r)
		return r;
	if (!path[0])
		return wr_sink_why(ret_why, -EINVAL, "file: names no directory; file:DIR");
	file = wr_mem_alloc(NULL, bytes);
	if (!file)
		return wr_sink_why(ret_why, -ENOMEM, "no memory for the sink of %.150s", path);
	file->bytes = bytes;
	memcpy(file->path, path, strlen(path) + 1);
	pthread_mutex_init(&file->lock, NULL);
	file->interval = options.sync == WR_LOG_SYNC_INTERVAL;
	idle_ns = options.sync == WR_LOG_SYNC_INTERVAL ? (options.interval_ns + 1) / 2 : 0;
	r = wr_log_writer_open(path, &options, NULL, &file->writer, ret_why);
	if (!r) {
		r = weir_sink_hosted(&file_ops, file, &caps, idle_ns, ret_sink);
		if (!r)
			return 0;
		wr_sink_why(ret_why, r, "no memory for the sink of %.150s", path);
	}
	(void)wr_log_writer_close(file->writer);
	pthread_mutex_destroy(&file->lock);
	wr_mem_free(NULL, file, bytes);
	return r;
}
