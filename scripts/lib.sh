#!/bin/sh
# What the scripts beside this file share. It is sourced, never run:
#
#     here=$(dirname "$(readlink -f "$0")")
#     . "$here/lib.sh"
#
# A script's own header comment is its --help text.

set -eu
: "${here:?names the directory of the script that sources this}"

# A root shell made by su has no sbin in its PATH, and mkfs lives there.
PATH=$PATH:/usr/sbin:/sbin
export PATH
self=${0##*/}
top=$(dirname "$here")
# Installed, the scripts are in PREFIX/lib/boxutils beside the list of what was installed, and the tools in PREFIX/bin.
bin=$top/target/x86_64-unknown-linux-gnu/release
[ ! -f "$here/installed" ] || bin=$(dirname "$top")/bin
missing=

# Builds the tools into $bin; what the build needs is installed first.
build() {
	need cc gcc
	[ -f "$(cc -print-file-name=libc.a 2>/dev/null)" ] || missing="$missing libc6-dev"
	need /etc/ssl/certs/ca-certificates.crt ca-certificates
	need_rust
	install_missing
	(
		cd "$top"
		# Debian's is in /usr/bin, where an older one earlier in PATH must not hide it.
		rust_is_new_enough '' || set -- env PATH="/usr/bin:$PATH"
		# RUSTFLAGS, set to anything, silently replaces the static linking that .cargo/config.toml asks for;
		# the others would build for another target.
		unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET
		run "$@" cargo build --release --locked --target-dir target
		# Built under sudo it would be root's, and the next build without sudo could not write it.
		[ "$(id -u)" != 0 ] || chown -R --reference=. target
	)
	for tool in $(tools); do
		[ -x "$bin/$tool" ] || die "the build left no $bin/$tool"
	done
}

# Prints the version of a package that apt would install, or nothing.
candidate() {
	LC_ALL=C apt-cache policy "$1" | sed -n 's/^  Candidate: \([^(]\)/\1/p'
}

# Has a signal end this script as exit does, so that what it has for EXIT is done. One of them comes when nobody reads any
# more what is printed: `... | head -1`.
catch_signals() {
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
}

# Prints why this script ends, and ends it.
die() {
	printf '%s: %s\n' "$self" "$*" >&2
	exit 1
}

# Prints the header comment of the script, and ends it: who asks for help gets nothing done, also where it cannot be written.
help() {
	sed -n -e 1d -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0"
	exit
}

# Installs what need() found missing; never takes a package off the machine for it.
install_missing() {
	[ -n "$missing" ] || return 0
	say "missing here, to be installed from Debian:$missing"
	command -v apt-get >/dev/null || die "no apt-get on this machine: install these its own way, then come again"
	[ "$(id -u)" = 0 ] || die "only root can: apt-get install$missing"
	# shellcheck disable=SC2086 # a list of package names
	set -- $missing
	missing=
	for package; do
		[ -n "$(candidate "$package")" ] || { update_lists; break; }
	done
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	set -- apt-get install -qq -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=120 "$@"
	# Lists from an older day name files the mirror no longer has: read them once more.
	run "$@" >&2 || { update_lists && run "$@" >&2; } ||
		die "apt-get could not; run the last command by hand, without --no-remove where a package is in the way"
}

# Prints what is mounted below a directory. The kernel writes a blank in a name as \040.
mounts_below() {
	printf '%b\n' "$(cut -d' ' -f5 /proc/self/mountinfo | sed 's/\\/\\0/g')" | grep -F "$1/" || :
}

# Notes PACKAGE... as missing unless PROGRAM is in PATH (or, with a slash, is a file).
need() {
	case $1 in
	*/*) [ ! -e "$1" ] || return 0 ;;
	*) ! command -v "$1" >/dev/null || return 0 ;;
	esac
	shift
	missing="$missing $*"
}

# Notes the packages of a Rust that is new enough, unless one is here.
need_rust() {
	! rust_is_new_enough '' || return 0
	! rust_is_new_enough /usr/bin/ || return 0
	command -v apt-get >/dev/null || die "no cargo $(rust_version) or newer in PATH"
	[ -n "$(candidate rustc)" ] || update_lists
	for suffix in '' -web; do
		found=$(candidate "rustc$suffix")
		if [ -n "$found" ] && dpkg --compare-versions "$found" ge "$(rust_version)"; then
			missing="$missing cargo$suffix rustc$suffix"
			return 0
		fi
	done
	die "no cargo $(rust_version) or newer in PATH, and none in Debian's packages here: install one with rustup"
}

# Prints what was asked for when all of it is known; says so, and fails, where stdout does not take it.
print_whole() {
	printf '%s\n' "$1" 2>/dev/null && return
	say 'what was asked for cannot be written where stdout leads'
	return 1
}

# Prints words so that a shell would read them back; our own tools by name, files here by relative path.
quote() (
	line=
	for word; do
		word=${word#"$bin/"}
		word=${word#"$PWD/"}
		case $word in
		'' | *[!A-Za-z0-9_./:=,@%+-]*) word="'$(printf '%s\n' "$word" | sed "s/'/'\\\\''/g")'" ;;
		esac
		line="$line $word"
	done
	printf '%s\n' "${line# }"
)

# Prints a command as one would type it, then runs it.
run() {
	show "$@"
	"$@"
}

# Tells whether cargo and rustc, in PATH or in the directory $1, are not older than the workspace allows.
rust_is_new_enough() {
	for program in cargo rustc; do
		found=$(cd "$top" && "$1$program" --version 2>/dev/null) || return 1
		found=${found#* }
		printf '%s\n' "$(rust_version)" "${found%% *}" | sort -C -V || return 1
	done
}

# Prints the oldest Rust that builds the workspace.
rust_version() {
	sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$top/Cargo.toml"
}

# Prints a message to the reader.
say() {
	printf '%s: %s\n' "$self" "$*" >&2
}

# Prints a command as one would type it.
show() {
	printf '$ %s\n' "$(quote "$@")" >&2
}

# Prints the names of the tools that this repository has, outermost of a chain first.
tools() {
	for tool in cgset vethup nsexec pivot mkimg; do
		[ ! -f "$top/$tool/Cargo.toml" ] || printf '%s\n' "$tool"
	done
}

# Reads the package lists of apt's sources again; only root can.
update_lists() {
	[ "$(id -u)" = 0 ] || return 0
	run apt-get update -qq >&2
}
