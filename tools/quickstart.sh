#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh - from nothing to a verified segment log.
#
#     sh tools/quickstart.sh            install what is missing, build, run, compare
#     sh tools/quickstart.sh --clean    remove what this script made (packages stay)
#
# Runs from any directory and writes into build/ (and .deps/, when packages cannot be installed).
# Made for Debian 12; elsewhere it works if the packages have the same names.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/build
data=$work/quickstart
log=$work/quickstart.log
WANTED_BYTES=210000000
FILES=4
PRODUCERS=4

usage() {
	sed -n '3,9s/^# \{0,1\}//p' "$0"
}

case ${1-} in
'') ;;
--clean)
	if [ -f "$work/.quickstart" ]; then
		rm -rf "$work"
	else
		# The folder was there before: somebody's own build tree.
		rm -rf "$data" "$log"
	fi
	rm -rf "$root/.deps"
	echo 'removed what quickstart.sh made'
	exit 0
	;;
-h | --help)
	usage
	exit 0
	;;
*)
	usage >&2
	exit 2
	;;
esac

if [ ! -d "$work" ]; then
	mkdir "$work"
	: >"$work/.quickstart"
fi
: >"$log"
. "$root/tools/lib.sh"
trap ended EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$root"

# The text files of this system, as a list; none is read but as it lies there.
list_text() {
	for place in /usr/include /usr/share/common-licenses /usr/share/doc /usr/share/perl \
		/usr/share/perl5 /usr/lib/python3 /var/lib/dpkg/info /var/lib/apt/lists \
		/usr/share/zoneinfo /usr/share/meson /usr/share/misc "$root/engine"; do
		[ -d "$place" ] || continue
		find "$place" -type f -size -40000k \( -name '*.h' -o -name '*.txt' \
			-o -name '*.py' -o -name '*.p[lm]' -o -name '*.pod' -o -name '*.list' \
			-o -name '*.md5sums' -o -name '*.templates' -o -name '*.tab' \
			-o -name '*_Packages' -o -name '*.c' -o -name copyright -o -name 'README*' \
			-o -path '/usr/share/common-licenses/*' \) -print 2>/dev/null || true
	done
}

# FILES files of text in $data, WANTED_BYTES together; the system's text is repeated to get there.
make_text() {
	rm -rf "$data"
	mkdir -p "$data"
	list_text >"$data/list"
	i=0
	while [ $i -lt $FILES ]; do
		awk -v n=$FILES -v i=$i 'NR % n == i' "$data/list" | tr '\n' '\0' |
			xargs -0 cat >"$data/once" 2>>"$log" || true
		[ -s "$data/once" ] || die 'no text files found on this system'
		bytes=0
		once=$(wc -c <"$data/once")
		: >"$data/part"
		while [ $bytes -lt $((WANTED_BYTES / FILES)) ]; do
			cat "$data/once" >>"$data/part"
			bytes=$((bytes + once))
		done
		i=$((i + 1))
		mv "$data/part" "$data/text-$i.txt"
	done
	rm -f "$data/once"
	date >"$data/complete"
}

# number NAME: a number out of the JSON that weir printed.
number() {
	tr ',{}' '\n\n\n' <"$data/ingest.json" |
		sed -n "s/^[[:space:]]*\"$1\":[[:space:]]*\([0-9][0-9.]*\).*/\1/p" | head -n 1
}

grouped() {
	echo "$1" | sed -e ':a' -e 's/^\([0-9]*[0-9]\)\([0-9]\{3\}\)/\1,\2/' -e 'ta'
}

say "weir quick start                                  log: build/quickstart.log"

step='system' fix='run it on Linux'
[ "$(uname -s)" = Linux ] || die 'weir is for Linux'
say "[1/4] system     $(system_name), Linux $(uname -r), $(uname -m), $(cpus) CPUs"
proc_is_there || say '      warning: no /proc is mounted here (mount -t proc proc /proc)'
free_kb=$(df -Pk "$work" | awk 'NR == 2 { print $4 }')
[ "$free_kb" -ge 700000 ] || die "700 MB are needed in $work, $((free_kb / 1024)) are free"

