# What the kernel tests share: the world they run in, waiting, terminals, and the proof that nothing is left.
#
# bats has no way to enter a namespace itself, so each file is run inside tests/lib.sh's in_world; tests/run does that:
#
#     tests/run kernel                  every file
#     tests/run kernel nsexec -f NAME   one file, and of it what matches NAME

# shellcheck shell=bash
# shellcheck disable=SC2034 # some are for the test files to use

bats_require_minimum_version 1.5.0

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$top/tests/lib.sh"

# Every test's time, in seconds, for what must happen soon; an emulated CPU is slow.
PATIENCE=${PATIENCE:-20}
# How often a random experiment is made; LONG=1 makes it a hundred times.
ROUNDS=5
[ "${LONG-}" != 1 ] || ROUNDS=100

# Each file's setup_file, setup and teardown, unless it has its own, which calls the same function first.
setup_file() {
	setup_world_file
}

setup() {
	setup_world
}

teardown() {
	nothing_left
}

# Makes sure that this is a world, and puts the tools where everybody may run them.
setup_world_file() {
	local namespace here
	here=$(namespaces_of self)
	for namespace in ${BOXUTILS_OUTSIDE:?these tests change the machine outside a world: run them by tests/run kernel}; do
		case $namespace in
		mnt:* | net:* | uts:* | pid:*) [[ $here != *"$namespace"* ]] || fail "$namespace is the machine's own" || return ;;
		esac
	done
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/*/
	mkdir "$BATS_FILE_TMPDIR/bin"
	cp "$BOXUTILS_BIN/nsexec" "$BATS_FILE_TMPDIR/bin/"
	for tool in mkimg cgset vethup pivot; do
		[ ! -x "$BOXUTILS_BIN/$tool" ] || cp "$BOXUTILS_BIN/$tool" "$BATS_FILE_TMPDIR/bin/"
	done
	# A sleep that is nobody else's, and a list of the namespaces it runs in.
	cp "$(command -v sleep)" "$BATS_FILE_TMPDIR/bin/sleeper"
	cat >"$BATS_FILE_TMPDIR/bin/show-namespaces" <<-END
		#!/bin/sh
		top=$top
		. $top/tests/lib.sh
		namespaces_of self
	END
	chmod 755 "$BATS_FILE_TMPDIR/bin/show-namespaces"
}

# Goes to a directory of the test's own, and notes who is here.
setup_world() {
	: "${BOXUTILS_OUTSIDE:?run these tests by tests/run kernel}"
	BIN=$BATS_FILE_TMPDIR/bin
	PATH=$BIN:$PATH
	chmod 755 "$BATS_FILE_TMPDIR"
	cd "$BATS_TEST_TMPDIR" || return
	chmod 1777 .
	here_before=$(printf ' %s ' /proc/[0-9]*)
	here_before=${here_before//\/proc\//}
}

# Fails the test with a reason.
fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# Skips the test for want of something, or fails it where every test must run.
lacking() {
	[ "${MUST_RUN-}" != 1 ] || { fail "this must run here, and cannot: $*"; return; }
	skip "$*"
}

# Waits until a command succeeds.
until_true() {
	local end=$((SECONDS + PATIENCE))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "not within $PATIENCE seconds: $*" || return
		sleep 0.02
	done
}

# The following look into /proc with what bash has built in: they are run often, and an emulated CPU forks slowly.

gone() {
	[ ! -d "/proc/$1" ] || is_in_state "$1" Z
}

exists() {
	[ -e "$1" ]
}

# Prints a process's state letter: S, T, Z, ...
state() {
	stat_of "$1" && echo "$process_state"
}

# Sets process_state and process_parent of a process.
stat_of() {
	local line
	process_state='' process_parent=0
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null || return
	# The name stands in brackets and may hold any character.
	read -r process_state process_parent _ <<<"${line##*) }"
}

is_in_state() {
	stat_of "$1" && [ "$process_state" = "$2" ]
}

# Prints the name of the program a process runs.
program() {
	local name=
	{ read -r name <"/proc/$1/comm"; } 2>/dev/null
	echo "$name"
}

runs_program() {
	[ "$(program "$1")" = "$2" ]
}

# Prints the only child of a process.
child() {
	local children=
	{ read -r children <"/proc/$1/task/$1/children"; } 2>/dev/null
	echo "${children% }"
}

has_child() {
	[ -n "$(child "$1")" ]
}

# Starts a command in the background, its signals as on a terminal (a shell's background commands ignore SIGINT); $! is
# its PID, and the global `started` too.
start() {
	env --default-signal=INT,QUIT "$@" 3>&- &
	started=$!
}

# Runs a command without the descriptors of bats, which must not reach it or cannot be told from leaks.
without_descriptors() (
	for fd in /proc/self/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || eval "exec $fd>&-"
	done
	exec "$@"
)

# Waits for a background command; its exit status is in `status`.
finish() {
	status=0
	wait "${1:-$started}" || status=$?
}

# Starts `nsexec OPTION... sleeper 1000`: `started` is nsexec, `slept` the sleeper.
start_sleeper() {
	start nsexec "$@" sleeper 1000
	until_true has_child "$started"
	slept=$(child "$started")
	until_true runs_program "$slept" sleeper
}

# Runs a shell command on a terminal of its own; keystrokes are what is written to the descriptor `keys`.
start_on_terminal() {
	mkfifo keys
	env --default-signal=INT,QUIT SHELL=/bin/sh HISTFILE= script -qec "exec $1" screen <keys >/dev/null 2>&1 3>&- &
	terminal=$!
	exec {keys}>keys
}

press() {
	# shellcheck disable=SC2059 # escapes are the point
	printf "$1" >&"$keys"
}

finish_terminal() {
	finish "$terminal"
	exec {keys}>&-
}

# Asserts that nothing of the test is left, whether it passed or not. A world has its own
# process numbers, so whoever is here and is not bats belongs to the test.
nothing_left() {
	local pid left
	until_true no_process_left || {
		for pid in $(processes_left); do
			printf 'left: %s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
			kill -9 "$pid"
		done
		return 1
	}
	until_true no_loop_left || fail "left: loop devices: $(loops_on "$BATS_RUN_TMPDIR")" || return
	left=$(mounts_below "$BATS_RUN_TMPDIR")
	[ -z "$left" ] || {
		# shellcheck disable=SC2086 # a list of paths without blanks
		umount --lazy $left
		fail "left: mounts: $left"
	}
}

# Whether a process is the clock of bats for this test, which may start after the test has.
is_clock() {
	local words
	{ mapfile -d '' -t words <"/proc/$1/cmdline"; } 2>/dev/null && [ "${words[*]}" = "sleep ${BATS_TEST_TIMEOUT-}" ]
}

# Prints who was not here when the test began: not this shell, nor one of its subshells, nor a zombie.
processes_left() {
	local pid known=$here_before
	for ((pid = BASHPID; pid > 1; pid = process_parent)); do
		known+=" $pid "
		stat_of "$pid" || break
	done
	for pid in /proc/[0-9]*; do
		pid=${pid#/proc/}
		case $known in *" $pid "*) continue ;; esac
		gone "$pid" || is_clock "$pid" || printf '%s\n' "$pid"
	done
}

no_process_left() {
	[ -z "$(processes_left)" ]
}

parent() {
	stat_of "$1" || :
	echo "$process_parent"
}

# Prints the loop devices whose file is below a directory.
# /sys names a file from the root of its mount where that mount is gone, as the one that a container was started from is.
loops_on() {
	local file name mount
	mount=$(findmnt --noheadings --output TARGET --target "$1")
	for file in /sys/block/loop*/loop/backing_file; do
		{ read -r name <"$file"; } 2>/dev/null || continue
		[ "$mount" = / ] || [[ $name != "${1#"$mount"}"/* ]] || name=$mount$name
		[[ $name != "$1"/* ]] || printf '%s %s\n' "$(basename "${file%/loop/*}")" "$name"
	done
}

no_loop_left() {
	[ -z "$(loops_on "$BATS_RUN_TMPDIR")" ]
}

# Prints the mount points below a directory.
mounts_below() {
	local point
	while read -r _ _ _ _ point _; do
		[[ $point != "$1"/* ]] || printf '%s\n' "$point"
	done </proc/self/mountinfo
}

# Asserts that two texts are equal, and shows how not.
same() {
	[ "$1" = "$2" ] || fail "$(diff <(printf '%s\n' "$1") <(printf '%s\n' "$2"))"
}

# Makes a small root file system.
make_root() {
	"$top/scripts/rootfs" busybox "$1"
}

# Mounts a /run of the test's own, where programs leave names for each other.
own_run() {
	mkdir -p /run
	mount -t tmpfs -o mode=755 run /run
}

# Makes the neighbour that plays the internet, where a server tells who is asking.
make_internet() {
	ip netns add internet
	ip link add wan0 type veth peer name wan0 netns internet
	ip address add 192.0.2.1/24 dev wan0
	ip link set wan0 up
	ip -n internet address add 192.0.2.2/24 dev wan0
	ip -n internet link set wan0 up
	# shellcheck disable=SC2016 # a perl program
	start ip netns exec internet perl -MIO::Socket::INET -e '
		$s = IO::Socket::INET->new(Listen => 5, LocalPort => 8080, ReuseAddr => 1) or die; open F, ">listening"; close F;
		while ($c = $s->accept) { print $c $c->peerhost, "\n"; close $c }'
	internet=$started
	until_true exists listening
}

end_internet() {
	kill -9 "$internet"
	finish "$internet"
}
