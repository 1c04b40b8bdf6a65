#!/usr/bin/env bats
# mkimg on the kernel it is for: what it refuses, and what it leaves then. Run by: tests/run kernel mkimg-refusals

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and mkimg.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash
load mkimg.bash

# ---- what it refuses, and what it leaves then

@test "a file is replaced by --force only, and stays where the new one fails" {
	mkimg --size 4M --label old img
	refuses 'mkimg: "img": it is there already
mkimg: hint: --force replaces it; --attach alone attaches it' --size 4M img
	fails_saying 'could not parse UUID' --force --size 8M --uuid nonsense img
	[ "$(dumpe2fs -h img 2>/dev/null | grep -c 'volume name: *old')" = 1 ]
	mkimg --force --size 4M --label new img
	[ "$(dumpe2fs -h img 2>/dev/null | grep -c 'volume name: *new')" = 1 ]
	same "$(printf '%s\n' img seen)" "$(ls -A)"
}

@test "the other name of an image is another mkimg's of the same number: it stays, and is said to be so" {
	local refused='mkimg: flock(image, LOCK_EX|LOCK_NB); linkat(image, "./.img.mkimg-1"); rename("./.img.mkimg-1", "img"): File exists (EEXIST)
mkimg: while: give it its name: from now on it is there, and whole
mkimg: hint: a mkimg of the same number in another PID namespace may be at work on "./.img.mkimg-1": try again when it is done'
	mkdir taken
	cd taken
	touch .img.mkimg-1
	run -125 --separate-stderr flock .img.mkimg-1 nsexec --pid -- mkimg --force --size 4M img
	same "$refused" "$stderr"
	same .img.mkimg-1 "$(ls -A)"
	# Nobody's it goes.
	nsexec --pid -- mkimg --force --size 4M img
	same img "$(ls -A)"
	cd ..
}

@test "an image too small for its content is refused before, or said to be full" {
	mkdir tree
	head -c 12M /dev/urandom >tree/large
	refuses 'mkimg: --size 8M: "tree" alone takes 12M
mkimg: hint: without --size it would be 80M' --size 8M --from tree img
	refuses 'mkimg: write("tree/large"): No space left on device (ENOSPC): the image is full
mkimg: while: copy the tree: bytes and holes, owners, modes, times, attributes, links, devices; on this file system only
mkimg: hint: give it a larger --size; nothing is left of this one' --size 12500K --from tree img
	tar -cf a.tar tree
	refuses 'mkimg: write("tree/large"): No space left on device (ENOSPC): the image is full
mkimg: while: make what the archive says, every name resolved inside the new root
mkimg: hint: give it a larger --size; nothing is left of this one' --size 8M --from a.tar img
	[ ! -e img ]
	mkimg --from a.tar img
	mkimg --force --from tree --size 20M img
}

@test "an image without an inode left says so" {
	mkdir many
	seq -f many/%g 2000 | xargs touch
	tar -cf a.tar many
	fails_saying 'No space left on device (ENOSPC): the image has no inode left' --from a.tar --size 8M img
	[ ! -e img ]
	mkimg --from many --size 8M img
	mkimg --force --from a.tar img
}

@test "a full file system below is told from a full image, and nothing is left on it" {
	mkdir small tree
	mount -t tmpfs -o size=24M none small
	head -c 40M /dev/urandom >tree/large
	# Known before.
	refuses 'mkimg: "small/img" needs 40M, and the file system it would be on has 24M free
mkimg: hint: make room there, or choose another place' --from tree small/img
	refuses 'mkimg: "small/img" needs 64M, and the file system it would be on has 24M free
mkimg: hint: make room there, or choose another place' --size 64M --alloc full small/img
	# Found out on the way: nobody knows how much comes through a pipe.
	tar -cf a.tar tree
	run -125 --separate-stderr -- mkimg --from - small/img <a.tar
	[[ $stderr == *'the file system that holds the image is full'*'hint: make room there, or choose another place for the image' ]] || fail "$stderr"
	[ -z "$(ls -A small)" ]
	[ "$(df --output=used small | tail -n 1)" -eq 0 ]
	mount -o remount,size=80M small
	mkimg --from - small/img <a.tar
	sound small/img
	umount small
}

