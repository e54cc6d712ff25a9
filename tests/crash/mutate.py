#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutate.py - the engine's log with one line broken, linked with a test of this folder.

One file is compiled a second time, changed, and linked before the library, whose own object of it
is then left out. Nothing is written into the tree.
"""
import os
import shlex
import subprocess
import tempfile


class Mutant:
    """What is changed: a text of one file, which must be there exactly once."""

    def __init__(self, name, file, old, new):
        self.name, self.file, self.old, self.new = name, file, old, new


class Builder:
    """Builds mutants. @made: the library, and by name the archives that hold a main()."""

    def __init__(self, compiler, root, build, library, mains):
        self.compiler, self.root, self.build = shlex.split(compiler), root, build
        self.library, self.mains = library, mains
        self.base = tempfile.mkdtemp(prefix="weir-mutant-")

    def make(self, main, mutant):
        """Returns the path of a program; raises when it cannot be built."""
        with open(os.path.join(self.root, mutant.file), encoding="utf-8") as file:
            text = file.read()
        if text.count(mutant.old) != 1:
            raise AssertionError(f"{mutant.name}: {mutant.file} has its text "
                                 f"{text.count(mutant.old)} times")
        source = os.path.join(self.base, "mutant.c")
        program = os.path.join(self.base, "program")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text.replace(mutant.old, mutant.new))
        include = [os.path.join(self.root, "engine"), os.path.join(self.root, "include"),
                   os.path.join(self.build, "include")]
        command = [*self.compiler, "-std=gnu11", "-O1", "-w", "-D_GNU_SOURCE",
                   *[f"-I{path}" for path in include], source, "-Wl,--whole-archive",
                   *self.mains[main], "-Wl,--no-whole-archive", self.library, "-lurcu-bp",
                   "-lurcu-cds", "-lpthread", "-o", program]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode:
            raise AssertionError(f"{mutant.name}: {done.stdout[-600:]}")
        return program

    def close(self):
        subprocess.run(["rm", "-rf", self.base], check=False)


NO_SYNC = Mutant("no fdatasync", "engine/log/turn.c",
                 "\t\tr = wr_sys.fdatasync(segment->fd);\n", "\t\tr = 0;\n")
SYNC_AGAIN = Mutant("a sync is tried again after EIO", "engine/log/turn.c",
                    "\twhile (r == -EINTR);\n\tif (r)\n\t\treturn r;\n\tsegment->synced",
                    "\twhile (r == -EINTR);\n\tif (r)\n\t\tr = wr_sys.fdatasync(segment->fd);\n"
                    "\tif (r)\n\t\treturn r;\n\tsegment->synced")
