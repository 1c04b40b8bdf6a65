#!/usr/bin/env bats
# scripts/bench measures: the real sysbench once, in little; a play of it otherwise, which is looked at from outside. Run by:
# tests/run kernel bench

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load bench.bash

setup() {
	setup_bench
	spawned_was=$(spawned)
}

teardown() {
	teardown_bench || return
	same "$spawned_was" "$(spawned)"
}

# The groups that systemd-nspawn makes and leaves, which is started in this file alone.
spawned() {
	# shellcheck disable=SC2086 # a list of mount points
	find $trees -maxdepth 1 \( -name payload -o -name supervisor \) | sort
}

# Prints a kind of namespace of a process.
namespace() {
	readlink "/proc/$1/ns/$2"
}

# Asserts that of these kinds of namespaces the held process has its own, and of the others the world's.
has_own() {
	local kind
	for kind in mnt net pid uts ipc cgroup user; do
		case " $* " in
		*" $kind "*) [ "$(namespace "$held" $kind)" != "$(namespace self $kind)" ] || fail "$place: $kind is not its own" || return ;;
		*) [ "$(namespace "$held" $kind)" = "$(namespace self $kind)" ] || fail "$place: $kind is not the world's" || return ;;
		esac
	done
}

# Prints the memory limit of the held process.
memory_limit() {
	local path
	path=$(sed -n 's/^[0-9]*:memory://p' "/proc/$held/cgroup")
	[ -n "$path" ] || path=$(sed -n 's/^0:://p' "/proc/$held/cgroup")
	# shellcheck disable=SC2086 # a list of mount points
	find $trees -path "*$path/memory.limit_in_bytes" -exec cat {} + -o -path "*$path/memory.max" -exec cat {} + 2>/dev/null | head -n 1
}

# Prints the loop device that is the root of the held process.
root_loop() {
	sed -n 's|^[^ ]* [^ ]* [^ ]* / / .* /dev/\(loop[0-9]*\) .*|\1|p' "/proc/$held/mountinfo"
}

# Prints the interfaces of the held process, lo aside.
interfaces() {
	sed -n 's/^ *\([^:]*\):.*/\1/p' "/proc/$held/net/dev" | grep -vx lo | xargs
}

# Asserts that the held process is where it is said to be, and has what that place has and nothing of the next.
check_place() {
	local dio
	case $place in
	host) has_own ;;
	container) has_own mnt net pid uts ipc cgroup user ;;
	*) has_own mnt net pid uts ipc cgroup ;;
	esac || return
	case $place in
	host | namespaces)
		same "$(cat "/proc/self/cgroup")" "$(cat "/proc/$held/cgroup")" || return
		;;
	*) [ "$(memory_limit)" = $((96 << 20)) ] || fail "$place: the limit is $(memory_limit)" || return ;;
	esac
	case $place in
	host | namespaces | cgroup) [ "$(readlink "/proc/$held/root")" = "$PWD/dir/work/root" ] || fail "$place: its root is $(readlink "/proc/$held/root")" ;;
	*) [ "$(readlink "/proc/$held/root")" = / ] || fail "$place: it is in a chroot" ;;
	esac || return
	case $place in
	loop-buffered) dio=0 ;;
	loop-direct | container) dio=1 ;;
	*) dio= ;;
	esac
	if [ -n "$dio" ]; then
		[ "$(cat "/sys/block/$(root_loop)/loop/dio")" = "$dio" ] || fail "$place: direct I/O is not $dio" || return
		[[ $(cat "/sys/block/$(root_loop)/loop/backing_file") = */dir/work/root.img ]] || fail "$place: not the image"
	else
		[ -z "$(root_loop)" ] || fail "$place: its root is $(root_loop)"
	fi || return
	case $place in
	container | lxc) [ "$(interfaces)" = eth0 ] || fail "$place: it has $(interfaces)" ;;
	host) ;;
	*) [ -z "$(interfaces)" ] || fail "$place: it has $(interfaces)" ;;
	esac
}

