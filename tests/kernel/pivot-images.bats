#!/usr/bin/env bats
# pivot on the kernel it is for: images, and what is mounted beside the root, each with its negative twin.
# Run by: tests/run kernel pivot-images

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and pivot.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash
load pivot.bash

# ---- images (I)

BUSY_WHY=$LOOP_WHY

@test "I4: a second writer is refused and is told the loop device; a reader as well; readers share" {
	own_image
	start_inside pivot img
	loop=$(loops_on "$PWD" | cut -d' ' -f1)
	busy="it is attached as /dev/$loop: two writers would destroy it; wait for the other to end, or use --read-only in both"
	fails_with 125 "$(said 'flock("img", LOCK_EX|LOCK_NB): Resource temporarily unavailable (EAGAIN)' "$BUSY_WHY" "$busy")" pivot img true
	fails_with 125 "$(said 'flock("img", LOCK_SH|LOCK_NB): Resource temporarily unavailable (EAGAIN)' "$BUSY_WHY" "$busy")" pivot --read-only img true
	end_inside
	until_true no_loop
	start_inside pivot --read-only img
	prints '' pivot --read-only img true
	fails_with 125 "$(said 'flock("img", LOCK_EX|LOCK_NB): Resource temporarily unavailable (EAGAIN)' "$BUSY_WHY" \
		"it is attached as /dev/$(loops_on "$PWD" | cut -d' ' -f1 | head -n 1): two writers would destroy it; wait for the other to end, or use --read-only in both")" pivot img true
	end_inside
	until_true no_loop
	prints '' pivot img true
}

@test "an image is free when its container has ended, though others look just then which file the loop device shows" {
	own_image
	# As every start of a container does with every loop device; only so that it is hit more often, and of this test's devices
	# alone: the tests beside it have some as well.
	start perl -e 'for (;;) { for (glob "/sys/block/loop*/loop/backing_file") {
		open FILE, "<", $_ and index(<FILE>, "$ARGV[0]/") == 0 or next;
		m|(loop\d+)|; open DEVICE, "<", "/dev/$1" and select(undef, undef, undef, 0.03) } }' "$PWD"
	looker=$started
	for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		run -0 --separate-stderr pivot img true || { kill "$looker"; finish "$looker"; fail "round $round: $stderr"; return; }
	done
	kill "$looker"
	finish "$looker"
	until_true no_loop
}

@test "I4: those who attached it without a lock, and those who hold a lock alone, count as well" {
	own_image
	attach "$PWD/img"
	mkdir mnt
	mount "$device" mnt
	ln img another-name
	run -125 pivot another-name true
	[[ $output == *"it is attached as $device, mounted on $PWD/mnt: two writers"* ]] || fail "$output"
	run pivot img true
	umount mnt
	losetup --detach "$device"
	same "$(said 'flock("img", LOCK_EX|LOCK_NB): Resource temporarily unavailable (EAGAIN)' "$BUSY_WHY" \
		"it is attached as $device, mounted on $PWD/mnt: two writers would destroy it; wait for the other to end, or use --read-only in both")" "$output"
	until_true no_loop
	fails_with 125 "$(said 'flock("img", LOCK_EX|LOCK_NB): Resource temporarily unavailable (EAGAIN)' "$BUSY_WHY" \
		'another process holds its lock: two writers would destroy it; wait for the other to end')" flock img pivot img true
	prints '' flock --shared img pivot --read-only img true
}

@test "I4: readers share also while loop devices of others come and go" {
	own_image
	# Where two looks at a device are taken for one, a few of so many starts find a writer that is none.
	truncate -s 1M other-1 other-2 other-3
	others=() readers=()
	for number in 1 2 3; do
		start sh -c 'while [ ! -e enough ]; do device=$(losetup --find --show "$0") && losetup --detach "$device"; done 2>/dev/null' "other-$number"
		others+=("$started")
	done
	for number in $(seq 8); do
		start sh -c 'for _ in $(seq 60); do pivot --read-only img true || exit; done'
		readers+=("$started")
	done
	refused=0
	for number in "${readers[@]}"; do finish "$number"; [ "$status" = 0 ] || refused=$((refused + 1)); done
	touch enough
	for number in "${others[@]}"; do finish "$number"; done
	[ "$refused" = 0 ]
}

