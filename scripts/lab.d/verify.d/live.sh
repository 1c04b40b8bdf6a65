# The rows that only trying shows, for the lab's own container. Sourced by verify, never run.
#
#     live_table     prints NAME|LEVEL|SENTENCE|CURE, as row_table does
#     prepare_live   finds the container; cleanup_live ends and removes all that these rows began, at any moment
#
# What could hurt the lab is tried on a copy of its image, in throw-away containers that have names of their own.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # facts.sh and verify set and use them

live_table() {
	cat <<-'END'
		home-image|required|/home is a file system in a file, mounted in its own mount namespace alone|lab up mounts home.img at /home
		home-hidden|required|a file made at /home is there, and nowhere on the host|nsexec --mount, and the image mounted inside: pivot --image
		internet|required|through NAT it reaches a neighbour of the host that plays the internet|vethup --nat
		saved-copy|required|its file system is saved as one file, and a container of the copy goes on from there|container save
		persistence|required|what one run writes the next one finds|an image that is not --read-only
		memory-bites|required|who wants more memory than its limit is killed at the limit|cgset --memory
		cpu-bites|required|who wants a whole CPU gets its share and no more|cgset --cpus
		pids-bites|required|who forks without end stops at the limit|cgset --pids
		nothing-left|required|a container that has ended leaves no process, group, loop device, mount or link|cgset --transient; nsexec --pid
	END
}

# Finds the lab's container: sets pid.
prepare_live() {
	lab=$(readlink -m "${LAB_DIR:-lab}")
	lab_name=${LAB_NAME:-lab}
	own=$lab_name-verify-$$
	[ -d "$lab" ] || refuse "there is no lab in $lab" 'lab up makes one; LAB_DIR names another place'
	pid=$(program_of_container "$lab_name") || refuse "the lab's container, $lab_name, does not run" 'lab up starts it'
	notes=
	live=$(mktemp -d "$lab/.lab-verify.XXXXXX")
	: >"$live/names"
	echo "$own-" >"$live/own"
}

# Prints the process of the container of that name which runs the program.
program_of_container() {
	"$here/container" ps --json | sed 's/}, {/}\n{/g' | sed -n "s/.*\"name\": \"$1\", \"pid\": \([0-9]*\).*/\1/p" | grep -m1 .
}

cleanup_live() {
	[ -n "${live-}" ] || return 0
	end_neighbour
	remove_notes
	while read -r started; do
		"$here/container" stop --time 0 "$started" >/dev/null 2>&1 || :
	done <"$live/names"
	rm -rf "$live"
}

# Writes a file into the lab's container, and notes first that it is there: a signal may come at any moment.
# write_note FILE WORD
write_note() {
	notes="$notes $1"
	# shellcheck disable=SC2016 # for the shell inside
	"$here/container" exec "$lab_name" -- /bin/sh -c 'echo "$1" >"$0"' "$1" "$2" >"$live/said" 2>&1
}

remove_notes() {
	# shellcheck disable=SC2086 # names without blanks
	[ -z "$notes" ] || "$here/container" exec "$lab_name" -- /bin/rm -f $notes >/dev/null 2>&1 </dev/null || :
	notes=
}

# Runs a throw-away container of the copy: throw_away NAME OPTION... -- PROG. Its words are in $live/said.
throw_away() {
	echo "$own-$1" >>"$live/names"
	try=$1
	shift
	"$here/container" run --name "$own-$try" "$@" >"$live/said" 2>&1 </dev/null
}

# Prints what it said, in one line.
said() {
	LC_ALL=C tr -c ' -~' ' ' <"$live/said" | cut -c1-200 | sed 's/ *$//'
}

judge_home_image() {
	home_device=$(awk '$5 == "/home" { device = $3 } END { print device }' "$facts/mounts")
	case $home_device in
	7:*) ;;
	'') fails 'nothing is mounted there' && return ;;
	*) fails "it is on device $home_device, not on a loop device" && return ;;
	esac
	file=$(cat "/sys/dev/block/$home_device/loop/backing_file" 2>/dev/null) || file='a file that is gone'
	if awk -v device="$home_device" '$3 == device { found = 1 } END { exit !found }' "$facts/host-mounts"; then
		fails "the host has $file mounted, too"
	else
		holds "in $file"
	fi
}

