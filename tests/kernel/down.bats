#!/usr/bin/env bats
# scripts/lab down: it ends and removes all that the lab made, and nothing else. Run by: tests/run kernel down

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load lab.bash

@test "down keeps the results unless --all is given, ends a benchmark first, and fails where it may not remove" {
	have_tree
	mkdir -p lab/bench scripts
	touch lab/report.pdf lab/bench/lock
	echo report.pdf >>lab/.lab
	# A benchmark that never ends.
	cp -a "$top/scripts/." scripts/
	mkdir target
	mount --bind "$top/target" target
	printf '#!/bin/sh\nwhile :; do sleep 0.2; done\n' >scripts/bench
	start scripts/bench --quick
	bench=$started
	until_true runs_program "$bench" bench
	mkdir lab/mounted
	mount -t tmpfs none lab/mounted
	run -1 --separate-stderr -- scripts/lab down
	[[ $output == *'NO: nothing is mounted below its directory: '* && $output == *'NO: none of its files is left: '* ]] || fail "$output"
	gone "$bench" || fail 'the benchmark goes on'
	[ -e lab/rootfs ]
	umount lab/mounted
	# Where no lab was made it is somebody's own.
	mv lab/.lab .
	start scripts/bench --quick
	until_true runs_program "$started" bench
	run -1 --separate-stderr -- scripts/lab down
	same "lab down: a benchmark works in $PWD/lab, process $started, and no lab was made there (it has no .lab): wait for its end, or end it: kill $started" "$stderr"
	runs_program "$started" bench
	mv .lab lab/
	kill "$started"
	finish
	umount target
	rmdir lab/mounted
	run -0 --separate-stderr -- lab down
	same $'bench\nreport.pdf' "$(ls lab)"
	run -0 lab down --all
	[ ! -e lab ]
}

@test "down removes only what the lab made: the rest it names and leaves, where no lab was and beside one, any number of times" {
	mkdir srv srv/rootfs srv/report
	echo mine | tee srv/rootfs/file srv/report/file srv/lab.log
	truncate -s 1M srv/disk.img
	disk=$(losetup --find --show srv/disk.img)
	run -1 --separate-stderr env LAB_DIR=srv "$top/scripts/lab" down --all
	[[ $output == *"NO: no loop device shows a file of it: $disk "* ]] || fail "$output"
	[ -n "$(losetup --associated srv/disk.img)" ]
	losetup --detach "$disk"
	for _ in 1 2; do
		run -0 --separate-stderr env LAB_DIR=srv "$top/scripts/lab" down --all
		same 'lab down: not made by the lab, as far as is known (there is no .lab), and left as it is: rootfs lab.log report' "${stderr_lines[0]}"
		[ "$(grep -c '^yes: ' <<<"$output")" = 8 ] || fail "$output"
		[ "$(sort -u srv/rootfs/file srv/report/file srv/lab.log)" = mine ]
	done
	# A tree of one's own is used, and stays.
	have_tree
	echo lab.img >lab/.lab
	echo mine >lab/report.pdf
	mkdir lab/bench
	without_descriptors "$top/scripts/lab" up --home 16M 2>/dev/null
	before=$(find lab/rootfs lab/bench lab/report.pdf | sort)
	run -0 --separate-stderr -- lab down --all
	[[ $stderr == *'lab down: not made by the lab, and left as it is: rootfs bench report.pdf'* ]] || fail "$stderr"
	same "$before" "$(find lab -mindepth 1 | sort)"
	run -0 --separate-stderr -- lab down --all
	[[ $stderr == *', and left as it is: rootfs bench report.pdf'* ]] || fail "$stderr"
	same "$before" "$(find lab -mindepth 1 | sort)"
	rm -r lab
}

@test "down, up: what is called as a killed verb's is theirs only where a lab was begun that makes such a thing" {
	mkdir srv srv/.rootfs.abcdef srv/.archive.backup srv/.lab-verify.abcdef
	touch srv/.lab.new srv/.lab.img.mkimg-1 srv/.lecture-io
	before=$(ls -A srv)
	run -0 --separate-stderr env LAB_DIR=srv "$top/scripts/lab" down --all
	[[ $stderr == *'srv stays, with '* ]] || fail "$stderr"
	same "$before" "$(ls -A srv)"
	# A tree that scripts/rootfs is making here, and somebody's copy.
	have_tree
	echo lab.img >lab/.lab
	mkdir lab/.rootfs.abcdef lab/.archive.backup
	run -0 lab up --tree-only
	same $'.archive.backup\n.lab\n.rootfs.abcdef\nlab.img\nrootfs' "$(ls -A lab)"
	# What up and archive noted is theirs: also the sign of it that up would forget.
	printf '%s\n' rootfs .archive.abcdef >>lab/.lab
	mv lab/rootfs mine
	mkdir lab/.archive.abcdef lab/bench
	LAB_DIR=$PWD/lab sh -c 'here=$1/scripts verb=x; . "$here/lab.d/place.sh"; forget' sh "$top"
	same $'lab.img\nrootfs\n.archive.abcdef' "$(cat lab/.lab)"
	mv mine lab/rootfs
	run -0 lab up --tree-only
	same $'.archive.abcdef\n.archive.backup\n.lab\nbench\nlab.img\nrootfs' "$(ls -A lab)"
	run -0 lab down
	same $'.archive.backup\nbench' "$(ls -A lab)"
}

