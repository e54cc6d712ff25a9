#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py - runs the tests of a build tree and counts what really ran.

    tests/run.py TREE [--suite S]... [--no-suite S]... [--name N]... [--wrap 'COMMAND'] [--slow N]
                 [--repeat N] [--counts FILE --step NAME] [--figures FILE]
    tests/run.py --table FILE

Every line of a test's TAP counts as one; a test without TAP counts as one. Failed ones are printed
with the end of their output. A test that ran nothing has failed. Appends `STEP passed failed
skipped` to FILE. The last line is `N passed, N failed, N skipped`.

A rung of the proof prints its figures as `# figure RUNG | WHAT | REACHED | ASKED`; they, its time and
what it skipped go into --figures, and --table prints such a file.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys

LINE = re.compile(r"^\s*(not ok|ok)\b\s*(\d*)\s*-?\s*([^#]*)(#\s*(skip|todo)?.*)?", re.IGNORECASE)


def count(entry):
    """Returns (passed, failed names, skipped) of one entry of testlog.json."""
    name, code = entry["name"], entry.get("returncode", 1)
    passed, failed, skipped = 0, [], 0
    tap = False
    for line in (entry.get("stdout") or "").splitlines():
        if re.match(r"^1\.\.(\d+)", line) or line.startswith("TAP version"):
            tap = True
        match = LINE.match(line)
        if not match or line.startswith("  "):
            continue
        tap = True
        if (match.group(5) or "").lower() == "skip":
            skipped += 1
        elif match.group(1).lower() == "ok":
            passed += 1
        else:
            failed.append(f"{name}: {match.group(3).strip()}")
    result = entry.get("result", "FAIL")
    if result == "SKIP" and not passed and not failed:
        return 0, [], max(skipped, 1)
    if not tap:
        return (1, [], 0) if result in ("OK", "EXPECTEDFAIL") else (0, [f"{name}: {result}"], 0)
    if result not in ("OK", "EXPECTEDFAIL", "SKIP") and not failed:
        failed.append(f"{name}: {result}, status {code}, after {passed} tests")
    elif not passed and not failed and not skipped:
        failed.append(f"{name}: ran no test at all")
    return passed, failed, skipped


def run(options):
    """Runs meson test and returns the entries of its log."""
    base = "run-" + re.sub(r"\W+", "-", options.step)
    # A wrapper's name is appended to it.
    logs = os.path.join(options.tree, "meson-logs", base + "*.json")
    command = ["meson", "test", "-C", options.tree, "--no-rebuild", "--logbase", base,
               "--timeout-multiplier", str(options.slow), "--repeat", str(options.repeat)]
    for suite in options.suite:
        command += ["--suite", suite]
    for suite in options.no_suite:
        command += ["--no-suite", suite]
    if options.wrap:
        command += ["--wrapper", options.wrap]
    command += options.name
    for log in glob.glob(logs):
        os.unlink(log)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    entries = []
    for log in glob.glob(logs):
        with open(log, encoding="utf-8", errors="replace") as file:
            entries += [json.loads(line) for line in file if line.strip()]
    if not entries:
        print(done.stdout)
    return entries


def figures(entry):
    """The lines of a rung's table: rung, what, reached, asked, seconds."""
    rung, lines = entry["name"].split("proof-")[-1], []
    for line in (entry.get("stdout") or "").splitlines():
        match = re.match(r"^# figure (.*)$", line)
        if match:
            cells = [cell.strip() for cell in match.group(1).split("|")]
            rung = cells[0]
            lines.append((cells + ["", "", "", ""])[:4])
        match = re.match(r"^ok\b\s*\d*\s*-?\s*(.*?)\s*#\s*skip\S*\s*(.*)$", line, re.IGNORECASE)
        if match:
            why = re.sub(r"^because\s+", "", match.group(2))
            lines.append([rung, match.group(1), f"skipped, because {why}", ""])
    if not lines:
        lines.append([rung, "", entry.get("result", "FAIL").lower(), ""])
    return [cells + [f"{entry.get('duration', 0):.0f}" if i == 0 else ""]
            for i, cells in enumerate(lines)]


def table(path):
    """Prints what --figures has gathered."""
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if line.strip()]
    skipped = [row for row in rows if row[2].startswith("skipped")]
    rows = [["rung", "figure", "reached", "asked", "seconds"]] + [
        row for row in rows if row not in skipped]
    wide = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        print("  ".join(cell.rjust(w) if i > 1 else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(row, wide))).rstrip())
    for row in skipped:
        print(f"{row[0]}: {row[1]}: {row[2]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", nargs="?")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--no-suite", action="append", default=[])
    parser.add_argument("--name", action="append", default=[])
    parser.add_argument("--wrap")
    parser.add_argument("--slow", type=float, default=1)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--counts")
    parser.add_argument("--step", default="tests")
    parser.add_argument("--figures")
    parser.add_argument("--table")
    options = parser.parse_args()
    if options.table:
        table(options.table)
        return 0

    passed, failed, skipped = 0, [], 0
    entries = run(options)
    for entry in entries:
        one = count(entry)
        passed += one[0]
        failed += one[1]
        skipped += one[2]
        if one[1]:
            print(f"--- {entry['name']} ({entry.get('result')}, status {entry.get('returncode')})")
            text = (entry.get("stdout") or "") + (entry.get("stderr") or "")
            bad = [line for line in text.splitlines() if not re.match(r"^\s*ok\b", line)]
            print("\n".join("    " + line for line in bad[-60:]))
        print(f"{one[0]:5} passed {len(one[1]):3} failed {one[2]:3} skipped  "
              f"{entry.get('duration', 0):6.1f} s  {entry['name']}")
        if options.figures:
            with open(options.figures, "a", encoding="utf-8") as file:
                file.writelines("\t".join(cells) + "\n" for cells in figures(entry))
    if not entries:
        failed.append("no test was found in this tree")
    for name in failed:
        print(f"FAILED {name}")
    if options.counts:
        with open(options.counts, "a", encoding="utf-8") as file:
            file.write(f"{options.step} {passed} {len(failed)} {skipped}\n")
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
