#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py MODEL... - searches Spin models to their end and demands a trace of every mutant. TAP.

MODEL is the name of a .pml beside this file, whose opening comment says what is run:

    run LEVEL FLAGS            safety: every state is searched, no assertion fails, nobody is stuck
    live LEVEL FLAGS           liveness: the same, and no cycle without a progress label
    mutant LEVEL NAME FLAGS    as run, with -DNAME: an assertion fails
    mutant-live LEVEL NAME FLAGS    as live, with -DNAME: an assertion fails, or there is a cycle

LEVEL is slice, full or soak: the environment's WEIR_PROOF runs its own level and those before it.
Nothing is sampled: no bitstate hashing, no bound on the depth. What `pan` lists as unreached must be
exactly the lines that say why: a comment that begins with "unreached:", or, when only some runs do
not get there, with "unreached FLAG, FLAG:", which are flags of these runs without their -D.
"FLAG+FLAG" means runs with both, "!FLAG" those without. A bound that is left out is no flag.

Exits 77 when spin or a compiler is missing."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
LEVELS = ["slice", "full", "soak"]
ASKED = 500000          # states per model
MEMORY_MB = {"slice": 2000, "full": 3000, "soak": 6000}   # of one search
AT_ONCE = {"slice": 2, "full": 2, "soak": 1}
HASH_BITS = {"slice": 23, "full": 25, "soak": 26}
LINE = re.compile(r"^ \* +(run|live|mutant|mutant-live) (slice|full|soak)((?: +-?\w[\w=-]*)*)$", re.M)
REASON = re.compile(r"/\* unreached((?: [\w=!+]+,?)*): \S[^*]*\*/")
INCOMPLETE = re.compile(r"max search depth too small|not completed|out of memory|memory limit|"
                        r"hash table full|aborting|assertion failed")


class Entry:
    """One line of a model's table."""

    def __init__(self, model, kind, level, words):
        self.model, self.level = model, level
        self.mutant = words.pop(0) if kind.startswith("mutant") else None
        self.live = kind.endswith("live")
        self.flags = words

    def name(self):
        bounds = " ".join(flag.replace("-D", "") for flag in self.flags)
        return " ".join(filter(None, (self.model, bounds, "live" if self.live else "")))


def entries_of(model):
    with open(os.path.join(HERE, model + ".pml"), encoding="ascii") as file:
        text = file.read()
    head = text[:text.find("*/\n", text.find("*/\n") + 1)]
    found = [Entry(model, kind, level, words.split()) for kind, level, words in LINE.findall(head)]
    if not found:
        sys.exit("%s.pml says nowhere what is run" % model)
    return found


class Result:
    def __init__(self):
        self.errors = None
        self.seconds = 0.0
        self.states = 0
        self.complete = False
        self.trouble = ""
        self.unreached = set()  # (file, line)
        self.lines = set()      # (file, line) of every step there is


def places(text):
    return {(os.path.basename(file), int(line))
            for file, line in re.findall(r"([\w./-]+\.pml):(\d+)", text)}


def search(entry):
    """Builds the search and runs it."""
    result, start = Result(), time.monotonic()
    flags = entry.flags + (["-D" + entry.mutant] if entry.mutant else [])
    if entry.live:
        flags = flags + ["-DLIVE"]
    kind = ["-DNP", "-DNOFAIR"] if entry.live else ["-DSAFETY"]
    cc = os.environ.get("CC", "cc").split()
    with tempfile.TemporaryDirectory(prefix="weir-model-") as place:
        for name in os.listdir(HERE):
            if name.endswith(".pml"):
                shutil.copy(os.path.join(HERE, name), place)
        made = subprocess.run(["spin"] + flags + ["-a", entry.model + ".pml"], cwd=place,
                              capture_output=True, text=True)
        if made.returncode or not os.path.exists(os.path.join(place, "pan.c")):
            result.trouble = made.stdout + made.stderr
            return result
        quick = entry.mutant and entry.level == "slice"     # compiling takes longer than looking
        subprocess.run(cc + ["-O0" if quick else "-O2", "-w", "-DCOLLAPSE",
                             "-DVECTORSZ=1024", "-DMEMLIM=%d" % MEMORY_MB[entry.level]] + kind +
                       ["-o", "pan", "pan.c"], cwd=place, check=True)
        pan = ["./pan", "-m2000000", "-w%d" % (22 if quick else HASH_BITS[entry.level])]
        run = subprocess.run(pan + (["-l"] if entry.live else []), cwd=place, capture_output=True,
                             text=True)
        out = run.stdout + run.stderr
        if not entry.mutant:
            result.lines = places(subprocess.run(["./pan", "-d"], cwd=place, capture_output=True,
                                                 text=True).stdout)
    result.seconds = time.monotonic() - start
    errors = re.search(r"errors: (\d+)", out)
    states = re.search(r"(\d+) states, stored", out)
    result.errors = int(errors.group(1)) if errors else None
    result.states = int(states.group(1)) if states else 0
    result.complete = bool(errors) and not INCOMPLETE.search(out)
    for block in re.findall(r"^unreached in \w+ \w+\n((?:\t.*\n)*)", out, re.M):
        result.unreached |= places(block)
    result.trouble = "\n".join(re.findall(r"^pan:\d*:? ?(?!elapsed|rate).*", out, re.M))
    return result


