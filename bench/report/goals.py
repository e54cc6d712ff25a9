# SPDX-License-Identifier: Apache-2.0
"""goals.py - whether the goals of bench/goals hold in a run.

A goal bounds a row, as it is or as a multiple of another row. It holds, or is missed, only when the
whole interval lies on that side of the bound by more than the A/A spread; else one cannot tell.
Where it stands against several rows, the one that it does worst against is reported.
"""
import fnmatch
import fractions
import re

from report import stats
from report.document import noise

HOLDS, MISSED, CANNOT_TELL = "holds", "missed", "cannot tell"


class Goal:
    def __init__(self, name, row, bound, against, only=""):
        self.name, self.row, self.against, self.only = name, row, against, only
        sense, factor = bound.split(None, 1)
        if sense not in ("<=", ">=", ">", "="):
            raise ValueError(f"{bound}: a bound is <=, >=, > or = and a number")
        self.sense, self.factor, self.bound = sense, float(fractions.Fraction(factor)), bound
        if sense == "=" and (self.factor or against != "-"):
            raise ValueError(f"{bound}: only = 0 is known, against nothing")
        if only and not re.fullmatch(r"spread < [\d.]+", only):
            raise ValueError(f"{only}: a condition is spread < NUMBER")


def expand(fields):
    """{a,b} of the row stands for one goal each; the same set elsewhere goes with it."""
    found = re.search(r"\{[^}]*\}", fields[1])
    if not found:
        return [fields]
    return [one for word in found.group(0)[1:-1].split(",")
            for one in expand([field.replace(found.group(0), word) for field in fields])]


def read(path):
    goals = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = [field.strip() for field in line.split("|")]
            if not 4 <= len(fields) <= 5:
                raise ValueError(f"{path}:{number}: name | row | bound | against [| condition]")
            goals += [Goal(*one) for one in expand(fields)]
    return goals


def chosen(patterns, rows):
    """Rows that one of the patterns names; !pattern leaves out. [a+b] is no set of letters here."""
    wanted = [p for p in patterns.split() if not p.startswith("!")]
    left_out = [p[1:] for p in patterns.split() if p.startswith("!")]

    def hit(name, some):
        return any(fnmatch.fnmatchcase(name, one.replace("[", "[[]")) for one in some)
    return [row for row in rows if hit(row["name"], wanted) and not hit(row["name"], left_out)]


def is_inside(goal, value):
    return {"<=": value <= goal.factor, ">=": value >= goal.factor, ">": value > goal.factor,
            "=": value == 0}[goal.sense]


def decide(goal, ratio, bound_noise):
    """HOLDS, MISSED or CANNOT_TELL."""
    if bound_noise is None or not ratio.covered:
        return CANNOT_TELL
    near, far = goal.factor * (1 - bound_noise), goal.factor * (1 + bound_noise)
    if goal.sense == "<=":
        good, bad = ratio.high <= near, ratio.low > far
    else:
        good = ratio.low >= far if goal.sense == ">=" else ratio.low > far
        bad = ratio.high < near
    return HOLDS if good else MISSED if bad else CANNOT_TELL


def missed_by(goal, value):
    """In parts of the bound."""
    return stats.quotient(value, goal.factor) - 1 if goal.sense == "<=" else 1 - value / goal.factor


def judge(goal, row, other, rows):
    """One row beside one other, or beside none."""
    known = [one["spread"] for one in (row, other) if one and one.get("spread") is not None]
    if not known:
        near = [one for one in rows if one["group"] == row["group"]
                and one["metric"] == row["metric"]]
        known = [one for one in [noise(near)] if one is not None]
    bound_noise = max(known) if known else None
    if not known and not other and row["median"]:
        # What is counted and not timed has no A/A run: all that it ever differed by stands for it.
        bound_noise = (max(row["values"]) - min(row["values"])) / abs(row["median"])
    if not other:
        ratio = stats.Ratio(stats.median(row["values"]), *stats.interval(row["values"]),
                            stats.is_covered(len(row["values"])))
    elif other["group"] == row["group"]:
        ratio = stats.paired(row["values"], other["values"])
    else:
        ratio = stats.apart(row["values"], other["values"])
    said = {"goal": goal.name, "row": row["name"], "bound": goal.bound,
            "against": other["name"] if other else None, "value": ratio.middle,
            "interval": list(ratio.interval), "spread": bound_noise,
            "unit": "times" if other else row["unit"], "inside": is_inside(goal, ratio.middle)}
    if goal.sense == "=":
        said["verdict"] = HOLDS if not any(row["values"]) else MISSED
        said["missed_by"] = max(row["values"])
        return said
    said["verdict"] = decide(goal, ratio, bound_noise)
    said["missed_by"] = missed_by(goal, ratio.middle)
    if said["verdict"] == CANNOT_TELL:
        said["why"] = ("no A/A run" if bound_noise is None else
                       "too few blocks" if not ratio.covered else
                       f"the median is {'inside' if said['inside'] else 'outside'}")
    most = float(goal.only.split()[-1]) if goal.only else None
    if most is not None and (bound_noise is None or bound_noise >= most):
        said["verdict"] = CANNOT_TELL
        said["why"] = f"the A/A spread is not below {100 * most:g} %"
    return said


def check(goals, rows):
    """One result for each goal."""
    results = []
    for goal in goals:
        mine = chosen(goal.row, rows)
        others = [None] if goal.against == "-" else chosen(goal.against, rows)
        if not mine or not others:
            results.append({"goal": goal.name, "row": goal.row, "bound": goal.bound,
                            "against": None if goal.against == "-" else goal.against,
                            "value": None, "verdict": CANNOT_TELL,
                            "why": f"not run: {goal.against if mine else goal.row}"})
            continue
        each = [judge(goal, row, other, rows) for row in mine for other in others]
        weight = {MISSED: 2, CANNOT_TELL: 1, HOLDS: 0}
        worst = max(each, key=lambda one: (weight[one["verdict"]], one["missed_by"]))
        worst["beside"] = len(each)
        results.append(worst)
    return results
