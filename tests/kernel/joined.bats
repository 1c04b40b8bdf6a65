#!/usr/bin/env bats
# nsexec on the kernel it is for: namespaces that are there, joined one by one, and users. Run by: tests/run kernel joined

# Options are lists of words, commands in single quotes are for other shells, lib.bash sets variables, and every test is
# a subshell:
# shellcheck disable=SC2016,SC2026,SC2030,SC2031,SC2046,SC2086,SC2094,SC2119,SC2154

load lib.bash
load namespaces.bash

KINDS='mount uts ipc net pid user cgroup'

# ---- joining

@test "each kind is joined, by PID and by file; no other kind comes along" {
	for kind in mount uts ipc net cgroup; do
		rm -f held
		hold "--$kind"
		touch file
		mount --bind "/proc/$held/ns/${kind/mount/mnt}" file 2>bind || {
			# A mount namespace cannot be bound in a mount namespace that is not its elder.
			ln -sf "/proc/$held/ns/mnt" file
		}
		for value in "$held" ./file; do
			inside=$(nsexec "--$kind=$value" -- show-namespaces)
			for other in $KINDS; do
				now=$(grep "^${other/mount/mnt}:" <<<"$inside")
				wanted=$(namespace "$other")
				[ "$other" != "$kind" ] || wanted=$(namespace "$kind" "$held")
				[ "$now" = "$wanted" ] || fail "--$kind=$value: $other is $now, not $wanted"
			done
		done
		umount file 2>umount || rm file
		release
	done
}

@test "a PID namespace is joined by its child: born there, its own number there" {
	hold --pid --fork
	for value in "$held" "/proc/$held/ns/pid"; do
		[ "$(nsexec --pid="$value" -- readlink /proc/self/ns/pid)" = "$(readlink "/proc/$held/ns/pid")" ]
		[ "$(nsexec --pid="$value" -- sh -c 'echo $$')" -gt 1 ]
	done
	[ "$(readlink "/proc/$held/ns/pid")" != "$(namespace pid)" ]
	release
}

@test "a user namespace of somebody else is joined by root, as root of it" {
	chmod 777 .
	start setpriv --reuid=65534 --regid=65534 --clear-groups unshare --map-root-user --net sh -c 'touch held; exec sleeper 1000'
	until_true exists held
	held=$started
	run nsexec --user="$held" --net="$held" -- sh -c 'id -u; id -g; cat /proc/self/uid_map; readlink /proc/self/ns/user /proc/self/ns/net'
	[ "${lines[0]} ${lines[1]}" = "0 0" ]
	[ "$(xargs <<<"${lines[2]}")" = "0 65534 1" ]
	[ "${lines[3]}" = "$(namespace user "$held")" ]
	[ "${lines[4]}" = "$(namespace net "$held")" ]
	release
}

@test "a user namespace of one's own is joined without root, and gives what it takes to join the rest" {
	start setpriv --reuid=65534 --regid=65534 --clear-groups unshare --map-root-user --net --uts sh -c 'touch held; exec sleeper 1000'
	until_true exists held
	held=$started
	run as_nobody nsexec --user="$held" --net="$held" --uts="$held" -- sh -c 'id -u; hostname inner; hostname; readlink /proc/self/ns/net'
	[ "$output" = "0"$'\n'inner$'\n'"$(namespace net "$held")" ] || fail "$output"
	[ "$(hostname)" = world ]
	# Alone it is refused, with the cause.
	fails_with 125 "nsexec: setns(\"/proc/$held/ns/net\", CLONE_NEWNET): Operation not permitted (EPERM)
nsexec: while: use the interfaces, routes and sockets of that namespace
nsexec: hint: joining takes root over the user namespace that owns it: run it as root, or join that one too with --user=PID" \
		as_nobody nsexec --net="$held" -- touch ran
	release
}

@test "--mount=PID: the program is looked up in the mounts that are joined" {
	mkdir dir
	start unshare --mount --propagation private sh -c 'mount -t tmpfs none dir; cp /bin/busybox dir/echo; touch held; exec sleeper 1000'
	until_true exists held
	held=$started
	run nsexec --mount="$held" -- "$PWD/dir/echo" found
	[ "$status $output" = "0 found" ] || fail "$status $output"
	run -127 nsexec --mount -- "$PWD/dir/echo" found
	release
}

