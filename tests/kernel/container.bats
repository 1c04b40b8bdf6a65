#!/usr/bin/env bats
# All of it in one line: cgset, vethup, nsexec, pivot, and scripts/container, which is that line. The world's network plays
# the machine; a neighbour plays the internet. Run by: tests/run kernel container

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load container.bash

setup() {
	setup_container
	take_image
	root=$BATS_FILE_TMPDIR/root
}

teardown() {
	! ip link delete wan0 2>/dev/null || ip netns delete internet
	teardown_container
}

# The line, on a root, with what follows it.
line() {
	cgset --transient --memory 256M --cpus 0.5 --pids 64 "$group" -- vethup --nat -- \
		nsexec --pid --mount --uts --ipc --cgroup --hostname web -- pivot "$@"
}

run_container() {
	container run --name "$group" "$@"
}

# ---- the line

@test "/dev/stdout can be opened by name where it is a pipe" {
	same by-name "$(run_container --no-net img -- /bin/sh -c 'echo by-name >/dev/stdout' | cat)"
	run_container --no-net img -- /bin/sh -c 'echo by-name >/dev/stdout' >file 2>&1 && fail 'it could open a file of root'"'"'s'
	same "/bin/sh: can't create /dev/stdout: Permission denied" "$(cat file)"
}

@test "the line: its name, its processes, its network, its group, its status; silent" {
	run -7 --separate-stderr -- line img /bin/sh -c 'hostname; echo $$; ip -o -4 address show dev eth0 | grep -o "inet [^ ]*"; cat /proc/self/cgroup | grep -c ":/$"; exit 7'
	same $'web\n1\ninet 10.98.0.2/16' "$(head -n 3 <<<"$output")"
	# From inside, its group is the root of every tree.
	[ "${lines[3]}" = "$(wc -l </proc/self/cgroup)" ] || fail "$output"
	[ -z "$stderr" ]
	no_groups
}

@test "the gateway answers, and with NAT a neighbour that plays the internet" {
	make_internet
	run -0 line --cap-add NET_RAW img /bin/sh -c 'ping -c 1 -W 2 10.98.0.1 >/dev/null && echo gateway; nc -w 3 192.0.2.2 8080 </dev/null'
	same $'gateway\n192.0.2.1' "$output"
	end_internet
}

@test "a memory hog dies at 256M, status 137, and the message says so" {
	run -137 --separate-stderr -- line img /bin/sh -c 'exec tail -c 400m /dev/zero >/dev/null'
	[[ $stderr =~ ^cgset:\ $group:\ out\ of\ memory:\ 1\ process\ killed\ at\ 256M,\ peak\ 25[0-9.]*M$ ]] || fail "$stderr"
	no_groups
}

@test "a fork bomb stops at 64, and the container ends all the same" {
	run --separate-stderr -- line img /bin/sh -c 'i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i + 1)); done; true'
	[[ $stderr == *"can't fork"* || $output == *"can't fork"* ]] || fail "$status $output $stderr"
	no_groups
}

@test "a spinner gets half a CPU, and has to wait for it; where it may have two it never waits" {
	# So much weight that it is the limit that it waits for, and not a busy machine.
	spin='end=$(($(cut -d. -f1 /proc/uptime) + 3)); while read -r up _ </proc/uptime && [ "${up%.*}" -lt $end ]; do :; done'
	for cpus in 0.5 2; do
		cgset --transient "--report=with-$cpus" --cpus "$cpus" --cpu-weight 10000 "$group" -- vethup --nat -- nsexec --pid -- pivot img /bin/sh -c "$spin"
	done
	[ "$(jq '.["cpu.throttled_usec"] > 100000 and .["cpu.usage_usec"] < 0.6 * .wall_usec' with-0.5)" = true ] || fail "$(cat with-0.5)"
	[ "$(jq '.["cpu.throttled_usec"]' with-2)" = 0 ] || fail "$(cat with-2)"
}

@test "statuses pass: a signal, nothing to run, nothing that runs; the tool's own" {
	run -143 line img /bin/sh -c 'trap - TERM; (sleep 0.1; kill -TERM 1) & exec /bin/sh -c "trap \"exit 143\" TERM; sleep 5 & wait"'
	run -127 line img /bin/nosuch
	run -126 line img /etc/passwd
	run -125 line nowhere /bin/sh
	no_groups
}

@test "eight started at once have eight addresses" {
	started_all=()
	for number in 1 2 3 4 5 6 7 8; do
		cgset --transient --memory 64M --pids 20 "$group-$number" -- vethup --nat -- nsexec --pid -- pivot --read-only --bind "$PWD:/mnt" img \
			/bin/sh -c 'ip -o -4 address show dev eth0 | grep -o "inet [^ ]*" >"/mnt/address.$1"; touch "/mnt/up.$1"; until [ -e /mnt/enough ]; do sleep 0.1; done' - "$number" 3>&- &
		started_all+=("$!")
	done
	until_true eight_up
	[ "$(cat address.* | sort -u | wc -l)" = 8 ] || fail "$(cat address.*)"
	touch enough
	wait "${started_all[@]}"
	no_groups
}

eight_up() {
	[ "$(find . -name 'up.*' | wc -l)" = 8 ]
}

