# SPDX-License-Identifier: Apache-2.0
# lib.sh - what quickstart.sh and check.sh share: messages, steps, a log, packages.
#
# Sourced, POSIX sh. The caller has set `root` (the checkout) and `log` (a file); it sets `step`
# and `fix` as it goes, so that a failure can name both. Nothing is written outside the checkout,
# but by apt.

deps=$root/.deps
sudo=''
step=start
fix='see the log'
finished=no

say() {
	printf '%s\n' "$*"
	printf '%s\n' "$*" >>"$log"
}

# A line that run_quiet() will finish.
begin() {
	printf '%s' "$*"
	printf '%s\n' "$*" >>"$log"
}

finish() {
	printf ' %s\n' "$*"
	printf '%s\n' "$*" >>"$log"
}

now() {
	date +%s
}

# Called by the caller's EXIT trap when something went wrong.
failed() {
	{
		echo
		echo "FAILED at step: $step"
		echo "last lines of ${log#"$root"/}:"
		tail -n 20 "$log" | sed 's/^/    /'
		echo "fix: $fix"
	} >&2
}

# The trap: a shell that ends without having said so has failed, whatever its status was.
ended() {
	code=$?
	trap - EXIT
	[ "$finished" = yes ] && exit "$code"
	failed
	[ "$code" -ne 0 ] || code=1
	exit "$code"
}

die() {
	say "error: $*"
	exit 1
}

quiet() {
	printf '+ %s\n' "$*" >>"$log"
	"$@" >>"$log" 2>&1
}

human() {
	awk -v b="$1" 'BEGIN { if (b < 1048576) printf "%d kB", (b + 1023) / 1024;
		else printf "%d MB", b / 1048576 + 0.5 }'
}

cpus() {
	getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1
}

system_name() {
	if [ -r /etc/os-release ]; then
		(. /etc/os-release && echo "${NAME%% *} ${VERSION_ID-}")
	else
		uname -s
	fi
}

# Without it, runners find no test, processors cannot be counted, and nothing says so.
proc_is_there() {
	[ -r /proc/self/stat ]
}

has_compiler() {
	printf 'int main(void) { return 0; }\n' >"$work/probe.c" &&
		${CC:-cc} -o "$work/probe" "$work/probe.c" >>"$log" 2>&1 && "$work/probe"
}

has_program() {
	command -v "$1" >/dev/null 2>&1
}

has_library() {
	pkg-config --exists "$1" 2>/dev/null
}

has_header() {
	[ -f "/usr/include/$1" ]
}

has_meson() {
	has_program meson && meson --version 2>/dev/null | awk -F. '{ exit !($1 >= 1) }'
}

# libFuzzer and the sanitizers of clang.
has_fuzzer() {
	ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a >/dev/null 2>&1
}

# need TEST ARGUMENT PACKAGE...: adds the packages to `missing` unless the test holds.
missing=''
need() {
	need_test=$1 need_argument=$2
	shift 2
	"$need_test" "$need_argument" || missing="$missing $*"
}

apt_as_root() {
	$sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -o DPkg::Lock::Timeout=120 \
		-o Acquire::Retries=2 "$@"
}

# Chooses how packages are installed: apt (root or sudo), rootless, or not at all.
package_way() {
	if ! has_program apt-get; then
		echo none
	elif [ "$(id -u)" -eq 0 ] && [ -z "${WEIR_ROOTLESS-}" ]; then
		echo root
	elif [ -z "${WEIR_ROOTLESS-}" ] && has_program sudo && sudo -n true 2>/dev/null; then
		echo sudo
	else
		echo rootless
	fi
}

known() {
	for known_package in "$@"; do
		[ -n "$(LC_ALL=C apt-cache policy "$known_package" 2>/dev/null |
			grep -v 'Candidate: (none)' | grep Candidate:)" ] || return 1
	done
}

# Bytes that apt would fetch for these packages.
download_size() {
	apt_as_root install -y --no-install-recommends --print-uris "$@" 2>/dev/null |
		awk '$3 ~ /^[0-9]+$/ { bytes += $3 } END { print bytes + 0 }'
}

