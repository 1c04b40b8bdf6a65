# What the tests of pivot share: a root with perl and an image of it, containers, and assertions of what pivot says.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # some are for the test files to use, and lib.bash sets some

# Each file's setup_file, and its setup, unless it has its own, which calls the same function first.
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
	setup_pivot
}

setup_pivot() {
	setup_world
	export LC_ALL=C
	root=$BATS_FILE_TMPDIR/root
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

# Whether no loop device shows a file of this test's, or the image that the tests share.
no_loop() {
	[ -z "$(loops_on "$PWD")" ]
}

no_image_attached() {
	[ -z "$(loops_on "$BATS_FILE_TMPDIR")" ]
}

# as_nobody, for a command that is started.
as_nobody_in() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --ambient-caps=-all "$@"
}
