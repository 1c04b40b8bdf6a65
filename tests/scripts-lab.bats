#!/usr/bin/env bats
# scripts/lab, its verbs that need no kernel: help, messages, report, archive, syllabus as a text, doctor's JSON. In temporary
# directories only; with copies of the scripts where a program of theirs has to be a fake.
# shellcheck disable=SC2016 # what stands in single quotes is for the fakes to expand

bats_require_minimum_version 1.5.0

setup() {
	top=$(cd "$BATS_TEST_DIRNAME/.." && pwd -P)
	cd "$BATS_TEST_TMPDIR" || return
	unset LAB_DIR LAB_NAME
	# No test may reach the machine's packages.
	fake apt-get 'echo "a test called apt-get $*" >&2; exit 1'
}

# Puts a program of that name first in PATH.
fake() {
	local fakes=$BATS_TEST_TMPDIR.fakes
	mkdir -p "$fakes"
	printf '#!/bin/sh\n%s\n' "$2" >"$fakes/$1"
	chmod 755 "$fakes/$1"
	case $PATH in "$fakes:"*) ;; *) PATH=$fakes:$PATH ;; esac
}

lab() {
	"$top/scripts/lab" "$@"
}

# The verbs that are here.
verbs() {
	find "$top/scripts/lab.d" -maxdepth 1 -type f -perm /100 -printf '%f\n'
}

