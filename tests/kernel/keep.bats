#!/usr/bin/env bats
# Namespaces that outlive their processes, and clocks of their own. Run by: tests/run kernel keep

# Commands in single quotes are for other shells, lib.bash sets variables, and every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load namespaces.bash

# Prints the processors this process may run on.
processors() {
	taskset --cpu-list --pid "$BASHPID" | sed 's/.*: //; s/,/ /g' | tr ' ' '\n' |
		while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done
}

@test "--keep: every new namespace is on the file of its name, and outlives its processes" {
	nsexec --keep box --user --all --time -- show-namespaces >inside
	for name in cgroup ipc mnt net pid time user uts; do
		inode=$(sed -n "s/^$name:\[\(.*\)\]$/\1/p" inside)
		[ "$(stat -c %i "box/$name")" = "$inode" ] || fail "box/$name is $(stat -c %i "box/$name"), not $inode"
	done
	same "$(printf '%s\n' cgroup ipc mnt net pid time user uts)" "$(ls box)"
	for name in cgroup ipc mnt net time uts; do
		kind=${name/mnt/mount}
		same "$(grep "^$name:" inside)" "$(nsexec "--$kind=box/$name" -- readlink "/proc/self/ns/$name")" || fail "$name"
	done
	same "$(grep ^user: inside)" "$(nsexec --user=box/user -- readlink /proc/self/ns/user)"
	nsexec --forget box
	[ ! -e box ]
}

@test "--keep: without it nothing is kept" {
	nsexec --net -- true
	same "[]" "$(nsexec --list --json)"
	inode=$(nsexec --keep box --net -- readlink /proc/self/ns/net | tr -dc 0-9)
	nsexec --list --json | grep -q "\"inode\": $inode,"
	nsexec --forget box
	same "[]" "$(nsexec --list --json)"
}

@test "--keep: only what is new is kept, and what is set up in it stays" {
	nsexec --keep box --uts --hostname kept -- true
	same uts "$(ls box)"
	[ "$(nsexec --uts=box/uts -- hostname)" = kept ]
	[ "$(hostname)" = world ]
	nsexec --forget box
}

@test "--keep: mounts made in a kept mount namespace are there for the next who joins it" {
	mkdir dir
	nsexec --keep box --mount -- sh -c 'mount -t tmpfs none dir; touch dir/inside'
	[ -z "$(ls dir)" ]
	[ "$(nsexec --mount=box/mnt -- ls "$PWD/dir")" = inside ]
	nsexec --forget box
}

@test "--keep gives the program's status, its number and its stdin, as without it" {
	run nsexec --keep box --net -- sh -c 'exit 7'
	[ "$status" = 7 ]
	nsexec --forget box
	[ "$(echo hello | nsexec --keep box --uts -- cat)" = hello ]
	nsexec --forget box
	mkfifo ready
	start sh -c 'exec nsexec --keep box --net --pid --ready-fd 5 --pid-file number -- sleeper 1000 5>ready'
	read -r number <ready
	# Whoever is told that it is ready finds it kept.
	same "box/net net alive 1 nsexec"$'\n'"box/pid pid alive 1 nsexec" "$(kept)"
	[ "$number $(cat number)" = "$(child "$started") $number" ]
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
	[ ! -e number ]
	same "box/net net alive 0 nsexec"$'\n'"box/pid pid dead 0 nsexec" "$(kept)"
	nsexec --forget box
}

@test "a kept PID namespace takes processes in while its process 1 lives, and none when it is dead" {
	start nsexec --keep box --pid -- sleeper 1000
	until_true has_child "$started"
	until_true runs_program "$(child "$started")" sleeper
	same "box/pid pid alive 1 nsexec" "$(kept)"
	[ "$(nsexec --pid=box/pid -- sh -c 'echo $$')" = 2 ]
	kill -TERM "$started"
	finish
	same "box/pid pid dead 0 nsexec" "$(kept)"
	fails_with 125 'nsexec: clone(SIGCHLD): Cannot allocate memory (ENOMEM)
nsexec: while: a PID namespace that is joined takes in children only, so the program must be one
nsexec: hint: the PID namespace is dead: its first process has ended, and it takes no others; one that is kept lives as long as that, so let it stay: nsexec --pid --init --keep DIR -- sleep infinity' \
		nsexec --pid=box/pid -- touch ran
	[ ! -e ran ]
	nsexec --forget box
}

