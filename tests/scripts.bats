#!/usr/bin/env bats
# scripts/rootfs and scripts/install, in temporary directories only: nothing here needs a namespace, nothing is built.
# shellcheck disable=SC2016 # what stands in single quotes is for the fakes to expand

bats_require_minimum_version 1.5.0

setup() {
	scripts=$BATS_TEST_DIRNAME/../scripts
	cd "$BATS_TEST_TMPDIR" || return
	# No test may reach the machine's packages.
	fake apt-get 'echo "a test called apt-get $*" >&2; exit 1'
}

# Prints what is in a directory, hidden or not.
everything_in() {
	find "$1" -mindepth 1 | sort
}

# Makes a repository of two tools that are shell scripts, with our scripts in it.
make_repository() {
	local tool built=repo/target/x86_64-unknown-linux-gnu/release
	mkdir -p "$built"
	cp -r "$scripts" repo/scripts
	printf '[workspace.package]\nversion = "9.8.7"\nrust-version = "1.85"\n' >repo/Cargo.toml
	for tool in nsexec cgset; do
		mkdir "repo/$tool"
		: >"repo/$tool/Cargo.toml"
		printf '# %s\n\nDo one thing to `itself`.\n\n## OPTIONS\n\n- `--help`\n' "$tool" >"repo/$tool/README.md"
		printf '#!/bin/sh\necho this is %s\n' "$tool" >"$built/$tool"
		chmod 755 "$built/$tool"
	done
}

# Puts a program of that name first in PATH.
fake() {
	local fakes=$BATS_TEST_TMPDIR.fakes
	mkdir -p "$fakes"
	printf '#!/bin/sh\n%s\n' "$2" >"$fakes/$1"
	chmod 755 "$fakes/$1"
	case $PATH in "$fakes:"*) ;; *) PATH=$fakes:$PATH ;; esac
}

# rootfs

