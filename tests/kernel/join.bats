#!/usr/bin/env bats
# nsexec --join on the kernel it is for: it is where a process is, with no more rights, and nothing inside gets at this
# side by it. Run by: tests/run kernel join

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2086,SC2154

load lib.bash
load groups.bash
load namespaces.bash
load join.bash

# ---- where it is

@test "it is where the process is: namespaces, root, working directory, control groups, ids, capabilities" {
	contain --workdir /tmp
	cgset --move "$held" "$group" || { cgset "$group"; cgset --move "$held" "$group"; }
	[ "$(shape "$held")" != "$(shape self)" ]
	is_alike
	end_held
	cgset --remove "$group"
}

@test "the same where the container has users of its own" {
	contain --userns auto
	[ "$(namespace user "$held")" != "$(namespace user)" ]
	is_alike
	[ "$(nsexec --join "$held" -- cat /proc/self/uid_map)" = "$(cat "/proc/$held/uid_map")" ]
	end_held
}

@test "each kind of namespace alone is joined, and no other is left" {
	for kind in mount uts ipc net cgroup time pid user; do
		rm -f held
		case $kind in
		pid) hold --pid --fork ;;
		*) hold "--$kind" ;;
		esac
		[ "$(nsexec --join "$held" -- "$BIN/show-namespaces")" = "$(namespaces_of "$held")" ] || fail "$kind"
		[ "$(nsexec --target "$held" -- "$BIN/show-namespaces")" != "$(namespaces_of self)" ] || fail "$kind is ours"
		release
	done
}

@test "a process in a chroot alone is joined in it" {
	start chroot "$root" /bin/sleep 1000
	holder=$started
	until_true runs_program "$started" sleep
	held=$started
	[ "$(nsexec -t "$held" -- cat /etc/passwd)" = "$(cat "$root/etc/passwd")" ]
	is_alike
	end_held
}

@test "it is the child that is in the container, and the waiting nsexec is not" {
	contain
	cgset "$group"
	cgset --move "$held" "$group"
	start_inside
	same "$(namespaces_of self)" "$(namespaces_of "$joiner")"
	same "$(cat /proc/self/cgroup)" "$(cat "/proc/$joiner/cgroup")"
	[ "$(child "$joiner")" = "$inside" ]
	end_inside
	end_held
	cgset --remove "$group"
}

@test "the program is looked up in there, and its exit status is nsexec's" {
	contain
	run -7 nsexec --join "$held" -- sh -c 'exit 7'
	fails_with 127 "$(printf 'nsexec: %s\nnsexec: while: %s\nnsexec: hint: %s' 'execve("/no/such"): No such file or directory (ENOENT)' \
		'become the program: same process, same number, another life' \
		"it is looked up in the root of process $held")" nsexec --join "$held" -- /no/such
	fails_with 127 "$(printf 'nsexec: %s\nnsexec: while: %s\nnsexec: hint: %s' 'execve("pivot"): No such file or directory (ENOENT)' \
		'become the program: same process, same number, another life' \
		"it is looked up in the root of process $held: pivot has to be in there")" nsexec --join "$held" -- pivot img
	[ "$(nsexec --join "$held" -- busybox echo inside)" = inside ]
	[ "$(nsexec --join "$held" <<<'echo $0')" = /bin/sh ]
	end_held
}

# ---- with no more than it has

@test "the program has the capabilities of the process it joins, and a set-user-ID bit gives it no other" {
	for how in '--bounding-set=-all,+chown,+kill --inh-caps=-all --no-new-privs' '--bounding-set=-sys_admin' \
		'--reuid=65534 --regid=65534 --clear-groups --inh-caps=-all' \
		'--reuid=1234 --regid=1234 --clear-groups --inh-caps=-all,+net_raw --ambient-caps=-all,+net_raw'; do
		hold_program unshare --mount --net setpriv $how /bin/sleep 1000
		is_alike || fail "$how"
		end_held
	done
}

