#!/usr/bin/env bats
# nsexec --init, and signals and stops through several links that wait. Run by: tests/run kernel init

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154

load lib.bash
load groups.bash
load namespaces.bash

# Starts `nsexec --pid --init sleeper 1000`: `started` is nsexec, `reaper` process 1, `slept` the sleeper.
start_under_reaper() {
	start nsexec --pid --init sleeper 1000
	until_true has_child "$started"
	reaper=$(child "$started")
	until_true has_child "$reaper"
	slept=$(child "$reaper")
	until_true runs_program "$slept" sleeper
}

end_under_reaper() {
	kill -9 "$slept"
	finish
}

# ---- the reaper

@test "the program is process 2 and its parent a reaper; without --init it is process 1" {
	[ "$(nsexec --pid --init -- sh -c 'echo $$ $PPID')" = '2 1' ]
	[ "$(nsexec --pid -- sh -c 'echo $$ $PPID')" = '1 0' ]
	run -125 --separate-stderr nsexec --init -- true
	same "nsexec: --init without a new PID namespace: process 1 is there already
nsexec: hint: add --pid: the reaper is the first process born in it" "$stderr"
	run -125 nsexec --init --pid=$$ -- true
}

@test "it ends as the program does, and whoever is left ends with it" {
	run -7 nsexec --pid --init -- sh -c 'exit 7'
	run -143 nsexec --pid --init -- sh -c 'kill -TERM $$'
	run -127 nsexec --pid --init -- /no/such
	run -126 nsexec --pid --init -- /etc/passwd
	start nsexec --pid --init -- sh -c 'setsid sleeper 1000 & touch here; exit 3'
	finish
	[ "$status" = 3 ]
	exists here
	! pgrep -x sleeper || fail 'a process is left'
}

@test "orphans are reaped, whose they ever were" {
	start nsexec --pid --init -- sh -c 'for i in 1 2 3 4 5; do (sh -c "exit 0" & exec true) & done; wait; touch finished; exec sleeper 1000'
	until_true exists finished
	reaper=$(child "$started")
	until_true only_child "$reaper"
	kill -9 "$(child "$reaper")"
	finish
	# A program that is process 1 and does not ask leaves them lie.
	start nsexec --pid -- perl -e '$p = fork // die; if (!$p) { $q = fork // die; exit if $q; sleep 1; exit } waitpid $p, 0; sleep 1000'
	until_true has_child "$started"
	until_true has_zombie "$(child "$started")"
	kill -9 "$(child "$started")"
	finish
}

only_child() {
	local children=
	{ read -r children <"/proc/$1/task/$1/children"; } 2>/dev/null
	[[ $children =~ ^[0-9]+\ ?$ ]]
}

has_zombie() {
	local children one
	{ read -r children <"/proc/$1/task/$1/children"; } 2>/dev/null || :
	for one in $children; do ! is_in_state "$one" Z || return 0; done
	return 1
}

@test "signals that are sent to it go to the program, from outside and from inside" {
	for signal in HUP INT QUIT TERM USR1 USR2 ALRM; do
		start nsexec --pid --init -- sh -c "trap 'echo $signal >got; exit 9' $signal; touch ready; while :; do sleeper 0.05; done"
		until_true exists ready
		kill -$signal "$started"
		finish
		[ "$status $(cat got)" = "9 $signal" ] || fail "$signal: $status"
		rm ready got
	done
	# To process 1 itself, as `kill 1` in a container does.
	run -9 nsexec --pid --init -- sh -c "trap 'exit 9' TERM; kill -TERM 1; while :; do sleeper 0.05; done"
	# At the default, the program ends by it as any process would.
	start_under_reaper
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
}

