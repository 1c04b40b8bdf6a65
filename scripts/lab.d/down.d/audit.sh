#!/bin/sh
# What lab down proves: of each kind of thing that could be left, that none is. It is sourced, and reads only.

: "${lab:?names the directory of the lab}" "${name:?names its container}" "${made:?lists its files}" "${here:?}" "${bin:?}"
: "${mark:?names the list of what it has made}"

# Prints the processes that run scripts/bench for this lab: shells whose script it is, not those that only name it.
benches() {
	for process in /proc/[0-9]*; do
		script=$(tr '\0' '\n' 2>/dev/null <"$process/cmdline" | sed -n 2p)
		case $script in bench | */bench) ;; *) continue ;; esac
		place=$(readlink "$process/cwd" 2>/dev/null) || continue
		[ "$(cd "$place" 2>/dev/null && readlink -f "$script")" = "$here/bench" ] || continue
		directory=$(tr '\0' '\n' 2>/dev/null <"$process/environ" | sed -n 's/^LAB_DIR=//p')
		[ "$(cd "$place" && readlink -m "${directory:-lab}")" != "$lab" ] || printf '%s\n' "${process#/proc/}"
	done
}

# What groups of the lab are called, as a pattern of grep: the container's, and those that lab verify, compare and syllabus
# make for a moment.
group_names="$(printf '%s\n' "$name" | sed 's/[.]/[.]/g')\\(-\\(verify\\|compare\\|lecture\\)-[^/]*\\)\\{0,1\\}"

# Prints the processes whose program or root is in the lab, or whose group is the container's.
processes() {
	for process in /proc/[0-9]*; do
		case $(readlink "$process/exe" "$process/root" 2>/dev/null) in
		*"$lab/"*) printf '%s\n' "${process#/proc/}" && continue ;;
		esac
		! grep -q ":/$group_names\$" "$process/cgroup" 2>/dev/null || printf '%s\n' "${process#/proc/}"
	done
}

# Prints the control groups of those names.
groups() {
	sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2\{0,1\} .*/\1/p' /proc/self/mountinfo | while read -r tree; do
		find "$tree" -maxdepth 1 -type d -name "$name*" 2>/dev/null | grep -x ".*/$group_names" || :
	done
}

# Prints those that a benchmark which was killed has left.
bench_groups() {
	# shellcheck disable=SC2034 # own_groups reads it
	for group in $(noted_groups "$lab/bench"); do own_groups -type d; done
}

# Prints the mounts below the lab.
mounts() {
	mounts_below "$lab"
}

# Prints the loop devices whose file is in the lab, also where that is removed already.
loops() {
	losetup --list --noheadings --output NAME,BACK-FILE | grep -F " $lab/" || :
}

# Prints the containers' cables: name, address and, where somebody is at the other end, who.
cables() {
	"$bin/vethup" --list 2>/dev/null | sed -n '/ uplink$/!s/^  //p'
}

# Prints bridge and cables by their names, where there is no vethup to ask.
named_links() {
	ip -o link 2>/dev/null | sed -n 's/^[0-9]*: \(boxbr0\|bx[0-9a-f]\{8\}\)[:@].*/\1/p'
}

# Prints the cables that the containers of the lab had, and what else vethup made if no cable is others'.
links() {
	has_tools || { named_links; return; }
	for cable in ${our_cables-}; do
		! cables | grep "^$cable " || return 0
	done
	[ -n "$(cables)" ] || "$bin/vethup" --list
}

tables() {
	! has_tools || [ -z "$("$bin/vethup" --list)" ] || return 0
	! command -v nft >/dev/null || nft list tables 2>/dev/null | grep boxutils || :
}

# Prints who still has what the lab had a part in.
others() {
	case $1 in links | tables) ;; *) return 0 ;; esac
	[ -z "$(cables)" ] || printf '; others have theirs: %s' "$(cables | paste -sd ,)"
}

# Prints what verbs that were killed have left, each under a name of its own; nothing where no lab was made.
unfinished() {
	[ -f "$mark" ] || return 0
	half_made
	for file in "$lab"/.archive.??????; do
		[ ! -e "$file" ] || ! is_ours "${file##*/}" || printf '%s\n' "$file"
	done
	for file in "$lab"/.lab-verify.?????? "$lab"/.lecture-* "$mark.new"; do
		[ ! -e "$file" ] || printf '%s\n' "$file"
	done
}

files() {
	# shellcheck disable=SC2086 # lists of names without blanks
	for file in $made ${all:+${results:?}}; do
		[ ! -e "$lab/$file" ] || ! is_ours "$file" || printf '%s\n' "$lab/$file"
	done
	unfinished
}

# Prints yes or no for each, and fails if one is no.
audit() {
	bad=0
	for kind in benches processes groups mounts loops links tables files; do
		case $kind in
		benches) what='no benchmark runs' ;;
		processes) what='no process of the lab runs' ;;
		groups) what='no control group is called after it, and none of its benchmark is left' ;;
		mounts) what='nothing is mounted below its directory' ;;
		loops) what='no loop device shows a file of it' ;;
		links) what='no bridge and no cable is left for it' ;;
		tables) what='no nft table, and forwarding is as it was' ;;
		files) what='none of its files is left' ;;
		esac
		left=$({ "$kind"; [ "$kind" != groups ] || bench_groups; } | tr '\n' ' ')
		if [ -z "$left" ]; then
			printf 'yes: %s%s\n' "$what" "$(others "$kind")"
		else
			printf 'NO: %s: %s\n' "$what" "$left"
			bad=$((bad + 1))
		fi
	done
	[ "$bad" = 0 ] || die "$bad of these things are still there"
}
