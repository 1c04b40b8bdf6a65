# What the tests of nsexec --join share. It is loaded after lib.bash, groups.bash and namespaces.bash.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # some are for the test files to use, and lib.bash sets some

# Each file's setup_file and setup: a root, and an image of it, for not every file system can map ids and that can.
setup_file() {
	setup_world_file
	make_root "$BATS_FILE_TMPDIR/root" >/dev/null
	"$BATS_FILE_TMPDIR/bin/mkimg" --from "$BATS_FILE_TMPDIR/root" "$BATS_FILE_TMPDIR/img"
}

setup() {
	setup_group
	root=$BATS_FILE_TMPDIR/root image=$BATS_FILE_TMPDIR/img
}

# as_nobody, for a command that is started.
NOBODY='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --ambient-caps=-all'

# Prints everything that --join takes over from a process, as this side sees it.
shape() {
	namespaces_of "$1"
	stat -L -c '%n %d %i' "/proc/$1/root" "/proc/$1/cwd" | cut -d/ -f4
	cat "/proc/$1/cgroup"
	grep -E '^(Uid|Gid|Cap...|NoNewPrivs):' "/proc/$1/status"
}

# Starts a command that becomes `/bin/sleep 1000`: a process to join, which is `held`; `holder` is what was started.
hold_program() {
	start "$@"
	holder=$started
	until_true find_program /bin/sleep 1000
	held=$found
}

# Finds the process whose command line this is; `found` is its PID.
find_program() {
	local pid words
	found=
	for pid in /proc/[0-9]*; do
		words=()
		{ mapfile -d '' -t words <"$pid/cmdline"; } 2>/dev/null || :
		[ "${words[*]}" != "$*" ] || found=${pid#/proc/}
	done
	[ -n "$found" ]
}

# Starts a container that sleeps: contain OPTION-OF-PIVOT...; `held` is its process 1.
contain() {
	[[ $* != *--userns* ]] || local root=$image
	hold_program nsexec --all -- pivot "$@" "$root" /bin/sleep 1000
}

end_held() {
	kill -9 "$held"
	finish "$holder"
}

# Joins `held` with a process that sleeps: `inside` is that process, `joiner` the nsexec.
start_inside() {
	start nsexec --join "$held" /bin/sleep 2000
	joiner=$started
	until_true find_program /bin/sleep 2000
	inside=$found
}

end_inside() {
	kill -9 "$inside"
	finish "$joiner"
}

# Asserts that a process that joins `held` is where that is, and has no more.
is_alike() {
	start_inside
	same "$(shape "$held")" "$(shape "$inside")" || { end_inside; return 1; }
	end_inside
}
