#!/usr/bin/env bats
# nsexec on the kernel it is for: who waits for whom, the chain, and what the program gets. Run by: tests/run kernel together

# Options are lists of words, commands in single quotes are for other shells, lib.bash sets variables, and every test is
# a subshell:
# shellcheck disable=SC2016,SC2026,SC2030,SC2031,SC2046,SC2086,SC2094,SC2119,SC2154

load lib.bash
load namespaces.bash

# ---- together with others

@test "--ready-fd: the program's number as the caller sees it, once all is set up, then the end" {
	mkfifo ready
	start sh -c 'exec nsexec --pid --net --ready-fd 5 -- sleeper 1000 5>ready'
	read -r number <ready
	[ "$number" = "$(child "$started")" ]
	[[ $(nsenter -t "$number" --net ip -o addr) = *' 127.0.0.1/8 '* ]]
	kill -TERM "$started"
	finish
}

@test "--ready-fd: who reads it to the end waits no longer than until all is set up" {
	mkfifo ready
	start sh -c 'exec nsexec --pid --ready-fd 5 -- sleeper 1000 5>ready'
	run timeout 10 cat ready
	[ "$status" = 0 ]
	[ "$output" = "$(child "$started")" ]
	is_in_state "$started" S
	kill -TERM "$started"
	finish
}

@test "--ready-fd without a fork: its own number" {
	mkfifo ready
	start sh -c 'exec nsexec --net --ready-fd 5 -- sleeper 1000 5>ready'
	[ "$(cat ready)" = "$started" ]
	kill -9 "$started"
	finish
}

@test "--ready-fd: when it fails before, the reader gets the end and no number" {
	run sh -c 'nsexec --pid --mount-proc=no --ready-fd 5 -- true 5>&1 >/dev/null 2>/dev/null'
	[ -z "$output" ]
}

@test "--wait-fd: the program starts when the other end is closed, and not before" {
	for options in --pid --net; do
		rm -rf go ran
		mkfifo go
		start sh -c "exec nsexec $options --wait-fd 6 -- touch ran 6<go"
		exec 8>go
		sleep 0.4
		[ ! -e ran ] || fail "$options: it ran"
		exec 8>&-
		finish
		[ "$status" = 0 ] || fail "$options: $status"
		[ -e ran ]
	done
}

@test "--ready-fd and --wait-fd together: the caller does its work in between" {
	mkfifo ready go
	start sh -c 'exec nsexec --pid --net --ready-fd 5 --wait-fd 6 -- ip -o link 6<go 5>ready >links'
	exec 8>go
	read -r number <ready
	ip link add "v$$" type veth peer name inner netns "$number"
	exec 8>&-
	finish
	[ "$status" = 0 ]
	grep -q ' inner@' links
}

@test "the program has neither of the two descriptors" {
	mkfifo go
	exec 8>"$PWD/out" 7</dev/null
	run nsexec --pid --ready-fd 8 --wait-fd 7 -- sh -c 'ls /proc/self/fd/7 /proc/self/fd/8 2>/dev/null; :'
	exec 8>&- 7<&-
	[ -z "$output" ] || fail "$output"
	[ -s out ]
}

@test "a descriptor that is not open: said, and nothing is done" {
	fails_with 125 'nsexec: --ready-fd 77: Bad file descriptor (EBADF)
nsexec: hint: open it for nsexec, as the shell does with 77<FILE or 77>FILE' nsexec --pid --ready-fd 77 -- touch ran
	fails_with 125 'nsexec: --wait-fd 0: Bad file descriptor (EBADF)
nsexec: hint: 0 to 2 are stdin, stdout and stderr: use a number above them' nsexec --pid --wait-fd 0 -- touch ran
	[ ! -e ran ]
}

@test "--pid-file: the program's number while it lives, and no file afterwards" {
	start_sleeper --pid --pid-file pid
	[ "$(cat pid)" = "$slept" ]
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
	[ ! -e pid ]
	run nsexec --pid --pid-file pid -- sh -c 'exit 7'
	[ "$status" = 7 ]
	[ ! -e pid ]
}

@test "--pid-file without a fork: the program's number, and the file stays" {
	[ "$(nsexec --uts --pid-file pid -- sh -c 'echo $$')" = "$(cat pid)" ]
}

# ---- the chain

@test "the mode never reaches the program" {
	for options in --explain '--explain --pid' '--explain -- nsexec --uts'; do
		run --separate-stderr nsexec $options -- env
		[ "$status" = 0 ]
		[[ $output != *BOXUTILS_MODE* ]] || fail "$options"
		[[ ${stderr_lines[0]} = "nsexec 1/"* ]]
	done
	run --separate-stderr env BOXUTILS_MODE=explain nsexec --uts -- env
	[[ $output != *BOXUTILS_MODE* ]]
	[[ $stderr = "nsexec 1/"* ]]
}

