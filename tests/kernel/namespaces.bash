# What the tests of namespaces share. It is loaded after lib.bash.

# shellcheck shell=bash
# shellcheck disable=SC2154 # bats and lib.bash set variables

# Prints the namespace of a kind that a process is in, ours by default.
namespace() {
	local kind=${1/mount/mnt}
	readlink "/proc/${2:-self}/ns/$kind"
}

# Runs a shell command in new namespaces made without our tools, and waits until it is there; `held` is its PID.
hold() {
	start unshare "$@" sh -c 'touch held; exec sleeper 1000'
	until_true exists held
	held=$started
	[[ $* != *--fork* ]] || held=$(child "$started")
	until_true runs_program "$held" sleeper
}

release() {
	kill -9 "$held"
	finish
}

# Asserts what nsexec says on stderr, and its exit status: fails_with STATUS TEXT COMMAND...
fails_with() {
	local wanted=$1 text=$2
	shift 2
	run "-$wanted" --separate-stderr -- "$@"
	same "$text" "$stderr" || return
	[ -z "$output" ] || fail "on stdout: $output"
}
