#!/usr/bin/env bats
# What the tools print on stdout, and where that leads. Run by: tests/run kernel stdout

# Options are lists of words, commands in single quotes are for other shells, and a test's variables end with it:
# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2094,SC2154

load lib.bash
load groups.bash

TOOLS='nsexec mkimg cgset vethup pivot'
FULL='write(1): No space left on device (ENOSPC)'

# Asserts that a tool with these words fails where stdout is full, and says so on the first line; and prints elsewhere.
needs_room() {
	local tool=$1
	run -125 --separate-stderr -- sh -c 'exec "$@" >/dev/full' sh "$@"
	same "$tool: $FULL" "${stderr_lines[0]}" || return
	[[ $stderr != *'the file system that holds the image'* ]] || fail "$stderr" || return
	run -0 --separate-stderr -- "$@"
	same '' "$stderr" && [ -n "$output" ]
}

@test "help and version that could not be written: said, and no success" {
	for tool in $TOOLS; do
		for option in -h --help --version; do
			needs_room $tool $option
		done
		same "$tool: $FULL
$tool: while: print what was asked for" "$($tool --help 2>&1 >/dev/full)"
		# It may not be written to.
		run -125 --separate-stderr -- sh -c '"$1" --help 1</dev/null' sh $tool
		[[ $stderr == "$tool: write(1): Bad file descriptor (EBADF)"* ]] || fail "$stderr"
		# Closed is as good as /dev/null.
		run -0 sh -c '"$1" --help >&-' sh $tool
		same '' "$output"
	done
}

@test "who has seen enough of it ends a tool as any other program, or is no error where SIGPIPE is ignored" {
	for tool in $TOOLS; do
		mkfifo pipe
		# Opened for both, so nobody waits; from then on nobody reads.
		exec 7<>pipe 8>pipe 7>&-
		run -141 sh -c 'exec "$1" --help >&8' sh $tool
		same '' "$output"
		run -0 sh -c 'trap "" PIPE; exec "$1" --help >&8' sh $tool
		same '' "$output"
		exec 8>&-
		rm pipe
	done
}

@test "a listing that could not be written is no failed look" {
	needs_room mkimg --list
	needs_room vethup --list --json
	needs_room nsexec --list --json
	needs_room cgset --controllers
	needs_room cgset --tree
	cgset "$group"
	needs_room cgset --stat "$group"
	start cgset "$group" -- sleeper 1000
	until_true runs_program "$started" sleeper
	needs_room cgset --procs "$group"
	kill -9 "$started"
	finish
	for_each_group end_group
}
