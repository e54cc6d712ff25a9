/* SPDX-License-Identifier: Apache-2.0 */
/* collect.c - see collect.h. */
#include "unit/sink/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <weir/log.h>

#include "test.h"

static void put(struct bytes *to, const void *data, size_t bytes)
{
	if (to->used + bytes > to->room) {
		to->room = (to->used + bytes) * 2;
		to->data = realloc(to->data, to->room);
	}
	if (bytes)
		memcpy(to->data + to->used, data, bytes);
	to->used += bytes;
}

static void put_record(struct bytes *to, const void *data, size_t bytes)
{
	uint32_t length = (uint32_t)bytes;

	put(to, &length, sizeof(length));
	put(to, data, bytes);
}

void collect_init(struct collect *collect, const char *kind, const char *frame)
{
	memset(collect, 0, sizeof(*collect));
	collect->kind = kind;
	collect->frame = frame;
	collect->pipe_read = collect->pipe_write = -1;
	pthread_mutex_init(&collect->lock, NULL);
	pthread_cond_init(&collect->changed, NULL);
}

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	(void)rmdir(path);
}

static void join(pthread_t thread, int *has)
{
	if (*has)
		pthread_join(thread, NULL);
	*has = 0;
}

void collect_end(struct collect *collect)
{
	collect_go_on(collect);
	join(collect->helper, &collect->has_helper);
	join(collect->reader, &collect->has_reader);
	if (collect->pipe_read >= 0)
		close(collect->pipe_read);
	if (collect->dir[0])
		remove_dir(collect->dir);
	free(collect->expected.data);
	free(collect->arrived.data);
	free(collect->stream.data);
}

static void set_stalled(struct collect *collect, int stalled)
{
	pthread_mutex_lock(&collect->lock);
	collect->stalled = stalled;
	pthread_cond_broadcast(&collect->changed);
	pthread_mutex_unlock(&collect->lock);
}

void collect_stall(struct collect *collect)
{
	set_stalled(collect, 1);
}

void collect_go_on(struct collect *collect)
{
	set_stalled(collect, 0);
}

static void *go_on_main(void *arg)
{
	usleep(20000);
	collect_go_on(arg);
	return NULL;
}

void collect_go_on_soon(struct collect *collect)
{
	collect->has_helper = !pthread_create(&collect->helper, NULL, go_on_main, collect);
}

void collect_callback(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct collect *collect = arg;
	struct weir_iter iter = { 0, 0, 0 };
	struct weir_record record;

	T_EQ(verdict->kind, WEIR_DONE);
	while (weir_batch_next(batch, &iter, &record))
		put_record(&collect->arrived, record.data, record.size);
}

static void hosted_write(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	struct collect *collect = arg;

	pthread_mutex_lock(&collect->lock);
	while (collect->stalled && !collect->interrupted)
		pthread_cond_wait(&collect->changed, &collect->lock);
	if (collect->interrupted)
		verdict->kind = WEIR_RETRY;
	else
		collect_callback(arg, batch, verdict);
	pthread_mutex_unlock(&collect->lock);
}

static void hosted_interrupt(void *arg)
{
	struct collect *collect = arg;

	pthread_mutex_lock(&collect->lock);
	collect->interrupted = 1;
	pthread_cond_broadcast(&collect->changed);
	pthread_mutex_unlock(&collect->lock);
}

int collect_hosted(struct collect *collect, struct weir_sink **ret_sink)
{
	static const struct weir_hosted_ops ops = { .name = "hosted",
		                                    .write = hosted_write,
		                                    .interrupt = hosted_interrupt };
	const struct weir_sink_caps caps = { .max_inflight = 2, .ordered = 1 };

	return weir_sink_hosted(&ops, collect, &caps, 0, ret_sink);
}

static void *reader_main(void *arg)
{
	struct collect *collect = arg;
	char buffer[65536];
	ssize_t n;

	do {
		pthread_mutex_lock(&collect->lock);
		while (collect->stalled)
			pthread_cond_wait(&collect->changed, &collect->lock);
		pthread_mutex_unlock(&collect->lock);
		n = read(collect->pipe_read, buffer, sizeof(buffer));
		if (n > 0)
			put(&collect->stream, buffer, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return NULL;
}

int collect_pipe(struct collect *collect)
{
	int fds[2];

	T_EQ(pipe2(fds, O_CLOEXEC), 0);
	(void)fcntl(fds[1], F_SETPIPE_SZ, 4096);
	collect->pipe_read = fds[0];
	collect->pipe_write = fds[1];
	collect->has_reader = !pthread_create(&collect->reader, NULL, reader_main, collect);
	return fds[1];
}

const char *collect_dir(struct collect *collect)
{
	snprintf(collect->dir, sizeof(collect->dir), "/tmp/weir-sink-XXXXXX");
	T_TRUE(mkdtemp(collect->dir) != NULL);
	return collect->dir;
}

void collect_expect(struct collect *collect, const void *data, size_t bytes)
{
	put_record(&collect->expected, data, bytes);
}

const struct bytes *collect_stream(struct collect *collect)
{
	collect_go_on(collect);
	join(collect->reader, &collect->has_reader);
	return &collect->stream;
}

/* One record off the stream. Bytes that it took. */
static size_t take_frame(struct collect *collect, const uint8_t *at, size_t left)
{
	const uint8_t *end;
	struct weir_record record;
	uint32_t length;
	size_t total;

	if (strcmp(collect->frame, "raw") == 0) {
		total = (size_t)weir_record_decode(at, left, &record);
		T_TRUE(total != 0);
		put_record(&collect->arrived, record.data, record.size);
		return total;
	}
	if (strcmp(collect->frame, "len32") == 0) {
		T_TRUE(left >= 4);
		length =
		    at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
		T_TRUE(length <= left - 4);
		put_record(&collect->arrived, at + 4, length);
		return 4 + (size_t)length;
	}
	end = memchr(at, strcmp(collect->frame, "nul") == 0 ? '\0' : '\n', left);
	T_TRUE(end != NULL);
	put_record(&collect->arrived, at, (size_t)(end - at));
	return (size_t)(end - at) + 1;
}

static void read_log(struct collect *collect)
{
	struct weir_log_reader *reader;
	struct weir_why why = { "" };
	struct weir_record record;
	int r = weir_log_open(collect->dir, &reader, &why);

	if (r)
		T_FAIL("%d %s", r, why.text);
	while ((r = weir_log_next(reader, &record)) > 0)
		put_record(&collect->arrived, record.data, record.size);
	T_EQ(r, 0);
	weir_log_close(reader);
}

void collect_check(struct collect *collect)
{
	const struct bytes *stream = collect_stream(collect);
	size_t at = 0, same = 0;

	while (collect->frame && at < stream->used)
		at += take_frame(collect, stream->data + at, stream->used - at);
	if (collect->dir[0])
		read_log(collect);
	while (same < collect->expected.used && same < collect->arrived.used &&
	       collect->expected.data[same] == collect->arrived.data[same])
		same++;
	if (same != collect->expected.used || same != collect->arrived.used)
		T_FAIL("%s %s: %zu bytes expected, %zu arrived, the first %zu are the same",
		       collect->kind, collect->frame ? collect->frame : "", collect->expected.used,
		       collect->arrived.used, same);
}
