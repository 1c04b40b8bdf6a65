#!/usr/bin/env bats
# The four rules of control groups, and hierarchies that come and go: cgset --hierarchy. Run by: tests/run kernel hierarchy
# net_cls and net_prio are the machine's, whoever mounts them and in whichever namespace: a lock is held meanwhile.

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

setup() {
	setup_group
	lock_net_cls
}

teardown() {
	teardown_group
	local answer=$? at
	for at in "$PWD"/other "$PWD"/net; do
		! grep -q " $at .* - cgroup " /proc/self/mountinfo || umount "$at"
	done
	free_net_cls || answer=1
	return "$answer"
}

# Mounts the hierarchy of the two, where the helpers of this file look for groups as well.
mount_net() {
	cgset --hierarchy net_cls,net_prio net
	mounts="$mounts $PWD/net"
}

@test "rule 1: a hierarchy can carry several controllers, and each group in it has the files of all" {
	[ -z "$(group_of self net_cls)" ]
	mount_net
	[ "$(sed -n 's/^[0-9]*:\(.*net_cls.*\):.*/\1/p' /proc/self/cgroup)" = net_cls,net_prio ]
	cgset "$group" net_cls.classid=0x100001 net_prio.ifpriomap='lo 5'
	[ "$(cat "net/$group/net_cls.classid")" = $((0x100001)) ]
	grep -qx 'lo 5' "net/$group/net_prio.ifpriomap"
	# Those that were not asked for are not in it.
	[ -z "$(find net -name 'memory.*' -o -name 'cpu.*' -o -name 'pids.*')" ]
	# The same again is fine, and so is the same at another place, which is the same hierarchy.
	cgset --hierarchy net_prio,net_cls net
	cgset --hierarchy net_cls,net_prio other
	[ -d "other/$group" ]
	cgset --hierarchy net_cls,net_prio --remove other
	[ ! -e other ]
	[ -d "net/$group" ]
	cgset --remove "$group"
	cgset --hierarchy net_cls,net_prio --remove net
	is_free net_cls
	is_free net_prio
	[ ! -e net ]
	cgset --hierarchy net_cls,net_prio --remove net
}

@test "rule 2: a controller is on one hierarchy only; EBUSY is told with what is in the way, and alone it is had when that is gone" {
	rule='a controller is on one hierarchy only, with those it was first mounted with'
	mount_net
	for one in net_cls net_prio; do
		run -125 --separate-stderr -- cgset --hierarchy "$one" other
		[[ $stderr == "cgset: mount(\"boxutils\", \"$PWD/other\", \"cgroup\", MS_NOSUID|MS_NODEV|MS_NOEXEC, \"$one\"): Device or resource busy (EBUSY)
cgset: while: "*"
cgset: hint: $rule: $one is on one with net_"*", mounted at \"$PWD/net\"" ]] || fail "$stderr"
		[ ! -e other ]
	done
	# The kernel says so to everybody.
	mkdir other
	run ! mount -t cgroup -o net_cls none other
	rmdir other
	# Two that are each on one of their own, or in use in version 2.
	run -125 --separate-stderr -- cgset --hierarchy cpu,memory other
	[[ $stderr == *'"cpu,memory"): Device or resource busy (EBUSY)'*"hint: $rule: "* ]] || fail "$stderr"
	[ ! -e other ]
	cgset --hierarchy net_cls,net_prio --remove net
	cgset --hierarchy net_cls other
	[ "$(group_of self net_cls)" = / ]
	[ -z "$(group_of self net_prio)" ]
	cgset --hierarchy net_cls --remove other
}