@test "what nsexec has not itself, the program has not either" {
	hold --net
	[ "$(setpriv --bounding-set=-sys_time nsexec --join "$held" -- grep -E '^Cap(Prm|Bnd)' /proc/self/status)" = \
		"$(setpriv --bounding-set=-sys_time grep -E '^Cap(Prm|Bnd)' /proc/self/status)" ]
	release
}

@test "the environment is PATH, HOME and TERM; with --keep-env it is the caller's" {
	contain
	export SECRET=canary TERM=dumb
	[ "$(nsexec --join "$held" -- env | sort)" = $'HOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSHLVL=0\nTERM=dumb' ] ||
		[ "$(nsexec --join "$held" -- env | sort)" = $'HOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTERM=dumb' ]
	[ "$(nsexec --join "$held" --keep-env -- env | grep -c '^SECRET=canary$')" = 1 ]
	end_held
}

@test "no descriptor goes in but the first three, and none of those may be a directory" {
	contain
	[ "$(without_descriptors nsexec --join "$held" -- sh -c 'exec 7<&-; ls /proc/self/fd' 7</etc | wc -l)" = \
		"$(without_descriptors nsexec --join "$held" -- sh -c 'ls /proc/self/fd' | wc -l)" ]
	# The same in the caller's own root keeps it: the descriptor is there to be inherited.
	[ "$(without_descriptors sh -c 'readlink /proc/self/fd/7' 7</etc 2>&1 || :)" = '' ]
	[ "$(nsexec -- readlink /proc/self/fd/7 7</etc)" = /etc ]
	[ -z "$(nsexec --join "$held" -- readlink /proc/self/fd/7 7</etc)" ]
	fails_with 125 "$(printf 'nsexec: %s\nnsexec: while: %s\nnsexec: hint: %s' 'descriptor 0 is a directory of the host' \
		'an open directory of the host would be a way out of the new root' 'redirect it: 0</dev/null')" nsexec --join "$held" -- true </etc
	end_held
}

@test "groups of this side stay outside" {
	contain
	[ "$(setpriv --groups 7,8 nsexec --join "$held" -- grep ^Groups /proc/self/status | tr -d '[:space:]')" = Groups: ]
	[ "$(setpriv --groups 7,8 nsexec -- grep ^Groups /proc/self/status | tr -d '[:space:]')" = Groups:78 ]
	end_held
}

# ---- nothing inside gets at this side

# Starts a join that stands at its last step, before its exec: `entering` is its process as this side sees it.
start_entering() {
	mkfifo go ready
	nsexec --join "$held" --ready-fd 5 --wait-fd 6 -- /bin/true 6<go 5>ready 3>&- &
	joiner=$!
	exec {open}>go
	read -r entering <ready
}

finish_entering() {
	exec {open}>&-
	finish "$joiner"
}

@test "while it enters, nobody inside can trace it, or open its program and its descriptors" {
	contain --cap-add SYS_PTRACE --userns auto
	start_entering
	# Whoever looks from inside is root there, may trace, and sees it by another number.
	own=$(awk '/^NSpid/ { print $NF }' "/proc/$entering/status")
	[ "$(program "$entering")" = nsexec ]
	same "$(namespaces_of "$held")" "$(namespaces_of "$entering")"
	inspect='cd /proc/$1 || exit; for file in exe cwd root fd/0 environ mem maps; do
		if [ -L $file ]; then readlink $file; else head -c 1 $file; fi >/dev/null 2>&1 && echo "$file is open to it"; done; echo looked'
	[ "$(nsexec --join "$held" -- sh -c "$inspect" - "$own")" = looked ]
	# The same process says all of that of one that may be looked into.
	[ "$(nsexec --join "$held" -- sh -c "$inspect" - 1 | wc -l)" -gt 3 ]
	finish_entering
	[ "$status" = 0 ]
	end_held
}

