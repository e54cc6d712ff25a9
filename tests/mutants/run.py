#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py - changes the engine in one place at a time and demands that a test fails. TAP.

    run.py SOURCE [--tree BUILD] [--work DIR] [--only NAME]... [--drawn N] [--seed N] [--jobs N]

Two kinds of mutants: those of the file `table`, each with the promise that it breaks and the test that
must fail, and single-line ones that draw.py draws from the rooms ring, flush and log. Of the drawn
ones that compile and are not the same code, 95 % must die; each survivor stands in the file
`survivors` with its reason.

WEIR_PROOF=slice (default): a sample of both by the day, or by WEIR_MUTANTS_SEED, for about
WEIR_PROOF_SECONDS; that each entry of the table applies to the source is always checked.
WEIR_PROOF=full or soak: all of them.

BUILD is a build tree; it, or the one named points beside it, is used if it was set up with
-Dtest_points=true -Dtest_runner=plain; else a tree is made in DIR.
"""
import argparse
import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # the source stays as it is
import draw  # noqa: E402
import mutant  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DRAWN = 200
DRAW_SEED = 1
ASKED_TABLE, ASKED_REVERTS, ASKED_SHARE = 60, 10, 0.95
OPTIONS = ["-Dtest_points=true", "-Dhot_asserts=true", "-Dtest_runner=plain", "-Ddebug=false",
           "-Doptimization=1", "-Dbenches=disabled", "-Dman=disabled", "-Dallocator=libc"]
STRESS = ["order", "identity", "wrap", "signal", "close", "freeze", "quiet", "block", "life", "fork"]
NORSEQ = ["order", "identity", "wrap", "signal", "close", "quiet", "block"]
STRESS = ["stress-" + name for name in STRESS] + ["stress-" + name + "-norseq" for name in NORSEQ]
LIBRARY = "engine/libweir.a"
# Longer than any one test takes on a loaded machine, but the stress programs'.
HANG_S = 25
FIRST = {"ring": ["unit-ring", "unit-flush", "unit-api"],
         "flush": ["unit-flush", "unit-api", "unit-sink"],
         "log": ["unit-log", "unit-log-fault", "unit-sink"]}


def read_survivors():
    """Key -> (kind, reason); kind is `equivalent`, `survivor`, or `stress`: no unit test tells."""
    found, reason = {}, ("survivor", "")
    with open(os.path.join(HERE, "survivors"), encoding="utf-8") as file:
        for line in file:
            match = re.match(r"^(equivalent|survivor|stress): (.*)$", line)
            if match:
                reason = match.groups()
            elif line.startswith("    "):
                found[line.strip()] = reason
    return found


class Suite:
    """Makes one mutant after the other and runs tests against it."""

    def __init__(self, options):
        self.source = os.path.realpath(options.source)
        self.work = options.work
        self.tree = mutant.Tree(self.source, options.tree or os.path.join(self.work, "tree"))
        build = self.tree.build
        with open(os.path.join(self.work, "build.log"), "ab") as log:
            if not os.path.exists(os.path.join(build, "build.ninja")):
                subprocess.run(["meson", "setup", build, self.source, *OPTIONS], stdout=log,
                               stderr=log, check=True)
            tests = json.loads(subprocess.check_output(["meson", "introspect", "--tests", build]))
            self.paths = {test["name"]: os.path.relpath(test["cmd"][0], build) for test in tests
                          if test["name"].startswith("unit-")}
            self.units = options.units
            if not options.units:
                self.paths.update({name: "tests/stress/" + re.sub("-norseq$", "", name)
                                   for name in STRESS})
            subprocess.run(["ninja", "-C", build, *set(self.paths.values())], stdout=log,
                           stderr=log, check=True)
        self.tree.read_ninja(set(self.paths.values()))
        self.baseline, self.failing, self.usual = {}, {}, None
        self.lock = threading.Lock()

    def run(self, binary, program, test=None):
        """Runs tests of one program. None: all is well; else the first that fails."""
        environment = {"WEIR_STRESS_SECONDS": "1"}
        if program.endswith("-norseq"):
            environment["GLIBC_TUNABLES"] = "glibc.pthread.rseq=0"
        return mutant.run([os.path.join(self.tree.build, binary)] + ([test] if test else []),
                          HANG_S if program.startswith("unit") else HANG_S + 40,
                          self.failing.get(program, ()), True, **environment)

    def passes_unchanged(self, program, test):
        """Only a test that passes without the change can tell of it."""
        with self.lock:
            if program != "tidy" and (program, test) not in self.baseline:
                self.baseline[program, test] = self.run(self.paths[program], program, test)
            return self.baseline.get((program, test)) is None

    def complaints(self, path=None, text=None):
        """What the check of the source's own text says of it, with @path changed."""
        with tempfile.TemporaryDirectory(dir=self.work) as copy:
            for part in ("engine", "include", "tests/tidy"):
                shutil.copytree(os.path.join(self.source, part), os.path.join(copy, part))
            for name in os.listdir(self.source):
                if os.path.isfile(os.path.join(self.source, name)):
                    shutil.copy(os.path.join(self.source, name), copy)
            if path:
                with open(os.path.join(copy, path), "w", encoding="utf-8") as file:
                    file.write(text)
            done = subprocess.run([sys.executable, os.path.join(copy, "tests/tidy/tidy.py"), copy],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            return set(done.stdout.replace(copy, ".").splitlines())

    def tidy(self, path, text):
        """What is new with @path changed. None: nothing."""
        with self.lock:
            if self.usual is None:
                self.usual = self.complaints()
        new = sorted(line for line in self.complaints(path, text) - self.usual
                     if not line.startswith(("ok", "1..")))
        return next((line for line in new if path in line), new[0]) if new else None

    def one(self, changed, program, test=None):
        """None: the test does not notice; else what fails."""
        binary = changed.path(self.paths[program])
        while True:
            bad = self.run(binary, program, test)
            if not bad or test or "." not in bad or not program.startswith("unit") or \
               self.passes_unchanged(program, bad):
                return bad
            with self.lock:
                self.failing.setdefault(program, set()).add(bad)
            print(f"# {program} {bad} fails without any change: passed over", flush=True)

    def whole(self, changed, first=()):
        """Runs everything until something fails."""
        for program in dict.fromkeys([*first, *self.paths]):
            bad = self.one(changed, program)
            if bad:
                return f"{program} {bad}"
        return None

    def changed(self, path, text):
        return mutant.Mutant(self.tree, os.path.join(self.work, f"m{threading.get_ident()}"), path,
                             text)

    def hand_picked(self, entry):
        """(died, what is to be said)."""
        killer, test = entry.killer[0], (entry.killer + [None])[1]
        try:
            text = entry.apply(self.source)
            if not self.passes_unchanged(killer, test):
                return False, f"{killer} {test} fails without the change, too"
            if killer == "tidy":
                bad = self.tidy(entry.file, text)
                return bool(bad), bad or "survives"
            with self.changed(entry.file, text) as changed:
                bad = self.one(changed, killer, test)
                if bad:
                    return True, bad
                bad = self.whole(changed)
                return bool(bad), f"not by {killer} {test}, but by {bad}" if bad \
                    else "survives everything"
        except mutant.Unbuilt as why:
            return False, str(why)

    def drawn(self, one, listed):
        """(what became of it, what is to be said)."""
        kind = listed.get(one.key(), ("", ""))[0]
        if kind in ("equivalent", "survivor") or (kind == "stress" and self.units):
            return listed[one.key()]
        with self.changed(one.path, one.apply(self.source)) as changed:
            try:
                changed.path(LIBRARY)
                if changed.is_same_code():
                    return "same", "the same code"
                bad = self.whole(changed, FIRST.get(one.path.split("/")[1], ()))
            except mutant.Unbuilt as why:
                return "unlisted" if "not link" in str(why) else "invalid", str(why)
        return ("died", bad) if bad else ("unlisted", "survives everything")


def over(work, items, until, jobs, say):
    """Runs work(item) for the items, in order, until the time is up. Returns [(item, result)]."""
    results, it, lock = [], iter(items), threading.Lock()

    def loop():
        while time.monotonic() < until:
            with lock:
                item = next(it, None)
            if item is None:
                return
            began = time.monotonic()
            result = work(item)
            with lock:
                results.append((item, result))
                say(item, result, time.monotonic() - began)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for future in [pool.submit(loop) for _ in range(jobs)]:
            future.result()
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("--tree")
    parser.add_argument("--work")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--drawn", type=int)
    parser.add_argument("--seed", type=int, default=DRAW_SEED)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--units", action="store_true", help="unit tests alone")
    options = parser.parse_args()

    level = os.environ.get("WEIR_PROOF", "slice")
    seconds = float(os.environ.get("WEIR_PROOF_SECONDS", "20"))
    day = os.environ.get("WEIR_MUTANTS_SEED", str(int(time.time() // 86400)))
    jobs = options.jobs or (1 if level == "slice" else os.cpu_count() or 1)
    temporary = options.work is None
    scratch = options.work or tempfile.mkdtemp(prefix="weir-mutants-")
    os.makedirs(scratch, exist_ok=True)
    options.work = os.path.realpath(scratch)
    options.tree = suited_tree(options)
    options.units |= level == "slice"  # stress programs take their time
    tap = mutant.Tap()
    table, listed = mutant.read(os.path.join(HERE, "table")), read_survivors()
    chance = random.Random(day)
    try:
        suite = Suite(options)
        stale = mutant.stale(table, suite.source)
        tap.ok(not stale, "each mutant of the table still applies to the source", *stale)
        there = {one.key() for one in draw.all_of(suite.source)}
        gone = [key for key in listed if key not in there]
        tap.ok(not gone, "each survivor that is listed is still a mutant of the source", *gone)
        picked = [e for e in table if not options.only or e.name in options.only]
        drawn = [] if options.only and options.drawn is None else draw.draw(
            suite.source, options.seed, options.drawn if options.drawn is not None else DRAWN)
        began = time.monotonic()
        until = [began + seconds * 0.6, began + seconds] if level == "slice" else [1e18, 1e18]
        if level == "slice":
            print(f"# the day's seed is {day}: WEIR_MUTANTS_SEED={day} repeats it")
            chance.shuffle(picked)
            chance.shuffle(drawn)

        def say_picked(entry, result, took):
            died, what = result
            if level == "slice" and not options.only:
                print(f"# {'died' if died else 'LIVES'} {entry.name} ({took:.1f} s) {what}", flush=True)
            else:
                tap.ok(died, f"{entry.name} dies: {entry.fields['breaks']}",
                       f"{what} ({took:.1f} s)")

        done = over(suite.hand_picked, picked, until[0], jobs, say_picked)
        if level == "slice" and not options.only:
            tap.ok(all(result[0] for _, result in done), "each mutant of today's sample dies")

        def say_drawn(one, result, took):
            print(f"# {result[0]:10} {one.kind:8} {one.path}:{one.number} ({took:.1f} s) {result[1]}",
                  flush=True)
            if result[0] == "unlisted":
                print(f"#     {one.key()}", flush=True)

        found = over(lambda one: suite.drawn(one, listed), drawn, until[1], jobs, say_drawn)
        tap.ok(not suite.failing, "the tests that tell of mutants pass without any")
        return report(tap, options, level, table, done, found)
    finally:
        if temporary:
            shutil.rmtree(scratch, ignore_errors=True)


def report(tap, options, level, table, done, found):
    """The sentences on the drawn ones, and the figures."""
    kinds = [result[0] for _, result in found]
    valid = [k for k in kinds if k in ("died", "unlisted", "survivor")]
    died, unlisted = kinds.count("died"), kinds.count("unlisted")
    if valid:
        if level == "slice" or options.only:
            good = unlisted <= max(1, len(valid) // 10)
            tap.ok(good, f"of {len(valid)} drawn mutants that can be told apart {died} die")
        else:
            tap.ok(died >= ASKED_SHARE * len(valid),
                   f"of {len(valid)} drawn mutants that can be told apart 95 % die: {died}")
            tap.ok(not unlisted, "each drawn mutant that survives is listed with its reason")
    if not options.only and level != "slice":
        tap.ok(len(table) >= ASKED_TABLE and
               sum("reverts" in e.fields for e in table) >= ASKED_REVERTS,
               f"the table holds {ASKED_TABLE} mutants and {ASKED_REVERTS} reverts of fixes")
    killed = sum(r[0] for _, r in done)
    print(f"# figure mutants | hand-picked mutants killed, of {len(done)} tried and {len(table)} listed"
          f" | {killed} | {ASKED_TABLE}")
    print(f"# figure mutants | of them reverts of fixes | "
          f"{sum('reverts' in e.fields for e, r in done if r[0])} | {ASKED_REVERTS}")
    share = f"{100 * died / len(valid):.1f} %" if valid else "-"
    print(f"# figure mutants | single-line mutants drawn ({kinds.count('invalid')} do not compile, "
          f"{kinds.count('same') + kinds.count('equivalent')} are equivalent) | {len(found)} | {DRAWN}")
    print(f"# figure mutants | of the rest killed ({died} of {len(valid)}) | {share} | 95 %")
    return tap.done()


def suited_tree(options):
    """The tree that was named, or its neighbour, if it was set up as the mutants need it; or None."""
    if not options.tree:
        return None
    beside = os.path.join(os.path.dirname(os.path.realpath(options.tree)), "points")
    for tree in (options.tree, beside):
        done = subprocess.run(["meson", "introspect", "--buildoptions", "--projectinfo", tree],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False)
        if done.returncode or not os.path.exists(os.path.join(tree, "build.ninja")):
            continue
        found = json.loads(done.stdout)
        have = {option["name"]: option["value"] for option in found["buildoptions"]}
        with open(os.path.join(tree, "meson-info/meson-info.json"), encoding="utf-8") as file:
            source = json.load(file)["directories"]["source"]
        if os.path.realpath(source) == os.path.realpath(options.source) and \
           have.get("test_points") and have["test_runner"] == "plain" and \
           have["b_sanitize"] == "none":
            return tree
    return None


if __name__ == "__main__":
    sys.exit(main())
