#!/usr/bin/env bats
# The line of the README on real roots: nsexec, pivot and mkimg as one chain. Run by: tests/run kernel chain

# Options are lists of words, commands in single quotes are for other shells, lib.bash sets variables, and every test is
# a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154

load lib.bash

setup_file() {
	setup_world_file
	cd "$BATS_FILE_TMPDIR" || return
	make_root root
	write_probe root/bin/probe
	mkdir root/tree
	"$BOXUTILS_BIN/mkimg" --from root image
}

setup() {
	for tool in pivot mkimg; do
		[ -x "$BOXUTILS_BIN/$tool" ] || lacking "$tool is not built"
	done
	setup_world
	cp --sparse=always "$BATS_FILE_TMPDIR/image" img
	root=$BATS_FILE_TMPDIR/root
}

# Prints what a program in the new root can see. Namespaces in $KNOWN are printed by number, others as new.
write_probe() {
	cat >"$1" <<-'END'
		#!/bin/sh
		for kind in mnt uts ipc net pid user cgroup time; do
			link=$(readlink "/proc/self/ns/$kind")
			case " $KNOWN " in *" $link "*) echo "$link" ;; *) echo "$kind: new" ;; esac
		done
		[ $$ != 1 ] || echo process 1
		# Numbers of mounts and loop devices differ from run to run.
		sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //; s/(shared|master):[0-9]+/\1/g; s|/dev/loop[0-9]+|/dev/loop|' /proc/self/mountinfo
		ip -o link
		ip -o addr
		hostname
		grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups|Sig[BIC])' /proc/self/status
		cat /proc/self/uid_map /proc/self/gid_map
		env | grep -Ev '^(_|PWD|OLDPWD|SHLVL)=' | sort
		pwd
		umask
		ulimit -a
		ls -l /dev | sed 's/ [A-Z][a-z][a-z] .*[0-9] / /'
		ls /proc/self/fd
		printf '<%s>\n' "$@"
	END
	chmod 755 "$1"
}

# ---- the line

@test "the line: sh reads stdin, is process 1, sees its own processes and only lo, up" {
	run nsexec --pid --net -- pivot img /bin/sh <<-'END'
		echo $$
		echo /proc/[0-9]*
		ip -o link | cut -d: -f2
		ip -o link | grep -c UP,LOWER_UP
		grep -c ' / / .* ext4 ' /proc/self/mountinfo
	END
	[ "$status" = 0 ]
	[ "$output" = "1"$'\n'"/proc/1"$'\n'" lo"$'\n'"1"$'\n'"1" ] || fail "$output"
	# The same look without the chain finds all of this otherwise.
	[ "$(echo /proc/[0-9]*)" != /proc/1 ]
	run ! grep ' / / .* ext4 /dev/loop' /proc/self/mountinfo
}

@test "a file that is written is nowhere outside, and there again at the next start" {
	nsexec --pid --net -- pivot img /bin/sh -c 'echo kept >/note-of-the-chain'
	[ ! -e /note-of-the-chain ]
	[ ! -e "$root/note-of-the-chain" ]
	[ "$(nsexec --pid --net -- pivot img /bin/cat /note-of-the-chain)" = kept ]
	run ! nsexec --pid --net -- pivot "$root" /bin/cat /note-of-the-chain
}

@test "nothing of the host is seen: no file, process, mount, variable or descriptor of it" {
	echo canary >canary-file
	export CANARY_VARIABLE=canary
	exec 9<canary-file
	start sleeper 1000
	run nsexec --pid --net --ipc --uts --hostname box -- pivot img /bin/sh -c '
		find / -xdev -name "*canary*"; cat /proc/self/mountinfo; env; hostname; ls -l /proc/1/fd /proc/self/fd; cat /proc/[0-9]*/cmdline' 3>&-
	kill "$started"
	finish
	exec 9<&-
	grep -q box <<<"$output"
	for trace in canary CANARY world "$BATS_RUN_TMPDIR" sleeper bats; do
		# The shell's own command line holds the word it looks for.
		run ! grep -i "$trace" <<<"${output//\*canary\*/}"
	done
}

@test "mount, mknod and a new namespace are refused inside; outside they are not" {
	run nsexec --pid --net --uts -- pivot img /bin/sh -c '
		mount -t tmpfs none /mnt 2>/dev/null || echo no mount
		mknod /tmp/sda b 8 0 2>/dev/null || echo no mknod
		hostname other 2>/dev/null || echo no name
		ip link set lo down 2>/dev/null || echo no link'
	[ "$output" = $'no mount\nno mknod\nno name\nno link' ] || fail "$output"
	unshare --mount mount -t tmpfs none /mnt
}

