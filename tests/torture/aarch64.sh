#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The points inside the aarch64 sections, under qemu-user: they disturb nothing. It registers no
# restartable sequences, so nothing is aborted. TAP on standard output.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cc=${AARCH64_CC:-aarch64-linux-gnu-gcc}
qemu=${AARCH64_QEMU:-qemu-aarch64}

missing=
command -v "$cc" > /dev/null 2>&1 || missing="$missing gcc-aarch64-linux-gnu"
command -v "$qemu" > /dev/null 2>&1 || missing="$missing qemu-user"
if [ -n "$missing" ]; then
	echo "1..0 # SKIP because packages are missing:$missing"
	exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"$cc" -std=gnu11 -O2 -g -D_GNU_SOURCE -fno-common -Wall -Wextra -Wpedantic -Wconversion -Wshadow \
	-Werror -static -pthread -DWR_TORTURE -I"$root/include" -I"$root/engine" \
	-o "$work/emulated" "$root"/engine/base/*.c "$root"/engine/ring/*.c \
	"$root/tests/torture/emulated_test.c"
"$qemu" "$work/emulated"
