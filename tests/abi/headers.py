#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""headers.py INCLUDE GENERATED - each installed header alone, in every language. TAP."""
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

INCLUDE, GENERATED = sys.argv[1:3]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"]
LANGUAGES = [("c", "c99"), ("c", "c11"), ("c", "c17"), ("c", "gnu99"), ("c++", "c++11"),
             ("c++", "c++14"), ("c++", "c++17"), ("c++", "c++20")]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


def compiles(job):
    header, compiler, language, standard, place = job
    extra = ["-Wstrict-prototypes"] if language == "c" else []
    # A header that is its own only line; twice, for the guard.
    source = os.path.join(place, f"{header}-{standard}.{'c' if language == 'c' else 'cc'}")
    with open(source, "w", encoding="utf-8") as file:
        file.write(f"#include <weir/{header}>\n#include <weir/{header}>\n"
                   f"int weir_header_test_unit;\n")
    done = subprocess.run(
        [compiler, "-x", language, f"-std={standard}", "-fsyntax-only", *WARNINGS, *extra,
         "-I", INCLUDE, "-I", GENERATED, source],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0, done.stdout


def has_language(compiler, language):
    done = subprocess.run([compiler, "-x", language, "-fsyntax-only", "-"],
                          input="#include <stddef.h>", stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.returncode == 0


def main():
    headers = sorted(os.listdir(os.path.join(INCLUDE, "weir")))
    headers = [name for name in headers if name.endswith(".h")] + ["version.h"]
    number = failures = 0
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        jobs = [(header, compiler, language, standard, place)
                for compiler in COMPILERS for language, standard in LANGUAGES
                if has_language(compiler, language) for header in headers]
        for job, (good, text) in zip(jobs, pool.map(compiles, jobs)):
            number += 1
            failures += not good
            if not good:
                print("\n".join("# " + line for line in text.splitlines()[:10]))
            print(f"{'ok' if good else 'not ok'} {number} {job[0]} alone as {job[3]} ({job[1]})")
    print(f"1..{number}")
    return 1 if failures or not number else 0


sys.exit(main())
