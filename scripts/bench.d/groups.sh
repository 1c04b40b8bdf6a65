# The control groups of a bench, whose names begin with $group, and their end. Sourced by bench and by lab down.
# shellcheck shell=sh disable=SC2154 # they set it

# Finds in the groups that are this bench's, and in none whose name only begins like theirs.
own_groups() {
	find /sys/fs/cgroup \( -path "*/$group" -o -path "*/$group/*" -o -path "*/$group-*" \) "$@" 2>/dev/null
}

# Removes those that cgset, LXC and runc leave, when the last process has left them; fails where one stays.
remove_groups() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		own_groups -depth -type d -exec rmdir {} + 2>/dev/null || :
		[ -n "$(own_groups -type d)" ] || return 0
		# 0 would be one that cannot be seen from here, and to kill it is to kill ourselves.
		own_groups -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | grep -vx 0 |
			while read -r pid; do kill -s KILL "$pid" 2>/dev/null || :; done
		sleep 0.3
	done
	say "these groups are still there:" && own_groups -type d >&2
	return 1
}

# Notes the name of this bench's groups in the directory of results $1, which it has locked.
note_groups() {
	printf '%s\n' "$group" >>"$1/groups"
}

# Forgets it when they are gone.
forget_groups() {
	[ -f "$1/groups" ] || return 0
	sed -i "/^$group\$/d" "$1/groups"
	[ -s "$1/groups" ] || rm -f "$1/groups"
}

# Prints the names that benches have noted there which were killed: those of one that is at work are noted in a copy of
# its directory, too. No note is what another user has written, or what stands where no bench has been.
noted_groups() {
	[ -f "$1/lock" ] && [ "$(LC_ALL=C stat -c '%F %u' "$1/groups" 2>/dev/null)" = "regular file $(id -u)" ] || return 0
	grep -xE 'bench-[0-9]+-[0-9]+' "$1/groups" | while IFS=- read -r bench pid time; do
		[ "$(tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | sed -n '2s|.*/||p; 3p' | paste -sd ' ')" = 'bench inside' ] ||
			printf '%s\n' "$bench-$pid-$time"
	done
}

# Removes the groups of those names. Whoever calls this holds the lock there, so none of them is at work.
clear_groups() (
	for group in $(noted_groups "$1"); do
		! remove_groups || forget_groups "$1"
	done
	[ -z "$(noted_groups "$1")" ]
)
