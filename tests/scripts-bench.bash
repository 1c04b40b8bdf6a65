# What the tests of scripts/bench share: a directory of the test's own, a tree that has a sysbench, and what a run keeps.

# shellcheck shell=bash
# shellcheck disable=SC2034 # some variables are for the test files to use

bats_require_minimum_version 1.5.0

# Each file's setup.
setup() {
	scripts=$BATS_TEST_DIRNAME/../scripts
	parts=$scripts/bench.d
	mkdir "$BATS_TEST_TMPDIR/here"
	cd "$BATS_TEST_TMPDIR/here" || return
	header=order,block,place,test,value,unit,seconds,status
	starts_header=order,way,mode,first_usec,whole_usec,status
}

bench() {
	"$scripts/bench" "$@"
}

# Asserts that two texts are equal, and shows how not.
same() {
	[ "$1" = "$2" ] || { diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") >&2; return 1; }
}

# Makes a tree that has something called sysbench.
make_tree() {
	mkdir -p tree/usr/bin tree/mnt
	printf '#!/bin/sh\n' >tree/usr/bin/sysbench
	chmod 755 tree/usr/bin/sysbench
}

# Writes the settings of a DIR, as a run keeps them.
make_settings() {
	mkdir -p "$1/raw"
	cat >"$1/settings" <<-END
		blocks=$2
		seconds=0.4
		rounds=$3
		file_size=128M
		memory=512M
		only=$4
		tree=$PWD/tree
		sysbench=$(sha256sum tree/usr/bin/sysbench | cut -d' ' -f1)
		seed=7
	END
}

# Prints the awks of this machine.
awks() {
	for name in mawk gawk original-awk 'busybox awk'; do
		# shellcheck disable=SC2086 # a command and a word
		! command -v ${name%% *} >/dev/null || printf '%s\n' "$name"
	done
}
