/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.c - `weir doctor`: will weir work here, and well?
 *
 * Each check is ok, warn (it works, with less) or fix (something does not work), with one line of
 * remedy. thread: main
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <weir/weir.h>

#include "args.h"
#include "command.h"
#include "probe.h"
#include "text.h"

static const struct flag flags[] = {
	{ "json", NULL, "One JSON object: {ok, checks: [{name, state, found, remedy}]}." },
	{ NULL, NULL, NULL },
};

enum state { STATE_OK, STATE_WARN, STATE_FIX };

static const char *const state_names[] = { "ok", "warn", "fix" };

struct doctor {
	bool as_json;
	struct json json;
	struct text text;  /* of json */
	struct text lines;
	unsigned counts[3];
	struct weir_features features;
};

/* One finding; @remedy is printed unless all is well. */
__attribute__((format(printf, 5, 6))) static void find(struct doctor *doctor, enum state state,
                                                       const char *name, const char *remedy,
                                                       const char *format, ...)
{
	char found[256];
	va_list list;

	va_start(list, format);
	vsnprintf(found, sizeof(found), format, list);
	va_end(list);
	doctor->counts[state]++;
	text_format(&doctor->lines, "%-5s %-11s %s\n", state_names[state], name, found);
	if (state != STATE_OK && remedy[0])
		text_format(&doctor->lines, "%17s -> %s\n", "", remedy);
	json_open(&doctor->json, NULL, '{');
	json_string(&doctor->json, "name", name);
	json_string(&doctor->json, "state", state_names[state]);
	json_string(&doctor->json, "found", found);
	json_string(&doctor->json, "remedy", state == STATE_OK ? "" : remedy);
	json_shut(&doctor->json, '}');
}

static void check_kernel(struct doctor *doctor)
{
	struct utsname name;
	char line[8];

	if (uname(&name) == 0)
		find(doctor, STATE_OK, "kernel", "", "%s %s %s", name.sysname, name.release,
		     name.machine);
	if (probe_line("/proc/self/stat", line, sizeof(line)) == 0)
		find(doctor, STATE_OK, "proc", "", "mounted");
	else
		find(doctor, STATE_WARN, "proc", "mount -t proc proc /proc",
		     "/proc is not mounted: limits cannot be seen");
}

static void check_push(struct doctor *doctor)
{
	const struct weir_features *features = &doctor->features;

	if (features->rseq)
		find(doctor, STATE_OK, "rseq", "", "pushes use restartable sequences");
	else
		find(doctor, STATE_WARN, "rseq",
		     "kernel 4.18+, glibc 2.35+, glibc.pthread.rseq not 0, seccomp lets rseq pass",
		     "pushes use atomic instructions instead%s%s",
		     features->why_no_rseq[0] ? ": " : "", features->why_no_rseq);
	if (features->membarrier)
		find(doctor, STATE_OK, "membarrier", "", "private expedited rseq barrier");
	else
		find(doctor, STATE_WARN, "membarrier", "kernel 5.10+, seccomp lets membarrier pass",
		     "none for rseq: pushes use atomic instructions instead");
}

static void check_cpus(struct doctor *doctor)
{
	const struct weir_features *features = &doctor->features;
	struct cgroup_limits limits;

	probe_cgroup(&limits);
	find(doctor, STATE_OK, "cpus", "", "%u possible, %u usable", features->cpus_possible,
	     features->cpus_usable);
	if (limits.cpus > 0 && limits.cpus < features->cpus_usable)
		find(doctor, STATE_WARN, "cgroup cpu",
		     "give the group more CPU time, or pin the process to fewer CPUs",
		     "version %u, %.2f CPUs for %u usable ones: the flusher may be throttled, and "
		     "deadlines with it",
		     limits.version, limits.cpus, features->cpus_usable);
	else
		find(doctor, STATE_OK, "cgroup cpu", "", "%s",
		     limits.version ? "no limit below the usable CPUs" : "no control groups");
	if (limits.memory == UINT64_MAX)
		find(doctor, STATE_OK, "cgroup mem", "", "no limit");
	else
		find(doctor, limits.memory < ((uint64_t)64 << 20) ? STATE_WARN : STATE_OK,
		     "cgroup mem", "raise the limit, or set a smaller ring_bytes",
		     "version %u, limit %s", limits.version,
		     human_bytes((double)limits.memory).text);
}

static void check_limit(struct doctor *doctor, const char *name, int resource, uint64_t enough,
                        const char *remedy, const char *what)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		find(doctor, STATE_OK, name, "", "no limit %s", what);
	else
		find(doctor, limit.rlim_cur >= enough ? STATE_OK : STATE_WARN, name, remedy,
		     "%s %s", human_count(limit.rlim_cur).text, what);
}