@test "without room for the zeros nothing is left either" {
	mkdir small
	mount -t tmpfs -o size=8M none small
	head -c 4M /dev/zero >small/other
	fails_saying 'needs 6M' --alloc zero --size 6M small/img
	[ "$(ls small)" = other ]
	mkimg --alloc zero --size 3M small/img
	umount small
}

@test "what is no file, no place and no content is refused with its reason" {
	mkfifo fifo
	ln -s nowhere link
	mkdir dir
	for pair in 'fifo:a fifo' 'link:a symbolic link' 'dir:a directory' '/dev/zero:a character device'; do
		refuses "mkimg: \"${pair%%:*}\": it is ${pair#*:}
mkimg: hint: only a regular file can be replaced" --force --size 4M "${pair%%:*}"
	done
	[ ! -e nowhere ]
	refuses 'mkimg: statvfs("no"): No such file or directory (ENOENT)
mkimg: while: look at the place where the image will be' --size 4M no/img
	refuses 'mkimg: ftruncate(image, 109951162777600): File too large (EFBIG)
mkimg: while: as long as a disk, and all of it a hole: room is taken by what is written only
mkimg: hint: larger than a file may be there, or than ulimit -f allows' --size 100T img || [[ $stderr == *mkfs* ]]
	mkimg --size 4M img
}

@test "no loop device: the cause and the cure" {
	unshare --mount sh -c 'mount -t tmpfs none /dev && mkimg --size 4M img' 2>said || answer=$?
	[ "$answer" = 125 ]
	same 'mkimg: open("/dev/loop-control", O_RDWR): No such file or directory (ENOENT)
mkimg: while: a loop device shows the file as a disk; it goes away with its last user
mkimg: hint: there is no /dev/loop-control: modprobe loop, then mknod /dev/loop-control c 10 237 where /dev is not devtmpfs' "$(cat said)"
	[ ! -e img ]
	mkimg --size 4M img
}

@test "without root, and as root of a user namespace only, mke2fs fills the file itself" {
	mkdir tree
	echo content >tree/file
	chmod 777 .
	as_nobody "$BIN/mkimg" --from tree nobodys
	[ "$(stat -c %U nobodys)" = nobody ]
	sound nobodys
	[ "$(in_image nobodys cat seen/file)" = content ]
	run --separate-stderr -- nsexec --map-root-user -- mkimg --explain --from tree mapped
	[[ $stderr == *'without root there is no loop device'* ]]
	[ "$(in_image mapped cat seen/file)" = content ]
	run -125 --separate-stderr -- as_nobody "$BIN/mkimg" --attach nobodys
	same 'mkimg: open("/dev/loop-control", O_RDWR): Permission denied (EACCES)
mkimg: while: a loop device shows the image as a disk, until --detach
mkimg: hint: attaching a loop device takes root: run it as root' "$stderr"
	tar -cf a.tar tree
	run -125 --separate-stderr -- as_nobody "$BIN/mkimg" --from a.tar img
	[[ $stderr == *'an archive names owners and devices that only root can make'*'hint: run it as root'* ]]
	chmod 700 tree
	run -125 --separate-stderr -- as_nobody "$BIN/mkimg" --from tree img
	[[ $stderr == *'openat("tree"): Permission denied (EACCES)'* ]]
	[ ! -e img ]
}

@test "where files without a name are not known, another name does, and goes away when a signal comes" {
	# The second open of the directory is the real one, the first only a look; a file system without O_TMPFILE.
	without='strace -qq -o /dev/null -e trace=openat -e inject=openat:error=EOPNOTSUPP:when=1 -P .'
	mkdir inner
	cd inner
	$without mkimg --explain --size 4M img 2>../told
	grep -q 'open("./.img.mkimg-[0-9]*", O_CREAT|O_EXCL|O_RDWR, 0666)' ../told || fail "$(cat ../told)"
	sound img
	rm fsck
	[ "$(ls -A)" = img ]
	run -125 --separate-stderr -- $without mkimg --size 4M --uuid nonsense no
	[ "$(ls -A)" = img ]
	mkfifo ../pipe
	for signal in INT TERM HUP; do
		start $without mkimg --size 4M --from ../pipe new
		exec {hold}>../pipe
		until_true exists_hidden
		kill "-$signal" "$(pgrep -x mkimg)"
		finish
		[ "$status" = $((128 + $(kill -l $signal))) ] || fail "$status"
		exec {hold}>&-
		[ "$(ls -A)" = img ] || fail "$(ls -A)"
	done
	cd ..
}

