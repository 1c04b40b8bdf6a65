#!/bin/sh
# What the verbs of container share: which containers run. It is sourced, never run, with `here` naming scripts/.
#
# The control groups are the registry: a group of that name, labelled container=NAME, image=PATH and started=EPOCH.

: "${here:?names the directory of scripts}"
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/lib.sh"
# shellcheck disable=SC2034 # for the messages of lib.sh
self=container

# Prints why nothing was done, and the cure, as the tools do; ends with their status.
refuse() {
	printf 'container: %s\n' "$1" >&2
	[ -z "${2-}" ] || printf 'container: hint: %s\n' "$2" >&2
	exit 125
}

# The option $1 wants a value; $2 says how many words are left.
want_value() {
	[ "$2" -gt 1 ] || refuse "$1 wants a value" "container ${0##*/} --help lists what it takes"
}

# Refuses what cannot be a name: it becomes a directory, a host name and a word of JSON.
check_name() {
	case $1 in
	'' | *[!A-Za-z0-9_.-]* | [!A-Za-z0-9]*)
		refuse "\"$1\" is no name" 'letters, digits, and inside of it . _ -' ;;
	esac
	[ "${#1}" -le 63 ] || refuse "the name is ${#1} letters long" 'a host name ends at 63'
}

# Refuses the verb $1 to who is not root; $2 is added to the cure.
need_root() {
	[ "$(id -u)" = 0 ] || refuse "$1 takes root: a container's group, mounts and network are root's" \
		"sudo $(quote "$here/container" "$1") ...${2-}"
}

# Prints the names of the containers, each once.
names() {
	"$bin/cgset" --tree --json | sed -n 's/.*"container" *: *"\([A-Za-z0-9_.-]*\)".*/\1/p' | sort -u
}

# Prints what cgset knows of a container's group, a key and its value a line; fails where $1 is no container.
facts() {
	known=$("$bin/cgset" --stat "$1" 2>/dev/null) || return 1
	printf '%s\n' "$known" | grep -q "^label\.container  *$1\$" || return 1
	printf '%s\n' "$known"
}

# Prints the value of the key $1 in what facts printed, on stdin.
fact() {
	sed -n "s/^$1  *//p"
}

# Prints the PID, as we see it, of the program that a container was started with: number 1 of its PID namespace, or what
# the reaper there has started. Fails where none runs.
program_of() {
	for process in $("$bin/cgset" --procs "$1" 2>/dev/null); do
		numbers=$(sed -n 's/^NSpid:[[:blank:]]*//p' "/proc/$process/status" 2>/dev/null | tr '\t' ' ')
		# One number here and one inside: what has more is in a container of the container.
		[ "$numbers" = "$process 1" ] || continue
		if is_program "$process" nsexec; then
			# The reaper's first child is the program.
			process=$(child_of "$process")
			[ -n "$process" ] || return 1
		fi
		printf '%s\n' "$process"
		return 0
	done
	return 1
}

# Prints, as a path of /proc, the stdin of who writes down what a detached container prints; $1 is the first of its chain,
# which leads a session of its own.
log_of() {
	read -r _ _ _ _ _ session _ 2>/dev/null <"/proc/$1/stat" && [ "$session" = "$1" ] || return 0
	pipe=$(readlink "/proc/$1/fd/1") && pipe=${pipe#pipe:?} && pipe=${pipe%?} || return 0
	find /proc/[0-9]*/fd/0 -maxdepth 0 -lname "pipe:?$pipe?" 2>/dev/null || :
}

# Prints the address of a container, of all that it has the first that leads out.
address_of() {
	awk '$1 == "|--" { last = $2 } /\/32 host LOCAL/ && last !~ /^127\./ { print last; exit }' "/proc/$1/net/fib_trie" 2>/dev/null
}

# Prints the first child of a process.
child_of() {
	cut -d' ' -f1 "/proc/$1/task/$1/children" 2>/dev/null
}

# Whether a process runs one of these tools of ours.
is_program() {
	running=$(stat -L -c %d:%i "/proc/$1/exe" 2>/dev/null) || return 1
	shift
	for tool; do
		[ "$running" != "$(stat -L -c %d:%i "$bin/$tool")" ] || return 0
	done
	return 1
}

# Opens a pipe without a name to be read from descriptor 4; who writes opens /proc/self/fd/4. A here-document is one in dash
# and, unless it is empty, in bash; where it is a file instead, the pipe has a name for a moment.
open_pipe() {
	exec 4<<-END

	END
	if [ -p /proc/self/fd/4 ]; then
		read -r _ <&4
	else
		pipe=$(mktemp -d)
		mkfifo "$pipe/pipe"
		exec 5<>"$pipe/pipe"
		exec 4<"$pipe/pipe" 5>&-
		rm -r "$pipe"
	fi
}

# Whether two names are of one file.
same_file() {
	[ "$(stat -L -c %d:%i "$1" 2>/dev/null)" = "$(stat -L -c %d:%i "$2" 2>/dev/null || echo none)" ]
}

# Prints a word so that a shell reads it back as it is.
word() {
	printf "'%s' " "$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")"
}
