#!/usr/bin/env bats
# pivot on the kernel it is for: what the program is given and how it ends, each with its negative twin.
# Run by: tests/run kernel pivot

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and pivot.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash
load pivot.bash

# ---- descriptors, environment, working directory (F)

@test "F1: only descriptors 0 to 2 go in; --keep-fd keeps what it names; --bare keeps all" {
	exec 9</etc 8<"$root/etc/passwd"
	prints $'0\n1\n2' pivot "$root" sh -c 'ls /proc/$$/fd; true'
	prints $'0\n1\n2\n8' pivot --keep-fd 8 "$root" sh -c 'ls /proc/$$/fd; true'
	prints "$(cat "$root/etc/passwd")" pivot --keep-fd 8 "$root" sh -c 'cat <&8'
	run pivot "$root" cat /proc/self/fd/9/hostname
	[ "$status" = 1 ]
	# The primitive by itself leaves the open directory, and that is the way out.
	prints "$(cat /etc/hostname)" pivot --bare --bind /proc:/proc "$root" cat /proc/self/fd/9/hostname
	exec 9<&- 8<&-
}

@test "F1: with 0 to 2 closed nothing of pivot's own takes their place" {
	look='print STDERR readlink "/proc/self/fd/$_" for 0, 1'
	same /dev/null/dev/null "$(pivot "$root" perl -e "$look" 2>&1 <&- >&-)"
	[[ $(pivot "$root" perl -e "$look" 2>&1 </dev/zero) == /dev/zeropipe:* ]]
}

@test "F1: --keep-fd of what is not open, or of the three that are kept always" {
	fails_with 125 "pivot: --keep-fd 77: Bad file descriptor (EBADF)
pivot: hint: open it for pivot, as the shell does with 77<FILE or 77>FILE" pivot --keep-fd 77 "$root" true
	fails_with 125 "pivot: --keep-fd 1: Bad file descriptor (EBADF)
pivot: hint: 0 to 2 are kept always" pivot --keep-fd 1 "$root" true
	exec 9</etc
	prints $'0\n1\n2\n9' pivot --keep-fd 9 --keep-fd 9 "$root" sh -c 'ls /proc/$$/fd; true'
	exec 9<&-
}

@test "F2: --workdir through any descriptor or link does not lead out" {
	exec 9</etc
	why='begin where it was asked for, found in the new root'
	# Some of these numbers are pivot's own descriptors of the new root and what is mounted below it: that is inside.
	for fd in $(seq 3 32); do
		run pivot --workdir "/proc/self/fd/$fd" "$root" sh -c '[ . -ef "$(/bin/pwd)" ] && [ ! -e ../hostname ] && echo inside'
		[ "$status" = 125 ] || [ "$status $output" = "0 inside" ] || fail "$fd: $status $output"
	done
	fails_with 125 "$(said 'getcwd() after chdir("/proc/self/fd/9"): Invalid cross-device link (EXDEV)' "$why" \
		'that is a way out of the new root, and is not taken')" pivot --workdir /proc/self/fd/9 "$root" true
	fails_with 125 "$(said 'chdir("/none"): No such file or directory (ENOENT)' "$why" \
		'--workdir names a directory of the new root, and "/none" is none')" pivot --workdir /none "$root" true
	fails_with 125 "$(said 'chdir("/bin/sh"): Not a directory (ENOTDIR)' "$why" \
		'--workdir names a directory of the new root, and "/bin/sh" is none')" pivot --workdir /bin/sh "$root" true
	prints /tmp pivot --workdir /tmp "$root" pwd
	prints / pivot "$root" pwd
	exec 9<&-
}

@test "F7: of the environment only TERM goes in; --env and --keep-env add" {
	export SECRET=hidden TERM=vt100
	fixed="HOME=/root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	environment() {
		pivot "$@" "$root" perl -e 'print map { "$_=$ENV{$_}\n" } sort keys %ENV'
	}
	same "$fixed
TERM=vt100
container=boxutils" "$(environment)"
	same "$fixed
container=boxutils" "$(unset TERM; environment)"
	same "A=b=c
