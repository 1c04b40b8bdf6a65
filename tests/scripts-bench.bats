#!/usr/bin/env bats
# scripts/bench as far as it is words and arithmetic: what it refuses, the order of the runs, the summary against known
# numbers, what is missing. tests/kernel/bench.bats lets it measure.

bats_require_minimum_version 1.5.0

setup() {
	scripts=$BATS_TEST_DIRNAME/../scripts
	parts=$scripts/bench.d
	mkdir "$BATS_TEST_TMPDIR/here"
	cd "$BATS_TEST_TMPDIR/here" || return
	header=order,block,place,test,value,unit,seconds,status
	starts_header=order,way,mode,first_usec,whole_usec,status
}

bench() {
	"$scripts/bench" "$@"
}

# Asserts that two texts are equal, and shows how not.
same() {
	[ "$1" = "$2" ] || { diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") >&2; return 1; }
}

# Makes a tree that has something called sysbench.
make_tree() {
	mkdir -p tree/usr/bin tree/mnt
	printf '#!/bin/sh\n' >tree/usr/bin/sysbench
	chmod 755 tree/usr/bin/sysbench
}

# Writes the settings of a DIR, as a run keeps them.
make_settings() {
	mkdir -p "$1/raw"
	cat >"$1/settings" <<-END
		blocks=$2
		seconds=0.4
		rounds=$3
		file_size=128M
		memory=512M
		only=$4
		tree=$PWD/tree
		sysbench=$(sha256sum tree/usr/bin/sysbench | cut -d' ' -f1)
		seed=7
	END
}

# Prints the awks of this machine.
awks() {
	for name in mawk gawk original-awk 'busybox awk'; do
		# shellcheck disable=SC2086 # a command and a word
		! command -v ${name%% *} >/dev/null || printf '%s\n' "$name"
	done
}

@test "the header comment is the help" {
	run --separate-stderr bench --help
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[[ ${lines[0]} = 'bench - '* ]] && [[ $output != *'set -eu'* ]]
}

@test "what it does not understand it refuses, with a hint, and does nothing" {
	local words
	for words in '--quik|there is no option --quik' 'now|there is no option now' '--dir|--dir wants a value' \
		'--dir=|--dir wants a value' '--quick --full|--quick and --full together' '--blocks 0|--blocks 0 is no number of 1 or more' \
		'--blocks 1.5|--blocks 1.5 is no number of 1 or more' '--seconds soon|--seconds soon is no number' '--rounds=-1|--rounds -1 is no number' \
		'--file-size big|--file-size big is no size' '--memory 1X|--memory 1X is no size' '--only cpu|--only cpu: no slash in it' \
		'--only cpu/moon|--only cpu/moon matches nothing' '--only cpu/lxc,mars/lxc|--only mars/lxc matches nothing' \
		'--seed x|--seed x is no number' '--blocks 00|--blocks 00 is no number' '--summary --dir none|there are no results in'; do
		# shellcheck disable=SC2086 # the words of a line
		run -1 --separate-stderr bench ${words%%|*}
		[[ $stderr == "bench: ${words#*|}"*$'\nbench: hint: '* ]] || { echo "$words: $stderr"; return 1; }
		[ -z "$output" ]
	done
	same "$(ls -A)" ''
}

@test "patterns of --only are not taken for files" {
	mkdir cpu
	touch cpu/file
	make_tree
	make_settings dir 1 1 'cpu/*'
	run -1 --separate-stderr bench --summary --dir dir
	[ "$(wc -l <dir/missing.tsv)" = 8 ]
	run -1 --separate-stderr bench --only 'cpu/*' --tree none
	[[ $stderr == 'bench: there is no sysbench in '* ]]
}

@test "a tree without sysbench, settings that are others, a DIR in use: refused" {
	run -1 --separate-stderr bench --tree tree
	[[ $stderr == "bench: there is no sysbench in $PWD/tree"$'\nbench: hint: scripts/rootfs debian DIR --include sysbench'* ]]
	same "$(ls -A)" ''
	make_tree
	make_settings dir 6 30 ''
	run -1 --separate-stderr bench --full --tree tree --dir dir
	[[ $stderr == "bench: $PWD/dir was begun with blocks 6, and this asks for 30"$'\nbench: hint: '* ]]
	run -1 --separate-stderr bench --quick --tree tree --dir dir --only 'cpu/*'
	[[ $stderr == "bench: $PWD/dir was begun with only none, and this asks for cpu/*"* ]]
	run -1 --separate-stderr bench --quick --tree tree --dir dir --seed 8
	[[ $stderr == "bench: $PWD/dir was begun with seed 7"* ]]
	# The words it was begun with, and nothing but the other sysbench is in their way.
	run -1 --separate-stderr bench --full --tree tree --dir dir
	words=$(sed -n 's|^bench: hint: .*/scripts/bench \(.*\) goes on there; .*|\1|p' <<<"$stderr")
	same "$words" '--dir dir --blocks 6 --seconds 0.4 --rounds 30 --file-size 128M --memory 512M --tree tree'
	echo '# another' >>tree/usr/bin/sysbench
	# shellcheck disable=SC2086 # words
	run -1 --separate-stderr bench $words
	[[ $stderr == "bench: $PWD/dir was begun with sysbench "*$'\n'"bench: hint: name another --dir to begin anew, or remove $PWD/dir" ]]
	run -1 --separate-stderr bench --quick --tree tree --dir dir
	[[ $stderr == "bench: $PWD/dir was begun with sysbench "* ]]
	exec 4>dir/lock
	flock 4
	run -1 --separate-stderr bench --quick --tree tree --dir dir
	[[ $stderr == "bench: another bench works in $PWD/dir"* ]]
	exec 4>&-
	rm -r dir/raw dir/settings dir/lock
	rmdir dir
}

@test "--plan needs no tree, nor root: N stands for what is measured first; a DIR that was begun has its amounts and its refusals" {
	run -0 --separate-stderr bench --plan --quick
	[ -z "$stderr" ]
	[[ $output == *$'\n'"tree      $PWD/lab/rootfs (no sysbench there; scripts/rootfs debian DIR --include sysbench makes such a tree)"$'\n'* ]]
	[[ $output == *$'\ncells     64\nblocks    1 to warm up, 6 that count\ncpu: sysbench cpu --threads=1 --cpu-max-prime=10000 --events=N '* ]]
	[[ $output == *$'\nruns      448, of which 448 are to be done\nestimate  '* ]]
	same "$(ls -A)" ''
	mkdir ../fakes
	printf '#!/bin/sh\necho 1000\n' >../fakes/id
	chmod 755 ../fakes/id
	same "$(PATH=$BATS_TEST_TMPDIR/fakes:$PATH bench --plan --quick)" "$output"
	make_tree
	make_settings dir 6 30 ''
	echo cpu=700 >>dir/settings
	rm -r tree
	run -0 --separate-stderr bench --plan --quick --tree tree --dir dir
	[[ $output == *' (no sysbench there; '*' --events=700 '* ]]
	run -1 --separate-stderr bench --plan --full --tree tree --dir dir
	[[ $stderr == "bench: $PWD/dir was begun with blocks 6, and this asks for 30"$'\nbench: hint: '* ]]
	run -1 --separate-stderr bench --quick --tree tree --dir dir
	[[ $stderr == 'bench: there is no sysbench in '* ]]
}

@test "the order: every block has every cell once, another order every block and for another seed, the same for the same" {
	local awk first
	printf '%s\n' cpu/host cpu/lxc threads/host threads/lxc memory-read/host >cells
	while read -r awk; do
		# shellcheck disable=SC2086 # a command and a word
		$awk -v seed=7 -v blocks=3 -f "$parts/order.awk" cells >"order"
		[ "$(cut -d' ' -f1 order | xargs)" = "$(seq 20 | xargs)" ]
		for block in 0 1 2 3; do
			same "$(sort cells)" "$(awk -v block=$block '$2 == block { print $4 "/" $3 }' order | sort)"
		done
		[ "$(sed -n 1,5p order | cut -d' ' -f3-)" != "$(sed -n 6,10p order | cut -d' ' -f3-)" ]
		# Whatever awk it is, a seed is one order.
		same "${first:=$(cat order)}" "$(cat order)"
		# shellcheck disable=SC2086
		[ "$($awk -v seed=8 -v blocks=3 -f "$parts/order.awk" cells)" != "$first" ]
	done < <(awks)
}

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

@test "a way that is installed later has its rounds too" {
	rounds_left() {
		sh -c '. "$1"; dir=. work=. rounds=3 && rounds_left "$2"' sh "$parts/starts.sh" "$1"
	}
	printf '%s\n' "$starts_header" >starts.csv
	printf 'floor\t/work/floor\tcell, with a comma\nbwrap\t/usr/bin/bwrap\n' >ways
	[ "$(rounds_left burst)" = 3 ]
	printf '%s\n' 1,floor,burst,1,2,0 2,bwrap,burst,1,2,0 3,bwrap,burst,1,2,0 4,floor,burst,1,2,0 >>starts.csv
	[ "$(rounds_left burst)" = 1 ]
	[ "$(rounds_left spaced)" = 3 ]
	printf '%s\n' 5,floor,burst,1,2,0 6,bwrap,burst,1,2,0 >>starts.csv
	[ "$(rounds_left burst)" = 0 ]
	printf 'runc\t/usr/bin/runc\n' >>ways
	[ "$(rounds_left burst)" = 3 ]
}

@test "what a way leaves behind is not taken for the clock of the next" {
	cc -O2 -Wall -Wextra -Werror -o starts "$parts/starts.c"
	cc -static -O2 -nostdlib -ffreestanding -fno-stack-protector -mno-red-zone -o stamp "$parts/stamp.c"
	# The one ends at once, and somebody it leaves writes while the other runs.
	printf '%s\t/bin/sh\t-c\t%s\n' late '(sleep 0.05; echo late) & exit 1' good 'sleep 0.2; exec ./stamp' >ways
	run -0 --separate-stderr ./starts --mode burst --rounds 2 --seed 7 --first 1 --failed failed ways
	[ "$(grep -c ',good,burst,[0-9.]*,[0-9.]*,0$' <<<"$output")" = 2 ]
	same "$(cut -f1 failed | sort -u)" late
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

@test "what sysbench says is read, and what it does not say is not made up" {
	answer() {
		sh -c '. "$1"; answer_of "$2" said' sh "$parts/tests.sh" "$1"
	}
	printf '    read, MiB/s:                  198.48\n    written, MiB/s:               0.00\n    total time:   0.2356s\n    total number of events:   3000\n' >said
	[ "$(answer fileio-seqrd)" = '198.48 0.2356 3000' ]
	[ "$(answer fileio-rndwr)" = '- 0.2356 3000' ]
	[ "$(answer cpu)" = '0.2356 0.2356 3000' ]
	printf 'Total operations: 10240 (46114.49 per second)\n10240.00 MiB transferred (46114.49 MiB/sec)\n    total time:    0.2214s\n    total number of events:   10240\n' >said
	[ "$(answer memory-read)" = '46114.49 0.2214 10240' ]
	echo 'FATAL: no' >said
	[ "$(answer cpu)" = '- - -' ]
}
