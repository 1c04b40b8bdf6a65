#!/usr/bin/env bats
# scripts/lab verify as the grader of anybody's container: good ones of four makes, and ones broken on purpose, each
# failing at the rows that are about it and at no other. Run by: tests/run kernel verify

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load container.bash

setup() {
	setup_container
	cp -r "$BATS_FILE_TMPDIR/root" root
}

verify() {
	"$top/scripts/lab" verify "$@"
}

limits='--memory 64M --cpus 0.5 --pids 32'

# Starts a container that waits, the words of a line whose innermost program sleeps: `started` is the outermost process,
# `inside` the sleeper.
start_container() {
	start "$@"
	until_true find_sleeper
}

# The sleeper is a busybox called sleep, whatever made the container.
find_sleeper() {
	local file words
	for file in /proc/[0-9]*/cmdline; do
		{ mapfile -d '' -t words <"$file"; } 2>/dev/null || continue
		inside=${file#/proc/} inside=${inside%/cmdline}
		[ "${words[*]}" != '/bin/sleep 4711' ] || return 0
	done
	return 1
}

end_container() {
	kill -9 "$inside"
	finish
}

# Our own line with limits and a root image, without some of it: ours 'OPTIONS OF CGSET' 'OPTIONS OF NSEXEC' 'OF PIVOT' ROOT.
ours() {
	# shellcheck disable=SC2086 # words
	start_container cgset --transient $1 "$group" -- nsexec $2 -- pivot $3 "$4" /bin/sleep 4711
}

all='--pid --mount --net --uts --ipc --cgroup'

# Prints the rows that fail, each with "?" if it is advice.
failing() {
	verify --pid "$1" | sed -n 's/^not ok [0-9]* - \([a-z0-9-]*\):.*advice$/\1?/p; t; s/^not ok [0-9]* - \([a-z0-9-]*\):.*/\1/p' | xargs
}

# Asserts which required rows fail for the container, and that the exit status says so; then ends it.
rows_that_fail() {
	local said graded=0 good=true expected=0
	said=$(verify --json --pid "$inside") || graded=$?
	end_container
	same "$1" "$(required_in "$said")"
	[ -z "$1" ] || good=false expected=1
	[ "$graded" = "$expected" ] || fail "status $graded: $said" || return
	[[ $said == *"\"ok\":$good,"* ]] || fail "$said"
}

# Prints the required rows that fail in a verdict as JSON.
required_in() {
	jq -r '.rows[] | select(.level == "required" and .result == "fail") | .row' <<<"$1" | xargs
}

required() {
	required_in "$(verify --json --pid "$inside")"
}

# ---- good ones

@test "our own line with users of its own: every row holds but what no filter is there for" {
	# shellcheck disable=SC2086 # words
	start_container cgset --transient $limits "$group" -- vethup --nat -- nsexec --pid --mount --uts --ipc --cgroup --hostname web -- \
		pivot --userns auto "$BATS_FILE_TMPDIR/image" /bin/sleep 4711
	run -0 verify --pid "$inside"
	[ "$(grep -c '^ok' <<<"$output")" -ge 28 ] || fail "$output"
	[[ $output != *SKIP* ]] || fail "$output"
	[[ $output == *'10.98.0.1 answers (ping)'* && $output == *'in the file '*/image* && $output == *'67108864 bytes in '*"$group"* ]] || fail "$output"
	planned=$(sed -n 's/^1\.\.//p' <<<"$output")
	[ "$(grep -cE '^(not )?ok' <<<"$output")" = "$planned" ]
	run -0 verify --json --require root-image,gateway,id-map --pid "$inside"
	[ "$(grep -c '"result":"ok"' <<<"$output")" -ge 28 ] || fail "$output"
	rows_that_fail ''
}

@test "it leaves the container as it was: no process of it is started there, its files are not touched" {
	ours "$limits" "$all" '' root
	before=$(cat "/proc/$inside/root/proc/"[0-9]*/comm; find root -newermt @0 -printf '%p %T@ %C@\n'; cat "/proc/$inside/mountinfo")
	verify --pid "$inside" >/dev/null
	same "$before" "$(cat "/proc/$inside/root/proc/"[0-9]*/comm; find root -newermt @0 -printf '%p %T@ %C@\n'; cat "/proc/$inside/mountinfo")"
	# Nor does it need a shell there.
	rm -r root/bin/sh root/bin/ls root/bin/busybox
	rows_that_fail ''
}

@test "bwrap: right when it is given all it can, and without limits and namespaces each is named" {
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- bwrap --unshare-all --cap-drop ALL --bind root / --proc /proc --dev /dev --die-with-parent /bin/sleep 4711
	[[ " $(failing "$inside") " == *' root-image? '*' seccomp? '* ]] || fail "$(verify --pid "$inside")"
	rows_that_fail ''
	start_container bwrap --unshare-pid --unshare-ipc --cap-drop ALL --bind root / --proc /proc --dev /dev --die-with-parent /bin/sleep 4711
	rows_that_fail 'net-namespace uts-namespace memory-limit cpu-limit pids-limit'
}

@test "runc: right with limits; without its network namespace that row fails" {
	local filter
	mkdir bundle
	runc spec --bundle bundle
	filter=".process.terminal=false | .process.args=[\"/bin/sleep\",\"4711\"] | .root.path=\"$PWD/root\" | .linux.cgroupsPath=\"/$group\"
		| .linux.resources.memory.limit=67108864 | .linux.resources.cpu={quota:50000,period:100000} | .linux.resources.pids.limit=32"
	jq "$filter" bundle/config.json >config
	cp config bundle/config.json
	start_container runc --root "$PWD/state" run --bundle bundle "$group"
	[[ " $(failing "$inside") " == *' root-image? user-namespace? id-map? '* ]] || fail "$(verify --pid "$inside")"
	rows_that_fail ''
	jq '.linux.namespaces |= map(select(.type != "network"))' config >bundle/config.json
	start_container runc --root "$PWD/state" run --bundle bundle "$group"
	rows_that_fail net-namespace
}

@test "LXC: right with limits and few capabilities; as it comes it lacks just those" {
	cat >well <<-END
		lxc.rootfs.path = dir:$PWD/root
		lxc.uts.name = web
		lxc.net.0.type = empty
		lxc.mount.auto = proc:mixed sys:ro
		lxc.pty.max = 4
		lxc.apparmor.profile = unconfined
		lxc.cgroup.dir.monitor = $group-monitor
		lxc.cgroup.dir.container = $group-container
		lxc.cgroup.dir.monitor.pivot = $group-pivot
	END
	cp well bare
	cat >>well <<-END
		lxc.cgroup.memory.limit_in_bytes = 64M
		lxc.cgroup.cpu.cfs_quota_us = 50000
		lxc.cgroup.pids.max = 32
		lxc.cgroup2.memory.max = 64M
		lxc.cgroup2.cpu.max = 50000 100000
		lxc.cgroup2.pids.max = 32
		lxc.cap.keep = chown dac_override fowner fsetid kill setgid setuid net_bind_service
	END
	mkdir lxc
	start_container lxc-execute -P "$PWD/lxc" -n web -f well -- /bin/sleep 4711
	[[ $(verify --pid "$inside") == *'PID 1 there is process '* ]]
	rows_that_fail ''
	start_container lxc-execute -P "$PWD/lxc" -n web -f bare -- /bin/sleep 4711
	[[ $(verify --pid "$inside") == *sys_admin* ]]
	rows_that_fail 'memory-limit cpu-limit pids-limit capabilities'
	until_true no_lxc_group
}

# What LXC leaves of its groups.
no_lxc_group() {
	# shellcheck disable=SC2086 # a list of mount points
	find $mounts -depth -type d -path "*/$group*" -exec rmdir {} + 2>/dev/null
	[ -z "$(directories)" ]
}

# ---- broken on purpose

@test "broken: without --pid" {
	ours "$limits" '--mount --net --uts --ipc' '' root
	rows_that_fail 'pid-namespace pid-1 host-processes'
}

@test "broken: without --net" {
	ours "$limits" '--pid --mount --uts --ipc' '' root
	rows_that_fail net-namespace
}

@test "broken: without --uts; without --ipc" {
	ours "$limits" '--pid --mount --net --ipc' '' root
	rows_that_fail uts-namespace
	ours "$limits" '--pid --mount --net --uts' '' root
	rows_that_fail ipc-namespace
}

@test "broken: chroot instead of mounts and a root of its own; chroot in mounts of its own" {
	few='setpriv --bounding-set -all,+sys_chroot --inh-caps -all chroot root /bin/sleep 4711'
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- nsexec --pid --net --uts --ipc -- sh -c "mount -t proc proc root/proc; $few"
	[[ $(verify --pid "$inside") == *'it was made by chroot'* ]]
	rows_that_fail 'mnt-namespace old-root'
	umount root/proc
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- nsexec --pid --mount --net --uts --ipc -- sh -c "mount -t proc proc root/proc; $few"
	rows_that_fail old-root
}

@test "broken: no limit of memory, of CPU time, of processes" {
	ours '--cpus 0.5 --pids 32' "$all" '' root
	rows_that_fail memory-limit
	ours '--memory 64M --pids 32' "$all" '' root
	rows_that_fail cpu-limit
	ours '--memory 64M --cpus 0.5' "$all" '' root
	rows_that_fail pids-limit
}

@test "broken: limits so high that they never bite are none" {
	ours "--memory 100000G --cpus $(nproc --all) --pids 32" "$all" '' root
	rows_that_fail 'memory-limit cpu-limit'
}

@test "broken: the host's root bound inside; a part of it is a volume and no fault" {
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- bwrap --unshare-all --cap-drop ALL --bind root / --ro-bind / /mnt --tmpfs /mnt/proc --proc /proc --dev /dev /bin/sleep 4711
	[[ $(verify --pid "$inside") == *'# /mnt (/)'* ]]
	rows_that_fail host-mounts
	mkdir volume
	ours "$limits" "$all" "--bind $PWD/volume:/mnt" root
	[[ $(verify --pid "$inside") == *'that it was given: /mnt'* ]]
	rows_that_fail ''
}

@test "broken: the host's own root as root" {
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- bwrap --unshare-all --cap-drop ALL --bind / / --tmpfs /sys --tmpfs /run --proc /proc --dev /dev \
		--bind root/bin/busybox /usr/bin/sleep /bin/sleep 4711
	[[ $(failing "$inside") == *own-root* ]] || fail "$(verify --pid "$inside")"
	end_container
}

@test "broken: the /proc of the host" {
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- bwrap --unshare-all --cap-drop ALL --bind root / --bind /proc /proc --dev /dev /bin/sleep 4711
	rows_that_fail 'host-processes proc'
}

@test "broken: a second /proc, of the host, elsewhere; no /proc at all" {
	mkdir root/mnt/proc
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- bwrap --unshare-all --cap-drop ALL --bind root / --bind /proc /mnt/proc --proc /proc --dev /dev /bin/sleep 4711
	[[ $(verify --pid "$inside") == *'is to be seen in /mnt/proc'* ]]
	rows_that_fail host-processes
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- bwrap --unshare-all --cap-drop ALL --bind root / --dev /dev /bin/sleep 4711
	rows_that_fail proc
}

@test "broken: every capability; as many in a user namespace reach nothing of the host" {
	ours "$limits" "$all" '--cap-add ALL' root
	rows_that_fail capabilities
	ours "$limits" "$all" '--cap-add ALL --userns auto' root
	rows_that_fail ''
}

@test "broken: a device that is none of a container's business" {
	# shellcheck disable=SC2086
	start_container cgset --transient $limits "$group" -- bwrap --unshare-all --cap-drop ALL --bind root / --proc /proc --dev /dev \
		--dev-bind /dev/kmsg /dev/kmsg /bin/sleep 4711
	[[ $(verify --pid "$inside") == *'# also /dev/kmsg'* ]]
	rows_that_fail devices
	# On a mount that is nodev it opens for nobody.
	ours "$limits" "$all" '--bind /dev/kmsg:/dev/kmsg' root
	rows_that_fail ''
}

@test "advice: a directory as root, user 0 of the host; --require makes rows of them" {
	ours "$limits" "$all" '' root
	[[ " $(failing "$inside") " == *' root-image? user-namespace? id-map? '* ]] || fail "$(verify --pid "$inside")"
	run -1 verify --require id-map --pid "$inside"
	[[ $output == *$'\nnot ok '*' - id-map: root inside is not root outside\n'* || $output == *'id-map: root inside is not root outside'* ]]
	run -1 verify --require root-image --pid "$inside"
	run -0 verify --pid "$inside"
	end_container
	ours "$limits" "$all" '' "$BATS_FILE_TMPDIR/image"
	run -0 verify --require root-image --pid "$inside"
	rows_that_fail ''
}

@test "broken: a network that is down, without address, without route, with a gateway that is not there" {
	ours "$limits" "$all" '' root
	[[ $(verify --pid "$inside") == *'lo is its only interface: it was given no network, or its cable was removed since'* ]]
	run -1 verify --require gateway --pid "$inside"
	ip link add "v$$" type veth peer name eth0 netns "$inside"
	ip link set "v$$" up
	inside_net() { nsenter --net="/proc/$inside/ns/net" "$@"; }
	[ "$(required)" = 'interface address' ] || fail "$(verify --pid "$inside")"
	inside_net ip link set eth0 up
	[ "$(required)" = address ] || fail "$(verify --pid "$inside")"
	inside_net ip address add 10.97.0.2/24 dev eth0
	[ "$(required)" = route ] || fail "$(verify --pid "$inside")"
	inside_net ip route add default via 10.97.0.1
	[ "$(required)" = gateway ] || fail "$(verify --pid "$inside")"
	ip address add 10.97.0.1/24 dev "v$$"
	rows_that_fail ''
}

@test "who only waits for a container is told from it, and the container is named" {
	ours "$limits" "$all" '' root
	run -1 --separate-stderr -- verify --pid "$started"
	[[ $stderr == *"did you mean --pid $inside?" ]] || fail "$stderr"
	[[ $output == *'not ok 1 - pid-namespace'* ]]
	end_container
	run -125 --separate-stderr -- verify --pid "$inside"
	[[ $stderr == "lab verify: there is no process $inside here"* ]] || fail "$stderr"
}
