#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""draw.py - single-line mutants of the rooms ring, flush and log, drawn by a seed.

    draw.py SOURCE [SEED [COUNT]]      prints them

A statement is deleted or changes places with the one behind it, a constant or a comparison is another
one, a memory order is relaxed. Line numbers stay, so that the compiler's output can be compared. Each
candidate has a number that depends on its own lines and the seed alone, and the smallest are drawn:
a change elsewhere in the source changes few of them.

It reads text, not C: what does not compile is no mutant.
"""
import collections
import glob
import hashlib
import os
import re
import sys

ROOMS = ("ring", "flush", "log")
# Shares of what is drawn.
KINDS = {"delete": 0.30, "swap": 0.15, "constant": 0.25, "operator": 0.20, "order": 0.10}
LEFT_OUT = re.compile(r"WR_TESTPOINT|WR_POINT|WR_MUTANT|WR_SOUND|WR_ASSERT|static_assert|WR_TSAN"
                      r"|WR_TEST_OFF|#include|#if|#endif"
                      r"|^#define WR_[A-Z_]*_H$|SPDX")
DECLARED = re.compile(r"^\t+(const |static |struct \w+ [*\w]+[,;=[]|struct \w+ \*|u?int\d+_t [*\w]"
                      r"|int \w|size_t |ssize_t |unsigned |char |enum \w+ \w+|va_list|void )")
ASM = re.compile(r'^\t+"[^"]+\\n\\t"( /\*.*\*/)?( \\)?$')
# These change nothing and look at nothing but what they are given.
PURE = re.compile(r"\b(get|min_u64|sizeof|wr_(head|alarm|limit|due|header)_\w+|wr_log_block_bytes)\(")
OPERATORS = [(" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "), (" == ", " != "),
             (" != ", " == "), (" && ", " || "), (" || ", " && "), (" + ", " - "), (" - ", " + "),
             ("if (!", "if ("), (" | ", " & ")]


class Drawn:
    """One mutant: line @number of @path becomes @new (and the next one @second, if swapped)."""

    def __init__(self, path, number, kind, old, new, context, function):
        self.path, self.number, self.kind, self.function = path, number, kind, function
        self.old, self.new, self.context = old, new, context
        self.behind = ""  # the line before, when its function has the same mutant elsewhere

    def key(self):
        """What it is called in the list of survivors."""
        place = f"{self.path} {self.function}: " if self.function else f"{self.path}: "
        place += f"behind {self.behind}: " if self.behind else ""
        return f"{place}{' / '.join(o.strip() for o in self.old)} -> " \
               f"{' / '.join(n.strip() for n in self.new)}"

    def rank(self, seed):
        told = "\n".join([str(seed), self.path, self.kind, *self.old, *self.new, self.context])
        return hashlib.sha256(told.encode()).hexdigest()

    def apply(self, source):
        """The changed text of its file."""
        with open(os.path.join(source, self.path), encoding="utf-8") as file:
            lines = file.read().split("\n")
        at = self.number - 1
        assert lines[at:at + len(self.old)] == self.old
        return "\n".join(lines[:at] + self.new + lines[at + len(self.old):])


def code_lines(text):
    """Numbers of lines that hold code, and the text without its comments, line by line."""
    bare = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.DOTALL)
    return [line.rstrip() for line in bare.split("\n")]


def is_statement(bare, i):
    """Is line @i one whole statement that can be left out?"""
    line = bare[i]
    if not re.match(r"^\t+[A-Za-z_(*+-].*;$", line) or DECLARED.match(line):
        return False
    if not re.search(r"[(=]|\+\+|--|^\t+(return|break|continue)", line):
        return False
    if line.count("(") != line.count(")"):
        return False
    before = next((bare[k] for k in range(i - 1, -1, -1) if bare[k].strip()), "")
    return bool(re.search(r"[;{}:)]$|else$", before)) or before.startswith("#")


def independent(a, b):
    """Can two neighbours be seen to be in no order? Plain assignments of which neither names what the
    other sets; or loads to two registers."""
    moves = [re.match(r'^\t+"v?mov\w+ (\$?[\w%]+|\S*\([^)]*\)), (%%\w+)\\n\\t"', x) for x in (a, b)]
    if all(moves):
        to = [re.sub(r"^%%[er](?=[a-z])|(?<=\d)d$", "", move.group(2)) for move in moves]
        return to[0] != to[1] and to[0] not in b and to[1] not in a
    sets = [re.match(r"^\t+[\w>.-]*?(\w+)(\[\w+\])? [+|-]?= (.*);$", x) or
            re.match(r"^\t+[\w>.-]*?(\w+)(\+\+)();$", x) for x in (a, b)]
    if not all(sets) or re.search(r"\w\(|LOAD|STORE|CAS|atomic", PURE.sub("", a + b)):
        return False
    return not re.search(rf"\b{sets[0].group(1)}\b", b) and \
        not re.search(rf"\b{sets[1].group(1)}\b", a)


def constants(line):
    """The line with each of its constants changed in turn."""
    for match in re.finditer(r"(?<![\w.\"$%(-])(0x[0-9a-f]+|\d+)(?=u?\b|U?L?L?\b)", line):
        if line[:match.start()].count('"') % 2:
            continue
        value = match.group(0)
        other = hex(int(value, 16) + 1) if value.startswith("0x") else \
            "0" if value == "1" else str(int(value) + 1)
        yield line[:match.start()] + other + line[match.end():]
    if ASM.match(line):
        for match in re.finditer(r"\$(-?\d+)", line):
            yield line[:match.start(1)] + str(int(match.group(1)) + 1) + line[match.end(1):]


def candidates_of(path, text):
    lines, bare = text.split("\n"), code_lines(text)
    function = ""
    for i, line in enumerate(lines):
        head = re.match(r"^[A-Za-z_][^=;]*?\b(\w+)\(", bare[i])
        function = head.group(1) if head else "" if line.startswith("}") else function
        if not bare[i].strip() or LEFT_OUT.search(line):
            continue
        around = "\n".join(lines[max(0, i - 2):i + 3])

        def made(kind, new, old=None, at=i, context=around):
            return Drawn(path, at + 1, kind, old or [lines[at]], new, context, function)

        indent = re.match(r"^\t*", line).group(0)
        if ASM.match(line):
            yield made("delete", [indent + '""' + (" \\" if line.endswith("\\") else "")])
            if i + 1 < len(lines) and ASM.match(lines[i + 1]) and line != lines[i + 1] and \
               line.endswith("\\") == lines[i + 1].endswith("\\") and \
               not independent(line, lines[i + 1]):
                yield made("swap", [lines[i + 1], line], [line, lines[i + 1]])
        elif is_statement(bare, i):
            yield made("delete", [indent + ";"])
            if i + 1 < len(lines) and is_statement(bare, i + 1) and bare[i + 1] != bare[i] and \
               re.match(r"^\t*", lines[i + 1]).group(0) == indent and \
               not independent(bare[i], bare[i + 1]):
                yield made("swap", [lines[i + 1], line], [line, lines[i + 1]])
        if bare[i].startswith("#") and not re.match(r"^#define \w+ .*\d", bare[i]):
            continue
        for other in constants(bare[i] if not ASM.match(line) else line):
            yield made("constant", [other])
        if ASM.match(line):
            continue
        for a, b in OPERATORS:
            at = bare[i].find(a)
            while at >= 0:
                if not bare[i][:at].count('"') % 2:
                    yield made("operator", [bare[i][:at] + b + bare[i][at + len(a):]])
                at = bare[i].find(a, at + 1)
        for match in re.finditer(r"memory_order_(seq_cst|acq_rel|acquire|release)", bare[i]):
            yield made("order", [bare[i][:match.start()] + "memory_order_relaxed" +
                                 bare[i][match.end():]])


def all_of(source):
    """Every candidate there is."""
    for room in ROOMS:
        for path in sorted(glob.glob(os.path.join(source, "engine", room, "*.[ch]"))):
            if "aarch64" in path or "torture" in path:
                continue
            with open(path, encoding="utf-8") as file:
                text = file.read()
            some = list(candidates_of(os.path.relpath(path, source), text))
            keys = collections.Counter(one.key() for one in some)
            lines = [line.strip() for line in code_lines(text)]
            for one in some:
                if keys[one.key()] > 1:
                    one.behind = next(line for line in lines[one.number - 2::-1] if line)
            yield from some


def draw(source, seed, count):
    found = {kind: [] for kind in KINDS}
    for one in all_of(source):
        found[one.kind].append(one)
    drawn = []
    for kind, share in KINDS.items():
        found[kind].sort(key=lambda one: one.rank(seed))
        drawn += found[kind][:round(count * share)]
    return sorted(drawn, key=lambda one: one.rank(seed))


def main():
    seed, count = (sys.argv + ["1", "200"])[2:4] if len(sys.argv) > 3 else \
        ((sys.argv[2] if len(sys.argv) > 2 else "1"), "200")
    for one in draw(sys.argv[1], seed, int(count)):
        print(f"{one.kind:8} {one.path}:{one.number}\n    - " + "\n    - ".join(one.old) +
              "\n    + " + "\n    + ".join(one.new))


if __name__ == "__main__":
    main()
