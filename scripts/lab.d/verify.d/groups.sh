# Which limits the control groups of a process set, on version 1, 2 or both. Sourced by facts.sh, never run.
#
#     read_groups    sets limit_memory (bytes), limit_cpu (thousandths of a CPU) and limit_pids, each empty where there is
#                    none, group_memory, group_cpu and group_pids where they stand, and controllers
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154

# Prints a line for each controller that is limited: its name, the limit, the group. A limit counts in the process's own
# group and above it, up to the group that holds whoever looks: what stands there the host has, too.
limits() {
	printable "/proc/$pid/cgroup" >"$facts/groups" 2>/dev/null && [ -s "$facts/groups" ] || return 1
	for controller in memory cpu cpuset pids; do
		find_group "$controller" || continue
		above=$own_group
		while :; do
			case $host_group/ in "$above"/* | "${above%/}"/*) break ;; esac
			value=$(limit_of "$controller" "$group_mount$above" "$group_version")
			[ -z "$value" ] || { printf '%s %s %s\n' "$controller" "$value" "$above"; break; }
			above=${above%/*}
			[ -n "$above" ] || break
		done
	done
}

# Sets own_group, host_group, group_mount and group_version for a controller, if it is mounted anywhere.
find_group() {
	own_group=$(group_in "$facts/groups" "$1")
	host_group=$(group_in /proc/self/cgroup "$1")
	group_version=1
	[ -n "$own_group" ] || {
		own_group=$(sed -n 's/^0:://p' "$facts/groups")
		host_group=$(sed -n 's/^0:://p' /proc/self/cgroup)
		group_version=2
	}
	# shellcheck disable=SC2046 # two words
	set -- $(awk -v controller="$1" -v version="$group_version" '
		{ for (i = 7; i < NF && $i != "-"; i++) ; type = $(i + 1); options = "," $NF "," }
		version == 2 && type == "cgroup2" || version == 1 && type == "cgroup" && index(options, "," controller ",") {
			print $5, $4; exit
		}' "$facts/host-mounts")
	[ $# = 2 ] && [ -n "$own_group" ] || return 1
	group_mount=$1
	# A mount shows the tree from its root on.
	[ "$2" = / ] || { own_group=${own_group#"$2"} host_group=${host_group#"$2"}; }
	case $own_group in /..*) return 1 ;; esac
}

# Prints the group that a file of the form of /proc/PID/cgroup has for a controller of version 1.
group_in() {
	awk -F: -v controller="$2" 'index("," $2 ",", "," controller ",") { sub(/^[^:]*:[^:]*:/, ""); print; exit }' "$1"
}

# Prints what the files of a group limit, as one number, or nothing.
limit_of() {
	case $1.$3 in
	memory.1) read_number "$2/memory.limit_in_bytes" ;;
	memory.2) read_number "$2/memory.max" ;;
	pids.*) read_number "$2/pids.max" ;;
	cpu.1)
		quota=$(cat "$2/cpu.cfs_quota_us" 2>/dev/null) period=$(cat "$2/cpu.cfs_period_us" 2>/dev/null)
		[ "${quota:--1}" -lt 0 ] || echo $((quota * 1000 / period))
		;;
	cpu.2)
		max=$(cat "$2/cpu.max" 2>/dev/null)
		case ${max:-max} in max*) ;; *) echo $((${max% *} * 1000 / ${max#* })) ;; esac
		;;
	cpuset.1) count_cpus "$2/cpuset.cpus" ;;
	cpuset.2) [ -z "$(cat "$2/cpuset.cpus" 2>/dev/null)" ] || count_cpus "$2/cpuset.cpus.effective" ;;
	esac
}

# Prints the number in a file, unless it is "max" or as large as a kernel has no use for.
read_number() {
	number=$(cat "$1" 2>/dev/null) || return 0
	case $number in
	'' | *[!0-9]*) ;;
	*) [ "$number" -ge 4611686018427387904 ] || echo "$number" ;;
	esac
}

# Prints how many CPUs a list such as 0-2,5 names, in thousandths, unless they are all that there are.
count_cpus() {
	tr , '\n' 2>/dev/null <"$1" | awk -F- -v all="$(nproc --all)" '
		NF { n += (NF == 2 ? $2 - $1 : 0) + 1 }
		END { if (n && n < all) print n * 1000 }'
}

read_groups() {
	limits >"$facts/limits" || return 1
	limit_memory='' limit_cpu='' limit_pids='' group_memory='' group_cpu='' group_pids=''
	while read -r controller value group; do
		case $controller in
		memory) limit_memory=$value group_memory=$group ;;
		pids) limit_pids=$value group_pids=$group ;;
		cpu) limit_cpu=$value group_cpu=$group ;;
		cpuset) [ "${limit_cpu:-$value}" -lt "$value" ] || limit_cpu=$value group_cpu=$group ;;
		esac
	done <"$facts/limits"
}
