/* SPDX-License-Identifier: Apache-2.0 */
/* Rings come and go: made on first use, mapped twice, not inherited by a child. */
#include "support/rings.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testpoint.h"

static struct wr_rings rings;

static struct wr_ring *get(enum wr_ring_kind kind, uint32_t cpu)
{
	struct wr_ring *ring = NULL;

	T_EQ(wr_rings_get(&rings, kind, cpu, &ring), 0);
	return ring;
}

static int is_mapped(void *at)
{
	unsigned char resident;

	return mincore(at, 1, &resident) == 0;
}

Test(ring_rings, reserving_twice_keeps_what_threads_may_point_to)
{
	struct wr_page *page;
	struct wr_ring *control;

	T_EQ(wr_rings_reserve(&rings), 0);
	page = rings.page;
	control = rings.control;
	T_EQ(wr_rings_reserve(&rings), 0);
	T_TRUE(rings.page == page);
	T_TRUE(rings.control == control);
}

Test(ring_rings, the_memory_file_is_close_on_exec)
{
	rings_begin(&rings, SMALL_RING, 1);
	T_TRUE(fcntl(atomic_load(&rings.page->memory_fd1) - 1, F_GETFD) & FD_CLOEXEC);
}

Test(ring_rings, a_size_the_kernel_refuses_leaves_no_descriptor_behind)
{
	int before = dup(0), after;

	close(before);
	T_EQ(wr_rings_reserve(&rings), 0);
	T_TRUE(wr_rings_open(&rings, UINT64_C(1) << 51, 0, 1) < 0);
	after = dup(0);
	close(after);
	T_EQ(after, before);
	T_EQ(atomic_load(&rings.page->memory_fd1), 0);
}

Test(ring_rings, without_a_descriptor_left_open_says_so)
{
	struct rlimit before, limit;
	int fd = dup(0), r;

	close(fd);
	T_EQ(wr_rings_reserve(&rings), 0);
	T_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){ (rlim_t)fd, before.rlim_max };
	T_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	r = wr_rings_open(&rings, SMALL_RING, 0, 1);
	T_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	T_EQ(r, -EMFILE);
}

Test(ring_rings, a_ring_is_what_was_asked_for)
{
	struct wr_ring *ring;

	rings_begin(&rings, 1u << 20, 1);
	ring = get(WR_RING_RSEQ, 5);
	T_EQ(ring->cpu, 5);
	T_EQ(ring->kind, WR_RING_RSEQ);
	T_EQ(ring->mask, (1u << 20) - 1);
	T_EQ(ring->id, 1);
	T_EQ(ring->order_id, 1);
}

Test(ring_rings, a_cpu_has_one_ring_of_a_kind)
{
	struct wr_ring *ring;

	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_RSEQ, 3);
	T_TRUE(get(WR_RING_RSEQ, 3) == ring);
	T_EQ(wr_rings_last_id(&rings), 1);
}

Test(ring_rings, the_two_kinds_of_one_cpu_are_two_rings)
{
	rings_begin(&rings, SMALL_RING, 1);
	T_TRUE(get(WR_RING_RSEQ, 3) != get(WR_RING_FALLBACK, 3));
	T_EQ(get(WR_RING_FALLBACK, 3)->kind, WR_RING_FALLBACK);
	T_TRUE(atomic_load(&rings.page->rseq[3]) == get(WR_RING_RSEQ, 3));
	T_TRUE(atomic_load(&rings.page->fallback[3]) == get(WR_RING_FALLBACK, 3));
}

Test(ring_rings, ids_are_unique_and_lead_back_to_their_rings)
{
	rings_begin(&rings, SMALL_RING, 1);
	for (uint32_t cpu = 0; cpu < 40; cpu++) {
		struct wr_ring *ring = get(cpu & 1 ? WR_RING_RSEQ : WR_RING_FALLBACK, cpu);

		T_EQ(ring->id, cpu + 1);
		T_TRUE(wr_rings_by_id(&rings, ring->id) == ring);
	}
	T_EQ(wr_rings_last_id(&rings), 40);
}

Test(ring_rings, no_ring_has_id_0_or_one_that_was_not_given_out)
{
	rings_begin(&rings, SMALL_RING, 1);
	get(WR_RING_RSEQ, 0);
	T_TRUE(!wr_rings_by_id(&rings, 0));
	T_TRUE(!wr_rings_by_id(&rings, 2));
	T_TRUE(!wr_rings_by_id(&rings, WR_RING_IDS - 1));
}

