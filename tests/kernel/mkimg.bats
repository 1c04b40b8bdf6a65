#!/usr/bin/env bats
# mkimg on the kernel it is for: what it makes, what it refuses, what it leaves. Run by: tests/run kernel mkimg

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash

setup_file() {
	setup_world_file
}

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

# ---- what it makes

@test "an empty image is as large as said, sparse, sound, and silent" {
	run --separate-stderr -- mkimg --size 64M img
	[ "$status/$output/$stderr" = 0// ]
	[ "$(stat -c %s img)" = $((64 << 20)) ]
	[ "$(stat -c %b img)" -lt 8192 ]
	sound img
	[ "$(in_image img ls seen)" = lost+found ]
	same "$(printf '%s\n' fsck img seen)" "$(ls)"
}

@test "everything of a tree is kept, and a tree that differs is seen to" {
	make_tree
	mkimg --from tree img
	sound img
	same "$(about tree)" "$(in_image img about seen)"
	[ "$(in_image img stat -c %b seen/sparse)" -lt 100 ]
	for change in 'chmod 4750 tree/file' 'chown 7 tree/empty' 'touch -d @1.5 tree/private' 'setcap -r tree/capable'; do
		$change
		[ "$(about tree)" != "$(in_image img about seen)" ] || fail "not seen: $change"
		mkimg --force --from tree img
		same "$(about tree)" "$(in_image img about seen)"
	done
}

@test "a socket and a hole at the end are kept too" {
	make_tree
	truncate -s 3M tree/hole
	perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "tree/socket", Listen => 1) or die'
	[ -S tree/socket ]
	mkimg --from tree img
	same "$(about tree)" "$(in_image img about seen)"
	[ "$(in_image img stat -c '%s %b' seen/hole)" = '3145728 0' ]
}

@test "an archive makes what the tree would: plain and gz, from a file and from a pipe, in tar's formats" {
	make_tree
	archive=(tar -C tree --numeric-owner --xattrs --xattrs-include='*' --sparse --exclude=./lost+found)
	"${archive[@]}" --format=posix --pax-option=delete=atime,delete=ctime -cf posix.tar .
	gzip -k posix.tar
	mkimg --from posix.tar a
	mkimg --from posix.tar.gz b
	mkimg --from - c <posix.tar
	gzip -c posix.tar | mkimg --from - d
	# Without a slash, as mmdebstrap and docker write them.
	"${archive[@]}" --format=posix --transform='flags=r;s|^\./||' -cf bare.tar .
	mkimg --from bare.tar e
	wanted=$(about tree)
	for image in a b c d e; do
		sound $image
		same "$wanted" "$(in_image $image about seen)"
	done
	# GNU's own format has whole seconds and no attributes: compare it with what tar makes of it.
	tar -C tree --numeric-owner --sparse --format=gnu -czf gnu.tgz .
	mkimg --from gnu.tgz f
	mkdir unpacked
	tar -C unpacked --numeric-owner -xpf gnu.tgz
	same "$(about unpacked)" "$(in_image f about seen)"
	[ "$(about unpacked)" != "$wanted" ]
}

@test "a later entry of the same name takes the place of the earlier" {
	mkdir -p a b/dir
	echo first >a/file
	ln -s /nowhere a/dir
	echo second >b/file
	echo inside >b/dir/file
	chmod 711 b/dir
	tar -cf twice.tar -C a file dir -C ../b file dir
	mkimg --from twice.tar img
	[ "$(in_image img cat seen/file seen/dir/file)" = "$(printf 'second\ninside')" ]
	[ "$(in_image img stat -c %a seen/dir)" = 711 ]
	# The other way round a directory that is not empty stays, and that is an error.
	tar -cf back.tar -C b file dir -C ../a file dir
	fails_saying 'unlinkat("dir"): Directory not empty (ENOTEMPTY)' --from back.tar no
	[ ! -e no ]
}

@test "the image is not copied into itself, and what lies beside it is" {
	mkdir tree
	echo other >tree/other
	mkimg --from tree tree/img
	[ "$(in_image tree/img ls -A seen)" = "$(printf '%s\n' lost+found other)" ]
	mkimg --force --from tree tree/img
	[ "$(in_image tree/img ls seen)" = "$(printf '%s\n' lost+found other)" ]
	rm tree/img
	mkimg --from tree img
	cp img tree/img
	mkimg --force --from tree img
	[ "$(in_image img ls seen)" = "$(printf '%s\n' img lost+found other)" ]
}

