#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build.py - test programs with one file of the engine changed, from the objects of a built tree.

It knows ninja's commands: only what sees the changed file is compiled again, into a folder of its
own, and a program is linked against an archive in which those objects took the place of the tree's.
The tree and the source stay as they are. It does not know what is changed, or why.
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

OPTIONS = ["-Dtest_points=true", "-Dhot_asserts=true", "-Dtest_runner=plain", "-Ddebug=false",
           "-Doptimization=1", "-Dbenches=disabled", "-Dman=disabled", "-Dallocator=libc"]
UNITS = ["unit-base", "unit-stats", "unit-ring", "unit-flush", "unit-log", "unit-log-fault",
         "unit-sink", "unit-api"]
STRESS = ["order", "identity", "wrap", "signal", "close", "freeze", "quiet", "block", "life", "fork"]
NORSEQ = ["order", "identity", "wrap", "signal", "close", "quiet", "block"]
# A program's own /tmp: what a killed test leaves there is gone with it. Only root can.
OWN_TMP = ["unshare", "-m", "sh", "-c", "exec 9<\"$0\" && mount -t tmpfs none /tmp && "
           "cd /tmp && exec /proc/self/fd/9 \"$@\""]
MEMORY = 4 << 30
# Longer than any one test takes on a loaded machine, but the stress programs'.
HANG_S = 25


def path_of(program):
    if program == "unit-log-fault":
        return "tests/unit/log/" + program
    if program.startswith("stress-"):
        return "tests/stress/" + re.sub("-norseq$", "", program)
    return "tests/" + program


