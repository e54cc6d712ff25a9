#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rig.py - file systems on loop devices, for power.py and eio.py: made, mounted, cut off."""
import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "mutants"))
import mutant  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
# _IOR('X', 125, __u32): both file systems know it; 2: without writing their journal first.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
MNT_DETACH = 2
SIZES = {"ext4": 48 << 20, "xfs": 304 << 20}


class Unavailable(Exception):
    """Something of the machine is missing."""


def run(*command):
    """Returns what a command printed; raises when it failed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=60)
    if done.returncode:
        raise Unavailable(f"{command[0]}: {done.stdout.strip()[-200:]}")
    return done.stdout.strip()


def need(*programs):
    """What must be there, or the sentence that says what is not."""
    if os.geteuid() != 0:
        raise Unavailable("mounting needs root")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path
    for program in programs:
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed")


class Disk:
    """A file system on a loop device over a file."""

    def __init__(self, kind, image=None, options=()):
        self.kind, self.loop, self.mounted = kind, None, False
        self.base = tempfile.mkdtemp(prefix="weir-crash-")
        self.place = os.path.join(self.base, "mnt")
        os.mkdir(self.place)
        self.own_image = image is None
        self.image = image
        try:
            if image is None:
                # In memory when there is room: the disk below must not be what is measured.
                where = "/dev/shm" if os.path.isdir("/dev/shm") else self.base
                free = os.statvfs(where)
                if free.f_bavail * free.f_frsize < SIZES[kind]:
                    where = self.base
                handle, self.image = tempfile.mkstemp(prefix="weir-disk-", dir=where)
                os.ftruncate(handle, SIZES[kind])
                os.close(handle)
            self.loop = run("losetup", "-f", "--show", self.image)
            if kind == "ext4":
                run("mkfs.ext4", "-q", "-F", *options, self.loop)
            else:
                run("mkfs.xfs", "-q", "-f", *options, self.loop)
        except Exception:
            self.close()
            raise

    def mount(self):
        """Mounts it; what the journal holds is replayed."""
        if LIBC.mount(self.loop.encode(), self.place.encode(), self.kind.encode(), 0, None):
            raise Unavailable(f"mount {self.kind}: {os.strerror(ctypes.get_errno())}")
        self.mounted = True

    def cut(self):
        """Pulls the plug: nothing more reaches the device."""
        handle = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(handle)

    def sync(self):
        """Makes all that was done to it durable."""
        handle = os.open(self.place, os.O_RDONLY)
        LIBC.syncfs(handle)
        os.close(handle)

    def umount(self):
        """Unmounts it, and waits until the kernel has forgotten it: as long as anybody has it open,
        another mount would be the same one, shut down as it is."""
        seen = f"/sys/fs/{self.kind}/{os.path.basename(self.loop or 'none')}"
        for _ in range(1000):
            if self.mounted and not LIBC.umount2(self.place.encode(), 0):
                self.mounted = False
            if not self.mounted and not os.path.exists(seen):
                return
            time.sleep(0.01)
        LIBC.umount2(self.place.encode(), MNT_DETACH)
        self.mounted = False
        raise Unavailable("somebody keeps the file system in use")

    def close(self):
        try:
            self.umount()
        except Unavailable as why:
            print(f"# {why}")
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)
        if self.own_image and self.image and os.path.exists(self.image):
            os.unlink(self.image)
        shutil.rmtree(self.base, ignore_errors=True)


@contextlib.contextmanager
def mutant_tool(name):
    """The tool of the command line, TOOL SOURCE BUILD, with a mutant of crash.mutants in it."""
    program, source, build = sys.argv[1:4]
    entry, = (one for one in mutant.read(os.path.join(HERE, "crash.mutants")) if one.name == name)
    program = os.path.relpath(program, build)
    with tempfile.TemporaryDirectory(prefix="weir-mutant-") as place:
        yield mutant.make(mutant.Tree(source, build).read_ninja([program]), program, entry, place)


class Tap:
    """Counts and prints lines of TAP."""

    def __init__(self, plan):
        self.count, self.bad = 0, 0
        print(f"1..{plan}", flush=True)

    def tell(self, good, promise, why=""):
        self.count += 1
        self.bad += not good
        if not good and why:
            print(f"# {why}")
        print(f"{'ok' if good else 'not ok'} {self.count} - {promise}", flush=True)

    def skip(self, promise, why):
        self.count += 1
        print(f"ok {self.count} - {promise} # SKIP because {why}", flush=True)
