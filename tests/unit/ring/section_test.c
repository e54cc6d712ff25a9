/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The restartable sections. Most tests hand them an rseq area that no kernel watches, so that every
 * exit can be asked for; the last ones use the thread's own and make the kernel abort them.
 */
#include "support/rings.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#if WR_HAS_SECTION

#define CPU 3u
#define FLAGS WEIR_REC_COMMITTED

static struct wr_rings rings;
static struct wr_ring *_Atomic table[WR_TABLE_CPUS];
static struct fake_rseq area;
static _Atomic uint64_t order;
static struct wr_seen seen;

static struct wr_ring *begin(void)
{
	struct wr_ring *ring;

	rings_begin(&rings, SMALL_RING, 1);
	ring = ring_make(&rings, WR_RING_RSEQ, CPU);
	table[CPU] = ring;
	area.cpu_id_start = area.cpu_id = CPU;
	order = (uint64_t)ring->id << 16;
	return ring;
}

static int push(const void *data, uint64_t size)
{
	return wr_section_push(table, fake_offset(&area), &order,
	                       wr_header_make((uint32_t)size, 0xabcd, FLAGS), data, &seen);
}

static struct wr_put put_of(const struct iovec *iov, uint64_t count)
{
	struct wr_put put = { .epoch = WR_ANY_EPOCH, .iov = iov, .iov_count = count };
	uint32_t size = 0;

	for (uint64_t i = 0; i < count; i++)
		size += (uint32_t)iov[i].iov_len;
	put.header = wr_header_make(size, 7, FLAGS);
	put.total = weir_record_total(size, FLAGS);
	return put;
}

static int put(const struct wr_put *what)
{
	return wr_section_put(table, fake_offset(&area), &order, what, &seen);
}

static int put_empty(void)
{
	struct wr_put what = put_of(NULL, 0);

	return put(&what);
}

/* --- a plain push --- */

Test(ring_section, push_commits_one_record_and_its_bytes)
{
	struct wr_ring *ring = begin();

	T_EQ(push("hello", 5), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(1, 16));
	T_EQ(push("", 0), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(2, 24));
	T_EQ(push("12345678", 8), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(3, 40));
}

Test(ring_section, push_writes_header_and_payload_where_the_head_was)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 9, SMALL_RING * 5 + 64);
	T_EQ(push("hello", 5), WR_PUSHED);
	T_EQ(atomic_load(wr_ring_header(ring, 64)), wr_header_make(5, 0xabcd, FLAGS));
	T_EQ(memcmp(ring->data + 72, "hello", 5), 0);
}

Test(ring_section, push_tells_ring_and_head_as_it_found_them)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 9, 64);
	T_EQ(push("hello", 5), WR_PUSHED);
	T_TRUE(seen.ring == ring);
	T_EQ(seen.head, wr_head_make(9, 64));
}

static uint8_t source[5000 + 64];

static void fill_source(void)
{
	for (unsigned i = 0; i < sizeof(source); i++)
		source[i] = (uint8_t)(i * 31 + i / 251 + 1);
}

/* One push of @size bytes from @from, its bytes and what surrounds them checked. */
static void check_push(struct wr_ring *ring, const uint8_t *from, uint32_t size, int by_put)
{
	uint32_t at = wr_head_position(ring_head(ring)) & (SMALL_RING - 1);
	uint32_t total = (uint32_t)weir_record_total(size, FLAGS);
	struct iovec iov = { (void *)(uintptr_t)from, size };
	struct wr_put what = put_of(&iov, 1);

	memset(ring->data + at, 0xee, total + 64);
	T_EQ(by_put ? put(&what) : push(from, size), WR_PUSHED);
	if (memcmp(ring->data + at + 8, from, size) != 0)
		T_FAIL("%u bytes from alignment %u differ", size, (unsigned)(uintptr_t)from & 15u);
	for (uint32_t i = 8 + size; i < total + 64; i++)
		if (ring->data[at + i] != 0xee)
			T_FAIL("%u bytes: byte %u behind them was written", size, i - 8 - size);
	ring_open_wide(ring);
}