Test(ring_rings, a_bitmap_reaches_the_last_id)
{
	rings_begin(&rings, SMALL_RING, 1);
	T_EQ(wr_rings_words(&rings), 1);
	atomic_store(&rings.last_id, 63);
	T_EQ(wr_rings_words(&rings), 1);
	atomic_store(&rings.last_id, 64);
	T_EQ(wr_rings_words(&rings), 2);
	atomic_store(&rings.last_id, WR_RING_IDS + 5);
	T_EQ(wr_rings_last_id(&rings), WR_RING_IDS - 1);
	T_EQ(wr_rings_words(&rings), WR_RING_IDS / 64);
}

Test(ring_rings, words_begin_where_a_test_wants_them)
{
	struct wr_ring *ring;

	rings.start_count = 0xfffffff0;
	rings.start_position = 0x7ffffffd;
	rings.start_epoch = 99;
	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_RSEQ, 0);
	T_EQ(wr_head_count(ring_head(ring)), 0xfffffff0);
	T_EQ(wr_head_position(ring_head(ring)), 0x7ffffff8);
	T_EQ(atomic_load(&ring->tail), 0x7ffffff8);
	T_EQ(atomic_load(&ring->cut_count), 0xfffffff0);
	T_EQ(atomic_load(&ring->cut_position), 0x7ffffff8);
	T_EQ(wr_alarm_epoch(atomic_load(&ring->alarm)), 99);
}

Test(ring_rings, the_first_push_of_a_new_ring_takes_the_slow_path)
{
	struct wr_ring *ring;

	rings.start_count = 0xffffffff;
	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_FALLBACK, 0);
	T_EQ(wr_alarm_trip(atomic_load(&ring->alarm)), 0);
	T_EQ(wr_alarm_base(atomic_load(&ring->alarm)), 0xffffffff);
}

Test(ring_rings, the_first_push_of_a_new_ring_meets_the_limit_too)
{
	struct wr_ring *ring;
	uint64_t limit;

	rings.start_position = 0xffffff00;
	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_FALLBACK, 0);
	limit = atomic_load(&ring->limit);
	T_TRUE((int32_t)(wr_limit_position(limit) - (0xffffff00u + 8)) < 0);
	T_TRUE(!(wr_limit_kind(limit) & WR_STOP_CLOSED));
	/* What it credits then is what it took, no more. */
	T_EQ(wr_limit_position(limit) - wr_limit_stride(limit), 0xffffff00u);
}

Test(ring_rings, without_order_every_ring_answers_to_the_order_word_0)
{
	rings_begin(&rings, SMALL_RING, 0);
	get(WR_RING_RSEQ, 0);
	T_EQ(get(WR_RING_RSEQ, 1)->order_id, 0);
	T_EQ(get(WR_RING_RSEQ, 1)->id, 2);
}

Test(ring_rings, what_is_written_at_the_end_appears_at_the_start)
{
	struct wr_ring *ring;

	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_RSEQ, 0);
	memcpy(ring->data + SMALL_RING - 4, "abcdefgh", 8);
	T_EQ(memcmp(ring->data, "efgh", 4), 0);
	T_EQ(memcmp(ring->data + 2 * SMALL_RING - 4, "abcd", 4), 0);
}

Test(ring_rings, rings_do_not_share_memory)
{
	struct wr_ring *a, *b;

	rings_begin(&rings, SMALL_RING, 1);
	a = get(WR_RING_RSEQ, 0);
	b = get(WR_RING_RSEQ, 1);
	memset(a->data, 1, SMALL_RING);
	memset(b->data, 2, SMALL_RING);
	for (unsigned i = 0; i < SMALL_RING; i++) {
		T_EQ(a->data[i], 1);
		T_EQ(b->data[i], 2);
	}
}

Test(ring_rings, a_ring_that_nobody_wrote_to_holds_no_memory)
{
	static unsigned char resident[256];
	struct wr_ring *ring;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	rings_begin(&rings, 1u << 20, 1);
	ring = get(WR_RING_RSEQ, 0);
	T_EQ(mincore(ring->data, 256 * 4096, resident), 0);
	for (size_t i = 0; i < 256 * 4096 / page; i++)
		T_EQ(resident[i] & 1, 0);
}

/* Runs @fn in a forked child; what it returns. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(fn());
	T_TRUE(pid > 0);
	T_EQ(waitpid(pid, &status, 0), pid);
	T_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* An emulator may leave advice about fork unheeded, or refuse it. */
static void need_fork_advice(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (madvise(page, 4096, MADV_WIPEONFORK) < 0)
		T_SKIP("memory cannot be wiped on fork here");
#ifdef __aarch64__
	T_SKIP("not under an emulator");
#endif
}

static struct wr_ring *parents;

static int finds_memory(void)
{
	return is_mapped(parents->data) + 2 * is_mapped(parents->data + SMALL_RING);
}