@test "rootfs busybox: a static shell, the applets, the directories, nothing else beside it" {
	mkdir here
	run --separate-stderr "$scripts/rootfs" busybox here/root
	[ "$status" = 0 ]
	[ -z "$output$stderr" ]
	[ "$(ls -A here)" = root ]
	[ "$(readlink here/root/bin/sh)" = busybox ]
	[ -x here/root/bin/sh ]
	[ -x here/root/sbin/ip ] && [ -x here/root/usr/bin/env ]
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

@test "rootfs: --force does not replace a directory that is no root file system" {
	mkdir -p home/work
	run "$scripts/rootfs" --force busybox home
	[ "$status" = 1 ]
	[[ $output = *"does not look like a root file system"* ]]
	[ -d home/work ]
}

@test "rootfs: a file in the way, a missing parent, a missing word are refused, each by name" {
	touch file
	run "$scripts/rootfs" busybox file
	[ "$status" = 1 ] && [[ $output = *"file is there and is not a directory" ]]
	run "$scripts/rootfs" busybox no/root
	[ "$status" = 1 ] && [[ $output = *"/no: there is no such directory"* ]]
	run "$scripts/rootfs" busybox
	[ "$status" = 1 ] && [[ $output = *usage:* ]]
	run "$scripts/rootfs" alpine root
	[ "$status" = 1 ] && [[ $output = *"no kind alpine"* ]]
	run "$scripts/rootfs" busybox root sh
	[ "$status" = 1 ] && [[ $output = *"one word too many" ]]
	run "$scripts/rootfs" busybox root --forse
	[ "$status" = 1 ] && [[ $output = *"no option --forse"* ]]
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

@test "the header comment of each script is its help" {
	for script in rootfs try install; do
		run --separate-stderr "$scripts/$script" --help
		[ "$status" = 0 ]
		[[ ${lines[0]} = "$script - "* ]]
		[[ $output != *'set -eu'* ]]
		[ -z "$stderr" ]
	done
}

# install

@test "install: tools, scripts and manual pages arrive and work; uninstall leaves nothing, twice" {
	make_repository
	DESTDIR=$PWD/stage repo/scripts/install --prefix /opt/box
	[ "$(stage/opt/box/bin/nsexec)" = "this is nsexec" ]
	[ "$(stat -c %a stage/opt/box/bin/nsexec)" = 755 ]
	mkdir tree
	stage/opt/box/bin/rootfs --help | grep -q '^rootfs - '
	stage/opt/box/bin/rootfs busybox tree/root
	[ -x tree/root/bin/sh ]
	[ -s stage/opt/box/share/man/man1/cgset.1 ]
	[ -z "$(find stage -perm /6000)" ]
	DESTDIR=$PWD/stage repo/scripts/install --prefix=/opt/box --uninstall
	[ -z "$(everything_in stage)" ]
	DESTDIR=$PWD/stage repo/scripts/install --prefix=/opt/box --uninstall
	[ -z "$(everything_in stage)" ]
}

@test "install: every script comes with its parts, which are no commands; what is for a clone only stays there" {
	make_repository
	mkdir -p repo/scripts/verb.d/deep repo/scripts/report/results
	printf '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/verb.d/part"\n' >repo/scripts/verb
	printf '#!/bin/sh\ncat "$(dirname "$0")/deep/words"\n' >repo/scripts/verb.d/part
	echo 'from the part' >repo/scripts/verb.d/deep/words
	echo layout >repo/scripts/report/report.typ
	echo numbers >repo/scripts/report/results/runs.csv
	chmod 755 repo/scripts/verb repo/scripts/verb.d/part
	repo/scripts/install --prefix box 2>/dev/null
	[ "$(box/bin/verb)" = 'from the part' ]
	[ -x box/bin/container ] && [ -x box/bin/rootfs ] && [ -e box/lib/boxutils/lib.sh ]
	[ "$(cat box/lib/boxutils/report/report.typ)" = layout ]
	[ "$(stat -c %a box/lib/boxutils/verb.d/part box/lib/boxutils/verb.d/deep/words | xargs)" = '755 644' ]
	[ ! -e box/bin/part ] && [ ! -e box/bin/lib.sh ] && [ ! -e box/lib/boxutils/report/results ]
	[ ! -e box/bin/install ] && [ ! -e box/bin/try ] && [ ! -e box/lib/boxutils/md2man.awk ]
	# What a later version does not have goes with the earlier one.
	rm -r repo/scripts/verb.d repo/scripts/verb
	repo/scripts/install --prefix box 2>/dev/null
	[ ! -e box/lib/boxutils/verb.d ] && [ ! -L box/bin/verb ]
	repo/scripts/install --prefix box --uninstall
	[ ! -e box ] || [ -z "$(everything_in box)" ]
}

@test "install: uninstall leaves what others put there" {
	make_repository
	mkdir -p stage/usr/local/bin
	touch stage/usr/local/bin/theirs
	before=$(everything_in stage)
	DESTDIR=$PWD/stage repo/scripts/install
	mkdir -p stage/usr/local/lib/boxutils stage/usr/local/share/man/man1
	touch stage/usr/local/share/man/man1/theirs.1
	DESTDIR=$PWD/stage repo/scripts/install --uninstall
	[ -e stage/usr/local/share/man/man1/theirs.1 ]
	rm -r stage/usr/local/share
	[ "$(everything_in stage)" = "$before" ]
}

@test "install: a file of somebody else is not replaced, and then nothing is installed" {
	make_repository
	mkdir -p stage/usr/bin
	echo libcgroup >stage/usr/bin/cgset
	before=$(everything_in stage)
	DESTDIR=$PWD/stage run repo/scripts/install --prefix /usr
	[ "$status" = 1 ]
	[[ $output = *"/usr/bin/cgset is there and not ours"* ]]
	[ "$(cat stage/usr/bin/cgset)" = libcgroup ]
	[ "$(everything_in stage)" = "$before" ]
}

@test "install: once more replaces what it installed, and drops what is no more" {
	make_repository
	DESTDIR=$PWD/stage repo/scripts/install
	rm -r repo/cgset
	sed -i s/this/that/ repo/target/*/release/nsexec
	DESTDIR=$PWD/stage repo/scripts/install
	[ "$(stage/usr/local/bin/nsexec)" = "that is nsexec" ]
	[ ! -e stage/usr/local/bin/cgset ]
	DESTDIR=$PWD/stage repo/scripts/install --uninstall
	[ -z "$(everything_in stage)" ]
}

@test "install: another cgset earlier in PATH is pointed out; none, nothing is said" {
	make_repository
	PATH=$PWD/box/bin:$PATH run repo/scripts/install --prefix box
	[ "$status" = 0 ]
	[ -z "$output" ]
	fake cgset 'echo libcgroup'
	PATH=$BATS_TEST_TMPDIR.fakes:$PWD/box/bin:$PATH run repo/scripts/install --prefix box
	[ "$status" = 0 ]
	[ "$output" = "install: careful: cgset in your PATH is $BATS_TEST_TMPDIR.fakes/cgset, not $PWD/box/bin/cgset" ]
}

@test "install: builds what is not built, without the RUSTFLAGS of the caller" {
	make_repository
	rm repo/target/*/release/nsexec
	fake rustc 'echo rustc 1.85.0'
	fake cargo 'case $1 in
		--version) echo cargo 1.85.0 ;;
		*) echo "$* in $PWD with ${RUSTFLAGS-none}" >>"$BATS_TEST_TMPDIR/calls"; cp target/*/release/cgset target/x86_64-unknown-linux-gnu/release/nsexec ;;
	esac'
	RUSTFLAGS='-C debuginfo=2' DESTDIR=$PWD/stage repo/scripts/install
	[ "$(cat calls)" = "build --release --locked --target-dir target in $PWD/repo with none" ]
	[ -x stage/usr/local/bin/nsexec ]
	: >calls
	DESTDIR=$PWD/stage repo/scripts/install
	[ ! -s calls ]
}

@test "install: a build that leaves no tool is an error, and nothing is installed" {
	make_repository
	rm repo/target/*/release/nsexec
	fake rustc 'echo rustc 1.85.0'
	fake cargo 'echo cargo 1.85.0'
	DESTDIR=$PWD/stage run repo/scripts/install
	[ "$status" = 1 ]
	[[ $output = *"the build left no "*/nsexec ]]
	[ -z "$(everything_in stage)" ]
}

