#!/bin/sh
# What lab doctor says of each step: STEP TAB yes|no TAB PACKAGES TAB BEFORE TAB REPAIR, a line each, `-` where there is
# none. It is sourced after machine.sh.

: "${lab:?names the directory of the lab}" "${here:?}" "${work:=}"

# Begins a step; a package or a repair may follow, and `done_step` prints it.
begin_step() {
	current=$1 wants='' before='' repair=''
}

# The step installs PACKAGE by itself unless PROGRAM is here. Without apt or root that is for the user to do.
wants() {
	program=$1
	shift
	case $program in
	*/*) [ ! -e "$program" ] || return 0 ;;
	*) ! command -v "$program" >/dev/null || return 0 ;;
	esac
	if command -v apt-get >/dev/null; then
		wants="$wants $*"
	else
		must "install $* in this machine's own way"
	fi
}

# The first thing that has to be mended first.
must() {
	repair=${repair:-$1}
}

# The step of the lab that comes first.
after() {
	before=${before:-$1}
}

done_step() {
	possible=yes
	[ -z "$repair" ] || possible=no
	wants=${wants# }
	printf '%s\t%s\t%s\t%s\t%s\n' "$current" "$possible" "${wants:--}" "${before:--}" "${repair:--}"
}

# What every step that starts a container needs.
for_containers() {
	kernel_is_new || must "boot a kernel of 6.1 or newer: apt-get install linux-image-amd64 && reboot"
	has_namespaces || must 'boot a kernel with every kind of namespace: apt-get install linux-image-amd64 && reboot'
	zero=$(zero_limits)
	[ -z "$zero" ] || must "sysctl$(for kind in $zero; do printf ' user.max_%s_namespaces=10000' "$kind"; done)"
	[ "$(id -u)" = 0 ] || must "$(as_root)"
	hierarchies | grep -q . || must 'mount -t cgroup2 cgroup2 /sys/fs/cgroup'
	has_controllers || must 'boot with the controllers cpu, memory and pids: remove cgroup_disable= from the kernel command line'
	[ -e /dev/loop-control ] || must 'modprobe loop'
	case $(nf_tables_found) in no) must 'modprobe -a nf_tables nft_chain_nat nft_masq bridge veth' ;; esac
}

# How to type this step as root.
as_root() {
	case $current in
	bench) printf '%s%s%s\n' "$(sudo_word)" "$(lab_settings)" "$(quote "$here/bench")" ;;
	*) lab_line "$current" ;;
	esac
}

# What machine() has found is not asked twice.
nf_tables_found() {
	sed -n 's/^nf_tables\t//p' "$work/machine"
}

# The container that show and verify look at.
for_running() {
	for_containers
	lab_program >/dev/null || after "$(lab_line up)"
}

is_built() {
	case $(sed -n 's/^tools\t//p' "$work/machine") in 'not built'*) return 1 ;; esac
}

steps() {
	begin_step up
	for_containers
	[ "$(free_mib)" -ge 1500 ] || must "free 1500 MiB for $lab, or name another place in LAB_DIR"
	case $(tree_state) in *'no root file system') must "mv $(quote "$lab/rootfs" "$lab/rootfs.old")" ;; esac
	is_built || wants cargo 'cargo rustc gcc libc6-dev'
	wants mkfs.ext4 e2fsprogs
	wants ip iproute2
	[ -e "$lab/rootfs" ] || wants mmdebstrap mmdebstrap
	done_step

	begin_step show
	for_running
	wants ip iproute2
	wants nft nftables
	done_step

	begin_step verify
	for_running
	done_step

	begin_step bench
	for_containers
	if [ ! -e "$lab/rootfs" ]; then
		after "$(lab_line up --tree-only)"
	elif ! has_sysbench; then
		must "rm -r $(quote "$lab/rootfs") && $(lab_line up --tree-only)"
	elif [ "$(id -u)" = 0 ] && [ "$(tree_sysbench)" = 'that does not run' ]; then
		must "rm -r $(quote "$lab/rootfs") && $(lab_line up --tree-only)"
	fi
	wants lxc-execute lxc
	# Without these it measures less.
	if command -v apt-get >/dev/null; then
		wants cc gcc libc6-dev
		wants bwrap bubblewrap
		wants runc runc
		wants systemd-nspawn systemd-container
	fi
	done_step

	begin_step report
	[ -e "$lab/bench/summary.csv" ] || after "$(sudo_word)$(lab_settings)$(quote "$here/bench") --quick"
	wants gnuplot gnuplot-nox
	wants /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
	if typst_version | grep -qx none; then
		wants python3 python3
		python3 -m pip --version >/dev/null 2>&1 || wants pip3 python3-pip
		wants typst typst
	fi
	done_step

	begin_step archive
	[ -e "$lab/report.pdf" ] || after "$(lab_line report)"
	wants zip zip
	done_step
}
