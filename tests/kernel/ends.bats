#!/usr/bin/env bats
# nsexec on the kernel it is for: how it ends, by itself, by a signal, and with whom. Run by: tests/run kernel ends

# Options are lists of words, commands in single quotes are for other shells, lib.bash sets variables, and every test is
# a subshell:
# shellcheck disable=SC2016,SC2026,SC2030,SC2031,SC2046,SC2086,SC2094,SC2119,SC2154

load lib.bash
load namespaces.bash

# ---- exit status

@test "the program's exit status is nsexec's, forked or not" {
	for options in --pid --uts; do
		for wanted in 0 1 7 125 126 127 255; do
			run "-$wanted" nsexec $options -- sh -c "exit $wanted"
		done
	done
}

@test "a program that dies of a signal is reported as 128 and the signal, forked or not" {
	for signal in TERM:143 SEGV:139 KILL:137 INT:130; do
		run nsexec --uts -- sh -c "kill -${signal%:*} \$\$"
		[ "$status" = "${signal#*:}" ] || fail "exec: $signal $status"
		# PID 1 cannot kill itself, so another is asked about.
		hold --pid --fork
		run nsexec --pid="$held" -- sh -c "kill -${signal%:*} \$\$"
		[ "$status" = "${signal#*:}" ] || fail "fork: $signal $status"
		rm held
		release
	done
}

@test "no such program: 127, before anything is done" {
	PATH=/nowhere:/usr/bin fails_with 127 'nsexec: execve("nosuch"): No such file or directory (ENOENT)
nsexec: while: become the program: same process, same number, another life
nsexec: hint: not in any directory of PATH=/nowhere:/usr/bin' "$BIN/nsexec" --pid --pid-file pid -- nosuch
	fails_with 127 'nsexec: execve("./nosuch"): No such file or directory (ENOENT)
nsexec: while: become the program: same process, same number, another life
nsexec: hint: there is no such file' nsexec --pid --pid-file pid -- ./nosuch
	[ ! -e pid ]
	run -127 strace -f -o calls -e trace=unshare,clone,clone3,fork,vfork nsexec --pid --net -- nosuch
	run ! grep -v '+++' calls
}

# cannot_run FILE ERRNO HINT: running FILE is 126 with that text.
cannot_run() {
	fails_with 126 "nsexec: execve(\"$1\"): $2
nsexec: while: become the program: same process, same number, another life
nsexec: hint: $3" nsexec --pid --pid-file pid -- "$1" || fail "$1"
	[ ! -e pid ]
}

@test "a program that is there and cannot run: 126, and the reason" {
	printf 'echo hello\n' >plain
	printf '#!/bin/sh\n' >not-executable
	printf '#!/no/such/sh -e\n' >no-interpreter
	printf '#!/bin/sh\r\necho hello\r\n' >crlf
	: >empty
	printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\363\0\1\0\0\0%048d' 0 >riscv
	sed 's|/lib64/ld-linux-x86-64.so.2|/lib64/no-linux-x86-64.so.2|' /bin/true >no-loader
	mkdir directory
	chmod 755 plain no-interpreter crlf empty riscv no-loader
	chmod 644 not-executable
	cannot_run ./not-executable 'Permission denied (EACCES)' 'it may not be executed: chmod +x ./not-executable'
	cannot_run ./directory 'Permission denied (EACCES)' '"./directory" is a directory'
	cannot_run ./no-interpreter 'No such file or directory (ENOENT)' 'the file is there; its interpreter "/no/such/sh" is not'
	cannot_run ./no-loader 'No such file or directory (ENOENT)' 'the file is there; its interpreter "/lib64/no-linux-x86-64.so.2" is not'
	cannot_run ./crlf 'No such file or directory (ENOENT)' 'its lines end in CR LF, so it asks for the interpreter "/bin/sh\r": remove the CRs'
	if [ ! -e /proc/sys/fs/binfmt_misc/status ]; then
		cannot_run ./empty 'Exec format error (ENOEXEC)' 'the file is empty'
		cannot_run ./plain 'Exec format error (ENOEXEC)' 'it is no ELF program, and its first line does not name an interpreter as in #!/bin/sh'
		cannot_run ./riscv 'Exec format error (ENOEXEC)' 'it is a program for riscv; this kernel runs x86_64'
	fi
}

@test "after each failure past the fork the child is gone, and so is the pid file" {
	run nsexec --pid --pid-file pid --mount-proc=no -- touch ran
	[ "$status" = 125 ]
	[ ! -e pid ]
	[ ! -e ran ]
	run --separate-stderr nsexec --pid --pid-file no/pid -- touch ran
	[ "$status" = 125 ]
	[ "${stderr_lines[0]}" = 'nsexec: write("no/pid", PID): No such file or directory (ENOENT)' ]
	[ ! -e ran ]
}

# ---- signals

@test "TERM, and each other ending signal, ends a process 1 that has no handler" {
	for signal in TERM:143 INT:130 QUIT:131 HUP:129 USR1:138 USR2:140 ALRM:142; do
		start_sleeper --pid
		kill "-${signal%:*}" "$started"
		finish
		[ "$status" = "${signal#*:}" ] || fail "$signal: $status"
		gone "$slept" || fail "$signal: the program lives on"
	done
}

