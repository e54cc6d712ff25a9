# SPDX-License-Identifier: Apache-2.0
"""programs.py - finds the programs that ask the questions, runs them, and reads what they write.

It knows processes and lines. It does not know what a line means.
"""
import json
import os
import subprocess
import sys
import time

QUESTIONS = ("machine", "push", "throughput", "tail", "trigger", "delivery", "quiet", "sinks",
             "scale", "fallback", "seed")
AGAIN = QUESTIONS[1:QUESTIONS.index("fallback")]  # what fallback runs
TUNABLE = "glibc.pthread.rseq=0"


def find(here, asked):
    """The folder of the programs: as asked, beside this script, or of the newest build."""
    if asked:
        return asked
    root = os.path.dirname(here)
    places = [here] + [os.path.join(root, name, "bench") for name in sorted(os.listdir(root))
                       if name.startswith("build")]

    def age(place):
        return max((os.path.getmtime(path(place, name)) for name in QUESTIONS
                    if os.path.exists(path(place, name))), default=0.0)
    return max(places, key=age)


def path(folder, question):
    return os.path.join(folder, "bench_" + question)


def environment(norseq):
    env = dict(os.environ)
    if norseq:
        tunables = [one for one in env.get("GLIBC_TUNABLES", "").split(":")
                    if one and not one.startswith("glibc.pthread.rseq=")]
        env["GLIBC_TUNABLES"] = ":".join(tunables + [TUNABLE])
    return env


def parse(line):
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "type" in found else None


def ended(code, lines):
    """How a run went."""
    failed = [line for line in lines if line["type"] == "failed"]
    if code < 0:
        return "failed", f"ended by signal {-code}"
    if failed:
        return "failed", f"{failed[0].get('case', '?')}: {failed[0].get('why', '?')}"
    if code or not any(line["type"] == "end" for line in lines):
        return "failed", f"ended with status {code} before its end"
    return "run", ""


def run(folder, question, words, norseq=False):
    """Runs one program to its end; what it says on standard error is progress, and goes there."""
    program = path(folder, question)
    result = {"question": question, "norseq": norseq, "words": list(words), "status": "missing",
              "why": "", "seconds": 0.0, "lines": []}
    if not os.path.exists(program):
        result["why"] = f"bench_{question} is not built"
        return result
    began = time.monotonic()
    print(f"bench: bench_{question} {' '.join(words)}{' (without rseq)' if norseq else ''}",
          file=sys.stderr, flush=True)
    wrong = 0
    try:
        with subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=environment(norseq), text=True, errors="replace") as child:
            try:
                for line in child.stdout:
                    found = parse(line)
                    wrong += found is None
                    if found:
                        result["lines"].append(found)
                code = child.wait()
            except BaseException:  # whoever ends this, ends what it measures with
                child.kill()
                raise
    except OSError as error:
        result["status"], result["why"] = "failed", f"cannot be started: {error.strerror}"
        return result
    result["seconds"] = round(time.monotonic() - began, 1)
    result["status"], result["why"] = ended(code, result["lines"])
    if wrong and not result["why"]:
        result["status"], result["why"] = "failed", f"{wrong} lines that are no JSON"
    return result
