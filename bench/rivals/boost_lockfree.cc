/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boost_lockfree.cc - boost::lockfree::queue: a linked list of all producers, its nodes reserved
 * when it is made; bounded_push() takes no others.
 *
 *     producer i ─┐  node from the free list
 *                 ├─▶ ○─▶○─▶○─▶○ ──▶ consumer: added up in the node, before it is freed
 *     producer j ─┘
 *
 * Its fixed-size form has at most 65,534 nodes, fewer than the room asked for: this is the other.
 */
#include <boost/lockfree/queue.hpp>

#include "rivals/record.h"

/*
 * The queue demands it, because with several consumers a node may be written over while it is
 * copied. There is one here, and a record's length is one aligned word.
 */
template <uint32_t most>
struct boost::has_trivial_assign<rival::Record<most>> : public boost::true_type {
};

namespace {

/* What the queue copies a node to; it may do so twice. */
struct Popped {
	uint64_t sum = 0;

	Popped() = default;
	template <class Element>
	Popped(const Element &element) : sum(peer_sum_of(element.data, element.bytes()))
	{
	}
};

template <class Element> class List final : public rival::Queue {
	using Inner = boost::lockfree::queue<Element>;

	struct Producer final : rival::Producer {
		Inner &inner;

		explicit Producer(Inner &to) : inner(to) {}
		static int take(Producer *to, const void *data, uint32_t bytes)
		{
			return !to->inner.bounded_push(Element::lend(data, bytes));
		}
		PEER_LOOP(loop, Producer, take)
		uint64_t push(peer_source *source, uint64_t count) override
		{
			return loop(this, source, count);
		}
	};

	Inner inner;

public:
	explicit List(const peer_room &room) : inner(room.records * room.producers) {}
	rival::Producer *join(uint32_t) override
	{
		return new Producer(inner);
	}
	uint64_t drain(peer_sum *sum) override
	{
		uint64_t n = 0;

		for (Popped popped; n < rival::once_round && inner.pop(popped); n++)
			sum->sum += popped.sum;
		sum->records += n;
		return n;
	}
};

} // namespace

#define PACKAGE "libboost-dev"
#define PAGE "https://www.boost.org/doc/libs/1_75_0/doc/html/boost/lockfree/queue.html"

extern "C" {
extern const struct peer peer_boost, peer_boost_fixed;
const struct peer peer_boost = { "boost", PACKAGE, PAGE, 0, rival::open<List>, rival::join,
	rival::push, rival::leave, rival::drain, nullptr, rival::close };
const struct peer peer_boost_fixed = { "boost+fixed", PACKAGE, PAGE, PEER_FIXED,
	rival::open_fixed<List>, rival::join, rival::push, rival::leave, rival::drain, nullptr,
	rival::close };
}