@test "a kept PID namespace with --init: who joins it is reaped there, and it ends with the program" {
	start nsexec --keep box --pid --init --mount-proc -- sleeper 1000
	until_true has_child "$started"
	until_true has_child "$(child "$started")"
	slept=$(child "$(child "$started")")
	until_true runs_program "$slept" sleeper
	same "box/mnt mount alive 1 nsexec"$'\n'"box/pid pid alive 2 nsexec" "$(kept)"
	# The orphan of one that joined.
	nsexec --pid=box/pid --mount=box/mnt -- sh -c 'cd "$1" && (sleeper 0 & echo $! >orphan)' - "$PWD"
	orphan=$(<orphan)
	until_true gone_inside
	kill -TERM "$started"
	finish
	same "box/mnt mount alive 0 nsexec"$'\n'"box/pid pid dead 0 nsexec" "$(kept)"
	nsexec --forget box
}

# Whether the orphan of the test above has been reaped, and is not even a zombie.
gone_inside() {
	nsexec --pid=box/pid --mount=box/mnt -- test ! -e "/proc/$orphan"
}

@test "a directory that holds namespaces is refused, until they are forgotten" {
	nsexec --keep box --net -- true
	fails_with 125 "nsexec: --keep \"$PWD/box\": it holds namespaces already
nsexec: hint: nsexec --forget $PWD/box lets go of them" nsexec --keep box --uts -- touch ran
	[ ! -e ran ]
	nsexec --forget box
	nsexec --keep box --uts -- touch ran
	[ -e ran ]
	nsexec --forget box
}

@test "what fails half-way is undone: nothing is mounted, nothing is left in the directory" {
	# In the child's first steps; in its last one; beside it, on the second namespace.
	run -125 nsexec --keep box --net --mount-proc=nosuch -- true
	[ ! -e box ] || fail "first: $(ls box)"
	mkfifo ready go
	printf '#!/bin/sh\n' >prog
	chmod 755 prog
	start sh -c 'exec nsexec --keep box --net --ready-fd 5 --wait-fd 6 -- ./prog 6<go 5>ready 2>said'
	exec 8>go
	read -r _ <ready
	same "box/net net alive 1 nsexec" "$(kept)"
	rm prog
	exec 8>&-
	finish
	[ "$status" = 126 ] || fail "$status $(cat said)"
	[ ! -e box ] || fail "last: $(ls box)"
	# mount(2) of the parent: the directory on itself, private, one namespace, the other.
	run -125 strace -qq -o calls -e trace=mount -e inject=mount:error=EINVAL:when=4 \
		nsexec --keep box --net --uts -- touch ran
	[ "$(grep -c INJECTED calls)" = 1 ] || fail "$(cat calls)"
	[ ! -e box ] || fail "beside: $(ls box)"
	[ ! -e ran ]
	[ -z "$(mounts_below "$PWD")" ]
	# And when nothing fails it is there.
	nsexec --keep box --net --uts -- touch ran
	[ -e ran ]
	nsexec --forget box
}

@test "without root it is said why, and nothing is left; inside one's own mount namespace it works" {
	fails_with 125 "nsexec: mount(\"$PWD/box\", \"$PWD/box\", NULL, MS_BIND, NULL): Operation not permitted (EPERM)
nsexec: while: a mount of its own for what is to be mounted in it, with a propagation of its own
nsexec: hint: mounting takes root over this mount namespace: run it as root, or inside \`nsexec -r --mount\`, where names last as long as that" \
		as_nobody nsexec --keep box -r --net -- true
	[ ! -e box ]
	run -125 --separate-stderr -- as_nobody nsexec -r -- nsexec --keep box --uts -- true
	[[ $stderr == *'mounting takes root over this mount namespace: this root is one of a user namespace, run it outside, or inside `'* ]] || fail "$stderr"
	[ ! -e box ]
	as_nobody nsexec -r --mount -- sh -euc 'nsexec --keep box --uts --hostname kept -- true; nsexec --uts=box/uts -- hostname >name; nsexec --forget box'
	same kept "$(cat name)"
	[ ! -e box ]
}

