#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of rivals in bench/README.md says what the adapters say."""
import os
import re
import sys

from checks import BENCH, case, equal, holds, main

RIVALS = os.path.join(BENCH, "rivals")


def read(*parts):
    with open(os.path.join(BENCH, *parts), encoding="utf-8") as file:
        return file.read()


def joined(text):
    """C source whose neighbouring strings are one."""
    return re.sub(r'"\s*\n\s*"', "", text)


def adapters():
    """{file: source} of those that have peers."""
    found = {name: joined(read("rivals", name)) for name in sorted(os.listdir(RIVALS))
             if name.endswith((".c", ".cc"))}
    return {name: text for name, text in found.items()
            if name != "peers.c" and re.search(r"\bconst struct peer peer_", text)}


def peers_of(text):
    named = re.findall(r"const struct peer peer_\w+ =\s*\{\s*(?:\.name = )?\"([^\"]+)\"", text)
    return named + re.findall(r"^RTE_PEER\(\w+, \"([^\"]+)\"", text, re.M)


def table():
    """[peers, adapter, package, page, build, own bench]"""
    rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")]
            for line in read("README.md").split("\n") if re.match(r"\| [\w, +-]+ \| \w+\.cc? \|", line)]
    for row in rows:
        equal(len(row), 6, f"the columns of {row[0]}")
        link = re.fullmatch(r"\[here\]\((.*)\)", row[3])
        row[3] = link.group(1) if link else row[3]
        row[0] = row[0].split(", ")
    return rows


@case
def complete():
    """Every peer of every adapter has a place in the table, in its adapter's row."""
    listed = {row[1]: sorted(row[0]) for row in table()}
    equal(listed, {name: sorted(peers_of(text)) for name, text in adapters().items()})


@case
def pages():
    """Page and package are the adapter's, and every page an adapter names is in the table."""
    sources = adapters()
    named = set()
    for _, adapter, package, page, build, _ in table():
        holds(sources[adapter], f'"{page}"', f'"{package}"')
        equal(bool(build), True, f"what is said of {adapter}")
        named.add(page)
    for name, text in sources.items():
        for page in re.findall(r'"(https://[^"]+)"', text):
            equal(page in named, True, f"{page} of {name}")


@case
def all_built():
    """Every peer that the build knows, there or missing, has an adapter's row."""
    names = {peer for row in table() for peer in row[0]}
    build = read("rivals", "meson.build")
    for name in re.findall(r"^\t\['\w+', '([\w+-]+)', 'lib", build, re.M):
        equal(name in names, True, name)
    build = re.sub(r"#.*", "", build)
    for name in re.findall(r"PEER\((\w+)\)", build):
        equal(name.replace("_fixed", "+fixed") in names or name.replace("_", "-") in names
              or re.sub(r"_(?=[a-z]+$)", "-", name) in names, True, name)


@case
def questions():
    """Every question has its section, and every program is a question."""
    text = read("README.md")
    from report import programs
    for name in programs.QUESTIONS:
        holds(text, f"\n### {name}\n")
    for name in os.listdir(BENCH):
        question = re.fullmatch(r"bench_(\w+)\.c", name)
        equal(not question or question.group(1) in programs.QUESTIONS, True, name)


sys.exit(main())
