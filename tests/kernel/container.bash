# What the tests of containers share: a root and an image of it, and a world whose network plays the machine. It is loaded
# after lib.bash and groups.bash.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # some are for the test files to use, and lib.bash sets some

# Each file's setup_file, setup and teardown, unless it has its own, which calls the same functions.
setup_file() {
	setup_container_file
}

setup() {
	setup_container
	take_image
}

teardown() {
	teardown_container
}

# Makes `root` and `image` in $BATS_FILE_TMPDIR.
setup_container_file() {
	setup_world_file
	cd "$BATS_FILE_TMPDIR" || return
	make_root root
	"$BOXUTILS_BIN/mkimg" --from root image
}

# The first line of each setup.
setup_container() {
	setup_group
	# vethup keeps its lock there.
	own_run
}

# The last line of each teardown: vethup --down leaves nothing, nor does anything else.
teardown_container() {
	vethup --down
	umount /run
	teardown_group || return
	[ -z "$(left_of_network)" ] || fail "left: $(left_of_network)" || return
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ] || fail 'left: forwarding'
}

left_of_network() {
	nft list ruleset
	ip -o link show type bridge
}

# Gives the test an image of its own, img.
take_image() {
	cp --sparse=always "$BATS_FILE_TMPDIR/image" img
}

container() {
	"$top/scripts/container" "$@"
}

# Starts a container beside us, and without the descriptors of bats.
detach() {
	without_descriptors "$top/scripts/container" run --detach --log log --name "$group" "$@"
}

# A program that says that it is there, and does not end.
STAY='echo here; while :; do sleep 1000 & wait $!; done'

stay() {
	detach --no-net img -- /bin/sh -c "$STAY"
}

# The first lines of the teardown of a test that detaches: whatever became of PATH.
end_detached() {
	PATH=$BIN:/usr/sbin:/usr/bin:/sbin:/bin
	! grep -q . <<<"$(directories)" || container stop --time 0 "$group"
}

nothing_of_it() {
	[ -z "$(directories)" ] && no_process_left && no_loop_left
}

# Prints the program's number outside.
pid() {
	container ps --json | grep -oE '"pid": [0-9]+' | grep -oE '[0-9]+'
}

# Puts a cp in the way that does not come to its end.
slow_cp() {
	mkdir fakes
	printf '#!/bin/sh\ntouch %s/copying\nexec sleep 1000\n' "$PWD" >fakes/cp
	chmod 755 fakes/cp
	PATH=$PWD/fakes:$PATH
}

is_frozen() {
	[ "$("$BOXUTILS_BIN/cgset" --stat "$group" | sed -n 's/^frozen *//p')" = "${1-true}" ]
}

is_thawed() {
	is_frozen false
}
