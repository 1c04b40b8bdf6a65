#!/usr/bin/env bats
# scripts/lab, its verbs that need no kernel: help, messages, doctor's JSON, syllabus as a text. In temporary directories only.

# What stands in single quotes is for the fakes to expand; scripts-lab.bash and bats set variables:
# shellcheck disable=SC2016,SC2154

load scripts.bash
load scripts-lab.bash

# The verbs that are here.
verbs() {
	find "$top/scripts/lab.d" -maxdepth 1 -type f -perm /100 -printf '%f\n'
}

# ---- help and messages

@test "container, where the tools are not built: said, with the cure, and nothing false; help is there all the same" {
	mkdir empty
	cp -r "$top/scripts" empty/scripts
	for verb in ps 'stop web' 'exec web true' 'run img'; do
		# shellcheck disable=SC2086 # a verb and its words
		run -125 --separate-stderr empty/scripts/container $verb
		[ -z "$output" ] || { echo "$output"; false; }
		[[ $stderr == *'container: the tools are not built'*'hint: '*'/try builds them' ]] || { echo "$stderr"; false; }
	done
	empty/scripts/container ps --help >/dev/null
}

@test "lab --help names every verb, LAB_DIR and LAB_NAME; each verb has a help of its own with three examples" {
	run -0 --separate-stderr -- lab --help
	[ "${lines[0]%% - *}" = lab ]
	[[ $output == *LAB_DIR* && $output == *LAB_NAME* ]]
	[ -z "$stderr" ]
	whole=$output
	for verb in $(verbs); do
		# compare is told by show.
		[[ $verb == compare ]] || grep -qE "^ *(scripts/)?lab $verb " <<<"$whole" || return
		run -0 lab "$verb" --help
		[[ ${lines[0]} == "lab $verb - "* ]] || return
		# The last paragraph is examples.
		[ "$(awk -v RS= 'END { print }' <<<"$output" | grep -cE "^    .*(lab $verb|bench|zip|lab show --compare)")" -ge 3 ] ||
			{ echo "$output"; return 1; }
		[[ $output != *'set -eu'* ]]
	done
}