judge_home_hidden() {
	note=/home/.verify-$$
	if ! write_note "$note" inside; then
		fails "no file could be made there: $(said)"
		return
	fi
	seen=
	for place in "$note" "$lab/rootfs$note"; do
		[ ! -e "$place" ] || seen=$place
	done
	if [ -n "$seen" ]; then
		fails "the host sees it: $seen"
	elif [ "$(cat "/proc/$pid/root$note" 2>/dev/null)" != inside ]; then
		fails "the program of the container does not see it"
	else
		holds "$note was there, and not on the host"
	fi
	remove_notes
}

# A network namespace with a cable to the host, which knows nothing of the container's network: only with NAT can it answer.
start_neighbour() {
	wire=bxv$$ subnet=198.18.$(($$ % 256))
	[ -z "$(ip -4 address show to "$subnet.0/24")" ] || { unbuildable="$subnet.0/24 is in use"; return 1; }
	# With a PID namespace, whose end is ours, too: not even kill -9 leaves the cable.
	"$bin/nsexec" --pid --net -- sleep 1000 >/dev/null 2>&1 &
	neighbour=$!
	until far=$(cut -d' ' -f1 "/proc/$neighbour/task/$neighbour/children" 2>/dev/null) && [ -n "$far" ] &&
		far_net=$(readlink "/proc/$far/ns/net") && [ "$far_net" != "$host_net" ]; do
		kill -0 "$neighbour" 2>/dev/null || { unbuildable='no network namespace'; return 1; }
		sleep 0.02
	done
	{
		ip link add "$wire" type veth peer name wan0 netns "$far" &&
			ip address add "$subnet.1/30" dev "$wire" && ip link set "$wire" up &&
			nsenter --net="/proc/$far/ns/net" ip address add "$subnet.2/30" dev wan0 &&
			nsenter --net="/proc/$far/ns/net" ip link set wan0 up
	} 2>"$live/said" || { unbuildable=$(said); return 1; }
}

# The cable goes with its namespace.
end_neighbour() {
	[ -n "${neighbour-}" ] || return 0
	ip link delete "$wire" 2>/dev/null || :
	kill -9 "$neighbour" 2>/dev/null || :
	wait "$neighbour" 2>/dev/null || :
	neighbour=
}

judge_internet() {
	if ! start_neighbour; then
		passes_by "no neighbour could be built: $unbuildable"
	else
		answered=
		for _ in 1 2 3; do
			! in_network ping -n -q -c 1 -W 2 "$subnet.2" >/dev/null 2>&1 || { answered=yes; break; }
		done
		if [ -n "$answered" ]; then holds "$subnet.2 answers"; else fails "$subnet.2, beside the host, does not answer"; fi
	fi
	end_neighbour
}

judge_saved_copy() {
	mark=/var/tmp/.verify-$$
	if ! write_note "$mark" kept; then
		fails "nothing could be written in it: $(said)"
		return
	fi
	if ! "$here/container" save "$lab_name" "$live/copy.img" >"$live/said" 2>&1; then
		fails "it could not be saved: $(said)"
	elif throw_away copy --no-net "$live/copy.img" -- /bin/cat "$mark" && [ "$(cat "$live/said")" = kept ]; then
		holds "$(du -h "$live/copy.img" | cut -f1)iB, in which the container's last file is"
	else
		fails "the copy does not go on: $(said)"
	fi
	remove_notes
}

# The rows below want the copy.
has_copy() {
	[ ! -e "$live/copy.img" ] || return 0
	fails 'there is no copy of its image to try it with'
	return 1
}

judge_persistence() {
	has_copy || return 0
	throw_away first --no-net "$live/copy.img" -- /bin/sh -c 'echo written >/var/tmp/first' || { fails "$(said)"; return; }
	throw_away second --no-net "$live/copy.img" -- /bin/cat /var/tmp/first || :
	if [ "$(cat "$live/said")" = written ]; then holds 'the second container read what the first had written'; else fails "$(said)"; fi
}

judge_memory_bites() {
	has_copy || return 0
	answer=0
	throw_away hog --no-net --memory 32M "$live/copy.img" -- \
		/bin/sh -c 'head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null' || answer=$?
	case $answer:$(said) in
	137:*'out of memory'*) holds "$(said | sed 's/^[^:]*: [^:]*: *//')" ;;
	*) fails "one that wants 300 MB at a limit of 32M ended with status $answer: $(said)" ;;
	esac
}

