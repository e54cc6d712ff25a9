/* SPDX-License-Identifier: Apache-2.0 */
/* mem_test.c - memory through the embedder's allocator, or libc's. */
#include "base/mem.h"

#include "test.h"

struct ledger {
	unsigned allocs, frees;
	size_t alloc_bytes, free_bytes;
	void *freed;
	int fails;
};

static _Alignas(16) char arena[4096];

static void *take(void *arg, size_t bytes)
{
	struct ledger *ledger = arg;

	ledger->allocs++;
	ledger->alloc_bytes += bytes;
	return ledger->fails ? NULL : arena;
}

static void give(void *arg, void *memory, size_t bytes)
{
	struct ledger *ledger = arg;

	ledger->frees++;
	ledger->free_bytes += bytes;
	ledger->freed = memory;
}

Test(mem, libc_memory_is_zeroed)
{
	/* The second round gets back what the first one soiled. */
	for (int round = 0; round < 2; round++) {
		unsigned char *memory = wr_mem_alloc(NULL, 100);

		T_TRUE(memory);
		for (int i = 0; i < 100; i++)
			T_EQ(memory[i], 0);
		memset(memory, 0xff, 100);
		wr_mem_free(NULL, memory, 100);
	}
}

Test(mem, libc_memory_is_aligned_for_any_type)
{
	for (size_t bytes = 16; bytes < 200; bytes += 8) {
		void *memory = wr_mem_alloc(NULL, bytes);

		T_EQ((uintptr_t)memory % 16, 0);
		wr_mem_free(NULL, memory, bytes);
	}
}

Test(mem, a_table_without_functions_means_libc)
{
	struct wr_mem mem = { 0 };
	void *memory = wr_mem_alloc(&mem, 64);

	T_TRUE(memory);
	wr_mem_free(&mem, memory, 64);
}

Test(mem, the_allocator_gets_its_argument_and_the_size)
{
	struct ledger ledger = { 0 };
	struct wr_mem mem = { take, give, &ledger };

	T_TRUE(wr_mem_alloc(&mem, 100) == arena);
	T_EQ(ledger.allocs, 1);
	T_EQ(ledger.alloc_bytes, 100);
}

Test(mem, the_allocator_gets_back_what_it_gave_with_its_size)
{
	struct ledger ledger = { 0 };
	struct wr_mem mem = { take, give, &ledger };

	wr_mem_free(&mem, wr_mem_alloc(&mem, 100), 100);
	T_EQ(ledger.frees, 1);
	T_EQ(ledger.free_bytes, 100);
	T_TRUE(ledger.freed == arena);
}

Test(mem, the_allocators_memory_is_zeroed_and_no_more_than_that)
{
	struct ledger ledger = { 0 };
	struct wr_mem mem = { take, give, &ledger };

	memset(arena, 0xff, sizeof(arena));
	T_TRUE(wr_mem_alloc(&mem, 100));
	for (int i = 0; i < 100; i++)
		T_EQ(arena[i], 0);
	T_EQ((unsigned char)arena[100], 0xff);
}

Test(mem, an_allocator_that_fails_gives_null)
{
	struct ledger ledger = { .fails = 1 };
	struct wr_mem mem = { take, give, &ledger };

	T_TRUE(!wr_mem_alloc(&mem, 100));
	T_EQ(ledger.allocs, 1);
}

Test(mem, freeing_null_calls_nobody)
{
	struct ledger ledger = { 0 };
	struct wr_mem mem = { take, give, &ledger };

	wr_mem_free(&mem, NULL, 100);
	wr_mem_free(NULL, NULL, 100);
	T_EQ(ledger.frees, 0);
}

Test(mem, no_bytes_are_memory_that_can_be_freed)
{
	void *memory = wr_mem_alloc(NULL, 0);

	T_TRUE(memory);
	wr_mem_free(NULL, memory, 0);
}

Test(mem, a_list_that_grows_keeps_its_entries_and_doubles_its_room)
{
	uint32_t room = 0, *list = wr_mem_grow(NULL, NULL, &room, sizeof(*list));

	T_EQ(room, 256);
	for (uint32_t i = 0; i < 256; i++)
		list[i] = i;
	list = wr_mem_grow(NULL, list, &room, sizeof(*list));
	T_EQ(room, 512);
	for (uint32_t i = 0; i < 512; i++)
		T_EQ(list[i], i < 256 ? i : 0);
	wr_mem_free(NULL, list, room * sizeof(*list));
}

static void *no_memory(void *arg, size_t bytes)
{
	(void)arg;
	(void)bytes;
	return NULL;
}

Test(mem, a_list_that_cannot_grow_stays_as_it_was)
{
	const struct wr_mem mem = { .alloc = no_memory };
	uint32_t room = 0, *list = wr_mem_grow(NULL, NULL, &room, sizeof(*list));

	list[0] = 7;
	T_TRUE(!wr_mem_grow(&mem, list, &room, sizeof(*list)));
	T_EQ(room, 256);
	T_EQ(list[0], 7);
	wr_mem_free(NULL, list, room * sizeof(*list));
}