static void check_sizes(uint32_t from, uint32_t to, uint32_t step, int by_put)
{
	struct wr_ring *ring = begin();

	fill_source();
	for (uint32_t size = from; size <= to; size += step)
		for (unsigned align = 0; align < 16; align++)
			check_push(ring, source + align, size, by_put);
}

Test(ring_section, push_copies_0_to_15_bytes_exactly_from_any_alignment)
{
	check_sizes(0, 15, 1, 0);
}

Test(ring_section, push_copies_16_to_64_bytes_exactly_from_any_alignment)
{
	check_sizes(16, 64, 1, 0);
}

Test(ring_section, push_copies_65_to_1024_bytes_exactly_from_any_alignment)
{
	check_sizes(65, 1024, 1, 0);
}

Test(ring_section, push_copies_1025_to_5000_bytes_exactly_from_any_alignment)
{
	check_sizes(1025, 1100, 1, 0);
	check_sizes(1101, 5000, 61, 0);
}

Test(ring_section, push_copies_every_size_to_5000_exactly)
{
	struct wr_ring *ring = begin();

	fill_source();
	for (uint32_t size = 0; size <= 5000; size++)
		check_push(ring, source + size % 64, size, 0);
}

#if defined(__x86_64__)
/* The same by 32 bytes at a time, where the processor can. */
static void widen(void)
{
	if (!__builtin_cpu_supports("avx2"))
		T_SKIP("this processor has no AVX2");
	wr_section_wide = 1;
}

Test(ring_section, push_copies_65_to_1024_bytes_exactly_by_wide_registers_too)
{
	widen();
	check_sizes(65, 1024, 1, 0);
}

Test(ring_section, push_copies_every_size_to_5000_exactly_by_wide_registers_too)
{
	struct wr_ring *ring = begin();

	widen();
	fill_source();
	for (uint32_t size = 0; size <= 5000; size++)
		check_push(ring, source + size % 64, size, 0);
}
#endif

Test(ring_section, push_across_the_end_of_the_ring_is_whole)
{
	struct wr_ring *ring = begin();

	fill_source();
	for (uint32_t before = 8; before <= 128; before += 8) {
		static const uint32_t sizes[] = { 3, 13, 40, 200, 3000 };

		for (unsigned i = 0; i < 5; i++) {
			ring_set_head(ring, 1, SMALL_RING - before);
			T_EQ(push(source, sizes[i]), WR_PUSHED);
			T_EQ(memcmp(ring->data + SMALL_RING - before + 8, source, sizes[i]), 0);
		}
	}
}

/* --- its exits: each before anything is written --- */

static void expect_untouched(struct wr_ring *ring, uint64_t head)
{
	T_EQ(ring_head(ring), head);
	T_EQ(atomic_load(&ring->side_next), 0);
	for (unsigned i = 0; i < SMALL_RING; i++)
		T_EQ(ring->data[i], 0);
}

Test(ring_section, push_that_reaches_the_alarm_writes_nothing)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 9, 64);
	atomic_store(&ring->alarm, wr_alarm_make(77, 2, 10));
	T_EQ(push("hello", 5), WR_EXIT_ALARM);
	T_TRUE(seen.ring == ring);
	T_EQ(seen.head, wr_head_make(9, 64));
	T_EQ(seen.alarm, wr_alarm_make(77, 2, 10));
	expect_untouched(ring, wr_head_make(9, 64));
}

Test(ring_section, push_one_before_the_alarm_goes_through)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 9, 64);
	atomic_store(&ring->alarm, wr_alarm_make(77, 2, 11));
	T_EQ(push("hello", 5), WR_PUSHED);
	T_EQ(push("hello", 5), WR_EXIT_ALARM);
}