@test "one flag narrates the whole chain, and only the whole chain" {
	run --separate-stderr nsexec --explain --uts -- nsexec --ipc -- nsexec --net -- true
	[ "$(grep -c '^nsexec 1/' <<<"$stderr")" = 3 ]
	run --separate-stderr nsexec --uts -- nsexec --explain --ipc -- nsexec --net -- true
	[ "$(grep -c '^nsexec 1/' <<<"$stderr")" = 2 ]
	run --separate-stderr nsexec --uts -- nsexec --ipc -- true
	[ -z "$stderr" ]
}

@test "a mode nobody wrote is an error" {
	fails_with 125 'nsexec: BOXUTILS_MODE=loud: not a mode
nsexec: hint: BOXUTILS_MODE is how the tools of a chain tell each other their mode: unset it' \
		env BOXUTILS_MODE=loud nsexec --uts -- touch ran
	[ ! -e ran ]
}

@test "another program of the name of one of our tools is neither taken for it nor told the mode" {
	[ -x "$BIN/pivot" ] || lacking "pivot is not built"
	mkdir decoy
	printf '#!/bin/sh\necho "decoy ${BOXUTILS_MODE-is told nothing}"\n' >decoy/pivot
	chmod 755 decoy/pivot
	PATH=$PWD/decoy:$PATH run --separate-stderr "$BIN/nsexec" --uts -- pivot --version
	[[ $output = "pivot "[0-9]* ]] || fail "$output"
	run --separate-stderr nsexec --explain --uts -- "$PWD/decoy/pivot"
	[ "$output" = "decoy is told nothing" ] || fail "$output"
	# Where ours is not installed the name is looked up like any other.
	mkdir alone
	cp "$BIN/nsexec" alone
	PATH=$PWD/decoy:$PATH run --separate-stderr alone/nsexec --explain --uts -- pivot
	[ "$output" = "decoy is told nothing" ] || fail "$output"
}

# ---- arguments, descriptors, environment

@test "arguments of any bytes, and of 131071 of them, arrive as they are" {
	word=$(printf 'a\377\200 \n"$x*')
	[ "$(nsexec --pid -- printf %s "$word")" = "$word" ]
	long=$(printf '%0131071d' 0)
	[ "$(nsexec --pid -- /usr/bin/printf %s "$long" | wc -c)" = 131071 ]
}

@test "more arguments than the kernel takes: 126, and why" {
	mkfifo ready go
	word=$(printf '%0100000d' 0)
	start sh -c 'exec nsexec --net --ready-fd 5 --wait-fd 6 -- true "$1" "$1" "$1" 6<go 5>ready 2>said' - "$word"
	exec 8>go
	read -r number <ready
	prlimit --pid "$number" --stack=65536
	exec 8>&-
	finish
	[ "$status" = 126 ] || fail "$status"
	same 'nsexec: execve("'"$(type -P true)"'"): Argument list too long (E2BIG)
nsexec: while: become the program: same process, same number, another life
nsexec: hint: arguments and environment together are more than the kernel takes (a quarter of `ulimit -s`, 128 KiB each)' "$(cat said)"
}

@test "descriptors 0 to 2 are open in the program though they were closed" {
	for options in --uts --pid; do
		nsexec $options -- sh -c 'readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >fds' <&- >&- 2>&-
		same /dev/null$'\n'"$PWD/fds"$'\n'/dev/null "$(cat fds)"
	done
}

@test "the program gets the caller's descriptors and none of nsexec's" {
	list='ls /proc/self/fd'
	exec 9</etc/passwd
	wanted=$($list 3>&-)
	for options in --uts --pid '--all --pid-file pid' '--explain --pid'; do
		same "$wanted" "$(nsexec $options -- $list 3>&- 2>/dev/null)" || fail "$options"
	done
	exec 9<&-
}

@test "environment, directory, umask and limits reach the program as they are" {
	probe='env | sort | grep -v ^_=; pwd; umask; ulimit -a'
	umask 027
	same "$(sh -c "$probe")" "$(nsexec --all -- sh -c "$probe")"
	[ "$(LC_ALL=xx nsexec --pid -- printenv LC_ALL)" = xx ]
}

@test "without a program it runs \$SHELL, else /bin/sh" {
	printf '#!/bin/sh\necho mine\n' >shell
	chmod 755 shell
	[ "$(SHELL=$PWD/shell nsexec --uts)" = mine ]
	[ "$(echo 'echo $0' | env -u SHELL nsexec --uts)" = /bin/sh ]
}
