#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""static.py ROOT BUILD [--part=NAME] - what can be said of the code without running it. TAP.

Parts: calls (what is reachable from a push), rseq (what of the rseq area is written), hardening
(of the binaries of BUILD), gcc (-fanalyzer), cppcheck, clang-tidy. Each has mutants that it must
catch. Answers of the analysers are kept in BUILD/static by the contents of what they looked at, so
that only what has changed is looked at again; a slice stops clang-tidy when its time is over and
says how many files it has answers for.
"""
import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls  # noqa: E402

ROOT, BUILD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PART = "".join(word[7:] for word in sys.argv[3:] if word.startswith("--part="))
OUT = os.path.join(BUILD, "static")
MODE = os.environ.get("WEIR_PROOF", "slice")
SECONDS = float(os.environ.get("WEIR_PROOF_SECONDS", "20"))
tests = failed = 0

# The push path: what an application calls per record.
ROOTS = ["weir_push", "weir_push_ex", "weir_pushv", "weir_claim", "weir_commit", "weir_abort"]
# Where the graph is not followed further, and why that is no push of every day.
SLOW = {
    "wr_rings_get": "the first record of a ring maps the ring",
}
# What the path may call outside of the library.
OUTSIDE = {"memcpy": "the copy itself", "memset": "of what it writes",
           "sched_getcpu": "fallback: which ring is near",
           "__stack_chk_fail": "a stack was written over: the process ends",
           "__memcpy_chk": "the same, fortified", "__memset_chk": "the same, fortified"}
# Members of the system table that a push may call, all in slow paths: see engine/DESIGN.md.
TABLE = {"now": "deadlines", "timer_set": "arms before it commits", "event_write": "wakes the "
         "flusher", "futex_wait": "full = block", "futex_wake": "lets a waiter go"}
# What no push may come to by any way, the slow ones that are not followed included.
NEVER = re.compile(r"^(malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|"
                   r"mallocx|sdallocx|wr_mem_.*|pthread_(mutex|rwlock|cond|spin)_.*|sem_.*|"
                   r"mtx_.*|cnd_.*|f?printf|v?f?printf|v?snprintf|__.*printf_chk|f?puts|fwrite|"
                   r"f?putc|fflush|fopen|perror|syslog|write|writev|__tls_get_addr)$")

# part, file, what stands there, what it becomes: each must make its part fail.
MUTANTS = {
    "calls": [
        ("engine/ring/mark.c", "{\n", "{\n\t__asm__ volatile(\"\" : : \"r\"(malloc(8)));\n",
         "wr_mark_begin", "#include <stdlib.h>\n"),
        ("engine/flush/wake.c", "{\n", "{\n\tstatic pthread_mutex_t m; pthread_mutex_lock(&m);\n",
         "wr_wake_slow", "#include <pthread.h>\n"),
        ("engine/api/push.c", "{\n", "{\n\tprintf(\"%d\", 1);\n", "wr_push",
         "#include <stdio.h>\n"),
        ("engine/ring/fallback.c", "{\n", "{\n\t(void)wr_sys.fsync(0);\n", "wr_fallback_reserve",
         '#include "base/sys.h"\n'),
    ],
    "rseq": [
        ("engine/ring/section_x86_64.h", '"movl %%fs:0(%[head]), %%eax\\n\\t"',
         '"movl %%fs:0(%[head]), %%eax\\n\\tmovl %%eax, %%fs:20(%[head])\\n\\t"', "", ""),
        ("engine/ring/section_x86_64.h", '"movl %%fs:0(%[rseq]), %%eax\\n\\t"',
         '"movl %%fs:0(%[rseq]), %%eax\\n\\tmovl %%eax, %%fs:0(%[rseq])\\n\\t"', "", ""),
    ],
    "gcc": [
        ("engine/log/names.c", "names->by_id = NULL;",
         "names->by_id = NULL;\n\tchar *p = __builtin_malloc(names->bytes + 1);\n"
         "\tnames->by_id = (void *)p;\n\t__builtin_free(p);\n\t__builtin_free(p);",
         "", ""),
    ],
    "cppcheck": [
        ("engine/log/names.c", "names->by_id = NULL;",
         "names->by_id = NULL;\n\tchar text[4];\n\ttext[5] = 0;\n\t(void)text;", "", ""),
    ],
    "clang-tidy": [
        ("engine/log/names.c", "names->by_id = NULL;",
         "names->by_id = NULL;\n\tif (memcmp(names, names, 8) == 1)\n\t\treturn;\n"
         "\tint *p = NULL;\n\t*p = 1;", "", ""),
    ],
}


def tap(good, sentence, lines=()):
    global tests, failed
    tests += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {tests} - {sentence}", flush=True)
    for line in lines:
        print(f"# {line}", flush=True)


def skip(sentence, reason):
    global tests
    tests += 1
    print(f"ok {tests} - {sentence} # SKIP because {reason}", flush=True)


def figure(what, reached, asked):
    print(f"# figure static | {what} | {reached} | {asked}", flush=True)


def commands():
    """{source: arguments of its compiler} of engine and tools, once each."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    found = {}
    for entry in entries:
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), ROOT)
        if path.startswith(("engine/", "tools/")) and path.endswith(".c"):
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


