# The places: how a program is started in each, with one thing more from rung to rung. Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

kinds='--pid --net --mount --uts --ipc --cgroup --hostname bench'

# Runs a program for at most $1 seconds, in the background so that an interruption is heard at once; in a process group
# of its own, so that it can be ended with all that it started. Nothing of the environment reaches it.
watched() {
	time_limit=$1
	shift
	timeout --kill-after=5 "$time_limit" env -i PATH="$PATH" HOME=/root "$@" </dev/null 7<&- 9>&- &
	child=$!
	answer=0
	wait "$child" || answer=$?
	child=
	return "$answer"
}

# in_place ACTION PLACE WORD...: ACTION with the line that starts sysbench with these words in that place, in the set of
# files there. The shell that goes to it is the same everywhere; what it takes to start is in nobody's time.
in_place() {
	action=$1 place=$2
	shift 2
	# shellcheck disable=SC2016 # the shell in there fills it in
	set -- /bin/sh -c 'cd /bench && exec /usr/bin/sysbench "$@"' sh "$@"
	case $place in
	lxc)
		set -- lxc-execute -P "$work/lxc" -n "$group" -f "$work/lxc.conf" -o "$work/lxc.log" -- "$@"
		$action "$@"
		return
		;;
	container)
		set -- "$here/container" run --name "$group" --memory "$memory" --cpus "$cpus" --pids "$pids" \
			--image "$image" -- "$@"
		$action "$@"
		return
		;;
	root) set -- "$bin/pivot" "$root" "$@" ;;
	loop-buffered) set -- "$bin/pivot" "${device:-LOOP}" "$@" ;;
	loop-direct) set -- "$bin/pivot" "$image" "$@" ;;
	*) set -- chroot "$root" "$@" ;;
	esac
	# shellcheck disable=SC2086 # a list of options
	case $place in
	host) set -- nsenter --target="$outer" --mount --net -- "$@" ;;
	*) set -- "$bin/nsexec" $kinds -- "$@" ;;
	esac
	case $place in
	host | namespaces) ;;
	*) set -- "$bin/cgset" --transient --memory "$memory" --cpus "$cpus" --pids "$pids" "$group" -- "$@" ;;
	esac
	$action "$@"
}

# Attaches the image the way losetup does where nobody asks for direct I/O: what is read and written goes through the
# host's page cache. Descriptor 8 holds the device, and the kernel takes it away when the last holder is gone.
attach_buffered() {
	device=$(losetup --find --show --direct-io=off "$image")
	exec 8<"$device"
	losetup --detach "$device"
}

# Lets the device go.
let_go() {
	exec 8<&-
	device=
}

# Writes LXC's settings: the same tree, limits and network. It is given more than ours: all capabilities but a few, and
# root in it is root outside, as LXC has it where root starts it.
write_lxc_settings() {
	mkdir -p "$work/lxc"
	cat >"$work/lxc.conf" <<-END
		lxc.rootfs.path = dir:$1
		lxc.uts.name = bench
		# Or it makes the terminal raw that bench was started on, and Ctrl-C is one more character.
		lxc.console.path = none
		lxc.net.0.type = veth
		lxc.net.0.link = boxbr0
		lxc.net.0.flags = up
		lxc.net.0.ipv4.address = 10.98.255.2/16
		lxc.net.0.ipv4.gateway = 10.98.0.1
		lxc.mount.auto = proc:mixed sys:ro
		lxc.cgroup.dir.monitor = $group-lxc-monitor
		lxc.cgroup.dir.container = $group-lxc
		lxc.cgroup.dir.monitor.pivot = $group-lxc-pivot
	END
	lxc_limits >>"$work/lxc.conf"
}

# Prints the limits in LXC's words: where a controller has a hierarchy of version 1, in that one's.
lxc_limits() {
	quota=$((cpus * 100000))
	if has_v1 memory; then
		echo "lxc.cgroup.memory.limit_in_bytes = $memory"
		# Without swap accounting there is no such file.
		[ ! -e "$(v1_tree memory)/memory.memsw.limit_in_bytes" ] || echo "lxc.cgroup.memory.memsw.limit_in_bytes = $memory"
	else
		printf 'lxc.cgroup2.memory.max = %s\nlxc.cgroup2.memory.swap.max = 0\n' "$memory"
	fi
	if has_v1 cpu; then
		printf 'lxc.cgroup.cpu.cfs_period_us = 100000\nlxc.cgroup.cpu.cfs_quota_us = %s\n' "$quota"
	else
		echo "lxc.cgroup2.cpu.max = $quota 100000"
	fi
	if has_v1 pids; then
		echo "lxc.cgroup.pids.max = $pids"
	else
		echo "lxc.cgroup2.pids.max = $pids"
	fi
}

# Prints where the hierarchy of version 1 with this controller is mounted.
v1_tree() {
	awk -v wanted="$1" '{
		at = index($0, " - cgroup ")
		if (!at) next
		count = split(substr($0, at + 10), word, " ")
		if (index("," word[count] ",", "," wanted ",")) { print $5; exit }
	}' /proc/self/mountinfo
}

has_v1() {
	[ -n "$(v1_tree "$1")" ]
}
