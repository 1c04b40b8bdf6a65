#!/usr/bin/env bats
# cgset with a program: it is in the group, the group's limits hold it, and a transient group goes with it. Run by:
# tests/run kernel transient

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

@test "the program is in the group, and so is what it starts; outside nobody moved" {
	before=$(cat /proc/self/cgroup)
	run -0 cgset --pids 50 "$group" -- sh -c 'grep -c "/$1\$" /proc/self/cgroup; sh -c "grep -c /$1\\$ /proc/self/cgroup"' - "$group"
	[ "${lines[0]}" -ge 1 ] && [ "${lines[0]}" = "${lines[1]}" ] || fail "$output"
	[ "$before" = "$(cat /proc/self/cgroup)" ]
	[ -d "$(place pids)" ]
	cgset --remove "$group"
}

@test "--transient: the group is there while the program runs, and gone with it; silent, with its status" {
	run -7 --separate-stderr -- cgset --transient --memory 64M --cpus 1 --pids 20 "$group" -- sh -c 'cat /proc/self/cgroup; exit 7'
	[[ $output == *"/$group"* ]] && [ -z "$stderr" ] || fail "$output$stderr"
	no_groups
	run -143 cgset --transient "$group" -- sh -c 'kill -TERM $$'
	run -127 cgset --transient "$group" -- /nonexistent
	run -126 cgset --transient "$group" -- /etc/passwd
	no_groups
}

@test "a memory hog dies at its limit, status 137, and the message says so; below the limit it lives" {
	hog='$x = "x" x (shift() << 20); sleep 0'
	run -137 --separate-stderr -- cgset --transient --memory 32M "$group" -- perl -e "$hog" 100
	[[ $stderr =~ ^cgset:\ $group:\ out\ of\ memory:\ 1\ process\ killed\ at\ 32M,\ peak\ 3[0-9.]+M$ ]] || fail "$stderr"
	run -0 --separate-stderr -- cgset --transient --memory 64M "$group" -- perl -e "$hog" 1
	[ -z "$stderr" ]
	# Also when it was a child, and the program went on.
	run -0 --separate-stderr -- cgset --transient --memory 32M "$group" -- sh -c "perl -e '$hog' 100 2>/dev/null; true"
	[[ $stderr == *"out of memory: 1 process killed at 32M"* ]] || fail "$stderr"
	no_groups
}

@test "a fork bomb stops at its limit" {
	run --separate-stderr -- cgset --transient --pids 16 "$group" -- perl -e '$n = 0; while (defined($p = fork)) { unless ($p) { sleep 100; exit } $n++ } print "$n\n"'
	[ "$output" = 15 ] || fail "$output"
	[[ $stderr == "cgset: $group: still in the group when the program had ended, and killed: "* ]] || fail "$stderr"
	no_groups
}

@test "a spinner gets half a CPU; without a limit it gets a whole one" {
	spin='$end = time + 3; 1 while time < $end; ($user, $system) = times; printf "%d\n", ($user + $system) * 100'
	half=$(cgset --transient --cpus 0.5 --cpu-weight 10000 "$group" -- perl -e "$spin")
	whole=$(cgset --transient --cpu-weight 10000 "$group" -- perl -e "$spin")
	# Of two to three seconds; an emulated CPU or a busy machine gives less to both.
	[ "$half" -le 170 ] && [ "$half" -lt $((whole * 8 / 10)) ] || fail "half $half whole $whole"
}

@test "what outlives the program is ended, and that is said in one line; with nothing left nothing is said" {
	run -0 --separate-stderr -- cgset --transient "$group" -- sh -c 'sleeper 1000 & sleeper 1000 & exit 0'
	[[ $stderr =~ ^cgset:\ $group:\ still\ in\ the\ group\ when\ the\ program\ had\ ended,\ and\ killed:\ [0-9]+,\ [0-9]+$ ]] || fail "$stderr"
	no_groups
	run -0 --separate-stderr -- cgset --transient "$group" -- nsexec --pid -- sh -c 'sleeper 1000 & exit 0'
	[ -z "$stderr" ] || fail "$stderr"
	no_groups
}

