#!/usr/bin/env bats
# tests/run that is ended by a signal: what it began ends, too. A copy of it runs tests that wait.

# Commands in single quotes are for other shells, bats sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	top=$BATS_TEST_DIRNAME/..
	mkdir -p copy/tests/kernel copy/scripts tmp
	cp -r "$top/tests/run" "$top/tests/run.d" "$top/tests/lib.sh" "$top/tests/audit" copy/tests/
	cp "$top/scripts/lib.sh" copy/scripts/
	# A sleep of a name of its own.
	waiter=wait-$$
	cp "$(command -v sleep)" "$waiter"
	# Two files of the stage that runs two at a time, and one of that which runs one after the other.
	local at=@ # for bats takes a line that begins with a test for one of this file's
	for file in one two kernel/three; do
		cat >"copy/tests/$file.bats" <<-END
			${at}test "one that waits" {
				setsid "$PWD/$waiter" 1000 3>&- &
				wait \$! || :
			}
			teardown() {
				touch "$PWD/ended.${file##*/}"
			}
		END
	done
}

teardown() {
	end_waiters
}

end_waiters() {
	# shellcheck disable=SC2046 # numbers
	! pgrep -x "$waiter" >/dev/null || kill $(pgrep -x "$waiter")
}

# Waits until a command succeeds.
until_true() {
	for _ in $(seq 400); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.05
	done
	echo "not within 20 seconds: $*"
	return 1
}

# Starts the copy, as tests/vm does, so that it neither installs nor builds: begin_run STAGE...; waits until so many wait.
begin_run() {
	local count=$1
	shift
	rm -f ended.*
	# bats has a bats of its own first in PATH.
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$PWD" TMPDIR="$PWD/tmp" env --default-signal copy/tests/run --in-vm "$@" >said 2>&1 3>&- &
	run=$!
	until_true wait_inside "$count" || { cat said; return 1; }
}

wait_inside() {
	[ "$(pgrep -c -x "$waiter")" = "$1" ]
}

@test "ended by a signal it ends what it began, has the tests take down what they made, and leaves no file" {
	for signal in TERM:143 INT:130 HUP:129; do
		for stage in 'scripts:2:one two' 'kernel three:1:three'; do
			IFS=: read -r words count names <<<"$stage"
			# shellcheck disable=SC2086 # words
			begin_run "$count" $words
			kill "-${signal%:*}" "$run"
			answer=0
			wait "$run" || answer=$?
			[ "$answer" = "${signal#*:}" ] || { echo "$signal, $stage: $answer"; cat said; false; }
			wait_inside 0
			for name in $names; do [ -e "ended.$name" ]; done
			[ -z "$(ls -A tmp)" ] || { find tmp; false; }
		done
	done
}

@test "killed it takes what it began with it" {
	for stage in scripts:2 'kernel three:1'; do
		# shellcheck disable=SC2086 # words
		begin_run "${stage#*:}" ${stage%:*}
		kill -KILL "$run"
		wait "$run" || :
		until_true wait_inside 0
	done
}

@test "left alone it comes to the end of the tests, and counts them" {
	begin_run 2 scripts
	end_waiters
	# What else it finds, as what other tests leave just now, is not of these.
	wait "$run" || :
	[ "$(grep -c '^ok 1 one that waits' said)" = 2 ] || { cat said; false; }
	[[ $(tail -n 1 said) =~ ^[2-4]' passed, '[0-2]' failed'$ ]] || { cat said; false; }
}