Test(ring_section, push_beyond_the_alarm_is_held_too)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 9, 64);
	atomic_store(&ring->alarm, wr_alarm_make(77, 31, 9));
	T_EQ(push("hello", 5), WR_EXIT_ALARM);
}

Test(ring_section, the_alarm_holds_across_a_wrap_of_the_count)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 0xfffffffe, 64);
	atomic_store(&ring->alarm, wr_alarm_make(77, 2, 1));
	T_EQ(push("", 0), WR_PUSHED);
	T_EQ(push("", 0), WR_PUSHED);
	T_EQ(wr_head_count(ring_head(ring)), 0);
	T_EQ(push("", 0), WR_EXIT_ALARM);
}

Test(ring_section, push_up_to_the_limit_goes_through)
{
	struct wr_ring *ring = begin();

	atomic_store(&ring->limit, wr_limit_make(0, 9, WR_STOP_BYTES, 16));
	T_EQ(push("12345678", 8), WR_PUSHED);
}

Test(ring_section, push_beyond_the_limit_writes_nothing)
{
	struct wr_ring *ring = begin();

	atomic_store(&ring->limit, wr_limit_make(0, 9, WR_STOP_BYTES, 16));
	T_EQ(push("123456789", 9), WR_EXIT_LIMIT);
	T_TRUE(seen.ring == ring);
	expect_untouched(ring, 0);
}

Test(ring_section, the_limit_holds_across_a_wrap_of_the_position)
{
	struct wr_ring *ring = begin();

	ring_set_head(ring, 5, 0xfffffff0);
	atomic_store(&ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, 16));
	T_EQ(push("1234567890123456", 16), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(6, 8));
	T_EQ(push("1", 1), WR_EXIT_LIMIT);
}

Test(ring_section, push_of_a_thread_from_another_ring_writes_nothing)
{
	struct wr_ring *ring = begin();

	order = UINT64_C(2) << 16;
	T_EQ(push("hello", 5), WR_EXIT_ORDER);
	order = UINT64_C(1) << 16 | UINT64_C(2) << 28;
	T_EQ(push("hello", 5), WR_EXIT_ORDER);
	order = 0;
	T_EQ(push("hello", 5), WR_EXIT_ORDER);
	T_TRUE(seen.ring == ring);
	expect_untouched(ring, 0);
}

Test(ring_section, the_version_of_an_order_word_does_not_matter_to_a_push)
{
	begin();
	order |= 0xffff;
	T_EQ(push("hello", 5), WR_PUSHED);
}

Test(ring_section, without_order_the_word_0_fits_every_ring)
{
	struct wr_ring *ring = begin();

	ring->order_id = 0;
	order = 0;
	T_EQ(push("hello", 5), WR_PUSHED);
}

Test(ring_section, push_on_a_cpu_without_a_ring_finds_none)
{
	begin();
	area.cpu_id_start = area.cpu_id = CPU + 1;
	T_EQ(push("hello", 5), WR_EXIT_NO_RING);
	T_TRUE(!seen.ring);
}

Test(ring_section, push_goes_to_the_ring_of_the_highest_cpu_too)
{
	struct wr_ring *ring = begin();

	table[CPU] = NULL;
	table[WR_TABLE_CPUS - 1] = ring;
	area.cpu_id_start = area.cpu_id = WR_TABLE_CPUS - 1;
	T_EQ(push("hello", 5), WR_PUSHED);
}

Test(ring_section, push_of_a_thread_that_was_moved_aborts)
{
	struct wr_ring *ring = begin();

	area.cpu_id = CPU + 1;
	T_EQ(push("hello", 5), WR_EXIT_ABORTED);
	expect_untouched(ring, 0);
}

Test(ring_section, push_of_a_thread_that_is_not_registered_aborts)
{
	struct wr_ring *ring = begin();

	area.cpu_id_start = 0;
	area.cpu_id = (uint32_t)-1;
	table[0] = ring;
	T_EQ(push("hello", 5), WR_EXIT_ABORTED);
	area.cpu_id = (uint32_t)-2;
	T_EQ(put_empty(), WR_EXIT_ABORTED);
	expect_untouched(ring, 0);
}

