#!/usr/bin/env bats
# pivot on the kernel it is for: paths of the image that lead elsewhere, each with its negative twin.
# Run by: tests/run kernel pivot-paths

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and pivot.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash
load pivot.bash

@test "P1, P3: a symbolic link of the image for /dev, /proc or /sys is refused, and what it names is unharmed" {
	make_victim
	for name in proc dev sys; do
		case $name in
		proc) why=$PLACE_WHY ;;
		dev) why=$DEV_WHY ;;
		sys) why=$SYS_WHY ;;
		esac
		for target in "$PWD/victim" ../../../../../../../"$PWD/victim" tmp; do
			rm -rf hostile
			small_root hostile
			rm -r "hostile/$name"
			ln -s "$target" "hostile/$name"
			fails_with 125 "$(said "openat2(\"$name\" below the new root): Too many levels of symbolic links (ELOOP)" "$why" \
				"\"/$name\" of the new root is a symbolic link: one could lead the mount anywhere, so it must be a directory")" \
				nsexec --pid --net -- pivot hostile touch /tmp/ran
			[ ! -e hostile/tmp/ran ]
		done
		unharmed
	done
	rm -rf hostile
	small_root hostile
	prints '' nsexec --pid --net -- pivot hostile touch /tmp/ran
	[ -e hostile/tmp/ran ]
}

@test "P1: the same in an image with a file system" {
	make_victim
	small_root hostile
	rm -r hostile/dev
	ln -s "$PWD/victim" hostile/dev
	make_image hostile hostile.img
	fails_with 125 "$(said "openat2(\"dev\" below the new root): Too many levels of symbolic links (ELOOP)" "$DEV_WHY" \
		"\"/dev\" of the new root is a symbolic link: one could lead the mount anywhere, so it must be a directory")" \
		nsexec --pid --net -- pivot hostile.img true
	unharmed
	[ -z "$(loops_on "$PWD")" ]
}

@test "P2, P5: links and nodes below the image's own /dev are hidden and never followed" {
	make_victim
	small_root hostile
	for name in null console tty ptmx pts shm mqueue zero fd; do ln -s "$PWD/victim/canary" "hostile/dev/$name"; done
	prints $'1 3\n1 3 character special file' contain --bind /bin:/host:ro hostile sh -c \
		'echo overwritten >/dev/null; /bin/busybox stat -c "%t %T" /dev/null; /bin/busybox stat -c "%t %T %F" /proc/kallsyms; echo x 2>/dev/null >/proc/kallsyms || :'
	unharmed
	[ "$(readlink hostile/dev/null)" = "$PWD/victim/canary" ]
}

@test "P5: each device inside is the one of its name, and those of the image are not there" {
	small_root hostile
	touch hostile/dev/sda
	run contain hostile sh -c 'cd /dev; /bin/busybox stat -c "%n %F %t:%T %a" null zero full random urandom tty; ls'
	same "null character special file 1:3 666
zero character special file 1:5 666
full character special file 1:7 666
random character special file 1:8 666
urandom character special file 1:9 666
tty character special file 5:0 666
fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero" "${output//$'\n'f/$'\nf'}" || {
		same "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero" "$(echo "${lines[@]:6}" | tr '\n' ' ' | sed 's/ $//')"
		[ "${lines[0]}" = "null character special file 1:3 666" ]
		[ "${lines[5]}" = "tty character special file 5:0 666" ]
	}
}

@test "P5: a host whose /dev/null is another device is refused" {
	fails_with 125 "$(said 'stat("/dev/null"): No such device (ENODEV)' 'these tell of the whole machine, or pull its levers: show /dev/null instead' \
		"it is not the device of that name: the host's /dev is not what it should be")" \
		unshare --mount --propagation private sh -c 'mount --bind /dev/zero /dev/null; exec pivot "$1" true' - "$root"
	fails_with 125 "$(said 'stat("/dev/random"): No such device (ENODEV)' 'the six devices every program expects, each bound from the host by itself' \
		"it is not the device of that name: the host's /dev is not what it should be")" \
		unshare --mount --propagation private sh -c 'mount --bind /dev/zero /dev/random; exec pivot "$1" true' - "$root"
}

