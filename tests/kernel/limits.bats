#!/usr/bin/env bats
# Limits of CPU time, CPUs, memory and the freezer biting, and measured where it is a rate, on version 1 and 2.
# Run by: tests/run kernel limits
# A rate is measured on a monotonic clock or as a share of CPU time within one run; a spinner has so much weight that a busy
# machine takes nothing from it.

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# Whether this is the machine of tests/vm, which may be changed.
in_vm() {
	[ -e /run/vm/settings ]
}

# A spinner of perl: waits 0.3 s for what is given in advance to be used up, then prints what part of SECONDS it got.
SPIN='use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);
sub now() { clock_gettime(CLOCK_MONOTONIC) } sub used() { clock_gettime(CLOCK_PROCESS_CPUTIME_ID) }
$t = now; 1 while now - $t < 0.3;
($t, $u) = (now, used); 1 while now - $t < $ARGV[0];
printf "%.4f\n", (used - $u) / (now - $t)'

# ---- CPU

@test "a spinner that may have a quarter of a CPU gets a quarter; one that may have all gets more" {
	near "$(cgset --transient --cpus 0.25 --cpu-weight 10000 "$group" -- perl -e "$SPIN" 3)" 0.25 8
	near "$(cgset --transient --cpus max --cpu-weight 10000 "$group" -- perl -e "$SPIN" 0.5)" 0.75 40
}

@test "weights of 100 and 300 share one CPU 1 to 3; equal ones share it equally" {
	near "$(share 100 300)" 3 5
	near "$(share 200 200)" 1 5
}

# Prints how many times as much CPU time a spinner of the second weight gets, while one of the first is on the same CPU.
share() {
	local one two
	start cgset --cpu-weight "$1" --cpuset 0 "$group/one" -- perl -e '1 while 1'
	one=$started
	start cgset --cpu-weight "$2" --cpuset 0 "$group/two" -- perl -e '1 while 1'
	two=$started
	until_true runs_program "$one" perl
	until_true runs_program "$two" perl
	sleep 0.5
	# Nanoseconds on a CPU, of both at the same moment.
	cat "/proc/$one/schedstat" "/proc/$two/schedstat" >before
	sleep 3
	cat "/proc/$one/schedstat" "/proc/$two/schedstat" >after
	kill -9 "$one" "$two"
	wait "$one" "$two" || :
	cgset --remove "$group/one"
	cgset --remove "$group/two"
	cat before after | awk '{ ran[NR] = $1 } END { printf "%.3f\n", (ran[4] - ran[2]) / (ran[3] - ran[1]) }'
}

@test "the CPU time of a group is that of its processes" {
	file=$(if is_two cpu; then echo "$(place cpu)/cpu.stat"; else echo "$(place cpuacct)/cpuacct.usage"; fi)
	# From one moment to another, both seen from inside: what was used before it had joined is not the group's.
	run -0 cgset --transient --cpus max "$group" -- perl -MTime::HiRes=clock_gettime,CLOCK_PROCESS_CPUTIME_ID -e '
		sub group { open F, $ARGV[0] or die; $_ = join "", <F>; /usage_usec (\d+)/ ? $1 : $_ / 1e3 }
		sub process() { 1e6 * clock_gettime(CLOCK_PROCESS_CPUTIME_ID) }
		@began = (group, process);
		1 while process - $began[1] < 1e6;
		printf "%d %d\n", group() - $began[0], process - $began[1]' "$file"
	near "${output% *}" "${output#* }" 5
	# What it says is that number.
	cgset --cpus max "$group" -- perl -e '1 while (times)[0] < 0.5'
	used=$(cgset --stat "$group" | sed -n 's/^cpu.usage_usec *//p')
	[ "$used" -ge 400000 ] || fail "$used"
	cgset --remove "$group"
}

@test "cpuset: on CPU 0 alone, and with memory of node 0; a node that is not there is refused" {
	run -0 cgset --transient --cpuset 0 --cpuset-mems 0 "$group" -- grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status
	[[ $output == *Cpus_allowed_list:*0$'\n'Mems_allowed_list:*0 ]] || fail "$output"
	run -125 --separate-stderr cgset --cpuset-mems 77 "$group"
	[[ $stderr == "cgset: write(\"$(place cpuset)/cpuset.mems\", \"77\"): "* ]] || fail "$stderr"
	no_groups
}

# ---- memory

@test "a child dies at its parent's limit, and the message says whose it was; below it the child lives" {
	hog='$x = "x" x (shift() << 20); sleep 0'
	cgset --memory 32M "$group"
	run -137 --separate-stderr -- cgset --transient --memory 1G "$group/child" -- perl -e "$hog" 100
	[[ $stderr == "cgset: $group/child: out of memory: 1 process killed at the limit of a group above, peak 3"* ]] || fail "$stderr"
	run -0 --separate-stderr -- cgset --transient --memory 1G "$group/child" -- perl -e "$hog" 1
	[ -z "$stderr" ]
	cgset --remove "$group"
}

@test "--hugetlb: written in the file that is here; who touches more than it may gets SIGBUS" {
	cgset --hugetlb 2M=5M "$group"
	[ "$(of_group hugetlb hugetlb.2MB.limit_in_bytes hugetlb.2MB.max)" = 4194304 ]
	refuses 'cgset: --hugetlb 3M=6M: no huge pages of that size
cgset: hint: this machine has 2M and 1G: see /sys/kernel/mm/hugepages' --hugetlb 3M=6M "$group"
	if in_vm; then
		echo 8 >/proc/sys/vm/nr_hugepages
		# mmap(2) of 4 pages with MAP_HUGETLB, and a byte into as many as is said.
		touch='$a = syscall(9, 0, 8 << 20, 3, 0x40022, -1, 0); syscall(0, 0, $a + ($_ << 21), 1) == 1 or die "$!\n" for 0 .. $ARGV[0] - 1'
		run -0 cgset "$group" -- perl -e "$touch" 2 </dev/zero
		run cgset "$group" -- perl -e "$touch" 3 </dev/zero
		[ "$status" != 0 ] || fail "three pages of two"
		echo 0 >/proc/sys/vm/nr_hugepages
	fi
	cgset --remove "$group"
}

# ---- freezing

@test "a frozen process uses no CPU time, and before and after it does" {
	start cgset --transient "$group" -- perl -e '1 while 1'
	until_true spins
	cgset --freeze "$group"
	still=$(ran)
	sleep 0.5
	[ "$(ran)" = "$still" ]
	cgset --thaw "$group"
	until_true ran_more_than "$still"
	cgset --kill "$group"
	finish
}

# Prints the process in the group.
spinner() {
	cgset --procs "$group" 2>/dev/null | head -n 1
}

spins() {
	runs_program "$(spinner)" perl
}

# Prints the nanoseconds it was on a CPU.
ran() {
	cut -d' ' -f1 "/proc/$(spinner)/schedstat"
}

ran_more_than() {
	[ "$(ran)" -gt "$1" ]
}

# ---- a group that stays

@test "a group that stays holds the next program to all its limits, wherever they are" {
	cgset --memory 32M --cpus 0.5 --pids 20 --device '/dev/null rw' "$group"
	run -0 cgset "$group" -- sh -c 'grep -c "/$1\$" /proc/self/cgroup; (: </dev/zero) || echo denied' - "$group"
	[ "${lines[2]}" = denied ]
	[ "${lines[0]}" = "$(directories | wc -l)" ] || fail "$output $(directories)"
	cgset --remove "$group"
}
