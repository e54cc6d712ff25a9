# SPDX-License-Identifier: Apache-2.0
"""tap.py - results as TAP on standard output, and the figures of one rung. It knows no rung."""

tests = failed = 0


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


def figure(rung, what, reached, asked):
    print(f"# figure {rung} | {what} | {reached} | {asked}", flush=True)


def ended():
    """The plan; the status of the program."""
    print(f"1..{tests}")
    return 1 if failed else 0