step='packages' fix='install the packages named above by hand, then run this again'
use_rootless
need has_compiler '' gcc libc6-dev
need has_meson '' meson
need has_program ninja ninja-build
need has_program pkg-config pkg-config
need has_library liburcu-bp liburcu-dev
need has_library ck libck-dev
need has_library jemalloc libjemalloc-dev
if [ -z "$missing" ]; then
	say '[2/4] packages   all there'
else
	say "[2/4] packages   missing:"
	# shellcheck disable=SC2086
	install_packages $missing || die "these packages could not be installed:$missing"
	has_compiler '' && has_meson '' && has_library liburcu-bp && has_library ck ||
		die 'packages were installed and yet something is missing'
fi

step='build' fix='sh tools/quickstart.sh --clean, then run this again'
began=$(now)
begin '[3/4] build      engine, command, benches ...'
setup "$work" --buildtype=release -Dtests=disabled -Dbenches=auto
quiet ninja -C "$work"
finish "done ($(($(now) - began)) s)"
quiet "$work/weir" version

step='run' fix='sh tools/quickstart.sh --clean, then run this again; if it fails again, it is a bug'
if [ ! -f "$data/complete" ]; then
	begin "[4/4] run        gathering the system's text files ..."
	make_text
	finish done
	say "                 $PRODUCERS producers -> rings -> flusher -> segment files"
else
	say "[4/4] run        $PRODUCERS producers -> rings -> flusher -> segment files"
fi
rm -rf "$data/log"
bytes=$(cat "$data"/text-*.txt | wc -c)
[ "$bytes" -ge 200000000 ] || die "only $bytes bytes of text were made"
began=$(now)
# shellcheck disable=SC2046
"$work/weir" ingest --producers $PRODUCERS --sink "file:$data/log" --json "$data"/text-*.txt \
	>"$data/ingest.json" 2>>"$log"
cat "$data/ingest.json" >>"$log"

# Every record back, source by source, byte for byte: nothing lost, nothing changed, nothing twice.
compared=0
for file in "$data"/text-*.txt; do
	"$work/weir" cat "$data/log" --source "$file" 2>>"$log" | cmp - "$file" >>"$log" 2>&1 ||
		die "what came back from the log is not $file"
	compared=$((compared + 1))
done
[ $compared -eq $FILES ] || die "compared $compared files instead of $FILES"
quiet "$work/weir" verify "$data/log"
pushed=$(number accepted) delivered=$(number delivered)
records=$("$work/weir" cat "$data/log" 2>>"$log" | wc -l)
lines=$(cat "$data"/text-*.txt | wc -l)
[ -n "$pushed" ] && [ "$pushed" -gt 0 ] && [ "$pushed" = "$delivered" ] ||
	die "pushed ${pushed:-?} records, delivered ${delivered:-?}"
[ "$records" -eq "$lines" ] || die "$lines lines went in, $records came out"
seconds=$(number seconds)
say "      pushed $(grouped "$pushed")   delivered $(grouped "$delivered")" \
	"  dropped $(number dropped)   lost 0     OK"
say "      $(grouped "$bytes") bytes of text went in; the same came back, from $compared sources"
say "      $(awk -v r="$pushed" -v b="$bytes" -v s="$seconds" 'BEGIN {
	if (s > 0) printf "%.1f M records/s, %.0f MB/s, in %.2f s", r / s / 1e6, b / s / 1e6, s }')"
segments=$(find "$data/log" -type f -size +0 | wc -l)
say "      $(grouped "$(number batches)") batches in $segments files; every checksum is right"
say ''
say 'next: build/weir cat build/quickstart/log | head     look at the data'
say '      build/weir doctor                              what this machine offers'
say '      build/weir help                                every command and key'
say '      sh tools/check.sh                              run the tests'
finished=yes
