#!/usr/bin/env bats
# nsexec on the kernel it is for: every line of its manual with its negative twin. Run by: tests/run kernel nsexec

# Options are lists of words, commands in single quotes are for other shells, lib.bash sets variables, and every test is
# a subshell:
# shellcheck disable=SC2016,SC2026,SC2030,SC2031,SC2046,SC2086,SC2094,SC2119,SC2154

load lib.bash
load namespaces.bash

setup_file() {
	setup_world_file
}

setup() {
	setup_world
}

teardown() {
	nothing_left
}

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

# ---- exit status

@test "the program's exit status is nsexec's, forked or not" {
	for options in --pid --uts; do
		for wanted in 0 1 7 125 126 127 255; do
			run "-$wanted" nsexec $options -- sh -c "exit $wanted"
		done
	done
}

@test "a program that dies of a signal is reported as 128 and the signal, forked or not" {
	for signal in TERM:143 SEGV:139 KILL:137 INT:130; do
		run nsexec --uts -- sh -c "kill -${signal%:*} \$\$"
		[ "$status" = "${signal#*:}" ] || fail "exec: $signal $status"
		# PID 1 cannot kill itself, so another is asked about.
		hold --pid --fork
		run nsexec --pid="$held" -- sh -c "kill -${signal%:*} \$\$"
		[ "$status" = "${signal#*:}" ] || fail "fork: $signal $status"
		rm held
		release
	done
}

@test "no such program: 127, before anything is done" {
	PATH=/nowhere:/usr/bin fails_with 127 'nsexec: execve("nosuch"): No such file or directory (ENOENT)
nsexec: while: become the program: same process, same number, another life
nsexec: hint: not in any directory of PATH=/nowhere:/usr/bin' "$BIN/nsexec" --pid --pid-file pid -- nosuch
	fails_with 127 'nsexec: execve("./nosuch"): No such file or directory (ENOENT)
nsexec: while: become the program: same process, same number, another life
nsexec: hint: there is no such file' nsexec --pid --pid-file pid -- ./nosuch
	[ ! -e pid ]
	run -127 strace -f -o calls -e trace=unshare,clone,clone3,fork,vfork nsexec --pid --net -- nosuch
	run ! grep -v '+++' calls
}

# cannot_run FILE ERRNO HINT: running FILE is 126 with that text.
cannot_run() {
	fails_with 126 "nsexec: execve(\"$1\"): $2
nsexec: while: become the program: same process, same number, another life
nsexec: hint: $3" nsexec --pid --pid-file pid -- "$1" || fail "$1"
	[ ! -e pid ]
}

@test "a program that is there and cannot run: 126, and the reason" {
	printf 'echo hello\n' >plain
	printf '#!/bin/sh\n' >not-executable
	printf '#!/no/such/sh -e\n' >no-interpreter
	printf '#!/bin/sh\r\necho hello\r\n' >crlf
	: >empty
	printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\363\0\1\0\0\0%048d' 0 >riscv
	sed 's|/lib64/ld-linux-x86-64.so.2|/lib64/no-linux-x86-64.so.2|' /bin/true >no-loader
	mkdir directory
	chmod 755 plain no-interpreter crlf empty riscv no-loader
	chmod 644 not-executable
	cannot_run ./not-executable 'Permission denied (EACCES)' 'it may not be executed: chmod +x ./not-executable'
	cannot_run ./directory 'Permission denied (EACCES)' '"./directory" is a directory'
	cannot_run ./no-interpreter 'No such file or directory (ENOENT)' 'the file is there; its interpreter "/no/such/sh" is not'
	cannot_run ./no-loader 'No such file or directory (ENOENT)' 'the file is there; its interpreter "/lib64/no-linux-x86-64.so.2" is not'
	cannot_run ./crlf 'No such file or directory (ENOENT)' 'its lines end in CR LF, so it asks for the interpreter "/bin/sh\r": remove the CRs'
	if [ ! -e /proc/sys/fs/binfmt_misc/status ]; then
		cannot_run ./empty 'Exec format error (ENOEXEC)' 'the file is empty'
		cannot_run ./plain 'Exec format error (ENOEXEC)' 'it is no ELF program, and its first line does not name an interpreter as in #!/bin/sh'
		cannot_run ./riscv 'Exec format error (ENOEXEC)' 'it is a program for riscv; this kernel runs x86_64'
	fi
}

