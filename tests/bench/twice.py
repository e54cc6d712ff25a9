#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two runs beside each other."""
import os
import sys

from checks import about, alike, case, equal, holds, made, main, near, raises, row

from report import compare, document, table


def run(weir, rival=100.0, noise=0.01, machine=None):
    return made([row("push/weir/1p/8B", about(weir), alike(weir, noise)),
                 row("push/mutex/1p/8B", about(rival)),
                 row("throughput/weir/1p/8B", about(1000 / weir), alike(1, noise), more=True)],
                machine)


def said(base, new):
    return {one["name"]: one["verdict"] for one in compare.compare(base, new)["rows"]}


@case
def better_or_worse():
    """A run is better or worse, row by row, in the sense of its unit."""
    equal(said(run(10), run(8)), {"push/weir/1p/8B": "better", "push/mutex/1p/8B": "cannot tell",
                                  "throughput/weir/1p/8B": "better"})
    equal(said(run(8), run(10))["push/weir/1p/8B"], "worse")
    equal(said(run(8), run(10))["throughput/weir/1p/8B"], "worse")
    equal(set(said(run(10), run(10)).values()), {"cannot tell"})


@case
def either_spread():
    """The larger of the two runs' A/A spreads counts."""
    equal(said(run(10), run(8, noise=0.3))["push/weir/1p/8B"], "cannot tell")
    equal(said(run(10, noise=0.3), run(8))["push/weir/1p/8B"], "cannot tell")


@case
def drift():
    """When the rivals moved, the machine did: weir must have moved further."""
    result = compare.compare(run(10), run(8, rival=75))
    equal(result["rows"][0]["verdict"], "cannot tell")
    near(result["rows"][0]["drift"], 0.25)
    equal(said(run(10), run(5, rival=75))["push/weir/1p/8B"], "better")


@case
def widest():
    """The interval of a ratio between runs is the widest that theirs allow."""
    one = compare.compare(run(10), run(10))["rows"][0]
    equal(one["interval"][0] < 0.99 and one["interval"][1] > 1.01, True, "it")


@case
def other_machine():
    """Machines that differ are named with both values."""
    result = compare.compare(run(10), run(10, machine={"kernel": "6.9", "rseq": "not in use"}))
    equal(result["differences"], [("kernel", "6.1", "6.9"), ("rseq", "in use", "not in use")])
    holds(table.compared(result), "warning: kernel differs: 6.1 in the base, 6.9 here")


@case
def one_sided():
    """Rows that only one run has are counted and named."""
    more = made([row("push/weir/1p/8B", about(10), alike(10)),
                 row("push/weir/1p/16B", about(10), alike(10))])
    result = compare.compare(run(10), more)
    equal(result["only_new"], ["push/weir/1p/16B"])
    equal(len(result["only_base"]), 2)
    holds(table.compared(result), "in the base only: 2 rows", "here only: 1 rows",
          "in all: 1 cannot tell")


@case
def files(folder):
    """A document comes back from its file as it was, and another file is refused."""
    path = os.path.join(folder, "a.json")
    first = run(10)
    document.write(first, path)
    equal(document.read(path), document.plain(first))
    equal(said(document.read(path), run(8))["push/weir/1p/8B"], "better")
    for text in ('{"schema": "other"}', "[]", "{"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        raises(document.read, path)


sys.exit(main())
