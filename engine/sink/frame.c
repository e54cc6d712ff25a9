/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - makes a byte stream of records, and keeps it whole when a write ends in the middle.
 *
 *     lines  payload, LF          len32  length (u32, little-endian), payload
 *     nul    payload, NUL         raw    the record as it lies, from header to padding
 *
 * It knows records and how they look in the stream. It does not know how bytes are written.
 *
 * Parts: a record with WEIR_REC_CONTINUES is joined with the next ones of its source. Parts that
 * lie next to each other in a batch, up to the last one, go out as they are. Others are copied and
 * kept until the last part comes, so that no other source's record gets between; they count as
 * written. KEPT_MAX bytes are kept at most; a line that would need more is broken in two.
 *
 * A last line without a line feed gets none, unless another record follows.
 *
 * Torn records: when a write stops in the middle of a record, the record counts as not written, and
 * how far it came is remembered. If it comes again it goes on exactly there. If another record
 * comes instead (its time was over), the torn one is finished first, from a copy.
 */
#include <errno.h>

#include "sink/fd.h"

#define KEPT_MAX (64u << 20)

static const char terminators[] = { [WR_FRAME_LINES] = '\n', [WR_FRAME_NUL] = '\0' };

static int has_terminator(const struct wr_fd *fd)
{
	return fd->frame == WR_FRAME_LINES || fd->frame == WR_FRAME_NUL;
}

static void add_terminator(struct wr_fd *fd)
{
	wr_gather_add(&fd->gather, &terminators[fd->frame], 1);
}

static void add_end(struct wr_pass *pass, uint16_t source, struct wr_stream after)
{
	struct wr_gather *gather = &pass->fd->gather;

	gather->ends[gather->records++] = (struct wr_gather_end){ gather->bytes, source, after };
	pass->stream = after;
}

/* Room for one record more. 0 or -errno. */
static int make_room(struct wr_pass *pass)
{
	const struct wr_gather *gather = &pass->fd->gather;

	if (gather->count + WR_GATHER_PIECES <= WR_GATHER_IOV &&
	    gather->records < WR_GATHER_RECORDS)
		return 0;
	return wr_gather_flush(pass);
}

/*
 * Whether the parts from @record on lie next to each other up to the last one. What is found is
 * remembered for the parts that follow: each record is looked at once.
 */
static int run_is_whole(struct wr_pass *pass, const struct weir_record *record)
{
	struct weir_iter iter = pass->iter;
	struct weir_record next;

	if (pass->run)
		return (int)pass->run_is_whole;
	pass->run = 1;
	pass->run_is_whole = 0;
	while (weir_batch_next(pass->batch, &iter, &next) && next.source == record->source) {
		pass->run++;
		if (!(next.flags & WEIR_REC_CONTINUES)) {
			pass->run_is_whole = 1;
			break;
		}
	}
	return (int)pass->run_is_whole;
}

static int must_keep(struct wr_pass *pass, const struct weir_record *record)
{
	if (pass->fd->kept_bytes + record->size > KEPT_MAX)
		return 0;
	return pass->fd->frame == WR_FRAME_LEN32 || !run_is_whole(pass, record);
}

/* A terminator that the record before is still owed. */
static void add_owed(struct wr_pass *pass, uint16_t source)
{
	if (!pass->stream.open || (pass->stream.goes_on && pass->stream.source == source))
		return;
	add_terminator(pass->fd);
}

static void add_frame(struct wr_pass *pass, const struct weir_record *record,
                      const struct wr_kept *kept, int is_part)
{
	struct wr_fd *fd = pass->fd;
	struct wr_stream after = { 0 };

	if (fd->frame == WR_FRAME_LEN32) {
		uint32_t *length = &fd->gather.lengths[fd->gather.records];
		uint32_t bytes = record->size + (kept ? (uint32_t)kept->used : 0);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		bytes = __builtin_bswap32(bytes);
#endif
		*length = bytes;
		wr_gather_add(&fd->gather, length, sizeof(*length));
	} else {
		add_owed(pass, record->source);
	}
	if (kept)
		wr_gather_add(&fd->gather, kept->data, kept->used);
	wr_gather_add(&fd->gather, record->data, record->size);
	if (has_terminator(fd)) {
		after.open = is_part || record->flags & WEIR_REC_NO_EOL;
		after.goes_on = is_part != 0;
		after.source = record->source;
		if (!after.open)
			add_terminator(fd);
	}
	add_end(pass, record->source, after);
}

