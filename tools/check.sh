#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh - builds weir in every way that matters and runs every test.
#
#     sh tools/check.sh                 about ten minutes on two cores
#     sh tools/check.sh --minutes 30    the same steps; stress tests run longer
#     sh tools/check.sh --full          more repetitions and tools, each rung of the proof at length
#     sh tools/check.sh --soak          the proof undivided; takes hours
#     sh tools/check.sh --only STEP     one step (repeatable): see --list
#     sh tools/check.sh --clean         remove what this script made (packages stay)
#
# Installs the test libraries that are missing. Writes into build-check/ (and .deps/). The step
# `proof` prints a table: rung, figure reached, figure asked, seconds. The last line is `N passed,
# N failed, N skipped`; the status is 0 only when nothing failed and no step ran fewer tests than
# tests/minimum says.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/build-check
log=$work/check.log
counts=$work/counts
minutes=10
full=no
only=''
proof=slice
STEPS='gcc release fallback clang points asan tsan aarch64 valgrind proof'

usage() {
	sed -n '3,15s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
	case $1 in
	--minutes)
		minutes=${2-}
		case $minutes in
		'' | *[!0-9]* | 0) echo '--minutes wants a number' >&2 && exit 2 ;;
		esac
		shift
		;;
	--full) full=yes proof=full ;;
	--soak) proof=soak ;;
	--only)
		case " $STEPS " in
		*" ${2-} "*) only="$only $2" ;;
		*) echo "no step ${2-}; there are: $STEPS" >&2 && exit 2 ;;
		esac
		shift
		;;
	--list) echo "$STEPS" && exit 0 ;;
	--clean)
		rm -rf "$work" "$root/.deps"
		echo 'removed build-check and .deps'
		exit 0
		;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done

mkdir -p "$work"
: >"$log"
: >"$counts"
: >"$work/bad"
. "$root/tools/lib.sh"
trap ended EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$root"
started=$(now)

# A step that cannot run here: counted, never silent.
skip_step() {
	say "      $1: skipped ($2)"
	echo "$1 0 0 1" >>"$counts"
}

# build STEP OPTIONS...: configures and compiles build-check/STEP: all of it, or $targets.
targets=''
build() {
	build_step=$1
	shift
	build_began=$(now)
	begin "      $build_step: build ..."
	rm -f "$work/$build_step.build"
	# shellcheck disable=SC2086
	if setup "$work/$build_step" "$@" &&
		ninja -C "$work/$build_step" -k 0 $targets >"$work/$build_step.build" 2>&1; then
		cat "$work/$build_step.build" >>"$log"
		finish "done ($(($(now) - build_began)) s)"
		return 0
	fi
	finish failed
	[ ! -f "$work/$build_step.build" ] || cat "$work/$build_step.build" >>"$log"
	if [ -f "$work/$build_step.build" ]; then
		grep -E 'error:|undefined reference|warning:|No such file' "$work/$build_step.build"
	else
		tail -n 12 "$log"
	fi | cut -c 1-200 | awk '!seen[$0]++' | head -n 20 | sed 's/^/          /'
	echo "$build_step 0 1 0" >>"$counts"
	echo "$build_step(build)" >>"$work/bad"
	return 1
}

# run STEP TREE ARGUMENTS-OF-RUN.PY...: runs tests of build-check/TREE, counted under STEP.
run() {
	run_step=$1 run_tree=$2
	shift 2
	run_began=$(now)
	run_out=$work/$run_step.out
	begin "      $run_step: test ..."
	if python3 tests/run.py "$work/$run_tree" --step "$run_step" --counts "$counts" "$@" \
		>"$run_out" 2>&1; then
		finish "$(tail -n 1 "$run_out") ($(($(now) - run_began)) s)"
	else
		finish "$(tail -n 1 "$run_out") ($(($(now) - run_began)) s)"
		grep -v '^ *[0-9]* passed' "$run_out" | head -n 120 | sed 's/^/          /'
		echo "$run_step" >>"$work/bad"
		# A runner that died has counted nothing.
		grep -q "^$run_step " "$counts" || echo "$run_step 0 1 0" >>"$counts"
	fi
	cat "$run_out" >>"$log"
}

# with 'NAME=VALUE ...' COMMAND...: in that environment.
with() {
	(
		# shellcheck disable=SC2086,SC2163
		export $1
		shift
		"$@"
	)
}

