#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py SOURCE BUILD - the soak program against the library built in every sanitized way. TAP.

Each way has a build tree of its own below BUILD, of the library alone, which is kept: what was built
is not built again. No suppressions. WEIR_PROOF says how much:

    slice   MemorySanitizer, some pushes, with and without restartable sequences
    full    all ways, the figures of soak divided by 10
    soak    10^9 pushes as released, 10^8 under each sanitizer, 10^7 under valgrind

WEIR_SOAK=NAME[,NAME] chooses ways; WEIR_SOAK_PUSHES=N sets the number for each of them.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NORSEQ = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
SANITIZED = ["-Dbuildtype=debugoptimized", "-Db_lundef=false", "-Dhot_asserts=true"]
SLICE = 200000


class Way:
    def __init__(self, name, compiler, options, flags, asked, environment=None, wrapper=None,
                 norseq=True, tree=None):
        self.name, self.compiler, self.flags, self.asked = name, compiler, flags, asked
        self.options = options + (["-Db_sanitize=" + flags] if flags else [])
        self.environment = environment or {}
        self.wrapper = wrapper or []
        self.norseq, self.tree = norseq, tree or name


WAYS = [
    Way("native", "cc", ["-Dbuildtype=release"], "", 10**9),
    Way("msan", "clang", SANITIZED, "memory", 10**8,
        {"MSAN_OPTIONS": "halt_on_error=1:exitcode=86"}),
    Way("tsan", "cc", SANITIZED, "thread", 10**8, {"TSAN_OPTIONS": "halt_on_error=1:exitcode=86"}),
    Way("asan-ubsan", "cc", SANITIZED, "address,undefined", 10**8,
        {"ASAN_OPTIONS": "detect_stack_use_after_return=1:exitcode=86",
         "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=86"}),
    # It registers no thread with the kernel: what runs is the fallback ring.
    Way("valgrind", "cc", ["-Dbuildtype=release"], "", 10**7, None,
        ["valgrind", "-q", "--error-exitcode=86", "--fair-sched=yes", "--leak-check=full",
         "--errors-for-leak-kinds=definite"], False, "native"),
]


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def build(way, source, place, log):
    """The program, or None."""
    tree = os.path.join(place, way.tree)
    env = dict(os.environ, CC=way.compiler)
    if not os.path.exists(os.path.join(tree, "build.ninja")):
        shutil.rmtree(tree, ignore_errors=True)
        if subprocess.run(["meson", "setup", tree, source, "-Dtests=disabled", "-Dbenches=disabled",
                           "-Dman=disabled", "-Dallocator=libc", *way.options], env=env, stdout=log,
                          stderr=subprocess.STDOUT, check=False).returncode:
            return None
    if subprocess.run(["ninja", "-C", tree, "engine/libweir.a"], stdout=log,
                      stderr=subprocess.STDOUT, check=False).returncode:
        return None
    program = os.path.join(tree, "soak")
    command = [way.compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra"]
    if way.flags:
        command += ["-fsanitize=" + way.flags, "-fno-omit-frame-pointer"]
    command += ["-I" + os.path.join(source, "include"), "-I" + os.path.join(tree, "include"),
                os.path.join(HERE, "soak.c"), os.path.join(tree, "engine/libweir.a"),
                *shlex.split(output_of("pkg-config", "--libs", "liburcu-bp", "liburcu-cds")),
                "-pthread", "-o", program]
    if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
        return None
    return program


class Tap:
    def __init__(self):
        self.n, self.bad = 0, 0

    def line(self, good, what, skip=None):
        self.n += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}" +
              (f" # SKIP because {skip}" if skip else ""), flush=True)


def run(tap, way, program, pushes, without_rseq):
    """Returns how many pushes there were, if all was well."""
    how = "valgrind, which has the fallback ring alone" if not way.norseq else \
        way.name + (" without restartable sequences" if without_rseq else "")
    env = dict(os.environ, **way.environment)
    env.pop("GLIBC_TUNABLES", None)
    if without_rseq:
        env.update(NORSEQ)
    done = subprocess.run(way.wrapper + [program, str(pushes)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", env=env, check=False)
    figures = re.search(r"^# pushes (\d+) .*seconds ([\d.]+)$", done.stdout, re.MULTILINE)
    good = done.returncode == 0 and figures and int(figures.group(1)) == pushes and \
        "not ok" not in done.stdout
    tap.line(bool(good), f"{pushes} pushes, {how}: all there, in order, and nothing to report")
    if figures:
        print(figures.group(0))
    if not good:
        print("".join(f"#   {line}\n" for line in done.stdout.splitlines()[-60:]), end="")
        return 0
    return pushes


def skipped(way):
    for need in [way.compiler] + way.wrapper[:1]:
        if not shutil.which(need):
            return f"{need} is not there"
    return None


def main():
    source, place = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
    level = os.environ.get("WEIR_PROOF", "slice")
    chosen = os.environ.get("WEIR_SOAK", "msan" if level == "slice" else "").split(",")
    tap = Tap()
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "build.log"), "w", encoding="utf-8") as log:
        for way in WAYS:
            if chosen != [""] and way.name not in chosen:
                continue
            asked = way.asked
            pushes = {"slice": SLICE, "full": asked // 10, "soak": asked}[level]
            pushes = int(os.environ.get("WEIR_SOAK_PUSHES", pushes))
            why = skipped(way)
            if why:
                tap.line(True, f"pushes under {way.name}", why)
                continue
            program = build(way, source, place, log)
            if not program:
                tap.line(False, f"the library and the program are built for {way.name}")
                log.flush()
                with open(log.name, encoding="utf-8", errors="replace") as file:
                    for line in file.read().splitlines()[-20:]:
                        print(f"#   {line}")
                continue
            reached = 0
            if way.norseq:
                # A tenth of them on fallback rings, which under valgrind are all there is.
                reached += run(tap, way, program, pushes - pushes // 10, False)
                reached += run(tap, way, program, pushes // 10, True)
            else:
                reached += run(tap, way, program, pushes, False)
            print(f"# figure soak | pushes under {way.name} | {reached} | {asked}", flush=True)
    print(f"1..{tap.n}")
    return 1 if tap.bad else 0


if __name__ == "__main__":
    sys.exit(main())
