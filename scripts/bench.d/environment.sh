# What the figures depend on and a reader cannot see in them, and how to have them again. Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

# Writes environment.tsv and commands.txt.
describe() {
	write environment.tsv environment
	write commands.txt commands
}

# Prints a line: a key, a tab, what is known.
fact() {
	key=$1
	shift
	[ -z "$*" ] || printf '%s\t%s\n' "$key" "$(printf '%s' "$*" | tr '\t\n' '  ' | sed 's/ *$//')"
}

# Prints a fact that stands in a file, where there is such a file.
fact_of_file() {
	[ ! -r "$2" ] || fact "$1" "$(tr '\0\n' '  ' <"$2")"
}

# Prints a fact that a command prints, its first line.
fact_of() {
	key=$1
	shift
	! command -v "$1" >/dev/null || fact "$key" "$("$@" 2>&1 | head -n 1)"
}

environment() {
	fact date "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
	machine
	software
	settings_used
	what_is_run
}

machine() {
	fact machine "$(cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name 2>/dev/null | xargs)"
	fact virtualisation "$(systemd-detect-virt --vm 2>/dev/null || sed -n 's/^flags.* hypervisor.*/under a hypervisor/p' /proc/cpuinfo | head -n 1)"
	fact cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
	fact cpus "$(nproc)"
	fact memory "$(awk '/^MemTotal:/ { printf "%d MiB", $2 / 1024 }' /proc/meminfo)"
	fact swap "$(awk '/^SwapTotal:/ { printf "%d MiB", $2 / 1024 }' /proc/meminfo)"
	fact 'load before' "$load_before"
	fact 'load after' "$(load)"
	fact_of_file clocksource /sys/devices/system/clocksource/clocksource0/current_clocksource
	fact_of_file governor /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor
	fact_of_file smt /sys/devices/system/cpu/smt/control
	fact kernel "$(uname -srvm)"
	fact 'operating system' "$(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release)"
	for file in /sys/devices/system/cpu/vulnerabilities/*; do
		fact_of_file "mitigation ${file##*/}" "$file"
	done
	fact_of_file 'transparent huge pages' /sys/kernel/mm/transparent_hugepage/enabled
	fact_of_file 'RCU expedited' /sys/kernel/rcu_expedited
	for name in vm.swappiness vm.dirty_ratio vm.dirty_background_ratio vm.overcommit_memory kernel.randomize_va_space \
		kernel.sched_autogroup_enabled kernel.timer_migration; do
		fact_of_file "sysctl $name" "/proc/sys/$(echo "$name" | tr . /)"
	done
	fact cgroup "$(groups_here)"
	fact mounts "$(grep -c . "/proc/$outer/mountinfo")"
	mounts_in_play
	disk=$(findmnt --noheadings --output SOURCE --target "$dir")
	disk=${disk##*/}
	fact_of_file 'disk scheduler' "/sys/class/block/$disk/queue/scheduler"
	fact_of_file 'disk rotational' "/sys/class/block/$disk/queue/rotational"
	fact_of_file 'disk block size' "/sys/class/block/$disk/queue/logical_block_size"
}

# Prints the mean number of processes that ran or waited for the disk, in the last 1, 5 and 15 minutes.
load() {
	cut -d' ' -f1-3 /proc/loadavg
}

# Prints what the results and the tree are on, as the host has it mounted: the files that are read and written are there.
mounts_in_play() {
	for path in "$dir" "$tree"; do
		findmnt --task "$outer" --noheadings --raw --output TARGET,FSTYPE,SOURCE,OPTIONS --target "$path"
	done | sort -u | while read -r target options; do
		fact "mount $target" "$options"
	done
}

