#!/usr/bin/env bats
# cgset on the kernel it is for: version 1, 2 or both, whatever is mounted. Run by: tests/run kernel cgset

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

# ---- the group and its files

@test "a group is made where it is needed, its files are written, and --remove takes it away, twice" {
	cgset --memory 64M --cpus 0.5 --pids 7 "$group"
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 67108864 ]
	[ "$(of_group cpu cpu.cfs_quota_us cpu.max)" = "$(is_two cpu && echo 50000 100000 || echo 50000)" ]
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	# The same again is fine, and changes only what is named.
	cgset --pids 8 "$group"
	[ "$(of_group pids pids.max pids.max) $(of_group memory memory.limit_in_bytes memory.max)" = '8 67108864' ]
	cgset --remove "$group"
	no_groups
	cgset --remove "$group"
}

@test "memory is limited with swap where there is swap to limit; --swap limits it by itself" {
	cgset --memory 64M "$group"
	swap=$(of_group memory memory.memsw.limit_in_bytes memory.swap.max 2>/dev/null) || swap=none
	case $swap in none) ;; *) [ "$swap" = "$(is_two memory && echo 0 || echo 67108864)" ] || fail "$swap" ;; esac
	# A larger limit for both, and a smaller one again: in an order the kernel takes.
	cgset --memory 128M "$group"
	cgset --memory 32M "$group"
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 33554432 ]
	[ "$swap" = none ] || cgset --memory 32M --swap 32M "$group"
	cgset --remove "$group"
}

@test "a file in either version's name is written in that of the version that is here" {
	cgset "$group" memory.max=33554432 pids.max=9 cpu.max='20000 100000'
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 33554432 ]
	cgset "$group" memory.limit_in_bytes=67108864 cpu.cfs_quota_us=30000
	[ "$(of_group memory memory.limit_in_bytes memory.max)" = 67108864 ]
	[ "$(of_group cpu cpu.cfs_quota_us cpu.max | cut -d' ' -f1)" = 30000 ]
	cgset --cpu-weight 300 "$group"
	[ "$(of_group cpu cpu.shares cpu.weight)" = "$(is_two cpu && echo 300 || echo 3072)" ]
	cgset --remove "$group"
}

@test "a file that does not exist, a value the kernel does not take: named, and nothing is left" {
	directory=$(place pids)
	refuses "cgset: open(\"$directory/pids.nonsense\", O_WRONLY): No such file or directory (ENOENT)
cgset: while: the value that was asked for
cgset: hint: this kernel has no file of that name there: it has pids.max" "$group" pids.nonsense=1
	no_groups
	refuses "cgset: write(\"$directory/pids.max\", \"-5\"): Invalid argument (EINVAL)
cgset: while: the value that was asked for
cgset: hint: the kernel takes no such value there; it holds \"max\"" "$group" pids.max=-5
	no_groups
	# In a group that was there before, what was written before that is put back.
	cgset --pids 7 "$group"
	run -125 cgset --pids 8 "$group" pids.nonsense=1
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	cgset --remove "$group"
}

@test "a controller that is nowhere: said with the cause" {
	run -125 --separate-stderr cgset "$group" nonsense.file=1
	same 'cgset: no hierarchy here carries the nonsense controller
cgset: hint: this kernel was built without it: /proc/cgroups lists what it has' "$stderr"
	no_groups
}

@test "a path: what is missing above is made, and goes with the last group in it" {
	cgset --pids 7 "$group/a"
	cgset --pids 7 "$group/b"
	[ "$(of_group pids pids.max pids.max "$group/a")" = 7 ]
	cgset --remove "$group/a"
	[ -d "$(place pids "$group/b")" ]
	refuses "cgset: \"$group\": there are groups in it: b
cgset: hint: remove those first: cgset --remove GROUP" --remove "$group"
	cgset --remove "$group/b"
	no_groups
	# One that was asked for by name stays.
	cgset --pids 7 "$group"
	cgset --pids 7 "$group/a"
	cgset --remove "$group/a"
	[ -d "$(place pids)" ]
	cgset --remove "$group"
}

@test "cpuset: a new group has CPUs and memory nodes, and takes its program in" {
	place cpuset >/dev/null || lacking 'no cpuset controller here'
	run -0 cgset --transient --cpuset 0 "$group/inner" -- sh -c 'grep Cpus_allowed_list /proc/self/status'
	[ "${output##*[[:space:]]}" = 0 ] || fail "$output"
	no_groups
	run -125 cgset --cpuset 4096 "$group" -- true
	no_groups
}

