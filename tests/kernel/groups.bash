# What the kernel tests of control groups share: a name of its own for each test, where its groups are, and their end.
# Groups are no namespace: every group has the number of the test's process in its name, and goes with the test.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # some are for the test files to use, and lib.bash sets some

# Each file's setup and teardown, unless it has its own.
setup() {
	setup_group
}

teardown() {
	teardown_group
}

setup_group() {
	setup_world
	# Numbers of a PID namespace are nobody's name outside: the test's own number and the time are.
	group=boxutils-test-$$-$(date +%s%N)
	mounts=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2\{0,1\} .*/\1/p' /proc/self/mountinfo)
}

teardown_group() {
	local left
	left=$(directories)
	[ -z "$left" ] || for_each_group end_group
	nothing_left || return
	[ -z "$left" ] || fail "left: $left"
}

# Prints the directories of this test's groups, deepest first.
directories() {
	# shellcheck disable=SC2086 # a list of mount points
	find $mounts -depth -type d -path "*/$group*" 2>/dev/null
}

# Calls a function with each of them.
for_each_group() {
	local directory
	for directory in $(directories); do "$1" "$directory"; done
}

end_group() {
	local process
	while read -r process; do kill -9 "$process"; done <"$1/cgroup.procs" 2>/dev/null
	until_true rmdir_or_gone "$1" || :
}

# Who was killed in it is there a moment longer.
rmdir_or_gone() {
	rmdir "$1" 2>/dev/null || [ ! -e "$1" ]
}

# Prints the directory of the group in the hierarchy of a controller: place CONTROLLER [GROUP].
place() {
	local mount
	for mount in $mounts; do
		if grep -q " $mount .* - cgroup .*[, ]$1\(,\|$\)" /proc/self/mountinfo ||
			{ [ -e "$mount/cgroup.controllers" ] && grep -qw "$1" "$mount/cgroup.controllers"; }; then
			printf '%s/%s\n' "$mount" "${2-$group}"
			return
		fi
	done
	return 1
}

# Whether the hierarchy of a controller is of version 2.
is_two() {
	[ -e "$(place "$1" .)/cgroup.controllers" ]
}

# Prints what a file of the group holds: of_group CONTROLLER V1-FILE V2-FILE [GROUP].
of_group() {
	local directory
	directory=$(place "$1" "${4-$group}")
	if is_two "$1"; then cat "$directory/$3"; else cat "$directory/$2"; fi
}

# Asserts exit status 125 and the whole of stderr.
refuses() {
	local text=$1
	shift
	run -125 --separate-stderr -- cgset "$@"
	same "$text" "$stderr"
}

no_groups() {
	[ -z "$(directories)" ]
}

# Asserts that a number is within some percent of another: near NUMBER WANTED PERCENT.
near() {
	awk -v is="$1" -v wanted="$2" -v percent="$3" \
		'BEGIN { off = (is - wanted) / wanted * 100; exit !(off <= percent && off >= -percent) }' ||
		fail "$1 is not $2 ± $3 %"
}

# Prints the group of a process on the hierarchy of a controller: group_of PID CONTROLLER.
group_of() {
	sed -n "s/^[0-9]*:\([^:]*,\)\{0,1\}$2\(,[^:]*\)\{0,1\}:\(.*\)/\3/p" "/proc/$1/cgroup"
}

# Prints the group of a process in the hierarchy that counts processes.
counted_in() {
	if is_two pids; then sed -n 's/^0:://p' "/proc/$1/cgroup"; else group_of "$1" pids; fi
}

# net_cls and net_prio are the machine's, whoever mounts them and in whichever namespace: a test that does holds this lock,
# and its teardown ends with free_net_cls.
lock_net_cls() {
	exec {lock}>/tmp/net_cls.lock
	flock -w "$((PATIENCE * 9))" "$lock" || fail 'somebody else has net_cls for too long' || return
	until_true is_free net_cls && until_true is_free net_prio
}

# Whether a controller is on no hierarchy of version 1.
is_free() {
	grep -q "^$1[[:space:]]0[[:space:]]" /proc/cgroups
}

# A group that a failed test left would keep the hierarchy: it is mounted once more, and they are removed.
free_net_cls() {
	local answer=0 at list
	while read -r at; do
		umount "$at"
	done < <(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup .*[ ,]net_\(cls\|prio\).*/\1/p' /proc/self/mountinfo)
	if ! is_free net_cls || ! is_free net_prio; then
		mkdir -p again
		for list in net_cls,net_prio net_cls net_prio; do
			mount -t cgroup -o "$list" none again 2>/dev/null || continue
			find "$PWD/again" -mindepth 1 -depth -type d -exec rmdir {} +
			umount again
		done
		until_true is_free net_cls && until_true is_free net_prio
		answer=1
		echo 'net_cls or net_prio was left on a hierarchy' >&2
	fi
	exec {lock}>&-
	return "$answer"
}
