#!/usr/bin/env bats
# scripts/lab compare: what four makes of container use of the kernel, and that looking at them leaves nothing.
# Run by: tests/run kernel compare

# lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2030,SC2031,SC2154

load lib.bash
load groups.bash

setup() {
	setup_group
	export LAB_NAME=$group
}

compare() {
	"$top/scripts/lab" compare "$@"
}

@test "compare: ours, LXC, bwrap and runc side by side, and nothing of it is left" {
	run -0 --separate-stderr -- compare
	[ -z "$stderr" ] || fail "$stderr"
	[[ ${lines[0]} =~ ^\ +ours\ [0-9.]+\ +LXC\ [0-9.]+\ +bwrap\ [0-9.]+\ +runc\ [0-9.] ]] || fail "$output"
	[[ $output != *missing* ]] || fail "$output"
	grep -qE '^  pid +own +own +own +own$' <<<"$output"
	grep -qE "^  user +own +host's +own +host's$" <<<"$output"
	grep -qE '^  memory limit +512 MiB +- +- +-$' <<<"$output"
	grep -qE '^  no_new_privs +yes +no +yes +yes$' <<<"$output"
	grep -qE '^  root +ext4 on a loop device +directory on' <<<"$output"
	grep -qE '^  default route +by 10[.0-9]+ +- +- +-$' <<<"$output"
	[[ $output == *'capabilities: kill net_bind_service audit_write' ]] || fail "$output"
	none_of_compare
}

@test "compare --json: an object a make; one that is not installed says how it is" {
	mkdir bin tmp
	find /usr/bin -maxdepth 1 ! -type d -exec ln -s -t bin {} +
	rm bin/lxc-execute
	run -0 env TMPDIR="$PWD/tmp" PATH="$PWD/bin:/usr/sbin" "$top/scripts/lab" compare --json
	same 'ours null own 8
lxc "not installed: apt-get install lxc" null 0
bwrap null own 40
runc null own 3' "$(jq -r '.[] | "\(.make) \(.missing | tojson) \(.pid) \(.capabilities_in_force | length)"' <<<"$output" | sed 's/ 41$/ 40/')"
	[ -z "$(ls -A tmp)" ]
	none_of_compare
}

@test "compare: interrupted at any moment it leaves no process, no group, no file" {
	mkdir tmp
	for moment in 0.1 0.6 1.2 2; do
		TMPDIR=$PWD/tmp start "$top/scripts/lab.d/compare"
		sleep "$moment"
		kill -TERM "$started" 2>/dev/null || :
		finish
		[ "$status" = 143 ] || [ "$status" = 0 ] || fail "status $status"
		[ -z "$(ls -A tmp)" ] || fail "$(find tmp)"
		none_of_compare
		no_process_left || until_true no_process_left
	done
}

none_of_compare() {
	[ -z "$(directories)" ] || fail "left: $(directories)"
}
