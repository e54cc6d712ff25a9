/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/rivals/record.h - what the adapters of queues that are C++ templates share: a record as an
 * element, and the table's functions for a queue of any element.
 *
 * A rival that holds elements of one type is given one with room for the records of this run,
 * that says how long it is and is copied to that length. What is pushed is copied once, straight
 * from the source: the element handed to the queue only lends the source's address. Where the
 * rival lets a type of ours be assigned from its element, the sum is made in place.
 *
 * thread: see peer.h
 */
#ifndef WEIR_BENCH_RECORD_H
#define WEIR_BENCH_RECORD_H

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "rivals/loop.h"

namespace rival {

/* Of variable length. */
template <uint32_t most> struct Record {
	static_assert(most >= sizeof(void *), "a lender keeps an address");
	static constexpr uint64_t lends = UINT64_C(1) << 63;

	uint64_t size;
	uint8_t data[most]; /* of one that lends: the address of the bytes */

	Record() noexcept : size(0) {}
	Record(const Record &other) noexcept
	{
		copy(other);
	}
	Record &operator=(const Record &other) noexcept
	{
		copy(other);
		return *this;
	}
	static Record lend(const void *from, uint32_t bytes) noexcept
	{
		Record record;

		record.size = bytes | lends;
		std::memcpy(record.data, &from, sizeof(from));
		return record;
	}
	uint32_t bytes() const noexcept
	{
		return static_cast<uint32_t>(size);
	}

private:
	void copy(const Record &other) noexcept
	{
		const void *from = other.data;

		if (other.size & lends)
			std::memcpy(&from, other.data, sizeof(from));
		size = other.size & ~lends;
		std::memcpy(data, from, size);
	}
};

/* Of one length, known when this is compiled. */
template <uint32_t length> struct Fixed {
	alignas(8) uint8_t data[length];

	static const Fixed &lend(const void *from, uint32_t) noexcept
	{
		return *static_cast<const Fixed *>(from);
	}
	static constexpr uint32_t bytes() noexcept
	{
		return length;
	}
};

/* Whatever is assigned to it is added up; also as an iterator that one may write through. */
struct Adder {
	peer_sum *sum;

	template <class Element> void operator=(const Element &element) const noexcept
	{
		peer_took(sum, element.data, element.bytes());
	}
	const Adder &operator*() const noexcept
	{
		return *this;
	}
	Adder &operator++() noexcept
	{
		return *this;
	}
	Adder &operator++(int) noexcept
	{
		return *this;
	}
};

/* Memory of which every page has been used. */
template <class T> struct Faulted : std::allocator<T> {
	template <class U> struct rebind {
		using other = Faulted<U>;
	};

	T *allocate(std::size_t count)
	{
		T *at = std::allocator<T>::allocate(count);

		std::memset(static_cast<void *>(at), 0, count * sizeof(T));
		return at;
	}
};

/*
 * A drain takes at most so many: more may have come meanwhile, and where the consumer waits for
 * producers that are not running, the one who asked would wait for all of them.
 */
constexpr unsigned once_round = 1024;

struct alignas(128) Producer {
	virtual ~Producer() = default;
	virtual uint64_t push(peer_source *source, uint64_t count) = 0;
};

struct Queue {
	virtual ~Queue() = default;
	virtual Producer *join(uint32_t producer) = 0;
	virtual uint64_t drain(peer_sum *sum) = 0;
};

inline void *join(void *peer, uint32_t producer)
{
	return static_cast<Queue *>(peer)->join(producer);
}

inline uint64_t push(void *producer, peer_source *source, uint64_t count)
{
	return static_cast<Producer *>(producer)->push(source, count);
}

inline void leave(void *producer)
{
	delete static_cast<Producer *>(producer);
}

inline uint64_t drain(void *peer, peer_sum *sum)
{
	return static_cast<Queue *>(peer)->drain(sum);
}

inline void close(void *peer)
{
	delete static_cast<Queue *>(peer);
}

template <class Rival> void *make(const peer_room *room)
{
	try {
		return static_cast<Queue *>(new Rival(*room));
	} catch (const std::bad_alloc &) {
		bench_die("no memory for a queue");
	}
}

template <template <class> class Rival> void *open(const peer_room *room, char *why)
{
	if (room->bytes <= 8)
		return make<Rival<Record<8>>>(room);
	if (room->bytes <= 16)
		return make<Rival<Record<16>>>(room);
	if (room->bytes <= 64)
		return make<Rival<Record<64>>>(room);
	if (room->bytes <= 256)
		return make<Rival<Record<256>>>(room);
	if (room->bytes <= 1024)
		return make<Rival<Record<1024>>>(room);
	if (room->bytes <= 4096)
		return make<Rival<Record<4096>>>(room);
	std::snprintf(why, BENCH_WHY, "records have at most 4096 bytes");
	return nullptr;
}

template <template <class> class Rival> void *open_fixed(const peer_room *room, char *why)
{
	if (room->bytes == 8)
		return make<Rival<Fixed<8>>>(room);
	if (room->bytes == 64)
		return make<Rival<Fixed<64>>>(room);
	if (room->bytes == 256)
		return make<Rival<Fixed<256>>>(room);
	std::snprintf(why, BENCH_WHY, "the fixed form is built for 8, 64 and 256 bytes");
	return nullptr;
}

} // namespace rival

#endif