/* A record as it lies in the batch. Neighbours become one piece. */
static void add_raw(struct wr_pass *pass, const struct weir_record *record)
{
	const uint8_t *span = pass->batch->iov[pass->iter.span].iov_base;
	size_t total = (size_t)weir_record_total(record->size, record->flags);

	wr_gather_add(&pass->fd->gather, span + pass->iter.offset - total, total);
	add_end(pass, record->source, (struct wr_stream){ 0 });
}

/* A record that is kept, or whose line's first parts are: nothing else is in its write. */
static int put_with_kept(struct wr_pass *pass, const struct weir_record *record, int is_part,
                         int keep_it)
{
	struct wr_fd *fd = pass->fd;
	struct wr_kept **at;
	int r;

	r = fd->gather.records ? wr_gather_flush(pass) : 0;
	if (r)
		return r;
	if (keep_it) {
		r = wr_kept_add(fd, record);
		pass->done += !r;
		return r;
	}
	at = wr_kept_find(fd, record->source);
	add_frame(pass, record, *at, is_part);
	pass->alone = 1;
	r = wr_gather_flush(pass);
	pass->alone = 0;
	if (!r)
		wr_kept_drop(fd, at);
	return r;
}

static int put(struct wr_pass *pass, const struct weir_record *record)
{
	struct wr_fd *fd = pass->fd;
	int is_part = fd->frame != WR_FRAME_RAW && record->flags & WEIR_REC_CONTINUES;
	int has_kept = fd->kept && *wr_kept_find(fd, record->source); /* raw streams keep nothing */
	int resumes = pass->skip && !fd->gather.records; /* it is in the stream already, in part */
	int keep_it = is_part && !resumes && must_keep(pass, record), r;

	if (has_kept || keep_it) {
		r = put_with_kept(pass, record, is_part, keep_it);
	} else {
		r = make_room(pass);
		if (!r && fd->frame == WR_FRAME_RAW)
			add_raw(pass, record);
		else if (!r)
			add_frame(pass, record, NULL, is_part);
	}
	if (pass->run)
		pass->run--;
	return r;
}

int wr_frame_batch(struct wr_fd *fd, const struct weir_batch *batch, uint64_t *ret_done)
{
	struct wr_pass pass = { .fd = fd, .batch = batch };
	struct weir_record record;
	int r = 0;

	if (fd->torn && wr_torn_is(fd, batch)) {
		pass.skip = fd->torn_offset;
		wr_torn_forget(fd);
	} else if (fd->torn) {
		r = wr_torn_finish(fd);
	}
	pass.stream = fd->stream;
	while (!r && weir_batch_next(batch, &pass.iter, &record))
		r = put(&pass, &record);
	if (!r)
		r = wr_gather_flush(&pass);
	*ret_done = pass.done;
	return r;
}

static int finish_kept(struct wr_fd *fd, const struct wr_kept *kept)
{
	uint8_t length[4];
	struct iovec pieces[3] = { { 0 }, { kept->data, kept->used }, { 0 } };
	size_t written = 0;
	int r;

	for (unsigned i = 0; i < sizeof(length); i++)
		length[i] = (uint8_t)(kept->used >> 8 * i);
	if (fd->frame == WR_FRAME_LEN32)
		pieces[0] = (struct iovec){ length, sizeof(length) };
	else
		pieces[2] = (struct iovec){ (void *)(uintptr_t)&terminators[fd->frame], 1 };
	if (fd->stream.open)
		pieces[0] = pieces[2];
	r = wr_fd_write_all(fd, pieces, 3, &written);
	if (!r)
		fd->stream = (struct wr_stream){ 0 };
	return r;
}

int wr_frame_finish(struct wr_fd *fd)
{
	int r = fd->torn ? wr_torn_finish(fd) : 0;

	while (!r && fd->kept) {
		r = finish_kept(fd, fd->kept);
		if (!r)
			wr_kept_drop(fd, &fd->kept);
	}
	return r;
}

void wr_frame_free(struct wr_fd *fd)
{
	wr_torn_forget(fd);
	while (fd->kept)
		wr_kept_drop(fd, &fd->kept);
}
