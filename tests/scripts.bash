# What the tests of scripts share: a directory of the test's own, fakes, a repository of tools that are shell scripts. Loaded
# first.

# shellcheck shell=bash
# Some variables are for the test files to use, and what stands in single quotes is text:
# shellcheck disable=SC2016,SC2034

bats_require_minimum_version 1.5.0

# The first line of each setup.
setup_scripts() {
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
