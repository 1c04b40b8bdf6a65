# What a container is made of, read from outside. Sourced by verify and compare, never run:
#
#     read_facts PID DIR    DIR is for files of its own; afterwards the variables below are set, or why it failed and the cure
#
# Nothing is started inside: /proc/PID shows its namespaces, mounts and groups, /proc/PID/root its files, and ip and ping
# are the host's own, in its network namespace alone. So it works where the container has no shell, and its processes see
# nothing of it. What the container can choose (names, mount points) is cleaned of what is not printable ASCII.
# shellcheck shell=sh source-path=SCRIPTDIR
# shellcheck disable=SC2034,SC2154 # they are for those who source this

# Prints a file of /proc in printable ASCII.
printable() {
	tr '\t' ' ' <"$1" | LC_ALL=C tr -c '\n -~' '?'
}

# Prints its lines as one.
one_line() {
	tr '\n' ' ' | sed 's/ *$//'
}

# Sets every fact about process $1.
read_facts() {
	pid=$1 facts=$2 cure='name one that is still running; it must not be a zombie'
	[ -d "/proc/$pid" ] || { why="there is no process $pid here"; return 1; }
	why="process $pid has ended, or ended while it was looked at"
	began=$(start_time "$pid") && read_status && read_namespaces && read_mounts && read_network && read_groups &&
		[ "$(start_time "$pid")" = "$began" ]
}

# Prints when a process was started: a number that is used again has another. A zombie has ended.
start_time() {
	[ -r "/proc/$1/stat" ] || return 1
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{ if ($1 == "Z" || $1 == "X") exit 1; print $20 }'
}

# Sets name, nspid, capabilities, no_new_privs and seccomp.
read_status() {
	nspid='' cap_eff=0 cap_bnd=0 cap_prm=0 no_new_privs=0 seccomp=0
	printable "/proc/$pid/status" >"$facts/status" 2>/dev/null && [ -s "$facts/status" ] || return 1
	while read -r key value; do
		case $key in
		Name:) name=$value ;;
		NSpid:) nspid=$value ;;
		CapPrm:) cap_prm=0x$value ;;
		CapEff:) cap_eff=0x$value ;;
		CapBnd:) cap_bnd=0x$value ;;
		NoNewPrivs:) no_new_privs=$value ;;
		Seccomp:) seccomp=$value ;;
		esac
	done <"$facts/status"
	uid_map=$(awk '{ print $1 ":" $2 ":" $3 }' "/proc/$pid/uid_map" 2>/dev/null | one_line) || return 1
}

# Sets ns_KIND, and host_KIND, which is what whoever looks is in.
read_namespaces() {
	for kind in mnt uts ipc net pid user cgroup; do
		eval "ns_$kind=\$(readlink /proc/$pid/ns/$kind) && host_$kind=\$(readlink /proc/self/ns/$kind)" 2>/dev/null ||
			{ note_refusal "/proc/$pid/ns/$kind"; return 1; }
	done
	init_pid=$(find_init)
}

# Sets why and cure where a process is there, and the kernel does not let whoever looks read the link $1 of it.
note_refusal() {
	case $(LC_ALL=C readlink -v "$1" 2>&1) in
	*'Permission denied') refusal='Permission denied (EACCES)' ;;
	*'Operation not permitted') refusal='Operation not permitted (EPERM)' ;;
	*) return 0 ;;
	esac
	why="the namespaces of process $pid cannot be read: readlink(\"$1\"): $refusal"
	# The number is that of the machine's own in every kernel.
	if [ "$(readlink /proc/self/ns/user)" != 'user:[4026531837]' ]; then
		cure='this root is one of a user namespace, and the process is not in it or below: look from where the process was started'
	# CAP_SYS_PTRACE is 1 << 19.
	elif [ $((0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status) >> 19 & 1)) = 0 ]; then
		cure='this root lacks the capability CAP_SYS_PTRACE, as in a container: look from the host'
	else
		cure='this root has the right to, so a security module of the kernel may be in the way: name another process of the container'
	fi
}

# Prints the process that is PID 1 where PID is: itself, or one that is seen from here.
find_init() {
	case $nspid in *[!0-9]1) echo "$pid"; return ;; esac
	[ "$ns_pid" != "$host_pid" ] || return 0
	for status in /proc/[0-9]*/status; do
		while read -r key value; do
			case $key in
			NSpid:) case $value in *[!0-9]1) break ;; esac; continue 2 ;;
			esac
		done 2>/dev/null <"$status"
		other=${status#/proc/}
		other=${other%/status}
		[ "$(readlink "/proc/$other/ns/pid" 2>/dev/null)" != "$ns_pid" ] || { echo "$other"; return; }
	done
}

