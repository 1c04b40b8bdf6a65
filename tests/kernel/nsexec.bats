#!/usr/bin/env bats
# nsexec on the kernel it is for: what it makes new, line by line of its manual, with its negative twin. Run by: tests/run kernel nsexec

# Options are lists of words, commands in single quotes are for other shells, lib.bash sets variables, and every test is
# a subshell:
# shellcheck disable=SC2016,SC2026,SC2030,SC2031,SC2046,SC2086,SC2094,SC2119,SC2154

load lib.bash
load namespaces.bash

KINDS='mount uts ipc net pid user cgroup'

# ---- new namespaces

@test "each kind alone is new, and every other stays the caller's" {
	for kind in $KINDS; do
		inside=$(nsexec "--$kind" -- show-namespaces)
		for other in $KINDS; do
			now=$(grep "^${other/mount/mnt}:" <<<"$inside")
			if [ "$other" = "$kind" ]; then
				[ "$now" != "$(namespace "$other")" ] || fail "--$kind made none"
			else
				[ "$now" = "$(namespace "$other")" ] || fail "--$kind made a $other namespace too"
			fi
		done
	done
}

@test "the short options are unshare's" {
	for pair in mount:m uts:u ipc:i net:n pid:p user:U cgroup:C; do
		[ "$(nsexec "-${pair#*:}" -- readlink "/proc/self/ns/${pair%:*}" "/proc/self/ns/mnt" | head -n 1)" != "$(namespace "${pair%:*}")" ] || fail "$pair"
	done
}

@test "--all is every kind but user, and time" {
	inside=$(nsexec --all -- show-namespaces)
	for kind in $KINDS time; do
		now=$(grep "^${kind/mount/mnt}:" <<<"$inside")
		case $kind in
		user | time) [ "$now" = "$(namespace "$kind")" ] || fail "$kind is new" ;;
		*) [ "$now" != "$(namespace "$kind")" ] || fail "$kind is the caller's" ;;
		esac
	done
}

@test "without an option nothing is new, and no process is added" {
	run sh -c 'echo $$; exec nsexec --uts -- sh -c "echo \$\$"'
	[ "${lines[0]}" = "${lines[1]}" ]
	run sh -c 'echo $$; exec nsexec --pid -- sh -c "readlink /proc/self"'
	[ "${lines[0]}" != "${lines[1]}" ]
	[ "$(nsexec -- show-namespaces)" = "$(namespaces_of self)" ]
}

@test "a bare --net makes one and leaves the next word alone" {
	[ "$(nsexec --net echo hello)" = hello ]
	[ "$(nsexec --net -- echo -n hello)" = hello ]
}

# ---- process numbers

@test "--pid: the program is process 1; without it, it is not" {
	[ "$(nsexec --pid -- sh -c 'echo $$')" = 1 ]
	[ "$(nsexec --mount -- sh -c 'echo $$')" != 1 ]
}

@test "--pid: three levels deep a process has four numbers" {
	numbers=$(nsexec --pid -- nsexec --pid -- nsexec --pid -- grep ^NSpid: /proc/self/status)
	# Here; beside two waiting parents; beside one; alone.
	[[ $numbers =~ ^NSpid:$'\t'[0-9]+$'\t'3$'\t'2$'\t'1$ ]] || fail "$numbers"
	[[ $(grep ^NSpid: /proc/self/status) =~ ^NSpid:$'\t'[0-9]+$ ]]
}

@test "--pid: who is above sees, stops and kills who is below; who is below finds nobody above" {
	start_sleeper --pid --mount-proc
	[ "$(program "$slept")" = sleeper ]
	kill -STOP "$slept"
	until_true is_in_state "$slept" T
	kill -CONT "$slept"
	fails_with 1 "sh: 1: kill: No such process" nsexec --pid --mount-proc -- sh -c "kill -9 $slept"
	run ! nsexec --pid --mount-proc -- test -e "/proc/$slept"
	nsexec --pid -- test -e "/proc/$slept"
	kill -9 "$slept"
	finish
	[ "$status" = 137 ]
}

