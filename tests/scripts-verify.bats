#!/usr/bin/env bats
# scripts/lab verify as it is typed: what is missing or unknown, the list of rows, and the grade of this very process.
# What it says of containers is in tests/kernel/verify.bats.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

verify() {
	"$BATS_TEST_DIRNAME/../scripts/lab" verify "$@"
}

# Whether the words after the message's first line name the cure.
refused() {
	# shellcheck disable=SC2154 # run sets it
	[ "$status" = 125 ] && [ -z "$output" ] && [[ $stderr == "lab verify: $1"$'\nlab verify: hint: '* ]]
}

@test "verify: what is missing or unknown is named, with the cure" {
	run --separate-stderr verify --moon
	refused 'there is no option --moon'
	run --separate-stderr verify --pid
	refused '--pid wants a value'
	run --separate-stderr verify --pid=
	refused '--pid wants a value'
	run --separate-stderr verify --require
	refused '--require wants a value'
	run --separate-stderr verify --pid one
	refused '--pid one: that is no number of a process'
	run --separate-stderr verify --pid 0
	refused '--pid 0: that is no number of a process'
	run --separate-stderr verify --pid 1 --require root-image,moon
	refused 'there is no row moon'
	run --separate-stderr verify --pid 1 --require '.*'
	refused 'there is no row .*'
	run --separate-stderr verify --pid 4194303999
	refused 'there is no process 4194303999 here'
}

@test "verify: a process that may not be looked at has not ended: the call, the reason and the cure; a zombie has" {
	sleep 1000 3>&- &
	sleeper=$!
	kept="the namespaces of process $sleeper cannot be read: readlink(\"/proc/$sleeper/ns/mnt\"): Permission denied (EACCES)"
	run --separate-stderr unshare --user --map-root-user "$BATS_TEST_DIRNAME/../scripts/lab" verify --pid "$sleeper"
	refused "$kept"
	[[ $stderr == *'one of a user namespace'* ]]
	run --separate-stderr setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace \
		"$BATS_TEST_DIRNAME/../scripts/lab" verify --pid "$sleeper"
	refused "$kept"
	[[ $stderr == *'lacks the capability CAP_SYS_PTRACE'* ]]
	kill "$sleeper"
	# It ends when its parent is a sleep, which waits for nobody; the shell before that would.
	sh -c 'until grep -qx sleep /proc/$$/comm; do sleep 0.01; done & echo $! >zombie; exec sleep 1000' 3>&- &
	sleeper=$!
	for _ in {1..400}; do
		! grep -qs '^State:.Z' "/proc/$(cat zombie 2>/dev/null)/status" || break
		sleep 0.05
	done
	run --separate-stderr verify --pid "$(cat zombie)"
	refused "process $(cat zombie) has ended, or ended while it was looked at"
	kill "$sleeper"
}

@test "verify --help is its header, and names the statuses" {
	run -0 verify --help
	[[ $output == 'lab verify - '* && $output == *'lab verify --pid'* && $output == *125* && $output != *set\ -eu* ]]
}

@test "verify --rows: a name, a level and a sentence each, no name twice" {
	run -0 verify --rows
	[ "${#lines[@]}" -ge 25 ]
	! grep -vE $'^[a-z0-9]+(-[a-z0-9]+)*\t(required|advice)\t[a-z/].*[a-z0-9/]$' <<<"$output" || return
	[ -z "$(printf '%s\n' "$output" | cut -f1 | sort | uniq -d)" ]
	printf '%s\n' "$output" | grep -q $'^pid-namespace\trequired\t'
	printf '%s\n' "$output" | grep -q $'^seccomp\tadvice\t'
}

@test "verify --rows: whatever row the syllabus names is one" {
	verify --rows | cut -f1 >rows
	grep -v '^#' "$BATS_TEST_DIRNAME/../scripts/lab.d/syllabus.tsv" | cut -f6 | tr -s ', ' '\n' | grep -vx -e - -e '' | sort -u >named
	[ "$(wc -l <named)" -gt 10 ]
	run -1 grep -vxF -f rows named
}

@test "verify: a process that is in no container fails, in TAP and in JSON alike, and passes by what it lacks" {
	run -1 verify --pid $$
	[[ ${lines[0]} == 'TAP version 13' && ${lines[1]} =~ ^1\.\.[0-9]+$ ]]
	rows=${lines[1]#1..}
	[ "$(grep -cE '^(not )?ok [0-9]+ - ' <<<"$output")" = "$rows" ]
	grep -q '^not ok 1 - pid-namespace: ' <<<"$output"
	grep -qE '^ok [0-9]+ - gateway: .* # SKIP it has the host' <<<"$output"
	grep -q '^# cure: nsexec --pid$' <<<"$output"
	tap=$(sed -nE 's/^(not ok|ok) [0-9]+ - ([a-z0-9-]+): .*/\2/p' <<<"$output")
	run -1 verify --json --pid $$
	[ "$(jq -r '.rows[].row' <<<"$output")" = "$tap" ]
	[ "$(jq -c '[.ok, .pid, (.rows[0] | keys)]' <<<"$output")" = "[false,$$,[\"cure\",\"level\",\"reason\",\"result\",\"row\",\"sentence\"]]" ]
	[ "$(jq -r '.rows[].result' <<<"$output" | sort -u | xargs)" = 'fail ok skip' ] || [ "$(jq -r '.rows[].result' <<<"$output" | sort -u | xargs)" = 'fail skip' ]
}

@test "verify leaves no file, also when it is interrupted" {
	TMPDIR=$PWD/tmp
	export TMPDIR
	mkdir tmp
	verify --pid $$ >/dev/null || :
	[ -z "$(ls -A tmp)" ]
	for _ in 1 2 3 4 5; do
		"$BATS_TEST_DIRNAME/../scripts/lab.d/verify" --pid $$ >/dev/null 2>&1 3>&- &
		sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
		kill -TERM $! 2>/dev/null || :
		wait $! || :
		[ -z "$(ls -A tmp)" ]
	done
}
