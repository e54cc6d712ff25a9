#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py SOURCE BUILD WEIR_SIM ARCHIVE - faults planted in the engine, which the simulator must
find. TAP.

Each mutant is a copy of one file of the library with one place changed, compiled as the build does
and linked in front of the library's archive: the linker then takes the changed object and leaves the
archive's out. Nothing in SOURCE is touched."""
import json
import os
import shlex
import subprocess
import sys
import tempfile

SOURCE, BUILD, SIM, ARCHIVE = [os.path.abspath(path) for path in sys.argv[1:5]]
MODE = os.environ.get("WEIR_PROOF", "slice")
ASKED = 6

# What is broken; the file; the place; what stands there instead. The first ones run in a slice too.
MUTANTS = [
    ("the deadline counts from the last record", "flush/sleep.c",
     "flusher->keep_us = min_u64(flusher->keep_us, wr_due_time(due));", "(void)0;"),
    ("space is released before the verdict", "flush/release.c",
     "while (share->first && share->first->done) {", "while (share->first) {"),
    ("a batch that is to come again is dropped", "flush/verdict.c",
     "case WEIR_RETRY:\n\t\tagain(flusher, batch, batch->verdict.after_ns);",
     "case WEIR_RETRY:\n\t\twr_batch_final(flusher, batch, WR_DROPPED_TIMEOUT);"),
    ("a torn append is not cut back", "log/segment.c",
     "segment->spoiled = segment->over || truncate_to(segment->fd, segment->bytes) != 0;",
     "segment->spoiled = 0;"),
    ("a batch is acknowledged before its sync", "log/writer.c",
     "return writer->options.sync == WR_LOG_SYNC_BATCH ?", "return 0 ?"),
    ("a second verdict is taken", "flush/batch.c",
     "if (!atomic_exchange_explicit(&batch->owed, 0, memory_order_relaxed)) {",
     "if (!atomic_exchange_explicit(&batch->owed, 1, memory_order_relaxed)) {"),
    ("the directory is not synced", "log/segment.c",
     "if (!r && durable)\n\t\tr = wr_sys.fsync(dir_fd);", "(void)durable;"),
    ("nobody is woken at the threshold", "flush/signal.c",
     "if (is_told(wake, sum) || looks_anyway(wake, sum))",
     "if (sum || is_told(wake, sum) || looks_anyway(wake, sum))"),
    ("a negative gain carries into the epoch", "flush/wake.c",
     "if ((int32_t)gained < 0)", "if (0)"),
    ("a short write passes for a whole one", "log/segment.c",
     "if ((size_t)wrote < head_left) {",
     "if (wrote > 88) {\n\t\t\treturn 0;\n\t\t} else if ((size_t)wrote < head_left) {"),
    ("a segment whose sync failed is synced again", "log/turn.c",
     "int r = sync_segment(writer, &writer->now);\n\n\tif (!r)\n\t\treturn 0;\n"
     "\twriter->counts.poisoned++;\n\t/* Nobody",
     "int r = sync_segment(writer, &writer->now);\n\n\tr = r ? sync_segment(writer, &writer->now) "
     ": 0;\n\tif (!r)\n\t\treturn 0;\n\twriter->counts.poisoned++;\n\t/* Nobody"),
    ("what is delivered is not counted", "flush/verdict.c",
     "wr_count(&flusher->counters, which, batch->seen.records);",
     "wr_count(&flusher->counters, which, batch->seen.records & ~UINT64_C(1));"),
    ("a mark is taken as satisfied", "flush/order.c",
     "if (note->mark && cut->order && !force && !is_satisfied(cut, note->mark)) {",
     "if (note->mark && cut->order && force && !is_satisfied(cut, note->mark)) {"),
    ("released places keep their headers", "flush/release.c",
     "memset(wr_ring_at(ring, share->released), 0, end - share->released);", "(void)0;"),
    ("a later batch overtakes one that came back", "sink/inorder.c",
     "\t\t\tblocked = 1;", "\t\t\tblocked = 0;"),
    ("the place of a piece is found by subtraction", "flush/verdict.c",
     "index_in_whole(batch->whole, piece->iov[0].iov_base);",
     "index_in_whole(batch->whole, piece->iov[0].iov_base) + (batch != batch->whole);"),
    ("a record is one too many in a partial verdict", "flush/verdict.c",
     "if (before + iter.offset > bytes)", "if (before + iter.offset > bytes + 8)"),
    ("close does not wait for what is in a batch", "flush/control.c",
     "if (flusher->live || flusher->next_segment < flusher->cut.segment_count)\n\t\treturn 0;",
     "(void)flusher->live;"),
    ("ready is not waited for", "flush/batch.c",
     "\t\t\tflusher->sink_full = 1;", "\t\t\tflusher->sink_full = 0;"),
]
SLICE = 8


def compile_commands():
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as file:
        return json.load(file)


def compile_words(name):
    """How the archive's object of engine/NAME is compiled, without what says where it goes."""
    for entry in compile_commands():
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        if path == os.path.join(SOURCE, "engine", name):
            words, keep, skip = shlex.split(entry["command"]), [], False
            for word in words:
                if skip or word in ("-c", "-MD"):
                    skip = False
                elif word in ("-o", "-MF", "-MQ"):
                    skip = True
                elif os.path.normpath(os.path.join(entry["directory"], word)) != path:
                    keep.append(word)
            return keep + ["-Wno-error", "-w"], entry["directory"]
    raise SystemExit(f"no compile command for {name}")


def link_words():
    target = os.path.relpath(SIM, BUILD)
    text = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", target], capture_output=True,
                          text=True, check=True).stdout
    return shlex.split([line for line in text.splitlines() if line.strip()][-1])


def build(folder, mutant, link):
    _, name, old, new = mutant
    with open(os.path.join(SOURCE, "engine", name), encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        return None, f"{name} holds {text.count(old)} times: {old!r}"
    copy, made = os.path.join(folder, "mutant.c"), os.path.join(folder, "mutant.o")
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
    words, where = compile_words(name)
    done = subprocess.run([*words, "-c", copy, "-o", made], cwd=where, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        return None, done.stderr
    program = os.path.join(folder, "weir-sim-mutant")
    words = list(link)
    words[words.index("-o") + 1] = program
    at = next(i for i, word in enumerate(words) if word.endswith("libweir.a"))
    words.insert(at, made)
    done = subprocess.run(words, cwd=BUILD, capture_output=True, text=True, check=False)
    return (program, "") if not done.returncode else (None, done.stderr)


def main():
    mutants = MUTANTS if MODE != "slice" else MUTANTS[:SLICE]
    link, bad, caught = link_words(), 0, 0
    seeds = 500 if MODE == "slice" else 3000
    for number, mutant in enumerate(mutants, 1):
        with tempfile.TemporaryDirectory(prefix="weir-sim-mutant-") as folder:
            program, why = build(folder, mutant, link)
            out = ""
            if program:
                done = subprocess.run([program, "--seed", f"1..{seeds}", "--quiet", "--stop",
                                       "--jobs", "2"], capture_output=True, text=True,
                                      check=False, timeout=1800)
                out = next((line for line in done.stdout.splitlines() if "FAILED" in line), "")
                why = "no seed failed" if not out else ""
        print(f"{'ok' if out else 'not ok'} {number} - found: {mutant[0]}", flush=True)
        print(f"# {out or why}"[:300], flush=True)
        bad += not out
        caught += bool(out)
    print(f"# figure simulator | mutants found | {caught} of {len(mutants)} | {ASKED}")
    print(f"1..{len(mutants)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
