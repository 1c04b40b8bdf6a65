#!/usr/bin/env bats
# nsexec's dry run on the kernel it is for: the script does the same, and printing it does nothing. Run by: tests/run kernel dryrun

# Options are lists of words, commands in single quotes are for other shells, lib.bash sets variables, and every test is
# a subshell:
# shellcheck disable=SC2016,SC2026,SC2030,SC2031,SC2046,SC2086,SC2094,SC2119,SC2154

load lib.bash
load namespaces.bash

# ---- the dry run

@test "the dry run does the same: as root" {
	write_probe
	mkdir dir
	local singly=('' --mount --uts --ipc --net --pid --cgroup --all '--net --no-lo' '--pid --mount-proc' -r
		'--uts --hostname box' '--mount --propagation slave' '-r --net --uts --hostname box' --user '--user --pid')
	[ "${LONG-}" = 1 ] || singly=()
	for options in "${singly[@]}" '--pid --mount-proc=dir' '--mount --propagation shared' '--mount --propagation unchanged' \
		'-r --all --mount-proc' '--all --mount-proc --hostname box'; do
		dry_run_equals_run $options || fail "of: $options"
	done
}

@test "the dry run does the same: as nobody" {
	write_probe
	for options in '' -r '-r --net' '-r --pid --mount-proc' '-r --all --mount-proc --hostname box' '-r --mount --propagation slave' --user; do
		dry_run_equals_run as_nobody $options || fail "of: $options"
	done
}

@test "the dry run does the same where mounts are shared" {
	write_probe
	export -f dry_run_equals_run fail
	for how in private slave shared unchanged; do
		unshare --mount --propagation shared "$BASH" -euc "dry_run_equals_run --mount --propagation $how" || fail "$how"
	done
}

@test "the dry run does the same: joining" {
	write_probe
	hold --mount --uts --ipc --net --cgroup --pid --fork
	KNOWN="$KNOWN $(namespaces_of "$held" | xargs)"
	kinds='mount uts ipc net pid cgroup'
	[ "${LONG-}" = 1 ] || kinds=mount
	for kind in $kinds; do
		dry_run_equals_run "--$kind=$held"
		dry_run_equals_run "--$kind=/proc/$held/ns/${kind/mount/mnt}"
	done
	dry_run_equals_run --net="$held" --uts="$held" --mount --pid
	dry_run_equals_run --pid="$held" --net
	dry_run_equals_run --uts="$held" --hostname "other"
	release
}

@test "the dry run does the same: joining a user namespace" {
	write_probe
	start setpriv --reuid=65534 --regid=65534 --clear-groups unshare --map-root-user --net --uts sh -c 'touch held; exec sleeper 1000'
	until_true exists held
	held=$started
	KNOWN="$KNOWN $(namespaces_of "$held" | xargs)"
	dry_run_equals_run as_nobody --user="$held" --net="$held"
	dry_run_equals_run as_nobody --user="$held" --uts="$held" --pid --mount
	release
}

@test "the dry run of a chain of links does the same" {
	write_probe
	nsexec --pid --mount-proc -- nsexec --net --uts --hostname box -- nsexec --ipc -- "$PWD/probe" a >really 2>&1 3>&-
	nsexec --dry-run --pid --mount-proc -- nsexec --net --uts --hostname box -- nsexec --ipc -- "$PWD/probe" a >script 3>&-
	sh -e script >dryly 2>&1 3>&-
	same "$(cat really)" "$(cat dryly)"
}

@test "the dry run's script gives the program the caller's stdin, and its exit status" {
	nsexec --dry-run --pid --mount-proc --net -- sh -c 'cat; exit 7' >script
	run sh -e script <<<hello
	[ "$status $output" = "7 hello" ] || fail "$status $output"
}

# Prints the calls of a command that change something, as strace saw them.
mutations() {
	strace -f -qq -o calls "$@" >/dev/null 2>&1 || :
	grep -E '[ )](unshare|setns|mount|umount2|pivot_root|move_mount|sethostname|setdomainname|chroot|mkdir|unlink|rename|link|symlink|chmod|chown|setuid|setgid|setresuid|setresgid|setgroups|kill|socket|ioctl)\(|CLONE_NEW|O_(WRONLY|RDWR|CREAT|TRUNC)' calls |
		grep -v 'ioctl([0-2], TCGETS' || :
}

@test "the dry run changes nothing: not one call of it could" {
	for options in '--all --mount-proc --hostname box --pid-file pid' '-r --all --mount-proc' "--net=$$ --pid=$$ --uts=$$ --hostname x" --user; do
		[ -z "$(mutations nsexec --dry-run $options -- nsexec --net -- true)" ] || fail "$options: $(mutations nsexec --dry-run $options -- true)"
	done
	[ ! -e pid ]
	[ -n "$(mutations nsexec --net -- true)" ]
	[ -n "$(mutations nsexec --pid -- true)" ]
}

@test "the dry run makes the same refusals" {
	run -125 nsexec --dry-run --mount --hostname box -- true
	run -125 nsexec --dry-run --net=4194304 -- true
	run -127 nsexec --dry-run --net -- nosuch
	run -127 nsexec --dry-run --net -- nsexec --uts -- nosuch
}
