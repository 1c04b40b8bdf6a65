#!/usr/bin/env bats
# What is noted on control groups, and the list of all of them: cgset --label, --tree. Run by: tests/run kernel labels

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# Sets an extended attribute: attribute DIRECTORY NAME VALUE. setfattr(1) is not on every machine; 188 is setxattr(2) of x86_64.
attribute() {
	perl -e 'exit(syscall(188, $ARGV[0], $ARGV[1], $ARGV[2], length $ARGV[2], 0) ? 1 : 0)' "$@"
}

@test "labels stand on the group in each hierarchy, no control character of theirs reaches a terminal, and they go with it" {
	cgset --transient --memory 64M --label container=web --label "odd=$(printf 'a b\033[2J')" "$group" -- \
		sh -c 'cgset --stat "$1"; cgset --stat --json "$1"; cgset --tree "$1"; cgset --tree --json "$1"' - "$group" >seen
	grep -qxF 'label.container        web' seen || fail "$(cat seen)"
	grep -qxF 'label.odd              a b\x1b[2J' seen || fail "$(cat seen)"
	grep -qF '"labels": {"container": "web", "odd": "a b\u001b[2J"}}' seen || fail "$(cat seen)"
	# The hierarchies of memory, pids and freezer are three here or one there.
	[ "$(grep -cF "/$group\",\"procs\":" seen)" = "$(grep -cF '"marked":true,"labels":{"container":"web","odd":"a b\u001b[2J"}}' seen)" ]
	grep -qF "  transient  container=web  odd=a b\\x1b[2J" seen || fail "$(cat seen)"
	! grep -q "$(printf '\033')" seen || fail 'a control character came through'
	no_groups
	cgset "$group"
	run -0 cgset --stat --json "$group"
	[[ $output == *'"labels": {}}' ]] || fail "$output"
	cgset --remove "$group"
}

@test "a label of a group that is there is changed, and put back when a later step is refused" {
	cgset --label owner=alice "$group"
	cgset --label owner=bob --label since=1 "$group"
	[[ $(cgset --stat --json "$group") == *'"labels": {"owner": "bob", "since": "1"}}' ]]
	run -125 cgset --label owner=eve --label new=1 "$group" pids.nonsense=1
	[[ $(cgset --stat --json "$group") == *'"labels": {"owner": "bob", "since": "1"}}' ]] || fail "$(cgset --stat --json "$group")"
	cgset --remove "$group"
}

@test "a label that one of the group's hierarchies refuses is in none of them" {
	place freezer >/dev/null || return 0 # in version 2 there is one
	cgset --label owner=alice "$group"
	mount --bind "$(place freezer .)" "$(place freezer .)"
	mount -o remount,bind,ro "$(place freezer .)"
	run -125 --separate-stderr cgset --label owner=eve "$group"
	[[ $stderr == *'Read-only file system (EROFS)'* ]] || fail "$stderr"
	umount "$(place freezer .)"
	[[ $(cgset --tree --json "$group") != *eve* ]] || fail "$(cgset --tree --json "$group")"
	cgset --remove "$group"
}

@test "only root labels, only groups of cgset's; what others note is no label, and no label is the mark" {
	refuses_as_user 'cgset: --label: only root may label a group
cgset: hint: a label is an attribute that nobody else can forge: run it as root, outside any user namespace' --label a=b "$group"
	mkdir "$(place pids)"
	refuses "cgset: \"$group\": this group is there already, and not of cgset's making
cgset: hint: labels are for groups of cgset's: choose another name, or leave out --label" --label a=b "$group"
	for_each_group rmdir
	cgset --label owner=alice "$group"
	# Version 1 takes no attribute of users at all, version 2 some.
	attribute "$(place pids)" user.boxutils.owner eve || ! is_two pids
	run -0 --separate-stderr cgset --stat --json "$group"
	[[ $output == *'"labels": {"owner": "alice"}}' ]] || fail "$output"
	run -125 --separate-stderr cgset --label =group "$group"
	[[ $stderr == 'cgset: --label "=group": no label'* ]] || fail "$stderr"
	# Nobody but root sees them.
	run -0 --separate-stderr as_nobody "$BIN/cgset" --stat --json "$group"
	[[ $output == *'"labels": {}}' ]] || fail "$output"
	cgset --remove "$group"
}

refuses_as_user() {
	local text=$1
	shift
	run -125 --separate-stderr -- as_nobody "$BIN/cgset" "$@"
	same "$text" "$stderr"
}

@test "--tree: every process once in each hierarchy, and --tree GROUP is a part of it" {
	start cgset --transient "$group/inner" -- sleeper 1000
	until_true pgrep -x sleeper
	slept=$(pgrep -x sleeper)
	# Who else is here may come and go meanwhile: it is asked about those that were there before and after.
	for_sure=$(pgrep '' | sort)
	cgset --tree --json >tree
	for_sure=$(comm -12 <(echo "$for_sure") <(pgrep '' | sort) | xargs)
	hierarchies=$(sed -n 's/^\[\{0,1\}{"hierarchy":"\([^"]*\)".*/\1/p' tree | sort -u)
	for hierarchy in $hierarchies; do
		sed -n "s/^\[\{0,1\}{\"hierarchy\":\"$hierarchy\",.*\"procs\":\[\([0-9,]*\)\].*/\1/p" tree | tr , '\n' | sed /^$/d >procs
		[ -z "$(sort procs | uniq -d)" ] || fail "twice in $hierarchy: $(sort procs | uniq -d | xargs)"
		for process in $for_sure; do
			grep -qx "$process" procs || gone "$process" || fail "$process is nowhere in $hierarchy"
		done
	done
	[ "$(wc -w <<<"$hierarchies")" = "$(wc -w <<<"$mounts")" ] || fail "$hierarchies: $mounts"
	cgset --tree --json "$group" >part
	[ "$(grep -c "\"group\":\"/$group/inner\",\"procs\":\[$slept\],\"marked\":true" part)" -ge 1 ] || fail "$(cat part)"
	! grep -v "\"group\":\"/$group" part || fail "$(cat part)"
	cgset --kill "$group/inner"
	finish
	refuses "cgset: \"$group\": there is no such group
cgset: hint: cgset GROUP makes one; a group is named from the root of its hierarchy, as in lab/web" --tree "$group"
}
