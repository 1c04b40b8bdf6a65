#!/usr/bin/env bats
# nsexec --join on the kernel it is for: what cannot be joined and why, how it ends, and the dry run. Run by:
# tests/run kernel join-ends

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2086,SC2154

load lib.bash
load groups.bash
load namespaces.bash
load join.bash

WHY='what a process is in can be joined as long as it lives'

# ---- what cannot be joined

says() {
	printf 'nsexec: %s\nnsexec: while: %s\nnsexec: hint: %s' "$@"
}

@test "a process that is frozen is refused and not waited for; thawed, it is joined" {
	cgset "$group"
	hold_program cgset "$group" -- nsexec --net -- /bin/sleep 1000
	cgset --freeze "$group"
	run -125 --separate-stderr timeout "$PATIENCE" nsexec --join "$held" -- true
	same "$(says "--join $held: its control group $group is frozen" 'it uses what the others there use, and is limited with them' \
		"the program would be, too, before it does anything: cgset --thaw $group")" "$stderr"
	cgset --thaw "$group"
	nsexec --join "$held" -- true
	end_held
	cgset --remove "$group"
}

@test "the frozen group is named where it is one further up" {
	cgset "$group/below"
	hold_program cgset "$group/below" -- nsexec --net -- /bin/sleep 1000
	cgset --freeze "$group"
	run -125 --separate-stderr timeout "$PATIENCE" nsexec --join "$held" -- true
	[[ $stderr == *"cgset --thaw $group" ]]
	cgset --thaw "$group"
	end_held
	cgset --remove "$group/below"
	cgset --remove "$group"
}

@test "one that is not there, has ended, is a thread, or is nsexec itself" {
	fails_with 125 "$(says '--join 4194303: there is no such process' "$WHY" 'it may have ended; ps ax lists those that are here')" \
		nsexec --join 4194303 -- true
	# A zombie: its parent does not ask.
	start perl -e 'my $p = fork // die; $p or exit; open F, ">", "zombie"; print F $p; close F; rename "zombie", "ended"; sleep 1000'
	until_true exists ended
	zombie=$(cat ended)
	until_true is_in_state "$zombie" Z
	fails_with 125 "$(says "--join $zombie: that process has ended" "$WHY" \
		'it is in no namespace any more; what is left of it waits for its parent to ask how it ended')" nsexec --join "$zombie" -- true
	kill -9 "$started"
	finish
	run -125 --separate-stderr sh -c 'exec nsexec --join $$ -- true'
	[[ $stderr == *'that is nsexec itself'* ]]
	for word in web 0 -1 ''; do
		run -125 nsexec "--join=$word" -- true
	done
}

@test "where /proc is that of another PID namespace no number of it is taken" {
	fails_with 125 "$(says 'the /proc here shows another PID namespace than this process is in' "$WHY" \
		'mount one that shows its own: mount -t proc proc /proc, or start nsexec where ps shows the process')" \
		nsexec --pid -- nsexec --join 4194303 -- true
	[ "$(nsexec --pid --mount-proc -- sh -c 'sleep 1000 & nsexec --join $! -- echo joined; kill $!')" = joined ]
}

@test "without being root: one's own sandbox, and no other process" {
	hold_program $NOBODY nsexec -r --net --pid --mount-proc -- /bin/sleep 1000
	[ "$(as_nobody nsexec --join "$held" -- "$BIN/show-namespaces")" = "$(namespaces_of "$held")" ]
	[ "$(as_nobody nsexec --join "$held" -- id -u)" = 0 ]
	end_held
	hold --net
	fails_with 125 "$(says "open(\"/proc/$held/ns/mnt\"): Permission denied (EACCES)" "$WHY" \
		'that process is not yours, or has more privileges than you: run it as root')" as_nobody nsexec --join "$held" -- true
	# Root is not told to be root.
	fails_with 125 "$(says "open(\"/proc/$held/ns/mnt\"): Permission denied (EACCES)" "$WHY" \
		'that process is not yours, or has more privileges than you: this root lacks CAP_SYS_PTRACE, as in a container, run it on the host')" \
		setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace "$BIN/nsexec" --join "$held" -- true
	run -125 --separate-stderr -- nsexec -r -- nsexec --join "$held" -- true
	[[ $stderr == *'this root is one of a user namespace, run it outside'* ]] || fail "$stderr"
	release
}

@test "a namespace is made or joined in one way" {
	hold --net
	fails_with 125 "nsexec: --net beside --join $held, which joins every kind of namespace
nsexec: hint: one nsexec joins some, --net=$held and the like; what is to be new is for a second nsexec in there" \
		nsexec --join "$held" --net -- true
	[ "$(nsexec --join "$held" -- nsexec --uts --hostname other -- hostname)" = other ]
	release
}

# ---- ends and signals

@test "it dies with the nsexec that waits for it, whoever it is in there" {
	for how in '' '--userns auto' '--user 1000'; do
		contain $how
		start_inside
		kill -9 "$joiner"
		until_true gone "$inside"
		finish "$joiner"
		end_held
	done
}

@test "the same where nothing but the PID namespace is another, and the user" {
	hold_program unshare --pid --fork setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all /bin/sleep 1000
	start_inside
	[ "$(awk '/^Uid/ { print $2 }' "/proc/$inside/status")" = 1000 ]
	kill -9 "$joiner"
	until_true gone "$inside"
	finish "$joiner"
	end_held
}

@test "the same where it is the user alone, and who waits is the cgset before it" {
	hold_program setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all /bin/sleep 1000
	start cgset --transient "$group" -- nsexec --join "$held" /bin/sleep 2000
	joiner=$started
	until_true find_program /bin/sleep 2000
	kill -9 "$joiner"
	until_true gone "$found"
	finish "$joiner"
	end_held
	cgset --remove "$group"
}

@test "when the container ends, so does what has joined it" {
	contain
	start_inside
	kill -9 "$held"
	finish "$joiner"
	[ "$status" = 137 ]
	finish "$holder"
}

@test "signals are passed on to it" {
	contain
	start_inside
	kill -TERM "$joiner"
	finish "$joiner"
	[ "$status" = 143 ]
	gone "$inside"
	end_held
}

# ---- the dry run

# Runs a function without the descriptors of bats: a script has no command that closes those it does not know.
closed() (
	for fd in /proc/self/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || eval "exec $fd>&-"
	done
	"$@"
)

@test "the dry run does the same" {
	write_probe
	for how in '--bounding-set=-all,+chown,+dac_override,+setuid,+setgid --inh-caps=-all --no-new-privs' --keep-groups; do
		hold_program unshare --mount --uts --ipc --net --cgroup --pid --fork setpriv $how /bin/sleep 1000
		KNOWN="$KNOWN $(namespaces_of "$held" | xargs)"
		closed dry_run_equals_run --join "$held" || fail "$how"
		end_held
	done
}

@test "the dry run does the same: with users of its own" {
	write_probe
	hold_program $NOBODY unshare --map-root-user --net --uts /bin/sleep 1000
	KNOWN="$KNOWN $(namespaces_of "$held" | xargs)"
	closed dry_run_equals_run --join "$held"
	closed dry_run_equals_run as_nobody --join "$held"
	end_held
}
