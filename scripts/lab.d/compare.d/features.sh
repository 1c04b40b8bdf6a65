# What is compared, and how it is shown. Sourced by compare, never run.
#
#     features    prints KEY<TAB>VALUE of the process that read_facts has looked at
# shellcheck shell=sh
# shellcheck disable=SC2154 # facts.sh and compare set them

# KEY|how the table's row is called; a row that starts a group has its title before it.
feature_table() {
	cat <<-'END'
		|namespaces of its own
		pid|pid
		mnt|mnt
		net|net
		uts|uts
		ipc|ipc
		user|user
		cgroup|cgroup
		id_map|id map (inside:outside:count)
		pid_1|its PID 1
		|control groups
		controllers|groups of its own
		memory|memory limit
		cpu|CPU limit
		pids|process limit
		|privileges
		capabilities_in_force|capabilities in force
		capabilities_in_reach|capabilities within reach
		no_new_privs|no_new_privs
		seccomp|seccomp
		lsm|security module's profile
		|files
		root|root
		old_root|way back to the old root
		mounts|mounts
		masked|telling paths covered, of 5
		sys|/sys
		proc_sys|/proc/sys
		devices|devices beyond the harmless
		|network
		interfaces|interfaces
		address|address
		route|default route
	END
}

feature() {
	printf '%s\t%s\n' "$1" "$2"
}

features() {
	for kind in pid mnt net uts ipc user cgroup; do
		eval "inside=\$ns_$kind outside=\$host_$kind"
		if [ "$inside" = "$outside" ]; then feature "$kind" "host's"; else feature "$kind" own; fi
	done
	feature id_map "$(whole_range "$uid_map")"
	feature pid_1 "$(LC_ALL=C tr -c ' -~\n' '?' <"/proc/${init_pid:-1}/comm")"
	feature controllers "$(own_controllers)"
	feature memory "${limit_memory:+$((limit_memory >> 20)) MiB}"
	feature cpu "${limit_cpu:+$(echo "$limit_cpu" | awk '{ print $1 / 1000 }') CPU}"
	feature pids "$limit_pids"
	feature capabilities_in_force "$(capability_names "$cap_eff")"
	feature capabilities_in_reach "$(capability_names "$cap_bnd")"
	if [ "$no_new_privs" = 1 ]; then feature no_new_privs yes; else feature no_new_privs no; fi
	case $seccomp in 0) feature seccomp none ;; 1) feature seccomp strict ;; *) feature seccomp filter ;; esac
	feature lsm "$(tr -d '\0\n' 2>/dev/null <"/proc/$pid/attr/current" | LC_ALL=C tr -c ' -~' '?')"
	if [ -n "$loop_file" ]; then feature root "$root_type on a loop device"; else feature root "directory on $root_type"; fi
	if [ -n "$root_climbs" ]; then feature old_root yes; else feature old_root no; fi
	feature mounts "$(grep -c . "$facts/mounts")"
	feature masked "$(covered)"
	feature sys "$(writable /sys)"
	feature proc_sys "$(writable /proc/sys)"
	feature devices "$(other_devices | grep -c .)"
	feature interfaces "lo${links:+ $links}${link_kind:+ ($link_kind)}"
	feature address "${addresses#*=}"
	feature route "${gateway:+by $gateway}"
}

# The map of the host itself is the whole range of numbers.
whole_range() {
	case $1 in 0:0:4294967295) echo 'none' ;; *) echo "$1" ;; esac
}

# Prints the controllers in whose hierarchy it stands elsewhere than whoever looks; "v2" is that of version 2.
own_controllers() {
	awk -F: '
		{ path = $0; sub(/^[^:]*:[^:]*:/, "", path); name = $2 == "" ? "v2" : $2 }
		NR == FNR { host[name] = path; next }
		name !~ /^name=/ && host[name] != path { printf "%s%s", sep, name; sep = " " }' /proc/self/cgroup "$facts/groups"
}