@test "I5: ROOT is missing, a pipe, a device, empty, text, cut off" {
	look='look at what shall become the root'
	hint='ROOT is a directory, or holds one of ext4, xfs, btrfs, squashfs, erofs: mkimg --from DIR IMG makes an image'
	fails_with 125 "$(said 'stat("none"): No such file or directory (ENOENT)' "$look" \
		'ROOT is a directory, an image or a block device: mkimg --from DIR IMG makes an image')" pivot none true
	mkfifo pipe
	for file in pipe /dev/zero /dev/tty; do
		fails_with 125 "$(said "\"$file\": neither a directory, nor a file, nor a block device" "$look" "$hint")" pivot "$file" true
	done
	: >empty
	fails_with 125 "$(said '"empty": the file is empty' "$look" "$hint")" pivot empty true
	seq 9999 >text
	fails_with 125 "$(said '"text": no file system in it' "$look" "$hint")" pivot text true
	chmod 600 text
	fails_with 125 "$(said 'open("text"): Permission denied (EACCES)' "$look" 'it must be readable: run it as root')" as_nobody_in pivot text true
	fails_with 125 'pivot: stat("/none"): No such file or directory (ENOENT)
pivot: while: look at what shall be mounted
pivot: hint: the source is a path of the host: mkimg --size 64M IMG makes an empty image' pivot --bind /none:/mnt "$root" true
	fails_with 125 "$(said "\"$PWD/text\": no file system in it" 'look at what shall be mounted' \
		'--image takes one of ext4, xfs, btrfs, squashfs, erofs: mkimg --from DIR IMG makes an image')" pivot --image text:/mnt "$root" true
}

@test "an image that is damaged, or was not unmounted cleanly" {
	truncate --size 1M damaged
	printf '\x53\xef' | dd of=damaged bs=1 seek=1080 conv=notrunc status=none
	run --separate-stderr pivot damaged true
	[ "$status" = 125 ]
	[[ ${stderr_lines[0]} =~ ^'pivot: fsconfig("ext4" on "/dev/loop'[0-9]+'", FSCONFIG_CMD_CREATE): '.*'(E' ]] || fail "$stderr"
	same "pivot: while: $MOUNT_WHY
pivot: hint: the file system is damaged: e2fsck -f damaged repairs an ext4" "$(tail -n 2 <<<"$stderr")"
	until_true no_loop
	own_image
	mkdir mnt
	with_mounts 'mount -o loop img mnt; touch mnt/file; sync --file-system mnt; cp --sparse=always img dirty'
	run --separate-stderr pivot --read-only dirty true
	[ "$status" = 125 ]
	same "pivot: while: $MOUNT_WHY
pivot: hint: it was not unmounted cleanly and cannot be repaired read-only: mount it writable once" "$(tail -n 2 <<<"$stderr")"
	prints '' pivot dirty true
	until_true no_loop
	prints '' pivot --read-only dirty true
}

@test "an image that may not be written, or lies where nothing can be" {
	own_image
	chown 65534 img
	chmod 444 img
	fails_with 125 "$(said 'open("img", O_RDWR): Permission denied (EACCES)' "$LOOP_WHY" 'the image may not be written: --read-only needs no right to')" \
		without dac_override pivot --cap-drop DAC_OVERRIDE img true
	prints '' without dac_override pivot --read-only --cap-drop DAC_OVERRIDE img true
	fails_with 125 "$(said "open(\"$PWD/ro/img\", O_RDWR): Read-only file system (EROFS)" "$LOOP_WHY" 'the image lies on a read-only file system: --read-only')" \
		unshare --mount --propagation private sh -c 'mkdir ro; mount --bind . ro; mount -o remount,bind,ro ro; exec pivot "$PWD/ro/img" true'
}

