# The runs: their plan, in an order that is kept, and one after the other. Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

runs_header=order,block,place,test,value,unit,seconds,status

# Writes the order of all runs: in every block each cell once, shuffled anew; block 0 is to warm up, and thrown away.
make_plan() {
	cells | awk -v seed="$seed" -v blocks="$blocks" -f "$here/bench.d/order.awk" >"$dir/plan.new"
	mv "$dir/plan.new" "$dir/plan"
}

# Prints the lines of the plan that are still to be run.
runs_left() {
	for file in runs.csv warmup.csv; do
		[ ! -f "$dir/$file" ] || cat "$dir/$file"
	done | awk -F '[ ,]' '
		FILENAME == "-" { if (NF == 8 && $8 == "0") done[$1] = 1; next }
		!($1 in done)' - "$dir/plan"
}

# Runs what is not done yet.
run_all() {
	begin_tables
	for file in runs.csv warmup.csv; do
		# What failed, or is a line half written, is run once more.
		awk -F, 'NR == 1 || NF == 8 && $8 == "0"' "$dir/$file" >"$dir/$file.new"
		mv "$dir/$file.new" "$dir/$file"
	done
	runs_left >"$work/left"
	total=$(wc -l <"$work/left") at=0 began=$(date +%s)
	run_limit=$(awk -v seconds="$seconds" 'BEGIN { printf "%d\n", 60 + 20 * seconds }')
	: >"$work/failed"
	while read -r order block place test <&7; do
		at=$((at + 1))
		progress "$at of $total: block $block of $blocks, $test, $place, $(time_left)"
		run_once
	done 7<"$work/left"
}

# One run: its answer to raw/, its figures to runs.csv, or those of block 0 to warmup.csv.
run_once() {
	raw=$dir/raw/$order.txt value='' took='' status=0
	words=$(words_of "$test" "$block")
	printf '# run %s, block %s: %s in %s: sysbench %s\n' "$order" "$block" "$test" "$place" "$words" >"$raw"
	# What has failed twice is not tried a third time; its reason is the one it had.
	if [ "$(grep -c "^$test/$place	" "$work/failed")" -ge 2 ]; then
		why=$(sed -n "s|^$test/$place	||p" "$work/failed" | tail -n 1)
		status=${why%%	*}
		printf '# not tried any more\n%s\n' "${why#*	}" >>"$raw"
	else
		[ "$place" != loop-buffered ] || attach_buffered
		# shellcheck disable=SC2086 # a list of words
		in_place "watched $run_limit" "$place" $words >>"$raw" 2>&1 || status=$?
		[ "$place" != loop-buffered ] || let_go
		[ "$status" != 0 ] || check_answer
		[ "$status" = 0 ] || printf '%s/%s\t%s\t%s\n' "$test" "$place" "$status" "$(last_words "$raw")" >>"$work/failed"
		case $test in fileio-*) settle ;; esac
	fi
	[ "$block" != 0 ] && file=runs.csv || file=warmup.csv
	printf '%s,%s,%s,%s,%s,%s,%s,%s\n' "$order" "$block" "$place" "$test" "$value" "$(unit_of "$test")" "$took" "$status" >>"$dir/$file"
}

# Reads the answer: it must hold a figure, and the whole of the work.
check_answer() {
	# shellcheck disable=SC2046 # three words
	set -- $(answer_of "$test" "$raw")
	if [ "$1" = - ] || [ "$2" = - ]; then
		status=1
		echo 'there is no figure in this answer' >>"$raw"
	elif [ "$3" != "$(events_of "$test")" ]; then
		status=1
		echo "$3 events, and $(events_of "$test") were asked for" >>"$raw"
	else
		value=$1 took=$2
	fi
}

# Says on a terminal what is going on.
progress() {
	[ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2
}

# Prints how long the rest will take, at the pace so far.
time_left() {
	if [ "$at" -gt 3 ]; then
		rest=$((($(date +%s) - began) * (total - at + 1) / (at - 1)))
		printf '%d:%02d left\n' $((rest / 60)) $((rest % 60))
	else
		echo '...'
	fi
}

# Prints what would be run. Where nothing has begun, the amounts are measured for it, or are N where nothing can be.
print_plan() {
	no_tree=
	has_sysbench || no_tree=' (no sysbench there; scripts/rootfs debian DIR --include sysbench makes such a tree)'
	if [ -f "$dir/settings" ]; then
		read_settings
	elif [ -n "$no_tree" ]; then
		cpu=N threads=N memory_read=N memory_write=N seqrd=N rndrd=N seqwr=N rndwr=N
	else
		calibrate
	fi
	echo "results   $dir"
	echo "tree      $tree$no_tree"
	echo "places    $(cells | cut -d/ -f2 | awk '!seen[$1]++' | xargs)"
	echo "cells     $(cells | wc -l)"
	echo "blocks    1 to warm up, $blocks that count"
	for test in $all_tests; do
		! cells | grep -q "^$test/" || echo "$test: sysbench $(words_of "$test" 1)"
	done
	echo "starts    $rounds each, back to back and 20 ms apart: $(starts_cells | xargs)"
	runs=$(($(cells | wc -l) * (blocks + 1))) left=$runs
	[ ! -f "$dir/plan" ] || left=$(runs_left | wc -l)
	awk -v runs="$runs" -v left="$left" -v seconds="$seconds" -v rounds="$rounds" -v ways="$(starts_cells | wc -l)" 'BEGIN {
		# What a run takes besides: to start it, to write back. And a start: half of the 20 ms rest, and 20 by itself.
		total = (left > 0 ? 25 : 0) + left * (seconds + 0.1) + rounds * ways * 2 * 0.03
		printf "runs      %d, of which %d are to be done\n", runs, left
		printf "estimate  %d s (%d min %d s)\n", total, int(total / 60), total % 60
	}'
}
