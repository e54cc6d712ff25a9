#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes in comes out: every byte, through the log and through a descriptor."""
import random
import struct
import sys

from cases import case, equal, holds, main

# The least that record_max may be is not asked for here: any size below a few lines will do.
PART = 1000
PARTS = ("--record-max", PART)


def len32(*records):
    return b"".join(struct.pack("<I", len(r)) + r for r in records)


@case
def plain(box):
    """Lines come back as they were."""
    equal(box.round_trip(b"one\ntwo\nthree\n"), b"one\ntwo\nthree\n")


@case
def crlf(box):
    """Carriage returns stay where they are."""
    data = b"one\r\ntwo\r\n\r\nlone\rmiddle\n\r\n"
    equal(box.round_trip(data), data)


@case
def empty_lines(box):
    """Empty lines are records of no bytes, each of them."""
    data = b"\n\na\n\n\nb\n\n"
    equal(box.round_trip(data), data)


@case
def only_line_feeds(box):
    """A file of nothing but line feeds keeps their number."""
    data = b"\n" * 10001
    summary = box.ingest(box.file("input", data))
    equal(summary["records"], 10001, "records")
    equal(summary["bytes"], 0, "bytes")
    equal(box.cat(), data)


@case
def empty_file(box):
    """An empty file is no record, and no error."""
    summary = box.ingest(box.file("input", b""))
    equal(summary["records"], 0, "records")
    equal(box.cat(), b"")


@case
def nul_bytes(box):
    """Zero bytes inside lines are kept."""
    data = b"a\0b\n\0\n\0\0\0\nend\0\n"
    equal(box.round_trip(data), data)


@case
def every_byte(box):
    """Every value that a byte can have is kept, valid UTF-8 or not."""
    data = bytes(range(256)) * 3 + b"\n" + b"\xff\xfe\xc0\x80\xed\xa0\x80\n" + bytes(range(255, -1, -1))
    equal(box.round_trip(data), data)


@case
def no_last_line_feed(box):
    """A last line without a line feed comes back without one."""
    equal(box.round_trip(b"one\ntwo"), b"one\ntwo")


@case
def no_line_feed_at_all(box):
    """A single line without a line feed is one record."""
    summary = box.ingest(box.file("input", b"x"))
    equal(summary["records"], 1, "records")
    equal(box.cat(), b"x")


def length_case(length, records):
    def function(box):
        data = b"y" * length + b"\n" + b"next\n"
        summary = box.ingest(box.file("input", data), *PARTS)
        equal(summary["records"], records + 1, "records")
        equal(box.cat(), data)
    function.__name__ = f"line_of_{length}"
    function.__doc__ = f"With record_max {PART} a line of {length} bytes is {records} records, and " \
                       "one line again"
    case(function)


for length, records in ((PART - 1, 1), (PART, 1), (PART + 1, 2), (2 * PART - 1, 2), (2 * PART, 2),
                        (2 * PART + 1, 3), (100 * PART, 100)):
    length_case(length, records)


@case
def long_line_without_end(box):
    """A line above record_max without a line feed comes back without one."""
    for length in (PART, PART + 1, 2 * PART, 2 * PART + 1):
        box.log = str(box.folder / f"log{length}")
        data = b"short\n" + b"z" * length
        equal(box.round_trip(data, *PARTS), data, f"with {length} bytes")


@case
def default_record_max(box):
    """Lines around the default record_max of 64 KiB come back whole."""
    data = b"".join(bytes([65 + i]) * (65536 + i - 2) + b"\n" for i in range(5)) + b"q" * 300000 + b"\n"
    equal(box.round_trip(data), data)


@case
def one_huge_line(box):
    """A line of 20 MB, far above any buffer, comes back whole."""
    data = random.Random(1).randbytes(20_000_000).replace(b"\n", b" ") + b"\n"
    equal(box.round_trip(data), data)


@case
def random_bytes(box):
    """Random bytes come back, cut at whatever line feeds they hold."""
    data = random.Random(2).randbytes(3_000_000)
    equal(box.round_trip(data), data)


@case
def several_producers(box):
    """Four producers, twelve files: each source comes back byte for byte, nothing is lost."""
    rng = random.Random(3)
    files, lines = {}, 0
    for i in range(12):
        data = b"".join(rng.randbytes(rng.randrange(0, 200)).replace(b"\n", b"") + b"\n"
                        for _ in range(3000))
        lines += 3000
        files[box.file(f"in/{i}", data)] = data
    summary = box.ingest("--producers", 4, *files)
    equal(summary["records"], lines, "records")
    equal(summary["delivered"], lines, "delivered")
    equal(box.run("verify", box.log, "--json").json["records"], lines, "verify's records")
    for path, data in files.items():
        equal(box.cat("--source", path), data, path)
    everything = box.cat()
    equal(sorted(everything.split(b"\n")), sorted(b"".join(files.values()).split(b"\n")), "all")


