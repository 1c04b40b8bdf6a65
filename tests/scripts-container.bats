#!/usr/bin/env bats
# scripts/container as far as it is words: help, what it refuses, the line that it becomes. Its tools are fakes here;
# tests/kernel has what containers do.
# shellcheck disable=SC2016 # what stands in single quotes is for the fakes to expand

load scripts.bash

setup() {
	setup_scripts
	make_repository
	# Nothing runs; a line that starts is shown, a word a line.
	printf '#!/bin/sh\n[ "$1" != --stat ] && [ "$1" != --tree ] && printf "%%s\\n" "$@"\n' >repo/target/x86_64-unknown-linux-gnu/release/cgset
	mkdir -p root/bin
}

container() {
	repo/scripts/container "$@"
}

# Asserts that a verb ends with status 125, the message and its cure: refused MESSAGE CURE VERB [WORD]...
refused() {
	local message=$1 cure=$2
	shift 2
	run -125 --separate-stderr -- container "$@"
	[ "$stderr" = "container: $message"$'\n'"container: hint: $cure" ] || { echo "$*: $stderr"; return 1; }
	[ -z "$output" ]
}

# Whether words stand one after the other in the line that container run becomes.
becomes() {
	[[ " ${lines[*]} " == *" $* "* ]] || { echo "no $* in: ${lines[*]}"; return 1; }
}

# ---- help

@test "each verb has a help of its own, one screen of it, with three examples; a wrong word is named" {
	for verb in run exec ps stop save; do
		run -0 --separate-stderr -- container "$verb" --help
		[[ ${lines[0]} == "container $verb - "* ]] || { echo "$output"; return 1; }
		[ "$(wc -l <<<"$output")" -le 45 ] && [ "$(wc -L <<<"$output")" -le 120 ] || { echo "$output"; return 1; }
		# The last paragraph is examples.
		[ "$(awk -v RS= 'END { print }' <<<"$output" | grep -cE "^    (container|nsexec) .*$verb")" -ge 3 ] || { echo "$output"; return 1; }
		[ -z "$stderr" ]
		refused 'there is no option --moon' "$(hint_of "$verb")" "$verb" --moon
	done
	run -0 container --help
	[[ $output == *'container run'*'container exec'*'container ps'*'container stop'*'container save'* ]]
}

# What a verb says after an option that it does not have.
hint_of() {
	case $1 in
	run | exec) echo "container $1 --help lists what it takes; -- goes before a PROG like that" ;;
	*) echo "container $1 --help lists what it takes" ;;
	esac
}

@test "what is missing or unknown is named, with the cure" {
	local verbs='they are run, exec, ps, stop and save; container --help tells what each does'
	refused 'no verb' "$verbs"
	refused 'there is no verb rnu' "$verbs" rnu
	# Those that are there, and no other.
	[ "$(cd repo/scripts/container.d && find . -type f -perm -100 | sort | xargs)" = './exec ./ps ./run ./save ./stop' ]
	refused 'no image' 'container run IMG; rootfs busybox DIR and mkimg --from DIR IMG make one' run
	local cure='it goes before: container run root -- PROG, or container run --image root -- PROG'
	refused 'no image: root stands after --, where PROG begins' "$cure" run --memory 64M -- root
	refused 'no image: root stands after --, where PROG begins' "$cure" run -- root ls -l
	refused 'no image' 'container run IMG; rootfs busybox DIR and mkimg --from DIR IMG make one' run --
	run -0 container run --image root -- ls -l
	becomes root ls -l
	refused '--name wants a value' 'container run --help lists what it takes' run --name
	refused '--cap-drop wants a value' 'container run --help lists what it takes' run --cap-drop
	refused 'no name' 'container exec NAME PROG; container ps lists the names' exec
	refused 'no name' 'container stop NAME; container ps lists the names' stop
	refused 'no file' 'container save NAME|IMG FILE' save img
}

