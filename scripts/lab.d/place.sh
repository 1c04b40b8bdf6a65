#!/bin/sh
# What the verbs of lab share: where the lab is, who may change it, and steps that end with all they began. It is
# sourced, never run, with `here` naming scripts/ and `verb` the verb.

: "${here:?names the directory of scripts}" "${verb:?names the verb}"
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/lib.sh"
self="lab $verb"
lab=$(readlink -m "${LAB_DIR:-lab}")
name=${LAB_NAME:-lab}
case $name in *[!A-Za-z0-9_.-]* | [!A-Za-z0-9]*) die "LAB_NAME: \"$name\" is no name: letters, digits, and inside of it . _ -" ;; esac
LAB_COMMAND=${LAB_COMMAND:-$here/lab}
child=
# Lists what the lab has made in its directory, a name a line; behind rootfs stands what that is of. Nothing else is ever
# removed.
mark=$lab/.lab

# Prints how to type a verb here, with sudo where it takes root and we are not.
lab_line() {
	printf '%s%s%s\n' "$(sudo_word)" "$(lab_settings)" "$(quote "$LAB_COMMAND" "$@")"
}

# The settings that a line needs to mean the same lab.
lab_settings() {
	[ -z "${LAB_DIR-}" ] || printf 'LAB_DIR=%s ' "$(quote "$LAB_DIR")"
	[ -z "${LAB_NAME-}" ] || printf 'LAB_NAME=%s ' "$(quote "$LAB_NAME")"
}

sudo_word() {
	[ "$(id -u)" = 0 ] || printf 'sudo '
}

need_root() {
	[ "$(id -u)" = 0 ] || die "it takes root: $(lab_line "$verb")"
}

# Refuses a directory that is none, and takes the lock on it: one that changes a lab at a time. It is kept by descriptor
# 9, which no container may inherit.
lock_lab() {
	[ -d "$lab" ] || die "$lab is not a directory: name another one in LAB_DIR"
	exec 9<"$lab"
	flock --nonblock 9 || die "another lab up, lab down, lab report or lab archive is at work in $lab: wait for its end"
}

# Ends the step that runs, and lets it clean up.
end_step() {
	[ -n "$child" ] || return 0
	kill -s TERM "$child" 2>/dev/null || :
	kill -s CONT "$child" 2>/dev/null || :
	wait "$child" 2>/dev/null || :
	child=
}

# Runs a command so that a signal to us ends it at once, and not when it is over.
step() {
	# Of a session of its own, or Ctrl-C would reach it as well as us.
	setsid "$@" 9<&- &
	child=$!
	answer=0
	wait "$child" || answer=$?
	child=
	return "$answer"
}

# The same, shown as one would type it.
shown_step() {
	show "$@"
	step "$@"
}

# A line of heading.
heading() {
	printf '\n== %s\n' "$1" >&2
}

# Prints what container ps knows of a container called as the lab's; fails where there is none.
namesake() {
	"$here/container" ps --json 2>/dev/null | sed 's/}, {/}\n{/g' | grep -m1 -F "\"name\": \"$name\","
}

# Prints the PID of the program of the lab's container; fails where it does not run.
lab_program() {
	namesake | grep -F "\"image\": \"$lab/" | sed -n 's/.*"pid": \([0-9]*\).*/\1/p' | grep .
}

# Refuses to touch a container of that name whose image is not this lab's.
refuse_namesake() {
	image=$(namesake | sed -n 's/.*"image": "\([^"]*\)".*/\1/p')
	case $image in
	'' | "$lab"/*) ;;
	*) die "a container called $name runs, and it is not this lab's: its image is $image; name this one otherwise, in LAB_NAME" ;;
	esac
}

has_tools() {
	for tool in $(tools); do
		[ -x "$bin/$tool" ] || return 1
	done
}

# The tools, built where they are not.
need_tools() {
	has_tools || build
}

# Notes that a thing is about to be made: NAME [WHAT]. Noted afterwards, what a killed lab has made would be nobody's.
claim() {
	printf '%s\n' "$*" >>"$mark"
}

claims() {
	[ ! -f "$mark" ] || cat "$mark"
}

# Tells whether the lab has made a thing in its directory. What bench has made has a mark of its own.
is_ours() {
	[ "$1" != bench ] || { [ -f "$lab/bench/lock" ]; return; }
	claims | awk -v name="$1" '$1 == name { found = 1 } END { exit !found }'
}

# Prints what a lab up that was killed has left half made, under names of their own. What it had not begun is others': a
# scripts/rootfs may be at work here.
half_made() {
	for file in "$lab"/.rootfs.?????? "$lab"/.lab.img.mkimg-*; do
		[ -e "$file" ] || continue
		case ${file##*/} in
		.rootfs.*) of=rootfs ;;
		*) of=lab.img ;;
		esac
		! is_ours "$of" || printf '%s\n' "$file"
	done
}

# Forgets what is not there any more, or was never made; nothing while something is half made, whose mark that is.
forget() {
	[ -f "$mark" ] || return 0
	half=$(half_made)
	# Never through a link that somebody has put there.
	rm -f "$mark.new"
	(
		set -C
		claims | while read -r thing what; do
			[ ! -e "$lab/$thing" ] && [ -z "$half" ] || printf '%s\n' "$thing${what:+ $what}"
		done >"$mark.new"
	)
	mv -T "$mark.new" "$mark"
	[ -s "$mark" ] || rm "$mark"
}