exists_hidden() {
	ls -A | grep -q '^\.new\.mkimg'
}

# ---- hostile archives

@test "a hostile archive changes nothing outside the image" {
	mkdir -p world/inner world/outside
	cd world
	echo canary >outside/canary
	chmod 640 outside/canary
	before=$(about outside)
	cd inner
	echo bad >bad
	ln -s ../outside dotted
	ln -s "$PWD/../outside" absolute
	mkdir -p "made/$PWD"
	tar -P -cf ../dots.tar ../outside/canary
	tar -P --transform='s,^bad,a/../../outside/canary,' -cf ../deep.tar bad
	tar -P --transform='s,^bad,..,' -cf ../parent.tar bad
	for archive in dots deep parent; do
		run -125 --separate-stderr -- mkimg --from ../$archive.tar img
		[[ $stderr == *'a name with .. in it would lead out of the image'* ]] || fail "$archive: $stderr"
	done
	# Through a link, which ends in the image.
	for link in dotted absolute; do
		tar -cf ../link.tar $link
		tar -P --transform="s,^bad,$link/canary," -rf ../link.tar bad
		run mkimg --force --from ../link.tar img
		[ "$status" = 125 ] || sound img
	done
	# An absolute name is one below the root of the image.
	tar -P --transform="s,^bad,$(cd ../outside && pwd)/canary," -cf ../absolute.tar bad
	mkimg --force --from ../absolute.tar img
	mkdir -p ../../seen
	mount -o loop,ro img ../../seen
	[ "$(cat "../../seen$(cd ../outside && pwd)/canary")" = bad ]
	umount ../../seen
	# Hard links: out of the image, through a link, to what was never there.
	echo x >x
	ln x y
	tar -P --transform='flags=h;s,^x,../outside/canary,' -cf ../hard.tar x y
	run -125 --separate-stderr -- mkimg --force --from ../hard.tar img
	[[ $stderr == *'a name with .. in it would lead out of the image'* ]] || fail "$stderr"
	tar -P --transform="flags=h;s,^x,$(cd ../outside && pwd)/canary," -cf ../hard.tar x y
	run -125 --separate-stderr -- mkimg --force --from ../hard.tar img
	[[ $stderr == *'which is no entry before it'* ]] || fail "$stderr"
	cd ..
	same "$before" "$(about outside)"
	[ "$(ls outside)" = canary ]
	cd ..
}

@test "absolute links of an archive lead into the image, as they will for its programs" {
	mkdir -p a/usr/bin b/bin
	ln -s /usr/bin a/bin
	echo x >b/bin/program
	tar -cf a.tar -C a usr bin -C ../b bin/program
	mkimg --from a.tar img
	[ "$(in_image img cat seen/usr/bin/program)" = x ]
	[ "$(in_image img readlink seen/bin)" = /usr/bin ]
}

@test "a damaged archive is named, wherever it is damaged" {
	mkdir tree
	head -c 100000 /dev/urandom >tree/file
	tar -cf whole.tar tree
	gzip -k whole.tar
	for size in 700 1024 50000 101376; do
		head -c $size whole.tar >cut.tar
		fails_saying 'mkimg: read("cut.tar"): it is cut short' --from cut.tar img
		# With a size nobody looks at it before.
		fails_saying 'it is cut short' --from cut.tar --size 8M img
	done
	head -c 60000 whole.tar.gz >cut.tar.gz
	fails_saying 'mkimg: read("cut.tar.gz"): it is cut short' --from cut.tar.gz img
	head -c -8 whole.tar.gz >cut.tar.gz
	fails_saying 'mkimg: read("cut.tar.gz"): it is' --from cut.tar.gz img
	cp whole.tar bad.tar
	printf x | dd of=bad.tar bs=1 seek=10 conv=notrunc status=none
	fails_saying 'it is no tar archive' --from bad.tar img
	: >empty
	fails_saying 'read("empty"): it is cut short: its end mark is missing' --from empty img
	[ ! -e img ]
	mkimg --from whole.tar.gz img
}