def compile_changed(path, text, made, place):
    """Compiles @path, or what includes it, with other contents. A message, or ''."""
    changed = os.path.join(place, os.path.relpath(path, "engine"))
    os.makedirs(os.path.dirname(changed), exist_ok=True)
    with open(changed, "w", encoding="utf-8") as file:
        file.write(text)
    for source, to in made.items():
        words = COMMANDS[source][0][0]
        done = subprocess.run([words, f"-I{place}", *arguments(source), "-c",
                               changed if source == path else os.path.join(ROOT, source), "-o",
                               to], capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr[:300]
    return ""


def mutated(mutant):
    path, old, new, function, include = mutant
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    if function: # the beginning of that function
        at = re.search(r"^\w[^\n;]*\b" + function + r"\([^;{]*\)\n\{\n", text, re.MULTILINE)
        if not at:
            return None
        return include + text[:at.end() - len(old)] + new + text[at.end():]
    return text.replace(old, new) if old in text else None


def objects():
    """{source: object} of the library."""
    found = {}
    for made in glob.glob(os.path.join(BUILD, "engine", "libweir.*.p", "*.o")):
        name = os.path.basename(made)[:-2]
        room, _, rest = name.partition("_")
        found[f"engine/{room}/{rest}"] = made
    return found


def table_members():
    """Offsets of the members of the system table."""
    with open(os.path.join(ROOT, "engine", "base", "sys.h"), encoding="utf-8") as file:
        names = re.findall(r"^\t[\w ]+ ?\*?\(\*(\w+)\)\(", file.read(), re.MULTILINE)
    return {8 * i: name for i, name in enumerate(names)}


def wrong_calls(paths):
    """What a push can reach that it must not."""
    graph = calls.read_all(paths)
    wrong = [f"{root} is not in the objects" for root in ROOTS if root not in graph]
    ways = calls.reach(graph, ROOTS, SLOW)
    members = table_members()
    for name, way in sorted(ways.items()):
        shown = " -> ".join(way)
        match = re.match(r"^(?:\*\*|wr_sys\+)(?:(0x[0-9a-f]+)?\(%\w+\)|(0x[0-9a-f]+)|%\w+)$",
                         name)
        if name in graph or name in OUTSIDE or name.startswith(".text"):
            continue
        if match:
            offset = int(match.group(1) or match.group(2) or "0", 16)
            if "(" not in name and not name.startswith("wr_sys"):
                offset = 0 # a register that was loaded with the first member, now()
            if members.get(offset) not in TABLE:
                wrong.append(f"system table: {members.get(offset, name)}: {shown}")
            continue
        wrong.append(f"{name}: {shown}")
    for name, way in sorted(calls.reach(graph, ROOTS).items()):
        if NEVER.match(name):
            wrong.append(f"never {name}: " + " -> ".join(way))
    return wrong, len(ways)


REGISTERS = {}
for _names in ("rax eax ax al", "rbx ebx bx bl", "rcx ecx cx cl", "rdx edx dx dl",
               "rsi esi si sil", "rdi edi di dil", "rbp ebp bp bpl", "rsp esp sp spl"):
    for _one in _names.split():
        REGISTERS[_one] = _names.split()[0]
for _n in range(8, 16):
    for _end in ("", "d", "w", "b"):
        REGISTERS[f"r{_n}{_end}"] = f"r{_n}"
STORES = re.compile(r"^(mov|add|sub|or|and|xor|inc|dec|neg|not|xchg|cmpxchg|xadd|bts|btr|set|st|"
                    r"shl|shr|sar|lock)")


def rseq_stores(path):
    """(stores into the rseq area, those that are wrong) of one object."""
    text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", path], capture_output=True,
                          text=True, check=True).stdout
    good, wrong, kind, function = 0, [], {}, ""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        head = calls.HEAD.match(line)
        if head:
            function, kind = head.group(2), {}
            continue
        code = calls.CODE.match(line)
        if not code:
            continue
        operation, operands = code.group(2), code.group(3).split("#")[0].strip()
        relocation = calls.RELOCATION.match(lines[number + 1]) if number + 1 < len(lines) else None
        reach_fs = re.search(r"%fs:(0x[0-9a-f]+)?\((%\w+)[^)]*\)$|%fs:(0x[0-9a-f]+)$", operands)
        if reach_fs and STORES.match(operation):
            offset = int(reach_fs.group(1) or "0", 16)
            base = kind.get(REGISTERS.get((reach_fs.group(2) or "%").lstrip("%")), "?")
            # The area has 32 bytes: what lies behind them is somebody else's.
            if base in ("rseq", "?") and offset == 8:
                good += 1
            elif base == "rseq" or (base == "?" and offset < 32):
                wrong.append(f"{os.path.basename(path)} {function}: {operation} {operands}: "
                             f"{'the rseq area' if base == 'rseq' else 'not known whose'}")
        target = re.search(r"%(\w+)$", operands)
        target = REGISTERS.get(target.group(1)) if target and "(" not in target.group(0) else None
        if not target or operation.startswith(("cmp", "test", "push", "j", "call")):
            continue
        source = re.match(r"^%(\w+),", operands)
        if relocation and "wr_rseq_offset" in relocation.group(2):
            kind[target] = "rseq"
        elif relocation and relocation.group(1) in ("GOTTPOFF", "TPOFF32"):
            kind[target] = "thread"
        elif operation == "mov" and source:
            kind[target] = kind.get(REGISTERS.get(source.group(1)), "?")
        elif operation.startswith(("add", "lea")) and kind.get(target) == "thread":
            pass
        elif operation.startswith("lea") and re.search(r"\(%(\w+)", operands):
            inner = REGISTERS.get(re.search(r"\(%(\w+)", operands).group(1))
            kind[target] = "thread" if kind.get(inner) == "thread" else "?"
        else:
            kind[target] = "?"
    return good, wrong


