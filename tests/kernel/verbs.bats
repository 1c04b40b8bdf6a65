#!/usr/bin/env bats
# scripts/container beside you: run --detach, ps, exec, stop. The world's network plays the machine. Run by:
# tests/run kernel verbs

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load container.bash

teardown() {
	end_detached
	teardown_container
}

# ---- run --detach and ps

@test "run --detach: the program runs when it returns; ps tells what it is; stop ends it, and all is gone" {
	run -0 --separate-stderr -- detach --memory 64M img -- /bin/sh -c "$STAY"
	same '' "$output$stderr"
	until_true grep -qx here log
	[ "$(program "$(pid)")" = sh ] || fail "$(program "$(pid)")"
	run -0 container ps
	[[ ${lines[0]} =~ ^NAME\ +PID\ +AGE\ +MEMORY\ +CPU\ +ADDRESS\ +IMAGE$ ]] || fail "$output"
	[[ ${lines[1]} =~ ^$group\ +$(pid)\ +[0-9]+(s|min)\ +[0-9.]+[KM]?\ .*\ 10\.98\.0\.2\ +$PWD/img$ ]] || fail "$output"
	run -0 container ps --json
	[[ $output =~ ^\[\{\"name\":\ \"$group\",\ \"pid\":\ [0-9]+,\ \"image\":\ \"$PWD/img\",\ \"started\":\ [0-9]+,\ \"age_seconds\":\ [0-9]+,\ \"memory_bytes\":\ [0-9]+,\ \"memory_max_bytes\":\ 67108864,\ \"cpu_usec\":\ ([0-9]+|null),\ \"address\":\ \"10.98.0.2\"\}\]$ ]] || fail "$output"
	container stop "$group"
	nothing_of_it || fail "$(ps ax) $(directories)"
	[ "$(container ps --json)" = '[]' ]
}

@test "run --detach: what cannot start has not been started: the message, the status, and nothing left" {
	run -127 --separate-stderr -- detach --no-net img nosuch
	[[ $stderr == 'pivot: execve("nosuch"): No such file or directory (ENOENT)'*hint* ]] || fail "$stderr"
	run -126 --separate-stderr -- detach --no-net img /etc/passwd
	[[ $stderr == pivot:* ]] || fail "$stderr"
	run -125 --separate-stderr -- detach --no-net nowhere true
	[[ $stderr == 'pivot: stat("nowhere")'* ]] || fail "$stderr"
	run -125 --separate-stderr -- detach --no-net --memory lots img true
	[[ $stderr == cgset:*lots* ]] || fail "$stderr"
	nothing_of_it || fail "$(ps ax) $(directories)"
}

@test "run --detach: a program that is soon over has been started; the log ends with its status" {
	run -0 detach --no-net img -- /bin/sh -c 'echo said; exit 7'
	until_true grep -q '"status": *7' log
	[ "$(head -n 1 log)" = said ] || fail "$(cat log)"
	until_true nothing_of_it
}

@test "run --detach: /dev/stdout and /dev/stderr can be opened by name, and the log is added to and stays root's" {
	echo before >log
	chmod 640 log
	detach --no-net img -- /bin/sh -c 'echo one; echo two >/dev/stdout; echo three >/dev/stderr; echo four; echo here; exec sleep 1000'
	until_true grep -qx here log
	container stop "$group"
	same $'before\none\ntwo\nthree\nfour\nhere' "$(grep -v '^{' log)"
	[[ $(tail -n 1 log) == '{'*'"status"'* ]] || fail "$(cat log)"
	[ "$(stat -c '%u:%g %a' log)" = '0:0 640' ]
	nothing_of_it
	# What the chain tells of itself is there when it returns.
	detach --explain --no-net img -- /bin/sh -c "$STAY"
	[ "$(grep -c 'execve("/bin/sh"' log)" = 1 ] || fail "$(cat log)"
	container stop "$group"
	# A full disk ends the log only.
	mkdir small
	mount -t tmpfs -o size=4k none small
	without_descriptors "$top/scripts/container" run --detach --log small/log --name "$group" --no-net img -- \
		/bin/sh -c 'for i in $(seq 999); do echo "line $i"; done; exec sleep 1000'
	until_true pgrep -x -f 'sleep 1000'
	container stop --time 0 "$group"
	umount small
	nothing_of_it
}

@test "a name runs once: the second is told who has it; when that has ended the name is free" {
	stay
	run -125 --separate-stderr -- detach --no-net img true
	same "container: $group runs already: process $(pid), of $PWD/img"$'\n'"container: hint: container stop $group ends it; --name gives this one another name" "$stderr"
	run -125 --separate-stderr -- container run --no-net --name "$group" img true
	[[ $stderr == *'runs already'* ]] || fail "$stderr"
	container stop "$group"
	run -0 container run --no-net --name "$group" img true
	for name in 'a b' ../up '' -x "$(printf %064d 0)"; do
		run -125 --separate-stderr -- container run --no-net "--name=$name" img true
		[[ $stderr == 'container: '*name* ]] || fail "$name: $stderr"
	done
}

@test "the way it ends does not matter: kill -9 of what waits for it leaves no container, and its name is free" {
	stay
	waiting=$(parent "$(parent "$(pid)")")
	[ "$(program "$waiting")" = cgset ]
	kill -9 "$waiting"
	until_true no_process_left
	[ "$(container ps --json)" = '[]' ]
	stay
	container stop "$group"
	nothing_of_it
}

@test "run --detach, killed at any moment: the whole container or nothing of it" {
	for round in $(seq "$((ROUNDS < 20 ? ROUNDS : 20))"); do
		start "$top/scripts/container" run --detach --log log --name "$group" --no-net img -- /bin/sh -c "$STAY"
		sleep "0.0$((RANDOM % 100))"
		kill "-$(( round % 2 ? 9 : 15 ))" "$started" 2>/dev/null || :
		finish
		until_true whole_or_nothing || fail "round $round: $(ps ax) $(directories)"
		container stop --time 0 "$group" 2>/dev/null
		until_true nothing_of_it || fail "round $round: $(ps ax) $(directories)"
	done
	[ -z "$(find . -mindepth 1 ! -name img ! -name log)" ] || fail "$(ls -A)"
}

# A sleep in it says that the program runs; one that will never do so is no process at all.
whole_or_nothing() {
	no_process_left || [ -n "$(pgrep -x -f 'sleep 1000')" ]
}

@test "run --detach and save are the same where sh is bash" {
	without_descriptors bash --posix "$top/scripts/container.d/run" --detach --log log --name "$group" --no-net img -- /bin/sh -c "$STAY"
	until_true grep -qx here log
	old=$PATH
	slow_cp
	start bash --posix "$top/scripts/container.d/save" "$group" copy.img
	until_true exists copying
	is_frozen
	kill -KILL "$started"
	finish
	until_true is_thawed
	PATH=$old
	pkill -x -f 'sleep 1000' -P 1 || :
	run -125 --separate-stderr -- bash --posix "$top/scripts/container.d/run" --detach --log other --name "$group-2" --no-net nowhere true
	[[ $stderr == 'pivot: stat("nowhere")'* ]] || fail "$stderr"
	container stop "$group"
	rm -f .copy*
	nothing_of_it
}

# ---- exec

@test "exec: in its namespaces, its root and its group, with no more rights than its own program; stdin and status pass" {
	stay
	program=$(pid)
	run -0 container exec "$group" -- /bin/sh -c 'for kind in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$kind; done; hostname; id -u; grep -E "^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Groups):" /proc/self/status; pwd'
	same "$(for kind in cgroup ipc mnt net pid user uts; do readlink "/proc/$program/ns/$kind"; done)
$group
0
$(grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Groups):' "/proc/$program/status")
/" "$output"
	[ "$(echo letter | container exec "$group" cat)" = letter ]
	run -7 container exec "$group" sh -c 'exit 7'
	run -127 container exec "$group" nosuch
	container exec "$group" sh -c 'echo $$ >/exec; exec sleep 1000' 3>&- &
	until_true test -n "$(directories)"
	until_true in_group_twice
	container stop --time 0 "$group"
	finish $!
	[ "$status" = 137 ] || fail "status $status"
}

in_group_twice() {
	[ "$("$BOXUTILS_BIN/cgset" --procs "$group" | xargs -I {} cat /proc/{}/comm 2>/dev/null | grep -c sleep)" = 2 ]
}

@test "exec: what does not run is said; options are told from the program's" {
	run -125 --separate-stderr -- container exec "$group" true
	same "container: $group does not run"$'\n''container: hint: container ps lists what does' "$stderr"
	run -125 --separate-stderr -- container exec
	[[ $stderr == 'container: no name'* ]] || fail "$stderr"
	stay
	run -125 --separate-stderr -- container exec "$group"
	[[ $stderr == 'container: no program'* ]] || fail "$stderr"
	[ "$(container exec "$group" -- echo --explain)" = --explain ]
}

@test "--init: the program is process 2, and exec and ps mean the program" {
	detach --no-net --init img -- /bin/sh -c "$STAY"
	until_true grep -qx here log
	[ "$(program "$(pid)")" = sh ] || fail "$(program "$(pid)")"
	[[ $(sed -n 's/^NSpid:\t//p' "/proc/$(pid)/status") == *$'\t'2 ]]
	[ "$(container exec "$group" hostname)" = "$group" ]
	container stop "$group"
	nothing_of_it
}

# ---- stop

@test "stop: a program with a handler is asked, and given its time" {
	detach --no-net img -- /bin/sh -c 'trap "echo asked; sleep 0.2; echo done; exit 0" TERM; echo here; while :; do sleep 0.1; done'
	until_true grep -qx here log
	container stop "$group"
	same $'here\nasked\ndone' "$(grep -v '^{' log)"
	nothing_of_it
}

@test "stop: one that does not listen is killed after its time; one without a handler ends at once" {
	detach --no-net img -- /bin/sh -c 'trap "" TERM; echo here; while :; do sleep 0.1; done'
	until_true grep -qx here log
	before=$SECONDS
	container stop --time 1 "$group"
	[ $((SECONDS - before)) -ge 1 ] || fail 'it was not given its time'
	nothing_of_it
	stay
	container stop --time "$((PATIENCE * 10))" "$group"
	nothing_of_it
}

@test "stop --time 0: at once, though who waits for the program kills what is left at the same time" {
	for _ in 1 2 3 4; do
		stay
		before=$SECONDS
		container stop --time 0 "$group"
		[ $((SECONDS - before)) -lt 4 ] || fail "$((SECONDS - before)) s"
		nothing_of_it
		run ! grep 'still there' log
	done
}

@test "stop: also what is frozen; and what does not run is said, and is fine" {
	stay
	"$BOXUTILS_BIN/cgset" --freeze "$group"
	container stop "$group"
	nothing_of_it
	run -0 --separate-stderr -- container stop "$group"
	same "container: $group does not run" "$stderr"
	run -125 --separate-stderr -- container stop
	[[ $stderr == 'container: no name'* ]] || fail "$stderr"
	# A group of somebody else is no container.
	"$BOXUTILS_BIN/cgset" --pids 5 "$group"
	run -0 --separate-stderr -- container stop "$group"
	same "container: $group does not run" "$stderr"
	[ -n "$(directories)" ]
	"$BOXUTILS_BIN/cgset" --remove "$group"
}

@test "stop: comes back when the cable is gone, too, though the kernel takes a network apart late" {
	detach img -- /bin/sh -c "$STAY"
	until_true grep -qx here log
	start sh -c 'exec sleep 1 <"/proc/$0/ns/net"' "$(pid)"
	until_true runs_program "$started" sleep
	grep -q bx0a620002: /proc/net/dev
	container stop "$group"
	run ! grep bx0a620002: /proc/net/dev
	finish
	nothing_of_it
}
