#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py CC ROOT BUILD LIBRARY STATES ROT DISK - broken logs, which states and rot must catch.

A mutant is caught when the program fails. In a slice the first two are tried and a sixth of
the others, another each day; else all.
"""
import os
import subprocess
import sys
import time

from mutate import NO_SYNC, SYNC_AGAIN, Builder, Mutant
from rig import Tap

LOG = "engine/log/"
# What is broken, and what catches it: "states SCENARIO", or "rot".
MUTANTS = [
    (NO_SYNC, "states append"),
    (SYNC_AGAIN, "states append"),
    (Mutant("acknowledged before the sync", LOG + "writer.c",
            "writer->options.sync == WR_LOG_SYNC_BATCH ? wr_log_turn_sync_batch(writer, from) : 0",
            "(void)from, 0"), "states append"),
    (Mutant("acknowledged although the sync failed", LOG + "turn.c",
            "\twr_log_turn_leave(writer);\n\treturn r;", "\twr_log_turn_leave(writer);\n\treturn 0;"),
     "states append"),
    (Mutant("no sync of the directory for a new segment", LOG + "segment.c",
            "\tif (!r && durable)\n\t\tr = wr_sys.fsync(dir_fd);\n", ""), "states append"),
    (Mutant("no sync of the directory for a recycled segment", LOG + "segment.c",
            "\tr = durable ? wr_sys.fsync(dir_fd) : 0;\n", ""), "states recycle"),
    (Mutant("no sync of the parent of a directory that was there", LOG + "dir.c",
            "r = durable ? sync_parent(fd) : 0;", "r = !made && durable ? sync_parent(fd) : 0;"),
     "states append"),
    (Mutant("a short write is taken for a whole one", LOG + "segment.c",
            "\t\t\treturn wrote ? (int)wrote : -EIO;\n",
            "\t\t\treturn wrote ? (int)wrote : -EIO;\n\t\treturn 0;\n"), "states append"),
    (Mutant("what was written of a failed block stays", LOG + "segment.c",
            "segment->spoiled = segment->over || truncate_to(segment->fd, segment->bytes) != 0;",
            "segment->spoiled = 0;"), "states append"),
    (Mutant("a spoiled segment is left without a sync", LOG + "writer.c",
            "wr_log_turn_spoiled(writer);", "wr_log_turn_leave(writer);"),
     "states interval-recycle"),
    (Mutant("a segment ends without a sync", LOG + "turn.c",
            "\tif (writer->options.sync != WR_LOG_SYNC_NONE)\n\t\tr = wr_log_turn_sync(writer);\n",
            ""), "states interval-recycle"),
    (Mutant("what is rescued is not synced", LOG + "turn.c",
            "\tif (!r)\n\t\tr = sync_segment(writer, &writer->now);\n", ""), "states interval"),
    (Mutant("nothing is rescued", LOG + "turn.c",
            "\tif (!r)\n\t\tr = copy_all(writer, &lost);\n", ""), "states interval"),
    (Mutant("a poisoned segment is removed", LOG + "turn.c",
            "\tleave(writer, &writer->poisoned);\n", "\tdiscard(writer, &writer->poisoned);\n"),
     "states interval"),
    (Mutant("close is silent about what is lost", LOG + "writer.c",
            "if (!r && writer->counts.unsynced != unsynced)", "if (0)"), "states interval"),
    (Mutant("behind damage, what comes again is read at once", LOG + "walk.c",
            "r = !reader->behind_damage ? 0", "r = 1 ? 0"), "states interval"),
    (Mutant("an expired file is written over before its old name is gone for good",
            LOG + "retain.c", "writer->options.sync == WR_LOG_SYNC_NONE || "
            "!wr_sys.fsync(writer->dir_fd);", "1;"), "states equal"),
    (Mutant("a segment goes before there is need", LOG + "retain.c",
            "writer->closed_bytes + writer->options.segment_bytes > max) {",
            "writer->closed_bytes + 2 * writer->options.segment_bytes > max) {"),
     "states recycle"),
    (Mutant("duplicates are read", LOG + "walk.c",
            "if (wr_log_seen_has(&reader->seen, seq, first_record)) {", "if (0) {"),
     "states interval"),
    (Mutant("a body is not compared with its sum", LOG + "scan.c",
            "return crc == header->body_crc;", "return 1;"), "rot"),
    (Mutant("a header is not compared with its sum", LOG + "format.c",
            "if (get(at + AT_HEADER_CRC, 4) != header_crc(at, header.header_bytes))", "if (0)"),
     "rot"),
    (Mutant("a block of another segment is taken", LOG + "scan.c",
            "if (header.segment != scan->segment || header.offset != offset ||",
            "if (header.offset != offset ||"), "rot"),
    (Mutant("the next block is looked for in too large steps", LOG + "scan.c",
            "for (; i + WR_LOG_ALIGN <= (uint64_t)got; i += WR_LOG_ALIGN) {",
            "for (; i + WR_LOG_ALIGN <= (uint64_t)got; i += 2 * WR_LOG_ALIGN) {"), "rot"),
    (Mutant("bytes passed over are not counted", LOG + "walk.c",
            "\t\t\treader->counts.skipped_bytes += to - reader->scan.at;\n", ""), "rot"),
    (Mutant("a batch of which the header is left is not missed", LOG + "walk.c",
            "\t\twr_log_seen_expect(&reader->seen, seq);\n", ""), "rot"),
    (Mutant("a recycled file may end where the old one did", LOG + "segment.c",
            "header->header_bytes += (uint16_t)wr_log_segment_pad(segment, "
            "wr_log_block_bytes(header));", ""), "rot"),
    (Mutant("a damaged last block in a recycled file is not seen", LOG + "scan.c",
            "\tif (!begun)\n\t\treturn WR_LOG_STEP_OLD;\n", "\treturn WR_LOG_STEP_OLD;\n"), "rot"),
    (Mutant("a torn end is not counted", LOG + "walk.c",
            "\t\treader->counts.torn_bytes += left;\n", ""), "rot"),
]


def main():
    compiler, root, build, library, states, rot, disk = sys.argv[1:8]
    proof = os.environ.get("WEIR_PROOF", "slice")
    table = MUTANTS
    day = int(time.time() // 86400)
    if proof == "slice":
        table = [entry for i, entry in enumerate(table) if i < 2 or i % 6 == day % 6]
    builder = Builder(compiler, root, build, library, {"states": [states, disk],
                                                       "rot": [rot, disk]})
    tap, caught = Tap(len(table)), 0
    environment = dict(os.environ, WEIR_PROOF="slice", WEIR_PROOF_SECONDS="2", WEIR_CRASH_FIRST="1")
    try:
        for mutant, by in table:
            program, *arguments = by.split()
            try:
                path = builder.make(program, mutant)
                done = subprocess.run([path, *arguments], stdout=subprocess.PIPE, text=True,
                                      env=environment, check=False, timeout=600)
                why = f"{by} ended with {done.returncode}"
                good = done.returncode != 0
            except AssertionError as error:
                good, why = False, str(error).replace("\n", " ")
            caught += good
            tap.tell(good, f"caught: {mutant.name} ({by.split()[0]})", why)
    finally:
        builder.close()
    print(f"# figure crash-mutants | mutants caught | {caught} of {len(table)} | {len(MUTANTS)}")
    return tap.bad != 0


if __name__ == "__main__":
    sys.exit(main())