# Installs packages and says what and how much. Answers non-zero when that did not work.
install_packages() {
	way=$(package_way)
	case $way in
	root | sudo)
		[ "$way" = root ] || sudo='sudo -n'
		known "$@" || quiet apt_as_root update || return 1
		known "$@" || return 1
		say "             $*"
		begin "             installing $(human "$(download_size "$@")") as $way ..."
		install_began=$(now)
		# A list that is too old names files that are gone: once more with a new one.
		if ! quiet apt_as_root install -y --no-install-recommends "$@"; then
			quiet apt_as_root update || true
			quiet apt_as_root install -y --no-install-recommends "$@" || {
				finish failed
				return 1
			}
		fi
		finish "done ($(($(now) - install_began)) s)"
		;;
	rootless)
		install_rootless "$@"
		;;
	*)
		say "             no apt-get here; packages wanted: $*"
		return 1
		;;
	esac
}

# Into .deps, with apt's own lists and caches, for libraries and small tools. Not for compilers.
install_rootless() {
	for package in "$@"; do
		case $package in
		gcc | g++ | libc6-dev | meson | clang*)
			say "             not root, no sudo without a password. Someone must run:"
			say "                 apt-get install -y --no-install-recommends $*"
			return 1
			;;
		esac
	done
	say "             $* (not root: into .deps)"
	begin '             fetching ...'
	install_began=$(now)
	mkdir -p "$deps/lists/partial" "$deps/cache/archives/partial" "$deps/debs" "$deps/root"
	set -- "$@" $(rootless_companions "$@")
	quiet apt_rootless update && (cd "$deps/debs" && quiet apt_rootless download "$@") || {
		finish failed
		return 1
	}
	for package in "$deps"/debs/*.deb; do
		quiet dpkg -x "$package" "$deps/root" || return 1
	done
	# Their pkg-config files say /usr: say where they are.
	find "$deps/root" -name '*.pc' -exec sed -i \
		"s,\([=IL ]\)/usr,\1$deps/root/usr,g" {} +
	use_rootless
	finish "done ($(($(now) - install_began)) s)"
}

apt_rootless() {
	LC_ALL=C apt-get -o Dir::State::Lists="$deps/lists" -o Dir::Cache="$deps/cache" \
		-o Debug::NoLocking=true -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Retries=2 "$@"
}

# A -dev package is of no use without its library.
rootless_companions() {
	for package in "$@"; do
		case $package in
		liburcu-dev) echo liburcu8 ;;
		libck-dev) echo libck0 ;;
		libjemalloc-dev) echo libjemalloc2 ;;
		pkg-config) echo pkgconf pkgconf-bin libpkgconf3 ;;
		esac
	done
}

use_rootless() {
	[ -d "$deps/root/usr" ] || return 0
	rootless_lib=$(find "$deps/root/usr/lib" -maxdepth 1 -type d -name '*-linux-gnu*' |
		head -n 1)
	PKG_CONFIG_PATH=$rootless_lib/pkgconfig${PKG_CONFIG_PATH+:$PKG_CONFIG_PATH}
	LD_LIBRARY_PATH=$rootless_lib${LD_LIBRARY_PATH+:$LD_LIBRARY_PATH}
	PATH=$deps/root/usr/bin:$PATH
	export PKG_CONFIG_PATH LD_LIBRARY_PATH PATH
}

# setup TREE OPTIONS...: configures a build tree, unless it is there with these very options.
setup() {
	setup_tree=$1
	shift
	setup_stamp=$setup_tree/.options
	setup_want="$*"
	for setup_file in "$@"; do
		[ ! -f "$setup_file" ] || setup_want="$setup_want $(cksum <"$setup_file")"
	done
	if [ -f "$setup_tree/build.ninja" ]; then
		[ "$(cat "$setup_stamp" 2>/dev/null)" != "$setup_want" ] || return 0
		# A changed native or cross file, another checkout or another meson: begin again.
		if [ "$setup_want" != "$*" ] ||
			! quiet meson setup --reconfigure "$@" "$setup_tree" "$root"; then
			rm -rf "$setup_tree/build.ninja" "$setup_tree/meson-private" \
				"$setup_tree/meson-info"
		fi
	fi
	if [ ! -f "$setup_tree/build.ninja" ]; then
		mkdir -p "$setup_tree"
		quiet meson setup "$@" "$setup_tree" "$root" || return 1
	fi
	printf '%s' "$setup_want" >"$setup_stamp"
}