@test "it holds three descriptors and what ties it to nsexec, no capability but KILL, and no directory of the caller's" {
	mkdir dir
	cd dir || return
	exec 7</etc
	start_under_reaper
	exec 7<&-
	cd .. || return
	[ "$(readlink "/proc/$reaper/cwd")" = / ]
	[ "$(readlink "/proc/$slept/cwd")" = "$PWD/dir" ]
	[ "$(readlink "/proc/$slept/fd/7")" = /etc ]
	for fd in "/proc/$reaper/fd"/*; do
		case ${fd##*/} in
		0 | 1 | 2) ;;
		*) [[ $(readlink "$fd") =~ ^(socket:|anon_inode:\[signalfd\]) ]] || fail "$fd is $(readlink "$fd")" ;;
		esac
	done
	[ "$(grep -E '^Cap(Eff|Prm|Inh|Amb)' "/proc/$reaper/status" | cut -f2 | xargs)" = \
		'0000000000000000 0000000000000020 0000000000000020 0000000000000000' ]
	end_under_reaper
}

@test "from its first moment the program cannot look into it" {
	# Users of its own, and every capability over them: what is closed to it is so by the reaper's own doing.
	cat >look <<-'END'
		#!/bin/sh
		for file in exe cwd root fd/0; do readlink /proc/1/$file >/dev/null 2>&1 && echo "$file"; done
		for file in mem environ maps; do head -c 1 /proc/1/$file >/dev/null 2>&1 && echo "$file"; done
		echo looked
	END
	chmod 755 look
	[ "$(as_nobody nsexec -r --pid --init --mount-proc -- "$PWD/look")" = looked ]
	for ((i = 0; i < ROUNDS * 4; i++)); do
		[ "$(as_nobody nsexec -r --pid --init --mount-proc -- readlink /proc/1/exe /proc/1/root 2>/dev/null)" = '' ] || fail "round $i"
	done
	[ "$(as_nobody nsexec -r --pid --mount-proc -- "$PWD/look" | wc -l)" -gt 4 ]
}

@test "who may trace it finds no file of the host in it" {
	make_root root
	echo canary >canary
	set -- pivot --cap-add SYS_PTRACE root /bin/sh -c "cat /proc/1/root$PWD/canary /proc/1/cwd/..$PWD/canary /proc/1/root/..$PWD/canary; readlink /proc/1/root"
	run --separate-stderr nsexec --pid --init -- "$@"
	[ "$output" = / ]
	# It could look: of a process 1 that does not let go, as one in a namespace further out, all is seen.
	run nsexec --pid -- sh -c 'exec 3</; sh -c "cat /proc/1/root'"$PWD"'/canary"; :'
	[ "$output" = canary ]
}

@test "it tells everybody its name and nothing else; nsexec outside is called as it was" {
	make_root root
	look='for file in $(find /proc/1 -maxdepth 1 -type f ! -name mem ! -name pagemap 2>/dev/null); do cat "$file" 2>/dev/null; done | tr "\\0" "\\n"'
	run -0 --separate-stderr env CANARY=canary nsexec --pid --init -- pivot "$PWD/root" /bin/sh -c "$look"
	[[ $output == *init* && $output != *"$PWD"* && $output != *"$BOXUTILS_BIN"* && $output != *canary* ]] || fail "$output"
	# Who may trace it learns no more; a name is all there is, however long the line was.
	run -0 --separate-stderr env CANARY=canary nsexec --pid --init -- pivot --cap-add SYS_PTRACE "$PWD/root" /bin/sh -c 'cat /proc/1/cmdline /proc/1/environ | tr "\0" "|"'
	[[ $output =~ ^init\|\|*$ ]] || fail "$output"
	# A process 1 that does not let go tells it all.
	run -0 --separate-stderr env CANARY=canary nsexec --pid --mount-proc -- sh -c "$look; :" "$PWD"
	[[ $output == *"$PWD"* && $output == *canary* ]] || fail "$output"
	start_under_reaper
	same "nsexec --pid --init sleeper 1000 " "$(tr '\0' ' ' <"/proc/$started/cmdline")"
	same init "$(tr -d '\0' <"/proc/$reaper/cmdline")"
	end_under_reaper
}

