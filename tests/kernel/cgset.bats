#!/usr/bin/env bats
# cgset on the kernel it is for: version 1, 2 or both, whatever is mounted. Run by: tests/run kernel cgset

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# ---- the group and its files

@test "a group is made where it is needed, its files are written, and --remove takes it away, twice" {
	cgset --memory 64M --cpus 0.5 --pids 7 "$group"
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 67108864 ]
	[ "$(of_group cpu cpu.cfs_quota_us cpu.max)" = "$(is_two cpu && echo 50000 100000 || echo 50000)" ]
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	# The same again is fine, and changes only what is named.
	cgset --pids 8 "$group"
	[ "$(of_group pids pids.max pids.max) $(of_group memory memory.limit_in_bytes memory.max)" = '8 67108864' ]
	cgset --remove "$group"
	no_groups
	cgset --remove "$group"
}

@test "memory is limited with swap where there is swap to limit; --swap limits it by itself" {
	cgset --memory 64M "$group"
	swap=$(of_group memory memory.memsw.limit_in_bytes memory.swap.max 2>/dev/null) || swap=none
	case $swap in none) ;; *) [ "$swap" = "$(is_two memory && echo 0 || echo 67108864)" ] || fail "$swap" ;; esac
	# A larger limit for both, and a smaller one again: in an order the kernel takes.
	cgset --memory 128M "$group"
	cgset --memory 32M "$group"
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 33554432 ]
	[ "$swap" = none ] || cgset --memory 32M --swap 32M "$group"
	cgset --remove "$group"
}

@test "a file in either version's name is written in that of the version that is here" {
	cgset "$group" memory.max=33554432 pids.max=9 cpu.max='20000 100000'
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 33554432 ]
	cgset "$group" memory.limit_in_bytes=67108864 cpu.cfs_quota_us=30000
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 67108864 ]
	[ "$(of_group cpu cpu.cfs_quota_us cpu.max | cut -d' ' -f1)" = 30000 ]
	cgset --cpu-weight 300 "$group"
	[ "$(of_group cpu cpu.shares cpu.weight)" = "$(is_two cpu && echo 300 || echo 3072)" ]
	cgset --remove "$group"
}

@test "a file that does not exist, a value the kernel does not take: named, and nothing is left" {
	directory=$(place pids)
	refuses "cgset: open(\"$directory/pids.nonsense\", O_WRONLY): No such file or directory (ENOENT)
cgset: while: the value that was asked for
cgset: hint: this kernel has no file of that name there: it has pids.max" "$group" pids.nonsense=1
	no_groups
	refuses "cgset: write(\"$directory/pids.max\", \"-5\"): Invalid argument (EINVAL)
cgset: while: the value that was asked for
cgset: hint: the kernel takes no such value there; it holds \"max\"" "$group" pids.max=-5
	no_groups
	# In a group that was there before, what was written before that is put back.
	cgset --pids 7 "$group"
	run -125 cgset --pids 8 "$group" pids.nonsense=1
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	cgset --remove "$group"
}

@test "a controller that is nowhere: said with the cause" {
	run -125 --separate-stderr cgset "$group" nonsense.file=1
	same 'cgset: no hierarchy here carries the nonsense controller
cgset: hint: this kernel was built without it: /proc/cgroups lists what it has' "$stderr"
	no_groups
}

@test "a path: what is missing above is made, and goes with the last group in it" {
	cgset --pids 7 "$group/a"
	cgset --pids 7 "$group/b"
	[ "$(of_group pids pids.max pids.max "$group/a")" = 7 ]
	cgset --remove "$group/a"
	[ -d "$(place pids "$group/b")" ]
	refuses "cgset: \"$group\": there are groups in it: b
cgset: hint: remove those first: cgset --remove GROUP" --remove "$group"
	cgset --remove "$group/b"
	no_groups
	# One that was asked for by name stays.
	cgset --pids 7 "$group"
	cgset --pids 7 "$group/a"
	cgset --remove "$group/a"
	[ -d "$(place pids)" ]
	cgset --remove "$group"
}

@test "cpuset: a new group has CPUs and memory nodes, and takes its program in" {
	place cpuset >/dev/null || lacking 'no cpuset controller here'
	run -0 cgset --transient --cpuset 0 "$group/inner" -- sh -c 'grep Cpus_allowed_list /proc/self/status'
	[ "${output##*[[:space:]]}" = 0 ] || fail "$output"
	no_groups
	run -125 cgset --cpuset 4096 "$group" -- true
	no_groups
}

