#!/usr/bin/env bats
# mkimg on the kernel it is for: what it makes, by itself and as a script. Run by: tests/run kernel mkimg

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and mkimg.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash
load mkimg.bash

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
	# As mkfs makes it by itself, something is left.
	truncate -s 256M lazy
	mkfs.ext4 -q -E lazy_itable_init=1,nodiscard lazy
	[ "$(dumpe2fs lazy 2>/dev/null | grep -c '^Group [0-9]*:')" -gt "$(dumpe2fs lazy 2>/dev/null | grep -c ITABLE_ZEROED)" ]
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