@test "a group that is not of cgset's making is used, and never removed" {
	mkdir "$(place pids)"
	cgset --pids 7 "$group"
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	refuses "cgset: \"$group\": this group is not of cgset's making
cgset: hint: only what carries the mark of cgset is removed; rmdir removes any" --remove "$group"
	refuses "cgset: \"$group\": this group is there already, and not of cgset's making
cgset: hint: --transient would remove it at the end: choose another name, or leave out --transient" --transient "$group" -- true
	[ -d "$(place pids)" ]
	for_each_group rmdir
}

@test "not root: whose it is, and what helps" {
	directory=$(place pids)
	run -125 --separate-stderr -- as_nobody "$BIN/cgset" --pids 7 "$group" -- true
	[[ $stderr == "cgset: mkdir(\"$directory\", 0755): Permission denied (EACCES)
cgset: while: a directory is a group of processes"*"
cgset: hint: \"${directory%/*}\" belongs to user 0: run it as root"* ]] || fail "$stderr"
	! is_two pids || [[ $stderr == *'systemd-run --user --scope -p Delegate=yes cgset'* ]]
	no_groups
}

# ---- the program

@test "the program is in the group, and so is what it starts; outside nobody moved" {
	before=$(cat /proc/self/cgroup)
	run -0 cgset --pids 50 "$group" -- sh -c 'grep -c "/$1\$" /proc/self/cgroup; sh -c "grep -c /$1\\$ /proc/self/cgroup"' - "$group"
	[ "${lines[0]}" -ge 1 ] && [ "${lines[0]}" = "${lines[1]}" ] || fail "$output"
	[ "$before" = "$(cat /proc/self/cgroup)" ]
	[ -d "$(place pids)" ]
	cgset --remove "$group"
}

@test "--transient: the group is there while the program runs, and gone with it; silent, with its status" {
	run -7 --separate-stderr -- cgset --transient --memory 64M --cpus 1 --pids 20 "$group" -- sh -c 'cat /proc/self/cgroup; exit 7'
	[[ $output == *"/$group"* ]] && [ -z "$stderr" ] || fail "$output$stderr"
	no_groups
	run -143 cgset --transient "$group" -- sh -c 'kill -TERM $$'
	run -127 cgset --transient "$group" -- /nonexistent
	run -126 cgset --transient "$group" -- /etc/passwd
	no_groups
}

@test "a memory hog dies at its limit, status 137, and the message says so; below the limit it lives" {
	hog='$x = "x" x (shift() << 20); sleep 0'
	run -137 --separate-stderr -- cgset --transient --memory 32M "$group" -- perl -e "$hog" 100
	[[ $stderr =~ ^cgset:\ $group:\ out\ of\ memory:\ 1\ process\ killed\ at\ 32M,\ peak\ 3[0-9.]+M$ ]] || fail "$stderr"
	run -0 --separate-stderr -- cgset --transient --memory 64M "$group" -- perl -e "$hog" 1
	[ -z "$stderr" ]
	# Also when it was a child, and the program went on.
	run -0 --separate-stderr -- cgset --transient --memory 32M "$group" -- sh -c "perl -e '$hog' 100 2>/dev/null; true"
	[[ $stderr == *"out of memory: 1 process killed at 32M"* ]] || fail "$stderr"
	no_groups
}

@test "a fork bomb stops at its limit" {
	run --separate-stderr -- cgset --transient --pids 16 "$group" -- perl -e '$n = 0; while (defined($p = fork)) { unless ($p) { sleep 100; exit } $n++ } print "$n\n"'
	[ "$output" = 15 ] || fail "$output"
	[[ $stderr == "cgset: $group: still in the group when the program had ended, and killed: "* ]] || fail "$stderr"
	no_groups
}

@test "a spinner gets half a CPU; without a limit it gets a whole one" {
	spin='$end = time + 3; 1 while time < $end; ($user, $system) = times; printf "%d\n", ($user + $system) * 100'
	half=$(cgset --transient --cpus 0.5 --cpu-weight 10000 "$group" -- perl -e "$spin")
	whole=$(cgset --transient --cpu-weight 10000 "$group" -- perl -e "$spin")
	# Of two to three seconds; an emulated CPU or a busy machine gives less to both.
	[ "$half" -le 170 ] && [ "$half" -lt $((whole * 8 / 10)) ] || fail "half $half whole $whole"
}

