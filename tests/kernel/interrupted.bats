#!/usr/bin/env bats
# A signal between two steps of a tool: what was made is taken back, and the tool ends by the signal. Run by:
# tests/run kernel interrupted

# lib.bash sets variables, and every test is a subshell:
# shellcheck disable=SC2030,SC2031,SC2086,SC2154

load lib.bash
load groups.bash
load namespaces.bash

# Holds a tool that explains itself after so many lines, where its stderr is full: hold_after LINES COMMAND...; `started` is
# the tool. It first runs the command once, for the length of these lines, and calls `restore`.
hold_after() {
	local lines=$1 length
	shift
	"$@" 2>lines
	restore
	length=$(head -n "$lines" lines | wc -c)
	rm -f full
	mkfifo full
	exec {full}<>full
	# A pipe of one page, which takes these lines and then no more.
	perl -e 'open F, "+<&=", shift; fcntl(F, 1031, 4096) == 4096 or die; syswrite F, "x" x (4096 - shift)' "$full" $((length + 8)) ||
		fail 'the pipe is not as it should be' || return
	"$@" 2>full {full}>&- 3>&- &
	started=$!
}

# Ends it with a signal where it is held; `status` is how it ended.
interrupt() {
	kill "-$1" "$started"
	cat <full >/dev/null {full}>&- 3>&- &
	local reader=$!
	exec {full}>&-
	finish "$started"
	wait "$reader"
}

@test "a control group that was made is removed" {
	restore() { cgset --remove "$group"; }
	for signal in TERM INT HUP; do
		hold_after 2 env "--default-signal=$signal" cgset --explain "$group" -- touch ran
		rm -f ran
		until_true exists "$(place pids)"
		interrupt "$signal"
		[ "$status" = $((128 + $(kill -l "$signal"))) ] || fail "$signal: $status"
		no_groups || fail "$signal: $(directories)"
		[ ! -e ran ] || fail "$signal: it ran"
	done
}

@test "a signal that is ignored, or blocked by the caller, ends nothing" {
	restore() { cgset --remove "$group"; }
	for how in --ignore-signal=HUP --block-signal=HUP; do
		hold_after 2 env "$how" cgset --explain "$group" -- touch ran
		rm -f ran
		until_true exists "$(place pids)"
		interrupt HUP
		[ "$status" = 0 ] || fail "$how: $status"
		[ -e ran ] || fail "$how: it did not run"
		restore
	done
}

@test "a directory for what is to be kept goes, and what is mounted on it" {
	restore() { nsexec --forget box; }
	hold_after 4 nsexec --explain --keep box --uts -- touch ran
	rm -f ran
	until_true mountpoint -q box
	interrupt TERM
	[ "$status" = 143 ] || fail "$status"
	[ ! -e box ] && [ ! -e ran ]
}

@test "the program has the signals as they were inherited, whatever was held back before it" {
	signals() { "$@" grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; }
	for how in '' --block-signal=USR1,HUP --ignore-signal=TERM; do
		before=$(signals env $how env)
		same "$before" "$(signals env $how cgset "$group" --)" || fail "cgset $how"
		same "$before" "$(signals env $how cgset "$group" -- nsexec --pid --)" || fail "cgset nsexec $how"
		same "$before" "$(signals env $how cgset --transient "$group/below" --)" || fail "cgset --transient $how"
		same "$before" "$(signals env $how nsexec --keep box --uts --)" || fail "--keep $how"
		same "$before" "$(signals env $how nsexec --keep pids --pid --init --)" || fail "--init $how"
		nsexec --forget box
		nsexec --forget pids
		same "$before" "$(signals env $how nsexec --uts --pid-file pid --)" || fail "--pid-file $how"
		cgset --remove "$group"
	done
}
