#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""readme_test.py ROOT - what README shows is what the tests compile. TAP."""
import os
import re
import sys

root = sys.argv[1]


def read(path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


readme = read("README.md")
failed = number = 0


def check(true, name):
    global failed, number
    number += 1
    failed += not true
    print(f"{'ok' if true else 'not ok'} {number} {name}")


blocks = re.findall(r"^```c\n(.*?)^```", readme, re.M | re.S)
# The example is shown without its two opening comments.
hello = re.sub(r"\A(/\*.*?\*/\n)+", "", read("tests/examples/hello.c"), flags=re.S)
check(hello in blocks, "README shows tests/examples/hello.c as it is compiled")
commands = re.findall(r"^(?:    )?sh (tools/\S+\.sh)", readme, re.M)
check(commands[:2] == ["tools/quickstart.sh", "tools/check.sh"],
      "README begins with the two commands")
first = re.search(r"tools/quickstart\.sh", readme)
check(first and readme[:first.start()].count("\n") < 12, "the two commands stand at its top")
for link in sorted(set(re.findall(r"\]\(([^)#:]+)\)", readme))):
    check(os.path.exists(os.path.join(root, link)), f"README's link to {link} leads somewhere")
print(f"1..{number}")
sys.exit(bool(failed))
