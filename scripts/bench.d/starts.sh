# How fast each way starts: a list of their lines, and the program that runs and times them. Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

starts_header=order,way,mode,first_usec,whole_usec,status

# Prints one line of the list: the way, its program by its path, and the words, between tabs. A way whose program is not
# here is noted as missing.
way() {
	name=$1
	shift
	wanted "starts/$name" || return 0
	program=$(command -v "$1") || {
		printf '%s\t%s is not installed\n' "$name" "$1" >>"$dir/starts-failed.tsv"
		return 0
	}
	shift
	printf '%s\t%s' "$name" "$program"
	[ $# = 0 ] || printf '\t%s' "$@"
	echo
}

# Prints the ways to start the program that writes down the time. Each runs it in new PID, mount, network, UTS and IPC
# namespaces with a /proc and a root of its own; what it does besides is in what_a_way_does.
list_ways() {
	cell=$work/cell
	way floor "$work/floor" "$cell" /bin/stamp
	way nsexec-pivot "$bin/nsexec" --pid --net --mount --uts --ipc -- "$bin/pivot" "$cell" /bin/stamp
	# As container run has it, from a directory as all here.
	way chain "$bin/cgset" --transient --memory "$memory" --cpus "$cpus" --pids "$pids" "$group" -- "$bin/vethup" --nat -- \
		"$bin/nsexec" --pid --mount --uts --ipc --cgroup --hostname bench -- "$bin/pivot" --userns auto --dns auto "$cell" /bin/stamp
	way unshare unshare --pid --net --mount --uts --ipc --fork --mount-proc --root="$cell" /bin/stamp
	way bwrap bwrap --unshare-pid --unshare-net --unshare-uts --unshare-ipc --bind "$cell" / --proc /proc --dev /dev /bin/stamp
	way runc runc --root "$work/runc" run --bundle "$work/bundle" "$group"
	way lxc lxc-execute -P "$work/lxc" -n "$group" -f "$work/lxc.conf" -o "$work/lxc.log" -- /bin/stamp
	way nspawn systemd-nspawn --quiet --register=no --keep-unit --as-pid2 --pipe --private-network --resolv-conf=off \
		--timezone=off --link-journal=no --directory="$cell" /bin/stamp
}

# Prints what the way $1 does besides: no two of them make the same container.
what_a_way_does() {
	case $1 in
	floor) echo 'one C program without a libc: namespaces, bind, /proc, pivot_root; no confinement' ;;
	nsexec-pivot) echo 'also /dev, /sys read-only, few capabilities, no_new_privs, masked kernel files' ;;
	chain) echo 'nsexec-pivot with memory, CPU and process limits, cgroup and user namespace, a veth cable on a bridge with address, route and NAT, name servers: like for like with lxc, which has no user namespace here' ;;
	unshare) echo 'util-linux: /proc and nothing more; no confinement' ;;
	bwrap) echo 'bubblewrap: also /dev, no_new_privs; no limits, no network but lo' ;;
	runc) echo 'what runc spec writes: /dev, /sys, few capabilities, cgroup namespace, a group without limits; no network but lo' ;;
	lxc) echo 'lxc-execute: /dev, /sys, the limits and a veth cable on the same bridge as chain; root in it is root outside' ;;
	nspawn) echo 'systemd-nspawn without registration: /dev, /sys, few capabilities, system-call filter; no limits, no network but lo' ;;
	esac
}

# Makes what the ways need: the small root, the C programs, runc's bundle.
prepare_starts() {
	cell=$work/cell
	for name in proc dev sys tmp bin etc usr; do
		mkdir -p "$cell/$name"
	done
	printf 'ID=stamp\n' >"$cell/etc/os-release"
	set -- cc -static -O2 -Wall
	"$@" -o "$work/starts" "$here/bench.d/starts.c" &&
		set -- "$@" -nostdlib -ffreestanding -fno-stack-protector -mno-red-zone &&
		"$@" -o "$cell/bin/stamp" "$here/bench.d/stamp.c" &&
		"$@" -o "$work/floor" "$here/bench.d/floor.c" || return
	write_lxc_settings "$cell"
	mkdir "$work/bundle"
	! command -v runc >/dev/null || (
		cd "$work/bundle" || return
		runc spec
		sed -i -e 's|"terminal": true|"terminal": false|' -e 's|"sh"|"/bin/stamp"|' -e "s|\"path\": \"rootfs\"|\"path\": \"$cell\"|" \
			-e "s|\"linux\": {|&\"cgroupsPath\": \"/$group-runc\",|" config.json
	)
}

# Prints how many rounds of a mode are left: those that the way with the fewest starts lacks, which may have been installed
# since the others had theirs.
rounds_left() {
	awk -F '[,\t]' -v mode="$1" -v rounds="$rounds" '
		NR == FNR { if ($3 == mode) starts[$2]++; next }
		{ lack = rounds - starts[$1]; if (lack > most) most = lack }
		END { print most + 0 }' "$dir/starts.csv" "$work/ways"
}

# Times the starts of both modes, as far as that is not done.
start_all() {
	wanted_starts || return 0
	: >"$dir/starts-failed.tsv"
	prepare_starts 2>"$work/said" || {
		printf 'starts\tthe programs that time them cannot be built: %s\n' "$(last_words "$work/said")" >"$dir/starts-failed.tsv"
		return 0
	}
	list_ways >"$work/ways"
	ways=$(wc -l <"$work/ways")
	[ "$ways" -gt 0 ] || return 0
	for mode in burst spaced; do
		# Whole rounds in which nothing failed stay; a mode in which something failed is begun anew.
		awk -F, -v mode="$mode" 'NR == FNR { if ($3 == mode && $6 != 0) failed = 1; next } FNR == 1 || $3 != mode || !failed && NF == 6' \
			"$dir/starts.csv" "$dir/starts.csv" >"$dir/starts.csv.new"
		mv "$dir/starts.csv.new" "$dir/starts.csv"
		finished=$(grep -c ",$mode," "$dir/starts.csv") || :
		left=$(rounds_left "$mode")
		[ "$left" -gt 0 ] || continue
		progress "starts: $ways ways, $left rounds, $mode"
		answer=0 next=$(wc -l <"$dir/starts.csv")
		"$work/starts" --mode "$mode" --rounds "$left" --seed "$((seed + finished))" --first "$next" \
			--failed "$dir/starts-failed.tsv" "$work/ways" >>"$dir/starts.csv" 7<&- 9>&- &
		child=$!
		wait "$child" || answer=$?
		child=
		[ "$answer" = 0 ] || die "the program that times the starts ended with status $answer"
	done
}