Test(ring_section, the_alarm_comes_before_the_limit_and_the_limit_before_the_order)
{
	struct wr_ring *ring = begin();

	atomic_store(&ring->limit, 0);
	order = 0;
	T_EQ(push("hello", 5), WR_EXIT_LIMIT);
	T_EQ(put_empty(), WR_EXIT_LIMIT);
	atomic_store(&ring->alarm, wr_alarm_make(0, 0, 1));
	T_EQ(push("hello", 5), WR_EXIT_ALARM);
	T_EQ(put_empty(), WR_EXIT_ALARM);
}

/* --- the rseq area --- */

Test(ring_section, of_the_rseq_area_only_the_descriptor_pointer_is_written)
{
	struct fake_rseq before;

	begin();
	memset(area.margin, 0x5a, sizeof(area.margin));
	area.flags = 0x11111111;
	area.node_id = 0x22222222;
	area.mm_cid = 0x33333333;
	memcpy(&before, &area, sizeof(before));
	T_EQ(push("hello", 5), WR_PUSHED);
	T_TRUE(area.rseq_cs != 0);
	before.rseq_cs = area.rseq_cs;
	T_EQ(memcmp(&before, &area, sizeof(before)), 0);
	T_EQ(put_empty(), WR_PUSHED);
	T_TRUE(area.rseq_cs != before.rseq_cs);
	before.rseq_cs = area.rseq_cs;
	T_EQ(memcmp(&before, &area, sizeof(before)), 0);
}

struct descriptor {
	uint32_t version, flags;
	uint64_t start, bytes, abort;
};

#if defined(__x86_64__)
#define SIGNATURE 0x53053053u
#else
#define SIGNATURE 0xd428bc00u
#endif

static void check_descriptor(uint64_t at)
{
	struct descriptor descriptor;
	uint32_t signature;

	T_EQ(at % 32, 0);
	memcpy(&descriptor, (void *)(uintptr_t)at, sizeof(descriptor));
	T_EQ(descriptor.version, 0);
	T_EQ(descriptor.flags, 0);
	T_TRUE(descriptor.bytes > 64);
#ifndef WR_TORTURE
	T_TRUE(descriptor.bytes < 2048);
#endif
	/* The kernel refuses an abort address inside the section, or one without the signature. */
	T_TRUE(descriptor.abort - descriptor.start >= descriptor.bytes);
	memcpy(&signature, (void *)(uintptr_t)(descriptor.abort - 4), 4);
	T_EQ(signature, SIGNATURE);
}

Test(ring_section, descriptors_are_what_the_kernel_demands)
{
	begin();
	T_EQ(push("hello", 5), WR_PUSHED);
	check_descriptor(area.rseq_cs);
	T_EQ(put_empty(), WR_PUSHED);
	check_descriptor(area.rseq_cs);
}

/* --- the general form --- */

Test(ring_section, put_gathers_0_to_8_pieces_in_their_order)
{
	struct wr_ring *ring = begin();

	fill_source();
	for (uint64_t count = 0; count <= 8; count++) {
		struct iovec iov[8];
		uint32_t at = wr_head_position(ring_head(ring)), done = 0;
		struct wr_put what;

		for (uint64_t i = 0; i < count; i++)
			iov[i] = (struct iovec){ source + 100 * i, 3 + 17 * i };
		what = put_of(iov, count);
		T_EQ(put(&what), WR_PUSHED);
		T_EQ(atomic_load(wr_ring_header(ring, at)), what.header);
		T_EQ(wr_head_position(ring_head(ring)), at + what.total);
		for (uint64_t i = 0; i < count; i++) {
			T_EQ(memcmp(ring->data + at + 8 + done, iov[i].iov_base, iov[i].iov_len), 0);
			done += (uint32_t)iov[i].iov_len;
		}
	}
}