def reasons(entry):
    """The lines that say why they are not reached in this run."""
    given = {flag.replace("-D", "") for flag in entry.flags} | ({"LIVE"} if entry.live else set())
    found = set()
    for name in os.listdir(HERE):
        if not name.endswith(".pml"):
            continue
        with open(os.path.join(HERE, name), encoding="ascii") as file:
            for number, line in enumerate(file, 1):
                match = REASON.search(line)
                runs = match.group(1).replace(",", " ").split() if match else []
                if match and (not runs or any(all(
                        (flag.lstrip("!") in given) != flag.startswith("!")
                        for flag in run.split("+")) for run in runs)):
                    found.add((name, number))
    return found


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def say(self, ok, sentence, *details):
        self.n += 1
        self.failed += not ok
        for detail in details:
            if detail and not ok:
                print("# " + str(detail).strip().replace("\n", "\n# "))
        print("%sok %d - %s" % ("" if ok else "not ", self.n, sentence), flush=True)


def tell(tap, entry, result):
    """Says what a search has found, and what it should have."""
    if entry.mutant:
        tap.say(bool(result.errors), "%s %s: %s after %d states" % (
            entry.name(), entry.mutant, "a trace" if result.errors else "no trace",
            result.states), result.trouble)
        return
    because = reasons(entry) & (result.lines | result.unreached)
    tap.say(result.errors == 0 and result.complete,
            "%s: %s in all %d states" % (entry.name(), "nobody goes round in circles"
                                         if entry.live else "every promise holds", result.states),
            result.trouble or "no verdict")
    tap.say(result.unreached == because,
            "%s: every line that is not reached says why" % entry.name(),
            *["%s:%d is not reached and does not say why" % at
              for at in sorted(result.unreached - because)],
            *["%s:%d is reached although it says why not" % at
              for at in sorted(because - result.unreached)])


def main():
    level = os.environ.get("WEIR_PROOF", "slice")
    models = sys.argv[1:]
    tap = Tap()

    for tool, package in (("spin", "spin"), (os.environ.get("CC", "cc").split()[0], "gcc")):
        if not shutil.which(tool):
            print("1..0 # SKIP because %s is missing (package %s)" % (tool, package))
            return 77
    if level not in LEVELS or not models:
        sys.exit("usage: [WEIR_PROOF=slice|full|soak] run.py MODEL...")
    todo = [e for m in models for e in entries_of(m)
            if LEVELS.index(e.level) <= LEVELS.index(level)]
    print("1..%d" % sum(1 if e.mutant else 2 for e in todo), flush=True)
    found = []
    with ThreadPoolExecutor(max_workers=min(AT_ONCE[level], os.cpu_count() or 1)) as pool:
        for entry, result in zip(todo, pool.map(search, todo)):
            tell(tap, entry, result)
            print("# %.1f s" % result.seconds, flush=True)
            found.append((entry, result))
    for model in models:
        states = [r.states for e, r in found if e.model == model and not e.mutant]
        mutants = [bool(r.errors) for e, r in found if e.model == model and e.mutant]
        if states:
            print("# figure models | %s: states | %d | %d" % (model, max(states), ASKED))
        print("# figure models | %s: mutants with a trace, of %d | %d | 3" % (
            model, len(mutants), sum(mutants)), flush=True)
    return 1 if tap.failed else 0


sys.exit(main())