@test "rule 3: in a new hierarchy every task starts in the root, whatever group of another it is in" {
	cgset "$group"
	start sleeper 1000
	cgset --move "$started" "$group"
	[ "$(counted_in "$started")" = "/$group" ]
	mapfile -t tasks < <(printf '%s\n' /proc/[0-9]*/task/[0-9]*)
	mount_net
	[ "$(group_of "$started" net_cls)" = / ]
	[ "$(counted_in "$started")" = "/$group" ]
	[ -z "$(find net -mindepth 1 -type d)" ]
	for task in "${tasks[@]}"; do
		grep -qx "${task##*/}" net/tasks || [ ! -e "$task" ] || gone "${task##*/}" || fail "$task is not in the root"
	done
	# Who is moved is not in the root any more: the list above can say no.
	cgset "$group" net_cls.classid=1
	cgset --move "$started" "$group"
	run ! grep -qx "$started" net/tasks
	grep -qx "$started" "net/$group/tasks"
	kill "$started"
	finish
	cgset --remove "$group"
	cgset --hierarchy net_cls,net_prio --remove net
}

@test "rule 4: a forked child starts in its parent's groups, and is moved on its own" {
	mount_net
	cgset "$group/a" net_cls.classid=1
	cgset "$group/b" net_cls.classid=2
	start cgset "$group/a" -- sh -c 'sleeper 1000 & sleeper 2000 & wait; true'
	until_true has_two_children
	read -r child sibling _ <"/proc/$started/task/$started/children" || :
	until_true runs_program "$child" sleeper
	same "$(cat "/proc/$started/cgroup")" "$(cat "/proc/$child/cgroup")"
	[ "$(group_of "$child" net_cls) $(counted_in "$child")" = "/$group/a /$group/a" ]
	cgset --move "$child" "$group/b"
	[ "$(group_of "$child" net_cls) $(counted_in "$child")" = "/$group/b /$group/b" ]
	for other in "$started" "$sibling"; do
		[ "$(group_of "$other" net_cls) $(counted_in "$other")" = "/$group/a /$group/a" ] || fail "$other moved"
	done
	# In one hierarchy alone, the others stay as they are.
	echo "$child" >"net/$group/a/cgroup.procs"
	[ "$(group_of "$child" net_cls) $(counted_in "$child")" = "/$group/a /$group/b" ]
	cgset --kill "$group/a"
	cgset --kill "$group/b"
	finish
	cgset --remove "$group/a"
	cgset --remove "$group/b"
	cgset --hierarchy net_cls,net_prio --remove net
}

has_two_children() {
	[ "$(wc -w <"/proc/$started/task/$started/children")" = 2 ]
}

