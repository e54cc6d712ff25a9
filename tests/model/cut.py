#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cut.py [SCHEDULES] - random model of the order rule (engine/ring/mark.c, engine/flush/order.c).

Threads push numbered records on rings, move between rings, and are interrupted by handlers that
push as well. The last ring is a fallback ring: records of others may lie in it uncommitted.
Cuts are read ring by ring while pushes go on. Demanded: each thread's records come out in the
order of its pushes. The rule as a whole must keep every schedule; without any one of its pieces
some must break. TAP."""
import random
import sys

RINGS, THREADS, STEPS = 4, 3, 80
HOLE = -1  # somebody else's record


class Rule:
    def __init__(self, marks=True, closure=True, retraction=True, version=True, whole_set=True):
        self.marks = marks              # a record that changes rings names where it comes from
        self.closure = closure          # a cut is extended to what its marks name
        self.retraction = retraction    # or cut short before a mark that names what is missing
        self.version = version          # a change of the order word can be told from none
        self.whole_set = whole_set      # the word is a set of rings, not the last one alone


class Record:
    def __init__(self, thread, number, names, committed=True):
        self.thread, self.number, self.names, self.committed = thread, number, names, committed


class Engine:
    def __init__(self, rule, seed):
        self.rule, self.random = rule, random.Random(seed)
        self.rings = [[] for _ in range(RINGS)]
        self.taken = [0] * RINGS
        self.words = [(frozenset(), 0)] * THREADS   # the order words: {rings, version}
        self.numbers = [0] * THREADS
        self.cpu = [self.random.randrange(RINGS) for _ in range(THREADS)]
        self.out = []

    def handler(self, thread, depth):
        """Perhaps a signal handler pushes on this thread, now. Returns whether it did."""
        if depth >= 3 or self.random.random() >= .15:
            return False
        self.push(thread, self.random.randrange(RINGS), depth + 1)
        return True

    def put(self, thread, ring, names):
        self.rings[ring].append(Record(thread, self.numbers[thread], names))
        self.numbers[thread] += 1

    def push_by_last(self, thread, ring, depth):
        """One word, written after the commit: what a set is needed against."""
        last = self.words[thread][0]
        self.put(thread, ring, [(r, len(self.rings[r])) for r in last if r != ring])
        self.handler(thread, depth)
        self.words[thread] = (frozenset([ring]), 0)

    def push(self, thread, ring, depth=0):
        if not self.rule.whole_set:
            self.push_by_last(thread, ring, depth)
            return
        step = 1 if self.rule.version else 0
        while True:
            word = self.words[thread]                           # wr_mark_begin()
            marked = word[0] != frozenset([ring])
            if marked:
                word = (word[0] | {ring}, word[1] + step)
                self.words[thread] = word
                self.handler(thread, depth)
            heads = {r: len(self.rings[r]) for r in word[0]}
            if self.handler(thread, depth):                     # the section was aborted
                ring = self.random.randrange(RINGS) if self.random.random() < .5 else ring
                continue
            if self.words[thread] == word:                      # tested inside the section
                break
        self.put(thread, ring, [(r, heads[r]) for r in word[0] if r != ring])
        self.handler(thread, depth)
        if marked:                                              # wr_mark_done()
            now = self.words[thread]
            rings = frozenset([ring]) if now == word else now[0] | {ring}
            self.words[thread] = (rings, now[1] + step)

    def close_cut(self, cut):
        reach = []                                              # up to the first uncommitted one
        for ring, taken in zip(self.rings, self.taken):
            while taken < len(ring) and ring[taken].committed:
                taken += 1
            reach.append(taken)
        changed = True
        while changed:
            changed = False
            for r in range(RINGS):
                if cut[r] > reach[r]:
                    cut[r], changed = reach[r], True
                for at in range(self.taken[r], cut[r]):
                    if at >= cut[r]:
                        break
                    for named, head in self.rings[r][at].names:
                        if head <= cut[named]:
                            continue
                        if head <= reach[named] and self.rule.closure:
                            cut[named], changed = head, True
                        elif head > reach[named] and self.rule.retraction:
                            cut[r], reach[r], changed = at, at, True
                            break

    def flush(self, cut):
        if not self.rule.marks:
            for ring in self.rings:
                for record in ring:
                    record.names = []
        self.close_cut(cut)
        sent, progress = self.taken[:], True
        while progress:
            progress = False
            for r in range(RINGS):
                while sent[r] < cut[r]:
                    record = self.rings[r][sent[r]]
                    if any(sent[n] < min(head, cut[n]) for n, head in record.names):
                        break
                    self.out.append(record)
                    sent[r] += 1
                    progress = True
        assert all(s >= c for s, c in zip(sent, cut)), "marks formed a cycle"
        self.taken = sent

    def run(self):
        """Whether every record came out once, and in order."""
        chance, holes = self.random, []
        for _ in range(STEPS):
            thread = chance.randrange(THREADS)
            if chance.random() < .3:
                self.cpu[thread] = chance.randrange(RINGS)
            if chance.random() < .1:
                holes.append(Record(HOLE, 0, [], False))
                self.rings[-1].append(holes[-1])
            if holes and chance.random() < .2:
                holes.pop(0).committed = True
            if chance.random() >= .12:
                self.push(thread, self.cpu[thread])
                continue
            cut = []
            for ring in self.rings:
                cut.append(len(ring))
                if chance.random() < .6:
                    other = chance.randrange(THREADS)
                    self.cpu[other] = chance.randrange(RINGS)
                    self.push(other, self.cpu[other])
            self.flush(cut)
        for hole in holes:
            hole.committed = True
        self.flush([len(ring) for ring in self.rings])
        for thread in range(THREADS):
            numbers = [r.number for r in self.out if r.thread == thread]
            if numbers != list(range(self.numbers[thread])):
                return False
        return True


def main():
    schedules = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    rules = [("the whole rule", Rule())]
    rules += [("without " + piece.replace("_", " "), Rule(**{piece: False}))
              for piece in ("marks", "closure", "retraction", "version", "whole_set")]
    failed = 0
    print("1..%d" % len(rules), flush=True)
    for i, (name, rule) in enumerate(rules):
        kept = sum(Engine(rule, seed).run() for seed in range(schedules))
        ok = kept == schedules if i == 0 else kept < schedules
        failed += not ok
        print("%sok %d - %s keeps %d of %d schedules in order" % (
            "" if ok else "not ", i + 1, name, kept, schedules), flush=True)
    return 1 if failed else 0


sys.exit(main())
