#!/usr/bin/env bats
# nsexec --join on the kernel it is for: it is where a process is, with no more rights, and nothing inside gets at this
# side by it. Run by: tests/run kernel join

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154

load lib.bash
load groups.bash
load namespaces.bash

WHY='what a process is in can be joined as long as it lives'

# as_nobody, for a command that is started.
NOBODY='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --ambient-caps=-all'

setup_file() {
	setup_world_file
	make_root "$BATS_FILE_TMPDIR/root" >/dev/null
	# Not every file system can map ids, this can.
	"$BATS_FILE_TMPDIR/bin/mkimg" --from "$BATS_FILE_TMPDIR/root" "$BATS_FILE_TMPDIR/img"
}

setup() {
	setup_group
	root=$BATS_FILE_TMPDIR/root image=$BATS_FILE_TMPDIR/img
}

teardown() {
	teardown_group
}

# Prints everything that --join takes over from a process, as this side sees it.
shape() {
	namespaces_of "$1"
	stat -L -c '%n %d %i' "/proc/$1/root" "/proc/$1/cwd" | cut -d/ -f4
	cat "/proc/$1/cgroup"
	grep -E '^(Uid|Gid|Cap...|NoNewPrivs):' "/proc/$1/status"
}

# Starts a command that becomes `/bin/sleep 1000`: a process to join, which is `held`; `holder` is what was started.
hold_program() {
	start "$@"
	holder=$started
	until_true find_program /bin/sleep 1000
	held=$found
}

