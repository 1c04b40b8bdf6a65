#!/usr/bin/env bats
# scripts/report: made-up results (tests/report.d/results) in, a PDF and its plots out.

# shellcheck disable=SC2016 # what stands in single quotes is for the fakes to expand

load scripts.bash

setup() {
	build=$BATS_TEST_DIRNAME/../scripts/report/build
	results=$BATS_TEST_TMPDIR/results
	"$BATS_TEST_DIRNAME/report.d/results" "$results"
	cd "$BATS_TEST_TMPDIR" || return
	mkdir tmp
	export TMPDIR=$PWD/tmp
}

# Prints the text of the report on one line.
words_of() {
	pdftotext -layout "$1" - | tr -s ' \n\f' ' '
}

# Prints the points of a block, as gnuplot counts them, of two columns of a file: FILE BLOCK X:Y.
points_of() {
	gnuplot -e "set datafile separator \"\\t\"; set table \"points\"; plot \"$1\" index $2 using $3 with points"
	awk '$3 == "i" { print $1, $2 }' points
}

@test "a report: every section, every attribute with its numbers, and nothing but the PDF is left" {
	run --separate-stderr "$build" --dir "$results" --output report.pdf
	[ "$status" = 0 ]
	[ -z "$output$stderr" ]
	[ -z "$(ls -A tmp)" ]
	[ "$(ls -I 'separate-stderr-*')" = "$(printf 'report.pdf\nresults\ntmp')" ]
	text=$(words_of report.pdf)
	for part in Goal 'step by step' Method 'The five attributes' 'The ladder' Start-up Insights 'Threats to validity' 'How to do it again'; do
		[[ $text == *"$part"* ]] || { echo "no section $part"; false; }
	done
	for name in 'CPU total time' 'thread execution' 'memory read' 'memory write' 'file read, sequential' 'file read, random' \
		'file write, sequential' 'file write, random'; do
		[[ $text == *"$name"* ]] || { echo "no attribute $name"; false; }
	done
	# The medians of the CPU test, and of writes at random, as they are in the results.
	for place in host container; do
		for test in cpu fileio-rndwr; do
			median=$(awk -F, -v place=$place -v test=$test '$1 == place && $2 == test { print $4 }' "$results/summary.csv")
			[[ $text == *" $median "* ]] || { echo "no median $median"; false; }
		done
	done
	[[ $text == *'a made-up machine'*'Retpolines'*'not affected by spectre_v9'* ]]
	[[ $text == *'scripts/bench --quick'* ]]
}

@test "the insights say no more than the intervals bear, and which rung it is" {
	"$build" --dir "$results" --output report.pdf
	text=$(words_of report.pdf)
	[[ $text == *'CPU total time. In our container the same work cannot be told from the host'* ]]
	[[ $text == *'file write, random. In our container the same work takes 5'?'.'?' % longer than the host'* ]]
	[[ $text == *'adds most is “+ loop image, direct I/O”'* ]]
	# mkimg makes the image, once: it is not in the chain. And what the floor leaves out is said.
	[[ $text == *'The whole chain of four tools, with limits and network, reaches '*'C floor takes, which makes namespaces and a root only.'* ]]
	[[ $text != *'five tools, with limits'* && $text != *'all five'* ]]
	[[ $text == *'Our container is the faster of the two.'* ]]
	[[ $text != *'LXC is the faster of the two.'* ]]
}

@test "a rung that takes less time than the one before it is said, and of how many rungs that is known" {
	local step
	# CPU: the image, buffered, takes half of the time, and what comes after it as much.
	awk -F, -v OFS=, '$2 == "cpu" && $1 ~ /^(loop|container)/ { $6 /= 2; $7 /= 2; $8 /= 2 } 1' "$results/summary.csv" >summary
	mv summary "$results/summary.csv"
	"$build" --dir "$results" --output report.pdf
	step='No rung of the ladder adds time that stands out, and “+ loop image, buffered” takes less than the one before it (−'
	[[ $(words_of report.pdf) == *"$step"[45]?.?" % of the host’s time). In LXC "* ]]
	sed -i '/^loop-direct,cpu,/d' "$results/summary.csv"
	"$build" --dir "$results" --output report.pdf
	[[ $(words_of report.pdf) == *"$step"[45]?.?" % of the host’s time), of the 4 that could be compared. In LXC "* ]]
}