@test "after each failure past the fork the child is gone, and so is the pid file" {
	run nsexec --pid --pid-file pid --mount-proc=no -- touch ran
	[ "$status" = 125 ]
	[ ! -e pid ] && [ ! -e ran ]
	run --separate-stderr nsexec --pid --pid-file no/pid -- touch ran
	[ "$status" = 125 ]
	[ "${stderr_lines[0]}" = 'nsexec: write("no/pid", PID): No such file or directory (ENOENT)' ]
	[ ! -e ran ]
}

# ---- signals

@test "TERM, and each other ending signal, ends a process 1 that has no handler" {
	for signal in TERM:143 INT:130 QUIT:131 HUP:129 USR1:138 USR2:140 ALRM:142; do
		start_sleeper --pid
		kill "-${signal%:*}" "$started"
		finish
		[ "$status" = "${signal#*:}" ] || fail "$signal: $status"
		gone "$slept" || fail "$signal: the program lives on"
	done
}

@test "a signal sent to nsexec reaches a handler in the program, once" {
	for signal in TERM INT HUP USR1 WINCH TSTP CONT; do
		rm -f ready log
		start nsexec --pid -- "$BASH" -c "trap 'echo $signal >>log' $signal; trap 'exit 3' USR2; touch ready; while :; do sleep 0.02; done"
		until_true exists ready
		kill "-$signal" "$started"
		until_true exists log
		kill -USR2 "$started"
		finish
		[ "$status $(cat log)" = "3 $signal" ] || fail "$signal: $status $(cat log)"
	done
}

@test "a signal that the program ignores does nothing" {
	start nsexec --pid -- sh -c "trap '' TERM; touch ready; exec sleeper 1000"
	until_true exists ready
	until_true runs_program "$(child "$started")" sleeper
	kill -TERM "$started"
	sleep 0.3
	[ -z "$(gone "$started" && echo gone)" ]
	kill -INT "$started"
	finish
	[ "$status" = 130 ]
}

@test "the program's own status counts, though a signal came when it had just ended" {
	start nsexec --pid -- "$BASH" -c "trap 'exit 3' USR1; touch ready; while :; do sleep 0.02; done"
	until_true exists ready
	shell=$(child "$started")
	# As with Ctrl-C, both get it; here the program is sure to be first.
	kill -STOP "$started"
	until_true is_in_state "$started" T
	kill -USR1 "$shell"
	until_true is_in_state "$shell" Z
	kill -USR1 "$started"
	kill -CONT "$started"
	finish
	[ "$status" = 3 ] || fail "$status"
}

@test "TSTP stops both, CONT continues both" {
	start_sleeper --pid
	kill -TSTP "$started"
	until_true is_in_state "$started" T
	until_true is_in_state "$slept" T
	kill -CONT "$started"
	until_true is_in_state "$started" S
	until_true is_in_state "$slept" S
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
}

@test "a joined program that stops itself, as editors do, stops nsexec too; both go on" {
	hold --pid --fork
	first=$started
	# A job of its own: in a process group that no shell looks after the kernel ignores TSTP.
	set -m
	start nsexec --pid="$held" -- sh -c 'kill -TSTP $$; exit 4'
	set +m
	until_true is_in_state "$started" T
	is_in_state "$(child "$started")" T
	kill -CONT "$started"
	finish
	[ "$status" = 4 ] || fail "$status"
	kill -9 "$held"
	finish "$first"
}

@test "Ctrl-C ends a process 1 that has no handler" {
	start_on_terminal "nsexec --pid -- sh -c 'touch ready; exec sleeper 1000'"
	until_true exists ready
	press '\003'
	finish_terminal
	[ "$status" = 130 ] || fail "$status"
}

@test "Ctrl-C reaches a handler once: the terminal delivered it, nsexec does not again" {
	start_on_terminal "nsexec --pid -- bash -c 'trap \"echo INT >>log\" INT; touch ready; until [ -e stop ]; do sleep 0.05; done; exit 5'"
	until_true exists ready
	press '\003'
	until_true exists log
	sleep 0.5
	touch stop
	finish_terminal
	[ "$status $(cat log)" = "5 INT" ] || fail "$status $(cat log)"
}

