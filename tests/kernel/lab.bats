#!/usr/bin/env bats
# scripts/lab on a small tree of one busybox: up, show, doctor, and what an interruption leaves. Run by: tests/run kernel lab

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load lab.bash

# ---- up and down

@test "up: from nothing to a container that runs; down: nothing is left, and that is proved" {
	run -0 --separate-stderr -- up
	same '' "$output"
	steps=$(grep -oE '^== (step [1-5] of 5|a root file system|its image|it runs)' <<<"$stderr")
	same $'== a root file system\n== its image\n== step 1 of 5\n== step 2 of 5\n== step 3 of 5\n== step 4 of 5\n== step 5 of 5\n== it runs' "$steps"
	# Explained, each link of the chain.
	[ "$(grep -oE '^(mkimg|cgset|vethup|nsexec|pivot) 1/' <<<"$stderr" | cut -d' ' -f1 | sort -u | xargs)" = 'cgset mkimg nsexec pivot vethup' ] || fail "$stderr"
	same $'home.img\nlab.img\nlab.log\nrootfs' "$(ls lab)"
	[ "$(inside cat /home/note)" = 'made in the guest' ]
	[ ! -e /home/note ]
	[ ! -e lab/rootfs/home/note ]
	[[ $(inside cat /proc/mounts) == *' /home ext4 '* ]]
	[ "$(stat -c %b lab/home.img)" -ge 30000 ] || fail 'its zeros were not written'
	run -0 --separate-stderr -- lab down
	[ "$(grep -c '^yes: ' <<<"$output")" = 8 ] && [ "${#lines[@]}" = 8 ] || fail "$output"
	[ ! -e lab ]
	[ -z "$(directories)" ]
	[ -z "$(ip -o link show type bridge)$(nft list ruleset)" ]
	run -0 lab down
	[ "$(grep -c '^yes: ' <<<"$output")" = 8 ] || fail "$output"
}