@test "every process stands once in each hierarchy, a new one too" {
	mount_net
	cgset "$group" net_cls.classid=1
	start cgset "$group" -- sleeper 1000
	until_true runs_program "$started" sleeper
	cgset --tree --json >tree
	for hierarchy in net_cls,net_prio "$(is_two pids && echo unified || echo pids)"; do
		sed -n "s/^\[\{0,1\}{\"hierarchy\":\"$hierarchy\",.*\"procs\":\[\([0-9,]*\)\].*/\1/p" tree | tr , '\n' | sed /^$/d >procs
		[ -z "$(sort procs | uniq -d)" ] || fail "twice in $hierarchy: $(sort procs | uniq -d | xargs)"
		for process in $$ 1 "$started"; do
			grep -qx "$process" procs || fail "$process is nowhere in $hierarchy: $(cat tree)"
		done
		[ "$(grep "^\[\{0,1\}{\"hierarchy\":\"$hierarchy\",\"group\":\"/$group\"" tree | grep -c "\[$started\]")" = 1 ] || fail "$(cat tree)"
	done
	cgset --kill "$group"
	finish
	cgset --remove "$group"
	cgset --hierarchy net_cls,net_prio --remove net
}

@test "--remove: not while a process or anybody else's group is in it, not what cgset did not mount, nor another one" {
	mount_net
	cgset "$group/inner" net_cls.classid=1
	start cgset "$group/inner" -- sleeper 1000
	until_true runs_program "$started" sleeper
	refuses "cgset: \"$PWD/net\": in its group \"$group/inner\" are these processes: $started
cgset: hint: end them, cgset --kill GROUP, or move them out" --hierarchy net_cls,net_prio --remove net
	cgset --kill "$group/inner"
	finish
	mkdir "net/$group/alien"
	refuses "cgset: \"$PWD/net\": its group \"$group/alien\" is not of cgset's making
cgset: hint: rmdir removes any group; then the hierarchy can go" --hierarchy net_cls,net_prio --remove net
	rmdir "net/$group/alien"
	refuses "cgset: \"$PWD/net\": the hierarchy there carries net_cls,net_prio
cgset: hint: say so: cgset --hierarchy net_cls,net_prio --remove DIR" --hierarchy net_cls --remove net
	# The groups of cgset's in it go with it; those of the same name elsewhere stay.
	cgset --hierarchy net_cls,net_prio --remove net
	is_free net_cls
	[ -d "$(place pids "$group/inner")" ]
	cgset --remove "$group/inner"
	# What somebody else mounted.
	mkdir net
	mount -t cgroup -o net_cls,net_prio none net
	refuses "cgset: \"$PWD/net\": this hierarchy is not of cgset's making
cgset: hint: only what cgset mounted is taken away by it; umount(8) unmounts any, if its groups were removed" --hierarchy net_cls,net_prio --remove net
	umount net
	until_true is_free net_cls
	refuses "cgset: \"/proc\": proc is mounted there, and no hierarchy of version 1
cgset: hint: umount(8) unmounts anything" --hierarchy net_cls --remove /proc
	# A directory that was there before is not the hierarchy's, and stays.
	cgset --hierarchy net_cls net
	cgset --hierarchy net_cls --remove net
	[ -d net ]
}

@test "a hierarchy that was unmounted with a group in it is found again, and then goes" {
	mount_net
	cgset "$group" net_cls.classid=1
	umount net
	run ! is_free net_cls
	run -125 --separate-stderr -- cgset --hierarchy net_cls other
	[[ $stderr == *'EBUSY'*'net_cls is on one with net_prio, mounted nowhere that is seen from here' ]] || fail "$stderr"
	cgset --hierarchy net_cls,net_prio net
	[ -d "net/$group" ]
	cgset --hierarchy net_cls,net_prio --remove net
	is_free net_cls
	cgset --remove "$group"
}

@test "a hierarchy with a name and no controller: rules 3 and 4 without any" {
	cgset --hierarchy "name=$group" other
	mounts="$mounts $PWD/other"
	[ "$(group_of self "name=$group")" = / ]
	mkdir "other/$group"
	start sleeper 1000
	cgset --move "$started" "$group"
	[ "$(group_of "$started" "name=$group")" = "/$group" ]
	[ "$(group_of self "name=$group")" = / ]
	cgset --tree "$group" | grep -q "^name=$group (version 1, $PWD/other)"
	kill "$started"
	finish
	rmdir "other/$group"
	cgset --hierarchy "name=$group" --remove other
	[ -z "$(group_of self "name=$group")" ]
}

@test "what is no controller, no empty directory or not allowed: told why, and nothing is left" {
	refuses 'cgset: --hierarchy ns: no controller of this kernel
cgset: hint: ns left Linux in 3.0: it tied a group to a namespace; nsexec makes namespaces by themselves' --hierarchy ns other
	refuses 'cgset: --hierarchy io: no controller of version 1
cgset: hint: there it is called blkio' --hierarchy io other
	mkdir full
	: >full/file
	refuses "cgset: \"$PWD/full\": not empty
cgset: hint: what is in it would be hidden: name an empty directory, or a new one" --hierarchy net_cls full
	refuses "cgset: \"$PWD/full/file\": not a directory
cgset: hint: a hierarchy is mounted on an empty directory" --hierarchy net_cls full/file
	mkdir -m 777 empty
	run -125 --separate-stderr -- as_nobody "$BIN/cgset" --hierarchy net_cls empty
	[[ $stderr == *'"net_cls"): Operation not permitted (EPERM)'*'root alone mounts one, outside any user namespace' ]] || fail "$stderr"
	[ ! -e other ] && is_free net_cls
}

@test "--controllers: what the kernel has and where, ns with what became of it" {
	run -0 cgset --controllers
	grep -q '^net_cls    -  free ' <<<"$output" || fail "$output"
	grep -q '^ns         -  gone                       left Linux in 3.0' <<<"$output" || fail "$output"
	mount_net
	run -0 cgset --controllers
	grep -q "^net_cls    1  $PWD/net .* (together: net_cls,net_prio)\$" <<<"$output" || fail "$output"
	cgset --controllers --json | perl -MJSON::PP -e '
		local $/; %by = map { $_->{name} => $_ } @{decode_json(<STDIN>)};
		exit !($by{net_cls}{version} == 1 && $by{net_cls}{mount} eq "$ARGV[0]/net" && $by{net_cls}{enabled}
			&& !defined $by{ns}{version} && !$by{ns}{enabled} && $by{pids}{version})' "$PWD"
	cgset --hierarchy net_cls,net_prio --remove net
}

@test "dry run equals run: the hierarchy is mounted, and taken away with its group" {
	cgset --dry-run --hierarchy net_cls,net_prio net >up
	[ ! -e net ]
	is_free net_cls
	sh -e up
	mounts="$mounts $PWD/net"
	by_script=$(sed -n "s|.* $PWD/net \(.*\)|\1|p" /proc/self/mountinfo)
	[ "$(group_of self net_cls)" = / ]
	umount net
	until_true is_free net_cls
	rmdir net
	mount_net
	same "$by_script" "$(sed -n "s|.* $PWD/net \(.*\)|\1|p" /proc/self/mountinfo)"
	cgset "$group" net_cls.classid=1
	cgset --dry-run --hierarchy net_cls,net_prio --remove net >down
	[ -d "net/$group" ]
	sh -e down
	is_free net_cls
	run ! grep -q " $PWD/net " /proc/self/mountinfo
	cgset --remove "$group"
}

# ---- what is sent

@test "--net-class: nft counts what the group sends and nothing else; --net-prio: for an interface, and only one that is there" {
	refuses 'cgset: no hierarchy here carries the net_cls controller
cgset: hint: the kernel has it and nobody has mounted it: cgset --hierarchy net_cls,net_prio DIR; a group of version 2 needs no number: nft matches its path, socket cgroupv2 level 1 "GROUP"' --net-class 10:1 "$group"
	mount_net
	cgset --net-class 10:1 --net-prio lo:5 "$group"
	same '1048577' "$(cat "net/$group/net_cls.classid")"
	grep -qx 'lo 5' "net/$group/net_prio.ifpriomap"
	nft 'add table inet test { chain out { type filter hook output priority 0; meta cgroup 0x100001 counter; }; }'
	cgset "$group" -- ping -q -c 3 -i 0.05 127.0.0.1
	nft list table inet test | grep -q 'counter packets 3 ' || fail "$(nft list table inet test)"
	ping -q -c 2 -i 0.05 127.0.0.1
	nft list table inet test | grep -q 'counter packets 3 ' || fail "$(nft list table inet test)"
	run -125 --separate-stderr -- cgset --net-class 10:2 --net-prio lo:6 --net-prio nosuch0:6 "$group"
	[[ $stderr == *'No such device (ENODEV)'*'hint: there is no such interface; '* ]] || fail "$stderr"
	# And what was written before that is as it was.
	same '1048577' "$(cat "net/$group/net_cls.classid")"
	grep -qx 'lo 5' "net/$group/net_prio.ifpriomap"
	cgset --remove "$group"
	cgset --hierarchy net_cls,net_prio --remove net
}