@test "a signal that has no name reaches the program too" {
	run -5 --separate-stderr nsexec --pid --init -- bash -c 'trap "echo got; exit 5" RTMIN+3; kill -RTMIN+3 1; while :; do sleeper 0.05; done'
	[ "$output" = got ]
}

@test "it dies with nsexec, and the program with it" {
	start_under_reaper
	kill -9 "$started"
	until_true gone "$reaper"
	until_true gone "$slept"
	finish
	[ "$status" = 137 ]
}

@test "--explain numbers it, and the dry run has a shell in its place" {
	shopt -s extglob
	run -0 --separate-stderr nsexec --explain --pid --init -- true
	same "nsexec 1/3  a process keeps the number it was born with: the first one born in a new PID namespace is its PID 1
            clone(CLONE_NEWPID|SIGCHLD) = N, which goes on below; this parent waits for it
nsexec 2/3  process 1 inherits all orphans and hears no signal by default: a reaper takes that on, the program is its child
            prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)
            clone(SIGCHLD) = 2, which goes on below; process 1 waits, and reaps
nsexec 3/3  become the program: same process, same number, another life
            execve(\"$(type -P true)\", [\"true\"])" "${stderr/ = +([0-9]), which goes on below; this/ = N, which goes on below; this}"
	write_probe
	dry_run_equals_run --pid --init --mount-proc
	nsexec --dry-run --pid --init --mount-proc -- sh -c 'readlink /proc/self/ns/pid; echo $PPID; exit 6' >script
	run -6 sh script
	[ "${lines[1]}" = 1 ]
}

# ---- on a terminal

# A shell on a terminal, in it a command whose last link runs `sleeper 1000`: Ctrl-Z stops every process of it, `fg` continues
# every one, as often as one likes.
stops_and_continues() {
	start_on_terminal "bash --norc --noprofile -i"
	press "PS1= ; $1 sleeper 1000\n"
	until_true has_sleeper
	sleeper=$(pgrep -x sleeper)
	# Whoever waits, from the sleeper's parent out to the shell; process 1 cannot be stopped from inside, and need not be.
	waiting=()
	for ((pid = $(parent "$sleeper"); pid != $(parent_shell); pid = $(parent "$pid"))); do
		[ "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")" = 1 ] || waiting+=("$pid")
	done
	[ "${#waiting[@]}" = "$2" ] || fail "${#waiting[@]} processes wait"
	for ((round = 0; round < $3; round++)); do
		press '\032'
		for pid in "$sleeper" "${waiting[@]}"; do
			until_true is_in_state "$pid" T || fail "round $round: $(program "$pid") goes on"
		done
		press 'fg\n'
		for pid in "$sleeper" "${waiting[@]}"; do
			until_true is_in_state "$pid" S || fail "round $round: $(program "$pid") is stopped"
		done
	done
	press '\003'
	until_true gone "$sleeper"
	for pid in "${waiting[@]}"; do until_true gone "$pid"; done
	press 'echo $? >status; exit\n'
	finish_terminal
	[ "$(cat status)" = 130 ] || fail "$(cat status)"
	rm keys status
}

has_sleeper() {
	pgrep -x sleeper >/dev/null
}

parent_shell() {
	pgrep -f '^bash --norc --noprofile -i'
}

@test "Ctrl-Z and fg go through one that waits, and through two" {
	stops_and_continues 'nsexec --pid --' 1 "$ROUNDS"
	stops_and_continues "cgset --transient $group -- nsexec --pid --" 2 "$((ROUNDS * 5))"
}

@test "Ctrl-Z and fg go through a reaper" {
	stops_and_continues 'nsexec --pid --init --' 1 "$ROUNDS"
	stops_and_continues "cgset --transient $group -- nsexec --pid --init --" 2 "$ROUNDS"
}