@test "where LXC is the faster the report says so" {
	"$BATS_TEST_DIRNAME/report.d/results" "$results" -10
	"$build" --dir "$results" --output report.pdf
	text=$(words_of report.pdf)
	[[ $text == *'LXC is the faster of the two.'* ]]
	[[ $text != *'Our container is the faster of the two.'* ]]
}

@test "where LXC starts the faster the report says so, and not where it does not" {
	"$build" --dir "$results" --output report.pdf
	[[ $(words_of report.pdf) == *'LXC takes 4.80 times as long as the chain.'* ]]
	sed -i 's/^chain,spaced,20,[0-9]*/chain,spaced,20,94000/' "$results/starts-summary.csv"
	"$build" --dir "$results" --output report.pdf
	[[ $(words_of report.pdf) == *'LXC is the faster of the two here: it takes 0.50 times as long as the chain.'* ]]
}

@test "one block bears no interval: text and figures say so, and nothing is concluded from it" {
	"$build" --dir "$results" --output report.pdf --keep-sources many
	[[ $(words_of report.pdf) == *'10 blocks were counted'*'bootstrap 95 % interval'* ]]
	[[ $(words_of report.pdf) != *'no interval'* ]]
	grep -q '95 % interval)' many/attributes.svg
	[ "$(points_of many/attributes.tsv 0 3:4 | wc -l)" = 8 ]
	awk -F, -v OFS=, 'NR > 1 { $3 = 1; if ($1 != "host") $7 = $8 = "" } 1' "$results/summary.csv" >summary
	mv summary "$results/summary.csv"
	run -0 --separate-stderr "$build" --dir "$results" --output report.pdf --keep-sources one
	[ -z "$output$stderr" ]
	text=$(words_of report.pdf)
	[[ $text == *'one block was counted'*'Where fewer than six blocks were measured there is no interval'* ]]
	[[ $text == *'memory read. In our container the same work took '*' longer than the host in the one block measured, which is too few for an interval: it may be chance.'* ]]
	[[ $text == *'No rung of the ladder can be held against the one before it.'* ]]
	[[ $text == *'Which of the two is the faster cannot be said from so few blocks.'* ]]
	[[ $text != *'95 %'* && $text != *'faster of the two.'* && $text != *'adds most'* && $text != *'cannot be told'* ]]
	grep -q 'no interval: too few blocks)' one/attributes.svg
	# The dots are there, their intervals are not.
	[ "$(points_of one/attributes.tsv 0 2:1 | wc -l)" = 8 ]
	[ -z "$(points_of one/attributes.tsv 0 3:4)" ]
	[ "$(points_of one/ladder.tsv 1 1:3 | wc -l)" = 6 ] && [ -z "$(points_of one/ladder.tsv 1 4:5)" ]
}

@test "a cell that could not be measured is said, with why; where all could that is said too" {
	"$build" --dir "$results" --output report.pdf
	[[ $(words_of report.pdf) == *'lxc/fileio-rndwr: lxc-execute: Operation not permitted'* ]]
	[[ $(words_of report.pdf) == *'In LXC it was not measured.'* ]]
	: >"$results/missing.tsv"
	"$build" --dir "$results" --output report.pdf
	[[ $(words_of report.pdf) == *'every cell of the plan has its measurements'* ]]
}