@test "--mount-proc shows the new processes only; without it /proc is the caller's" {
	[ "$(nsexec --pid --mount-proc -- sh -c 'echo /proc/[0-9]*')" = /proc/1 ]
	[ "$(nsexec --pid -- sh -c 'echo /proc/[0-9]*')" != /proc/1 ]
	[ -d "/proc/$$" ]
}

@test "--mount-proc implies --mount, is nosuid, nodev and noexec, and the caller's /proc stays" {
	before=$(grep ' /proc ' /proc/self/mountinfo)
	run nsexec --pid --mount-proc -- sh -c 'readlink /proc/self/ns/mnt; grep " /proc " /proc/mounts | tail -n 1'
	[ "${lines[0]}" != "$(namespace mount)" ]
	[ "${lines[1]}" = "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0" ]
	[ "$(grep ' /proc ' /proc/self/mountinfo)" = "$before" ]
}

@test "--mount-proc=DIR mounts there and nowhere else" {
	mkdir here
	run nsexec --pid --mount-proc=here -- sh -c 'echo here/[0-9]*; [ -d "/proc/$1" ] && echo both' - "$$"
	[ "$output" = "here/1"$'\n'both ] || fail "$output"
	[ -z "$(ls here)" ]
}

@test "--mount-proc=DIR that is not there: said, and nothing runs" {
	fails_with 125 'nsexec: mount("proc", "no", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL): No such file or directory (ENOENT)
nsexec: while: ps reads /proc: it needs one that shows this PID namespace
nsexec: hint: "no" is not a directory' nsexec --pid --mount-proc=no -- touch ran
	[ ! -e ran ]
}

# ---- network

@test "--net: only lo, and it is up and answers; the caller's links are not there" {
	ip link add "v$$" type veth peer name "w$$"
	[ "$(nsexec --net -- ip -o link | cut -d: -f2)" = " lo" ]
	[[ $(nsexec --net -- ip -o addr) = *' 127.0.0.1/8 '* ]]
	[[ $(nsexec --net -- ip -o link) = *UP,LOWER_UP* ]]
	[[ $(nsexec --mount -- ip -o link) = *" v$$@w$$:"* ]]
	ip link del "v$$"
}

@test "--no-lo leaves it down" {
	[[ $(nsexec --net --no-lo -- ip -o link show lo) = *'<LOOPBACK>'* ]]
	[ -z "$(nsexec --net --no-lo -- ip -o addr)" ]
}

@test "--net: every group may ping, every user listen on low ports; the caller's settings stay" {
	settings='cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start'
	before=$($settings)
	[ "$(nsexec --net -- $settings)" = "0"$'\t'"2147483647"$'\n'0 ]
	[ "$(nsexec -r --net -- $settings)" = "0"$'\t'"0"$'\n'0 ]
	[ "$($settings)" = "$before" ]
	[ "$before" != "0"$'\t'"2147483647"$'\n'0 ]
	# Listening is not refused: it lasts until it is ended.
	run nsexec --net -- setpriv --reuid=65534 --clear-groups --bounding-set=-all timeout 0.5 busybox nc -l -p 80
	[ "$status" = 124 ] || fail "$status $output"
	run unshare --net setpriv --reuid=65534 --clear-groups --bounding-set=-all timeout 0.5 busybox nc -l -p 80
	[ "$status" = 1 ] || fail "$status $output"
}

@test "--net in a user namespace without ids: no group can be let ping, and nothing is said" {
	run --separate-stderr nsexec --user --net -- ip -o addr
	[ "$status" = 0 ]
	[ -z "$stderr" ] || fail "$stderr"
	[[ $output = *' 127.0.0.1/8 '* ]]
}