@test "a /proc that shows another PID namespace is refused: its numbers are other processes" {
	fails_with 125 'nsexec: --keep: /proc does not show this process by its own number
nsexec: hint: it is that of another PID namespace: --mount-proc where this one was made' \
		nsexec --pid -- nsexec --keep box --net -- touch ran
	[ ! -e ran ]
	[ ! -e box ]
	nsexec --pid --mount-proc -- sh -euc 'nsexec --keep box --net -- true; nsexec --forget box'
}

@test "a kept mount namespace is younger than the one it is kept in, whatever processor that was made on" {
	mapfile -t all < <(processors)
	everywhere=$(IFS=, && echo "${all[*]}")
	export everywhere
	for first in "${all[@]}"; do
		for second in "${all[@]}"; do
			# The one is made on the first; nsexec starts on the second and may use every one.
			taskset --cpu-list "$first" unshare --mount taskset --cpu-list "$second" sh -euc '
				taskset --cpu-list --pid "$everywhere" $$ >/dev/null
				nsexec --keep box --mount -- true
				nsexec --mount=box/mnt -- true
				nsexec --forget box' || fail "from $first to $second"
			# Where it may not leave the second, it works, or says why it does not and leaves nothing.
			answer=0
			taskset --cpu-list "$first" unshare --mount taskset --cpu-list "$second" sh -uc '
				nsexec --keep box --mount -- true && nsexec --forget box' 2>said || answer=$?
			[ "$answer" = 0 ] || grep -q 'hint: a mount namespace is bound in an older one only' said || fail "$answer $(cat said)"
			[ ! -e box ] || fail "from $first to $second: it is left"
		done
	done
}

@test "where mounts are shared a namespace is kept all the same, and its mount goes to nobody else" {
	# Another mount namespace that gets every mount of this one.
	unshare --mount --propagation shared "$BASH" -euc '
		unshare --mount --propagation unchanged sh -c "touch held; exec sleeper 1000" 3>&- &
		until [ -e held ]; do sleep 0.02; done
		nsexec --keep box --mount --net -- true
		nsexec --mount=box/mnt -- true
		grep -c "$PWD/box/.* - nsfs" /proc/self/mountinfo
		grep -c "$PWD/box/.* - nsfs" /proc/$!/mountinfo || :
		nsexec --forget box
		[ ! -e box ]
		grep -c "$PWD/box" /proc/$!/mountinfo || :
		# Mounted without a directory like that it does go there.
		touch plain
		mount --bind /proc/self/ns/net plain
		grep -c "$PWD/plain .* - nsfs" /proc/$!/mountinfo
		kill -9 $!' >counts
	same "2 0 0 1" "$(xargs <counts)"
}

@test "the dry run keeps the same, and forgets the same" {
	cpu=$(processors | head -n 1)
	# What a namespace is and what it is mounted on; the mount namespace is one that this processor made, and so elder.
	probe='stat -c "%n %a %s %F" box box/*; findmnt --noheadings --output TARGET,PROPAGATION,FSROOT --list | grep "$PWD/box" | sed "s/:\[[0-9]*\]/:new/" | sort; nsexec --uts=box/uts -- hostname; nsexec --forget box; ls -d box || :'
	for options in '--uts --hostname kept' '--net --uts --hostname kept --pid' '--mount --uts --hostname kept --ipc' '--uts --hostname kept --cgroup --time --boottime 100'; do
		# shellcheck disable=SC2086 # a list of options
		nsexec --dry-run --keep box $options -- true >script
		taskset --cpu-list "$cpu" unshare --mount sh -c "sh -e script; $probe" >dryly 2>&1
		# shellcheck disable=SC2086
		taskset --cpu-list "$cpu" unshare --mount sh -c "nsexec --keep box $options -- true; $probe" >really 2>&1
		[ "$(grep -c nsfs really || :)" = 0 ]
		grep -qx kept really || fail "$options: $(cat really)"
		diff really dryly || fail "$options differ; the script: $(cat script)"
	done
	nsexec --keep box --net --uts -- true
	nsexec --dry-run --forget box >script
	same net$'\n'uts "$(ls box)"
	sh -e script
	[ ! -e box ]
	[ -z "$(mounts_below "$PWD")" ]
}

@test "the dry run changes nothing" {
	nsexec --dry-run --keep box --net -- true >script
	[ -s script ]
	[ ! -e box ]
}

