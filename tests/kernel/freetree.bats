#!/usr/bin/env bats
# The lecture's own example, on a machine whose controllers are all free: cpu,memory in one hierarchy, net_cls in another.
# Such a machine is `tests/vm --cgroup v1`, where tests/run runs this file; a machine in use has them mounted already.

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

setup() {
	setup_world
	both=$PWD/cpu,memory net=$PWD/net_cls
	cgset --hierarchy cpu,memory "$both"
	cgset --hierarchy net_cls "$net"
}

teardown() {
	local name
	for name in half_cpu_1gb_max quarter_cpu trans_rate_30; do
		cgset --kill "$name" 2>/dev/null || :
	done
	cgset --hierarchy cpu,memory --remove "$both"
	cgset --hierarchy net_cls --remove "$net"
	for name in cpu memory net_cls; do
		grep -q "^${name}[[:space:]]0[[:space:]]" /proc/cgroups || fail "$name was left on a hierarchy" || return
	done
	nothing_left
}

# Makes the lecture's two groups.
make_groups() {
	cgset --cpus 50% --memory 1G half_cpu_1gb_max
	cgset trans_rate_30 net_cls.classid=0x10030
}

@test "httpd stands in half_cpu_1gb_max and in trans_rate_30; a child it forks does too, and is moved on its own" {
	make_groups
	[ "$(cat "$both/half_cpu_1gb_max/cpu.cfs_quota_us") $(cat "$both/half_cpu_1gb_max/cpu.cfs_period_us")" = '50000 100000' ]
	[ "$(cat "$both/half_cpu_1gb_max/memory.limit_in_bytes")" = 1073741824 ]
	[ "$(cat "$net/trans_rate_30/net_cls.classid")" = $((0x10030)) ]
	# Each group is in the one hierarchy that its files are in.
	[ ! -e "$net/half_cpu_1gb_max" ]
	[ ! -e "$both/trans_rate_30" ]
	mkdir -p www/cgi-bin
	printf '%s\n' '#!/bin/sh' 'echo "Content-Type: text/plain"; echo; cat /proc/self/cgroup; exec sleeper 1000' >www/cgi-bin/slow
	chmod 755 www/cgi-bin/slow
	start cgset half_cpu_1gb_max -- cgset trans_rate_30 -- busybox httpd -f -p 127.0.0.1:8080 -h www
	httpd=$started
	until_true runs_program "$httpd" busybox
	[ "$(group_of "$httpd" cpu) $(group_of "$httpd" memory) $(group_of "$httpd" net_cls)" = '/half_cpu_1gb_max /half_cpu_1gb_max /trans_rate_30' ]
	until_true asked
	until_true pgrep -x sleeper
	child=$(pgrep -x sleeper)
	[ "$(ancestor_of "$child")" = "$httpd" ]
	same "$(cat "/proc/$httpd/cgroup")" "$(cat "/proc/$child/cgroup")"
	[ "$(group_of "$child" cpu) $(group_of "$child" net_cls)" = '/half_cpu_1gb_max /trans_rate_30' ]
	cgset --cpus 25% quarter_cpu
	cgset --move "$child" quarter_cpu
	# In the hierarchy of that group it moved; in the other it stays; its parent stays in both.
	[ "$(group_of "$child" cpu) $(group_of "$child" memory) $(group_of "$child" net_cls)" = '/quarter_cpu /quarter_cpu /trans_rate_30' ]
	[ "$(group_of "$httpd" cpu) $(group_of "$httpd" net_cls)" = '/half_cpu_1gb_max /trans_rate_30' ]
	[ "$(cgset --procs quarter_cpu)" = "$child" ]
	cgset --tree --json >tree
	for hierarchy in cpu,memory net_cls; do
		sed -n "s/^\[\{0,1\}{\"hierarchy\":\"$hierarchy\",.*\"procs\":\[\([0-9,]*\)\].*/\1/p" tree | tr , '\n' | sed /^$/d >procs
		for process in 1 $$ "$httpd" "$child"; do
			[ "$(grep -cx "$process" procs)" = 1 ] || fail "$process is not once in $hierarchy: $(cat tree)"
		done
		[ -z "$(sort procs | uniq -d)" ] || fail "twice in $hierarchy: $(cat tree)"
	done
	kill "$child" "$httpd"
	finish
}

# Asks httpd for a page that never ends, until it answers.
asked() {
	busybox wget -q -O page http://127.0.0.1:8080/cgi-bin/slow 2>/dev/null 3>&- &
	asking=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		! pgrep -x sleeper >/dev/null || return 0
		kill -0 "$asking" 2>/dev/null || return 1
		sleep 0.1
	done
	kill "$asking"
	return 1
}

# Prints which of the processes above this one is httpd.
ancestor_of() {
	local process=$1
	while [ "$process" -gt 1 ] && [ "$process" != "$httpd" ]; do process=$(parent "$process"); done
	echo "$process"
}

@test "rules 1, 2 and 3: cpu and memory together, neither of them elsewhere, every task in the root of each" {
	rule='a controller is on one hierarchy only, with those it was first mounted with'
	[ "$(group_of self cpu) $(group_of self memory) $(group_of self net_cls)" = '/ / /' ]
	[ "$(sed -n 's/^[0-9]*:\(.*memory.*\):.*/\1/p' /proc/self/cgroup)" = cpu,memory ]
	[ -e "$both/cpu.shares" ]
	[ -e "$both/memory.limit_in_bytes" ]
	[ ! -e "$both/net_cls.classid" ]
	for list in cpu memory memory,net_cls cpu,memory,net_cls; do
		run -125 --separate-stderr -- cgset --hierarchy "$list" other
		[[ $stderr == *"Device or resource busy (EBUSY)"*"hint: $rule: "*", mounted at \"$PWD/"* ]] || fail "$list: $stderr"
	done
	[ ! -e other ]
	# Free ones can be had with each other, not with these.
	cgset --hierarchy cpuacct,pids other
	[ "$(group_of self pids)" = / ]
	cgset --hierarchy cpuacct,pids --remove other
	[ "$(grep -cx $$ "$both/tasks")$(grep -cx $$ "$net/tasks")" = 11 ]
	# Who is moved in one is in the root of the other still.
	make_groups
	start cgset half_cpu_1gb_max -- sleeper 1000
	until_true runs_program "$started" sleeper
	[ "$(group_of "$started" memory) $(group_of "$started" net_cls)" = '/half_cpu_1gb_max /' ]
	cgset --kill half_cpu_1gb_max
	finish
}

@test "the limits bite together: a spinner has to wait, and a hog dies, in the one group" {
	cgset --cpus 20% --memory 32M half_cpu_1gb_max
	run -137 --separate-stderr -- cgset --report half_cpu_1gb_max -- perl -e '$x = "x" x (100 << 20); sleep 0'
	[[ $stderr == *'cgset: half_cpu_1gb_max: out of memory: 1 process killed at 32M, peak '* ]] || fail "$stderr"
	# How much it waited is the kernel's own count: an emulated CPU on a busy machine is no clock.
	cgset --report=waited half_cpu_1gb_max -- perl -e '$end = time + 3; 1 while time < $end'
	cgset --cpus max half_cpu_1gb_max
	cgset --report=free half_cpu_1gb_max -- perl -e '$end = time + 3; 1 while time < $end'
	[[ $(cat waited) =~ '"cpu.throttled_usec": '[1-9][0-9]{4} ]] || fail "$(cat waited)"
	[[ $(cat free) == *'"cpu.throttled_usec": 0,'* ]] || fail "$(cat free)"
}
