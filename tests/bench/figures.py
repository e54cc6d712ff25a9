#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Medians, intervals, spreads and verdicts."""
import itertools
import json
import math
import random
import sys

from checks import about, alike, case, equal, holds, made, main, near, row

from report import document, stats, table


@case
def nine():
    """Of nine blocks the interval is from the 2nd to the 8th value, and holds with 96.1 %."""
    rank, coverage = stats.ranks(9)
    equal(rank, 2)
    near(coverage, 1 - 2 * 10 / 512, "coverage")
    values = list(range(1, 10))
    random.Random(1).shuffle(values)
    equal((stats.median(values), stats.interval(values)), (5, (2, 8)))


@case
def every_count():
    """No interval claims 95 % that has less, and none is wider than it must be."""
    for count in range(1, 60):
        rank, coverage = stats.ranks(count)
        exact = sum(math.comb(count, i) for i in range(rank, count - rank + 1)) / 2 ** count
        near(coverage, max(exact, 0), f"coverage of {count}")
        equal(stats.is_covered(count), count >= 6, f"whether {count} are enough")
        if count >= 6:
            inner = sum(math.comb(count, i) for i in range(rank + 1, count - rank)) / 2 ** count
            equal(inner < 0.95, True, f"a narrower interval of {count}")


@case
def coverage_is_true():
    """The interval holds the median of each of all orders of nine coins as often as it says."""
    inside = 0
    for coins in itertools.product((-1, 1), repeat=9):
        low, high = stats.interval([coin * (i + 1) for i, coin in enumerate(coins)])
        inside += low <= 0 <= high
    near(inside / 2 ** 9, stats.ranks(9)[1])


@case
def blocks_are_paired():
    """A machine that slows down block by block does not blur a ratio."""
    slower = [2.0 ** i for i in range(9)]
    ratio = stats.paired([3 * one for one in slower], slower)
    equal((ratio.middle, ratio.low, ratio.high), (3, 3, 3))
    equal(stats.apart([3 * one for one in slower], slower).low < 0.05, True, "apart is wide")


@case
def nothing_beside_nothing():
    """Zero beside zero is alike, anything beside zero is beyond all bounds, and neither is an error."""
    equal(stats.paired([0] * 9, [0] * 9).middle, 1.0)
    equal(stats.paired([1] * 9, [0] * 9).middle, math.inf)
    equal(stats.median([math.inf, math.inf]), math.inf)
    rows = [row("quiet/weir/idle", [0] * 9, [[0] * 9, [0] * 9]), row("quiet/poll/idle", [0] * 9),
            row("quiet/other/idle", [5] * 9), row("quiet/none/idle", [0] * 8 + [1])]
    text = json.dumps(document.plain(made(rows)), allow_nan=False)
    holds(text, '"verdict": "cannot tell"', '"verdict": "better"')


@case
def a_a_spread():
    """The A/A spread is the farther end of the interval of the twins' ratio."""
    near(stats.spread([[110] * 9, [100] * 9]), 0.1)
    near(stats.spread([[90] * 9, [100] * 9]), 0.1)
    near(stats.spread([[100, 130, 90, 100, 80, 100, 100, 100, 100], [100] * 9]), 0.1)
    near(stats.spread([[100] * 9, [100] * 9]), 0)


@case
def inside_the_spread():
    """A ratio whose interval touches what the spread explains is not claimed; one beyond it is."""
    def said(low, high, noise, more=False):
        return stats.verdict(stats.Ratio((low + high) / 2, low, high, True), noise, more)
    equal(said(1.02, 1.05, 0.02), "cannot tell")
    equal(said(1.021, 1.05, 0.02), "worse")
    equal(said(1.021, 1.05, 0.02, True), "better")
    equal(said(0.5, 0.98, 0.02), "cannot tell")
    equal(said(0.5, 0.979, 0.02), "better")
    equal(said(0.5, 0.979, 0.02, True), "worse")
    equal(said(0.5, 1.5, 0.0), "cannot tell")


@case
def not_enough():
    """Without an A/A run, or with fewer than six blocks, nothing is claimed."""
    equal(stats.verdict(stats.Ratio(9, 9, 9, True), None, True), "cannot tell")
    equal(stats.verdict(stats.paired([9] * 5, [1] * 5), 0.0, True), "cannot tell")
    equal(stats.verdict(stats.paired([9] * 6, [1] * 6), 0.0, True), "better")
    rows = [row("push/weir/1p/8B", [1] * 9), row("push/spsc/1p/8B", [9] * 9)]
    equal(made(rows)["rows"][1]["versus"]["verdict"], "cannot tell")
    equal(made(rows)["rows"][1]["versus"]["spread"], None)


@case
def within_a_group():
    """weir stands beside each other row of its group and metric, with its spread and a verdict."""
    rows = [row("push/floor/1p/8B", about(2)), row("push/weir/1p/8B", about(3), alike(3)),
            row("push/mutex/1p/8B", about(60)), row("push/spsc/1p/8B", about(3.01)),
            row("push/weir/1p/64B", about(5), alike(5)), row("push/floor/1p/64B", about(4))]
    built = made(rows)["rows"]
    equal("versus" in built[1], False, "weir beside itself")
    equal([one["versus"]["verdict"] for one in built[:4] if "versus" in one],
          ["worse", "better", "cannot tell"])
    near(built[0]["versus"]["ratio"], 1.5)
    near(built[0]["versus"]["spread"], 0.01)
    near(built[5]["versus"]["ratio"], 1.25)
    equal(built[5]["versus"]["of"], "push/weir/1p/64B")


@case
def printed():
    """The text has the machine, a row for each of the JSON, ratios, spreads and what is missing."""
    rows = [row("push/weir/1p/8B", about(3), alike(3)), row("push/mutex/1p/8B", about(60)),
            {"type": "skip", "question": "push", "group": "push/1p/8B", "case": "push/tbb/1p/8B",
             "peer": "tbb", "why": "libtbb-dev is not installed"}]
    text = table.text(made(rows))
    holds(text, "A CPU", "6.1", "gcc 12 -O3", "jemalloc", "rseq in use", "load 0.50", "stolen",
          "96.1 %", "pinned", "push/1p/8B   ns, less is better", "mutex", "0.0500", "1.0 %",
          "weir is better", "tbb: libtbb-dev is not installed", "Google Benchmark")


@case
def few_blocks_printed():
    """Three blocks are said to be too few."""
    holds(table.text(made([row("push/weir/1p/8B", about(3, 3), [[3] * 3, [3] * 3])],
                          {"blocks": 3})), "75.0 %", "too few to claim anything")


@case
def numbers():
    """Numbers keep the digits that count."""
    equal([table.number(one) for one in (None, 0, 0.00012, 0.05, 0.5, 5.678, 123.45, 98765.4)],
          ["-", "0", "0.00012", "0.0500", "0.500", "5.68", "123.5", "98,765"])


sys.exit(main())