@test "P4, P8: a directory that is swapped for a link while mounts are made on it leads nowhere outside" {
	small_root hostile
	mkdir share share/d outside
	ln -s "$PWD/outside" share/l
	mounts_before=$(cut -d' ' -f4- /proc/self/mountinfo)
	start perl -e 'chdir "share"; for (;;) { rename "d", "a"; rename "l", "d"; rename "d", "l"; rename "a", "d" }'
	racer=$started done=0
	for _ in $(seq $((ROUNDS * 20))); do
		! pivot --bare --bind "$PWD/share:/s" --tmpfs /s/d/new/deep hostile true 2>/dev/null || done=$((done + 1))
	done
	kill -9 "$racer"
	finish "$racer"
	[ -z "$(ls outside)" ] || fail "made outside: $(ls outside)"
	[ "$done" -gt 0 ] || fail "never mounted"
	same "$mounts_before" "$(cut -d' ' -f4- /proc/self/mountinfo)"
}

@test "P9: DST below a link of the image that names an outside place: resolved inside or refused" {
	make_victim
	small_root hostile
	ln -s "$PWD/victim" hostile/out
	ln -s ../../../../../.. hostile/up
	ln -s tmp hostile/in
	for at in /out/new /out; do
		fails_with 125 "$(said 'mkdirat("out" below the new root): File exists (EEXIST)' "$EXTRA_WHY" \
			"\"$at\" of the new root leads through a symbolic link to what is not in it")" \
			pivot --bind /etc:$at hostile true
		unharmed
	done
	mkdir source
	echo here >source/file
	prints here pivot --bind "$PWD/source:/up/new" hostile cat /new/file
	[ -d hostile/new ]
	[ ! -e /new ]
	prints here pivot --bind "$PWD/source:/in/new" hostile cat /tmp/new/file
	unharmed
}

@test "P9: what a link of the image names as a bind source is not the image's to say" {
	mkdir source
	echo host >source/file
	small_root hostile
	mkdir hostile/source
	echo image >hostile/source/file
	# A relative source is the caller's, though pivot stands in the new root when it takes it.
	prints host pivot --bind source:/tmp hostile cat /tmp/file
	prints host pivot --bind ./source/file:/tmp/file hostile cat /tmp/file
	prints image pivot hostile cat /source/file
}

@test "P10: --user NAME with an /etc/passwd that is a link, a pipe, a device, a directory, huge, or missing" {
	make_victim
	echo 'user:x:0:0::/:' >victim/passwd
	# shellcheck disable=SC2034 # unharmed compares it
	victim_before=$(describe victim)
	small_root hostile
	call='openat2("etc/passwd" below the new root)'
	link_hint='a link of the image could lead anywhere: its /etc/passwd must be a file'
	file_hint='it must be a regular file of at most 1 MiB'
	refused() {
		fails_with 125 "$(said "$call: $1" "$USER_WHY" "${@:2}")" pivot --user user hostile touch /tmp/ran
		[ ! -e hostile/tmp/ran ]
		rm -rf hostile/etc/passwd
	}
	prints 1000 pivot --user user hostile id -u
	rm hostile/etc/passwd
	ln -s "$PWD/victim/passwd" hostile/etc/passwd
	refused 'Too many levels of symbolic links (ELOOP)' "$link_hint"
	ln -s group hostile/etc/passwd
	refused 'Too many levels of symbolic links (ELOOP)' "$link_hint"
	mkfifo hostile/etc/passwd
	refused 'Invalid argument (EINVAL)' "$file_hint"
	mkdir hostile/etc/passwd
	refused 'Invalid argument (EINVAL)' "$file_hint"
	truncate --size 4G hostile/etc/passwd
	refused 'Invalid argument (EINVAL)' "$file_hint"
	mknod hostile/etc/passwd c 1 5
	# The root is nodev: the device is not even opened.
	refused 'Permission denied (EACCES)'
	rm -rf hostile/etc/passwd
	refused 'No such file or directory (ENOENT)' 'give the number: --user UID:GID needs no file'
	mv hostile/etc hostile/tmp/etc
	ln -s tmp/etc hostile/etc
	cp "$root/etc/passwd" hostile/tmp/etc/passwd
	refused 'Too many levels of symbolic links (ELOOP)' "$link_hint"
	unharmed
}

@test "P13: a host whose / is shared sees none of it, during and after" {
	cat >shared <<-'E'
		set -eu
		cut -d' ' -f4- /proc/self/mountinfo >"$1/before"
		grep -q ' shared:' "$1/before"
		pivot --bind /etc:/mnt --bind /bin:/opt --bind /usr:/srv --tmpfs /tmp --tmpfs /run "$2" /bin/sleep 1000 &
		until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
		cut -d' ' -f4- /proc/self/mountinfo >"$1/during"
		wc -l </proc/$!/mountinfo >"$1/inside"
		kill -9 $!
		wait $! || :
		cut -d' ' -f4- /proc/self/mountinfo >"$1/after"
	E
	unshare --mount --propagation shared sh shared "$PWD" "$root" 3>&-
	same "$(cat before)" "$(cat during)"
	same "$(cat before)" "$(cat after)"
	[ "$(cat inside)" -gt 20 ]
}

