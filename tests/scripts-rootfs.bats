#!/usr/bin/env bats
# scripts/rootfs, in temporary directories only: nothing here needs a namespace.
# What stands in single quotes is for the fakes to expand, and scripts.bash sets variables:
# shellcheck disable=SC2016,SC2154

load scripts.bash

setup() {
	setup_scripts
}

@test "rootfs busybox: a static shell, the applets, the directories, nothing else beside it" {
	mkdir here
	run --separate-stderr "$scripts/rootfs" busybox here/root
	[ "$status" = 0 ]
	[ -z "$output$stderr" ]
	[ "$(ls -A here)" = root ]
	[ "$(readlink here/root/bin/sh)" = busybox ]
	[ -x here/root/bin/sh ]
	[ -x here/root/sbin/ip ]
	[ -x here/root/usr/bin/env ]
	run ldd here/root/bin/busybox
	[[ $output != */ld* ]]
	[ "$(stat -c %a here/root/tmp)" = 1777 ]
	[ "$(stat -c %a here/root)" = 755 ]
	for name in dev proc sys mnt home root run var etc; do [ -d "here/root/$name" ]; done
	grep -q ^root:x:0:0: here/root/etc/passwd
	grep -q ^user:x:1000:1000: here/root/etc/passwd
}

@test "rootfs busybox: as root every file is root's but the home of the user" {
	[ "$(id -u)" = 0 ] || skip "not root"
	mkdir -m 2777 shared
	chgrp 1 shared
	"$scripts/rootfs" busybox shared/root
	[ "$(find shared/root ! -uid 0 -o ! -gid 0)" = shared/root/home/user ]
}

@test "rootfs busybox: the root works as one" {
	[ "$(id -u)" = 0 ] || skip "not root"
	"$scripts/rootfs" busybox root
	[ "$(chroot root /bin/sh -c 'whoami; id -u user; echo "BEGIN { print 6 * 7 }" | /usr/bin/awk -f -' | xargs)" = "root 1000 42" ]
	run ! chroot root /bin/nosuchapplet
}

@test "rootfs: an empty directory is filled, also through a link" {
	mkdir empty
	ln -s empty link
	"$scripts/rootfs" busybox link
	[ -L link ] && [ -x empty/bin/sh ]
}

@test "rootfs: a directory that is not empty is left as it is" {
	mkdir full
	echo mine >full/file
	run "$scripts/rootfs" busybox full
	[ "$status" = 1 ]
	[[ $output = *"full is not empty: --force replaces it" ]]
	[ "$(everything_in .)" = "$(printf './full\n./full/file')" ]
}

@test "rootfs: --force replaces a root file system" {
	"$scripts/rootfs" busybox root
	touch root/etc/mine
	run ! "$scripts/rootfs" busybox root
	[ -e root/etc/mine ]
	"$scripts/rootfs" busybox root --force
	[ ! -e root/etc/mine ]
	[ -x root/bin/sh ]
	[ "$(ls -A)" = root ]
}

@test "rootfs: --force does not replace one that something is mounted in, whatever it is called" {
	[ "$(id -u)" = 0 ] || skip "not root"
	mkdir mine
	touch mine/file
	for root in root 'my root' 'back\slash'; do
		"$scripts/rootfs" busybox "$root"
		run unshare --mount sh -c 'mount --bind mine "$1/mnt" && exec "$0" busybox --force "$1"' "$scripts/rootfs" "$root"
		[ "$status" = 1 ]
		[[ $output == *"something is mounted below $PWD/$root: umount it first" ]]
		[ -e mine/file ]
	done
}

@test "rootfs: --force does not replace a directory that is no root file system" {
	mkdir -p home/work
	run "$scripts/rootfs" --force busybox home
	[ "$status" = 1 ]
	[[ $output = *"does not look like a root file system"* ]]
	[ -d home/work ]
}

@test "rootfs: a file in the way, above it too, a missing word are refused, each by name" {
	touch file
	run "$scripts/rootfs" busybox file
	[ "$status" = 1 ]
	[[ $output = *"file is there and is not a directory" ]]
	run "$scripts/rootfs" busybox file/root
	[ "$status" = 1 ]
	[[ $output = *"cannot create directory "*"/file"* ]]
	run -0 "$scripts/rootfs" busybox in/lab/root
	[ -x in/lab/root/bin/busybox ]
	rm -r in
	run "$scripts/rootfs" busybox
	[ "$status" = 1 ]
	[[ $output = *usage:* ]]
	run "$scripts/rootfs" alpine root
	[ "$status" = 1 ]
	[[ $output = *"no kind alpine"* ]]
	run "$scripts/rootfs" busybox root sh
	[ "$status" = 1 ]
	[[ $output = *"one word too many" ]]
	run "$scripts/rootfs" busybox root --forse
	[ "$status" = 1 ]
	[[ $output = *"no option --forse"* ]]
	[ "$(everything_in .)" = ./file ]
}

