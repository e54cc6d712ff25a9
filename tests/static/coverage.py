#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py ROOT BUILD LEAVE.C [-v] [--keep] - how much of the code the tests run. TAP.

It builds the library, the command and their tests with gcc's counters and without optimisation into
BUILD/coverage, runs the suites of SUITES, and reads the counters. The core (CORE) must have every
line and every branch but those named in `excused`; the tree as a whole 95 % of its lines and 90 %
of its branches, nothing excused. -v lists what is missing of the whole tree. --keep: do not run the
tests again, read the counters. LEAVE.C makes a child's _exit() write its counters.

What is counted: the library's own objects, whichever test links them, and the command's. A line is
counted once for each function that it is in (a macro may stand in several); what several files
include is the same function, whose counters are added up. Branches are those of the compiler's
graph, at -O0: each way out of a condition, a part of && and ||, a case of a switch. None of them is
left out for being the compiler's own: without exceptions it makes none, atomics are calls or single
instructions, and nothing here uses asm goto. What is inside the assembly has no counters: its
points are counted by tests/torture.
"""
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import ended, figure, skip, tap  # noqa: E402

ROOT, BUILD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
VERBOSE, KEEP = "-v" in sys.argv, "--keep" in sys.argv
TREE = os.path.join(BUILD, "coverage")
HERE = os.path.dirname(os.path.abspath(__file__))
MODE = os.environ.get("WEIR_PROOF", "slice")
WANTED_LINES, WANTED_BRANCHES = 95.0, 90.0

SUITES = ["unit", "cli", "stress"]
# Tests that the counters do not get on with: valgrind, and what stops or measures the process.
NOT = re.compile(r"valgrind")

CORE = {
    "rings": ["engine/ring/" + name for name in (
        "ring.c", "ring.h", "rings.c", "rings.h", "fallback.c", "fallback.h", "mark.c", "mark.h",
        "section_x86_64.h", "thread.h")],
    "wake": ["engine/flush/" + name for name in (
        "wake.c", "wake.h", "wake_words.h", "sleep.c", "limit.c", "signal.c", "policy.c",
        "flusher.c", "control.c")],
    "cut": ["engine/flush/" + name for name in ("order.c", "walk.c", "batch.c", "cut.h")],
    "segment log": ["engine/log/" + name for name in (
        "format.c", "segment.c", "writer.c", "turn.c", "retain.c", "names.c")],
    "recovery": ["engine/log/" + name for name in (
        "scan.c", "walk.c", "lives.c", "window.c", "seen.c", "reader.c", "dir.c", "again.c")],
    "accounting": ["engine/flush/release.c", "engine/flush/verdict.c", "engine/stats/counters.h",
                   "engine/api/stats.c"],
    "framers": ["tools/weir/frame.c", "engine/sink/frame.c", "engine/sink/gather.c",
                "engine/sink/kept.c"],
}
# Files of these rooms that belong to no part: of each it is said why.
ROOMS = ("ring", "flush", "log")
OUTSIDE = {
    "engine/ring/torture.c": "points for tests/torture, not in this build",
    "engine/ring/section_aarch64.h": "another processor",
    "engine/ring/copy_x86_64.h": "assembly",
    "engine/ring/rseq.c": "asks the C library and the kernel what they have",
    "engine/ring/cpus.c": "asks how many processors there are",
    "engine/flush/host.c": "calls of a sink on its host",
}


def excuses():
    """[(file, what the line holds, reason)] of tests/static/excused: see there."""
    found = []
    with open(os.path.join(HERE, "excused"), encoding="utf-8") as file:
        for line in file:
            parts = [part.strip() for part in line.rstrip("\n").split(" | ")]
            if line.strip() and not line.startswith("#"):
                found.append((parts + ["", ""])[:3])
    return found


EXCUSED = excuses()
used = set()


def command(words, **options):
    return subprocess.run(words, capture_output=True, text=True, errors="replace", check=False,
                          **options)


def programs():
    """What the tests of SUITES are made of: targets of ninja, and their names."""
    tests = json.loads(command(["meson", "introspect", TREE, "--tests"]).stdout)
    targets = json.loads(command(["meson", "introspect", TREE, "--targets"]).stdout)
    made = {target["id"]: name for target in targets for name in target["filename"]}
    wanted = [test for test in tests if not NOT.search(test["name"])
              and any(suite.split(":")[-1] in SUITES for suite in test["suite"])]
    files = {made[one] for test in wanted for one in test["depends"] if one in made}
    files |= {word for test in wanted for word in test["cmd"] if word in set(made.values())}
    return (sorted(os.path.relpath(name, TREE) for name in files),
            sorted({test["name"] for test in wanted}))


def build():
    if not os.path.exists(os.path.join(TREE, "build.ninja")):
        done = command(["meson", "setup", TREE, ROOT, "-Db_coverage=true", "-Doptimization=0",
                        "-Dbenches=disabled", "-Dman=disabled", "-Dtest_runner=plain",
                        "-Dc_args=" + repr(["-fprofile-update=atomic", "-include",
                                            os.path.abspath(sys.argv[3])]),
                        "-Dc_link_args=-Wl,-u,__gcov_dump"])
        if done.returncode:
            return done.stdout.splitlines()[-8:]
    # An object that is made again has other counters than those of the last run.
    done = command(["ninja", "-C", TREE, "-j", str(os.cpu_count() or 1), *programs()[0], "weir",
                    "weir-sim"])
    return [line for line in done.stdout.splitlines() if "error" in line][:20] or (
        done.stdout.splitlines()[-8:] if done.returncode else [])


def run_tests():
    for path in glob.glob(os.path.join(TREE, "**", "*.gcda"), recursive=True):
        os.unlink(path)
    environment = dict(os.environ, WEIR_STRESS_SECONDS="1" if MODE == "slice" else "4")
    done = command(["meson", "test", "-C", TREE, "--no-rebuild", "--timeout-multiplier", "4",
                    *programs()[1]], env=environment)
    return [line for line in done.stdout.splitlines()
            if re.search(r"\b(FAIL|TIMEOUT|ERROR)\b", line)] or (
                [] if done.returncode == 0 else done.stdout.splitlines()[-8:])


def read_counters():
    """{file: {(line, function): [times, [branch, ...]]}}, summed over all that includes a file."""
    found, odd = {}, set()
    work = os.path.join(TREE, "gcov")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    # Of the engine the library's objects; of the command its own, and the tests that hold a part.
    # The names of those begin with a dot, and are the same in each program.
    paths = []
    for pattern in ("engine/*.p/*.gcda", "weir.p/*.gcda", "tests/*/*.p/.*tools_weir*.gcda"):
        for counters in glob.glob(os.path.join(TREE, pattern)):
            place = tempfile.mkdtemp(dir=work)
            command(["gcov", "-b", "-c", "-j", "-l", "-p", "-x", counters], cwd=place)
            paths += [os.path.join(place, name) for name in sorted(os.listdir(place))]
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            data = json.load(file)
        for one in data["files"]:
            name = os.path.relpath(os.path.normpath(os.path.join(
                data["current_working_directory"], one["file"])), ROOT)
            if not name.startswith(("engine/", "tools/", "include/")):
                continue
            lines = found.setdefault(name, {})
            here = {}
            for line in one["lines"]: # a line may come twice: its parts are told apart by order
                counts = [branch["count"] for branch in line["branches"]]
                place = (line["line_number"], line.get("function_name", ""))
                place += (here.get(place, 0),)
                here[place[:2]] = place[2] + 1
                entry = lines.setdefault(place, [0, [0] * len(counts)])
                entry[0] += line["count"]
                if len(entry[1]) != len(counts):
                    odd.add(f"{name}:{place[0]}: {len(entry[1])} or {len(counts)} branches")
                    continue
                entry[1] = [a + b for a, b in zip(entry[1], counts)]
    return found, sorted(odd)


def excuse_of(path, text):
    """The number of the excuse of a line, or None."""
    for number, (where, held, _) in enumerate(EXCUSED):
        if where in (path, "*") and held in text:
            return number
    return None


def count(paths, found, excusing):
    """(lines run, lines, branches taken, branches, what is missing)."""
    run = lines = taken = branches = 0
    missing = []
    for path in paths:
        if path not in found:
            if path.endswith(".c"):
                missing.append(f"{path}: nothing of it was compiled")
                lines += 1
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = [""] + file.read().split("\n") + [""]
        for (number, _, _), (times, arms) in sorted(found[path].items()):
            here = text[min(number, len(text) - 1)].strip()
            if excusing and (not times or 0 in arms):
                excuse = excuse_of(path, here)
                if excuse is not None:
                    used.add(excuse)
                    if not times:
                        continue
                    arms = [arm for arm in arms if arm]
            if not times:
                missing.append(f"{path}:{number}: never run: {here[:60]}")
            lines += 1
            run += times > 0
            branches += len(arms)
            taken += sum(arm > 0 for arm in arms)
            if times and 0 in arms:
                missing.append(f"{path}:{number}: {arms.count(0)} of {len(arms)} branches: "
                               f"{here[:60]}")
    return run, lines, taken, branches, missing


def percent(part, whole):
    return 100.0 * part / max(whole, 1)


def unlisted():
    """Files of the core's rooms that are in no part, and parts' files that are gone."""
    listed = {path for paths in CORE.values() for path in paths}
    there = {os.path.relpath(path, ROOT) for room in ROOMS for path in glob.glob(
        os.path.join(ROOT, "engine", room, "*.c"))}
    return [f"{path} is in no part" for path in sorted(there - listed - set(OUTSIDE))] + [
        f"{path} is not there" for path in sorted(listed | set(OUTSIDE))
        if not os.path.exists(os.path.join(ROOT, path))]


def main():
    if not shutil.which("gcov") or not shutil.which("meson"):
        skip("the tests run the code", "there is no gcov or no meson")
        return ended()
    trouble = build()
    tap(not trouble, "the tree builds with counters", trouble)
    if trouble:
        return ended()
    if not KEEP:
        bad = run_tests()
        tap(not bad, "all tests hold in the build with counters", bad[:20])
    lost = unlisted()
    tap(not lost, f"every file of {', '.join(ROOMS)} belongs to a part", lost)
    found, odd = read_counters()
    tap(not odd, "whoever includes a function has the same branches of it", odd[:20])
    for part, paths in CORE.items():
        run, lines, taken, branches, missing = count(paths, found, True)
        tap(run == lines and taken == branches,
            f"{part}: every line and branch is run, but for those excused: {run} of {lines} lines, "
            f"{taken} of {branches} branches", missing)
        figure("coverage", f"{part}: % of lines", f"{percent(run, lines):.1f}", 100)
        figure("coverage", f"{part}: % of branches but those excused",
               f"{percent(taken, branches):.1f}", 100)
    run, lines, taken, branches, missing = count(sorted(found), found, False)
    tap(percent(run, lines) >= WANTED_LINES and percent(taken, branches) >= WANTED_BRANCHES,
        f"the tree: {run} of {lines} lines ({percent(run, lines):.1f} %), {taken} of {branches} "
        f"branches ({percent(taken, branches):.1f} %), nothing excused",
        missing if VERBOSE else ())
    figure("coverage", "the tree: % of lines", f"{percent(run, lines):.1f}", f"{WANTED_LINES:.0f}")
    figure("coverage", "the tree: % of branches", f"{percent(taken, branches):.1f}",
           f"{WANTED_BRANCHES:.0f}")
    idle = [" | ".join(entry[:2]) for number, entry in enumerate(EXCUSED) if number not in used]
    idle += [f"{' | '.join(entry)}: neither an assertion nor an allocation" for entry in EXCUSED
             if not entry[2].startswith(("assertion", "allocation"))]
    tap(not idle, f"each excuse ({len(EXCUSED)}) is needed, and of an assertion or an allocation",
        idle)
    return ended()


if __name__ == "__main__":
    sys.exit(main())