@test "Ctrl-Z gives the shell its terminal back, fg goes on" {
	start_on_terminal "bash --norc --noprofile -i"
	press 'PS1= ; nsexec --pid -- sleeper 1000\n'
	until_true pgrep -x sleeper
	sleeper=$(pgrep -x sleeper)
	waiting=$(parent "$sleeper")
	press '\032'
	until_true is_in_state "$sleeper" T
	until_true is_in_state "$waiting" T
	press 'jobs >jobs; touch stopped\n'
	until_true exists stopped
	grep -q Stopped jobs
	press 'fg\n'
	until_true is_in_state "$sleeper" S
	until_true is_in_state "$waiting" S
	press '\003'
	until_true gone "$waiting"
	press 'echo $? >status; exit\n'
	finish_terminal
	[ "$(cat status)" = 130 ] || fail "$(cat status)"
}

@test "under nohup a hang-up does nothing" {
	start env --ignore-signal=HUP nsexec --pid sleeper 1000
	until_true has_child "$started"
	until_true runs_program "$(child "$started")" sleeper
	kill -HUP "$started"
	sleep 0.3
	is_in_state "$started" S
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
}

@test "the status is right though the caller ignores SIGCHLD, or blocks every signal" {
	run env --ignore-signal=CHLD nsexec --pid -- sh -c 'exit 7'
	[ "$status" = 7 ]
	run env --block-signal nsexec --pid -- sh -c 'exit 7'
	[ "$status" = 7 ]
}

@test "signals reach the program as they were inherited: ignored, blocked, default" {
	for state in --default-signal --ignore-signal=PIPE --ignore-signal=PIPE,CHLD,HUP,INT,TSTP --block-signal=TERM,CHLD,USR1 --block-signal --default-signal=PIPE; do
		wanted=$(env "$state" grep '^Sig[BIC]' /proc/self/status)
		for options in --uts --pid '--pid -- nsexec --pid -- nsexec --net'; do
			same "$wanted" "$(env "$state" nsexec $options -- grep '^Sig[BIC]' /proc/self/status)" || fail "$state $options"
		done
	done
}

@test "a closed pipe ends the program as it does without nsexec" {
	nsexec --pid -- sh -c 'yes; echo $? >status' | head -n 1
	until_true exists status
	[ "$(cat status)" = 141 ]
}

# ---- death

@test "kill -9 of nsexec kills the whole tree" {
	start nsexec --pid --mount-proc -- sh -c 'sleeper 1000 & sleeper 1000 & touch ready; wait'
	until_true exists ready
	[ "$(pgrep -cx sleeper)" = 2 ]
	kill -9 "$started"
	finish
	until_true no_process_left
}

@test "kill -9 of the parent of nsexec kills it and the whole tree" {
	start sh -c 'nsexec --pid -- sh -c "sleeper 1000 & touch ready; wait" & wait'
	until_true exists ready
	[ "$(pgrep -cx sleeper)" = 1 ]
	kill -9 "$started"
	finish
	until_true no_process_left
}

@test "kill -9 of a joined program's nsexec kills the program, and not its neighbours" {
	hold --pid --fork
	first=$started
	start nsexec --pid="$held" -- sleeper 1000
	until_true has_child "$started"
	joined=$(child "$started")
	until_true runs_program "$joined" sleeper
	kill -9 "$started"
	finish
	until_true gone "$joined"
	is_in_state "$held" S
	kill -9 "$held"
	finish "$first"
}

@test "kill -9 of either process at a random moment leaves nothing" {
	for ((round = 0; round < ROUNDS; round++)); do
		start nsexec --pid --net --mount-proc -- nsexec --pid -- sleeper 1000
		sleep "0.00$((RANDOM % 10))"
		victim=$started
		if [ $((RANDOM % 2)) = 1 ]; then
			victim=$(child "$started")
		fi
		kill -9 "${victim:-$started}" 2>/dev/null || kill -9 "$started"
		[ "$victim" = "$started" ] || [ -z "$victim" ] || wait "$started" || :
	done
	until_true no_process_left
}

# ---- together with others

@test "--ready-fd: the program's number as the caller sees it, once all is set up, then the end" {
	mkfifo ready
	start sh -c 'exec nsexec --pid --net --ready-fd 5 -- sleeper 1000 5>ready'
	read -r number <ready
	[ "$number" = "$(child "$started")" ]
	[[ $(nsenter -t "$number" --net ip -o addr) = *' 127.0.0.1/8 '* ]]
	kill -TERM "$started"
	finish
}

