/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moodycamel.cc - moodycamel::ConcurrentQueue, as its author says it is fastest: taken from in
 * bulk; "moodycamel-token" with a token of each thread besides.
 *
 *     producer i ──▶ sub-queue i: blocks of 32 elements ─┐
 *                                                        ├─▶ consumer, sub-queue after sub-queue
 *     producer j ──▶ sub-queue j                        ─┘
 *
 * It is one object, but what is pushed goes to the pushing thread's own sub-queue, with or without
 * tokens, and two threads' records have no order: that is a queue of each producer's own.
 *
 * All is allocated in open(), and try_enqueue() allocates nothing. With tokens a block stays with
 * the producer that took it, so each is given its room in open(): pushed full, and emptied.
 * Without, blocks go back to a common store: a fast producer may hold another's room for a while.
 */
#include <concurrentqueue/concurrentqueue.h>
#include <cstdlib>
#include <vector>

#include "rivals/record.h"

namespace {

struct Traits : moodycamel::ConcurrentQueueDefaultTraits {
	/* Of a sub-queue without a token, in blocks: it would have to allocate beyond them. */
	static const size_t IMPLICIT_INITIAL_INDEX_SIZE = 4096;

	static void *malloc(size_t bytes)
	{
		void *at = std::malloc(bytes);

		if (at)
			std::memset(at, 0, bytes);
		return at;
	}
	static void free(void *at)
	{
		std::free(at);
	}
};

struct Discard {
	template <class Element> void operator=(const Element &) const noexcept {}
	const Discard &operator*() const noexcept
	{
		return *this;
	}
	Discard &operator++() noexcept
	{
		return *this;
	}
	Discard &operator++(int) noexcept
	{
		return *this;
	}
};

/* Without a token a call goes round the sub-queues once, and begins with the same one each time. */
constexpr size_t all = size_t(1) << 20;

/* Blocks of one producer: the first and the last may be half empty. */
size_t share(const peer_room &room)
{
	return (room.records + Traits::BLOCK_SIZE - 1) / Traits::BLOCK_SIZE + 1;
}

template <class Element> class Plain : public rival::Queue {
	using Inner = moodycamel::ConcurrentQueue<Element, Traits>;

	struct Producer final : rival::Producer {
		Inner &inner;

		explicit Producer(Inner &to) : inner(to) {}
		static int take(Producer *to, const void *data, uint32_t bytes)
		{
			return !to->inner.try_enqueue(Element::lend(data, bytes));
		}
		PEER_LOOP(loop, Producer, take)
		uint64_t push(peer_source *source, uint64_t count) override
		{
			return loop(this, source, count);
		}
	};

	Inner inner;

public:
	explicit Plain(const peer_room &room)
		: inner((share(room) + 1) * Traits::BLOCK_SIZE * room.producers)
	{
	}
	rival::Producer *join(uint32_t) override
	{
		return new Producer(inner);
	}
	uint64_t drain(peer_sum *sum) override
	{
		return inner.try_dequeue_bulk(rival::Adder{ sum }, all);
	}
};

template <class Element> class Token : public rival::Queue {
	using Inner = moodycamel::ConcurrentQueue<Element, Traits>;

	struct Producer final : rival::Producer {
		Inner &inner;
		const moodycamel::ProducerToken &token;

		Producer(Inner &to, const moodycamel::ProducerToken &with) : inner(to), token(with)
		{
		}
		static int take(Producer *to, const void *data, uint32_t bytes)
		{
			return !to->inner.try_enqueue(to->token, Element::lend(data, bytes));
		}
		PEER_LOOP(loop, Producer, take)
		uint64_t push(peer_source *source, uint64_t count) override
		{
			return loop(this, source, count);
		}
	};

	Inner inner;
	std::vector<moodycamel::ProducerToken> tokens; /* of the producers */
	moodycamel::ConsumerToken token;

public:
	explicit Token(const peer_room &room)
		: inner(share(room) * Traits::BLOCK_SIZE * room.producers), token(inner)
	{
		const Element nothing{};

		tokens.reserve(room.producers);
		for (uint32_t i = 0; i < room.producers; i++) {
			tokens.emplace_back(inner);
			for (size_t n = 0; n < share(room) * Traits::BLOCK_SIZE; n++)
				(void)inner.try_enqueue(tokens[i], nothing);
		}
		while (inner.try_dequeue_bulk(token, Discard(), rival::once_round))
			;
	}
	rival::Producer *join(uint32_t producer) override
	{
		return new Producer(inner, tokens[producer]);
	}
	uint64_t drain(peer_sum *sum) override
	{
		return inner.try_dequeue_bulk(token, rival::Adder{ sum }, rival::once_round);
	}
};

} // namespace

#define PACKAGE "libconcurrentqueue-dev"
#define PAGE "https://github.com/cameron314/concurrentqueue"

extern "C" {
extern const struct peer peer_moodycamel, peer_moodycamel_token, peer_moodycamel_token_fixed;
const struct peer peer_moodycamel = { "moodycamel", PACKAGE, PAGE, PEER_PER_THREAD,
	rival::open<Plain>, rival::join, rival::push, rival::leave, rival::drain, nullptr,
	rival::close };
const struct peer peer_moodycamel_token = { "moodycamel-token", PACKAGE, PAGE, PEER_PER_THREAD,
	rival::open<Token>, rival::join, rival::push, rival::leave, rival::drain, nullptr,
	rival::close };
const struct peer peer_moodycamel_token_fixed = { "moodycamel-token+fixed", PACKAGE, PAGE,
	PEER_PER_THREAD | PEER_FIXED, rival::open_fixed<Token>, rival::join, rival::push,
	rival::leave, rival::drain, nullptr, rival::close };
}
