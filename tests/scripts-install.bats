#!/usr/bin/env bats
# scripts/install, the manual pages that it makes, and scripts/try as far as it can refuse, in temporary directories only:
# nothing here needs a namespace, nothing is built.
# What stands in single quotes is for the fakes to expand, and scripts.bash sets variables:
# shellcheck disable=SC2016,SC2154

load scripts.bash

setup() {
	setup_scripts
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
	[ -x box/bin/container ]
	[ -x box/bin/rootfs ]
	[ -e box/lib/boxutils/lib.sh ]
	[ "$(cat box/lib/boxutils/report/report.typ)" = layout ]
	[ "$(stat -c %a box/lib/boxutils/verb.d/part box/lib/boxutils/verb.d/deep/words | xargs)" = '755 644' ]
	[ ! -e box/bin/part ]
	[ ! -e box/bin/lib.sh ]
	[ ! -e box/lib/boxutils/report/results ]
	[ ! -e box/bin/install ]
	[ ! -e box/bin/try ]
	[ ! -e box/lib/boxutils/md2man.awk ]
	# What a later version does not have goes with the earlier one.
	rm -r repo/scripts/verb.d repo/scripts/verb
	repo/scripts/install --prefix box 2>/dev/null
	[ ! -e box/lib/boxutils/verb.d ]
	[ ! -L box/bin/verb ]
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

@test "install: a PATH that does not lead there, or to others first, is pointed out in one line; else nothing is said" {
	make_repository
	PATH=$PWD/box/bin:$PATH run repo/scripts/install --prefix box
	[ "$status" = 0 ]
	[ -z "$output" ]
	run repo/scripts/install --prefix box
	[ "$status" = 0 ]
	[ "$output" = "install: careful: your PATH does not lead to $PWD/box/bin: export PATH=\"$PWD/box/bin:\$PATH\"" ]
	fake cgset 'echo libcgroup'
	fake lab 'echo theirs'
	PATH=$BATS_TEST_TMPDIR.fakes:$PWD/box/bin:$PATH run repo/scripts/install --prefix box
	[ "$status" = 0 ]
	[ "$output" = "install: careful: your PATH has others before those in $PWD/box/bin: $BATS_TEST_TMPDIR.fakes/cgset $BATS_TEST_TMPDIR.fakes/lab" ]
	# By another name it is the same directory.
	ln -s box other
	PATH=$PWD/other/bin:$PATH run repo/scripts/install --prefix box
	[ -z "$output" ]
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
	[[ $output != *'`'* ]]
	[[ $output != *'**'* ]]
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
