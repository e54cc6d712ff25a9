#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fuzz.py ROOT BUILD [-v] [--part=NAME] [TARGET...] - the parsers under libFuzzer. TAP.

It compiles the sources that parse, and the targets, with clang, ASan and UBSan into BUILD/fuzz.
Then, in turn (or that part alone: coverage, fuzz, mutants):
every corpus is replayed; the branches that it takes of the files in PARSERS are counted; each
target is fuzzed for its share of the time; the bugs in fuzz.mutants are planted one by one and must
be found by the corpus, or by a short fuzz.

WEIR_PROOF=slice|full|soak and WEIR_PROOF_SECONDS say how much. -v lists the branches not taken.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "mutants"))
import mutant  # noqa: E402

WORDS = [word for word in sys.argv[1:] if not word.startswith("-")]
ROOT, BUILD = os.path.abspath(WORDS[0]), os.path.abspath(WORDS[1])
ONLY = WORDS[2:]
VERBOSE = "-v" in sys.argv
PART = "".join(word[7:] for word in sys.argv if word.startswith("--part="))
OUT = os.path.join(BUILD, "fuzz")
PROGRAM = os.path.join(OUT, "fuzz")
CORPUS = os.path.join(ROOT, "tests", "fuzz", "corpus")
MODE = os.environ.get("WEIR_PROOF", "slice")
SECONDS = float(os.environ.get("WEIR_PROOF_SECONDS", "20"))
WANTED = 98.0

# Which corpora count for which files, and for which functions of a file that does more than parse.
# A function after a minus does not count: the reason stands beside it.
PARSERS = [
    ("segment reader", ["log_segment", "log_dir", "log_header"],
     ["engine/log/scan.c", "engine/log/window.c", "engine/log/reader.c", "engine/log/format.c"]),
    ("recovery of a directory", ["log_dir", "log_segment"],
     ["engine/log/walk.c", "engine/log/lives.c", "engine/log/names.c", "engine/log/seen.c",
      "engine/log/dir.c", "engine/log/writer.c:check,look,wr_log_writer_open",
      "engine/log/retain.c:wr_log_retain_load"]),
    ("records of a batch", ["records", "log_dir"],
     ["engine/sink/batch.c:weir_batch_next", "include/weir/record.h:weir_record_decode"]),
    ("settings: keys and values", ["config_set", "config_env"],
     ["engine/api/config.c", "engine/api/property.c", "engine/api/property_text.c",
      "engine/api/config_preset.c", "engine/base/nearest.c"]),
    ("settings: a file", ["config_file"], ["engine/api/config_file.c"]),
    ("settings: the environment", ["config_env"], ["engine/api/config_env.c"]),
    ("settings: a whole that fits together", ["config_set", "config_env", "config_file", "args"],
     ["engine/api/config_check.c"]),
    ("settings: flags", ["args"], ["tools/weir/args.c", "tools/weir/settings.c"]),
    ("units", ["units"], ["engine/base/units.c"]),
    ("CPU lists", ["cpus"], ["engine/ring/cpus.c:parse_id,wr_cpus_parse"]),
    ("addresses of sinks", ["uri"],
     ["engine/sink/uri.c", "engine/sink/open.c",
      "engine/sink/file.c:read_options,wr_sink_file_open",
      "engine/sink/fd.c:parse_number,wr_sink_fd_open", "engine/sink/null.c:wr_sink_null_open"]),
    ("framers: a stream into records", ["frames"], ["tools/weir/frame.c"]),
    ("joining of parts", ["frames"],
     ["tools/weir/join.c:-place"]),  # place: it ends the process when there is no memory
    ("framers: records into a stream", ["sink_fd"],
     ["engine/sink/frame.c", "engine/sink/gather.c", "engine/sink/kept.c"]),
    ("text and JSON", ["json"],
     ["tools/weir/text.c:-need"]),  # need: it ends the process when there is no memory
    ("times", ["when"], ["tools/weir/when.c"]),
    ("control groups", ["probe"],
     ["tools/weir/probe.c:probe_line,take_cpus,take_memory,read_v2,read_v1,climb,holds,"
      "probe_cgroup"]),
]

