# SPDX-License-Identifier: Apache-2.0
"""svg.py - what plots are drawn with: elements, scales, colours that read in light and dark.

It knows pixels. It does not know rows or peers.
"""
import html
import math

LIGHT = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#0e7490", "#cf222e",
         "#57606a", "#3d5a80")
DARK = ("#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#f778ba", "#d29922", "#39c5cf", "#ff7b72",
        "#9aa4af", "#8fb1d9")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"


def colours(which, text, dim, grid, back):
    return (f".plot text{{fill:{text}}}.plot .dim{{fill:{dim}}}.plot .grid{{stroke:{grid}}}"
            f".plot .axis{{stroke:{dim}}}.plot .whisker{{stroke:{text}}}.plot .back{{fill:{back}}}"
            + "".join(f".plot .s{i}{{color:{one}}}" for i, one in enumerate(which)))


STYLE = (f".plot text{{font-family:{FONT};font-size:12px}}.plot .title{{font-size:14px;"
         "font-weight:600}.plot .ours{font-weight:600}.plot .num{font-variant-numeric:tabular-nums}"
         + colours(LIGHT, "#1f2328", "#59636e", "#d9dee3", "#ffffff")
         + "@media (prefers-color-scheme:dark){"
         + colours(DARK, "#e6edf3", "#9198a1", "#30363d", "#0d1117") + "}")


def tag(name, inside=None, **attributes):
    """An element; class_ stands for class, x_y for x-y."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
                    for key, value in attributes.items() if value != "")
    return f"<{name}{words}/>" if inside is None else f"<{name}{words}>{inside}</{name}>"


def place(value):
    return f"{value:.1f}".rstrip("0").rstrip(".")


def line(x1, y1, x2, y2, class_, **more):
    return tag("line", x1=place(x1), y1=place(y1), x2=place(x2), y2=place(y2), class_=class_,
               **more)


def text(x, y, words, class_="", anchor="start"):
    return tag("text", html.escape(words), x=place(x), y=place(y), class_=class_,
               text_anchor="" if anchor == "start" else anchor)


def width_of(words):
    """Of 12 px letters, a little more than they need."""
    return 6.9 * len(words)


def dash(number):
    """Colours first, then dashes: forty lines can be told apart."""
    return DASHES[number // len(LIGHT) % len(DASHES)]


def colour(number):
    return f"s{number % len(LIGHT)}"


class Scale:
    """From values to pixels; logarithmic when @log."""

    def __init__(self, low, high, begin, end, log=False):
        self.low, self.high, self.begin, self.end, self.log = low, high, begin, end, log

    def __call__(self, value):
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
        part = (value - low) / (high - low) if high > low else 0.5
        return self.begin + min(max(part, 0), 1) * (self.end - self.begin)


def log_ends(low, high):
    """1, 2 or 5 times a power of ten below and above."""
    steps = [m * 10.0 ** e for e in range(-9, 13) for m in (1, 2, 5)]
    below = [step for step in steps if step < low * 0.999]
    above = [step for step in steps if step >= high * 0.999]
    return (below or steps)[-1 if below else 0], (above or steps[-1:])[0]


def log_ticks(low, high):
    decades = math.log10(high / low)
    marks = (1, 2, 5) if decades <= 3.2 else (1,)
    ticks = [m * 10.0 ** e for e in range(-9, 13) for m in marks]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def ticks(high, wanted=6):
    """Round numbers from 0 to at least @high."""
    raw = high / wanted if high > 0 else 1
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw * 0.999)
    return [i * step for i in range(int(math.ceil(high / step - 1e-9)) + 1)] or [0, step]


def short(value):
    """A tick's label."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def document(width, height, name, inside, alone):
    """@alone: with its own style and ground, for a file."""
    style = tag("style", STYLE) if alone else ""
    ground = tag("rect", width=width, height=height, class_="back") if alone else ""
    size = {"width": width, "height": height} if alone else {}
    return tag("svg", tag("title", html.escape(name)) + style + ground + inside,
               xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", class_="plot",
               role="img", **size)
