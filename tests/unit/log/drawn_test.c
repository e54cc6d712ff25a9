/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drawn_test.c - what single changed lines of the log showed to be untested: errors in the midst of
 * what is too large to be kept, and lengths at their limits.
 */
#include "fault_sys.h"
#include "support.h"

#define RECORDS 9216u
#define EACH 1024u /* with its header: a power of two, so that pieces of the body end between two */

static void write_large(struct wr_log_writer *writer)
{
	static _Alignas(8) uint8_t body[RECORDS * EACH];
	struct weir_log_batch batch = { .seq = 1, .wall_ns = 1, .bytes = sizeof(body),
		                        .records = RECORDS };
	struct iovec iov = { body, sizeof(body) };

	memset(batch.engine, 1, 16);
	for (uint32_t i = 0; i < RECORDS; i++) {
		struct weir_record_header header = { EACH - 8, 0, WEIR_REC_COMMITTED };

		memcpy(body + i * EACH, &header, sizeof(header));
		memcpy(body + i * EACH + 8, &i, sizeof(i));
	}
	T_EQ(wr_log_writer_write(writer, &batch, &iov, 1, NULL), 0);
}

/* A batch above 8 MiB is read record by record, long after its sum was seen to be right. */
Test(log_fault, a_read_that_fails_between_two_records_is_an_error_and_no_damage)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer = t_open(dir.path, (struct wr_log_options){ 0 });
	struct weir_log_reader *reader;
	struct weir_log_counts counts;
	struct weir_record record;
	uint32_t failures = 0;

	write_large(writer);
	t_close(writer);
	reader = t_reader(dir.path);
	for (uint32_t i = 0; i < RECORDS; i++) {
		uint32_t seen;
		int r;

		if (i)
			t_faults[T_PREAD] = (struct t_fault){ .error = -EIO, .times = 1 };
		r = weir_log_next(reader, &record);
		if (r != 1) {
			T_EQ(r, -EIO);
			failures++;
			r = weir_log_next(reader, &record);
		}
		T_EQ(r, 1);
		memcpy(&seen, record.data, sizeof(seen));
		T_EQ(seen, i);
	}
	T_TRUE(failures > 2);
	t_faults[T_PREAD].error = 0;
	T_EQ(weir_log_next(reader, &record), 0);
	counts = t_counts(reader);
	T_EQ(counts.records, RECORDS);
	T_EQ(counts.damaged + counts.skipped_bytes + counts.torn_bytes, 0);
	weir_log_close(reader);
	t_remove(&dir);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(log_fault, a_log_that_cannot_be_rescued_leaves_no_descriptor_when_it_is_closed)
{
	struct t_dir dir = t_dir();
	int had = open_descriptors();
	struct wr_log_writer *writer =
		t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL });

	t_run(writer, 1, 1, 3);
	t_faults[T_FDATASYNC] = (struct t_fault){ .error = -EIO };
	t_faults[T_WRITEV] = (struct t_fault){ .error = -ENOSPC };
	T_EQ(wr_log_writer_sync(writer), -ENOSPC);
	T_TRUE(wr_log_writer_close(writer) != 0);
	T_EQ(open_descriptors(), had);
	t_faults[T_FDATASYNC].error = t_faults[T_WRITEV].error = 0;
	t_remove(&dir);
}

/* Descriptor 0 belongs to the opening that has @at - 1 before it. 0: there were not so many. */
static int rotate_with_zero_at(uint64_t at)
{
	struct t_dir dir = t_dir();
	struct wr_log_writer *writer;
	int had = open_descriptors(), used;

	t_zero_at = at;
	writer = t_open(dir.path, (struct wr_log_options){ .sync = WR_LOG_SYNC_INTERVAL,
	                                                   .segment_bytes = 4096 });
	t_run(writer, 1, 1, 100);
	t_close(writer);
	used = !t_zero_at;
	t_zero_at = 0;
	T_EQ(open_descriptors(), had - used);
	if (used)
		T_EQ(open("/dev/null", O_RDWR | O_CLOEXEC), 0);
	t_remove(&dir);
	return used;
}

Test(log_fault, a_segment_with_descriptor_0_is_closed_when_it_ends)
{
	uint64_t at = 1;

	while (rotate_with_zero_at(at))
		at++;
	T_TRUE(at > 4); /* the directory, its lock, and more than one segment */
}

Test(format, a_name_of_the_most_bytes_comes_back)
{
	uint8_t bytes[4 + WR_LOG_NAME_MAX];
	char longest[WR_LOG_NAME_MAX + 1];
	const char *name;
	size_t length;
	uint16_t id;

	memset(longest, 'n', WR_LOG_NAME_MAX);
	longest[WR_LOG_NAME_MAX] = 0;
	T_EQ(wr_log_name_put(bytes, sizeof(bytes), 7, longest), sizeof(bytes));
	T_EQ(wr_log_name_get(bytes, sizeof(bytes), &id, &name, &length), sizeof(bytes));
	T_EQ(length, WR_LOG_NAME_MAX);
	T_EQ(memcmp(name, longest, length), 0);
}
