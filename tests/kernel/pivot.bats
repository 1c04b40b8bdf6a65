#!/usr/bin/env bats
# pivot on the kernel it is for: what is confined, what is refused and in which words, each with its negative twin.
# SECURITY.md's rows stand in the names. Run by: tests/run kernel pivot

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash

setup_file() {
	setup_world_file
	make_root "$BATS_FILE_TMPDIR/root"
	add_perl "$BATS_FILE_TMPDIR/root"
	# What perl opens to begin with; hidden by a /dev of ours wherever there is one.
	touch "$BATS_FILE_TMPDIR/root/dev/null"
	make_image "$BATS_FILE_TMPDIR/root" "$BATS_FILE_TMPDIR/img"
	chmod 666 "$BATS_FILE_TMPDIR/img"
}

setup() {
	setup_world
	export LC_ALL=C
	root=$BATS_FILE_TMPDIR/root
}

teardown() {
	nothing_left
}

# Puts perl with its libraries in a root: it makes any system call.
add_perl() {
	local file
	for file in $(ldd /usr/bin/perl | grep -o '/[^ ]*'); do
		mkdir -p "$1${file%/*}"
		cp -L "$file" "$1$file"
	done
	cp -L /usr/bin/perl "$1/bin/perl"
}

# Makes an image of a directory, as mkimg does or would.
make_image() {
	if [ -x "$BATS_FILE_TMPDIR/bin/mkimg" ]; then
		"$BATS_FILE_TMPDIR/bin/mkimg" --size 64M --from "$1" "$2"
	else
		mke2fs -q -t ext4 -d "$1" "$2" 64M
	fi
}

# Makes a root of a few programs, whose other files a test may spoil.
small_root() {
	mkdir -p "$1/bin" "$1/etc" "$1/proc" "$1/dev" "$1/sys" "$1/tmp"
	ln "$root/bin/busybox" "$1/bin/busybox"
	for applet in sh cat ls true id touch mount mknod; do ln -s busybox "$1/bin/$applet"; done
	cp "$root/etc/passwd" "$root/etc/group" "$1/etc/"
}

# Copies the image, for a test that writes to it.
own_image() {
	cp --sparse=always "$BATS_FILE_TMPDIR/img" img
}

# Attaches a file to a loop device of this test's own, which goes with its last user; `device` is its name.
attach() {
	device=$(losetup --find --show "$@")
}

# Runs a container of the default kind.
contain() {
	nsexec --pid --net --ipc -- pivot "$@"
}

# Starts `COMMAND... sleep` in the background and waits for it; `inside` is the sleep as seen from here.
start_inside() {
	start "$@" /bin/sleep 1000
	until_true find_inside
}

