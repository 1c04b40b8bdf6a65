#!/usr/bin/env bats
# scripts/bench --summary: what it makes of the runs, against known numbers, and what is missing.

# shellcheck disable=SC2154 # scripts-bench.bash sets variables

load scripts-bench.bash

@test "the summary: the median of the ratios in a block, not the ratio of the medians; its interval as the binomial has it" {
	local awk
	{
		echo "$header"
		# The host drifts from 1 to 7 seconds; in LXC a block takes 1.1, 1.2 ... 1.7 times as long, in another order.
		for block in 1 2 3 4 5 6 7; do
			echo "1,$block,host,cpu,$block,s,$block,0"
			echo "1,$block,lxc,cpu,$(awk -v b=$block 'BEGIN { print b * (1 + (b * 3 % 7 + 1) / 10) }'),s,1,0"
		done
		echo '1,1,root,fileio-rndwr,50,MiB/s,1,0'
		echo '1,1,host,fileio-rndwr,100,MiB/s,1,0'
		echo '1,2,root,fileio-rndwr,80,MiB/s,1,0'
		# No host in this block, a run that failed, a line half written: they count for nothing.
		echo '1,2,host,fileio-rndwr,,MiB/s,,1'
		echo '1,3,host,fileio-rndwr,10'
		# A place whose host never ran.
		echo '1,1,container,threads,2,s,2,0'
	} >runs.csv
	while read -r awk; do
		# shellcheck disable=SC2086 # a command and a word
		$awk -v seed=7 -f "$parts/summary.awk" runs.csv >summary.csv
		# Of seven values a drawn median is the smallest in 1.0 % of the draws, one of the smaller two in 10.8 %: the
		# second is at 2.5 %, and the sixth at 97.5 %.
		same "$(cat summary.csv)" "$(cat <<-END
			place,test,n,median,unit,ratio,low,high
			host,cpu,7,4.0000,s,1.0000,1.0000,1.0000
			lxc,cpu,7,6.0000,s,1.4000,1.2000,1.6000
			host,fileio-rndwr,1,100.0000,MiB/s,1.0000,1.0000,1.0000
			root,fileio-rndwr,2,65.0000,MiB/s,0.5000,,
			container,threads,1,2.0000,s,,,
		END
		)"
	done < <(awks)
}

@test "the summary of the starts: medians, the nearest 90 %, and the whole life against the floor's" {
	{
		echo "$starts_header"
		for run in $(seq 11); do
			echo "$run,floor,burst,$((run * 10)),$((run * 100)),0"
			echo "$run,chain,burst,$((run * 30)),$((run * 250)),0"
		done
		echo '12,chain,burst,,,125'
		echo '13,lxc,spaced,5,9,0'
	} >starts.csv
	same "$(awk -f "$parts/starts-summary.awk" starts.csv)" "$(cat <<-END
		way,mode,n,first_median_usec,first_p90_usec,whole_median_usec,whole_p90_usec,ratio_to_floor
		floor,burst,11,60.0,100.0,600.0,1000.0,1.000
		chain,burst,11,180.0,300.0,1500.0,2500.0,2.500
		lxc,spaced,1,5.0,5.0,9.0,9.0,
	END
	)"
}

@test "JSON: what a reader of JSON reads is what stands in the table" {
	printf '%s\n' "$header" '65,1,host,cpu,0.5100,s,0.51,0' '66,1,lxc,cpu,,s,,125' >runs.csv
	awk -f "$parts/csv2json.awk" runs.csv >runs.json
	# shellcheck disable=SC2016 # a perl program
	[ "$(perl -MJSON::PP -0777 -ne '$r = decode_json($_); print join " ", scalar(@$r), $r->[0]{place}, $r->[0]{value}, defined $r->[1]{value} ? "" : "null", $r->[1]{status}' runs.json)" = '2 host 0.51 null 125' ]
	head -n 1 runs.csv | awk -f "$parts/csv2json.awk" | perl -MJSON::PP -0777 -ne 'decode_json($_)'
}

@test "what is missing is named with the reason, and on the host or in LXC makes the exit status 1; nothing missing, 0 and silence" {
	make_tree
	make_settings dir 2 1 'cpu/host,cpu/lxc,threads/host,starts/runc,starts/floor'
	{
		printf '%s\n' "$header" 4,1,host,cpu,1,s,1,0 5,2,host,cpu,1,s,1,0 6,1,lxc,cpu,,s,,127 7,2,lxc,cpu,,s,,1 8,1,host,threads,1,s,1,0
	} >dir/runs.csv
	printf '# run 6\nlxc-execute: no such thing\n\n' >dir/raw/6.txt
	printf '# run 7\nlxc-execute: still none\n' >dir/raw/7.txt
	printf '%s\n' "$starts_header" 1,floor,burst,1,2,0 2,runc,burst,,,1 3,floor,spaced,1,2,0 4,runc,spaced,1,2,0 >dir/starts.csv
	printf 'runc\tit ended with status 1: no bundle\n' >dir/starts-failed.tsv
	run -1 --separate-stderr bench --summary --dir dir
	same "$(cat dir/missing.tsv)" "$(printf '%s\t%s\n' host/threads 'not run yet (1 of 2 blocks)' \
		lxc/cpu 'status 1: lxc-execute: still none (2 of 2 blocks)' runc 'it ended with status 1: no bundle (1 of 2 starts)')"
	[[ $stderr == *missing.tsv*'lxc/cpu: status 1: '* ]]
	[ -z "$output" ]
	grep -q '^host,cpu,2,1.0000,s,1.0000' dir/summary.csv
	[ -s dir/runs.json ]
	[ -s dir/summary.json ]
	[ -s dir/starts.json ]

	make_settings dir 2 1 'cpu/host,starts/floor'
	run -0 --separate-stderr bench --summary --dir dir
	[ ! -s dir/missing.tsv ] && [ -z "$output$stderr" ]
}

