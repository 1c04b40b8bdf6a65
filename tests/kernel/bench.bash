# What the tests of scripts/bench share: a play of sysbench, which can be held in every place, and what a bench must not leave.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # some are for the test files to use, and lib.bash sets some

# Each file's setup and teardown, unless it has its own, which calls the same function first.
setup() {
	setup_bench
}

teardown() {
	teardown_bench
}

setup_bench() {
	setup_world
	run_was=$(mounts_below /run)
	trees=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2\{0,1\} .*/\1/p' /proc/self/mountinfo)
}

teardown_bench() {
	nothing_left || return
	[ -z "$(groups_left)" ] || fail "left: $(groups_left)" || return
	[ -z "$(ip -o link show type bridge)$(ip -o link show type veth)" ] || fail "left: $(ip -o link show)" || return
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ] || fail 'left: ip_forward' || return
	same "$run_was" "$(mounts_below /run)"
}

# The groups of a bench that had this file's world for its own: their names hold its PID.
groups_left() {
	local group pid
	while read -r group; do
		pid=${group##*/bench-}
		pid=${pid%%-*}
		case " ${benches-} " in *" $pid "*) echo "$group" ;; esac
	done < <(
		# shellcheck disable=SC2086 # a list of mount points
		find $trees -depth -type d -name 'bench-*' 2>/dev/null
	)
}

# Starts bench in the background; the inner half, whose PID is in the names of its groups, is noted.
start_bench() {
	# Under nohup a signal would be ignored that a test sends.
	start env --default-signal=HUP,TERM "$top/scripts/bench" --tree tree --dir dir "$@"
	bench=$started
	until_true find_inner || { cat said; return 1; }
	benches="${benches-} $inner"
}

# bench -> setpriv, nsexec and the inner bench, which are one process.
find_inner() {
	local children=
	{ read -r children <"/proc/$bench/task/$bench/children"; } 2>/dev/null
	for inner in $children; do
		! grep -qzx inside "/proc/$inner/cmdline" 2>/dev/null || return 0
	done
	inner=
	gone "$bench"
}

# Makes a tree whose sysbench is a play: it does nothing, and says that it was quick. Where the tree has a file /hold it
# stops in the midst of it, where /broken names the test it fails.
make_play() {
	make_root tree
	cat >tree/bin/sysbench <<-'END'
		#!/bin/sh
		case " $* " in
		*' --version '*) echo 'sysbench 1.0 in a play' && exit ;;
		*' prepare '*) : >test_file.0 && exit ;;
		esac
		events=0
		for word; do
			case $word in
			--events=*) events=${word#*=} ;;
			--memory-total-size=*M) events=${word#*=} && events=${events%M} ;;
			esac
		done
		[ "$PWD" != /bench ] || [ ! -e /hold ] || sh -c 'kill -STOP $$'
		if [ "$PWD" = /bench ] && [ "$(cat /broken 2>/dev/null)" = "$1" ]; then
			echo 'FATAL: broken in the play'
			exit 3
		fi
		echo '100.00 MiB transferred (1000.00 MiB/sec)'
		echo '    read, MiB/s:                  100.00'
		echo '    written, MiB/s:               50.00'
		echo '    total time:                          0.1000s'
		echo "    total number of events:              $events"
	END
	chmod 755 tree/bin/sysbench
}

# Waits until sysbench is held; its PID is in `held`, and that of what is stopped in `stopped`.
wait_held() {
	until_true find_held
}

find_held() {
	local pid
	# The bench may have ended, and then there is nothing to wait for.
	! gone "$bench" || { held='' && return; }
	for pid in /proc/[0-9]*; do
		pid=${pid#/proc/}
		runs_program "$pid" sysbench || continue
		stopped=$(child "$pid")
		is_in_state "${stopped:-0}" T || continue
		held=$pid
		return
	done
	return 1
}

let_go() {
	kill -CONT "$stopped"
	until_true gone "$stopped"
}
