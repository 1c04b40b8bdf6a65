#!/usr/bin/env bats
# A dry run's script does what the run does, of pivot alone and of nsexec and pivot, and printing it does nothing. Run by:
# tests/run kernel pivot-dryrun

# Commands in single quotes are for other shells, a test looks whether nothing is found, lib.bash sets variables:
# shellcheck disable=SC2016,SC2143,SC2154

load lib.bash
load pivot.bash

setup() {
	setup_pivot
	own_image
}

# Prints what a process can see and do, without the numbers that differ from one run to the next.
state_of() {
	local pid=$1 kind
	for kind in mnt uts ipc net pid user cgroup time; do
		[ "$(readlink "/proc/self/ns/$kind")" = "$(readlink "/proc/$pid/ns/$kind")" ] || printf 'new %s\n' "$kind"
	done
	sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //; s/(shared|master|propagate_from):[0-9]+ /\1 /g; s|/dev/loop[0-9]+|/dev/loopN|' "/proc/$pid/mountinfo"
	grep -E '^(Umask|Uid|Gid|Groups|SigBlk|SigIgn|SigCgt|Cap|NoNewPrivs)' "/proc/$pid/status" | sed 's/[[:blank:]]*$//'
	sed -n 's/^NSpid:\t[0-9]*/NSpid:/p' "/proc/$pid/status"
	cat "/proc/$pid/uid_map" "/proc/$pid/gid_map"
	# A shell drops functions that bash has exported, and sets what it is used to set.
	tr '\0\n' '\n ' <"/proc/$pid/environ" | grep -vE '^(_|PWD|OLDPWD|SHLVL|BASH_FUNC_.*)=' | sort
	printf 'cwd %s root %s\n' "$(readlink "/proc/$pid/cwd")" "$(readlink "/proc/$pid/root")"
	grep '^Max core' "/proc/$pid/limits"
	nsenter --target "$pid" --net ip -o link | sed 's/^[0-9]*: //'
	nsenter --target "$pid" --net ip -o addr
	[ -z "$(readlink "/proc/$pid/ns/uts")" ] || nsenter --target "$pid" --uts hostname
	tr '\0' ' ' <"/proc/$pid/cmdline"
}

# Starts a command that ends in /bin/sleep 1000, prints the state of that sleep, and ends it.
state_in() {
	env --default-signal=INT,QUIT "$@" >said 2>&1 3>&- </dev/null &
	until_true find_inside >&2 || {
		cat said >&2
		return 1
	}
	state_of "$inside"
	kill -9 "$inside"
	wait $! 2>/dev/null || :
}

# Asserts that a chain and the script of its dry run end in the same state: same_both_ways [as_nobody] CHAIN...
same_both_ways() {
	local as=()
	if [ "$1" = as_nobody ]; then
		as=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --ambient-caps=-all)
		shift
	fi
	local first=$1
	shift
	state_in "${as[@]}" "$first" "$@" /bin/sleep 1000 >run.state
	"${as[@]}" "$first" --dry-run "$@" /bin/sleep 1000 >script
	state_in "${as[@]}" sh -e script >script.state
	diff run.state script.state || fail "the script differs: $first $*"
	[ "$(wc -l <run.state)" -gt 12 ]
	until_true no_loop
}

@test "dry run equals run: a directory and an image, read-only or not" {
	for option in '' --read-only; do
		for place in "$root" img; do
			# shellcheck disable=SC2086
			same_both_ways nsexec --pid --net -- pivot $option "$place"
		done
	done
}

@test "dry run equals run: each set of namespaces" {
	for kinds in --pid '--pid --net' '--pid --ipc' '--pid --net --ipc --uts --hostname box' '--all --mount-proc' '--net --mount'; do
		# shellcheck disable=SC2086
		same_both_ways nsexec $kinds -- pivot "$root"
	done
	same_both_ways pivot "$root"
	same_both_ways pivot img
}

