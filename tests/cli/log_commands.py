#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cat and verify: time, sources, JSON, following, damage."""
import base64
import glob
import json
import os
import signal
import sys
import time

from cases import case, end, equal, holds, main, read_until


def segments(box):
    return sorted(path for path in glob.glob(box.log + "/*") if os.path.getsize(path) > 0)


def find_bytes(box, wanted):
    """(path, offset) of bytes in the log."""
    for path in segments(box):
        at = open(path, "rb").read().find(wanted)
        if at >= 0:
            return path, at
    raise AssertionError(f"{wanted!r} is nowhere in the log")


def flip(box, wanted):
    path, at = find_bytes(box, wanted)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x40]))


def three_batches(box):
    """A log of three batches, one line each."""
    run = box.start("ingest", "--json", "--sink", f"file:{box.log}", "--threshold", 1)
    for number, line in enumerate((b"first line\n", b"second line\n", b"third line\n"), 1):
        run.stdin.write(line)
        while box.run("cat", box.log, code=None).out.count(b"\n") < number:
            time.sleep(0.01)
    run.stdin.close()
    run.stdin = None
    equal(end(run, 0).json["batches"], 3, "batches")


@case
def sound(box):
    """verify finds a good log good, with its counts."""
    three_batches(box)
    counts = box.run("verify", box.log, "--json").json
    equal(counts["ok"], True, "ok")
    equal((counts["batches"], counts["records"], counts["bytes"]), (3, 3, 31), "counts")
    equal(counts["damage"], [], "damage")
    holds(box.run("verify", box.log).out, b"records", b"ok")


@case
def flipped_byte(box):
    """A flipped byte makes verify end with 1 and name segment, offset and batch."""
    three_batches(box)
    flip(box, b"second")
    done = box.run("verify", box.log, "--json", code=1)
    equal(done.json["ok"], False, "ok")
    equal(done.json["damaged"], 1, "damaged")
    holds(done.json["damage"][0], "segment 1", "offset", "batch 2")
    holds(box.run("verify", box.log, code=1).out, b"damaged: ", b"DAMAGED")


@case
def cat_over_damage(box):
    """cat passes over a damaged batch, prints the others, warns and ends with 1."""
    three_batches(box)
    flip(box, b"second")
    done = box.run("cat", box.log, code=1)
    equal(done.out, b"first line\nthird line\n")
    holds(done.err, "damaged")


@case
def torn_tail(box):
    """An unfinished batch at the end is reported and is not damage."""
    three_batches(box)
    path, at = find_bytes(box, b"third line")
    os.truncate(path, at + 3)
    counts = box.run("verify", box.log, "--json").json
    equal((counts["ok"], counts["records"], counts["damaged"]), (True, 2, 0), "counts")
    equal(counts["torn_bytes"] > 0, True, "torn_bytes above 0")
    done = box.run("cat", box.log)
    equal(done.out, b"first line\nsecond line\n")
    holds(done.err, "unfinished")


@case
def not_there(box):
    """cat and verify name a log that is not there; code 1."""
    for command in ("cat", "verify"):
        holds(box.run(command, "absent", code=1).err, "absent", "No such file or directory")


@case
def not_a_directory(box):
    """cat and verify name a file that is no log; code 1."""
    path = box.file("file", b"x")
    for command in ("cat", "verify"):
        holds(box.run(command, path, code=1).err, path)


@case
def which_directory(box):
    """cat and verify want exactly one directory."""
    for command in ("cat", "verify"):
        box.run(command, code=2)
        box.run(command, "a", "b", code=2)


@case
def json_records(box):
    """cat --json prints an object per record, with time, engine, seq, source, size and data."""
    path = box.file("in put", 'text "quoted" \\ \t\x01 ü\n'.encode() + b"\xff\xfe\n" + b"last")
    box.ingest(path)
    first, second, third = map(json.loads, box.cat("--json").splitlines())
    equal(first["data"], 'text "quoted" \\ \t\x01 ü', "data")
    equal(first["source"], path, "source")
    equal(first["size"], len('text "quoted" \\ \t\x01 ü'.encode()), "size")
    equal(base64.b64decode(second["data_base64"]), b"\xff\xfe", "data_base64")
    equal("data" in second, False, "a string of bytes that are not UTF-8")
    equal(third["no_eol"], True, "no_eol")
    equal(first["seq"], 1, "seq")
    equal(len(first["engine"]), 32, "letters of the engine's name")
    equal(first["time"][:2] == "20" and first["time"].endswith("Z"), True, "a time in UTC")