wanted() {
	[ -z "$only" ] && return 0
	case "$only " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

minimum_of() {
	awk -v s="$1" '$1 == s { print $2 }' tests/minimum
}

say 'weir check                                        log: build-check/check.log'

step=system fix='run it on Linux'
[ "$(uname -s)" = Linux ] || die 'weir is for Linux'
say "[1/4] system     $(system_name), Linux $(uname -r), $(uname -m), $(cpus) CPUs"
fix='mount -t proc proc /proc'
proc_is_there || die 'no /proc is mounted here: runners would find no tests and call it success'

step=packages fix='install the packages named above by hand, then run this again'
use_rootless
need has_compiler '' gcc libc6-dev
need has_program g++ g++
need has_meson '' meson
need has_program ninja ninja-build
need has_program pkg-config pkg-config
need has_program python3 python3
need has_library liburcu-bp liburcu-dev
need has_library ck libck-dev
need has_library jemalloc libjemalloc-dev
required=$missing
need has_library criterion libcriterion-dev
need has_library benchmark libbenchmark-dev
need has_library libdpdk libdpdk-dev
need has_library libzmq libzmq3-dev
need has_library rdkafka librdkafka-dev
need has_library tbb libtbb-dev
need has_library spdlog libspdlog-dev
need has_header concurrentqueue/concurrentqueue.h libconcurrentqueue-dev
need has_header atomic_queue/atomic_queue.h libatomic-queue-dev
need has_header boost/lockfree/queue.hpp libboost-dev
need has_program clang clang
need has_program valgrind valgrind
need has_program strace strace
need has_program spin spin
need has_program abidiff abigail-tools
need has_program scdoc scdoc
need has_program mandoc mandoc
need has_program qemu-aarch64 qemu-user
need has_program aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
need has_program llvm-cov-14 llvm-14
need has_fuzzer '' libclang-rt-14-dev
need has_program clang-tidy clang-tidy
need has_program cppcheck cppcheck
need has_program nbdkit nbdkit
need has_program nbdfuse libnbd-bin
need has_program mkfs.xfs xfsprogs
need has_program mkfs.ext4 e2fsprogs
if [ -z "$missing" ]; then
	say '[2/4] packages   all there'
else
	say '[2/4] packages   missing:'
	# shellcheck disable=SC2086
	if ! install_packages $missing; then
		# Perhaps one is unknown here: those that must be there first, then one by one.
		if [ -n "$required" ]; then
			install_packages $required || die "cannot go on without:$required"
		fi
		for package in $missing; do
			case " $required " in
			*" $package "*) continue ;;
			esac
			install_packages "$package" ||
				say "      without $package: its tests are skipped"
		done
	fi
fi

step=tests fix='read the tests named above; sh tools/check.sh --only STEP repeats one step'
export MESON_TESTTHREADS="${MESON_TESTTHREADS-$(cpus)}"
repeat=1
[ $full = no ] || repeat=3
say "[3/4] tests      about $minutes minutes"

# Building and most tests take as long as they take; stress tests share 40 % of the time, each in
# four of the steps below.
stress=''
share_time() {
	[ -z "$stress" ] || return 0
	programs=$(meson test -C "$work/$1" --list --suite stress 2>>"$log" |
		grep -c stress) || programs=1
	stress=$((minutes * 60 * 4 / 10 / (programs * 4)))
	[ $stress -ge 2 ] || stress=2
	[ $full = no ] || stress=$((stress * 2))
	say "      $programs stress tests, $stress s each"
	export WEIR_STRESS_SECONDS=$stress
}

if wanted gcc && build gcc -Dwerror=true; then
	share_time gcc
	run gcc gcc --no-suite cross --no-suite proof --no-suite proof-full --repeat $repeat
fi
if wanted fallback && { [ -f "$work/gcc/build.ninja" ] || build gcc -Dwerror=true; }; then
	# The same where no restartable sequences are offered; stress tests see to it themselves.
	with GLIBC_TUNABLES=glibc.pthread.rseq=0 run fallback gcc --suite unit
fi
if wanted release && build release --native-file tests/profile/release.ini -Dbenches=disabled; then
	run release release --suite unit --suite cli
fi
if wanted clang; then
	if has_program clang; then
		with CC=clang build clang -Dwerror=true -Dbenches=disabled &&
			run clang clang --suite unit --suite cli
	else
		skip_step clang 'no clang'
	fi
fi
if wanted points && build points --native-file tests/profile/points.ini -Dbenches=disabled; then
	share_time points
	run points points --suite unit --suite stress --repeat $repeat
fi
if wanted asan && build asan --native-file tests/profile/asan.ini -Dbenches=disabled; then
	share_time asan
	with "ASAN_OPTIONS=detect_stack_use_after_return=1
		UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
		WEIR_STRESS_SECONDS=$(((stress + 1) / 2))" \
		run asan asan --suite unit --suite stress --suite cli --slow 4
fi
if wanted tsan && build tsan --native-file tests/profile/tsan.ini -Dbenches=disabled; then
	share_time tsan
	with "TSAN_OPTIONS=halt_on_error=1 WEIR_STRESS_SECONDS=$(((stress + 1) / 2))" \
		run tsan tsan --suite unit --suite stress --slow 6
