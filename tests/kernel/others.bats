#!/usr/bin/env bats
# What others have made and done, and cgset has to bear or to leave alone. Run by: tests/run kernel others

# lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2030,SC2031,SC2154

load lib.bash
load groups.bash

@test "a mount point whose name is no UTF-8 hides no hierarchy" {
	mkdir "$PWD/"$'odd\xff'
	mount -t tmpfs none "$PWD/"$'odd\xff'
	cgset --pids 7 "$group"
	cgset --remove "$group"
	run -125 --separate-stderr cgset --io "$PWD/"$'odd\xff:wbps=4M' "$group"
	umount "$PWD/"$'odd\xff'
	[[ $stderr == *'is on tmpfs, whose number is no disk'* ]] || fail "$stderr"
}

@test "--hierarchy --remove: not a mount that somebody else made of a hierarchy of cgset's, nor the last one" {
	cgset --hierarchy "name=$group" ours
	mkdir theirs
	mount -t cgroup -o "none,name=$group" none theirs
	said="cgset: \"$PWD/theirs\": this mount of it is not of cgset's making
cgset: hint: only what cgset mounted is taken away by it; umount(8) unmounts any, if its groups were removed"
	refuses "$said" --hierarchy "name=$group" --remove theirs
	mountpoint -q theirs
	cgset --hierarchy "name=$group" --remove ours
	refuses "$said" --hierarchy "name=$group" --remove theirs
	umount theirs
	until_true is_no_hierarchy "$group"
}

is_no_hierarchy() {
	! grep -q ":name=$1:" /proc/self/cgroup
}

@test "a group around it that somebody makes just now, and that has no CPU yet, is waited for" {
	! is_two cpuset || return 0 # there a group without CPUs has those around it
	around=$(place cpuset)
	mkdir "$around"
	(sleep 0.1 && cat "$around/../cpuset.mems" >"$around/cpuset.mems" && cat "$around/../cpuset.cpus" >"$around/cpuset.cpus") &
	cgset --cpuset 0 "$group/in"
	wait $!
	[ "$(cat "$around/in/cpuset.cpus")" = 0 ]
	cgset --remove "$group/in"
	rmdir "$around"
	# Not for ever.
	mkdir "$around"
	run -125 cgset --cpuset 0 "$group/in"
	rmdir "$around"
}
