#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sim_test.py WEIR WEIR_SIM PLUGIN - the rung "simulator": seeds, hashes, faults, own sinks. TAP.

WEIR_PROOF says how much: slice (about WEIR_PROOF_SECONDS on one core), full, soak."""
import json
import os
import subprocess
import sys
import time

WEIR, SIM, PLUGIN = sys.argv[1:4]
MODE = os.environ.get("WEIR_PROOF", "slice")
SECONDS = float(os.environ.get("WEIR_PROOF_SECONDS", "20"))
SEEDS_ASKED, KINDS_ASKED, KINDS_SEEDS = 20000, 30, 2000
results = []


def check(good, promise, detail=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {promise}", flush=True)
    for line in str(detail).splitlines()[-30:]:
        if not good:
            print(f"# {line}", flush=True)


def weir(*words):
    """Runs `weir sim WORDS`: (status, standard output, standard error)."""
    done = subprocess.run([WEIR, "sim", *map(str, words)], capture_output=True, text=True,
                          timeout=7000, check=False)
    return done.returncode, done.stdout, done.stderr


def speed():
    begun = time.monotonic()
    weir("--seed", "1..40", "--quiet")
    return 40 / (time.monotonic() - begun)


def how_many():
    if MODE == "soak":
        return SEEDS_ASKED
    if MODE == "full":
        return max(KINDS_SEEDS, 4000)
    # A quarter of the time is for the rest.
    return max(100, min(4000, int(0.75 * SECONDS * speed())))


def run_seeds():
    count = how_many()
    jobs = 1 if MODE == "slice" else max(1, min(8, os.cpu_count() or 1))
    words = ["--seed", f"1..{count}", "--jobs", jobs, "--json"]
    if count >= KINDS_SEEDS:
        words.append("--every-kind")
    begun = time.monotonic()
    code, out, err = weir(*words)
    took = time.monotonic() - begun
    try:
        told = json.loads(out)
    except ValueError:
        check(False, "the simulator runs", out[-400:] + err)
        return
    bad = [f"seed {one['seed']}: {one['why']}" for one in told["results"] if not one["ok"]]
    check(not bad and told["seeds"] == count,
          f"{count} seeds keep identity, order, deadline and log, and deliver all once healed",
          "\n".join(bad))
    hit = {name: fault["hit"] for name, fault in told["faults"].items()}
    kinds = sum(1 for n in hit.values() if n)
    for name, n in hit.items():
        print(f"# fault {name}: the engine's branch ran {n} times", flush=True)
    for name, n in told["overruns"].items():
        print(f"# overruns, {name}: {n}", flush=True)
    missing = [name for name, n in hit.items() if not n]
    if count >= KINDS_SEEDS:
        check(code == 0 and not missing, f"each of {len(hit)} kinds of fault was hit",
              f"never hit: {missing}\n{err}")
    else:
        check(kinds >= KINDS_ASKED, f"at least {KINDS_ASKED} kinds of fault were hit",
              f"never hit: {missing}")
    print(f"# figure simulator | seeds | {count} | {SEEDS_ASKED}")
    print(f"# figure simulator | kinds of fault hit | {kinds} | {KINDS_ASKED}")
    print(f"# figure simulator | seeds in 10 minutes at {jobs} at once | {600 * count / took:.0f}"
          f" | {SEEDS_ASKED}", flush=True)


def run_hashes():
    count = 1000 if MODE != "slice" else 40
    first = weir("--seed", f"1..{count}", "--jobs", 1)[1]
    second = weir("--seed", f"1..{count}", "--jobs", 3)[1]
    check(first == second and first.count(" hash ") == count + 1,
          f"{count} seeds give the same hashes on two runs, one and three at a time")
    check(len({line.split()[3] for line in first.splitlines() if line.startswith("seed ")})
          == count, "no two seeds have the same hash")
    print(f"# figure simulator | seeds hashed twice alike | {count} | 1000", flush=True)


def run_sinks():
    count = 60 if MODE == "slice" else 400
    for sink in ["null:", "file:log?sync=batch&segment=8KiB", "file:log?sync=interval",
                 "fd:1?frame=len32"]:
        code, out, err = weir("--seed", f"1..{count}", "--sink", sink, "--quiet")
        check(code == 0, f"{count} seeds with the sink {sink} hold", out + err)
    for name in ["plugin_good", "plugin_hosted"]:
        code, out, err = weir("--seed", f"1..{count}", "--sink-so", f"{PLUGIN}:{name}", "--quiet")
        check(code == 0, f"{count} seeds with a user's sink hold: {name}", out + err)
    code, out, err = weir("--seed", "1..20", "--sink-so", f"{PLUGIN}:plugin_early", "--quiet",
                          "--stop")
    check(code == 1 and "refused" in out, "a user's sink that breaks its contract is found",
          out + err)


def run_shrink():
    code, out, err = weir("--seed", "1..20", "--sink-so", f"{PLUGIN}:plugin_early", "--quiet",
                          "--stop", "--minimise")
    lines = [line for line in out.splitlines() if line.startswith("weir sim --seed")]
    check(code == 1 and len(lines) == 1, "a failure is shrunk to one command", out + err)
    if not lines:
        return
    words = [word.strip("'") for word in lines[0].split()[2:]]
    code, out, err = weir(*words)
    check(code == 1 and "FAILED" in out, "and the shrunk command still fails", out + err)


def main():
    run_seeds()
    run_hashes()
    run_sinks()
    run_shrink()
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
