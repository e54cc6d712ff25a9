#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/run with programs that are scripts: what it starts, passes on, streams and reports."""
import json
import os
import subprocess
import sys

from checks import BENCH, MACHINE, about, alike, case, equal, holds, main, row

PROGRAM = """#!{python}
import json, os, sys
question = os.path.basename(sys.argv[0])[6:]
sys.stderr.write("bench: " + question + "/1p/8B\\n")
with open(sys.argv[0] + ".seen", "a") as file:
    file.write(json.dumps([sys.argv[1:], os.environ.get("GLIBC_TUNABLES", "")]) + "\\n")
for line in open(os.path.join(os.path.dirname(sys.argv[0]), "lines")):
    print(line.strip().replace("QUESTION", question), flush=True)
sys.exit({status})
"""
LINES = [{**MACHINE, "question": "QUESTION"}, row("QUESTION/weir/1p/8B", about(3), alike(3)),
         row("QUESTION/floor/1p/8B", about(2.5)),
         {"type": "end", "question": "QUESTION", "seconds": 0.1, "steal_s": 0.25}]
ALL = ("machine", "push", "throughput", "tail", "trigger", "delivery", "quiet", "sinks", "scale",
       "seed")


def programs(folder, names=ALL, lines=None, status=0):
    for name in names:
        path = os.path.join(folder, "bench_" + name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(PROGRAM.format(python=sys.executable, status=status))
        os.chmod(path, 0o755)
    with open(os.path.join(folder, "lines"), "w", encoding="utf-8") as file:
        file.writelines((line if isinstance(line, str) else json.dumps(line)) + "\n"
                        for line in (LINES if lines is None else lines))


def run(folder, *words, code=0, env=None):
    path = os.path.join(folder, "out.json")
    done = subprocess.run([os.path.join(BENCH, "run"), "--programs", folder, "--json", path, *words],
                          capture_output=True, text=True, timeout=120,
                          env={**os.environ, "GLIBC_TUNABLES": "", **(env or {})})
    if done.returncode != code:
        raise AssertionError(f"{words} ended with {done.returncode}: {done.stderr[-2000:]}")
    if code == 2:
        return done
    with open(path, encoding="utf-8") as file:
        return done, json.load(file)


def seen(folder, name):
    with open(os.path.join(folder, f"bench_{name}.seen"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@case
def one_question(folder):
    """A question that is asked runs alone, with its words, and its progress is passed on."""
    programs(folder)
    done, made = run(folder, "--question", "push", "--blocks", "7", "--unpinned", "--filter", "8B")
    equal(seen(folder, "push"), [[["--unpinned", "--blocks", "7", "--filter", "8B"], ""]])
    equal(os.path.exists(os.path.join(folder, "bench_tail.seen")), False, "tail was run")
    holds(done.stderr, "[1/1] push", "bench: push/1p/8B")
    holds(done.stdout, "push/1p/8B", "1.20", "weir is worse")
    equal([one["name"] for one in made["rows"]], ["push/weir/1p/8B", "push/floor/1p/8B"])
    equal(sorted(made), ["goals", "machine", "questions", "rows", "schema", "without"])
    equal(made["machine"]["steal_s"], 0.25)


@case
def names_of_questions(folder):
    """Questions are named with a flag, as words, or with commas; trickle is a part of seed."""
    programs(folder)
    made = run(folder, "--question", "push", "tail,quiet", "trickle")[1]
    equal([one["question"] for one in made["questions"]], ["push", "tail", "quiet", "seed"])
    equal(seen(folder, "seed"), [[["trickle"], ""]])


@case
def whole(folder):
    """The whole suite asks every question, again without rseq, and some unpinned."""
    programs(folder)
    done, made = run(folder)
    runs = [(one["question"], one["norseq"], "--unpinned" in one["words"])
            for one in made["questions"]]
    for name in ALL:
        equal((name, False, False) in runs, True, name)
        equal((name, True, False) in runs, name not in ("machine", "seed"), f"{name} without rseq")
    equal([name for name, _, unpinned in runs if unpinned], ["push", "throughput"])
    tunables = [env for _, env in seen(folder, "tail")]
    equal(tunables, ["", "glibc.pthread.rseq=0"])
    names = {one["name"] for one in made["rows"]}
    equal({"push/weir-norseq/1p/8B", "push/floor-norseq/1p/8B", "push/weir/1p/8B"} <= names, True)
    equal({one["question"] for one in made["rows"] if one["group"] == "fallback/push/1p/8B"},
          {"fallback"}, "its question")
    holds(done.stdout, "goals", "push 8B, beside the floor")


@case
def quick(folder):
    """--quick is passed on, and the push alone runs again without rseq."""
    programs(folder)
    made = run(folder, "--quick")[1]
    equal(all("--quick" in one["words"] for one in made["questions"]), True)
    equal([one["question"] for one in made["questions"] if one["norseq"]], ["push"])


@case
def norseq(folder):
    """--norseq leaves other tunables alone and names the rows so."""
    programs(folder)
    made = run(folder, "push", "--norseq", env={"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"})[1]
    equal(seen(folder, "push")[0][1], "glibc.malloc.arena_max=2:glibc.pthread.rseq=0")
    equal(made["rows"][0]["name"], "push/weir-norseq/1p/8B")
    equal(made["rows"][1]["versus"]["of"], "push/weir-norseq/1p/8B")


@case
def missing(folder):
    """A program that is not built is named, with the reason; the others run."""
    programs(folder, ["push"])
    done, made = run(folder, "push", "tail")
    holds(done.stdout, "tail: missing, bench_tail is not built")
    equal([one["status"] for one in made["questions"]], ["run", "missing"])


@case
def failed(folder):
    """A program that fails, dies or writes what is no JSON ends the run with 1, and is named."""
    programs(folder, ["push"], LINES[:2], 1)
    holds(run(folder, "push", code=1)[0].stdout, "push: failed, ended with status 1")
    programs(folder, ["push"], LINES + ["Segmentation fault"])
    holds(run(folder, "push", code=1)[0].stdout, "1 lines that are no JSON")
    programs(folder, ["push"], LINES, "os.kill(os.getpid(), 9)")
    holds(run(folder, "push", code=1)[0].stdout, "ended by signal 9")
    wrong = {"type": "failed", "question": "push", "group": "push/1p/8B", "case": "push/x/1p/8B",
             "peer": "x", "why": "5 records went in and 4 came out, sum wrong"}
    programs(folder, ["push"], LINES[:3] + [wrong] + LINES[3:], 1)
    done, made = run(folder, "push", code=1)
    holds(done.stdout, "x: FAILED, 5 records went in and 4 came out")
    equal(len(made["rows"]), 2, "the other rows")


@case
def ended(folder):
    """When bench/run is told to end, the program that it runs ends, too."""
    programs(folder, ["push"], status="__import__('time').sleep(300)")
    process = subprocess.Popen([os.path.join(BENCH, "run"), "--programs", folder, "push"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "push/1p/8B" in line:
            break
    process.terminate()
    equal(process.wait(60), 143)
    process.stderr.read()  # ends when nobody holds the pipe any more
    process.stdout.close()
    process.stderr.close()


@case
def refused(folder):
    """A question that is not known, a bad number or a base that is no result is a usage error."""
    programs(folder)
    holds(run(folder, "--question", "speed", code=2).stderr, "speed", "throughput")
    run(folder, "--blocks", "0", "push", code=2)
    holds(run(folder, "--compare", os.path.join(folder, "lines"), "push", code=2).stderr, "lines")
    equal(os.path.exists(os.path.join(folder, "bench_push.seen")), False, "something was run")


sys.exit(main())
