# SPDX-License-Identifier: Apache-2.0
"""cases.py - runs test functions as TAP lines.

A case is a function whose docstring is the promise it tests. It gets a Box: a temporary folder and
ways to run the command. Times are never asserted; every wait has a bound.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

WAIT = 60
registered = []


class Skip(Exception):
    """The machine lacks what a case needs."""


def case(function):
    registered.append(function)
    return function


def equal(got, wanted, what="it"):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r:.600}, not {wanted!r:.600}")


def holds(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in {text!r:.900}")


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.out)


class Box:
    def __init__(self, weir, folder):
        self.weir, self.folder = weir, pathlib.Path(folder)
        self.log = str(self.folder / "log")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
        self.env["LC_ALL"] = "C"

    def file(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    def run(self, *words, stdin=b"", code=0, env=None, **more):
        """Runs `weir WORDS` to its end."""
        done = subprocess.run([self.weir, *map(str, words)], input=stdin, capture_output=True,
                              timeout=WAIT, env={**self.env, **(env or {})}, cwd=self.folder,
                              **more)
        done = Done(done.returncode, done.stdout, done.stderr)
        if code is not None and done.code != code:
            raise AssertionError(f"weir {' '.join(map(str, words))} ended with {done.code}, not "
                                 f"{code}: {done.err[-900:]}")
        return done

    def shell(self, script, code):
        """Runs a line of sh in which "$W" is the command."""
        done = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=WAIT, env={**self.env, "W": self.weir}, cwd=self.folder)
        equal(done.returncode, code, f"the end of {script!r} ({done.stderr[-900:]!r})")
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words, **more):
        """Starts `weir WORDS` with pipes."""
        more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                **more}
        return subprocess.Popen([self.weir, *map(str, words)], env=self.env, cwd=self.folder,
                                bufsize=0, **more)

    def ingest(self, *words, stdin=b"", code=0, **more):
        """Ingests into the log and returns the JSON summary."""
        return self.run("ingest", "--json", "--sink", f"file:{self.log}", *words, stdin=stdin,
                        code=code, **more).json

    def cat(self, *words, code=0):
        return self.run("cat", self.log, *words, code=code).out

    def round_trip(self, data, *words, name="input"):
        """What `cat` makes of a file with @data."""
        self.ingest(self.file(name, data), *words)
        return self.cat()


def until(condition, what):
    end = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come to pass in {WAIT} s")
        time.sleep(0.005)


def read_until(stream, wanted):
    """Reads from an unbuffered pipe until @wanted bytes are there."""
    data = b""
    while len(data) < wanted:
        more = os.read(stream.fileno(), 65536)
        if not more:
            raise AssertionError(f"only {data!r:.300} came")
        data += more
    return data


def end(process, code):
    """Waits for the end and checks the code."""
    out, err = process.communicate(timeout=WAIT)
    if process.returncode != code:
        raise AssertionError(f"ended with {process.returncode}, not {code}: {err[-900:]!r}")
    return Done(process.returncode, out, err)


def main():
    weir = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    cases = [c for c in registered if not wanted or c.__name__ in wanted]
    failed = 0
    print(f"1..{len(cases)}", flush=True)
    for number, function in enumerate(cases, 1):
        name = " ".join((function.__doc__ or function.__name__).split()).rstrip(".")
        folder = tempfile.mkdtemp(prefix="weir-cli-")
        try:
            function(Box(weir, folder))
            print(f"ok {number} - {name}", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception:  # a case that fails in any way has failed
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            sys.stdout.flush()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0