@test "where the host or the floor could not be measured, the rest has its figures and no ratio" {
	# As scripts/bench leaves them.
	awk -F, -v OFS=, '$2 == "threads" { if ($1 == "host") next; $6 = $7 = $8 = "" } { print }' "$results/summary.csv" >summary
	mv summary "$results/summary.csv"
	sed -i '/,host,threads,/d' "$results/runs.csv"
	sed -i -e /^floor,/d -e '2,$s/,[^,]*$/,/' "$results/starts-summary.csv"
	sed -i /,floor,/d "$results/starts.csv"
	run -0 --separate-stderr "$build" --dir "$results" --output report.pdf --keep-sources kept
	[ -z "$output$stderr" ]
	text=$(words_of report.pdf)
	median=$(awk -F, '$1 == "container" && $2 == "threads" { print $4 }' "$results/summary.csv")
	[[ $text == *"thread execution – $median s – "* ]]
	[[ $text == *'thread execution. In our container the same work has no measurement of the host to be held against.'* ]]
	[[ $text == *'LXC 20 47.00 ms '*' ms – '* ]]
	[ -z "$(points_of kept/ladder.tsv 1 1:3)" ]
	[ "$(points_of kept/ladder.tsv 2 1:3 | wc -l)" = 6 ]
	[ -n "$(points_of kept/order.tsv 1 1:2)" ]
	[ "$(points_of kept/attributes.tsv 0 1:2 | cut -d' ' -f1 | xargs)" = '1 3 4 5 6 7 8' ]
}

@test "the whys of --explain are the report's own steps" {
	"$build" --dir "$results" --output report.pdf
	text=$(words_of report.pdf)
	[[ $text == *'the first one born in a new PID namespace is its PID 1'* ]]
	[[ $text == *'pivot_root(".", ".") = 0'* ]]
	sed -i 's/is its PID 1/is its number one/' "$results/explain.txt"
	"$build" --dir "$results" --output report.pdf
	[[ $(words_of report.pdf) == *'is its number one'* ]]
}

@test "a call that is wider than the page is broken at its commas and bars, and none is cut at the margin" {
	local at
	printf '%s\n' 'pivot     9/9 what is long' "          capset({effective=$(printf 'cap_number_%s,' $(seq 10)) inheritable=0})" \
		"          open($(printf 'O_NUMBER_%s|' $(seq 10))O_END)" >>"$results/explain.txt"
	"$build" --dir "$results" --output report.pdf
	[[ $(words_of report.pdf) == *capset*cap_number_10*inheritable=0*O_NUMBER_10*O_END* ]]
	# A page is 595 points wide, and its margin 62; a comma may hang out a little.
	pdftotext -bbox report.pdf words.html
	[ "$(grep -c '<word ' words.html)" -gt 1000 ]
	at=$(sed -n 's/.*<word .*xMax="\([0-9]*\)[."].*/\1/p' words.html | sort -n | tail -n 1)
	[ "$at" -gt 500 ] && [ "$at" -le 537 ] || { echo "a word ends at $at"; false; }
}

@test "--keep-sources: the plots with units on their axes, and the numbers they show" {
	"$build" --dir "$results" --output report.pdf --keep-sources kept
	for plot in attributes ladder starts order; do [ -s "kept/$plot.svg" ]; done
	grep -q 'time for one unit of work' kept/attributes.svg
	grep -q '% slower than the host' kept/ladder.svg
	grep -q 'milliseconds' kept/starts.svg
	[ -s kept/report.typ ]
	[ -s kept/layout.typ ]
	# A rate of 1/1.02 of the host's is a cost of 1.02; seconds are costs as they stand.
	ratio=$(awk -F, '$1 == "container" && $2 == "memory-read" { print $6 }' "$results/summary.csv")
	cost=$(awk -F '\t' '$1 == 3 { print $2; exit }' kept/attributes.tsv)
	awk -v ratio="$ratio" -v cost="$cost" 'BEGIN { exit !(cost > 1 && (ratio * cost - 1) ^ 2 < 1e-8) }'
	ratio=$(awk -F, '$1 == "container" && $2 == "cpu" { print $6 }' "$results/summary.csv")
	cost=$(awk -F '\t' '$1 == 1 { print $2; exit }' kept/attributes.tsv)
	awk -v ratio="$ratio" -v cost="$cost" 'BEGIN { exit !((ratio - cost) ^ 2 < 1e-8) }'
}

