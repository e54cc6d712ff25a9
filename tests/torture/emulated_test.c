/* SPDX-License-Identifier: Apache-2.0 */
/*
 * emulated_test.c - the points of another processor's sections, under an emulator that registers no
 * restartable sequences: over an rseq area of the test's own each point is stayed at, and no
 * register, flag or byte may be different for it. Nothing is aborted here.
 */
#include <stdio.h>
#include <string.h>

#include "ring/rings.h"
#include "ring/section.h"

#define POINTS 63u
#define CPU 5u

struct area {
	_Alignas(32) uint32_t cpu_id_start;
	uint32_t cpu_id;
	uint64_t rseq_cs;
	uint8_t rest[48];
};

static struct wr_rings rings;
static struct wr_ring *_Atomic table[WR_TABLE_CPUS];
static struct area area;
static uint8_t bytes[2048];
static struct wr_ring *ring;
static uint64_t hits[POINTS + 1];
static unsigned wrong;

/* ring/section_aarch64.h has these. */
static const uint8_t expected[] = { 1,  2,  4,  5,  6,  7,  8,  10, 11, 12, 13, 14, 15, 16,
	                            17, 18, 19, 20, 21, 32, 33, 34, 35, 38, 39, 40, 48, 49,
	                            50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61 };

static void complain(const char *what, uint32_t point, uint32_t size)
{
	if (wrong++ < 10)
		printf("# point %u, %u bytes: %s\n", point, size, what);
}

static void try(uint32_t point, uint32_t size, int by_put, uint32_t side)
{
	long offset = (long)((intptr_t)&area - (intptr_t)__builtin_thread_pointer());
	_Atomic uint64_t order = (uint64_t)ring->id << 16;
	uint64_t header = wr_header_make(size, 7, WEIR_REC_COMMITTED), before = wr_torture.hits;
	uint64_t head = atomic_load(&ring->head);
	uint32_t next = atomic_load(&ring->side_next), at = wr_head_position(head);
	struct iovec iov[2] = { { bytes, size / 3 }, { bytes + size / 3, size - size / 3 } };
	struct wr_put put = { .header = header, .total = wr_header_total(header), .side = side,
		              .epoch = wr_alarm_epoch(atomic_load(&ring->alarm)), .iov = iov,
		              .iov_count = 2 };
	struct area was = area;
	struct wr_seen seen;
	int r;

	atomic_store(&ring->alarm, wr_alarm_make((uint32_t)put.epoch, 0, wr_head_count(head) + 9));
	atomic_store(&ring->limit, wr_limit_make(0, 0, WR_STOP_FULL, at + 8192));
	wr_torture.at = point;
	wr_torture.loops = 3;
	wr_torture.skip = 0;
	r = by_put ? wr_section_put(table, offset, &order, &put, &seen)
	           : wr_section_push(table, offset, &order, header, bytes, &seen);
	wr_torture.at = 0;
	hits[point] += wr_torture.hits - before;
	if (r != WR_PUSHED || seen.ring != ring || seen.head != head)
		complain("not pushed", point, size);
	if (atomic_load(&ring->head) !=
	    wr_head_make(wr_head_count(head) + 1, at + (uint32_t)put.total))
		complain("the head is another", point, size);
	if (atomic_load(wr_ring_header(ring, at)) != header ||
	    memcmp((uint8_t *)wr_ring_at(ring, at) + 8, bytes, size) != 0)
		complain("the bytes are others", point, size);
	if (by_put && atomic_load(&ring->side_next) != next + side)
		complain("the side table", point, size);
	was.rseq_cs = area.rseq_cs;
	if (memcmp(&was, &area, sizeof(area)) != 0)
		complain("a field of the rseq area beside rseq_cs", point, size);
}

int main(void)
{
	static const uint16_t sizes[] = { 0, 1, 2, 3, 5, 8, 13, 16, 24, 32, 40, 64, 65, 100, 128, 700 };
	unsigned never = 0;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 251 + 1);
	area.cpu_id_start = area.cpu_id = CPU;
	memset(area.rest, 0x5e, sizeof(area.rest));
	if (wr_rings_reserve(&rings) || wr_rings_open(&rings, 65536, 0, 1) ||
	    wr_rings_get(&rings, WR_RING_RSEQ, CPU, &ring)) {
		printf("Bail out! no ring\n");
		return 1;
	}
	atomic_store(&table[CPU], ring);
	for (uint32_t point = 0; point <= POINTS; point++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (unsigned form = 0; form < 3; form++)
				try(point, sizes[i], form > 0, form > 1);
	for (unsigned i = 0; i < sizeof(expected); i++)
		never += !hits[expected[i]];
	printf("%s 1 - a stay at any of %u points changes nothing\n", wrong ? "not ok" : "ok",
	       (unsigned)sizeof(expected));
	printf("%s 2 - every point was passed (%u were not)\n1..2\n", never ? "not ok" : "ok", never);
	wr_rings_close(&rings);
	return wrong || never;
}
