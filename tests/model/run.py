#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py [--full] - searches the model of the wake protocol to its end, and demands a trace of
every mutant. TAP on stdout. Exits 77 when spin or a compiler is missing."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# model, flags, log2 of the hash table, memory in MB
SEARCHES = [
    ("wake.pml", "-DCFGA", 24, 3500),
    ("wake.pml", "-DCFGB", 24, 3500),
    ("wake-urgent.pml", "-DCFGB -DCMAX=1", 24, 3500),
]
FULL_SEARCHES = [
    ("wake-urgent.pml", "-DCFGA -DCMAX=1", 26, 8000),
    ("wake.pml", "-DCFGA -DTHR=3 -DNPUSH=2 -DCMAX=1", 26, 16000),
    ("wake.pml", "-DCFGB -DTHR=3 -DNPUSH=2 -DCMAX=1", 26, 16000),
    ("wake-urgent.pml", "-DCFGA -DCMAX=2", 28, 32000),
    ("wake-urgent.pml", "-DCFGB -DCMAX=2", 28, 32000),
]
# what is taken away: model, flags of the configuration that shows it soonest
MUTANTS = {
    "M_NO_MEMBARRIER": ("wake.pml", "-DCFGB"),
    "M_PLAIN_MEMBARRIER": ("wake.pml", "-DCFGB"),
    "M_COMMIT_FIRST": ("wake.pml", "-DCFGB"),
    "M_NO_HELP": ("wake.pml", "-DCFGB"),
    "M_ALARM_FIRST": ("wake.pml", "-DCFGA"),
    "M_ALARM_STORE": ("wake.pml", "-DCFGB"),
    "M_NO_EPOCH": ("wake.pml", "-DCFGB"),
    "M_INF_LATE": ("wake.pml", "-DCFGB"),
    "M_DISARM_LATE": ("wake.pml", "-DCFGB"),
    "M_NO_RECHECK": ("wake.pml", "-DCFGB"),
    "M_NO_LEVEL": ("wake.pml", "-DCFGB"),
    "M_TOTAL_EARLY": ("wake.pml", "-DCFGB"),
    "M_NO_CORRECTION": ("wake.pml", "-DCFGB"),
    "M_STALE_NOT_SET": ("wake.pml", "-DCFGA"),
    "M_BIT_LATE": ("wake.pml", "-DCFGB"),
    "M_BIT_AFTER": ("wake.pml", "-DCFGB"),
    "M_AFTER_NO_FENCE": ("wake.pml", "-DCFGB"),
    "M_NO_SEQ": ("wake-urgent.pml", "-DCFGB -DCMAX=1"),
    "M_SOON_IGNORED": ("wake-urgent.pml", "-DCFGB -DCMAX=1"),
}
# these need two batches with urgent records, which takes long
FULL_MUTANTS = {
    name: ("wake-urgent.pml", "-DCFGB -DCMAX=2")
    for name in ("M_NO_SECOND_LOOK", "M_NO_REDO", "M_SOON_LATE", "M_URGENT_NO_EPOCH")
}


def search(model, flags, hash_bits, megabytes, optimise):
    """Builds and runs the search. (errors, states, complete)"""
    with tempfile.TemporaryDirectory(prefix="weir-model-") as place:
        made = subprocess.run(["spin"] + flags.split() + ["-a", os.path.join(HERE, model)],
                              cwd=place, capture_output=True, text=True)
        if made.returncode or not os.path.exists(os.path.join(place, "pan.c")):
            return None, made.stdout + made.stderr, False
        subprocess.run([os.environ.get("CC", "cc").split()[0], optimise, "-w", "-DSAFETY",
                        "-DCOLLAPSE", "-DVECTORSZ=512", "-DMEMLIM=%d" % megabytes, "-o", "pan",
                        "pan.c"], cwd=place, check=True)
        out = subprocess.run(["./pan", "-E", "-m1000000", "-w%d" % hash_bits], cwd=place,
                             capture_output=True, text=True).stdout
    errors = re.search(r"errors: (\d+)", out)
    states = re.search(r"(\d+) states, stored", out)
    complete = not re.search(r"max search depth too small|not completed|out of memory|"
                             r"memory limit|hash table full", out)
    return (int(errors.group(1)) if errors else None,
            int(states.group(1)) if states else 0, complete)


def main():
    full = "--full" in sys.argv[1:]
    searches = SEARCHES + (FULL_SEARCHES if full else [])
    mutants = dict(MUTANTS, **(FULL_MUTANTS if full else {}))
    compiler = os.environ.get("CC", "cc").split()[0]
    n = failed = 0

    for tool, package in (("spin", "spin"), (compiler, "gcc")):
        if not shutil.which(tool):
            print("1..0 # SKIP %s is missing (package %s)" % (tool, package))
            return 77
    print("1..%d" % (len(searches) + len(mutants)), flush=True)
    for model, flags, bits, megabytes in searches:
        errors, states, complete = search(model, flags, bits, megabytes, "-O2")
        ok = errors == 0 and complete
        n += 1
        failed += not ok
        print("%sok %d - %s %s holds in all %s states%s" % (
            "" if ok else "not ", n, model, flags.replace("-D", ""), states,
            "" if complete else " (not searched to the end)"), flush=True)
    for name, (model, flags) in mutants.items():
        errors, states, _ = search(model, flags + " -D" + name, 22 if not full else 26,
                                   3500 if not full else 32000, "-O1")
        ok = bool(errors)
        n += 1
        failed += not ok
        print("%sok %d - %s %s %s: %s after %s states" % (
            "" if ok else "not ", n, model, flags.replace("-D", ""), name,
            "a trace" if ok else "no trace", states), flush=True)
    return 1 if failed else 0


sys.exit(main())