@test "dry run equals run: --bind, --image, --tmpfs" {
	mkdir -p source/below 'source/with blank'
	truncate --size 16M home.img
	mke2fs -q -t ext4 home.img
	same_both_ways nsexec --pid --net -- pivot --bind source:/mnt --bind /etc/hostname:/opt/name:ro "$root"
	same_both_ways nsexec --pid --net -- pivot --bind "$PWD/source:/new/place:ro,noexec" img
	same_both_ways nsexec --pid --net -- pivot --tmpfs /opt:size=1M,mode=700 --tmpfs /srv:ro img
	same_both_ways nsexec --pid --net -- pivot --image home.img:/home "$root"
	same_both_ways nsexec --pid --net -- pivot --image home.img:/home:ro --tmpfs /home/lost+found img
	unshare --mount --propagation private "$BASH" -euc 'mount -t tmpfs none source/below; mount -t tmpfs none "source/with blank"; exec 3>&-; '"
		$(declare -f same_both_ways state_in state_of find_inside until_true fail no_loop loops_on)
		PATIENCE=$PATIENCE
		same_both_ways nsexec --pid --net -- pivot --bind source:/mnt:ro $root"
}

@test "dry run equals run: --dns" {
	same_both_ways nsexec --pid --net -- pivot --dns 10.0.0.1 --dns fd00::1 "$root"
	same_both_ways nsexec --pid --net -- pivot --dns auto img
	# What the script cannot do safely it does not do at all.
	cp -a "$root" linked
	rm -f linked/etc/resolv.conf
	ln -s /nowhere linked/etc/resolv.conf
	run -125 sh -c 'pivot --dry-run --dns 10.0.0.1 linked true | sh -e'
	[ "$output" = './etc/resolv.conf: a symbolic link' ] || fail "$output"
}

@test "dry run equals run: users, capabilities, variables, working directory" {
	export KEPT=value
	same_both_ways nsexec --pid --net -- pivot --user user "$root"
	same_both_ways nsexec --pid --net -- pivot --user 1234:5 img
	same_both_ways nsexec --pid --net -- pivot --user 1000:tty --cap-add net_raw,kill "$root"
	same_both_ways nsexec --pid --net -- pivot --user 0 "$root"
	same_both_ways nsexec --pid --net -- pivot --cap-drop ALL "$root"
	same_both_ways nsexec --pid --net -- pivot --cap-add ALL --cap-drop MKNOD "$root"
	same_both_ways nsexec --pid --net -- pivot --privileged "$root"
	same_both_ways nsexec --pid --net -- pivot --env A=b --env 'B=it'"'"'s $(x)' --env HOME=/x --env KEPT "$root"
	same_both_ways nsexec --pid --net -- pivot --keep-env "$root"
	same_both_ways nsexec --pid --net -- pivot --workdir /tmp img
	(umask 077 && ulimit -c 16 && same_both_ways nsexec --pid --net -- pivot "$root")
}

@test "dry run equals run: --bare" {
	same_both_ways nsexec --pid --net -- pivot --bare "$root"
	same_both_ways nsexec --pid -- pivot --bare --read-only img
	same_both_ways pivot --bare --workdir /tmp --tmpfs /opt "$root"
	same_both_ways nsexec --pid -- pivot --bare --bind /proc:/proc "$root"
}

@test "dry run equals run: without root" {
	same_both_ways as_nobody nsexec -r --pid --net --ipc -- pivot "$root"
	same_both_ways as_nobody nsexec -r --pid -- pivot "$root"
	same_both_ways as_nobody nsexec -r --pid --net --uts --hostname box -- pivot --read-only --tmpfs /opt "$root"
	same_both_ways as_nobody nsexec -r --pid --net -- pivot --bare --workdir /tmp "$root"
	same_both_ways as_nobody nsexec -r --pid --net -- pivot --cap-add ALL "$root"
}