# ---- clocks

# Prints the first number of an uptime, in whole seconds.
seconds_up() {
	cut -d. -f1 "${1-/proc/uptime}"
}

@test "--boottime: the machine seems to have been up for longer, or not so long; the caller's clock stands" {
	before=$(seconds_up)
	nsexec --time --boottime 100000 -- cat /proc/uptime >later
	nsexec --time --boottime=-1.5 -- cat /proc/uptime >sooner
	nsexec --time -- cat /proc/uptime >same
	after=$(seconds_up)
	[ "$(seconds_up later)" -ge $((before + 100000)) ]
	[ "$(seconds_up later)" -le $((after + 100000)) ]
	[ "$(seconds_up sooner)" -ge $((before - 2)) ]
	[ "$(seconds_up sooner)" -lt "$after" ]
	[ "$(seconds_up same)" -ge "$before" ]
	[ "$(seconds_up same)" -le "$after" ]
}

@test "--time: the offsets are those that were typed, to the nanosecond, and the program is in the new namespace" {
	run nsexec --time --boottime 0.000000001 --monotonic -0.25 -- sh -c 'cat /proc/self/timens_offsets; readlink /proc/self/ns/time'
	same "monotonic          -1 750000000" "${lines[0]}"
	same "boottime            0         1" "${lines[1]}"
	[ "${lines[2]}" != "$(namespace time)" ]
	[ "$(nsexec --uts -- readlink /proc/self/ns/time)" = "$(namespace time)" ]
	# Without a fork.
	[ "$(nsexec --time -- sh -c 'echo $PPID')" = "$BASHPID" ] || [ "$(nsexec --time -- sh -c 'echo $PPID')" != 1 ]
}

@test "--time with --pid, and with -r: born into the clocks that were set" {
	before=$(seconds_up)
	[ "$(nsexec --time --boottime 5000 --pid --mount-proc -- cat /proc/uptime | seconds_up -)" -ge $((before + 5000)) ]
	[ "$(as_nobody nsexec -r --time --boottime 5000 -- cat /proc/uptime | seconds_up -)" -ge $((before + 5000)) ]
	fails_with 125 'nsexec: unshare(CLONE_NEWTIME): Operation not permitted (EPERM)
nsexec: while: clocks of its own, with offsets to the host'"'"'s: for its children so far, not for itself
nsexec: hint: making namespaces takes root (CAP_SYS_ADMIN): run it as root, or add -r to be root in a user namespace' \
		as_nobody nsexec --time -- true
}

@test "--time=FILE and --time=PID join the clocks of others" {
	start nsexec --time --boottime 5000 -- sleeper 1000
	until_true runs_program "$started" sleeper
	before=$(seconds_up)
	for value in "$started" "/proc/$started/ns/time"; do
		[ "$(nsexec --time="$value" -- cat /proc/uptime | seconds_up -)" -ge $((before + 5000)) ] || fail "$value"
	done
	kill -9 "$started"
	finish
}

@test "clocks: what the kernel minds is said, and without --time nothing is shifted" {
	fails_with 125 'nsexec: write("/proc/self/timens_offsets", "boottime -9999999999 0"): Numerical result out of range (ERANGE)
nsexec: while: what it thinks how long ago the machine was switched on
nsexec: hint: the clock would stand before 0 or run over: it may go back no further than it has run (/proc/uptime), and at most 146 years ahead' \
		nsexec --time --boottime -9999999999 -- touch ran
	fails_with 125 'nsexec: --boottime and --monotonic set the clocks of a new time namespace
nsexec: hint: add --time; the clocks of one that has processes stand for ever' nsexec --net --monotonic 5 -- touch ran
	[ ! -e ran ]
}

@test "the dry run of clocks shows the same" {
	for options in '--time --boottime 100000 --monotonic -2' '--time --boottime 7 --pid --mount' '--time --net --uts --hostname box'; do
		# shellcheck disable=SC2086 # a list of options
		nsexec --dry-run $options -- cat /proc/self/timens_offsets >script
		# shellcheck disable=SC2086
		same "$(nsexec $options -- cat /proc/self/timens_offsets)" "$(sh -e script)" || fail "$options"
	done
	nsexec --dry-run --time --boottime 0.5 -- touch ran >script
	run -125 sh -e script
	[ ! -e ran ]
}
