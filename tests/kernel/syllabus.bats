#!/usr/bin/env bats
# scripts/lab syllabus: the commands of the lecture, run as they would be typed. Run by: tests/run kernel syllabus

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load lab.bash

@test "syllabus: every command of the lecture, run as typed, shows what must be seen, and leaves nothing" {
	lock_net_cls
	have_tree
	# Whatever it is called.
	export LAB_DIR="it's my lab"
	mv lab "$LAB_DIR"
	ln -s "$top/scripts" scripts
	up 2>/dev/null
	# Of names that somebody may use.
	for file in copy.img step.img io new; do echo mine >"$LAB_DIR/$file"; done
	before=$(ls -A . "$LAB_DIR" && ip -o link | wc -l)
	run lab syllabus --check
	printf '%s\n' "$output" | grep -A 12 '^not ok' || :
	[ "$status" = 0 ]
	[ "$(grep -c '^ok ' <<<"$output")" = "$(grep -vc '^#' "$top/scripts/lab.d/syllabus.tsv")" ]
	same "$before" "$(ls -A . "$LAB_DIR" && ip -o link | wc -l)"
	same mine "$(cat "$LAB_DIR"/{copy.img,step.img,io,new} | uniq)"
	# Those that want the benchmark.
	[ "$(grep -c '^ok .* # SKIP not there yet: .*/scripts/' <<<"$output")" = 2 ] || fail "$output"
	! directories | grep -v "$LAB_NAME\$" || fail 'a group is left'
	# It can fail: of what is not shown nothing is seen.
	"$top/scripts/container" stop "$LAB_NAME"
	run -1 lab syllabus --check 2
	[[ $output == *'the lab is not up'* ]]
}

@test "syllabus: report and archive are made where the benchmark was" {
	have_tree
	up 2>/dev/null
	mkdir -p lab/bench mine/target/x86_64-unknown-linux-gnu
	touch lab/bench/summary.csv lab/bench/lock mine/Cargo.toml
	ln -s "$BOXUTILS_BIN" mine/target/x86_64-unknown-linux-gnu/release
	cp -r "$top/scripts" mine/scripts
	ln -s mine/scripts scripts
	# Drawing and setting are its own affair.
	printf '#!/bin/sh\necho %%PDF-1.7 >"$4"\n' >mine/scripts/report/build
	rows=$(lab syllabus | sed -n 's/^\([0-9]*\)  \(A report that explains\|Deliverables:\) .*/\1/p')
	# shellcheck disable=SC2086 # two numbers
	run -0 scripts/lab syllabus --check $rows
	[ "$(grep -c '^ok ' <<<"$output")" = 2 ] && [[ $output != *SKIP* ]] || fail "$output"
	[ -s lab/report.pdf ] && [ -s lab/lab.zip ]
}

@test "syllabus --check, interrupted, ends what the row began and removes what it made; a status of its own fails a row" {
	have_tree
	up 2>/dev/null
	mkdir -p mine/target/x86_64-unknown-linux-gnu
	ln -s "$BOXUTILS_BIN" mine/target/x86_64-unknown-linux-gnu/release
	cp -r "$top/scripts" mine/scripts
	printf '%s\t%s\t%s\t%s\t-\t-\n' One 'What takes long' 'd=$(mktemp -d); cgset --hierarchy name=mine-$$ $d/one; mkdir $d/one/a; cgset --pids 9 {group}; truncate -s 16M {dir}/.lecture-step.img; mkimg --attach {dir}/.lecture-step.img; sleep 1000 & cgset {group} -- sleeper 1000' x \
		Two 'What fails' 'echo seen; exit 3' '^seen$' >mine/scripts/lab.d/syllabus.tsv
	before=$(ls -A lab && loops_on "$BATS_TEST_TMPDIR")
	start mine/scripts/lab.d/syllabus --check 1
	until_true sleeper_is_in
	kill -TERM "$started"
	finish
	[ "$status" = 143 ] || fail "status $status"
	same "$before" "$(ls -A lab && loops_on "$BATS_TEST_TMPDIR")"
	until_true no_hierarchy_of_it || fail "$(cat /proc/self/cgroup)"
	! directories | grep -e -lecture- || fail 'a group is left'
	! pgrep -x sleeper || fail 'it goes on'
	# So, too, where nobody reads any more what it says.
	mkdir tmp
	exec 9> >(:)
	wait $!
	status=0
	TMPDIR=$PWD/tmp mine/scripts/lab syllabus --check 2 >&9 9>&- || status=$?
	[ "$status" = 141 ] || fail "status $status"
	[ -z "$(ls -A tmp)" ] || fail "$(ls -A tmp)"
	run -1 mine/scripts/lab syllabus --check 2
	[[ $output == 'not ok 2 - '*'; status 3'* ]] || fail "$output"
}

sleeper_is_in() {
	pgrep -x sleeper
}

no_hierarchy_of_it() {
	! grep -h name=mine- /proc/self/cgroup /proc/self/mountinfo
}
