#!/usr/bin/env bats
# scripts/bench as far as it is words and arithmetic: what it refuses, the order of the runs, what is read of them.
# tests/kernel/bench.bats lets it measure.

# shellcheck disable=SC2154 # scripts-bench.bash sets variables

load scripts-bench.bash

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
	rmdir tree/mnt
	run -1 --separate-stderr bench --tree tree
	same "$stderr" "bench: there is no directory mnt in $PWD/tree"$'\nbench: hint: the amounts of work are measured in it: mkdir tree/mnt'
	same "$(ls -A)" tree
	mkdir tree/mnt
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

@test "a DIR with things in it that no bench has made: refused, and they stay" {
	make_tree
	mkdir dir
	echo mine | tee dir/work dir/lock >/dev/null
	for sign in dir/lock none; do
		[ -e "$sign" ] || rm dir/lock
		run -1 --separate-stderr bench --tree tree --dir dir --only cpu/host --blocks 1
		same "$stderr" "bench: $PWD/dir is not empty, and no bench has begun there"$'\nbench: hint: name another --dir, one that is new or empty'
		same "$(sort -u dir/*)" mine
	done
	# The sign of one that was killed before it had settings.
	touch dir/lock
	exec 4>dir/lock
	flock 4
	run -1 --separate-stderr bench --tree tree --dir dir --only cpu/host --blocks 1
	[[ $stderr == "bench: another bench works in $PWD/dir"* ]]
	exec 4>&-
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
