#!/usr/bin/env bats
# pivot on the kernel it is for: --userns, each with its negative twin.
# Run by: tests/run kernel pivot-userns

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and pivot.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash
load pivot.bash

@test "--userns: root inside is nobody outside, and the range is the one asked for" {
	own_image
	start_inside nsexec --pid --net --ipc -- pivot --userns 200000:1000 img
	[ "$(status_of "$inside" Uid)" = "200000 200000 200000 200000" ]
	[ "$(status_of "$inside" Gid)" = "200000 200000 200000 200000" ]
	[ "$(status_of "$inside" Groups)" = "" ]
	[ "$(echo $(cat "/proc/$inside/uid_map"))" = "0 200000 1000" ]
	[ "$(echo $(cat "/proc/$inside/gid_map"))" = "0 200000 1000" ]
	[ "$(readlink "/proc/$inside/ns/user")" != "$(readlink /proc/self/ns/user)" ]
	[ "$(status_of "$inside" CapEff)" = 00000000000004fb ]
	end_inside
	start_inside nsexec --pid --net --ipc -- pivot img
	[ "$(status_of "$inside" Uid)" = "0 0 0 0" ]
	[ "$(readlink "/proc/$inside/ns/user")" = "$(readlink /proc/self/ns/user)" ]
	end_inside
}

@test "--userns auto: root's own range, else 100000:65536" {
	own_image
	range=$(sed -n 's/^root:\(.*\):\(.*\)$/\1 \2/p' /etc/subuid | head -n 1)
	[ "$(echo $(contain --userns auto img cat /proc/self/uid_map))" = "0 ${range:-100000 65536}" ]
	printf 'other:1:2\nroot:300000:4000\n' >subuid
	prints '0 300000 4000' with_mounts 'mount --bind subuid /etc/subuid; echo $(pivot --userns auto img cat /proc/self/uid_map)'
}

@test "--userns: owners on the disk keep their numbers, both ways" {
	own_image
	mkdir mnt
	with_mounts 'mount -o loop img mnt; touch mnt/owned; chown 1000:5 mnt/owned'
	until_true no_loop
	prints $'1000:5\n0:0\n1000:1000' contain --userns 200000:65536 img sh -c 'stat -c %u:%g /owned; touch /made; chown 1000:5 /made; chown 0:0 /made; stat -c %u:%g /made; touch /users; chown 1000:1000 /users; stat -c %u:%g /users'
	until_true no_loop
	prints $'0:0\n1000:1000' with_mounts 'mount -o loop,ro img mnt; stat -c %u:%g mnt/made mnt/users'
	until_true no_loop
	prints 1000:1000 contain --userns 200000:65536 --user user img sh -c 'touch /tmp/of-user; stat -c %u:%g /tmp/of-user'
}

@test "--userns: with all capabilities inside, nothing of the host's can be changed" {
	own_image
	for words in 'mount -t tmpfs x /mnt' 'umount /proc/sys' 'mount -o remount,bind,rw /sys' 'hostname other' 'ip link set lo down' 'ip address add 10.0.0.1/8 dev lo' 'echo 1 >/proc/sys/net/ipv4/ip_forward' 'mknod /tmp/n c 1 5' 'renice -n -5 1' 'dmesg'; do
		run nsexec --pid --net --ipc --uts -- pivot --userns auto --cap-add ALL img sh -c "$words"
		[ "$status" != 0 ] || fail "allowed: $words"
	done
	# Without the user namespace the same capabilities do reach what nsexec made.
	prints '' nsexec --pid --net --ipc --uts -- pivot --cap-add ALL img sh -c 'mount -t tmpfs x /mnt; hostname other; ip link set lo down'
	[ "$(hostname)" = world ]
}

@test "--userns: /dev, /dev/pts, /dev/shm and --tmpfs belong to the new root; devices work; nobody else's do" {
	own_image
	prints $'0:0 /dev\n0:0 /dev/shm\n0:0 /opt\n0:5 620\nok' contain --userns auto --tmpfs /opt img sh -c \
		'stat -c "%u:%g %n" /dev /dev/shm /opt; exec 5<>/dev/ptmx; stat -c "%u:%g %a" /dev/pts/0; echo x >/dev/null && head -c 1 /dev/zero >/dev/null && echo x >/dev/shm/x && echo x >/opt/x && echo ok'
}

