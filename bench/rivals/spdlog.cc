/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spdlog.cc - spdlog's asynchronous logger: one locked queue, one thread, and a sink of ours that
 * adds up. A record is a message that is not formatted; a full queue makes its producer wait.
 *
 *     producer i ─┐
 *                 ├─▶ locked queue ──▶ its thread ──▶ sink: sum of all words
 *     producer j ─┘
 */
#include <atomic>
#include <exception>
#include <spdlog/async.h>
#include <spdlog/sinks/sink.h>
#include <thread>

#include "harness/clock.h"
#include "rivals/record.h"

namespace {

class Sum final : public spdlog::sinks::sink {
	uint64_t sum = 0, count = 0;
	std::atomic<uint64_t> told{ 0 }; /* of count: what stands in sum */

public:
	void log(const spdlog::details::log_msg &message) override
	{
		sum += peer_sum_of(message.payload.data(),
		                   static_cast<uint32_t>(message.payload.size()));
		told.store(++count, std::memory_order_release);
	}
	void flush() override {}
	void set_pattern(const std::string &) override {}
	void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

	uint64_t records() const
	{
		return told.load(std::memory_order_acquire);
	}
	/* While nothing is under way. */
	uint64_t words() const
	{
		return sum;
	}
};

struct Logger {
	std::shared_ptr<Sum> sink = std::make_shared<Sum>();
	std::shared_ptr<spdlog::details::thread_pool> pool;
	std::shared_ptr<spdlog::async_logger> logger;

	explicit Logger(const peer_room &room)
		: pool(std::make_shared<spdlog::details::thread_pool>(
			  room.records * room.producers, 1)),
		  logger(std::make_shared<spdlog::async_logger>(
			  "bench", sink, pool, spdlog::async_overflow_policy::block))
	{
	}
};

void *open_logger(const peer_room *room, char *why)
{
	try {
		return new Logger(*room);
	} catch (const std::exception &e) {
		std::snprintf(why, BENCH_WHY, "%.100s", e.what());
		return nullptr;
	}
}

void *join_logger(void *peer, uint32_t)
{
	return static_cast<Logger *>(peer)->logger.get();
}

void leave_logger(void *) {}

int take(spdlog::async_logger *to, const void *data, uint32_t bytes)
{
	to->log(spdlog::level::info,
	        spdlog::string_view_t(static_cast<const char *>(data), bytes));
	return 0;
}

PEER_LOOP(push_messages, spdlog::async_logger, take)

void settle_logger(void *peer, uint64_t expected, peer_sum *sum)
{
	const Sum &sink = *static_cast<Logger *>(peer)->sink;
	const uint64_t end = bench_now() + UINT64_C(30000000000);

	while (sink.records() < expected) {
		if (bench_now() > end)
			bench_die("spdlog: %llu records were not there after 30 s",
			          static_cast<unsigned long long>(expected - sink.records()));
		std::this_thread::sleep_for(std::chrono::microseconds(20));
	}
	sum->records = sink.records();
	sum->sum = sink.words();
}

void close_logger(void *peer)
{
	delete static_cast<Logger *>(peer);
}

} // namespace

extern "C" {
extern const struct peer peer_spdlog;
const struct peer peer_spdlog = { "spdlog", "libspdlog-dev",
	"https://github.com/gabime/spdlog/wiki/6.-Asynchronous-logging", PEER_SLOW, open_logger,
	join_logger, push_messages, leave_logger, nullptr, settle_logger, close_logger };
}
