/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.c - `weir bench`: starts the bench suite.
 *
 * It knows the suite's flags and where it lies. It does not know what is measured, or how: that is
 * a folder of programs with a script before them, bench/run. thread: main
 */
#include <errno.h>
#include <string.h>

#include "beside.h"
#include "command.h"

static int bench_main(int argc, char **argv)
{
	static struct words words;
	int end = words_take(&words, &command_bench, "run", argc, argv);

	if (end >= 0)
		return end;
	become_beside("bench/run", &words);
	become_beside("../libexec/weir/bench/run", &words);
	say("the suite (bench/run) lies neither beside this command nor in ../libexec/weir, or "
	    "python3 is missing: %s", strerror(errno));
	return END_CHECK;
}

static const struct flag flags[] = {
	{ "question", "NAME", "Asks this question; may be repeated. All, when none is given." },
	{ "quick", NULL, "Fewer shapes: the whole suite in under 3 minutes." },
	{ "json", "FILE", "Writes the run as one JSON document." },
	{ "html", "FILE", "Writes the report as a page with plots." },
	{ "text", "FILE", "Writes what is printed to a file, too." },
	{ "plots", "DIR", "Writes each plot as an SVG file." },
	{ "compare", "BASE.json", "Says of each row whether it is better or worse than in that "
	  "run, or that one cannot tell." },
	{ "blocks", "N",
	  "So many blocks of each case, 1 to 99; 9 when it is not given. Fewer than 6 decide "
	  "nothing." },
	{ "filter", "TEXT", "Only groups whose title has this text." },
	{ "unpinned", NULL, "Threads run where the kernel likes." },
	{ "norseq", NULL, "Without restartable sequences." },
	{ "programs", "DIR", "Where the programs lie." },
	{ "from", "FILE.json", "Runs nothing, and reports an earlier run's document again." },
	{ NULL, NULL, NULL },
};

const struct command command_bench = {
	.name = "bench",
	.operands = "[QUESTION...]",
	.summary = "measure weir beside its rivals, the bare copy and the bare wake-up",
	.more = "Questions are push, throughput, tail, trigger, delivery, quiet, sinks, scale, "
	        "fallback and seed; trickle is one scenario of seed. Prints medians with "
	        "intervals, ratios with the A/A spread beside them, verdicts and goals. A ratio "
	        "that the spread could explain is not claimed. Ends with 1 when a program fails, "
	        "a checksum is wrong or a scenario does not hold; a missed goal is a result.",
	.flags = flags,
	.run = bench_main,
};