@test "dry run: the script from a pipe and from a file; stdin and the exit status are the program's" {
	[ "$(nsexec --dry-run --pid --net -- pivot img /bin/sh -c 'echo $$; exit 3' | sh -e || echo "status $?")" = $'1\nstatus 3' ]
	nsexec --dry-run --pid --net -- pivot img >script
	[ "$(echo 'echo read; id -u' | sh -e script)" = $'read\n0' ]
	nsexec --dry-run --pid --net -- pivot img cat >script
	[ "$(echo through | sh -e script)" = through ]
	# A bare name is found along the container's PATH, as the run finds it.
	[ "$(pivot --dry-run "$root" id -u | sh -e)" = "$(pivot "$root" id -u)" ]
	until_true no_loop
}

@test "dry run: names that shells trip over" {
	mkdir "it's" 'a b'
	echo text >'a b/$(x)'
	cp --sparse=always img "it's/img"
	[ "$(pivot --dry-run --bind 'a b:/mnt' --env 'A=$(id) `id`' "it's/img" /bin/sh -c 'cat "/mnt/\$(x)"; echo "$A" "$1"' - "'\"" | sh -e)" = $'text\n$(id) `id` \'"' ]
	[ "$(pivot --bind 'a b:/mnt' --env 'A=$(id) `id`' "it's/img" /bin/sh -c 'cat "/mnt/\$(x)"; echo "$A" "$1"' - "'\"")" = $'text\n$(id) `id` \'"' ]
	until_true no_loop
}

# Calls that change nothing for anybody but the caller's own memory and descriptors, and those by which it runs the next.
HARMLESS='execve|access|faccessat2?|arch_prctl|brk|close|exit|exit_group|fcntl|fstat|newfstatat|statx?|statfs|fstatfs|futex|getdents64|getcwd|getegid|geteuid|getgid|getpid|getppid|gettid|getuid|getrandom|getsockopt|ioctl|lseek|madvise|mmap|mprotect|mremap|munmap|open|openat|openat2|pipe2?|poll|ppoll|pread64|read|readlink|readlinkat|rseq|rt_sigaction|rt_sigprocmask|rt_sigreturn|sched_getaffinity|set_robust_list|set_tid_address|sigaltstack|sysinfo|uname|wait4|waitid|write|writev|dup2?|dup3|clone3?|vfork|prctl|prlimit64|socketpair|recvfrom|recvmsg|sendto|capget'

@test "--dry-run makes no call that changes anything" {
	sum=$(sha256sum img)
	for chain in 'nsexec --dry-run --pid --net --ipc --uts --hostname x -- pivot' 'pivot --dry-run' 'nsexec --dry-run --user --map-root-user --pid -- pivot'; do
		for options in '' '--user user --tmpfs /opt --workdir /tmp' '--bare' '--privileged' '--userns auto --cap-add ALL' '--read-only --bind /etc:/mnt'; do
			rm -f trace
			# shellcheck disable=SC2086
			strace -f -qq -o trace $chain $options img true >/dev/null
			grep -q execve trace
			run grep -vE "^[0-9]+ +((<\.\.\. )?($HARMLESS)[( ]|\+\+\+|---)" trace
			[ -z "$output" ] || fail "$chain $options: $output"
			# Of these, the forms that would change something.
			run grep -E 'O_(WRONLY|RDWR|CREAT|TRUNC)|CLONE_NEW|PR_SET_(NO_NEW_PRIVS|PDEATHSIG|KEEPCAPS)|PR_CAP|prlimit64\([^,]*, [^,]*, \{|LOOP_' trace
			[ -z "$output" ] || fail "$chain $options: $output"
			run grep -E '^[0-9]+ +write' trace
			[ -z "$(grep -vE 'write(v)?\((1|2),' <<<"$output")" ] || fail "$chain $options: $output"
		done
	done
	same "$sum" "$(sha256sum img)"
	no_loop
	# The same trace of a run shows what the patterns look for.
	strace -f -qq -o trace nsexec --pid --net -- pivot img true
	[ "$(grep -cE '^[0-9]+ +(unshare|mount|fsopen|pivot_root|capset|setgroups)\(' trace)" -gt 5 ]
}
