# SPDX-License-Identifier: Apache-2.0
"""page.py - a run as one HTML page: nothing is fetched, no script, plots inline.

It knows documents and markup; plots come from plots.py, cells from table.py.
"""
import html as markup

from report import plots, svg, table
from report.document import groups

STYLE = """
:root{color-scheme:light dark;--text:#1f2328;--dim:#59636e;--line:#d9dee3;--back:#ffffff;
--soft:#f6f8fa;--good:#1a7f37;--bad:#cf222e}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--dim:#9198a1;--line:#30363d;--back:#0d1117;
--soft:#161b22;--good:#3fb950;--bad:#ff7b72}}
body{margin:0 auto;padding:24px 20px 60px;max-width:1100px;background:var(--back);color:var(--text);
font:15px/1.5 FONT}
h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:44px 0 8px;padding-bottom:4px;
border-bottom:1px solid var(--line)}nav a{margin-right:14px}a{color:inherit}
h3{font-size:14px;margin:18px 0 4px}h3 span,.dim{color:var(--dim);font-weight:400}
pre{background:var(--soft);padding:12px 14px;overflow-x:auto;font-size:12.5px;line-height:1.45;
border-radius:6px}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:3px 12px 3px 0;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}th{color:var(--dim);font-weight:500}
th:first-child,td:first-child,th:last-child,td:last-child{text-align:left}
.goals td:last-child,.goals td:first-child{white-space:normal}
.good{color:var(--good)}.bad{color:var(--bad)}
details{margin:10px 0}summary{cursor:pointer;color:var(--dim)}
svg.plot{display:block;width:100%;max-width:860px;height:auto;margin:14px 0}
""".replace("FONT", svg.FONT)


def tone(words):
    """Colour helps; the words say it without."""
    if "is better" in words or words.startswith("holds"):
        return "good"
    return "bad" if "is worse" in words or words.startswith("missed") else ""


def cells(rows, class_=""):
    def row(name, one):
        return "<tr>" + "".join(
            f"<{name}{f' class={tone(cell)}' if i == len(one) - 1 and tone(cell) else ''}>"
            f"{markup.escape(cell)}</{name}>" for i, cell in enumerate(one)) + "</tr>"
    return (f'<div class="scroll"><table class="{class_}">{row("th", rows[0])}'
            + "".join(row("td", one) for one in rows[1:]) + "</table></div>")


def section(question, rows, drawn):
    parts = [f'<h2 id="{question}">{question}</h2>']
    mine = [plot for plot in drawn if plot.question == question]
    # The whole suite has many bars; the lines say most at a glance.
    shown = [plot for plot in mine if plot.kind != "bars"] + [p for p in mine if p.kind == "bars"]
    parts += [plot.inline() for plot in shown[:6]]
    if shown[6:]:
        parts.append(f"<details><summary>{len(shown) - 6} more plots</summary>"
                     + "".join(plot.inline() for plot in shown[6:]) + "</details>")
    tables = []
    for (title, metric, unit), members in groups(rows):
        head, lines = table.group_cells(title, metric, unit, members)
        name, said = head.split("   ", 1)
        tables.append(f"<h3>{markup.escape(name)} <span>{markup.escape(said)}</span></h3>"
                      + cells(lines))
    parts.append(f"<details{' open' if len(tables) < 8 else ''}><summary>"
                 f"{len(tables)} table{'s' if len(tables) > 1 else ''}</summary>"
                 + "".join(tables) + "</details>")
    return "".join(parts)


def html(document, text):
    drawn = plots.all_of(document)
    questions = list(dict.fromkeys(row["question"] for row in document["rows"]))
    links = "".join(f'<a href="#{one}">{one}</a>' for one in questions)
    parts = ["<!DOCTYPE html>\n", '<html lang="en"><head><meta charset="utf-8">',
             '<meta name="viewport" content="width=device-width,initial-scale=1">',
             f"<title>weir bench</title><style>{STYLE}{svg.STYLE}</style></head><body>",
             '<h1>weir bench</h1><p class="dim">A ratio is claimed only when its whole interval is '
             "further from 1 than the A/A spread, which is what weir differs from itself by."
             f"</p><nav>{links}</nav>",
             "<pre>" + markup.escape("\n".join(table.machine_lines(document))) + "</pre>"]
    if document["goals"]:
        parts.append('<h2 id="goals">goals</h2>' + cells(table.goal_cells(document), "goals"))
    for question in questions:
        parts.append(section(question, [row for row in document["rows"]
                                        if row["question"] == question], drawn))
    missing = table.without_lines(document)
    if missing:
        parts.append('<h2 id="without">not in these tables</h2><ul>'
                     + "".join(f"<li>{markup.escape(one)}</li>" for one in missing) + "</ul>")
    parts.append("<details><summary>the same as plain text</summary><pre>"
                 + markup.escape(text) + "</pre></details></body></html>\n")
    return "".join(parts)
