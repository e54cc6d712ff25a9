#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py ROOT BUILD [-v] [--keep] - how much of the code the tests run. TAP.

It builds the tree with gcc's counters into BUILD/coverage, runs the unit tests, those of the
command and short stress, and reads the counters. The core (CORE) must have every line and every
branch but those named in EXCUSED; the tree as a whole 95 % of its lines and 90 % of its branches.
-v lists what is missing of the whole tree. --keep: do not run the tests again, read the counters.
"""
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys

ROOT, BUILD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
VERBOSE, KEEP = "-v" in sys.argv, "--keep" in sys.argv
TREE = os.path.join(BUILD, "coverage")
HERE = os.path.dirname(os.path.abspath(__file__))
MODE = os.environ.get("WEIR_PROOF", "slice")
WANTED_LINES, WANTED_BRANCHES = 95.0, 90.0

CORE = {
    "rings": ["engine/ring/ring.c", "engine/ring/ring.h", "engine/ring/rings.c",
              "engine/ring/rings.h", "engine/ring/fallback.c", "engine/ring/mark.c",
              "engine/ring/section_x86_64.h"],
    "wake": ["engine/flush/wake.c", "engine/flush/wake.h", "engine/flush/wake_words.h",
             "engine/flush/sleep.c", "engine/flush/limit.c", "engine/flush/signal.c",
             "engine/flush/policy.c"],
    "cut": ["engine/flush/order.c", "engine/flush/walk.c", "engine/flush/batch.c"],
    "segment log": ["engine/log/format.c", "engine/log/segment.c", "engine/log/writer.c",
                    "engine/log/turn.c", "engine/log/retain.c", "engine/log/names.c"],
    "recovery": ["engine/log/scan.c", "engine/log/walk.c", "engine/log/lives.c",
                 "engine/log/window.c", "engine/log/seen.c", "engine/log/reader.c",
                 "engine/log/dir.c"],
    "accounting": ["engine/flush/release.c", "engine/flush/verdict.c", "engine/stats/counters.h"],
    "framers": ["tools/weir/frame.c", "engine/sink/frame.c", "engine/sink/gather.c"],
}


def excuses():
    """[(file, what the line holds, reason)] of tests/static/excused: see there."""
    found = []
    with open(os.path.join(HERE, "excused"), encoding="utf-8") as file:
        for line in file:
            parts = [part.strip() for part in line.rstrip("\n").split(" | ")]
            if len(parts) == 3 and not line.startswith("#"):
                found.append(parts)
    return found


EXCUSED = excuses()
used = set()
tests = failed = 0


def tap(good, sentence, lines=()):
    global tests, failed
    tests += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {tests} - {sentence}", flush=True)
    for line in lines:
        print(f"# {line}", flush=True)


def figure(what, reached, asked):
    print(f"# figure coverage | {what} | {reached} | {asked}", flush=True)


def command(words, **options):
    return subprocess.run(words, capture_output=True, text=True, errors="replace", check=False,
                          **options)


def build():
    if not os.path.exists(os.path.join(TREE, "build.ninja")):
        done = command(["meson", "setup", TREE, ROOT, "-Db_coverage=true", "-Doptimization=0",
                        "-Dbenches=disabled", "-Dman=disabled", "-Dtest_runner=plain"])
        if done.returncode:
            return done.stdout.splitlines()[-8:]
    done = command(["ninja", "-C", TREE, "-j", str(os.cpu_count() or 1)])
    return [line for line in done.stdout.splitlines() if "error" in line][:20] or (
        done.stdout.splitlines()[-8:] if done.returncode else [])


def run_tests():
    for path in glob.glob(os.path.join(TREE, "**", "*.gcda"), recursive=True):
        os.unlink(path)
    environment = dict(os.environ, WEIR_STRESS_SECONDS="1" if MODE == "slice" else "4")
    listed = command(["meson", "test", "-C", TREE, "--list", "--suite", "unit", "--suite", "cli",
                      "--suite", "stress"]).stdout.splitlines()
    # valgrind and the counters do not go together.
    names = sorted({line.split(" / ")[-1].strip() for line in listed
                    if " / " in line and "valgrind" not in line})
    done = command(["meson", "test", "-C", TREE, "--no-rebuild", "--timeout-multiplier", "4",
                    *names], env=environment)
    bad = [line for line in done.stdout.splitlines()
           if re.search(r"\b(FAIL|TIMEOUT|ERROR)\b", line)]
    return bad


def read_counters():
    """{file: {line: [times, [branch, ...]]}}, summed over all that includes a file."""
    found = {}
    work = os.path.join(TREE, "gcov")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    # Of the engine the library's objects; of the command its own, and the tests that hold a part.
    for pattern in ("engine/*.p/*.gcda", "weir.p/*.gcda", "tests/*/*.p/*tools_weir*.gcda"):
        for counters in glob.glob(os.path.join(TREE, pattern)):
            command(["gcov", "-b", "-c", "-j", "-l", "-p", "-x", counters], cwd=work)
    for path in glob.glob(os.path.join(work, "*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            data = json.load(file)
        for one in data["files"]:
            name = os.path.relpath(os.path.normpath(os.path.join(
                data["current_working_directory"], one["file"])), ROOT)
            if not name.startswith(("engine/", "tools/", "include/")):
                continue
            lines = found.setdefault(name, {})
            for line in one["lines"]:
                entry = lines.setdefault(line["line_number"], [0, []])
                entry[0] += line["count"]
                counts = [branch["count"] for branch in line["branches"]]
                if len(entry[1]) < len(counts):
                    entry[1] += [0] * (len(counts) - len(entry[1]))
                for i, count in enumerate(counts):
                    entry[1][i] += count
    return found


def is_excused(path, text):
    for number, (where, held, _) in enumerate(EXCUSED):
        if (where == path or where == "*") and held in text:
            used.add(number)
            return True
    return False


def count(paths, found, excusing):
    """(lines run, lines, branches taken, branches, what is missing)."""
    run = lines = taken = branches = 0
    missing = []
    for path in paths:
        if path not in found:
            missing.append(f"{path}: nothing of it was compiled")
            lines += 1
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = [""] + file.read().split("\n") + [""]
        for number, (times, arms) in sorted(found[path].items()):
            # A condition, or a call, may go over several lines.
            excused = excusing and is_excused(path, text[min(number, len(text) - 1)])
            if not times:
                if excused:
                    continue
                missing.append(f"{path}:{number}: never run: {text[min(number, len(text) - 1)].strip()[:60]}")
            lines += 1
            run += times > 0
            if excused and 0 in arms:
                arms = [arm for arm in arms if arm]
            branches += len(arms)
            taken += sum(arm > 0 for arm in arms)
            if times and 0 in arms:
                missing.append(f"{path}:{number}: {arms.count(0)} of {len(arms)} branches: "
                               f"{text[min(number, len(text) - 1)].strip()[:60]}")
    return run, lines, taken, branches, missing


def percent(part, whole):
    return 100.0 * part / max(whole, 1)


def main():
    if not shutil.which("gcov") or not shutil.which("meson"):
        print("ok 1 - coverage # SKIP because there is no gcov or no meson\n1..1")
        return 0
    trouble = build()
    tap(not trouble, "the tree builds with counters", trouble)
    if trouble:
        print(f"1..{tests}")
        return 1
    if not KEEP:
        bad = run_tests()
        tap(not bad, "all tests hold in the build with counters", bad[:20])
    found = read_counters()
    for part, paths in CORE.items():
        run, lines, taken, branches, missing = count(paths, found, True)
        tap(run == lines and taken == branches,
            f"{part}: every line and branch is run, but for those excused: {run} of {lines} lines, "
            f"{taken} of {branches} branches", missing)
        figure(f"{part}: % of lines", f"{percent(run, lines):.1f}", 100)
        figure(f"{part}: % of branches but those excused", f"{percent(taken, branches):.1f}", 100)
    run, lines, taken, branches, missing = count(sorted(found), found, False)
    tap(percent(run, lines) >= WANTED_LINES and percent(taken, branches) >= WANTED_BRANCHES,
        f"the tree: {run} of {lines} lines ({percent(run, lines):.1f} %), {taken} of {branches} "
        f"branches ({percent(taken, branches):.1f} %), nothing excused",
        missing if VERBOSE else ())
    figure("the tree: % of lines", f"{percent(run, lines):.1f}", f"{WANTED_LINES:.0f}")
    figure("the tree: % of branches", f"{percent(taken, branches):.1f}", f"{WANTED_BRANCHES:.0f}")
    idle = [" | ".join(entry[:2]) for number, entry in enumerate(EXCUSED) if number not in used]
    tap(not idle, "every excuse is still of a line that is there", idle)
    print(f"1..{tests}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