find_inside() {
	local pid word number
	inside=
	for pid in /proc/[0-9]*; do
		word='' number=''
		{ read -rd '' word && read -rd '' number; } 2>/dev/null <"$pid/cmdline" || :
		[ "$word $number" != '/bin/sleep 1000' ] || inside=${pid#/proc/}
	done
	[ -n "$inside" ]
}

end_inside() {
	kill -9 "$inside"
	finish
}

# Prints a field of a process's status file.
status_of() {
	sed -n "s/^$2:[[:blank:]]*//p" "/proc/$1/status" | tr '\t' ' ' | sed 's/ *$//'
}

# Runs a shell command in a mount namespace of this test's own.
with_mounts() {
	unshare --mount --propagation private "$BASH" -euc "$1" - "${@:2}"
}

# Runs a command as root without these capabilities.
without() {
	local names=$1
	shift
	setpriv --bounding-set="-${names//,/,-}" "$@"
}

# Asserts what pivot says on stderr, and its exit status: fails_with STATUS TEXT COMMAND...
fails_with() {
	local wanted=$1 text=$2 expected=
	shift 2
	[ "$wanted" != 127 ] || expected=-127
	run $expected --separate-stderr -- "$@"
	[ "$status" = "$wanted" ] || fail "status $status, not $wanted: $stderr" || return
	same "$text" "$stderr" || return
	[ -z "$output" ] || fail "on stdout: $output"
}

# Asserts that a command succeeds and prints this: prints TEXT COMMAND...
prints() {
	local text=$1
	shift
	run --separate-stderr -- "$@"
	[ "$status" = 0 ] || fail "status $status: $stderr$output" || return
	same "$text" "$output"
}

# Remembers what is in ./victim; unharmed asserts that nothing changed.
make_victim() {
	mkdir victim
	echo secret >victim/canary
	victim_before=$(describe victim)
}

describe() {
	find "$1" -printf '%p %y %m %U:%G %s %T@ %l\n' | sort
}

unharmed() {
	same "$victim_before" "$(describe victim)"
}

# What Linux calls the first process's things; the world's own /proc is read from outside the container.
PLACE_WHY='programs look themselves up in /proc; a new one shows the PID namespace of who mounts it'
DEV_WHY="an empty /dev hides the image's own, whose nodes could be any device"
SYS_WHY='/sys shows the network namespace it is mounted from: a new one for the new network, for reading'
LOOP_WHY='a file becomes a block device, locked against a second writer; the kernel takes it away with its last user'
MOUNT_WHY='the file system on it becomes a mount by itself, attached nowhere yet'
TREE_WHY='take the files as a mount by itself, attached nowhere yet'
EXTRA_WHY='attach it where it was asked for, a path that cannot lead out of the new root'
USER_WHY="names mean the new root's users, not the host's"
EXEC_WHY='become the program: same process, same number, another life'

# Prints the three lines of a failure: call, why, hint.
said() {
	printf 'pivot: %s\npivot: while: %s' "$1" "$2"
	[ $# = 2 ] || printf '\npivot: hint: %s' "$3"
}

# ---- the image's own paths (P)

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
	[ -d hostile/new ] && [ ! -e /new ]
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
	victim_before=$(describe victim)
	small_root hostile
	call='openat2("etc/passwd" below the new root)'
	link_hint='a link of the image could lead anywhere: its /etc/passwd must be a file'
	file_hint='it must be a regular file of at most 1 MiB'
	refused() {
		fails_with 125 "$(said "$call: $1" "$USER_WHY" "$2")" pivot --user user hostile touch /tmp/ran
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
	refused 'Permission denied (EACCES)' 'it cannot be read' || :
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

# ---- descriptors, environment, working directory (F)

@test "F1: only descriptors 0 to 2 go in; --keep-fd keeps what it names; --bare keeps all" {
	exec 9</etc 8<"$root/etc/passwd"
	prints $'0\n1\n2' pivot "$root" sh -c 'ls /proc/$$/fd; true'
	prints $'0\n1\n2\n8' pivot --keep-fd 8 "$root" sh -c 'ls /proc/$$/fd; true'
	prints "$(cat "$root/etc/passwd")" pivot --keep-fd 8 "$root" sh -c 'cat <&8'
	run pivot "$root" cat /proc/self/fd/9/hostname
	[ "$status" = 1 ]
	# The primitive by itself leaves the open directory, and that is the way out.
	prints "$(cat /etc/hostname)" pivot --bare --bind /proc:/proc "$root" cat /proc/self/fd/9/hostname
	exec 9<&- 8<&-
}

@test "F1: with 0 to 2 closed nothing of pivot's own takes their place" {
	look='print STDERR readlink "/proc/self/fd/$_" for 0, 1'
	same /dev/null/dev/null "$(pivot "$root" perl -e "$look" 2>&1 <&- >&-)"
	[[ $(pivot "$root" perl -e "$look" 2>&1 </dev/zero) == /dev/zeropipe:* ]]
}

@test "F1: --keep-fd of what is not open, or of the three that are kept always" {
	fails_with 125 "pivot: --keep-fd 77: Bad file descriptor (EBADF)
pivot: hint: open it for pivot, as the shell does with 77<FILE or 77>FILE" pivot --keep-fd 77 "$root" true
	fails_with 125 "pivot: --keep-fd 1: Bad file descriptor (EBADF)
pivot: hint: 0 to 2 are kept always" pivot --keep-fd 1 "$root" true
	exec 9</etc
	prints $'0\n1\n2\n9' pivot --keep-fd 9 --keep-fd 9 "$root" sh -c 'ls /proc/$$/fd; true'
	exec 9<&-
}

@test "F2: --workdir through any descriptor or link does not lead out" {
	exec 9</etc
	why='begin where it was asked for, found in the new root'
	# Some of these numbers are pivot's own descriptors of the new root and what is mounted below it: that is inside.
	for fd in $(seq 3 32); do
		run pivot --workdir "/proc/self/fd/$fd" "$root" sh -c '[ . -ef "$(/bin/pwd)" ] && [ ! -e ../hostname ] && echo inside'
		[ "$status" = 125 ] || [ "$status $output" = "0 inside" ] || fail "$fd: $status $output"
	done
	fails_with 125 "$(said 'getcwd() after chdir("/proc/self/fd/9"): Invalid cross-device link (EXDEV)' "$why" \
		'that is a way out of the new root, and is not taken')" pivot --workdir /proc/self/fd/9 "$root" true
	fails_with 125 "$(said 'chdir("/none"): No such file or directory (ENOENT)' "$why" \
		'--workdir names a directory of the new root, and "/none" is none')" pivot --workdir /none "$root" true
	fails_with 125 "$(said 'chdir("/bin/sh"): Not a directory (ENOTDIR)' "$why" \
		'--workdir names a directory of the new root, and "/bin/sh" is none')" pivot --workdir /bin/sh "$root" true
	prints /tmp pivot --workdir /tmp "$root" pwd
	prints / pivot "$root" pwd
	exec 9<&-
}

@test "F7: of the environment only TERM goes in; --env and --keep-env add" {
	export SECRET=hidden TERM=vt100
	fixed="HOME=/root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	environment() {
		pivot "$@" "$root" perl -e 'print map { "$_=$ENV{$_}\n" } sort keys %ENV'
	}
	same "$fixed
TERM=vt100
container=boxutils" "$(environment)"
	same "$fixed
container=boxutils" "$(unset TERM; environment)"
	same "A=b=c
EMPTY=
$fixed
SECRET=hidden
TERM=vt100
container=boxutils" "$(environment --env A=b=c --env EMPTY= --env SECRET --env UNSET)"
	[ "$(environment --env HOME=/tmp --env HOME=/opt | grep HOME)" = HOME=/opt ]
	[[ $(environment --keep-env) == *SECRET=hidden* ]]
	[ "$(environment --keep-env | grep ^PATH=)" = "PATH=$PATH" ]
	[[ $(environment --bare) == *SECRET=hidden* ]]
	run contain "$root" sh -c 'cat /proc/*/environ'
	[ "$status" = 0 ] && [[ $output != *hidden* ]]
	[ -z "$(environment --keep-env | grep BOXUTILS_MODE)" ]
}

@test "F7: HOME is that of --user" {
	prints /home/user pivot --user user "$root" sh -c 'echo "$HOME"'
	prints /home/user pivot --user 1000 "$root" sh -c 'echo "$HOME"'
	prints / pivot --user 4711 "$root" sh -c 'echo "$HOME"'
	prints /root pivot --user 0 "$root" sh -c 'echo "$HOME"'
	prints /x pivot --user user --env HOME=/x "$root" sh -c 'echo "$HOME"'
}

@test "F8: no core dump is written or piped anywhere; --bare leaves the limit" {
	limit() {
		pivot "$@" "$root" cat /proc/self/limits | sed -n 's/  */ /g; s/^Max core file size //p'
	}
	[ "$(limit)" = "1 1 bytes " ]
	(ulimit -c 4096 && [ "$(limit --bare --bind /proc:/proc)" = "4194304 4194304 bytes " ])
	(ulimit -c 4096 && [ "$(limit)" = "1 1 bytes " ])
}

@test "F8: a hard limit of 0 that cannot be raised will do, unless dumps are piped to a program: that is said" {
	ulimit -c 0
	[[ $(cat /proc/sys/kernel/core_pattern) != "|"* ]] || lacking "a core_pattern that names a file"
	prints '0 0 bytes ' without sys_resource pivot "$root" sh -c "sed -n 's/  */ /g; s/^Max core file size //p' /proc/self/limits"
	[ -z "$stderr" ] || fail "$stderr"
	echo '|/bin/catcher' >pattern
	run --separate-stderr with_mounts 'mount --bind pattern /proc/sys/kernel/core_pattern; exec setpriv --bounding-set=-sys_resource pivot "$1" echo ran' "$root"
	[ "$status $output" = "0 ran" ]
	same "pivot: warning: setrlimit(RLIMIT_CORE, {1, 1}): Operation not permitted (EPERM)
pivot: warning: while: a core dump is written by the host, outside of all this: write none
pivot: warning: hint: the hard limit is 0, with which dumps still go to the program in core_pattern: start it with ulimit -c 1" "$stderr"
}

@test "files are made with the usual mode, and owned by who makes them" {
	small_root tree
	(umask 077 && prints '' pivot tree touch /tmp/a && prints '' pivot --bare tree touch /tmp/b)
	[ "$(stat -c %a tree/tmp/a tree/tmp/b | tr '\n' ' ')" = "644 600 " ]
}

# ---- privileges (C)

CONFINED='CapInh:0000000000000000
CapPrm:00000000000004fb
CapEff:00000000000004fb
CapBnd:00000000000004fb
CapAmb:0000000000000000
NoNewPrivs:1'

posture() {
	"$@" "$root" grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -d '\t'
}

@test "C1: exactly these eight capabilities in all sets that hold any; --bare takes none away" {
	same "$CONFINED" "$(posture pivot)"
	same "$CONFINED" "$(posture contain)"
	same "$CONFINED" "$(posture setpriv --inh-caps=+net_raw,+chown --ambient-caps=+net_raw,+chown pivot)"
	same "$(grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -d '\t')" "$(posture pivot --bare --bind /proc:/proc)"
	[ "$(status_of self CapEff)" != 00000000000004fb ]
}

@test "C1: a user has no capability, and what is added to it reaches the program" {
	none=${CONFINED//4fb/000}
	same "$none" "$(posture pivot --user user)"
	same "$none" "$(posture pivot --cap-drop ALL)"
	same "${none//0000000000000000/0000000000002020}" "$(posture pivot --user 1000 --cap-add net_raw,CAP_KILL)"
	same "$CONFINED" "$(posture pivot --user 0)"
}

@test "--cap-add, --cap-drop and ALL" {
	effective() {
		posture pivot "$@" | grep CapEff
	}
	[ "$(effective --cap-add NET_RAW)" = CapEff:00000000000024fb ]
	[ "$(effective --cap-drop chown,KILL)" = CapEff:00000000000004da ]
	[ "$(effective --cap-drop ALL --cap-add KILL)" = CapEff:0000000000000020 ]
	[ "$(effective --cap-add NET_RAW --cap-drop NET_RAW)" = CapEff:00000000000004fb ]
	[ "$(effective --cap-add ALL)" = "CapEff:$(status_of self CapPrm)" ]
	[ "$((0x$(effective --cap-add ALL --cap-drop MKNOD | cut -d: -f2) & 1 << 27))" = 0 ]
	posture pivot --cap-add ALL | grep -q NoNewPrivs:1
	fails_with 125 'pivot: NET is no capability: see capabilities(7)' pivot --cap-add NET "$root" true
}

@test "--cap-add of what this process has not itself" {
	names=cap_chown,cap_dac_override,cap_fowner,cap_fsetid,cap_kill,cap_setgid,cap_setuid,cap_net_bind_service,cap_sys_time
	fails_with 125 "$(said "capset({effective=permitted=$names, inheritable=0}); prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL): Operation not permitted (EPERM)" \
		'keep these capabilities and no others, and hand none down by inheritance' \
		'what this process has not itself it cannot hand on: see CapPrm in /proc/self/status, and --cap-drop')" \
		without sys_time pivot --cap-add SYS_TIME "$root" true
	prints '' without sys_time pivot --cap-add ALL "$root" true
}

@test "giving up takes capabilities too: without them it is said which step" {
	hint='that takes capabilities this process has not: run it as root'
	fails_with 125 "$(said 'prctl(PR_CAPBSET_DROP, 2): Operation not permitted (EPERM)' \
		'no program started from here on can ever have other capabilities than these' "$hint")" without setpcap pivot "$root" true
	fails_with 125 "$(said 'setgroups(0, []): Operation not permitted (EPERM)' \
		"groups of the caller would open the host's files to it" "$hint")" without setgid pivot "$root" true
	fails_with 125 "$(said 'setresuid(1000, 1000, 1000): Operation not permitted (EPERM)' 'be who was asked for' "$hint")" \
		without setuid pivot --user 1000 "$root" true
	prints '' without sys_boot pivot --user 1000 "$root" true
}

@test "C2: the groups of the caller stay outside" {
	prints 'uid=0(root) gid=0(root)' setpriv --groups 1,2,1000 pivot "$root" id
	prints 'uid=1000(user) gid=1000(user)' setpriv --groups 1,2,1000 pivot --user user "$root" id
	prints '1 2 1000 ' setpriv --groups 1,2,1000 pivot --bare --bind /proc:/proc "$root" sed -n 's/^Groups:\t//p' /proc/self/status
}

@test "C3: 40 strings for --user: the exact ids, or refused, never something near it" {
	small_root tree
	cat >tree/etc/passwd <<-'E'
		root:x:0:0::/root:/bin/sh
		4294967296:x:0:0::/:/bin/sh
		4294967295:x:0:0::/:/bin/sh
		1x:x:0:0::/:/bin/sh
		-1:x:0:0::/:/bin/sh
		1:x:0:0::/:/bin/sh
		user:x:1000:100::/home/user:/bin/sh
		over:x:4294967296:0::/:/bin/sh
		minus:x:-1:0::/:/bin/sh
		last:x:4294967295:0::/:/bin/sh
		plus:x:+0:0::/:/bin/sh
		blank:x: 0:0::/:/bin/sh
		few:x:0:0
		hex:x:0x0:0::/:/bin/sh
	E
	printf 'root:x:0:\ntty:x:5:\nbig:x:4294967296:\nplus:x:+0:\n' >tree/etc/group
	accepted=0 refused=0
	while IFS='|' read -r text wanted; do
		run --separate-stderr pivot --user "$text" tree sh -c 'echo $(id -u):$(id -g)'
		if [ "$wanted" = no ]; then
			[ "$status" = 125 ] || fail "'$text': $status $output" || return
			[ -z "$output" ] || fail "'$text' ran" || return
			refused=$((refused + 1))
		else
			[ "$status $output" = "0 $wanted" ] || fail "'$text': $status $output $stderr" || return
			accepted=$((accepted + 1))
		fi
	done <<-'E'
		0|0:0
		1|1:1
		1000|1000:100
		1000:5|1000:5
		1000:tty|1000:5
		user|1000:100
		user:tty|1000:5
		user:0|1000:0
		root|0:0
		0:5|0:5
		root:tty|0:5
		65534|65534:65534
		4294967294|4294967294:4294967294
		2147483648:2147483648|2147483648:2147483648
		00|0:0
		010|10:10
		4294967295|no
		4294967296|no
		99999999999999999999|no
		18446744073709551616|no
		-1|no
		+1|no
		1x|no
		 1|no
		1 |no
		0x0|no
		1:|no
		:1|no
		:|no
		1:-1|no
		1:4294967295|no
		1:2:3|no
		1,2|no
		nobody|no
		user:none|no
		user:big|no
		user:plus|no
		over|no
		minus|no
		last|no
		plus|no
		blank|no
		few|no
		hex|no
		../etc|no
		us*|no
		.ser|no
	E
	run pivot --user '' tree id
	[ "$status" = 125 ]
	run pivot --user $'user\n' tree id
	[ "$status" = 125 ]
	[ "$accepted $refused" = "16 31" ] || fail "$accepted $refused"
}

@test "--user: a name that is not in the root's files, though it is in the host's" {
	small_root tree
	grep -q ^daemon: /etc/passwd
	sed -i /daemon/d tree/etc/passwd tree/etc/group
	fails_with 125 "$(said "openat2(\"etc/passwd\", RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS): no valid line for \"daemon\" in the new root's /etc/passwd" "$USER_WHY")" \
		pivot --user daemon tree true
	fails_with 125 "$(said "openat2(\"etc/passwd\", RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS): no valid line for \"daemon\" in the new root's /etc/group" "$USER_WHY")" \
		pivot --user user:daemon tree true
	prints 'uid=1000(user) gid=1000(user)' pivot --user user tree id
}

@test "C5: set-user-ID bits of the image are dead, with --user as well; --bare leaves them alive" {
	own_image
	mkdir mnt
	with_mounts 'mount -o loop img mnt; cp mnt/bin/perl mnt/bin/raised; chmod 4755 mnt/bin/raised; mknod mnt/zero c 1 5; chmod 666 mnt/zero'
	prints 1000 pivot --user 1000 img raised -e 'print $>'
	# Without nosuid, by the primitive, it does raise.
	prints 0 pivot --bare img perl -e '($<, $>) = (1000, 1000); exec "/bin/raised", "-e", q{print $>}'
	# K7: and so is a device node of the image.
	fails_with 1 "cat: can't open '/zero': Permission denied" pivot img cat /zero
	prints '1' pivot --bare img sh -c 'head -c 1 /zero | wc -c'
}

@test "C10: the caller's session keys are out of reach; --bare leaves them" {
	[ "$(uname -m)" = x86_64 ] || lacking "the numbers of add_key(2) and keyctl(2) on this machine"
	search='my $k = syscall(250, 10, -3, my $t = "user", my $n = "canary", 0); print $k > 0 ? "found" : "none: " . ($!+0)'
	hold='syscall(250, 1, 0); my $k = syscall(248, my $t = "user", my $n = "canary", my $v = "secret", 6, -3); die "add_key: $!" if $k < 0; exec @ARGV'
	prints found perl -e "$hold" pivot --bare "$root" perl -e "$search"
	# ENOKEY
	prints 'none: 126' perl -e "$hold" pivot "$root" perl -e "$search"
	prints '' perl -e "$hold" pivot "$root" cat /proc/keys
	run perl -e "$hold" cat /proc/keys
	[[ $output == *canary* ]]
}

@test "C13: signals that the caller ignores or blocks are at their default; --bare leaves them" {
	signals() {
		env --ignore-signal=PIPE,INT,CHLD,RTMAX --block-signal=USR1,TERM pivot "$@" "$root" grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status | tr -d '\t'
	}
	same 'SigBlk:0000000000000000
SigIgn:0000000000000000
SigCgt:0000000000000000' "$(signals)"
	same 'SigBlk:0000000000004200
SigIgn:8000000000011002
SigCgt:0000000000000000' "$(signals --bare --bind /proc:/proc)"
}

# ---- the kernel's own files and devices (K)

# Tries to open for writing, and only that, every file below the directories given; prints those that could be.
OPENABLE='sub walk { my $d = shift; opendir my $h, $d or return; for (sort readdir $h) { next if /^\.\.?$/; my $p = "$d/$_"; next if -l $p; if (-d _) { walk($p) } elsif (-f _) { $n++; if (sysopen my $f, $p, 1|2048) { print "$p\n" } } } } walk($_) for @ARGV; print "$n looked at\n" if $n < 100'

@test "K1: no file below /proc/sys or /sys can be opened for writing, nor the levers of /proc" {
	run contain "$root" perl -e "$OPENABLE" /proc/sys /sys
	same '' "$output"
	# They can where it is privileged, so the probe does find them.
	run contain --privileged "$root" perl -e "$OPENABLE" /proc/sys/kernel
	[[ $output == */proc/sys/kernel/core_pattern* ]]
	for file in /proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/sys/kernel/core_pattern /proc/fs /proc/bus; do
		[ -e "$file" ] || continue
		[ -d "$file" ] || run ! contain "$root" perl -e 'sysopen my $f, $ARGV[0], 1 or exit 1; exit((stat $f)[6] == 259)' "$file"
	done
}

@test "K1: a user inside cannot either, nor root of a user namespace" {
	own_image
	same '' "$(contain --user 1000 img perl -e "$OPENABLE" /proc/sys /sys)"
	same '' "$(contain --userns auto --cap-add ALL img perl -e "$OPENABLE" /proc/sys /sys)"
}

@test "K2: nothing can be mounted, moved or made writable again" {
	for words in 'mount -t tmpfs x /mnt' 'mount -t cgroup -o memory x /mnt' 'mount -t cgroup2 x /mnt' 'mount -t proc x /mnt' 'mount -o remount,rw /sys' 'mount -o remount,bind,rw /proc/sys' 'umount /proc/sys' 'umount /proc/kallsyms'; do
		run contain "$root" sh -c "$words"
		[ "$status" != 0 ] || fail "$words"
	done
	prints '' contain --privileged "$root" mount -t tmpfs x /mnt
}

@test "K6: what tells of the whole machine reads empty" {
	# shellcheck disable=SC2016
	look='for name in config.gz interrupts kallsyms kcore key-users keys kmsg kpagecgroup kpagecount kpageflags latency_stats mtrr pagetypeinfo sched_debug slabinfo sysrq-trigger timer_list timer_stats vmallocinfo acpi asound scsi; do
		[ -e /proc/$name ] || continue
		if [ -d /proc/$name ]; then echo "$name: $(ls -A /proc/$name | wc -l)"; else echo "$name: $(timeout 1 head -c 9 /proc/$name 2>/dev/null | wc -c)"; fi
	done
	for name in devices/virtual/block devices/virtual/powercap firmware fs/bpf kernel/debug kernel/security kernel/tracing module; do
		[ ! -e /sys/$name ] || echo "$name: $(ls -A /sys/$name | wc -l)"
	done'
	outside=$(sh -c "$look")
	[[ $outside == *"kallsyms: 9"* ]] && [[ $outside == *"interrupts: 9"* ]]
	inside=$(contain "$root" sh -c "$look")
	same "$(sed 's/: .*/: 0/' <<<"$outside")" "$inside"
	run contain "$root" dmesg
	[ "$status" != 0 ] || fail "$output"
	# What programs read is there.
	contain "$root" sh -c 'cat /proc/cpuinfo /proc/meminfo /proc/sys/kernel/pid_max >/dev/null && test -d /sys/class/net/lo'
}

@test "K7: no device node can be made, in any place; with the capability it can, and is dead" {
	for at in /tmp/node /dev/node /dev/shm/node; do
		run contain "$root" mknod "$at" c 1 5
		[ "$status" != 0 ] || fail "$at"
	done
	prints 'head: /tmp/node: Permission denied' contain --cap-add MKNOD --tmpfs /tmp "$root" sh -c 'mknod /tmp/node c 1 5; head -c 1 /tmp/node 2>&1 || :'
}

@test "mounts: the table of a container, exactly" {
	table() {
		contain "$@" sed -E 's/^[0-9]+ [0-9]+ [^ ]+ [^ ]+ ([^ ]+) ([^ ]+) .*- ([^ ]+) .*/\1 \2 \3/' /proc/self/mountinfo | grep -v ' devtmpfs$' | grep -vE '^/(proc|sys)/.* tmpfs$'
	}
	expected="/ rw,nosuid,nodev,relatime ext4
/proc rw,nosuid,nodev,noexec,relatime proc
/proc/bus ro,nosuid,nodev,noexec,relatime proc
/proc/fs ro,nosuid,nodev,noexec,relatime proc
/proc/irq ro,nosuid,nodev,noexec,relatime proc
/proc/sys ro,nosuid,nodev,noexec,relatime proc
/dev rw,nosuid,nodev,noexec,relatime tmpfs
/dev/pts rw,nosuid,noexec,relatime devpts
/dev/shm rw,nosuid,nodev,noexec,relatime tmpfs
/dev/mqueue rw,nosuid,nodev,noexec,relatime mqueue
/sys ro,nosuid,nodev,noexec,relatime sysfs"
	own_image
	same "$expected" "$(table img)"
	same "${expected/rw/ro}" "$(table --read-only img)"
}

@test "without a network or queues of its own, /sys and /dev/mqueue are not mounted" {
	prints $'0\n0' nsexec --pid -- pivot "$root" sh -c 'ls /sys | wc -l; grep -c " /dev/mqueue " /proc/mounts || :'
	prints 1 nsexec --pid --ipc -- pivot "$root" sh -c 'grep -c " /dev/mqueue " /proc/mounts'
	prints lo nsexec --pid --net -- pivot "$root" ls /sys/class/net
}

@test "/dev/pts is new, /dev/shm is writable, /dev/fd works" {
	prints $'ptmx\nhello\nhello' contain "$root" sh -c 'ls /dev/pts; echo hello >/dev/shm/x; cat /dev/shm/x; cat /dev/fd/0 </dev/shm/x'
	[ ! -e /dev/shm/x ]
}

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

no_loop() {
	[ -z "$(loops_on "$PWD")" ]
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

as_nobody_in() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --ambient-caps=-all "$@"
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
	[ "$status" = 125 ] && [[ $output == *'"/etc/passwd" of the new root is not a directory'* ]]
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
	[ ! -e "$root/home/created" ] && [ ! -e /home/created ]
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
	[ "$status" = 125 ] && [[ $output == *'it is attached as /dev/loop'* ]]
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

# ---- the program

@test "ROOT without /bin/sh, PROG missing, not executable, its interpreter missing, a tool of ours" {
	small_root tree
	hint='it is looked up in the new root, tree, where the host'"'"'s programs are not'
	printf '#!/no/such\n' >tree/bin/script
	printf '#!/bin/sh\r\n' >tree/bin/crlf
	chmod 755 tree/bin/script tree/bin/crlf
	touch tree/bin/plain
	fails_with 127 "$(said 'execve("none"): No such file or directory (ENOENT)' "$EXEC_WHY" "$hint")" pivot tree none
	fails_with 127 "$(said 'execve("/usr/bin/env"): No such file or directory (ENOENT)' "$EXEC_WHY" "$hint")" pivot tree /usr/bin/env
	fails_with 126 "$(said 'execve("/bin/plain"): Permission denied (EACCES)' "$EXEC_WHY" 'it may not be executed: chmod +x /bin/plain')" pivot tree plain
	fails_with 126 "$(said 'execve("/bin/script"): No such file or directory (ENOENT)' "$EXEC_WHY" 'the file is there; its interpreter "/no/such" is not')" pivot tree script
	fails_with 126 "$(said 'execve("/bin/crlf"): No such file or directory (ENOENT)' "$EXEC_WHY" \
		'its lines end in CR LF, so it asks for the interpreter "/bin/sh\r": remove the CRs')" pivot tree crlf
	fails_with 126 "$(said 'execve("/etc"): Permission denied (EACCES)' "$EXEC_WHY" '"/etc" is a directory')" pivot tree /etc
	fails_with 127 "$(said 'execve("nsexec"): No such file or directory (ENOENT)' "$EXEC_WHY" \
		'what stands right of pivot runs in the new root: put nsexec left of pivot')" pivot tree nsexec --pid true
	rm tree/bin/sh
	fails_with 127 "$(said 'execve("/bin/sh"): No such file or directory (ENOENT)' "$EXEC_WHY" "$hint")" pivot tree
	prints '' pivot tree true
}

@test "the same through nsexec, with the status handed on, and from an image nothing is left attached" {
	run -127 nsexec --pid --net -- pivot "$BATS_FILE_TMPDIR/img" none
	run nsexec --pid --net -- pivot "$BATS_FILE_TMPDIR/img" sh -c 'exit 42'
	[ "$status" = 42 ]
	run nsexec --pid --net -- pivot "$BATS_FILE_TMPDIR/img" sh -c 'kill -9 $$; exit 3'
	[ "$status" != 0 ]
	until_true no_image_attached
}

no_image_attached() {
	[ -z "$(loops_on "$BATS_FILE_TMPDIR")" ]
}

@test "without PROG it is /bin/sh, which reads stdin" {
	prints $'hello\n/' sh -c 'echo "echo hello; pwd" | pivot "$1"' - "$root"
}

@test "not root: the hint names nsexec -r, and that works" {
	fails_with 125 "$(said 'unshare(CLONE_NEWNS): Operation not permitted (EPERM)' 'a copy of the mount table, so that no mount made in here is made on the host' \
		'mounting takes root: run it as root, or be root in a user namespace: nsexec -r -- pivot …')" as_nobody_in pivot "$root" true
	prints '' as_nobody_in nsexec -r --pid --net --ipc -- pivot "$root" true
}

@test "in a chroot the cause is named before anything is tried" {
	small_root jail
	cp "$BIN/pivot" jail/bin/pivot
	mkdir jail/new
	fails_with 125 "$(said '/ is not a mount point: this process is in a chroot' 'pivot_root moves the old root away, so that has to be a mount that can be moved' \
		'start it outside the chroot, or make the directory a mount point before chroot: mount --bind DIR DIR')" chroot jail pivot --bare /new true
	# A mount point is no obstacle.
	mkdir -p jail/new/bin
	ln jail/bin/busybox jail/new/bin/true
	prints '' with_mounts 'mount --bind jail jail; exec chroot jail pivot --bare /new true'
}

@test "limits on namespaces are named" {
	fails_with 125 "$(said 'unshare(CLONE_NEWNS): No space left on device (ENOSPC)' 'a copy of the mount table, so that no mount made in here is made on the host' \
		'/proc/sys/user/max_mnt_namespaces forbids it: sysctl user.max_mnt_namespaces=1000')" \
		unshare --map-root-user --pid --fork --mount-proc sh -c 'echo 0 >/proc/sys/user/max_mnt_namespaces; pivot "$1" true' - "$root"
}

# ---- --bare and --privileged

@test "--bare: the host's capabilities, environment and devices; no /proc" {
	export CANARY=seen
	prints $'seen\n0' pivot --bare "$root" sh -c 'echo $CANARY; ls /proc | wc -l'
	small_root tree
	mknod tree/zero c 1 5
	prints '' pivot --bare tree sh -c ': </zero'
	run pivot tree sh -c ': </zero'
	[ "$status" = 1 ] && [[ $output == *'Permission denied' ]]
	prints 'tmpfs' pivot --bare --bind /proc:/proc "$root" sh -c 'mount -t tmpfs x /mnt && grep -o " /mnt tmpfs" /proc/mounts | cut -d" " -f3'
	prints / pivot --bare "$root" pwd
	fails_with 1 'touch: /x: Read-only file system' pivot --bare --read-only "$root" touch /x
}

@test "--privileged: all capabilities, the host's /dev and /sys; the environment is cleared all the same" {
	export SECRET=hidden
	same "$(grep -E '^(CapEff|NoNewPrivs)' /proc/self/status)" "$(contain --privileged "$root" grep -E '^(CapEff|NoNewPrivs)' /proc/self/status)"
	prints '' contain --privileged "$root" sh -c 'test -e /dev/loop-control && test -d /sys/kernel && echo $SECRET | tr -d "\n"'
	run ! contain "$root" test -e /dev/loop-control
	fails_with 125 "pivot: the argument '--privileged' cannot be used with '--cap-drop <CAP>'
pivot: hint: pivot --help lists what it takes" pivot --privileged --cap-drop ALL "$root" true
}

# ---- --userns

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

# ---- rootless

@test "rootless: a container as nobody, with nothing but nsexec -r" {
	prints $'0 0\nCapEff:00000000000004fb\nCapBnd:00000000000004fb\nNoNewPrivs:1\n1' as_nobody_in nsexec -r --pid --net --ipc -- pivot "$root" sh -c \
		'echo $(id -u) $(id -g); grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status | tr -d "\t"; echo $$'
	run ! as_nobody_in nsexec -r --pid --net --ipc -- pivot "$root" touch /new
	prints '' as_nobody_in nsexec -r --pid --net --ipc -- pivot --tmpfs /tmp "$root" touch /tmp/new
}

@test "rootless: without --pid, with mount points missing, and another user: each cause is named" {
	fails_with 125 "$(said 'fsconfig("proc" on "proc", FSCONFIG_CMD_CREATE): Operation not permitted (EPERM)' "$PLACE_WHY" \
		'a user namespace may mount this only for a namespace it owns: nsexec -r --pid --net --ipc -- pivot …')" \
		as_nobody_in nsexec -r -- pivot "$root" true
	small_root tree
	rmdir tree/proc
	fails_with 125 "$(said 'mkdirat("proc" below the new root): Permission denied (EACCES)' "$PLACE_WHY" \
		'"/proc" is missing and this user may not make it: make the directory in ROOT first')" \
		as_nobody_in nsexec -r --pid --net --ipc -- pivot tree true
	fails_with 125 "$(said 'setresgid(1000, 1000, 1000): Invalid argument (EINVAL)' 'be who was asked for' \
		'the user namespace maps no such id: see /proc/self/uid_map')" \
		as_nobody_in nsexec -r --pid --net --ipc -- pivot --user 1000 "$root" true
	prints 0 as_nobody_in nsexec -r --pid --net --ipc -- pivot --user 0 "$root" id -u
}

# ---- to the end

@test "C14: kill -9 of nsexec ends the program at once, after any change of ids" {
	own_image
	for options in --cap-drop=KILL --user=1000 --user=user:tty --userns=auto '--userns=auto --user=1000'; do
		# shellcheck disable=SC2086
		start_inside nsexec --pid --net -- pivot $options img
		kill -9 "$started"
		finish
		end=$((SECONDS + 5))
		until gone "$inside"; do [ "$SECONDS" -lt "$end" ] || fail "$options: it lives" || return; done
		until_true no_loop
	done
}

@test "C14: --join and a change of ids: the program still dies with who waits for it" {
	start_sleeper --pid --net
	first=$started
	# Its parent waits outside, so the kernel ends it by PDEATHSIG alone.
	start nsexec --pid="$slept" -- pivot --user 1000 "$root" /bin/sleep 1000
	second=$started
	until_true find_inside
	kill -9 "$second"
	finish "$second"
	until_true gone "$inside"
	[ "$(program "$slept")" = sleeper ]
	kill -9 "$slept"
	finish "$first"
}

@test "on a terminal, without processes of its own, one line says that this is no boundary" {
	notice=$'pivot: this shares the host\'s processes and is no boundary: nsexec --pid -- pivot … gives it its own\r'
	[ "$(script -qec "pivot $root true" /dev/null)" = "$notice" ]
	[ -z "$(script -qec "nsexec --pid -- pivot $root true" /dev/null)" ]
	[ -z "$(script -qec "pivot --bare $root true" /dev/null)" ]
	[ -z "$(pivot "$root" true 2>&1)" ]
}
