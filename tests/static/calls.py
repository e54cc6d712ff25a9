# SPDX-License-Identifier: Apache-2.0
"""calls.py - who calls whom, read from the relocations and the code of object files.

It knows objdump and x86-64. It does not know which calls are allowed. An indirect call through the
system table becomes "wr_sys+0x28"; any other indirect call becomes "*" and the instruction.
"""
import re
import subprocess

HEAD = re.compile(r"^([0-9a-f]+) <(.+)>:$")
CODE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)\s*(.*)$")
RELOCATION = re.compile(r"^\s*[0-9a-f]+:\s+R_X86_64_(\S+)\s+(\S+)$")
SECTION = re.compile(r"^Disassembly of section (\S+):")
TARGET = re.compile(r"^[0-9a-f]+ <([^+>]+)(?:\+0x([0-9a-f]+))?>")


def base_name(name):
    """wr_push.cold, wr_push.part.0 and wr_push.isra.0 are wr_push."""
    return re.sub(r"\.(cold|part|isra|constprop|lto_priv)(\.\d+)?", "", name)


def read_object(path):
    """{function: [(callee, instruction)]} of one object; names of one file are told apart by it."""
    text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", path], capture_output=True,
                          text=True, check=True).stdout
    begins, section, functions, at = {}, "", [], None
    for line in text.splitlines():
        match = SECTION.match(line)
        if match:
            section = match.group(1)
            continue
        match = HEAD.match(line)
        if match:
            at = (match.group(2), [])
            begins.setdefault(section, []).append((int(match.group(1), 16), match.group(2)))
            functions.append(at)
            continue
        match = RELOCATION.match(line)
        if match and at and at[1]:
            at[1][-1][2] = (match.group(1), match.group(2))
            continue
        match = CODE.match(line)
        if match and at:
            at[1].append([match.group(2), match.group(3), None])

    def owner(where, offset):
        found = None
        for begin, name in sorted(begins.get(where, [])):
            if begin <= offset:
                found = name
        return found

    calls = {}
    for name, code in functions:
        mine = calls.setdefault(base_name(name), [])
        for operation, operands, relocation in code:
            callee = callee_of(operation, operands, relocation, owner)
            if callee and base_name(callee) != base_name(name):
                mine.append((base_name(callee), f"{operation} {operands}".strip()))
    return calls


def callee_of(operation, operands, relocation, owner):
    jump = operation.startswith("j")
    if operation not in ("call", "callq") and not jump:
        # An address that is taken may be called: a function's name in a lea or a mov.
        return None
    if operands.startswith("*"):
        if jump and relocation is None and "%rip" not in operands:
            return None if "," in operands else "*" + operands  # a table of a switch, or a tail
        symbol = relocation[1] if relocation else ""
        match = re.match(r"^(\w+)(?:([+-])0x([0-9a-f]+))?$", symbol)
        if match and relocation[0].startswith(("GOTPCREL", "REX_GOTPCREL")):
            return match.group(1)
        if match:
            addend = int((match.group(2) or "+") + (match.group(3) or "0"), 16)
            return f"{match.group(1)}+{addend + 4:#x}"
        return "*" + operands
    if relocation:
        match = re.match(r"^([\w.]+?)(?:([+-])0x([0-9a-f]+))?$", relocation[1])
        name = match.group(1)
        if name.startswith("."):
            return owner(name, int((match.group(2) or "+") + (match.group(3) or "0"), 16) + 4)
        return name
    match = TARGET.match(operands)
    return match.group(1) if match else None


def read_all(paths):
    """The graph of all objects; a name that several files define statically is joined."""
    graph = {}
    for path in paths:
        for name, callees in read_object(path).items():
            graph.setdefault(name, []).extend(callees)
    return graph


def reach(graph, roots, stop=()):
    """{function: the way there}, from the roots on, without going into those of `stop`."""
    ways = {root: [root] for root in roots}
    left = list(roots)
    while left:
        name = left.pop()
        if name in stop:
            continue
        for callee, _ in graph.get(name, []):
            if callee not in ways:
                ways[callee] = ways[name] + [callee]
                left.append(callee)
    return ways
