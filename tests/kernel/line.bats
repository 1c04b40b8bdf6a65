#!/usr/bin/env bats
# The line this project is for, `nsexec --pid --net -- pivot img /bin/sh`, seen from inside and from outside. Run by:
# tests/run kernel line

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load pivot.bash

setup() {
	setup_pivot
	own_image
}

# Runs the line, its shell reading what is said: line OPTION-OF-PIVOT... <<<COMMANDS
line() {
	nsexec --pid --net -- pivot "$@" img /bin/sh
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