@test "down, where nothing is and the tools are not built, builds nothing; where something is, it must" {
	mkdir mine fakes
	cp -r "$top/scripts" "$top/Cargo.toml" mine/
	for tool in cgset vethup nsexec pivot mkimg; do
		mkdir "mine/$tool"
		touch "mine/$tool/Cargo.toml"
	done
	for program in cargo rustc; do
		printf '#!/bin/sh\n[ "$1" != --version ] || { echo "%s 99.0.0"; exit; }\ntouch %s/built\nexit 1\n' "$program" "$PWD" >"fakes/$program"
		chmod 755 "fakes/$program"
	done
	PATH=$PWD/fakes:$PATH
	mkdir lab
	run -0 --separate-stderr -- mine/scripts/lab down
	[ "$(grep -c '^yes: ' <<<"$output")" = 8 ] && [ -z "$stderr" ] || fail "$output$stderr"
	[ ! -e built ]
	# It is no lab's.
	rmdir lab
	cgset --pids 9 "$LAB_NAME"
	run -1 mine/scripts/lab down
	[ -e built ] || fail "$output"
	cgset --remove "$LAB_NAME"
}

@test "down, where .lab is gone: a container that runs is ended, with its network; every file stays, and is named" {
	have_tree
	up 2>/dev/null
	rm lab/.lab
	before=$(ls -A lab)
	run -0 --separate-stderr -- lab down
	[[ $stderr == *'lab down: not made by the lab, as far as is known (there is no .lab), and left as it is: rootfs lab.img home.img lab.log'* ]] || fail "$stderr"
	[ "$(grep -c '^yes: ' <<<"$output")" = 8 ] || fail "$output"
	same "$before" "$(ls -A lab)"
	[ -z "$(lab_pid)" ]
	[ -z "$(directories)" ]
	same '' "$(ip -o link show type bridge)$(nft list ruleset)"
	# Once more: nothing to do.
	run -0 --separate-stderr -- lab down
	[[ $stderr == *'and left as it is: rootfs lab.img home.img lab.log'* ]] || fail "$stderr"
	same "$before" "$(ls -A lab)"
	rm -r lab
}

@test "down finds what a killed container has left" {
	have_tree
	up 2>/dev/null
	# Its network goes late, as it may.
	start sh -c 'exec sleep 1 <"/proc/$0/ns/net"' "$(lab_pid)"
	until_true runs_program "$started" sleep
	# The one that waits, and with it all of the container; its group stays.
	kill -9 "$(parent "$(parent "$(lab_pid)")")"
	until_true has_ended
	[ -n "$(directories)" ]
	run -0 --separate-stderr -- lab down
	[[ $stderr != *'the bridge stays'* ]] || fail "$stderr"
	[ -z "$(directories)" ] && [ -z "$(ip -o link show type bridge)$(nft list ruleset)" ]
}

@test "down, where others have cables, too: theirs stay and are named; what killed verbs have left goes; a quote is a letter, and so is a blank" {
	export LAB_DIR=$PWD/"it's mine"
	have_tree
	mv lab "$LAB_DIR"
	up 2>/dev/null
	start vethup --nat -- nsexec --pid -- sleeper 1000
	until_true pgrep -x sleeper
	mkdir "$LAB_DIR/.lab-verify.abcdef" "$LAB_DIR/.rootfs.abcdef"
	touch "$LAB_DIR/.lab-verify.abcdef/copy.img" "$LAB_DIR/.lab.img.mkimg-1" "$LAB_DIR/.lecture-io"
	cgset --pids 9 "$LAB_NAME-verify-1-hog"
	cgset --pids 9 "$LAB_NAME-other"
	run -0 --separate-stderr -- lab down
	[[ $stderr == *'the bridge stays: other containers are in it: bx0a620003 '* ]] || fail "$stderr"
	[ "$(grep -c '^yes: ' <<<"$output")" = 8 ] || fail "$output"
	[ "$(grep -c '; others have theirs: bx0a620003 10.98.0.3 ' <<<"$output")" = 2 ] || fail "$output"
	[ ! -e "$LAB_DIR" ]
	same "$LAB_NAME-other" "$(directories | sed 's|.*/||' | sort -u)"
	cgset --remove "$LAB_NAME-other"
	kill "$started"
	finish
	# What cannot be removed is seen, and what is mounted in it, of the same file system, stays.
	mkdir precious "$LAB_DIR" "$LAB_DIR/.lab-verify.abcdef"
	echo lab.img >"$LAB_DIR/.lab"
	touch precious/file
	mount --bind precious "$LAB_DIR/.lab-verify.abcdef"
	run -1 --separate-stderr -- lab down
	[ -e precious/file ]
	[[ $output == *"NO: nothing is mounted below its directory: $LAB_DIR/.lab-verify.abcdef"* ]] || fail "$output"
	[[ $output == *"NO: none of its files is left: $LAB_DIR/.lab-verify.abcdef"* ]] || fail "$output"
	umount "$LAB_DIR/.lab-verify.abcdef"
}