EMPTY=
$fixed
SECRET=hidden
TERM=vt100
container=boxutils" "$(environment --env A=b=c --env EMPTY= --env SECRET --env UNSET)"
	[ "$(environment --env HOME=/tmp --env HOME=/opt | grep HOME)" = HOME=/opt ]
	[[ $(environment --keep-env) == *SECRET=hidden* ]]
	[ "$(environment --keep-env | grep ^PATH=)" = "PATH=$PATH" ]
	[[ $(environment --bare) == *SECRET=hidden* ]]
	run contain "$root" sh -c 'cat /proc/*/environ'
	[ "$status" = 0 ]
	[[ $output != *hidden* ]]
	[ -z "$(environment --keep-env | grep BOXUTILS_MODE)" ]
}

@test "F7: HOME is that of --user" {
	prints /home/user pivot --user user "$root" sh -c 'echo "$HOME"'
	prints /home/user pivot --user 1000 "$root" sh -c 'echo "$HOME"'
	prints / pivot --user 4711 "$root" sh -c 'echo "$HOME"'
	prints /root pivot --user 0 "$root" sh -c 'echo "$HOME"'
	prints /x pivot --user user --env HOME=/x "$root" sh -c 'echo "$HOME"'
}

@test "F8: no core dump is written or piped anywhere; --bare leaves the limit" {
	limit() {
		pivot "$@" "$root" cat /proc/self/limits | sed -n 's/  */ /g; s/^Max core file size //p'
	}
	[ "$(limit)" = "1 1 bytes " ]
	(ulimit -c 4096 && [ "$(limit --bare --bind /proc:/proc)" = "4194304 4194304 bytes " ])
	(ulimit -c 4096 && [ "$(limit)" = "1 1 bytes " ])
}

@test "F8: a hard limit of 0 that cannot be raised will do, unless dumps are piped to a program: that is said" {
	ulimit -c 0
	[[ $(cat /proc/sys/kernel/core_pattern) != "|"* ]] || lacking "a core_pattern that names a file"
	prints '0 0 bytes ' without sys_resource pivot "$root" sh -c "sed -n 's/  */ /g; s/^Max core file size //p' /proc/self/limits"
	[ -z "$stderr" ] || fail "$stderr"
	echo '|/bin/catcher' >pattern
	run --separate-stderr with_mounts 'mount --bind pattern /proc/sys/kernel/core_pattern; exec setpriv --bounding-set=-sys_resource pivot "$1" echo ran' "$root"
	[ "$status $output" = "0 ran" ]
	same "pivot: warning: setrlimit(RLIMIT_CORE, {1, 1}): Operation not permitted (EPERM)
pivot: warning: while: a core dump is written by the host, outside of all this: write none; with 1 the program that core_pattern may name is not started either, with 0 it is
pivot: warning: hint: the hard limit is 0, with which dumps still go to the program in core_pattern: start it with ulimit -c 1" "$stderr"
}

@test "files are made with the usual mode, and owned by who makes them" {
	small_root tree
	(umask 077 && prints '' pivot tree touch /tmp/a && prints '' pivot --bare tree touch /tmp/b)
	[ "$(stat -c %a tree/tmp/a tree/tmp/b | tr '\n' ' ')" = "644 600 " ]
}

# ---- the program

@test "ROOT without /bin/sh, PROG missing, not executable, its interpreter missing, a tool of ours" {
	small_root tree
	hint='it is looked up in the new root, tree, where the host'"'"'s programs are not'
	printf '#!/no/such\n' >tree/bin/script
	printf '#!/bin/sh\r\n' >tree/bin/crlf
	chmod 755 tree/bin/script tree/bin/crlf
	touch tree/bin/plain
	fails_with 127 "$(said 'execve("none"): No such file or directory (ENOENT)' "$EXEC_WHY" "$hint")" pivot tree none
	fails_with 127 "$(said 'execve("/usr/bin/env"): No such file or directory (ENOENT)' "$EXEC_WHY" "$hint")" pivot tree /usr/bin/env
	fails_with 126 "$(said 'execve("/bin/plain"): Permission denied (EACCES)' "$EXEC_WHY" 'it may not be executed: chmod +x /bin/plain')" pivot tree plain
	fails_with 126 "$(said 'execve("/bin/script"): No such file or directory (ENOENT)' "$EXEC_WHY" 'the file is there; its interpreter "/no/such" is not')" pivot tree script
	fails_with 126 "$(said 'execve("/bin/crlf"): No such file or directory (ENOENT)' "$EXEC_WHY" \
		'its lines end in CR LF, so it asks for the interpreter "/bin/sh\r": remove the CRs')" pivot tree crlf
	fails_with 126 "$(said 'execve("/etc"): Permission denied (EACCES)' "$EXEC_WHY" '"/etc" is a directory')" pivot tree /etc
	fails_with 127 "$(said 'execve("nsexec"): No such file or directory (ENOENT)' "$EXEC_WHY" \
		'what stands right of pivot runs in the new root: put nsexec left of pivot')" pivot tree nsexec --pid true
	rm tree/bin/sh
	fails_with 127 "$(said 'execve("/bin/sh"): No such file or directory (ENOENT)' "$EXEC_WHY" "$hint")" pivot tree
	prints '' pivot tree true
}