# Prints which controller is in a hierarchy of its own, and which in the tree of version 2.
groups_here() {
	awk '{
		at = index($0, " - cgroup ")
		if (at) { count = split(substr($0, at + 10), word, " "); sub(/^rw,/, "", word[count]); one = one " " word[count] }
		if (index($0, " - cgroup2 ")) two = $5
	} END { printf "version 1:%s; version 2:", (one == "" ? " none" : one); print (two == "" ? " none" : " " two) }' "/proc/$outer/mountinfo"
	find /sys/fs/cgroup -maxdepth 2 -name cgroup.controllers -exec cat {} + | sed 's/^/ with /'
}

software() {
	fact boxutils "$("$bin/nsexec" --version | head -n 1) $(git -C "$top" rev-parse --short=12 HEAD 2>/dev/null || :)"
	fact sysbench "$(cat "$work/sysbench-version" 2>/dev/null)"
	fact 'sysbench SHA-256' "$sysbench"
	fact 'C library of the tree' "$(find "$root" -path '*/libc.so.6' -exec sha256sum {} + 2>/dev/null | cut -c1-16 | head -n 1)"
	fact tree "$(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' "$tree/etc/os-release" 2>/dev/null)"
	fact_of lxc lxc-execute --version
	fact_of bubblewrap bwrap --version
	fact_of runc runc --version
	fact_of systemd-nspawn systemd-nspawn --version
	fact_of unshare unshare --version
	fact_of 'C compiler' cc --version
}

settings_used() {
	fact seed "$seed"
	fact blocks "$blocks, after one to warm up that is in warmup.csv"
	fact 'seconds a run' "$seconds, from amounts of work measured at the start"
	fact 'starts' "$rounds of each way in each mode, after 3 rounds to warm up"
	fact limits "memory and swap $memory, $cpus CPUs where there are $(nproc), $pids processes: in cgroup and all after it, and in lxc"
	fact 'file set' "$file_size in 16 files; every read and write with O_DIRECT, past the cache of the kernel it is in; one fsync, at the end"
	fact 'file set in an image' "the image is allocated in full; before each run its blocks are taken out of the host's page cache"
	fact 'between runs' 'what is dirty is written (syncfs), not timed'
	fact pinning 'none: threads run on any CPU'
	fact only "$only"
}

what_is_run() {
	for place in $all_places; do
		fact "place $place" "$(line_of "$place")"
	done
	for test in $all_tests; do
		fact "test $test" "sysbench $(words_of "$test" 0), in $(unit_of "$test")"
	done
	for name in $all_ways; do
		fact "way $name" "$(what_a_way_does "$name")"
	done
}

# Prints the commands that make the same measurement again.
commands() {
	# Below this directory as they were given: another machine has other directories above.
	results=$(quote "$(realpath --relative-base=. "$dir")") from=$(quote "$(realpath --relative-base=. "$tree")")
	cat <<-END
		# sysbench and what it needs, in the tree that every place runs
		scripts/rootfs debian $from --include sysbench
		# the same runs in the same order; without --seed in another one
		scripts/bench --dir $results --tree $from --blocks $blocks --seconds $seconds --rounds $rounds --file-size $file_size --memory $memory --seed $seed${only:+ --only $(quote "$only")}
		# the summary once more, from runs.csv and starts.csv
		scripts/bench --dir $results --summary
		# one run of each place by hand: WORDS are those of a test in environment.tsv, ROOT is a copy of the tree with a
		# directory /bench, ROOT.img an image of that, LOOP a device that losetup --direct-io=off attached to the image
	END
	for place in $all_places; do
		echo "# $place: $(line_of "$place")"
	done
}

# Prints the line that starts a program in a place, so that a reader could type it: ROOT is the copy of the tree, ROOT.img
# the image of that, LOOP a device on the image that losetup attached.
line_of() {
	(cd / && in_place quote "$1" WORDS) |
		sed "s|nsenter --target=$outer --mount --net -- ||; s|$work/root|ROOT|g; s|$work/||g; s|$here/|scripts/|g; s|$group|bench|g"
}
