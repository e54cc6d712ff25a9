#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The points inside the aarch64 sections, under qemu-user: they disturb nothing. It registers no
# restartable sequences, so nothing is aborted. TAP on standard output.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/cross/begin.sh"

# shellcheck disable=SC2086
"$cc" $flags -static -DWR_TORTURE -o "$work/emulated" "$root"/engine/base/*.c \
	"$root"/engine/ring/*.c "$root/tests/torture/emulated_test.c"
"$qemu" "$work/emulated"