# Sides of branches that no input can take: the file, what the line holds, the reason. Besides,
# a switch over all values of an enum never comes to its default.
NEVER = [
    ("engine/log/reader.c", "total > WR_LOG_RECORD_MAX", "a body above 256 MiB"),
    ("engine/log/walk.c", "if (reader->fd >= 0)", "a segment that is left was open"),
    ("engine/log/lives.c", "x->number > y->number", "no two files have one name"),
    ("engine/log/lives.c", "r == -ENOMEM || (r < 0", "a read that fails, not a byte"),
    ("engine/log/lives.c", "if (r < 0)", "the same"),
    ("engine/log/walk.c", "part->unlooked", "a file that could not be read a moment ago"),
    ("engine/log/names.c", "names->bytes >= WR_LOG_NAMES_BYTES", "32 MiB of names"),
    ("engine/api/config_env.c", "*c >= 'a' && *c <= 'z'", "no key has a letter above z"),
    ("engine/api/property.c", "WEIR_AUTO && property->seen.flags & WEIR_PROPERTY_AUTO",
     "the value of auto is above the range of a key without it"),
    ("engine/api/property_text.c", "WEIR_AUTO && property->seen.flags & WEIR_PROPERTY_AUTO",
     "as before: it was refused"),
    ("engine/api/config_file.c", "errno == EINTR", "a signal, not a byte"),
    ("engine/api/config_check.c", "allocator->", "a program's own functions, not a byte"),
    ("engine/sink/fd.c", "if (copy < 0)", "descriptors that are not open belong to the process"),
    ("tools/weir/settings.c", "i < SETTINGS_KEYS_MAX", "the table of keys is shorter"),
    ("tools/weir/settings.c", "weir_config_get(", "the key comes from the table"),
    ("tools/weir/settings.c", "n < sizeof(name) - 1", "no key is so long"),
    ("tools/weir/probe.c", "if (!slash ||", "the mount's path has one"),
]

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
COMPILE = ["-g", "-O1", "-std=gnu11", "-D_GNU_SOURCE", *SANITIZE, "-fsanitize=fuzzer-no-link",
           "-fprofile-instr-generate", "-fcoverage-mapping", "-Wno-unused-command-line-argument"]
INCLUDES = [f"-I{place}" for place in (
    os.path.join(BUILD, "include"), os.path.join(ROOT, "include"), os.path.join(ROOT, "engine"), HERE,
    os.path.join(ROOT, "tests"))]
LINK = ["-fsanitize=fuzzer", *SANITIZE, "-fprofile-instr-generate", "-Wl,--wrap=fopen",
        "-Wl,--wrap=access", "-lpthread", "-lm"]
tests = 0
failed = 0


def tap(good, sentence, lines=()):
    global tests, failed
    tests += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {tests} - {sentence}", flush=True)
    for line in lines:
        print(f"# {line}", flush=True)


def figure(what, reached, asked):
    print(f"# figure fuzz | {what} | {reached} | {asked}", flush=True)


def tool(name):
    """llvm's tools go by their version on Debian; it must be clang's own."""
    version = subprocess.run(["clang", "-dumpversion"], capture_output=True, text=True,
                             check=False).stdout.split(".")[0]
    return shutil.which(f"{name}-{version}") or shutil.which(name)


def missing():
    if not shutil.which("clang"):
        return "there is no clang (package clang)"
    for name in ("llvm-profdata", "llvm-cov"):
        if not tool(name):
            return f"there is no {name} (package llvm-14)"
    os.makedirs(OUT, exist_ok=True)
    probe = os.path.join(OUT, "probe.c")
    with open(probe, "w", encoding="utf-8") as file:
        file.write("int LLVMFuzzerTestOneInput(const char *d, long n);\n"
                   "int LLVMFuzzerTestOneInput(const char *d, long n) { return !d && n; }\n")
    done = subprocess.run(["clang", "-fsanitize=fuzzer,address", probe, "-o", probe + ".out"],
                          capture_output=True, check=False)
    return "" if done.returncode == 0 else "clang has no libFuzzer (package libclang-rt-14-dev)"


def sources():
    found = []
    for place in ("base", "log", "sink"):
        found += glob.glob(os.path.join(ROOT, "engine", place, "*.c"))
    found += glob.glob(os.path.join(ROOT, "engine", "api", "config*.c"))
    found += glob.glob(os.path.join(ROOT, "engine", "api", "property*.c"))
    found += glob.glob(os.path.join(ROOT, "tests", "fuzz", "*.c"))
    found += glob.glob(os.path.join(ROOT, "tests", "support", "disk*.c"))
    found.append(os.path.join(ROOT, "engine", "ring", "cpus.c"))
    found += [os.path.join(ROOT, "tools", "weir", name + ".c")
              for name in ("args", "settings", "frame", "join", "text", "when", "probe")]
    # The targets have a system table of their own, and no plain main.
    return sorted(path for path in found
                  if os.path.basename(path) not in ("sys_linux.c", "replay.c"))


