#!/usr/bin/env bats
# mkimg on the kernel it is for: attached images, and what is left however it ends. Run by: tests/run kernel mkimg-attach

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and mkimg.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2094,SC2103,SC2143,SC2154,SC2164
load lib.bash
load mkimg.bash

# ---- attached images

@test "--attach prints the device it leaves, --detach takes it away and sees that it is gone" {
	mkimg --size 4M img
	device=$(mkimg --attach img)
	[ -b "$device" ]
	[ "$(loops_on "$PWD")" = "${device#/dev/} $PWD/img" ]
	mount "$device" seen
	echo kept >seen/file
	umount seen
	mkimg --detach img
	[ -z "$(loops_on "$PWD")" ]
	device=$(mkimg --attach img)
	[ "$(mount -o ro "$device" seen && cat seen/file && umount seen)" = kept ]
	mkimg --detach "$device"
	[ -z "$(loops_on "$PWD")" ]
	refuses 'mkimg: "img": no loop device shows it
mkimg: hint: mkimg --list shows those in use' --detach img
	device=$(mkimg --attach --size 4M new)
	[ "$(loops_on "$PWD")" = "${device#/dev/} $PWD/new" ]
	mkimg --detach new
	fails_saying 'No such file or directory (ENOENT)' --attach absent
	fails_saying 'hint: --size makes one, and --from fills it' --attach absent
	: >empty
	refuses 'mkimg: "empty": the file is empty
mkimg: while: one user at a time: two would ruin the file system, so the loop device keeps a lock on the image
mkimg: hint: --size 64M --force makes a file system of it' --attach empty
	[ -z "$(loops_on "$PWD")" ]
}

@test "a size that is too small for any file system is said to be in bytes" {
	fails_saying 'hint: too small for an ext4: a plain number counts bytes, 64M is 64 MiB' --size 10 no
	[ ! -e no ] && [ -z "$(loops_on "$PWD")" ]
}

@test "a second writer is refused, and told who is the first" {
	mkimg --size 4M img
	ln img other-name
	device=$(mkimg --attach img)
	for name in img other-name; do
		refuses "mkimg: \"$name\": $device shows it already
mkimg: hint: mkimg --detach $device takes it away" --attach $name
		refuses "mkimg: \"$name\": $device shows it already
mkimg: hint: mkimg --detach $device takes it away" --force --size 4M $name
	done
	run ! flock -n img true
	mkimg --detach img
	flock -n img true
	# losetup takes no lock, and is seen all the same.
	device=$(losetup --find --show img)
	fails_saying "$device shows it already" --attach img
	losetup -d "$device"
	start flock img sleeper 1000
	until_true has_child "$started"
	refuses "mkimg: flock(\"img\", LOCK_EX|LOCK_NB): Resource temporarily unavailable (EAGAIN)
mkimg: while: one user at a time: two would ruin the file system, so the loop device keeps a lock on the image
mkimg: hint: process $started (flock) holds it" --attach img
	kill -9 "$(child "$started")" "$started"
	finish
	until_true flock -n img true
	mkimg --attach img
	mkimg --detach img
}