@test "a group that is not of cgset's making is used, and never removed" {
	mkdir "$(place pids)"
	cgset --pids 7 "$group"
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	refuses "cgset: \"$group\": this group is not of cgset's making
cgset: hint: only what carries the mark of cgset is removed; rmdir removes any" --remove "$group"
	refuses "cgset: \"$group\": this group is there already, and not of cgset's making
cgset: hint: --transient would remove it at the end: choose another name, or leave out --transient" --transient "$group" -- true
	[ -d "$(place pids)" ]
	for_each_group rmdir
}

@test "not root: whose it is, and what helps" {
	directory=$(place pids)
	run -125 --separate-stderr -- as_nobody "$BIN/cgset" --pids 7 "$group" -- true
	[[ $stderr == "cgset: mkdir(\"$directory\", 0755): Permission denied (EACCES)
cgset: while: a directory is a group of processes"*"
cgset: hint: \"${directory%/*}\" belongs to user 0: run it as root"* ]] || fail "$stderr"
	! is_two pids || [[ $stderr == *'systemd-run --user --scope -p Delegate=yes cgset'* ]]
	# Nor is the root of a user namespace, who is not told to be root.
	run -125 --separate-stderr -- as_nobody "$BIN/nsexec" -r -- "$BIN/cgset" --pids 7 "$group" -- true
	[[ $stderr == *"cgset: hint: \"${directory%/*}\" belongs to user 65534: this root is one of a user namespace, run it outside"* ]] || fail "$stderr"
	no_groups
}

# ---- looking and stopping

@test "--freeze stops all of it, --thaw lets it go on" {
	start cgset --transient "$group" -- sh -c 'while :; do echo >>ticks; sleep 0.02; done'
	until_true exists ticks
	cgset --freeze "$group"
	size=$(stat -c %s ticks)
	sleep 0.3
	[ "$(stat -c %s ticks)" = "$size" ]
	[[ $(cgset --stat --json "$group") == *'"frozen": true'* ]]
	cgset --thaw "$group"
	until_true grows ticks "$size"
	[[ $(cgset --stat --json "$group") == *'"frozen": false'* ]]
	cgset --kill "$group"
	finish
}

grows() {
	[ "$(stat -c %s "$1")" -gt "$2" ]
}

@test "--stat: the same keys whatever the version; --json is one object" {
	cgset --memory 64M --pids 7 "$group"
	run -0 cgset --stat "$group"
	[ "$(cut -d' ' -f1 <<<"$output" | xargs)" = 'procs frozen memory.current_bytes memory.peak_bytes memory.max_bytes memory.oom_kills cpu.usage_usec cpu.throttled_usec cpu.quota_usec cpu.period_usec pids.current pids.max' ]
	run -0 cgset --stat --json "$group"
	perl -MJSON::PP -e '$s = decode_json(join "", <STDIN>); exit !($s->{"memory.max_bytes"} == 67108864 && $s->{"pids.max"} == 7 && $s->{procs} == 0 && $s->{group} eq $ARGV[0])' "$group" <<<"$output"
	cgset --remove "$group"
	refuses "cgset: \"$group\": there is no such group
cgset: hint: cgset GROUP makes one; a group is named from the root of its hierarchy, as in lab/web" --stat "$group"
}

# ---- telling

@test "dry run equals run: the files of the group and what the program sees are the same" {
	see='cat /proc/self/cgroup; for file in memory.limit_in_bytes memory.max cpu.cfs_quota_us cpu.max pids.max; do for path in $(find '"$(echo "$mounts" | xargs)"' -path "*/$1/$file"); do echo "$path $(cat "$path")"; done; done; exit 5'
	run -5 cgset --transient --memory 64M --cpus 0.5 --pids 20 "$group" -- sh -c "$see" - "$group"
	by_run=$output
	cgset --dry-run --transient --memory 64M --cpus 0.5 --pids 20 "$group" -- sh -c "$see" - "$group" >script
	no_groups
	run -5 sh -e script
	same "$by_run" "$output"
	[ "$(wc -l <<<"$output")" -gt 6 ] || [ -z "${output##*"$group"*}" ]
	no_groups
	# Without --transient the group stays, and carries the same values.
	cgset --dry-run --pids 9 "$group" -- true | sh -e
	[ "$(of_group pids pids.max pids.max)" = 9 ]
	for_each_group rmdir
}

@test "--explain tells each step, its why, its call and what became of it" {
	run -0 --separate-stderr -- cgset --explain --transient --pids 20 "$group" -- true
	[[ $stderr == *'a fork that would make more processes than this fails: no fork bomb goes further'* ]]
	[[ $stderr == *"write(\"$(place pids)/pids.max\", \"20\") = 2"* ]] || fail "$stderr"
	total=$(sed -n 's|^cgset 1/\([0-9]*\) .*|\1|p' <<<"$stderr")
	[ "$(grep -c "^cgset [0-9]*/$total " <<<"$stderr")" = "$total" ] || fail "$stderr"
}