@case
def json_base64(box):
    """Bytes of every length modulo three survive base64."""
    lines = [b"\xff" + b"\x80\x01" * 3, b"\xff\xff", b"\xff\xff\xff", b"\xff"]
    box.ingest(stdin=b"\n".join(lines) + b"\n")
    got = [base64.b64decode(json.loads(line)["data_base64"]) for line in
           box.cat("--json").splitlines()]
    equal(got, lines)


@case
def json_parts(box):
    """cat --json joins the parts of a long line and says how many there were."""
    box.ingest("--record-max", 1000, stdin=b"k" * 2500 + b"\n")
    record = json.loads(box.cat("--json"))
    equal((record["data"], record["parts"], record["size"]), ("k" * 2500, 3, 2500), "record")


@case
def since_past(box):
    """--since a time before the log shows all of it."""
    box.ingest(stdin=b"x\n")
    for when in ("2001-01-01", "2001-01-01T00:00:00Z", "2001-01-01 10:00", "@1", "@1.5", "1h", "-1h"):
        equal(box.cat("--since", when), b"x\n", when)


@case
def since_future(box):
    """--since a time after the log shows nothing."""
    box.ingest(stdin=b"x\n")
    for when in ("2400-01-01", "2400-01-01T00:00:00+02:00", "@9999999999", "0s"):
        equal(box.cat("--since", when), b"", when)


@case
def since_between(box):
    """--since a time between two runs shows the second alone."""
    box.ingest(stdin=b"old\n")
    time.sleep(0.02)
    between = time.time()
    time.sleep(0.02)
    box.ingest(stdin=b"new\n")
    equal(box.cat("--since", f"@{between:.6f}"), b"new\n")


@case
def since_wrong(box):
    """A time that is none is refused with examples; code 2."""
    box.ingest(stdin=b"x\n")
    for when in ("yesterday", "2026-13-01", "2026-02-30", "2026-01-01T25:00", "5", "@", "5x",
                 "2026-01-01T10:00Zx", "2026-1-1"):
        holds(box.run("cat", box.log, "--since", when, code=2).err, when, "2026-03-01")


@case
def follow(box):
    """--follow shows records as they are written, and ends with 0 on SIGINT."""
    run = box.start("ingest", "--sink", f"file:{box.log}", "--threshold", 1)
    run.stdin.write(b"before\n")
    while not (os.path.isdir(box.log) and box.run("cat", box.log, code=None).out):
        time.sleep(0.01)
    reader = box.start("cat", "--follow", box.log)
    equal(read_until(reader.stdout, 7), b"before\n")
    run.stdin.write(b"while\n")
    equal(read_until(reader.stdout, 6), b"while\n")
    run.stdin.close()
    run.stdin = None
    end(run, 0)
    # A new life begins a new segment: it is followed too.
    box.ingest(stdin=b"after\n")
    equal(read_until(reader.stdout, 6), b"after\n")
    reader.send_signal(signal.SIGINT)
    equal(end(reader, 0).out, b"", "more")


@case
def follow_absent(box):
    """--follow of a directory that is not there ends with a message."""
    holds(box.run("cat", "--follow", "absent", code=1).err, "absent")


@case
def many_segments(box):
    """A log of many segments is read in order."""
    data = b"".join(b"%09d\n" % i for i in range(200000))
    box.log += "?segment=1MiB"
    box.ingest(box.file("input", data))
    box.log = box.log.split("?")[0]
    equal(len(segments(box)) > 2, True, "several segments")
    equal(box.cat(), data)
    equal(box.run("verify", box.log, "--json").json["records"], 200000, "records")


@case
def private_files(box):
    """The log's folder and files are the user's own."""
    box.ingest(stdin=b"x\n")
    equal(os.stat(box.log).st_mode & 0o777, 0o700, "the folder's mode")
    for path in segments(box):
        equal(os.stat(path).st_mode & 0o777, 0o600, path)


@case
def closed_output(box):
    """cat into a pipe that is closed ends quietly."""
    box.ingest(box.file("input", b"0123456789\n" * 200000))
    run = box.start("cat", box.log)
    read_until(run.stdout, 100)
    run.stdout.close()
    run.stdout = None
    err = run.stderr.read()
    run.wait(60)
    equal(err, b"", "standard error")


@case
def full_output(box):
    """cat into a full device says so; code 1."""
    box.ingest(stdin=b"x\n")
    run = box.start("cat", box.log, stdout=open("/dev/full", "wb"))
    holds(end(run, 1).err, "No space left on device")


sys.exit(main())