@test "a test that was not measured leaves its panel empty, and every other its own" {
	sed -i /,memory-read,/d "$results/summary.csv" "$results/runs.csv"
	sed -i /,spaced,/d "$results/starts.csv"
	"$build" --dir "$results" --output report.pdf --keep-sources kept
	[ -z "$(points_of kept/order.tsv 2 1:2)$(points_of kept/ladder.tsv 2 1:3)$(points_of kept/starts.tsv 0 2:1)" ]
	# The next one is that of memory-write.
	[ "$(points_of kept/order.tsv 3 1:2 | cut -d' ' -f1)" = "$(awk -F, '$4 == "memory-write" { print $1 }' "$results/runs.csv")" ]
	last=$(awk -F, '$1 == "container" && $2 == "memory-write" { print 1 / $6 }' "$results/summary.csv")
	awk -v last="$last" '{ at = $2 } END { exit !((at - 100 * (last - 1)) ^ 2 < 1e-4) }' <<<"$(points_of kept/ladder.tsv 3 1:3)"
	[ "$(points_of kept/starts.tsv 2 2:1 | wc -l)" = "$(grep -c ,burst, "$results/starts.csv")" ]
}

@test "where nothing was started, or nothing at all of LXC, there is a report all the same" {
	sed -i 2,\$d "$results/starts.csv" "$results/starts-summary.csv"
	sed -i /lxc/d "$results/summary.csv"
	: >"$results/explain.txt"
	sed -i /^date/d "$results/environment.tsv"
	run -0 --separate-stderr "$build" --dir "$results" --output report.pdf
	text=$(words_of report.pdf)
	[[ $text == *'date not recorded'*'In LXC nothing was measured'*'the container of the benchmark was not started'*'No start was measured'* ]]
	# Nor is anything said of them.
	[[ $text != *'In our container nothing'* && $text != *'comparison with LXC does not say'* && $text != *'What follows is what the tools'* ]]
}

@test "--template: another layout, the same words; a broken one is said and the report before is kept" {
	cat >mine.typ <<-'END'
		#let report(title: "", subtitle: "", author: "", date: "", body) = [OUR UNIVERSITY #title #body]
	END
	"$build" --dir "$results" --output report.pdf --template mine.typ
	[[ $(words_of report.pdf) == *'OUR UNIVERSITY'*'Threats to validity'* ]]
	cp report.pdf before.pdf
	echo '#let nothing = 1' >mine.typ
	run --separate-stderr "$build" --dir "$results" --output report.pdf --template mine.typ
	[ "$status" = 1 ]
	[[ $stderr == *'hint: '*layout.typ* ]]
	cmp report.pdf before.pdf
	[ -z "$(ls -A tmp)" ]
	run --separate-stderr "$build" --dir "$results" --output report.pdf --template absent.typ
	[ "$status" = 1 ]
	[[ $stderr == *'absent.typ: no such file'* ]]
}