@test "--ready-fd: who reads it to the end waits no longer than until all is set up" {
	mkfifo ready
	start sh -c 'exec nsexec --pid --ready-fd 5 -- sleeper 1000 5>ready'
	run timeout 10 cat ready
	[ "$status" = 0 ]
	[ "$output" = "$(child "$started")" ]
	is_in_state "$started" S
	kill -TERM "$started"
	finish
}

@test "--ready-fd without a fork: its own number" {
	mkfifo ready
	start sh -c 'exec nsexec --net --ready-fd 5 -- sleeper 1000 5>ready'
	[ "$(cat ready)" = "$started" ]
	kill -9 "$started"
	finish
}

@test "--ready-fd: when it fails before, the reader gets the end and no number" {
	run sh -c 'nsexec --pid --mount-proc=no --ready-fd 5 -- true 5>&1 >/dev/null 2>/dev/null'
	[ -z "$output" ]
}

@test "--wait-fd: the program starts when the other end is closed, and not before" {
	for options in --pid --net; do
		rm -rf go ran
		mkfifo go
		start sh -c "exec nsexec $options --wait-fd 6 -- touch ran 6<go"
		exec 8>go
		sleep 0.4
		[ ! -e ran ] || fail "$options: it ran"
		exec 8>&-
		finish
		[ "$status" = 0 ] || fail "$options: $status"
		[ -e ran ]
	done
}

@test "--ready-fd and --wait-fd together: the caller does its work in between" {
	mkfifo ready go
	start sh -c 'exec nsexec --pid --net --ready-fd 5 --wait-fd 6 -- ip -o link 6<go 5>ready >links'
	exec 8>go
	read -r number <ready
	ip link add "v$$" type veth peer name inner netns "$number"
	exec 8>&-
	finish
	[ "$status" = 0 ]
	grep -q ' inner@' links
}

@test "the program has neither of the two descriptors" {
	mkfifo go
	exec 8>"$PWD/out" 7</dev/null
	run nsexec --pid --ready-fd 8 --wait-fd 7 -- sh -c 'ls /proc/self/fd/7 /proc/self/fd/8 2>/dev/null; :'
	exec 8>&- 7<&-
	[ -z "$output" ] || fail "$output"
	[ -s out ]
}

@test "a descriptor that is not open: said, and nothing is done" {
	fails_with 125 'nsexec: --ready-fd 77: Bad file descriptor (EBADF)
nsexec: hint: open it for nsexec, as the shell does with 77<FILE or 77>FILE' nsexec --pid --ready-fd 77 -- touch ran
	fails_with 125 'nsexec: --wait-fd 0: Bad file descriptor (EBADF)
nsexec: hint: 0 to 2 are stdin, stdout and stderr: use a number above them' nsexec --pid --wait-fd 0 -- touch ran
	[ ! -e ran ]
}

@test "--pid-file: the program's number while it lives, and no file afterwards" {
	start_sleeper --pid --pid-file pid
	[ "$(cat pid)" = "$slept" ]
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
	[ ! -e pid ]
	run nsexec --pid --pid-file pid -- sh -c 'exit 7'
	[ "$status" = 7 ]
	[ ! -e pid ]
}

@test "--pid-file without a fork: the program's number, and the file stays" {
	[ "$(nsexec --uts --pid-file pid -- sh -c 'echo $$')" = "$(cat pid)" ]
}

# ---- the chain

@test "the mode never reaches the program" {
	for options in --explain '--explain --pid' '--explain -- nsexec --uts'; do
		run --separate-stderr nsexec $options -- env
		[ "$status" = 0 ]
		[[ $output != *BOXUTILS_MODE* ]] || fail "$options"
		[[ ${stderr_lines[0]} = "nsexec 1/"* ]]
	done
	run --separate-stderr env BOXUTILS_MODE=explain nsexec --uts -- env
	[[ $output != *BOXUTILS_MODE* ]]
	[[ $stderr = "nsexec 1/"* ]]
}

@test "one flag narrates the whole chain, and only the whole chain" {
	run --separate-stderr nsexec --explain --uts -- nsexec --ipc -- nsexec --net -- true
	[ "$(grep -c '^nsexec 1/' <<<"$stderr")" = 3 ]
	run --separate-stderr nsexec --uts -- nsexec --explain --ipc -- nsexec --net -- true
	[ "$(grep -c '^nsexec 1/' <<<"$stderr")" = 2 ]
	run --separate-stderr nsexec --uts -- nsexec --ipc -- true
	[ -z "$stderr" ]
}

