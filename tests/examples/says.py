#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""says.py PROGRAM TEXT - the program ends with 0 and prints exactly this text."""
import subprocess
import sys

done = subprocess.run(sys.argv[1:2], stdout=subprocess.PIPE, text=True, check=False, timeout=50)
if done.returncode != 0 or done.stdout != sys.argv[2]:
    print(f"status {done.returncode}, said {done.stdout!r} instead of {sys.argv[2]!r}")
    sys.exit(1)