Test(ring_section, put_passes_over_empty_pieces)
{
	struct wr_ring *ring = begin();
	struct iovec iov[4] = { { NULL, 0 }, { source, 2 }, { NULL, 0 }, { source + 2, 3 } };
	struct wr_put what;

	fill_source();
	what = put_of(iov, 4);
	T_EQ(put(&what), WR_PUSHED);
	T_EQ(memcmp(ring->data + 8, source, 5), 0);
	T_EQ(ring_head(ring), wr_head_make(1, 16));
}

Test(ring_section, put_copies_0_to_200_bytes_exactly_from_any_alignment)
{
	check_sizes(0, 200, 1, 1);
}

Test(ring_section, put_copies_every_size_to_5000_exactly)
{
	struct wr_ring *ring = begin();

	fill_source();
	for (uint32_t size = 0; size <= 5000; size += 7)
		check_push(ring, source + size % 64, size, 1);
}

Test(ring_section, put_takes_the_bytes_it_was_told_to_even_without_pieces)
{
	struct wr_ring *ring = begin();
	struct wr_put what = put_of(NULL, 0);

	what.header = wr_header_make(1000, 0, WEIR_REC_RESERVED);
	what.total = 1008;
	T_EQ(put(&what), WR_PUSHED);
	T_EQ(ring_head(ring), wr_head_make(1, 1008));
	T_EQ(atomic_load(wr_ring_header(ring, 0)), what.header);
	T_EQ(ring->data[8], 0);
}

Test(ring_section, put_obeys_alarm_limit_and_cpu_like_a_push)
{
	struct wr_ring *ring = begin();

	atomic_store(&ring->alarm, wr_alarm_make(77, 0, 1));
	T_EQ(put_empty(), WR_EXIT_ALARM);
	ring_open_wide(ring);
	atomic_store(&ring->limit, wr_limit_make(0, 0, 0, 7));
	T_EQ(put_empty(), WR_EXIT_LIMIT);
	ring_open_wide(ring);
	area.cpu_id = 9;
	T_EQ(put_empty(), WR_EXIT_ABORTED);
	area.cpu_id_start = 9;
	T_EQ(put_empty(), WR_EXIT_NO_RING);
	expect_untouched(ring, 0);
}

Test(ring_section, put_that_fits_the_limit_exactly_goes_through)
{
	struct wr_ring *ring = begin();

	atomic_store(&ring->limit, wr_limit_make(0, 0, 0, 8));
	T_EQ(put_empty(), WR_PUSHED);
}

Test(ring_section, put_under_another_epoch_than_it_asked_for_writes_nothing)
{
	struct wr_ring *ring = begin();
	struct wr_put what = put_of(NULL, 0);

	what.epoch = 8;
	T_EQ(put(&what), WR_EXIT_ALARM);
	T_TRUE(seen.ring == ring);
	T_EQ(wr_alarm_epoch(seen.alarm), 7);
	expect_untouched(ring, 0);
}

Test(ring_section, put_under_the_epoch_it_asked_for_goes_through)
{
	struct wr_ring *ring = begin();
	struct wr_put what = put_of(NULL, 0);

	what.epoch = 7;
	T_EQ(put(&what), WR_PUSHED);
	atomic_store(&ring->alarm, wr_alarm_make(0x7ffffff, 31, FAR));
	what.epoch = 0x7ffffff;
	T_EQ(put(&what), WR_PUSHED);
}

Test(ring_section, put_that_is_marked_for_another_ring_writes_nothing)
{
	struct wr_ring *ring = begin(), *other = ring_make(&rings, WR_RING_RSEQ, 1);
	struct wr_put what = put_of(NULL, 0);

	what.ring = other;
	what.order = order;
	T_EQ(put(&what), WR_EXIT_ORDER);
	expect_untouched(ring, 0);
	expect_untouched(other, 0);
}

