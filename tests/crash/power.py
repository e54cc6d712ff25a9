#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""power.py TOOL SOURCE BUILD - cuts the power of file systems that a log is written to.

An engine writes with sync=batch to ext4 and XFS on loop devices. At a random moment the file system
is shut down without its journal being written, mounted again, and read: what was acknowledged must
be there. The next life goes on in the same log. The tool with the mutant, which syncs nothing, must
lose something.
"""
import os
import random
import subprocess
import sys
import time

from rig import Disk, mutant_tool, need, Tap, Unavailable

TOOL = sys.argv[1]
PROOF = os.environ.get("WEIR_PROOF", "slice")
SECONDS = float(os.environ.get("WEIR_PROOF_SECONDS", "20"))
CUTS = {"slice": 40, "full": 60, "soak": 500}[PROOF]
OPTIONS = "sync=batch&segment=64KiB"


def acked_by_now(table):
    """The first array of the table, as victim.h has it."""
    if not os.path.exists(table):
        return b""
    with open(table, "rb") as file:
        return file.read(8 * 8192)


def one_cut(tool, disk, table, wait):
    """Returns (sentence, records acknowledged): "ok", or what is wrong."""
    log = os.path.join(disk.place, "log")
    writer = subprocess.Popen([tool, "write", log, OPTIONS, table], stderr=subprocess.DEVNULL)
    time.sleep(wait)
    acked = acked_by_now(table)
    disk.cut()
    writer.kill()
    writer.wait()
    if acked:
        # What was acknowledged while the plug was pulled does not count: a sync that is under way
        # may answer 0 then, and a machine without power would not have heard it.
        with open(table, "r+b") as file:
            file.write(acked)
    disk.umount()
    disk.mount()
    done = subprocess.run([tool, "check", log, table], stdout=subprocess.PIPE, text=True,
                          check=False, timeout=60)
    lines = (done.stdout.splitlines() + ["died", "0"])[:2] if done.returncode in (0, 1) else \
        [f"the check ended with {done.returncode}", "0"]
    return lines[0], int(lines[1])


def cuts(tool, kind, most, until):
    """Returns (cuts, records acknowledged, what was wrong or None)."""
    disk, done, acked = Disk(kind), 0, 0
    table = os.path.join(disk.base, "table")
    try:
        disk.mount()
        while done < most and (time.time() < until or not done):
            sentence, more = one_cut(tool, disk, table, 0.005 + random.random() * 0.05)
            done, acked = done + 1, acked + more
            if sentence != "ok":
                return done, acked, sentence
            if done % 16 == 0:  # a new log
                subprocess.run(["rm", "-rf", os.path.join(disk.place, "log"), table], check=False)
                disk.sync()
        return done, acked, None
    finally:
        disk.close()


def main():
    tap = Tap(4)
    part = SECONDS / 10 if PROOF == "slice" else 3600
    for kind in ("ext4", "xfs"):
        promise = f"power cuts on {kind}: what was acknowledged under sync=batch is there"
        try:
            need("losetup", "mkfs." + kind)
            done, acked, wrong = cuts(TOOL, kind, CUTS, time.time() + part)
            tap.tell(wrong is None and acked > 0, promise, wrong or "nothing was acknowledged")
            print(f"# figure crash-power | power cuts on {kind} | {done} | 500")
            print(f"# figure crash-power | records acknowledged on {kind} | {acked} |")
        except Unavailable as missing:
            tap.skip(promise, missing)
    with mutant_tool("no fdatasync") as tool:
        catch(tap, tool)
    return tap.bad != 0


def catch(tap, mutant):
    """The mutant must lose something."""
    for kind in ("ext4", "xfs"):
        promise = f"a writer that does not sync is caught by a power cut on {kind}"
        try:
            need("losetup", "mkfs." + kind)
            done, acked, wrong = cuts(mutant, kind, 20, time.time() + 30)
            tap.tell(wrong is not None, promise, f"{done} cuts, {acked} records, all there")
        except Unavailable as missing:
            tap.skip(promise, missing)


if __name__ == "__main__":
    sys.exit(main())