@test "P13: what the host mounts later does not appear inside either" {
	mkdir source source/later
	unshare --mount --propagation shared sh -eu 3>&- <<-E
		pivot --bind $PWD/source:/mnt "$root" /bin/sleep 1000 &
		until [ "\$(cat /proc/\$!/comm)" = sleep ]; do :; done
		mount -t tmpfs none source/later
		grep -c ' $PWD/source/later ' /proc/self/mountinfo >outside
		grep -c later /proc/\$!/mountinfo >inside || :
		kill -9 \$!
		wait \$! || :
	E
	[ "$(cat outside) $(cat inside)" = "1 0" ]
}

# The oldest way out of a chroot: a working directory above the root.
ESCAPE='mkdir "/tmp/x"; chroot "/tmp/x" or die "chroot: $!\n"; chdir ".." for 1..64; chroot "." or die; print -e $ARGV[0] ? "out" : "in"'

@test "P14: the way out of a chroot is no way out of here, with or without the capability it takes" {
	echo secret >canary
	prints out chroot "$root" perl -e "$ESCAPE" "$PWD/canary"
	prints in pivot --bare "$root" perl -e "$ESCAPE" "$PWD/canary"
	prints in contain --cap-add SYS_CHROOT "$root" perl -e "$ESCAPE" "$PWD/canary"
	fails_with 1 'chroot: Operation not permitted' contain "$root" perl -e "$ESCAPE" "$PWD/canary"
}

@test "P14: no mount of the host is left, whatever holds it" {
	run pivot "$root" cat /proc/self/mountinfo
	[ "$status" = 0 ]
	# The root, /proc and its covers, /dev: each mounted by us, none above another root.
	[ "$(cut -d' ' -f5 <<<"$output" | sort | uniq -d)" = "" ]
	run ! grep -E "^[0-9]+ [0-9]+ [^ ]+ [^ ]+ /(tmp|usr|sys|work)[/ ]" <<<"$output"
	run pivot --bare --bind /proc:/proc "$root" sh -c 'cut -d" " -f5 /proc/self/mountinfo | grep -v ^/proc'
	[ "$output" = / ]
}

@test "P14: the new root is no cover that could be taken off" {
	touch canary
	# Who takes it off and joins that mount namespace anew stands on what was below.
	start pivot --bare "$root" sh -c 'umount -l /; exec /bin/sleep 1000'
	until_true find_inside
	! nsenter --target "$inside" --mount /bin/ls -d "$PWD/canary" 2>/dev/null || fail "below the new root is the host"
	end_inside
	# A mount over /, and chroot(2), are such a cover.
	# shellcheck disable=SC2016
	start unshare --mount --propagation private sh -c 'mount --bind "$1" "$1"; cd "$1"; mount -n --move . /; exec chroot . sh -c "umount -l /; exec /bin/sleep 1000"' - "$root"
	until_true find_inside
	nsenter --target "$inside" --mount /bin/ls -d "$PWD/canary"
	end_inside
}

@test "P15: --read-only reaches what is mounted below ROOT; without it that can be written" {
	small_root tree
	mkdir tree/below
	with_mounts '
		mount -t tmpfs none tree/below
		for option in --read-only --cap-drop=KILL; do
			if pivot $option tree touch /below/file 2>said; then echo written; else cat said; fi
			if pivot $option tree touch /file 2>said; then echo written; else cat said; fi
		done' >said.all
	same "touch: /below/file: Read-only file system
touch: /file: Read-only file system
written
written" "$(cat said.all)"
}

@test "P15: a bind that is :ro is so with all that is mounted below it, and keeps noexec and the like" {
	mkdir -p source/below
	with_mounts '
		mount -t tmpfs -o noexec none source/below
		pivot --bind "$PWD/source:/mnt:ro" "$1" sh -c "touch /mnt/below/file; touch /mnt/file; grep /mnt /proc/self/mounts | cut -d\  -f2,4" 2>&1
		pivot --bind "$PWD/source:/mnt" "$1" touch /mnt/below/file && ls source/below' "$root" >said
	run cut -d, -f1-5 said
	same "touch: /mnt/below/file: Read-only file system
touch: /mnt/file: Read-only file system
/mnt ro,nosuid,nodev,relatime
/mnt/below ro,nosuid,nodev,noexec,relatime
file" "$(sed 's/relatime.*/relatime/' said)"
}
