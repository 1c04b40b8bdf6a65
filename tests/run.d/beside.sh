# What is begun: one or several beside each other, their output is shown and counted, and they end when tests/run does.
# Sourced by tests/run.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

# Everything is started in the background, for only there a signal ends the wait; `begun` is what runs, PID:SINCE:COUNT:NAME.

# Waits for the process that was started last; its exit status is in $answer.
attend() {
	begun="$begun $1" answer=0
	wait "$1" || answer=$?
	begun=${begun%" $1"}
}

# Runs a command and shows what it says as it says it; keeps that in $work/said and the exit status in $answer.
follow() {
	[ -p "$work/pipe" ] || mkfifo "$work/pipe"
	tee "$work/said" <"$work/pipe" &
	shown=$!
	"$@" >"$work/pipe" 2>&1 &
	attend $!
	wait "$shown"
}

# Starts a command beside those that run: begin COUNT NAME COMMAND. Its output, in the file $work/of.NAME, is shown when it
# has ended, and COUNT is called with the name and the file.
begin() {
	job=$(date +%s):$1:$2
	shift 2
	"$@" >"$work/of.${job##*:}" 2>&1 &
	begun="$begun $!:$job"
}

# Waits until fewer than so many of those run.
wait_for_room() {
	while still=; do
		for job in $begun; do
			if runs "${job%%:*}"; then still="$still $job"; else ended "$job"; fi
		done
		begun=$still
		# shellcheck disable=SC2086 # a word each
		set -- "$1" $begun
		[ $# -gt "$1" ] || return 0
		sleep 0.5
	done
}

# Whether a process has not ended; one that nobody has waited for yet has.
runs() {
	grep -qs '^State:[[:space:]][^ZX]' "/proc/$1/status"
}

# Shows what one of them said, and has it counted.
ended() {
	IFS=: read -r pid since count of <<-END
		$1
	END
	answer=0
	wait "$pid" || answer=$?
	printf '# %s, %s s\n' "$of" "$(($(date +%s) - since))"
	cat "$work/of.$of"
	"$count" "$of" "$work/of.$of"
}

# Ends what was begun and all that came of it, as Ctrl-C does, for then tests take down what they have made: more than once,
# for a shell that is between two commands only notes it. Who is there after twelve seconds is killed, and its world with it.
end_begun() {
	for signal in INT INT INT INT KILL; do
		for job in $begun; do
			# shellcheck disable=SC2046 # numbers
			! runs "${job%%:*}" || kill "-$signal" $(tree_of "${job%%:*}") 2>/dev/null || :
		done
		for _ in $(seq 30); do
			one_runs || return 0
			sleep 0.1
		done
	done
}

# Whether any of them has not ended.
one_runs() {
	for job in $begun; do
		! runs "${job%%:*}" || return 0
	done
	return 1
}

# Prints a process and all below it.
tree_of() {
	echo "$1"
	{ tr ' ' '\n' <"/proc/$1/task/$1/children" || :; } 2>/dev/null | while read -r below; do tree_of "$below"; done
}