# Makes a lab with results that were never measured.
make_results() {
	mkdir -p lab/bench/raw lab/report
	echo 'place,test' >lab/bench/summary.csv
	echo 'words of sysbench' >lab/bench/raw/1.txt
	echo '%PDF-1.7' >lab/report.pdf
	echo '= Report' >lab/report/report.typ
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
	run -1 env LAB_NAME='a b' "$top/scripts/lab" show
	[[ $output == *'LAB_NAME: "a b" is no name'* ]]
	for size in 64 64k M big 1MG G1M 6-4M 0M 08M 1.5G; do
		run -1 lab up --home "$size"
		[ "$output" = "lab up: --home $size: that is no whole number of M or G
lab up: while: the file is written full of zeros, so many M of them
lab up: hint: as in 64M or 1G" ] || return
	done
	run -1 lab up --home 9999999G
	[[ $output =~ ^'lab up: --home 9999999G: no more than '[0-9]+"M is free in $PWD"$'\nlab up: while: ' ]]
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

# ---- report

@test "report: what build is told, and where the report is; without results, how to get them" {
	run -1 lab report
	[[ $output == *"lab/bench: no results yet: "*"$top/scripts/bench --quick" ]] || { echo "$output"; return 1; }
	make_results
	cp -r "$top/scripts" scripts
	printf '#!/bin/sh\nprintf "%%s\\n" "$*"\n' >scripts/report/build
	run -0 --separate-stderr -- scripts/lab report --template mine.typ
	[ "$output" = "--dir $PWD/lab/bench --output $PWD/lab/report.pdf --keep-sources $PWD/lab/report --template mine.typ" ]
	[ "$stderr" = 'lab report: it is in lab/report.pdf' ]
	run -0 --separate-stderr -- scripts/lab report --output other.pdf
	[ "$stderr" = 'lab report: it is in other.pdf' ]
	[ "$(cat lab/.lab)" = report.pdf ]
	printf '#!/bin/sh\nexit 3\n' >scripts/report/build
	run -3 scripts/lab report
	[ -z "$output" ]
}

@test "report: after a benchmark that was interrupted the cure is the words it was begun with; while one runs, to wait" {
	mkdir -p lab/bench
	printf '%s\n' blocks=6 seconds=0.4 rounds=30 file_size=128M memory=512M 'only=cpu/*' "tree=$PWD/lab/rootfs" sysbench=ab seed=7 cpu=99 >lab/bench/settings
	run -1 lab report
	[[ $output == *'lab/bench holds no summary.csv'*"hint: bench has not come to its end; it goes on with: "*"$top/scripts/bench --dir lab/bench --blocks 6 --seconds 0.4 --rounds 30 --file-size 128M --memory 512M --only 'cpu/*' --tree lab/rootfs" ]] || { echo "$output"; return 1; }
	exec 4>lab/bench/lock
	flock 4
	run -1 lab report
	[[ $output == *'hint: bench is at work there: wait for its end' ]] || { echo "$output"; return 1; }
	exec 4>&-
	rm lab/bench/settings
	run -1 lab report
	[[ $output == *"hint: run "*"scripts/bench --dir lab/bench to its end" ]] || { echo "$output"; return 1; }
	[ ! -e lab/.lab ]
}

@test "report: a signal ends what it began, and its status is that of the signal" {
	make_results
	cp -r "$top/scripts" scripts
	printf '#!/bin/sh\ntrap "echo ended >ended; exit 1" TERM\necho $$ >began\nwhile :; do sleep 0.1; done\n' >scripts/report/build
	scripts/lab report 3>&- &
	for _ in $(seq 100); do [ ! -s began ] || break; sleep 0.1; done
	kill -TERM $!
	status=0
	wait $! || status=$?
	[ "$status" = 143 ]
	[ "$(cat ended)" = ended ]
	run ! kill -0 "$(cat began)"
}

@test "report: refused while another verb changes the lab; while it works itself others are" {
	make_results
	cp -r "$top/scripts" scripts
	printf '#!/bin/sh\n! flock --nonblock lab true\n' >scripts/report/build
	echo rootfs >lab/.lab
	exec 4<lab
	flock 4
	run -1 scripts/lab report
	[ "$output" = "lab report: another lab up, lab down, lab report or lab archive is at work in $PWD/lab: wait for its end" ] || { echo "$output"; return 1; }
	# What is claimed and not there yet is still claimed.
	[ "$(cat lab/.lab)" = rootfs ]
	exec 4<&-
	run -0 scripts/lab report
	[ "$(cat lab/.lab)" = report.pdf ]
	flock --nonblock lab true
}

# ---- archive

@test "archive: one zip with sources that work, the report and the raw data, and nothing that is built" {
	make_results
	run -0 --separate-stderr -- lab archive
	[[ $stderr == 'lab archive: it is in lab/lab.zip: '* ]]
	[ "$(ls lab)" = "$(printf '%s\n' bench lab.zip report report.pdf)" ]
	[ "$(cat lab/.lab)" = lab.zip ]
	unzip -q lab/lab.zip
	[ -z "$(find lab -name '.archive.*')" ]
	for file in README.md Cargo.lock .cargo/config.toml scripts/lab.d/up nsexec/src/main.rs tests/run lab/report.pdf lab/report/report.typ \
		lab/bench/summary.csv lab/bench/raw/1.txt lab/README.txt; do
		[ -e "boxutils-lab/$file" ] || { echo "no $file"; return 1; }
	done
	[ ! -e boxutils-lab/target ]
	[ ! -e boxutils-lab/.git ]
	# Modes are kept: each script runs, and says what it is.
	for script in try container lab bench rootfs install; do
		run -0 "boxutils-lab/scripts/$script" --help
	done
	cmp "$top/Cargo.lock" boxutils-lab/Cargo.lock
	# From the archive itself, where there is no git, the same again.
	mkdir boxutils-lab/target boxutils-lab/debian again
	touch boxutils-lab/target/built boxutils-lab/debian/file boxutils-lab/img boxutils-lab/deb.img boxutils-lab/tests/x.img
	(cd boxutils-lab && scripts/lab archive --output ../again.zip)
	unzip -q again.zip -d again
	for built in target debian img deb.img tests/x.img; do
		[ ! -e "again/boxutils-lab/$built" ] || { echo "$built"; return 1; }
		rm -r "boxutils-lab/$built"
	done
	rm boxutils-lab/lab/README.txt again/boxutils-lab/lab/README.txt
	diff -r boxutils-lab again/boxutils-lab
}

@test "archive: the line of its readme that makes all anew is not refused for the results of the first machine" {
	make_results
	echo tree=/elsewhere/lab/rootfs >lab/bench/settings
	lab archive
	unzip -q lab/lab.zip
	cd boxutils-lab
	line=$(grep -o '[a-z].*scripts/bench --quick' lab/README.txt)
	[[ $line == *'scripts/lab up && '* ]]
	# The lab's verbs are their own affair, and so are the tools and sysbench: it ends where these are built.
	printf '#!/bin/sh\n' >scripts/lab
	mkdir -p lab/rootfs/usr/bin
	cp scripts/lab lab/rootfs/usr/bin/sysbench
	chmod 755 lab/rootfs/usr/bin/sysbench
	sed -i 's/^build() {$/&\ndie "so far"/' scripts/lib.sh
	run -1 sh -c scripts/bench\ --quick
	[[ $output == *"/boxutils-lab/lab/bench was begun with "* ]] || { echo "$output"; return 1; }
	run -1 sh -c "$line"
	[ "$output" = 'bench: so far' ] || { echo "$output"; return 1; }
	[ -e lab/bench.there/summary.csv ]
}

@test "archive: elsewhere, too, it works in the lab, where what a killed one leaves has a mark; another file system is as good" {
	make_results
	mkdir out
	fake zip 'echo $$ >began; exec sleep 1000'
	"$top/scripts/lab" archive --output out/lab.zip 3>&- &
	for _ in $(seq 100); do [ ! -s "$(echo lab/.archive.*/began)" ] || break; sleep 0.1; done
	kill -KILL $! "$(cat lab/.archive.*/began)"
	wait $! || :
	[ -z "$(ls -A out)" ] || { ls -A out; return 1; }
	[ "$(cd lab && echo .archive.*)" = "$(cat lab/.lab)" ] || { ls -A lab; cat lab/.lab; return 1; }
	rm -r lab/.archive.* "$BATS_TEST_TMPDIR.fakes/zip"
	other=$(mktemp -d /dev/shm/lab.XXXXXX)
	run -0 lab archive --output "$other/lab.zip"
	unzip -tq "$other/lab.zip"
	mode=$(stat -c %a "$other/lab.zip")
	left=$(ls -A "$other")
	rm -r "$other"
	[ "$left" = lab.zip ]
	[ "$mode" = "$(touch plain; stat -c %a plain)" ]
	[ "$(ls -A lab)" = "$(printf "%s\n" bench report report.pdf)" ] || { ls -A lab; return 1; }
}

@test "archive: interrupted it leaves nothing; what cannot be is said" {
	make_results
	fake zip 'touch began; exec sleep 1000'
	"$top/scripts/lab" archive 3>&- &
	for _ in $(seq 100); do [ -z "$(find lab -name began)" ] || break; sleep 0.1; done
	kill -TERM $!
	status=0
	wait $! || status=$?
	[ "$status" = 143 ]
	[ "$(ls -A lab)" = "$(printf "%s\n" bench report report.pdf)" ] || { ls -A lab; return 1; }
	rm "$BATS_TEST_TMPDIR.fakes/zip"
	run -1 lab archive --output
	[[ $output == *'--output wants a file'* ]]
	run -1 lab archive --output nowhere/lab.zip
	[[ $output == *"$PWD/nowhere: there is no such directory" ]]
	fake id 'case $1 in -u) echo 1000 ;; *) echo user ;; esac'
	run -1 lab archive --output /proc/lab.zip
	[[ $output == "lab archive: /proc: nothing can be made there ("*"): sudo $top/scripts/lab archive can, or --output names another place" ]] || { echo "$output"; return 1; }
	rm "$BATS_TEST_TMPDIR.fakes/id"
	[ "$(ls -A lab)" = "$(printf "%s\n" bench report report.pdf)" ] || { ls -A lab; return 1; }
}