def object_of(path):
    return os.path.join(OUT, os.path.relpath(path, ROOT).replace("/", "_") + ".o")


def seen_by(made):
    """What an object was made of."""
    with open(made + ".d", encoding="utf-8") as file:
        return file.read().replace("\\\n", " ").split(":", 1)[1].split()


def is_fresh(made):
    """Whether the object is newer than all that it was made of."""
    try:
        when = os.path.getmtime(made)
        return all(os.path.getmtime(name) < when for name in seen_by(made) + [__file__])
    except (OSError, IndexError):
        return False


def commands():
    """Each object, with its source and the words that make it."""
    return {object_of(path): (path, ["clang", *COMPILE, *INCLUDES, "-MMD", "-MF",
                                     object_of(path) + ".d", "-c", path, "-o", object_of(path)])
            for path in sources()}


def build():
    """Objects and the program with all targets. Messages, or nothing."""
    todo = [words for made, (_, words) in commands().items() if not is_fresh(made)]
    for words in [*todo, link_words()]:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.splitlines()[:20]
    return []


def link_words():
    return ["clang", *commands(), *LINK, "-o", PROGRAM]


def run(program, target, arguments, profile="/dev/null", limit=120):
    environment = dict(os.environ, WEIR_FUZZ_TARGET=target, LLVM_PROFILE_FILE=profile, TZ="UTC",
                       ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1",
                       UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    try:
        return subprocess.run([program, "-timeout=20", "-rss_limit_mb=2048",
                               f"-artifact_prefix={OUT}/{target}-", *arguments], cwd=OUT,
                              env=environment, capture_output=True, text=True, errors="replace",
                              timeout=limit, check=False)
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess([], 99, "", f"no end after {late.timeout} s")


def what_broke(done):
    lines = done.stderr.splitlines()
    keep = [line for line in lines if re.search(
        r"not true:|ERROR|runtime error|Test unit|SUMMARY|no end|^\s+#\d+ .*" + re.escape(ROOT),
        line)]
    return [line.replace(ROOT + "/", "")[:160] for line in keep[:12]] or lines[-4:]


def replay(targets):
    program, total = PROGRAM, 0
    for target in targets:
        inputs = len(glob.glob(os.path.join(CORPUS, target, "*")))
        profile = os.path.join(OUT, target + ".profraw")
        done = run(program, target, ["-runs=0", os.path.join(CORPUS, target)], profile)
        total += inputs
        tap(done.returncode == 0 and inputs, f"{target} holds for all {inputs} inputs of its "
            "corpus, under ASan and UBSan", () if done.returncode == 0 else what_broke(done))
    figure("inputs replayed under sanitizers", total, total)


def branches_of(targets):
    """What the corpora of these targets take: {file: [(function, line, column, true, false)]}."""
    merged = os.path.join(OUT, "merged.profdata")
    subprocess.run([tool("llvm-profdata"), "merge", "-o", merged]
                   + [os.path.join(OUT, target + ".profraw") for target in targets], check=True)
    text = subprocess.run([tool("llvm-cov"), "export", "-instr-profile", merged,
                           PROGRAM], capture_output=True, text=True,
                          check=True).stdout
    found = {}
    for function in json.loads(text)["data"][0]["functions"]:
        name = function["name"].split(":")[-1]
        for branch in function["branches"]:
            path = os.path.relpath(function["filenames"][branch[6]], ROOT)
            key = (name, branch[0], branch[1])
            counts = found.setdefault(path, {}).setdefault(key, [0, 0])
            counts[0] += branch[4]
            counts[1] += branch[5]
    return found


def lines_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read().split("\n")


def cannot_be(path, line):
    return line.lstrip().startswith("switch (") or any(
        path == where and held in line for where, held, _ in NEVER)


def coverage(targets):
    for parser, corpora, places in PARSERS:
        if not set(corpora) <= set(targets):
            continue
        found = branches_of(corpora)
        taken, total, left = 0, 0, []
        for place in places:
            path, _, chosen = place.partition(":")
            names = chosen.split(",") if chosen else []
            ours = found.get(path, {})
            if names and names[0].startswith("-"):
                ours = {key: n for key, n in ours.items() if "-" + key[0] not in names}
            elif names:
                ours = {key: n for key, n in ours.items() if key[0] in names}
                if {key[0] for key in ours} != set(names):
                    lost = sorted(set(names) - {key[0] for key in ours})
                    left.append(f"{path}: no branch in {', '.join(lost)}: is it gone?")
            if not ours:
                left.append(f"{path}: nothing of it was found")
                total += 100
            text = lines_of(path)
            for (name, line, column), counts in sorted(ours.items(), key=lambda item: item[0][1:]):
                if 0 in counts and cannot_be(path, text[line - 1]):
                    continue
                total += 2
                taken += (counts[0] > 0) + (counts[1] > 0)
                if not counts[0] or not counts[1]:
                    left.append(f"{path}:{line}:{column} {name} is never "
                                f"{'true' if not counts[0] else 'false'}"
                                f"{' nor false' if not counts[0] and not counts[1] else ''}")
        part = 100.0 * taken / max(total, 1)
        good = part >= WANTED and not any("gone" in line for line in left)
        tap(good, f"{parser}: the corpus of {', '.join(corpora)} takes {taken} of {total} branches "
            f"({part:.1f} %)", left if VERBOSE or not good else ())
        figure(f"{parser}: % of branches by its corpus", f"{part:.1f}", f"{WANTED:.0f}")


def fuzz(targets):
    """Each target for its share of the time. New inputs are not kept, what breaks is."""
    total = {"slice": SECONDS * 0.5, "full": max(SECONDS, 200), "soak": max(SECONDS, 1200)}[MODE]
    share = max(1, int(total / len(targets)))
    ran = 0
    for target in targets:
        longest = target_bytes().get(target, 512)
        prepare(target)
        done = run(PROGRAM, target,
                   [f"-max_total_time={share}", f"-max_len={longest}", "-print_final_stats=1",
                    f"-seed={int(os.environ.get('WEIR_PROOF_SEED', time.time_ns() % 1000000))}",
                    os.path.join(OUT, "new-" + target), os.path.join(CORPUS, target)],
                   limit=share + 120)
        units = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
        ran += int(units.group(1)) if units else 0
        tap(done.returncode == 0, f"{target}: {share} s of libFuzzer find nothing",
            () if done.returncode == 0 else what_broke(done))
    figure("inputs tried by libFuzzer", ran, 0)
    figure("seconds of libFuzzer", share * len(targets), int(total))


def prepare(target):
    folder = os.path.join(OUT, "new-" + target)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)


