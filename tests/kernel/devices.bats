#!/usr/bin/env bats
# Which devices the members of a group may open and make, on version 1 and 2. Run by: tests/run kernel devices

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# A program that says which of some devices it can open, and make.
DEVICES='exec 2>&-
for node in null zero full; do (: <"/dev/$node") && echo "r $node"; (: >"/dev/$node") && echo "w $node"; done
mknod made c 1 3 && echo m null; rm -f made; mknod made c 1 5 && echo m zero; rm -f made'

# Prints what the group's program may do, on one line.
devices() {
	cgset "$group" -- sh -c "$DEVICES" | xargs
}

@test "--device: what is in the list and nothing else, for opening and for making; none, and all again" {
	cgset --device 'c 1:3 rwm' --device '/dev/zero r' "$group"
	same 'r null w null r zero m null' "$(devices)"
	# Another list takes the place of this one.
	cgset --device '/dev/zero rm' --device 'c 1:7 w' "$group"
	same 'r zero w full m zero' "$(devices)"
	cgset --device none "$group"
	same '' "$(devices)"
	cgset --device 'c 1:*' "$group"
	same 'r null w null r zero w zero r full w full m null m zero' "$(devices)"
	cgset --device 'b *:* rwm' "$group"
	same '' "$(devices)"
	cgset --device a "$group"
	same 'r null w null r zero w zero r full w full m null m zero' "$(devices)"
	cgset --remove "$group"
	run -0 --separate-stderr cgset --transient --device '/dev/null r' "$group" -- sh -c "$DEVICES"
	same 'r null' "$output$stderr"
}

@test "--device: what both lists have is never refused while one takes the place of the other" {
	cgset --device '/dev/null r' --device '/dev/zero r' "$group"
	start cgset "$group" -- perl -e 'until (-e "stop") { open F, "<", "/dev/null" or do { open G, ">refused" if 0; syswrite STDERR, "refused\n"; exit 1 } }'
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		cgset --device '/dev/null r' --device '/dev/full r' "$group"
		cgset --device '/dev/zero r' --device '/dev/null r' "$group"
	done
	: >stop
	finish
	[ "$status" = 0 ]
	cgset --remove "$group"
}

@test "--device: a group may no more than the one around it, and a list that is refused later is as it was" {
	cgset --device '/dev/null rw' --device '/dev/zero r' "$group"
	run --separate-stderr -- cgset --transient --device '/dev/null r' --device '/dev/full r' "$group/inner" -- sh -c "$DEVICES"
	if [ -z "$stderr" ]; then
		same 'r null' "$output"
	else
		same "cgset: write(\"$(place devices "$group/inner")/devices.allow\", \"c 1:7 r\"): Operation not permitted (EPERM)
cgset: while: its members may use this device
cgset: hint: the group around it may not do that itself: it has c 1:3 rw, c 1:5 r" "$stderr"
	fi
	run -125 cgset --device '/dev/full r' "$group" pids.nonsense=1
	same 'r null w null r zero' "$(devices)"
	for list in none a; do
		run -125 cgset --device $list "$group" pids.nonsense=1
		same 'r null w null r zero' "$(devices)"
	done
	cgset --remove "$group"
}

@test "--device: a group may no more than a program of somebody else's lets it, which stays there" {
	# Version 1 has no programs.
	! place devices >/dev/null || return 0
	cgset --device 'c 1:*' "$group"
	same 'r null w null r zero w zero r full w full m null m zero' "$(devices)"
	# bpf(2), by its number of x86_64: one that answers 0 to everything is loaded and attached beside ours.
	perl -MFcntl -e '
		($program, $license) = (pack("CCsl", 0xb7, 0, 0, 0) . pack("CCsl", 0x95, 0, 0, 0), "GPL\0");
		$load = pack("LLPP", 15, 2, $program, $license) . "\0" x 100;
		($loaded = syscall(321, 5, $load, length $load)) >= 0 or die "$!\n";
		sysopen GROUP, $ARGV[0], O_RDONLY or die "$!\n";
		$attach = pack("LLLL", fileno GROUP, $loaded, 6, 2) . "\0" x 100;
		syscall(321, 8, $attach, length $attach) == 0 or die "$!\n"' "$(place pids)"
	same '' "$(devices)"
	cgset --device 'c 1:* r' "$group"
	cgset --device a "$group"
	same '' "$(devices)"
	cgset --remove "$group"
}

@test "--device: what is no rule, what is no device, and who is not root" {
	refuses 'cgset: "/dev" is no device
cgset: hint: ls -l shows b or c before one' --device /dev "$group"
	run -125 --separate-stderr -- cgset --device 'c 1:3 x' "$group"
	[[ $stderr == "cgset: --device c 1:3 x: not what it takes
cgset: hint: give b or c, "* ]] || fail "$stderr"
	run -125 --separate-stderr -- as_nobody "$BIN/cgset" --device none "$group"
	[[ $stderr == *': Permission denied (EACCES)'* ]] || fail "$stderr"
	no_groups
}

@test "--device: in version 1 a group with groups in it cannot go from everything to a list, and one whose groups are gone can" {
	# Version 2 has no files for this.
	place devices >/dev/null || return 0
	cgset --device a "$group/inner"
	run -125 --separate-stderr -- cgset --device none "$group"
	[[ $stderr == *'hint: a group with groups in it (inner) cannot go from everything to a list'* ]] || fail "$stderr"
	cgset --pids 9 "$group"
	cgset --remove "$group/inner"
	cgset --device none "$group"
	cgset --remove "$group"
}

@test "--device: in version 2 a dry run stops where only bpf(2) helps, and in version 1 it writes the same list" {
	cgset --dry-run --transient --device '/dev/null r' "$group" -- sh -c "$DEVICES" >script
	if place devices >/dev/null; then
		run -0 sh -e script
		same 'r null' "$output"
	else
		grep -q '^# no command does this: the kernel runs this program' script
		run -125 sh -e script
		for_each_group rmdir
	fi
	no_groups
}