# Finds the process whose command line this is; `found` is its PID.
find_program() {
	local pid words
	found=
	for pid in /proc/[0-9]*; do
		words=()
		{ mapfile -d '' -t words <"$pid/cmdline"; } 2>/dev/null || :
		[ "${words[*]}" != "$*" ] || found=${pid#/proc/}
	done
	[ -n "$found" ]
}

# Starts a container that sleeps: contain OPTION-OF-PIVOT...; `held` is its process 1.
contain() {
	[[ $* != *--userns* ]] || local root=$image
	hold_program nsexec --all -- pivot "$@" "$root" /bin/sleep 1000
}

end_held() {
	kill -9 "$held"
	finish "$holder"
}

# Joins `held` with a process that sleeps: `inside` is that process, `joiner` the nsexec.
start_inside() {
	start nsexec --join "$held" /bin/sleep 2000
	joiner=$started
	until_true find_program /bin/sleep 2000
	inside=$found
}

end_inside() {
	kill -9 "$inside"
	finish "$joiner"
}

# Asserts that a process that joins `held` is where that is, and has no more.
is_alike() {
	start_inside
	same "$(shape "$held")" "$(shape "$inside")" || { end_inside; return 1; }
	end_inside
}

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

# ---- what cannot be joined

says() {
	printf 'nsexec: %s\nnsexec: while: %s\nnsexec: hint: %s' "$@"
}

@test "a process that is frozen is refused and not waited for; thawed, it is joined" {
	cgset "$group"
	hold_program cgset "$group" -- nsexec --net -- /bin/sleep 1000
	cgset --freeze "$group"
	run -125 --separate-stderr timeout "$PATIENCE" nsexec --join "$held" -- true
	same "$(says "--join $held: its control group $group is frozen" 'it uses what the others there use, and is limited with them' \
		"the program would be, too, before it does anything: cgset --thaw $group")" "$stderr"
	cgset --thaw "$group"
	nsexec --join "$held" -- true
	end_held
	cgset --remove "$group"
}

@test "the frozen group is named where it is one further up" {
	cgset "$group/below"
	hold_program cgset "$group/below" -- nsexec --net -- /bin/sleep 1000
	cgset --freeze "$group"
	run -125 --separate-stderr timeout "$PATIENCE" nsexec --join "$held" -- true
	[[ $stderr == *"cgset --thaw $group" ]]
	cgset --thaw "$group"
	end_held
	cgset --remove "$group/below"
	cgset --remove "$group"
}

@test "one that is not there, has ended, is a thread, or is nsexec itself" {
	fails_with 125 "$(says '--join 4194303: there is no such process' "$WHY" 'it may have ended; ps ax lists those that are here')" \
		nsexec --join 4194303 -- true
	# A zombie: its parent does not ask.
	start perl -e 'my $p = fork // die; $p or exit; open F, ">", "zombie"; print F $p; close F; rename "zombie", "ended"; sleep 1000'
	until_true exists ended
	zombie=$(cat ended)
	until_true is_in_state "$zombie" Z
	fails_with 125 "$(says "--join $zombie: that process has ended" "$WHY" \
		'it is in no namespace any more; what is left of it waits for its parent to ask how it ended')" nsexec --join "$zombie" -- true
	kill -9 "$started"
	finish
	run -125 --separate-stderr sh -c 'exec nsexec --join $$ -- true'
	[[ $stderr == *'that is nsexec itself'* ]]
	for word in web 0 -1 ''; do
		run -125 nsexec "--join=$word" -- true
	done
}

@test "where /proc is that of another PID namespace no number of it is taken" {
	fails_with 125 "$(says 'the /proc here shows another PID namespace than this process is in' "$WHY" \
		'mount one that shows its own: mount -t proc proc /proc, or start nsexec where ps shows the process')" \
		nsexec --pid -- nsexec --join 4194303 -- true
	[ "$(nsexec --pid --mount-proc -- sh -c 'sleep 1000 & nsexec --join $! -- echo joined; kill $!')" = joined ]
}

@test "without being root: one's own sandbox, and no other process" {
	hold_program $NOBODY nsexec -r --net --pid --mount-proc -- /bin/sleep 1000
	[ "$(as_nobody nsexec --join "$held" -- "$BIN/show-namespaces")" = "$(namespaces_of "$held")" ]
	[ "$(as_nobody nsexec --join "$held" -- id -u)" = 0 ]
	end_held
	hold --net
	fails_with 125 "$(says "open(\"/proc/$held/ns/mnt\"): Permission denied (EACCES)" "$WHY" \
		'that process is not yours, or has more privileges than you: run it as root')" as_nobody nsexec --join "$held" -- true
	release
}

@test "a namespace is made or joined in one way" {
	hold --net
	fails_with 125 "nsexec: --net beside --join $held, which joins every kind of namespace
nsexec: hint: one nsexec joins some, --net=$held and the like; what is to be new is for a second nsexec in there" \
		nsexec --join "$held" --net -- true
	[ "$(nsexec --join "$held" -- nsexec --uts --hostname other -- hostname)" = other ]
	release
}

# ---- ends and signals

@test "it dies with the nsexec that waits for it, whoever it is in there" {
	for how in '' '--userns auto' '--user 1000'; do
		contain $how
		start_inside
		kill -9 "$joiner"
		until_true gone "$inside"
		finish "$joiner"
		end_held
	done
}

@test "when the container ends, so does what has joined it" {
	contain
	start_inside
	kill -9 "$held"
	finish "$joiner"
	[ "$status" = 137 ]
	finish "$holder"
}

@test "signals are passed on to it" {
	contain
	start_inside
	kill -TERM "$joiner"
	finish "$joiner"
	[ "$status" = 143 ]
	gone "$inside"
	end_held
}

# ---- the dry run

# Runs a function without the descriptors of bats: a script has no command that closes those it does not know.
closed() (
	for fd in /proc/self/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || eval "exec $fd>&-"
	done
	"$@"
)

@test "the dry run does the same" {
	write_probe
	for how in '--bounding-set=-all,+chown,+dac_override,+setuid,+setgid --inh-caps=-all --no-new-privs' --keep-groups; do
		hold_program unshare --mount --uts --ipc --net --cgroup --pid --fork setpriv $how /bin/sleep 1000
		KNOWN="$KNOWN $(namespaces_of "$held" | xargs)"
		closed dry_run_equals_run --join "$held" || fail "$how"
		end_held
	done
}

@test "the dry run does the same: with users of its own" {
	write_probe
	hold_program $NOBODY unshare --map-root-user --net --uts /bin/sleep 1000
	KNOWN="$KNOWN $(namespaces_of "$held" | xargs)"
	closed dry_run_equals_run --join "$held"
	closed dry_run_equals_run as_nobody --join "$held"
	end_held
}