Test(ring_section, put_that_is_marked_demands_its_very_order_word)
{
	struct wr_ring *ring = begin();
	struct wr_put what = put_of(NULL, 0);

	what.ring = ring;
	order = 0x123456789abc;
	what.order = 0x123456789abd;
	T_EQ(put(&what), WR_EXIT_ORDER);
	expect_untouched(ring, 0);
	what.order = 0x123456789abc;
	T_EQ(put(&what), WR_PUSHED);
}

Test(ring_section, put_without_a_mark_demands_the_threads_ring)
{
	struct wr_ring *ring = begin();

	order = UINT64_C(2) << 16;
	T_EQ(put_empty(), WR_EXIT_ORDER);
	expect_untouched(ring, 0);
}

Test(ring_section, put_notes_the_head_before_its_commit_in_the_side_table)
{
	struct wr_ring *ring = begin();
	struct wr_put what = put_of(NULL, 0);

	ring_set_head(ring, 41, 640);
	what.side = 1;
	T_EQ(put(&what), WR_PUSHED);
	T_EQ(atomic_load(&ring->side_next), 1);
	T_EQ(atomic_load(&ring->side[0]), wr_head_make(41, 640));
	T_EQ(atomic_load(&ring->side[1]), 0);
}

Test(ring_section, the_side_table_is_written_round_and_round)
{
	struct wr_ring *ring = begin();
	struct wr_put what = put_of(NULL, 0);

	what.side = 1;
	for (unsigned i = 0; i < WR_SIDE_ENTRIES + 3; i++)
		T_EQ(put(&what), WR_PUSHED);
	T_EQ(atomic_load(&ring->side_next), WR_SIDE_ENTRIES + 3);
	T_EQ(atomic_load(&ring->side[2]), wr_head_make(WR_SIDE_ENTRIES + 2, 8 * (WR_SIDE_ENTRIES + 2)));
	T_EQ(atomic_load(&ring->side[3]), wr_head_make(3, 24));
	T_EQ(atomic_load(&ring->inside), 0);
}

Test(ring_section, the_side_index_wraps_with_its_counter)
{
	struct wr_ring *ring = begin();
	struct wr_put what = put_of(NULL, 0);

	what.side = 1;
	atomic_store(&ring->side_next, 0xffffffff);
	T_EQ(put(&what), WR_PUSHED);
	T_EQ(atomic_load(&ring->side_next), 0);
	T_EQ(atomic_load(&ring->head), wr_head_make(1, 8));
}

Test(ring_section, put_without_a_side_entry_leaves_the_table_alone)
{
	struct wr_ring *ring = begin();

	T_EQ(put_empty(), WR_PUSHED);
	T_EQ(atomic_load(&ring->side_next), 0);
}

Test(ring_section, put_across_the_end_of_the_ring_is_whole)
{
	struct wr_ring *ring = begin();
	struct iovec iov[2] = { { source, 50 }, { source + 50, 50 } };
	struct wr_put what;

	fill_source();
	what = put_of(iov, 2);
	ring_set_head(ring, 1, SMALL_RING - 32);
	T_EQ(put(&what), WR_PUSHED);
	T_EQ(memcmp(ring->data + SMALL_RING - 24, source, 100), 0);
	T_EQ(memcmp(ring->data, source + 24, 76), 0);
}

/* --- aborted by the kernel --- */

static long own_offset(void)
{
	if (wr_rseq_detect() != WR_RSEQ_YES)
		T_SKIP("no restartable sequences here");
	for (unsigned i = 0; i < WR_TABLE_CPUS; i++)
		table[i] = table[CPU];
	return wr_rseq_offset;
}

/* Two pages, the second not to be read until the handler opens it. */
static uint8_t *trap;
static size_t page_bytes;

