#!/usr/bin/env bats
# The line this project is for, `nsexec --pid --net -- pivot img /bin/sh`, seen from inside and from outside; and that a
# dry run's script does what the run does. Run by: tests/run kernel line

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash

setup_file() {
	setup_world_file
	make_root "$BATS_FILE_TMPDIR/root"
	add_perl "$BATS_FILE_TMPDIR/root"
	make_image "$BATS_FILE_TMPDIR/root" "$BATS_FILE_TMPDIR/img"
}

setup() {
	setup_world
	export LC_ALL=C
	root=$BATS_FILE_TMPDIR/root
	cp --sparse=always "$BATS_FILE_TMPDIR/img" img
}

# Puts perl with its libraries in a root.
add_perl() {
	local file
	for file in $(ldd /usr/bin/perl | grep -o '/[^ ]*'); do
		mkdir -p "$1${file%/*}"
		cp -L "$file" "$1$file"
	done
	cp -L /usr/bin/perl "$1/bin/perl"
}

# Makes an image of a directory, as mkimg does or would.
make_image() {
	if [ -x "$BATS_FILE_TMPDIR/bin/mkimg" ]; then
		"$BATS_FILE_TMPDIR/bin/mkimg" --size 64M --from "$1" "$2"
	else
		mke2fs -q -t ext4 -d "$1" "$2" 64M
	fi
}

# Runs the line, its shell reading what is said: line OPTION-OF-PIVOT... <<<COMMANDS
line() {
	nsexec --pid --net -- pivot "$@" img /bin/sh
}