covered() {
	count=0
	for path in /proc/kcore /proc/keys /proc/timer_list /proc/sysrq-trigger /sys/firmware; do
		open_to_it "$path" || count=$((count + 1))
	done
	echo "$count"
}

# Prints how a directory of the kernel's is mounted there.
writable() {
	# shellcheck disable=SC2046 # a mount point and its options
	set -- "$1" $(mount_options "$1")
	case $2:$3 in
	"$1":ro* | /sys:ro* | /proc:ro* | /proc/sys:ro*) echo read-only ;;
	/:* | :*) echo none ;;
	*) echo writable ;;
	esac
}

# Prints all makes side by side, then what is too long for a column.
show_table() {
	for make in $makes; do
		eval "title=\$title_$make command=\$command_$make"
		version=$(version_of "$make") || version=
		printf 'title\t%s\n' "$title${version:+ $version}" >"$seen/$make.column"
		if [ -e "$seen/$make" ]; then
			# Lists stand below the table, their lengths in it.
			awk -F'\t' -v OFS='\t' '
				/^(capabilities_|controllers)/ { $2 = $2 ~ /^(all|none)$/ ? $2 : split($2, names, " ") }
				{ print $1, $2 }' "$seen/$make" >>"$seen/$make.column"
		fi
	done
	feature_table | awk -F'[|]' -v makes="$makes" -v seen="$seen" '
		BEGIN {
			count = split(makes, make, " ")
			for (i = 1; i <= count; i++) {
				while ((getline line <(seen "/" make[i] ".column")) > 0) {
					key = line; sub(/\t.*/, "", key); sub(/^[^\t]*\t/, "", line)
					value[i, key] = line == "" ? "-" : line
					if (key != "title") there[i] = 1
					if (length(line) > width[i]) width[i] = length(line)
				}
			}
			row("", "title")
		}
		$1 == "" { printf "\n%s\n", $2; next }
		{ row("  " $2, $1) }
		function row(title, key, i) {
			printf "%-32s", title
			for (i = 1; i <= count; i++) printf "  %-" (i < count ? width[i] : 0) "s", key == "title" || there[i] ? value[i, key] : "missing"
			print ""
		}'
	printf '\n'
	for make in $makes; do
		eval "title=\$title_$make command=\$command_$make"
		if [ -e "$seen/$make" ]; then
			printf '%s: %s\n' "$title" "$command"
			printf '  groups: %s\n' "$(sed -n 's/^controllers\t//p' "$seen/$make")"
			printf '  capabilities: %s\n' "$(sed -n 's/^capabilities_in_force\t//p' "$seen/$make")"
		else
			printf '%s: %s\n' "$title" "$(cat "$seen/$make.missing" 2>/dev/null || echo 'not looked at')"
		fi
	done
}

# Prints the same as JSON, a make a line.
show_json() {
	for make in $makes; do
		eval "command=\$command_$make"
		printf 'make\t%s\nversion\t%s\ncommand\t%s\n' "$make" "$(version_of "$make" || :)" "$command"
		if [ -e "$seen/$make" ]; then
			printf 'missing\t\n'
			cat "$seen/$make"
		else
			printf 'missing\t%s\n' "$(cat "$seen/$make.missing" 2>/dev/null || echo 'not looked at')"
		fi
	done | awk -F'\t' '
		function text(word) { gsub(/\\/, "\\\\", word); gsub(/"/, "\\\"", word); return "\"" word "\"" }
		function list(words, names, i, all) {
			for (i = 1; i <= split(words, names, " "); i++) all = all (i > 1 ? "," : "") text(names[i])
			return "[" (words == "none" ? "" : all) "]"
		}
		/^(capabilities_|controllers)/ { printf ",\"%s\":%s", $1, list($2); next }
		{ pair = "\"" $1 "\":" ($2 == "" ? "null" : $2 ~ /^[0-9]+$/ ? $2 : text($2)) }
		$1 == "make" { printf "%s{%s", (NR > 1 ? "},\n" : "[\n"), pair; next }
		{ printf ",%s", pair }
		END { print "}\n]" }'
}