static void open_trap(int signal)
{
	(void)signal;
	mprotect(trap + page_bytes, page_bytes, PROT_READ | PROT_WRITE);
}

static void set_trap(void)
{
	struct sigaction action = { .sa_handler = open_trap };

	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	trap = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	T_TRUE(trap != MAP_FAILED);
	for (size_t i = 0; i < 2 * page_bytes; i++)
		trap[i] = (uint8_t)(i * 7 + 1);
	T_EQ(mprotect(trap + page_bytes, page_bytes, PROT_NONE), 0);
	T_EQ(sigaction(SIGSEGV, &action, NULL), 0);
}

/* Not inlined, and the size is used behind the push: an abort must not have changed it. */
static __attribute__((noinline)) uint64_t push_own(long offset, const void *data, uint64_t size,
                                                   int *ret)
{
	*ret = wr_section_push(table, offset, &order, wr_header_make((uint32_t)size, 0, FLAGS), data,
	                       &seen);
	return size;
}

Test(ring_section, a_signal_in_the_middle_of_the_copy_aborts_the_push_and_nothing_is_committed)
{
	struct wr_ring *ring = begin();
	long offset = own_offset();
	const uint32_t sizes[] = { 12, 40, 900, 3000 };

	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *from;
		uint64_t head = ring_head(ring);
		int r;

		set_trap();
		from = trap + page_bytes - sizes[i] / 2;
		/* The trap goes off once; another abort before it may come from the scheduler. */
		push_own(offset, from, sizes[i], &r);
		T_EQ(r, WR_EXIT_ABORTED);
		T_EQ(ring_head(ring), head);
		while (push_own(offset, from, sizes[i], &r), r == WR_EXIT_ABORTED)
			;
		T_EQ(r, WR_PUSHED);
		T_EQ(memcmp(ring->data + wr_head_position(head) + 8, from, sizes[i]), 0);
	}
}

Test(ring_section, an_abort_leaves_the_callers_size_and_data_alone)
{
	long offset;
	int r;

	begin();
	offset = own_offset();
	set_trap();
	T_EQ(push_own(offset, trap + page_bytes - 1500, 3000, &r), 3000);
	T_EQ(r, WR_EXIT_ABORTED);
}

Test(ring_section, a_signal_in_the_middle_of_a_gather_aborts_the_put_and_notes_nothing)
{
	struct wr_ring *ring = begin();
	long offset = own_offset();
	struct iovec iov[2];
	struct wr_put what;
	int r;

	set_trap();
	iov[0] = (struct iovec){ trap, 100 };
	iov[1] = (struct iovec){ trap + page_bytes - 50, 100 };
	what = put_of(iov, 2);
	what.side = 1;
	T_EQ(wr_section_put(table, offset, &order, &what, &seen), WR_EXIT_ABORTED);
	T_EQ(ring_head(ring), 0);
	T_EQ(atomic_load(&ring->side_next), 0);
	do
		r = wr_section_put(table, offset, &order, &what, &seen);
	while (r == WR_EXIT_ABORTED);
	T_EQ(r, WR_PUSHED);
	T_EQ(memcmp(ring->data + 108, iov[1].iov_base, 100), 0);
}

Test(ring_section, the_threads_own_rseq_area_keeps_all_but_the_descriptor_pointer)
{
	uint8_t before[32], after[32];
	long offset;
	int r, same;

	begin();
	offset = own_offset();
	do { /* the kernel rewrites the CPU when the thread is moved */
		memcpy(before, thread_pointer() + offset, 20);
		push_own(offset, "hello", 5, &r);
		memcpy(after, thread_pointer() + offset, 20);
		same = memcmp(before, after, 8) == 0;
	} while (r == WR_EXIT_ABORTED || !same);
	T_EQ(r, WR_PUSHED);
	T_EQ(memcmp(before + 16, after + 16, 4), 0);
}

static _Atomic uint32_t interrupts;

static void count_interrupt(int signal)
{
	(void)signal;
	atomic_fetch_add(&interrupts, 1);
}