# Finds `/bin/sleep 1000`, which is inside a container; `inside` is its number here.
find_inside() {
	local pid word number
	inside=
	for pid in /proc/[0-9]*; do
		word='' number=''
		{ read -rd '' word && read -rd '' number; } 2>/dev/null <"$pid/cmdline" || :
		[ "$word $number" != '/bin/sleep 1000' ] || inside=${pid#/proc/}
	done
	[ -n "$inside" ]
}

no_loop() {
	[ -z "$(loops_on "$PWD")" ]
}

seven_are_told() {
	[ "$(grep -l 'two writers would destroy it' out.? | wc -l)" = 7 ]
}

# ---- what must be seen

@test "the line, on a relative image, with sh reading stdin: process 1, alone in /proc, lo only and up" {
	run --separate-stderr line <<-'E'
		echo $$
		echo /proc/[0-9]*
		ls /sys/class/net
		ip -o addr show lo | tr -s ' ' | cut -d' ' -f2,4
		ip route
	E
	same "1
/proc/1
lo
lo 127.0.0.1/8
lo ::1/128" "$output"
	[ -z "$stderr" ] || fail "$stderr"
	[ "$$" != 1 ]
}

@test "a file that is written is invisible outside, and there at the next start" {
	line <<<'echo kept >/note; sync'
	[ ! -e /note ]
	[ ! -e "$root/note" ]
	[ "$(line <<<'cat /note')" = kept ]
	# The image is one file: a copy of it is the container.
	cp --sparse=always img saved
	line <<<'rm /note'
	run line <<<'cat /note'
	[ "$status" = 1 ]
	mv saved img
	[ "$(line <<<'cat /note')" = kept ]
}

@test "the lecture's five steps: a zeroed file, a loop device, a file system, mounted in the guest, unseen by the host" {
	dd if=/dev/zero of=home.img bs=1M count=16 status=none
	device=$(losetup --find --show home.img)
	mkfs -t ext4 -q "$device"
	losetup --detach "$device"
	[ "$(line --image home.img:/home <<<'echo hello >/home/created; cat /home/created; grep -c " /home ext4 " /proc/mounts')" = $'hello\n1' ]
	[ ! -e /home/created ]
	[ ! -e "$root/home/created" ]
	! grep -q home.img /proc/mounts || fail "mounted outside"
	[ "$(line --image home.img:/home:ro <<<'cat /home/created')" = hello ]
	run line <<<'cat /home/created'
	[ "$status" = 1 ]
	until_true no_loop
}

@test "--uts --hostname: another name inside, and the old one outside" {
	[ "$(nsexec --pid --net --uts --hostname box -- pivot img hostname)" = box ]
	[ "$(nsexec --pid --net -- pivot img hostname)" = world ]
	[ "$(hostname)" = world ]
	run nsexec --pid --net --uts -- pivot img hostname other
	[ "$status" != 0 ]
}

@test "mount, umount, mknod, pivot_root and chroot are refused" {
	for words in 'mount -t tmpfs x /mnt' 'umount /proc/sys' 'mknod /tmp/node b 8 0' 'pivot_root /mnt /mnt' 'chroot /mnt /bin/true'; do
		run line <<<"$words"
		[ "$status" != 0 ] || fail "$words"
	done
	[ "$(line <<<'echo still')" = still ]
}

@test "environment and descriptors carry nothing of the host, nor of our tools" {
	export SECRET=hidden BOXUTILS_MODE=
	unset BOXUTILS_MODE
	exec 9</etc 8>&1
	run line <<<'env | cut -d= -f1 | sort; ls /proc/1/fd'
	exec 9<&- 8>&-
	same "HOME
PATH
PWD
SHLVL
TERM
container
0
1
2" "$(sed 's/^10$//;/^$/d' <<<"$output" | grep -v '^OLDPWD$')"
	# By --explain the mode travels from tool to tool, and ends before the program.
	[ "$(nsexec --explain --pid -- pivot --env BOXUTILS_MODE --keep-env img /bin/sh 2>/dev/null <<<'env | grep -c BOXUTILS_MODE || :')" = 0 ]
}

@test "a canary of the host occurs nowhere inside: not in a file, not in /proc, not in /sys" {
	canary=canary-$RANDOM-$RANDOM
	echo "$canary" >"$BATS_TEST_TMPDIR/file"
	export SECRET=$canary
	echo "$canary" >/dev/shm/canary
	exec 9<"$BATS_TEST_TMPDIR/file"
	start sh -c "exec sleeper 1000 # $canary"
	bystander=$started
	# Reads the beginning of every file it may read, without waiting for any.
	search='sub walk { my $d = shift; opendir my $h, $d || "/" or return; for (sort readdir $h) { next if /^\.\.?$/; my $p = "$d/$_"; print "$p\n" if /canary-\d/; if (-l $p) { print "$p ->\n" if readlink($p) =~ /canary-\d/; next } if (-d _) { walk($p) } elsif (-f _) { next if m{^(pagemap|clear_refs|mem)$}; $n++; if (sysopen my $f, $p, 2048) { my $t = ""; sysread $f, $t, 65536; print "$p\n" if $t =~ /canary-\d/ } } } } walk(""); print $n > 3000 ? "searched\n" : "only $n\n"'
	same searched "$(nsexec --pid --net --ipc -- pivot img perl -e "$search")"
	# Where it is to be found, it is found.
	echo "$canary" >"$BATS_TEST_TMPDIR/inner"
	same $'/etc/inner\nsearched' "$(nsexec --pid --net --ipc -- pivot --bind "$BATS_TEST_TMPDIR/inner:/etc/inner" img perl -e "$search")"
	exec 9<&-
	rm /dev/shm/canary
	kill -9 "$bystander"
	finish "$bystander"
}

@test "what the host mounts, starts and names is not seen; what runs inside is seen from the host" {
	start nsexec --pid --net -- pivot img /bin/sleep 1000
	until_true find_inside
	[ "$(program "$inside")" = sleep ]
	[ "$(sed -n 's/^NSpid:\t//p' "/proc/$inside/status")" = "$inside"$'\t'1 ]
	[ "$(readlink "/proc/$inside/root")" = / ]
	[ ! -e "/proc/$inside/root/proc/$inside/x" ]
	[ "$(wc -l <"/proc/$inside/mountinfo")" -gt 10 ]
	run ! grep -q " $BATS_RUN_TMPDIR" "/proc/$inside/mountinfo"
	kill -9 "$inside"
	finish
	[ "$status" = 137 ]
}

# ---- words go in as they are

@test "arguments: 131,071 bytes, not UTF-8, empty, with newlines and quotes; one byte more is said" {
	long=$(head -c 131071 /dev/zero | tr '\0' x)
	[ "$(nsexec --pid -- pivot img /bin/sh -c 'echo ${#1}' - "$long")" = 131071 ]
	run nsexec --pid -- pivot img /bin/sh -c 'echo ${#1}' - "${long}x"
	[ "$status" = 126 ]
	[ "$(nsexec --pid -- pivot img /bin/sh -c 'printf "%s|" "$@" | od -An -tx1 | tr -d " \n"' - $'\xff\xfe' '' $'a\nb' "it's \"\$(x)\" \\")" = fffe7c7c610a627c6974277320222428782922205c7c ]
	mkdir $'r\xff t'
	cp -a "$root/." $'r\xff t'
	[ "$(pivot $'r\xff t' echo in)" = in ]
	[ "$(pivot --dry-run $'r\xff t' echo in | sh -e)" = in ]
}

# ---- a dry run is the run

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

# ---- --explain

@test "--explain: every step of both tools, numbered without a gap, each with its why and its call" {
	nsexec --explain --pid --net -- pivot img true 2>told
	for tool in nsexec pivot; do
		total=$(sed -n "s|^$tool 1/\([0-9]*\) .*|\1|p" told)
		same "$(seq -f "$tool %.0f/$total" "$total")" "$(grep -oE "^$tool [0-9]+/[0-9]+" told)"
		# A why, not a call, of some words.
		[ "$(grep -E "^$tool [0-9]+/" told | awk 'NF > 5' | wc -l)" = "$total" ] || fail "$(grep "^$tool" told)"
	done
	[ "$total" -gt 20 ]
	# After each why stands at least one call with its result; the last becomes the program.
	awk '/^(nsexec|pivot) [0-9]/ { if (why && !call) { print "no call: " why; bad = 1 } why = $0; call = 0; next } { call = 1 } END { exit bad || !call }' told
	run tail -n 1 told
	[[ $output == *'execve("true", ["true"])' ]] || fail "$output"
	# In silence without it, and what the program prints stays apart.
	[ -z "$(nsexec --pid --net -- pivot img true 2>&1)" ]
	[ "$(nsexec --explain --pid --net -- pivot img echo data 2>/dev/null)" = data ]
}

@test "--explain and the run take the same steps" {
	same "$(nsexec --dry-run --pid --net -- pivot img true | grep '^# ' | sed 's/^# \(no command does this: \)\{0,1\}//' | sort)" \
		"$(nsexec --explain --pid --net -- pivot img true 2>&1 | sed -nE 's/^(nsexec|pivot) [0-9]+\/[0-9]+ +//p' | sort | awk -v why='become the program: same process, same number, another life' '$0 == why && seen++ { next } { print }')"
}

# ---- to the end

@test "kill -9 of any process of the chain at any moment: a second later nothing is left" {
	for round in $(seq "$ROUNDS"); do
		mkfifo hold
		if [ $((RANDOM % 2)) = 0 ]; then options=; else options='--userns auto'; fi
		# shellcheck disable=SC2086
		start nsexec --pid --net --ipc -- pivot $options --tmpfs /tmp img /bin/sleep 1000
		chain=$started
		sleep "0.00$((RANDOM % 10))$((RANDOM % 10))"
		[ $((RANDOM % 4)) != 0 ] || sleep "0.0$((RANDOM % 10))"
		inner=$(child "$chain")
		if [ -n "$inner" ] && [ $((RANDOM % 2)) = 0 ]; then victim=$inner; else victim=$chain; fi
		kill -9 "$victim"
		finish "$chain"
		end=$(($(date +%s%N) / 1000000 + PATIENCE * 50))
		until no_loop && no_process_left; do
			[ "$(($(date +%s%N) / 1000000))" -lt "$end" ] || fail "round $round: left: $(loops_on "$PWD") $(processes_left)" || return
			sleep 0.01
		done
		[ -z "$(mounts_below "$BATS_RUN_TMPDIR")" ]
		rm hold
	done
	# The image is whole, and free.
	[ "$(line <<<'echo fine')" = fine ]
}

@test "eight at once on one image, read-only" {
	started_all=
	for number in 1 2 3 4 5 6 7 8; do
		nsexec --pid --net -- pivot --read-only img /bin/sh -c "echo $number; sleep 0.2" >"out.$number" 2>&1 3>&- &
		started_all+=" $!"
	done
	# shellcheck disable=SC2086 # a list
	wait $started_all || :
	for number in 1 2 3 4 5 6 7 8; do
		same "$number" "$(cat "out.$number")"
	done
	until_true no_loop
	# Writable, one of eight has it until the others are told.
	mkfifo hold
	exec {hold}<>hold
	for number in 1 2 3 4 5 6 7 8; do
		nsexec --pid --net -- pivot img /bin/sh -c "read word; echo $number" <hold >"out.$number" 2>&1 3>&- {hold}>&- &
		started_all+=" $!"
	done
	until_true seven_are_told
	exec {hold}>&-
	# shellcheck disable=SC2086 # a list
	wait $started_all || :
	[ "$(grep -lE '^[1-8]$' out.? | wc -l)" = 1 ]
	seven_are_told
	until_true no_loop
}
