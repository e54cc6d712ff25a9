# SPDX-License-Identifier: Apache-2.0
"""table.py - a run as plain text. It knows documents and columns; it does no statistics."""
from report import stats
from report.document import groups, reference


def number(value):
    """Four digits that count, never an exponent below a million."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    steps = ((1000, 0), (100, 1), (1, 2), (0.1, 3), (0, 4))
    digits = next(digits for least, digits in steps if size >= least)
    text = f"{value:,.{digits}f}"
    return f"{value:.2g}" if size < 0.001 else text


def range_of(pair):
    return f"{number(pair[0])} .. {number(pair[1])}"


def percent(value):
    if value is None:
        return "not known"
    return f"{100 * value:.1f} %" if value < 1 else f"{100 * value:,.0f} %"


def columns(rows, left=1, indent="  "):
    """Lines of a table; the first @left columns begin, the others end, in line."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) if i < left or i == len(row) - 1 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def machine_lines(document):
    m = document["machine"]
    seconds = sum(run["seconds"] for run in document["questions"])
    blocks = m.get("blocks", 0)
    rank, coverage = stats.ranks(blocks) if blocks else (0, 0)
    return [
        f"machine    {m.get('cpu', '?')}, {m.get('cpus', '?')} CPUs, {m.get('architecture', '?')},"
        f" Linux {m.get('kernel', '?')}",
        f"built      {m.get('compiler', '?')} {m.get('flags', '?')}, weir {m.get('weir', '?')},"
        f" allocator {m.get('allocator', '?')}",
        f"ran        {m.get('date', '?')}, {seconds:,.0f} s,"
        f" {'quick' if m.get('quick') else 'full'},"
        f" {'pinned' if m.get('pinned') else 'unpinned'}, rseq {m.get('rseq', '?')},"
        f" scheduler: {m.get('scheduler', '?')}",
        f"noise      load {m.get('load', 0):.2f} at most when a program began,"
        f" {m.get('steal_s', 0):.2f} s of CPU stolen",
        f"intervals  {blocks} blocks: from value {rank} to value {blocks + 1 - rank} of each,"
        f" which hold the median with {100 * coverage:.1f} %"
        + ("" if coverage >= stats.WANTED else ": too few to claim anything"),
    ]


def label(row, rows):
    """The peer, or what tells its rows apart."""
    alike = sum(one["peer"] == row["peer"] for one in rows)
    return row["peer"] if alike == 1 else row["case"].split("/", 1)[-1]


def group_cells(title, metric, unit, rows):
    """A heading, and the cells of a table with its head."""
    first = reference(rows)
    sense = "more is better" if first["more_is_better"] else "less is better"
    who = label(first, rows)
    head = f"{title}{' ' + metric if metric else ''}   {unit}, {sense}"
    table = [["", "median", "interval", f"{who} / it", "interval", "A/A spread", ""]]
    for row in sorted(rows, key=lambda one: one["median"], reverse=bool(first["more_is_better"])):
        cells = [label(row, rows), number(row["median"]), range_of(row["interval"])]
        versus = row.get("versus")
        if versus:
            verdict = versus["verdict"]
            cells += [number(versus["ratio"]), range_of(versus["interval"]),
                      percent(versus["spread"]),
                      verdict if verdict == stats.CANNOT_TELL else f"{who} is {verdict}"]
        else:
            cells += ["", "", percent(row.get("spread")), ""]
        table.append(cells)
    if len(rows) == 1:  # nothing to stand beside
        table = [row[:3] + row[5:6] for row in table]
    return head, table


def group_lines(title, metric, unit, rows):
    head, table = group_cells(title, metric, unit, rows)
    return [head] + columns(table)


def without_lines(document):
    """What is missing, said once for each reason."""
    lines = goals_not_run(document)
    for run in document["questions"]:
        if run["status"] != "run":
            lines.append(f"{run['question']}{' without rseq' if run['norseq'] else ''}:"
                         f" {run['status']}, {run['why']}")
    if document["machine"].get("scheduler") == "plain":
        lines.append("Google Benchmark (libbenchmark-dev): the programs scheduled their blocks "
                     "themselves")
    found = {}
    for row in document["without"]:
        key = (row["peer"], row["why"], row["failed"])
        found.setdefault(key, []).append(row["group"])
    for (peer, why, failed), places in found.items():
        where = places[0] if len(places) == 1 else f"{len(places)} groups"
        lines.append(f"{peer}: {'FAILED, ' if failed else ''}{why} ({where})")
    return lines


def goal_cells(document):
    table = [["goal", "reached", "interval", "bound", "A/A spread", ""]]
    for goal in document["goals"]:
        if "interval" in goal:
            table.append([goal["goal"], reached(goal), range_of(goal["interval"]), bound(goal),
                          percent(goal["spread"]), outcome(goal)])
    return table


def goals_not_run(document):
    """A line, or none."""
    names = [goal["goal"] for goal in document["goals"] if "interval" not in goal]
    return [f"{len(names)} goals whose rows were not run: {'; '.join(names)}"] if names else []


def unit_of(goal):
    return "" if goal.get("unit", "times") == "times" else " " + goal["unit"]


def reached(goal):
    return number(goal["value"]) + ("" if goal["value"] is None else unit_of(goal))


def bound(goal):
    return goal["bound"] + (" x" if goal["against"] else unit_of(goal))


def outcome(goal):
    if goal["verdict"] == "missed":
        by = goal["missed_by"]
        text = number(by) + unit_of(goal) if goal["bound"] == "= 0" else percent(by)
        return f"missed by {text}" + beside(goal)
    if goal["verdict"] == "holds":
        return "holds" + beside(goal)
    return f"cannot tell: {goal.get('why', '')}" + beside(goal)


def beside(goal):
    """Which one, when it stood beside several."""
    if not goal.get("beside") or goal["beside"] < 2:
        return ""
    return f" (worst of {goal['beside']}: {goal['against']})"


def text(document):
    lines = ["weir bench", ""] + machine_lines(document)
    for (title, metric, unit), rows in groups(document["rows"]):
        lines += [""] + group_lines(title, metric, unit, rows)
    if document["goals"]:
        lines += ["", "goals"] + columns(goal_cells(document))
    missing = without_lines(document)
    if missing:
        lines += ["", "not in these tables"] + ["  " + line for line in missing]
    return "\n".join(lines) + "\n"


def compared(result):
    """What compare.py found."""
    lines = ["", "compared with the base (runs are not interleaved: see bench/README.md)"]
    for key, base, new in result["differences"]:
        lines.append(f"  warning: {key} differs: {base} in the base, {new} here")
    if result["rows"]:
        table = [["", "base", "here", "here / base", "interval", "A/A spread", "rivals moved", ""]]
        table += [[row["name"], number(row["base"]), number(row["new"]), number(row["ratio"]),
                   range_of(row["interval"]), percent(row["spread"]), percent(row["drift"]),
                   row["verdict"]] for row in result["rows"]]
        lines += columns(table)
    for key, what in (("only_base", "in the base only"), ("only_new", "here only")):
        if result[key]:
            lines.append(f"  {what}: {len(result[key])} rows ({', '.join(result[key][:3])}"
                         f"{', ...' if len(result[key]) > 3 else ''})")
    counts = {}
    for row in result["rows"]:
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    lines.append("  in all: " + (", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
                                 or "nothing in common"))
    return "\n".join(lines) + "\n"
