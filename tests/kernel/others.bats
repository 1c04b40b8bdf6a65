#!/usr/bin/env bats
# What others have made and done, and cgset has to bear or to leave alone. Run by: tests/run kernel others

# lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2030,SC2031,SC2154,SC2314

load lib.bash
load groups.bash

setup_file() {
	setup_world_file
}

setup() {
	setup_group
}

teardown() {
	teardown_group
}

@test "a mount point whose name is no UTF-8 hides no hierarchy" {
	mkdir "$PWD/"$'odd\xff'
	mount -t tmpfs none "$PWD/"$'odd\xff'
	cgset --pids 7 "$group"
	cgset --remove "$group"
	run -125 --separate-stderr cgset --io "$PWD/"$'odd\xff:wbps=4M' "$group"
	umount "$PWD/"$'odd\xff'
	[[ $stderr == *'is on tmpfs, whose number is no disk'* ]] || fail "$stderr"
}