@test "no loop-control, no loop node" {
	hide='mkdir -p dev; mount -t tmpfs none dev; for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done'
	fails_with 125 "$(said 'open("/dev/loop-control", O_RDWR): No such file or directory (ENOENT)' "$LOOP_WHY" \
		'there is no /dev/loop-control: modprobe loop, then mknod /dev/loop-control c 10 237 where /dev is not devtmpfs')" \
		unshare --mount --propagation private sh -c "$hide; mount --move dev /dev; exec pivot '$BATS_FILE_TMPDIR/img' true"
	run unshare --mount --propagation private sh -c "$hide; mknod dev/loop-control c 10 237; mount --move dev /dev; exec pivot '$BATS_FILE_TMPDIR/img' true"
	[ "$status" = 125 ]
	[[ ${lines[0]} =~ ^'pivot: open("/dev/loop'[0-9]+'", O_RDWR): No such file or directory (ENOENT)'$ ]] || fail "$output"
	[ "${lines[2]}" = 'pivot: hint: the kernel has a free loop device and /dev has no node for it: mknod /dev/loopN b 7 N' ]
}

@test "a block device is a root; mounted elsewhere with other options it is not" {
	own_image
	attach "$PWD/img"
	prints kept pivot "$device" sh -c 'echo kept >/note; cat /note'
	prints kept pivot --read-only "$device" cat /note
	mkdir mnt
	mount "$device" mnt
	run pivot --read-only "$device" true
	umount mnt
	losetup --detach "$device"
	[ "$status" = 125 ]
	[[ ${lines[0]} == "pivot: fsconfig(\"ext4\" on \"$device\", FSCONFIG_CMD_CREATE): Device or resource busy (EBUSY)"* ]] || fail "$output"
	[ "${lines[2]}" = 'pivot: hint: it is mounted elsewhere with other options: unmount it there, or use the same' ]
}

@test "what is written in an image stays in it and is there at the next start; --read-only writes nothing, not even a time" {
	own_image
	prints '' pivot img touch /new
	prints /new pivot img ls /new
	[ ! -e /new ]
	sum=$(sha256sum img)
	fails_with 1 'touch: /other: Read-only file system' pivot --read-only img touch /other
	prints /new pivot --read-only img ls /new
	same "$sum" "$(sha256sum img)"
	own_image
	fails_with 1 'ls: /new: No such file or directory' pivot img ls /new
}

@test "I2: a running container keeps the image it was started from, whatever takes its name" {
	own_image
	start_inside pivot img
	small_root other
	make_image other img.new
	mv img.new img
	[ -e "/proc/$inside/root/bin/perl" ]
	# The name is another file now: not in use.
	prints '' pivot img true
	end_inside
}

# ---- where things go: --bind, --image, --tmpfs

@test "--bind: a directory, a file, read-only, and what it is not" {
	mkdir -p source/dir
	echo text >source/file
	prints $'text\ntext' pivot --bind "$PWD/source:/mnt" --bind "$PWD/source/file:/new/place" "$root" cat /mnt/file /new/place
	pivot --bind "$PWD/source:/mnt" "$root" touch /mnt/dir/made
	[ -e source/dir/made ]
	fails_with 1 'touch: /mnt/dir/no: Read-only file system' pivot --bind "$PWD/source:/mnt:ro" "$root" touch /mnt/dir/no
	cp "$root/bin/busybox" source/true
	prints '' pivot --bind "$PWD/source:/mnt" "$root" /mnt/true
	fails_with 126 "$(said 'execve("/mnt/true"): Permission denied (EACCES)' "$EXEC_WHY" 'it lies on a file system that is mounted noexec')" pivot --bind "$PWD/source:/mnt:noexec" "$root" /mnt/true
	run pivot --bind "$PWD/source:/etc/passwd" "$root" true
	[ "$status" = 125 ]
	[[ $output == *'"/etc/passwd" of the new root is not a directory'* ]]
	mkfifo source/pipe
	prints 'fifo' pivot --bind "$PWD/source/pipe:/tmp/pipe" "$root" stat -c %F /tmp/pipe
}

@test "--bind: what it brings can raise nobody and is no device" {
	mkdir source
	mknod source/zero c 1 5
	fails_with 1 "cat: can't open '/mnt/zero': Permission denied" pivot --bind "$PWD/source:/mnt" "$root" cat /mnt/zero
	prints 1 sh -c 'head -c 1 source/zero | wc -c'
}

