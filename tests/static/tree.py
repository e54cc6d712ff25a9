# SPDX-License-Identifier: Apache-2.0
"""tree.py - a build tree: what is compiled, how, and into which objects. It judges nothing."""
import glob
import json
import os
import re
import shlex
import subprocess
import sys

ROOT, BUILD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
# What is installed: the library, the command, the simulator. Tests are looked at by running them.
OURS = ("engine/libweir.", "weir.p/", "weir-sim.p/")


def commands():
    """{source: (arguments of its compiler, where it runs)} of what is installed, once each."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    found = {}
    for entry in entries:
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), ROOT)
        if entry["output"].startswith(OURS) and path.endswith(".c"):
            found.setdefault(path, (shlex.split(entry["command"]), entry["directory"]))
    return found


COMMANDS = commands()
SANITIZED = any("-fsanitize" in " ".join(words) or "--coverage" in words or "-O0" in words
                for words, _ in COMMANDS.values())


def arguments(path, kinds=("-I", "-D", "-U", "-O", "-f", "-std")):
    """The flags that matter of a source's compilation, with absolute folders."""
    words, folder = COMMANDS[path]
    kept = []
    for word in words[1:]:
        if word.startswith("-I"):
            kept.append("-I" + os.path.normpath(os.path.join(folder, word[2:])))
        elif word.startswith(kinds) and not word.startswith("-fdiagnostics"):
            kept.append(word)
    return kept


def objects():
    """{source: object} of the library."""
    found = {}
    for made in glob.glob(os.path.join(BUILD, "engine", "libweir.*.p", "*.o")):
        room, _, rest = os.path.basename(made)[:-2].partition("_")
        if f"engine/{room}/{rest}" in COMMANDS: # a renamed source leaves its object behind
            found[f"engine/{room}/{rest}"] = made
    return found


def users(path):
    """The library's sources that @path is compiled with."""
    if path.endswith(".c"):
        return [path]
    found = []
    for source in objects():
        made = subprocess.run([COMMANDS[source][0][0], *arguments(source), "-MM",
                               os.path.join(ROOT, source)], capture_output=True, text=True,
                              check=False).stdout
        if os.path.join(ROOT, path) in made.split():
            found.append(source)
    return found


def compile_changed(path, text, made, place):
    """Compiles {source: object} with @text in the place of @path. A message, or ''."""
    changed = os.path.join(place, os.path.relpath(path, "engine"))
    os.makedirs(os.path.dirname(changed), exist_ok=True)
    with open(changed, "w", encoding="utf-8") as file:
        file.write(text)
    for source, to in made.items():
        done = subprocess.run([COMMANDS[source][0][0], f"-I{place}", *arguments(source), "-c",
                               changed if source == path else os.path.join(ROOT, source), "-o",
                               to], capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr[:300]
    return ""


def mutated(mutant):
    """The text of a file with a mutant in it, or None: its place is no longer there."""
    with open(os.path.join(ROOT, mutant.path), encoding="utf-8") as file:
        text = file.read()
    if mutant.function: # behind the brace that its body begins with
        at = re.search(r"^\w[^\n;]*\b" + mutant.function + r"\([^;{]*\)\n\{\n", text, re.MULTILINE)
        return mutant.include + text[:at.end()] + "\t" + mutant.new + "\n" + text[at.end():] \
            if at else None
    return text.replace(mutant.old, mutant.new) if text.count(mutant.old) == 1 else None