@test "down removes a killed benchmark's groups by what bench has noted, and takes nothing else for a note" {
	local tree noted work
	tree=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2\{0,1\} .*/\1/p' /proc/self/mountinfo | grep -v cpuset | head -n 1)
	# Groups are in no namespace, and another test may have the same PID in its own.
	noted=bench-4194304-$(date +%s%N)
	# A file of one's own, where no bench was.
	mkdir -p lab/bench "$tree/$noted"
	printf '%s\n' "$noted" mine >lab/bench/groups
	run -0 lab down --all
	same groups "$(ls -A lab/bench)"
	same "$noted"$'\nmine' "$(cat lab/bench/groups)"
	# Where one was: what another user has written, or a link to what is elsewhere.
	touch lab/bench/lock
	mv lab/bench/groups elsewhere
	ln -s "$PWD/elsewhere" lab/bench/groups
	run -0 lab down
	rm lab/bench/groups
	cp elsewhere lab/bench/groups
	chown nobody lab/bench/groups
	run -0 lab down
	[ -d "$tree/$noted" ]
	rm lab/bench/groups
	# A name in a copy of the directory of one that is at work, here a play of it.
	mkdir play
	printf '#!/bin/sh\nwhile :; do sleep 0.2; done\n' >play/bench
	chmod 755 play/bench
	start play/bench inside
	until_true runs_program "$started" bench
	work=bench-$started-$(date +%s%N)
	mkdir "$tree/$work"
	echo "$work" >lab/bench/groups
	run -0 lab down
	[ -d "$tree/$work" ]
	[ -s lab/bench/groups ]
	kill "$started"
	finish
	run -0 lab down
	[ ! -d "$tree/$work" ]
	[ ! -e lab/bench/groups ]
	# While somebody has the lock nothing is done.
	cp elsewhere lab/bench/groups
	start flock lab/bench/lock sleeper 1000
	until_true has_child "$started"
	run -1 --separate-stderr -- lab down --all
	same "lab down: a benchmark that was not started for this lab works in $PWD/lab/bench: wait for its end, or end it first" "$stderr"
	[ -d "$tree/$noted" ]
	kill -9 "$(child "$started")" "$started"
	finish
	until_true flock --nonblock lab/bench/lock true
	# What cannot be removed is seen, and its note kept.
	mount -t tmpfs none "$tree/$noted"
	run -1 --separate-stderr -- lab down --all
	[[ $output == *"NO: no control group is called after it, and none of its benchmark is left: $tree/$noted"* ]] || fail "$output"
	umount "$tree/$noted"
	run -0 lab down
	[ ! -d "$tree/$noted" ]
	same mine "$(cat lab/bench/groups)"
}

@test "down leaves who is in a control group of its name and is no container's, and all such groups where no lab was made" {
	start cgset --pids 9 "$LAB_NAME" -- sleeper 1000
	until_true pgrep -x sleeper
	cgset --pids 9 "$LAB_NAME-verify-1"
	mkdir lab
	before=$(directories)
	run -1 --separate-stderr -- lab down
	[[ $output == *'NO: no process of the lab runs: '*'NO: no control group is called after it, '*"/$LAB_NAME-verify-1"* ]] || fail "$output"
	same "$before" "$(directories)"
	pgrep -x sleeper
	echo lab.img >lab/.lab
	run -1 --separate-stderr -- lab down
	[[ $output == *'NO: no control group is called after it, '* && $output != *-verify-1* ]] || fail "$output"
	same "$LAB_NAME" "$(directories | sed 's|.*/||' | sort -u)"
	pgrep -x sleeper
	kill "$(pgrep -x sleeper)"
	finish
	run -0 --separate-stderr -- lab down
	same '' "$(directories)"
}

has_ended() {
	[ -z "$(lab_pid)" ]
}