@test "what outlives the program is ended, and that is said in one line; with nothing left nothing is said" {
	run -0 --separate-stderr -- cgset --transient "$group" -- sh -c 'sleeper 1000 & sleeper 1000 & exit 0'
	[[ $stderr =~ ^cgset:\ $group:\ still\ in\ the\ group\ when\ the\ program\ had\ ended,\ and\ killed:\ [0-9]+,\ [0-9]+$ ]] || fail "$stderr"
	no_groups
	run -0 --separate-stderr -- cgset --transient "$group" -- nsexec --pid -- sh -c 'sleeper 1000 & exit 0'
	[ -z "$stderr" ] || fail "$stderr"
	no_groups
}

@test "kill -9 of the one that waits: the program dies with it; the next of that name, or --gc, cleans up" {
	for cure in next gc; do
		start cgset --transient --pids 20 "$group" -- \
			sh -c '[ "$1" = next ] || mkdir -p "$2/a/b"; exec sleeper 1000' - $cure "$(place pids)"
		until_true pgrep -x sleeper
		kill -9 "$started"
		finish
		until_true no_sleeper
		[ -d "$(place pids)" ]
		case $cure in
		next) cgset --transient "$group" -- true ;;
		gc) cgset --gc ;;
		esac
		no_groups || fail "$cure: $(directories)"
	done
	# What was not transient is not cleaned up.
	cgset "$group" pids.max=5
	cgset --gc
	[ -d "$(place pids)" ]
	cgset --remove "$group"
}

no_sleeper() {
	! pgrep -x sleeper >/dev/null
}

@test "two of one name: the second is refused and told who is in it; --gc leaves it alone" {
	start cgset --transient "$group" -- sleeper 1000
	until_true pgrep -x sleeper
	refuses "cgset: \"$group\": these processes are in it: $(pgrep -x sleeper)
cgset: hint: choose another name, or end them: cgset --kill GROUP" --transient "$group" -- true
	cgset --gc
	refuses "cgset: \"$group\": these processes are in it: $(pgrep -x sleeper)
cgset: hint: end them: cgset --kill GROUP" --remove "$group"
	[ "$(cgset --procs "$group")" = "$(pgrep -x sleeper)" ]
	cgset --kill "$group"
	finish
	[ "$status" = 137 ]
	no_groups
}

@test "--gc leaves a group alone that somebody waits for, in every hierarchy: also where the program has moved out of it" {
	start cgset --transient --cpus 0.5 "$group" -- sh -c 'echo $$ >"$1"; exec sleeper 1000' - "$(place cpu .)/cgroup.procs"
	until_true pgrep -x sleeper
	groups=$(directories)
	[ -z "$(cat "$(place cpu)/cgroup.procs")" ]
	cgset --gc
	same "$groups" "$(directories)"
	kill -9 "$(pgrep -x sleeper)"
	finish
	no_groups
}

@test "a limit set on it meanwhile: a transient group stays one, and --gc still removes what is left of it" {
	start cgset --transient "$group" -- sleeper 1000
	until_true pgrep -x sleeper
	cgset --pids 7 --memory 64M "$group"
	kill -9 "$started"
	finish
	until_true no_sleeper
	[ "$(of_group pids pids.max pids.max)" = 7 ]
	until_true cgset --gc
	no_groups
}

@test "groups in it: --kill ends who is in those too, and a transient group goes with those its program made" {
	start cgset "$group/a" -- sleeper 1000
	until_true pgrep -x sleeper
	cgset --kill "$group"
	finish
	[ "$status" = 137 ]
	cgset --remove "$group/a"
	no_groups
	run -0 --separate-stderr -- cgset --transient "$group" -- sh -c 'mkdir -p "$1/a/b"; sleeper 1000 & echo $! >"$1/a/b/cgroup.procs"' - "$(place pids)"
	[[ $stderr == "cgset: $group: still in the group when the program had ended, and killed: "* ]] || fail "$stderr"
	no_groups
}

@test "--kill of a transient group: its cgset ends silently, though who was killed is there a moment longer" {
	# What holds memory takes longer to end than the program.
	holder='$x = "x" x 50e6; open F, ">", "ready$$"; sleep 1000'
	for _ in 1 2 3; do
		rm -f ready*
		start cgset --transient "$group" -- sh -c 'for _ in 1 2 3; do perl -e "$1" & done; exec sleeper 1000' - "$holder" 2>said
		until_true ready_are 3
		until_true pgrep -x sleeper
		cgset --kill "$group"
		finish
		same '137:' "$status:$(cat said)"
		no_groups
	done
}

