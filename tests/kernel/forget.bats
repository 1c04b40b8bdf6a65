#!/usr/bin/env bats
# What is kept: listing it, and letting go of it. Run by: tests/run kernel forget

# Commands in single quotes are for other shells, lib.bash sets variables, and every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load namespaces.bash

@test "what others have in the directory is not written over, and stays when it is forgotten" {
	mkdir box
	echo mine >box/net
	fails_with 125 "nsexec: open(\"$PWD/box/net\", O_CREAT|O_EXCL, 0): File exists (EEXIST)
nsexec: while: a namespace is mounted on a file
nsexec: hint: \"$PWD/box/net\" is not of nsexec's making: move it away, or keep the namespaces in another directory" \
		nsexec --keep box --uts --net -- touch ran
	[ ! -e ran ]
	same net "$(ls box)"
	[ -z "$(mounts_below "$PWD")" ]
	nsexec --keep box --uts -- true
	fails_with 0 "nsexec: \"$PWD/box\" stays: what is not of nsexec's keeping is in it: \"net\"" nsexec --forget box
	same mine "$(cat box/net)"
	[ -z "$(mounts_below "$PWD")" ]
}

@test "--forget leaves a namespace alone that somebody else has mounted there" {
	nsexec --keep box --uts -- true
	touch box/web
	mount --bind /proc/self/ns/net box/web
	[[ $(kept) = "box/uts uts alive 0 nsexec"$'\n'"box/web net alive "[1-9]*" other" ]] || fail "$(kept)"
	fails_with 0 "nsexec: \"$PWD/box\" stays: what is not of nsexec's keeping is in it: \"web\"" nsexec --forget box
	[ "$(stat -c %i box/web)" = "$(stat -Lc %i /proc/self/ns/net)" ]
	umount box/web
	rm box/web
	nsexec --forget box
	[ ! -e box ]
}

@test "--forget: any number of times, and on what is not there" {
	nsexec --keep box --net --mount -- true
	nsexec --forget box
	nsexec --forget box
	nsexec --forget nothing
	mkdir empty
	nsexec --forget empty
	[ -d empty ]
}

@test "--forget takes nothing from under anybody: a directory somebody works in stays until they leave" {
	nsexec --keep box --net -- true
	start env --chdir box sleeper 1000
	until_true runs_program "$started" sleeper
	fails_with 0 "nsexec: warning: umount2(\"$PWD/box\", 0): Device or resource busy (EBUSY)
nsexec: warning: while: an ordinary directory again, and no use for it if it is empty
nsexec: warning: hint: process $started uses it, and nothing is taken from under anybody: forget it once more when it is left" \
		nsexec --forget box
	[ -z "$(kept)" ]
	[ -d "/proc/$started/cwd/." ]
	kill -9 "$started"
	finish
	nsexec --forget box
	[ ! -e box ]
}

@test "--forget takes the files away that a kill -9 left" {
	nsexec --keep box --net --uts -- true
	umount box/net box/uts box
	same net$'\n'uts "$(ls box)"
	nsexec --keep box --uts -- true
	nsexec --forget box
	[ ! -e box ]
}

@test "--list: what others keep, by ip-netns or by hand; one kind, one directory, or nothing" {
	same "[]" "$(nsexec --list --json)"
	same "KIND  INODE  STATE  PROCESSES  KEPT-BY  PATH" "$(nsexec --list)"
	ip netns add "web$$"
	nsexec --keep box --net --uts -- true
	inode=$(stat -c %i box/net)
	nsexec --list >list
	grep -qx "net *[0-9]* *alive *0 *ip-netns *$(readlink -f /run/netns)/web$$" list || fail "$(cat list)"
	grep -qx "net *$inode *alive *0 *nsexec *$PWD/box/net" list || fail "$(cat list)"
	same "box/net net alive 0 nsexec"$'\n'"box/uts uts alive 0 nsexec" "$(kept box)"
	mkdir other
	same "[]" "$(nsexec --list --json other)"
	same "box/net net alive 0 nsexec"$'\n'"box/uts uts alive 0 nsexec" "$(nsexec --net=box/net -- sh -c 'nsexec --list --json' >list; kept)"
	ip netns delete "web$$"
	nsexec --forget box
	same "[]" "$(nsexec --list --json)"
}

@test "--list: processes are counted, and who may not see them all says unknown" {
	start nsexec --keep box --pid --net -- sleeper 1000
	until_true has_child "$started"
	until_true runs_program "$(child "$started")" sleeper
	same "box/net net alive 1 nsexec"$'\n'"box/pid pid alive 1 nsexec" "$(kept)"
	same "box/net net alive 0 nsexec"$'\n'"box/pid pid unknown 0 nsexec" "$(PATH=$BIN:$PATH as_nobody nsexec --list --json | sed 's/.*\(box[^"]*\)", "kind": "\([a-z]*\)", .*state": "\([a-z]*\)", "processes": \([0-9]*\), "kept_by": "\([a-z]*\)".*/\1 \2 \3 \4 \5/; /^[][]$/d')"
	kill -TERM "$started"
	finish
	nsexec --forget box
}

@test "--list: from below, and where /proc hides processes, the state of a PID namespace is unknown; to root it is dead" {
	state='s/.*"kind": "pid".*"state": "\([a-z]*\)".*/\1/p'
	nsexec --keep box --pid -- true
	[ "$(nsexec --list --json | sed -n "$state")" = dead ]
	# Not a namespace below that one.
	[ "$(nsexec --pid --mount-proc -- nsexec --list --json | sed -n "$state")" = unknown ]
	nsexec --forget box
	nsexec --pid --mount-proc -- sh -euc '
		mount -o remount,hidepid=2 /proc
		nsexec --keep box --pid -- true
		setpriv --reuid=65534 --regid=65534 --clear-groups nsexec --list --json
		nsexec --list --json
		nsexec --forget box' | sed -n "$state" >states
	same "unknown dead" "$(xargs <states)"
}
