# SPDX-License-Identifier: Apache-2.0
"""plots.py - the plots of a run: bars with intervals, percentile spectra, lines over a count.

A plot shows each figure that it has as an element of class "point" with a title, so that a test can
count them. It knows rows; how they are drawn is svg.py's.
"""
import html
import math
import re

from report import svg
from report.document import groups, is_ours
from report.table import label, number, range_of

WIDTH = 860
# A figure over a count that stands in a row's group, or in its case, and whether it is logarithmic.
OVER = (("throughput", "group", r"(?:fallback/)?throughput/(?P<n>\d+)p/.+", "producers", False),
        ("delivery", "group", r"(?:fallback/)?delivery/\w+/(?P<n>\d+)hz", "records a second", True),
        ("scale", "case", r"scale/[^/]+/batch/(?P<n>\d+)r", "rings", False))


class Plot:
    def __init__(self, kind, question, name, height, inside):
        self.kind, self.question, self.name, self.height = kind, question, name, height
        self.inside = inside
        called = name if kind in name else f"{kind}-{name}"
        self.file = re.sub(r"[^\w.+-]+", "-", called) + ".svg"

    def inline(self):
        return svg.document(WIDTH, self.height, self.name, self.inside, False)

    def alone(self):
        return svg.document(WIDTH, self.height, self.name, self.inside, True) + "\n"


def point(shape, title, **attributes):
    return svg.tag(shape, svg.tag("title", html.escape(title)), class_="point", **attributes)


def heading(name, said):
    return svg.text(16, 24, name, "title") + svg.text(16, 42, said, "dim")


def palette(names):
    """A colour and a dash for each: ours the first ones, always the same."""
    first = [name for name in names if name.startswith("weir")]
    order = sorted(first, key=lambda name: (name != "weir", name))
    order += sorted(name for name in names if name not in first)
    return {name: i for i, name in enumerate(order)}


def sense(row):
    return "more is better" if row["more_is_better"] else "less is better"


def bars(title, metric, unit, rows):
    rows = sorted(rows, key=lambda row: row["median"], reverse=rows[0]["more_is_better"])
    low = min(min(row["interval"][0], row["median"]) for row in rows)
    high = max(row["interval"][1] for row in rows)
    log = low > 0 and high / low > 12
    names = [label(row, rows) for row in rows]
    left = 28 + max(svg.width_of(name) for name in names)
    values = [f"{number(row['median'])}" for row in rows]
    right = WIDTH - 24 - max(svg.width_of(value) for value in values)
    top, step = 60, 22
    bottom = top + step * len(rows)
    if log:
        ends = svg.log_ends(low, high)
        marks = svg.log_ticks(*ends)
    else:
        marks = svg.ticks(high)
        ends = (0, marks[-1])
    x = svg.Scale(*ends, left, right, log)
    parts = [heading(f"{title}{' ' + metric if metric else ''}",
                     f"{unit}, {sense(rows[0])}; bar: median, line: its interval"
                     + ("; logarithmic" if log else ""))]
    for mark in marks:
        parts += [svg.line(x(mark), top - 4, x(mark), bottom, "grid"),
                  svg.text(x(mark), bottom + 16, svg.short(mark), "dim num", "middle")]
    for i, row in enumerate(rows):
        y, ours = top + step * i, is_ours(row)
        low, high = row["interval"]
        parts.append(svg.text(left - 8, y + 15, names[i], "ours" if ours else "", "end"))
        parts.append(svg.tag("g", point(
            "rect", f"{names[i]}: {values[i]} {unit} ({range_of(row['interval'])})",
            x=svg.place(left), y=svg.place(y + 4),
            width=svg.place(max(x(row["median"]) - left, 1)), height=14, rx=2,
            fill="currentColor", fill_opacity="0.85" if ours else "0.45"),
            class_=svg.colour(0 if ours else 8)))
        parts.append(svg.line(x(low), y + 11, x(high), y + 11, "whisker"))
        for end in (low, high):
            parts.append(svg.line(x(end), y + 7, x(end), y + 15, "whisker"))
        parts.append(svg.text(WIDTH - 16, y + 15, values[i], "num ours" if ours else "num", "end"))
    parts.append(svg.line(left, top - 4, left, bottom, "axis"))
    return Plot("bars", rows[0]["question"], f"{title}{'/' + metric if metric else ''}",
                bottom + 30, "".join(parts))