Test(ring_rings, a_child_does_not_inherit_ring_memory)
{
	need_fork_advice();
	rings_begin(&rings, SMALL_RING, 1);
	parents = get(WR_RING_RSEQ, 0);
	memset(parents->data, 1, SMALL_RING);
	T_EQ(finds_memory(), 3);
	T_EQ(in_child(finds_memory), 0);
}

static int finds_anything_on_the_page(void)
{
	const uint8_t *p = (const uint8_t *)rings.page;

	for (size_t i = 0; i < sizeof(struct wr_page); i++)
		if (p[i])
			return 1;
	return 0;
}

Test(ring_rings, a_child_finds_no_ring_no_generation_and_no_descriptor)
{
	need_fork_advice();
	rings_begin(&rings, SMALL_RING, 1);
	get(WR_RING_RSEQ, 0);
	get(WR_RING_FALLBACK, 9);
	atomic_store(&rings.page->generation, 5);
	atomic_store(&rings.page->event_fd1, 5);
	T_EQ(finds_anything_on_the_page(), 1);
	T_EQ(in_child(finds_anything_on_the_page), 0);
}

static int get_in_child(void)
{
	struct wr_ring *ring = NULL;

	return wr_rings_get(&rings, WR_RING_RSEQ, 0, &ring) == -EPERM && !ring ? 42 : 0;
}

Test(ring_rings, a_child_is_refused_a_ring)
{
	need_fork_advice();
	rings_begin(&rings, SMALL_RING, 1);
	get(WR_RING_RSEQ, 0);
	T_EQ(in_child(get_in_child), 42);
}

Test(ring_rings, when_all_ids_are_taken_there_is_no_further_ring)
{
	struct wr_ring *ring = NULL;

	rings_begin(&rings, SMALL_RING, 1);
	atomic_store(&rings.last_id, WR_RING_IDS - 2);
	T_EQ(get(WR_RING_RSEQ, 0)->id, WR_RING_IDS - 1);
	T_EQ(wr_rings_get(&rings, WR_RING_RSEQ, 1, &ring), -EMFILE);
	T_TRUE(!ring);
	T_TRUE(!atomic_load(&rings.page->rseq[1]));
}

Test(ring_rings, being_refused_does_not_use_up_ids)
{
	struct wr_ring *ring = NULL;

	rings_begin(&rings, SMALL_RING, 1);
	atomic_store(&rings.last_id, WR_RING_IDS - 1);
	for (int i = 0; i < 10; i++)
		T_EQ(wr_rings_get(&rings, WR_RING_FALLBACK, 1, &ring), -EMFILE);
	T_EQ(atomic_load(&rings.last_id), WR_RING_IDS - 1);
}

struct racer {
	pthread_barrier_t *start;
	struct wr_ring *got[64];
};

static void *race(void *arg)
{
	struct racer *racer = arg;

	for (uint32_t cpu = 0; cpu < 64; cpu++) {
		pthread_barrier_wait(racer->start);
		if (wr_rings_get(&rings, WR_RING_FALLBACK, cpu, &racer->got[cpu]))
			racer->got[cpu] = NULL;
	}
	return NULL;
}

Test(ring_rings, two_threads_that_make_a_ring_at_once_get_the_same)
{
	pthread_barrier_t start;
	struct racer mine = { &start, { NULL } }, other = { &start, { NULL } };
	pthread_t thread;
	uint32_t found = 0;

	rings_begin(&rings, SMALL_RING, 1);
	pthread_barrier_init(&start, NULL, 2);
	T_EQ(pthread_create(&thread, NULL, race, &other), 0);
	race(&mine);
	pthread_join(thread, NULL);
	for (uint32_t cpu = 0; cpu < 64; cpu++) {
		T_TRUE(mine.got[cpu]);
		T_TRUE(mine.got[cpu] == other.got[cpu]);
		T_TRUE(atomic_load(&rings.page->fallback[cpu]) == mine.got[cpu]);
		T_TRUE(wr_rings_by_id(&rings, mine.got[cpu]->id) == mine.got[cpu]);
	}
	for (uint32_t id = 1; id <= wr_rings_last_id(&rings); id++)
		found += wr_rings_by_id(&rings, id) != NULL;
	T_EQ(found, 64);
}

Test(ring_rings, unpublished_rings_are_out_of_the_table_and_still_have_their_ids)
{
	struct wr_ring *a, *b;

	rings_begin(&rings, SMALL_RING, 1);
	a = get(WR_RING_RSEQ, 4);
	b = get(WR_RING_FALLBACK, 4);
	wr_rings_unpublish(&rings);
	T_TRUE(!atomic_load(&rings.page->rseq[4]));
	T_TRUE(!atomic_load(&rings.page->fallback[4]));
	T_TRUE(wr_rings_by_id(&rings, a->id) == a);
	T_TRUE(wr_rings_by_id(&rings, b->id) == b);
}

