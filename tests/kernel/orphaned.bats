#!/usr/bin/env bats
# Whoever started a tool that waits is gone: the program ends, and what the tool was to remove is removed. Run by:
# tests/run kernel orphaned

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# Starts a command as the child of a shell that does nothing but wait for it; `started` is the shell, `waiting` the command.
start_below() {
	start sh -c '"$@"; exit' - "$@"
	until_true has_child "$started"
	waiting=$(child "$started")
}

kill_parent() {
	kill -9 "$started"
	finish
}

# Nobody may have waited yet for one that was orphaned: those do not count.
one_runs() {
	local process
	for process in $(pgrep -x "$1"); do
		gone "$process" || return 0
	done
	return 1
}

# One --gc leaves a group whose processes are still ending.
gone_by_gc() {
	cgset --gc && no_groups
}

is_empty() {
	[ -z "$(cat "$1/cgroup.procs")" ]
}

none_runs() {
	! one_runs "$1"
}

@test "kill -9 of the parent: the program ends and its group goes, also through a chain; while the parent lives both stay" {
	for chain in '' 'nsexec --pid --' 'nsexec --pid --init --'; do
		# shellcheck disable=SC2086 # words
		start_below cgset --transient --pids 20 "$group" -- $chain sleeper 1000
		until_true one_runs sleeper
		[ -d "$(place pids)" ] || fail "$chain: no group"
		kill_parent
		until_true none_runs sleeper
		until_true no_groups || fail "$chain: $(directories)"
		until_true gone "$waiting"
	done
	# The tool itself has no time for that: the program dies, and what is left is for --gc.
	start_below cgset --transient --pids 20 "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill -9 "$waiting"
	finish
	until_true none_runs sleeper
	[ -d "$(place pids)" ]
	until_true gone_by_gc
	# Nor does a tool with nothing to clear up wait for being thawed; version 1 lets nobody die who is frozen.
	start_below cgset --transient --pids 20 "$group" -- nsexec --pid -- sleeper 1000
	until_true one_runs sleeper
	cgset --freeze "$group"
	kill -9 "$waiting"
	finish
	is_two pids || cgset --thaw "$group"
	until_true none_runs sleeper
	until_true gone_by_gc
}

@test "kill -9 of the parent before the tool has begun to wait: the program's group goes all the same" {
	# Without -f the child is on its own at once; with -D the tool stays the child of its starter.
	start_below strace -D -qq -o /dev/null -e trace=signalfd4 -e inject=signalfd4:delay_enter=2000000 \
		cgset --transient --pids 20 "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill_parent
	until_true gone "$waiting"
	until_true none_runs sleeper
	no_groups
}

@test "it is heard of by process 1 of a PID namespace, too, and where the signal is ignored or blocked by the caller" {
	for how in --ignore-signal=STKFLT --block-signal=STKFLT; do
		start_below env "$how" cgset --transient "$group" -- sleeper 1000
		until_true one_runs sleeper
		kill_parent
		until_true none_runs sleeper
		until_true no_groups || fail "$how: $(directories)"
	done
	start nsexec --pid -- cgset --transient "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill_parent
	until_true none_runs sleeper
	until_true no_groups || fail "$(directories)"
}

@test "what the program started outside of a PID namespace goes too, and groups that it made" {
	start_below cgset --transient "$group" -- sh -c 'mkdir "$1/in"; sleeper 1000 & sleeper 1000' - "$(place pids)"
	until_true one_runs sleeper
	kill_parent
	until_true none_runs sleeper
	until_true no_groups || fail "$(directories)"
}

@test "a terminal that is closed: the program ends and its group goes, whatever the shell does about its jobs" {
	for shell in 'bash --norc -i' 'dash -i'; do
		for chain in '' 'nsexec --pid --'; do
			rm -f keys
			start_on_terminal "$shell"
			press "cgset --transient $group -- $chain sleeper 1000\n"
			until_true one_runs sleeper
			[ -d "$(place pids)" ] || fail "$shell: no group"
			# Whoever shows the terminal goes, and with it the terminal.
			kill -9 "$terminal"
			finish_terminal
			until_true none_runs sleeper
			until_true no_groups || fail "$shell, $chain: $(directories)"
		done
	done
}

@test "a pid file goes with the parent" {
	start_below nsexec --pid --pid-file number -- sleeper 1000
	until_true one_runs sleeper
	[ -s number ]
	kill_parent
	until_true none_runs sleeper
	until_true gone "$waiting"
	[ ! -e number ]
}

