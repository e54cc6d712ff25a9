#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plots and the page: each parses, shows as many points as the JSON has, and fetches nothing."""
import html.parser
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

from checks import BENCH, about, alike, case, equal, holds, made, main, row

from report import document, page, plots, svg

SPACE = "{http://www.w3.org/2000/svg}"
SPECTRUM = [[0.01, 100], [0.5, 200], [0.9, 400], [0.99, 4000], [0.999, 90000], [1, 2e6]]


def everything():
    """A run with each kind of plot."""
    rows = []
    for i, peer in enumerate(("weir", "floor", "mutex", "a&b<c>", 'say"so"', "weir-own")):
        rows.append(row(f"push/{peer}/1p/8B", about(3 * 4.0 ** i), alike(3)))
        rows.append(row(f"push/{peer}/2p/8B", about(3 + i)))
    for peer in ("weir", "ck_ring", "spsc"):
        for producers in (1, 2, 8, 32):
            rows.append(row(f"throughput/{peer}/{producers}p/64B", about(100 / producers),
                            unit="M records/s", more=True))
            rows.append(row(f"throughput/{peer}/{producers}p/64B/eager", [0] * 9, more=True))
    for peer in ("weir", "eventfd"):
        rows.append(row(f"trigger/{peer}/threshold", about(200), metric="p50", spectrum=SPECTRUM))
        rows.append(row(f"trigger/{peer}/threshold", about(4000), metric="p99"))
    for rings in (1, 2, 1024):
        rows.append(row(f"scale/weir/batch/{rings}r", about(7000), group="scale/batch"))
        rows.append(row(f"scale/weir-own/batch/{rings}r", about(3000), group="scale/batch/own"))
    for rate in (10, 1000, 1000000):
        rows.append(row(f"delivery/weir/poisson/{rate}hz", about(5e6 / rate), metric="p99"))
    rows += [document.rename(row(f"{question}/weir/1p/64B", about(9)))
             for question in ("push", "throughput")]
    return made(rows)


def shown(text):
    """Of one SVG: the root, and its points."""
    root = tree.fromstring(text)
    points = [one for one in root.iter() if one.get("class") == "point"]
    for one in points:
        equal(bool(one.findtext(SPACE + "title")), True, "a title of each point")
    return root, points


def wanted_points(made_of):
    """How many figures the JSON has, for each plot by its file's name; without plots.py."""
    found = {}

    def add(name, count):
        name = re.sub(r"[^\w.+-]+", "-", name) + ".svg"
        found[name] = found.get(name, 0) + count
    for one in made_of["rows"]:
        group, metric = one["group"], one["metric"]
        tail = "/" + metric if metric else ""
        if re.match("(fallback/)?(push|sinks)/", group) and metric != "records":
            add(f"bars-{group}{tail}", 1)
        if "spectrum" in one:
            add(f"spectrum-{group}", len(one["spectrum"]))
        if re.match(r"(fallback/)?throughput/\d+p/", group):
            add(re.sub(r"/\d+p/", "/Np/", group) + tail, 1)
        if re.match(r"(fallback/)?delivery/\w+/\d+hz", group):
            add(re.sub(r"/\d+hz", "/Nhz", group) + tail, 1)
        if re.match(r"scale/[^/]+/batch/\d+r", one["case"]):
            add(group.replace("batch/own", "batch") + tail, 1)
    return found


@case
def counts():
    """Each SVG parses, and has as many points as the JSON has figures for it."""
    built = everything()
    drawn = {plot.file: plot for plot in plots.all_of(built)}
    wanted = wanted_points(built)
    equal(sorted(drawn), sorted(wanted), "the plots")
    for name, plot in drawn.items():
        for text in (plot.alone(), plot.inline()):
            equal(len(shown(text)[1]), wanted[name], f"the points of {name}")


@case
def real():
    """The plots that stand in bench/README.md parse, and the page shows them."""
    folder = os.path.join(BENCH, "plots")
    names = sorted(os.listdir(folder))
    equal(len(names) >= 2, True, "two plots")
    with open(os.path.join(BENCH, "README.md"), encoding="utf-8") as file:
        text = file.read()
    for name in names:
        holds(text, f"(plots/{name})")
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            equal(len(shown(file.read())[1]) > 3, True, "points")


@case
def inside():
    """Nothing is drawn outside of its picture, and no text stands on another."""
    for plot in plots.all_of(everything()):
        root, points = shown(plot.alone())
        width, height = (float(one) for one in root.get("viewBox").split()[2:])
        for one in points:
            x = float(one.get("cx") or one.get("x"))
            y = float(one.get("cy") or one.get("y"))
            equal(0 <= x <= width and 0 <= y <= height, True, f"{plot.name}: a point")
        boxes = []
        for one in root.iter(SPACE + "text"):
            wide = svg.width_of(one.text) * (1.2 if one.get("class") == "title" else 1)
            x, y = float(one.get("x")), float(one.get("y"))
            x -= {"end": wide, "middle": wide / 2}.get(one.get("text-anchor"), 0)
            equal(x >= 0 and x + wide <= width + 1 and y <= height, True,
                  f"{plot.name}: the place of {one.text}")
            boxes.append((x, y - 10, x + wide, y + 2, one.text))
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                equal(apart, True, f"{plot.name}: {a[4]} beside {b[4]}")


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.outside = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)
        for key, value in attrs:
            if tag in ("script", "link", "img", "iframe") or key == "src" or \
                    (key == "href" and not value.startswith("#")):
                self.outside.append((tag, key, value))

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag, "the element that ends")


@case
def alone():
    """The page is whole by itself: it fetches nothing, runs nothing, and closes what it opens."""
    text = page.html(everything(), "text & more <than> that")
    parsed = Page()
    parsed.feed(text)
    equal((parsed.open, parsed.outside), ([], []))
    equal(re.findall(r"url\(|@import|javascript:", text), [], "what is fetched")
    holds(text, "prefers-color-scheme:dark", "weir is better", "text &amp; more &lt;than&gt;")
    equal(text.count('class="point"'), sum(wanted_points(everything()).values()), "its points")


@case
def again(folder):
    """bench/run makes text, page, plots and JSON from a document of an earlier run."""
    source = os.path.join(folder, "a.json")
    document.write(everything(), source)
    where = {name: os.path.join(folder, name) for name in ("b.json", "c.html", "d.txt", "plots")}
    done = subprocess.run([sys.executable, os.path.join(BENCH, "run"), "--from", source, "--json",
                           where["b.json"], "--html", where["c.html"], "--text", where["d.txt"],
                           "--plots", where["plots"], "--compare", source],
                          capture_output=True, text=True, timeout=120)
    equal((done.returncode, done.stderr), (0, ""))
    with open(where["d.txt"], encoding="utf-8") as file:
        equal(file.read(), done.stdout, "what is printed")
    equal(document.read(where["b.json"]), document.read(source))
    equal(sorted(os.listdir(where["plots"])), sorted(wanted_points(everything())))
    with open(where["c.html"], encoding="utf-8") as file:
        holds(file.read(), "</html>")


sys.exit(main())