Test(ring_rings, close_unmaps_and_forgets_every_ring)
{
	uint8_t *data;
	int fd;

	rings_begin(&rings, SMALL_RING, 1);
	data = get(WR_RING_RSEQ, 0)->data;
	fd = atomic_load(&rings.page->memory_fd1) - 1;
	wr_rings_close(&rings);
	T_TRUE(!is_mapped(data));
	T_TRUE(!is_mapped(data + SMALL_RING));
	T_TRUE(!wr_rings_by_id(&rings, 1));
	T_TRUE(!atomic_load(&rings.page->rseq[0]));
	T_EQ(fcntl(fd, F_GETFD), -1);
}

Test(ring_rings, control_words_stay_mapped_after_close)
{
	struct wr_ring *ring;

	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_RSEQ, 0);
	wr_rings_close(&rings);
	T_TRUE(is_mapped(rings.page));
	T_EQ(atomic_load(&ring->head), 0);
}

Test(ring_rings, opened_again_the_first_ring_is_number_1_and_clean)
{
	struct wr_ring *ring;

	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_RSEQ, 0);
	get(WR_RING_RSEQ, 1);
	atomic_store(&ring->refused_full, 7);
	atomic_store(&ring->side_next, 7);
	memset(ring->data, 0xff, SMALL_RING);
	wr_rings_close(&rings);
	rings_begin(&rings, 2 * SMALL_RING, 1);
	ring = get(WR_RING_RSEQ, 1);
	T_EQ(ring->id, 1);
	T_EQ(wr_ring_bytes(ring), 2 * SMALL_RING);
	T_EQ(atomic_load(&ring->refused_full), 0);
	T_EQ(atomic_load(&ring->side_next), 0);
	T_EQ(ring->data[0], 0);
}

Test(ring_rings, a_new_ring_has_counted_nothing)
{
	struct wr_ring *ring;

	rings_begin(&rings, SMALL_RING, 1);
	ring = get(WR_RING_RSEQ, 0);
	T_EQ(ring->inside + ring->pressed + ring->side_next, 0);
	T_EQ(ring->refused_full + ring->refused_context, 0);
	T_EQ(ring->waits + ring->migrations + ring->aborts_capped, 0);
	T_EQ(ring->claims_begun + ring->claims_committed, 0);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
/* Pages that this process has mapped. */
static long mapped_pages(void)
{
	char text[128] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	T_TRUE(fd >= 0);
	T_TRUE(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

Test(ring_rings, when_there_is_no_room_for_its_tables_nothing_stays_mapped)
{
	struct rlimit before, narrow;
	long pages = mapped_pages();
	int failures = 0, r = -ENOMEM;

	/* An emulator does not keep to the limit, and valgrind needs memory of its own. */
	if (wr_rseq_detect() != WR_RSEQ_YES)
		return;
	T_EQ(getrlimit(RLIMIT_AS, &before), 0);
	narrow = before;
	for (long more = 0; r; more += 4) {
		narrow.rlim_cur = (rlim_t)(pages + more) * 4096u;
		T_EQ(setrlimit(RLIMIT_AS, &narrow), 0);
		r = wr_rings_reserve(&rings);
		T_EQ(setrlimit(RLIMIT_AS, &before), 0);
		if (!r)
			break;
		failures++;
		T_EQ(r, -ENOMEM);
		T_TRUE(!rings.page && !rings.by_id && !rings.control);
		T_EQ(mapped_pages(), pages);
	}
	T_TRUE(failures > 3);
	T_TRUE(rings.page && rings.by_id && rings.control);
}
#endif

#ifdef WR_TEST_POINTS
static struct wr_ring *first_made;
static uint32_t rings_made;

static void make_it_first(const char *name)
{
	if (strcmp(name, "rings.made") == 0 && !rings_made++)
		first_made = get(WR_RING_FALLBACK, 3);
}

Test(ring_rings, who_comes_second_with_a_ring_takes_the_first)
{
	struct wr_ring *ring;
	uint32_t found = 0;

	rings_begin(&rings, SMALL_RING, 1);
	atomic_store(&wr_testpoint_hook, make_it_first);
	ring = get(WR_RING_FALLBACK, 3);
	T_TRUE(first_made);
	T_TRUE(ring == first_made);
	T_TRUE(atomic_load(&rings.page->fallback[3]) == ring);
	for (uint32_t id = 1; id <= wr_rings_last_id(&rings); id++)
		found += wr_rings_by_id(&rings, id) != NULL;
	T_EQ(found, 1);
	T_TRUE(is_mapped(ring->data));
}
#endif