@test "what is joined must be a namespace, of that kind, and there" {
	fails_with 125 'nsexec: open("/proc/4194304/ns/net"): No such file or directory (ENOENT)
nsexec: while: a namespace is joined through its file
nsexec: hint: there is no process 4194304 here' nsexec --net=4194304 -- touch ran
	fails_with 125 'nsexec: open("no/such"): No such file or directory (ENOENT)
nsexec: while: a namespace is joined through its file
nsexec: hint: a value joins a namespace that exists; --net alone makes a new one' nsexec --net=no/such -- touch ran
	touch plain
	fails_with 125 'nsexec: "plain": not a namespace
nsexec: while: a namespace is joined through its file
nsexec: hint: a value joins, as in nsenter(1): /proc/PID/ns/net, or a file it is bound on, until a restart; --net --keep DIR makes one and binds it on DIR/net' nsexec --net=plain -- touch ran
	fails_with 125 'nsexec: setns("/proc/self/ns/uts", CLONE_NEWNET): Invalid argument (EINVAL)
nsexec: while: use the interfaces, routes and sockets of that namespace
nsexec: hint: "/proc/self/ns/uts" is a namespace of another kind than net' nsexec --net=/proc/self/ns/uts -- touch ran
	fails_with 125 'nsexec: setns("/proc/self/ns/user", CLONE_NEWUSER): Invalid argument (EINVAL)
nsexec: while: have the ids and capabilities that namespace gives
nsexec: hint: this process is in that user namespace already' nsexec --user=/proc/self/ns/user -- touch ran
	fails_with 125 'nsexec: --net= has an empty value
nsexec: hint: is the variable after it unset? --net alone makes a new namespace, --net=FILE or --net=PID joins one' \
		nsexec --net= -- touch ran
	[ ! -e ran ]
}

@test "a PID namespace whose first process has ended takes nobody in" {
	hold --pid --fork
	exec 9<"/proc/$held/ns/pid"
	release
	fails_with 125 'nsexec: clone(SIGCHLD): Cannot allocate memory (ENOMEM)
nsexec: while: a PID namespace that is joined takes in children only, so the program must be one
nsexec: hint: the PID namespace is dead: its first process has ended, and it takes no others; one that is kept lives as long as that, so let it stay: nsexec --pid --init --keep DIR -- sleep infinity' \
		nsexec --pid=/dev/fd/9 -- touch ran
	exec 9<&-
}

# ---- users

@test "-r: root inside, nobody outside, with every capability and no groups to set" {
	run as_nobody nsexec -r -- sh -c 'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch made; grep CapEff /proc/self/status'
	[ "$status" = 0 ] || fail "$output"
	[ "$(xargs <<<"${lines[*]:0:5}")" = "0 0 0 65534 1 0 65534 1 deny" ] || fail "$output"
	[[ ${lines[5]} = CapEff:*ffffffffff ]]
	[ "$(stat -c %u made)" = 65534 ]
}

@test "-r: what root of a user namespace may do, it may: every kind at once" {
	run as_nobody nsexec -r --all --mount-proc --hostname box -- sh -c 'hostname; echo $$ /proc/[0-9]*; ip -o link | cut -d: -f2; mount -t tmpfs none /mnt && echo mounted'
	[ "$output" = "box"$'\n'"1 /proc/1"$'\n'" lo"$'\n'mounted ] || fail "$output"
}

@test "not root and no -r: refused, and the cure is named" {
	fails_with 125 'nsexec: unshare(CLONE_NEWNET): Operation not permitted (EPERM)
nsexec: while: a network of its own: no interface but lo, no route, no rule, none of the host'\''s sockets
nsexec: hint: making namespaces takes root (CAP_SYS_ADMIN): run it as root, or add -r to be root in a user namespace' \
		as_nobody nsexec --net -- touch ran
	fails_with 125 'nsexec: clone(CLONE_NEWPID|SIGCHLD): Operation not permitted (EPERM)
nsexec: while: a process keeps the number it was born with: the first one born in a new PID namespace is its PID 1
nsexec: hint: making namespaces takes root (CAP_SYS_ADMIN): run it as root, or add -r to be root in a user namespace' \
		as_nobody nsexec --pid -- touch ran
	[ ! -e ran ]
}

@test "a limit that forbids namespaces is named" {
	# The limit is that of the user namespace, so of one of our own.
	run --separate-stderr unshare --map-root-user sh -c 'echo 0 >/proc/sys/user/max_net_namespaces && exec nsexec --net -- true'
	[ "$status" = 125 ]
	[ "${stderr_lines[0]}" = "nsexec: unshare(CLONE_NEWNET): No space left on device (ENOSPC)" ]
	[ "${stderr_lines[2]}" = "nsexec: hint: /proc/sys/user/max_net_namespaces forbids it: sysctl user.max_net_namespaces=1000" ]
}

@test "-r --mount-proc without --pid is refused by the kernel, and why is said" {
	fails_with 125 'nsexec: mount("proc", "/proc", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL): Operation not permitted (EPERM)
nsexec: while: ps reads /proc: it needs one that shows this PID namespace
nsexec: hint: a user namespace may mount /proc only over a whole one, and for a PID namespace of its own: add --pid; where /proc has masked files, as in a container, it cannot' \
		as_nobody nsexec -r --mount-proc -- touch ran
}
