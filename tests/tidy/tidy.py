#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py ROOT [-v] - the parts of the style that a machine can see. TAP, a line for each rule.
It never judges prose. A rule that is wrong here is changed here, not worked around there."""
import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1])
LINE, FILE, FUNCTION = 100, 400, 70
# Which rooms a room may include from; public headers always.
ROOMS = {
    "base": {"base"},
    "stats": {"base", "stats"},
    "ring": {"base", "stats", "ring"},
    "flush": {"base", "stats", "ring", "flush"},
    "log": {"base", "log"},
    "sink": {"base", "log", "sink"},
    "api": {"base", "stats", "ring", "flush", "log", "sink", "api"},
}
BANNED = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]
# Places of one machine, and hosts that packages come from.
MACHINE = re.compile(r"(?<![\w.$])/(work|root|home|team)/|/tmp/team|\b(deb|security)\.debian\.org"
                     r"|\bpypi\.org|\bgithub\.com|\bcrates\.io|\bnpmjs\b")
SYSCALLS = ("open|openat|close|read|write|writev|pread|pwrite|fsync|fdatasync|unlink|unlinkat|"
            "rename|epoll_wait|epoll_ctl|timerfd_settime|clock_gettime|nanosleep|usleep|sleep|"
            "poll|select|time|rand|getrandom|syscall|ftruncate|mkdir|opendir")


def source_files():
    """Yields paths below ROOT, as written in the tree, of every text file of the project."""
    for place, folders, files in os.walk(ROOT):
        # A corpus holds bytes, not text.
        folders[:] = sorted(f for f in folders if f not in (".git", ".deps", "out", ".cache",
                            "__pycache__", "corpus") and not f.startswith("build")
                            and not os.path.exists(os.path.join(place, f, "meson-private")))
        for name in sorted(files):
            yield os.path.relpath(os.path.join(place, name), ROOT)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


TEXT = {path: read(path) for path in source_files()
        if path != "LICENSE" and not path.endswith((".abi", ".o", ".bin", ".seg", ".pyc"))}
C = {path: text for path, text in TEXT.items() if path.endswith((".c", ".h", ".cc", ".h.in"))}
ENGINE = {path: text for path, text in C.items() if path.startswith("engine/")}
PUBLIC = {path: text for path, text in C.items() if path.startswith("include/weir/")}
CODE = {path: text for path, text in C.items() if not path.startswith("tests/")}


def bare(text):
    """The code without comments and strings, lines kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", blank, text,
                  flags=re.S)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def exempt(path):
    """From lengths: tests and tables."""
    return path.startswith("tests/") or "_table." in path


def room(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "engine" and len(parts) > 2 else None


def licence():
    for path, text in TEXT.items():
        if path in C or path.endswith((".sh", ".py", ".S")) or path.startswith(".githooks/"):
            if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.split("\n")[:2]):
                yield path, 1, "no SPDX line"


def opening():
    for path, text in ENGINE.items():
        lines = text.split("\n")
        if len(lines) > 1 and not lines[1].startswith("/*"):
            yield path, 2, "does not open with what it knows"


def lines():
    for path, text in TEXT.items():
        if text and not text.endswith("\n"):
            yield path, line_of(text, len(text)), "no newline at the end"
        if not (path in C or path.endswith((".py", ".sh", "meson.build", ".pml"))):
            continue
        all_lines = text.split("\n")
        for number, line in enumerate(all_lines, 1):
            if line != line.rstrip():
                yield path, number, "blanks at the end, or a carriage return"
            if len(line.expandtabs(8)) > LINE and not exempt(path):
                yield path, number, f"{len(line.expandtabs(8))} columns"
            before = all_lines[number - 2] if number > 1 else ""
            if path in C and re.match(r" +[^*\s]", line) and before.endswith((";", "{", "}")):
                yield path, number, "indented with blanks"


def file_length():
    for path, text in CODE.items():
        count = text.count("\n")
        if count > FILE and not exempt(path) and not path.startswith("include/"):
            yield path, 1, f"{count} lines"


def function_length():
    for path, text in CODE.items():
        code = bare(text).split("\n")
        begin = 0
        for number, line in enumerate(code, 1):
            if line.startswith("{"):
                begin = number
            elif line.startswith("}") and begin:
                long = number - begin - 1 > FUNCTION and not exempt(path)
                if long and "__asm__" not in "".join(code[begin:number]):
                    yield path, begin, f"a function of {number - begin - 1} lines"
                begin = 0


def includes():
    for path, text in C.items():
        own = room(path)
        for match in re.finditer(r'^#include (["<])([^">]+)[">]', text, re.M):
            name, number = match.group(2), line_of(text, match.start())
            other = name.split("/")[0]
            if own and match.group(1) == '"':
                if other not in ROOMS or "/" not in name:
                    yield path, number, f'"{name}" does not name a room'
                elif other not in ROOMS[own]:
                    yield path, number, f"{own} may not see {other}"
            if path.startswith(("tools/", "bench/", "tests/examples/")) and other in ROOMS:
                yield path, number, f"only include/ may be seen from here, not {name}"
            if path in PUBLIC and match.group(1) == '"':
                yield path, number, "a public header includes with <>"