@test "--bind: a thing that cannot be copied into another mount namespace" {
	fails_with 125 "$(said 'open_tree(AT_FDCWD, "/proc/self/fd/0", OPEN_TREE_CLONE|AT_RECURSIVE): Invalid argument (EINVAL)' "$TREE_WHY" \
		'"/proc/self/fd/0" lies on a mount that may not be copied into another namespace')" \
		sh -c 'echo | pivot --bind /proc/self/fd/0:/tmp/x "$1" true' - "$root"
}

@test "--bind over /proc, /dev and /sys: after ours, by the user's own word" {
	mkdir source
	echo mine >source/file
	prints mine contain --bind "$PWD/source:/dev/shm" "$root" cat /dev/shm/file
	prints mine contain --bind "$PWD/source/file:/proc/version" "$root" cat /proc/version
}

@test "--image: the lecture's five steps with a relative name" {
	truncate --size 16M home.img
	mke2fs -q -t ext4 home.img
	prints '' pivot --image home.img:/home "$root" touch /home/created
	[ ! -e "$root/home/created" ]
	[ ! -e /home/created ]
	prints /home/created pivot --image ./home.img:/home:ro "$root" ls /home/created
	fails_with 1 'touch: /home/no: Read-only file system' pivot --image "$PWD/home.img:/home:ro" "$root" touch /home/no
	fails_with 125 "pivot: --image \"$root:/home\": a directory: --bind shows one
pivot: hint: write --image SOURCE:DST[:OPTION,…], DST from the new root's /" pivot --image "$root:/home" "$root" true
	until_true no_loop
}

@test "--image: two at once, and the same one twice is a second writer" {
	truncate --size 16M a.img b.img
	mke2fs -q -t ext4 a.img
	mke2fs -q -t ext4 b.img
	prints $'/opt\n/srv' pivot --image a.img:/opt --image b.img:/srv "$root" sh -c 'grep -o " /opt \| /srv " /proc/mounts | tr -d " "'
	run pivot --image a.img:/opt --image a.img:/srv "$root" true
	[ "$status" = 125 ]
	[[ $output == *'it is attached as /dev/loop'* ]]
	until_true no_loop
}

@test "--tmpfs: empty, of a size, writable, gone with the container" {
	prints $'/tmp rw,nosuid,nodev,relatime,size=1024k,mode=700\n0' pivot --tmpfs /tmp:size=1M,mode=700 "$root" sh -c 'sed -n "s/^tmpfs \(\/tmp\) tmpfs \([^ ]*\) .*/\1 \2/p" /proc/mounts | sed s/,inode64//; ls -A /tmp | wc -l'
	run pivot --tmpfs /tmp:size=64k "$root" sh -c 'head -c 100000 /dev/zero >/tmp/large'
	[ "$status" != 0 ]
	prints '' pivot --tmpfs /tmp:size=1M "$root" sh -c 'head -c 100000 /dev/zero >/tmp/large'
	[ ! -e "$root/tmp/large" ]
	fails_with 1 'touch: /tmp/x: Read-only file system' pivot --tmpfs /tmp:ro "$root" touch /tmp/x
	run pivot --tmpfs /tmp:size=many "$root" true
	[ "$status" = 125 ] && [[ $output == *'fsconfig("tmpfs", size="many"): Invalid argument (EINVAL)'* ]]
}

@test "parents are mounted before what lies below them, whatever the order on the line" {
	mkdir source
	touch source/inner
	prints $'a\ninner' pivot --bind "$PWD/source:/mnt/a" --tmpfs /mnt "$root" ls /mnt /mnt/a || prints $'/mnt:\na\n\n/mnt/a:\ninner' pivot --bind "$PWD/source:/mnt/a" --tmpfs /mnt "$root" ls /mnt /mnt/a
	[ -z "$(ls "$root/mnt")" ]
}