def apart(wanted, low, high, step=15):
    """Heights of labels: near what is wanted, in that order, none over another."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    at = {}
    least = low
    for i in order:
        at[i] = max(wanted[i], least)
        least = at[i] + step
    most = high
    for i in reversed(order):
        at[i] = min(at[i], most)
        most = at[i] - step
    return [at[i] for i in range(len(wanted))]


def lines(kind, question, name, said, series, x_of, x_marks, y_log, x_name):
    """@series: {name: [(x, y, title)]}. @x_of: Scale's ends. @x_marks: [(x, label)]."""
    names = list(series)
    right = WIDTH - 40 - max(svg.width_of(one) for one in names)
    top = 62
    bottom = top + max(300, 15 * len(names) + 10)
    values = [y for points in series.values() for _, y, _ in points]
    if y_log:
        ends = svg.log_ends(max(min(values), 1e-3), max(max(values), 2e-3))
        marks = svg.log_ticks(*ends)
    else:
        marks = svg.ticks(max(values))
        ends = (0, marks[-1])
    left = 30 + max(svg.width_of(svg.short(mark)) for mark in marks)
    y = svg.Scale(*ends, bottom, top, y_log)
    x = svg.Scale(*x_of, left + 8, right - 8)
    parts = [heading(name, said)]
    for mark in marks:
        parts += [svg.line(left, y(mark), right, y(mark), "grid"),
                  svg.text(left - 8, y(mark) + 4, svg.short(mark), "dim num", "end")]
    for at, words in x_marks:
        parts += [svg.line(x(at), bottom, x(at), bottom + 5, "axis"),
                  svg.text(x(at), bottom + 19, words, "dim num", "middle")]
    parts += [svg.line(left, bottom, right, bottom, "axis"),
              svg.text((left + right) / 2, bottom + 38, x_name, "dim", "middle")]
    chosen = palette(names)
    heights = apart([y(series[one][-1][1]) for one in names], top + 4, bottom)
    for one, height in sorted(zip(names, heights), key=lambda pair: -chosen[pair[0]]):
        places = [(x(at), y(value), title) for at, value, title in series[one]]
        ours = one.startswith("weir")
        inside = svg.tag("polyline", points=" ".join(f"{svg.place(a)},{svg.place(b)}"
                                                     for a, b, _ in places),
                         fill="none", stroke="currentColor", stroke_width=2.6 if ours else 1.4,
                         stroke_dasharray=svg.dash(chosen[one]), stroke_linejoin="round")
        inside += "".join(point("circle", title, cx=svg.place(a), cy=svg.place(b),
                                r=3.6 if ours else 2.6, fill="currentColor")
                          for a, b, title in places)
        inside += svg.line(places[-1][0] + 4, places[-1][1], right + 14, height - 4, "",
                           stroke="currentColor", stroke_opacity="0.35")
        inside += svg.line(right + 14, height - 4, right + 26, height - 4, "",
                           stroke="currentColor", stroke_width=2.6 if ours else 1.6,
                           stroke_dasharray=svg.dash(chosen[one]))
        parts.append(svg.tag("g", inside, class_=svg.colour(chosen[one])))
        parts.append(svg.text(right + 30, height, one, "ours" if ours else ""))
    return Plot(kind, question, name, bottom + 52, "".join(parts))


def spectra(title, rows):
    """Latency over the part of events that took no longer; both logarithmic."""
    series, far = {}, 1.0
    for row in rows:
        many = max(row.get("count", 0), 2)
        points = []
        for part, value in row["spectrum"]:
            at = math.log10(many) if part >= 1 else -math.log10(1 - part)
            points.append((at, value, f"{label(row, rows)}: {number(value)} ns at "
                           + (f"most, of {many:,}" if part >= 1 else f"{100 * part:g} %")))
        series[label(row, rows)] = points
        far = max(far, max(at for at, _, _ in points))
    marks = [(0, "0")] + [(-math.log10(1 - part), f"{100 * part:.10g} %") for part in
                          (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999, 0.9999999)]
    return lines("spectrum", rows[0]["question"], title,
                 "ns, logarithmic, less is better; the last point is the longest", series, (0, far),
                 [(at, words) for at, words in marks if at <= far], True,
                 "part of all that took no longer")


def over(kind, name, pairs, x_name, log):
    """@pairs: rows, and the count that each stands for."""
    series = {}
    for row, count in sorted(pairs, key=lambda pair: pair[1]):
        series.setdefault(row["peer"], []).append(
            (math.log2(count), row["median"],
             f"{row['peer']}: {number(row['median'])} {row['unit']} ({range_of(row['interval'])}), "
             f"{count:,} {x_name}"))
    rows, distinct = [row for row, _ in pairs], sorted({count for _, count in pairs})
    ends = (math.log2(distinct[0]), max(math.log2(distinct[-1]), math.log2(distinct[0]) + 1))
    log = log and min(row["median"] for row in rows) > 0
    said = f"{rows[0]['unit']}, {sense(rows[0])}{'; logarithmic' if log else ''}"
    return lines(kind, rows[0]["question"], name, said, series, ends,
                 [(math.log2(count), svg.short(count) if count > 9999 else str(count))
                  for count in distinct], log, x_name)


def series_over(document):
    """{(kind, name): ([(row, count)], what is counted, logarithmic)}"""
    found = {}
    for row in document["rows"]:
        for kind, field, pattern, counted, log in OVER:
            match = re.fullmatch(pattern, row[field])
            if match:
                name = row["group"]
                if field == "group":
                    name = name[:match.start("n")] + "N" + name[match.end("n"):]
                name += "/" + row["metric"] if row["metric"] else ""
                # Two groups of one unit stand in one plot: by waking, and by polling.
                name = name.replace("batch/own", "batch")
                found.setdefault((kind, name), ([], counted, log))[0].append(
                    (row, int(match.group("n"))))
    return found


def all_of(document):
    made = []
    for (title, metric, unit), rows in groups(document["rows"]):
        if re.match("(fallback/)?(push|sinks)/", title) and metric != "records":
            made.append(bars(title, metric, unit, rows))
        with_spectrum = [row for row in rows if row.get("spectrum")]
        if with_spectrum:
            made.append(spectra(title, with_spectrum))
    for (kind, name), (pairs, counted, log) in series_over(document).items():
        made.append(over(kind, name, pairs, counted, log))
    return made