def wrong_stores(paths):
    good, wrong = 0, []
    for path in paths:
        one = rseq_stores(path)
        good += one[0]
        wrong += one[1]
    if not good:
        wrong.append("no store of a section's descriptor was found: this looks in the wrong place")
    return wrong, good


def gate(part, sentence, look):
    """A look at the library's objects, then at the same with each mutant in it."""
    if os.uname().machine != "x86_64":
        skip(sentence, "this knows the instructions of x86-64 only")
        return
    if SANITIZED:
        skip(sentence, "this build is not one for use: a sanitizer, coverage or -O0")
        return
    ours = objects()
    wrong, seen = look(list(ours.values()))
    tap(not wrong, f"{sentence} ({seen})", wrong[:20])
    killed = 0
    for number, mutant in enumerate(MUTANTS[part]):
        path, text = mutant[0], mutated(mutant)
        place = os.path.join(OUT, f"{part}-{number}")
        users = [path] if path.endswith(".c") else [
            source for source in ours if source.startswith("engine/api/")
            and "ring/section" in dependencies(source)]
        made = {source: os.path.join(place, os.path.basename(source) + ".o") for source in users}
        shutil.rmtree(place, ignore_errors=True)
        trouble = compile_changed(path, text, made, place) if text else "it fits no more"
        found = [] if trouble else look([made.get(source, one)
                                         for source, one in ours.items()])[0]
        found = [line for line in found if line not in wrong]
        killed += bool(found)
        tap(found, f"{part}: a mutant of {path} is caught: "
            f"{' '.join(mutant[2].split())[:60]}", [trouble] if trouble else found[:1])
        shutil.rmtree(place, ignore_errors=True)
    figure(f"{part}: mutants caught", killed, len(MUTANTS[part]))


