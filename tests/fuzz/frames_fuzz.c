/* SPDX-License-Identifier: Apache-2.0 */
/* frames_fuzz.c - records out of bytes and into bytes: splitting, joining, decoding, the stream. */
#include <errno.h>
#include <fcntl.h>
#include <weir/sink.h>

#include "../../tools/weir/command.h"
#include "../../tools/weir/frame.h"
#include "../../tools/weir/join.h"
#include "base/sys.h"
#include "fuzz.h"
#include "memory_sys.h"
#include "sink/fd.h"

struct pieces {
	size_t count;
	bool truncated;
	struct {
		size_t size;
		uint16_t flags;
	} list[600];
	uint8_t bytes[4096];
	size_t used;
};

static void split(struct pieces *ret, enum frame frame, size_t record_max, size_t step,
                  const uint8_t *bytes, size_t size)
{
	struct splitter splitter = { .frame = frame, .record_max = record_max };
	struct piece piece;
	size_t begin = 0, end = 0;

	*ret = (struct pieces){ 0 };
	do {
		end = size - end < step ? size : end + step;
		while (splitter_next(&splitter, bytes + begin, end - begin, end == size, &piece)) {
			FUZZ_TRUE(piece.size <= record_max);
			FUZZ_TRUE(piece.used && piece.used <= end - begin);
			FUZZ_TRUE(piece.data + piece.size <= bytes + end);
			FUZZ_TRUE(ret->count < 600);
			memcpy(ret->bytes + ret->used, piece.data, piece.size);
			ret->used += piece.size;
			ret->list[ret->count].size = piece.size;
			ret->list[ret->count++].flags = piece.flags;
			begin += piece.used;
		}
	} while (end < size);
	ret->truncated = splitter.truncated;
	FUZZ_TRUE(begin == size || (frame == FRAME_LEN32 && splitter.truncated));
}

/* What was split, put together again, is the stream. */
static void check_pieces(const struct pieces *pieces, enum frame frame, const uint8_t *stream,
                         size_t size)
{
	const uint8_t *at = pieces->bytes;
	uint64_t left = 0;
	size_t done = 0;

	for (size_t i = 0; i < pieces->count; i++) {
		size_t bytes = pieces->list[i].size;
		uint16_t flags = pieces->list[i].flags;

		if (frame == FRAME_LEN32 && !left) {
			FUZZ_TRUE(done + 4 <= size);
			for (int k = 0; k < 4; k++)
				left |= (uint64_t)stream[done + (size_t)k] << 8 * k;
			done += 4;
		}
		FUZZ_TRUE(done + bytes <= size && !memcmp(stream + done, at, bytes));
		done += bytes;
		at += bytes;
		if (frame == FRAME_LEN32) {
			FUZZ_TRUE(bytes <= left);
			left -= bytes;
			FUZZ_TRUE((flags == WEIR_REC_CONTINUES) == (left && done < size) ||
			          flags == WEIR_REC_NO_EOL || pieces->truncated);
			if (flags == WEIR_REC_NO_EOL)
				left = 0;
		} else if (!flags) {
			FUZZ_TRUE(done < size && stream[done] == (frame == FRAME_NUL ? 0 : '\n'));
			done++;
		}
	}
	FUZZ_TRUE(done == size || pieces->truncated);
}

/* Parts of two sources, mixed: what comes out is as long as what went in. */
static void join_all(const struct pieces *pieces, uint8_t sources)
{
	struct join join = { 0 };
	const uint8_t *at = pieces->bytes;
	uint64_t in = 0, out = 0, parts_in = 0, parts_out = 0;
	struct whence whence = { .name = "a source" };
	struct weir_record record;
	uint32_t parts;

	for (size_t i = 0; i < pieces->count; i++) {
		record = (struct weir_record){ .data = at,
			                       .size = (uint32_t)pieces->list[i].size,
			                       .flags = pieces->list[i].flags,
			                       .source = (uint16_t)(sources & i ? 70 * sources : 1) };
		at += record.size;
		in += record.size;
		parts_in++;
		if (join_take(&join, &record, &whence, &parts)) {
			fuzz_touch(record.data, record.size);
			out += record.size;
			parts_out += parts;
		}
	}
	while (join_rest(&join, &record, &whence, &parts)) {
		fuzz_touch(record.data, record.size);
		out += record.size;
		parts_out += parts;
	}
	FUZZ_TRUE(in == out && parts_in == parts_out);
	join_free(&join);
}

