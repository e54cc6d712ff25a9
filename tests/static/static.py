#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""static.py ROOT BUILD [--part=NAME] - what can be said of the code without running it. TAP.

Parts: calls (what is reachable from a push), rseq (what of the rseq area is written), hardening
(of the binaries of BUILD, and of each compilation), all three in gates.py; gcc (-fanalyzer),
cppcheck, clang-tidy. Each has mutants that it must catch. What the analysers say is kept in
BUILD/static by the contents of what they looked at, so that only what has changed is looked at
again; a slice stops clang-tidy when its time is over and says how many files it has answers for.
Which come first changes by the hour.
"""
import concurrent.futures
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gates  # noqa: E402
from tap import ended, figure, skip, tap  # noqa: E402
from tree import COMMANDS, ROOT, arguments  # noqa: E402

PART = "".join(word[7:] for word in sys.argv[3:] if word.startswith("--part="))
OUT = gates.OUT
MODE = os.environ.get("WEIR_PROOF", "slice")
SECONDS = float(os.environ.get("WEIR_PROOF_SECONDS", "20"))
SETTINGS = os.path.join(ROOT, "tests", "static", "clang-tidy.yaml")

# Tool, file, what it says there, why that is no finding. Each must still be said (by the version
# that Debian 12 has), or its line here goes.
VERSIONS = {"gcc": r"\b12\.\d+\.\d+", "cppcheck": r"\b2\.10\b", "clang-tidy": r"\b14\.0"}
FALSE = [
    ("gcc", "tools/weir/text.c", r"leak of .<unknown>.", "the text is its caller's"),
    ("gcc", "tools/weir/ingest.c", r"leak of .<unknown>.", "an array whose fields lead to others"),
    ("gcc", "tools/weir/ingest.c", r"leak of .name.", "the list of inputs holds it"),
    ("gcc", "tests/support/disk.c", r"malloc-leak", "the disk holds it; or the process ends"),
    ("gcc", "tests/sim/core/disk.c", r"dereference of NULL .due.",
     "only open() and its like have no file, and so nothing due"),
    ("cppcheck", "engine/api/engine.c", r"uninitvar:.*&ignored", "open_hosted() only writes it"),
    ("clang-tidy", "engine/base/units.c", r"DivideZero",
     "a common divisor is not 0, nor above what it divides"),
    ("clang-tidy", "tools/weir/args.c", r"CallAndMessage",
     "row[j - 1] was written by the turn before"),
    ("clang-tidy", "tools/weir/ingest.c", r"leak of memory pointed to by 'ingest\.inputs'",
     "the process ends"),
    ("clang-tidy", "tests/sim/core/disk.c", r"loaded from variable 'due'",
     "only open() and its like have no file, and so nothing due"),
    ("clang-tidy", "tests/sim/core/run.c", r"CallAndMessage",
     "a job that is collected was begun, which sets its descriptor"),
]
MUTANTS = {
    "gcc": [
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tchar *p = __builtin_malloc(names->bytes "
         "+ 1);\n\tnames->by_id = (void *)p;\n\t__builtin_free(p);\n\t__builtin_free(p);"),
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tchar *p = __builtin_malloc(8);\n"
         "\tif (p)\n\t\t*p = 0;"), # a leak
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tchar *p = __builtin_malloc(8);\n"
         "\tif (!p)\n\t\treturn;\n\t__builtin_free(p);\n"
         "\t*(volatile char *)p = 1;"), # used when freed
    ],
    "cppcheck": [
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tchar text[4];\n\ttext[5] = 0;\n"
         "\t(void)text;"),
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tint unset;\n\tif (unset)\n\t\treturn;"),
    ],
    "clang-tidy": [
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tif (memcmp(names, names, 8) == 1)\n"
         "\t\treturn;"), # bugprone
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tint *p = NULL;\n\t*p = 1;"), # analyzer
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tif (signal(2, SIG_DFL) == SIG_ERR || "
         "system(\"x\"))\n\t\treturn;"), # cert
        ("names->by_id = NULL;", "names->by_id = NULL;\n\tpthread_setcanceltype("
         "PTHREAD_CANCEL_ASYNCHRONOUS, NULL);"), # concurrency
    ],
}
MUTATED = "engine/log/names.c"
HEADERS = "#include <pthread.h>\n#include <signal.h>\n#include <stdlib.h>\n#include <string.h>\n"


def key_of(tool, path, text):
    """Changes with the tool, its settings, the source and every header of the project."""
    digest = hashlib.sha256((" ".join(command_of(tool, path, path)[0]) + text).encode())
    names = [path] + [name for place in ("engine/*", "include/weir", "tools/weir", "tests/sim/core",
                                   "tests/support")
                      for name in sorted(glob.glob(os.path.join(ROOT, place, "*.h")))]
    for name in names + [SETTINGS]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:24]


def command_of(tool, path, source):
    """(words, which of its lines are findings)."""
    if tool == "gcc":
        return ["gcc", "-fanalyzer", "-Wno-analyzer-too-complex", *arguments(path), "-O1", "-c",
                source, "-o", "/dev/null"], r"warning:.*analyzer|error:"
    if tool == "cppcheck":
        return ["cppcheck", "--enable=warning,portability,performance", "--std=c11",
                "--language=c", "--suppress=*:/usr/include/*", "--inline-suppr", "-q",
                *arguments(path, ("-I", "-D")), "-D_Noreturn=__attribute__((noreturn))",
                "--suppress=duplicateAssignExpression", # two unknown things, set to 0 each
                "--template={file}:{line}: warning: {id}: {message}", source], r"warning:|error:"
    return ["clang-tidy", "--quiet", "--config-file=" + SETTINGS, "--header-filter=.*", source,
            "--", *arguments(path, ("-I", "-D", "-std"))], r"(warning|error):"


def analyse(tool, path, source):
    """What one tool says about one file."""
    words, wanted = command_of(tool, path, source)
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    return sorted({line.replace(ROOT + "/", "") for line in
                   (done.stdout + done.stderr).splitlines() if re.search(wanted, line)})


def answer(tool, path, kept, until):
    """The same, kept; None where there is no time left."""
    if os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            return file.read().splitlines()
    if time.monotonic() > until:
        return None
    found = analyse(tool, path, os.path.join(ROOT, path))
    with open(kept + ".new", "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in found))
    os.rename(kept + ".new", kept)
    return found


def answers(tool):
    """{file: what the tool says about it} of those that there was time for."""
    seconds = max(30, SECONDS * 1.5) if MODE == "slice" and tool == "clang-tidy" else 1e9
    until = time.monotonic() + seconds
    version = subprocess.run([tool, "--version"], capture_output=True, text=True,
                             check=False).stdout
    hour = time.strftime("%j%H")
    paths = sorted(COMMANDS, key=lambda path: hashlib.sha256((path + hour).encode()).hexdigest())
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        said = pool.map(lambda path: answer(tool, path, os.path.join(
            OUT, f"{tool}-{key_of(tool, path, version)}"), until), paths)
        return version, {path: lines for path, lines in zip(paths, said) if lines is not None}


def split_false(tool, said):
    """(findings, entries of FALSE that match nothing any more)."""
    entries = [entry for entry in FALSE if entry[0] == tool]
    findings, hit = set(), set()
    for line in {line for lines in said.values() for line in lines}:
        match = [entry for entry in entries
                 if line.startswith(entry[1] + ":") and re.search(entry[2], line)]
        hit.update(match)
        if not match:
            findings.add(line)
    return sorted(findings), [f"{entry[1]}: {entry[2]}" for entry in entries
                              if entry not in hit and entry[1] in said]


def analyser(tool):
    sentence = f"{tool} finds nothing in the engine, the command and the simulator"
    if not shutil.which(tool):
        skip(sentence, f"there is no {tool} (package {tool})")
        return
    version, said = answers(tool)
    findings, idle = split_false(tool, said)
    tap(not findings, f"{sentence}: {len(said)} of {len(COMMANDS)} files looked at", findings[:30])
    listed = [entry for entry in FALSE if entry[0] == tool]
    if re.search(VERSIONS[tool], version):
        tap(not idle, f"{tool}: each of {len(listed)} findings listed as none is still made", idle)
    figure("static", f"{tool}: files looked at", len(said), len(COMMANDS))
    figure("static", f"{tool}: findings but {len(listed)} that are none", len(findings), 0)
    with open(os.path.join(ROOT, MUTATED), encoding="utf-8") as file:
        text = file.read()
    message = re.compile(r"^\S+?:\d+:(\d+:)?")
    killed, plain = 0, {message.sub("", line) for line in said.get(MUTATED, ())}
    for old, new in MUTANTS[tool]:
        changed = os.path.join(OUT, "mutant-" + os.path.basename(MUTATED))
        with open(changed, "w", encoding="utf-8") as file:
            file.write(HEADERS + text.replace(old, new, 1))
        # Neither what it says of the file anyway, nor that it does not compile.
        found = [line for line in analyse(tool, MUTATED, changed) if old in text
                 and message.sub("", line) not in plain
                 and ("error:" not in line or "warnings-as-errors" in line)]
        killed += bool(found)
        tap(bool(found), f"{tool}: a bug planted in {MUTATED} is found: "
            f"{new.split(chr(9))[-1][:50]}", found[:1])
    figure("static", f"{tool}: mutants caught", killed, len(MUTANTS[tool]))


def main():
    os.makedirs(OUT, exist_ok=True)
    parts = {
        "calls": gates.run_calls,
        "rseq": gates.run_rseq,
        "hardening": gates.hardening,
        "gcc": lambda: analyser("gcc"),
        "cppcheck": lambda: analyser("cppcheck"),
        "clang-tidy": lambda: analyser("clang-tidy"),
    }
    for name, run in parts.items():
        if PART in ("", name):
            run()
    return ended()


if __name__ == "__main__":
    sys.exit(main())