@test "each place is what it says: namespaces, group and limit, root, loop device, network; each without what comes next" {
	local seen=
	make_play
	touch tree/hold
	start_bench --only 'cpu/*' --blocks 1 --memory 96M --file-size 1M 2>said
	while wait_held && [ -n "$held" ]; do
		# The one that runs is the first without a row.
		place=$(awk 'FILENAME == ARGV[1] { split($0, f, ","); done[f[1]] = 1; next } !($1 in done) { print $3; exit }' \
			<(cat dir/warmup.csv dir/runs.csv) dir/plan)
		check_place || { kill "$bench"; finish "$bench"; return 1; }
		seen="$seen $place"
		let_go
	done
	finish "$bench"
	[ "$status" = 0 ] || fail "$(cat said)"
	# Twice: to warm up, and for the record.
	same "$(printf '2 %s\n' cgroup container host loop-buffered loop-direct lxc namespaces root)" \
		"$(tr ' ' '\n' <<<"${seen# }" | sort | uniq -c | sed 's/^ *//')"
	[ "$(grep -c ',cpu,0.1000,s,0.1000,0$' dir/runs.csv)" = 8 ]
	[ ! -s dir/missing.tsv ] && [ ! -e dir/work ]
}

@test "the real sysbench, in little: a figure for every cell and every way, and nothing is missing" {
	"$top/scripts/rootfs" host tree sh sysbench
	run "$top/scripts/bench" --tree tree --dir dir --only 'cpu/*,memory-write/*,fileio-seqrd/*,fileio-rndwr/*,starts/*' \
		--blocks 1 --seconds 0.02 --file-size 2M --rounds 2
	[ "$status" = 0 ] || fail "$output" || return
	[ -z "$output" ]
	same "$(cut -d, -f3,4 dir/runs.csv | grep -v place | sort)" "$(for place in host namespaces cgroup root loop-buffered loop-direct container lxc; do
		printf "$place,%s\n" cpu memory-write fileio-seqrd fileio-rndwr; done | sort)"
	run -0 awk -F, 'NR > 1 && !($5 > 0 && $7 > 0 && $8 == "0") { print }' dir/runs.csv
	[ -z "$output" ]
	# Nothing is at the program before the clock inside has been looked at, and nothing after the end.
	awk -F, 'NR > 1 && !($6 == "0" && $4 > 0 && $5 > $4) { bad = 1 } END { exit bad || NR != 33 }' dir/starts.csv || fail "$(cat dir/starts.csv)"
	[ "$(cut -d, -f1 dir/starts.csv | tail -n +2 | xargs)" = "$(seq 32 | xargs)" ]
	[ "$(wc -l <dir/summary.csv)" = 33 ]
	[ "$(wc -l <dir/starts-summary.csv)" = 17 ]
	grep -q '^sysbench	sysbench 1\.' dir/environment.tsv
	for key in 'load before' 'load after' "mount $(findmnt --noheadings --output TARGET --target dir)"; do
		grep -q "^$key	." dir/environment.tsv || fail "no $key: $(cat dir/environment.tsv)"
	done
	grep -q 'pivot_root' dir/explain.txt
	[ ! -e dir/work ]
}

@test "what cannot run is missing, with the reason, status 1, and is tried again; the rest is measured" {
	local before
	make_play
	echo threads >tree/broken
	mkdir fakes
	printf '#!/bin/sh\necho "no container today" >&2\nexit 1\n' >fakes/lxc-execute
	chmod 755 fakes/lxc-execute
	PATH=$PWD/fakes:$PATH run -1 --separate-stderr "$top/scripts/bench" --tree tree --dir dir --blocks 2 --file-size 1M --only 'cpu/host,cpu/lxc,threads/host'
	same "$(cat dir/missing.tsv)" "$(printf '%s\t%s\n' host/threads 'status 3: FATAL: broken in the play (2 of 2 blocks)' \
		lxc/cpu 'status 1: no container today (2 of 2 blocks)')"
	[ "$(grep -c ',host,cpu,0.1000,s,0.1000,0$' dir/runs.csv)" = 2 ]
	before=$(grep ,host,cpu, dir/runs.csv)
	rm tree/broken
	run -0 --separate-stderr "$top/scripts/bench" --tree tree --dir dir --blocks 2 --file-size 1M --only 'cpu/host,cpu/lxc,threads/host'
	[ ! -s dir/missing.tsv ]
	same "$before" "$(grep ,host,cpu, dir/runs.csv)"
	[ "$(grep -c ',0$' dir/runs.csv)" = 6 ]
}

@test "--plan says what and how long, and changes nothing" {
	make_play
	run -0 --separate-stderr "$top/scripts/bench" --plan --quick --tree tree --dir dir
	[ -z "$stderr" ]
	[[ $output == *$'\ncells     64\nblocks    1 to warm up, 6 that count\ncpu: sysbench cpu --threads=1 --cpu-max-prime=10000 --events='* ]]
	[[ $output == *$'\nruns      448, of which 448 are to be done\nestimate  '* ]]
	[ ! -e dir ]
	[ -z "$(ls -A tree/mnt)" ]
	[ -z "$(find . -maxdepth 1 -name '.bench*')" ]
}
