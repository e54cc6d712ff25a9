#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""baseline.py INCLUDE GENERATED SHARED BASELINE [--write] - types and functions of the library did
not change under programs that were compiled before. TAP; skipped without abigail-tools.

--write makes the baseline anew: see CONTRIBUTING.md.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

INCLUDE, GENERATED, SHARED, BASELINE = sys.argv[1:5]


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)


def describe(path):
    """Writes what the library offers, without this machine's paths."""
    done = run("abidw", "--headers-dir", os.path.join(INCLUDE, "weir"),
               "--headers-dir", os.path.join(GENERATED, "weir"), "--drop-private-types",
               "--exported-interfaces-only", "--no-show-locs", "--no-corpus-path",
               "--no-comp-dir-path", "--out-file", path, SHARED)
    if done.returncode != 0 or not os.path.exists(path):
        return done.stdout or "abidw wrote nothing"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        text = re.sub(r" comp-dir-path='[^']*'", "", text)
        file.write(re.sub(r" path='[^']*?((engine|include)/[^']*)'", r" path='\1'", text))
    return ""


def main():
    if not shutil.which("abidw") or not shutil.which("abidiff"):
        print("1..0 # SKIP abigail-tools is not installed")
        return 0
    if "--write" in sys.argv:
        trouble = describe(BASELINE)
        print(trouble or f"wrote {os.path.basename(BASELINE)}")
        return 1 if trouble else 0
    with tempfile.TemporaryDirectory() as place:
        fresh = os.path.join(place, "fresh.abi")
        trouble = describe(fresh)
        # 4: something changed; 8: incompatibly. Functions that were added are welcome.
        done = None if trouble else run("abidiff", "--no-added-syms", BASELINE, fresh)
        good = done is not None and done.returncode == 0
        if not good:
            text = trouble or done.stdout
            print("\n".join("# " + line for line in text.splitlines()[:60]))
        print(f"{'ok' if good else 'not ok'} 1 the binary interface is that of the baseline")
    print("1..1")
    return 0 if good else 1


sys.exit(main())
