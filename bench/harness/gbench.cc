/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gbench.cc - schedule.h on Google Benchmark: a block is a repetition, a burst an iteration whose
 * time the bench itself tells; the library interleaves the repetitions at random.
 */
#include <cstdlib>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "harness/schedule.h"

namespace {

/* The rows are written by run.c. */
class Silent : public benchmark::BenchmarkReporter {
public:
	bool ReportContext(const Context &) override
	{
		return true;
	}
	void ReportRuns(const std::vector<Run> &) override {}
};

void block(benchmark::State &state, const bench_entry &entry, uint32_t &blocks)
{
	entry.begin(entry.arg, blocks++);
	for (auto _ : state) {
		(void)_;
		state.SetIterationTime(entry.burst(entry.arg) * 1e-9);
	}
	entry.end(entry.arg);
}

void begin_library()
{
	static bool begun;
	char name[] = "bench", interleave[] = "--benchmark_enable_random_interleaving=true";
	char *args[] = { name, interleave, nullptr };
	int count = 2;

	if (!begun)
		benchmark::Initialize(&count, args);
	begun = true;
}

} // namespace

void bench_schedule(const bench_entry *entries, uint32_t count, uint32_t blocks)
{
	std::vector<uint32_t> done(count, 0);
	Silent silent;

	begin_library();
	for (uint32_t i = 0; i < count; i++)
		benchmark::RegisterBenchmark(entries[i].name,
		                             [entries, i, &done](benchmark::State &state) {
			                             block(state, entries[i], done[i]);
		                             })
			->Iterations(entries[i].bursts)
			->Repetitions(static_cast<int>(blocks))
			->UseManualTime();
	if (count)
		benchmark::RunSpecifiedBenchmarks(&silent);
	benchmark::ClearRegisteredBenchmarks();
}

const char *bench_scheduler(void)
{
	return "Google Benchmark " BENCH_GOOGLE_VERSION;
}
