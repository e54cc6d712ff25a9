# SPDX-License-Identifier: Apache-2.0
"""document.py - from the lines that the programs wrote to the one document a run is.

    {"schema": "weir-bench/1", "machine": {...}, "questions": [...], "rows": [...],
     "without": [...], "goals": [...]}

A row keeps what its program wrote and gets median, interval, spread and, when its group has
something to compare it with, versus. Numbers that are no numbers (x / 0) are null.
It does not know how a run is shown.
"""
import json
import math

from report import stats

SCHEMA = "weir-bench/1"
MACHINE = ("cpu", "cpus", "architecture", "kernel", "compiler", "flags", "allocator", "rseq",
           "scheduler", "weir", "pinned", "quick", "blocks", "load", "steal_s", "date")
NORSEQ = "-norseq"


def is_ours(row):
    return row["peer"] == "weir" or row["peer"].startswith("weir-")


def rename(line):
    """A line of a run without rseq: its peers are called so."""
    line = dict(line)
    if "peer" in line:
        peer = line["peer"]
        for key in ("case", "name"):
            if key in line:
                line[key] = line[key].replace(f"/{peer}/", f"/{peer}{NORSEQ}/", 1)
        line["peer"] = peer + NORSEQ
        line["group"] = "fallback/" + line["group"]
        line["question"] = "fallback"
    return line


def groups(rows):
    """[(title, metric, unit), rows] of what is compared with each other, in the order written."""
    found = {}
    for row in rows:
        found.setdefault((row["group"], row["metric"], row["unit"]), []).append(row)
    return list(found.items())


def reference(rows):
    """What the others of a group stand beside: weir, else another of ours, else the first."""
    for peer in ("weir", "weir" + NORSEQ):
        for row in rows:
            if row["peer"] == peer:
                return row
    return next((row for row in rows if is_ours(row)), rows[0])


def noise(rows):
    """The A/A spread that holds in a group: the largest of those measured there, or None."""
    known = [row["spread"] for row in rows if row.get("spread") is not None]
    return max(known) if known else None


def figures(row):
    row["median"] = stats.median(row["values"])
    row["interval"] = list(stats.interval(row["values"]))
    row["spread"] = stats.spread(row["aa"]) if "aa" in row else None


def compare_within(rows):
    """Sets versus: how the reference stands to each of the others."""
    first = reference(rows)
    for row in rows:
        if row is first:
            continue
        ratio = stats.paired(first["values"], row["values"])
        near = [first["spread"], row["spread"]]
        near = [one for one in near if one is not None]
        bound = max(near) if near else noise(rows)
        row["versus"] = {"of": first["name"], "ratio": ratio.middle,
                         "interval": list(ratio.interval), "spread": bound,
                         "verdict": stats.verdict(ratio, bound, row["more_is_better"])}


def machine_of(lines):
    """One line for all programs: the first's, with the highest load and the steal of all."""
    machines = [line for line in lines if line.get("type") == "machine"]
    if not machines:
        return {}
    said = {key: machines[0][key] for key in MACHINE if key in machines[0]}
    said["load"] = max(line.get("load", 0) for line in machines)
    said["steal_s"] = round(sum(line.get("steal_s", 0) for line in lines
                                if line.get("type") == "end"), 2)
    return said


def make(runs):
    """@runs: of each question {question, lines, status, why, seconds, norseq}."""
    lines = [line for run in runs for line in run["lines"]]
    document = {"schema": SCHEMA, "machine": machine_of(lines),
                "questions": [{key: value for key, value in run.items() if key != "lines"}
                              for run in runs],
                "rows": [], "without": [], "goals": []}
    for line in lines:
        line = {key: value for key, value in line.items()}
        kind = line.pop("type", None)
        if kind == "row" and line.get("values"):
            figures(line)
            document["rows"].append(line)
        elif kind in ("skip", "failed"):
            document["without"].append({"failed": kind == "failed", **line})
    for _, rows in groups(document["rows"]):
        compare_within(rows)
    return document


def plain(value):
    """What JSON can hold."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write(document, path):
    text = json.dumps(plain(document), allow_nan=False, ensure_ascii=False)
    text = text.replace('}, {"question"', '},\n{"question"').replace('}, {"failed"',
                                                                     '},\n{"failed"')
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def read(path):
    with open(path, encoding="utf-8") as file:
        try:
            document = json.load(file)
        except ValueError:
            document = None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"{path} is not a result of this bench ({SCHEMA})")
    return document
