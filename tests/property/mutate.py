#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mutants of the engine that a program of the proof must catch by itself, one at a time.

    mutate.py LIST --source DIR --cc CC --include DIR... --library FILE --tests FILE [--link ARG...]

LIST is a file of mutants: blocks of `name:`, `file:` (below engine/) and the two texts between
`<<<<`, `====` and `>>>>`. The first text stands in the file exactly once. The mutated file is compiled on its own, in a temporary directory, and linked
before the library, which then keeps its own copy out; of a header, what `recompile:` names (below
the source directory) is compiled against it. The program must fail. It is given two
minutes: one that never ends has failed as well. Without a mutant it must pass.

A slice runs as many as WEIR_PROOF_SECONDS allow, beginning with the first; full and soak run all.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

FLAGS = ['-std=gnu11', '-O1', '-g', '-w', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64',
         '-fvisibility=hidden', '-fno-common']
LEAST = 5


def parse(path):
    mutants, now, text = [], {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        if text is not None and line not in ('====', '>>>>'):
            text.append(line)
        elif line == '<<<<':
            text = []
        elif line == '====':
            now['old'], text = '\n'.join(text), []
        elif line == '>>>>':
            now['new'], text = '\n'.join(text), None
            mutants.append(now)
            now = {}
        elif line and not line.startswith('#'):
            key, _, value = line.partition(':')
            now[key] = value.strip()
    return mutants


def build(args, mutant, folder):
    """The program with the mutant in it, or None and why not."""
    if not mutant:
        return link(args, [], folder)
    path = pathlib.Path(args.source) / 'engine' / mutant['file']
    whole = path.read_text()
    if whole.count(mutant['old']) != 1:
        return None, f'its text stands {whole.count(mutant["old"])} times in {mutant["file"]}'
    changed = folder / mutant['file']
    changed.parent.mkdir(parents=True)
    changed.write_text(whole.replace(mutant['old'], mutant['new']))
    includes = [f'-I{folder}'] + [f'-I{one}' for one in args.include]
    sources = [changed]
    if changed.suffix == '.h':
        sources = [pathlib.Path(args.source) / one for one in mutant['recompile'].split()]
    objects = []
    for source in sources:
        out = folder / (source.name + '.o')
        command = [*args.cc, *FLAGS, *includes, '-c', str(source), '-o', str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None, 'it does not compile: ' + done.stderr.strip().splitlines()[0]
        objects.append(str(out))
    return link(args, objects, folder)


def link(args, objects, folder):
    program = folder / 'program'
    command = [*args.cc, *objects, *args.tests, args.library, '-o', str(program), *args.link]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, 'it does not link: ' + done.stderr.strip().splitlines()[-1]
    return program, ''


def kill(args, mutant):
    """'' when the program has failed with the mutant in it; without one, when it has not."""
    with tempfile.TemporaryDirectory(prefix='weir-mutant-') as name:
        program, why = build(args, mutant, pathlib.Path(name))
        if not program:
            return why
        environment = dict(os.environ, WEIR_PROOF='slice', WEIR_PROOF_SECONDS='30',
                           WEIR_PROOF_SEED='1')
        try:
            done = subprocess.run([program, *args.run.split()],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  timeout=120 if mutant else 400, env=environment, cwd=name)
        except subprocess.TimeoutExpired:
            return '' if mutant else 'it never ends'
        if not mutant:
            return 'it fails by itself' if done.returncode else ''
        return '' if done.returncode else 'nothing has failed'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('list')
    parser.add_argument('--rung', required=True)
    parser.add_argument('--source', required=True)
    parser.add_argument('--cc', required=True, action='append')
    parser.add_argument('--include', action='append')
    parser.add_argument('--library', required=True)
    parser.add_argument('--tests', action='append', help='objects or archives of the program')
    parser.add_argument('--link', action='append', default=[])
    parser.add_argument('--run', default='')
    parser.add_argument('--only', default='')
    args = parser.parse_args()
    mutants = [one for one in parse(args.list) if args.only in one['name']]
    seconds = float(os.environ.get('WEIR_PROOF_SECONDS') or 20)
    partly = os.environ.get('WEIR_PROOF', 'slice') not in ('full', 'soak')
    began, done = time.monotonic(), 1
    why = kill(args, None)
    failed = bool(why)
    print(f'{"not ok" if why else "ok"} 1 - it passes as it is{": " + why if why else ""}',
          flush=True)
    for mutant in mutants:
        if partly and done > LEAST and time.monotonic() - began > seconds:
            break
        why = kill(args, mutant)
        done += 1
        failed += bool(why)
        print(f'{"not ok" if why else "ok"} {done} - it fails when {mutant["name"]}'
              f'{": " + why if why else ""}', flush=True)
    if done <= len(mutants):
        print(f'# {len(mutants) + 1 - done} of {len(mutants)} mutants were left to a longer run')
    print(f'# figure {args.rung} | mutants caught | {done - 1 - failed} | {LEAST}')
    print(f'1..{done}')
    return 1 if failed or not done else 0


if __name__ == '__main__':
    sys.exit(main())