def dependencies(source):
    words = COMMANDS[source][0]
    return subprocess.run([words[0], *arguments(source), "-MM", os.path.join(ROOT, source)],
                          capture_output=True, text=True, check=False).stdout


def wrong_hardening(path, program):
    """What a binary lacks."""
    text = subprocess.run(["readelf", "-W", "-l", "-d", "-s", "-h", path], capture_output=True,
                          text=True, check=True).stdout
    wants = [("GNU_RELRO", "relocations stay writable"), ("NOW", "symbols are bound late"),
             ("__stack_chk_fail", "no stack protector"), (r"_chk@", "not fortified"),
             (r"Type:\s+DYN", "not position independent")]
    lacks = [why for want, why in wants if not re.search(want, text)]
    if not program: # a library has no use for one more
        lacks = [why for why in lacks if why != "not position independent"]
    if re.search(r"GNU_STACK.*RWE", text):
        lacks.append("the stack is executable")
    if re.search(r"\(RUNPATH\)|\(RPATH\)", text) and not program:
        lacks.append("it looks for libraries where it was built")
    if "TEXTREL" in text:
        lacks.append("its code is written to when it is loaded")
    return lacks


def hardening():
    if SANITIZED:
        skip("the binaries are hardened", "this build is not one for use")
        return
    library = [path for path in glob.glob(os.path.join(BUILD, "engine", "libweir.so.*"))
               if os.path.isfile(path) and not os.path.islink(path)]
    places = [(path, False) for path in library] + [(os.path.join(BUILD, "weir"), True)]
    for path, program in places:
        lacks = wrong_hardening(path, program)
        tap(not lacks, f"{os.path.basename(path)}: relro, bound at once, stack protector, "
            "fortified, no executable stack" + (", position independent" if program else ""),
            lacks)
    disassembly = subprocess.run(["objdump", "-d", "--disassemble=weir_push", library[0]],
                                 capture_output=True, text=True, check=True).stdout
    tap("<weir_push>" in disassembly and "__stack_chk_fail" not in disassembly,
        "the fast path of weir_push has no canary: hardening does not slow it")
    bad, killed = os.path.join(OUT, "soft"), 0
    with open(bad + ".c", "w", encoding="utf-8") as file:
        file.write("#include <stdio.h>\n#include <string.h>\nint main(int c, char **v) { char b[64];"
                   " strcpy(b, v[c - 1]); return puts(b); }\n")
    good = ["-O2", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fPIE",
            "-pie", "-Wl,-z,relro", "-Wl,-z,now"]
    without = ["-Wl,-z,norelro", "-Wl,-z,lazy", "-fno-stack-protector", "-U_FORTIFY_SOURCE",
               "-no-pie", "-Wl,-z,execstack"]
    for flag in ["", *without]:
        subprocess.run(["gcc", *good, *([flag] if flag else []), bad + ".c", "-o", bad],
                       check=True, capture_output=True)
        lacks = wrong_hardening(bad, True)
        if flag:
            killed += bool(lacks)
        tap(bool(lacks) == bool(flag), f"hardening: a program built with {flag or 'all of it'} is "
            f"{'refused' if flag else 'accepted'}", lacks if not flag else ())
    figure("hardening: mutants caught", killed, len(without))


def key_of(tool, path):
    """Changes with the tool, its settings, the source and every header of the project."""
    digest = hashlib.sha256((tool + " ".join(arguments(path))).encode())
    names = [path] + sorted(glob.glob(os.path.join(ROOT, "engine", "*", "*.h"))
                            + glob.glob(os.path.join(ROOT, "include", "weir", "*.h"))
                            + glob.glob(os.path.join(ROOT, "tools", "weir", "*.h")))
    for name in names + [os.path.join(ROOT, "tests", "static", "clang-tidy.yaml"), __file__]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:24]


