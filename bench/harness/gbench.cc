/* SPDX-License-Identifier: Apache-2.0 */
/* gbench.cc - bench.h on Google Benchmark: its repetitions, its random interleaving, our table. */
#include "bench.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

std::map<std::string, std::vector<double>> results; /* ns per burst, one per repetition */

class Collector : public benchmark::BenchmarkReporter {
public:
	bool ReportContext(const Context &) override
	{
		return true;
	}
	void ReportRuns(const std::vector<Run> &runs) override
	{
		for (const Run &run : runs)
			if (run.run_type == Run::RT_Iteration && !run.error_occurred)
				results[run.run_name.function_name].push_back(
					run.GetAdjustedRealTime());
	}
};

void pin(unsigned cpu)
{
	cpu_set_t all, one;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		if (n++ == cpu % static_cast<unsigned>(CPU_COUNT(&all))) {
			CPU_ZERO(&one);
			CPU_SET(i, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
	}
}

void run_case(benchmark::State &state, const bench_case *bench)
{
	static void *shared;
	uint32_t thread = static_cast<uint32_t>(state.thread_index());
	cpu_set_t before;

	sched_getaffinity(0, sizeof(before), &before);
	if (thread == 0) /* before the thread is pinned: an engine's own threads are not */
		shared = bench->setup(bench);
	pin(thread);
	for (auto _ : state) { /* begins with a barrier of all threads */
		(void)_;
		uint64_t ns = shared ? bench->burst(shared, thread) : 1;

		state.SetIterationTime(static_cast<double>(ns) * 1e-9);
		if (shared)
			bench->rest(shared, thread);
	} /* and ends with one */
	if (thread == 0 && shared)
		bench->teardown(shared);
	sched_setaffinity(0, sizeof(before), &before);
}

double quantile(std::vector<double> values, double q)
{
	std::sort(values.begin(), values.end());
	return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

} // namespace

int bench_run(const bench_case *cases, uint32_t count, int argc, char **argv)
{
	std::vector<char *> args(argv, argv + argc);
	std::string defaults[] = { "--benchmark_enable_random_interleaving=true",
		                   "--benchmark_repetitions=11", "--benchmark_min_time=0.03" };
	Collector collector;

	for (std::string &arg : defaults) /* what the user gives comes later, and wins */
		args.insert(args.begin() + 1, &arg[0]);
	argc = static_cast<int>(args.size());
	benchmark::Initialize(&argc, args.data());
	if (benchmark::ReportUnrecognizedArguments(argc, args.data()))
		return 2;
	for (uint32_t i = 0; i < count; i++)
		benchmark::RegisterBenchmark(cases[i].name,
		                             [&cases, i](benchmark::State &state) {
			                             run_case(state, &cases[i]);
		                             })
			->Threads(static_cast<int>(cases[i].threads))
			->UseManualTime();
	benchmark::RunSpecifiedBenchmarks(&collector);
	std::printf("%-24s %10s %21s %9s\n", "ns per record", "median", "quartiles", "ratio");
	for (uint32_t i = 0; i < count; i++) {
		const std::vector<double> &mine = results[cases[i].name];

		if (mine.empty())
			continue;
		/* The library divides the threads' sum by their number and all iterations. */
		double items = static_cast<double>(cases[i].items) / cases[i].threads;

		std::printf("%-24s %10.2f %10.2f %10.2f", cases[i].name,
		            quantile(mine, 0.5) / items, quantile(mine, 0.25) / items,
		            quantile(mine, 0.75) / items);
		if (cases[i].baseline && !results[cases[i].baseline].empty())
			std::printf(" %8.2fx of %s",
			            quantile(mine, 0.5) / quantile(results[cases[i].baseline], 0.5),
			            cases[i].baseline);
		std::printf("\n");
	}
	return 0;
}