static void check_kernel_parts(struct doctor *doctor)
{
	int r = probe_memfd();

	if (r)
		find(doctor, STATE_FIX, "memfd", "let memfd_create and mmap pass (seccomp, limits)",
		     "rings cannot be mapped: %s", strerror(-r));
	else
		find(doctor, STATE_OK, "memfd", "", "rings can be mapped twice");
	r = probe_timerfd();
	if (r)
		find(doctor, STATE_FIX, "timerfd", "let timerfd, eventfd and epoll pass",
		     "the flusher cannot sleep: %s", strerror(-r));
	else
		find(doctor, STATE_OK, "timerfd", "", "timerfd, eventfd and epoll work");
	r = probe_io_uring();
	if (r)
		find(doctor, STATE_WARN, "io_uring",
		     "nothing to do unless a sink asks for it (kernel.io_uring_disabled, seccomp)",
		     "not available: %s; no built-in sink needs it", strerror(-r));
	else
		find(doctor, STATE_OK, "io_uring", "", "available; no built-in sink needs it");
}

static void check_clock(struct doctor *doctor)
{
	char source[64];
	uint64_t step = probe_clock_step(), cost = probe_clock_cost();

	if (probe_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
	               sizeof(source)) < 0)
		snprintf(source, sizeof(source), "unknown");
	find(doctor, cost < 500 ? STATE_OK : STATE_WARN, "clock",
	     "choose a clock source that is read without a system call (tsc, kvm-clock)",
	     "%s, read in %llu ns", source, (unsigned long long)cost);
	find(doctor, step <= 1000 ? STATE_OK : STATE_WARN, "timers",
	     "boot with high-resolution timers (highres=on)", "CLOCK_MONOTONIC steps by %llu ns",
	     (unsigned long long)step);
}

static void on_batch(void *arg, const struct weir_batch *batch, struct weir_verdict *verdict)
{
	(void)verdict;
	*(uint64_t *)arg += batch->records;
}

/* The proof: a record goes through. */
static void check_engine(struct doctor *doctor)
{
	struct weir_why why = { "" };
	struct weir_sink *sink;
	struct weir *weir = NULL;
	uint64_t delivered = 0;
	int r = weir_sink_callback(on_batch, &delivered, &sink);

	if (r == 0) {
		r = weir_open(NULL, sink, &weir, &why);
		if (r)
			sink->ops->close(sink);
	}
	if (r == 0)
		r = weir_push(weir, "hello", 5);
	if (weir) {
		int closed = weir_close(weir, WEIR_SECONDS(5), NULL);

		r = r ? r : closed;
		weir_free(weir);
	}
	if (r)
		find(doctor, STATE_FIX, "engine", "see what else is marked fix, and the limits",
		     "a record does not go through: %s", why.text[0] ? why.text : strerror(-r));
	else if (delivered != 1)
		find(doctor, STATE_FIX, "engine", "this is a bug: please report it",
		     "one record was pushed and %llu were delivered",
		     (unsigned long long)delivered);
	else
		find(doctor, STATE_OK, "engine", "", "a record went through");
}

static int take(void *arg, const char *name, const char *value)
{
	if (!name)
		return args_none(arg, name, value);
	((struct doctor *)arg)->as_json = true;
	return END_OK;
}

static int doctor_main(int argc, char **argv)
{
	struct doctor doctor = { .features.size = sizeof(doctor.features) };
	int end = args_parse(&command_doctor, argc, argv, NULL, take, &doctor);

	if (end >= 0)
		return end;
	doctor.json.text = &doctor.text;
	(void)weir_features(NULL, &doctor.features);
	json_open(&doctor.json, NULL, '{');
	json_open(&doctor.json, "checks", '[');
	check_kernel(&doctor);
	check_push(&doctor);
	check_cpus(&doctor);
	check_kernel_parts(&doctor);
	check_clock(&doctor);
	check_limit(&doctor, "memlock", RLIMIT_MEMLOCK, 8u << 20,
	            "ulimit -l 8192, or LimitMEMLOCK=", "bytes may be locked");
	check_limit(&doctor, "nofile", RLIMIT_NOFILE, 256, "ulimit -n 1024, or LimitNOFILE=",
	            "descriptors may be open");
	find(&doctor, STATE_OK, "crc", "", "CRC-32C %s",
	     doctor.features.crc_hardware ? "by instruction" : "in software");
	find(&doctor, STATE_OK, "allocator", "", "%s",
	     doctor.features.jemalloc ? "jemalloc" : "libc");
	check_engine(&doctor);
	json_shut(&doctor.json, ']');
	json_bool(&doctor.json, "ok", doctor.counts[STATE_FIX] == 0);
	json_shut(&doctor.json, '}');
	if (doctor.as_json)
		printf("%.*s\n", (int)doctor.text.size, doctor.text.data);
	else
		printf("%.*s%u ok, %u warn, %u fix\n", (int)doctor.lines.size, doctor.lines.data,
		       doctor.counts[STATE_OK], doctor.counts[STATE_WARN],
		       doctor.counts[STATE_FIX]);
	end = doctor.counts[STATE_FIX] ? END_CHECK : END_OK;
	text_free(&doctor.text);
	text_free(&doctor.lines);
	return finish_output() == END_OK ? end : END_CHECK;
}

const struct command command_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "tell whether weir works here, and well",
	.more = "Each check is ok, warn (it works, with less) or fix (something does not work), "
	        "with a remedy. Ends with 1 when something is to be fixed.",
	.flags = flags,
	.run = doctor_main,
};