@test "the same through nsexec, with the status handed on, and from an image nothing is left attached" {
	run -127 nsexec --pid --net -- pivot "$BATS_FILE_TMPDIR/img" none
	run nsexec --pid --net -- pivot "$BATS_FILE_TMPDIR/img" sh -c 'exit 42'
	[ "$status" = 42 ]
	run nsexec --pid --net -- pivot "$BATS_FILE_TMPDIR/img" sh -c 'kill -9 $$; exit 3'
	[ "$status" != 0 ]
	until_true no_image_attached
}

@test "without PROG it is /bin/sh, which reads stdin" {
	prints $'hello\n/' sh -c 'echo "echo hello; pwd" | pivot "$1"' - "$root"
}

@test "not root: the hint names nsexec -r, and that works" {
	fails_with 125 "$(said 'unshare(CLONE_NEWNS): Operation not permitted (EPERM)' 'a copy of the mount table, so that no mount made in here is made on the host' \
		'mounting takes root: run it as root, or be root in a user namespace: nsexec -r --pid --net --ipc -- pivot …')" as_nobody_in pivot "$root" true
	prints '' as_nobody_in nsexec -r --pid --net --ipc -- pivot "$root" true
	# With an image it would not.
	fails_with 125 "$(said 'unshare(CLONE_NEWNS): Operation not permitted (EPERM)' 'a copy of the mount table, so that no mount made in here is made on the host' \
		"the kernel mounts images for root only: run it as root; a directory can be the root of a user namespace's: nsexec -r --pid --net --ipc -- pivot DIR …")" as_nobody_in pivot "$BATS_FILE_TMPDIR/img" true
	run -125 as_nobody_in nsexec -r --pid --net --ipc -- pivot "$BATS_FILE_TMPDIR/img" true
}

@test "in a chroot the cause is named before anything is tried" {
	small_root jail
	cp "$BIN/pivot" jail/bin/pivot
	mkdir jail/new
	fails_with 125 "$(said '/ is not a mount point: this process is in a chroot' 'pivot_root moves the old root away, so that has to be a mount that can be moved' \
		'start it outside the chroot, or make the directory a mount point before chroot: mount --bind DIR DIR')" chroot jail pivot --bare /new true
	# A mount point is no obstacle.
	mkdir -p jail/new/bin
	ln jail/bin/busybox jail/new/bin/true
	prints '' with_mounts 'mount --bind jail jail; exec chroot jail pivot --bare /new true'
}

@test "limits on namespaces are named, where they are reached" {
	fails_with 125 "$(said 'unshare(CLONE_NEWNS): No space left on device (ENOSPC)' 'a copy of the mount table, so that no mount made in here is made on the host' \
		'/proc/sys/user/max_mnt_namespaces forbids it: sysctl user.max_mnt_namespaces=1000')" \
		unshare --map-root-user --pid --fork --mount-proc sh -c 'echo 0 >/proc/sys/user/max_mnt_namespaces; pivot "$1" true' - "$root"
	prints '' unshare --map-root-user --pid --fork --mount-proc --net --ipc sh -c 'echo 99 >/proc/sys/user/max_mnt_namespaces; pivot "$1" true' - "$root"
}

# ---- --bare and --privileged

@test "--bare: the host's capabilities, environment and devices; no /proc" {
	export CANARY=seen
	prints $'seen\n0' pivot --bare "$root" sh -c 'echo $CANARY; ls /proc | wc -l'
	small_root tree
	mknod tree/zero c 1 5
	prints '' pivot --bare tree sh -c ': </zero'
	run pivot tree sh -c ': </zero'
	[ "$status" = 1 ]
	[[ $output == *'Permission denied' ]]
	prints 'tmpfs' pivot --bare --bind /proc:/proc "$root" sh -c 'mount -t tmpfs x /mnt && grep -o " /mnt tmpfs" /proc/mounts | cut -d" " -f3'
	prints / pivot --bare "$root" pwd
	fails_with 1 'touch: /x: Read-only file system' pivot --bare --read-only "$root" touch /x
}