@test "a host whose / is shared sees none of it" {
	run unshare --mount --propagation shared "$BASH" -euc '
		before=$(wc -l </proc/self/mountinfo)
		nsexec --pid --net -- pivot img /bin/sh -c "cat /proc/mounts" | grep -c .
		[ "$(wc -l </proc/self/mountinfo)" = "$before" ] && echo same'
	[ "$status" = 0 ]
	[ "${lines[0]}" -ge 5 ] && [ "${lines[1]}" = same ] || fail "$output"
}

@test "the chain without root: a directory of one's own" {
	as_nobody "$top/scripts/rootfs" busybox mine
	run as_nobody nsexec -r --pid --net --uts --hostname box -- pivot mine /bin/sh -c 'id -u; echo $$; hostname; ip -o link | cut -d: -f2; touch /made'
	[ "$output" = $'0\n1\nbox\n lo' ] || fail "$output"
	[ "$(stat -c %u mine/made)" = 65534 ]
}

@test "--userns: root inside is nobody outside, and the image keeps its ids" {
	start nsexec --pid --net -- pivot --userns auto img /bin/sh -c 'id -u; touch /made; stat -c %u /made; echo >/ready; exec sleep 1000' >said
	until_true has_child "$started"
	until_true runs_program "$(child "$started")" sleep
	[ "$(xargs <said)" = "0 0" ]
	[ "$(stat -c %u "/proc/$(child "$started")")" -ge 65536 ]
	kill -TERM "$started"
	finish
	[ "$(nsexec --pid -- pivot img /bin/stat -c %u /made)" = 0 ]
}

# ---- what travels down

@test "the exit status comes back through the whole chain" {
	for wanted in 0 7 125 126 127 255; do
		run "-$wanted" nsexec --pid --net -- pivot img /bin/sh -c "exit $wanted"
	done
	run "-7" nsexec --net -- pivot "$root" /bin/sh -c 'exit 7'
	run -127 nsexec --pid -- pivot img /bin/nosuch
	run -126 nsexec --pid -- pivot img /etc/passwd
	run -125 nsexec --pid -- pivot nowhere /bin/sh
}

some_loop() {
	[ -n "$(loops_on "$PWD")" ]
}

@test "TERM to the outermost process ends the chain, Ctrl-C too, and no loop device stays" {
	for signal in TERM:143 INT:130; do
		start nsexec --pid --net -- pivot img /bin/sleep 1000
		until_true has_child "$started"
		until_true runs_program "$(child "$started")" sleep
		until_true some_loop
		kill "-${signal%:*}" "$started"
		finish
		[ "$status" = "${signal#*:}" ] || fail "$signal: $status"
	done
	start_on_terminal "nsexec --pid --net -- pivot img /bin/sleep 1000"
	until_true pgrep -x sleep
	sleep 0.2
	press '\003'
	finish_terminal
	[ "$status" = 130 ] || fail "$status"
	until_true no_loop_left
}

@test "signals and mask: as inherited with --bare, at their defaults in a confined container" {
	defaults=$(env --default-signal grep '^Sig[BI]' /proc/self/status)
	mkdir -p "$root/proc"
	for state in --default-signal --ignore-signal=PIPE --ignore-signal=PIPE,HUP,INT --block-signal=TERM,CHLD,PIPE; do
		wanted=$(env "$state" grep '^Sig[BI]' /proc/self/status)
		[ "$state" = --default-signal ] || [ "$wanted" != "$defaults" ]
		same "$wanted" "$(env "$state" nsexec --pid -- pivot --bare "$root" /bin/sh -c 'mount -t proc proc /proc && exec grep "^Sig[BI]" /proc/self/status')" || fail "$state"
		same "$defaults" "$(env "$state" nsexec --pid -- pivot "$root" /bin/grep '^Sig[BI]' /proc/self/status)" || fail "$state"
	done
}

@test "arguments of any bytes, and of 131071 of them, pass through the chain" {
	word=$(printf 'a\377\200 \n"$x*')
	[ "$(nsexec --pid --net -- pivot "$root" /bin/printf %s "$word")" = "$word" ]
	long=$(printf '%0131071d' 0)
	[ "$(nsexec --pid -- pivot "$root" /bin/printf %s "$long" | wc -c)" = 131071 ]
}

@test "the mode ends where the chain of our tools ends" {
	for options in --explain '--explain --net'; do
		run --separate-stderr nsexec --pid $options -- pivot --keep-env "$root" /bin/env
		[ "$status" = 0 ]
		[[ $output != *BOXUTILS_MODE* ]]
		grep -q '^pivot 1/' <<<"$stderr"
	done
	run --separate-stderr nsexec --pid -- pivot --explain "$root" /bin/env
	grep -q '^pivot 1/' <<<"$stderr"
	run ! grep '^nsexec' <<<"$stderr"
}