@test "an old cargo is not good enough: the packages of a new one are named" {
	[ ! -x /usr/bin/cargo ] || skip "this machine has a cargo in /usr/bin"
	make_repository
	rm repo/target/*/release/nsexec
	fake rustc 'echo rustc 1.84.9'
	fake cargo 'echo cargo 1.84.9'
	fake id 'echo 1000'
	fake apt-cache 'case $2 in
		rustc) echo "  Candidate: 1.63.0+dfsg1-2" ;;
		rustc-web) echo "  Candidate: 1.85.0+dfsg3-1" ;;
		*) echo "  Candidate: (none)" ;;
	esac'
	DESTDIR=$PWD/stage run repo/scripts/install
	[ "$status" = 1 ]
	[[ $output = *"only root can: apt-get install"*" cargo-web rustc-web" ]]
	[ -z "$(everything_in stage)" ]
}

# manual pages

@test "the manual page of a README is one that man and whatis read without a word" {
	command -v groff >/dev/null || skip "no groff"
	make_repository
	cat >repo/nsexec/README.md <<-'END'
		# nsexec

		## NAME

		nsexec – run a program in new namespaces

		## DESCRIPTION

		Makes `--net` and **so** on; see [pivot](../pivot/README.md).
		.dots and 'quotes' first in a line, C:\path, all stay.

		    $ nsexec --pid sh -c 'echo $$'
		    .dot

		| option | what |
		|---|---|
		| `--net=A\|B` | a network namespace of its own, with a loopback interface that is up |

		- one
		  - two
	END
	DESTDIR=$PWD/stage repo/scripts/install
	page=stage/usr/local/share/man/man1/nsexec.1
	[ -z "$(groff -man -t -ww -z "$page" 2>&1)" ]
	run groff -man -t -Tascii -P-cbou "$page"
	for text in 'nsexec - run a program in new namespaces' 'see pivot.' '.dots and ' 'C:\path' \
		"\$ nsexec --pid sh -c 'echo \$\$'" '   .dot' '--net=A|B' 'boxutils 9.8.7'; do
		[[ $output = *"$text"* ]]
	done
	[[ $output != *'`'* ]] && [[ $output != *'**'* ]]
	! command -v lexgrog >/dev/null || lexgrog "$page" | grep -q 'nsexec - run a program in new namespaces'
}

# try

@test "try: without root it says why not, and does nothing" {
	fake id 'echo 1000'
	run "$scripts/try"
	[ "$status" = 1 ]
	[[ $output = "try: this demonstration needs root"* ]]
	[ -z "$(everything_in .)" ]
}