@test "what is mounted below the tree stays out, and comes along when it is not" {
	mkdir -p tree/below
	echo under >tree/below/under
	mount -t tmpfs none tree/below
	echo over >tree/below/over
	mkimg --from tree img
	[ -z "$(in_image img ls seen/below)" ]
	umount tree/below
	mkimg --force --from tree img
	[ "$(in_image img ls seen/below)" = under ]
}

@test "--alloc says where the bytes come from" {
	for how in sparse full zero; do
		mkimg --size 16M --alloc $how $how
		sound $how
	done
	[ "$(stat -c %b sparse)" -lt 16384 ]
	[ "$(stat -c %b full)" -ge 32768 ]
	[ "$(stat -c %b zero)" -ge 32768 ]
}

@test "--label and --uuid are the file system's, which is of 4 KiB blocks and sets none aside" {
	mkimg --size 64M --label home --uuid 01234567-89ab-cdef-0123-456789abcdef img
	run dumpe2fs -h img
	for line in 'volume name: *home' 'UUID: *01234567-89ab-cdef-0123-456789abcdef' 'Block size: *4096' \
		'Reserved block count: *0' '[Jj]ournal size'; do
		grep -q "$line" <<<"$output" || fail "no $line"
	done
	mkimg --size 64M other
	[ "$(dumpe2fs -h other 2>/dev/null | grep UUID)" != "$(grep UUID <<<"$output")" ]
}

@test "the kernel has nothing left to initialise behind our back" {
	mkimg --size 256M img
	dumpe2fs img 2>/dev/null | grep -q 'ITABLE_ZEROED'
	[ "$(dumpe2fs img 2>/dev/null | grep -c '^Group [0-9]*:')" = "$(dumpe2fs img 2>/dev/null | grep -c ITABLE_ZEROED)" ]
}

# ---- the dry run

@test "the dry run's script makes the same image, and the dry run itself makes nothing" {
	make_tree
	tar -C tree --numeric-owner --xattrs --xattrs-include='*' --format=posix --sparse -cf a.tar .
	before=$(ls -A)
	for options in '--size 24M' '--from tree' '--from a.tar' '--from tree --size 48M --alloc full --label x --force' \
		'--alloc zero --size 9M'; do
		# shellcheck disable=SC2086 # words
		{
			mkimg --dry-run $options script.img >script
			rm -f script.img
			[ "$(ls -A | grep -vx script)" = "$before" ] || fail "made something: $(ls -A)"
			sh -e ./script || fail "$(cat script)"
			mkimg $options run.img
		}
		sound script.img
		same "$(in_image run.img about seen | tail -n +2 | grep -v ' \./$')" \
			"$(in_image script.img about seen | tail -n +2 | grep -v ' \./$')"
		same "$(dumpe2fs -h run.img 2>/dev/null | grep -E '^(Inode count|Block count|Reserved|Block size|Filesystem (features|volume))')" \
			"$(dumpe2fs -h script.img 2>/dev/null | grep -E '^(Inode count|Block count|Reserved|Block size|Filesystem (features|volume))')"
		same "$(stat -c '%s %a %U' run.img)" "$(stat -c '%s %a %U' script.img)"
		rm run.img script.img script fsck
		[ "$(ls -A)" = "$before" ]
	done
}

@test "the dry run's script too leaves the image out of itself, and cleans up where it fails" {
	mkdir tree
	echo other >tree/other
	mkimg --dry-run --from tree tree/img | sh -e
	[ "$(in_image tree/img ls -A seen)" = "$(printf '%s\n' lost+found other)" ]
	before=$(ls -A . tree)
	mkimg --dry-run --from tree --uuid nonsense tree/no >script
	run ! sh -e ./script
	rm script
	[ "$(ls -A . tree)" = "$before" ]
}

@test "the dry run of --attach attaches, and of --detach takes away" {
	mkimg --size 4M img
	device=$(mkimg --dry-run --attach img | sh -e)
	[[ $(loops_on "$PWD") == "${device#/dev/} $PWD/img" ]]
	mkimg --dry-run --detach img | sh -e
	[ -z "$(loops_on "$PWD")" ]
	device=$(mkimg --dry-run --size 4M --attach two | sh -e)
	[[ $(loops_on "$PWD") == "${device#/dev/} $PWD/two" ]]
	mkimg --detach two
}

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
	mkdir inner && cd inner
	$without mkimg --explain --size 4M img 2>../told
	grep -q 'open("./.img.mkimg-[0-9]*", O_CREAT|O_EXCL|O_RDWR, 0666) = image' ../told || fail "$(cat ../told)"
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

gone_all() {
	! grep -qs "^$1/" /sys/block/loop*/loop/backing_file && [ -z "$(pgrep 'mkimg|mkfs|mke2fs')" ]
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
		[ "$(ls -A out)" = img ] || fail "$(ls -A out)"
	done
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
