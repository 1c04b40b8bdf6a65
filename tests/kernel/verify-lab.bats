#!/usr/bin/env bats
# scripts/lab verify on the lab's own container: every row holds, and where limits, files, network and the end of
# containers are made to fail, just those rows do. Run by: tests/run kernel verify-lab

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load container.bash

setup_file() {
	setup_container_file
	"$BOXUTILS_BIN/mkimg" --size 8M home
}

setup() {
	setup_container
	mkdir lab
	cp -r "$BATS_FILE_TMPDIR/root" lab/rootfs
	cp --sparse=always "$BATS_FILE_TMPDIR/image" lab/lab.img
	cp --sparse=always "$BATS_FILE_TMPDIR/home" lab/home.img
	export LAB_NAME=$group LAB_DIR=$PWD/lab
}

teardown() {
	"$top/scripts/container" stop --time 0 "$group" >/dev/null 2>&1 || :
	teardown_container
}

# Starts the lab's container, as lab up does, with other options if there are any.
start_lab() {
	"$top/scripts/container" run --detach --log log --name "$group" --memory 256M --cpus 0.5 --pids 100 "$@" lab/lab.img -- \
		/bin/sh -c 'while :; do sleep 3600 & wait $!; done'
}

runs() {
	"$top/scripts/container" exec "$group" -- /bin/true
}

# Nothing but the lab's own container and files is there.
only_the_lab() {
	[ "$(find lab -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)" = 'home.img lab.img rootfs' ] || fail "$(ls -A lab)" || return
	! grep -q -e -verify- <<<"$(directories)" || fail "$(directories)" || return
	! grep -q bxv <<<"$(ip -o link show)" || fail "$(ip -o link show)" || return
	! "$top/scripts/container" exec "$group" -- /bin/ls -A /home /var/tmp | grep verify
}

@test "the lab's own: every row holds but the filter of system calls, what was tried is told, and nothing is left" {
	start_lab --volume lab/home.img:/home
	run -0 "$top/scripts/lab" verify
	same seccomp "$(sed -n 's/^not ok [0-9]* - \([a-z0-9-]*\):.*/\1/p' <<<"$output")"
	[[ $output != *SKIP* ]] || fail "$output"
	[ "$(grep -cE '^(not )?ok' <<<"$output")" = "$(sed -n 's/^1\.\.//p' <<<"$output")" ]
	for words in 'out of memory: 1 process killed at 32M' 'at a limit of 0.1, and was held back' 'at a limit of 16' 'of which one had a network' \
		'lab/home.img' '198.18.'; do
		[[ $output == *"$words"* ]] || fail "not said: $words: $output"
	done
	only_the_lab
	runs
}

@test "the lab's own, broken on purpose: just what is broken fails" {
	# No network, no users of its own, /home a directory that the host sees, too.
	start_lab --no-net --host-uids --volume "$PWD/lab/rootfs/home:/home"
	# And scripts whose containers have other limits and keep nothing, and whose fork bomb does not end.
	mkdir -p broken/target/x86_64-unknown-linux-gnu
	ln -s "$BOXUTILS_BIN" broken/target/x86_64-unknown-linux-gnu/release
	cp -r "$top/scripts" broken/scripts
	cat >broken/scripts/container <<-END
		#!/bin/sh
		verb=\$1
		shift
		case \$verb:\$* in
		run:*)
			left=\$#
			while [ \$left -gt 0 ]; do
				case \$1 in
				--memory) set -- "\$@" --memory 512M ;;
				--cpus) set -- "\$@" --cpus 1 ;;
				--pids) set -- "\$@" --pids 40 ;;
				*) set -- "\$@" "\$1" && shift && left=\$((left - 1)) && continue ;;
				esac
				shift 2
				left=\$((left - 2))
			done
			set -- --read-only "\$@"
			;;
		stop:*bomb) exit ;;
		esac
		exec "$top/scripts/container" "\$verb" "\$@"
	END
	run -1 broken/scripts/lab verify --json
	same 'interface address route gateway user-namespace id-map home-image home-hidden internet persistence memory-bites cpu-bites pids-bites nothing-left' \
		"$(jq -r '.rows[] | select(.level == "required" and .result == "fail") | .row' <<<"$output" | xargs)"
	[[ $output == *'lab/rootfs/home/.verify-'* ]]
	for name in $(directories | sed -n "s|.*/\($group-verify-[^/]*\)\$|\1|p" | sort -u); do
		"$top/scripts/container" stop --time 0 "$name"
	done
	only_the_lab
	runs
}

@test "interrupted at any moment it leaves the lab as it was" {
	start_lab --volume lab/home.img:/home
	for moment in 0.5 2 4 7; do
		start "$top/scripts/lab.d/verify"
		sleep "$moment"
		kill -TERM "$started" 2>/dev/null || :
		finish
		[ "$status" = 143 ] || [ "$status" = 0 ] || fail "status $status"
		until_true only_the_lab
		runs
	done
}

@test "interrupted just when it has written a file into the container, it removes that" {
	start_lab --volume lab/home.img:/home
	mkdir -p broken/target/x86_64-unknown-linux-gnu
	ln -s "$BOXUTILS_BIN" broken/target/x86_64-unknown-linux-gnu/release
	cp -r "$top/scripts" broken/scripts
	for place in /home /var/tmp; do
		cat >broken/scripts/container <<-END
			#!/bin/sh
			case "\$*" in "exec "*echo*" $place/.verify-"*) "$top/scripts/container" "\$@" && touch written && exec kill -TERM \$PPID ;; esac
			exec "$top/scripts/container" "\$@"
		END
		start broken/scripts/lab.d/verify
		finish
		[ "$status" = 143 ] || fail "$place: status $status"
		rm written
		only_the_lab
	done
	runs
}

@test "without a lab, and where its container does not run, that is said with the cure" {
	run -125 --separate-stderr -- env LAB_DIR="$PWD/nowhere" "$top/scripts/lab" verify
	[[ $stderr == "lab verify: there is no lab in $PWD/nowhere"$'\n'*'lab up'* ]] || fail "$stderr"
	run -125 --separate-stderr -- "$top/scripts/lab" verify
	[[ $stderr == "lab verify: the lab's container, $group, does not run"$'\n'*'lab up'* ]] || fail "$stderr"
	[ "$(find lab -mindepth 1 -maxdepth 1 | wc -l)" = 3 ]
}
