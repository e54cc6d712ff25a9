/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a claim: one transition, whoever comes first. */
#include "support/rings.h"

#include <pthread.h>

#define RESERVED_WORD wr_header_make(77, 0xbeef, WEIR_REC_RESERVED | WEIR_REC_UUID | 0x1000u)

static uint32_t flags_of(_Atomic uint64_t *header)
{
	return wr_header_flags(atomic_load(header));
}

Test(ring_claim, commit_makes_a_reserved_place_a_record)
{
	_Atomic uint64_t header = RESERVED_WORD;

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_COMMITTED), 0);
	T_EQ(flags_of(&header), WEIR_REC_COMMITTED | WEIR_REC_UUID | 0x1000u);
}

Test(ring_claim, abort_makes_a_reserved_place_one_to_skip)
{
	_Atomic uint64_t header = RESERVED_WORD;

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_ABORTED), 0);
	T_EQ(flags_of(&header), WEIR_REC_ABORTED | WEIR_REC_UUID | 0x1000u);
}

Test(ring_claim, size_and_source_outlive_the_end_of_a_claim)
{
	_Atomic uint64_t header = RESERVED_WORD;

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_COMMITTED), 0);
	T_EQ((uint32_t)atomic_load(&header), 77);
	T_EQ((uint16_t)(atomic_load(&header) >> 32), 0xbeef);
}

Test(ring_claim, who_ends_a_claim_that_is_waited_for_is_told)
{
	_Atomic uint64_t header = RESERVED_WORD | (uint64_t)WEIR_REC_WAITED << WR_HEADER_FLAGS_SHIFT;

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_COMMITTED), 1);
}

Test(ring_claim, a_record_never_carries_the_waited_bit)
{
	_Atomic uint64_t header = RESERVED_WORD | (uint64_t)WEIR_REC_WAITED << WR_HEADER_FLAGS_SHIFT;

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_ABORTED), 1);
	T_TRUE(!(flags_of(&header) & WEIR_REC_WAITED));
}

Test(ring_claim, commit_of_an_abandoned_claim_says_shutdown_and_changes_nothing)
{
	_Atomic uint64_t header = wr_header_make(8, 0, WEIR_REC_ABORTED);
	uint64_t before = atomic_load(&header);

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_COMMITTED), -ESHUTDOWN);
	T_EQ(atomic_load(&header), before);
}

Test(ring_claim, abort_of_an_abandoned_claim_says_shutdown)
{
	_Atomic uint64_t header = wr_header_make(8, 0, WEIR_REC_ABORTED);

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_ABORTED), -ESHUTDOWN);
}

Test(ring_claim, a_claim_ends_once)
{
	_Atomic uint64_t header = RESERVED_WORD;
	uint64_t after;

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_COMMITTED), 0);
	after = atomic_load(&header);
	T_EQ(wr_ring_end_claim(&header, WEIR_REC_COMMITTED), -EINVAL);
	T_EQ(wr_ring_end_claim(&header, WEIR_REC_ABORTED), -EINVAL);
	T_EQ(atomic_load(&header), after);
}

Test(ring_claim, a_claim_whose_place_was_given_up_and_zeroed_says_shutdown)
{
	_Atomic uint64_t header = 0;

	T_EQ(wr_ring_end_claim(&header, WEIR_REC_COMMITTED), -ESHUTDOWN);
	T_EQ(atomic_load(&header), 0);
}

struct ender {
	_Atomic uint64_t *header;
	pthread_barrier_t *start;
	int result;
};

static void *end_it(void *arg)
{
	struct ender *ender = arg;

	pthread_barrier_wait(ender->start);
	ender->result = wr_ring_end_claim(ender->header, WEIR_REC_COMMITTED);
	return NULL;
}

Test(ring_claim, of_owner_and_abandoner_exactly_one_wins)
{
	for (int round = 0; round < 200; round++) {
		_Atomic uint64_t header = RESERVED_WORD;
		pthread_barrier_t start;
		struct ender ender = { &header, &start, 1 };
		pthread_t thread;
		int mine;

		pthread_barrier_init(&start, NULL, 2);
		T_EQ(pthread_create(&thread, NULL, end_it, &ender), 0);
		pthread_barrier_wait(&start);
		mine = wr_ring_end_claim(&header, WEIR_REC_ABORTED);
		pthread_join(thread, NULL);
		if (mine == 0) {
			T_EQ(ender.result, -ESHUTDOWN);
			T_TRUE(flags_of(&header) & WEIR_REC_ABORTED);
		} else {
			T_EQ(mine, -EINVAL);
			T_EQ(ender.result, 0);
			T_TRUE(!(flags_of(&header) & WEIR_REC_ABORTED));
		}
	}
}
