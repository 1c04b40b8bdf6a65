#!/usr/bin/env bats
# A process that is moved on its own: cgset --move. Run by: tests/run kernel move

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

@test "--move: a child that is forked afterwards is there too; a number of nobody, a group of nobody are refused" {
	cgset "$group"
	start sh -c 'while [ ! -e go ]; do sleep 0.02; done; sleeper 1000; true'
	cgset --move "$started" "$group"
	: >go
	until_true is_sleeping
	[ "$(counted_in "$slept")" = "/$group" ]
	run -125 --separate-stderr -- cgset --move 4194304 "$group"
	[[ $stderr == 'cgset: pidfd_open(4194304, 0): No such process (ESRCH)'*'hint: there is no such process (any more)' ]] || fail "$stderr"
	run -125 --separate-stderr -- cgset --move "$started" "$group-none"
	[[ $stderr == *'there is no such group'* ]] || fail "$stderr"
	run -125 --separate-stderr -- as_nobody "$BIN/cgset" --move "$started" "$group"
	[[ $stderr == *'Permission denied (EACCES)'*'belongs to user 0: run it as root'* ]] || fail "$stderr"
	# A script does the same.
	mkdir "$(place pids "$group-other")"
	cgset --dry-run --move "$slept" "$group-other" | sh -e
	[ "$(counted_in "$slept")" = "/$group-other" ]
	[ "$(counted_in "$started")" = "/$group" ]
	cgset --move "$slept" "$group"
	rmdir "$(place pids "$group-other")"
	cgset --kill "$group"
	finish
	cgset --remove "$group"
}

@test "--move: all threads of a process go together, and one by itself is refused with the number of the process" {
	cgset "$group"
	start perl -Mthreads -e 'threads->create(sub { sleep 1000 }); open F, ">", "ready"; close F; sleep 1000'
	until_true exists ready
	for task in /proc/"$started"/task/*; do [ "${task##*/}" = "$started" ] || thread=${task##*/}; done
	run -125 --separate-stderr -- cgset --move "$thread" "$group"
	[[ $stderr == *"hint: $thread is a thread of process $started, which moves as a whole: --move $started" ]] || fail "$stderr"
	[ "$(counted_in "$started/task/$thread")" != "/$group" ]
	cgset --move "$started" "$group"
	[ "$(counted_in "$started/task/$thread") $(counted_in "$started")" = "/$group /$group" ]
	cgset --kill "$group"
	finish
	cgset --remove "$group"
}

is_sleeping() {
	slept=$(child "$started") && [ -n "$slept" ] && runs_program "$slept" sleeper
}