@test "what is unknown is named, by the name it was called by" {
	run -1 lab
	[ "$output" = "lab: no verb; $top/scripts/lab --help lists them" ]
	run -1 lab fly
	[[ $output == *"there is no verb fly"* ]]
	run -1 lab doctor.d
	[[ $output == *"there is no verb doctor.d"* ]]
	run -1 lab ../rootfs
	[[ $output == *"there is no verb ../rootfs"* ]]
	for verb in doctor syllabus up show archive down; do
		run -1 lab "$verb" --moon
		[[ $output == "lab $verb: "*moon* ]] || return
	done
	for option in --moon --moon=1 -m; do
		run -1 lab up "$option"
		[ "$output" = "lab up: there is no option ${option%=1}; see --help" ] || return
	done
	for option in --tree --memory --cpus --pids --size --home; do
		run -1 lab up "$option"
		[ "$output" = "lab up: $option wants a value; see --help" ] || return
	done
	run -1 env LAB_NAME='a b' "$top/scripts/lab" show
	[[ $output == *'LAB_NAME: "a b" is no name'* ]]
	for size in 64 64k M big 1MG G1M 6-4M 0M 08M 1.5G; do
		run -1 lab up --home "$size"
		[ "$output" = "lab up: --home $size: that is no whole number of M or G
lab up: while: the file is written full of zeros, so many M of them
lab up: hint: as in 64M or 1G" ] || return
	done
	# The last would be 1G, where 64 bits are all there is.
	for size in 9999999G 99999999999999999999999M 99999999999999999999999G 18014398509481985G; do
		run -1 lab up --home "$size"
		[[ $output =~ ^"lab up: --home $size: no more than "[0-9]+"M is free in $PWD"$'\nlab up: while: ' ]] || return
	done
	for size in 64 big 0G 1.2.3G 2X 2Gi -1G; do
		run -1 lab up --size "$size"
		[ "$output" = "lab up: --size $size: that is no size
lab up: while: the image of the tree is made as large as that
lab up: hint: a number and a unit, as in 2G; a plain number would count bytes" ] || return
	done
	# Who is not root has come further with what is right.
	fake id 'echo 1000'
	for size in 96M 1.5G .5T 2GiB 96000KB; do
		run -1 lab up --size "$size" --home 2M
		[[ $output == 'lab up: it takes root: '* ]] || return
	done
	rm "$BATS_TEST_TMPDIR.fakes/id"
	run -1 lab up --tree moss
	[[ $output == *'--tree moss: auto, debian, host or busybox'* ]]
	[ -z "$(ls -A)" ]
}

@test "without root the line to type has sudo and the lab's settings in it; with root it has no sudo" {
	fake id 'case $1 in -u) echo 1000 ;; *) echo user ;; esac'
	for verb in up show down; do
		run -1 env LAB_DIR=there LAB_NAME=mine "$top/scripts/lab" "$verb"
		[ "$output" = "lab $verb: it takes root: sudo LAB_DIR=there LAB_NAME=mine $top/scripts/lab $verb" ] || return
	done
	rm "$BATS_TEST_TMPDIR.fakes/id"
	run -1 lab archive
	[[ $output == *"no report yet: $top/scripts/lab report" ]]
	[ -z "$(ls -A)" ]
}

# ---- doctor

@test "doctor --json is JSON, with a verdict for each step, and what is missing has a repair" {
	fake id 'case $1 in -u) echo 1000 ;; *) echo user ;; esac'
	run -1 --separate-stderr -- lab doctor --json
	[ "$(jq -r '[.steps[].step] | join(" ")' <<<"$output")" = 'up show verify bench report archive' ]
	[ "$(jq -r '.steps[0] | [.possible, .repair] | join(" ")' <<<"$output")" = "false sudo $top/scripts/lab up" ]
	[ "$(jq -r '[.steps[] | keys | join(",")] | unique[]' <<<"$output")" = 'after,installs,possible,repair,step' ]
	for key in kernel namespaces limits userns apparmor cgroup controllers loop nf_tables tools tree sysbench lxc disk memory; do
		[ -n "$(jq -r ".machine.$key // empty" <<<"$output")" ] || return
	done
	[ -z "$stderr" ]
}

@test "doctor: what cannot be written is said as other errors are" {
	for option in '' --json; do
		for line in '"$@" >/dev/full' '"$@" >&-'; do
			# shellcheck disable=SC2086 # an option or none
			run -1 --separate-stderr -- sh -c "$line" sh "$top/scripts/lab" doctor $option
			[ "$stderr" = 'lab doctor: what was asked for cannot be written where stdout leads' ] || { echo "$stderr"; return 1; }
		done
	done
}

@test "doctor: nothing stays where nobody reads what it says, nor where somebody does" {
	mkdir tmp
	export TMPDIR=$PWD/tmp
	exec 9> >(:)
	wait $!
	status=0
	env --default-signal "$top/scripts/lab" doctor >&9 9>&- 2>said || status=$?
	[ "$status" = 141 ] && [ ! -s said ]
	[ -z "$(ls -A tmp)" ]
	lab doctor >said || :
	[ -s said ] && [ -z "$(ls -A tmp)" ]
}

@test "doctor: a step's program that is missing is one that the step installs, or without apt one that the user must" {
	rm "$BATS_TEST_TMPDIR.fakes/apt-get"
	make_results
	only=$PWD/only
	mkdir "$only"
	for program in awk basename cat chroot cut df dirname echo env flock grep head id ip losetup mkdir mktemp nft nproc printf readlink rm sed seq sh sort \
		stat tail tr uname xargs; do
		ln -s "$(type -P "$program")" "$only/"
	done
	printf '#!/bin/sh\n' >"$only/apt-get"
	chmod 755 "$only/apt-get"
	run --separate-stderr -- env -u XDG_CACHE_HOME HOME="$PWD" PATH="$only" "$top/scripts/lab" doctor --json
	[ "$(jq -rc '.steps[] | select(.step == "archive") | [.possible, .installs]' <<<"$output")" = '[true,["zip"]]' ]
	[[ $(jq -rc '.steps[] | select(.step == "bench").installs' <<<"$output") == '["lxc","gcc","libc6-dev","bubblewrap",'*'"systemd-container"]' ]] || { echo "$output"; return 1; }
	[[ $(jq -rc '.steps[] | select(.step == "report").installs' <<<"$output") == '["gnuplot-nox",'*'"python3","python3-pip","typst"]' ]] || { echo "$output"; return 1; }
	# A sysbench where bench does not run it is none.
	mkdir -p lab/rootfs/proc lab/rootfs/etc lab/rootfs/usr/local/bin
	touch lab/rootfs/etc/passwd
	printf '#!/bin/sh\n' >lab/rootfs/usr/local/bin/sysbench
	chmod 755 lab/rootfs/usr/local/bin/sysbench
	run --separate-stderr -- env PATH="$only" "$top/scripts/lab" doctor --json
	[[ $(jq -r .machine.sysbench <<<"$output") == *'tree none' ]] || { echo "$output"; return 1; }
	rm -r lab/rootfs
	rm "$only/apt-get"
	run --separate-stderr -- env PATH="$only" "$top/scripts/lab" doctor --json
	[ "$(jq -rc '.steps[] | select(.step == "archive") | [.possible, .repair]' <<<"$output")" = "[false,\"install zip in this machine's own way\"]" ]
}

# ---- syllabus

# Prints the lines of a section: PAGE ANCHOR, the anchor as GitHub makes it of a heading. Fails where there is none.
section() {
	awk -v wanted="$2" '
		/^```/ { code = !code }
		!code && /^#+ / {
			anchor = tolower($0)
			sub(/^#+ +/, "", anchor)
			gsub(/[^a-z0-9 _-]/, "", anchor)
			gsub(/ /, "-", anchor)
			if (inside = (anchor == wanted)) found = 1
		}
		inside
		END { exit !found }' "$1"
}

@test "syllabus: every row has a sentence, a command, what must be seen; its lesson and its verify row exist" {
	table=$top/scripts/lab.d/syllabus.tsv
	[ -z "$(grep -v '^#' "$table" | awk -F '\t' 'NF < 6 || NF > 7 || NF == 7 && $7 !~ /^(bench|report)$/ || $2 == "" || $3 == "" || $4 == "" || $5 == ""')" ]
	rows=$(lab verify --rows | cut -f1)
	run ! section "$top/mkimg/README.md" 1
	while IFS=$'\t' read -r _ sentence _ _ lesson verify _; do
		link=${lesson%% *} paragraph=
		[[ $lesson != *' '* ]] || paragraph=${lesson#* }
		file=${link%%#*}
		[ -e "$top/$file" ] || { echo "$sentence: no $file"; return 1; }
		section "$top/$file" "${link#*#}" >lesson || { echo "$sentence: $file has no heading ${link#*#}"; return 1; }
		[ -z "$paragraph" ] || grep -qE -e "^\*\*?$paragraph" lesson || { echo "$sentence: $link has no $paragraph"; return 1; }
		[ "$verify" = - ] || grep -qx "$verify" <<<"$rows" || { echo "$sentence: no verify row $verify"; return 1; }
	done < <(grep -v '^#' "$table")
	run -0 --separate-stderr -- lab syllabus
	[ "$(grep -c '^    \$ ' <<<"$output")" = "$(grep -vc '^#' "$table")" ]
	[[ $output != *'{lab}'* && $output != *'{dir}'* && $output != *'{path}'* && $output != *'{group}'* ]]
	run -0 lab syllabus 2 3
	[ "$(grep -c '^    \$ ' <<<"$output")" = 2 ]
	run -1 lab syllabus two
	[[ $output == *'two: not the number of a row'* ]]
	rows=$(grep -vc '^#' "$table")
	for row in $((rows + 1)) 99999999999999999999; do
		run -1 lab syllabus 1 "$row"
		[ "$output" = "lab syllabus: there is no row $row: they are 1 to $rows" ] || { echo "$output"; return 1; }
		run -1 lab syllabus --check "$row"
		[ "$output" = "lab syllabus: there is no row $row: they are 1 to $rows" ] || { echo "$output"; return 1; }
	done
	run -1 lab syllabus 02
	[[ $output == *'02: not the number of a row'* ]]
}

@test "syllabus: its lines are right whatever LAB_DIR is called; what no line could hold is refused" {
	for place in 'my lab' 'a|b' 'a&b' "it's" 'a\b' '{group} $HOME'; do
		mkdir "$place"
		run -0 env LAB_DIR="$place" "$top/scripts/lab" syllabus
		sed -n 's/^    [$] //p' <<<"$output" >lines
		[ "$(wc -l <lines)" = "$(grep -vc '^#' "$top/scripts/lab.d/syllabus.tsv")" ]
		while IFS= read -r line; do sh -n -c "$line" || { echo "$line"; return 1; }; done <lines
		# One that needs no root, as typed.
		[ "$(sh -c "$(grep '^dd if=/dev/zero' lines)")" = 16777216 ]
		[ -z "$(ls -A "$place")" ]
		# The lines without LAB_DIR in them have it from the first one.
		eval "$(sed -n '/^    export PATH/{s/PATH=[^ ]*//p;}' <<<"$output")"
		[ "$LAB_DIR" = "$place" ] || { echo "$output"; return 1; }
		unset LAB_DIR
	done
	run -1 env LAB_DIR=$'a\tb' "$top/scripts/lab" syllabus
	[[ $output == 'lab syllabus: LAB_DIR: '*"holds a tab or a line's end"* ]] || { echo "$output"; return 1; }
}

@test "the list of what the lab has made is never written through a link" {
	mkdir -p lab/rootfs
	for target in elsewhere mine; do
		printf '%s\n' 'rootfs busybox' gone >lab/.lab
		[ "$target" != mine ] || echo mine >mine
		ln -s "$PWD/$target" lab/.lab.new
		sh -c 'here=$1/scripts verb=x; . "$here/lab.d/place.sh"; forget' sh "$top"
		[ "$(cat lab/.lab)" = 'rootfs busybox' ] || return
		[ ! -L lab/.lab ] && [ ! -e lab/.lab.new ] && [ ! -e elsewhere ] || return
	done
	[ "$(cat mine)" = mine ]
}
