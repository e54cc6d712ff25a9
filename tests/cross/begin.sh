# SPDX-License-Identifier: Apache-2.0
# begin.sh - how the tests for aarch64 begin. Sourced; the caller has set `root`. Ends with 77 and a
# TAP skip where a tool is missing. Sets cc, qemu, flags, and work: a folder that goes at the end.
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
flags="-std=gnu11 -O2 -g -D_GNU_SOURCE -fno-common -Wall -Wextra -Wpedantic -Wconversion -Wshadow
	-Werror -pthread -I$root/include -I$root/engine -I$root/tests"
