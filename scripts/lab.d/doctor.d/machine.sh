#!/bin/sh
# What lab doctor finds on this machine: KEY TAB VALUE, a line each. It is sourced, and reads only.

: "${lab:?names the directory of the lab}" "${bin:?}"

# Prints a row.
row() {
	printf '%s\t%s\n' "$1" "$2"
}

# Prints the first line of stdin, or `none`.
first() {
	head -n 1 | grep . || echo none
}

machine() {
	row kernel "$(uname -r), $(uname -m)$(kernel_verdict)"
	row user "$(id -un), uid $(id -u)$([ "$(id -u)" = 0 ] || printf ': most steps take root')"
	row namespaces "$(namespaces)"
	row limits "$(namespace_limits)"
	row userns "$(userns_switches)"
	row apparmor "$(apparmor)"
	row cgroup "$(cgroup_mode)"
	row controllers "$(controllers)"
	row loop "$(loop)"
	row nf_tables "$(nf_tables)"
	row tools "$(built_tools)"
	row tree "$(tree_state)"
	row sysbench "host $(host_sysbench), tree $(tree_sysbench)"
	row lxc "$(lxc_version)"
	row gnuplot "$(gnuplot --version 2>/dev/null | first)"
	row typst "$(typst_version)"
	row disk "$(free_mib) MiB free for $lab"
	row memory "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo | awk '{ printf "%d MiB free", $1 / 1024 }'), $(nproc) CPUs"
}

# Whether a version is not older than another.
at_least() {
	printf '%s\n%s\n' "$2" "$1" | sort -C -V
}

kernel_is_new() {
	at_least "$(uname -r | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')" 6.1
}

kernel_verdict() {
	kernel_is_new || printf ', older than 6.1'
}

# Prints the kinds of namespace that there are, and those that are missing.
namespaces() {
	has='' lacks=''
	for kind in mnt pid net uts ipc user cgroup time; do
		if [ -e "/proc/self/ns/$kind" ]; then has="$has $kind"; else lacks="$lacks $kind"; fi
	done
	printf '%s%s\n' "${has# }" "${lacks:+; missing:$lacks}"
}

has_namespaces() {
	for kind in mnt pid net uts ipc user cgroup; do
		[ -e "/proc/self/ns/$kind" ] || return 1
	done
}

# Prints the limits on how many there may be, those that are 0 first.
namespace_limits() {
	none=$(zero_limits)
	[ -z "$none" ] || printf 'none allowed:%s; ' "$none"
	printf 'at least %s of each kind\n' "$(cat /proc/sys/user/max_*_namespaces 2>/dev/null | sort -n | grep -vx 0 | first)"
}

# Prints the kinds of which none may be made.
zero_limits() {
	for file in /proc/sys/user/max_*_namespaces; do
		[ ! -e "$file" ] || [ "$(cat "$file")" != 0 ] || printf ' %s' "$(basename "$file" _namespaces | sed 's/^max_//')"
	done
}

userns_switches() {
	for file in kernel/unprivileged_userns_clone kernel/apparmor_restrict_unprivileged_userns; do
		[ ! -e "/proc/sys/$file" ] || printf '%s=%s ' "${file#*/}" "$(cat "/proc/sys/$file")"
	done | first | sed 's/^none$/no switch: they are free/'
}

apparmor() {
	if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
		printf 'on, this shell: %s\n' "$(cat /proc/self/attr/apparmor/current /proc/self/attr/current 2>/dev/null | tr -d '\0' | first)"
	else
		echo off
	fi
}

# Prints the type and mount point of each hierarchy.
hierarchies() {
	sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - \(cgroup2\{0,1\}\) .*/\2 \1/p' /proc/self/mountinfo
}

cgroup_mode() {
	one=$(hierarchies | grep -c '^cgroup ') || :
	two=$(hierarchies | grep -c '^cgroup2 ') || :
	case $one:$two in
	0:0) echo 'none mounted' ;;
	0:*) echo 'version 2' ;;
	*:0) printf 'version 1, %s hierarchies\n' "$one" ;;
	*) printf 'both: version 1, %s hierarchies, and version 2\n' "$one" ;;
	esac
}

# Prints the controllers that can be had, in either version.
controllers() {
	{
		hierarchies | while read -r kind point; do
			[ "$kind" != cgroup2 ] || cat "$point/cgroup.controllers" 2>/dev/null || :
		done
		sed -n 's/.* - cgroup [^ ]* \(.*\)/\1/p' /proc/self/mountinfo | tr , '\n' | grep -vxE 'rw|ro|xattr|name=.*' || :
	} | tr ' ' '\n' | sort -u | xargs
}

has_controllers() {
	for controller in cpu memory pids; do
		case " $(controllers) " in *" $controller "*) ;; *) return 1 ;; esac
	done
}

loop() {
	if [ ! -e /dev/loop-control ]; then
		echo 'no /dev/loop-control'
	elif free=$(losetup --find 2>/dev/null); then
		printf 'yes, next is %s\n' "$free"
	else
		echo 'not for this user'
	fi
}

# Asks the kernel in a network of its own, where a rule is nobody's.
nf_tables() {
	if [ ! -x "$bin/vethup" ] || [ "$(id -u)" != 0 ]; then
		echo 'not tried'
	elif "$bin/nsexec" --net -- "$bin/vethup" --nat -- true 2>/dev/null; then
		echo 'yes, with bridge, veth and NAT'
	else
		echo no
	fi
}

built_tools() {
	absent=
	for tool in cgset vethup nsexec pivot mkimg; do
		[ -x "$bin/$tool" ] || absent="$absent $tool"
	done
	if [ -z "$absent" ]; then "$bin/nsexec" --version | sed 's/^nsexec //'; else printf 'not built:%s\n' "$absent"; fi
}

tree_state() {
	if [ ! -e "$lab/rootfs" ]; then
		echo 'none yet'
	elif [ -d "$lab/rootfs/proc" ] && [ -e "$lab/rootfs/etc/passwd" ]; then
		sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' "$lab/rootfs/etc/os-release" 2>/dev/null | first | sed "s/^none\$/programs of this machine/"
	else
		printf '%s is no root file system\n' "$lab/rootfs"
	fi
}

host_sysbench() {
	sysbench --version 2>/dev/null | first | sed 's/^sysbench //; s/ .*//'
}

# Whether the tree has a sysbench, where scripts/bench runs it.
has_sysbench() {
	[ -x "$lab/rootfs/usr/bin/sysbench" ]
}

# As root, by its own libraries; else that it is there.
tree_sysbench() {
	if ! has_sysbench; then
		echo none
	elif [ "$(id -u)" = 0 ]; then
		chroot "$lab/rootfs" /usr/bin/sysbench --version 2>/dev/null | first | sed 's/^sysbench //; s/ .*//; s/^none$/that does not run/'
	else
		echo 'is there'
	fi
}

lxc_version() {
	lxc-start --version 2>/dev/null | first
}

# In PATH, or where report/build has put it.
typst_version() {
	typst --version 2>/dev/null | grep -m1 . && return
	for place in "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}"/boxutils/typst-*; do
		[ ! -e "$place/typst/__init__.py" ] || { printf 'typst %s\n' "${place##*/typst-}"; return; }
	done
	echo none
}

# Prints the free room, of the nearest directory that is there.
free_mib() {
	place=$lab
	while [ ! -d "$place" ]; do place=$(dirname "$place"); done
	df --output=avail --block-size=1M "$place" | tail -n 1 | tr -d ' '
}
