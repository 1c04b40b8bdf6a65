# How each make of container is started, as it comes. Sourced by compare, never run. Each start_MAKE becomes a container
# of the tree $work/root in which sleep runs, with control groups that begin with $own; its end is the end of the sleeper.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # compare sets and uses them

makes='ours lxc bwrap runc'
nap=98765
title_ours='ours' program_ours=$here/container repair_ours='scripts/try builds it'
title_lxc='LXC' program_lxc=lxc-execute repair_lxc='apt-get install lxc'
title_bwrap='bwrap' program_bwrap=bwrap repair_bwrap='apt-get install bubblewrap'
title_runc='runc' program_runc=runc repair_runc='apt-get install runc'

command_ours='scripts/container run IMG'
command_lxc='lxc-execute, with common.conf and an empty network'
command_bwrap='bwrap --unshare-all --bind ROOT / --proc /proc --dev /dev'
command_runc='runc run, of what runc spec writes'

start_ours() {
	exec "$here/container" run --name "$own-ours" "$work/image" -- /bin/sleep "$nap"
}

start_lxc() {
	mkdir "$work/lxc"
	{
		[ ! -e /usr/share/lxc/config/common.conf ] || echo lxc.include = /usr/share/lxc/config/common.conf
		# Where AppArmor is in the kernel and its profiles cannot be loaded, LXC starts nothing unless it is told to.
		if command -v apparmor_parser >/dev/null; then
			echo lxc.apparmor.allow_incomplete = 1
		else
			echo lxc.apparmor.profile = unconfined
		fi
		cat <<-END
			lxc.rootfs.path = dir:$work/root
			lxc.uts.name = lxc
			lxc.console.path = none
			lxc.net.0.type = empty
			lxc.cgroup.dir.monitor = $own-lxc-monitor
			lxc.cgroup.dir.container = $own-lxc
			lxc.cgroup.dir.monitor.pivot = $own-lxc-pivot
		END
	} >"$work/lxc.conf"
	exec lxc-execute -P "$work/lxc" -n "$own" -f "$work/lxc.conf" -- /bin/sleep "$nap"
}

start_bwrap() {
	exec bwrap --unshare-all --bind "$work/root" / --proc /proc --dev /dev -- /bin/sleep "$nap"
}

start_runc() {
	mkdir "$work/bundle"
	runc spec --bundle "$work/bundle"
	# The program and the root are ours, and so is the group; a terminal there is none.
	sed -i -e 's|"terminal": true|"terminal": false|' -e "s|\"sh\"|\"/bin/sleep\", \"$nap\"|" \
		-e "s|\"path\": \"rootfs\"|\"path\": \"$work/root\"|" \
		-e "s|\"linux\": {|&\"cgroupsPath\": \"/$own-runc\",|" "$work/bundle/config.json"
	exec runc --root "$work/runc-state" run --bundle "$work/bundle" "$own"
}

# Prints the version of a make.
version_of() {
	case $1 in
	ours) "$bin/nsexec" --version ;;
	lxc) lxc-execute --version ;;
	bwrap) bwrap --version ;;
	runc) runc --version | head -n 1 ;;
	esac 2>/dev/null | sed 's/^[^0-9]*//'
}
