/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.c - `weir sim`: starts the simulator.
 *
 * It knows the simulator's flags and where the program lies. It does not know what is simulated.
 * The simulator is a program of its own, weir-sim: it links the library's objects with a system
 * table of virtual time and a disk in memory, and this command has the kernel's. thread: main
 */
#include <errno.h>
#include <string.h>

#include "beside.h"
#include "command.h"

static int sim_main(int argc, char **argv)
{
	static struct words words;
	int end = words_take(&words, &command_sim, "weir-sim", argc, argv);

	if (end >= 0)
		return end;
	become_beside("weir-sim", &words);
	become_beside("../libexec/weir/weir-sim", &words);
	say("the simulator (weir-sim) lies neither beside this command nor in ../libexec/weir: %s",
	    strerror(errno));
	return END_CHECK;
}

static const struct flag flags[] = {
	{ "seed", "N|A..B", "What to run; 1 when it is not given. A seed is a world of its own." },
	{ "jobs", "N", "So many seeds at once, 1 to 64; one when it is not given." },
	{ "steps", "N", "At most so many steps before everything is healed." },
	{ "producers", "N", "At most so many threads that push." },
	{ "records", "N", "At most so many pushes of each." },
	{ "lives", "N", "At most so many lives of the engine, with crashes in between." },
	{ "off", "KIND,...", "Leaves kinds of fault out. --kinds lists them." },
	{ "sink", "URI", "Every seed has this sink, on simulated time and disk." },
	{ "sink-so", "FILE:SYMBOL",
	  "Every seed has the sink that a function of a shared object opens: "
	  "int SYMBOL(struct weir_sink **ret_sink, struct weir_why *ret_why)." },
	{ "minimise", NULL, "Shrinks the first failure to a short command that still fails." },
	{ "stop", NULL, "Ends at the first failure." },
	{ "every-kind", NULL, "Fails when a kind of fault was never hit." },
	{ "kinds", NULL, "Lists the kinds of fault and ends." },
	{ "quiet", NULL, "No line for a seed that holds." },
	{ "json", NULL, "One JSON object." },
	{ "trace", NULL, "What happens, and the configuration of the seed, on standard error." },
	{ NULL, NULL, NULL },
};

const struct command command_sim = {
	.name = "sim",
	.operands = "",
	.summary = "run the engine on virtual time against faults of sink, disk, clocks and memory",
	.more = "Prints a hash of all that happened for each seed: the same on every run and "
	        "machine. After every step the identity, the order of each producer, the deadline "
	        "and the threshold are checked; a late record must have a cause. In a second "
	        "phase nothing fails any more, and all that was accepted must be delivered in "
	        "bounded time; what a log has acknowledged under sync=batch must outlive any "
	        "crash. Ends with 1 when a seed fails. A sink of --sink-so is called on the "
	        "simulator's one thread, and blocks by weir_sink_hosted() only.",
	.flags = flags,
	.run = sim_main,
};