@test "a signal sent to nsexec reaches a handler in the program, once" {
	for signal in TERM INT HUP USR1 WINCH TSTP CONT; do
		rm -f ready log
		start nsexec --pid -- "$BASH" -c "trap 'echo $signal >>log' $signal; trap 'exit 3' USR2; touch ready; while :; do sleep 0.02; done"
		until_true exists ready
		kill "-$signal" "$started"
		until_true exists log
		kill -USR2 "$started"
		finish
		[ "$status $(cat log)" = "3 $signal" ] || fail "$signal: $status $(cat log)"
	done
}

@test "a signal that the program ignores does nothing" {
	start nsexec --pid -- sh -c "trap '' TERM; touch ready; exec sleeper 1000"
	until_true exists ready
	until_true runs_program "$(child "$started")" sleeper
	kill -TERM "$started"
	sleep 0.3
	[ -z "$(gone "$started" && echo gone)" ]
	kill -INT "$started"
	finish
	[ "$status" = 130 ]
}

@test "the program's own status counts, though a signal came when it had just ended" {
	start nsexec --pid -- "$BASH" -c "trap 'exit 3' USR1; touch ready; while :; do sleep 0.02; done"
	until_true exists ready
	shell=$(child "$started")
	# As with Ctrl-C, both get it; here the program is sure to be first.
	kill -STOP "$started"
	until_true is_in_state "$started" T
	kill -USR1 "$shell"
	until_true is_in_state "$shell" Z
	kill -USR1 "$started"
	kill -CONT "$started"
	finish
	[ "$status" = 3 ] || fail "$status"
}

@test "TSTP stops both, CONT continues both" {
	start_sleeper --pid
	kill -TSTP "$started"
	until_true is_in_state "$started" T
	until_true is_in_state "$slept" T
	kill -CONT "$started"
	until_true is_in_state "$started" S
	until_true is_in_state "$slept" S
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
}

@test "a joined program that stops itself, as editors do, stops nsexec too; both go on" {
	hold --pid --fork
	first=$started
	# A job of its own: in a process group that no shell looks after the kernel ignores TSTP.
	set -m
	start nsexec --pid="$held" -- sh -c 'kill -TSTP $$; exit 4'
	set +m
	until_true is_in_state "$started" T
	is_in_state "$(child "$started")" T
	kill -CONT "$started"
	finish
	[ "$status" = 4 ] || fail "$status"
	kill -9 "$held"
	finish "$first"
}

@test "the parent stands still until the program runs, but not where Ctrl-Z could stop one of the two only" {
	fork='strace -o calls -e trace=clone nsexec --pid --uts --'
	setsid -w $fork sh -c 'exit 3' || [ $? = 3 ]
	grep -q CLONE_VFORK calls
	start_on_terminal "$fork sh -c 'exit 3'"
	finish_terminal
	[ "$status" = 3 ] || fail "$status"
	grep clone calls
	run ! grep CLONE_VFORK calls
}

@test "where nobody can be asked for a terminal there may be one" {
	setsid -w unshare --mount "$BASH" -euc 'mount -t tmpfs none /dev
		mknod /dev/null c 1 3
		exec strace -o calls -e trace=clone nsexec --pid -- true'
	grep clone calls
	run ! grep CLONE_VFORK calls
}

@test "a child in its parent's memory that is refused anything is not the last: another does it all, and tells it once" {
	# As older kernels do where the children are to be born in another time namespace.
	refuse clone EINVAL:when=1 sh -c 'exit 3'
	same '3:' "$status:$stderr"
	grep -q 'CLONE_VFORK.*EINVAL' calls
	grep -q 'clone(child_stack=NULL, .*SIGCHLD) = ' calls
	refuse clone EINVAL sh -c 'exit 3'
	same '125:nsexec: clone(CLONE_NEWPID|SIGCHLD): Invalid argument (EINVAL)' "$status:${stderr_lines[0]}"
	refuse sethostname EPERM true
	same "125:nsexec: sethostname(\"x\"): Operation not permitted (EPERM)
nsexec: while: the name it answers to in here" "$status:$stderr"
	[ "$(grep -c sethostname calls)" = 2 ]
	# Not so where it ended by a signal: that was meant for it.
	run setsid -w strace -f -qq -o calls -e trace=sethostname -e inject=sethostname:signal=KILL nsexec --pid --uts --hostname x -- true
	[ "$status" = 137 ]
	[ "$(grep -c sethostname calls)" = 1 ]
}

@test "a parent that has no room to stand still in copies itself" {
	local ran=0
	for limit in $(seq 1500 250 6000); do
		run setsid -w sh -c 'ulimit -v "$1"; exec nsexec --pid -- sh -c "echo ran"' - "$limit"
		[[ $output != *'memory allocation of'* ]] || fail "$limit: $output"
		[ "$output" != ran ] || ran=$((ran + 1))
	done
	[ "$ran" -gt 0 ]
}