# Prints the CPU time of process $1 and the clock, both in hundredths of a second.
cpu_and_clock() {
	ticks=$(sed 's/.*) //' "/proc/$1/stat" | awk -v hertz="$(getconf CLK_TCK)" '{ printf "%d", ($12 + $13) * 100 / hertz }')
	echo "$ticks $(cut -d' ' -f1 /proc/uptime | tr -d .)"
}

# A tenth of a CPU is 10 ms in each 100 ms; two seconds can hold one more period's worth, and a tick of the clock. That it
# gets less where the machine is busy is no fault of the limit; that it was held back, the group counts, sooner or later.
judge_cpu_bites() {
	has_copy || return 0
	if ! throw_away spin --detach --log "$live/log" --cpus 0.1 "$live/copy.img" -- /bin/sh -c 'while :; do :; done' ||
		! spinner=$(program_of_container "$own-spin"); then
		fails "it did not start: $(said)"
		return
	fi
	far_end=$(nsenter --net="/proc/$spinner/ns/net" ip -o link show eth0 2>/dev/null | sed -n 's/.*eth0@if\([0-9]*\):.*/\1/p')
	before=$(cpu_and_clock "$spinner")
	for _ in 1 2 3 4 5; do
		sleep 2
		held_back=$("$bin/cgset" --stat "$own-spin" | sed -n 's/^cpu.throttled_usec  *//p')
		[ "${held_back:-0}" = 0 ] || break
	done
	share=$(echo "$before $(cpu_and_clock "$spinner")" | awk '{ printf "%.2f", ($3 - $1) / ($4 - $2) }')
	measured="a loop without end got $share of a CPU at a limit of 0.1, and was held back $((${held_back:-0} / 1000)) ms"
	if [ "$(echo "$share" | awk '{ print ($1 <= 0.13) }')" = 1 ] && [ "${held_back:-0}" != 0 ]; then
		holds "$measured"
	else
		fails "$measured"
	fi
}

judge_pids_bites() {
	has_copy || return 0
	"$here/container" stop --time 0 "$own-spin" >/dev/null 2>&1 || :
	if ! throw_away bomb --detach --log "$live/log" --no-net --pids 16 "$live/copy.img" -- \
		/bin/sh -c '(while :; do sleep 60 & done); exec sleep 60'; then
		fails "it did not start: $(said)"
		return
	fi
	most=0 same=0
	for _ in $(seq 100); do
		count=$("$bin/cgset" --stat "$own-bomb" 2>/dev/null | sed -n 's/^pids.current  *//p')
		[ "${count:-0}" -le "$most" ] || most=$count same=0
		# The shell that could not fork has ended and is counted no more.
		[ "$most" -lt 15 ] || same=$((same + 1))
		if [ "$same" = 5 ] || [ "$most" -gt 16 ]; then break; fi
		sleep 0.1
	done
	case $most in
	15 | 16) holds "$most processes at a limit of 16" ;;
	*) fails "$most processes and more to come, at a limit of 16" ;;
	esac
}

# Prints what is left of the throw-away containers.
left_behind() {
	sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2\{0,1\} .*/\1/p' /proc/self/mountinfo | while read -r tree; do
		find "$tree" -type d -name "$own-*" 2>/dev/null || :
	done
	for backing in /sys/block/loop*/loop/backing_file; do
		case $(cat "$backing" 2>/dev/null) in *"${live##*/}/"*) echo "${backing%/loop/*}" ;; esac
	done
	grep -F "${live##*/}" /proc/self/mountinfo | cut -d' ' -f5
	[ -z "${far_end-}" ] || ip -o link | sed -n "s/^$far_end: \([^:@]*\).*/link \1/p"
	# The name stands in a file, or grep itself would be found by it.
	grep -slzF -f "$live/own" /proc/[0-9]*/cmdline | sed -n 's|^/proc/\([0-9]*\)/.*|process \1|p' || :
}

judge_nothing_left() {
	has_copy || return 0
	tried=$(grep -c . "$live/names")
	while read -r started; do
		"$here/container" stop --time 0 "$started" >/dev/null 2>&1 </dev/null || :
	done <"$live/names"
	for _ in $(seq 50); do
		left=$(left_behind | one_line)
		[ -n "$left" ] || break
		sleep 0.1
	done
	if [ -z "$left" ]; then holds "of $tried containers${far_end:+, of which one had a network}"; else fails "$left"; fi
}
