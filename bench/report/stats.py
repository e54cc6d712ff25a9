# SPDX-License-Identifier: Apache-2.0
"""stats.py - medians, their intervals, ratios block by block, and what may be said of them.

It knows numbers. It does not know rows, peers or files.

A median has the interval between two of the sorted values, chosen so that it covers the true
median with at least 95 %, whatever the distribution: of n = 9 values the 2nd and the 8th, 96.1 %.
Fewer than six values have no such interval: then it is the least and the most, and nothing is
claimed.
"""
import math

WANTED = 0.95
BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"


def ranks(count):
    """(rank from below and from above, coverage) of the interval of a median of @count values."""
    def coverage(rank):
        outside = sum(math.comb(count, i) for i in range(rank))
        return 1 - 2 * outside / 2 ** count

    best = 1
    while best + 1 <= count // 2 and coverage(best + 1) >= WANTED:
        best += 1
    return best, max(coverage(best), 0.0)


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    low, high = ordered[half - 1], ordered[half]
    return low if low == high else (low + high) / 2  # two infinities have no mean


def interval(values):
    """(low, high) of the median."""
    ordered = sorted(values)
    rank = ranks(len(ordered))[0]
    return ordered[rank - 1], ordered[-rank]


def is_covered(count):
    """Whether an interval of so many values holds the median with 95 %."""
    return ranks(count)[1] >= WANTED


def quotient(a, b):
    """Nothing beside nothing is alike."""
    if b:
        return a / b
    return 1.0 if a == b else math.inf


class Ratio:
    """How many times one thing is another: median, interval, and whether it covers 95 %."""

    def __init__(self, middle, low, high, covered):
        self.middle, self.low, self.high, self.covered = middle, low, high, covered

    @property
    def interval(self):
        return self.low, self.high


def paired(a, b):
    """Of values whose block i ran near each other in time."""
    each = [quotient(x, y) for x, y in zip(a, b)]
    return Ratio(median(each), *interval(each), is_covered(len(each)))


def apart(a, b):
    """Of values that ran at different times: every pair of the two intervals is possible."""
    (low_a, high_a), (low_b, high_b) = interval(a), interval(b)
    return Ratio(quotient(median(a), median(b)), quotient(low_a, high_b), quotient(high_a, low_b),
                 is_covered(min(len(a), len(b))))


def spread(twins):
    """How far from 1 the ratio of a thing to itself may lie: the A/A spread."""
    ratio = paired(*twins)
    return max(abs(ratio.low - 1), abs(ratio.high - 1))


def verdict(ratio, noise, more_is_better):
    """Of the thing above the line. @noise: the A/A spread, None when none was measured."""
    if noise is None or not ratio.covered:
        return CANNOT_TELL
    if ratio.low > 1 + noise:
        return BETTER if more_is_better else WORSE
    if ratio.high < 1 - noise:
        return WORSE if more_is_better else BETTER
    return CANNOT_TELL
