#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The rooms base and ring and their tests for aarch64: compiled with warnings as errors, run under
# qemu-user, which registers no restartable sequences. So the fallback ring runs for real, and the
# sections run over an rseq area that the tests make up. TAP on standard output; 77: tools are missing.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/cross/begin.sh"

for room in base ring; do
	[ -d "$root/tests/unit/$room" ] || continue
	# shellcheck disable=SC2086
	"$cc" $flags -static -o "$work/unit-$room" "$root"/engine/base/*.c "$root"/engine/ring/*.c \
		"$root"/tests/unit/"$room"/*_test.c "$root"/tests/plain_main.c
done
# The commit of a section must be a store-release, and the signature must stand before the abort.
# shellcheck disable=SC2086
"$cc" $flags -S -o "$work/section.s" -x c - << 'SOURCE'
#include "ring/section.h"
int push(struct wr_ring *_Atomic const *table, const _Atomic uint64_t *order, struct wr_seen *seen);
int push(struct wr_ring *_Atomic const *table, const _Atomic uint64_t *order, struct wr_seen *seen)
{
	return wr_section_push(table, 0, order, 8, seen, seen);
}
SOURCE
grep -q 'stlr' "$work/section.s" || { echo "Bail out! the commit is no store-release"; exit 1; }

failed=0
for room in base ring; do
	[ -x "$work/unit-$room" ] || continue
	"$qemu" "$work/unit-$room" > "$work/tap" 2> "$work/err" || failed=1
	grep -v '^1\.\.' "$work/tap" | sed "s/^\(not ok\|ok\) [0-9]* /\1 - $room: /" >> "$work/all"
	grep -v '^skipped' "$work/err" >&2 || true
done
cat "$work/all"
echo "1..$(grep -c '^\(not \)\{0,1\}ok ' "$work/all")"
exit "$failed"
