/* SPDX-License-Identifier: Apache-2.0 */
/* cpp.cc - from C++11: an engine owned by a class, records pushed from several threads. */
#include <atomic>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weir/weir.h>

class Engine {
public:
	Engine(const weir_config &config, weir_sink *sink)
	{
		weir_why why{};

		if (weir_open(&config, sink, &weir_, &why) < 0) {
			sink->ops->close(sink);
			throw std::runtime_error(why.text);
		}
	}
	~Engine()
	{
		weir_close(weir_, WEIR_SECONDS(10), nullptr);
		weir_free(weir_);
	}
	Engine(const Engine &) = delete;
	Engine &operator=(const Engine &) = delete;

	bool push(const std::string &record)
	{
		return weir_push(weir_, record.data(), record.size()) == 0;
	}

private:
	weir *weir_ = nullptr;
};

static void count(void *arg, const weir_batch *batch, weir_verdict *)
{
	*static_cast<std::atomic<unsigned long> *>(arg) += batch->records;
}

int main()
{
	std::atomic<unsigned long> delivered{ 0 };
	std::atomic<unsigned long> accepted{ 0 };
	weir_config config;
	weir_sink *sink = nullptr;

	weir_config_init(&config);
	config.full = WEIR_FULL_BLOCK;
	if (weir_sink_callback(count, &delivered, &sink) < 0)
		return 1;
	try {
		Engine engine(config, sink);
		std::vector<std::thread> threads;

		for (int t = 0; t < 4; t++)
			threads.emplace_back([&engine, &accepted, t] {
				for (int i = 0; i < 1000; i++)
					accepted += engine.push(std::to_string(t) + "/" + std::to_string(i));
			});
		for (auto &thread : threads)
			thread.join();
	} catch (const std::exception &error) {
		std::cerr << error.what() << "\n";
		return 1;
	}
	std::cout << delivered << " of " << accepted << " records\n";
	return delivered == 4000 && accepted == 4000 ? 0 : 1;
}