def target_bytes():
    with open(os.path.join(ROOT, "tests", "fuzz", "fuzz.c"), encoding="utf-8") as file:
        return {name: int(most) for name, most in
                re.findall(r'\{ "(\w+)", fuzz_\w+, (\d+) \}', file.read())}


def mutants(targets):
    """Each bug of fuzz.mutants, planted alone."""
    entries = mutant.read(os.path.join(HERE, "fuzz.mutants"))
    tree = mutant.Tree(ROOT, OUT)
    tree.compile, tree.links = commands(), {PROGRAM: link_words()}
    tree.sees = {made: set(map(os.path.realpath, seen_by(made))) for made in tree.compile}
    killed, tried = 0, 0
    for entry in entries:
        target, by, trouble = entry.killer[0], "", []
        if target not in targets:
            continue
        tried += 1
        place = os.path.join(OUT, "planted")
        try:
            program = mutant.make(tree, PROGRAM, entry, place)
            done = run(program, target, ["-runs=0", os.path.join(CORPUS, target)])
            by = "its corpus" if done.returncode else ""
            if not by:
                # New inputs go into the first folder, which must not be the tree's.
                prepare(target)
                done = run(program, target, ["-max_total_time=10", "-max_len=600",
                                             os.path.join(OUT, "new-" + target),
                                             os.path.join(CORPUS, target)])
                by = "ten seconds of libFuzzer" if done.returncode else ""
        except mutant.Unbuilt as why:
            trouble = [str(why)]
        killed += bool(by)
        tap(bool(by), f"{target}: a bug in {entry.file} is found by {by or 'nothing'}: "
            f"{entry.name}", trouble)
        shutil.rmtree(place, ignore_errors=True)
    figure("parser bugs found of those planted", f"{killed}", f"{tried}")


def main():
    reason = missing()
    if reason:
        print(f"ok 1 - the parsers under libFuzzer # SKIP because {reason}\n1..1")
        return 0
    trouble = build()
    tap(not trouble, "the parsers and their targets build with libFuzzer, ASan and UBSan", trouble)
    if not trouble:
        targets = [name for name in target_bytes() if not ONLY or name in ONLY]
        if PART in ("", "coverage"):
            replay(targets)
            coverage(targets)
        if PART in ("", "fuzz"):
            fuzz(targets)
        if PART in ("", "mutants"):
            mutants(targets)
    print(f"1..{tests}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
