# SPDX-License-Identifier: Apache-2.0
"""gates.py - three gates on the library's objects and the binaries, and the mutants of each.

It knows what a push may call, what of the rseq area may be written and what hardens a binary. How
the code is read is flow.py's and calls.py's.
"""
import collections
import glob
import os
import re
import shutil
import subprocess

import calls
import flow
from tap import figure, skip, tap
from tree import (BUILD, COMMANDS, ROOT, SANITIZED, compile_changed, mutated, objects, users)

OUT = os.path.join(BUILD, "static")

# What an application calls per record, or from a signal handler: see checked_roots().
ROOTS = ["weir_push", "weir_push_ex", "weir_pushv", "weir_push_many", "weir_claim", "weir_commit",
         "weir_abort", "weir_flush"]
# Where a push does once what it never does again, and all that it may call from there.
SLOW = {"wr_rings_get": {"mmap64", "mmap", "munmap", "madvise", "__errno_location"}}
# What the path may call outside of the library.
OUTSIDE = {"memcpy": "the copy itself", "memset": "of what it writes",
           "sched_getcpu": "fallback: which ring is near",
           "__stack_chk_fail": "a stack was written over: the process ends",
           "__memcpy_chk": "the same, fortified", "__memset_chk": "the same, fortified"}
# Members of the system table that a push may call, all in slow paths: see engine/DESIGN.md.
TABLE = {"now": "deadlines", "timer_set": "arms before it commits", "event_write": "wakes the "
         "flusher", "futex_wait": "full = block", "futex_wake": "lets a waiter go"}
# No clock and no system call but by that table.
INSTRUCTIONS = re.compile(r"^(syscall|sysenter|int|int3|rdtscp?|rdrand|rdseed|cpuid|in[bwl]?|"
                          r"out[bwl]?)$")
# The usual way of a push: one section. What it calls, and that it locks nothing.
FAST, FAST_CALLS = "weir_push", {"push_slowly", ".text.unlikely"}