# ---- mounts

# Runs a bash script where mounts are shared, as on a machine with systemd; `dir` is a directory.
where_mounts_are_shared() {
	mkdir -p dir
	unshare --mount --propagation shared "$BASH" -euc "$1"
}

# Prints yes where a tmpfs is mounted on dir.
IS_MOUNTED='grep -q " $PWD/dir " /proc/self/mountinfo && echo yes || echo no'

@test "what is mounted inside does not appear outside, though the mounts outside are shared" {
	[ "$(where_mounts_are_shared "nsexec --mount -- mount -t tmpfs none dir; $IS_MOUNTED")" = no ]
	[ "$(where_mounts_are_shared "nsexec --mount -- sh -c 'mount -t tmpfs none dir; $IS_MOUNTED'")" = yes ]
}

@test "--propagation shared, and unchanged: it does appear" {
	for how in shared unchanged; do
		[ "$(where_mounts_are_shared "nsexec --mount --propagation $how -- mount -t tmpfs none dir; $IS_MOUNTED")" = yes ] || fail "$how"
	done
	# Without a new mount namespace it is the caller's anyway.
	[ "$(where_mounts_are_shared "nsexec --uts -- mount -t tmpfs none dir; $IS_MOUNTED")" = yes ]
}

@test "--propagation slave: mounts come in, and do not go out; private: neither" {
	for pair in slave:yes private:no; do
		rm -f ready go
		answer=$(where_mounts_are_shared "nsexec --mount --propagation ${pair%:*} -- sh -c 'echo >ready; until [ -e go ]; do sleep 0.02; done; $IS_MOUNTED' &
			until [ -e ready ]; do sleep 0.02; done
			mount -t tmpfs none dir
			touch go
			wait")
		[ "$answer" = "${pair#*:}" ] || fail "$pair: $answer"
		[ "$(where_mounts_are_shared "nsexec --mount --propagation ${pair%:*} -- mount -t tmpfs none dir; $IS_MOUNTED")" = no ] || fail "$pair goes out"
	done
}

# ---- host name

@test "--hostname names the new UTS namespace, and the machine keeps its name" {
	[ "$(nsexec --uts --hostname box -- hostname)" = box ]
	[ "$(nsexec --uts -- hostname)" = world ]
	[ "$(hostname)" = world ]
}

@test "--hostname without --uts is refused: it would rename the machine" {
	fails_with 125 'nsexec: --hostname would rename this host
nsexec: hint: add --uts for a host name of its own, or --uts=PID to rename that namespace' \
		nsexec --mount --hostname box -- touch ran
	[ ! -e ran ]
	[ "$(hostname)" = world ]
}

@test "--hostname with --uts=PID renames that namespace" {
	hold --uts
	[ "$(nsexec --uts="$held" --hostname other -- hostname)" = other ]
	[ "$(nsexec --uts="$held" -- hostname)" = other ]
	[ "$(hostname)" = world ]
	release
}

@test "a host name that is too long: said, and nothing is left of the fork either" {
	name=$(printf 'x%.0s' $(seq 65))
	fails_with 125 "nsexec: sethostname(\"$name\"): Invalid argument (EINVAL)
nsexec: while: the name it answers to in here
nsexec: hint: a host name has at most 64 bytes, this one 65" nsexec --pid --uts --hostname "$name" -- touch ran
	[ ! -e ran ]
}

# ---- what is said on a terminal

@test "on a terminal --pid without its own /proc says so, once; elsewhere nothing is said" {
	script -qec 'nsexec --pid -- true' screen >/dev/null </dev/null
	grep -q "nsexec: /proc still shows the host's processes; --mount-proc gives ps one of its own" screen
	script -qec 'nsexec --pid --mount-proc -- true' screen >/dev/null </dev/null
	run ! grep nsexec: screen
	run nsexec --pid -- true
	[ -z "$output" ]
}