@test "--userns: mount points that are missing are made, with owners of the image's own" {
	small_root tree
	rmdir tree/proc tree/dev tree/sys
	make_image tree small.img
	mkdir mnt
	prints '' contain --userns 200000:65536 --bind /usr:/a/b/c:noidmap --bind /etc/passwd:/f/file:noidmap small.img true
	until_true no_loop
	prints $'0:0 755 mnt/proc\n0:0 755 mnt/dev\n0:0 755 mnt/a/b/c\n0:0 644 mnt/f/file' with_mounts 'mount -o loop,ro small.img mnt; stat -c "%u:%g %a %n" mnt/proc mnt/dev mnt/a/b/c mnt/f/file'
}

@test "--userns: a bind is idmapped unless it says noidmap" {
	own_image
	truncate --size 16M data.img
	mke2fs -q -t ext4 data.img
	mkdir data
	attach "$PWD/data.img"
	mount "$device" data
	echo text >data/file
	chmod 600 data/file
	mapped=$(contain --userns auto --bind "$PWD/data:/mnt" img sh -c 'stat -c %u /mnt/file; cat /mnt/file' 2>&1 || :)
	unmapped=$(contain --userns auto --bind "$PWD/data:/mnt:noidmap" img sh -c 'stat -c %u /mnt/file; cat /mnt/file' 2>&1 || :)
	umount data
	losetup --detach "$device"
	same $'0\ntext' "$mapped"
	same $'65534\ncat: can'"'"'t open '"'"'/mnt/file'"'"': Permission denied' "$unmapped"
}

@test "--userns: a map with the host's root, too long, or none" {
	for map in 0:65536 0:1; do
		fails_with 125 "pivot: --userns $map: the map would hold the host's root
pivot: hint: begin above 0, as in --userns 100000:65536" pivot --userns="$map" "$root" true
	done
	for map in 1:0 4294967295:2 1 -1:5 1:2:3 Auto ''; do
		fails_with 125 "pivot: --userns $map: not a range of ids
pivot: hint: give auto, or the first id outside and how many: --userns 100000:65536" pivot --userns="$map" "$root" true
	done
}

@test "--userns: a root whose file system cannot map ids, and an id the map has not" {
	mkdir ram
	fails_with 125 "$(said 'mount_setattr({the mount}, AT_RECURSIVE, MOUNT_ATTR_IDMAP, {map "0 200000 10"}): Invalid argument (EINVAL)' \
		'files keep the owners they have on the disk, and those become ids of the new users' \
		'the file system of the root, or one mounted below it, cannot map ids: put the tree in an image, mkimg --from DIR IMG')" \
		unshare --mount --propagation private sh -c 'mount -t ramfs none ram; exec pivot --userns 200000:10 ram true'
	fails_with 125 "$(said 'setresgid(1000, 1000, 1000): Invalid argument (EINVAL)' 'be who was asked for' 'the user namespace maps no such id: see /proc/self/uid_map')" \
		pivot --userns 200000:10 --user 1000 "$BATS_FILE_TMPDIR/img" true
	prints 5 pivot --userns 200000:10 --user 5 "$BATS_FILE_TMPDIR/img" id -u
	until_true no_image_attached
}

@test "--userns and images inside a user namespace: the kernel's rule is said" {
	fails_with 125 "$(said 'write("/proc/CHILD/uid_map", "0 100000 65536"): Operation not permitted (EPERM)' \
		'users of its own, made now because mounts take their map: root in here is nobody outside' \
		'mapping a range of ids takes root outside of any user namespace: leave out --userns, the root of this one is nobody outside')" \
		as_nobody_in nsexec -r --pid --net --ipc -- pivot --userns 100000:65536 "$root" true
	hint='the kernel mounts images for root only, not for the root of a user namespace: run it as root, with pivot --userns auto, or give it a directory'
	run --separate-stderr as_nobody_in nsexec -r --pid --net --ipc -- pivot "$BATS_FILE_TMPDIR/img" true
	[ "$status" = 125 ]
	same "$(said 'open("/dev/loop-control", O_RDWR): Permission denied (EACCES)' "$LOOP_WHY" "$hint")" "$stderr"
	own_image
	attach "$PWD/img"
	chmod 666 "$device"
	run --separate-stderr nsexec -r --pid --net --ipc -- pivot "$device" true
	chmod 660 "$device"
	losetup --detach "$device"
	same "$(said "fsconfig(\"ext4\" on \"$device\", FSCONFIG_CMD_CREATE): Operation not permitted (EPERM)" "$MOUNT_WHY" \
		'the kernel mounts images for root only, not for the root of a user namespace: run it as root, with pivot --userns auto')" "$stderr"
}
