#!/usr/bin/env bats
# What a program used of its group, as a report: cgset --report. Run by: tests/run kernel report

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# Prints a number of the report in a file: of_report FILE KEY.
of_report() {
	perl -MJSON::PP -e 'local $/; $r = decode_json(<STDIN>); print exists $r->{$ARGV[0]} ? $r->{$ARGV[0]} // "null" : "absent"' "$2" <"$1"
}

hog='$x = "x" x (shift() << 20); sleep 0'

@test "a report is one JSON object on stderr, the program's stdout is its own, and its status is too" {
	run -3 --separate-stderr -- cgset --transient --report --memory 64M "$group" -- sh -c 'echo data; exit 3'
	[ "$output" = data ] || fail "$output"
	[ "$(wc -l <<<"$stderr")" = 1 ] || fail "$stderr"
	echo "$stderr" >report
	[ "$(of_report report group) $(of_report report status) $(of_report report signal)" = "$group 3 null" ]
	for key in wall_usec cpu.usage_usec cpu.user_usec cpu.system_usec cpu.throttled_usec memory.peak_bytes \
		memory.oom_kills io.read_bytes io.write_bytes io.reads io.writes; do
		[[ $(of_report report "$key") =~ ^[0-9]+$ ]] || fail "$key: $stderr"
	done
	[ "$(of_report report memory.oom_kills)" = 0 ]
	# Nobody asked for one: nobody gets one.
	run -0 --separate-stderr -- cgset --transient "$group" -- true
	[ -z "$stderr" ]
	no_groups
}

@test "the numbers are the program's: CPU time, memory, a signal, a kill for want of memory" {
	# Ticks of a hundredth of a second; perl itself begins before it counts, and takes longer where a CPU is emulated.
	printed=$(cgset --transient --report=report "$group" -- perl -e '1 for 1 .. 5e6; ($user, $system) = times; printf "%d", 1e6 * ($user + $system)')
	used=$(of_report report cpu.usage_usec) wall=$(of_report report wall_usec)
	[ "$used" -ge $((printed * 9 / 10 - 20000)) ] && [ "$used" -le $((printed * 13 / 10 + 500000)) ] || fail "$printed: $(cat report)"
	[ "$wall" -ge $((printed * 9 / 10 - 20000)) ] || fail "$(cat report)"
	run -137 --separate-stderr -- cgset --transient --report=report --memory 32M "$group" -- perl -e "$hog" 100
	[ "$(of_report report status) $(of_report report signal) $(of_report report memory.oom_kills)" = '137 9 1' ] || fail "$(cat report)"
	peak=$(of_report report memory.peak_bytes)
	[ "$peak" -gt 25000000 ] && [ "$peak" -le 33554432 ] || fail "$(cat report)"
	run -143 cgset --transient --report=report "$group" -- sh -c 'kill -TERM $$'
	[ "$(of_report report status) $(of_report report signal)" = '143 15' ] || fail "$(cat report)"
	no_groups
}

@test "the time a program took begins with it, however late its parent hears of it" {
	strace -qq -o calls -e trace=clone,clone3 -e inject=clone,clone3:delay_exit=500000 \
		cgset --transient --report=report "$group" -- sleep 0.2
	grep -q DELAYED calls
	[ "$(of_report report wall_usec)" -ge 200000 ] || fail "$(cat report)"
	cgset --transient --report=report "$group" -- true
	[ "$(of_report report wall_usec)" -lt 5000000 ] || fail "$(cat report)"
	no_groups
}

@test "a group that was there stays, and what others used before is taken off; a kill is told once" {
	cgset --memory 32M "$group"
	run -137 --separate-stderr -- cgset --report=report "$group" -- perl -e "$hog" 100
	[[ $stderr == *": out of memory: 1 process killed at 32M, peak "* ]] || fail "$stderr"
	first=$(of_report report cpu.usage_usec)
	[ "$(of_report report memory.oom_kills)" = 1 ] || fail "$(cat report)"
	run -0 --separate-stderr -- cgset --report=report "$group" -- true
	[ -z "$stderr" ] || fail "$stderr"
	[ "$(of_report report memory.oom_kills) $(of_report report status)" = '0 0' ] || fail "$(cat report)"
	[ "$(of_report report cpu.usage_usec)" -lt $((first + 50000)) ]
	[ -d "$(place memory)" ]
	cgset --remove "$group"
}

@test "the report is written last: a reader that is late keeps no group" {
	mkfifo pipe
	start cgset --transient --report=pipe "$group" -- touch ran
	until_true exists ran
	until_true no_groups
	kill -0 "$started"
	cat pipe >report
	finish
	[ "$status" = 0 ] && [ "$(of_report report status)" = 0 ] || fail "$status: $(cat report)"
}

@test "where nobody ever reads the report, a signal ends the wait" {
	mkfifo pipe
	for signal in TERM INT; do
		start cgset --transient --report=pipe "$group" -- touch ran
		until_true exists ran
		until_true no_groups
		kill -s "$signal" "$started"
		finish
		[ "$status" -gt 128 ] || fail "$signal: $status"
		rm ran
	done
}

@test "the report goes where it was asked to go, whatever the program puts there" {
	echo precious >precious
	for before in none file fifo; do
		rm -f out
		case $before in
		file) echo older >out ;;
		fifo) mkfifo out && { cat out >was-read & } ;;
		esac
		ln -f out kept 2>/dev/null || :
		cgset --transient --report=out "$group" -- ln -sf precious out
		[ "$(cat precious)" = precious ] || fail "$before: $(cat precious)"
		case $before in
		file) [ "$(of_report kept status)" = 0 ] ;;
		fifo)
			wait $!
			[ "$(of_report was-read status)" = 0 ]
			;;
		esac
	done
	# A file that was made for it goes when there will be none.
	rm -f out
	run -125 cgset --transient --report=out "$group" pids.nonsense=1 -- true
	[ ! -e out ]
	no_groups
}

@test "dry run: a script that says the same from the same files" {
	cgset --dry-run --transient --memory 64M --report=said "$group" -- sh -c 'exit 3' >script
	[ ! -e said ]
	run -3 sh -e script
	grep -qx 'status 3' said || fail "$(cat said)"
	grep -q "/$group/memory\.[a-z_]*:oom_kill 0\$" said || fail "$(cat said)"
	grep -q "/$group/cpu\(acct\)\{0,1\}\." said || fail "$(cat said)"
	no_groups
	# Of a group that is there, what it counted before as well.
	cgset "$group"
	cgset --dry-run --report=said "$group" -- true >script
	sh -e script
	grep -q '^before: ' said && grep -qx 'status 0' said || fail "$(cat said)"
	for_each_group rmdir
}

@test "a report that cannot be written is told before the program runs, or after it in one warning" {
	for file in /nonexistent/report "$PWD" ''; do
		run -125 --separate-stderr -- cgset --transient --report="$file" "$group" -- touch ran
		[[ $stderr == "cgset: --report=$file: "* ]] && [ ! -e ran ] || fail "$stderr"
	done
	no_groups
	run -7 --separate-stderr -- cgset --transient --report=/dev/full "$group" -- sh -c 'exit 7'
	[[ $stderr == 'cgset: warning: write("/dev/full", {the report}): No space left on device (ENOSPC)'* ]] || fail "$stderr"
	no_groups
}
