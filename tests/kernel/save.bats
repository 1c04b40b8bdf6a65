#!/usr/bin/env bats
# scripts/container save: a copy of the file system of one that runs, and of an image. Run by: tests/run kernel save

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load container.bash

teardown() {
	end_detached
	teardown_container
}

@test "save: a copy of one that writes all the time needs no repair, and runs; the first goes on" {
	detach --no-net img -- /bin/sh -c 'echo kept >/note; i=0; while :; do i=$((i + 1)); echo $i >/count; mv /count /counted; done'
	until_true container exec "$group" test -e /counted
	container save "$group" copy.img
	run -0 e2fsck -fn copy.img
	# Not even the journal has to be replayed.
	[[ $(dumpe2fs -h copy.img 2>/dev/null) != *needs_recovery* ]]
	reached=$(container exec "$group" cat /counted)
	until_true goes_on
	[ "$(stat -c %b copy.img)" -lt $(($(stat -c %s copy.img) / 1024)) ] || fail 'the copy has no holes'
	[ "$(container run --no-net copy.img cat /note)" = kept ]
	run -125 --separate-stderr -- container save "$group" copy.img
	[[ $stderr == 'container: copy.img is there already'* ]] || fail "$stderr"
	# By the name of its file, and over the old copy.
	container save --force ./img copy.img
	container stop "$group"
	container save img other.img
	cmp img other.img
	[ -z "$(find . -name '.*img*')" ] || fail "$(ls -A)"
}

goes_on() {
	[ "$(container exec "$group" cat /counted)" != "$reached" ]
}

@test "save: of one whose image has been removed, or whose image's name another file has; ps says that it was removed" {
	detach --no-net img -- /bin/sh -c "echo kept >/note; $STAY"
	until_true container exec "$group" test -e /note
	[[ $(container ps) != *'(deleted)'* ]]
	rm img
	[[ $(container ps) == *"$PWD/img (deleted)"* ]] || fail "$(container ps)"
	container save "$group" copy.img
	echo another >img
	container save "$group" other.img
	container save --force "$group" img
	[[ $(container ps) != *'(deleted)'* ]]
	container stop "$group"
	for saved in copy.img other.img img; do
		run -0 e2fsck -fn "$saved"
		same "$(stat -c %s "$BATS_FILE_TMPDIR/image")" "$(stat -c %s "$saved")"
		[ "$(stat -c %b "$saved")" -lt $(($(stat -c %s "$saved") / 1024)) ] || fail 'the copy has no holes'
		[ "$(container run --no-net "$saved" cat /note)" = kept ]
	done
	cp -a "$BATS_FILE_TMPDIR/root" tree
	detach --no-net --host-uids "$PWD/tree" -- /bin/sh -c "$STAY"
	until_true container exec "$group" true
	pid=$(pid)
	mv tree elsewhere
	run -125 --separate-stderr -- container save "$group" more.img
	same "container: $group runs, process $pid, and its root, $PWD/tree, has been removed
container: hint: what is left in it comes out with container exec $group tar" "$stderr"
}

@test "save: interrupted or killed, it leaves a container that goes on, and no half copy where it could clean up" {
	detach --no-net img -- /bin/sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/count; mv /count /counted; done'
	until_true container exec "$group" test -e /counted
	old=$PATH
	slow_cp
	for signal in TERM KILL; do
		rm -f copying
		start "$top/scripts/container" save "$group" copy.img
		until_true exists copying
		is_frozen
		kill "-$signal" "$started"
		finish
		until_true is_thawed
		[ "$signal" != TERM ] || [ -z "$(find . -name '.copy*')" ] || fail "$(ls -A)"
	done
	PATH=$old
	pkill -x -f 'sleep 1000' || :
	reached=$(container exec "$group" cat /counted)
	until_true goes_on
	container save "$group" copy.img
	run -0 e2fsck -fn copy.img
	container stop "$group"
	nothing_of_it
}

@test "save: a signal when the half copy has just been made leaves nothing of it" {
	mkdir fakes
	printf '#!/bin/sh\n%s "$@" || exit\nkill -TERM "$PPID"\n' "$(command -v mktemp)" >fakes/mktemp
	chmod 755 fakes/mktemp
	run -143 env PATH="$PWD/fakes:$PATH" "$top/scripts/container" save img copy.img
	rm -r fakes
	[ -z "$(find . -name '.*copy*')" ] || fail "$(ls -A)"
	container save img copy.img
	cmp img copy.img
}

@test "save: what has no image, is not there, or is the image itself is refused, each by name" {
	cure='container: hint: name a FILE in a directory that is there and can be written'
	run -125 --separate-stderr -- container save nowhere copy.img
	[[ $stderr == 'container: nowhere: no container that runs, and no image'* ]] || fail "$stderr"
	run -125 --separate-stderr -- container save --force img img
	[[ $stderr == 'container: img is the image itself'* ]] || fail "$stderr"
	run -125 --separate-stderr -- container save img nowhere/copy.img
	same $'container: nowhere/copy.img cannot be made: No such file or directory\n'"$cure" "$stderr"
	mkdir full
	mount -t tmpfs -o ro full full
	run -125 --separate-stderr -- container save img full/copy.img
	umount full
	same $'container: full/copy.img cannot be made: Read-only file system\n'"$cure" "$stderr"
	container save img full/copy.img
	detach --no-net --host-uids "$BATS_FILE_TMPDIR/root" -- /bin/sh -c "$STAY"
	run -125 --separate-stderr -- container save "$group" copy.img
	[[ $stderr == *'which is not an image'*'mkimg --from'* ]] || fail "$stderr"
	container stop "$group"
	# Something else of ours uses it, and it is no container.
	start nsexec --pid -- pivot img /bin/sleep 1000
	until_true has_child "$started"
	until_true is_locked
	run -125 --separate-stderr -- container save img copy.img
	[[ $stderr == 'container: img is in use'* ]] || fail "$stderr"
	kill "$started"
	finish
}

is_locked() {
	! flock --exclusive --nonblock img true
}