@test "--explain goes through all four links, each step with its why and its call" {
	run -0 --separate-stderr -- cgset --explain --transient --pids 64 "$group" -- vethup --nat -- nsexec --pid --uts --hostname web -- pivot img /bin/true
	for tool in cgset vethup nsexec pivot; do
		total=$(sed -n "s|^$tool 1/\([0-9]*\) .*|\1|p" <<<"$stderr")
		[ "$(grep -c "^$tool [0-9]*/$total  *[^ ]" <<<"$stderr")" = "$total" ] || fail "$tool: $stderr"
	done
	[ "$(grep -oE '^(cgset|vethup|nsexec|pivot)' <<<"$stderr" | uniq | xargs)" = 'cgset vethup nsexec pivot cgset' ] || fail "$stderr"
}

@test "dry run equals run, through all four links" {
	see='hostname; echo $$; ip -o link | cut -d: -f2 | cut -d@ -f1; ip -o -4 address | sed "s/valid.*//"; ip route; grep -E "^(Cap|NoNewPrivs|Groups)" /proc/self/status; sed -E "s/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //; s|/dev/loop[0-9]+|/dev/loop|" /proc/self/mountinfo; env | sort; exit 5'
	run -5 line img /bin/sh -c "$see"
	by_run=$output
	vethup --down
	cgset --dry-run --transient --memory 256M --cpus 0.5 --pids 64 "$group" -- vethup --nat -- \
		nsexec --pid --mount --uts --ipc --cgroup --hostname web -- pivot img /bin/sh -c "$see" >script
	no_groups
	[ -z "$(ip -o link show type bridge)" ]
	run -5 sh -e script
	same "$by_run" "$output"
	[ "$(wc -l <<<"$output")" -gt 30 ]
	no_groups
}

@test "kill -9 of any process of the full chain at a random moment, many times" {
	for round in $(seq "$ROUNDS"); do
		start cgset --transient --memory 64M --pids 20 "$group" -- vethup --nat -- nsexec --pid --uts -- pivot "$root" /bin/sleep 1000
		sleep "0.0$((RANDOM % 40))"
		mapfile -t victims < <(tree_of "$started")
		kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null || :
		finish
		until_true nothing_runs || fail "round $round: $(ps ax)"
		# What may be left these remove, twice as well as once.
		cgset --transient "$group" -- true
		cgset --transient "$group" -- true
		vethup --down
		vethup --down
		no_groups || fail "round $round: $(directories)"
		[ -z "$(nft list ruleset)$(ip -o link show type bridge)" ]
		[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
		until_true no_port
	done
}

nothing_runs() {
	[ -z "$(processes_left)" ]
}

no_port() {
	[ -z "$(ip -o link show type veth)" ]
}

# Prints a process and all below it.
tree_of() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1"); do tree_of "$child"; done
}

# ---- the script

@test "container run: a container with limits, a network and users of its own; --host-uids and --no-net without" {
	run -7 --separate-stderr -- run_container --memory 64M --cpus 0.5 --pids 20 --image img -- /bin/sh -c 'hostname; id -u; cut -c1-30 /proc/self/uid_map | xargs; ip -o -4 address show dev eth0 | grep -o "inet [^ ]*"; exit 7'
	[ "${lines[0]}" = "$group" ] && [ "${lines[1]}" = 0 ] && [[ ${lines[2]} == '0 '[1-9]* ]] && [ "${lines[3]}" = 'inet 10.98.0.2/16' ] || fail "$output"
	[ -z "$stderr" ] || fail "$stderr"
	run -0 run_container --host-uids --no-net img /bin/sh -c 'xargs </proc/self/uid_map; ip -o link | cut -d: -f2'
	same $'0 0 4294967295\n lo' "$output"
	no_groups
}

@test "container run: a file stays in the image, and the limits bite" {
	run_container --no-net img /bin/sh -c 'echo kept >/note'
	[ "$(run_container --no-net img cat /note)" = kept ]
	run -1 run_container --no-net --read-only img /bin/sh -c 'echo lost >/note'
	[ "$(run_container --no-net img cat /note)" = kept ]
	run -137 --separate-stderr -- run_container --no-net --memory 20M img /bin/sh -c 'exec tail -c 100m /dev/zero >/dev/null'
	[[ $stderr == "cgset: $group: out of memory: 1 process killed at 20M"* ]] || fail "$stderr"
}

@test "container run --explain and --dry-run are those of the chain" {
	run -0 --separate-stderr -- run_container --explain img true
	[[ $stderr == *'cgset 1/'*'vethup 1/'*'nsexec 1/'*'pivot 1/'* ]] || fail "$stderr"
	run -0 run_container --host-uids --dry-run img /bin/echo hello
	[[ $output == *'mkdir -p'*'ip link add'*'unshare'*'capsh'* ]] || fail "$output"
	[ "$(sh -ec "$output")" = hello ]
	no_groups
}

@test "container run: what is no root is named, with the cure, and nothing is made for it" {
	why='pivot: while: look at what shall become the root'
	run -125 --separate-stderr -- run_container nowhere true
	same $'pivot: stat("nowhere"): No such file or directory (ENOENT)\n'"$why"$'\n'"\
pivot: hint: ROOT is a directory, an image or a block device: mkimg --from DIR IMG makes an image" "$stderr"
	: >empty
	run -125 --separate-stderr -- run_container --detach --log log empty true
	[[ $stderr == 'pivot: "empty": the file is empty'$'\n'"$why"$'\npivot: hint: '* ]] || fail "$stderr"
	[ ! -e log ]
	run -125 --separate-stderr -- run_container /dev/null true
	[[ $stderr == 'pivot: "/dev/null": neither a directory, nor a file, nor a block device'$'\n'* ]] || fail "$stderr"
	no_groups
	[ -z "$(left_of_network)" ] || fail "$(left_of_network)"
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
	run_container img true
	[[ $(left_of_network) == *boxbr0* ]]
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
}
