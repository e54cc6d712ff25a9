#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rung.py TABLE SOURCE BUILD PROGRAM... - mutants that a program of the proof must catch. TAP.

The table's form is in mutant.py. `killed-by:` names one of the programs, by the last part of its
path, and its arguments. `needs: 2` asks for as many CPUs.

A slice runs as many as WEIR_PROOF_SECONDS allow, other ones first each day; full and soak run all.
"""
import argparse
import concurrent.futures
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source stays as it is
import mutant  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("source")
    parser.add_argument("build")
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--rung", required=True, help="its name in the figures")
    parser.add_argument("--figure", default="mutants caught")
    parser.add_argument("--asked", default=5, type=int, help="how many must be caught")
    parser.add_argument("--least", default=5, type=int, help="a slice runs no fewer")
    parser.add_argument("--says", default="it fails when {}")
    parser.add_argument("--seconds", default="30", help="WEIR_PROOF_SECONDS of the programs")
    parser.add_argument("--hang", default=120, type=int, help="seconds that a program may be silent")
    parser.add_argument("--times", action="store_true", help="fail 20 times of 20; a slice: 3 of 3")
    parser.add_argument("--only", default="")
    return parser.parse_args()


class Rung:
    def __init__(self, options):
        self.options, self.passes = options, {}
        self.slice = os.environ.get("WEIR_PROOF", "slice") == "slice"
        self.times = (3 if self.slice else 20) if options.times else 1
        self.programs = {os.path.basename(path): os.path.relpath(path, options.build)
                         for path in options.programs}
        self.tree = mutant.Tree(options.source, options.build)
        self.tree.read_ninja(self.programs.values())

    def failures(self, program, words):
        """What fails each time that the program runs; None: nothing."""
        def once(_):
            return mutant.run([program, *words], self.options.hang, WEIR_PROOF="slice",
                              WEIR_PROOF_SECONDS=self.options.seconds, WEIR_PROOF_SEED="1")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(once, range(self.times)))

    def kill(self, entry):
        """(times that it was killed, what is to be said)."""
        if len(os.sched_getaffinity(0)) < int(entry.fields.get("needs", 1)):
            raise mutant.Skipped("there are too few CPUs")
        name, *words = entry.killer
        key = " ".join(entry.killer)
        path = self.programs[name]
        if key not in self.passes:
            found = self.failures(os.path.join(self.tree.build, path), words)
            self.passes[key] = next(filter(None, found), None)
        if self.passes[key]:
            return 0, f"{key} fails without it, too: {self.passes[key]}"
        with tempfile.TemporaryDirectory(prefix="weir-mutant-") as place:
            try:
                found = self.failures(mutant.make(self.tree, path, entry, place), words)
            except mutant.Unbuilt as why:
                return 0, str(why)
        return sum(map(bool, found)), next(filter(None, found), "nothing has failed")


def main():
    options = arguments()
    rung, tap, caught, tried = Rung(options), mutant.Tap(), 0, 0
    least = rung.times
    entries = mutant.read(options.table)
    tap.ok(not mutant.stale(entries, options.source), "each mutant still applies to the source",
           *mutant.stale(entries, options.source))
    chosen = [entry for entry in entries if options.only in entry.name]
    if rung.slice:
        first = int(time.time() // 86400) * options.least % len(chosen)
        chosen = chosen[first:] + chosen[:first]
    until = time.monotonic() + float(os.environ.get("WEIR_PROOF_SECONDS") or 20)
    for entry in chosen:
        if rung.slice and tried >= options.least and time.monotonic() > until:
            break
        says = options.says.format(entry.name)
        began = time.monotonic()
        try:
            killed, why = rung.kill(entry)
        except mutant.Skipped as why:
            tap.ok(True, f"{says} # SKIP because {why}")
            continue
        if rung.times > 1:
            says += f": it failed {killed} times of {rung.times}"
        tap.ok(killed == rung.times, says, f"{why} ({time.monotonic() - began:.1f} s)")
        tried += 1
        caught += killed == rung.times
        least = min(killed, least)
    tap.ok(not any(rung.passes.values()), "what must fail passes without a mutant")
    if tried < len(chosen):
        print(f"# {len(chosen) - tried} of {len(chosen)} mutants were left to a longer run")
    if options.times:
        print(f"# figure {options.rung} | runs of each mutant that failed, of as many | {least} | 20")
    print(f"# figure {options.rung} | {options.figure} | {caught} of {tried} | {options.asked}")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
