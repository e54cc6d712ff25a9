#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""exports.py INCLUDE SHARED STATIC MAN - exported names are the declared ones, no more, no less,
and the manual names them all. TAP."""
import os
import re
import subprocess
import sys

INCLUDE, SHARED, STATIC, MAN = sys.argv[1:5]
# What the C library's start files and the version script itself put there.
NOT_OURS = re.compile(r"^(WEIR_[0-9.]+|_init|_fini|__asan_.*|__odr_asan.*|__llvm_.*|__gcov_.*)$")
number = failures = 0


def report(names, label):
    global number, failures
    number += 1
    failures += bool(names)
    for name in sorted(names):
        print(f"# {name}")
    print(f"{'not ok' if names else 'ok'} {number} {label}")


def nm(*arguments):
    lines = subprocess.run(["nm", *arguments], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.splitlines()
    symbols = [line.split() for line in lines]
    return {parts[-1].split("@")[0] for parts in symbols
            if len(parts) >= 2 and parts[-2] in "TDBRVWC" and not NOT_OURS.match(parts[-1])}


declared = set()
for header in sorted(os.listdir(os.path.join(INCLUDE, "weir"))):
    if header.endswith(".h"):
        with open(os.path.join(INCLUDE, "weir", header), encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
        declared |= set(re.findall(r"^WEIR_API[^;({]*?\b(\w+)\(", text, re.M))

exported = nm("-D", "--defined-only", SHARED)
report(declared - exported, "every WEIR_API function is exported")
report(exported - declared, "nothing else is exported")
report({name for name in exported if not name.startswith("weir_")}, "exports begin with weir_")
# Static linking shares one namespace: whatever is global there must be ours by its prefix.
hidden = nm("--defined-only", "--extern-only", STATIC)
report({name for name in hidden if not re.match(r"(weir|wr)_", name)},
       "global names of the static library begin with weir_ or wr_")
with open(MAN, encoding="utf-8") as file:
    manual = set(re.findall(r"\b(weir_\w+)\(", file.read()))
report(declared - manual, "weir(3) names every function")
report(manual - declared, "weir(3) names no other")
report(set() if len(declared) >= 30 else {f"{len(declared)} declarations were found"},
       "the headers were read")
print(f"1..{number}")
sys.exit(1 if failures else 0)