Mutant = collections.namedtuple("Mutant", "path function new old include", defaults=("", "", ""))
CALLS = [
    Mutant("engine/ring/mark.c", "wr_mark_begin",
           '__asm__ volatile("" : : "r"(malloc(8)));', include="#include <stdlib.h>\n"),
    Mutant("engine/flush/wake.c", "wr_wake_slow",
           "static pthread_mutex_t m; pthread_mutex_lock(&m);", include="#include <pthread.h>\n"),
    Mutant("engine/api/push.c", "wr_push", 'printf("%d", 1);', include="#include <stdio.h>\n"),
    Mutant("engine/ring/fallback.c", "wr_fallback_reserve", "(void)wr_sys.fsync(0);",
           include='#include "base/sys.h"\n'),
    # Through pointers: one that lies where the table has now(), one jumped to, one in memory.
    Mutant("engine/api/push.c", "wr_push", "(*(void (**)(void))(uintptr_t)request->weir)();"),
    Mutant("engine/api/api.c", "weir_push_ex",
           "if (!size) return (*(int (**)(void))(uintptr_t)options)();"),
    Mutant("engine/ring/ring.c", "wr_ring_end_claim",
           '{ static void *(*volatile get)(size_t) = malloc;\n\t__asm__ volatile("" : : '
           '"r"(get(8))); }', include="#include <stdlib.h>\n"),
    Mutant("engine/api/api.c", "weir_push_many",
           'if (!count) __asm__ volatile("" : : "r"(malloc(8)));', include="#include <stdlib.h>\n"),
    Mutant("engine/ring/rings.c", "wr_rings_get",
           '__asm__ volatile("" : : "r"(malloc(8)));', include="#include <stdlib.h>\n"),
    Mutant("engine/flush/signal.c", "wr_wake_after",
           '__asm__ volatile("syscall" : : : "rcx", "r11", "memory");'),
    Mutant("engine/api/slow.c", "wr_push_met_limit",
           '{ extern _Thread_local int other; __asm__ volatile("" : : "r"(&other)); }'),
    Mutant("engine/flush/control.c", "wr_flusher_kick", "wr_mem_free(NULL, flusher, 8);",
           include='#include "base/mem.h"\n'),
    Mutant("engine/api/api.c", "weir_push",
           "static _Atomic int one; atomic_fetch_add(&one, 1);",
           include="#include <stdatomic.h>\n"),
    Mutant("engine/api/api.c", "weir_push",
           "while (__atomic_test_and_set((char *)(uintptr_t)weir + 7, 0));"),
]
AREA = "(char *)__builtin_thread_pointer() + wr_rseq_offset"
INDEX = '"leaq 77b(%%rip), %%r8\\n\\t"'
SECTION = "engine/ring/section_x86_64.h"
STORES = [
    Mutant(SECTION, "", '"movq %%r8, %%fs:8(%[head])\\n\\tmovl %%eax, %%fs:20(%[head])\\n\\t"',
           '"movq %%r8, %%fs:8(%[head])\\n\\t"'),
    Mutant(SECTION, "", '"movq %[ring], %%fs:8(%[rseq])\\n\\tmovl $0, %%fs:0(%[rseq])\\n\\t"',
           '"movq %[ring], %%fs:8(%[rseq])\\n\\t"'),
    # Not the descriptor; not all of it; a field that newer kernels have.
    Mutant(SECTION, "", '"leaq 1f(%%rip), %%r8\\n\\t"', INDEX),
    Mutant(SECTION, "", '"movl %%r8d, %%fs:8(%[head])\\n\\t"',
           '"movq %%r8, %%fs:8(%[head])\\n\\t"'),
    Mutant(SECTION, "", '"movq %%r8, %%fs:8(%[head])\\n\\tlock andl $0, %%fs:32(%[head])\\n\\t"',
           '"movq %%r8, %%fs:8(%[head])\\n\\t"'),
    # In C, where no instruction says whose address it is.
    Mutant("engine/ring/rseq.c", "wr_rseq_thread_cpu",
           f"*(volatile uint32_t *)(void *)({AREA} + 16) = 0;"),
    Mutant("engine/ring/rseq.c", "wr_rseq_thread_cpu",
           f"__builtin_memset({AREA}, 0, (size_t)labs(wr_rseq_offset));",
           include="#include <stdlib.h>\n"),
    Mutant("engine/api/push.c", "wr_push", "*(volatile uint32_t *)(void *)((char *)"
           "__builtin_thread_pointer() + request->weir->rseq + 4) = 0;"),
    Mutant("engine/api/slow.c", "wr_push_met_alarm", "*(volatile int *)(void *)((char *)"
           "pthread_self() - 64) = 0;", include="#include <pthread.h>\n"),
    Mutant("engine/ring/rings.c", "wr_rings_get",
           f"{{ static char *volatile kept; kept = {AREA}; }}", include='#include "ring/rseq.h"\n'),
    Mutant("engine/ring/rseq.c", "wr_rseq_detect", "syscall(SYS_rseq, 0, 32, 1, 0x53053053);"),
]
_known = {}


def read(path):
    """An object's code; each is read once."""
    key = (path, os.stat(path).st_mtime_ns)
    if key not in _known:
        _known[key] = flow.Object(path)
    return _known[key]


def checked_roots():
    """Functions of weir.h that are a push's, or a signal handler may call, and not in ROOTS."""
    with open(os.path.join(ROOT, "include", "weir", "weir.h"), encoding="utf-8") as file:
        text = file.read()
    found = set(re.findall(r"^WEIR_API [^(]*?(weir_(?:push|claim|commit|abort)\w*)\(", text,
                           re.MULTILINE))
    for comment, name in re.findall(r"/\*\*(.*?)\*/\s*WEIR_API [^(]*?(weir_\w+)\(", text,
                                    re.DOTALL):
        if "async-signal-safe" in comment:
            found.add(name)
    return [f"{name} of weir.h is not looked at" for name in sorted(found - set(ROOTS))]


def table_members():
    """{offset: name} of the system table."""
    with open(os.path.join(ROOT, "engine", "base", "sys.h"), encoding="utf-8") as file:
        names = re.findall(r"^\t[\w ]+ ?\*?\(\*(\w+)\)\(", file.read(), re.MULTILINE)
    return {8 * i: name for i, name in enumerate(names)}


