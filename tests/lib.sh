#!/bin/sh
# What tests/run, tests/readme and the kernel tests share. It is sourced, never run:
#
#     top=the repository
#     . "$top/tests/lib.sh"
#
# BOXUTILS_BIN names another directory of built tools than the release build's.

: "${top:?names the repository}"
BOXUTILS_BIN=${BOXUTILS_BIN:-$top/target/x86_64-unknown-linux-gnu/release}
export top BOXUTILS_BIN

# Prints the namespaces that process PID is in, one word each.
namespaces_of() {
	for kind in mnt uts ipc net pid user cgroup time; do
		readlink "/proc/$1/ns/$kind"
	done
}

# Becomes a command in a world of its own: mounts, network, names, queues and processes in which nothing it does reaches
# the machine, and with every signal at its default, whoever started this. What still runs when it ends is killed, and all
# of it when the one that started it has. BOXUTILS_OUTSIDE tells it the namespaces it must not be in.
enter_world() {
	BOXUTILS_OUTSIDE=$(namespaces_of self)
	export BOXUTILS_OUTSIDE
	exec setpriv --pdeathsig KILL unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc sh -euc '
		hostname world
		ip link set lo up
		echo 0 >/proc/sys/net/ipv4/ip_forward
		exec env --default-signal "$@"' world "$@"
}

# Runs a command in such a world.
in_world() {
	(enter_world "$@")
}

# Runs a command as the user nobody, with no capability and no group.
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --ambient-caps=-all "$@"
}