Test(ring_section, every_record_pushed_under_a_10_khz_timer_is_whole)
{
	struct wr_ring *ring = begin();
	long offset = own_offset();
	struct itimerval timer = { { 0, 100 }, { 0, 100 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = count_interrupt, .sa_flags = SA_RESTART };
	uint32_t pushed = 0, aborted = 0;
	static uint8_t record[4000];

	T_EQ(sigaction(SIGALRM, &action, NULL), 0);
	T_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
	while (atomic_load(&interrupts) < 1000 && pushed < 3000000) {
		uint32_t size = 1 + pushed % sizeof(record);
		uint64_t head = ring_head(ring);
		const uint8_t *at = ring->data + (wr_head_position(head) & (SMALL_RING - 1));
		int r;

		memset(record, (int)(pushed % 251), size);
		push_own(offset, record, size, &r);
		if (r == WR_EXIT_ABORTED) {
			aborted++;
			T_EQ(ring_head(ring), head);
			continue;
		}
		T_EQ(r, WR_PUSHED);
		pushed++;
		T_EQ(wr_head_count(ring_head(ring)), pushed);
		T_EQ(wr_head_position(ring_head(ring)) - wr_head_position(head), (size + 15) & ~7u);
		if (memcmp(at + 8, record, size) != 0)
			T_FAIL("record %u of %u bytes is not whole", pushed, size);
		ring_open_wide(ring);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	(void)aborted;
}

#define SHARERS 3
#define SHARE 20000u

static _Atomic uint32_t failures;

static void *push_share(void *arg)
{
	_Atomic uint64_t word = 0;
	struct wr_seen found;
	uint64_t value = (uint64_t)(uintptr_t)arg << 32;

	for (uint32_t i = 0; i < SHARE;) {
		uint64_t record[2] = { value + i, ~(value + i) };
		int r = wr_section_push(table, wr_rseq_offset, &word, wr_header_make(16, 0, FLAGS),
		                        record, &found);

		if (r == WR_PUSHED)
			i++;
		else if (r != WR_EXIT_ABORTED)
			atomic_fetch_add(&failures, 1);
	}
	return NULL;
}

/* Each CPU its ring, as in an engine; threads migrate as the scheduler likes. */
Test(ring_section, records_of_threads_that_share_cpus_are_whole_and_in_their_order)
{
	struct wr_ring *ring[64];
	pthread_t threads[SHARERS];
	uint32_t cpus = wr_cpus_possible(), total = 0;

	if (wr_rseq_detect() != WR_RSEQ_YES || cpus > 64)
		T_SKIP("no restartable sequences here, or too many CPUs for this test");
	rings_begin(&rings, 4u << 20, 0);
	for (uint32_t cpu = 0; cpu < cpus; cpu++)
		table[cpu] = ring[cpu] = ring_make(&rings, WR_RING_RSEQ, cpu);
	for (uintptr_t i = 0; i < SHARERS; i++)
		T_EQ(pthread_create(&threads[i], NULL, push_share, (void *)(i + 1)), 0);
	for (int i = 0; i < SHARERS; i++)
		pthread_join(threads[i], NULL);
	T_EQ(atomic_load(&failures), 0);
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		uint64_t last[SHARERS + 1] = { 0 };
		uint32_t n = wr_head_count(ring_head(ring[cpu]));

		T_EQ(wr_head_position(ring_head(ring[cpu])), n * 24);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t record[2];

			memcpy(record, ring[cpu]->data + 24 * i + 8, 16);
			T_EQ(record[0], ~record[1]);
			T_TRUE(record[0] >> 32 >= 1 && record[0] >> 32 <= SHARERS);
			T_TRUE(record[0] >= last[record[0] >> 32]);
			last[record[0] >> 32] = record[0] + 1;
		}
		total += n;
	}
	T_EQ(total, SHARERS * SHARE);
}

#endif