# Sets what its root is and what is mounted there:
#   root_dev root_type root_source   of the mount that is its root
#   root_climbs                      yes: `..` at its root leads on, to what a chroot left above it
#   proc_init                        the PID namespace that process 1 of its own /proc is in
#   whole_mounts, shares             mounts that show a whole file system of the host, or a part of one
read_mounts() {
	printable "/proc/$pid/mountinfo" >"$facts/mounts" 2>/dev/null && [ -s "$facts/mounts" ] || return 1
	printable /proc/self/mountinfo >"$facts/host-mounts"
	root_line=$(awk '$5 == "/" { line = $0 } END { print line }' "$facts/mounts")
	root_dev=$(echo "$root_line" | cut -d' ' -f3)
	root_type=$(echo "$root_line" | sed -n 's/.* - \([^ ]*\) .*/\1/p')
	root_source=$(echo "$root_line" | sed -n 's/.* - [^ ]* \([^ ]*\) .*/\1/p')
	# A mount's root leads nowhere when it is the root of the whole table, as after pivot_root; the walk starts at ours,
	# so it is not held at the process's own root as it would be for the process.
	here_root=$(stat -L -c %d:%i "/proc/$pid/root" 2>/dev/null) || return 1
	host_root=$(stat -L -c %d:%i /)
	[ "$(stat -L -c %d:%i "/proc/$pid/root/.." 2>/dev/null)" = "$here_root" ] && root_climbs='' || root_climbs=yes
	proc_init=$(readlink "/proc/$pid/root/proc/1/ns/pid" 2>/dev/null) || proc_init=
	awk '
		{ type = ""; for (i = 7; i < NF; i++) if ($i == "-") { type = $(i + 1); break } }
		NR == FNR { host[$3, $4] = $5; if (!($3 in device)) device[$3] = $5; next }
		type ~ /^(proc|sysfs|cgroup|cgroup2|mqueue|securityfs|debugfs|tracefs|bpf)$/ || $5 == "/" { next }
		($3, $4) in host { print "whole", $5 " (" host[$3, $4] ")"; next }
		$3 in device && type != "devtmpfs" && type != "devpts" { print "share", $5 }
	' "$facts/host-mounts" "$facts/mounts" >"$facts/shown"
	whole_mounts=$(sed -n 's/^whole //p' "$facts/shown" | one_line)
	shares=$(sed -n 's/^share //p' "$facts/shown" | one_line)
	loop_file=
	case $root_dev in
	7:*) loop_file=$(cat "/sys/dev/block/$root_dev/loop/backing_file" 2>/dev/null) || loop_file='a file that is gone' ;;
	esac
	sees_us=$(procs_that_show_us | one_line)
}

# Prints those of its /proc mounts in which this very process, which is the host's, has a number.
procs_that_show_us() {
	sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - proc .*/\1/p' "$facts/mounts" | while read -r point; do
		[ -z "$(readlink "/proc/$pid/root$(printf '%b' "$point")/self" 2>/dev/null)" ] || printf '%s\n' "$point"
	done
}

# Prints the mount options of the mount at $1, or of the nearest above it.
mount_options() {
	awk -v path="$1" '
		$5 == path || ($5 == "/" && longest == "") || index(path, $5 "/") == 1 {
			if (length($5) >= length(longest)) { longest = $5; options = $6 }
		}
		END { print longest, options }' "$facts/mounts"
}

# Runs one of the host's programs in its network namespace.
in_network() {
	nsenter --net="/proc/$pid/ns/net" "$@"
}

# Sets links (without lo), links_up, addresses, and route: the gateway and the device of the default route.
read_network() {
	in_network ip -o link 2>/dev/null >"$facts/raw" || return 1
	printable "$facts/raw" >"$facts/links"
	in_network ip -o address show up scope global >"$facts/raw"
	printable "$facts/raw" >"$facts/addresses"
	{ in_network ip -4 route show default && in_network ip -6 route show default; } >"$facts/raw"
	printable "$facts/raw" >"$facts/routes"
	links=$(sed -n 's/^[0-9]*: \([^:@]*\).*/\1/p' "$facts/links" | awk '$0 != "lo" && !/^(tunl|sit|ip6tnl|gre|gretap|erspan|ip_vti|ip6_vti|ip6gre)0$/' | one_line)
	links_up=$(awk -F'[:@ ]+' '/[<,]UP[,>]/ && $2 != "lo" { print $2 }' "$facts/links" | one_line)
	link_kind=$(in_network ip -o -d link 2>/dev/null | sed -n 's/.* \(veth\|macvlan\|ipvlan\|tun\|bridge\) .*/\1/p' | sort -u | one_line)
	addresses=$(awk '{ print $2 "=" $4 }' "$facts/addresses" | one_line)
	gateway='' gateway_device='' has_route=
	while read -r line; do
		has_route=yes
		case " $line " in *' via '*) ;; *) continue ;; esac
		gateway=${line#* via }
		gateway=${gateway#inet6 }
		gateway=${gateway%% *}
		gateway_device=${line#* dev }
		gateway_device=${gateway_device%% *}
		break
	done <"$facts/routes"
}

# Tells whether the gateway answers: by ping, or if it does not like pings by its link address.
gateway_answers() {
	for _ in 1 2 3; do
		answered=ping
		! in_network ping -n -q -c 1 -W 2 -I "$gateway_device" "$gateway" >/dev/null 2>&1 || return 0
		answered='its link address'
		! in_network ip neighbour show "$gateway" dev "$gateway_device" 2>/dev/null | grep -q ' lladdr .* \(REACHABLE\|STALE\|DELAY\|PROBE\)' || return 0
	done
	return 1
}