def public_comments():
    for path, text in PUBLIC.items():
        for match in re.finditer(r"^WEIR_API\b[^;{]*?\b(weir_\w+)\(", text, re.M):
            name, number = match.group(1), line_of(text, match.start())
            comment = re.search(r"/\*(?:(?!\*/).)*\*/\n\Z", text[:match.start()], re.S)
            if not comment:
                yield path, number, f"{name} has no comment"
                continue
            said = comment.group(0)
            if not said.startswith("/**"):
                continue  # the short form: a sentence or two
            if not said.startswith(f"/**\n * {name} - "):
                yield path, number, f"the comment of {name} does not begin with its name"
            places = [said.find(word) for word in ("Returns", "Thread", "Cost", "Order", "Since")]
            if re.search(r"\bvoid\s+" + name, match.group(0)):
                places = places[1:]
            if -1 in places or places != sorted(places):
                yield path, number, f"{name}: Returns, Thread, Cost, Order, Since, in this order"
            declaration = text[match.start():text.index(";", match.start())]
            for argument in re.findall(r"^ \* @(\w+)", said, re.M):
                if not re.search(rf"\b{argument}\b", declaration):
                    yield path, number, f"{name} has no argument {argument}"


def orders():
    """Every atomic access says its order, in a comment before it in its function or its file."""
    for path, text in ENGINE.items():
        code, comments = bare(text), list(re.finditer(r"/\*.*?\*/", text, re.S))
        said = [c for c in comments if "ORDER" in c.group(0)]
        for match in re.finditer(r"\batomic_(?!init\b|thread_fence\b|signal_fence\b)(\w+)\(", code):
            number, call = line_of(text, match.start()), match.group(1)
            if not call.endswith("_explicit"):
                yield path, number, f"atomic_{call}: say the order, use the _explicit form"
                continue
            used = re.findall(r"memory_order_(\w+)", code[match.start():match.start() + 400])[:1]
            begin = max(code.rfind("\n}", 0, match.start()), code.rfind("\n#", 0, match.start()))
            # Before it, or within two lines after it, when the statement is split.
            near = [c for c in said if begin <= c.start()
                    and text.count("\n", match.start(), c.start()) <= 2]
            far = [c for c in said if text[c.start() - 1:c.start()] in ("\n", "")]
            if not near and not any(used and used[0] in c.group(0) for c in far):
                yield path, number, f"atomic_{call} without an ORDER comment"


def edges():
    """Every edge has a giving and a taking end, and stands in the table of DESIGN.md."""
    seen = {}
    for path, text in ENGINE.items():
        for match in re.finditer(r"ORDER ([a-z_]+\.[a-z_]+): ([a-z_]+)", text):
            tail = text[match.start():text.find("*/", match.start())]
            seen.setdefault(match.group(1), []).append((path, line_of(text, match.start()),
                                                         match.group(2), tail))
    design = TEXT.get("engine/DESIGN.md", "")
    for edge, ends in sorted(seen.items()):
        path, number = ends[0][:2]
        both = any("both ends" in end[3].lower() for end in ends)
        gives = any(end[2] in ("release", "acq_rel", "seq_cst") for end in ends)
        takes = any(end[2] in ("acquire", "acq_rel", "seq_cst") for end in ends)
        if not both and (len(ends) < 2 or not gives or not takes):
            yield path, number, f"the edge {edge} has one end only"
        if f"| `{edge}`" not in design and f"| {edge} " not in design:
            yield path, number, f"the edge {edge} is not in the table of engine/DESIGN.md"


