/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tbb.cc - oneapi::tbb::concurrent_bounded_queue: eight micro-queues behind one ticket counter, its
 * pages allocated and freed as it goes, with a capacity.
 *
 *     producer i ─┐ ticket       ┌─▶ micro-queue 0: pages ─┐
 *                 ├─────────────▶│          ...            ├─▶ consumer, by ticket: moved out
 *     producer j ─┘              └─▶ micro-queue 7: pages ─┘
 */
#include <oneapi/tbb/concurrent_queue.h>

#include "rivals/record.h"

namespace {

template <class Element> class Tickets final : public rival::Queue {
	using Inner = oneapi::tbb::concurrent_bounded_queue<Element>;

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

	Inner inner;
	Element out;

public:
	explicit Tickets(const peer_room &room)
	{
		inner.set_capacity(
			static_cast<typename Inner::size_type>(room.records * room.producers));
	}
	rival::Producer *join(uint32_t) override
	{
		return new Producer(inner);
	}
	uint64_t drain(peer_sum *sum) override
	{
		uint64_t n = 0;

		for (; n < rival::once_round && inner.try_pop(out); n++)
			peer_took(sum, out.data, out.bytes());
		return n;
	}
};

} // namespace

extern "C" {
extern const struct peer peer_tbb;
const struct peer peer_tbb = { "tbb", "libtbb-dev",
	"https://www.intel.com/content/www/us/en/docs/onetbb/developer-guide-api-reference/2023-2/"
	"concurrent-bounded-queue.html",
	0, rival::open<Tickets>, rival::join, rival::push, rival::leave, rival::drain, nullptr,
	rival::close };
}