@test "one that is stopped dies with its parent at once, with its program" {
	start_below cgset --transient --pids 20 "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill -TSTP "$waiting"
	until_true is_in_state "$waiting" T
	kill_parent
	until_true gone "$waiting"
	until_true none_runs sleeper
	until_true gone_by_gc
	# And one that went on waits on.
	start_below cgset --transient --pids 20 "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill -TSTP "$waiting"
	until_true is_in_state "$waiting" T
	kill -CONT "$waiting"
	until_true is_in_state "$waiting" S
	[ -d "$(place pids)" ]
	kill_parent
	until_true none_runs sleeper
	until_true no_groups
	# Who stopped it otherwise lets it hear of that, too.
	start_below cgset --transient --pids 20 "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill -STOP "$waiting"
	until_true is_in_state "$waiting" T
	kill_parent
	! gone "$waiting" || fail 'it was not told but killed'
	kill -CONT "$waiting"
	until_true none_runs sleeper
	until_true no_groups
	# But one with nothing to clear up need not hear.
	start_below nsexec --pid -- sleeper 1000
	until_true one_runs sleeper
	kill -STOP "$waiting"
	until_true is_in_state "$waiting" T
	kill_parent
	until_true gone "$waiting"
	until_true none_runs sleeper
}

@test "SIGIO says nothing of a parent's death: the program hears it, or dies of it as it would alone" {
	start_below nsexec --pid -- sh -c 'trap "echo heard >heard" IO; echo >ready; while :; do sleep 0.1; done'
	until_true exists ready
	kill -IO "$waiting"
	until_true exists heard
	! gone "$waiting" || fail 'it ended'
	kill_parent
	until_true gone "$waiting"
	start_below nsexec --pid -- sleeper 1000
	until_true one_runs sleeper
	kill -IO "$waiting"
	until_true none_runs sleeper
	finish
}

@test "a report that nobody reads keeps nobody, and one to a file is still written" {
	mkfifo fifo
	start_below cgset --transient --report=fifo "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill_parent
	until_true no_groups
	until_true gone "$waiting"
	# Where it waits for the reader already.
	start_below cgset --transient --report=fifo "$group" -- sh -c 'echo ran >ran'
	until_true exists ran
	until_true no_groups
	! gone "$waiting" || fail 'it did not wait'
	kill_parent
	until_true gone "$waiting"
	[ -p fifo ]
	start_below cgset --transient --report=used "$group" -- sleeper 1000
	until_true one_runs sleeper
	kill_parent
	until_true no_groups
	until_true grep -q '"status": 137, "signal": 9' used
	# What takes all needs no reader, and is written to without a word.
	for file in /dev/null fifo; do
		start_below sh -c '"$@" 2>"$0"; exit' "told-${file##*/}" cgset --transient "--report=$file" "$group" -- sleeper 1000
		until_true one_runs sleeper
		tool=$(child "$waiting")
		kill -9 "$waiting"
		until_true no_groups
		until_true gone "$tool"
		finish
	done
	same '' "$(cat told-null)"
	[[ $(cat told-fifo) == *'whoever started this has died, and nobody reads it'* ]] || fail "$(cat told-fifo)"
}

@test "kill -9 of the tool where groups were made in its group: the next of that name is refused and told what removes them" {
	start cgset --transient --pids 20 "$group" -- sh -c 'mkdir "$1/in"; exec sleeper 1000' - "$(place pids)"
	until_true one_runs sleeper
	kill -9 "$started"
	finish
	until_true none_runs sleeper
	there="cgset: \"$group\": there are groups in it: in"
	refuses "$there
cgset: hint: choose another name, or remove it with those, which were its program's: cgset --gc" --transient "$group" -- true
	refuses "$there
cgset: hint: remove it with those, which were its program's: cgset --gc" --remove "$group"
	cgset --gc
	no_groups
	# Somebody is in there still, and in no other place that is looked at.
	# shellcheck disable=SC2086 # a list of mount points
	start cgset --transient --pids 20 "$group" -- sh -c '
		group=$1
		shift
		sleeper 1000 &
		for mount; do
			[ -d "$mount/$group" ] || continue
			mkdir "$mount/$group/in"
			echo $! >"$mount/$group/in/cgroup.procs"
		done
		echo >ready
		wait' - "$group" $mounts
	until_true exists ready
	left=$(cat "$(place pids)/in/cgroup.procs")
	kill -9 "$started"
	finish
	for mount in $mounts; do
		[ ! -d "$mount/$group" ] || until_true is_empty "$mount/$group"
	done
	run -125 --separate-stderr -- cgset --transient "$group" -- true
	[[ $stderr == *'there are groups in it: in'*" $left,"*'cgset --kill GROUP'* ]] || fail "$stderr"
	cgset --gc
	[ -d "$(place pids)/in" ]
	cgset --kill "$group"
	cgset --gc
	no_groups
	until_true none_runs sleeper
}
