#!/usr/bin/env bats
# scripts/lab report and archive: what is made of results. In temporary directories only, with copies of the scripts where a
# program of theirs has to be a fake.

# What stands in single quotes is for the fakes to expand; scripts-lab.bash and bats set variables:
# shellcheck disable=SC2016,SC2154

load scripts.bash
load scripts-lab.bash

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
	mkdir -p lab/rootfs/usr/bin lab/rootfs/mnt
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
