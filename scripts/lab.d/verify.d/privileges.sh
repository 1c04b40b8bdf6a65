# Capabilities by name, devices and covered paths. Sourced by verify and compare, never run.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # facts.sh sets them, rows.sh uses them

# By number, as linux/capability.h has them.
capabilities='chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot
sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'

# chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write setfcap
usual_capabilities=0xa80425fb

# Prints the names of a set of capabilities, "none", or "all".
capability_names() {
	number=0 names='' absent=''
	for capability in $capabilities; do
		if [ $(($1 >> number & 1)) = 1 ]; then names="$names $capability"; else absent=yes; fi
		number=$((number + 1))
	done
	names=${names:- none}
	[ -n "$absent" ] || names=' all'
	printf '%s\n' "${names# }"
}

# Prints the devices in its /dev that give more than null, zero, full, random, urandom, terminals, tun and fuse do. On a
# mount that is nodev they open for nobody. A directory that is a link is not followed: it would lead to the host's; and
# what a file is says stat, for find believes the directory, which does not know what is mounted there.
other_devices() {
	find "/proc/$pid/root/dev" -mindepth 1 -maxdepth 2 ! -type l -exec stat -c '%F %t:%T %n' {} + 2>/dev/null |
		awk -v root="/proc/$pid/root" '
			NR == FNR { options[$5] = "," $6 ","; next }
			!/^(character|block)/ { next }
			{ number = $(NF - 1); path = $NF; sub(root, "", path) }
			/^character/ && number ~ /^(1:[35789]|5:[012]|8[89a-f]:.*|a:c8|a:e5)$/ { next }
			{
				for (point = path; point != "" && !(point in options); ) sub("/[^/]*$", "", point)
				if (index(options[point == "" ? "/" : point], ",nodev,")) next
				if (++shown <= 6) print path; else more++
			}
			END { if (more) print "and " more " more" }' "$facts/mounts" - | LC_ALL=C tr -c '\n -~' '?'
}

# Tells whether a path is there and neither covered by a mount nor on a read-only one.
open_to_it() {
	[ -e "/proc/$pid/root$1" ] || return 1
	# shellcheck disable=SC2046 # a mount point and its options
	set -- "$1" $(mount_options "$1")
	case $2 in
	/proc | /sys) ;;
	*) return 1 ;;
	esac
	# Where nothing can be written, what is only there to be written to is as good as covered.
	case $1:$3 in
	/proc/sysrq-trigger:ro*) return 1 ;;
	esac
}
