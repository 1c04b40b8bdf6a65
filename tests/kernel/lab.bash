# What the kernel tests of scripts/lab share: a small tree of one busybox, and a lab in it. The world's network plays the
# machine.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # lib.bash sets some

setup_file() {
	setup_world_file
	cd "$BATS_FILE_TMPDIR" || return
	mkdir ready
	make_root ready/rootfs
	"$BOXUTILS_BIN/mkimg" --size 96M --from ready/rootfs ready/lab.img
}

setup() {
	setup_group
	own_run
	LAB_NAME=$group
	export LAB_NAME
	unset LAB_DIR
}

teardown() {
	rm -rf fakes
	lab down --all >/dev/null 2>&1
	umount /run
	teardown_group
	local answer=$?
	[ -z "${lock-}" ] || free_net_cls || answer=1
	return "$answer"
}

lab() {
	"$top/scripts/lab" "$@"
}

# Runs `lab up` on a small tree, without the descriptors of bats, which a container that stays would keep.
up() {
	without_descriptors "$top/scripts/lab" up --tree busybox --size 96M --home 16M "$@"
}

# Puts a tree and an image in place that were made before, as if the lab had made them there.
have_tree() {
	mkdir lab
	cp -a "$BATS_FILE_TMPDIR/ready/rootfs" lab/
	cp --sparse=always "$BATS_FILE_TMPDIR/ready/lab.img" lab/
	printf '%s\n' 'rootfs busybox' lab.img >lab/.lab
}

inside() {
	"$top/scripts/container" exec "$LAB_NAME" -- "$@"
}

lab_pid() {
	"$top/scripts/container" ps --json | grep -oE "\"$LAB_NAME\", \"pid\": [0-9]+" | grep -oE '[0-9]+$'
}