class Tree:
    """A build tree whose objects are reused."""

    def __init__(self, source, build, programs, log=None):
        self.source, self.build = os.path.realpath(source), os.path.realpath(build)
        self._make(programs, log)
        with open(os.path.join(self.build, "compile_commands.json"), encoding="utf-8") as file:
            commands = json.load(file)
        self.compile = {c["output"]: (os.path.realpath(os.path.join(c["directory"], c["file"])),
                                      shlex.split(c["command"])) for c in commands}
        deps = self._ninja("-t", "deps")
        self.sees, at = {}, None
        for line in deps.splitlines():
            if line and not line.startswith(" "):
                at = self.sees.setdefault(line.split(":")[0], set())
            elif line.strip() and not line.startswith("    /usr"):
                at.add(os.path.realpath(os.path.join(self.build, line.strip())))
        self.link = {}
        for name in dict.fromkeys(path_of(p) for p in programs):
            last = self._ninja("-t", "commands", name).strip().splitlines()[-1]
            self.link[name] = shlex.split(last)
        self.library = [output for output in self.compile
                        if output.startswith("engine/libweir") and output.endswith(".o")]
        self._digests = {}

    def digest(self, output):
        """That of one of its own objects."""
        if output not in self._digests:
            self._digests[output] = digest(os.path.join(self.build, output))
        return self._digests[output]

    def _ninja(self, *arguments):
        return subprocess.run(["ninja", "-C", self.build, "--quiet", *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=True).stdout

    def _make(self, programs, log):
        out = log or subprocess.DEVNULL
        os.makedirs(self.build, exist_ok=True)
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            subprocess.run(["meson", "setup", self.build, self.source, *OPTIONS], stdout=out,
                           stderr=subprocess.STDOUT, check=True)
        targets = list(dict.fromkeys(path_of(p) for p in programs))
        subprocess.run(["ninja", "-C", self.build, *targets], stdout=out,
                       stderr=subprocess.STDOUT, check=True)


class Mutant:
    """The tree with @path (relative to the source) holding @text instead."""

    def __init__(self, tree, work, path, text):
        self.tree, self.work = tree, work
        self.over = os.path.join(work, "over")
        shutil.rmtree(work, ignore_errors=True)
        self.file = os.path.join(self.over, path)
        os.makedirs(os.path.dirname(self.file))
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(text)
        self.real = os.path.realpath(os.path.join(tree.source, path))
        self.objects, self.archive = {}, None

    def _compile(self, output):
        source, command = self.tree.compile[output]
        made = os.path.join(self.work, output.replace("/", "_"))
        words, skip = [], False
        for word in command:
            if skip:
                skip = False
            elif word in ("-MQ", "-MF", "-o"):
                skip = True
            elif word != "-MD" and not re.match(r"-W[^l]|-Winvalid", word):
                words.append(word)
        # A function that returns nothing is no program: what it answers is chance.
        words = [words[0], f"-I{self.over}/engine", f"-I{self.over}/include"] + words[1:] + \
            ["-Werror=return-type"]
        words = [self.file if word.endswith(source.rsplit("/", 1)[1]) and
                 source == self.real else word for word in words]
        done = subprocess.run(words + ["-o", made], cwd=self.tree.build, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return made if done.returncode == 0 else None

    def compile(self):
        """Compiles what of the library sees the file. False: it does not compile."""
        for output in self.tree.library:
            if self.real not in self.tree.sees.get(output, ()):
                continue
            made = self._compile(output)
            if not made:
                return False
            self.objects[output] = made
        self.archive = os.path.join(self.work, "libweir.a")
        build = self.tree.build
        subprocess.run(["ar", "crsT", self.archive] +
                       [self.objects.get(o, os.path.join(build, o)) for o in self.tree.library],
                       check=True, cwd=build)
        return bool(self.objects)

    def is_same_code(self):
        """Did the compiler make of it what it makes of the original?"""
        return all(digest(made) == self.tree.digest(output)
                   for output, made in self.objects.items())

    def program(self, name):
        """The program @name with the change in it. None: it could not be made."""
        path = path_of(name)
        words, made = [], os.path.join(self.work, os.path.basename(path))
        if os.path.exists(made):
            return made
        for word in self.tree.link[path]:
            if word == "engine/libweir.a":
                word = self.archive
            elif word == path:
                word = made
            elif word.endswith(".o") and self.real in self.tree.sees.get(word, ()):
                if word not in self.objects:
                    self.objects[word] = self._compile(word)
                word = self.objects[word]
                if not word:
                    return None
            words.append(word)
        done = subprocess.run(words, cwd=self.tree.build, check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        return made if done.returncode == 0 else None


def digest(path):
    """Of code, data and relocations, without what tells of lines."""
    with tempfile.NamedTemporaryFile() as bare:
        subprocess.run(["objcopy", "--strip-debug", path, bare.name], check=True)
        return hashlib.sha256(bare.read()).hexdigest()


@functools.lru_cache()
def has_own_tmp():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/tmp"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False).returncode == 0


def bound():
    """A mutant must not take the machine's memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(binary, program, only=None, seconds=1, passed_over=()):
    """Runs a program of tests. None: all is well; else the name of the first test that is not."""
    env = dict(os.environ, WEIR_STRESS_SECONDS=str(seconds), LC_ALL="C")
    env.pop("GLIBC_TUNABLES", None)
    if program.endswith("-norseq"):
        env["GLIBC_TUNABLES"] = "glibc.pthread.rseq=0"
    hang = (HANG_S if program.startswith("unit") else HANG_S + 40 * seconds)
    child = subprocess.Popen((OWN_TMP if has_own_tmp() else []) + [binary] + ([only] if only else []),
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env,
                             start_new_session=True, preexec_fn=bound)
    os.set_blocking(child.stdout.fileno(), False)
    text, last, bad, n = "", time.monotonic(), None, 0
    while bad is None:
        ready, _, _ = select.select([child.stdout], [], [], 1.0)
        data = child.stdout.read() if ready else None
        if data:
            text += data.decode(errors="replace")
            last = time.monotonic()
            lines = text.split("\n")
            text = lines.pop()
            for line in lines:
                match = re.match(r"^(not ok|ok) \d+ ?-? ?(.*)", line)
                n += match is not None
                if match and match.group(1) == "not ok" and match.group(2) not in passed_over:
                    bad = match.group(2)
                    break
        elif ready and data == b"":
            child.wait()
            if child.returncode and not passed_over:
                bad = f"status {child.returncode}"
            elif not n:
                bad = "ran no test"
            break
        elif time.monotonic() - last > hang:
            bad = f"hangs after {n} tests"
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    child.stdout.close()
    return bad