/* Which frame, record_max, bytes at a time, sources; then the stream. */
void fuzz_frames(const uint8_t *data, size_t size)
{
	static struct pieces whole, pieces;
	struct feed feed = { data, size };
	enum frame frame = (enum frame)(feed_u8(&feed) % 3), parsed;
	size_t record_max = 1 + feed_u8(&feed) % 64u, step = 1 + feed_u8(&feed) % 32u;
	uint8_t sources = feed_u8(&feed);
	char *name = feed_text(&feed, 6);

	FUZZ_TRUE((frame_parse(name, &parsed) == END_OK) ==
	          (!strcmp(name, "lines") || !strcmp(name, "len32") || !strcmp(name, "nul")));
	split(&whole, frame, record_max, feed.left + 1, feed.at, feed.left);
	split(&pieces, frame, record_max, step, feed.at, feed.left);
	FUZZ_TRUE(whole.truncated == pieces.truncated);
	FUZZ_TRUE(memcmp(&whole, &pieces, sizeof(whole)) == 0);
	check_pieces(&whole, frame, feed.at, feed.left);
	join_all(&whole, sources);
	free(name);
}

/* Two lengths of spans, then bytes: whatever they are, an iteration stays inside. */
void fuzz_records(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	size_t first = feed_u16(&feed) % 256u, second = feed_u8(&feed);
	struct iovec iov[3];
	struct weir_batch batch = { .span_count = 3, .iov = iov };
	struct weir_record record;
	struct weir_iter iter = { 0 };
	uint8_t *copies[3];
	size_t total = 0, seen = 0;

	for (int i = 0; i < 3; i++) {
		const uint8_t *at = feed_bytes(&feed, i == 0 ? first : i == 1 ? second : feed.left,
		                               &iov[i].iov_len);

		copies[i] = malloc(iov[i].iov_len + 1);
		FUZZ_TRUE(copies[i]);
		memcpy(copies[i], at, iov[i].iov_len);
		copies[i] = realloc(copies[i], iov[i].iov_len ? iov[i].iov_len : 1);
		iov[i].iov_base = copies[i];
		total += iov[i].iov_len;
	}
	while (weir_batch_next(&batch, &iter, &record)) {
		const uint8_t *base = iov[iter.span].iov_base;
		uint64_t bytes = weir_record_total(record.size, record.flags);

		FUZZ_TRUE(iter.offset <= iov[iter.span].iov_len && bytes % 8 == 0);
		FUZZ_TRUE((const uint8_t *)record.data >= base + iter.offset - bytes);
		FUZZ_TRUE((const uint8_t *)record.data + record.size <= base + iter.offset);
		FUZZ_TRUE(record.flags & WEIR_REC_COMMITTED && !(record.flags & WEIR_REC_ABORTED));
		FUZZ_TRUE(!record.uuid == !(record.flags & WEIR_REC_UUID));
		FUZZ_TRUE(!record.origin_ns || record.flags & WEIR_REC_ORIGIN);
		FUZZ_TRUE(!record.max_age_ns || record.flags & WEIR_REC_MAX_AGE);
		fuzz_touch(record.data, record.size);
		if (record.uuid)
			fuzz_touch(record.uuid, 16);
		seen += bytes;
	}
	FUZZ_TRUE(seen <= total);
	for (int i = 0; i < 3; i++)
		free(copies[i]);
}

/* Records of a batch, as they are composed, and where each lies. */
struct composed {
	uint8_t bytes[40000];
	size_t used, count;
	size_t at[1402];
};

static void compose(struct composed *c, struct feed *feed)
{
	uint8_t many = feed_u8(feed);

	memset(c, 0, sizeof(*c));
	for (unsigned n = many > 250 ? 1400 : many % 12u; n; n--) {
		uint8_t how = feed_u8(feed);
		struct weir_record_header header = {
			.size = feed_u8(feed) % (many > 250 ? 8u : 48u),
			.source = how & 3,
			.flags = WEIR_REC_COMMITTED,
		};
		const uint8_t *text;
		size_t bytes;

		header.flags |= how & 4 ? WEIR_REC_CONTINUES : 0;
		header.flags |= how & 8 ? WEIR_REC_NO_EOL : 0;
		header.flags |= how & 16 ? WEIR_REC_ORIGIN : 0;
		text = feed_bytes(feed, header.size, &bytes);
		c->at[c->count++] = c->used;
		memcpy(c->bytes + c->used, &header, sizeof(header));
		memcpy(c->bytes + c->used + 8 + (how & 16 ? 8 : 0), text, bytes);
		c->used += weir_record_total(header.size, header.flags);
	}
	c->at[c->count] = c->used;
}

