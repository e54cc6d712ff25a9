# SPDX-License-Identifier: Apache-2.0
"""calls.py - who calls whom, read from the code of object files.

It knows nothing of which calls are allowed. A call through a pointer becomes what the pointer was
read from ("*wr_sys+0x28"), the function if its address was taken nearby, or "?" and the instruction
where that is not known. A function that only its file knows is called NAME@FILE.
"""
import os

import flow


def callees(code, one):
    """The names that an instruction calls or jumps to."""
    if one.is_indirect:
        operand = one.operands[0]
        value = code.source(one, operand[1:])
        if one.is_jump and all(origin[:6] == "table " for origin in value):
            return []
        return [origin[1:] if origin.startswith("&") else
                origin if origin.startswith("*") else "? " + " ".join(one.text.split())
                for origin in sorted(value)]
    place = code.target(one)
    if isinstance(place, tuple):
        place = code.owner(*place)
    return [place or "? " + one.text]


def named(code, name):
    """A function's name among all objects."""
    name = flow.base_name(name)
    return f"{name}@{os.path.basename(code.path)}" if name in code.own else name


def graph(objects):
    """{function: {callee}} of all objects."""
    found = {}
    for code in objects:
        for one in code.code:
            me = named(code, one.function)
            mine = found.setdefault(me, set())
            if one.is_call or one.is_jump:
                mine.update({named(code, name) for name in callees(code, one)} - {me})
    return found


def reach(calls, roots, stop=()):
    """{function: the way there}, from the roots on, without going into those of `stop`."""
    ways = {root: [root] for root in roots}
    left = list(roots)
    while left:
        name = left.pop()
        if name in stop:
            continue
        for callee in sorted(calls.get(name, ())):
            if callee not in ways:
                ways[callee] = ways[name] + [callee]
                left.append(callee)
    return ways