@test "kill -9 of the one that waits: the program dies with it; the next of that name, or --gc, cleans up" {
	for cure in next gc; do
		start cgset --transient --pids 20 "$group" -- \
			sh -c '[ "$1" = next ] || mkdir -p "$2/a/b"; exec sleeper 1000' - $cure "$(place pids)"
		until_true pgrep -x sleeper
		kill -9 "$started"
		finish
		until_true no_sleeper
		[ -d "$(place pids)" ]
		case $cure in
		next) cgset --transient "$group" -- true ;;
		gc) cgset --gc ;;
		esac
		no_groups || fail "$cure: $(directories)"
	done
	# What was not transient is not cleaned up.
	cgset "$group" pids.max=5
	cgset --gc
	[ -d "$(place pids)" ]
	cgset --remove "$group"
}

no_sleeper() {
	! pgrep -x sleeper >/dev/null
}

@test "two of one name: the second is refused and told who is in it; --gc leaves it alone" {
	start cgset --transient "$group" -- sleeper 1000
	until_true pgrep -x sleeper
	refuses "cgset: \"$group\": these processes are in it: $(pgrep -x sleeper)
cgset: hint: choose another name, or end them: cgset --kill GROUP" --transient "$group" -- true
	cgset --gc
	refuses "cgset: \"$group\": these processes are in it: $(pgrep -x sleeper)
cgset: hint: end them: cgset --kill GROUP" --remove "$group"
	[ "$(cgset --procs "$group")" = "$(pgrep -x sleeper)" ]
	cgset --kill "$group"
	finish
	[ "$status" = 137 ]
	no_groups
}

@test "--gc leaves a group alone that somebody waits for, in every hierarchy: also where the program has moved out of it" {
	start cgset --transient --cpus 0.5 "$group" -- sh -c 'echo $$ >"$1"; exec sleeper 1000' - "$(place cpu .)/cgroup.procs"
	until_true pgrep -x sleeper
	groups=$(directories)
	[ -z "$(cat "$(place cpu)/cgroup.procs")" ]
	cgset --gc
	same "$groups" "$(directories)"
	kill -9 "$(pgrep -x sleeper)"
	finish
	no_groups
}

@test "a limit set on it meanwhile: a transient group stays one, and --gc still removes what is left of it" {
	start cgset --transient "$group" -- sleeper 1000
	until_true pgrep -x sleeper
	cgset --pids 7 --memory 64M "$group"
	kill -9 "$started"
	finish
	until_true no_sleeper
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	until_true cgset --gc
	no_groups
}

@test "groups in it: --kill ends who is in those too, and a transient group goes with those its program made" {
	start cgset "$group/a" -- sleeper 1000
	until_true pgrep -x sleeper
	cgset --kill "$group"
	finish
	[ "$status" = 137 ]
	cgset --remove "$group/a"
	no_groups
	run -0 --separate-stderr -- cgset --transient "$group" -- sh -c 'mkdir -p "$1/a/b"; sleeper 1000 & echo $! >"$1/a/b/cgroup.procs"' - "$(place pids)"
	[[ $stderr == "cgset: $group: still in the group when the program had ended, and killed: "* ]] || fail "$stderr"
	no_groups
}

@test "--kill of a transient group: its cgset ends silently, though who was killed is there a moment longer" {
	# What holds memory takes longer to end than the program.
	holder='$x = "x" x 50e6; open F, ">", "ready$$"; sleep 1000'
	for _ in 1 2 3; do
		rm -f ready*
		start cgset --transient "$group" -- sh -c 'for _ in 1 2 3; do perl -e "$1" & done; exec sleeper 1000' - "$holder" 2>said
		until_true ready_are 3
		until_true pgrep -x sleeper
		cgset --kill "$group"
		finish
		same '137:' "$status:$(cat said)"
		no_groups
	done
}

ready_are() {
	[ "$(find . -name 'ready*' | wc -l)" = "$1" ]
}

@test "kill -9 of any process of it at a random moment, many times: what is left the next one removes" {
	for round in $(seq "$ROUNDS"); do
		# With --pid, whose first process takes all others along.
		start cgset --transient --memory 64M --pids 20 "$group" -- nsexec --pid -- sh -c 'sleeper 1000; true'
		sleep "0.0$((RANDOM % 30))"
		mapfile -t victims < <(tree_of "$started")
		kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null || :
		finish
		until_true no_sleeper
		until_true cgset --transient "$group" -- true
		no_groups || fail "round $round: $(directories)"
	done
}

# Prints a process and all below it.
tree_of() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1"); do tree_of "$child"; done
}