@test "--privileged: all capabilities, the host's /dev and /sys; the environment is cleared all the same" {
	export SECRET=hidden
	same "$(grep -E '^(CapEff|NoNewPrivs)' /proc/self/status)" "$(contain --privileged "$root" grep -E '^(CapEff|NoNewPrivs)' /proc/self/status)"
	prints '' contain --privileged "$root" sh -c 'test -e /dev/loop-control && test -d /sys/kernel && echo $SECRET | tr -d "\n"'
	run ! contain "$root" test -e /dev/loop-control
	fails_with 125 "pivot: the argument '--privileged' cannot be used with '--cap-drop <CAP>'
pivot: hint: pivot --help lists what it takes" pivot --privileged --cap-drop ALL "$root" true
}

# ---- rootless

@test "rootless: a container as nobody, with nothing but nsexec -r" {
	prints $'0 0\nCapEff:00000000000004fb\nCapBnd:00000000000004fb\nNoNewPrivs:1\n1' as_nobody_in nsexec -r --pid --net --ipc -- pivot "$root" sh -c \
		'echo $(id -u) $(id -g); grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status | tr -d "\t"; echo $$'
	run ! as_nobody_in nsexec -r --pid --net --ipc -- pivot "$root" touch /new
	prints '' as_nobody_in nsexec -r --pid --net --ipc -- pivot --tmpfs /tmp "$root" touch /tmp/new
}

@test "rootless: without --pid, with mount points missing, and another user: each cause is named" {
	fails_with 125 "$(said 'fsconfig("proc" on "proc", FSCONFIG_CMD_CREATE): Operation not permitted (EPERM)' "$PLACE_WHY" \
		'a user namespace may mount this only for a namespace it owns: nsexec -r --pid --net --ipc -- pivot …')" \
		as_nobody_in nsexec -r -- pivot "$root" true
	small_root tree
	rmdir tree/proc
	fails_with 125 "$(said 'mkdirat("proc" below the new root): Permission denied (EACCES)' "$PLACE_WHY" \
		'"/proc" is missing and this user may not make it: make the directory in ROOT first')" \
		as_nobody_in nsexec -r --pid --net --ipc -- pivot tree true
	fails_with 125 "$(said 'setresgid(1000, 1000, 1000): Invalid argument (EINVAL)' 'be who was asked for' \
		'the user namespace maps no such id: see /proc/self/uid_map')" \
		as_nobody_in nsexec -r --pid --net --ipc -- pivot --user 1000 "$root" true
	prints 0 as_nobody_in nsexec -r --pid --net --ipc -- pivot --user 0 "$root" id -u
}

# ---- to the end

@test "C14: kill -9 of nsexec ends the program at once, after any change of ids" {
	own_image
	for options in --cap-drop=KILL --user=1000 --user=user:tty --userns=auto '--userns=auto --user=1000'; do
		# shellcheck disable=SC2086
		start_inside nsexec --pid --net -- pivot $options img
		kill -9 "$started"
		finish
		end=$((SECONDS + 5))
		until gone "$inside"; do [ "$SECONDS" -lt "$end" ] || fail "$options: it lives" || return; done
		until_true no_loop
	done
}

@test "C14: --join and a change of ids: the program still dies with who waits for it" {
	start_sleeper --pid --net
	first=$started
	# Its parent waits outside, so the kernel ends it by PDEATHSIG alone.
	start nsexec --pid="$slept" -- pivot --user 1000 "$root" /bin/sleep 1000
	second=$started
	until_true find_inside
	kill -9 "$second"
	finish "$second"
	until_true gone "$inside"
	[ "$(program "$slept")" = sleeper ]
	kill -9 "$slept"
	finish "$first"
}

@test "on a terminal, without processes of its own, one line says that this is no boundary" {
	notice=$'pivot: this shares the host\'s processes and is no boundary: nsexec --pid -- pivot … gives it its own\r'
	[ "$(script -qec "pivot $root true" /dev/null)" = "$notice" ]
	[ -z "$(script -qec "nsexec --pid -- pivot $root true" /dev/null)" ]
	[ -z "$(script -qec "pivot --bare $root true" /dev/null)" ]
	[ -z "$(pivot "$root" true 2>&1)" ]
}