@test "rootfs: interrupted while the tree grows, nothing is left, and what was there stays" {
	mkdir here
	"$scripts/rootfs" busybox here/old
	fake ldd 'touch "$BATS_TEST_TMPDIR/growing"; sleep 15'
	for signal in TERM INT HUP; do
		rm -f growing
		run timeout -s "$signal" 1 "$scripts/rootfs" host --force here/old sh
		[ "$status" = 124 ]
		[ -e growing ]
		[ "$(ls -A here)" = old ]
		[ -x here/old/bin/busybox ]
	done
}

@test "rootfs: each kind of tree knows localhost; hosts that come with a Debian stay" {
	[ "$(id -u)" = 0 ] || skip "not root"
	fake apt-get 'echo deb nowhere suite main'
	# The last word but one is the root.
	fake mmdebstrap 'for word; do root=$last; last=$word; done; mkdir -p "$root/etc"; [ ! -e hosts ] || cp hosts "$root/etc"'
	"$scripts/rootfs" busybox busybox
	"$scripts/rootfs" host host sh
	"$scripts/rootfs" debian debian 2>/dev/null
	for tree in busybox host debian; do
		[ "$(cat "$tree/etc/hosts")" = $'127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback' ] || { echo "$tree"; return 1; }
	done
	echo '192.0.2.1 theirs' >hosts
	"$scripts/rootfs" debian other 2>/dev/null
	cmp hosts other/etc/hosts
}

@test "rootfs debian: interrupted, mmdebstrap and all that it started end at once, nothing is left" {
	[ "$(id -u)" = 0 ] || skip "not root"
	fake apt-get 'echo deb nowhere suite main'
	fake mmdebstrap 'trap "" TERM; sleep 15 & echo $! >"$BATS_TEST_TMPDIR/grandchild"; wait'
	mkdir here
	"$scripts/rootfs" debian here/root 2>/dev/null 3>&- &
	script=$!
	for _ in $(seq 50); do [ ! -s grandchild ] || break; sleep 0.1; done
	kill -0 "$(cat grandchild)"
	[ -n "$(ls -A here)" ]
	kill -TERM "$script"
	status=0
	wait "$script" || status=$?
	[ "$status" = 143 ]
	[ -z "$(ls -A here)" ]
	run ! kill -0 "$(cat grandchild)"
}

@test "rootfs debian: nothing is left where nobody reads what it says" {
	[ "$(id -u)" = 0 ] || skip "not root"
	fake apt-get 'echo deb nowhere suite main'
	fake mmdebstrap 'for word; do root=$last; last=$word; done; mkdir -p "$root/etc"'
	mkdir here
	exec 9> >(:)
	wait $!
	status=0
	env --default-signal "$scripts/rootfs" debian here/root 2>&9 9>&- || status=$?
	[ "$status" = 141 ]
	[ -z "$(ls -A here)" ]
	"$scripts/rootfs" debian here/root 2>/dev/null
	[ "$(ls -A here)" = root ]
}

@test "rootfs host: a program runs there with nothing but its libraries" {
	[ "$(id -u)" = 0 ] || skip "not root"
	"$scripts/rootfs" host root id sh
	[ "$(chroot root /bin/sh -c id)" = "uid=0(root) gid=0(root) groups=0(root)" ]
	run ! chroot root /bin/ls
	[ ! -e root/bin/ls ]
}

@test "rootfs host: a script brings its interpreter" {
	[ "$(id -u)" = 0 ] || skip "not root"
	fake greet 'echo hello'
	"$scripts/rootfs" host root greet
	[ "$(chroot root "$BATS_TEST_TMPDIR.fakes/greet")" = hello ]
}

@test "rootfs host: a program that is not there is named, and nothing is made" {
	run "$scripts/rootfs" host root sh nosuchprogram
	[ "$status" = 1 ]
	[[ $output = *"nosuchprogram: there is no such program on this machine" ]]
	[ -z "$(everything_in .)" ]
}
