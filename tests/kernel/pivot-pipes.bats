#!/usr/bin/env bats
# pivot on the kernel it is for: descriptors 0 to 2 opened by name, each with its negative twin.
# Run by: tests/run kernel pivot-pipes

# Words for the shell inside stand in single quotes, lib.bash and pivot.bash set variables:
# shellcheck disable=SC2016,SC2154
load lib.bash
load pivot.bash

# What a program does that takes /dev/stdin, /dev/stdout and /dev/stderr for files.
BY_NAME='cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr'

# Whose descriptors 0 to 2 are, as seen from inside.
OWNERS='stat -L -c %u:%g /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2'

# Prints what a command prints whose descriptors 0 to 2 are pipes of root's.
through_pipes() {
	echo in | "$@" 2> >(cat >stderr) | cat
	until_true test -s stderr
	cat stderr
	rm stderr
}

# Prints whose the pipe is that this reads from, once nobody writes to it.
owner_at_the_end() {
	cat >/dev/null
	stat -L -c '%u %g' /proc/self/fd/0
}

@test "a pipe can be opened by name, with --userns and with --user; and it is the program's user's, the group is not" {
	for options in '--userns 200000:65536' '--userns 200000:65536 --user 1000' '--user 1000:5' '--user user'; do
		# shellcheck disable=SC2086
		same $'in\nout\nerr' "$(through_pipes contain $options "$BATS_FILE_TMPDIR/img" sh -c "$BY_NAME")"
	done
	until_true no_image_attached
	same $'1000:0\n1000:0\n1000:0' "$(: | contain --user user "$root" sh -c "$OWNERS" 2>&1 | cat)"
	same $'200005 0' "$(contain --userns 200000:65536 --user 5 "$BATS_FILE_TMPDIR/img" true | owner_at_the_end)"
	# As it is without --user and --userns, and where it has the owner already: nothing is done.
	same '0 0' "$(contain "$root" true | owner_at_the_end)"
	run --separate-stderr -- pivot --explain --user 0 "$root" true
	[[ $stderr == *setresuid* && $stderr != *fchown* ]] || fail "$stderr"
	run --separate-stderr -- pivot --explain --user 5 "$root" true
	[[ $stderr == *'fchown(1, 5, -1)'* ]] || fail "$stderr"
}

@test "files, named pipes, devices and terminals are the caller's own and stay so; by name a file is refused" {
	touch file
	mkfifo fifo
	chmod 600 file fifo
	exec 7<>fifo
	null=$(stat -c '%u:%g %a' /dev/null)
	run --separate-stderr -- contain --user 1000 "$root" sh -c 'cat /dev/stdin' </dev/null
	[ "$status" = 0 ]
	contain --user 1000 "$root" sh -c 'echo written; echo refused >/dev/stdout' <&7 >file 2>>file || :
	same $'written\nsh: can'"'"'t create /dev/stdout: Permission denied' "$(cat file)"
	contain --user 1000 "$root" true <&7 >&7 2>&7
	same $'0:0 600 file\n0:0 600 fifo' "$(stat -c '%u:%g %a %n' file fifo)"
	same "$null" "$(stat -c '%u:%g %a' /dev/null)"
	script -qec "stat -L -c %u /proc/self/fd/1 >before; pivot --user 1000 '$root' true; stat -L -c %u /proc/self/fd/1 >after; tty >name" /dev/null </dev/null >/dev/null
	[[ $(cat name) == /dev/pts/* ]] || fail "$(cat name)"
	same "$(cat before)" "$(cat after)"
	# The cure: a pipe with a reader of one's own.
	contain --user 1000 "$root" sh -c 'echo taken >/dev/stdout' | cat >file
	same taken "$(cat file)"
}

@test "dry run equals run: the script asks for its own descriptors" {
	for who in user 1234:5; do
		nsexec --dry-run --pid --net -- pivot --user "$who" "$root" sh -c "$OWNERS" >script
		nsexec --dry-run --pid --net -- pivot --user "$who" "$root" sh -c "$BY_NAME" >by-name
		same "$(: | contain --user "$who" "$root" sh -c "$OWNERS" | cat)" "$(: | sh -e script | cat)"
		contain --user "$who" "$root" sh -c "$OWNERS" </dev/null >run.owners
		sh -e script </dev/null >script.owners
		same "$(cat run.owners)" "$(cat script.owners)"
		same $'in\nout\nerr' "$(through_pipes sh -e by-name)"
	done
	same '0:0 0:0' "$(stat -c %u:%g run.owners script.owners | xargs)"
}

@test "a pipe that cannot be given is a warning, and the program runs" {
	run --separate-stderr -- without chown pivot --user 1000 "$root" echo runs
	[ "$status $output" = '0 runs' ] || fail "$status $output: $stderr"
	[[ $stderr == 'pivot: warning: fchown('*', 1000, -1): Operation not permitted (EPERM)'*'hint: it is a pipe of somebody else'* ]] || fail "$stderr"
	# An id that the map has not is nobody's: no pipe is given to whom it would be outside.
	run pivot --userns 200000:10 --user 1000 "$BATS_FILE_TMPDIR/img" true
	[ "$status" = 125 ]
	pivot --userns 200000:10 --user 1000 "$BATS_FILE_TMPDIR/img" true 2>stderr | owner_at_the_end >owner
	same '0 0' "$(cat owner)"
}