def maps():
    """What the tables of DESIGN.md say of the models: the steps exist, and the code for them."""
    path = "engine/DESIGN.md"
    text = TEXT.get(path, "")
    models = "\n".join(t for p, t in TEXT.items() if p.startswith("tests/model/") and p[-4:] == ".pml")
    for table in re.finditer(r"^\| step of the model \| code \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.M):
        for row in re.finditer(r"^\| (.*?) \| (.*) \|$", table.group(1), re.M):
            number = line_of(text, table.start(1) + row.start())
            steps = [one for part in row.group(1).split("; ")
                     for one in re.split(r", | \.\. ", part.split(":")[0])]
            for step in steps:
                if re.fullmatch(r"\w+", step) and not re.search(rf"\b{step}\b", models):
                    yield path, number, f"no model has the step {step}"
            names_of = []
            for name, file in re.findall(r"`([\w]+)`|\(`([\w/.]+)`\)", row.group(2)):
                names_of += [name] if name else []
                for one in names_of if file else []:
                    code = bare(TEXT.get("engine/" + file, ""))
                    if not re.search(rf"^(?:\w[\w \t*()]*[ \t*])?{one}\(", code, re.M):
                        yield path, number, f"engine/{file} has no function {one}"
                names_of = [] if file else names_of
            for name in names_of:
                yield path, number, f"{name}: in which file?"


def names():
    for path, text in ENGINE.items():
        code = bare(text)
        for match in re.finditer(r"^(?!static|typedef|return|else|extern|#)[a-z_][\w \t*]*?[ *](\w+)\("
                                 r"[^;{)]*\)\s*\{", code, re.M):
            if not re.match(r"(wr|weir)_", match.group(1)):
                yield path, line_of(code, match.start()), f"{match.group(1)} has no prefix"
        for match in re.finditer(r"^typedef\s+(struct|union|enum)\b", code, re.M):
            yield path, line_of(code, match.start()), "a struct is called struct"
        if path.endswith(".h"):
            guard = "WR_" + re.sub(r"\W", "_", path[len("engine/"):]).upper()
            if f"#ifndef {guard}\n#define {guard}\n" not in text:
                yield path, 1, f"the guard is not {guard}"


def library_manners():
    for path, text in ENGINE.items():
        code = bare(text)
        for match in re.finditer(r"(?<![\w.>])(v?f?printf|puts|perror|exit|_exit|abort|getenv|"
                                 r"malloc|calloc|realloc|strdup|signal|assert)\s*\(", code):
            if path not in ("engine/base/mem.c", "engine/base/check.c"):
                yield path, line_of(code, match.start()), f"{match.group(1)}() in the library"
        if room(path) not in ("flush", "sink", "log"):
            continue
        own = set(re.findall(r"^static [\w *]*?\b(\w+)\(", code, re.M))
        for match in re.finditer(rf"(?<![\w.>])({SYSCALLS})\(", code):
            if match.group(1) not in own and not re.search(r"\(\*?\s*$", code[:match.start()][-3:]):
                yield path, line_of(code, match.start()), f"{match.group(1)}() not through wr_sys"


def words():
    for path, text in TEXT.items():
        for word in BANNED:
            for match in re.finditer(rf"\b{word}\b", text):
                yield path, line_of(text, match.start()), f"{word}: do it, or leave it out"
        for match in re.finditer(MACHINE, text):
            # The bench names the pages of its rivals, which are not where anything comes from.
            is_page = path.startswith("bench/") and match.group(0) == "github.com"
            if not path.startswith("tests/tidy/") and not is_page:
                yield path, line_of(text, match.start()), f"{match.group(0)}: of one machine"


def dead_files():
    listed = "\n".join(text for path, text in TEXT.items()
                       if path.endswith(("meson.build", ".sh", ".ini")) or path == ".ci/run")
    included = {match for text in C.values()
                for match in re.findall(r'^#\s*include ["<]([^">]+)[">]', text, re.M)}
    python = "\n".join(text for path, text in TEXT.items() if path.endswith(".py"))
    for path in TEXT:
        name = os.path.basename(path)
        if path.endswith(".h"):
            used = path.startswith("include/") or any(
                path.endswith("/" + one) or one == name for one in included)
        elif path.endswith((".c", ".cc", ".py", ".scd", ".pml")):
            stem = os.path.splitext(name)[0]
            part = re.sub(r"^bench_|_test$", "", stem)  # named in a loop
            used = name in listed or f"'{part}'" in listed or name in included
            used = used or re.search(rf"\b{stem}\b", python + listed * path.endswith(".pml"))
        else:
            continue
        if not used:
            yield path, 1, "used by no build file"


RULES = [
    (licence, "every source file says its licence"),
    (opening, "every file of the engine opens with what it knows"),
    (lines, "lines: tabs, at most 100 columns, nothing at the end"),
    (file_length, "files have at most 400 lines"),
    (function_length, "functions have at most 70 lines"),
    (includes, "rooms include only what they may see"),
    (public_comments, "public functions say returns, thread, cost, order, since"),
    (orders, "every atomic access says its order"),
    (edges, "every edge has both ends and stands in DESIGN.md"),
    (maps, "the steps of the models and the code for them exist"),
    (names, "names have their prefix, structs are structs, guards name the file"),
    (library_manners, "the library does not print, exit, allocate or call the system by itself"),
    (words, "no words of unfinished work, nothing of one machine"),
    (dead_files, "every file is used"),
]


def main():
    failures = 0
    for number, (rule, sentence) in enumerate(RULES, 1):
        found = sorted(set(rule()))
        failures += bool(found)
        for path, line, what in found[:None if "-v" in sys.argv else 25]:
            print(f"# {path}:{line}: {what}")
        print(f"{'not ok' if found else 'ok'} {number} {sentence}")
    print(f"1..{len(RULES)}")
    return 1 if failures else 0


sys.exit(main())
