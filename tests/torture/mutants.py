#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py SOUND MUTANT... - the sections with a step left out. Each mutant must fail every time,
and the sections as they are must pass as often. TAP."""
import concurrent.futures
import os
import re
import subprocess
import sys

WHAT = {
    1: "no descriptor is stored",
    2: "the CPU is not checked",
    3: "the head is the one read before the section",
    4: "the head is stored before the copy",
    5: "the limit is not checked",
    6: "the alarm is not checked",
    7: "the order word is not checked",
    8: "the section ends before the commit",
    9: "another field of the rseq area is written",
    10: "a mark may have been made for another ring",
    11: "a mark may be older than a handler's push",
}
ASKED = 20
TWO_CPUS = {2, 7, 10, 11}  # nothing is wrong with these as long as no thread migrates


def run(program):
    """(failed, why): whether the program found something, or was killed by it."""
    try:
        done = subprocess.run([program, "quick"], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return False, "it hung"
    if done.returncode < 0:
        return True, "ended by signal %d" % -done.returncode
    why = [line[2:] for line in done.stdout.split("\n") if line.startswith("# ")]
    return ("not ok" in done.stdout and done.returncode != 0), (why[0] if why else "it passed")


def main():
    times = 3 if os.environ.get("WEIR_PROOF", "slice") == "slice" else ASKED
    sound, mutants = sys.argv[1], sys.argv[2:]
    probe = subprocess.run([sound], capture_output=True, text=True)
    if "SKIP" in probe.stdout:
        print(probe.stdout.strip())
        return 0
    failed = 0
    pool = concurrent.futures.ThreadPoolExecutor(2)
    passed = list(pool.map(run, [sound] * times))
    wrong = [why for found, why in passed if found or why != "it passed"]
    print("%s 1 - the sections as they are pass %d times of %d" % (
        "not ok" if wrong else "ok", times - len(wrong), times))
    for why in wrong:
        print("# " + why)
    failed += bool(wrong)
    least = times
    for number, program in enumerate(mutants, 2):
        section, mutant = re.search(r"mutant-(\w+)-(\d+)$", program).groups()
        if int(mutant) in TWO_CPUS and len(os.sched_getaffinity(0)) < 2:
            print("ok %d - %s, %s # SKIP because there is one CPU only" % (
                number, section, WHAT[int(mutant)]))
            continue
        ends = list(pool.map(run, [program] * times))
        killed = sum(found for found, _ in ends)
        print("%s %d - %s, %s: it failed %d times of %d" % (
            "ok" if killed == times else "not ok", number, section, WHAT[int(mutant)], killed,
            times))
        print("# " + ends[0][1])
        sys.stdout.flush()
        failed += killed != times
        least = min(least, killed)
    print("# figure torture | runs of each mutant that failed, of as many | %d | %d" % (least,
                                                                                      ASKED))
    print("1..%d" % (len(mutants) + 1))
    return failed != 0


sys.exit(main())