@test "--dns ADDR shows those servers, --dns none and nothing said the root's own; the root's own stays as it is" {
	small_root tree
	echo 'nameserver 10.9.9.9' >tree/etc/resolv.conf
	prints $'nameserver 10.0.0.1\nnameserver fd00::1' pivot --dns 10.0.0.1 --dns fd00::1 tree cat /etc/resolv.conf
	prints 'nameserver 10.9.9.9' pivot --dns none tree cat /etc/resolv.conf
	prints 'nameserver 10.9.9.9' pivot tree cat /etc/resolv.conf
	same 'nameserver 10.9.9.9' "$(cat tree/etc/resolv.conf)"
	# Read-only as well, and over what a bind shows.
	mkdir etc
	touch etc/resolv.conf
	prints 'nameserver 10.0.0.1' pivot --read-only --dns 10.0.0.1 --bind "$PWD/etc:/etc" tree cat /etc/resolv.conf
	[ ! -s etc/resolv.conf ]
	# It is one mount, of that file and no other.
	prints '/resolv.conf /etc/resolv.conf' pivot --dns 10.0.0.1 tree sh -c 'grep resolv /proc/self/mountinfo | cut -d" " -f4-5'
	fails_with 125 $'pivot: --dns "example.org": not an address\npivot: hint: give auto, none, or the address of a name server, more than once for several' pivot --dns example.org tree true
}

@test "--dns auto: the host's servers; behind systemd's own those it asks; in a network of its own none that is the host's loopback" {
	small_root tree
	mkdir -p resolve
	dns() {
		with_mounts 'mount --bind "$1" /etc/resolv.conf; mkdir -p /run/systemd/resolve; mount --bind resolve /run/systemd/resolve; shift; "$@" cat /etc/resolv.conf' "$@"
	}
	printf '%s\n' '# comment' 'nameserver 127.0.0.53' 'nameserver 10.0.0.2' 'search example' >mixed
	prints $'nameserver 10.0.0.2\nsearch example' dns mixed nsexec --net -- pivot --dns auto tree
	printf '%s\n' 'nameserver 127.0.0.53' >stub
	echo 'nameserver 10.0.0.3' >resolve/resolv.conf
	prints 'nameserver 10.0.0.3' dns stub nsexec --net -- pivot --dns auto tree
	prints 'nameserver 127.0.0.53' dns stub pivot --privileged --dns auto tree
	rm resolve/resolv.conf
	prints "# no server of the host's /etc/resolv.conf answers in this network" dns stub nsexec --net -- pivot --dns auto tree
}

@test "--dns where /etc/resolv.conf is a link: followed inside the root, whatever it names outside" {
	small_root tree
	make_victim
	mkdir tree/run
	ln -s ../run/systemd/resolve/stub-resolv.conf tree/etc/resolv.conf
	prints 'nameserver 10.0.0.1' pivot --dns 10.0.0.1 tree cat /etc/resolv.conf
	ln -sf "$PWD/victim/canary" tree/etc/resolv.conf
	prints 'nameserver 10.0.0.1' pivot --dns 10.0.0.1 tree cat /etc/resolv.conf
	ln -sf /etc/resolv.conf tree/etc/resolv.conf
	run -125 pivot --dns 10.0.0.1 tree true
	[[ $output == *'"/etc/resolv.conf" of the new root is a symbolic link'* ]] || fail "$output"
	unharmed
}

@test "--dns with --userns: root inside may write it, and that is gone with the container" {
	own_image
	prints $'nameserver 10.0.0.1\nmore' contain --userns auto --dns 10.0.0.1 img sh -c 'echo more >>/etc/resolv.conf; cat /etc/resolv.conf'
	prints 'nameserver 10.0.0.1' contain --userns auto --dns 10.0.0.1 img cat /etc/resolv.conf
	until_true no_loop
}

@test "a read-only root that lacks the mount points, and one that has them" {
	small_root tree
	rmdir tree/proc
	fails_with 125 "$(said 'mkdirat("proc" below the new root): Read-only file system (EROFS)' "$PLACE_WHY" \
		'"/proc" is missing and the root is read-only: make the directory in it first')" pivot --read-only tree true
	prints '' pivot tree true
	[ -d tree/proc ]
	prints '' pivot --read-only tree true
	rmdir tree/dev
	touch tree/dev
	fails_with 125 "$(said 'openat2("dev" below the new root): Not a directory (ENOTDIR)' "$DEV_WHY" '"/dev" of the new root is not a directory')" pivot tree true
}
