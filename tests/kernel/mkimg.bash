# What the tests of mkimg share: a tree with one of everything, what is in an image, and assertions of what mkimg says.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154,SC2164 # some are for the test files to use, and lib.bash sets some

# Each file's setup and teardown.
setup() {
	setup_world
	# bats keeps files of its own in the directory above.
	mkdir here
	cd here || return
	chmod 1777 .
	mkdir seen
}

teardown() {
	umount -R seen tree 2>/dev/null || :
	for device in $(loops_on "$BATS_RUN_TMPDIR" | cut -d' ' -f1); do
		losetup -d "/dev/$device"
	done
	nothing_left
}

# Asserts what mkimg says on stderr, and that it ends with 125: refuses TEXT OPTION...
refuses() {
	local text=$1
	shift
	run -125 --separate-stderr -- mkimg "$@"
	same "$text" "$stderr" || return
	[ -z "$output" ] || fail "on stdout: $output"
}

# Asserts that mkimg fails and says this somewhere; the rest holds names that change.
fails_saying() {
	local text=$1
	shift
	run -125 --separate-stderr -- mkimg "$@"
	[[ $stderr == *"$text"* ]] || fail "$stderr"
}

# Makes a tree with one of everything a file system can hold, on an ext4 of its own: tmpfs takes no user.* before 6.6.
make_tree() {
	mkdir tree
	truncate -s 64M tree.ext4
	mkfs.ext4 -q -b 4096 tree.ext4
	mount -o loop tree.ext4 tree
	rmdir tree/lost+found
	mkdir -p tree/dir/deep tree/dev tree/private
	echo content >tree/file
	ln tree/file tree/dir/hard
	chmod 4751 tree/file
	ln -s /etc/passwd tree/absolute
	ln -s "$(printf '%0200d' 7)" tree/long
	mknod tree/dev/null c 1 3
	mknod tree/dev/disk b 7 300
	mkfifo tree/fifo
	: >tree/empty
	truncate -s 10M tree/sparse
	echo middle | dd of=tree/sparse bs=1M seek=5 conv=notrunc status=none
	cp /bin/true tree/capable
	setcap cap_net_raw+ep tree/capable
	head -c 300001 /dev/urandom >tree/large
	: >"tree/$(printf '\377 \n')"
	# Extended attributes by tar: setfattr is seldom there.
	mkdir attributes
	echo x >attributes/user
	echo x >attributes/trusted
	for space in user trusted; do
		tar -C attributes --format=posix --pax-option="SCHILY.xattr.$space.colour:=red" -cf - "$space" |
			tar -C tree --xattrs --xattrs-include='*' -xpf -
	done
	chown -h 1000:100 tree/dir tree/fifo tree/absolute
	chmod 2775 tree/dir
	chmod 500 tree/private
	touch -d '2001-02-03 04:05:06.123456789 UTC' tree/file tree/dev/null tree/dir/deep
	touch -h -d '1969-12-31 23:00:00.5 UTC' tree/absolute
	touch -d '2010-01-01 00:00:00.25 UTC' tree/dir tree/private tree
}

# Prints everything about a tree, as tar sees it: names, kinds, owners, modes, times, attributes, links, bytes, holes.
about() {
	(
		cd "$1"
		tar --format=posix --pax-option=delete=atime,delete=ctime --sort=name --xattrs --xattrs-include='*' \
			--numeric-owner --exclude=./lost+found -cf - . 2>/dev/null | sha256sum
		tar --format=posix --sort=name --xattrs --xattrs-include='*' --numeric-owner --full-time \
			--exclude=./lost+found -cf - . 2>/dev/null | tar --xattrs --xattrs-include='*' --numeric-owner --full-time -tvvf -
		find . -name lost+found -prune -o -type s -printf '%p socket %m %U %G %T@\n' | sort
		find . -type f -size +1M -printf '%p %s %k\n' | sort
	)
}

# Mounts an image read-only on `seen` for a command.
in_image() {
	local image=$1 answer=0
	shift
	mount -o loop,ro "$image" seen || return
	"$@" || answer=$?
	umount seen
	return "$answer"
}

# Asserts that an image is sound.
sound() {
	e2fsck -fn "$1" >fsck 2>&1 || fail "$(cat fsck)"
}

# The other names of img, as a living mkimg has one or a killed one left it.
left_names() {
	find . -name '.img.mkimg-*' | sort
}

has_left_name() {
	[ -n "$(left_names)" ]
}

# Whether nothing that a killed mkimg had at work in this directory is there still.
gone_all() {
	! grep -qs "^$1/" /sys/block/loop*/loop/backing_file && [ -z "$(pgrep 'mk(img|fs|e2fs)')" ]
}