fi
if wanted aarch64; then
	if has_program aarch64-linux-gnu-gcc && has_program qemu-aarch64; then
		# The headers of liburcu and Concurrency Kit serve every processor, and the tests of
		# base and ring link nothing of them: no library of that processor is needed.
		foreign=$work/foreign
		mkdir -p "$foreign/include" "$foreign/pkgconfig"
		urcu=$(pkg-config --variable=includedir liburcu-bp)
		ck=$(pkg-config --variable=includedir ck)
		cp -r "$urcu"/urcu "$urcu"/urcu*.h "$ck"/ck_*.h "$ck"/gcc "$foreign/include/"
		for name in liburcu-bp liburcu-cds ck; do
			cat >"$foreign/pkgconfig/$name.pc" <<-END
				Name: $name
				Description: headers
				Version: $(pkg-config --modversion $name)
				Cflags: -isystem $foreign/include
			END
		done
		if with "PKG_CONFIG_LIBDIR=$foreign/pkgconfig targets=engine/libweir.a" \
			build aarch64 --cross-file tests/profile/aarch64.ini \
			-Dtests=disabled -Db_lundef=false \
			-Dwerror=true -Dallocator=libc -Dbenches=disabled -Dman=disabled &&
			[ -f "$work/gcc/build.ninja" ]; then
			run aarch64 gcc --suite cross
		fi
	else
		skip_step aarch64 'no qemu-aarch64 or no aarch64-linux-gnu-gcc'
	fi
fi
if wanted valgrind; then
	if has_program valgrind && [ -f "$work/points/build.ninja" ]; then
		rooms='unit-base unit-ring unit-log'
		[ $full = no ] || rooms="$rooms unit-flush unit-sink unit-api"
		# shellcheck disable=SC2046
		run valgrind points $(printf -- '--name %s ' $rooms) --slow 20 \
			--wrap 'valgrind -q --error-exitcode=9'
	else
		skip_step valgrind 'no valgrind, or the step points was not run'
	fi
fi

if wanted proof && { [ -f "$work/gcc/build.ninja" ] || build gcc -Dwerror=true; }; then
	rungs=$(meson test -C "$work/gcc" --list --suite proof 2>>"$log" |
		grep -c proof-) || rungs=1
	# Sampled rungs share a quarter of the time.
	sample=$((minutes * 60 / 4 / rungs))
	[ $sample -ge 5 ] || sample=5
	say "      $rungs rungs of the proof ($proof), $sample s for what each samples"
	: >"$work/figures"
	more=''
	[ $proof = slice ] || more='--suite proof-full'
	# shellcheck disable=SC2086
	with "WEIR_PROOF=$proof WEIR_PROOF_SECONDS=$sample" \
		run proof gcc --suite proof $more --figures "$work/figures" --slow 8
	python3 tests/run.py --table "$work/figures" | tee -a "$log" | sed 's/^/      /'
fi

step=counts fix='a step ran fewer tests than before: find out which vanished, or edit tests/minimum'
say '[4/4] counts'
while read -r name passed failed skipped; do
	least=$(minimum_of "$name")
	ran=$((passed + failed))
	if [ "$skipped" -eq 1 ] && [ "$ran" -eq 0 ]; then
		continue
	fi
	# A rung without its privileges or packages says so: a failure only where it ran before.
	if [ "$name" = proof ] && [ "$skipped" -gt 0 ] && [ -z "${WEIR_ALL_RUNGS-}" ]; then
		continue
	fi
	if [ -n "$least" ] && [ "$ran" -lt "$least" ] && ! grep -q "^$name(build)" "$work/bad"; then
		say "      $name: $ran tests ran, the minimum is $least"
		echo "$name(too-few)" >>"$work/bad"
		echo "$name 0 1 0" >>"$counts.more"
	fi
done <"$counts"
[ ! -f "$counts.more" ] || { cat "$counts.more" >>"$counts" && rm -f "$counts.more"; }
if [ -z "$only" ]; then
	for name in $STEPS; do
		grep -q "^$name " "$counts" || {
			say "      $name: did not run"
			echo "$name 0 1 0" >>"$counts"
			echo "$name(not-run)" >>"$work/bad"
		}
	done
fi
say "      $(($(now) - started)) s in all"
total=$(awk '{ p += $2; f += $3; s += $4 } END { print p + 0, f + 0, s + 0 }' "$counts")
# shellcheck disable=SC2086
set -- $total
[ ! -s "$work/bad" ] || say "failed: $(tr '\n' ' ' <"$work/bad")"
finished=yes
code=0
[ "$2" -eq 0 ] && [ "$1" -gt 0 ] && [ ! -s "$work/bad" ] || code=1
say "$1 passed, $2 failed, $3 skipped"
exit $code
