#!/usr/bin/env bats
# A limit that leaves no room for the tools themselves: what fails names it, and a value that works. Run by:
# tests/run kernel room

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# Asserts that a chain fails at a call for want of processes, names a limit of a group, and that the value it names works:
# no_room CALL MAX GROUP OPTION... -- COMMAND..., without --pids among the options.
no_room() {
	local call=$1 max=$2 limited=$3 enough
	shift 3
	run -125 --separate-stderr -- cgset --transient --pids "$max" "$@"
	[[ $stderr == *": $call: Resource temporarily unavailable (EAGAIN)"*"hint: pids.max of \"$(place pids "$limited")\" is $max, and "* ]] || fail "$stderr"
	enough=$(sed -n 's/.*hint: .*--pids \([0-9]*\) leaves room.*/\1/p' <<<"$stderr")
	run -0 --separate-stderr -- cgset --transient --pids "$enough" "$@"
	[ -z "$stderr" ] || fail "$enough: $stderr"
}

@test "--pids: a tool that cannot fork names the limit and a number that is enough; one more than that chain needs is enough" {
	no_room 'clone(CLONE_NEWPID|SIGCHLD)' 1 "$group" "$group" -- nsexec --pid -- true
	run -0 --separate-stderr -- cgset --transient --pids 2 "$group" -- nsexec --pid -- true
	[ -z "$stderr" ] || fail "$stderr"
	no_room 'clone(SIGCHLD)' 2 "$group" "$group" -- nsexec --pid --init -- true
	run -0 --separate-stderr -- cgset --transient --pids 3 "$group" -- nsexec --pid --init -- true
	[ -z "$stderr" ] || fail "$stderr"
	no_groups
}

@test "--pids: nobody at all, and a limit of a group above" {
	if is_two pids; then
		no_room "clone3({CLONE_INTO_CGROUP, SIGCHLD, cgroup=\"$(place pids)\"})" 0 "$group" "$group" -- true
	else
		no_room 'clone(CLONE_NEWPID|SIGCHLD)' 0 "$group" "$group" -- nsexec --pid -- true
	fi
	cgset --pids 1 "$group"
	run -125 --separate-stderr -- cgset --transient --pids 9 "$group/in" -- nsexec --pid -- true
	[[ $stderr == *"hint: pids.max of \"$(place pids)\" is 1, and "*': cgset --pids 16 leaves room'* ]] || fail "$stderr"
	cgset --remove "$group"
	no_groups
}

# Asserts that a program fails in so little memory, and that this is said: it is killed, or where not even its arguments
# can be copied the kernel says no to it. Pages that the CPU has set aside decide which: too_little SIZE COMMAND...
too_little() {
	local max=$1 little='so little hardly holds the start of a program, *: --memory 16M leaves room for them'
	shift
	run --separate-stderr -- cgset --transient --memory "$max" "$group" -- "$@"
	case $status in
	137)
		[[ $stderr == "cgset: $group: out of memory: "[1-9]*" process"*" killed at $max, peak "*"
cgset: hint: "*$little ]] || fail "$stderr"
		;;
	126)
		[[ $stderr == *': execve("'*'): '*' (E'*')'*'while: become the program'*"hint: memory."*" of \"$(place memory)\" is "*": "$little* ]] || fail "$stderr"
		;;
	*) fail "$status: $stderr" ;;
	esac
}

@test "--memory: less than the start of a program takes is said to be so, with a size that is enough; enough, and nothing is said" {
	too_little 128K nsexec --pid -- true
	for max in 0 8K; do
		too_little "$max" echo hi
	done
	run --separate-stderr -- cgset --transient --memory 64 "$group" -- nsexec --pid -- true
	[ "$status" = 126 ] || [[ $stderr == *"cgset: hint: --memory 64 counts bytes, was 64M meant? so little hardly holds "* ]] || fail "$stderr"
	too_little 128K nsexec --pid -- true
	[[ $stderr != *meant* ]] || fail "$stderr"
	enough=$(sed -n 's/.*hint: .*--memory \([0-9]*M\) leaves room.*/\1/p' <<<"$stderr")
	run -0 --separate-stderr -- cgset --transient --memory "$enough" "$group" -- nsexec --pid --init -- true
	[ -z "$stderr" ] || fail "$stderr"
	# Where there was room, it is the program that took too much.
	run -137 --separate-stderr -- cgset --transient --memory "$enough" "$group" -- perl -e '$x = "x" x (100 << 20)'
	[[ $stderr == "cgset: $group: out of memory: 1 process killed at 16M, peak "* && $stderr != *hint:* ]] || fail "$stderr"
	no_groups
}
