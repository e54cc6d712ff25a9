#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutant.py - programs with one file of the source changed, from the objects of a built tree.

It knows tables of mutants and the commands of a build: what sees the changed file is compiled again,
into a folder of its own, and a program is linked with those objects in the place of the tree's. The
tree and the source stay as they are. It runs such programs, and tells how they end. It does not know
what a mutant breaks, or how many there must be.

A table holds blocks with an empty line between two; a line that begins with # says something:

    mutant:    its name
    file:      where
    killed-by: the program that must fail, and its arguments; and whatever else a rung wants to know
    -          a line as it is there, a line that takes its place,
    +          or one that stays, with a blank before it. All old lines together stand there exactly
    @@         once; else the mutant is stale. This begins another place in the same file.
"""
import functools
import hashlib
import json
import os
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

# A program's own /tmp: what a killed test leaves there is gone with it. Only root can.
OWN_TMP = ["unshare", "-m", "sh", "-c", "exec 9<\"$0\" && mount -t tmpfs none /tmp && "
           "cd /tmp && exec /proc/self/fd/9 \"$@\""]
MEMORY = 4 << 30


class Unbuilt(Exception):
    """A mutant is stale, or no program could be made of it."""


class Skipped(Exception):
    """A program says why it runs nothing here."""


class Entry:
    """One mutant of a table."""

    def __init__(self, fields, hunks):
        self.fields, self.hunks = fields, hunks
        self.name, self.file = fields["mutant"], fields["file"]
        self.killer = fields.get("killed-by", "").split()

    def apply(self, source):
        """The changed text of its file. Raises Unbuilt when it is stale."""
        with open(os.path.join(source, self.file), encoding="utf-8") as file:
            lines = file.read().split("\n")
        for hunk in self.hunks:
            old, new = ([line[1:] for line in hunk if line[0] in kinds] for kinds in ("- ", "+ "))
            at = [i for i in range(len(lines)) if lines[i:i + len(old)] == old]
            if len(at) != 1 or not old:
                raise Unbuilt(f"stale: what it changes stands {len(at)} times in {self.file}: "
                              f"{' '.join(' '.join(old).split())[:80]}")
            lines[at[0]:at[0] + len(old)] = new
        return "\n".join(lines)


def read(path):
    """The mutants of a table."""
    entries, fields, hunks = [], {}, [[]]
    with open(path, encoding="utf-8") as file:
        for line in [*file.read().split("\n"), ""]:
            if not line and fields:
                entries.append(Entry(fields, hunks))
                fields, hunks = {}, [[]]
            elif line == "@@":
                hunks.append([])
            elif line.startswith(("-", "+", " ")):
                hunks[-1].append(line)
            elif line and not line.startswith("#"):
                if not re.match(r"[a-z-]+: ", line):
                    raise ValueError(f"{path}: not a line of a table: {line}")
                key, _, value = line.partition(":")
                fields[key] = value.strip()
    return entries


def stale(entries, source):
    """Why some of the entries do not apply any more."""
    found = []
    for entry in entries:
        try:
            entry.apply(source)
        except (Unbuilt, OSError) as why:
            found.append(f"{entry.name}: {why}")
    return found


class Tree:
    """What a build has made, and how: all paths but the source's are relative to the build."""

    def __init__(self, source, build):
        self.source, self.build = os.path.realpath(source), os.path.realpath(build)
        self.compile = {}   # object: its source, the words of its command
        self.sees = {}      # object: the files that it was made of
        self.archives = {}  # archive: its objects
        self.links = {}     # program: the words of its command

    def read_ninja(self, programs):
        """Learns all that from a build by ninja."""
        with open(os.path.join(self.build, "compile_commands.json"), encoding="utf-8") as file:
            self.compile = {c["output"]: (self.real(c["file"]), shlex.split(c["command"]))
                            for c in json.load(file)}
        at = None
        for line in self._ninja("-t", "deps").splitlines():
            if line and not line.startswith(" "):
                at = self.sees.setdefault(line.split(":")[0], set())
            elif line.strip() and not line.startswith("    /usr"):
                at.add(self.real(line.strip()))
        for name in programs:
            commands = self._ninja("-t", "commands", name).strip().splitlines()
            self.links[name] = shlex.split(commands[-1])
            for archived in re.findall(r"^rm -f \S+ && \S+ \w+ (.*)$", "\n".join(commands), re.M):
                archive, *objects = shlex.split(archived)
                self.archives[archive] = objects
        return self

    def _ninja(self, *arguments):
        return subprocess.run(["ninja", "-C", self.build, "--quiet", *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=True).stdout

    def real(self, path):
        return os.path.realpath(os.path.join(self.build, path))

    @functools.lru_cache(None)
    def digest(self, output):
        """That of one of its own objects."""
        return digest(os.path.join(self.build, output))


class Mutant:
    """The tree with @path (relative to the source) holding @text instead."""

    def __init__(self, tree, work, path, text):
        self.tree, self.work, self.over = tree, work, os.path.join(work, "over")
        self.file = os.path.join(self.over, path)
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(os.path.dirname(self.file))
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(text)
        self.real = os.path.realpath(os.path.join(tree.source, path))
        self.made = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.work, ignore_errors=True)

    def path(self, name):
        """An object, an archive or a program with the change in it: the tree's, if it has none."""
        if name not in self.made:
            self.made[name] = self._make(name, os.path.join(self.work, name.replace("/", "_")[-200:]))
        return self.made[name]

    def _make(self, name, to):
        if name in self.tree.compile:
            return self._compile(name, to) if self.real in self.tree.sees.get(name, ()) else name
        if name in self.tree.archives:
            parts = [self.path(part) for part in self.tree.archives[name]]
            return name if parts == self.tree.archives[name] else \
                self._command(["ar", "crsT", to, *map(self.tree.real, parts)], to, "link")
        if name in self.tree.links:
            words = self.tree.links[name]
            return self._command([to if word == name else self.path(word) for word in words], to,
                                 "link")
        return name

    def _compile(self, output, to):
        source, command = self.tree.compile[output]
        words, skip = [], False
        for word in command:
            if skip or word in ("-MQ", "-MF", "-o"):
                skip = not skip
            elif word not in ("-MD", "-MMD") and not re.match(r"-W[^l]|-Winvalid", word):
                words.append(self.file if self.tree.real(word) == source == self.real else word)
        # A function that returns nothing is no program: what it answers is chance.
        first = next(i for i, word in enumerate(words) if word.startswith("-"))
        words[first:first] = [f"-I{self.over}/engine", f"-I{self.over}/include",
                              "-iquote", os.path.dirname(source), "-Werror=return-type"]
        return self._command([*words, "-o", to], to, "compile")

    def _command(self, words, to, what):
        done = subprocess.run(words, cwd=self.tree.build, check=False, capture_output=True,
                              text=True, errors="replace")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line]
            raise Unbuilt(f"does not {what}: " + "".join((said or [done.stderr])[:1])[:200])
        return to

    def is_same_code(self):
        """Did the compiler make of it what it makes of the original?"""
        return all(digest(made) == self.tree.digest(name) for name, made in self.made.items()
                   if name in self.tree.compile and made != name)