def wrong_calls(paths):
    """(what a push can reach that it must not, functions reached)."""
    code = [read(path) for path in paths]
    graph = calls.graph(code)
    wrong = [f"{root} is not in the objects" for root in ROOTS if root not in graph]
    wrong += checked_roots()
    ways = calls.reach(graph, ROOTS, SLOW)
    members = table_members()
    for name, way in sorted(ways.items()):
        match = re.match(r"^\*wr_sys\+(0x[0-9a-f]+)$", name)
        member = members.get(int(match.group(1), 16)) if match else None
        if name not in graph and name not in OUTSIDE and member not in TABLE:
            wrong.append(f"{'system table: ' + member if member else name}: {' -> '.join(way)}")
    for slow, may in SLOW.items():
        for name, way in sorted(calls.reach(graph, [slow]).items()):
            if name not in graph and name not in may:
                wrong.append(f"{name}: {' -> '.join(way)}")
    for each, one in ((each, one) for each in code for one in each.code):
        if calls.named(each, one.function) not in ways:
            continue
        if INSTRUCTIONS.match(one.operation):
            wrong.append(f"{one.function}: {one.text}")
        locks = one.locked or one.operation.startswith("xchg") and one.stored() \
            or "fence" in one.operation
        if one.function == FAST and locks:
            wrong.append(f"the usual way of a push locks: {one.text}")
    wrong += [f"the usual way of a push calls {name}" for name in
              sorted(graph.get(FAST, set())) if name.split("@")[0] not in FAST_CALLS]
    return wrong, len(ways)


def thread_addresses(one):
    """Registers of an instruction's memory operands that may lead into the thread's block."""
    where = one.stored()
    return [name for name in where[2:] if name and one.value(name) & {"self", "self+?"}] \
        if where else []


def wrong_of(one):
    """What is wrong with an instruction's stores, '' if nothing; None: it stores the descriptor."""
    where = one.stored()
    if where and where[0]:
        _, offset, base, index = where
        if one.kind and "TPOFF" in one.kind or any(
                one.value(name) == {"tls"} for name in (base, index) if name):
            return ""
        value = one.operands[0]
        given = one.value(value) if value in flow.REGISTERS else set()
        if offset == 8 and value == "%" + flow.REGISTERS.get(value, "") and given and all(
                origin.startswith("&__rseq_cs") for origin in given):
            return None
        return "not its descriptor"
    if thread_addresses(one):
        return "an address in the thread's block"
    if where and any(word in flow.REGISTERS and "self+?" in one.value(word)
                     for word in one.operands[:-1]) and where[2] != "%rsp":
        return "such an address is kept"
    # What a call is given is known for what is left in the registers only: rather too much.
    if one.is_call and any("self+?" in one.value(name) for name in flow.ARGUMENTS):
        return "such an address is handed on"
    if one.operation.startswith("ret") and "self+?" in one.value("rax"):
        return "such an address is given back"
    if one.is_call and one.symbol == "syscall" and one.value("rdi") & {"=334", "?"}:
        return "rseq() itself, or a call that is not known"
    return ""


def wrong_stores(paths):
    """(stores into the rseq area that are wrong, those that are right)."""
    good, wrong = 0, []
    for path in paths:
        for one in read(path).code:
            trouble = wrong_of(one)
            good += trouble is None
            if trouble:
                wrong.append(f"{os.path.basename(path)} {one.function}: {trouble}: {one.text}")
    if not good:
        wrong.append("no store of a section's descriptor was found: this looks in the wrong place")
    return wrong, good


def gate(part, sentence, look, mutants):
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
    for number, mutant in enumerate(mutants):
        text = mutated(mutant)
        place = os.path.join(OUT, f"{part}-{number}")
        shutil.rmtree(place, ignore_errors=True)
        made = {source: os.path.join(place, os.path.basename(source) + ".o")
                for source in users(mutant.path)}
        trouble = compile_changed(mutant.path, text, made, place) if text else "it fits no more"
        found = [] if trouble else look([made.get(source, one)
                                         for source, one in ours.items()])[0]
        found = [line for line in found if line not in wrong]
        killed += bool(found)
        tap(found, f"{part}: a mutant of {mutant.path} is caught: "
            f"{mutant.function} {' '.join(mutant.new.split())[:60]}",
            [trouble] if trouble else found[:1])
        shutil.rmtree(place, ignore_errors=True)
    figure("static", f"{part}: mutants caught", killed, len(mutants))