@test "who looks at every process all the time, with the right to trace, never sees the one that enters" {
	contain --cap-add SYS_PTRACE --userns auto
	start nsexec --join "$held" -- sh -c 'while :; do ls -l /proc/[0-9]*/exe /proc/[0-9]*/cwd /proc/[0-9]*/fd/[3-9]; done' >seen 2>/dev/null
	spy=$started
	until_true grep -q busybox seen
	for ((i = 0; i < ROUNDS * 5; i++)); do nsexec --join "$held" -- true; done
	kill -TERM "$spy"
	finish "$spy"
	# The programs of the container, its root, and the spy's own script: nothing of this side.
	! sed -n 's/.* -> //p' seen | grep -v -e '^/bin/busybox$' -e '^/$' -e '^/proc' || fail 'it saw that'
	end_held
}

@test "what enters is a copy in memory that root itself cannot change, and the tool's file is as it was" {
	contain
	before=$(sha256sum <"$BIN/nsexec")
	start_entering
	for process in "$entering" "$joiner"; do
		[ "$(readlink "/proc/$process/exe")" = "/memfd:$BIN/nsexec (deleted)" ] || fail "$(readlink "/proc/$process/exe")"
	done
	[ "$(perl -e 'open F, "<", shift or die; print fcntl(F, 1034, 0)' "/proc/$entering/exe")" = 15 ]
	# A file has none, or in a tmpfs the one that says it can have no others.
	[ "$(perl -e 'open F, "<", shift or die; print fcntl(F, 1034, 0) || 1' "$BIN/nsexec")" = 1 ]
	run ! sh -c 'echo hostile >"/proc/$1/exe"' - "$entering"
	finish_entering
	[ "$(sha256sum <"$BIN/nsexec")" = "$before" ]
	end_held
}

@test "what enters the mounts of others alone is such a copy too, and what enters no files of theirs is not" {
	hold --mount --net
	for entry in "mount memfd:$BIN/nsexec (deleted)" "net ${BIN#/}/nsexec"; do
		rm -f go ready
		mkfifo go ready
		nsexec "--${entry%% *}=$held" --ready-fd 5 --wait-fd 6 -- true 6<go 5>ready 3>&- &
		joiner=$!
		exec {open}>go
		read -r entering <ready
		[ "$(readlink "/proc/$entering/exe")" = "/${entry#* }" ] || fail "$(readlink "/proc/$entering/exe")"
		[ "$(cat "/proc/$entering/comm")" = nsexec ]
		finish_entering
		[ "$status" = 0 ]
	done
	release
}

@test "from the copy, a bare name of ours is still the tool beside the real one" {
	hold --net
	[ "$(PATH=/usr/bin:/bin "$BIN/nsexec" --join "$held" -- pivot --version)" = "$(pivot --version)" ]
	run -127 env PATH=/usr/bin:/bin "$BIN/nsexec" --join "$held" -- sleeper
	release
}

@test "where programs in memory are forbidden, it says which switch does that" {
	[ -e /proc/sys/vm/memfd_noexec ] || lacking 'this kernel has no vm.memfd_noexec'
	hold --net
	# The switch belongs to a PID namespace and those below it.
	inside='echo "$1" >/proc/sys/vm/memfd_noexec; sleep 1000 & nsexec --join $! -- echo joined; status=$?; kill $!; exit "$status"'
	[ "$(unshare --pid --fork --mount-proc sh -c "$inside" - 1)" = joined ]
	run -125 --separate-stderr unshare --pid --fork --mount-proc sh -c "$inside" - 2
	[ -z "$output" ]
	same "nsexec: memfd_create(\"$BIN/nsexec\", MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_EXEC): Permission denied (EACCES)
nsexec: while: a program inside could write to this tool through its /proc/PID/exe: go on from a copy nobody can write to
nsexec: hint: sysctl vm.memfd_noexec=2 forbids programs in memory: set it to 1 or 0 in this PID namespace" "$stderr"
	release
}