@test "up, again: what is there is used as it is; limits for a container that runs already are said to be too late" {
	have_tree
	up --cpus 0.3 --memory 96M 2>/dev/null
	before=$(stat -c '%i %n' lab/* && lab_pid)
	run -0 --separate-stderr -- up
	same "$before" "$(stat -c '%i %n' lab/* && lab_pid)"
	[[ $stderr != *careful* ]] || fail "$stderr"
	# 96M is what mkimg makes of so much.
	run -0 --separate-stderr -- up --size 98303.5K
	[[ $stderr != *careful* ]] || fail "$stderr"
	run -0 --separate-stderr -- up --size 97M --home 17M
	same "$before" "$(stat -c '%i %n' lab/* && lab_pid)"
	for option in size home; do
		[[ $stderr == *"careful: --$option is for a new one: LAB_NAME=$LAB_NAME $top/scripts/lab down first"* ]] || fail "$stderr"
	done
	run -0 --separate-stderr -- up --memory 1G
	[[ $stderr == *"careful: --memory, --cpus and --pids are for a new one: LAB_NAME=$LAB_NAME $top/scripts/lab down first"* ]] || fail "$stderr"
	run -0 "$BOXUTILS_BIN/cgset" --stat "$LAB_NAME"
	[[ $output == *'memory.max_bytes       100663296'* && $output == *'cpu.quota_usec         30000'* ]] || fail "$output"
	# The image keeps what the container wrote.
	inside sh -c 'echo kept >/note'
	"$top/scripts/container" stop "$LAB_NAME"
	up 2>/dev/null
	[ "$(inside cat /note)" = kept ]
}

@test "up: a limit that is none is refused before anything is made" {
	for words in '--memory 5X' '--cpus many' '--pids few'; do
		# shellcheck disable=SC2086 # words
		run -1 --separate-stderr -- up $words
		[[ $stderr == "cgset: $words: "* ]] || fail "$stderr"
		[ ! -e lab ]
	done
}

@test "up --tree-only: the tree and nothing else, and no container" {
	run -0 up --tree-only
	[ "$(ls lab)" = rootfs ]
	[ -x lab/rootfs/bin/sh ]
	[ -z "$(directories)" ]
	lab down >/dev/null
	[ ! -e lab ]
}

@test "up, interrupted at any moment, ends with all it began and goes on when it is started again; killed, too" {
	for round in $(seq "$((ROUNDS < 10 ? ROUNDS : 10))"); do
		signal=TERM
		[ $((round % 2)) = 0 ] || signal=KILL
		start "$top/scripts/lab" up --tree busybox --size 96M --home 16M >said 2>&1
		sleep "$((RANDOM % 2)).$((RANDOM % 10))"
		kill "-$signal" "$started" 2>/dev/null || :
		finish
		case $signal:$status in TERM:143 | KILL:137 | *:0) ;; *) fail "$signal: status $status: $(cat said)" ;; esac
		[ "$signal" = KILL ] || [ -z "$(find lab -maxdepth 1 -name '.*' ! -name .lab -o -maxdepth 1 -name '*.part' 2>/dev/null)" ] || fail "round $round: $(ls -A lab)"
		until_true only_the_container || fail "round $round, $signal: $(ps ax)"
	done
	up 2>said || fail "$(cat said)"
	same $'home.img\nlab.img\nlab.log\nrootfs' "$(ls lab)"
	[ "$(inside cat /home/note)" = 'made in the guest' ]
	run -0 lab down
}

@test "up, when nobody reads any more what it says: no half of a file system in a file stays, nor its loop device" {
	have_tree
	mkdir fakes
	# It comes back when the reader has gone.
	printf '#!/bin/sh\nuntil [ -e gone ]; do sleep 0.05; done\nexec %s "$@"\n' "$(command -v mkfs.ext4)" >fakes/mkfs.ext4
	chmod 755 fakes/mkfs.ext4
	status=0
	PATH=$PWD/fakes:$PATH up 2> >(sed '/step 3 of 5/q' >said; exec <&-; : >gone) || status=$?
	[ "$status" = 141 ] || fail "status $status"
	[[ $(cat said) == *'step 3 of 5'* ]]
	same $'lab.img\nrootfs' "$(ls lab)"
	no_loop_left
	rm -r fakes
	up 2>said || fail "$(cat said)"
	[ -e lab/home.img ]
}

# Nothing runs but a whole container, if that.
only_the_container() {
	local process
	for process in $(processes_left); do
		case $(program "$process") in
		cgset | nsexec | sh | sleep | tee) ;;
		*) return 1 ;;
		esac
	done
	! pgrep -f "$top/scripts/lab" >/dev/null
}

@test "what would be overwritten is refused by name; what is in nobody's way stays, and so does the directory then" {
	mkdir -p lab/rootfs
	echo mine >lab/rootfs/file
	run -1 up
	[[ $output == *"lab/rootfs is there and is no root file system: move it away"* ]] || fail "$output"
	rm -r lab
	have_tree
	echo mine >lab/home.img
	echo mine >lab/notes.txt
	run -1 up
	[[ $output == *"lab/home.img is there and is no image: move it away"* ]] || fail "$output"
	[ "$(cat lab/home.img)" = mine ]
	rm lab/home.img
	up 2>/dev/null
	run -0 --separate-stderr -- lab down
	[[ $stderr == *'lab stays, with notes.txt'* ]] || fail "$stderr"
	[ "$(ls -A lab)" = notes.txt ]
}

@test "up --tree: a tree that is there and of something else is refused, whoever made it; without --tree it is used" {
	have_tree
	run -1 --separate-stderr -- lab up --tree host
	same "lab up: $PWD/lab/rootfs is there and is of busybox: leave --tree host out to use it; LAB_NAME=$LAB_NAME $top/scripts/lab down removes it, LAB_DIR names another directory" "$stderr"
	same $'lab.img\nrootfs' "$(ls lab)"
	run -0 lab up --tree-only --tree busybox
	rm lab/.lab
	run -1 --separate-stderr -- lab up --tree busybox
	same "lab up: $PWD/lab/rootfs is there and no lab up made it: leave --tree busybox out to use it, or move it away" "$stderr"
	run -0 --separate-stderr -- lab up --tree-only
	same 'lab up: the tree is there: lab/rootfs' "$stderr"
}

@test "report, archive: where nothing can be written that is said, with the cure" {
	mkdir lab
	mount -t tmpfs none lab
	mkdir lab/bench
	echo '%PDF-1.7' >lab/report.pdf
	mount -o remount,ro lab
	run -1 lab report
	same "lab report: $PWD/lab cannot be written to: name another directory in LAB_DIR" "$output"
	run -1 lab archive
	same "lab archive: $PWD/lab: nothing can be made there (Read-only file system): --output names another place" "$output"
	run -0 lab archive --output lab.zip
	[ "$(unzip -Z1 lab.zip boxutils-lab/lab/report.pdf)" = boxutils-lab/lab/report.pdf ]
	[ -z "$(find . -name '.archive.*')" ]
	umount lab
}

@test "one at a time: while one holds the lab another up or down is refused, and says so" {
	have_tree
	start flock lab sleep 1000
	until_true has_child "$started"
	for verb in up down; do
		run -1 --separate-stderr -- lab "$verb"
		[[ $stderr == *"another lab up, lab down, lab report or lab archive is at work in $PWD/lab"* ]] || fail "$stderr"
	done
	[ -e lab/lab.img ]
	kill "$(child "$started")"
	finish
}

@test "a container of that name whose image is another's is not the lab's: neither written to nor ended" {
	have_tree
	cp --sparse=always lab/lab.img other.img
	without_descriptors "$top/scripts/container" run --detach --log other.log --no-net --name "$LAB_NAME" other.img sleep 1000
	for verb in up down; do
		run -1 --separate-stderr -- lab "$verb"
		[[ $stderr == *"a container called $LAB_NAME runs, and it is not this lab's: its image is $PWD/other.img; "*LAB_NAME* ]] || fail "$verb: $stderr"
	done
	run -1 lab show
	run -0 inside ls /home
	[[ $output != *note* ]]
	[ -e lab/lab.img ]
	"$top/scripts/container" stop --time 0 "$LAB_NAME"
	lab down >/dev/null
	[ ! -e lab/lab.img ]
}

# ---- show

@test "show: host and container in two columns, from the same commands; topics by themselves" {
	have_tree
	run -1 lab show
	[[ $output == *"the container $LAB_NAME does not run: LAB_NAME=$LAB_NAME $top/scripts/lab up" ]] || fail "$output"
	up 2>/dev/null
	run -0 --separate-stderr -- lab show --width 160
	[ -z "$stderr" ]
	for topic in ps mounts address routes nft sockets hostname id cgroup namespaces numbers; do
		grep -qx "== $topic" <<<"$output" || fail "no $topic: $output"
	done
	[ -z "$(awk 'length($0) > 160' <<<"$output")" ]
	grep -qE "^world +\| $LAB_NAME\$" <<<"$output" || fail "$output"
	grep -qE '\| eth0@.* 10\.98\.0\.[0-9]+/16' <<<"$output" || fail "$output"
	grep -qE '\| +1 +0 100000 ' <<<"$output" || fail "$output"
	grep -qE '^/ .*\| / ext4 /dev/loop' <<<"$output" || fail "$output"
	run -0 lab show namespaces
	pair=$(sed -n 's/^\(net:[^ ]*\) *| \(net:.*\)/\1 \2/p' <<<"$output")
	[ "${pair% *}" = "$(readlink /proc/self/ns/net)" ] && [ "${pair#* }" = "$(readlink "/proc/$(lab_pid)/ns/net")" ] || fail "$output"
	[[ $output != *'== ps'* ]] || fail "$output"
	# Another container.
	start nsexec --uts --hostname other -- sleep 1000
	until_true runs_program "$started" sleep
	run -0 lab show --pid "$started" hostname
	grep -qE '^world +\| other$' <<<"$output" || fail "$output"
	kill "$started"
	finish
	run -1 lab show moon
	[[ $output == *'there is no topic moon'* ]]
}

# ---- doctor

@test "doctor: every step can be done here; what is missing is named with the command that mends it" {
	# How much room there is is the machine's affair.
	mkdir fakes
	printf '#!/bin/sh\necho Avail\necho 9999\n' >fakes/df
	chmod 755 fakes/df
	PATH=$PWD/fakes:$PATH
	run -0 --separate-stderr -- lab doctor
	[ -z "$stderr" ]
	[ "$(grep -cE '^(up|show|verify|bench|report|archive) +yes' <<<"$output")" = 6 ] || fail "$output"
	grep -qE '^nf_tables +yes' <<<"$output"
	grep -qE "^show +yes, after LAB_NAME=$LAB_NAME $top/scripts/lab up" <<<"$output" || fail "$output"
	# Without control groups, and then without loop devices.
	run -1 nsexec --mount -- sh -c 'umount --lazy --recursive /sys/fs/cgroup; exec "$@"' sh "$top/scripts/lab" doctor
	grep -qE '^up +no: mount -t cgroup2 cgroup2 /sys/fs/cgroup$' <<<"$output" || fail "$output"
	run -1 nsexec --mount -- sh -c 'mkdir dev; mount -t tmpfs none dev; touch dev/null; mount --bind /dev/null dev/null; mount --move dev /dev; exec "$@"' sh "$top/scripts/lab" doctor
	grep -qE '^up +no: modprobe loop$' <<<"$output" || fail "$output"
	[ -z "$(ip -o link show type bridge)" ]
}
