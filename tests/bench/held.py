#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goals: what holds, what is missed, and by how much."""
import os
import re
import sys

from checks import BENCH, about, alike, case, equal, holds, made, main, near, raises, row

from report import goals, table


def result(weir, bound, rivals=(("floor", 10.0),), noise=0.01, against="push/floor/1p/8B", only=""):
    rows = [row("push/weir/1p/8B", about(weir), alike(weir, noise))]
    rows += [row(f"push/{name}/1p/8B", about(value)) for name, value in rivals]
    return made(rows, None, [goals.Goal("it", "push/weir/1p/8B", bound, against, only)])["goals"][0]


@case
def kept():
    """A goal holds or is missed when the whole interval is beyond the bound and the spread."""
    equal(result(12, "<= 1.5")["verdict"], "holds")
    one = result(18, "<= 1.5")
    equal(one["verdict"], "missed")
    near(one["missed_by"], 0.2)
    equal(result(12, ">= 1.5")["verdict"], "missed")
    near(result(12, ">= 1.5")["missed_by"], 0.2)
    equal(result(18, "> 1.5")["verdict"], "holds")
    equal(result(18, "<= 9/5")["verdict"], "cannot tell")


@case
def near_the_bound():
    """Within the spread of the bound one cannot tell, and where the median lies is said."""
    one = result(14.95, "<= 1.5")
    equal((one["verdict"], one["why"]), ("cannot tell", "the median is inside"))
    equal(result(15.05, "<= 1.5")["why"], "the median is outside")
    equal(result(12, "<= 1.5", noise=0.4)["verdict"], "cannot tell")


@case
def worst_of_many():
    """Against several rows the one that it does worst against is reported; !pattern leaves out."""
    rivals = (("a", 20.0), ("b", 8.0), ("c+fixed", 1.0))
    one = result(10, "<= 1", rivals, against="push/*/1p/8B !push/weir* !push/*+fixed/*")
    equal((one["against"], one["beside"], one["verdict"]), ("push/b/1p/8B", 2, "missed"))
    holds(table.outcome(one), "missed by 25.0 %", "worst of 2: push/b/1p/8B")


@case
def absolute():
    """A goal against nothing bounds the row itself; = 0 wants every block to be nothing."""
    equal(result(90, "<= 100", against="-")["verdict"], "holds")
    near(result(130, "<= 100", against="-")["missed_by"], 0.3)
    quiet = goals.Goal("idle", "quiet/weir/idle/wakeups", "= 0", "-")

    def idle(values):
        return made([row("quiet/weir/idle", values, metric="wakeups", unit="1/s")], None,
                    [quiet])["goals"][0]
    equal(idle([0] * 9)["verdict"], "holds")
    equal(idle([0] * 8 + [3])["verdict"], "missed")
    holds(table.outcome(idle([0] * 8 + [3])), "missed by 3.00 1/s")


@case
def condition():
    """A goal on a percentile counts only when its A/A spread is small enough."""
    equal(result(12, "<= 1.5", only="spread < 0.15")["verdict"], "holds")
    one = result(12, "<= 3", noise=0.2, only="spread < 0.15")
    equal(one["verdict"], "cannot tell")
    holds(one["why"], "15 %")


@case
def counted():
    """What is counted and has no A/A run holds when no block is outside."""
    def memory(values):
        return made([row("scale/weir/memory", values, metric="pss", unit="MiB")], None,
                    [goals.Goal("it", "scale/weir/memory/pss", "<= 3", "-")])["goals"][0]
    equal(memory([2.5] * 9)["verdict"], "holds")
    equal(memory([3.5] * 9)["verdict"], "missed")
    equal(memory([2.5] * 8 + [3.5])["verdict"], "cannot tell")


@case
def not_run():
    """A goal whose rows were not run is named, and is neither held nor missed."""
    one = result(12, "<= 1.5", against="push/nobody/1p/8B")
    equal((one["verdict"], one["why"]), ("cannot tell", "not run: push/nobody/1p/8B"))


@case
def groups_apart():
    """Rows of two groups did not run together: the widest interval counts."""
    rows = [row("push/weir/1p/8B", about(10), alike(10)), row("push/weir/2p/8B", about(10), alike(10))]
    one = made(rows, None, [goals.Goal("it", "push/weir/2p/8B", "<= 1.1", "push/weir/1p/8B")])
    one = one["goals"][0]
    equal(one["interval"][1] > 1.01, True, "its interval")
    equal(one["verdict"], "holds")


@case
def sets():
    """{a,b} stands for a line each, and goes along in every column."""
    made_of = goals.expand(["n {1p,2p} {8B,64B}", "t/weir/{1p,2p}/{8B,64B}", "> 1",
                            "t/*/{1p,2p}/{8B,64B}"])
    equal(len(made_of), 4)
    equal(made_of[1], ["n 1p 64B", "t/weir/1p/64B", "> 1", "t/*/1p/64B"])


@case
def bad_lines(folder):
    """A line that is no goal is refused, by its number."""
    path = os.path.join(folder, "goals")
    for text in ("a | b | <= 1", "a | b | about 1 | c", "a | b | <= x | c", "a | b | = 0 | c",
                 "a | b | <= 1 | c | when it rains"):
        with open(path, "w", encoding="utf-8") as file:
            file.write("# comment\n\n" + text + "\n")
        raises(goals.read, path)


@case
def the_table():
    """bench/goals is read, and each of its rows is of a question that a program asks."""
    wanted = goals.read(os.path.join(BENCH, "goals"))
    equal(len(wanted) > 40, True, "the number of checks")
    for goal in wanted:
        question = goal.row.split("/")[0]
        equal(os.path.exists(os.path.join(BENCH, f"bench_{question}.c")), True, question)
        equal(re.search(r"[{}]", goal.name + goal.row + goal.against), None, goal.name)


sys.exit(main())