def make(tree, program, entry, work):
    """That program with the entry's mutant in it, in the folder @work. Raises Unbuilt."""
    text = entry.apply(tree.source)
    made = Mutant(tree, os.path.join(work, "mutant"), entry.file, text).path(program)
    if made == program:
        raise Unbuilt(f"nothing of {program} sees {entry.file}")
    return made


def digest(path):
    """Of code, data and relocations, without what tells of lines."""
    with tempfile.NamedTemporaryFile() as bare:
        subprocess.run(["objcopy", "--strip-debug", path, bare.name], check=True)
        return hashlib.sha256(bare.read()).hexdigest()


@functools.lru_cache(None)
def has_own_tmp():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/tmp"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False).returncode == 0


def bound():
    """A mutant must not take the machine's memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(command, hang=60, passed_over=(), must_tell=False, **environment):
    """Runs a program of tests until one fails. None: all is well; else that test, or its end.

    @hang       seconds without a word, after which it is ended, and has failed
    @must_tell  a program that tells of no test has failed
    """
    env = dict(os.environ, LC_ALL="C", **environment)
    if "GLIBC_TUNABLES" not in environment:
        env.pop("GLIBC_TUNABLES", None)
    child = subprocess.Popen((OWN_TMP if has_own_tmp() else []) + command, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=env, start_new_session=True,
                             preexec_fn=bound)
    os.set_blocking(child.stdout.fileno(), False)
    try:
        return follow(child, hang, passed_over, must_tell)
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        child.stdout.close()


def follow(child, hang, passed_over, must_tell):
    """Reads what it tells, until there is an answer."""
    text, last, n = "", time.monotonic(), 0
    while True:
        ready, _, _ = select.select([child.stdout], [], [], 1.0)
        data = child.stdout.read() if ready else None
        if data:
            text += data.decode(errors="replace")
            last = time.monotonic()
            *lines, text = text.split("\n")
            for line in lines:
                if line.startswith("1..0 # SKIP"):
                    raise Skipped(line.partition("because ")[2])
                match = re.match(r"^(not ok|ok) \d+ ?-? ?(.*)", line)
                n += match is not None
                if match and match.group(1) == "not ok" and match.group(2) not in passed_over:
                    return match.group(2)
        elif ready and data == b"":
            child.wait()
            if child.returncode and not passed_over:
                return f"status {child.returncode}"
            return None if n or not must_tell else "ran no test"
        elif time.monotonic() - last > hang:
            return f"hangs after {n} tests"


class Tap:
    """Counts and prints lines of TAP."""

    def __init__(self):
        self.n, self.bad = 0, 0

    def ok(self, good, what, *said):
        self.n += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}", flush=True)
        for line in said:
            print(f"# {line}", flush=True)

    def done(self):
        print(f"1..{self.n}", flush=True)
        return 1 if self.bad else 0