@test "a rung or a way to start that a machine cannot have is said, and is no failure; what was not tried is" {
	local reason
	make_tree
	make_settings dir 1 1 'cpu/*,starts/floor,starts/nspawn'
	{
		echo "$header"
		for place in host namespaces cgroup root loop-direct container lxc; do echo "9,1,$place,cpu,1,s,1,0"; done
		echo 10,1,loop-buffered,cpu,,s,,1
	} >dir/runs.csv
	printf '# run 10\nno loop device\n' >dir/raw/10.txt
	printf '%s\n' "$starts_header" 1,floor,burst,1,2,0 2,nspawn,burst,,,1 3,floor,spaced,1,2,0 4,nspawn,spaced,,,1 >dir/starts.csv
	printf 'nspawn\tit ended with status 1: no\n' >dir/starts-failed.tsv
	run -0 --separate-stderr bench --summary --dir dir
	[[ $stderr == *'2 of the figures are missing'*'loop-buffered/cpu: status 1: no loop device'*'nspawn: it ended with status 1: no'* ]]
	same "$(cut -f1 dir/missing.tsv | xargs)" 'loop-buffered/cpu nspawn'
	: >dir/starts-failed.tsv
	run -1 --separate-stderr bench --summary --dir dir
	[[ $stderr == *'nspawn: not run yet'* ]]
	printf 'nspawn\tit ended with status 1: no\n' >dir/starts-failed.tsv
	for reason in host container lxc; do
		grep -v ",$reason,cpu," dir/runs.csv >runs
		echo "11,1,$reason,cpu,,s,,1" >>runs
		echo 'it broke' >dir/raw/11.txt
		make_settings other 1 1 'cpu/*,starts/floor,starts/nspawn'
		cp dir/starts* other/
		cp dir/raw/* other/raw/
		cp runs other/runs.csv
		run -1 --separate-stderr bench --summary --dir other
		[[ $stderr == *"$reason/cpu: status 1: it broke"* ]]
	done
}

@test "at the end a terminal is told where the results are and what makes the report of them; nobody else is" {
	make_tree
	for dir in dir lab/bench; do
		make_settings $dir 1 1 cpu/host
		printf '%s\n' "$header" 9,1,host,cpu,1,s,1,0 >$dir/runs.csv
		run -0 bench --summary --dir $dir
		[ -z "$output" ]
	done
	# Progress stands in the same line before it.
	said=$(script -qec "'$scripts/bench' --summary --dir dir" /dev/null </dev/null | tr -d '\r')
	[[ $said == *"bench: the results are in dir; "*"/scripts/report/build --dir dir makes the report of them" ]] || { echo "$said"; return 1; }
	said=$(script -qec "'$scripts/bench' --summary" /dev/null </dev/null | tr -d '\r')
	[[ $said == *"bench: the results are in lab/bench; "*"/scripts/lab report makes the report of them" ]] || { echo "$said"; return 1; }
}

@test "a summary that fails leaves the one before; and while a bench is at work there is none" {
	make_tree
	make_settings dir 1 1 cpu/host
	printf '%s\n' "$header" 9,1,host,cpu,1,s,1,0 >dir/runs.csv
	bench --summary --dir dir
	cp dir/summary.csv before
	mkdir fakes
	printf '#!/bin/sh\ncase "$*" in */summary.awk*) exit 3 ;; esac\nPATH=%s exec awk "$@"\n' "$PATH" >fakes/awk
	chmod 755 fakes/awk
	PATH=$PWD/fakes:$PATH run -3 --separate-stderr bench --summary --dir dir
	same "$(cat dir/summary.csv)" "$(cat before)"
	exec 4>dir/lock
	flock 4
	rm dir/summary.csv
	run -1 --separate-stderr bench --summary --dir dir
	[[ $stderr == "bench: another bench works in $PWD/dir"* ]]
	[ ! -e dir/summary.csv ]
	exec 4>&-
	run -0 --separate-stderr bench --summary --dir dir
	same "$(cat dir/summary.csv)" "$(cat before)"
}

@test "whatever --only leaves out, every table is there with its heading" {
	make_tree
	make_settings dir 1 1 'cpu/host'
	printf '%s\n' "$header" 9,1,host,cpu,1,s,1,0 >dir/runs.csv
	run -0 --separate-stderr bench --summary --dir dir
	[ -z "$output$stderr" ]
	same "$(cat dir/starts.csv)" "$starts_header"
	[ "$(wc -l <dir/starts-summary.csv)" = 1 ]
	[ -e dir/explain.txt ]
	make_settings none 1 1 'starts/floor'
	run -1 --separate-stderr bench --summary --dir none
	same "$(cat none/runs.csv)" "$header"
	[ "$(wc -l <none/summary.csv)" = 1 ]
	[ -e none/explain.txt ]
	# What the report wants to see, but for what only a run can know.
	run -1 --separate-stderr "$scripts/report/build" --dir dir
	[[ $stderr == *'dir holds no environment.tsv'* ]]
	for name in environment.tsv commands.txt; do : >dir/$name; done
	run -0 --separate-stderr "$scripts/report/build" --dir dir
	[ -s dir/report.pdf ]
}