ready_are() {
	[ "$(find . -name 'ready*' | wc -l)" = "$1" ]
}

@test "kill -9 of any process of it at a random moment, many times: what is left the next one removes" {
	for round in $(seq "$ROUNDS"); do
		# With --pid, whose first process takes all others along.
		start cgset --transient --memory 64M --pids 20 "$group" -- nsexec --pid -- sh -c 'sleeper 1000; true'
		sleep "0.0$((RANDOM % 30))"
		mapfile -t victims < <(tree_of "$started")
		kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null || :
		finish
		until_true no_sleeper
		until_true cgset --transient "$group" -- true
		no_groups || fail "round $round: $(directories)"
	done
}

# Prints a process and all below it.
tree_of() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1"); do tree_of "$child"; done
}

# ---- looking and stopping

@test "--freeze stops all of it, --thaw lets it go on" {
	start cgset --transient "$group" -- sh -c 'while :; do echo >>ticks; sleep 0.02; done'
	until_true exists ticks
	cgset --freeze "$group"
	size=$(stat -c %s ticks)
	sleep 0.3
	[ "$(stat -c %s ticks)" = "$size" ]
	[[ $(cgset --stat --json "$group") == *'"frozen": true'* ]]
	cgset --thaw "$group"
	until_true grows ticks "$size"
	[[ $(cgset --stat --json "$group") == *'"frozen": false'* ]]
	cgset --kill "$group"
	finish
}

grows() {
	[ "$(stat -c %s "$1")" -gt "$2" ]
}

@test "--stat: the same keys whatever the version; --json is one object" {
	cgset --memory 64M --pids 7 "$group"
	run -0 cgset --stat "$group"
	[ "$(cut -d' ' -f1 <<<"$output" | xargs)" = 'procs frozen memory.current_bytes memory.peak_bytes memory.max_bytes memory.oom_kills cpu.usage_usec cpu.throttled_usec cpu.quota_usec cpu.period_usec pids.current pids.max' ]
	run -0 cgset --stat --json "$group"
	perl -MJSON::PP -e '$s = decode_json(join "", <STDIN>); exit !($s->{"memory.max_bytes"} == 67108864 && $s->{"pids.max"} == 7 && $s->{procs} == 0 && $s->{group} eq $ARGV[0])' "$group" <<<"$output"
	cgset --remove "$group"
	refuses "cgset: \"$group\": there is no such group
cgset: hint: cgset GROUP makes one; a group is named from the root of its hierarchy, as in lab/web" --stat "$group"
}

# ---- telling

@test "dry run equals run: the files of the group and what the program sees are the same" {
	see='cat /proc/self/cgroup; for file in memory.limit_in_bytes memory.max cpu.cfs_quota_us cpu.max pids.max; do for path in $(find '"$(echo "$mounts" | xargs)"' -path "*/$1/$file"); do echo "$path $(cat "$path")"; done; done; exit 5'
	run -5 cgset --transient --memory 64M --cpus 0.5 --pids 20 "$group" -- sh -c "$see" - "$group"
	by_run=$output
	cgset --dry-run --transient --memory 64M --cpus 0.5 --pids 20 "$group" -- sh -c "$see" - "$group" >script
	no_groups
	run -5 sh -e script
	same "$by_run" "$output"
	[ "$(wc -l <<<"$output")" -gt 6 ] || [ -z "${output##*"$group"*}" ]
	no_groups
	# Without --transient the group stays, and carries the same values.
	cgset --dry-run --pids 9 "$group" -- true | sh -e
	[ "$(of_group pids pids.max pids.max)" = 9 ]
	for_each_group rmdir
}

@test "--explain tells each step, its why, its call and what became of it" {
	run -0 --separate-stderr -- cgset --explain --transient --pids 20 "$group" -- true
	[[ $stderr == *'a fork that would make more processes than this fails: no fork bomb goes further'* ]]
	[[ $stderr == *"write(\"$(place pids)/pids.max\", \"20\") = 2"* ]] || fail "$stderr"
	total=$(sed -n 's|^cgset 1/\([0-9]*\) .*|\1|p' <<<"$stderr")
	[ "$(grep -c "^cgset [0-9]*/$total " <<<"$stderr")" = "$total" ] || fail "$stderr"
}
