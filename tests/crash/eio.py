#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""eio.py TOOL SOURCE BUILD - a disk that answers EIO to writes for a while, below ext4 and XFS.

nbdkit's error filter fails all writes as long as a file exists; nbdfuse makes a file of its export,
and a loop device lies on that. The tool removes the file once a sync has failed. ext4 answers EIO to the sync, and 0 to the next one, although the
data is gone: so a segment must never be synced again. All that the log acknowledged must be there
when the file system was unmounted, and mounted again. The tool with the mutant, which syncs again,
must lose something.
"""
import os
import subprocess
import sys
import tempfile
import time

from rig import Disk, mutant_tool, need, SIZES, Tap, Unavailable

TOOL = sys.argv[1]
PROOF = os.environ.get("WEIR_PROOF", "slice")
ROUNDS = {"slice": 1, "full": 8, "soak": 50}[PROOF]


class Failing:
    """A device whose writes fail while `fail` is on."""

    def __init__(self, kind):
        self.base = tempfile.mkdtemp(prefix="weir-eio-")
        self.trigger = os.path.join(self.base, "fail")
        self.place = os.path.join(self.base, "fuse")
        self.file = os.path.join(self.place, "disk")
        self.processes, self.disk = [], None
        os.mkdir(self.place)
        try:
            socket = os.path.join(self.base, "socket")
            self.start("nbdkit", "-f", "-U", socket, "--filter=error", "memory",
                       f"size={SIZES[kind] + (16 << 20)}", "error-pwrite=EIO",
                       "error-pwrite-rate=100%", f"error-file={self.trigger}")
            self.wait_for(socket)
            self.start("nbdfuse", self.file, f"nbd+unix:///?socket={socket}")
            self.wait_for(self.file)
            self.disk = Disk(kind, image=self.file)
        except Exception:
            self.close()
            raise

    def start(self, *command):
        """Starts a server; it ends in close()."""
        self.processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL))

    def wait_for(self, path):
        """Until a server has made its file."""
        for _ in range(500):
            if os.path.exists(path):
                return
            if any(process.poll() is not None for process in self.processes):
                break
            time.sleep(0.02)
        raise Unavailable("nbdkit or nbdfuse does not start here")

    def fail(self, on):
        """From now on writes fail, or do not."""
        if on:
            with open(self.trigger, "w", encoding="utf-8"):
                pass
        elif os.path.exists(self.trigger):
            os.unlink(self.trigger)

    def close(self):
        self.fail(False)
        if self.disk:
            self.disk.close()
        subprocess.run(["umount", self.file], check=False, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
        subprocess.run(["rm", "-rf", self.base], check=False)


class Writer:
    """The log's writer, one order at a time."""

    def __init__(self, tool, log, sync, **healing):
        self.process = subprocess.Popen([tool, "log", log, sync], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **healing))
        self.counts = {"acked": 0}
        self.process.stdout.readline()

    def order(self, line):
        """Returns the answer: 0 or -errno."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        self.counts = {name: int(value) for name, value in zip(answer[2::2], answer[3::2])}
        return int(answer[1])

    def close(self):
        self.process.communicate("q\n", timeout=60)


def read_back(log):
    """Returns (batches in order of reading, counts)."""
    done = subprocess.run([TOOL, "read", log], stdout=subprocess.PIPE, text=True, check=False,
                          timeout=60)
    batches, _, counts = done.stdout.partition("|")
    words = counts.split()
    if done.returncode or not words:
        raise AssertionError(done.stdout[-200:])
    return [int(word) for word in batches.split()], dict(zip(words[::2], map(int, words[1::2])))


def one_round(tool, failing, sync, number):
    """Returns (what is wrong or None, whether the file system took writes again, the counts)."""
    log = os.path.join(failing.disk.place, f"log{number}")
    writer = Writer(tool, log, sync, WEIR_TRIGGER=failing.trigger)
    writer.order("b 3")
    durable = writer.counts["acked"]
    if sync == "interval":
        writer.order("s")
        writer.order("b 4")
    failing.fail(True)
    if writer.order("b 1" if sync == "batch" else "s") == 0 and sync == "batch":
        durable = writer.counts["acked"]
    failing.fail(False)
    revived = writer.order("b 3") == 0
    if sync == "interval":
        revived = writer.order("s") == 0 and revived
    if revived and not writer.counts["unsynced"] or sync == "batch":
        durable = writer.counts["acked"]
    counts = writer.counts
    writer.close()
    failing.disk.umount()
    failing.disk.mount()
    batches, found = read_back(log)
    if batches[:durable] != list(range(1, durable + 1)):
        return f"{durable} acknowledged, read {batches}", revived, counts
    if len(set(batches)) != len(batches) or sorted(batches) != batches:
        return f"not once and in order: {batches}", revived, counts
    if found["gaps"]:
        return f"gaps: {batches}", revived, counts
    return None, revived, counts


def forgets(failing):
    """Whether a second sync answers 0 after EIO, and the data is gone: ext4 is known for that."""
    path = os.path.join(failing.disk.place, "probe")
    with open(path, "wb") as file:
        file.write(b"old" + bytes(8189))
        file.flush()
        os.fsync(file.fileno())
    failing.fail(True)
    answers = subprocess.run([TOOL, "sync", path], stdout=subprocess.PIPE, text=True,
                             check=False).stdout.strip()
    failing.fail(False)
    failing.disk.umount()
    failing.disk.mount()
    with open(path, "rb") as file:
        return answers == "-5 0" and file.read(3) == b"old", answers


def all_rounds(tool, kind, rounds):
    """Returns (what is wrong or None, counts of what happened)."""
    seen = {"rounds": 0, "poisoned": 0, "rescued": 0, "revived": 0}
    failing = Failing(kind)
    try:
        failing.disk.mount()
        for number in range(rounds):
            for sync in ("batch", "interval"):
                wrong, revived, counts = one_round(tool, failing, sync, f"{sync}{number}")
                seen["rounds"] += 1
                seen["revived"] += revived
                seen["poisoned"] += counts["poisoned"]
                seen["rescued"] += counts["rescued"]
                if wrong:
                    return f"sync={sync}: {wrong}", seen
        return None, seen
    finally:
        failing.close()


def main():
    tap = Tap(4)
    promise = "the case is real: ext4 answers EIO to a sync, then 0, and the data is gone"
    programs = ("losetup", "nbdkit", "nbdfuse", "umount")
    try:
        need("mkfs.ext4", *programs)
        failing = Failing("ext4")
        try:
            failing.disk.mount()
            real, answers = forgets(failing)
        finally:
            failing.close()
        tap.tell(real, promise, f"the syncs answered {answers}")
    except Unavailable as missing:
        tap.skip(promise, missing)
    for kind in ("ext4", "xfs"):
        promise = f"EIO from a sync on {kind}: what was acknowledged is there, in order"
        try:
            need("mkfs." + kind, *programs)
            wrong, seen = all_rounds(TOOL, kind, ROUNDS)
            good = wrong is None and seen["poisoned"] > 0 and (
                kind == "xfs" or (seen["rescued"] > 0 and seen["revived"] == seen["rounds"]))
            tap.tell(good, promise, wrong or f"it did not come to it: {seen}")
            print(f"# figure crash-eio | rounds with EIO on {kind} | {seen['rounds']} | 50")
            print(f"# figure crash-eio | segments poisoned on {kind} | {seen['poisoned']} |")
            print(f"# figure crash-eio | batches rescued on {kind} | {seen['rescued']} |")
        except Unavailable as missing:
            tap.skip(promise, missing)
    promise = "a writer that syncs once more after EIO is caught on ext4"
    try:
        need("mkfs.ext4", *programs)
        with mutant_tool("a sync is tried again after EIO") as tool:
            wrong, seen = all_rounds(tool, "ext4", 1)
        tap.tell(wrong is not None, promise, f"all was there: {seen}")
    except Unavailable as missing:
        tap.skip(promise, missing)
    return tap.bad != 0


if __name__ == "__main__":
    sys.exit(main())
