#!/usr/bin/env bats
# What namespaces are, as the lesson in nsexec's manual says it: trees of processes, what is seen from above and from below,
# mount points and their attributes. Run by: tests/run kernel namespaces

# Commands in single quotes are for other shells, lib.bash sets variables, and every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load namespaces.bash

setup_file() {
	setup_world_file
	make_root "$BATS_FILE_TMPDIR/root"
}

# Prints the numbers a process has, from this PID namespace inwards.
numbers() {
	sed -n 's/^NSpid:\t//p' "/proc/$1/status" | tr '\t' ' '
}

# Starts three PID namespaces in one another, each with a /proc of its own; `levels` are their first processes, numbered as
# they are here, the outermost first. Each is a shell that waits for the next; the last one sleeps.
start_three_levels() {
	start nsexec --pid --mount-proc -- sh -c 'nsexec --pid --mount-proc -- sh -c "nsexec --pid --mount-proc -- sleeper 1000; true"; true'
	local at=$started
	levels=()
	while [ "${#levels[@]}" -lt 3 ]; do
		until_true has_child "$at"
		at=$(child "$at")
		[ "$(numbers "$at" | awk '{ print $NF }')" != 1 ] || levels+=("$at")
	done
	until_true runs_program "${levels[2]}" sleeper
}

end_three_levels() {
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
}

@test "three levels of PID namespaces: a process has one number in its own and one in each above" {
	start_three_levels
	[ "$(numbers "${levels[0]}")" = "${levels[0]} 1" ]
	[ "$(numbers "${levels[1]}" | wc -w)" = 3 ]
	# Here; beside a shell and two waiting parents; beside one of each; alone.
	[[ $(numbers "${levels[2]}") = "${levels[2]} "[2-9]" "[2-9]" 1" ]] || fail "$(numbers "${levels[2]}")"
	[ "$(numbers "$$")" = "$$" ]
	end_three_levels
}

@test "three levels of PID namespaces: each sees itself and those below, and nobody above" {
	start_three_levels
	# The number of processes and the name of the innermost, in the /proc of each level.
	for level in 0 1 2; do
		seen=$(nsenter --target "${levels[$level]}" --mount sh -c 'cat /proc/[0-9]*/comm' | grep -v -e cat -e '^sh$' | sort | uniq -c | xargs)
		wanted=("2 nsexec 1 sleeper" "1 nsexec 1 sleeper" "1 sleeper")
		same "${wanted[$level]}" "$seen" || fail "level $level"
	done
	grep -q '^sleeper$' /proc/[0-9]*/comm
	end_three_levels
}

@test "the end of a process 1 is the end of all levels below it, and of none above" {
	start_three_levels
	kill -9 "${levels[1]}"
	until_true gone "${levels[2]}"
	# The outermost shell had its child killed, and goes on to its end.
	finish
	[ "$status" = 0 ] || fail "$status"
}

@test "from above those below are seen, traced and killed; from below those above do not exist" {
	start_sleeper --pid --mount-proc
	nsexec=$started
	start strace -qq -o calls -p "$slept"
	tracer=$started
	until_true grep -q '^TracerPid:.*[1-9]' "/proc/$slept/status"
	[ "$(tr '\0' ' ' <"/proc/$slept/cmdline")" = "sleeper 1000 " ]
	[ "$(readlink "/proc/$slept/exe")" = "$BIN/sleeper" ]
	# Their own number and that of a process out here, from in there.
	from_inside() {
		nsenter --target "$slept" --pid --mount "$@"
	}
	from_inside kill -0 1
	run -1 from_inside /bin/kill -9 "$$"
	[[ $output = *"No such process"* ]] || fail "$output"
	run from_inside strace -p "$$"
	[[ $output = *"PTRACE_SEIZE, $$): No such process"* ]] || fail "$output"
	run from_inside test -e "/proc/$$"
	[ "$status" = 1 ]
	kill -9 "$slept"
	finish "$tracer"
	grep -qx '+++ killed by SIGKILL +++' calls
	finish "$nsexec"
	[ "$status" = 137 ]
}

@test "a signal to every process reaches every process of the namespace, and none outside" {
	start sleeper 1000
	outside=$started
	run nsexec --pid -- sh -c 'sleeper 1000 & sleeper 1000 & trap "" TERM; kill -TERM -1; wait; echo all ended'
	same "all ended" "$output"
	runs_program "$outside" sleeper
	kill -9 "$outside"
	finish "$outside"
}

@test "a file system is read-only in one mount namespace and writable in the other" {
	mkdir dir
	run nsexec --mount -- sh -c 'mount --bind dir dir; mount -o remount,bind,ro dir; touch dir/inside'
	[[ $output = *"Read-only file system"* ]] || fail "$output"
	touch dir/outside
	same outside "$(ls dir)"
	# And where nobody made it read-only it is not.
	nsexec --mount -- touch dir/inside
	[ -e dir/inside ]
}

@test "chroot isolates no mount point, a mount namespace does" {
	mkdir dir
	mount --bind "$BATS_FILE_TMPDIR/root" dir
	chroot dir /bin/busybox mount -t tmpfs none /mnt
	grep -q " $PWD/dir/mnt tmpfs" /proc/mounts
	umount dir/mnt
	nsexec --mount -- chroot dir /bin/busybox mount -t tmpfs none /mnt
	run ! grep -q " $PWD/dir/mnt tmpfs" /proc/mounts
	umount dir
}
