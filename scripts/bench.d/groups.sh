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
		own_groups -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u |
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

# Removes those that were noted there by benches that were killed. With the lock none of them is at work.
clear_groups() (
	[ -f "$1/groups" ] || return 0
	answer=0
	while read -r group; do
		case $group in *[!0-9a-z-]* | '') continue ;; bench-[0-9]*-[0-9]*) remove_groups || answer=1 ;; esac
	done <"$1/groups"
	[ "$answer" != 0 ] || rm "$1/groups"
)
