# SPDX-License-Identifier: Apache-2.0
"""compare.py - two runs, row by row: better, worse, or cannot tell.

Two runs are not interleaved: what the machine did differently between them is in every ratio, and
an A/A run, which lies within one of them, does not see it. Two things are done about that. The
interval of a ratio is the widest that the two intervals allow. And the rows of a group that are not
ours, which no change of ours moved, say how far the machine moved: their median is added to the A/A
spreads, of which the larger one counts.
"""
from report import stats
from report.document import groups, is_ours, noise

SAME = ("cpu", "cpus", "architecture", "kernel", "compiler", "flags", "allocator", "rseq",
        "scheduler", "pinned", "quick", "blocks")


def differences(base, new):
    """Of the machine lines: [(key, base's, new's)]."""
    a, b = base["machine"], new["machine"]
    return [(key, a.get(key), b.get(key)) for key in SAME if a.get(key) != b.get(key)]


def spreads(document):
    """{row's name: A/A spread}: its own, else its group's."""
    return {row["name"]: row["spread"] if row.get("spread") is not None else noise(rows)
            for _, rows in groups(document["rows"]) for row in rows}


def drift_of(pairs):
    """How far from 1 the rows are that are not ours, 0 when there are none."""
    moved = [stats.quotient(new["median"], base["median"]) for base, new in pairs
             if not is_ours(new)]
    return abs(stats.median(moved) - 1) if moved else 0.0


def judge(base, new, known, drift):
    ratio = stats.apart(new["values"], base["values"])
    known = [one for one in known if one is not None]
    bound = max(known) + drift if known else None
    return {"name": new["name"], "group": new["group"], "unit": new["unit"],
            "base": base["median"], "new": new["median"], "ratio": ratio.middle,
            "interval": list(ratio.interval), "spread": max(known) if known else None,
            "drift": drift, "verdict": stats.verdict(ratio, bound, new["more_is_better"])}


def compare(base, new):
    """{differences, rows, only_base, only_new}."""
    before = {row["name"]: row for row in base["rows"]}
    spread_a, spread_b = spreads(base), spreads(new)
    rows = []
    for _, members in groups(new["rows"]):
        pairs = [(before[row["name"]], row) for row in members if row["name"] in before]
        drift = drift_of(pairs)
        rows += [judge(old, row, (spread_a[row["name"]], spread_b[row["name"]]), drift)
                 for old, row in pairs]
    after = {row["name"] for row in new["rows"]}
    return {"differences": differences(base, new), "rows": rows,
            "only_base": [name for name in before if name not in after],
            "only_new": [row["name"] for row in new["rows"] if row["name"] not in before]}