def analyse(tool, path, source):
    """The findings of one tool about one file."""
    if tool == "gcc":
        words = ["gcc", "-fanalyzer", "-Wno-analyzer-too-complex", *arguments(path), "-O1", "-c",
                 source, "-o", "/dev/null"]
        wanted = r"warning:.*analyzer"
    elif tool == "cppcheck":
        words = ["cppcheck", "--enable=warning,portability,performance", "--std=c11",
                 "--language=c", "--suppress=*:/usr/include/*", "-q", "--check-level=normal",
                 *arguments(path, ("-I", "-D")),
                 "--suppress=duplicateAssignExpression", # two unknown things, set to 0 each
                 "--template={file}:{line}: warning: {id}: {message}", source]
        wanted = r"warning:"
    else:
        words = ["clang-tidy", "--quiet",
                 "--config-file=" + os.path.join(ROOT, "tests", "static", "clang-tidy.yaml"),
                 source, "--", *arguments(path, ("-I", "-D", "-std"))]
        wanted = r"(warning|error):"
    if tool == "cppcheck" and not CPPCHECK_LEVELS:
        words.remove("--check-level=normal")
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    lines = [line.replace(ROOT + "/", "") for line in (done.stdout + done.stderr).splitlines()
             if re.search(wanted, line)]
    return [line for line in lines if not any(re.search(where, line) for where, _ in FALSE)]


CPPCHECK_LEVELS = shutil.which("cppcheck") and "--check-level" in subprocess.run(
    ["cppcheck", "--help"], capture_output=True, text=True, check=False).stdout
# Findings that are none, with the reason.
FALSE = [
    (r"tools/weir/text\.c:.*leak", "the text is its caller's"),
    (r"tools/weir/ingest\.c:.*leak of .<unknown>", "an array whose fields lead to others"),
    (r"tools/weir/ingest\.c:.*leak of .name", "the list of inputs holds it"),
    (r"units\.c:.*[Dd]ivi(de|sion)", "a common divisor is not 0, nor above what it divides"),
    (r"api/engine\.c:.*uninitvar.*ignored", "open_hosted() only writes it"),
    (r"settings\.c:.*arrayIndexThenCheck", "a string ends with its NUL"),
    (r"args\.c:\d+:\d+: .*uninitialized value", "row[j - 1] was written by the turn before"),
    (r"ingest\.c:.*[Pp]otential leak of memory pointed to by 'ingest\.inputs'",
     "the process ends"),
    (r"probe\.c:43:.*garbage", "probe_line() has answered 0: the line is there"),
]


def analyser(tool, package):
    sentence = f"{tool} finds nothing in the engine and the command"
    if not shutil.which(tool):
        skip(sentence, f"there is no {tool} (package {package})")
        return
    began, looked, findings, waiting = time.monotonic(), 0, [], 0
    limit = SECONDS * 1.5 if MODE == "slice" and tool == "clang-tidy" else 1e9
    paths = sorted(COMMANDS, key=lambda path: hashlib.sha256((path + time.strftime("%j%H")).encode())
                   .hexdigest())
    for path in paths:
        kept = os.path.join(OUT, f"{tool}-{key_of(tool, path)}")
        if os.path.exists(kept):
            looked += 1
            with open(kept, encoding="utf-8") as file:
                findings += file.read().splitlines()
            continue
        if time.monotonic() - began > limit:
            waiting += 1
            continue
        found = analyse(tool, path, os.path.join(ROOT, path))
        with open(kept, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in found))
        looked += 1
        findings += found
    tap(not findings, f"{sentence}: {looked} of {looked + waiting} files looked at",
        sorted(set(findings))[:30])
    figure(f"{tool}: files looked at", looked, looked + waiting)
    figure(f"{tool}: findings", len(findings), 0)
    for path, old, new, _, _ in MUTANTS[tool]:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
        changed = os.path.join(OUT, "mutant-" + os.path.basename(path))
        with open(changed, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
        found = analyse(tool, path, changed) if old in text else []
        tap(bool(found), f"{tool}: a bug planted in {path} is found", found[:1])


def main():
    os.makedirs(OUT, exist_ok=True)
    parts = {
        "calls": lambda: gate("calls", "no allocation, lock, stream or other call than the listed "
                              "can be reached from a push: functions reached", wrong_calls),
        "rseq": lambda: gate("rseq", "of the rseq area only the descriptor is written: stores of "
                             "it", wrong_stores),
        "hardening": hardening,
        "gcc": lambda: analyser("gcc", "gcc"),
        "cppcheck": lambda: analyser("cppcheck", "cppcheck"),
        "clang-tidy": lambda: analyser("clang-tidy", "clang-tidy"),
    }
    for name, run in parts.items():
        if PART in ("", name):
            run()
    print(f"1..{tests}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