@test "a mode nobody wrote is an error" {
	fails_with 125 'nsexec: BOXUTILS_MODE=loud: not a mode
nsexec: hint: BOXUTILS_MODE is how the tools of a chain tell each other their mode: unset it' \
		env BOXUTILS_MODE=loud nsexec --uts -- touch ran
	[ ! -e ran ]
}

@test "another program of the name of one of our tools is neither taken for it nor told the mode" {
	[ -x "$BIN/pivot" ] || lacking "pivot is not built"
	mkdir decoy
	printf '#!/bin/sh\necho "decoy ${BOXUTILS_MODE-is told nothing}"\n' >decoy/pivot
	chmod 755 decoy/pivot
	PATH=$PWD/decoy:$PATH run --separate-stderr "$BIN/nsexec" --uts -- pivot --version
	[[ $output = "pivot "[0-9]* ]] || fail "$output"
	run --separate-stderr nsexec --explain --uts -- "$PWD/decoy/pivot"
	[ "$output" = "decoy is told nothing" ] || fail "$output"
	# Where ours is not installed the name is looked up like any other.
	mkdir alone
	cp "$BIN/nsexec" alone
	PATH=$PWD/decoy:$PATH run --separate-stderr alone/nsexec --explain --uts -- pivot
	[ "$output" = "decoy is told nothing" ] || fail "$output"
}

# ---- arguments, descriptors, environment

@test "arguments of any bytes, and of 131071 of them, arrive as they are" {
	word=$(printf 'a\377\200 \n"$x*')
	[ "$(nsexec --pid -- printf %s "$word")" = "$word" ]
	long=$(printf '%0131071d' 0)
	[ "$(nsexec --pid -- /usr/bin/printf %s "$long" | wc -c)" = 131071 ]
}

@test "more arguments than the kernel takes: 126, and why" {
	mkfifo ready go
	word=$(printf '%0100000d' 0)
	start sh -c 'exec nsexec --net --ready-fd 5 --wait-fd 6 -- true "$1" "$1" "$1" 6<go 5>ready 2>said' - "$word"
	exec 8>go
	read -r number <ready
	prlimit --pid "$number" --stack=65536
	exec 8>&-
	finish
	[ "$status" = 126 ] || fail "$status"
	same 'nsexec: execve("'"$(type -P true)"'"): Argument list too long (E2BIG)
nsexec: while: become the program: same process, same number, another life
nsexec: hint: arguments and environment together are more than the kernel takes (a quarter of `ulimit -s`, 128 KiB each)' "$(cat said)"
}

@test "descriptors 0 to 2 are open in the program though they were closed" {
	for options in --uts --pid; do
		nsexec $options -- sh -c 'readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >fds' <&- >&- 2>&-
		same /dev/null$'\n'"$PWD/fds"$'\n'/dev/null "$(cat fds)"
	done
}

@test "the program gets the caller's descriptors and none of nsexec's" {
	list='ls /proc/self/fd'
	exec 9</etc/passwd
	wanted=$($list 3>&-)
	for options in --uts --pid '--all --pid-file pid' '--explain --pid'; do
		same "$wanted" "$(nsexec $options -- $list 3>&- 2>/dev/null)" || fail "$options"
	done
	exec 9<&-
}

@test "environment, directory, umask and limits reach the program as they are" {
	probe='env | sort | grep -v ^_=; pwd; umask; ulimit -a'
	umask 027
	same "$(sh -c "$probe")" "$(nsexec --all -- sh -c "$probe")"
	[ "$(LC_ALL=xx nsexec --pid -- printenv LC_ALL)" = xx ]
}

@test "without a program it runs \$SHELL, else /bin/sh" {
	printf '#!/bin/sh\necho mine\n' >shell
	chmod 755 shell
	[ "$(SHELL=$PWD/shell nsexec --uts)" = mine ]
	[ "$(echo 'echo $0' | env -u SHELL nsexec --uts)" = /bin/sh ]
}

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

# ---- what is said on a terminal

@test "on a terminal --pid without its own /proc says so, once; elsewhere nothing is said" {
	script -qec 'nsexec --pid -- true' screen >/dev/null </dev/null
	grep -q "nsexec: /proc still shows the host's processes; --mount-proc gives ps one of its own" screen
	script -qec 'nsexec --pid --mount-proc -- true' screen >/dev/null </dev/null
	run ! grep nsexec: screen
	run nsexec --pid -- true
	[ -z "$output" ]
}
