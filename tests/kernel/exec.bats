#!/usr/bin/env bats
# A program of a new root that would make the kernel run the host's own tool inside: CVE-2019-5736.
# Run by: tests/run kernel exec

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash

setup_file() {
	setup_world_file
	make_root "$BATS_FILE_TMPDIR/root" >/dev/null
}

setup() {
	setup_world
	cp -a "$BATS_FILE_TMPDIR/root" image
	before=$(cat "$BIN"/* | sha256sum)
}

teardown() {
	[ "$(cat "$BIN"/* | sha256sum)" = "$before" ] || fail 'a tool of the host is another'
	nothing_left
}

WHY='become the program: same process, same number, another life'

# Writes a program of the image: image_program PATH FIRST-LINE.
image_program() {
	rm -f "image$1"
	printf '%s\necho "%s ran"\n' "$2" "$1" >"image$1"
	chmod 755 "image$1"
}

# Asserts that nothing of a program was run, because it is run by a link of /proc.
leads_out() {
	local program=$1 by=$2
	shift 2
	run -126 --separate-stderr "$@" "$program"
	[ -z "$output" ] || fail "it ran: $output"
	hint='it is a link of /proc to an open file, or passes one'
	[ "$program" = "$by" ] || hint="it is run by \"$by\", a link of /proc to an open file"
	[[ $stderr == *": execve(\"$program\"): it leads out of the new root
"*": while: $WHY
"*": hint: $hint: that is none of the root's own" ]] || fail "$stderr"
}

@test "a script of the image whose interpreter is /proc/self/exe, however deep, is not run" {
	image_program /bin/evil '#!/proc/self/exe'
	image_program /bin/deeper '#!/bin/evil -x'
	image_program /bin/deepest '#! /bin/deeper'
	image_program /bin/first '#!/proc/1/exe'
	image_program /bin/thread '#!/proc/thread-self/exe'
	for place in 'pivot' 'pivot --privileged' 'pivot --user 1000'; do
		# shellcheck disable=SC2086 # a command and its options
		set -- nsexec --pid -- $place image
		leads_out /bin/evil /proc/self/exe "$@"
		leads_out /bin/deepest /proc/self/exe "$@"
		leads_out /bin/first /proc/1/exe "$@"
		leads_out /bin/thread /proc/thread-self/exe "$@"
	done
}

@test "nor one that is a link to it, or whose interpreter is; nor a loader of libraries" {
	ln -s /proc/self/exe image/bin/linked
	ln -s linked image/bin/linked-twice
	image_program /bin/by-link '#!/bin/linked-twice'
	cp /bin/true image/bin/loaded
	perl -0pi -e 's|/lib64/ld-linux-x86-64.so.2\0|/proc/self/exe\0\0\0\0\0\0\0\0\0\0\0\0\0\0|' image/bin/loaded
	set -- nsexec --pid -- pivot image
	leads_out /bin/linked /bin/linked "$@"
	leads_out /bin/linked-twice /bin/linked-twice "$@"
	leads_out /bin/by-link /bin/linked-twice "$@"
	leads_out /bin/loaded /proc/self/exe "$@"
	leads_out /proc/self/exe /proc/self/exe "$@"
}

@test "nor by a bare name, and not as the shell that is run where no program is named" {
	image_program /bin/evil '#!/proc/self/exe'
	run -126 --separate-stderr nsexec --pid -- pivot image evil
	[[ $stderr == *'/evil"): it leads out of the new root'* ]]
	image_program /bin/sh '#!/proc/self/exe'
	run -126 --separate-stderr nsexec --pid -- pivot image
	[[ $stderr == *'execve("/bin/sh"): it leads out of the new root'* ]]
}

@test "ordinary links and interpreters are followed as ever" {
	ln -s busybox image/bin/plain
	ln -s /bin/plain image/bin/plainer
	image_program /bin/good '#!/bin/sh'
	image_program /bin/better '#! /bin/good'
	ln -s ../bin/good image/bin/linked-good
	[ "$(nsexec --pid -- pivot image /bin/good)" = '/bin/good ran' ]
	[ "$(nsexec --pid -- pivot image /bin/better)" = '/bin/good ran' ]
	[ "$(nsexec --pid -- pivot image /bin/linked-good)" = '/bin/good ran' ]
	# busybox asks what it is called, and so it was run.
	[ "$(nsexec --pid -- pivot image plainer 2>&1)" = 'plainer: applet not found' ]
	# Outside a new root such a link is the caller's own affair.
	[ "$(nsexec -- /proc/self/exe --version)" = "$(nsexec --version)" ]
}

@test "--join: the same, for whoever is inside may have changed the program" {
	start nsexec --pid -- pivot image /bin/sleep 1000
	until_true has_child "$started"
	inside=$(child "$started")
	until_true runs_program "$inside" sleep
	image_program /bin/evil '#!/proc/self/exe'
	image_program /bin/good '#!/bin/sh'
	leads_out /bin/evil /proc/self/exe nsexec --join "$inside"
	[ "$(nsexec --join "$inside" /bin/good)" = '/bin/good ran' ]
	kill -9 "$inside"
	finish
}

@test "--mount=PID: the same, for whoever is in those mounts may have made the program" {
	start unshare --mount sh -c 'touch held; exec sleeper 1000'
	until_true exists held
	until_true runs_program "$started" sleeper
	printf '#!/proc/self/exe\n' >evil
	printf '#!/bin/sh\necho ran\n' >good
	chmod 755 evil good
	leads_out "$PWD/evil" /proc/self/exe nsexec "--mount=$started"
	[ "$(nsexec "--mount=$started" "$PWD/good")" = ran ]
	kill -9 "$started"
	finish
}
