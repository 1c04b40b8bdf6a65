#!/usr/bin/env bats
# --help of every script there is, also of one that comes: it is printed, or the script fails, and does nothing else. Each
# runs in a world of its own, in a copy of the repository whose tools are fakes.
# What stands in single quotes is for the shell of that world, which sets script, too:
# shellcheck disable=SC2016,SC2154

load scripts.bash

setup() {
	setup_scripts
	make_repository
	# Whatever does something is noted, and fails.
	for program in apt-get cargo losetup mkfs.ext4 mmdebstrap mount python3; do
		fake "$program" "echo $program \$* >>$PWD/called; exit 1"
	done
	for tool in cgset mkimg nsexec pivot vethup; do
		printf '#!/bin/sh\necho %s "$@" >>%s/called\n' "$tool" "$PWD" >"repo/target/x86_64-unknown-linux-gnu/release/$tool"
		chmod 755 "repo/target/x86_64-unknown-linux-gnu/release/$tool"
	done
	mkdir empty home
	export HOME=$PWD/home DESTDIR=$PWD/stage top=$BATS_TEST_DIRNAME/..
}

# Prints all that can be run by itself.
all_scripts() {
	find "$PWD/repo/scripts" -type f -perm -100 ! -name '*.sh' | sort
}

# Runs a line of shell, in which $script is the script, for each script in an empty directory, all in one world: in_each
# LINE CHECK. What CHECK, a function, is to look at is in the variables status, output and stderr.
in_each() {
	# shellcheck source-path=SCRIPTDIR source=lib.sh
	(. "$top/tests/lib.sh" && in_world bash -uc "$(declare -f all_scripts everything_in idle "$2")"'
		for script in $(all_scripts); do
			status=0
			(cd empty && line=$1 script=$script exec bash -c "eval \"\$line\"") >out 2>err || status=$?
			output=$(cat out) stderr=$(cat err)
			"$2" && idle || { echo "$1: $script: status $status: $output$stderr"; exit 1; }
		done' bash "$@")
}

# Whether nothing was done.
idle() {
	[ ! -e called ] || { cat called; return 1; }
	[ -z "$(everything_in empty)$(everything_in home)" ] && [ ! -e stage ]
}

helped() {
	[ "$status" = 0 ] && [ -z "$stderr" ] && [[ ${output%%$'\n'*} == *"${script##*/} - "* ]]
}

# What could not be written is all that is said.
failed() {
	[ "$status" != 0 ] && [ -z "$output" ] && [[ -z $stderr || $stderr == 'sed: '* ]] && [[ $stderr != *$'\n'* ]]
}

@test "each script prints its help, and no more" {
	[ "$(all_scripts | wc -l)" -ge 20 ]
	in_each 'exec "$script" --help' helped
}

@test "where the help cannot be written each script fails, and does nothing" {
	in_each 'exec "$script" --help >/dev/full' failed
	in_each 'exec "$script" --help >&-' failed
	in_each 'exec 3> >(:); wait $!; exec "$script" --help >&3 3>&-' failed
}