@test "results that are not there, or not whole, are named" {
	run --separate-stderr "$build" --dir nowhere --output report.pdf
	[ "$status" = 1 ]
	[[ $stderr == *'nowhere: no such directory'*'scripts/bench makes it'* ]]
	rm "$results/starts.csv"
	run --separate-stderr "$build" --dir "$results" --output report.pdf
	[ "$status" = 1 ]
	[[ $stderr == *'holds no starts.csv'*'scripts/bench --dir'* ]]
	"$BATS_TEST_DIRNAME/report.d/results" "$results"
	sed -i 2,\$d "$results/summary.csv"
	run --separate-stderr "$build" --dir "$results" --output report.pdf
	[ "$status" = 1 ]
	[[ $stderr == *'holds no measurement'* ]]
	[ ! -e report.pdf ]
	run "$build" --dirt "$results"
	[ "$status" = 2 ]
	run "$build" --dir
	[ "$status" = 2 ]
	run "$build" --dir "$results" --output absent/report.pdf
	[ "$status" = 1 ]
}

# Makes a machine whose PATH has no typst, and a cache that has none.
without_typst() {
	local dir
	export XDG_CACHE_HOME=$PWD/cache
	typst_home=$XDG_CACHE_HOME/boxutils/typst-$(sed -n 's/^typst_release=//p' "$build")
	command -v typst >/dev/null || return 0
	mkdir programs
	while read -r dir; do
		ln -s "$dir"/* programs 2>/dev/null || :
	done < <(tr : '\n' <<<"$PATH")
	rm programs/typst
	PATH=$PWD/programs:/nowhere
}

# Puts a python3 first in PATH whose pip leaves a line in `tried` and does $1; $target is where it is to install.
fake_pip() {
	fake python3 '[ "$2 $3" != "pip --version" ] || exit 0
		for target; do [ "$before" != --target ] || break; before=$target; done
		echo "$target" >>tried
		'"$1"
}

@test "no Typst and none to be had: said, with the cure, and nothing half is left" {
	without_typst
	fake_pip 'echo no network >&2; exit 1'
	run --separate-stderr "$build" --dir "$results" --output report.pdf
	[ "$status" = 1 ]
	[[ $stderr == *'pip could not install typst'*'hint: '*PATH* ]]
	[ "$(wc -l <tried)" = 3 ]
	[ -z "$(find cache/boxutils tmp -mindepth 1)" ]
	[ ! -e report.pdf ]
}

@test "a fetch that fails twice is tried a third time; what was half made before is replaced" {
	without_typst
	fake_pip '[ "$(wc -l <tried)" = 3 ] || exit 1; mkdir "$target/typst" && : >"$target/typst/__init__.py"'
	mkdir -p "$typst_home/typst"
	run -0 --separate-stderr "$build" --prepare
	[ "$(wc -l <tried)" = 3 ]
	[ -e "$typst_home/typst/__init__.py" ]
	[ "$(ls -A cache/boxutils)" = "${typst_home##*/}" ]
	[ -z "$(ls -A tmp)" ]
	# Once it is there nothing is fetched.
	run -0 --separate-stderr "$build" --prepare
	[ "$(wc -l <tried)" = 3 ]
	[ -z "$output$stderr" ]
}

@test "ended while it fetches, it ends that and leaves nothing" {
	without_typst
	fake_pip ': >"$TMPDIR/half"; exec sleep 60'
	"$build" --prepare 3>&- &
	for _ in $(seq 300); do [ ! -e tried ] || break; sleep 0.1; done
	[ -e tried ]
	kill -TERM $!
	began=$SECONDS status=0
	wait $! || status=$?
	[ "$status" = 143 ]
	[ $((SECONDS - began)) -lt 30 ]
	[ -z "$(find cache/boxutils tmp -mindepth 1)" ]
}

@test "ended in the middle it leaves nothing" {
	fake gnuplot ": >$PWD/begun; exec sleep 60"
	"$build" --dir "$results" --output report.pdf 3>&- &
	for _ in $(seq 300); do [ ! -e begun ] || break; sleep 0.1; done
	[ -e begun ]
	kill -TERM $!
	began=$SECONDS status=0
	wait $! || status=$?
	[ "$status" = 143 ]
	[ $((SECONDS - began)) -lt 30 ]
	[ -z "$(ls -A tmp)" ]
	[ ! -e report.pdf ]
}