/* A stream that was finished is frames to its last byte, whatever happened on the way. */
static void check_stream(const struct disk_file *file, enum wr_fd_frame frame)
{
	size_t at = 0;

	while (frame == WR_FRAME_LEN32 && at < file->size) {
		uint32_t bytes;

		FUZZ_TRUE(file->size - at >= 4);
		memcpy(&bytes, file->data + at, 4);
		FUZZ_TRUE(file->size - at - 4 >= bytes);
		at += 4 + bytes;
	}
	while (frame == WR_FRAME_RAW && at < file->size) {
		struct weir_record record;
		uint64_t bytes = weir_record_decode(file->data + at, file->size - at, &record);

		FUZZ_TRUE(bytes);
		at += bytes;
	}
}

/*
 * How the stream looks; when a write stops short or fails, when memory fails; then batches: in each,
 * whether what is left of it comes again after a failure, in one span or two, and its records.
 */
void fuzz_sink_fd(const uint8_t *data, size_t size)
{
	static struct composed composed;
	struct feed feed = { data, size };
	struct wr_fd *fd = calloc(1, sizeof(*fd));
	struct disk_file *file;
	uint8_t how = feed_u8(&feed), fail_memory;
	long live = fuzz_memory_live();
	uint64_t seq = 0, bytes_in = 0;
	int r;

	FUZZ_TRUE(fd);
	memory_reset();
	memory_disk.directory = true;
	file = memory_make("stream");
	fd->poll_fd = fd->event_fd = -1;
	fd->frame = (enum wr_fd_frame)(how & 3);
	r = wr_sys.openat(wr_sys.openat(-100, "", 0, 0), "stream", O_WRONLY, 0);
	FUZZ_TRUE(r >= 0);
	fd->fd = r;
	if (how & 4)
		fd->poll_fd = wr_sys.poll_open();
	if (how & 8) /* as if that much was kept: what is left is a few bytes */
		fd->kept_bytes = (64u << 20) - 40;
	memory_disk.calls = 0;
	memory_disk.short_at = feed_u8(&feed);
	memory_disk.fail_at = feed_u8(&feed);
	memory_disk.fail_count = feed_u8(&feed) % 8;
	memory_disk.fail_with = -(int)(feed_u8(&feed) % 40u + 1);
	fail_memory = feed_u8(&feed) % 8;
	fuzz_fail_memory(fail_memory, fail_memory != 0);
	while (feed.left) {
		uint8_t again = feed_u8(&feed);
		size_t from = 0, middle;
		uint64_t done;

		compose(&composed, &feed);
		seq++;
		do {
			struct iovec iov[2];
			struct weir_batch batch = { .seq = seq, .iov = iov, .span_count = 2 };

			middle = composed.at[from + (composed.count - from) / (again & 1 ? 2 : 1)];
			iov[0] = (struct iovec){ composed.bytes + composed.at[from],
				                 middle - composed.at[from] };
			iov[1] = (struct iovec){ composed.bytes + middle,
				                 composed.used - middle };
			batch.first_record = from;
			batch.engine[0] = again & 0x40; /* another engine with the same numbers */
			batch.records = composed.count - from;
			batch.bytes = iov[0].iov_len + iov[1].iov_len;
			bytes_in += batch.bytes;
			done = 0;
			r = wr_frame_batch(fd, &batch, &done);
			FUZZ_TRUE(done <= batch.records && (r || done == batch.records));
			from += done;
		} while (r && again & 6 && --again);
	}
	/* The end may fail as well; then nothing is promised. */
	if (!(how & 16))
		memory_disk.fail_count = 0;
	fd->ending = 1;
	r = wr_frame_finish(fd);
	if (!r && !fail_memory)
		check_stream(file, fd->frame);
	FUZZ_TRUE(file->size <= 4 * bytes_in + 4096);
	FUZZ_TRUE(how & 8 || fd->kept || !fd->kept_bytes);
	wr_frame_free(fd);
	FUZZ_TRUE(fuzz_memory_live() == live);
	fuzz_fail_memory(0, 0);
	free(fd);
	memory_reset();
}