# Where a system call is refused: refuse CALL ERROR PROG...
refuse() {
	run --separate-stderr setsid -w strace -f -qq -o calls -e trace=clone,sethostname -e inject="$1:error=$2" nsexec --pid --uts --hostname x -- "${@:3}"
}

@test "Ctrl-C ends a process 1 that has no handler" {
	start_on_terminal "nsexec --pid -- sh -c 'touch ready; exec sleeper 1000'"
	until_true exists ready
	press '\003'
	finish_terminal
	[ "$status" = 130 ] || fail "$status"
}

@test "Ctrl-C reaches a handler once: the terminal delivered it, nsexec does not again" {
	start_on_terminal "nsexec --pid -- bash -c 'trap \"echo INT >>log\" INT; touch ready; until [ -e stop ]; do sleep 0.05; done; exit 5'"
	until_true exists ready
	press '\003'
	until_true exists log
	sleep 0.5
	touch stop
	finish_terminal
	[ "$status $(cat log)" = "5 INT" ] || fail "$status $(cat log)"
}

@test "Ctrl-Z gives the shell its terminal back, fg goes on" {
	start_on_terminal "bash --norc --noprofile -i"
	press 'PS1= ; nsexec --pid -- sleeper 1000\n'
	until_true pgrep -x sleeper
	sleeper=$(pgrep -x sleeper)
	waiting=$(parent "$sleeper")
	press '\032'
	until_true is_in_state "$sleeper" T
	until_true is_in_state "$waiting" T
	press 'jobs >jobs; touch stopped\n'
	until_true exists stopped
	grep -q Stopped jobs
	press 'fg\n'
	until_true is_in_state "$sleeper" S
	until_true is_in_state "$waiting" S
	press '\003'
	until_true gone "$waiting"
	press 'echo $? >status; exit\n'
	finish_terminal
	[ "$(cat status)" = 130 ] || fail "$(cat status)"
}

@test "under nohup a hang-up does nothing" {
	start env --ignore-signal=HUP nsexec --pid sleeper 1000
	until_true has_child "$started"
	until_true runs_program "$(child "$started")" sleeper
	kill -HUP "$started"
	sleep 0.3
	is_in_state "$started" S
	kill -TERM "$started"
	finish
	[ "$status" = 143 ]
}

@test "the status is right though the caller ignores SIGCHLD, or blocks every signal" {
	run env --ignore-signal=CHLD nsexec --pid -- sh -c 'exit 7'
	[ "$status" = 7 ]
	run env --block-signal nsexec --pid -- sh -c 'exit 7'
	[ "$status" = 7 ]
}

@test "signals reach the program as they were inherited: ignored, blocked, default" {
	for state in --default-signal --ignore-signal=PIPE --ignore-signal=PIPE,CHLD,HUP,INT,TSTP --block-signal=TERM,CHLD,USR1 --block-signal --default-signal=PIPE; do
		wanted=$(env "$state" grep '^Sig[BIC]' /proc/self/status)
		for options in --uts --pid '--pid -- nsexec --pid -- nsexec --net'; do
			same "$wanted" "$(env "$state" nsexec $options -- grep '^Sig[BIC]' /proc/self/status)" || fail "$state $options"
		done
	done
}

@test "a closed pipe ends the program as it does without nsexec" {
	nsexec --pid -- sh -c 'yes; echo $? >status' | head -n 1
	until_true exists status
	[ "$(cat status)" = 141 ]
}

# ---- death

@test "kill -9 of nsexec kills the whole tree" {
	start nsexec --pid --mount-proc -- sh -c 'sleeper 1000 & sleeper 1000 & touch ready; wait'
	until_true exists ready
	[ "$(pgrep -cx sleeper)" = 2 ]
	kill -9 "$started"
	finish
	until_true no_process_left
}

@test "kill -9 of the parent of nsexec kills it and the whole tree" {
	start sh -c 'nsexec --pid -- sh -c "sleeper 1000 & touch ready; wait" & wait'
	until_true exists ready
	[ "$(pgrep -cx sleeper)" = 1 ]
	kill -9 "$started"
	finish
	until_true no_process_left
}

@test "kill -9 of a joined program's nsexec kills the program, and not its neighbours" {
	hold --pid --fork
	first=$started
	start nsexec --pid="$held" -- sleeper 1000
	until_true has_child "$started"
	joined=$(child "$started")
	until_true runs_program "$joined" sleeper
	kill -9 "$started"
	finish
	until_true gone "$joined"
	is_in_state "$held" S
	kill -9 "$held"
	finish "$first"
}

@test "kill -9 of either process at a random moment leaves nothing" {
	for ((round = 0; round < ROUNDS; round++)); do
		start nsexec --pid --net --mount-proc -- nsexec --pid -- sleeper 1000
		sleep "0.00$((RANDOM % 10))"
		victim=$started
		if [ $((RANDOM % 2)) = 1 ]; then
			victim=$(child "$started")
		fi
		kill -9 "${victim:-$started}" 2>/dev/null || kill -9 "$started"
		[ "$victim" = "$started" ] || [ -z "$victim" ] || wait "$started" || :
	done
	until_true no_process_left
}