@test "a device in use stays as it is, and its user is named" {
	mkimg --size 4M img
	device=$(mkimg --attach img)
	busy="mkimg: ioctl(\"$device\", LOOP_CLR_FD): in use:"
	why='mkimg: while: take the loop device away once nobody uses it, and see that it is gone'
	mount "$device" seen
	refuses "$busy mounted on $PWD/seen
$why" --detach img
	for words in '--attach img' '--force --size 4M img'; do
		refuses "mkimg: \"img\": $device shows it already
mkimg: hint: mkimg --detach $device takes it away once nobody uses it; now it is mounted on $PWD/seen" $words
	done
	umount seen
	# shellcheck disable=SC2016
	start unshare --mount sh -c 'mount "$0" seen && exec sleeper 1000' "$device"
	until_true runs_program "$started" sleeper
	refuses "$busy mounted on $PWD/seen of process $started (sleeper)
$why" --detach "$device"
	kill -9 "$started"
	finish
	# shellcheck disable=SC2016
	start sh -c 'exec sleeper 1000 <"$0"' "$device"
	until_true runs_program "$started" sleeper
	refuses "$busy open in process $started (sleeper)
$why" --detach img
	[ "$(cat "/sys/block/${device#/dev/}/loop/autoclear")" = 0 ]
	kill -9 "$started"
	finish
	mkimg --detach img
	[ -z "$(loops_on "$PWD")" ]
}

@test "--detach waits for who lets go soon" {
	mkimg --size 4M img
	device=$(mkimg --attach img)
	# shellcheck disable=SC2016
	start sh -c 'exec sleeper 0.5 <"$0"' "$device"
	until_true runs_program "$started" sleeper
	mkimg --detach img
	[ -z "$(loops_on "$PWD")" ]
	finish
}

@test "--list shows every device, as a table and as JSON whose keys stay" {
	mkimg --size 4M 'a b"c'
	device=$(mkimg --attach 'a b"c')
	mount "$device" seen
	mkimg --list | grep -Eq "^$device +4M +no +no +(yes|no) +$PWD/a b\"c$" || fail "$(mkimg --list)"
	mkimg --list --json >json
	grep -Fq "{\"device\": \"$device\", \"backing_file\": \"$PWD/a b\\\"c\", \"size\": 4194304, \"read_only\": false, \"autoclear\": false, \"direct_io\": " json || fail "$(cat json)"
	grep -Fq "\"mounts\": [\"$PWD/seen\"]}" json
	umount seen
	mkimg --detach "$device"
	run ! sh -c 'mkimg --list --json | grep -Fq "$PWD/"'
	mkimg --list | head -n 1 | grep -Eq '^DEVICE +SIZE +READ-ONLY +AUTOCLEAR +DIRECT-IO +FILE$'
}

@test "a device whose name could not be written is taken away again" {
	mkimg --size 4M img
	for options in '' '--force --size 4M'; do
		run -125 --separate-stderr -- sh -c 'mkimg --attach "$@" >/dev/full' sh $options img
		same 'mkimg: write(1): No space left on device (ENOSPC)
mkimg: while: say which device it is' "$stderr"
		[ -z "$(loops_on "$PWD")" ] || fail "$(loops_on "$PWD")"
		flock -n img true
	done
	# Nobody reads it, and SIGPIPE is ignored.
	mkfifo pipe
	exec 7<>pipe 8>pipe 7>&-
	run -125 --separate-stderr -- sh -c 'trap "" PIPE; exec mkimg --attach img >&8' sh
	exec 8>&-
	[[ $stderr == 'mkimg: write(1): Broken pipe (EPIPE)'* ]] || fail "$stderr"
	[ -z "$(loops_on "$PWD")" ] || fail "$(loops_on "$PWD")"
	# Where it is read the device stays.
	device=$(mkimg --attach img)
	[ "$(loops_on "$PWD")" = "${device#/dev/} $PWD/img" ]
	mkimg --detach img
}

# ---- the end of it, however it comes

@test "kill -9 at any moment leaves no file, device, mount or process, and the name whole or absent" {
	make_tree
	head -c 20M /dev/urandom >tree/more
	mkdir out
	for ((round = 1; round <= ROUNDS * 4; round++)); do
		start mkimg --from tree out/img
		sleep "0.0$((RANDOM % 100 + 10))"
		kill -9 "$started" 2>/dev/null || :
		finish 2>/dev/null
		until_true gone_all "$PWD/out" || fail "round $round: $(loops_on "$PWD/out") $(pgrep -l mkfs)"
		if [ -e out/img ]; then
			sound out/img
			rm out/img
		fi
		[ -z "$(ls -A out)" ] || fail "round $round: $(ls -A out)"
	done
	mkimg --from tree out/img
	[ -e out/img ]
}

@test "kill -9 while --force replaces a file leaves the old one or the new one" {
	mkdir tree out
	head -c 3M /dev/urandom >tree/file
	mkimg --label old --size 16M out/img
	for ((round = 1; round <= ROUNDS * 2; round++)); do
		start mkimg --force --label new --from tree out/img
		sleep "0.0$((RANDOM % 60 + 10))"
		kill -9 "$started" 2>/dev/null || :
		finish 2>/dev/null
		until_true gone_all "$PWD/out"
		sound out/img
		# Killed between two calls it leaves one name more, and the next round removes it.
		[[ "$(LC_ALL=C ls -A out)" =~ ^(\.img\.mkimg-[0-9]+$'\n')?img$ ]] || fail "$(ls -A out)"
	done
	mkimg --force --from tree out/img
	[ "$(ls -A out)" = img ] || fail "$(ls -A out)"
}

@test "a name that kill -9 left is removed by the next mkimg on that image" {
	mkdir out
	cd out
	mkimg --label old --size 4M img
	# Killed when the new image has its other name, and not yet its own; with O_TMPFILE and without.
	killed='strace -qq -o /dev/null -e trace=openat,/^rename -e inject=/^rename:signal=KILL -P . -P img'
	for way in "$killed" "$killed -e inject=openat:error=EOPNOTSUPP:when=1"; do
		run $way mkimg --force --label new --size 4M img
		[ "$status" = 137 ] || fail "$status"
		until_true gone_all "$PWD"
		[[ "$(left_names)" =~ ^\./\.img\.mkimg-[0-9]+$ ]] || fail "$(ls -A)"
		[ "$(e2label img)" = old ]
		# Another image's mkimg leaves it alone, and so does one that is refused.
		mkimg --force --size 4M other
		run -125 -- mkimg --size 4M img
		[ -n "$(left_names)" ]
		mv img ../kept
		mkimg --explain --label new --size 4M img 2>../told
		grep -q 'unlink("./.img.mkimg-[0-9]*") = 0' ../told || fail "$(cat ../told)"
		[ "$(echo $(ls -A))" = 'img other' ] || fail "$(ls -A)"
		mkimg --explain --force --size 4M img 2>../told
		run ! grep -q unlink ../told
		mv ../kept img
	done
	cd ..
}

@test "what a living mkimg works on is never removed, nor what no mkimg has left" {
	mkdir out
	cd out
	mkfifo ../pipe
	# It has a name from the start where O_TMPFILE is not known, and a number that is another's here: of its PID namespace.
	without='strace -f -qq -o /dev/null -e trace=openat -e inject=openat:error=EOPNOTSUPP:when=1 -P .'
	start $without nsexec --pid -- mkimg --force --label first --size 4M --from ../pipe img
	exec {hold}>../pipe
	until_true grep -qs "^$PWD/" /sys/block/loop*/loop/backing_file
	living=$(left_names)
	[ -n "$living" ]
	mkimg --label second --size 4M img
	[ "$(left_names)" = "$living" ]
	[ "$(e2label img)" = second ]
	tar -cf - -T /dev/null >&"$hold"
	exec {hold}>&-
	finish
	[ "$status" = 0 ] || fail "$status"
	[ "$(ls -A)" = img ]
	[ "$(e2label img)" = first ]

	# And before it has its lock, here a second late: it is taken for abandoned, and makes the file anew.
	start $without -P "$PWD/${living#./}" -e trace=openat,flock -e inject=flock:delay_enter=1000000:when=1 \
		nsexec --pid -- mkimg --force --size 4M img
	until_true has_left_name
	mkimg --force --size 4M img
	finish
	[ "$status" = 0 ] || fail "$status"
	[ "$(ls -A)" = img ]

	# With O_TMPFILE it has that name between two calls only: here for long.
	start strace -qq -o /dev/null -e trace=/^rename -e inject=/^rename:delay_enter=100000000 mkimg --force --size 4M img
	until_true has_left_name
	living=$(left_names)
	mkimg --force --size 4M img
	[ "$(left_names)" = "$living" ]
	kill -9 "$(pgrep -x mkimg)" "$started"
	finish
	until_true gone_all "$PWD"
	mkimg --force --size 4M img
	[ "$(ls -A)" = img ]

	touch .img.mkimg-1 .img.mkimg-2 .img.mkimg-3 twin
	start flock .img.mkimg-1 sleeper 1000
	until_true has_child "$started"
	chown nobody .img.mkimg-2
	ln twin .img.mkimg-4
	ln -s twin .img.mkimg-5
	mkfifo .img.mkimg-6
	mkdir .img.mkimg-7
	before=$(ls -A)
	mkimg --force --size 4M img
	same "$(grep -vx .img.mkimg-3 <<<"$before")" "$(ls -A)"
	kill -9 "$(child "$started")" "$started"
	finish
	until_true flock -n .img.mkimg-1 true
	mkimg --force --size 4M img
	same "$(grep -vx '.img.mkimg-[13]' <<<"$before")" "$(ls -A)"
	cd ..
}

@test "a signal ends it with 128 and its number, and leaves nothing" {
	mkfifo pipe
	mkdir out
	for signal in INT TERM HUP; do
		start mkimg --size 8M --from pipe out/img
		exec {hold}>pipe
		until_true shows_a_file
		kill "-$signal" "$started"
		finish
		exec {hold}>&-
		[ "$status" = $((128 + $(kill -l $signal))) ]
		until_true gone_all "$PWD/out"
		[ -z "$(ls -A out)" ]
	done
}

shows_a_file() {
	grep -qs "^$PWD/out/" /sys/block/loop*/loop/backing_file
}

@test "the host sees no mount while an image is filled" {
	mkfifo pipe
	start mkimg --size 8M --from pipe img
	exec {hold}>pipe
	until_true grep -qs "^$PWD/#" /sys/block/loop*/loop/backing_file
	sleep 0.3
	device=$(grep -ls "^$PWD/#" /sys/block/loop*/loop/backing_file | sed 's|/sys/block/\([^/]*\)/.*|\1|')
	run ! grep -q "/dev/$device" /proc/self/mountinfo "/proc/$started/mountinfo"
	tar -cf - seen >&"$hold"
	exec {hold}>&-
	finish
	[ "$status" = 0 ]
	mount -o loop,ro img seen
	grep -q "$PWD/seen" /proc/self/mountinfo
	umount seen
}
