/* SPDX-License-Identifier: Apache-2.0 */
/* Rings that cannot be made, huge pages, and what a child has to give back. */
#include "support/rings.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define HUGE (UINT64_C(2) << 20)

static struct wr_rings rings;

static int is_mapped(void *at)
{
	unsigned char resident;

	return mincore(at, 1, &resident) == 0;
}

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* The next free descriptor. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

Test(ring_rings, a_ring_that_the_kernel_does_not_map_leaves_its_id_to_the_next)
{
	struct wr_ring *ring = NULL;
	int pipes[2], memory;

	rings_begin(&rings, SMALL_RING, 1);
	T_EQ(pipe(pipes), 0);
	memory = atomic_exchange(&rings.page->memory_fd1, pipes[0] + 1); /* cannot be mapped */
	for (int i = 0; i < 3; i++)
		T_EQ(wr_rings_get(&rings, WR_RING_FALLBACK, 2, &ring), -ENOMEM);
	T_TRUE(!ring);
	T_EQ(wr_rings_last_id(&rings), 0);
	T_TRUE(!atomic_load(&rings.page->fallback[2]));
	atomic_store(&rings.page->memory_fd1, memory);
	T_EQ(wr_rings_get(&rings, WR_RING_FALLBACK, 2, &ring), 0);
	T_EQ(ring->id, 1);
}

static long mapped_pages(void)
{
	char text[128] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	T_TRUE(fd >= 0);
	T_TRUE(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

Test(ring_rings, a_ring_that_the_kernel_does_not_map_leaves_nothing_mapped)
{
	struct wr_ring *ring;
	int pipes[2];
	long before;

	rings_begin(&rings, SMALL_RING, 1);
	T_EQ(pipe(pipes), 0);
	atomic_store(&rings.page->memory_fd1, pipes[0] + 1);
	T_EQ(wr_rings_get(&rings, WR_RING_RSEQ, 2, &ring), -ENOMEM);
	before = mapped_pages();
	for (int i = 0; i < 100; i++)
		T_EQ(wr_rings_get(&rings, WR_RING_RSEQ, 2, &ring), -ENOMEM);
	T_TRUE(mapped_pages() < before + 2 * (long)(SMALL_RING / 4096));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
Test(ring_rings, without_address_space_for_a_ring_there_is_none)
{
	struct rlimit before, narrow;
	struct wr_ring *ring = NULL;
	int r;

	/* An emulator does not keep to the limit, and valgrind needs memory of its own. */
	if (wr_rseq_detect() != WR_RSEQ_YES)
		return;
	rings_begin(&rings, UINT64_C(1) << 30, 1);
	T_EQ(getrlimit(RLIMIT_AS, &before), 0);
	narrow = before;
	narrow.rlim_cur = (rlim_t)mapped_pages() * 4096 + (UINT64_C(1) << 30);
	T_EQ(setrlimit(RLIMIT_AS, &narrow), 0);
	errno = 4711; /* a push made it, and keeps errno */
	r = wr_rings_get(&rings, WR_RING_RSEQ, 1, &ring);
	T_EQ(errno, 4711);
	T_EQ(setrlimit(RLIMIT_AS, &before), 0);
	T_EQ(r, -ENOMEM);
	T_TRUE(!ring);
	T_EQ(wr_rings_last_id(&rings), 0);
}
#endif

/* Where no huge page is to be had the ring is refused; at an address that is not aligned it would be
 * refused wherever there are some. */
Test(ring_rings, a_ring_of_huge_pages_lies_aligned_or_is_refused)
{
	struct wr_ring *ring = NULL;
	int r;

	T_EQ(wr_rings_reserve(&rings), 0);
	r = wr_rings_open(&rings, HUGE, 1, 1);
	if (r)
		T_SKIP("this kernel has no huge pages");
	T_EQ(rings.hugepage, 1);
	r = wr_rings_get(&rings, WR_RING_FALLBACK, 0, &ring);
	if (r) {
		T_EQ(r, -ENOMEM);
		T_EQ(wr_rings_last_id(&rings), 0);
		return;
	}
	T_EQ((uintptr_t)ring->data % HUGE, 0);
	T_TRUE(is_mapped(ring->data + HUGE));
	memcpy(ring->data + HUGE - 1, "ab", 2);
	T_EQ(ring->data[0], 'b');
}

Test(ring_rings, what_was_reserved_to_align_a_huge_ring_is_given_back)
{
	struct wr_ring *ring;
	int pipes[2];
	long before;

	T_EQ(wr_rings_reserve(&rings), 0);
	if (wr_rings_open(&rings, HUGE, 1, 1))
		T_SKIP("this kernel has no huge pages");
	T_EQ(pipe(pipes), 0);
	atomic_store(&rings.page->memory_fd1, pipes[0] + 1);
	before = mapped_pages();
	for (int i = 0; i < 50; i++)
		T_EQ(wr_rings_get(&rings, WR_RING_RSEQ, 2, &ring), -ENOMEM);
	T_TRUE(mapped_pages() < before + (long)(2 * HUGE / 4096));
}

Test(ring_rings, where_the_descriptor_was_wiped_no_ring_is_made)
{
	struct wr_ring *ring = NULL;

	rings_begin(&rings, SMALL_RING, 1);
	atomic_store(&rings.page->memory_fd1, 0); /* as a fork leaves it */
	T_EQ(wr_rings_get(&rings, WR_RING_RSEQ, 0, &ring), -EPERM);
	T_EQ(wr_rings_get(&rings, WR_RING_FALLBACK, 0, &ring), -EPERM);
	T_TRUE(!ring);
	T_EQ(wr_rings_last_id(&rings), 0);
}

Test(ring_rings, a_child_closes_the_memory_file_once)
{
	int fd, other;

	rings_begin(&rings, SMALL_RING, 1);
	fd = rings.memory_fd;
	T_TRUE(is_open(fd));
	wr_rings_disown(&rings);
	T_TRUE(!is_open(fd));
	other = next_fd(); /* somebody else's by now */
	T_EQ(other, fd);
	T_EQ(dup2(0, other), other);
	wr_rings_disown(&rings);
	T_TRUE(is_open(other));
}

Test(ring_rings, closed_twice_no_descriptor_of_somebody_else_is_closed)
{
	int fd;

	rings_begin(&rings, SMALL_RING, 1);
	fd = rings.memory_fd;
	wr_rings_close(&rings);
	T_TRUE(!is_open(fd));
	T_EQ(dup2(0, fd), fd);
	wr_rings_close(&rings);
	T_TRUE(is_open(fd));
}