@test "who is not root is told why it takes root, and what to type; a dry run is for everybody" {
	fake id 'echo 1000'
	local why="a container's group, mounts and network are root's"
	refused "ps takes root: $why" 'sudo repo/scripts/container ps ...' ps
	refused "stop takes root: $why" 'sudo repo/scripts/container stop ...' stop web
	refused "exec takes root: $why" 'sudo repo/scripts/container exec ...' exec web true
	refused "save takes root: $why" 'sudo repo/scripts/container save ...' save web copy.img
	refused "run takes root: $why" \
		'sudo repo/scripts/container run ...; without root, and with neither limits nor a way out of its network: nsexec -r --pid --net -- pivot DIR' run root
	run -0 --separate-stderr container run --dry-run root
	becomes --dry-run
}

@test "ps: what cannot be written is said as other errors are; elsewhere it is written" {
	for option in '' --json; do
		for line in '"$@" >/dev/full' '"$@" >&-'; do
			# shellcheck disable=SC2086 # an option or none
			run -125 --separate-stderr -- sh -c "$line" sh repo/scripts/container ps $option
			[ "$stderr" = 'container: what was asked for cannot be written where stdout leads' ] || { echo "$stderr"; return 1; }
		done
	done
	run -0 --separate-stderr -- container ps --json
	[ "$output" = '[]' ] && [ -z "$stderr" ]
	run -0 --separate-stderr -- container ps
	[[ $output == 'NAME '*' IMAGE' ]] && [ -z "$stderr" ]
}

# ---- run

@test "run: the limits, and what is asked of pivot, each in its place" {
	run -0 --separate-stderr container run --name web root
	[ -z "$stderr" ]
	becomes --memory 512M --cpus 1 --pids 512
	becomes "image=$PWD/root"
	becomes --userns auto --dns auto root
	for words in '--user 1000' '--workdir /tmp' '--env A=b' '--tmpfs /mnt:size=1M' '--cap-add NET_RAW' '--cap-drop ALL' '--dns 192.0.2.53'; do
		[[ " ${lines[*]} " != *" $words "* ]]
	done
	run -0 container run --user 1000 --workdir=/tmp --env A=b root --tmpfs /mnt:size=1M --cap-add NET_RAW --cap-drop ALL -- ls -l
	becomes --user 1000 --workdir /tmp --env A=b --tmpfs /mnt:size=1M --cap-add NET_RAW --cap-drop ALL --userns auto --dns auto root ls -l
}

@test "run --dns: what is asked for instead of the host's servers; without a network none is asked for" {
	run -0 container run --dns 192.0.2.53 --dns 192.0.2.54 root
	becomes --dns 192.0.2.53 --dns 192.0.2.54 --userns auto root
	[[ " ${lines[*]} " != *' --dns auto '* ]]
	run -0 container run --no-net root
	[[ " ${lines[*]} " != *' --dns '* ]]
}

@test "run: the name is that of the image, also where that is called by dots" {
	run -0 container run root
	[[ ${lines[*]} == *container=root-[0-9]* ]]
	cd root
	run -0 ../repo/scripts/container run .
	[[ ${lines[*]} == *container=root-[0-9]* ]]
}

@test "run --detach and --log: each takes the other, and the log can be read again" {
	refused '--detach without --log' 'what it prints has to go somewhere: container run --detach --log root.log ...' run --detach root
	refused '--detach without --log' 'what it prints has to go somewhere: container run --detach --log web.log ...' run --detach --name web root
	refused '--log without --detach' 'a shell does that: container run ... >FILE 2>&1' run --log log root
	refused '--log /dev/null: not a regular file' 'its end tells whether the program started: name a file' run --detach --log /dev/null root
	refused 'nowhere/log cannot be written' 'name another --log FILE' run --detach --log nowhere/log root
	[ ! -e log ]
}

@test "run: a directory where the program cannot be is refused, before it gets mount points; where it may be, it is not" {
	mkdir mine
	touch mine/letter
	local cure="repo/scripts/rootfs busybox DIR makes one; to see mine in a container: --volume $PWD/mine:/mnt"
	refused 'mine is no root file system: /bin/sh would be in bin, and there is none' "$cure" run mine
	refused 'mine is no root file system: ls would be in usr bin sbin, and there is none' "$cure" run mine ls -l
	for words in 'root' 'mine ./letter' 'mine /letter' '--volume /bin:/bin:ro mine'; do
		# shellcheck disable=SC2086 # the words of a line
		run -0 container run $words
		becomes --transient
	done
	ln -s nowhere mine/bin
	run -0 container run mine
}