@case
def interleaved_long_lines(box):
    """Long lines of several sources are each put together again."""
    files = {}
    for i in range(4):
        files[box.file(f"long{i}", (bytes([97 + i]) * 5500 + b"\n") * 300)] = None
    box.ingest("--producers", 4, *PARTS, *files)
    lines = box.cat().split(b"\n")
    equal(lines.pop(), b"", "the end")
    equal(len(lines), 1200, "lines")
    for line in lines:
        equal(line, line[:1] * 5500, "a line")


@case
def no_end_between_sources(box):
    """After a last line without its end another source begins on a line of its own."""
    a, b = box.file("a", b"end of a"), box.file("b", b"b\n")
    box.ingest(a, b)
    equal(sorted(box.cat().splitlines()), [b"b", b"end of a"])
    equal(box.cat("--source", a), b"end of a")


@case
def same_file_twice(box):
    """A file named twice is read twice, one after the other."""
    path = box.file("input", b"".join(b"%d\n" % i for i in range(20000)))
    box.ingest("--producers", 4, path, path)
    data = open(path, "rb").read()
    equal(box.cat("--source", path), data + data)


@case
def files_from_a_list(box):
    """--files-from reads the names of inputs from a file."""
    a, b = box.file("a", b"1\n"), box.file("b", b"2\n")
    names = box.file("names", f"{a}\n{b}\n".encode())
    summary = box.ingest("--files-from", names)
    equal(summary["inputs"], 2, "inputs")
    equal(box.cat("--source", b), b"2\n")


@case
def standard_input(box):
    """Standard input is read when no file is named, and its source is -."""
    box.ingest(stdin=b"hello\nworld")
    equal(box.cat(), b"hello\nworld")
    equal(box.cat("--source", "-"), b"hello\nworld")


@case
def standard_input_by_name(box):
    """- names standard input among files."""
    path = box.file("input", b"file\n")
    box.ingest(path, "-", stdin=b"stdin\n")
    equal(box.cat("--source", "-"), b"stdin\n")
    equal(box.cat("--source", path), b"file\n")


@case
def unknown_source(box):
    """A source that the log does not hold has no records."""
    box.ingest(stdin=b"x\n")
    equal(box.cat("--source", "other"), b"")


@case
def nul_frames(box):
    """Records that end with a zero byte keep their line feeds."""
    data = b"one\nline\0two\0\0last without end"
    summary = box.ingest("--frame", "nul", box.file("input", data))
    equal(summary["records"], 4, "records")
    equal(box.cat("--frame", "nul"), data)


@case
def counted_frames(box):
    """Records that begin with their length come back with it."""
    data = len32(b"", b"a\nb\0c", b"x" * 70000, b"", bytes(range(256)))
    box.ingest("--frame", "len32", box.file("input", data))
    equal(box.cat("--frame", "len32"), data)


@case
def counted_frames_in_parts(box):
    """A counted record above record_max is pushed in parts and joined again."""
    for length in (PART, PART + 1, 3 * PART):
        box.log = str(box.folder / f"log{length}")
        data = len32(b"p" * length, b"next")
        box.ingest("--frame", "len32", *PARTS, box.file("input", data))
        equal(box.cat("--frame", "len32"), data, f"{length} bytes")


@case
def truncated_frame(box):
    """An input that ends inside a counted record is named, and what came before is kept."""
    path = box.file("input", len32(b"whole") + struct.pack("<I", 100) + b"half")
    done = box.run("ingest", "--frame", "len32", "--sink", f"file:{box.log}", path, code=1)
    holds(done.err, path, "ends inside a record")
    holds(box.cat(), b"whole\nhalf")


@case
def lines_to_descriptor(box):
    """fd:1 writes the lines of a single input as they came."""
    data = b"a\r\n\n\0\xff\n" + b"w" * 200000 + b"\nlast"
    equal(box.run("ingest", box.file("input", data), "--sink", "fd:1").out, data)


@case
def frames_to_descriptor(box):
    """fd:1 can count or end its records otherwise than the input did."""
    path = box.file("input", b"one\ntwo\n")
    equal(box.run("ingest", path, "--sink", "fd:1?frame=len32").out, len32(b"one", b"two"))
    equal(box.run("ingest", path, "--sink", "fd:1?frame=nul").out, b"one\0two\0")


@case
def two_lives(box):
    """A second run appends to the log of the first."""
    box.ingest(stdin=b"first\n")
    box.ingest(stdin=b"second\n")
    equal(box.cat(), b"first\nsecond\n")
    equal(box.run("verify", box.log, "--json").json["engines"], 2, "engine lives")


@case
def no_end_between_lives(box):
    """A last line without its end is kept apart from another source of a later run."""
    a, b = box.file("a", b"end of a"), box.file("b", b"b")
    box.ingest(a)
    box.ingest(b)
    equal(box.cat(), b"end of a\nb")
    box.ingest(b)
    equal(box.cat("--source", b), b"bb")


@case
def null_sink(box):
    """The null sink takes everything and keeps nothing."""
    summary = box.run("ingest", "--json", "--sink", "null:", stdin=b"x\n" * 1000).json
    equal(summary["delivered"], 1000, "delivered")
    equal(list(box.folder.iterdir()), [], "what was written")


sys.exit(main())
