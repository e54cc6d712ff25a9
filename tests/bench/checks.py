# SPDX-License-Identifier: Apache-2.0
"""checks.py - runs test functions as TAP lines, and makes runs whose figures are known.

A case is a function whose docstring is the promise it tests.
"""
import os
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(ROOT, "bench")
sys.path.insert(0, BENCH)
registered = []


def case(function):
    registered.append(function)
    return function


def equal(got, wanted, what="it"):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r:.900}, not {wanted!r:.900}")


def near(got, wanted, what="it"):
    if abs(got - wanted) > 1e-9 * max(1, abs(wanted)):
        raise AssertionError(f"{what} is {got!r}, not {wanted!r}")


def holds(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in {text!r:.2000}")


def raises(function, *words):
    try:
        function(*words)
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{function.__name__}{words} was taken")


MACHINE = {"type": "machine", "question": "push", "date": "2026-01-01T00:00:00Z", "quick": True,
           "pinned": True, "blocks": 9, "cpu": "A CPU", "kernel": "6.1", "architecture": "x86_64",
           "compiler": "gcc 12", "flags": "-O3", "allocator": "jemalloc", "rseq": "in use",
           "scheduler": "plain", "weir": "0.1.0", "cpus": 2, "load": 0.5, "steal_s": 1.0}


def about(value, count=9, step=0.002):
    """Values close together whose median is @value."""
    return [value * (1 + step * (i - count // 2)) for i in range(count)]


def row(name, values, aa=None, metric="", unit="ns", more=False, group=None, spectrum=None):
    """As a program writes it. @name: push/weir/1p/64B."""
    parts = name.split("/")
    line = {"type": "row", "question": parts[0], "group": group or "/".join(parts[:1] + parts[2:]),
            "case": name, "peer": parts[1], "name": name + ("/" + metric if metric else ""),
            "metric": metric, "unit": unit, "more_is_better": more, "values": values}
    if aa is not None:
        line["aa"] = aa
    if spectrum:
        line["count"], line["spectrum"] = 1000, spectrum
    return line


def alike(value, noise=0.01):
    """Twins whose A/A spread is @noise."""
    return [[value * (1 + noise)] * 9, [value] * 9]


def made(rows, machine=None, wanted=None):
    """A document of hand-made rows."""
    from report import document, goals
    run = {"question": "push", "norseq": False, "words": [], "status": "run", "why": "",
           "seconds": 1.0, "lines": [{**MACHINE, **(machine or {})}] + rows}
    built = document.make([run])
    if wanted:
        built["goals"] = goals.check(wanted, built["rows"])
    return built


def main():
    failed = 0
    print(f"1..{len(registered)}", flush=True)
    for number, function in enumerate(registered, 1):
        name = " ".join((function.__doc__ or function.__name__).split()).rstrip(".")
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            try:
                function(folder) if function.__code__.co_argcount else function()
                print(f"ok {number} - {name}", flush=True)
            except Exception:  # a case that fails in any way has failed
                failed += 1
                print(f"not ok {number} - {name}")
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}")
    return 1 if failed else 0
