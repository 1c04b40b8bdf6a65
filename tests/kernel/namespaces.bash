# What the tests of namespaces share. It is loaded after lib.bash.

# shellcheck shell=bash
# shellcheck disable=SC2154 # bats and lib.bash set variables

# Prints the namespace of a kind that a process is in, ours by default.
namespace() {
	local kind=${1/mount/mnt}
	readlink "/proc/${2:-self}/ns/$kind"
}

# Runs a shell command in new namespaces made without our tools, and waits until it is there; `held` is its PID.
hold() {
	start unshare "$@" sh -c 'touch held; exec sleeper 1000'
	until_true exists held
	held=$started
	[[ $* != *--fork* ]] || held=$(child "$started")
	until_true runs_program "$held" sleeper
}

release() {
	kill -9 "$held"
	finish
}

# Asserts what nsexec says on stderr, and its exit status: fails_with STATUS TEXT COMMAND...
fails_with() {
	local wanted=$1 text=$2
	shift 2
	run "-$wanted" --separate-stderr -- "$@"
	same "$text" "$stderr" || return
	[ -z "$output" ] || fail "on stdout: $output"
}

# Where PROBE prints what a program can see. Namespaces in $KNOWN are printed by number, others as new.
write_probe() {
	cat >probe <<-'END'
		#!/bin/sh
		for kind in mnt uts ipc net pid user cgroup time; do
			link=$(readlink "/proc/self/ns/$kind")
			case " $KNOWN " in *" $link "*) echo "$link" ;; *) echo "$kind: new" ;; esac
		done
		[ $$ != 1 ] || echo process 1
		# Numbers of mounts and peer groups differ from run to run.
		sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //; s/(shared|master|propagate_from):[0-9]+/\1/g' /proc/self/mountinfo
		ip -o link
		ip -o addr
		ip route
		cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start
		cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname
		grep -E '^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|Sig[BIC])' /proc/self/status
		cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/cgroup
		env | grep -Ev '^(_|PWD|OLDPWD|SHLVL)=' | sort
		pwd
		umask
		ls /proc/self/fd
		printf '<%s>\n' "$@"
	END
	chmod 755 probe
	KNOWN=$(namespaces_of self | xargs)
	export KNOWN
}

# Asserts that `nsexec OPTION... -- "$PWD/probe"` and its dry run, executed, see the same; first words may be as_nobody.
dry_run_equals_run() {
	local user=()
	[ "$1" != as_nobody ] || { user=(as_nobody); shift; }
	"${user[@]}" nsexec "$@" -- "$PWD/probe" 'a b' "it's" >really 2>&1 3>&- </dev/null || { fail "run: $(cat really)"; return; }
	"${user[@]}" nsexec --dry-run "$@" -- "$PWD/probe" 'a b' "it's" >script 3>&-
	"${user[@]}" sh -e script >dryly 2>&1 3>&- </dev/null || { fail "dry run of $*: $(cat dryly script)"; return; }
	grep -q '^CapBnd' really
	diff really dryly || fail "$* differ; the script: $(cat script)"
}

# Prints what is kept, a line each: path from here, kind, state, processes, keeper.
kept() {
	nsexec --list --json "$@" | sed -n 's|^  {"path": "'"$PWD"'/\([^"]*\)", "kind": "\([a-z]*\)", "inode": [0-9]*, "state": "\([a-z]*\)", "processes": \([0-9]*\), "kept_by": "\([a-z-]*\)"},\{0,1\}$|\1 \2 \3 \4 \5|p'
}
