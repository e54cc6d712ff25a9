/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atomic_queue.cc - atomic_queue::AtomicQueueB2: one ring of all producers, for elements that are
 * not atomic, of a size that is told when it is made.
 *
 *     producer i ─┐
 *                 ├─▶ [state of each slot][slots] ──▶ consumer: moved out, then added up
 *     producer j ─┘
 *
 * "atomic_queue" uses try_push() and try_pop(). "atomic_queue-optimist" uses what its author calls
 * the faster pair, push() and pop(), which wait when the ring is full or empty: so both ends look
 * first, and the ring has some slots more than are ever filled, for producers that looked at once.
 */
#include <algorithm>
#include <atomic_queue/atomic_queue.h>

#include "rivals/record.h"

namespace {

template <class Element> class Shared : public rival::Queue {
protected:
	using Inner = atomic_queue::AtomicQueueB2<Element, rival::Faulted<Element>>;

	Inner inner;
	const unsigned most;

public:
	explicit Shared(const peer_room &room)
		: inner(static_cast<unsigned>((room.records + 1) * room.producers)),
		  most(inner.capacity() - room.producers)
	{
	}
};

template <class Element> class Careful final : public Shared<Element> {
	using typename Shared<Element>::Inner;

	struct Producer final : rival::Producer {
		Inner &inner;

		explicit Producer(Inner &to) : inner(to) {}
		static int take(Producer *to, const void *data, uint32_t bytes)
		{
			return !to->inner.try_push(Element::lend(data, bytes));
		}
		PEER_LOOP(loop, Producer, take)
		uint64_t push(peer_source *source, uint64_t count) override
		{
			return loop(this, source, count);
		}
	};

public:
	using Shared<Element>::Shared;
	rival::Producer *join(uint32_t) override
	{
		return new Producer(this->inner);
	}
	uint64_t drain(peer_sum *sum) override
	{
		const unsigned there = std::min(this->inner.was_size(), rival::once_round);
		rival::Adder to{ sum };
		uint64_t n = 0;

		while (n < there && this->inner.try_pop(to))
			n++;
		return n;
	}
};

template <class Element> class Optimist final : public Shared<Element> {
	using typename Shared<Element>::Inner;

	struct Producer final : rival::Producer {
		Inner &inner;
		const unsigned most;

		Producer(Inner &to, unsigned limit) : inner(to), most(limit) {}
		static int take(Producer *to, const void *data, uint32_t bytes)
		{
			if (to->inner.was_size() >= to->most)
				return 1;
			to->inner.push(Element::lend(data, bytes));
			return 0;
		}
		PEER_LOOP(loop, Producer, take)
		uint64_t push(peer_source *source, uint64_t count) override
		{
			return loop(this, source, count);
		}
	};

public:
	using Shared<Element>::Shared;
	rival::Producer *join(uint32_t) override
	{
		return new Producer(this->inner, this->most);
	}
	uint64_t drain(peer_sum *sum) override
	{
		const unsigned there = std::min(this->inner.was_size(), rival::once_round);
		const rival::Adder to{ sum };

		for (unsigned n = 0; n < there; n++)
			to = this->inner.pop();
		return there;
	}
};

} // namespace

#define PACKAGE "libatomic-queue-dev"
#define PAGE "https://github.com/max0x7ba/atomic_queue"

extern "C" {
extern const struct peer peer_atomic_queue, peer_atomic_queue_optimist, peer_atomic_queue_fixed;
const struct peer peer_atomic_queue = { "atomic_queue", PACKAGE, PAGE, 0, rival::open<Careful>,
	rival::join, rival::push, rival::leave, rival::drain, nullptr, rival::close };
const struct peer peer_atomic_queue_optimist = { "atomic_queue-optimist", PACKAGE, PAGE, 0,
	rival::open<Optimist>, rival::join, rival::push, rival::leave, rival::drain, nullptr,
	rival::close };
const struct peer peer_atomic_queue_fixed = { "atomic_queue+fixed", PACKAGE, PAGE, PEER_FIXED,
	rival::open_fixed<Careful>, rival::join, rival::push, rival::leave, rival::drain, nullptr,
	rival::close };
}
