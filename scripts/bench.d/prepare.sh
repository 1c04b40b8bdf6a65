# The world that is measured in, and what is made before the first run: nothing is installed, built or copied later.
# Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

# More than there is, so that the limits are there, are counted, and do not bite.
cpus=$((2 * $(nproc)))
pids=512

# Installs the peers that are missing here. Who cannot be had is missing from the results, with the reason.
install_peers() {
	! any_wanted lxc || need lxc-execute lxc
	if wanted_starts; then
		need cc gcc libc6-dev
		! wanted starts/bwrap || need bwrap bubblewrap
		! wanted starts/runc || need runc runc
		! wanted starts/nspawn || need systemd-nspawn systemd-container
	fi
	asked_for=$missing
	(install_missing) || say "without$asked_for, then: missing.tsv will say so"
	missing=
}

# Tells whether any cell of place or way $1 is wanted.
any_wanted() {
	{ cells; starts_cells; } | grep -q "/$1\$"
}

wanted_starts() {
	[ -n "$(starts_cells)" ]
}

# Makes this process's mounts and network fit for measuring: a /run that goes with it, where LXC and others leave locks,
# and a /sys that shows this network, where LXC looks for the bridge.
own_world() {
	mount -t tmpfs -o mode=755 run /run
	mkdir /run/groups
	mount --rbind /sys/fs/cgroup /run/groups
	mount -t sysfs sysfs /sys
	mount --rbind /run/groups /sys/fs/cgroup
	umount --lazy /run/groups
	rmdir /run/groups
}

# Copies the tree, makes the image of it, and a set of files in both; and a network for all.
prepare() {
	rm -rf --one-file-system "$work"
	mkdir -p "$work" "$dir/raw"
	progress 'preparing the tree, the image and the files'
	"$bin/vethup" --nat -- true
	if [ -n "$(cells)" ]; then
		cp -a --reflink=auto "$tree" "$root"
		mkdir -p "$root/bench"
		"$bin/mkimg" --from "$root" --size "$(image_size)" --alloc full "$image" ||
			die "no image of $tree could be made"
		write_lxc_settings "$root"
		make_files host || die "sysbench could not make its files: $(last_words "$work/said")"
		# What needs these will fail in its own runs, with the reason.
		make_files loop-direct || say "no files in the image: $(last_words "$work/said")"
		explain
	fi
	settle
}

# Makes the set of files that a place reads and writes.
make_files() {
	# shellcheck disable=SC2046 # a list of words
	in_place 'watched 600' "$1" $(file_words) prepare >"$work/said" 2>&1
}

# Keeps what the container's line says of itself, and what sysbench says it is.
explain() {
	(cd "$work" && "$here/container" run --explain --name "$group" --memory "$memory" --cpus "$cpus" --pids "$pids" \
		--image "${image##*/}" -- /usr/bin/sysbench --version) >"$work/sysbench-version" 2>"$work/said" 9>&- ||
		say "the container cannot start: $(last_words "$work/said")"
	sed "s|$work/||g; s|$bin/||g; s|$here/|scripts/|g; s|$group|bench|g" "$work/said" >"$dir/explain.txt"
}

# Prints how large the image must be: the tree, the set of files, and some room.
image_size() {
	tree_size=$(du -sm "$root" | cut -f1)
	set_size=$(awk -v size="$file_size" 'BEGIN {
		unit = substr(size, length(size)); bytes = size + 0
		bytes *= unit == "G" ? 1024 : unit == "M" ? 1 : unit == "K" ? 1 / 1024 : 1 / 1048576
		printf "%d\n", bytes + 1
	}')
	echo "$((tree_size * 5 / 4 + set_size * 9 / 8 + 64))M"
}

# Writes what is dirty, and takes what is left of the image out of the host's page cache, so that no run finds its blocks
# there. Other caches need no care: sysbench opens its files with O_DIRECT.
settle() {
	sync --file-system "$dir"
	[ ! -e "$image" ] || dd if="$image" iflag=nocache count=0 status=none
}

# Ends what runs, and removes what was made to measure with.
cleanup() {
	status=$?
	trap '' HUP INT PIPE TERM
	if [ -n "$child" ]; then
		kill -s TERM "$child" 2>/dev/null || :
		# timeout(1) is killed with its group where it does not come to an end: it killed its own after five seconds.
		wait "$child" 2>/dev/null || :
	fi
	exec 8<&-
	[ -z "$device" ] || losetup --detach "$device" 2>/dev/null || :
	! remove_groups || [ "$verb" != run ] || forget_groups "$dir" || :
	remove_nspawn_groups
	[ -z "${trial-}" ] || { umount "$tree/mnt" 2>/dev/null || :; rm -rf "$trial"; }
	[ -z "$outer" ] || [ "$verb" != run ] || remove_work
	progress ''
	case $status in
	129 | 130 | 143) say "ended by a signal; started again with the same words it goes on" ;;
	esac
	exit "$status"
}

# Removes the tree, the image and the files, which may take half a minute: who has interrupted it is told.
remove_work() {
	[ -d "$work" ] || return 0
	size=$(du -sm "$work" 2>/dev/null | cut -f1)
	progress ''
	case $status in
	129 | 130 | 143) say "removing $size MiB in $(quote "$work") ..." ;;
	*) progress "removing $size MiB in $(quote "$work")" ;;
	esac
	rm -rf --one-file-system "$work" || say "to be removed by hand: $work"
}

# Prints the groups that systemd-nspawn makes below the one it is started in, and leaves, where they are.
nspawn_groups() {
	while IFS=: read -r _ controllers path; do
		case $controllers in
		name=systemd) filesystem='cgroup [^ ]* \(.*,\)\{0,1\}name=systemd\(,.*\)\{0,1\}' ;;
		'') filesystem='cgroup2 .*' ;;
		*) continue ;;
		esac
		hierarchy=$(sed -n "s|^[^ ]* [^ ]* [^ ]* / \([^ ]*\) .* - $filesystem.*|\1|p" /proc/self/mountinfo | head -n 1)
		for left in payload supervisor; do
			[ ! -d "$hierarchy${path%/}/$left" ] || printf '%s\n' "$hierarchy${path%/}/$left"
		done
	done </proc/self/cgroup
}

# Removes those that were not there before us; a group with somebody in it cannot be removed.
remove_nspawn_groups() {
	nspawn_groups | while read -r left; do
		printf '%s\n' "$others_groups" | grep -qxF "$left" || rmdir "$left" 2>/dev/null || :
	done
}

others_groups=$(nspawn_groups)
