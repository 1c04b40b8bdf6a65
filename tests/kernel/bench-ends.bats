#!/usr/bin/env bats
# scripts/bench comes to its end, by a signal too: what it began ends, its groups go, and those of nobody else. Run by:
# tests/run kernel bench-ends

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load bench.bash

@test "interrupted, it ends all that it began; started again it goes on, and what was measured stays" {
	local signal rows before=
	make_play
	touch tree/hold
	# With this seed the runs that are hit are in a container, a group, LXC and on a loop device.
	for signal in TERM:143 INT:130 HUP:129; do
		start_bench --only 'cpu/*' --blocks 1 --seed 3 --file-size 1M 2>said
		for _ in 1 2 3; do
			wait_held
			[ -n "$held" ] || fail "it has ended: $(cat said)"
			let_go
		done
		wait_held
		kill -s "${signal%:*}" "$bench"
		finish "$bench"
		[ "$status" = "${signal#*:}" ] || fail "$signal: $status: $(cat said)"
		grep -qE '^bench: removing [0-9]+ MiB in dir/work \.\.\.$' said || fail "$(cat said)"
		[ -z "$(groups_left)" ] && [ ! -e dir/work ] && no_loop_left && no_process_left ||
			fail "$signal: $(groups_left) $(ls dir) $(loops_on "$PWD") $(processes_left)"
		rows=$(cat dir/warmup.csv dir/runs.csv | grep -v order)
		[ "$(head -n "$(wc -l <<<"$before")" <<<"$rows")" = "$before" ] || [ -z "$before" ] || fail "$before, and then $rows"
		before=$rows
	done
	rm tree/hold
	run -0 --separate-stderr "$top/scripts/bench" --tree tree --dir dir --only 'cpu/*' --blocks 1 --seed 3 --file-size 1M
	[ -z "$stderr" ] || fail "$stderr"
	same "$(cut -d' ' -f1 dir/plan)" "$(cat dir/warmup.csv dir/runs.csv | grep -v order | cut -d, -f1)"
	# All done: nothing is run once more.
	before=$(cat dir/runs.csv)
	run -0 --separate-stderr "$top/scripts/bench" --tree tree --dir dir --only 'cpu/*' --blocks 1 --seed 3 --file-size 1M
	same "$before" "$(cat dir/runs.csv)"
}

@test "it ends what is in its own groups, and nothing in one whose name only begins like its own" {
	local own other sleeper ended
	make_play
	touch tree/hold
	start_bench --only cpu/cgroup --blocks 1 --file-size 1M 2>said
	wait_held
	[ -n "$held" ] || fail "it has ended: $(cat said)"
	# In version 1 the group is in several hierarchies, and in that of cpuset a new one takes nobody.
	# shellcheck disable=SC2086 # a list of mount points
	own=$(find $trees -type d -name "bench-$inner*" ! -path '*cpuset*' -print -quit)
	other=${own}5
	mkdir "$other"
	start sleep 60
	sleeper=$started
	echo "$sleeper" >"$other/cgroup.procs"
	kill "$bench"
	finish "$bench"
	ended=$(gone "$sleeper" && echo yes) || :
	kill "$sleeper" 2>/dev/null || :
	[ ! -e "$other" ] || until_true rmdir "$other" 2>/dev/null
	[ -z "$ended" ] || fail 'the process in the other group was ended'
	[ "$status" = 143 ] && [ ! -e "$own" ] && gone "$held"
}

@test "killed, it leaves groups, which the next one with that DIR removes, or lab down; nobody else's" {
	local tree name killed older
	make_play
	touch tree/hold
	# shellcheck disable=SC2086 # a list of mount points
	tree=$(printf '%s\n' $trees | grep -v cpuset | head -n 1)
	for round in bench down; do
		start_bench --only cpu/lxc --blocks 1 --file-size 1M 2>said
		wait_held
		[ -n "$held" ] || fail "it has ended: $(cat said)"
		name=$(cat dir/groups)
		killed=$inner
		kill -9 "$inner" "$bench"
		finish "$bench"
		# Another bench's, and one that only begins like its own.
		mkdir "$tree/bench-$killed-1" "$tree/${name}5"
		groups_left | grep -q "/$name" || fail 'nothing is left, and nothing shown'
		if [ "$round" = bench ]; then
			rm tree/hold
			# An older one's, which cannot be removed: its note is kept.
			older=bench-4194304-$(date +%s%N)
			mkdir "$tree/$older"
			mount -t tmpfs none "$tree/$older"
			echo "$older" >>dir/groups
			run -0 --separate-stderr "$top/scripts/bench" --tree tree --dir dir --only cpu/lxc --blocks 1 --file-size 1M
			same "$older" "$(cat dir/groups)"
			umount "$tree/$older"
			rmdir "$tree/$older"
			touch tree/hold
			rm -r dir
		else
			mkdir lab
			mv dir lab/bench
			run -0 --separate-stderr env LAB_DIR=lab LAB_NAME="bench-$$" "$top/scripts/lab" down
			[ ! -e lab/bench/groups ]
		fi
		same "$(printf '%s\n' "$tree/${name}5" "$tree/bench-$killed-1" | sort)" "$(groups_left | sort)"
		rmdir "$tree/bench-$killed-1" "$tree/${name}5"
		until_true gone "$held"
	done
}