def wrong_hardening(path, program):
    """What a binary lacks."""
    text = subprocess.run(["readelf", "-W", "-l", "-d", "-s", "-h", path], capture_output=True,
                          text=True, check=True).stdout
    wants = [("GNU_RELRO", "relocations stay writable"),
             (r"Flags:.*\bNOW", "symbols are bound late"),
             ("__stack_chk_fail", "no stack protector"), (r"_chk@", "not fortified"),
             (r"Type:\s+DYN", "not position independent")]
    lacks = [why for want, why in wants if not re.search(want, text)]
    if not program: # a library has no use for one more
        lacks = [why for why in lacks if why != "not position independent"]
    if not re.search(r"GNU_STACK.*RW ", text):
        lacks.append("the stack is executable")
    if re.search(r"LOAD.*RWE", text):
        lacks.append("memory that is written to can be run")
    if re.search(r"\(RUNPATH\)|\(RPATH\)", text) and not program:
        lacks.append("it looks for libraries where it was built")
    if "TEXTREL" in text:
        lacks.append("its code is written to when it is loaded")
    return lacks


# What each source of what is installed is compiled with.
FLAGS = ["-fstack-protector-strong", "-fstack-clash-protection", "-D_FORTIFY_SOURCE=2",
         "-fvisibility=hidden", "-fno-common"]


def wrong_flags(commands):
    found = []
    for source, (words, _) in sorted(commands.items()):
        found += [f"{source} without {flag}" for flag in FLAGS if flag not in words]
        if "-fPIC" not in words and "-fPIE" not in words:
            found.append(f"{source} is not position independent")
        found += [f"{source} with {word}" for word in words if re.match(
            r"-fno-stack|-D_FORTIFY_SOURCE=[01]$|-O0|-fwritable|-Wl,-z,(lazy|norelro|execstack)",
            word)]
    return found


def hardening():
    if SANITIZED:
        skip("the binaries are hardened", "this build is not one for use")
        return
    library = [path for path in glob.glob(os.path.join(BUILD, "engine", "libweir.so.*"))
               if os.path.isfile(path) and not os.path.islink(path)]
    places = [(path, False) for path in library] + [
        (os.path.join(BUILD, name), True) for name in ("weir", "weir-sim")]
    for path, program in places:
        lacks = wrong_hardening(path, program)
        tap(not lacks, f"{os.path.basename(path)}: relro, bound at once, stack protector, "
            "fortified, no executable stack" + (", position independent" if program else ""),
            lacks)
    wrong = wrong_flags(COMMANDS)
    tap(not wrong, f"each of {len(COMMANDS)} sources is compiled with {' '.join(FLAGS)}",
        wrong[:20])
    disassembly = subprocess.run(["objdump", "-d", "--disassemble=weir_push", library[0]],
                                 capture_output=True, text=True, check=True).stdout
    tap("<weir_push>" in disassembly and "__stack_chk_fail" not in disassembly,
        "the fast path of weir_push has no canary: hardening does not slow it")
    bad, killed = os.path.join(OUT, "soft"), 0
    with open(bad + ".c", "w", encoding="utf-8") as file:
        file.write("#include <stdio.h>\n#include <string.h>\nint main(int c, char **v) {"
                   " char b[64]; strcpy(b, v[c - 1]); return puts(b); }\n")
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
    some = next(iter(COMMANDS))
    for flag in FLAGS:
        words = [word for word in COMMANDS[some][0] if word != flag]
        lacks = wrong_flags({some: (words, "")})
        killed += bool(lacks)
        tap(lacks, f"hardening: a source compiled without {flag} is noticed")
    figure("static", "hardening: mutants caught", killed, len(without) + len(FLAGS))


def run_calls():
    gate("calls", "no allocation, lock, stream, system call or other call than the listed can be "
         "reached from a push: functions reached", wrong_calls, CALLS)


def run_rseq():
    gate("rseq", "of the rseq area only the descriptor is written: stores of it", wrong_stores,
         STORES)
