#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""smoke.py PROGRAM... - does every bench run to its end and write what bench/run can read? TAP.

Each program runs for a moment: two blocks of one group, in the quick shapes. Its figures mean
nothing then; that they are there, and are figures, is what counts. How fast is never asserted.
"""
import copy
import json
import math
import os
import subprocess
import sys

BLOCKS = 2
WAIT = 300  # seconds, on a machine that does much else
# What a program runs: a group that has as much in it as possible and takes a moment. Programs that
# are not named here run the first group of their quick shapes.
WORDS = {
    "push": ["--quick", "--filter", "push/1p/64B"],
    "throughput": ["--quick", "--filter", "throughput/1p/64B"],
    # The quick shape has four producers: rivals that commit in order need a time slice per push.
    "tail": ["--filter", "tail/1p/65536"],
    "scale": ["--quick", "--filter", "scale/batch/own"],
    "seed": ["--quick", "--filter", "seed/trickle"],
    "sinks": ["--quick", "--filter", "sinks/push/256B"],
}
# Who may say that the machine does too much else to measure anything.
MAY_BE_LEFT_OUT = {"delivery"}
# What may well be nothing: an engine that sleeps, a push that is never refused, a generator that is
# never late, a starved producer. For others a zero is a measurement that was not made.
MAY_BE_ZERO = {("quiet", "*"), ("tail", "refused"), ("delivery", "refused"),
               ("delivery", "lag-p99"), ("throughput", "fairness")}
TYPES = {"machine", "row", "skip", "failed", "end"}


class Broken(Exception):
    pass


class LeftOut(Exception):
    pass


def expect(true, what):
    if not true:
        raise Broken(what)


def no_constant(text):
    raise Broken(f"{text} is no JSON")


def read(text):
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line, parse_constant=no_constant))
        except ValueError as error:
            raise Broken(f"{line:.100}: {error}") from None
        expect(isinstance(lines[-1], dict), f"{line:.100} is no object")
        expect(lines[-1].get("type") in TYPES, f"{line:.100} is of no type that is known")
    return lines


def check_values(row, values, zero):
    name = row["name"]
    expect(isinstance(values, list), f"{name} has no values")
    expect(len(values) == BLOCKS, f"{name} has {len(values)} values of {BLOCKS} blocks")
    for value in values:
        expect(isinstance(value, (int, float)) and not isinstance(value, bool) and
               math.isfinite(value), f"{name}: {value!r} is no number")
        expect(value > 0 or (zero and value == 0), f"{name}: {value!r} measures nothing")


def check_row(row, question):
    for key in ("group", "case", "name"):
        expect(isinstance(row.get(key), str) and row[key].startswith(question + "/"),
               f"{row.get(key)!r} does not begin with its question")
    for key in ("peer", "unit"):
        expect(isinstance(row.get(key), str) and row[key], f"{row['name']} has no {key}")
    expect(isinstance(row.get("metric"), str), f"{row['name']} has no metric")
    expect(isinstance(row.get("more_is_better"), bool),
           f"{row['name']} does not say which way is better")
    zero = bool({(question, "*"), (question, row["metric"])} & MAY_BE_ZERO)
    check_values(row, row.get("values"), zero)
    if "aa" in row:
        expect(isinstance(row["aa"], list) and len(row["aa"]) == 2, f"{row['name']}: no A/A run")
        for values in row["aa"]:
            check_values(row, values, zero)
    if "spectrum" in row:
        check_spectrum(row)


def check_spectrum(row):
    points = row["spectrum"]
    expect(isinstance(points, list) and points and all(
        isinstance(point, list) and len(point) == 2 for point in points),
        f"{row['name']}: no spectrum")
    expect(points == sorted(points) and points[-1][0] == 1,
           f"{row['name']}: the spectrum does not rise to the whole")
    expect(all(part[1] <= after[1] for part, after in zip(points, points[1:])),
           f"{row['name']}: a percentile is less than the one before")


def check(text, question):
    """How many rows there are; Broken says what is wrong."""
    lines = read(text)
    rows = [line for line in lines if line["type"] == "row"]
    expect(lines and lines[0]["type"] == "machine", "the machine is not named first")
    expect(lines[0].get("blocks") == BLOCKS, "it ran another number of blocks")
    expect(lines[-1]["type"] == "end", "there is no end")
    for line in lines:
        expect(line.get("question") == question, f"{line.get('question')!r} is another question")
        expect(line["type"] != "failed", f"{line.get('case')}: {line.get('why')}")
        if line["type"] == "skip":
            expect(line.get("why"), f"{line.get('case')} was left out, and nobody says why")
    for row in rows:
        check_row(row, question)
    names = [row["name"] for row in rows]
    expect(len(set(names)) == len(names), "two rows have one name")
    left_out = [line for line in lines if line["type"] == "skip"]
    if not rows and left_out and question in MAY_BE_LEFT_OUT:
        raise LeftOut(left_out[0]["why"])
    expect(rows, "there is no row")
    return len(rows)


def sound():
    row = {"type": "row", "question": "push", "group": "push/1p/8B", "case": "push/weir/1p/8B",
           "peer": "weir", "name": "push/weir/1p/8B", "metric": "", "unit": "ns",
           "more_is_better": False, "values": [5.25, 5], "aa": [[5.0, 5.5], [5, 6]],
           "spectrum": [[0.5, 4.5], [1, 9]]}
    return [{"type": "machine", "question": "push", "blocks": BLOCKS}, row,
            {"type": "end", "question": "push"}]


def breaks():
    """What must be refused: a sentence, and the text."""
    def with_row(**fields):
        lines = copy.deepcopy(sound())
        lines[1].update(fields)
        for key in [key for key, value in fields.items() if value is Broken]:
            del lines[1][key]
        return "\n".join(json.dumps(line) for line in lines)

    yield "a value of zero", with_row(values=[5, 0])
    yield "a negative value", with_row(values=[-1, 5])
    yield "a value that is not a number", with_row(values=[5, math.nan])
    yield "a value without end", with_row(values=[math.inf, 5])
    yield "a value as printf writes it", with_row(values=[5, 7]).replace(" 7]", " nan]")
    yield "a value in quotes", with_row(values=["5", 5])
    yield "a value too few", with_row(values=[5])
    yield "a value too many", with_row(values=[5, 5, 5])
    yield "no values", with_row(values=Broken)
    yield "a zero in the A/A run", with_row(aa=[[5, 5], [5, 0]])
    yield "half an A/A run", with_row(aa=[[5, 5]])
    yield "a name of another question", with_row(name="scale/weir/1r")
    yield "a row without a unit", with_row(unit=Broken)
    yield "a spectrum that falls", with_row(spectrum=[[0.5, 9], [1, 4]])
    yield "a failed case", with_row(type="failed", why="a checksum")
    yield "only a skip", with_row(type="skip", why="it is not installed")
    yield "a line of no known type", with_row(type="rows")
    yield "a broken line", with_row()[:-3]
    yield "no end", "\n".join(with_row().split("\n")[:2])
    yield "no machine", "\n".join(with_row().split("\n")[1:])
    yield "nothing", ""


def self_check():
    check("\n".join(json.dumps(line) for line in sound()), "push")
    for what, text in breaks():
        try:
            check(text, "push")
        except Broken:
            continue
        raise Broken(f"{what} passes")
    return f"{len(list(breaks()))} kinds"


def run(program, *words):
    return subprocess.run([program, *words], stdin=subprocess.DEVNULL, timeout=WAIT,
                          capture_output=True, text=True, check=False)


def first_of(program):
    titles = run(program, "--quick", "--list").stdout.split("\n")
    expect(titles[0], "it lists no group")
    return ["--quick", "--filter", titles[0]]


def smoke(program):
    question = os.path.basename(program).removeprefix("bench_")
    words = WORDS.get(question) or first_of(program)
    done = run(program, "--blocks", str(BLOCKS), *words)
    try:
        expect(done.returncode == 0, f"it ended with status {done.returncode}")
        rows = check(done.stdout, question)
    except Broken as error:
        said = "".join(f"\n# {line}" for line in done.stderr.split("\n")[-20:] if line)
        raise Broken(f"{words[-1]}: {error}{said}") from None
    return f"{words[-1]}, {rows} rows"


def main(programs):
    failed = 0
    print(f"1..{1 + len(programs)}", flush=True)
    turns = [("what is broken is refused", self_check)]
    turns += [(os.path.basename(path), lambda path=path: smoke(path)) for path in programs]
    for number, (what, turn) in enumerate(turns, 1):
        try:
            print(f"ok {number} {what}: {turn()}", flush=True)
        except LeftOut as error:
            print(f"ok {number} {what} # SKIP {error}", flush=True)
        except (Broken, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"not ok {number} {what}\n# {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