@test "--explain tells each tool's steps, all of them, each with its why and call" {
	nsexec --explain --pid --net -- pivot img /bin/true 2>said
	for tool in nsexec pivot; do
		total=$(sed -n "s|^$tool 1/\([0-9]*\) .*|\1|p" said)
		[ "$total" -gt 3 ]
		[ "$(grep -c "^$tool [0-9]*/$total  *[a-z/].*" said)" = "$total" ] || fail "$(cat said)"
	done
	# No line is without a call after it.
	awk '/^[a-z]+ [0-9]+\// { if (why) exit 1; why = 1; next } { why = 0 } END { exit why }' said
}

@test "a tool of ours right of pivot: said where it belongs" {
	run --separate-stderr -127 nsexec --pid -- pivot "$root" nsexec --net -- /bin/sh
	[[ ${stderr_lines[2]} = *"put nsexec left of pivot"* ]] || fail "$stderr"
}

# ---- nothing is left

@test "after a failure anywhere in the chain nothing is left" {
	: >empty
	head -c 100000 /dev/urandom >noise
	for words in 'nowhere /bin/sh' 'empty /bin/sh' 'noise /bin/sh' 'img /bin/nosuch' 'img /etc/passwd' '--workdir /nowhere img /bin/sh' \
		'--user nobodythere img /bin/sh' '--image noise:/mnt img /bin/sh' '--bind nowhere:/mnt img /bin/sh'; do
		status=0
		nsexec --pid --net --pid-file pid -- pivot $words 2>said || status=$?
		[ "$status" -ge 125 ] || fail "$words: $status"
		grep -q ^pivot: said || fail "$words: $(cat said)"
		[ ! -e pid ] || fail "$words: the pid file is left"
		until_true no_loop_left || fail "$words"
	done
}

@test "the PID file goes once, with a fork after it or without" {
	for option in --pid --net; do
		run -125 --separate-stderr nsexec --explain "$option" --pid-file pid --ready-fd 5 -- true 5>/dev/full
		[[ $stderr == *'No space left on device (ENOSPC)'* ]] || fail "$stderr"
		[ "$(grep -c 'unlink("pid")' <<<"$stderr")" = 1 ] || fail "$option: $stderr"
		[ ! -e pid ] || fail "$option: the PID file is left"
	done
}

@test "kill -9 of any process of the chain, at any moment, leaves nothing" {
	local round victim
	for ((round = 0; round < ROUNDS; round++)); do
		start nsexec --pid --net --mount --uts --ipc -- pivot img /bin/sleep 1000
		sleep "0.0$((RANDOM % 4))$((RANDOM % 10))"
		victim=$started
		[ $((RANDOM % 2)) = 0 ] || victim=$(child "$started" || :)
		kill -9 "${victim:-$started}" 2>/dev/null || kill -9 "$started" 2>/dev/null || :
		wait "$started" || :
		# The next one may be refused the image only as long as the kernel takes to let go of it.
		until_true no_loop_left
	done
	until_true no_process_left
	e2fsck -fn img >/dev/null
}

# ---- the dry run

# Asserts that NSEXEC_OPTIONS and PIVOT_WORDS show a program the same as their dry run, executed.
dry_run_equals_run() {
	local options=$1
	shift
	KNOWN=$(namespaces_of self | xargs)
	export KNOWN
	without_descriptors nsexec $options -- pivot "$@" /bin/probe 'a b' "it's" >really 2>&1 </dev/null || { fail "run: $(cat really)"; return; }
	nsexec --dry-run $options -- pivot "$@" /bin/probe 'a b' "it's" >script
	without_descriptors sh -e script >dryly 2>&1 </dev/null || { fail "dry run: $(cat dryly script)"; return; }
	grep -q '<a b>' really
	diff really dryly || fail "of $options $*; the script: $(cat script)"
}

@test "the dry run does the same: --bare" {
	dry_run_equals_run '--pid --net --mount-proc' --bare "$root"
	dry_run_equals_run '--pid --net --uts --hostname box' --bare img
}

@test "the dry run does the same: confined, on a directory and on an image" {
	dry_run_equals_run '--pid --net' --env KNOWN "$root"
	dry_run_equals_run '--pid --net --ipc --uts --hostname box' --env KNOWN img
}

@test "the dry run does the same: options of pivot" {
	mkdir source
	touch source/file
	for words in '--read-only' '--tmpfs /mnt' "--bind $PWD/source:/mnt:ro" '--cap-drop ALL' '--cap-add NET_RAW' '--workdir /tmp' '--user 1000:1000' '--env A=b'; do
		dry_run_equals_run '--pid --net' --env KNOWN $words "$root" || fail "$words"
	done
}

@test "the dry run of the chain changes nothing" {
	strace -f -qq -o calls nsexec --dry-run --pid --net -- pivot img /bin/sh >/dev/null
	run ! grep -E '[ )](unshare|setns|mount|umount2|pivot_root|move_mount|fsopen|fsmount|open_tree|sethostname|chroot|mkdir|unlink)\(|LOOP_C|CLONE_NEW|O_(WRONLY|RDWR|CREAT|TRUNC)' calls
	grep -q pivot calls
}
